//! What our own provers and fetches say (R5.2, R5.5).

use super::Coordinator;
use crate::{
    claims::{End, Stage},
    domain::{BlobId, Credit, LaneId, Millis, Slot, StatementId, TaskId},
    io::{Action, Previous, ProverEvent, Record},
    ledger::{Origin, Proof},
};

impl Coordinator {
    pub(super) fn on_prover(&mut self, now: Millis, event: ProverEvent, actions: &mut Vec<Action>) {
        match event {
            ProverEvent::Started { task } => {
                if let Some(lane) = self.claims.lane_of(task) {
                    self.claims.advance(now, lane, Stage::Proving);
                }
            }
            ProverEvent::Made { task, statement, blob, credit, cpu_ms, peak_mb } => {
                let lane = self.claims.lane_of(task);
                let proof = Proof::new(statement, blob, credit.payee, Origin::Own);
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
                self.give_back(now, lane, true, actions);
            }
        }
    }

    /// Releases a claim and leaves its task to others for a while (R5.5). `failed` says that a
    /// proof was tried: enough of that by different provers is poison (R5.3).
    pub(super) fn give_back(
        &mut self,
        now: Millis,
        lane: LaneId,
        failed: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some((task, slot)) = self.claims.live(lane).map(|it| (it.task, it.slot)) else {
            return;
        };
        self.end_own(now, lane, End { how: Previous::Released, failed }, actions);
        let until = now.after(self.params.inputs_wait_ms);
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let Some(found) = round.find(task) else { return };
        if failed {
            round.fail(found, lane);
        }
        let Some(it) = round.task_mut(found) else { return };
        it.rest_until = until;
        if failed && it.is_quarantined(&self.params) {
            let provers = it.failures.len();
            let text = format!("task {task} failed with {provers} provers and is left alone");
            actions.push(Action::Note { code: "TSK-001", text });
        }
    }

    /// A proof that passed the acceptance rules enters the ledger, durable first.
    fn keep(&mut self, task: TaskId, proof: Proof, record: Record, actions: &mut Vec<Action>) {
        if !self.ledger.add(task, proof) {
            return;
        }
        assert!(self.ledger.has(task), "what is kept is in the ledger");
        actions.push(Action::Persist(record));
        self.due.inputs = true;
        let now = self.now;
        let unspoken = proof.origin == Origin::Own && self.claims.lane_of(task).is_none();
        self.due.offers |= unspoken;
        for round in self.rounds.values_mut() {
            let Some(found) = round.find(task) else { continue };
            round.accept(now, found, &self.params);
            if unspoken {
                round.unspoken.insert(found);
            }
        }
    }

    /// A peer's proof passed the acceptance rules: durable first, then acknowledged (R5.2).
    pub(super) fn on_accepted(
        &mut self,
        now: Millis,
        task: TaskId,
        (statement, blob, credit): (StatementId, BlobId, Credit),
        actions: &mut Vec<Action>,
    ) {
        let of = |round: &crate::round::Round| Some((round.slot, round.find(task)?));
        let found: Vec<(Slot, usize)> = self.rounds.values().filter_map(of).collect();
        let offer = |&(slot, it): &(Slot, usize)| self.rounds[&slot].task(it)?.offer_of(blob);
        let maker = found.iter().find_map(offer).map(|(lane, it)| (lane, [it.cpu_ms, it.peak_mb]));
        if found.is_empty() {
            return;
        }
        let proof = Proof::new(statement, blob, credit.payee, Origin::Peer);
        self.keep(task, proof, Record::Held { task, statement, blob, credit }, actions);
        if self.ledger.find(task, statement).is_none() {
            return;
        }
        for &(slot, number) in &found {
            self.refuse_copies(now, (slot, number), (task, statement), actions);
        }
        if let Some((lane, cost)) = maker {
            self.attribute((task, statement), lane, cost);
        }
        for (slot, task) in found {
            self.acknowledge(slot, task, statement, actions);
        }
        if let Some(lane) = self.claims.lane_of(task) {
            self.end_own(now, lane, End::plain(Previous::Released), actions);
        }
    }

    /// Notes who made a proof and at what cost, as its announcement says, unless it pays another.
    pub(super) fn attribute(
        &mut self,
        (task, statement): (TaskId, StatementId),
        maker: LaneId,
        cost: [u32; 2],
    ) {
        let Some(proof) = self.ledger.find(task, statement) else { return };
        if !self.chain.pays_another(proof.payee, maker.prover()) {
            self.ledger.attribute(task, statement, maker, cost);
        }
    }

    /// Whoever announces a proof that pays somebody else did not make it: its word counts for
    /// nothing in the slot (R10.3).
    pub(super) fn refuse_copies(
        &mut self,
        now: Millis,
        (slot, number): (Slot, usize),
        (task, statement): (TaskId, StatementId),
        actions: &mut Vec<Action>,
    ) {
        let Some(proof) = self.ledger.find(task, statement) else { return };
        let payee = proof.payee;
        let Some(round) = self.rounds.get(&slot) else { return };
        let announced = round.announcers(number, statement).into_iter();
        let copies: Vec<LaneId> =
            announced.filter(|it| self.chain.pays_another(payee, it.prover())).collect();
        for lane in copies {
            if let Some(round) = self.rounds.get_mut(&slot) {
                round.refuse_copy(now, number, lane);
            }
            let text = format!("lane {lane} announced a proof that somebody else made");
            actions.push(Action::Note { code: "PRF-001", text });
        }
    }

    /// Tried again after a beat, two beats; then the announcement counts for nothing. One whose
    /// proof does not pass counts for nothing at once.
    pub(super) fn on_fetch_failed(
        &mut self,
        now: Millis,
        (blob, refused_now): (BlobId, bool),
        actions: &mut Vec<Action>,
    ) {
        let beat_ms = self.params.beat_ms;
        let mut refused: Vec<LaneId> = Vec::new();
        for round in self.rounds.values_mut() {
            for task in round.select(|it| it.offer_of(blob).is_some()) {
                refused.extend(round.fetch_failed(now, task, (blob, refused_now), beat_ms));
            }
        }
        for lane in refused {
            let text = format!("the proof {blob} of lane {lane} was refused or is missing");
            actions.push(Action::Note { code: "PRF-001", text });
        }
        self.due.offers = true;
    }
}
