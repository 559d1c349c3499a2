//! The circuit `root`: what L1 sees of a block.
//!
//! Over one `merge` or `base`. Besides what every proof says it opens its own credit record, so
//! that L1 pays by units without knowing Poseidon, and names the circuit set it belongs to.

use halo2_base::{AssignedValue, Context};
use protocol::{Address, Kind};
use serde::{Deserialize, Serialize};

use crate::credit::{ChildCells, Record, circuit};
use crate::poseidon::{Chips, Fr};
use crate::tx::WitnessError;
use crate::tx::words::{Child, payee_word};

/// The witness of a `root` proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RootInput {
    /// The proof of the whole block.
    pub child: Child,
    /// The circuit set id: a constant of the circuit, not a choice of the prover.
    pub set: Fr,
    /// Who is paid.
    pub payee: [u8; 20],
}

/// The words of a `root` proof, in the order L1 reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RootWords {
    /// State root before the block.
    pub start: Fr,
    /// State root after it.
    pub end: Fr,
    /// The tx list.
    pub txs: Fr,
    /// Number of txs.
    pub count: Fr,
    /// Credit value of the whole tree.
    pub credit: Fr,
    /// Who made the root proof.
    pub payee: Fr,
    /// Units of the whole tree.
    pub units: Fr,
    /// Sum of fees.
    pub fees: Fr,
    /// Circuit set id.
    pub set: Fr,
}

impl RootWords {
    /// In the order of the public layout.
    #[must_use]
    pub fn to_array(self) -> [Fr; 9] {
        let Self { start, end, txs, count, credit, payee, units, fees, set } = self;
        [start, end, txs, count, credit, payee, units, fees, set]
    }
}

impl RootInput {
    /// A witness of the right shape, for key generation; the set is part of the key.
    #[must_use]
    pub fn placeholder(set: Fr) -> Self {
        Self { child: Child::placeholder(), set, payee: [0; 20] }
    }

    /// The words the proof will have.
    ///
    /// # Errors
    /// Those of credit.
    pub fn check(&self) -> Result<RootWords, WitnessError> {
        let child = self.child.words;
        let payee = payee_word(Address(self.payee));
        let credit = Record::over_children(Kind::Root, payee, [Some(&self.child), None])?;
        Ok(RootWords {
            start: child.start,
            end: child.end,
            txs: child.txs,
            count: child.count,
            credit: credit.value(),
            payee,
            units: Fr::from(credit.total),
            fees: child.aux,
            set: self.set,
        })
    }
}

/// The circuit `root`: its nine words behind the accumulator.
pub fn constrain(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    child: &ChildCells,
    input: &RootInput,
) -> [AssignedValue<Fr>; 9] {
    let payee = chips.payee(ctx, input.payee);
    let earner = (child, circuit::free(input.child.credit.as_ref()));
    let credit = circuit::constrain(ctx, chips, (Kind::Root, payee), [Some(earner), None]);
    let set = ctx.load_constant(input.set);
    let [start, end, txs, count] = [child.start(), child.end(), child.txs(), child.count()];
    [start, end, txs, count, credit.value, payee, credit.total, child.aux(), set]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::world::{World, fr, load_made, payee, values};
    use crate::poseidon::mock::{Built, build};

    fn prove(input: &RootInput) -> (Built, [Fr; 9]) {
        build(16, |ctx, range| {
            let child = load_made(ctx, &input.child);
            values(constrain(ctx, &Chips::new(range), &child, input))
        })
    }

    fn root(by: u8) -> RootInput {
        let mut world = World::new();
        let tx = world.tx(vec![world.call(&world.counter, [5, 0, 0, 0])]);
        RootInput { child: world.prove(&tx, &[1]).child, set: fr(77), payee: payee(by) }
    }

    #[test]
    fn root_says_what_the_native_check_says() {
        let expected = prove(&RootInput::placeholder(fr(77))).0.shape();
        for by in [1, 2] {
            let input = root(by);
            let (built, words) = prove(&input);
            assert!(built.satisfied());
            assert_eq!(built.shape(), expected);
            let native = input.check().unwrap();
            assert_eq!(words, native.to_array());
            assert_eq!(native.units, fr(10 + 173 + 175 + 209));
            assert_eq!((native.count, native.fees, native.set), (fr(1), fr(10), fr(77)));
        }
    }

    #[test]
    fn another_circuit_set_is_another_key() {
        let shape = |set: Fr| prove(&RootInput { set, ..root(1) }).0.shape();
        assert_ne!(shape(fr(77)), shape(fr(78)));
    }

    #[test]
    fn a_record_that_does_not_open_is_refused() {
        let mut input = root(2);
        input.child.words.credit += fr(1);
        assert_eq!(input.check().unwrap_err().code(), "WIT-008");
        assert!(!prove(&input).0.satisfied());
    }
}
