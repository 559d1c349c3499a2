//! Phases, windows and rights, second by second around every edge.

use super::*;

/// Twelve-second blocks, 64 of proving, slot 0 at block 100.
fn params() -> Params {
    Params {
        l1_block_s: 12,
        genesis_block: 100,
        proving_blocks: 64,
        settle_margin_blocks: 5,
        halting_blocks: 1,
        backup_blocks: 25,
        build_ahead_max: 7,
        ..Params::devnet()
    }
}

const REVEAL_S: u64 = 10_000;
const P: ProverId = ProverId(4);
const OTHER: ProverId = ProverId(5);

fn windows() -> Windows {
    Windows::new(&params(), REVEAL_S)
}

#[test]
fn before_the_reveal_phases_count_blocks() {
    use Phase::{Ahead, Backup, Halting, Over, Proposal, Reveal};
    let rows = [
        (0, 99, Ahead),
        (0, 100, Proposal),
        (0, 104, Proposal),
        (0, 105, Reveal),
        (0, 109, Reveal),
        (0, 110, Halting),
        (0, 111, Backup),
        (0, 135, Backup),
        (0, 136, Over),
        (3, 129, Ahead),
        (3, 130, Proposal),
        (3, 139, Reveal),
    ];
    for (slot, number, expected) in rows {
        let now = At { number, time_s: u64::MAX };
        assert_eq!(phase(&params(), Slot(slot), None, now), expected, "slot {slot} at {number}");
    }
}

#[test]
fn after_the_reveal_phases_are_seconds_whatever_blocks_l1_missed() {
    use Phase::{Backup, Halting, Over, Proving, Settling};
    let rows = [
        (0, Proving),
        (59 * 12, Proving),
        (59 * 12 + 1, Settling),
        (64 * 12, Settling),
        (64 * 12 + 1, Halting),
        (65 * 12, Halting),
        (65 * 12 + 1, Backup),
        (90 * 12, Backup),
        (90 * 12 + 1, Over),
    ];
    let reveal = Some(At { number: 106, time_s: REVEAL_S });
    for (after, expected) in rows {
        for number in [107, 1_000_000] {
            let now = At { number, time_s: REVEAL_S + after };
            assert_eq!(phase(&params(), Slot(0), reveal, now), expected, "{after} s, {number}");
        }
    }
}

#[test]
fn windows_are_the_designs() {
    let after = |end: u64| end - REVEAL_S;
    let it = windows();
    assert_eq!(after(it.commitment_s), 60);
    assert_eq!(after(it.grace_s), 24);
    assert_eq!(after(it.t1_s), 460, "60 % of 768 s");
    assert_eq!((after(it.work_s), after(it.proving_s)), (708, 768));
    assert_eq!((after(it.halting_s), after(it.backup_s)), (780, 1_080));
    let short = Params { t1_permille: 0, ..params() };
    assert_eq!(Windows::new(&short, REVEAL_S).t1_s, REVEAL_S);
}

#[test]
fn the_leader_speaks_within_five_blocks_of_the_reveal() {
    for (after, may) in [(0, true), (60, true), (61, false)] {
        assert_eq!(windows().may_name(REVEAL_S + after), may, "{after}");
    }
}

#[test]
fn build_ahead_is_bounded_by_unproven_slots() {
    // build_ahead_max, unproven, block of slot 1 (110 to 119): may propose, may reveal
    let rows = [
        (7, 0, 110, true, false),
        (7, 6, 114, true, false),
        (7, 7, 114, false, false),
        (7, 6, 115, false, true),
        (7, 7, 115, false, false),
        (1, 0, 115, false, true),
        (1, 1, 115, false, false),
        (1, 1, 110, false, false),
        (7, 0, 109, false, false),
        (7, 0, 120, false, false),
    ];
    for (build_ahead_max, unproven, number, propose, reveal) in rows {
        let params = Params { build_ahead_max, ..params() };
        let found = (
            may_propose(&params, Slot(1), number, unproven),
            may_reveal(&params, Slot(1), number, unproven),
        );
        assert_eq!(found, (propose, reveal), "{unproven} of {build_ahead_max} at {number}");
    }
}

/// Slot n+1 proposes in the very block in which slot n's reveal phase is over (R2.4).
#[test]
fn the_next_slot_proposes_when_the_reveal_ends() {
    let end = params().reveal_end(Slot(4));
    assert!(may_propose(&params(), Slot(5), end, 1) && !may_reveal(&params(), Slot(4), end, 0));
    assert!(!may_propose(&params(), Slot(5), end - 1, 1));
    assert!(may_reveal(&params(), Slot(4), end - 1, 0));
}

fn verdict(after: u64, holder: Holder, sender: ProverId, dealt: Option<u64>) -> Result<(), NotNow> {
    let root = Root { sender: Some(sender), dealt_permille: dealt };
    accepts(&params(), &windows(), REVEAL_S + after, holder, root)
}

#[test]
fn t1_is_the_named_partys_and_afterwards_anybodys() {
    let reserved = Err(NotNow::Reserved(P));
    let rows = [
        (0, Holder::Named(P), P, Ok(())),
        (460, Holder::Named(P), OTHER, reserved),
        (461, Holder::Named(P), OTHER, Ok(())),
        (460, Holder::Alone(P), OTHER, reserved),
        (460, Holder::Alone(P), P, Ok(())),
        (461, Holder::Alone(P), OTHER, Ok(())),
        (0, Holder::Deal, OTHER, Ok(())),
        (460, Holder::Deal, P, Ok(())),
    ];
    for (after, holder, sender, expected) in rows {
        assert_eq!(verdict(after, holder, sender, None), expected, "{after} {holder:?} {sender}");
    }
    let stranger = Root { sender: None, dealt_permille: None };
    let early = accepts(&params(), &windows(), REVEAL_S, Holder::Named(P), stranger);
    assert_eq!(early, reserved, "an unregistered sender is not the named one");
}

#[test]
fn a_root_shown_to_bypass_the_dealt_lanes_waits_for_t1s_end() {
    let bypass = |shown| Err(NotNow::Bypass { dealt_permille: shown, least_permille: 500 });
    let rows = [
        (100, Holder::Deal, None, Ok(())),
        (100, Holder::Deal, Some(500), Ok(())),
        (100, Holder::Deal, Some(499), bypass(499)),
        (100, Holder::Named(P), Some(499), bypass(499)),
        (100, Holder::Alone(P), Some(0), Ok(())),
        (461, Holder::Deal, Some(0), Ok(())),
        (461, Holder::Named(P), Some(0), Ok(())),
    ];
    for (after, holder, shown, expected) in rows {
        assert_eq!(verdict(after, holder, P, shown), expected, "{after} {holder:?} {shown:?}");
    }
}

#[test]
fn roots_are_taken_in_proving_settling_and_backup_only() {
    let rows = [
        (0, Ok(())),
        (768, Ok(())),
        (769, Err(NotNow::Phase(Phase::Halting))),
        (780, Err(NotNow::Phase(Phase::Halting))),
        (781, Ok(())),
        (1_080, Ok(())),
        (1_081, Err(NotNow::Phase(Phase::Over))),
    ];
    for (after, expected) in rows {
        for holder in [Holder::Deal, Holder::Named(P), Holder::Alone(P)] {
            assert_eq!(verdict(after, holder, P, Some(1_000)), expected, "{after} {holder:?}");
        }
    }
}

#[test]
fn a_task_opens_to_all_when_its_way_no_longer_fits() {
    let (params, windows) = (params(), windows());
    // Work ends 708 s after the reveal.
    let rows = [(30_000, 708 - 36), (300_000, 708 - 360), (480_000, 708 - 576)];
    for (way_ms, edge_s) in rows {
        let edge = Millis((REVEAL_S + edge_s) * 1_000);
        assert!(!open_to_all(&params, &windows, edge, way_ms), "{way_ms} at the edge");
        assert!(open_to_all(&params, &windows, edge.after(1), way_ms), "{way_ms} after it");
        assert_eq!(opens_at(&params, &windows, way_ms), edge.after(1), "{way_ms}");
    }
}

#[test]
fn the_instant_of_opening_is_the_first_at_which_a_task_is_open() {
    let windows = windows();
    for slack_permille in [1_000, 1_001, 1_200, 1_333] {
        let params = Params { slack_permille, ..params() };
        for way_ms in [1, 2, 3, 7, 999, 1_001, 30_001, 700_000] {
            let at = opens_at(&params, &windows, way_ms);
            assert!(open_to_all(&params, &windows, at, way_ms), "{slack_permille} {way_ms}");
            let before = Millis(at.0 - 1);
            assert!(!open_to_all(&params, &windows, before, way_ms), "{slack_permille} {way_ms}");
        }
    }
    let endless = opens_at(&params(), &windows, u64::MAX / 10_000);
    assert_eq!(endless, Millis(0), "a way longer than time is open from the start");
}

#[test]
fn deeper_tasks_open_earlier() {
    let opened: Vec<Millis> =
        (1..17).map(|proofs| opens_at(&params(), &windows(), proofs * 30_000)).collect();
    assert!(opened.is_sorted_by(|a, b| b < a), "{opened:?}");
}

#[test]
fn phases_come_in_their_order_and_none_is_skipped() {
    let reveal = Some(At { number: 106, time_s: REVEAL_S });
    let mut seen = vec![Phase::Reveal];
    for after in 0..1_100 {
        let now = At { number: 0, time_s: REVEAL_S + after };
        let here = phase(&params(), Slot(0), reveal, now);
        if seen.last() != Some(&here) {
            seen.push(here);
        }
    }
    assert!(seen.is_sorted() && seen.len() == 6, "{seen:?}");
}

/// The slot's clock is the reveal's: a block revealed late has the same windows later.
#[test]
fn windows_move_with_the_reveal() {
    let (early, late) = (windows(), Windows::new(&params(), REVEAL_S + 48));
    let all = |it: Windows| {
        [it.commitment_s, it.grace_s, it.t1_s, it.work_s, it.proving_s, it.halting_s, it.backup_s]
    };
    assert_eq!(all(early).map(|end| end + 48), all(late));
}

#[test]
fn the_devnets_windows_are_those_of_its_preset() {
    let it = Windows::new(&Params::devnet(), 0);
    assert_eq!((it.commitment_s, it.grace_s, it.t1_s), (10, 4, 1_800));
    assert_eq!((it.work_s, it.proving_s, it.halting_s, it.backup_s), (2_990, 3_000, 3_002, 3_602));
}

/// R14: a leader that the network ignores is never stuck, and a network that its leader ignores
/// neither: each settles alone, at the latest after T1.
#[test]
fn whoever_proves_settles_at_the_latest_after_t1() {
    let holders = [Holder::Deal, Holder::Named(P), Holder::Alone(P)];
    let dealt = [None, Some(0), Some(499), Some(1_000)];
    let senders = [Some(P), Some(OTHER), None];
    let roots = dealt
        .iter()
        .flat_map(|&dealt_permille| senders.map(|sender| Root { sender, dealt_permille }));
    for (root, holder) in roots.flat_map(|root| holders.map(|holder| (root, holder))) {
        for after in [461, 600, 768, 781, 1_080] {
            let found = accepts(&params(), &windows(), REVEAL_S + after, holder, root);
            assert_eq!(found, Ok(()), "{holder:?} {root:?} at {after}");
        }
    }
}

#[test]
fn whoever_holds_t1_settles_in_it() {
    for after in [0, 1, 230, 460] {
        for (holder, sender) in
            [(Holder::Named(P), P), (Holder::Alone(P), P), (Holder::Deal, P), (Holder::Deal, OTHER)]
        {
            for dealt in [None, Some(500), Some(1_000)] {
                assert_eq!(verdict(after, holder, sender, dealt), Ok(()), "{holder:?} at {after}");
            }
        }
    }
}
