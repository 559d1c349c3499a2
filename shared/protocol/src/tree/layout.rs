//! A block's tasks as everybody lays them out: one per task id, with places, ways and subtrees.
//!
//! Nothing in it depends on who reads it, so machines of one process share it
//! ([`crate::assign::memo`]). What an agent heard about a task lies in its round.

use std::collections::BTreeMap;

use super::{Cut, NONE, Tree};
use crate::{
    domain::{Kind, Node, TaskId},
    io::PlannedTask,
    params::Params,
};

/// One task of the block. Equal calls of two txs are one task with two places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// Its id.
    pub id: TaskId,
    /// Its first place in the tree.
    pub node: Node,
    /// Usual milliseconds from here to the root, both included.
    pub way_ms: u64,
    /// Proofs between here and the root; 0 for the root.
    pub depth: u32,
    /// Whether its proof leaves the subtree.
    pub is_top: bool,
    children: [u32; 2],
    parent: u32,
    subtree: u32,
    vm: u32,
}

const fn some(number: u32) -> Option<usize> {
    if number == NONE { None } else { Some(number as usize) }
}

impl Spot {
    /// Index of the subtree that holds it; `None` for the crown.
    #[must_use]
    pub const fn subtree(&self) -> Option<usize> {
        some(self.subtree)
    }
    /// Its number among the block's vm proofs, counted by tx and call.
    #[must_use]
    pub const fn vm(&self) -> Option<usize> {
        some(self.vm)
    }
    /// Tasks whose proofs it takes: tree child or left first, then vm or right.
    pub fn children(&self) -> impl Iterator<Item = usize> + use<> {
        self.children.into_iter().filter_map(some)
    }
}

/// All tasks of a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The proof tree.
    pub tree: Tree,
    /// Its cut into subtrees and crown (R4.1).
    pub cut: Cut,
    /// Tasks in tree order of their first place.
    pub spots: Vec<Spot>,
    /// Number of vm proofs, counted by place.
    pub vms: usize,
    /// Task of each vm proof, by its number.
    vm_tasks: Vec<u32>,
    places: Vec<u32>,
    /// Further parents of tasks with several places.
    more: BTreeMap<u32, Vec<u32>>,
    /// Task numbers in the order of their ids.
    sorted: Vec<u32>,
    /// Where the ids with each beginning begin in it.
    begins: Vec<u32>,
}

impl Layout {
    /// Lays a block out; `None` unless `planned` names every node of the tree exactly once.
    #[must_use]
    pub fn new(calls: &[u8], planned: &[PlannedTask], params: &Params) -> Option<Self> {
        let tree = Tree::new(calls)?;
        let ids = ids_in_order(&tree, planned)?;
        let cut = Cut::new(&tree, params);
        let mut layout = Self {
            spots: Vec::new(),
            places: Vec::with_capacity(ids.len()),
            more: BTreeMap::new(),
            sorted: Vec::new(),
            begins: Vec::new(),
            vms: 0,
            vm_tasks: Vec::new(),
            tree,
            cut,
        };
        let firsts = first_places(&ids);
        for (place, &first) in firsts.iter().enumerate() {
            layout.add(place, first, ids[place])?;
        }
        layout.link(params);
        let mut sorted: Vec<u32> = (0..).take(layout.spots.len()).collect();
        sorted.sort_unstable_by_key(|&it| layout.spots[it as usize].id);
        layout.sorted = sorted;
        layout.index();
        assert_eq!(layout.places.len(), layout.tree.nodes().len(), "every place has a task");
        Some(layout)
    }

    fn add(&mut self, place: usize, first: usize, id: TaskId) -> Option<()> {
        let node = self.tree.nodes()[place];
        let number = u32::try_from(self.spots.len()).ok()?;
        let vm = u32::try_from(self.vms).ok()?;
        self.vms += usize::from(node.kind == Kind::Vm);
        if first < place {
            let task = self.places[first];
            self.places.push(task);
            self.vm_tasks.extend((node.kind == Kind::Vm).then_some(task));
            return (self.spots[task as usize].node.kind == node.kind).then_some(());
        }
        self.vm_tasks.extend((node.kind == Kind::Vm).then_some(number));
        let mut children = [NONE; 2];
        for (slot, &child) in children.iter_mut().zip(self.tree.children(place)) {
            *slot = self.places[child];
        }
        let subtree = self.cut.subtree_of(place);
        let is_top = subtree.is_some_and(|it| self.cut.subtrees[it].top == place);
        self.spots.push(Spot {
            id,
            node,
            way_ms: 0,
            depth: 0,
            is_top,
            children,
            parent: NONE,
            subtree: subtree.and_then(|it| u32::try_from(it).ok()).unwrap_or(NONE),
            vm: if node.kind == Kind::Vm { vm } else { NONE },
        });
        self.places.push(number);
        Some(())
    }

    /// Parents, ways and depths, from the root downward.
    fn link(&mut self, params: &Params) {
        for place in (0..self.places.len()).rev() {
            let task = self.places[place] as usize;
            let p50 = params.p50(self.tree.nodes()[place].kind);
            let Some(parent) = self.tree.parent(place).map(|it| self.places[it]) else {
                self.spots[task].way_ms = p50;
                continue;
            };
            let above = self.spots[parent as usize];
            let spot = &mut self.spots[task];
            spot.way_ms = spot.way_ms.max(above.way_ms + p50);
            spot.depth = spot.depth.max(above.depth + 1);
            if spot.parent == NONE {
                spot.parent = parent;
            } else if spot.parent != parent {
                let number = self.places[place];
                self.more.entry(number).or_default().push(parent);
            }
        }
    }

    /// As many beginnings as there are tasks: ids are hashes, so each has about one.
    fn index(&mut self) {
        self.begins = vec![0; self.spots.len().next_power_of_two() + 1];
        for spot in &self.spots {
            let at = self.beginning(spot.id) + 1;
            self.begins[at] += 1;
        }
        for at in 1..self.begins.len() {
            self.begins[at] += self.begins[at - 1];
        }
    }
    fn beginning(&self, id: TaskId) -> usize {
        let [a, b, c, d, ..] = id.0;
        let first = u64::from(u32::from_be_bytes([a, b, c, d]));
        usize::try_from((first * (self.begins.len() as u64 - 1)) >> 32).unwrap_or(0)
    }

    /// Number of the task with this id.
    #[must_use]
    pub fn find(&self, id: TaskId) -> Option<usize> {
        let at = |it: &u32| self.spots[*it as usize].id.cmp(&id);
        let beginning = self.beginning(id);
        let (from, to) = (self.begins[beginning], self.begins[beginning + 1]);
        let near = &self.sorted[from as usize..to as usize];
        near.binary_search_by(at).ok().map(|it| near[it] as usize)
    }
    /// The task of a vm proof.
    #[must_use]
    pub fn vm(&self, number: usize) -> Option<usize> {
        self.vm_tasks.get(number).map(|&it| it as usize)
    }
    /// Number of the task at a place of the tree.
    #[must_use]
    pub fn at(&self, place: usize) -> usize {
        self.places[place] as usize
    }
    /// Number of the root's task.
    #[must_use]
    pub fn root(&self) -> usize {
        self.at(self.tree.root())
    }
    /// Tasks that take its proof.
    pub fn parents(&self, task: usize) -> impl Iterator<Item = usize> {
        let number = u32::try_from(task).unwrap_or(NONE);
        let more = self.more.get(&number).into_iter().flatten();
        some(self.spots[task].parent).into_iter().chain(more.map(|&it| it as usize))
    }
    /// No task below this one has a smaller number; 0 where tasks have several places.
    pub(crate) fn first_below(&self, task: usize) -> usize {
        if !self.more.is_empty() {
            return 0;
        }
        let way = core::iter::successors(Some(task), |&it| self.spots[it].children().next());
        way.last().unwrap_or(task)
    }
    /// Whether the task is one of the nodes near the root that several lanes start at once (R4.3).
    #[must_use]
    pub fn is_hot(&self, task: usize, params: &Params) -> bool {
        let spot = &self.spots[task];
        spot.subtree == NONE && spot.depth < u32::from(params.hot_levels)
    }
}

/// The planned ids in tree order; `None` if a node is missing, foreign or named twice.
fn ids_in_order(tree: &Tree, planned: &[PlannedTask]) -> Option<Vec<TaskId>> {
    let same = |(it, node): (&PlannedTask, &Node)| it.node == *node;
    if planned.len() != tree.nodes().len() {
        return None;
    }
    if planned.iter().zip(tree.nodes()).all(same) {
        return Some(planned.iter().map(|it| it.task).collect());
    }
    let ids: BTreeMap<Node, TaskId> = planned.iter().map(|it| (it.node, it.task)).collect();
    tree.nodes().iter().map(|node| ids.get(node).copied()).collect()
}

/// For each place the first place with the same id.
fn first_places(ids: &[TaskId]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&it| (ids[it], it));
    let mut firsts = vec![0; ids.len()];
    let mut first = 0;
    for (at, &place) in order.iter().enumerate() {
        if at == 0 || ids[order[at - 1]] != ids[place] {
            first = place;
        }
        firsts[place] = first;
    }
    firsts
}
