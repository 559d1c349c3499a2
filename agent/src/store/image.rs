//! What the index says about a journal: a pure function from entries to rows.
//!
//! The index is rebuilt and checked by folding the journal with the same code that keeps it up to
//! date, so that there is one definition of what it must contain. Each row carries its own
//! checksum; each table a count and a set hash, because a checksum cannot see a row that is gone.

use std::collections::BTreeMap;

use protocol::{Address, BlobId, Credit, Hash, LaneId, Record, StatementId, TaskId};

use super::entry::{Entry, Outcome, Receipt, pack, unpack};
use super::error::StoreError;

/// The tables of the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Table {
    /// (lane, seq) to what was claimed and how it ended.
    Claims = 1,
    /// Statement to our own proof.
    Made = 2,
    /// Statement to somebody's checked proof.
    Held = 3,
    /// Nonce to purpose, hashes and receipt.
    Tx = 4,
}

impl Table {
    /// All tables, in the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::Claims, Self::Made, Self::Held, Self::Tx];

    /// Its name on disk.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::Made => "made",
            Self::Held => "held",
            Self::Tx => "tx",
        }
    }
    /// Its place in [`Table::ALL`].
    pub(super) const fn place(self) -> usize {
        self as usize - 1
    }
}

/// A row's name: table and key.
pub(super) type RowKey = (Table, Vec<u8>);

/// Changed rows with their sealed values.
pub(super) type Rows = BTreeMap<RowKey, Vec<u8>>;

/// Version of the rows.
const ROW_VERSION: u8 = 1;
/// Most hashes of one nonce in its row, the newest: the journal has all. 64 × 32 bytes keep the
/// row below the 4 KiB above which the index's engine stops being crash-safe.
const ROW_HASHES_MAX: usize = 64;

/// Count and set hash of a table: the sum of its rows' hashes modulo 2^128.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sum {
    /// Rows.
    pub count: u64,
    /// Sum of the first halves of BLAKE3(table ‖ key length ‖ key ‖ value).
    pub hash: u128,
}

/// One [`Sum`] per table.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sums(pub [Sum; 4]);

impl Sums {
    /// Accounts for a row that is set to `new`.
    pub(super) fn set(&mut self, key: &RowKey, old: Option<&[u8]>, new: &[u8]) {
        let sum = &mut self.0[key.0.place()];
        match old {
            Some(old) => sum.hash = sum.hash.wrapping_sub(row_hash(key, old)),
            None => sum.count += 1,
        }
        sum.hash = sum.hash.wrapping_add(row_hash(key, new));
    }
    /// As it is written down.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        pack(&self.0.map(|sum| (sum.count, sum.hash)))
    }
    /// As it was written down.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let sums: [(u64, u128); 4] = unpack(bytes)?;
        Some(Self(sums.map(|(count, hash)| Sum { count, hash })))
    }
}

fn row_hash((table, key): &RowKey, value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[*table as u8, key.len() as u8]).update(key).update(value);
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_be_bytes(half)
}

/// `kind u8 | version u8 | payload | crc32c`; the checksum covers the key too, so that a value
/// under a wrong key is found.
pub(super) fn seal(kind: u8, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = vec![kind, ROW_VERSION];
    value.extend_from_slice(payload);
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), &value);
    value.extend_from_slice(&crc.to_be_bytes());
    value
}

/// The payload of a sealed value, if it is whole and of this kind.
pub(super) fn unseal<'a>(kind: u8, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (body, crc) = value.split_last_chunk::<4>()?;
    let right = crc32c::crc32c_append(crc32c::crc32c(key), body).to_be_bytes() == *crc;
    let payload = body.strip_prefix(&[kind, ROW_VERSION])?;
    right.then_some(payload)
}

/// The rows that `entries` change, given how to read the rows as they are; `sums` follows.
pub(super) fn fold<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    mut read: impl FnMut(&RowKey) -> Result<Option<Vec<u8>>, StoreError>,
    sums: &mut Sums,
) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    for entry in entries {
        let Some(key) = target(entry) else { continue };
        let old = match rows.get(&key) {
            Some(value) => Some(value.clone()),
            None => read(&key)?,
        };
        let payload = match &old {
            Some(value) => Some(unseal(key.0 as u8, &key.1, value).ok_or_else(damaged)?),
            None => None,
        };
        let Some(payload) = updated(entry, payload) else { continue };
        let new = seal(key.0 as u8, &key.1, &payload);
        sums.set(&key, old.as_deref(), &new);
        rows.insert(key, new);
    }
    Ok(rows)
}

/// The error of a row that does not hold what it should.
pub(super) fn damaged() -> StoreError {
    StoreError::Index { why: "a row is damaged".into() }
}

fn target(entry: &Entry) -> Option<RowKey> {
    match entry {
        Entry::Record(Record::Claimed { lane, seq, .. } | Record::Ended { lane, seq, .. }) => {
            Some(claim_key(*lane, *seq))
        }
        Entry::Record(Record::Made { statement, .. }) => Some((Table::Made, statement.0.to_vec())),
        Entry::Record(Record::Held { statement, .. }) => Some((Table::Held, statement.0.to_vec())),
        Entry::Intent(intent) => Some(tx_key(intent.nonce)),
        Entry::Signed(signed) => Some(tx_key(signed.nonce)),
        Entry::Receipt(receipt) => Some(tx_key(receipt.nonce)),
        Entry::Record(Record::Settled { .. }) | Entry::Prepared(_) | Entry::Clean => None,
    }
}

/// Key of a claim.
pub(super) fn claim_key(lane: LaneId, seq: u64) -> RowKey {
    (Table::Claims, [lane.0.to_be_bytes(), seq.to_be_bytes()].concat())
}

/// Key of a nonce.
pub(super) fn tx_key(nonce: u64) -> RowKey {
    (Table::Tx, nonce.to_be_bytes().to_vec())
}

type ClaimRow = ([u8; 32], u64, u32, Option<u8>);
type CreditRow = (u8, u64, u64, [u8; 20], [u8; 32], [u8; 32]);
type ProofRow = ([u8; 32], [u8; 32], CreditRow, u32, u32);
type ReceiptRow = ([u8; 32], u64, [u8; 32], u8);
type TxRow = (String, u64, Vec<[u8; 32]>, Option<ReceiptRow>);

/// The row after `entry`; `None` leaves it as it is. An end without its claim and a receipt
/// without its intent change nothing: their subject is in no journal.
fn updated(entry: &Entry, old: Option<&[u8]>) -> Option<Vec<u8>> {
    match entry {
        Entry::Record(record) => updated_record(record, old),
        Entry::Intent(i) => {
            let hashes = old.and_then(unpack::<TxRow>).map_or_else(Vec::new, |row| row.2);
            Some(pack(&(&i.purpose, i.slot.0, hashes, None::<ReceiptRow>)))
        }
        Entry::Signed(signed) => {
            let (purpose, slot, mut hashes, receipt) = unpack::<TxRow>(old?)?;
            hashes.push(signed.hash.0);
            let skip = hashes.len().saturating_sub(ROW_HASHES_MAX);
            Some(pack(&(purpose, slot, &hashes[skip..], receipt)))
        }
        Entry::Receipt(r) => {
            let (purpose, slot, hashes, _) = unpack::<TxRow>(old?)?;
            let receipt = (r.outcome != Outcome::Undone).then_some((
                r.hash.0,
                r.block,
                r.block_hash.0,
                r.outcome as u8,
            ));
            Some(pack(&(purpose, slot, hashes, receipt)))
        }
        Entry::Prepared(_) | Entry::Clean => None,
    }
}

fn updated_record(record: &Record, old: Option<&[u8]>) -> Option<Vec<u8>> {
    match record {
        Record::Claimed { task, slot, attempt, .. } => {
            Some(pack(&(task.0, slot.0, attempt, None::<u8>)))
        }
        Record::Ended { how, .. } => {
            let (task, slot, attempt, _) = unpack::<ClaimRow>(old?)?;
            Some(pack(&(task, slot, attempt, Some(*how as u8))))
        }
        Record::Made { task, blob, credit, cpu_ms, peak_mb, .. } => {
            Some(pack(&(task.0, blob.0, credit_row(credit), cpu_ms, peak_mb)))
        }
        Record::Held { task, blob, credit, .. } => {
            Some(pack(&(task.0, blob.0, credit_row(credit), 0_u32, 0_u32)))
        }
        Record::Settled { .. } => None,
    }
}

const fn credit_row(c: &Credit) -> CreditRow {
    (c.kind, c.own, c.total, c.payee.0, c.left, c.right)
}

/// A proof this agent stores, its own or another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StoredProof {
    /// What the proof says.
    pub statement: StatementId,
    /// The task it fulfils.
    pub task: TaskId,
    /// Where its bytes are.
    pub blob: BlobId,
    /// Its credit record (R8).
    pub credit: Credit,
    /// CPU milliseconds, 0 if another made it.
    pub cpu_ms: u32,
    /// Peak memory in MB, 0 if another made it.
    pub peak_mb: u32,
}

/// What the index knows of a nonce; [`super::Tx`] has the bytes too, after a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TxState {
    /// The nonce.
    pub nonce: u64,
    /// What it is for.
    pub purpose: String,
    /// The slot it belongs to, 0 if none.
    pub slot: u64,
    /// Hashes signed under it, oldest first.
    pub hashes: Vec<Hash>,
    /// The receipt, if the nonce is used.
    pub receipt: Option<Receipt>,
}

/// The proof in a row of `made` or `held`.
pub(super) fn proof_of(statement: StatementId, payload: &[u8]) -> Option<StoredProof> {
    let (task, blob, (kind, own, total, payee, left, right), cpu_ms, peak_mb): ProofRow =
        unpack(payload)?;
    let credit = Credit { kind, own, total, payee: Address(payee), left, right };
    let (task, blob) = (TaskId(task), BlobId(blob));
    Some(StoredProof { statement, task, blob, credit, cpu_ms, peak_mb })
}

/// The state in a row of `tx`.
pub(super) fn tx_of(key: &[u8], payload: &[u8]) -> Option<TxState> {
    let nonce = u64::from_be_bytes(key.try_into().ok()?);
    let (purpose, slot, hashes, receipt): TxRow = unpack(payload)?;
    let receipt = match receipt {
        Some((hash, block, block_hash, outcome)) => Some(Receipt {
            nonce,
            hash: Hash(hash),
            block,
            block_hash: Hash(block_hash),
            outcome: Outcome::from_number(outcome)?,
        }),
        None => None,
    };
    let hashes = hashes.into_iter().map(Hash).collect();
    Some(TxState { nonce, purpose, slot, hashes, receipt })
}

#[cfg(test)]
mod tests {
    use super::super::entry::samples;
    use super::*;

    fn none(_: &RowKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    #[test]
    fn folding_at_once_and_one_by_one_is_the_same() {
        let entries = samples();
        let mut at_once = Sums::default();
        let rows = fold(&entries, none, &mut at_once).unwrap();
        let (mut one_by_one, mut kept) = (Sums::default(), Rows::new());
        for entry in &entries {
            let read = |key: &RowKey| Ok(kept.get(key).cloned());
            let changed = fold([entry], read, &mut one_by_one).unwrap();
            kept.extend(changed);
        }
        assert_eq!((at_once, rows), (one_by_one, kept));
        assert_eq!(at_once.0.map(|sum| sum.count), [1, 1, 1, 1]);
    }

    #[test]
    fn a_missing_row_shows_in_the_sums_and_a_flipped_bit_in_the_row() {
        let (mut all, mut fewer) = (Sums::default(), Sums::default());
        let rows = fold(&samples(), none, &mut all).unwrap();
        for (key, value) in rows.iter().skip(1) {
            fewer.set(key, None, value);
        }
        assert_ne!(all, fewer);
        let ((table, key), value) = rows.first_key_value().unwrap();
        assert!(unseal(*table as u8, key, value).is_some());
        assert!(unseal(*table as u8, b"another key", value).is_none());
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(*table as u8, key, &bad).is_none());
        }
    }

    #[test]
    fn an_undone_receipt_opens_its_nonce_again() {
        let mut entries = samples();
        let Some(Entry::Receipt(receipt)) =
            entries.iter().find(|e| matches!(e, Entry::Receipt(_))).cloned()
        else {
            unreachable!("the samples have one of every kind")
        };
        entries.push(Entry::Receipt(Receipt { outcome: Outcome::Undone, ..receipt }));
        let rows = fold(&entries, none, &mut Sums::default()).unwrap();
        let (_, key) = tx_key(receipt.nonce);
        let value = &rows[&tx_key(receipt.nonce)];
        let state = tx_of(&key, unseal(Table::Tx as u8, &key, value).unwrap()).unwrap();
        assert_eq!((state.receipt, state.hashes.len()), (None, 1));
    }

    #[test]
    fn the_row_of_a_nonce_stays_small_however_often_it_is_replaced() {
        let mut entries = samples();
        let signed = entries.iter().find(|e| matches!(e, Entry::Signed(_))).cloned().unwrap();
        entries.extend(std::iter::repeat_n(signed, 1000));
        let rows = fold(&entries, none, &mut Sums::default()).unwrap();
        assert!(rows.values().all(|value| value.len() < 4096));
    }
}
