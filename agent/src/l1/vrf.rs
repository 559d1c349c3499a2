//! Election tickets (R2.2): BLS signatures over BLS12-381, signature in G1, key in G2.
//!
//! A ticket is unique and secret until it is published, so nobody, not even its owner, can choose
//! its score. Domains, messages and encodings are those of `assets/contracts/src/Bls.sol`; the
//! two are compared on a running chain by a test.

use alloy::{
    primitives::{B256, U256, keccak256},
    sol_types::SolValue as _,
};
use blst::min_sig::{SecretKey, Signature};
use protocol::{Address, Hash, Slot};

use super::{L1Error, client::evm};

/// Signing domain of election tickets.
const VRF_DOMAIN: &[u8] = b"COPPICE-VRF-V1_BLS12381G1_XMD:SHA-256_SSWU_RO_";
/// Signing domain of proofs of possession.
const POSSESSION_DOMAIN: &[u8] = b"COPPICE-POP-V1_BLS12381G1_XMD:SHA-256_SSWU_RO_";
/// Bytes of a coordinate as curve libraries write it; EIP-2537 puts 16 zero bytes in front.
const COORDINATE: usize = 48;
/// Leading zero bytes of a coordinate in EIP-2537.
const PADDING: usize = 16;

/// A sequencer's BLS key. Its secret is wiped when it is dropped.
pub(crate) struct VrfKey(SecretKey);

impl VrfKey {
    /// The key that follows from a 32-byte secret (HKDF, EIP-2333's `derive_master_SK`).
    ///
    /// # Errors
    /// `L1-012`: no secret of 32 bytes is refused in practice.
    pub(crate) fn from_secret(secret: &[u8; 32]) -> Result<Self, L1Error> {
        let key = SecretKey::key_gen_v3(secret, &[]);
        key.map(Self).map_err(|_| L1Error::Key("the BLS secret"))
    }

    /// The public key as a G2 point of EIP-2537: 256 bytes.
    pub(crate) fn public(&self) -> Vec<u8> {
        // The library writes c1 before c0, EIP-2537 the other way round.
        let bytes = self.0.sk_to_pk().serialize();
        let parts: Vec<&[u8]> = bytes.chunks(COORDINATE).collect();
        padded(&[parts[1], parts[0], parts[3], parts[2]])
    }

    /// What `registerSequencer` wants to see: 128 bytes.
    pub(crate) fn possession(&self, chain_id: u64, registry: Address, owner: Address) -> Vec<u8> {
        let key_hash = keccak256(self.public());
        let message = (U256::from(chain_id), evm(registry), evm(owner), key_hash).abi_encode();
        encoded(&self.0.sign(keccak256(message).as_slice(), POSSESSION_DOMAIN, &[]))
    }

    /// The ticket of `slot`: public key and signature, 384 bytes, as `propose` wants them.
    pub(crate) fn ticket(&self, chain_id: u64, slots: Address, slot: Slot, seed: Hash) -> Vec<u8> {
        let message =
            (U256::from(chain_id), evm(slots), U256::from(slot.0), B256::from(seed.0)).abi_encode();
        let signature = self.0.sign(keccak256(message).as_slice(), VRF_DOMAIN, &[]);
        let mut ticket = self.public();
        ticket.extend(encoded(&signature));
        ticket
    }
}

/// The score of a ticket: keccak of its signature. The highest wins.
pub(crate) fn score(ticket: &[u8]) -> Option<Hash> {
    ticket.get(256..).map(|signature| Hash(keccak256(signature).0))
}

fn encoded(signature: &Signature) -> Vec<u8> {
    let bytes = signature.serialize();
    let (x, y) = bytes.split_at(COORDINATE);
    padded(&[x, y])
}

fn padded(coordinates: &[&[u8]]) -> Vec<u8> {
    coordinates.iter().flat_map(|part| [&[0; PADDING][..], part].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_unique_and_bound_to_slot_seed_contract_and_chain() {
        let key = VrfKey::from_secret(&[7; 32]).unwrap();
        let slots = Address([1; 20]);
        let ticket = key.ticket(1, slots, Slot(3), Hash([2; 32]));
        assert_eq!((ticket.len(), key.public().len()), (384, 256));
        assert_eq!(ticket[..256], key.public());
        assert_eq!(ticket, key.ticket(1, slots, Slot(3), Hash([2; 32])));
        let others = [
            key.ticket(2, slots, Slot(3), Hash([2; 32])),
            key.ticket(1, Address([2; 20]), Slot(3), Hash([2; 32])),
            key.ticket(1, slots, Slot(4), Hash([2; 32])),
            key.ticket(1, slots, Slot(3), Hash([3; 32])),
        ];
        for other in others {
            assert_ne!(score(&other), score(&ticket));
        }
    }

    #[test]
    fn coordinates_are_padded_as_eip_2537_wants() {
        let public = VrfKey::from_secret(&[9; 32]).unwrap().public();
        for coordinate in public.chunks(64) {
            assert_eq!(coordinate[..PADDING], [0; PADDING]);
            assert!(coordinate[PADDING] <= 0x1a, "below the base field's order");
        }
    }
}
