//! Test bench: one circuit of the family's layout, its constraints gone through natively, and the
//! same with a cell overwritten, as a prover may who does not follow the builder.

use super::points::SymbolicEcc;
use crate::gates::{Cell, Draft, draft::start, sheet::Sheet};
use halo2_base::{
    Context,
    halo2_proofs::{dev::MockProver, halo2curves::bn256::Fr},
};

/// log₂ of the rows.
pub(super) const K: u32 = 17;

pub(super) struct Built {
    draft: Draft,
}

impl Built {
    pub(super) fn new<T>(
        circuit: impl FnOnce(&SymbolicEcc<'_>, &mut Context<Fr>) -> T,
    ) -> (Self, T) {
        let (mut builder, gates) = start(K);
        let ecc = SymbolicEcc::new(&gates);
        let result = circuit(&ecc, builder.main(0));
        drop(ecc);
        (Self { draft: Draft::finish(builder, gates, K) }, result)
    }

    pub(super) fn sheet(&self) -> Sheet {
        self.draft.sheet().unwrap()
    }

    pub(super) fn satisfied(&self) -> bool {
        self.sheet().check().is_ok()
    }

    /// Whether the circuit would be satisfied with another value in one cell.
    pub(super) fn satisfied_with(&self, cell: &Cell, value: Fr) -> bool {
        self.draft.with(cell, value).sheet().unwrap().check().is_ok()
    }

    /// The same question put to the library's mock prover.
    pub(super) fn satisfied_by_mock_prover(&self) -> bool {
        MockProver::run(K, &self.sheet(), vec![vec![]]).unwrap().verify().is_ok()
    }
}
