//! Ranks, rights, keepers and delivery of one round, asked directly.

use super::*;
use crate::{
    assign::keccak::keccak256,
    domain::{BlobId, BlockId, Hash, Node},
    io::Message,
};

fn params() -> Params {
    Params::devnet()
}
fn lane(prover: u32) -> LaneId {
    LaneId::new(ProverId(prover), 0)
}
fn id(node: Node) -> TaskId {
    TaskId(keccak256(&[&node.to_bytes()]).0)
}

fn opening(provers: u32, seed: u8) -> Opening {
    let reveal = Reveal {
        block: BlockId([1; 32]),
        commitment: Hash([2; 32]),
        txs: [3; 32],
        count: 2,
        number: 105,
        time_s: 1_000,
    };
    let lanes = (0..provers).map(|it| (lane(it), Class::Vm)).collect();
    Opening { slot: Slot(0), reveal, seed: Hash([seed; 32]), lanes }
}

fn planned(tree: &Tree, id: impl Fn(Node) -> TaskId) -> Vec<PlannedTask> {
    tree.nodes().iter().map(|&node| PlannedTask { node, task: id(node) }).collect()
}

/// A round of a block with these calls among so many provers.
fn round(provers: u32, calls: &[u8]) -> Round {
    let tree = Tree::new(calls).unwrap();
    let tasks = planned(&tree, id);
    let mut round = Round::new(Millis(0), opening(provers, 7), tree, &tasks, &params()).unwrap();
    round.refresh(Millis(0), |_| None);
    round
}

fn find(round: &Round, name: &str) -> usize {
    let place = round.tree.nodes().iter().position(|it| it.to_string() == name).unwrap();
    round.places[place]
}

fn made(round: &Round, name: &str, maker: u32, seq: u64) -> Message {
    Message::Made {
        task: round.tasks[find(round, name)].id,
        statement: StatementId([u8::try_from(seq).unwrap(); 32]),
        blob: BlobId([u8::try_from(seq).unwrap(); 32]),
        lane: lane(maker),
        slot: Slot(0),
        seq,
        cpu_ms: 1,
        peak_mb: 1,
    }
}

fn hold(round: &mut Round, name: &str, holder: LaneId, seq: u64) {
    let task = find(round, name);
    round.hold(Millis(5), task, holder, Hold { seq, since: Millis(5), cap_at: Millis(1_000) });
}

#[test]
fn a_plan_must_name_every_node_once() {
    let tree = Tree::new(&[1, 0]).unwrap();
    let whole = planned(&tree, id);
    let new = |tasks: &[PlannedTask]| {
        Round::new(Millis(0), opening(3, 1), tree.clone(), tasks, &params()).is_some()
    };
    assert!(new(&whole));
    let mut shuffled = whole.clone();
    shuffled.reverse();
    assert!(new(&shuffled), "the order of a plan says nothing");
    assert!(!new(&whole[1..]));
    assert!(!new(&[&whole[..], &whole[..1]].concat()));
    let mut twice = whole.clone();
    twice[0].node = twice[1].node;
    assert!(!new(&twice));
    let mut confused = whole;
    confused[0].task = confused[1].task;
    assert!(!new(&confused), "a vm and a kernel are never one task");
}

#[test]
fn equal_calls_of_two_txs_are_one_task_with_two_places() {
    let tree = Tree::new(&[1, 1]).unwrap();
    let same =
        |node: Node| if node.kind == Kind::Vm { id(Node { index: 0, ..node }) } else { id(node) };
    let tasks = planned(&tree, same);
    let round = Round::new(Millis(0), opening(3, 1), tree, &tasks, &params()).unwrap();
    assert_eq!(round.tasks.len(), round.tree.nodes().len() - 1);
    let vm = find(&round, "vm/0.0");
    assert_eq!(find(&round, "vm/1.0"), vm);
    let parents = [find(&round, "kernel/0.0"), find(&round, "kernel/1.0")];
    assert_eq!(round.tasks[vm].parents, parents);
    assert_eq!(round.tasks[vm].order, round.deal.ranks(Class::Vm, 0));
}

#[test]
fn leaves_are_ready_and_open_at_once() {
    let round = round(3, &[1, 0]);
    let open: Vec<String> = round
        .tasks
        .iter()
        .filter(|it| it.open_since.is_some())
        .map(|it| it.node.to_string())
        .collect();
    assert_eq!(open, ["vm/0.0", "base/1"]);
}

#[test]
fn a_node_is_ready_when_all_its_children_are_known() {
    let mut round = round(3, &[0, 0]);
    let merge = find(&round, "merge/1.0");
    round.on_made(Millis(1), made(&round, "base/0", 0, 1));
    assert!(!round.is_ready(merge));
    round.on_made(Millis(2), made(&round, "base/1", 1, 1));
    assert!(round.is_ready(merge));
    round.refresh(Millis(9), |_| None);
    assert_eq!(round.tasks[merge].open_since, Some(Millis(9)));
}

#[test]
fn a_claimed_task_is_not_open_and_opens_anew_when_it_is_let_go() {
    let mut round = round(3, &[0]);
    let base = find(&round, "base/0");
    hold(&mut round, "base/0", lane(1), 4);
    round.refresh(Millis(6), |_| None);
    assert_eq!(round.tasks[base].open_since, None);
    round.let_go(Millis(7), lane(1), 4);
    assert_eq!(round.tasks[base].holds.len(), 1, "only claims below the number end");
    round.let_go(Millis(7), lane(1), 5);
    round.refresh(Millis(8), |_| None);
    assert_eq!((round.tasks[base].open_since, round.tasks[base].attempts), (Some(Millis(8)), 1));
}

#[test]
fn lanes_that_cannot_be_counted_on_rank_last() {
    let mut round = round(5, &[0]);
    let base = find(&round, "base/0");
    let order = round.tasks[base].order.clone();
    for (rank, &it) in order.iter().enumerate() {
        assert_eq!(round.rank(base, it), Some(rank));
    }
    round.lose(Millis(1), order[0]);
    assert_eq!(round.rank(base, order[1]), Some(0));
    assert_eq!(round.rank(base, order[0]), Some(4));
    round.on_beat(Millis(2), order[0], 9, TaskId::default());
    assert_eq!(round.rank(base, order[0]), Some(4), "a lane that came back is not counted on");
    assert!(round.is_alive(order[0]) && !round.is_eligible(order[0]));
    assert_eq!(round.rank(base, lane(99)), None);
}

#[test]
fn waiting_is_half_a_second_per_rank_and_a_beat_for_a_free_right() {
    let mut round = round(5, &[0, 0]);
    let base = find(&round, "base/0");
    let order = round.tasks[base].order.clone();
    let opens =
        |round: &Round, rank: usize| round.opens_at(base, order[rank], &params()).unwrap().0;
    assert_eq!(opens(&round, 0), Millis(0));
    assert_eq!(opens(&round, 1), Millis(5_500));
    assert_eq!(opens(&round, 4), Millis(7_000));
    hold(&mut round, "base/1", order[0], 1);
    assert_eq!(opens(&round, 1), Millis(500), "the right's holder is busy");
    round.lose(Millis(1), order[0]);
    assert_eq!(opens(&round, 1), Millis(0), "a lost lane has no right");
    assert_eq!(opens(&round, 2), Millis(5_500), "now the next one has it");
}

#[test]
fn a_capped_lane_waits_as_long_as_for_inputs_on_top() {
    let mut round = round(3, &[0]);
    let base = find(&round, "base/0");
    let first = round.tasks[base].order[0];
    hold(&mut round, "base/0", first, 1);
    assert_eq!(round.expire(Millis(999)), []);
    assert_eq!(round.expire(Millis(1_000)), [first]);
    round.refresh(Millis(1_000), |_| None);
    let (at, rank) = round.opens_at(base, first, &params()).unwrap();
    // Rank 2: 1 s; the new right's holder is free: 5 s; the cap: 30 s.
    assert_eq!((at, rank), (Millis(1_000 + 36_000), 2));
}

#[test]
fn the_makers_of_both_children_have_the_right_to_their_parent() {
    let mut round = round(6, &[0, 0]);
    let merge = find(&round, "merge/1.0");
    round.on_made(Millis(1), made(&round, "base/0", 2, 1));
    round.on_made(Millis(1), made(&round, "base/1", 5, 2));
    round.refresh(Millis(1), |_| None);
    let order = round.tasks[merge].order.clone();
    let mut makers = order[..2].to_vec();
    makers.sort_unstable();
    assert_eq!(makers, [lane(2), lane(5)]);
    let opens = |rank: usize| round.opens_at(merge, order[rank], &params()).unwrap().0;
    assert_eq!([opens(0), opens(1), opens(2)], [Millis(1), Millis(501), Millis(6_001)]);
}

#[test]
fn a_maker_that_the_ledger_knows_goes_before_one_that_was_announced() {
    let mut round = round(6, &[0]);
    let root = find(&round, "root");
    round.on_made(Millis(1), made(&round, "base/0", 2, 1));
    round.refresh(Millis(1), |_| Some(lane(4)));
    assert_eq!(round.tasks[root].order[0], lane(4));
    assert_eq!(round.tasks[root].rights(), 2);
}

#[test]
fn of_two_lanes_exactly_one_outranks_the_other() {
    let round = round(6, &[1, 0]);
    for task in 0..round.tasks.len() {
        for (a, b) in (0..6).flat_map(|a| (0..6).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let wins =
                [round.outranks(task, lane(a), lane(b)), round.outranks(task, lane(b), lane(a))];
            assert_eq!(wins.iter().filter(|it| **it).count(), 1, "{a} and {b} on {task}");
        }
    }
}

#[test]
fn a_proof_is_delivered_when_every_keeper_that_lives_holds_it() {
    let mut round = round(4, &[0, 0]);
    let base = find(&round, "base/0");
    let statement = StatementId([1; 32]);
    let delivered = |round: &Round| round.is_delivered(base, lane(0), statement, &params());
    assert_eq!(round.keepers(base, lane(0), &params()).len(), 3);
    for holder in [1, 2] {
        round.hold_copy(statement, ProverId(holder));
        assert!(!delivered(&round));
    }
    round.lose(Millis(1), lane(3));
    assert!(delivered(&round));
    round.on_beat(Millis(2), lane(3), 1, TaskId::default());
    assert!(!delivered(&round), "it came back and is a keeper again");
}

#[test]
fn few_copies_are_enough_inside_a_subtree_and_more_for_its_top() {
    let many = Params { replicas_subtree: 2, replicas_crown: 5, ..params() };
    let tree = Tree::new(&[1, 0]).unwrap();
    let tasks = planned(&tree, id);
    let round = Round::new(Millis(0), opening(12, 3), tree, &tasks, &many).unwrap();
    let count = |name: &str| round.replicas(find(&round, name), &many);
    assert_eq!(count("vm/0.0"), 2);
    assert_eq!(count("kernel/0.0"), 2);
    assert_eq!(count("base/0"), 5, "the top of its subtree");
    assert_eq!(count("merge/1.0"), 5);
    assert_eq!(count("root"), usize::MAX, "the root goes to everybody");
    let kernel = find(&round, "kernel/0.0");
    let maker = round.tasks[kernel].order[11];
    let keepers = round.keepers(kernel, maker, &many);
    assert!((2..=3).contains(&keepers.len()), "two ranks and the parent's right: {keepers:?}");
    assert!(keepers.contains(&round.tasks[find(&round, "base/0")].order[0]));
    assert_eq!(round.keepers(round.root(), maker, &many).len(), 11);
}

#[test]
fn lanes_of_one_prover_share_its_store() {
    let lanes: BTreeMap<LaneId, Class> = (0..2)
        .flat_map(|p| (0..2).map(move |n| (LaneId::new(ProverId(p), n), Class::Vm)))
        .collect();
    let tree = Tree::new(&[0]).unwrap();
    let tasks = planned(&tree, id);
    let opening = Opening { lanes, ..opening(0, 1) };
    let mut round = Round::new(Millis(0), opening, tree, &tasks, &params()).unwrap();
    let base = find(&round, "base/0");
    let statement = StatementId([1; 32]);
    let maker = LaneId::new(ProverId(0), 0);
    assert!(!round.is_delivered(base, maker, statement, &params()));
    round.hold_copy(statement, ProverId(1));
    assert!(round.is_delivered(base, maker, statement, &params()));
}

#[test]
fn a_newer_beat_refutes_notices_and_losses() {
    let mut round = round(4, &[0]);
    round.on_beat(Millis(10), lane(1), 5, TaskId::default());
    round.on_notice(lane(1), lane(2), 4);
    assert!(round.lanes[&lane(1)].notices.is_empty(), "we heard beat 5");
    round.on_notice(lane(1), lane(2), 5);
    round.on_notice(lane(1), lane(3), 7);
    round.lose(Millis(20), lane(1));
    round.on_beat(Millis(21), lane(1), 5, TaskId::default());
    assert!(!round.is_alive(lane(1)), "an old beat is no news");
    round.on_beat(Millis(22), lane(1), 6, TaskId::default());
    assert!(round.is_alive(lane(1)));
    assert_eq!(round.lanes[&lane(1)].notices.keys().collect::<Vec<_>>(), [&lane(3)]);
}

#[test]
fn lost_watchers_are_replaced_but_their_word_stands() {
    let mut round = round(8, &[0]);
    let watched = lane(0);
    let first = round.watchers(watched, 4);
    assert_eq!(first.len(), 4);
    round.lose(Millis(1), first[0]);
    let second = round.watchers(watched, 4);
    assert_eq!(second[..3], first[1..]);
    assert!(!first.contains(&second[3]));
    round.on_notice(watched, first[0], 3);
    assert_eq!(round.watchers(watched, 4), first);
}

#[test]
fn patience_is_doubled_for_a_lane_that_never_spoke() {
    let mut round = round(2, &[0]);
    let silent = |round: &Round, at| round.lanes[&lane(1)].is_silent(Millis(at), &params());
    assert!(!silent(&round, 29_999) && silent(&round, 30_000));
    round.on_beat(Millis(1_000), lane(1), 1, TaskId::default());
    assert!(!silent(&round, 15_999) && silent(&round, 16_000));
    round.listen_anew(Millis(50_000));
    assert!(!silent(&round, 64_999) && silent(&round, 65_000));
}

#[test]
fn an_announcement_is_replaced_only_by_a_later_claims() {
    let mut round = round(3, &[0]);
    let base = find(&round, "base/0");
    assert!(round.on_made(Millis(1), made(&round, "base/0", 1, 5)));
    assert!(!round.on_made(Millis(2), made(&round, "base/0", 1, 5)));
    assert!(!round.on_made(Millis(2), made(&round, "base/0", 1, 4)));
    assert!(round.on_made(Millis(2), made(&round, "base/0", 1, 6)));
    assert_eq!(round.tasks[base].offers[&lane(1)].blob, BlobId([6; 32]));
    assert!(round.on_made(Millis(2), made(&round, "base/0", 2, 1)), "another lane's is another");
}
