//! Values that blocks of gate rows work on: cells with what they hold, numbers, points.

use super::{
    Cell,
    bounds::{LIMB_BITS, LIMBS},
};
use halo2_base::{
    ContextCell,
    halo2_proofs::halo2curves::{
        bn256::{Fq, Fr},
        ff::{Field, PrimeField},
    },
    utils::{biguint_to_fe, modulus},
};
use num_bigint::{BigInt, BigUint};

/// Where a block's cell gets its value from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A cell of plain arithmetic.
    Plain(ContextCell),
    /// A cell of a block: its number, column, row.
    Block(usize, (usize, usize)),
    /// A chunk's row of a range check, by the check's number.
    Chunk(usize, usize),
    /// A constant.
    Constant(Fr),
}

/// A value and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub(crate) source: Source,
    pub(crate) value: Fr,
}

impl Operand {
    /// A constant of the circuit.
    pub(crate) const fn constant(value: Fr) -> Self {
        Self { source: Source::Constant(value), value }
    }

    /// A cell of plain arithmetic.
    pub(crate) fn plain(cell: &Cell) -> Self {
        let value = *cell.value();
        // A builder of the prover's stage keeps no cells; circuits are never built in it.
        cell.cell.map_or(Self::constant(value), |cell| Self { source: Source::Plain(cell), value })
    }
}

/// A coordinate modulo p: four limbs, range-checked where it was made, perhaps not below p.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    pub(crate) limbs: [Operand; LIMBS],
}

/// The limbs of an integer below 2^256.
pub(crate) fn limbs_of(value: &BigUint) -> [u64; LIMBS] {
    let mut digits = value.iter_u64_digits();
    std::array::from_fn(|_| digits.next().unwrap_or(0))
}

/// The integer of a coordinate.
pub(crate) fn integer(value: &Fq) -> BigUint {
    BigUint::from_bytes_le(value.to_repr().as_ref())
}

/// p.
pub(super) fn p() -> BigInt {
    modulus::<Fq>().into()
}

impl Number {
    /// A constant number.
    pub(crate) fn constant(value: &BigUint) -> Self {
        let limbs = limbs_of(value).map(|limb| Operand::constant(Fr::from(limb)));
        Self { limbs }
    }

    /// 0.
    pub(crate) fn zero() -> Self {
        Self::factor(Operand::constant(Fr::ZERO))
    }

    /// A factor of at most two in size in place of a number.
    pub(crate) fn factor(factor: Operand) -> Self {
        let zero = Operand::constant(Fr::ZERO);
        Self { limbs: [factor, zero, zero, zero] }
    }

    /// The integer the limbs stand for; limbs are below 2^64 or small and negative.
    pub(crate) fn value(&self) -> BigInt {
        let limbs = self.limbs.iter().rev();
        limbs.fold(BigInt::ZERO, |value, limb| (value << LIMB_BITS) + signed(&limb.value))
    }

    /// The coordinate.
    pub(crate) fn coordinate(&self) -> Fq {
        let (value, p) = (self.value(), p());
        let reduced: BigInt = ((value % &p) + &p) % &p;
        biguint_to_fe(&reduced.to_biguint().unwrap_or_default())
    }
}

/// A field element as an integer of least size.
fn signed(value: &Fr) -> BigInt {
    let whole = |value: &Fr| BigInt::from(BigUint::from_bytes_le(value.to_repr().as_ref()));
    let (plus, minus) = (whole(value), whole(&-value));
    if minus < plus { -minus } else { plus }
}

/// A point with both coordinates.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) x: Number,
    pub(crate) y: Number,
}

/// A sum whose y is not there, only the line it was found on: y = slope·(x′ − x) + sign·y′.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(super) x: Number,
    pub(super) slope: Number,
    pub(super) through: Point,
    pub(super) sign: Operand,
}

impl From<&Point> for Running {
    fn from(point: &Point) -> Self {
        let through = Point { x: Number::zero(), y: point.y.clone() };
        let sign = Operand::constant(Fr::ONE);
        Self { x: point.x.clone(), slope: Number::zero(), through, sign }
    }
}

impl Running {
    /// y.
    pub(super) fn y(&self) -> Fq {
        let run = self.through.x.coordinate() - self.x.coordinate();
        let sign = Number::factor(self.sign).coordinate();
        self.slope.coordinate() * run + sign * self.through.y.coordinate()
    }
}
