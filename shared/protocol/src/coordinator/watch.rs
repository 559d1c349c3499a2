//! Beats, silence and loss (R5.3), and the ends of claims that time brings (R5.1).

use super::{Coordinator, NEVER, longest_cap};
use crate::{
    claims::{End, Stage},
    domain::{LaneId, Millis, ProverId, Slot, TaskId},
    io::{Action, Audience, Message, Previous},
    round::{Round, Standing},
};

/// An agent that did not step for this many half beats was stopped itself, and judges nobody's
/// silence by the time it slept: it steps at every beat of its own. One beat that it missed before
/// and one and a half asleep stay below the three beats that make a loss.
const SLEPT_HALF_BEATS: u64 = 3;

/// Neighbours in the registry beat this far apart: a prime, so that phases spread over any interval.
const BEAT_STEP_MS: u64 = 617;

/// Watchers that speak at once; the others wait for them by rank, so that a loss costs two notices.
const SPEAK_AT_ONCE: usize = 2;

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

    /// Beats are numbered by the clock, not from the deal: numbers then rise through restarts and
    /// through reorgs that move the reveal, and no beat looks like an older one. Provers beat at
    /// different instants, so that a thousand of them are a stream and not a burst. With a beat
    /// goes again what may have been lost on its way.
    ///
    /// Our own beats count in our own picture only while we are lost: others' notices about a lane
    /// of ours must end its claim even if we beat on, because they ended it for everybody else.
    pub(super) fn beat(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get(&slot).filter(|it| !it.own.is_empty()) else { return };
        if round.last_beat.is_some() && now < self.next_beat(round) && !round.shout {
            return;
        }
        let n = (now.0 + self.beat_phase_ms()) / self.params.beat_ms;
        let first = round.last_beat.is_none();
        let here = round.own.iter().filter(|it| !round.is_aside(it.0));
        let own: Vec<_> = here.copied().collect();
        for &(lane, _) in &own {
            let round = &self.rounds[&slot];
            let to = if round.shout || round.shout_again {
                Audience::Everyone
            } else {
                self.to_lanes(&round.listeners(lane, self.params.watchers))
            };
            actions.push(Action::Send { message: self.beat_of(lane, slot, n), to });
            if !first {
                self.repeat_claim(now, lane, actions);
            }
            let Some(round) = self.rounds.get_mut(&slot) else { return };
            if round.standing(lane).is_some_and(|it| it.lost) {
                round.on_beat(now, lane, (n, TaskId::default()), &self.params);
                self.due.offers = true;
            }
        }
        if let Some(round) = self.rounds.get_mut(&slot) {
            round.last_beat = Some(n);
            round.shout_again = core::mem::take(&mut round.shout);
        }
        self.repeat_proofs(slot, actions);
    }

    /// New watchers hear our last beat at once, not only the next one.
    pub(super) fn greet(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let lanes = core::mem::take(&mut round.greet);
        let Some(n) = round.last_beat else { return };
        for lane in lanes {
            if self.rounds[&slot].is_aside(lane) {
                continue;
            }
            let to = self.to_lanes(&self.rounds[&slot].watchers(lane, self.params.watchers));
            actions.push(Action::Send { message: self.beat_of(lane, slot, n), to });
        }
    }

    /// Our lane's beat with this number: it says what the lane works on.
    fn beat_of(&self, lane: LaneId, slot: Slot, n: u64) -> Message {
        let live = self.claims.live(lane).filter(|it| it.slot == slot);
        let task = live.map_or(TaskId::default(), |it| it.task);
        Message::Beat { lane, slot, n, task }
    }

    fn beat_phase_ms(&self) -> u64 {
        let own = self.own.map_or(0, |it| u64::from(it.0));
        own.wrapping_mul(BEAT_STEP_MS) % self.params.beat_ms
    }

    /// When our next beat in a round is due.
    pub(super) fn next_beat(&self, round: &Round) -> Millis {
        let next = round.last_beat.map_or(0, |last| last + 1);
        Millis((next * self.params.beat_ms).saturating_sub(self.beat_phase_ms()))
    }

    /// Provers of these lanes, without ourselves.
    pub(super) fn to_lanes(&self, lanes: &[LaneId]) -> Audience {
        let mut provers: Vec<ProverId> = lanes.iter().map(|it| it.prover()).collect();
        provers.retain(|&it| Some(it) != self.own);
        provers.sort_unstable();
        provers.dedup();
        Audience::Provers(provers)
    }

    /// Notices about silent lanes, and the losses that follow.
    pub(super) fn judge(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if now < self.due.silence {
            return;
        }
        for at in 0..self.active.len() {
            let slot = self.active[at];
            let Some(round) = self.rounds.get(&slot) else { continue };
            let watched: Vec<LaneId> = round.watched().iter().copied().collect();
            let gone = round.unanswered(now, &self.params).0;
            for lane in watched {
                self.give_notice(now, slot, lane, actions);
                self.judge_lane(now, slot, lane, actions);
            }
            gone.into_iter().for_each(|lane| self.judge_lane(now, slot, lane, actions));
        }
        self.plan_silence(now);
    }

    /// When to look at the watched lanes next: when the first of them can be silent, or a rank's
    /// wait from now while one is silent.
    pub(super) fn plan_silence(&mut self, now: Millis) {
        let mut next = NEVER;
        for slot in &self.active {
            let round = &self.rounds[slot];
            let matters = |it: &&Standing| !it.lost || self.owes_word(round, it);
            let watched = round.watched().iter().filter_map(|&it| round.standing(it));
            for standing in watched.filter(matters) {
                let at = standing.heard.after(standing.patience_ms(&self.params));
                let again = now.after(self.params.rank_wait_ms);
                next = next.min(Some(at).filter(|&it| now < it).unwrap_or(again));
            }
            next = next.min(round.unanswered(now, &self.params).1.unwrap_or(NEVER));
        }
        self.due.silence = next;
    }

    /// Whether others still need our word: two provers make a loss, and each speaks once (R5.3).
    fn owes_word(&self, round: &Round, standing: &Standing) -> bool {
        let mut provers = standing.notices.keys().map(|it| it.prover());
        let first = provers.next();
        let enough = provers.any(|it| Some(it) != first);
        !enough && !standing.notices.keys().any(|it| round.is_own(*it))
    }

    /// Each of our watching provers speaks once about a silent lane.
    fn give_notice(&mut self, now: Millis, slot: Slot, lane: LaneId, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get(&slot) else { return };
        let Some(standing) = round.standing(lane) else { return };
        if !self.owes_word(round, standing) || !standing.is_silent(now, &self.params) {
            return;
        }
        let silent_ms =
            now.since(standing.heard).saturating_sub(standing.patience_ms(&self.params));
        let last_beat = standing.beat.unwrap_or(0);
        let watchers = round.watchers(lane, usize::MAX);
        let Some(rank) = watchers.iter().position(|it| round.is_own(*it)) else { return };
        let wait = (rank + 1).saturating_sub(SPEAK_AT_ONCE) as u64 * self.params.rank_wait_ms;
        if silent_ms < wait {
            return;
        }
        let watcher = watchers[rank];
        if let Some(round) = self.rounds.get_mut(&slot) {
            round.note_notice(now, lane, (watcher, last_beat));
        }
        actions.push(Action::to_all(Message::Loss { lane, slot, watcher, last_beat }));
    }

    /// Declares a lane lost if enough was said about it.
    pub(super) fn judge_lane(
        &mut self,
        now: Millis,
        slot: Slot,
        lane: LaneId,
        actions: &mut Vec<Action>,
    ) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        if !round.is_newly_lost(now, lane, &self.params) {
            return;
        }
        let ours = round.is_own(lane);
        let changed = round.lose(now, lane, &self.params);
        if ours && self.claims.live(lane).is_some_and(|it| it.slot == slot) {
            self.end_own(now, lane, End::plain(Previous::Lost), actions);
        }
        let text = format!("lane {lane} is lost in slot {slot}");
        actions.push(Action::Note { code: if ours { "LOS-002" } else { "LOS-001" }, text });
        self.tell_new_ranks(slot, changed, actions);
        self.due.deliveries = true;
        self.due.offers = true;
        self.plan_silence(now);
    }

    /// Ends claims at their caps (R5.1) and opens what lasted too long to others (R5.4).
    pub(super) fn expire(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        if let Some(round) = self.rounds.get_mut(&slot) {
            round.end_grace(now);
        }
        loop {
            let Some(round) = self.rounds.get_mut(&slot) else { return };
            let Some(&(at, task)) = round.timers.first() else { return };
            if now < at {
                return;
            }
            round.timers.remove(&(at, task));
            round.dirty.insert(task);
            for lane in round.expire(now, task) {
                self.on_capped(now, slot, lane, actions);
            }
        }
    }

    /// The lane's claim reached its cap: it ranks last from here on.
    fn on_capped(&mut self, now: Millis, slot: Slot, lane: LaneId, actions: &mut Vec<Action>) {
        self.rerank_lanes(slot, vec![lane], actions);
        if self.rounds.get(&slot).is_some_and(|it| it.is_own(lane)) {
            self.end_own(now, lane, End::plain(Previous::Capped), actions);
        }
    }

    /// Caps and patience of our own claims.
    pub(super) fn expire_own(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.claims.ends().is_none_or(|it| now < it.0) {
            return;
        }
        let over = |it: &crate::claims::Live| {
            it.cap_at <= now || matches!(it.stage, Stage::Inputs { until } if until <= now)
        };
        let due: Vec<(LaneId, bool)> = self
            .claims
            .in_work()
            .filter(|(_, it)| over(it))
            .map(|(lane, it)| (lane, it.cap_at <= now))
            .collect();
        for (lane, capped) in due {
            if capped {
                self.end_own(now, lane, End::plain(Previous::Capped), actions);
            } else {
                self.give_back(now, lane, false, actions);
            }
        }
    }
}
