//! The proof tree of one block and its cut into subtrees and crown (R3.1, R4.1).
//!
//! Everything here follows from the number of calls of each tx and the parameters, so every agent
//! gets the same tree without a word being exchanged. Nodes are named by their position in tree
//! order: for each tx its vm proofs, its kernels and its base, then the merges level by level,
//! then the root. Client-made `tx` proofs are data of the block, not nodes here.

pub mod layout;

use crate::{
    domain::{Kind, Node},
    params::Params,
};

/// Most txs of a block: what the reveal's `u16` counts.
pub const TXS_MAX: usize = u16::MAX as usize;
/// Most calls of a tx (slice section 3).
pub const CALLS_MAX: u8 = 3;
/// Stands for "none" where positions are kept in four bytes.
const NONE: u32 = u32::MAX;

/// The proof tree of one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Children of all nodes one after the other.
    below: Vec<usize>,
    /// Where each node's children begin in `below`.
    begins: Vec<u32>,
    parents: Vec<u32>,
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
        let (nodes, below, begins, parents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut tree = Self { nodes, below, begins, parents, txs };
        let bases = (0..txs).zip(calls).map(|(index, &count)| tree.add_tx(index, count)).collect();
        let top = tree.add_merges(bases);
        tree.add(Node { kind: Kind::Root, level: 0, index: 0, call: 0 }, &[top]);
        assert_eq!(tree.below.len() + 1, tree.nodes.len(), "every node but the root has a parent");
        Some(tree)
    }

    fn add(&mut self, node: Node, children: &[usize]) -> usize {
        let place = self.nodes.len();
        let number = u32::try_from(place).unwrap_or(NONE);
        for &child in children {
            assert_eq!(self.parents[child], NONE, "{node} takes a node that has a parent");
            self.parents[child] = number;
        }
        self.begins.push(u32::try_from(self.below.len()).unwrap_or(NONE));
        self.below.extend_from_slice(children);
        self.nodes.push(node);
        self.parents.push(NONE);
        place
    }

    /// vm proofs in parallel, kernels one on top of the other, the base over the last kernel.
    fn add_tx(&mut self, index: u32, calls: u8) -> usize {
        let calls = u16::from(calls);
        let place = |kind, call| Node { kind, level: 0, index, call };
        let vms: Vec<usize> = (0..calls).map(|call| self.add(place(Kind::Vm, call), &[])).collect();
        let mut below = Vec::new();
        for (call, vm) in (0..calls).zip(vms) {
            below.push(vm);
            below = vec![self.add(place(Kind::Kernel, call), &below)];
        }
        self.add(place(Kind::Base, 0), &below)
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
            _ => self.add(Node { kind: Kind::Merge, level, index, call: 0 }, pair),
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
        let begin = self.begins[place] as usize;
        let end = self.begins.get(place + 1).map_or(self.below.len(), |&it| it as usize);
        &self.below[begin..end]
    }
    /// What takes the proof of `place`; `None` for the root.
    #[must_use]
    pub fn parent(&self, place: usize) -> Option<usize> {
        let parent = self.parents[place];
        (parent != NONE).then_some(parent as usize)
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
            at = self.parent(here);
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
    /// Units of each node with everything below it, by position.
    #[must_use]
    pub fn units(&self, params: &Params) -> Vec<u64> {
        let mut units: Vec<u64> = self.nodes.iter().map(|it| params.units_of(it.kind)).collect();
        for place in 0..self.nodes.len() {
            let sum: u64 = self.children(place).iter().map(|&it| units[it]).sum();
            units[place] += sum;
        }
        units
    }

    /// `place` and everything below it, in tree order.
    fn below(&self, place: usize) -> Vec<usize> {
        let mut found = vec![place];
        let mut next = 0;
        while next < found.len() {
            found.extend_from_slice(self.children(found[next]));
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
        cut.descend(tree, &tree.units(params), params.subtree_units, tree.root());
        assert!(!cut.subtrees.is_empty(), "a block has at least one base, which is dealt");
        cut
    }

    fn descend(&mut self, tree: &Tree, units: &[u64], limit: u64, place: usize) {
        let fits = units[place] <= limit;
        match tree.nodes[place].kind {
            Kind::Merge | Kind::Root if !fits => {
                for &child in tree.children(place) {
                    self.descend(tree, units, limit, child);
                }
            }
            Kind::Base | Kind::Kernel if !fits => self.take_alone(tree, units, limit, place),
            Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge | Kind::Root => {
                self.take(tree, place, tree.below(place));
            }
        }
    }

    /// One task of a tx that is too large, with its own vm proof; what is below it comes first.
    fn take_alone(&mut self, tree: &Tree, units: &[u64], limit: u64, place: usize) {
        let (vms, rest): (Vec<usize>, Vec<usize>) =
            tree.children(place).iter().partition(|&&child| tree.nodes[child].kind == Kind::Vm);
        for child in rest {
            self.descend(tree, units, limit, child);
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
