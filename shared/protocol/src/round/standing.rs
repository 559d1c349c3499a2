//! Who is alive in a slot: beats, notices, and whose notices count (R5.3).
//!
//! A loss notice says "no beat after number n". Any newer beat refutes it, whoever heard it, so
//! agents agree in the end whatever order they hear things in, a lane that comes back is back, and
//! watchers cannot talk a lane dead that others hear.

use std::collections::BTreeMap;

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
    /// Its last beat number in this slot, under whatever deal.
    pub beat: Option<u64>,
    /// Whether it beat in this very round.
    pub spoke: bool,
    /// What it said it works on.
    pub works_on: TaskId,
    /// Lanes that said that its beats stopped, with the last beat they heard. Which of them count
    /// is judged when it matters: who watches depends on who is lost.
    pub notices: BTreeMap<LaneId, u64>,
    /// Whether it is declared lost (R5.3).
    pub lost: bool,
    /// Was lost in this slot: it may claim again but ranks last.
    pub fell: bool,
    /// Ran into a cap (R5.1).
    pub capped: bool,
    /// Announced proofs of it that were refused, or could not be had.
    pub refused: u8,
}

impl Standing {
    pub(super) const fn new(now: Millis) -> Self {
        Self {
            heard: now,
            beat: None,
            spoke: false,
            works_on: TaskId([0; 32]),
            notices: BTreeMap::new(),
            lost: false,
            fell: false,
            capped: false,
            refused: 0,
        }
    }
    /// How long without a beat makes it silent: a lane that never spoke in this round has twice as
    /// long, because agents check a block before they beat, and not equally fast.
    #[must_use]
    pub const fn patience_ms(&self, params: &Params) -> u64 {
        let times = if self.spoke { 1 } else { 2 };
        times * params.silence_ms()
    }
    /// Whether its beats stopped.
    #[must_use]
    pub const fn is_silent(&self, now: Millis, params: &Params) -> bool {
        self.patience_ms(params) <= now.since(self.heard)
    }
}

/// From this many refused proofs on a lane's claims count for nothing (R10.3). One may be a crash
/// between the announcement and the first fetch.
const REFUSED_MAX: u8 = 2;

impl Round {
    /// Whether the lane's claims count: it is here, and its word was good so far.
    #[must_use]
    pub fn is_credible(&self, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_some_and(|it| !it.lost && it.refused < REFUSED_MAX)
    }

    /// Goes on from what was heard under another deal of the slot. The mesh takes every message
    /// once, so what was said stays said: beats, notices, copies held.
    pub(crate) fn inherit(&mut self, ended: &Self) {
        for (lane, standing) in &mut self.lanes {
            if let Some(before) = ended.lanes.get(lane) {
                standing.beat = before.beat;
                standing.notices.clone_from(&before.notices);
            }
        }
        self.holders.clone_from(&ended.holders);
    }

    /// Only a beat with a higher number is news: old ones can be repeated by anybody. It refutes
    /// every notice that stopped counting before it, and so a loss.
    pub(crate) fn on_beat(&mut self, now: Millis, lane: LaneId, n: u64, task: TaskId) {
        let Some(standing) = self.lanes.get_mut(&lane) else { return };
        if standing.beat.is_none_or(|last| last < n) {
            standing.beat = Some(n);
            standing.spoke = true;
            standing.heard = now;
            standing.works_on = task;
            standing.notices.retain(|_, last_beat| n <= *last_beat);
            standing.lost = false;
        }
    }

    pub(crate) fn on_notice(&mut self, lane: LaneId, watcher: LaneId, last_beat: u64) {
        let Some(standing) = self.lanes.get_mut(&lane) else { return };
        if standing.beat.is_none_or(|heard| heard <= last_beat) {
            standing.notices.insert(watcher, last_beat);
        }
    }

    /// The lanes whose word about this lane counts: its first ranks of other provers that are not
    /// lost themselves, so there is always somebody to watch, or spoke before they were lost.
    pub(crate) fn watchers(&self, lane: LaneId, count: usize) -> Vec<LaneId> {
        let mut watchers = self.deal.watchers(lane);
        let spoke =
            |it: &LaneId| self.lanes.get(&lane).is_some_and(|lane| lane.notices.contains_key(it));
        watchers.retain(|it| self.is_alive(*it) || spoke(it));
        watchers.truncate(count);
        watchers
    }
}
