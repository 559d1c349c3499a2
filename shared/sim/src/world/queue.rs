//! The event queue: time order first, insertion order second. Nothing else may break a tie.

use std::collections::BTreeMap;

use protocol::Millis;

/// Events waiting for their time.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    events: BTreeMap<(Millis, u64), E>,
    pushed: u64,
}

impl<E> Queue<E> {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self { events: BTreeMap::new(), pushed: 0 }
    }

    /// Schedules `event`.
    pub(crate) fn push(&mut self, at: Millis, event: E) {
        self.pushed += 1;
        self.events.insert((at, self.pushed), event);
    }

    /// The earliest event.
    pub(crate) fn pop(&mut self) -> Option<(Millis, E)> {
        let ((at, _), event) = self.events.pop_first()?;
        Some((at, event))
    }

    /// When the earliest event is due.
    pub(crate) fn next_at(&self) -> Option<Millis> {
        self.events.first_key_value().map(|(&(at, _), _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_first_then_the_order_of_insertion() {
        let mut queue = Queue::new();
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (1, "b")] {
            queue.push(Millis(at), name);
        }
        assert_eq!(queue.next_at(), Some(Millis(1)));
        let order: Vec<&str> = core::iter::from_fn(|| queue.pop()).map(|(_, it)| it).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
        assert_eq!(queue.next_at(), None);
    }
}
