//! Whether honesty pays: an epoch of slots for every dishonest kind, and what each lane gets.

use crate::{Behaviour, World, WorldOptions, report::pay::pay};

/// Slots of one epoch here; income is scaled by nothing, so only kinds compare.
const SLOTS: u64 = 6;
/// Provers, and txs of each block: as many subtrees as lanes, so that everybody has a duty.
const AGENTS: u64 = 20;
const TXS: u64 = 20;
/// Thousandths of dishonest agents; of those who claim and never deliver (issue: 20 %).
const DISHONEST: u64 = 300;
const DISHONEST_LAZY: u64 = 200;

/// What one kind of prover gets in one world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Income {
    /// `honest`, or the dishonest kind.
    pub kind: &'static str,
    /// The dishonest kind of this world.
    pub against: &'static str,
    /// Lanes of this kind.
    pub lanes: u64,
    /// Pay of one lane in the epoch, less what was slashed, in thousandths of a unit's pay.
    pub income_per_lane_epoch: i64,
    /// What one lane lost of its bond.
    pub slashed: u64,
    /// Settled slots in thousandths.
    pub settled_thousandths: u64,
}

impl Income {
    /// The machine-readable line of `simulate --income --json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let share = self.settled_thousandths;
        format!(
            "{{\"kind\":\"{}\",\"lanes\":{},\"income_per_lane_epoch\":{},\
             \"slashed\":{},\"settled_share\":{}.{:03}}}",
            self.kind,
            self.lanes,
            self.income_per_lane_epoch,
            self.slashed,
            share / 1000,
            share % 1000,
        )
    }
}

/// The kinds whose income is compared with honest provers'.
#[must_use]
pub fn dishonest() -> Vec<Behaviour> {
    let all = Behaviour::ALL.iter().map(|it| it.0);
    all.filter(|it| *it != Behaviour::Honest).collect()
}

/// An epoch with this kind in it: the income of honest lanes, then of the dishonest ones.
#[must_use]
pub fn income(kind: Behaviour, seed: u64) -> [Income; 2] {
    let lazy = matches!(kind, Behaviour::Lazy | Behaviour::LazyInCrown | Behaviour::Holder);
    let share = if lazy { DISHONEST_LAZY } else { DISHONEST };
    let mut options = WorldOptions {
        agents: [AGENTS; 2],
        slots: SLOTS,
        txs: [TXS; 2],
        vm: 1_000,
        calls: [3, 3],
        behaviours: vec![(kind, share)],
        twins: 0,
        ..WorldOptions::calm()
    };
    options.prover.spread = 100;
    if kind == Behaviour::Sniper {
        // Snipers are fast; whether sniping pays shows beside honest lanes as fast as they.
        options.prover.speeds = vec![[1_000, 500]];
    }
    let params = options.params.clone();
    let mut world = World::new(seed, options);
    world.keep_account();
    let (outcome, account, kinds) = world.run_with_account();
    let paid = pay(&account, &params);
    let settled_thousandths = (outcome.slots * 1_000).checked_div(SLOTS).unwrap_or(0).min(1_000);
    [Behaviour::Honest, kind].map(|it| {
        let (mut lanes, mut earned, mut slashed) = (0, 0, 0);
        for lane in &account.lanes {
            if kinds.get(&lane.prover()) == Some(&it) {
                lanes += 1;
            }
        }
        for (prover, pay) in &paid {
            if kinds.get(prover) == Some(&it) {
                earned += pay.earned;
                slashed += pay.slashed;
            }
        }
        let per_lane = |sum: u64| sum.checked_div(lanes).unwrap_or(0);
        let net = i64::try_from(per_lane(earned)).unwrap_or(i64::MAX)
            - i64::try_from(per_lane(slashed)).unwrap_or(0);
        Income {
            kind: it.name(),
            against: kind.name(),
            lanes,
            income_per_lane_epoch: net,
            slashed: per_lane(slashed),
            settled_thousandths,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_keys_that_tools_read() {
        let income = Income {
            kind: "lazy",
            against: "lazy",
            lanes: 5,
            income_per_lane_epoch: -3,
            slashed: 7,
            settled_thousandths: 995,
        };
        assert_eq!(
            income.to_json(),
            "{\"kind\":\"lazy\",\"lanes\":5,\"income_per_lane_epoch\":-3,\
             \"slashed\":7,\"settled_share\":0.995}"
        );
    }
}
