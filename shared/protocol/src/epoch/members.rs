//! Which lanes an epoch has, and which of them are dealt work (R1.2 to R1.4).
//!
//! The set is read from the registry as it stood at a final block before the epoch's first slot,
//! so nobody can join or leave against randomness that is known. Weight is lanes, never addresses.

use std::collections::BTreeMap;

use crate::{
    domain::{Class, LaneId, ProverId},
    epoch::Epoch,
    params::Params,
};

/// What a prover does to its own membership on L1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Joins with these lanes, or has these from now on.
    Lanes {
        /// Lanes of class rollup; their numbers come first.
        rollup: u16,
        /// Lanes of class vm; their numbers follow.
        vm: u16,
    },
    /// Leaves. Its lanes keep their duty in epochs whose snapshot is older.
    Leave,
    /// Sits out this many epochs, from the first whose snapshot is not older than the announcement.
    Pause {
        /// How many.
        epochs: u64,
    },
}

/// The changes of every prover, by L1 block.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Members {
    changes: BTreeMap<ProverId, Vec<(u64, Change)>>,
}

/// The first epoch whose snapshot is not older than L1 block `number`: where a change made in
/// that block takes effect (R1.3).
#[must_use]
pub fn effective(number: u64, params: &Params) -> Epoch {
    if number == 0 {
        return Epoch(0); // A chain may be younger than the lag: its first snapshot is block 0.
    }
    let length = params.epoch_slots * params.slot_blocks();
    let past = (number + params.snapshot_lag_blocks).saturating_sub(params.genesis_block);
    Epoch(past.div_ceil(length))
}

impl Members {
    /// Notes a change made in L1 block `number`; blocks come in order.
    pub fn change(&mut self, number: u64, prover: ProverId, change: Change) {
        let made = self.changes.entry(prover).or_default();
        assert!(made.last().is_none_or(|&(last, _)| last <= number), "L1 blocks come in order");
        made.push((number, change));
    }

    /// Takes back what was noted in L1 blocks from `number` on (R12.2).
    pub fn revert(&mut self, number: u64) {
        for made in self.changes.values_mut() {
            made.retain(|&(block, _)| block < number);
        }
        self.changes.retain(|_, made| !made.is_empty());
    }

    /// Forgets what no epoch from `oldest` on needs: changes that a later one replaced before its
    /// snapshot, pauses that are over, provers that left.
    pub fn prune(&mut self, oldest: Epoch, params: &Params) {
        let snapshot = oldest.snapshot_block(params);
        for made in self.changes.values_mut() {
            let last = made.iter().rposition(|&(block, it)| block <= snapshot && is_lasting(it));
            let mut place = 0;
            made.retain(|&(block, change)| {
                place += 1;
                match change {
                    Change::Pause { epochs } => oldest < effective(block, params).after(epochs),
                    Change::Lanes { .. } | Change::Leave => last.is_none_or(|it| it < place),
                }
            });
        }
        self.changes.retain(|_, made| {
            let gone = |it: &(u64, Change)| it.0 <= snapshot && it.1 == Change::Leave;
            made.iter().any(|it| !gone(it))
        });
    }

    /// The registered lanes of an epoch that are not paused, whatever their standing.
    #[must_use]
    pub fn lanes(&self, epoch: Epoch, params: &Params) -> BTreeMap<LaneId, Class> {
        let snapshot = epoch.snapshot_block(params);
        let mut lanes = BTreeMap::new();
        for (&prover, made) in &self.changes {
            let known = || made.iter().filter(|&&(block, _)| block <= snapshot);
            let paused = known().any(|&(block, change)| match change {
                Change::Pause { epochs } => {
                    let from = effective(block, params);
                    from <= epoch && epoch < from.after(epochs)
                }
                Change::Lanes { .. } | Change::Leave => false,
            });
            let last = known().rev().map(|&(_, change)| change).find(|&it| is_lasting(it));
            if let (false, Some(Change::Lanes { rollup, vm })) = (paused, last) {
                lanes.extend(numbered(prover, rollup, vm));
            }
        }
        lanes
    }

    /// The set of an epoch: every registered lane with its standing (R1.4). `probation` and
    /// `suspended` must be read at the epoch's snapshot too.
    #[must_use]
    pub fn set(
        &self,
        epoch: Epoch,
        params: &Params,
        probation: &Probation,
        suspended: impl Fn(LaneId) -> bool,
    ) -> Set {
        let snapshot = epoch.snapshot_block(params);
        let lanes = self.lanes(epoch, params).into_iter().map(|(lane, class)| {
            let standing = if suspended(lane) {
                Standing::Suspended
            } else if probation.passed(lane, class, snapshot, params) {
                Standing::Active
            } else {
                Standing::Probation
            };
            (lane, Lane { class, standing })
        });
        let mut set = Set { lanes: lanes.collect() };
        set.fill(Standing::Probation, params.min_lanes);
        set.fill(Standing::Suspended, params.min_lanes);
        set
    }
}

/// Whether it decides about lanes until the next such change.
const fn is_lasting(change: Change) -> bool {
    matches!(change, Change::Lanes { .. } | Change::Leave)
}

/// Lanes in the order of the registry: numbers 0.. of class rollup, then those of class vm.
fn numbered(prover: ProverId, rollup: u16, vm: u16) -> impl Iterator<Item = (LaneId, Class)> {
    (0..rollup.saturating_add(vm)).map(move |number| {
        let class = if number < rollup { Class::Rollup } else { Class::Vm };
        (LaneId::new(prover, number), class)
    })
}

/// What a lane may do in an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is dealt work.
    Active,
    /// It is dealt nothing until it has proved what it can (R1.4), but takes open tasks and copies
    /// of the hot crown.
    Probation,
    /// It sits out (R10.2).
    Suspended,
}

/// A lane of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// What it can prove.
    pub class: Class,
    /// What it may do.
    pub standing: Standing,
}

/// The lanes of one epoch, fixed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Set {
    lanes: BTreeMap<LaneId, Lane>,
}

impl Set {
    /// A lane of the epoch.
    #[must_use]
    pub fn lane(&self, lane: LaneId) -> Option<Lane> {
        self.lanes.get(&lane).copied()
    }
    /// All lanes.
    pub fn lanes(&self) -> impl Iterator<Item = (LaneId, Lane)> {
        self.lanes.iter().map(|(&id, &lane)| (id, lane))
    }
    /// The lanes that are dealt work: the deck before its shuffle (R4.2).
    #[must_use]
    pub fn active(&self) -> BTreeMap<LaneId, Class> {
        let active = self.lanes().filter(|(_, it)| it.standing == Standing::Active);
        active.map(|(id, it)| (id, it.class)).collect()
    }
    /// Whether the lane may take a task that is dealt to nobody or open (R1.4): not if suspended.
    #[must_use]
    pub fn may_take_open(&self, lane: LaneId) -> bool {
        self.lane(lane).is_some_and(|it| it.standing != Standing::Suspended)
    }

    /// Active lanes that can prove tasks of a class.
    fn able(&self, class: Class) -> usize {
        self.active().values().filter(|&&it| Params::can_prove(it, class)).count()
    }

    /// While fewer than `least` lanes are active, all of this standing are, for each class by
    /// itself: a network whose vm lanes are all new must be able to deal vm tasks, and one whose
    /// lanes are all new deals to both classes.
    fn fill(&mut self, from: Standing, least: usize) {
        let short = [Class::Vm, Class::Rollup].into_iter().filter(|&it| self.able(it) < least);
        for class in short.collect::<Vec<_>>() {
            let waits = |it: &&mut Lane| it.standing == from && Params::can_prove(it.class, class);
            self.lanes.values_mut().filter(waits).for_each(|it| it.standing = Standing::Active);
        }
    }
}

/// When each lane was credited its first tasks, per class of task: what ends probation (R1.4).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Probation {
    /// L1 blocks of the settlements, in order; no more than `probe` are kept.
    credited: BTreeMap<(LaneId, Class), Vec<u64>>,
}

impl Probation {
    /// A root settled in L1 block `number` credits the lane a task of `class`, made on time.
    pub fn credit(&mut self, lane: LaneId, class: Class, number: u64, params: &Params) {
        let blocks = self.credited.entry((lane, class)).or_default();
        assert!(blocks.last().is_none_or(|&last| last <= number), "L1 blocks come in order");
        if (blocks.len() as u64) < params.probe {
            blocks.push(number);
        }
    }
    /// Takes back what was settled in L1 blocks from `number` on (R12.2). Credits beyond the last
    /// kept one come again with the blocks that replace them.
    pub fn revert(&mut self, number: u64) {
        for blocks in self.credited.values_mut() {
            blocks.retain(|&block| block < number);
        }
        self.credited.retain(|_, blocks| !blocks.is_empty());
    }
    /// Whether the lane had been credited enough tasks of its class by L1 block `snapshot`.
    #[must_use]
    pub fn passed(&self, lane: LaneId, class: Class, snapshot: u64, params: &Params) -> bool {
        let on_time = self.credited.get(&(lane, class)).into_iter().flatten();
        params.probe <= on_time.filter(|&&block| block <= snapshot).count() as u64
    }
    /// How many tasks of its class the lane is still to be credited.
    #[must_use]
    pub fn missing(&self, lane: LaneId, class: Class, params: &Params) -> u64 {
        let have = self.credited.get(&(lane, class)).map_or(0, Vec::len);
        params.probe.saturating_sub(have as u64)
    }
}

#[cfg(test)]
mod tests;
