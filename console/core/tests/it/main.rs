//! The console as its operator meets it: frames, keys, silence, hostile agents, every size.

mod frames;
mod keys;
mod sample;
mod sizes;
mod times;

use console_core::{Access, Key, LinkMsg, Look, Model, Msg, draw, update};
use ratatui_core::{buffer::Buffer, layout::Rect};
use wire::control::Snapshot;

/// When the sample's state was true: 12:38:28 UTC.
const AT_MS: u64 = 1_764_074_308_000;

/// A console that has just heard this state.
fn live(snapshot: Snapshot) -> Model {
    let mut model = Model::new(AT_MS, "unix:/run/user/1000/coppice/agent-1.sock", Access::Operate);
    update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(snapshot))));
    model
}

fn press(model: &mut Model, keys: &str) -> Vec<console_core::Effect> {
    keys.chars().flat_map(|key| update(model, Msg::Key(key_of(key)))).collect()
}

/// Keys in the notation of the tests: letters, `\n` Enter, `\t` Tab, `\u{1b}` Esc, `^` Ctrl-C.
fn key_of(letter: char) -> Key {
    match letter {
        '\n' => Key::Enter,
        '\t' => Key::Tab,
        '\u{1b}' => Key::Esc,
        '^' => Key::Ctrl('c'),
        letter => Key::Char(letter),
    }
}

fn render(model: &mut Model, (columns, rows): (u16, u16), look: Look) -> Buffer {
    update(model, Msg::Resize(columns, rows));
    let area = Rect::new(0, 0, columns, rows);
    let mut buffer = Buffer::empty(area);
    draw(model, look, area, &mut buffer);
    buffer
}

/// The frame as text, without the spaces at the ends of rows.
fn text(buffer: &Buffer) -> String {
    let columns = usize::from(buffer.area.width).max(1);
    let rows = buffer.content.chunks(columns).map(|row| {
        let row: String = row.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", row.trim_end())
    });
    rows.collect()
}

fn screen(model: &mut Model, columns: u16, rows: u16) -> String {
    text(&render(model, (columns, rows), Look::default()))
}
