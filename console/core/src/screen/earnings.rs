//! Money earned, slot by slot: every bar and every sum is made of rows that the agent reported.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};
use wire::control::{PayeeView, SlotEarning};

use crate::{
    command::{self, Command},
    screen::{Size, View},
    text,
    theme::Role,
    widget::{
        Section,
        chart::{Bar, chart},
        paint, rule, window,
    },
};

/// Payees of one slot that are listed.
const PAYEES_SHOWN: usize = 6;

pub(super) fn draw(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) {
    let earnings = &view.snapshot.earnings;
    let title = format!(
        "Earnings · claimable {} {} · claimed {}",
        view.amount(&earnings.claimable),
        view.token(),
        view.amount(&earnings.paid)
    ) + &pending(view);
    let rows = if size == Size::Tiny || view.model.privacy {
        Vec::new()
    } else {
        let height = if size == Size::Small { 6 } else { 10 };
        bars(view, usize::from(area.width), height)
    };
    let below = paint(buffer, area, view, &Section::new(title, rows));
    let mut foot = vec![Section::new("Claim", claim(view))];
    if size >= Size::Medium {
        foot.extend(payees(view));
    }
    let bottom: usize = foot.iter().map(|section| section.rows.len() + 1).sum();
    let height = usize::from(below.height).saturating_sub(bottom);
    let list = Rect { height: u16::try_from(height).unwrap_or(u16::MAX), ..below };
    paint(buffer, list, view, &slots(view, height));
    let mut rest = rule::below(below, height);
    for section in foot.iter().rev() {
        rest = paint(buffer, rest, view, section);
    }
}

/// Everybody who is paid for the slot under the cursor, or for the newest one.
fn payees(view: &View<'_>) -> Option<Section> {
    let earnings = &view.snapshot.earnings;
    let chosen = view.model.cursor.earning.or(earnings.slots.first().map(|row| row.slot))?;
    let slot = view.snapshot.slots.iter().find(|slot| slot.slot == chosen)?;
    if slot.payees.is_empty() {
        return None;
    }
    let pool = slot.pool.as_deref().map_or_else(|| "?".to_owned(), |pool| view.amount(pool));
    let row = |payee: &PayeeView| {
        let mine = payee.address == earnings.payee;
        let role = if mine { Role::Mine } else { Role::Text };
        view.strip()
            .text("   ")
            .cell(role, &view.address(&payee.address), 14)
            .right(Role::Text, &payee.units.to_string(), 20)
            .text("           ")
            .right(Role::Money, &view.amount(&payee.amount), 16)
            .put(role, if mine { " you" } else { "" })
            .line()
    };
    let rows = slot.payees.iter().take(PAYEES_SHOWN).map(row).collect();
    let title = format!("Paid for slot {chosen} · pool {pool} {}", view.token());
    Some(Section::new(title, rows).note(format!("{} payees", slot.payees.len())))
}

/// Claims that are sent and not yet in a block that stays.
fn pending(view: &View<'_>) -> String {
    let sent = view.snapshot.earnings.slots.iter().filter(|row| row.state == "sent");
    match sum(sent) {
        Some(0) => String::new(),
        Some(units) => format!(" · pending {}", view.amount(&units.to_string())),
        None => " · pending ?".to_owned(),
    }
}

fn bars(view: &View<'_>, columns: usize, height: usize) -> Vec<Line<'static>> {
    let earnings = &view.snapshot.earnings;
    let bars: Vec<Bar> = earnings
        .slots
        .iter()
        .filter_map(|row| Some(Bar { slot: row.slot, units: text::base_units(&row.amount)? }))
        .collect();
    if bars.is_empty() {
        return vec![view.strip().muted(" no slot with your proofs has settled yet").line()];
    }
    let decimals = earnings.decimals;
    chart(view, &bars, (columns, height), |units| text::amount(units, decimals))
}

/// Sum of the rows, unless one of them is not a number or all are too much.
fn sum<'a>(rows: impl IntoIterator<Item = &'a SlotEarning>) -> Option<u128> {
    rows.into_iter().try_fold(0_u128, |sum, row| sum.checked_add(text::base_units(&row.amount)?))
}

fn slots(view: &View<'_>, height: usize) -> Section {
    let earnings = &view.snapshot.earnings;
    let chosen = earnings.slots.iter().position(|row| Some(row.slot) == view.model.cursor.earning);
    let room = height.saturating_sub(2);
    let top = window(chosen.unwrap_or(0), earnings.slots.len(), room);
    let head = view.strip().text("   ").right(Role::Muted, "slot", 8);
    let head = head.right(Role::Muted, "proofs", 7).right(Role::Muted, "units", 10);
    let head = head.right(Role::Muted, "of all", 10).right(Role::Muted, "amount", 16);
    let mut rows = vec![head.muted(" state").line()];
    let visible = earnings.slots.iter().enumerate().skip(top).take(room);
    rows.extend(visible.map(|(place, row)| slot_row(view, row, Some(place) == chosen)));
    let total =
        sum(&earnings.slots).map_or_else(|| "?".to_owned(), |sum| view.amount(&sum.to_string()));
    let count = earnings.slots.len();
    Section::new("Per slot, newest first", rows).note(format!("sum of {count} slots {total}"))
}

fn slot_row(view: &View<'_>, row: &SlotEarning, chosen: bool) -> Line<'static> {
    let role = match row.state.as_str() {
        "paid" => Role::Good,
        "claimable" => Role::Money,
        _ => Role::Running,
    };
    let word = if row.state == "sent" { "pending (claim sent)" } else { row.state.as_str() };
    let line = view
        .strip()
        .put(Role::Key, if chosen { " ▸ " } else { "   " })
        .right(Role::Text, &row.slot.to_string(), 8)
        .right(Role::Text, &row.proofs.to_string(), 7)
        .right(Role::Text, &row.units.to_string(), 10)
        .right(Role::Muted, &row.units_all.to_string(), 10)
        .right(Role::Money, &view.amount(&row.amount), 16)
        .text(" ")
        .put(role, word)
        .line();
    if chosen { line.style(view.theme.style(Role::Selected)) } else { line }
}

fn claim(view: &View<'_>) -> Vec<Line<'static>> {
    let earnings = &view.snapshot.earnings;
    let exact = match (view.model.privacy, text::base_units(&earnings.claimable)) {
        (true, _) => "***".to_owned(),
        (false, Some(units)) => text::amount_exact(units, earnings.decimals),
        (false, None) => "?".to_owned(),
    };
    let what = view
        .strip()
        .muted(" claimable ")
        .put(Role::Money, exact)
        .muted(format!(" {} to ", view.token()))
        .text(view.address(&earnings.payee));
    let how = match command::enabled(Command::Claim, view.model) {
        Ok(()) => view.strip().text(" ").put(Role::Key, "c").text(" claims it (asks first)"),
        Err(reason) => view.strip().muted(format!(" c claim: not now, {reason}")),
    };
    vec![what.line(), how.line()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_sum_of_the_rows_or_unknown() {
        let row = |amount: &str| SlotEarning { amount: amount.into(), ..SlotEarning::default() };
        assert_eq!(sum(&[row("1"), row("41")]), Some(42));
        assert_eq!(sum(&[row("1"), row("x")]), None);
        assert_eq!(sum(&[row(&u128::MAX.to_string()), row("1")]), None);
        assert_eq!(sum(&[]), Some(0));
    }
}
