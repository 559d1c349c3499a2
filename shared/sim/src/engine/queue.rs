//! The event queue: time order first, insertion order second. Nothing else may break a tie.
//!
//! One list per millisecond for the next [`NEAR_MS`], a map of lists for what is later. All lists
//! lie in one pool whose places are used again, so that beats and messages, which are nearly
//! everything, touch little memory.

use std::collections::BTreeMap;

use protocol::Millis;

/// Width of the near lists in milliseconds: three beats of five seconds. A power of two.
const NEAR_MS: u64 = 16_384;
const WORDS: usize = (NEAR_MS / 64) as usize;
const NONE: u32 = u32::MAX;

/// Events of one instant: the first and the last one's place in the pool.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NONE, last: NONE };

struct Place<E> {
    event: Option<E>,
    next: u32,
}

/// Events waiting for their time.
pub(crate) struct Queue<E> {
    /// The instant whose events are being handed out.
    now: u64,
    /// Events of `now`, those that were pushed while others were handed out at the end.
    current: List,
    near: Vec<List>,
    /// One bit per near list that is not empty.
    filled: Vec<u64>,
    far: BTreeMap<u64, List>,
    pool: Vec<Place<E>>,
    /// The first free place of the pool.
    free: u32,
}

const fn place(at: u64) -> usize {
    (at % NEAR_MS) as usize
}

impl<E> Queue<E> {
    /// An empty queue that begins at this instant.
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            now: now.0,
            current: EMPTY,
            near: vec![EMPTY; place(NEAR_MS - 1) + 1],
            filled: vec![0; WORDS],
            far: BTreeMap::new(),
            pool: Vec::new(),
            free: NONE,
        }
    }

    /// Schedules `event`; what should have happened already happens now.
    pub(crate) fn push(&mut self, at: Millis, event: E) {
        let at = at.0.max(self.now);
        let number = self.keep(event);
        let list = if at == self.now {
            &mut self.current
        } else if at - self.now < NEAR_MS {
            let place = place(at);
            self.filled[place / 64] |= 1 << (place % 64);
            &mut self.near[place]
        } else {
            self.far.entry(at).or_insert(EMPTY)
        };
        if list.first == NONE {
            list.first = number;
        } else {
            self.pool[list.last as usize].next = number;
        }
        list.last = number;
    }

    /// Puts an event into the pool.
    fn keep(&mut self, event: E) -> u32 {
        let new = Place { event: Some(event), next: NONE };
        let number = self.free;
        if let Some(place) = self.pool.get_mut(number as usize) {
            self.free = place.next;
            *place = new;
            return number;
        }
        self.pool.push(new);
        u32::try_from(self.pool.len() - 1).unwrap_or(NONE)
    }

    /// The earliest event.
    pub(crate) fn pop(&mut self) -> Option<(Millis, E)> {
        if self.current.first == NONE {
            self.advance()?;
        }
        let number = self.current.first;
        let place = &mut self.pool[number as usize];
        let event = place.event.take()?;
        self.current.first = core::mem::replace(&mut place.next, self.free);
        self.free = number;
        Some((Millis(self.now), event))
    }

    /// Goes to the next instant that has events. What was pushed from afar came first.
    fn advance(&mut self) -> Option<()> {
        let next = self.next_at()?.0;
        assert!(self.now < next, "time never goes back");
        self.now = next;
        let place = place(next);
        let near = core::mem::replace(&mut self.near[place], EMPTY);
        self.filled[place / 64] &= !(1 << (place % 64));
        self.current = match self.far.remove(&next) {
            None => near,
            Some(far) if near.first == NONE => far,
            Some(far) => {
                self.pool[far.last as usize].next = near.first;
                List { first: far.first, last: near.last }
            }
        };
        Some(())
    }

    /// When the earliest event is due.
    pub(crate) fn next_at(&self) -> Option<Millis> {
        if self.current.first != NONE {
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
