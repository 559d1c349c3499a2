//! What every application circuit computes with: hashing, ranges, canonical splits, payees.

use crate::gates::Gates;
use halo2_base::gates::{GateChip, GateInstructions, RangeInstructions};
use halo2_base::utils::{biguint_to_fe, fe_to_biguint};
use halo2_base::{AssignedValue, Context, QuantumCell};
use num_bigint::BigUint;

use super::{Fr, Tag};

/// Bits of the field's order.
const FIELD_BITS: usize = 254;
/// Bits of a payee.
const PAYEE_BITS: usize = 160;

/// The chips an application circuit is built with.
#[derive(Clone, Copy)]
pub struct Chips<'a> {
    /// Plain arithmetic, range checks, and the hash's gate.
    pub gates: &'a Gates,
}

impl<'a> Chips<'a> {
    /// Chips on the circuit's gates.
    #[must_use]
    pub const fn new(gates: &'a Gates) -> Self {
        Self { gates }
    }

    /// The gates alone.
    #[must_use]
    pub fn gate(&self) -> &'a GateChip<Fr> {
        self.gates.gate()
    }

    /// H2(a, b).
    pub fn h2(
        &self,
        ctx: &mut Context<Fr>,
        a: impl Into<QuantumCell<Fr>>,
        b: impl Into<QuantumCell<Fr>>,
    ) -> AssignedValue<Fr> {
        self.gates.h2(ctx, a, b)
    }

    /// P(tag; words); the tag is a constant of the circuit.
    ///
    /// # Panics
    /// If `words` is empty: a hash of nothing has no use and no cell.
    pub fn tagged(
        &self,
        ctx: &mut Context<Fr>,
        tag: Tag,
        words: &[AssignedValue<Fr>],
    ) -> AssignedValue<Fr> {
        assert!(!words.is_empty(), "a hash has at least one input");
        let start = self.h2(ctx, QuantumCell::Constant(tag.word()), words[0]);
        words[1..].iter().fold(start, |state, word| self.h2(ctx, state, *word))
    }

    /// Loads a witness below 2^bits.
    pub fn load(&self, ctx: &mut Context<Fr>, value: Fr, bits: usize) -> AssignedValue<Fr> {
        let cell = ctx.load_witness(value);
        self.gates.range_check(ctx, cell, bits);
        cell
    }

    /// Loads a witness bit.
    pub fn bit(&self, ctx: &mut Context<Fr>, value: bool) -> AssignedValue<Fr> {
        let cell = ctx.load_witness(Fr::from(u64::from(value)));
        self.gate().assert_bit(ctx, cell);
        cell
    }

    /// Loads a payee: 160 bits.
    pub fn payee(&self, ctx: &mut Context<Fr>, payee: [u8; 20]) -> AssignedValue<Fr> {
        let payee = crate::tx::words::payee_word(protocol::Address(payee));
        self.load(ctx, payee, PAYEE_BITS)
    }

    /// Requires `condition · x = 0`.
    pub fn zero_if(
        &self,
        ctx: &mut Context<Fr>,
        condition: AssignedValue<Fr>,
        x: impl Into<QuantumCell<Fr>>,
    ) {
        let product = self.gate().mul(ctx, condition, x);
        self.zero(ctx, &product);
    }

    /// Requires `x = 0`.
    pub fn zero(&self, ctx: &mut Context<Fr>, x: &AssignedValue<Fr>) {
        self.gate().assert_is_const(ctx, x, &Fr::zero());
    }

    /// The low `bits` of x and the rest, x = low + 2^bits · high as integers below the order: the
    /// one pair, where equality in the field alone would allow a second one for small x.
    pub fn split(
        &self,
        ctx: &mut Context<Fr>,
        x: AssignedValue<Fr>,
        bits: usize,
    ) -> [AssignedValue<Fr>; 2] {
        let parts = parts(fe_to_biguint(x.value()), bits);
        self.split_as(ctx, x, bits, parts)
    }

    /// [`Self::split`] with the parts the prover claims.
    fn split_as(
        &self,
        ctx: &mut Context<Fr>,
        x: AssignedValue<Fr>,
        bits: usize,
        [low, high]: [Fr; 2],
    ) -> [AssignedValue<Fr>; 2] {
        let [most_low, most_high] = parts(fe_to_biguint(&-Fr::one()), bits);
        let low = self.load(ctx, low, bits);
        let high = self.load(ctx, high, FIELD_BITS - bits);
        let gate = self.gate();
        let shift = QuantumCell::Constant(gate.pow_of_two()[bits]);
        let sum = gate.mul_add(ctx, high, shift, low);
        ctx.constrain_equal(&sum, &x);
        // high ≤ the order's, and when equal, low ≤ the order's.
        let room = gate.sub(ctx, QuantumCell::Constant(most_high), high);
        self.gates.range_check(ctx, room, FIELD_BITS - bits);
        let at_most = gate.is_zero(ctx, room);
        let room = gate.sub(ctx, QuantumCell::Constant(most_low), low);
        let room = gate.mul(ctx, at_most, room);
        self.gates.range_check(ctx, room, bits);
        [low, high]
    }
}

fn parts(x: BigUint, bits: usize) -> [Fr; 2] {
    let high: BigUint = &x >> bits;
    [biguint_to_fe(&(x - (&high << bits))), biguint_to_fe(&high)]
}

#[cfg(test)]
mod tests {
    use super::super::mock::satisfied;
    use super::*;

    #[test]
    fn a_split_gives_low_and_high_bits() {
        let two = super::super::from_u128(1 << 127).double();
        for (x, low, high) in [
            (Fr::from(5), Fr::from(5), Fr::zero()),
            (two * Fr::from(3) + Fr::from(9), Fr::from(9), Fr::from(3)),
            (two - Fr::one(), two - Fr::one(), Fr::zero()),
        ] {
            assert!(satisfied(12, |ctx, range| {
                let x = ctx.load_witness(x);
                let [l, h] = Chips::new(range).split(ctx, x, 128);
                assert_eq!((*l.value(), *h.value()), (low, high));
            }));
        }
        assert!(satisfied(12, |ctx, range| {
            let x = ctx.load_witness(-Fr::one());
            Chips::new(range).split(ctx, x, 28);
        }));
    }

    #[test]
    fn the_second_pair_of_a_small_number_is_refused() {
        let claim = |small: u64, bits, parts| {
            satisfied(12, |ctx, range| {
                let cell = ctx.load_witness(Fr::from(small));
                Chips::new(range).split_as(ctx, cell, bits, parts);
            })
        };
        let order = fe_to_biguint(&-Fr::one()) + 1u8;
        for (bits, small) in [(28, 0u64), (28, 5), (128, 0), (128, 1 << 40)] {
            assert!(claim(small, bits, parts(BigUint::from(small), bits)));
            let second = parts(&order + small, bits);
            assert!(!claim(small, bits, second), "{bits} bits of {small} + the order");
        }
    }
}
