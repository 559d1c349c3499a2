//! A finished block and its durable form.
//!
//! What follows from the rest (block id, commitment) is not stored but computed again, so that a
//! damaged file cannot make the sequencer send a reveal that L1 refuses.

use protocol::{BlockId, Hash, Slot, Word};
use serde::{Deserialize, Serialize};

use crate::error::Coded;
use crate::rollup::data::{block_id, commitment};

/// A finished block with everything that its reveal needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sealed {
    /// For which slot.
    pub(crate) slot: Slot,
    /// keccak of `data`.
    pub(crate) block: BlockId,
    /// What L1 is given.
    pub(crate) data: Vec<u8>,
    /// Poseidon commitment of the tx list.
    pub(crate) txs: Word,
    /// The block it stands on; zero for the first.
    pub(crate) parent: BlockId,
    /// Hides the content until the reveal.
    pub(crate) salt: [u8; 32],
    /// keccak(block ‖ txs ‖ parent ‖ salt).
    pub(crate) commitment: Hash,
    /// Our VRF output in this slot; the highest wins.
    pub(crate) score: Hash,
    /// Its proof, as `propose` takes it.
    pub(crate) vrf: Vec<u8>,
    /// The circuit set that the reveal names (R13).
    pub(crate) set: Word,
}

/// Why bytes are no durable block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SealedError {
    /// Not the one encoding of a block.
    #[error("the stored block is damaged: its bytes have no meaning")]
    Form,
    /// The commitment stored is not that of the content.
    #[error("the stored block is damaged: its content is not what was committed to")]
    Commitment,
}

impl SealedError {
    /// Stable across releases.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Form => "SEQ-005",
            Self::Commitment => "SEQ-006",
        }
    }
}

impl From<SealedError> for Coded {
    fn from(error: SealedError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

#[derive(Serialize, Deserialize)]
struct SealedBlob {
    slot: u64,
    data: Vec<u8>,
    txs: Word,
    parent: Word,
    salt: [u8; 32],
    commitment: Word,
    score: Word,
    vrf: Vec<u8>,
    set: Word,
}

impl Sealed {
    /// The bytes to be stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let blob = SealedBlob {
            slot: self.slot.0,
            data: self.data.clone(),
            txs: self.txs,
            parent: self.parent.0,
            salt: self.salt,
            commitment: self.commitment.0,
            score: self.score.0,
            vrf: self.vrf.clone(),
            set: self.set,
        };
        let Ok(bytes) = postcard::to_stdvec(&blob) else {
            unreachable!("numbers and bytes have an encoding");
        };
        bytes
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// When they are not what [`Self::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SealedError> {
        let decoded = postcard::take_from_bytes::<SealedBlob>(bytes);
        let Ok((blob, [])) = decoded else { return Err(SealedError::Form) };
        let block = block_id(&blob.data);
        let parent = BlockId(blob.parent);
        let opened = commitment(block, &blob.txs, parent, &blob.salt);
        if opened.0 != blob.commitment {
            return Err(SealedError::Commitment);
        }
        Ok(Self {
            slot: Slot(blob.slot),
            block,
            data: blob.data,
            txs: blob.txs,
            parent,
            salt: blob.salt,
            commitment: opened,
            score: Hash(blob.score),
            vrf: blob.vrf,
            set: blob.set,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Sealed {
        let (data, txs, parent, salt) = (vec![1, 2, 3], [4; 32], BlockId([5; 32]), [6; 32]);
        let block = block_id(&data);
        let commitment = commitment(block, &txs, parent, &salt);
        let (slot, score, vrf, set) = (Slot(7), Hash([8; 32]), vec![9], [10; 32]);
        Sealed { slot, block, data, txs, parent, salt, commitment, score, vrf, set }
    }

    #[test]
    fn a_stored_block_reads_back() {
        assert_eq!(Sealed::decode(&sealed().encode()), Ok(sealed()));
    }

    #[test]
    fn a_damaged_block_is_noticed() {
        let bytes = sealed().encode();
        for length in 0..bytes.len() {
            assert_eq!(Sealed::decode(&bytes[..length]), Err(SealedError::Form), "{length}");
        }
        let longer = [bytes.clone(), vec![0]].concat();
        assert_eq!(Sealed::decode(&longer), Err(SealedError::Form));
        // Slot, length of the data, then data, txs, parent, salt, commitment.
        for at in 2..2 + 3 + 4 * 32 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Sealed::decode(&damaged), Err(SealedError::Commitment), "{at}");
        }
    }
}
