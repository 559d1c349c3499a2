//! What others say, taken into the rounds (R5).
//!
//! Messages are facts about their speaker only: a lane speaks for itself, a watcher for its own
//! ears. Whatever does not fit the round it names changes nothing.

use super::{Coordinator, EARLY_MAX, Promised};
use crate::{
    claims::{End, Stage},
    domain::{LaneId, Millis, ProverId, Slot},
    io::{Action, Audience, Message, Previous},
    round::{ANSWERERS, Hold},
};

/// Slots beyond the newest one whose messages are kept: agents see L1 some blocks apart.
const SLOTS_AHEAD: u64 = 2;

impl Coordinator {
    pub(super) fn on_message(
        &mut self,
        now: Millis,
        from: ProverId,
        message: Message,
        actions: &mut Vec<Action>,
    ) {
        if message.speaker().prover() != from {
            return;
        }
        if self.own == Some(from) && !self.is_remembered(message, actions) {
            return;
        }
        if self.rounds.contains_key(&message.slot()) {
            self.hear(now, from, message, actions);
        } else if self.may_come(message.slot()) {
            self.keep_early(from, message);
        }
    }

    /// Our own words come back when peers connect: after a restart they tell what we announced. A
    /// claim number that we never gave means that this journal is not the newest one: the lane
    /// stops claiming (R10.1).
    fn is_remembered(&mut self, message: Message, actions: &mut Vec<Action>) -> bool {
        let (lane, seq) = match message {
            Message::Made { .. } => return true,
            Message::Claim { lane, seq, .. } => (lane, seq),
            Message::Release { .. }
            | Message::Beat { .. }
            | Message::Loss { .. }
            | Message::Held { .. }
            | Message::Advert { .. } => return false,
        };
        let doubted = self.claims.in_doubt(lane);
        if !self.claims.heard_own(lane, seq) && !doubted {
            let last = self.claims.last_seq(lane);
            let text = format!(
                "lane {lane} was seen with claim {seq} but its journal ends at {last}; it claims \
                 nothing more: restore the newest journal or register a new lane"
            );
            actions.push(Action::Note { code: "CLM-001", text });
        }
        false
    }

    /// Whether a slot without a round may still get one.
    fn may_come(&self, slot: Slot) -> bool {
        let over = self.chain.slot(slot).is_some_and(|it| it.settled.is_some());
        let Some(head) = self.chain.head() else { return true };
        let newest = self.params.slot_at(head.number).0 + SLOTS_AHEAD;
        !over && slot.0 <= newest && !self.chain.lapsed(slot, &self.params)
    }

    /// A full queue drops the oldest: peers repeat what is unsettled when they connect.
    fn keep_early(&mut self, from: ProverId, message: Message) {
        if let Message::Beat { lane, slot, .. } = message {
            let same = |it: &Message| matches!(*it, Message::Beat { lane: l, slot: s, .. } if (l, s) == (lane, slot));
            self.early.retain(|(_, it)| !same(it));
        }
        if self.early.len() == EARLY_MAX {
            self.early.pop_front();
        }
        self.early.push_back((from, message));
    }

    pub(super) fn hear_early(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let early = core::mem::take(&mut self.early);
        let (ours, rest): (Vec<_>, Vec<_>) =
            early.into_iter().partition(|(_, message)| message.slot() == slot);
        self.early = rest.into();
        for (from, message) in ours {
            self.hear(now, from, message, actions);
        }
    }

    fn hear(&mut self, now: Millis, from: ProverId, message: Message, actions: &mut Vec<Action>) {
        let slot = message.slot();
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        if !round.deal.lanes().contains_key(&message.speaker()) {
            return;
        }
        match message {
            Message::Claim { .. } => self.on_claim(now, message, actions),
            Message::Release { task, lane, seq, failed, .. } => {
                let Some(found) = round.find(task) else { return };
                let hold = round.task(found).and_then(|it| it.holds.get(&lane));
                if hold.is_none_or(|it| it.seq != seq) {
                    return;
                }
                round.let_go(now, lane, seq.saturating_add(1));
                if failed {
                    round.fail(found, lane);
                }
            }
            Message::Beat { lane, n, task, .. } => {
                self.due.silence = self.due.silence.min(now.after(self.params.silence_ms()));
                let lanes = round.on_beat(now, lane, (n, task), &self.params);
                self.rerank_lanes(slot, lanes, actions);
            }
            Message::Loss { lane, watcher, last_beat, .. } => {
                round.on_notice(now, lane, (watcher, last_beat), &self.params);
                round.shout |= round.is_own(lane);
                self.judge_lane(now, slot, lane, actions);
                self.due.silence = self.due.silence.min(now.after(1));
            }
            Message::Made { .. } => self.on_made(now, message, actions),
            Message::Advert { lane, set, n, able, .. } => {
                if set == round.reveal.set {
                    self.on_advert(now, slot, (lane, n, able), actions);
                }
            }
            Message::Held { statement, .. } => {
                if let Some(task) = round.task_of(statement) {
                    round.hold_copy(statement, task, from);
                    self.due.deliveries |= core::mem::take(&mut round.reranked);
                    self.due.held.push((slot, task));
                    self.answered(now, (slot, from), true, actions);
                }
            }
        }
    }

    /// A proof is announced. Whoever holds it already says so again: the announcement is repeated
    /// because an acknowledgment was lost.
    fn on_made(&mut self, now: Millis, message: Message, actions: &mut Vec<Action>) {
        let Message::Made { task, statement, lane, slot, cpu_ms, peak_mb, .. } = message else {
            return;
        };
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let Some(found) = round.find(task) else { return };
        round.on_made(now, &message, &self.params);
        if !round.task(found).is_some_and(|it| it.accepted) {
            return;
        }
        self.refuse_copies(now, (slot, found), (task, statement), actions);
        self.attribute((task, statement), lane, [cpu_ms, peak_mb]);
        let ours = self.own == Some(lane.prover());
        if self.ledger.find(task, statement).is_some() && !ours {
            self.acknowledge(slot, found, statement, actions);
        }
    }

    fn on_claim(&mut self, now: Millis, message: Message, actions: &mut Vec<Action>) {
        let Message::Claim { task, lane, slot, seq, attempt, previous } = message else { return };
        let promised = Promised { task, slot, seq, attempt, previous };
        if let Some(before) = self.heard.get(&lane) {
            let last = before.seq;
            if last == seq && *before != promised {
                let text = format!("lane {lane} made two different claims with number {seq}");
                actions.push(Action::Note { code: "FLT-001", text });
            }
            if seq < last || (last == seq && self.is_held(slot, lane)) {
                return;
            }
            if last == seq {
                return self.answer(slot, lane, message, actions);
            }
        }
        self.heard.insert(lane, promised);
        let made = previous == Previous::Delivered;
        let soon = now.after(if made { self.params.beat_ms } else { 0 });
        self.rounds.values_mut().for_each(|round| round.go_on(now, (lane, seq), soon));
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let Some(found) = round.find(task) else { return };
        let class = round.deal.lanes().get(&lane).copied();
        let able = class.is_some_and(|it| round.can_prove(found, it, &self.params));
        if !round.is_credible(lane) || !able {
            return;
        }
        if round.known_above(found).is_some() {
            return self.answer(slot, lane, message, actions);
        }
        let cap_at = now.after(self.params.claim_cap_ms(round.spot(found).node.kind));
        round.hold(now, found, (lane, Hold { seq, since: now, cap_at }), &self.params);
        self.due.offers = true;
        if let Some(it) = round.task_mut(found) {
            it.attempts = it.attempts.max(attempt);
        }
        self.yield_to(slot, found, lane, actions);
        let round = &self.rounds[&slot];
        let stranger = round.task(found).is_some_and(|it| !it.order.contains(&lane));
        if stranger && round.is_early(found, ANSWERERS) {
            self.pass_claims_on(slot, found, &[lane], actions);
        }
    }

    fn is_held(&self, slot: Slot, lane: LaneId) -> bool {
        self.rounds.get(&slot).is_some_and(|it| it.is_busy(lane))
    }

    /// The claimed proof exists, or one that stands on it: whoever ranks early tells the lane.
    fn answer(&self, slot: Slot, lane: LaneId, claim: Message, actions: &mut Vec<Action>) {
        let Message::Claim { task, .. } = claim else { return };
        let Some(round) = self.rounds.get(&slot) else { return };
        let Some(found) = round.find(task).and_then(|it| round.vouched_above(it)) else { return };
        let Some(it) = round.task(found) else { return };
        let maker = it.offer().map(|(maker, _)| maker);
        let ours = maker.is_some_and(|maker| round.is_own(maker));
        let orphan = it.accepted && maker.is_some_and(|maker| !round.is_alive(maker));
        // Who takes a finished subtree for undone heard nothing of it, maybe because all who
        // followed it are gone.
        let finished = round.spot(found).is_top || round.spot(found).subtree().is_none();
        let lost_sight =
            finished && !round.spot(found).children().any(|it| round.spot(it).id == task);
        if ours || orphan || lost_sight || round.is_early(found, ANSWERERS) {
            self.pass_on(slot, found, self.to_lanes(&[lane]), actions);
        }
    }

    /// Two claims met: ours gives way to a better rank while little is lost by it. A proof that
    /// has run for longer than a beat goes on, because the better rank heard of us late. A worse
    /// rank did not hear of our claim.
    fn yield_to(&mut self, slot: Slot, task: usize, other: LaneId, actions: &mut Vec<Action>) {
        let round = &self.rounds[&slot];
        let Some(lane) = self.claims.lane_of(round.spot(task).id).filter(|&it| it != other) else {
            return;
        };
        let Some(live) = self.claims.live(lane).filter(|it| it.slot == slot) else { return };
        let held = round.task(task).map_or(0, |it| it.holds.len());
        if round.room(self.now, task, &self.params) >= held {
            return;
        }
        let invested = match live.stage {
            Stage::Inputs { .. } | Stage::Machine => false,
            Stage::Proving => self.params.beat_ms < self.now.since(live.stage_since),
            Stage::Made { .. } => true,
        };
        if !round.outranks(task, other, lane) {
            self.claims.say_again(lane, self.to_lanes(&[other]), actions);
        } else if !invested {
            self.end_own(self.now, lane, End::plain(Previous::Released), actions);
        }
    }

    /// Ends an own claim in work, and everybody's view of it with it.
    pub(super) fn end_own(
        &mut self,
        now: Millis,
        lane: LaneId,
        end: End,
        actions: &mut Vec<Action>,
    ) {
        let to = self.claims.live(lane).map(|it| self.claim_audience(it.slot, it.task));
        self.claims.end(now, lane, (end, to.unwrap_or(Audience::Everyone)), actions);
        self.rounds.values_mut().for_each(|round| round.let_go(now, lane, u64::MAX));
        self.due.offers = true;
    }

    /// Those who follow a task.
    pub(super) fn claim_audience(&self, slot: Slot, task: crate::TaskId) -> Audience {
        let Some(round) = self.rounds.get(&slot) else { return Audience::Everyone };
        let Some(found) = round.find(task) else { return Audience::Everyone };
        Audience::Provers(super::deliver::sorted(round.claim_followers(found).into_iter()))
    }

    /// Says a claim in work once more while it is young: the first word may have been lost.
    pub(super) fn repeat_claim(&self, now: Millis, lane: LaneId, actions: &mut Vec<Action>) {
        let Some(live) = self.claims.live(lane) else { return };
        if now.since(live.since) < self.params.beat_ms {
            let to = self.claim_audience(live.slot, live.task);
            self.claims.say_again(lane, to, actions);
        }
    }
}
