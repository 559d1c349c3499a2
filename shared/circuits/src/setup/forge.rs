//! Test bench: proofs that hold, with whatever public words one likes.
//!
//! The circuits have the family's columns and show the words they are given, at a thousand rows.

use super::{
    keys::{Verifying, VerifyingKeys},
    srs::constants,
};
use crate::gates::{Draft, LIMB_BITS, LIMBS, draft::start, sheet::Sheet};
use crate::recursion::family::{WORDS, layout, public_words, self_word};
use halo2_base::halo2_proofs::{
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
};
use protocol::Kind;
use rand::{RngCore, SeedableRng, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use snark_verifier::{
    loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript,
    util::arithmetic::fe_to_limbs,
};
use snark_verifier_sdk::{
    BITS as ROOT_LIMB_BITS, LIMBS as ROOT_LIMBS,
    halo2::{POSEIDON_SPEC, PoseidonTranscript},
};
use std::{collections::BTreeMap, sync::LazyLock};

const K: u32 = 10;

pub(crate) struct Forge {
    params: ParamsKZG<Bn256>,
    keys: BTreeMap<Kind, ProvingKey<G1Affine>>,
    pub(crate) verifying: VerifyingKeys,
}

pub(crate) static FORGE: LazyLock<Forge> = LazyLock::new(|| Forge::new(1));

/// Shows `words`, whatever they are. Constants of its own make each kind's key another one, and
/// each set's.
fn circuit(kind: Kind, revision: u32, words: &[Fr]) -> Sheet {
    let (mut builder, gates) = start(K);
    let ctx = builder.main(0);
    ctx.load_constant(Fr::from(1000 * u64::from(revision) + kind as u64));
    let shown = words.iter().map(|word| ctx.load_witness(*word)).collect();
    let mut draft = Draft::finish(builder, gates, K).arranged(layout(kind));
    draft.show(shown);
    draft.sheet().unwrap()
}

impl Forge {
    /// The small set of this number.
    pub(crate) fn new(revision: u32) -> Self {
        let params = ParamsKZG::<Bn256>::setup(K, ChaCha20Rng::from_seed([9; 32]));
        let key = |kind: Kind| {
            let words = vec![Fr::ZERO; public_words(kind)];
            keygen_pk2(&params, &circuit(kind, revision, &words), false).unwrap()
        };
        let keys: BTreeMap<Kind, ProvingKey<G1Affine>> =
            Kind::ALL.into_iter().map(|kind| (kind, key(kind))).collect();
        let setup = constants(&params);
        let verifying = |(kind, key): (&Kind, &ProvingKey<G1Affine>)| {
            (*kind, Verifying::new(*kind, key.get_vk(), &setup))
        };
        let verifying = keys.iter().map(verifying).collect();
        let verifying = VerifyingKeys::new((setup, revision), verifying).unwrap();
        Self { params, keys, verifying }
    }

    /// A proof of `kind` that shows these words.
    pub(crate) fn prove(&self, kind: Kind, words: &[Fr]) -> Vec<u8> {
        self.prove_with(kind, words, OsRng)
    }

    /// Words acceptance takes: a true accumulator, nothing carried, the pinned self digest.
    pub(crate) fn honest(&self, kind: Kind) -> Vec<Fr> {
        let setup = self.verifying.setup();
        let mut words = limbs(kind, setup.tau_g, setup.g);
        words.resize(public_words(kind), Fr::ZERO);
        if kind != Kind::Root {
            words[WORDS] = self_word(kind).map_or(Fr::ZERO, |named| self.verifying.digest(named));
        }
        words
    }

    /// A proof of `kind` that shows the first words, over `words` as instances.
    fn prove_with(&self, kind: Kind, words: &[Fr], rng: impl RngCore) -> Vec<u8> {
        let shown = &words[..public_words(kind).min(words.len())];
        let circuit = circuit(kind, self.verifying.revision(), shown);
        let (params, key) = (&self.params, &self.keys[&kind]);
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
}

/// A proof of the first small set, made with this randomness.
pub(crate) fn forge_with(kind: Kind, words: &[Fr], rng: impl RngCore) -> Vec<u8> {
    FORGE.prove_with(kind, words, rng)
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

/// An accumulator as `kind` shows it.
pub(crate) fn limbs(kind: Kind, left: G1Affine, right: G1Affine) -> Vec<Fr> {
    let coordinates = [left.x, left.y, right.x, right.y].into_iter();
    if kind == Kind::Root {
        coordinates.flat_map(fe_to_limbs::<_, Fr, ROOT_LIMBS, ROOT_LIMB_BITS>).collect()
    } else {
        coordinates.flat_map(fe_to_limbs::<_, Fr, LIMBS, LIMB_BITS>).collect()
    }
}

/// [`Forge::honest`] of the first small set.
pub(crate) fn honest(kind: Kind) -> Vec<Fr> {
    FORGE.honest(kind)
}
