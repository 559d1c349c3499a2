//! All that is hashed in this half of a circuit, one purpose per tag.
//!
//! A child's own Fiat–Shamir transcript is snark-verifier's Poseidon sponge. What follows it is
//! hashed with the application's one-permutation compression and a tag of its own as first input:
//! the *seed* binds every child completely, *challenges* and the *offset point* follow from it.

use super::points::{Cell, Point, SymbolicEcc};
use crate::poseidon::{PoseidonChip, h2};
use halo2_base::{
    Context,
    QuantumCell::Constant,
    gates::{GateInstructions, RangeInstructions},
    halo2_proofs::halo2curves::{
        bn256::{Fq, Fr, G1Affine},
        ff::Field,
    },
    utils::{biguint_to_fe, fe_to_biguint, modulus},
};
use num_bigint::BigUint;

/// What a hash is for. The application's tags end below 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Of the children's last squeezes: binds all of them.
    Seed = 1001,
    /// Accumulation challenge number j.
    Challenge = 1002,
    /// x of the offset point of the pairing's left side.
    LeftOffset = 1003,
    /// x of the offset point of the pairing's right side.
    RightOffset = 1004,
}

impl Purpose {
    fn word(self) -> Fr {
        Fr::from(self as u64)
    }
}

/// Low bits of a hash that make a challenge.
const LOW_BITS: usize = 127;
/// Bits of the offset's counter: each x is on the curve with chance 1/2, so all 256 fail with
/// chance 2^-256; more would only let a prover draw more offsets.
const COUNTER_BITS: usize = 8;

/// The tagged hash of `words`.
pub(super) fn hash(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    purpose: Purpose,
    words: &[Cell],
) -> Cell {
    let gate = ecc.coordinates().gate();
    let tag = ctx.load_constant(purpose.word());
    words.iter().fold(tag, |state, word| PoseidonChip.h2(ctx, gate, state, *word))
}

fn hash_native(purpose: Purpose, words: &[Fr]) -> Fr {
    words.iter().fold(purpose.word(), |state, word| h2(state, *word))
}

/// The accumulation challenge number `index`: 2·(low 127 bits of the hash) + 1, so odd and below
/// 2^128. The split into low and high bits is unique, or a prover could choose between two.
pub(super) fn challenge(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    seed: Cell,
    index: usize,
) -> Cell {
    let index = ctx.load_constant(Fr::from(index as u64));
    let hash = hash(ecc, ctx, Purpose::Challenge, &[seed, index]);
    let low = low_bits(ecc, ctx, hash);
    ecc.coordinates().gate().mul_add(ctx, low, Constant(Fr::from(2)), Constant(Fr::ONE))
}

/// The low bits of `hash` = low + 2^127·high as an integer below r: with r − 1 = L + 2^127·H,
/// either high < H, or high = H and low ≤ L.
fn low_bits(ecc: &SymbolicEcc<'_>, ctx: &mut Context<Fr>, hash: Cell) -> Cell {
    let (low, high) = split(&fe_to_biguint(hash.value()));
    let low = ctx.load_witness(biguint_to_fe(&low));
    let high = ctx.load_witness(biguint_to_fe(&high));
    constrain_split(ecc, ctx, hash, [low, high]);
    low
}

fn split(value: &BigUint) -> (BigUint, BigUint) {
    let high: BigUint = value >> LOW_BITS;
    (value - (&high << LOW_BITS), high)
}

fn constrain_split(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    hash: Cell,
    [low, high]: [Cell; 2],
) {
    let range = ecc.coordinates().range();
    let gate = range.gate();
    range.range_check(ctx, low, LOW_BITS);
    range.range_check(ctx, high, LOW_BITS);
    let base = Constant(biguint_to_fe(&(BigUint::from(1u8) << LOW_BITS)));
    let sum = gate.mul_add(ctx, high, base, low);
    ctx.constrain_equal(&sum, &hash);
    let (last_low, last_high) = split(&(modulus::<Fr>() - 1u8));
    let last_high = Constant(biguint_to_fe(&last_high));
    let below = range.is_less_than(ctx, high, last_high, LOW_BITS);
    let equal = gate.is_equal(ctx, high, last_high);
    let fits = range.is_less_than(ctx, low, Constant(biguint_to_fe(&(last_low + 1u8))), LOW_BITS);
    let unique = gate.mul_add(ctx, equal, fits, below);
    gate.assert_is_const(ctx, &unique, &Fr::ONE);
}

/// A point nobody knows a discrete logarithm of: x is a hash of the seed and a counter. It keeps
/// the incomplete additions of [`super::msm`] away from their exceptions.
pub(super) fn offset(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    purpose: Purpose,
    seed: Cell,
) -> Point {
    let (counter, value) = find_offset(purpose, *seed.value());
    let counter = ctx.load_witness(Fr::from(counter));
    ecc.coordinates().range().range_check(ctx, counter, COUNTER_BITS);
    let x = hash(ecc, ctx, purpose, &[seed, counter]);
    let (_, point) = ecc.load(ctx, value);
    ctx.constrain_equal(&x, point.x().native());
    point
}

/// The first counter whose hash is an x on the curve. If there were none, the generator stands in
/// and no witness satisfies the circuit.
fn find_offset(purpose: Purpose, seed: Fr) -> (u64, G1Affine) {
    let at = |counter: u64| {
        let x = hash_native(purpose, &[seed, Fr::from(counter)]);
        let x: Fq = biguint_to_fe(&fe_to_biguint(&x));
        let y = Option::<Fq>::from((x.square() * x + Fq::from(3)).sqrt())?;
        Some((counter, G1Affine { x, y }))
    };
    (0..1 << COUNTER_BITS).find_map(at).unwrap_or((0, G1Affine::generator()))
}
