//! Lanes without the keys of a slot's circuit set (R13.1).

use super::{
    Bench, Do,
    bench::{SET, lane},
};
use crate::{
    domain::Slot,
    io::{Action, Audience, Input, Message},
};

/// A machine of one of three provers, at work on the devnet's block.
fn bench(own: u32, script: &[Do]) -> Bench {
    let mut bench = Bench::new(Some(own), 3, &[1, 0]);
    script.iter().for_each(|what| bench.run(what));
    bench.forget_log();
    bench
}

fn advert(bench: &Bench, prover: u32, n: u64, able: bool) -> Message {
    Message::Advert { lane: lane(prover), slot: bench.slot, set: SET, n, able }
}

fn keys(bench: &mut Bench, own: u32, able: bool) {
    bench.step(Input::Keys { lane: lane(own), set: SET, able });
}

/// Adverts that we said since the log was forgotten: whether we can, and to everybody.
fn said(bench: &Bench) -> Vec<(bool, bool)> {
    let adverts = bench.actions.iter().filter_map(|it| {
        let Action::Send { message: Message::Advert { able, .. }, to } = it else { return None };
        Some((*able, *to == Audience::Everyone))
    });
    adverts.collect()
}

const TAKEN: &str =
    "persist claimed vm/0.0 2#1 attempt 0\nsend claim vm/0.0 2#1\nprove vm/0.0 from []\n";

/// The call is prover 1's: without a word prover 2 waits two and a half seconds for it.
#[test]
fn followers_take_over_at_once_from_a_lane_that_lacks_the_slots_set() {
    let begun = [Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1)];
    let mut silent = bench(2, &begun);
    silent.wait(2_499);
    assert_eq!(silent.take_log(), "");
    let mut told = bench(2, &begun);
    told.hear(advert(&told, 1, 5, false));
    assert_eq!(told.take_log(), TAKEN, "nobody waits for prover 1");
    // The same if the word came before the block was checked.
    let mut early = bench(2, &[Do::Reveal]);
    early.hear(advert(&early, 1, 5, false));
    [Do::Plan, Do::Claim(0, "base/1", 1)].iter().for_each(|what| early.run(what));
    assert_eq!(early.take_log(), TAKEN);
}

#[test]
fn a_word_counts_for_its_lane_and_the_slots_set_alone() {
    let mut bench = bench(2, &[Do::Reveal, Do::Plan, Do::Claim(0, "base/1", 1)]);
    let message = advert(&bench, 1, 5, false);
    bench.step(Input::Peer { from: lane(0).prover(), message });
    let Message::Advert { lane, slot, n, able, .. } = message else { return };
    bench.hear(Message::Advert { lane, slot, set: [1; 32], n, able });
    bench.hear(Message::Advert { lane, slot: Slot(slot.0 + 1), set: SET, n, able });
    assert_eq!(bench.take_log(), "", "forged, or about something else");
    assert!(bench.round().is_eligible(lane) && bench.round().is_alive(lane));
    bench.hear(message);
    assert!(!bench.round().is_eligible(lane) && !bench.round().is_alive(lane));
    bench.hear(Message::Advert { lane, slot, set: SET, n: 4, able: true });
    assert!(bench.round().is_aside(lane), "an older word is no news");
}

#[test]
fn nobody_listens_for_a_lane_that_stands_aside_and_nobody_accuses_it() {
    let mut bench = bench(2, &[Do::Reveal, Do::Plan]);
    bench.hear(advert(&bench, 1, 5, false));
    assert!(!bench.round().watched().contains(&lane(1)));
    bench.run(&Do::Beats(60, &[1]));
    assert!(!bench.take_log().contains("loss 1"));
    let standing = bench.round().standing(lane(1)).unwrap();
    assert!(standing.aside && !standing.lost);
    // Its claims are worth nothing: nobody would notice its death.
    bench.hear(bench.claim(1, "base/0", 1));
    assert!(!bench.round().is_busy(lane(1)));
}

#[test]
fn a_lane_that_got_the_keys_has_its_ranks_again() {
    let mut bench = bench(2, &[Do::Reveal, Do::Plan]);
    assert_eq!(bench.ranked("vm/0.0", 0), 1);
    bench.hear(advert(&bench, 1, 5, false));
    assert_ne!(bench.ranked("vm/0.0", 0), 1);
    bench.hear(advert(&bench, 1, 6, true));
    assert_eq!(bench.ranked("vm/0.0", 0), 1);
    assert!(bench.round().is_alive(lane(1)) && bench.round().watched().contains(&lane(1)));
    bench.hear(bench.claim(1, "base/0", 1));
    assert!(bench.round().is_busy(lane(1)));
    // Whoever changes its mind too often is not heard any more in this slot: the last word is no.
    for n in 7..20 {
        bench.hear(advert(&bench, 1, n, n % 2 == 0));
    }
    assert!(bench.round().is_alive(lane(1)));
}

#[test]
fn a_lane_without_keys_says_so_twice_without_a_plan_and_waits() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]).beats();
    keys(&mut bench, 0, false);
    assert_eq!(said(&bench), [], "there is no slot yet");
    bench.run(&Do::Reveal);
    assert_eq!(bench.take_log(), "send 0 lacks keys\nnote KEY-014\n");
    assert_eq!(said(&bench), [(false, true)]);
    assert_eq!(bench.machine.view().idle, Some("IDLE-NO-KEYS"));
    bench.run(&Do::Block);
    assert_eq!(bench.take_log(), "", "not in the same instant");
    for _ in 0..3 {
        bench.run(&Do::Wait(12));
        bench.run(&Do::Block);
    }
    assert_eq!(bench.take_log(), "send 0 lacks keys\n", "once more, for whoever missed it");
    bench.run(&Do::Plan);
    bench.run(&Do::Wait(60));
    assert_eq!(bench.take_log(), "", "it neither claims nor beats, nor accuses anybody");
    keys(&mut bench, 0, true);
    let log = bench.take_log();
    assert!(log.starts_with("send 0 has keys\n"), "{log}");
    assert!(log.contains("claim vm/0.0"), "{log}");
    bench.run(&Do::Wait(5));
    assert!(bench.take_log().contains("beat 0 vm/0.0"));
}

#[test]
fn missing_keys_of_another_set_change_nothing() {
    let mut bench = Bench::new(Some(0), 3, &[1, 0]);
    bench.step(Input::Keys { lane: lane(0), set: [1; 32], able: false });
    [Do::Reveal, Do::Plan].iter().for_each(|what| bench.run(what));
    assert_eq!(said(&bench), []);
    assert!(bench.take_log().contains("persist claimed"));
}

#[test]
fn keys_that_vanish_end_the_claim() {
    let mut bench = bench(1, &[Do::Reveal, Do::Plan]);
    assert!(bench.machine.claims().in_work().next().is_some());
    keys(&mut bench, 1, false);
    let log = bench.take_log();
    assert!(log.contains("lacks keys") && log.contains("ended 1#1 released"), "{log}");
    assert!(bench.machine.claims().in_work().next().is_none());
}

/// A new deal of the slot is heard by nobody anew: what was said stays said.
#[test]
fn a_word_outlives_a_new_deal_of_the_slot() {
    let mut bench = bench(2, &[Do::Reveal, Do::Plan]);
    bench.hear(advert(&bench, 1, 5, false));
    bench.undo();
    bench.undo();
    bench.salt_randao(1);
    bench.reveal_again();
    bench.run(&Do::Block);
    assert!(bench.round().is_aside(lane(1)));
}
