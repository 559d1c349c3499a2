//! Validate before forward, and the store of what is still needed.
//!
//! A message is looked at in the order of cost: length, encoding, known id, slot, lane, signature.
//! Only one that passes all of it is delivered to the agent and forwarded, once. Whoever sends
//! what no honest peer could have forwarded is blamed; what is merely old, early or known is
//! dropped in silence. Accepted messages of unsettled slots are kept, so that a peer that was away
//! gets what it missed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
};

use bytes::Bytes;
use protocol::{Hash, LaneId, Message, ProverId, Slot};
use wire::{Domain, Lanes, Reject, Signed, Verified};

use super::limits;

/// What to do with a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Deliver and forward it.
    Accept(Verified<Message>),
    /// Drop it; nobody is to blame.
    Ignore,
    /// Drop it; the peer that sent it is to blame.
    Blame(Reject),
}

/// A stored message.
struct Stored {
    message: Verified<Message>,
    bytes: Bytes,
}

/// Where a message lies within its prover's part of the store: oldest slot, then oldest arrival.
type Place = (Slot, u64);

/// What this agent has accepted.
pub(super) struct Board {
    slots: RangeInclusive<Slot>,
    seen: BTreeSet<Hash>,
    /// Ids in order of arrival, to forget the oldest.
    order: VecDeque<Hash>,
    stored: BTreeMap<ProverId, BTreeMap<Place, Stored>>,
    /// The newest beat of a lane in a slot replaces the one before: where it lies, and its number.
    beats: BTreeMap<(LaneId, Slot), (Place, u64)>,
    count: usize,
    arrivals: u64,
}

impl Board {
    /// An empty board on which every slot is open.
    pub(super) fn new() -> Self {
        Self {
            slots: Slot(0)..=Slot(u64::MAX),
            seen: BTreeSet::new(),
            order: VecDeque::new(),
            stored: BTreeMap::new(),
            beats: BTreeMap::new(),
            count: 0,
            arrivals: 0,
        }
    }

    /// Ignores messages of slots outside `slots` from now on and forgets those below.
    pub(super) fn set_slots(&mut self, slots: RangeInclusive<Slot>) {
        let first = *slots.start();
        self.slots = slots;
        for stored in self.stored.values_mut() {
            let kept = stored.split_off(&(first, 0));
            self.count -= stored.len();
            *stored = kept;
        }
        self.stored.retain(|_, stored| !stored.is_empty());
        self.beats.retain(|(_, slot), _| *slot >= first);
    }

    /// Whether a message with this id and slot is of no interest, before its signature is checked.
    pub(super) fn skips(&self, id: Hash, slot: Slot) -> bool {
        self.seen.contains(&id) || !self.slots.contains(&slot)
    }

    /// Takes an accepted message; `false` if it is of no interest after all.
    pub(super) fn accept(&mut self, message: Verified<Message>, bytes: Bytes) -> bool {
        let slot = message.get().slot();
        if self.skips(message.id(), slot) {
            return false;
        }
        self.remember(message.id());
        self.arrivals += 1;
        let place = (slot, self.arrivals);
        if self.is_worth_storing(&message, place) {
            let of_prover = self.stored.entry(message.from()).or_default();
            of_prover.insert(place, Stored { message, bytes });
            self.count += 1;
            self.make_room();
        }
        true
    }

    /// The stored messages' bytes, oldest slot first.
    pub(super) fn backlog(&self) -> Vec<Bytes> {
        let mut all: Vec<_> = self.stored.values().flatten().collect();
        all.sort_unstable_by_key(|(place, _)| **place);
        all.into_iter().map(|(_, stored)| stored.bytes.clone()).collect()
    }

    /// The stored messages of one slot, in order of arrival.
    #[cfg(test)]
    pub(super) fn of_slot(&self, slot: Slot) -> Vec<Verified<Message>> {
        let mut all: Vec<_> = self
            .stored
            .values()
            .flat_map(|stored| stored.range((slot, 0)..=(slot, u64::MAX)))
            .collect();
        all.sort_unstable_by_key(|(place, _)| **place);
        all.into_iter().map(|(_, stored)| stored.message).collect()
    }

    fn remember(&mut self, id: Hash) {
        self.seen.insert(id);
        self.order.push_back(id);
        if self.order.len() > limits::SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    /// Everything but a beat that a later one of the same lane outdid; drops the beat it outdoes.
    fn is_worth_storing(&mut self, message: &Verified<Message>, place: Place) -> bool {
        let Message::Beat { lane, slot, n, .. } = *message.get() else {
            return true;
        };
        match self.beats.get(&(lane, slot)).copied() {
            Some((_, newest)) if newest >= n => return false,
            Some((older, _)) => self.remove(message.from(), older),
            None => {}
        }
        self.beats.insert((lane, slot), (place, n));
        true
    }

    fn remove(&mut self, prover: ProverId, place: Place) {
        if let Some(stored) = self.stored.get_mut(&prover)
            && stored.remove(&place).is_some()
        {
            self.count -= 1;
        }
    }

    /// A full store drops the oldest message of whoever fills it most, so that no prover can push
    /// out the others' words.
    fn make_room(&mut self) {
        if self.count <= limits::STORED_MAX {
            return;
        }
        let most = self.stored.values_mut().max_by_key(|stored| stored.len());
        let Some((_, dropped)) = most.and_then(BTreeMap::pop_first) else {
            return;
        };
        self.count -= 1;
        if let Message::Beat { lane, slot, .. } = *dropped.message.get() {
            self.beats.remove(&(lane, slot));
        }
    }
}

/// Checks everything that needs no lock: `skips` asks the board in between.
pub(super) fn judge(
    bytes: &[u8],
    domain: &Domain,
    lanes: &impl Lanes,
    skips: impl FnOnce(Hash, Slot) -> bool,
) -> Verdict {
    let signed = match Signed::decode(bytes) {
        Ok(signed) => signed,
        Err(error) => return Verdict::Blame(error.into()),
    };
    if skips(domain.digest(&signed.message), signed.message.slot()) {
        return Verdict::Ignore;
    }
    match wire::verify(&signed, domain, lanes) {
        Ok(message) => Verdict::Accept(message),
        Err(reject) if reject.is_senders_fault() => Verdict::Blame(reject),
        Err(_) => Verdict::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Address, StatementId, TaskId};
    use wire::Signer;

    use super::*;

    /// All lanes of provers 0 and 1; the secret of prover n is n + 1.
    struct Everybody;

    impl Lanes for Everybody {
        fn operator(&self, lane: LaneId) -> Option<Address> {
            (lane.prover().0 < 2).then(|| signer(lane.prover().0).address())
        }
    }

    fn signer(prover: u32) -> Signer {
        Signer::new(&[u8::try_from(prover).unwrap() + 1; 32]).unwrap()
    }

    fn domain() -> Domain {
        Domain::new(31_337, Address([7; 20]))
    }

    fn held(prover: u32, slot: u64, number: u64) -> Signed {
        let mut statement = StatementId([0; 32]);
        statement.0[..8].copy_from_slice(&number.to_be_bytes());
        let lane = LaneId::new(ProverId(prover), 0);
        let message = Message::Held { statement, lane, slot: Slot(slot) };
        signer(prover).sign(&domain(), message)
    }

    fn beat(n: u64) -> Signed {
        let lane = LaneId::new(ProverId(0), 0);
        let message = Message::Beat { lane, slot: Slot(5), n, task: TaskId::default() };
        signer(0).sign(&domain(), message)
    }

    fn verdict(board: &Board, bytes: &[u8]) -> Verdict {
        judge(bytes, &domain(), &Everybody, |id, slot| board.skips(id, slot))
    }

    fn add(board: &mut Board, signed: &Signed) -> bool {
        let bytes = Bytes::from(signed.encode().unwrap());
        match verdict(board, &bytes) {
            Verdict::Accept(message) => board.accept(message, bytes),
            Verdict::Ignore => false,
            Verdict::Blame(reject) => panic!("{reject}"),
        }
    }

    #[test]
    fn a_message_is_accepted_once() {
        let mut board = Board::new();
        assert!(add(&mut board, &held(0, 5, 1)));
        assert!(!add(&mut board, &held(0, 5, 1)));
        assert!(add(&mut board, &held(1, 5, 1)));
        assert_eq!(board.backlog().len(), 2);
    }

    #[test]
    fn a_bad_signature_is_blamed_and_does_not_hide_the_good_one() {
        let mut board = Board::new();
        let mut forged = held(0, 5, 1);
        forged.signature[40] ^= 1;
        let bytes = forged.encode().unwrap();
        assert!(matches!(verdict(&board, &bytes), Verdict::Blame(_)));
        assert!(add(&mut board, &held(0, 5, 1)));
        // Once the good one is known, a forged twin is a repetition and costs no check.
        assert_eq!(verdict(&board, &bytes), Verdict::Ignore);
    }

    #[test]
    fn bytes_that_are_no_message_are_blamed_and_unknown_lanes_are_not() {
        let board = Board::new();
        assert!(matches!(verdict(&board, b"hello"), Verdict::Blame(Reject::Decode(_))));
        let lane = LaneId::new(ProverId(9), 0);
        let message = Message::Held { statement: StatementId([0; 32]), lane, slot: Slot(5) };
        let bytes = signer(0).sign(&domain(), message).encode().unwrap();
        assert_eq!(verdict(&board, &bytes), Verdict::Ignore);
    }

    #[test]
    fn slots_outside_the_window_are_ignored_and_settled_ones_forgotten() {
        let mut board = Board::new();
        for slot in 3..8 {
            assert!(add(&mut board, &held(0, slot, 1)));
        }
        board.set_slots(Slot(5)..=Slot(7));
        assert_eq!(board.backlog().len(), 3);
        assert!(!add(&mut board, &held(0, 4, 2)));
        assert!(!add(&mut board, &held(0, 8, 2)));
        assert!(add(&mut board, &held(0, 7, 2)));
        assert_eq!(board.of_slot(Slot(7)).len(), 2);
        assert_eq!(board.count, 4);
    }

    #[test]
    fn only_the_newest_beat_of_a_lane_is_stored() {
        let mut board = Board::new();
        for n in [1, 2, 4, 3] {
            assert!(add(&mut board, &beat(n)), "beat {n} is delivered and forwarded");
        }
        let stored: Vec<_> = board.of_slot(Slot(5)).iter().map(|it| *it.get()).collect();
        assert_eq!(stored, [beat(4).message]);
        assert_eq!(board.count, 1);
    }

    #[test]
    fn a_full_store_drops_the_oldest_of_whoever_fills_it() {
        let mut board = Board::new();
        assert!(add(&mut board, &held(1, 1, 0)));
        for number in 0..limits::STORED_MAX as u64 {
            assert!(add(&mut board, &held(0, 5, number)));
        }
        assert_eq!(board.count, limits::STORED_MAX);
        assert_eq!(board.of_slot(Slot(1)).len(), 1, "the other prover's message stays");
        let of_loud = board.of_slot(Slot(5));
        assert_eq!(of_loud.len(), limits::STORED_MAX - 1);
        assert_eq!(*of_loud[0].get(), held(0, 5, 1).message, "the loud one's oldest is gone");
    }

    #[test]
    fn the_memory_of_ids_is_bounded() {
        let mut board = Board::new();
        for number in 0..=limits::SEEN_MAX as u64 {
            let mut id = Hash([0; 32]);
            id.0[..8].copy_from_slice(&number.to_be_bytes());
            board.remember(id);
        }
        assert_eq!(board.seen.len(), limits::SEEN_MAX);
        assert!(!board.seen.contains(&Hash([0; 32])), "the oldest is forgotten");
    }
}
