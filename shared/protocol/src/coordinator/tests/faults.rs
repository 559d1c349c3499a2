//! Races, silence, caps, bad proofs.

use super::{Bench, Do, check, lane};
use crate::io::Previous;

/// Prover 2 took the call over because prover 1 did not use its right.
fn taken_over() -> Vec<Do> {
    vec![Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1), Do::WaitMs(4_500)]
}

const TAKEN: [&str; 3] =
    ["persist claimed vm/0.0 2#1 attempt 0", "send claim vm/0.0 2#1", "prove vm/0.0 from []"];

/// A young claim goes again with the next beat.
const AGAIN: &str = "send claim vm/0.0 2#1";

#[track_caller]
fn check_taken(script: &[Do], expected: &[&str]) {
    let script = [taken_over(), script.to_vec()].concat();
    let expected = [&TAKEN[..], expected].concat();
    check(2, &script, &expected);
}

#[test]
fn of_two_claims_the_better_rank_wins() {
    check_taken(
        &[Do::Claim(1, "vm/0.0", 1)],
        &["persist ended 2#1 released", "abandon vm/0.0", "send release vm/0.0 2#1"],
    );
}

#[test]
fn a_worse_rank_changes_nothing() {
    // Prover 0 ranks last for the call: it is told of our claim, which it did not hear.
    check_taken(&[Do::Claim(0, "vm/0.0", 2)], &[AGAIN]);
}

#[test]
fn a_proof_that_runs_for_more_than_a_beat_goes_on() {
    check_taken(
        &[Do::Started("vm/0.0"), Do::WaitMs(5_000), Do::Claim(1, "vm/0.0", 1)],
        &[AGAIN, "persist ended 2#1 released", "abandon vm/0.0", "send release vm/0.0 2#1"],
    );
    check_taken(&[Do::Started("vm/0.0"), Do::WaitMs(5_001), Do::Claim(1, "vm/0.0", 1)], &[AGAIN]);
}

#[test]
fn a_proof_by_somebody_else_ends_our_work_once_it_is_accepted() {
    check_taken(
        &[Do::Started("vm/0.0"), Do::Made(1, "vm/0.0", 1), Do::Accepted(1, "vm/0.0")],
        &[
            "fetch vm/0.0@1 from 1 0",
            "persist held vm/0.0@1",
            "send held vm/0.0@1 by 2",
            "persist ended 2#1 released",
            "abandon vm/0.0",
            "send release vm/0.0 2#1",
        ],
    );
}

#[test]
fn a_failed_proof_is_given_back_and_left_alone_for_a_while() {
    check_taken(
        &[Do::Started("vm/0.0"), Do::Failed("vm/0.0"), Do::Beats(25, &[])],
        &[
            "note CLM-002",
            "persist ended 2#1 released",
            "abandon vm/0.0",
            "send release vm/0.0 2#1",
        ],
    );
    check_taken(
        &[Do::Failed("vm/0.0"), Do::Beats(40, &[])],
        &[
            "note CLM-002",
            "persist ended 2#1 released",
            "abandon vm/0.0",
            "send release vm/0.0 2#1",
            "persist claimed vm/0.0 2#2 attempt 1",
            "send claim vm/0.0 2#2 after released",
            "prove vm/0.0 from []",
            "send claim vm/0.0 2#2 after released",
        ],
    );
}

#[test]
fn a_release_opens_the_task_to_the_next_rank() {
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 1),
        Do::Beats(10, &[]),
        Do::Release(1, "vm/0.0", 1),
        Do::WaitMs(2_500),
    ];
    check(
        2,
        &script,
        &["persist claimed vm/0.0 2#1 attempt 1", "send claim vm/0.0 2#1", "prove vm/0.0 from []"],
    );
}

#[test]
fn a_release_of_another_claim_changes_nothing() {
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 2),
        Do::Release(1, "vm/0.0", 1),
        Do::Beats(10, &[]),
    ];
    check(2, &script, &[]);
}

#[test]
fn the_next_claim_of_a_lane_ends_its_last_one() {
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 1),
        Do::Claim(1, "kernel/0.0", 2),
        Do::Claim(1, "vm/0.0", 1),
        Do::WaitMs(500),
    ];
    check(
        2,
        &script,
        &["persist claimed vm/0.0 2#1 attempt 1", "send claim vm/0.0 2#1", "prove vm/0.0 from []"],
    );
}

#[test]
fn two_claims_with_one_number_are_a_fault() {
    check(
        2,
        &[Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Claim(1, "base/1", 1)],
        &["note FLT-001"],
    );
}

#[test]
fn a_lane_speaks_only_for_itself() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    let message = bench.claim(1, "vm/0.0", 1);
    bench.step(crate::Input::Peer { from: crate::ProverId(0), message });
    let round = bench.machine.round(bench.slot).unwrap();
    assert!(round.followed().all(|(_, it)| it.holds.is_empty()));
}

#[test]
fn lanes_of_another_epoch_are_not_heard() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    bench.hear(bench.claim(7, "vm/0.0", 1));
    bench.hear(bench.beat(7));
    let round = bench.machine.round(bench.slot).unwrap();
    assert!(round.followed().all(|(_, it)| it.holds.is_empty()));
    assert_eq!(round.standing(lane(7)), None);
}

/// Prover 1 claims the call, beats for half a minute, and is gone.
fn killed() -> Vec<Do> {
    vec![
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 1),
        Do::Beats(30, &[]),
        Do::Beats(10, &[1]),
    ]
}

#[test]
fn fifteen_seconds_of_silence_are_a_loss_and_the_next_rank_takes_over() {
    check(2, &killed(), &[]);
    // Our own ears are one witness; the lane's other watcher is the second.
    let heard = [killed(), vec![Do::Beats(5, &[1])]].concat();
    check(2, &heard, &["send loss 1 by 2"]);
    let more = [heard, vec![Do::Loss(0, 1)]].concat();
    check(
        2,
        &more,
        &[
            "send loss 1 by 2",
            "note LOS-001",
            "persist claimed vm/0.0 2#1 attempt 1",
            "send claim vm/0.0 2#1",
            "prove vm/0.0 from []",
        ],
    );
}

#[test]
fn two_watchers_are_believed_even_if_we_heard_the_lane_ourselves() {
    let mut bench = Bench::new(Some(0), 4, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Beats(10, &[])].iter().for_each(|what| bench.run(what));
    let gone = (1..4).find(|&it| bench.ranked("vm/0.0", 0) != it).unwrap();
    let watchers: Vec<u32> = (1..4).filter(|&it| it != gone).collect();
    bench.run(&Do::Loss(watchers[0], gone));
    let is_lost = |bench: &Bench| bench.machine.is_prover_lost(crate::ProverId(gone));
    assert!(!is_lost(&bench), "one notice is not enough while we hear it");
    bench.run(&Do::Loss(watchers[0], gone));
    assert!(!is_lost(&bench), "one watcher counts once");
    bench.run(&Do::Loss(watchers[1], gone));
    assert!(is_lost(&bench));
}

#[test]
fn a_lane_cannot_be_declared_lost_by_its_own_prover() {
    let mut bench = Bench::new(Some(0), 4, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Beats(10, &[])].iter().for_each(|what| bench.run(what));
    bench.run(&Do::Loss(1, 1));
    bench.run(&Do::Loss(2, 1));
    assert!(!bench.machine.is_prover_lost(crate::ProverId(1)));
}

#[test]
fn old_beats_prove_nothing() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Beats(10, &[])].iter().for_each(|what| bench.run(what));
    let old = bench.beat(1);
    bench.hear(old);
    for _ in 0..3 {
        bench.run(&Do::Beats(5, &[1]));
        bench.hear(old);
    }
    assert!(bench.take_log().contains("send loss 1 by 2"));
}

#[test]
fn a_lane_that_was_never_heard_has_twice_the_patience() {
    let quiet =
        |seconds| [Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Beats(seconds, &[1])];
    check(
        0,
        &quiet(25)[..],
        &["persist claimed base/1 0#1 attempt 0", "send claim base/1 0#1", "prove base/1 from []"],
    );
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    quiet(30).iter().for_each(|what| bench.run(what));
    assert!(bench.take_log().contains("send loss 1 by 0"));
}

#[test]
fn an_agent_that_slept_does_not_judge_others_by_it() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    killed()[..5].iter().for_each(|what| bench.run(what));
    bench.now = bench.now.after(60_000);
    bench.run(&Do::Tick);
    bench.run(&Do::Wait(14));
    assert!(!bench.take_log().contains("loss"), "silence counts from when it woke");
    bench.run(&Do::Wait(1));
    assert!(bench.take_log().contains("send loss 1 by 2"));
}

#[test]
fn a_lane_that_others_lost_ends_its_claim_and_ranks_last() {
    check(
        1,
        &[Do::Reveal, Do::Plan, Do::Started("vm/0.0"), Do::Loss(0, 1), Do::Loss(2, 1)],
        &[
            "persist claimed vm/0.0 1#1 attempt 0",
            "send claim vm/0.0 1#1",
            "prove vm/0.0 from []",
            // With the beat that answers the first notice.
            "send claim vm/0.0 1#1",
            "persist ended 1#1 lost",
            "abandon vm/0.0",
            "note LOS-002",
        ],
    );
    let mut bench = Bench::new(Some(1), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Loss(0, 1), Do::Loss(2, 1)].iter().for_each(|it| bench.run(it));
    bench.forget_log();
    bench.run(&Do::Claim(0, "base/1", 1));
    bench.run(&Do::WaitMs(2_499));
    assert_eq!(bench.take_log(), "");
    bench.run(&Do::WaitMs(1));
    assert!(bench.take_log().starts_with("persist claimed vm/0.0 1#2 attempt 1"));
}

#[test]
fn a_claim_of_a_lost_lane_counts_again_once_it_is_heard() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    killed().iter().for_each(|what| bench.run(what));
    [Do::Beats(5, &[1]), Do::Loss(0, 1)].iter().for_each(|what| bench.run(what));
    assert!(bench.machine.is_prover_lost(crate::ProverId(1)));
    bench.hear(bench.claim(1, "base/1", 5));
    let holds = |bench: &Bench| bench.known("base/1").holds.contains_key(&lane(1));
    assert!(!holds(&bench), "nothing was heard of it since");
    bench.run(&Do::WaitMs(100));
    bench.hear(bench.beat(1));
    bench.hear(bench.claim(1, "base/1", 6));
    assert!(holds(&bench));
}

#[test]
fn a_claim_ends_at_its_cap_and_its_lane_comes_last_from_then_on() {
    // 2 × 240 s for a call. Prover 1 beats all the time and never delivers.
    let script = |seconds| {
        vec![
            Do::Reveal,
            Do::Plan,
            Do::Claim(0, "base/1", 1),
            Do::Claim(1, "vm/0.0", 1),
            Do::Beats(seconds, &[]),
        ]
    };
    check(2, &script(355), &[]);
    // One and a half of the usual time: it is hedged, and the hedge leaves room for nobody else.
    let hedged = [
        "persist claimed vm/0.0 2#1 attempt 0",
        "send claim vm/0.0 2#1",
        "prove vm/0.0 from []",
        "send claim vm/0.0 2#1",
    ];
    check(2, &script(475), &hedged);
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    script(475).iter().for_each(|what| bench.run(what));
    let state = |bench: &Bench| {
        let it = bench.known("vm/0.0");
        let capped = bench.round().standing(lane(1)).unwrap().capped;
        (it.attempts, it.holds.len(), it.order[2] == lane(1), capped, it.failures.len())
    };
    assert_eq!(state(&bench), (0, 2, false, false, 0));
    bench.run(&Do::Beats(10, &[]));
    assert_eq!(state(&bench), (1, 1, true, true, 1));
}

#[test]
fn our_own_claim_ends_at_its_cap_too() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    let script = [Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Claim(2, "base/0", 1)];
    script.iter().for_each(|what| bench.run(what));
    bench.forget_log();
    bench.run(&Do::Beats(595, &[]));
    bench.forget_log();
    bench.run(&Do::Beats(10, &[]));
    let log = bench.take_log();
    assert!(log.starts_with("persist ended 0#1 capped\nabandon base/1\n"), "{log}");
}

#[test]
fn a_claim_whose_inputs_do_not_come_is_released() {
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 1),
        Do::Made(1, "vm/0.0", 1),
        Do::WaitMs(4_500),
        Do::Beats(30, &[]),
    ];
    check(
        2,
        &script,
        &[
            "fetch vm/0.0@1 from 1 0",
            "persist claimed kernel/0.0 2#1 attempt 0",
            "send claim kernel/0.0 2#1",
            "send claim kernel/0.0 2#1",
            "persist ended 2#1 released",
            "send release kernel/0.0 2#1",
        ],
    );
}

/// Prover 2, to which another one announced the call's proof, after this happened to it.
fn announced(then: &Do) -> Bench {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 1),
        Do::Made(1, "vm/0.0", 1),
    ];
    script.iter().for_each(|what| bench.run(what));
    bench.run(then);
    bench
}

#[test]
fn a_proof_that_cannot_be_had_counts_as_not_made_after_three_tries() {
    let mut bench = announced(&Do::NotFetched(1, "vm/0.0"));
    assert_eq!(bench.take_log(), "fetch vm/0.0@1 from 1 0\n");
    bench.run(&Do::WaitMs(4_999));
    let log = bench.take_log();
    assert!(!log.contains("fetch"), "the second try waits for a beat: {log}");
    bench.run(&Do::WaitMs(1));
    assert_eq!(bench.take_log(), "fetch vm/0.0@1 from 1 0\n");
    bench.run(&Do::NotFetched(1, "vm/0.0"));
    bench.run(&Do::Beats(10, &[]));
    let log = bench.take_log();
    assert!(log.contains("fetch vm/0.0@1 from 1 0\n"), "{log}");
    bench.run(&Do::NotFetched(1, "vm/0.0"));
    assert!(bench.take_log().starts_with("note PRF-001\n"));
    let task = bench.known("vm/0.0");
    assert!(!task.is_known());
    assert_eq!(task.attempts, 1);
    let holders: Vec<_> = task.holds.keys().copied().collect();
    assert_eq!(holders, [lane(2)], "we give up what waits for it and make it ourselves");
}

#[test]
fn a_proof_that_does_not_pass_counts_as_not_made_at_once() {
    let mut bench = announced(&Do::NotPassed(1, "vm/0.0"));
    assert!(bench.take_log().contains("note PRF-001\n"));
    assert!(!bench.known("vm/0.0").is_known());
    let round = bench.machine.round(bench.slot).unwrap();
    assert!(!round.is_credible(lane(1)), "its word is worth nothing any more");
}

#[test]
fn two_refused_proofs_make_a_lanes_claims_worthless() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    for (name, seq) in [("vm/0.0", 1), ("base/1", 2)] {
        let round = bench.machine.round(bench.slot).unwrap();
        assert!(round.is_credible(lane(1)), "before {name}");
        bench.run(&Do::Made(1, name, seq));
        for _ in 0..3 {
            bench.run(&Do::NotFetched(1, name));
            bench.run(&Do::Beats(15, &[]));
        }
    }
    let round = bench.machine.round(bench.slot).unwrap();
    assert!(!round.is_credible(lane(1)) && !round.is_eligible(lane(1)));
    bench.hear(bench.claim(1, "base/0", 3));
    assert!(bench.known("base/0").holds.is_empty());
}

#[test]
fn a_refused_announcement_is_tried_nine_times_in_all() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Made(1, "vm/0.0", 1)]
        .iter()
        .for_each(|what| bench.run(what));
    // Repeating it revives it, because somebody else may hold it by then, but not for ever.
    for revived in [true, true, false] {
        for _ in 0..3 {
            bench.run(&Do::NotFetched(1, "vm/0.0"));
            bench.run(&Do::Beats(45, &[]));
        }
        assert!(!bench.known("vm/0.0").is_known());
        bench.run(&Do::Made(1, "vm/0.0", 1));
        assert_eq!(bench.known("vm/0.0").is_known(), revived);
    }
}

#[test]
fn late_and_unasked_news_change_nothing() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    bench.forget_log();
    let before = format!("{:?}", bench.machine.round(bench.slot));
    for what in [
        Do::NotFetched(0, "base/1"),
        Do::Failed("vm/0.0"),
        Do::Started("vm/0.0"),
        Do::Release(1, "vm/0.0", 3),
        Do::Tick,
    ] {
        bench.run(&what);
        assert_eq!(bench.take_log(), "", "{what:?}");
    }
    assert_eq!(format!("{:?}", bench.machine.round(bench.slot)), before);
}

#[test]
fn a_proof_that_comes_after_its_claim_ended_is_kept_and_told() {
    let mut bench = Bench::new(Some(1), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Loss(0, 1), Do::Loss(2, 1)].iter().for_each(|it| bench.run(it));
    bench.forget_log();
    bench.run(&Do::Proved("vm/0.0"));
    assert_eq!(
        bench.take_log(),
        "persist made vm/0.0@1\npersist claimed vm/0.0 1#2 attempt 1\n\
         send claim vm/0.0 1#2 after lost\nsend made vm/0.0@1 1#2\n"
    );
}

#[test]
fn a_repeated_announcement_of_a_proof_we_hold_is_acknowledged_again() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Made(0, "base/1", 1), Do::Accepted(0, "base/1")]
        .iter()
        .for_each(|what| bench.run(what));
    bench.forget_log();
    bench.run(&Do::Made(0, "base/1", 1));
    let held = "send held base/1@0 by 2\n";
    assert_eq!(bench.take_log(), held, "the same words: the acknowledgment was lost");
    bench.run(&Do::Made(0, "base/1", 2));
    assert_eq!(bench.take_log(), held, "told again under another claim");
}

#[test]
fn a_dead_keeper_holds_a_delivery_up_only_until_it_is_lost() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Beats(5, &[]), Do::Proved("base/1"), Do::Held(2, 0, "base/1")]
        .iter()
        .for_each(|what| bench.run(what));
    bench.forget_log();
    bench.run(&Do::Beats(10, &[1]));
    assert!(!bench.take_log().contains("ended"));
    bench.run(&Do::Beats(5, &[1]));
    let log = bench.take_log();
    assert!(log.contains("send loss 1 by 0\n") && !log.contains("ended"), "{log}");
    bench.run(&Do::Loss(2, 1));
    let log = bench.take_log();
    assert!(log.contains("note LOS-001\npersist ended 0#1 delivered\n"), "{log}");
}

#[test]
fn a_keeper_that_does_not_answer_holds_a_delivery_up_for_five_beats() {
    let until = |seconds, holds: bool| {
        let mut bench = Bench::new(Some(0), 3, &[1, 0]);
        [Do::Reveal, Do::Plan, Do::Proved("base/1")].iter().for_each(|what| bench.run(what));
        if holds {
            bench.run(&Do::Held(2, 0, "base/1"));
        }
        bench.run(&Do::Beats(seconds, &[]));
        bench.take_log().contains("persist ended 0#1 delivered\n")
    };
    assert!(!until(20, true));
    assert!(until(30, true));
    assert!(!until(60, false), "a proof that exists once is not delivered");
}

#[test]
fn a_claim_says_how_the_last_one_ended() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    taken_over().iter().for_each(|what| bench.run(what));
    bench.run(&Do::Failed("vm/0.0"));
    bench.run(&Do::Beats(40, &[]));
    let mut spoken = bench.claims_spoken();
    spoken.dedup();
    assert_eq!(spoken, [(1, Previous::None), (2, Previous::Released)]);
}
