//! The command line: one file per command.

mod bench;
mod claim;
mod devnet;
pub(crate) mod keys;
mod prove;
mod run;
mod sequencer;
mod setup;
mod simulate;
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
    /// One agent, in the foreground, until SIGTERM.
    Run(run::Arguments),
    /// A whole network on this machine: Ethereum node, sequencer, agents, clients.
    Devnet(devnet::Arguments),
    /// One sequencer, in the foreground, until SIGTERM.
    Sequencer(run::Arguments),
    /// State of a running agent; with -q only the exit code: 0 ok, 10 degraded, 20 at risk,
    /// 30 not working, 40 no agent.
    Status(status::Arguments),
    /// Key files: operator, mesh, and a sequencer's BLS key.
    Keys(keys::Arguments),
    /// Setup and proving keys.
    Setup(setup::Arguments),
    /// What each circuit costs on this machine.
    Bench(bench::Arguments),
    /// Simulated networks on the same core.
    Simulate(simulate::Arguments),
    /// Claims payouts through a running agent.
    Claim(claim::Arguments),
    /// One task from stdin (internal).
    #[command(hide = true)]
    Prove,
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
        Command::Run(it) => block_on(run::run(it)),
        Command::Devnet(it) => block_on(devnet::run(it)),
        Command::Sequencer(it) => block_on(sequencer::run(it)),
        Command::Status(it) => block_on(status::run(it)),
        Command::Keys(it) => keys::run(it),
        Command::Setup(it) => setup::run(it),
        Command::Bench(it) => block_on(bench::run(it)),
        Command::Simulate(it) => simulate::run(&it),
        Command::Claim(it) => block_on(claim::run(it)),
        Command::Prove => Ok(prove::run()),
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
            sockets_in(&folder, SOCKET_DEPTH, &mut found);
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

/// A devnet's sockets lie in a folder of its run.
const SOCKET_DEPTH: u8 = 1;

/// All sockets in a folder, and in those below it down to `depth`.
fn sockets_in(folder: &std::path::Path, depth: u8, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|it| it == "sock") {
            found.push(path);
        } else if depth > 0 && path.is_dir() {
            sockets_in(&path, depth - 1, found);
        }
    }
}

/// Where agents put their sockets, if there is a runtime folder (slice section 9).
pub(crate) fn socket_folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|it| PathBuf::from(it).join("coppice"));
    runtime.into_iter().collect()
}

/// The last word of a failed command.
#[expect(clippy::print_stderr, reason = "the coded error belongs on stderr, not in the log")]
pub(crate) fn print_error(error: &anyhow::Error) {
    eprintln!("coppice-agent: {error:#}");
}
