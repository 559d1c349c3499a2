//! One machine against a script: what it does, line by line.
//!
//! The devnet's block: two txs, the first with one call; three provers with one vm lane each. A
//! script is a list of happenings, the expected text is every action they cause. Beats are left
//! out unless a test is about them. In this deal prover 1 is dealt the call and the first tx,
//! prover 0 the second tx, and prover 2 nothing.

mod bench;
mod faults;
mod limits;
mod naming;
mod reorgs;
mod restarts;
mod sets;
mod views;
mod words;

use crate::io::{Action, Message};
use bench::{Bench, Do, check, lane, payee};

#[test]
fn the_dealt_lane_claims_its_subtree_at_once() {
    check(
        0,
        &[Do::Reveal, Do::Plan],
        &["persist claimed base/1 0#1 attempt 0", "send claim base/1 0#1", "prove base/1 from []"],
    );
    check(
        1,
        &[Do::Reveal, Do::Plan],
        &["persist claimed vm/0.0 1#1 attempt 0", "send claim vm/0.0 1#1", "prove vm/0.0 from []"],
    );
}

#[test]
fn a_lane_dealt_nothing_waits_for_those_that_were() {
    check(2, &[Do::Reveal, Do::Plan, Do::WaitMs(400)], &[]);
    check(
        2,
        &[Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Claim(0, "base/1", 1), Do::Wait(60)],
        // Both are silent for a minute: each is told about once, and their work is taken over.
        &[
            "send loss 0 by 2",
            "note LOS-001",
            "send loss 1 by 2",
            "note LOS-001",
            "persist claimed vm/0.0 2#1 attempt 1",
            "send claim vm/0.0 2#1",
            "prove vm/0.0 from []",
            // Once more with the next beat: the first word may have been lost.
            "send claim vm/0.0 2#1",
        ],
    );
}

#[test]
fn an_idle_lane_takes_over_a_right_that_nobody_uses_for_four_seconds() {
    let idle = [Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1)];
    let at = |ms| [&idle[..], &[Do::WaitMs(ms)]].concat();
    check(2, &at(4_499), &[]);
    check(
        2,
        &at(4_500),
        &["persist claimed vm/0.0 2#1 attempt 0", "send claim vm/0.0 2#1", "prove vm/0.0 from []"],
    );
}

#[test]
fn a_lane_that_is_busy_has_no_right_to_hold_others_back() {
    // Prover 1, whose right it is, works on something else, and so does prover 0.
    let busy = Do::Claim(1, "base/0", 1);
    check(
        2,
        &[Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1), busy],
        &["persist claimed vm/0.0 2#1 attempt 0", "send claim vm/0.0 2#1", "prove vm/0.0 from []"],
    );
}

#[test]
fn a_proof_is_durable_then_announced_then_delivered_by_its_keepers() {
    check(
        0,
        &[
            Do::Reveal,
            Do::Plan,
            Do::Started("base/1"),
            Do::Wait(10),
            Do::Proved("base/1"),
            Do::Held(1, 0, "base/1"),
            Do::Held(2, 0, "base/1"),
        ],
        &[
            "persist claimed base/1 0#1 attempt 0",
            "send claim base/1 0#1",
            "prove base/1 from []",
            "persist made base/1@0",
            "send made base/1@0 0#1",
            // The lane is free at once; the other right holder never spoke, so its work is next.
            "persist claimed vm/0.0 0#2 attempt 0",
            "send claim vm/0.0 0#2 after delivered",
            "prove vm/0.0 from []",
            "persist ended 0#1 delivered",
        ],
    );
}

#[test]
fn an_announced_proof_is_fetched_checked_kept_and_acknowledged() {
    check(
        2,
        &[
            Do::Reveal,
            Do::Plan,
            Do::Claim(0, "base/1", 1),
            Do::Claim(1, "vm/0.0", 1),
            Do::Made(0, "base/1", 1),
            Do::Accepted(0, "base/1"),
        ],
        &["fetch base/1@0 from 0 1", "persist held base/1@0", "send held base/1@0 by 2"],
    );
}

#[test]
fn whoever_holds_a_copy_is_asked_before_those_that_should() {
    let mut bench = Bench::new(Some(2), 6, &[1, 0]);
    let script = [Do::Reveal, Do::Plan, Do::Made(0, "base/1", 1), Do::Held(5, 0, "base/1")];
    script.iter().for_each(|what| bench.run(what));
    let sources = |log: &str| -> Vec<String> {
        let line = log.lines().find(|it| it.starts_with("fetch base/1@0 from ")).unwrap();
        line.split(' ').skip(3).map(str::to_owned).collect()
    };
    let first = sources(&bench.take_log());
    assert_eq!((first[0].as_str(), first.len()), ("0", 5), "all others follow the parent");
    bench.run(&Do::NotFetched(0, "base/1"));
    bench.run(&Do::WaitMs(5_000));
    let second = sources(&bench.take_log());
    assert_eq!(second[..2], ["0", "5"], "{second:?}");
}

#[test]
fn inputs_are_proofs_that_were_accepted_not_announced() {
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 1),
        Do::Made(1, "vm/0.0", 1),
        Do::WaitMs(4_500),
    ];
    check(
        2,
        &script,
        &[
            "fetch vm/0.0@1 from 1 0",
            "persist claimed kernel/0.0 2#1 attempt 0",
            "send claim kernel/0.0 2#1",
        ],
    );
    let accepted = [&script[..], &[Do::Accepted(1, "vm/0.0")]].concat();
    check(
        2,
        &accepted,
        &[
            "fetch vm/0.0@1 from 1 0",
            "persist claimed kernel/0.0 2#1 attempt 0",
            "send claim kernel/0.0 2#1",
            "persist held vm/0.0@1",
            "send held vm/0.0@1 by 2",
            "prove kernel/0.0 from [vm/0.0@1]",
        ],
    );
}

/// Prover 1 alone makes everything but the second tx, which prover 0 makes.
fn whole_block() -> Vec<Do> {
    let mut script =
        vec![Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1), Do::Made(0, "base/1", 1)];
    script.push(Do::Accepted(0, "base/1"));
    for name in ["vm/0.0", "kernel/0.0", "base/0", "merge/1.0", "root"] {
        script.push(Do::Proved(name));
        script.extend([Do::Held(0, 1, name), Do::Held(2, 1, name), Do::Beats(5, &[])]);
    }
    script
}

#[test]
fn a_block_is_proved_from_its_calls_to_its_root_and_settled() {
    let script = [whole_block(), vec![Do::Settled, Do::Block]].concat();
    check(
        1,
        &script,
        &[
            "persist claimed vm/0.0 1#1 attempt 0",
            "send claim vm/0.0 1#1",
            "prove vm/0.0 from []",
            "fetch base/1@0 from 0 2",
            "persist held base/1@0",
            "send held base/1@0 by 1",
            "persist made vm/0.0@1",
            "send made vm/0.0@1 1#1",
            "persist claimed kernel/0.0 1#2 attempt 0",
            "send claim kernel/0.0 1#2 after delivered",
            "prove kernel/0.0 from [vm/0.0@1]",
            "persist ended 1#1 delivered",
            "send claim kernel/0.0 1#2 after delivered",
            "persist made kernel/0.0@1",
            "send made kernel/0.0@1 1#2",
            "persist claimed base/0 1#3 attempt 0",
            "send claim base/0 1#3 after delivered",
            "prove base/0 from [kernel/0.0@1]",
            "persist ended 1#2 delivered",
            "send claim base/0 1#3 after delivered",
            "persist made base/0@1",
            "send made base/0@1 1#3",
            // The makers of both children are told of each other.
            "send made base/0@1 1#3",
            "persist claimed merge/1.0 1#4 attempt 0",
            "send claim merge/1.0 1#4 after delivered",
            "prove merge/1.0 from [base/0@1 base/1@0]",
            "persist ended 1#3 delivered",
            "send claim merge/1.0 1#4 after delivered",
            "persist made merge/1.0@1",
            "send made merge/1.0@1 1#4",
            "persist claimed root 1#5 attempt 0",
            "send claim root 1#5 after delivered",
            "prove root from [merge/1.0@1]",
            "persist ended 1#4 delivered",
            "send claim root 1#5 after delivered",
            "persist made root@1",
            "send made root@1 1#5",
            "submit slot 0 root@1",
            "persist ended 1#5 delivered",
            "persist settled 0",
        ],
    );
}

#[test]
fn every_proof_pays_the_registered_payee() {
    let mut bench = Bench::new(Some(1), 3, &[1, 0]);
    whole_block().iter().for_each(|what| bench.run(what));
    let payees: Vec<_> = bench
        .actions
        .iter()
        .filter_map(|it| if let Action::Prove { payee, .. } = it { Some(*payee) } else { None })
        .collect();
    assert_eq!(payees, vec![payee(1); 5]);
}

#[test]
fn a_settled_slot_is_quiet() {
    let mut bench = Bench::new(Some(1), 3, &[1, 0]).beats();
    whole_block().iter().for_each(|what| bench.run(what));
    bench.settle();
    bench.forget_log();
    assert!(bench.machine.unsettled_slots().is_empty());
    bench.wait(600_000);
    assert_eq!(bench.take_log(), "");
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.machine.view().idle, Some("IDLE-NO-BLOCK"));
}

#[test]
fn the_root_is_submitted_by_its_maker_and_by_the_next_after_the_priority_blocks() {
    let mut script =
        vec![Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1), Do::Claim(1, "vm/0.0", 1)];
    for (maker, name) in [(0, "base/1"), (1, "vm/0.0"), (1, "kernel/0.0"), (1, "base/0")] {
        script.extend([Do::Made(maker, name, 2), Do::Accepted(maker, name)]);
    }
    for (maker, name) in [(1, "merge/1.0"), (1, "root")] {
        script.extend([Do::Made(maker, name, 3), Do::Accepted(maker, name)]);
    }
    let submitted = |own: u32, blocks: usize| {
        let mut bench = Bench::new(Some(own), 3, &[1, 0]);
        script.iter().for_each(|what| bench.run(what));
        (0..blocks).for_each(|_| bench.run(&Do::Block));
        bench.take_log().lines().filter(|it| it.starts_with("submit")).count()
    };
    let next = [0, 2].map(|own| (0..12).find(|&blocks| submitted(own, blocks) == 1));
    assert_eq!(next.iter().flatten().sum::<usize>(), 5 + 10, "{next:?}");
    assert_eq!(submitted(0, 39), 1, "sent once");
    assert_eq!(submitted(0, 55), 2, "and again when everybody else had eight turns");
}

#[test]
fn a_machine_without_lanes_follows_and_says_nothing() {
    let mut bench = Bench::new(None, 3, &[1, 0]).beats();
    for what in whole_block() {
        if !matches!(what, Do::Proved(_)) {
            bench.run(&what);
        }
    }
    bench.run(&Do::Made(1, "root", 9));
    bench.run(&Do::Beats(100, &[0]));
    let log = bench.take_log();
    assert!(
        log.lines().all(|it| it.starts_with("note") || it.starts_with("persist held")),
        "{log}"
    );
    assert_eq!(bench.machine.view().idle, Some("IDLE-NO-LANES"));
    assert_eq!(bench.machine.unsettled_slots().len(), 1);
    bench.settle();
    assert_eq!(bench.take_log(), "persist settled 0\n");
}

#[test]
fn lanes_beat_from_the_deal_until_the_settlement() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]).beats();
    bench.run(&Do::Reveal);
    assert_eq!(bench.take_log(), "", "no beat before the block is checked");
    bench.run(&Do::Plan);
    assert_eq!(bench.take_log(), "send beat 2 idle\n");
    bench.run(&Do::Claim(0, "base/1", 1));
    bench.run(&Do::Claim(1, "base/0", 1));
    bench.run(&Do::WaitMs(500));
    bench.run(&Do::Started("vm/0.0"));
    bench.forget_log();
    bench.run(&Do::Wait(10));
    let again = "send claim vm/0.0 2#1\n";
    assert_eq!(bench.take_log(), format!("send beat 2 vm/0.0\n{again}send beat 2 vm/0.0\n"));
    let number = |it: &Action| {
        let Action::Send { message: Message::Beat { n, .. }, .. } = *it else { return None };
        Some(n)
    };
    let numbers: Vec<u64> = bench.actions.iter().filter_map(number).collect();
    assert_eq!(numbers[1] - numbers[0], 1, "{numbers:?}");
}

#[test]
fn waking_exactly_at_deadlines_is_the_same_as_waking_often() {
    let ends = [1u64, 7, 100].map(|step| {
        let mut bench = Bench::new(Some(2), 3, &[1, 0]);
        bench.run(&Do::Reveal);
        bench.run(&Do::Plan);
        for _ in 0..40_000 / step {
            bench.now = bench.now.after(step);
            bench.run(&Do::Tick);
        }
        bench.take_log().lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    bench.run(&Do::Wait(40));
    let exact: Vec<String> = bench.take_log().lines().map(str::to_owned).collect();
    assert!(!exact.is_empty());
    for end in ends {
        assert_eq!(end, exact);
    }
}
