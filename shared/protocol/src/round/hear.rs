//! Claims, announcements and refusals as they are heard (R5.1, R5.2).

use super::{Fetching, Hold, Round, standing::REFUSED_MAX, task::TRIES_IN_ALL};
use crate::{
    domain::{BlobId, LaneId, Millis, StatementId},
    io::Message,
    params::Params,
};

/// Fetches of one proof before it counts as refused.
const FETCH_TRIES_MAX: u8 = 3;

impl Round {
    /// The lane claimed this task. The first claim beside a late one moves the subtree (R5.4).
    pub(crate) fn hold(
        &mut self,
        now: Millis,
        task: usize,
        (lane, hold): (LaneId, Hold),
        params: &Params,
    ) {
        assert!(self.deal.lanes().contains_key(&lane), "{lane} is not of this epoch");
        let hedge_ms = params.hedge_ms(self.spot(task).node.kind);
        let it = self.track(now, task, params);
        let others = it.holds.iter().filter(|(other, _)| **other != lane);
        let hedged =
            others.map(|(_, it)| it.since.after(hedge_ms) <= now).fold(false, |a, b| a | b);
        it.holds.insert(lane, hold);
        it.changed = now;
        self.claimed.insert(lane, task);
        self.note_name(task, lane);
        self.timers.insert((hold.since.after(hedge_ms), task));
        self.timers.insert((hold.cap_at, task));
        if hedged {
            self.move_subtree(task, lane);
        }
        self.dirty.insert(task);
    }

    /// The lane's claims below `seq` ended. A task without a proof has one attempt more.
    pub(crate) fn let_go(&mut self, now: Millis, lane: LaneId, below: u64) {
        let Some(&task) = self.claimed.get(&lane) else { return };
        let Some(it) = self.tasks.get_mut(&task) else { return };
        if it.holds.get(&lane).is_some_and(|hold| below <= hold.seq) {
            return;
        }
        it.holds.remove(&lane);
        it.changed = now;
        it.attempts = it.attempts.saturating_add(u32::from(!it.is_known()));
        self.claimed.remove(&lane);
        self.move_back(task);
        self.dirty.insert(task);
    }

    /// The lane's next claim ends its last one. If that says that the proof is made, the task is left
    /// alone until `soon`: the announcement is on its way, or was lost and comes with the next beat.
    pub(crate) fn go_on(&mut self, now: Millis, (lane, below): (LaneId, u64), soon: Millis) {
        let last = self.claimed.get(&lane).copied();
        self.let_go(now, lane, below);
        let Some(it) = last.and_then(|it| self.tasks.get_mut(&it)) else { return };
        if !it.is_known() && !it.holds.contains_key(&lane) {
            it.rest_until = it.rest_until.max(soon);
        }
    }

    /// Ends the task's claims at their caps (R5.1); returns their lanes.
    pub(crate) fn expire(&mut self, now: Millis, task: usize) -> Vec<LaneId> {
        let Some(it) = self.tasks.get(&task).filter(|it| !it.is_known()) else { return Vec::new() };
        let over = it.holds.iter().filter(|(_, hold)| hold.cap_at <= now);
        let capped: Vec<LaneId> = over.map(|(&lane, _)| lane).collect();
        for &lane in &capped {
            self.let_go(now, lane, u64::MAX);
            self.fail(task, lane);
            if let Some(standing) = self.standing_mut(now, lane) {
                standing.capped = true;
            }
            self.weigh(lane);
        }
        capped
    }

    /// A failure counts towards quarantine (R5.3), and whoever failed ranks last for this task.
    pub(crate) fn fail(&mut self, task: usize, lane: LaneId) {
        if let Some(it) = self.tasks.get_mut(&task) {
            it.failures.insert(lane.prover());
            self.dirty.insert(task);
            self.rerank(task);
        }
    }

    /// A proof was announced; false if we heard so before.
    pub(crate) fn on_made(&mut self, now: Millis, made: &Message, params: &Params) -> bool {
        let Message::Made { task, statement, lane, seq, .. } = *made else { return false };
        let Some(found) = self.find(task) else { return false };
        let it = self.track(now, found, params);
        let before = it.offers.get(&lane).map(|it| it.statement);
        if !it.on_made(now, made) {
            return false;
        }
        self.note_statement(found, statement, before);
        self.known_depth = self.known_depth.min(self.spot(found).depth);
        self.track_parents(now, found, params);
        self.note_name(found, lane);
        if self.claimed.get(&lane) == Some(&found) {
            self.claimed.remove(&lane);
        }
        if let Some(it) = self.tasks.get_mut(&found) {
            it.holds.retain(|&other, hold| other != lane || seq < hold.seq);
        }
        self.touch(found);
        true
    }

    /// Those that follow the task never fetch it and take the refused proof for made; those that
    /// need it know better and make it, in the order in which they follow its parent.
    fn miss_refused(&mut self, task: usize) {
        if self.is_known(task) || self.known_above(task).is_some() {
            return;
        }
        let place = self.layout.parents(task).map(|it| self.place(it)).min();
        if let Some(others) = place.filter(|&it| it < usize::MAX) {
            self.miss(task, others);
        }
    }

    /// A lane's announcement was worth nothing: its claim ends, and its word counts less.
    fn distrust(&mut self, now: Millis, task: usize, (lane, seq): (LaneId, u64), weight: u8) {
        if let Some(standing) = self.standing_mut(now, lane) {
            standing.refused = standing.refused.saturating_add(weight);
        }
        self.weigh(lane);
        self.let_go(now, lane, seq.saturating_add(1));
        if let Some(it) = self.tasks.get_mut(&task) {
            it.attempts = it.attempts.saturating_add(1);
        }
        self.rerank_all(lane);
        self.touch(task);
    }

    /// Lanes that announced this statement as theirs. Its credit names who made it.
    pub(crate) fn announcers(&self, task: usize, statement: StatementId) -> Vec<LaneId> {
        let offers = self.tasks.get(&task).into_iter().flat_map(|it| it.offers.iter());
        let same =
            offers.filter(|(_, it)| it.statement == statement && it.fetching != Fetching::Refused);
        same.map(|(&lane, _)| lane).collect()
    }

    /// The lane announced a proof that somebody else made (R10.3).
    pub(crate) fn refuse_copy(&mut self, now: Millis, task: usize, lane: LaneId) {
        let offers = self.tasks.get_mut(&task).map(|it| &mut it.offers);
        let Some(offer) = offers.and_then(|it| it.get_mut(&lane)) else { return };
        offer.tries = TRIES_IN_ALL;
        offer.fetching = Fetching::Refused;
        let seq = offer.seq;
        self.distrust(now, task, (lane, seq), REFUSED_MAX);
    }

    /// Returns the makers whose announcement is refused by now; their claims end with it.
    pub(crate) fn fetch_failed(
        &mut self,
        now: Millis,
        task: usize,
        (blob, bad): (BlobId, bool),
        wait_ms: u64,
    ) -> Vec<LaneId> {
        let gone = &self.lost;
        let Some(it) = self.tasks.get_mut(&task) else { return Vec::new() };
        let (mut refused, mut again) = (Vec::new(), None);
        for (&lane, offer) in it.offers.iter_mut().filter(|(_, it)| it.blob == blob) {
            if offer.fetching != Fetching::Asked {
                continue;
            }
            offer.tries = if bad { TRIES_IN_ALL } else { offer.tries + 1 };
            let at = now.after(wait_ms * u64::from(offer.tries));
            offer.fetching = Fetching::Due(at);
            again = Some(at);
            if bad || offer.tries.is_multiple_of(FETCH_TRIES_MAX) || gone.contains(&lane) {
                offer.fetching = Fetching::Refused;
                refused.push((lane, offer.seq));
            }
        }
        self.timers.extend(again.map(|at| (at, task)));
        let weight = if bad { REFUSED_MAX } else { 1 };
        for &(lane, seq) in &refused {
            self.distrust(now, task, (lane, seq), weight);
        }
        if !refused.is_empty() {
            self.miss_refused(task);
        }
        refused.into_iter().map(|(lane, _)| lane).collect()
    }
}
