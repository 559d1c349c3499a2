//! L1 takes things back: what is undone, what comes back, and what stays (R12.2).

use super::{Bench, Do, check, lane};
use crate::{Input, domain::Hash};

/// Prover 0 works on the second tx when the block that made the deal, and the reveal, go away.
fn undone() -> Bench {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Started("base/1"), Do::Beats(5, &[])]
        .iter()
        .for_each(|what| bench.run(what));
    bench.forget_log();
    bench.undo();
    bench.undo();
    assert_eq!(bench.take_log(), "", "nothing is decided while the reveal may come back");
    bench
}

#[test]
fn a_reveal_that_comes_back_with_the_same_deal_changes_nothing() {
    let mut bench = undone();
    bench.reveal_again();
    bench.run(&Do::Block);
    assert_eq!(bench.take_log(), "");
    bench.run(&Do::Proved("base/1"));
    assert_eq!(bench.take_log(), "persist made base/1@0\nsend made base/1@0 0#1\n");
}

#[test]
fn another_randao_is_another_deal_and_ends_the_claims() {
    let mut bench = undone();
    bench.salt = 0;
    bench.reveal_again();
    // The block is the same; what changes is the randomness of the next L1 block.
    let block = bench.block_id();
    bench.salt_randao(9);
    bench.run(&Do::Block);
    assert_eq!(bench.block_id(), block);
    let log = bench.take_log();
    assert!(log.starts_with("persist ended 0#1 reverted\nabandon base/1\n"), "{log}");
    assert!(bench.machine.round(bench.slot).is_some(), "the plan is known: work goes on at once");
}

#[test]
fn another_block_ends_the_claims_and_waits_for_its_plan() {
    let mut bench = undone();
    bench.salt = 1;
    bench.reveal_again();
    bench.run(&Do::Block);
    // The old block's task has no name in the new one's tree.
    assert_eq!(bench.take_log(), "persist ended 0#1 reverted\nabandon ?\n");
    assert!(bench.machine.round(bench.slot).is_none());
    assert_eq!(bench.machine.unplanned(), [bench.block_id()]);
    bench.run(&Do::Plan);
    assert!(bench.machine.round(bench.slot).is_some());
}

#[test]
fn a_reveal_that_does_not_come_back_in_its_phase_ends_the_claims() {
    let mut bench = undone();
    for _ in 0..4 {
        bench.run(&Do::Block);
        assert_eq!(bench.take_log(), "");
    }
    bench.run(&Do::Block);
    bench.run(&Do::Block);
    assert_eq!(bench.take_log(), "persist ended 0#1 reverted\nabandon base/1\n");
    assert_eq!(bench.machine.unsettled_slots(), []);
}

#[test]
fn nothing_is_claimed_or_beaten_while_the_reveal_is_gone() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]).beats();
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    bench.undo();
    bench.undo();
    bench.forget_log();
    bench.run(&Do::Wait(60));
    assert_eq!(bench.take_log(), "");
    bench.reveal_again();
    bench.run(&Do::Block);
    let log = bench.take_log();
    assert!(log.starts_with("send beat 2 idle\n"), "{log}");
    assert!(!log.contains("loss"), "silence counts from the return: {log}");
}

#[test]
fn proofs_outlive_a_reorg_and_are_told_again_under_the_new_deal() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    [
        Do::Reveal,
        Do::Plan,
        Do::Proved("base/1"),
        Do::Held(1, 0, "base/1"),
        Do::Held(2, 0, "base/1"),
    ]
    .iter()
    .for_each(|what| bench.run(what));
    bench.undo();
    bench.undo();
    bench.reveal_again();
    bench.salt_randao(5);
    bench.forget_log();
    bench.run(&Do::Block);
    let log = bench.take_log();
    assert!(log.contains("claim base/1 0#"), "{log}");
    assert!(log.contains("send made base/1@0 0#"), "{log}");
    assert!(!log.contains("prove base/1"), "{log}");
}

#[test]
fn what_was_heard_under_the_old_deal_is_not_forgotten() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Beats(10, &[])].iter().for_each(|what| bench.run(what));
    let old = bench.beat(1);
    bench.hear(old);
    bench.undo();
    bench.undo();
    bench.reveal_again();
    bench.salt_randao(5);
    bench.run(&Do::Block);
    let beat = |bench: &Bench| bench.round().standing(lane(1)).unwrap().beat;
    assert_eq!(beat(&bench), bench.number_of(old));
    // The watcher's word is older than that beat, so it counts for nothing under the new deal.
    bench.hear(crate::Message::Loss {
        lane: lane(1),
        slot: bench.slot,
        watcher: lane(0),
        last_beat: 1,
    });
    assert!(bench.round().standing(lane(1)).unwrap().notices.is_empty());
}

#[test]
fn a_settlement_that_is_undone_is_submitted_again() {
    let mut bench = Bench::new(Some(1), 3, &[0]);
    [Do::Reveal, Do::Plan].iter().for_each(|what| bench.run(what));
    let first = bench.ranked("base/0", 0);
    let mut bench = Bench::new(Some(first), 3, &[0]);
    [Do::Reveal, Do::Plan, Do::Proved("base/0")].iter().for_each(|what| bench.run(what));
    for other in (0..3).filter(|&it| it != first) {
        bench.run(&Do::Held(other, first, "base/0"));
    }
    bench.run(&Do::Proved("root"));
    let log = bench.take_log();
    assert_eq!(log.matches("submit slot 0 root").count(), 1, "{log}");
    bench.settle();
    let log = bench.take_log();
    assert!(log.starts_with("persist settled 0\n"), "{log}");
    bench.undo();
    let log = bench.take_log();
    assert_eq!(log.matches("submit slot 0 root").count(), 1, "{log}");
    bench.settle();
    assert_eq!(bench.take_log(), "", "the settlement is in the journal already");
}

#[test]
fn a_block_that_does_not_stand_on_the_newest_is_not_taken() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    let head = bench.machine.chain().head();
    bench.step(Input::L1Block {
        number: 500,
        hash: Hash([1; 32]),
        parent: Hash([2; 32]),
        time: 5,
        randao: Hash([3; 32]),
        events: Vec::new(),
    });
    assert_eq!(bench.take_log(), "note CHN-001\n");
    bench.step(Input::L1Undo { hash: Hash([9; 32]) });
    assert_eq!(bench.take_log(), "note CHN-002\n");
    assert_eq!(bench.machine.chain().head(), head);
}

#[test]
fn undoing_deeper_than_the_window_is_refused() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    for _ in 0..64 {
        bench.undo();
    }
    assert_eq!(bench.take_log(), "");
    bench.undo();
    assert_eq!(bench.take_log(), "note CHN-002\n");
}

#[test]
fn a_refused_block_is_not_worked_on_until_it_is_another() {
    check(0, &[Do::Reveal, Do::Refuse, Do::Wait(60)], &["note BLK-001"]);
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Refuse);
    assert_eq!(bench.machine.view().idle, Some("IDLE-BLOCK-REFUSED"));
    assert_eq!(bench.machine.unplanned(), []);
}

#[test]
fn a_plan_that_is_not_the_blocks_tree_is_refused() {
    for wrong in [vec![1], vec![1, 0, 0], vec![0, 0], vec![4, 0]] {
        let mut bench = Bench::new(Some(0), 3, &[1, 0]);
        bench.run(&Do::Reveal);
        bench.plan_as(&wrong);
        assert_eq!(bench.take_log(), "note BLK-002\n", "{wrong:?}");
        assert!(bench.machine.round(bench.slot).is_none());
    }
}

#[test]
fn a_plan_may_come_before_the_reveal() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    bench.run(&Do::Plan);
    bench.run(&Do::Reveal);
    assert!(bench.take_log().starts_with("persist claimed base/1 0#1"));
}

#[test]
fn a_prover_that_joins_meanwhile_changes_no_deal_that_stands() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Started("base/1"), Do::Beats(5, &[])]
        .iter()
        .for_each(|what| bench.run(what));
    bench.forget_log();
    bench.join(3);
    assert_eq!(bench.take_log(), "", "it is of a later epoch");
    bench.undo();
    bench.join(4);
    assert_eq!(bench.take_log(), "");
    assert_eq!(bench.round().deal.lanes().len(), 3);
}
