//! Beats, silence and loss (R5.3), and the ends of claims that time brings (R5.1).

use std::collections::BTreeSet;

use super::{Coordinator, longest_cap};
use crate::{
    claims::Stage,
    domain::{LaneId, Millis, ProverId, Slot, TaskId},
    io::{Action, Message, Previous},
    round::Round,
};

/// An agent that did not step for this many half beats was stopped itself, and judges nobody's
/// silence by the time it slept: it steps at every beat of its own. One beat that it missed before
/// and one and a half asleep stay below the three beats that make a loss.
const SLEPT_HALF_BEATS: u64 = 3;

/// Neighbours in the registry beat this far apart: a prime, so that phases spread over any interval.
const BEAT_STEP_MS: u64 = 617;

impl Coordinator {
    /// Notices a restart or a sleep of this very process.
    pub(super) fn attend(&mut self, now: Millis) {
        if self.fresh {
            self.fresh = false;
            self.claims.wake(now, longest_cap(&self.params));
        } else if SLEPT_HALF_BEATS * self.params.beat_ms < 2 * now.since(self.now) {
            self.rounds.values_mut().for_each(|round| round.listen_anew(now));
        }
    }

    /// Ends claims at their caps and gives back what waited too long for inputs.
    pub(super) fn expire(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for slot in self.active() {
            let capped = self.rounds.get_mut(&slot).map(|it| it.expire(now)).unwrap_or_default();
            let own = self.own;
            for lane in capped.into_iter().filter(|it| Some(it.prover()) == own) {
                self.end_own(now, lane, Previous::Capped, actions);
            }
        }
        let live: Vec<_> = self.claims.all().map(|(lane, it)| (lane, *it)).collect();
        for (lane, live) in live {
            let waited = matches!(live.stage, Stage::Inputs { until } if until <= now);
            if live.cap_at <= now {
                self.end_own(now, lane, Previous::Capped, actions);
            } else if waited {
                self.give_back(now, lane, actions);
            }
        }
    }

    /// Beats of our lanes, notices about silent ones, and losses that follow from notices.
    pub(super) fn watch(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for slot in self.active() {
            self.beat(now, slot, actions);
            self.give_notice(now, slot, actions);
            for lane in self.newly_lost(now, slot) {
                self.on_lost(now, slot, lane, actions);
            }
        }
    }

    /// Beats are numbered by the clock, not from the deal: numbers then rise through restarts and
    /// through reorgs that move the reveal, and no beat looks like an older one. Provers beat at
    /// different instants, so that a thousand of them are a stream and not a burst.
    ///
    /// Our own beats count in our own picture only while we are lost: others' notices about a lane
    /// of ours must end its claim even if we beat on, because they ended it for everybody else.
    fn beat(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get(&slot) else { return };
        let n = now.after(self.beat_phase_ms()).0 / self.params.beat_ms;
        if round.last_beat.is_some_and(|last| n <= last) {
            return;
        }
        let own = self.own_lanes(round);
        for &(lane, _) in &own {
            let live = self.claims.live(lane).filter(|it| it.stage == Stage::Proving);
            let task = live.map_or(TaskId::default(), |it| it.task);
            actions.push(Action::to_all(Message::Beat { lane, slot, n, task }));
        }
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        round.last_beat = Some(n);
        for (lane, _) in own {
            if round.lanes.get(&lane).is_some_and(|it| it.lost) {
                round.on_beat(now, lane, n, TaskId::default());
            }
        }
    }

    fn beat_phase_ms(&self) -> u64 {
        let own = self.own.map_or(0, |it| u64::from(it.0));
        own.wrapping_mul(BEAT_STEP_MS) % self.params.beat_ms
    }

    /// Each of our watching provers speaks once about a silent lane.
    fn give_notice(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let (Some(own), Some(round)) = (self.own, self.rounds.get(&slot)) else { return };
        let mut notices: Vec<(LaneId, LaneId, u64)> = Vec::new();
        for (&lane, standing) in &round.lanes {
            let unheard = standing.is_silent(now, &self.params) && !standing.lost;
            let said = standing.notices.keys().any(|it| it.prover() == own);
            if lane.prover() == own || !unheard || said {
                continue;
            }
            let watchers = round.watchers(lane, self.params.watchers);
            if let Some(&watcher) = watchers.iter().find(|it| it.prover() == own) {
                notices.push((lane, watcher, standing.beat.unwrap_or(0)));
            }
        }
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        for (lane, watcher, last_beat) in notices {
            if let Some(standing) = round.lanes.get_mut(&lane) {
                standing.notices.insert(watcher, last_beat);
            }
            actions.push(Action::to_all(Message::Loss { lane, slot, watcher, last_beat }));
        }
    }

    /// Two provers say so, or one and our own ears (R5.3). About ourselves only others can know.
    fn newly_lost(&self, now: Millis, slot: Slot) -> Vec<LaneId> {
        let Some(round) = self.rounds.get(&slot) else { return Vec::new() };
        let lanes = round.lanes.iter().filter(|(_, it)| !it.lost);
        let lost = lanes.filter(|(lane, it)| {
            !it.notices.is_empty() && {
                let silent = Some(lane.prover()) != self.own && it.is_silent(now, &self.params);
                let said: BTreeSet<ProverId> = round
                    .watchers(**lane, self.params.watchers)
                    .into_iter()
                    .filter(|watcher| it.notices.contains_key(watcher))
                    .map(LaneId::prover)
                    .collect();
                2 <= said.len() || (said.len() == 1 && silent)
            }
        });
        lost.map(|(&lane, _)| lane).collect()
    }

    fn on_lost(&mut self, now: Millis, slot: Slot, lane: LaneId, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        round.lose(now, lane);
        let ours = Some(lane.prover()) == self.own;
        if ours && self.claims.live(lane).is_some_and(|it| it.slot == slot) {
            self.end_own(now, lane, Previous::Lost, actions);
        }
        let text = format!("lane {lane} is lost in slot {slot}");
        actions.push(Action::Note { code: if ours { "LOS-002" } else { "LOS-001" }, text });
    }

    pub(super) fn watch_deadlines(&self, round: &Round) -> Vec<(Millis, &'static str)> {
        let mut due = Vec::new();
        if !self.own_lanes(round).is_empty() {
            let next = round.last_beat.map_or(0, |last| last + 1);
            let at = (next * self.params.beat_ms).saturating_sub(self.beat_phase_ms());
            due.push((Millis(at), "beat"));
        }
        for (lane, standing) in &round.lanes {
            if !standing.lost && Some(lane.prover()) != self.own {
                due.push((standing.heard.after(standing.patience_ms(&self.params)), "silence"));
            }
        }
        let holds = round.tasks.iter().filter(|it| !it.is_known()).flat_map(|it| it.holds.values());
        due.extend(holds.map(|hold| (hold.cap_at, "cap")));
        due
    }
}
