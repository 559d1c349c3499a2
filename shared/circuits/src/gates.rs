//! What circuits are written with: plain arithmetic, and gates for the two things that cost.
//!
//! halo2-base's builder writes plain arithmetic down (a + b·c = d, range checks), and its cells are
//! what everything else names. Permutations of the hash and arithmetic on the curve's coordinates
//! are *blocks* of rows with gates of their own, recorded here and tied to plain cells by copies.
//! A [`sheet::Sheet`] is both, laid out in columns: it is what keys are made of, what is checked
//! and what is proved.
//!
//! | file | what it holds |
//! |---|---|
//! | [`columns`] | the columns, plain arithmetic, lookups |
//! | [`hash`] | the permutation's gate |
//! | [`curve`] | the gates of products, additions, doublings; the tables' lookup |
//! | [`bounds`] | why the curve gates say what they mean, asserted |
//! | [`poseidon`] | the hash as a function, and the chips applications are written with |
//! | [`number`] | values that blocks work on |
//! | [`blocks`] | the cells of each block |
//! | [`sheet`] | the layout of a whole circuit |
//! | [`check`] | a layout against every constraint |
//! | [`short`] | the gates as the prover evaluates them |

use blocks::{Block, Factors, Step};
use halo2_base::{
    AssignedValue, Context, ContextCell, QuantumCell,
    gates::{GateInstructions, RangeChip, RangeInstructions},
    halo2_proofs::halo2curves::{
        bn256::{Fq, Fr},
        ff::{Field, PrimeField},
    },
    utils::{biguint_to_fe, fe_to_biguint},
};
use num_bigint::BigUint;
use number::{Number, Operand, Point, Running, Source};
use std::{cell::RefCell, ops::Deref};

pub(crate) mod blocks;
mod bounds;
pub mod check;
pub(crate) mod columns;
mod curve;
pub(crate) mod draft;
pub(crate) mod hash;
pub(crate) mod number;
pub mod poseidon;
pub mod sheet;
pub(crate) mod short;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use bounds::{LIMB_BITS, LIMBS};
pub use draft::Draft;

/// A cell of plain arithmetic.
pub(crate) type Cell = AssignedValue<Fr>;

/// A plain cell that is a running sum of looked-up chunks in one lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RangeCheck {
    pub(crate) cell: Option<ContextCell>,
    pub(crate) value: Fr,
    pub(crate) chunks: usize,
}

/// Blocks recorded so far, and plain cells that are copies of theirs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) blocks: Vec<Block>,
    pub(crate) ranges: Vec<RangeCheck>,
    pub(crate) links: Vec<(ContextCell, Source)>,
    tags: u64,
}

/// The chip of a circuit being written: range checks and plain arithmetic by halo2-base's chip,
/// blocks by its own methods.
pub struct Gates {
    range: RangeChip<Fr>,
    rows: RefCell<Rows>,
}

impl Deref for Gates {
    type Target = RangeChip<Fr>;

    fn deref(&self) -> &RangeChip<Fr> {
        &self.range
    }
}

/// A table that additions pick from: its first tag and its entries.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) tag: u64,
    pub(crate) entries: Vec<Point>,
}

impl Gates {
    /// Gates of a circuit whose plain cells `range` writes.
    #[must_use]
    pub fn new(range: RangeChip<Fr>) -> Self {
        // Tag 0 is what a row without a table has.
        Self { range, rows: RefCell::new(Rows { tags: 1, ..Rows::default() }) }
    }

    /// The blocks.
    pub(crate) fn into_rows(self) -> Rows {
        self.rows.into_inner()
    }

    fn push(&self, block: Block) -> usize {
        let mut rows = self.rows.borrow_mut();
        rows.blocks.push(block);
        rows.blocks.len() - 1
    }

    /// Number of the block that is recorded next.
    fn next(&self) -> usize {
        self.rows.borrow().blocks.len()
    }

    /// Requires a plain cell to equal a block's cell or a constant.
    pub(crate) fn link(&self, cell: &Cell, to: Source) {
        let cell = cell.cell.map(|cell| (cell, to));
        self.rows.borrow_mut().links.extend(cell);
    }

    /// The plain cell of an operand.
    pub(crate) fn cell(&self, ctx: &mut Context<Fr>, operand: &Operand) -> Cell {
        let cell = ctx.load_witness(operand.value);
        self.link(&cell, operand.source);
        cell
    }

    /// Requires a plain cell to be below 2^bits: a running sum in one lane, whose last chunk is a
    /// chunk also when moved up to the table's end.
    pub fn range_check(&self, ctx: &mut Context<Fr>, cell: Cell, bits: usize) {
        if bits == 0 {
            return self.range.gate.assert_is_const(ctx, &cell, &Fr::ZERO);
        }
        let table = self.range.lookup_bits();
        let (chunks, last_bits) = (bits.div_ceil(table), bits % table);
        let number = self.sum(&cell, chunks);
        if last_bits == 0 {
            return;
        }
        let last = if chunks == 1 {
            cell
        } else {
            let shift = (chunks - 1) * table;
            let last = Operand {
                source: Source::Chunk(number, chunks - 1),
                value: biguint_to_fe(&(fe_to_biguint(cell.value()) >> shift)),
            };
            self.cell(ctx, &last)
        };
        let room = Fr::from(1 << (table - last_bits));
        let moved = self.range.gate.mul(ctx, last, QuantumCell::Constant(room));
        self.sum(&moved, 1);
    }

    fn sum(&self, cell: &Cell, chunks: usize) -> usize {
        let mut rows = self.rows.borrow_mut();
        rows.ranges.push(RangeCheck { cell: cell.cell, value: *cell.value(), chunks });
        rows.ranges.len() - 1
    }

    /// The permutation of a state.
    pub(crate) fn permute(&self, state: [Operand; hash::WIDTH]) -> [Operand; hash::WIDTH] {
        let (block, output) = blocks::hash(state);
        let block = self.push(block);
        std::array::from_fn(|i| Operand {
            source: Source::Block(block, (i, hash::OUTPUT)),
            value: output[i],
        })
    }

    /// Word 0 of the permutation of [0, a, b].
    pub(crate) fn h2(
        &self,
        ctx: &mut Context<Fr>,
        a: impl Into<QuantumCell<Fr>>,
        b: impl Into<QuantumCell<Fr>>,
    ) -> Cell {
        let mut operand = |cell: QuantumCell<Fr>| match cell {
            QuantumCell::Constant(value) => Operand::constant(value),
            QuantumCell::Existing(cell) => Operand::plain(&cell),
            QuantumCell::Witness(value) => Operand::plain(&ctx.load_witness(value)),
            QuantumCell::WitnessFraction(value) => {
                Operand::plain(&ctx.load_witness(value.evaluate()))
            }
        };
        let state = [Operand::constant(Fr::ZERO), operand(a.into()), operand(b.into())];
        let output = self.permute(state)[0];
        self.cell(ctx, &output)
    }

    /// A·(B − X) + C·D − L modulo p.
    pub(crate) fn product(&self, factors: &Factors<'_>) -> Number {
        let (block, result) = blocks::product(self.next(), factors);
        self.push(block);
        result
    }

    /// a·b modulo p.
    pub(crate) fn times(&self, a: &Number, b: &Number) -> Number {
        let zero = &Number::zero();
        self.product(&Factors { a, b, x: zero, c: zero, d: zero, l: zero })
    }

    /// p − 1 − `value` as an integer, which therefore is below p.
    fn rest(&self, value: &Number) -> Number {
        let zero = &Number::zero();
        let one = &Number::factor(Operand::constant(Fr::ONE));
        let largest = &blocks::largest();
        let factors = Factors { a: zero, b: zero, x: zero, c: largest, d: one, l: value };
        let block = self.next();
        let (mut rows, rest) = blocks::product(block, &factors);
        rows.copies
            .extend(blocks::no_quotient().map(|(place, limb)| (place, Source::Constant(limb))));
        self.push(rows);
        rest
    }

    /// Requires a number to be below p: it then has one encoding only.
    pub(crate) fn assert_canonical(&self, value: &Number) {
        self.rest(value);
    }

    /// A witness below p. Two blocks: what is left to p − 1 is range-checked in the first, the
    /// number itself, as what is left of that, in the second.
    pub(crate) fn load(&self, value: Fq) -> Number {
        self.load_integer(&number::integer(&value))
    }

    fn load_integer(&self, value: &BigUint) -> Number {
        let block = self.next() + 1;
        let limbs = number::limbs_of(value);
        let ahead = Number {
            limbs: std::array::from_fn(|i| Operand {
                source: Source::Block(block, curve::lane(curve::product_at::RESULT, i)),
                value: Fr::from(limbs[i]),
            }),
        };
        let rest = self.rest(&ahead);
        self.rest(&rest)
    }

    /// A witness on the curve, both coordinates below p. The identity is not on it.
    pub(crate) fn load_point(&self, [x, y]: [Fq; 2]) -> Point {
        let (x, y) = (self.load(x), self.load(y));
        let square = self.times(&x, &x);
        let zero = &Number::zero();
        let factors = Factors { a: &square, b: zero, x: &x, c: &y, d: &y, l: zero };
        let block = self.next();
        let three = self.product(&factors);
        let mut rows = self.rows.borrow_mut();
        let expected = Number::constant(&3u8.into());
        let result = three.limbs.iter().zip(&expected.limbs).enumerate();
        let copies =
            result.map(|(i, (_, limb))| (curve::lane(curve::product_at::RESULT, i), limb.source));
        rows.blocks[block].copies.extend(copies);
        drop(rows);
        Point { x, y }
    }

    /// A table of `entries`; additions name it by its first tag.
    pub(crate) fn table(&self, entries: Vec<Point>) -> Table {
        let mut rows = self.rows.borrow_mut();
        let tag = rows.tags;
        rows.tags += entries.len() as u64;
        assert!(rows.tags < columns::TAG_USE, "tags of entries and of their use are apart");
        let blocks =
            (tag..).zip(&entries).map(|(tag, entry)| blocks::entry(tag, &entry.x, &entry.y));
        rows.blocks.extend(blocks);
        drop(rows);
        Table { tag, entries }
    }

    /// `running` plus or minus an entry; the scalar with the digit appended.
    pub(crate) fn add(&self, running: &Running, step: &Step) -> (Running, Operand) {
        let (block, sum, scalar) = blocks::addition(self.next(), running, step);
        self.push(block);
        (sum, scalar)
    }

    /// The point of a sum: its y, from the line it was found on.
    pub(crate) fn point(&self, running: &Running) -> Point {
        let Running { x, slope, through, sign } = running;
        let y = self.product(&Factors {
            a: slope,
            b: &through.x,
            x,
            c: &through.y,
            d: &Number::factor(*sign),
            l: &Number::zero(),
        });
        Point { x: x.clone(), y }
    }

    /// Twice a point. Its y is never 0 on a curve of odd order.
    pub(crate) fn double(&self, point: &Point) -> Point {
        let (block, [slope, x]) = blocks::doubling(self.next(), &point.x, &point.y);
        self.push(block);
        let minus = Number::factor(Operand::constant(-Fr::ONE));
        let y = self.product(&Factors {
            a: &slope,
            b: &point.x,
            x: &x,
            c: &point.y,
            d: &minus,
            l: &Number::zero(),
        });
        Point { x, y }
    }

    /// The number modulo r, as a plain cell. Only a number below p has one such cell.
    pub(crate) fn native(&self, ctx: &mut Context<Fr>, number: &Number) -> Cell {
        let limbs: Vec<Cell> = number.limbs.iter().map(|limb| self.cell(ctx, limb)).collect();
        let base = Fr::from_u128(1 << LIMB_BITS);
        let powers = columns::powers(base).take(LIMBS).map(QuantumCell::Constant);
        self.range.gate.inner_product(ctx, limbs, powers)
    }
}
