//! The design's figures, and counts against a tree built node by node.

use super::*;

/// 30 s for every kind, as the design's figures assume.
fn params() -> Params {
    Params {
        l1_block_s: 12,
        proving_blocks: 64,
        p50_ms: [0, 30_000, 30_000, 30_000, 30_000, 30_000],
        units: [0, 30, 30, 30, 30, 30],
        ..Params::devnet()
    }
}

/// Every kind has its own time, so that a wrong kind or level shows.
fn uneven() -> Params {
    Params { p50_ms: [0, 7, 110, 1_300, 17_000, 190_000], ..params() }
}

fn shape(calls: &[u8]) -> Shape {
    Shape::new(calls).unwrap()
}

const fn vm(vm: u64) -> Lanes {
    Lanes { vm, rollup: 0 }
}

/// One proof of a tree built node by node: class, time, and the time of the way above it.
#[derive(Clone, Copy)]
struct Proof {
    class: Class,
    own: u64,
    above: u64,
}

/// The tree built as R3.1 says it, from the root downward.
fn build(calls: &[u8], params: &Params) -> Vec<Proof> {
    let mut found = vec![Proof { class: Class::Rollup, own: params.p50(Kind::Root), above: 0 }];
    descend(calls, params, params.p50(Kind::Root), &mut found);
    found
}

fn descend(calls: &[u8], params: &Params, above: u64, found: &mut Vec<Proof>) {
    if let [count] = *calls {
        let mut above = above;
        found.push(Proof { class: Class::Rollup, own: params.p50(Kind::Base), above });
        above += params.p50(Kind::Base);
        for _ in 0..count {
            found.push(Proof { class: Class::Rollup, own: params.p50(Kind::Kernel), above });
            above += params.p50(Kind::Kernel);
            found.push(Proof { class: Class::Vm, own: params.p50(Kind::Vm), above });
        }
        return;
    }
    // The left child is the largest full tree that leaves something for the right.
    let left = calls.len().next_power_of_two() / 2;
    found.push(Proof { class: Class::Rollup, own: params.p50(Kind::Merge), above });
    let above = above + params.p50(Kind::Merge);
    descend(&calls[..left], params, above, found);
    descend(&calls[left..], params, above, found);
}

fn all_small_blocks() -> Vec<Vec<u8>> {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for txs in 1..=40usize {
        for salt in 0..4usize {
            blocks
                .push((0..txs).map(|it| u8::try_from((it * 7 + salt * it) % 4).unwrap()).collect());
        }
        blocks.push(vec![3; txs]);
        blocks.push(vec![0; txs]);
        // Only the last one has calls: the odd one that passes up.
        blocks.push((0..txs).map(|it| if it + 1 == txs { 5 } else { 0 }).collect());
    }
    blocks
}

#[test]
fn counts_and_critical_path_are_those_of_the_tree() {
    let params = uneven();
    for calls in all_small_blocks() {
        let (shape, tree) = (shape(&calls), build(&calls, &params));
        let of = |class| -> u64 {
            tree.iter().filter(|it| it.class == class).map(|it| it.own).sum::<u64>()
        };
        assert_eq!(shape.work_ms(Class::Vm, &params), of(Class::Vm), "{calls:?}");
        assert_eq!(shape.work_ms(Class::Rollup, &params), of(Class::Rollup), "{calls:?}");
        let longest = tree.iter().map(|it| it.own + it.above).max().unwrap();
        assert_eq!(shape.critical_path_ms(&params), longest, "{calls:?}");
        let proofs: u64 = Kind::ALL.iter().map(|&kind| shape.proofs(kind)).sum();
        assert_eq!(proofs, tree.len() as u64, "{calls:?}");
    }
}

/// What must be done before the way above `at` can begin: all of it over all lanes, and its vm
/// work over vm lanes.
fn at_least(at: Proof, tree: &[Proof], lanes: Lanes) -> u64 {
    let below = || tree.iter().filter(|it| at.above <= it.above);
    let all: u64 = below().map(|it| it.own).sum();
    let vms: u64 = below().filter(|it| it.class == Class::Vm).map(|it| it.own).sum();
    let vm = if at.class == Class::Vm { vms / lanes.vm } else { 0 };
    vm.max(all / (lanes.vm + lanes.rollup)) + at.above
}

#[test]
fn the_bound_is_never_below_what_the_tree_itself_says() {
    let params = uneven();
    let pools = [vm(1), vm(3), vm(64), Lanes { vm: 1, rollup: 5 }, Lanes { vm: 9, rollup: 1 }];
    for calls in all_small_blocks() {
        let tree = build(&calls, &params);
        for lanes in pools {
            let bound = shape(&calls).tree_bound_ms(&params, lanes, Backlog::default()).unwrap();
            let most = tree.iter().map(|&at| at_least(at, &tree, lanes)).max().unwrap();
            assert!(most <= bound, "{calls:?} {lanes:?}");
        }
    }
}

/// R3.3 and "the problem, in numbers".
#[test]
fn the_designs_figures_come_out() {
    // txs, calls, lanes, critical path s, lower bound s, B in ms, blocks of 12 s
    let rows = [
        (1_024, 3, 1_024, 480, 480_000, 540_000, 64),
        (1_024, 3, 2_048, 480, 480_000, 480_000, 58),
        (1_024, 3, 1_280, 480, 480_000, 510_000, 61),
        (1_024, 3, 256, 480, 960_000, 1_200_000, 130),
        // The design says 1,320 s and 142 blocks, rounding B first.
        (61_440, 3, 16_384, 660, 900_000, 1_323_750, 143),
        (2, 1, 3, 150, 150_000, 150_000, 25),
        (1, 0, 1, 60, 60_000, 60_000, 16),
    ];
    let params = params();
    for (txs, calls, lanes, critical_s, lower_ms, bound_ms, blocks) in rows {
        let shape = Shape::uniform(txs, calls).unwrap();
        let name = format!("{txs} txs of {calls} calls on {lanes} lanes");
        assert_eq!(shape.critical_path_ms(&params), critical_s * 1_000, "{name}");
        assert_eq!(shape.lower_bound_ms(&params, vm(lanes)), Ok(lower_ms), "{name}");
        let none = Backlog::default();
        assert_eq!(shape.tree_bound_ms(&params, vm(lanes), none), Ok(bound_ms), "{name}");
        assert_eq!(shape.blocks_needed(&params, vm(lanes), none), Ok(blocks), "{name}");
    }
}

#[test]
fn the_rfps_largest_block_has_the_proofs_that_it_says() {
    let shape = Shape::uniform(61_440, 3).unwrap();
    let proofs: u64 = Kind::ALL.iter().map(|&kind| shape.proofs(kind)).sum();
    assert_eq!((shape.txs(), proofs), (61_440, 491_520));
    assert_eq!(shape.units(&params()), 491_520 * 30);
    assert_eq!(Shape::uniform(1_024, 3).unwrap().units(&params()), 8_192 * 30);
}

#[test]
fn the_devnets_block_needs_what_its_preset_says() {
    let devnet = Params::devnet();
    let block = shape(&[1, 0]);
    let none = Backlog::default();
    assert_eq!(block.tree_bound_ms(&devnet, vm(3), none), Ok(1_500_000));
    assert_eq!(block.needed_ms(&devnet, vm(3), none), Ok(2_530_000));
    assert_eq!(block.admit(&devnet, vm(3), none), Ok(()));
    assert_eq!(block.units(&devnet), 10 + 173 + 2 * 175 + 173 + 209);
}

#[test]
fn a_block_is_admitted_up_to_its_last_block_of_window_and_not_beyond() {
    let none = Backlog::default();
    for (blocks, admitted) in [(63, false), (64, true), (65, true)] {
        let params = Params { proving_blocks: blocks, ..params() };
        let verdict = Shape::uniform(1_024, 3).unwrap().admit(&params, vm(1_024), none);
        let refused = Refused::TooLong { needed_ms: 768_000, window_ms: blocks * 12_000 };
        assert_eq!(verdict, if admitted { Ok(()) } else { Err(refused) }, "{blocks}");
    }
}

#[test]
fn older_slots_stand_before_every_level() {
    let params = params();
    let block = Shape::uniform(1_024, 3).unwrap();
    let older = [block.clone(), block.clone()];
    // (older slots, B in s): each brings 8 proofs a lane of 1,024, of which 3 are vm.
    for (slots, bound_s) in [(0, 540), (1, 540 + 240), (2, 540 + 480)] {
        let backlog = Backlog::of(&older[..slots], &params);
        let bound = block.tree_bound_ms(&params, vm(1_024), backlog).unwrap();
        assert_eq!(bound, bound_s * 1_000, "{slots} older");
    }
    let backlog = Backlog::of(&older[..1], &params);
    assert_eq!((backlog.vm_ms, backlog.rollup_ms), (3_072 * 30_000, 5_120 * 30_000));
    // Plenty of rollup lanes: only the vm part of the backlog holds the vm lanes.
    let lanes = Lanes { vm: 1_024, rollup: 1 << 20 };
    let bound = block.tree_bound_ms(&params, lanes, backlog).unwrap();
    assert_eq!(bound, (90 + 90 + 13 * 30) * 1_000, "2 x 3 vm a lane, then kernel to root");
}

#[test]
fn each_class_has_its_own_bound() {
    // 64 txs of one call: 64 vm, 64 kernel, 64 base, 63 merge, root; way above vm is 9 proofs.
    let params = params();
    let block = Shape::uniform(64, 1).unwrap();
    let rows = [
        // vm lanes, rollup lanes, B in proofs of 30 s
        (64, 0, 10), // three proofs a lane, 6 merges, root: as long as the critical path
        (32, 0, 13), // six proofs a lane, 6 merges, root
        (1, 1_000, 64 + 9), // one vm lane does 64 vm proofs
        (8, 1_000, 8 + 9), // eight do
        (1_000, 0, 10), // critical path
    ];
    for (vm, rollup, proofs) in rows {
        let lanes = Lanes { vm, rollup };
        let bound = block.tree_bound_ms(&params, lanes, Backlog::default()).unwrap();
        assert_eq!(bound, proofs * 30_000, "{lanes:?}");
    }
}

#[test]
fn work_that_no_lane_can_do_is_refused_by_class() {
    let (params, none) = (params(), Backlog::default());
    let rollup = Lanes { vm: 0, rollup: 100 };
    let with_calls = shape(&[0, 1]);
    let refused = Err(Refused::NoLane(Class::Vm));
    assert_eq!(with_calls.tree_bound_ms(&params, rollup, none), refused);
    assert_eq!(with_calls.lower_bound_ms(&params, rollup), refused);
    assert_eq!(with_calls.admit(&params, rollup, none), Err(Refused::NoLane(Class::Vm)));
    let without = shape(&[0, 0]);
    assert_eq!(without.tree_bound_ms(&params, rollup, none), Ok(90_000));
    let nobody = without.tree_bound_ms(&params, Lanes::default(), none);
    assert_eq!(nobody, Err(Refused::NoLane(Class::Rollup)));
}

#[test]
fn more_lanes_never_lengthen_and_more_txs_never_shorten_the_bound() {
    let (params, none) = (uneven(), Backlog::default());
    let bound = |txs, lanes| {
        Shape::uniform(txs, 3).unwrap().tree_bound_ms(&params, vm(lanes), none).unwrap()
    };
    for lanes in 1..60 {
        assert!(bound(37, lanes + 1) <= bound(37, lanes), "{lanes} lanes");
    }
    for txs in 1..200 {
        assert!(bound(txs, 16) <= bound(txs + 1, 16), "{txs} txs");
    }
}

#[test]
fn lanes_are_counted_by_class_and_by_what_they_can_do() {
    let lanes = Lanes::count([Class::Vm, Class::Rollup, Class::Rollup]);
    assert_eq!(lanes, Lanes { vm: 1, rollup: 2 });
    assert_eq!((lanes.able(Class::Vm), lanes.able(Class::Rollup)), (1, 3));
    assert_eq!(Lanes::count([]), Lanes::default());
}

#[test]
fn an_empty_or_endless_block_has_no_shape() {
    assert_eq!(Shape::new(&[]), None);
    assert_eq!(Shape::uniform(0, 3), None);
    assert_eq!(Shape::uniform(TXS_MAX + 1, 0), None);
    assert!(Shape::uniform(TXS_MAX, 0).is_some());
    // The most work there can be is far from overflowing: 2^18 × 511 × (2^32 - 1) ms.
    let slow = Params { p50_ms: [0, 1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32], ..params() };
    let work = Shape::uniform(TXS_MAX, u8::MAX).unwrap().work_ms(Class::Rollup, &slow);
    assert!(work < 1 << 60, "{work}");
}

#[test]
fn time_that_slackens_grows_what_a_block_needs() {
    let none = Backlog::default();
    let needed = |slack_permille| {
        let params = Params { slack_permille, ..params() };
        Shape::uniform(1_024, 3).unwrap().needed_ms(&params, vm(1_024), none).unwrap()
    };
    assert_eq!([1_000, 1_200, 1_500].map(needed), [660_000, 768_000, 930_000]);
}

/// A proof to be scheduled: what takes it, how many it waits for, and the longest way from it.
struct Waiting {
    class: Class,
    own: u64,
    way: u64,
    parent: Option<usize>,
    children: usize,
}

/// The tree as R3.1 says it, parents before children.
fn plant(calls: &[u8], params: &Params) -> Vec<Waiting> {
    let mut tree = Vec::new();
    let root = grow(&mut tree, Kind::Root, None, params);
    branch(&mut tree, calls, root, params);
    tree
}

fn grow(tree: &mut Vec<Waiting>, kind: Kind, parent: Option<usize>, params: &Params) -> usize {
    let own = params.p50(kind);
    let way = own + parent.map_or(0, |it| tree[it].way);
    if let Some(parent) = parent {
        tree[parent].children += 1;
    }
    tree.push(Waiting { class: kind.class().unwrap(), own, way, parent, children: 0 });
    tree.len() - 1
}

fn branch(tree: &mut Vec<Waiting>, calls: &[u8], parent: usize, params: &Params) {
    let [count] = *calls else {
        let merge = grow(tree, Kind::Merge, Some(parent), params);
        let left = calls.len().next_power_of_two() / 2;
        branch(tree, &calls[..left], merge, params);
        branch(tree, &calls[left..], merge, params);
        return;
    };
    let mut above = grow(tree, Kind::Base, Some(parent), params);
    for _ in 0..count {
        above = grow(tree, Kind::Kernel, Some(above), params);
        grow(tree, Kind::Vm, Some(above), params);
    }
}

/// When the root is done if every idle lane takes the ready proof with the longest way (R4.4).
fn schedule(calls: &[u8], params: &Params, lanes: Lanes) -> u64 {
    let mut tree = plant(calls, params);
    let mut ready: Vec<usize> = (0..tree.len()).filter(|&it| tree[it].children == 0).collect();
    let (mut idle, mut running, mut now) = (lanes, Vec::new(), 0);
    loop {
        ready.sort_by_key(|&it| core::cmp::Reverse(tree[it].way));
        ready.retain(|&it| {
            let lane = match tree[it].class {
                Class::Rollup if 0 < idle.rollup => Some(Class::Rollup),
                Class::Rollup | Class::Vm => (0 < idle.vm).then_some(Class::Vm),
            };
            let Some(lane) = lane else { return true };
            *count(&mut idle, lane) -= 1;
            running.push((now + tree[it].own, it, lane));
            false
        });
        let Some(&next) = running.iter().min_by_key(|it| (it.0, it.1)) else { return now };
        running.retain(|&it| it != next);
        now = next.0;
        *count(&mut idle, next.2) += 1;
        if let Some(parent) = tree[next.1].parent {
            tree[parent].children -= 1;
            ready.extend((tree[parent].children == 0).then_some(parent));
        }
    }
}

fn count(lanes: &mut Lanes, class: Class) -> &mut u64 {
    match class {
        Class::Rollup => &mut lanes.rollup,
        Class::Vm => &mut lanes.vm,
    }
}

/// What R3.3 promises: a block that is admitted can be proved in its window by the simplest way of
/// working, and no lower bound is above what a schedule reaches.
#[test]
fn what_is_admitted_can_be_proved_and_bounds_are_bounds() {
    let pools = [
        vm(1),
        vm(4),
        vm(16),
        Lanes { vm: 2, rollup: 6 },
        Lanes { vm: 6, rollup: 2 },
        Lanes { vm: 1, rollup: 30 },
    ];
    for params in [params(), uneven()] {
        let slowest = params.p50_ms.into_iter().max().unwrap();
        for calls in all_small_blocks() {
            for lanes in pools {
                let shape = shape(&calls);
                let none = Backlog::default();
                let bound = shape.tree_bound_ms(&params, lanes, none).unwrap();
                let lower = shape.lower_bound_ms(&params, lanes).unwrap();
                let made = schedule(&calls, &params, lanes);
                assert!(lower <= made, "{calls:?} on {lanes:?}: {lower} > {made}");
                let room = bound * 12 / 10 + 2 * slowest;
                assert!(made <= room, "{calls:?} on {lanes:?}: {made} > {room} ({bound})");
            }
        }
    }
}

/// The design: 540 s is what a schedule reaches on 1,024 lanes.
#[test]
fn the_rfps_block_is_scheduled_in_its_bound() {
    for (lanes, made_ms) in [(1_024, 540_000), (2_048, 480_000)] {
        assert_eq!(schedule(&[3; 1_024], &params(), vm(lanes)), made_ms, "{lanes} lanes");
    }
}

#[test]
fn a_backlog_never_makes_room() {
    let (params, block) = (uneven(), shape(&[3, 0, 2, 1, 1]));
    let older: Vec<Shape> = [&[1u8, 2][..], &[3, 3, 3], &[0]].map(shape).into();
    let pools = [vm(3), Lanes { vm: 1, rollup: 4 }];
    for lanes in pools {
        let bounds: Vec<u64> = (0..=older.len())
            .map(|slots| {
                let backlog = Backlog::of(&older[..slots], &params);
                block.tree_bound_ms(&params, lanes, backlog).unwrap()
            })
            .collect();
        assert!(bounds.is_sorted(), "{bounds:?} on {lanes:?}");
    }
}
