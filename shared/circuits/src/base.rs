//! The circuit `base`: all calls of a tx are done, and the tx is applied to the state.
//!
//! Over one `tx` or `kernel`: no call is left; the tx hash opens to account, nonce and fee; the
//! account's nonce rises by one and the fee is taken (burnt); then the logs are replayed in order,
//! where every old value must be what stands in the tree at that moment. Start root to end root.

use protocol::{Address, Kind};
use serde::{Deserialize, Serialize};

use crate::credit::Record;
use crate::poseidon::{Fr, Tag, h2, tagged};
use crate::state::{Opening, TxWitness, View};
use crate::tx::words::{Child, payee_word};
use crate::tx::{MAX_CALLS, Tx, WitnessError, Words};
use crate::vm::{Access, ENTRIES, log_hash};

pub mod circuit;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod world;

pub use circuit::constrain;

/// The witness of a `base` proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BaseInput {
    /// The `tx` (without calls) or its last kernel.
    pub child: Child,
    /// The tx, which opens its hash.
    pub tx: Tx,
    /// The log of each call in order.
    pub logs: Vec<Vec<Access>>,
    /// Root of the state before the tx.
    pub start: Fr,
    /// The paths under `start`.
    pub witness: TxWitness,
    /// Who is paid.
    pub payee: [u8; 20],
}

/// The log of a tx from the logs of its calls: 0, then H2(log so far, call log).
#[must_use]
pub fn chain_logs(logs: &[Vec<Access>]) -> Fr {
    logs.iter().fold(Fr::zero(), |chain, log| h2(chain, log_hash(log)))
}

/// P(8; tx hash): the tx list of one tx.
#[must_use]
pub fn txs_of(tx_hash: Fr) -> Fr {
    tagged(Tag::Txs, &[tx_hash])
}

impl BaseInput {
    /// A witness of the right shape, for key generation.
    #[must_use]
    pub fn placeholder() -> Self {
        let tx = Tx { account: Fr::zero(), nonce: 0, fee: 0, expiry: 0, calls: Vec::new() };
        let (child, witness) = (Child::placeholder(), TxWitness::default());
        Self { child, tx, logs: Vec::new(), start: Fr::zero(), witness, payee: [0; 20] }
    }

    /// The words the proof will have.
    ///
    /// # Errors
    /// [`WitnessError::ChildWord`] when calls are left, [`WitnessError::Opening`] when tx or logs
    /// are not the child's, and those of [`View::apply`] and of credit.
    pub fn check(&self) -> Result<Words, WitnessError> {
        let child = self.child.words;
        self.tx.check()?;
        if child.end != Fr::zero() {
            return Err(WitnessError::ChildWord { kind: Kind::Base, word: "calls left" });
        }
        if child.count != Fr::from(self.tx.calls.len() as u64) {
            return Err(WitnessError::ChildWord { kind: Kind::Base, word: "calls done" });
        }
        if child.start != self.tx.hash() {
            return Err(WitnessError::Opening { what: "tx" });
        }
        let limits = self.logs.len() <= MAX_CALLS && self.logs.iter().all(|l| l.len() <= ENTRIES);
        if !limits || self.logs.len() != self.tx.calls.len() || child.aux != chain_logs(&self.logs)
        {
            return Err(WitnessError::Opening { what: "log" });
        }
        let (end, _) = self.replay()?;
        let payee = payee_word(Address(self.payee));
        let credit = Record::over_children(Kind::Base, payee, [Some(&self.child), None])?;
        Ok(Words {
            start: self.start,
            end,
            txs: txs_of(child.start),
            count: Fr::one(),
            credit: credit.value(),
            payee,
            aux: Fr::from(self.tx.fee),
        })
    }

    /// The end root, and the openings before each write.
    pub(crate) fn replay(&self) -> Result<(Fr, Vec<Opening>), WitnessError> {
        let mut view = View::new(self.start, &self.witness)?;
        let openings = view.apply(&self.tx, &self.logs)?;
        Ok((view.root(), openings))
    }
}
