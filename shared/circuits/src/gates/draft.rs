//! A circuit as it is written down: plain cells and blocks, not yet laid out.

use super::{
    Cell, Gates, Rows,
    columns::Layout,
    sheet::{Sheet, TooLarge},
};
use halo2_base::{
    gates::{
        RangeInstructions,
        circuit::{BaseCircuitParams, CircuitBuilderStage, builder::BaseCircuitBuilder},
    },
    halo2_proofs::halo2curves::bn256::Fr,
};

/// Plain cells, blocks, and the cells that are shown.
///
/// The builder's own layout is not used, only its list of cells and constraints; it keeps them in
/// every stage but the prover's, so that stage is never asked for.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) builder: BaseCircuitBuilder<Fr>,
    pub(crate) rows: Rows,
    pub(crate) k: u32,
    pub(crate) layout: Layout,
}

/// Bits of the range table of a circuit of 2^k rows: a chunk, or what fits.
pub(crate) fn table_bits(k: u32) -> usize {
    super::bounds::CHUNK_BITS.min(k as usize - 1)
}

/// A builder of plain cells for a circuit of 2^k rows, and the gates to write the rest with.
pub(crate) fn start(k: u32) -> (BaseCircuitBuilder<Fr>, Gates) {
    let params = BaseCircuitParams {
        k: k as usize,
        num_advice_per_phase: vec![1],
        num_fixed: 1,
        num_lookup_advice_per_phase: vec![1],
        lookup_bits: Some(table_bits(k)),
        num_instance_columns: 1,
    };
    let builder = BaseCircuitBuilder::from_stage(CircuitBuilderStage::Mock).use_params(params);
    let gates = Gates::new(builder.range_chip());
    (builder, gates)
}

impl Draft {
    /// What was written with [`start`].
    pub(crate) fn finish(builder: BaseCircuitBuilder<Fr>, gates: Gates, k: u32) -> Self {
        assert_eq!(gates.lookup_bits(), table_bits(k), "range checks by the circuit's table");
        Self { builder, rows: gates.into_rows(), k, layout: Layout::Wide }
    }

    /// In another layout.
    pub(crate) fn arranged(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Shows these cells as the public words.
    pub(crate) fn show(&mut self, cells: Vec<Cell>) {
        self.builder.assigned_instances[0] = cells;
    }

    /// The public words.
    #[must_use]
    pub fn public(&self) -> Vec<Fr> {
        self.shown().iter().map(|cell| *cell.value()).collect()
    }

    pub(crate) fn shown(&self) -> &[Cell] {
        &self.builder.assigned_instances[0]
    }

    /// The circuit in columns.
    ///
    /// # Errors
    /// When it does not fit its rows.
    pub fn sheet(&self) -> Result<Sheet, TooLarge> {
        Sheet::lay_out(self)
    }

    /// Overwrites a plain cell, as a prover may who does not follow the builder.
    #[cfg(test)]
    pub(crate) fn with(&self, cell: &Cell, value: Fr) -> Self {
        let builder = self.builder.deep_clone();
        let mut changed = Self { builder, rows: self.rows.clone(), k: self.k, layout: self.layout };
        cell.debug_prank(changed.builder.main(0), value);
        changed
    }
}
