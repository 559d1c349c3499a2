//! Crashes between any two actions, and what the journal brings back (slice section 5).

use super::{Bench, Do, lane};
use crate::{Message, ProverId, io::Record};

/// Prover 0 claimed the second tx and proves it.
fn working() -> Bench {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    [Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Started("base/1"), Do::Beats(5, &[])]
        .iter()
        .for_each(|what| bench.run(what));
    bench.forget_log();
    bench
}

#[test]
fn a_live_claim_is_proved_again_under_its_number() {
    let mut bench = working();
    bench.restart(1);
    assert_eq!(bench.take_log(), "", "nothing before the block is planned again");
    bench.run(&Do::Plan);
    assert_eq!(bench.take_log(), "send claim base/1 0#1\nprove base/1 from []\n");
    bench.run(&Do::Proved("base/1"));
    assert_eq!(bench.take_log(), "persist made base/1@0\nsend made base/1@0 0#1\n");
}

#[test]
fn a_crash_before_the_record_leaves_no_promise() {
    let mut bench = working();
    bench.restart(0);
    bench.run(&Do::Plan);
    assert!(bench.take_log().starts_with("persist claimed base/1 0#1 attempt 0\nsend claim"));
}

#[test]
fn a_crash_between_record_and_announcement_announces_after_the_restart() {
    let mut bench = working();
    bench.run(&Do::Proved("base/1"));
    bench.forget_log();
    bench.restart(2);
    bench.run(&Do::Plan);
    assert_eq!(bench.take_log(), "send made base/1@0 0#1\n");
    bench.run(&Do::Held(1, 0, "base/1"));
    bench.run(&Do::Held(2, 0, "base/1"));
    assert!(bench.take_log().starts_with("persist ended 0#1 delivered\n"));
}

#[test]
fn numbers_go_on_where_the_journal_ends() {
    let mut bench = working();
    bench.run(&Do::Failed("base/1"));
    let records = bench.records.len();
    bench.forget_log();
    bench.restart(records);
    bench.run(&Do::Plan);
    let log = bench.take_log();
    assert!(log.contains("persist claimed base/1 0#2 attempt 0\n"), "{log}");
    assert!(log.contains("send claim base/1 0#2 after released\n"), "{log}");
}

#[test]
fn held_proofs_are_not_fetched_again() {
    let mut bench = working();
    bench.run(&Do::Made(1, "vm/0.0", 1));
    bench.run(&Do::Accepted(1, "vm/0.0"));
    let records = bench.records.len();
    bench.restart(records);
    bench.run(&Do::Plan);
    bench.forget_log();
    bench.run(&Do::Made(1, "vm/0.0", 1));
    assert_eq!(bench.take_log(), "send held vm/0.0@1 by 0\n", "its maker may still wait for us");
}

#[test]
fn a_claim_whose_slot_was_settled_meanwhile_ends() {
    let mut bench = working();
    bench.settle();
    bench.forget_log();
    bench.restart(1);
    assert_eq!(
        bench.take_log(),
        "persist settled 0\npersist ended 0#1 released\nsend release base/1 0#1\n"
    );
}

#[test]
fn a_claim_whose_slot_never_comes_back_ends_at_its_cap() {
    let mut bench = working();
    // L1 without the reveal: the chain was replaced while the agent was down.
    bench.undo();
    bench.undo();
    bench.forget_log();
    bench.restart(1);
    bench.run(&Do::Wait(719));
    assert_eq!(bench.take_log(), "");
    bench.run(&Do::Wait(1));
    assert_eq!(bench.take_log(), "persist ended 0#1 capped\n");
}

#[test]
fn a_lane_declared_lost_while_it_was_down_gives_its_claim_up() {
    let mut bench = working();
    bench.restart(1);
    bench.run(&Do::Loss(1, 0));
    bench.run(&Do::Loss(2, 0));
    bench.run(&Do::Plan);
    let log = bench.take_log();
    assert!(log.contains("persist ended 0#1 lost\n"), "{log}");
    assert!(log.contains("note LOS-002"), "{log}");
}

#[test]
fn messages_that_come_before_the_plan_are_not_lost() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    [Do::Reveal, Do::Claim(0, "base/1", 1), Do::Claim(1, "vm/0.0", 1), Do::Made(1, "vm/0.0", 1)]
        .iter()
        .for_each(|what| bench.run(what));
    assert_eq!(bench.take_log(), "");
    bench.run(&Do::Plan);
    assert_eq!(bench.take_log(), "fetch vm/0.0@1 from 1 0\n");
}

#[test]
fn messages_that_come_before_l1_are_not_lost() {
    let mut bench = working();
    let early = [bench.claim(1, "vm/0.0", 1), bench.claim(2, "base/0", 4)];
    bench.machine = crate::Coordinator::new(Some(ProverId(2)), bench.machine.params().clone());
    for message in early {
        bench.hear(message);
    }
    bench.feed_chain();
    bench.run(&Do::Plan);
    let vm = bench.known("vm/0.0");
    assert!(vm.holds.contains_key(&lane(1)));
}

#[test]
fn a_claim_number_of_ours_that_we_never_gave_stops_the_lane() {
    let mut bench = working();
    bench.restart(0);
    bench.hear(bench.claim(0, "base/1", 1));
    let log = bench.take_log();
    assert_eq!(log, "note CLM-001\n");
    bench.run(&Do::Plan);
    bench.run(&Do::Beats(60, &[]));
    assert!(!bench.take_log().contains("claimed"), "its next number may be used already");
    assert_eq!(bench.machine.view().idle, Some("IDLE-LANES-IN-DOUBT"));
}

#[test]
fn our_own_words_from_before_the_restart_are_welcome() {
    let mut bench = working();
    bench.run(&Do::Proved("base/1"));
    let said: Vec<Message> = bench
        .actions
        .iter()
        .filter_map(
            |it| if let crate::Action::Send { message: it, .. } = it { Some(*it) } else { None },
        )
        .collect();
    let records = bench.records.len();
    bench.restart(records);
    said.iter().for_each(|it| bench.hear(*it));
    bench.run(&Do::Plan);
    assert!(!bench.take_log().contains("note"), "nothing is in doubt");
}

/// The whole life of one proof, crashed after each of its records.
#[test]
fn a_crash_after_any_record_leads_to_the_same_promises() {
    let script = [
        Do::Reveal,
        Do::Plan,
        Do::Started("base/1"),
        Do::Proved("base/1"),
        Do::Held(1, 0, "base/1"),
        Do::Held(2, 0, "base/1"),
    ];
    let mut whole = Bench::new(Some(0), 3, &[1, 0]);
    script.iter().for_each(|what| whole.run(what));
    for kept in 0..whole.records.len() {
        let mut bench = Bench::new(Some(0), 3, &[1, 0]);
        script.iter().for_each(|what| bench.run(what));
        bench.restart(kept);
        script[1..].iter().for_each(|what| bench.run(what));
        let mut claimed = std::collections::BTreeMap::new();
        for record in &bench.records {
            if let Record::Claimed { lane, seq, task, .. } = *record {
                let before = claimed.insert((lane, seq), task);
                assert!(before.is_none(), "number {seq} is used twice after {kept} records");
            }
        }
        let made = bench.records.iter().filter(|it| matches!(it, Record::Made { .. })).count();
        assert_eq!(made, 1, "after {kept} records");
    }
}

#[test]
#[should_panic(expected = "cannot be restored")]
fn a_machine_that_has_stepped_cannot_be_restored() {
    let bench = Bench::new(Some(0), 3, &[1, 0]);
    let _ = bench.machine.restore(&[]);
}
