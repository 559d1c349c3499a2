//! The help: read from the table of commands, so it cannot say what is not so.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};

use crate::{
    command::{self, Entry, TABLE},
    model::Screen,
    screen::View,
    theme::Role,
    tree::Progress,
    widget::{Section, paint},
};

/// Which commands are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// Those of the screen.
    Screen,
    /// Every one.
    All,
}

/// Commands of a screen, or all.
pub(super) fn entries(screen: Screen, scope: Scope) -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(move |entry| scope == Scope::All || entry.is_on(screen))
}

pub(super) fn draw(view: &View<'_>, (all, top): (bool, usize), area: Rect, buffer: &mut Buffer) {
    let screen = view.model.screen;
    let (scope, title) = if all {
        (Scope::All, "Help · all keys".to_owned())
    } else {
        (Scope::Screen, format!("Help · keys of {}", screen.name()))
    };
    let legend = legend(view);
    let room = usize::from(area.height).saturating_sub(legend.rows.len() + 2);
    let rows: Vec<Line<'_>> =
        entries(screen, scope).skip(top).take(room).map(|entry| row(view, entry)).collect();
    let shown = top + rows.len();
    let count = entries(screen, scope).count();
    let section = Section::new(title, rows).note(format!("{shown} of {count}, j/k"));
    let below = paint(buffer, area, view, &section);
    paint(buffer, below, view, &legend);
}

fn row(view: &View<'_>, entry: &Entry) -> Line<'static> {
    let enabled = command::enabled(entry.command, view.model);
    let role = if enabled.is_ok() { Role::Key } else { Role::Muted };
    let danger = match entry.danger {
        command::Danger::Look => Role::Muted,
        command::Danger::Ask => Role::Warning,
    };
    let strip = view
        .strip()
        .text(" ")
        .cell(role, &entry.key_names(), 14)
        .cell(Role::Text, entry.name, 12)
        .put(danger, entry.danger.level())
        .text("  ");
    if let Err(reason) = enabled {
        return strip.muted(format!("not now: {reason}")).line();
    }
    strip.cell(Role::Text, entry.help, 50).muted(entry.twin).line()
}

fn legend(view: &View<'_>) -> Section {
    let states = [
        (Progress::Todo, "todo"),
        (Progress::Ready, "ready"),
        (Progress::Claimed, "claimed"),
        (Progress::Proving, "proving"),
        (Progress::Made, "made"),
        (Progress::Delivered, "delivered"),
    ];
    let mut marks = view.strip().text(" ");
    for (progress, word) in states {
        marks = marks.put(Role::Key, progress.mark()).text(format!(" {word}   "));
    }
    let rows = vec![
        marks.line(),
        view.strip()
            .muted(" L0 only looks   L3 asks first, Cancel in focus, Enter alone never spends")
            .line(),
        view.strip().muted(format!(" times are UTC   connected to {}", view.model.target)).line(),
        view.strip().muted(" leaving this console never stops the agent").line(),
    ];
    Section::new("Legend", rows)
}
