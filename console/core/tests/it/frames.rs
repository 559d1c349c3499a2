//! Frames that must not change by accident, as text files beside this one.
//!
//! `GOLDEN=write cargo test --release -p console-core` writes them anew; then read the difference.
//! A run that writes says so by failing.

use std::{env, fs, path::Path};

use console_core::{Glyphs, LinkMsg, Look, Model, Msg, Palette, Theme, update};
use ratatui_core::style::{Color, Modifier};

use crate::{AT_MS, live, press, render, sample, screen, text};

#[test]
fn frames_are_compared_and_not_written() {
    assert!(env::var("GOLDEN").is_err(), "frames were written; run again without GOLDEN");
}

fn golden(name: &str, shown: &str) {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if env::var("GOLDEN").is_ok_and(|what| what == "write") {
        assert!(fs::write(&file, shown).is_ok(), "cannot write {}", file.display());
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == shown, "{name} changed; it was\n{kept}\nand is\n{shown}");
}

/// The frame after these keys, in the two sizes that are promised.
fn check(name: &str, mut model: Model, keys: &str) {
    press(&mut model, keys);
    for (columns, rows) in [(120, 40), (80, 24)] {
        golden(&format!("{name}-{columns}x{rows}"), &screen(&mut model, columns, rows));
    }
}

#[test]
fn each_screen_of_a_block_of_two_txs() {
    for (name, keys) in [("overview", "1"), ("tree", "2"), ("earnings", "4"), ("stake", "5")] {
        check(name, live(sample::two_txs(AT_MS)), keys);
    }
}

#[test]
fn larger_trees() {
    check("tree-16", live(sample::block_of(AT_MS, 16)), "2");
    check("tree-300", live(sample::block_of(AT_MS, 300)), "2");
    check("tree-levels", live(sample::block_of(AT_MS, 300)), "2vvv");
}

#[test]
fn help_and_the_question_before_a_claim() {
    check("help", live(sample::two_txs(AT_MS)), "2?");
    check("help-all", live(sample::two_txs(AT_MS)), "2??");
    check("claim", live(sample::two_txs(AT_MS)), "4c");
}

#[test]
fn before_the_first_word_and_after_the_last() {
    let new = || {
        Model::new(
            AT_MS,
            "unix:/run/user/1000/coppice/agent-1.sock",
            console_core::Access::ReadOnly,
        )
    };
    check("connecting", new(), "");
    let lost =
        LinkMsg::Lost { reason: "connection refused".into(), attempt: 7, retry_ms: AT_MS + 4_000 };
    let mut never = new();
    update(&mut never, Msg::Link(lost.clone()));
    check("no-agent", never, "");
    let mut gone = live(sample::two_txs(AT_MS));
    update(&mut gone, Msg::Link(lost));
    update(&mut gone, Msg::Clock(AT_MS + 3_000));
    check("lost", gone, "");
    let mut silent = live(sample::two_txs(AT_MS));
    update(&mut silent, Msg::Clock(AT_MS + 34_000));
    check("stale", silent, "5");
}

#[test]
fn an_agent_that_has_done_nothing_yet() {
    let mut snapshot = wire::control::Snapshot {
        schema: 1,
        at_ms: AT_MS,
        name: "agent-2".into(),
        phase: "loading_keys".into(),
        health: "ok".into(),
        simulated: true,
        idle_code: Some("IDLE-KEYS".into()),
        idle_text: Some("loading proving keys, 2 of 5 read (1.6G)".into()),
        ..wire::control::Snapshot::default()
    };
    snapshot.stake.state = "none".into();
    for (name, keys) in
        [("new-overview", "1"), ("new-tree", "2"), ("new-earnings", "4"), ("new-stake", "5")]
    {
        check(name, live(snapshot.clone()), keys);
    }
}

#[test]
fn the_state_in_a_few_lines_and_its_exit_code() {
    let lines = |model: &Model| console_core::summary(model).join("\n");
    let mut model = live(sample::two_txs(AT_MS));
    assert_eq!(
        lines(&model),
        "agent-1: ok, devnet (31337), INSECURE SETUP, as of 12:38:28 UTC\n\
         slot 42 proving, 2 txs, 4 of 8 proofs, slack +01:45\n\
         claimable 4.458 CPC, claimed 2.906, bond 2500.000, slashed 0.000, gas 9.874 ETH\n\
         ! a proof peaked at 3.9G of the 4.0G it may use: close other programs [MEM-TIGHT]"
    );
    for (health, code) in
        [("ok", 0), ("degraded", 10), ("at_risk", 20), ("not_working", 30), ("??", 30)]
    {
        if let Some(snapshot) = &mut model.snapshot {
            snapshot.health = health.into();
        }
        assert_eq!(console_core::exit_code(&model), code, "{health}");
    }
    let nobody = Model::new(AT_MS, "unix:/a.sock", console_core::Access::Operate);
    assert_eq!(
        (lines(&nobody).as_str(), console_core::exit_code(&nobody)),
        ("no answer from unix:/a.sock", 40)
    );
}

#[test]
fn small_terminals_say_the_most_important() {
    let mut model = live(sample::two_txs(AT_MS));
    for (columns, rows) in [(60, 15), (40, 8), (30, 4), (20, 1)] {
        golden(&format!("overview-{columns}x{rows}"), &screen(&mut model, columns, rows));
    }
}

#[test]
fn the_ascii_form_of_every_screen_has_only_ascii() {
    for keys in ["1", "2", "4", "5", "2vv", "2vvv", "4c", "2?"] {
        for snapshot in [sample::block_of(AT_MS, 16), sample::hostile(AT_MS)] {
            let mut model = live(snapshot);
            press(&mut model, keys);
            let look = Look { glyphs: Glyphs::Ascii, ..Look::default() };
            let shown = text(&render(&mut model, (120, 40), look));
            let strange: Vec<char> = shown.chars().filter(|letter| !letter.is_ascii()).collect();
            assert_eq!(strange, [], "after {keys}");
        }
    }
    let mut model = live(sample::two_txs(AT_MS));
    press(&mut model, "2");
    let look = Look { glyphs: Glyphs::Ascii, ..Look::default() };
    golden("tree-ascii-80x24", &text(&render(&mut model, (80, 24), look)));
}

#[test]
fn without_colour_the_cursor_and_the_trouble_are_still_seen() {
    let mut model = live(sample::two_txs(AT_MS));
    press(&mut model, "2j");
    let buffer = render(&mut model, (80, 24), Look::default());
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let reversed =
        |row: u16| (0..80).all(|x| buffer[(x, row)].modifier.contains(Modifier::REVERSED));
    let rows: Vec<u16> = (0..24).filter(|row| reversed(*row)).collect();
    assert_eq!(rows, [5], "the second node is under the cursor");
    assert!(buffer[(1, 1)].modifier.is_empty() && text(&buffer).contains("INSECURE SETUP"));
}

#[test]
fn colours_come_with_the_palette() {
    let mut model = live(sample::two_txs(AT_MS));
    let look = Look { theme: Theme::new(Palette::Terminal), ..Look::default() };
    let buffer = render(&mut model, (120, 40), look);
    let colours: std::collections::BTreeSet<String> =
        buffer.content.iter().map(|cell| format!("{}", cell.fg)).collect();
    assert!(colours.len() >= 6, "{colours:?}");
    assert!(buffer.content.iter().all(|cell| cell.bg == Color::Reset), "default background only");
}

#[test]
fn warnings_about_the_world_stand_on_every_screen_of_every_size() {
    for keys in ["1", "2", "4", "5", "4c", "1?", "1p"] {
        for (columns, rows) in [(200, 60), (120, 40), (80, 24), (60, 15), (40, 8), (60, 2)] {
            let mut snapshot = sample::two_txs(AT_MS);
            snapshot.simulated = true;
            let mut model = live(snapshot);
            press(&mut model, keys);
            let shown = screen(&mut model, columns, rows);
            assert!(shown.contains("INSECURE SETUP"), "{keys} at {columns}x{rows}:\n{shown}");
            assert!(shown.contains("SIMULATED"), "{keys} at {columns}x{rows}:\n{shown}");
        }
    }
}

#[test]
fn hidden_amounts_and_addresses_are_nowhere() {
    for keys in ["1P", "2P", "4P", "5P", "4Pc"] {
        let mut model = live(sample::two_txs(AT_MS));
        // Sentences of the agent are its own words and may name amounts.
        if let Some(snapshot) = &mut model.snapshot {
            snapshot.events.clear();
        }
        press(&mut model, keys);
        let shown = screen(&mut model, 120, 40);
        for secret in ["4.458", "2.906", "1.856", "2500", "0x77e2", "0x52d1", "0xc0ff", "9.874"] {
            assert!(!shown.contains(secret), "{secret} after {keys}:\n{shown}");
        }
    }
}
