//! The one thread that writes: it gathers what is waiting, makes it durable, then answers.
//!
//! The order is rule zero of the design: journal, `fdatasync`, index, answer. A caller that has its
//! answer may sign and send; a caller that gets an error must not, and the process has to end.

use std::sync::mpsc::{Receiver, SyncSender};

use tokio::sync::oneshot;

use super::anchor::Anchor;
use super::disk::MakeMedium;
use super::entry::Entry;
use super::error::StoreError;
use super::frame::Kind;
use super::index;
use super::journal::Journal;

/// Most requests of one batch; with 1 ms of `fdatasync` this is a million records a second.
pub(super) const BATCH_REQUESTS: usize = 1024;
/// A batch stops growing here, so that one write stays below 1.3 MiB.
const BATCH_BYTES: usize = 1024 * 1024;

/// Where an answer goes.
pub(super) enum Answer {
    /// A thread waits.
    Thread(SyncSender<Result<u64, StoreError>>),
    /// A future waits.
    Future(oneshot::Sender<Result<u64, StoreError>>),
}

impl Answer {
    /// A caller that stopped waiting is no error: what it asked for is done all the same.
    fn send(self, result: Result<u64, StoreError>) {
        match self {
            Self::Thread(sender) => drop(sender.send(result)),
            Self::Future(sender) => drop(sender.send(result)),
        }
    }
}

/// Entries with their encoded forms, which callers make so that this thread only writes.
pub(super) struct Append {
    /// What is added.
    pub entries: Vec<Entry>,
    /// The same, encoded.
    pub encoded: Vec<(Kind, Vec<u8>)>,
    /// Who waits.
    pub answer: Answer,
}

/// What the thread can be asked.
pub(super) enum Request {
    /// Add entries.
    Append(Append),
    /// Set or remove a row of the peers' cache.
    Peer {
        /// Mesh key.
        key: Vec<u8>,
        /// Row, or `None` to remove it.
        value: Option<Vec<u8>>,
    },
    /// Mark a clean end and stop.
    Close(Answer),
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) index: index::Writer,
    pub(super) anchor: Anchor,
    pub(super) anchor_every: u64,
    pub(super) anchored: u64,
    pub(super) make: MakeMedium,
    /// The first error, after which nothing is written.
    pub(super) stopped: Option<StoreError>,
}

impl Writer {
    /// Serves requests until the store is closed or dropped.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            let (batch, other) = gather(request, requests);
            self.append(batch);
            match other {
                None => {}
                Some(Request::Append(append)) => self.append(vec![append]),
                Some(Request::Peer { key, value }) => self.set_peer(&key, value.as_deref()),
                Some(Request::Close(answer)) => return answer.send(self.close()),
            }
        }
    }

    fn append(&mut self, batch: Vec<Append>) {
        if batch.is_empty() {
            return;
        }
        let mut encoded = Vec::new();
        let mut entries = Vec::new();
        let mut waiting = Vec::new();
        let mut seq = self.journal.head().seq;
        for append in batch {
            seq += append.entries.len() as u64;
            encoded.extend(append.encoded);
            entries.extend(append.entries);
            waiting.push((seq, append.answer));
        }
        let result = self.write(&encoded, &entries);
        for (seq, answer) in waiting {
            answer.send(result.clone().map(|()| seq));
        }
        if result.is_ok() {
            self.anchor_if_due();
        }
    }

    fn write(&mut self, encoded: &[(Kind, Vec<u8>)], entries: &[Entry]) -> Result<(), StoreError> {
        if let Some(error) = &self.stopped {
            return Err(StoreError::Stopped { why: error.to_string() });
        }
        let written = self
            .journal
            .append(encoded)
            .and_then(|head| self.index.apply(entries.iter(), head.seq));
        self.noted(written)
    }

    /// Keeps the first error: nothing is written after it.
    fn noted(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(error) = &result {
            tracing::error!(code = error.code(), %error, "storage stopped");
            self.stopped.get_or_insert_with(|| error.clone());
        }
        result
    }

    /// After the answers: nobody waits for the anchor, and a failure shows at the next append.
    fn anchor_if_due(&mut self) {
        if self.journal.head().seq >= self.anchored + self.anchor_every {
            let result = self.anchor_now();
            let _ = self.noted(result);
        }
    }

    fn anchor_now(&mut self) -> Result<(), StoreError> {
        let head = self.journal.head();
        self.index.flush()?;
        self.anchor.write(&self.make, head)?;
        self.anchored = head.seq;
        Ok(())
    }

    fn set_peer(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.stopped.is_none() {
            let result = self.index.set_peer(key, value);
            let _ = self.noted(result);
        }
    }

    fn close(&mut self) -> Result<u64, StoreError> {
        let encoded = Entry::Clean.encode()?;
        self.write(&[encoded], &[Entry::Clean])?;
        let result = self.anchor_now();
        self.noted(result)?;
        Ok(self.journal.head().seq)
    }
}

/// The appends that are waiting, and the first request that is none.
fn gather(first: Request, requests: &Receiver<Request>) -> (Vec<Append>, Option<Request>) {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(request) = next {
        let Request::Append(append) = request else { return (batch, Some(request)) };
        bytes += append.encoded.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        batch.push(append);
        let full = batch.len() >= BATCH_REQUESTS || bytes >= BATCH_BYTES;
        next = if full { None } else { requests.try_recv().ok() };
    }
    (batch, None)
}
