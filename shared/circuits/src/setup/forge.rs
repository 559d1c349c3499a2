//! Test bench: proofs that hold, with whatever public words one likes.
//!
//! The circuits have the family's columns and show the words they are given, at a thousand rows.

use super::{
    keys::{Verifying, VerifyingKeys},
    srs::constants,
};
use crate::recursion::family::{WORDS, advice_columns, columns, public_words, self_word};
use halo2_base::{
    gates::circuit::{BaseCircuitParams, CircuitBuilderStage, builder::BaseCircuitBuilder},
    halo2_proofs::{
        halo2curves::{
            bn256::{Bn256, Fr, G1Affine},
            ff::Field,
        },
        plonk::{ProvingKey, create_proof, keygen_pk2, verify_proof},
        poly::{
            VerificationStrategy,
            commitment::ParamsProver,
            kzg::{
                commitment::{KZGCommitmentScheme, ParamsKZG},
                multiopen::{ProverSHPLONK, VerifierSHPLONK},
                strategy::AccumulatorStrategy,
            },
        },
        transcript::TranscriptWriterBuffer,
    },
};
use protocol::Kind;
use rand::{RngCore, SeedableRng, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use snark_verifier::{
    loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript,
    util::arithmetic::fe_to_limbs,
};
use snark_verifier_sdk::{
    BITS, LIMBS,
    halo2::{POSEIDON_SPEC, PoseidonTranscript},
};
use std::{collections::BTreeMap, sync::LazyLock};

const K: u32 = 10;

pub(crate) struct Forge {
    params: ParamsKZG<Bn256>,
    keys: BTreeMap<Kind, ProvingKey<G1Affine>>,
    pub(crate) verifying: VerifyingKeys,
}

pub(crate) static FORGE: LazyLock<Forge> = LazyLock::new(|| {
    let params = ParamsKZG::<Bn256>::setup(K, ChaCha20Rng::from_seed([9; 32]));
    let key = |kind: Kind| {
        let words = vec![Fr::ZERO; public_words(kind)];
        keygen_pk2(&params, &circuit(kind, &words, CircuitBuilderStage::Keygen), false).unwrap()
    };
    let keys: BTreeMap<Kind, ProvingKey<G1Affine>> =
        Kind::ALL.into_iter().map(|kind| (kind, key(kind))).collect();
    let setup = constants(&params);
    let verifying = |(kind, key): (&Kind, &ProvingKey<G1Affine>)| {
        (*kind, Verifying::new(*kind, key.get_vk(), &setup))
    };
    let verifying = VerifyingKeys::new(setup, keys.iter().map(verifying).collect()).unwrap();
    Forge { params, keys, verifying }
});

/// Shows `words`, whatever they are. A constant of its own makes each kind's key another one.
fn circuit(kind: Kind, words: &[Fr], stage: CircuitBuilderStage) -> BaseCircuitBuilder<Fr> {
    let columns = BaseCircuitParams {
        k: K as usize,
        lookup_bits: Some(K as usize - 1),
        num_advice_per_phase: vec![advice_columns(kind)],
        ..columns(kind)
    };
    let mut builder = BaseCircuitBuilder::from_stage(stage).use_params(columns);
    builder.set_break_points(vec![vec![]]);
    let ctx = builder.main(0);
    ctx.load_constant(Fr::from(1000 + kind as u64));
    builder.assigned_instances[0] = words.iter().map(|word| ctx.load_witness(*word)).collect();
    builder
}

/// A proof of `kind` that shows the first words, over `words` as instances.
pub(crate) fn forge_with(kind: Kind, words: &[Fr], rng: impl RngCore) -> Vec<u8> {
    let shown = &words[..public_words(kind).min(words.len())];
    let circuit = circuit(kind, shown, CircuitBuilderStage::Prover);
    let (params, key) = (&FORGE.params, &FORGE.keys[&kind]);
    macro_rules! prove {
        ($transcript:expr) => {{
            let mut transcript = $transcript;
            create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
                params,
                key,
                &[circuit],
                &[&[words]],
                rng,
                &mut transcript,
            )
            .unwrap();
            TranscriptWriterBuffer::<Vec<u8>, G1Affine, _>::finalize(transcript)
        }};
    }
    if kind == Kind::Root {
        prove!(EvmTranscript::<G1Affine, NativeLoader, Vec<u8>, Vec<u8>>::new(Vec::new()))
    } else {
        let spec = POSEIDON_SPEC.clone();
        prove!(PoseidonTranscript::<NativeLoader, Vec<u8>>::from_spec(Vec::new(), spec))
    }
}

pub(crate) fn forge(kind: Kind, words: &[Fr]) -> Vec<u8> {
    forge_with(kind, words, OsRng)
}

/// What the library's own verifier says of a family proof, with its pairing.
pub(crate) fn library_accepts(kind: Kind, words: &[Fr], proof: &[u8]) -> bool {
    let spec = POSEIDON_SPEC.clone();
    let mut transcript = PoseidonTranscript::<NativeLoader, &[u8]>::from_spec(proof, spec);
    let params = FORGE.params.verifier_params();
    let strategy = AccumulatorStrategy::new(params);
    let key = FORGE.keys[&kind].get_vk();
    verify_proof::<_, VerifierSHPLONK<'_, Bn256>, _, _, _>(
        params,
        key,
        strategy,
        &[&[words]],
        &mut transcript,
    )
    .is_ok_and(VerificationStrategy::<_, VerifierSHPLONK<'_, Bn256>>::finalize)
}

pub(crate) fn limbs(left: G1Affine, right: G1Affine) -> Vec<Fr> {
    let coordinates = [left.x, left.y, right.x, right.y];
    coordinates.into_iter().flat_map(fe_to_limbs::<_, Fr, LIMBS, BITS>).collect()
}

/// Words acceptance takes: a true accumulator, nothing carried, the pinned self digest.
pub(crate) fn honest(kind: Kind) -> Vec<Fr> {
    let setup = FORGE.verifying.setup();
    let mut words = limbs(setup.tau_g, setup.g);
    words.resize(public_words(kind), Fr::ZERO);
    if kind != Kind::Root {
        words[WORDS] = self_word(kind).map_or(Fr::ZERO, |named| FORGE.verifying.digest(named));
    }
    words
}
