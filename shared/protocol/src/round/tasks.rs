//! The tasks that a round follows, found by their number in the layout.
//!
//! A step looks up dozens of them among thousands, so they lie in one list with an open table of
//! places over it. Nothing is taken out; walks go by number, as in the tree.

use super::Task;

const NONE: u32 = u32::MAX;

/// Tasks by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tasks {
    all: Vec<(u32, Task)>,
    /// Numbers with their places in `all`; a power of two of them, at most half of them taken.
    table: Vec<(u32, u32)>,
}

const FREE: (u32, u32) = (NONE, NONE);

impl Tasks {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), table: vec![FREE; 64] }
    }

    const fn start(&self, number: u32) -> usize {
        // Neighbours in the tree are neighbours here; subtrees stand apart by much.
        let mixed = number.wrapping_mul(0x9e37_79b1);
        (mixed.rotate_left(15) ^ number) as usize & (self.table.len() - 1)
    }

    /// The place in the table where the number is, or would be.
    fn slot(&self, number: u32) -> usize {
        let mut at = self.start(number);
        while self.table[at] != FREE && self.table[at].0 != number {
            at = (at + 1) & (self.table.len() - 1);
        }
        at
    }
    fn find(&self, task: usize) -> Option<usize> {
        let (_, place) = self.table[self.slot(u32::try_from(task).ok()?)];
        (place != NONE).then_some(place as usize)
    }

    pub(super) fn get(&self, task: &usize) -> Option<&Task> {
        self.find(*task).map(|it| &self.all[it].1)
    }
    pub(super) fn get_mut(&mut self, task: &usize) -> Option<&mut Task> {
        self.find(*task).map(|it| &mut self.all[it].1)
    }
    pub(super) fn contains_key(&self, task: &usize) -> bool {
        self.find(*task).is_some()
    }

    /// The task, which begins here if it was not there.
    pub(super) fn or_insert(&mut self, task: usize, new: impl FnOnce() -> Task) -> &mut Task {
        let number = u32::try_from(task).unwrap_or(NONE);
        let mut slot = self.slot(number);
        if self.table[slot] == FREE {
            if self.table.len() <= 2 * self.all.len() {
                self.grow();
                slot = self.slot(number);
            }
            self.table[slot] = (number, u32::try_from(self.all.len()).unwrap_or(NONE));
            if self.all.len() == self.all.capacity() {
                self.all.reserve_exact((self.all.len() / 4).max(16));
            }
            self.all.push((number, new()));
        }
        &mut self.all[self.table[slot].1 as usize].1
    }

    fn grow(&mut self) {
        self.table = vec![FREE; 4 * self.table.len()];
        for place in 0..self.all.len() {
            let number = self.all[place].0;
            let slot = self.slot(number);
            self.table[slot] = (number, u32::try_from(place).unwrap_or(NONE));
        }
    }

    /// Those that fit, in tree order.
    pub(super) fn select(&self, fits: impl Fn(&Task) -> bool) -> Vec<usize> {
        let found = self.all.iter().filter(|(_, it)| fits(it));
        let mut found: Vec<usize> = found.map(|(number, _)| *number as usize).collect();
        found.sort_unstable();
        found
    }
    /// All of them in tree order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Task)> {
        let mut order: Vec<&(u32, Task)> = self.all.iter().collect();
        order.sort_unstable_by_key(|it| it.0);
        order.into_iter().map(|(number, task)| (*number as usize, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Millis;

    #[test]
    fn every_number_finds_its_own_task() {
        let mut tasks = Tasks::new();
        let numbers: Vec<usize> = (0..3_000).map(|it| it * 7919 % 400_000).collect();
        for &number in &numbers {
            assert!(!tasks.contains_key(&number));
            tasks.or_insert(number, || Task::new(Millis(0))).attempts = number as u32;
        }
        assert!(numbers.iter().all(|it| tasks.get(it).unwrap().attempts as usize == *it));
        assert_eq!(tasks.or_insert(0, || panic!("it is there")).attempts, 0);
        tasks.get_mut(&7919).unwrap().reach = 5;
        assert!(tasks.get(&400_000).is_none());
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert!(tasks.iter().map(|it| it.0).eq(sorted));
        assert_eq!(tasks.select(|it| it.reach == 5), [7919]);
    }
}
