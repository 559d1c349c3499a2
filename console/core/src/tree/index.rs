//! A block's nodes in order and counted: made once for each state, so that a frame costs its
//! columns and rows, and not the nodes of the block.

use wire::control::NodeView;

use super::{Kind, LEVEL_MAX, NodeKey, Progress};

/// Where every node of a block stands in the agent's list, level by level.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TreeIndex {
    /// From the root down to the txs, without the empty ones.
    levels: Vec<Level>,
    txs: u32,
}

/// One level: the nodes of a kind, or the merges of one height.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Level {
    order: u8,
    /// `root`, `merge 3`, `base`, `kernel`, `vm`, `tx`.
    pub name: String,
    /// Ascending, each with its place in the agent's list.
    nodes: Vec<(NodeKey, u32)>,
    /// Counts of the nodes before each place; one more than there are nodes.
    sums: Vec<Counts>,
    usual_cpu_ms: Option<u32>,
}

/// How many nodes are done, in work, and this agent's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Nodes.
    pub all: u32,
    /// Their proof exists.
    pub done: u32,
    /// Somebody works on them.
    pub running: u32,
    /// This agent's, proved or in work.
    pub mine: u32,
}

impl Counts {
    fn with(self, node: &NodeView) -> Self {
        let progress = Progress::of(node);
        Self {
            all: self.all + 1,
            done: self.done + u32::from(progress.is_done()),
            running: self.running + u32::from(progress.is_running()),
            mine: self.mine + u32::from(node.mine),
        }
    }

    const fn without(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            done: self.done - before.done,
            running: self.running - before.running,
            mine: self.mine - before.mine,
        }
    }
}

/// Levels in the order of the ladder.
const fn order(key: NodeKey) -> u8 {
    match key.kind {
        Kind::Root => 0,
        Kind::Merge => 1 + LEVEL_MAX.saturating_sub(key.level),
        Kind::Base => 30,
        Kind::Kernel => 31,
        Kind::Vm => 32,
        Kind::Tx => 33,
        Kind::Unknown => 34,
    }
}

fn name(key: NodeKey) -> String {
    match key.kind {
        Kind::Root => "root".to_owned(),
        Kind::Merge => format!("merge {}", key.level),
        Kind::Base => "base".to_owned(),
        Kind::Kernel => "kernel".to_owned(),
        Kind::Vm => "vm".to_owned(),
        Kind::Tx => "tx".to_owned(),
        Kind::Unknown => "other".to_owned(),
    }
}

impl TreeIndex {
    /// Of a block without nodes.
    pub const EMPTY: Self = Self { levels: Vec::new(), txs: 0 };

    /// Reads the agent's list. Of nodes with one name the last counts.
    pub fn new(list: &[NodeView]) -> Self {
        let mut levels: Vec<Level> = Vec::new();
        let mut last = 0;
        for (node, place) in list.iter().zip(0_u32..) {
            let key = NodeKey::of(node);
            let order = order(key);
            // Neighbours in the list are of few levels: the one of before is looked at first.
            if levels.get(last).is_none_or(|level| level.order != order) {
                last = levels.iter().position(|it| it.order == order).unwrap_or(levels.len());
            }
            if last == levels.len() {
                levels.push(Level::new(order, name(key)));
            }
            levels[last].nodes.push((key, place));
        }
        levels.sort_by_key(|level| level.order);
        levels.iter_mut().for_each(|level| level.count(list));
        let base = levels.iter().find(|level| level.order == order(NodeKey::BASE));
        let last = base.and_then(|level| level.nodes.last());
        let txs = last.map_or(0, |(key, _)| key.index.saturating_add(1));
        Self { levels, txs }
    }

    /// Number of txs.
    pub const fn txs(&self) -> u32 {
        self.txs
    }

    /// The levels from the root down to the txs, without the empty ones.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Counts of the whole block.
    pub fn counts(&self) -> Counts {
        self.levels.iter().map(Level::counts).fold(Counts::default(), |sum, level| Counts {
            all: sum.all + level.all,
            done: sum.done + level.done,
            running: sum.running + level.running,
            mine: sum.mine + level.mine,
        })
    }

    /// Place of a node in the agent's list.
    pub(super) fn place(&self, key: NodeKey) -> Option<usize> {
        let nodes = &self.level(key)?.nodes;
        let at = nodes.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        usize::try_from(nodes[at].1).ok()
    }

    /// Names of the level of `last` from `first` on, up to and with `last`.
    pub(super) fn range(&self, first: NodeKey, last: NodeKey) -> &[(NodeKey, u32)] {
        let Some(level) = self.level(last) else { return &[] };
        let from = level.nodes.partition_point(|(key, _)| *key < first);
        let to = level.nodes.partition_point(|(key, _)| *key <= last);
        level.nodes.get(from..to).unwrap_or_default()
    }

    /// All names.
    pub(super) fn keys(&self) -> impl Iterator<Item = NodeKey> {
        self.levels.iter().flat_map(|level| &level.nodes).map(|(key, _)| *key)
    }

    /// The next tx after (or before) this one with a proof of this agent below its base.
    pub fn next_mine(&self, leaf: u32, back: bool) -> Option<u32> {
        let of_txs = self.levels.iter().filter(|level| (30..=32).contains(&level.order));
        let found = of_txs.filter_map(|level| level.next_mine(leaf, back));
        if back { found.max() } else { found.min() }
    }

    fn level(&self, key: NodeKey) -> Option<&Level> {
        let order = order(key);
        self.levels.iter().find(|level| level.order == order)
    }
}

impl Level {
    const fn new(order: u8, name: String) -> Self {
        Self { order, name, nodes: Vec::new(), sums: Vec::new(), usual_cpu_ms: None }
    }

    fn count(&mut self, list: &[NodeView]) {
        if !self.nodes.is_sorted() {
            self.nodes.sort_unstable();
        }
        // Of equal names the last in the list stays, which stands last here too.
        self.nodes.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        let node = |place: u32| usize::try_from(place).ok().and_then(|place| list.get(place));
        let mut sum = Counts::default();
        let mut times = Vec::new();
        self.sums.reserve_exact(self.nodes.len() + 1);
        self.sums.push(sum);
        for node in self.nodes.iter().filter_map(|(_, place)| node(*place)) {
            sum = sum.with(node);
            self.sums.push(sum);
            times.extend(node.cpu_ms);
        }
        let middle = times.len() / 2;
        self.usual_cpu_ms = (!times.is_empty()).then(|| *times.select_nth_unstable(middle).1);
    }

    /// Counts of the level.
    pub fn counts(&self) -> Counts {
        self.sums.last().copied().unwrap_or_default()
    }

    /// The middle CPU time of its proofs, in milliseconds.
    pub const fn usual_cpu_ms(&self) -> Option<u32> {
        self.usual_cpu_ms
    }

    /// Number of nodes.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Its names, in order.
    pub fn keys(&self) -> impl Iterator<Item = NodeKey> {
        self.nodes.iter().map(|(key, _)| *key)
    }

    /// Counts of the nodes from `from` on, of which `is_before` is false, up to the first of which
    /// `is_after` is true. Both must be monotonic.
    pub(crate) fn between(
        &self,
        is_before: impl Fn(NodeKey) -> bool,
        is_after: impl Fn(NodeKey) -> bool,
    ) -> Counts {
        let from = self.nodes.partition_point(|(key, _)| is_before(*key));
        let to = self.nodes.partition_point(|(key, _)| !is_after(*key)).max(from);
        let sum = |at: usize| self.sums.get(at).copied().unwrap_or_default();
        sum(to).without(sum(from))
    }

    fn next_mine(&self, leaf: u32, back: bool) -> Option<u32> {
        let mine_before = |at: usize| self.sums.get(at).map_or(0, |sum| sum.mine);
        if back {
            let to = self.nodes.partition_point(|(key, _)| key.index < leaf);
            // The last of mine before `to` is where the count first reaches that of `to`.
            let count = mine_before(to).checked_sub(1)?;
            let at = self.sums.partition_point(|sum| sum.mine <= count).checked_sub(1)?;
            return self.nodes.get(at).map(|(key, _)| key.index);
        }
        let from = self.nodes.partition_point(|(key, _)| key.index <= leaf);
        let count = mine_before(from);
        let at = self.sums.partition_point(|sum| sum.mine <= count).checked_sub(1)?;
        self.nodes.get(at).map(|(key, _)| key.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(mine: &[u32]) -> TreeIndex {
        let node = |index| NodeView {
            kind: "base".into(),
            index,
            mine: mine.contains(&index),
            state: if index < 5 { "made".into() } else { "proving".into() },
            ..NodeView::default()
        };
        TreeIndex::new(&(0..10).map(node).collect::<Vec<_>>())
    }

    #[test]
    fn counts_of_a_part_are_those_of_its_nodes() {
        let index = bases(&[3, 6]);
        let level = &index.levels()[0];
        let part =
            |from: u32, to: u32| level.between(|key| key.index < from, |key| key.index >= to);
        assert_eq!(part(0, 10), level.counts());
        assert_eq!(part(3, 7), Counts { all: 4, done: 2, running: 2, mine: 2 });
        assert_eq!(part(7, 7), Counts::default());
        assert_eq!(index.counts(), Counts { all: 10, done: 5, running: 5, mine: 2 });
    }

    #[test]
    fn the_next_of_mine_is_found_in_both_directions() {
        let index = bases(&[3, 6]);
        let forward = [0, 3, 5, 6, 9].map(|leaf| index.next_mine(leaf, false));
        assert_eq!(forward, [Some(3), Some(6), Some(6), None, None]);
        let back = [0, 3, 5, 6, 9].map(|leaf| index.next_mine(leaf, true));
        assert_eq!(back, [None, None, Some(3), Some(3), Some(6)]);
        assert_eq!(bases(&[]).next_mine(4, false), None);
        assert_eq!(bases(&[]).next_mine(4, true), None);
    }

    #[test]
    fn of_two_nodes_with_one_name_the_last_counts() {
        let node = |state: &'static str| NodeView {
            kind: "root".into(),
            state: state.into(),
            ..NodeView::default()
        };
        let index = TreeIndex::new(&[node("todo"), node("made")]);
        assert_eq!((index.counts().all, index.counts().done), (1, 1));
    }
}
