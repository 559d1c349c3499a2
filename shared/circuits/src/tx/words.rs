//! What a proof says, natively: seven words, and why a witness is refused.
//!
//! Word 0 (the self digest) belongs to the recursion; the words here are 1 to 7 of its public
//! layout. What each means depends on the kind: see [`Words`].

use protocol::domain::{Address, Credit, Kind};
use serde::{Deserialize, Serialize};

use crate::credit::Record;
use crate::poseidon::{Fr, to_word};

/// The application's public words 1 to 7.
///
/// | kind | start | end | txs | count | credit | payee | aux |
/// |---|---|---|---|---|---|---|---|
/// | tx | tx hash | calls left | 0 | 0 | 0 | 0 | 0 |
/// | vm | call hash | call log | 0 | 0 | yes | yes | 0 |
/// | kernel | tx hash | calls left | 0 | calls done | yes | yes | log of the tx so far |
/// | base | root before | root after | P(8; tx hash) | 1 | yes | yes | fee |
/// | merge | left's start | right's end | H2(left, right) | sum | yes | yes | sum of fees |
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Words {
    /// Where the statement begins.
    pub start: Fr,
    /// Where it ends.
    pub end: Fr,
    /// The list of txs.
    pub txs: Fr,
    /// Calls done (kernel) or txs (base, merge).
    pub count: Fr,
    /// Credit value (R8).
    pub credit: Fr,
    /// The maker's payee, below 2^160.
    pub payee: Fr,
    /// Log of the tx so far (kernel) or fees (base, merge).
    pub aux: Fr,
}

impl Words {
    /// In the order of the public layout.
    #[must_use]
    pub fn to_array(self) -> [Fr; 7] {
        [self.start, self.end, self.txs, self.count, self.credit, self.payee, self.aux]
    }

    /// From the order of the public layout.
    #[must_use]
    pub fn from_array(words: [Fr; 7]) -> Self {
        let [start, end, txs, count, credit, payee, aux] = words;
        Self { start, end, txs, count, credit, payee, aux }
    }
}

/// A child proof as its parent's witness knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Child {
    /// What the child's proof says.
    pub words: Words,
    /// Its credit record; `None` for a `tx`, which no prover made.
    pub credit: Option<Record>,
}

impl Child {
    /// A child of the right shape, for key generation.
    pub(crate) fn placeholder() -> Self {
        Self::tx(Words::default())
    }

    /// A `tx` proof, which has no record.
    #[must_use]
    pub const fn tx(words: Words) -> Self {
        Self { words, credit: None }
    }

    /// A prover's proof with its credit record.
    ///
    /// # Errors
    /// [`WitnessError::NotAField`] when the record names words that are not field elements.
    pub fn made(words: Words, credit: &Credit) -> Result<Self, WitnessError> {
        Ok(Self { words, credit: Some(Record::from_credit(credit)?) })
    }
}

/// Why no proof can be made from a witness: it would say something false.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WitnessError {
    /// More calls than a tx may have.
    #[error("a tx has {calls} calls, at most {limit} are allowed; split it into several txs")]
    TooManyCalls {
        /// Calls of the tx.
        calls: usize,
        /// The limit.
        limit: usize,
    },
    /// A call in another account's name.
    #[error("call {call} is made in the name of an account that is not the tx's")]
    Caller {
        /// Index of the call within its tx.
        call: usize,
    },
    /// The secret does not belong to the account.
    #[error("the secret belongs to another account than the tx names")]
    Secret,
    /// The program's hash is not the one the call names.
    #[error("the program hashes to {found}, the call names {named}", found = hex::encode(found), named = hex::encode(named))]
    Program {
        /// Hash of the program given.
        found: [u8; 32],
        /// Hash the call names.
        named: [u8; 32],
    },
    /// A storage slot is read that the witness does not give.
    #[error("the call reads slot {slot}, which the witness does not give", slot = hex::encode(slot))]
    SlotMissing {
        /// The slot.
        slot: [u8; 32],
    },
    /// A word of a child is not what this circuit needs.
    #[error("{kind}: the child's {word} is not what this proof needs")]
    ChildWord {
        /// The circuit that refuses.
        kind: Kind,
        /// Name of the word.
        word: &'static str,
    },
    /// The witness' tx or logs do not match the child.
    #[error("base: the {what} given does not open the child's word")]
    Opening {
        /// What was opened.
        what: &'static str,
    },
    /// A credit record that its child's credit word does not open to, or none where one must be.
    #[error("{kind}: the child's credit record does not open its credit word")]
    Record {
        /// The circuit that refuses.
        kind: Kind,
    },
    /// A word that is not below the field's order.
    #[error("a word is not below the order of the field")]
    NotAField,
    /// Units, counts or fees that do not fit their width.
    #[error("{kind}: {what} leaves its {bits} bits")]
    Overflow {
        /// The circuit that refuses.
        kind: Kind,
        /// What was summed.
        what: &'static str,
        /// Bits it must fit.
        bits: u32,
    },
    /// The nonce of the tx is not the account's.
    #[error("the tx has nonce {tx}, the account is at {account}")]
    Nonce {
        /// Nonce of the tx.
        tx: u64,
        /// Next nonce of the account.
        account: u64,
    },
    /// The account cannot pay the fee.
    #[error("the fee is {fee}, the account has {balance}")]
    Balance {
        /// Fee of the tx.
        fee: u64,
        /// Balance of the account.
        balance: u64,
    },
    /// The value read is not what stands in the state.
    #[error("the log claims a value that does not stand at key {key}", key = hex::encode(key))]
    Stale {
        /// The key.
        key: [u8; 32],
    },
    /// The witness has no path for a key.
    #[error("the witness has no path for key {key}", key = hex::encode(key))]
    PathMissing {
        /// The key.
        key: [u8; 32],
    },
    /// A path that does not lead to the root.
    #[error("the path of key {key} does not lead to the start root", key = hex::encode(key))]
    Path {
        /// The key.
        key: [u8; 32],
    },
    /// The place of a key in the tree is taken.
    #[error("position {position} of the state is held by another key than {key}", key = hex::encode(key))]
    PositionTaken {
        /// Position in the tree.
        position: u32,
        /// The key that wanted it.
        key: [u8; 32],
    },
}

impl WitnessError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyCalls { .. } => "WIT-001",
            Self::Caller { .. } => "WIT-002",
            Self::Secret => "WIT-003",
            Self::Program { .. } => "WIT-004",
            Self::SlotMissing { .. } => "WIT-005",
            Self::ChildWord { .. } => "WIT-006",
            Self::Opening { .. } => "WIT-007",
            Self::Record { .. } => "WIT-008",
            Self::Overflow { .. } => "WIT-009",
            Self::Nonce { .. } => "WIT-010",
            Self::Balance { .. } => "WIT-011",
            Self::Stale { .. } => "WIT-012",
            Self::PathMissing { .. } => "WIT-013",
            Self::Path { .. } => "WIT-014",
            Self::PositionTaken { .. } => "WIT-015",
            Self::NotAField => "WIT-016",
        }
    }

    pub(crate) fn stale(key: Fr) -> Self {
        Self::Stale { key: to_word(key) }
    }
}

/// The field element of an address: its 160 bits.
#[must_use]
pub fn payee_word(payee: Address) -> Fr {
    let mut repr = [0; 32];
    payee.0.iter().rev().zip(&mut repr).for_each(|(byte, place)| *place = *byte);
    // 160 bits are below the order, so this is the value itself.
    Fr::from_bytes(&repr).unwrap_or(Fr::zero())
}
