//! Who is alive in a slot: beats, notices, and whose notices count (R5.3).

use std::collections::BTreeSet;

use super::Round;
use crate::{
    domain::{LaneId, Millis, TaskId},
    params::Params,
};

/// What we know about one lane in this slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// When we last heard a new beat, or when we began to listen.
    pub heard: Millis,
    /// Its last beat number.
    pub beat: Option<u64>,
    /// What it said it works on.
    pub works_on: TaskId,
    /// Lanes that said that its beats stopped. Which of them count is judged when it matters: who
    /// watches depends on who is lost.
    pub notices: BTreeSet<LaneId>,
    /// Since when it is declared lost (R5.3).
    pub lost: Option<Millis>,
    /// Ran into a cap (R5.1).
    pub capped: bool,
}

impl Standing {
    pub(super) const fn new(now: Millis) -> Self {
        Self {
            heard: now,
            beat: None,
            works_on: TaskId([0; 32]),
            notices: BTreeSet::new(),
            lost: None,
            capped: false,
        }
    }
    /// How long without a beat makes it silent: a lane that never spoke in this slot has twice as
    /// long, because agents check a block before they beat, and not equally fast.
    #[must_use]
    pub const fn patience_ms(&self, params: &Params) -> u64 {
        match self.beat {
            Some(_) => params.silence_ms(),
            None => 2 * params.silence_ms(),
        }
    }
    /// Whether its beats stopped.
    #[must_use]
    pub const fn is_silent(&self, now: Millis, params: &Params) -> bool {
        self.patience_ms(params) <= now.since(self.heard)
    }
}

impl Round {
    /// Only a beat with a higher number is news: old ones can be repeated by anybody.
    pub(crate) fn on_beat(&mut self, now: Millis, lane: LaneId, n: u64, task: TaskId) {
        let Some(standing) = self.lanes.get_mut(&lane) else { return };
        if standing.beat.is_none_or(|last| last < n) {
            standing.beat = Some(n);
            standing.heard = now;
            standing.works_on = task;
        }
    }

    pub(crate) fn on_notice(&mut self, lane: LaneId, watcher: LaneId) {
        if let Some(standing) = self.lanes.get_mut(&lane) {
            standing.notices.insert(watcher);
        }
    }

    /// The lanes whose word about this lane counts: its first ranks of other provers that are not
    /// lost themselves, so there is always somebody to watch, or spoke before they were lost.
    pub(crate) fn watchers(&self, lane: LaneId, count: usize) -> Vec<LaneId> {
        let mut watchers = self.deal.watchers(lane);
        let spoke =
            |it: &LaneId| self.lanes.get(&lane).is_some_and(|lane| lane.notices.contains(it));
        watchers.retain(|it| self.is_alive(*it) || spoke(it));
        watchers.truncate(count);
        watchers
    }
}
