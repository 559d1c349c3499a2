//! The phases of a slot as one bar: what has passed, what is under way, what comes.

use ratatui_core::text::Line;
use wire::control::{PhaseView, SlotView};

use crate::{
    screen::View,
    text::{duration, share, width},
    theme::Role,
    widget::Strip,
};

/// Columns of each phase: room for its label, the rest by length of time.
fn widths(phases: &[PhaseView], labels: &[String], columns: usize) -> Vec<usize> {
    let least: Vec<usize> = labels.iter().map(|label| width(label) + 1).collect();
    let spare = columns.saturating_sub(least.iter().sum());
    let length = |phase: &PhaseView| phase.end_ms.saturating_sub(phase.start_ms);
    let whole: u128 = phases.iter().map(|phase| u128::from(length(phase))).sum();
    let part = |phase: &PhaseView| {
        let spare = u128::try_from(spare).unwrap_or(0);
        usize::try_from(spare * u128::from(length(phase)) / whole.max(1)).unwrap_or(0)
    };
    phases.iter().zip(least).map(|(phase, least)| least + part(phase)).collect()
}

fn label(view: &View<'_>, phase: &PhaseView) -> String {
    let name = phase.name.as_str();
    let length = phase.end_ms.saturating_sub(phase.start_ms);
    match phase.state.as_str() {
        "ok" => format!("{name} {} ok", duration(length)),
        "missed" => format!("{name} MISSED"),
        "now" => {
            let gone = view.now_ms.saturating_sub(phase.start_ms);
            format!("{} {}", name.to_uppercase(), duration(gone))
        }
        _ => name.to_owned(),
    }
}

fn role(phase: &PhaseView) -> Role {
    match phase.state.as_str() {
        "ok" => Role::Good,
        "missed" => Role::Bad,
        "now" => Role::Running,
        _ => Role::Waiting,
    }
}

fn bar(view: &View<'_>, phase: &PhaseView, columns: usize) -> Strip {
    let strip = view.strip();
    match phase.state.as_str() {
        "ok" => strip.put(Role::Good, "▓".repeat(columns)),
        "missed" => strip.put(Role::Bad, "✗".repeat(columns)),
        "now" => {
            let gone = view.now_ms.saturating_sub(phase.start_ms);
            let whole = phase.end_ms.saturating_sub(phase.start_ms);
            let steps = u32::try_from(columns).unwrap_or(u32::MAX);
            let filled = share(gone.into(), whole.into(), steps) as usize;
            strip
                .put(Role::Running, "▓".repeat(filled))
                .put(Role::Waiting, "░".repeat(columns - filled))
        }
        _ => strip.put(Role::Waiting, "·".repeat(columns)),
    }
}

/// Names, bar and marks: three rows.
pub(crate) fn phases(view: &View<'_>, slot: &SlotView, columns: usize) -> Vec<Line<'static>> {
    let labels: Vec<String> = slot.phases.iter().map(|phase| label(view, phase)).collect();
    let widths = widths(&slot.phases, &labels, columns.saturating_sub(2));
    let mut names = view.strip().text(" ");
    let mut bars = view.strip().text(" ");
    for ((phase, label), columns) in slot.phases.iter().zip(&labels).zip(&widths) {
        names = names.cell(role(phase), label, columns.saturating_sub(1));
        bars = bars.join(bar(view, phase, columns.saturating_sub(1))).text(" ");
    }
    vec![names.line(), bars.line(), marks(view, slot, &widths)]
}

/// `^ now  ^ eta  ^ deadline` under the bar; marks that would touch are left out. A name that has
/// no room behind its mark stands before it.
fn marks(view: &View<'_>, slot: &SlotView, widths: &[usize]) -> Line<'static> {
    let mut wanted =
        vec![(Some(view.now_ms), "now"), (slot.eta_ms, "eta"), (slot.deadline_ms, "deadline")];
    if slot.settled_ms.is_some() {
        wanted = vec![(slot.settled_ms, "settled"), (slot.deadline_ms, "deadline")];
    }
    let mut placed: Vec<(usize, &str)> = wanted
        .into_iter()
        .filter_map(|(at, name)| Some((column(slot, widths, at?)?, name)))
        .collect();
    placed.sort_unstable();
    let mut strip = view.strip();
    for (column, name) in placed {
        let room = widths.iter().sum::<usize>() + 1;
        let (start, text) = if column + 2 + name.len() <= room {
            (column, format!("^ {name}"))
        } else {
            (column.saturating_sub(name.len() + 1), format!("{name} ^"))
        };
        if start > strip.used() {
            strip = strip.at(start).muted(text);
        }
    }
    strip.line()
}

fn column(slot: &SlotView, widths: &[usize], at_ms: u64) -> Option<usize> {
    let mut start = 1;
    for (phase, columns) in slot.phases.iter().zip(widths) {
        if (phase.start_ms..=phase.end_ms).contains(&at_ms) {
            let whole = phase.end_ms.saturating_sub(phase.start_ms).max(1);
            let steps = u32::try_from(columns.saturating_sub(1)).ok()?;
            let part = share((at_ms - phase.start_ms).into(), whole.into(), steps);
            return Some(start + part as usize);
        }
        start += columns;
    }
    None
}

/// The bar in one row, for small screens: `proposal ok  reveal ok  PROVING ▓▓▓░░░  settle`.
pub(crate) fn short(view: &View<'_>, slot: &SlotView, columns: usize) -> Line<'static> {
    let words = |phase: &PhaseView| match phase.state.as_str() {
        "ok" => format!("{} ok", phase.name),
        "missed" => format!("{} MISSED", phase.name),
        "now" => phase.name.to_uppercase(),
        _ => phase.name.clone(),
    };
    let used: usize = slot.phases.iter().map(|phase| width(&words(phase)) + 2).sum();
    let room = columns.saturating_sub(used + 2).min(30);
    let mut strip = view.strip().text(" ");
    for phase in &slot.phases {
        strip = strip.put(role(phase), words(phase));
        if phase.state == "now" && room >= 4 {
            strip = strip.text(" ").join(bar(view, phase, room));
        }
        strip = strip.text("  ");
    }
    strip.line()
}
