//! The line that `devnet --headless --json` ends with: other tools read it, so every field is
//! there, and is what L1 says.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use serde::Deserialize;

use super::chain::Settlement;

/// Most gas of a settlement.
const GAS_MAX: u64 = 700_000;

/// The line; a missing field or `null` is refused.
#[derive(Deserialize, Debug)]
pub(super) struct Line {
    event: String,
    pub(super) slot: u64,
    txs: usize,
    root_gas: u64,
    settle_s: u64,
    /// Version of the slot's circuit set on L1, and its id.
    pub(super) set_version: u32,
    pub(super) circuit_set: B256,
    tasks: Vec<Task>,
    pub(super) payees: Vec<Payee>,
}

/// One proof.
#[derive(Deserialize, Debug)]
struct Task {
    kind: String,
    node: String,
    prover: u32,
    cpu_s: f64,
    peak_mb: u32,
}

/// One payee.
#[derive(Deserialize, Debug)]
pub(super) struct Payee {
    pub(super) address: Address,
    units: u64,
    amount: String,
}

impl Payee {
    /// Base units.
    pub(super) fn amount(&self) -> u128 {
        self.amount.parse().expect("an amount is a decimal number")
    }
}

impl Line {
    /// The line about the first settled slot, if there is one.
    pub(super) fn find(lines: &[String]) -> Option<Self> {
        Self::all(lines).into_iter().next()
    }

    /// The lines about settled slots; all other lines are JSON too.
    pub(super) fn all(lines: &[String]) -> Vec<Self> {
        let is_ours = |text: &&String| {
            let line: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| {
                panic!("stdout has a line that is no JSON: {error} {text}")
            });
            line["event"] == "slot_settled"
        };
        let line = |text: &String| {
            let line = serde_json::from_str(text);
            line.unwrap_or_else(|error| panic!("a field is missing: {error} in {text}"))
        };
        lines.iter().filter(is_ours).map(line).collect()
    }

    /// The line says what L1 says.
    pub(super) fn assert_is(&self, settled: &Settlement, revealed_s: u64) {
        assert_eq!(self.event, "slot_settled");
        assert_eq!(self.slot, settled.slot, "the settled slot is reported");
        assert_eq!(self.root_gas, settled.gas);
        assert!(self.root_gas <= GAS_MAX, "a settlement of {} gas", self.root_gas);
        assert_eq!(self.settle_s, settled.time - revealed_s);
    }

    /// There is one proof per node of a block whose txs make this many `calls` each, with what it
    /// cost.
    pub(super) fn assert_proves(&self, calls: &[usize]) {
        assert_eq!(self.txs, calls.len());
        let named: Vec<&str> = self.tasks.iter().map(|task| task.node.as_str()).collect();
        let found: BTreeSet<String> = named.iter().map(|node| (*node).to_owned()).collect();
        assert_eq!(found.len(), named.len(), "a node is named twice: {named:?}");
        assert_eq!(found, nodes(calls));
        for task in &self.tasks {
            assert_eq!(task.node.split('/').next(), Some(task.kind.as_str()));
            assert!(task.cpu_s > 0.0 && task.peak_mb > 0, "{task:?}");
        }
    }

    /// Who made the proof of a node.
    pub(super) fn prover_of(&self, node: &str) -> u32 {
        let task = self.tasks.iter().find(|task| task.node == node);
        task.unwrap_or_else(|| panic!("{node} is not among the tasks")).prover
    }

    /// Each payee has the units of its provers' proofs and its share of the pool.
    pub(super) fn assert_pays(&self, settled: &Settlement, payees: &BTreeMap<u32, Address>) {
        let mut earned: BTreeMap<Address, u64> = BTreeMap::new();
        for task in &self.tasks {
            *earned.entry(payees[&task.prover]).or_default() += units(&task.kind);
        }
        let said = self.payees.iter().map(|it| (it.address, it.units)).collect();
        assert_eq!(earned, said, "units are those of the proofs made");
        assert_eq!(earned.values().sum::<u64>(), settled.units);
        for payee in &self.payees {
            let exact = settled.pool * u128::from(payee.units) / u128::from(settled.units);
            // Every record is rounded down by itself, and there is at most one per proof.
            let lost = exact.checked_sub(payee.amount());
            assert!(
                lost.is_some_and(|it| it < self.tasks.len() as u128),
                "{payee:?} of a pool of {}, which makes {exact}",
                settled.pool
            );
        }
        let paid: u128 = self.payees.iter().map(Payee::amount).sum();
        assert!(paid <= settled.pool, "{paid} paid from a pool of {}", settled.pool);
    }
}

/// Units credited for a proof: constants of the circuit set.
fn units(kind: &str) -> u64 {
    match kind {
        "vm" => 10,
        "kernel" | "merge" => 173,
        "base" => 175,
        "root" => 209,
        other => panic!("no prover makes proofs of kind `{other}`"),
    }
}

/// All nodes of a block's proof tree.
fn nodes(calls: &[usize]) -> BTreeSet<String> {
    let mut nodes = BTreeSet::from(["root".to_owned()]);
    for (tx, calls) in calls.iter().enumerate() {
        nodes.insert(format!("base/{tx}"));
        for call in 0..*calls {
            nodes.extend([format!("vm/{tx}.{call}"), format!("kernel/{tx}.{call}")]);
        }
    }
    // An odd last node passes up unchanged.
    let (mut level, mut width) = (0, calls.len());
    while width > 1 {
        level += 1;
        nodes.extend((0..width / 2).map(|index| format!("merge/{level}.{index}")));
        width = width.div_ceil(2);
    }
    nodes
}

#[test]
fn a_block_of_three_txs_has_two_merges() {
    let wanted =
        ["root", "base/0", "base/1", "base/2", "vm/1.0", "kernel/1.0", "merge/1.0", "merge/2.0"];
    assert_eq!(nodes(&[0, 1, 0]), wanted.map(str::to_owned).into());
}
