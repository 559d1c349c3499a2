//! Test bench: one circuit of the family's layout, its constraints gone through natively, and the
//! same with a cell overwritten, as a prover may who does not follow the builder.

use super::{
    field::{LIMB_BITS, LIMBS},
    points::{Cell, SymbolicEcc},
};
use crate::setup::check::satisfied;
use halo2_base::{
    Context,
    gates::circuit::{BaseCircuitParams, CircuitBuilderStage, builder::BaseCircuitBuilder},
    halo2_proofs::{dev::MockProver, halo2curves::bn256::Fr},
};
use halo2_ecc::bn254::FpChip;

/// log₂ of the rows.
pub(super) const K: usize = 17;

pub(super) struct Built {
    builder: BaseCircuitBuilder<Fr>,
}

impl Built {
    pub(super) fn new<T>(
        circuit: impl FnOnce(&SymbolicEcc<'_>, &mut Context<Fr>) -> T,
    ) -> (Self, T) {
        let columns = BaseCircuitParams {
            k: K,
            lookup_bits: Some(K - 1),
            ..crate::recursion::family::columns(protocol::Kind::Vm)
        };
        let stage = CircuitBuilderStage::Mock;
        let mut builder = BaseCircuitBuilder::from_stage(stage).use_params(columns);
        let range = builder.range_chip();
        let fp = FpChip::new(&range, LIMB_BITS, LIMBS);
        let ecc = SymbolicEcc::new(&fp);
        let result = circuit(&ecc, builder.main(0));
        (Self { builder }, result)
    }

    pub(super) fn satisfied(&self) -> bool {
        satisfied(&self.builder).is_ok()
    }

    /// Whether the circuit would be satisfied with another value in one cell.
    pub(super) fn satisfied_with(&self, cell: &Cell, value: Fr) -> bool {
        let mut changed = self.builder.deep_clone();
        cell.debug_prank(changed.main(0), value);
        satisfied(&changed).is_ok()
    }

    /// How many cells the circuit has, and the one at a place.
    pub(super) fn len(&self) -> usize {
        self.builder.core().phase_manager[0].threads[0].advice.len()
    }

    pub(super) fn cell(&self, at: usize) -> Cell {
        self.builder.core().phase_manager[0].threads[0].get(at as isize)
    }

    /// The same question put to the library's mock prover.
    pub(super) fn satisfied_by_mock_prover(mut self) -> bool {
        self.builder.assigned_instances[0].clear();
        MockProver::run(K as u32, &self.builder, vec![vec![]]).unwrap().verify().is_ok()
    }
}
