//! One multi-scalar multiplication for all children: Σ scalar·point.
//!
//! Odd signed digits in base 16 with tables of eight entries, incomplete additions, y-coordinates
//! left unreduced between additions. An incomplete addition of equal points has *any* slope as
//! solution, so it must never happen: the running sum starts from an offset point A whose discrete
//! logarithm nobody knows and which a hash of everything else determines. The coefficient of A is
//! never 0 at an addition, so an exception would be a discrete logarithm of A.

use super::{
    field::{Coordinates, Proper, Wide},
    points::{Cell, Point, SymbolicEcc},
    transcript::{Purpose, offset},
};
use halo2_base::{
    Context,
    QuantumCell::{Constant, Existing},
    gates::{GateChip, GateInstructions},
    halo2_proofs::halo2curves::{
        bn256::{Fr, G1, G1Affine},
        ff::Field,
        group::{Curve, Group, prime::PrimeCurveAffine},
    },
    utils::{fe_to_biguint, modulus},
};
use num_bigint::BigInt;

/// Bits of a digit's table index: digits ±1, ±3, …, ±15.
const INDEX_BITS: usize = 3;
/// Digits of a scalar modulo r: every odd integer within ±(16^64 − 1), so several strings per
/// scalar; equality modulo r is all that is needed, since points have order r.
const FULL: usize = 64;
/// Digits of a challenge: odd and below 2^128 = 16^32, exactly one string.
const SHORT: usize = 32;
/// Doublings after which the offset is brought back from 2^16·A to A.
const CYCLE: usize = 16;
/// Doublings of the last, incomplete cycle: (64 − 1)·4 = 15·16 + 12 and (32 − 1)·4 = 7·16 + 12.
const REST: usize = 12;

/// A scalar of the multiplication.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar {
    /// The point itself.
    One,
    /// A challenge: odd, below 2^128.
    Short(Cell),
    /// Any scalar.
    Full(Cell),
}

/// What is multiplied: points of this circuit, and constants with scalars of any size.
#[derive(Default)]
pub(super) struct Terms {
    pub(super) points: Vec<(Scalar, Point)>,
    pub(super) constants: Vec<(Cell, G1Affine)>,
}

struct Digit {
    sign: Cell,
    indicator: Vec<Cell>,
}

struct Term {
    digits: Vec<Digit>,
    xs: Vec<Proper>,
    ys: Vec<Proper>,
}

/// A point whose y is not reduced.
struct Running {
    x: Proper,
    y: Wide,
}

impl From<Point> for Running {
    fn from(point: Point) -> Self {
        Self { y: point.y().into(), x: point.x().clone() }
    }
}

/// Odd signed digits of `scalar`, lowest first, each as (is positive, table index): the digit is
/// ±(2·index + 1). An even scalar is written as scalar + r.
fn digits(scalar: Fr, count: usize) -> Vec<(bool, usize)> {
    let mut number = BigInt::from(fe_to_biguint(&scalar));
    if !number.bit(0) {
        number += BigInt::from(modulus::<Fr>());
    }
    digits_of(number, count)
}

/// The digits of an odd number within ±(16^count − 1): it has exactly one such string.
fn digits_of(number: BigInt, count: usize) -> Vec<(bool, usize)> {
    let mut rest = number;
    let mut digits = Vec::with_capacity(count);
    for position in 0..count {
        let low = (&rest & BigInt::from(31)).iter_u64_digits().next().unwrap_or(0) as i64 - 16;
        let last = position + 1 == count;
        let digit = if last { i64::try_from(&rest).unwrap_or(i64::MAX) } else { low };
        assert!(digit & 1 != 0 && digit.unsigned_abs() <= 15, "{count} digits hold the number");
        digits.push((digit > 0, (digit.unsigned_abs() as usize - 1) / 2));
        rest = (rest - BigInt::from(digit)) >> 4;
    }
    digits
}

/// Cells of a digit and its value: three index bits and a sign bit, asserted to be bits.
fn assign_digit(
    ctx: &mut Context<Fr>,
    gate: &GateChip<Fr>,
    (positive, index): (bool, usize),
) -> (Digit, Cell) {
    let mut bit = |value: u64| {
        let bit = ctx.load_witness(Fr::from(value));
        gate.assert_bit(ctx, bit);
        bit
    };
    let bits: Vec<Cell> = (0..INDEX_BITS).map(|i| bit((index as u64 >> i) & 1)).collect();
    let positive = bit(u64::from(positive));
    let sign = gate.mul_add(ctx, positive, Constant(Fr::from(2)), Constant(-Fr::ONE));
    let magnitude = gate.inner_product(
        ctx,
        std::iter::once(Constant(Fr::ONE)).chain(bits.iter().map(|bit| Existing(*bit))),
        [1u64, 2, 4, 8].map(|weight| Constant(Fr::from(weight))),
    );
    let value = gate.mul(ctx, sign, magnitude);
    (Digit { sign, indicator: gate.bits_to_indicator(ctx, &bits) }, value)
}

/// Digits of `scalar`, constrained to recompose to it.
fn assign_digits(
    ctx: &mut Context<Fr>,
    gate: &GateChip<Fr>,
    scalar: Cell,
    count: usize,
) -> Vec<Digit> {
    constrain_digits(ctx, gate, scalar, &digits(*scalar.value(), count))
}

fn constrain_digits(
    ctx: &mut Context<Fr>,
    gate: &GateChip<Fr>,
    scalar: Cell,
    digits: &[(bool, usize)],
) -> Vec<Digit> {
    let (digits, values): (Vec<Digit>, Vec<Cell>) =
        digits.iter().map(|digit| assign_digit(ctx, gate, *digit)).unzip();
    let powers = std::iter::successors(Some(Fr::ONE), |power| Some(power * Fr::from(16)));
    let powers: Vec<_> = powers.take(values.len()).map(Constant).collect();
    let sum = gate.inner_product(ctx, values, powers);
    ctx.constrain_equal(&sum, &scalar);
    digits
}

/// a + b, for a.x ≠ b.x. y₃ = λ(b.x − x₃) − b.y uses b, so that it never depends on an unreduced
/// y and its width does not grow from addition to addition.
fn add(fq: Coordinates<'_>, ctx: &mut Context<Fr>, a: &Running, b: &Running) -> Running {
    let dx = fq.sub(ctx, b.x.as_ref(), a.x.as_ref());
    let dy = fq.sub(ctx, &b.y, &a.y);
    let slope = fq.divide(ctx, &dy, &dx);
    let square = fq.mul(ctx, slope.as_ref(), slope.as_ref());
    let rest = fq.sub(ctx, &square, a.x.as_ref());
    let rest = fq.sub(ctx, &rest, b.x.as_ref());
    let x = fq.reduce(ctx, rest);
    let back = fq.sub(ctx, b.x.as_ref(), x.as_ref());
    let rise = fq.mul(ctx, slope.as_ref(), &back);
    let y = fq.sub(ctx, &rise, &b.y);
    Running { x, y }
}

fn reduce(fq: Coordinates<'_>, ctx: &mut Context<Fr>, point: Running) -> Point {
    let y = fq.reduce(ctx, point.y);
    Point::new(point.x, y)
}

/// 2·point; y is never 0 on a curve of odd order.
fn double(fq: Coordinates<'_>, ctx: &mut Context<Fr>, point: &Point) -> Point {
    let two_y = fq.times(ctx, point.y(), 2);
    let three_x = fq.times(ctx, point.x(), 3);
    let tangent = fq.mul(ctx, &three_x, point.x().as_ref());
    let slope = fq.divide(ctx, &tangent, &two_y);
    let square = fq.mul(ctx, slope.as_ref(), slope.as_ref());
    let two_x = fq.times(ctx, point.x(), 2);
    let rest = fq.sub(ctx, &square, &two_x);
    let x = fq.reduce(ctx, rest);
    let back = fq.sub(ctx, point.x().as_ref(), x.as_ref());
    let rise = fq.mul(ctx, slope.as_ref(), &back);
    let rest = fq.sub(ctx, &rise, point.y().as_ref());
    let y = fq.reduce(ctx, rest);
    Point::new(x, y)
}

fn negated(fq: Coordinates<'_>, ctx: &mut Context<Fr>, point: &Point) -> Running {
    Running { x: point.x().clone(), y: fq.times(ctx, point.y(), -1) }
}

/// 1P, 3P, …, 15P. P has prime order, so (2i − 1)P ≠ ±2P.
fn table(fq: Coordinates<'_>, ctx: &mut Context<Fr>, point: Point) -> Vec<Point> {
    let twice = Running::from(double(fq, ctx, &point));
    let mut entries = vec![point];
    for i in 1..1 << INDEX_BITS {
        let next = add(fq, ctx, &Running::from(entries[i - 1].clone()), &twice);
        entries.push(reduce(fq, ctx, next));
    }
    entries
}

fn constant_table(fq: Coordinates<'_>, ctx: &mut Context<Fr>, point: G1Affine) -> Vec<Point> {
    let twice: G1 = point.to_curve().double();
    let multiples =
        std::iter::successors(Some(point.to_curve()), |multiple| Some(multiple + twice));
    let multiples = multiples.take(1 << INDEX_BITS).map(|multiple| multiple.to_affine());
    multiples.map(|m| Point::new(fq.constant(ctx, m.x), fq.constant(ctx, m.y))).collect()
}

impl Term {
    fn new(digits: Vec<Digit>, table: Vec<Point>) -> Self {
        let (xs, ys) = table.into_iter().map(|point| (point.x, point.y)).unzip();
        Self { digits, xs, ys }
    }

    /// The entry that the digit of window `window` picks.
    fn pick(&self, fq: Coordinates<'_>, ctx: &mut Context<Fr>, window: usize) -> Option<Running> {
        let digit = self.digits.get(window)?;
        let x = fq.select(ctx, &self.xs, &digit.indicator);
        let y = fq.select(ctx, &self.ys, &digit.indicator);
        Some(Running { x, y: fq.signed(ctx, &y, digit.sign) })
    }
}

/// Multiples of the offset A that bring the running sum's share of A back: (2^16 − 1)·A after a
/// full cycle, 2^12·A at the end.
struct Corrections {
    cycle: Running,
    rest: Running,
}

fn corrections(fq: Coordinates<'_>, ctx: &mut Context<Fr>, offset: &Point) -> Corrections {
    let mut multiple = offset.clone();
    let mut rest = offset.clone();
    for doublings in 1..=CYCLE {
        multiple = double(fq, ctx, &multiple);
        if doublings == REST {
            rest = multiple.clone();
        }
    }
    let minus = negated(fq, ctx, offset);
    let cycle = add(fq, ctx, &multiple.into(), &minus);
    let cycle = reduce(fq, ctx, cycle);
    Corrections { cycle: negated(fq, ctx, &cycle), rest: negated(fq, ctx, &rest) }
}

/// Σ scalar·point. `seed` must bind every point and every scalar. The result's coordinates are
/// reduced, not canonical.
///
/// A sum that is the identity has no witness: a child cannot force that, A separates it.
pub(super) fn multiply(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    (purpose, seed): (Purpose, Cell),
    terms: Terms,
) -> Point {
    let fq = ecc.coordinates();
    let offset = offset(ecc, ctx, purpose, seed);
    let assigned = assign_terms(fq, ctx, terms);
    sum_from(fq, ctx, offset, assigned)
}

/// Σ of the terms from a given offset: sound only for one whose discrete logarithm nobody knows.
fn sum_from(
    fq: Coordinates<'_>,
    ctx: &mut Context<Fr>,
    offset: Point,
    (terms, plain): (Vec<Term>, Vec<Point>),
) -> Point {
    let windows = terms.iter().map(|term| term.digits.len()).max().unwrap_or(SHORT);
    let corrections = corrections(fq, ctx, &offset);
    let mut sum = Running::from(offset);
    let mut doublings = 0;
    for window in (0..windows).rev() {
        if window + 1 != windows {
            sum = shift(fq, ctx, sum);
            doublings += 4;
        }
        if doublings == CYCLE {
            sum = add(fq, ctx, &sum, &corrections.cycle);
            doublings = 0;
        }
        for term in &terms {
            if let Some(entry) = term.pick(fq, ctx, window) {
                sum = add(fq, ctx, &sum, &entry);
            }
        }
    }
    assert_eq!(doublings, REST, "the offset is taken off exactly");
    for point in plain {
        sum = add(fq, ctx, &sum, &point.into());
    }
    let sum = add(fq, ctx, &sum, &corrections.rest);
    reduce(fq, ctx, sum)
}

/// 16·sum.
fn shift(fq: Coordinates<'_>, ctx: &mut Context<Fr>, sum: Running) -> Running {
    let mut point = reduce(fq, ctx, sum);
    for _ in 0..4 {
        point = double(fq, ctx, &point);
    }
    point.into()
}

/// Digits and tables of all terms, and the points whose scalar is one.
fn assign_terms(
    fq: Coordinates<'_>,
    ctx: &mut Context<Fr>,
    terms: Terms,
) -> (Vec<Term>, Vec<Point>) {
    let gate = fq.gate();
    let mut plain = Vec::new();
    let mut assigned = Vec::new();
    for (scalar, point) in terms.points {
        let (scalar, count) = match scalar {
            Scalar::One => {
                plain.push(point);
                continue;
            }
            Scalar::Short(scalar) => (scalar, SHORT),
            Scalar::Full(scalar) => (scalar, FULL),
        };
        let digits = assign_digits(ctx, gate, scalar, count);
        assigned.push(Term::new(digits, table(fq, ctx, point)));
    }
    for (scalar, point) in terms.constants {
        let digits = assign_digits(ctx, gate, scalar, FULL);
        assigned.push(Term::new(digits, constant_table(fq, ctx, point)));
    }
    (assigned, plain)
}

#[cfg(test)]
mod tests;
