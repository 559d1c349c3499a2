//! What the screens are told at each moment of a block's life.

use super::{Bench, Do, lane, payee};
use crate::{
    domain::{Millis, Slot},
    io::Message,
    view::{NodeView, SlotView, TASKS_SHOWN_MAX},
};

fn bench(own: u32, script: &[Do]) -> Bench {
    let mut bench = Bench::new(Some(own), 3, &[1, 0]);
    script.iter().for_each(|what| bench.run(what));
    bench
}

fn slot(bench: &Bench) -> SlotView {
    let view = bench.machine.view();
    view.slots.into_iter().find(|it| it.slot == bench.slot).unwrap()
}

fn node(bench: &Bench, name: &str) -> NodeView {
    let slot = slot(bench);
    *slot.nodes.iter().find(|it| it.node.to_string() == name).unwrap()
}

/// Every node as `name state prover`.
#[track_caller]
fn check_nodes(own: u32, script: &[Do], expected: &[&str]) {
    let bench = bench(own, script);
    let nodes: Vec<String> = slot(&bench)
        .nodes
        .iter()
        .map(|it| {
            let who = it.lane.map_or(String::new(), |lane| format!(" {}", lane.prover()));
            let mine = if it.mine { " mine" } else { "" };
            format!("{} {}{who}{mine}", it.node, it.state)
        })
        .collect();
    assert_eq!(nodes, expected);
}

#[test]
fn a_fresh_block_has_two_ready_leaves() {
    check_nodes(
        2,
        &[Do::Reveal, Do::Plan],
        &[
            "vm/0.0 ready",
            "kernel/0.0 todo",
            "base/0 todo",
            "base/1 ready",
            "merge/1.0 todo",
            "root todo",
        ],
    );
}

#[test]
fn claims_proofs_and_deliveries_show_with_their_prover() {
    check_nodes(
        0,
        &[Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1), Do::Started("base/1")],
        &[
            "vm/0.0 claimed 1",
            "kernel/0.0 todo",
            "base/0 todo",
            "base/1 proving 0 mine",
            "merge/1.0 todo",
            "root todo",
        ],
    );
    check_nodes(
        0,
        &[
            Do::Reveal,
            Do::Plan,
            Do::Claim(1, "vm/0.0", 1),
            Do::Proved("base/1"),
            Do::Held(1, 0, "base/1"),
            Do::Held(2, 0, "base/1"),
            Do::Made(1, "vm/0.0", 1),
        ],
        &[
            "vm/0.0 made 1",
            "kernel/0.0 ready",
            "base/0 todo",
            "base/1 delivered 0 mine",
            "merge/1.0 todo",
            "root todo",
        ],
    );
}

#[test]
fn a_peer_that_beats_for_a_task_is_shown_proving_it() {
    let mut bench = bench(0, &[Do::Reveal, Do::Plan, Do::Claim(1, "vm/0.0", 1)]);
    let task = bench.named("vm/0.0");
    let n = bench.now.0 / 5_000 + 1;
    bench.hear(Message::Beat { lane: lane(1), slot: bench.slot, n, task });
    assert_eq!(node(&bench, "vm/0.0").state, "proving");
}

#[test]
fn costs_come_from_the_announcement_and_attempts_are_counted() {
    let bench = bench(
        0,
        &[
            Do::Reveal,
            Do::Plan,
            Do::Claim(2, "vm/0.0", 1),
            Do::Release(2, "vm/0.0", 1),
            Do::Made(1, "vm/0.0", 1),
        ],
    );
    let vm = node(&bench, "vm/0.0");
    assert_eq!((vm.cpu_ms, vm.peak_mb, vm.attempts), (Some(1_000), Some(100), 1));
    assert_eq!(node(&bench, "root").cpu_ms, None);
}

#[test]
fn subtrees_show_their_lane_and_progress() {
    let bench = bench(1, &[Do::Reveal, Do::Plan, Do::Proved("vm/0.0")]);
    let slot = slot(&bench);
    let drawn: Vec<String> = slot
        .subtrees
        .iter()
        .map(|it| {
            let lane = it.lane.unwrap().prover();
            let mine = if it.mine { " mine" } else { "" };
            format!("{}..{} {}/{} of {lane}{mine}", it.first_tx, it.last_tx, it.made, it.tasks)
        })
        .collect();
    assert_eq!(drawn, ["0..0 1/3 of 1 mine", "1..1 0/1 of 0"]);
    // 3,000 s of proving; kernel, base, merge and root take 1,260 s from now.
    let slack = slot.subtrees[0].slack_ms.unwrap();
    assert!((1_700_000..=1_740_000).contains(&slack), "{slack}");
}

#[test]
fn the_expected_end_is_the_longest_way_that_is_left() {
    let mut bench = bench(1, &[Do::Reveal, Do::Plan]);
    let left = |bench: &Bench| slot(bench).eta.unwrap().since(bench.now);
    assert_eq!(left(&bench), 1_500_000);
    bench.run(&Do::Beats(100, &[]));
    assert_eq!(left(&bench), 1_400_000, "the call has run for 100 s");
    bench.run(&Do::Beats(300, &[]));
    assert_eq!(left(&bench), 1_260_000, "late is not earlier than its parent's way");
}

#[test]
fn phases_follow_the_chain() {
    let phase = |script: &[Do]| slot(&bench(1, script)).phase;
    assert_eq!(phase(&[Do::Reveal]), "proving");
    assert_eq!(phase(&[Do::Reveal, Do::Refuse]), "refused");
    assert_eq!(phase(&[Do::Reveal, Do::Plan, Do::Made(0, "root", 1)]), "settling");
    assert_eq!(phase(&[Do::Reveal, Do::Plan, Do::Settled]), "settled");
    let mut early = Bench::new(Some(1), 3, &[1, 0]);
    early.run(&Do::Reveal);
    (0..2).for_each(|_| early.undo());
    assert_eq!(slot(&early).phase, "proposal");
    early.run(&Do::Block);
    assert_eq!(slot(&early).phase, "reveal");
    (0..5).for_each(|_| early.run(&Do::Block));
    assert_eq!(slot(&early).phase, "lapsed");
}

#[test]
fn the_four_phases_touch_each_other_and_say_where_we_are() {
    let mut bench = bench(1, &[Do::Reveal, Do::Plan]);
    let states = |bench: &Bench| {
        let phases = slot(bench).phases;
        assert!(phases.windows(2).all(|it| it[0].end == it[1].start), "{phases:?}");
        phases.iter().map(|it| it.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&bench), ["ok", "ok", "now", "todo"]);
    bench.now = bench.now.after(2_995_000);
    bench.run(&Do::Tick);
    assert_eq!(states(&bench), ["ok", "ok", "missed", "now"]);
    bench.now = bench.now.after(10_000);
    bench.run(&Do::Tick);
    assert_eq!(states(&bench), ["ok", "ok", "missed", "missed"]);
    bench.settle();
    assert_eq!(states(&bench), ["ok"; 4]);
}

#[test]
fn a_settled_slot_keeps_its_figures() {
    let bench = bench(1, &[Do::Reveal, Do::Plan, Do::Wait(100), Do::Settled]);
    let slot = slot(&bench);
    let settlement = slot.settlement.unwrap();
    assert_eq!((settlement.units, settlement.pool, settlement.payee), (9, 100, payee(0)));
    assert_eq!(slot.settled.unwrap().since(slot.revealed.unwrap()), 100_000);
    assert_eq!((slot.eta, slot.txs, slot.lanes), (None, 2, 3));
}

#[test]
fn a_lane_shows_what_it_waits_for() {
    let state = |script: &[Do]| {
        let lanes = bench(2, script).machine.view().lanes;
        assert_eq!(lanes.len(), 1);
        (lanes[0].state, lanes[0].node.map(|it| it.to_string()))
    };
    let mut script = vec![
        Do::Reveal,
        Do::Plan,
        Do::Claim(0, "base/1", 1),
        Do::Claim(1, "vm/0.0", 1),
        Do::Made(1, "vm/0.0", 1),
    ];
    assert_eq!(state(&script), ("idle", None));
    script.push(Do::WaitMs(4_500));
    let kernel = Some("kernel/0.0".to_owned());
    assert_eq!(state(&script), ("waiting_inputs", kernel.clone()));
    script.push(Do::Accepted(1, "vm/0.0"));
    assert_eq!(state(&script), ("waiting_machine", kernel.clone()));
    script.push(Do::Started("kernel/0.0"));
    assert_eq!(state(&script), ("proving", kernel.clone()));
    script.push(Do::Proved("kernel/0.0"));
    assert_eq!(state(&script), ("idle", None), "the made proof keeps no lane");
}

#[test]
fn own_tasks_are_listed_newest_first_with_how_they_ended() {
    let mut bench = bench(0, &[Do::Reveal, Do::Plan, Do::Failed("base/1"), Do::Beats(40, &[])]);
    bench.run(&Do::Started("base/1"));
    let drawn = |bench: &Bench| -> Vec<String> {
        let tasks = bench.machine.view().tasks;
        tasks.iter().map(|it| format!("#{} {}", it.seq, it.state)).collect()
    };
    let before = drawn(&bench);
    assert!(before.contains(&"#1 released".to_owned()), "{before:?}");
    for number in 0..80 {
        bench.run(&Do::Failed("base/1"));
        bench.run(&Do::Failed("vm/0.0"));
        bench.run(&Do::Beats(40, &[]));
        assert!(drawn(&bench).len() <= TASKS_SHOWN_MAX, "after {number}");
    }
    let sequence: Vec<u64> = bench.machine.view().tasks.iter().map(|it| it.seq).collect();
    assert!(sequence.is_sorted_by(|a, b| a > b), "{sequence:?}");
}

#[test]
fn at_most_sixteen_slots_are_shown_oldest_first() {
    let mut bench = Bench::new(Some(1), 3, &[1, 0]);
    for number in 0..20 {
        bench.slot = Slot(number);
        bench.run(&Do::Reveal);
        bench.settle();
    }
    let slots: Vec<u64> = bench.machine.view().slots.iter().map(|it| it.slot.0).collect();
    assert_eq!(slots, (4..20).collect::<Vec<u64>>());
}

#[test]
fn idleness_has_a_reason() {
    let idle = |own: u32, script: &[Do]| bench(own, script).machine.view().idle;
    assert_eq!(idle(2, &[]), Some("IDLE-NO-BLOCK"));
    assert_eq!(idle(2, &[Do::Reveal]), Some("IDLE-CHECKING-BLOCK"));
    assert_eq!(idle(2, &[Do::Reveal, Do::Refuse]), Some("IDLE-BLOCK-REFUSED"));
    assert_eq!(idle(2, &[Do::Reveal, Do::Plan]), Some("IDLE-NO-READY-TASK"));
    assert_eq!(idle(1, &[Do::Reveal, Do::Plan]), None);
    assert_eq!(idle(9, &[Do::Reveal, Do::Plan]), Some("IDLE-NOT-REGISTERED"));
    let settling = [Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1), Do::Made(0, "root", 2)];
    assert_eq!(idle(2, &settling), Some("IDLE-SETTLING"));
    let fresh = crate::Coordinator::new(Some(crate::ProverId(0)), super::bench::params());
    assert_eq!(fresh.view().idle, Some("IDLE-NO-L1"));
}

#[test]
fn a_lane_stays_lost_until_its_next_beat() {
    let mut bench = bench(1, &[Do::Reveal, Do::Plan]);
    let last_beat = bench.number_of(bench.beat(1)).unwrap();
    let (gone, slot) = (lane(1), bench.slot);
    for watcher in [0, 2] {
        bench.hear(Message::Loss { lane: gone, slot, watcher: lane(watcher), last_beat });
    }
    assert_eq!(bench.machine.view().idle, Some("IDLE-LANES-LOST"));
    bench.run(&Do::Wait(10));
    assert_ne!(bench.machine.view().idle, Some("IDLE-LANES-LOST"));
}

#[test]
fn a_view_of_nothing_is_empty() {
    let fresh = crate::Coordinator::new(None, super::bench::params());
    let view = fresh.view();
    assert_eq!((view.now, view.l1_number, view.slots.len()), (Millis(0), 0, 0));
    assert_eq!((view.lanes.len(), view.tasks.len()), (0, 0));
    assert_eq!(fresh.deadline(), None);
    assert_eq!(fresh.unsettled_slots(), []);
}
