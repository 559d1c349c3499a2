//! The QUIC mesh: who hears what from whom.
//!
//! A small full mesh. Membership is the L1 registry's: both ends of a connection prove a
//! registered mesh key (`tls.rs`), so there is nothing to discover but addresses. Every message is
//! checked before it is forwarded (`gossip.rs`); blobs are asked for by name and checked by their
//! hash (`transfer.rs`). All limits are in `limits.rs`.
//!
//! The agent uses it so: [`Mesh::start`] with a watch of [`Members`] that it updates from L1, then
//! reads [`MeshEvent`]s, calls [`Mesh::broadcast`] for what the core wants sent and
//! [`Mesh::fetch_blob`] for what it wants fetched, and moves [`Mesh::set_slots`] on as slots
//! settle. A sequencer does the same without lanes.

mod budget;
mod disturb;
mod endpoint;
mod error;
mod gossip;
mod limits;
mod link;
mod members;
mod peers;
#[cfg(test)]
mod tests;
mod tls;
mod transfer;

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use protocol::{BlobId, BlockId, Message, ProverId, Slot};
use quinn::{Connection, Endpoint};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout},
};
use wire::{Domain, Reject, Signed, Verified};

pub(crate) use self::{
    disturb::{DELAY_MAX, Disturbance},
    error::{FetchError, MeshError},
    members::{Bootstrap, Members, PeerId, Prover, Role},
    tls::MeshKey,
    transfer::BlobSource,
};
use self::{error::Close, gossip::Board, peers::Table};

/// What a mesh needs to start.
pub(crate) struct MeshConfig {
    /// This agent's identity.
    pub(crate) key: MeshKey,
    /// UDP address to listen on; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Address that peers are told; `None` if they see the right one themselves.
    pub(crate) advertise: Option<SocketAddr>,
    /// Peers to begin with: the configured ones, and addresses remembered from the last run.
    pub(crate) bootstrap: Vec<Bootstrap>,
    /// Chain and Registry that messages are signed for.
    pub(crate) domain: Domain,
    /// The registry; the agent publishes a new one whenever L1 changes it.
    pub(crate) members: watch::Receiver<Arc<Members>>,
    /// What to serve.
    pub(crate) blobs: Arc<dyn BlobSource>,
    /// Whether [`Mesh::disturb`] is possible: on a devnet alone.
    pub(crate) disturbable: bool,
}

/// News from the mesh. Whoever started it must keep reading: when [`limits::EVENTS_MAX`] wait, no
/// more messages are read from peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum MeshEvent {
    /// A message, for the first time; it was checked and is being forwarded.
    Message(Verified<Message>),
    /// A peer is connected; what we hold of unsettled slots is on its way to it, and the reverse.
    PeerUp(PeerId),
    /// A peer's connection is gone; it is dialled again. This says nothing about its lanes.
    PeerDown(PeerId),
}

/// Whom to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// These provers, in this order.
    Provers(&'a [ProverId]),
    /// Any connected peer but these.
    AnyoneBut(&'a [PeerId]),
}

/// One peer, for the screens.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct PeerInfo {
    /// Mesh key.
    pub(crate) peer: PeerId,
    /// What it is registered as.
    pub(crate) role: Option<Role>,
    /// Address last heard of.
    pub(crate) address: Option<SocketAddr>,
    /// Round trip; `None` while not connected.
    pub(crate) rtt: Option<Duration>,
    /// Its newest L1 block when it last connected.
    pub(crate) l1_head: Option<u64>,
    /// Unix milliseconds of the last message or answer; 0 if there was none.
    pub(crate) last_ms: u64,
    /// Messages and answers received.
    pub(crate) received: u64,
    /// Bad ones among them.
    pub(crate) refused: u64,
}

impl PeerInfo {
    /// Whether it is connected now.
    pub(crate) const fn is_connected(&self) -> bool {
        self.rtt.is_some()
    }
}

/// A handle on the running mesh; clones are the same mesh.
#[derive(Clone)]
pub(crate) struct Mesh {
    shared: Arc<Shared>,
}

/// What the tasks of a mesh share. No lock is held across an await.
struct Shared {
    key: MeshKey,
    endpoint: Endpoint,
    /// What our HELLO says.
    address: SocketAddr,
    domain: Domain,
    members: watch::Receiver<Arc<Members>>,
    blobs: Arc<dyn BlobSource>,
    events: mpsc::Sender<MeshEvent>,
    peers: Mutex<Table>,
    board: Mutex<Board>,
    /// The table changed: somebody may have to be dialled.
    redial: Notify,
    /// What is done to our datagrams on purpose; only a devnet has it.
    weather: Option<watch::Sender<Disturbance>>,
    stop: watch::Sender<bool>,
}

impl Shared {
    fn peers(&self) -> MutexGuard<'_, Table> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connected peers that `source` names, in its order.
    fn providers(&self, source: Source<'_>) -> Vec<(PeerId, Connection)> {
        let peers = self.peers();
        match source {
            Source::Provers(provers) => {
                let members = self.members.borrow();
                let named = provers.iter().filter_map(|prover| members.peer_of(*prover));
                named.filter_map(|peer| Some((peer, peers.connection(peer)?))).collect()
            }
            Source::AnyoneBut(except) => peers
                .links()
                .filter(|(peer, _)| !except.contains(peer))
                .map(|(peer, link)| (peer, link.connection.clone()))
                .collect(),
        }
    }
}

impl Mesh {
    /// Listens, and begins to connect to the registered peers it has addresses of. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`MeshError::Listen`] if the address cannot be used.
    pub(crate) fn start(
        config: MeshConfig,
    ) -> Result<(Self, mpsc::Receiver<MeshEvent>), MeshError> {
        let MeshConfig { key, listen, advertise, bootstrap, domain, members, blobs, .. } = config;
        let weather = config.disturbable.then(|| watch::Sender::new(Disturbance::default()));
        let disturbed = weather.as_ref().map(watch::Sender::subscribe);
        let endpoint = endpoint::open(&key, listen, members.clone(), disturbed)?;
        let bound = endpoint
            .local_addr()
            .map_err(|source| MeshError::Listen { address: listen, source })?;
        let (events, receiver) = mpsc::channel(limits::EVENTS_MAX);
        let table = Table::new(key.id(), bootstrap, Instant::now());
        let shared = Arc::new(Shared {
            key,
            endpoint,
            address: advertise.unwrap_or(bound),
            domain,
            members: members.clone(),
            blobs,
            events,
            peers: Mutex::new(table),
            board: Mutex::new(Board::new()),
            redial: Notify::new(),
            weather,
            stop: watch::Sender::new(false),
        });
        tokio::spawn(endpoint::accept(Arc::clone(&shared)));
        tokio::spawn(endpoint::keep_connected(Arc::clone(&shared), members));
        Ok((Self { shared }, receiver))
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(test)]
    pub(crate) fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.shared.endpoint.local_addr()
    }

    /// Sends one of our own messages to every peer and keeps it for those that are away. Saying
    /// the same twice sends it once.
    ///
    /// # Errors
    /// What our peers would say of it, for instance that our lane is not registered yet.
    pub(crate) fn broadcast(&self, signed: &Signed) -> Result<(), Reject> {
        let bytes = Bytes::from(signed.encode()?);
        let members = Arc::clone(&self.shared.members.borrow());
        let message = wire::verify(signed, &self.shared.domain, &*members)?;
        if self.shared.board().accept(message, bytes.clone()) {
            self.shared.forward(&bytes, None);
        }
        Ok(())
    }

    /// Opens these slots: messages of others are ignored without blame, and stored ones below the
    /// first are forgotten. At the start all are open.
    pub(crate) fn set_slots(&self, slots: RangeInclusive<Slot>) {
        self.shared.board().set_slots(slots);
    }

    /// The accepted messages of a slot that are still held, ours included, in order of arrival.
    #[cfg(test)]
    pub(crate) fn held(&self, slot: Slot) -> Vec<Verified<Message>> {
        self.shared.board().of_slot(slot)
    }

    /// Fetches a blob of at most `bytes_max` bytes; what is returned hashes to its name. Peers are
    /// asked one after the other until four of them were slow, lost or lying.
    ///
    /// # Errors
    /// [`FetchError`] says who was asked and why each did not give it.
    pub(crate) async fn fetch_blob(
        &self,
        blob: BlobId,
        bytes_max: usize,
        source: Source<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        transfer::fetch_blob(&self.shared, blob, bytes_max, source).await
    }

    /// Fetches the names of a block's witnesses, with the peer whose word it is: if they do not
    /// check, [`Mesh::cut_off`] it and ask again.
    ///
    /// # Errors
    /// [`FetchError`] says who was asked and why each did not give them.
    pub(crate) async fn fetch_witness_names(
        &self,
        block: BlockId,
        source: Source<'_>,
    ) -> Result<(PeerId, Vec<BlobId>), FetchError> {
        transfer::fetch_names(&self.shared, block, source).await
    }

    /// Ends the connection to a peer that sent what does not check, and keeps it out for ten
    /// minutes.
    pub(crate) fn cut_off(&self, peer: PeerId) {
        if let Some(connection) = self.shared.peers().cut_off(peer, Instant::now()) {
            Close::Rejected.end(&connection);
        }
    }

    /// From now on this happens to what we send; `false` if this mesh was not started for that.
    pub(crate) fn disturb(&self, disturbance: Disturbance) -> bool {
        let weather = self.shared.weather.as_ref();
        weather.map(|it| it.send_replace(disturbance)).is_some()
    }

    /// All known peers, connected or not, in the order of their keys.
    pub(crate) fn peers(&self) -> Vec<PeerInfo> {
        let members = Arc::clone(&self.shared.members.borrow());
        self.shared.peers().report(&members)
    }

    /// Stops: peers are told, within a second at most, and all tasks end.
    pub(crate) async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let close = Close::Shutdown;
        self.shared.endpoint.close(close.code(), close.to_string().as_bytes());
        // A peer that does not answer notices by silence.
        let _ = timeout(limits::SHUTDOWN, self.shared.endpoint.wait_idle()).await;
    }
}
