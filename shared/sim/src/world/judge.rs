//! What is judged once per L1 block, about everybody's picture of everybody else, and at the end.

use std::collections::BTreeMap;

use protocol::{BlobId, Input, Kind, LaneId, Millis, Slot};

use super::{
    World,
    agent::{Agent, Lane},
    conduct::mistake::settled_twice,
    index,
};
use crate::{
    Behaviour, Sequencer,
    checks::Invariant,
    machine,
    report::pay::{UNIT_PAY, pay},
};

/// Proofs that one agent stores for each task of the world at most.
const STORED_PER_TASK: usize = 4;
/// Milliseconds within which an agent does what is due.
const PUNCTUAL_MS: u64 = 15_000;
/// Seconds after a settlement within which its claims end everywhere.
const SETTLED_S: u64 = 60;
/// Claims on one task of the dead that may fail before one holds.
const ATTEMPTS: u64 = 10;
/// Thousandths of L1 blocks that an agent is made to undo in thought.
const UNDO_CHANCE: u64 = 20;
/// Worlds of at most this many agents are judged all to all.
pub(super) const ALL_TO_ALL_MAX: usize = 64;

impl World {
    /// All agents compute the same deal. In large worlds every hundredth agent is asked.
    pub(super) fn judge_deals(&mut self, agent: usize) {
        let asked = self.agents.len() <= ALL_TO_ALL_MAX || agent.is_multiple_of(101);
        let it = &self.agents[agent];
        if let (true, Some(machine)) = (asked, &it.machine) {
            self.checks.deals(self.now, it.prover, machine);
        }
    }

    pub(super) fn judge_block(&mut self) {
        self.judge_heads();
        self.judge_claims();
        self.judge_releases();
        if let Some(slot) = settled_twice(self.l1.events().map(|(_, it)| it)) {
            self.broken(0, Invariant::SettledOnce, &format!("slot {slot} is settled twice"));
        }
        if self.agents.len() <= ALL_TO_ALL_MAX {
            self.judge_losses();
        }
    }

    /// Who is gone for good must be known as lost to somebody who listened long enough, and
    /// who was never down to nobody, once it had half a beat to answer: links break for seconds
    /// here, never for as long as silence takes.
    fn judge_losses(&mut self) {
        let mut known: BTreeMap<(Slot, LaneId), [u32; 2]> = BTreeMap::new();
        let (mut told, mut wrong): (Vec<_>, Vec<(usize, LaneId)>) = (Vec::new(), Vec::new());
        for (number, judge) in self.agents.iter().enumerate() {
            let Some(machine) = &judge.machine else { continue };
            for (slot, started, lanes) in machine::losses(machine) {
                let began = started.max(judge.changed).max(judge.cut_until).max(self.reorged_at);
                let here = |it: &LaneId| judge.cut_until == Millis(0) && self.was_always_here(*it);
                let answer = self.options.params.beat_ms / 2;
                let late = |since: Millis| since.after(answer) < self.now;
                let lost = lanes.iter().filter(|it| it.1.is_some_and(late)).map(|it| it.0);
                wrong.extend(lost.filter(here).map(|it| (number, it)));
                let gone = lanes.into_iter().filter(|it| self.is_gone(began, it.0));
                told.extend(gone.map(|(lane, lost)| ((slot, lane), lost.is_some())));
            }
        }
        for (what, lost) in told {
            known.entry(what).or_default()[usize::from(lost)] += 1;
        }
        for (judge, lane) in wrong {
            self.broken(judge, Invariant::HereIsNotLost, &format!("lane {lane}"));
        }
        for ((slot, lane), [not, lost]) in known {
            if lost == 0 && 1 < not {
                let detail = format!("lane {lane} in slot {slot}: {not} do not know, {lost} do");
                self.broken(index(lane.prover().0), Invariant::GoneIsLost, &detail);
            }
        }
    }

    /// Whether the lane is gone for so long that whoever listens since `began` knows.
    fn is_gone(&self, began: Millis, lane: LaneId) -> bool {
        let patience = 4 * self.options.params.silence_ms();
        let other = &self.agents[index(lane.prover().0)];
        other.stopped && other.changed.max(began).after(patience) < self.now
    }

    fn was_always_here(&self, lane: LaneId) -> bool {
        let mesh = &self.options.mesh;
        let short = mesh.cut == 0 || mesh.cut_ms[1] < self.options.params.silence_ms();
        let heard = mesh.groups < 2 && mesh.drop == 0 && short;
        let it = &self.agents[index(lane.prover().0)];
        heard && it.life == 0 && it.starved_ms == 0 && it.cut_until == Millis(0)
    }

    /// One L1 block later everybody who runs follows the canonical chain.
    fn judge_heads(&mut self) {
        let newest = self.l1.tip().map(|it| (it.hash, Millis(it.time_s * 1000)));
        let block_ms = self.options.params.l1_block_s * 1000;
        let mut wrong = Vec::new();
        for (number, agent) in self.agents.iter().enumerate() {
            let ready = agent.changed.after(block_ms) <= self.now;
            let head = agent.machine.as_ref().and_then(|it| machine::head(it));
            if ready && agent.is_up() && head != newest.map(|it| it.0) {
                wrong.push(number);
            }
        }
        for agent in wrong {
            self.broken(agent, Invariant::HeadsAgree, "does not follow the canonical chain");
        }
    }

    /// Whether a revealed block can be proved at all.
    pub(super) fn should_settle(&self, revealed: &super::l1::Revealed) -> bool {
        let kind = self.sequencer_of(revealed.slot.0);
        !matches!(kind, Sequencer::Withholds | Sequencer::ProverKiller)
    }

    /// Now and then: a block taken, undone and taken again leaves what taking it once leaves (R12.2).
    pub(super) fn judge_undo(&mut self, agent: usize, place: u32) {
        if ALL_TO_ALL_MAX < self.agents.len() || !self.rng.chance(UNDO_CHANCE) {
            return;
        }
        let block = &self.l1.all[index(place)];
        let Some(machine) = &self.agents[agent].machine else { return };
        let (mut machine, mut actions) = (machine.clone(), Vec::new());
        machine.step(self.now, block.input(), &mut actions);
        let once = machine::facts(&machine);
        machine.step(self.now, Input::L1Undo { hash: block.hash }, &mut actions);
        machine.step(self.now, block.input(), &mut actions);
        if machine::facts(&machine) != once {
            let what = format!("L1 block {}", block.number);
            self.broken(agent, Invariant::UndoExact, &what);
        }
    }

    /// Claims end at their caps, at the latest with their slots, and stores stay bounded.
    fn judge_claims(&mut self) {
        let mut wrong: Vec<(usize, Invariant, String)> = Vec::new();
        let room = STORED_PER_TASK * self.truth.tasks.len();
        for (number, agent) in self.agents.iter().enumerate() {
            let honest = agent.behaviour == Behaviour::Honest && agent.is_up();
            if honest && room < agent.store.len() {
                let detail = format!("{} proofs are stored", agent.store.len());
                wrong.push((number, Invariant::MemoryBounded, detail));
            }
            let lanes = agent.lanes.iter().filter(|it| honest && self.is_overdue(agent, it));
            wrong.extend(lanes.map(|it| {
                let detail = format!("the claim of lane {}", it.id);
                (number, Invariant::CapRespected, detail)
            }));
        }
        for (agent, what, detail) in wrong {
            self.broken(agent, what, &detail);
        }
    }

    /// What was given back was told, unless a crash fell between record and word.
    fn judge_releases(&mut self) {
        for number in 0..self.agents.len() {
            let it = &self.agents[number];
            let honest = it.behaviour == Behaviour::Honest && it.is_up();
            let untold = self.checks.untold(it.prover, it.changed, self.now);
            for lane in untold.into_iter().filter(|_| honest) {
                self.broken(number, Invariant::ReleaseTold, &format!("lane {lane}"));
            }
        }
    }

    /// Whether the lane's live claim is older than its cap.
    fn is_overdue(&self, agent: &Agent, lane: &Lane) -> bool {
        let Some(kind) = lane.live.and_then(|(_, task)| self.kind_of(task)) else { return false };
        let cap = self.options.params.claim_cap_ms(kind) + PUNCTUAL_MS;
        lane.since.max(agent.changed).after(cap) < self.now
    }

    /// The units that a root credits are those of its tree (R8.1).
    pub(super) fn judge_credit(&mut self, agent: usize, blob: BlobId) {
        let Some(fact) = self.truth.fact(blob) else { return };
        let place = self.truth.places[index(fact.task)];
        let tasks = self.contents[index(place.content)].tasks.len() as u64;
        let (credited, units) = (fact.total, tasks * self.options.params.units[1]);
        if credited != units {
            let detail = format!("{credited} units are credited in a tree of {units}");
            self.broken(agent, Invariant::CreditExact, &detail);
        }
    }

    /// Liveness.
    pub(super) fn judge_end(&mut self) {
        let open =
            |it: &super::l1::Revealed| self.should_settle(it) && !self.l1.is_settled(it.slot);
        let unsettled: Vec<_> = self.l1.revealed().into_iter().filter(open).collect();
        for revealed in unsettled {
            let what = format!("slot {} is not settled", revealed.slot);
            self.broken(0, Invariant::AllSettle, &what);
        }
        for revealed in self.l1.revealed() {
            let late =
                self.l1.settled_s(revealed.slot).is_some_and(|it| self.l1.is_lapsed(&revealed, it));
            if late {
                let what = format!("slot {} is settled after its window", revealed.slot);
                self.broken(0, Invariant::SettleInTime, &what);
            }
        }
        self.judge_leftovers();
        self.judge_payouts();
        let worst = self.truth.takeovers.iter().copied().max().unwrap_or(0);
        if self.takeover_max_ms() < worst {
            let what = format!("one took {worst} ms");
            self.broken(0, Invariant::TakeoverBounded, &what);
        }
    }

    /// All provers together get at most what the settled slots' trees are worth, each once.
    fn judge_payouts(&mut self) {
        let account = self.account();
        let paid: u64 = pay(&account, &self.options.params).values().map(|it| it.earned).sum();
        let settled = self.l1.revealed().into_iter().filter(|it| self.l1.is_settled(it.slot));
        let blocks = settled.filter_map(|it| self.numbers.get(&it.block).copied());
        let tasks: u64 = blocks.map(|it| self.contents[index(it)].tasks.len() as u64).sum();
        let pool = tasks * self.options.params.units[1] * UNIT_PAY;
        if pool < paid {
            let detail = format!("{paid} are paid out of {pool}");
            self.broken(0, Invariant::PayoutsBounded, &detail);
        }
    }

    /// A task of the dead waits at most for some claims on it, by lanes that die or fail as well, to
    /// reach their caps, for losses to be known in between, and for the lanes that are left to make
    /// everything else before.
    fn takeover_max_ms(&self) -> u64 {
        let params = &self.options.params;
        let left = self.agents.iter().filter(|it| !it.stopped).flat_map(|it| &it.lanes).count();
        let work = self.contents.iter().map(|it| it.tasks.len() as u64).sum::<u64>();
        let work_ms = work * params.p50(Kind::Merge) / (left as u64).max(1);
        let longest = params.p50_ms.iter().copied().max().unwrap_or(0) * params.claim_cap_p50s;
        ATTEMPTS * longest + 8 * params.silence_ms() + work_ms
    }

    /// Claims on tasks of slots that are long settled.
    fn judge_leftovers(&mut self) {
        let mut wrong = Vec::new();
        for (number, agent) in self.agents.iter().enumerate() {
            let honest = agent.behaviour == Behaviour::Honest && agent.is_up();
            let steady = honest && agent.changed.after(SETTLED_S * 1000) < self.now;
            let live = agent.lanes.iter().filter(|_| steady).filter_map(|it| it.live);
            let tasks = live.filter_map(|(_, task)| self.truth.task(task));
            let slots = tasks.map(|it| Slot(u64::from(self.truth.places[index(it)].content)));
            let long = |it: &Slot| {
                let settled = self.l1.settled_s(*it);
                settled.is_some_and(|it| Millis((it + SETTLED_S) * 1000) < self.now)
            };
            wrong.extend(slots.filter(long).map(|it| (number, it)));
        }
        for (agent, slot) in wrong {
            self.broken(agent, Invariant::NoClaimOutlives, &format!("slot {slot} is settled"));
        }
    }
}
