//! A network of agents in one thread: the product's own machine with pretended sockets, disks,
//! provers and chain.
//!
//! A seed is a world: same seed and options, same events, same digest. The world checks itself at
//! every step (safety) and at its end (every revealed block settled). Nothing here waits, reads a
//! clock or draws randomness from anywhere but the seed.

mod behaviour;
mod checks;
mod engine;
pub mod feed;
mod machine;
mod options;
mod record;
mod report;
mod scenario;
mod world;

pub use behaviour::Behaviour;
pub use checks::invariant::{Invariant, When};
pub use options::{
    Kill, L1Options, MeshOptions, Moment, Mutation, ProverOptions, Sequencer, WorldOptions,
};
pub use record::{Recording, record};
pub use report::{
    chart::{chart, quantile},
    income::{Income, dishonest, income},
    outcome::Outcome,
};
pub use scenario::{LIBRARY, Scenario, ScenarioError};
pub use world::World;

/// Runs the world of a seed to its end and tells its story.
#[must_use]
pub fn story(seed: u64, options: &WorldOptions) -> (Outcome, Vec<String>) {
    World::new(seed, options.clone()).run_and_tell()
}

/// Runs the world of a seed to its end.
#[must_use]
pub fn run(seed: u64, options: &WorldOptions) -> Outcome {
    World::new(seed, options.clone()).run()
}

#[cfg(test)]
mod tests;
