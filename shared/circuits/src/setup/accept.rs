//! Native acceptance: the only way to "verified".
//!
//! Whatever is accepted here can also be verified inside a parent's circuit: that is the property
//! every rule below serves. A proof that a plain verifier accepts and no circuit can take (a point
//! at infinity, a second encoding of an accumulator, a foreign self digest) would make a block
//! unprovable for free. And nothing is verified before the claims it carries are settled with the
//! real keys: a key is bound by them, not by its digest.

use super::{
    keys::{VerifyingKeys, point_bytes},
    srs::SetupConstants,
};
use crate::{
    gates::{LIMB_BITS, LIMBS},
    poseidon::{from_word, to_word},
    recursion::family::{
        ACCUMULATOR, CARRIED, COMMITMENTS, GENERATOR, ProofLayout, ROOT_ACCUMULATOR, WORDS,
        carried_kinds, public_words, self_word,
    },
};
use halo2_base::halo2_proofs::halo2curves::{
    CurveAffine,
    bn256::{Bn256, Fq, Fr, G1, G1Affine},
    ff::{Field, PrimeField},
    group::{Curve, GroupEncoding, prime::PrimeCurveAffine},
};
use protocol::{Kind, Word};
use snark_verifier::{
    loader::native::NativeLoader,
    pcs::{
        AccumulationDecider, AccumulatorEncoding,
        kzg::{KzgAccumulator, KzgDecidingKey, LimbsEncoding},
    },
    system::halo2::transcript::evm::EvmTranscript,
    util::transcript::TranscriptRead,
    verifier::{
        SnarkVerifier,
        plonk::{PlonkProtocol, PlonkSuccinctVerifier},
    },
};
use snark_verifier_sdk::{
    BITS as ROOT_LIMB_BITS, LIMBS as ROOT_LIMBS, SHPLONK,
    halo2::{POSEIDON_SPEC, PoseidonTranscript},
};

type Accumulator = KzgAccumulator<G1Affine, NativeLoader>;
/// How family circuits write an accumulator down, and how `root` does for L1.
type Limbs = LimbsEncoding<LIMBS, LIMB_BITS>;
type RootLimbs = LimbsEncoding<ROOT_LIMBS, ROOT_LIMB_BITS>;

/// Bits of a payee.
const PAYEE_BITS: u32 = 160;
/// Bits of a count of txs or calls.
const COUNT_BITS: u32 = 32;
/// Bits of a sum of fees.
const FEE_BITS: u32 = 64;

/// Why a proof is refused. Nothing else is said about it: a refused proof is nobody's statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another number of public words.
    #[error("{got} public words, {kind} has {expected}")]
    WordCount {
        /// The kind it was said to be of.
        kind: Kind,
        /// Words of that kind.
        expected: usize,
        /// Words given.
        got: usize,
    },
    /// A public word that is not below the field's order.
    #[error("public word {0} is not below the order of the field")]
    NotCanonical(usize),
    /// Another length of the proof.
    #[error("a proof of {got} bytes, {kind} has {expected}")]
    Length {
        /// The kind it was said to be of.
        kind: Kind,
        /// Bytes of that kind's proofs.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// A point or number of the proof that is not written the one way it can be.
    #[error("the proof's bytes at {0} are no canonical point or number")]
    Encoding(usize),
    /// The identity among the proof's points: no circuit can load it.
    #[error("the point of the proof at {0} is the identity")]
    Identity(usize),
    /// The accumulator in the public words is none, or not the one this kind must carry.
    #[error("the accumulator in the public words is malformed or not the required one")]
    Accumulator,
    /// A `tx` or `vm` that carries scalars, or another kind that carries some in an unused slot.
    #[error("{0} carries scalars where it must not")]
    Carried(Kind),
    /// Word 0 is not the digest pinned for this kind.
    #[error("the self digest is not the pinned one")]
    SelfDigest,
    /// A word outside the bounds its parent will enforce.
    #[error("public word {0} is out of its bounds")]
    Bounds(usize),
    /// The proof does not hold.
    #[error("the proof does not hold")]
    Proof,
    /// The proof holds, but the claim it carries does not.
    #[error("a claim the proof carries does not hold")]
    Claim,
    /// The credit record given does not open the credit word, or names another payee.
    #[error("the credit record does not open the credit word")]
    Record,
    /// The block is proved by circuits this program has no keys of.
    #[error("no keys of the circuit set the block is proved by")]
    UnknownSet,
}

impl Refusal {
    /// Stable code for operators.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WordCount { .. } => "ACC-001",
            Self::NotCanonical(_) => "ACC-002",
            Self::Length { .. } => "ACC-003",
            Self::Encoding(_) => "ACC-004",
            Self::Identity(_) => "ACC-005",
            Self::Accumulator => "ACC-006",
            Self::Carried(_) => "ACC-007",
            Self::SelfDigest => "ACC-008",
            Self::Bounds(_) => "ACC-009",
            Self::Proof => "ACC-010",
            Self::Claim => "ACC-011",
            Self::Record => "ACC-012",
            Self::UnknownSet => "ACC-013",
        }
    }
}

/// A verified proof: what it says may be believed. Only [`accept`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    kind: Kind,
    words: Vec<Word>,
}

impl Accepted {
    /// Which circuit.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The application's words: start, end, txs, count, credit, payee, aux; for `root` start, end,
    /// txs, count, credit, payee, units, fees, set. The self digest and the accumulator say
    /// nothing to anybody outside the circuits.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        &self.words
    }
}

/// Accepts or refuses a proof of `kind`: `instances` are all its public words, big-endian.
///
/// # Errors
/// The first rule the proof breaks.
pub fn accept(
    keys: &VerifyingKeys,
    kind: Kind,
    instances: &[Word],
    proof: &[u8],
) -> Result<Accepted, Refusal> {
    let expected = public_words(kind);
    if instances.len() != expected {
        return Err(Refusal::WordCount { kind, expected, got: instances.len() });
    }
    let public = decode(instances)?;
    let protocol = keys.protocol(kind);
    check_encoding(kind, protocol, proof)?;
    let carried = carried_accumulator(kind, &public)?;
    check_carried(keys.setup(), kind, &public)?;
    check_self_digest(keys, kind, &public)?;
    check_bounds(kind, &public)?;
    let own = own_accumulator(keys, kind, &public, proof)?;
    let deciding = deciding_key(keys.setup());
    decide(&deciding, own).map_err(|()| Refusal::Proof)?;
    decide(&deciding, resolve(keys, kind, &public, carried)).map_err(|()| Refusal::Claim)?;
    let first = if kind == Kind::Root { ROOT_ACCUMULATOR } else { WORDS + 1 };
    Ok(Accepted { kind, words: instances[first..].to_vec() })
}

fn decode(instances: &[Word]) -> Result<Vec<Fr>, Refusal> {
    let decode = |(i, word)| from_word(word).ok_or(Refusal::NotCanonical(i));
    instances.iter().enumerate().map(decode).collect()
}

/// Exact length, every point and number in its only encoding, no identity.
fn check_encoding(
    kind: Kind,
    protocol: &PlonkProtocol<G1Affine>,
    proof: &[u8],
) -> Result<(), Refusal> {
    let layout = ProofLayout::of(protocol);
    let point = point_bytes(kind);
    let expected = layout.bytes(point);
    if proof.len() != expected {
        return Err(Refusal::Length { kind, expected, got: proof.len() });
    }
    let (commitments, rest) = proof.split_at(layout.commitments * point);
    let (evaluations, openings) = rest.split_at(layout.evaluations * 32);
    let mut at = 0;
    for part in [commitments, openings] {
        for bytes in part.chunks_exact(point) {
            let point =
                if kind == Kind::Root { big_endian_point(bytes) } else { compressed(bytes) };
            let point = point.ok_or(Refusal::Encoding(at))?;
            if bool::from(point.is_identity()) {
                return Err(Refusal::Identity(at));
            }
            at += bytes.len();
        }
        at += evaluations.len();
    }
    at = commitments.len();
    for bytes in evaluations.chunks_exact(32) {
        number(kind, bytes).ok_or(Refusal::Encoding(at))?;
        at += 32;
    }
    Ok(())
}

fn compressed(bytes: &[u8]) -> Option<G1Affine> {
    let mut repr = <G1Affine as GroupEncoding>::Repr::default();
    repr.as_mut().copy_from_slice(bytes);
    let point = Option::<G1Affine>::from(G1Affine::from_bytes(&repr))?;
    (point.to_bytes().as_ref() == bytes).then_some(point)
}

/// A point as L1 reads it: two coordinates below p.
fn big_endian_point(bytes: &[u8]) -> Option<G1Affine> {
    let coordinate = |bytes: &[u8]| {
        let mut repr: [u8; 32] = bytes.try_into().ok()?;
        repr.reverse();
        Option::<Fq>::from(Fq::from_repr(repr))
    };
    let (x, y) = bytes.split_at(32);
    Option::from(G1Affine::from_xy(coordinate(x)?, coordinate(y)?))
}

fn number(kind: Kind, bytes: &[u8]) -> Option<Fr> {
    let mut repr: [u8; 32] = bytes.try_into().ok()?;
    if kind == Kind::Root {
        repr.reverse();
    }
    Option::from(Fr::from_repr(repr))
}

/// Limbs in their range, coordinates below p, on the curve, not the identity.
fn carried_accumulator(kind: Kind, public: &[Fr]) -> Result<Accumulator, Refusal> {
    fn decode<E>(limbs: &[Fr]) -> Result<Accumulator, snark_verifier::Error>
    where
        E: AccumulatorEncoding<G1Affine, NativeLoader, Accumulator = Accumulator>,
    {
        E::from_repr(&limbs.iter().collect::<Vec<&Fr>>())
    }
    let accumulator = if kind == Kind::Root {
        decode::<RootLimbs>(&public[..ROOT_ACCUMULATOR])
    } else {
        decode::<Limbs>(&public[..ACCUMULATOR])
    };
    let accumulator = accumulator.map_err(|_| Refusal::Accumulator)?;
    let identity = [accumulator.lhs, accumulator.rhs].iter().any(|side| side.is_identity().into());
    if identity { Err(Refusal::Accumulator) } else { Ok(accumulator) }
}

/// `tx` and `vm` carry the pair (τG, G) and nothing else, the others nothing in unused slots.
fn check_carried(setup: &SetupConstants, kind: Kind, public: &[Fr]) -> Result<(), Refusal> {
    match kind {
        Kind::Tx | Kind::Vm => {
            let accumulator = carried_accumulator(kind, public)?;
            if (accumulator.lhs, accumulator.rhs) != (setup.tau_g, setup.g) {
                return Err(Refusal::Accumulator);
            }
            let carries = public[GENERATOR..WORDS].iter().any(|scalar| *scalar != Fr::ZERO);
            if carries { Err(Refusal::Carried(kind)) } else { Ok(()) }
        }
        Kind::Kernel | Kind::Base | Kind::Merge => {
            let unused = CARRIED + carried_kinds(kind).len() * COMMITMENTS;
            let carries = public[unused..WORDS].iter().any(|scalar| *scalar != Fr::ZERO);
            if carries { Err(Refusal::Carried(kind)) } else { Ok(()) }
        }
        Kind::Root => Ok(()),
    }
}

fn check_self_digest(keys: &VerifyingKeys, kind: Kind, public: &[Fr]) -> Result<(), Refusal> {
    if kind == Kind::Root {
        return Ok(());
    }
    let pinned = self_word(kind).map_or(Fr::ZERO, |named| keys.digest(named));
    if public[WORDS] == pinned { Ok(()) } else { Err(Refusal::SelfDigest) }
}

/// Bounds a parent's circuit, or L1, relies on.
fn check_bounds(kind: Kind, public: &[Fr]) -> Result<(), Refusal> {
    let first = if kind == Kind::Root { ROOT_ACCUMULATOR } else { WORDS + 1 };
    let (count, payee, sixth, seventh) = (first + 3, first + 5, first + 6, first + 7);
    let bounds: &[(usize, u32)] = match kind {
        Kind::Tx => &[(count, 0), (payee, 0), (sixth, 0)],
        Kind::Vm => &[(count, 0), (payee, PAYEE_BITS), (sixth, 0)],
        Kind::Kernel => &[(count, COUNT_BITS), (payee, PAYEE_BITS)],
        Kind::Base | Kind::Merge => &[(count, COUNT_BITS), (payee, PAYEE_BITS), (sixth, FEE_BITS)],
        Kind::Root => {
            &[(count, COUNT_BITS), (payee, PAYEE_BITS), (sixth, FEE_BITS), (seventh, FEE_BITS)]
        }
    };
    let outside = |(word, bits): &&(usize, u32)| !fits(public[*word], *bits);
    bounds.iter().find(outside).map_or(Ok(()), |(word, _)| Err(Refusal::Bounds(*word)))
}

/// Whether `word` is below 2^bits; bits is a multiple of 8.
fn fits(word: Fr, bits: u32) -> bool {
    let word = to_word(word);
    word[..word.len() - bits as usize / 8].iter().all(|byte| *byte == 0)
}

/// Runs the verifier up to the pairing.
fn own_accumulator(
    keys: &VerifyingKeys,
    kind: Kind,
    public: &[Fr],
    proof: &[u8],
) -> Result<Accumulator, Refusal> {
    if kind == Kind::Root {
        let mut transcript = EvmTranscript::<G1Affine, NativeLoader, _, _>::new(proof);
        verify::<RootLimbs>(keys, kind, public, &mut transcript)
    } else {
        let spec = POSEIDON_SPEC.clone();
        let mut transcript = PoseidonTranscript::<NativeLoader, _>::from_spec(proof, spec);
        verify::<Limbs>(keys, kind, public, &mut transcript)
    }
}

/// Runs the verifier of a kind whose accumulators are written down as `E` does.
fn verify<E>(
    keys: &VerifyingKeys,
    kind: Kind,
    public: &[Fr],
    transcript: &mut impl TranscriptRead<G1Affine, NativeLoader>,
) -> Result<Accumulator, Refusal>
where
    E: AccumulatorEncoding<G1Affine, NativeLoader, Accumulator = Accumulator>,
{
    let svk = keys.setup().g.into();
    let (protocol, instances) = (keys.protocol(kind), [public.to_vec()]);
    let proof =
        PlonkSuccinctVerifier::<SHPLONK, E>::read_proof(&svk, protocol, &instances, transcript);
    let proof = proof.map_err(|_| Refusal::Proof)?;
    let accumulators =
        PlonkSuccinctVerifier::<SHPLONK, E>::verify(&svk, protocol, &instances, &proof);
    accumulators.ok().and_then(|all| all.into_iter().next()).ok_or(Refusal::Proof)
}

fn deciding_key(setup: &SetupConstants) -> KzgDecidingKey<Bn256> {
    (setup.g, setup.g2, setup.tau_g2).into()
}

fn decide(key: &KzgDecidingKey<Bn256>, accumulator: Accumulator) -> Result<(), ()> {
    let decided =
        <SHPLONK as AccumulationDecider<G1Affine, NativeLoader>>::decide(key, accumulator);
    decided.map_err(|_| ())
}

/// Adds what the carried scalars stand for, with the real keys. `root` has done that itself.
fn resolve(keys: &VerifyingKeys, kind: Kind, public: &[Fr], carried: Accumulator) -> Accumulator {
    if kind == Kind::Root {
        return carried;
    }
    let mut left: G1 = carried.lhs.into();
    left += keys.setup().g * public[GENERATOR];
    let slots = public[CARRIED..WORDS].chunks_exact(COMMITMENTS);
    for (kind, scalars) in carried_kinds(kind).iter().zip(slots) {
        for (commitment, scalar) in keys.protocol(*kind).preprocessed.iter().zip(scalars) {
            left += *commitment * scalar;
        }
    }
    Accumulator::new(left.to_affine(), carried.rhs)
}

/// Whether the claim in these public words holds: rule 6 without a proof.
#[cfg(test)]
pub(crate) fn claim_holds(keys: &VerifyingKeys, kind: Kind, public: &[Fr]) -> bool {
    let carried = carried_accumulator(kind, public).unwrap();
    decide(&deciding_key(keys.setup()), resolve(keys, kind, public, carried)).is_ok()
}

#[cfg(test)]
mod tests;
