//! A network of agents in one thread: the product's own machine with pretended sockets, disks,
//! provers and chain.
//!
//! A seed is a world: same seed and options, same events, same digest. The world checks itself at
//! every step (safety) and at its end (every revealed block settled). Nothing here waits, reads a
//! clock or draws randomness from anywhere but the seed.

mod agent;
mod checks;
mod content;
mod digest;
pub mod feed;
mod l1;
mod options;
mod outcome;
mod rng;
mod world;

pub use options::{Mutation, WorldOptions};
pub use outcome::Outcome;
pub use world::World;

/// Runs the world of a seed to its end.
#[must_use]
pub fn run(seed: u64, options: &WorldOptions) -> Outcome {
    World::new(seed, options.clone()).run()
}

#[cfg(test)]
mod tests;
