//! Names of tasks and statements, and the deal: who may prove what, in which order (R3.2, R4).
//!
//! A deal is a pure function of the slot's randomness, the block's shape and the epoch's lanes, so
//! nobody assigns anything to anybody: every agent computes the same ranks.

pub mod deal;
pub mod keccak;
pub mod memo;
pub mod shuffle;

pub use deal::Deal;

use crate::domain::{Address, Hash, StatementId, TaskId, Word};
use keccak::keccak256;

/// The public words that make a task's id, besides its kind (slice section 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskWords {
    /// Circuit set: keys and setup.
    pub set: Word,
    /// Start root, or the tx or call hash.
    pub start: Word,
    /// End root, or the calls left, or the call log.
    pub end: Word,
    /// Commitment to the txs.
    pub txs: Word,
    /// Number of txs, or of calls done.
    pub count: Word,
    /// Fees, or the log so far.
    pub aux: Word,
}

/// Names what is to be proved: no payee, no credit, no slot, no height, so that a proof outlives
/// restarts and reorgs (R3.2). `kind` is the circuit's number.
#[must_use]
pub fn task_id(kind: crate::domain::Kind, words: &TaskWords) -> TaskId {
    let kind = [kind as u8];
    TaskId(
        keccak256(&[
            b"coppice.task.v1",
            &words.set,
            &kind,
            &words.start,
            &words.end,
            &words.txs,
            &words.count,
            &words.aux,
        ])
        .0,
    )
}

/// Names what one proof says: its task, whom it pays, and its credit value (R3.2).
#[must_use]
pub fn statement_id(task: TaskId, payee: Address, credit: &Word) -> StatementId {
    StatementId(keccak256(&[b"coppice.statement.v1", &task.0, &payee.0, credit]).0)
}

/// Seed of a slot's deal: nobody can order txs against it, because the last part is L1's
/// randomness of a block after the commitment (R2.2).
#[must_use]
pub fn deal_seed(slot_seed: Hash, commitment: Hash, randao: Hash) -> Hash {
    keccak256(&[&slot_seed.0, &commitment.0, &randao.0])
}

#[cfg(test)]
mod tests;
