//! The world: agents, links, disks, provers and an L1 that reorgs, driven by one queue of events.

mod judge;
mod perform;
mod queue;

use std::collections::BTreeMap;

use protocol::{BlobId, BlockId, Input, Message, Millis, ProverId, Slot, TaskId, View};

use crate::{
    Mutation, Outcome, WorldOptions,
    agent::Agent,
    checks::{Checks, Facts},
    content::Content,
    digest::Digest,
    l1::{GENESIS_S, L1, registration},
    rng::Rng,
};

use self::queue::Queue;

/// What can happen.
#[derive(Clone, Debug)]
enum Event {
    Mine,
    Poll(usize),
    Wake(usize),
    Deliver { to: usize, from: ProverId, message: Message },
    Connect(usize, usize),
    Started { agent: usize, task: TaskId, number: u64 },
    Proved { agent: usize, task: TaskId, number: u64 },
    Fetched { agent: usize, life: u64, blob: BlobId, task: TaskId, from: Vec<ProverId> },
    Planned { agent: usize, life: u64, block: BlockId },
    Stop(usize),
    Start(usize),
}

/// Counters of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    events: u64,
    received: u64,
    crashes: u64,
    runs: u64,
    spent_ms: u64,
}

/// The whole simulated network.
pub struct World {
    seed: u64,
    options: WorldOptions,
    rng: Rng,
    now: Millis,
    queue: Queue<Event>,
    agents: Vec<Agent>,
    l1: L1,
    contents: BTreeMap<BlockId, Content>,
    /// Blocks by slot, as the sequencer will propose them.
    planned: Vec<BlockId>,
    facts: Facts,
    /// Blobs that the settled roots were made from, and what is wrong with a root.
    checks: Checks,
    digest: Digest,
    counts: Counts,
}

/// How long a world may take after its last slot's reveal: an hour of pretended time, ten times
/// what the slowest one needs.
const PATIENCE_MS: u64 = 3_600_000;
/// L1 blocks mined after everything is settled, so that a late reorg can still undo it.
const QUIET_BLOCKS: u64 = 4;

impl World {
    /// A world at the start of slot 0.
    ///
    /// # Panics
    /// If the options describe no possible world, such as blocks without txs.
    #[must_use]
    pub fn new(seed: u64, options: WorldOptions) -> Self {
        let mut rng = Rng::new(seed);
        let count = rng.between(options.agents[0], options.agents[1]);
        let agents: Vec<Agent> = (0..u32::try_from(count).unwrap_or(u32::MAX))
            .map(|it| Agent::new(it, lanes_of(it, &options, &mut rng), &options.params))
            .collect();
        let registrations =
            agents.iter().map(|it| registration(it.prover, it.lanes[0], it.lanes[1])).collect();
        let l1 = L1::new(options.params.clone(), registrations, &mut rng);
        let start_s = GENESIS_S + options.params.genesis_block * options.params.l1_block_s;
        let mut world = Self {
            seed,
            rng,
            now: Millis(start_s * 1000),
            queue: Queue::new(),
            agents,
            l1,
            contents: BTreeMap::new(),
            planned: Vec::new(),
            facts: Facts::new(),
            checks: Checks::default(),
            digest: Digest::new(seed),
            counts: Counts::default(),
            options,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.queue.push(self.now, Event::Mine);
        for agent in 0..self.agents.len() {
            self.agents[agent].changed = self.now;
            self.queue.push(self.now, Event::Poll(agent));
        }
        if self.rng.chance(self.options.liar) {
            let liar = self.rng.index(self.agents.len());
            self.agents[liar].liar = true;
        }
        self.doom();
    }

    /// Chooses who stops for good, and when: while the first block is proved. One lane of class vm
    /// always survives, and an agent that announces true proofs.
    fn doom(&mut self) {
        let params = &self.options.params;
        let (block_ms, count) = (params.l1_block_s * 1000, self.agents.len());
        let reveal_ms = params.proposal_blocks * block_ms;
        let doomed = count as u64 * self.options.stopped / 1000;
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = self.rng.index(last + 1);
            order.swap(last, other);
        }
        let keeper = |it: &&usize| self.agents[**it].lanes[1] > 0 && !self.agents[**it].liar;
        let keeper = order.iter().find(keeper).copied();
        let chosen: Vec<usize> = order
            .into_iter()
            .filter(|&it| Some(it) != keeper)
            .take(usize::try_from(doomed).unwrap_or(0))
            .collect();
        let together = self.rng.between(0, 200_000);
        for agent in chosen {
            let after = if self.rng.chance(500) { together } else { self.rng.between(0, 250_000) };
            self.queue.push(self.now.after(reveal_ms + after), Event::Stop(agent));
        }
    }

    /// Runs until every slot is settled and quiet, or until patience ends.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let limit = self.limit();
        while let Some(at) = self.queue.next_at() {
            if limit < at || self.is_over() || self.checks.violation.is_some() {
                break;
            }
            self.next();
        }
        self.outcome()
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
        self.agents.get(agent)?.machine.as_ref().map(protocol::Coordinator::view)
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

    fn handle(&mut self, event: Event) {
        match event {
            Event::Mine => self.mine(),
            Event::Poll(agent) => self.poll(agent),
            Event::Wake(agent) => {
                if self.agents[agent].wake_at == Some(self.now) {
                    self.agents[agent].wake_at = None;
                    self.feed(agent, Input::Tick);
                }
            }
            Event::Deliver { to, from, message } => self.deliver(to, from, message),
            Event::Connect(a, b) => self.connect(a, b),
            Event::Started { agent, task, number } => self.started(agent, task, number),
            Event::Proved { agent, task, number } => self.proved(agent, task, number),
            Event::Fetched { agent, life, blob, task, from } => {
                if self.agents[agent].life == life {
                    self.fetched(agent, blob, task, &from);
                }
            }
            Event::Planned { agent, life, block } => {
                if self.agents[agent].life == life
                    && let Some(content) = self.contents.get(&block)
                {
                    let (calls, tasks) = (content.calls.clone(), content.tasks.clone());
                    self.feed(agent, Input::Planned { block, calls, tasks });
                }
            }
            Event::Stop(agent) => {
                self.account_lost_runs(agent);
                self.agents[agent].crash(self.now);
                self.agents[agent].stopped = true;
            }
            Event::Start(agent) => self.start(agent),
        }
    }

    fn mine(&mut self) {
        self.judge_heads();
        let time_s = self.now.0 / 1000;
        let params = &self.options.params;
        let next = self.l1.next_number();
        let slot = next.saturating_sub(params.genesis_block) / params.slot_blocks();
        if slot < self.options.slots {
            self.propose(Slot(slot));
        }
        if self.rng.chance(self.options.reorg) {
            let depth = self.rng.between(1, self.options.reorg_depth);
            self.l1.reorg(depth, time_s, &mut self.rng);
        } else {
            self.l1.mine(time_s, &mut self.rng);
        }
        for agent in 0..self.agents.len() {
            let delay = self.rng.between(100, 3_000);
            self.queue.push(self.now.after(delay), Event::Poll(agent));
        }
        if self.rng.chance(self.options.cut) {
            self.cut();
        }
        self.judge_losses();
        let block_ms = self.options.params.l1_block_s * 1000;
        self.queue.push(self.now.after(block_ms), Event::Mine);
    }

    /// One agent hears nobody and is heard by nobody for a while.
    fn cut(&mut self) {
        let [low, high] = self.options.cut_ms;
        let (agent, ms) = (self.rng.index(self.agents.len()), self.rng.between(low, high));
        self.agents[agent].cut_until = self.now.after(ms);
        for other in (0..self.agents.len()).filter(|&it| it != agent) {
            let delay = self.rng.between(1, 2_000);
            self.queue.push(self.now.after(ms + delay), Event::Connect(agent, other));
        }
    }

    fn propose(&mut self, slot: Slot) {
        let number = usize::try_from(slot.0).unwrap_or(usize::MAX);
        if number == self.planned.len() {
            let content = Content::new(slot.0, &self.options, &mut self.rng);
            self.planned.push(content.block);
            self.contents.insert(content.block, content);
        }
        if let Some(content) = self.planned.get(number).and_then(|it| self.contents.get(it)) {
            self.l1.schedule(slot, content, &mut self.rng);
        }
    }

    /// Brings an agent's L1 up to date: back to the fork, then forward. A crash ends it.
    fn poll(&mut self, agent: usize) {
        let life = self.agents[agent].life;
        while self.agents[agent].is_up() && self.agents[agent].life == life {
            let known = self.agents[agent].l1.len();
            let last = self.agents[agent].l1.last().copied();
            let stands = known.checked_sub(1).and_then(|it| self.l1.blocks.get(it));
            if let Some(hash) = last.filter(|&hash| stands.is_none_or(|it| it.hash != hash)) {
                self.undo(agent, hash);
            } else if let Some(block) = self.l1.blocks.get(known) {
                let input = block.input();
                self.agents[agent].l1.push(block.hash);
                self.feed(agent, input);
            } else {
                break;
            }
        }
        self.plan(agent);
    }

    fn undo(&mut self, agent: usize, hash: protocol::Hash) {
        self.agents[agent].l1.pop();
        if self.options.mutation != Mutation::IgnoreUndo {
            self.feed(agent, Input::L1Undo { hash });
        }
    }

    /// A new block is executed and checked, which takes a while.
    fn plan(&mut self, agent: usize) {
        let it = &mut self.agents[agent];
        let Some(machine) = &it.machine else { return };
        let life = it.life;
        let fresh: Vec<BlockId> =
            machine.unplanned().into_iter().filter(|&block| it.planning.insert(block)).collect();
        for block in fresh {
            let took = self.rng.between(300, 4_000);
            self.queue.push(self.now.after(took), Event::Planned { agent, life, block });
        }
    }

    fn start(&mut self, agent: usize) {
        if self.agents[agent].is_up() || self.agents[agent].stopped {
            return;
        }
        if self.options.mutation == Mutation::ForgetJournal {
            self.agents[agent].disk.clear();
        }
        if self.options.mutation == Mutation::LoseLastRecord {
            self.agents[agent].disk.pop();
        }
        let params = self.options.params.clone();
        self.agents[agent].start(self.now, &params);
        self.poll(agent);
        for other in (0..self.agents.len()).filter(|&it| it != agent) {
            let delay = self.rng.between(100, 2_000);
            self.queue.push(self.now.after(delay), Event::Connect(agent, other));
        }
    }

    fn is_over(&self) -> bool {
        let mined = self.l1.next_number();
        let last = self.options.params.reveal_end(Slot(self.options.slots.saturating_sub(1)));
        let settled = self.l1.revealed().iter().all(|&(slot, ..)| self.l1.is_settled(slot));
        let quiet = self.l1.blocks.iter().rev().take(4).all(|it| it.events.is_empty());
        last + QUIET_BLOCKS < mined && settled && quiet
    }

    fn outcome(self) -> Outcome {
        let revealed = self.l1.revealed();
        let settled: Vec<u64> =
            revealed.iter().filter_map(|&(slot, ..)| self.l1.settled_s(slot)).collect();
        let all = settled.len() == revealed.len() && !revealed.is_empty();
        let first = revealed.iter().map(|it| it.2).min().unwrap_or(0);
        let last = settled.iter().copied().max().unwrap_or(first);
        let used_ms = self.used_ms();
        let spent = self.counts.spent_ms;
        let lanes: u64 =
            self.agents.iter().map(|it| u64::from(it.lanes[0]) + u64::from(it.lanes[1])).sum();
        Outcome {
            seed: self.seed,
            digest: self.digest.hex(),
            settled: all && self.checks.violation.is_none(),
            makespan_ms: last.saturating_sub(first) * 1000,
            lower_bound_ms: self.lower_bound_ms(lanes, first),
            wasted_thousandths: (spent.saturating_sub(used_ms) * 1000)
                .checked_div(spent)
                .unwrap_or(0),
            messages_per_lane_tenths: self.counts.received * 10 / lanes.max(1),
            violation: self.checks.violation,
            slots: settled.len() as u64,
            events: self.counts.events,
            crashes: self.counts.crashes,
            undone: self.l1.undone,
        }
    }

    /// The critical path of each block after its reveal, and all work shared by all lanes.
    fn lower_bound_ms(&self, lanes: u64, first_s: u64) -> u64 {
        let params = &self.options.params;
        let blocks = self.l1.revealed().into_iter().filter_map(|(_, block, time_s)| {
            let tree = &self.contents.get(&block)?.tree;
            let way = (time_s - first_s) * 1000 + tree.critical_path_ms(params);
            Some((way, tree.work_ms(params)))
        });
        let (ways, works): (Vec<u64>, Vec<u64>) = blocks.unzip();
        let work: u64 = works.iter().sum();
        ways.into_iter().max().unwrap_or(0).max(work / lanes.max(1))
    }
}

/// Every second agent has lanes of class vm alone, the others one of class rollup as well.
fn lanes_of(number: u32, options: &WorldOptions, rng: &mut Rng) -> [u16; 2] {
    let lanes = u16::try_from(rng.between(options.lanes[0], options.lanes[1])).unwrap_or(1);
    if number.is_multiple_of(2) { [0, lanes] } else { [1, lanes - 1] }
}
