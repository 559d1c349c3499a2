//! The question before a claim: amounts, who is paid, who pays the gas, and Cancel in focus.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget};
use ratatui_widgets::{block::Block, clear::Clear};

use crate::{
    model::{Choice, ClaimQuestion},
    screen::View,
    theme::Role,
    widget::{Strip, rule},
};

/// Columns of the box, as wide as its longest line.
const WIDTH: u16 = 74;
/// Slots that are named one by one.
const SLOTS_NAMED: usize = 8;

pub(super) fn draw(view: &View<'_>, question: &ClaimQuestion, area: Rect, buffer: &mut Buffer) {
    let (details, buttons) = (details(view, question), buttons(view, question));
    let inner = u16::try_from(details.len() + 2).unwrap_or(u16::MAX);
    let width = WIDTH.min(area.width);
    let height = (inner + 2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(place, buffer);
    let block = Block::bordered()
        .title(view.strip().put(Role::Title, " Claim ").line())
        .border_style(view.theme.style(Role::Rule));
    let inside = block.inner(place);
    block.render(place, buffer);
    // The buttons are the last row whatever else has room.
    let text = Rect { height: inside.height.saturating_sub(1), ..inside };
    rule::rows(buffer, text, &details);
    rule::rows(buffer, rule::below(inside, usize::from(text.height)), &[buttons]);
}

fn details(view: &View<'_>, question: &ClaimQuestion) -> Vec<Line<'static>> {
    let amount = view.amount(&question.claimable);
    let token = view.token().to_owned();
    let field = |name: &str, value: Strip| {
        view.strip().text("   ").cell(Role::Muted, name, 14).join(value).line()
    };
    let plain = |text: String| view.strip().text(text);
    let gas = view.ether(&view.snapshot.stake.gas_wei);
    let operator = view.address(&view.snapshot.stake.operator);
    let twin = question.slots.first().map_or_else(
        || "coppice-agent claim --slot N".to_owned(),
        |slot| format!("coppice-agent claim --slot {slot}   (one for each slot)"),
    );
    vec![
        view.strip()
            .text(" You ask to CLAIM ")
            .put(Role::Money, amount)
            .text(format!(" {token}, every open payout."))
            .line(),
        Line::default(),
        field("paid to", plain(view.address(&question.payee)).muted("  your payee, nobody else")),
        field("from slots", plain(slots(&question.slots))),
        field("gas", plain(format!("paid by {operator}, which has {gas} ETH"))),
        field("to undo", plain("a payout is final once L1 has it".to_owned())),
        Line::default(),
        view.strip().muted(" same as:  ").text(twin).line(),
    ]
}

fn slots(slots: &[u64]) -> String {
    let named: Vec<String> = slots.iter().take(SLOTS_NAMED).map(u64::to_string).collect();
    let more = slots.len().saturating_sub(SLOTS_NAMED);
    let named = if named.is_empty() { "?".to_owned() } else { named.join(", ") };
    if more == 0 { named } else { format!("{named} and {more} more") }
}

fn buttons(view: &View<'_>, question: &ClaimQuestion) -> Line<'static> {
    let button = |name: &str, here: bool| {
        if here {
            view.strip().put(Role::Selected, format!("[ {name} ]"))
        } else {
            view.strip().text(format!("  {name}  "))
        }
    };
    let go = format!("Claim {}", view.amount(&question.claimable));
    view.strip()
        .text("      ")
        .join(button("Cancel", question.focus == Choice::Cancel))
        .text("      ")
        .join(button(&go, question.focus == Choice::Go))
        .line()
}
