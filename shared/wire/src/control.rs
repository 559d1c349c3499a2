//! The control API: what an agent tells the console and scripts over its Unix socket.
//!
//! A frame is a big-endian `u32` length and JSON, at most [`TO_AGENT_MAX`] bytes towards the agent
//! and [`FROM_AGENT_MAX`] from it. Unknown fields are ignored and missing ones are defaulted, so
//! that versions may differ. Amounts are decimal strings of base units; ids are 0x-hex.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::DecodeError;

/// Version of this API; a reader shows a newer agent read-only.
pub const SCHEMA: u32 = 1;
/// Longest request, in bytes.
pub const TO_AGENT_MAX: u32 = 64 * 1024;
/// Longest reply, in bytes.
pub const FROM_AGENT_MAX: u32 = 1024 * 1024;

/// What a client may ask.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Request {
    /// One [`Snapshot`], now.
    Status,
    /// A [`Snapshot`] now and after every change, at most `max_hz` times a second.
    Subscribe {
        /// Upper limit of updates per second, 1 to 10.
        max_hz: u8,
    },
    /// A client's signed tx for the sequencer's mempool: hex of the tx as in a block's data.
    SubmitTx {
        /// Hex, without 0x.
        tx: String,
    },
    /// Claim every open payout of this agent's payee (anyone may; it pays the payee).
    Claim {
        /// The slot, or all settled slots if none.
        slot: Option<u64>,
        /// Whom to pay, 0x-hex; the agent's own payee if none.
        #[serde(default)]
        payee: Option<String>,
    },
    /// From now on, disturb what this process sends on the mesh. For a devnet's supervisor: every
    /// other network refuses it.
    Disturb {
        /// Milliseconds by which each datagram leaves later.
        delay_ms: u64,
        /// `ip:port` of peers that nothing is sent to.
        cut: Vec<String>,
    },
}

/// What the agent answers: one line of these per frame.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The state as of `Snapshot::at_ms`.
    Snapshot(Box<Snapshot>),
    /// The request was carried out.
    Accepted {
        /// What was done, in one sentence.
        text: String,
    },
    /// The request was refused; nothing was done.
    Refused {
        /// Stable code.
        code: String,
        /// One sentence with the value, the limit and the remedy.
        text: String,
    },
}

/// Everything the screens show.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// [`SCHEMA`] of the agent.
    pub schema: u32,
    /// Grows with every change.
    pub seq: u64,
    /// Agent's Unix milliseconds when this was true.
    pub at_ms: u64,
    /// Agent's version.
    pub version: String,
    /// Its name, such as `agent-1`.
    pub name: String,
    /// Network name and chain id, such as `devnet (31337)`.
    pub network: String,
    /// True when the data comes from a simulated world: every screen must say so.
    pub simulated: bool,
    /// True when the setup is the devnet's insecure one: every screen must say so.
    pub insecure_setup: bool,
    /// `starting`, `loading_keys`, `syncing`, `idle`, `proving`, `stopping`.
    pub phase: String,
    /// Why nothing is being proved, if so: a stable code such as `IDLE-NO-BLOCK`.
    pub idle_code: Option<String>,
    /// The same in one sentence.
    pub idle_text: Option<String>,
    /// `ok`, `degraded`, `at_risk`, `not_working`.
    pub health: String,
    /// The newest slots, oldest first, at most 16; the last unsettled one is the current one.
    pub slots: Vec<SlotView>,
    /// This agent's lanes.
    pub lanes: Vec<LaneView>,
    /// This agent's tasks (claimed, running, made), newest first, at most 64.
    pub tasks: Vec<TaskView>,
    /// Money earned.
    pub earnings: Earnings,
    /// Bond and registration.
    pub stake: Stake,
    /// Other agents and sequencers.
    pub peers: Vec<PeerView>,
    /// The machine.
    pub machine: Machine,
    /// L1 as this agent sees it.
    pub l1: L1View,
    /// What needs the operator, worst first.
    pub alerts: Vec<Alert>,
    /// What happened, newest first, at most 64.
    pub events: Vec<Event>,
}

/// One slot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotView {
    /// Number.
    pub slot: u64,
    /// `proposal`, `reveal`, `proving`, `settling`, `settled`, `lapsed`, `refused`.
    pub phase: String,
    /// Named phases with their ends, in order.
    pub phases: Vec<PhaseView>,
    /// Sequencer's registry index, once one proposed.
    pub sequencer: Option<u32>,
    /// Block id, once revealed.
    pub block: Option<String>,
    /// Number of txs.
    pub txs: u16,
    /// Unix milliseconds of the reveal's L1 block.
    pub revealed_ms: Option<u64>,
    /// Unix milliseconds of the end of the proving phase.
    pub deadline_ms: Option<u64>,
    /// When the root is expected, if all goes on as now.
    pub eta_ms: Option<u64>,
    /// Unix milliseconds of the settlement.
    pub settled_ms: Option<u64>,
    /// The proof tree: every node of the block in tree order (txs left to right, then merges, root).
    pub nodes: Vec<NodeView>,
    /// The block's subtrees and who is dealt them.
    pub subtrees: Vec<SubtreeView>,
    /// Pool of the settled slot in base units.
    pub pool: Option<String>,
    /// Who is paid for the settled slot, as far as the credit records are held here.
    pub payees: Vec<PayeeView>,
}

/// One payee of a settled slot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PayeeView {
    /// 0x-hex.
    pub address: String,
    /// Units credited.
    pub units: u64,
    /// Base units of the token, over all its records.
    pub amount: String,
}

/// One phase of a slot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseView {
    /// `proposal`, `reveal`, `proving`, `settle`.
    pub name: String,
    /// Start, Unix milliseconds (expected, if in the future).
    pub start_ms: u64,
    /// End, Unix milliseconds (expected, if in the future).
    pub end_ms: u64,
    /// `todo`, `now`, `ok`, `missed`.
    pub state: String,
}

/// One node of a proof tree.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeView {
    /// `tx`, `vm`, `kernel`, `base`, `merge`, `root`. A tree has many nodes: their words are not
    /// copied.
    pub kind: Cow<'static, str>,
    /// Merge level, 0 otherwise.
    pub level: u8,
    /// Index within the level, or the tx's.
    pub index: u32,
    /// The call within its tx.
    pub call: u16,
    /// `todo`, `ready`, `claimed`, `proving`, `made`, `delivered`; a `tx` is `made`.
    pub state: Cow<'static, str>,
    /// Prover of the claim or proof; none of a `tx`, which its client made.
    pub prover: Option<u32>,
    /// True if it is this agent's.
    pub mine: bool,
    /// Unix milliseconds of the last change.
    pub since_ms: u64,
    /// CPU milliseconds of the proof, once made.
    pub cpu_ms: Option<u32>,
    /// Peak memory in MB, once made.
    pub peak_mb: Option<u32>,
}

/// A dealt piece of the tree.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubtreeView {
    /// Index from left to right.
    pub index: u32,
    /// First and last tx.
    pub first_tx: u32,
    /// Last tx, inclusive.
    pub last_tx: u32,
    /// Rank 0: `prover.lane`.
    pub lane: String,
    /// True if dealt to this agent.
    pub mine: bool,
    /// Proofs made.
    pub made: u32,
    /// Proofs in all.
    pub tasks: u32,
    /// Its place in the time left: positive is good.
    pub slack_ms: Option<i64>,
}

/// One lane of this agent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LaneView {
    /// `prover.lane`.
    pub lane: String,
    /// `rollup` or `vm`.
    pub class: String,
    /// `idle`, `waiting_inputs`, `waiting_machine`, `proving`.
    pub state: String,
    /// The node it works on, as text.
    pub node: Option<String>,
    /// Phase of the running proof: `loading key`, `witness`, `proving`, `verifying`.
    pub step: Option<String>,
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
    /// Usual milliseconds of this kind.
    pub usual_ms: Option<u64>,
}

/// One task of this agent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskView {
    /// Slot.
    pub slot: u64,
    /// The node, as text: `merge/1.0`.
    pub node: String,
    /// Task id.
    pub task: String,
    /// Number of the claim.
    pub seq: u64,
    /// `claimed`, `proving`, `made`, `delivered`, `released`, `lost`, `capped`, `reverted`.
    pub state: String,
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
    /// CPU milliseconds, once made.
    pub cpu_ms: Option<u32>,
    /// Peak memory in MB, once made.
    pub peak_mb: Option<u32>,
}

/// Money earned by this agent's payee.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Earnings {
    /// Who is paid.
    pub payee: String,
    /// Symbol of the token.
    pub token: String,
    /// Decimals of the token.
    pub decimals: u8,
    /// Earned and not claimed.
    pub claimable: String,
    /// Claimed so far.
    pub paid: String,
    /// Per settled slot, newest first, at most 64.
    pub slots: Vec<SlotEarning>,
}

/// Earnings of one settled slot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotEarning {
    /// Slot.
    pub slot: u64,
    /// Units credited to this payee.
    pub units: u64,
    /// Units of the whole slot.
    pub units_all: u64,
    /// Base units of the token.
    pub amount: String,
    /// `claimable`, `sent`, `paid`.
    pub state: String,
    /// Number of proofs of this payee.
    pub proofs: u32,
}

/// Bond and registration.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stake {
    /// `none`, `registered`, `active`.
    pub state: String,
    /// Registry index.
    pub prover: Option<u32>,
    /// Operator address (signs messages).
    pub operator: String,
    /// Bond in base units.
    pub bond: String,
    /// Bond needed per lane in base units.
    pub bond_per_lane: String,
    /// Lanes of class rollup.
    pub rollup_lanes: u16,
    /// Lanes of class vm.
    pub vm_lanes: u16,
    /// Slashed so far in base units.
    pub slashed: String,
    /// Ether of the operator for gas, in wei.
    pub gas_wei: String,
    /// First slot at which the lanes are dealt work.
    pub active_from_slot: Option<u64>,
}

/// Another agent or sequencer.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerView {
    /// Mesh key.
    pub key: String,
    /// `prover 2` or `sequencer 0`.
    pub who: String,
    /// Address last used.
    pub address: String,
    /// Whether connected now.
    pub connected: bool,
    /// Milliseconds of round trip.
    pub rtt_ms: Option<u32>,
    /// Last frame, Unix milliseconds.
    pub last_ms: u64,
    /// Messages received and accepted.
    pub received: u64,
    /// Messages refused.
    pub refused: u64,
    /// Whether its lanes are declared lost in the current slot.
    pub lost: bool,
}

/// The machine the agent runs on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Use of all cores, 0 to 100.
    pub cpu_percent: u8,
    /// Cores.
    pub cores: u16,
    /// Memory in use, MB.
    pub ram_used_mb: u64,
    /// Memory, MB.
    pub ram_mb: u64,
    /// Free disk of the data folder, MB.
    pub disk_free_mb: u64,
    /// Proofs made since start.
    pub proofs: u64,
    /// Proofs failed since start.
    pub failed: u64,
    /// Uptime, seconds.
    pub uptime_s: u64,
}

/// L1 as the agent sees it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct L1View {
    /// Newest block.
    pub number: u64,
    /// Its time, Unix seconds.
    pub time_s: u64,
    /// When the agent last heard from L1, Unix milliseconds.
    pub seen_ms: u64,
    /// Endpoint, without credentials.
    pub endpoint: String,
    /// Undone blocks since start.
    pub reorged: u64,
}

/// Something the operator should do.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// `critical`, `warning`, `info`.
    pub level: String,
    /// Stable code.
    pub code: String,
    /// One sentence with the remedy.
    pub text: String,
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// `chain`, `claim`, `proof`, `mesh`, `money`, `operator`.
    pub source: String,
    /// One sentence.
    pub text: String,
}

/// The bytes of a frame: u32 big-endian length and JSON. `max` is [`TO_AGENT_MAX`] or
/// [`FROM_AGENT_MAX`].
///
/// # Errors
/// [`DecodeError::TooLong`] above `max`.
pub fn to_frame<T: Serialize>(value: &T, max: u32) -> Result<Vec<u8>, DecodeError> {
    let json = serde_json::to_vec(value)
        .map_err(|_| DecodeError::Malformed { what: FRAME, why: "it cannot be encoded" })?;
    let len = u32::try_from(json.len()).unwrap_or(u32::MAX);
    body_len(len.to_be_bytes(), max)?;
    Ok([&len.to_be_bytes(), json.as_slice()].concat())
}

/// The length of the JSON that follows a frame's first four bytes.
///
/// # Errors
/// [`DecodeError::TooLong`] above `max`: the reader closes the connection.
pub const fn body_len(header: [u8; 4], max: u32) -> Result<usize, DecodeError> {
    let len = u32::from_be_bytes(header);
    if len > max {
        return Err(DecodeError::TooLong { what: FRAME, len: len as usize, max: max as usize });
    }
    Ok(len as usize)
}

/// Reads the JSON of a frame.
///
/// # Errors
/// [`DecodeError::Malformed`] if it is not a `T`.
pub fn from_body<T: for<'a> Deserialize<'a>>(json: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(json)
        .map_err(|_| DecodeError::Malformed { what: FRAME, why: "not the JSON of this API" })
}

const FRAME: &str = "control frame of the socket";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_round_trip_and_unknown_fields_are_ignored() {
        let frame = to_frame(&Request::Subscribe { max_hz: 4 }, TO_AGENT_MAX).unwrap();
        let (header, json) = frame.split_at(4);
        assert_eq!(body_len(header.try_into().unwrap(), TO_AGENT_MAX), Ok(json.len()));
        assert_eq!(from_body(json), Ok(Request::Subscribe { max_hz: 4 }));

        let newer = br#"{"reply":"snapshot","seq":7,"colour":"blue"}"#;
        let snapshot = Snapshot { seq: 7, ..Snapshot::default() };
        assert_eq!(from_body(newer), Ok(Reply::Snapshot(Box::new(snapshot))));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_both_ends() {
        let long = Request::SubmitTx { tx: "0".repeat(TO_AGENT_MAX as usize) };
        assert_eq!(to_frame(&long, TO_AGENT_MAX).unwrap_err().code(), "WIR-001");
        let header = (TO_AGENT_MAX + 1).to_be_bytes();
        assert_eq!(body_len(header, TO_AGENT_MAX).unwrap_err().code(), "WIR-001");
    }
}
