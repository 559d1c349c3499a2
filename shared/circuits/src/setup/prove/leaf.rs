//! What a `tx` proof in a block's data leaves out: its public words and its length.
//!
//! A revealed block holds a tx's fields and the bytes of its proof; everything else follows from
//! the fields and the setup, because a proof without children carries no claims but the trivial
//! accumulator (τG, G).

use super::Proof;
use crate::{
    gates::{LIMB_BITS, LIMBS},
    poseidon::{Fr, to_word},
    recursion::family::{ProofLayout, WORDS},
    setup::keys::{VerifyingKeys, point_bytes},
    tx::Tx,
};
use protocol::{Kind, Word};
use snark_verifier::util::arithmetic::fe_to_limbs;

/// Exact length of a proof of `kind`, in bytes.
#[must_use]
pub fn proof_bytes(keys: &VerifyingKeys, kind: Kind) -> usize {
    ProofLayout::of(keys.protocol(kind)).bytes(point_bytes(kind))
}

/// A tx's proof as a child: the bytes with the public words that the tx's fields say.
#[must_use]
pub fn tx_proof(keys: &VerifyingKeys, tx: &Tx, proof: Vec<u8>) -> Proof {
    Proof { kind: Kind::Tx, instances: tx_instances(keys, tx), proof, credit: None }
}

/// All public words of a proof of this tx: the trivial accumulator, no carried scalars, no self
/// digest, then what the tx says.
fn tx_instances(keys: &VerifyingKeys, tx: &Tx) -> Vec<Word> {
    let setup = keys.setup();
    let coordinates = [setup.tau_g, setup.g].into_iter().flat_map(|point| [point.x, point.y]);
    let limbs = coordinates.flat_map(fe_to_limbs::<_, Fr, LIMBS, LIMB_BITS>);
    let mut words: Vec<Fr> = limbs.collect();
    words.resize(WORDS + 1, Fr::zero());
    words.extend(tx.words().to_array());
    words.into_iter().map(to_word).collect()
}
