//! Who may make a proof and when, and who keeps it (R4.2 to R4.4, R5.2).

use std::sync::Arc;

use super::{ANSWERERS, Round, Task};
use crate::{
    domain::{Class, Kind, LaneId, Millis, ProverId, StatementId},
    params::Params,
};

/// Who must hold a proof before it counts as delivered (R5.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Keepers {
    /// All that can be counted on: the root goes to everybody.
    Everybody,
    /// These.
    Lanes(Vec<LaneId>),
}

/// Ranks' waits for which whoever has no right leaves a task to a free lane that has it; half of
/// them where a claim has ended before and nobody failed.
const HELD_BACK_RANKS: u64 = 8;

impl Round {
    /// How many ranks follow a task: half as many for a vm proof, whose keepers are its parent's.
    pub(super) fn reach(&self, task: usize, params: &Params) -> usize {
        let spot = self.spot(task);
        match (spot.node.kind, spot.subtree()) {
            (Kind::Vm, _) => params.replicas_subtree.div_ceil(2),
            (_, Some(_)) => params.replicas_subtree,
            (_, None) => params.replicas_crown,
        }
    }

    /// The undisturbed order of a task's lanes: whoever has the right, then the deck.
    fn walk(&self, task: usize, makers: [Option<LaneId>; 2]) -> impl Iterator<Item = LaneId> {
        let spot = self.spot(task);
        let (class, i, first) = match (spot.vm(), spot.subtree()) {
            (Some(vm), _) => (Class::Vm, vm, [None, None]),
            (None, Some(it)) => (Class::Rollup, it, [self.moved.get(&it).map(|it| it.0), None]),
            (None, None) => {
                let (place, left_first) = self.deal.crown_place_of(task, spot.node);
                let [left, right] = makers;
                let first = if left_first { [left, right] } else { [right, left] };
                (Class::Rollup, place, first)
            }
        };
        let [a, b] = first;
        let second = b.filter(|&it| Some(it) != a);
        let reach = self.tasks.get(&task).map_or(0, |it| it.reach);
        let named = self.named_lanes(task, class, reach);
        let able = |it: &LaneId| !named.contains(it) && self.deal.lanes().contains_key(it);
        let able: Vec<LaneId> = a.into_iter().chain(second).filter(able).collect();
        let mut first = named.clone();
        first.extend(able);
        let rest = self.deal.read(class, i).filter(move |it| !named.contains(it));
        let rest = rest.filter(move |it| Some(*it) != a && Some(*it) != second);
        first.into_iter().chain(rest)
    }

    /// The first `reach` lanes that can be counted on; if there are fewer, the others follow. They
    /// are not shut out: if everybody able were lost, or believed the others to be alive, the task
    /// would wait for ever. Of all these, whoever failed here comes last.
    pub(super) fn first_ranks(&self, task: usize, it: &Task) -> Arc<[LaneId]> {
        let read = || self.read_ranks(task, it);
        let undisturbed = self.out.is_empty() && self.moved.is_empty() && it.failures.is_empty();
        if undisturbed && !self.is_named() {
            return self.deal.undisturbed(self.same_ranks(task).unwrap_or(task), it.makers, read);
        }
        read().into()
    }

    /// The task that stands for all with the same ranks: those of a subtree's tasks are one list,
    /// except for vm proofs, which are dealt one by one, and where somebody failed.
    pub(super) fn same_ranks(&self, task: usize) -> Option<usize> {
        let spot = self.spot(task);
        let failed = self.tasks.get(&task).is_some_and(|it| !it.failures.is_empty());
        let subtree = spot.subtree().filter(|_| spot.vm().is_none() && !failed)?;
        Some(self.layout.at(self.layout.cut.subtrees[subtree].top))
    }

    fn read_ranks(&self, task: usize, it: &Task) -> Vec<LaneId> {
        let (mut order, mut last) = (Vec::with_capacity(it.reach), Vec::new());
        for lane in self.walk(task, it.makers) {
            if !self.out.contains(&lane) {
                order.push(lane);
            } else if last.len() < it.reach {
                last.push(lane);
            }
            if it.reach <= order.len() {
                break;
            }
        }
        last.truncate(it.reach - order.len());
        order.extend(last);
        if !it.failures.is_empty() {
            order.sort_by_key(|lane| it.failures.contains(&lane.prover()));
        }
        order
    }

    /// The lanes that follow a task, best first.
    pub(super) fn ranks(&self, task: usize) -> &[LaneId] {
        self.tasks.get(&task).map(|it| &*it.order).unwrap_or_default()
    }

    /// Reads the ranks anew; gives the lanes that did not follow the task before.
    pub(crate) fn rerank(&mut self, task: usize) -> Vec<LaneId> {
        let Some(it) = self.tasks.get(&task) else { return Vec::new() };
        let order = self.first_ranks(task, it);
        self.set_ranks(task, order)
    }

    /// Takes over ranks that were read; gives the lanes that did not follow the task before.
    pub(super) fn set_ranks(&mut self, task: usize, order: Arc<[LaneId]>) -> Vec<LaneId> {
        let Some(it) = self.tasks.get(&task) else { return Vec::new() };
        let new = order.iter().copied().filter(|lane| !it.order.contains(lane)).collect();
        if order != it.order {
            if let Some(it) = self.tasks.get_mut(&task) {
                it.order = order;
            }
            self.reranked = true;
            self.reopen(task);
        }
        new
    }

    /// The crown goes by makers; the root's only child counts on both sides.
    pub(super) fn find_makers(&mut self, task: usize) {
        let maker = |child: usize| self.tasks.get(&child)?.offer().map(|(lane, _)| lane);
        let mut children = self.spot(task).children();
        let left = children.next();
        let right = children.next().or(left);
        let makers = [left.and_then(maker), right.and_then(maker)];
        let Some(it) = self.tasks.get_mut(&task).filter(|it| it.makers != makers) else { return };
        it.makers = makers;
        self.rerank(task);
    }

    /// Lanes that have the right before anybody else: the dealt one, or both makers, and one more
    /// for each further copy in the hot crown (R4.3).
    fn rights(&self, task: usize, it: &Task, params: &Params) -> usize {
        let makers = it.makers.iter().flatten().count().max(1);
        match (self.spot(task).subtree(), self.layout.is_hot(task, params)) {
            (Some(_), _) => 1,
            (None, false) => makers,
            (None, true) => makers.max(params.hot_copies),
        }
    }

    /// The lane's rank among those that follow the task. After them come those that follow a parent
    /// and wait for it; nobody else hears enough to take it. Whoever needs it now and knows that it
    /// does not exist leaves it to the first of them only: the others may not know.
    #[must_use]
    pub fn rank(&self, task: usize, lane: LaneId) -> Option<usize> {
        let it = self.tasks.get(&task)?;
        let place = |it: &Task| it.order.iter().position(|&other| other == lane);
        place(it).or_else(|| {
            let rank = match self.missing.get(&task) {
                Some(0) => return Some(it.order.len().min(ANSWERERS)),
                Some(&others) => others,
                None => {
                    let parents = self.layout.parents(task).filter_map(|it| self.tasks.get(&it));
                    parents.filter_map(place).min()?
                }
            };
            Some(it.order.len() + rank)
        })
    }

    /// Of two claims on one task, the better rank of the undisturbed deal wins everywhere.
    #[must_use]
    pub fn outranks(&self, task: usize, lane: LaneId, other: LaneId) -> bool {
        let Some(it) = self.tasks.get(&task) else { return false };
        let mut order = self.walk(task, it.makers);
        order.find(|&it| it == lane || it == other) == Some(lane)
    }

    /// When an idle lane may claim an open task: it waits `rank_wait` for every better rank that is
    /// not known to work on something else, eight of these waits more (four if a claim was left
    /// before) while a lane that has the right is free to take it (R4.3, R4.4), and as long as for
    /// inputs if it ran into a cap in this slot. In the crown all that have the right start at once;
    /// near the deadline the right is everybody's (R6).
    #[must_use]
    pub fn opens_at(&self, task: usize, lane: LaneId, params: &Params) -> Option<(Millis, usize)> {
        let it = self.tasks.get(&task)?;
        let since = it.open_since?;
        let for_all = since.max(self.open_to_all_at(task, params));
        let twice = 2 * params.p50(self.spot(task).node.kind);
        let Some(rank) = self.rank(task, lane) else {
            let last = for_all.after(twice + self.lot(task, lane) * params.rank_wait_ms);
            return Some((last.max(it.rest_until), usize::MAX));
        };
        let rights = self.rights(task, it, params);
        let able = it.order.iter().filter(|&&other| self.is_eligible(other));
        let free = |other: &LaneId| !self.is_busy(*other) && !it.holds.contains_key(other);
        let held_back = rights <= rank && able.take(rights).any(free);
        let capped = self.standing(lane).is_some_and(|it| it.capped);
        let stranger = it.order.len() <= rank && !self.missing.contains_key(&task);
        let strange = if stranger { twice } else { 0 };
        let busy = it.order.iter().take(rank).filter(|&&other| self.is_busy(other)).count();
        let together =
            if self.spot(task).subtree().is_none() { rights.saturating_sub(1) } else { 0 };
        let steps = (rank - busy).saturating_sub(together);
        let left = 0 < it.attempts && it.failures.is_empty();
        let patience = if left { HELD_BACK_RANKS / 2 } else { HELD_BACK_RANKS };
        let wait = steps as u64 * params.rank_wait_ms
            + if held_back { patience * params.rank_wait_ms } else { 0 }
            + if capped { params.inputs_wait_ms } else { 0 }
            + strange;
        let late = for_all.after(steps as u64 * params.rank_wait_ms + strange);
        let at = since.after(wait).max(self.reserved_until(task, lane, params)).min(late);
        Some((at.max(it.rest_until), rank))
    }

    /// A number below 64 by which lanes without a rank stand apart.
    fn lot(&self, task: usize, lane: LaneId) -> u64 {
        let id = self.spot(task).id.0;
        let [high, low] = lane.prover().0.to_be_bytes()[2..] else { return 0 };
        u64::from(id[usize::from(low % 32)] ^ id[usize::from(high % 32)] ^ low) % 64
    }

    /// Whether the lane's class may make the proof: of a quarantined task only the larger class.
    #[must_use]
    pub fn can_prove(&self, task: usize, class: Class, params: &Params) -> bool {
        let able = self.spot(task).node.kind.class().is_some_and(|it| Params::can_prove(class, it));
        let poison = self.tasks.get(&task).is_some_and(|it| it.is_quarantined(params));
        able && (!poison || class == Class::Vm)
    }

    /// Lanes that should hold a proof of `task`: whoever has the right to a parent, and the ranks
    /// that follow that parent (R5.2).
    pub(crate) fn keepers(&mut self, now: Millis, task: usize, params: &Params) -> Keepers {
        if self.root() == task {
            return Keepers::Everybody;
        }
        let layout = Arc::clone(&self.layout);
        let mut keepers = Vec::new();
        for parent in layout.parents(task) {
            self.track(now, parent, params);
            if self.spot(parent).subtree().is_none() && !self.is_known(parent) {
                self.find_makers(parent);
            }
            let order = self.ranks(parent);
            keepers.extend(order.iter().copied().filter(|&it| self.is_alive(it)));
        }
        keepers.sort_unstable();
        keepers.dedup();
        Keepers::Lanes(keepers)
    }

    /// Whether everybody who should hold a proof said so, as far as we heard.
    #[must_use]
    pub fn is_delivered(&self, task: usize, maker: LaneId, statement: StatementId) -> bool {
        let Some(it) = self.tasks.get(&task) else { return false };
        let holds = |lane: LaneId| {
            lane.prover() == maker.prover() || it.holds_copy(statement, lane.prover())
        };
        let alive = |lane: &LaneId| self.is_alive(*lane);
        if self.root() == task {
            return self.deal.lanes().keys().copied().filter(alive).all(holds);
        }
        let parents = self.layout.parents(task).filter_map(|it| self.tasks.get(&it));
        parents.flat_map(|it| it.order.iter().copied()).filter(alive).all(holds)
    }

    /// Whether a proof may have died with its maker, and we are among the first who would make it
    /// again: they look for a copy, because those who keep it may never have heard of it.
    pub(crate) fn is_orphan(&self, task: usize, maker: LaneId) -> bool {
        let needed = self.layout.parents(task).any(|it| self.known_above(it).is_none());
        needed && !self.is_alive(maker) && self.is_early(task, ANSWERERS)
    }

    /// Whether one of our lanes should hold a proof of the task. Those that follow a vm proof hold
    /// one too: whoever finds that it does not exist may not be able to make it.
    pub(crate) fn is_keeper(&self, task: usize) -> bool {
        if self.root() == task {
            return !self.own.is_empty();
        }
        if self.spot(task).vm().is_some() && self.place(task) < usize::MAX {
            return true;
        }
        let ours = |parent: usize| {
            let order = self.ranks(parent);
            order.iter().any(|&it| self.is_own(it))
        };
        self.layout.parents(task).any(ours)
    }

    /// Provers that follow a task, without ourselves.
    pub(crate) fn followers(&self, task: usize) -> Vec<ProverId> {
        let order = self.ranks(task);
        let others = order.iter().filter(|&&it| !self.is_own(it) && self.is_alive(it));
        others.map(|it| it.prover()).collect()
    }

    /// Whom a claim of ours concerns: those who follow the task; its parents' followers too if we
    /// do not follow it ourselves.
    pub(crate) fn claim_followers(&self, task: usize) -> Vec<ProverId> {
        let mut to = self.followers(task);
        if !self.is_early(task, usize::MAX) {
            to.extend(self.layout.parents(task).flat_map(|it| self.followers(it)));
        }
        to.extend(self.above_moved(task));
        to
    }

    /// Followers of the crown task above a subtree that we follow only because others were lost:
    /// they know whether it is finished when nobody else who knows is left.
    pub(crate) fn above_moved(&self, task: usize) -> Vec<ProverId> {
        let Some(subtree) = self.spot(task).subtree() else { return Vec::new() };
        let early = |(lane, _): &(LaneId, Class)| {
            self.deal.early(*lane).is_some_and(|it| match self.spot(task).vm() {
                Some(vm) => it.vms.binary_search(&vm).is_ok(),
                None => it.subtrees.binary_search(&subtree).is_ok(),
            })
        };
        if self.own.iter().any(early) {
            return Vec::new();
        }
        let top = self.layout.at(self.layout.cut.subtrees[subtree].top);
        let above = self.layout.parents(top).chain(self.layout.parents(task));
        above.flat_map(|it| self.followers(it)).collect()
    }

    /// Whether a lane of ours is one of the first `count` that follow the task.
    pub(crate) fn is_early(&self, task: usize, count: usize) -> bool {
        self.place(task) < count
    }

    /// Lanes that follow the task before the first of ours; `usize::MAX` if none of ours does.
    pub(crate) fn place(&self, task: usize) -> usize {
        let order = self.ranks(task);
        order.iter().position(|&it| self.is_own(it)).unwrap_or(usize::MAX)
    }

    /// The hedger carries on with the rest of the subtree (R5.4).
    pub(crate) fn move_subtree(&mut self, task: usize, lane: LaneId) {
        let Some(subtree) = self.spot(task).subtree() else { return };
        if self.spot(task).vm().is_some() || self.moved.contains_key(&subtree) {
            return;
        }
        self.moved.insert(subtree, (lane, task));
        self.rerank_subtree(subtree);
    }

    /// A hedge that ended without a proof moves nothing: the other lane was quicker after all, or
    /// its proof had long been made and the hedger alone did not know.
    pub(super) fn move_back(&mut self, task: usize) {
        let Some(subtree) = self.spot(task).subtree() else { return };
        let Some(&(lane, at)) = self.moved.get(&subtree) else { return };
        let made = |it: &Task| it.holds.contains_key(&lane) || it.offers.contains_key(&lane);
        if at == task && !self.tasks.get(&task).is_some_and(made) {
            self.moved.remove(&subtree);
            self.rerank_subtree(subtree);
        }
    }

    fn rerank_subtree(&mut self, subtree: usize) {
        let layout = Arc::clone(&self.layout);
        for &place in &layout.cut.subtrees[subtree].nodes {
            self.rerank(layout.at(place));
        }
    }
}
