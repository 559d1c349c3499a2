//! One multi-scalar multiplication for all children: Σ scalar·point.
//!
//! Odd signed digits with tables of odd multiples, incomplete additions, no y of the running sum
//! between additions ([`crate::gates`]). An incomplete addition of equal points has *any* slope as
//! solution, so it must never happen: the running sum starts from an offset point A whose discrete
//! logarithm nobody knows and which a hash of everything else determines. The coefficient of A is
//! never 0 at an addition, so an exception would be a discrete logarithm of A.
//!
//! Points have digits of four bits (eight multiples cost eight additions), constants of eight (their
//! multiples are constants too, and cost a row each).

use super::{
    points::SymbolicEcc,
    transcript::{Purpose, offset},
};
use crate::gates::{
    Cell, Gates, Table,
    blocks::{Digit, Step},
    number::{Number, Operand, Point, Running, integer},
};
use halo2_base::{
    Context,
    halo2_proofs::halo2curves::{
        bn256::{Fq, Fr, G1, G1Affine},
        ff::Field,
        group::{Curve, Group, prime::PrimeCurveAffine},
    },
    utils::{fe_to_biguint, modulus},
};
use num_bigint::BigInt;

/// Bits of a digit of a point's scalar: ±1, ±3, …, ±15.
const POINT_BITS: u32 = 4;
/// Bits of a digit of a constant's scalar: ±1, ±3, …, ±255.
const CONSTANT_BITS: u32 = 8;
/// Position of the highest digit of a scalar: 63 digits of 4 bits stand below it, and 31 of 8 below
/// the one at 248. Sums of digits are every odd integer in reach, so several strings per scalar;
/// equality modulo r is all that is needed, since points have order r.
const FULL: u32 = 252;
/// Position of the highest digit of a challenge: odd and below 2^128, exactly one string.
const SHORT: u32 = 124;
/// Doublings after which the offset is brought back from 2^16·A to A.
const CYCLE: usize = 16;
/// Doublings of the last, incomplete cycle: 252 = 15·16 + 12 and 124 = 7·16 + 12.
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

/// An odd signed digit, ±(2·index + 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SignedDigit {
    negative: bool,
    index: usize,
}

/// A point's table and the digits of its scalar, read from the highest down.
struct Term {
    table: Table,
    bits: u32,
    /// Lowest first.
    digits: Vec<SignedDigit>,
    scalar: Cell,
    read: Operand,
}

/// Odd signed digits of `scalar` with the highest at position `top`, lowest first. An even scalar
/// is written as scalar + r.
fn digits(scalar: Fr, bits: u32, top: u32) -> Vec<SignedDigit> {
    let mut number = BigInt::from(fe_to_biguint(&scalar));
    if !number.bit(0) {
        number += BigInt::from(modulus::<Fr>());
    }
    digits_of(number, bits, top)
}

/// The digits of an odd number in reach: it has exactly one string of them.
fn digits_of(number: BigInt, bits: u32, top: u32) -> Vec<SignedDigit> {
    let (base, count) = (1i64 << bits, top / bits + 1);
    let mut rest = number;
    let mut digits = Vec::with_capacity(count as usize);
    for position in 0..count {
        let low = (&rest & BigInt::from(2 * base - 1)).iter_u64_digits().next().unwrap_or(0);
        let last = position + 1 == count;
        let digit = if last { i64::try_from(&rest).unwrap_or(i64::MAX) } else { low as i64 - base };
        let fits = digit & 1 != 0 && digit.unsigned_abs() < base.unsigned_abs();
        assert!(fits, "{count} digits of {bits} bits hold the number");
        let index = (digit.unsigned_abs() as usize - 1) / 2;
        digits.push(SignedDigit { negative: digit < 0, index });
        rest = (rest - BigInt::from(digit)) >> bits;
    }
    digits
}

/// The running sum, and its point where the y is there.
struct Sum {
    running: Running,
    point: Option<Point>,
}

impl From<Point> for Sum {
    fn from(point: Point) -> Self {
        Self { running: Running::from(&point), point: Some(point) }
    }
}

impl Sum {
    fn point(self, gates: &Gates) -> Point {
        let Self { running, point } = self;
        point.unwrap_or_else(|| gates.point(&running))
    }

    /// Plus or minus the only entry of a table.
    fn add(self, gates: &Gates, table: &Table, negative: bool) -> Self {
        let entry = &table.entries[0];
        let sign = if negative { Fr::ONE } else { -Fr::ONE };
        let step = Step {
            tag: table.tag,
            digit: Digit::None,
            index: 0,
            entry: [&entry.x, &entry.y].map(|number| integer(&number.coordinate())),
            sign: Some(Operand::constant(sign)),
            negative,
            scalar: Operand::constant(Fr::ZERO),
        };
        Self { running: gates.add(&self.running, &step).0, point: None }
    }
}

fn single(gates: &Gates, point: &Point) -> Table {
    gates.table(vec![point.clone()])
}

/// 1P, 3P, …, 15P. P has prime order, so (2i − 1)P ≠ ±2P.
fn table(gates: &Gates, point: Point) -> Table {
    let twice = single(gates, &gates.double(&point));
    let mut entries = vec![point];
    for i in 1..1 << (POINT_BITS - 1) {
        let next = Sum::from(entries[i - 1].clone()).add(gates, &twice, false);
        entries.push(next.point(gates));
    }
    gates.table(entries)
}

fn constant_table(gates: &Gates, point: G1Affine) -> Table {
    let twice: G1 = point.to_curve().double();
    let multiples =
        std::iter::successors(Some(point.to_curve()), |multiple| Some(multiple + twice));
    let multiples = multiples.take(1 << (CONSTANT_BITS - 1)).map(|multiple| multiple.to_affine());
    let number = |value: Fq| Number::constant(&integer(&value));
    let entries = multiples.map(|m| Point { x: number(m.x), y: number(m.y) });
    gates.table(entries.collect())
}

impl Term {
    fn new(table: Table, scalar: Cell, (bits, top): (u32, u32)) -> Self {
        let digits = digits(*scalar.value(), bits, top);
        Self { table, bits, digits, scalar, read: Operand::constant(Fr::ZERO) }
    }

    fn top(&self) -> u32 {
        self.bits * (self.digits.len() as u32 - 1)
    }

    /// Adds the entry that the digit at `position` picks, if a digit ends there. The last digit
    /// completes the scalar.
    fn add(&mut self, gates: &Gates, sum: Sum, position: u32) -> Sum {
        let digit = self.digits.get((position / self.bits) as usize);
        let Some(digit) = digit.filter(|_| position.is_multiple_of(self.bits)) else { return sum };
        let entry = &self.table.entries[digit.index];
        let step = Step {
            tag: self.table.tag,
            digit: Digit::Bits(self.bits),
            index: digit.index as u64,
            entry: [&entry.x, &entry.y].map(|number| integer(&number.coordinate())),
            sign: None,
            negative: digit.negative,
            scalar: self.read,
        };
        let (running, read) = gates.add(&sum.running, &step);
        self.read = read;
        if position == 0 {
            gates.link(&self.scalar, read.source);
        }
        Sum { running, point: None }
    }
}

/// Multiples of the offset A that bring the running sum's share of A back: (2^16 − 1)·A after a
/// full cycle, 2^12·A at the end.
struct Corrections {
    cycle: Table,
    rest: Table,
}

fn corrections(gates: &Gates, offset: &Point) -> Corrections {
    let mut multiple = offset.clone();
    let mut rest = offset.clone();
    for doublings in 1..=CYCLE {
        multiple = gates.double(&multiple);
        if doublings == REST {
            rest = multiple.clone();
        }
    }
    let once = single(gates, offset);
    let cycle = Sum::from(multiple).add(gates, &once, true).point(gates);
    Corrections { cycle: single(gates, &cycle), rest: single(gates, &rest) }
}

/// Σ scalar·point. `seed` must bind every point and every scalar. The result's coordinates are
/// range-checked, not canonical.
///
/// A sum that is the identity has no witness: a child cannot force that, A separates it.
pub(super) fn multiply(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    (purpose, seed): (Purpose, Cell),
    terms: Terms,
) -> Point {
    let offset = offset(ecc, ctx, purpose, seed);
    let gates = ecc.gates();
    let (terms, plain) = assign_terms(gates, terms);
    sum_from(gates, offset.point, terms, &plain)
}

/// Σ of the terms from a given offset: sound only for one whose discrete logarithm nobody knows.
fn sum_from(gates: &Gates, offset: Point, mut terms: Vec<Term>, plain: &[Table]) -> Point {
    let top = if terms.iter().any(|term| term.top() > SHORT) { FULL } else { SHORT };
    let corrections = corrections(gates, &offset);
    let mut sum = Sum::from(offset);
    let mut doublings = 0;
    for position in (0..=top).rev() {
        if position != top {
            sum = Sum::from(gates.double(&sum.point(gates)));
            doublings += 1;
        }
        if doublings == CYCLE {
            sum = sum.add(gates, &corrections.cycle, true);
            doublings = 0;
        }
        for term in &mut terms {
            sum = term.add(gates, sum, position);
        }
    }
    assert_eq!(doublings, REST, "the offset is taken off exactly");
    for table in plain {
        sum = sum.add(gates, table, false);
    }
    sum.add(gates, &corrections.rest, true).point(gates)
}

/// Digits and tables of all terms, and the points whose scalar is one.
fn assign_terms(gates: &Gates, terms: Terms) -> (Vec<Term>, Vec<Table>) {
    let mut plain = Vec::new();
    let mut assigned = Vec::new();
    for (scalar, point) in terms.points {
        let (scalar, top) = match scalar {
            Scalar::One => {
                plain.push(single(gates, &point));
                continue;
            }
            Scalar::Short(scalar) => (scalar, SHORT),
            Scalar::Full(scalar) => (scalar, FULL),
        };
        assigned.push(Term::new(table(gates, point), scalar, (POINT_BITS, top)));
    }
    for (scalar, point) in terms.constants {
        let table = constant_table(gates, point);
        assigned.push(Term::new(table, scalar, (CONSTANT_BITS, FULL)));
    }
    (assigned, plain)
}

#[cfg(test)]
mod tests;
