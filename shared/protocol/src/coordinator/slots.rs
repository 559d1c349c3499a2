//! Rounds follow L1: opened by a deal and a plan, suspended and resumed by reorgs, closed by
//! settlement (R12.2).

use super::{Coordinator, PLANS_MAX, Plan};
use std::sync::Arc;

use crate::{
    assign::{
        Deal,
        deal::{Amount, NOT_DEALT, times_dealt},
        keccak::keccak256,
    },
    chain::{Chain, ChainFault, Header},
    claims::End,
    domain::{BlockId, Hash, LaneId, Millis, Slot},
    io::{Action, Audience, L1Event, Previous, Record},
    round::{Hold, Opening, Round},
    tree::layout::Layout,
};

impl Coordinator {
    pub(super) fn on_block(
        &mut self,
        now: Millis,
        header: Header,
        events: &[L1Event],
        actions: &mut Vec<Action>,
    ) {
        match self.chain.extend_known(header, events, &self.params, &self.memo) {
            Ok(()) => {
                self.arrange(now, actions);
                self.due.root = true;
            }
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
        self.due.root = true;
    }

    pub(super) fn on_plan(&mut self, block: BlockId, plan: Plan) {
        self.arranged = u64::MAX;
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
        let same = self.arranged == self.chain.changes();
        self.arranged = self.chain.changes();
        // A reveal that is missing for good, or a slot whose time is over, is seen by time alone.
        let all = |it: &Slot| !same || self.rounds.get(it).is_some_and(|it| it.suspended);
        let looked = self.rounds.keys().copied().filter(all);
        let gone: Vec<Slot> = looked.filter(|&it| self.is_gone(it)).collect();
        for slot in gone {
            self.drop_round(now, slot, actions);
        }
        for round in self.rounds.values_mut() {
            let stands = self.chain.slot(round.slot).is_some_and(|it| it.is_dealt());
            if stands && round.suspended {
                round.resume(now);
            }
            let naming = self.chain.slot(round.slot).map(|it| it.naming).unwrap_or_default();
            round.name(now, naming, &self.params);
            round.suspended = !stands;
        }
        self.close(now, actions);
        if !same {
            let ready: Vec<Slot> = self.chain.slots().map(|(slot, _)| slot).collect();
            for slot in ready {
                self.open(now, slot, actions);
            }
        }
        let oldest = self.chain.slots().next().map_or(Slot(0), |(slot, _)| slot);
        self.recorded.retain(|&slot| oldest <= slot);
        self.said.retain(|it, _| oldest <= it.0);
        self.ended.retain(|&slot, _| oldest <= slot);
        let open = |it: &&Round| !it.suspended && self.chain.unsettled(it.slot, &self.params);
        self.active = self.rounds.values().filter(open).map(|it| it.slot).collect();
        self.due.offers = true;
        self.due.deliveries = true;
        self.due.inputs = true;
        self.advertise(now, actions);
        self.plan_silence(now);
    }

    /// Whether L1 says something else about the slot than what its round was made from.
    fn is_gone(&self, slot: Slot) -> bool {
        let Some(round) = self.rounds.get(&slot) else { return false };
        let past = self.chain.head().is_some_and(|it| self.params.reveal_end(slot) <= it.number);
        let Some(facts) = self.chain.slot(slot) else { return past };
        match (facts.dealt(), facts.reveal) {
            (Some((reveal, seed)), _) => {
                let key = self.deal_key(slot, reveal.block, seed);
                (reveal.block, key) != (round.reveal.block, round.key)
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
        let ids: Vec<crate::TaskId> = self.ledger.tasks().map(|(task, _)| task).collect();
        for task in ids.into_iter().filter(|&it| round.find(it).is_some()) {
            if self.rounds.values().all(|it| it.find(task).is_none()) {
                self.ledger.forget(task);
            }
        }
    }

    fn end_claims(&mut self, now: Millis, slot: Slot, how: Previous, actions: &mut Vec<Action>) {
        let made = if how == Previous::Released { Previous::Delivered } else { how };
        let of = |it: &&(LaneId, crate::claims::Live)| it.1.slot == slot;
        let all: Vec<_> = self.claims.all().map(|(lane, it)| (lane, *it)).collect();
        for &(lane, live) in all.iter().filter(of) {
            if live.stage.is_made() {
                self.claims.finish(now, (lane, live.seq), made, actions);
            } else {
                let to = self.claim_audience(slot, live.task);
                self.claims.end(now, lane, (End::plain(how), to), actions);
            }
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

    /// Names everything that a slot's deal is made from.
    fn deal_key(&self, slot: Slot, block: BlockId, seed: Hash) -> Hash {
        let registry = self.chain.registry_key(slot, &self.params);
        let before = self.chain.dealt_before(slot, &self.params);
        let mut parts: Vec<u8> = Vec::new();
        for (seed, txs) in before {
            parts.extend(seed.0);
            parts.extend(txs.to_be_bytes());
        }
        keccak256(&[&seed.0, &slot.0.to_be_bytes(), &block.0, &registry.0, &parts])
    }

    fn deal(&self, slot: Slot, key: Hash, seed: Hash, layout: &Layout) -> Arc<Deal> {
        self.memo.deal(key, || {
            let set = self.chain.set_of(slot, &self.params);
            let active = set.active();
            let amount = Amount { subtrees: layout.cut.subtrees.len(), vms: layout.vms };
            let before = self.chain.dealt_before(slot, &self.params);
            let rolling = times_dealt(&active, &before);
            let times = |class, lane| match active.get(&lane) {
                Some(_) => rolling.get(&(class, lane)).copied().unwrap_or(0),
                None => NOT_DEALT,
            };
            let lanes = set.lanes().filter(|it| set.may_take_open(it.0));
            let lanes = lanes.map(|(lane, it)| (lane, it.class)).collect();
            Deal::new(seed, lanes, amount, self.params.replicas_subtree, &times)
        })
    }

    /// Starts the round of a slot whose deal and plan are known.
    fn open(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        if self.rounds.contains_key(&slot) || !self.chain.unsettled(slot, &self.params) {
            return;
        }
        let Some((reveal, seed)) = self.chain.slot(slot).and_then(|it| it.dealt()) else { return };
        let Some(Plan::Tasks(plan)) = self.plans.get(&reveal.block) else { return };
        let counted = plan.calls.len() == usize::from(reveal.count);
        let layout = self.memo.layout(plan, &self.params).filter(|_| counted);
        let Some(layout) = layout else {
            self.plans.insert(reveal.block, Plan::Refused);
            let text = format!("the plan of block {} is not its proof tree", reveal.block);
            actions.push(Action::Note { code: "BLK-002", text });
            return;
        };
        let key = self.deal_key(slot, reveal.block, seed);
        let deal = self.deal(slot, key, seed, &layout);
        let opening = Opening { slot, reveal, deal, layout, key, own: self.own };
        let naming = self.chain.slot(slot).map(|it| it.naming).unwrap_or_default();
        let mut round = Round::new(now, opening, &self.params);
        round.name(now, naming, &self.params);
        for (id, proofs) in self.ledger.tasks() {
            let Some(task) = round.find(id) else { continue };
            round.accept(now, task, &self.params);
            if proofs.iter().any(|it| it.origin == crate::ledger::Origin::Own) {
                round.unspoken.insert(task);
            }
        }
        if let Some(ended) = self.ended.remove(&slot) {
            round.inherit(now, &ended, &self.params);
        }
        self.rounds.insert(slot, round);
        self.repeat_to_self(now, slot, actions);
        self.take_up(now, slot, actions);
        self.hear_early(now, slot, actions);
        let doubted = self.rounds.get(&slot).map(|it| it.doubted().clone()).unwrap_or_default();
        for lane in doubted {
            self.judge_lane(now, slot, lane, actions);
        }
    }

    /// Live claims from before a restart go on under the same number, unless the deal is another.
    fn take_up(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let all: Vec<_> = self.claims.all().map(|(lane, it)| (lane, *it)).collect();
        for (lane, live) in all.into_iter().filter(|(_, it)| it.slot == slot) {
            let Some(round) = self.rounds.get_mut(&slot) else { return };
            let here = round.deal.lanes().contains_key(&lane);
            let found = round.find(live.task).filter(|_| here);
            match (found, live.stage.is_made()) {
                (None, true) => {
                    self.claims.finish(now, (lane, live.seq), Previous::Reverted, actions);
                }
                (None, false) => {
                    let end = End::plain(Previous::Reverted);
                    self.claims.end(now, lane, (end, Audience::Everyone), actions);
                }
                (Some(task), true) => self.tell_again(lane, live, task, actions),
                (Some(task), false) => self.go_on(lane, live, task, actions),
            }
        }
    }

    /// A made proof waits for its copies again.
    fn tell_again(
        &mut self,
        lane: LaneId,
        live: crate::claims::Live,
        task: usize,
        actions: &mut Vec<Action>,
    ) {
        let Some(round) = self.rounds.get_mut(&live.slot) else { return };
        round.unspoken.remove(&task);
        self.claims.place_made(lane, live.seq, round.spot(task).node);
        if let Some(proof) = self.ledger.own(live.task).copied() {
            self.tell(live.slot, (lane, live.seq), (live.task, proof), actions);
        }
        self.due.deliveries = true;
    }

    fn go_on(
        &mut self,
        lane: LaneId,
        live: crate::claims::Live,
        task: usize,
        actions: &mut Vec<Action>,
    ) {
        let (now, slot) = (self.now, live.slot);
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let node = round.spot(task).node;
        let cap_at = live.since.after(self.params.claim_cap_ms(node.kind));
        self.claims.place(lane, node, cap_at);
        self.claims.be_patient(lane, now.after(self.params.inputs_wait_ms));
        let hold = Hold { seq: live.seq, since: live.since, cap_at };
        round.hold(now, task, (lane, hold), &self.params);
        let to = self.claim_audience(slot, live.task);
        self.claims.say_again(lane, to, actions);
        if let Some(proof) = self.ledger.own(live.task).copied() {
            self.announce(now, lane, proof, actions);
        }
    }
}
