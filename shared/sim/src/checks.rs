//! What must hold at every step, whatever happens (safety). Liveness is judged at the end.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    Action, BlobId, Coordinator, Hash, LaneId, Message, Millis, Previous, ProverId, Record, Slot,
    StatementId, TaskId,
};

use crate::{agent::Agent, content::Content};

/// A finished proof, as the world knows it.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) task: TaskId,
    pub(crate) statement: StatementId,
    pub(crate) maker: ProverId,
    pub(crate) children: Vec<BlobId>,
    pub(crate) took_ms: u64,
    /// Whether it verifies.
    pub(crate) valid: bool,
}

/// Every proof of the world.
pub(crate) type Facts = BTreeMap<BlobId, Fact>;

/// A promise that the network heard.
type Spoken = (TaskId, Slot, u32, Previous);

/// Memory of the checks.
#[derive(Default)]
pub(crate) struct Checks {
    /// The first failure.
    pub(crate) violation: Option<String>,
    spoken: BTreeMap<(LaneId, u64), Spoken>,
    live: BTreeMap<LaneId, u64>,
    /// Decks of each deal: all agents must compute the same.
    deals: BTreeMap<(Slot, Hash), Vec<LaneId>>,
    /// When a slot's deals were first seen, to judge who must be missed.
    pub(crate) dealt_at: BTreeMap<Slot, Millis>,
}

impl Checks {
    pub(crate) fn fail(&mut self, now: Millis, agent: ProverId, what: &str) {
        let when = now.0;
        self.violation.get_or_insert_with(|| format!("at {when} ms agent {agent}: {what}"));
    }

    fn require(&mut self, now: Millis, agent: &Agent, holds: bool, what: &str) {
        if !holds {
            self.fail(now, agent.prover, what);
        }
    }

    /// Judges an action before it is performed.
    pub(crate) fn action(&mut self, now: Millis, agent: &Agent, action: &Action, facts: &Facts) {
        match action {
            Action::Persist(record) => self.record(now, agent, record),
            Action::Send { message, .. } => self.message(now, agent, message),
            Action::Prove { children, task, lane, .. } => {
                let good = |it: &BlobId| {
                    agent.store.contains(it) && facts.get(it).is_some_and(|it| it.valid)
                };
                let good = children.iter().all(good);
                self.require(now, agent, good, "a proof starts on a child that was not accepted");
                let promised = agent.disk.iter().rev().any(
                    |it| matches!(it, Record::Claimed { task: t, lane: l, .. } if t == task && l == lane),
                );
                self.require(now, agent, promised, "a proof starts without a promise");
            }
            Action::SubmitRoot { blob, .. } => {
                let stored = agent.store.contains(blob);
                self.require(now, agent, stored, "a root is submitted that is not stored");
            }
            Action::Relay { .. }
            | Action::Fetch { .. }
            | Action::Abandon { .. }
            | Action::Note { .. } => (),
        }
    }

    /// One live claim per lane on disk, numbers that rise.
    fn record(&mut self, now: Millis, agent: &Agent, record: &Record) {
        match *record {
            Record::Claimed { lane, seq, .. } => {
                let before = self.live.insert(lane, seq);
                self.require(now, agent, before.is_none(), "a lane has two live claims");
            }
            Record::Ended { lane, seq, .. } => {
                let before = self.live.remove(&lane);
                self.require(now, agent, before == Some(seq), "a claim ends that is not live");
            }
            Record::Made { blob, .. } | Record::Held { blob, .. } => {
                let stored = agent.store.contains(&blob);
                self.require(now, agent, stored, "a proof is recorded that is not stored");
            }
            Record::Settled { .. } => (),
        }
    }

    /// Nothing is spoken that is not durable, and no number is used twice.
    fn message(&mut self, now: Millis, agent: &Agent, message: &Message) {
        let on_disk = |wanted: &dyn Fn(&Record) -> bool| agent.disk.iter().rev().any(wanted);
        match *message {
            Message::Claim { task, lane, slot, seq, attempt, previous } => {
                let durable = on_disk(&|it| {
                    matches!(*it, Record::Claimed { lane: l, seq: s, task: t, .. }
                        if (l, s, t) == (lane, seq, task))
                });
                self.require(now, agent, durable, "a claim is spoken before it is durable");
                let spoken = (task, slot, attempt, previous);
                let same = *self.spoken.entry((lane, seq)).or_insert(spoken) == spoken;
                self.require(now, agent, same, "a claim number is used for two claims");
            }
            Message::Release { lane, seq, .. } => {
                let durable = on_disk(
                    &|it| matches!(*it, Record::Ended { lane: l, seq: s, .. } if (l, s) == (lane, seq)),
                );
                self.require(now, agent, durable, "a release is spoken before it is durable");
            }
            Message::Made { statement, .. } => {
                let durable = on_disk(
                    &|it| matches!(*it, Record::Made { statement: s, .. } if s == statement),
                );
                self.require(now, agent, durable, "a proof is announced before it is durable");
            }
            Message::Held { statement, .. } => {
                let durable = on_disk(
                    &|it| matches!(*it, Record::Held { statement: s, .. } if s == statement),
                );
                self.require(now, agent, durable, "a copy is acknowledged before it is durable");
            }
            Message::Beat { lane, .. } => {
                let own = lane.prover() == agent.prover;
                self.require(now, agent, own, "an agent beats for somebody else");
            }
            Message::Loss { lane, watcher, .. } => {
                let apart = lane.prover() != agent.prover && watcher.prover() == agent.prover;
                self.require(now, agent, apart, "a loss notice is not a watcher's own");
            }
        }
    }

    /// All agents compute the same deal.
    pub(crate) fn deals(&mut self, now: Millis, prover: ProverId, machine: &Coordinator) {
        let slots: Vec<Slot> = machine.unsettled_slots();
        for round in slots.into_iter().filter_map(|it| machine.round(it)) {
            self.dealt_at.entry(round.slot).or_insert(now);
            let key = (round.slot, round.deal.seed());
            let deck = round.deal.deck(protocol::Class::Rollup);
            let same = self.deals.entry(key).or_insert_with(|| deck.to_vec()) == deck;
            if !same {
                self.fail(now, prover, "two agents deal differently");
            }
        }
    }
}

/// Walks a root proof down its tree: every part must verify and be of the block's own task, and
/// the units of all makers add up to the tree's. Returns the blobs used, or what is wrong.
pub(crate) fn settles(
    content: &Content,
    root: BlobId,
    facts: &Facts,
) -> Result<BTreeSet<BlobId>, String> {
    let mut used = BTreeSet::new();
    let mut credited: BTreeMap<ProverId, usize> = BTreeMap::new();
    let mut open = vec![(content.tree.root(), root)];
    while let Some((place, blob)) = open.pop() {
        let node = content.tree.nodes()[place];
        let Some(fact) = facts.get(&blob) else { return Err(format!("{node} has no proof")) };
        if !fact.valid || fact.task != content.task(node) {
            return Err(format!("the proof at {node} is false or of another task"));
        }
        let children = content.tree.children(place);
        if children.len() != fact.children.len() {
            return Err(format!("{node} was made from {} children", fact.children.len()));
        }
        *credited.entry(fact.maker).or_default() += 1;
        used.insert(blob);
        open.extend(children.iter().copied().zip(fact.children.iter().copied()));
    }
    let units: usize = credited.values().sum();
    if units != content.tree.nodes().len() {
        return Err(format!("{units} proofs are paid in a tree of {}", content.tree.nodes().len()));
    }
    Ok(used)
}
