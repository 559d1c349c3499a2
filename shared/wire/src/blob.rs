//! Named content: proofs and the witnesses of txs.
//!
//! A blob's name is the BLAKE3 of its bytes, so it can be asked of anyone and checked by whoever
//! receives it. A proof blob also says what it proves; that it does is for the acceptance rules of
//! the proof system, which see only blobs that passed here.

use protocol::{Address, BlobId, Credit, Kind, Node, Word};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, Limit},
    error::DecodeError,
};

/// Longest proof blob in bytes. The 86 words of the longest instances are 2,752 bytes; proofs of
/// every circuit are below 20 KiB.
pub const PROOF_BYTES_MAX: usize = 32 * 1024;
/// Longest witness of one tx in bytes: 13 leaves with paths of 28 words are 12.6 KiB.
pub const TX_WITNESS_BYTES_MAX: usize = 16 * 1024;
/// Most public words of a proof: 12 of the accumulator, 1 + 5·13 carried, 8 of the application.
pub const INSTANCES_MAX: usize = 86;

const PROOF: Limit = Limit { what: "proof blob", max: PROOF_BYTES_MAX };
const TX_WITNESS: Limit = Limit { what: "tx witness", max: TX_WITNESS_BYTES_MAX };

/// Order of BN254's scalar field, big-endian.
const FIELD_ORDER: Word = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d,
    0x28, 0x33, 0xe8, 0x48, 0x79, 0xb9, 0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01,
];

/// The name of these bytes.
#[must_use]
pub fn blob_id(bytes: &[u8]) -> BlobId {
    BlobId(*blake3::hash(bytes).as_bytes())
}

/// Whether `word` is the only encoding of a field element: below the order.
#[must_use]
pub fn is_field_word(word: &Word) -> bool {
    *word < FIELD_ORDER
}

/// Refuses words that are not field elements.
///
/// # Errors
/// [`DecodeError::NotInField`] with the index of the first one.
pub fn check_words(what: &'static str, words: &[Word]) -> Result<(), DecodeError> {
    match words.iter().position(|word| !is_field_word(word)) {
        Some(index) => Err(DecodeError::NotInField { what, index }),
        None => Ok(()),
    }
}

/// Refuses a witness of a tx that is longer than any can be; what is in it is the rollup's.
///
/// # Errors
/// [`DecodeError::TooLong`] above [`TX_WITNESS_BYTES_MAX`].
pub const fn check_tx_witness(bytes: &[u8]) -> Result<(), DecodeError> {
    TX_WITNESS.check(bytes)
}

/// One finished proof with everything its acceptance needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProofBlob {
    /// Which circuit set made it: a constant of `root`, a field word.
    pub set: Word,
    /// Its place in the proof tree of its block.
    pub node: Node,
    /// All public words, as the verifier takes them.
    pub instances: Vec<Word>,
    /// The proof's bytes.
    pub proof: Vec<u8>,
    /// Its credit record; the credit word among the instances commits to it.
    pub credit: Credit,
}

impl ProofBlob {
    /// Its bytes, at most [`PROOF_BYTES_MAX`].
    ///
    /// # Errors
    /// Whatever [`ProofBlob::decode`] would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        codec::encode(&ProofLayout::from(self), PROOF)
    }

    /// Reads exactly what [`ProofBlob::encode`] writes.
    ///
    /// # Errors
    /// Every other byte string, words outside the field and places that no tree has are refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let blob = Self::try_from(codec::decode::<ProofLayout>(bytes, PROOF)?)?;
        blob.check()?;
        Ok(blob)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let malformed = |why| Err(DecodeError::Malformed { what: PROOF.what, why });
        if self.instances.len() > INSTANCES_MAX {
            return malformed("more than 86 public words");
        }
        if !is_place(self.node) {
            return malformed("its node is no prover-made place of a tree");
        }
        if !matches!(self.credit.kind, 1..=Credit::UNIFORM) || self.credit.own > self.credit.total {
            return malformed("its credit record is none of a prover-made proof");
        }
        check_words("set of a proof blob", &[self.set])?;
        check_words("instances of a proof blob", &self.instances)?;
        check_words("credit of a proof blob", &[self.credit.left, self.credit.right])
    }
}

/// Whether a prover-made proof can stand at this node: fields that its kind lacks are zero.
const fn is_place(node: Node) -> bool {
    match node.kind {
        Kind::Tx => false,
        Kind::Vm | Kind::Kernel => node.level == 0,
        Kind::Base => node.level == 0 && node.call == 0,
        Kind::Merge => node.level > 0 && node.call == 0,
        Kind::Root => node.level == 0 && node.index == 0 && node.call == 0,
    }
}

/// The layout of [`ProofBlob`]; the order of the fields is the layout.
#[derive(Serialize, Deserialize)]
struct ProofLayout {
    set: Word,
    kind: u8,
    level: u8,
    index: u32,
    call: u16,
    instances: Vec<Word>,
    proof: Vec<u8>,
    credit: CreditLayout,
}

#[derive(Serialize, Deserialize)]
struct CreditLayout {
    kind: u8,
    own: u64,
    total: u64,
    payee: [u8; 20],
    left: Word,
    right: Word,
}

impl From<&ProofBlob> for ProofLayout {
    fn from(blob: &ProofBlob) -> Self {
        let Credit { kind, own, total, payee, left, right } = blob.credit;
        Self {
            set: blob.set,
            kind: blob.node.kind as u8,
            level: blob.node.level,
            index: blob.node.index,
            call: blob.node.call,
            instances: blob.instances.clone(),
            proof: blob.proof.clone(),
            credit: CreditLayout { kind, own, total, payee: payee.0, left, right },
        }
    }
}

impl TryFrom<ProofLayout> for ProofBlob {
    type Error = DecodeError;

    fn try_from(layout: ProofLayout) -> Result<Self, DecodeError> {
        let kind = Kind::from_number(layout.kind)
            .ok_or(DecodeError::Malformed { what: PROOF.what, why: "no circuit of that number" })?;
        let CreditLayout { kind: credit_kind, own, total, payee, left, right } = layout.credit;
        Ok(Self {
            set: layout.set,
            node: Node { kind, level: layout.level, index: layout.index, call: layout.call },
            instances: layout.instances,
            proof: layout.proof,
            credit: Credit { kind: credit_kind, own, total, payee: Address(payee), left, right },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> ProofBlob {
        ProofBlob {
            set: [1; 32],
            node: Node { kind: Kind::Merge, level: 2, index: 3, call: 0 },
            instances: vec![[2; 32]; INSTANCES_MAX],
            proof: (0..=255).cycle().take(20_000).collect(),
            credit: Credit {
                kind: Credit::UNIFORM,
                own: 700,
                total: 700,
                payee: Address([9; 20]),
                left: [0; 32],
                right: [0; 32],
            },
        }
    }

    fn refused(change: impl FnOnce(&mut ProofBlob)) -> &'static str {
        let mut blob = example();
        change(&mut blob);
        let bytes = codec::encode(&ProofLayout::from(&blob), Limit { what: "any", max: 1 << 20 });
        let outside = ProofBlob::decode(&bytes.unwrap()).unwrap_err();
        assert_eq!(blob.encode().unwrap_err().code(), outside.code(), "we send what peers refuse");
        outside.code()
    }

    #[test]
    fn a_proof_blob_round_trips() {
        let bytes = example().encode().unwrap();
        assert_eq!(ProofBlob::decode(&bytes), Ok(example()));
    }

    #[test]
    fn a_proof_blob_that_no_prover_makes_is_refused() {
        assert_eq!(refused(|it| it.proof = vec![0; PROOF_BYTES_MAX]), "WIR-001");
        assert_eq!(refused(|it| it.node.level = 0), "WIR-002");
        assert_eq!(refused(|it| it.node.kind = Kind::Tx), "WIR-002");
        assert_eq!(refused(|it| it.instances.push([0; 32])), "WIR-002");
        assert_eq!(refused(|it| it.credit.kind = 7), "WIR-002");
        assert_eq!(refused(|it| it.credit.own = 701), "WIR-002");
        assert_eq!(refused(|it| it.set = [0xff; 32]), "WIR-004");
        assert_eq!(refused(|it| it.instances[85] = FIELD_ORDER), "WIR-004");
        assert_eq!(refused(|it| it.credit.left = FIELD_ORDER), "WIR-004");
    }

    #[test]
    fn a_changed_or_longer_encoding_is_refused() {
        let bytes = example().encode().unwrap();
        let tail = [bytes.as_slice(), &[0]].concat();
        assert_eq!(ProofBlob::decode(&tail).unwrap_err().code(), "WIR-003");
        assert_eq!(ProofBlob::decode(&bytes[..bytes.len() - 1]).unwrap_err().code(), "WIR-002");
        let mut kind = bytes;
        kind[32] = 6;
        assert_eq!(ProofBlob::decode(&kind).unwrap_err().code(), "WIR-002");
    }

    #[test]
    fn words_below_the_order_are_field_words_and_others_are_not() {
        let mut largest = FIELD_ORDER;
        largest[31] = 0;
        assert!(is_field_word(&largest) && is_field_word(&[0; 32]));
        assert!(!is_field_word(&FIELD_ORDER) && !is_field_word(&[0xff; 32]));
        let found = check_words("test", &[largest, FIELD_ORDER]);
        assert_eq!(found, Err(DecodeError::NotInField { what: "test", index: 1 }));
    }

    #[test]
    fn a_name_is_the_blake3_of_the_bytes() {
        // The published vector of the empty input.
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(hex::encode(blob_id(b"").0), empty);
    }

    #[test]
    fn a_tx_witness_has_a_greatest_length() {
        assert_eq!(check_tx_witness(&[0; TX_WITNESS_BYTES_MAX]), Ok(()));
        let long = check_tx_witness(&[0; TX_WITNESS_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(long.code(), "WIR-001");
    }
}
