//! Bounds, boundaries and delays of parameters.

use super::*;
use crate::epoch::draws::Draws;

/// A change in epoch n is effective in epoch n + 3.
fn params() -> Params {
    Params { change_delay_epochs: 2, ..Params::devnet() }
}

fn tuning() -> Tuning {
    Tuning::new(params(), Deployment::Devnet).unwrap()
}

/// What a deployment on Ethereum starts from.
fn network() -> Params {
    Params {
        l1_block_s: 12,
        proving_blocks: 64,
        backup_blocks: 25,
        build_ahead_max: 7,
        p50_ms: [0, 30_000, 30_000, 30_000, 30_000, 30_000],
        subtree_units: 740,
        hot_levels: 7,
        hot_copies: 3,
        change_delay_epochs: 8,
        ..Params::devnet()
    }
}

/// Names of the fields, from how the type prints itself.
fn fields() -> Vec<String> {
    let text = format!("{:#?}", params());
    let top = text.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    top.filter_map(|line| Some(line.trim().split_once(": ")?.0.to_owned())).collect()
}

#[test]
fn every_parameter_has_a_row_in_the_order_of_the_type() {
    let named: Vec<&str> = BOUNDS.iter().map(|it| it.name).collect();
    assert_eq!(named, fields());
}

/// Each row reads the field that it names: where the values of two presets differ, so do the names.
#[test]
fn every_row_reads_its_own_field() {
    let text = format!("{:?}", params());
    for bound in &BOUNDS {
        let (_, rest) = text.split_once(&format!("{}: ", bound.name)).unwrap();
        let values: Vec<u128> = rest
            .trim_start_matches('[')
            .split([',', ']', ' ', '}'])
            .filter(|it| !it.is_empty())
            .map_while(|it| it.parse().ok())
            .collect();
        let read = (bound.read)(&params());
        let skip = usize::from(rest.starts_with('['));
        assert_eq!(read, values[skip..skip + read.len()], "{}", bound.name);
    }
}

#[test]
fn both_presets_are_in_their_bounds() {
    assert_eq!(check(&Params::devnet(), Deployment::Devnet), Ok(()));
    assert_eq!(check(&network(), Deployment::Network), Ok(()));
    assert_eq!(check(&network(), Deployment::Devnet), Ok(()), "a devnet's are wider");
}

#[test]
fn a_devnets_bounds_contain_the_networks() {
    for bound in &BOUNDS {
        assert_eq!(bound.network.is_some(), bound.devnet.is_some(), "{}", bound.name);
        let (Some(network), Some(devnet)) = (bound.network, bound.devnet) else { continue };
        assert!(devnet[0] <= network[0] && network[1] <= devnet[1], "{}", bound.name);
        assert!(network[0] <= network[1], "{}", bound.name);
    }
    assert_eq!(bounds(Deployment::Network).count() + 7, COUNT, "seven never change");
}

fn refused(name: &'static str, value: u128, least: u128, most: u128) -> Result<(), Refused> {
    Err(Refused::Bounds { name, value, least, most })
}

#[test]
fn a_number_out_of_bounds_is_named_with_its_limits() {
    let slow = [0, 30_000, 30_000, 3_600_001, 30_000, 30_000];
    let rows = [
        (Params { proving_blocks: 40, ..network() }, Ok(())),
        (Params { proving_blocks: 160, ..network() }, Ok(())),
        (Params { proving_blocks: 39, ..network() }, refused("proving_blocks", 39, 40, 160)),
        (Params { proving_blocks: 161, ..network() }, refused("proving_blocks", 161, 40, 160)),
        (Params { p50_ms: slow, ..network() }, refused("p50_ms", 3_600_001, 1_000, 3_600_000)),
        (Params { units: [0, 1, 1, 1, 1, 0], ..network() }, refused("units", 0, 1, 1_000_000)),
        (Params { hot_copies: 9, ..network() }, refused("hot_copies", 9, 1, 8)),
        (
            Params { payout_minimum: u128::MAX, ..network() },
            refused("payout_minimum", u128::MAX, 0, 10u128.pow(24)),
        ),
        (
            Params { change_delay_epochs: 3, ..network() },
            refused("change_delay_epochs", 3, 4, 1_024),
        ),
    ];
    for (params, expected) in rows {
        assert_eq!(check(&params, Deployment::Network), expected);
    }
}

#[test]
fn numbers_in_bounds_that_contradict_each_other_are_refused() {
    let rows = [
        (Params { prover_share_permille: 899, ..network() }, "a pool is split exactly"),
        (
            Params { coverage_full_permille: 600, coverage_min_permille: 700, ..network() },
            "suspended, yet paid in full",
        ),
        (
            Params { burnt_permille: 800, repairer_permille: 300, ..network() },
            "a bond is split once",
        ),
    ];
    for (params, reason) in rows {
        assert_eq!(check(&params, Deployment::Network), Err(Refused::Relation(reason)));
    }
}

#[test]
fn a_change_is_effective_at_a_boundary_after_its_delay() {
    let mut tuning = tuning();
    let next = Params { beat_ms: 2_000, ..params() };
    assert_eq!(tuning.announce(next.clone(), Epoch(10)), Ok(Epoch(13)));
    for (epoch, beat_ms) in [(0, 5_000), (10, 5_000), (12, 5_000), (13, 2_000), (99, 2_000)] {
        assert_eq!(tuning.at(Epoch(epoch)).beat_ms, beat_ms, "epoch {epoch}");
    }
    for (slot, beat_ms) in [(13 * 32 - 1, 5_000), (13 * 32, 2_000)] {
        assert_eq!(tuning.of_slot(Slot(slot)).beat_ms, beat_ms, "slot {slot}");
    }
    let pending = Some((Epoch(13), &next));
    for (epoch, expected) in [(10, pending), (12, pending), (13, None), (14, None)] {
        assert_eq!(tuning.next(Epoch(epoch)), expected, "epoch {epoch}");
    }
}

#[test]
fn an_announcement_replaces_one_that_is_not_effective_and_waits_anew() {
    let mut tuning = tuning();
    let beat = |beat_ms| Params { beat_ms, ..params() };
    assert_eq!(tuning.announce(beat(1_000), Epoch(10)), Ok(Epoch(13)));
    assert_eq!(tuning.announce(beat(2_000), Epoch(12)), Ok(Epoch(15)));
    assert_eq!(tuning.at(Epoch(13)).beat_ms, 5_000, "the first never comes");
    assert_eq!(tuning.at(Epoch(15)).beat_ms, 2_000);
    // One that is effective stays for its own epochs.
    assert_eq!(tuning.announce(beat(3_000), Epoch(15)), Ok(Epoch(18)));
    assert_eq!(
        [14, 15, 17, 18].map(|it| tuning.at(Epoch(it)).beat_ms),
        [5_000, 2_000, 2_000, 3_000]
    );
}

#[test]
fn a_shorter_delay_does_not_shorten_its_own() {
    let mut tuning = tuning();
    let short = Params { change_delay_epochs: 1, ..params() };
    assert_eq!(tuning.announce(short.clone(), Epoch(0)), Ok(Epoch(3)));
    assert_eq!(tuning.announce(short.clone(), Epoch(2)), Ok(Epoch(5)), "the old one is in force");
    assert_eq!(tuning.announce(short, Epoch(5)), Ok(Epoch(7)));
}

#[test]
fn a_refused_change_leaves_what_was_announced() {
    let mut tuning = tuning();
    tuning.announce(Params { beat_ms: 2_000, ..params() }, Epoch(1)).unwrap();
    let before = tuning.clone();
    let wrong = [
        Params { beat_ms: 60_001, ..params() },
        Params { epoch_slots: 64, ..params() },
        Params { sequencer_share_permille: 51, ..params() },
    ];
    for params in wrong {
        assert!(tuning.announce(params, Epoch(2)).is_err());
        assert_eq!(tuning, before);
    }
}

#[test]
fn what_slots_are_counted_by_never_changes() {
    let fixed = |name, value, stays| Err(Refused::Fixed { name, value, stays });
    let rows = [
        (Params { l1_block_s: 3, ..params() }, fixed("l1_block_s", 3, 2)),
        (Params { genesis_block: 301, ..params() }, fixed("genesis_block", 301, 300)),
        (Params { proposal_blocks: 6, ..params() }, fixed("proposal_blocks", 6, 5)),
        (Params { reveal_blocks: 6, ..params() }, fixed("reveal_blocks", 6, 5)),
        (Params { epoch_slots: 33, ..params() }, fixed("epoch_slots", 33, 32)),
        (Params { snapshot_lag_blocks: 65, ..params() }, fixed("snapshot_lag_blocks", 65, 64)),
        (Params { undo_blocks_max: 65, ..params() }, fixed("undo_blocks_max", 65, 64)),
    ];
    for (next, expected) in rows {
        assert_eq!(tuning().announce(next, Epoch(0)), expected);
    }
}

#[test]
fn what_changes_is_listed_with_both_values() {
    let next =
        Params { beat_ms: 2_000, p50_ms: [0, 240_000, 300_000, 1, 300_000, 360_000], ..params() };
    assert_eq!(changes(&params(), &next), [("p50_ms", 300_000, 1), ("beat_ms", 5_000, 2_000)]);
    assert_eq!(changes(&params(), &params()), []);
}

#[test]
fn history_is_bounded_and_keeps_the_newest() {
    let mut tuning = tuning();
    for change in 0..40 {
        let next = Params { beat_ms: 1_000 + change, ..params() };
        let from = tuning.announce(next, Epoch(change * 3)).unwrap();
        assert_eq!(tuning.at(from).beat_ms, 1_000 + change);
        assert!(tuning.history.len() <= HISTORY_MAX);
    }
    assert_eq!(tuning.at(Epoch(119)).beat_ms, 1_038);
    assert_eq!(tuning.at(Epoch(0)).beat_ms, 1_032, "for older epochs the oldest that is kept");
}

#[test]
fn a_network_does_not_start_with_numbers_that_stop_it() {
    let wrong = Params { hedge_permille: 1_000, ..network() };
    let found = Tuning::new(wrong, Deployment::Network).err();
    let expected = refused("hedge_permille", 1_000, 1_100, 5_000).err();
    assert_eq!(found, expected);
}

type Set = fn(&mut Params, u64);

/// One row for each kind of number: the value just outside each end is refused by name.
#[test]
fn both_ends_of_a_bound_are_inside_and_their_neighbours_outside() {
    let setters: [(&str, Set); 14] = [
        ("proving_blocks", |it, value| it.proving_blocks = value),
        ("backup_blocks", |it, value| it.backup_blocks = value),
        ("build_ahead_max", |it, value| it.build_ahead_max = value),
        ("beat_ms", |it, value| it.beat_ms = value),
        ("missed_beats", |it, value| it.missed_beats = value),
        ("watchers", |it, value| it.watchers = usize::try_from(value).unwrap()),
        ("replicas_crown", |it, value| it.replicas_crown = usize::try_from(value).unwrap()),
        ("hot_levels", |it, value| it.hot_levels = u8::try_from(value).unwrap()),
        ("hedge_permille", |it, value| it.hedge_permille = value),
        ("slack_permille", |it, value| it.slack_permille = value),
        ("carry_max", |it, value| it.carry_max = value),
        ("takeover_share_permille", |it, value| it.takeover_share_permille = value),
        ("suspension_max_epochs", |it, value| it.suspension_max_epochs = value),
        ("change_delay_epochs", |it, value| it.change_delay_epochs = value),
    ];
    for (name, set) in setters {
        let (_, least, most) = bounds(Deployment::Network).find(|it| it.0 == name).unwrap();
        let with = |value: u128| {
            let mut params = network();
            set(&mut params, u64::try_from(value).unwrap());
            check(&params, Deployment::Network)
        };
        assert_eq!((with(least), with(most)), (Ok(()), Ok(())), "{name}");
        assert_eq!(with(most + 1), refused(name, most + 1, least, most));
        if let Some(below) = least.checked_sub(1) {
            assert_eq!(with(below), refused(name, below, least, most));
        }
    }
}

/// Any walk of announcements against a plain list of what is due when.
#[test]
fn any_walk_of_announcements_gives_the_last_word_that_is_due() {
    for seed in 0..100 {
        let mut draws = Draws(seed);
        let mut tuning = tuning();
        let mut in_force = params().beat_ms;
        let mut due: Option<(Epoch, u64)> = None;
        for number in 0..40 {
            let now = Epoch(number);
            if let Some((from, beat_ms)) = due.filter(|it| it.0 == now) {
                assert!(from == now);
                (in_force, due) = (beat_ms, None);
            }
            assert_eq!(tuning.at(now).beat_ms, in_force, "seed {seed}, epoch {number}");
            let next = tuning.next(now).map(|(from, params)| (from, params.beat_ms));
            assert_eq!(next, due, "seed {seed}, epoch {number}");
            if draws.once_in(4) {
                let beat_ms = 100 + draws.below(60_000);
                let said = tuning.announce(Params { beat_ms, ..params() }, now).ok();
                let inside = beat_ms <= 60_000;
                assert_eq!(said, inside.then_some(now.after(3)), "seed {seed}: {beat_ms}");
                due = said.map(|from| (from, beat_ms)).or(due);
            }
        }
    }
}
