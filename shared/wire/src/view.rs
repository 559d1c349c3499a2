//! What the machine shows, in the words of the control API: the same for an agent and a simulated
//! world.

use protocol::{Class, Kind, Millis, view};

use crate::control::{LaneView, NodeView, PhaseView, SlotView, SubtreeView, TaskView};

impl From<&view::SlotView> for SlotView {
    /// Everything but the payees: they follow from credit records, not from the machine.
    fn from(it: &view::SlotView) -> Self {
        Self {
            slot: it.slot.0,
            phase: it.phase.into(),
            phases: it.phases.iter().map(PhaseView::from).collect(),
            sequencer: it.sequencer.map(|it| it.0),
            block: it.block.map(|it| it.to_string()),
            txs: it.txs,
            revealed_ms: it.revealed.map(|it| it.0),
            deadline_ms: it.deadline.map(|it| it.0),
            eta_ms: it.eta.map(|it| it.0),
            settled_ms: it.settled.map(|it| it.0),
            nodes: nodes(it),
            subtrees: it.subtrees.iter().map(SubtreeView::from).collect(),
            pool: it.settlement.map(|it| it.pool.to_string()),
            payees: Vec::new(),
        }
    }
}

impl From<&view::PhaseView> for PhaseView {
    fn from(it: &view::PhaseView) -> Self {
        Self {
            name: it.name.into(),
            start_ms: it.start.0,
            end_ms: it.end.0,
            state: it.state.into(),
        }
    }
}

/// The machine's nodes in their order, and before those of each tx the proof that its client made:
/// it is data of the block, and no task of the machine.
fn nodes(slot: &view::SlotView) -> Vec<NodeView> {
    let revealed = slot.revealed.unwrap_or_default();
    let mut nodes = Vec::with_capacity(slot.nodes.len() + usize::from(slot.txs));
    let mut txs = 0;
    for it in &slot.nodes {
        let of_tx = matches!(it.node.kind, Kind::Vm | Kind::Kernel | Kind::Base);
        if of_tx && it.node.index == txs {
            nodes.push(NodeView::by_client(txs, revealed));
            txs += 1;
        }
        nodes.push(NodeView::from(it));
    }
    nodes
}

impl NodeView {
    /// The proof that a tx's client made, there since the block was revealed.
    fn by_client(index: u32, revealed: Millis) -> Self {
        Self {
            kind: Kind::Tx.name().into(),
            index,
            state: "made".into(),
            since_ms: revealed.0,
            ..Self::default()
        }
    }

    /// Whether a prover makes this proof, and not a client.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.kind != Kind::Tx.name()
    }
}

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

impl From<&view::LaneView> for LaneView {
    /// The step of a running proof is what its process says, which the machine does not hear.
    fn from(it: &view::LaneView) -> Self {
        Self {
            lane: it.lane.to_string(),
            class: match it.class {
                Class::Rollup => "rollup".into(),
                Class::Vm => "vm".into(),
            },
            state: it.state.into(),
            node: it.node.map(|node| node.to_string()),
            step: None,
            since_ms: it.since.0,
            usual_ms: it.usual_ms,
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

#[cfg(test)]
mod tests {
    use protocol::{Node, Slot, TaskId};

    use super::*;

    fn node(kind: Kind, level: u8, index: u32) -> view::NodeView {
        view::NodeView {
            node: Node { kind, level, index, call: 0 },
            task: TaskId::default(),
            state: "todo",
            lane: None,
            mine: false,
            since: Millis(0),
            cpu_ms: None,
            peak_mb: None,
            attempts: 0,
        }
    }

    fn slot(nodes: Vec<view::NodeView>) -> SlotView {
        SlotView::from(&view::SlotView {
            slot: Slot(7),
            phase: "proving",
            phases: Vec::new(),
            sequencer: None,
            block: None,
            txs: 2,
            revealed: Some(Millis(5_000)),
            deadline: None,
            eta: None,
            settled: None,
            settlement: None,
            nodes,
            subtrees: Vec::new(),
            lost: Vec::new(),
            lanes: 0,
        })
    }

    #[test]
    fn the_clients_proofs_stand_before_those_of_their_txs() {
        let shown = slot(vec![
            node(Kind::Vm, 0, 0),
            node(Kind::Kernel, 0, 0),
            node(Kind::Base, 0, 0),
            node(Kind::Base, 0, 1),
            node(Kind::Merge, 1, 0),
            node(Kind::Root, 0, 0),
        ]);
        let names = shown.nodes.iter().map(|it| (&*it.kind, it.index));
        let expected = [
            ("tx", 0),
            ("vm", 0),
            ("kernel", 0),
            ("base", 0),
            ("tx", 1),
            ("base", 1),
            ("merge", 0),
            ("root", 0),
        ];
        assert_eq!(names.collect::<Vec<_>>(), expected);
        let client = &shown.nodes[4];
        assert_eq!((&*client.state, client.since_ms), ("made", 5_000));
        assert_eq!((client.prover, client.mine, client.cpu_ms), (None, false, None));
        assert_eq!(shown.nodes.iter().filter(|it| it.is_task()).count(), 6);
    }

    #[test]
    fn a_block_without_a_plan_shows_no_proofs() {
        assert_eq!(slot(Vec::new()).nodes, Vec::new());
    }
}
