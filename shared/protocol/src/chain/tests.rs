//! L1 followed and taken back, block by block.

use super::*;
use crate::assign::keccak::keccak256;

fn params() -> Params {
    Params { genesis_block: 100, ..Params::devnet() }
}

fn hash(number: u64) -> Hash {
    keccak256(&[b"chain test", &number.to_be_bytes()])
}

/// The block with this number on top of the one before it.
fn header(number: u64) -> Header {
    let head = Head { number, hash: hash(number), time_s: 1_000 + 2 * number };
    let randao = keccak256(&[b"randao", &number.to_be_bytes()]);
    Header { head, parent: hash(number.wrapping_sub(1)), randao }
}

fn extend(chain: &mut Chain, number: u64, events: &[L1Event]) {
    chain.extend(header(number), events, &params()).unwrap();
}

fn seed(slot: u64) -> L1Event {
    L1Event::Seed { slot: Slot(slot), seed: hash(7_000 + slot) }
}
fn proposed(slot: u64, sequencer: u32) -> L1Event {
    let (sequencer, commitment) = (SequencerId(sequencer), hash(8_000 + u64::from(sequencer)));
    L1Event::Proposed { slot: Slot(slot), sequencer, commitment, score: hash(1) }
}
fn revealed(slot: u64) -> L1Event {
    let (block, commitment) = (BlockId([1; 32]), hash(8_000));
    let (txs, set) = ([2; 32], [0; 32]);
    L1Event::Revealed { slot: Slot(slot), block, commitment, txs, count: 2, set }
}
fn settled(slot: u64) -> L1Event {
    let (end, credit, payee) = ([3; 32], [4; 32], Address([5; 20]));
    L1Event::Settled { slot: Slot(slot), end, credit, payee, units: 9, pool: 100 }
}
fn registered(prover: u32, rollup: u16, vm: u16) -> L1Event {
    L1Event::ProverRegistered {
        prover: ProverId(prover),
        operator: Address([1; 20]),
        mesh_key: [2; 32],
        payout: Address([3; 20]),
        rollup,
        vm,
    }
}

/// A chain up to and including this block, with nothing in it.
fn empty(until: u64) -> Chain {
    let mut chain = Chain::default();
    (0..=until).for_each(|number| extend(&mut chain, number, &[]));
    chain
}

#[test]
fn the_first_block_may_have_any_number_and_the_next_must_follow() {
    let mut chain = Chain::default();
    extend(&mut chain, 50, &[]);
    for wrong in [49, 50, 52] {
        assert_eq!(chain.extend(header(wrong), &[], &params()), Err(ChainFault::Gap), "{wrong}");
    }
    let other = Header { parent: hash(999), ..header(51) };
    assert_eq!(chain.extend(other, &[], &params()), Err(ChainFault::Gap));
    assert_eq!(chain.head().unwrap().number, 50);
    extend(&mut chain, 51, &[]);
}

#[test]
fn lanes_are_numbered_rollup_first() {
    let registration = Registration { number: 1, payout: Address([0; 20]), rollup: 2, vm: 1 };
    let lanes: Vec<(LaneId, Class)> = registration.lanes(ProverId(4)).collect();
    let lane = |number| LaneId::new(ProverId(4), number);
    let expected = [(lane(0), Class::Rollup), (lane(1), Class::Rollup), (lane(2), Class::Vm)];
    assert_eq!(lanes, expected);
}

#[test]
fn an_epochs_lanes_are_those_registered_64_blocks_before_its_first_slot() {
    // Epoch 0 begins at block 100, epoch 1 at 100 + 32 × 10.
    let mut chain = empty(34);
    extend(&mut chain, 35, &[registered(1, 1, 0)]);
    extend(&mut chain, 36, &[registered(2, 0, 1)]);
    extend(&mut chain, 37, &[registered(3, 1, 1)]);
    let lanes = |slot| chain.lanes_of(Slot(slot), &params()).len();
    assert_eq!([lanes(0), lanes(31), lanes(32), lanes(1_000)], [2, 2, 4, 4]);
}

#[test]
fn lanes_that_change_stay_as_they_were_until_the_next_snapshot() {
    // Snapshots at blocks 36 and 356, epochs 0 and 1.
    let mut chain = empty(9);
    extend(&mut chain, 10, &[registered(1, 2, 0), registered(2, 1, 0)]);
    (11..40).for_each(|number| extend(&mut chain, number, &[]));
    let lanes = |chain: &Chain, slot, prover| -> Vec<Class> {
        let all = chain.lanes_of(Slot(slot), &params());
        all.iter().filter(|(it, _)| it.prover().0 == prover).map(|(_, &it)| it).collect()
    };
    let before = chain.clone();
    extend(&mut chain, 40, &[registered(1, 0, 3)]);
    assert_eq!(lanes(&chain, 0, 1), [Class::Rollup; 2]);
    assert_eq!(lanes(&chain, 32, 1), [Class::Vm; 3]);
    let key = chain.registry_key(Slot(0), &params());
    assert_eq!(key, before.registry_key(Slot(0), &params()), "the same deal as before");
    assert_ne!(chain.registry_key(Slot(32), &params()), key);
    extend(&mut chain, 41, &[L1Event::ProverLeft { prover: ProverId(2) }]);
    assert_eq!((lanes(&chain, 0, 2).len(), lanes(&chain, 32, 2).len()), (1, 0));
    extend(&mut chain, 42, &[registered(2, 4, 0)]);
    assert_eq!((lanes(&chain, 0, 2).len(), lanes(&chain, 32, 2).len()), (1, 4), "it is back");
    (40..=42).rev().for_each(|number| chain.revert(hash(number)).unwrap());
    assert_eq!((&chain.registry, &chain.registry_keys), (&before.registry, &before.registry_keys));
    assert_eq!(lanes(&chain, 32, 1), [Class::Rollup; 2]);
}

#[test]
fn a_lane_of_an_old_change_is_forgotten_and_the_newest_stays() {
    let mut chain = empty(9);
    for number in 10..20_000 {
        let lanes = u16::try_from(number % 7 + 1).unwrap();
        let events = if number % 50 == 0 { vec![registered(1, lanes, 0)] } else { Vec::new() };
        extend(&mut chain, number, &events);
    }
    let kept = format!("{:?}", chain.registry.members()).matches("Lanes").count();
    assert!((2..200).contains(&kept), "{kept} changes of 400 are kept");
}

#[test]
fn a_new_lane_is_dealt_nothing_until_its_prover_was_paid_often_enough() {
    let p = Params { probe: 2, min_lanes: 1, ..params() };
    let paid = L1Event::Paid { slot: Slot(0), position: 1, payee: Address([3; 20]), amount: 1 };
    let mut chain = empty(9);
    extend(&mut chain, 10, &[registered(1, 2, 0)]);
    let run = |chain: &mut Chain, number: u64, events: &[L1Event]| {
        chain.extend(header(number), events, &p).unwrap();
    };
    run(&mut chain, 11, core::slice::from_ref(&paid));
    let all = [LaneId::new(ProverId(1), 0), LaneId::new(ProverId(1), 1)];
    let dealt =
        |chain: &Chain| -> Vec<LaneId> { chain.lanes_of(Slot(0), &p).into_keys().collect() };
    assert_eq!(dealt(&chain), all, "while nobody passed, everybody is active");
    let before = chain.clone();
    run(&mut chain, 12, core::slice::from_ref(&paid));
    assert_eq!(dealt(&chain), all[..1]);
    assert!(chain.set_of(Slot(0), &p).may_take_open(all[1]), "it earns its place by open tasks");
    assert_ne!(chain.registry_key(Slot(0), &p), before.registry_key(Slot(0), &p));
    run(&mut chain, 13, &[paid.clone(), paid]);
    assert_eq!(dealt(&chain), all);
    chain.revert(hash(13)).unwrap();
    assert_eq!(dealt(&chain), all[..1]);
    chain.revert(hash(12)).unwrap();
    assert_eq!(
        (&chain.probation, &chain.registry_keys),
        (&before.probation, &before.registry_keys)
    );
}

#[test]
fn a_leaders_word_counts_once_and_in_time_and_is_undone() {
    let named = |prover, alone| L1Event::Named { slot: Slot(0), prover: ProverId(prover), alone };
    let naming = |chain: &Chain| chain.slot(Slot(0)).map(|it| it.naming).unwrap_or_default();
    let mut chain = empty(9);
    extend(&mut chain, 10, &[registered(1, 1, 0)]);
    (11..100).for_each(|number| extend(&mut chain, number, &[]));
    let mut early = chain.clone();
    extend(&mut chain, 100, &[seed(0), revealed(0), named(7, false)]);
    assert_eq!(naming(&chain), Naming::Nobody, "nobody is registered under this number");
    extend(&mut chain, 101, &[named(1, false), named(9, true)]);
    assert_eq!(naming(&chain), Naming::Named(ProverId(1)));
    chain.revert(hash(101)).unwrap();
    assert_eq!(naming(&chain), Naming::Nobody);
    (101..106).for_each(|number| extend(&mut chain, number, &[]));
    extend(&mut chain, 106, &[named(1, false)]);
    assert_eq!(naming(&chain), Naming::Nobody, "the commitment phase ended with block 105");
    extend(&mut early, 100, &[seed(0), named(9, true)]);
    extend(&mut early, 101, &[revealed(0)]);
    assert_eq!(naming(&early), Naming::Alone(ProverId(9)), "a word may stand before its reveal");
}

#[test]
fn a_deal_needs_seed_reveal_and_the_second_block_of_the_reveal_phase() {
    let mut chain = empty(99);
    extend(&mut chain, 100, &[seed(0), proposed(0, 0)]);
    (101..105).for_each(|number| extend(&mut chain, number, &[]));
    extend(&mut chain, 105, &[revealed(0)]);
    assert_eq!(chain.slot(Slot(0)).unwrap().dealt(), None);
    extend(&mut chain, 106, &[]);
    let (reveal, seed) = chain.slot(Slot(0)).unwrap().dealt().unwrap();
    assert_eq!(reveal.time_s, 1_000 + 2 * 105);
    assert_eq!(seed, deal_seed(hash(7_000), hash(8_000), header(106).randao));
}

#[test]
fn a_late_reveal_has_the_same_deal_block() {
    let mut chain = empty(99);
    extend(&mut chain, 100, &[seed(0), proposed(0, 0)]);
    (101..109).for_each(|number| extend(&mut chain, number, &[]));
    extend(&mut chain, 109, &[revealed(0)]);
    let (_, seed) = chain.slot(Slot(0)).unwrap().dealt().unwrap();
    assert_eq!(seed, deal_seed(hash(7_000), hash(8_000), header(106).randao));
}

#[test]
fn the_newest_proposal_is_the_best_so_far() {
    let mut chain = empty(99);
    extend(&mut chain, 100, &[seed(0), proposed(0, 3), proposed(0, 1)]);
    assert_eq!(chain.slot(Slot(0)).unwrap().proposal.unwrap().sequencer, SequencerId(1));
    chain.revert(hash(100)).unwrap();
    assert_eq!(chain.slot(Slot(0)), None);
}

#[test]
fn deal_blocks_are_the_second_of_each_reveal_phase() {
    let p = params();
    let found: Vec<(u64, u64)> =
        (0..130).filter_map(|it| Some((it, slot_of_deal_block(it, &p)?.0))).collect();
    assert_eq!(found, [(106, 0), (116, 1), (126, 2)]);
    for slot in 0..50 {
        assert_eq!(slot_of_deal_block(p.deal_block(Slot(slot)), &p), Some(Slot(slot)));
    }
}

#[test]
fn a_slot_is_unsettled_from_its_reveal_to_its_settlement() {
    let mut chain = empty(99);
    let open =
        |chain: &Chain| (chain.unsettled(Slot(0), &params()), chain.oldest_unsettled(&params()));
    extend(&mut chain, 100, &[seed(0), proposed(0, 0)]);
    assert_eq!(open(&chain), (false, None));
    extend(&mut chain, 101, &[revealed(0)]);
    assert_eq!(open(&chain), (true, Some(Slot(0))));
    extend(&mut chain, 102, &[settled(0)]);
    assert_eq!(open(&chain), (false, None));
    chain.revert(hash(102)).unwrap();
    assert_eq!(open(&chain), (true, Some(Slot(0))));
}

#[test]
fn the_oldest_unsettled_slot_is_settled_first() {
    let mut chain = empty(99);
    extend(&mut chain, 100, &[seed(0), revealed(0), seed(1), revealed(1)]);
    assert_eq!(chain.oldest_unsettled(&params()), Some(Slot(0)));
    extend(&mut chain, 101, &[settled(0)]);
    assert_eq!(chain.oldest_unsettled(&params()), Some(Slot(1)));
}

#[test]
fn a_slot_without_a_reveal_lapses_with_its_reveal_phase() {
    let mut chain = empty(108);
    assert!(!chain.lapsed(Slot(0), &params()));
    extend(&mut chain, 109, &[]);
    assert!(!chain.lapsed(Slot(0), &params()));
    extend(&mut chain, 110, &[]);
    assert!(chain.lapsed(Slot(0), &params()) && !chain.lapsed(Slot(1), &params()));
}

#[test]
fn phases_after_the_reveal_are_seconds_not_blocks() {
    let p = params();
    let mut chain = empty(99);
    extend(&mut chain, 100, &[seed(0), revealed(0)]);
    let revealed_s = 1_000 + 2 * 100;
    let deadline = chain.slot(Slot(0)).unwrap().deadline(&p).unwrap();
    assert_eq!(deadline, Millis((revealed_s + 1_500 * 2) * 1000));
    let lapse_s = revealed_s + (1_500 + 1 + 300) * 2;
    for (number, time_s, lapsed) in [(101, lapse_s, false), (102, lapse_s + 1, true)] {
        let head = Head { number, hash: hash(number), time_s };
        let header = Header { head, ..header(number) };
        chain.extend(header, &[], &p).unwrap();
        assert_eq!(chain.lapsed(Slot(0), &p), lapsed, "at {time_s} s");
    }
}

#[test]
fn only_the_newest_block_can_be_undone() {
    let mut chain = empty(10);
    assert_eq!(chain.revert(hash(9)), Err(ChainFault::Undo));
    chain.revert(hash(10)).unwrap();
    chain.revert(hash(9)).unwrap();
    assert_eq!((chain.head().unwrap().number, chain.undone), (8, 2));
    assert_eq!(Chain::default().revert(hash(0)), Err(ChainFault::Undo));
}

#[test]
fn undo_is_exact_at_every_depth() {
    let events = |number: u64| -> Vec<L1Event> {
        match number {
            90 => vec![registered(1, 1, 1), registered(2, 0, 1)],
            91 => vec![registered(1, 2, 0)],
            100 => vec![seed(0), proposed(0, 0), proposed(0, 1)],
            103 => vec![proposed(0, 2), proposed(0, 2)],
            105 => vec![revealed(0)],
            110 => vec![seed(1), proposed(1, 0)],
            112 => vec![settled(0)],
            115 => vec![revealed(1), settled(1)],
            _ => Vec::new(),
        }
    };
    let mut chain = empty(89);
    let mut before = Vec::new();
    for number in 90..130 {
        before.push(chain.clone());
        extend(&mut chain, number, &events(number));
    }
    let last = chain.clone();
    for number in (90..130).rev() {
        chain.revert(hash(number)).unwrap();
        let expected = before.pop().unwrap();
        assert_eq!(chain.head, expected.head, "after undoing {number}");
        assert_eq!(chain.slots, expected.slots, "after undoing {number}");
        assert_eq!(chain.registry, expected.registry, "after undoing {number}");
        assert_eq!(chain.registry_key, expected.registry_key, "after undoing {number}");
        assert_eq!(chain.registry_keys, expected.registry_keys, "after undoing {number}");
    }
    (90..130).for_each(|number| extend(&mut chain, number, &events(number)));
    assert_eq!(chain.slots, last.slots, "the same blocks again lead to the same place");
}

#[test]
fn the_undo_window_is_64_blocks() {
    let mut chain = empty(200);
    for number in (137..=200).rev() {
        chain.revert(hash(number)).unwrap();
    }
    assert_eq!(chain.revert(hash(136)), Err(ChainFault::Undo));
    assert_eq!(chain.head().unwrap().number, 136, "a refused undo changes nothing");
}

#[test]
fn slots_that_are_over_are_forgotten_only_beyond_the_undo_window() {
    let mut chain = empty(99);
    for number in 100..1_000 {
        extend(&mut chain, number, &[]);
        let count = chain.slots().count();
        let kept = 32 + SLOTS_KEPT + 64 / 10 + 1;
        assert!(count <= kept, "{count} slots at block {number}");
    }
    let oldest = chain.slots().next().unwrap().1.changed;
    assert!(oldest < 1_000 - 64, "the newest {SLOTS_KEPT} reach back to block {oldest}");
}

#[test]
fn an_unsettled_slot_is_never_forgotten() {
    let mut chain = empty(99);
    extend(&mut chain, 100, &[seed(0), revealed(0)]);
    (101..1_000).for_each(|number| extend(&mut chain, number, &[]));
    assert!(chain.unsettled(Slot(0), &params()), "1,800 seconds of 3,602 have passed");
}

#[test]
fn the_deals_of_an_epoch_are_remembered_while_one_of_its_slots_is_at_work() {
    let p = params();
    let last = p.epoch_slots - 1;
    let mut chain = empty(p.slot_start(Slot(0)) - 1);
    let run = |chain: &mut Chain, until: u64| {
        for number in chain.head().unwrap().number + 1..p.slot_start(Slot(until)) {
            let slot = number.saturating_sub(p.genesis_block) / p.slot_blocks();
            let at = number - p.slot_start(Slot(slot));
            let events = match at {
                0 => vec![seed(slot), proposed(slot, 0)],
                5 => vec![revealed(slot)],
                8 if slot != last => vec![settled(slot)],
                _ => Vec::new(),
            };
            extend(chain, number, &events);
        }
    };
    run(&mut chain, p.epoch_slots);
    let before = chain.dealt_before(Slot(last), &p);
    assert_eq!(before.len() as u64, last, "every slot before it was dealt");
    run(&mut chain, p.epoch_slots + 20);
    assert!(chain.unsettled(Slot(last), &p));
    assert_eq!(chain.dealt_before(Slot(last), &p), before, "whoever deals it late deals the same");
    let number = chain.head().unwrap().number + 1;
    extend(&mut chain, number, &[settled(last)]);
    assert_eq!(chain.slots().next().unwrap().0, Slot(0), "epochs go whole");
    run(&mut chain, p.epoch_slots + 31);
    assert_eq!(chain.slots().next().unwrap().0, Slot(p.epoch_slots));
}
