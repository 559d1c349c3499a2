//! `coppice-agent`: the daemon that claims, proves, settles and is paid.

mod l1;
mod mesh;
mod prover;
mod rollup;
mod store;

fn main() {}
