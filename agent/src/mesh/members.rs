//! Who may connect and whose word counts: the registry as this agent knows it from L1.
//!
//! The agent publishes a new [`Members`] whenever L1 changes it; the TLS gate and the signature
//! check read the newest one. At an epoch's edge it holds the lanes of both epochs, so that
//! messages on their way are not refused.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    str::FromStr,
};

use protocol::{Address, LaneId, ProverId, SequencerId};

use super::error::ParseError;

/// A peer: its Ed25519 mesh key, which is its TLS identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerId(pub(crate) [u8; 32]);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerId {
    type Err = ParseError;

    /// 64 hex digits.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key)
            .map_err(|_| ParseError::Key { text: text.to_owned() })?;
        Ok(Self(key))
    }
}

/// What a peer is registered as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// It bonds lanes.
    Prover(ProverId),
    /// It proposes blocks and serves their witnesses.
    Sequencer(SequencerId),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prover(prover) => write!(f, "prover {prover}"),
            Self::Sequencer(sequencer) => write!(f, "sequencer {sequencer}"),
        }
    }
}

/// One registered prover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Prover {
    /// Its mesh key.
    pub(crate) peer: PeerId,
    /// Signs the messages of its lanes.
    pub(crate) operator: Address,
    /// Number of its lanes, of both classes.
    pub(crate) lanes: u32,
}

/// The registry at one L1 block.
#[derive(Clone, Default, Debug)]
pub(crate) struct Members {
    epoch: u64,
    l1_head: u64,
    roles: BTreeMap<PeerId, Role>,
    provers: BTreeMap<ProverId, Prover>,
}

impl Members {
    /// The members as of L1 block `l1_head` in `epoch`. A mesh key that is registered twice keeps
    /// its first role, provers before sequencers.
    pub(crate) fn new(
        epoch: u64,
        l1_head: u64,
        provers: BTreeMap<ProverId, Prover>,
        sequencers: &BTreeMap<SequencerId, PeerId>,
    ) -> Self {
        let of_provers = provers.iter().map(|(id, it)| (it.peer, Role::Prover(*id)));
        let of_sequencers = sequencers.iter().map(|(id, peer)| (*peer, Role::Sequencer(*id)));
        let mut roles = BTreeMap::new();
        for (peer, role) in of_provers.chain(of_sequencers) {
            if let Entry::Vacant(entry) = roles.entry(peer) {
                entry.insert(role);
            }
        }
        Self { epoch, l1_head, roles, provers }
    }

    /// The current epoch.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of the L1 block this was read at.
    pub(crate) const fn l1_head(&self) -> u64 {
        self.l1_head
    }

    /// What `peer` is registered as; `None` keeps it out.
    pub(crate) fn role(&self, peer: PeerId) -> Option<Role> {
        self.roles.get(&peer).copied()
    }

    /// All peers that may connect.
    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.roles.keys().copied()
    }

    /// The mesh key of a prover.
    pub(crate) fn peer_of(&self, prover: ProverId) -> Option<PeerId> {
        self.provers.get(&prover).map(|it| it.peer)
    }
}

impl wire::Lanes for Members {
    fn operator(&self, lane: LaneId) -> Option<Address> {
        let prover = self.provers.get(&lane.prover())?;
        (lane == LaneId::new(lane.prover(), lane.number())
            && u32::from(lane.number()) < prover.lanes)
            .then_some(prover.operator)
    }
}

/// A peer to begin with, as the configuration writes it: `<mesh key>@host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bootstrap {
    /// Who is expected there.
    pub(crate) peer: PeerId,
    /// Host name or IP, and port.
    pub(crate) host: String,
}

impl FromStr for Bootstrap {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let malformed = || ParseError::Bootstrap { text: text.to_owned() };
        let (key, host) = text.split_once('@').ok_or_else(malformed)?;
        let (name, port) = host.rsplit_once(':').ok_or_else(malformed)?;
        if name.is_empty() || port.parse::<u16>().is_err() {
            return Err(malformed());
        }
        Ok(Self { peer: key.parse()?, host: host.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use wire::Lanes;

    use super::*;

    fn members() -> Members {
        let prover =
            |key, lanes| Prover { peer: PeerId([key; 32]), operator: Address([key; 20]), lanes };
        let provers = BTreeMap::from([(ProverId(0), prover(1, 2)), (ProverId(7), prover(2, 1))]);
        let sequencers =
            BTreeMap::from([(SequencerId(0), PeerId([2; 32])), (SequencerId(1), PeerId([3; 32]))]);
        Members::new(4, 500, provers, &sequencers)
    }

    #[test]
    fn a_lane_speaks_through_its_provers_operator_only_if_it_is_bonded() {
        let operator = |prover, number| members().operator(LaneId::new(ProverId(prover), number));
        assert_eq!(operator(0, 1), Some(Address([1; 20])));
        assert_eq!(operator(0, 2), None);
        assert_eq!(operator(7, 0), Some(Address([2; 20])));
        assert_eq!(operator(1, 0), None);
        // The same low bits, but no lane that `LaneId::new` makes.
        assert_eq!(members().operator(LaneId(1 << 48)), None);
    }

    #[test]
    fn a_key_that_is_registered_twice_keeps_its_first_role() {
        let role = |key| members().role(PeerId([key; 32]));
        assert_eq!(role(1), Some(Role::Prover(ProverId(0))));
        assert_eq!(role(2), Some(Role::Prover(ProverId(7))));
        assert_eq!(role(3), Some(Role::Sequencer(SequencerId(1))));
        assert_eq!(role(4), None);
    }

    #[test]
    fn bootstrap_entries_are_read_or_named() {
        let key = "ab".repeat(32);
        let good: Bootstrap = format!("{key}@node.example:4001").parse().unwrap();
        assert_eq!((good.peer, good.host.as_str()), (PeerId([0xab; 32]), "node.example:4001"));
        let six: Bootstrap = format!("{key}@[::1]:4001").parse().unwrap();
        assert_eq!(six.host, "[::1]:4001");
        for bad in ["", &key, &format!("{key}@"), &format!("{key}@host"), "ab@host:1"] {
            assert!(bad.parse::<Bootstrap>().is_err(), "{bad}");
        }
        for port in ["x", "65536", ""] {
            assert!(format!("{key}@host:{port}").parse::<Bootstrap>().is_err(), "{port}");
        }
    }
}
