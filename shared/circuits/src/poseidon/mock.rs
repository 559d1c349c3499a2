//! Test bench: builds a circuit with free inputs and says whether its cells satisfy it.
//!
//! `halo2-base` has one gate (`a + b·c = d` on four cells below each other), equalities, constants
//! and one lookup table. All four are evaluated here directly, in milliseconds where the library's
//! mock prover needs a minute at k = 20; that both agree is a test of its own.

use halo2_base::gates::RangeChip;
use halo2_base::gates::circuit::CircuitBuilderStage;
use halo2_base::gates::circuit::builder::BaseCircuitBuilder;
use halo2_base::halo2_proofs::dev::MockProver;
use halo2_base::halo2_proofs::halo2curves::bn256::Fr;
use halo2_base::halo2_proofs::halo2curves::ff::PrimeField;
use halo2_base::{AssignedValue, Context, ContextCell};

/// What a circuit of the bench was built to.
pub(crate) struct Built {
    builder: BaseCircuitBuilder<Fr>,
    lookup_bits: usize,
}

/// The size of a circuit: what key generation fixes, so it must not depend on the witness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) cells: usize,
    pub(crate) lookups: usize,
    pub(crate) constants: usize,
    layout: blake3::Hash,
}

/// Runs `circuit` with a lookup table of `lookup_bits`.
pub(crate) fn build<R>(
    lookup_bits: usize,
    circuit: impl FnOnce(&mut Context<Fr>, &RangeChip<Fr>) -> R,
) -> (Built, R) {
    let mut builder = BaseCircuitBuilder::<Fr>::from_stage(CircuitBuilderStage::Mock)
        .use_k(lookup_bits + 1)
        .use_lookup_bits(lookup_bits);
    let range = builder.range_chip();
    let out = circuit(builder.main(0), &range);
    (Built { builder, lookup_bits }, out)
}

/// Whether the cells of `circuit` satisfy it, with the lookup table a circuit of size `k` has.
pub(crate) fn satisfied(k: usize, circuit: impl FnOnce(&mut Context<Fr>, &RangeChip<Fr>)) -> bool {
    build(k - 1, circuit).0.satisfied()
}

impl Built {
    /// The circuit's size and a hash of its gates, equalities, constants and lookups.
    pub(crate) fn shape(&mut self) -> Shape {
        let lookups: Vec<_> = self.lookups().iter().map(|cell| cell.cell.unwrap()).collect();
        let ctx = self.builder.main(0);
        let manager = ctx.copy_manager.lock().unwrap();
        let mut hasher = blake3::Hasher::new();
        let mut add = |cell: &ContextCell| {
            hasher.update(&cell.offset.to_le_bytes());
        };
        lookups.iter().for_each(&mut add);
        manager.advice_equalities.iter().for_each(|(a, b)| {
            add(a);
            add(b);
        });
        manager.constant_equalities.iter().for_each(|(_, cell)| add(cell));
        for (constant, _) in &manager.constant_equalities {
            hasher.update(&constant.to_repr());
        }
        hasher.update(&ctx.selector.iter().map(|s| u8::from(*s)).collect::<Vec<_>>());
        Shape {
            cells: ctx.advice.len(),
            lookups: lookups.len(),
            constants: manager.num_distinct_constants(),
            layout: hasher.finalize(),
        }
    }

    fn lookups(&self) -> Vec<AssignedValue<Fr>> {
        let managers = self.builder.lookup_manager();
        let cells = managers[0].cells_to_lookup.lock().unwrap();
        cells.values().flatten().map(|[cell]| *cell).collect()
    }

    /// Overwrites one cell, as a prover may who does not follow the builder.
    pub(crate) fn prank(&mut self, cell: &AssignedValue<Fr>, value: Fr) {
        cell.debug_prank(self.builder.main(0), value);
    }

    /// Whether every gate, equality, constant and lookup holds.
    pub(crate) fn satisfied(&mut self) -> bool {
        let lookups = self.lookups();
        let table = 1u64 << self.lookup_bits;
        let ctx = self.builder.main(0);
        let cells: Vec<Fr> = ctx.advice.iter().map(|cell| cell.evaluate()).collect();
        let at = |cell: &ContextCell| cells[cell.offset];
        let mut gates = ctx.selector.iter().enumerate().filter(|(_, on)| **on);
        let manager = ctx.copy_manager.lock().unwrap();
        gates.all(|(i, _)| cells[i] + cells[i + 1] * cells[i + 2] == cells[i + 3])
            && manager.advice_equalities.iter().all(|(a, b)| at(a) == at(b))
            && manager.constant_equalities.iter().all(|(constant, cell)| at(cell) == *constant)
            && lookups.iter().all(|cell| at(&cell.cell.unwrap()) < Fr::from(table))
    }

    /// The same question put to the library's mock prover.
    pub(crate) fn satisfied_by_mock_prover(mut self) -> bool {
        let k = self.lookup_bits as u32 + 1;
        self.builder.calculate_params(Some(9));
        MockProver::run(k, &self.builder, vec![]).unwrap().verify().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use halo2_base::gates::{GateInstructions, RangeInstructions};

    use super::*;

    #[test]
    fn the_bench_agrees_with_the_mock_prover() {
        // (x, y, claimed product, claimed constant) of a circuit with every sort of constraint.
        let cases = [
            (3, 5, 15, 7, true),
            (3, 5, 16, 7, false),
            (3, 5, 15, 8, false),
            (1 << 20, 1, 1 << 20, 7, false),
            ((1 << 20) - 1, 1, (1 << 20) - 1, 7, true),
        ];
        for (x, y, product, constant, expected) in cases {
            let circuit = |ctx: &mut Context<Fr>, range: &RangeChip<Fr>| {
                let [x, y, product, constant] =
                    [x, y, product, constant].map(|v| ctx.load_witness(Fr::from(v)));
                range.range_check(ctx, x, 20);
                let real = range.gate.mul(ctx, x, y);
                ctx.constrain_equal(&real, &product);
                range.gate.assert_is_const(ctx, &constant, &Fr::from(7));
            };
            let (mut built, ()) = build(8, circuit);
            assert_eq!(built.satisfied(), expected, "bench: {x} {y} {product} {constant}");
            assert_eq!(built.satisfied_by_mock_prover(), expected, "{x} {y} {product} {constant}");
        }
    }

    #[test]
    fn an_overwritten_cell_is_noticed() {
        let (mut built, product) = build(8, |ctx, range| {
            let (x, y) = (ctx.load_witness(Fr::from(3)), ctx.load_witness(Fr::from(5)));
            range.gate.mul(ctx, x, y)
        });
        assert!(built.satisfied());
        built.prank(&product, Fr::from(16));
        assert!(!built.satisfied());
        assert!(!built.satisfied_by_mock_prover());
    }
}
