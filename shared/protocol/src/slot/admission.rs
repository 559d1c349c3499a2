//! May this block be revealed? The tree bound B and the room it needs (R3.3).
//!
//! Depth misses deadlines, not work: a block fits only if what lies below each level can be proved
//! by the lanes there are *and* the way above that level still fits behind it. Counts per kind and
//! level are enough for that, so a block of 61,440 txs costs some twenty divisions.

use crate::{
    domain::{Class, Kind},
    params::Params,
};

/// Most txs that the arithmetic is asked for: four times the RFP's largest example. Work in
/// milliseconds then stays far below 2^64: 2^18 txs × 511 proofs × 2^32 ms.
pub const TXS_MAX: usize = 1 << 18;

/// How many lanes of each class are active (R1.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lanes {
    /// Lanes of class rollup.
    pub rollup: u64,
    /// Lanes of class vm, which may also do rollup work.
    pub vm: u64,
}

impl Lanes {
    /// Counts the classes of some lanes.
    #[must_use]
    pub fn count(classes: impl IntoIterator<Item = Class>) -> Self {
        let mut lanes = Self::default();
        for class in classes {
            match class {
                Class::Rollup => lanes.rollup += 1,
                Class::Vm => lanes.vm += 1,
            }
        }
        lanes
    }
    /// Lanes that can prove tasks of `class` (R1.1).
    #[must_use]
    pub const fn able(self, class: Class) -> u64 {
        match class {
            Class::Rollup => self.rollup + self.vm,
            Class::Vm => self.vm,
        }
    }
}

/// Usual milliseconds of work of older revealed, unproven slots: they go first on every lane
/// (R2.4, R3.3).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Backlog {
    /// Of class vm.
    pub vm_ms: u64,
    /// Of class rollup.
    pub rollup_ms: u64,
}

impl Backlog {
    /// What these older blocks still ask for: their whole work, because L1 sees no proof before
    /// the root.
    #[must_use]
    pub fn of<'a>(older: impl IntoIterator<Item = &'a Shape>, params: &Params) -> Self {
        older.into_iter().fold(Self::default(), |sum, shape| Self {
            vm_ms: sum.vm_ms + shape.work_ms(Class::Vm, params),
            rollup_ms: sum.rollup_ms + shape.work_ms(Class::Rollup, params),
        })
    }
    /// What stands before the lanes able to prove `class`: all of it for rollup, which every lane
    /// can do.
    const fn before(self, class: Class) -> u64 {
        match class {
            Class::Vm => self.vm_ms,
            Class::Rollup => self.vm_ms + self.rollup_ms,
        }
    }
}

/// A block that does not fit its proving window, or that no lane can prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is work of a class that no lane is able to do.
    NoLane(Class),
    /// The window is too short.
    TooLong {
        /// 1.2 × B + 2 × p50 + settle margin, in milliseconds.
        needed_ms: u64,
        /// The proving window, in milliseconds.
        window_ms: u64,
    },
}

/// How many proofs a block needs, by kind and level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    txs: u64,
    /// Entry d: txs with more than d calls. They have one vm proof and one kernel with d kernels
    /// above it.
    deeper: Vec<u64>,
    /// Entry l - 1: merges of level l.
    merges: Vec<u64>,
    /// Pairs (merges above a base, most calls of such a tx): what the critical path is made of.
    deepest: Vec<(u64, u64)>,
}

impl Shape {
    /// The shape of a block whose txs make this many calls each; `None` if there is no tx or more
    /// than [`TXS_MAX`].
    #[must_use]
    pub fn new(calls: &[u8]) -> Option<Self> {
        if calls.is_empty() || TXS_MAX < calls.len() {
            return None;
        }
        let most = calls.iter().copied().max().map_or(0, usize::from);
        let mut exactly = vec![0; most + 1];
        for &count in calls {
            exactly[usize::from(count)] += 1;
        }
        let mut deeper = vec![0; most];
        let mut sum = 0;
        for d in (0..most).rev() {
            sum += exactly[d + 1];
            deeper[d] = sum;
        }
        let txs = calls.len() as u64;
        let shape = Self { txs, deeper, merges: merges(txs), deepest: deepest(calls) };
        assert_eq!(shape.merges.iter().sum::<u64>(), txs - 1, "a binary tree of {txs} txs");
        assert!(shape.deeper.is_sorted_by(|a, b| b <= a), "fewer txs have more calls");
        Some(shape)
    }

    /// A block of `txs` txs with `calls` calls each.
    #[must_use]
    pub fn uniform(txs: usize, calls: u8) -> Option<Self> {
        if TXS_MAX < txs {
            return None;
        }
        Self::new(&vec![calls; txs])
    }

    /// Number of txs.
    #[must_use]
    pub const fn txs(&self) -> u64 {
        self.txs
    }
    /// Number of proofs of `kind`; client-made `tx` proofs are none of ours.
    #[must_use]
    pub fn proofs(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Tx => 0,
            Kind::Vm | Kind::Kernel => self.deeper.iter().sum(),
            Kind::Base => self.txs,
            Kind::Merge => self.merges.iter().sum(),
            Kind::Root => 1,
        }
    }
    /// Credited units of the whole block: what L1 meters, per circuit kind (R3.3).
    #[must_use]
    pub fn units(&self, params: &Params) -> u64 {
        Kind::ALL.iter().map(|&kind| self.proofs(kind) * params.units_of(kind)).sum()
    }
    /// Usual milliseconds of all proofs of `class`.
    #[must_use]
    pub fn work_ms(&self, class: Class, params: &Params) -> u64 {
        let of_class = Kind::ALL.iter().filter(|kind| kind.class() == Some(class));
        of_class.map(|&kind| self.proofs(kind) * params.p50(kind)).sum()
    }
    /// The longest way through the tree: no number of lanes proves the block sooner.
    #[must_use]
    pub fn critical_path_ms(&self, params: &Params) -> u64 {
        let way = |&(merges, calls): &(u64, u64)| {
            let vm = if calls == 0 { 0 } else { params.p50(Kind::Vm) };
            vm + calls * params.p50(Kind::Kernel)
                + params.p50(Kind::Base)
                + merges * params.p50(Kind::Merge)
                + params.p50(Kind::Root)
        };
        self.deepest.iter().map(way).max().unwrap_or(0)
    }
    /// Critical path, or all work over all lanes if that is longer: no schedule ends sooner.
    ///
    /// # Errors
    /// [`Refused::NoLane`] if there is work that no lane can do.
    pub fn lower_bound_ms(&self, params: &Params, lanes: Lanes) -> Result<u64, Refused> {
        let all = self.work_ms(Class::Vm, params) + self.work_ms(Class::Rollup, params);
        let spread = spread(all, lanes, Class::Rollup)?;
        let vm = spread_some(self.work_ms(Class::Vm, params), lanes, Class::Vm)?;
        Ok(self.critical_path_ms(params).max(spread).max(vm))
    }

    /// The tree bound B in milliseconds (R3.3): for every class and level, what lies at or below
    /// the level spread over the lanes able to do it, plus the way above; at least the critical
    /// path. For lanes of class rollup all work counts, because a vm lane that does vm work does no
    /// rollup work meanwhile; with one class of lanes this is the bound of one pool.
    ///
    /// # Errors
    /// [`Refused::NoLane`] if there is work that no lane can do.
    pub fn tree_bound_ms(
        &self,
        params: &Params,
        lanes: Lanes,
        backlog: Backlog,
    ) -> Result<u64, Refused> {
        let mut bound = self.critical_path_ms(params);
        let (mut vm, mut all) = (backlog.before(Class::Vm), backlog.before(Class::Rollup));
        for level in self.levels(params) {
            if 0 < level.vm_ms {
                vm += level.vm_ms;
                bound = bound.max(spread(vm, lanes, Class::Vm)? + level.way_ms);
            }
            all += level.vm_ms + level.rollup_ms;
            bound = bound.max(spread(all, lanes, Class::Rollup)? + level.way_ms);
        }
        assert!(self.lower_bound_ms(params, lanes)? <= bound, "B is a bound of every schedule");
        Ok(bound)
    }

    /// Levels from the deepest to the root. A level is everything with the same way above it, an
    /// odd node that passes up unchanged counted where it stands.
    fn levels(&self, params: &Params) -> Vec<Level> {
        let height = self.merges.len() as u64;
        let [vm, kernel, base, merge, root] =
            [Kind::Vm, Kind::Kernel, Kind::Base, Kind::Merge, Kind::Root].map(|it| params.p50(it));
        let above_base = height * merge + root;
        let mut levels = Vec::new();
        // What has `steps` kernels above it: the vm proofs of kernel steps - 1, and kernel `steps`.
        for steps in (0..=self.deeper.len()).rev() {
            let txs = |d: Option<usize>| d.and_then(|it| self.deeper.get(it)).copied().unwrap_or(0);
            levels.push(Level {
                vm_ms: txs(steps.checked_sub(1)) * vm,
                rollup_ms: txs(Some(steps)) * kernel,
                way_ms: steps as u64 * kernel + base + above_base,
            });
        }
        levels.push(Level { vm_ms: 0, rollup_ms: self.txs * base, way_ms: above_base });
        for (level, &count) in (1..).zip(&self.merges) {
            let way_ms = (height - level) * merge + root;
            levels.push(Level { vm_ms: 0, rollup_ms: count * merge, way_ms });
        }
        levels.push(Level { vm_ms: 0, rollup_ms: root, way_ms: 0 });
        assert!(levels.is_sorted_by(|a, b| b.way_ms < a.way_ms), "deepest first");
        levels
    }

    /// Milliseconds of proving window that the block needs: 1.2 × B + 2 × p50 + settle margin,
    /// p50 being that of the slowest kind (R3.3).
    ///
    /// # Errors
    /// [`Refused::NoLane`] if there is work that no lane can do.
    pub fn needed_ms(
        &self,
        params: &Params,
        lanes: Lanes,
        backlog: Backlog,
    ) -> Result<u64, Refused> {
        let bound = self.tree_bound_ms(params, lanes, backlog)?;
        let slowest = params.p50_ms.iter().copied().max().unwrap_or(0);
        let margin_ms = params.settle_margin_blocks * params.l1_block_s * 1_000;
        Ok((bound * params.slack_permille).div_ceil(1_000) + 2 * slowest + margin_ms)
    }

    /// Shortest proving window, in L1 blocks, that admits the block.
    ///
    /// # Errors
    /// [`Refused::NoLane`] if there is work that no lane can do.
    pub fn blocks_needed(
        &self,
        params: &Params,
        lanes: Lanes,
        backlog: Backlog,
    ) -> Result<u64, Refused> {
        Ok(self.needed_ms(params, lanes, backlog)?.div_ceil(params.l1_block_s * 1_000))
    }

    /// Whether the block may be revealed. An over-limit block cannot be (R3.3, R3.4).
    ///
    /// # Errors
    /// What keeps it out.
    pub fn admit(&self, params: &Params, lanes: Lanes, backlog: Backlog) -> Result<(), Refused> {
        let needed_ms = self.needed_ms(params, lanes, backlog)?;
        let window_ms = params.proving_blocks * params.l1_block_s * 1_000;
        if needed_ms <= window_ms {
            return Ok(());
        }
        Err(Refused::TooLong { needed_ms, window_ms })
    }
}

/// One level of the bound: its work by class, and the usual time of the way above it.
struct Level {
    vm_ms: u64,
    rollup_ms: u64,
    way_ms: u64,
}

/// Work over the lanes able to do it, rounded up.
fn spread(work_ms: u64, lanes: Lanes, class: Class) -> Result<u64, Refused> {
    match lanes.able(class) {
        0 => Err(Refused::NoLane(class)),
        able => Ok(work_ms.div_ceil(able)),
    }
}

/// The same, but no work needs no lane.
fn spread_some(work_ms: u64, lanes: Lanes, class: Class) -> Result<u64, Refused> {
    if work_ms == 0 { Ok(0) } else { spread(work_ms, lanes, class) }
}

/// Merges of each level over `txs` bases: pairs from the left, an odd last one passes up.
fn merges(txs: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut standing = txs;
    while 1 < standing {
        found.push(standing / 2);
        standing = standing.div_ceil(2);
    }
    found
}

/// For each number of merges above a base, the most calls of such a tx.
fn deepest(calls: &[u8]) -> Vec<(u64, u64)> {
    let mut most = std::collections::BTreeMap::new();
    for (index, &count) in calls.iter().enumerate() {
        let above = merges_above(index, calls.len());
        let entry = most.entry(above).or_insert(0);
        *entry = u64::from(count).max(*entry);
    }
    most.into_iter().collect()
}

/// Merges between base `index` of `txs` and the root: one a level, but none where it is the odd
/// last one.
fn merges_above(mut index: usize, mut txs: usize) -> u64 {
    let mut above = 0;
    while 1 < txs {
        let passes = txs % 2 == 1 && index + 1 == txs;
        above += u64::from(!passes);
        index /= 2;
        txs = txs.div_ceil(2);
    }
    above
}

#[cfg(test)]
mod tests;
