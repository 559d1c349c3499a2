//! All that is hashed in this half of a circuit, one purpose per tag.
//!
//! A child's own Fiat–Shamir transcript is snark-verifier's Poseidon sponge. What follows it is
//! hashed with the application's one-permutation compression and a tag of its own as first input:
//! the *seed* binds every child completely, *challenges* and the *offset point* follow from it.

use super::points::{Loaded, SymbolicEcc};
use crate::{gates::Cell, poseidon::h2};
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
    let tag = ctx.load_constant(purpose.word());
    words.iter().fold(tag, |state, word| ecc.gates().h2(ctx, state, *word))
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
    ecc.gate().mul_add(ctx, low, Constant(Fr::from(2)), Constant(Fr::ONE))
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
    let (range, gate) = (ecc.gates(), ecc.gate());
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
) -> Loaded {
    let found = find_offset(purpose, *seed.value());
    offset_at(ecc, ctx, (purpose, seed), found)
}

/// The offset a prover claims: the hash of seed and counter must be its x. The sign of y is the
/// prover's choice.
fn offset_at(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    (purpose, seed): (Purpose, Cell),
    (counter, value): (Fr, G1Affine),
) -> Loaded {
    let counter = ctx.load_witness(counter);
    ecc.gates().range_check(ctx, counter, COUNTER_BITS);
    let x = hash(ecc, ctx, purpose, &[seed, counter]);
    let (_, loaded) = ecc.load(ctx, value);
    ctx.constrain_equal(&x, &loaded.native[0]);
    loaded
}

/// The first counter whose hash is an x on the curve. If there were none, the generator stands in
/// and no witness satisfies the circuit.
fn find_offset(purpose: Purpose, seed: Fr) -> (Fr, G1Affine) {
    let counters = (0..1 << COUNTER_BITS).map(Fr::from);
    let mut found = counters.filter_map(|at| Some((at, point_at(purpose, seed, at)?)));
    found.next().unwrap_or((Fr::ZERO, G1Affine::generator()))
}

/// The point whose x is the hash of seed and counter, if there is one.
fn point_at(purpose: Purpose, seed: Fr, counter: Fr) -> Option<G1Affine> {
    let x = hash_native(purpose, &[seed, counter]);
    let x: Fq = biguint_to_fe(&fe_to_biguint(&x));
    let y = Option::<Fq>::from((x.square() * x + Fq::from(3)).sqrt())?;
    Some(G1Affine { x, y })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recursion::mock::Built;

    #[test]
    fn a_challenge_is_odd_and_below_2_to_128() {
        for seed in 0..20u64 {
            let (built, value) = Built::new(|ecc, ctx| {
                let seed = ctx.load_witness(Fr::from(seed));
                *challenge(ecc, ctx, seed, 3).value()
            });
            let hash = hash_native(Purpose::Challenge, &[Fr::from(seed), Fr::from(3)]);
            let (low, _) = split(&fe_to_biguint(&hash));
            assert_eq!(fe_to_biguint(&value), (low << 1) + 1u8);
            assert!(built.satisfied());
        }
    }

    #[test]
    fn a_hash_is_split_in_one_way_only() {
        let claim = |hash: Fr, parts: (BigUint, BigUint)| {
            let (built, ()) = Built::new(|ecc, ctx| {
                let hash = ctx.load_witness(hash);
                let parts = [parts.0, parts.1].map(|part| ctx.load_witness(biguint_to_fe(&part)));
                constrain_split(ecc, ctx, hash, parts);
            });
            built.satisfied()
        };
        let order = modulus::<Fr>();
        for hash in [Fr::ZERO, Fr::from(5), Fr::from(2).pow([200]), -Fr::ONE, -Fr::from(7)] {
            let value = fe_to_biguint(&hash);
            assert!(claim(hash, split(&value)));
            let second = value + &order;
            // The second split exists for the 32 % of hashes below 2^254 - r.
            if second.bits() <= 254 {
                assert!(!claim(hash, split(&second)), "{hash:?}");
            }
        }
    }

    #[test]
    fn purposes_with_equal_inputs_differ() {
        let purposes =
            [Purpose::Seed, Purpose::Challenge, Purpose::LeftOffset, Purpose::RightOffset];
        let words = [Fr::from(1), Fr::from(2)];
        let hashes: std::collections::BTreeSet<Fr> =
            purposes.iter().map(|purpose| hash_native(*purpose, &words)).collect();
        assert_eq!(hashes.len(), purposes.len());
        let (_, cell) = Built::new(|ecc, ctx| {
            let words = words.map(|word| ctx.load_witness(word));
            *hash(ecc, ctx, Purpose::Seed, &words).value()
        });
        assert_eq!(cell, hash_native(Purpose::Seed, &words));
    }

    #[test]
    fn the_offset_is_the_hash_and_its_counter_is_small() {
        let (purpose, seed) = (Purpose::LeftOffset, Fr::from(11));
        let claim = |counter: Fr, point: G1Affine| {
            let (built, _) = Built::new(|ecc, ctx| {
                let seed = ctx.load_witness(seed);
                offset_at(ecc, ctx, (purpose, seed), (counter, point))
            });
            built.satisfied()
        };
        let (counter, point) = find_offset(purpose, seed);
        assert!(claim(counter, point));
        assert!(claim(counter, -point), "the sign of y is free");
        assert!(!claim(counter, G1Affine::generator()));
        assert!(!claim(counter + Fr::ONE, point));
        let mut large = Fr::from(1 << COUNTER_BITS);
        let far = std::iter::from_fn(|| {
            large += Fr::ONE;
            Some(point_at(purpose, seed, large).map(|point| (large, point)))
        });
        let (counter, point) = far.flatten().next().unwrap();
        assert!(!claim(counter, point), "a counter of nine bits");
    }
}
