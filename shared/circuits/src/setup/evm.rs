//! What L1 needs: the root verifier's source and the calldata of a root proof.

use super::keys::VerifyingKeys;
use crate::recursion::family::{ROOT_ACCUMULATOR, ROOT_WORD_COUNT};
use compact::{Powers, compact};
use halo2_base::{
    halo2_proofs::halo2curves::{
        bn256::{Fq, Fr, G1Affine},
        ff::Field,
    },
    utils::fe_to_biguint,
};
use opening::{FinalKey, Opening, OpeningKey};
use protocol::{Kind, Word};
use snark_verifier::{
    loader::evm::EvmLoader,
    pcs::kzg::LimbsEncoding,
    system::halo2::transcript::evm::EvmTranscript,
    verifier::{SnarkVerifier, plonk::PlonkVerifier},
};
use snark_verifier_sdk::{BITS, LIMBS};
use std::rc::Rc;

mod compact;
mod opening;

/// How `root` writes an accumulator down.
type RootLimbs = LimbsEncoding<LIMBS, BITS>;

/// The compiler version the generator writes, and the one the project's compiler accepts. The
/// code is assembly: nothing in it depends on the version.
const PRAGMA: [&str; 2] = ["pragma solidity 0.8.19;", "pragma solidity ^0.8.19;"];

/// Solidity source of the contract that verifies `root` proofs of this circuit set.
///
/// Compile with `optimizer.enabled = true, details.yul = false`: the optimiser of the intermediate
/// language runs out of memory in the compiler's portable build.
///
/// The generator's source is rewritten to fit L1's limit for code ([`mod@compact`]).
///
/// # Errors
/// Never for a key of the family's making; the generator runs the verifier symbolically. A line of
/// its source that is not known, if the generator changes.
pub fn solidity(keys: &VerifyingKeys) -> Result<String, String> {
    type Verifier = PlonkVerifier<Opening, RootLimbs>;
    let setup = keys.setup();
    let protocol = keys.protocol(Kind::Root);
    let opening = OpeningKey { g: setup.g, generator: protocol.domain.r#gen };
    let pairing = (setup.g, setup.g2, setup.tau_g2).into();
    let deciding = FinalKey { opening, pairing };
    let loader = EvmLoader::new::<Fq, Fr>();
    let counts = protocol.num_instance.clone();
    let protocol = protocol.loaded(&loader);
    let mut transcript = EvmTranscript::<G1Affine, Rc<EvmLoader>, _, _>::new(&loader);
    let instances = transcript.load_instances(counts);
    let proof = Verifier::read_proof(&deciding, &protocol, &instances, &mut transcript);
    let proof = proof.map_err(|error| format!("{error:?}"))?;
    Verifier::verify(&deciding, &protocol, &instances, &proof)
        .map_err(|error| format!("{error:?}"))?;
    let source = loader.solidity_code();
    assert!(source.contains(PRAGMA[0]), "the known generator");
    let source = source.replace(PRAGMA[0], PRAGMA[1]);
    let source = compact(&source, &powers(keys))?;
    // The build script copies the set next to the bytecode, so that nobody deploys another's.
    Ok(format!("// circuit set: 0x{}\n{source}", hex::encode(keys.set_id())))
}

/// Powers of the root's domain that its verifier may name: rotations of its gates, words shown.
fn powers(keys: &VerifyingKeys) -> Powers {
    let generator = keys.protocol(Kind::Root).domain.r#gen;
    let inverse = Option::<Fr>::from(generator.invert()).unwrap_or(Fr::ONE);
    let first = (0..64).fold(Fr::ONE, |power, _| power * inverse);
    let powers = std::iter::successors(Some(first), |power| Some(power * generator)).take(160);
    let powers: Vec<Fr> = powers.collect();
    let decimal = |value: &Fr| fe_to_biguint(value).to_string();
    Powers {
        values: powers.iter().map(decimal).collect(),
        negatives: powers.iter().map(|power| decimal(&-power)).collect(),
        generator: decimal(&generator),
    }
}

/// What `Slots.settle` takes as proof: the accumulator's twelve words, then the proof. The nine
/// words it takes beside it stand between the two when it calls the verifier.
#[must_use]
pub fn settle_proof(instances: &[Word], proof: &[u8]) -> Vec<u8> {
    let accumulator = instances.iter().take(ROOT_ACCUMULATOR).flatten();
    accumulator.chain(proof).copied().collect()
}

/// The nine words `Slots.settle` takes beside the proof; `None` if these are not a root's words.
#[must_use]
pub fn settle_words(instances: &[Word]) -> Option<[Word; ROOT_WORD_COUNT]> {
    instances.get(ROOT_ACCUMULATOR..)?.try_into().ok()
}

/// Calldata of the verifier contract: the public words, then the proof.
#[must_use]
pub fn calldata(instances: &[Word], proof: &[u8]) -> Vec<u8> {
    let words = instances.iter().flatten();
    words.chain(proof).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recursion::family::public_words;

    /// What L1 puts together again is what the verifier was written for.
    #[test]
    fn words_and_proof_of_a_settlement_make_the_verifiers_calldata() {
        let word = |i: usize| [i as u8; 32];
        let instances: Vec<Word> = (0..public_words(Kind::Root)).map(word).collect();
        let proof = [99; 64];
        let shown = settle_proof(&instances, &proof);
        let (accumulator, transcript) = shown.split_at(ROOT_ACCUMULATOR * 32);
        let words = settle_words(&instances).unwrap().concat();
        assert_eq!([accumulator, &words, transcript].concat(), calldata(&instances, &proof));
        let others: Vec<Word> = (0..public_words(Kind::Merge)).map(word).collect();
        assert_eq!(settle_words(&others), None);
        assert_eq!(settle_words(&instances[1..]), None);
    }
}
