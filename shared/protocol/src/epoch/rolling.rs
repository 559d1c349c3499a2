//! The rolling deal: nobody is dealt twice in an epoch before everybody was dealt once (R4.2).
//!
//! How often a lane was dealt follows from the earlier slots of the epoch by their deal seeds and
//! numbers of txs, both of which L1 knows; a slot deals the first `txs` places of each class's
//! deck, whatever its cut. Times of two lanes of a class therefore never differ by more than one.

use std::collections::BTreeMap;

use crate::domain::{Hash, LaneId};

/// The deck with lanes dealt fewest times first; among equals the shuffle's order stays.
#[must_use]
pub fn rolled(mut deck: Vec<LaneId>, times: impl Fn(LaneId) -> u32) -> Vec<LaneId> {
    deck.sort_by_key(|&lane| times(lane));
    deck
}

/// How often each lane of one class was dealt in the epoch so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rolling {
    times: BTreeMap<LaneId, u32>,
}

impl Rolling {
    /// Nothing dealt yet, to the active lanes of the class.
    #[must_use]
    pub fn new(lanes: impl IntoIterator<Item = LaneId>) -> Self {
        Self { times: lanes.into_iter().map(|lane| (lane, 0)).collect() }
    }

    /// The state after these earlier slots of the epoch, oldest first, each with its deal seed and
    /// number of txs. `shuffle` is the class's shuffle of the active lanes by a deal seed.
    #[must_use]
    pub fn replay(
        lanes: impl IntoIterator<Item = LaneId>,
        earlier: &[(Hash, u32)],
        shuffle: impl Fn(Hash) -> Vec<LaneId>,
    ) -> Self {
        let mut rolling = Self::new(lanes);
        for &(seed, txs) in earlier {
            rolling.deal(shuffle(seed), txs);
        }
        rolling
    }

    /// How often the lane was dealt.
    #[must_use]
    pub fn times(&self, lane: LaneId) -> u32 {
        self.times.get(&lane).copied().unwrap_or(0)
    }

    /// The deck of the next slot, from its shuffle.
    #[must_use]
    pub fn deck(&self, shuffled: Vec<LaneId>) -> Vec<LaneId> {
        assert_eq!(shuffled.len(), self.times.len(), "a shuffle keeps the lanes of the class");
        rolled(shuffled, |lane| self.times(lane))
    }

    /// Deals the next slot, of `txs` txs, and returns its deck. More txs than lanes go round.
    pub fn deal(&mut self, shuffled: Vec<LaneId>, txs: u32) -> Vec<LaneId> {
        let deck = self.deck(shuffled);
        let lanes = u32::try_from(deck.len()).unwrap_or(u32::MAX);
        let (rounds, rest) = (txs.checked_div(lanes).unwrap_or(0), txs.checked_rem(lanes));
        for (place, lane) in (0u32..).zip(&deck) {
            let more = rounds + u32::from(rest.is_some_and(|rest| place < rest));
            let times = self.times.get_mut(lane);
            assert!(times.is_some(), "{lane} is not of the class");
            if let Some(times) = times {
                *times += more;
            }
        }
        assert!(self.spread() <= 1, "somebody is dealt twice before all were dealt once");
        deck
    }

    /// Most times minus fewest.
    #[must_use]
    pub fn spread(&self) -> u32 {
        let most = self.times.values().max().copied().unwrap_or(0);
        most - self.times.values().min().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        assign::{keccak::keccak256, shuffle::shuffled_indices},
        domain::ProverId,
    };

    fn lane(number: u32) -> LaneId {
        LaneId::new(ProverId(number), 0)
    }

    fn lanes(count: u32) -> Vec<LaneId> {
        (0..count).map(lane).collect()
    }

    fn seed(number: u32) -> Hash {
        keccak256(&[b"rolling test", &number.to_be_bytes()])
    }

    fn shuffle(count: u32, seed: Hash) -> Vec<LaneId> {
        shuffled_indices(count, seed).into_iter().map(lane).collect()
    }

    #[test]
    fn lanes_dealt_less_come_first_and_equals_keep_their_order() {
        let times = [0, 2, 0, 1, 1, 0];
        let rows: [(&[u32], &[u32]); 4] = [
            (&[0, 1, 2, 3, 4, 5], &[0, 2, 5, 3, 4, 1]),
            (&[5, 4, 3, 2, 1, 0], &[5, 2, 0, 4, 3, 1]),
            (&[1, 4, 3], &[4, 3, 1]),
            (&[], &[]),
        ];
        for (deck, expected) in rows {
            let deck: Vec<LaneId> = deck.iter().map(|&it| lane(it)).collect();
            let expected: Vec<LaneId> = expected.iter().map(|&it| lane(it)).collect();
            let found = rolled(deck, |it| times[it.prover().0 as usize]);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_first_slot_of_an_epoch_is_the_shuffle_itself() {
        let mut rolling = Rolling::new(lanes(24));
        let shuffled = shuffle(24, seed(1));
        assert_eq!(rolling.deal(shuffled.clone(), 7), shuffled);
    }

    #[test]
    fn nobody_is_dealt_twice_before_all_were_dealt_once() {
        for (count, txs) in [(24, 7), (24, 23), (24, 24), (24, 25), (10, 33), (3, 1), (1, 4)] {
            let mut rolling = Rolling::new(lanes(count));
            let mut total = 0;
            for slot in 0..32 {
                let deck = rolling.deal(shuffle(count, seed(slot)), txs);
                total += u64::from(txs);
                assert_eq!(deck.iter().collect::<BTreeSet<_>>().len(), count as usize);
                assert!(rolling.spread() <= 1, "{count} lanes, {txs} txs, slot {slot}");
                let sum: u64 = (0..count).map(|it| u64::from(rolling.times(lane(it)))).sum();
                assert_eq!(sum, total, "{count} lanes, {txs} txs, slot {slot}");
            }
        }
    }

    #[test]
    fn four_slots_of_six_txs_deal_24_lanes_once_each() {
        let mut rolling = Rolling::new(lanes(24));
        let mut dealt = BTreeSet::new();
        for slot in 0..4 {
            let deck = rolling.deal(shuffle(24, seed(slot)), 6);
            assert!(deck[..6].iter().all(|&it| dealt.insert(it)), "slot {slot}");
        }
        assert_eq!((dealt.len(), rolling.spread()), (24, 0));
    }

    #[test]
    fn the_state_follows_from_seeds_and_txs_alone() {
        let earlier: Vec<(Hash, u32)> = (0..9).map(|it| (seed(it), 3 + it)).collect();
        let mut step = Rolling::new(lanes(11));
        for &(seed, txs) in &earlier {
            step.deal(shuffle(11, seed), txs);
        }
        let replayed = Rolling::replay(lanes(11), &earlier, |seed| shuffle(11, seed));
        assert_eq!(step, replayed);
        let other = Rolling::replay(lanes(11), &earlier[..8], |seed| shuffle(11, seed));
        assert_ne!(step, other);
    }

    #[test]
    fn lanes_dealt_equally_often_are_shuffled_anew_each_slot() {
        let mut orders = BTreeSet::new();
        for number in 0..40 {
            let mut rolling = Rolling::new(lanes(12));
            rolling.deal(shuffle(12, seed(1_000)), 5);
            let deck = rolling.deck(shuffle(12, seed(number)));
            assert!(deck[..7].iter().all(|&it| rolling.times(it) == 0), "{number}");
            orders.insert(deck[..7].to_vec());
        }
        assert!(38 <= orders.len(), "{} of 40", orders.len());
    }

    #[test]
    fn a_class_without_lanes_deals_nothing() {
        let mut rolling = Rolling::new([]);
        assert_eq!(rolling.deal(Vec::new(), 5), []);
        assert_eq!((rolling.spread(), rolling.times(lane(1))), (0, 0));
    }

    #[test]
    #[should_panic(expected = "a shuffle keeps the lanes")]
    fn a_deck_of_other_lanes_is_refused() {
        let _deck = Rolling::new(lanes(3)).deck(lanes(4));
    }

    #[test]
    #[should_panic(expected = "is not of the class")]
    fn a_stranger_in_the_deck_is_refused() {
        Rolling::new(lanes(2)).deal(vec![lane(0), lane(7)], 1);
    }
}
