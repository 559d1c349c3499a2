//! What provers earn in an epoch (R9.3, R10): one function, as the protocol's own will be.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{LaneId, ProverId, Slot};

/// Pay of one unit, in thousandths of the epoch's token; only ratios matter.
pub(crate) const UNIT_PAY: u64 = 1_000;
/// Coverage from which pay is full, and the share of a taken-over unit, in thousandths.
const COVERAGE_FULL: u64 = 900;
const TAKEOVER_SHARE: u64 = 700;
/// Part of the bond that an epoch without any coverage burns, in thousandths (R10.2).
const NO_SHOW: u64 = 250;

/// One proof under a settled root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) slot: Slot,
    pub(crate) units: u64,
    pub(crate) maker: ProverId,
    /// The lane it was dealt to; `None` in the crown.
    pub(crate) dealt: Option<LaneId>,
}

/// All that an epoch's pay follows from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) shares: Vec<Share>,
    /// Lanes that were lost or ran into a cap: taking over from them pays in full.
    pub(crate) excused: BTreeSet<(Slot, LaneId)>,
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

/// Pays everybody.
pub(crate) fn pay(account: &Account) -> BTreeMap<ProverId, Pay> {
    let mut duty: BTreeMap<ProverId, [u64; 2]> = BTreeMap::new();
    let mut milliunits: BTreeMap<ProverId, u64> = BTreeMap::new();
    for share in &account.shares {
        let own = share.dealt.is_none_or(|it| it.prover() == share.maker);
        if let Some(lane) = share.dealt {
            let duty = duty.entry(lane.prover()).or_default();
            duty[0] += share.units;
            duty[1] += if own { share.units } else { 0 };
        }
        let free = share.dealt.is_none_or(|it| account.excused.contains(&(share.slot, it)));
        let rate = if own || free { 1_000 } else { TAKEOVER_SHARE };
        *milliunits.entry(share.maker).or_default() += share.units * rate;
    }
    let lanes: BTreeMap<ProverId, u64> =
        account.lanes.iter().fold(BTreeMap::new(), |mut sum, it| {
            *sum.entry(it.prover()).or_default() += 1;
            sum
        });
    let all: u64 = account.shares.iter().map(|it| it.units * UNIT_PAY).sum();
    let bond = all / (account.lanes.len() as u64).max(1);
    let mut result = BTreeMap::new();
    for (prover, lanes) in lanes {
        let [dealt, made] = duty.get(&prover).copied().unwrap_or_default();
        let factor = factor(dealt, made);
        let earned =
            milliunits.get(&prover).copied().unwrap_or(0) / 1_000 * UNIT_PAY * factor / 1_000;
        let caught = account.equivocators.iter().filter(|it| it.prover() == prover).count() as u64;
        let absent =
            if 0 < dealt && made == 0 { (lanes - caught) * bond * NO_SHOW / 1_000 } else { 0 };
        let slashed = caught * bond + absent;
        result.insert(prover, Pay { earned, slashed });
    }
    result
}

/// 1000 from full coverage on, below it the square of what is reached of it (R9.3).
const fn factor(dealt: u64, made: u64) -> u64 {
    if dealt == 0 {
        return 1_000;
    }
    let reached = made * 1_000 / dealt;
    if COVERAGE_FULL <= reached {
        1_000
    } else {
        reached * reached * 1_000 / (COVERAGE_FULL * COVERAGE_FULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(maker: u32, dealt: u32) -> Share {
        let dealt = Some(LaneId::new(ProverId(dealt), 0));
        Share { slot: Slot(0), units: 30, maker: ProverId(maker), dealt }
    }

    #[test]
    fn own_work_pays_more_than_taken_work_and_nothing_costs() {
        let lanes = (0..3).map(|it| LaneId::new(ProverId(it), 0)).collect();
        let shares = vec![share(0, 0), share(0, 0), share(1, 1), share(1, 2)];
        let paid = pay(&Account { shares, lanes, ..Account::default() });
        let of = |it: u32| paid[&ProverId(it)];
        assert_eq!(of(0), Pay { earned: 60_000, slashed: 0 });
        assert_eq!(of(1), Pay { earned: 51_000, slashed: 0 });
        assert_eq!(of(2), Pay { earned: 0, slashed: 10_000 }, "a quarter of a bond of 40,000");
    }

    #[test]
    fn taking_over_from_a_lost_lane_pays_in_full_and_two_claims_cost_the_bond() {
        let lane = |it| LaneId::new(ProverId(it), 0);
        let account = Account {
            shares: vec![share(0, 1), share(0, 0)],
            excused: [(Slot(0), lane(1))].into(),
            equivocators: [lane(0)].into(),
            lanes: vec![lane(0), lane(1)],
        };
        let paid = pay(&account);
        assert_eq!(paid[&ProverId(0)], Pay { earned: 60_000, slashed: 30_000 });
        assert!(paid.values().map(|it| it.earned).sum::<u64>() <= 60_000, "no more than the pool");
    }

    #[test]
    fn coverage_is_full_from_nine_tenths_and_steep_below() {
        assert_eq!([factor(0, 0), factor(10, 9), factor(10, 10)], [1_000; 3]);
        assert_eq!((factor(100, 45), factor(10, 0)), (250, 0));
    }
}
