//! The machine: one agent's view of the network and its next move.
//!
//! [`Coordinator::step`] is the only way in, [`Coordinator::deadline`] the only clock. A step takes
//! one input and then brings everything up to date in a fixed order: slots, caps, beats and
//! losses, deliveries, proofs, new claims, the root. Nothing here waits, and nothing can fail: an
//! input that makes no sense changes nothing and leaves a note.

mod messages;
mod slots;
mod watch;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    chain::{Chain, Head, Header},
    claims::{Claims, Stage},
    domain::{BlobId, BlockId, Class, Kind, LaneId, Millis, ProverId, Slot, TaskId},
    io::{Action, Input, Message, PlannedTask, Record},
    ledger::{Ledger, Origin, Proof},
    params::Params,
    round::Round,
};

/// Messages kept for slots that this agent does not know yet: as many as one connection may send
/// when it begins (slice section 6). The oldest go first.
pub const EARLY_MAX: usize = 4_096;
/// Plans kept: twice the undo window, so a block that comes back is not planned again.
const PLANS_MAX: usize = 128;

/// What checking a revealed block yielded.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Plan {
    Tasks { calls: Vec<u8>, tasks: Vec<PlannedTask> },
    Refused,
}

/// One agent's state machine. A sequencer's process has one without lanes, which only follows.
#[derive(Clone, Debug)]
pub struct Coordinator {
    own: Option<ProverId>,
    params: Params,
    now: Millis,
    chain: Chain,
    plans: BTreeMap<BlockId, Plan>,
    /// Order of arrival of plans.
    plan_order: VecDeque<BlockId>,
    rounds: BTreeMap<Slot, Round>,
    ledger: Ledger,
    claims: Claims,
    /// Last claim heard of each lane: a second, different one with its number is a fault (R10.1).
    heard: BTreeMap<LaneId, (u64, Message)>,
    early: VecDeque<(ProverId, Message)>,
    /// Rounds that ended with their deal. A new deal of the slot goes on from what was heard in
    /// them: nobody repeats words that everybody heard.
    ended: BTreeMap<Slot, Round>,
    /// Slots whose settlement is in the journal.
    recorded: BTreeSet<Slot>,
    /// Lanes of tasks in the journal: a restored proof was made by the lane that claimed it.
    restored: BTreeMap<TaskId, LaneId>,
    /// Whether the first step since the start is still to come.
    fresh: bool,
}

impl Coordinator {
    /// A machine with no history. `own` is `None` for a process that has no lanes.
    ///
    /// # Panics
    /// If the parameters contradict each other ([`Params::assert_valid`]).
    #[must_use]
    pub fn new(own: Option<ProverId>, params: Params) -> Self {
        params.assert_valid();
        Self {
            own,
            params,
            now: Millis(0),
            chain: Chain::default(),
            plans: BTreeMap::new(),
            plan_order: VecDeque::new(),
            rounds: BTreeMap::new(),
            ledger: Ledger::default(),
            claims: Claims::default(),
            heard: BTreeMap::new(),
            early: VecDeque::new(),
            ended: BTreeMap::new(),
            recorded: BTreeSet::new(),
            restored: BTreeMap::new(),
            fresh: true,
        }
    }

    /// The same machine with what it made durable before it stopped, in journal order. L1 is then
    /// fed from the contracts' first block on, and live claims go on under their numbers.
    ///
    /// # Panics
    /// If it has stepped already.
    #[must_use]
    pub fn restore<'a>(mut self, records: impl IntoIterator<Item = &'a Record>) -> Self {
        assert!(self.fresh, "a machine that runs cannot be restored");
        for record in records {
            self.claims.restore(record);
            match *record {
                Record::Claimed { task, lane, .. } => {
                    self.restored.insert(task, lane);
                }
                Record::Made { task, statement, blob, credit, cpu_ms, peak_mb } => {
                    let maker = self.restored.get(&task).copied();
                    let proof = Proof::new(statement, blob, credit, Origin::Own);
                    self.ledger.add(task, proof.made_by(maker, cpu_ms, peak_mb));
                }
                Record::Held { task, statement, blob, credit } => {
                    self.ledger.add(task, Proof::new(statement, blob, credit, Origin::Peer));
                }
                Record::Settled { slot } => {
                    self.recorded.insert(slot);
                }
                Record::Ended { .. } => (),
            }
        }
        self.restored.clear();
        self
    }

    /// Takes one input at one instant and appends the actions it causes, in the order in which
    /// they must be performed. An instant before the last one counts as the last one.
    pub fn step(&mut self, now: Millis, input: Input, actions: &mut Vec<Action>) {
        let now = now.max(self.now);
        self.attend(now);
        self.now = now;
        self.take(now, input, actions);
        self.expire(now, actions);
        self.watch(now, actions);
        self.deliver(now, actions);
        self.refresh(now);
        self.prove(now, actions);
        self.offer(now, actions);
        self.fetch(now, actions);
        self.submit(actions);
        self.assert_invariants();
    }

    /// The one place where inputs branch.
    fn take(&mut self, now: Millis, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::L1Block { number, hash, parent, time, randao, events } => {
                let head = Head { number, hash, time_s: time };
                self.on_block(now, Header { head, parent, randao }, &events, actions);
            }
            Input::L1Undo { hash } => self.on_undo(now, hash, actions),
            Input::Planned { block, calls, tasks } => {
                self.on_plan(block, Plan::Tasks { calls, tasks });
                self.arrange(now, actions);
            }
            Input::Refused { block } => {
                self.on_plan(block, Plan::Refused);
                let text = format!("block {block} failed its check and is not worked on");
                actions.push(Action::Note { code: "BLK-001", text });
            }
            Input::Peer { from, message } => self.on_message(now, from, message, actions),
            Input::Prover(event) => self.on_prover(now, event, actions),
            Input::Accepted { task, statement, blob, credit } => {
                let proof = Proof::new(statement, blob, credit, Origin::Peer);
                self.on_accepted(now, task, proof, actions);
            }
            Input::FetchFailed { blob } => self.on_fetch_failed(now, blob, actions),
            Input::Able { .. } | Input::Tick => (),
        }
    }

    /// Rounds that are being worked on, oldest first (R4.4).
    fn active(&self) -> Vec<Slot> {
        let open = |it: &&Round| !it.suspended && self.chain.unsettled(it.slot, &self.params);
        self.rounds.values().filter(open).map(|it| it.slot).collect()
    }

    /// Our lanes of this slot's epoch, with their classes.
    fn own_lanes(&self, round: &Round) -> Vec<(LaneId, Class)> {
        let own = |it: &LaneId| self.own == Some(it.prover());
        let lanes = round.deal.lanes().iter();
        lanes.filter(|&(it, _)| own(it)).map(|(&lane, &class)| (lane, class)).collect()
    }

    /// The next instant at which time alone would change something, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Millis, &'static str)> {
        let mut due: Vec<(Millis, &'static str)> = Vec::new();
        for slot in self.active() {
            let round = &self.rounds[&slot];
            due.extend(self.watch_deadlines(round));
            due.extend(self.work_deadlines(round));
        }
        due.extend(self.claims.all().map(|(_, live)| (live.cap_at, "cap")));
        due.extend(self.claims.all().filter_map(|(_, live)| match live.stage {
            Stage::Inputs { until } => Some((until, "inputs")),
            Stage::Machine | Stage::Proving | Stage::Made { .. } => None,
        }));
        due.into_iter().filter(|(at, _)| self.now < *at && at.0 < u64::MAX).min()
    }

    /// Slots whose messages are still worth sending to a peer that connects (slice section 6).
    #[must_use]
    pub fn unsettled_slots(&self) -> Vec<Slot> {
        let slots = self.chain.slots().map(|(slot, _)| slot);
        slots.filter(|&it| self.chain.unsettled(it, &self.params)).collect()
    }
    /// Every revealed, unsettled block that waits for its plan, oldest first.
    #[must_use]
    pub fn unplanned(&self) -> Vec<BlockId> {
        let slots = self.unsettled_slots().into_iter();
        let blocks = slots.filter_map(|it| self.chain.slot(it)?.reveal).map(|it| it.block);
        blocks.filter(|it| !self.plans.contains_key(it)).collect()
    }
    /// Blobs that must not be deleted: proofs of blocks that are not settled for good.
    #[must_use]
    pub fn blobs_in_use(&self) -> BTreeSet<BlobId> {
        let tasks = self.rounds.values().flat_map(|round| &round.tasks);
        tasks.flat_map(|task| self.ledger.of(task.id)).map(|proof| proof.blob).collect()
    }
    /// L1 as followed.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }
    /// Accepted proofs.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    /// Our own claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
    /// The round of a slot.
    #[must_use]
    pub fn round(&self, slot: Slot) -> Option<&Round> {
        self.rounds.get(&slot)
    }
    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }
    /// Whose lanes these are.
    #[must_use]
    pub const fn own(&self) -> Option<ProverId> {
        self.own
    }
    /// The last instant that was passed in.
    #[must_use]
    pub const fn now(&self) -> Millis {
        self.now
    }
    /// Whether the slot's block failed its check.
    #[must_use]
    pub fn is_refused(&self, block: BlockId) -> bool {
        self.plans.get(&block) == Some(&Plan::Refused)
    }

    fn assert_invariants(&self) {
        assert!(self.early.len() <= EARLY_MAX && self.plans.len() <= PLANS_MAX);
        for round in self.rounds.values() {
            round.assert_invariants();
            for task in &round.tasks {
                assert_eq!(task.accepted, self.ledger.has(task.id), "{}", task.node);
            }
        }
        self.claims.assert_invariants();
        assert!(self.ended.keys().all(|it| !self.rounds.contains_key(it)), "a slot has one deal");
        for (lane, live) in self.claims.all() {
            assert_eq!(self.own, Some(lane.prover()), "only own lanes promise");
            let Some(round) = self.rounds.get(&live.slot) else { continue };
            let Some(task) = round.find(live.task) else { continue };
            let hold = round.tasks[task].holds.get(&lane).map(|it| it.seq);
            assert_eq!(hold, Some(live.seq), "own claims are seen like everybody's");
            if matches!(live.stage, Stage::Machine | Stage::Proving) {
                let children = &round.tasks[task].children;
                assert!(children.iter().all(|&it| round.tasks[it].accepted), "inputs are accepted");
            }
        }
    }
}

/// The circuit whose claims last longest bounds a claim whose place is not known yet.
fn longest_cap(params: &Params) -> u64 {
    Kind::ALL.iter().map(|&kind| params.claim_cap_ms(kind)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
