//! Seeds settle, digests repeat, and the mistakes that a shell could make are caught.

use super::*;

/// Runs a range of seeds and requires that all of them settle.
fn check_all(seeds: core::ops::Range<u64>, options: &WorldOptions) -> Vec<Outcome> {
    let outcomes: Vec<Outcome> = seeds.map(|seed| run(seed, options)).collect();
    for outcome in &outcomes {
        assert!(outcome.settled, "{outcome:?}");
    }
    outcomes
}

/// How many of some worlds with a mistake in every shell are caught by a check, by a block that
/// never settles, or by an assertion of the core.
fn caught(mutation: Mutation, worlds: u64) -> usize {
    let options = WorldOptions {
        agents: [10, 12],
        crash_every: 300,
        liar: if mutation == Mutation::AcceptEverything { 1_000 } else { 200 },
        mutation,
        ..WorldOptions::default()
    };
    let is_caught = |&seed: &u64| {
        let outcome = std::panic::catch_unwind(|| run(seed, &options));
        outcome.map_or(true, |it| !it.settled)
    };
    (0..worlds).filter(is_caught).count()
}

#[test]
fn a_hundred_seeds_with_loss_crashes_reorgs_and_half_of_the_provers_stopped_settle() {
    let outcomes = check_all(0..100, &WorldOptions::default());
    let count = |it: fn(&Outcome) -> u64| outcomes.iter().map(it).sum::<u64>();
    assert!(100 < count(|it| it.crashes), "the worlds have hardly any crashes");
    assert!(300 < count(|it| it.undone), "the worlds have hardly any reorgs");
    assert!(190 < count(|it| it.slots), "hardly any world has both of its blocks");
}

#[test]
fn crashes_every_few_actions_and_deep_reorgs_settle_too() {
    let options = WorldOptions { crash_every: 150, reorg: 150, ..WorldOptions::default() };
    check_all(1_000..1_020, &options);
}

#[test]
fn agents_that_are_cut_off_for_a_while_settle_too() {
    let options = WorldOptions { cut: 80, ..WorldOptions::default() };
    check_all(3_000..3_020, &options);
}

/// The devnet's size: one lane each, and down to one agent that is left.
#[test]
fn networks_of_one_to_four_agents_settle() {
    for (agents, stopped) in [(1, 0), (2, 500), (3, 340), (3, 670), (4, 340)] {
        let options = WorldOptions {
            agents: [agents; 2],
            lanes: [1, 1],
            txs: [1, 3],
            calls: [0, 1],
            stopped,
            crash_every: 400,
            liar: 0,
            ..WorldOptions::default()
        };
        check_all(0..20, &options);
    }
}

#[test]
fn four_of_five_provers_may_stop() {
    let options = WorldOptions { stopped: 800, agents: [10, 10], ..WorldOptions::default() };
    check_all(2_000..2_008, &options);
}

#[test]
fn a_calm_world_wastes_nothing_and_ends_close_to_the_bound() {
    for outcome in check_all(0..10, &WorldOptions::calm()) {
        assert_eq!(outcome.wasted_thousandths, 0, "{outcome:?}");
        assert_eq!((outcome.crashes, outcome.undone), (0, 0));
        // Proofs take up to 1.4 times the usual time, and L1 takes up to three blocks.
        let most = outcome.lower_bound_ms * 14 / 10 + 36_000;
        assert!(outcome.makespan_ms <= most, "{outcome:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..10 {
        let options = WorldOptions::default();
        assert_eq!(run(seed, &options), run(seed, &options));
    }
}

#[test]
fn other_seeds_and_other_options_are_other_worlds() {
    let digests: std::collections::BTreeSet<String> =
        (0..20).map(|seed| run(seed, &WorldOptions::default()).digest).collect();
    assert_eq!(digests.len(), 20);
    assert_ne!(run(1, &WorldOptions::calm()).digest, run(1, &WorldOptions::default()).digest);
}

#[test]
fn speaking_before_the_record_is_durable_is_caught() {
    assert_eq!(caught(Mutation::SpeakBeforePersist, 5), 5);
}

#[test]
fn a_disk_that_loses_acknowledged_records_is_caught() {
    assert!(3 <= caught(Mutation::LoseLastRecord, 10));
    assert!(3 <= caught(Mutation::ForgetJournal, 10));
}

#[test]
fn a_mesh_that_drops_loss_notices_or_beats_is_caught() {
    assert_eq!(caught(Mutation::DeafToLosses, 5), 5);
    assert_eq!(caught(Mutation::NoBeats, 5), 5);
}

#[test]
fn a_follower_that_hides_reorgs_is_caught() {
    assert!(7 <= caught(Mutation::IgnoreUndo, 10));
}

#[test]
fn a_shell_that_believes_announced_proofs_is_caught() {
    assert!(5 <= caught(Mutation::AcceptEverything, 10));
}

#[test]
fn a_prover_that_drops_its_inputs_is_caught() {
    assert_eq!(caught(Mutation::DropChildren, 3), 3);
}

#[test]
fn every_mistake_has_a_test() {
    assert_eq!(Mutation::ALL.len(), 8);
    assert!(!Mutation::ALL.contains(&Mutation::None));
}

#[test]
fn without_a_mistake_nothing_is_caught() {
    assert_eq!(caught(Mutation::None, 5), 0);
}

#[test]
fn the_feed_shows_one_view_per_second_of_a_living_world() {
    let views: Vec<protocol::View> = feed::Feed::new(3).take(600).collect();
    assert!(views.is_sorted_by_key(|it| it.now));
    assert!(views.windows(2).all(|pair| pair[1].now.since(pair[0].now) < 60_000));
    let state = |wanted: &str| {
        let nodes = views.iter().flat_map(|it| &it.slots).flat_map(|it| &it.nodes);
        nodes.filter(|it| it.state == wanted).count()
    };
    for wanted in ["todo", "ready", "claimed", "proving", "made", "delivered"] {
        assert!(0 < state(wanted), "no node was ever {wanted}");
    }
    let phases: std::collections::BTreeSet<&str> =
        views.iter().flat_map(|it| &it.slots).map(|it| it.phase).collect();
    for wanted in ["proposal", "reveal", "proving", "settled"] {
        assert!(phases.contains(wanted), "no slot was ever in {wanted}: {phases:?}");
    }
}
