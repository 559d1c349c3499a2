//! A block too large for a machine per agent: its lanes follow the deal, the order of work and the
//! take-over of R4 and R5 as one schedule, with pretended proof times.
//!
//! The tree, the cut into subtrees and the ways are the product's own. What it leaves out is hot
//! copies, hedges and what messages do: every lane knows at once what is ready, and a lost lane is known after the usual
//! missed beats. Blocks follow each other: the next one is revealed when the last one is settled.

use std::{cmp::Reverse, collections::BinaryHeap};

use protocol::{
    BlockId, Class, Hash, Kind, Millis, Params, SequencerId, Slot, TaskId, View,
    assign::keccak::keccak256,
    tree::{Cut, Tree},
    view::{LaneView, NodeView, PhaseView, SlotView, SubtreeView, TASKS_SHOWN_MAX, TaskView},
};

use super::hands::Hands;
use crate::{WorldOptions, engine::rng::Rng};

/// Calls of a tx at most.
const CALLS_MAX: u64 = 3;
/// Lanes of one prover, half of them of class vm.
const LANES_EACH: usize = 16;
/// Lanes of a block of as many txs.
const LANES_USUAL: usize = 1_024;
/// Deviation of the log-normal factor on proof times, in thousandths.
const SPREAD: u64 = 100;
/// Thousandths of the lanes that stop while a block is proved.
const STOPPED: u64 = 10;
/// Milliseconds from a claim until its inputs are there, and from a proof until its replicas are.
const FETCH_MS: [u64; 2] = [400, 1_500];
/// Slots that stay on the screen.
const SLOTS_SHOWN: usize = 6;
/// The world begins this long before the first reveal.
const BEFORE_MS: u64 = 8_000;
/// Unix seconds of the first slot.
const GENESIS_S: u64 = 1_700_000_000;

/// What can happen, with its place or lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Reveal,
    Started(usize),
    Made { lane: usize, place: usize },
    Delivered(usize),
    Stop(usize),
    Lost { lane: usize, place: Option<usize> },
    Settle,
}

/// The block that is being proved.
#[derive(Debug)]
struct Block {
    tree: Tree,
    cut: Cut,
    /// Remaining way of each place in milliseconds.
    ways: Vec<u64>,
    /// Children that are not delivered yet.
    missing: Vec<u8>,
    /// The lane that each place is dealt to, or whose right it is.
    owner: Vec<usize>,
}

/// Lanes, one block after the other, and what the first prover sees of them.
#[derive(Debug)]
pub(super) struct Crowd {
    rng: Rng,
    params: Params,
    txs: u64,
    now: Millis,
    start: Millis,
    hands: Hands,
    block: Option<Block>,
    events: BinaryHeap<Reverse<(Millis, Event)>>,
    view: View,
    claims: u64,
}

impl Crowd {
    /// Blocks of `txs` txs with up to three calls each, on a lane for every tx of the first 1,024
    /// and one for every four of more.
    pub(super) fn new(seed: u64, txs: u16) -> Self {
        let all = usize::from(txs);
        let lanes = all.div_ceil(4).max(all.min(LANES_USUAL)).max(2 * LANES_EACH);
        let count = lanes as u64;
        let options = WorldOptions::bar(txs.into(), CALLS_MAX, count, count / 2);
        let start = Millis(GENESIS_S * 1_000);
        let mut crowd = Self {
            rng: Rng::new(seed),
            params: options.params,
            txs: txs.into(),
            now: start,
            start,
            hands: Hands::new(lanes, LANES_EACH),
            block: None,
            events: BinaryHeap::new(),
            view: View::default(),
            claims: 0,
        };
        crowd.hands.rest(start);
        let reveal = crowd.propose(start);
        crowd.now = Millis(reveal.0 - BEFORE_MS);
        crowd
    }

    /// Where time stands.
    pub(super) const fn now(&self) -> Millis {
        self.now
    }

    /// Goes on until an instant.
    pub(super) fn pass(&mut self, until: Millis) {
        while let Some(Reverse((at, event))) = self.events.peek().copied() {
            if until < at {
                break;
            }
            self.events.pop();
            self.now = at;
            self.handle(event);
        }
        self.now = until;
    }

    /// Goes on until an instant, and shows what there is then.
    pub(super) fn advance(&mut self, until: Millis) -> &View {
        self.pass(until);
        self.refresh();
        &self.view
    }

    fn later(&mut self, after_ms: u64, event: Event) {
        self.events.push(Reverse((self.now.after(after_ms), event)));
    }

    fn block_ms(&self) -> u64 {
        self.params.l1_block_s * 1_000
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Reveal => self.reveal(),
            Event::Started(place) => self.node(place).state = "proving",
            Event::Made { lane, place } => self.made(lane, place),
            Event::Delivered(place) => self.delivered(place),
            Event::Stop(lane) => {
                let place = self.hands.stop(lane);
                self.later(
                    self.params.beat_ms * self.params.missed_beats,
                    Event::Lost { lane, place },
                );
            }
            Event::Lost { lane, place } => self.lost(lane, place),
            Event::Settle => self.settle(),
        }
    }

    /// A slot begins; gives when its block is revealed.
    fn propose(&mut self, at: Millis) -> Millis {
        let number = at.since(self.start) / (self.params.slot_blocks() * self.block_ms());
        let reveal_after = self.params.proposal_blocks + 1;
        let reveal = at.after(reveal_after * self.block_ms());
        self.events.push(Reverse((reveal, Event::Reveal)));
        self.view.slots.push(SlotView {
            slot: Slot(number),
            phase: "proposal",
            phases: Vec::new(),
            sequencer: Some(SequencerId(u32::try_from(number % 7).unwrap_or(0))),
            block: None,
            txs: 0,
            revealed: None,
            deadline: None,
            eta: None,
            settled: None,
            settlement: None,
            nodes: Vec::new(),
            subtrees: Vec::new(),
            lost: Vec::new(),
            lanes: self.hands.all.len(),
        });
        let old = self.view.slots.len().saturating_sub(SLOTS_SHOWN);
        self.view.slots.drain(..old);
        reveal
    }

    fn reveal(&mut self) {
        let calls: Vec<u8> = (0..self.txs)
            .map(|_| u8::try_from(self.rng.between(0, CALLS_MAX)).unwrap_or(0))
            .collect();
        let Some(tree) = Tree::new(&calls) else { return };
        let seed = self.rng.bits().to_be_bytes();
        let id = BlockId(keccak256(&[b"crowd", &seed]).0);
        let block = self.deal(tree);
        let (now, window) = (self.now, self.params.proving_blocks * self.block_ms());
        // Of older blocks the memory of one screen is kept, and not their trees.
        self.view.slots.iter_mut().for_each(|it| (it.nodes, it.subtrees) = Default::default());
        let Some(slot) = self.view.slots.last_mut() else { return };
        (slot.phase, slot.block, slot.revealed) = ("proving", Some(id), Some(now));
        slot.txs = u16::try_from(self.txs).unwrap_or(u16::MAX);
        slot.deadline = Some(now.after(window));
        slot.nodes = nodes(&block.tree, id, now);
        slot.subtrees = subtrees(&block, &self.hands);
        self.hands.rest(now);
        let ready: Vec<usize> =
            (0..block.missing.len()).filter(|&it| block.missing[it] == 0).collect();
        self.block = Some(block);
        ready.into_iter().for_each(|place| self.ready(place));
        self.stop_some();
    }

    /// Who is dealt what (R4.2): subtrees to the deck's lanes in turn, vm proofs one by one.
    fn deal(&mut self, tree: Tree) -> Block {
        let cut = Cut::new(&tree, &self.params);
        let decks = [self.deck(|_| true), self.deck(|it| it == Class::Vm)];
        let count = tree.nodes().len();
        let (mut owner, mut vms) = (vec![0; count], 0);
        let mut ways = vec![0; count];
        for place in (0..count).rev() {
            let kind = tree.nodes()[place].kind;
            ways[place] = tree.parent(place).map_or(0, |it| ways[it]) + self.params.p50(kind);
            owner[place] = match cut.subtree_of(place) {
                Some(_) if kind == Kind::Vm => {
                    vms += 1;
                    decks[1][vms % decks[1].len()]
                }
                Some(subtree) => decks[0][subtree % decks[0].len()],
                None => 0,
            };
        }
        let missing = |it| u8::try_from(tree.children(it).len()).unwrap_or(u8::MAX);
        let missing = (0..count).map(missing).collect();
        Block { tree, cut, ways, missing, owner }
    }

    fn deck(&mut self, of: impl Fn(Class) -> bool) -> Vec<usize> {
        let lanes = self.hands.all.iter().enumerate();
        let mut deck: Vec<usize> =
            lanes.filter(|(_, it)| of(it.class)).map(|(lane, _)| lane).collect();
        for last in (1..deck.len()).rev() {
            deck.swap(last, self.rng.index(last + 1));
        }
        deck
    }

    /// Some lanes of others stop for the rest of the block.
    fn stop_some(&mut self) {
        let way = self.block.as_ref().and_then(|it| it.ways.iter().max().copied()).unwrap_or(0);
        for lane in LANES_EACH..self.hands.all.len() {
            if self.rng.chance(STOPPED) {
                let after = self.rng.between(1_000, way.max(1_000));
                self.later(after, Event::Stop(lane));
            }
        }
    }

    fn node(&mut self, place: usize) -> &mut NodeView {
        let now = self.now;
        let slot = self.view.slots.len() - 1;
        let node = &mut self.view.slots[slot].nodes[place];
        node.since = now;
        node
    }

    fn is_ready(nodes: &[NodeView], place: usize) -> bool {
        nodes.get(place).is_some_and(|it| it.state == "ready")
    }

    fn ready(&mut self, place: usize) {
        self.node(place).state = "ready";
        let Some(block) = &self.block else { return };
        let (owner, way) = (block.owner[place], block.ways[place]);
        let class = block.tree.nodes()[place].kind.class().unwrap_or(Class::Rollup);
        match self.hands.free_for(owner, class) {
            Some(lane) => self.claim(lane, place),
            None => self.hands.wait(owner, class, way, place),
        }
    }

    fn claim(&mut self, lane: usize, place: usize) {
        self.hands.begin(lane, place, self.now);
        let id = self.hands.all[lane].id;
        let mine = lane < LANES_EACH;
        let node = self.node(place);
        (node.state, node.lane, node.mine) = ("claimed", Some(id), mine);
        let (task, what) = (node.task, node.node);
        let fetch = self.rng.between(FETCH_MS[0], FETCH_MS[1]);
        let took = self.params.p50(what.kind) * self.rng.log_normal(SPREAD) / 1_000;
        self.later(fetch, Event::Started(place));
        self.later(fetch + took, Event::Made { lane, place });
        if mine {
            self.claims += 1;
            let slot = self.view.slots.last().map_or(Slot(0), |it| it.slot);
            let (now, seq) = (self.now, self.claims);
            self.view.tasks.insert(
                0,
                TaskView {
                    slot,
                    node: Some(what),
                    task,
                    lane: id,
                    seq,
                    state: "proving",
                    since: now,
                    cpu_ms: None,
                    peak_mb: None,
                },
            );
            self.view.tasks.truncate(TASKS_SHOWN_MAX);
        }
    }

    fn made(&mut self, lane: usize, place: usize) {
        // It stopped before it was done.
        if self.hands.all[lane].busy != Some(place) {
            return;
        }
        let (since, now) = (self.hands.all[lane].since, self.now);
        let cpu_ms = Some(u32::try_from(now.since(since)).unwrap_or(u32::MAX));
        let peak = |kind| if kind == Kind::Vm { 61_440 } else { 15_360 };
        let node = self.node(place);
        let peak_mb = Some(peak(node.node.kind));
        (node.state, node.cpu_ms, node.peak_mb) = ("made", cpu_ms, peak_mb);
        let task = node.task;
        let own = self.view.tasks.iter_mut().find(|it| it.task == task);
        if let Some(own) = own.filter(|_| lane < LANES_EACH) {
            (own.state, own.since, own.cpu_ms, own.peak_mb) = ("made", now, cpu_ms, peak_mb);
        }
        let subtree = self.block.as_ref().and_then(|it| it.cut.subtree_of(place));
        if let (Some(subtree), Some(slot)) = (subtree, self.view.slots.last_mut()) {
            slot.subtrees[subtree].made += 1;
        }
        let after = self.rng.between(FETCH_MS[0], FETCH_MS[1]);
        self.later(after, Event::Delivered(place));
        let nodes = self.view.slots.last().map_or(&[][..], |it| &it.nodes);
        let next = self.hands.next(lane, now, |it| Self::is_ready(nodes, it));
        if let Some(next) = next {
            self.claim(lane, next);
        }
    }

    fn delivered(&mut self, place: usize) {
        let maker = self.node(place).lane;
        self.node(place).state = "delivered";
        let task = self.node(place).task;
        if let Some(own) = self.view.tasks.iter_mut().find(|it| it.task == task) {
            own.state = "delivered";
        }
        let Some(block) = &mut self.block else { return };
        let Some(parent) = block.tree.parent(place) else {
            // The root goes to L1, which includes it in the block after the next.
            let settle = 2 * self.block_ms() - self.now.0 % self.block_ms();
            if let Some(slot) = self.view.slots.last_mut() {
                slot.phase = "settling";
            }
            return self.later(settle, Event::Settle);
        };
        block.missing[parent] -= 1;
        if block.missing[parent] == 0 {
            // Above the subtrees the maker of the last child goes on (R4.3).
            if let (None, Some(maker)) = (block.cut.subtree_of(parent), maker) {
                let prover = usize::try_from(maker.prover().0).unwrap_or(0);
                block.owner[parent] = prover * LANES_EACH + usize::from(maker.number());
            }
            self.ready(parent);
        }
    }

    fn lost(&mut self, lane: usize, place: Option<usize>) {
        let id = self.hands.all[lane].id;
        if let Some(slot) = self.view.slots.last_mut() {
            slot.lost.push(id);
        }
        let Some(place) = place else { return };
        let node = self.node(place);
        if node.lane == Some(id) && matches!(node.state, "claimed" | "proving") {
            (node.lane, node.mine) = (None, false);
            node.attempts += 1;
            self.ready(place);
        }
    }

    fn settle(&mut self) {
        let now = self.now;
        if let Some(slot) = self.view.slots.last_mut() {
            (slot.phase, slot.settled) = ("settled", Some(now));
        }
        self.block = None;
        self.events.clear();
        self.propose(now);
    }

    /// What follows from the instant alone.
    fn refresh(&mut self) {
        let now = self.now;
        self.view.now = now;
        self.view.l1_number = now.since(self.start) / self.block_ms();
        self.view.l1_time_s = GENESIS_S + self.view.l1_number * self.params.l1_block_s;
        let own = self.hands.all.iter().take(LANES_EACH);
        let tree = self.block.as_ref().map(|it| it.tree.nodes());
        let params = &self.params;
        self.view.lanes = own
            .map(|hand| {
                let node = hand.busy.and_then(|place| tree?.get(place)).copied();
                LaneView {
                    lane: hand.id,
                    class: hand.class,
                    state: if node.is_some() { "proving" } else { "idle" },
                    node,
                    task: None,
                    since: hand.since,
                    usual_ms: node.map(|it| params.p50(it.kind)),
                }
            })
            .collect();
        let busy = self.view.lanes.iter().any(|it| it.node.is_some());
        let none = if self.block.is_some() { "IDLE-NO-READY-TASK" } else { "IDLE-NO-BLOCK" };
        self.view.idle = (!busy).then_some(none);
        if let Some(block) = &self.block {
            self.slacks(block.ways_left(&self.view));
        }
        self.phases();
    }

    /// Slack of the subtrees and the expected end, from the longest ways left.
    fn slacks(&mut self, (ways, way): (Vec<u64>, u64)) {
        let now = self.now;
        let Some(slot) = self.view.slots.last_mut() else { return };
        slot.eta = Some(now.after(way));
        let left = slot.deadline.map_or(0, |it| it.since(now));
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        for (subtree, way) in slot.subtrees.iter_mut().zip(ways) {
            let slack = left - i64::try_from(way).unwrap_or(i64::MAX);
            subtree.slack_ms = (0 < way).then_some(slack);
        }
    }

    fn phases(&mut self) {
        let (now, block_ms, params) = (self.now, self.block_ms(), &self.params);
        let margin = params.settle_margin_blocks * block_ms;
        for slot in &mut self.view.slots {
            let length = params.slot_blocks() * block_ms;
            let start = self.start.after(slot.slot.0 * length);
            let reveal = start.after(params.proposal_blocks * block_ms);
            let revealed = slot.revealed.unwrap_or_else(|| start.after(length));
            let end = slot.deadline.unwrap_or(revealed);
            let late = Millis(end.0.saturating_sub(margin)).max(revealed);
            if slot.revealed.is_none() && reveal <= now {
                slot.phase = "reveal";
            }
            let root = matches!(slot.phase, "settling" | "settled");
            let phase = |name, start, end, done: bool| {
                let state = match (done, now < start) {
                    (true, _) => "ok",
                    (false, true) => "todo",
                    (false, false) => "now",
                };
                PhaseView { name, start, end, state }
            };
            slot.phases = vec![
                phase("proposal", start, reveal, reveal <= now),
                phase("reveal", reveal, revealed, slot.revealed.is_some()),
                phase("proving", revealed, late, root),
                phase("settle", late, end, slot.settled.is_some()),
            ];
        }
    }
}

impl Block {
    /// The longest way left of each subtree, 0 for one that is done, and of the whole block.
    fn ways_left(&self, view: &View) -> (Vec<u64>, u64) {
        let (mut ways, mut longest) = (vec![0; self.cut.subtrees.len()], 0);
        let nodes = view.slots.last().map_or(&[][..], |it| &it.nodes);
        for (place, node) in nodes.iter().enumerate() {
            if matches!(node.state, "made" | "delivered") {
                continue;
            }
            longest = longest.max(self.ways[place]);
            if let Some(subtree) = self.cut.subtree_of(place) {
                ways[subtree] = self.ways[place].max(ways[subtree]);
            }
        }
        (ways, longest)
    }
}

fn nodes(tree: &Tree, block: BlockId, now: Millis) -> Vec<NodeView> {
    let node = |(place, &node): (usize, &protocol::Node)| {
        // Names alone: nobody here proves anything.
        let mut task = block.0;
        task[..8].copy_from_slice(&(place as u64).to_be_bytes());
        NodeView {
            node,
            task: TaskId(Hash(task).0),
            state: "todo",
            lane: None,
            mine: false,
            since: now,
            cpu_ms: None,
            peak_mb: None,
            attempts: 0,
        }
    };
    tree.nodes().iter().enumerate().map(node).collect()
}

fn subtrees(block: &Block, hands: &Hands) -> Vec<SubtreeView> {
    let view = |(index, it): (usize, &protocol::tree::Subtree)| {
        let lane = block.owner[it.top];
        SubtreeView {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            first_tx: it.first_tx,
            last_tx: it.last_tx,
            lane: Some(hands.all[lane].id),
            mine: lane < LANES_EACH,
            made: 0,
            tasks: u32::try_from(it.nodes.len()).unwrap_or(u32::MAX),
            slack_ms: None,
        }
    };
    block.cut.subtrees.iter().enumerate().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Until the first block is settled: the largest number of nodes in work, and the end.
    fn run(txs: u16) -> (Crowd, usize) {
        let mut crowd = Crowd::new(1, txs);
        let mut most = 0;
        for _ in 0..10_000 {
            let until = crowd.now().after(5_000);
            let view = crowd.advance(until);
            let slot = &view.slots[0];
            most = most.max(slot.nodes.iter().filter(|it| it.state == "proving").count());
            if slot.settled.is_some() {
                break;
            }
        }
        (crowd, most)
    }

    #[test]
    fn a_block_settles_within_its_window_and_the_next_one_follows() {
        let (crowd, most) = run(2_048);
        let slot = &crowd.view.slots[0];
        let took = slot.settled.unwrap().since(slot.revealed.unwrap()) / 1_000;
        let bound = crowd.params.proving_blocks * crowd.params.l1_block_s;
        assert!((300..bound).contains(&took), "{took} s of {bound} s");
        assert!(slot.nodes.iter().all(|it| it.state == "delivered"));
        assert!(800 < most, "{most} lanes at once");
        assert!(!slot.lost.is_empty() && slot.nodes.iter().any(|it| 0 < it.attempts));
        assert!(slot.nodes.iter().any(|it| it.mine));
        let all = slot.subtrees.iter().all(|it| it.made == it.tasks);
        assert!(all && slot.subtrees.iter().any(|it| it.mine));
        assert_eq!(crowd.view.slots.len(), 2, "the next slot has begun");
    }

    #[test]
    fn the_memory_of_old_blocks_is_let_go() {
        let (mut crowd, _) = run(1_100);
        for _ in 0..3_000 {
            crowd.advance(crowd.now().after(5_000));
        }
        let with_trees = crowd.view.slots.iter().filter(|it| !it.nodes.is_empty()).count();
        assert!(crowd.view.slots.len() <= SLOTS_SHOWN && with_trees <= 1);
        assert!(crowd.view.slots.last().unwrap().slot > Slot(20));
    }

    #[test]
    fn the_same_seed_is_the_same_world() {
        let at = |seed| {
            let mut crowd = Crowd::new(seed, 1_100);
            crowd.advance(crowd.now().after(200_000)).clone()
        };
        assert_eq!(at(3), at(3));
        assert_ne!(at(3), at(4));
    }
}
