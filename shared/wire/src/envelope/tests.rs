//! Round trips, and every way a signature can be wrong.

use protocol::{BlobId, Previous, Slot, StatementId, TaskId};

use super::*;

const LANE: LaneId = LaneId::new(ProverId(3), 1);
const WATCHER: LaneId = LaneId::new(ProverId(4), 0);

/// Prover 3 with two lanes and prover 4 with one.
struct Registry {
    three: Address,
    four: Address,
}

impl Lanes for Registry {
    fn operator(&self, lane: LaneId) -> Option<Address> {
        match (lane.prover().0, lane.number()) {
            (3, 0 | 1) => Some(self.three),
            (4, 0) => Some(self.four),
            _ => None,
        }
    }
}

fn signer(secret: u8) -> Signer {
    Signer::new(&[secret; 32]).unwrap()
}

fn registry() -> Registry {
    Registry { three: signer(3).address(), four: signer(4).address() }
}

fn domain() -> Domain {
    Domain::new(31_337, Address([0xaa; 20]))
}

fn made() -> Message {
    Message::Made {
        task: TaskId([1; 32]),
        statement: StatementId([2; 32]),
        blob: BlobId([3; 32]),
        lane: LANE,
        slot: Slot(u64::MAX),
        seq: u64::MAX,
        cpu_ms: u32::MAX,
        peak_mb: u32::MAX,
    }
}

fn every_message() -> [Message; 7] {
    let (task, lane, slot) = (TaskId([1; 32]), LANE, Slot(7));
    [
        Message::Claim { task, lane, slot, seq: 1, attempt: 2, previous: Previous::Reverted },
        Message::Release { task, lane, slot, seq: 1, failed: true },
        Message::Beat { lane, slot, n: 300, task },
        Message::Loss { lane: WATCHER, slot, watcher: LANE, last_beat: 0 },
        made(),
        Message::Held { statement: StatementId([2; 32]), lane, slot },
        Message::Advert { lane, slot, set: [4; 32], n: 1_700_000_000_000, able: false },
    ]
}

/// Verdict of a reader on what `secret` signs, after `change`.
fn verdict(secret: u8, message: Message, change: impl FnOnce(&mut Signed)) -> Result<(), Reject> {
    let mut signed = signer(secret).sign(&domain(), message);
    change(&mut signed);
    verify(&signed, &domain(), &registry()).map(|_| ())
}

#[test]
fn every_message_round_trips_is_verified_and_becomes_an_input() {
    for message in every_message() {
        let signed = signer(3).sign(&domain(), message);
        let bytes = signed.encode().unwrap();
        assert!(bytes.len() <= SIGNED_BYTES_MAX);
        assert_eq!(Signed::decode(&bytes), Ok(signed));

        let verified = verify(&signed, &domain(), &registry()).unwrap();
        assert_eq!(verified.id(), domain().digest(&message));
        assert_eq!(Input::from(verified), Input::Peer { from: ProverId(3), message });
    }
}

#[test]
fn every_way_a_claim_ended_survives_and_no_other_number_does() {
    let all = [
        Previous::None,
        Previous::Delivered,
        Previous::Released,
        Previous::Lost,
        Previous::Capped,
        Previous::Reverted,
    ];
    let bytes_of = |previous| {
        let claim = Message::Claim {
            task: TaskId([1; 32]),
            lane: LANE,
            slot: Slot(7),
            seq: 1,
            attempt: 0,
            previous,
        };
        (claim, signer(3).sign(&domain(), claim).encode().unwrap())
    };
    for previous in all {
        let (claim, bytes) = bytes_of(previous);
        assert_eq!(Signed::decode(&bytes).unwrap().message, claim);
    }
    let mut bytes = bytes_of(Previous::Reverted).1;
    let place = bytes.len() - 66;
    assert_eq!(bytes[place], 5);
    bytes[place] = 6;
    assert_eq!(Signed::decode(&bytes).unwrap_err().code(), "WIR-002");
}

/// R13.1: a word is said by its lane alone, and of its two values there are no others.
#[test]
fn an_advert_says_yes_or_no_and_is_signed_by_its_lane() {
    let advert = |able| Message::Advert { lane: LANE, slot: Slot(7), set: [4; 32], n: 300, able };
    assert_ne!(domain().digest(&advert(true)), domain().digest(&advert(false)));
    assert_eq!(verdict(3, advert(false), |_| ()), Ok(()));
    assert_eq!(verdict(4, advert(false), |_| ()).unwrap_err().code(), "MSG-003");
    let mut bytes = signer(3).sign(&domain(), advert(true)).encode().unwrap();
    assert!(bytes.len() <= 32 + 3 * 10 + 2 + 65);
    let place = bytes.len() - 66;
    assert_eq!(bytes[place], 1);
    bytes[place] = 2;
    assert_eq!(Signed::decode(&bytes).unwrap_err().code(), "WIR-002");
}

#[test]
fn the_longest_message_is_as_long_as_its_limit_says() {
    let mut signed = signer(3).sign(&domain(), made());
    if let Message::Made { lane, .. } = &mut signed.message {
        *lane = LaneId(u64::MAX);
    }
    assert_eq!(signed.encode().unwrap().len(), 202);
}

#[test]
fn a_trailing_byte_a_missing_byte_and_too_many_bytes_are_refused() {
    let bytes = signer(3).sign(&domain(), made()).encode().unwrap();
    let code = |bytes: &[u8]| Signed::decode(bytes).unwrap_err().code();
    assert_eq!(code(&[bytes.as_slice(), &[0]].concat()), "WIR-003");
    assert_eq!(code(&bytes[..bytes.len() - 1]), "WIR-002");
    assert_eq!(code(&[0; SIGNED_BYTES_MAX + 1]), "WIR-001");
    assert_eq!(code(&[]), "WIR-002");
}

#[test]
fn any_single_changed_byte_is_refused_or_is_another_message() {
    let signed = signer(3).sign(&domain(), made());
    let bytes = signed.encode().unwrap();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let accepted = Signed::decode(&changed)
            .ok()
            .and_then(|signed| verify(&signed, &domain(), &registry()).ok());
        assert_eq!(accepted, None, "byte {place}");
    }
}

#[test]
fn the_high_s_twin_of_a_good_signature_is_refused() {
    // s' = order - s with the other v recovers the same key.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36,
        0x41, 0x41,
    ];
    let twin = |signed: &mut Signed| {
        let mut borrow = 0u16;
        for place in (0..32).rev() {
            let (above, below) = (u16::from(ORDER[place]), u16::from(signed.signature[32 + place]));
            let digit = 256 + above - below - borrow;
            borrow = u16::from(digit < 256);
            signed.signature[32 + place] = digit.to_le_bytes()[0];
        }
        signed.signature[64] = V_EVEN + V_ODD - signed.signature[64];
    };
    assert_eq!(verdict(3, made(), twin), Err(Reject::Signature));
    // Twice is the identity, so the twin was a real one.
    let back = |signed: &mut Signed| [(); 2].iter().for_each(|()| twin(signed));
    assert_eq!(verdict(3, made(), back), Ok(()));
}

#[test]
fn a_signature_that_is_none_is_refused() {
    for v in [0, 1, 26, 29, 255] {
        assert_eq!(verdict(3, made(), |it| it.signature[64] = v), Err(Reject::Signature), "v {v}");
    }
    assert_eq!(verdict(3, made(), |it| it.signature[..64].fill(0)), Err(Reject::Signature));
    assert_eq!(verdict(3, made(), |it| it.signature[..64].fill(0xff)), Err(Reject::Signature));
}

#[test]
fn another_operators_signature_is_refused_and_blamed() {
    let (signer, operator) = (signer(4).address(), signer(3).address());
    let other = Reject::OtherSigner { lane: LANE, signer, operator };
    assert!(other.is_senders_fault());
    assert_eq!(verdict(4, made(), |_| ()), Err(other));
}

#[test]
fn a_loss_notice_is_signed_by_its_watcher() {
    let loss = Message::Loss { lane: LANE, slot: Slot(7), watcher: WATCHER, last_beat: 3 };
    assert_eq!(verdict(4, loss, |_| ()), Ok(()));
    assert_eq!(verdict(3, loss, |_| ()).unwrap_err().code(), "MSG-003");
}

#[test]
fn a_lane_that_nobody_bonds_is_refused_without_blame() {
    let unknown = LaneId::new(ProverId(3), 2);
    let refused = Reject::UnknownLane { lane: unknown };
    assert!(!refused.is_senders_fault());
    let held = Message::Held { statement: StatementId([2; 32]), lane: unknown, slot: Slot(7) };
    assert_eq!(verdict(3, held, |_| ()), Err(refused.clone()));
    let loss = Message::Loss { lane: unknown, slot: Slot(7), watcher: WATCHER, last_beat: 3 };
    assert_eq!(verdict(4, loss, |_| ()), Err(refused));
}

#[test]
fn a_message_of_another_network_is_not_accepted() {
    for other in [Domain::new(1, Address([0xaa; 20])), Domain::new(31_337, Address([0xab; 20]))] {
        let signed = signer(3).sign(&other, made());
        let refused = verify(&signed, &domain(), &registry()).unwrap_err();
        assert_eq!(refused.code(), "MSG-003");
    }
}

#[test]
fn a_key_out_of_range_is_refused_and_a_good_one_is_never_printed() {
    assert_eq!(Signer::new(&[0; 32]).unwrap_err(), KeyError::OutOfRange);
    assert_eq!(Signer::new(&[0xff; 32]).unwrap_err(), KeyError::OutOfRange);
    let mut one = [0; 32];
    one[31] = 1;
    // The address of secret 1, as every wallet shows it.
    let shown = format!("{:?}", Signer::new(&one).unwrap());
    assert_eq!(shown, "Signer(0x7e5f4552091a69125d5dfcb7b8c2659029395bdf)");
}
