//! What a frame costs: each screen at three sizes, with blocks of 2 to 61,440 txs.
//!
//! `cargo bench -p console-core --bench frames`. The bar is 5 ms a frame.

#[path = "../tests/it/sample.rs"]
#[expect(dead_code, reason = "the tests need states that this measurement does not")]
mod sample;

use std::{hint::black_box, io::Write, time::Instant};

use console_core::{Access, Key, LinkMsg, Look, Model, Msg, draw, update};
use ratatui_core::{buffer::Buffer, layout::Rect};

const AT_MS: u64 = 1_764_074_308_000;
const FRAMES: usize = 200;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "txs    keys  size      median ms  worst ms")?;
    for txs in [2, 16, 700, 61_440] {
        let state = if txs == 2 { sample::two_txs(AT_MS) } else { sample::block_of(AT_MS, txs) };
        let mut model = Model::new(AT_MS, "unix:/a.sock", Access::Operate);
        let start = Instant::now();
        update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(state))));
        let taken_us = start.elapsed().as_micros();
        for keys in ["1", "2", "2vvv", "4", "5"] {
            for letter in keys.chars() {
                update(&mut model, Msg::Key(Key::Char(letter)));
            }
            for size in [(80, 24), (120, 40), (200, 60)] {
                let (median, worst) = frames(&mut model, size);
                let size = format!("{}x{}", size.0, size.1);
                writeln!(out, "{txs:<6} {keys:<5} {size:<9} {median:>9}  {worst:>8}")?;
            }
        }
        writeln!(out, "{txs:<6} a new state is taken in within {taken_us} us")?;
    }
    Ok(())
}

/// Median and worst of many frames, each with the comparison to the one before, as on a terminal.
fn frames(model: &mut Model, (columns, rows): (u16, u16)) -> (String, String) {
    update(model, Msg::Resize(columns, rows));
    let area = Rect::new(0, 0, columns, rows);
    let mut before = Buffer::empty(area);
    let mut times: Vec<u128> = (0..FRAMES)
        .map(|_| {
            let start = Instant::now();
            let mut next = Buffer::empty(area);
            draw(model, Look::default(), area, &mut next);
            black_box(before.diff(&next).len());
            before = next;
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    let ms = |us: u128| format!("{}.{:03}", us / 1000, us % 1000);
    (ms(times[FRAMES / 2]), ms(times[FRAMES - 1]))
}
