//! What the machine shows, in the words of the control API: the same for an agent and a simulated
//! world.

use protocol::view;

use crate::control::{NodeView, SubtreeView, TaskView};

impl From<&view::NodeView> for NodeView {
    fn from(it: &view::NodeView) -> Self {
        Self {
            kind: it.node.kind.name().into(),
            level: it.node.level,
            index: it.node.index,
            call: it.node.call,
            state: it.state.into(),
            prover: it.lane.map(|lane| lane.prover().0),
            mine: it.mine,
            since_ms: it.since.0,
            cpu_ms: it.cpu_ms,
            peak_mb: it.peak_mb,
        }
    }
}

impl From<&view::SubtreeView> for SubtreeView {
    fn from(it: &view::SubtreeView) -> Self {
        Self {
            index: it.index,
            first_tx: it.first_tx,
            last_tx: it.last_tx,
            lane: it.lane.map(|lane| lane.to_string()).unwrap_or_default(),
            mine: it.mine,
            made: it.made,
            tasks: it.tasks,
            slack_ms: it.slack_ms,
        }
    }
}

impl From<&view::TaskView> for TaskView {
    fn from(it: &view::TaskView) -> Self {
        Self {
            slot: it.slot.0,
            node: it.node.map(|node| node.to_string()).unwrap_or_default(),
            task: it.task.to_string(),
            seq: it.seq,
            state: it.state.into(),
            since_ms: it.since.0,
            cpu_ms: it.cpu_ms,
            peak_mb: it.peak_mb,
        }
    }
}
