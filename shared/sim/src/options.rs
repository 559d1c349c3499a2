//! What a world looks like: its size, its faults, who is dishonest, and the one mistake that may be
//! built into every agent. Shares are thousandths, ranges are inclusive and the seed picks within.

mod mutation;

use protocol::{Kind, Params};

use crate::behaviour::Behaviour;
pub use mutation::Mutation;

/// The mesh between agents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeshOptions {
    /// Milliseconds one way between two agents.
    pub delay_ms: u64,
    /// Up to this many milliseconds more.
    pub jitter_ms: u64,
    /// Thousandths of messages that are lost with their connection and come again when it is back.
    pub loss: u64,
    /// Milliseconds until then.
    pub retry_ms: [u64; 2],
    /// Thousandths of messages that are lost for good.
    pub drop: u64,
    /// Thousandths of messages that arrive twice.
    pub duplication: u64,
    /// Thousandths of fetches that fail although a holder is there.
    pub fetch_loss: u64,
    /// Milliseconds to check a fetched proof.
    pub check_ms: u64,
    /// Bandwidth of a fetch, in kilobits per second.
    pub bandwidth_kbps: u64,
    /// Thousandths of agents with slow links.
    pub slow: u64,
    /// How many times slower those are.
    pub slow_factor: u64,
    /// Thousandths of agents behind NAT: two of them reach each other through a relay, one hop more.
    pub nat: u64,
    /// Thousandths of L1 blocks at which one agent is cut off from all others.
    pub cut: u64,
    /// Milliseconds it stays cut off.
    pub cut_ms: [u64; 2],
    /// The mesh falls into this many groups; 0 or 1 for never.
    pub groups: u64,
    /// Milliseconds after the first reveal at which it does.
    pub groups_at_ms: u64,
    /// Milliseconds until it is whole again.
    pub groups_ms: u64,
}

/// Computers and the processes on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProverOptions {
    /// Deviation of the log-normal factor on proof times, in thousandths.
    pub spread: u64,
    /// Speed classes of agents: thousandths of them, and their time in thousandths of the usual.
    pub speeds: Vec<[u64; 2]>,
    /// Thousandths of proofs that fail.
    pub failure: u64,
    /// Thousandths of proofs that run out of memory, which takes half of their time to show.
    pub out_of_memory: u64,
    /// Milliseconds from a reveal until its plan is there.
    pub plan_ms: [u64; 2],
    /// Thousandths of agents that get their witnesses late.
    pub late_plan: u64,
    /// Milliseconds later.
    pub late_plan_ms: u64,
    /// One in this many actions is the last one before a crash; 0 for never.
    pub crash_every: u64,
    /// Thousandths of crashes right after a record that lose it: it was not acknowledged yet.
    pub torn: u64,
    /// Milliseconds from a crash to the restart.
    pub downtime_ms: [u64; 2],
    /// Thousandths of agents without the keys of the next circuit set, by which every second slot is
    /// then proved. Half of them have its verifying keys.
    pub no_keys: u64,
    /// Milliseconds after the first reveal at which they have all keys.
    pub keys_ms: [u64; 2],
}

/// When agents stop for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Milliseconds after the first reveal.
    After(u64),
    /// When half of the first block's subtree tops are made and hardly any is delivered.
    Worst,
    /// Half of them together, the others one by one, while the first block is proved.
    Scattered,
}

/// A share of all agents that stops for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kill {
    /// Thousandths of the agents.
    pub share: u64,
    /// When.
    pub at: Moment,
}

/// L1 and how transactions fare on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct L1Options {
    /// Thousandths of L1 slots without a block.
    pub missed: u64,
    /// Thousandths of L1 blocks that replace up to `reorg_depth` older ones.
    pub reorg: u64,
    /// Deepest reorg.
    pub reorg_depth: u64,
    /// Milliseconds until an agent hears of a block.
    pub lag_ms: [u64; 2],
    /// L1 blocks of its phase that a reveal lets pass.
    pub reveal_after: [u64; 2],
    /// L1 blocks that a settlement waits for inclusion.
    pub inclusion: [u64; 2],
    /// Thousandths of settlements sent into a fee spike.
    pub spike: u64,
    /// L1 blocks that they wait longer.
    pub spike_blocks: u64,
    /// Whether settlements of the first prover that sends one are never included.
    pub censor_first: bool,
}

/// How the sequencer of the second slot behaves (of the only one, if there is one).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sequencer {
    /// Reveals in time.
    Honest,
    /// Reveals a block whose data nobody gets.
    Withholds,
    /// Reveals in the last block of its phase.
    RevealsLate,
    /// Proposes and never reveals.
    NeverReveals,
    /// Its block holds one task that no lane can prove.
    ProverKiller,
    /// Its block holds one kernel that no lane of class rollup can prove.
    RollupKiller,
    /// Proves alone without saying so and settles at the end of the proving phase's first 60 %.
    AloneUndeclared,
    /// Says that it proves alone, and does (R14).
    AloneDeclared,
}

impl Sequencer {
    /// All kinds with their names in world files.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Honest, "honest"),
        (Self::Withholds, "withholds"),
        (Self::RevealsLate, "reveals-late"),
        (Self::NeverReveals, "never-reveals"),
        (Self::ProverKiller, "prover-killer"),
        (Self::RollupKiller, "rollup-killer"),
        (Self::AloneUndeclared, "alone-undeclared"),
        (Self::AloneDeclared, "alone-declared"),
    ];
}

/// What a world looks like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorldOptions {
    /// Number of agents, each one prover.
    pub agents: [u64; 2],
    /// Lanes of one agent.
    pub lanes: [u64; 2],
    /// Thousandths of the agents whose lanes are of class vm; the others' are of class rollup.
    pub vm: u64,
    /// Slots with a block.
    pub slots: u64,
    /// Txs of one block.
    pub txs: [u64; 2],
    /// Calls of one tx.
    pub calls: [u64; 2],
    /// Thousandths of worlds in which equal calls of different txs are one task.
    pub twins: u64,
    /// Whether txs with many calls come first.
    pub sorted: bool,
    /// The mesh.
    pub mesh: MeshOptions,
    /// Computers.
    pub prover: ProverOptions,
    /// Who stops for good.
    pub kills: Vec<Kill>,
    /// L1.
    pub l1: L1Options,
    /// The sequencer.
    pub sequencer: Sequencer,
    /// Dishonest kinds with thousandths of the agents that are of each.
    pub behaviours: Vec<(Behaviour, u64)>,
    /// Numbers of the protocol.
    pub params: Params,
    /// The mistake in every agent.
    pub mutation: Mutation,
}

/// Txs of a small block, as far as the core takes them.
const TXS: u64 = if protocol::tree::TXS_MAX < 32 { protocol::tree::TXS_MAX as u64 } else { 32 };
/// Usual milliseconds of every proof, and 30 units for it: the RFP's round figure.
pub(crate) const P50_MS: u64 = 30_000;

impl Default for WorldOptions {
    /// The standard world: 24 lanes in two classes, 32 txs with 0 to 3 calls, all faults.
    fn default() -> Self {
        let calm = Self::calm();
        Self {
            mesh: MeshOptions {
                delay_ms: 10,
                jitter_ms: 390,
                loss: 10,
                duplication: 10,
                fetch_loss: 20,
                slow: 100,
                slow_factor: 4,
                nat: 300,
                cut: 20,
                cut_ms: [2_000, 10_000],
                ..calm.mesh
            },
            prover: ProverOptions {
                spread: 100,
                speeds: vec![[300, 700], [200, 1_300]],
                failure: 10,
                out_of_memory: 5,
                crash_every: 4_000,
                torn: 500,
                ..calm.prover
            },
            kills: vec![Kill { share: 300, at: Moment::Scattered }],
            l1: L1Options { missed: 20, reorg: 60, reorg_depth: 3, spike: 50, ..calm.l1 },
            behaviours: vec![(Behaviour::Liar, 20)],
            ..calm
        }
    }
}

impl WorldOptions {
    /// Numbers of mainnet with the simulator's unit set: 30 for every kind but tx, and a proving
    /// window that no world of this size can miss, so that lapsing hides nothing.
    #[must_use]
    pub const fn params() -> Params {
        Params {
            l1_block_s: 12,
            genesis_block: 8,
            proving_blocks: 400,
            halting_blocks: 1,
            backup_blocks: 25,
            build_ahead_max: 7,
            p50_ms: [0, P50_MS, P50_MS, P50_MS, P50_MS, P50_MS],
            units: [0, 30, 30, 30, 30, 30],
            // One tx of three calls: 3 vm + 3 kernels + base.
            subtree_units: 210,
            ..Params::devnet()
        }
    }

    /// A small world without any fault: 24 lanes in two classes, blocks of up to 32 txs.
    #[must_use]
    pub fn calm() -> Self {
        let mesh = MeshOptions {
            delay_ms: 50,
            jitter_ms: 20,
            loss: 0,
            retry_ms: [500, 3_000],
            drop: 0,
            duplication: 0,
            fetch_loss: 0,
            check_ms: 20,
            bandwidth_kbps: 100_000,
            slow: 0,
            slow_factor: 4,
            nat: 0,
            cut: 0,
            cut_ms: [2_000, 60_000],
            groups: 0,
            groups_at_ms: 100_000,
            groups_ms: 30_000,
        };
        let prover = ProverOptions {
            spread: 0,
            speeds: Vec::new(),
            failure: 0,
            out_of_memory: 0,
            plan_ms: [300, 4_000],
            late_plan: 0,
            late_plan_ms: 0,
            crash_every: 0,
            torn: 0,
            downtime_ms: [100, 25_000],
            no_keys: 0,
            keys_ms: [3_600_000; 2],
        };
        let l1 = L1Options {
            missed: 0,
            reorg: 0,
            reorg_depth: 3,
            lag_ms: [100, 3_000],
            reveal_after: [0, 3],
            inclusion: [0, 2],
            spike: 0,
            spike_blocks: 5,
            censor_first: false,
        };
        Self {
            agents: [24, 24],
            lanes: [1, 1],
            vm: 500,
            slots: 2,
            txs: [TXS, TXS],
            calls: [0, 3],
            twins: 300,
            sorted: false,
            mesh,
            prover,
            kills: Vec::new(),
            l1,
            sequencer: Sequencer::Honest,
            behaviours: Vec::new(),
            params: Self::params(),
            mutation: Mutation::None,
        }
    }

    /// The world of the project's bars: 30 s proofs with 10 % log-normal spread, one block, one
    /// lane per prover, 1 % message loss, 50 ms delay. `vm_lanes` of the lanes are of class vm.
    #[must_use]
    pub fn bar(txs: u64, calls: u64, lanes: u64, vm_lanes: u64) -> Self {
        let calm = Self::calm();
        let mesh = MeshOptions { loss: 10, jitter_ms: 0, ..calm.mesh };
        let prover = ProverOptions { spread: 100, plan_ms: [500, 1_500], ..calm.prover };
        let l1 = L1Options { lag_ms: [100, 1_000], reveal_after: [1, 1], ..calm.l1 };
        let mut options = Self {
            agents: [lanes; 2],
            vm: (vm_lanes * 1000).div_ceil(lanes.max(1)).min(1000),
            slots: 1,
            txs: [txs; 2],
            calls: [calls; 2],
            twins: 0,
            mesh,
            prover,
            l1,
            ..calm
        };
        options.params.genesis_block = 4;
        options.params.hot_levels = 7;
        options.params.hot_copies = 3;
        // Four of five lanes may vanish: twelve copies die together once in eighteen times, eight
        // once in seven.
        options.params.replicas_subtree = 12;
        options.params.proving_blocks = options.proving_blocks(txs, calls, lanes, vm_lanes);
        options
    }

    /// The shortest proving phase, in L1 blocks, that admits this block (R3.3), within its bounds.
    fn proving_blocks(&self, txs: u64, calls: u64, lanes: u64, vm_lanes: u64) -> u64 {
        let p50_ms = self.params.p50(Kind::Merge);
        let depth = u64::from(txs.next_power_of_two().trailing_zeros());
        let way = depth + 1 + u64::from(0 < calls) + calls + 1;
        let work = txs * (2 * calls + 1) * p50_ms / lanes.max(1) + (depth + 1) * p50_ms;
        let vms = txs * calls * p50_ms / vm_lanes.max(1) + (way - 1) * p50_ms;
        let bound = work.max(way * p50_ms).max(if vm_lanes == 0 { 0 } else { vms });
        let needed_ms = bound * 12 / 10 + 2 * p50_ms;
        let blocks = needed_ms.div_ceil(self.params.l1_block_s * 1000);
        (blocks + self.params.settle_margin_blocks).max(64)
    }
}
