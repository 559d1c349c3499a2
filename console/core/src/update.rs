//! What happens to the model: every message, and what the program around has to do then.

use wire::control::{Request, Snapshot};

use crate::{
    command::{self, Command, Motion},
    message::{Effect, Key, LinkMsg, Msg},
    model::{
        Choice, ClaimQuestion, DIALOG_GUARD_MS, Freshness, INTERRUPT_MS, Link, Model, Overlay,
        Paused, Screen, TOAST_MS, Toast, Tone, TreeForm,
    },
    screen::{TreeShape, tree_shape},
    text,
    tree::TreeIndex,
};

mod cursor;
mod strangers;

/// Takes in one message.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Clock(now_ms) => on_clock(model, now_ms),
        Msg::Key(key) => return on_key(model, key),
        Msg::Paste => say(model, "pasted text is not taken here", Tone::Plain),
        Msg::Resize(columns, rows) => {
            model.size = (columns, rows);
            model.dirty = true;
        }
        Msg::Focus(focused) => {
            model.focused = focused;
            model.dirty = true;
        }
        Msg::Resumed => {
            model.dirty = true;
            return vec![Effect::Redraw];
        }
        Msg::Link(link) => on_link(model, link),
    }
    Vec::new()
}

fn on_clock(model: &mut Model, now_ms: u64) {
    let due = model.next_wake_ms().is_some_and(|wake| wake <= now_ms);
    model.now_ms = now_ms.max(model.now_ms);
    let over = |until: u64| until <= model.now_ms;
    let toast_over = model.toast.as_ref().is_some_and(|toast| over(toast.until_ms));
    if toast_over {
        model.toast = None;
    }
    if model.interrupted_ms.is_some_and(|at| over(at + INTERRUPT_MS)) {
        model.interrupted_ms = None;
    }
    model.dirty |= due || toast_over;
}

fn on_key(model: &mut Model, key: Key) -> Vec<Effect> {
    model.dirty = true;
    let command = command::find(model.screen, key);
    if command == Some(Command::Interrupt) {
        return interrupt(model);
    }
    model.interrupted_ms = None;
    if matches!(model.overlay, Overlay::Claim(_)) {
        return answer(model, key);
    }
    if help_takes(model, key) {
        return Vec::new();
    }
    let Some(command) = command else { return Vec::new() };
    if let Err(reason) = command::enabled(command, model) {
        say(model, reason, Tone::Bad);
        return Vec::new();
    }
    run(model, command)
}

fn run(model: &mut Model, command: Command) -> Vec<Effect> {
    match command {
        Command::Open(screen) => open(model, screen),
        Command::Move(motion) => cursor::move_by(model, motion),
        Command::Slot(step) => cursor::other_slot(model, step),
        Command::Mine(step) => cursor::next_mine(model, step),
        Command::TreeForm => next_tree_form(model),
        Command::Claim => ask_claim(model),
        Command::Copy => return copy(model),
        Command::Pause => pause(model),
        Command::Privacy => model.privacy = !model.privacy,
        Command::Retry => return vec![Effect::Reconnect],
        Command::Help => model.overlay = Overlay::Help { all: false, top: 0 },
        Command::Redraw => return vec![Effect::Redraw],
        Command::Suspend => return vec![Effect::Suspend],
        Command::Back => return back(model),
        Command::Close => model.overlay = Overlay::None,
        Command::Leave => return vec![Effect::QuitKeepFrame],
        Command::Interrupt => return interrupt(model),
    }
    Vec::new()
}

fn open(model: &mut Model, screen: Screen) {
    model.screen = screen;
    model.overlay = Overlay::None;
}

fn back(model: &mut Model) -> Vec<Effect> {
    if model.overlay == Overlay::None {
        return vec![Effect::Quit];
    }
    model.overlay = Overlay::None;
    Vec::new()
}

fn interrupt(model: &mut Model) -> Vec<Effect> {
    let again = model.interrupted_ms.is_some_and(|at| model.now_ms < at + INTERRUPT_MS);
    if again {
        return vec![Effect::Quit];
    }
    model.interrupted_ms = Some(model.now_ms);
    say(model, "Ctrl-C again leaves the console; the agent goes on", Tone::Plain);
    if let Some(toast) = &mut model.toast {
        toast.until_ms = model.now_ms + INTERRUPT_MS;
    }
    Vec::new()
}

fn next_tree_form(model: &mut Model) {
    model.tree_form = match model.tree_form {
        TreeForm::Auto => TreeForm::List,
        TreeForm::List => TreeForm::Ladder,
        TreeForm::Ladder => TreeForm::Levels,
        TreeForm::Levels => TreeForm::Auto,
    };
    let is_ladder = |slot| tree_shape(model, slot) == TreeShape::Ladder;
    if model.tree_form == TreeForm::List && model.tree_slot().is_some_and(is_ladder) {
        model.tree_form = TreeForm::Levels;
        say(model, "this block is too large for a list of its proofs", Tone::Plain);
    }
}

fn pause(model: &mut Model) {
    let Some(paused) = model.paused.take() else {
        let since_ms = model.now_ms;
        model.paused = Some(Paused { since_ms, waiting: None, count: 0 });
        return;
    };
    if let Some(snapshot) = paused.waiting {
        show(model, snapshot);
    }
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let Some(snapshot) = &model.snapshot else { return Vec::new() };
    let copied = match model.screen {
        Screen::Overview => None,
        Screen::Tree => model.tree_slot().and_then(|slot| slot.block.clone()),
        Screen::Earnings => Some(snapshot.earnings.payee.clone()),
        Screen::Stake => Some(snapshot.stake.operator.clone()),
    };
    let Some(copied) = copied.filter(|text| !text.is_empty()) else { return Vec::new() };
    say(model, &format!("copied {}", text::shorten(&copied)), Tone::Plain);
    vec![Effect::Copy(copied)]
}

fn ask_claim(model: &mut Model) {
    let Some(snapshot) = &model.snapshot else { return };
    let earnings = &snapshot.earnings;
    let open = earnings.slots.iter().filter(|slot| slot.state == "claimable");
    model.overlay = Overlay::Claim(ClaimQuestion {
        asked_ms: model.now_ms,
        claimable: earnings.claimable.clone(),
        payee: earnings.payee.clone(),
        slots: open.map(|slot| slot.slot).collect(),
        focus: Choice::Cancel,
    });
}

/// A key while the question stands: what was typed before it could be read does not count.
fn answer(model: &mut Model, key: Key) -> Vec<Effect> {
    let Overlay::Claim(question) = &mut model.overlay else { return Vec::new() };
    if model.now_ms.saturating_sub(question.asked_ms) < DIALOG_GUARD_MS {
        return Vec::new();
    }
    match key {
        Key::Tab | Key::BackTab | Key::Left | Key::Right | Key::Char('h' | 'l') => {
            question.focus = match question.focus {
                Choice::Cancel => Choice::Go,
                Choice::Go => Choice::Cancel,
            };
        }
        Key::Enter if question.focus == Choice::Go => return claim(model),
        Key::Enter | Key::Esc | Key::Backspace | Key::Char('q' | 'n') => {
            model.overlay = Overlay::None;
        }
        Key::Char(_)
        | Key::Ctrl(_)
        | Key::Up
        | Key::Down
        | Key::PageUp
        | Key::PageDown
        | Key::Home
        | Key::End => (),
    }
    Vec::new()
}

fn claim(model: &mut Model) -> Vec<Effect> {
    let Overlay::Claim(question) = std::mem::take(&mut model.overlay) else { return Vec::new() };
    if let Err(reason) = command::enabled(Command::Claim, model) {
        say(model, reason, Tone::Bad);
        return Vec::new();
    }
    let now = model.snapshot.as_ref().map(|snapshot| &snapshot.earnings);
    let same = now.is_some_and(|earnings| {
        earnings.claimable == question.claimable && earnings.payee == question.payee
    });
    if !same {
        say(model, "the amount changed since you looked; nothing was sent", Tone::Bad);
        return Vec::new();
    }
    say(model, "claim sent to the agent", Tone::Plain);
    vec![Effect::Send(Request::Claim { slot: None, payee: None })]
}

/// Whether the help is open and took the key. A command of another kind goes on to it.
fn help_takes(model: &mut Model, key: Key) -> bool {
    let Overlay::Help { all, top } = &mut model.overlay else { return false };
    match command::find(Screen::Overview, key) {
        Some(Command::Move(Motion::Down)) => *top = top.saturating_add(1),
        Some(Command::Move(Motion::Up)) => *top = top.saturating_sub(1),
        Some(Command::Move(Motion::PageDown)) => *top = top.saturating_add(10),
        Some(Command::Move(Motion::PageUp)) => *top = top.saturating_sub(10),
        Some(Command::Move(Motion::First)) => *top = 0,
        Some(Command::Help) => (*all, *top) = (!*all, 0),
        Some(_) | None => return false,
    }
    let rows = if *all { command::TABLE.len() } else { crate::screen::help_rows(model.screen) };
    *top = (*top).min(rows.saturating_sub(1));
    true
}

fn on_link(model: &mut Model, msg: LinkMsg) {
    match msg {
        LinkMsg::Connecting { target } => {
            model.target = text::clean(&target, text::TEXT_MAX);
            model.dirty |= matches!(model.link, Link::Connecting);
        }
        LinkMsg::Snapshot(snapshot) => on_snapshot(model, snapshot),
        LinkMsg::Lost { reason, attempt, retry_ms } => {
            let since_ms = match &model.link {
                Link::Down { since_ms, .. } => *since_ms,
                Link::Connecting | Link::Up => model.now_ms,
            };
            let reason = text::clean(&reason, text::TEXT_MAX);
            model.link = Link::Down { since_ms, reason, attempt, retry_ms };
            model.dirty = true;
        }
        LinkMsg::Accepted { text } => say(model, &text, Tone::Plain),
        LinkMsg::Refused { code, text } => say(model, &format!("{code}: {text}"), Tone::Bad),
    }
}

fn on_snapshot(model: &mut Model, mut snapshot: Box<Snapshot>) {
    model.dirty |= model.link != Link::Up;
    if is_repeated(model, &snapshot) {
        // A stuck agent may still have a socket that answers: that is no sign of life.
        model.link = Link::Up;
        return;
    }
    strangers::tame(&mut snapshot);
    if let Some(text) = returned(model, &snapshot) {
        say(model, &text, Tone::Plain);
    }
    model.link = Link::Up;
    model.heard_ms = model.now_ms;
    model.dirty = true;
    if let Some(paused) = &mut model.paused {
        paused.waiting = Some(snapshot);
        paused.count += 1;
        return;
    }
    show(model, snapshot);
}

/// Whether this very state has been seen.
fn is_repeated(model: &Model, new: &Snapshot) -> bool {
    let waiting = model.paused.as_ref().and_then(|paused| paused.waiting.as_deref());
    let last = waiting.or(model.snapshot.as_deref());
    last.is_some_and(|last| (last.seq, last.at_ms) == (new.seq, new.at_ms))
}

fn show(model: &mut Model, snapshot: Box<Snapshot>) {
    model.received_ms = model.heard_ms;
    model.trees = snapshot.slots.iter().map(|slot| TreeIndex::new(&slot.nodes)).collect();
    model.snapshot = Some(snapshot);
    model.dirty = true;
    cursor::keep_in_sight(model);
}

/// What is said when the agent answers again.
fn returned(model: &Model, new: &Snapshot) -> Option<String> {
    let Freshness::Lost(away_ms) = model.freshness() else { return None };
    let old = model.snapshot.as_ref()?;
    let slot = |snapshot: &Snapshot| {
        crate::model::current_slot(snapshot)
            .map_or_else(|| "none".to_owned(), |slot| slot.slot.to_string())
    };
    let missed = new.seq.saturating_sub(old.seq);
    Some(format!(
        "back after {}: {missed} changes missed, slot {} > {}",
        text::duration(away_ms),
        slot(old),
        slot(new)
    ))
}

fn say(model: &mut Model, text: &str, tone: Tone) {
    let text = text::clean(text, text::TEXT_MAX);
    model.toast = Some(Toast { text, tone, until_ms: model.now_ms + TOAST_MS });
    model.dirty = true;
}
