//! Ids against fixed vectors, ranks against the rules.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    deal::{Amount, stride, times_dealt},
    *,
};
use crate::domain::{Class, Kind, LaneId, Node, ProverId, TaskId};

fn deal(seed: Hash, lanes: BTreeMap<LaneId, Class>, subtrees: usize, vms: usize) -> Deal {
    Deal::new(seed, lanes, Amount { subtrees, vms }, 8, &|_, _| 0)
}

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
    let dealt = deal(seed(1), all, 2, 1);
    assert_eq!(dealt.deck(Class::Rollup).len(), 7);
    assert_eq!(dealt.deck(Class::Vm), [LaneId::new(ProverId(7), 0)]);
}

#[test]
fn decks_of_the_two_classes_are_shuffled_apart() {
    let same = (0..20).filter(|&n| {
        let dealt = deal(seed(n), lanes(8, 1, Class::Vm), 3, 3);
        dealt.deck(Class::Rollup) == dealt.deck(Class::Vm)
    });
    assert_eq!(same.count(), 0);
}

#[test]
fn no_lane_is_dealt_twice_before_all_were_dealt_once() {
    let dealt = deal(seed(3), lanes(8, 1, Class::Rollup), 8, 0);
    let firsts: BTreeSet<LaneId> = (0..8).map(|i| dealt.ranks(Class::Rollup, i)[0]).collect();
    assert_eq!(firsts.len(), 8);
    assert_eq!(dealt.ranks(Class::Rollup, 8)[0], dealt.ranks(Class::Rollup, 0)[0]);
}

#[test]
fn lanes_that_were_dealt_nothing_rank_next() {
    let dealt = deal(seed(4), lanes(9, 1, Class::Rollup), 4, 0);
    let deck = dealt.deck(Class::Rollup);
    for i in 0..4 {
        let ranks = dealt.ranks(Class::Rollup, i);
        assert_eq!(ranks[0], deck[i]);
        let idle: Vec<LaneId> = (0..5).map(|r| deck[4 + (i + r) % 5]).collect();
        assert_eq!(ranks[1..6], idle, "each subtree asks another idle lane first");
    }
}

#[test]
fn the_walk_names_every_prover_before_one_twice() {
    for n in 0..10 {
        let dealt = deal(seed(n), lanes(4, 3, Class::Rollup), 12, 0);
        let ranks = dealt.ranks(Class::Rollup, usize::from(n));
        let first: BTreeSet<ProverId> = ranks[..4].iter().map(|it| it.prover()).collect();
        assert_eq!(first.len(), 4, "{ranks:?}");
        assert_eq!(ranks.iter().collect::<BTreeSet<_>>().len(), 12);
    }
}

#[test]
fn makers_have_the_right_to_their_parent_and_a_bit_says_which_is_first() {
    let dealt = deal(seed(5), lanes(6, 1, Class::Rollup), 6, 0);
    let makers = [LaneId::new(ProverId(1), 0), LaneId::new(ProverId(4), 0)];
    let mut left_first = 0;
    for index in 0..64 {
        let node = Node { kind: Kind::Merge, level: 1, index, call: 0 };
        let ranks = dealt.crown_ranks(node, [Some(makers[0]), Some(makers[1])]);
        assert_eq!(ranks.len(), 6);
        assert_eq!(ranks[..2].iter().collect::<BTreeSet<_>>(), makers.iter().collect());
        left_first += u32::from(ranks[0] == makers[0]);
    }
    assert!((16..=48).contains(&left_first), "left was first {left_first} times of 64");
}

#[test]
fn a_crown_node_whose_makers_are_unknown_goes_by_the_deck() {
    let dealt = deal(seed(6), lanes(6, 1, Class::Rollup), 6, 0);
    let node = Node { kind: Kind::Root, level: 0, index: 0, call: 0 };
    let without = dealt.crown_ranks(node, [None, None]);
    let maker = without[3];
    let with = dealt.crown_ranks(node, [Some(maker), Some(maker)]);
    assert_eq!(with[0], maker);
    let rest: Vec<LaneId> = without.into_iter().filter(|&it| it != maker).collect();
    assert_eq!(with[1..], rest);
}

#[test]
fn a_maker_outside_the_epochs_set_has_no_rank() {
    let dealt = deal(seed(6), lanes(3, 1, Class::Rollup), 3, 0);
    let node = Node { kind: Kind::Root, level: 0, index: 0, call: 0 };
    let stranger = Some(LaneId::new(ProverId(99), 0));
    assert_eq!(dealt.crown_ranks(node, [stranger; 2]).len(), 3);
}

#[test]
fn a_lane_is_watched_by_other_provers_only() {
    let dealt = deal(seed(8), lanes(4, 2, Class::Rollup), 5, 0);
    for &lane in dealt.lanes().keys() {
        let watchers = dealt.watchers(lane).to_vec();
        assert_eq!(watchers.len(), 6);
        assert!(watchers.iter().all(|it| it.prover() != lane.prover()));
        let first: BTreeSet<ProverId> = watchers.iter().take(3).map(|it| it.prover()).collect();
        assert_eq!(first.len(), 3, "every prover is named before one is named twice");
    }
}

/// Whoever vanishes: those who are left hear of all of them, one loss after the other.
#[test]
fn no_set_of_lanes_is_watched_by_nobody_outside() {
    for (salt, alive) in (0..40).flat_map(|salt| [2, 3, 9].map(|alive| (salt, alive))) {
        let dealt = deal(seed(salt), lanes(12, 2, Class::Rollup), 5, 0);
        let lives = |it: &LaneId| it.prover().0 < alive;
        let mut lost: BTreeSet<LaneId> = BTreeSet::new();
        loop {
            let known = |lane: &&LaneId| {
                let watchers = dealt.watchers(**lane).iter().filter(|it| !lost.contains(it));
                !lives(lane) && !lost.contains(lane) && watchers.take(2).any(lives)
            };
            let found: Vec<LaneId> = dealt.lanes().keys().filter(known).copied().collect();
            if found.is_empty() {
                break;
            }
            lost.extend(found);
        }
        let gone = dealt.lanes().keys().filter(|it| !lives(it)).count();
        assert_eq!(lost.len(), gone, "seed {salt}, {alive} provers live");
    }
}

#[test]
fn lanes_on_probation_are_dealt_nothing_and_rank_behind_those_that_are() {
    let new = |lane: LaneId| lane.prover().0 < 3;
    let times = |_, lane| if new(lane) { deal::NOT_DEALT } else { 0 };
    let amount = Amount { subtrees: 20, vms: 2 };
    let dealt = Deal::new(seed(4), lanes(9, 1, Class::Vm), amount, 8, &times);
    for i in 0..20 {
        let ranks = dealt.ranks(Class::Rollup, i);
        assert!(!new(ranks[0]), "subtree {i}");
        assert!(ranks[1..4].iter().all(|&it| new(it)), "who was dealt nothing ranks next");
    }
    assert!(dealt.lanes().keys().filter(|it| new(**it)).all(|&it| !dealt.watchers(it).is_empty()));
}

#[test]
fn no_lanes_deal_nothing_and_do_not_panic() {
    let dealt = deal(seed(9), BTreeMap::new(), 3, 2);
    let node = Node { kind: Kind::Root, level: 0, index: 0, call: 0 };
    assert!(dealt.ranks(Class::Rollup, 0).is_empty());
    assert!(dealt.ranks(Class::Vm, 1).is_empty());
    assert!(dealt.crown_ranks(node, [None, None]).is_empty());
    assert_eq!(dealt.watchers(LaneId(1)).len(), 0);
}

#[test]
fn a_deal_is_a_function_of_its_seed() {
    let of = |n| deal(seed(n), lanes(12, 2, Class::Vm), 7, 5);
    assert_eq!(of(1), of(1));
    assert_ne!(of(1).deck(Class::Rollup), of(2).deck(Class::Rollup));
}

/// R4.2: over the slots of an epoch nobody is dealt twice before everybody was dealt once.
#[test]
fn an_epochs_slots_deal_to_everybody_in_turn() {
    let all = lanes(10, 1, Class::Rollup);
    let mut earlier: Vec<(Hash, u16)> = Vec::new();
    let mut dealt: BTreeMap<LaneId, u32> = all.keys().map(|&it| (it, 0)).collect();
    for slot in 0..12u8 {
        let rolling = times_dealt(&all, &earlier);
        let times = |class, lane| rolling.get(&(class, lane)).copied().unwrap_or(0);
        let deal = Deal::new(seed(slot), all.clone(), Amount { subtrees: 3, vms: 0 }, 8, &times);
        for i in 0..3 {
            *dealt.get_mut(&deal.ranks(Class::Rollup, i)[0]).unwrap() += 1;
        }
        let (least, most) = (dealt.values().min().unwrap(), dealt.values().max().unwrap());
        assert!(most - least <= 1, "slot {slot}: {dealt:?}");
        earlier.push((seed(slot), 3));
    }
}

#[test]
fn what_lanes_rank_early_for_is_what_tasks_rank_early() {
    let dealt = deal(seed(11), lanes(40, 1, Class::Vm), 60, 90);
    for &lane in dealt.lanes().keys() {
        let early = dealt.early(lane).unwrap();
        for i in 0..60 {
            let ranks = dealt.ranks(Class::Rollup, i);
            assert_eq!(early.subtrees.contains(&i), ranks[..8].contains(&lane), "{lane} {i}");
        }
        for i in 0..90 {
            let ranks = dealt.ranks(Class::Vm, i);
            assert_eq!(early.vms.contains(&i), ranks[..4].contains(&lane), "{lane} {i}");
        }
        for &other in dealt.lanes().keys() {
            let watches = dealt.watchers(other).contains(&lane);
            assert_eq!(early.watched.contains(&other), watches, "{lane} watches {other}");
        }
    }
}

#[test]
fn ranks_that_were_walked_once_are_those_of_the_walk() {
    for (lanes, subtrees, vms) in [
        (lanes(9, 1, Class::Vm), 5, 3),
        (lanes(4, 3, Class::Vm), 20, 0),
        (lanes(40, 2, Class::Vm), 7, 90),
    ] {
        let deal = deal(seed(3), lanes, subtrees, vms);
        for class in [Class::Rollup, Class::Vm] {
            for i in 0..100 {
                assert!(deal.read(class, i).eq(deal.walk(class, i)), "{class:?} {i}");
            }
        }
    }
}
