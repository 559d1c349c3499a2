//! The gates of curve arithmetic, and where their cells are.
//!
//! Cells of lanes are *running sums*: a limb of four chunks stands in four rows of one lane, the
//! limb itself in the first, (limb − lowest chunk) / 2^16 below, and so on; the range lookup sees
//! the difference of a cell and 2^16 times the one below. So a limb costs its chunks and no cell
//! more.
//!
//! **Product** (8 rows): A·(B − X) + C·D − L − R = q·p, R a new number.
//!
//! | rows | lanes 0 to 5 | 6 | 7 | 8 |
//! |---|---|---|---|---|
//! | 0–3 | R₀ R₁ R₂ R₃ q₀ q₁ | A | X | D |
//! | 4–7 | q₂ q₃ c₀ c₁ (R's top, tops of c₀, c₁, –) – | B | C | L |
//!
//! **Addition** (14 rows): two equations, for new numbers λ and x₃:
//! λ·(x₂ − x₁) + τ·y₂ + λ′·(x′ − x₁) + τ′·y′ = q₁·p and λ² − x₁ − x₂ − x₃ = q₂·p.
//! The running sum's y never exists: y₁ = λ′·(x′ − x₁) + τ′·y′ by the addition before, which added
//! −τ′·(x′, y′). τ = −1 adds (x₂, y₂), τ = 1 subtracts it. (x₂, y₂) is looked up as entry `index`
//! of a table; the digit −τ·(2·index + 1) is appended to the scalar read so far.
//! **Doubling** has the same rows, with 2λ·y′ − 3x₁² = q₁·p and λ² − 2x₁ − x₃ = q₂·p. It looks up
//! tag 0, which is nothing, in the cells of x₂ and y₂, and uses neither.
//!
//! | rows | lanes 0 to 5 | 6 | 7 | 8 |
//! |---|---|---|---|---|
//! | 0–3 | λ₀ λ₁ λ₂ λ₃ x₃₀ x₃₁ | x₁ | λ′ | x′ |
//! | 4–7 | x₃₂ x₃₃ q₁₀ q₁₁ q₁₂ q₁₃ | x₂ | y₂ | y′ |
//! | 8–11 | q₂₀ q₂₁ q₂₂ q₂₃ c₀ c₁ | u₀ … u₃ | v₀ … v₃ | – |
//! | 12–13 | c₂ (two lanes) c₃ (two lanes) (tops of λ, x₃) (index, shifted) | τ τ′ | scalar before, after | – |
//!
//! uᵢ, vᵢ are two bits each, 4u + v the top of carry i.
//!
//! **Entry** (1 row): tag in [`Fix::First`], x in columns 0 to 3, y in 4 to 7.

use super::{
    bounds::{CARRY_OFFSET, CHUNK_BITS, LIMB_BITS, LIMBS, QUOTIENT_OFFSET, TANGENT_OFFSET, TOP},
    columns::{DOUBLING, Fix, Form, LANES, TAG_USE, View, constant, powers},
    short,
};
use halo2_base::{
    halo2_proofs::{
        halo2curves::{
            bn256::{Fq, Fr},
            ff::{Field, PrimeField},
        },
        plonk::Expression,
    },
    utils::{biguint_to_fe, modulus},
};
use num_bigint::BigUint;

pub(super) type Value = Expression<Fr>;
pub(super) type Limbs = [Value; LIMBS];

/// A cell relative to a block's first row: column, row.
pub(super) type Place = (usize, usize);

/// Rows of a product.
pub(super) const PRODUCT_ROWS: usize = 8;
/// Rows of an addition or doubling.
pub(super) const ADDITION_ROWS: usize = 14;

/// Where limb `i` of the group of lanes that starts with number `first` is.
pub(super) const fn lane(first: usize, i: usize) -> Place {
    ((first + i) % LANES, 4 * ((first + i) / LANES))
}

/// Where limb `i` of an input is, whose first limb is in `place`.
pub(super) const fn input((column, row): Place, i: usize) -> Place {
    (column, row + i)
}

/// Places of a product.
pub(super) mod product_at {
    use super::Place;
    pub(in super::super) const RESULT: usize = 0;
    pub(in super::super) const QUOTIENT: usize = 4;
    pub(in super::super) const CARRY: usize = 8;
    pub(in super::super) const TOPS: usize = 10;
    pub(in super::super) const A: Place = (6, 0);
    pub(in super::super) const B: Place = (6, 4);
    pub(in super::super) const X: Place = (7, 0);
    pub(in super::super) const C: Place = (7, 4);
    pub(in super::super) const D: Place = (8, 0);
    pub(in super::super) const L: Place = (8, 4);
}

/// Places of an addition.
pub(super) mod addition_at {
    use super::Place;
    pub(in super::super) const SLOPE: usize = 0;
    pub(in super::super) const SUM_X: usize = 4;
    pub(in super::super) const QUOTIENTS: [usize; 2] = [8, 12];
    pub(in super::super) const CARRY: usize = 16;
    pub(in super::super) const X1: Place = (6, 0);
    pub(in super::super) const X2: Place = (6, 4);
    pub(in super::super) const BEFORE_SLOPE: Place = (7, 0);
    pub(in super::super) const Y2: Place = (7, 4);
    pub(in super::super) const BEFORE_X: Place = (8, 0);
    pub(in super::super) const BEFORE_Y: Place = (8, 4);
    /// First of four tops, high halves; low halves one column on.
    pub(in super::super) const TOPS: Place = (6, 8);
    pub(in super::super) const SIGN: Place = (6, 12);
    pub(in super::super) const BEFORE_SIGN: Place = (6, 13);
    pub(in super::super) const SCALAR_BEFORE: Place = (7, 12);
    pub(in super::super) const SCALAR_AFTER: Place = (7, 13);
    /// Carries 2 and 3: low half here, high half one lane on.
    pub(in super::super) const SPLIT_CARRIES: [Place; 2] = [(0, 12), (2, 12)];
    /// Tops of slope and x, one below the other.
    pub(in super::super) const NUMBER_TOPS: Place = (4, 12);
    /// Index and shifted index.
    pub(in super::super) const INDEX: Place = (5, 12);
}

fn integer(value: u128) -> Fr {
    Fr::from_u128(value)
}

fn chunk_base() -> Fr {
    Fr::from(1 << CHUNK_BITS)
}

pub(super) fn limb_base() -> Fr {
    integer(1 << LIMB_BITS)
}

fn lanes(view: &mut View<'_, '_>, first: usize) -> Limbs {
    std::array::from_fn(|i| {
        let (column, row) = lane(first, i);
        view.at(column, row)
    })
}

fn inputs(view: &mut View<'_, '_>, place: Place) -> Limbs {
    std::array::from_fn(|i| {
        let (column, row) = input(place, i);
        view.at(column, row)
    })
}

fn minus(a: &Limbs, b: &Limbs) -> Limbs {
    std::array::from_fn(|i| a[i].clone() - b[i].clone())
}

fn sum(terms: impl Iterator<Item = Value>) -> Value {
    terms.reduce(|a, b| a + b).unwrap_or(constant(Fr::ZERO))
}

/// Coefficient `k` of a product.
fn coefficient(a: &Limbs, b: &Limbs, k: usize) -> Value {
    sum((0..=k).map(|i| a[i].clone() * b[k - i].clone()))
}

/// The number modulo r.
fn native(limbs: &Limbs) -> Value {
    sum(limbs.iter().zip(powers(limb_base())).map(|(limb, power)| limb.clone() * power))
}

/// A value by its four low coefficients and modulo r; in the short form modulo r and by
/// the two sums of coefficients that are checked.
struct Equation {
    form: Form,
    parts: Vec<Value>,
}

impl Equation {
    fn product(form: Form, a: &Limbs, b: &Limbs) -> Self {
        let parts = match form {
            Form::Pinned => {
                let coefficients = (0..LIMBS).map(|k| coefficient(a, b, k));
                coefficients.chain([native(a) * native(b)]).collect()
            }
            Form::Short { .. } => short::product(a, b).to_vec(),
        };
        Self { form, parts }
    }

    fn square(form: Form, a: &Limbs) -> Self {
        match form {
            Form::Pinned => Self::product(form, a, a),
            Form::Short { .. } => Self { form, parts: short::square(a).to_vec() },
        }
    }

    fn of(form: Form, limbs: &Limbs) -> Self {
        let parts = match form {
            Form::Pinned => limbs.iter().cloned().chain([native(limbs)]).collect(),
            Form::Short { .. } => short::sums(limbs).to_vec(),
        };
        Self { form, parts }
    }

    fn with(self, other: Self, with: fn(Value, Value) -> Value) -> Self {
        let parts = self.parts.into_iter().zip(other.parts).map(|(a, b)| with(a, b)).collect();
        Self { form: self.form, parts }
    }

    fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    fn minus(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    fn times(self, factor: &Value) -> Self {
        let parts = self.parts.into_iter().map(|part| part * factor.clone()).collect();
        Self { form: self.form, parts }
    }

    /// That this is the quotient less its offset times p, with these carries: modulo r, and the
    /// lower and the upper half modulo 2^256.
    fn multiple_of_p(self, quotient: &Limbs, offset: u64, [low, high]: [Value; 2]) -> Vec<Value> {
        let p = modulus::<Fq>();
        let limbs = std::array::from_fn(|i| {
            let limb: BigUint = (&p >> (i * LIMB_BITS)) % (BigUint::from(1u8) << LIMB_BITS);
            biguint_to_fe(&limb)
        });
        let offset = Fr::from(offset);
        if let Form::Short { .. } = self.form {
            let p = (limbs, biguint_to_fe(&p));
            let multiple = short::multiple(p, (quotient, offset), [low, high]);
            return self.parts.into_iter().zip(multiple).map(|(part, it)| part - it).collect();
        }
        let [a, b, c, d] = quotient.clone();
        let quotient = [a, b, c, d - constant(offset)];
        let mut multiple = Self::product(self.form, &quotient, &limbs.map(constant));
        multiple.parts[LIMBS] = native(&quotient) * constant(biguint_to_fe(&p));
        let rest = self.minus(multiple);
        let e = |k: usize| rest.parts[k].clone();
        let (base, square) = (constant(limb_base()), constant(limb_base().square()));
        let first = e(0) + e(1) * base.clone() - low.clone() * square.clone();
        let second = e(2) + e(3) * base + low - high * square;
        vec![e(LIMBS), first, second]
    }
}

/// A carry from its 64 bits and its top.
fn carry(low: Value, top: Value) -> Value {
    low + (top - constant(Fr::from(CARRY_OFFSET))) * constant(limb_base())
}

/// Chunk at `row` of a lane, more of which stand below if `more`.
fn chunk(view: &mut View<'_, '_>, (lane, row): Place, more: bool) -> Value {
    let cell = view.at(lane, row);
    if more { cell - view.at(lane, row + 1) * constant(chunk_base()) } else { cell }
}

/// That `checked`, a chunk, is the top chunk of the number whose limbs are the lanes from `first`,
/// moved so far up that only tops below [`TOP`] are chunks.
fn top_is_small(view: &mut View<'_, '_>, first: usize, checked: Value) -> Value {
    let (column, row) = lane(first, LIMBS - 1);
    let top = view.at(column, row + 3);
    checked - top - constant(Fr::from((1 << CHUNK_BITS) - TOP))
}

/// The gate of products.
pub(super) fn product(view: &mut View<'_, '_>) -> Vec<Value> {
    use product_at as at;
    let form = view.form;
    let selector = view.one_of(Fix::Plain, 1, DOUBLING);
    let [result, quotient] = [at::RESULT, at::QUOTIENT].map(|first| lanes(view, first));
    let [a, b, x, c, d, l] = [at::A, at::B, at::X, at::C, at::D, at::L].map(|at| inputs(view, at));
    let tops: [Value; 3] = std::array::from_fn(|i| {
        let (column, row) = lane(at::TOPS, 0);
        chunk(view, (column, row + i), true)
    });
    let carries = [0, 1].map(|i| {
        let (column, row) = lane(at::CARRY, i);
        carry(view.at(column, row), tops[i + 1].clone())
    });
    let left = Equation::product(form, &a, &minus(&b, &x)).plus(Equation::product(form, &c, &d));
    let left = left.minus(Equation::of(form, &l)).minus(Equation::of(form, &result));
    let mut all = left.multiple_of_p(&quotient, QUOTIENT_OFFSET, carries);
    all.push(top_is_small(view, at::RESULT, tops[0].clone()));
    all.into_iter().map(|value| selector.clone() * value).collect()
}

/// Carries of an addition: two of a whole lane, two split over two.
fn addition_carries(view: &mut View<'_, '_>) -> [Value; 4] {
    use addition_at as at;
    std::array::from_fn(|i| {
        let low = if i < 2 {
            let (column, row) = lane(at::CARRY, i);
            view.at(column, row)
        } else {
            let (column, row) = at::SPLIT_CARRIES[i - 2];
            view.at(column, row) + view.at(column + 1, row) * constant(integer(1 << 32))
        };
        let (column, row) = at::TOPS;
        let four = constant(Fr::from(4));
        carry(low, view.at(column, row + i) * four + view.at(column + 1, row + i))
    })
}

/// That a value is 0, 1, 2 or 3.
fn two_bits(value: &Value) -> Value {
    let from = |i: u64| value.clone() - constant(Fr::from(i));
    value.clone() * from(1) * from(2) * from(3)
}

/// The gate of additions and doublings.
pub(super) fn addition(view: &mut View<'_, '_>) -> Vec<Value> {
    use addition_at as at;
    let form = view.form;
    let either = view.fixed(Fix::Add);
    let double = view.one_of(Fix::Plain, DOUBLING, DOUBLING);
    let add = either.clone() * (constant(Fr::from(DOUBLING)) - view.fixed(Fix::Plain));
    let [slope, x3] = [at::SLOPE, at::SUM_X].map(|first| lanes(view, first));
    let [q1, q2] = at::QUOTIENTS.map(|first| lanes(view, first));
    let carries = addition_carries(view);
    let [c0, c1, c2, c3] = carries;
    let [x1, x2] = [at::X1, at::X2].map(|place| inputs(view, place));
    let added = slope_of_sum(view, &slope, [&x1, &x2]).multiple_of_p(
        &q1,
        QUOTIENT_OFFSET,
        [c0.clone(), c1.clone()],
    );
    let y = inputs(view, at::BEFORE_Y);
    let (two, three) = (constant(Fr::from(2)), constant(Fr::from(3)));
    let rise = Equation::product(form, &slope, &y).times(&two);
    let doubled = rise.minus(Equation::square(form, &x1).times(&three));
    let doubled = doubled.multiple_of_p(&q1, TANGENT_OFFSET, [c0, c1]);
    let x3 = |second: &Limbs| {
        let square = Equation::square(form, &slope).minus(Equation::of(form, &x1));
        let rest = square.minus(Equation::of(form, second)).minus(Equation::of(form, &x3));
        rest.multiple_of_p(&q2, QUOTIENT_OFFSET, [c2.clone(), c3.clone()])
    };
    let (added, doubled) = ([added, x3(&x2)], [doubled, x3(&x1)]);
    let both = added.into_iter().flatten().zip(doubled.into_iter().flatten());
    let mut all: Vec<Value> =
        both.map(|(added, doubled)| add.clone() * added + double.clone() * doubled).collect();
    let ranges = range_of_addition(view).into_iter();
    all.extend(ranges.map(|value| either.clone() * value));
    all.extend(digit(view).into_iter().map(|value| add.clone() * value));
    all
}

/// λ·(x₂ − x₁) + τ·y₂ + λ′·(x′ − x₁) + τ′·y′.
fn slope_of_sum(view: &mut View<'_, '_>, slope: &Limbs, [x1, x2]: [&Limbs; 2]) -> Equation {
    use addition_at as at;
    let form = view.form;
    let [before_slope, before_x, before_y, y2] =
        [at::BEFORE_SLOPE, at::BEFORE_X, at::BEFORE_Y, at::Y2].map(|place| inputs(view, place));
    let [sign, before_sign] = [at::SIGN, at::BEFORE_SIGN].map(|(column, row)| view.at(column, row));
    let rise = Equation::product(form, slope, &minus(x2, x1));
    let before = Equation::product(form, &before_slope, &minus(&before_x, x1));
    let ys = Equation::of(form, &y2)
        .times(&sign)
        .plus(Equation::of(form, &before_y).times(&before_sign));
    rise.plus(before).plus(ys)
}

/// What bounds an addition's cells beside the lanes: tops of carries and of numbers.
fn range_of_addition(view: &mut View<'_, '_>) -> Vec<Value> {
    use addition_at as at;
    let (column, row) = at::TOPS;
    let tops = (0..8).map(|i| two_bits(&view.at(column + i / 4, row + i % 4)));
    let mut all: Vec<Value> = tops.collect();
    let (column, row) = at::NUMBER_TOPS;
    let slope = chunk(view, (column, row), true);
    let x = chunk(view, (column, row + 1), false);
    all.push(top_is_small(view, at::SLOPE, slope));
    all.push(top_is_small(view, at::SUM_X, x));
    all
}

/// Index of the table's entry: below the number of entries, since it is a chunk also when shifted.
fn index(view: &mut View<'_, '_>) -> Value {
    chunk(view, addition_at::INDEX, true)
}

/// The index is in its table, the sign is one, the scalar grows by a digit.
fn digit(view: &mut View<'_, '_>) -> [Value; 3] {
    use addition_at as at;
    let index = index(view);
    let (column, row) = at::INDEX;
    let use_of = |view: &mut View<'_, '_>, fix| view.fixed(fix) - constant(Fr::from(TAG_USE));
    let shifted = view.at(column, row + 1) - index.clone() * use_of(view, Fix::Second);
    let [sign, before, after] =
        [at::SIGN, at::SCALAR_BEFORE, at::SCALAR_AFTER].map(|(column, row)| view.at(column, row));
    let one = constant(Fr::ONE);
    let magnitude = index * constant(Fr::from(2)) + one.clone();
    let appended = after - before * use_of(view, Fix::Third) + sign.clone() * magnitude;
    [shifted, sign.clone() * sign - one, appended]
}

/// The lookup of a table's entry: tag, x, y. A row that adds nothing looks up (0, 0, 0), which the
/// row below the public words is in every circuit. A row that adds looks up a tag from 1 on, since
/// the first tag of a table is fixed and the index is not negative; rows without a tag have 0
/// there, rows of additions [`TAG_USE`] and more, rows of the hash a constant above that. A
/// doubling looks up tag 0, or what else its index says, and uses nothing of it.
pub(super) fn pick(view: &mut View<'_, '_>) -> Vec<(Value, Value)> {
    use addition_at as at;
    let (add, first) = (view.fixed(Fix::Add), view.fixed(Fix::First));
    let tag = first.clone() - constant(Fr::from(TAG_USE)) + index(view);
    let [x, y] = [at::X2, at::Y2].map(|place| inputs(view, place));
    let picked = [tag].into_iter().chain(x).chain(y).map(|value| add.clone() * value);
    let entry = std::iter::once(first).chain((0..2 * LIMBS).map(|i| view.in_row(i)));
    picked.zip(entry).collect()
}
