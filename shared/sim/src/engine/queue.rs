//! The event queue: time order first, insertion order second. Nothing else may break a tie.
//!
//! One bucket per millisecond for the next [`NEAR_MS`], a map of buckets for what is later. Beats
//! and messages, which are nearly everything, cost one push into a vector each.

use std::collections::BTreeMap;

use protocol::Millis;

/// Width of the near buckets in milliseconds: three beats of five seconds. A power of two.
const NEAR_MS: u64 = 16_384;
const WORDS: usize = (NEAR_MS / 64) as usize;
/// Room that an emptied bucket keeps; a burst's is given back.
const ROOM_KEPT: usize = 256;

/// Events waiting for their time.
pub(crate) struct Queue<E> {
    /// The instant whose events are being handed out.
    now: u64,
    /// Events of `now` that are still to be handed out, last one first.
    current: Vec<E>,
    /// Pushed for `now` while its events were handed out.
    fresh: Vec<E>,
    near: Vec<Vec<E>>,
    /// One bit per near bucket that is not empty.
    filled: Vec<u64>,
    far: BTreeMap<u64, Vec<E>>,
}

const fn place(at: u64) -> usize {
    (at % NEAR_MS) as usize
}

impl<E> Queue<E> {
    /// An empty queue that begins at this instant.
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            now: now.0,
            current: Vec::new(),
            fresh: Vec::new(),
            near: (0..NEAR_MS).map(|_| Vec::new()).collect(),
            filled: vec![0; WORDS],
            far: BTreeMap::new(),
        }
    }

    /// Schedules `event`; what should have happened already happens now.
    pub(crate) fn push(&mut self, at: Millis, event: E) {
        let at = at.0.max(self.now);
        if at == self.now {
            self.fresh.push(event);
        } else if at - self.now < NEAR_MS {
            let place = place(at);
            self.near[place].push(event);
            self.filled[place / 64] |= 1 << (place % 64);
        } else {
            self.far.entry(at).or_default().push(event);
        }
    }

    /// The earliest event.
    pub(crate) fn pop(&mut self) -> Option<(Millis, E)> {
        loop {
            if let Some(event) = self.current.pop() {
                return Some((Millis(self.now), event));
            }
            if !self.fresh.is_empty() {
                core::mem::swap(&mut self.current, &mut self.fresh);
                self.current.reverse();
                continue;
            }
            self.advance()?;
        }
    }

    /// Goes to the next instant that has events. What was pushed from afar came first.
    fn advance(&mut self) -> Option<()> {
        let next = self.next_at()?.0;
        assert!(self.now < next, "time never goes back");
        self.now = next;
        let place = place(next);
        self.current.shrink_to(ROOM_KEPT);
        if let Some(far) = self.far.remove(&next) {
            self.current.extend(far);
        }
        self.current.append(&mut self.near[place]);
        self.near[place].shrink_to(ROOM_KEPT);
        self.filled[place / 64] &= !(1 << (place % 64));
        self.current.reverse();
        Some(())
    }

    /// When the earliest event is due.
    pub(crate) fn next_at(&self) -> Option<Millis> {
        if !self.current.is_empty() || !self.fresh.is_empty() {
            return Some(Millis(self.now));
        }
        let far = self.far.first_key_value().map(|(&at, _)| at);
        let near = self.next_near();
        near.into_iter().chain(far).min().map(Millis)
    }

    /// The first filled bucket after `now`, in circular order.
    fn next_near(&self) -> Option<u64> {
        let start = place(self.now + 1);
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mask = match step {
                0 => u64::MAX << (start % 64),
                WORDS => !(u64::MAX << (start % 64)),
                _ => u64::MAX,
            };
            let bits = self.filled[word] & mask;
            if bits != 0 {
                let found = word as u64 * 64 + u64::from(bits.trailing_zeros());
                return Some(self.now + 1 + (found + NEAR_MS - start as u64) % NEAR_MS);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::Rng;

    #[test]
    fn time_goes_first_then_the_order_of_insertion() {
        let mut queue = Queue::new(Millis(0));
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (1, "b"), (90_000, "e")] {
            queue.push(Millis(at), name);
        }
        assert_eq!(queue.next_at(), Some(Millis(1)));
        let order: Vec<&str> = core::iter::from_fn(|| queue.pop()).map(|(_, it)| it).collect();
        assert_eq!(order, ["a", "b", "c", "d", "e"]);
        assert_eq!(queue.next_at(), None);
    }

    #[test]
    fn what_is_due_at_once_follows_what_is_due_already() {
        let mut queue = Queue::new(Millis(7));
        queue.push(Millis(8), 1);
        queue.push(Millis(8), 2);
        assert_eq!(queue.pop(), Some((Millis(8), 1)));
        queue.push(Millis(8), 3);
        queue.push(Millis(2), 4);
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop()].map(|it| it.map(|it| it.1)),
            [Some(2), Some(3), Some(4)]
        );
    }

    /// Against a plain sorted list, with pushes between pops and times near and far.
    #[test]
    fn it_is_a_stable_sort_by_time() {
        let (mut rng, mut queue) = (Rng::new(5), Queue::new(Millis(1_000)));
        let (mut plain, mut now) = (Vec::<(u64, u64)>::new(), 1_000);
        for number in 0..20_000_u64 {
            let reach = [3, 900, 16_383, 16_384, 80_000][rng.index(5)];
            let at = now + rng.between(0, reach);
            queue.push(Millis(at), number);
            plain.push((at, number));
            if rng.chance(480) {
                let first = (0..plain.len()).min_by_key(|&it| plain[it]).unwrap();
                let wanted = plain.swap_remove(first);
                assert_eq!(queue.next_at(), Some(Millis(wanted.0)));
                assert_eq!(queue.pop().map(|(at, it)| (at.0, it)), Some(wanted));
                now = wanted.0;
            }
        }
        plain.sort_unstable();
        let rest: Vec<(u64, u64)> =
            core::iter::from_fn(|| queue.pop()).map(|(at, it)| (at.0, it)).collect();
        assert_eq!(rest, plain);
    }
}
