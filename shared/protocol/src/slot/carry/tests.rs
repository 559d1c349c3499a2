//! Given-up blocks come back in order, a bounded number of times.

use super::*;
use crate::epoch::draws::Draws;

fn params() -> Params {
    Params { carry_max: 3, ..Params::devnet() }
}

/// A tx named by one byte, with one call.
fn tx(name: u8) -> Tx {
    Tx { hash: [name; 32], calls: 1 }
}

fn txs(names: &[u8]) -> Vec<Tx> {
    names.iter().map(|&it| tx(it)).collect()
}

fn names(txs: &[Tx]) -> Vec<u8> {
    txs.iter().map(|it| it.hash[0]).collect()
}

fn waiting(carry: &Carry) -> Vec<u8> {
    carry.waiting().map(|it| it.hash[0]).collect()
}

/// Admission of at most this many txs.
fn room(most: usize) -> impl Fn(&[u8]) -> bool {
    move |calls| calls.len() <= most
}

/// 1, 2, 3, 4 were given up in slot 5; `poison` of them are quarantined.
fn given_up(poison: &[u8]) -> Carry {
    let mut carry = Carry::default();
    carry.reveal(Slot(5), &txs(&[1, 2, 3, 4]), room(9)).unwrap();
    let quarantined = poison.iter().map(|&it| [it; 32]).collect();
    assert_eq!(carry.give_up(Slot(5), &quarantined, &params()), []);
    carry
}

#[test]
fn waiting_txs_come_first_in_order_and_before_anything_new() {
    let missing = |place, name: u8| Err(Illegal::Missing { place, expected: [name; 32] });
    let early = |place| Err(Illegal::Early { place });
    let rows: [(&[u8], usize, Result<(), Illegal>); 12] = [
        (&[1, 2, 3, 4], 9, Ok(())),
        (&[1, 2, 3, 4, 7, 8], 9, Ok(())),
        (&[1, 2], 2, Ok(())),
        (&[1, 2], 3, missing(2, 3)),
        (&[1, 2, 7], 2, early(2)),
        (&[1, 2, 7], 9, missing(2, 3)),
        (&[2, 1, 3, 4], 9, missing(0, 1)),
        (&[1, 3, 2, 4], 9, missing(1, 2)),
        (&[7, 1, 2, 3, 4], 9, missing(0, 1)),
        (&[], 9, missing(0, 1)),
        // One is due even where nothing fits: the chain must not halt.
        (&[], 0, missing(0, 1)),
        (&[1], 0, Ok(())),
    ];
    for (reveal, most, expected) in rows {
        assert_eq!(given_up(&[]).check(&txs(reveal), room(most)), expected, "{reveal:?} {most}");
    }
}

#[test]
fn a_quarantined_tx_may_be_left_out_or_tried_again() {
    type Row<'a> = (&'a [u8], &'a [u8], Result<(), Illegal>);
    let missing = |place, name: u8| Err(Illegal::Missing { place, expected: [name; 32] });
    let rows: [Row<'_>; 7] = [
        (&[2], &[1, 3, 4, 7], Ok(())),
        (&[2], &[1, 2, 3, 4, 7], Ok(())),
        (&[2], &[1, 4], missing(1, 3)),
        (&[1], &[2, 3, 4], Ok(())),
        (&[1, 2, 3, 4], &[7], Ok(())),
        (&[1, 2, 3, 4], &[], Ok(())),
        (&[3], &[1, 4, 2], missing(1, 2)),
    ];
    for (poison, reveal, expected) in rows {
        let carry = given_up(poison);
        assert_eq!(carry.check(&txs(reveal), room(9)), expected, "{poison:?} {reveal:?}");
    }
}

#[test]
fn what_an_honest_sequencer_builds_is_legal() {
    for poison in [&[][..], &[1], &[2, 3], &[4], &[1, 2, 3, 4]] {
        for most in 0..6 {
            let carry = given_up(poison);
            let due = carry.due(room(most));
            let left = 4 - poison.len();
            assert_eq!(due.len(), most.max(1).min(left), "{poison:?} {most}");
            assert_eq!(carry.check(&due, room(most)), Ok(()), "{poison:?} {most}");
        }
    }
}

#[test]
fn order_is_kept_over_as_many_reveals_as_admission_needs() {
    let mut carry = given_up(&[]);
    let mut order = Vec::new();
    for slot in 6..10 {
        let mut reveal = carry.due(room(3));
        reveal.extend(txs(&[100 + u8::try_from(slot).unwrap()]).into_iter().take(3 - reveal.len()));
        carry.reveal(Slot(slot), &reveal, room(3)).unwrap();
        order.extend(names(&reveal));
        carry.settle(Slot(slot));
    }
    assert_eq!(order, [1, 2, 3, 4, 107, 108, 109]);
    assert_eq!(waiting(&carry), []);
}

#[test]
fn an_illegal_reveal_changes_nothing() {
    let mut carry = given_up(&[2]);
    let before = carry.clone();
    assert!(carry.reveal(Slot(6), &txs(&[3, 1]), room(9)).is_err());
    assert_eq!(carry, before);
}

#[test]
fn later_blocks_fall_with_their_parent_and_wait_behind_it() {
    let mut carry = Carry::default();
    for (slot, content) in [(3, [1, 2]), (4, [3, 4]), (6, [5, 6])] {
        carry.reveal(Slot(slot), &txs(&content), room(9)).unwrap();
    }
    carry.settle(Slot(3));
    assert_eq!(carry.give_up(Slot(4), &BTreeSet::new(), &params()), []);
    assert_eq!(waiting(&carry), [3, 4, 5, 6]);
    carry.settle(Slot(3));
    assert_eq!(waiting(&carry), [3, 4, 5, 6], "settling again is nothing");
}

/// Slot 6 takes 1 and 2 only; both it and slot 7 are given up: what stood first stands first.
#[test]
fn a_block_given_up_again_goes_back_in_front_of_what_still_waits() {
    let mut carry = given_up(&[]);
    carry.reveal(Slot(6), &txs(&[1, 2]), room(2)).unwrap();
    assert_eq!(waiting(&carry), [3, 4]);
    carry.reveal(Slot(7), &txs(&[3]), room(1)).unwrap();
    carry.give_up(Slot(6), &BTreeSet::new(), &params());
    assert_eq!(waiting(&carry), [1, 2, 3, 4]);
}

#[test]
fn a_tx_is_carried_three_times_and_then_dropped() {
    for carry_max in 1..5 {
        let params = Params { carry_max, ..params() };
        let mut carry = Carry::default();
        let mut revealed = 0;
        for slot in 0..10 {
            // The bad one first, a new one behind it.
            let mut reveal = if slot == 0 { txs(&[1]) } else { carry.due(room(9)) };
            revealed += u64::from(names(&reveal).contains(&1));
            reveal.push(tx(100 + slot));
            carry.reveal(Slot(u64::from(slot)), &reveal, room(99)).unwrap();
            let dropped = carry.give_up(Slot(u64::from(slot)), &BTreeSet::new(), &params);
            let last = u64::from(slot) == carry_max;
            assert_eq!(names(&dropped).contains(&1), last, "slot {slot} of {carry_max}");
        }
        assert_eq!(revealed, carry_max + 1, "once by itself, then carried");
    }
}

#[test]
fn only_what_is_given_up_again_counts_towards_the_bound() {
    let mut carry = given_up(&[]);
    // Slots pass in which only the first fits; the others wait and are not used up.
    for slot in 6..9 {
        carry.reveal(Slot(slot), &carry.due(room(1)), room(1)).unwrap();
        carry.settle(Slot(slot));
    }
    assert_eq!(waiting(&carry), [4]);
}

#[test]
fn slots_reveal_once_and_in_order() {
    let mut carry = Carry::default();
    carry.reveal(Slot(4), &txs(&[1]), room(9)).unwrap();
    for slot in [3, 4] {
        let found = carry.reveal(Slot(slot), &txs(&[2]), room(9));
        assert_eq!(found, Err(Illegal::Order(Slot(slot))));
    }
    assert_eq!(carry.reveal(Slot(5), &txs(&[2]), room(9)), Ok(()));
}

#[test]
fn a_chain_is_taken_off_from_its_front() {
    let all = [[1; 32], [2; 32], [3; 32]];
    let (whole, rest) = (chain(&all), chain(&all[1..]));
    assert!(begins(whole, &all[0], rest));
    assert!(!begins(whole, &all[1], rest) && !begins(whole, &all[0], whole));
    assert_eq!(chain(&[]), Hash::default());
    assert_ne!(chain(&[[1; 32], [2; 32]]), chain(&[[2; 32], [1; 32]]));
    let carry = given_up(&[]);
    assert_eq!(carry.chain(), chain(&[[1; 32], [2; 32], [3; 32], [4; 32]]));
}

#[test]
fn poison_is_forgotten_once_it_is_off() {
    let mut carry = given_up(&[2]);
    assert!(carry.is_poison(&[2; 32]) && !carry.is_poison(&[1; 32]));
    carry.reveal(Slot(6), &txs(&[1, 3, 4]), room(9)).unwrap();
    assert!(!carry.is_poison(&[2; 32]));
    assert_eq!(carry, {
        let mut clean = given_up(&[]);
        clean.waiting.clear();
        clean.revealed = carry.revealed.clone();
        clean
    });
}

#[test]
fn proposals_committed_before_a_giving_up_lapse_without_slash() {
    let rows =
        [(10, None, false), (10, Some(9), false), (10, Some(10), true), (10, Some(11), true)];
    for (committed, given_up, expected) in rows {
        assert_eq!(lapses(committed, given_up), expected, "{committed} {given_up:?}");
    }
}

/// A walk of reveals, settlements and giving up: whatever happens, txs settle in the order in which
/// they were first preconfirmed, but for those dropped; nothing is lost, nothing settles twice.
#[test]
fn preconfirmed_order_survives_any_walk() {
    for seed in 0..300 {
        let mut walk = Walk::new(seed);
        for slot in 0..60 {
            walk.step(Slot(slot));
        }
        walk.finish();
        let settled = &walk.settled;
        assert!(settled.is_sorted(), "seed {seed}: {settled:?}");
        let all: BTreeSet<u8> = settled.iter().chain(&walk.dropped).copied().collect();
        assert_eq!(all.len(), settled.len() + walk.dropped.len(), "seed {seed}: twice");
        assert_eq!(all.len(), usize::from(walk.next), "seed {seed}: lost");
    }
}

struct Walk {
    draws: Draws,
    carry: Carry,
    open: Vec<(Slot, Vec<u8>)>,
    next: u8,
    settled: Vec<u8>,
    dropped: Vec<u8>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let (carry, open) = (Carry::default(), Vec::new());
        let (settled, dropped) = (Vec::new(), Vec::new());
        Self { draws: Draws(seed), carry, open, next: 0, settled, dropped }
    }

    /// Reveals what is due, and new txs if all of it fits; then settles or gives up the oldest.
    fn step(&mut self, slot: Slot) {
        let most = usize::try_from(1 + self.draws.below(5)).unwrap();
        let mut reveal = self.carry.due(room(most));
        let due = reveal.len();
        while due == self.carry.waiting().count() && reveal.len() < most && self.next < 200 {
            reveal.push(tx(self.next));
            self.next += 1;
        }
        if reveal.is_empty() {
            return;
        }
        self.carry.reveal(slot, &reveal, room(most)).unwrap();
        self.open.push((slot, names(&reveal)));
        match self.draws.below(4) {
            0 => self.give_up(),
            1 | 2 => self.settle(),
            _ => (),
        }
    }

    fn settle(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (slot, content) = self.open.remove(0);
        self.carry.settle(slot);
        self.settled.extend(content);
    }

    fn give_up(&mut self) {
        let Some(&(slot, _)) = self.open.first() else { return };
        let dropped = self.carry.give_up(slot, &BTreeSet::new(), &params());
        self.dropped.extend(names(&dropped));
        self.open.clear();
    }

    /// Proves everything that is still revealed or waits.
    fn finish(&mut self) {
        while !self.open.is_empty() {
            self.settle();
        }
        let rest = self.carry.due(room(999));
        self.carry.reveal(Slot(1_000), &rest, room(999)).unwrap();
        self.open.push((Slot(1_000), names(&rest)));
        self.settle();
    }
}

#[test]
fn admission_is_asked_with_the_calls_of_the_txs_it_is_about() {
    let heavy = |name: u8, calls| Tx { hash: [name; 32], calls };
    let content = [heavy(1, 3), heavy(2, 0), heavy(3, 2), heavy(4, 1)];
    let mut carry = Carry::default();
    carry.reveal(Slot(1), &content, room(9)).unwrap();
    carry.give_up(Slot(1), &BTreeSet::new(), &params());
    let calls_fit =
        |most: u32| move |calls: &[u8]| calls.iter().map(|&it| u32::from(it)).sum::<u32>() <= most;
    for (most, due) in [(0, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 4), (99, 4)] {
        let found = carry.due(calls_fit(most));
        assert_eq!(found, content[..due], "{most} calls");
        assert_eq!(carry.check(&found, calls_fit(most)), Ok(()), "{most} calls");
        if 1 < due {
            let short = carry.check(&found[..due - 1], calls_fit(most));
            let expected = content[due - 1].hash;
            assert_eq!(short, Err(Illegal::Missing { place: due - 1, expected }), "{most}");
        }
    }
}
