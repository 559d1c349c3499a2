//! What the leader's word and the nearness of the deadline change about ranks (R2.6, R6.3, R14).

use super::{Round, Task};
use crate::{
    domain::{Class, LaneId, Millis, ProverId},
    params::Params,
    slot::{
        naming::{First, Naming},
        phase::opens_at,
    },
};

impl Round {
    /// Takes the leader's word. Who is named follows the whole block.
    pub(crate) fn name(&mut self, now: Millis, naming: Naming, params: &Params) {
        if self.naming == naming {
            return;
        }
        self.naming = naming;
        self.graced = false;
        self.by_name.clear();
        if let Naming::Named(named) = naming {
            self.timers.insert((self.grace_over(), self.root()));
            self.note_names();
            self.follow_all(now, named, params);
        }
        self.rerank_followed();
    }

    /// What was heard before the name was known.
    fn note_names(&mut self) {
        let lanes = |it: &Task| it.holds.keys().chain(it.offers.keys()).copied().collect();
        let heard: Vec<(usize, Vec<LaneId>)> =
            self.tasks.iter().map(|(task, it)| (task, lanes(it))).collect();
        for (task, lane) in
            heard.iter().flat_map(|(task, all)| all.iter().map(move |it| (task, it)))
        {
            self.note_name(*task, *lane);
        }
    }

    /// If we are named, every subtree is ours.
    fn follow_all(&mut self, now: Millis, named: ProverId, params: &Params) {
        if self.own.first().is_none_or(|(own, _)| own.prover() != named) {
            return;
        }
        let inside = |it: &usize| self.spot(*it).subtree().is_some();
        let tasks: Vec<usize> = (0..self.layout.spots.len()).filter(inside).collect();
        for task in tasks {
            self.track(now, task, params);
        }
    }

    /// The first instant at which a subtree without a claim under the name is the deal's again.
    const fn grace_over(&self) -> Millis {
        Millis(self.windows.grace_s * 1_000 + 1)
    }

    /// The grace is over: subtrees in which no named lane was heard fall back to the deal.
    pub(crate) fn end_grace(&mut self, now: Millis) {
        if !self.graced && matches!(self.naming, Naming::Named(_)) && self.grace_over() <= now {
            self.graced = true;
            self.rerank_followed();
        }
    }

    fn rerank_followed(&mut self) {
        let tasks = self.tasks.select(|_| true);
        for task in tasks {
            self.rerank(task);
            self.dirty.insert(task);
        }
    }

    /// A lane works on the task: under the name, its subtree stays the name's.
    pub(super) fn note_name(&mut self, task: usize, lane: LaneId) {
        if self.naming == Naming::Named(lane.prover()) {
            self.by_name.extend(self.spot(task).subtree());
        }
    }

    /// Whether somebody was named, or declared that it proves alone.
    pub(super) fn is_named(&self) -> bool {
        self.naming != Naming::Nobody
    }

    /// Whose lanes come before the deal's in the task's ranks.
    pub(super) fn first_named(&self, task: usize) -> Option<ProverId> {
        let subtree = self.spot(task).subtree()?;
        let at = if self.graced { Millis(u64::MAX) } else { Millis(0) };
        match self.naming.first(&self.windows, at, self.by_name.contains(&subtree)) {
            First::Name(prover) => Some(prover),
            First::Deal | First::Nobody => None,
        }
    }

    /// The named prover's lanes that come first for a task: others must follow it too, so each
    /// subtree has a few of them, the next one others.
    pub(super) fn named_lanes(&self, task: usize, class: Class, reach: usize) -> Vec<LaneId> {
        let Some(named) = self.first_named(task) else { return Vec::new() };
        let all = LaneId::new(named, 0)..=LaneId::new(named, u16::MAX);
        let able = self.deal.lanes().range(all).filter(|(_, it)| Params::can_prove(**it, class));
        let mut lanes: Vec<LaneId> = able.map(|(&lane, _)| lane).collect();
        let turn = self.spot(task).subtree().and_then(|it| it.checked_rem(lanes.len()));
        lanes.rotate_left(turn.unwrap_or(0));
        lanes.truncate(reach.div_ceil(2));
        lanes
    }

    /// From when on everybody may take the task, whatever the ranks (R6.3).
    pub(crate) fn open_to_all_at(&self, task: usize, params: &Params) -> Millis {
        opens_at(params, &self.windows, self.spot(task).way_ms)
    }

    /// From when on lanes without a rank may take the task, for all that its place says.
    pub(crate) fn stranger_at(&self, task: usize, params: &Params) -> Millis {
        self.open_to_all_at(task, params).after(2 * params.p50(self.spot(task).node.kind))
    }

    /// Until when somebody else has the task to itself.
    pub(super) fn reserved_until(&self, task: usize, lane: LaneId, params: &Params) -> Millis {
        match self.naming {
            Naming::Alone(leader) if leader != lane.prover() => self.open_to_all_at(task, params),
            Naming::Named(named) if named != lane.prover() && !self.graced => {
                self.spot(task).subtree().map_or(Millis(0), |_| self.grace_over())
            }
            Naming::Nobody | Naming::Alone(_) | Naming::Named(_) => Millis(0),
        }
    }

    /// Tasks below this one whose proofs do not exist and that our lanes follow with it, with the
    /// number of lanes before us: all that one of them missed, and near the deadline whole subtrees
    /// below a crown task that they follow.
    pub(super) fn followed_below(
        &self,
        now: Millis,
        task: usize,
        params: &Params,
    ) -> Vec<(usize, usize)> {
        let missed = self.missing.get(&task).copied();
        let crown = self.spot(task).subtree().is_none();
        let ours = |it: &LaneId| self.is_own(*it);
        let place = || self.tasks.get(&task)?.order.iter().position(ours).map(|it| it + 1);
        let late = |it: usize| {
            crown && self.spot(it).subtree().is_some() && self.open_to_all_at(it, params) <= now
        };
        let children = self.spot(task).children().filter(|&it| !self.is_known(it));
        let new = children.filter(|it| !self.missing.contains_key(it));
        let others = |it: usize| missed.or_else(|| late(it).then(place).flatten());
        new.filter_map(|it| Some((it, others(it)?))).collect()
    }
}
