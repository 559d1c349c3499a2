//! Who is told what: audiences, repeats, introductions, and those that come new to a task.

use super::{Bench, Do, lane};
use crate::{
    domain::{LaneId, ProverId},
    io::{Action, Audience, Message},
    params::Params,
};

/// Twelve provers, two ranks inside a subtree, four in the crown.
fn small() -> Params {
    Params { replicas_subtree: 2, replicas_crown: 4, watchers: 2, ..super::bench::params() }
}

fn bench(own: u32, script: &[Do]) -> Bench {
    let mut bench = Bench::with(Some(own), 12, &[1, 0], small());
    [Do::Reveal, Do::Plan].iter().chain(script).for_each(|what| bench.run(what));
    bench
}

/// The lane that ranks at this place for a node, as everybody computes it.
fn ranked(name: &str, rank: usize) -> u32 {
    ranked_after(&[], name, rank)
}

fn ranked_after(script: &[Do], name: &str, rank: usize) -> u32 {
    let all = (0..12).find_map(|own| {
        let bench = bench(own, script);
        let round = bench.round();
        let it = round.task(round.find(bench.named(name)).unwrap())?;
        Some(it.order[rank].prover().0)
    });
    all.unwrap()
}

/// Those who are told the messages of this kind, in order.
fn told(bench: &Bench, is: impl Fn(&Message) -> bool) -> Vec<Option<Vec<u32>>> {
    let audience = |to: &Audience| match to {
        Audience::Everyone => None,
        Audience::Provers(all) => Some(all.iter().map(|it| it.0).collect()),
    };
    let said = bench.actions.iter().filter_map(|it| {
        let (Action::Send { message, to } | Action::Relay { message, to }) = it else {
            return None;
        };
        is(message).then_some(to)
    });
    said.map(audience).collect()
}

fn provers(lanes: impl IntoIterator<Item = LaneId>, own: u32) -> Vec<u32> {
    let mut all: Vec<u32> = lanes.into_iter().map(|it| it.prover().0).collect();
    all.retain(|&it| it != own);
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_claim_and_its_release_are_heard_by_those_who_follow_the_task() {
    let own = ranked("base/1", 0);
    let bench = bench(own, &[Do::Started("base/1"), Do::Failed("base/1")]);
    let followers = provers(bench.known("base/1").order.to_vec(), own);
    assert_eq!(followers.len(), 1);
    let claims = told(&bench, |it| matches!(it, Message::Claim { .. }));
    let releases = told(&bench, |it| matches!(it, Message::Release { .. }));
    assert_eq!((claims, releases), (vec![Some(followers.clone())], vec![Some(followers)]));
}

#[test]
fn a_proof_is_told_to_followers_of_its_task_and_of_its_parents() {
    // (task, its parent): inside a subtree, its top, the crown.
    for (name, parent, least) in
        [("kernel/0.0", "base/0", 1), ("base/1", "merge/1.0", 3), ("merge/1.0", "root", 3)]
    {
        let own = ranked(if name == "merge/1.0" { "base/1" } else { name }, 0);
        let mut bench = bench(own, &[]);
        if name == "merge/1.0" {
            bench.run(&Do::Proved("base/1"));
        }
        bench.forget_log();
        // Where the lane claimed something else, it tells of it under a claim of its own.
        bench.run(&Do::Proved(name));
        let follow = [name, parent].map(|it| bench.known(it).order.clone());
        let expected = provers(follow.concat(), own);
        let made = told(&bench, |it| matches!(it, Message::Made { .. }));
        assert_eq!(made.first(), Some(&Some(expected.clone())), "{name}");
        assert!(least <= expected.len(), "{name}: {expected:?}");
    }
}

#[test]
fn the_root_goes_to_everybody_and_then_to_those_who_do_not_answer() {
    let mut bench = bench(0, &[Do::Proved("root")]);
    let made = |bench: &Bench| told(bench, |it| matches!(it, Message::Made { .. }));
    assert_eq!(made(&bench), [None]);
    bench.forget_log();
    (1..10).for_each(|it| bench.run(&Do::Held(it, 0, "root")));
    bench.run(&Do::Beats(5, &[]));
    assert_eq!(made(&bench), [Some(vec![10, 11])]);
    bench.forget_log();
    (10..12).for_each(|it| bench.run(&Do::Held(it, 0, "root")));
    assert!(bench.take_log().contains("persist ended 0#1 delivered\n"));
    bench.run(&Do::Beats(20, &[]));
    assert_eq!(made(&bench), []);
}

#[test]
fn a_proof_is_repeated_with_every_beat_until_it_is_acknowledged() {
    let own = ranked("base/1", 0);
    let mut bench = bench(own, &[Do::Proved("base/1")]);
    let made = |bench: &Bench| told(bench, |it| matches!(it, Message::Made { .. }));
    let mut missing = provers(bench.known("merge/1.0").order.to_vec(), own);
    assert!(3 <= missing.len(), "{missing:?}");
    while let Some(answers) = missing.pop() {
        bench.run(&Do::Held(answers, own, "base/1"));
        bench.forget_log();
        bench.run(&Do::Beats(5, &[]));
        let expected: Vec<_> =
            (!missing.is_empty()).then(|| Some(missing.clone())).into_iter().collect();
        assert_eq!(made(&bench), expected);
    }
}

/// A lane that moved up tells its claim to those above as well (R5.1): whoever heard it and not the
/// proof would take the lane for capped.
#[test]
fn who_heard_a_claim_hears_its_proof() {
    let gone = ranked("vm/0.0", 0);
    let mut claimed = 0;
    for own in (0..12).filter(|&it| it != gone) {
        let mut bench = bench(own, &[]);
        let (set, slot, n) = (super::bench::SET, bench.slot, 1);
        bench.hear(Message::Advert { lane: lane(gone), slot, set, n, able: false });
        bench.wait(100);
        let task = bench.named("vm/0.0");
        let about = |it: &Message| matches!(it, Message::Claim { task: of, .. } if *of == task);
        let Some(Some(claim)) = told(&bench, about).first().cloned() else { continue };
        bench.run(&Do::Proved("vm/0.0"));
        let made = told(&bench, |it| matches!(it, Message::Made { .. }));
        let Some(Some(made)) = made.first() else { panic!("{made:?}") };
        assert!(2 < claim.len() && claim.iter().all(|it| made.contains(it)), "{claim:?} {made:?}");
        claimed += 1;
    }
    assert_eq!(claimed, 1);
}

#[test]
fn a_beat_goes_to_the_watchers_and_twice_to_everybody_if_the_lane_is_doubted() {
    let mut bench = bench(0, &[]);
    let mut watchers = provers(bench.round().watchers(lane(0), 2), 0);
    let beats = |bench: &Bench| told(bench, |it| matches!(it, Message::Beat { .. }));
    assert_eq!(beats(&bench), [Some(watchers.clone())]);
    let later = bench.round().deal.watchers(lane(0)).iter().map(|it| it.prover().0);
    let doubts = later.clone().find(|it| !watchers.contains(it)).unwrap();
    bench.forget_log();
    bench.run(&Do::Loss(doubts, 0));
    assert_eq!(beats(&bench), [None]);
    bench.forget_log();
    // The next one as well: the first may be lost on its way to somebody.
    bench.run(&Do::Beats(5, &[]));
    assert_eq!(beats(&bench), [None]);
    bench.forget_log();
    // Whoever took it for silent counts its watchers in another way and hears it from now on.
    bench.run(&Do::Beats(5, &[]));
    watchers.push(doubts);
    watchers.sort_unstable();
    assert_eq!(beats(&bench), [Some(watchers)]);
}

#[test]
fn an_acknowledgment_goes_to_the_maker() {
    let maker = 5;
    let script = [Do::Made(maker, "base/1", 1)];
    let own = ranked_after(&script, "merge/1.0", 2);
    let mut bench = bench(own, &script);
    bench.run(&Do::Accepted(maker, "base/1"));
    assert_eq!(told(&bench, |it| matches!(it, Message::Held { .. })), [Some(vec![maker])]);
}

#[test]
fn a_loss_is_told_to_everybody() {
    let watched = (1..12).find(|&it| {
        let bench = bench(0, &[]);
        bench.round().watchers(lane(it), 2).contains(&lane(0))
    });
    let watched = watched.unwrap();
    let mut bench = bench(0, &[]);
    for _ in 0..8 {
        bench.wait(5_000);
        let others = (1..12).filter(|&it| it != watched);
        others.for_each(|it| bench.hear(bench.beat(it)));
    }
    let about =
        |it: &Message| matches!(it, Message::Loss { lane: gone, .. } if *gone == lane(watched));
    assert_eq!(told(&bench, about), [None], "once");
}

#[test]
fn makers_of_the_children_of_a_crown_task_are_told_of_each_other() {
    let [left, right] = [4, 9];
    let script = [Do::Made(left, "base/0", 1), Do::Made(right, "base/1", 1)];
    let own = ranked_after(&script, "merge/1.0", 2);
    assert!(own != left && own != right, "both makers rank before it");
    let bench = bench(own, &script);
    let relayed: Vec<(ProverId, Vec<ProverId>)> = bench
        .actions
        .iter()
        .filter_map(|it| {
            let Action::Relay { message, to: Audience::Provers(to) } = it else { return None };
            let made = matches!(message, Message::Made { .. });
            made.then(|| (message.speaker().prover(), to.clone()))
        })
        .collect();
    let [left, right] = [left, right].map(ProverId);
    assert_eq!(relayed, [(left, vec![right]), (right, vec![left])]);
}

#[test]
fn who_comes_new_to_a_task_after_a_loss_is_told_what_is_known() {
    let [first, second] = [0, 1].map(|rank| ranked("kernel/0.0", rank));
    let call = ranked("vm/0.0", 0);
    // The second rank knows of the call's proof when the first rank is lost.
    let mut bench = bench(second, &[Do::Made(call, "vm/0.0", 1), Do::Accepted(call, "vm/0.0")]);
    assert!(first != call, "another lane made the call");
    let before = bench.known("kernel/0.0").order.clone();
    bench.forget_log();
    let watchers = bench.round().watchers(lane(first), 8).into_iter();
    for watcher in watchers.filter(|&it| it != lane(second)).take(2) {
        bench.run(&Do::Loss(watcher.prover().0, first));
    }
    assert!(bench.machine.is_prover_lost(ProverId(first)));
    let new = provers(
        bench.known("kernel/0.0").order.iter().copied().filter(|it| !before.contains(it)),
        second,
    );
    assert_eq!(new.len(), 1);
    let relayed = bench.actions.iter().any(|it| {
        let Action::Relay { message: Message::Made { task, .. }, to } = it else { return false };
        *task == bench.named("vm/0.0") && *to == Audience::Provers(vec![ProverId(new[0])])
    });
    assert!(relayed, "{new:?} hears of the call's proof");
}

/// R5.6.
#[test]
fn a_lane_claims_only_what_it_can_finish() {
    use crate::Input;
    // (time in thousandths, what blocks it, claims)
    for (permille, blocked, claims) in [
        (1_000, None, true),
        (1_999, None, true),
        (2_000, None, false),
        (1_000, Some("PRV-066"), false),
    ] {
        let own = 0;
        let mut bench = Bench::new(Some(own), 3, &[1, 0]);
        bench.run(&Do::Reveal);
        bench.step(Input::Able { lane: lane(own), permille, blocked });
        bench.run(&Do::Plan);
        assert_eq!(bench.take_log().contains("claimed"), claims, "{permille} {blocked:?}");
        assert_eq!(bench.machine.blocked(lane(own)), blocked);
        bench.step(Input::Able { lane: lane(own), permille: 1_000, blocked: None });
        assert_eq!(bench.take_log().contains("claimed"), !claims, "as soon as it can");
    }
}

/// R4.4: the older slot, then the longest remaining way.
#[test]
fn work_is_taken_in_order_of_slot_and_way() {
    // Alone, one lane makes a block of a tx with a call and one without.
    let mut bench = Bench::new(Some(0), 1, &[1, 0]);
    [Do::Reveal, Do::Plan].iter().for_each(|what| bench.run(what));
    let order = ["vm/0.0", "kernel/0.0", "base/0", "base/1", "merge/1.0", "root"];
    let mut claimed = Vec::new();
    for _ in order {
        let (_, live) = bench.machine.claims().in_work().next().unwrap();
        let name = live.node.unwrap().to_string();
        claimed.push(name);
        let name = order.iter().find(|it| **it == claimed[claimed.len() - 1]).unwrap();
        bench.run(&Do::Proved(name));
        bench.wait(60_000);
    }
    assert_eq!(claimed, order);
}

#[test]
fn copies_in_the_hot_crown_stop_when_a_proof_is_accepted() {
    let hot = Params { hot_levels: 2, hot_copies: 3, ..super::bench::params() };
    let mut bench = Bench::with(Some(2), 3, &[1, 0], hot);
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Made(0, "base/1", 1),
        Do::Accepted(0, "base/1"),
        Do::Made(1, "base/0", 1),
        Do::Accepted(1, "base/0"),
        Do::Claim(0, "merge/1.0", 2),
        Do::Claim(1, "merge/1.0", 2),
    ];
    script.iter().for_each(|what| bench.run(what));
    assert_eq!(bench.known("merge/1.0").holds.len(), 3, "all three work on it at once");
    bench.forget_log();
    bench.run(&Do::Made(0, "merge/1.0", 2));
    assert!(!bench.take_log().contains("abandon"), "it was not seen yet");
    bench.run(&Do::Accepted(0, "merge/1.0"));
    assert!(bench.take_log().contains("abandon merge/1.0\n"));
    assert!(bench.known("merge/1.0").holds.is_empty());
}

/// R10.3: a proof pays its maker; who announces somebody else's has lied, whether we hold it
/// already or learn it later.
#[test]
fn whoever_announces_somebody_elses_proof_is_not_believed() {
    for first in [true, false] {
        let mut bench = Bench::new(Some(2), 4, &[1, 0]);
        [Do::Reveal, Do::Plan].iter().for_each(|it| bench.run(it));
        let Message::Made { task, statement, blob, slot, cpu_ms, peak_mb, .. } =
            bench.made(0, "base/1", 1)
        else {
            panic!("an announcement")
        };
        let (lane, seq) = (lane(3), 7);
        let copy = Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb };
        let fair = [Do::Made(0, "base/1", 1), Do::Accepted(0, "base/1")];
        let (early, late) = if first { (Some(copy), None) } else { (None, Some(copy)) };
        early.into_iter().for_each(|it| bench.hear(it));
        fair.iter().for_each(|it| bench.run(it));
        late.into_iter().for_each(|it| bench.hear(it));
        assert!(!bench.round().is_credible(lane), "the copier, first {first}");
        assert!(bench.round().is_credible(LaneId::new(ProverId(0), 0)), "the maker");
        assert_eq!(bench.known("base/1").offer().unwrap().0, LaneId::new(ProverId(0), 0));
        assert!(bench.take_log().contains("note PRF-001"));
    }
}

/// Nor is it noted as the maker of a proof that we hold and of which nobody said who made it.
#[test]
fn whoever_announces_somebody_elses_proof_is_not_its_maker() {
    let mut bench = Bench::new(Some(2), 4, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Accepted(0, "base/1")].iter().for_each(|it| bench.run(it));
    let Message::Made { task, statement, blob, slot, cpu_ms, peak_mb, .. } =
        bench.made(0, "base/1", 1)
    else {
        panic!("an announcement")
    };
    let maker = |bench: &Bench| bench.machine.ledger().find(task, statement).unwrap().maker;
    assert_eq!(maker(&bench), None);
    let (lane, seq) = (lane(3), 7);
    bench.hear(Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb });
    assert_eq!(maker(&bench), None, "the copier");
    bench.run(&Do::Made(0, "base/1", 1));
    assert_eq!(maker(&bench), Some(LaneId::new(ProverId(0), 0)));
}
