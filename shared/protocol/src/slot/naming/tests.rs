//! A name, a declaration, silence, and how each falls back.

use super::*;

const NAMED: ProverId = ProverId(2);
const REVEAL_S: u64 = 1_000;

/// Blocks of 12 s: the grace ends at 1,024 s, the commitment phase at 1,060 s.
fn params() -> Params {
    Params { l1_block_s: 12, proving_blocks: 64, ..Params::devnet() }
}

fn windows() -> Windows {
    Windows::new(&params(), REVEAL_S)
}

fn lane(prover: u32, number: u16) -> LaneId {
    LaneId::new(ProverId(prover), number)
}

#[test]
fn a_word_counts_once_in_time_and_for_bonded_provers() {
    let named = Naming::Named(NAMED);
    let alone = Naming::Alone(ProverId(9));
    let stranger = Naming::Named(ProverId(9));
    let rows = [
        (Naming::Nobody, named, 1_000, Ok(())),
        (Naming::Nobody, named, 1_060, Ok(())),
        (Naming::Nobody, named, 1_061, Err(NotNamed::Late)),
        (Naming::Nobody, alone, 1_060, Ok(())),
        (Naming::Nobody, alone, 1_061, Err(NotNamed::Late)),
        (Naming::Nobody, stranger, 1_000, Err(NotNamed::NotBonded(ProverId(9)))),
        (named, alone, 1_000, Err(NotNamed::Twice)),
        (alone, named, 1_000, Err(NotNamed::Twice)),
        (Naming::Nobody, Naming::Nobody, 1_000, Ok(())),
    ];
    for (before, word, time_s, expected) in rows {
        let mut naming = before;
        let found = naming.speak(word, &windows(), time_s, |it| it == NAMED);
        assert_eq!(found, expected, "{before:?} then {word:?} at {time_s}");
        let after = if expected.is_ok() { word } else { before };
        assert_eq!(naming, after, "{before:?} then {word:?} at {time_s}");
    }
}

#[test]
fn a_subtree_that_no_named_lane_claims_falls_back_by_itself() {
    let named = Naming::Named(NAMED);
    let rows = [
        // naming, ms after the reveal, claimed by the name, first
        (Naming::Nobody, 0, false, First::Deal),
        (Naming::Nobody, 24_001, true, First::Deal),
        (named, 0, false, First::Name(NAMED)),
        (named, 24_000, false, First::Name(NAMED)),
        (named, 24_001, false, First::Deal),
        (named, 24_001, true, First::Name(NAMED)),
        (named, 700_000, true, First::Name(NAMED)),
        (Naming::Alone(NAMED), 0, false, First::Nobody),
        (Naming::Alone(NAMED), 700_000, true, First::Nobody),
    ];
    for (naming, after, claimed, expected) in rows {
        let now = Millis(REVEAL_S * 1_000 + after);
        let found = naming.first(&windows(), now, claimed);
        assert_eq!(found, expected, "{naming:?} {after} {claimed}");
    }
}

#[test]
fn t1_stays_with_a_name_only_while_it_covers_nine_tenths() {
    let rows = [
        // s after the reveal, claimed of 64 subtrees, holder
        (0, 0, Holder::Named(NAMED)),
        (24, 0, Holder::Named(NAMED)),
        (25, 0, Holder::Deal),
        (25, 57, Holder::Deal),
        (25, 58, Holder::Named(NAMED)),
        (400, 64, Holder::Named(NAMED)),
        (400, 57, Holder::Deal),
    ];
    for (after, claimed, expected) in rows {
        let cover = Cover { claimed, subtrees: 64 };
        let naming = Naming::Named(NAMED);
        let found = naming.holder(&params(), &windows(), REVEAL_S + after, cover);
        assert_eq!(found, expected, "{claimed} at {after}");
    }
}

#[test]
fn without_a_name_the_deal_holds_t1_and_a_lonely_leader_holds_its_own() {
    let all = Cover { claimed: 64, subtrees: 64 };
    let none = Cover { claimed: 0, subtrees: 64 };
    for cover in [all, none] {
        for after in [0, 25, 700] {
            let holder = |it: Naming| it.holder(&params(), &windows(), REVEAL_S + after, cover);
            assert_eq!(holder(Naming::Nobody), Holder::Deal);
            assert_eq!(holder(Naming::Alone(NAMED)), Holder::Alone(NAMED));
        }
    }
}

#[test]
fn cover_is_compared_without_rounding() {
    let rows = [
        (9, 10, 900, true),
        (8, 10, 900, false),
        (89, 99, 900, false),
        (90, 99, 900, true),
        (0, 1, 0, true),
        (0, 1, 1, false),
        (1, 1, 1_000, true),
        (61_439, 61_440, 1_000, false),
    ];
    for (claimed, subtrees, permille, expected) in rows {
        let cover = Cover { claimed, subtrees };
        assert_eq!(cover.reaches(permille), expected, "{cover:?} of {permille}");
    }
}

#[test]
fn lanes_of_a_named_prover_come_first_and_keep_their_order() {
    let deal = vec![lane(1, 0), lane(2, 1), lane(3, 0), lane(2, 0), lane(4, 0)];
    let named = First::Name(NAMED).order(deal.clone());
    assert_eq!(named, [lane(2, 1), lane(2, 0), lane(1, 0), lane(3, 0), lane(4, 0)]);
    assert_eq!(First::Deal.order(deal.clone()), deal);
    assert_eq!(First::Nobody.order(deal.clone()), []);
    assert_eq!(First::Name(ProverId(9)).order(deal.clone()), deal, "a name without lanes");
}

#[test]
fn a_lane_owes_only_what_nobody_was_named_for() {
    let rows = [
        (Naming::Nobody, false, true, true),
        (Naming::Named(NAMED), false, true, true),
        (Naming::Named(NAMED), true, true, false),
        (Naming::Alone(NAMED), false, false, false),
        (Naming::Alone(NAMED), true, false, false),
    ];
    for (naming, claimed, counts, owes) in rows {
        assert_eq!(naming.counts_coverage(), counts, "{naming:?}");
        assert_eq!(naming.dealt(), counts, "{naming:?}");
        assert_eq!(naming.owes(claimed), owes, "{naming:?} {claimed}");
    }
}

#[test]
fn a_leader_that_says_nothing_changes_nothing() {
    assert_eq!(Naming::default(), Naming::Nobody);
    let deal = vec![lane(1, 0), lane(2, 0)];
    let first = Naming::default().first(&windows(), Millis(0), false);
    assert_eq!(first.order(deal.clone()), deal);
}

/// A name under which nobody works: second by second, and then anybody's root is taken.
#[test]
fn a_name_nobody_works_under_costs_two_l1_blocks_and_nothing_more() {
    use crate::slot::phase::{NotNow, Root, accepts};
    let (params, windows, naming) = (params(), windows(), Naming::Named(NAMED));
    let nobody = Cover { claimed: 0, subtrees: 64 };
    let root = Root { sender: Some(ProverId(7)), dealt_permille: None };
    for after in 0..=460 {
        let now_s = REVEAL_S + after;
        let holder = naming.holder(&params, &windows, now_s, nobody);
        let found = accepts(&params, &windows, now_s, holder, root);
        let reserved = after <= 24;
        assert_eq!(found, if reserved { Err(NotNow::Reserved(NAMED)) } else { Ok(()) }, "{after}");
        let first = naming.first(&windows, Millis(now_s * 1_000), false);
        assert_eq!(first == First::Name(NAMED), reserved, "{after}");
    }
}

/// Half of the subtrees are claimed under the name: those stay, the others fall back, and T1 is the
/// deal's because nine tenths are not covered.
#[test]
fn a_half_claimed_block_is_shared_between_name_and_deal() {
    let naming = Naming::Named(NAMED);
    let now = Millis((REVEAL_S + 25) * 1_000);
    let deal: Vec<LaneId> = (0..5).map(|number| lane(number, 0)).collect();
    let claimed: Vec<bool> = (0..64).map(|subtree| subtree % 2 == 0).collect();
    for &by_name in &claimed {
        let first = naming.first(&windows(), now, by_name).order(deal.clone())[0];
        assert_eq!(first.prover() == NAMED, by_name);
        assert_eq!(naming.owes(by_name), !by_name);
    }
    let cover = Cover { claimed: claimed.iter().filter(|&&it| it).count(), subtrees: 64 };
    let holder = naming.holder(&params(), &windows(), REVEAL_S + 25, cover);
    assert_eq!(holder, Holder::Deal);
}

#[test]
fn a_leader_may_speak_late_but_a_late_name_takes_nothing_from_the_deal() {
    let mut naming = Naming::Nobody;
    let late_s = REVEAL_S + 60;
    naming.speak(Naming::Named(NAMED), &windows(), late_s, |_| true).unwrap();
    let now = Millis(late_s * 1_000);
    assert_eq!(naming.first(&windows(), now, false), First::Deal, "the grace is over");
    let claimed = naming.first(&windows(), now, true);
    assert_eq!(claimed, First::Name(NAMED), "what its lanes had claimed is theirs");
}

#[test]
fn a_leader_alone_deals_nothing_at_any_time() {
    let naming = Naming::Alone(NAMED);
    for after in [0, 24, 25, 460, 461, 1_000] {
        let now = Millis((REVEAL_S + after) * 1_000);
        for claimed in [false, true] {
            let ranks = naming.first(&windows(), now, claimed).order(vec![lane(1, 0), lane(2, 0)]);
            assert_eq!(ranks, [], "{after}");
        }
    }
}
