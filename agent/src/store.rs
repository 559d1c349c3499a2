//! What must survive: promises (journal), an index of them, proofs and witnesses (blobs).
//!
//! Rule zero: [`Store::append`] returns when its entries are on the disk, and nothing is signed or
//! sent before. The journal is the source of truth; the index is rebuilt from it whenever there is
//! a doubt; the anchor, kept in another folder, shows when the journal itself lost something, and
//! then the process does not start (exit code 74), because it could promise twice.

mod anchor;
mod blobs;
mod disk;
mod entry;
mod error;
mod frame;
mod image;
mod index;
mod journal;
mod lock;
mod writer;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use protocol::{LaneId, Record, StatementId};
use tokio::sync::oneshot;

pub(crate) use blobs::Blobs;
pub(crate) use disk::{check_private_file, private_folder, write_private};
pub(crate) use entry::{Entry, Intent, Outcome, Prepared, Receipt, Signed};
pub(crate) use error::StoreError;
pub(crate) use image::{StoredProof, TxState};

use anchor::Anchor;
use disk::MakeMedium;
use image::Table;
use index::{Index, KeyValues};
use journal::Scan;
use lock::Lock;
use writer::{Answer, Append, Request, Writer};

/// Entries between two anchors: a cut tail of fewer is found only after a clean end.
const ANCHOR_EVERY: u64 = 64;
/// Longest key of the peers' cache: a mesh key has 32 bytes.
const PEER_KEY_BYTES_MAX: usize = 64;
/// Bytes a sealed row adds to its payload: kind, version, checksum.
const SEAL_BYTES: usize = 6;

/// How a store is opened.
pub(crate) struct Options {
    /// Size at which a new journal segment is begun.
    pub segment_bytes: u64,
    /// Entries between two anchors.
    pub anchor_every: u64,
    make: MakeMedium,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: journal::SEGMENT_BYTES,
            anchor_every: ANCHOR_EVERY,
            make: disk::real_disk(),
        }
    }
}

/// What the journal said when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// All promises of the machine, oldest first.
    pub records: Vec<Record>,
    /// All nonces with their transactions, lowest first.
    pub txs: Vec<Tx>,
    /// What was prepared and whose slot is not recorded as settled, oldest first.
    pub prepared: Vec<Prepared>,
    /// Whether the last process ended in order.
    pub clean: bool,
    /// Sequence number of the last entry, 0 if there is none.
    pub seq: u64,
    /// Bytes of a torn last frame that were cut off; it was never acknowledged.
    pub torn_bytes: u64,
    /// Why the index was rebuilt, if it was.
    pub rebuilt: Option<String>,
}

/// A nonce and everything signed under it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tx {
    /// The newest intent.
    pub intent: Intent,
    /// Every signed form, oldest first.
    pub signed: Vec<Signed>,
    /// What L1 said last, unless that block left the chain.
    pub receipt: Option<Receipt>,
}

/// The store of one agent; clones share it.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    index: Index,
    blobs: Blobs,
    /// Dropped last: nobody else may open the folder before the index is closed.
    _lock: Lock,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was answered with errors already; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Store {
    /// Opens the data folder `dir`, which is created if it is missing, and says what it holds.
    ///
    /// `anchor_dir` should be on another disk than `dir`, and must not be inside it: what is lost
    /// or restored together cannot vouch for each other.
    ///
    /// # Errors
    /// See [`StoreError`]; the process ends with the exit code of its `Coded`.
    pub(crate) fn open(
        dir: &Path,
        anchor_dir: &Path,
        options: Options,
    ) -> Result<(Self, Restored), StoreError> {
        private_folder(dir)?;
        let lock = Lock::take(dir)?;
        let blobs = Blobs::open(&dir.join("blobs"), Arc::clone(&options.make))?;
        let anchor = Anchor::at(anchor_dir)?;
        let folder = dir.join("journal");
        private_folder(&folder)?;
        let mut scan = Scan::read(&folder, &anchor)?;
        let entries = std::mem::take(&mut scan.entries);
        let (index, rebuilt) = index::open(dir, &entries)?;
        let torn_bytes = scan.torn_bytes;
        let journal = scan.resume(Arc::clone(&options.make), options.segment_bytes)?;
        let head = journal.head();
        // From the first start on, a journal that vanishes is noticed.
        anchor.write(&options.make, head)?;
        let restored = Restored { torn_bytes, rebuilt, ..restored(entries) };
        let reader = index.index.clone();
        let writer = Writer {
            journal,
            index,
            anchor,
            anchor_every: options.anchor_every,
            anchored: head.seq,
            make: options.make,
            stopped: None,
        };
        let (requests, thread) = start(writer)?;
        let (requests, thread) = (Some(requests), Some(thread));
        let inner = Inner { requests, thread, index: reader, blobs, _lock: lock };
        Ok((Self(Arc::new(inner)), restored))
    }

    /// Adds entries and returns the last one's sequence number when all of them are durable.
    ///
    /// Blocks for one `fdatasync`, usually a few milliseconds; several callers share one.
    ///
    /// # Errors
    /// `STO-030` if an entry is too large: nothing happened. Every other error is fatal: whether
    /// the entries are on the disk is unknown, nothing may be signed, the process has to end.
    pub(crate) fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let (answer, wait) = sync_channel(1);
        self.request(entries, Answer::Thread(answer))?;
        wait.recv().map_err(|_| gone())?
    }

    /// [`Store::append`] as a future. The entries are handed over before the first poll, in the
    /// order of the calls.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub(crate) fn append_async(
        &self,
        entries: &[Entry],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send + use<> {
        let (answer, wait) = oneshot::channel();
        let asked = self.request(entries, Answer::Future(answer));
        async move {
            asked?;
            wait.await.map_err(|_| gone())?
        }
    }

    /// Proofs and witnesses.
    #[must_use]
    pub(crate) fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// Marks a clean end, makes everything durable and stops; later appends fail with `STO-023`.
    ///
    /// # Errors
    /// Errors of the disk: the end is then not clean, but nothing acknowledged is lost.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let (answer, wait) = sync_channel(1);
        self.send(Request::Close(Answer::Thread(answer)))?;
        wait.recv().map_err(|_| gone())?.map(drop)
    }

    fn request(&self, entries: &[Entry], answer: Answer) -> Result<(), StoreError> {
        let encoded = entries.iter().map(Entry::encode).collect::<Result<Vec<_>, _>>()?;
        self.send(Request::Append(Append { entries: entries.to_vec(), encoded, answer }))
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        let requests = self.0.requests.as_ref().ok_or_else(gone)?;
        requests.send(request).map_err(|_| gone())
    }
}

/// Look-ups by key.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the loop knows its records; these answer single questions")
)]
impl Store {
    /// The claim `seq` of `lane`, if the journal has it.
    ///
    /// # Errors
    /// `STO-022` if the index is damaged.
    pub(crate) fn has_claim(&self, lane: LaneId, seq: u64) -> Result<bool, StoreError> {
        Ok(self.0.index.get(&image::claim_key(lane, seq))?.is_some())
    }

    /// Our own proof of a statement.
    ///
    /// # Errors
    /// `STO-022` if the index is damaged.
    pub(crate) fn made(&self, statement: StatementId) -> Result<Option<StoredProof>, StoreError> {
        self.proof(Table::Made, statement)
    }

    /// Another's checked proof of a statement.
    ///
    /// # Errors
    /// `STO-022` if the index is damaged.
    pub(crate) fn held(&self, statement: StatementId) -> Result<Option<StoredProof>, StoreError> {
        self.proof(Table::Held, statement)
    }

    /// Every nonce without a receipt, lowest first.
    ///
    /// # Errors
    /// `STO-022` if the index is damaged.
    pub(crate) fn open_txs(&self) -> Result<Vec<TxState>, StoreError> {
        let mut txs = Vec::new();
        for (key, payload) in self.0.index.all(Table::Tx)? {
            let tx = image::tx_of(&key, &payload).ok_or_else(image::damaged)?;
            if tx.receipt.is_none() {
                txs.push(tx);
            }
        }
        Ok(txs)
    }

    /// The peers' cache: key and value as they were set. It may be lost at any start.
    ///
    /// # Errors
    /// `STO-022` if the index fails.
    pub(crate) fn peers(&self) -> Result<KeyValues, StoreError> {
        self.0.index.peers()
    }

    /// Sets (or, with `None`, removes) a row of the peers' cache, soon.
    ///
    /// # Errors
    /// `STO-030` if key or value are too long, `STO-023` if the store has stopped.
    pub(crate) fn set_peer(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let limit = PEER_KEY_BYTES_MAX;
        if key.len() > limit {
            return Err(StoreError::TooLarge { what: "peer key", bytes: key.len(), limit });
        }
        let (bytes, limit) = (value.map_or(0, <[u8]>::len), index::VALUE_BYTES_MAX - SEAL_BYTES);
        if bytes > limit {
            return Err(StoreError::TooLarge { what: "peer row", bytes, limit });
        }
        self.send(Request::Peer { key: key.to_vec(), value: value.map(<[u8]>::to_vec) })
    }

    fn proof(
        &self,
        table: Table,
        statement: StatementId,
    ) -> Result<Option<StoredProof>, StoreError> {
        let payload = self.0.index.get(&(table, statement.0.to_vec()))?;
        payload
            .map(|payload| image::proof_of(statement, &payload).ok_or_else(image::damaged))
            .transpose()
    }
}

fn start(writer: Writer) -> Result<(SyncSender<Request>, JoinHandle<()>), StoreError> {
    let (requests, receiver) = sync_channel(writer::BATCH_REQUESTS);
    let thread = std::thread::Builder::new()
        .name("store".into())
        .spawn(move || writer.run(&receiver))
        .map_err(|e| StoreError::Stopped { why: e.to_string() })?;
    Ok((requests, thread))
}

fn gone() -> StoreError {
    StoreError::Stopped { why: "the store is closed".into() }
}

fn restored(entries: Vec<(u64, Entry)>) -> Restored {
    let mut restored = Restored::default();
    let mut txs = std::collections::BTreeMap::<u64, Tx>::new();
    for (seq, entry) in entries {
        restored.seq = seq;
        restored.clean = entry == Entry::Clean;
        match entry {
            Entry::Record(record) => restored.records.push(record),
            Entry::Intent(intent) => {
                let signed = txs.remove(&intent.nonce).map_or_else(Vec::new, |tx| tx.signed);
                txs.insert(intent.nonce, Tx { intent, signed, receipt: None });
            }
            Entry::Signed(signed) => {
                txs.entry(signed.nonce).and_modify(|tx| tx.signed.push(signed));
            }
            Entry::Receipt(receipt) => {
                let known = (receipt.outcome != Outcome::Undone).then_some(receipt);
                txs.entry(receipt.nonce).and_modify(|tx| tx.receipt = known);
            }
            Entry::Prepared(prepared) => restored.prepared.push(prepared),
            Entry::Clean => {}
        }
    }
    restored.txs = txs.into_values().collect();
    let settled: std::collections::BTreeSet<_> = restored
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Settled { slot } => Some(*slot),
            Record::Claimed { .. }
            | Record::Ended { .. }
            | Record::Made { .. }
            | Record::Held { .. } => None,
        })
        .collect();
    restored.prepared.retain(|prepared| !settled.contains(&prepared.slot));
    restored
}

#[cfg(test)]
mod tests;
