//! Blobs and witness names: asked of one peer after the other, and served to whoever asks.
//!
//! A blob is named by its hash, so whoever sends it needs no trust: what does not hash to its name
//! counts against the sender, and the next one is asked.

use std::{convert::Infallible, sync::Arc, time::Duration};

use protocol::{BlobId, BlockId};
use quinn::{Connection, ReadError, ReadToEndError, RecvStream, SendStream};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::debug;
use wire::{Stream, blob_id, frame};

use super::{
    Shared, Source,
    budget::Budget,
    error::{Close, End, FetchError, Miss},
    limits,
    link::Session,
    members::PeerId,
};

/// What this agent can serve; implemented by its store. Calls may block on the disk.
pub(crate) trait BlobSource: Send + Sync + 'static {
    /// The bytes of a blob.
    fn get(&self, blob: BlobId) -> Option<Vec<u8>>;
    /// Names of a block's witnesses, in the order of its txs.
    fn witnesses(&self, block: BlockId) -> Option<Vec<BlobId>>;
}

/// Fetches a blob of at most `bytes_max` bytes from the first provider that has it.
pub(super) async fn fetch_blob(
    shared: &Shared,
    blob: BlobId,
    bytes_max: usize,
    source: Source<'_>,
) -> Result<Vec<u8>, FetchError> {
    let bytes_max = bytes_max.min(frame::BLOB_BYTES_MAX);
    let check = |bytes: Vec<u8>| (blob_id(&bytes) == blob).then_some(bytes);
    let request = Request { bytes: frame::encode_get(blob), reply_max: bytes_max };
    let (_, bytes) = ask(shared, &shared.providers(source), request, check).await?;
    Ok(bytes)
}

/// Fetches the names of a block's witnesses, and says whose word it is.
pub(super) async fn fetch_names(
    shared: &Shared,
    block: BlockId,
    source: Source<'_>,
) -> Result<(PeerId, Vec<BlobId>), FetchError> {
    let check = |bytes: Vec<u8>| frame::decode_names(&bytes).ok().filter(|it| !it.is_empty());
    let reply_max = Stream::Witnesses.reply_bytes_max();
    let request = Request { bytes: frame::encode_witnesses(block), reply_max };
    ask(shared, &shared.providers(source), request, check).await
}

#[derive(Clone, Copy)]
struct Request {
    bytes: [u8; 33],
    reply_max: usize,
}

/// Asks the providers in turn until `check` is content with an answer, or four wasted our time.
async fn ask<T>(
    shared: &Shared,
    providers: &[(PeerId, Connection)],
    request: Request,
    check: impl Fn(Vec<u8>) -> Option<T>,
) -> Result<(PeerId, T), FetchError> {
    let mut misses = Vec::new();
    let mut wasted = 0;
    for (peer, connection) in providers {
        let answer = ask_one(connection, request).await;
        match answer.and_then(|bytes| check(bytes).ok_or(Miss::Corrupt)) {
            Ok(answer) => {
                shared.peers().heard(*peer);
                return Ok((*peer, answer));
            }
            Err(miss) => {
                debug!(%peer, %miss, "not served");
                if miss == Miss::Corrupt && shared.peers().strike(*peer, Instant::now()) {
                    Close::Rejected.end(connection);
                }
                misses.push((*peer, miss));
                wasted += usize::from(miss != Miss::Absent);
            }
        }
        if wasted == limits::PROVIDERS_MAX {
            break;
        }
    }
    if misses.is_empty() {
        return Err(FetchError::NobodyConnected);
    }
    Err(FetchError::NotServed(misses))
}

async fn ask_one(connection: &Connection, request: Request) -> Result<Vec<u8>, Miss> {
    let exchange = async {
        let (mut send, mut recv) = connection.open_bi().await.map_err(|_| Miss::Lost)?;
        send.write_all(&request.bytes).await.map_err(|_| Miss::Lost)?;
        send.finish().map_err(|_| Miss::Lost)?;
        recv.read_to_end(request.reply_max).await.map_err(|error| match error {
            ReadToEndError::TooLong => Miss::Corrupt,
            ReadToEndError::Read(ReadError::Reset(code)) if code == Close::NotFound.code() => {
                Miss::Absent
            }
            ReadToEndError::Read(ReadError::Reset(_)) => Miss::Slow,
            ReadToEndError::Read(_) => Miss::Lost,
        })
    };
    timeout(limits::REQUEST + transfer_time(request.reply_max), exchange)
        .await
        .unwrap_or(Err(Miss::Slow))
}

/// The longest that so many bytes may take.
fn transfer_time(bytes: usize) -> Duration {
    Duration::from_secs(bytes.div_ceil(limits::TRANSFER_BYTES_PER_S) as u64)
}

/// Serves a peer's requests until its connection ends.
pub(super) async fn serve(session: &Session<'_>) -> Result<Infallible, End> {
    let mut budget = Budget::new(limits::REQUESTS_BURST, limits::REQUEST_EVERY, Instant::now());
    let mut running = JoinSet::new();
    loop {
        let (send, recv) = session.connection.accept_bi().await?;
        budget.wait().await;
        while running.try_join_next().is_some() {}
        if running.len() >= limits::BIDI_STREAMS_MEMBER as usize {
            running.join_next().await;
        }
        let (shared, connection) = (Arc::clone(session.shared), session.connection.clone());
        let peer = session.peer;
        running.spawn(async move {
            let is_request = answer(&shared, send, recv).await;
            if !is_request && shared.peers().strike(peer, Instant::now()) {
                Close::Rejected.end(&connection);
            }
        });
    }
}

/// Answers one request; `false` if it was none.
async fn answer(shared: &Shared, mut send: SendStream, mut recv: RecvStream) -> bool {
    let Ok(Ok(request)) = timeout(limits::REQUEST, recv.read_to_end(REQUEST_BYTES)).await else {
        // Fails only if the stream is at its end; the same holds for the resets below.
        let _ = recv.stop(Close::Frames.code());
        let _ = send.reset(Close::Frames.code());
        return false;
    };
    let Some(wanted) = Wanted::decode(&request) else {
        let _ = send.reset(Close::Frames.code());
        return false;
    };
    let blobs = Arc::clone(&shared.blobs);
    let found = tokio::task::spawn_blocking(move || wanted.find(&*blobs)).await;
    let Some(reply) = found.ok().flatten() else {
        let _ = send.reset(Close::NotFound.code());
        return true;
    };
    let write = async {
        send.write_all(&reply).await?;
        // Fails only if the peer stopped the stream.
        let _ = send.finish();
        Ok::<_, quinn::WriteError>(())
    };
    let written = timeout(limits::REQUEST + transfer_time(reply.len()), write).await;
    if written.is_err() {
        let _ = send.reset(Close::Slow.code());
    }
    true
}

/// Length of a request: its first byte and an id.
const REQUEST_BYTES: usize = 33;

/// What a peer asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Blob(BlobId),
    Names(BlockId),
}

impl Wanted {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, id) = bytes.split_first()?;
        let id = frame::decode_id(id).ok()?;
        match Stream::from_byte(*first)? {
            Stream::Get => Some(Self::Blob(BlobId(id))),
            Stream::Witnesses => Some(Self::Names(BlockId(id))),
            Stream::Control | Stream::Gossip => None,
        }
    }

    fn find(self, blobs: &dyn BlobSource) -> Option<Vec<u8>> {
        match self {
            Self::Blob(blob) => {
                blobs.get(blob).filter(|bytes| bytes.len() <= frame::BLOB_BYTES_MAX)
            }
            Self::Names(block) => frame::encode_names(&blobs.witnesses(block)?).ok(),
        }
    }
}
