//! The circuit `merge`: two neighbours joined.
//!
//! Over two of (`base`, `merge`), whose words mean the same: the left one ends where the right one
//! starts, tx lists are hashed together, counts and fees added. It serves every level and the odd
//! node, whose children have different heights.

use halo2_base::gates::{GateInstructions, RangeInstructions};
use halo2_base::{AssignedValue, Context};
use protocol::{Address, Kind};
use serde::{Deserialize, Serialize};

use crate::credit::{ChildCells, Record, circuit};
use crate::poseidon::{Chips, Fr, h2, to_word};
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
    /// A witness of the right shape, for key generation.
    #[must_use]
    pub fn placeholder() -> Self {
        Self { left: Child::placeholder(), right: Child::placeholder(), payee: [0; 20] }
    }

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

/// The circuit `merge`: words 1 to 7.
pub fn constrain(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    [left, right]: [&ChildCells; 2],
    input: &MergeInput,
) -> [AssignedValue<Fr>; 7] {
    ctx.constrain_equal(&left.end(), &right.start());
    let payee = chips.payee(ctx, input.payee);
    let children = [(left, input.left.credit.as_ref()), (right, input.right.credit.as_ref())];
    let credit = circuit::constrain(ctx, chips, (Kind::Merge, payee), children.map(Some));
    let txs = chips.h2(ctx, left.txs(), right.txs());
    let count = chips.gate().add(ctx, left.count(), right.count());
    chips.range.range_check(ctx, count, COUNT_BITS as usize);
    let fees = chips.gate().add(ctx, left.aux(), right.aux());
    chips.range.range_check(ctx, fees, FEE_BITS as usize);
    [left.start(), right.end(), txs, count, credit.value, payee, fees]
}
