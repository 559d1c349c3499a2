//! The tree and its cut, drawn as text.

use super::{layout::Layout, *};
use crate::{domain::TaskId, io::PlannedTask};

/// Devnet units and times (slice section 8).
fn params() -> Params {
    Params { subtree_units: 358, ..Params::devnet() }
}

fn names(tree: &Tree, places: &[usize]) -> String {
    places.iter().map(|&it| tree.nodes()[it].to_string()).collect::<Vec<_>>().join(" ")
}

/// Every node with children, as `parent<child child`.
fn check_tree(calls: &[u8], expected: &str) {
    let tree = Tree::new(calls).unwrap();
    let drawn: Vec<String> = (0..tree.nodes().len())
        .map(|it| {
            let children = names(&tree, tree.children(it)).replace(' ', "+");
            format!("{}<{children}", tree.nodes()[it])
        })
        .collect();
    assert_eq!(drawn.join(" "), expected);
}

/// Every subtree as `first..last: nodes`, then the crown.
fn check_cut(calls: &[u8], subtree_units: u64, expected: &[&str]) {
    let tree = Tree::new(calls).unwrap();
    let cut = Cut::new(&tree, &Params { subtree_units, ..params() });
    let mut drawn: Vec<String> = cut
        .subtrees
        .iter()
        .map(|it| format!("{}..{}: {}", it.first_tx, it.last_tx, names(&tree, &it.nodes)))
        .collect();
    let crown: Vec<usize> =
        (0..tree.nodes().len()).filter(|&it| cut.subtree_of(it).is_none()).collect();
    drawn.push(format!("crown: {}", names(&tree, &crown)));
    assert_eq!(drawn, expected);
}

#[test]
fn one_tx_without_calls_is_a_base_under_the_root() {
    check_tree(&[0], "base/0< root<base/0");
}

#[test]
fn calls_are_parallel_and_kernels_stand_on_each_other() {
    check_tree(
        &[2],
        "vm/0.0< vm/0.1< kernel/0.0<vm/0.0 kernel/0.1<kernel/0.0+vm/0.1 base/0<kernel/0.1 \
         root<base/0",
    );
}

#[test]
fn an_odd_last_one_passes_up_unchanged() {
    check_tree(
        &[0, 0, 0],
        "base/0< base/1< base/2< merge/1.0<base/0+base/1 merge/2.0<merge/1.0+base/2 \
         root<merge/2.0",
    );
    check_tree(
        &[0; 5],
        "base/0< base/1< base/2< base/3< base/4< merge/1.0<base/0+base/1 \
         merge/1.1<base/2+base/3 merge/2.0<merge/1.0+merge/1.1 merge/3.0<merge/2.0+base/4 \
         root<merge/3.0",
    );
}

#[test]
fn six_txs_pass_a_merge_up_and_not_a_base() {
    let tree = Tree::new(&[0; 6]).unwrap();
    let top = tree.children(tree.root())[0];
    assert_eq!(names(&tree, &[top]), "merge/3.0");
    assert_eq!(names(&tree, tree.children(top)), "merge/2.0 merge/1.2");
}

#[test]
fn every_tree_is_whole() {
    for txs in 1..=40 {
        for calls in 0..=CALLS_MAX {
            let tree = Tree::new(&vec![calls; txs]).unwrap();
            let count = txs * (2 * usize::from(calls) + 1) + txs;
            assert_eq!(tree.nodes().len(), count, "{txs} txs with {calls} calls");
            for place in 0..count {
                assert_eq!(tree.position(tree.nodes()[place]), Some(place));
                assert_eq!(tree.parent(place).is_none(), place == tree.root());
                assert!(tree.children(place).iter().all(|&it| tree.parent(it) == Some(place)));
            }
        }
    }
}

#[test]
fn blocks_beyond_the_limits_have_no_tree() {
    for calls in [vec![], vec![0; TXS_MAX + 1], vec![0, CALLS_MAX + 1]] {
        assert_eq!(Tree::new(&calls), None, "{calls:?}");
    }
}

#[test]
fn the_devnet_block_has_two_subtrees_and_a_crown_of_two() {
    check_cut(
        &[1, 0],
        358,
        &["0..0: vm/0.0 kernel/0.0 base/0", "1..1: base/1", "crown: merge/1.0 root"],
    );
}

#[test]
fn a_tx_that_does_not_fit_is_cut_into_its_tasks() {
    check_cut(
        &[2, 0],
        358,
        &[
            "0..0: vm/0.0 kernel/0.0",
            "0..0: vm/0.1 kernel/0.1",
            "0..0: base/0",
            "1..1: base/1",
            "crown: merge/1.0 root",
        ],
    );
}

#[test]
fn a_limit_below_one_proof_deals_every_task_alone() {
    check_cut(&[1], 0, &["0..0: vm/0.0 kernel/0.0", "0..0: base/0", "crown: root"]);
}

#[test]
fn small_txs_share_a_subtree() {
    check_cut(
        &[0; 4],
        523,
        &[
            "0..1: base/0 base/1 merge/1.0",
            "2..3: base/2 base/3 merge/1.1",
            "crown: merge/2.0 root",
        ],
    );
}

#[test]
fn a_block_that_fits_whole_is_one_subtree_without_a_crown() {
    check_cut(&[0], 384, &["0..0: base/0 root", "crown: "]);
}

#[test]
fn every_rollup_proof_is_in_one_subtree_or_the_crown() {
    for units in [0, 175, 358, 523, 800, 10_000] {
        let tree = Tree::new(&[3, 0, 1, 2, 0, 3, 1]).unwrap();
        let cut = Cut::new(&tree, &Params { subtree_units: units, ..params() });
        let dealt: usize = cut.subtrees.iter().map(|it| it.nodes.len()).sum();
        let crown = (0..tree.nodes().len()).filter(|&it| cut.subtree_of(it).is_none());
        assert_eq!(dealt + crown.count(), tree.nodes().len(), "limit {units}");
        let order: Vec<u32> = cut.subtrees.iter().map(|it| it.first_tx).collect();
        assert!(order.is_sorted(), "limit {units}: {order:?} is not left to right");
    }
}

#[test]
fn the_way_is_the_sum_of_usual_times_up_to_the_root() {
    let tree = Tree::new(&[1, 0]).unwrap();
    let way = |node| tree.way_ms(tree.position(node).unwrap(), &params()) / 1000;
    let at = |kind, index| Node { kind, level: u8::from(kind == Kind::Merge), index, call: 0 };
    assert_eq!(way(at(Kind::Root, 0)), 360);
    assert_eq!(way(at(Kind::Merge, 0)), 660);
    assert_eq!(way(at(Kind::Base, 1)), 960);
    assert_eq!(way(at(Kind::Kernel, 0)), 1260);
    assert_eq!(way(at(Kind::Vm, 0)), 1500);
    assert_eq!(tree.critical_path_ms(&params()), 1_500_000);
    assert_eq!(tree.work_ms(&params()), 1_800_000);
}

#[test]
fn units_add_up_to_the_root() {
    let tree = Tree::new(&[1, 0]).unwrap();
    assert_eq!(tree.units(&params())[tree.root()], 10 + 173 + 175 + 175 + 173 + 209);
}

fn id(node: Node) -> TaskId {
    let mut id = [0xFF; 32];
    id[..node.to_bytes().len()].copy_from_slice(&node.to_bytes());
    TaskId(id)
}

fn planned(tree: &Tree, id: impl Fn(Node) -> TaskId) -> Vec<PlannedTask> {
    tree.nodes().iter().map(|&node| PlannedTask { node, task: id(node) }).collect()
}

/// Equal calls of all txs.
fn twins(node: Node) -> TaskId {
    if node.kind == Kind::Vm { id(Node { index: 0, ..node }) } else { id(node) }
}

#[test]
fn a_plan_must_name_every_node_once() {
    let whole = planned(&Tree::new(&[1, 0]).unwrap(), id);
    let is_laid_out = |tasks: &[PlannedTask]| Layout::new(&[1, 0], tasks, &params()).is_some();
    let mut shuffled = whole.clone();
    shuffled.reverse();
    let mut twice = whole.clone();
    twice[0].node = twice[1].node;
    let mut confused = whole.clone();
    confused[0].task = confused[1].task;
    for (tasks, expected, why) in [
        (whole.clone(), true, "everything is named"),
        (shuffled, true, "the order of a plan says nothing"),
        (whole[1..].to_vec(), false, "one is missing"),
        ([&whole[..], &whole[..1]].concat(), false, "one is too many"),
        (twice, false, "one is named twice"),
        (confused, false, "a vm and a kernel are never one task"),
    ] {
        assert_eq!(is_laid_out(&tasks), expected, "{why}");
    }
}

#[test]
fn equal_calls_of_two_txs_are_one_task_with_two_places() {
    let tree = Tree::new(&[1, 1]).unwrap();
    let layout = Layout::new(&[1, 1], &planned(&tree, twins), &params()).unwrap();
    let at =
        |name: &str| layout.at(tree.nodes().iter().position(|it| it.to_string() == name).unwrap());
    assert_eq!(layout.spots.len(), tree.nodes().len() - 1);
    assert_eq!((layout.vms, layout.vm(0), layout.vm(1)), (2, layout.vm(1), Some(at("vm/0.0"))));
    let vm = at("vm/1.0");
    assert_eq!(layout.spots[vm].vm(), Some(0), "dealt by its first place");
    let mut parents: Vec<usize> = layout.parents(vm).collect();
    parents.sort_unstable();
    assert_eq!(parents, [at("kernel/0.0"), at("kernel/1.0")]);
    for name in ["kernel/0.0", "kernel/1.0"] {
        assert_eq!(layout.spots[at(name)].children().collect::<Vec<_>>(), [vm], "{name}");
        assert_eq!(layout.parents(at(name)).count(), 1, "{name}");
    }
}

#[test]
fn equal_calls_of_one_tx_are_named_once_by_each_parent() {
    let tree = Tree::new(&[3]).unwrap();
    let same =
        |node: Node| if node.kind == Kind::Vm { id(Node { call: 0, ..node }) } else { id(node) };
    let layout = Layout::new(&[3], &planned(&tree, same), &params()).unwrap();
    let vm = layout.vm(2).unwrap();
    assert_eq!([layout.vm(0), layout.vm(1)], [Some(vm); 2]);
    let mut parents: Vec<usize> = layout.parents(vm).collect();
    parents.sort_unstable();
    parents.dedup();
    assert_eq!(parents.len(), 3);
    assert_eq!(layout.parents(vm).count(), 3, "each of its kernels once");
    let longest = parents.iter().map(|&it| layout.spots[it].way_ms).max().unwrap();
    let way = layout.spots[vm].way_ms;
    assert_eq!(way, longest + params().p50(Kind::Vm), "its longest way counts");
}

#[test]
fn a_layout_finds_every_task_and_links_it_both_ways() {
    let calls = [2, 0, 1, 3, 0];
    let tree = Tree::new(&calls).unwrap();
    let layout = Layout::new(&calls, &planned(&tree, id), &params()).unwrap();
    assert_eq!(layout.find(TaskId([1; 32])), None);
    for (task, spot) in layout.spots.iter().enumerate() {
        assert_eq!(layout.find(spot.id), Some(task));
        assert_eq!(spot.way_ms, tree.way_ms(tree.position(spot.node).unwrap(), &params()));
        assert!(spot.children().all(|it| layout.parents(it).any(|it| it == task)));
        assert_eq!(layout.parents(task).count(), usize::from(task != layout.root()));
        let depth = layout.parents(task).next().map_or(0, |it| layout.spots[it].depth + 1);
        assert_eq!(spot.depth, depth);
    }
    let tops = layout.spots.iter().filter(|it| it.is_top).count();
    let vms = layout.spots.iter().filter(|it| it.vm().is_some()).count();
    assert_eq!((tops, vms), (layout.cut.subtrees.len(), 6));
}

#[test]
fn the_hot_crown_ends_at_the_subtrees() {
    let calls = [0; 8];
    let tree = Tree::new(&calls).unwrap();
    let layout = Layout::new(&calls, &planned(&tree, id), &params()).unwrap();
    for (hot_levels, expected) in [(0, 0), (1, 1), (2, 2), (3, 4), (4, 8), (9, 8)] {
        let it = Params { hot_levels, ..params() };
        let hot = (0..layout.spots.len()).filter(|&task| layout.is_hot(task, &it)).count();
        assert_eq!(hot, expected, "{hot_levels} levels");
    }
}
