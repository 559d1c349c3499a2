//! Sizes of every circuit, and what a parent's builder refuses.

use super::*;
use crate::recursion::family::{KeyFacts, placeholder, protocol_config};
use halo2_base::halo2_proofs::{
    halo2curves::{bn256::Bn256, group::Curve},
    plonk::keygen_vk_custom,
    poly::kzg::commitment::ParamsKZG,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use snark_verifier::system::halo2::compile;

fn g(multiple: u64) -> G1Affine {
    (G1Affine::generator() * Fr::from(multiple)).to_affine()
}

/// The family's shape, from a key of ten rows' height: heights are not part of it.
fn shape() -> PlonkProtocol<G1Affine> {
    let params = ParamsKZG::<Bn256>::setup(10, ChaCha20Rng::from_seed([1; 32]));
    let columns = halo2_base::gates::circuit::BaseCircuitParams {
        k: 10,
        lookup_bits: Some(9),
        ..columns(Kind::Tx)
    };
    let mut builder =
        BaseCircuitBuilder::<Fr>::from_stage(CircuitBuilderStage::Keygen).use_params(columns);
    let cell = builder.main(0).load_constant(Fr::ONE);
    builder.assigned_instances[0] = vec![cell; crate::recursion::family::N_PI];
    let key = keygen_vk_custom(&params, &builder, false).unwrap();
    compile(&params, &key, protocol_config(Kind::Tx))
}

fn keys() -> FamilyKeys {
    let facts = |index: u64| KeyFacts {
        digest: Fr::from(100 + index),
        commitments: (0..COMMITMENTS as u64).map(|i| g(1000 * (index + 1) + i)).collect(),
    };
    CARRIED_KINDS.iter().enumerate().map(|(i, kind)| (*kind, facts(i as u64))).collect()
}

#[test]
fn every_parent_fits_its_columns_and_leaves_room_for_its_application() {
    let (shape, keys) = (shape(), keys());
    for (kind, free) in
        [(Kind::Kernel, 600_000), (Kind::Base, 2_000_000), (Kind::Merge, 600_000), (Kind::Root, 0)]
    {
        let plan = Plan {
            kind,
            stage: CircuitBuilderStage::Keygen,
            break_points: None,
            setup: [g(2), g(1)],
            keys: &keys,
            own: Fr::ZERO,
        };
        let children: Vec<Child> =
            positions(kind).iter().map(|allowed| placeholder(allowed[0], &shape)).collect();
        let words = if kind == Kind::Root { 9 } else { 7 };
        let builder = build_parent(&plan, &shape, &children, |site| {
            Ok((0..words).map(|i| site.ctx.load_witness(Fr::from(i))).collect())
        })
        .unwrap();
        let statistics = builder.statistics();
        let cells = statistics.gate.total_advice_per_phase[0];
        let lookups = statistics.total_lookup_advice_per_phase[0];
        let rows = (1 << height(kind)) - 20;
        let capacity = crate::recursion::family::advice_columns(kind) * rows;
        println!("{kind}: {cells} of {capacity} cells, {lookups} of {rows} lookups");
        assert!(cells + free <= capacity, "{kind}: {cells} of {capacity}, {free} to be free");
        assert!(lookups <= rows, "{kind}: {lookups} lookups");
    }
}
