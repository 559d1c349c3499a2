//! What screens and scripts see: the machine's view, and what only the shell knows.

use std::collections::BTreeMap;

use protocol::{Coordinator, Millis, Slot, TaskId, view};
use sysinfo::System;
use wire::control::{
    Earnings, L1View, LaneView, Machine, PayeeView, PeerView, SCHEMA, SlotEarning, SlotView,
    Snapshot, Stake, TaskView,
};

use super::{
    Shell,
    payout::{SettledSlot, Share},
};
use crate::prover::Step;

/// The machine's load is read at most this often: it costs a walk through /proc.
const MACHINE_EVERY_MS: u64 = 2_000;
/// Slots of the earnings list.
const EARNINGS_MAX: usize = 64;
/// A proving slot with less than this share of its window left is at risk.
const RISK_PERCENT: u64 = 10;
/// L1 is silent when nothing came for this many of its blocks.
const SILENT_BLOCKS: u64 = 15;

/// What the shell remembers for the screens alone.
pub(crate) struct Look {
    seq: u64,
    started: Millis,
    /// Current step of running proofs.
    steps: BTreeMap<TaskId, (Step, Millis)>,
    /// When L1 last said something.
    pub(crate) l1_seen: Millis,
    /// Proofs made since the start.
    pub(crate) proofs: u64,
    /// Proofs failed since the start.
    pub(crate) failed: u64,
    /// `None` where the system does not say.
    system: Option<System>,
    machine: Machine,
    machine_at: Millis,
    /// Bond per lane and ether for gas, as last read from L1.
    pub(crate) bond_per_lane: u128,
    /// Wei of the operator.
    pub(crate) gas_wei: u128,
}

impl Default for Look {
    fn default() -> Self {
        let now = crate::run::now();
        Self {
            seq: 0,
            started: now,
            steps: BTreeMap::new(),
            l1_seen: now,
            proofs: 0,
            failed: 0,
            system: System::new().ok(),
            machine: Machine::default(),
            machine_at: Millis(0),
            bond_per_lane: 0,
            gas_wei: 0,
        }
    }
}

impl Look {
    /// A step of a proof began. True when the proof got the machine with it.
    pub(crate) fn step(&mut self, task: TaskId, step: Step, since: Millis) -> bool {
        let before = self.steps.insert(task, (step, since));
        let waits = |step| step == Step::WaitingMachine;
        !waits(step) && before.is_none_or(|(before, _)| waits(before))
    }

    /// A proof's process ended.
    pub(crate) fn finished(&mut self, task: TaskId) {
        self.steps.remove(&task);
    }

    fn machine(&mut self, now: Millis, data: &std::path::Path) -> Machine {
        if now.since(self.machine_at) >= MACHINE_EVERY_MS {
            self.machine_at = now;
            self.machine = self.system.as_mut().map(load).unwrap_or_default();
            self.machine.disk_free_mb = disk_free_mb(data);
        }
        let uptime_s = now.since(self.started) / 1000;
        Machine { proofs: self.proofs, failed: self.failed, uptime_s, ..self.machine.clone() }
    }
}

/// Use of cores and memory.
fn load(system: &mut System) -> Machine {
    system.refresh_cpu_usage();
    system.refresh_memory();
    let mb = |bytes: u64| bytes / (1024 * 1024);
    Machine {
        cpu_percent: system.global_cpu_usage().clamp(0.0, 100.0) as u8,
        cores: u16::try_from(system.cpus().len()).unwrap_or(u16::MAX),
        ram_used_mb: mb(system.used_memory()),
        ram_mb: mb(system.total_memory()),
        ..Machine::default()
    }
}

/// Free space of the disk that holds `folder`.
fn disk_free_mb(folder: &std::path::Path) -> u64 {
    let free = rustix::fs::statvfs(folder).map(|it| it.f_bavail.saturating_mul(it.f_frsize));
    free.unwrap_or(0) / (1024 * 1024)
}

/// Everything as of now.
pub(crate) fn of(machine: &Coordinator, shell: &mut Shell, now: Millis) -> Snapshot {
    let view = machine.view();
    shell.look.seq += 1;
    let hardware = shell.look.machine(now, &shell.parts.config.folders.data.clone());
    let config = &shell.parts.config;
    let slots: Vec<SlotView> = view.slots.iter().map(|it| slot(it, shell)).collect();
    let alerts = shell.journal.alerts(now);
    let idle = view.idle;
    Snapshot {
        schema: SCHEMA,
        seq: shell.look.seq,
        at_ms: now.0,
        version: env!("CARGO_PKG_VERSION").into(),
        name: config.name.clone(),
        network: format!("{} ({})", config.network, config.l1.chain_id),
        simulated: false,
        insecure_setup: shell.parts.keys.first().setup().is_insecure(),
        phase: phase(machine, idle).into(),
        idle_code: idle.map(str::to_owned),
        idle_text: idle.map(idle_text).map(str::to_owned),
        health: health(machine, shell, &slots, now).into(),
        slots,
        lanes: view.lanes.iter().map(|it| lane(it, shell)).collect(),
        tasks: view.tasks.iter().map(TaskView::from).collect(),
        earnings: earnings(shell),
        stake: stake(machine, shell),
        peers: peers(machine, shell),
        machine: hardware,
        l1: l1(&view, shell),
        alerts,
        events: shell.journal.events(),
    }
}

fn phase(machine: &Coordinator, idle: Option<&str>) -> &'static str {
    match idle {
        None => "proving",
        Some(_) if machine.chain().head().is_none() => "syncing",
        Some(_) => "idle",
    }
}

/// One sentence per idle code of the core.
fn idle_text(code: &str) -> &'static str {
    match code {
        "IDLE-NO-L1" => "L1 has not been heard yet; check the endpoints",
        "IDLE-NO-LANES" => "this process has no lanes; it follows only",
        "IDLE-NOT-REGISTERED" => "this operator is not registered on L1; register and bond lanes",
        "IDLE-NOT-ACTIVE-YET" => "the lanes are active from the next epoch on",
        "IDLE-NO-BLOCK" => "no block is waiting for proofs",
        "IDLE-BLOCK-REFUSED" => "the block on L1 failed its check and is not worked on",
        "IDLE-CHECKING-BLOCK" => "the revealed block is being executed and checked",
        "IDLE-LANES-IN-DOUBT" => "the journal is not the newest: see CLM-001",
        "IDLE-LANES-LOST" => "others declared these lanes lost in this slot; see LOS-002",
        "IDLE-LANES-CAPPED" => "a claim ran into its cap in this slot",
        "IDLE-NO-KEYS" => "proving keys are missing; run `coppice-agent setup keys`",
        "IDLE-NO-MEMORY" => "too little memory is free for a proof; stop other programs",
        "IDLE-TOO-SLOW" => "proofs take longer here than a claim lasts; end other loads",
        "IDLE-SETTLING" => "the root is proved; it is on its way to L1",
        "IDLE-NO-READY-TASK" => "every ready task is claimed by a better rank",
        _ => "see assets/docs/operating.md",
    }
}

fn health(machine: &Coordinator, shell: &Shell, slots: &[SlotView], now: Millis) -> &'static str {
    let silent_ms = SILENT_BLOCKS * machine.params().l1_block_s * 1000;
    let alerts = shell.journal.alerts(now);
    let critical = alerts.iter().any(|alert| alert.level == "critical");
    if now.since(shell.look.l1_seen) > silent_ms || machine.chain().head().is_none() {
        return "not_working";
    }
    let window_ms = machine.params().proving_blocks * machine.params().l1_block_s * 1000;
    let late = |slot: &SlotView| {
        let left = slot.deadline_ms.map(|at| at.saturating_sub(now.0));
        slot.phase == "proving" && left.is_some_and(|it| it < window_ms * RISK_PERCENT / 100)
    };
    let connected = shell.parts.mesh.peers().iter().any(|peer| peer.is_connected());
    if critical || slots.iter().any(late) {
        "at_risk"
    } else if !connected || !alerts.is_empty() {
        "degraded"
    } else {
        "ok"
    }
}

fn slot(it: &view::SlotView, shell: &Shell) -> SlotView {
    SlotView { payees: payees(it.slot, shell), ..SlotView::from(it) }
}

/// Units and amounts of a settled slot, by payee.
fn payees(slot: Slot, shell: &Shell) -> Vec<PayeeView> {
    let Some(settled) = shell.money.settled().get(&slot) else { return Vec::new() };
    let mut sums: BTreeMap<protocol::Address, (u64, u128)> = BTreeMap::new();
    for share in shell.money.shares(slot).unwrap_or_default() {
        let sum = sums.entry(share.path.payee).or_default();
        sum.0 += share.units;
        sum.1 += share.amount(settled);
    }
    let view = |(address, (units, amount)): (protocol::Address, (u64, u128))| PayeeView {
        address: address.to_string(),
        units,
        amount: amount.to_string(),
    };
    sums.into_iter().map(view).collect()
}

fn lane(it: &view::LaneView, shell: &Shell) -> LaneView {
    let step = it.task.and_then(|task| shell.look.steps.get(&task));
    let since = step.map_or(it.since, |(_, since)| *since);
    LaneView {
        step: step.map(|(step, _)| step.name().into()),
        since_ms: since.0,
        ..LaneView::from(it)
    }
}

fn earnings(shell: &Shell) -> Earnings {
    let payee = shell.payee();
    let mut list = Vec::new();
    let (mut claimable, mut paid) = (0_u128, 0_u128);
    for (slot, settled) in shell.money.settled().iter().rev().take(EARNINGS_MAX) {
        let Ok(shares) = shell.money.shares(*slot) else { continue };
        let own: Vec<Share> =
            shares.into_iter().filter(|it| Some(it.path.payee) == payee).collect();
        if own.is_empty() {
            continue;
        }
        let (row, open, done) = slot_earning(*slot, settled, &own);
        claimable += open;
        paid += done;
        list.push(row);
    }
    Earnings {
        payee: payee.map(|it| it.to_string()).unwrap_or_default(),
        token: "COP".into(),
        decimals: 18,
        claimable: claimable.to_string(),
        paid: paid.to_string(),
        slots: list,
    }
}

/// The row of one slot, and how much of it is claimable and paid.
fn slot_earning(slot: Slot, settled: &SettledSlot, own: &[Share]) -> (SlotEarning, u128, u128) {
    let amount = |it: &Share| it.amount(settled);
    let is_paid = |it: &&Share| settled.paid.contains_key(&it.path.position);
    let done: u128 = own.iter().filter(is_paid).map(amount).sum();
    let all: u128 = own.iter().map(amount).sum();
    let row = SlotEarning {
        slot: slot.0,
        units: own.iter().map(|it| it.units).sum(),
        units_all: settled.units,
        amount: all.to_string(),
        state: if done == all { "paid".into() } else { "claimable".into() },
        proofs: u32::try_from(own.len()).unwrap_or(u32::MAX),
    };
    (row, all - done, done)
}

fn stake(machine: &Coordinator, shell: &Shell) -> Stake {
    let registered = shell.registration();
    let lanes = registered.map_or((0, 0), |it| (it.rollup, it.vm));
    let bond = shell.look.bond_per_lane * (u128::from(lanes.0) + u128::from(lanes.1));
    let active = machine.chain().slots().next_back().is_some_and(|(slot, _)| {
        let lanes = machine.chain().lanes_of(slot, machine.params());
        lanes.keys().any(|lane| Some(lane.prover()) == shell.parts.own)
    });
    Stake {
        state: match (registered.is_some(), active) {
            (false, _) => "none".into(),
            (true, false) => "registered".into(),
            (true, true) => "active".into(),
        },
        prover: shell.parts.own.map(|it| it.0),
        operator: shell.parts.signer.address().to_string(),
        bond: bond.to_string(),
        bond_per_lane: shell.look.bond_per_lane.to_string(),
        rollup_lanes: lanes.0,
        vm_lanes: lanes.1,
        slashed: "0".into(),
        gas_wei: shell.look.gas_wei.to_string(),
        active_from_slot: None,
    }
}

fn peers(machine: &Coordinator, shell: &Shell) -> Vec<PeerView> {
    let view = |it: crate::mesh::PeerInfo| PeerView {
        key: it.peer.to_string(),
        who: it.role.map_or_else(|| "unknown".into(), |role| role.to_string()),
        address: it.address.map(|it| it.to_string()).unwrap_or_default(),
        connected: it.is_connected(),
        rtt_ms: it.rtt.map(|it| u32::try_from(it.as_millis()).unwrap_or(u32::MAX)),
        last_ms: it.last_ms,
        received: it.received,
        refused: it.refused,
        lost: match it.role {
            Some(crate::mesh::Role::Prover(id)) => machine.is_prover_lost(id),
            Some(crate::mesh::Role::Sequencer(_)) | None => false,
        },
    };
    shell.parts.mesh.peers().into_iter().map(view).collect()
}

fn l1(view: &view::View, shell: &Shell) -> L1View {
    L1View {
        number: view.l1_number,
        time_s: view.l1_time_s,
        seen_ms: shell.look.l1_seen.0,
        endpoint: shell.parts.config.l1.endpoints.first().map(|it| bare(it)).unwrap_or_default(),
        reorged: view.l1_undone,
    }
}

/// An endpoint without what may be a password or a key in its path.
fn bare(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l1::calls::CreditPath;

    #[test]
    fn an_endpoint_is_shown_without_its_secrets() {
        assert_eq!(bare("https://me:secret@node.example/v3/key"), "https://node.example");
        assert_eq!(bare("http://127.0.0.1:8545"), "http://127.0.0.1:8545");
    }

    #[test]
    fn a_proof_starts_when_it_gets_the_machine_and_only_once() {
        let mut look = Look::default();
        let task = TaskId([1; 32]);
        let steps = [Step::WaitingMachine, Step::LoadingKey, Step::Proving];
        let started = steps.map(|step| look.step(task, step, Millis(1)));
        assert_eq!(started, [false, true, false]);
        look.finished(task);
        assert!(look.step(task, Step::LoadingKey, Millis(2)), "a second attempt starts again");
    }

    #[test]
    fn a_slot_is_paid_when_every_share_is() {
        let share = |position, units| Share {
            path: CreditPath {
                position,
                steps: Vec::new(),
                meta: [0; 32],
                payee: protocol::Address::default(),
                children: [[0; 32]; 2],
            },
            units,
        };
        let mut settled = SettledSlot {
            credit: [0; 32],
            units: 100,
            pool: 1000,
            paid: BTreeMap::from([(2, 300)]),
        };
        let own = [share(2, 30), share(3, 20)];
        let (row, open, done) = slot_earning(Slot(1), &settled, &own);
        assert_eq!((row.state.as_str(), open, done), ("claimable", 200, 300));
        settled.paid.insert(3, 200);
        assert_eq!(slot_earning(Slot(1), &settled, &own).0.state, "paid");
    }
}
