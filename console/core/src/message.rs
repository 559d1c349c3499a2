//! Everything that can happen to the console, and everything it can ask for.

use wire::control::{Request, Snapshot};

/// A key as the keyboard sends it, whatever library read it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// A printable character, shift applied.
    Char(char),
    /// A letter with Control held, in lower case.
    Ctrl(char),
    /// Return.
    Enter,
    /// Backspace.
    Backspace,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
}

/// What can happen.
#[derive(Clone, PartialEq, Debug)]
pub enum Msg {
    /// The time is now this, in the console's Unix milliseconds. Comes before any other message.
    Clock(u64),
    /// A key was pressed.
    Key(Key),
    /// Text was pasted; no screen takes any.
    Paste,
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// The terminal's window gained or lost the keyboard.
    Focus(bool),
    /// Back after the process was stopped.
    Resumed,
    /// Something about the agent.
    Link(LinkMsg),
}

/// What the link to the agent reports.
#[derive(Clone, PartialEq, Debug)]
pub enum LinkMsg {
    /// A socket was chosen and is being opened.
    Connecting {
        /// What is connected to, for a person.
        target: String,
    },
    /// The agent's state.
    Snapshot(Box<Snapshot>),
    /// The socket is closed or never opened.
    Lost {
        /// Why, in a few words.
        reason: String,
        /// Number of tries so far.
        attempt: u32,
        /// When it is tried again, in the console's Unix milliseconds.
        retry_ms: u64,
    },
    /// The agent carried out a request.
    Accepted {
        /// What it did.
        text: String,
    },
    /// The agent refused, or the request did not arrive.
    Refused {
        /// Stable code.
        code: String,
        /// Why.
        text: String,
    },
}

/// What the program around has to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Leave; the agent goes on.
    Quit,
    /// Leave, with the last frame kept above the prompt.
    QuitKeepFrame,
    /// Stop this process until it is continued.
    Suspend,
    /// Draw every cell anew.
    Redraw,
    /// Try the connection now.
    Reconnect,
    /// Ask the agent.
    Send(Request),
    /// Put this text on the terminal's clipboard.
    Copy(String),
}
