//! The UDP endpoint: how connections are set up, let in and dialled.
//!
//! Nobody costs us a handshake before his address is proved (Retry), no address more than a few a
//! minute, and all together no more than a fixed number at a time. Whoever gets through has proved
//! a registered key; `link.rs` takes over from there.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, Incoming, Runtime as _, ServerConfig,
    TokenMemoryCache, TokioRuntime, TransportConfig, ValidationTokenConfig, VarInt,
    crypto::{
        CryptoError, HmacKey,
        rustls::{QuicClientConfig, QuicServerConfig},
    },
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use super::{
    Shared,
    budget::Budget,
    disturb::{Disturbance, Disturbed},
    error::MeshError,
    limits, link,
    members::PeerId,
    peers::{Due, Place},
    tls::{Gate, MeshKey},
};

/// Opens the socket, client and server at once; with `weather` its datagrams can be disturbed.
pub(super) fn open(
    key: &MeshKey,
    listen: SocketAddr,
    gate: Gate,
    weather: Option<watch::Receiver<Disturbance>>,
) -> Result<Endpoint, MeshError> {
    let tls = QuicServerConfig::try_from(key.server_config(gate)?).map_err(|_| MeshError::Suite)?;
    let mut tokens = ValidationTokenConfig::default();
    tokens.lifetime(limits::TOKEN_LIFETIME);
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(transport()))
        .validation_token_config(tokens)
        .max_incoming(limits::INCOMING_MAX)
        .incoming_buffer_size(limits::INCOMING_BYTES)
        .incoming_buffer_size_total(limits::INCOMING_BYTES_ALL);
    let opened = std::net::UdpSocket::bind(listen).and_then(|socket| {
        let mut socket = TokioRuntime.wrap_udp_socket(socket)?;
        if let Some(weather) = weather {
            socket = Arc::new(Disturbed::new(socket, weather));
        }
        let (config, runtime) = (endpoint_config(key), Arc::new(TokioRuntime));
        Endpoint::new_with_abstract_socket(config, Some(server), socket, runtime)
    });
    opened.map_err(|source| MeshError::Listen { address: listen, source })
}

/// Limits that hold for strangers, in both directions.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(limits::UNI_STREAMS))
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::BIDI_STREAMS))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW))
        .receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW))
        .send_window(limits::SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(limits::IDLE.try_into().ok())
        .keep_alive_interval(Some(limits::KEEP_ALIVE))
        .enable_segmentation_offload(false)
        .allow_spin(false);
    transport
}

/// More room, for a peer that proved a registered key and said HELLO.
pub(super) fn widen(connection: &Connection) {
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(limits::UNI_STREAMS_MEMBER));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(limits::BIDI_STREAMS_MEMBER));
    connection.set_receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW_MEMBER));
}

/// Connection ids and reset tokens come from the mesh key, so that a restarted agent can tell its
/// peers at once that the connections of the process before are gone.
fn endpoint_config(key: &MeshKey) -> EndpointConfig {
    let secret = *key.reset_secret();
    let mut first = [0; 8];
    first.copy_from_slice(&secret[..8]);
    let mut config = EndpointConfig::new(Arc::new(ResetKey(secret)));
    config.cid_generator(move || {
        let seed = u64::from_be_bytes(first);
        Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(seed))
    });
    config
}

/// Makes stateless reset tokens: keyed BLAKE3 of the connection id.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(data).finalize_xof().fill(signature_out);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let hash = blake3::keyed_hash(&self.0, data);
        // Comparing with a `blake3::Hash` takes the same time whatever differs.
        let given = blake3::Hash::from_slice(signature).map_err(|_| CryptoError)?;
        if hash == given { Ok(()) } else { Err(CryptoError) }
    }
}

/// Lets peers in until the endpoint is closed.
pub(super) async fn accept(shared: Arc<Shared>) {
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES_MAX));
    let mut door = Door::default();
    while let Some(incoming) = shared.endpoint.accept().await {
        if !incoming.remote_address_validated() {
            // Refused only for a connection that is validated, which this one is not.
            let _ = incoming.retry();
            continue;
        }
        let ip = incoming.remote_address().ip().to_canonical();
        let permit = Arc::clone(&handshakes).try_acquire_owned();
        let (true, Ok(permit)) = (door.opens(ip, Instant::now()), permit) else {
            incoming.ignore();
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let connection = shake_hands(incoming).await;
            drop(permit);
            if let Some(connection) = connection {
                link::run(&shared, connection).await;
                shared.redial.notify_one();
            }
        });
    }
}

async fn shake_hands(incoming: Incoming) -> Option<Connection> {
    let from = incoming.remote_address();
    let handshake = async { incoming.accept()?.await };
    match timeout(limits::HANDSHAKE, handshake).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            debug!(%from, %error, "handshake refused");
            None
        }
        Err(_) => {
            debug!(%from, "handshake too slow");
            None
        }
    }
}

/// Counts handshakes per IP (v4) or /64 (v6).
#[derive(Default)]
struct Door {
    budgets: BTreeMap<IpAddr, Budget>,
}

impl Door {
    fn opens(&mut self, ip: IpAddr, now: Instant) -> bool {
        if ip.is_loopback() {
            return true;
        }
        let origin = match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        };
        if !self.budgets.contains_key(&origin) && self.budgets.len() >= limits::IPS_MAX {
            let oldest = self.budgets.iter().min_by_key(|(_, budget)| budget.last());
            if let Some((oldest, _)) = oldest.map(|(ip, budget)| (*ip, budget.last())) {
                self.budgets.remove(&oldest);
            }
        }
        let fresh = || Budget::new(limits::HANDSHAKES_PER_IP, limits::HANDSHAKE_PER_IP_EVERY, now);
        self.budgets.entry(origin).or_insert_with(fresh).take(now).is_ok()
    }
}

/// Dials whoever is missing, and follows the registry, until the mesh stops.
pub(super) async fn keep_connected(shared: Arc<Shared>, mut members: Gate) {
    let mut stop = shared.stop.subscribe();
    let tokens = Arc::new(TokenMemoryCache::default());
    loop {
        let due = next_dials(&shared, &mut members);
        for (peer, place) in due.dials {
            let (shared, tokens) = (Arc::clone(&shared), Arc::clone(&tokens));
            tokio::spawn(async move {
                dial(&shared, peer, place, tokens).await;
                shared.peers().dialled(peer, Instant::now());
                shared.redial.notify_one();
            });
        }
        let wake = due.next.unwrap_or_else(|| Instant::now() + limits::BACKOFF_MAX);
        tokio::select! {
            () = sleep_until(wake) => {}
            () = shared.redial.notified() => {}
            () = changed(&mut members) => {}
            _ = stop.wait_for(|stops| *stops) => return,
        }
    }
}

fn next_dials(shared: &Shared, members: &mut Gate) -> Due {
    let now = Instant::now();
    let newest = Arc::clone(&members.borrow_and_update());
    let mut peers = shared.peers();
    for connection in peers.follow(&newest, now) {
        super::error::Close::Unregistered.end(&connection);
    }
    peers.due(&newest, now)
}

/// Waits for a new registry; for ever once nobody publishes one.
async fn changed(members: &mut watch::Receiver<Arc<super::members::Members>>) {
    if members.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One dial, and the life of its link.
async fn dial(shared: &Arc<Shared>, peer: PeerId, place: Place, tokens: Arc<TokenMemoryCache>) {
    let connection = match timeout(limits::HANDSHAKE, connect(shared, peer, &place, tokens)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            debug!(%peer, ?place, "dial failed: {error:#}");
            return;
        }
        Err(_) => {
            debug!(%peer, ?place, "dial too slow");
            return;
        }
    };
    link::run(shared, connection).await;
}

async fn connect(
    shared: &Shared,
    peer: PeerId,
    place: &Place,
    tokens: Arc<TokenMemoryCache>,
) -> anyhow::Result<Connection> {
    let address = match place {
        Place::Address(address) => *address,
        Place::Host(host) => resolve(host, shared.endpoint.local_addr()?).await?,
    };
    let tls = QuicClientConfig::try_from(shared.key.client_config(shared.members.clone(), peer)?)?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport())).token_store(tokens);
    // Never sent; it keeps the tokens of different peers apart.
    let name = format!("{}.mesh", hex::encode(&peer.0[..16]));
    Ok(shared.endpoint.connect_with(config, address, &name)?.await?)
}

/// The first address of `host` that our socket can reach.
async fn resolve(host: &str, ours: SocketAddr) -> anyhow::Result<SocketAddr> {
    let found = tokio::net::lookup_host(host).await?.collect::<Vec<_>>();
    let same = found.iter().find(|it| it.is_ipv4() == ours.is_ipv4());
    same.or(found.first()).copied().ok_or_else(|| anyhow::anyhow!("{host} has no address"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_ip_gets_a_few_handshakes_and_then_one_every_so_often() {
        let (mut door, now) = (Door::default(), Instant::now());
        let open = |door: &mut Door, ip: &str, now| {
            (0..100).filter(|_| door.opens(ip.parse().unwrap(), now)).count()
        };
        assert_eq!(open(&mut door, "192.0.2.1", now), 8);
        assert_eq!(open(&mut door, "192.0.2.1", now + Duration::from_secs(60)), 8);
        assert_eq!(open(&mut door, "192.0.2.2", now), 8);
        assert_eq!(open(&mut door, "2001:db8::1", now), 8);
        assert_eq!(open(&mut door, "2001:db8::2", now), 0, "one /64 is one origin");
        assert_eq!(open(&mut door, "127.0.0.1", now), 100);
    }

    #[test]
    fn the_memory_of_ips_is_bounded() {
        let (mut door, now) = (Door::default(), Instant::now());
        for ip in 0..2 * limits::IPS_MAX as u32 {
            door.opens(IpAddr::V4((0x0a00_0000 + ip).into()), now);
        }
        assert_eq!(door.budgets.len(), limits::IPS_MAX);
    }

    #[test]
    fn reset_tokens_are_told_from_others() {
        let key = ResetKey([3; 32]);
        let mut token = [0; 32];
        key.sign(b"connection", &mut token);
        assert!(key.verify(b"connection", &token).is_ok());
        assert!(key.verify(b"another", &token).is_err());
        assert!(key.verify(b"connection", &token[..16]).is_err());
    }
}
