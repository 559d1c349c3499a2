//! The circuit `kernel`: the next call of this tx was run.
//!
//! Over (`tx` or `kernel`) and `vm`: the calls left before must begin with the call the `vm` proof
//! speaks of, and its log is chained to the log of the tx so far. So the order of the calls and
//! what each did are fixed by the tx hash and one word.

use halo2_base::gates::GateInstructions;
use halo2_base::{AssignedValue, Context, QuantumCell};
use protocol::{Address, Kind};
use serde::{Deserialize, Serialize};

use crate::credit::{ChildCells, Record, circuit};
use crate::poseidon::{Chips, Fr, h2};
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
    /// A witness of the right shape, for key generation.
    #[must_use]
    pub fn placeholder() -> Self {
        let (first, vm) = (Child::placeholder(), Child::placeholder());
        Self { first, vm, left: Fr::zero(), payee: [0; 20] }
    }

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

/// The circuit `kernel`: words 1 to 7. `first` is made by a prover if it is a kernel.
pub fn constrain(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    [first, vm]: [&ChildCells; 2],
    input: &KernelInput,
) -> [AssignedValue<Fr>; 7] {
    let left = ctx.load_witness(input.left);
    let before = chips.h2(ctx, vm.start(), left);
    ctx.constrain_equal(&before, &first.end());
    let payee = chips.payee(ctx, input.payee);
    let children = [
        (first, circuit::free(input.first.credit.as_ref())),
        (vm, circuit::free(input.vm.credit.as_ref())),
    ];
    let credit = circuit::constrain(ctx, chips, (Kind::Kernel, payee), children.map(Some));
    let zero = ctx.load_zero();
    let count = chips.gate().add(ctx, first.count(), QuantumCell::Constant(Fr::one()));
    let log = chips.h2(ctx, first.aux(), vm.end());
    [first.start(), left, zero, count, credit.value, payee, log]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::world::{World, fr, load, load_made, words};
    use crate::poseidon::mock::{Built, build};

    fn prove(input: &KernelInput) -> (Built, Words) {
        build(16, |ctx, range| {
            let cells = [load(ctx, range, &input.first), load_made(ctx, &input.vm)];
            words(constrain(ctx, &Chips::new(range), [&cells[0], &cells[1]], input))
        })
    }

    fn refused(input: &KernelInput, code: &str) {
        assert_eq!(input.check().unwrap_err().code(), code);
        assert!(!prove(input).0.satisfied());
    }

    fn kernels(payees: &[u8]) -> Vec<KernelInput> {
        let mut world = World::new();
        let tx = world.tx(vec![
            world.call(&world.counter, [5, 0, 0, 0]),
            world.call(&world.transfer, [9, 100, 0, 0]),
            world.call(&world.counter, [6, 0, 0, 0]),
        ]);
        world.prove(&tx, payees).kernels
    }

    #[test]
    fn every_kernel_of_a_tx_says_what_the_native_check_says() {
        let expected = prove(&KernelInput::placeholder()).0.shape();
        for payees in [&[1][..], &[1, 2, 3]] {
            for (done, input) in kernels(payees).iter().enumerate() {
                let (built, words) = prove(input);
                assert!(built.satisfied());
                assert_eq!(built.shape(), expected);
                assert_eq!(words, input.check().unwrap());
                assert_eq!(words.count, fr(done as u64 + 1));
            }
        }
        let last = &kernels(&[1])[2];
        assert_eq!(last.check().unwrap().end, Fr::zero());
    }

    #[test]
    fn calls_out_of_order_are_refused() {
        let kernels = kernels(&[1]);
        let swapped = KernelInput { vm: kernels[1].vm.clone(), ..kernels[0].clone() };
        refused(&swapped, "WIT-006");
        let skipped = KernelInput { left: kernels[1].left, ..kernels[0].clone() };
        refused(&skipped, "WIT-006");
        let again = KernelInput { first: kernels[1].first.clone(), ..kernels[0].clone() };
        refused(&again, "WIT-006");
    }

    #[test]
    fn a_call_of_another_program_is_refused() {
        let mut input = kernels(&[1]).swap_remove(0);
        input.vm.words.start += fr(1);
        refused(&input, "WIT-006");
    }

    #[test]
    fn a_tx_with_a_record_and_a_kernel_without_are_refused() {
        let kernels = kernels(&[1, 2]);
        let mut input = kernels[0].clone();
        input.first.credit = kernels[1].first.credit;
        refused(&input, "WIT-008");
        let mut input = kernels[1].clone();
        input.first.credit = None;
        refused(&input, "WIT-008");
        let mut input = kernels[1].clone();
        input.vm.credit = None;
        refused(&input, "WIT-008");
    }
}
