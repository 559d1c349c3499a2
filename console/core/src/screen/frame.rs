//! What surrounds every screen: header, tabs, what is wrong with the connection, message, keys.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};

use crate::{
    command::{self, Command, Motion, Step, TABLE},
    judge::{self, Level},
    model::{Access, Freshness, Link, Overlay, Screen, Tone, current_slot},
    screen::{Size, TreeShape, View, tree_shape},
    text,
    theme::Role,
    widget::{Strip, rule},
};

/// Slack below this is a warning: one proof of half a minute.
const SLACK_THIN_MS: i64 = 30_000;

/// Draws the frame and returns the place for the screen.
pub(super) fn draw(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) -> Rect {
    let columns = usize::from(area.width);
    let mut top = vec![header(view, size, columns), tabs(view, size, columns)];
    top.extend(banner(view, size, columns));
    rule::rows(buffer, area, &top);
    let bottom = match size {
        Size::Line | Size::Tiny => vec![message(view).unwrap_or_else(|| keys(view, columns))],
        Size::Small | Size::Medium | Size::Large => {
            vec![message(view).unwrap_or_default(), keys(view, columns)]
        }
    };
    let below = u16::try_from(bottom.len()).unwrap_or(1);
    let body = rule::below(area, top.len());
    let body = Rect { height: body.height.saturating_sub(below), ..body };
    rule::rows(buffer, Rect { y: area.bottom() - below, height: below, ..area }, &bottom);
    body
}

fn header(view: &View<'_>, size: Size, columns: usize) -> Line<'static> {
    let snapshot = view.snapshot;
    let name = if snapshot.name.is_empty() { "coppice" } else { &snapshot.name };
    if size == Size::Tiny {
        return tiny_header(view, columns);
    }
    let wide = size >= Size::Medium;
    let gap = if wide { "   " } else { "  " };
    let mut strip = view.strip().text(" ").put(Role::Title, text::fit(name, 16)).text(" ");
    strip = strip.join(alive(view));
    if wide && !snapshot.network.is_empty() {
        strip = strip.text(gap).muted(text::fit(&snapshot.network, 24));
    }
    strip = strip.text(gap).join(slot(view, size));
    if let Some(slack_ms) = judge::worst_slack_ms(snapshot) {
        strip = strip.text(gap).muted("slack ").join(slack(view, slack_ms));
    }
    let right = counts(view);
    strip.with_right(right, columns).line()
}

/// The same answers without name, network and limits.
fn tiny_header(view: &View<'_>, columns: usize) -> Line<'static> {
    let mut strip = match view.model.freshness() {
        Freshness::Live => view.strip().put(Role::Good, "● live"),
        Freshness::Never | Freshness::Lagging(_) | Freshness::Stale(_) | Freshness::Lost(_) => {
            alive(view)
        }
    };
    strip = strip.text(" ").join(slot(view, Size::Tiny));
    if let Some(slack_ms) = judge::worst_slack_ms(view.snapshot) {
        strip = strip.text(" ").join(slack(view, slack_ms));
    }
    let needs = judge::needs(view.now_ms, view.snapshot);
    let role = if needs.is_empty() { Role::Muted } else { Role::Warning };
    strip.with_right(view.strip().put(role, format!(" !{}", needs.len())), columns).line()
}

/// Whether the agent speaks, as a mark, a word and an age.
pub(super) fn alive(view: &View<'_>) -> Strip {
    let strip = view.strip();
    match view.model.freshness() {
        Freshness::Never if matches!(view.model.link, Link::Down { .. }) => {
            strip.put(Role::Bad, "x NO AGENT")
        }
        Freshness::Never => strip.put(Role::Waiting, "· connecting"),
        Freshness::Live => strip.put(Role::Good, "● live <6s"),
        Freshness::Lagging(age) => strip.put(Role::Warning, format!("● lag {}s", age / 1000)),
        Freshness::Stale(age) => strip.put(Role::Bad, format!("! STALE {}", text::duration(age))),
        Freshness::Lost(age) => strip.put(Role::Bad, format!("x LOST {}", text::duration(age))),
    }
}

/// Number, phase, and how much of it is over.
pub(super) fn slot(view: &View<'_>, size: Size) -> Strip {
    let strip = view.strip();
    let label = if size >= Size::Medium { "slot " } else { "" };
    let Some(slot) = current_slot(view.snapshot) else {
        let phase = view.snapshot.phase.replace('_', " ");
        return strip.put(Role::Running, phase.to_uppercase());
    };
    let strip = strip.muted(label).text(format!("{} ", slot.slot));
    let strip = strip.put(Role::Running, slot.phase.to_uppercase());
    let Some(phase) = slot.phases.iter().find(|phase| phase.state == "now") else { return strip };
    let gone = view.now_ms.saturating_sub(phase.start_ms);
    let whole = phase.end_ms.saturating_sub(phase.start_ms);
    let old = if view.model.as_of_ms().is_some() { "~" } else { "" };
    let strip = strip.text(format!(" {old}{}", text::duration(gone)));
    if size < Size::Small { strip } else { strip.text(format!("/{}", text::duration(whole))) }
}

/// Time to spare and what it means.
pub(super) fn slack(view: &View<'_>, slack_ms: i64) -> Strip {
    let (role, word) = match slack_ms {
        ..0 => (Role::Bad, "!"),
        0..SLACK_THIN_MS => (Role::Warning, "thin"),
        SLACK_THIN_MS.. => (Role::Good, "ok"),
    };
    view.strip().put(role, format!("{} {word}", text::signed(slack_ms)))
}

/// `! 1  x 0`: warnings and losses.
fn counts(view: &View<'_>) -> Strip {
    let needs = judge::needs(view.now_ms, view.snapshot);
    let count = |level| needs.iter().filter(|need| need.level == level).count();
    let (warnings, losses) = (count(Level::Warning), count(Level::Critical));
    let role = |count, role| if count > 0 { role } else { Role::Muted };
    view.strip()
        .text("  ")
        .put(role(warnings, Role::Warning), format!("! {warnings}"))
        .text("  ")
        .put(role(losses, Role::Bad), format!("x {losses}"))
        .text(" ")
}

/// What must be said on every screen.
pub(super) fn badges(view: &View<'_>) -> Strip {
    let mut strip = view.strip();
    if view.snapshot.simulated {
        strip = strip.put(Role::Bad, "SIMULATED").text("  ");
    }
    if view.snapshot.insecure_setup {
        strip = strip.put(Role::Bad, "INSECURE SETUP").text("  ");
    }
    if view.model.access == Access::ReadOnly {
        strip = strip.put(Role::Warning, "read-only").text("  ");
    }
    strip
}

fn tabs(view: &View<'_>, size: Size, columns: usize) -> Line<'static> {
    let mut strip = view.strip();
    for screen in Screen::ALL {
        let name = match (size, screen == view.model.screen) {
            (Size::Line | Size::Tiny, false) => screen.key().to_string(),
            _ => format!("{} {}", screen.key(), screen.name()),
        };
        strip = if screen == view.model.screen {
            strip.put(Role::Selected, format!("‹{name}›"))
        } else {
            strip.text(format!(" {name} "))
        };
    }
    let help = view.strip().put(Role::Key, "?").muted(" help ");
    strip.with_right(badges(view).join(help), columns).line()
}

/// Why the screen cannot be trusted, if so.
fn banner(view: &View<'_>, size: Size, columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Link::Down { reason, attempt, retry_ms, .. } = &view.model.link {
        let text = format!(
            "NOT CONNECTED to {}: {reason}. The agent may still be proving.",
            view.model.target
        );
        lines.push(bar(view, &text, columns));
        let wait = retry_ms.saturating_sub(view.model.now_ms).div_ceil(1000);
        if size > Size::Tiny {
            let line = view.strip().text(" ").put(Role::Key, "r").text(" retry now   ");
            let line = line.put(Role::Key, "q").text(" quit   ");
            let line = line.muted(format!("try {} in {wait}s   ", attempt.saturating_add(1)));
            lines.push(line.muted("actions are off until the agent answers").line());
        }
    } else if matches!(view.model.link, Link::Connecting) {
        let text = format!(" connecting to {}", view.model.target);
        lines.push(view.strip().put(Role::Waiting, text::fit(&text, columns)).line());
    } else if let Freshness::Stale(age) = view.model.freshness() {
        let age = text::duration(age);
        lines.push(bar(
            view,
            &format!("THE AGENT IS SILENT for {age}: everything below is OLD."),
            columns,
        ));
    }
    if let Some(paused) = &view.model.paused {
        let since = text::duration(view.model.now_ms.saturating_sub(paused.since_ms));
        let text = format!("PAUSED {since}, {} changes waiting, p goes on", paused.count);
        lines.push(bar(view, &text, columns));
    }
    if view.model.is_newer_agent() {
        lines.push(bar(
            view,
            "the agent is newer than this console: read only, some may be missing",
            columns,
        ));
    }
    lines
}

fn bar(view: &View<'_>, text: &str, columns: usize) -> Line<'static> {
    let text = text::fit(&format!("═ {text} "), columns);
    let rest = columns - text::width(&text);
    view.strip().put(Role::Bad, text).put(Role::Bad, "═".repeat(rest)).line()
}

fn message(view: &View<'_>) -> Option<Line<'static>> {
    let toast = view.model.toast.as_ref()?;
    let role = match toast.tone {
        Tone::Plain => Role::Text,
        Tone::Bad => Role::Warning,
    };
    let mark = match toast.tone {
        Tone::Plain => " ",
        Tone::Bad => " ! ",
    };
    Some(view.strip().put(role, mark).put(role, toast.text.clone()).line())
}

/// Keys that do something here, from the table of commands.
fn keys(view: &View<'_>, columns: usize) -> Line<'static> {
    let pairs: Vec<(String, &str, Role)> = match &view.model.overlay {
        Overlay::Claim(_) => [("Tab", "choose"), ("Enter", "press"), ("q", "close")]
            .map(|(key, name)| (key.to_owned(), name, Role::Key))
            .to_vec(),
        Overlay::Help { .. } => [("j/k", "move"), ("?", "all keys"), ("q", "close")]
            .map(|(key, name)| (key.to_owned(), name, Role::Key))
            .to_vec(),
        Overlay::None => hints(view),
    };
    let mut strip = view.strip();
    for (key, name, role) in pairs {
        if strip.used() + text::width(&key) + text::width(name) + 3 > columns {
            break;
        }
        strip = strip.text(" ").put(role, key).text(" ").muted(name).text(" ");
    }
    strip.line()
}

/// The order of hints: leaving and help are never the ones that do not fit.
const HINTS: [(Command, &str); 12] = [
    (Command::Back, ""),
    (Command::Help, ""),
    (Command::Move(Motion::Down), "/k move"),
    (Command::Move(Motion::Left), "/l along"),
    (Command::Claim, ""),
    (Command::Slot(Step::Back), "/. slot"),
    (Command::Mine(Step::Forward), ""),
    (Command::TreeForm, ""),
    (Command::Copy, ""),
    (Command::Pause, ""),
    (Command::Privacy, ""),
    (Command::Suspend, ""),
];

/// Whether there is something to move along.
fn is_ladder(view: &View<'_>) -> bool {
    let slot = view.model.tree_slot();
    slot.is_some_and(|slot| tree_shape(view.model, slot) == TreeShape::Ladder)
}

fn hints(view: &View<'_>) -> Vec<(String, &'static str, Role)> {
    let here = |command| {
        TABLE.iter().find(|entry| entry.command == command && entry.is_on(view.model.screen))
    };
    HINTS
        .iter()
        .filter(|(command, _)| *command != Command::Move(Motion::Left) || is_ladder(view))
        .filter_map(|(command, pair)| Some((here(*command)?, *pair)))
        .filter_map(|(entry, pair)| {
            let key = command::key_name(*entry.keys.first()?);
            let (second, name) = pair.split_once(' ').unwrap_or(("", entry.name));
            let works = command::enabled(entry.command, view.model).is_ok();
            let role = if works { Role::Key } else { Role::Muted };
            Some((format!("{key}{second}"), name, role))
        })
        .collect()
}
