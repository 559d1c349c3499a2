//! Tasks that a lane may claim: by the way that remains, and for each own lane by what it takes
//! first.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Round;
use crate::domain::LaneId;

/// Open tasks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Open {
    /// Own lanes that rank for each, with their ranks.
    ranks: BTreeMap<usize, Vec<(LaneId, usize)>>,
    /// Longest way first.
    by_way: BTreeSet<(Reverse<u64>, usize)>,
    /// The same ranks by lane: longest way first, then rank (R4.4).
    by_lane: BTreeSet<(LaneId, Reverse<u64>, usize, usize)>,
}

impl Open {
    /// Those whose numbers are in a range.
    pub(super) fn range(
        &self,
        numbers: core::ops::RangeInclusive<usize>,
    ) -> impl Iterator<Item = usize> {
        self.ranks.range(numbers).map(|(&task, _)| task)
    }
    /// Ways and numbers, the longest way first.
    pub(crate) fn by_way(&self) -> impl Iterator<Item = (Reverse<u64>, usize)> {
        self.by_way.iter().copied()
    }
    /// Way, rank and number of what an own lane ranks for, in the order in which it takes them.
    pub(crate) fn by_lane(
        &self,
        lane: LaneId,
    ) -> impl Iterator<Item = (Reverse<u64>, usize, usize)> {
        let from = (lane, Reverse(u64::MAX), 0, 0);
        let all = self.by_lane.range(from..).take_while(move |it| it.0 == lane);
        all.map(|&(_, way, rank, task)| (way, rank, task))
    }
    pub(super) fn contains(&self, task: &usize) -> bool {
        self.ranks.contains_key(task)
    }
}

impl Round {
    /// Own lanes that rank for a task.
    fn own_ranks(&self, task: usize) -> Vec<(LaneId, usize)> {
        let parents = self.layout.parents(task).flat_map(|it| self.ranks(it));
        let follow = self.ranks(task).iter().chain(parents).filter(|it| self.is_own(**it));
        let mut lanes: Vec<LaneId> = if self.missing.contains_key(&task) {
            self.own.iter().map(|it| it.0).collect()
        } else {
            follow.copied().collect()
        };
        lanes.sort_unstable();
        lanes.dedup();
        lanes.into_iter().filter_map(|it| Some((it, self.rank(task, it)?))).collect()
    }

    /// A lane may claim the task from now on.
    pub(super) fn open_up(&mut self, task: usize) {
        let way = Reverse(self.spot(task).way_ms);
        let ranks = self.own_ranks(task);
        self.open.by_way.insert((way, task));
        self.open.by_lane.extend(ranks.iter().map(|&(lane, rank)| (lane, way, rank, task)));
        self.open.ranks.insert(task, ranks);
    }

    /// Nobody may claim it now.
    pub(super) fn close(&mut self, task: usize) {
        let Some(ranks) = self.open.ranks.remove(&task) else { return };
        let way = Reverse(self.spot(task).way_ms);
        self.open.by_way.remove(&(way, task));
        for (lane, rank) in ranks {
            self.open.by_lane.remove(&(lane, way, rank, task));
        }
    }

    /// The ranks of a task changed, and with them those of what it takes.
    pub(super) fn reopen(&mut self, task: usize) {
        for it in self.spot(task).children().chain([task]) {
            if self.open.contains(&it) {
                self.close(it);
                self.open_up(it);
            }
        }
    }
}
