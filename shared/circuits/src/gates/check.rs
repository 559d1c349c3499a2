//! Whether a sheet satisfies every constraint, before a proof is paid for.
//!
//! The prover makes a proof for an unsatisfied circuit without complaint and takes as long for it.
//! Here the very expressions that keys are made of are evaluated, on the rows where their
//! selectors are not 0. That this agrees with the library's mock prover is a test of its own.

use super::{
    columns::Fix,
    sheet::{At, Sheet, system},
};
use halo2_base::halo2_proofs::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::Expression,
};
use std::collections::BTreeSet;

/// A constraint a sheet breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Broken {
    /// A gate's polynomial is not 0 on a row.
    #[error("polynomial {polynomial} of gate {gate} does not hold on row {row}")]
    Gate {
        /// Number of the gate.
        gate: usize,
        /// Number of its polynomial.
        polynomial: usize,
        /// The row.
        row: usize,
    },
    /// Two cells that must be equal are not.
    #[error("copy number {copy} is no copy")]
    Copy {
        /// Number of the copy.
        copy: usize,
    },
    /// A row looks up what is not in the table.
    #[error("lookup {lookup} does not hold on row {row}")]
    Lookup {
        /// Number of the lookup.
        lookup: usize,
        /// The row.
        row: usize,
    },
}

/// The fixed column that is not 0 where a gate says something, and what it holds where only other
/// gates do.
const GATE_SELECTORS: [(Fix, &[u64]); 6] = [
    (Fix::Plain, &[1, 3]),
    (Fix::Hash, &[2]),
    (Fix::Hash, &[1]),
    (Fix::Plain, &[2, 3]),
    (Fix::Add, &[]),
    (Fix::More, &[]),
];

impl Sheet {
    /// Goes through all constraints.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self) -> Result<(), Broken> {
        self.broken(1).first().map_or(Ok(()), |broken| Err(*broken))
    }

    /// The constraints that do not hold, at most about `most` of them.
    pub(crate) fn broken(&self, most: usize) -> Vec<Broken> {
        let unequal = |(a, b): &(At, At)| self.value(*a) != self.value(*b);
        let copies = self.copies.iter().enumerate().filter(|(_, pair)| unequal(pair));
        let mut broken: Vec<Broken> =
            copies.take(most).map(|(copy, _)| Broken::Copy { copy }).collect();
        self.gates(most, &mut broken);
        self.lookups(most, &mut broken);
        broken
    }

    fn active(&self, selector: Fix) -> Vec<usize> {
        let rows = self.fixed[selector as usize].iter().enumerate();
        rows.filter(|(_, value)| **value != Fr::ZERO).map(|(row, _)| row).collect()
    }

    fn gates(&self, most: usize, broken: &mut Vec<Broken>) {
        let gates = system(self.layout).gates();
        assert_eq!(gates.len(), GATE_SELECTORS.len(), "one selector per gate");
        for (number, (gate, (selector, others))) in gates.iter().zip(GATE_SELECTORS).enumerate() {
            let others: Vec<Fr> = others.iter().map(|value| Fr::from(*value)).collect();
            let column = &self.fixed[selector as usize];
            let mut rows = self.active(selector);
            rows.retain(|row| !others.contains(&column[*row]));
            let on_row = |row: usize| self.broken_on_row((number, gate.polynomials()), row);
            let mut found = rows.into_iter().flat_map(on_row);
            broken.extend(found.by_ref().take(most));
        }
    }

    fn broken_on_row(&self, (gate, all): (usize, &[Expression<Fr>]), row: usize) -> Vec<Broken> {
        let values = all.iter().map(|polynomial| self.evaluate(polynomial, row)).enumerate();
        let wrong = values.filter(|(_, value)| *value != Fr::ZERO);
        wrong.map(|(polynomial, _)| Broken::Gate { gate, polynomial, row }).collect()
    }

    /// The lanes' lookups, then the one of table entries.
    fn lookups(&self, most: usize, broken: &mut Vec<Broken>) {
        let table = Fr::from(self.fixed[Fix::Range as usize].len() as u64);
        let lookups = system(self.layout).lookups();
        let Some((pick, lanes)) = lookups.split_last() else { return };
        let looked = self.active(Fix::Look);
        for (lookup, lane) in lanes.iter().enumerate() {
            let chunk = &lane.input_expressions()[0];
            let wrong = looked.iter().filter(|row| self.evaluate(chunk, **row) >= table);
            broken.extend(wrong.take(most).map(|row| Broken::Lookup { lookup, row: *row }));
        }
        let tuple = |expressions: &[Expression<Fr>], row: usize| -> Vec<Fr> {
            expressions.iter().map(|expression| self.evaluate(expression, row)).collect()
        };
        // Rows without a tag hold whatever they hold, but no row that adds looks up tag 0.
        let tagged = self.active(Fix::First).into_iter();
        let empty = std::iter::once(self.empty_row());
        let entries: BTreeSet<Vec<Fr>> =
            empty.clone().chain(tagged).map(|row| tuple(pick.table_expressions(), row)).collect();
        let adding = self.active(Fix::Add).into_iter().chain(empty);
        let wrong = adding.filter(|row| !entries.contains(&tuple(pick.input_expressions(), *row)));
        let lookup = lanes.len();
        broken.extend(wrong.take(most).map(|row| Broken::Lookup { lookup, row }));
    }

    fn evaluate(&self, expression: &Expression<Fr>, row: usize) -> Fr {
        let at = |columns: &[Vec<Fr>], column: usize, rotation: i32| {
            let row = row.saturating_add_signed(rotation as isize);
            columns[column].get(row).copied().unwrap_or(Fr::ZERO)
        };
        expression.evaluate(
            &|constant| constant,
            &|_| Fr::ZERO,
            &|query| at(&self.fixed, query.column_index(), query.rotation().0),
            &|query| at(&self.advice, query.column_index(), query.rotation().0),
            &|_| self.public.get(row).copied().unwrap_or(Fr::ZERO),
            &|_| Fr::ZERO,
            &|value| -value,
            &|a, b| a + b,
            &|a, b| a * b,
            &|value, factor| value * factor,
        )
    }
}
