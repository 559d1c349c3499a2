//! Credit in-circuit: opening the children's records and making the own one, with the collapse.

use halo2_base::gates::GateInstructions;
use halo2_base::{AssignedValue, Context, QuantumCell};
use protocol::{Credit, Kind};

use super::{Record, two_to_128, units_of};
use crate::poseidon::{Chips, Fr, Tag};

/// Bits of a unit count.
const UNIT_BITS: usize = 64;
/// Bits of a record's kind.
const KIND_BITS: usize = 8;

/// Whether a child was made by a prover, who is paid for it.
#[derive(Clone, Copy, Debug)]
pub enum Made {
    /// Always: the child's kinds are all made by provers.
    Always,
    /// When this bit is 1. Recursion ties it to the key the child was verified with: `kernel` is
    /// made by a prover, `tx` is not and has no record.
    If(AssignedValue<Fr>),
}

/// A verified child as the application sees it.
#[derive(Clone, Copy, Debug)]
pub struct ChildCells {
    /// Public words 0 to 7; word 0, the self digest, is recursion's.
    pub words: [AssignedValue<Fr>; 8],
    /// Whether a prover made it.
    pub made: Made,
}

impl ChildCells {
    /// Word 1.
    #[must_use]
    pub const fn start(&self) -> AssignedValue<Fr> {
        self.words[1]
    }
    /// Word 2.
    #[must_use]
    pub const fn end(&self) -> AssignedValue<Fr> {
        self.words[2]
    }
    /// Word 3.
    #[must_use]
    pub const fn txs(&self) -> AssignedValue<Fr> {
        self.words[3]
    }
    /// Word 4.
    #[must_use]
    pub const fn count(&self) -> AssignedValue<Fr> {
        self.words[4]
    }
    /// Word 5.
    #[must_use]
    pub const fn credit(&self) -> AssignedValue<Fr> {
        self.words[5]
    }
    /// Word 6.
    #[must_use]
    pub const fn payee(&self) -> AssignedValue<Fr> {
        self.words[6]
    }
    /// Word 7.
    #[must_use]
    pub const fn aux(&self) -> AssignedValue<Fr> {
        self.words[7]
    }
}

/// A child with the record the witness gives for it: kind, own, total, payee, left, right.
pub(crate) type Earner<'a> = (&'a ChildCells, [Fr; 6]);

/// The free cells of a child's record, zeros for none.
pub(crate) fn free(record: Option<&Record>) -> [Fr; 6] {
    record.map_or([Fr::zero(); 6], |record| {
        let [own, total] = [record.own, record.total].map(Fr::from);
        [Fr::from(u64::from(record.kind)), own, total, record.payee, record.left, record.right]
    })
}

/// The own record's value and total units.
pub(crate) struct CreditCells {
    pub(crate) value: AssignedValue<Fr>,
    pub(crate) total: AssignedValue<Fr>,
}

/// What opening a child's record gives.
struct Opened {
    /// Units of the child and everything below.
    total: AssignedValue<Fr>,
    /// 1 when it does not stand in the way of a uniform record.
    fits: AssignedValue<Fr>,
}

/// Makes the record of a proof of `kind` by `payee` over its children: [`Record::over`].
pub(crate) fn constrain(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    (kind, payee): (Kind, AssignedValue<Fr>),
    children: [Option<Earner<'_>>; 2],
) -> CreditCells {
    let gate = chips.gate();
    let units = QuantumCell::Constant(Fr::from(units_of(kind)));
    let (mut total, mut uniform) = (ctx.load_constant(*units.value()), None);
    for earner in children.into_iter().flatten() {
        let opened = open(ctx, chips, earner, payee);
        total = gate.add(ctx, total, opened.total);
        uniform = Some(match uniform {
            None => opened.fits,
            Some(before) => gate.and(ctx, before, opened.fits),
        });
    }
    chips.gates.range_check(ctx, total, UNIT_BITS);
    let uniform = uniform.unwrap_or_else(|| ctx.load_constant(Fr::one()));
    let number = |kind: u8| QuantumCell::Constant(Fr::from(u64::from(kind)));
    let own = gate.select(ctx, total, units, uniform);
    let kind = gate.select(ctx, number(Credit::UNIFORM), number(kind as u8), uniform);
    let below = children.map(|child| match child {
        None => ctx.load_zero(),
        Some((child, _)) => gate.mul_not(ctx, uniform, child.credit()),
    });
    let value = value(ctx, chips, [kind, own, total, payee], below);
    CreditCells { value, total }
}

/// H2(P(9; meta, payee), H2(left, right)).
fn value(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    [kind, own, total, payee]: [AssignedValue<Fr>; 4],
    [left, right]: [AssignedValue<Fr>; 2],
) -> AssignedValue<Fr> {
    let gate = chips.gate();
    let low = gate.mul_add(ctx, own, QuantumCell::Constant(gate.pow_of_two()[64]), total);
    let meta = gate.mul_add(ctx, kind, QuantumCell::Constant(two_to_128()), low);
    let record = chips.tagged(ctx, Tag::Credit, &[meta, payee]);
    let below = chips.h2(ctx, left, right);
    chips.h2(ctx, record, below)
}

/// Opens a child's record: it must hash to the child's credit word and name its payee.
fn open(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    (child, record): Earner<'_>,
    payee: AssignedValue<Fr>,
) -> Opened {
    let gate = chips.gate();
    let [kind, own, total, earner, left, right] = record;
    let kind = chips.load(ctx, kind, KIND_BITS);
    let [own, total] = [own, total].map(|units| chips.load(ctx, units, UNIT_BITS));
    let [earner, left, right] = [earner, left, right].map(|word| ctx.load_witness(word));
    let value = value(ctx, chips, [kind, own, total, earner], [left, right]);
    let uniform =
        gate.is_equal(ctx, kind, QuantumCell::Constant(Fr::from(u64::from(Credit::UNIFORM))));
    let same = gate.is_equal(ctx, earner, payee);
    let fits = gate.and(ctx, uniform, same);
    match child.made {
        Made::Always => {
            ctx.constrain_equal(&value, &child.credit());
            ctx.constrain_equal(&earner, &child.payee());
            Opened { total, fits }
        }
        Made::If(made) => {
            // Not made by a prover: both words are 0, no units, nothing in the way.
            for (opened, word) in [(value, child.credit()), (earner, child.payee())] {
                let expected = gate.mul(ctx, opened, made);
                ctx.constrain_equal(&expected, &word);
            }
            let misfit = gate.mul_not(ctx, fits, made);
            Opened { total: gate.mul(ctx, total, made), fits: gate.not(ctx, misfit) }
        }
    }
}
