//! Pretended blocks: their shape is real, their statements are hashes of where they stand.

use std::collections::BTreeMap;

use protocol::{
    BlockId, Hash, Kind, Node, PlannedTask, TaskId, Word,
    assign::{TaskWords, keccak::keccak256, task_id},
    tree::Tree,
};

use crate::{WorldOptions, rng::Rng};

/// A block that a sequencer may reveal.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) block: BlockId,
    pub(crate) commitment: Hash,
    pub(crate) calls: Vec<u8>,
    pub(crate) tree: Tree,
    pub(crate) tasks: Vec<PlannedTask>,
    ids: BTreeMap<Node, TaskId>,
}

impl Content {
    /// The `number`-th block of this world.
    pub(crate) fn new(number: u64, options: &WorldOptions, rng: &mut Rng) -> Self {
        let txs = rng.between(options.txs[0], options.txs[1]);
        let [low, high] = options.calls;
        let calls: Vec<u8> =
            (0..txs).map(|_| u8::try_from(rng.between(low, high)).unwrap_or(0)).collect();
        let salt = rng.bits().to_be_bytes();
        let block = BlockId(keccak256(&[b"block", &number.to_be_bytes(), &salt, &calls]).0);
        let Some(tree) = Tree::new(&calls) else {
            panic!("options make a block of {txs} txs that has no tree")
        };
        let twins = rng.chance(300);
        let tasks: Vec<PlannedTask> = tree
            .nodes()
            .iter()
            .map(|&node| PlannedTask { node, task: task_of(block, node, twins) })
            .collect();
        let ids = tasks.iter().map(|it| (it.node, it.task)).collect();
        let commitment = keccak256(&[&block.0, &salt]);
        Self { block, commitment, calls, tree, tasks, ids }
    }

    pub(crate) fn task(&self, node: Node) -> TaskId {
        self.ids[&node]
    }
    pub(crate) fn root(&self) -> TaskId {
        self.task(self.tree.nodes()[self.tree.root()])
    }
}

/// `twins`: equal calls of different txs, which are one task with several places.
fn task_of(block: BlockId, node: Node, twins: bool) -> TaskId {
    let place = match node.kind {
        Kind::Vm if twins => Node { index: 0, ..node },
        Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge | Kind::Root => node,
    };
    let word = |name: &[u8]| -> Word { keccak256(&[name, &block.0, &place.to_bytes()]).0 };
    let words = TaskWords {
        set: [1; 32],
        start: word(b"start"),
        end: word(b"end"),
        txs: word(b"txs"),
        count: [0; 32],
        aux: [0; 32],
    };
    task_id(node.kind, &words)
}
