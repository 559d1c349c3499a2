//! What the machine shows: plain values for the control API, the console and the simulator's feed.
//!
//! A view is made on demand and holds no reference into the machine. Strings are the stable words
//! of the control API; nothing here feeds back into a decision.

use crate::{
    Coordinator,
    chain::{Settlement, SlotFacts},
    claims::{Live, Stage},
    domain::{BlockId, Class, LaneId, Millis, Node, ProverId, SequencerId, Slot, TaskId},
    io::Previous,
    round::{Fetching, Round, Task},
};

/// Slots shown at most: one screen.
pub const SLOTS_SHOWN_MAX: usize = 16;
/// Own tasks shown at most.
pub const TASKS_SHOWN_MAX: usize = 64;

/// Everything the machine shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// When this was true.
    pub now: Millis,
    /// Why no own lane has a claim; `None` if one has.
    pub idle: Option<&'static str>,
    /// Newest slots, oldest first, at most [`SLOTS_SHOWN_MAX`].
    pub slots: Vec<SlotView>,
    /// Own lanes.
    pub lanes: Vec<LaneView>,
    /// Own tasks, newest first, at most [`TASKS_SHOWN_MAX`].
    pub tasks: Vec<TaskView>,
    /// Newest L1 block.
    pub l1_number: u64,
    /// Its time, Unix seconds.
    pub l1_time_s: u64,
    /// L1 blocks undone since the start.
    pub l1_undone: u64,
}

/// One slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotView {
    /// Number.
    pub slot: Slot,
    /// `proposal`, `reveal`, `proving`, `settling`, `settled`, `lapsed`, `refused`.
    pub phase: &'static str,
    /// Its phases in order.
    pub phases: Vec<PhaseView>,
    /// Who proposed.
    pub sequencer: Option<SequencerId>,
    /// Block, once revealed.
    pub block: Option<BlockId>,
    /// Number of txs.
    pub txs: u16,
    /// Time of the reveal's L1 block.
    pub revealed: Option<Millis>,
    /// End of the proving phase.
    pub deadline: Option<Millis>,
    /// When the root is expected, if all goes on as usual.
    pub eta: Option<Millis>,
    /// Time of the settlement's L1 block.
    pub settled: Option<Millis>,
    /// What the settlement said.
    pub settlement: Option<Settlement>,
    /// Nodes in tree order; client-made `tx` proofs are not among them.
    pub nodes: Vec<NodeView>,
    /// Dealt pieces.
    pub subtrees: Vec<SubtreeView>,
    /// Lanes declared lost in this slot.
    pub lost: Vec<LaneId>,
    /// Lanes of the slot's epoch.
    pub lanes: usize,
}

/// One phase of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhaseView {
    /// `proposal`, `reveal`, `proving`, `settle`.
    pub name: &'static str,
    /// Start; expected, if in the future.
    pub start: Millis,
    /// End; expected, if in the future.
    pub end: Millis,
    /// `todo`, `now`, `ok`, `missed`.
    pub state: &'static str,
}

/// One node of a proof tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeView {
    /// Which.
    pub node: Node,
    /// Its task.
    pub task: TaskId,
    /// `todo`, `ready`, `claimed`, `proving`, `made`, `delivered`.
    pub state: &'static str,
    /// Lane of the proof or claim.
    pub lane: Option<LaneId>,
    /// Whether that is ours.
    pub mine: bool,
    /// Last change.
    pub since: Millis,
    /// CPU milliseconds, once made.
    pub cpu_ms: Option<u32>,
    /// Peak memory in MB, once made.
    pub peak_mb: Option<u32>,
    /// Claims that ended without a proof.
    pub attempts: u32,
}

/// A dealt piece of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubtreeView {
    /// From left to right.
    pub index: u32,
    /// First tx.
    pub first_tx: u32,
    /// Last tx, inclusive.
    pub last_tx: u32,
    /// The lane it is dealt to.
    pub lane: Option<LaneId>,
    /// Whether that is ours.
    pub mine: bool,
    /// Proofs made.
    pub made: u32,
    /// Proofs in all.
    pub tasks: u32,
    /// Time left beyond the usual remaining way; negative when it will be late.
    pub slack_ms: Option<i64>,
}

/// One own lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneView {
    /// Which.
    pub lane: LaneId,
    /// What it can prove.
    pub class: Class,
    /// `idle`, `waiting_inputs`, `waiting_machine`, `proving`, `delivering`.
    pub state: &'static str,
    /// What it works on.
    pub node: Option<Node>,
    /// The task.
    pub task: Option<TaskId>,
    /// Since when it is in this state.
    pub since: Millis,
    /// Usual milliseconds of this kind.
    pub usual_ms: Option<u64>,
}

/// One own task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskView {
    /// Slot.
    pub slot: Slot,
    /// Its place; unknown for claims from before a restart whose slot is not known again.
    pub node: Option<Node>,
    /// Its id.
    pub task: TaskId,
    /// The lane.
    pub lane: LaneId,
    /// Number of the claim.
    pub seq: u64,
    /// `claimed`, `proving`, `made`, `delivered`, `released`, `lost`, `capped`, `reverted`.
    pub state: &'static str,
    /// Since when.
    pub since: Millis,
    /// CPU milliseconds, once made.
    pub cpu_ms: Option<u32>,
    /// Peak memory in MB, once made.
    pub peak_mb: Option<u32>,
}

impl Coordinator {
    /// Everything there is to see, as of the last step.
    #[must_use]
    pub fn view(&self) -> View {
        let mut slots: Vec<SlotView> =
            self.chain().slots().rev().take(SLOTS_SHOWN_MAX).map(|it| self.slot_view(it)).collect();
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
                .map(|it| {
                    it.lanes.iter().filter(|(_, it)| it.lost.is_some()).map(|(&lane, _)| lane)
                })
                .map(Iterator::collect)
                .unwrap_or_default(),
            lanes: round.map_or(0, |it| it.lanes.len()),
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
        let root = self.round(slot).is_some_and(|it| it.tasks[it.root()].is_known());
        match facts.settled {
            Some(_) => "settled",
            None if self.chain().lapsed(slot, params) => "lapsed",
            None if self.is_refused(reveal.block) => "refused",
            None if root => "settling",
            None => "proving",
        }
    }

    /// Blocks up to the reveal, counted back and forth from the newest block's time; seconds after
    /// it (R2.1).
    fn phases(&self, slot: Slot, facts: &SlotFacts) -> Vec<PhaseView> {
        let params = self.params();
        let head = self.chain().head();
        let (number, time_s) = head.map_or((0, 0), |it| (it.number, it.time_s));
        let block_at = |block: u64| {
            let ahead = block.saturating_sub(number) * params.l1_block_s;
            let behind = number.saturating_sub(block) * params.l1_block_s;
            Millis((time_s + ahead).saturating_sub(behind) * 1000)
        };
        let start = params.slot_start(slot);
        let reveal_at = block_at(start + params.proposal_blocks);
        let revealed =
            facts.reveal.map_or(block_at(params.reveal_end(slot)), |it| Millis(it.time_s * 1000));
        let margin = params.settle_margin_blocks * params.l1_block_s * 1000;
        let end = revealed.after(params.proving_blocks * params.l1_block_s * 1000);
        let late = Millis(end.0.saturating_sub(margin));
        let root = self.round(slot).is_some_and(|it| it.tasks[it.root()].accepted);
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
            phase("reveal", reveal_at, revealed.max(reveal_at), facts.reveal.is_some()),
            phase("proving", revealed, late, root || settled),
            phase("settle", late, end, settled),
        ]
    }

    fn is_mine(&self, lane: LaneId) -> bool {
        self.own() == Some(lane.prover())
    }

    fn node_views(&self, round: &Round) -> Vec<NodeView> {
        (0..round.tree.nodes().len())
            .map(|place| {
                let task = round.at(place);
                let lane = self.maker(task).or_else(|| task.lane());
                let offer = lane.and_then(|it| task.offers.get(&it));
                let proof = self.ledger().best(task.id);
                NodeView {
                    node: round.tree.nodes()[place],
                    task: task.id,
                    state: self.node_state(round, task, lane),
                    lane,
                    mine: lane.is_some_and(|it| self.is_mine(it)),
                    since: task.changed,
                    cpu_ms: proof.and_then(|it| it.cpu_ms).or(offer.map(|it| it.cpu_ms)),
                    peak_mb: proof.and_then(|it| it.peak_mb).or(offer.map(|it| it.peak_mb)),
                    attempts: task.attempts,
                }
            })
            .collect()
    }

    fn maker(&self, task: &Task) -> Option<LaneId> {
        self.ledger().of(task.id).iter().find_map(|it| it.maker)
    }

    fn node_state(&self, round: &Round, task: &Task, lane: Option<LaneId>) -> &'static str {
        let found = round.find(task.id).unwrap_or_default();
        let offer = lane.and_then(|it| Some((it, task.offers.get(&it)?)));
        let works = |lane: LaneId| {
            round.lanes.get(&lane).is_some_and(|it| it.works_on == task.id)
                || self.claims().live(lane).is_some_and(|it| it.stage == Stage::Proving)
        };
        match (task.is_known(), lane) {
            (true, _) => match offer {
                Some((maker, it)) if it.fetching != Fetching::Refused => {
                    let all = round.is_delivered(found, maker, it.statement, self.params());
                    if all { "delivered" } else { "made" }
                }
                Some(_) | None => "made",
            },
            (false, Some(lane)) if works(lane) => "proving",
            (false, Some(_)) => "claimed",
            (false, None) if round.is_ready(found) => "ready",
            (false, None) => "todo",
        }
    }

    fn subtree_views(&self, round: &Round, deadline: Option<Millis>) -> Vec<SubtreeView> {
        (0u32..)
            .zip(&round.cut.subtrees)
            .map(|(index, subtree)| {
                let tasks = subtree.nodes.iter().map(|&place| round.at(place));
                let made = tasks.clone().filter(|it| it.is_known()).count();
                let way = tasks.filter(|it| !it.is_known()).map(|it| self.task_way_ms(it)).max();
                let lane = round.at(subtree.top).order.first().copied();
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
            })
            .collect()
    }

    /// Usual milliseconds from now to the root along this task, less what already ran.
    fn task_way_ms(&self, task: &Task) -> u64 {
        let run = task.holds.values().map(|hold| self.now().since(hold.since)).max().unwrap_or(0);
        task.way_ms - run.min(self.params().p50(task.node.kind))
    }

    /// Usual milliseconds until the root: the longest way, or the work shared by all lanes.
    fn remaining_ms(&self, round: &Round) -> u64 {
        let missing = round.tasks.iter().filter(|it| !it.is_known());
        let way = missing.clone().map(|it| self.task_way_ms(it)).max().unwrap_or(0);
        let work: u64 = missing.map(|it| self.params().p50(it.node.kind)).sum();
        let lanes = round.lanes.values().filter(|it| it.lost.is_none()).count().max(1) as u64;
        way.max(work / lanes)
    }

    fn lane_views(&self) -> Vec<LaneView> {
        let Some(own) = self.own() else { return Vec::new() };
        let Some(registration) = self.chain().prover(own) else { return Vec::new() };
        let view = |(lane, class)| {
            let live = self.claims().live(lane);
            LaneView {
                lane,
                class,
                state: live.map_or("idle", |it| lane_state(it.stage)),
                node: live.and_then(|it| it.node),
                task: live.map(|it| it.task),
                since: live.map_or(Millis(0), |it| it.stage_since),
                usual_ms: live.and_then(|it| it.node).map(|it| self.params().p50(it.kind)),
            }
        };
        registration.lanes(own).map(view).collect()
    }

    fn task_views(&self) -> Vec<TaskView> {
        let view = |lane: LaneId, live: &Live, state, since| {
            let proof = self.ledger().own(live.task);
            TaskView {
                slot: live.slot,
                node: live.node,
                task: live.task,
                lane,
                seq: live.seq,
                state,
                since,
                cpu_ms: proof.and_then(|it| it.cpu_ms),
                peak_mb: proof.and_then(|it| it.peak_mb),
            }
        };
        let live = self.claims().all().map(|(lane, it)| {
            let state = match it.stage {
                Stage::Inputs { .. } | Stage::Machine => "claimed",
                Stage::Proving => "proving",
                Stage::Made { .. } => "made",
            };
            view(lane, it, state, it.stage_since)
        });
        let past = self.claims().past().iter().rev();
        let past = past.map(|it| view(it.lane, &it.live, ended(it.how), it.at));
        live.chain(past).take(TASKS_SHOWN_MAX).collect()
    }

    /// A stable code of `assets/docs/operating.md`: why no own lane has a claim.
    fn idle_reason(&self) -> Option<&'static str> {
        if self.claims().all().next().is_some() {
            return None;
        }
        let registered = self.own().is_some_and(|it| self.chain().prover(it).is_some());
        if self.chain().head().is_none() {
            return Some("IDLE-NO-L1");
        }
        if !registered {
            return Some(if self.own().is_none() {
                "IDLE-NO-LANES"
            } else {
                "IDLE-NOT-REGISTERED"
            });
        }
        let Some(slot) = self.chain().oldest_unsettled(self.params()) else {
            return Some("IDLE-NO-BLOCK");
        };
        let block = self.chain().slot(slot).and_then(|it| it.reveal).map(|it| it.block);
        if block.is_some_and(|it| self.is_refused(it)) {
            return Some("IDLE-BLOCK-REFUSED");
        }
        let Some(round) = self.round(slot) else { return Some("IDLE-CHECKING-BLOCK") };
        Some(self.idle_in(round))
    }

    fn idle_in(&self, round: &Round) -> &'static str {
        let own: Vec<_> = round.lanes.iter().filter(|&(&lane, _)| self.is_mine(lane)).collect();
        if own.is_empty() {
            "IDLE-NOT-ACTIVE-YET"
        } else if own.iter().all(|(lane, _)| self.claims().in_doubt(**lane)) {
            "IDLE-LANES-IN-DOUBT"
        } else if own.iter().all(|(_, it)| it.lost.is_some()) {
            "IDLE-LANES-LOST"
        } else if own.iter().all(|(_, it)| it.capped) {
            "IDLE-LANES-CAPPED"
        } else if round.tasks[round.root()].is_known() {
            "IDLE-SETTLING"
        } else {
            "IDLE-NO-READY-TASK"
        }
    }

    /// Whether all lanes of a prover are lost in the current slot, for the list of peers.
    #[must_use]
    pub fn is_prover_lost(&self, prover: ProverId) -> bool {
        let Some(slot) = self.chain().oldest_unsettled(self.params()) else { return false };
        let Some(round) = self.round(slot) else { return false };
        let mut lanes = round.lanes.iter().filter(|(lane, _)| lane.prover() == prover).peekable();
        lanes.peek().is_some() && lanes.all(|(_, it)| it.lost.is_some())
    }
}

fn slack(deadline: Millis, expected: Millis) -> i64 {
    let gap = i64::try_from(deadline.0.abs_diff(expected.0)).unwrap_or(i64::MAX);
    if expected <= deadline { gap } else { -gap }
}

const fn lane_state(stage: Stage) -> &'static str {
    match stage {
        Stage::Inputs { .. } => "waiting_inputs",
        Stage::Machine => "waiting_machine",
        Stage::Proving => "proving",
        Stage::Made { .. } => "delivering",
    }
}

/// The word for how a claim ended.
#[must_use]
pub const fn ended(how: Previous) -> &'static str {
    match how {
        Previous::None => "claimed",
        Previous::Delivered => "delivered",
        Previous::Released => "released",
        Previous::Lost => "lost",
        Previous::Capped => "capped",
        Previous::Reverted => "reverted",
    }
}
