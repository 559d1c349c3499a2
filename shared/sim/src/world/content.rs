//! Pretended blocks: their shape is real, their statements are hashes of where they stand.

use std::sync::Arc;

use protocol::{
    BlockId, BlockPlan, Class, Hash, Input, Kind, Node, Params, PlannedTask, TaskId, Word,
    assign::{TaskWords, keccak::keccak256, task_id},
    tree::Tree,
};

use crate::{
    WorldOptions,
    engine::{rng::Rng, table::Table},
};

/// A block that a sequencer may reveal. What agents share of it is made once.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) block: BlockId,
    pub(crate) commitment: Hash,
    pub(crate) calls: Arc<[u8]>,
    /// The circuit set that proves it.
    pub(crate) set: Word,
    pub(crate) tree: Tree,
    /// Tasks in tree order.
    pub(crate) tasks: Arc<[PlannedTask]>,
    /// Remaining way of each place in milliseconds.
    pub(crate) ways: Vec<u64>,
    /// Places of distinct tasks: equal calls of different txs are one task.
    pub(crate) places: Vec<usize>,
}

/// The circuit set of the first slot, and the next one.
const SET: Word = [1; 32];
pub(crate) const NEXT_SET: Word = [2; 32];

/// Lanes that can do work of each class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hands {
    pub(crate) all: u64,
    pub(crate) vm: u64,
}

impl Content {
    /// The `number`-th block of this world.
    pub(crate) fn new(number: u64, options: &WorldOptions, rng: &mut Rng) -> Self {
        let txs = rng.between(options.txs[0], options.txs[1]);
        let [low, high] = options.calls;
        let mut calls: Vec<u8> =
            (0..txs).map(|_| u8::try_from(rng.between(low, high)).unwrap_or(0)).collect();
        if options.sorted {
            calls.sort_unstable_by(|a, b| b.cmp(a));
        }
        let salt = rng.bits().to_be_bytes();
        let block = BlockId(keccak256(&[b"block", &number.to_be_bytes(), &salt, &calls]).0);
        let Some(tree) = Tree::new(&calls) else {
            panic!("options make a block of {txs} txs that has no tree")
        };
        let twins = rng.chance(options.twins);
        let next = 0 < options.prover.no_keys && !number.is_multiple_of(2);
        let set = if next { NEXT_SET } else { SET };
        let task = |node| task_of((block, set), node, twins);
        let nodes = tree.nodes().iter();
        let tasks: Vec<PlannedTask> =
            nodes.map(|&node| PlannedTask { node, task: task(node) }).collect();
        let commitment = keccak256(&[&block.0, &salt]);
        let ways = ways(&tree, &options.params);
        let mut seen = Table::new();
        let places = (0..tasks.len())
            .filter(|&it| seen.insert(tasks[it].task.0, number_of(it)) == number_of(it))
            .collect();
        let (calls, tasks) = (calls.into(), tasks.into());
        Self { block, commitment, calls, set, tree, tasks, ways, places }
    }

    /// What a planner tells its machine.
    pub(crate) fn planned(&self) -> Input {
        let plan = BlockPlan { calls: Arc::clone(&self.calls), tasks: Arc::clone(&self.tasks) };
        Input::Planned { block: self.block, plan }
    }

    pub(crate) fn root(&self) -> TaskId {
        self.tasks[self.tree.root()].task
    }

    /// Whether the task leaves a subtree of one tx.
    pub(crate) fn tops(&self) -> usize {
        self.calls.len()
    }

    /// The longest way, or all work shared by all lanes: no schedule ends sooner.
    pub(crate) fn lower_bound_ms(&self, hands: Hands, params: &Params) -> u64 {
        let path = self.ways.iter().copied().max().unwrap_or(0);
        let work = |only_vm: bool| -> u64 {
            let nodes = self.places.iter().map(|&it| self.tree.nodes()[it]);
            let counted = nodes.filter(|it| !only_vm || it.kind == Kind::Vm);
            counted.map(|it| params.p50(it.kind)).sum()
        };
        path.max(work(false) / hands.all.max(1)).max(work(true) / hands.vm.max(1))
    }

    /// B of R3.3 without backlog: for every class and level, all work at or below the level shared
    /// by the lanes that can do it, and then the way above the level.
    pub(crate) fn tree_bound_ms(&self, hands: Hands, params: &Params) -> u64 {
        let mut order = self.places.clone();
        order.sort_unstable_by_key(|&place| core::cmp::Reverse(self.ways[place]));
        let (mut all, mut vm) = (0, 0);
        let mut bound = self.ways.iter().copied().max().unwrap_or(0);
        for place in order {
            let kind = self.tree.nodes()[place].kind;
            let above = self.ways[place] - params.p50(kind);
            all += params.p50(kind);
            bound = bound.max(all / hands.all.max(1) + above);
            if kind.class() == Some(Class::Vm) {
                vm += params.p50(kind);
                bound = bound.max(vm / hands.vm.max(1) + above);
            }
        }
        bound
    }
}

fn number_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Usual times from each place to the root, both included; parents stand after their children.
fn ways(tree: &Tree, params: &Params) -> Vec<u64> {
    let mut ways = vec![0; tree.nodes().len()];
    for place in (0..ways.len()).rev() {
        let above = tree.parent(place).map_or(0, |it| ways[it]);
        ways[place] = above + params.p50(tree.nodes()[place].kind);
    }
    ways
}

/// `twins`: equal calls of different txs, which are one task with several places.
fn task_of((block, set): (BlockId, Word), node: Node, twins: bool) -> TaskId {
    let place = match node.kind {
        Kind::Vm if twins => Node { index: 0, ..node },
        Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge | Kind::Root => node,
    };
    let word = |name: &[u8]| -> Word { keccak256(&[name, &block.0, &place.to_bytes()]).0 };
    let words = TaskWords {
        set,
        start: word(b"start"),
        end: word(b"end"),
        txs: [0; 32],
        count: [0; 32],
        aux: [0; 32],
    };
    task_id(node.kind, &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The event model's figures for 4 txs of 3 calls.
    #[test]
    fn bounds_are_the_models() {
        let options = WorldOptions { txs: [4; 2], calls: [3; 2], ..WorldOptions::calm() };
        let content = Content::new(0, &options, &mut Rng::new(1));
        let bounds = |all, vm| {
            let hands = Hands { all, vm };
            let params = &options.params;
            (
                content.lower_bound_ms(hands, params) / 1000,
                content.tree_bound_ms(hands, params) / 1000,
            )
        };
        // vm, 3 kernels, base, 2 merges, root.
        assert_eq!(bounds(1_000, 1_000), (240, 240));
        // 28 proofs below the merges on 4 lanes, then three proofs; 32 in all.
        assert_eq!(bounds(4, 4), (240, 300));
        // 12 vm proofs on one lane, then seven proofs.
        assert_eq!(bounds(4, 1), (360, 510));
    }
}
