//! The lanes of a crowd and what waits for them: own work first, then the longest way (R4.4).

use std::collections::{BTreeSet, BinaryHeap};

use protocol::{Class, LaneId, Millis};

/// A task that waits: its remaining way in milliseconds, then its place (the first first).
type Waiting = (u64, core::cmp::Reverse<usize>);

/// One lane.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) id: LaneId,
    pub(super) class: Class,
    /// The place it works on.
    pub(super) busy: Option<usize>,
    pub(super) since: Millis,
    pub(super) alive: bool,
    /// What it was dealt and could not begin yet.
    queue: BinaryHeap<Waiting>,
}

/// All lanes, with the tasks that are open to whoever is free.
#[derive(Debug, Default)]
pub(super) struct Hands {
    pub(super) all: Vec<Hand>,
    /// Idle lanes of class rollup, and of class vm.
    idle: [BTreeSet<usize>; 2],
    /// Open tasks of class rollup, and of class vm.
    open: [BinaryHeap<Waiting>; 2],
}

impl Hands {
    /// Lanes of provers with `each` of them, half of class vm.
    pub(super) fn new(count: usize, each: usize) -> Self {
        let hand = |lane: usize| {
            let number = u16::try_from(lane % each).unwrap_or(0);
            let prover = protocol::ProverId(u32::try_from(lane / each).unwrap_or(u32::MAX));
            Hand {
                id: LaneId::new(prover, number),
                class: if lane % each < each / 2 { Class::Rollup } else { Class::Vm },
                busy: None,
                since: Millis(0),
                alive: true,
                queue: BinaryHeap::new(),
            }
        };
        Self { all: (0..count).map(hand).collect(), ..Self::default() }
    }

    /// Everybody is there and free: a new block begins.
    pub(super) fn rest(&mut self, now: Millis) {
        self.open = <[BinaryHeap<Waiting>; 2]>::default();
        self.idle = <[BTreeSet<usize>; 2]>::default();
        for (lane, hand) in self.all.iter_mut().enumerate() {
            (hand.busy, hand.since, hand.alive) = (None, now, true);
            hand.queue.clear();
            self.idle[class(hand.class)].insert(lane);
        }
    }

    /// The lane that begins a task at once: the one it is dealt to, else any that can and is free.
    pub(super) fn free_for(&self, owner: usize, task: Class) -> Option<usize> {
        let can = |lane: usize| task == Class::Rollup || self.all[lane].class == Class::Vm;
        if self.all[owner].alive && self.all[owner].busy.is_none() && can(owner) {
            return Some(owner);
        }
        let rollup = self.idle[0].first().filter(|_| task == Class::Rollup);
        rollup.or_else(|| self.idle[1].first()).copied()
    }

    /// A task waits for its owner, and for whoever is free before.
    pub(super) fn wait(&mut self, owner: usize, task: Class, way: u64, place: usize) {
        let waiting = (way, core::cmp::Reverse(place));
        self.all[owner].queue.push(waiting);
        self.open[class(task)].push(waiting);
    }

    /// A lane begins.
    pub(super) fn begin(&mut self, lane: usize, place: usize, now: Millis) {
        let hand = &mut self.all[lane];
        (hand.busy, hand.since) = (Some(place), now);
        self.idle[class(hand.class)].remove(&lane);
    }

    /// A lane is free: the next task for it of those that `is_ready` still.
    pub(super) fn next(
        &mut self,
        lane: usize,
        now: Millis,
        is_ready: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let hand = &mut self.all[lane];
        (hand.busy, hand.since) = (None, now);
        while let Some((_, core::cmp::Reverse(place))) = hand.queue.pop() {
            if is_ready(place) {
                return Some(place);
            }
        }
        let classes = if hand.class == Class::Vm { 2 } else { 1 };
        for open in &mut self.open[..classes] {
            while open.peek().is_some_and(|(_, place)| !is_ready(place.0)) {
                open.pop();
            }
        }
        let longest = (0..classes).max_by_key(|it| self.open[*it].peek().map(|task| task.0));
        let found = longest.and_then(|it| self.open[it].pop());
        if found.is_none() {
            self.idle[classes - 1].insert(lane);
        }
        found.map(|(_, place)| place.0)
    }

    /// A lane stops until the next block; gives what it was working on.
    pub(super) fn stop(&mut self, lane: usize) -> Option<usize> {
        let hand = &mut self.all[lane];
        hand.alive = false;
        self.idle[class(hand.class)].remove(&lane);
        hand.busy.take()
    }
}

const fn class(class: Class) -> usize {
    match class {
        Class::Rollup => 0,
        Class::Vm => 1,
    }
}
