//! Lanes that stand aside: they said that they cannot prove the slot's circuit set (R13.1).
//!
//! The deal is the same for everybody and knows nothing of keys. A lane that stands aside is treated
//! as a lost one, so that nobody waits for its turn, its beats or its acknowledgments, but by its own
//! word and without a notice. When it has the keys it says so, and has its old ranks again:
//! unlike a lost lane it was never silent, and others tell it what they know.

use super::Round;
use crate::{
    domain::{LaneId, Millis},
    params::Params,
};

/// Times that a lane may change its mind in a slot. Keys come once; every change makes others greet
/// their watchers.
const CHANGES_MAX: u8 = 4;

impl Round {
    /// Whether the lane said that it cannot prove the slot's set.
    #[must_use]
    pub fn is_aside(&self, lane: LaneId) -> bool {
        self.standings.get(&lane).is_some_and(|it| it.aside)
    }

    /// The lane's word number `n` about the slot's set: only a newer one is news. If it changes
    /// anything, gives the tasks whose ranks changed, each with the lanes that follow it anew.
    pub(crate) fn on_advert(
        &mut self,
        now: Millis,
        lane: LaneId,
        (n, able): (u64, bool),
        params: &Params,
    ) -> Option<Vec<(usize, Vec<LaneId>)>> {
        let standing = self.standing_mut(now, lane)?;
        let (last, changes) = standing.advert;
        if n <= last || CHANGES_MAX <= changes {
            return None;
        }
        let changed = standing.aside == able;
        standing.advert = (n, changes + u8::from(changed));
        standing.aside = !able;
        if !changed {
            return None;
        }
        if able {
            // Who speaks is here.
            standing.notices.clear();
            standing.lost = false;
        }
        self.weigh(lane);
        Some(if able {
            self.come_back(now, lane, params)
        } else {
            self.stand_aside(now, lane, params)
        })
    }

    fn stand_aside(
        &mut self,
        now: Millis,
        lane: LaneId,
        params: &Params,
    ) -> Vec<(usize, Vec<LaneId>)> {
        self.watched.remove(&lane);
        let changed = self.leave(now, lane, params);
        if self.is_own(lane) {
            self.watched_by(lane).into_iter().for_each(|it| self.relax(it, params.watchers));
        }
        // What is new to us is new to everybody: who claims it in the first beat tells us.
        if now.since(self.started) < params.beat_ms {
            for task in self.tasks.select(|it| now < it.rest_until) {
                self.tasks.get_mut(&task).into_iter().for_each(|it| it.rest_until = now);
            }
        }
        changed
    }

    /// It watches and is watched again, and what it ranked for is its own, as far as it is not made.
    fn come_back(
        &mut self,
        now: Millis,
        lane: LaneId,
        params: &Params,
    ) -> Vec<(usize, Vec<LaneId>)> {
        let watched = self.watched_by(lane);
        if self.is_own(lane) {
            watched.into_iter().for_each(|it| self.watch(now, it, params.watchers));
        } else {
            watched.into_iter().for_each(|it| self.relax(it, params.watchers));
            self.watch(now, lane, params.watchers);
        }
        let open = self.tasks.select(|it| !it.is_known());
        self.dirty.extend(&open);
        open.into_iter().map(|task| (task, self.rerank(task))).collect()
    }

    /// The lanes that this one watches while it is here.
    pub(super) fn watched_by(&self, lane: LaneId) -> Vec<LaneId> {
        self.deal.early(lane).map(|it| it.watched.clone()).unwrap_or_default()
    }
}
