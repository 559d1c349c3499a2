//! The command line: one file per command.

mod status;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{error::Coded, telemetry::LogFormat};

/// Decentralized prover coordination: joins the mesh, claims proof tasks, proves, settles, is paid.
#[derive(Parser, Debug)]
#[command(name = "coppice-agent", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// How log lines are written to stderr.
    #[arg(long, global = true, value_enum, default_value_t)]
    log: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// State of a running agent; with -q only the exit code: 0 ok, 10 degraded, 20 at risk,
    /// 30 not working, 40 no agent.
    Status(status::Arguments),
}

/// Which agent's socket a command talks to.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct SocketArgument {
    /// The agent's control socket; otherwise COPPICE_SOCKET, otherwise the only one there is.
    #[arg(long, env = "COPPICE_SOCKET")]
    socket: Option<PathBuf>,
}

/// Runs the command line and gives the process's exit code.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<u8> {
    crate::telemetry::start(arguments.log);
    match arguments.command {
        Command::Status(it) => block_on(status::run(it)),
    }
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

/// Writes one line to stdout; a closed pipe ends the process quietly, as scripts expect.

pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

impl SocketArgument {
    /// The socket to use.
    ///
    /// # Errors
    /// `CTL-012` with the list when there is no single one.
    pub(crate) fn find(&self) -> Result<PathBuf, Coded> {
        if let Some(path) = &self.socket {
            return Ok(path.clone());
        }
        let mut found = Vec::new();
        for folder in socket_folders() {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let paths = entries.map(|entry| entry.path());
            found.extend(paths.filter(|it| it.extension().is_some_and(|it| it == "sock")));
        }
        found.sort();
        found.dedup();
        match found.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Coded::new("CTL-012", "no agent's socket was found; name one with --socket")),
            many => {
                let list: Vec<_> = many.iter().map(|it| it.display().to_string()).collect();
                let text = format!("several sockets; choose with --socket: {}", list.join(" "));
                Err(Coded::new("CTL-012", text))
            }
        }
    }
}

/// Where agents put their sockets (slice section 9).
pub(crate) fn socket_folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|it| PathBuf::from(it).join("coppice"));
    runtime.into_iter().collect()
}

/// The last word of a failed command.
#[expect(clippy::print_stderr, reason = "the coded error belongs on stderr, not in the log")]
pub(crate) fn print_error(error: &anyhow::Error) {
    eprintln!("coppice-agent: {error:#}");
}
