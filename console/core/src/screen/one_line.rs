//! Terminals too small for a frame: the most important line, and the next ones if there is room.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};

use crate::{
    judge,
    model::{Choice, Overlay},
    screen::{Size, View, frame},
    theme::Role,
    widget::{Strip, rule},
};

pub(super) fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    rule::rows(buffer, area, &lines(view, area.height));
}

fn lines(view: &View<'_>, height: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Overlay::Claim(question) = &view.model.overlay {
        let buttons = match question.focus {
            Choice::Cancel => "[Cancel] Claim",
            Choice::Go => "Cancel [Claim]",
        };
        let text = format!("{buttons} {}", view.amount(&question.claimable));
        lines.push(
            view.strip().put(Role::Selected, text).text(" ").join(frame::badges(view)).line(),
        );
    }
    let badges = frame::badges(view);
    let mut first = frame::slot(view, Size::Line);
    if let Some(slack_ms) = judge::worst_slack_ms(view.snapshot) {
        first = first.text(" slack ").join(frame::slack(view, slack_ms));
    }
    let needs = judge::needs(view.now_ms, view.snapshot);
    first = first.text(format!(" !{} ", needs.len()));
    let alive = frame::alive(view).text(" ");
    let true_now = view.model.snapshot.is_some() && view.model.as_of_ms().is_none();
    let rows = match (true_now, height) {
        (true, ..=1) => vec![first.join(badges)],
        (true, 2..) => vec![first, badges.join(alive)],
        (false, ..=1) => vec![alive.join(badges)],
        (false, 2..) => vec![alive.join(badges), first],
    };
    lines.extend(rows.into_iter().map(Strip::line));
    lines.extend(needs.into_iter().map(|need| view.strip().text(need.text).line()));
    lines
}
