//! One proof to make, with everything heard about it.

use std::{collections::BTreeSet, sync::Arc};

use super::few::Few;
use crate::{
    domain::{BlobId, LaneId, Millis, ProverId, StatementId},
    io::Message,
    params::Params,
};

/// Fetches of one proof in all: somebody else may say that it holds a proof that its maker could
/// not give any more.
pub(super) const TRIES_IN_ALL: u8 = 9;

/// A live claim on a task, as everybody sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The lane's claim number.
    pub seq: u64,
    /// When we heard of it.
    pub since: Millis,
    /// When it ends at the latest.
    pub cap_at: Millis,
}

/// What we do about an announced proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetching {
    /// To be fetched from this instant on, if we want it.
    Due(Millis),
    /// Asked for.
    Asked,
    /// Fetched and refused, or missing too often: it counts as not made.
    Refused,
}

/// A proof that its maker announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// What it says.
    pub statement: StatementId,
    /// Its blob.
    pub blob: BlobId,
    /// Number of the claim it fulfils.
    pub seq: u64,
    /// CPU milliseconds, as announced.
    pub cpu_ms: u32,
    /// Peak memory in MB, as announced.
    pub peak_mb: u32,
    /// Failed fetches.
    pub tries: u8,
    /// What we do about it.
    pub fetching: Fetching,
}

/// One proof to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// The first ranks that can be counted on, best first; others follow in the deal's order.
    pub order: Arc<[LaneId]>,
    /// How many ranks follow the task.
    pub reach: usize,
    /// Makers of the children of a crown task, as far as known (R4.3).
    pub makers: [Option<LaneId>; 2],
    /// Claims that ended without a proof.
    pub attempts: u32,
    /// Provers whose claim ran into its cap or that failed (R5.3).
    pub failures: BTreeSet<ProverId>,
    /// Live claims.
    pub holds: Few<LaneId, Hold>,
    /// Announced proofs by maker.
    pub offers: Few<LaneId, Offer>,
    /// Who said that it holds a checked copy.
    pub holders: Few<StatementId, Few<ProverId, ()>>,
    /// Whether an accepted proof is in the ledger.
    pub accepted: bool,
    /// Since when it can be claimed.
    pub open_since: Option<Millis>,
    /// Our own lanes leave it alone until then, after a failure.
    pub rest_until: Millis,
    /// Whether the makers of both children were told of each other by us.
    pub introduced: bool,
    /// Whether a proof of it existed when it was last refreshed.
    pub(super) was_known: bool,
    /// When anything about it last changed.
    pub changed: Millis,
}

impl Task {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            order: Arc::default(),
            reach: 0,
            makers: [None, None],
            attempts: 0,
            failures: BTreeSet::new(),
            holds: Few::new(),
            offers: Few::new(),
            holders: Few::new(),
            accepted: false,
            open_since: None,
            rest_until: Millis(0),
            introduced: false,
            was_known: false,
            changed: now,
        }
    }
    /// Whether a proof of it exists, as far as we believe.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.accepted || self.offer().is_some()
    }
    /// The first announcement that was not refused.
    #[must_use]
    pub fn offer(&self) -> Option<(LaneId, Offer)> {
        let mut valid = self.offers.iter().filter(|(_, it)| it.fetching != Fetching::Refused);
        valid.next().map(|(&lane, &it)| (lane, it))
    }
    /// The announcement of this blob.
    #[must_use]
    pub fn offer_of(&self, blob: BlobId) -> Option<(LaneId, Offer)> {
        self.offers.iter().find(|(_, it)| it.blob == blob).map(|(&lane, &it)| (lane, it))
    }
    /// The lane whose proof we know or whose claim is live.
    #[must_use]
    pub fn lane(&self) -> Option<LaneId> {
        self.offer().map(|(lane, _)| lane).or_else(|| self.holds.keys().next().copied())
    }
    /// Whether so many provers failed that the task is taken for poison in this slot (R5.3).
    #[must_use]
    pub fn is_quarantined(&self, params: &Params) -> bool {
        params.quarantine_provers <= self.failures.len()
    }
    /// Whether the larger class failed as often as the smaller one.
    pub(super) fn is_given_up(&self, params: &Params) -> bool {
        2 * params.quarantine_provers <= self.failures.len()
    }
    /// The provers that said they hold a checked copy of a statement.
    #[must_use]
    pub fn holds_copy(&self, statement: StatementId, prover: ProverId) -> bool {
        self.holders.get(&statement).is_some_and(|it| it.contains_key(&prover))
    }

    /// An announcement replaces an older one of the same lane; false if it was not newer.
    pub(super) fn on_made(&mut self, now: Millis, made: &Message) -> bool {
        let Message::Made { statement, blob, lane, seq, cpu_ms, peak_mb, .. } = *made else {
            return false;
        };
        let before = self.offers.get(&lane).copied();
        let again = |it: Offer| {
            it.seq == seq && it.fetching == Fetching::Refused && it.tries < TRIES_IN_ALL
        };
        if before.is_some_and(|old| seq <= old.seq && !again(old)) {
            return false;
        }
        let tries = before.filter(|it| again(*it)).map_or(0, |it| it.tries);
        let fetching = Fetching::Due(now);
        let offer = Offer { statement, blob, seq, cpu_ms, peak_mb, tries, fetching };
        self.offers.insert(lane, offer);
        self.changed = now;
        true
    }
}
