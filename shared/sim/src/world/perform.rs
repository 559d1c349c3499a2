//! Steps an agent takes and what its shell does with its actions: disk, links, fetches, L1.

use protocol::{
    Action, Audience, BlobId, Input, L1Event, LaneId, Message, Previous, ProverId, Record, Slot,
    StatementId, TaskId,
};

use super::{Event, Fetch, Sent, World, index, l1::payout_of, number};
use crate::{
    Behaviour, Mutation, Sequencer,
    checks::{Invariant, Scene, settles},
};

/// Milliseconds that a peer who does not answer costs a fetch.
const NO_ANSWER_MS: u64 = 500;
/// Bits of a proof on the wire (32 kB).
const PROOF_BITS: u64 = 32 * 1024 * 8;

impl World {
    /// One step and its actions. A crash may fall between any two of them.
    pub(super) fn feed(&mut self, agent: usize, input: Input) {
        let Some(machine) = self.agents[agent].machine.as_mut() else { return };
        if let Some(told) = self.told.get_mut(agent) {
            told.push((self.now, input.clone()));
        }
        let mut actions = core::mem::take(&mut self.actions);
        machine.step(self.now, input, &mut actions);
        if self.options.mutation != Mutation::None {
            self.mistake(agent, &mut actions);
        }
        let every = self.options.prover.crash_every;
        let mut record = false;
        for action in actions.drain(..) {
            if 0 < every && self.rng.bits().is_multiple_of(every) {
                self.crash(agent, record);
                break;
            }
            record = matches!(action, Action::Persist(_));
            self.digest.action(self.now, agent, &action);
            self.story.action(self.now, &action, &self.truth, &self.contents);
            if self.agents[agent].behaviour == Behaviour::Honest {
                self.check(agent, &action);
                self.perform(agent, action);
            } else if let Some(action) = self.bend(agent, action) {
                self.perform(agent, action);
            }
        }
        actions.clear();
        self.actions = actions;
        self.schedule_wake(agent);
    }

    fn check(&mut self, agent: usize, action: &Action) {
        let scene = Scene {
            now: self.now,
            agent: &self.agents[agent],
            truth: &self.truth,
            contents: &self.contents,
            params: &self.options.params,
            hands: self.hands,
            orderly: self.orderly,
        };
        self.checks.action(&scene, action);
    }

    pub(super) fn schedule_wake(&mut self, agent: usize) {
        let it = &mut self.agents[agent];
        let Some((at, why)) = it.machine.as_ref().and_then(|it| it.deadline()) else { return };
        if at <= self.now {
            let detail = format!("the deadline {why} lies {} ms back", self.now.since(at));
            self.broken(agent, Invariant::FreshDeadline, &detail);
            return;
        }
        if it.wake_at.is_none_or(|scheduled| at < scheduled) {
            it.wake_at = Some(at);
            self.queue.push(at, Event::Wake(number(agent)));
        }
    }

    fn perform(&mut self, agent: usize, action: Action) {
        match action {
            Action::Persist(record) => self.persist(agent, record),
            Action::Send { message, to } => self.say(agent, message, to),
            Action::Relay { message, to } => {
                self.send(agent, message.speaker().prover(), message, to);
            }
            Action::Fetch { blob, task, from } => self.fetch(agent, blob, task, &from),
            Action::Prove { task, lane, children, .. } => self.prove(agent, task, lane, &children),
            Action::Abandon { task } => self.abandon(agent, task),
            Action::SubmitRoot { slot, blob, .. } => self.submit(agent, slot, blob),
            Action::Note { .. } => (),
        }
    }

    fn persist(&mut self, agent: usize, record: Record) {
        match record {
            Record::Claimed { task, lane, seq, .. } => {
                let proved = self.agents[agent].proved.contains(&task);
                if let Some(it) = self.agents[agent].lane(lane) {
                    it.since = self.now;
                    it.seq = it.seq.max(seq);
                    it.made.extend(proved.then_some((seq, task)));
                    it.live = Some((seq, task)).filter(|_| !proved).or(it.live);
                }
                let silent =
                    matches!(self.agents[agent].behaviour, Behaviour::Phantom | Behaviour::Refuser);
                if let Some(task) = self.truth.task(task).filter(|_| !silent) {
                    self.truth.join(self.now, task, lane);
                }
            }
            Record::Ended { lane, seq, how } => {
                if how == Previous::Capped {
                    self.excuse(agent, lane);
                }
                let ended = self.agents[agent].lane(lane).and_then(|it| it.end(seq));
                if let Some(task) = ended.and_then(|(_, task)| self.truth.task(task)) {
                    self.truth.tasks[index(task)].live.retain(|it| *it != lane);
                }
            }
            Record::Made { statement, .. } | Record::Held { statement, .. } => {
                if let Record::Made { task, .. } = record {
                    self.journal_proof(agent, task);
                }
                let said = self.truth.said(statement);
                self.agents[agent].durable.insert(said);
            }
            Record::Settled { .. } => (),
        }
        if 0 < self.options.prover.crash_every {
            self.agents[agent].disk.push(record);
        }
    }

    /// The task's claim is not in work any more.
    fn journal_proof(&mut self, agent: usize, task: TaskId) {
        let own: Vec<_> = self.agents[agent].lanes.iter().map(|it| it.id).collect();
        self.agents[agent].prove(task);
        if let Some(task) = self.truth.task(task) {
            self.truth.tasks[index(task)].live.retain(|it| !own.contains(it));
        }
    }

    /// Taking over from a lane that ran into its cap pays in full (R9.3).
    fn excuse(&mut self, agent: usize, lane: LaneId) {
        let live = self.agents[agent].lane(lane).and_then(|it| it.live);
        let Some(task) = live.and_then(|(_, task)| self.truth.task(task)) else { return };
        let slot = Slot(u64::from(self.truth.places[index(task)].content));
        self.books.account.excused.insert((slot, lane.prover()));
    }

    fn say(&mut self, agent: usize, message: Message, to: Audience) {
        let signer = self.agents[agent].prover;
        self.send(agent, signer, message, to);
    }

    /// Asks those who said that they have it, in turn: each that does not answer costs time.
    fn fetch(&mut self, agent: usize, blob: BlobId, task: TaskId, from: &[ProverId]) {
        let known = self.truth.blob(blob);
        let (mut delay, mut holder) = (0, None);
        for prover in from {
            let other = index(prover.0);
            if other == agent || !self.serves(agent, other, known) {
                delay += NO_ANSWER_MS;
                continue;
            }
            let slow = self.agents[agent].slow || self.agents[other].slow;
            let factor = if slow { self.options.mesh.slow_factor } else { 1 };
            let transfer = PROOF_BITS * factor / self.options.mesh.bandwidth_kbps.max(1);
            delay += self.delay_ms(agent, other) + self.delay_ms(other, agent) + transfer;
            holder = Some(prover.0);
            break;
        }
        delay += self.options.mesh.check_ms;
        let life = self.agents[agent].life;
        let fetch = Fetch { agent: number(agent), life, blob, task, holder };
        self.queue.push(self.now.after(delay.max(1)), Event::Fetched(Box::new(fetch)));
    }

    fn serves(&self, asker: usize, holder: usize, blob: Option<u32>) -> bool {
        let Some(it) = self.agents.get(holder) else { return false };
        let serves = Self::serves_proofs(it.behaviour);
        let here = it.is_up() && serves && !self.is_apart(asker, holder);
        here && blob.is_some_and(|blob| it.store.contains(&blob))
    }

    /// A fetch ends: the proof is there and verifies, or not.
    pub(super) fn fetched(&mut self, fetch: &Fetch) {
        let agent = index(fetch.agent);
        if self.agents[agent].life != fetch.life {
            return;
        }
        let blob = self.truth.blob(fetch.blob);
        let there = fetch.holder.is_some_and(|it| self.serves(agent, index(it), blob));
        let found = blob.filter(|_| there && !self.rng.chance(self.options.mesh.fetch_loss));
        let Some(number) = found else {
            self.feed(agent, Input::FetchFailed { blob: fetch.blob, refused: false });
            return;
        };
        self.counts.bytes += PROOF_BITS / 8;
        let credulous = self.options.mutation == Mutation::AcceptEverything;
        let fact = &self.truth.facts[index(number)];
        if !(fact.valid || credulous) || self.truth.task(fetch.task) != Some(fact.task) {
            self.feed(agent, Input::FetchFailed { blob: fetch.blob, refused: true });
            return;
        }
        let (statement, maker, total) = (fact.statement, fact.maker, fact.total);
        if self.agents[agent].store.insert(number) {
            self.truth.facts[index(number)].copies += 1;
        }
        let credit = self.credit(maker, total);
        self.feed(agent, Input::Accepted { task: fetch.task, statement, blob: fetch.blob, credit });
    }

    /// The contract takes a root only if everything below it verifies.
    fn submit(&mut self, agent: usize, slot: Slot, blob: BlobId) {
        let revealed = self.l1.revealed().into_iter().find(|it| it.slot == slot);
        let Some(block) = revealed.map(|it| it.block) else { return };
        let Some(&content) = self.numbers.get(&block) else { return };
        let content = &self.contents[index(content)];
        match settles(content, blob, &self.truth) {
            Ok(used) => {
                let units = used.len() as u64 * self.options.params.units[1];
                let statement =
                    self.truth.fact(blob).map_or(StatementId::default(), |it| it.statement);
                let (end, credit) = (content.root().0, statement.0);
                let payee = payout_of(self.agents[agent].prover);
                self.judge_credit(agent, blob);
                let pool = u128::from(units);
                let settled = L1Event::Settled { slot, end, credit, payee, units, pool };
                if self.sent.iter().all(|it| it.blob != blob) {
                    self.sent.push(Sent { slot, block, blob, at: self.now });
                }
                self.include(agent, settled);
            }
            Err(why) => {
                let what = format!("submits a root for slot {slot} that L1 refuses: {why}");
                self.broken(agent, Invariant::TrueRoots, &what);
            }
        }
    }

    /// A settlement waits for its inclusion, longer in a fee spike, for ever if it is censored.
    fn include(&mut self, agent: usize, settled: L1Event) {
        if self.options.l1.censor_first {
            let censored = *self.censored.get_or_insert(agent);
            if censored == agent {
                return;
            }
        }
        let [low, high] = self.options.l1.inclusion;
        let mut wait = self.rng.between(low, high);
        if self.rng.chance(self.options.l1.spike) {
            wait += self.options.l1.spike_blocks;
        }
        let at = self.l1.next_number() + wait;
        self.l1.send(settled, at);
    }

    /// Whether the sequencer's block holds a task that this agent's lanes cannot prove.
    pub(super) fn kills(&self, agent: usize, task: TaskId) -> bool {
        let Some(number) = self.truth.task(task) else { return false };
        let place = self.truth.places[index(number)];
        let kind = self.sequencer_of(u64::from(place.content));
        let tree = &self.contents[index(place.content)].tree;
        let node = tree.nodes()[index(place.place)];
        let poison = match kind {
            Sequencer::ProverKiller => true,
            Sequencer::RollupKiller => self.agents[agent].class() == protocol::Class::Rollup,
            Sequencer::Honest
            | Sequencer::Withholds
            | Sequencer::RevealsLate
            | Sequencer::NeverReveals
            | Sequencer::AloneUndeclared
            | Sequencer::AloneDeclared => false,
        };
        poison && node.kind == protocol::Kind::Base && node.index == 0
    }
}
