//! The protocol as one pure machine: events in, ordered actions out.
//!
//! Read in this order: [`io`] (everything that can happen and everything that can be done),
//! [`domain`] (the nouns), [`params`] (every tunable number).
//! No clock, no randomness, no IO, no floats, no dependencies: the agent, the simulator and
//! a replay of a journal run the same code and get the same answers.

pub mod assign;
pub mod domain;
pub mod io;
pub mod params;
pub mod tree;

pub use domain::{
    Address, BlobId, BlockId, Class, Credit, Hash, Kind, LaneId, Millis, Node, ProverId,
    SequencerId, Slot, StatementId, TaskId, Word,
};
pub use io::{Action, Ended, Input, L1Event, Message, PlannedTask, Previous, ProverEvent, Record};
pub use params::Params;
