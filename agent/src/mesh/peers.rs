//! The table of peers: who is connected, who is to be dialled when, and who is kept out.
//!
//! Nothing here waits or sends. The table decides; the tasks of `endpoint.rs` and `link.rs` do.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use quinn::{Connection, Side};
use rand::Rng;
use tokio::{sync::mpsc, time::Instant};
use wire::frame::{CONTACTS_MAX, Contact};

use super::{
    PeerInfo,
    budget::Budget,
    error::Close,
    limits,
    members::{Bootstrap, Members, PeerId},
};

/// What waits to be written to a peer.
pub(super) enum Outgoing {
    /// A signed message.
    Message(Bytes),
    /// Where other peers are.
    Contacts(Vec<Contact>),
}

/// A connection on which both sides said HELLO.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) outbox: mpsc::Sender<Outgoing>,
    /// Where the peer says it accepts connections.
    pub(super) address: SocketAddr,
    /// Its newest L1 block when it connected.
    pub(super) l1_head: u64,
    pub(super) since: Instant,
}

/// Where a peer may be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// A host name or IP with port, from the configuration.
    Host(String),
    /// From its own HELLO, or from another peer's.
    Address(SocketAddr),
}

/// What is known of one peer.
struct Peer {
    hosts: Vec<String>,
    /// From its own HELLO.
    address: Option<SocketAddr>,
    /// From another peer; used only while its own word is missing.
    hint: Option<SocketAddr>,
    link: Option<Link>,
    is_dialling: bool,
    failures: u32,
    due: Instant,
    banned_until: Option<Instant>,
    strikes: Budget,
    l1_head: Option<u64>,
    last_ms: u64,
    received: u64,
    refused: u64,
}

impl Peer {
    fn new(now: Instant) -> Self {
        Self {
            hosts: Vec::new(),
            address: None,
            hint: None,
            link: None,
            is_dialling: false,
            failures: 0,
            due: now,
            banned_until: None,
            strikes: Budget::new(limits::STRIKES_BURST, limits::STRIKE_EVERY, now),
            l1_head: None,
            last_ms: 0,
            received: 0,
            refused: 0,
        }
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }

    /// The places to try, in turn.
    fn place(&self) -> Option<Place> {
        let own = self.address.or(self.hint).map(Place::Address);
        let hosts = self.hosts.iter().cloned().map(Place::Host);
        let places: Vec<_> = own.into_iter().chain(hosts).collect();
        let turn = (self.failures as usize).checked_rem(places.len())?;
        places.into_iter().nth(turn)
    }

    /// Schedules the next dial.
    fn rest(&mut self, now: Instant) {
        self.due = now + pause(self.failures);
        self.failures = self.failures.saturating_add(1);
    }
}

/// All peers: those of the registry and those of the configuration.
pub(super) struct Table {
    me: PeerId,
    peers: BTreeMap<PeerId, Peer>,
}

impl Table {
    /// A table that knows where to begin.
    pub(super) fn new(me: PeerId, bootstrap: Vec<Bootstrap>, now: Instant) -> Self {
        let mut table = Self { me, peers: BTreeMap::new() };
        for Bootstrap { peer, host } in bootstrap.into_iter().filter(|it| it.peer != me) {
            table.peers.entry(peer).or_insert_with(|| Peer::new(now)).hosts.push(host);
        }
        table
    }

    /// Follows the registry: new peers are dialled at once, the links of those that left are
    /// returned to be closed.
    pub(super) fn follow(&mut self, members: &Members, now: Instant) -> Vec<Connection> {
        for peer in members.peers().filter(|peer| *peer != self.me) {
            self.peers.entry(peer).or_insert_with(|| Peer::new(now));
        }
        self.peers.retain(|peer, entry| {
            members.role(*peer).is_some() || !entry.hosts.is_empty() || entry.link.is_some()
        });
        let left = self.peers.iter().filter(|(peer, _)| members.role(**peer).is_none());
        left.filter_map(|(_, entry)| Some(entry.link.as_ref()?.connection.clone())).collect()
    }

    /// Takes every peer that is to be dialled now, and says when the next one is.
    pub(super) fn due(&mut self, members: &Members, now: Instant) -> Due {
        let mut due = Due { dials: Vec::new(), next: None };
        let room = limits::PEERS_MAX.saturating_sub(self.busy());
        for (peer, entry) in &mut self.peers {
            if entry.link.is_some() || entry.is_dialling || members.role(*peer).is_none() {
                continue;
            }
            let Some(place) = entry.place() else { continue };
            let at = entry.due.max(entry.banned_until.unwrap_or(entry.due));
            if at > now {
                due.next = Some(due.next.map_or(at, |next| at.min(next)));
            } else if due.dials.len() < room {
                entry.is_dialling = true;
                due.dials.push((*peer, place));
            }
        }
        due
    }

    /// A dial ended, with or without a link in between.
    pub(super) fn dialled(&mut self, peer: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.is_dialling = false;
            if entry.due <= now {
                entry.rest(now);
            }
        }
    }

    /// Makes `link` the link of the registered `peer`, unless there is a better one or the peer is
    /// kept out.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub(super) fn join(&mut self, peer: PeerId, link: Link) -> Result<Joined, Close> {
        let (me, now, linked) = (self.me, link.since, self.linked());
        if peer == me {
            // Another agent runs with our key; each refuses the other.
            return Err(Close::Duplicate);
        }
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(now));
        if entry.is_banned(now) {
            return Err(Close::Banned);
        }
        let joined = match &entry.link {
            None if linked >= limits::PEERS_MAX => return Err(Close::Full),
            None => Joined::New,
            Some(old) if is_better(old, &link, (me, peer)) => return Err(Close::Duplicate),
            Some(old) => Joined::Replaces(old.connection.clone()),
        };
        entry.address = Some(link.address);
        entry.l1_head = Some(link.l1_head);
        entry.last_ms = unix_ms();
        entry.link = Some(link);
        Ok(joined)
    }

    /// A connection ended; `true` if it was the link of `peer`, which is now down.
    pub(super) fn leave(&mut self, peer: PeerId, connection: &Connection, now: Instant) -> bool {
        let Some(entry) = self.peers.get_mut(&peer) else { return false };
        let is_link = |link: &mut Link| link.connection.stable_id() == connection.stable_id();
        let Some(link) = entry.link.take_if(is_link) else { return false };
        if now.saturating_duration_since(link.since) >= limits::GOOD_SERVICE {
            entry.failures = 0;
        }
        entry.rest(now);
        true
    }

    /// A frame arrived.
    pub(super) fn heard(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.last_ms = unix_ms();
            entry.received += 1;
        }
    }

    /// A frame was refused; `true` if it was one too many, and the peer is now cut off.
    pub(super) fn strike(&mut self, peer: PeerId, now: Instant) -> bool {
        let Some(entry) = self.peers.get_mut(&peer) else { return false };
        entry.refused += 1;
        if entry.strikes.take(now).is_ok() {
            return false;
        }
        entry.banned_until = Some(now + limits::BAN);
        true
    }

    /// Cuts a peer off at once; returns its connection to be closed.
    pub(super) fn cut_off(&mut self, peer: PeerId, now: Instant) -> Option<Connection> {
        let entry = self.peers.get_mut(&peer)?;
        entry.refused += 1;
        entry.banned_until = Some(now + limits::BAN);
        entry.link.as_ref().map(|link| link.connection.clone())
    }

    /// Takes word of where peers are; whoever spoke for itself is not overruled.
    pub(super) fn hear_of(&mut self, contacts: &[Contact], now: Instant) {
        for contact in contacts {
            let Some(entry) = self.peers.get_mut(&PeerId(contact.peer)) else { continue };
            if entry.address.is_none() && entry.hint != Some(contact.address) {
                entry.hint = Some(contact.address);
                entry.due = entry.due.min(now + pause(entry.failures));
            }
        }
    }

    /// Where the linked peers are, without `except`.
    pub(super) fn contacts(&self, except: PeerId) -> Vec<Contact> {
        self.links()
            .filter(|(peer, _)| *peer != except)
            .map(|(peer, link)| Contact { peer: peer.0, address: link.address })
            .take(CONTACTS_MAX)
            .collect()
    }

    /// All links.
    pub(super) fn links(&self) -> impl Iterator<Item = (PeerId, &Link)> {
        self.peers.iter().filter_map(|(peer, entry)| Some((*peer, entry.link.as_ref()?)))
    }

    /// The connection to `peer`.
    pub(super) fn connection(&self, peer: PeerId) -> Option<Connection> {
        Some(self.peers.get(&peer)?.link.as_ref()?.connection.clone())
    }

    /// What the screens show.
    pub(super) fn report(&self, members: &Members) -> Vec<PeerInfo> {
        let info = |(peer, entry): (&PeerId, &Peer)| PeerInfo {
            peer: *peer,
            role: members.role(*peer),
            address: entry.address.or(entry.hint),
            rtt: entry.link.as_ref().map(|link| link.connection.rtt()),
            l1_head: entry.l1_head,
            last_ms: entry.last_ms,
            received: entry.received,
            refused: entry.refused,
        };
        self.peers.iter().map(info).collect()
    }

    fn linked(&self) -> usize {
        self.links().count()
    }

    fn busy(&self) -> usize {
        self.peers.values().filter(|entry| entry.link.is_some() || entry.is_dialling).count()
    }
}

/// What to dial.
pub(super) struct Due {
    pub(super) dials: Vec<(PeerId, Place)>,
    pub(super) next: Option<Instant>,
}

/// How a link came to be.
pub(super) enum Joined {
    /// The peer was down before.
    New,
    /// This older connection is to be closed.
    Replaces(Connection),
}

/// Whether the link that stands is kept against a new one to the same peer. Two that dialled each
/// other at the same time keep the one that the lower key dialled, so both keep the same.
fn is_better(old: &Link, new: &Link, (me, peer): (PeerId, PeerId)) -> bool {
    let is_alive = old.connection.close_reason().is_none();
    let is_simultaneous = new.since.saturating_duration_since(old.since) < limits::SIMULTANEOUS;
    let by_lower = |link: &Link| (link.connection.side() == Side::Client) == (me < peer);
    is_alive && is_simultaneous && by_lower(old) && !by_lower(new)
}

/// The pause after so many failures: doubling, within limits, a quarter more or less so that peers
/// that lost each other do not meet in step.
fn pause(failures: u32) -> Duration {
    let doubled = limits::BACKOFF_MIN.saturating_mul(1 << failures.min(16));
    doubled.min(limits::BACKOFF_MAX).mul_f64(rand::thread_rng().gen_range(0.75..1.25))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;

    use protocol::{Address, ProverId};

    use super::*;
    use crate::mesh::members::Prover;

    const ME: PeerId = PeerId([5; 32]);

    fn members(keys: &[u8]) -> Members {
        let prover = |key: &u8| {
            let it = Prover { peer: PeerId([*key; 32]), operator: Address([*key; 20]), lanes: 1 };
            (ProverId(u32::from(*key)), it)
        };
        Members::new(0, 0, keys.iter().map(prover).collect(), &Map::new())
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn hint(table: &mut Table, key: u8, port: u16, now: Instant) {
        table.hear_of(&[Contact { peer: [key; 32], address: address(port) }], now);
    }

    #[test]
    fn pauses_double_from_half_a_second_to_a_minute() {
        for (failures, seconds) in [(0, 0.5), (1, 1.0), (3, 4.0), (7, 60.0), (u32::MAX, 60.0)] {
            for _ in 0..100 {
                let ratio = pause(failures).as_secs_f64() / seconds;
                assert!((0.75..1.25).contains(&ratio), "{failures} failures: {ratio}");
            }
        }
    }

    #[test]
    fn only_registered_peers_with_a_place_are_dialled_and_each_once() {
        let now = Instant::now();
        let bootstrap =
            [6, 7].map(|key| Bootstrap { peer: PeerId([key; 32]), host: "localhost:1".into() });
        let mut table = Table::new(ME, bootstrap.to_vec(), now);
        let members = members(&[5, 6, 8]);
        assert!(table.follow(&members, now).is_empty());

        let due = table.due(&members, now);
        assert_eq!(due.dials, [(PeerId([6; 32]), Place::Host("localhost:1".into()))]);
        assert!(table.due(&members, now).dials.is_empty(), "a dial is under way");

        hint(&mut table, 8, 2, now);
        hint(&mut table, 9, 3, now);
        let due = table.due(&members, now + Duration::from_secs(1));
        assert_eq!(due.dials, [(PeerId([8; 32]), Place::Address(address(2)))]);
    }

    #[test]
    fn a_failed_dial_is_repeated_after_its_pause_at_the_next_place() {
        let now = Instant::now();
        let host = Bootstrap { peer: PeerId([6; 32]), host: "localhost:1".into() };
        let mut table = Table::new(ME, vec![host], now);
        let members = members(&[6]);
        hint(&mut table, 6, 2, now);
        assert_eq!(table.due(&members, now).dials[0].1, Place::Address(address(2)));
        table.dialled(PeerId([6; 32]), now);
        let due = table.due(&members, now);
        assert!(due.dials.is_empty());
        let next = due.next.unwrap();
        assert!(next > now && next < now + Duration::from_secs(1));
        assert_eq!(table.due(&members, next).dials[0].1, Place::Host("localhost:1".into()));
    }

    #[test]
    fn a_peer_that_was_cut_off_is_not_dialled_for_ten_minutes() {
        let now = Instant::now();
        let mut table = Table::new(ME, Vec::new(), now);
        let members = members(&[6]);
        table.follow(&members, now);
        hint(&mut table, 6, 2, now);
        assert!(table.cut_off(PeerId([6; 32]), now).is_none());
        let due = table.due(&members, now + Duration::from_secs(599));
        assert!(due.dials.is_empty());
        assert_eq!(due.next, Some(now + limits::BAN));
        assert_eq!(table.due(&members, now + limits::BAN).dials.len(), 1);
    }

    #[test]
    fn strikes_add_up_to_a_ban() {
        let now = Instant::now();
        let mut table = Table::new(ME, Vec::new(), now);
        table.follow(&members(&[6]), now);
        let mut strike_at = |seconds| {
            let at = now + Duration::from_secs(seconds);
            (0..100).take_while(|_| !table.strike(PeerId([6; 32]), at)).count()
        };
        assert_eq!(strike_at(0), 7);
        assert_eq!(strike_at(599), 0, "none is forgiven yet");
        assert_eq!(strike_at(1_200), 2);
        assert_eq!(table.report(&members(&[6]))[0].refused, 7 + 1 + 1 + 2 + 1);
    }
}
