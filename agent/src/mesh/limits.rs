//! Every limit of the mesh, with its arithmetic and what happens when it is reached.

use std::time::Duration;

/// A full mesh: 15 neighbours and room for one that is being replaced. One more is turned away.
pub(super) const PEERS_MAX: usize = 16;

/// Streams a stranger may have open; raised to [`UNI_STREAMS_MEMBER`] once it said HELLO.
pub(super) const UNI_STREAMS: u32 = 16;
/// Requests a stranger may have open; raised to [`BIDI_STREAMS_MEMBER`] once it said HELLO.
pub(super) const BIDI_STREAMS: u32 = 4;
/// One message per stream, so this many may be on their way before the writer waits.
pub(super) const UNI_STREAMS_MEMBER: u32 = 64;
/// Requests of one peer that are served at a time.
pub(super) const BIDI_STREAMS_MEMBER: u32 = 8;
/// Two of the largest proof blobs (32 KiB); at 100 ms round trip 640 KiB/s per stream.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
/// All of a stranger's streams: 4 full windows.
pub(super) const CONNECTION_WINDOW: u32 = 256 * 1024;
/// All of a member's streams: 16 peers hold at most 16 MiB of unread bytes.
pub(super) const CONNECTION_WINDOW_MEMBER: u32 = 1024 * 1024;
/// Unacknowledged bytes towards one peer.
pub(super) const SEND_WINDOW: u64 = 1024 * 1024;

/// A peer silent for this long is gone.
pub(super) const IDLE: Duration = Duration::from_secs(6);
/// Four of these fit into [`IDLE`]: three may be lost.
pub(super) const KEEP_ALIVE: Duration = Duration::from_millis(1_500);
/// From the first packet to finished TLS.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(3);
/// From finished TLS to the peer's HELLO.
pub(super) const HELLO: Duration = Duration::from_secs(3);
/// One message, from its stream's opening to its last byte, in either direction.
pub(super) const MESSAGE: Duration = Duration::from_secs(5);
/// One control frame, from its length to its last byte.
pub(super) const CONTROL_FRAME: Duration = Duration::from_secs(10);
/// A request, and the first byte of its answer.
pub(super) const REQUEST: Duration = Duration::from_secs(5);
/// Slowest transfer that is waited for, in bytes per second.
pub(super) const TRANSFER_BYTES_PER_S: usize = 32 * 1024;

/// Handshakes at a time, 47 kB each; more are ignored, and their clients try again.
pub(super) const HANDSHAKES_MAX: usize = 64;
/// Handshakes that the endpoint holds before our loop sees them; more are refused.
pub(super) const INCOMING_MAX: usize = 256;
/// Early bytes kept for one such handshake.
pub(super) const INCOMING_BYTES: u64 = 16 * 1024;
/// Early bytes kept for all of them.
pub(super) const INCOMING_BYTES_ALL: u64 = 1024 * 1024;
/// A known address proves itself with a token of at most this age.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
/// Handshakes of one IP at once (loopback is exempt) ...
pub(super) const HANDSHAKES_PER_IP: u32 = 8;
/// ... and this long until it may make one more: 8 a minute.
pub(super) const HANDSHAKE_PER_IP_EVERY: Duration = Duration::from_millis(7_500);
/// IPs remembered for that, 64 B each; a new one beyond them forgets the longest silent.
pub(super) const IPS_MAX: usize = 1_024;

/// First pause before a peer is dialled again ...
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// ... which doubles up to this.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A connection that lasted this long makes its peer's pauses short again.
pub(super) const GOOD_SERVICE: Duration = Duration::from_secs(60);
/// Two peers that dial each other within this time (a handshake and its HELLO, less than 6 s) keep
/// the connection of the lower key; later, the newer one wins, since nobody dials while connected.
pub(super) const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// Frames waiting for one peer, at most 202 B each: 200 KiB. A peer that lets more pile up is
/// disconnected, and gets what it missed from the store when it is back.
pub(super) const OUTBOX_MAX: usize = 1_024;
/// Datagrams that a devnet's delay holds back, at most 1,500 B each: 6 MiB. More are lost.
pub(super) const LATE_MAX: usize = 4_096;
/// Accepted messages waiting for the agent; a full queue slows the peers down.
pub(super) const EVENTS_MAX: usize = 1_024;
/// Messages kept of unsettled slots, about 250 B each: 1 MiB. A block of 16 txs has 128 proofs,
/// each with a claim, a `Made` and 2 to 16 `Held`. The prover with the most loses its oldest.
pub(super) const STORED_MAX: usize = 4_096;
/// Ids that are known to have been accepted, 64 B each with their order: 4 MiB. The oldest is
/// forgotten; should it come again, it is delivered again, which changes nothing.
pub(super) const SEEN_MAX: usize = 65_536;

/// Messages a peer may send at once: all of its store, twice ...
pub(super) const MESSAGES_BURST: u32 = 2 * STORED_MAX as u32;
/// ... and then one each of these: 250 a second, 70 us of signature check each, 2 % of a core.
pub(super) const MESSAGE_EVERY: Duration = Duration::from_millis(4);
/// Control frames a peer may send at once: one per peer that comes or goes ...
pub(super) const CONTROL_BURST: u32 = 64;
/// ... and then one each of these.
pub(super) const CONTROL_EVERY: Duration = Duration::from_secs(1);
/// Requests a peer may make at once: two blocks with 128 proofs ...
pub(super) const REQUESTS_BURST: u32 = 256;
/// ... and then one each of these.
pub(super) const REQUEST_EVERY: Duration = Duration::from_millis(50);

/// Bad frames of a peer that are borne; the next one cuts it off. An honest peer forwards only
/// what it checked, so it makes none; a few are allowed for views of L1 that differ ...
pub(super) const STRIKES_BURST: u32 = 7;
/// ... and one is forgiven each of these, so that a year of rare ones does not add up.
pub(super) const STRIKE_EVERY: Duration = Duration::from_secs(600);
/// How long a peer that was cut off is neither dialled nor let in.
pub(super) const BAN: Duration = Duration::from_secs(600);

/// Providers of one blob that may waste our time, one after the other; to say that it is not there
/// wastes none.
pub(super) const PROVIDERS_MAX: usize = 4;
/// How long a shutdown waits for peers to hear of it.
pub(super) const SHUTDOWN: Duration = Duration::from_secs(1);

const _: () = assert!(KEEP_ALIVE.as_millis() * 4 <= IDLE.as_millis());
const _: () = assert!(OUTBOX_MAX <= STORED_MAX, "a peer that was cut off gets all it missed");
const _: () = assert!(STORED_MAX < SEEN_MAX, "what is stored is not taken for new");
