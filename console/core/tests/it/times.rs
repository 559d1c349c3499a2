//! Silence, loss and pause: what is old says so, and nothing wakes the console without need.

use console_core::{Access, LinkMsg, Model, Msg, model::Freshness, update};
use wire::control::Snapshot;

use crate::{AT_MS, live, press, sample, screen};

fn after(model: &mut Model, ms: u64) {
    update(model, Msg::Clock(AT_MS + ms));
}

fn lose(model: &mut Model) {
    let retry_ms = model.now_ms + 4_000;
    let reason = "connection refused".into();
    update(model, Msg::Link(LinkMsg::Lost { reason, attempt: 7, retry_ms }));
}

fn header(model: &mut Model) -> String {
    screen(model, 120, 40).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn silence_has_three_names() {
    let mut model = live(sample::two_txs(AT_MS));
    let rows = [
        (5_999, "● live <6s", Freshness::Live),
        (6_000, "● lag 6s", Freshness::Lagging(6_000)),
        (9_999, "● lag 9s", Freshness::Lagging(9_999)),
        (10_000, "! STALE 00:10", Freshness::Stale(10_000)),
        (94_000, "! STALE 01:34", Freshness::Stale(94_000)),
    ];
    for (ms, word, freshness) in rows {
        after(&mut model, ms);
        assert_eq!(model.freshness(), freshness);
        assert!(header(&mut model).contains(word), "{}", header(&mut model));
    }
}

#[test]
fn every_section_of_old_data_says_as_of_when() {
    let mut model = live(sample::two_txs(AT_MS));
    for keys in ["1", "2", "4", "5"] {
        press(&mut model, keys);
        after(&mut model, 5_000);
        assert!(!screen(&mut model, 120, 40).contains("as of"), "still true on {keys}");
        model.now_ms = AT_MS + 12_000;
        let shown = screen(&mut model, 120, 40);
        let titles = shown.lines().filter(|line| line.starts_with("─ ")).count();
        let dated = shown.lines().filter(|line| line.contains("as of 12:38:28")).count();
        assert!(titles >= 2 && titles == dated, "{titles} titles, {dated} dated:\n{shown}");
        model.now_ms = AT_MS;
    }
}

#[test]
fn a_lost_agent_keeps_its_last_state_and_its_clock_stands_still() {
    let mut model = live(sample::two_txs(AT_MS));
    after(&mut model, 1_000);
    assert!(header(&mut model).contains("PROVING 02:45/15:00"));
    lose(&mut model);
    after(&mut model, 162_000);
    let shown = screen(&mut model, 120, 40);
    assert!(shown.contains("x LOST 02:41") && shown.contains("PROVING ~02:44/15:00"), "{shown}");
    assert!(
        shown.contains(
            "NOT CONNECTED to unix:/run/user/1000/coppice/agent-1.sock: connection refused"
        )
    );
    assert!(shown.contains("subtree") && shown.contains("4.458"), "{shown}");
}

#[test]
fn the_return_tells_what_was_missed() {
    let mut model = live(sample::two_txs(AT_MS));
    lose(&mut model);
    after(&mut model, 161_000);
    lose(&mut model);
    let mut back = sample::two_txs(AT_MS + 161_000);
    (back.seq, back.slots) = (4_752, Vec::new());
    update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(back))));
    let toast = model.toast.as_ref().map(|toast| toast.text.as_str());
    assert_eq!(toast, Some("back after 02:41: 41 changes missed, slot 42 > none"));
    assert_eq!(model.freshness(), Freshness::Live);
}

#[test]
fn of_slots_that_overlap_the_one_with_the_nearest_deadline_is_shown() {
    let mut snapshot = sample::two_txs(AT_MS);
    let next = wire::control::SlotView { slot: 43, phase: "reveal".into(), ..Default::default() };
    snapshot.slots.push(next);
    let mut model = live(snapshot);
    let shown = screen(&mut model, 120, 40);
    assert!(
        shown.contains("slot 42 PROVING 02:44/15:00") && shown.contains("43 reveal"),
        "{shown}"
    );
    press(&mut model, "2");
    assert!(screen(&mut model, 120, 40).contains("Proof tree · slot 42"));
    if let Some(snapshot) = &mut model.snapshot {
        snapshot.slots[2].phase = "settled".into();
    }
    assert!(screen(&mut model, 120, 40).contains("slot 43 REVEAL"));
}

#[test]
fn the_same_state_again_is_no_sign_of_life() {
    let mut model = live(sample::two_txs(AT_MS));
    after(&mut model, 7_000);
    let again = LinkMsg::Snapshot(Box::new(sample::two_txs(AT_MS)));
    update(&mut model, Msg::Link(again));
    assert_eq!(model.freshness(), Freshness::Lagging(7_000));
}

#[test]
fn a_pause_holds_updates_and_lets_them_in_again() {
    let mut model = live(sample::two_txs(AT_MS));
    press(&mut model, "p");
    for second in 1..=3 {
        after(&mut model, second * 1_000);
        let mut next = sample::two_txs(AT_MS + second * 1_000);
        next.name = format!("agent-{second}");
        update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(next))));
    }
    let shown = screen(&mut model, 120, 40);
    assert!(shown.contains("PAUSED 00:03, 3 changes waiting"), "{shown}");
    assert!(shown.contains("agent-1") && shown.contains("as of 12:38:28"), "{shown}");
    press(&mut model, "p");
    let shown = screen(&mut model, 120, 40);
    assert!(shown.contains("agent-3") && !shown.contains("PAUSED") && !shown.contains("as of"));
}

#[test]
fn a_newer_agent_is_read_only_with_a_notice() {
    let mut snapshot = sample::two_txs(AT_MS);
    snapshot.schema = 9;
    let mut model = live(snapshot);
    let shown = screen(&mut model, 120, 40);
    assert!(shown.contains("the agent is newer than this console: read only"), "{shown}");
}

#[test]
fn silent_l1_marks_what_was_read_from_it() {
    let mut snapshot = sample::two_txs(AT_MS);
    snapshot.l1.seen_ms = AT_MS - 240_000;
    let mut model = live(snapshot);
    press(&mut model, "5");
    let shown = screen(&mut model, 120, 40);
    assert!(shown.contains("read 04:00 ago !") && shown.contains("! 2"), "{shown}");
}

#[test]
fn nothing_wakes_the_console_when_no_visible_text_moves() {
    let quiet = || {
        let mut snapshot = sample::two_txs(AT_MS);
        snapshot.slots.pop();
        snapshot.lanes.clear();
        snapshot
    };
    let mut model = live(quiet());
    assert_eq!(model.next_wake_ms(), Some(AT_MS + 6_000), "the next name of silence");
    after(&mut model, 500);
    assert_eq!(model.next_wake_ms(), Some(AT_MS + 6_000));
    let mut model = live(sample::two_txs(AT_MS));
    assert_eq!(model.next_wake_ms(), Some(AT_MS + 1_000), "a running proof counts seconds");
    update(&mut model, Msg::Focus(false));
    assert_eq!(model.next_wake_ms(), Some(AT_MS + 5_000), "unseen, five seconds");
    press(&mut model, "p");
    model.focused = true;
    assert_eq!(model.next_wake_ms(), Some(AT_MS + 1_000), "the pause counts");
}

#[test]
fn a_clock_that_changes_nothing_draws_nothing() {
    let mut model = live(Snapshot { at_ms: AT_MS, ..Snapshot::default() });
    model.dirty = false;
    for ms in [10, 500, 5_999] {
        after(&mut model, ms);
        assert!(!model.dirty, "{ms}");
    }
    after(&mut model, 6_000);
    assert!(model.dirty);
}

#[test]
fn the_first_sentence_stands_before_any_answer() {
    let mut model = Model::new(AT_MS, "unix:/a.sock", Access::Operate);
    let shown = screen(&mut model, 80, 24);
    assert!(shown.contains("connecting to unix:/a.sock"), "{shown}");
    assert!(shown.contains("coppice-agent devnet"), "{shown}");
}
