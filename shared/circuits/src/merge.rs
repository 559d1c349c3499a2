//! The circuit `merge`: two neighbours joined.
//!
//! Over two of (`base`, `merge`), whose words mean the same: the left one ends where the right one
//! starts, tx lists are hashed together, counts and fees added. It serves every level and the odd
//! node, whose children have different heights.

use protocol::{Address, Kind};
use serde::{Deserialize, Serialize};

use crate::credit::Record;
use crate::poseidon::{Fr, h2, to_word};
use crate::tx::words::{Child, payee_word};
use crate::tx::{WitnessError, Words};

/// Bits of a tx count.
pub const COUNT_BITS: u32 = 32;
/// Bits of a sum of fees.
pub const FEE_BITS: u32 = 64;

/// The witness of a `merge` proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MergeInput {
    /// The earlier half.
    pub left: Child,
    /// The later half.
    pub right: Child,
    /// Who is paid.
    pub payee: [u8; 20],
}

impl MergeInput {
    /// The words the proof will have.
    ///
    /// # Errors
    /// [`WitnessError::ChildWord`] when the halves do not meet, [`WitnessError::Overflow`] for
    /// counts and fees, and those of credit.
    pub fn check(&self) -> Result<Words, WitnessError> {
        let (left, right) = (self.left.words, self.right.words);
        if left.end != right.start {
            return Err(WitnessError::ChildWord { kind: Kind::Merge, word: "root" });
        }
        let payee = payee_word(Address(self.payee));
        let children = [Some(&self.left), Some(&self.right)];
        let credit = Record::over_children(Kind::Merge, payee, children)?;
        Ok(Words {
            start: left.start,
            end: right.end,
            txs: h2(left.txs, right.txs),
            count: sum(left.count, right.count, ("the count of txs", COUNT_BITS))?,
            credit: credit.value(),
            payee,
            aux: sum(left.aux, right.aux, ("the sum of fees", FEE_BITS))?,
        })
    }
}

fn sum(a: Fr, b: Fr, (what, bits): (&'static str, u32)) -> Result<Fr, WitnessError> {
    let sum = a + b;
    let word = to_word(sum);
    let high = word.len() - bits as usize / 8;
    if word[..high].iter().all(|byte| *byte == 0) {
        Ok(sum)
    } else {
        Err(WitnessError::Overflow { kind: Kind::Merge, what, bits })
    }
}
