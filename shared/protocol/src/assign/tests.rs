//! Ids against fixed vectors, ranks against the rules.

use super::*;
use crate::domain::Kind;

fn words(n: u8) -> TaskWords {
    let w = |k: u8| [n.wrapping_mul(16).wrapping_add(k); 32];
    TaskWords { set: w(0), start: w(1), end: w(2), txs: w(3), count: w(4), aux: w(5) }
}

fn seed(n: u8) -> Hash {
    keccak256(&[b"deal test", &[n]])
}

/// `provers` provers with `each` lanes of a class.
fn lanes(provers: u32, each: u16, class: Class) -> BTreeMap<LaneId, Class> {
    (0..provers)
        .flat_map(|it| (0..each).map(move |n| (LaneId::new(ProverId(it), n), class)))
        .collect()
}

#[test]
fn a_task_id_is_the_hash_of_its_words_in_order() {
    let it = words(1);
    let mut text = b"coppice.task.v1".to_vec();
    text.extend(it.set);
    text.push(3);
    for word in [it.start, it.end, it.txs, it.count, it.aux] {
        text.extend(word);
    }
    assert_eq!(text.len(), 15 + 32 + 1 + 5 * 32);
    assert_eq!(task_id(Kind::Base, &it).0, keccak256(&[&text]).0);
}

#[test]
fn every_word_and_the_kind_change_a_task_id() {
    let it = words(1);
    let other = [9; 32];
    let mut ids: BTreeSet<TaskId> = Kind::ALL.iter().map(|&kind| task_id(kind, &it)).collect();
    ids.insert(task_id(Kind::Base, &TaskWords { set: other, ..it }));
    ids.insert(task_id(Kind::Base, &TaskWords { start: other, ..it }));
    ids.insert(task_id(Kind::Base, &TaskWords { end: other, ..it }));
    ids.insert(task_id(Kind::Base, &TaskWords { txs: other, ..it }));
    ids.insert(task_id(Kind::Base, &TaskWords { count: other, ..it }));
    ids.insert(task_id(Kind::Base, &TaskWords { aux: other, ..it }));
    assert_eq!(ids.len(), 12);
}

#[test]
fn another_payee_or_credit_is_another_statement() {
    let task = task_id(Kind::Vm, &words(2));
    let base = statement_id(task, Address([1; 20]), &[2; 32]);
    assert_ne!(base, statement_id(task, Address([2; 20]), &[2; 32]));
    assert_ne!(base, statement_id(task, Address([1; 20]), &[3; 32]));
    assert_ne!(base, statement_id(task_id(Kind::Vm, &words(3)), Address([1; 20]), &[2; 32]));
    let mut text = b"coppice.statement.v1".to_vec();
    text.extend(task.0);
    text.extend([1; 20]);
    text.extend([2; 32]);
    assert_eq!(base.0, keccak256(&[&text]).0);
}

#[test]
fn ids_keep_their_values_across_releases() {
    assert_eq!(
        task_id(Kind::Vm, &words(0)).to_string(),
        "0xe686c00d6c8403694714ad58e5900fcf9c7e23651c2df1f9071514999d56147b"
    );
    assert_eq!(
        statement_id(TaskId([1; 32]), Address([2; 20]), &[3; 32]).to_string(),
        "0x1c9ea67ad43cbd2fb34dd73fca6ce9cf862def435460360236a88bc29cc91f17"
    );
    assert_eq!(
        deal_seed(Hash([1; 32]), Hash([2; 32]), Hash([3; 32])).to_string(),
        "0x0918b65016ec47e1613e6629a797fb3685353e3b8101d0e5250ab52e53f27b88"
    );
}

#[test]
fn strides_meet_every_lane() {
    for count in 1..=200 {
        let step = stride(count);
        assert!((count / 7).max(1) <= step);
        let met: BTreeSet<usize> = (0..count).map(|r| r * step % count).collect();
        assert_eq!(met.len(), count, "stride {step} of {count}");
    }
    assert_eq!([stride(1), stride(3), stride(14), stride(21), stride(24)], [1, 1, 3, 4, 5]);
}

#[test]
fn rollup_lanes_are_in_one_deck_and_vm_lanes_in_both() {
    let mut all = lanes(3, 2, Class::Rollup);
    all.insert(LaneId::new(ProverId(7), 0), Class::Vm);
    let deal = Deal::new(seed(1), all, 2, 1);
    assert_eq!(deal.deck(Class::Rollup).len(), 7);
    assert_eq!(deal.deck(Class::Vm), [LaneId::new(ProverId(7), 0)]);
}

#[test]
fn decks_of_the_two_classes_are_shuffled_apart() {
    let same = (0..20).filter(|&n| {
        let deal = Deal::new(seed(n), lanes(8, 1, Class::Vm), 3, 3);
        deal.deck(Class::Rollup) == deal.deck(Class::Vm)
    });
    assert_eq!(same.count(), 0);
}

#[test]
fn no_lane_is_dealt_twice_before_all_were_dealt_once() {
    let deal = Deal::new(seed(3), lanes(8, 1, Class::Rollup), 8, 0);
    let firsts: BTreeSet<LaneId> = (0..8).map(|i| deal.ranks(Class::Rollup, i)[0]).collect();
    assert_eq!(firsts.len(), 8);
    assert_eq!(deal.ranks(Class::Rollup, 8)[0], deal.ranks(Class::Rollup, 0)[0]);
}

#[test]
fn lanes_that_were_dealt_nothing_rank_next_in_deck_order() {
    let deal = Deal::new(seed(4), lanes(9, 1, Class::Rollup), 4, 0);
    let deck = deal.deck(Class::Rollup);
    for i in 0..4 {
        let ranks = deal.ranks(Class::Rollup, i);
        assert_eq!(ranks[0], deck[i]);
        assert_eq!(ranks[1..6], deck[4..9]);
    }
}

#[test]
fn the_walk_names_every_prover_before_one_twice() {
    for n in 0..10 {
        let deal = Deal::new(seed(n), lanes(4, 3, Class::Rollup), 12, 0);
        let ranks = deal.ranks(Class::Rollup, usize::from(n));
        let first: BTreeSet<ProverId> = ranks[..4].iter().map(|it| it.prover()).collect();
        assert_eq!(first.len(), 4, "{ranks:?}");
        assert_eq!(ranks.iter().collect::<BTreeSet<_>>().len(), 12);
    }
}

#[test]
fn makers_have_the_right_to_their_parent_and_a_bit_says_which_is_first() {
    let deal = Deal::new(seed(5), lanes(6, 1, Class::Rollup), 6, 0);
    let makers = [LaneId::new(ProverId(1), 0), LaneId::new(ProverId(4), 0)];
    let mut left_first = 0;
    for index in 0..64 {
        let node = Node { kind: Kind::Merge, level: 1, index, call: 0 };
        let ranks = deal.crown_ranks(node, [Some(makers[0]), Some(makers[1])]);
        assert_eq!(ranks.len(), 6);
        assert_eq!(ranks[..2].iter().collect::<BTreeSet<_>>(), makers.iter().collect());
        left_first += u32::from(ranks[0] == makers[0]);
    }
    assert!((16..=48).contains(&left_first), "left was first {left_first} times of 64");
}

#[test]
fn a_crown_node_whose_makers_are_unknown_goes_by_the_deck() {
    let deal = Deal::new(seed(6), lanes(6, 1, Class::Rollup), 6, 0);
    let node = Node { kind: Kind::Root, level: 0, index: 0, call: 0 };
    let without = deal.crown_ranks(node, [None, None]);
    let maker = without[3];
    let with = deal.crown_ranks(node, [Some(maker), Some(maker)]);
    assert_eq!(with[0], maker);
    let rest: Vec<LaneId> = without.into_iter().filter(|&it| it != maker).collect();
    assert_eq!(with[1..], rest);
}

#[test]
fn a_maker_outside_the_epochs_set_has_no_rank() {
    let deal = Deal::new(seed(6), lanes(3, 1, Class::Rollup), 3, 0);
    let node = Node { kind: Kind::Root, level: 0, index: 0, call: 0 };
    let stranger = Some(LaneId::new(ProverId(99), 0));
    assert_eq!(deal.crown_ranks(node, [stranger; 2]).len(), 3);
}

#[test]
fn a_lane_is_watched_by_other_provers_only() {
    let deal = Deal::new(seed(8), lanes(4, 2, Class::Rollup), 5, 0);
    for &lane in deal.lanes().keys() {
        let watchers = deal.watchers(lane);
        assert_eq!(watchers.len(), 6);
        assert!(watchers.iter().all(|it| it.prover() != lane.prover()));
        let own = deal.deck(Class::Rollup).iter().position(|&it| it == lane).unwrap();
        let ranks = deal.ranks(Class::Rollup, own);
        let expected: Vec<LaneId> =
            ranks.into_iter().filter(|it| it.prover() != lane.prover()).collect();
        assert_eq!(watchers, expected);
    }
}

#[test]
fn no_lanes_deal_nothing_and_do_not_panic() {
    let deal = Deal::new(seed(9), BTreeMap::new(), 3, 2);
    let node = Node { kind: Kind::Root, level: 0, index: 0, call: 0 };
    assert!(deal.ranks(Class::Rollup, 0).is_empty());
    assert!(deal.ranks(Class::Vm, 1).is_empty());
    assert!(deal.crown_ranks(node, [None, None]).is_empty());
    assert!(deal.watchers(LaneId(1)).is_empty());
}

#[test]
fn a_deal_is_a_function_of_its_seed() {
    let of = |n| Deal::new(seed(n), lanes(12, 2, Class::Vm), 7, 5);
    assert_eq!(of(1), of(1));
    assert_ne!(of(1).deck(Class::Rollup), of(2).deck(Class::Rollup));
}
