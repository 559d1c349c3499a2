//! A transaction: what a client proves, and the circuit `tx` that says it.
//!
//! `tx` proves that whoever made it knows the secret of the account, and binds account, nonce, fee,
//! expiry and the ordered calls in one hash. There is no signature scheme: the proof is the
//! signature. It has no child and no payee.

use serde::{Deserialize, Serialize};

use crate::poseidon::{Fr, Tag, h2, tagged};

pub mod words;

pub use words::{Child, WitnessError, Words};

/// Most calls of one tx: `base` replays three logs of four entries (2.0M of 2.28M free cells).
pub const MAX_CALLS: usize = 3;
/// Arguments of a call; a call with fewer has zeros.
pub const ARGS: usize = 4;

/// One public call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Call {
    /// The account that calls; always the tx's.
    pub caller: Fr,
    /// Hash of the program that is called.
    pub program: Fr,
    /// Arguments, missing ones 0.
    pub args: [Fr; ARGS],
}

impl Call {
    /// P(3; caller, program, args).
    #[must_use]
    pub fn hash(&self) -> Fr {
        let [a, b, c, d] = self.args;
        tagged(Tag::Call, &[self.caller, self.program, a, b, c, d])
    }
}

/// A transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tx {
    /// Who pays and calls: [`account`].
    pub account: Fr,
    /// The account's nonce before this tx.
    pub nonce: u64,
    /// Taken from the account's balance and burnt.
    pub fee: u64,
    /// Last slot in which the tx may be revealed; L1 checks it, no statement holds it.
    pub expiry: u64,
    /// At most [`MAX_CALLS`].
    pub calls: Vec<Call>,
}

impl Tx {
    /// P(2; account, nonce, fee, expiry, n, D₀).
    #[must_use]
    pub fn hash(&self) -> Fr {
        let numbers = [self.nonce, self.fee, self.expiry, self.calls.len() as u64].map(Fr::from);
        let [nonce, fee, expiry, n] = numbers;
        tagged(Tag::Tx, &[self.account, nonce, fee, expiry, n, self.calls_left(0)])
    }

    /// D_i: the calls that are left when `done` are done. D_n = 0, D_i = H2(call_{i+1}, D_{i+1}).
    #[must_use]
    pub fn calls_left(&self, done: usize) -> Fr {
        let left = self.calls.iter().skip(done).rev();
        left.fold(Fr::zero(), |rest, call| h2(call.hash(), rest))
    }

    /// Whether the tx keeps the limits its circuit has.
    ///
    /// # Errors
    /// [`WitnessError::TooManyCalls`], [`WitnessError::Caller`].
    pub fn check(&self) -> Result<(), WitnessError> {
        if self.calls.len() > MAX_CALLS {
            return Err(WitnessError::TooManyCalls { calls: self.calls.len(), limit: MAX_CALLS });
        }
        match self.calls.iter().position(|call| call.caller != self.account) {
            Some(call) => Err(WitnessError::Caller { call }),
            None => Ok(()),
        }
    }

    /// What a `tx` proof of this tx says.
    #[must_use]
    pub fn words(&self) -> Words {
        Words { start: self.hash(), end: self.calls_left(0), ..Words::default() }
    }
}

/// P(1; secret, domain): an account of one chain is nobody on another.
#[must_use]
pub fn account(secret: Fr, domain: Fr) -> Fr {
    tagged(Tag::Account, &[secret, domain])
}

/// The witness of a `tx` proof. Never leaves the client: it holds the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxInput {
    /// The account's secret.
    pub secret: Fr,
    /// The chain's domain.
    pub domain: Fr,
    /// What is signed.
    pub tx: Tx,
}

impl TxInput {
    /// The words the proof will have.
    ///
    /// # Errors
    /// [`WitnessError::Secret`] and those of [`Tx::check`].
    pub fn check(&self) -> Result<Words, WitnessError> {
        self.tx.check()?;
        if account(self.secret, self.domain) != self.tx.account {
            return Err(WitnessError::Secret);
        }
        Ok(self.tx.words())
    }
}
