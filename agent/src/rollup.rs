//! The rollup as an agent sees it: blocks, what they do, and those who make them.
//!
//! | file | what it does |
//! |---|---|
//! | [`data`] | codec of a revealed block and of a tx |
//! | [`execute`] | runs txs: the same functions for makers, replayers and witness holders |
//! | [`state`] | the state tree of an agent that derives witnesses; witness blobs |
//! | [`plan`] | checks a revealed block and names all its tasks |
//! | [`work`] | from a task and its children to what the prover is given |
//! | [`genesis`] | the devnet's clients and first state |
//! | [`mempool`] | txs that wait for a block |
//! | [`admission`] | how large a block may be (R3.3) |
//! | [`draft`] | fills and seals a block |
//! | [`sequencer`] | one sequencer, slot by slot |
//! | [`traffic`] | the devnet's clients |
//!
//! Nothing here talks to L1, the mesh or a disk: whoever holds those passes in what they say.

pub(crate) mod admission;
pub(crate) mod data;
pub(crate) mod draft;
pub(crate) mod execute;
pub(crate) mod genesis;
pub(crate) mod mempool;
pub(crate) mod plan;
pub(crate) mod sequencer;
pub(crate) mod sets;
pub(crate) mod state;
pub(crate) mod traffic;
pub(crate) mod work;
