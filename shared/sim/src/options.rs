//! What a world looks like: its size, its faults, and the one mistake it may contain.

use protocol::Params;

/// A mistake built into the shell of every agent, to prove that the checks see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// Nothing: the shell does what it must.
    None,
    /// Records are written after the other actions of a step.
    SpeakBeforePersist,
    /// The last record before a crash is lost although it was acknowledged.
    LoseLastRecord,
    /// A restarted agent begins with an empty journal.
    ForgetJournal,
    /// Loss notices are not delivered.
    DeafToLosses,
    /// Beats are not sent.
    NoBeats,
    /// Undone L1 blocks are not reported.
    IgnoreUndo,
    /// Fetched proofs are accepted without a check.
    AcceptEverything,
    /// A proof starts without waiting for its children.
    DropChildren,
}

impl Mutation {
    /// Every mistake.
    pub const ALL: [Self; 8] = [
        Self::SpeakBeforePersist,
        Self::LoseLastRecord,
        Self::ForgetJournal,
        Self::DeafToLosses,
        Self::NoBeats,
        Self::IgnoreUndo,
        Self::AcceptEverything,
        Self::DropChildren,
    ];
}

/// What a world looks like. Ranges are inclusive; the seed picks within them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorldOptions {
    /// Number of agents.
    pub agents: [u64; 2],
    /// Lanes of one agent.
    pub lanes: [u64; 2],
    /// Slots with a block.
    pub slots: u64,
    /// Txs of one block.
    pub txs: [u64; 2],
    /// Calls of one tx.
    pub calls: [u64; 2],
    /// Milliseconds a message takes.
    pub delay_ms: [u64; 2],
    /// Thousandths of messages whose connection breaks; both ends repeat what they hold when it
    /// is back.
    pub loss: u64,
    /// Thousandths of messages that arrive twice.
    pub duplication: u64,
    /// Thousandths of fetches that fail although a holder is there.
    pub fetch_loss: u64,
    /// One in this many actions is the last one before a crash; 0 for never.
    pub crash_every: u64,
    /// Milliseconds from a crash to the restart.
    pub downtime_ms: [u64; 2],
    /// Thousandths of L1 blocks that replace up to `reorg_depth` older ones.
    pub reorg: u64,
    /// Deepest reorg.
    pub reorg_depth: u64,
    /// Thousandths of the agents that stop for good while the first block is proved.
    pub stopped: u64,
    /// Thousandths of proofs that fail.
    pub prove_failure: u64,
    /// Duration of a proof in thousandths of its usual time.
    pub duration: [u64; 2],
    /// Thousandths of worlds in which one agent announces proofs that do not verify.
    pub liar: u64,
    /// Numbers of the protocol.
    pub params: Params,
    /// The mistake of the shell.
    pub mutation: Mutation,
}

/// Usual milliseconds of every proof, and 30 units for it: the RFP's round figure.
const P50_MS: u64 = 30_000;

impl Default for WorldOptions {
    /// The acceptance world: loss, crashes between any two actions, reorgs, and half of the
    /// provers stopped for good.
    fn default() -> Self {
        Self {
            agents: [6, 8],
            lanes: [1, 2],
            slots: 2,
            txs: [2, 8],
            calls: [0, 3],
            delay_ms: [10, 400],
            loss: 5,
            duplication: 10,
            fetch_loss: 20,
            crash_every: 2_000,
            downtime_ms: [100, 25_000],
            reorg: 60,
            reorg_depth: 3,
            stopped: 500,
            prove_failure: 10,
            duration: [700, 1_400],
            liar: 200,
            params: Self::params(),
            mutation: Mutation::None,
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
            genesis_block: 80,
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

    /// A world without any fault.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            loss: 0,
            duplication: 0,
            fetch_loss: 0,
            crash_every: 0,
            reorg: 0,
            stopped: 0,
            prove_failure: 0,
            liar: 0,
            ..Self::default()
        }
    }
}
