//! `coppice-console`: the operator's screen.
//!
//! Follows an agent over its local socket. It holds no key, and whatever happens to it, the agent
//! goes on. Without a terminal it prints what a status command prints.

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use console_core::{Access, Model, frame, summary};

mod app;
mod clock;
mod demo;
mod headless;
mod link;
mod term;

use app::{App, End};
use clock::Clock;
use headless::Origin;
use link::{
    Link,
    socket::{Places, Target},
};
use term::{
    caps::{self, Colour, Colours, Marks, Wishes},
    output::Output,
    restore,
};

/// Usage error, as in sysexits.h.
const USAGE: u8 = 64;
/// A failure with its reason on the standard error.
const FAILED: u8 = 1;

/// The operator's screen: follows an agent over its local socket.
#[derive(Parser, Debug)]
#[command(version, about)]
struct Options {
    /// The agent's socket; without it the only one there is.
    #[arg(long, env = "COPPICE_SOCKET", value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// Show a simulated world instead of an agent.
    #[arg(long, conflicts_with = "socket")]
    demo: bool,
    /// Txs of a block of the simulated world: 1 to 61,440.
    #[arg(long, requires = "demo", default_value_t = demo::TXS, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(sim::feed::TXS_MAX)))]
    txs: u16,
    /// Only look: send no command.
    #[arg(long)]
    read_only: bool,
    /// Whether colours are used.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true)]
    color: Colour,
    /// Which colours.
    #[arg(long, value_enum, default_value_t, value_name = "NAME", global = true)]
    theme: Colours,
    /// Which marks the terminal can draw.
    #[arg(long, value_enum, default_value_t, value_name = "SET", global = true)]
    glyphs: Marks,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print one frame of a screen as text, with the exit code of the state.
    Screen {
        /// Which screen.
        #[arg(value_enum)]
        name: headless::Name,
        /// Columns and rows.
        #[arg(long, default_value = "120x40")]
        size: headless::Size,
        /// Text alone, which is what is printed in any case.
        #[arg(long)]
        plain: bool,
    },
    /// Print the state in a few lines, with its exit code.
    Status,
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _printed = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match start(&options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            restore::leave();
            let _written = writeln!(io::stderr(), "coppice-console: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn start(options: &Options) -> anyhow::Result<u8> {
    let target = match &options.socket {
        Some(path) => Target::Socket(path.clone()),
        None => Target::Only(Places::of(|name| env::var(name).ok())),
    };
    if let Target::Only(places) = &target {
        let sockets = places.sockets();
        if sockets.len() > 1 && !options.demo {
            return list(&sockets);
        }
    }
    // One thread for the link: the screen's own never waits for a message to be decoded.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let tty = io::stdin().is_terminal() && io::stdout().is_terminal();
    let code = match &options.command {
        Some(Command::Screen { name, size, plain: _ }) => {
            let origin = origin(options, target);
            runtime.block_on(headless::screen(&origin, *name, *size, look(options)))
        }
        None if tty => runtime.block_on(show(options, target)),
        Some(Command::Status) | None => {
            runtime.block_on(headless::status(&origin(options, target)))
        }
    };
    // A request that is still unanswered does not hold the prompt back.
    runtime.shutdown_background();
    code
}

fn origin(options: &Options, target: Target) -> Origin {
    if options.demo { Origin::World(options.txs) } else { Origin::Agent(target) }
}

fn look(options: &Options) -> console_core::Look {
    let wishes = Wishes { colour: options.color, colours: options.theme, marks: options.glyphs };
    caps::look(wishes, |name| env::var(name).ok())
}

/// Several agents and no word which: the operator chooses.
fn list(sockets: &[PathBuf]) -> anyhow::Result<u8> {
    let mut errors = io::stderr();
    writeln!(errors, "coppice-console: several agents run here; name one:")?;
    for socket in sockets {
        writeln!(errors, "  coppice-console --socket {}", socket.display())?;
    }
    Ok(USAGE)
}

async fn show(options: &Options, target: Target) -> anyhow::Result<u8> {
    let clock = Clock::start();
    let access = if options.read_only { Access::ReadOnly } else { Access::Operate };
    let look = look(options);
    // The library reads NO_COLOR too, and then loses attributes; the theme has decided already.
    crossterm::style::force_color_output(true);
    restore::install_hook();
    restore::enter().context("cannot take the terminal over")?;
    let (name, link) = if options.demo {
        let txs = options.txs;
        let link = Link::start_world(move |sender| demo::play(&sender, txs));
        (demo::NAME.to_owned(), link)
    } else {
        (target.to_string(), Link::start(target, clock))
    };
    let mut model = Model::new(clock.now_ms(), &name, access);
    model.size = crossterm::terminal::size().context("cannot ask the terminal for its size")?;
    let app = App::new(model, link, Output::new(look), clock)?;
    let ran = app.run().await;
    restore::leave();
    let (end, model) = ran.context("the terminal failed")?;
    farewell(end, &model, look)
}

/// The last words, on the screen that was there before.
fn farewell(end: End, model: &Model, look: console_core::Look) -> anyhow::Result<u8> {
    let code = match end {
        End::Left | End::LeftWithFrame => 0,
        End::Signal(number) => return Ok(128 + number),
        End::NoTerminal => return Ok(FAILED),
    };
    let mut out = io::stdout().lock();
    if end == End::LeftWithFrame {
        write!(out, "{}", frame(model, look))?;
    }
    for line in summary(model).iter().take(3) {
        writeln!(out, "{line}")?;
    }
    if model.snapshot.as_ref().is_some_and(|snapshot| !snapshot.simulated) {
        writeln!(out, "the agent goes on; coppice-agent status shows it")?;
    }
    Ok(code)
}
