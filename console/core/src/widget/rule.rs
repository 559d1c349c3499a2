//! Sections: a titled rule, rows below it, and two of them side by side.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};

use crate::{
    screen::View,
    text::{clock, fit, width},
    theme::Role,
    widget::Strip,
};

/// A titled group of rows.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    title: String,
    note: String,
    /// Its rows.
    pub(crate) rows: Vec<Line<'static>>,
}

impl Section {
    pub(crate) fn new(title: impl Into<String>, rows: Vec<Line<'static>>) -> Self {
        Self { title: title.into(), note: String::new(), rows }
    }

    /// What stands at the right end of the rule.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// `─ Title · as of 12:38:28 ─────── note ─`, this many columns wide.
    fn rule(&self, view: &View<'_>, columns: usize) -> Line<'static> {
        let age = view.model.as_of_ms().map(|at| format!(" · as of {}", clock(at)));
        let role = if age.is_some() { Role::Stale } else { Role::Title };
        // The age is never what is cut.
        let age = age.unwrap_or_default();
        let title = fit(&self.title, columns.saturating_sub(width(&age) + 4));
        let title = fit(&format!(" {title}{age} "), columns.saturating_sub(2));
        let note = if self.note.is_empty() { String::new() } else { format!(" {} ", self.note) };
        let used = 1 + width(&title);
        let room = columns.saturating_sub(used + 1);
        let note = if width(&note) + 2 > room { String::new() } else { note };
        let dashes = (columns.saturating_sub(used + width(&note) + 1), usize::from(columns > used));
        view.strip()
            .put(Role::Rule, "─")
            .put(role, title)
            .put(Role::Rule, "─".repeat(dashes.0))
            .put(Role::Muted, note)
            .put(Role::Rule, "─".repeat(dashes.1))
            .line()
    }
}

/// Paints rows from the top of the area; what has no place is left out.
pub(crate) fn rows(buffer: &mut Buffer, area: Rect, rows: &[Line<'_>]) {
    let area = area.intersection(buffer.area);
    for (y, row) in (area.top()..area.bottom()).zip(rows) {
        buffer.set_line(area.x, y, row, area.width);
        if row.style != ratatui_core::style::Style::new() {
            buffer.set_style(Rect { y, height: 1, ..area }, row.style);
        }
    }
}

/// Paints a section into the top of the area and returns what is left below.
pub(crate) fn paint(buffer: &mut Buffer, area: Rect, view: &View<'_>, section: &Section) -> Rect {
    if area.height == 0 {
        return area;
    }
    rows(buffer, area, &[section.rule(view, usize::from(area.width))]);
    close_bars(buffer, area);
    let below = below(area, 1);
    rows(buffer, below, &section.rows);
    self::below(below, section.rows.len())
}

/// Where a bar between columns ends on this rule, the rule shows it.
fn close_bars(buffer: &mut Buffer, area: Rect) {
    for x in area.left()..area.right() {
        let above = area.y.checked_sub(1).and_then(|y| buffer.cell((x, y)));
        let ends = above.is_some_and(|cell| cell.symbol() == "│");
        if let Some(cell) = buffer.cell_mut((x, area.y)).filter(|cell| ends && cell.symbol() == "─")
        {
            cell.set_symbol("┴");
        }
    }
}

/// Paints two sections side by side, `height` rows with their rules, and returns what is below.
pub(crate) fn paint_pair(
    buffer: &mut Buffer,
    area: Rect,
    view: &View<'_>,
    pair: [&Section; 2],
    height: usize,
) -> Rect {
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height);
    let left = Rect { width: area.width / 2 + 2, height, ..area };
    let bar = Rect { x: left.right(), width: 1, ..left };
    let right = Rect { x: bar.right(), width: area.width - left.width - 1, ..left };
    paint(buffer, left, view, pair[0]);
    paint(buffer, right, view, pair[1]);
    let above = area.y.checked_sub(1).and_then(|y| buffer.cell((bar.x, y)));
    let joint = if above.is_some_and(|cell| cell.symbol() == "│") { "┼" } else { "┬" };
    let line = |mark: &str| Strip::new(view.theme).put(Role::Rule, mark).line();
    let marks: Vec<Line<'_>> =
        (0..height).map(|row| line(if row == 0 { joint } else { "│" })).collect();
    rows(buffer, bar, &marks);
    below(area, usize::from(height))
}

/// The area without its first rows.
pub(crate) fn below(area: Rect, rows: usize) -> Rect {
    let rows = u16::try_from(rows).unwrap_or(u16::MAX).min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}
