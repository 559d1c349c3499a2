//! The closed lists: everything that can enter the machine and everything that can leave it.
//!
//! Actions are performed in order. `Persist` is durable before anything after it happens; a crash
//! may fall between any two. Slow work is an action and comes back as an input that names its
//! task. Late, repeated or unasked inputs are legal and change nothing.

use std::sync::Arc;

use crate::domain::{
    Address, BlobId, BlockId, Credit, Hash, LaneId, Node, ProverId, SequencerId, Slot, StatementId,
    TaskId, Word,
};

/// Everything that can happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A canonical L1 block, in order, each on top of the last.
    L1Block {
        /// Height.
        number: u64,
        /// Its hash.
        hash: Hash,
        /// Hash of the block before it.
        parent: Hash,
        /// Unix seconds.
        time: u64,
        /// RANDAO mix, the seed of deals (R2.2).
        randao: Hash,
        /// Our contracts' events, in log order.
        events: Vec<L1Event>,
    },
    /// The newest L1 block left the canonical chain (R12.2).
    L1Undo {
        /// Its hash, which must be the newest one known.
        hash: Hash,
    },
    /// A revealed block was executed and checked; these are its tasks in tree order.
    Planned {
        /// Which block.
        block: BlockId,
        /// What it asks for.
        plan: BlockPlan,
    },
    /// A revealed block failed its check: it is not worked on (`BLK-001`).
    Refused {
        /// Which block.
        block: BlockId,
    },
    /// A peer's message whose signature was checked against the registry.
    Peer {
        /// The prover whose operator key signed it.
        from: ProverId,
        /// What it says.
        message: Message,
    },
    /// News from this agent's own prover processes.
    Prover(ProverEvent),
    /// A peer's proof was fetched and passed every acceptance rule.
    Accepted {
        /// What the proof is of.
        task: TaskId,
        /// What it says.
        statement: StatementId,
        /// Where it is stored.
        blob: BlobId,
        /// Its credit record (R8).
        credit: Credit,
    },
    /// A fetched blob was missing, or its proof was refused.
    FetchFailed {
        /// Which blob.
        blob: BlobId,
        /// Whether it came and its proof does not pass: no copy of it ever will.
        refused: bool,
    },
    /// What one of our lanes is able to, as measured by the shell (R5.6).
    Able {
        /// The lane.
        lane: LaneId,
        /// Its time for a proof in thousandths of the usual one.
        permille: u64,
        /// Stable code of what keeps it from claiming anything, such as too little free memory.
        blocked: Option<&'static str>,
    },
    /// Whether one of our lanes can prove a circuit set: its keys came, or are missing (R13.1).
    Keys {
        /// The lane.
        lane: LaneId,
        /// The set.
        set: Word,
        /// Whether it can; it can until this says otherwise.
        able: bool,
    },
    /// The deadline passed.
    Tick,
}

/// What execution found that a block asks for. Cheap to clone: machines share it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockPlan {
    /// Number of public calls of each tx, in order.
    pub calls: Arc<[u8]>,
    /// Every prover-made task of the block.
    pub tasks: Arc<[PlannedTask]>,
}

/// A task as execution finds it (R3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedTask {
    /// Where it stands in the block's tree.
    pub node: Node,
    /// What is to be proved.
    pub task: TaskId,
}

/// News from a prover process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProverEvent {
    /// All inputs are there and the child process runs.
    Started {
        /// Which task.
        task: TaskId,
    },
    /// A proof was made, checked by our own acceptance rules and stored.
    Made {
        /// Which task.
        task: TaskId,
        /// What the proof says.
        statement: StatementId,
        /// Where it is stored.
        blob: BlobId,
        /// Its credit record.
        credit: Credit,
        /// CPU milliseconds it took.
        cpu_ms: u32,
        /// Peak memory of the child, in MB.
        peak_mb: u32,
    },
    /// No proof: inputs missing, witness refused, out of memory, killed.
    Failed {
        /// Which task.
        task: TaskId,
        /// Stable code of the reason, such as `PRV-066`.
        why: &'static str,
    },
}

/// Events of our contracts that the machine follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum L1Event {
    /// A prover bonded lanes (R1).
    ProverRegistered {
        /// Index in the registry.
        prover: ProverId,
        /// Signs protocol messages.
        operator: Address,
        /// Mesh identity (Ed25519).
        mesh_key: [u8; 32],
        /// Who its proofs pay.
        payout: Address,
        /// Lanes of class rollup.
        rollup: u16,
        /// Lanes of class vm.
        vm: u16,
    },
    /// A prover leaves: its lanes keep their duty until the next epoch's set is read (R1.3).
    ProverLeft {
        /// Index in the registry.
        prover: ProverId,
    },
    /// The leader named who coordinates its block, or that it proves alone (R2.6, R14).
    Named {
        /// Which slot.
        slot: Slot,
        /// The named prover.
        prover: ProverId,
        /// Whether it proves alone: then nobody is dealt anything.
        alone: bool,
    },
    /// A sequencer registered.
    SequencerRegistered {
        /// Index in the registry.
        sequencer: SequencerId,
        /// Its L1 address.
        owner: Address,
        /// Mesh identity.
        mesh_key: [u8; 32],
    },
    /// A slot's seed was shown (R2.2).
    Seed {
        /// Which slot.
        slot: Slot,
        /// RANDAO of the exact block.
        seed: Hash,
    },
    /// A proposal is the best so far (R2.3).
    Proposed {
        /// Which slot.
        slot: Slot,
        /// By whom.
        sequencer: SequencerId,
        /// Commitment to the block.
        commitment: Hash,
        /// VRF score; highest wins.
        score: Hash,
    },
    /// The winner's block is on L1 (R2.3).
    Revealed {
        /// Which slot.
        slot: Slot,
        /// keccak of the data.
        block: BlockId,
        /// The commitment it opened.
        commitment: Hash,
        /// Claimed Poseidon commitment of the tx list.
        txs: Word,
        /// Number of txs.
        count: u16,
        /// The circuit set that it named (R13).
        set: Word,
    },
    /// The root proof was accepted (R9).
    Settled {
        /// Which slot.
        slot: Slot,
        /// State root afterwards.
        end: Word,
        /// Credit root.
        credit: Word,
        /// Payee of the root proof.
        payee: Address,
        /// Units of the whole tree.
        units: u64,
        /// What they share, in base units of the token.
        pool: u128,
    },
    /// A payee was paid for one credit record.
    Paid {
        /// Which slot.
        slot: Slot,
        /// Heap index in the credit tree, root 1.
        position: u64,
        /// Who.
        payee: Address,
        /// Base units of the token.
        amount: u128,
    },
}

/// How a lane's previous claim ended, as the next claim says it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Previous {
    /// This is the lane's first claim.
    None = 0,
    /// Proof acknowledged by enough holders (R5.2).
    Delivered = 1,
    /// Given back (R5.5).
    Released = 2,
    /// The lane was declared lost (R5.3).
    Lost = 3,
    /// Ran into the claim's cap (R5.1).
    Capped = 4,
    /// Its block left the chain (R12.2).
    Reverted = 5,
}

/// How one of our claims ended: [`Previous`] without `None`.
pub type Ended = Previous;

/// Signed messages between lanes (slice section 6). Fields are in the order they are signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Message {
    /// "I am making this proof" (R5.1).
    Claim {
        /// The task.
        task: TaskId,
        /// The claiming lane.
        lane: LaneId,
        /// In which slot.
        slot: Slot,
        /// The lane's claim number, from 1, never used twice.
        seq: u64,
        /// How many claims on this task ended without a proof before.
        attempt: u32,
        /// How the lane's previous claim ended.
        previous: Previous,
    },
    /// "I give this claim back" (R5.5).
    Release {
        /// The task.
        task: TaskId,
        /// The lane.
        lane: LaneId,
        /// In which slot.
        slot: Slot,
        /// Number of the claim.
        seq: u64,
        /// Whether a proof was tried and failed: this counts towards quarantine (R5.3).
        failed: bool,
    },
    /// "I am alive" (R5.3).
    Beat {
        /// The lane.
        lane: LaneId,
        /// In which slot.
        slot: Slot,
        /// Number of the beat: Unix milliseconds / beat interval, so that it rises for ever.
        n: u64,
        /// What it works on; zero if idle.
        task: TaskId,
    },
    /// "That lane's beats stopped" (R5.3).
    Loss {
        /// The silent lane.
        lane: LaneId,
        /// In which slot.
        slot: Slot,
        /// The lane that says so.
        watcher: LaneId,
        /// The last beat seen.
        last_beat: u64,
    },
    /// "Here is a proof" (R5.2).
    Made {
        /// The task.
        task: TaskId,
        /// What the proof says.
        statement: StatementId,
        /// Its blob.
        blob: BlobId,
        /// The maker.
        lane: LaneId,
        /// In which slot.
        slot: Slot,
        /// Number of the claim it fulfils.
        seq: u64,
        /// CPU milliseconds.
        cpu_ms: u32,
        /// Peak memory in MB.
        peak_mb: u32,
    },
    /// "I hold a checked copy" (R5.2).
    Held {
        /// Of what.
        statement: StatementId,
        /// The holder.
        lane: LaneId,
        /// In which slot.
        slot: Slot,
    },
    /// "I can, or cannot, prove this circuit set" (R13.1).
    Advert {
        /// The lane.
        lane: LaneId,
        /// In which slot.
        slot: Slot,
        /// The slot's set.
        set: Word,
        /// Number of the word: Unix milliseconds, so that it rises for ever.
        n: u64,
        /// Whether it can. Who says nothing can.
        able: bool,
    },
}

impl Message {
    /// The slot it is about.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match *self {
            Self::Claim { slot, .. }
            | Self::Release { slot, .. }
            | Self::Beat { slot, .. }
            | Self::Loss { slot, .. }
            | Self::Made { slot, .. }
            | Self::Held { slot, .. }
            | Self::Advert { slot, .. } => slot,
        }
    }
    /// The lane that speaks: its prover must have signed.
    #[must_use]
    pub const fn speaker(&self) -> LaneId {
        match *self {
            Self::Claim { lane, .. }
            | Self::Release { lane, .. }
            | Self::Beat { lane, .. }
            | Self::Loss { watcher: lane, .. }
            | Self::Made { lane, .. }
            | Self::Held { lane, .. }
            | Self::Advert { lane, .. } => lane,
        }
    }
}

/// What must be durable before it is spoken (R5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// A claim is about to be signed.
    Claimed {
        /// The task.
        task: TaskId,
        /// The lane.
        lane: LaneId,
        /// The slot.
        slot: Slot,
        /// The lane's claim number.
        seq: u64,
        /// Attempts before.
        attempt: u32,
    },
    /// A claim ended.
    Ended {
        /// The lane.
        lane: LaneId,
        /// Number of the claim.
        seq: u64,
        /// How.
        how: Ended,
    },
    /// Our own proof is stored.
    Made {
        /// The task.
        task: TaskId,
        /// What it says.
        statement: StatementId,
        /// Its blob.
        blob: BlobId,
        /// Its credit record.
        credit: Credit,
        /// CPU milliseconds.
        cpu_ms: u32,
        /// Peak memory in MB.
        peak_mb: u32,
    },
    /// Somebody's checked proof is stored.
    Held {
        /// The task.
        task: TaskId,
        /// What it says.
        statement: StatementId,
        /// Its blob.
        blob: BlobId,
        /// Its credit record.
        credit: Credit,
    },
    /// A slot is settled: its records can be pruned at finality.
    Settled {
        /// Which slot.
        slot: Slot,
    },
}

/// Whom a message is for. A mesh that floods may deliver it to more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audience {
    /// Everybody in the slot's epoch.
    Everyone,
    /// These provers, in ascending order.
    Provers(Vec<ProverId>),
}

/// What the machine wants done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Make durable before anything after it.
    Persist(Record),
    /// Sign and send to the mesh.
    Send {
        /// What we say.
        message: Message,
        /// To whom.
        to: Audience,
    },
    /// Pass on, as it was signed by its speaker, to those who may not have heard it. A mesh that
    /// floods has done so already.
    Relay {
        /// What somebody else said.
        message: Message,
        /// To whom.
        to: Audience,
    },
    /// Fetch a proof blob, check it, answer with `Accepted` or `FetchFailed`.
    Fetch {
        /// What to fetch.
        blob: BlobId,
        /// What the proof must be of.
        task: TaskId,
        /// Who said it has it, first choice first.
        from: Vec<ProverId>,
    },
    /// Prove this task, from these accepted children (in tree order, `vm` last).
    Prove {
        /// The block it belongs to.
        block: BlockId,
        /// Where it stands.
        node: Node,
        /// The task.
        task: TaskId,
        /// The lane that claimed it.
        lane: LaneId,
        /// Who is paid.
        payee: Address,
        /// Blobs of the children's proofs: tree child or left first, then vm or right.
        children: Vec<BlobId>,
    },
    /// Stop proving this task.
    Abandon {
        /// Which.
        task: TaskId,
    },
    /// Send the root proof to L1.
    SubmitRoot {
        /// The slot.
        slot: Slot,
        /// What the root proof says.
        statement: StatementId,
        /// The root's proof blob.
        blob: BlobId,
    },
    /// Tell the operator (a code of `assets/docs/operating.md`).
    Note {
        /// Stable code, such as `CLM-001`.
        code: &'static str,
        /// One sentence with the values.
        text: String,
    },
}

impl Action {
    /// Says something to everybody.
    #[must_use]
    pub const fn to_all(message: Message) -> Self {
        Self::Send { message, to: Audience::Everyone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> [Message; 7] {
        let (task, statement, blob) = (TaskId([1; 32]), StatementId([2; 32]), BlobId([3; 32]));
        let (lane, slot, seq) = (LaneId::new(ProverId(4), 1), Slot(9), 5);
        let watcher = LaneId::new(ProverId(6), 0);
        [
            Message::Claim { task, lane, slot, seq, attempt: 0, previous: Previous::None },
            Message::Release { task, lane, slot, seq, failed: false },
            Message::Beat { lane, slot, n: 7, task },
            Message::Loss { lane, slot, watcher, last_beat: 7 },
            Message::Made { task, statement, blob, lane, slot, seq, cpu_ms: 1, peak_mb: 2 },
            Message::Held { statement, lane, slot },
            Message::Advert { lane, slot, set: [8; 32], n: 7, able: false },
        ]
    }

    #[test]
    fn every_message_is_about_one_slot() {
        assert!(messages().iter().all(|it| it.slot() == Slot(9)));
    }

    #[test]
    fn a_loss_notice_is_spoken_by_its_watcher_and_all_else_by_its_lane() {
        for message in messages() {
            let expected = if matches!(message, Message::Loss { .. }) { 6 } else { 4 };
            assert_eq!(message.speaker().prover(), ProverId(expected), "{message:?}");
        }
    }

    #[test]
    fn ends_of_claims_keep_their_numbers() {
        use Previous::{Capped, Delivered, Lost, None, Released, Reverted};
        let numbers = [None, Delivered, Released, Lost, Capped, Reverted].map(|it| it as u8);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }
}
