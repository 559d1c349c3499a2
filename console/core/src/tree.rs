//! The shape of a proof tree, read from the agent's flat list of nodes.
//!
//! A merge (l, i) joins what stands at 2i and 2i+1 of level l-1, and an odd last one passes up
//! unchanged; a base stands on the last kernel of its tx, a kernel on the one before it (or on the
//! tx) and on a vm. Nodes that fit nowhere are listed at the end: nothing is hidden.

use std::collections::BTreeSet;

use wire::control::NodeView;

mod index;

pub use index::{Counts, Level, TreeIndex};

/// Deepest level: a tree of 65,536 txs has sixteen.
const LEVEL_MAX: u8 = 16;

/// What a node proves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A client's tx.
    Tx,
    /// One call of a program.
    Vm,
    /// One call joined to its tx.
    Kernel,
    /// One tx applied to the state.
    Base,
    /// Two neighbours as one.
    Merge,
    /// The whole block, for L1.
    Root,
    /// A kind that this console does not know.
    Unknown,
}

/// Name of a node: stable while the agent's list changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeKey {
    /// What it proves.
    pub kind: Kind,
    /// Merge level, 0 otherwise.
    pub level: u8,
    /// Index within the level, or the tx's.
    pub index: u32,
    /// The call within its tx.
    pub call: u16,
}

/// How far a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Its inputs are not there.
    Todo,
    /// It may be claimed.
    Ready,
    /// Somebody promised it.
    Claimed,
    /// Somebody proves it.
    Proving,
    /// Its proof exists.
    Made,
    /// Its proof lies at enough replicas.
    Delivered,
    /// A state that this console does not know.
    Unknown,
}

impl Progress {
    /// Reads the agent's word.
    pub fn of(node: &NodeView) -> Self {
        match &*node.state {
            "todo" => Self::Todo,
            "ready" => Self::Ready,
            "claimed" => Self::Claimed,
            "proving" => Self::Proving,
            "made" => Self::Made,
            "delivered" => Self::Delivered,
            _ => Self::Unknown,
        }
    }

    /// Whether the proof exists.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Made | Self::Delivered)
    }

    /// Whether somebody works on it.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Proving | Self::Claimed)
    }

    /// One column that differs for each state.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Todo => "·",
            Self::Ready => "░",
            Self::Claimed => "▸",
            Self::Proving => "▒",
            Self::Made => "▓",
            Self::Delivered => "█",
            Self::Unknown => "?",
        }
    }
}

impl NodeKey {
    /// The name of the agent's node.
    pub fn of(node: &NodeView) -> Self {
        let kind = match &*node.kind {
            "tx" => Kind::Tx,
            "vm" => Kind::Vm,
            "kernel" => Kind::Kernel,
            "base" => Kind::Base,
            "merge" => Kind::Merge,
            "root" => Kind::Root,
            _ => Kind::Unknown,
        };
        Self { kind, level: node.level, index: node.index, call: node.call }
    }

    /// A base, for its level.
    const BASE: Self = Self { kind: Kind::Base, level: 0, index: 0, call: 0 };

    /// The txs under the node in a block of `txs`: first, and one past the last.
    pub fn covers(self, txs: u32) -> (u32, u32) {
        let (first, end) = match self.kind {
            Kind::Root => (0, txs),
            Kind::Merge => {
                let size = 1_u32 << self.level.min(LEVEL_MAX);
                let first = self.index.saturating_mul(size);
                (first, first.saturating_add(size))
            }
            Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Unknown => {
                (self.index, self.index.saturating_add(1))
            }
        };
        (first.min(txs), end.min(txs))
    }

    /// The name as people write it: `merge/1.0`, `kernel/0.1`, `base/7`.
    pub fn name(self) -> String {
        match self.kind {
            Kind::Tx => format!("tx/{}", self.index),
            Kind::Vm => format!("vm/{}.{}", self.index, self.call),
            Kind::Kernel => format!("kernel/{}.{}", self.index, self.call),
            Kind::Base => format!("base/{}", self.index),
            Kind::Merge => format!("merge/{}.{}", self.level, self.index),
            Kind::Root => "root".to_owned(),
            Kind::Unknown => format!("node/{}.{}.{}", self.level, self.index, self.call),
        }
    }
}

/// One row of the list form.
#[derive(Clone, PartialEq, Debug)]
pub struct Row<'a> {
    /// Which node.
    pub key: NodeKey,
    /// What the agent says of it.
    pub node: &'a NodeView,
    /// The branches before it.
    pub prefix: String,
    /// In the folded form, the nodes of the base's tx, first to last.
    pub folded: Vec<&'a NodeView>,
}

/// A block's nodes by name.
#[derive(Clone, Copy, Debug)]
pub struct ProofTree<'a> {
    index: &'a TreeIndex,
    nodes: &'a [NodeView],
}

impl<'a> ProofTree<'a> {
    /// The agent's list and its index.
    pub const fn new(index: &'a TreeIndex, nodes: &'a [NodeView]) -> Self {
        Self { index, nodes }
    }

    /// Number of txs.
    pub const fn txs(&self) -> u32 {
        self.index.txs()
    }

    /// Counts of the whole block.
    pub fn counts(&self) -> Counts {
        self.index.counts()
    }

    /// What the agent says of a node.
    pub fn get(&self, key: NodeKey) -> Option<&'a NodeView> {
        self.nodes.get(self.index.place(key)?)
    }

    /// The next tx after (or before) this one with a proof of this agent.
    pub fn next_mine(&self, leaf: u32, back: bool) -> Option<u32> {
        self.index.next_mine(leaf, back)
    }

    fn contains(&self, key: NodeKey) -> bool {
        self.index.place(key).is_some()
    }

    /// The proofs that a node is made from.
    pub fn inputs(&self, key: NodeKey) -> Vec<NodeKey> {
        match key.kind {
            Kind::Tx | Kind::Vm | Kind::Unknown => Vec::new(),
            Kind::Kernel => self.kernel_inputs(key),
            Kind::Base => self.last_of_tx(key.index, u16::MAX).into_iter().collect(),
            Kind::Merge => {
                let below = key.level.saturating_sub(1);
                let pair = [key.index.saturating_mul(2), key.index.saturating_mul(2) | 1];
                pair.into_iter().filter_map(|index| self.standing_at(below, index)).collect()
            }
            Kind::Root => self.standing_at(LEVEL_MAX, 0).into_iter().collect(),
        }
    }

    fn kernel_inputs(&self, key: NodeKey) -> Vec<NodeKey> {
        let before = key.call.checked_sub(1).and_then(|call| self.last_of_tx(key.index, call));
        let before = before.or_else(|| self.tx(key.index));
        let vm = NodeKey { kind: Kind::Vm, ..key };
        let vm = self.contains(vm).then_some(vm);
        before.into_iter().chain(vm).collect()
    }

    fn tx(&self, index: u32) -> Option<NodeKey> {
        let key = NodeKey { kind: Kind::Tx, level: 0, index, call: 0 };
        self.contains(key).then_some(key)
    }

    /// The last kernel of a tx up to this call, else the tx itself.
    fn last_of_tx(&self, index: u32, call: u16) -> Option<NodeKey> {
        let first = NodeKey { kind: Kind::Kernel, level: 0, index, call: 0 };
        let kernels = self.index.range(first, NodeKey { call, ..first });
        kernels.last().map(|(key, _)| *key).or_else(|| self.tx(index))
    }

    /// What stands at this place: the merge, or what was passed up from below.
    fn standing_at(&self, level: u8, index: u32) -> Option<NodeKey> {
        let mut index = index;
        for level in (1..=level.min(LEVEL_MAX)).rev() {
            let merge = NodeKey { kind: Kind::Merge, level, index, call: 0 };
            if self.contains(merge) {
                return Some(merge);
            }
            index = index.saturating_mul(2);
        }
        let base = NodeKey { kind: Kind::Base, level: 0, index, call: 0 };
        self.contains(base).then_some(base)
    }

    /// Every node as a row, each under what is made from it; the txs' own proofs in rows of their
    /// own or folded into the row of their base.
    pub fn rows(&self, form: RowForm) -> Vec<Row<'a>> {
        let mut rows = Vec::with_capacity(self.nodes.len());
        let mut seen = BTreeSet::new();
        let root = NodeKey { kind: Kind::Root, level: 0, index: 0, call: 0 };
        let top = self.contains(root).then_some(root);
        self.descend(top.or_else(|| self.standing_at(LEVEL_MAX, 0)), form, &mut seen, &mut rows);
        let mut left: Vec<NodeKey> = self.index.keys().filter(|key| !seen.contains(key)).collect();
        left.sort_unstable_by(|one, other| other.cmp(one));
        for key in left {
            self.descend(Some(key), form, &mut seen, &mut rows);
        }
        rows
    }

    fn descend(
        &self,
        from: Option<NodeKey>,
        form: RowForm,
        seen: &mut BTreeSet<NodeKey>,
        rows: &mut Vec<Row<'a>>,
    ) {
        let mut open: Vec<(NodeKey, String, String)> =
            from.into_iter().map(|key| (key, String::new(), String::new())).collect();
        while let Some((key, branch, stem)) = open.pop() {
            let Some(node) = self.get(key).filter(|_| seen.insert(key)) else { continue };
            let inputs = self.inputs(key);
            let folds = form == RowForm::Folded && key.kind == Kind::Base;
            let folded = if folds { self.chain(key.index, seen) } else { Vec::new() };
            rows.push(Row { key, node, prefix: branch, folded });
            if folds {
                continue;
            }
            // The last one has a branch of its own; it is pushed first and comes out last.
            let mut branch = ("└ ", "  ");
            for input in inputs.iter().rev() {
                open.push((*input, format!("{stem}{}", branch.0), format!("{stem}{}", branch.1)));
                branch = ("├ ", "│ ");
            }
        }
    }

    /// The proofs of one tx below its base, in the order in which they are made.
    fn chain(&self, index: u32, seen: &mut BTreeSet<NodeKey>) -> Vec<&'a NodeView> {
        let mut chain: Vec<_> = [Kind::Tx, Kind::Vm, Kind::Kernel]
            .into_iter()
            .flat_map(|kind| {
                let first = NodeKey { kind, level: 0, index, call: 0 };
                self.index.range(first, NodeKey { call: u16::MAX, ..first })
            })
            .filter_map(|(key, _)| Some((*key, self.get(*key)?)))
            .collect();
        chain.sort_by_key(|(key, _)| (key.kind != Kind::Tx, key.call, key.kind));
        seen.extend(chain.iter().map(|(key, _)| *key));
        chain.into_iter().map(|(_, node)| node).collect()
    }

    /// The levels from the root down to the txs, without the empty ones.
    pub fn levels(&self) -> &'a [Level] {
        self.index.levels()
    }

    /// The txs under a node: first, and one past the last.
    pub fn covers(&self, key: NodeKey) -> (u32, u32) {
        key.covers(self.txs())
    }
}

/// Whether the proofs below a base have rows of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowForm {
    /// Every node a row.
    Full,
    /// A base's row holds the proofs of its tx.
    Folded,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(kind: &'static str, level: u8, index: u32, call: u16) -> NodeView {
        NodeView {
            kind: kind.into(),
            level,
            index,
            call,
            state: "todo".into(),
            ..NodeView::default()
        }
    }

    fn check(list: &[NodeView], form: RowForm, expected: &[&str]) {
        let rows: Vec<String> = ProofTree::new(&TreeIndex::new(list), list)
            .rows(form)
            .iter()
            .map(|row| {
                let folded: String = row
                    .folded
                    .iter()
                    .map(|node| format!(" +{}", NodeKey::of(node).name()))
                    .collect();
                format!("{}{}{folded}", row.prefix, row.key.name())
            })
            .collect();
        assert_eq!(rows, expected);
    }

    fn two_txs_one_call() -> Vec<NodeView> {
        vec![
            node("tx", 0, 0, 0),
            node("vm", 0, 0, 1),
            node("kernel", 0, 0, 1),
            node("base", 0, 0, 0),
            node("tx", 0, 1, 0),
            node("base", 0, 1, 0),
            node("merge", 1, 0, 0),
            node("root", 0, 0, 0),
        ]
    }

    #[test]
    fn each_proof_stands_under_what_is_made_from_it() {
        check(
            &two_txs_one_call(),
            RowForm::Full,
            &[
                "root",
                "└ merge/1.0",
                "  ├ base/0",
                "  │ └ kernel/0.1",
                "  │   ├ tx/0",
                "  │   └ vm/0.1",
                "  └ base/1",
                "    └ tx/1",
            ],
        );
    }

    #[test]
    fn a_folded_base_lists_its_proofs_in_the_order_of_work() {
        check(
            &two_txs_one_call(),
            RowForm::Folded,
            &["root", "└ merge/1.0", "  ├ base/0 +tx/0 +vm/0.1 +kernel/0.1", "  └ base/1 +tx/1"],
        );
    }

    #[test]
    fn an_odd_last_node_passes_up_unchanged() {
        let list: Vec<NodeView> = (0..5)
            .map(|index| node("base", 0, index, 0))
            .chain([node("merge", 1, 0, 0), node("merge", 1, 1, 0)])
            .chain([node("merge", 2, 0, 0), node("merge", 3, 0, 0), node("root", 0, 0, 0)])
            .collect();
        check(
            &list,
            RowForm::Full,
            &[
                "root",
                "└ merge/3.0",
                "  ├ merge/2.0",
                "  │ ├ merge/1.0",
                "  │ │ ├ base/0",
                "  │ │ └ base/1",
                "  │ └ merge/1.1",
                "  │   ├ base/2",
                "  │   └ base/3",
                "  └ base/4",
            ],
        );
    }

    #[test]
    fn one_tx_needs_no_merge_and_a_strange_node_is_listed() {
        let list = [
            node("tx", 0, 0, 0),
            node("base", 0, 0, 0),
            node("root", 0, 0, 0),
            node("??", 9, 9, 9),
        ];
        check(&list, RowForm::Full, &["root", "└ base/0", "  └ tx/0", "node/9.9.9"]);
    }

    #[test]
    fn hostile_lists_end() {
        let twice = [node("merge", 255, u32::MAX, 0), node("merge", 255, u32::MAX, 0)];
        check(&twice, RowForm::Full, &["merge/255.4294967295"]);
        check(&[], RowForm::Full, &[]);
        let list = [node("merge", 0, 0, 0), node("base", 0, u32::MAX, 9)];
        let index = TreeIndex::new(&list);
        assert_eq!(ProofTree::new(&index, &list).rows(RowForm::Full).len(), 2);
        assert_eq!(index.levels().len(), 2);
    }

    #[test]
    fn a_level_covers_the_txs_below_it() {
        let list: Vec<NodeView> = (0..3)
            .map(|index| node("base", 0, index, 0))
            .chain([node("merge", 1, 0, 0), node("merge", 2, 0, 0), node("root", 0, 0, 0)])
            .collect();
        let index = TreeIndex::new(&list);
        let shape: Vec<(String, Vec<(u32, u32)>)> = index
            .levels()
            .iter()
            .map(|level| {
                let spans = level.keys().map(|key| key.covers(index.txs())).collect();
                (level.name.clone(), spans)
            })
            .collect();
        assert_eq!(
            shape,
            [
                ("root".to_owned(), vec![(0, 3)]),
                ("merge 2".to_owned(), vec![(0, 3)]),
                ("merge 1".to_owned(), vec![(0, 2)]),
                ("base".to_owned(), vec![(0, 1), (1, 2), (2, 3)]),
            ]
        );
    }
}
