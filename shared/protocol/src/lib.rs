//! The protocol as one pure machine: events in, ordered actions out.
//!
//! Read in this order: [`io`] (everything that can happen and everything that can be done),
//! [`domain`] (the nouns), [`params`] (every tunable number), [`tree`] (what a block needs),
//! [`assign`] (who may make it), [`coordinator`] (the machine) with its memory: [`chain`] (L1),
//! [`round`] (one slot), [`claims`] (our promises), [`ledger`] (accepted proofs). Beside it: [`slot`]
//! and [`epoch`] (time, admission, pay, faults). [`view`] is what can be seen.
//! No clock, no randomness, no IO, no floats, no dependencies: the agent, the simulator and
//! a replay of a journal run the same code and get the same answers.

pub mod assign;
pub mod chain;
pub mod coordinator;
pub mod domain;
pub mod epoch;
pub mod io;
pub mod params;
pub mod round;
pub mod slot;
pub mod tree;
pub mod view;

pub use coordinator::{Coordinator, claims};
pub use domain::{
    Address, BlobId, BlockId, Class, Credit, Hash, Kind, LaneId, Millis, Node, ProverId,
    SequencerId, Slot, StatementId, TaskId, Word,
};
pub use io::{
    Action, Audience, BlockPlan, Ended, Input, L1Event, Message, PlannedTask, Previous,
    ProverEvent, Record,
};
pub use params::Params;
pub use round::ledger;
pub use view::View;
