//! Test bench: builds a circuit with free inputs and says whether its cells satisfy it.

use halo2_base::halo2_proofs::dev::MockProver;
use halo2_base::halo2_proofs::halo2curves::bn256::Fr;
use halo2_base::{AssignedValue, Context};

use crate::gates::{Draft, Gates, draft::start, sheet::Sheet};

/// What a circuit of the bench was built to.
pub(crate) struct Built {
    draft: Draft,
}

/// The size of a circuit: what key generation fixes, so it must not depend on the witness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) lookups: usize,
    layout: [u8; 32],
}

/// Runs `circuit` with a lookup table of `lookup_bits`, but at most 16.
pub(crate) fn build<R>(
    lookup_bits: u32,
    circuit: impl FnOnce(&mut Context<Fr>, &Gates) -> R,
) -> (Built, R) {
    let k = lookup_bits + 1;
    let (mut builder, gates) = start(k);
    let out = circuit(builder.main(0), &gates);
    (Built { draft: Draft::finish(builder, gates, k) }, out)
}

/// Whether the cells of `circuit` satisfy it, with the lookup table a circuit of size `k` has.
pub(crate) fn satisfied(k: u32, circuit: impl FnOnce(&mut Context<Fr>, &Gates)) -> bool {
    build(k - 1, circuit).0.satisfied()
}

impl Built {
    pub(crate) fn sheet(&self) -> Sheet {
        self.draft.sheet().unwrap()
    }

    /// The circuit's size and a hash of all a key is made of.
    pub(crate) fn shape(&self) -> Shape {
        let sheet = self.sheet();
        let counts = sheet.counts();
        Shape { rows: counts.rows, lookups: counts.lookups, layout: sheet.layout_hash() }
    }

    /// Overwrites one cell, as a prover may who does not follow the builder.
    pub(crate) fn prank(&mut self, cell: &AssignedValue<Fr>, value: Fr) {
        self.draft = self.draft.with(cell, value);
    }

    /// Whether every gate, equality, constant and lookup holds.
    pub(crate) fn satisfied(&self) -> bool {
        self.sheet().check().is_ok()
    }

    /// The same question put to the library's mock prover.
    pub(crate) fn satisfied_by_mock_prover(&self) -> bool {
        let sheet = self.sheet();
        let public = vec![sheet.public().to_vec()];
        MockProver::run(sheet.k(), &sheet, public).unwrap().verify().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use halo2_base::gates::GateInstructions;

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
            let circuit = |ctx: &mut Context<Fr>, gates: &Gates| {
                let [x, y, product, constant] =
                    [x, y, product, constant].map(|v| ctx.load_witness(Fr::from(v)));
                gates.range_check(ctx, x, 20);
                let real = gates.gate.mul(ctx, x, y);
                ctx.constrain_equal(&real, &product);
                gates.gate.assert_is_const(ctx, &constant, &Fr::from(7));
                gates.h2(ctx, x, constant);
            };
            let (built, ()) = build(8, circuit);
            assert_eq!(built.satisfied(), expected, "bench: {x} {y} {product} {constant}");
            assert_eq!(built.satisfied_by_mock_prover(), expected, "{x} {y} {product} {constant}");
        }
    }

    #[test]
    fn an_overwritten_cell_is_noticed() {
        let (mut built, product) = build(8, |ctx, gates| {
            let (x, y) = (ctx.load_witness(Fr::from(3)), ctx.load_witness(Fr::from(5)));
            gates.gate.mul(ctx, x, y)
        });
        assert!(built.satisfied());
        built.prank(&product, Fr::from(16));
        assert!(!built.satisfied());
        assert!(!built.satisfied_by_mock_prover());
    }
}
