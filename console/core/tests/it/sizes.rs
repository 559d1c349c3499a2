//! Every size of terminal and every state shows something and never panics.

use console_core::{Access, LinkMsg, Look, Model, Msg, update};

use crate::{AT_MS, live, press, render, sample, text};

/// Sizes at and around each breakpoint, and primes between them.
const COLUMNS: [u16; 22] =
    [1, 2, 3, 5, 7, 11, 13, 17, 23, 29, 39, 40, 41, 59, 79, 80, 99, 100, 119, 120, 151, 200];
const ROWS: [u16; 20] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17, 23, 24, 29, 30, 35, 36, 40, 60];

fn models() -> Vec<Model> {
    let mut lost = live(sample::two_txs(AT_MS));
    let reason = "connection reset by peer".into();
    update(&mut lost, Msg::Link(LinkMsg::Lost { reason, attempt: 1, retry_ms: 0 }));
    vec![
        Model::new(AT_MS, "unix:/a.sock", Access::Operate),
        live(sample::two_txs(AT_MS)),
        live(sample::block_of(AT_MS, 300)),
        live(sample::hostile(AT_MS)),
        lost,
    ]
}

#[test]
fn no_size_panics_and_none_is_blank() {
    for keys in ["1", "2", "2v", "2vv", "2vvv", "4", "5", "4c", "1?", "2??", "1p"] {
        for mut model in models() {
            press(&mut model, keys);
            for (columns, rows) in COLUMNS.iter().flat_map(|c| ROWS.iter().map(|r| (*c, *r))) {
                let buffer = render(&mut model, (columns, rows), Look::default());
                // One column may show a space; two never do.
                let blank = text(&buffer).trim().is_empty();
                assert!(columns < 3 || !blank, "{keys} is blank at {columns}x{rows}");
            }
        }
    }
}

/// Every size from 1x1 to 200x60, once with a block that has rows for all of them.
#[test]
fn all_sizes_of_the_overview() {
    let mut model = live(sample::hostile(AT_MS));
    for columns in 1..=200 {
        for rows in 1..=60 {
            render(&mut model, (columns, rows), Look::default());
        }
    }
}

#[test]
fn hostile_text_reaches_no_cell() {
    for keys in ["1", "2", "2vv", "2vvv", "4", "5", "4c"] {
        let mut model = live(sample::hostile(AT_MS));
        press(&mut model, keys);
        for size in [(120, 40), (80, 24), (40, 8), (30, 3)] {
            let buffer = render(&mut model, size, Look::default());
            for cell in &buffer.content {
                let strange =
                    |letter: char| letter.is_control() || matches!(letter, '\u{200b}' | '\u{202e}');
                assert!(!cell.symbol().contains(strange), "{:?} after {keys}", cell.symbol());
            }
        }
    }
}

/// The bar of the console: no frame over 5 ms. The best of many, so that a busy machine does not
/// decide; `benches/frames.rs` shows the whole spread.
#[test]
fn a_frame_of_a_large_block_takes_less_than_five_milliseconds() {
    for keys in ["1", "2", "2vvv", "4", "5"] {
        let mut model = live(sample::block_of(AT_MS, 700));
        press(&mut model, keys);
        let best = (0..50).map(|_| {
            let start = std::time::Instant::now();
            render(&mut model, (200, 60), Look::default());
            start.elapsed()
        });
        let best = best.min().unwrap_or_default();
        assert!(best.as_micros() < 5_000, "{best:?} after {keys}");
    }
}

/// Two steps of the fastest change: a screen that must not leave cells of the frame before.
#[test]
fn a_frame_does_not_depend_on_the_one_before() {
    let mut model = live(sample::two_txs(AT_MS));
    for keys in ["2", "?", "q", "4", "c", "q", "5", "1"] {
        press(&mut model, keys);
        let first = render(&mut model, (120, 40), Look::default());
        let again = render(&mut model, (120, 40), Look::default());
        assert_eq!(first, again, "after {keys}");
    }
}
