//! Logs: to stderr, one line per fact, values as fields. Secrets never get here because the types
//! that hold them have no readable `Debug`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::OnceLock,
};

use tracing_subscriber::{EnvFilter, fmt};

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where lines go once the terminal belongs to somebody else.
static REDIRECTED: OnceLock<File> = OnceLock::new();

/// Starts logging. `COPPICE_LOG` (for instance `debug` or `coppice_agent::l1=trace`) wins over the
/// default of `info`.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("COPPICE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    // A second start (in tests) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// From now on lines go to this file: a console draws on the terminal.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn redirect(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    // A second redirection keeps the first file.
    let _ = REDIRECTED.set(file);
    Ok(())
}

fn writer() -> Box<dyn Write> {
    match REDIRECTED.get().map(File::try_clone) {
        Some(Ok(file)) => Box::new(file),
        // Without a descriptor to spare a line is lost rather than drawn over the console.
        Some(Err(_)) => Box::new(io::sink()),
        None => Box::new(io::stderr()),
    }
}
