//! One revealed slot at work: its tasks, who claimed what, who is alive (R4, R5).
//!
//! A round holds what this agent heard about one deal of one block. It decides nothing by itself:
//! the coordinator asks it for ranks, rights and readiness, and tells it what was said.

mod standing;
mod task;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    assign::Deal,
    chain::Reveal,
    domain::{Class, Kind, LaneId, Millis, ProverId, Slot, StatementId, TaskId},
    io::PlannedTask,
    params::Params,
    tree::{Cut, NODES_MAX, Tree},
};

pub use standing::Standing;
use task::lay_out;
pub use task::{Fetching, Hold, Offer, Task};

/// Statements whose holders are remembered: four proofs for each of a block's tasks, more than
/// the ledger keeps. Later ones are not counted as replicas.
const HELD_MAX: usize = 4 * NODES_MAX;

/// One revealed slot at work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// Which slot.
    pub slot: Slot,
    /// What was revealed.
    pub reveal: Reveal,
    /// Who may prove what.
    pub deal: Deal,
    /// The proof tree.
    pub tree: Tree,
    /// Its cut.
    pub cut: Cut,
    /// Its tasks, in tree order of their first place.
    pub tasks: Vec<Task>,
    places: Vec<usize>,
    index: BTreeMap<TaskId, usize>,
    /// Lanes of the epoch.
    pub lanes: BTreeMap<LaneId, Standing>,
    /// Who said that it holds a checked copy.
    pub holders: BTreeMap<StatementId, BTreeSet<ProverId>>,
    /// Statements for which we said so ourselves.
    pub acknowledged: BTreeSet<StatementId>,
    /// When this agent began to work on it.
    pub started: Millis,
    /// Our last beat.
    pub last_beat: Option<u64>,
    /// The reveal left the chain and may come back (R12.2).
    pub suspended: bool,
    /// L1 block at which the root could first be submitted.
    pub root_since: Option<u64>,
    /// Whether we submitted the root.
    pub submitted: bool,
}

/// A slot's reveal with its deal seed and its tasks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    /// Which slot.
    pub slot: Slot,
    /// What was revealed.
    pub reveal: Reveal,
    /// Seed of the deal.
    pub seed: crate::domain::Hash,
    /// Lanes of the epoch.
    pub lanes: BTreeMap<LaneId, Class>,
}

impl Round {
    /// The round of a deal; `None` if the tasks are not exactly the tree's.
    #[must_use]
    pub fn new(
        now: Millis,
        opening: Opening,
        tree: Tree,
        planned: &[PlannedTask],
        params: &Params,
    ) -> Option<Self> {
        let Opening { slot, reveal, seed, lanes } = opening;
        let cut = Cut::new(&tree, params);
        let vms = tree.nodes().iter().filter(|it| it.kind == Kind::Vm).count();
        let deal = Deal::new(seed, lanes, cut.subtrees.len(), vms);
        let (tasks, places, index) = lay_out(now, &tree, &cut, planned, params)?;
        let mut round = Self {
            slot,
            reveal,
            deal,
            tree,
            cut,
            tasks,
            places,
            index,
            lanes: BTreeMap::new(),
            holders: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            started: now,
            last_beat: None,
            suspended: false,
            root_since: None,
            submitted: false,
        };
        round.lanes = round.deal.lanes().keys().map(|&it| (it, Standing::new(now))).collect();
        round.give_ranks();
        Some(round)
    }

    /// Goes on after its reveal came back: nobody could be heard meanwhile.
    pub fn resume(&mut self, now: Millis) {
        self.suspended = false;
        self.submitted = false;
        self.root_since = None;
        self.listen_anew(now);
    }

    /// Counts silence from here.
    pub fn listen_anew(&mut self, now: Millis) {
        self.lanes.values_mut().for_each(|it| it.heard = now);
    }

    /// Fixed orders of subtrees and vm tasks; crown orders follow from makers.
    fn give_ranks(&mut self) {
        let mut vm = 0;
        for place in 0..self.places.len() {
            let task = self.places[place];
            let node = self.tree.nodes()[place];
            let order = match (node.kind, self.cut.subtree_of(place)) {
                (Kind::Vm, _) => {
                    vm += 1;
                    self.deal.ranks(Class::Vm, vm - 1)
                }
                (_, Some(subtree)) => self.deal.ranks(Class::Rollup, subtree),
                (_, None) => self.deal.crown_ranks(node, [None, None]),
            };
            if self.tasks[task].node == node {
                self.tasks[task].order = order;
            }
        }
    }

    /// Position of a task.
    #[must_use]
    pub fn find(&self, task: TaskId) -> Option<usize> {
        self.index.get(&task).copied()
    }
    /// The task that stands at this place of the tree.
    #[must_use]
    pub fn at(&self, place: usize) -> &Task {
        &self.tasks[self.places[place]]
    }
    /// Position of the root's task.
    #[must_use]
    pub fn root(&self) -> usize {
        self.places[self.tree.root()]
    }
    /// Whether every proof it takes exists, as far as we believe.
    #[must_use]
    pub fn is_ready(&self, task: usize) -> bool {
        self.tasks[task].children.iter().all(|&it| self.tasks[it].is_known())
    }

    /// Whether the lane may be counted on in this slot: neither lost in it, now or before, nor
    /// capped, nor the maker of a proof that was refused.
    #[must_use]
    pub fn is_eligible(&self, lane: LaneId) -> bool {
        let fit = |it: &Standing| !it.lost && !it.fell && !it.capped && it.refused == 0;
        self.lanes.get(&lane).is_some_and(fit)
    }
    /// Whether the lane is not lost.
    #[must_use]
    pub fn is_alive(&self, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_some_and(|it| !it.lost)
    }
    /// Whether the lane holds a claim whose proof does not exist yet.
    #[must_use]
    pub fn is_busy(&self, lane: LaneId) -> bool {
        self.tasks.iter().any(|it| !it.is_known() && it.holds.contains_key(&lane))
    }

    /// The lane's place in the order of those that can be counted on; lost and capped ones follow.
    /// They are not shut out: if everybody able were lost, or believed the others to be alive, the
    /// task would wait for ever.
    #[must_use]
    pub fn rank(&self, task: usize, lane: LaneId) -> Option<usize> {
        let order = self.tasks[task].order.iter().copied();
        let (first, last): (Vec<LaneId>, Vec<LaneId>) = order.partition(|&it| self.is_eligible(it));
        first.into_iter().chain(last).position(|it| it == lane)
    }

    /// When an idle lane may claim an open task: rank r waits r × `rank_wait` for better ones,
    /// one beat more while a lane that has the right is free to take it (R4.3, R4.4), and as long
    /// as for inputs if it ran into a cap in this slot.
    #[must_use]
    pub fn opens_at(&self, task: usize, lane: LaneId, params: &Params) -> Option<(Millis, usize)> {
        let it = &self.tasks[task];
        let since = it.open_since?;
        let rank = self.rank(task, lane)?;
        let able = it.order.iter().filter(|&&other| self.is_eligible(other));
        let mut rights = able.take(it.rights());
        let held_back = it.rights() <= rank && rights.any(|&other| !self.is_busy(other));
        let capped = self.lanes.get(&lane).is_some_and(|it| it.capped);
        let wait = rank as u64 * params.rank_wait_ms
            + if held_back { params.beat_ms } else { 0 }
            + if capped { params.inputs_wait_ms } else { 0 };
        Some((since.after(wait).max(it.rest_until), rank))
    }

    /// Of two claims on one task, the better rank of the undisturbed deal wins everywhere.
    #[must_use]
    pub fn outranks(&self, task: usize, lane: LaneId, other: LaneId) -> bool {
        let place = |lane| self.tasks[task].order.iter().position(|&it| it == lane);
        place(lane).unwrap_or(usize::MAX) < place(other).unwrap_or(usize::MAX)
    }

    /// The lane claimed this task.
    pub fn hold(&mut self, now: Millis, task: usize, lane: LaneId, hold: Hold) {
        assert!(self.lanes.contains_key(&lane), "{lane} is not of this epoch");
        let it = &mut self.tasks[task];
        assert!(it.order.contains(&lane), "{lane} cannot prove {}", it.node);
        it.holds.insert(lane, hold);
        it.changed = now;
        it.open_since = None;
    }

    /// The lane's claims below `seq` ended. A task without a proof has one attempt more.
    pub fn let_go(&mut self, now: Millis, lane: LaneId, below: u64) {
        for task in &mut self.tasks {
            if task.holds.get(&lane).is_none_or(|hold| below <= hold.seq) {
                continue;
            }
            task.holds.remove(&lane);
            task.changed = now;
            task.attempts = task.attempts.saturating_add(u32::from(!task.is_known()));
        }
    }

    /// Declares a lane lost; its claims end (R5.3).
    pub fn lose(&mut self, now: Millis, lane: LaneId) {
        if let Some(standing) = self.lanes.get_mut(&lane) {
            standing.lost = true;
            standing.fell = true;
        }
        self.let_go(now, lane, u64::MAX);
    }

    /// Ends claims at their caps (R5.1); returns their lanes.
    pub fn expire(&mut self, now: Millis) -> Vec<LaneId> {
        let mut capped = Vec::new();
        for task in self.tasks.iter().filter(|it| !it.is_known()) {
            let over = task.holds.iter().filter(|(_, hold)| hold.cap_at <= now);
            capped.extend(over.map(|(&lane, _)| lane));
        }
        for &lane in &capped {
            if let Some(standing) = self.lanes.get_mut(&lane) {
                standing.capped = true;
            }
            self.let_go(now, lane, u64::MAX);
        }
        capped
    }

    /// Brings readiness, crown orders and open times up to date.
    pub fn refresh(&mut self, now: Millis, maker: impl Fn(TaskId) -> Option<LaneId>) {
        for task in 0..self.tasks.len() {
            if self.tasks[task].subtree.is_none() && !self.tasks[task].is_known() {
                self.rerank(task, &maker);
            }
            let open = !self.tasks[task].is_known()
                && self.tasks[task].holds.is_empty()
                && self.is_ready(task);
            let it = &mut self.tasks[task];
            match (open, it.open_since) {
                (true, None) => it.open_since = Some(now),
                (false, Some(_)) => it.open_since = None,
                (true, Some(_)) | (false, None) => (),
            }
        }
    }

    /// The crown goes by makers; the root's only child counts on both sides.
    fn rerank(&mut self, task: usize, maker: &impl Fn(TaskId) -> Option<LaneId>) {
        let of = |&child: &usize| {
            let child = &self.tasks[child];
            maker(child.id).or_else(|| child.offers.keys().next().copied())
        };
        let children = &self.tasks[task].children;
        let makers = [children.first().and_then(of), children.last().and_then(of)];
        if makers != self.tasks[task].makers {
            let order = self.deal.crown_ranks(self.tasks[task].node, makers);
            assert_eq!(order.len(), self.lanes.len(), "everybody has a rank in the crown");
            self.tasks[task].makers = makers;
            self.tasks[task].order = order;
        }
    }

    /// Remembers that a prover holds a checked copy.
    pub fn hold_copy(&mut self, statement: StatementId, prover: ProverId) {
        let known = self.holders.contains_key(&statement);
        if known || self.holders.len() < HELD_MAX {
            self.holders.entry(statement).or_default().insert(prover);
        }
    }

    /// Copies a proof of this task needs before it counts as delivered (R5.2).
    #[must_use]
    pub fn replicas(&self, task: usize, params: &Params) -> usize {
        let it = &self.tasks[task];
        match (it.node.kind, it.subtree) {
            (Kind::Root, _) => usize::MAX,
            (_, Some(_)) if !it.is_top => params.replicas_subtree,
            (_, Some(_) | None) => params.replicas_crown,
        }
    }

    /// Lanes that should hold a proof of `task` made by `maker`: whoever has the right to a parent,
    /// and the first `replicas` ranks (R5.2).
    #[must_use]
    pub fn keepers(&self, task: usize, maker: LaneId, params: &Params) -> BTreeSet<LaneId> {
        let it = &self.tasks[task];
        let ranks = it.order.iter().filter(|&&lane| lane != maker && self.is_alive(lane));
        let mut keepers: BTreeSet<LaneId> =
            ranks.copied().take(self.replicas(task, params)).collect();
        for &parent in &it.parents {
            let parent = &self.tasks[parent];
            let able = parent.order.iter().filter(|&&lane| self.is_eligible(lane));
            keepers.extend(able.take(parent.rights()));
        }
        keepers.remove(&maker);
        assert!(keepers.len() < self.lanes.len().max(1), "a maker is not its own keeper");
        keepers
    }

    /// Whether every keeper's prover said that it holds the proof (R5.2).
    #[must_use]
    pub fn is_delivered(
        &self,
        task: usize,
        maker: LaneId,
        offer: StatementId,
        params: &Params,
    ) -> bool {
        let holders = self.holders.get(&offer);
        let holds = |lane: &LaneId| {
            lane.prover() == maker.prover() || holders.is_some_and(|it| it.contains(&lane.prover()))
        };
        self.keepers(task, maker, params).iter().filter(|it| self.is_alive(**it)).all(holds)
    }

    /// Holds at the end of every step.
    pub fn assert_invariants(&self) {
        assert!(self.tasks.len() <= NODES_MAX && self.holders.len() <= HELD_MAX);
        for task in &self.tasks {
            assert!(task.offers.len() <= self.lanes.len(), "one announcement per lane");
            assert!(task.open_since.is_none() || task.holds.is_empty(), "an open task is free");
            for lane in task.holds.keys() {
                assert!(self.lanes.contains_key(lane), "{lane} claims in a foreign epoch");
            }
        }
    }
}

#[cfg(test)]
mod tests;
