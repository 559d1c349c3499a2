//! `coppice-agent`: the daemon that claims, proves, settles and is paid.

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

fn main() {}
