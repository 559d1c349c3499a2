//! Our own digests and signatures against the Ethereum client library's, message by message.

use alloy::{
    primitives::{Address, B256, Signature},
    signers::{SignerSync, local::PrivateKeySigner},
    sol,
    sol_types::{Eip712Domain, SolStruct, eip712_domain},
};
use protocol::{BlobId, LaneId, Message, Previous, ProverId, Slot, StatementId, TaskId};
use wire::{Domain, Lanes, Signed, Signer};

sol! {
    struct Claim { bytes32 task; uint64 lane; uint64 slot; uint64 seq; uint32 attempt; uint8 previous; }
    struct Release { bytes32 task; uint64 lane; uint64 slot; uint64 seq; bool failed; }
    struct Beat { uint64 lane; uint64 slot; uint64 n; bytes32 task; }
    struct Loss { uint64 lane; uint64 slot; uint64 watcher; uint64 lastBeat; }
    struct Made {
        bytes32 task; bytes32 statement; bytes32 blob; uint64 lane; uint64 slot; uint64 seq;
        uint32 cpuMs; uint32 peakMb;
    }
    struct Held { bytes32 statement; uint64 lane; uint64 slot; }
    struct Advert { bytes32 set; uint64 lane; uint64 slot; uint64 n; bool able; }
}

const CHAIN_ID: u64 = 31_337;
const REGISTRY: [u8; 20] = [0x5f; 20];
const SECRET: [u8; 32] = [0x42; 32];
const LANE: LaneId = LaneId::new(ProverId(70_000), 513);
const SLOT: Slot = Slot(0x0102_0304_0506_0708);

fn domain() -> Eip712Domain {
    eip712_domain! {
        name: "coppice",
        version: "1",
        chain_id: CHAIN_ID,
        verifying_contract: Address::from(REGISTRY),
    }
}

/// Both digests must agree, and the library must recover our signer from our signature.
fn check(message: Message, theirs: &impl SolStruct) {
    let theirs = theirs.eip712_signing_hash(&domain());
    let ours = Domain::new(CHAIN_ID, protocol::Address(REGISTRY));
    assert_eq!(B256::from(ours.digest(&message).0), theirs, "{message:?}");

    let signer = Signer::new(&SECRET).unwrap();
    let library = PrivateKeySigner::from_bytes(&SECRET.into()).unwrap();
    assert_eq!(signer.address().0, library.address().into_array());

    let signed = signer.sign(&ours, message);
    let signature = Signature::from_raw_array(&signed.signature).unwrap();
    assert_eq!(signature.recover_address_from_prehash(&theirs).unwrap(), library.address());

    let from_library = library.sign_hash_sync(&theirs).unwrap().as_bytes();
    let accepted =
        wire::verify(&Signed { message, signature: from_library }, &ours, &AllBy(signer.address()));
    assert_eq!(accepted.unwrap().from(), LANE.prover());
}

/// Every lane belongs to this operator.
struct AllBy(protocol::Address);

impl Lanes for AllBy {
    fn operator(&self, _: LaneId) -> Option<protocol::Address> {
        Some(self.0)
    }
}

#[test]
fn claims_hash_and_sign_as_l1_reads_them() {
    let (task, seq, attempt) = (TaskId([1; 32]), u64::MAX - 1, u32::MAX - 1);
    let previous = Previous::Capped;
    check(
        Message::Claim { task, lane: LANE, slot: SLOT, seq, attempt, previous },
        &Claim { task: task.0.into(), lane: LANE.0, slot: SLOT.0, seq, attempt, previous: 4 },
    );
}

#[test]
fn releases_and_beats_hash_and_sign_as_l1_reads_them() {
    let (task, seq, n) = (TaskId([1; 32]), 9, 300);
    check(
        Message::Release { task, lane: LANE, slot: SLOT, seq, failed: true },
        &Release { task: task.0.into(), lane: LANE.0, slot: SLOT.0, seq, failed: true },
    );
    check(
        Message::Beat { lane: LANE, slot: SLOT, n, task },
        &Beat { lane: LANE.0, slot: SLOT.0, n, task: task.0.into() },
    );
}

#[test]
fn loss_notices_hash_and_sign_as_l1_reads_them() {
    let silent = LaneId::new(ProverId(2), 0);
    check(
        Message::Loss { lane: silent, slot: SLOT, watcher: LANE, last_beat: 77 },
        &Loss { lane: silent.0, slot: SLOT.0, watcher: LANE.0, lastBeat: 77 },
    );
}

#[test]
fn proofs_made_and_held_hash_and_sign_as_l1_reads_them() {
    let (task, statement, blob) = (TaskId([1; 32]), StatementId([2; 32]), BlobId([3; 32]));
    let (lane, slot, seq, cpu_ms, peak_mb) = (LANE, SLOT, 4, 175_000, 4_100);
    check(
        Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb },
        &Made {
            task: task.0.into(),
            statement: statement.0.into(),
            blob: blob.0.into(),
            lane: lane.0,
            slot: slot.0,
            seq,
            cpuMs: cpu_ms,
            peakMb: peak_mb,
        },
    );
    check(
        Message::Held { statement, lane, slot },
        &Held { statement: statement.0.into(), lane: lane.0, slot: slot.0 },
    );
}

#[test]
fn words_about_circuit_sets_hash_and_sign_as_l1_reads_them() {
    let (set, n, able) = ([4; 32], 1_700_000_000_000, true);
    check(
        Message::Advert { lane: LANE, slot: SLOT, set, n, able },
        &Advert { set: set.into(), lane: LANE.0, slot: SLOT.0, n, able },
    );
}
