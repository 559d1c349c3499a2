//! What our lanes do next: deliver, prove, claim, fetch, submit (R4.4, R5.2, R9.1).

use core::cmp::Reverse;

use super::Coordinator;
use crate::{
    claims::{Promise, Stage},
    domain::{Address, Class, LaneId, Millis, ProverId, Slot},
    io::{Action, Previous},
    ledger::Proof,
    params::Params,
    round::{Fetching, Hold, Round},
};

/// Peers that one fetch names: more than a proof's first holders are not worth trying at once.
const FETCH_FROM_MAX: usize = 8;

impl Coordinator {
    /// Claims whose proofs are held by everybody who should end as delivered (R5.2).
    pub(super) fn deliver(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let made: Vec<_> = self.claims.all().map(|(lane, it)| (lane, *it)).collect();
        for (lane, live) in made {
            let Stage::Made { statement } = live.stage else { continue };
            let Some(round) = self.rounds.get(&live.slot) else { continue };
            let Some(task) = round.find(live.task) else { continue };
            if round.is_delivered(task, lane, statement, &self.params) {
                self.end_own(now, lane, Previous::Delivered, actions);
            }
        }
    }

    pub(super) fn refresh(&mut self, now: Millis) {
        for slot in self.active() {
            let ledger = &self.ledger;
            if let Some(round) = self.rounds.get_mut(&slot) {
                round.refresh(now, |task| ledger.of(task).iter().find_map(|it| it.maker));
            }
        }
    }

    /// Claims whose inputs are all accepted go to the prover.
    pub(super) fn prove(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let waiting: Vec<_> = self.claims.all().map(|(lane, it)| (lane, *it)).collect();
        for (lane, live) in waiting {
            let Some(round) = self.rounds.get(&live.slot).filter(|it| !it.suspended) else {
                continue;
            };
            let Some(found) = round.find(live.task) else { continue };
            if !matches!(live.stage, Stage::Inputs { .. }) {
                continue;
            }
            let task = &round.tasks[found];
            let proofs = task.children.iter().map(|&it| self.ledger.best(round.tasks[it].id));
            let Some(children) = proofs.map(|it| it.map(|it| it.blob)).collect() else { continue };
            let children: Vec<crate::BlobId> = children;
            assert_eq!(children.len(), task.children.len(), "{} has all its inputs", task.node);
            let (block, node, payee) = (round.reveal.block, task.node, self.payee(lane));
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
        for slot in self.active() {
            for lane in self.own_lanes(&self.rounds[&slot]) {
                self.offer_lane(now, slot, lane, actions);
            }
        }
        self.prove(now, actions);
    }

    fn offer_lane(
        &mut self,
        now: Millis,
        slot: Slot,
        (lane, class): (LaneId, Class),
        actions: &mut Vec<Action>,
    ) {
        let round = &self.rounds[&slot];
        if !self.claims.is_free(lane) {
            return;
        }
        let best = || best_task(now, round, (lane, class), &self.params);
        if let Some(task) = self.unspoken(round, class).or_else(best) {
            self.claim(slot, lane, task, actions);
        }
    }

    /// A task that we have proved already, for another slot or before a restart, and that nobody
    /// announced in this one: telling costs nothing.
    fn unspoken(&self, round: &Round, class: Class) -> Option<usize> {
        let quiet = |task: usize| {
            let it = &round.tasks[task];
            let unheard = it.offers.is_empty() && it.holds.is_empty();
            it.accepted && unheard && can_prove(round, task, class)
        };
        (0..round.tasks.len())
            .find(|&task| quiet(task) && self.ledger.own(round.tasks[task].id).is_some())
    }

    fn claim(&mut self, slot: Slot, lane: LaneId, task: usize, actions: &mut Vec<Action>) {
        let now = self.now;
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let it = &round.tasks[task];
        let cap_at = now.after(self.params.claim_cap_ms(it.node.kind));
        let promise = Promise {
            task: it.id,
            node: it.node,
            slot,
            attempt: it.attempts,
            cap_at,
            inputs_until: now.after(self.params.inputs_wait_ms),
        };
        assert!(it.open_since.is_some() || it.accepted, "{} is not open", it.node);
        let own = self.ledger.own(it.id).copied();
        self.claims.begin(now, lane, promise, actions);
        let seq = self.claims.last_seq(lane);
        round.hold(now, task, lane, Hold { seq, since: now, cap_at });
        if let Some(proof) = own {
            self.announce(now, lane, proof, actions);
        }
    }

    /// Fetches announced proofs that one of our lanes should keep or needs as an input.
    pub(super) fn fetch(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for slot in self.active() {
            let Some(round) = self.rounds.get(&slot) else { continue };
            let wanted: Vec<(usize, LaneId)> = (0..round.tasks.len())
                .filter_map(|task| Some((task, due(now, round, task)?)))
                .filter(|&(task, maker)| self.wants(round, task, maker))
                .collect();
            for (task, maker) in wanted {
                self.ask(slot, task, maker, actions);
            }
        }
    }

    fn wants(&self, round: &Round, task: usize, maker: LaneId) -> bool {
        let ours = |lane: &LaneId| self.own == Some(lane.prover());
        let parents = &round.tasks[task].parents;
        let needs = |&parent: &usize| self.claims.lane_of(round.tasks[parent].id).is_some();
        round.keepers(task, maker, &self.params).iter().any(ours) || parents.iter().any(needs)
    }

    /// The maker first, then whoever said that it holds a copy.
    fn ask(&mut self, slot: Slot, task: usize, maker: LaneId, actions: &mut Vec<Action>) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let Some(offer) = round.tasks[task].offers.get_mut(&maker) else { return };
        offer.fetching = Fetching::Asked;
        let (blob, statement) = (offer.blob, offer.statement);
        let mut from = vec![maker.prover()];
        let holders = round.holders.get(&statement).into_iter().flatten();
        from.extend(holders.filter(|&&it| it != maker.prover() && Some(it) != self.own));
        from.truncate(FETCH_FROM_MAX);
        assert!(!from.is_empty(), "somebody announced what is fetched");
        actions.push(Action::Fetch { blob, task: round.tasks[task].id, from });
    }

    /// The root of the oldest unsettled slot goes to L1 in order of rank (R9.1).
    pub(super) fn submit(&mut self, actions: &mut Vec<Action>) {
        let Some(slot) = self.chain.oldest_unsettled(&self.params) else { return };
        let number = self.chain.head().map_or(0, |it| it.number);
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let root = round.tasks[round.root()].id;
        let Some(&Proof { statement, blob, .. }) = self.ledger.best(root) else { return };
        if round.submitted || round.suspended {
            return;
        }
        let since = *round.root_since.get_or_insert(number);
        let makers: Vec<LaneId> = self.ledger.of(root).iter().filter_map(|it| it.maker).collect();
        let Some(turn) = self.own.and_then(|own| turn(round, &makers, own)) else { return };
        assert!(round.tasks[round.root()].accepted, "only an accepted root is submitted");
        if since + turn as u64 * self.params.submit_priority_blocks <= number {
            round.submitted = true;
            actions.push(Action::SubmitRoot { slot, statement, blob });
        }
    }

    pub(super) fn work_deadlines(&self, round: &Round) -> Vec<(Millis, &'static str)> {
        let mut due = Vec::new();
        for (lane, class) in self.own_lanes(round) {
            if !self.claims.is_free(lane) {
                continue;
            }
            let tasks = (0..round.tasks.len()).filter(|&it| can_prove(round, it, class));
            let opens = tasks.filter_map(|task| round.opens_at(task, lane, &self.params));
            due.extend(opens.map(|(at, _)| (at, "claim")));
        }
        let tasks = round.tasks.iter().filter(|it| !it.accepted);
        for offer in tasks.flat_map(|it| it.offers.values()) {
            if let Fetching::Due(at) = offer.fetching {
                due.push((at, "fetch"));
            }
        }
        due
    }
}

fn can_prove(round: &Round, task: usize, class: Class) -> bool {
    round.tasks[task].node.kind.class().is_some_and(|it| Params::can_prove(class, it))
}

/// The open task that this lane should claim now.
fn best_task(
    now: Millis,
    round: &Round,
    (lane, class): (LaneId, Class),
    params: &Params,
) -> Option<usize> {
    let able = (0..round.tasks.len()).filter(|&task| can_prove(round, task, class));
    let open = able.filter_map(|task| {
        let (at, rank) = round.opens_at(task, lane, params)?;
        (at <= now).then_some((Reverse(round.tasks[task].way_ms), rank, task))
    });
    open.min().map(|(_, _, task)| task)
}

/// A maker whose announced proof of a task is due to be fetched; one at a time.
fn due(now: Millis, round: &Round, task: usize) -> Option<LaneId> {
    let it = &round.tasks[task];
    let asked = it.offers.values().any(|offer| offer.fetching == Fetching::Asked);
    if it.accepted || asked {
        return None;
    }
    let mut offers = it.offers.iter();
    let found = offers.find(|(_, it)| matches!(it.fetching, Fetching::Due(at) if at <= now));
    found.map(|(&lane, _)| lane)
}

/// How many live provers submit before this one: the root's makers by rank, then all others.
fn turn(round: &Round, makers: &[LaneId], own: ProverId) -> Option<usize> {
    let order = &round.tasks[round.root()].order;
    let (first, rest): (Vec<LaneId>, Vec<LaneId>) = order
        .iter()
        .copied()
        .filter(|&it| round.is_alive(it) || it.prover() == own)
        .partition(|it| makers.contains(it));
    let mut provers: Vec<ProverId> = Vec::new();
    for lane in first.into_iter().chain(rest) {
        if !provers.contains(&lane.prover()) {
            provers.push(lane.prover());
        }
    }
    provers.iter().position(|&it| it == own)
}
