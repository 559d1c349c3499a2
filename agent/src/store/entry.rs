//! What the journal can hold, and its bytes.
//!
//! Money-critical facts only: promises between lanes ([`Record`]) and towards L1, each written
//! down before it is spoken. Payloads are postcard of plain integers and byte arrays, one version
//! number per kind; they are decoded strictly, so that one entry has one form.

use protocol::{
    Address, BlobId, Credit, Ended, Hash, LaneId, Record, Slot, StatementId, TaskId, Word,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::frame::{Kind, PAYLOAD_BYTES_MAX};

/// One line of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// A promise of the machine.
    Record(Record),
    /// A transaction is about to be signed under this nonce.
    Intent(Intent),
    /// It was signed, for the first time or as a replacement, and is about to be sent.
    Signed(Signed),
    /// L1 answered.
    Receipt(Receipt),
    /// A sequencer's private part of something it is about to promise.
    Prepared(Prepared),
    /// The process ended in order: nothing was under way.
    Clean,
}

/// What a transaction is for, before any signature exists.
///
/// A second intent under the same nonce replaces the purpose; hashes signed before stay valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Intent {
    /// Nonce of the signing account.
    pub nonce: u64,
    /// What for, such as `settle`, `reveal`, `propose`, `show_seed`, `register`, `claim`.
    pub purpose: String,
    /// The slot it belongs to, 0 if none.
    pub slot: Slot,
    /// The contract.
    pub to: Address,
    /// Wei.
    pub value: u128,
    /// Call data.
    pub data: Vec<u8>,
}

/// A signed transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Signed {
    /// Nonce of its intent.
    pub nonce: u64,
    /// Transaction hash.
    pub hash: Hash,
    /// Wei per gas, at most.
    pub max_fee: u128,
    /// Wei per gas for the block builder.
    pub tip: u128,
    /// The signed bytes, so that it can be sent again as it is.
    pub raw: Vec<u8>,
}

/// What became of a nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Receipt {
    /// The nonce.
    pub nonce: u64,
    /// The transaction that used it.
    pub hash: Hash,
    /// Height of its block.
    pub block: u64,
    /// Hash of its block.
    pub block_hash: Hash,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a nonce ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// It had its effect.
    Done = 0,
    /// It was mined and reverted.
    Reverted = 1,
    /// Another transaction, not one of ours, used the nonce.
    Taken = 2,
    /// Its block left the chain: the nonce is open again (R12.2).
    Undone = 3,
}

impl Outcome {
    pub(super) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Done),
            1 => Some(Self::Reverted),
            2 => Some(Self::Taken),
            3 => Some(Self::Undone),
            _ => None,
        }
    }
}

/// Something that must survive a crash between two steps of one promise: the block and the salt
/// behind a commitment, without which a sequencer could not reveal what it proposed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Prepared {
    /// The slot.
    pub slot: Slot,
    /// What it is, such as `block`.
    pub purpose: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Longest purpose, in bytes: a word, not a text.
const PURPOSE_BYTES_MAX: usize = 32;

const CLAIMED: u16 = 1;
const ENDED: u16 = 2;
const MADE: u16 = 3;
const HELD: u16 = 4;
const SETTLED: u16 = 5;
const INTENT: u16 = 16;
const SIGNED: u16 = 17;
const RECEIPT: u16 = 18;
const PREPARED: u16 = 19;
const CLEAN: u16 = 32;

/// Credit records as they are written down.
type CreditRow = (u8, u64, u64, [u8; 20], Word, Word);
type ClaimedRow = ([u8; 32], u64, u64, u64, u32);
type MadeRow = ([u8; 32], [u8; 32], [u8; 32], CreditRow, u32, u32);
type HeldRow = ([u8; 32], [u8; 32], [u8; 32], CreditRow);
type IntentRow = (u64, String, u64, [u8; 20], u128, Vec<u8>);
type SignedRow = (u64, [u8; 32], u128, u128, Vec<u8>);
type ReceiptRow = (u64, [u8; 32], u64, [u8; 32], u8);
type PreparedRow = (u64, String, Vec<u8>);

impl Entry {
    /// The entry's kind and payload.
    ///
    /// # Errors
    /// `STO-030` if the payload or a purpose is too long.
    pub(super) fn encode(&self) -> Result<(Kind, Vec<u8>), StoreError> {
        let (kind, payload) = match self {
            Self::Record(record) => encode_record(record),
            Self::Intent(i) => {
                check_purpose(&i.purpose)?;
                (INTENT, pack(&(i.nonce, &i.purpose, i.slot.0, i.to.0, i.value, &i.data)))
            }
            Self::Signed(s) => (SIGNED, pack(&(s.nonce, s.hash.0, s.max_fee, s.tip, &s.raw))),
            Self::Receipt(r) => {
                let outcome = r.outcome as u8;
                (RECEIPT, pack(&(r.nonce, r.hash.0, r.block, r.block_hash.0, outcome)))
            }
            Self::Prepared(p) => {
                check_purpose(&p.purpose)?;
                (PREPARED, pack(&(p.slot.0, &p.purpose, &p.data)))
            }
            Self::Clean => (CLEAN, Vec::new()),
        };
        let limit = PAYLOAD_BYTES_MAX;
        if payload.len() > limit {
            return Err(StoreError::TooLarge {
                what: "journal entry",
                bytes: payload.len(),
                limit,
            });
        }
        Ok((Kind { kind, schema: 1 }, payload))
    }

    /// The entry in a frame whose checksum is right.
    pub(super) fn decode(kind: Kind, payload: &[u8]) -> Result<Self, Unreadable> {
        if kind.schema != 1 {
            return Err(Unreadable::Newer);
        }
        let entry = match kind.kind {
            CLAIMED | ENDED | MADE | HELD | SETTLED => {
                decode_record(kind.kind, payload).map(Self::Record)
            }
            INTENT => unpack(payload).map(|(nonce, purpose, slot, to, value, data): IntentRow| {
                let (slot, to) = (Slot(slot), Address(to));
                Self::Intent(Intent { nonce, purpose, slot, to, value, data })
            }),
            SIGNED => unpack(payload).map(|(nonce, hash, max_fee, tip, raw): SignedRow| {
                Self::Signed(Signed { nonce, hash: Hash(hash), max_fee, tip, raw })
            }),
            RECEIPT => decode_receipt(payload).map(Self::Receipt),
            PREPARED => unpack(payload).map(|(slot, purpose, data): PreparedRow| {
                Self::Prepared(Prepared { slot: Slot(slot), purpose, data })
            }),
            CLEAN => payload.is_empty().then_some(Self::Clean),
            _ => return Err(Unreadable::Newer),
        };
        entry.ok_or(Unreadable::Malformed)
    }
}

/// Why a frame with a right checksum holds no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// Unknown kind or schema: a newer version wrote it.
    Newer,
    /// The bytes are not the form this kind has.
    Malformed,
}

fn check_purpose(purpose: &str) -> Result<(), StoreError> {
    let (bytes, limit) = (purpose.len(), PURPOSE_BYTES_MAX);
    if bytes > limit { Err(StoreError::TooLarge { what: "purpose", bytes, limit }) } else { Ok(()) }
}

fn encode_record(record: &Record) -> (u16, Vec<u8>) {
    match record {
        Record::Claimed { task, lane, slot, seq, attempt } => {
            (CLAIMED, pack(&(task.0, lane.0, slot.0, seq, attempt)))
        }
        Record::Ended { lane, seq, how } => (ENDED, pack(&(lane.0, seq, *how as u8))),
        Record::Made { task, statement, blob, credit, cpu_ms, peak_mb } => {
            let credit = credit_row(credit);
            (MADE, pack(&(task.0, statement.0, blob.0, credit, cpu_ms, peak_mb)))
        }
        Record::Held { task, statement, blob, credit } => {
            (HELD, pack(&(task.0, statement.0, blob.0, credit_row(credit))))
        }
        Record::Settled { slot } => (SETTLED, pack(&slot.0)),
    }
}

fn decode_record(kind: u16, payload: &[u8]) -> Option<Record> {
    Some(match kind {
        CLAIMED => {
            let (task, lane, slot, seq, attempt): ClaimedRow = unpack(payload)?;
            let (task, lane, slot) = (TaskId(task), LaneId(lane), Slot(slot));
            Record::Claimed { task, lane, slot, seq, attempt }
        }
        ENDED => {
            let (lane, seq, how): (u64, u64, u8) = unpack(payload)?;
            Record::Ended { lane: LaneId(lane), seq, how: ended(how)? }
        }
        MADE => {
            let (task, statement, blob, credit, cpu_ms, peak_mb): MadeRow = unpack(payload)?;
            let (task, statement, blob) = (TaskId(task), StatementId(statement), BlobId(blob));
            Record::Made { task, statement, blob, credit: credit_of(credit), cpu_ms, peak_mb }
        }
        HELD => {
            let (task, statement, blob, credit): HeldRow = unpack(payload)?;
            let (task, statement, blob) = (TaskId(task), StatementId(statement), BlobId(blob));
            Record::Held { task, statement, blob, credit: credit_of(credit) }
        }
        SETTLED => Record::Settled { slot: Slot(unpack(payload)?) },
        _ => return None,
    })
}

fn decode_receipt(payload: &[u8]) -> Option<Receipt> {
    let (nonce, hash, block, block_hash, outcome): ReceiptRow = unpack(payload)?;
    let (hash, block_hash) = (Hash(hash), Hash(block_hash));
    Some(Receipt { nonce, hash, block, block_hash, outcome: Outcome::from_number(outcome)? })
}

const fn ended(number: u8) -> Option<Ended> {
    match number {
        0 => Some(Ended::None),
        1 => Some(Ended::Delivered),
        2 => Some(Ended::Released),
        3 => Some(Ended::Lost),
        4 => Some(Ended::Capped),
        5 => Some(Ended::Reverted),
        _ => None,
    }
}

const fn credit_row(credit: &Credit) -> CreditRow {
    (credit.kind, credit.own, credit.total, credit.payee.0, credit.left, credit.right)
}

const fn credit_of((kind, own, total, payee, left, right): CreditRow) -> Credit {
    Credit { kind, own, total, payee: Address(payee), left, right }
}

/// Postcard of plain integers, strings and byte arrays.
pub(super) fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    // Only types without a known length or with a failing serializer can be refused: tuples of
    // integers, strings and bytes are neither. An empty payload would be refused when read back.
    postcard::to_stdvec(value).unwrap_or_default()
}

/// Strict postcard: nothing left over, and the same bytes when written again.
pub(super) fn unpack<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
    (rest.is_empty() && pack(&value) == bytes).then_some(value)
}

/// One entry of every kind, for tests of this folder.
#[cfg(test)]
pub(super) fn samples() -> Vec<Entry> {
    let credit = Credit {
        kind: 3,
        own: 175,
        total: 358,
        payee: Address([7; 20]),
        left: [1; 32],
        right: [0; 32],
    };
    let (task, statement, blob) = (TaskId([1; 32]), StatementId([2; 32]), BlobId([3; 32]));
    let (lane, slot, nonce, hash) = (LaneId(1 << 16), Slot(4), 9, Hash([8; 32]));
    let receipt =
        Receipt { nonce, hash, block: 77, block_hash: Hash([6; 32]), outcome: Outcome::Done };
    vec![
        Entry::Record(Record::Claimed { task, lane, slot, seq: 1, attempt: 2 }),
        Entry::Record(Record::Ended { lane, seq: 1, how: Ended::Delivered }),
        Entry::Record(Record::Made { task, statement, blob, credit, cpu_ms: 5, peak_mb: 6 }),
        Entry::Record(Record::Held { task, statement, blob, credit }),
        Entry::Record(Record::Settled { slot }),
        Entry::Intent(Intent {
            nonce,
            purpose: "settle".into(),
            slot,
            to: Address([5; 20]),
            value: 1 << 100,
            data: vec![1, 2, 3],
        }),
        Entry::Signed(Signed { nonce, hash, max_fee: 30, tip: 2, raw: vec![4; 100] }),
        Entry::Receipt(receipt),
        Entry::Prepared(Prepared { slot, purpose: "block".into(), data: vec![9; 40] }),
        Entry::Clean,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_read_as_it_was_written() {
        for entry in samples() {
            let (kind, payload) = entry.encode().unwrap();
            assert_eq!(Entry::decode(kind, &payload), Ok(entry));
        }
    }

    #[test]
    fn anything_left_over_missing_or_newer_is_refused() {
        for entry in samples() {
            let (kind, mut payload) = entry.encode().unwrap();
            let newer = Kind { schema: 2, ..kind };
            assert_eq!(Entry::decode(newer, &payload), Err(Unreadable::Newer));
            payload.push(0);
            assert_eq!(Entry::decode(kind, &payload), Err(Unreadable::Malformed));
            payload.truncate(payload.len().saturating_sub(2));
            if entry != Entry::Clean {
                assert_eq!(Entry::decode(kind, &payload), Err(Unreadable::Malformed));
            }
        }
        let unknown = Kind { kind: 999, schema: 1 };
        assert_eq!(Entry::decode(unknown, &[]), Err(Unreadable::Newer));
    }

    #[test]
    fn a_long_number_form_is_not_a_second_form() {
        let kind = Kind { kind: SETTLED, schema: 1 };
        assert!(Entry::decode(kind, &[5]).is_ok());
        assert_eq!(Entry::decode(kind, &[0x85, 0x00]), Err(Unreadable::Malformed));
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_limit() {
        let prepared = |purpose: &str, len| {
            Entry::Prepared(Prepared { slot: Slot(1), purpose: purpose.into(), data: vec![0; len] })
                .encode()
        };
        assert!(prepared("block", PAYLOAD_BYTES_MAX - 64).is_ok());
        assert_eq!(prepared("block", PAYLOAD_BYTES_MAX).unwrap_err().code(), "STO-030");
        assert_eq!(prepared(&"x".repeat(33), 1).unwrap_err().code(), "STO-030");
    }
}
