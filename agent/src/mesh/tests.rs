//! Meshes on loopback: whole nodes, and probes that speak the frames by hand to break the rules.
//!
//! Nothing here sleeps: a test waits for an event, or for a message that must come after the one
//! that must not, since messages of one peer keep their order.

mod frames;
mod nodes;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use protocol::{
    Address, BlobId, BlockId, LaneId, Message, ProverId, SequencerId, Slot, StatementId, TaskId,
};
use tokio::sync::{mpsc, watch};
use wire::{Domain, Signed, Signer};

use super::{error::Miss, *};

/// Longer than any deadline of the mesh that a test runs into.
const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("this takes too long")
}

/// A registry of provers 0 to 5, whose keys are their number plus one, and sequencer 0.
struct World {
    members: watch::Sender<Arc<Members>>,
    domain: Domain,
}

const SEQUENCER: u8 = 100;

fn key(number: u8) -> MeshKey {
    MeshKey::new(&[number + 1; 32]).unwrap()
}

fn signer(number: u8) -> Signer {
    Signer::new(&[number + 1; 32]).unwrap()
}

fn members(numbers: impl IntoIterator<Item = u8>) -> Arc<Members> {
    let prover = |number: u8| {
        let operator = signer(number).address();
        let prover = Prover { peer: key(number).id(), operator, lanes: 2 };
        (ProverId(number.into()), prover)
    };
    let provers = numbers.into_iter().map(prover).collect::<BTreeMap<_, _>>();
    let sequencers = BTreeMap::from([(SequencerId(0), key(SEQUENCER).id())]);
    Arc::new(Members::new(3, 400, provers, &sequencers))
}

impl World {
    fn new() -> Self {
        let domain = Domain::new(31_337, Address([0xaa; 20]));
        Self { members: watch::Sender::new(members(0..6)), domain }
    }

    fn held(&self, by: u8, slot: u64, number: u8) -> Signed {
        let lane = LaneId::new(ProverId(by.into()), 0);
        let statement = StatementId([number; 32]);
        signer(by).sign(&self.domain, Message::Held { statement, lane, slot: Slot(slot) })
    }

    fn beat(&self, by: u8, n: u64) -> Signed {
        let lane = LaneId::new(ProverId(by.into()), 1);
        let message = Message::Beat { lane, slot: Slot(1), n, task: TaskId::default() };
        signer(by).sign(&self.domain, message)
    }

    fn node(&self, number: u8, bootstrap: &[&Node]) -> Node {
        let places = bootstrap.iter().map(|node| node.place()).collect();
        self.node_at(number, SocketAddr::from(([127, 0, 0, 1], 0)), places)
            .expect("a free port of loopback")
    }

    fn node_at(
        &self,
        number: u8,
        listen: SocketAddr,
        bootstrap: Vec<Bootstrap>,
    ) -> Result<Node, MeshError> {
        let blobs = Arc::new(Shelf::default());
        let (mesh, events) = Mesh::start(MeshConfig {
            key: key(number),
            listen,
            advertise: None,
            bootstrap,
            domain: self.domain,
            members: self.members.subscribe(),
            blobs: Arc::clone(&blobs) as Arc<dyn BlobSource>,
            // Of these worlds the provers' alone are a devnet's.
            disturbable: number < SEQUENCER,
        })?;
        Ok(Node { number, mesh, events, blobs })
    }
}

/// Blobs in memory; whoever fills it may put anything under a name.
#[derive(Default)]
struct Shelf {
    blobs: Mutex<BTreeMap<BlobId, Vec<u8>>>,
    names: Mutex<BTreeMap<BlockId, Vec<BlobId>>>,
}

impl Shelf {
    fn put(&self, name: BlobId, bytes: &[u8]) {
        self.blobs.lock().unwrap().insert(name, bytes.to_vec());
    }
}

impl BlobSource for Shelf {
    fn get(&self, blob: BlobId) -> Option<Vec<u8>> {
        self.blobs.lock().unwrap().get(&blob).cloned()
    }
    fn witnesses(&self, block: BlockId) -> Option<Vec<BlobId>> {
        self.names.lock().unwrap().get(&block).cloned()
    }
}

struct Node {
    number: u8,
    mesh: Mesh,
    events: mpsc::Receiver<MeshEvent>,
    blobs: Arc<Shelf>,
}

impl Node {
    fn id(&self) -> PeerId {
        key(self.number).id()
    }

    fn address(&self) -> SocketAddr {
        self.mesh.local_address().unwrap()
    }

    fn place(&self) -> Bootstrap {
        Bootstrap { peer: self.id(), host: self.address().to_string() }
    }

    async fn event(&mut self) -> MeshEvent {
        within(self.events.recv()).await.expect("the mesh runs")
    }

    /// The next message, whatever peers come and go.
    async fn message(&mut self) -> Message {
        loop {
            if let MeshEvent::Message(message) = self.event().await {
                return *message.get();
            }
        }
    }

    /// Waits until these and no other peers are connected.
    async fn sees(&mut self, others: &[u8]) {
        let expected = others.iter().map(|it| key(*it).id()).collect::<BTreeSet<_>>();
        loop {
            let connected = self.mesh.peers().into_iter().filter(PeerInfo::is_connected);
            if connected.map(|it| it.peer).collect::<BTreeSet<_>>() == expected {
                return;
            }
            let event = self.event().await;
            assert!(!matches!(event, MeshEvent::Message(_)), "{event:?}");
        }
    }

    fn info(&self, number: u8) -> PeerInfo {
        let peers = self.mesh.peers();
        peers.into_iter().find(|it| it.peer == key(number).id()).expect("a known peer")
    }
}
