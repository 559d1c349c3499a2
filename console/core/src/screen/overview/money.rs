//! The overview's money: what can be claimed, what was paid, what is at stake.

use ratatui_core::text::Line;

use crate::{
    command::{self, Command},
    judge,
    screen::View,
    text,
    theme::Role,
};

pub(super) fn rows(view: &View<'_>) -> Vec<Line<'static>> {
    let (snapshot, token) = (view.snapshot, view.token());
    let stake = &snapshot.stake;
    let field = |name: &str, units: &str| {
        let strip = view.strip().text(" ").cell(Role::Muted, name, 10);
        strip.right(Role::Money, &view.amount(units), 14)
    };
    let claimable = field("claimable", &snapshot.earnings.claimable).muted(token);
    let hint = match command::enabled(Command::Claim, view.model) {
        Err(_) => claimable,
        Ok(()) => claimable.text("   press ").put(Role::Key, "c").text(" to claim"),
    };
    let mut rows = vec![hint.line(), field("claimed", &snapshot.earnings.paid).muted(token).line()];
    if let Some(slot) = snapshot.earnings.slots.first() {
        let note = format!("slot {}, {} proofs, {}", slot.slot, slot.proofs, slot.state);
        rows.push(field("last slot", &slot.amount).muted(note).line());
    }
    rows.push(field("bond", &stake.bond).join(headroom(view)).line());
    rows.push(field("slashed", &stake.slashed).muted(token).line());
    let gas = view.strip().text(" ").cell(Role::Muted, "gas", 10);
    rows.push(
        gas.right(Role::Money, &view.ether(&stake.gas_wei), 14).muted("ETH of the operator").line(),
    );
    rows
}

/// What the lanes need, and whether the bond has it.
fn headroom(view: &View<'_>) -> crate::widget::Strip {
    let stake = &view.snapshot.stake;
    let (bond, needed) = (text::base_units(&stake.bond), judge::bond_needed(view.snapshot));
    let (Some(bond), Some(needed)) = (bond, needed) else { return view.strip().muted("needs ?") };
    let strip = view.strip().muted(format!("needs {} ", view.amount(&needed.to_string())));
    if bond >= needed { strip.put(Role::Good, "ok") } else { strip.put(Role::Bad, "TOO LOW") }
}

pub(super) fn short(view: &View<'_>) -> Line<'static> {
    let snapshot = view.snapshot;
    view.strip()
        .muted(" claimable ")
        .put(Role::Money, view.amount(&snapshot.earnings.claimable))
        .muted(format!(" {}  claimed ", view.token()))
        .put(Role::Money, view.amount(&snapshot.earnings.paid))
        .muted("  bond ")
        .put(Role::Money, view.amount(&snapshot.stake.bond))
        .muted("  slashed ")
        .put(Role::Money, view.amount(&snapshot.stake.slashed))
        .line()
}

/// What a slot earned, if it is among the settled ones.
pub(in crate::screen) fn per_slot(view: &View<'_>, slot: u64) -> Option<String> {
    let slots = &view.snapshot.earnings.slots;
    slots.iter().find(|earning| earning.slot == slot).map(|earning| view.amount(&earning.amount))
}
