//! Before, keys, after: what an operator presses and what then is so.

use console_core::{
    Access, Effect, Key, LinkMsg, Model, Msg, Screen,
    model::{Choice, Freshness, Overlay, TreeForm},
    update,
};
use wire::control::{Request, Snapshot};

use crate::{AT_MS, key_of, live, press, sample, screen};

fn model() -> Model {
    live(sample::two_txs(AT_MS))
}

/// The screen, what lies over it and the message, in one line.
fn state(model: &Model) -> String {
    let overlay = match &model.overlay {
        Overlay::None => "",
        Overlay::Help { all: false, .. } => " help",
        Overlay::Help { all: true, .. } => " all-help",
        Overlay::Claim(question) => match question.focus {
            Choice::Cancel => " claim:cancel",
            Choice::Go => " claim:go",
        },
    };
    let toast = model.toast.as_ref().map_or(String::new(), |toast| format!(" \"{}\"", toast.text));
    format!("{:?}{overlay}{toast}", model.screen)
}

fn check(mut before: Model, keys: &str, after: &str, effects: &[Effect]) {
    let mut got = Vec::new();
    for key in keys.chars() {
        // Half a second between keys: an operator who reads.
        let now_ms = before.now_ms + 500;
        update(&mut before, Msg::Clock(now_ms));
        got.extend(update(&mut before, Msg::Key(key_of(key))));
        // The agent goes on speaking.
        before.heard_ms = now_ms;
    }
    assert_eq!(state(&before), after, "after {keys:?}");
    assert_eq!(got, effects, "after {keys:?}");
}

#[test]
fn digits_open_screens() {
    check(model(), "2", "Tree", &[]);
    check(model(), "245", "Stake", &[]);
    check(model(), "51", "Overview", &[]);
    check(model(), "3679", "Overview", &[]);
}

#[test]
fn q_closes_what_lies_over_and_then_leaves() {
    check(model(), "q", "Overview", &[Effect::Quit]);
    check(model(), "?q", "Overview", &[]);
    check(model(), "?qq", "Overview", &[Effect::Quit]);
    check(model(), "4cq", "Earnings", &[]);
    check(model(), "?\u{1b}", "Overview", &[]);
    check(model(), "\u{1b}", "Overview", &[]);
    check(model(), "Q", "Overview", &[Effect::QuitKeepFrame]);
}

#[test]
fn ctrl_c_leaves_at_the_second_time() {
    let said = "Overview \"Ctrl-C again leaves the console; the agent goes on\"";
    check(model(), "^", said, &[]);
    check(model(), "^^", said, &[Effect::Quit]);
    check(model(), "^1^", said, &[]);
    check(model(), "^     ^", said, &[]);
}

#[test]
fn help_shows_the_screen_then_all_and_closes_for_a_screen() {
    check(model(), "?", "Overview help", &[]);
    check(model(), "??", "Overview all-help", &[]);
    check(model(), "???", "Overview help", &[]);
    check(model(), "?jjG2", "Tree", &[]);
    let mut model = model();
    press(&mut model, &format!("?{}", "j".repeat(200)));
    assert!(screen(&mut model, 80, 24).contains("Ctrl-C"), "the last row stays in sight");
}

#[test]
fn a_claim_is_asked_with_cancel_in_focus() {
    let sent = Effect::Send(Request::Claim { slot: None, payee: None });
    check(model(), "c", "Overview claim:cancel", &[]);
    check(model(), "c\n", "Overview", &[]);
    check(model(), "4c\n\n\n", "Earnings", &[]);
    check(model(), "4c\t", "Earnings claim:go", &[]);
    check(model(), "4c\t\t\n", "Earnings", &[]);
    check(model(), "4c\t\n", "Earnings \"claim sent to the agent\"", &[sent]);
    check(model(), "4cyY1 2x", "Earnings claim:cancel", &[]);
    check(model(), "5c", "Stake", &[]);
}

#[test]
fn keys_typed_before_the_question_was_read_do_not_count() {
    let mut model = model();
    assert_eq!(press(&mut model, "4c\t\n"), []);
    assert_eq!(state(&model), "Earnings claim:cancel");
}

#[test]
fn pasted_text_answers_nothing() {
    let mut model = model();
    press(&mut model, "4c");
    update(&mut model, Msg::Clock(AT_MS + 1_000));
    assert_eq!(update(&mut model, Msg::Paste), []);
    assert_eq!(state(&model), "Earnings claim:cancel \"pasted text is not taken here\"");
}

#[test]
fn a_claim_is_refused_with_its_reason() {
    let change = |change: fn(&mut Model)| {
        let mut model = model();
        change(&mut model);
        model
    };
    fn earnings(model: &mut Model) -> &mut wire::control::Earnings {
        &mut model.snapshot.as_mut().unwrap().earnings
    }
    type Change = fn(&mut Model);
    let rows: [(Change, &str); 6] = [
        (|model| earnings(model).claimable = "0".into(), "nothing to claim"),
        (|model| earnings(model).claimable = "?".into(), "the claimable amount is unknown"),
        (|model| model.access = Access::ReadOnly, "this console was started with --read-only"),
        (
            |model| model.snapshot.as_mut().unwrap().schema = 2,
            "the agent is newer than this console; update the console",
        ),
        (
            |model| {
                press(model, "p");
            },
            "the screen is paused and may be old; press p first",
        ),
        (
            |model| {
                let reason = "gone".into();
                update(model, Msg::Link(LinkMsg::Lost { reason, attempt: 1, retry_ms: 0 }));
            },
            "not connected; actions are off until the agent answers",
        ),
    ];
    for (before, reason) in rows {
        check(change(before), "c", &format!("Overview \"{reason}\""), &[]);
    }
    let nobody = Model::new(AT_MS, "unix:/a.sock", Access::Operate);
    check(nobody, "c", "Overview \"the agent has not answered yet\"", &[]);
    let mut silent = model();
    update(&mut silent, Msg::Clock(AT_MS + 20_000));
    assert_eq!(press(&mut silent, "c"), []);
    assert_eq!(state(&silent), "Overview \"the agent is silent; wait for a fresh state\"");
}

#[test]
fn an_amount_that_moved_while_asked_sends_nothing() {
    let mut model = model();
    press(&mut model, "4c");
    let mut later = sample::two_txs(AT_MS + 400);
    later.earnings.claimable = "1".into();
    update(&mut model, Msg::Clock(AT_MS + 400));
    update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(later))));
    assert!(screen(&mut model, 120, 40).contains("Claim 4.458"), "the asked amount stands still");
    let effects = press(&mut model, "\t\n");
    assert_eq!(effects, []);
    let said = "Earnings \"the amount changed since you looked; nothing was sent\"";
    assert_eq!(state(&model), said);
}

#[test]
fn the_agents_answer_is_shown_and_cleaned() {
    let mut model = model();
    let text = "claimed 3 slots\u{1b}[2J".to_owned();
    update(&mut model, Msg::Link(LinkMsg::Accepted { text }));
    assert_eq!(state(&model), "Overview \"claimed 3 slots[2J\"");
    let (code, text) = ("CTL-004".to_owned(), "no payout is open".to_owned());
    update(&mut model, Msg::Link(LinkMsg::Refused { code, text }));
    assert_eq!(state(&model), "Overview \"CTL-004: no payout is open\"");
    update(&mut model, Msg::Clock(AT_MS + 5_000));
    assert_eq!(state(&model), "Overview");
}

#[test]
fn the_cursor_stays_on_its_node_while_the_block_grows() {
    let mut model = model();
    press(&mut model, "2jj");
    let name = |model: &Model| model.cursor.node.map(console_core::tree::NodeKey::name);
    assert_eq!(name(&model).as_deref(), Some("base/0"));
    let mut later = sample::two_txs(AT_MS + 1_000);
    let slot = later.slots.last_mut().unwrap();
    slot.nodes.insert(0, sample::node("vm", 0, 1, 1));
    slot.nodes.insert(0, sample::node("kernel", 0, 1, 1));
    update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(later))));
    assert_eq!(name(&model).as_deref(), Some("base/0"));
    assert!(screen(&mut model, 80, 24).contains("Under the cursor: base/0"));
}

#[test]
fn n_goes_from_one_proof_of_mine_to_the_next() {
    let mut model = model();
    let mut seen = Vec::new();
    press(&mut model, "2");
    for key in ["n", "n", "n", "N"] {
        press(&mut model, key);
        seen.extend(model.cursor.node.map(console_core::tree::NodeKey::name));
    }
    assert_eq!(seen, ["base/0", "kernel/0.1", "base/0", "kernel/0.1"]);
}

#[test]
fn comma_and_full_stop_change_the_slot() {
    let mut model = model();
    press(&mut model, "2,");
    assert_eq!(model.cursor.tree_slot, Some(41));
    press(&mut model, ",,");
    assert_eq!(model.cursor.tree_slot, Some(40));
    press(&mut model, "....");
    assert_eq!(model.cursor.tree_slot, Some(42));
}

#[test]
fn v_goes_through_the_forms_and_l_along_the_ladder() {
    let mut model = live(sample::block_of(AT_MS, 300));
    press(&mut model, "2");
    let mut forms = Vec::new();
    for _ in 0..4 {
        press(&mut model, "v");
        forms.push(model.tree_form);
    }
    assert_eq!(forms, [TreeForm::List, TreeForm::Ladder, TreeForm::Levels, TreeForm::Auto]);
    update(&mut model, Msg::Resize(80, 24));
    press(&mut model, "lll");
    assert_eq!(model.cursor.leaf, 15, "300 txs on 60 columns are five a column");
    press(&mut model, "h");
    assert_eq!(model.cursor.leaf, 10);
}

#[test]
fn each_screen_copies_its_address() {
    let copied = |keys: &str| match press(&mut model(), keys).pop() {
        Some(Effect::Copy(text)) => text,
        other => panic!("{other:?} after {keys}"),
    };
    assert!(copied("2y").starts_with("0x8f3a"));
    assert!(copied("4y").starts_with("0x77e2"));
    assert!(copied("5y").starts_with("0x52d1"));
    check(model(), "1y", "Overview", &[]);
}

#[test]
fn effects_of_the_terminal_are_asked_for() {
    let mut model = model();
    assert_eq!(update(&mut model, Msg::Key(Key::Ctrl('z'))), [Effect::Suspend]);
    assert_eq!(update(&mut model, Msg::Key(Key::Ctrl('l'))), [Effect::Redraw]);
    assert_eq!(update(&mut model, Msg::Resumed), [Effect::Redraw]);
    assert_eq!(press(&mut model, "r"), []);
    assert_eq!(state(&model), "Overview \"connected already\"");
    let lost = LinkMsg::Lost { reason: "gone".into(), attempt: 1, retry_ms: 0 };
    update(&mut model, Msg::Link(lost));
    assert_eq!(press(&mut model, "r"), [Effect::Reconnect]);
}

/// Any order of messages leaves a model that can be drawn. The order follows from a counter, so a
/// failure repeats itself.
#[test]
fn any_order_of_messages_leaves_something_to_draw() {
    let keys = "1245jkhlgGnNv,.cpPr?q\n\t\u{1b}^yQx";
    let letters: Vec<char> = keys.chars().collect();
    let mut model = Model::new(AT_MS, "unix:/a.sock", Access::Operate);
    let mut seed = 1_u64;
    for step in 0..4_000_u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(seed >> 40).unwrap();
        let now_ms = AT_MS + step * 173;
        let snapshot = |snapshot: Snapshot| Msg::Link(LinkMsg::Snapshot(Box::new(snapshot)));
        update(&mut model, Msg::Clock(now_ms));
        let msg = match pick % 16 {
            0 => snapshot(sample::two_txs(now_ms)),
            1 => snapshot(sample::block_of(now_ms, 17)),
            2 => snapshot(sample::hostile(now_ms)),
            3 => snapshot(Snapshot::default()),
            4 => Msg::Link(LinkMsg::Lost { reason: "x".into(), attempt: 1, retry_ms: now_ms }),
            5 => Msg::Resize(u16::try_from(pick % 200).unwrap(), u16::try_from(pick % 60).unwrap()),
            6 => Msg::Focus(pick % 32 < 16),
            _ => Msg::Key(key_of(letters[pick / 16 % letters.len()])),
        };
        update(&mut model, msg);
        let (columns, rows) = model.size;
        screen(&mut model, columns, rows);
        assert!(model.next_wake_ms().is_none_or(|wake| wake > model.now_ms), "step {step}");
        if model.snapshot.is_none() {
            assert_eq!(model.freshness(), Freshness::Never);
        }
    }
    assert!(Screen::ALL.contains(&model.screen));
}
