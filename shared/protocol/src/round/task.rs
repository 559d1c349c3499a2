//! One proof to make, with everything heard about it, and the layout of a round's tasks.

use std::collections::BTreeMap;

use super::Round;
use crate::{
    domain::{BlobId, LaneId, Millis, Node, StatementId, TaskId},
    io::{Message, PlannedTask},
    params::Params,
    tree::{Cut, Tree},
};

/// Fetches of one proof before it counts as refused.
const FETCH_TRIES_MAX: u8 = 3;

/// A peer's or our own live claim on a task, as everybody sees it.
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
    /// Its id.
    pub id: TaskId,
    /// Its first place in the tree. Equal calls of two txs are one task with two places.
    pub node: Node,
    /// Usual milliseconds from here to the root.
    pub way_ms: u64,
    /// Tasks whose proofs it takes.
    pub children: Vec<usize>,
    /// Tasks that take its proof.
    pub parents: Vec<usize>,
    /// Subtree that holds it; `None` for the crown.
    pub subtree: Option<usize>,
    /// Whether its proof leaves the subtree.
    pub is_top: bool,
    /// Every able lane in its rank; for the crown, given the makers that are known so far.
    pub order: Vec<LaneId>,
    pub(super) makers: [Option<LaneId>; 2],
    /// Claims that ended without a proof.
    pub attempts: u32,
    /// Live claims. Two only in a race, or when one lane is lost and does not know it.
    pub holds: BTreeMap<LaneId, Hold>,
    /// Announced proofs by maker.
    pub offers: BTreeMap<LaneId, Offer>,
    /// Whether an accepted proof is in the ledger.
    pub accepted: bool,
    /// Since when it is ready and unclaimed.
    pub open_since: Option<Millis>,
    /// Our own lanes leave it alone until then, after a failure.
    pub rest_until: Millis,
    /// When anything about it last changed.
    pub changed: Millis,
}

impl Task {
    /// Whether a proof of it exists, as far as we believe.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.accepted || self.offers.values().any(|it| it.fetching != Fetching::Refused)
    }
    /// The lane whose proof we know or whose claim is live.
    #[must_use]
    pub fn lane(&self) -> Option<LaneId> {
        let valid = self.offers.iter().filter(|(_, it)| it.fetching != Fetching::Refused);
        valid.map(|(&lane, _)| lane).next().or_else(|| self.holds.keys().next().copied())
    }
    /// Lanes that have the right before anybody else: the dealt one, or both makers (R4.3).
    pub(super) fn rights(&self) -> usize {
        if self.subtree.is_some() { 1 } else { self.makers.iter().flatten().count().max(1) }
    }
}

pub(super) type Layout = (Vec<Task>, Vec<usize>, BTreeMap<TaskId, usize>);

/// One task per id, with its places; `None` unless `planned` names every node exactly once.
pub(super) fn lay_out(
    now: Millis,
    tree: &Tree,
    cut: &Cut,
    planned: &[PlannedTask],
    params: &Params,
) -> Option<Layout> {
    let ids: BTreeMap<Node, TaskId> = planned.iter().map(|it| (it.node, it.task)).collect();
    if ids.len() != planned.len() || planned.len() != tree.nodes().len() {
        return None;
    }
    let (mut tasks, mut places, mut index) = (Vec::<Task>::new(), Vec::new(), BTreeMap::new());
    for (place, &node) in tree.nodes().iter().enumerate() {
        let id = *ids.get(&node)?;
        let task = *index.entry(id).or_insert(tasks.len());
        if task == tasks.len() {
            let children = tree.children(place).iter().map(|&it| places[it]).collect();
            let (subtree, way_ms) = (cut.subtree_of(place), tree.way_ms(place, params));
            let is_top = subtree.is_some_and(|it| cut.subtrees[it].top == place);
            tasks.push(Task { children, subtree, is_top, ..Task::new(now, id, node, way_ms) });
        }
        if tasks[task].node.kind != node.kind {
            return None;
        }
        places.push(task);
    }
    assert_eq!(places.len(), tree.nodes().len(), "every place has a task");
    for place in 0..places.len() {
        if let Some(parent) = tree.parent(place) {
            tasks[places[place]].parents.push(places[parent]);
        }
    }
    Some((tasks, places, index))
}

impl Task {
    const fn new(now: Millis, id: TaskId, node: Node, way_ms: u64) -> Self {
        Self {
            id,
            node,
            way_ms,
            children: Vec::new(),
            parents: Vec::new(),
            subtree: None,
            is_top: false,
            order: Vec::new(),
            makers: [None, None],
            attempts: 0,
            holds: BTreeMap::new(),
            offers: BTreeMap::new(),
            accepted: false,
            open_since: None,
            rest_until: Millis(0),
            changed: now,
        }
    }
}

impl Round {
    /// An announcement replaces an older one of the same lane; false if it was not newer.
    pub(crate) fn on_made(&mut self, now: Millis, made: Message) -> bool {
        let Message::Made { task, statement, blob, lane, seq, cpu_ms, peak_mb, .. } = made else {
            return false;
        };
        let Some(found) = self.find(task) else { return false };
        let it = &mut self.tasks[found];
        if it.offers.get(&lane).is_some_and(|old| seq <= old.seq) {
            return false;
        }
        let fetching = Fetching::Due(now);
        it.offers.insert(lane, Offer { statement, blob, seq, cpu_ms, peak_mb, tries: 0, fetching });
        it.changed = now;
        true
    }

    /// The announcement of this blob.
    pub(crate) fn offer(&self, task: TaskId, blob: BlobId) -> Option<(LaneId, Offer)> {
        let found = self.find(task)?;
        let offers = self.tasks[found].offers.iter();
        offers.map(|(&lane, &it)| (lane, it)).find(|(_, it)| it.blob == blob)
    }

    /// Returns the makers whose announcement is refused by now; their claims end with it.
    pub(crate) fn fetch_failed(&mut self, now: Millis, blob: BlobId, wait_ms: u64) -> Vec<LaneId> {
        let mut refused = Vec::new();
        let offers = self.tasks.iter_mut().flat_map(|task| &mut task.offers);
        for (&lane, offer) in offers.filter(|(_, it)| it.blob == blob) {
            if offer.fetching != Fetching::Asked {
                continue;
            }
            offer.tries += 1;
            offer.fetching = Fetching::Due(now.after(wait_ms * u64::from(offer.tries)));
            if FETCH_TRIES_MAX <= offer.tries {
                offer.fetching = Fetching::Refused;
                refused.push((lane, offer.seq));
            }
        }
        for &(lane, seq) in &refused {
            if let Some(standing) = self.lanes.get_mut(&lane) {
                standing.refused = standing.refused.saturating_add(1);
            }
            self.let_go(now, lane, seq.saturating_add(1));
        }
        refused.into_iter().map(|(lane, _)| lane).collect()
    }
}
