//! The world: agents, links, disks, provers and an L1 that reorgs, driven by one queue of events.

mod account;
pub(crate) mod agent;
mod conduct;
pub(crate) mod content;
mod faults;
mod follow;
mod judge;
pub(crate) mod l1;
mod mesh;
mod perform;
mod prove;
mod setup;

use std::{collections::BTreeMap, sync::Arc};

use protocol::{Action, BlobId, BlockId, Input, Message, Millis, ProverId, Slot, TaskId, View};

use crate::{
    Behaviour, Outcome, WorldOptions,
    checks::{Checks, Invariant, distinct},
    engine::{digest::Digest, queue::Queue, rng::Rng},
    machine::Shared,
    report::{pay::Account, story::Story, truth::Truth},
};

use self::{
    account::Books,
    agent::{Agent, Packet},
    content::{Content, Hands},
    l1::{GENESIS_S, L1},
    prove::Run,
};

/// What can happen. Small, because most of a world is the queue of these.
enum Event {
    Mine,
    Poll(u32),
    Wake(u32),
    Deliver { to: u32, packet: Arc<Packet> },
    Connect(u32, u32),
    Started(u32),
    Proved(u32),
    Fetched(Box<Fetch>),
    Planned { agent: u32, life: u32, content: u32 },
    GiveBack { agent: u32, life: u32, task: Box<TaskId> },
    Kill(u32),
    Stop(u32),
    Start(u32),
    Keys(u32),
    Rejoin,
}

/// A proof on its way.
struct Fetch {
    agent: u32,
    life: u32,
    blob: BlobId,
    task: TaskId,
    holder: Option<u32>,
}

/// Counters of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    events: u64,
    received: u64,
    bytes: u64,
    crashes: u64,
    spent_ms: u64,
}

/// Inputs with their instants.
pub(crate) type Told = Vec<(Millis, Input)>;

/// A root that L1 was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    slot: Slot,
    block: BlockId,
    blob: BlobId,
    at: Millis,
}

/// The whole simulated network.
pub struct World {
    seed: u64,
    options: WorldOptions,
    rng: Rng,
    now: Millis,
    queue: Queue<Event>,
    shared: Shared,
    agents: Vec<Agent>,
    hands: Hands,
    l1: L1,
    contents: Vec<Content>,
    numbers: BTreeMap<BlockId, u32>,
    truth: Truth,
    runs: Vec<Run>,
    /// Roots sent to L1, the first of each proof.
    sent: Vec<Sent>,
    /// When the first block was revealed.
    revealed_at: Option<Millis>,
    /// Tops of the first block that are made, while a kill waits for half of them.
    tops_made: usize,
    /// The mesh is in groups until then.
    apart_until: Millis,
    /// Settlements of this agent are never included.
    censored: Option<usize>,
    /// When L1 last took blocks back.
    reorged_at: Millis,
    checks: Checks,
    digest: Digest,
    counts: Counts,
    over: bool,
    /// Nothing is lost, nobody crashes or lies.
    orderly: bool,
    /// Connections break and come back, and repeat what was said.
    reconnects: bool,
    /// What is told of this world.
    story: Story,
    books: Books,
    /// Second, lanes at work, lanes up: once per L1 block.
    timeline: Vec<[u64; 3]>,
    /// Room for the actions of one step.
    actions: Vec<Action>,
    /// What the first agents were told, if somebody wants to know.
    told: Vec<Told>,
}

/// How long a world may take after its last slot's reveal: an hour of pretended time, ten times
/// what the slowest one needs.
const PATIENCE_MS: u64 = 3_600_000;
/// L1 blocks mined after everything is settled, so that a late reorg can still undo it.
const QUIET_BLOCKS: u64 = 4;

fn index(number: u32) -> usize {
    number as usize
}
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl World {
    /// Runs until every slot is settled and quiet, or until patience ends.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let limit = self.limit();
        while !self.over && self.queue.next_at().is_some_and(|at| at <= limit) {
            self.next();
        }
        self.outcome()
    }

    /// The same, and its story line by line.
    #[must_use]
    pub fn run_and_tell(mut self) -> (Outcome, Vec<String>) {
        self.story.told = true;
        let limit = self.limit();
        while !self.over && self.queue.next_at().is_some_and(|at| at <= limit) {
            self.next();
        }
        let lines = core::mem::take(&mut self.story.lines);
        (self.outcome(), lines)
    }

    /// From now on the books are kept.
    pub(crate) fn keep_account(&mut self) {
        self.books.kept = true;
    }

    /// Runs to the end and gives what the first agents were told.
    pub(crate) fn run_and_record(mut self, agents: usize) -> Vec<(ProverId, Told)> {
        self.told = vec![Vec::new(); agents.min(self.agents.len())];
        let limit = self.limit();
        while !self.over && self.queue.next_at().is_some_and(|at| at <= limit) {
            self.next();
        }
        self.agents.iter().map(|it| it.prover).zip(self.told).collect()
    }

    /// Runs to the end and settles accounts: the outcome, the account, and who was what.
    pub(crate) fn run_with_account(mut self) -> (Outcome, Account, BTreeMap<ProverId, Behaviour>) {
        let limit = self.limit();
        while !self.over && self.queue.next_at().is_some_and(|at| at <= limit) {
            self.next();
        }
        let account = self.account();
        let kinds = self.agents.iter().map(|it| (it.prover, it.behaviour)).collect();
        (self.outcome(), account, kinds)
    }

    fn limit(&self) -> Millis {
        let slots = self.options.slots.min(1_000_000);
        let length = self.options.params.slot_blocks() * self.options.params.l1_block_s * 1000;
        Millis(GENESIS_S * 1000).after(slots * length + PATIENCE_MS)
    }

    /// Runs until an instant, and shows what one agent sees then; `None` while it is down.
    pub(crate) fn advance(&mut self, until: Millis) {
        while self.queue.next_at().is_some_and(|at| at <= until) {
            self.next();
        }
        self.now = self.now.max(until);
    }
    pub(crate) const fn now(&self) -> Millis {
        self.now
    }
    pub(crate) fn view(&self, agent: usize) -> Option<View> {
        self.agents.get(agent)?.machine.as_ref().map(|it| it.view())
    }
    /// Whether the agent is stopped for good.
    pub(crate) fn is_stopped(&self, agent: usize) -> bool {
        self.agents.get(agent).is_none_or(|it| it.stopped)
    }

    fn next(&mut self) {
        let Some((at, event)) = self.queue.pop() else { return };
        assert!(self.now <= at, "time never goes back");
        self.now = at;
        self.counts.events += 1;
        self.handle(event);
    }

    fn after(&mut self, [low, high]: [u64; 2], event: Event) {
        let delay = self.rng.between(low, high);
        self.queue.push(self.now.after(delay), event);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver { to, packet } => self.deliver(index(to), &packet),
            Event::Wake(agent) => self.wake(index(agent)),
            Event::Mine => self.mine(),
            Event::Poll(agent) => self.poll(index(agent)),
            Event::Connect(a, b) => self.connect(index(a), index(b)),
            Event::Started(run) => self.started(run),
            Event::Proved(run) => self.proved(run),
            Event::Fetched(fetch) => self.fetched(&fetch),
            Event::Planned { agent, life, content } => {
                if self.agents[index(agent)].life == life {
                    let input = self.contents[index(content)].planned();
                    self.feed(index(agent), input);
                    self.judge_deals(index(agent));
                    self.orphan_keyless(index(agent), content);
                }
            }
            Event::GiveBack { agent, life, task } => self.give_back(index(agent), life, *task),
            Event::Kill(which) => self.kill(index(which)),
            Event::Stop(agent) => self.stop(&[index(agent)]),
            Event::Start(agent) => self.start(index(agent)),
            Event::Keys(agent) => self.get_keys(index(agent)),
            Event::Rejoin => self.rejoin(),
        }
    }

    fn wake(&mut self, agent: usize) {
        let it = &mut self.agents[agent];
        if it.wake_at != Some(self.now) {
            return;
        }
        it.wake_at = None;
        let due = it.machine.as_ref().and_then(|it| it.deadline());
        match due {
            Some((at, _)) if at <= self.now => self.feed(agent, Input::Tick),
            Some(_) | None => self.schedule_wake(agent),
        }
    }

    fn outcome(mut self) -> Outcome {
        self.judge_end();
        let revealed = self.l1.revealed();
        let first = self.revealed_at.map_or(0, |it| it.0 / 1000);
        let wanted = revealed.iter().filter(|it| self.should_settle(it));
        let all = wanted.clone().count();
        let settled = wanted.filter(|it| self.l1.is_settled(it.slot)).count();
        let roots = self.settling_roots();
        let last = roots.iter().map(|it| it.at).max();
        let makespan_ms = last.map_or(0, |it| it.since(Millis(first * 1000)));
        let used_ms = self.used_ms(&roots);
        let wasted = self.counts.spent_ms.saturating_sub(used_ms) * 1000;
        let lanes = self.hands.all.max(1);
        let (lower_bound_ms, tree_bound_ms) = self.bounds(first);
        Outcome {
            seed: self.seed,
            digest: self.digest.hex(),
            settled: settled == all && 0 < all,
            makespan_ms,
            lower_bound_ms,
            tree_bound_ms,
            wasted_thousandths: wasted.checked_div(used_ms).unwrap_or(0),
            messages_per_lane_tenths: self.counts.received * 10 / lanes,
            bytes_per_lane: self.counts.bytes / lanes,
            takeovers: self.truth.takeovers.len() as u64,
            takeover_p50_ms: self.truth.takeover_ms(500),
            takeover_p99_ms: self.truth.takeover_ms(990),
            proofs_lost: self.truth.lost,
            broken_invariants: self.checks.broken,
            violation: self.checks.told.first().cloned(),
            slots: settled as u64,
            events: self.counts.events,
            crashes: self.counts.crashes,
            undone: self.l1.undone,
            timeline: self.timeline,
        }
    }

    /// The roots that settled their blocks, as far as somebody here sent them.
    fn settling_roots(&self) -> Vec<Sent> {
        let settled = self.l1.events().filter_map(|(_, event)| {
            let protocol::L1Event::Settled { slot, credit, .. } = *event else { return None };
            self.sent.iter().copied().find(|it| {
                let fact = self.truth.fact(it.blob);
                it.slot == slot && fact.is_some_and(|it| it.statement.0 == credit)
            })
        });
        settled.collect()
    }

    /// Milliseconds of proving that the settled roots stand on.
    fn used_ms(&self, roots: &[Sent]) -> u64 {
        let mut used = Vec::new();
        for root in roots {
            let content = &self.contents[index(self.numbers[&root.block])];
            used.extend(
                crate::checks::settles(content, root.blob, &self.truth).unwrap_or_default(),
            );
        }
        distinct(&used).into_iter().map(|it| self.truth.facts[index(it)].took_ms).sum()
    }

    /// The lower bound and the tree bound of all blocks together: each after its reveal, and all
    /// work shared by all lanes.
    fn bounds(&self, first_s: u64) -> (u64, u64) {
        let params = &self.options.params;
        let (mut lower, mut tree, mut work) = (0, 0, 0);
        for revealed in self.l1.revealed() {
            let Some(&number) = self.numbers.get(&revealed.block) else { continue };
            let content = &self.contents[index(number)];
            let after = revealed.time_s.saturating_sub(first_s) * 1000;
            lower = lower.max(after + content.lower_bound_ms(self.hands, params));
            tree = tree.max(after + content.tree_bound_ms(self.hands, params));
            let kinds = content.places.iter().map(|&it| content.tree.nodes()[it].kind);
            work += kinds.map(|it| params.p50(it)).sum::<u64>();
        }
        (lower.max(work / self.hands.all.max(1)), tree)
    }

    /// Something that must hold does not.
    fn broken(&mut self, agent: usize, what: Invariant, detail: &str) {
        let prover = self.agents[agent].prover;
        self.checks.fail(self.now, prover, what, detail);
    }
}

/// Signed size of a message on the wire: its words, a signature, a frame.
const fn bytes_of(message: &Message) -> u64 {
    let words = match message {
        Message::Claim { .. } => 6,
        Message::Release { .. } => 5,
        Message::Beat { .. } | Message::Loss { .. } => 4,
        Message::Made { .. } => 8,
        Message::Held { .. } => 3,
        Message::Advert { .. } => 5,
    };
    words * 32 + 65 + 16
}
