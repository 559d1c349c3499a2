//! The circuit `merge`: two neighbours joined.
//!
//! Over two of (`base`, `merge`), whose words mean the same: the left one ends where the right one
//! starts, tx lists are hashed together, counts and fees added. It serves every level and the odd
//! node, whose children have different heights.

use halo2_base::gates::GateInstructions;
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
    let children = [
        (left, circuit::free(input.left.credit.as_ref())),
        (right, circuit::free(input.right.credit.as_ref())),
    ];
    let credit = circuit::constrain(ctx, chips, (Kind::Merge, payee), children.map(Some));
    let txs = chips.h2(ctx, left.txs(), right.txs());
    let count = chips.gate().add(ctx, left.count(), right.count());
    chips.gates.range_check(ctx, count, COUNT_BITS as usize);
    let fees = chips.gate().add(ctx, left.aux(), right.aux());
    chips.gates.range_check(ctx, fees, FEE_BITS as usize);
    [left.start(), right.end(), txs, count, credit.value, payee, fees]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::world::{World, fr, load_made, payee, words};
    use crate::poseidon::mock::{Built, build};

    fn prove(input: &MergeInput) -> (Built, Words) {
        build(16, |ctx, range| {
            let cells = [load_made(ctx, &input.left), load_made(ctx, &input.right)];
            words(constrain(ctx, &Chips::new(range), [&cells[0], &cells[1]], input))
        })
    }

    fn refused(input: &MergeInput, code: &str) {
        assert_eq!(input.check().unwrap_err().code(), code);
        assert!(!prove(input).0.satisfied());
    }

    /// Two bases by 1 and `right`, merged by 1.
    fn merge(right: u8) -> MergeInput {
        let mut world = World::new();
        let mut base = |by| {
            let tx = world.tx(vec![]);
            world.prove(&tx, &[by]).child
        };
        MergeInput { left: base(1), right: base(right), payee: payee(1) }
    }

    #[test]
    fn a_merge_says_what_the_native_check_says_at_every_level() {
        let expected = prove(&MergeInput::placeholder()).0.shape();
        for right in [1, 2] {
            let input = merge(right);
            let (built, words) = prove(&input);
            assert!(built.satisfied());
            assert_eq!(built.shape(), expected);
            assert_eq!(words, input.check().unwrap());
            assert_eq!((words.count, words.aux), (fr(2), fr(20)));
        }
    }

    #[test]
    fn the_odd_node_merges_a_merge_and_a_base() {
        let mut world = World::new();
        let mut base = || {
            let tx = world.tx(vec![]);
            world.prove(&tx, &[1]).child
        };
        let (left, right, odd) = (base(), base(), base());
        let below = MergeInput { left, right, payee: payee(1) };
        let children = [Some(&below.left), Some(&below.right)];
        let own = Record::over_children(Kind::Merge, payee_word(Address(payee(1))), children);
        let left = Child { words: below.check().unwrap(), credit: own.ok() };
        let input = MergeInput { left, right: odd, payee: payee(1) };
        let (built, words) = prove(&input);
        assert!(built.satisfied());
        assert_eq!(words, input.check().unwrap());
        assert_eq!((words.count, words.aux), (fr(3), fr(30)));
        let units = 3 * 175 + 2 * 173;
        let payee = payee_word(Address(payee(1)));
        let (left, right) = (fr(0), fr(0));
        let uniform = Record { kind: 6, own: units, total: units, payee, left, right };
        assert_eq!(words.credit, uniform.value(), "one payee's work is one entry");
    }

    #[test]
    fn halves_that_do_not_meet_are_refused() {
        let mut input = merge(2);
        input.right.words.start += fr(1);
        refused(&input, "WIT-006");
        let input = merge(2);
        let swapped = MergeInput { left: input.right, right: input.left, ..input };
        refused(&swapped, "WIT-006");
    }

    #[test]
    fn counts_and_fees_stay_in_their_widths() {
        let with = |count: Fr, fee: Fr| {
            let mut input = merge(2);
            input.left.words.count = count;
            input.left.words.aux = fee;
            input
        };
        assert!(prove(&with(fr(u32::MAX.into()) - fr(1), fr(0))).0.satisfied());
        refused(&with(fr(u32::MAX.into()), fr(0)), "WIT-009");
        refused(&with(-fr(2), fr(0)), "WIT-009");
        assert!(prove(&with(fr(1), fr(u64::MAX - 10))).0.satisfied());
        refused(&with(fr(1), fr(u64::MAX - 9)), "WIT-009");
        refused(&with(fr(1), -fr(11)), "WIT-009");
    }
}
