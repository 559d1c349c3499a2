//! A bar for each settled slot. A slot without a row has no bar and no zero.

use ratatui_core::text::Line;

use crate::{screen::View, text::share, theme::Role, widget::Strip};

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// One bar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bar {
    /// Slot.
    pub(crate) slot: u64,
    /// Base units.
    pub(crate) units: u128,
}

/// Rows of a chart with an axis at the left; `columns` and `height` in all.
/// `label` writes an amount of the axis.
pub(crate) fn chart(
    view: &View<'_>,
    bars: &[Bar],
    (columns, height): (usize, usize),
    label: impl Fn(u128) -> String,
) -> Vec<Line<'static>> {
    let top = bars.iter().map(|bar| bar.units).max().unwrap_or(0);
    let (Some(newest), true) = (bars.iter().map(|bar| bar.slot).max(), height >= 3) else {
        return Vec::new();
    };
    let labels = [label(top), label(top / 2), label(0)];
    let axis = labels.iter().map(|text| crate::text::width(text)).max().unwrap_or(0);
    let places = columns.saturating_sub(axis + 4) / 2;
    let most = u64::try_from(places).unwrap_or(u64::MAX).saturating_sub(1);
    let first = bars.iter().map(|bar| bar.slot).min().unwrap_or(newest);
    let oldest = newest.saturating_sub(most).max(first);
    let plot = height - 2;
    let steps = u32::try_from(plot * 8).unwrap_or(u32::MAX);
    let mut rows = Vec::with_capacity(height);
    for row in 0..plot {
        let text = match row {
            0 => labels[0].as_str(),
            row if row == plot / 2 && plot > 2 => labels[1].as_str(),
            _ => "",
        };
        let mut strip = view.strip().text(" ").right(Role::Muted, text, axis).put(Role::Rule, "┤");
        for slot in oldest..=newest {
            strip = strip.text(" ").join(bar_cell(view, bars, slot, |units| {
                let filled = share(units, top, steps) as usize;
                filled.saturating_sub((plot - 1 - row) * 8).min(8)
            }));
        }
        rows.push(strip.line());
    }
    rows.push(base_line(view, bars, (oldest, newest), &labels[2], axis));
    let ends = view.strip().text(" ".repeat(axis + 4)).muted(format!("slot {oldest}"));
    let right = axis + 4 + usize::try_from(newest - oldest).unwrap_or(0) * 2;
    rows.push(
        if newest - oldest > 8 { ends.at(right).muted(newest.to_string()) } else { ends }.line(),
    );
    rows
}

fn bar_cell(view: &View<'_>, bars: &[Bar], slot: u64, eighths: impl Fn(u128) -> usize) -> Strip {
    let bar = bars.iter().find(|bar| bar.slot == slot);
    view.strip().put(Role::Money, bar.map_or(" ", |bar| EIGHTHS[eighths(bar.units)]))
}

/// The axis: a slot of which nothing is known has a gap in it.
fn base_line(
    view: &View<'_>,
    bars: &[Bar],
    (oldest, newest): (u64, u64),
    label: &str,
    axis: usize,
) -> Line<'static> {
    let mut strip = view.strip().text(" ").right(Role::Muted, label, axis).put(Role::Rule, "┼");
    for slot in oldest..=newest {
        let known = bars.iter().any(|bar| bar.slot == slot);
        strip = strip.put(Role::Rule, if known { "──" } else { "  " });
    }
    strip.line()
}
