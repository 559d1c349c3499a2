//! Money: who gets what, and that it never adds up to more than there is.

use super::*;
use crate::epoch::draws::Draws;

fn params() -> Params {
    Params { payout_minimum: 100, ..Params::devnet() }
}

fn address(name: u8) -> Address {
    Address([name; 20])
}

const fn earned(full: u64, taken: u64) -> Earned {
    Earned { full, taken }
}

#[test]
fn a_pool_is_split_by_its_shares_and_the_top_up_is_the_provers() {
    // shares provers/sequencer/submitter; fees, reward, top-up; provers, sequencer, submitter
    let rows = [
        ([900, 50, 50], [600, 400, 0], [900, 50, 50]),
        ([900, 50, 50], [600, 400, 77], [977, 50, 50]),
        ([900, 50, 50], [0, 0, 77], [77, 0, 0]),
        ([900, 50, 50], [19, 0, 0], [19, 0, 0]),
        ([900, 50, 50], [20, 0, 0], [18, 1, 1]),
        ([334, 333, 333], [1, 1, 1], [3, 0, 0]),
        ([1_000, 0, 0], [5, 6, 7], [18, 0, 0]),
    ];
    for (shares, [fees, reward, top_up], [provers, sequencer, submitter]) in rows {
        let [prover_share_permille, sequencer_share_permille, submitter_share_permille] = shares;
        let params = Params {
            prover_share_permille,
            sequencer_share_permille,
            submitter_share_permille,
            ..params()
        };
        let found = Pool { fees, reward, top_up }.split(&params);
        assert_eq!(found, Shares { provers, sequencer, submitter }, "{fees} {reward} {top_up}");
    }
}

#[test]
fn amounts_of_any_size_are_split_without_overflow() {
    let most = u128::MAX / 4;
    let split = Pool { fees: most, reward: most, top_up: most }.split(&params());
    assert_eq!(split.provers + split.sequencer + split.submitter, 3 * most);
    assert_eq!(part(u128::MAX, 1_000), u128::MAX);
    for amount in [0, 1, 999, 1_000, 1_001, 123_456_789] {
        for permille in [0, 1, 333, 999, 1_000] {
            assert_eq!(part(amount, permille), amount * u128::from(permille) / 1_000);
        }
    }
    for (a, b) in [(0, 1), (1, 3), (2, 3), (3, 3), (5, 1 << 60)] {
        assert_eq!(fraction(1_000_003, a, b), 1_000_003 * a / b, "{a} / {b}");
    }
    assert_eq!(fraction(u128::MAX, 1 << 60, 1 << 60), u128::MAX);
}

#[test]
fn hot_units_count_once_for_each_copy() {
    let hot = Params { hot_levels: 7, hot_copies: 3, ..params() };
    let rows = [(Some(0), 90), (Some(6), 90), (Some(7), 30), (Some(200), 30), (None, 30)];
    for (below_root, expected) in rows {
        assert_eq!(credited_units(30, below_root, &hot), expected, "{below_root:?}");
    }
    assert_eq!(credited_units(30, Some(0), &params()), 30, "no hot crown on one machine");
}

#[test]
fn coverage_pays_in_full_from_nine_tenths_and_falls_steeply_below() {
    // dealt, made, thousandths, factor
    let rows = [
        (0, 0, None, 1_000),
        (10, 10, Some(1_000), 1_000),
        (10, 9, Some(900), 1_000),
        (1_000, 899, Some(899), 997),
        (10, 8, Some(800), 790),
        (10, 5, Some(500), 308),
        (10, 3, Some(300), 111),
        (10, 1, Some(100), 12),
        (10, 0, Some(0), 0),
        (u64::MAX, u64::MAX, Some(1_000), 1_000),
        (u64::MAX, u64::MAX / 2, Some(499), 307),
    ];
    for (dealt, made, permille, factor) in rows {
        let coverage = Coverage { dealt, made };
        assert_eq!(coverage.permille(), permille, "{coverage:?}");
        assert_eq!(coverage.factor_permille(&params()), factor, "{coverage:?}");
    }
}

#[test]
fn another_made_unit_never_lowers_a_factor() {
    for coverage_full_permille in [1, 500, 900, 1_000] {
        let params = Params { coverage_full_permille, ..params() };
        let factors: Vec<u64> =
            (0..=500).map(|made| Coverage { dealt: 500, made }.factor_permille(&params)).collect();
        assert!(factors.is_sorted() && factors[0] == 0 && factors[500] == 1_000);
    }
}

#[test]
#[should_panic(expected = "units made of")]
fn more_than_dealt_cannot_be_made() {
    let _permille = Coverage { dealt: 1, made: 2 }.permille();
}

/// R9.3: whatever a prover made in the epoch counts, up to what its lanes were dealt.
#[test]
fn duties_are_covered_by_whatever_was_made_and_by_no_more_than_was_dealt() {
    let lane = |prover, number| LaneId::new(ProverId(prover), number);
    let mut duties = Duties::default();
    for (it, units) in [(lane(1, 0), 30), (lane(1, 1), 5), (lane(1, 0), 10), (lane(2, 0), 8)] {
        duties.dealt(it, units);
    }
    duties.credited(ProverId(1), 20);
    duties.credited(ProverId(1), 22);
    duties.credited(ProverId(3), 7);
    let expected = [(lane(1, 0), 40, 40), (lane(1, 1), 5, 2), (lane(2, 0), 8, 0)];
    let expected = expected.map(|(it, dealt, made)| (it, Coverage { dealt, made }));
    assert_eq!(duties.coverage().into_iter().collect::<Vec<_>>(), expected);
}

/// One slot: a pool of 1000 over 100 units.
fn list(credits: &[(u8, Earned)]) -> List {
    let mut list = List::new(Epoch(4));
    list.settled(1_000, 100, credits.iter().map(|&(name, it)| (address(name), it)));
    list
}

#[test]
fn units_are_paid_pro_rata_times_coverage_and_takeovers_at_two_fifths() {
    let rows = [
        (earned(100, 0), 1_000, 1_000),
        (earned(50, 0), 1_000, 500),
        (earned(0, 50), 1_000, 200),
        (earned(50, 50), 1_000, 700),
        (earned(50, 0), 308, 154),
        (earned(0, 50), 308, 61),
        (earned(50, 0), 0, 0),
        (earned(0, 0), 1_000, 0),
        (earned(33, 0), 999, 329),
    ];
    for (earned, factor, expected) in rows {
        let list = list(&[(1, earned)]);
        assert_eq!(list.amount(address(1), factor, &params()), expected, "{earned:?} {factor}");
        assert_eq!(list.amount(address(2), factor, &params()), 0, "not on the list");
    }
}

/// Sniping never beats own work: a unit of one's own is worth more than a taken one.
#[test]
fn a_lane_that_takes_others_units_instead_of_its_own_earns_less() {
    let honest = list(&[(1, earned(10, 0))]);
    let full = Coverage { dealt: 10, made: 10 }.factor_permille(&params());
    let own = honest.amount(address(1), full, &params());
    for sniped in 1..=10 {
        let list = list(&[(1, earned(10 - sniped, sniped))]);
        let amount = list.amount(address(1), full, &params());
        assert!(amount < own, "{sniped} of 10 sniped");
    }
}

#[test]
fn an_epochs_slots_share_one_list() {
    let mut list = list(&[(1, earned(100, 0))]);
    list.settled(2_000, 100, [(address(2), earned(60, 0)), (address(1), earned(0, 40))]);
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines, [(address(1), earned(100, 40)), (address(2), earned(60, 0))]);
    assert_eq!((list.pool(), list.epoch()), (3_000, Epoch(4)));
    assert_eq!(list.amount(address(2), 1_000, &params()), 3_000 * 60 / 200);
    assert_eq!(list.amount(address(1), 1_000, &params()), 3_000 * 116 / 200);
}

#[test]
#[should_panic(expected = "no more than its tree holds")]
fn credits_beyond_the_tree_are_refused() {
    list(&[(1, earned(60, 0)), (2, earned(41, 0))]);
}

#[test]
fn the_sum_never_exceeds_the_pool_whatever_is_rounded() {
    for pool in [0, 1, 7, 997, 1_000_003, u128::MAX] {
        for payees in 1..=13u8 {
            let mut list = List::new(Epoch(1));
            let units = u64::from(payees) * 7;
            list.settled(pool, units, (0..payees).map(|it| (address(it), earned(4, 3))));
            let mut payouts = Payouts::default();
            let mut sum = 0u128;
            for name in 0..payees {
                let factor = 1_000 - u64::from(name);
                sum += payouts.take(&list, address(name), factor, &params()).unwrap();
                sum += payouts.waiting(address(name));
            }
            assert!(sum <= pool, "{pool} over {payees}");
            assert_eq!(payouts.spent(Epoch(1)), sum, "{pool} over {payees}");
        }
    }
}

#[test]
fn every_payee_is_paid_once_an_epoch() {
    let mut payouts = Payouts::default();
    let list = list(&[(1, earned(50, 0)), (2, earned(1, 0))]);
    let mut take = |name| payouts.take(&list, address(name), 1_000, &params());
    assert_eq!(take(1), Ok(500));
    assert_eq!(take(1), Err(NotPaid::Twice));
    assert_eq!(take(2), Ok(0), "below the minimum");
    assert_eq!(take(2), Err(NotPaid::Twice), "carried forward is done too");
    assert_eq!(take(3), Err(NotPaid::Unknown));
    assert_eq!((payouts.spent(Epoch(4)), payouts.waiting(address(2))), (510, 10));
}

#[test]
fn small_amounts_wait_until_they_reach_the_minimum() {
    let mut payouts = Payouts::default();
    // 40 an epoch, minimum 100.
    let expected = [(0, 40), (0, 80), (120, 0), (0, 40)];
    for (epoch, (sent, waiting)) in (0..).zip(expected) {
        let mut list = List::new(Epoch(epoch));
        list.settled(1_000, 100, [(address(1), earned(4, 0))]);
        assert_eq!(payouts.take(&list, address(1), 1_000, &params()), Ok(sent), "epoch {epoch}");
        assert_eq!(payouts.waiting(address(1)), waiting, "epoch {epoch}");
    }
    let exactly = Params { payout_minimum: 40, ..params() };
    let mut list = List::new(Epoch(9));
    list.settled(1_000, 100, [(address(2), earned(4, 0))]);
    assert_eq!(payouts.take(&list, address(2), 1_000, &exactly), Ok(40));
}

#[test]
fn a_closed_epoch_pays_nobody_and_forgets_nobodys_money() {
    let mut payouts = Payouts::default();
    let list = list(&[(1, earned(4, 0)), (2, earned(50, 0))]);
    assert_eq!(payouts.take(&list, address(1), 1_000, &params()), Ok(0));
    payouts.close(Epoch(5));
    for name in [1, 2] {
        let again = payouts.take(&list, address(name), 1_000, &params());
        assert_eq!(again, Err(NotPaid::Closed), "{name}");
    }
    assert_eq!(payouts.waiting(address(1)), 40);
    payouts.close(Epoch(0));
    let again = payouts.take(&list, address(2), 1_000, &params());
    assert_eq!(again, Err(NotPaid::Closed), "closing is for ever");
}

#[test]
fn only_its_owner_opens_a_payee() {
    let opening = Opening { prover: ProverId(3), epoch: Epoch(7), blinding: [9; 32] };
    let payee = opening.payee();
    assert!(opening.opens(payee, ProverId(3), Epoch(7)));
    assert!(
        !opening.opens(payee, ProverId(4), Epoch(7))
            && !opening.opens(payee, ProverId(3), Epoch(8))
    );
    let others = [
        Opening { prover: ProverId(4), ..opening },
        Opening { epoch: Epoch(8), ..opening },
        Opening { blinding: [8; 32], ..opening },
    ];
    for other in others {
        assert_ne!(other.payee(), payee, "{other:?}");
        assert!(!other.opens(payee, other.prover, other.epoch), "{other:?}");
    }
}

#[test]
fn a_payee_is_the_hash_of_prover_epoch_and_blinding() {
    let opening = Opening { prover: ProverId(3), epoch: Epoch(7), blinding: [9; 32] };
    let mut text = b"coppice.payee.v1".to_vec();
    text.extend(3u32.to_be_bytes());
    text.extend(7u64.to_be_bytes());
    text.extend([9; 32]);
    assert_eq!(opening.payee().0, keccak256(&[&text]).0[12..]);
}

/// Random lists, factors and minima over several epochs: no epoch pays more than its pool, and what
/// was sent and what waits are together what was earned.
#[test]
fn nothing_is_made_and_nothing_is_lost_over_epochs() {
    for seed in 0..200 {
        let mut draws = Draws(seed);
        let params = Params { payout_minimum: u128::from(draws.below(2_000)), ..params() };
        let (mut payouts, mut sent, mut used) = (Payouts::default(), 0, 0);
        for epoch in 0..4 {
            let list = random_list(&mut draws, Epoch(epoch));
            let lines: Vec<_> = list.lines().collect();
            for (payee, _) in lines {
                let factor = draws.below(1_001);
                let least = payouts.waiting(payee) + list.amount(payee, factor, &params);
                let now = payouts.take(&list, payee, factor, &params).unwrap();
                assert_eq!(now + payouts.waiting(payee), least, "seed {seed}");
                assert!(now == 0 || params.payout_minimum <= now, "seed {seed}");
                sent += now;
            }
            assert!(payouts.spent(Epoch(epoch)) <= list.pool(), "seed {seed}");
            used += payouts.spent(Epoch(epoch));
        }
        let waiting: u128 = (0..8).map(|name| payouts.waiting(address(name))).sum();
        assert_eq!(sent + waiting, used, "seed {seed}");
    }
}

fn random_list(draws: &mut Draws, epoch: Epoch) -> List {
    let mut list = List::new(epoch);
    for _ in 0..=draws.below(4) {
        let mut left = 1 + draws.below(1_000);
        let units = left;
        let mut credits = Vec::new();
        while 0 < left {
            let (full, name) = (1 + draws.below(left), u8::try_from(draws.below(8)).unwrap());
            let taken = if full < left { draws.below(left - full) } else { 0 };
            credits.push((address(name), earned(full, taken)));
            left -= full + taken;
        }
        list.settled(u128::from(draws.below(5_000)), units, credits);
    }
    list
}

/// R9.3: one prover's miss pays nobody else, so there is nothing to gain by making others miss.
#[test]
fn anothers_miss_pays_nobody() {
    let list = list(&[(1, earned(50, 0)), (2, earned(50, 0))]);
    let mut alone = Vec::new();
    for factor_of_other in [1_000, 500, 0] {
        let mut payouts = Payouts::default();
        payouts.take(&list, address(2), factor_of_other, &params()).unwrap();
        alone.push(payouts.take(&list, address(1), 1_000, &params()).unwrap());
    }
    assert_eq!(alone, [500, 500, 500]);
}

/// A lane that stops in the middle of an epoch and comes back earns more than one that stays away.
#[test]
fn coming_back_pays_at_any_coverage() {
    let income = |made: u64| {
        let list = list(&[(1, earned(made, 0))]);
        let factor = Coverage { dealt: 100, made }.factor_permille(&params());
        list.amount(address(1), factor, &params())
    };
    let incomes: Vec<u128> = (0..=100).map(income).collect();
    assert!(incomes[16..].is_sorted_by(|a, b| a < b), "{incomes:?}");
    assert_eq!((incomes[0], incomes[50], incomes[90], incomes[100]), (0, 154, 900, 1_000));
}

/// R15: one prover with two payees is paid what it would be with one, but for rounding.
#[test]
fn splitting_units_over_payees_gains_nothing() {
    for parts in 1..=10u8 {
        let each = 100 / u64::from(parts);
        let credits: Vec<(u8, Earned)> = (0..parts).map(|it| (it, earned(each, 0))).collect();
        let list = list(&credits);
        let sum: u128 = (0..parts).map(|it| list.amount(address(it), 900, &params())).sum();
        assert!(sum <= 900, "{parts} payees: {sum}");
        assert!(900 - u128::from(parts) * 10 <= sum, "{parts} payees: {sum}");
    }
}
