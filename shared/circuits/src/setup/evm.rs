//! What L1 needs: the root verifier's source and the calldata of a root proof.

use super::keys::VerifyingKeys;
use crate::recursion::family::ACCUMULATOR;
use halo2_base::halo2_proofs::halo2curves::bn256::{Fq, Fr, G1Affine};
use protocol::{Kind, Word};
use snark_verifier::{
    loader::evm::EvmLoader, system::halo2::transcript::evm::EvmTranscript, verifier::SnarkVerifier,
};
use snark_verifier_sdk::{PlonkVerifier, SHPLONK};
use std::rc::Rc;

/// The compiler version the generator writes, and the one the project's compiler accepts. The
/// code is assembly: nothing in it depends on the version.
const PRAGMA: [&str; 2] = ["pragma solidity 0.8.19;", "pragma solidity ^0.8.19;"];

/// Solidity source of the contract that verifies `root` proofs of this circuit set.
///
/// Compile with `optimizer.enabled = true, details.yul = false`: the optimiser of the intermediate
/// language runs out of memory in the compiler's portable build.
///
/// # Errors
/// Never for a key of the family's making; the generator runs the verifier symbolically.
pub fn solidity(keys: &VerifyingKeys) -> Result<String, String> {
    type Verifier = PlonkVerifier<SHPLONK>;
    let setup = keys.setup();
    let deciding = (setup.g, setup.g2, setup.tau_g2).into();
    let loader = EvmLoader::new::<Fq, Fr>();
    let protocol = keys.protocol(Kind::Root);
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
    // The build script copies the set next to the bytecode, so that nobody deploys another's.
    Ok(format!("// circuit set: 0x{}\n{source}", hex::encode(keys.set_id())))
}

/// What `Slots.settle` takes as proof: the accumulator's twelve words, then the proof. The nine
/// words it takes beside it stand between the two when it calls the verifier.
#[must_use]
pub fn settle_proof(instances: &[Word], proof: &[u8]) -> Vec<u8> {
    let accumulator = instances.iter().take(ACCUMULATOR).flatten();
    accumulator.chain(proof).copied().collect()
}

/// Calldata of the verifier contract: the public words, then the proof.
#[must_use]
pub fn calldata(instances: &[Word], proof: &[u8]) -> Vec<u8> {
    let words = instances.iter().flatten();
    words.chain(proof).copied().collect()
}
