//! Why the curve gates say what they mean: all bounds, with their numbers.
//!
//! A coordinate is a *number*: four limbs of 64 bits, each four chunks of 16 bits out of the range
//! table, the top chunk below [`TOP`] = 0x3065, so that a number is below V = 0x3065·2^240, which
//! is above p by a factor of 1.00006. An equation of a gate is E = q·p over the integers, with q a
//! quotient of four limbs less an offset. It is checked in two ways:
//!
//! 1. **modulo 2^256**, by limbs: with eₖ the k-th coefficient of E − q·p in base B = 2^64,
//!    e₀ + e₁·B = c₀·B² and e₂ + e₃·B + c₀ = c₁·B². Both sides are below 2^209 in size, far from
//!    r, so these hold as integers.
//! 2. **modulo r**, natively.
//!
//! 2^256 and r are coprime, so E − q·p is a multiple of 2^256·r = 2^509.6. It is smaller than that
//! in size, therefore 0. In units of 2^512, with p = 0.18904·2^256 and so p² = 0.03574, and
//! 2^256·r = 0.18904:
//!
//! | equation | E | q·p | most of \|E − q·p\| |
//! |---|---|---|---|
//! | product, addition's slope, x | ±2V² = ±0.0715 | ±½·2^256·p = ±0.0945 | 0.166 |
//! | tangent: 2λy − 3x² | −0.1072 … 0.0715 | −0.1135 … 0.0757 | 0.185 |
//!
//! The tangent's quotient is offset by 0.6·2^256 instead of ½·2^256; the quotient an honest prover
//! needs is −0.567·2^256 … 0.378·2^256. Carries of an honest prover are within
//! −8.8·2^64 … 4.9·2^64 and are shown less an offset of 10·2^64 as 64 bits and a top of 4 bits (16
//! in the product gate).
//!
//! [`check`] computes all of it with exact intervals, in release builds, whenever a circuit is
//! configured.

use halo2_base::halo2_proofs::halo2curves::bn256::{Fq, Fr};
use halo2_base::utils::modulus;
use num_bigint::BigInt;
use std::sync::LazyLock;

/// Bits of a chunk: what one lookup checks.
pub(super) const CHUNK_BITS: usize = 16;
/// Chunks of a limb.
pub(super) const LIMB_CHUNKS: usize = 4;
/// Bits of a limb.
pub(crate) const LIMB_BITS: usize = CHUNK_BITS * LIMB_CHUNKS;
/// Limbs of a coordinate.
pub(crate) const LIMBS: usize = 4;
/// The top chunk of a number is below this: one more than p's.
pub(super) const TOP: u64 = 0x3065;
/// Offset of a quotient's top limb: ½·2^64, and 0.6·2^64 for a tangent.
pub(super) const QUOTIENT_OFFSET: u64 = 1 << 63;
/// See [`QUOTIENT_OFFSET`].
pub(super) const TANGENT_OFFSET: u64 = 0x9999_9999_9999_9999;
/// Offset of a carry, in units of 2^64.
pub(super) const CARRY_OFFSET: u64 = 10;
/// Tops of an addition's carries are below this.
const CARRY_TOP: u64 = 16;
/// Tops of a product's carries are one chunk.
const PRODUCT_CARRY_TOP: u64 = 1 << CHUNK_BITS;
/// The largest factor that is no coordinate (1, −1, −2, a sign) in size.
pub(super) const FACTOR: u64 = 2;

/// A closed interval of integers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interval(BigInt, BigInt);

impl Interval {
    fn new(low: impl Into<BigInt>, high: impl Into<BigInt>) -> Self {
        Self(low.into(), high.into())
    }

    fn plus(&self, other: &Self) -> Self {
        Self(&self.0 + &other.0, &self.1 + &other.1)
    }

    fn minus(&self, other: &Self) -> Self {
        Self(&self.0 - &other.1, &self.1 - &other.0)
    }

    fn times(&self, other: &Self) -> Self {
        let corners =
            [&self.0 * &other.0, &self.0 * &other.1, &self.1 * &other.0, &self.1 * &other.1];
        let low = corners.iter().min().cloned().unwrap_or_default();
        Self(low, corners.into_iter().max().unwrap_or_default())
    }

    fn scaled(&self, factor: i64) -> Self {
        self.times(&Self::new(factor, factor))
    }

    fn within(&self, low: &BigInt, high: &BigInt) -> bool {
        self.0 > *low && self.1 < *high
    }
}

/// Four limbs and their value, which may be bounded better than the limbs are.
#[derive(Clone, Debug)]
struct Limbs {
    limbs: [Interval; LIMBS],
    value: Interval,
}

fn power(bits: usize) -> BigInt {
    BigInt::from(1) << bits
}

fn base_modulus() -> BigInt {
    modulus::<Fq>().into()
}

impl Limbs {
    /// A range-checked number.
    fn number() -> Self {
        let limb = Interval::new(0, power(LIMB_BITS) - 1);
        let top = Interval::new(0, (BigInt::from(TOP) << 48) - 1);
        let value = Interval::new(0, (BigInt::from(TOP) << 240) - 1);
        Self { limbs: [limb.clone(), limb.clone(), limb, top], value }
    }

    /// A number, or a small factor in the lowest limb.
    fn number_or_factor() -> Self {
        let mut number = Self::number();
        number.limbs[0].0 = -BigInt::from(FACTOR);
        number.value.0 = -BigInt::from(FACTOR);
        number
    }

    /// A quotient less the offset of its top limb.
    fn quotient(offset: u64) -> Self {
        let limb = Interval::new(0, power(LIMB_BITS) - 1);
        let shift = Interval::new(offset, offset);
        let top = limb.minus(&shift);
        let shift: BigInt = BigInt::from(offset) << 192;
        let low = -shift;
        let value = Interval(low.clone(), low + power(256) - 1);
        Self { limbs: [limb.clone(), limb.clone(), limb, top], value }
    }

    fn constant(value: &BigInt) -> Self {
        let limb = |i: usize| (value >> (i * LIMB_BITS)) % power(LIMB_BITS);
        let limbs = std::array::from_fn(|i| Interval(limb(i), limb(i)));
        Self { limbs, value: Interval(value.clone(), value.clone()) }
    }

    fn combine(&self, other: &Self, with: fn(&Interval, &Interval) -> Interval) -> Self {
        let limbs = std::array::from_fn(|i| with(&self.limbs[i], &other.limbs[i]));
        Self { limbs, value: with(&self.value, &other.value) }
    }

    fn plus(&self, other: &Self) -> Self {
        self.combine(other, Interval::plus)
    }

    fn minus(&self, other: &Self) -> Self {
        self.combine(other, Interval::minus)
    }

    /// The low coefficients of the product, and its value.
    fn times(&self, other: &Self) -> Self {
        let coefficient = |k: usize| {
            let terms = (0..=k).map(|i| self.limbs[i].times(&other.limbs[k - i]));
            terms.reduce(|a, b| a.plus(&b)).unwrap_or_else(|| Interval::new(0, 0))
        };
        let limbs = std::array::from_fn(coefficient);
        Self { limbs, value: self.value.times(&other.value) }
    }

    fn scaled(&self, factor: i64) -> Self {
        let limbs = std::array::from_fn(|i| self.limbs[i].scaled(factor));
        Self { limbs, value: self.value.scaled(factor) }
    }
}

/// One equation of a gate: what E may be, and how quotient and carries are shown.
struct Equation {
    name: &'static str,
    left: Limbs,
    offset: u64,
    carry_top: u64,
}

impl Equation {
    /// # Panics
    /// When a bound of the module's documentation does not hold.
    fn check(&self) {
        let (p, quotient) = (base_modulus(), Limbs::quotient(self.offset));
        let rest = self.left.minus(&quotient.times(&Limbs::constant(&p)));
        let whole = power(256) * BigInt::from(modulus::<Fr>());
        assert!(rest.value.within(&-&whole, &whole), "{}: E − q·p wraps", self.name);
        let least = &self.left.value.0 / &p - 1;
        let most = &self.left.value.1 / &p + 1;
        assert!(quotient.value.0 < least && most < quotient.value.1, "{}: quotient", self.name);
        let offset = BigInt::from(CARRY_OFFSET) << LIMB_BITS;
        let top = BigInt::from(self.carry_top) << LIMB_BITS;
        let shown = Interval(-&offset, top - &offset - 1);
        let mut carry = Interval::new(0, 0);
        for pair in rest.limbs.chunks_exact(2) {
            let high = pair[1].times(&Interval(power(LIMB_BITS), power(LIMB_BITS)));
            let sum = pair[0].plus(&high).plus(&carry);
            // What the constraint compares with any carry a prover may show.
            let square = Interval(power(128), power(128));
            let sizes = sum.minus(&shown.times(&square)).plus(&shown);
            let limit = BigInt::from(modulus::<Fr>()) / 4;
            assert!(sizes.within(&-&limit, &limit), "{}: a carry's equation wraps", self.name);
            carry = Interval((&sum.0 >> 128) - 1, (&sum.1 >> 128) + 1);
            let fits = carry.within(&shown.0, &shown.1);
            assert!(fits, "{}: carry {:?} of {:?}", self.name, carry, shown);
        }
    }
}

static CHECKED: LazyLock<()> = LazyLock::new(|| {
    let (n, d) = (Limbs::number(), Limbs::number_or_factor());
    let difference = n.minus(&n);
    let signed = Limbs { value: n.value.minus(&n.value), ..n.minus(&n) };
    let product = n.times(&difference).plus(&n.times(&d)).minus(&n).minus(&n);
    let slope = n.times(&difference).scaled(2).plus(&signed.scaled(2));
    let x = n.times(&n).minus(&n).minus(&n).minus(&n);
    let tangent = n.times(&n).scaled(2).minus(&n.times(&n).scaled(3));
    let addition = CARRY_TOP;
    let equation = |name, left, offset, carry_top| Equation { name, left, offset, carry_top };
    equation("product", product, QUOTIENT_OFFSET, PRODUCT_CARRY_TOP).check();
    equation("slope", slope, QUOTIENT_OFFSET, addition).check();
    equation("x", x, QUOTIENT_OFFSET, addition).check();
    equation("tangent", tangent, TANGENT_OFFSET, addition).check();
    let top: BigInt = base_modulus() >> 240;
    assert_eq!(top, BigInt::from(TOP - 1), "numbers hold every residue, and hardly more");
});

/// Asserts every bound of this module.
///
/// # Panics
/// When one does not hold: a mistake in this crate no witness can cause.
pub(super) fn check() {
    LazyLock::force(&CHECKED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_hold() {
        check();
    }

    fn tangent(offset: u64, carry_top: u64) -> Equation {
        let n = Limbs::number();
        let left = n.times(&n).scaled(2).minus(&n.times(&n).scaled(3));
        Equation { name: "tangent", left, offset, carry_top }
    }

    #[test]
    #[should_panic(expected = "tangent: E − q·p wraps")]
    fn a_tangent_with_the_products_offset_does_not_build() {
        tangent(QUOTIENT_OFFSET, CARRY_TOP).check();
    }

    #[test]
    #[should_panic(expected = "tangent: carry")]
    fn a_carry_of_three_bits_does_not_build() {
        tangent(TANGENT_OFFSET, 8).check();
    }

    #[test]
    #[should_panic(expected = "wide: E − q·p wraps")]
    fn a_top_chunk_of_sixteen_bits_does_not_build() {
        let mut n = Limbs::number();
        n.value.1 = power(256) - 1;
        let left = n.times(&n).scaled(2);
        let equation =
            Equation { name: "wide", left, offset: QUOTIENT_OFFSET, carry_top: CARRY_TOP };
        equation.check();
    }
}
