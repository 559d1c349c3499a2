//! Frames to the terminal: only what changed, in one write, from a thread of its own.
//!
//! A terminal over a slow line may take seconds for a frame. The screen then skips frames instead
//! of waiting: the thread holds one, and says when it is free again.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use console_core::{Look, Model, draw};
use crossterm::{
    QueueableCommand,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate},
};
use ratatui::{
    backend::{Backend, ClearType, CrosstermBackend},
    buffer::Buffer,
    layout::Rect,
};
use tokio::sync::Notify;

use super::restore;

/// A terminal that takes nothing for this long is not waited for when leaving.
const LAST_WRITE: Duration = Duration::from_millis(250);

/// Draws frames and hands them to the writing thread.
pub(crate) struct Output {
    look: Look,
    shown: Buffer,
    anew: bool,
    writer: SyncSender<Vec<u8>>,
    busy: Arc<AtomicBool>,
    /// Told when the terminal has taken a frame.
    pub(crate) free: Arc<Notify>,
}

impl Output {
    /// Starts the writing thread.
    pub(crate) fn new(look: Look) -> Self {
        let (writer, frames) = sync_channel::<Vec<u8>>(1);
        let busy = Arc::new(AtomicBool::new(false));
        let free = Arc::new(Notify::new());
        let (now_busy, now_free) = (Arc::clone(&busy), Arc::clone(&free));
        thread::spawn(move || {
            for frame in frames {
                // A terminal that is gone is noticed by its hangup.
                let _written = restore::write_all(&frame);
                now_busy.store(false, Ordering::SeqCst);
                now_free.notify_one();
            }
        });
        Self { look, shown: Buffer::empty(Rect::ZERO), anew: true, writer, busy, free }
    }

    /// Whether the last frame is still on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }

    /// The next frame draws every cell.
    pub(crate) const fn redraw(&mut self) {
        self.anew = true;
    }

    /// Waits until the last frame is out, but not for ever.
    pub(crate) fn finish(&self) {
        let start = Instant::now();
        while self.is_busy() && start.elapsed() < LAST_WRITE {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Draws the model. What did not change is not sent; if nothing did, nothing is.
    ///
    /// # Errors
    /// If a frame cannot be encoded.
    pub(crate) fn draw(&mut self, model: &Model) -> io::Result<()> {
        let area = Rect::new(0, 0, model.size.0, model.size.1);
        let mut next = Buffer::empty(area);
        draw(model, self.look, area, &mut next);
        let bytes = self.encode(&next)?;
        self.shown = next;
        self.anew = false;
        if !bytes.is_empty() {
            self.busy.store(true, Ordering::SeqCst);
            // One frame fits and none is on its way: this never waits.
            let _sent = self.writer.try_send(bytes);
        }
        Ok(())
    }

    fn encode(&self, next: &Buffer) -> io::Result<Vec<u8>> {
        let anew = self.anew || self.shown.area != next.area;
        let empty = Buffer::empty(next.area);
        let before = if anew { &empty } else { &self.shown };
        let changes = before.diff(next);
        if changes.is_empty() && !anew {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        bytes.queue(BeginSynchronizedUpdate)?;
        let mut backend = CrosstermBackend::new(&mut bytes);
        if anew {
            backend.clear_region(ClearType::All)?;
        }
        backend.draw(changes.into_iter())?;
        bytes.queue(EndSynchronizedUpdate)?;
        Ok(bytes)
    }
}

/// Puts a text on the clipboard of the terminal, which may be on another machine (OSC 52).
///
/// # Errors
/// If the terminal is gone.
pub(crate) fn copy(text: &str) -> io::Result<()> {
    restore::write_all(format!("\u{1b}]52;c;{}\u{7}", base64(text.as_bytes())).as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use console_core::Access;

    use super::*;

    #[test]
    fn the_clipboard_gets_base64() {
        let rows =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("0x52d1…", "MHg1MmQx4oCm")];
        for (text, expected) in rows {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn an_unchanged_frame_sends_nothing_and_a_changed_one_only_the_change() {
        let mut output = Output::new(Look::default());
        let mut model = Model::new(1_000, "unix:/a.sock", Access::Operate);
        let mut sizes = Vec::new();
        for privacy in [false, false, true] {
            model.privacy = privacy;
            model.target = if privacy { "unix:/b.sock".into() } else { model.target };
            let area = Rect::new(0, 0, 80, 24);
            let mut next = Buffer::empty(area);
            draw(&model, output.look, area, &mut next);
            sizes.push(output.encode(&next).unwrap().len());
            output.shown = next;
            output.anew = false;
        }
        assert!(sizes[0] > 300 && sizes[1] == 0 && (1..80).contains(&sizes[2]), "{sizes:?}");
    }
}
