//! A whole circuit in columns: blocks, range checks and plain arithmetic, one below the other.
//!
//! | rows | what |
//! |---|---|
//! | 0 … | the public words, copies in column 8 |
//! | then one | nothing: what a row that adds nothing looks up |
//! | … | blocks, in the order they were recorded |
//! | … | range checks of plain cells, a running sum in each lane |
//! | … | plain arithmetic, two gates a row; column 8 takes cells that are in no gate |
//!
//! A plain cell is in every gate it is part of; the first place is its home, and the others are
//! copies of it. Keys are made of a sheet's fixed cells and copies alone. Constants that cells are
//! copied from stand in a fixed column wherever no gate reads it.

use super::{
    Cell, Draft, RangeCheck,
    blocks::{Block, LOOKUPS_PER_ROW, Shape},
    columns::{ADVICE, Columns, FIXED, Fix, Layout as Arrangement},
    draft::table_bits,
    number::Source,
};
use fold::{Fold, Segment};
use halo2_base::{
    ContextCell,
    halo2_proofs::{
        circuit::{self, Layouter, Region, SimpleFloorPlanner, Value},
        halo2curves::{
            bn256::Fr,
            ff::{Field, PrimeField},
        },
        plonk::{Any, Circuit, Column, ConstraintSystem, Error},
    },
    utils::{biguint_to_fe, fe_to_biguint},
};
use num_bigint::BigUint;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

mod fold;

/// The circuit has more rows than its height allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit takes {rows} rows of {usable}")]
pub struct TooLarge {
    /// Rows it takes.
    pub rows: usize,
    /// Rows it has.
    pub usable: usize,
}

static WIDE: LazyLock<ConstraintSystem<Fr>> = LazyLock::new(|| configured(Arrangement::Wide));
static NARROW: LazyLock<ConstraintSystem<Fr>> = LazyLock::new(|| configured(Arrangement::Narrow));

fn configured(layout: Arrangement) -> ConstraintSystem<Fr> {
    let mut system = ConstraintSystem::default();
    Columns::configure(&mut system, layout);
    system
}

/// The constraint system of every circuit of a layout.
pub(super) fn system(layout: Arrangement) -> &'static ConstraintSystem<Fr> {
    match layout {
        Arrangement::Wide => &WIDE,
        Arrangement::Narrow => &NARROW,
    }
}

/// Rows of a circuit of 2^k that hold no blinding.
#[must_use]
pub fn usable_rows(k: u32, layout: Arrangement) -> usize {
    (1 << k) - system(layout).blinding_factors() - 1
}

/// Number of [`At`]'s column of constants.
pub(super) const CONSTANTS: usize = ADVICE;

/// A cell with copies: an advice column, or the constants as column [`CONSTANTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At {
    pub(crate) column: usize,
    pub(crate) row: usize,
}

/// How much of a circuit is what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows used.
    pub rows: usize,
    /// Rows there are.
    pub usable: usize,
    /// Rows of blocks, the public words' and the empty one above them.
    pub block_rows: usize,
    /// Rows of plain arithmetic and its range checks.
    pub plain_rows: usize,
    /// Chunks looked up by plain arithmetic.
    pub lookups: usize,
}

/// A circuit laid out.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub(super) k: u32,
    pub(super) layout: Arrangement,
    pub(super) advice: Vec<Vec<Fr>>,
    pub(super) fixed: Vec<Vec<Fr>>,
    pub(super) copies: Vec<(At, At)>,
    pub(super) public: Vec<Fr>,
    counts: Counts,
}

/// The shared lists are only ever locked for an append, which cannot leave them half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Layout<'a> {
    draft: &'a Draft,
    sheet: Sheet,
    homes: HashMap<ContextCell, At>,
    constants: BTreeMap<Fr, usize>,
    /// Cells of column 8 beside plain arithmetic that are still free.
    spare: Vec<At>,
    starts: Vec<usize>,
    /// Where each range check's sum starts.
    sums: Vec<At>,
    segments: Vec<Segment>,
}

impl Sheet {
    pub(super) fn lay_out(draft: &Draft) -> Result<Self, TooLarge> {
        let sheet = Self {
            k: draft.k,
            layout: Arrangement::Wide,
            advice: vec![Vec::new(); ADVICE],
            fixed: vec![Vec::new(); FIXED],
            copies: Vec::new(),
            public: draft.public(),
            counts: Counts {
                usable: usable_rows(draft.k, draft.layout),
                rows: draft.shown().len(),
                ..Counts::default()
            },
        };
        let words = sheet.public.len();
        let (homes, constants) = (HashMap::new(), BTreeMap::new());
        let (spare, starts) = (Vec::new(), Vec::new());
        let sums = vec![At { column: 0, row: 0 }; draft.rows.ranges.len()];
        let segments = vec![
            Segment { start: 0, rows: words, fold: Fold::Words },
            Segment { start: words, rows: 1, fold: Fold::Rows },
        ];
        let mut layout = Layout { draft, sheet, homes, constants, spare, starts, sums, segments };
        layout.blocks();
        layout.ranges();
        layout.lookups();
        layout.plain();
        layout.ties();
        layout.finish()
    }

    /// How much of the circuit is what.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The public words.
    #[must_use]
    pub fn public(&self) -> &[Fr] {
        &self.public
    }

    /// log₂ of the rows.
    #[must_use]
    pub const fn k(&self) -> u32 {
        self.k
    }

    pub(super) fn value(&self, at: At) -> Fr {
        let column = if at.column == CONSTANTS {
            &self.fixed[self.layout.constants()]
        } else {
            &self.advice[at.column]
        };
        column.get(at.row).copied().unwrap_or(Fr::ZERO)
    }

    /// The row that holds nothing: the one below the public words.
    pub(super) const fn empty_row(&self) -> usize {
        self.public.len()
    }

    /// Hash of everything a key is made from: fixed cells and copies.
    #[must_use]
    pub fn layout_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.k.to_be_bytes()).update(&[self.layout as u8]);
        for column in &self.fixed {
            hasher.update(&(column.len() as u64).to_be_bytes());
            for value in column {
                hasher.update(&value.to_repr());
            }
        }
        let places = self.copies.iter().flat_map(|(a, b)| [a, b]);
        for at in places {
            let place = (at.column as u64) << 48 | at.row as u64;
            hasher.update(&place.to_be_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

fn set(column: &mut Vec<Fr>, row: usize, value: Fr) {
    if column.len() <= row {
        column.resize(row + 1, Fr::ZERO);
    }
    column[row] = value;
}

impl Layout<'_> {
    fn put(&mut self, at: At, value: Fr) {
        set(&mut self.sheet.advice[at.column], at.row, value);
    }

    fn fix(&mut self, column: Fix, row: usize, value: Fr) {
        set(&mut self.sheet.fixed[column as usize], row, value);
    }

    fn next_row(&self) -> usize {
        self.sheet.counts.rows + 1
    }

    fn blocks(&mut self) {
        let draft = self.draft;
        for block in &draft.rows.blocks {
            let start = self.next_row();
            self.starts.push(start);
            self.block(block, start);
            let rows = block.shape.rows();
            let fold = match block.shape {
                Shape::Hash => Fold::Hash,
                Shape::Entry { .. } => Fold::Rows,
                Shape::Product | Shape::Addition { .. } | Shape::Doubling => Fold::Strips(rows),
            };
            self.segments.push(Segment { start, rows, fold });
            self.sheet.counts.rows += rows;
        }
        self.sheet.counts.block_rows = self.sheet.counts.rows;
    }

    fn block(&mut self, block: &Block, start: usize) {
        for ((column, row), value) in &block.cells {
            self.put(At { column: *column, row: start + row }, *value);
        }
        for (column, row, value) in block.shape.fixed() {
            self.fix(column, start + row, value);
        }
    }

    /// The value of a plain cell.
    fn plain_value(&self, cell: &ContextCell) -> Fr {
        let threads = &self.draft.builder.core().phase_manager[0].threads;
        let value = threads.get(cell.context_id).and_then(|thread| thread.advice.get(cell.offset));
        value.map_or(Fr::ZERO, |value| value.evaluate())
    }

    /// Puts a plain cell somewhere: its home if it has none, else a copy.
    fn place(&mut self, cell: ContextCell, at: At) {
        let value = self.plain_value(&cell);
        self.put(at, value);
        match self.homes.get(&cell) {
            None => drop(self.homes.insert(cell, at)),
            Some(home) => self.sheet.copies.push((*home, at)),
        }
    }

    /// Range checks of equal length side by side.
    fn ranges(&mut self) {
        let ranges = &self.draft.rows.ranges;
        let mut by_chunks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, range) in ranges.iter().enumerate() {
            by_chunks.entry(range.chunks).or_default().push(number);
            self.sheet.counts.lookups += range.chunks;
        }
        for (chunks, numbers) in by_chunks {
            for side_by_side in numbers.chunks(LOOKUPS_PER_ROW) {
                self.sums_of(chunks, side_by_side);
            }
        }
    }

    /// Running sums of so many chunks in the lanes.
    fn sums_of(&mut self, chunks: usize, numbers: &[usize]) {
        let (start, bits) = (self.next_row(), table_bits(self.sheet.k));
        self.segments.push(Segment { start, rows: chunks, fold: Fold::Strips(chunks) });
        self.sheet.counts.rows += chunks;
        for row in start..start + chunks {
            self.fix(Fix::Look, row, Fr::ONE);
            let more = if row + 1 == start + chunks { Fr::ZERO } else { Fr::from(1 << bits) };
            self.fix(Fix::More, row, more);
        }
        let ranges = &self.draft.rows.ranges;
        for (column, number) in numbers.iter().enumerate() {
            self.range((*number, &ranges[*number]), At { column, row: start }, bits);
        }
    }

    fn range(&mut self, (number, range): (usize, &RangeCheck), at: At, bits: usize) {
        self.sums[number] = at;
        range.cell.into_iter().for_each(|cell| self.place(cell, at));
        let value = range.cell.map_or(range.value, |cell| self.plain_value(&cell));
        let whole = fe_to_biguint(&value);
        for i in 1..range.chunks {
            let value: BigUint = &whole >> (i * bits);
            self.put(At { column: at.column, row: at.row + i }, biguint_to_fe(&value));
        }
    }

    /// Chunks that the library's own chip looks up.
    fn lookups(&mut self) {
        let draft = self.draft;
        let cells = lock(&draft.builder.lookup_manager()[0].cells_to_lookup);
        let cells: Vec<&Cell> = cells.values().flatten().map(|[cell]| cell).collect();
        self.sheet.counts.lookups += cells.len();
        for chunk in cells.chunks(LOOKUPS_PER_ROW) {
            let row = self.next_row();
            self.segments.push(Segment { start: row, rows: 1, fold: Fold::Strips(1) });
            self.fix(Fix::Look, row, Fr::ONE);
            for (column, cell) in chunk.iter().enumerate() {
                cell.cell.into_iter().for_each(|cell| self.place(cell, At { column, row }));
            }
            self.sheet.counts.rows += 1;
        }
    }

    fn plain(&mut self) {
        let threads = &self.draft.builder.core().phase_manager[0].threads;
        let gates = threads.iter().flat_map(|thread| {
            let active = thread.selector.iter().enumerate().filter(|(_, active)| **active);
            active.map(|(offset, _)| ContextCell::new(thread.type_id(), thread.id(), offset))
        });
        for (number, first) in gates.enumerate() {
            if number.is_multiple_of(2) {
                self.sheet.counts.rows += 1;
                let row = self.sheet.counts.rows;
                self.fix(Fix::Plain, row, Fr::from(2));
                self.spare.push(At { column: ADVICE - 1, row });
            }
            let row = self.sheet.counts.rows;
            for i in 0..4 {
                let cell = ContextCell { offset: first.offset + i, ..first };
                self.place(cell, At { column: 4 * (number % 2) + i, row });
            }
        }
        self.spare.reverse();
    }

    /// A plain cell's home; one that is in no gate gets a free cell.
    fn home(&mut self, cell: ContextCell) -> At {
        if let Some(home) = self.homes.get(&cell) {
            return *home;
        }
        if self.spare.is_empty() {
            let row = self.next_row();
            self.sheet.counts.rows += 1;
            self.spare.extend((0..ADVICE).map(|column| At { column, row }));
        }
        let at = self.spare.pop().unwrap_or(At { column: 0, row: 0 });
        self.place(cell, at);
        at
    }

    /// The number of a constant stands for its row until [`Self::put_constants`].
    fn constant(&mut self, value: Fr) -> At {
        let next = self.constants.len();
        let row = *self.constants.entry(value).or_insert(next);
        At { column: CONSTANTS, row }
    }

    /// Puts constants on rows where no gate reads their column: where it still holds 0.
    fn put_constants(&mut self) {
        let column = &mut self.sheet.fixed[self.sheet.layout.constants()];
        let mut numbered: Vec<(usize, Fr)> =
            self.constants.iter().map(|(value, number)| (*number, *value)).collect();
        numbered.sort_unstable_by_key(|(number, _)| *number);
        let free = |column: &[Fr], row: usize| column.get(row).is_none_or(|v| *v == Fr::ZERO);
        let mut next = 0;
        let mut rows = Vec::with_capacity(numbered.len());
        for (_, value) in numbered {
            while !free(column, next) {
                next += 1;
            }
            set(column, next, value);
            rows.push(next);
            next += 1;
        }
        for at in self.sheet.copies.iter_mut().flat_map(|(a, b)| [a, b]) {
            if at.column == CONSTANTS {
                at.row = rows[at.row];
            }
        }
    }

    fn source(&mut self, source: Source) -> At {
        match source {
            Source::Plain(cell) => self.home(cell),
            Source::Block(block, (column, row)) => At { column, row: self.starts[block] + row },
            Source::Chunk(number, chunk) => {
                let At { column, row } = self.sums[number];
                At { column, row: row + chunk }
            }
            Source::Constant(value) => self.constant(value),
        }
    }

    /// All copies, and where the public words are.
    fn ties(&mut self) {
        let draft = self.draft;
        for (number, block) in draft.rows.blocks.iter().enumerate() {
            for ((column, row), source) in &block.copies {
                let to = At { column: *column, row: self.starts[number] + row };
                let from = self.source(*source);
                self.sheet.copies.push((from, to));
            }
        }
        for (cell, source) in &draft.rows.links {
            let (to, from) = (self.home(*cell), self.source(*source));
            self.sheet.copies.push((from, to));
        }
        let copies = lock(&draft.builder.core().copy_manager);
        for (a, b) in &copies.advice_equalities {
            let pair = (self.home(*a), self.home(*b));
            self.sheet.copies.push(pair);
        }
        for (value, cell) in &copies.constant_equalities {
            let pair = (self.constant(*value), self.home(*cell));
            self.sheet.copies.push(pair);
        }
        self.show();
    }

    /// Public words: copies of shown cells on the first rows.
    fn show(&mut self) {
        let shown = self.draft.shown().iter().enumerate();
        for (row, cell) in shown {
            let at = At { column: ADVICE - 1, row };
            self.fix(Fix::More, row, Fr::ONE);
            self.put(at, *cell.value());
            let home = cell.cell.map(|cell| self.home(cell));
            self.sheet.copies.extend(home.map(|home| (home, at)));
        }
    }

    fn finish(mut self) -> Result<Sheet, TooLarge> {
        let table = 1 << table_bits(self.sheet.k);
        self.sheet.counts.rows += 1;
        if self.draft.layout == Arrangement::Narrow {
            self.fold();
        }
        self.put_constants();
        self.sheet.fixed[Fix::Range as usize] = (0..table).map(Fr::from).collect();
        let counts = &mut self.sheet.counts;
        counts.plain_rows = counts.rows - counts.block_rows;
        let columns = self.sheet.fixed.iter().map(Vec::len).max().unwrap_or(0);
        let (rows, usable) = (counts.rows.max(columns), counts.usable);
        if rows > usable { Err(TooLarge { rows, usable }) } else { Ok(self.sheet) }
    }
}

impl Circuit<Fr> for Sheet {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Arrangement;

    fn params(&self) -> Arrangement {
        self.layout
    }

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(system: &mut ConstraintSystem<Fr>) -> Columns {
        Columns::configure(system, Arrangement::Wide)
    }

    fn configure_with_params(system: &mut ConstraintSystem<Fr>, layout: Arrangement) -> Columns {
        Columns::configure(system, layout)
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_region(
            || "circuit",
            |mut region| {
                self.assign(&columns, &mut region);
                Ok(())
            },
        )?;
        Ok(())
    }
}

fn cell(columns: &Columns, at: At) -> circuit::Cell {
    let column: Column<Any> = if at.column == CONSTANTS {
        columns.fixed[columns.layout.constants()].into()
    } else {
        columns.advice[at.column].into()
    };
    circuit::Cell { row_offset: at.row, column }
}

impl Sheet {
    fn assign(&self, columns: &Columns, region: &mut Region<'_, Fr>) {
        for (column, values) in columns.fixed.iter().zip(&self.fixed) {
            for (row, value) in values.iter().enumerate() {
                region.assign_fixed(*column, row, *value);
            }
        }
        for (column, values) in columns.advice.iter().zip(&self.advice) {
            for (row, value) in values.iter().enumerate() {
                region.assign_advice(*column, row, Value::known(*value));
            }
        }
        for (a, b) in &self.copies {
            region.constrain_equal(cell(columns, *a), cell(columns, *b));
        }
    }
}

/// What tests look at and change.
#[cfg(test)]
impl Sheet {
    pub(crate) fn at(&self, column: usize, row: usize) -> Fr {
        self.value(At { column, row })
    }

    /// The sheet with another value in one advice cell, and in no copy of it.
    pub(crate) fn with(&self, column: usize, row: usize, value: Fr) -> Self {
        let mut changed = self.clone();
        set(&mut changed.advice[column], row, value);
        changed
    }

    /// The sheet with other public words.
    pub(crate) fn showing(&self, public: Vec<Fr>) -> Self {
        Self { public, ..self.clone() }
    }

    /// The advice cells of blocks that are not 0: column, row.
    pub(crate) fn block_cells(&self) -> Vec<(usize, usize)> {
        let rows = self.empty_row() + 1..=self.counts.block_rows;
        let all = rows.flat_map(|row| (0..self.advice.len()).map(move |column| (column, row)));
        all.filter(|(column, row)| self.at(*column, *row) != Fr::ZERO).collect()
    }
}
