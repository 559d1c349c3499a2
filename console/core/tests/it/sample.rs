//! States of an agent as its control API reports them, for tests and benches.

use wire::control::*;

const SECOND: u64 = 1_000;

/// Agent 1 of three on a devnet, 164 s into the proving phase of a block of two txs, one of
/// them with a call.
pub(crate) fn two_txs(at_ms: u64) -> Snapshot {
    let revealed = at_ms - 164 * SECOND;
    Snapshot {
        schema: SCHEMA,
        seq: 4_711,
        at_ms,
        version: "0.1.0".into(),
        name: "agent-1".into(),
        network: "devnet (31337)".into(),
        insecure_setup: true,
        phase: "proving".into(),
        health: "ok".into(),
        slots: vec![settled(40, at_ms - 1_900 * SECOND), lapsed(41), proving(42, revealed)],
        lanes: lanes(at_ms),
        tasks: tasks(at_ms),
        earnings: earnings(),
        stake: stake(),
        peers: peers(at_ms),
        machine: Machine {
            cpu_percent: 97,
            cores: 2,
            ram_used_mb: 3_174,
            ram_mb: 7_937,
            disk_free_mb: 42_188,
            proofs: 11,
            failed: 0,
            uptime_s: 4_210,
        },
        l1: L1View {
            number: 518,
            time_s: at_ms / 1000 - 4,
            seen_ms: at_ms - 4 * SECOND,
            endpoint: "127.0.0.1:8545".into(),
            reorged: 3,
        },
        alerts: vec![Alert {
            level: "warning".into(),
            code: "MEM-TIGHT".into(),
            text: "a proof peaked at 3.9G of the 4.0G it may use: close other programs".into(),
            since_ms: at_ms - 131 * SECOND,
        }],
        events: events(at_ms),
        ..Snapshot::default()
    }
}

fn settled(slot: u64, revealed: u64) -> SlotView {
    SlotView {
        slot,
        phase: "settled".into(),
        sequencer: Some(0),
        block: Some(format!("0x{:064x}", 0x5e1f_0000 + slot)),
        txs: 2,
        revealed_ms: Some(revealed),
        settled_ms: Some(revealed + 611 * SECOND),
        pool: Some("4000000000000000000".into()),
        payees: vec![
            payee("0x1f02c8a7b35e9d4406f1a2c3d4e5f60718293a4b", 290, "1170534813319878910"),
            payee("0x77e2f00b5c41d8a39e6d12f7300a54b1c2d9c4a9", 460, "1856710393541876892"),
            payee("0xc0ffee254729296a45a3885639ac7e10f9d54979", 241, "972754793138244197"),
        ],
        ..SlotView::default()
    }
}

fn payee(address: &str, units: u64, amount: &str) -> PayeeView {
    PayeeView { address: address.into(), units, amount: amount.into() }
}

fn lapsed(slot: u64) -> SlotView {
    SlotView { slot, phase: "lapsed".into(), ..SlotView::default() }
}

fn phase(name: &str, start_ms: u64, end_ms: u64, state: &str) -> PhaseView {
    PhaseView { name: name.into(), start_ms, end_ms, state: state.into() }
}

fn proving(slot: u64, revealed: u64) -> SlotView {
    let end = revealed + 900 * SECOND;
    SlotView {
        slot,
        phase: "proving".into(),
        phases: vec![
            phase("proposal", revealed - 60 * SECOND, revealed - 24 * SECOND, "ok"),
            phase("reveal", revealed - 24 * SECOND, revealed, "ok"),
            phase("proving", revealed, end, "now"),
            phase("settle", end, end + 120 * SECOND, "todo"),
        ],
        sequencer: Some(0),
        block: Some("0x8f3a5bd10c77e2a9410f36d2b8c05e61aa97f4d35c1e80b24d6f9a3e71bc21c0".into()),
        txs: 2,
        revealed_ms: Some(revealed),
        deadline_ms: Some(end),
        eta_ms: Some(revealed + 640 * SECOND),
        nodes: nodes(revealed),
        subtrees: vec![SubtreeView {
            index: 0,
            first_tx: 0,
            last_tx: 1,
            lane: "1.0".into(),
            mine: true,
            made: 4,
            tasks: 7,
            slack_ms: Some(105_000),
        }],
        ..SlotView::default()
    }
}

pub(crate) fn node(kind: &'static str, level: u8, index: u32, call: u16) -> NodeView {
    NodeView { kind: kind.into(), level, index, call, state: "todo".into(), ..NodeView::default() }
}

fn made(node: NodeView, state: &'static str, prover: u32, cpu_ms: u32) -> NodeView {
    let (cpu_ms, peak_mb) = (Some(cpu_ms), Some(cpu_ms / 50));
    NodeView {
        state: state.into(),
        prover: Some(prover),
        mine: prover == 1,
        cpu_ms,
        peak_mb,
        ..node
    }
}

fn by_client(node: NodeView) -> NodeView {
    NodeView { state: "made".into(), ..node }
}

fn nodes(revealed: u64) -> Vec<NodeView> {
    let at =
        |node: NodeView, seconds: u64| NodeView { since_ms: revealed + seconds * SECOND, ..node };
    vec![
        at(by_client(node("tx", 0, 0, 0)), 0),
        at(by_client(node("tx", 0, 1, 0)), 0),
        at(made(node("vm", 0, 0, 1), "delivered", 2, 10_400), 14),
        at(NodeView { mine: true, ..made(node("kernel", 0, 0, 1), "made", 1, 163_271) }, 142),
        at(
            NodeView {
                state: "proving".into(),
                prover: Some(1),
                mine: true,
                ..node("base", 0, 0, 0)
            },
            143,
        ),
        at(NodeView { state: "proving".into(), prover: Some(2), ..node("base", 0, 1, 0) }, 9),
        node("merge", 1, 0, 0),
        node("root", 0, 0, 0),
    ]
}

fn lanes(at_ms: u64) -> Vec<LaneView> {
    vec![
        LaneView {
            lane: "1.0".into(),
            class: "rollup".into(),
            state: "proving".into(),
            node: Some("base/0".into()),
            step: Some("witness".into()),
            since_ms: at_ms - 21 * SECOND,
            usual_ms: Some(150 * SECOND),
        },
        LaneView {
            lane: "1.1".into(),
            class: "vm".into(),
            state: "idle".into(),
            since_ms: at_ms - 150 * SECOND,
            ..LaneView::default()
        },
    ]
}

fn tasks(at_ms: u64) -> Vec<TaskView> {
    let task = |node: &str, seq, state: &str| TaskView {
        slot: 42,
        node: node.into(),
        task: format!("0x{seq:064x}"),
        seq,
        state: state.into(),
        since_ms: at_ms - 21 * SECOND,
        cpu_ms: None,
        peak_mb: None,
    };
    vec![task("base/0", 13, "proving"), task("kernel/0.1", 12, "made")]
}

fn earnings() -> Earnings {
    let slot = |slot, units, amount: &str, state: &str, proofs| SlotEarning {
        slot,
        units,
        units_all: 991,
        amount: amount.into(),
        state: state.into(),
        proofs,
    };
    Earnings {
        payee: "0x77e2f00b5c41d8a39e6d12f7300a54b1c2d9c4a9".into(),
        token: "CPC".into(),
        decimals: 18,
        claimable: "4458123019173562058".into(),
        paid: "2906155398587285570".into(),
        slots: vec![
            slot(40, 460, "1856710393541876892", "claimable", 3),
            slot(39, 330, "1331987891019172552", "claimable", 2),
            slot(37, 315, "1269424734612512614", "claimable", 2),
            slot(36, 410, "1654894046417759838", "sent", 3),
            slot(35, 310, "1251261352169525732", "paid", 2),
        ],
    }
}

fn stake() -> Stake {
    Stake {
        state: "active".into(),
        prover: Some(1),
        operator: "0x52d1a80e44b0963cfa7721d09be35c86a0d1b07e".into(),
        bond: "2500000000000000000000".into(),
        bond_per_lane: "1000000000000000000000".into(),
        rollup_lanes: 1,
        vm_lanes: 1,
        slashed: "0".into(),
        gas_wei: "9874216500000000000".into(),
        active_from_slot: Some(3),
    }
}

fn peers(at_ms: u64) -> Vec<PeerView> {
    let peer = |who: &str, port: u16, connected| PeerView {
        key: format!("{port:064x}"),
        who: who.into(),
        address: format!("127.0.0.1:{port}"),
        connected,
        rtt_ms: Some(1),
        last_ms: at_ms - 400,
        received: 312,
        refused: 0,
        lost: !connected,
    };
    vec![
        peer("prover 0", 4100, true),
        peer("prover 2", 4102, true),
        peer("sequencer 0", 4200, true),
    ]
}

fn events(at_ms: u64) -> Vec<Event> {
    let event = |seconds: u64, source: &str, text: &str| Event {
        at_ms: at_ms - seconds * SECOND,
        source: source.into(),
        text: text.into(),
    };
    vec![
        event(21, "proof", "base/0 started in lane 1.0"),
        event(22, "proof", "kernel/0.1 proved in 163.2 CPU-seconds, peak 3.1G, verified"),
        event(22, "mesh", "kernel/0.1 delivered to 2 of 3 replicas"),
        event(155, "claim", "base/1 is claimed by prover 2"),
        event(164, "chain", "slot 42 revealed: 2 txs, block 0x8f3a…21c0"),
        event(203, "chain", "slot 42 proposed by sequencer 0"),
        event(411, "chain", "reorg of 3 blocks, slot 41 lapsed"),
        event(1_289, "money", "slot 40 settled: 460 of 991 units, 1.856 CPC"),
        event(1_300, "money", "claim for slot 36 sent"),
    ]
}

/// A block of this many txs with a call each, two fifths done, dealt in subtrees of four.
pub(crate) fn block_of(at_ms: u64, txs: u32) -> Snapshot {
    let mut snapshot = two_txs(at_ms);
    let Some(slot) = snapshot.slots.last_mut() else { return snapshot };
    slot.txs = u16::try_from(txs).unwrap_or(u16::MAX);
    slot.nodes = tree(at_ms, txs);
    slot.subtrees = (0..txs.div_ceil(4)).map(|index| subtree(index, txs)).collect();
    snapshot
}

fn subtree(index: u32, txs: u32) -> SubtreeView {
    SubtreeView {
        index,
        first_tx: index * 4,
        last_tx: (index * 4 + 3).min(txs - 1),
        lane: format!("{}.0", index % 5),
        mine: index % 5 == 1,
        made: index % 12,
        tasks: 19,
        slack_ms: Some(i64::from(index * 7_919 % 180) * 1_000 - 4_000),
    }
}

fn tree(at_ms: u64, txs: u32) -> Vec<NodeView> {
    let mut nodes = Vec::new();
    for kind in ["tx", "vm", "kernel", "base"] {
        nodes.extend((0..txs).map(|index| progressed(node(kind, 0, index, 0), at_ms)));
    }
    let (mut level, mut count) = (1, txs);
    while count > 1 {
        nodes.extend((0..count / 2).map(|index| progressed(node("merge", level, index, 0), at_ms)));
        count = count.div_ceil(2);
        level += 1;
    }
    nodes.push(node("root", 0, 0, 0));
    nodes
}

/// A state that follows from the node's place, earlier kinds further on than later ones.
fn progressed(node: NodeView, at_ms: u64) -> NodeView {
    let late = match &*node.kind {
        "vm" => 1,
        "kernel" => 3,
        "base" => 6,
        _ => 7 + u32::from(node.level),
    };
    let luck = node.index.wrapping_mul(2_654_435_761) >> 28;
    let prover = node.index / 4 % 5;
    let node = NodeView { since_ms: at_ms - 21_000, ..node };
    if node.kind == "tx" {
        return by_client(node);
    }
    match luck.saturating_sub(0).checked_sub(late) {
        Some(3..) => made(node, "delivered", prover, 150_000 + luck * 1_000),
        Some(2) => made(node, "made", prover, 150_000),
        Some(1) => {
            NodeView { state: "proving".into(), prover: Some(prover), mine: prover == 1, ..node }
        }
        Some(0) => NodeView { state: "ready".into(), ..node },
        None => node,
    }
}

/// Every text hostile, every number at its end.
pub(crate) fn hostile(at_ms: u64) -> Snapshot {
    let bad = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}日本語\u{200b}💥 ".repeat(40);
    let mut snapshot = block_of(at_ms, 9);
    let texts =
        [&mut snapshot.name, &mut snapshot.network, &mut snapshot.phase, &mut snapshot.health];
    texts.into_iter().for_each(|text| text.clone_from(&bad));
    for slot in &mut snapshot.slots {
        (slot.slot, slot.sequencer, slot.txs) = (u64::MAX, Some(u32::MAX), u16::MAX);
        (slot.phase, slot.block) = (bad.clone(), Some(bad.clone()));
        (slot.eta_ms, slot.deadline_ms) = (Some(0), Some(u64::MAX));
        for phase in &mut slot.phases {
            (phase.start_ms, phase.end_ms, phase.name) = (u64::MAX, 0, bad.clone());
        }
        for node in &mut slot.nodes {
            (node.since_ms, node.cpu_ms, node.index) =
                (u64::MAX, Some(u32::MAX), u32::MAX - node.index);
        }
        for subtree in &mut slot.subtrees {
            (subtree.last_tx, subtree.slack_ms, subtree.lane) =
                (u32::MAX, Some(i64::MIN), bad.clone());
        }
    }
    for row in &mut snapshot.earnings.slots {
        (row.slot, row.units, row.amount) = (row.slot << 57, u64::MAX, u128::MAX.to_string());
    }
    snapshot.earnings.decimals = 255;
    snapshot.earnings.claimable = bad.clone();
    snapshot.stake.bond = u128::MAX.to_string();
    snapshot.stake.bond_per_lane = u128::MAX.to_string();
    snapshot.machine = Machine { uptime_s: u64::MAX, ram_mb: u64::MAX, ..Machine::default() };
    snapshot.lanes.iter_mut().for_each(|lane| lane.node = Some(bad.clone()));
    snapshot.alerts.iter_mut().for_each(|alert| alert.text.clone_from(&bad));
    snapshot.events.iter_mut().for_each(|event| event.text.clone_from(&bad));
    snapshot
}
