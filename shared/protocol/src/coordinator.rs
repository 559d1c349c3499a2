//! The machine: one agent's view of the network and its next move.
//!
//! [`Coordinator::step`] is the only way in, [`Coordinator::deadline`] the only clock. A step takes
//! one input and then brings what it touched up to date in a fixed order: beats and losses, caps,
//! tasks, deliveries, proofs, new claims, fetches, the root. Nothing here waits, and nothing can
//! fail: an input that makes no sense changes nothing and leaves a note.

pub mod claims;
mod deliver;
mod messages;
mod proofs;
mod sets;
mod slots;
mod watch;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    assign::memo::Memo,
    chain::{Chain, Head, Header},
    claims::Claims,
    domain::{BlobId, BlockId, Kind, LaneId, Millis, ProverId, Slot, TaskId},
    epoch::sets::Adverts,
    io::{Action, BlockPlan, Input, Message, Previous, Record},
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
    Tasks(BlockPlan),
    Refused,
}

/// What one of our lanes is able to, as measured (R5.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ability {
    permille: u64,
    blocked: Option<&'static str>,
}

/// One agent's state machine. A sequencer's process has one without lanes, which only follows.
#[derive(Clone, Debug)]
pub struct Coordinator {
    own: Option<ProverId>,
    params: Params,
    memo: Arc<Memo>,
    now: Millis,
    chain: Chain,
    plans: BTreeMap<BlockId, Plan>,
    /// Order of arrival of plans.
    plan_order: VecDeque<BlockId>,
    rounds: BTreeMap<Slot, Round>,
    /// Slots that are being worked on, oldest first.
    active: Vec<Slot>,
    ledger: Ledger,
    claims: Claims,
    /// Last claim heard of each lane: a second, different one with its number is a fault (R10.1).
    heard: BTreeMap<LaneId, Promised>,
    early: VecDeque<(ProverId, Message)>,
    /// Rounds that ended with their deal. A new deal of the slot goes on from what was heard in
    /// them: nobody repeats words that everybody heard.
    ended: BTreeMap<Slot, Round>,
    /// Changes of L1 that the rounds are in line with.
    arranged: u64,
    /// Slots whose settlement is in the journal.
    recorded: BTreeSet<Slot>,
    /// Lanes of tasks in the journal: a restored proof was made by the lane that claimed it.
    restored: BTreeMap<TaskId, LaneId>,
    able: BTreeMap<LaneId, Ability>,
    /// Circuit sets that our lanes cannot prove, and what they said of it (R13.1).
    adverts: Adverts,
    said: BTreeMap<(Slot, LaneId), sets::Said>,
    due: Due,
    /// Whether the first step since the start is still to come.
    fresh: bool,
}

/// A lane's claim as it was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Promised {
    task: TaskId,
    slot: Slot,
    seq: u64,
    attempt: u32,
    previous: Previous,
}

impl Promised {
    /// The lane's word, as it was signed.
    const fn word(self, lane: LaneId) -> Message {
        let Self { task, slot, seq, attempt, previous } = self;
        Message::Claim { task, lane, slot, seq, attempt, previous }
    }
}

/// What a step has to look at besides the tasks that it touched.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Due {
    /// A lane may be free, or a task open.
    offers: bool,
    /// Those who keep our proofs changed, or who of them is heard.
    deliveries: bool,
    /// Copies of our proofs of these tasks were acknowledged.
    held: Vec<(Slot, usize)>,
    /// A claim may have all its inputs.
    inputs: bool,
    /// The root may be ready for L1.
    root: bool,
    /// When a watched lane is silent at the earliest.
    silence: Millis,
    /// When a lane may take a task that is open now.
    claim: Millis,
}

const NEVER: Millis = Millis(u64::MAX);

impl Coordinator {
    /// A machine with no history. `own` is `None` for a process that has no lanes.
    ///
    /// # Panics
    /// If the parameters contradict each other ([`Params::assert_valid`]).
    #[must_use]
    pub fn new(own: Option<ProverId>, params: Params) -> Self {
        params.assert_valid();
        let due = Due {
            offers: false,
            deliveries: false,
            held: Vec::new(),
            inputs: true,
            root: false,
            silence: NEVER,
            claim: NEVER,
        };
        Self {
            own,
            params,
            memo: Arc::default(),
            now: Millis(0),
            chain: Chain::default(),
            plans: BTreeMap::new(),
            plan_order: VecDeque::new(),
            rounds: BTreeMap::new(),
            active: Vec::new(),
            ledger: Ledger::default(),
            claims: Claims::default(),
            heard: BTreeMap::new(),
            early: VecDeque::new(),
            ended: BTreeMap::new(),
            arranged: u64::MAX,
            recorded: BTreeSet::new(),
            restored: BTreeMap::new(),
            able: BTreeMap::new(),
            adverts: Adverts::default(),
            said: BTreeMap::new(),
            due,
            fresh: true,
        }
    }

    /// The same machine with a memory that others of the same network in this process share.
    #[must_use]
    pub fn sharing(mut self, memo: Arc<Memo>) -> Self {
        self.memo = memo;
        self
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
                    let own = self.ledger.own(task).map(|it| it.statement);
                    own.into_iter().for_each(|it| self.claims.restore_made(task, it));
                }
                Record::Made { task, statement, blob, credit, cpu_ms, peak_mb } => {
                    let maker = self.restored.get(&task).copied();
                    let proof = Proof::new(statement, blob, credit.payee, Origin::Own);
                    self.ledger.add(task, proof.made_by(maker, cpu_ms, peak_mb));
                }
                Record::Held { task, statement, blob, credit } => {
                    let proof = Proof::new(statement, blob, credit.payee, Origin::Peer);
                    self.ledger.add(task, proof);
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
        self.judge(now, actions);
        for at in 0..self.active.len() {
            let slot = self.active[at];
            self.beat(now, slot, actions);
            self.greet(slot, actions);
            self.expire(now, slot, actions);
        }
        self.expire_own(now, actions);
        self.update(now, actions);
        self.deliver(now, actions);
        self.offer(now, actions);
        self.submit(actions);
        self.claims.settle();
        self.due.inputs = false;
    }

    /// The one place where inputs branch.
    fn take(&mut self, now: Millis, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::L1Block { number, hash, parent, time, randao, events } => {
                let head = Head { number, hash, time_s: time };
                self.on_block(now, Header { head, parent, randao }, &events, actions);
            }
            Input::L1Undo { hash } => self.on_undo(now, hash, actions),
            Input::Planned { block, plan } => {
                self.on_plan(block, Plan::Tasks(plan));
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
                self.on_accepted(now, task, (statement, blob, credit), actions);
            }
            Input::FetchFailed { blob, refused } => {
                self.on_fetch_failed(now, (blob, refused), actions);
            }
            Input::Able { lane, permille, blocked } => {
                self.able.insert(lane, Ability { permille, blocked });
                self.due.offers = true;
            }
            Input::Keys { lane, set, able } => {
                if self.adverts.advertise(lane, set, able) {
                    self.advertise(now, actions);
                }
            }
            Input::Tick => (),
        }
    }

    /// The next instant at which time alone would change something, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Millis, &'static str)> {
        let mut due = (NEVER, "");
        let mut earliest = |at: Millis, why| {
            if self.now < at && at < due.0 {
                due = (at, why);
            }
        };
        if !self.active.is_empty() {
            earliest(self.due.silence, "silence");
            earliest(self.due.claim, "claim");
        }
        for slot in &self.active {
            let round = &self.rounds[slot];
            if !round.own.is_empty() {
                earliest(self.next_beat(round), "beat");
            }
            if let Some(&(at, _)) = round.timers.first() {
                earliest(at.max(self.now.after(1)), "task");
            }
        }
        if let Some((at, why)) = self.claims.ends() {
            earliest(at, why);
        }
        (due.0 < NEVER).then_some(due)
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
        let of = |round: &Round| -> Vec<BlobId> {
            let held = self.ledger.tasks().filter(|(task, _)| round.find(*task).is_some());
            held.flat_map(|(_, proofs)| proofs).map(|proof| proof.blob).collect()
        };
        self.rounds.values().flat_map(of).collect()
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
    /// What keeps a lane of ours from claiming anything, as the shell measured it (R5.6).
    #[must_use]
    pub fn blocked(&self, lane: LaneId) -> Option<&'static str> {
        self.able.get(&lane).and_then(|it| it.blocked)
    }
}

/// The circuit whose claims last longest bounds a claim whose place is not known yet.
fn longest_cap(params: &Params) -> u64 {
    Kind::ALL.iter().map(|&kind| params.claim_cap_ms(kind)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
