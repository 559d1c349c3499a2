//! The proof tree of one block and its cut into subtrees and crown (R3.1, R4.1).
//!
//! Everything here follows from the number of calls of each tx and the parameters, so every agent
//! gets the same tree without a word being exchanged. Nodes are named by their position in tree
//! order: for each tx its vm proofs, its kernels and its base, then the merges level by level,
//! then the root. Client-made `tx` proofs are data of the block, not nodes here.

use crate::{
    domain::{Kind, Node},
    params::Params,
};

/// Most txs of a block (slice section 3). Their proofs and calls fit L1's calldata.
pub const TXS_MAX: usize = 16;
/// Most calls of a tx (slice section 3).
pub const CALLS_MAX: u8 = 3;
/// Most prover-made proofs of a block: 16 × (3 vm + 3 kernels + base) + 15 merges + root.
pub const NODES_MAX: usize = TXS_MAX * (2 * CALLS_MAX as usize + 1) + TXS_MAX;

/// The proof tree of one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    children: Vec<Vec<usize>>,
    parents: Vec<Option<usize>>,
    txs: u32,
}

impl Tree {
    /// The tree of a block whose txs make this many calls each; `None` beyond [`TXS_MAX`] or
    /// [`CALLS_MAX`], or for an empty block.
    #[must_use]
    pub fn new(calls: &[u8]) -> Option<Self> {
        let fits = !calls.is_empty() && calls.len() <= TXS_MAX;
        if !fits || calls.iter().any(|&count| CALLS_MAX < count) {
            return None;
        }
        let txs = u32::try_from(calls.len()).ok()?;
        let mut tree = Self { nodes: Vec::new(), children: Vec::new(), parents: Vec::new(), txs };
        let bases = (0..txs).zip(calls).map(|(index, &count)| tree.add_tx(index, count)).collect();
        let top = tree.add_merges(bases);
        tree.add(Node { kind: Kind::Root, level: 0, index: 0, call: 0 }, vec![top]);
        assert!(tree.nodes.len() <= NODES_MAX, "{} nodes of one block", tree.nodes.len());
        Some(tree)
    }

    fn add(&mut self, node: Node, children: Vec<usize>) -> usize {
        let place = self.nodes.len();
        for &child in &children {
            assert_eq!(self.parents[child], None, "{node} takes a node that has a parent");
            self.parents[child] = Some(place);
        }
        self.nodes.push(node);
        self.children.push(children);
        self.parents.push(None);
        place
    }

    /// vm proofs in parallel, kernels one on top of the other, the base over the last kernel.
    fn add_tx(&mut self, index: u32, calls: u8) -> usize {
        let calls = u16::from(calls);
        let place = |kind, call| Node { kind, level: 0, index, call };
        let vms: Vec<usize> =
            (0..calls).map(|call| self.add(place(Kind::Vm, call), Vec::new())).collect();
        let mut below = Vec::new();
        for (call, vm) in (0..calls).zip(vms) {
            below.push(vm);
            below = vec![self.add(place(Kind::Kernel, call), below)];
        }
        self.add(place(Kind::Base, 0), below)
    }

    /// Pairs from the left; an odd last one passes up unchanged. Returns the top.
    fn add_merges(&mut self, mut standing: Vec<usize>) -> usize {
        let mut level = 0;
        while 1 < standing.len() {
            level += 1;
            let pairs = (0u32..).zip(standing.chunks(2));
            standing = pairs.map(|(index, pair)| self.add_pair(level, index, pair)).collect();
        }
        standing[0]
    }

    fn add_pair(&mut self, level: u8, index: u32, pair: &[usize]) -> usize {
        match *pair {
            [alone] => alone,
            _ => self.add(Node { kind: Kind::Merge, level, index, call: 0 }, pair.to_vec()),
        }
    }

    /// All nodes in tree order; the root is last.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }
    /// Where `node` stands in tree order.
    #[must_use]
    pub fn position(&self, node: Node) -> Option<usize> {
        self.nodes.iter().position(|&it| it == node)
    }
    /// What must be proved before `place`: tree child or left first, then vm or right.
    #[must_use]
    pub fn children(&self, place: usize) -> &[usize] {
        &self.children[place]
    }
    /// What takes the proof of `place`; `None` for the root.
    #[must_use]
    pub fn parent(&self, place: usize) -> Option<usize> {
        self.parents[place]
    }
    /// Position of the root.
    #[must_use]
    pub fn root(&self) -> usize {
        self.nodes.len() - 1
    }
    /// Number of txs.
    #[must_use]
    pub const fn txs(&self) -> u32 {
        self.txs
    }

    /// Remaining way in milliseconds: usual times from this proof to the root, both included.
    #[must_use]
    pub fn way_ms(&self, place: usize, params: &Params) -> u64 {
        let mut way = 0;
        let mut at = Some(place);
        while let Some(here) = at {
            way += params.p50(self.nodes[here].kind);
            at = self.parents[here];
        }
        way
    }
    /// The longest way of all, in milliseconds: no number of lanes proves the block sooner.
    #[must_use]
    pub fn critical_path_ms(&self, params: &Params) -> u64 {
        (0..self.nodes.len()).map(|place| self.way_ms(place, params)).max().unwrap_or(0)
    }
    /// Usual milliseconds of all proofs together.
    #[must_use]
    pub fn work_ms(&self, params: &Params) -> u64 {
        self.nodes.iter().map(|node| params.p50(node.kind)).sum()
    }
    /// Units of this proof and everything below it.
    #[must_use]
    pub fn units(&self, place: usize, params: &Params) -> u64 {
        self.below(place).iter().map(|&it| params.units_of(self.nodes[it].kind)).sum()
    }

    /// `place` and everything below it, in tree order.
    fn below(&self, place: usize) -> Vec<usize> {
        let mut found = vec![place];
        let mut next = 0;
        while next < found.len() {
            found.extend_from_slice(&self.children[found[next]]);
            next += 1;
        }
        found.sort_unstable();
        assert!(found.is_sorted_by(|a, b| a < b), "a tree has no node twice");
        found
    }
}

/// A dealt piece of the tree: one lane is dealt all its kernels, bases and merges. Its vm proofs
/// are counted here but dealt one by one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subtree {
    /// The proof that leaves it.
    pub top: usize,
    /// First tx.
    pub first_tx: u32,
    /// Last tx, inclusive.
    pub last_tx: u32,
    /// Its proofs in tree order.
    pub nodes: Vec<usize>,
}

/// Subtrees from left to right; what is in none of them is the crown (R4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// From left to right.
    pub subtrees: Vec<Subtree>,
    owner: Vec<Option<usize>>,
}

impl Cut {
    /// From the root downward, a node whose units fit `subtree_units` is a subtree; a tx that
    /// does not fit is cut into its kernels and its base.
    #[must_use]
    pub fn new(tree: &Tree, params: &Params) -> Self {
        let mut cut = Self { subtrees: Vec::new(), owner: vec![None; tree.nodes.len()] };
        cut.descend(tree, params, tree.root());
        assert!(!cut.subtrees.is_empty(), "a block has at least one base, which is dealt");
        cut
    }

    fn descend(&mut self, tree: &Tree, params: &Params, place: usize) {
        let fits = tree.units(place, params) <= params.subtree_units;
        match tree.nodes[place].kind {
            Kind::Merge | Kind::Root if !fits => {
                for &child in &tree.children[place] {
                    self.descend(tree, params, child);
                }
            }
            Kind::Base | Kind::Kernel if !fits => self.take_alone(tree, params, place),
            Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge | Kind::Root => {
                self.take(tree, place, tree.below(place));
            }
        }
    }

    /// One task of a tx that is too large, with its own vm proof; what is below it comes first.
    fn take_alone(&mut self, tree: &Tree, params: &Params, place: usize) {
        let (vms, rest): (Vec<usize>, Vec<usize>) =
            tree.children[place].iter().partition(|&&child| tree.nodes[child].kind == Kind::Vm);
        for child in rest {
            self.descend(tree, params, child);
        }
        let nodes = vms.into_iter().chain([place]).collect();
        self.take(tree, place, nodes);
    }

    fn take(&mut self, tree: &Tree, top: usize, nodes: Vec<usize>) {
        let index = self.subtrees.len();
        for &node in &nodes {
            assert_eq!(self.owner[node], None, "{} is dealt twice", tree.nodes[node]);
            self.owner[node] = Some(index);
        }
        let txs = || {
            nodes.iter().map(|&it| tree.nodes[it]).filter_map(|node| match node.kind {
                Kind::Vm | Kind::Kernel | Kind::Base => Some(node.index),
                Kind::Tx | Kind::Merge | Kind::Root => None,
            })
        };
        let (first_tx, last_tx) = (txs().min().unwrap_or(0), txs().max().unwrap_or(0));
        self.subtrees.push(Subtree { top, first_tx, last_tx, nodes });
    }

    /// Index of the subtree that holds this node; `None` for the crown.
    #[must_use]
    pub fn subtree_of(&self, place: usize) -> Option<usize> {
        self.owner[place]
    }
}

#[cfg(test)]
mod tests;
