//! What the machine shows: plain values for the control API, the console and the simulator's feed.
//!
//! A view is made on demand and holds no reference into the machine. Strings are the stable words
//! of the control API; nothing here feeds back into a decision.

mod own;
mod slots;

use crate::{
    chain::Settlement,
    domain::{BlockId, Class, LaneId, Millis, Node, SequencerId, Slot, TaskId},
};

pub use own::ended;

/// Slots shown at most: one screen.
pub const SLOTS_SHOWN_MAX: usize = 16;
/// The newest slots are shown even if nothing was revealed in them; older empty ones are not.
pub const EMPTY_SHOWN_MAX: usize = 3;
/// Own tasks shown at most.
pub const TASKS_SHOWN_MAX: usize = 64;

/// Everything the machine shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// When this was true.
    pub now: Millis,
    /// Why no own lane has a claim; `None` if one has.
    pub idle: Option<&'static str>,
    /// Newest slots, oldest first, at most [`SLOTS_SHOWN_MAX`]; without a revealed block only the
    /// newest [`EMPTY_SHOWN_MAX`].
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
