//! Seeds settle, digests repeat, and the mistakes that an agent could make are caught.

use super::*;

/// A world of a few agents in which half of them stop, with all faults.
fn small() -> WorldOptions {
    let standard = WorldOptions::default();
    WorldOptions {
        agents: [6, 8],
        lanes: [1, 2],
        txs: [2, 8],
        prover: ProverOptions { crash_every: 700, ..standard.prover.clone() },
        kills: vec![Kill { share: 500, at: Moment::Scattered }],
        ..standard
    }
}

/// The same world without any fault.
fn quiet() -> WorldOptions {
    WorldOptions { agents: [6, 8], txs: [2, 8], ..WorldOptions::calm() }
}

/// Runs a range of seeds and requires that all of them settle.
fn check_all(seeds: core::ops::Range<u64>, options: &WorldOptions) -> Vec<Outcome> {
    let outcomes: Vec<Outcome> = seeds.map(|seed| run(seed, options)).collect();
    for outcome in &outcomes {
        assert!(outcome.is_good(), "{outcome:?}");
    }
    outcomes
}

/// How many of some worlds with a mistake in every agent are caught by a check, by a block that
/// never settles, or by an assertion of the core.
fn caught(mutation: Mutation, worlds: u64) -> usize {
    let mut options = WorldOptions { agents: [10, 12], mutation, ..small() };
    options.prover.crash_every = 300;
    match mutation {
        Mutation::AcceptEverything => options.behaviours = vec![(Behaviour::Liar, 100)],
        // Some proofs take longer than their claims may.
        Mutation::DropCap => {
            options = WorldOptions { mutation, ..quiet() };
            options.prover.speeds = vec![[500, 2_500]];
        }
        Mutation::OneReplica | Mutation::SwallowReleases => {
            options = WorldOptions { mutation, ..quiet() };
            options.prover.failure = 100;
        }
        // One kernel fails for every lane of the smaller class.
        Mutation::IgnoreQuarantine => {
            options = WorldOptions { mutation, calls: [1, 2], ..quiet() };
            options.sequencer = Sequencer::RollupKiller;
            options.prover.failure = 100;
        }
        // The next in line sends its root while the first one waits for its block.
        Mutation::PayTwice => options.l1.inclusion = [4, 8],
        Mutation::None
        | Mutation::SpeakBeforePersist
        | Mutation::LoseLastRecord
        | Mutation::ForgetJournal
        | Mutation::DeafToLosses
        | Mutation::NoBeats
        | Mutation::IgnoreUndo
        | Mutation::DropChildren
        | Mutation::RootFirst
        | Mutation::DoubleVote
        | Mutation::ReuseNumbers
        | Mutation::BeatForAll
        | Mutation::StealPay => (),
    }
    let is_caught = |&seed: &u64| {
        let outcome = std::panic::catch_unwind(|| run(seed, &options));
        outcome.map_or(true, |it| !it.is_good())
    };
    (0..worlds).filter(is_caught).count()
}

#[test]
fn a_hundred_seeds_with_loss_crashes_reorgs_and_half_of_the_provers_stopped_settle() {
    let outcomes = check_all(0..100, &small());
    let count = |it: fn(&Outcome) -> u64| outcomes.iter().map(it).sum::<u64>();
    assert!(100 < count(|it| it.crashes), "the worlds have hardly any crashes");
    assert!(300 < count(|it| it.undone), "the worlds have hardly any reorgs");
    assert!(190 < count(|it| it.slots), "hardly any world has both of its blocks");
    assert!(100 < count(|it| it.takeovers), "hardly anything was taken over");
}

#[test]
fn crashes_every_few_actions_and_deep_reorgs_settle_too() {
    let mut options = small();
    options.prover.crash_every = 150;
    options.l1.reorg = 150;
    check_all(1_000..1_020, &options);
}

#[test]
fn agents_that_are_cut_off_for_a_while_settle_too() {
    let mut options = small();
    options.mesh.cut = 80;
    options.mesh.cut_ms = [2_000, 60_000];
    check_all(3_000..3_020, &options);
}

/// The devnet's size: one lane each, and down to one agent that is left.
#[test]
fn networks_of_one_to_four_agents_settle() {
    for (agents, stopped) in [(1, 0), (2, 500), (3, 340), (3, 670), (4, 340)] {
        let mut options = WorldOptions {
            agents: [agents; 2],
            lanes: [1, 1],
            txs: [1, 3],
            calls: [0, 1],
            vm: 1000,
            kills: vec![Kill { share: stopped, at: Moment::Scattered }],
            behaviours: Vec::new(),
            ..small()
        };
        options.prover.crash_every = 400;
        check_all(0..20, &options);
    }
}

#[test]
fn four_of_five_provers_may_stop() {
    let kills = vec![Kill { share: 800, at: Moment::Scattered }];
    let options = WorldOptions { kills, agents: [10, 10], ..small() };
    check_all(2_000..2_008, &options);
}

#[test]
fn a_calm_world_wastes_nothing_and_ends_close_to_the_bound() {
    for outcome in check_all(0..10, &quiet()) {
        assert_eq!((outcome.crashes, outcome.undone), (0, 0));
        assert_eq!((outcome.takeovers, outcome.proofs_lost), (0, 0));
        // Two of three blocks are long over when the last one is proved.
        let most = outcome.tree_bound_ms * 13 / 10 + 30_000;
        assert!(outcome.makespan_ms <= most, "{outcome:?}");
        assert!(outcome.lower_bound_ms <= outcome.tree_bound_ms, "{outcome:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..10 {
        assert_eq!(run(seed, &small()), run(seed, &small()));
    }
}

#[test]
fn other_seeds_and_other_options_are_other_worlds() {
    let digests: std::collections::BTreeSet<String> =
        (0..20).map(|seed| run(seed, &small()).digest).collect();
    assert_eq!(digests.len(), 20);
    assert_ne!(run(1, &quiet()).digest, run(1, &small()).digest);
}

#[test]
fn the_bar_world_takes_over_from_those_who_were_killed() {
    let options = WorldOptions::bar(16, 3, 32, 32);
    let calm = run(1, &options);
    assert!(calm.is_good() && calm.takeovers == 0, "{calm:?}");
    assert_eq!((calm.lower_bound_ms, calm.tree_bound_ms), (300_000, 300_000));
    for at in [Moment::After(100_000), Moment::Worst] {
        let kills = vec![Kill { share: 500, at }];
        let outcome = run(1, &WorldOptions { kills, ..options.clone() });
        assert!(outcome.is_good() && 0 < outcome.takeovers, "{outcome:?}");
        assert!(outcome.takeover_p50_ms <= outcome.takeover_p99_ms, "{outcome:?}");
    }
}

/// How many of three worlds, built to show the mistake, are caught.
fn check_mutation(mutation: Mutation, least: usize) {
    let found = caught(mutation, 3);
    assert!(least <= found, "{mutation:?} ({}) was caught in {found} of 3 worlds", mutation.says());
}

#[test]
fn mistakes_of_the_shell_are_caught() {
    check_mutation(Mutation::SpeakBeforePersist, 3);
    check_mutation(Mutation::ForgetJournal, 2);
    check_mutation(Mutation::LoseLastRecord, 1);
    check_mutation(Mutation::NoBeats, 3);
    check_mutation(Mutation::IgnoreUndo, 2);
    check_mutation(Mutation::AcceptEverything, 2);
    check_mutation(Mutation::DropChildren, 3);
    check_mutation(Mutation::DeafToLosses, 3);
}

#[test]
fn mistakes_of_the_core_are_caught() {
    check_mutation(Mutation::DropCap, 1);
    check_mutation(Mutation::OneReplica, 3);
    check_mutation(Mutation::PayTwice, 1);
    check_mutation(Mutation::RootFirst, 3);
    check_mutation(Mutation::DoubleVote, 3);
    check_mutation(Mutation::ReuseNumbers, 3);
    check_mutation(Mutation::BeatForAll, 3);
    check_mutation(Mutation::StealPay, 3);
    check_mutation(Mutation::SwallowReleases, 2);
    check_mutation(Mutation::IgnoreQuarantine, 2);
}

/// Every built-in world at a third of its size.
#[test]
fn every_built_in_world_keeps_its_invariants() {
    for scenario in Scenario::all() {
        let options = WorldOptions { agents: [10, 10], txs: [4, 4], ..scenario.options };
        let outcome = run(1, &options);
        assert!(outcome.is_good(), "{}: {outcome:?}", scenario.name);
    }
}

/// R13.1: what is dealt to lanes without the keys waits for the ranks, as a free lane's task would,
/// and not for silence (half a minute in this world).
#[test]
fn in_a_change_over_nobody_waits_for_lanes_without_keys() {
    let Some(world) = Scenario::named("change-over") else { panic!("no such world") };
    let outcomes = check_all(1..9, &world.options);
    let found = outcomes.iter().filter(|it| 0 < it.takeovers);
    assert!(2 <= found.clone().count(), "{outcomes:?}");
    let slow = found.filter(|it| 5_000 < it.takeover_p50_ms);
    assert_eq!(slow.collect::<Vec<_>>(), Vec::<&Outcome>::new());
    let lines = story(1, &world.options).1;
    for wanted in ["lacks the keys for slot 1", "has the keys for slot 3", "is taken over after"] {
        assert!(lines.iter().any(|it| it.contains(wanted)), "nobody {wanted}");
    }
}

#[test]
fn a_story_tells_claims_crashes_and_settlements_in_order_of_time() {
    let (outcome, lines) = story(3, &small());
    assert_eq!(outcome, run(3, &small()), "telling changes nothing");
    for wanted in ["is revealed with", "claims base/", "made root", "is settled", "vanish for good"]
    {
        assert!(lines.iter().any(|it| it.contains(wanted)), "nobody {wanted}: {lines:#?}");
    }
    let times: Vec<&str> = lines.iter().map(|it| &it[..7]).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn honest_lanes_earn_more_than_phantoms() {
    let [honest, other] = income(Behaviour::Phantom, 1);
    assert!(other.income_per_lane_epoch < honest.income_per_lane_epoch, "{honest:?} {other:?}");
    assert_eq!((honest.kind, other.kind, honest.settled_thousandths), ("honest", "phantom", 1_000));
}

#[test]
fn without_a_mistake_nothing_is_caught() {
    assert_eq!(caught(Mutation::None, 5), 0);
}

#[test]
fn the_feed_shows_one_view_per_second_of_a_living_world() {
    let mut feed = feed::Feed::new(3);
    let views: Vec<protocol::View> = (0..900).map(|_| feed.step().clone()).collect();
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
