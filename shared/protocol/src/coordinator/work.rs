//! What our lanes do next: prove, claim, fetch, submit (R4.4, R5.6, R9.1).

use super::{Coordinator, NEVER};
use crate::{
    claims::{End, Promise, Stage},
    domain::{Address, BlobId, Class, LaneId, Millis, ProverId, Slot},
    io::{Action, Previous},
    ledger::Proof,
    round::{Fetching, Hold, Round},
};

/// Turns of others after which a root that we sent, and that nobody settled, is sent again.
const AGAIN_TURNS: u64 = 8;
/// Peers that one fetch names: more than a proof's first holders are not worth trying at once.
const FETCH_FROM_MAX: usize = 8;

impl Coordinator {
    /// Brings every task that this step touched up to date.
    pub(super) fn update(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for at in 0..self.active.len() {
            let slot = self.active[at];
            while let Some(task) = self.rounds.get_mut(&slot).and_then(|it| it.dirty.pop_first()) {
                self.update_task(now, slot, task, actions);
            }
        }
        self.prove(now, actions);
    }

    fn update_task(&mut self, now: Millis, slot: Slot, task: usize, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let open = round.refresh(now, task, &self.params);
        round.assert_task(task);
        self.due.offers |= open;
        self.due.root |= task == round.root();
        self.drop_hopeless(now, slot, task, actions);
        self.drop_needless(now, slot, task, actions);
        self.introduce(now, slot, task, actions);
        self.fetch(now, slot, task, actions);
    }

    /// A proof is known that stands on what our lanes work on.
    fn drop_needless(&mut self, now: Millis, slot: Slot, task: usize, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get(&slot).filter(|it| it.is_known(task)) else { return };
        if round.spot(task).children().next().is_none() {
            return;
        }
        let needless = |it: &crate::claims::Live| {
            let found = round.find(it.task).filter(|&it| it != task && !round.is_known(it));
            it.slot == slot && found.is_some_and(|it| round.known_above(it) == Some(task))
        };
        let own: Vec<LaneId> =
            self.claims.in_work().filter(|(_, it)| needless(it)).map(|(lane, _)| lane).collect();
        for lane in own {
            self.end_own(now, lane, End::plain(Previous::Released), actions);
        }
    }

    /// An input of our claim turned out not to exist: the lane has better things to do than to
    /// wait for it.
    fn drop_hopeless(&mut self, now: Millis, slot: Slot, task: usize, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get(&slot) else { return };
        let Some(lane) = self.claims.lane_of(round.spot(task).id) else { return };
        let waits = |it: &crate::claims::Live| {
            it.slot == slot && matches!(it.stage, Stage::Inputs { .. }) && it.since < now
        };
        if !round.is_ready(task) && self.claims.live(lane).is_some_and(waits) {
            let children = round.spot(task).children();
            let gone: Vec<usize> = children.filter(|&it| !round.is_known(it)).collect();
            if let Some(round) = self.rounds.get_mut(&slot) {
                gone.into_iter().for_each(|it| round.miss(it, 0));
            }
            self.end_own(now, lane, End::plain(Previous::Released), actions);
        }
    }

    /// Claims whose inputs are all accepted go to the prover.
    pub(super) fn prove(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if !self.due.inputs && !self.claims.is_changed() {
            return;
        }
        let waits = |it: &crate::claims::Live| matches!(it.stage, Stage::Inputs { .. });
        let waiting: Vec<_> = self
            .claims
            .in_work()
            .filter(|(_, it)| waits(it))
            .map(|(lane, it)| (lane, *it))
            .collect();
        for (lane, live) in waiting {
            let Some(round) = self.rounds.get(&live.slot).filter(|it| !it.suspended) else {
                continue;
            };
            let Some(found) = round.find(live.task) else { continue };
            let spot = round.spot(found);
            let proofs = spot.children().map(|it| self.ledger.best(round.spot(it).id));
            let Some(children) = proofs.map(|it| it.map(|it| it.blob)).collect() else { continue };
            let children: Vec<BlobId> = children;
            assert_eq!(children.len(), spot.children().count(), "{} has all inputs", spot.node);
            let (block, node, payee) = (round.reveal.block, spot.node, self.payee(lane));
            if self.claims.advance(now, lane, Stage::Machine) {
                let task = live.task;
                actions.push(Action::Prove { block, node, task, lane, payee, children });
            }
        }
    }

    fn payee(&self, lane: LaneId) -> Address {
        self.chain.prover(lane.prover()).map_or(Address::default(), |it| it.payout)
    }

    /// Idle lanes offer themselves: older slot first, then the longest remaining way, then own
    /// before others', then rank (R4.4).
    pub(super) fn offer(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if !core::mem::take(&mut self.due.offers) && now < self.due.claim {
            return;
        }
        let mut next = NEVER;
        for at in 0..self.active.len() {
            let slot = self.active[at];
            let Some(round) = self.rounds.get(&slot) else { continue };
            let own = round.own.iter().filter(|it| self.claims.is_free(it.0)).copied();
            for (lane, class) in own.collect::<Vec<_>>() {
                next = next.min(self.offer_lane(now, slot, (lane, class), actions));
            }
        }
        self.due.claim = next;
        self.update(now, actions);
        self.due.offers = false;
    }

    /// Claims the lane's best task of a slot; gives when the next one opens for it otherwise.
    fn offer_lane(
        &mut self,
        now: Millis,
        slot: Slot,
        (lane, class): (LaneId, Class),
        actions: &mut Vec<Action>,
    ) -> Millis {
        let aside = self.rounds[&slot].is_aside(lane);
        if aside || !self.claims.is_free(lane) || self.blocked(lane).is_some() {
            return NEVER;
        }
        if let Some(task) = self.unspoken(slot, class) {
            self.claim(slot, lane, task, actions);
            return NEVER;
        }
        match self.best_open(now, &self.rounds[&slot], (lane, class)) {
            Some(task) => {
                self.claim(slot, lane, task, actions);
                NEVER
            }
            None => self.next_open(now, &self.rounds[&slot], (lane, class)),
        }
    }

    /// What the lane claims now: the first of what it ranks for, unless somebody should take what
    /// nobody who ranks for it took.
    fn best_open(&self, now: Millis, round: &Round, who: (LaneId, Class)) -> Option<usize> {
        let rank = |task: usize| {
            let due = self.opens_for(round, task, who).filter(|(at, _)| *at <= now);
            let free = || self.claims.lane_of(round.spot(task).id).is_none();
            due.filter(|_| free()).map(|it| it.1)
        };
        let ranked = round.open.by_lane(who.0).find(|it| rank(it.2).is_some());
        let begun = |task: usize| round.open_to_all_at(task, &self.params) <= now;
        let left = round.open.by_way().take_while(|it| begun(it.1));
        let left = left.filter(|it| round.stranger_at(it.1, &self.params) <= now);
        let left = left.take_while(|it| ranked.is_none_or(|best| it.0 < best.0));
        let left = left.filter_map(|(way, task)| Some((way, rank(task)?, task)));
        left.min().into_iter().chain(ranked).min().map(|it| it.2)
    }

    /// When the first task opens for the lane that it may not claim yet. What it does not rank for
    /// opens near the deadline: until then it is enough to look again when that may be.
    fn next_open(&self, now: Millis, round: &Round, who: (LaneId, Class)) -> Millis {
        let opens = |task| self.opens_for(round, task, who).map(|it| it.0).filter(|&it| now < it);
        let mut next = round.open.by_lane(who.0).filter_map(|it| opens(it.2)).min();
        for (_, task) in round.open.by_way() {
            let late = round.open_to_all_at(task, &self.params);
            let stranger = round.stranger_at(task, &self.params);
            let at = [late, stranger].into_iter().find(|&it| now < it);
            next = next.into_iter().chain(at.or_else(|| opens(task))).min();
            if now < late {
                break;
            }
        }
        next.unwrap_or(NEVER)
    }

    /// From when on the lane may claim the task, and its rank.
    fn opens_for(
        &self,
        round: &Round,
        task: usize,
        (lane, class): (LaneId, Class),
    ) -> Option<(Millis, usize)> {
        let held = round.task(task).is_some_and(|it| it.holds.contains_key(&lane));
        let able = !held
            && round.can_prove(task, class, &self.params)
            && self.can_finish(round, task, lane);
        if able { round.opens_at(task, lane, &self.params) } else { None }
    }

    /// Whether the lane, as fast as it was measured, would be done before its claim's cap (R5.6).
    fn can_finish(&self, round: &Round, task: usize, lane: LaneId) -> bool {
        let kind = round.spot(task).node.kind;
        let permille = self.able.get(&lane).map_or(1000, |it| it.permille);
        self.params.p50(kind) * permille / 1000 < self.params.claim_cap_ms(kind)
    }

    /// A task that we have proved already, for another slot or before a restart, and that nobody
    /// announced in this one: telling costs nothing.
    fn unspoken(&mut self, slot: Slot, class: Class) -> Option<usize> {
        let params = &self.params;
        let round = self.rounds.get_mut(&slot)?;
        let quiet = |it: &crate::round::Task| it.offers.is_empty() && it.holds.is_empty();
        loop {
            let able = |it: &&usize| round.can_prove(**it, class, params);
            let task = *round.unspoken.iter().find(able)?;
            round.unspoken.remove(&task);
            if round.task(task).is_none_or(quiet) {
                return Some(task);
            }
        }
    }

    fn claim(&mut self, slot: Slot, lane: LaneId, task: usize, actions: &mut Vec<Action>) {
        let now = self.now;
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let spot = *round.spot(task);
        let attempt = round.track(now, task, &self.params).attempts;
        let cap_at = now.after(self.params.claim_cap_ms(spot.node.kind));
        let inputs_until = now.after(self.params.inputs_wait_ms);
        let promise =
            Promise { task: spot.id, node: spot.node, slot, attempt, cap_at, inputs_until };
        let own = self.ledger.own(spot.id).copied();
        let to = self.claim_audience(slot, spot.id);
        self.claims.begin(now, lane, (promise, to), actions);
        let seq = self.claims.last_seq(lane);
        if let Some(round) = self.rounds.get_mut(&slot) {
            round.hold(now, task, (lane, Hold { seq, since: now, cap_at }), &self.params);
            let children: Vec<usize> = spot.children().collect();
            round.dirty.extend(children);
        }
        if let Some(proof) = own {
            self.announce(now, lane, proof, actions);
        }
    }

    /// Fetches an announced proof that one of our lanes should keep or needs.
    fn fetch(&mut self, now: Millis, slot: Slot, task: usize, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get(&slot) else { return };
        let Some(maker) = fetchable(now, round, task) else { return };
        let needs = |task: usize| self.claims.lane_of(round.spot(task).id).is_some();
        let wanted = round.is_keeper(task)
            || needs(task)
            || round.layout.parents(task).any(needs)
            || round.is_orphan(task, maker);
        if !wanted {
            return;
        }
        let from = self.sources(round, task, maker);
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let id = round.spot(task).id;
        let Some(it) = round.task_mut(task) else { return };
        let Some(offer) = it.offers.get_mut(&maker) else { return };
        offer.fetching = Fetching::Asked;
        actions.push(Action::Fetch { blob: offer.blob, task: id, from });
    }

    /// The maker first, then whoever said that it holds a copy, then whoever should.
    fn sources(&self, round: &Round, task: usize, maker: LaneId) -> Vec<ProverId> {
        let it = round.task(task);
        let offer = it.and_then(|it| it.offers.get(&maker));
        let said = it.zip(offer).and_then(|(it, offer)| it.holders.get(&offer.statement));
        let parents = round.layout.parents(task).filter_map(|it| round.task(it));
        let should =
            parents.flat_map(|it| it.order.iter().copied()).filter(|&it| round.is_alive(it));
        let first = round.is_alive(maker).then_some(maker.prover());
        let all = first.into_iter().chain(said.into_iter().flat_map(|it| it.keys().copied()));
        let mut from: Vec<ProverId> = Vec::new();
        for prover in all.chain(should.map(LaneId::prover)) {
            if Some(prover) != self.own && !from.contains(&prover) {
                from.push(prover);
            }
            if from.len() == FETCH_FROM_MAX {
                break;
            }
        }
        from
    }

    /// The root of the oldest unsettled slot goes to L1 in order of rank (R9.1).
    pub(super) fn submit(&mut self, actions: &mut Vec<Action>) {
        if !core::mem::take(&mut self.due.root) {
            return;
        }
        let Some(slot) = self.chain.oldest_unsettled(&self.params) else { return };
        let number = self.chain.head().map_or(0, |it| it.number);
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let root = round.spot(round.root()).id;
        let Some(&Proof { statement, blob, .. }) = self.ledger.best(root) else { return };
        let again = AGAIN_TURNS * self.params.submit_priority_blocks;
        if round.suspended || round.submitted.is_some_and(|it| number < it + again) {
            return;
        }
        let since = *round.root_since.get_or_insert(number);
        let makers: Vec<LaneId> = self.ledger.of(root).iter().filter_map(|it| it.maker).collect();
        let Some(turn) = self.own.and_then(|own| turn(round, &makers, own)) else { return };
        if since + turn as u64 * self.params.submit_priority_blocks <= number {
            round.submitted = Some(number);
            actions.push(Action::SubmitRoot { slot, statement, blob });
        }
    }
}

/// A maker whose announced proof of a task is due to be fetched; one at a time.
fn fetchable(now: Millis, round: &Round, task: usize) -> Option<LaneId> {
    let it = round.task(task)?;
    let asked = it.offers.values().any(|offer| offer.fetching == Fetching::Asked);
    if it.accepted || asked {
        return None;
    }
    let mut offers = it.offers.iter().filter(|(maker, _)| !round.is_own(**maker));
    let found = offers.find(|(_, it)| matches!(it.fetching, Fetching::Due(at) if at <= now));
    found.map(|(&lane, _)| lane)
}

/// How many live provers submit before this one: the root's makers by rank, then those that
/// follow it, then all others.
fn turn(round: &Round, makers: &[LaneId], own: ProverId) -> Option<usize> {
    round.own.first()?;
    let order = round.task(round.root()).map(|it| &*it.order).unwrap_or_default();
    let (first, rest): (Vec<LaneId>, Vec<LaneId>) = makers
        .iter()
        .chain(order)
        .copied()
        .filter(|&it| round.is_alive(it) || it.prover() == own)
        .partition(|it| makers.contains(it));
    let mut provers: Vec<ProverId> = Vec::new();
    for lane in first.into_iter().chain(rest) {
        if !provers.contains(&lane.prover()) {
            provers.push(lane.prover());
        }
    }
    Some(provers.iter().position(|&it| it == own).unwrap_or(provers.len()))
}
