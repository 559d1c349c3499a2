//! Who said it: signatures by operator keys, and the proof that one was checked.
//!
//! Only this file can build a [`Verified`], so whatever takes one cannot be given an unchecked
//! message. Signatures are secp256k1 with recovery, 65 bytes r ‖ s ‖ v, as `ecrecover` on L1 takes
//! them: s in the lower half of the order (no second signature can be made from one), v 27 or 28.

use core::fmt;
use std::sync::OnceLock;

use protocol::{Address, Hash, Input, LaneId, Message, ProverId, assign::keccak::keccak256};
use secp256k1::{
    All, Secp256k1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, Limit},
    error::{DecodeError, KeyError, Reject},
    message::{Body, Domain},
};

/// Longest signed message in bytes. The longest layout, `Made`, has 1 + 3·32 + 3·10 + 2·5 + 65 =
/// 202; the rest is room for later versions.
pub const SIGNED_BYTES_MAX: usize = 512;
const LIMIT: Limit = Limit { what: "signed message", max: SIGNED_BYTES_MAX };

/// v of a signature whose nonce point has an even y, as `ecrecover` takes it.
const V_EVEN: u8 = 27;
/// The same for an odd y.
const V_ODD: u8 = 28;

/// The curve's tables, built once.
fn curve() -> &'static Secp256k1<All> {
    static CURVE: OnceLock<Secp256k1<All>> = OnceLock::new();
    CURVE.get_or_init(Secp256k1::new)
}

/// An operator key. It is wiped when dropped and never printed.
pub struct Signer {
    secret: SecretKey,
    address: Address,
}

impl Signer {
    /// The signer with this secret, 32 bytes big-endian.
    ///
    /// # Errors
    /// [`KeyError::OutOfRange`] if it is zero or not below the order of the curve.
    pub fn new(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SecretKey::from_byte_array(*secret).map_err(|_| KeyError::OutOfRange)?;
        let address = address_of(&secret.public_key(curve()));
        Ok(Self { secret, address })
    }

    /// L1 address of the key: what the registry calls the operator.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs `message` for one network.
    #[must_use]
    pub fn sign(&self, domain: &Domain, message: Message) -> Signed {
        let digest = secp256k1::Message::from_digest(domain.digest(&message).0);
        let (id, compact) =
            curve().sign_ecdsa_recoverable(digest, &self.secret).serialize_compact();
        let mut signature = [0; 65];
        signature[..64].copy_from_slice(&compact);
        // Ids 2 and 3 need an r above the order, odds of 2^-127; L1 and `verify` refuse them.
        signature[64] = match id {
            RecoveryId::Zero | RecoveryId::Two => V_EVEN,
            RecoveryId::One | RecoveryId::Three => V_ODD,
        };
        Signed { message, signature }
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.address)
    }
}

/// A message with a signature that nobody has checked yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed {
    /// What is said.
    pub message: Message,
    /// r ‖ s ‖ v.
    pub signature: [u8; 65],
}

/// The layout of [`Signed`]; r, s and v apart because the codec knows no array of 65.
#[derive(Serialize, Deserialize)]
struct Envelope {
    body: Body,
    r: [u8; 32],
    s: [u8; 32],
    v: u8,
}

impl Signed {
    /// Its bytes, at most [`SIGNED_BYTES_MAX`].
    ///
    /// # Errors
    /// None for the messages of this version; see [`DecodeError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let mut envelope = Envelope {
            body: Body::from(&self.message),
            r: [0; 32],
            s: [0; 32],
            v: self.signature[64],
        };
        envelope.r.copy_from_slice(&self.signature[..32]);
        envelope.s.copy_from_slice(&self.signature[32..64]);
        codec::encode(&envelope, LIMIT)
    }

    /// Reads exactly what [`Signed::encode`] writes.
    ///
    /// # Errors
    /// Every other byte string is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Envelope { body, r, s, v } = codec::decode(bytes, LIMIT)?;
        let mut signature = [0; 65];
        signature[..32].copy_from_slice(&r);
        signature[32..64].copy_from_slice(&s);
        signature[64] = v;
        Ok(Self { message: body.try_into()?, signature })
    }
}

/// Who bonds which lanes, as the reader knows it from L1.
pub trait Lanes {
    /// Address of the operator key of `lane`, if a prover bonds that lane.
    fn operator(&self, lane: LaneId) -> Option<Address>;
}

/// Something whose signature was checked. Only [`verify`] can make one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified<T> {
    from: ProverId,
    id: Hash,
    value: T,
}

impl<T> Verified<T> {
    /// The prover whose operator key signed it.
    pub const fn from(&self) -> ProverId {
        self.from
    }

    /// Its id: the digest that was signed.
    pub const fn id(&self) -> Hash {
        self.id
    }

    /// What was said.
    pub const fn get(&self) -> &T {
        &self.value
    }
}

impl From<Verified<Message>> for Input {
    fn from(verified: Verified<Message>) -> Self {
        Self::Peer { from: verified.from, message: verified.value }
    }
}

/// Checks that the operator of the speaking lane signed `signed` for this network.
///
/// # Errors
/// [`Reject::UnknownLane`] if a lane that speaks or is spoken of is not bonded;
/// [`Reject::Signature`] and [`Reject::OtherSigner`] if the signature is not the operator's only
/// low-s one.
pub fn verify(
    signed: &Signed,
    domain: &Domain,
    lanes: &impl Lanes,
) -> Result<Verified<Message>, Reject> {
    let lane = signed.message.speaker();
    let operator = lanes.operator(lane).ok_or(Reject::UnknownLane { lane })?;
    if let Message::Loss { lane: silent, .. } = signed.message
        && lanes.operator(silent).is_none()
    {
        return Err(Reject::UnknownLane { lane: silent });
    }
    let id = domain.digest(&signed.message);
    let signer = recover(&signed.signature, id).ok_or(Reject::Signature)?;
    if signer != operator {
        return Err(Reject::OtherSigner { lane, signer, operator });
    }
    Ok(Verified { from: lane.prover(), id, value: signed.message })
}

/// The address whose key made `signature` over `digest`; `None` if it is no signature, not in
/// low-s form, or v is neither 27 nor 28.
fn recover(signature: &[u8; 65], digest: Hash) -> Option<Address> {
    let id = match signature[64] {
        V_EVEN => RecoveryId::Zero,
        V_ODD => RecoveryId::One,
        _ => return None,
    };
    let recoverable = RecoverableSignature::from_compact(&signature[..64], id).ok()?;
    let given = recoverable.to_standard();
    let mut low = given;
    low.normalize_s();
    if low != given {
        return None;
    }
    let digest = secp256k1::Message::from_digest(digest.0);
    let key = curve().recover_ecdsa(digest, &recoverable).ok()?;
    Some(address_of(&key))
}

/// The last 20 bytes of the keccak-256 of the key's two coordinates.
fn address_of(key: &secp256k1::PublicKey) -> Address {
    let point = key.serialize_uncompressed();
    let hash = keccak256(&[&point[1..]]).0;
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    Address(address)
}

#[cfg(test)]
mod tests;
