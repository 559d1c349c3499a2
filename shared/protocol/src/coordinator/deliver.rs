//! Who is told of a proof, and until when (R5.2): a finished proof that exists once dies with its
//! maker.

use std::collections::{BTreeMap, BTreeSet};

use super::Coordinator;
use crate::{
    domain::{LaneId, Millis, ProverId, Slot, StatementId},
    io::{Action, Audience, Message, Previous},
    ledger::{Origin, Proof},
    round::{ANSWERERS, Offer},
};

impl Coordinator {
    /// Tells everybody who should know about our proof under the lane's claim.
    pub(super) fn announce(
        &mut self,
        now: Millis,
        lane: LaneId,
        proof: Proof,
        actions: &mut Vec<Action>,
    ) {
        let Some(live) = self.claims.live(lane).copied() else { return };
        let statement = proof.statement;
        assert_eq!(proof.origin, Origin::Own, "only what we made is announced as made");
        if !self.claims.advance(now, lane, crate::claims::Stage::Made { statement }) {
            return;
        }
        self.tell(live.slot, (lane, live.seq), (live.task, proof), actions);
        self.due.deliveries = true;
        self.due.offers = true;
    }

    /// Sends an own proof to those who follow its task and those who should keep it.
    pub(super) fn tell(
        &mut self,
        slot: Slot,
        (lane, seq): (LaneId, u64),
        (task, proof): (crate::TaskId, Proof),
        actions: &mut Vec<Action>,
    ) {
        let now = self.now;
        let Proof { statement, blob, .. } = proof;
        let (cpu_ms, peak_mb) = (proof.cpu_ms.unwrap_or(0), proof.peak_mb.unwrap_or(0));
        let made = Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb };
        self.ledger.attribute(task, statement, lane, [cpu_ms, peak_mb]);
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let Some(found) = round.find(task) else { return };
        // Whoever heard of the claim hears how it ended.
        let mut to = round.claim_followers(found);
        round.on_made(now, &made, &self.params);
        let to = match self.missing(now, slot, found, statement) {
            None => Audience::Everyone,
            Some(missing) => {
                to.extend(missing);
                Audience::Provers(sorted(to.into_iter()))
            }
        };
        actions.push(Action::Send { message: made, to });
    }

    /// Provers that should keep a proof and have not said that they do; `None` stands for
    /// everybody, while anybody is missing.
    fn missing(
        &mut self,
        now: Millis,
        slot: Slot,
        task: usize,
        statement: StatementId,
    ) -> Option<Vec<ProverId>> {
        let Some(round) = self.rounds.get_mut(&slot) else { return Some(Vec::new()) };
        let keepers = round.keepers(now, task, &self.params);
        let holds =
            |it: ProverId| round.task(task).is_some_and(|task| task.holds_copy(statement, it));
        let wanted = match keepers {
            crate::round::Keepers::Everybody => {
                let lanes = round.deal.lanes().keys().copied();
                let missing = lanes.filter(|&it| round.is_alive(it) && !round.is_own(it));
                return if missing.clone().all(|it| holds(it.prover())) {
                    Some(Vec::new())
                } else if round.task(task).is_some_and(|it| it.holders.is_empty()) {
                    None
                } else {
                    Some(sorted(missing.map(LaneId::prover).filter(|&it| !holds(it))))
                };
            }
            crate::round::Keepers::Lanes(lanes) => lanes,
        };
        let others = wanted.into_iter().filter(|&it| !round.is_own(it)).map(LaneId::prover);
        Some(sorted(others.filter(|&it| !holds(it))))
    }

    /// Claims whose proofs are held by everybody who should end as delivered (R5.2).
    pub(super) fn deliver(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let all = core::mem::take(&mut self.due.deliveries);
        let held = core::mem::take(&mut self.due.held);
        if !all && held.is_empty() {
            return;
        }
        let made: Vec<_> = self.claims.delivering().map(|(lane, it)| (lane, *it)).collect();
        for (lane, live) in made {
            let crate::claims::Stage::Made { statement } = live.stage else { continue };
            let found = self.rounds.get(&live.slot).and_then(|it| it.find(live.task));
            let Some(task) = found else { continue };
            // Who did not answer for so long is gone, whether or not anybody saw it go.
            let patience = (self.params.missed_beats + 2) * self.params.beat_ms;
            let late = patience <= now.since(live.stage_since);
            if !all && !late && !held.contains(&(live.slot, task)) {
                continue;
            }
            let missing = self.missing(now, live.slot, task, statement);
            let held = |it: &crate::round::Task| {
                it.holders.get(&statement).is_some_and(|it| !it.is_empty())
            };
            let kept = self.rounds[&live.slot].task(task).is_some_and(held);
            if late && kept {
                let silent = missing.iter().flatten().copied().collect::<Vec<_>>();
                silent
                    .into_iter()
                    .for_each(|it| self.answered(now, (live.slot, it), false, actions));
            }
            if missing.is_some_and(|it| it.is_empty()) || (late && kept) {
                self.claims.finish(now, (lane, live.seq), Previous::Delivered, actions);
            }
        }
    }

    /// A prover acknowledged a proof of ours, or never did: who keeps nothing is not counted on.
    pub(super) fn answered(
        &mut self,
        now: Millis,
        (slot, prover): (Slot, ProverId),
        answered: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let lanes = round.on_answer(now, prover, answered);
        self.due.deliveries |= !lanes.is_empty();
        self.rerank_lanes(slot, lanes, actions);
    }

    /// These lanes are counted on, or are not any more: ranks change, and those that are new to a
    /// task are told what is known.
    pub(super) fn rerank_lanes(
        &mut self,
        slot: Slot,
        lanes: Vec<LaneId>,
        actions: &mut Vec<Action>,
    ) {
        for lane in lanes {
            let Some(round) = self.rounds.get_mut(&slot) else { return };
            let changed = round.rerank_all(lane);
            self.tell_new_ranks(slot, changed, actions);
        }
    }

    /// Tells those who should keep our proofs, and did not say that they do, once more.
    pub(super) fn repeat_proofs(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        let now = self.now;
        let made: Vec<_> = self
            .claims
            .delivering()
            .filter(|(_, it)| it.slot == slot && it.stage_since < now)
            .map(|(lane, it)| (lane, *it))
            .collect();
        for (lane, live) in made {
            let crate::claims::Stage::Made { statement } = live.stage else { continue };
            let found = self.rounds.get(&slot).and_then(|it| it.find(live.task));
            let Some(task) = found else { continue };
            let to = match self.missing(now, slot, task, statement) {
                None => Audience::Everyone,
                Some(missing) => Audience::Provers(missing),
            };
            self.due.deliveries = true;
            let offer = self.rounds[&slot].task(task).and_then(|it| it.offers.get(&lane).copied());
            if let Some(offer) = offer.filter(|_| to != Audience::Provers(Vec::new())) {
                let message = made_message(live.task, lane, slot, &offer);
                actions.push(Action::Send { message, to });
            }
        }
    }

    /// Says that we hold a checked copy, to whoever made the proof.
    pub(super) fn acknowledge(
        &mut self,
        slot: Slot,
        task: usize,
        statement: StatementId,
        actions: &mut Vec<Action>,
    ) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let Some(&(lane, _)) = round.own.first() else { return };
        round.hold_copy(statement, task, lane.prover());
        let offers = round.task(task).into_iter().flat_map(|it| it.offers.iter());
        let makers: Vec<LaneId> =
            offers.filter(|(_, it)| it.statement == statement).map(|(&maker, _)| maker).collect();
        let message = Message::Held { statement, lane, slot };
        actions.push(Action::Send { message, to: self.to_lanes(&makers) });
    }

    /// Passes the announcement of a known proof on.
    pub(super) fn pass_on(&self, slot: Slot, task: usize, to: Audience, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get(&slot) else { return };
        let Some((maker, offer)) = round.task(task).and_then(|it| it.offer()) else { return };
        let Audience::Provers(mut to) = to else { return };
        to.retain(|&it| it != maker.prover());
        if to.is_empty() {
            return;
        }
        let (message, to) =
            (made_message(round.spot(task).id, maker, slot, &offer), Audience::Provers(to));
        actions.push(if round.is_own(maker) {
            Action::Send { message, to }
        } else {
            Action::Relay { message, to }
        });
    }

    /// Ranks moved up: the first of those that stayed tell the new ones what is known.
    pub(super) fn tell_new_ranks(
        &self,
        slot: Slot,
        changed: Vec<(usize, Vec<LaneId>)>,
        actions: &mut Vec<Action>,
    ) {
        let Some(round) = self.rounds.get(&slot) else { return };
        let mut news: BTreeMap<usize, BTreeSet<LaneId>> = BTreeMap::new();
        for (task, new) in changed {
            let maker = round.task(task).and_then(|it| it.offer()).map(|(lane, _)| lane);
            let ours = maker.is_some_and(|it| round.is_own(it)) || round.is_early(task, ANSWERERS);
            if new.is_empty() || !ours {
                continue;
            }
            if let Some(known) = round.known_above(task) {
                news.entry(known).or_default().extend(&new);
                continue;
            }
            let known = round.spot(task).children().filter(|&it| round.is_known(it));
            known.for_each(|child| news.entry(child).or_default().extend(&new));
            self.pass_claims_on(slot, task, &new, actions);
        }
        for (task, new) in news {
            let to = self.to_lanes(&new.into_iter().collect::<Vec<_>>());
            self.pass_on(slot, task, to, actions);
        }
    }

    /// Tells lanes which claims on a task are live.
    pub(super) fn pass_claims_on(
        &self,
        slot: Slot,
        task: usize,
        new: &[LaneId],
        actions: &mut Vec<Action>,
    ) {
        let Some(it) = self.rounds.get(&slot).and_then(|it| it.task(task)) else { return };
        for lane in it.holds.keys() {
            let to = self.to_lanes(new);
            if self.own == Some(lane.prover()) {
                self.claims.say_again(*lane, to, actions);
            } else if let Some(heard) = self.heard.get(lane) {
                actions.push(Action::Relay { message: heard.word(*lane), to });
            }
        }
    }

    /// Both children of a crown task are known: their makers must know of each other (R4.3). The
    /// first that follow it say so at once; while nobody takes it, the others say so in their turn.
    pub(super) fn introduce(
        &mut self,
        now: Millis,
        slot: Slot,
        task: usize,
        actions: &mut Vec<Action>,
    ) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        if round.spot(task).subtree().is_some() || !round.is_ready(task) || round.is_known(task) {
            return;
        }
        let place = round.place(task);
        let Some(it) = round.task_mut(task).filter(|it| !it.introduced) else { return };
        let [Some(left), Some(right)] = it.makers else { return };
        let early = it.makers.iter().flatten().count() + ANSWERERS;
        let turn = (place.saturating_sub(early) as u64).saturating_mul(self.params.rank_wait_ms);
        let at = it.open_since.map(|since| since.after(turn));
        if early <= place && at.is_none_or(|at| now < at) {
            round.timers.extend(at.filter(|_| place < usize::MAX).map(|at| (at, task)));
            return;
        }
        it.introduced = true;
        let children: Vec<usize> = round.spot(task).children().collect();
        let [a, b] = children[..] else { return };
        if left.prover() == right.prover() {
            return;
        }
        for (child, maker) in [(a, right), (b, left)] {
            if self.own != Some(maker.prover()) {
                self.pass_on(slot, child, self.to_lanes(&[maker]), actions);
            }
        }
        self.due.deliveries = true;
    }
}

/// Each of these once, in order.
pub(super) fn sorted(provers: impl Iterator<Item = ProverId>) -> Vec<ProverId> {
    let mut provers: Vec<ProverId> = provers.collect();
    provers.sort_unstable();
    provers.dedup();
    provers
}

/// What a maker said about its proof.
const fn made_message(task: crate::TaskId, lane: LaneId, slot: Slot, offer: &Offer) -> Message {
    let Offer { statement, blob, seq, cpu_ms, peak_mb, .. } = *offer;
    Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb }
}
