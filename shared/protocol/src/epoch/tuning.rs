//! Parameters now and next: set by governance with a delay, effective at an epoch boundary (R16).
//!
//! A change takes effect so late that whoever disagrees can leave before it. Each number has bounds
//! that were set at deployment, and what slots and epochs are counted by cannot change at all.

use crate::{domain::Slot, epoch::Epoch, params::Params};

/// Why a change was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A number is out of its bounds.
    Bounds {
        /// Which parameter.
        name: &'static str,
        /// The value that was asked for.
        value: u128,
        /// Least allowed.
        least: u128,
        /// Most allowed.
        most: u128,
    },
    /// Slots, epochs and snapshots are counted by it: it is the same for ever.
    Fixed {
        /// Which parameter.
        name: &'static str,
        /// The value that was asked for.
        value: u128,
        /// The one it has.
        stays: u128,
    },
    /// The numbers contradict each other.
    Relation(&'static str),
}

/// How far a parameter may go.
#[derive(Clone, Copy)]
struct Bound {
    name: &'static str,
    /// Least and most; `None` for what never changes.
    network: Option<[u128; 2]>,
    /// The same for a devnet, whose proofs share one machine.
    devnet: Option<[u128; 2]>,
    /// Its value, or one for each kind of proof.
    read: fn(&Params) -> Vec<u128>,
}

const fn bound(name: &'static str, bounds: [u128; 2], read: fn(&Params) -> Vec<u128>) -> Bound {
    Bound { name, network: Some(bounds), devnet: Some(bounds), read }
}

const fn fixed(name: &'static str, read: fn(&Params) -> Vec<u128>) -> Bound {
    Bound { name, network: None, devnet: None, read }
}

impl Bound {
    const fn wider(self, devnet: [u128; 2]) -> Self {
        Self { devnet: Some(devnet), ..self }
    }
}

/// One number for each kind that provers make.
fn kinds(numbers: &[u64; 6]) -> Vec<u128> {
    numbers[1..].iter().map(|&number| number.into()).collect()
}

/// Number of parameters.
const COUNT: usize = 52;

/// Every field of [`Params`], in its order.
const BOUNDS: [Bound; COUNT] = [
    fixed("l1_block_s", |it| vec![it.l1_block_s.into()]),
    fixed("genesis_block", |it| vec![it.genesis_block.into()]),
    fixed("proposal_blocks", |it| vec![it.proposal_blocks.into()]),
    fixed("reveal_blocks", |it| vec![it.reveal_blocks.into()]),
    bound("proving_blocks", [40, 160], |it| vec![it.proving_blocks.into()]).wider([10, 10_000]),
    bound("settle_margin_blocks", [2, 20], |it| vec![it.settle_margin_blocks.into()])
        .wider([1, 100]),
    bound("halting_blocks", [1, 10], |it| vec![it.halting_blocks.into()]),
    bound("backup_blocks", [10, 200], |it| vec![it.backup_blocks.into()]).wider([5, 5_000]),
    bound("build_ahead_max", [1, 32], |it| vec![it.build_ahead_max.into()]),
    bound("p50_ms", [1_000, 3_600_000], |it| kinds(&it.p50_ms)).wider([1, 3_600_000]),
    bound("units", [1, 1_000_000], |it| kinds(&it.units)),
    bound("subtree_units", [1, 100_000_000], |it| vec![it.subtree_units.into()]),
    bound("claim_cap_p50s", [1, 10], |it| vec![it.claim_cap_p50s.into()]),
    bound("beat_ms", [500, 60_000], |it| vec![it.beat_ms.into()]).wider([100, 60_000]),
    bound("missed_beats", [2, 20], |it| vec![it.missed_beats.into()]),
    bound("watchers", [2, 16], |it| vec![it.watchers as u128]),
    bound("replicas_subtree", [1, 64], |it| vec![it.replicas_subtree as u128]),
    bound("replicas_crown", [1, 256], |it| vec![it.replicas_crown as u128]),
    bound("rank_wait_ms", [50, 10_000], |it| vec![it.rank_wait_ms.into()]).wider([1, 10_000]),
    bound("inputs_wait_ms", [1_000, 600_000], |it| vec![it.inputs_wait_ms.into()])
        .wider([100, 600_000]),
    bound("min_lanes", [1, 4_096], |it| vec![it.min_lanes as u128]).wider([0, 4_096]),
    bound("submit_priority_blocks", [1, 50], |it| vec![it.submit_priority_blocks.into()])
        .wider([0, 50]),
    fixed("epoch_slots", |it| vec![it.epoch_slots.into()]),
    fixed("snapshot_lag_blocks", |it| vec![it.snapshot_lag_blocks.into()]),
    fixed("undo_blocks_max", |it| vec![it.undo_blocks_max as u128]),
    bound("commitment_blocks", [0, 20], |it| vec![it.commitment_blocks.into()]),
    bound("name_grace_blocks", [0, 20], |it| vec![it.name_grace_blocks.into()]),
    bound("name_cover_permille", [500, 1_000], |it| vec![it.name_cover_permille.into()])
        .wider([0, 1_000]),
    bound("t1_permille", [0, 900], |it| vec![it.t1_permille.into()]),
    bound("t1_dealt_permille", [0, 900], |it| vec![it.t1_dealt_permille.into()]),
    bound("slack_permille", [1_000, 3_000], |it| vec![it.slack_permille.into()]),
    bound("hot_levels", [0, 20], |it| vec![it.hot_levels.into()]),
    bound("hot_copies", [1, 8], |it| vec![it.hot_copies as u128]),
    bound("hedge_permille", [1_100, 5_000], |it| vec![it.hedge_permille.into()]),
    bound("quarantine_provers", [2, 16], |it| vec![it.quarantine_provers as u128]).wider([1, 16]),
    bound("probe", [0, 100], |it| vec![it.probe.into()]),
    bound("carry_max", [1, 16], |it| vec![it.carry_max.into()]),
    bound("coverage_full_permille", [500, 1_000], |it| vec![it.coverage_full_permille.into()])
        .wider([1, 1_000]),
    bound("coverage_min_permille", [0, 900], |it| vec![it.coverage_min_permille.into()]),
    bound("suspension_max_epochs", [1, 1_024], |it| vec![it.suspension_max_epochs.into()]),
    bound("takeover_share_permille", [0, 1_000], |it| vec![it.takeover_share_permille.into()]),
    bound("prover_share_permille", [500, 1_000], |it| vec![it.prover_share_permille.into()]),
    bound("sequencer_share_permille", [0, 300], |it| vec![it.sequencer_share_permille.into()]),
    bound("submitter_share_permille", [0, 300], |it| vec![it.submitter_share_permille.into()]),
    bound("payout_minimum", [0, 1_000_000_000_000_000_000_000_000], |it| vec![it.payout_minimum]),
    bound("reporter_bounty", [0, 10_000_000_000_000_000_000_000], |it| vec![it.reporter_bounty]),
    bound("burnt_permille", [250, 1_000], |it| vec![it.burnt_permille.into()]),
    bound("repairer_permille", [0, 500], |it| vec![it.repairer_permille.into()]),
    bound("no_show_permille", [0, 1_000], |it| vec![it.no_show_permille.into()]),
    bound("unproven_part_permille", [0, 300], |it| vec![it.unproven_part_permille.into()]),
    bound("change_delay_epochs", [4, 1_024], |it| vec![it.change_delay_epochs.into()])
        .wider([1, 1_024]),
    bound("changeover_epochs", [1, 64], |it| vec![it.changeover_epochs.into()]),
];

/// Which bounds a network was deployed with (R2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deployment {
    /// On Ethereum.
    Network,
    /// On one machine: wider.
    Devnet,
}

/// Bounds and relations of parameters that a network would start with.
///
/// # Errors
/// The first number that is out of its bounds, or a relation that does not hold.
pub fn check(params: &Params, deployment: Deployment) -> Result<(), Refused> {
    for bound in &BOUNDS {
        let Some([least, most]) = bound.of(deployment) else { continue };
        let out = (bound.read)(params).into_iter().find(|it| !(least..=most).contains(it));
        if let Some(value) = out {
            return Err(Refused::Bounds { name: bound.name, value, least, most });
        }
    }
    params.check().map_err(Refused::Relation)
}

impl Bound {
    const fn of(&self, deployment: Deployment) -> Option<[u128; 2]> {
        match deployment {
            Deployment::Network => self.network,
            Deployment::Devnet => self.devnet,
        }
    }
}

/// The name, least and most of each parameter that can change: what the console shows.
pub fn bounds(deployment: Deployment) -> impl Iterator<Item = (&'static str, u128, u128)> {
    BOUNDS.iter().filter_map(move |it| {
        let [least, most] = it.of(deployment)?;
        Some((it.name, least, most))
    })
}

/// Names of the parameters that differ, with their values before and after (those of a table by
/// kind one after the other).
#[must_use]
pub fn changes(before: &Params, after: &Params) -> Vec<(&'static str, u128, u128)> {
    let pairs = BOUNDS.iter().flat_map(|it| {
        let (old, new) = ((it.read)(before), (it.read)(after));
        old.into_iter().zip(new).map(move |(old, new)| (it.name, old, new))
    });
    pairs.filter(|(_, old, new)| old != new).collect()
}

/// Entries that are kept: one in force, one announced, and those of slots that are not paid yet.
pub const HISTORY_MAX: usize = 8;

/// The parameters of a network over time. Clone it per L1 block to undo exactly (R12.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tuning {
    deployment: Deployment,
    /// With the first epoch of each, oldest first.
    history: Vec<(Epoch, Params)>,
}

impl Tuning {
    /// A network that starts with these.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(params: Params, deployment: Deployment) -> Result<Self, Refused> {
        check(&params, deployment)?;
        Ok(Self { deployment, history: vec![(Epoch(0), params)] })
    }

    /// Governance sets the next parameters in epoch `now`. They are effective after
    /// `change_delay_epochs` whole epochs, by the delay in force, from the epoch that is returned.
    /// Another announcement that is not effective yet is replaced, and the delay starts again.
    ///
    /// # Errors
    /// Why they are refused; nothing changes then.
    pub fn announce(&mut self, next: Params, now: Epoch) -> Result<Epoch, Refused> {
        let current = self.at(now);
        for bound in BOUNDS.iter().filter(|it| it.network.is_none()) {
            let (old, new) = ((bound.read)(current), (bound.read)(&next));
            if let Some((&stays, &value)) = old.iter().zip(&new).find(|(old, new)| old != new) {
                return Err(Refused::Fixed { name: bound.name, value, stays });
            }
        }
        check(&next, self.deployment)?;
        let from = now.after(1 + current.change_delay_epochs);
        self.history.retain(|&(since, _)| since <= now);
        self.history.push((from, next));
        if HISTORY_MAX < self.history.len() {
            self.history.remove(0);
        }
        assert!(self.history.is_sorted_by(|a, b| a.0 < b.0), "one set of parameters per epoch");
        Ok(from)
    }

    /// The parameters of an epoch. For one older than what is kept, the oldest that are.
    #[must_use]
    pub fn at(&self, epoch: Epoch) -> &Params {
        let in_force = self.history.iter().rev().find(|&&(since, _)| since <= epoch);
        &in_force.unwrap_or(&self.history[0]).1
    }

    /// The parameters of a slot: those of its epoch, for ever. Which epoch a slot is in never
    /// changes.
    #[must_use]
    pub fn of_slot(&self, slot: Slot) -> &Params {
        self.at(Epoch::of(slot, &self.history[0].1))
    }

    /// What is announced and not effective in epoch `now`, with its first epoch (R16: now / next).
    #[must_use]
    pub fn next(&self, now: Epoch) -> Option<(Epoch, &Params)> {
        let (since, params) = self.history.last()?;
        (now < *since).then_some((*since, params))
    }
}

#[cfg(test)]
mod tests;
