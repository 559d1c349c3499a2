//! The one table of commands: key, name, danger, help and what does the same without a screen.
//!
//! Key hints, the help screen and the dispatch of keys are read from it, so they cannot disagree.

use crate::{
    message::Key,
    model::{Access, Freshness, Model, Screen},
    text,
};

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Command {
    /// Opens a screen.
    Open(Screen),
    /// Moves the cursor.
    Move(Motion),
    /// Shows the block of the slot before or after.
    Slot(Step),
    /// Moves to this agent's proof before or after.
    Mine(Step),
    /// Draws the tree in another form.
    TreeForm,
    /// Asks, then claims every open payout.
    Claim,
    /// Copies this screen's address.
    Copy,
    /// Holds updates back, or lets them in.
    Pause,
    /// Hides amounts and addresses.
    Privacy,
    /// Connects now.
    Retry,
    /// Shows the commands.
    Help,
    /// Draws every cell anew.
    Redraw,
    /// Stops the console until `fg`.
    Suspend,
    /// Closes what lies over the screen, or leaves.
    Back,
    /// Closes what lies over the screen.
    Close,
    /// Leaves and keeps the last frame.
    Leave,
    /// Leaves at the second time.
    Interrupt,
}

/// Where the cursor goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Motion {
    /// A row down.
    Down,
    /// A row up.
    Up,
    /// A column left.
    Left,
    /// A column right.
    Right,
    /// Ten rows down.
    PageDown,
    /// Ten rows up.
    PageUp,
    /// To the first row.
    First,
    /// To the last row.
    Last,
}

/// To the neighbour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// To the one before.
    Back,
    /// To the one after.
    Forward,
}

/// What a command can cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Danger {
    /// Nothing: it only looks.
    Look,
    /// Money moves: asked first, with the amounts and Cancel in focus.
    Ask,
}

impl Danger {
    /// Its level in the help.
    pub const fn level(self) -> &'static str {
        match self {
            Self::Look => "L0",
            Self::Ask => "L3",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The command.
    pub command: Command,
    /// Keys that give it, the one for hints first.
    pub keys: &'static [Key],
    /// Screens on which they do, or all.
    pub screens: Option<&'static [Screen]>,
    /// Name in hints; three dots say that it asks first.
    pub name: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    /// What it can cost.
    pub danger: Danger,
    /// What does the same in a shell.
    pub twin: &'static str,
}

const LISTS: Option<&[Screen]> = Some(&[Screen::Overview, Screen::Tree, Screen::Earnings]);
const TREE: Option<&[Screen]> = Some(&[Screen::Tree]);
const MONEY: Option<&[Screen]> = Some(&[Screen::Overview, Screen::Earnings]);
const ADDRESSES: Option<&[Screen]> = Some(&[Screen::Tree, Screen::Earnings, Screen::Stake]);

const fn look(
    command: Command,
    keys: &'static [Key],
    screens: Option<&'static [Screen]>,
    name: &'static str,
    help: &'static str,
) -> Entry {
    Entry { command, keys, screens, name, help, danger: Danger::Look, twin: "" }
}

const fn open(
    screen: Screen,
    keys: &'static [Key],
    help: &'static str,
    twin: &'static str,
) -> Entry {
    let name = screen.name();
    let command = Command::Open(screen);
    Entry { command, keys, screens: None, name, help, danger: Danger::Look, twin }
}

/// Every command.
pub const TABLE: &[Entry] = &[
    open(
        Screen::Overview,
        &[Key::Char('1')],
        "alive, slot, money, what needs you",
        "coppice-agent status",
    ),
    open(
        Screen::Tree,
        &[Key::Char('2')],
        "every proof of a block, who makes it, how long",
        "coppice-console screen tree",
    ),
    open(
        Screen::Earnings,
        &[Key::Char('4')],
        "money earned, slot by slot",
        "coppice-agent status --json",
    ),
    open(
        Screen::Stake,
        &[Key::Char('5')],
        "bond, lanes, addresses, gas",
        "coppice-agent status --json",
    ),
    look(Command::Move(Motion::Down), &[Key::Char('j'), Key::Down], LISTS, "down", "next row"),
    look(Command::Move(Motion::Up), &[Key::Char('k'), Key::Up], LISTS, "up", "row before"),
    look(
        Command::Move(Motion::Left),
        &[Key::Char('h'), Key::Left],
        TREE,
        "left",
        "ladder: cursor left",
    ),
    look(
        Command::Move(Motion::Right),
        &[Key::Char('l'), Key::Right],
        TREE,
        "right",
        "ladder: cursor right",
    ),
    look(
        Command::Move(Motion::PageDown),
        &[Key::Ctrl('d'), Key::PageDown],
        LISTS,
        "page down",
        "ten rows down",
    ),
    look(
        Command::Move(Motion::PageUp),
        &[Key::Ctrl('u'), Key::PageUp],
        LISTS,
        "page up",
        "ten rows up",
    ),
    look(Command::Move(Motion::First), &[Key::Char('g'), Key::Home], LISTS, "first", "first row"),
    look(Command::Move(Motion::Last), &[Key::Char('G'), Key::End], LISTS, "last", "last row"),
    look(
        Command::Slot(Step::Back),
        &[Key::Char(',')],
        TREE,
        "older slot",
        "the block of the slot before",
    ),
    look(
        Command::Slot(Step::Forward),
        &[Key::Char('.')],
        TREE,
        "newer slot",
        "the block of the slot after",
    ),
    look(
        Command::Mine(Step::Forward),
        &[Key::Char('n')],
        TREE,
        "next mine",
        "next proof of this agent",
    ),
    look(
        Command::Mine(Step::Back),
        &[Key::Char('N')],
        TREE,
        "last mine",
        "proof of this agent before",
    ),
    look(Command::TreeForm, &[Key::Char('v')], TREE, "view", "auto > list > ladder > level table"),
    Entry {
        command: Command::Claim,
        keys: &[Key::Char('c')],
        screens: MONEY,
        name: "claim…",
        help: "claim every open payout of your payee",
        danger: Danger::Ask,
        twin: "coppice-agent claim --slot N",
    },
    look(Command::Copy, &[Key::Char('y')], ADDRESSES, "copy", "copy the block id or address"),
    look(Command::Pause, &[Key::Char('p')], None, "pause", "hold updates back; the agent goes on"),
    look(Command::Privacy, &[Key::Char('P')], None, "privacy", "hide amounts and addresses"),
    look(Command::Retry, &[Key::Char('r')], None, "retry", "connect to the agent now"),
    look(Command::Help, &[Key::Char('?')], None, "help", "this screen's keys; ? again: all keys"),
    look(Command::Redraw, &[Key::Ctrl('l')], None, "redraw", "draw every cell anew"),
    look(Command::Suspend, &[Key::Ctrl('z')], None, "suspend", "back to the shell until fg"),
    look(
        Command::Back,
        &[Key::Char('q'), Key::Backspace],
        None,
        "quit",
        "close this, or leave; the agent goes on",
    ),
    look(Command::Close, &[Key::Esc], None, "close", "close this"),
    look(Command::Leave, &[Key::Char('Q')], None, "leave", "leave and keep the last frame"),
    look(Command::Interrupt, &[Key::Ctrl('c')], None, "leave", "leave, at the second time"),
];

impl Entry {
    /// Whether its keys work on this screen.
    pub fn is_on(&self, screen: Screen) -> bool {
        self.screens.is_none_or(|screens| screens.contains(&screen))
    }

    /// Its keys for a person: `j or Down`.
    pub fn key_names(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|key| key_name(*key)).collect();
        names.join(" or ")
    }
}

/// The command of a key on a screen.
pub fn find(screen: Screen, key: Key) -> Option<Command> {
    let mut entries = TABLE.iter().filter(|entry| entry.is_on(screen));
    entries.find(|entry| entry.keys.contains(&key)).map(|entry| entry.command)
}

/// A key for a person.
pub fn key_name(key: Key) -> String {
    match key {
        Key::Char(letter) => letter.to_string(),
        Key::Ctrl(letter) => format!("Ctrl-{}", letter.to_ascii_uppercase()),
        Key::Enter => "Enter".to_owned(),
        Key::Backspace => "Backspace".to_owned(),
        Key::Esc => "Esc".to_owned(),
        Key::Tab => "Tab".to_owned(),
        Key::BackTab => "Shift-Tab".to_owned(),
        Key::Up => "Up".to_owned(),
        Key::Down => "Down".to_owned(),
        Key::Left => "Left".to_owned(),
        Key::Right => "Right".to_owned(),
        Key::PageUp => "PgUp".to_owned(),
        Key::PageDown => "PgDn".to_owned(),
        Key::Home => "Home".to_owned(),
        Key::End => "End".to_owned(),
    }
}

/// Why a command does nothing now.
///
/// # Errors
/// One sentence for the operator, if it cannot be carried out.
pub fn enabled(command: Command, model: &Model) -> Result<(), &'static str> {
    if command == Command::Claim {
        return may_claim(model);
    }
    if command == Command::Retry && model.freshness() == Freshness::Live {
        return Err("connected already");
    }
    Ok(())
}

fn may_claim(model: &Model) -> Result<(), &'static str> {
    if model.access == Access::ReadOnly {
        return Err("this console was started with --read-only");
    }
    match model.freshness() {
        Freshness::Never => return Err("the agent has not answered yet"),
        Freshness::Lost(_) => return Err("not connected; actions are off until the agent answers"),
        Freshness::Stale(_) => return Err("the agent is silent; wait for a fresh state"),
        Freshness::Live | Freshness::Lagging(_) => (),
    }
    if model.is_newer_agent() {
        return Err("the agent is newer than this console; update the console");
    }
    if model.paused.is_some() {
        return Err("the screen is paused and may be old; press p first");
    }
    let claimable = model.snapshot.as_ref().map(|snapshot| snapshot.earnings.claimable.as_str());
    match claimable.and_then(text::base_units) {
        None => Err("the claimable amount is unknown"),
        Some(0) => Err("nothing to claim"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters that need AltGr on German, French or Nordic layouts, or that start sequences.
    const BANNED: &str = "[]{}\\@~|^`";

    #[test]
    fn no_key_means_two_things() {
        for screen in Screen::ALL {
            let mut seen = std::collections::BTreeMap::new();
            let entries = TABLE.iter().filter(|entry| entry.is_on(screen));
            for (entry, key) in
                entries.flat_map(|entry| entry.keys.iter().map(move |key| (entry, key)))
            {
                let other = seen.insert(*key, entry.name);
                assert_eq!(other, None, "{key:?} is also {} on {screen:?}", entry.name);
            }
        }
    }

    #[test]
    fn every_command_has_a_name_a_key_and_a_line_of_help() {
        for entry in TABLE {
            assert!(!entry.name.is_empty() && !entry.keys.is_empty(), "{:?}", entry.command);
            assert!((4..=48).contains(&entry.help.len()), "{:?}", entry.command);
            assert!(!entry.key_names().chars().any(|letter| BANNED.contains(letter)));
        }
    }

    #[test]
    fn what_asks_says_so_and_has_a_twin() {
        for entry in TABLE {
            let asks = entry.danger == Danger::Ask;
            assert_eq!(entry.name.ends_with('…'), asks, "{}", entry.name);
            assert!(!asks || !entry.twin.is_empty(), "{}", entry.name);
        }
    }

    #[test]
    fn each_tab_has_the_key_it_shows() {
        for screen in Screen::ALL {
            for here in Screen::ALL {
                assert_eq!(find(here, Key::Char(screen.key())), Some(Command::Open(screen)));
            }
        }
    }

    #[test]
    fn leaving_needs_no_escape_key() {
        for screen in Screen::ALL {
            assert_eq!(find(screen, Key::Char('q')), Some(Command::Back));
        }
    }
}
