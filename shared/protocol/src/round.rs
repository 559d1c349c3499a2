//! One revealed slot at work, as far as this agent follows it (R4, R5).
//!
//! A round holds what this agent heard about one deal of one block: its own subtrees, those it
//! ranks early for, and the crown above them, never the whole table. It decides nothing by itself:
//! the coordinator asks it for ranks, rights and readiness, and tells it what was said.
//!
//! Whatever may change a task's readiness marks it dirty; the coordinator refreshes dirty tasks at
//! the end of a step, so that a step costs what changed and not what is known.

mod aside;
mod few;
mod hear;
pub mod ledger;
mod open;
mod ranks;
mod standing;
mod task;
mod tasks;
mod word;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    assign::Deal,
    chain::Reveal,
    domain::{Class, LaneId, Millis, ProverId, Slot, StatementId, TaskId},
    params::Params,
    slot::{naming::Naming, phase::Windows},
    tree::layout::{Layout, Spot},
};

pub use few::Few;
pub(crate) use ranks::Keepers;
pub(crate) use standing::ANSWERERS;
pub use standing::Standing;
pub use task::{Fetching, Hold, Offer, Task};
use tasks::Tasks;

/// Statements of one task whose holders are remembered: more than the ledger keeps.
const STATEMENTS_MAX: usize = 8;

/// One revealed slot at work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// Which slot.
    pub slot: Slot,
    /// What was revealed.
    pub reveal: Reveal,
    /// Who may prove what.
    pub deal: Arc<Deal>,
    /// The block's tasks.
    pub layout: Arc<Layout>,
    /// Our own lanes of this epoch.
    pub own: Vec<(LaneId, Class)>,
    /// What names everything the deal was made from.
    pub(crate) key: crate::domain::Hash,
    /// Tasks that we follow, by their number in the layout.
    tasks: Tasks,
    /// Announced statements, by their first bytes, with the tasks they are about.
    statements: BTreeSet<(u64, u32)>,
    /// No task nearer to the root than this was ever known.
    known_depth: u32,
    /// Lanes that cannot be counted on.
    out: BTreeSet<LaneId>,
    /// Those of them that are lost or stand aside.
    lost: BTreeSet<LaneId>,
    /// Lanes about which something was said that did not make them lost.
    doubted: BTreeSet<LaneId>,
    /// Lanes of which we know more than that they are dealt.
    standings: BTreeMap<LaneId, Standing>,
    /// Lanes whose beats we wait for.
    watched: BTreeSet<LaneId>,
    /// Own lanes with those that took them for silent.
    listeners: BTreeSet<(LaneId, LaneId)>,
    /// Notices of each prover that the accused refuted at once.
    false_words: BTreeMap<ProverId, u8>,
    /// What each lane works on, as it said.
    claimed: BTreeMap<LaneId, usize>,
    /// Tasks that turned out not to exist, each with how many other lanes may make it before us
    /// after those that follow it: none if one of our lanes needs it now.
    missing: BTreeMap<usize, usize>,
    /// Who carries on with a subtree after the lane it was dealt to was hedged against, and at which
    /// task that was (R5.4).
    moved: BTreeMap<usize, (LaneId, usize)>,
    /// When the phases after the reveal end.
    windows: Windows,
    /// The leader's word (R2.6, R14).
    naming: Naming,
    /// Whether the time is over in which a name is first everywhere.
    graced: bool,
    /// Subtrees in which a lane of the named prover was heard.
    by_name: BTreeSet<usize>,
    /// Somebody else keeps one of our proofs now, maybe.
    pub(crate) reranked: bool,
    /// Tasks that are to be refreshed.
    pub(crate) dirty: BTreeSet<usize>,
    /// Tasks that a lane may claim.
    pub(crate) open: open::Open,
    /// Own proofs of another slot, or from before a restart, that nobody was told of.
    pub(crate) unspoken: BTreeSet<usize>,
    /// When a task must be looked at again.
    pub(crate) timers: BTreeSet<(Millis, usize)>,
    /// When this agent began to work on it.
    pub started: Millis,
    /// Our last beat.
    pub last_beat: Option<u64>,
    /// Somebody takes a lane of ours for lost: the next beat goes to everybody.
    pub(crate) shout: bool,
    /// So does the one after it: the first may be lost on its way to somebody.
    pub(crate) shout_again: bool,
    /// Own lanes that have new watchers, who wait for a first beat.
    pub(crate) greet: BTreeSet<LaneId>,
    /// The reveal left the chain and may come back (R12.2).
    pub suspended: bool,
    /// L1 block at which the root could first be submitted.
    pub root_since: Option<u64>,
    /// L1 block at which we last submitted the root.
    pub submitted: Option<u64>,
}

/// What a round is made from.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Which slot.
    pub slot: Slot,
    /// What was revealed.
    pub reveal: Reveal,
    /// Who may prove what.
    pub deal: Arc<Deal>,
    /// The block's tasks.
    pub layout: Arc<Layout>,
    /// Names what the deal was made from.
    pub key: crate::domain::Hash,
    /// Whose lanes are ours.
    pub own: Option<ProverId>,
}

impl Round {
    /// The round of a deal: follows what our lanes rank early for.
    #[must_use]
    pub fn new(now: Millis, opening: Opening, params: &Params) -> Self {
        let Opening { slot, reveal, deal, layout, key, own } = opening;
        let ours = own.into_iter().flat_map(|it| deal.lanes_of(it));
        let own: Vec<(LaneId, Class)> = ours.collect();
        let mut round = Self {
            slot,
            reveal,
            deal,
            layout,
            own,
            key,
            tasks: Tasks::new(),
            statements: BTreeSet::new(),
            known_depth: u32::MAX,
            out: BTreeSet::new(),
            lost: BTreeSet::new(),
            doubted: BTreeSet::new(),
            standings: BTreeMap::new(),
            watched: BTreeSet::new(),
            listeners: BTreeSet::new(),
            false_words: BTreeMap::new(),
            claimed: BTreeMap::new(),
            missing: BTreeMap::new(),
            moved: BTreeMap::new(),
            windows: Windows::new(params, reveal.time_s),
            naming: Naming::Nobody,
            graced: false,
            by_name: BTreeSet::new(),
            reranked: false,
            dirty: BTreeSet::new(),
            open: open::Open::default(),
            unspoken: BTreeSet::new(),
            timers: BTreeSet::new(),
            started: now,
            last_beat: None,
            shout: false,
            shout_again: false,
            greet: BTreeSet::new(),
            suspended: false,
            root_since: None,
            submitted: None,
        };
        round.follow_early(now, params);
        round
    }

    /// Subtrees, vm proofs and lanes that the deal gives us early ranks for.
    fn follow_early(&mut self, now: Millis, params: &Params) {
        let (deal, layout) = (Arc::clone(&self.deal), Arc::clone(&self.layout));
        for (lane, _) in self.own.clone() {
            let Some(early) = deal.early(lane) else { continue };
            let nodes = early.subtrees.iter().flat_map(|&it| &layout.cut.subtrees[it].nodes);
            for task in nodes.map(|&place| layout.at(place)) {
                self.track(now, task, params);
            }
            for task in early.vms.iter().filter_map(|&it| layout.vm(it)) {
                self.track(now, task, params);
            }
            for &other in &early.watched {
                self.watch(now, other, params.watchers);
            }
        }
        self.track(now, self.layout.root(), params);
    }

    /// The task's memory, which begins here if nothing was heard of it before.
    pub(crate) fn track(&mut self, now: Millis, task: usize, params: &Params) -> &mut Task {
        if !self.tasks.contains_key(&task) {
            self.begin(now, task, params);
        }
        self.tasks.or_insert(task, || Task::new(now))
    }

    fn begin(&mut self, now: Millis, task: usize, params: &Params) {
        let mut it = Task::new(now);
        it.reach = self.reach(task, params);
        if self.spot(task).subtree().is_none() {
            let tops = self.spot(task).children().filter(|&it| self.spot(it).is_top);
            let late = tops.map(|it| (self.open_to_all_at(it, params), task));
            self.timers.extend(late.min());
        }
        self.tasks.or_insert(task, || it);
        self.rerank(task);
        self.dirty.insert(task);
    }

    /// A proof of the task is in our ledger. What takes it is followed too: after a restart nobody
    /// may be left to say that the proof exists.
    pub(crate) fn accept(&mut self, now: Millis, task: usize, params: &Params) {
        let it = self.track(now, task, params);
        it.accepted = true;
        it.changed = now;
        self.known_depth = self.known_depth.min(self.spot(task).depth);
        self.track_parents(now, task, params);
        self.touch(task);
    }

    /// Follows what takes a proof that exists.
    fn track_parents(&mut self, now: Millis, task: usize, params: &Params) {
        let layout = Arc::clone(&self.layout);
        for parent in layout.parents(task) {
            self.track(now, parent, params);
        }
    }

    /// Goes on after its reveal came back: nobody could be heard meanwhile.
    pub fn resume(&mut self, now: Millis) {
        self.suspended = false;
        self.submitted = None;
        self.root_since = None;
        self.listen_anew(now);
    }

    /// Counts silence from here.
    pub fn listen_anew(&mut self, now: Millis) {
        self.standings.values_mut().for_each(|it| it.heard = now);
    }

    /// What the layout says about a task.
    #[must_use]
    pub fn spot(&self, task: usize) -> &Spot {
        &self.layout.spots[task]
    }
    /// Number of a task.
    #[must_use]
    pub fn find(&self, task: TaskId) -> Option<usize> {
        self.layout.find(task)
    }
    /// What we know about a task; `None` if nothing.
    #[must_use]
    pub fn task(&self, task: usize) -> Option<&Task> {
        self.tasks.get(&task)
    }
    pub(crate) fn task_mut(&mut self, task: usize) -> Option<&mut Task> {
        self.tasks.get_mut(&task)
    }
    /// All tasks that we follow, in tree order.
    pub fn followed(&self) -> impl Iterator<Item = (usize, &Task)> {
        self.tasks.iter()
    }
    /// Those of them that fit, in tree order.
    pub(crate) fn select(&self, fits: impl Fn(&Task) -> bool) -> Vec<usize> {
        self.tasks.select(fits)
    }
    /// Number of the root's task.
    #[must_use]
    pub fn root(&self) -> usize {
        self.layout.root()
    }
    /// Whether a proof of the task exists, as far as we believe.
    #[must_use]
    pub fn is_known(&self, task: usize) -> bool {
        self.tasks.get(&task).is_some_and(Task::is_known)
    }
    /// Whether every proof it takes exists, as far as we believe.
    #[must_use]
    pub fn is_ready(&self, task: usize) -> bool {
        self.spot(task).children().all(|it| self.is_known(it))
    }
    /// The proof nearest to the root that is known and stands on this task, or is it: while there
    /// is one, nothing below it needs to be made.
    #[must_use]
    pub fn known_above(&self, task: usize) -> Option<usize> {
        self.topmost(task, |it| self.is_known(it))
    }
    /// The same among proofs that we hold, or whose makers are here to give them.
    #[must_use]
    pub fn vouched_above(&self, task: usize) -> Option<usize> {
        self.topmost(task, |here| {
            let it = self.tasks.get(&here);
            let there = it.and_then(Task::offer).is_some_and(|(maker, _)| self.is_alive(maker));
            it.is_some_and(|it| it.accepted) || there
        })
    }

    /// The last one that `fits` on the way from a task to the root, both included. Only tasks that
    /// are known fit, so the way ends where none ever was.
    fn topmost(&self, task: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
        self.way(task, self.known_depth).filter(|&it| fits(it)).last()
    }
    /// From a task towards the root, down to this depth.
    fn way(&self, task: usize, depth: u32) -> impl Iterator<Item = usize> {
        let way = core::iter::successors(Some(task), |&it| self.layout.parents(it).next());
        way.take_while(move |&it| depth <= self.spot(it).depth)
    }
    /// A proof does not exist, and our lanes may make it after so many others: nobody else if one
    /// of them needs it now.
    pub(crate) fn miss(&mut self, task: usize, others: usize) {
        self.missing.insert(task, others);
        self.reopen(task);
        self.dirty.insert(task);
    }
    /// Whether every proof it takes is in our ledger.
    #[must_use]
    pub fn has_inputs(&self, task: usize) -> bool {
        let has = |it: usize| self.tasks.get(&it).is_some_and(|it| it.accepted);
        self.spot(task).children().all(has)
    }
    /// Whether the lane is one of ours.
    #[must_use]
    pub fn is_own(&self, lane: LaneId) -> bool {
        self.own.first().is_some_and(|(it, _)| it.prover() == lane.prover())
    }

    /// Marks a task and those that take its proof.
    pub(crate) fn touch(&mut self, task: usize) {
        self.dirty.insert(task);
        let parents = self.layout.parents(task).filter(|it| self.tasks.contains_key(it));
        self.dirty.extend(parents);
    }

    /// Brings one task's readiness up to date; `true` if it can be claimed.
    pub(crate) fn refresh(&mut self, now: Millis, task: usize, params: &Params) -> bool {
        let known = self.is_known(task);
        if let Some(it) = self.tasks.get_mut(&task)
            && known != core::mem::replace(&mut it.was_known, known)
            && known
        {
            self.close_below(task);
        }
        if known {
            self.settle_holds(task);
        } else if self.spot(task).subtree().is_none() {
            self.find_makers(task);
        }
        let below = if known { Vec::new() } else { self.followed_below(now, task, params) };
        for (child, others) in below {
            self.track(now, child, params);
            self.miss(child, others);
        }
        let open = !known
            && self.is_ready(task)
            && self.has_room(now, task, params)
            && self.known_above(task).is_none();
        if let Some(it) = self.tasks.get_mut(&task) {
            match (open, it.open_since) {
                (true, None) => it.open_since = Some(now),
                (false, Some(_)) => it.open_since = None,
                (true, Some(_)) | (false, None) => (),
            }
        }
        match (open, self.open.contains(&task)) {
            (true, false) => self.open_up(task),
            (false, true) => self.close(task),
            (true, true) | (false, false) => (),
        }
        open
    }

    /// What stands below a known proof needs no maker any more.
    fn close_below(&mut self, known: usize) {
        let depth = self.spot(known).depth;
        let below = |it: usize| self.way(it, depth).any(|above| above == known);
        let near = self.open.range(self.layout.first_below(known)..=known);
        let needless: Vec<usize> = near.filter(|&it| below(it)).collect();
        for task in needless {
            self.close(task);
            self.dirty.insert(task);
        }
    }

    /// Whether one lane more may claim the task: one, several in the hot crown, one more for each
    /// claim that lasts too long (R4.3, R5.4), none of a task that was given up as poison (R5.3).
    fn has_room(&self, now: Millis, task: usize, params: &Params) -> bool {
        let Some(it) = self.tasks.get(&task) else { return false };
        it.holds.len() < self.room(now, task, params) && !it.is_given_up(params)
    }

    /// How many lanes may work on a task at the same time.
    pub(crate) fn room(&self, now: Millis, task: usize, params: &Params) -> usize {
        if self.layout.is_hot(task, params) {
            return params.hot_copies;
        }
        let hedge_ms = params.hedge_ms(self.spot(task).node.kind);
        let holds = self.tasks.get(&task).map(|it| it.holds.values()).into_iter().flatten();
        1 + holds.filter(|hold| hold.since.after(hedge_ms) <= now).count()
    }

    /// Claims on a task whose proof is known bind nobody any more.
    fn settle_holds(&mut self, task: usize) {
        let Some(it) = self.tasks.get_mut(&task) else { return };
        for &lane in core::mem::take(&mut it.holds).keys() {
            if self.claimed.get(&lane) == Some(&task) {
                self.claimed.remove(&lane);
            }
        }
        self.move_back(task);
    }

    /// Statements that a prover said it holds a checked copy of.
    pub(crate) fn hold_copy(&mut self, statement: StatementId, task: usize, prover: ProverId) {
        let Some(it) = self.tasks.get_mut(&task) else { return };
        if it.holders.contains_key(&statement) || it.holders.len() < STATEMENTS_MAX {
            it.holders.or_default(statement).insert(prover, ());
        }
    }

    /// The task that a statement is about, among those announced to us or made by us.
    pub(crate) fn task_of(&self, statement: StatementId) -> Option<usize> {
        let first = first_bytes(statement);
        let about = self.statements.range((first, 0)..=(first, u32::MAX));
        about.map(|it| it.1 as usize).find(|&it| self.is_said(it, statement))
    }
    fn is_said(&self, task: usize, statement: StatementId) -> bool {
        let mut offers = self.tasks.get(&task).into_iter().flat_map(|it| it.offers.values());
        offers.any(|it| it.statement == statement)
    }
    /// An announcement of the task is new, maybe instead of an older one.
    fn note_statement(&mut self, task: usize, new: StatementId, old: Option<StatementId>) {
        let number = u32::try_from(task).unwrap_or(u32::MAX);
        if let Some(old) = old.filter(|&it| !self.is_said(task, it)) {
            self.statements.remove(&(first_bytes(old), number));
        }
        self.statements.insert((first_bytes(new), number));
    }

    /// Holds at the end of every step, for the task that changed.
    pub(crate) fn assert_task(&self, task: usize) {
        let Some(it) = self.tasks.get(&task) else { return };
        assert!(it.holders.len() <= STATEMENTS_MAX, "copies are counted for few statements");
        assert!(it.open_since.is_none() || !it.is_known(), "a task that is known is not open");
        for lane in it.holds.keys().chain(it.offers.keys()) {
            assert!(self.deal.lanes().contains_key(lane), "{lane} is not of this epoch");
        }
    }
}

/// Statements are hashes: their first bytes find them nearly always.
fn first_bytes(statement: StatementId) -> u64 {
    let first = statement.0.first_chunk().copied();
    first.map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests;
