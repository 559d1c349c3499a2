//! What the seven messages hash to, so that a signed one can be evidence on L1.
//!
//! The digest is EIP-712 typed data in the domain {name coppice, version 1, chain id, Registry}:
//! a contract recomputes it from the fields, and a message of one chain means nothing on another.
//! A message's id is its digest: who says the same twice says it once.

use protocol::{
    Address, BlobId, Hash, LaneId, Message, Previous, Slot, StatementId, TaskId,
    assign::keccak::keccak256,
};
use serde::{Deserialize, Serialize};

use crate::error::DecodeError;

const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const CLAIM_TYPE: &str =
    "Claim(bytes32 task,uint64 lane,uint64 slot,uint64 seq,uint32 attempt,uint8 previous)";
const RELEASE_TYPE: &str = "Release(bytes32 task,uint64 lane,uint64 slot,uint64 seq,bool failed)";
const BEAT_TYPE: &str = "Beat(uint64 lane,uint64 slot,uint64 n,bytes32 task)";
const LOSS_TYPE: &str = "Loss(uint64 lane,uint64 slot,uint64 watcher,uint64 lastBeat)";
const MADE_TYPE: &str = "Made(bytes32 task,bytes32 statement,bytes32 blob,uint64 lane,\
                         uint64 slot,uint64 seq,uint32 cpuMs,uint32 peakMb)";
const HELD_TYPE: &str = "Held(bytes32 statement,uint64 lane,uint64 slot)";
const ADVERT_TYPE: &str = "Advert(bytes32 set,uint64 lane,uint64 slot,uint64 n,bool able)";

/// Most fields of a message, the type's hash included: those of `Made`, 1 + 8.
const WORDS_MAX: usize = 9;

/// The word that a piece of text or a fixed string hashes to.
fn keccak(bytes: &[u8]) -> [u8; 32] {
    keccak256(&[bytes]).0
}

/// The network a signature is for: chain and Registry, hashed once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Domain {
    chain_id: u64,
    registry: Address,
    separator: [u8; 32],
}

impl Domain {
    /// The domain of the deployment whose Registry stands at `registry` on `chain_id`.
    #[must_use]
    pub fn new(chain_id: u64, registry: Address) -> Self {
        let mut words = Words::of(DOMAIN_TYPE);
        words.bytes(keccak(b"coppice"));
        words.bytes(keccak(b"1"));
        words.number(chain_id);
        words.address(registry);
        Self { chain_id, registry, separator: words.hash() }
    }

    /// EIP-155 chain id.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Address of the Registry contract.
    #[must_use]
    pub const fn registry(&self) -> Address {
        self.registry
    }

    /// The message's id, which is what its signature is over: keccak(0x1901 ‖ domain ‖ struct).
    #[must_use]
    pub fn digest(&self, message: &Message) -> Hash {
        let mut bytes = [0; 2 + 32 + 32];
        bytes[..2].copy_from_slice(&[0x19, 0x01]);
        bytes[2..34].copy_from_slice(&self.separator);
        bytes[34..].copy_from_slice(&struct_hash(message));
        Hash(keccak(&bytes))
    }
}

/// The words that a struct hash is over, in a buffer of fixed size.
struct Words {
    bytes: [u8; 32 * WORDS_MAX],
    len: usize,
}

impl Words {
    fn of(type_name: &str) -> Self {
        let mut words = Self { bytes: [0; 32 * WORDS_MAX], len: 0 };
        words.bytes(keccak(type_name.as_bytes()));
        words
    }

    fn bytes(&mut self, word: [u8; 32]) {
        self.bytes[self.len..self.len + 32].copy_from_slice(&word);
        self.len += 32;
    }

    fn number(&mut self, number: u64) {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&number.to_be_bytes());
        self.bytes(word);
    }

    fn numbers(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.number(*number));
    }

    fn address(&mut self, address: Address) {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&address.0);
        self.bytes(word);
    }

    fn hash(&self) -> [u8; 32] {
        keccak(&self.bytes[..self.len])
    }
}

fn struct_hash(message: &Message) -> [u8; 32] {
    let mut words;
    match *message {
        Message::Claim { task, lane, slot, seq, attempt, previous } => {
            words = Words::of(CLAIM_TYPE);
            words.bytes(task.0);
            words.numbers(&[lane.0, slot.0, seq, attempt.into(), previous as u64]);
        }
        Message::Release { task, lane, slot, seq, failed } => {
            words = Words::of(RELEASE_TYPE);
            words.bytes(task.0);
            words.numbers(&[lane.0, slot.0, seq, failed.into()]);
        }
        Message::Beat { lane, slot, n, task } => {
            words = Words::of(BEAT_TYPE);
            words.numbers(&[lane.0, slot.0, n]);
            words.bytes(task.0);
        }
        Message::Loss { lane, slot, watcher, last_beat } => {
            words = Words::of(LOSS_TYPE);
            words.numbers(&[lane.0, slot.0, watcher.0, last_beat]);
        }
        Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb } => {
            words = Words::of(MADE_TYPE);
            words.bytes(task.0);
            words.bytes(statement.0);
            words.bytes(blob.0);
            words.numbers(&[lane.0, slot.0, seq, cpu_ms.into(), peak_mb.into()]);
        }
        Message::Held { statement, lane, slot } => {
            words = Words::of(HELD_TYPE);
            words.bytes(statement.0);
            words.numbers(&[lane.0, slot.0]);
        }
        Message::Advert { lane, slot, set, n, able } => {
            words = Words::of(ADVERT_TYPE);
            words.bytes(set);
            words.numbers(&[lane.0, slot.0, n, able.into()]);
        }
    }
    words.hash()
}

/// A message as bytes. The core's types have no codec, so this mirrors them; the order of the
/// variants and fields is the layout.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Body {
    Claim { task: [u8; 32], lane: u64, slot: u64, seq: u64, attempt: u32, previous: u8 },
    Release { task: [u8; 32], lane: u64, slot: u64, seq: u64, failed: bool },
    Beat { lane: u64, slot: u64, n: u64, task: [u8; 32] },
    Loss { lane: u64, slot: u64, watcher: u64, last_beat: u64 },
    Made(Made),
    Held { statement: [u8; 32], lane: u64, slot: u64 },
    Advert { set: [u8; 32], lane: u64, slot: u64, n: u64, able: bool },
}

/// The fields of `Made`.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Made {
    task: [u8; 32],
    statement: [u8; 32],
    blob: [u8; 32],
    lane: u64,
    slot: u64,
    seq: u64,
    cpu_ms: u32,
    peak_mb: u32,
}

impl From<&Message> for Body {
    fn from(message: &Message) -> Self {
        match *message {
            Message::Claim { task, lane, slot, seq, attempt, previous } => Self::Claim {
                task: task.0,
                lane: lane.0,
                slot: slot.0,
                seq,
                attempt,
                previous: previous as u8,
            },
            Message::Release { task, lane, slot, seq, failed } => {
                Self::Release { task: task.0, lane: lane.0, slot: slot.0, seq, failed }
            }
            Message::Beat { lane, slot, n, task } => {
                Self::Beat { lane: lane.0, slot: slot.0, n, task: task.0 }
            }
            Message::Loss { lane, slot, watcher, last_beat } => {
                Self::Loss { lane: lane.0, slot: slot.0, watcher: watcher.0, last_beat }
            }
            Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb } => {
                Self::Made(Made {
                    task: task.0,
                    statement: statement.0,
                    blob: blob.0,
                    lane: lane.0,
                    slot: slot.0,
                    seq,
                    cpu_ms,
                    peak_mb,
                })
            }
            Message::Held { statement, lane, slot } => {
                Self::Held { statement: statement.0, lane: lane.0, slot: slot.0 }
            }
            Message::Advert { lane, slot, set, n, able } => {
                Self::Advert { set, lane: lane.0, slot: slot.0, n, able }
            }
        }
    }
}

impl TryFrom<Body> for Message {
    type Error = DecodeError;

    fn try_from(body: Body) -> Result<Self, DecodeError> {
        Ok(match body {
            Body::Claim { task, lane, slot, seq, attempt, previous } => Self::Claim {
                task: TaskId(task),
                lane: LaneId(lane),
                slot: Slot(slot),
                seq,
                attempt,
                previous: previous_from(previous)?,
            },
            Body::Release { task, lane, slot, seq, failed } => {
                let (task, lane, slot) = (TaskId(task), LaneId(lane), Slot(slot));
                Self::Release { task, lane, slot, seq, failed }
            }
            Body::Beat { lane, slot, n, task } => {
                Self::Beat { lane: LaneId(lane), slot: Slot(slot), n, task: TaskId(task) }
            }
            Body::Loss { lane, slot, watcher, last_beat } => Self::Loss {
                lane: LaneId(lane),
                slot: Slot(slot),
                watcher: LaneId(watcher),
                last_beat,
            },
            Body::Made(made) => Self::Made {
                task: TaskId(made.task),
                statement: StatementId(made.statement),
                blob: BlobId(made.blob),
                lane: LaneId(made.lane),
                slot: Slot(made.slot),
                seq: made.seq,
                cpu_ms: made.cpu_ms,
                peak_mb: made.peak_mb,
            },
            Body::Held { statement, lane, slot } => Self::Held {
                statement: StatementId(statement),
                lane: LaneId(lane),
                slot: Slot(slot),
            },
            Body::Advert { set, lane, slot, n, able } => {
                Self::Advert { lane: LaneId(lane), slot: Slot(slot), set, n, able }
            }
        })
    }
}

fn previous_from(number: u8) -> Result<Previous, DecodeError> {
    const ALL: [Previous; 6] = [
        Previous::None,
        Previous::Delivered,
        Previous::Released,
        Previous::Lost,
        Previous::Capped,
        Previous::Reverted,
    ];
    ALL.get(usize::from(number))
        .copied()
        .ok_or(DecodeError::Malformed { what: "claim", why: "`previous` is not 0 to 5" })
}
