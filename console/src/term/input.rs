//! Keys and events of the terminal, in the words of the console's core.

use console_core::{Key, Msg};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use tokio::sync::mpsc;

/// Events that wait: a paste or a held key at 30 a second for four seconds.
const QUEUE: usize = 128;

/// Reads events in a task of its own, until the terminal is gone.
///
/// The stream remembers the first waker it is polled with, so it has to have one reader that never
/// only looks whether something is there.
pub(crate) fn start() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut stream = EventStream::new();
        while let Some(Ok(event)) = stream.next().await {
            if sender.send(event).await.is_err() {
                return;
            }
        }
    });
    events
}

/// What the core is told, if anything: a key counts when it goes down, a held one for movement.
pub(crate) fn message(event: &Event) -> Option<Msg> {
    match event {
        Event::Key(key) => self::key(*key).map(Msg::Key),
        Event::Paste(_) => Some(Msg::Paste),
        Event::Resize(columns, rows) => Some(Msg::Resize(*columns, *rows)),
        Event::FocusGained => Some(Msg::Focus(true)),
        Event::FocusLost => Some(Msg::Focus(false)),
        Event::Mouse(_) => None,
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    let key = match event.code {
        KeyCode::Char(letter) => character(letter, event.modifiers)?,
        KeyCode::Enter => Key::Enter,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Delete
        | KeyCode::Insert
        | KeyCode::F(_)
        | KeyCode::Null
        | KeyCode::CapsLock
        | KeyCode::ScrollLock
        | KeyCode::NumLock
        | KeyCode::PrintScreen
        | KeyCode::Pause
        | KeyCode::Menu
        | KeyCode::KeypadBegin
        | KeyCode::Media(_)
        | KeyCode::Modifier(_) => return None,
    };
    let moves = matches!(key, Key::Up | Key::Down | Key::Left | Key::Right)
        || matches!(key, Key::Char('j' | 'k' | 'h' | 'l') | Key::PageUp | Key::PageDown);
    match event.kind {
        KeyEventKind::Press => Some(key),
        KeyEventKind::Repeat => Some(key).filter(|_| moves),
        KeyEventKind::Release => None,
    }
}

fn character(letter: char, modifiers: KeyModifiers) -> Option<Key> {
    let control = modifiers.contains(KeyModifiers::CONTROL);
    match (control, letter.to_ascii_lowercase()) {
        // Many terminals send this for Backspace.
        (true, 'h') => Some(Key::Backspace),
        (true, letter) => Some(Key::Ctrl(letter)),
        (false, _) if modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER) => None,
        (false, _) => Some(Key::Char(letter)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: KeyCode, modifiers: KeyModifiers, kind: KeyEventKind, expected: Option<Key>) {
        let event = KeyEvent::new_with_kind(code, modifiers, kind);
        assert_eq!(message(&Event::Key(event)), expected.map(Msg::Key), "{event:?}");
    }

    #[test]
    fn a_key_counts_once_when_it_goes_down() {
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        let (press, repeat, release) =
            (KeyEventKind::Press, KeyEventKind::Repeat, KeyEventKind::Release);
        check(KeyCode::Char('c'), none, press, Some(Key::Char('c')));
        check(KeyCode::Char('c'), none, release, None);
        check(KeyCode::Char('c'), none, repeat, None);
        check(KeyCode::Char('j'), none, repeat, Some(Key::Char('j')));
        check(KeyCode::Char('G'), KeyModifiers::SHIFT, press, Some(Key::Char('G')));
        check(KeyCode::Char('c'), control, press, Some(Key::Ctrl('c')));
        check(KeyCode::Char('C'), control, press, Some(Key::Ctrl('c')));
        check(KeyCode::Char('h'), control, press, Some(Key::Backspace));
        check(KeyCode::Char('q'), KeyModifiers::ALT, press, None);
        check(KeyCode::F(1), none, press, None);
    }

    #[test]
    fn pasted_text_is_one_event_and_no_keys() {
        assert_eq!(message(&Event::Paste("q\n".into())), Some(Msg::Paste));
    }
}
