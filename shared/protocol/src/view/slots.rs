//! Slots, their phases, nodes and subtrees as the screens show them.

use super::{EMPTY_SHOWN_MAX, NodeView, PhaseView, SLOTS_SHOWN_MAX, SlotView, SubtreeView, View};
use crate::{
    Coordinator,
    chain::SlotFacts,
    claims::Stage,
    domain::{Class, LaneId, Millis, Node, Slot, TaskId},
    round::{Fetching, Round, Task},
    tree::Subtree,
};

impl Coordinator {
    /// Everything there is to see, as of the last step.
    #[must_use]
    pub fn view(&self) -> View {
        let newest = self.chain().slots().rev().enumerate();
        // Empty slots must not push the one that is being proved off the list.
        let shown = newest.filter(|(age, (_, it))| *age < EMPTY_SHOWN_MAX || it.reveal.is_some());
        let mut slots: Vec<SlotView> =
            shown.take(SLOTS_SHOWN_MAX).map(|(_, it)| self.slot_view(it)).collect();
        slots.reverse();
        let head = self.chain().head();
        View {
            now: self.now(),
            idle: self.idle_reason(),
            slots,
            lanes: self.lane_views(),
            tasks: self.task_views(),
            l1_number: head.map_or(0, |it| it.number),
            l1_time_s: head.map_or(0, |it| it.time_s),
            l1_undone: self.chain().undone,
        }
    }

    fn slot_view(&self, (slot, facts): (Slot, &SlotFacts)) -> SlotView {
        let round = self.round(slot);
        let at = |seconds: u64| Millis(seconds * 1000);
        let deadline = facts.deadline(self.params());
        let open = facts.settled.is_none();
        SlotView {
            slot,
            phase: self.phase(slot, facts),
            phases: self.phases(slot, facts),
            sequencer: facts.proposal.map(|it| it.sequencer),
            block: facts.reveal.map(|it| it.block),
            txs: facts.reveal.map_or(0, |it| it.count),
            revealed: facts.reveal.map(|it| at(it.time_s)),
            deadline,
            eta: round.filter(|_| open).map(|it| self.now().after(self.remaining_ms(it))),
            settled: facts.settled.map(|it| at(it.time_s)),
            settlement: facts.settled,
            nodes: round.map(|it| self.node_views(it)).unwrap_or_default(),
            subtrees: round.map(|it| self.subtree_views(it, deadline)).unwrap_or_default(),
            lost: round
                .map(|it| it.standings().filter(|(_, it)| it.lost).map(|(lane, _)| lane))
                .map(Iterator::collect)
                .unwrap_or_default(),
            lanes: round.map_or(0, |it| it.deal.lanes().len()),
        }
    }

    fn phase(&self, slot: Slot, facts: &SlotFacts) -> &'static str {
        let number = self.chain().head().map_or(0, |it| it.number);
        let params = self.params();
        let Some(reveal) = facts.reveal else {
            let revealing = params.slot_start(slot) + params.proposal_blocks <= number;
            return match (self.chain().lapsed(slot, params), revealing) {
                (true, _) => "lapsed",
                (false, true) => "reveal",
                (false, false) => "proposal",
            };
        };
        let root = self.round(slot).is_some_and(|it| it.is_known(it.root()));
        match facts.settled {
            Some(_) => "settled",
            None if self.chain().lapsed(slot, params) => "lapsed",
            None if self.is_refused(reveal.block) => "refused",
            None if root => "settling",
            None => "proving",
        }
    }

    /// Blocks up to the reveal, timed from it or from the newest block; seconds after it (R2.1).
    fn phases(&self, slot: Slot, facts: &SlotFacts) -> Vec<PhaseView> {
        let params = self.params();
        let head = self.chain().head().map_or((0, 0), |it| (it.number, it.time_s));
        let (number, time_s) = facts.reveal.map_or(head, |it| (it.number, it.time_s));
        let block_at = |block: u64| {
            let ahead = block.saturating_sub(number) * params.l1_block_s;
            let behind = number.saturating_sub(block) * params.l1_block_s;
            Millis((time_s + ahead).saturating_sub(behind) * 1000)
        };
        let start = params.slot_start(slot);
        let reveal_at = block_at(start + params.proposal_blocks);
        let end = facts.reveal.map_or(params.reveal_end(slot), |it| it.number);
        let revealed = block_at(end).max(reveal_at);
        let margin = params.settle_margin_blocks * params.l1_block_s * 1000;
        let end = revealed.after(params.proving_blocks * params.l1_block_s * 1000);
        let late = Millis(end.0.saturating_sub(margin));
        let root =
            self.round(slot).is_some_and(|it| it.task(it.root()).is_some_and(|it| it.accepted));
        let settled = facts.settled.is_some();
        let phase = |name, start, end, done: bool| {
            let state = match (done, self.now() < start, self.now() < end) {
                (true, _, _) => "ok",
                (false, true, _) => "todo",
                (false, false, true) => "now",
                (false, false, false) => "missed",
            };
            PhaseView { name, start, end, state }
        };
        vec![
            phase("proposal", block_at(start), reveal_at, facts.proposal.is_some()),
            phase("reveal", reveal_at, revealed, facts.reveal.is_some()),
            phase("proving", revealed, late, root || settled),
            phase("settle", late, end, settled),
        ]
    }

    pub(super) fn is_mine(&self, lane: LaneId) -> bool {
        self.own() == Some(lane.prover())
    }

    /// Every node of the tree; of those that this agent does not follow only the place is known.
    fn node_views(&self, round: &Round) -> Vec<NodeView> {
        let nodes = round.layout.tree.nodes().iter().enumerate();
        nodes.map(|(place, &node)| self.node_view(round, round.layout.at(place), node)).collect()
    }

    fn node_view(&self, round: &Round, number: usize, node: Node) -> NodeView {
        let task = round.task(number);
        let id = round.spot(number).id;
        let lane = self.maker(id).or_else(|| task.and_then(Task::lane));
        let offer = lane.and_then(|it| task?.offers.get(&it));
        let proof = self.ledger().best(id);
        NodeView {
            node,
            task: id,
            state: self.node_state(round, number, lane),
            lane,
            mine: lane.is_some_and(|it| self.is_mine(it)),
            since: task.map_or(round.started, |it| it.changed),
            cpu_ms: proof.and_then(|it| it.cpu_ms).or(offer.map(|it| it.cpu_ms)),
            peak_mb: proof.and_then(|it| it.peak_mb).or(offer.map(|it| it.peak_mb)),
            attempts: task.map_or(0, |it| it.attempts),
        }
    }

    fn maker(&self, task: TaskId) -> Option<LaneId> {
        self.ledger().of(task).iter().find_map(|it| it.maker)
    }

    fn node_state(&self, round: &Round, number: usize, lane: Option<LaneId>) -> &'static str {
        let Some(task) = round.task(number) else { return "todo" };
        let id = round.spot(number).id;
        let offer = lane.and_then(|it| Some((it, task.offers.get(&it)?)));
        let works = |lane: LaneId| {
            round.standing(lane).is_some_and(|it| it.works_on == id)
                || self
                    .claims()
                    .live(lane)
                    .is_some_and(|it| it.task == id && it.stage == Stage::Proving)
        };
        match (task.is_known(), lane) {
            (true, _) => match offer {
                Some((maker, it)) if it.fetching != Fetching::Refused => {
                    let all = round.is_delivered(number, maker, it.statement);
                    if all { "delivered" } else { "made" }
                }
                Some(_) | None => "made",
            },
            (false, Some(lane)) if works(lane) => "proving",
            (false, Some(_)) => "claimed",
            (false, None) if round.is_ready(number) => "ready",
            (false, None) => "todo",
        }
    }

    fn subtree_views(&self, round: &Round, deadline: Option<Millis>) -> Vec<SubtreeView> {
        let view = |(index, subtree): (u32, &Subtree)| {
            let tasks = || subtree.nodes.iter().map(|&place| round.layout.at(place));
            let made = tasks().filter(|&it| round.is_known(it)).count();
            let missing = tasks().filter(|&it| !round.is_known(it));
            let way = missing.map(|it| self.task_way_ms(round, it)).max();
            let top = round.task(round.layout.at(subtree.top));
            let dealt = || round.deal.walk(Class::Rollup, index as usize).next();
            let lane = top.and_then(|it| it.order.first().copied()).or_else(dealt);
            SubtreeView {
                index,
                first_tx: subtree.first_tx,
                last_tx: subtree.last_tx,
                lane,
                mine: lane.is_some_and(|it| self.is_mine(it)),
                made: u32::try_from(made).unwrap_or(u32::MAX),
                tasks: u32::try_from(subtree.nodes.len()).unwrap_or(u32::MAX),
                slack_ms: way.zip(deadline).map(|(way, end)| slack(end, self.now().after(way))),
            }
        };
        (0u32..).zip(&round.layout.cut.subtrees).map(view).collect()
    }

    /// Usual milliseconds from now to the root along this task, less what already ran.
    fn task_way_ms(&self, round: &Round, number: usize) -> u64 {
        let spot = round.spot(number);
        let holds = round.task(number).map(|it| it.holds.values()).into_iter().flatten();
        let run = holds.map(|hold| self.now().since(hold.since)).max().unwrap_or(0);
        spot.way_ms - run.min(self.params().p50(spot.node.kind))
    }

    /// Usual milliseconds until the root: the longest way, or the work shared by all lanes. What
    /// is below a known proof is made, whether or not this agent followed it.
    fn remaining_ms(&self, round: &Round) -> u64 {
        let (mut way, mut work) = (0, 0);
        let mut open = vec![round.root()];
        while let Some(task) = open.pop() {
            if round.is_known(task) {
                continue;
            }
            way = way.max(self.task_way_ms(round, task));
            work += self.params().p50(round.spot(task).node.kind);
            open.extend(round.spot(task).children());
        }
        let lost = round.standings().filter(|(_, it)| it.lost).count();
        let lanes = round.deal.lanes().len().saturating_sub(lost).max(1) as u64;
        way.max(work / lanes)
    }
}

fn slack(deadline: Millis, expected: Millis) -> i64 {
    let gap = i64::try_from(deadline.0.abs_diff(expected.0)).unwrap_or(i64::MAX);
    if expected <= deadline { gap } else { -gap }
}
