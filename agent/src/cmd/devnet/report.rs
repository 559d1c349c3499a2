//! What the devnet reports: progress, and one line per settled slot, from an agent's snapshots and
//! L1's receipts.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use protocol::{Slot, Word};
use serde_json::{Value, json};
use wire::control::{NodeView, Reply, Request, SlotView, Snapshot};

use crate::{
    l1::L1,
    run::now,
    shell::{control::Client, start::coded},
};

/// Pause between two looks at the agent.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a look at the agent showed.
pub(crate) enum Watched {
    /// Nothing new.
    Nothing,
    /// A line of progress.
    Progress(String),
    /// A slot settled.
    Settled(Box<Report>),
    /// A slot's proving window has passed.
    Missed(u64),
}

/// One settled slot.
pub(crate) struct Report {
    slot: SlotView,
    gas: u64,
    settle_s: u64,
    /// Version of its circuit set on L1, and the set's id (R13).
    set: (u32, Word),
}

/// Looks at one agent until slots settle.
pub(crate) struct Watcher {
    socket: PathBuf,
    l1: L1,
    reported: BTreeSet<u64>,
    last: String,
    /// Unix milliseconds of the first reveal that was seen.
    first_reveal_ms: Option<u64>,
}

impl Watcher {
    /// Watches the agent at `socket`.
    pub(crate) const fn new(socket: PathBuf, l1: L1) -> Self {
        Self { socket, l1, reported: BTreeSet::new(), last: String::new(), first_reveal_ms: None }
    }

    /// How long ago the run's first block was revealed, if it was.
    pub(crate) fn since_reveal(&self) -> Option<Duration> {
        let since_ms = now().0.saturating_sub(self.first_reveal_ms?);
        Some(Duration::from_millis(since_ms))
    }

    /// The next news; a second later if there is none.
    pub(crate) async fn next(&mut self, window_s: u64) -> anyhow::Result<Watched> {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(snapshot) = self.look().await else { return Ok(Watched::Nothing) };
        let first = snapshot.slots.iter().filter_map(|it| it.revealed_ms).min();
        self.first_reveal_ms = self.first_reveal_ms.or(first);
        let missed = |slot: &&SlotView| {
            let end = slot.revealed_ms.map(|revealed| revealed + window_s * 1000);
            slot.settled_ms.is_none() && end.is_some_and(|end| now().0 > end)
        };
        if let Some(slot) = snapshot.slots.iter().find(missed) {
            return Ok(Watched::Missed(slot.slot));
        }
        // The credit records of the last proofs may still be on their way.
        let fresh = |slot: &&SlotView| {
            let told = self.reported.contains(&slot.slot);
            slot.phase == "settled" && !told && !slot.payees.is_empty()
        };
        if let Some(slot) = snapshot.slots.iter().find(fresh) {
            let report = self.report(slot).await?;
            self.reported.insert(slot.slot);
            return Ok(Watched::Settled(Box::new(report)));
        }
        let text = progress(&snapshot);
        if text == self.last {
            return Ok(Watched::Nothing);
        }
        self.last.clone_from(&text);
        Ok(Watched::Progress(text))
    }

    /// An agent that does not answer is only late, or killed; L1 is asked when it is back.
    async fn look(&self) -> Option<Snapshot> {
        let mut client = Client::connect(&self.socket).await.ok()?;
        match client.ask(&Request::Status).await.ok()? {
            Reply::Snapshot(snapshot) => Some(*snapshot),
            Reply::Accepted { .. } | Reply::Refused { .. } => None,
        }
    }

    async fn report(&self, slot: &SlotView) -> anyhow::Result<Report> {
        let settlement = self.l1.settlement(Slot(slot.slot)).await.map_err(coded)?;
        let revealed_s = slot.revealed_ms.unwrap_or_default() / 1000;
        let settle_s = settlement.time_s.saturating_sub(revealed_s);
        let version = self.l1.slot(Slot(slot.slot)).await.map_err(coded)?.set;
        let set = (version, self.l1.circuit_set(version).await.map_err(coded)?.id);
        Ok(Report { slot: slot.clone(), gas: settlement.gas, settle_s, set })
    }
}

/// One line: what the current slot has come to.
fn progress(snapshot: &Snapshot) -> String {
    let Some(slot) = snapshot.slots.iter().rev().find(|it| !it.nodes.is_empty()) else {
        return "waiting for a block".into();
    };
    let state = |node: &NodeView| {
        let by = node.prover.map(|it| format!(" by {it}")).unwrap_or_default();
        format!("{} {}{by}", name(node), node.state)
    };
    let nodes: Vec<String> = tasks(slot).map(state).collect();
    format!("slot {} {}: {}", slot.slot, slot.phase, nodes.join(", "))
}

/// The proofs that provers make: those of clients are there before the block.
fn tasks(slot: &SlotView) -> impl Iterator<Item = &NodeView> {
    slot.nodes.iter().filter(|node| node.is_task())
}

fn name(node: &NodeView) -> String {
    match &*node.kind {
        "vm" | "kernel" => format!("{}/{}.{}", node.kind, node.index, node.call),
        "merge" => format!("merge/{}.{}", node.level, node.index),
        "root" => "root".into(),
        kind => format!("{kind}/{}", node.index),
    }
}

impl Report {
    /// One line, for tools or for people.
    pub(crate) fn line(&self, as_json: bool) -> String {
        if as_json { self.to_json() } else { self.to_text() }
    }

    /// The line other tools read; its keys do not change.
    fn to_json(&self) -> String {
        let tasks: Vec<Value> = tasks(&self.slot).map(task_json).collect();
        let payees: Vec<Value> = self
            .slot
            .payees
            .iter()
            .map(|it| json!({"address": it.address, "units": it.units, "amount": it.amount}))
            .collect();
        let line = json!({
            "event": "slot_settled",
            "slot": self.slot.slot,
            "txs": self.slot.txs,
            "root_gas": self.gas,
            "settle_s": self.settle_s,
            "set_version": self.set.0,
            "circuit_set": format!("0x{}", hex::encode(self.set.1)),
            "tasks": tasks,
            "payees": payees,
        });
        line.to_string()
    }

    /// The same for people.
    fn to_text(&self) -> String {
        let payees: Vec<String> = self
            .slot
            .payees
            .iter()
            .map(|it| format!("{} {} units", it.address, it.units))
            .collect();
        let Self { slot, gas, settle_s, set } = self;
        let set = hex::encode(&set.1[..4]);
        format!(
            "slot {} settled: {} txs, {} proofs of circuit set {set}, {settle_s} s after the reveal, \
             {gas} gas; {}",
            slot.slot,
            slot.txs,
            tasks(slot).count(),
            payees.join(", ")
        )
    }
}

fn task_json(node: &NodeView) -> Value {
    json!({
        "kind": node.kind,
        "node": name(node),
        "prover": node.prover,
        "cpu_s": node.cpu_ms.map(|ms| f64::from(ms) / 1000.0),
        "peak_mb": node.peak_mb,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_provers_made_is_reported() {
        let node = |kind: &'static str, prover| NodeView {
            kind: kind.into(),
            state: "made".into(),
            prover,
            ..NodeView::default()
        };
        let nodes = vec![node("tx", None), node("base", Some(2)), node("root", Some(0))];
        let slot =
            SlotView { slot: 3, phase: "settled".into(), txs: 1, nodes, ..SlotView::default() };
        let snapshot = Snapshot { slots: vec![slot.clone()], ..Snapshot::default() };
        assert_eq!(progress(&snapshot), "slot 3 settled: base/0 made by 2, root made by 0");
        let report = Report { slot, gas: 1, settle_s: 2, set: (0, [0xab; 32]) };
        let line: Value = serde_json::from_str(&report.line(true)).unwrap();
        let named: Vec<&Value> =
            line["tasks"].as_array().unwrap().iter().map(|task| &task["node"]).collect();
        assert_eq!(named, ["base/0", "root"]);
        assert!(report.line(false).contains("1 txs, 2 proofs"));
    }
}
