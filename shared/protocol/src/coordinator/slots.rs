//! Rounds follow L1: opened by a deal and a plan, suspended and resumed by reorgs, closed by
//! settlement (R12.2).

use super::{Coordinator, PLANS_MAX, Plan};
use crate::{
    chain::{Chain, ChainFault, Header},
    domain::{BlockId, Hash, LaneId, Millis, Slot},
    io::{Action, L1Event, Previous, Record},
    round::{Hold, Opening, Round},
    tree::Tree,
};

impl Coordinator {
    pub(super) fn on_block(
        &mut self,
        now: Millis,
        header: Header,
        events: &[L1Event],
        actions: &mut Vec<Action>,
    ) {
        match self.chain.extend(header, events, &self.params) {
            Ok(()) => self.arrange(now, actions),
            Err(ChainFault::Gap | ChainFault::Undo) => {
                let number = header.head.number;
                let text = format!("L1 block {number} does not stand on the newest one known");
                actions.push(Action::Note { code: "CHN-001", text });
            }
        }
    }

    pub(super) fn on_undo(&mut self, now: Millis, hash: Hash, actions: &mut Vec<Action>) {
        let settled = |chain: &Chain, slot| chain.slot(slot).is_some_and(|it| it.settled.is_some());
        let before: Vec<Slot> =
            self.rounds.keys().copied().filter(|&it| settled(&self.chain, it)).collect();
        if self.chain.revert(hash).is_err() {
            let text = format!("L1 block {hash} to undo is not the newest one, or too deep");
            actions.push(Action::Note { code: "CHN-002", text });
            return;
        }
        for slot in before.into_iter().filter(|&it| !settled(&self.chain, it)) {
            if let Some(round) = self.rounds.get_mut(&slot) {
                round.resume(now);
            }
        }
        self.arrange(now, actions);
    }

    pub(super) fn on_plan(&mut self, block: BlockId, plan: Plan) {
        if self.plans.insert(block, plan).is_none() {
            self.plan_order.push_back(block);
        }
        if PLANS_MAX < self.plan_order.len()
            && let Some(oldest) = self.plan_order.pop_front()
        {
            self.plans.remove(&oldest);
        }
        assert_eq!(self.plans.len(), self.plan_order.len(), "plans are bounded");
    }

    /// Brings rounds in line with L1: opens, suspends, resumes, reverts, closes (R12.2).
    pub(super) fn arrange(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let gone: Vec<Slot> = self.rounds.keys().copied().filter(|&it| self.is_gone(it)).collect();
        for slot in gone {
            self.drop_round(now, slot, actions);
        }
        for round in self.rounds.values_mut() {
            let stands = self.chain.slot(round.slot).is_some_and(|it| it.dealt().is_some());
            if stands && round.suspended {
                round.resume(now);
            }
            round.suspended = !stands;
        }
        self.close(now, actions);
        let ready: Vec<Slot> = self.chain.slots().map(|(slot, _)| slot).collect();
        for slot in ready {
            self.open(now, slot, actions);
        }
        let oldest = self.chain.slots().next().map_or(Slot(0), |(slot, _)| slot);
        self.recorded.retain(|&slot| oldest <= slot);
        self.ended.retain(|&slot, _| oldest <= slot);
    }

    /// Whether L1 says something else about the slot than what its round was made from.
    fn is_gone(&self, slot: Slot) -> bool {
        let Some(round) = self.rounds.get(&slot) else { return false };
        let past = self.chain.head().is_some_and(|it| self.params.reveal_end(slot) <= it.number);
        let Some(facts) = self.chain.slot(slot) else { return past };
        match (facts.dealt(), facts.reveal) {
            (Some((reveal, seed)), _) => {
                (reveal.block, seed) != (round.reveal.block, round.deal.seed())
            }
            (None, Some(reveal)) => reveal.commitment != round.reveal.commitment,
            (None, None) => past,
        }
    }

    /// The slot's claims end; proofs stay in the ledger unless the slot is settled for good.
    fn drop_round(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let settled = self.chain.slots().next().is_some_and(|(oldest, _)| slot < oldest);
        let how = if settled { Previous::Released } else { Previous::Reverted };
        self.end_claims(now, slot, how, actions);
        let Some(round) = self.rounds.remove(&slot) else { return };
        if !settled {
            self.ended.insert(slot, round);
            return;
        }
        for task in round.tasks {
            if self.rounds.values().all(|it| it.find(task.id).is_none()) {
                self.ledger.forget(task.id);
            }
        }
    }

    fn end_claims(&mut self, now: Millis, slot: Slot, how: Previous, actions: &mut Vec<Action>) {
        let live: Vec<(LaneId, bool)> = self
            .claims
            .all()
            .filter(|(_, it)| it.slot == slot)
            .map(|(lane, it)| (lane, it.stage.is_made()))
            .collect();
        for (lane, made) in live {
            let how = if made && how == Previous::Released { Previous::Delivered } else { how };
            self.claims.end(now, lane, how, actions);
        }
    }

    /// Slots that were settled or lapsed: their claims end.
    fn close(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let slots: Vec<(Slot, bool)> =
            self.chain.slots().map(|(slot, it)| (slot, it.settled.is_some())).collect();
        for (slot, settled) in slots {
            if settled && self.recorded.insert(slot) {
                actions.push(Action::Persist(Record::Settled { slot }));
            }
            if settled || self.chain.lapsed(slot, &self.params) {
                self.end_claims(now, slot, Previous::Released, actions);
                self.early.retain(|(_, message)| message.slot() != slot);
            }
        }
    }

    /// Starts the round of a slot whose deal and plan are known.
    fn open(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        if self.rounds.contains_key(&slot) || !self.chain.unsettled(slot, &self.params) {
            return;
        }
        let Some((reveal, seed)) = self.chain.slot(slot).and_then(|it| it.dealt()) else { return };
        let Some(Plan::Tasks { calls, tasks }) = self.plans.get(&reveal.block) else { return };
        let lanes = self.chain.lanes_of(slot, &self.params);
        let opening = Opening { slot, reveal, seed, lanes };
        let counted = calls.len() == usize::from(reveal.count);
        let round = Tree::new(calls)
            .filter(|_| counted)
            .and_then(|tree| Round::new(now, opening, tree, tasks, &self.params));
        let Some(mut round) = round else {
            self.plans.insert(reveal.block, Plan::Refused);
            let text = format!("the plan of block {} is not its proof tree", reveal.block);
            actions.push(Action::Note { code: "BLK-002", text });
            return;
        };
        for task in &mut round.tasks {
            task.accepted = self.ledger.has(task.id);
        }
        if let Some(ended) = self.ended.remove(&slot) {
            round.inherit(&ended);
        }
        self.rounds.insert(slot, round);
        self.take_up(now, slot, actions);
        self.hear_early(now, slot, actions);
    }

    /// Live claims from before a restart go on under the same number, unless the deal is another.
    fn take_up(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let live: Vec<_> = self.claims.all().map(|(lane, it)| (lane, *it)).collect();
        for (lane, live) in live.into_iter().filter(|(_, it)| it.slot == slot) {
            let Some(round) = self.rounds.get_mut(&slot) else { return };
            let Some(task) = round.find(live.task).filter(|_| round.lanes.contains_key(&lane))
            else {
                self.claims.end(now, lane, Previous::Reverted, actions);
                continue;
            };
            let node = round.tasks[task].node;
            let cap_at = live.since.after(self.params.claim_cap_ms(node.kind));
            self.claims.place(lane, node, cap_at);
            let until = now.after(self.params.inputs_wait_ms);
            self.claims.be_patient(lane, until);
            let hold = Hold { seq: live.seq, since: live.since, cap_at };
            round.hold(now, task, lane, hold);
            self.claims.say_again(lane, actions);
            if let Some(proof) = self.ledger.own(live.task).copied() {
                self.announce(now, lane, proof, actions);
            }
        }
    }
}
