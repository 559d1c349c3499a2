//! What others say and what our own provers say, taken into the rounds (R5).
//!
//! Messages are facts about their speaker only: a lane speaks for itself, a watcher for its own
//! ears. Whatever does not fit the round it names changes nothing.

use super::{Coordinator, EARLY_MAX};
use crate::{
    claims::Stage,
    domain::{BlobId, LaneId, Millis, ProverId, Slot, StatementId, TaskId},
    io::{Action, Message, Previous, ProverEvent, Record},
    ledger::{Origin, Proof},
    round::Hold,
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

    /// Our own words come back when peers connect: after a restart they tell what we announced. A claim number that we never gave means that this journal is not
    /// the newest one: the lane stops claiming (R10.1).
    fn is_remembered(&mut self, message: Message, actions: &mut Vec<Action>) -> bool {
        let (lane, seq) = match message {
            Message::Made { .. } => return true,
            Message::Claim { lane, seq, .. } => (lane, seq),
            Message::Release { .. }
            | Message::Beat { .. }
            | Message::Loss { .. }
            | Message::Held { .. } => return false,
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
        let past = head.number.saturating_sub(self.params.genesis_block);
        let newest = past / self.params.slot_blocks() + SLOTS_AHEAD;
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
        let Some(round) = self.rounds.get_mut(&message.slot()) else { return };
        if !round.lanes.contains_key(&message.speaker()) {
            return;
        }
        match message {
            Message::Claim { .. } => self.on_claim(now, message, actions),
            Message::Release { lane, task, seq, .. } => {
                let held = round.find(task).and_then(|it| round.tasks[it].holds.get(&lane));
                if held.is_some_and(|it| it.seq == seq) {
                    round.let_go(now, lane, seq.saturating_add(1));
                }
            }
            Message::Beat { lane, n, task, .. } => round.on_beat(now, lane, n, task),
            Message::Loss { lane, watcher, last_beat, .. } => {
                round.on_notice(lane, watcher, last_beat);
            }
            Message::Made { task, statement, lane, slot, cpu_ms, peak_mb, .. } => {
                let news = round.on_made(now, message);
                self.ledger.attribute(task, statement, lane, [cpu_ms, peak_mb]);
                let held = self.ledger.find(task, statement).is_some();
                if held && news && self.own != Some(from) {
                    round.acknowledged.remove(&statement);
                    self.acknowledge(slot, statement, actions);
                }
            }
            Message::Held { statement, .. } => round.hold_copy(statement, from),
        }
    }

    fn on_claim(&mut self, now: Millis, message: Message, actions: &mut Vec<Action>) {
        let Message::Claim { task, lane, slot, seq, attempt, .. } = message else { return };
        if let Some((last, before)) = self.heard.get(&lane) {
            if *last == seq && *before != message {
                let text = format!("lane {lane} made two different claims with number {seq}");
                actions.push(Action::Note { code: "FLT-001", text });
            }
            if seq <= *last {
                return;
            }
        }
        self.heard.insert(lane, (seq, message));
        self.rounds.values_mut().for_each(|round| round.let_go(now, lane, seq));
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let Some(found) = round.find(task) else { return };
        if !round.is_credible(lane) || !round.tasks[found].order.contains(&lane) {
            return;
        }
        let cap_at = now.after(self.params.claim_cap_ms(round.tasks[found].node.kind));
        round.hold(now, found, lane, Hold { seq, since: now, cap_at });
        round.tasks[found].attempts = round.tasks[found].attempts.max(attempt);
        self.yield_to(slot, found, lane, actions);
    }

    /// Two claims met: ours gives way to a better rank while little is lost by it. A proof that
    /// has run for longer than a beat goes on, because the better rank heard of us late.
    fn yield_to(&mut self, slot: Slot, task: usize, other: LaneId, actions: &mut Vec<Action>) {
        let round = &self.rounds[&slot];
        let Some(lane) = self.claims.lane_of(round.tasks[task].id) else { return };
        let Some(live) = self.claims.live(lane) else { return };
        let invested = match live.stage {
            Stage::Inputs { .. } | Stage::Machine => false,
            Stage::Proving => self.params.beat_ms < self.now.since(live.stage_since),
            Stage::Made { .. } => true,
        };
        if live.slot == slot && !invested && round.outranks(task, other, lane) {
            self.end_own(self.now, lane, Previous::Released, actions);
        }
    }

    /// Ends an own claim, and everybody's view of it with it.
    pub(super) fn end_own(
        &mut self,
        now: Millis,
        lane: LaneId,
        how: Previous,
        actions: &mut Vec<Action>,
    ) {
        self.claims.end(now, lane, how, actions);
        self.rounds.values_mut().for_each(|round| round.let_go(now, lane, u64::MAX));
    }

    pub(super) fn on_prover(&mut self, now: Millis, event: ProverEvent, actions: &mut Vec<Action>) {
        match event {
            ProverEvent::Started { task } => {
                if let Some(lane) = self.claims.lane_of(task) {
                    self.claims.advance(now, lane, Stage::Proving);
                }
            }
            ProverEvent::Made { task, statement, blob, credit, cpu_ms, peak_mb } => {
                let lane = self.claims.lane_of(task);
                let proof = Proof::new(statement, blob, credit, Origin::Own);
                let proof = proof.made_by(lane, cpu_ms, peak_mb);
                let record = Record::Made { task, statement, blob, credit, cpu_ms, peak_mb };
                self.keep(task, proof, record, actions);
                let own = self.ledger.find(task, statement).copied();
                if let (Some(lane), Some(proof)) = (lane, own) {
                    self.announce(now, lane, proof, actions);
                }
            }
            ProverEvent::Failed { task, why } => {
                let Some(lane) = self.claims.lane_of(task) else { return };
                let text = format!("lane {lane} could not prove task {task}: {why}");
                actions.push(Action::Note { code: "CLM-002", text });
                self.give_back(now, lane, actions);
            }
        }
    }

    /// Releases a claim and leaves its task to others for a while (R5.5).
    pub(super) fn give_back(&mut self, now: Millis, lane: LaneId, actions: &mut Vec<Action>) {
        let Some(task) = self.claims.live(lane).map(|it| it.task) else { return };
        self.end_own(now, lane, Previous::Released, actions);
        let until = now.after(self.params.inputs_wait_ms);
        for round in self.rounds.values_mut() {
            if let Some(found) = round.find(task) {
                round.tasks[found].rest_until = until;
            }
        }
    }

    /// A proof that passed the acceptance rules enters the ledger, durable first.
    fn keep(&mut self, task: TaskId, proof: Proof, record: Record, actions: &mut Vec<Action>) {
        if !self.ledger.add(task, proof) {
            return;
        }
        assert!(self.ledger.has(task), "what is kept is in the ledger");
        actions.push(Action::Persist(record));
        for round in self.rounds.values_mut() {
            if let Some(found) = round.find(task) {
                round.tasks[found].accepted = true;
                round.tasks[found].changed = self.now;
            }
        }
    }

    /// Tells everybody about our proof under the lane's live claim.
    pub(super) fn announce(
        &mut self,
        now: Millis,
        lane: LaneId,
        proof: Proof,
        actions: &mut Vec<Action>,
    ) {
        let Some(live) = self.claims.live(lane).copied() else { return };
        let Proof { statement, blob, .. } = proof;
        assert_eq!(proof.origin, Origin::Own, "only what we made is announced as made");
        if !self.claims.advance(now, lane, Stage::Made { statement }) {
            return;
        }
        let (cpu_ms, peak_mb) = (proof.cpu_ms.unwrap_or(0), proof.peak_mb.unwrap_or(0));
        let (task, slot, seq) = (live.task, live.slot, live.seq);
        let made = Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb };
        self.ledger.attribute(task, statement, lane, [cpu_ms, peak_mb]);
        if let Some(round) = self.rounds.get_mut(&slot) {
            round.on_made(now, made);
        }
        actions.push(Action::to_all(made));
    }

    /// A peer's proof passed the acceptance rules: durable first, then acknowledged (R5.2).
    pub(super) fn on_accepted(
        &mut self,
        now: Millis,
        task: TaskId,
        proof: Proof,
        actions: &mut Vec<Action>,
    ) {
        let rounds = self.rounds.values().filter(|it| it.find(task).is_some());
        let slots: Vec<Slot> = rounds.map(|it| it.slot).collect();
        let offers = slots.iter().filter_map(|slot| self.rounds[slot].offer(task, proof.blob));
        let maker = offers.map(|(lane, it)| (lane, [it.cpu_ms, it.peak_mb])).next();
        if slots.is_empty() {
            return;
        }
        let Proof { statement, blob, credit, .. } = proof;
        let record = Record::Held { task, statement, blob, credit };
        self.keep(task, proof, record, actions);
        if self.ledger.find(task, statement).is_none() {
            return;
        }
        if let Some((lane, cost)) = maker {
            self.ledger.attribute(task, statement, lane, cost);
        }
        for slot in slots {
            self.acknowledge(slot, statement, actions);
        }
        if let Some(lane) = self.claims.lane_of(task)
            && self.claims.live(lane).is_some_and(|it| !it.stage.is_made())
        {
            self.end_own(now, lane, Previous::Released, actions);
        }
    }

    /// Says once per slot that we hold a checked copy.
    fn acknowledge(&mut self, slot: Slot, statement: StatementId, actions: &mut Vec<Action>) {
        let Some(lane) = self.rounds.get(&slot).and_then(|it| self.own_lanes(it).first().copied())
        else {
            return;
        };
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        if round.acknowledged.insert(statement) {
            round.hold_copy(statement, lane.0.prover());
            actions.push(Action::to_all(Message::Held { statement, lane: lane.0, slot }));
        }
    }

    /// Tried again after a beat, two beats; then the announcement counts for nothing.
    pub(super) fn on_fetch_failed(&mut self, now: Millis, blob: BlobId, actions: &mut Vec<Action>) {
        let beat_ms = self.params.beat_ms;
        for round in self.rounds.values_mut() {
            for lane in round.fetch_failed(now, blob, beat_ms) {
                let text = format!("the proof {blob} of lane {lane} was refused or is missing");
                actions.push(Action::Note { code: "PRF-001", text });
            }
        }
    }
}
