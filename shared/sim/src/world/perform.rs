//! Steps an agent takes and what its shell does with its actions: disk, links, provers, fetches.

use std::collections::BTreeSet;

use protocol::{
    Action, BlobId, Credit, Input, L1Event, Message, ProverEvent, ProverId, Slot, StatementId,
    TaskId,
    assign::{keccak::keccak256, statement_id},
};

use super::{Event, World};
use crate::{
    Mutation,
    agent::Run,
    checks::{Fact, settles},
    l1::payout_of,
};

impl World {
    /// One step and its actions. A crash may fall between any two of them.
    pub(super) fn feed(&mut self, agent: usize, input: Input) {
        let Some(machine) = self.agents[agent].machine.as_mut() else { return };
        let mut actions = Vec::new();
        machine.step(self.now, input, &mut actions);
        self.schedule_wake(agent);
        if self.options.mutation == Mutation::SpeakBeforePersist {
            actions.sort_by_key(|it| matches!(it, Action::Persist(_)));
        }
        for action in actions {
            let every = self.options.crash_every;
            if 0 < every && self.rng.bits().is_multiple_of(every) {
                self.crash(agent);
                return;
            }
            self.digest.action(self.now, agent, &action);
            self.checks.action(self.now, &self.agents[agent], &action, &self.facts);
            self.perform(agent, action);
        }
        let it = &self.agents[agent];
        if let Some(machine) = &it.machine {
            self.checks.deals(self.now, it.prover, machine);
        }
    }

    fn schedule_wake(&mut self, agent: usize) {
        let it = &mut self.agents[agent];
        let Some((at, _why)) = it.machine.as_ref().and_then(protocol::Coordinator::deadline) else {
            return;
        };
        assert!(self.now < at, "a deadline that has passed would never be met");
        if it.wake_at.is_none_or(|scheduled| at < scheduled) {
            it.wake_at = Some(at);
            self.queue.push(at, Event::Wake(agent));
        }
    }

    fn crash(&mut self, agent: usize) {
        self.counts.crashes += 1;
        self.account_lost_runs(agent);
        self.agents[agent].crash(self.now);
        let [low, high] = self.options.downtime_ms;
        let downtime = self.rng.between(low, high);
        self.queue.push(self.now.after(downtime), Event::Start(agent));
    }

    /// Work in progress is spent, and nobody gets it.
    pub(super) fn account_lost_runs(&mut self, agent: usize) {
        let runs = self.agents[agent].running.values();
        self.counts.spent_ms += runs.map(|it| self.now.since(it.started)).sum::<u64>();
    }

    fn perform(&mut self, agent: usize, action: Action) {
        match action {
            Action::Persist(record) => self.agents[agent].disk.push(record),
            Action::Send { message, .. } => self.send(agent, message),
            // Everybody was sent it when it was first heard.
            Action::Relay { .. } => (),
            Action::Fetch { blob, task, from } => {
                let delay = self.rng.between(50, 1_500);
                let life = self.agents[agent].life;
                let event = Event::Fetched { agent, life, blob, task, from };
                self.queue.push(self.now.after(delay), event);
            }
            Action::Prove { task, children, .. } => {
                self.counts.runs += 1;
                let dropped = self.options.mutation == Mutation::DropChildren;
                let children = if dropped { Vec::new() } else { children };
                let number = self.counts.runs;
                let run = Run { started: self.now, children, number };
                self.agents[agent].running.insert(task, run);
                let delay = self.rng.between(1, 300);
                self.queue.push(self.now.after(delay), Event::Started { agent, task, number });
            }
            Action::Abandon { task } => {
                if let Some(run) = self.agents[agent].running.remove(&task) {
                    self.counts.spent_ms += self.now.since(run.started);
                }
            }
            Action::SubmitRoot { slot, statement, blob } => {
                self.submit(agent, slot, statement, blob);
            }
            Action::Note { .. } => (),
        }
    }

    fn send(&mut self, agent: usize, message: Message) {
        let message = if self.agents[agent].liar { self.falsify(agent, message) } else { message };
        if self.options.mutation == Mutation::NoBeats && matches!(message, Message::Beat { .. }) {
            return;
        }
        let from = self.agents[agent].prover;
        self.agents[agent].seen.insert(message);
        self.agents[agent].keep(from, message);
        self.spread(agent, from, message);
    }

    /// A liar's announcement names a blob that does not verify.
    fn falsify(&mut self, agent: usize, message: Message) -> Message {
        let Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb } = message
        else {
            return message;
        };
        let maker = self.agents[agent].prover;
        let blob = BlobId(keccak256(&[b"false", &blob.0]).0);
        let (children, took_ms, valid) = (Vec::new(), 0, false);
        self.facts.insert(blob, Fact { task, statement, maker, children, took_ms, valid });
        self.agents[agent].store.insert(blob);
        Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb }
    }

    /// To every peer. A lost message is a broken connection: both ends repeat what they hold when
    /// it is back.
    fn spread(&mut self, agent: usize, from: ProverId, message: Message) {
        for to in (0..self.agents.len()).filter(|&it| it != agent) {
            if self.agents[to].stopped || self.agents[to].prover == from {
                continue;
            }
            if self.is_cut(agent) || self.is_cut(to) {
                continue;
            }
            if self.rng.chance(self.options.loss) {
                let delay = self.rng.between(500, 3_000);
                self.queue.push(self.now.after(delay), Event::Connect(agent, to));
                continue;
            }
            self.transmit(to, from, message);
            if self.rng.chance(self.options.duplication) {
                self.transmit(to, from, message);
            }
        }
    }

    /// Cut off from the mesh; whoever cut it off connects it again.
    fn is_cut(&self, agent: usize) -> bool {
        self.now < self.agents[agent].cut_until
    }

    fn transmit(&mut self, to: usize, from: ProverId, message: Message) {
        let [low, high] = self.options.delay_ms;
        let delay = self.rng.between(low, high);
        self.queue.push(self.now.after(delay), Event::Deliver { to, from, message });
    }

    /// Taken and forwarded once. What an agent said before a crash comes back to it as well.
    pub(super) fn deliver(&mut self, to: usize, from: ProverId, message: Message) {
        let it = &mut self.agents[to];
        if !it.is_up() || !it.seen.insert(message) {
            return;
        }
        it.keep(from, message);
        self.counts.received += 1;
        let deaf = self.options.mutation == Mutation::DeafToLosses;
        if deaf && matches!(message, Message::Loss { .. }) {
            return;
        }
        self.feed(to, Input::Peer { from, message });
        self.spread(to, from, message);
    }

    /// Both ends repeat what they hold of unsettled slots.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        if !self.agents[a].is_up() || !self.agents[b].is_up() {
            return;
        }
        if self.is_cut(a) || self.is_cut(b) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let repeats = self.agents[from].repeats();
            let news = repeats.into_iter().filter(|(_, it)| !self.agents[to].seen.contains(it));
            for (signer, message) in news.collect::<Vec<_>>() {
                self.transmit(to, signer, message);
            }
        }
    }

    /// The run is still this one.
    fn runs(&self, agent: usize, task: TaskId, number: u64) -> bool {
        self.agents[agent].running.get(&task).is_some_and(|it| it.number == number)
    }

    pub(super) fn started(&mut self, agent: usize, task: TaskId, number: u64) {
        if !self.runs(agent, task, number) {
            return;
        }
        let usual = self.options.params.p50_ms[1];
        let [low, high] = self.options.duration;
        let took = usual * self.rng.between(low, high) / 1000;
        self.queue.push(self.now.after(took), Event::Proved { agent, task, number });
        self.feed(agent, Input::Prover(ProverEvent::Started { task }));
    }

    pub(super) fn proved(&mut self, agent: usize, task: TaskId, number: u64) {
        if !self.runs(agent, task, number) {
            return;
        }
        let Some(run) = self.agents[agent].running.remove(&task) else { return };
        let took_ms = self.now.since(run.started);
        self.counts.spent_ms += took_ms;
        if self.rng.chance(self.options.prove_failure) {
            let why = "PRV-070";
            self.feed(agent, Input::Prover(ProverEvent::Failed { task, why }));
            return;
        }
        let maker = self.agents[agent].prover;
        let statement = self.statement(task, maker, &run.children);
        let blob = BlobId(keccak256(&[b"proof", &statement.0, &run.number.to_be_bytes()]).0);
        let valid = run.children.iter().all(|it| self.facts.get(it).is_some_and(|it| it.valid));
        let children = run.children;
        self.facts.insert(blob, Fact { task, statement, maker, children, took_ms, valid });
        self.agents[agent].store.insert(blob);
        let cpu_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
        let credit = self.credit(maker);
        let (task, peak_mb) = (task, 4_000);
        let made = ProverEvent::Made { task, statement, blob, credit, cpu_ms, peak_mb };
        self.feed(agent, Input::Prover(made));
    }

    /// Task, payee, and what is below: the same work by the same prover says the same.
    fn statement(&self, task: TaskId, maker: ProverId, children: &[BlobId]) -> StatementId {
        let below: Vec<[u8; 32]> = children
            .iter()
            .filter_map(|it| self.facts.get(it))
            .map(|fact| fact.statement.0)
            .collect();
        let credit = keccak256(&below.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>());
        statement_id(task, payout_of(maker), &credit.0)
    }

    fn credit(&self, maker: ProverId) -> Credit {
        let own = self.options.params.units[1];
        let payee = payout_of(maker);
        Credit { kind: 3, own, total: own, payee, left: [0; 32], right: [0; 32] }
    }

    /// A fetch ends: some peer that was named has the blob, and it verifies, or not.
    pub(super) fn fetched(&mut self, agent: usize, blob: BlobId, task: TaskId, from: &[ProverId]) {
        let now = self.now;
        let serves = |it: &crate::agent::Agent| {
            let here = it.is_up() && it.cut_until <= now;
            here && from.contains(&it.prover) && it.store.contains(&blob)
        };
        let reachable = !self.is_cut(agent) && self.agents.iter().any(serves);
        let found = reachable && !self.rng.chance(self.options.fetch_loss);
        let fact = self.facts.get(&blob).filter(|it| found && it.task == task);
        let credulous = self.options.mutation == Mutation::AcceptEverything;
        let Some((statement, maker)) =
            fact.filter(|it| it.valid || credulous).map(|it| (it.statement, it.maker))
        else {
            self.feed(agent, Input::FetchFailed { blob });
            return;
        };
        self.agents[agent].store.insert(blob);
        let credit = self.credit(maker);
        self.feed(agent, Input::Accepted { task, statement, blob, credit });
    }

    /// The contract takes a root only if everything below it verifies.
    fn submit(&mut self, agent: usize, slot: Slot, statement: StatementId, blob: BlobId) {
        let prover = self.agents[agent].prover;
        let revealed = self.l1.revealed().into_iter().find(|(it, ..)| *it == slot);
        let Some(content) = revealed.and_then(|(_, block, _)| self.contents.get(&block)) else {
            return;
        };
        match settles(content, blob, &self.facts) {
            Ok(_) => {
                let units = content.tree.nodes().len() as u64 * self.options.params.units[1];
                let (end, credit, payee) = (content.root().0, statement.0, payout_of(prover));
                let pool = u128::from(units);
                let settled = L1Event::Settled { slot, end, credit, payee, units, pool };
                let delay = self.rng.between(0, 2);
                let number = self.l1.next_number() + delay;
                self.l1.send(settled, number);
            }
            Err(why) => {
                let what = format!("submits a root for slot {slot} that L1 refuses: {why}");
                self.checks.fail(self.now, prover, &what);
            }
        }
    }

    /// Milliseconds of proving that the settled roots stand on.
    pub(super) fn used_ms(&self) -> u64 {
        let roots = self.l1.blocks.iter().flat_map(|it| &it.events).filter_map(|event| {
            let L1Event::Settled { credit, .. } = *event else { return None };
            let mut roots = self.facts.iter();
            roots.find(|(_, it)| it.statement.0 == credit && it.valid).map(|(&blob, _)| blob)
        });
        let mut used: BTreeSet<BlobId> = BTreeSet::new();
        let mut open: Vec<BlobId> = roots.collect();
        while let Some(blob) = open.pop() {
            let fact = self.facts.get(&blob).filter(|_| used.insert(blob));
            open.extend(fact.into_iter().flat_map(|it| &it.children));
        }
        used.iter().filter_map(|it| self.facts.get(it)).map(|it| it.took_ms).sum()
    }
}
