//! The columns of every circuit, and the gates on them.
//!
//! | columns | what |
//! |---|---|
//! | 9 advice | 0 to 5 are *lanes*: columns the range lookup sees |
//! | 9 fixed | [`Fix`] |
//! | 1 instance | the public words |
//!
//! That is the *wide* layout, of all circuits but `root`. A proof's verifier on L1 pays for every
//! commitment, so `root` is *narrow*: the same gates, folded into 3 columns and three times the
//! rows. A block's columns come to stand one below the other ([`Layout::in_block`]), a row's cells
//! in three rows or two ([`Layout::in_row`]), a row's three constants in two ([`Layout::fixed`]).
//! Nothing else differs: not a gate, not a lookup, no witness.
//!
//! The public words stand in the first rows of the last column, equal to the instance column by a
//! gate, so that the instance column needs no copies and their permutation no column for it.
//!
//! A fixed column may hold several selectors as small numbers, as far as degree 5 allows: every
//! fixed column is five more commitments that `root` multiplies out.

use super::{bounds, curve, hash, short};
use halo2_base::halo2_proofs::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{Advice, Column, ConstraintSystem, Expression, Fixed, Instance, VirtualCells},
    poly::Rotation,
};

/// Advice columns.
pub(crate) const ADVICE: usize = 9;
/// The first advice columns, whose cells can be looked up in the range table.
pub(crate) const LANES: usize = 6;
/// Fixed columns.
pub(crate) const FIXED: usize = 9;
/// Columns with copies: all advice and the constants.
pub(crate) const COPYABLE: usize = ADVICE + 1;
/// How cells are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    /// Nine columns.
    #[default]
    Wide,
    /// Three columns: two lanes and one more.
    Narrow,
}

/// How many times the rows of the wide layout the narrow one has.
pub(super) const FOLD: usize = 3;
/// Advice columns of the narrow layout.
const NARROW: usize = ADVICE.div_ceil(FOLD);
/// How many rows a row becomes whose cells are folded one by one.
pub(super) const ROW_FOLD: usize = ADVICE.div_ceil(NARROW);
/// Its lanes.
const NARROW_LANES: usize = LANES / FOLD;

impl Layout {
    /// Advice columns.
    pub(crate) const fn advice(self) -> usize {
        match self {
            Self::Wide => ADVICE,
            Self::Narrow => NARROW,
        }
    }

    /// Columns the range lookup sees.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::Wide => LANES,
            Self::Narrow => NARROW_LANES,
        }
    }

    /// Where a cell of a block of curve arithmetic of `strip` rows is: when folded, three lanes
    /// below the other three, and one other column below another.
    pub(super) const fn in_block(
        self,
        (column, row): (usize, usize),
        strip: usize,
    ) -> (usize, usize) {
        match self {
            Self::Wide => (column, row),
            Self::Narrow if column < LANES => {
                (column % NARROW_LANES, column / NARROW_LANES * strip + row)
            }
            Self::Narrow => {
                let other = column - LANES;
                (NARROW_LANES + other / FOLD, other % FOLD * strip + row)
            }
        }
    }

    /// Where a cell is of rows that are folded one by one.
    pub(super) const fn in_row(self, (column, row): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Wide => (column, row),
            Self::Narrow => (column % NARROW, ROW_FOLD * row + column / NARROW),
        }
    }

    /// Fixed columns.
    pub(super) const fn fixed_columns(self) -> usize {
        match self {
            Self::Wide => FIXED,
            Self::Narrow => FIXED - 1,
        }
    }

    /// The fixed column of constants that cells are copied from: in the wide layout the third
    /// constant's, on rows where no gate reads it.
    pub(super) const fn constants(self) -> usize {
        self.fixed_columns() - 1
    }

    /// Where a fixed cell is: its column, and how many rows below the row it belongs to.
    pub(super) const fn fixed(self, fix: Fix) -> (usize, usize) {
        match (self, fix) {
            (Self::Narrow, Fix::Second) => (Fix::First as usize, 1),
            (Self::Narrow, Fix::Third) => (self.constants(), 0),
            (Self::Wide | Self::Narrow, fix) => (fix as usize, 0),
        }
    }
}

/// How gates are written down. Every form is the same polynomials over the same cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Form {
    /// What keys are hashes of, what verifiers evaluate and what was reviewed.
    #[default]
    Pinned,
    /// Fewer operations, for the prover: see [`super::short`].
    Short {
        /// Whether the circuit adds points; if not, [`Fix::Add`] is 0 as a polynomial.
        adds: bool,
    },
}

/// Degree of the constraint system: the quotient has four parts.
pub(crate) const DEGREE: usize = 5;
/// Added to the first tag of a table where an addition names it, and to the two other constants of
/// an addition, so that no such row can pass for an entry: tags of entries are below.
pub(super) const TAG_USE: u64 = 1 << 32;

/// The fixed columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fix {
    /// The range table: 0, 1, 2, … as far as it goes, then 0.
    Range = 0,
    /// 1 where the lanes are looked up.
    Look = 1,
    /// 2^16 where a lane's cell holds more chunks below, else 0. Without [`Self::Look`]: 1 on a row
    /// of a public word.
    More = 2,
    /// 1 on the first row of an addition or doubling.
    Add = 3,
    /// 1 on the first row of a product, 2 on a row of plain arithmetic, 3 on the first row of a
    /// doubling.
    Plain = 4,
    /// 1 on a full, 2 on a partial round of the hash.
    Hash = 5,
    /// Round constant; tag of a table's entry; [`TAG_USE`] and a table's first tag in an addition.
    First = 6,
    /// Round constant; in an addition [`TAG_USE`] and 2^16 / number of the table's entries.
    Second = 7,
    /// Round constant; in an addition [`TAG_USE`] and the base of the scalar's digits.
    Third = 8,
}

impl Fix {
    /// All of them, in order.
    pub(super) const ALL: [Self; FIXED] = [
        Self::Range,
        Self::Look,
        Self::More,
        Self::Add,
        Self::Plain,
        Self::Hash,
        Self::First,
        Self::Second,
        Self::Third,
    ];
}

/// What [`Fix::Plain`] holds on the first row of a doubling, its largest value.
pub(super) const DOUBLING: u64 = 3;

/// The columns, allocated in a constraint system.
#[derive(Clone, Debug)]
pub struct Columns {
    pub(super) layout: Layout,
    pub(super) advice: Vec<Column<Advice>>,
    pub(super) fixed: Vec<Column<Fixed>>,
    pub(super) instance: Column<Instance>,
}

/// Cells around the row a gate is on.
pub(super) struct View<'a, 'm> {
    pub(super) form: Form,
    columns: &'a Columns,
    /// Rows of the block.
    strip: usize,
    cells: &'a mut VirtualCells<'m, Fr>,
}

impl View<'_, '_> {
    /// The advice cell of a block of curve arithmetic.
    pub(super) fn at(&mut self, column: usize, row: usize) -> Expression<Fr> {
        let place = self.columns.layout.in_block((column, row), self.strip);
        self.cell(place)
    }

    /// The advice cell of `column` of this row, where rows are folded one by one.
    pub(super) fn in_row(&mut self, column: usize) -> Expression<Fr> {
        let place = self.columns.layout.in_row((column, 0));
        self.cell(place)
    }

    /// The advice cell of `column` in the row after this one, which is a round of the hash.
    pub(super) fn after(&mut self, round: hash::Round, column: usize) -> Expression<Fr> {
        let layout = self.columns.layout;
        let (column, row) = layout.in_row((column, 0));
        self.cell((column, row + round.height(layout)))
    }

    fn cell(&mut self, (column, row): (usize, usize)) -> Expression<Fr> {
        let rotation = Rotation(i32::try_from(row).unwrap_or(i32::MAX));
        self.cells.query_advice(self.columns.advice[column], rotation)
    }

    /// The fixed cell of this row.
    pub(super) fn fixed(&mut self, fix: Fix) -> Expression<Fr> {
        let (column, row) = self.columns.layout.fixed(fix);
        let rotation = Rotation(i32::try_from(row).unwrap_or(i32::MAX));
        self.cells.query_fixed(self.columns.fixed[column], rotation)
    }

    /// Not 0 exactly where the fixed column, which holds 0 to `most`, holds `which` (not 0).
    pub(super) fn one_of(&mut self, column: Fix, which: u64, most: u64) -> Expression<Fr> {
        let value = self.fixed(column);
        let others = (1..=most).filter(|other| *other != which);
        others.fold(value.clone(), |selector, other| {
            selector * (constant(Fr::from(other)) - value.clone())
        })
    }
}

/// The constant.
pub(super) const fn constant(value: Fr) -> Expression<Fr> {
    Expression::Constant(value)
}

impl Columns {
    /// Allocates the columns and writes down every gate.
    ///
    /// # Panics
    /// When a bound of [`bounds`] does not hold or the degree is not [`DEGREE`]: the proving
    /// library caps a higher degree without a word, and proofs would then say nothing.
    pub(crate) fn configure(system: &mut ConstraintSystem<Fr>, layout: Layout) -> Self {
        Self::configure_as(system, layout, Form::Pinned)
    }

    /// [`Self::configure`] with the gates in a form.
    pub(super) fn configure_as(
        system: &mut ConstraintSystem<Fr>,
        layout: Layout,
        form: Form,
    ) -> Self {
        bounds::check();
        let advice = (0..layout.advice()).map(|_| system.advice_column()).collect();
        let fixed = (0..layout.fixed_columns()).map(|_| system.fixed_column()).collect();
        let instance = system.instance_column();
        let columns = Self { layout, advice, fixed, instance };
        columns.advice.iter().for_each(|column| system.enable_equality(*column));
        system.enable_equality(columns.fixed[layout.constants()]);
        columns.lookups(system, form);
        columns.gate((system, form), ("plain", 1), plain);
        columns.gate((system, form), ("full round", 1), hash::full_round);
        columns.gate((system, form), ("partial rounds", 1), hash::partial_rounds);
        columns.gate((system, form), ("product", curve::PRODUCT_ROWS), curve::product);
        columns.gate((system, form), ("addition", curve::ADDITION_ROWS), curve::addition);
        columns.gate((system, form), ("public", 1), public);
        assert_degree(system);
        columns
    }

    fn gate(
        &self,
        (system, form): (&mut ConstraintSystem<Fr>, Form),
        (name, strip): (&'static str, usize),
        gate: fn(&mut View<'_, '_>) -> Vec<Expression<Fr>>,
    ) {
        system.create_gate(name, |cells| {
            let all = gate(&mut View { form, columns: self, strip, cells });
            all.into_iter().map(|polynomial| self.formed(polynomial, form)).collect::<Vec<_>>()
        });
    }

    /// A polynomial that was written down, without what is 0 in this form.
    fn formed(&self, polynomial: Expression<Fr>, form: Form) -> Expression<Fr> {
        match form {
            Form::Pinned | Form::Short { adds: true } => polynomial,
            Form::Short { adds: false } => {
                short::without(&polynomial, self.fixed[Fix::Add as usize])
            }
        }
    }

    fn lookups(&self, system: &mut ConstraintSystem<Fr>, form: Form) {
        let range = self.fixed[Fix::Range as usize];
        for lane in 0..self.layout.lanes() {
            system.lookup_any("range", |cells| {
                let mut view = View { form, columns: self, strip: 1, cells };
                let (look, more) = (view.fixed(Fix::Look), view.fixed(Fix::More));
                let chunk = look * view.cell((lane, 0)) - more * view.cell((lane, 1));
                vec![(chunk, cells.query_fixed(range, Rotation::cur()))]
            });
        }
        let strip = curve::ADDITION_ROWS;
        system.lookup_any("point", |cells| {
            let all = curve::pick(&mut View { form, columns: self, strip, cells });
            all.into_iter().map(|(input, entry)| (self.formed(input, form), entry)).collect()
        });
    }
}

/// a + b·c = d, twice on a row: what halo2-base's gate says.
fn plain(view: &mut View<'_, '_>) -> Vec<Expression<Fr>> {
    let selector = view.one_of(Fix::Plain, 2, DOUBLING);
    [0, 4]
        .map(|first| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| view.in_row(first + i));
            selector.clone() * (a + b * c - d)
        })
        .to_vec()
}

/// The last column's cell is the public word of its row. What the lanes look up on such a row is
/// minus their next cells, so these are 0.
fn public(view: &mut View<'_, '_>) -> Vec<Expression<Fr>> {
    let selector = view.fixed(Fix::More) * (constant(Fr::ONE) - view.fixed(Fix::Look));
    let last = view.columns.layout.advice() - 1;
    let word = view.cells.query_instance(view.columns.instance, Rotation::cur());
    vec![selector * (view.cell((last, 0)) - word)]
}

fn assert_degree(system: &ConstraintSystem<Fr>) {
    let of_gates = system.gates().iter().flat_map(|gate| gate.polynomials());
    let gates = of_gates.map(Expression::degree).max().unwrap_or(0);
    let degree = |expressions: &[Expression<Fr>]| {
        expressions.iter().map(Expression::degree).max().unwrap_or(0).max(1)
    };
    let of_lookups = system
        .lookups()
        .iter()
        .map(|lookup| 2 + degree(lookup.input_expressions()) + degree(lookup.table_expressions()));
    let most = of_lookups.max().unwrap_or(0).max(gates);
    assert_eq!((most, system.degree()), (DEGREE, DEGREE), "degree of the constraint system");
}

/// Powers of `base` from 1 on.
pub(super) fn powers(base: Fr) -> impl Iterator<Item = Fr> {
    std::iter::successors(Some(Fr::ONE), move |power| Some(power * base))
}
