//! Who is alive in a slot: beats, notices, and whose notices count (R5.3).
//!
//! A loss notice says "no beat after number n". Any newer beat refutes it, whoever heard it, so
//! agents agree in the end whatever order they hear things in, a lane that comes back is back, and
//! watchers cannot talk a lane dead that others hear. Only a lane's watchers hear every beat of
//! it; a lane that learns that it is taken for lost beats to everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Round;
use crate::{
    domain::{Class, LaneId, Millis, ProverId, TaskId},
    params::Params,
};

/// What we know about one lane in this slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// From when on silence counts: when we last heard a new beat, or when we began to listen.
    pub heard: Millis,
    /// When we last heard a new beat.
    pub spoke: Millis,
    /// Its last beat number in this slot, under whatever deal.
    pub beat: Option<u64>,
    /// Whether we wait for its first beat in this round since the round began.
    pub first: bool,
    /// What it said it works on.
    pub works_on: TaskId,
    /// Notices about it: watching lane and the last beat it heard.
    pub notices: BTreeMap<LaneId, u64>,
    /// When the newest of them came.
    pub accused: Millis,
    /// Whether it is declared lost (R5.3).
    pub lost: bool,
    /// Was lost in this slot: it may claim again but ranks last.
    pub fell: bool,
    /// Ran into a cap (R5.1).
    pub capped: bool,
    /// Announced proofs of it that were refused, or could not be had.
    pub refused: u8,
    /// Proofs of ours that its prover should keep and never acknowledged (R5.2).
    pub deaf: u8,
    /// Said that it cannot prove the slot's circuit set (R13.1).
    pub aside: bool,
    /// Its last word about that, and how often it changed its mind.
    pub(super) advert: (u64, u8),
}

impl Standing {
    pub(super) const fn new(now: Millis) -> Self {
        Self {
            heard: now,
            spoke: Millis(0),
            beat: None,
            first: false,
            works_on: TaskId([0; 32]),
            notices: BTreeMap::new(),
            accused: Millis(0),
            lost: false,
            fell: false,
            capped: false,
            refused: 0,
            deaf: 0,
            aside: false,
            advert: (0, 0),
        }
    }
    /// How long without a beat makes it silent: at the start of a round twice as long, because
    /// agents check a block before they beat, and not equally fast.
    #[must_use]
    pub const fn patience_ms(&self, params: &Params) -> u64 {
        let times = if self.first { 2 } else { 1 };
        times * params.silence_ms()
    }
    /// Whether its beats stopped.
    #[must_use]
    pub const fn is_silent(&self, now: Millis, params: &Params) -> bool {
        self.patience_ms(params) <= now.since(self.heard)
    }
}

/// Ranks that tell others what is known of a task.
pub(crate) const ANSWERERS: usize = 3;

/// From this many refused proofs on a lane's claims count for nothing (R10.3). One may be a crash
/// between the announcement and the first fetch; one that does not pass is enough.
pub(super) const REFUSED_MAX: u8 = 2;

/// From this many notices on that the accused refuted at once, a prover's notices count for nothing
/// in the slot, and its lanes rank last: one may be a lane that came back at that moment, or beats lost on their way.
const FALSE_WORDS_MAX: u8 = 3;

/// From this many proofs on that a prover never acknowledged it is not counted on.
const DEAF_MAX: u8 = 2;

/// When a lane that never refuted a notice must be gone: it answers to everybody at once, and again
/// with its next beat.
const fn unanswered_at(it: &Standing, params: &Params) -> Millis {
    it.accused.after(2 * params.silence_ms())
}

/// What stands in both lists, which are sorted.
fn common<'a>(a: &'a [u32], b: &'a [u32]) -> impl Iterator<Item = usize> + use<'a> {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    few.iter().filter(|it| many.binary_search(it).is_ok()).map(|&it| it as usize)
}

impl Round {
    /// What we know about a lane; `None` if nothing speaks against it.
    #[must_use]
    pub fn standing(&self, lane: LaneId) -> Option<&Standing> {
        self.standings.get(&lane)
    }
    /// Everything known about lanes.
    pub fn standings(&self) -> impl Iterator<Item = (LaneId, &Standing)> {
        self.standings.iter().map(|(&lane, it)| (lane, it))
    }
    pub(super) fn standing_mut(&mut self, now: Millis, lane: LaneId) -> Option<&mut Standing> {
        let dealt = self.deal.lanes().contains_key(&lane);
        dealt.then(|| self.standings.entry(lane).or_insert_with(|| Standing::new(now)))
    }
    /// Whether the lane may be counted on in this slot: neither lost in it, now or before, nor
    /// capped, nor the maker of a proof that was refused.
    #[must_use]
    pub fn is_eligible(&self, lane: LaneId) -> bool {
        !self.out.contains(&lane)
    }
    /// Brings the lists of those that are not here and that cannot be counted on up to date.
    pub(super) fn weigh(&mut self, lane: LaneId) {
        let gone = |it: &Standing| it.lost || it.aside;
        let unfit = |it: &Standing| {
            gone(it) || it.fell || it.capped || 0 < it.refused || DEAF_MAX <= it.deaf
        };
        let standing = self.standings.get(&lane);
        let out = standing.is_some_and(unfit) || !self.is_trusted(lane.prover());
        let lists = [(&mut self.lost, standing.is_some_and(gone)), (&mut self.out, out)];
        for (list, holds) in lists {
            if holds {
                list.insert(lane);
            } else {
                list.remove(&lane);
            }
        }
    }
    /// A prover that should keep a proof of ours never said that it does, or says it now. Gives its
    /// lanes whose ranks change by it.
    pub(crate) fn on_answer(
        &mut self,
        now: Millis,
        prover: ProverId,
        answered: bool,
    ) -> Vec<LaneId> {
        let mut changed = Vec::new();
        let deal = Arc::clone(&self.deal);
        for (lane, _) in deal.lanes_of(prover) {
            let deaf = self.standings.get(&lane).map_or(0, |it| it.deaf);
            let now_deaf = if answered { 0 } else { deaf.saturating_add(1) };
            let before = self.is_eligible(lane);
            if now_deaf != deaf
                && let Some(it) = self.standing_mut(now, lane)
            {
                it.deaf = now_deaf;
                self.weigh(lane);
            }
            changed.extend((before != self.is_eligible(lane)).then_some(lane));
        }
        changed
    }
    /// Whether the lane is neither lost nor stands aside.
    #[must_use]
    pub fn is_alive(&self, lane: LaneId) -> bool {
        !self.lost.contains(&lane)
    }
    /// Whether the lane holds a claim whose proof does not exist yet, as far as we heard.
    #[must_use]
    pub fn is_busy(&self, lane: LaneId) -> bool {
        self.claimed.contains_key(&lane)
    }
    /// Whether the lane's claims count: it is here, and its word was good so far.
    #[must_use]
    pub fn is_credible(&self, lane: LaneId) -> bool {
        let good = |it: &Standing| !it.lost && !it.aside && it.refused < REFUSED_MAX;
        self.deal.lanes().contains_key(&lane) && self.standings.get(&lane).is_none_or(good)
    }

    /// Goes on from what was heard under another deal of the slot. The mesh takes every message
    /// once, so what was said stays said: beats, notices, adverts.
    pub(crate) fn inherit(&mut self, now: Millis, ended: &Self, params: &Params) {
        for (&lane, before) in &ended.standings {
            if let Some(standing) = self.standing_mut(now, lane) {
                standing.beat = before.beat;
                standing.spoke = before.spoke;
                standing.notices.clone_from(&before.notices);
            }
            if before.aside && ended.reveal.set == self.reveal.set {
                self.on_advert(now, lane, (before.advert.0, false), params);
            }
        }
        // Whoever heard that a lane of ours is silent hears under the new deal that it is not.
        let accused =
            |it: &LaneId| ended.standings.get(it).is_some_and(|it| !it.notices.is_empty());
        self.shout |= self.own.iter().any(|(lane, _)| accused(lane));
    }

    /// Only a beat with a higher number is news: old ones can be repeated by anybody. It refutes
    /// every notice that stopped counting before it, and so a loss. Gives the lanes whose ranks change
    /// by it: this one if it was lost, and those of a prover that said so falsely once too often.
    pub(crate) fn on_beat(
        &mut self,
        now: Millis,
        lane: LaneId,
        (n, task): (u64, TaskId),
        params: &Params,
    ) -> Vec<LaneId> {
        let (count, patience) = (params.watchers, params.beat_ms / 2);
        let Some(standing) = self.standing_mut(now, lane) else { return Vec::new() };
        if standing.beat.is_some_and(|last| n <= last) {
            return Vec::new();
        }
        standing.beat = Some(n);
        standing.first = false;
        standing.heard = now;
        standing.spoke = now;
        standing.works_on = task;
        let accused = !standing.notices.is_empty();
        let wrong = accused && now.since(standing.accused) < patience;
        let said = standing.notices.iter().filter(|it| wrong && *it.1 < n);
        let false_words: Vec<LaneId> = said.map(|it| *it.0).collect();
        standing.notices.retain(|_, last_beat| n <= *last_beat);
        let clear = standing.notices.is_empty();
        let refuted = standing.lost && clear;
        standing.lost &= !refuted;
        // Who answers at once was here all the time.
        standing.fell &= !(refuted && wrong);
        if clear {
            self.doubted.remove(&lane);
        }
        let mut changed = self.count_false_words(&false_words);
        if refuted {
            self.weigh(lane);
            changed.push(lane);
            // Lanes that it watches again need those no more who stood in for it.
            self.watched_by(lane).into_iter().for_each(|other| self.relax(other, count));
        }
        if accused {
            self.relax(lane, count);
        }
        changed
    }

    /// Who took lanes for silent that were here all the time is not counted on any more; gives its
    /// lanes.
    fn count_false_words(&mut self, watchers: &[LaneId]) -> Vec<LaneId> {
        let mut changed = Vec::new();
        for prover in watchers.iter().map(|it| it.prover()) {
            let count = self.false_words.entry(prover).or_default();
            *count = count.saturating_add(1);
            if *count == FALSE_WORDS_MAX {
                changed.extend(self.deal.lanes_of(prover).map(|it| it.0));
            }
        }
        changed.iter().for_each(|&it| self.weigh(it));
        changed
    }

    /// Those who listened only because of a notice stop when the lane spoke.
    pub(super) fn relax(&mut self, lane: LaneId, count: usize) {
        if !self.watchers(lane, count).into_iter().any(|it| self.is_own(it)) {
            self.watched.remove(&lane);
        }
    }

    /// Lanes that an own lane beats to: its watchers, and whoever took it for silent, because they
    /// count its watchers differently.
    pub(crate) fn listeners(&self, lane: LaneId, count: usize) -> Vec<LaneId> {
        let accusers = self.listeners.range((lane, LaneId(0))..=(lane, LaneId(u64::MAX)));
        let mut all = self.watchers(lane, count);
        all.extend(accusers.map(|it| it.1));
        all
    }

    /// Whoever could be asked to watch the lane listens from the first notice on: if only one of
    /// its watchers is alive, nobody else would ever confirm the loss. A lane that is alive beats
    /// to everybody when it hears of this.
    pub(crate) fn on_notice(
        &mut self,
        now: Millis,
        lane: LaneId,
        (watcher, last): (LaneId, u64),
        params: &Params,
    ) {
        if self.is_own(lane) && self.deal.watchers(lane).contains(&watcher) {
            self.listeners.insert((lane, watcher));
        }
        let Some(standing) = self.standing_mut(now, lane) else { return };
        // A watcher that began to listen later than we did knows an older beat; ours is too old to
        // refute it.
        let heard = standing.beat.unwrap_or(0);
        if heard <= last || standing.spoke.after(params.silence_ms()) <= now {
            standing.notices.insert(watcher, last.max(heard));
            standing.accused = now;
            if !standing.lost {
                self.doubted.insert(lane);
            }
            if !self.watched.contains(&lane) && self.is_trusted(watcher.prover()) {
                self.watch(now, lane, usize::MAX);
                self.expect_soon(now, lane, params);
            }
        }
    }

    /// Lanes about which something was said that did not make them lost.
    pub(crate) const fn doubted(&self) -> &BTreeSet<LaneId> {
        &self.doubted
    }
    /// Those of them that never answered, and when the next one counts as such.
    pub(crate) fn unanswered(&self, now: Millis, params: &Params) -> (Vec<LaneId>, Option<Millis>) {
        let since = |it: &LaneId| self.standings.get(it).map(|it| unanswered_at(it, params));
        let all = self.doubted.iter().filter_map(|&it| Some((it, since(&it)?)));
        let (over, open): (Vec<_>, Vec<_>) = all.partition(|it| it.1 <= now);
        (over.into_iter().map(|it| it.0).collect(), open.into_iter().map(|it| it.1).min())
    }

    /// The lanes whose word about this lane counts: its first ranks of other provers that are not
    /// lost themselves, so there is always somebody to watch, or spoke before they were lost. Where
    /// one was lost, its neighbours may be gone as well: one more is asked for each.
    pub(crate) fn watchers(&self, lane: LaneId, count: usize) -> Vec<LaneId> {
        let notices = self.standings.get(&lane).map(|it| &it.notices);
        let spoke = |it: &LaneId| notices.is_some_and(|notices| notices.contains_key(it));
        let (mut found, mut wanted) = (Vec::new(), count);
        for &it in self.deal.watchers(lane) {
            if found.len() == wanted {
                break;
            }
            if self.is_alive(it) || spoke(&it) {
                found.push(it);
            } else {
                wanted = wanted.saturating_add(1);
            }
        }
        found
    }

    /// Begins to wait for a lane's beats if one of ours is among its first `count` watchers.
    pub(crate) fn watch(&mut self, now: Millis, lane: LaneId, count: usize) {
        if self.watched.contains(&lane) || self.is_aside(lane) {
            return;
        }
        let ours = if count == usize::MAX {
            self.deal.watchers(lane).iter().any(|&it| self.is_own(it))
        } else {
            self.watchers(lane, count).into_iter().any(|it| self.is_own(it))
        };
        let first = now == self.started;
        if ours
            && !self.is_own(lane)
            && self.watched.insert(lane)
            && let Some(standing) = self.standing_mut(now, lane)
        {
            standing.heard = now;
            standing.first = first;
        }
    }
    /// Lanes whose beats we wait for.
    pub(crate) const fn watched(&self) -> &BTreeSet<LaneId> {
        &self.watched
    }

    /// Notes that one of ours spoke about a silent lane.
    pub(crate) fn note_notice(
        &mut self,
        now: Millis,
        lane: LaneId,
        (watcher, last): (LaneId, u64),
    ) {
        if let Some(standing) = self.standings.get_mut(&lane) {
            standing.notices.insert(watcher, last);
            standing.accused = now;
            self.doubted.insert(lane);
        }
    }

    /// Two provers say so, or one and our own ears, or one whom the lane never answers, because all
    /// others that could say so may be gone (R5.3). About ourselves only others can know.
    pub(crate) fn is_newly_lost(&self, now: Millis, lane: LaneId, params: &Params) -> bool {
        let here = |it: &&Standing| !it.lost && !it.aside;
        let Some(it) = self.standings.get(&lane).filter(here) else { return false };
        if it.notices.is_empty() {
            return false;
        }
        let watched = self.watched.contains(&lane);
        let silent = watched && !self.is_own(lane) && it.is_silent(now, params);
        let watchers = self.deal.watchers(lane);
        let spoke = it.notices.keys().filter(|it| watchers.contains(it));
        let said: BTreeSet<ProverId> = spoke.map(|it| it.prover()).collect();
        let own = |it: &LaneId| self.is_own(*it);
        let others =
            || said.iter().any(|it| self.own.first().is_none_or(|own| own.0.prover() != *it));
        let alone = || !watchers.iter().any(|it| !own(it) && self.is_heard(now, *it, params));
        let trusted = said.iter().filter(|it| self.is_trusted(**it)).count();
        let unanswered = !self.is_own(lane) && unanswered_at(it, params) <= now;
        2 <= trusted
            || (1 <= trusted && unanswered)
            || (!said.is_empty() && silent && (others() || alone()))
    }

    /// Whether a prover's notices count by themselves; our own ears may confirm any of them.
    fn is_trusted(&self, prover: ProverId) -> bool {
        self.false_words.get(&prover).is_none_or(|&it| it < FALSE_WORDS_MAX)
    }

    /// Whether the lane may still speak, as far as we listen to it.
    fn is_heard(&self, now: Millis, lane: LaneId, params: &Params) -> bool {
        let silent = |it: &Standing| it.is_silent(now, params);
        let unheard = self.watched.contains(&lane) && self.standings.get(&lane).is_some_and(silent);
        self.is_alive(lane) && !unheard
    }

    /// Declares a lane lost; its claims end (R5.3). Tasks whose ranks changed by it, each with the
    /// lanes that follow it from now on, are for the coordinator to tell.
    pub(crate) fn lose(
        &mut self,
        now: Millis,
        lane: LaneId,
        params: &Params,
    ) -> Vec<(usize, Vec<LaneId>)> {
        if let Some(standing) = self.standing_mut(now, lane) {
            standing.lost = true;
            standing.fell = true;
            self.doubted.remove(&lane);
        }
        self.weigh(lane);
        self.leave(now, lane, params)
    }

    /// The lane is not here any more: others carry on with its claims and watch for it.
    pub(super) fn leave(
        &mut self,
        now: Millis,
        lane: LaneId,
        params: &Params,
    ) -> Vec<(usize, Vec<LaneId>)> {
        self.let_go(now, lane, u64::MAX);
        let left = self.watched_by(lane).into_iter().filter(|it| !self.watched.contains(it));
        let left: Vec<LaneId> = left.collect();
        for other in left {
            self.watch(now, other, params.watchers);
            self.expect_soon(now, other, params);
        }
        let ours = |own: &LaneId| self.deal.watchers(*own).contains(&lane);
        let greet: Vec<LaneId> = self.own.iter().map(|it| it.0).filter(ours).collect();
        self.greet.extend(greet);
        self.move_up(now, lane, params);
        self.rerank_all(lane)
    }

    /// A lane whose watcher was lost greets the next ones as soon as it knows, and one that learns
    /// of a notice beats to everybody: a beat is enough to hear it.
    fn expect_soon(&mut self, now: Millis, lane: LaneId, params: &Params) {
        let patience = params.silence_ms().saturating_sub(params.beat_ms);
        if self.watched.contains(&lane)
            && let Some(standing) = self.standing_mut(now, lane)
        {
            standing.heard = Millis(now.0.saturating_sub(patience)).max(standing.spoke);
        }
    }

    /// A lost lane's subtrees and vm proofs have another last rank now. If it is ours we begin to
    /// follow them, whether or not anybody is left to tell us what is known.
    fn move_up(&mut self, now: Millis, lost: LaneId, params: &Params) {
        let (deal, layout) = (Arc::clone(&self.deal), Arc::clone(&self.layout));
        let Some(gone) = deal.early(lost) else { return };
        for (own, _) in self.own.clone() {
            let Some(early) = deal.early(own) else { continue };
            for subtree in common(&early.later_subtrees, &gone.later_subtrees) {
                self.follow_subtree(now, subtree, own, params);
            }
            let vms: Vec<usize> = common(&early.later_vms, &gone.later_vms)
                .filter_map(|it| layout.vm(it))
                .filter(|&it| self.follows(it, own, params))
                .collect();
            for task in vms {
                self.follow_vm(now, task, params);
            }
        }
    }

    fn follow_subtree(&mut self, now: Millis, subtree: usize, own: LaneId, params: &Params) {
        let layout = Arc::clone(&self.layout);
        let subtree = &layout.cut.subtrees[subtree];
        let top = layout.at(subtree.top);
        if !self.follows(top, own, params) {
            return;
        }
        for task in subtree.nodes.iter().map(|&it| layout.at(it)) {
            self.come_new(now, task, params);
        }
        for parent in layout.parents(top) {
            self.track(now, parent, params);
        }
    }

    fn follow_vm(&mut self, now: Millis, task: usize, params: &Params) {
        let layout = Arc::clone(&self.layout);
        self.come_new(now, task, params);
        let Some(subtree) = layout.spots[task].subtree() else { return };
        let top = layout.at(layout.cut.subtrees[subtree].top);
        for other in layout.parents(task).chain(layout.parents(top)) {
            self.track(now, other, params);
        }
    }

    /// Begins to follow a task of which nobody told us anything. Whoever knows more has three beats
    /// to say so before our lanes take it for undone.
    fn come_new(&mut self, now: Millis, task: usize, params: &Params) {
        if self.tasks.contains_key(&task) {
            return;
        }
        self.track(now, task, params).rest_until = now.after(params.silence_ms());
    }

    /// Whether the lane is among the first ranks now and did not follow the task before.
    fn follows(&self, task: usize, lane: LaneId, params: &Params) -> bool {
        let new = self.tasks.get(&task).is_none_or(|it| !it.order.contains(&lane));
        let spot = self.spot(task);
        let (class, i) = match (spot.vm(), spot.subtree()) {
            (Some(vm), _) => (Class::Vm, vm),
            (None, Some(subtree)) => (Class::Rollup, subtree),
            (None, None) => return false,
        };
        let able = self.deal.read(class, i).filter(|&it| self.is_eligible(it));
        new && able.take(self.reach(task, params)).any(|it| it == lane)
    }

    /// Reads the ranks of every task that this lane followed anew.
    pub(crate) fn rerank_all(&mut self, lane: LaneId) -> Vec<(usize, Vec<LaneId>)> {
        let tasks = self.tasks.select(|it| it.order.contains(&lane));
        self.dirty.extend(self.tasks.select(|it| it.offers.contains_key(&lane)));
        // Tasks of one subtree follow each other, and all but its vm proofs have the same ranks.
        let mut last: Option<(usize, Arc<[LaneId]>)> = None;
        let changed = tasks.into_iter().filter_map(|task| {
            self.dirty.insert(task);
            let early = self.is_early(task, ANSWERERS);
            let same = self.same_ranks(task);
            let read = || Some(self.first_ranks(task, self.tasks.get(&task)?));
            let known = last.as_ref().filter(|it| Some(it.0) == same).map(|it| Arc::clone(&it.1));
            let order = known.or_else(read)?;
            if let Some(same) = same {
                last = Some((same, Arc::clone(&order)));
            }
            let new = self.set_ranks(task, order);
            // Those before us were lost, maybe before they could tell the others.
            if !early && self.is_early(task, ANSWERERS) && !self.is_known(task) {
                return Some((task, self.ranks(task).to_vec()));
            }
            Some((task, new))
        });
        changed.collect()
    }
}
