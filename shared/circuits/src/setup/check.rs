//! Whether a witness satisfies its circuit, before a proof is paid for.
//!
//! The prover makes a proof for an unsatisfied circuit without complaint and takes as long for it.
//! The builder knows every constraint, and going through them takes a second.

use halo2_base::{
    AssignedValue, ContextCell,
    gates::circuit::builder::BaseCircuitBuilder,
    halo2_proofs::halo2curves::{bn256::Fr, ff::PrimeField},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The first constraint a witness breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsatisfied {
    /// a + b·c = d does not hold.
    #[error("the gate at cell {0} does not hold")]
    Gate(usize),
    /// Two cells that must be equal are not.
    #[error("cell {0} does not equal the cell it must equal")]
    Equality(usize),
    /// A cell that must be a constant is not.
    #[error("cell {0} is not the constant it must be")]
    Constant(usize),
    /// A cell that must be in the table is not.
    #[error("looked-up value number {0} is not in the table")]
    Lookup(usize),
}

/// The shared lists are only ever locked for an append, which cannot leave them half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Values(BTreeMap<usize, Vec<Fr>>);

impl Values {
    fn at(&self, cell: &ContextCell) -> Option<Fr> {
        self.0.get(&cell.context_id)?.get(cell.offset).copied()
    }

    fn of(&self, value: &AssignedValue<Fr>) -> Option<Fr> {
        self.at(value.cell.as_ref()?)
    }
}

/// Goes through gates, equalities, constants and lookups of a circuit built with its constraints
/// (any stage but the prover's, which does not keep them).
///
/// # Errors
/// The first constraint that does not hold.
///
/// # Panics
/// On a builder of the prover's stage, and without a lookup table.
pub fn satisfied(builder: &BaseCircuitBuilder<Fr>) -> Result<(), Unsatisfied> {
    assert!(!builder.witness_gen_only(), "the prover's stage keeps no constraints");
    let threads = &builder.core().phase_manager[0].threads;
    let evaluated = threads
        .iter()
        .map(|thread| (thread.id(), thread.advice.iter().map(|cell| cell.evaluate()).collect()));
    let values = Values(evaluated.collect());
    for thread in threads {
        gates(&thread.selector, &values.0[&thread.id()])?;
    }
    let copies = lock(&builder.core().copy_manager);
    let unequal = |(a, b): &&(ContextCell, ContextCell)| values.at(a) != values.at(b);
    if let Some((cell, _)) = copies.advice_equalities.iter().find(unequal) {
        return Err(Unsatisfied::Equality(cell.offset));
    }
    let other = |(constant, cell): &&(Fr, ContextCell)| values.at(cell) != Some(*constant);
    if let Some((_, cell)) = copies.constant_equalities.iter().find(other) {
        return Err(Unsatisfied::Constant(cell.offset));
    }
    lookups(builder, &values)
}

/// Hash of everything a key is made from but the values: cells, gates, copies, constants, lookups.
#[must_use]
pub fn layout(builder: &BaseCircuitBuilder<Fr>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let threads = &builder.core().phase_manager[0].threads;
    for thread in threads {
        let active: Vec<u8> = thread.selector.iter().map(|active| u8::from(*active)).collect();
        hasher.update(&(thread.advice.len() as u64).to_be_bytes()).update(&active);
    }
    let mut add = |cell: &ContextCell| {
        let place = (cell.context_id as u64) << 48 | cell.offset as u64;
        hasher.update(&place.to_be_bytes());
    };
    let copies = lock(&builder.core().copy_manager);
    copies.advice_equalities.iter().for_each(|(a, b)| [a, b].into_iter().for_each(&mut add));
    copies.constant_equalities.iter().for_each(|(_, cell)| add(cell));
    let cells = lock(&builder.lookup_manager()[0].cells_to_lookup);
    let looked_up = cells.values().flatten().map(|[cell]| cell);
    let shown = builder.assigned_instances.iter().flatten();
    looked_up.chain(shown).filter_map(|value| value.cell.as_ref()).for_each(&mut add);
    for (constant, _) in &copies.constant_equalities {
        hasher.update(&constant.to_repr());
    }
    *hasher.finalize().as_bytes()
}

fn gates(selector: &[bool], cells: &[Fr]) -> Result<(), Unsatisfied> {
    let active = selector.iter().enumerate().filter(|(_, active)| **active);
    let broken = |(i, _): &(usize, &bool)| match cells.get(*i..*i + 4) {
        Some([a, b, c, d]) => a + b * c != *d,
        Some(_) | None => true,
    };
    let mut broken = active.filter(broken);
    broken.next().map_or(Ok(()), |(i, _)| Err(Unsatisfied::Gate(i)))
}

fn lookups(builder: &BaseCircuitBuilder<Fr>, values: &Values) -> Result<(), Unsatisfied> {
    let bits = builder.lookup_bits();
    let inside = |value: Fr| {
        let bytes = value.to_repr();
        let (low, high) = bytes.split_at(8);
        let low = low.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        high.iter().all(|byte| *byte == 0) && bits.is_some_and(|bits| low < 1 << bits)
    };
    let cells = lock(&builder.lookup_manager()[0].cells_to_lookup);
    let outside = |[cell]: &[AssignedValue<Fr>; 1]| !values.of(cell).is_some_and(inside);
    cells.values().flatten().position(outside).map_or(Ok(()), |i| Err(Unsatisfied::Lookup(i)))
}
