//! Everything that grows from outside has an end.

use super::{Bench, Do, lane};
use crate::{
    Input, Message,
    coordinator::EARLY_MAX,
    domain::{BlobId, BlockId, Slot, StatementId, TaskId},
    io::Previous,
};

fn id(n: usize) -> [u8; 32] {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

#[test]
fn early_messages_are_bounded_and_the_newest_stay() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    let slot = bench.slot;
    for n in 0..EARLY_MAX + 10 {
        let (task, seq) = (TaskId(id(n)), n as u64 + 10);
        bench.hear(Message::Release { task, lane: lane(1), slot, seq, failed: false });
    }
    bench.hear(bench.claim(1, "vm/0.0", 9));
    bench.run(&Do::Plan);
    assert!(bench.known("vm/0.0").holds.contains_key(&lane(1)));
}

#[test]
fn early_beats_take_one_place_per_lane() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.hear(bench.claim(1, "vm/0.0", 1));
    for _ in 0..EARLY_MAX + 10 {
        bench.now = bench.now.after(5_000);
        bench.hear(bench.beat(1));
    }
    bench.run(&Do::Plan);
    assert!(bench.known("vm/0.0").holds.contains_key(&lane(1)));
    assert!(bench.round().standing(lane(1)).unwrap().beat.is_some());
}

#[test]
fn messages_of_slots_far_away_are_dropped() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.slot = Slot(1_000_000);
    bench.hear(bench.claim(1, "vm/0.0", 1));
    bench.slot = Slot(0);
    bench.run(&Do::Plan);
    // Had it been kept, this claim with the same number would be a fault.
    bench.hear(bench.claim(1, "vm/0.0", 1));
    assert!(!bench.take_log().contains("FLT"));
}

#[test]
fn one_lane_cannot_fill_a_task_with_announcements() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    for n in 1..500 {
        bench.hear(Message::Made {
            task: bench.named("vm/0.0"),
            statement: StatementId(id(n)),
            blob: BlobId(id(n)),
            lane: lane(1),
            slot: bench.slot,
            seq: n as u64,
            cpu_ms: 0,
            peak_mb: 0,
        });
    }
    assert_eq!(bench.known("vm/0.0").offers.len(), 1);
}

#[test]
fn acknowledgements_of_unknown_statements_are_bounded() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    for n in 0..2_000 {
        let statement = StatementId(id(n));
        bench.hear(Message::Held { statement, lane: lane(1), slot: bench.slot });
    }
    assert!(bench.round().followed().all(|(_, it)| it.holders.is_empty()), "of nothing known");
    for n in 1..20 {
        let (statement, blob) = (StatementId(id(n)), BlobId(id(n)));
        let (task, slot, seq) = (bench.named("vm/0.0"), bench.slot, n as u64);
        let (lane, cpu_ms, peak_mb) = (lane(1), 0, 0);
        bench.hear(Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb });
        bench.hear(Message::Held { statement, lane, slot });
    }
    assert_eq!(bench.known("vm/0.0").holders.len(), 8, "of few statements of one task");
}

#[test]
fn plans_are_bounded() {
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Plan);
    for n in 0..127 {
        bench.step(Input::Refused { block: BlockId(id(n)) });
    }
    bench.run(&Do::Reveal);
    assert!(bench.machine.round(bench.slot).is_some(), "127 others leave room for ours");
    let mut bench = Bench::new(Some(2), 3, &[1, 0]);
    bench.run(&Do::Plan);
    for n in 0..128 {
        bench.step(Input::Refused { block: BlockId(id(n)) });
    }
    bench.run(&Do::Reveal);
    assert_eq!(bench.machine.unplanned(), [bench.block_id()], "it is asked for again");
}

#[test]
fn slots_that_are_over_are_forgotten_with_their_proofs() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    for number in 0..50 {
        bench.slot = Slot(number);
        bench.run(&Do::Reveal);
        bench.run(&Do::Plan);
        bench.run(&Do::Made(1, "vm/0.0", number + 1));
        bench.run(&Do::Accepted(1, "vm/0.0"));
        bench.settle();
    }
    let kept = bench.machine.chain().slots().count();
    assert_eq!(kept, 18, "the running epoch's");
    assert!(bench.machine.ledger().len() <= kept, "{} proofs", bench.machine.ledger().len());
    assert_eq!(bench.machine.blobs_in_use().len(), bench.machine.ledger().len());
}

#[test]
fn a_slot_that_nobody_settles_lapses_and_frees_its_lanes() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    bench.forget_log();
    let p = bench.params().clone();
    let window = (p.proving_blocks + p.halting_blocks + p.backup_blocks) * p.l1_block_s;
    bench.now = bench.now.after(window * 1_000);
    bench.run(&Do::Block);
    assert_eq!(bench.machine.unsettled_slots(), [bench.slot], "the last second still counts");
    bench.forget_log();
    bench.now = bench.now.after(1_000);
    bench.run(&Do::Block);
    assert_eq!(bench.machine.unsettled_slots(), []);
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.machine.claims().live(lane(0)), None);
}

#[test]
fn time_never_goes_back() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    let now = bench.machine.now();
    bench.now = crate::Millis(5);
    bench.run(&Do::Tick);
    assert_eq!(bench.machine.now(), now);
}

#[test]
fn the_first_claim_of_a_lane_has_nothing_before_it() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    bench.run(&Do::Reveal);
    bench.run(&Do::Plan);
    assert_eq!(bench.claims_spoken(), [(1, Previous::None)]);
}
