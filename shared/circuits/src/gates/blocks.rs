//! Rows of the curve and hash gates, written one block at a time: cells, copies, fixed cells.

use super::{
    bounds::{CARRY_OFFSET, CHUNK_BITS, LIMB_BITS, LIMBS, QUOTIENT_OFFSET, TANGENT_OFFSET, TOP},
    columns::{DOUBLING, Fix, LANES, TAG_USE},
    curve::{ADDITION_ROWS, PRODUCT_ROWS, Place, addition_at, input, lane, product_at},
    hash,
    number::{Number, Operand, Point, Running, Source, integer, limbs_of, p},
};
use halo2_base::halo2_proofs::halo2curves::{
    bn256::{Fq, Fr},
    ff::Field,
};
use num_bigint::{BigInt, BigUint};

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One permutation.
    Hash,
    /// A·(B − X) + C·D − L − R = q·p.
    Product,
    /// An addition that reads `digit` of a scalar from the table whose first tag is `tag`.
    Addition {
        /// The table's first tag.
        tag: u64,
        /// How many entries, as bits; a whole chunk's number stands for one entry.
        digit: Digit,
    },
    /// A doubling.
    Doubling,
    /// An entry of a table.
    Entry {
        /// Its tag.
        tag: u64,
    },
}

/// What an addition reads of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digit {
    /// Nothing: the table has one entry.
    None,
    /// An odd signed digit of this many bits: the table has 2^(bits − 1) entries.
    Bits(u32),
}

impl Digit {
    /// What the index is multiplied with to be a chunk still.
    fn shift(self) -> Fr {
        let bits = match self {
            Self::None => 0,
            Self::Bits(bits) => bits - 1,
        };
        Fr::from(1 << (CHUNK_BITS as u32 - bits))
    }

    /// The base of the scalar's digits; nothing is read in base 0.
    fn base(self) -> Fr {
        match self {
            Self::None => Fr::ZERO,
            Self::Bits(bits) => Fr::from(1 << bits),
        }
    }
}

/// A block of rows.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) shape: Shape,
    /// Cells that are not 0.
    pub(crate) cells: Vec<(Place, Fr)>,
    /// Cells that are copies.
    pub(crate) copies: Vec<(Place, Source)>,
}

impl Shape {
    /// Rows of the block.
    pub(crate) const fn rows(self) -> usize {
        match self {
            Self::Hash => hash::ROWS,
            Self::Product => PRODUCT_ROWS,
            Self::Addition { .. } | Self::Doubling => ADDITION_ROWS,
            Self::Entry { .. } => 1,
        }
    }

    /// The block's fixed cells: column, row, value.
    pub(super) fn fixed(self) -> Vec<(Fix, usize, Fr)> {
        let one = Fr::ONE;
        let mut fixed = lookups(self.rows(), self);
        match self {
            Self::Hash => {
                for (row, (round, add)) in hash::CONSTANTS.rows.iter().enumerate() {
                    fixed.push((Fix::Hash, row, Fr::from(*round as u64)));
                    let columns = [Fix::First, Fix::Second, Fix::Third];
                    fixed.extend(columns.into_iter().zip(add).map(|(to, add)| (to, row, *add)));
                }
            }
            Self::Product => fixed.push((Fix::Plain, 0, one)),
            Self::Addition { tag, digit } => {
                fixed.push((Fix::Add, 0, one));
                fixed.push((Fix::First, 0, Fr::from(TAG_USE + tag)));
                fixed.push((Fix::Second, 0, Fr::from(TAG_USE) + digit.shift()));
                fixed.push((Fix::Third, 0, Fr::from(TAG_USE) + digit.base()));
            }
            Self::Doubling => {
                fixed.push((Fix::Add, 0, one));
                fixed.push((Fix::Plain, 0, Fr::from(DOUBLING)));
                fixed.push((Fix::First, 0, Fr::from(TAG_USE)));
            }
            Self::Entry { tag } => fixed.push((Fix::First, 0, Fr::from(tag))),
        }
        fixed
    }
}

/// Lanes are looked up in all rows of a block of curve arithmetic; groups of four rows are one
/// running sum, and so are the last two rows of an addition.
fn lookups(rows: usize, shape: Shape) -> Vec<(Fix, usize, Fr)> {
    match shape {
        Shape::Hash | Shape::Entry { .. } => Vec::new(),
        Shape::Product | Shape::Addition { .. } | Shape::Doubling => {
            let more = Fr::from(1 << CHUNK_BITS);
            let last = |row: &usize| row % 4 == 3 || row + 1 == rows;
            let continued = (0..rows).filter(|row| !last(row)).map(|row| (Fix::More, row, more));
            (0..rows).map(|row| (Fix::Look, row, Fr::ONE)).chain(continued).collect()
        }
    }
}

impl Block {
    fn new(shape: Shape) -> Self {
        Self { shape, cells: Vec::new(), copies: Vec::new() }
    }

    fn put(&mut self, place: Place, value: Fr) {
        self.cells.push((place, value));
    }

    fn copy(&mut self, place: Place, operand: &Operand) {
        self.put(place, operand.value);
        self.copies.push((place, operand.source));
    }

    fn copy_number(&mut self, place: Place, number: &Number) {
        for (i, limb) in number.limbs.iter().enumerate() {
            self.copy(input(place, i), limb);
        }
    }

    /// A running sum from `place` down, in `rows` rows.
    fn sum(&mut self, (column, row): Place, rows: usize, value: u64) {
        for i in 0..rows {
            self.put((column, row + i), Fr::from(value >> (i * CHUNK_BITS)));
        }
    }

    /// Limbs in the lanes from number `first`.
    fn lanes(&mut self, first: usize, limbs: [u64; LIMBS]) {
        for (i, limb) in limbs.into_iter().enumerate() {
            self.sum(lane(first, i), 4, limb);
        }
    }
}

/// A number that is made in lanes of block `block`.
fn made(block: usize, first: usize, value: &BigUint) -> Number {
    let limbs = limbs_of(value);
    Number {
        limbs: std::array::from_fn(|i| Operand {
            source: Source::Block(block, lane(first, i)),
            value: Fr::from(limbs[i]),
        }),
    }
}

/// The permutation of `state`; its output is in row [`hash::OUTPUT`].
pub(super) fn hash(state: [Operand; hash::WIDTH]) -> (Block, hash::State) {
    let mut block = Block::new(Shape::Hash);
    let (rows, output) = hash::trace(state.map(|word| word.value));
    for (row, cells) in rows.into_iter().enumerate() {
        for (column, value) in cells.into_iter().enumerate() {
            block.put((column, row), value);
        }
    }
    block.copies.extend(state.iter().enumerate().map(|(i, word)| ((i, 0), word.source)));
    (block, output)
}

/// An entry of a table.
pub(super) fn entry(tag: u64, x: &Number, y: &Number) -> Block {
    let mut block = Block::new(Shape::Entry { tag });
    for (i, limb) in x.limbs.iter().chain(&y.limbs).enumerate() {
        block.copy((i, 0), limb);
    }
    block
}

/// What a quotient and the carries of one equation are.
struct Division {
    quotient: [u64; LIMBS],
    /// Each 64 bits and a top.
    carries: [(u64, u64); 2],
}

type Coefficients = [BigInt; LIMBS];

fn signed_limbs(number: &Number) -> Coefficients {
    number.limbs.each_ref().map(|limb| {
        let single = Number::factor(*limb);
        single.value()
    })
}

fn minus(a: &Coefficients, b: &Coefficients) -> Coefficients {
    std::array::from_fn(|i| &a[i] - &b[i])
}

fn times(a: &Coefficients, b: &Coefficients) -> Coefficients {
    std::array::from_fn(|k| (0..=k).map(|i| &a[i] * &b[k - i]).sum())
}

/// Low bits of a quotient or carry. One that does not fit (there is then no witness) loses its
/// upper bits, and the equations do not hold.
fn low_limbs(value: &BigInt) -> [u64; LIMBS] {
    let wrapped: BigInt = value % (BigInt::from(1) << 256);
    let positive =
        if wrapped < BigInt::ZERO { wrapped + (BigInt::from(1) << 256) } else { wrapped };
    limbs_of(&positive.to_biguint().unwrap_or_default())
}

/// Divides E, given by its value and its low coefficients, by p.
fn divide(value: &BigInt, coefficients: &Coefficients, offset: u64) -> Division {
    let p = p();
    let remainder: BigInt = ((value % &p) + &p) % &p;
    let quotient: BigInt = (value - remainder) / &p;
    let limbs = low_limbs(&(quotient + (BigInt::from(offset) << (3 * LIMB_BITS))));
    let carries = carries(coefficients, &limbs.map(BigInt::from), offset);
    Division { quotient: limbs, carries }
}

/// The carries of E − q·p, from E's low coefficients and the quotient as it is shown.
fn carries(coefficients: &Coefficients, quotient: &Coefficients, offset: u64) -> [(u64, u64); 2] {
    let mut shifted = quotient.clone();
    shifted[LIMBS - 1] -= offset;
    let p = limbs_of(&p().to_biguint().unwrap_or_default()).map(BigInt::from);
    let rest = minus(coefficients, &times(&shifted, &p));
    let mut carry = BigInt::ZERO;
    [0, 2].map(|k| {
        carry = (&rest[k] + (&rest[k + 1] << LIMB_BITS) + &carry) >> (2 * LIMB_BITS);
        let [low, top, ..] = low_limbs(&(&carry + (BigInt::from(CARRY_OFFSET) << LIMB_BITS)));
        (low, top)
    })
}

/// The top chunk of a number, moved up so that only small ones are chunks.
fn moved_top(limbs: &[u64; LIMBS]) -> u64 {
    ((limbs[LIMBS - 1] >> 48) + (1 << CHUNK_BITS) - TOP) % (1 << CHUNK_BITS)
}

/// A, B, X, C, D, L of A·(B − X) + C·D − L.
pub(crate) struct Factors<'a> {
    pub(crate) a: &'a Number,
    pub(crate) b: &'a Number,
    pub(crate) x: &'a Number,
    pub(crate) c: &'a Number,
    pub(crate) d: &'a Number,
    pub(crate) l: &'a Number,
}

impl Factors<'_> {
    /// Low coefficients of A·(B − X) + C·D − L.
    fn coefficients(&self) -> Coefficients {
        let Self { a, b, x, c, d, l } = self;
        let [a, b, x, c, d, l] = [a, b, x, c, d, l].map(|number| signed_limbs(number));
        let (first, second) = (times(&a, &minus(&b, &x)), times(&c, &d));
        std::array::from_fn(|i| &first[i] + &second[i] - &l[i])
    }
}

/// A·(B − X) + C·D − L modulo p, as block number `block`.
pub(super) fn product(block: usize, factors: &Factors<'_>) -> (Block, Number) {
    use product_at as at;
    let Factors { a, b, x, c, d, l } = factors;
    let value = a.value() * (b.value() - x.value()) + c.value() * d.value() - l.value();
    let p = p();
    let result: BigInt = ((&value % &p) + &p) % &p;
    let result = result.to_biguint().unwrap_or_default();
    let rest = minus(&factors.coefficients(), &limbs_of(&result).map(BigInt::from));
    let division = divide(&(value - BigInt::from(result.clone())), &rest, QUOTIENT_OFFSET);
    let mut rows = Block::new(Shape::Product);
    for (place, number) in [(at::A, a), (at::B, b), (at::X, x), (at::C, c), (at::D, d), (at::L, l)]
    {
        rows.copy_number(place, number);
    }
    rows.lanes(at::RESULT, limbs_of(&result));
    rows.lanes(at::QUOTIENT, division.quotient);
    let mut tops = moved_top(&limbs_of(&result));
    for (i, (low, top)) in division.carries.into_iter().enumerate() {
        rows.sum(lane(at::CARRY, i), 4, low);
        tops |= (top % (1 << CHUNK_BITS)) << ((i + 1) * CHUNK_BITS);
    }
    rows.sum(lane(at::TOPS, 0), 4, tops);
    (rows, made(block, at::RESULT, &result))
}

/// What an addition adds, and which digit of which scalar it is.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The table's first tag.
    pub(crate) tag: u64,
    /// What is read.
    pub(crate) digit: Digit,
    /// The entry's number.
    pub(crate) index: u64,
    /// The entry: x, y.
    pub(crate) entry: [BigUint; 2],
    /// −1 adds, 1 subtracts; `None` leaves the choice to the prover, who has `negative`.
    pub(crate) sign: Option<Operand>,
    /// Whether the digit is negative.
    pub(crate) negative: bool,
    /// The scalar read so far.
    pub(crate) scalar: Operand,
}

impl Step {
    fn sign_value(&self) -> Fr {
        self.sign.map_or(if self.negative { Fr::ONE } else { -Fr::ONE }, |sign| sign.value)
    }
}

/// λ and x₃ of a chord or tangent.
struct Line {
    slope: BigUint,
    x: BigUint,
}

fn line(rise: Fq, run: Fq, xs: [Fq; 2]) -> Line {
    // Without a slope there is no witness; any number stands in.
    let slope = rise * Option::<Fq>::from(run.invert()).unwrap_or(Fq::ZERO);
    Line { slope: integer(&slope), x: integer(&(slope.square() - xs[0] - xs[1])) }
}

/// Cells that additions and doublings share: the line, quotients, carries.
fn addition_lanes(block: &mut Block, line: &Line, divisions: [Division; 2]) {
    use addition_at as at;
    let (slope, x) = (limbs_of(&line.slope), limbs_of(&line.x));
    block.lanes(at::SLOPE, slope);
    block.lanes(at::SUM_X, x);
    let [first, second] = divisions;
    block.lanes(at::QUOTIENTS[0], first.quotient);
    block.lanes(at::QUOTIENTS[1], second.quotient);
    for (i, (low, top)) in first.carries.into_iter().chain(second.carries).enumerate() {
        if i < 2 {
            block.sum(lane(at::CARRY, i), 4, low);
        } else {
            let (column, row) = at::SPLIT_CARRIES[i - 2];
            block.sum((column, row), 2, low % (1 << 32));
            block.sum((column + 1, row), 2, low >> 32);
        }
        let (column, row) = at::TOPS;
        block.put((column, row + i), Fr::from((top >> 2) % 4));
        block.put((column + 1, row + i), Fr::from(top % 4));
    }
    block.sum(at::NUMBER_TOPS, 2, moved_top(&slope) | moved_top(&x) << CHUNK_BITS);
}

/// Divides λ² − x₁ − x₂ − x₃.
fn divide_x(line: &Line, x1: &BigInt, x2: &BigInt) -> Division {
    let limbs =
        |value: &BigInt| limbs_of(&value.to_biguint().unwrap_or_default()).map(BigInt::from);
    let (slope, x3) = (BigInt::from(line.slope.clone()), BigInt::from(line.x.clone()));
    let square = times(&limbs(&slope), &limbs(&slope));
    let rest = minus(&minus(&minus(&square, &limbs(x1)), &limbs(x2)), &limbs(&x3));
    divide(&(&slope * &slope - x1 - x2 - x3), &rest, QUOTIENT_OFFSET)
}

/// The line through a running sum and the entry a step adds.
fn chord(running: &Running, step: &Step) -> Line {
    let [x2, y2] = step.entry.each_ref().map(|v| Number::constant(v).coordinate());
    let (x1, y1) = (running.x.coordinate(), running.y());
    let added = -Number::factor(Operand::constant(step.sign_value())).coordinate() * y2;
    line(added - y1, x2 - x1, [x1, x2])
}

/// λ·(x₂ − x₁) + τ·y₂ + λ′·(x′ − x₁) + τ′·y′: its value and its low coefficients.
fn slope_of_sum(slope: &Number, running: &Running, step: &Step) -> (BigInt, Coefficients) {
    let [x2, y2] = step.entry.each_ref().map(Number::constant);
    let signed = |sign: Fr| Number::factor(Operand::constant(sign)).value();
    let (sign, before_sign) = (signed(step.sign_value()), signed(running.sign.value));
    let before = &running.through;
    let value = slope.value() * (x2.value() - running.x.value())
        + running.slope.value() * (before.x.value() - running.x.value())
        + &sign * y2.value()
        + &before_sign * before.y.value();
    let l = signed_limbs;
    let rise = times(&l(slope), &minus(&l(&x2), &l(&running.x)));
    let rise_before = times(&l(&running.slope), &minus(&l(&before.x), &l(&running.x)));
    let (ys, ys_before) = (l(&y2), l(&before.y));
    let coefficients = std::array::from_fn(|i| {
        &rise[i] + &rise_before[i] + &ys[i] * &sign + &ys_before[i] * &before_sign
    });
    (value, coefficients)
}

/// `running` plus or minus an entry of a table, as block number `block`. Gives the sum, and the
/// scalar with the digit appended.
pub(super) fn addition(block: usize, running: &Running, step: &Step) -> (Block, Running, Operand) {
    addition_on(block, running, step, &chord(running, step))
}

/// The same with a line that is given.
fn addition_on(
    block: usize,
    running: &Running,
    step: &Step,
    line: &Line,
) -> (Block, Running, Operand) {
    use addition_at as at;
    let [x2, y2] = step.entry.each_ref().map(Number::constant);
    let (value, coefficients) = slope_of_sum(&Number::constant(&line.slope), running, step);
    let first = divide(&value, &coefficients, QUOTIENT_OFFSET);
    let second = divide_x(line, &running.x.value(), &x2.value());
    let mut rows = Block::new(Shape::Addition { tag: step.tag, digit: step.digit });
    addition_lanes(&mut rows, line, [first, second]);
    rows.copy_number(at::X1, &running.x);
    rows.copy_number(at::BEFORE_SLOPE, &running.slope);
    rows.copy_number(at::BEFORE_X, &running.through.x);
    rows.copy_number(at::BEFORE_Y, &running.through.y);
    rows.copy(at::BEFORE_SIGN, &running.sign);
    let scalar = put_step(&mut rows, block, step);
    let number = |place: Place, number: &Number| Number {
        limbs: std::array::from_fn(|i| Operand {
            source: Source::Block(block, input(place, i)),
            value: number.limbs[i].value,
        }),
    };
    let sum = Running {
        x: made(block, at::SUM_X, &line.x),
        slope: made(block, at::SLOPE, &line.slope),
        through: Point { x: number(at::X2, &x2), y: number(at::Y2, &y2) },
        sign: Operand { source: Source::Block(block, at::SIGN), value: step.sign_value() },
    };
    (rows, sum, scalar)
}

/// The entry, its index, the sign and the scalar before and after.
fn put_step(rows: &mut Block, block: usize, step: &Step) -> Operand {
    use addition_at as at;
    for (place, value) in [at::X2, at::Y2].into_iter().zip(&step.entry) {
        for (i, limb) in limbs_of(value).into_iter().enumerate() {
            rows.put(input(place, i), Fr::from(limb));
        }
    }
    let shift: Fr = step.digit.shift() * Fr::from(step.index);
    let (column, row) = at::INDEX;
    let chunk = Fr::from(1 << CHUNK_BITS);
    rows.put((column, row), Fr::from(step.index) + shift * chunk);
    rows.put((column, row + 1), shift);
    let sign = step.sign_value();
    match &step.sign {
        Some(sign) => rows.copy(at::SIGN, sign),
        None => rows.put(at::SIGN, sign),
    }
    rows.copy(at::SCALAR_BEFORE, &step.scalar);
    let digit = -sign * Fr::from(2 * step.index + 1);
    let after = step.scalar.value * step.digit.base() + digit;
    rows.put(at::SCALAR_AFTER, after);
    Operand { source: Source::Block(block, at::SCALAR_AFTER), value: after }
}

/// The tangent at a point.
fn tangent(x: &Number, y: &Number) -> Line {
    let (x, y) = (x.coordinate(), y.coordinate());
    line(x.square() * Fq::from(3), y.double(), [x, x])
}

/// The tangent's slope at (x, y) and the double's x, as block number `block`.
pub(super) fn doubling(block: usize, x: &Number, y: &Number) -> (Block, [Number; 2]) {
    doubling_on(block, x, y, &tangent(x, y))
}

/// 2λ·y − 3x²: its value and its low coefficients.
fn slope_of_double(slope: &Number, x: &Number, y: &Number) -> (BigInt, Coefficients) {
    let rise = times(&signed_limbs(slope), &signed_limbs(y));
    let square = times(&signed_limbs(x), &signed_limbs(x));
    let coefficients = std::array::from_fn(|i| &rise[i] * 2 - &square[i] * 3);
    (slope.value() * y.value() * 2 - x.value() * x.value() * 3, coefficients)
}

/// The same with a line that is given.
fn doubling_on(block: usize, x: &Number, y: &Number, line: &Line) -> (Block, [Number; 2]) {
    use addition_at as at;
    let (value, coefficients) = slope_of_double(&Number::constant(&line.slope), x, y);
    let first = divide(&value, &coefficients, TANGENT_OFFSET);
    let second = divide_x(line, &x.value(), &x.value());
    let mut rows = Block::new(Shape::Doubling);
    addition_lanes(&mut rows, line, [first, second]);
    rows.copy_number(at::X1, x);
    rows.copy_number(at::BEFORE_Y, y);
    (rows, [made(block, at::SLOPE, &line.slope), made(block, at::SUM_X, &line.x)])
}

/// The quotient of a product whose value is to be 0 as an integer: its offset.
pub(super) fn no_quotient() -> [(Place, Fr); LIMBS] {
    std::array::from_fn(|i| {
        let limb = if i + 1 == LIMBS { QUOTIENT_OFFSET } else { 0 };
        (lane(product_at::QUOTIENT, i), Fr::from(limb))
    })
}

/// The lane cells of a row: used where plain arithmetic looks up chunks.
pub(super) const LOOKUPS_PER_ROW: usize = LANES;

/// p − 1: the largest canonical number.
pub(super) fn largest() -> Number {
    Number::constant(&integer(&-Fq::ONE))
}

#[cfg(test)]
mod tests;
