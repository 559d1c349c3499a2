//! What loses a bond, by how much, and where it goes (R3.4, R10).
//!
//! Slashed is only what can be shown on L1. Misses cost coverage, and coverage costs pay and
//! epochs; nobody reports them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{LaneId, SequencerId, Slot},
    epoch::{Epoch, pay::part},
    io::Message,
    params::Params,
};

/// Something provable that somebody did or left undone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// Two different claims with one (lane, slot, sequence).
    TwoClaims {
        /// The lane.
        lane: LaneId,
        /// The slot.
        slot: Slot,
        /// The sequence number.
        seq: u64,
    },
    /// A lane made nothing that it was dealt in an epoch with settled slots.
    NoShow {
        /// The lane.
        lane: LaneId,
        /// The epoch.
        epoch: Epoch,
    },
    /// A sequencer won a slot and failed it.
    Sequencer {
        /// Who.
        sequencer: SequencerId,
        /// The slot.
        slot: Slot,
        /// How.
        how: SequencerFault,
    },
}

/// How a sequencer failed its slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SequencerFault {
    /// It won and revealed nothing.
    NoReveal,
    /// The block was over the limit of admission (R3.3).
    OverLimit,
    /// The data was not available (R7.2).
    Withheld,
    /// The block was in limits and available, and nobody proved it (R3.4).
    Unproven,
}

/// What two signed messages prove about one lane: two different claims with one (lane, slot,
/// sequence). Both signatures must have been checked against the lane's prover. The same claim
/// sent again is no fault, and neither is anything but claims.
#[must_use]
pub fn equivocation(one: &Message, other: &Message) -> Option<Fault> {
    let name = |message: &Message| match *message {
        Message::Claim { lane, slot, seq, .. } => Some((lane, slot, seq)),
        Message::Release { .. }
        | Message::Beat { .. }
        | Message::Loss { .. }
        | Message::Made { .. }
        | Message::Held { .. }
        | Message::Advert { .. } => None,
    };
    let (lane, slot, seq) = name(one)?;
    let same = name(other) == Some((lane, slot, seq));
    (same && one != other).then_some(Fault::TwoClaims { lane, slot, seq })
}

/// What a fault costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Of the bond.
    pub bond: u128,
    /// Whether the block's fees are lost too.
    pub fees: bool,
}

impl Fault {
    /// What it costs, of this bond (R3.4, R10.1, R10.2).
    #[must_use]
    pub const fn loss(self, bond: u128, params: &Params) -> Loss {
        match self {
            Self::TwoClaims { .. } => Loss { bond, fees: false },
            Self::NoShow { .. } => Loss { bond: part(bond, params.no_show_permille), fees: false },
            Self::Sequencer { how: SequencerFault::Unproven, .. } => {
                Loss { bond: part(bond, params.unproven_part_permille), fees: true }
            }
            Self::Sequencer {
                how: SequencerFault::NoReveal | SequencerFault::OverLimit | SequencerFault::Withheld,
                ..
            } => Loss { bond, fees: true },
        }
    }

    /// Whether somebody reported it: the others L1 sees by itself when the next one calls.
    #[must_use]
    pub const fn reported(self) -> bool {
        match self {
            Self::TwoClaims { .. } => true,
            Self::Sequencer { how, .. } => {
                matches!(how, SequencerFault::OverLimit | SequencerFault::Withheld)
            }
            Self::NoShow { .. } => false,
        }
    }
}

/// Who is there to receive a part of a lost bond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receivers {
    /// Somebody repaired what the fault broke.
    pub repairer: bool,
    /// Sequencers built on the block and lost theirs with it (R12.1).
    pub uncles: bool,
}

/// Where a lost bond goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts {
    /// Destroyed.
    pub burnt: u128,
    /// For whoever repaired.
    pub repairer: u128,
    /// For sequencers of lost blocks on top.
    pub uncles: u128,
    /// For the reporter.
    pub reporter: u128,
}

/// Splits a lost bond (R10.1): half burnt, a quarter for the repairer, a quarter for uncles. The
/// reporter's bounty is fixed and comes out of the burnt part; what nobody is there to receive is
/// burnt. A bond lost for an epoch of absence is burnt whole (R10.2).
#[must_use]
pub fn split(fault: Fault, lost: u128, receivers: Receivers, params: &Params) -> Parts {
    let whole = matches!(fault, Fault::NoShow { .. });
    let quarter = part(lost, params.repairer_permille);
    let half = part(lost, params.burnt_permille);
    let repairer = if receivers.repairer && !whole { quarter } else { 0 };
    let rest = lost - half - quarter;
    let uncles = if receivers.uncles && !whole { rest } else { 0 };
    let unclaimed = lost - repairer - uncles;
    let reporter = if fault.reported() { params.reporter_bounty.min(half) } else { 0 };
    let parts = Parts { burnt: unclaimed - reporter, repairer, uncles, reporter };
    let sum = parts.burnt + parts.repairer + parts.uncles + parts.reporter;
    assert_eq!(sum, lost, "a lost bond is split exactly");
    parts
}

/// Faults that were punished: each once.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Punished {
    faults: BTreeSet<Fault>,
}

impl Punished {
    /// Whether this is the first time. A sequencer loses one bond for one slot, whatever else it
    /// did in it.
    pub fn first(&mut self, fault: Fault) -> bool {
        let known = self.faults.iter().any(|&it| it == fault || same_slot(it, fault));
        !known && self.faults.insert(fault)
    }
}

fn same_slot(one: Fault, other: Fault) -> bool {
    match (one, other) {
        (
            Fault::Sequencer { sequencer: a, slot: s, .. },
            Fault::Sequencer { sequencer: b, slot: t, .. },
        ) => a == b && s == t,
        (Fault::TwoClaims { .. } | Fault::NoShow { .. } | Fault::Sequencer { .. }, _) => false,
    }
}

/// How often a lane fell below `coverage_min` lately, and until when it sits out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Record {
    level: u32,
    /// First epoch in which it is back.
    back: Epoch,
}

/// Which lanes sit out, and why each for how long (R10.2).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Suspensions {
    records: BTreeMap<LaneId, Record>,
}

impl Suspensions {
    /// An epoch's coverage of a lane is known, in thousandths; `None` if it was dealt nothing.
    /// `next` is the first epoch whose set can still take it into account. Below `coverage_min` the
    /// lane sits out 1 epoch, then 2, then 4, up to `suspension_max_epochs`; every epoch in which
    /// it does its part halves the next one.
    pub fn close(&mut self, lane: LaneId, coverage: Option<u64>, next: Epoch, params: &Params) {
        let Some(coverage) = coverage else { return };
        let record = self.records.entry(lane).or_default();
        if coverage < params.coverage_min_permille {
            let doubled = 1u64.checked_shl(record.level).unwrap_or(u64::MAX);
            let epochs = doubled.min(params.suspension_max_epochs);
            record.back = record.back.max(next.after(epochs));
            record.level = (record.level + 1).min(u64::BITS);
        } else {
            record.level = record.level.saturating_sub(1);
        }
        if record.level == 0 && record.back <= next {
            self.records.remove(&lane);
        }
    }
    /// Whether the lane sits out this epoch.
    #[must_use]
    pub fn suspended(&self, lane: LaneId, epoch: Epoch) -> bool {
        self.records.get(&lane).is_some_and(|it| epoch < it.back)
    }
    /// First epoch in which the lane is back, if it was ever suspended lately.
    #[must_use]
    pub fn back(&self, lane: LaneId) -> Option<Epoch> {
        self.records.get(&lane).map(|it| it.back)
    }
}

/// The fault of a lane that made nothing it was dealt in an epoch (R10.2): `settled` slots of the
/// epoch were settled by network roots, without which nobody could show that it made anything.
#[must_use]
pub fn no_show(
    lane: LaneId,
    epoch: Epoch,
    coverage: crate::epoch::pay::Coverage,
    settled: u64,
) -> Option<Fault> {
    let absent = 0 < settled && 0 < coverage.dealt && coverage.made == 0;
    absent.then_some(Fault::NoShow { lane, epoch })
}

#[cfg(test)]
mod tests;
