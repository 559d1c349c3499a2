//! The leader's word, and the deadline before which order counts (R2.6, R6.3, R14).

use super::{Bench, Do, lane};
use crate::{domain::Millis, params::Params, slot::phase::Windows};

const FIRST: &str = "vm/0.0";

/// Five provers; the call is dealt to one, another one is named, and we are a third one.
fn bench(own: u32, script: &[Do]) -> Bench {
    let mut bench = Bench::new(Some(own), 5, &[1, 0]);
    script.iter().for_each(|what| bench.run(what));
    bench
}

fn dealt() -> u32 {
    bench(0, &[Do::Reveal, Do::Plan]).ranked(FIRST, 0)
}

fn other(than: &[u32]) -> u32 {
    (0..5).find(|it| !than.contains(it)).unwrap()
}

fn claims(bench: &mut Bench, prover: u32) -> bool {
    bench.take_log().contains(&format!("send claim {FIRST} {prover}#"))
}

/// Milliseconds from now to an instant of the slot's clock.
fn until(bench: &Bench, instant: impl Fn(&Windows) -> u64) -> u64 {
    let windows = Windows::new(bench.params(), bench.round().reveal.time_s);
    Millis(instant(&windows)).since(bench.now)
}

#[test]
fn lanes_of_a_named_prover_come_first_and_the_deal_waits_for_the_grace() {
    let dealt = dealt();
    let named = other(&[dealt]);
    let script = [Do::Reveal, Do::Named(named, false), Do::Plan];
    let mut first = bench(named, &script);
    assert_eq!(first.ranked(FIRST, 0), named);
    first.run(&Do::WaitMs(1));
    assert!(claims(&mut first, named), "whoever is named begins at once");
    let mut second = bench(dealt, &script);
    assert_eq!((second.ranked(FIRST, 0), second.ranked(FIRST, 1)), (named, dealt));
    let grace = until(&second, |it| it.grace_s * 1_000);
    second.wait(grace);
    assert!(!claims(&mut second, dealt), "the name has the subtree to itself");
    second.wait(1);
    assert!(claims(&mut second, dealt), "nothing was heard under the name");
    assert_eq!(second.ranked(FIRST, 0), dealt);
}

#[test]
fn a_subtree_that_a_named_lane_claimed_stays_the_names() {
    let dealt = dealt();
    let named = other(&[dealt]);
    let mut bench = bench(dealt, &[Do::Reveal, Do::Named(named, false), Do::Plan]);
    bench.run(&Do::Claim(named, FIRST, 1));
    let grace = until(&bench, |it| it.grace_s * 1_000) + 1;
    bench.wait(grace);
    assert_eq!(bench.ranked(FIRST, 0), named);
    assert_eq!(bench.ranked("base/0", 0), named, "the whole subtree is");
    assert!(!claims(&mut bench, dealt));
    assert!(bench.known(FIRST).holds.contains_key(&lane(named)));
}

#[test]
fn a_name_that_comes_after_the_plan_changes_the_ranks_and_leaves_with_its_block() {
    let dealt = dealt();
    let named = other(&[dealt]);
    let mut bench = bench(other(&[dealt, named]), &[Do::Reveal, Do::Plan]);
    assert_eq!(bench.ranked(FIRST, 0), dealt);
    bench.run(&Do::Named(named, false));
    assert_eq!(bench.ranked(FIRST, 0), named);
    bench.undo();
    assert_eq!(bench.ranked(FIRST, 0), dealt);
}

#[test]
fn nobody_works_beside_a_leader_that_proves_alone_until_the_deadline_is_near() {
    let dealt = dealt();
    let leader = other(&[dealt]);
    let mut bench = bench(dealt, &[Do::Reveal, Do::Named(leader, true), Do::Plan]);
    let way = bench.round().spot(bench.round().find(bench.named(FIRST)).unwrap()).way_ms;
    let slack = bench.params().slack_permille;
    let near = until(&bench, |it| it.work_s * 1_000 + 1 - way * slack / 1_000);
    bench.wait(near - 1);
    assert!(bench.claims_spoken().is_empty(), "{}", bench.take_log());
    bench.wait(1);
    assert!(claims(&mut bench, dealt));
}

#[test]
fn near_the_deadline_nobody_waits_for_a_better_rank() {
    let dealt = dealt();
    let p = Params::devnet();
    let own = other(&[dealt]);
    let mut bench = bench(own, &[Do::Reveal, Do::Plan, Do::Claim(dealt, FIRST, 1)]);
    let round = bench.round();
    let task = round.find(bench.named(FIRST)).unwrap();
    let far = round.opens_at(task, lane(own), &p);
    assert_eq!(far, None, "it is claimed");
    let way = round.spot(task).way_ms;
    let near = until(&bench, |it| it.work_s * 1_000 - way * p.slack_permille / 1_000) + 10;
    bench.run(&Do::Beats(near / 5_000 * 5, &[]));
    bench.wait(near % 5_000);
    bench.run(&Do::Release(dealt, FIRST, 1));
    let since = bench.now;
    let ours = bench.known(FIRST).holds.keys().next().copied();
    let opens = bench.round().opens_at(task, lane(own), &p).map(|it| it.0);
    assert!(ours == Some(lane(own)) || opens.is_some_and(|it| it <= since), "{ours:?} {opens:?}");
}

#[test]
fn whoever_follows_a_crown_task_makes_a_missing_subtree_near_the_deadline() {
    let small = Params { replicas_subtree: 2, replicas_crown: 4, ..super::bench::params() };
    let bench = |own: u32| {
        let mut bench = Bench::with(Some(own), 12, &[1, 0], small.clone());
        [Do::Reveal, Do::Plan].iter().for_each(|what| bench.run(what));
        let maker = (0..12).find(|it| *it != own).unwrap();
        bench.run(&Do::Made(maker, "base/1", 1));
        bench
    };
    let follows = |bench: &Bench, name: &str| {
        let round = bench.round();
        round.task(round.find(bench.named(name)).unwrap()).is_some()
    };
    let above = |own: u32| {
        let bench = bench(own);
        let is_above = bench.known("merge/1.0").order.contains(&lane(own));
        is_above && !follows(&bench, "base/0")
    };
    let own = (0..12).find(|&it| above(it)).unwrap();
    let mut bench = bench(own);
    let round = bench.round();
    let way = round.spot(round.find(bench.named("base/0")).unwrap()).way_ms;
    let near = until(&bench, |it| it.work_s * 1_000 + 1 - way * small.slack_permille / 1_000);
    bench.run(&Do::Beats((near / 5_000 - 1) * 5, &[]));
    assert!(!follows(&bench, FIRST));
    bench.run(&Do::Beats(10, &[]));
    assert!(follows(&bench, FIRST), "{}", bench.take_log());
    // Those that are dealt it come first, then those above it one by one.
    bench.run(&Do::Beats(10, &[]));
    assert!(claims(&mut bench, own));
}
