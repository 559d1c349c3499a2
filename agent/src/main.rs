//! `coppice-agent`: the daemon that claims, proves, settles and is paid.
//!
//! The protocol's decisions are in `shared/protocol`; here is what touches the world: the store
//! (`store`), the mesh (`mesh`), Ethereum (`l1`), prover processes (`prover`), the rollup's blocks
//! (`rollup`), and the one loop (`run`) that feeds the machine and performs its actions (`shell`).

mod cmd;
mod config;
mod error;
mod l1;
mod mesh;
mod prover;
mod rollup;
mod run;
mod shell;
mod store;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = match cmd::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are asked for; everything else is a usage error.
            let code = if error.use_stderr() { error::Exit::Usage as u8 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match cmd::run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            cmd::print_error(&error);
            ExitCode::from(error::exit_code(&error))
        }
    }
}
