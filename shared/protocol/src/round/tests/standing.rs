//! Who is alive, whose word counts and who is counted on (R5.2, R5.3).

use super::*;

#[test]
fn a_newer_beat_refutes_notices_and_losses() {
    let mut round = round(4, &[0]);
    let notices = |round: &Round| -> Vec<LaneId> {
        round.standing(lane(1)).unwrap().notices.keys().copied().collect()
    };
    round.on_beat(Millis(10), lane(1), (5, TaskId::default()), &params());
    round.on_notice(Millis(11), lane(1), (lane(2), 4), &params());
    assert_eq!(notices(&round), [], "we heard beat 5");
    round.on_notice(Millis(12), lane(1), (lane(2), 5), &params());
    round.on_notice(Millis(13), lane(1), (lane(3), 7), &params());
    round.lose(Millis(20), lane(1), &params());
    assert_eq!(round.on_beat(Millis(21), lane(1), (5, TaskId::default()), &params()), []);
    assert!(!round.is_alive(lane(1)), "an old beat is no news");
    assert_eq!(round.on_beat(Millis(22), lane(1), (6, TaskId::default()), &params()), []);
    assert_eq!(notices(&round), [lane(3)], "one heard beat 7 and then nothing");
    assert!(!round.is_alive(lane(1)), "beat 6 says nothing about that");
    assert_eq!(round.on_beat(Millis(23), lane(1), (8, TaskId::default()), &params()), [lane(1)]);
    assert!(round.is_alive(lane(1)));
}

#[test]
fn lost_watchers_are_replaced_but_their_word_stands() {
    let mut round = round(8, &[0]);
    let watched = lane(0);
    let first = round.watchers(watched, 4);
    assert_eq!(first.len(), 4);
    round.lose(Millis(1), first[0], &params());
    let second = round.watchers(watched, 4);
    assert_eq!(second[..3], first[1..]);
    assert!(!first.contains(&second[3]));
    round.on_notice(Millis(2), watched, (first[0], 3), &params());
    assert_eq!(round.watchers(watched, 4), first);
}

#[test]
fn a_loss_takes_the_words_of_two_provers_or_one_and_own_ears() {
    // (watchers that spoke, milliseconds since its last beat, lost)
    for (spoke, silent_ms, lost) in
        [(0, 60_000, false), (1, 14_999, false), (1, 15_000, true), (2, 0, true)]
    {
        let mut round = round(5, &[0]);
        round.on_beat(Millis(100), lane(1), (5, TaskId::default()), &params());
        let watchers: Vec<LaneId> =
            round.watchers(lane(1), 4).into_iter().filter(|&it| it != lane(0)).collect();
        for &watcher in &watchers[..spoke] {
            round.on_notice(Millis(100), lane(1), (watcher, 5), &params());
        }
        let at = Millis(100 + silent_ms);
        assert_eq!(round.is_newly_lost(at, lane(1), &params()), lost, "{spoke} at {at:?}");
    }
}

/// If four of five lanes vanish at once, one of a lane's watchers may be all that is left of them.
#[test]
fn one_notice_that_is_never_answered_is_a_loss() {
    let (mut round, params) = (round(5, &[0]), params());
    let (gone, watcher) = (lane(1), lane(2));
    round.on_notice(Millis(100), gone, (watcher, 5), &params);
    let at = 100 + 2 * params.silence_ms();
    // Our own ears: we began to listen when we heard the notice.
    round.standings.get_mut(&gone).unwrap().heard = Millis(at);
    assert_eq!(round.unanswered(Millis(at - 1), &params), (Vec::new(), Some(Millis(at))));
    assert!(!round.is_newly_lost(Millis(at - 1), gone, &params));
    assert_eq!(round.unanswered(Millis(at), &params), (vec![gone], None));
    assert!(round.is_newly_lost(Millis(at), gone, &params));
    round.on_beat(Millis(at), gone, (6, TaskId::default()), &params);
    assert_eq!(round.unanswered(Millis(at), &params), (Vec::new(), None), "it is here after all");
    assert!(!round.is_newly_lost(Millis(at), gone, &params));
}

#[test]
fn patience_is_doubled_for_a_lane_that_never_spoke() {
    let mut round = round(2, &[0]);
    let silent =
        |round: &Round, at| round.standing(lane(1)).unwrap().is_silent(Millis(at), &params());
    assert!(!silent(&round, 29_999) && silent(&round, 30_000));
    round.on_beat(Millis(1_000), lane(1), (1, TaskId::default()), &params());
    assert!(!silent(&round, 15_999) && silent(&round, 16_000));
    round.listen_anew(Millis(50_000));
    assert!(!silent(&round, 64_999) && silent(&round, 65_000));
}

/// R5.2: a prover that keeps nothing is not counted on until it answers.
#[test]
fn a_prover_that_never_acknowledges_is_not_counted_on_until_it_does() {
    let mut round = round(5, &[0, 0]);
    let deaf = known(&round, "base/0").order[0];
    assert_eq!(round.on_answer(Millis(1), deaf.prover(), true), []);
    assert_eq!(round.on_answer(Millis(1), deaf.prover(), false), []);
    assert!(round.is_eligible(deaf), "one copy may have been lost");
    assert_eq!(round.on_answer(Millis(2), deaf.prover(), false), [deaf]);
    assert!(!round.is_eligible(deaf) && round.is_alive(deaf));
    assert_eq!(round.on_answer(Millis(3), deaf.prover(), true), [deaf]);
    assert!(round.is_eligible(deaf));
}

/// R5.3: accusing lanes that are here costs the accuser its rank.
#[test]
fn a_prover_whose_notices_were_refuted_three_times_ranks_last() {
    let mut round = round(6, &[0, 0]);
    let (accuser, accused) = (lane(3), lane(1));
    for n in 0..3 {
        let at = Millis(10 * (n + 1));
        assert!(round.is_eligible(accuser), "{n} false notices");
        round.on_notice(at, accused, (accuser, n + 1), &params());
        let changed = round.on_beat(at, accused, (n + 2, TaskId::default()), &params());
        assert_eq!(changed, if n == 2 { vec![accuser] } else { Vec::new() });
    }
    assert!(!round.is_eligible(accuser) && round.is_alive(accuser) && round.is_eligible(accused));
}
