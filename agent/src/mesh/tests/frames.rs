//! A probe speaks TLS and frames by hand: every rule is broken once, and the node stands.

use quinn::{
    ApplicationClose, ClientConfig, ConnectionError, RecvStream, SendStream, VarInt,
    crypto::rustls::QuicClientConfig,
};
use wire::{Control, Hello, Stream, version};

use super::*;

/// The other end of one connection to a node.
struct Probe {
    endpoint: Endpoint,
    connection: Connection,
    control: SendStream,
    control_in: Option<RecvStream>,
}

fn hello(world: &World) -> Hello {
    Hello {
        version: version::WIRE,
        chain_id: world.domain.chain_id(),
        registry: world.domain.registry().0,
        epoch: 0,
        address: "127.0.0.1:9".parse().unwrap(),
        l1_head: 0,
    }
}

/// A TLS connection as `number`, expecting `expect` there, after changes to the TLS settings.
async fn dial(
    world: &World,
    (number, expect): (u8, u8),
    node: &Node,
    change: impl FnOnce(&mut rustls::ClientConfig),
) -> Result<(Endpoint, Connection), ConnectionError> {
    let everybody = watch::Sender::new(members(0..20)).subscribe();
    let mut tls = key(number).client_config(everybody, key(expect).id()).unwrap();
    change(&mut tls);
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    assert_eq!(world.domain.chain_id(), 31_337);
    let connecting = endpoint.connect_with(config, node.address(), "probe").unwrap();
    let connection = within(connecting).await?;
    Ok((endpoint, connection))
}

impl Probe {
    /// Connects as prover `number` and says HELLO.
    async fn new(world: &World, number: u8, node: &Node) -> Self {
        let mut probe = Self::silent(world, number, node).await;
        probe.say(&Control::Hello(hello(world))).await;
        probe
    }

    /// Connects as prover `number` and opens the control stream.
    async fn silent(world: &World, number: u8, node: &Node) -> Self {
        let (endpoint, connection) =
            dial(world, (number, node.number), node, |_| ()).await.unwrap();
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&[Stream::Control as u8]).await.unwrap();
        Self { endpoint, connection, control, control_in: None }
    }

    async fn say(&mut self, frame: &Control) {
        self.control.write_all(&frame.encode().unwrap()).await.unwrap();
    }

    /// Opens a one-way stream, writes and finishes it.
    async fn send(&self, bytes: &[u8]) {
        let mut stream = self.connection.open_uni().await.unwrap();
        // The node may stop the stream before the end of what is too long.
        let _ = stream.write_all(bytes).await;
        let _ = stream.finish();
    }

    async fn send_message(&self, signed: &Signed) {
        let bytes = [&[Stream::Gossip as u8], signed.encode().unwrap().as_slice()].concat();
        self.send(&bytes).await;
    }

    /// The next message the node sends; its control stream is put aside.
    async fn message(&mut self) -> Signed {
        loop {
            let mut stream = within(self.connection.accept_uni()).await.unwrap();
            let mut first = [0];
            stream.read_exact(&mut first).await.unwrap();
            if first[0] == Stream::Gossip as u8 {
                let bytes = within(stream.read_to_end(512)).await.unwrap();
                return Signed::decode(&bytes).unwrap();
            }
            assert_eq!(first[0], Stream::Control as u8);
            assert!(self.control_in.replace(stream).is_none(), "a second control stream");
        }
    }

    /// The reply to a request, or the code with which it was reset.
    async fn ask(&self, request: &[u8]) -> Result<Vec<u8>, VarInt> {
        let (mut send, mut recv) = self.connection.open_bi().await.unwrap();
        send.write_all(request).await.unwrap();
        send.finish().unwrap();
        within(recv.read_to_end(1 << 20)).await.map_err(|error| {
            let quinn::ReadToEndError::Read(quinn::ReadError::Reset(code)) = error else {
                panic!("{error}");
            };
            code
        })
    }

    async fn end(&self) -> Close {
        ended(&self.connection).await
    }
}

/// Waits for the node to end the connection; says why it did.
async fn ended(connection: &Connection) -> Close {
    let ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) =
        within(connection.closed()).await
    else {
        panic!("{:?}", connection.close_reason());
    };
    let all = [
        Close::Unregistered,
        Close::Duplicate,
        Close::Full,
        Close::Network,
        Close::Slow,
        Close::Rejected,
        Close::Banned,
        Close::Shutdown,
        Close::Frames,
        Close::NotFound,
    ];
    all.into_iter().find(|it| it.code() == error_code).expect("a code of ours")
}

/// Waits until the handshake is refused, which the client may hear only after its own part.
async fn refused(outcome: Result<(Endpoint, Connection), ConnectionError>) -> ConnectionError {
    match outcome {
        Ok((_endpoint, connection)) => within(connection.closed()).await,
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_key_that_is_not_registered_is_refused_in_the_handshake() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let error = refused(dial(&world, (9, 0), &node, |_| ()).await).await;
    assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
    // Nobody came up: the first event is that of a registered one.
    let probe = Probe::new(&world, 1, &node).await;
    assert_eq!(node.event().await, MeshEvent::PeerUp(key(1).id()));
    assert_eq!(probe.connection.close_reason(), None);
}

#[tokio::test]
async fn a_dial_that_meets_another_key_than_expected_is_given_up() {
    let world = World::new();
    let node = world.node(0, &[]);
    let error = dial(&world, (1, 2), &node, |_| ()).await.expect_err("the key is another");
    assert!(matches!(error, ConnectionError::TransportError(_)), "{error}");
}

#[tokio::test]
async fn another_application_protocol_is_refused() {
    let world = World::new();
    let node = world.node(0, &[]);
    for alpn in [vec![], vec![b"coppice/1".to_vec()]] {
        let outcome = dial(&world, (1, 0), &node, |tls| tls.alpn_protocols = alpn).await;
        let error = refused(outcome).await;
        assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
    }
}

/// A client identity that is none: no key at all, or a key offered as an X.509 certificate.
#[derive(Debug)]
struct Odd(Option<Arc<rustls::sign::CertifiedKey>>);

impl rustls::client::ResolvesClientCert for Odd {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        self.0.clone()
    }
    fn only_raw_public_keys(&self) -> bool {
        self.0.is_none()
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_client_without_a_key_or_with_a_certificate_is_refused() {
    let world = World::new();
    let node = world.node(0, &[]);
    for identity in [None, Some(key(1).certified())] {
        let odd = Arc::new(Odd(identity));
        let outcome = dial(&world, (1, 0), &node, |tls| tls.client_auth_cert_resolver = odd).await;
        let error = refused(outcome).await;
        assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
    }
}

#[tokio::test]
async fn a_second_agent_with_our_own_key_is_refused() {
    let world = World::new();
    let node = world.node(0, &[]);
    assert_eq!(Probe::new(&world, 0, &node).await.end().await, Close::Duplicate);
}

#[tokio::test]
async fn hellos_of_other_networks_are_refused() {
    let world = World::new();
    let node = world.node(0, &[]);
    let ours = hello(&world);
    let others = [
        Hello { version: 0, ..ours },
        Hello { chain_id: 1, ..ours },
        Hello { registry: [0; 20], ..ours },
    ];
    for (number, other) in (1..).zip(others) {
        let mut probe = Probe::silent(&world, number, &node).await;
        probe.say(&Control::Hello(other)).await;
        assert_eq!(probe.end().await, Close::Network);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_begin_with_hello_is_closed() {
    let world = World::new();
    let node = world.node(0, &[]);
    // A message first, contacts first, a frame over the limit, nothing at all.
    let (_endpoint, connection) = dial(&world, (1, 0), &node, |_| ()).await.unwrap();
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[Stream::Gossip as u8, 0]).await.unwrap();
    let mut contacts = Probe::silent(&world, 2, &node).await;
    contacts.say(&Control::Contacts(Vec::new())).await;
    let mut long = Probe::silent(&world, 3, &node).await;
    long.control.write_all(&[0xff, 0xff]).await.unwrap();
    let silent = Probe::silent(&world, 4, &node).await;
    assert_eq!(ended(&connection).await, Close::Frames);
    assert_eq!(contacts.end().await, Close::Frames);
    assert_eq!(long.end().await, Close::Frames);
    assert_eq!(silent.end().await, Close::Frames);
}

#[tokio::test]
async fn a_second_hello_ends_the_connection() {
    let world = World::new();
    let node = world.node(0, &[]);
    let mut probe = Probe::new(&world, 1, &node).await;
    probe.say(&Control::Hello(hello(&world))).await;
    assert_eq!(probe.end().await, Close::Frames);
}

#[tokio::test]
async fn a_bad_signature_is_counted_and_not_forwarded() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let liar = Probe::new(&world, 1, &node).await;
    let mut witness = Probe::new(&world, 2, &node).await;
    node.sees(&[1, 2]).await;

    let mut forged = world.held(3, 1, 1);
    forged.signature[10] ^= 1;
    let stolen = Signed { signature: world.held(1, 1, 2).signature, ..world.held(3, 1, 2) };
    for bad in [&forged, &stolen] {
        liar.send_message(bad).await;
    }
    liar.send_message(&world.held(3, 1, 3)).await;
    assert_eq!(witness.message().await, world.held(3, 1, 3), "the first that is forwarded");
    assert_eq!(node.message().await, world.held(3, 1, 3).message, "and delivered");
    assert_eq!(node.info(1).refused, 2);
}

#[tokio::test]
async fn a_message_is_forwarded_once_and_never_back() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let mut first = Probe::new(&world, 1, &node).await;
    let mut second = Probe::new(&world, 2, &node).await;
    node.sees(&[1, 2]).await;
    for _ in 0..3 {
        first.send_message(&world.held(3, 1, 1)).await;
    }
    first.send_message(&world.held(3, 1, 2)).await;
    assert_eq!(second.message().await, world.held(3, 1, 1));
    second.send_message(&world.held(3, 1, 1)).await;
    second.send_message(&world.held(3, 1, 3)).await;
    assert_eq!(second.message().await, world.held(3, 1, 2), "no repetition in between");
    assert_eq!(first.message().await, world.held(3, 1, 3), "its own messages do not come back");
    assert_eq!(node.info(1).refused + node.info(2).refused, 0, "a repetition is no fault");
}

#[tokio::test]
async fn lanes_nobody_knows_and_closed_slots_are_ignored_without_blame() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    node.mesh.set_slots(Slot(4)..=Slot(6));
    let probe = Probe::new(&world, 1, &node).await;
    for ignored in [world.held(9, 5, 1), world.held(3, 3, 1), world.held(3, 7, 1)] {
        probe.send_message(&ignored).await;
    }
    probe.send_message(&world.held(3, 5, 1)).await;
    assert_eq!(node.message().await, world.held(3, 5, 1).message);
    assert_eq!((node.info(1).received, node.info(1).refused), (4, 0));
}

#[tokio::test]
async fn frames_too_long_or_of_unknown_kinds_are_counted_and_the_next_is_read() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let probe = Probe::new(&world, 1, &node).await;
    node.sees(&[1]).await;
    let mut long = world.held(3, 1, 1).encode().unwrap();
    long.resize(513, 0);
    long.insert(0, Stream::Gossip as u8);
    probe.send(&long).await;
    probe.send(&[0x77; 40]).await;
    probe.send(&[]).await;
    probe.send_message(&world.held(3, 1, 2)).await;
    assert_eq!(node.message().await, world.held(3, 1, 2).message);
    assert_eq!(node.info(1).refused, 3);
}

#[tokio::test]
async fn too_many_bad_frames_cut_the_peer_off_and_keep_it_out() {
    let world = World::new();
    let node = world.node(0, &[]);
    let probe = Probe::new(&world, 1, &node).await;
    for _ in 0..=limits::STRIKES_BURST {
        probe.send(&[Stream::Gossip as u8, 1, 2, 3]).await;
    }
    assert_eq!(probe.end().await, Close::Rejected);
    assert_eq!(Probe::new(&world, 1, &node).await.end().await, Close::Banned);
    // Others are not affected.
    let mut other = Probe::new(&world, 2, &node).await;
    node.mesh.broadcast(&world.held(0, 1, 1)).unwrap();
    assert_eq!(other.message().await, world.held(0, 1, 1));
}

#[tokio::test]
async fn requests_are_answered_or_reset() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let name = wire::blob_id(b"here");
    node.blobs.put(name, b"here");
    let too_long = BlobId([7; 32]);
    node.blobs.put(too_long, &vec![0; wire::frame::BLOB_BYTES_MAX + 1]);
    let probe = Probe::new(&world, 1, &node).await;
    node.sees(&[1]).await;

    assert_eq!(probe.ask(&wire::frame::encode_get(name)).await.unwrap(), b"here");
    for absent in [BlobId([8; 32]), too_long] {
        let reply = probe.ask(&wire::frame::encode_get(absent)).await;
        assert_eq!(reply, Err(Close::NotFound.code()));
    }
    let reply = probe.ask(&wire::frame::encode_witnesses(BlockId([1; 32]))).await;
    assert_eq!(reply, Err(Close::NotFound.code()));
    assert_eq!(node.info(1).refused, 0);

    for wrong in [&[0x10; 32][..], &[0x10; 34], &[0x55; 33], &[]] {
        assert_eq!(probe.ask(wrong).await, Err(Close::Frames.code()));
    }
    // The count follows the reset; the next answer comes after both.
    assert_eq!(probe.ask(&wire::frame::encode_get(name)).await.unwrap(), b"here");
    within(async {
        while node.info(1).refused < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_newer_of_two_connections_of_one_dialler_stays() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let older = Probe::new(&world, 1, &node).await;
    assert_eq!(node.event().await, MeshEvent::PeerUp(key(1).id()));
    let mut newer = Probe::new(&world, 1, &node).await;
    assert_eq!(older.end().await, Close::Duplicate);
    node.mesh.broadcast(&world.held(0, 1, 1)).unwrap();
    assert_eq!(newer.message().await, world.held(0, 1, 1));
    assert!(node.events.try_recv().is_err(), "the peer was never down");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_disconnected_and_others_are_not_delayed() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let lazy = Probe::new(&world, 1, &node).await;
    let mut eager = Probe::new(&world, 2, &node).await;
    node.sees(&[1, 2]).await;
    let started = Instant::now();
    // As many as the node's streams towards the lazy one and its queue hold, and some more.
    let count = 100 + limits::OUTBOX_MAX as u64 + 100;
    for n in 1..=count {
        node.mesh.broadcast(&world.beat(0, n)).unwrap();
        assert_eq!(eager.message().await, world.beat(0, n));
    }
    assert_eq!(lazy.end().await, Close::Slow);
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_message_that_trickles_in_is_given_up_and_the_next_is_read() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let probe = Probe::new(&world, 1, &node).await;
    node.sees(&[1]).await;
    let mut stream = probe.connection.open_uni().await.unwrap();
    stream.write_all(&[Stream::Gossip as u8, 1]).await.unwrap();
    probe.send_message(&world.held(3, 1, 2)).await;
    assert_eq!(node.message().await, world.held(3, 1, 2).message);
    assert_eq!(node.info(1).refused, 1);
}

#[tokio::test]
async fn shutdown_is_heard_at_once() {
    let world = World::new();
    let mut node = world.node(0, &[]);
    let probe = Probe::new(&world, 1, &node).await;
    node.sees(&[1]).await;
    node.mesh.shutdown().await;
    assert_eq!(probe.end().await, Close::Shutdown);
    drop(probe.endpoint);
}
