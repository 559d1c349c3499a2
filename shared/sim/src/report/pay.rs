//! What provers earn in an epoch: the protocol's own pay (R9.3, R10), from the books of a world.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    LaneId, Params, ProverId, Slot,
    epoch::{
        Epoch,
        fault::{Fault, no_show},
        pay::{Coverage, Duties, Earned, List},
    },
};

use crate::world::l1::payout_of;

/// Pay of one unit, in thousandths of the epoch's token; only ratios matter.
pub(crate) const UNIT_PAY: u64 = 1_000;

/// One proof under a settled root.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) slot: Slot,
    pub(crate) units: u64,
    pub(crate) maker: ProverId,
    /// The lane it was dealt to; `None` in the crown.
    pub(crate) dealt: Option<LaneId>,
    /// Who had the right to make it: the dealt lane's prover, in the crown the children's makers.
    pub(crate) rights: Vec<ProverId>,
}

/// All that an epoch's pay follows from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) shares: Vec<Share>,
    /// Who had a lane that was lost or ran into a cap: taking over from them pays in full.
    pub(crate) excused: BTreeSet<(Slot, ProverId)>,
    /// Lanes with two different claims under one number.
    pub(crate) equivocators: BTreeSet<LaneId>,
    /// Every lane of the epoch.
    pub(crate) lanes: Vec<LaneId>,
}

/// What one prover gets and loses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Pay {
    pub(crate) earned: u64,
    pub(crate) slashed: u64,
}

impl Account {
    fn duties(&self) -> Duties {
        let mut duties = Duties::default();
        for it in &self.shares {
            duties.credited(it.maker, it.units);
            it.dealt.into_iter().for_each(|lane| duties.dealt(lane, it.units));
        }
        duties
    }

    /// The epoch's list: every slot's pool is worth its units.
    fn list(&self) -> List {
        let mut list = List::new(Epoch(0));
        let mut slots: BTreeMap<Slot, BTreeMap<ProverId, Earned>> = BTreeMap::new();
        for it in &self.shares {
            let earned = slots.entry(it.slot).or_default().entry(it.maker).or_default();
            let excused = |of: &ProverId| self.excused.contains(&(it.slot, *of));
            let taken = !it.rights.contains(&it.maker) && !it.rights.iter().any(excused);
            *(if taken { &mut earned.taken } else { &mut earned.full }) += it.units;
        }
        for credits in slots.into_values() {
            let units = credits.values().map(|it| it.full + it.taken).sum::<u64>();
            let credits = credits.into_iter().map(|(prover, it)| (payout_of(prover), it));
            list.settled(u128::from(units * UNIT_PAY), units, credits);
        }
        list
    }
}

/// Pays everybody. A lane's bond is one epoch's pay of a lane (R1.2).
pub(crate) fn pay(account: &Account, params: &Params) -> BTreeMap<ProverId, Pay> {
    let (list, covered) = (account.list(), account.duties().coverage());
    let bond = list.pool() / (account.lanes.len() as u128).max(1);
    let settled = account.shares.iter().map(|it| it.slot).collect::<BTreeSet<_>>().len() as u64;
    let mut coverage: BTreeMap<ProverId, Coverage> = BTreeMap::new();
    let mut result: BTreeMap<ProverId, Pay> = BTreeMap::new();
    for &lane in &account.lanes {
        let of = covered.get(&lane).copied().unwrap_or_default();
        let sum = coverage.entry(lane.prover()).or_default();
        *sum = Coverage { dealt: sum.dealt + of.dealt, made: sum.made + of.made };
        let two = Fault::TwoClaims { lane, slot: Slot(0), seq: 0 };
        let twice = account.equivocators.contains(&lane).then_some(two);
        let fault = twice.or_else(|| no_show(lane, list.epoch(), of, settled));
        let lost = fault.map_or(0, |it| it.loss(bond, params).bond);
        result.entry(lane.prover()).or_default().slashed += u64::try_from(lost).unwrap_or(u64::MAX);
    }
    for (prover, pay) in &mut result {
        let factor = coverage[prover].factor_permille(params);
        let amount = list.amount(payout_of(*prover), factor, params);
        pay.earned = u64::try_from(amount).unwrap_or(u64::MAX);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(maker: u32, dealt: u32) -> Share {
        let (rights, dealt) = (vec![ProverId(dealt)], Some(LaneId::new(ProverId(dealt), 0)));
        Share { slot: Slot(0), units: 30, maker: ProverId(maker), dealt, rights }
    }

    #[test]
    fn own_work_pays_more_than_taken_work_and_nothing_costs() {
        let lanes = (0..3).map(|it| LaneId::new(ProverId(it), 0)).collect();
        let shares = vec![share(0, 0), share(0, 0), share(1, 1), share(1, 2)];
        let account = Account { shares, lanes, ..Account::default() };
        let paid = pay(&account, &Params::devnet());
        let of = |it: u32| paid[&ProverId(it)];
        assert_eq!(of(0), Pay { earned: 60_000, slashed: 0 });
        assert_eq!(of(1), Pay { earned: 42_000, slashed: 0 });
        assert_eq!(of(2), Pay { earned: 0, slashed: 10_000 }, "a quarter of a bond of 40,000");
    }

    #[test]
    fn taking_over_from_a_lost_lane_pays_in_full_and_two_claims_cost_the_bond() {
        let lane = |it| LaneId::new(ProverId(it), 0);
        let account = Account {
            shares: vec![share(0, 1), share(0, 0)],
            excused: [(Slot(0), ProverId(1))].into(),
            equivocators: [lane(0)].into(),
            lanes: vec![lane(0), lane(1)],
        };
        let paid = pay(&account, &Params::devnet());
        assert_eq!(paid[&ProverId(0)], Pay { earned: 60_000, slashed: 30_000 });
        assert!(paid.values().map(|it| it.earned).sum::<u64>() <= 60_000, "no more than the pool");
    }
}
