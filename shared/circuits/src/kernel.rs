//! The circuit `kernel`: the next call of this tx was run.
//!
//! Over (`tx` or `kernel`) and `vm`: the calls left before must begin with the call the `vm` proof
//! speaks of, and its log is chained to the log of the tx so far. So the order of the calls and
//! what each did are fixed by the tx hash and one word.

use protocol::{Address, Kind};
use serde::{Deserialize, Serialize};

use crate::credit::Record;
use crate::poseidon::{Fr, h2};
use crate::tx::words::{Child, payee_word};
use crate::tx::{WitnessError, Words};

/// The witness of a `kernel` proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KernelInput {
    /// The `tx` or the kernel before this one.
    pub first: Child,
    /// The `vm` proof of the call.
    pub vm: Child,
    /// D_i: the calls left after this one ([`crate::tx::Tx::calls_left`]).
    pub left: Fr,
    /// Who is paid.
    pub payee: [u8; 20],
}

impl KernelInput {
    /// The words the proof will have.
    ///
    /// # Errors
    /// [`WitnessError::ChildWord`] when the `vm` proof is not of the next call,
    /// [`WitnessError::Record`] when a credit record does not open, and those of credit.
    pub fn check(&self) -> Result<Words, WitnessError> {
        let (first, vm) = (self.first.words, self.vm.words);
        if first.end != h2(vm.start, self.left) {
            return Err(WitnessError::ChildWord { kind: Kind::Kernel, word: "calls left" });
        }
        let payee = payee_word(Address(self.payee));
        let children = [Some(&self.first), Some(&self.vm)];
        let credit = Record::over_children(Kind::Kernel, payee, children)?;
        Ok(Words {
            start: first.start,
            end: self.left,
            txs: Fr::zero(),
            count: first.count + Fr::one(),
            credit: credit.value(),
            payee,
            aux: h2(first.aux, vm.end),
        })
    }
}
