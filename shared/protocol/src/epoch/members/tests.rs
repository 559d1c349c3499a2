//! Joins, leaves, pauses and probation, around every boundary.

use super::*;
use crate::epoch::draws::Draws;

/// Slot 0 at block 300, epochs of 320 blocks: snapshots at 236, 556, 876, ...
fn params() -> Params {
    Params { min_lanes: 0, probe: 3, ..Params::devnet() }
}

const P: ProverId = ProverId(3);

fn lane(number: u16) -> LaneId {
    LaneId::new(P, number)
}

fn members(changes: &[(u64, Change)]) -> Members {
    let mut members = Members::default();
    for &(number, change) in changes {
        members.change(number, P, change);
    }
    members
}

const fn lanes(rollup: u16, vm: u16) -> Change {
    Change::Lanes { rollup, vm }
}

/// Lanes of class rollup and vm in each of the epochs 0..5.
fn counts(members: &Members) -> Vec<(usize, usize)> {
    let count = |epoch| {
        let set = members.lanes(Epoch(epoch), &params());
        let vm = set.values().filter(|&&it| it == Class::Vm).count();
        (set.len() - vm, vm)
    };
    (0..5).map(count).collect()
}

#[test]
fn changes_take_effect_at_the_next_boundary_whose_snapshot_has_them() {
    type Row<'a> = (&'a [(u64, Change)], [(usize, usize); 5]);
    let none = (0, 0);
    let rows: [Row<'_>; 8] = [
        (&[], [none; 5]),
        (&[(236, lanes(1, 2))], [(1, 2); 5]),
        (&[(237, lanes(1, 2))], [none, (1, 2), (1, 2), (1, 2), (1, 2)]),
        // A lane change, seen from epoch 2 on.
        (&[(1, lanes(4, 0)), (557, lanes(2, 3))], [(4, 0), (4, 0), (2, 3), (2, 3), (2, 3)]),
        // Leaving in the middle of epoch 0 keeps the duty until its end.
        (&[(1, lanes(2, 0)), (400, Change::Leave)], [(2, 0), none, none, none, none]),
        (&[(1, lanes(2, 0)), (557, Change::Leave)], [(2, 0), (2, 0), none, none, none]),
        // Left and back.
        (
            &[(1, lanes(2, 0)), (400, Change::Leave), (600, lanes(1, 0))],
            [(2, 0), none, (1, 0), (1, 0), (1, 0)],
        ),
        // Twice in one block: the last word counts.
        (&[(1, lanes(2, 0)), (1, lanes(0, 1))], [(0, 1); 5]),
    ];
    for (changes, expected) in rows {
        assert_eq!(counts(&members(changes)), expected, "{changes:?}");
    }
}

#[test]
fn a_pause_lasts_whole_epochs_from_its_first_boundary() {
    let (on, off) = ((2, 0), (0, 0));
    let rows = [
        (237, 1, [on, off, on, on, on]),
        (556, 1, [on, off, on, on, on]),
        (557, 1, [on, on, off, on, on]),
        (300, 3, [on, off, off, off, on]),
        (10, 1, [off, on, on, on, on]),
        (300, 0, [on; 5]),
        (300, u64::MAX, [on, off, off, off, off]),
    ];
    for (number, epochs, expected) in rows {
        let paused = members(&[(1, lanes(2, 0)), (number, Change::Pause { epochs })]);
        assert_eq!(counts(&paused), expected, "{epochs} epochs at {number}");
    }
}

#[test]
fn a_paused_prover_that_changes_lanes_is_still_paused() {
    let pause = Change::Pause { epochs: 2 };
    let it = members(&[(1, lanes(2, 0)), (300, pause), (301, lanes(5, 0))]);
    assert_eq!(counts(&it), [(2, 0), (0, 0), (0, 0), (5, 0), (5, 0)]);
}

#[test]
fn a_change_is_effective_in_the_first_epoch_whose_snapshot_has_it() {
    let young = Params { genesis_block: 10, ..params() };
    for params in [params(), young] {
        for number in [0, 1, 10, 235, 236, 237, 300, 555, 556, 557, 875, 876, 877, 5_000] {
            let expected = (0..100).map(Epoch).find(|it| number <= it.snapshot_block(&params));
            assert_eq!(Some(effective(number, &params)), expected, "block {number}");
        }
    }
}

#[test]
fn undone_blocks_take_their_changes_along() {
    let mut it = members(&[(1, lanes(2, 0)), (300, Change::Leave), (301, lanes(7, 0))]);
    it.revert(301);
    assert_eq!(counts(&it)[2], (0, 0));
    it.revert(300);
    assert_eq!(counts(&it)[2], (2, 0));
    it.revert(0);
    assert_eq!(it, Members::default());
}

#[test]
fn what_is_pruned_changes_no_epoch_that_is_left() {
    let stories: [&[(u64, Change)]; 6] = [
        &[(1, lanes(2, 0)), (2, lanes(3, 1)), (600, lanes(4, 0)), (900, Change::Leave)],
        &[(1, lanes(2, 0)), (300, Change::Leave), (1_300, lanes(1, 0))],
        &[(1, lanes(2, 0)), (237, Change::Pause { epochs: 1 }), (240, lanes(1, 1))],
        &[(1, lanes(2, 0)), (237, Change::Pause { epochs: 3 })],
        &[(300, Change::Pause { epochs: 2 }), (301, lanes(1, 0))],
        &[(1, lanes(9, 0)), (2, Change::Leave)],
    ];
    for changes in stories {
        for oldest in 0..5 {
            let mut it = members(changes);
            it.prune(Epoch(oldest), &params());
            let from = usize::try_from(oldest).unwrap();
            let before = counts(&members(changes));
            assert_eq!(counts(&it)[from..], before[from..], "{changes:?} from {oldest}");
        }
    }
    let mut gone = members(stories[5]);
    gone.prune(Epoch(0), &params());
    assert_eq!(gone, Members::default(), "who left is forgotten");
    let mut merged = members(stories[0]);
    merged.prune(Epoch(4), &params());
    assert_eq!(merged, Members::default());
}

#[test]
#[should_panic(expected = "in order")]
fn changes_out_of_order_are_refused() {
    members(&[(2, lanes(1, 0)), (1, lanes(2, 0))]);
}

/// `counts` credits for each of the prover's lanes 0.., of the lane's class, in blocks 1, 2, ...
fn probation(credits: &[(u16, Class, u64)]) -> Probation {
    let mut probation = Probation::default();
    for &(number, class, count) in credits {
        (1..=count).for_each(|block| probation.credit(lane(number), class, block, &params()));
    }
    probation
}

#[test]
fn a_lane_is_active_after_three_credited_tasks_of_its_class() {
    type Row<'a> = (&'a [(u16, Class, u64)], [Standing; 2]);
    let it = members(&[(1, lanes(1, 1))]);
    let rows: [Row<'_>; 6] = [
        (&[], [Standing::Probation, Standing::Probation]),
        (&[(0, Class::Rollup, 2)], [Standing::Probation, Standing::Probation]),
        (&[(0, Class::Rollup, 3)], [Standing::Active, Standing::Probation]),
        (&[(1, Class::Vm, 3)], [Standing::Probation, Standing::Active]),
        // Rollup work does not show that a lane can make vm proofs.
        (&[(1, Class::Rollup, 9)], [Standing::Probation, Standing::Probation]),
        (&[(0, Class::Rollup, 3), (1, Class::Vm, 4)], [Standing::Active, Standing::Active]),
    ];
    for (credits, expected) in rows {
        let set = it.set(Epoch(0), &params(), &probation(credits), |_| false);
        let found = [0, 1].map(|number| set.lane(lane(number)).unwrap().standing);
        assert_eq!(found, expected, "{credits:?}");
    }
}

#[test]
fn credits_count_when_the_snapshot_has_them() {
    let mut probation = Probation::default();
    for block in [200, 236, 237] {
        probation.credit(lane(0), Class::Rollup, block, &params());
    }
    let passed = |snapshot| probation.passed(lane(0), Class::Rollup, snapshot, &params());
    assert_eq!([236, 237, 556].map(passed), [false, true, true]);
    let mut undone = probation.clone();
    undone.revert(237);
    assert!(!undone.passed(lane(0), Class::Rollup, 556, &params()));
    assert_eq!(undone.missing(lane(0), Class::Rollup, &params()), 1);
    assert_eq!(probation.missing(lane(0), Class::Rollup, &params()), 0);
    assert_eq!(probation.missing(lane(1), Class::Rollup, &params()), 3);
}

/// Lanes of ten provers: even ones proven in rollup work, the first `vms` also of class vm.
fn network(min_lanes: usize, vms: u32) -> Set {
    let params = Params { min_lanes, ..params() };
    let (mut members, mut probation) = (Members::default(), Probation::default());
    for number in 0..10 {
        let change = if number < vms { lanes(0, 1) } else { lanes(1, 0) };
        members.change(1, ProverId(number), change);
        let id = LaneId::new(ProverId(number), 0);
        for block in (1..4).filter(|_| number % 2 == 0) {
            probation.credit(id, Class::Rollup, block, &params);
        }
    }
    members.set(Epoch(0), &params, &probation, |it| it.prover() == ProverId(8))
}

#[test]
fn while_fewer_than_the_least_are_active_all_are() {
    // least, vm lanes, active of ten. Prover 8 is suspended; vm lanes have no vm credits.
    let rows = [
        (0, 0, 4),
        (4, 0, 4),
        (5, 0, 9),
        (9, 0, 9),
        (10, 0, 10),
        (0, 4, 2),
        // The vm class is short by itself: its four new lanes are active, the others are not.
        (2, 4, 6),
        // Both are: that the vm lanes could do the others' work keeps nobody waiting.
        (4, 4, 9),
        (10, 4, 10),
    ];
    for (least, vms, active) in rows {
        assert_eq!(network(least, vms).active().len(), active, "{least} with {vms} vm lanes");
    }
}

#[test]
fn lanes_on_probation_take_open_tasks_and_suspended_ones_nothing() {
    let set = network(4, 0);
    let id = |number| LaneId::new(ProverId(number), 0);
    let rows = [(0, true, true), (1, false, true), (8, false, false), (11, false, false)];
    for (number, active, open) in rows {
        assert_eq!(set.active().contains_key(&id(number)), active, "{number}");
        assert_eq!(set.may_take_open(id(number)), open, "{number}");
    }
    assert_eq!(set.lanes().count(), 10);
}

#[test]
fn splitting_a_stake_over_identities_changes_no_number_of_lanes() {
    let mut split = Members::default();
    (0..6).for_each(|number| split.change(1, ProverId(number), lanes(1, 0)));
    let whole = members(&[(1, lanes(6, 0))]);
    let count = |it: &Members| it.lanes(Epoch(0), &params()).len();
    assert_eq!((count(&split), count(&whole)), (6, 6));
}

#[test]
fn lane_numbers_are_those_of_the_registry() {
    let set = members(&[(1, lanes(2, 1))]).lanes(Epoch(0), &params());
    let expected = [(0, Class::Rollup), (1, Class::Rollup), (2, Class::Vm)];
    assert_eq!(set, expected.map(|(number, class)| (lane(number), class)).into());
}

/// What a prover has in an epoch, read by hand: every change in its order.
fn by_hand(changes: &[(u64, Change)], epoch: Epoch) -> (usize, usize) {
    let snapshot = epoch.snapshot_block(&params());
    let (mut have, mut paused) = ((0, 0), false);
    for &(number, change) in changes.iter().filter(|it| it.0 <= snapshot) {
        match change {
            Change::Lanes { rollup, vm } => have = (rollup.into(), vm.into()),
            Change::Leave => have = (0, 0),
            Change::Pause { epochs } => {
                let first = (0..).find(|&it| number <= Epoch(it).snapshot_block(&params()));
                paused |= epoch.0 < first.unwrap() + epochs;
            }
        }
    }
    if paused { (0, 0) } else { have }
}

fn random_changes(seed: u64) -> Vec<(u64, Change)> {
    let mut draws = Draws(seed);
    let mut number = 0;
    let mut change = || {
        number += draws.below(300);
        let small = |draws: &mut Draws| u16::try_from(draws.below(4)).unwrap();
        let change = match draws.below(5) {
            0 => Change::Leave,
            1 => Change::Pause { epochs: draws.below(4) },
            _ => lanes(small(&mut draws), small(&mut draws)),
        };
        (number, change)
    };
    (0..12).map(|_| change()).collect()
}

#[test]
fn any_history_gives_what_reading_it_by_hand_gives() {
    for seed in 0..200 {
        let changes = random_changes(seed);
        let expected: Vec<_> = (0..5).map(|epoch| by_hand(&changes, Epoch(epoch))).collect();
        assert_eq!(counts(&members(&changes)), expected, "seed {seed}: {changes:?}");
    }
}

/// A reorg at any depth: undone and applied again, nothing is different.
#[test]
fn undoing_any_history_is_exact() {
    for seed in 0..100 {
        let changes = random_changes(seed);
        for kept in 0..=changes.len() {
            let cut = changes.get(kept).map_or(u64::MAX, |it| it.0);
            let mut undone = members(&changes);
            undone.revert(cut);
            let before: Vec<_> = changes.iter().copied().filter(|it| it.0 < cut).collect();
            assert_eq!(undone, members(&before), "seed {seed} back to {cut}");
            let after = changes.iter().filter(|it| cut <= it.0);
            after.for_each(|&(number, change)| undone.change(number, P, change));
            assert_eq!(undone, members(&changes), "seed {seed} again from {cut}");
        }
    }
}

/// Pitfall 14: what one prover does shifts no other's lanes, classes or standing.
#[test]
fn nobodys_leaving_shifts_anothers_lanes() {
    let (mut with, mut without) = (Members::default(), Members::default());
    for number in 0..6 {
        with.change(1, ProverId(number), lanes(2, 1));
        if number != 3 {
            without.change(1, ProverId(number), lanes(2, 1));
        }
    }
    with.change(300, ProverId(3), Change::Leave);
    let read = |it: &Members, epoch| it.set(epoch, &params(), &Probation::default(), |_| false);
    let still = read(&with, Epoch(0));
    assert_eq!(still.lanes().count(), 18, "its duty ends with the epoch");
    assert_eq!(read(&with, Epoch(1)), read(&without, Epoch(1)));
}
