//! One set follows another without an instant in which no slot can be proved.

use super::*;
use crate::domain::ProverId;
use crate::epoch::draws::Draws;

fn params() -> Params {
    Params { change_delay_epochs: 2, changeover_epochs: 3, ..Params::devnet() }
}

const fn set(version: u32) -> CircuitSet {
    CircuitSet { id: [version as u8; 32], version }
}

/// Set 1 from the start; set 2 announced in epoch 10, valid from 13, alone from 16.
fn sets() -> Sets {
    let mut sets = Sets::new(set(1));
    assert_eq!(sets.announce(set(2), Epoch(10), &params()), Ok(Epoch(13)));
    sets
}

fn versions(sets: &Sets, epoch: u64) -> Vec<u32> {
    sets.valid(Epoch(epoch), &params()).iter().map(|it| it.version).collect()
}

#[test]
fn two_sets_are_valid_during_a_change_over_and_one_otherwise() {
    let rows: [(u64, &[u32]); 8] = [
        (0, &[1]),
        (10, &[1]),
        (12, &[1]),
        (13, &[2, 1]),
        (15, &[2, 1]),
        (16, &[2]),
        (17, &[2]),
        (u64::MAX, &[2]),
    ];
    for (epoch, expected) in rows {
        assert_eq!(versions(&sets(), epoch), expected, "epoch {epoch}");
        assert_eq!(sets().current(Epoch(epoch)).version, expected[0], "epoch {epoch}");
    }
}

#[test]
fn a_slot_uses_the_set_that_its_reveal_may_name() {
    let other = Some([9; 32]);
    let (one, two) = (Some(set(1).id), Some(set(2).id));
    let rows = [
        (12, None, Some(1)),
        (12, one, Some(1)),
        (12, two, None),
        (13, None, Some(2)),
        (13, one, Some(1)),
        (13, two, Some(2)),
        (16, one, None),
        (16, None, Some(2)),
        (13, other, None),
    ];
    for (epoch, named, expected) in rows {
        let found = sets().of_reveal(Epoch(epoch), named, &params()).map(|it| it.version);
        assert_eq!(found, expected, "epoch {epoch}, {named:?}");
    }
}

#[test]
fn a_later_announcement_changes_no_slot_that_is_revealed() {
    let mut sets = sets();
    let before: Vec<_> = (0..18).map(|it| versions(&sets, it)).collect();
    assert_eq!(sets.announce(set(3), Epoch(17), &params()), Ok(Epoch(20)));
    let after: Vec<_> = (0..18).map(|it| versions(&sets, it)).collect();
    assert_eq!(before, after);
    assert_eq!(
        [19, 20, 22, 23].map(|it| versions(&sets, it)),
        [vec![2], vec![3, 2], vec![3, 2], vec![3]]
    );
}

#[test]
fn sets_are_announced_one_at_a_time_and_upwards() {
    let pending = Err(Refused::Pending { until: Epoch(16) });
    let rows = [
        (set(3), 10, pending),
        (set(3), 13, pending),
        (set(3), 15, pending),
        (set(3), 16, Ok(Epoch(19))),
        (set(2), 16, Err(Refused::Known)),
        (set(1), 16, Err(Refused::Known)),
        (
            CircuitSet { id: [7; 32], version: 2 },
            16,
            Err(Refused::Version { version: 2, newest: 2 }),
        ),
        (
            CircuitSet { id: [7; 32], version: 0 },
            16,
            Err(Refused::Version { version: 0, newest: 2 }),
        ),
    ];
    for (next, now, expected) in rows {
        let mut changed = sets();
        assert_eq!(changed.announce(next, Epoch(now), &params()), expected, "{next:?} at {now}");
        assert_eq!(changed == sets(), expected.is_err(), "{next:?} at {now}");
    }
}

#[test]
fn an_announcement_is_seen_until_it_is_valid() {
    let expected = Some((set(2), Epoch(13)));
    for (epoch, announced) in [(10, expected), (12, expected), (13, None), (20, None)] {
        assert_eq!(sets().announced(Epoch(epoch)), announced, "epoch {epoch}");
    }
    assert_eq!(Sets::new(set(1)).announced(Epoch(0)), None);
}

#[test]
fn old_sets_are_forgotten_but_never_one_that_is_valid() {
    let mut sets = Sets::new(set(1));
    let mut now = 0;
    for version in 2..40 {
        let from = sets.announce(set(version), Epoch(now), &params()).unwrap();
        assert_eq!(versions(&sets, from.0), [version, version - 1]);
        now = from.0 + 3;
    }
    assert_eq!(sets.sets.len(), SETS_MAX);
    assert_eq!(versions(&sets, now), [39]);
}

#[test]
fn a_lane_proves_every_set_but_those_it_said_it_lacks() {
    let [one, two] = [1, 2].map(|it| LaneId::new(ProverId(it), 0));
    let mut adverts = Adverts::default();
    assert!(!adverts.advertise(one, set(2).id, true), "that was so before");
    assert!(adverts.advertise(one, set(2).id, false) && !adverts.advertise(one, set(2).id, false));
    let can = |adverts: &Adverts, it| [1, 2].map(|version| adverts.can_prove(it, set(version).id));
    assert_eq!((can(&adverts, one), can(&adverts, two)), ([true, false], [true, true]));
    assert!(adverts.advertise(one, set(2).id, true));
    assert_eq!(can(&adverts, one), [true, true], "the last word counts");
}

#[test]
fn what_a_lane_lacks_is_bounded() {
    let lane = LaneId::new(ProverId(1), 0);
    let mut adverts = Adverts::default();
    assert!((0..100).all(|it| adverts.advertise(lane, [it; 32], false)));
    let lacked = (0..100).filter(|&it| !adverts.can_prove(lane, [it; 32]));
    assert!(lacked.eq(92..100), "the newest {SETS_MAX} are remembered");
}

/// Any walk of announcements: an epoch always has a set, a change-over always has its old one, and
/// versions never go back.
#[test]
fn no_epoch_is_without_circuits_and_none_goes_back() {
    for seed in 0..100 {
        let mut draws = Draws(seed);
        let mut sets = Sets::new(set(0));
        let params = Params {
            change_delay_epochs: 1 + draws.below(3),
            changeover_epochs: 1 + draws.below(4),
            ..params()
        };
        let (mut version, mut last) = (0, 0);
        for epoch in 0..60 {
            let announced = sets.announced(Epoch(epoch)).is_some();
            if draws.once_in(3) && sets.announce(set(version + 1), Epoch(epoch), &params).is_ok() {
                assert!(!announced, "seed {seed}: two at once");
                version += 1;
            }
            let valid = sets.valid(Epoch(epoch), &params);
            assert!(valid.is_sorted_by(|a, b| b.version < a.version), "seed {seed}: {valid:?}");
            assert!(last <= valid[0].version, "seed {seed}: back to {valid:?}");
            assert!(valid.get(1).is_none_or(|it| it.version + 1 == valid[0].version));
            if last < valid[0].version {
                assert_eq!(valid.len(), 2, "seed {seed}: the old one ends at once");
            }
            last = valid[0].version;
        }
        assert!(3 < version, "seed {seed} announced {version}");
    }
}

#[test]
fn a_delay_and_a_change_over_are_whole_epochs() {
    // delay, change-over; first epoch of the new set, first without the old one
    for (delay, over, first, alone) in [(1, 1, 7, 8), (1, 4, 7, 11), (8, 1, 14, 15), (2, 3, 8, 11)]
    {
        let params = Params { change_delay_epochs: delay, changeover_epochs: over, ..params() };
        let mut sets = Sets::new(set(1));
        assert_eq!(sets.announce(set(2), Epoch(5), &params), Ok(Epoch(first)));
        let count = |epoch| sets.valid(Epoch(epoch), &params).len();
        let found = [first - 1, first, alone - 1, alone].map(count);
        assert_eq!(found, [1, 2, 2, 1], "{delay} {over}");
    }
}
