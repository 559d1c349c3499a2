//! Ranks, rights, keepers and delivery of one round, asked directly.

mod standing;

use super::*;
use crate::{
    assign::{deal::Amount, keccak::keccak256},
    domain::{BlobId, BlockId, Hash, Kind, Node},
    io::{Message, PlannedTask},
    slot::phase::opens_at,
    tree::Tree,
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

fn reveal() -> Reveal {
    let (block, commitment, txs) = (BlockId([1; 32]), Hash([2; 32]), [3; 32]);
    let set = [9; 32];
    Reveal { block, commitment, txs, count: 2, set, number: 105, time_s: 1_000 }
}

/// The round of a block with these calls among these lanes, as prover 0 sees it when it follows
/// every task.
fn round_of(lanes: BTreeMap<LaneId, Class>, calls: &[u8], params: &Params) -> Round {
    let tree = Tree::new(calls).unwrap();
    let planned: Vec<PlannedTask> =
        tree.nodes().iter().map(|&node| PlannedTask { node, task: id(node) }).collect();
    let layout = Arc::new(Layout::new(calls, &planned, params).unwrap());
    let amount = Amount { subtrees: layout.cut.subtrees.len(), vms: layout.vms };
    let deal = Deal::new(Hash([7; 32]), lanes, amount, params.replicas_subtree, &|_, _| 0);
    let (slot, reveal, own) = (Slot(0), reveal(), Some(ProverId(0)));
    let opening = Opening { slot, reveal, deal: Arc::new(deal), layout, key: Hash([7; 32]), own };
    let mut round = Round::new(Millis(0), opening, params);
    for task in 0..round.layout.spots.len() {
        round.track(Millis(0), task, params);
    }
    refresh(&mut round, 0, params);
    round
}

fn vm_lanes(provers: u32) -> BTreeMap<LaneId, Class> {
    (0..provers).map(|it| (lane(it), Class::Vm)).collect()
}

fn round(provers: u32, calls: &[u8]) -> Round {
    round_of(vm_lanes(provers), calls, &params())
}

/// As the coordinator does at the end of a step.
fn refresh(round: &mut Round, at: u64, params: &Params) {
    while let Some(task) = round.dirty.pop_first() {
        round.refresh(Millis(at), task, params);
        round.assert_task(task);
    }
}

fn find(round: &Round, name: &str) -> usize {
    let place = round.layout.tree.nodes().iter().position(|it| it.to_string() == name).unwrap();
    round.layout.at(place)
}
fn known<'a>(round: &'a Round, name: &str) -> &'a Task {
    round.task(find(round, name)).unwrap()
}

fn make(round: &mut Round, at: u64, name: &str, maker: u32, seq: u64) -> bool {
    let made = Message::Made {
        task: round.spot(find(round, name)).id,
        statement: StatementId([u8::try_from(seq).unwrap(); 32]),
        blob: BlobId([u8::try_from(seq).unwrap(); 32]),
        lane: lane(maker),
        slot: Slot(0),
        seq,
        cpu_ms: 1,
        peak_mb: 1,
    };
    round.on_made(Millis(at), &made, &params())
}

fn hold(round: &mut Round, at: u64, name: &str, holder: LaneId, params: &Params) {
    let task = find(round, name);
    let (seq, since, cap_at) = (round.timers.len() as u64 + 1, Millis(at), Millis(at + 1_000_000));
    round.hold(since, task, (holder, Hold { seq, since, cap_at }), params);
    refresh(round, at, params);
}

/// When each of a task's ranks may claim it.
fn opens(round: &Round, name: &str, params: &Params) -> Vec<u64> {
    let task = find(round, name);
    let at = |&it: &LaneId| round.opens_at(task, it, params).unwrap().0.0;
    known(round, name).order.iter().map(at).collect()
}

#[test]
fn leaves_are_ready_and_open_at_once() {
    let round = round(3, &[1, 0]);
    let open = round.open.range(0..=usize::MAX).map(|it| round.spot(it).node.to_string());
    assert_eq!(open.collect::<Vec<_>>(), ["vm/0.0", "base/1"]);
}

#[test]
fn a_node_is_ready_when_all_its_children_are_known() {
    let mut round = round(3, &[0, 0]);
    let merge = find(&round, "merge/1.0");
    make(&mut round, 1, "base/0", 0, 1);
    assert!(!round.is_ready(merge));
    make(&mut round, 2, "base/1", 1, 1);
    assert!(round.is_ready(merge));
    refresh(&mut round, 9, &params());
    assert_eq!(known(&round, "merge/1.0").open_since, Some(Millis(9)));
}

#[test]
fn a_claimed_task_is_not_open_and_opens_anew_when_it_is_let_go() {
    let mut round = round(3, &[0]);
    hold(&mut round, 5, "base/0", lane(1), &params());
    let it = known(&round, "base/0");
    assert_eq!(it.open_since, None);
    let seq = it.holds[&lane(1)].seq;
    round.let_go(Millis(7), lane(1), seq);
    assert_eq!(known(&round, "base/0").holds.len(), 1, "only claims below the number end");
    round.let_go(Millis(7), lane(1), seq + 1);
    refresh(&mut round, 8, &params());
    let it = known(&round, "base/0");
    assert_eq!((it.open_since, it.attempts), (Some(Millis(8)), 1));
}

#[test]
fn lanes_that_cannot_be_counted_on_rank_last() {
    let mut round = round(5, &[0]);
    let base = find(&round, "base/0");
    let order = known(&round, "base/0").order.clone();
    for (rank, &it) in order.iter().enumerate() {
        assert_eq!(round.rank(base, it), Some(rank));
    }
    round.lose(Millis(1), order[0], &params());
    assert_eq!(round.rank(base, order[1]), Some(0));
    assert_eq!(round.rank(base, order[0]), Some(4));
    round.on_beat(Millis(2), order[0], (9, TaskId::default()), &params());
    assert_eq!(round.rank(base, order[0]), Some(4), "a lane that came back is not counted on");
    assert!(round.is_alive(order[0]) && !round.is_eligible(order[0]));
    assert_eq!(round.rank(base, lane(99)), None);
}

#[test]
fn waiting_is_half_a_second_per_rank_and_eight_ranks_for_a_free_right() {
    let p = params();
    let mut round = round(5, &[0, 0]);
    let order = known(&round, "base/0").order.clone();
    let at = |round: &Round, rank: usize| {
        round.opens_at(find(round, "base/0"), order[rank], &params()).unwrap().0.0
    };
    assert_eq!(opens(&round, "base/0", &p), [0, 4_500, 5_000, 5_500, 6_000]);
    hold(&mut round, 5, "base/1", order[0], &p);
    assert_eq!(at(&round, 1), 0, "the right's holder is busy");
    round.lose(Millis(1), order[0], &p);
    assert_eq!(at(&round, 1), 0, "a lost lane has no right");
    assert_eq!(at(&round, 2), 4_500, "now the next one has it");
}

#[test]
fn a_capped_lane_waits_as_long_as_for_inputs_on_top() {
    let p = params();
    let mut round = round(3, &[0]);
    let (base, first) = (find(&round, "base/0"), known(&round, "base/0").order[0]);
    hold(&mut round, 0, "base/0", first, &p);
    assert_eq!(round.expire(Millis(999_999), base), []);
    assert_eq!(round.expire(Millis(1_000_000), base), [first]);
    round.rerank_all(first);
    refresh(&mut round, 1_000_000, &p);
    let (at, rank) = round.opens_at(base, first, &p).unwrap();
    // Rank 2: 1 s; the new right's holder is free: 4 s; the cap: 30 s.
    assert_eq!((at, rank), (Millis(1_000_000 + 35_000), 2));
}

#[test]
fn the_makers_of_both_children_have_the_right_to_their_parent() {
    let p = params();
    let mut round = round(6, &[0, 0]);
    make(&mut round, 1, "base/0", 2, 1);
    make(&mut round, 1, "base/1", 5, 2);
    refresh(&mut round, 1, &p);
    let mut makers = known(&round, "merge/1.0").order[..2].to_vec();
    makers.sort_unstable();
    assert_eq!(makers, [lane(2), lane(5)]);
    assert_eq!(opens(&round, "merge/1.0", &p)[..3], [1, 1, 4_501]);
}

#[test]
fn the_roots_only_child_counts_on_both_sides() {
    let mut round = round(6, &[0]);
    make(&mut round, 1, "base/0", 4, 1);
    refresh(&mut round, 1, &params());
    let root = known(&round, "root");
    assert_eq!((root.order[0], root.makers), (lane(4), [Some(lane(4)); 2]));
    assert_eq!(root.order.len(), 6, "nobody is named twice");
}

#[test]
fn of_two_lanes_exactly_one_outranks_the_other() {
    let round = round(6, &[1, 0]);
    for (task, _) in round.followed() {
        for (a, b) in (0..6).flat_map(|a| (0..6).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let wins =
                [round.outranks(task, lane(a), lane(b)), round.outranks(task, lane(b), lane(a))];
            assert_eq!(wins.iter().filter(|it| **it).count(), 1, "{a} and {b} on {task}");
        }
    }
}

/// Hot crown (R4.3): two levels, three copies.
fn hot() -> Params {
    Params { hot_levels: 2, hot_copies: 3, ..params() }
}

#[test]
fn the_hot_crown_is_started_by_several_lanes_at_once() {
    let p = hot();
    let mut round = round_of(vm_lanes(6), &[0, 0, 0, 0], &p);
    let hot_nodes = round.followed().filter(|(it, _)| round.layout.is_hot(*it, &p));
    let hot_nodes = hot_nodes.map(|(it, _)| round.spot(it).node.to_string()).collect::<Vec<_>>();
    assert_eq!(hot_nodes, ["merge/2.0", "root"]);
    for (name, maker) in [("merge/1.0", 2), ("merge/1.1", 5)] {
        make(&mut round, 1, name, maker, 1);
    }
    refresh(&mut round, 1, &p);
    // Both makers and the first idle rank at once; the next ones half a second apart, and four
    // seconds later while one of the three is free.
    assert_eq!(opens(&round, "merge/2.0", &p), [1, 1, 1, 4_501, 5_001, 5_501]);
    let order = known(&round, "merge/2.0").order.clone();
    for (copy, &holder) in order[..3].iter().enumerate() {
        assert!(round.open.contains(&find(&round, "merge/2.0")), "copy {copy}");
        hold(&mut round, 2, "merge/2.0", holder, &p);
    }
    assert!(!round.open.contains(&find(&round, "merge/2.0")), "three copies are enough");
}

#[test]
fn outside_the_hot_crown_one_copy_is_made() {
    let p = hot();
    let mut round = round_of(vm_lanes(6), &[0, 0, 0, 0], &p);
    make(&mut round, 1, "base/0", 2, 1);
    make(&mut round, 1, "base/1", 5, 1);
    refresh(&mut round, 1, &p);
    let first = known(&round, "merge/1.0").order[0];
    hold(&mut round, 2, "merge/1.0", first, &p);
    assert_eq!(known(&round, "merge/1.0").open_since, None);
}

#[test]
fn a_proof_ends_every_claim_on_its_task() {
    let p = hot();
    let mut round = round_of(vm_lanes(6), &[0], &p);
    make(&mut round, 1, "base/0", 2, 1);
    refresh(&mut round, 1, &p);
    for holder in 1..4 {
        hold(&mut round, 2, "root", lane(holder), &p);
    }
    make(&mut round, 9, "root", 1, 90);
    refresh(&mut round, 9, &p);
    assert!(known(&round, "root").holds.is_empty());
    assert!((1..4).all(|it| !round.is_busy(lane(it))));
    assert_eq!(known(&round, "root").attempts, 0, "nobody failed");
}

#[test]
fn a_claim_that_lasts_too_long_opens_its_task_and_moves_its_subtree() {
    let p = params();
    let mut round = round(6, &[1, 0]);
    make(&mut round, 1, "vm/0.0", 3, 1);
    refresh(&mut round, 1, &p);
    let order = known(&round, "kernel/0.0").order.clone();
    let before = known(&round, "base/0").order.clone();
    assert_eq!(before, order, "a subtree has one order");
    hold(&mut round, 10, "kernel/0.0", order[0], &p);
    let hedge_at = 10 + p.hedge_ms(Kind::Kernel);
    let kernel = find(&round, "kernel/0.0");
    for (at, open) in [(hedge_at - 1, false), (hedge_at, true)] {
        round.dirty.insert(kernel);
        refresh(&mut round, at, &p);
        assert_eq!(round.open.contains(&kernel), open, "at {at}");
    }
    hold(&mut round, hedge_at, "kernel/0.0", order[2], &p);
    assert!(!round.open.contains(&kernel), "one hedge for one late claim");
    assert_eq!(known(&round, "base/0").order[0], order[2], "the hedger carries on");
    assert_eq!(
        known(&round, "base/1").order[..],
        round.deal.ranks(Class::Rollup, 1),
        "of this alone"
    );
    hold(&mut round, 2 * hedge_at, "kernel/0.0", order[3], &p);
    assert_eq!(known(&round, "base/0").order[0], order[2], "only the first hedge moves it");
}

#[test]
fn a_hedge_without_a_proof_leaves_the_subtree_where_it_was() {
    let p = params();
    // The hedger gives its claim back; the slow lane is quicker after all; the hedger's proof comes.
    for (ending, moved) in [("released", false), ("slow one made it", false), ("made", true)] {
        let mut round = round(6, &[1, 0]);
        make(&mut round, 1, "vm/0.0", 3, 1);
        refresh(&mut round, 1, &p);
        let order = known(&round, "kernel/0.0").order.clone();
        let hedge_at = 10 + p.hedge_ms(Kind::Kernel);
        hold(&mut round, 10, "kernel/0.0", order[0], &p);
        hold(&mut round, hedge_at, "kernel/0.0", order[2], &p);
        assert_eq!(known(&round, "base/0").order[0], order[2]);
        match ending {
            "released" => round.let_go(Millis(hedge_at + 1), order[2], u64::MAX),
            "made" => _ = make(&mut round, hedge_at + 1, "kernel/0.0", order[2].prover().0, 90),
            _ => _ = make(&mut round, hedge_at + 1, "kernel/0.0", order[0].prover().0, 90),
        }
        refresh(&mut round, hedge_at + 1, &p);
        let first = if moved { order[2] } else { order[0] };
        assert_eq!(known(&round, "base/0").order[0], first, "{ending}");
    }
}

/// R5.3: holders of a task cannot hand it to each other while an honest lane waits.
#[test]
fn whoever_failed_ranks_last_for_that_task_alone() {
    let mut round = round(6, &[0, 0]);
    let base = find(&round, "base/0");
    let before = known(&round, "base/0").order.clone();
    let neighbour = known(&round, "base/1").order.clone();
    round.fail(base, before[0]);
    let mut after = before[1..].to_vec();
    after.push(before[0]);
    assert_eq!(known(&round, "base/0").order[..], after);
    assert_eq!(known(&round, "base/1").order, neighbour);
    assert!(round.is_eligible(before[0]), "elsewhere it is counted on");
    round.fail(base, after[0]);
    let order = &known(&round, "base/0").order;
    assert_eq!(order[order.len() - 2..], before[..2], "among those that failed the deal decides");
}

/// R4.4: nobody is waited for that is known to work on something else.
#[test]
fn busy_ranks_are_not_waited_for() {
    let p = params();
    let mut round = round(6, &[0, 0]);
    let order = known(&round, "base/0").order.clone();
    assert_eq!(opens(&round, "base/0", &p)[..3], [0, 4_500, 5_000]);
    hold(&mut round, 0, "base/1", order[0], &p);
    assert_eq!(opens(&round, "base/0", &p)[..3], [0, 0, 500], "the right's holder is busy");
    hold(&mut round, 0, "base/1", order[1], &p);
    assert_eq!(opens(&round, "base/0", &p)[2], 0);
}

#[test]
fn a_late_call_moves_no_subtree() {
    let p = params();
    let mut round = round(6, &[1]);
    let order = known(&round, "vm/0.0").order.clone();
    let before = known(&round, "kernel/0.0").order.clone();
    hold(&mut round, 0, "vm/0.0", order[0], &p);
    hold(&mut round, p.hedge_ms(Kind::Vm), "vm/0.0", order[1], &p);
    assert_eq!(known(&round, "kernel/0.0").order, before);
}

#[test]
fn a_task_is_quarantined_for_the_larger_class_and_then_given_up() {
    let p = params();
    let mut round = round(9, &[0, 0]);
    let base = find(&round, "base/0");
    // (provers that failed so far, rollup lanes may try, vm lanes may try, open)
    for (failed, rollup, vm, open) in [
        (0, true, true, true),
        (1, true, true, true),
        (2, true, true, true),
        (3, false, true, true),
        (5, false, true, true),
        (6, false, true, false),
    ] {
        (0..failed).for_each(|it| round.fail(base, lane(it)));
        refresh(&mut round, 1, &p);
        let may = [Class::Rollup, Class::Vm].map(|it| round.can_prove(base, it, &p));
        assert_eq!((may, round.open.contains(&base)), ([rollup, vm], open), "{failed} failures");
    }
    let other = find(&round, "base/1");
    assert!(round.can_prove(other, Class::Rollup, &p), "its neighbour is not touched");
}

#[test]
fn failures_are_counted_by_prover_and_losses_are_none() {
    let p = params();
    let lanes =
        (0..4).flat_map(|it| (0..4).map(move |n| (LaneId::new(ProverId(it), n), Class::Vm)));
    let mut round = round_of(lanes.collect(), &[0], &p);
    let base = find(&round, "base/0");
    (0..4).for_each(|it| round.fail(base, LaneId::new(ProverId(1), it)));
    assert_eq!(known(&round, "base/0").failures.len(), 1);
    let lost = LaneId::new(ProverId(2), 0);
    hold(&mut round, 1, "base/0", lost, &p);
    round.lose(Millis(2), lost, &p);
    let it = known(&round, "base/0");
    assert_eq!((it.failures.len(), it.attempts), (1, 1));
}

#[test]
fn a_proof_is_delivered_when_every_keeper_that_lives_holds_it() {
    let mut round = round(4, &[0, 0]);
    let base = find(&round, "base/0");
    let statement = StatementId([1; 32]);
    let delivered = |round: &Round| round.is_delivered(base, lane(0), statement);
    let keepers = Keepers::Lanes((0..4).map(lane).collect());
    assert_eq!(round.keepers(Millis(1), base, &params()), keepers);
    for holder in [1, 2] {
        round.hold_copy(statement, base, ProverId(holder));
        assert!(!delivered(&round));
    }
    round.lose(Millis(1), lane(3), &params());
    assert!(delivered(&round));
    round.on_beat(Millis(2), lane(3), (1, TaskId::default()), &params());
    assert!(!delivered(&round), "it came back and is a keeper again");
}

#[test]
fn few_copies_are_enough_inside_a_subtree_and_more_for_its_top() {
    let many = Params { replicas_subtree: 2, replicas_crown: 5, ..params() };
    let mut round = round_of(vm_lanes(12), &[1, 0], &many);
    for (name, reach, keepers) in [
        ("vm/0.0", 1, 2),
        ("kernel/0.0", 2, 2),
        // The top of its subtree: its keepers follow a crown task.
        ("base/0", 2, 5),
        ("merge/1.0", 5, 5),
    ] {
        let task = find(&round, name);
        assert_eq!(known(&round, name).order.len(), reach, "{name} is followed");
        let Keepers::Lanes(lanes) = round.keepers(Millis(1), task, &many) else { panic!() };
        assert_eq!(lanes.len(), keepers, "{name} is kept");
    }
    let root = round.root();
    assert_eq!(round.keepers(Millis(1), root, &many), Keepers::Everybody);
}

#[test]
fn those_that_follow_a_parent_take_what_no_rank_takes() {
    let few = Params { replicas_subtree: 2, replicas_crown: 5, ..params() };
    let round = round_of(vm_lanes(12), &[0, 0], &few);
    let base = find(&round, "base/0");
    let ranks = known(&round, "base/0").order.clone();
    let parent = known(&round, "merge/1.0").order.clone();
    let strangers: Vec<LaneId> = parent.iter().copied().filter(|it| !ranks.contains(it)).collect();
    assert!(!strangers.is_empty());
    for stranger in strangers {
        let rank = 2 + parent.iter().position(|&it| it == stranger).unwrap();
        let wait = 500 * rank as u64 + 4_000 + 2 * few.p50(Kind::Base);
        assert_eq!(round.opens_at(base, stranger, &few), Some((Millis(wait), rank)));
    }
    let nobody = (0..12).map(lane).find(|it| !ranks.contains(it) && !parent.contains(it)).unwrap();
    let late = round.opens_at(base, nobody, &few).unwrap();
    let windows = Windows::new(&few, round.reveal.time_s);
    let near = opens_at(&few, &windows, round.spot(base).way_ms);
    let apart = late.0.since(near) - 2 * few.p50(Kind::Base);
    assert!(apart < 32_000 && apart.is_multiple_of(500), "it hears too little to take it in time");
    assert_eq!(late.1, usize::MAX);
    let first = round.opens_at(base, ranks[0], &few).unwrap();
    assert!(first.0 < near, "{first:?}");
}

#[test]
fn an_agent_follows_its_own_part_of_a_large_network() {
    let p = Params { replicas_subtree: 8, replicas_crown: 32, ..params() };
    let calls = [0; 256];
    let tree = Tree::new(&calls).unwrap();
    let planned: Vec<PlannedTask> =
        tree.nodes().iter().map(|&node| PlannedTask { node, task: id(node) }).collect();
    let layout = Arc::new(Layout::new(&calls, &planned, &p).unwrap());
    let amount = Amount { subtrees: layout.cut.subtrees.len(), vms: layout.vms };
    let deal = Deal::new(Hash([7; 32]), vm_lanes(1_024), amount, 8, &|_, _| 0);
    let deal = Arc::new(deal);
    let mut followed = 0;
    for own in 0..1_024 {
        let own = Some(ProverId(own));
        let (deal, layout) = (Arc::clone(&deal), Arc::clone(&layout));
        let opening =
            Opening { slot: Slot(0), reveal: reveal(), deal, layout, key: Hash([7; 32]), own };
        let round = Round::new(Millis(0), opening, &p);
        assert!(round.followed().count() <= 16, "{own:?} follows {}", round.followed().count());
        assert!(round.task(round.root()).is_some(), "everybody follows the root");
        followed += round.followed().count() - 1;
    }
    assert_eq!(followed, 256 * 8, "every subtree has its first ranks");
}

#[test]
fn lanes_of_one_prover_share_its_store() {
    let lanes = (0..2).flat_map(|p| (0..2).map(move |n| (LaneId::new(ProverId(p), n), Class::Vm)));
    let mut round = round_of(lanes.collect(), &[0], &params());
    let base = find(&round, "base/0");
    let statement = StatementId([1; 32]);
    let maker = LaneId::new(ProverId(0), 0);
    assert!(!round.is_delivered(base, maker, statement));
    round.hold_copy(statement, base, ProverId(1));
    assert!(round.is_delivered(base, maker, statement));
}

#[test]
fn an_announcement_is_replaced_only_by_a_later_claims() {
    let mut round = round(3, &[0]);
    assert!(make(&mut round, 1, "base/0", 1, 5));
    assert!(!make(&mut round, 2, "base/0", 1, 5));
    assert!(!make(&mut round, 2, "base/0", 1, 4));
    assert!(make(&mut round, 2, "base/0", 1, 6));
    assert_eq!(known(&round, "base/0").offers[&lane(1)].blob, BlobId([6; 32]));
    assert!(make(&mut round, 2, "base/0", 2, 1), "another lane's is another");
}
