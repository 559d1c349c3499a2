//! What is a fault, what it costs, and where that goes.

use super::*;
use crate::{
    domain::{BlobId, ProverId, StatementId, TaskId},
    epoch::{draws::Draws, pay::Coverage},
    io::Previous,
};

fn params() -> Params {
    Params { reporter_bounty: 30, ..Params::devnet() }
}

fn lane(number: u16) -> LaneId {
    LaneId::new(ProverId(1), number)
}

const NO_SHOW: Fault = Fault::NoShow { lane: LaneId(5), epoch: Epoch(2) };
const TWO: Fault = Fault::TwoClaims { lane: LaneId(5), slot: Slot(9), seq: 4 };

const fn sequencer(how: SequencerFault) -> Fault {
    Fault::Sequencer { sequencer: SequencerId(1), slot: Slot(9), how }
}

fn claim(task: u8, number: u16, slot: u64, seq: u64) -> Message {
    let (task, attempt, previous) = (TaskId([task; 32]), 0, Previous::None);
    Message::Claim { task, lane: lane(number), slot: Slot(slot), seq, attempt, previous }
}

#[test]
fn two_different_claims_with_one_number_are_a_fault() {
    let one = claim(1, 0, 9, 4);
    let fault = Some(Fault::TwoClaims { lane: lane(0), slot: Slot(9), seq: 4 });
    let Message::Claim { task, lane: it, slot, seq, attempt, previous } = one else { return };
    let later = Message::Claim { task, lane: it, slot, seq, attempt: attempt + 1, previous };
    let told = Previous::Capped;
    let otherwise = Message::Claim { task, lane: it, slot, seq, attempt, previous: told };
    let rows = [
        (claim(2, 0, 9, 4), fault),
        (later, fault),
        (otherwise, fault),
        (one, None),
        (claim(2, 1, 9, 4), None),
        (claim(2, 0, 8, 4), None),
        (claim(2, 0, 9, 5), None),
    ];
    for (other, expected) in rows {
        assert_eq!(equivocation(&one, &other), expected, "{other:?}");
        assert_eq!(equivocation(&other, &one), expected, "{other:?}, the other way round");
    }
}

#[test]
fn nothing_but_claims_can_contradict_each_other() {
    let (task, slot, seq) = (TaskId([1; 32]), Slot(9), 4);
    let (statement, blob) = (StatementId([2; 32]), BlobId([3; 32]));
    let it = lane(0);
    let others = [
        Message::Release { task, lane: it, slot, seq, failed: false },
        Message::Beat { lane: it, slot, n: 4, task },
        Message::Loss { lane: it, slot, watcher: lane(1), last_beat: 4 },
        Message::Made { task, statement, blob, lane: it, slot, seq, cpu_ms: 0, peak_mb: 0 },
        Message::Held { statement, lane: it, slot },
        Message::Advert { lane: it, slot, set: [3; 32], n: 4, able: true },
    ];
    for other in others {
        assert_eq!(equivocation(&claim(1, 0, 9, 4), &other), None, "{other:?}");
        assert_eq!(equivocation(&other, &claim(1, 0, 9, 4)), None, "{other:?}");
    }
    let released = Message::Release { task, lane: it, slot, seq, failed: true };
    assert_eq!(equivocation(&others[0], &released), None);
}

#[test]
fn each_fault_costs_what_the_rules_say() {
    use SequencerFault::{NoReveal, OverLimit, Unproven, Withheld};
    let rows = [
        (TWO, 1_000, false),
        (NO_SHOW, 250, false),
        (sequencer(NoReveal), 1_000, true),
        (sequencer(OverLimit), 1_000, true),
        (sequencer(Withheld), 1_000, true),
        (sequencer(Unproven), 100, true),
    ];
    for (fault, bond, fees) in rows {
        assert_eq!(fault.loss(1_000, &params()), Loss { bond, fees }, "{fault:?}");
        assert_eq!(fault.loss(0, &params()).bond, 0, "{fault:?}");
    }
}

/// A third of the provers that refuse to prove must not cost a sequencer its bond (R3.4).
#[test]
fn refusing_to_prove_costs_a_sequencer_a_tenth_at_most() {
    let unproven = sequencer(SequencerFault::Unproven).loss(1_000, &params()).bond;
    let withheld = sequencer(SequencerFault::Withheld).loss(1_000, &params()).bond;
    assert!(unproven * 10 <= withheld);
}

#[test]
fn a_lost_bond_is_half_burnt_a_quarter_repairs_and_a_quarter_is_the_uncles() {
    let both = Receivers { repairer: true, uncles: true };
    let nobody = Receivers { repairer: false, uncles: false };
    let withheld = sequencer(SequencerFault::Withheld);
    let no_reveal = sequencer(SequencerFault::NoReveal);
    // fault, lost, receivers; burnt, repairer, uncles, reporter
    let rows = [
        (no_reveal, 1_000, both, [500, 250, 250, 0]),
        (withheld, 1_000, both, [470, 250, 250, 30]),
        (TWO, 1_000, both, [470, 250, 250, 30]),
        (TWO, 1_000, nobody, [970, 0, 0, 30]),
        (TWO, 1_000, Receivers { uncles: false, ..both }, [720, 250, 0, 30]),
        (TWO, 1_000, Receivers { repairer: false, ..both }, [720, 0, 250, 30]),
        (TWO, 40, both, [0, 10, 10, 20]),
        (TWO, 3, both, [0, 0, 2, 1]),
        (TWO, 0, both, [0; 4]),
        (NO_SHOW, 1_000, both, [1_000, 0, 0, 0]),
    ];
    for (fault, lost, receivers, [burnt, repairer, uncles, reporter]) in rows {
        let found = split(fault, lost, receivers, &params());
        let expected = Parts { burnt, repairer, uncles, reporter };
        assert_eq!(found, expected, "{fault:?} {lost} {receivers:?}");
    }
}

/// Whoever reports itself, repairs and builds on top still loses.
#[test]
fn framing_oneself_never_pays() {
    let both = Receivers { repairer: true, uncles: true };
    for lost in [1, 2, 3, 59, 60, 61, 1_000, 10_000_000] {
        for bounty in [0, 30, u128::MAX] {
            let params = Params { reporter_bounty: bounty, ..params() };
            let parts = split(TWO, lost, both, &params);
            let back = parts.repairer + parts.uncles + parts.reporter;
            assert!(back <= lost, "{lost} {bounty}");
            let sensible = bounty < lost / 2;
            assert!(!sensible || back < lost, "{lost} {bounty}");
        }
    }
}

#[test]
fn only_what_somebody_must_show_has_a_bounty() {
    use SequencerFault::{NoReveal, OverLimit, Unproven, Withheld};
    let reported = [TWO, sequencer(OverLimit), sequencer(Withheld)];
    let seen = [NO_SHOW, sequencer(NoReveal), sequencer(Unproven)];
    assert!(reported.iter().all(|it| it.reported()));
    assert!(!seen.iter().any(|it| it.reported()));
}

#[test]
fn every_fault_is_punished_once() {
    use SequencerFault::{OverLimit, Unproven};
    let mut punished = Punished::default();
    let other_slot = Fault::Sequencer { sequencer: SequencerId(1), slot: Slot(10), how: OverLimit };
    let rows = [
        (TWO, true),
        (TWO, false),
        (NO_SHOW, true),
        (NO_SHOW, false),
        (sequencer(OverLimit), true),
        // One bond for one slot, whatever else is shown about it.
        (sequencer(Unproven), false),
        (other_slot, true),
    ];
    for (fault, expected) in rows {
        assert_eq!(punished.first(fault), expected, "{fault:?}");
    }
}

/// Coverage of one lane over epochs 0, 1, ...; the set of the second next epoch can know it.
fn story(coverage: &[Option<u64>]) -> Vec<u64> {
    let mut suspensions = Suspensions::default();
    for (epoch, &it) in (0..).zip(coverage) {
        suspensions.close(lane(0), it, Epoch(epoch + 2), &params());
    }
    (0..80).filter(|&it| suspensions.suspended(lane(0), Epoch(it))).collect()
}

#[test]
fn a_lane_below_the_least_coverage_sits_out_longer_each_time() {
    let (bad, good, none) = (Some(499), Some(500), None);
    let rows: [(&[Option<u64>], u64); 9] = [
        (&[], 0),
        (&[good], 0),
        (&[none, none], 0),
        // Back in epoch 2 + 1, 3 + 2, 4 + 4, ...
        (&[bad], 3),
        (&[bad, bad], 5),
        (&[bad, bad, bad], 8),
        (&[bad, none, bad], 6),
        // A good epoch takes one step back: 2 + 1, then 1 again.
        (&[bad, good, bad], 5),
        (&[bad, bad, good, bad], 7),
    ];
    for (coverage, back) in rows {
        let sits_out = story(coverage);
        assert_eq!(sits_out.last().map_or(0, |it| it + 1), back, "{coverage:?}");
    }
}

#[test]
fn a_suspension_is_bounded() {
    let mut suspensions = Suspensions::default();
    for epoch in 0..200 {
        suspensions.close(lane(0), Some(0), Epoch(epoch), &params());
    }
    assert_eq!(suspensions.back(lane(0)), Some(Epoch(199 + params().suspension_max_epochs)));
    assert!(!suspensions.suspended(lane(1), Epoch(200)), "nobody else");
}

#[test]
fn a_lane_that_did_its_part_for_long_is_forgotten() {
    let mut suspensions = Suspensions::default();
    suspensions.close(lane(0), Some(0), Epoch(2), &params());
    assert!(suspensions.suspended(lane(0), Epoch(2)) && !suspensions.suspended(lane(0), Epoch(3)));
    suspensions.close(lane(0), Some(900), Epoch(5), &params());
    assert_eq!(suspensions, Suspensions::default());
}

#[test]
fn a_no_show_needs_duty_settled_slots_and_not_one_unit_made() {
    // dealt, made, settled slots
    let rows = [
        (100, 0, 32, true),
        (100, 0, 1, true),
        (100, 1, 32, false),
        (0, 0, 32, false),
        (100, 0, 0, false),
    ];
    for (dealt, made, settled, expected) in rows {
        let found = no_show(lane(0), Epoch(2), Coverage { dealt, made }, settled);
        let fault = Fault::NoShow { lane: lane(0), epoch: Epoch(2) };
        assert_eq!(found, expected.then_some(fault), "{made} of {dealt}, {settled} settled");
    }
}

/// A phantom lane, an honest one, and one that works every other epoch, over two years' epochs.
#[test]
fn the_worse_a_lane_the_more_it_sits_out() {
    let share = |coverage: fn(u64, &mut Draws) -> u64| {
        let (mut suspensions, mut draws) = (Suspensions::default(), Draws(7));
        let mut out = 0;
        for epoch in 0..1_000 {
            if suspensions.suspended(lane(0), Epoch(epoch)) {
                out += 1;
                suspensions.close(lane(0), None, Epoch(epoch + 1), &params());
            } else {
                let permille = coverage(epoch, &mut draws);
                suspensions.close(lane(0), Some(permille), Epoch(epoch + 1), &params());
            }
        }
        out
    };
    let phantom = share(|_, _| 0);
    let flaky = share(|_, draws| if draws.once_in(2) { 0 } else { 950 });
    let unlucky = share(|_, draws| if draws.once_in(50) { 400 } else { 950 });
    let honest = share(|_, _| 960);
    assert_eq!(honest, 0);
    assert!(unlucky < 40, "{unlucky}");
    assert!(unlucky < flaky && flaky < phantom, "{unlucky} {flaky} {phantom}");
    assert!(900 < phantom, "{phantom}");
}

#[test]
fn suspensions_double_from_one_up_to_their_most() {
    let mut suspensions = Suspensions::default();
    let mut lengths = Vec::new();
    let mut next = Epoch(0);
    for _ in 0..9 {
        suspensions.close(lane(0), Some(0), next, &params());
        let back = suspensions.back(lane(0)).unwrap();
        lengths.push(back.0 - next.0);
        next = back;
    }
    assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 32, 32, 32]);
}

/// Any bond, any shares: nothing is made and nothing is lost, and each receiver gets what the
/// rules say or nothing.
#[test]
fn any_lost_bond_is_split_exactly() {
    let mut draws = Draws(3);
    for _ in 0..2_000 {
        let burnt_permille = draws.below(1_001);
        let params = Params {
            burnt_permille,
            repairer_permille: draws.below(1_001 - burnt_permille),
            reporter_bounty: draws.below(500).into(),
            ..params()
        };
        let lost = u128::from(draws.below(3_000));
        let receivers = Receivers { repairer: draws.once_in(2), uncles: draws.once_in(2) };
        let parts = split(TWO, lost, receivers, &params);
        let sum = parts.burnt + parts.repairer + parts.uncles + parts.reporter;
        assert_eq!(sum, lost, "{params:?} {receivers:?}");
        assert!(receivers.repairer || parts.repairer == 0);
        assert!(receivers.uncles || parts.uncles == 0);
        assert!(parts.reporter <= params.reporter_bounty);
    }
}
