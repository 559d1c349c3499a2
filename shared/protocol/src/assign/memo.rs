//! What machines of one process compute once: layouts of blocks, deals of slots, sets of lanes.
//!
//! Everything in it is a function of its key, so a memo changes no result; a simulated network of
//! thousands needs it, and an agent with one machine loses nothing by it.

#[expect(
    clippy::disallowed_types,
    reason = "machines of several threads share it; whoever is first computes what all would"
)]
use std::sync::Mutex;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use super::Deal;
use crate::{
    chain::Registry,
    domain::{Hash, LaneId},
    io::{BlockPlan, PlannedTask},
    params::Params,
    tree::layout::Layout,
};

/// Entries of one kind: twice the slots that can be at work at once.
const ENTRIES_MAX: usize = 32;

/// Values by key; when it is full it starts anew.
#[expect(clippy::disallowed_types, reason = "see above: a lock changes no result")]
#[derive(Debug)]
struct Shelf<K, V>(Mutex<BTreeMap<K, V>>);

impl<K, V> Default for Shelf<K, V> {
    #[expect(clippy::disallowed_types, reason = "see above: a lock changes no result")]
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<K: Ord, V: Clone> Shelf<K, V> {
    fn find(&self, key: &K) -> Option<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn get(&self, key: K, make: impl FnOnce() -> V) -> V {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = shelf.get(&key) {
            return found.clone();
        }
        let value = make();
        if ENTRIES_MAX <= shelf.len() {
            shelf.clear();
        }
        shelf.insert(key, value.clone());
        value
    }
}

/// A plan and its layout. The plan is kept so that its address stays its own.
type Laid = (BlockPlan, Option<Arc<Layout>>);

/// The shared memory of machines with the same parameters.
#[derive(Debug, Default)]
pub struct Memo {
    layouts: Shelf<(usize, usize), Laid>,
    deals: Shelf<Hash, Arc<Deal>>,
    registries: Shelf<Hash, Arc<Registry>>,
}

impl Memo {
    /// The layout of a plan; plans are told apart by where they lie in memory.
    pub(crate) fn layout(&self, plan: &BlockPlan, params: &Params) -> Option<Arc<Layout>> {
        let tasks: &[PlannedTask] = &plan.tasks;
        let key = (tasks.as_ptr().addr(), plan.calls.as_ptr().addr());
        let make = || {
            let layout = Layout::new(&plan.calls, &plan.tasks, params);
            (plan.clone(), layout.map(Arc::new))
        };
        self.layouts.get(key, make).1
    }

    /// The registry as of the block with this hash, if a machine made it already.
    pub(crate) fn known_registry(&self, key: Hash) -> Option<Arc<Registry>> {
        self.registries.find(&key)
    }

    /// The registry as of the block with this hash: the first one that was made.
    pub(crate) fn registry(&self, key: Hash, made: &Arc<Registry>) -> Arc<Registry> {
        self.registries.get(key, || Arc::clone(made))
    }

    /// The deal with this key, which names everything that it is made from.
    pub(crate) fn deal(&self, key: Hash, make: impl FnOnce() -> Deal) -> Arc<Deal> {
        self.deals.get(key, || Arc::new(make()))
    }
}

/// Ranks with the makers that they stand behind.
type Ranks = ([Option<LaneId>; 2], Arc<[LaneId]>);

/// What machines read about one task.
#[derive(Debug, Default)]
struct TaskRead {
    place: Option<(usize, bool)>,
    ranks: Vec<Ranks>,
}

/// Places and first ranks of a deal's tasks, as machines read them. All of it follows from the
/// deal, so any two of them are equal.
#[expect(clippy::disallowed_types, reason = "see above: a lock changes no result")]
#[derive(Debug, Default)]
pub(super) struct Read(Mutex<Vec<TaskRead>>);

impl Read {
    /// The ranks of a task behind these makers.
    pub(super) fn ranks(
        &self,
        task: usize,
        makers: [Option<LaneId>; 2],
        read: impl FnOnce() -> Vec<LaneId>,
    ) -> Arc<[LaneId]> {
        let found = |it: &mut TaskRead| {
            let same = it.ranks.iter().find(|it| it.0 == makers);
            same.map(|it| Arc::clone(&it.1))
        };
        if let Some(ranks) = self.with(task, found) {
            return ranks;
        }
        let ranks: Arc<[LaneId]> = read().into();
        self.with(task, |it| {
            if it.ranks.len() < ENTRIES_MAX {
                it.ranks.push((makers, Arc::clone(&ranks)));
            }
        });
        ranks
    }

    /// The place of a crown task in the deck.
    pub(super) fn place(&self, task: usize, read: impl FnOnce() -> (usize, bool)) -> (usize, bool) {
        self.with(task, |it| *it.place.get_or_insert_with(read))
    }

    fn with<T>(&self, task: usize, look: impl FnOnce(&mut TaskRead) -> T) -> T {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.len() <= task {
            tasks.resize_with(task + 1, TaskRead::default);
        }
        look(&mut tasks[task])
    }
}

impl Clone for Read {
    fn clone(&self) -> Self {
        Self::default()
    }
}
impl PartialEq for Read {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Read {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_per_key() {
        let shelf = Shelf::default();
        let mut made = Vec::new();
        for key in [1, 2, 1, 2, 3] {
            let value = shelf.get(key, || {
                made.push(key);
                key * 10
            });
            assert_eq!(value, key * 10);
        }
        assert_eq!(made, [1, 2, 3]);
    }

    #[test]
    fn a_full_shelf_starts_anew_and_forgets_nothing_wrong() {
        let shelf = Shelf::default();
        for key in 0..3 * ENTRIES_MAX {
            assert_eq!(shelf.get(key, || key + 1), key + 1);
        }
        assert!(shelf.0.lock().unwrap().len() <= ENTRIES_MAX);
    }
}
