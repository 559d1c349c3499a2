//! Each rule of own claims by itself.

use super::*;
use crate::domain::{Kind, ProverId};

const LANE: LaneId = LaneId::new(ProverId(3), 0);

fn promise(task: u8) -> Promise {
    Promise {
        task: TaskId([task; 32]),
        node: Node { kind: Kind::Base, level: 0, index: u32::from(task), call: 0 },
        slot: Slot(1),
        attempt: 0,
        cap_at: Millis(100),
        inputs_until: Millis(30),
    }
}

fn begin(claims: &mut Claims, task: u8) -> Vec<Action> {
    let mut actions = Vec::new();
    claims.begin(Millis(1), LANE, (promise(task), Audience::Everyone), &mut actions);
    actions
}
fn end(claims: &mut Claims, how: Ended) -> Vec<Action> {
    let mut actions = Vec::new();
    claims.end(Millis(2), LANE, (End::plain(how), Audience::Everyone), &mut actions);
    actions
}

fn persisted(action: &Action) -> Option<&Record> {
    if let Action::Persist(record) = action { Some(record) } else { None }
}

#[test]
fn a_claim_is_durable_before_it_is_spoken() {
    let mut claims = Claims::default();
    let actions = begin(&mut claims, 1);
    let [
        Action::Persist(Record::Claimed { seq: 1, .. }),
        Action::Send { message: Message::Claim { .. }, .. },
    ] = actions[..]
    else {
        panic!("{actions:?}")
    };
}

#[test]
fn numbers_never_repeat_and_the_next_claim_says_how_the_last_ended() {
    let mut claims = Claims::default();
    let how = [Previous::Delivered, Previous::Released, Previous::Lost, Previous::Capped];
    let mut expected = Previous::None;
    for (number, ended) in (1..).zip(how) {
        let actions = begin(&mut claims, 1);
        let Action::Send { message: Message::Claim { seq, previous, .. }, .. } = actions[1] else {
            panic!()
        };
        assert_eq!((seq, previous), (number, expected));
        end(&mut claims, ended);
        expected = ended;
    }
    assert_eq!(claims.past().len(), 4);
}

#[test]
#[should_panic(expected = "has a live claim")]
fn a_lane_never_has_two_live_claims() {
    let mut claims = Claims::default();
    begin(&mut claims, 1);
    begin(&mut claims, 2);
}

#[test]
fn only_a_running_proof_is_abandoned_and_only_a_release_is_spoken() {
    let mut claims = Claims::default();
    begin(&mut claims, 1);
    assert_eq!(end(&mut claims, Previous::Capped).len(), 1);
    begin(&mut claims, 1);
    assert!(claims.advance(Millis(1), LANE, Stage::Machine));
    let actions = end(&mut claims, Previous::Released);
    assert_eq!(actions[1], Action::Abandon { task: TaskId([1; 32]) });
    assert!(matches!(actions[2], Action::Send { message: Message::Release { seq: 2, .. }, .. }));
    assert_eq!(end(&mut claims, Previous::Released), [], "a free lane has nothing to end");
}

#[test]
fn stages_follow_the_picture() {
    let made = Stage::Made { statement: StatementId([0; 32]) };
    let all = [Stage::Inputs { until: Millis(0) }, Stage::Machine, Stage::Proving, made];
    let allowed = [(0, 1), (0, 3), (1, 2), (1, 3), (2, 3)];
    for (i, from) in all.into_iter().enumerate() {
        for (j, to) in all.into_iter().enumerate() {
            assert_eq!(from.may_become(to), allowed.contains(&(i, j)), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn restored_records_bring_back_the_live_claim_and_the_numbers() {
    let mut claims = Claims::default();
    let mut actions = begin(&mut claims, 1);
    actions.extend(end(&mut claims, Previous::Delivered));
    actions.extend(begin(&mut claims, 2));
    let records = actions.iter().filter_map(persisted);
    let mut again = Claims::default();
    records.for_each(|it| again.restore(it));
    again.wake(Millis(50), 1_000);
    let live = *again.live(LANE).unwrap();
    assert_eq!((live.task, live.seq, live.node), (TaskId([2; 32]), 2, None));
    assert_eq!((live.since, live.cap_at), (Millis(50), Millis(1_050)));
    again.place(LANE, promise(2).node, Millis(70));
    again.place(LANE, promise(2).node, Millis(90));
    assert_eq!(again.live(LANE).unwrap().cap_at, Millis(70), "placed once");
    end(&mut again, Previous::Capped);
    let actions = begin(&mut again, 3);
    let Action::Send { message: Message::Claim { seq, previous, .. }, .. } = actions[1] else {
        panic!()
    };
    assert_eq!((seq, previous), (3, Previous::Capped));
}

#[test]
fn a_lane_whose_numbers_were_used_elsewhere_claims_no_more() {
    let mut claims = Claims::default();
    begin(&mut claims, 1);
    assert!(claims.heard_own(LANE, 1));
    end(&mut claims, Previous::Delivered);
    assert!(claims.is_free(LANE));
    assert!(!claims.heard_own(LANE, 2));
    assert!(!claims.is_free(LANE) && claims.in_doubt(LANE));
}

const MADE: Stage = Stage::Made { statement: StatementId([9; 32]) };

fn finish(claims: &mut Claims, seq: u64, how: Ended) -> Vec<Action> {
    let mut actions = Vec::new();
    claims.finish(Millis(3), (LANE, seq), how, &mut actions);
    actions
}

#[test]
fn a_lane_is_free_as_soon_as_its_proof_is_made() {
    let mut claims = Claims::default();
    begin(&mut claims, 1);
    assert!(!claims.is_free(LANE));
    assert!(claims.advance(Millis(2), LANE, MADE));
    assert!(claims.is_free(LANE) && claims.live(LANE).is_none());
    assert_eq!(claims.lane_of(TaskId([1; 32])), None, "nobody works on it");
    let actions = begin(&mut claims, 2);
    assert!(matches!(
        actions[1],
        Action::Send { message: Message::Claim { seq: 2, previous: Previous::Delivered, .. }, .. }
    ));
    assert_eq!(claims.delivering().map(|(_, it)| it.seq).collect::<Vec<_>>(), [1]);
    assert_eq!(claims.all().count(), 2);
    claims.assert_invariants();
}

#[test]
fn a_made_proof_ends_once_and_only_in_the_journal() {
    let mut claims = Claims::default();
    begin(&mut claims, 1);
    claims.advance(Millis(2), LANE, MADE);
    begin(&mut claims, 2);
    let how = Previous::Delivered;
    let record = Record::Ended { lane: LANE, seq: 1, how };
    assert_eq!(finish(&mut claims, 2, how), [], "the second one is not made");
    assert_eq!(finish(&mut claims, 1, how), [Action::Persist(record)]);
    assert_eq!(finish(&mut claims, 1, how), []);
    assert_eq!(claims.live(LANE).unwrap().seq, 2, "the claim in work goes on");
    assert_eq!(claims.past().len(), 1);
}

#[test]
fn a_lane_whose_proofs_nobody_acknowledges_claims_no_more_in_the_end() {
    let mut claims = Claims::default();
    for task in (0..).take(DELIVERING_MAX) {
        assert!(claims.is_free(LANE), "{task}");
        begin(&mut claims, task);
        claims.advance(Millis(2), LANE, MADE);
    }
    assert!(!claims.is_free(LANE));
    finish(&mut claims, 3, Previous::Delivered);
    assert!(claims.is_free(LANE));
}

#[test]
fn restored_records_bring_back_proofs_that_wait_for_copies() {
    let record = |task: u8, seq| {
        let (task, slot) = (TaskId([task; 32]), Slot(1));
        Record::Claimed { task, lane: LANE, slot, seq, attempt: 0 }
    };
    let ended = |seq| Record::Ended { lane: LANE, seq, how: Previous::Delivered };
    let mut claims = Claims::default();
    claims.restore(&record(1, 1));
    claims.restore_made(TaskId([1; 32]), StatementId([9; 32]));
    claims.restore(&record(2, 2));
    assert!(!claims.is_free(LANE));
    assert_eq!(claims.delivering().map(|(_, it)| it.seq).collect::<Vec<_>>(), [1]);
    claims.place_made(LANE, 1, promise(1).node);
    claims.wake(Millis(50), 1_000);
    assert_eq!(claims.delivering().next().unwrap().1.node, Some(promise(1).node));
    claims.restore(&ended(1));
    assert_eq!(claims.delivering().count(), 0);
    assert_eq!(claims.live(LANE).map(|it| it.seq), Some(2), "the end of another claim");
    assert!(!claims.in_doubt(LANE));
}

#[test]
fn the_past_is_bounded() {
    let mut claims = Claims::default();
    for _ in 0..PAST_MAX + 5 {
        begin(&mut claims, 1);
        end(&mut claims, Previous::Delivered);
    }
    assert_eq!(claims.past().len(), PAST_MAX);
    assert_eq!(claims.past()[0].live.seq, 6);
}
