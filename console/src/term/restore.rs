//! Entering the terminal and leaving it as it was, in every way out.
//!
//! What was switched on is remembered in one atomic word, so that leaving undoes exactly that, at
//! most once, from any thread, the panic hook included. ratatui's own restore knows only raw mode
//! and the alternate screen.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    panic, process,
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::Duration,
};

use crossterm::{
    QueueableCommand,
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange},
    style::ResetColor,
    terminal::{
        EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode,
    },
};

/// Exit code after a fault of the console itself, as Rust programs have it.
const FAULT: i32 = 101;

/// Pause before a full terminal is tried again: a screen refresh.
const FULL: Duration = Duration::from_millis(16);

const RAW: u8 = 1;
const SCREEN: u8 = 2;

static ENTERED: AtomicU8 = AtomicU8::new(0);

/// Takes the terminal over.
///
/// # Errors
/// If it refuses; what was switched on until then is undone.
pub(crate) fn enter() -> io::Result<()> {
    let entered = try_enter();
    if entered.is_err() {
        leave();
    }
    entered
}

fn try_enter() -> io::Result<()> {
    enable_raw_mode()?;
    ENTERED.fetch_or(RAW, Ordering::SeqCst);
    let mut bytes = Vec::new();
    bytes.queue(EnterAlternateScreen)?.queue(EnableFocusChange)?;
    bytes.queue(EnableBracketedPaste)?.queue(Hide)?;
    ENTERED.fetch_or(SCREEN, Ordering::SeqCst);
    write_all(&bytes)
}

/// Gives the terminal back. Does nothing if it was not taken, or was given back already.
pub(crate) fn leave() {
    let entered = ENTERED.swap(0, Ordering::SeqCst);
    if entered & SCREEN != 0 {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail, and there is nobody left to tell.
        let _bytes = queue_leave(&mut bytes);
        let _written = write_all(&bytes);
    }
    if entered & RAW != 0 {
        let _restored = disable_raw_mode();
    }
}

fn queue_leave(bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.queue(EndSynchronizedUpdate)?.queue(ResetColor)?.queue(Show)?;
    bytes.queue(DisableBracketedPaste)?.queue(DisableFocusChange)?.queue(LeaveAlternateScreen)?;
    Ok(())
}

/// Straight to the terminal, past the lock of the standard output: another thread may hold that
/// one while this one panics.
pub(crate) fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let terminal = io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(terminal.as_fd(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            // Somebody made the terminal non-blocking, and it is full.
            Err(rustix::io::Errno::AGAIN) => thread::sleep(FULL),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A fault in any thread gives the terminal back, says what happened and ends the console: a
/// screen whose half is dead helps nobody.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|fault| {
        leave();
        let mut errors = io::stderr();
        let _written = writeln!(errors, "coppice-console ended by a fault of its own: {fault}");
        let _written = writeln!(errors, "the agent is not touched; coppice-agent status shows it");
        process::exit(FAULT);
    }));
}

/// Stops this process like any other program at Ctrl-Z, and comes back at `fg`.
///
/// # Errors
/// If the terminal cannot be entered again.
pub(crate) fn suspend() -> io::Result<()> {
    leave();
    // Without a shell that could continue it, the signal is ignored and we are back at once.
    rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
    enter()
}
