//! Bond, lanes, addresses and gas. Nothing is sent from here: this console holds no key.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};

use crate::{
    judge,
    screen::{Size, View, overview},
    text,
    theme::Role,
    widget::{Section, Strip, paint},
};

pub(super) fn draw(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) {
    let stake = &view.snapshot.stake;
    let state = if stake.state.is_empty() { "?" } else { &stake.state };
    let title = format!("Stake · state {}", state.to_uppercase());
    let section = Section::new(title, bond(view, usize::from(area.width)));
    let below = paint(buffer, area, view, &section);
    let below = paint(buffer, below, view, &Section::new("Keys", keys(view, size)));
    let below = paint(buffer, below, view, &events(view, usize::from(below.height) / 2));
    paint(buffer, below, view, &Section::new("Actions", actions(view)));
}

fn field(view: &View<'_>, name: &str) -> Strip {
    view.strip().text(" ").cell(Role::Muted, name, 13)
}

fn bond(view: &View<'_>, columns: usize) -> Vec<Line<'static>> {
    let stake = &view.snapshot.stake;
    let lanes = u32::from(stake.rollup_lanes) + u32::from(stake.vm_lanes);
    let needed = judge::bond_needed(view.snapshot);
    let units = |units: Option<u128>| {
        units.map_or_else(|| "?".to_owned(), |units| view.amount(&units.to_string()))
    };
    let from = stake.active_from_slot.map_or_else(|| "?".to_owned(), |slot| slot.to_string());
    let prover = stake.prover.map_or_else(|| "none".to_owned(), |prover| prover.to_string());
    let mut rows = vec![
        field(view, "bond")
            .right(Role::Money, &view.amount(&stake.bond), 14)
            .muted(view.token())
            .text("   ")
            .join(gauge(view, needed, columns))
            .line(),
        field(view, "needed")
            .right(Role::Money, &units(needed), 14)
            .muted(format!("{lanes} lanes x {}", view.amount(&stake.bond_per_lane)))
            .line(),
        headroom(view, needed),
        field(view, "slashed")
            .right(Role::Money, &view.amount(&stake.slashed), 14)
            .muted("so far")
            .line(),
    ];
    let lanes = format!("{} rollup, {} vm", stake.rollup_lanes, stake.vm_lanes);
    rows.push(field(view, "lanes").text(lanes).muted("   dealt work from slot ").text(from).line());
    rows.push(field(view, "registry").text(format!("prover {prover}")).line());
    rows.push(
        field(view, "read from")
            .join(overview::l1(view))
            .muted("  ")
            .muted(view.snapshot.l1.endpoint.clone())
            .line(),
    );
    rows
}

/// What the bond has above the need of its lanes.
fn headroom(view: &View<'_>, needed: Option<u128>) -> Line<'static> {
    let strip = field(view, "headroom");
    let Some((bond, needed)) = text::base_units(&view.snapshot.stake.bond).zip(needed) else {
        return strip.right(Role::Muted, "?", 14).line();
    };
    let amount = view.amount(&bond.abs_diff(needed).to_string());
    if bond < needed {
        let strip = strip.right(Role::Bad, &format!("-{amount}"), 14);
        return strip.put(Role::Bad, "TOO LOW: the lanes are dealt no work").line();
    }
    strip.right(Role::Money, &amount, 14).put(Role::Good, "ok").line()
}

/// The need within the bond: `|▓▓▓▓▓░░░|`, full when nothing is spare.
fn gauge(view: &View<'_>, needed: Option<u128>, columns: usize) -> Strip {
    let (Some(bond), Some(needed)) = (text::base_units(&view.snapshot.stake.bond), needed) else {
        return view.strip();
    };
    if view.model.privacy || columns < 70 {
        return view.strip();
    }
    let width = if columns >= 100 { 40 } else { 20 };
    let used = text::share(needed, bond, width);
    let role = if needed > bond { Role::Bad } else { Role::Good };
    view.strip()
        .muted("needed ")
        .put(role, "▓".repeat(used as usize))
        .put(Role::Waiting, "░".repeat((width - used) as usize))
        .muted(" spare")
}

fn keys(view: &View<'_>, size: Size) -> Vec<Line<'static>> {
    let stake = &view.snapshot.stake;
    let low = judge::needs(view.now_ms, view.snapshot).iter().any(|need| need.code == "SEE-GAS");
    let (role, word) = match (text::base_units(&stake.gas_wei), low) {
        (None, _) => (Role::Muted, ""),
        (Some(_), true) => (Role::Bad, "LOW"),
        (Some(_), false) => (Role::Good, "ok"),
    };
    let whole = size >= Size::Medium && !view.model.privacy;
    let address = |address: &str| {
        if whole && !address.is_empty() { address.to_owned() } else { view.address(address) }
    };
    let columns = if whole { 42 } else { 14 };
    let head =
        view.strip().text(" ").cell(Role::Muted, "role", 10).cell(Role::Muted, "address", columns);
    let operator = view
        .strip()
        .text(" ")
        .cell(Role::Text, "operator", 10)
        .cell(Role::Text, &address(&stake.operator), columns)
        .right(Role::Money, &view.ether(&stake.gas_wei), 10)
        .put(role, word)
        .muted("  signs, pays gas; its key is in the agent");
    let payee = view
        .strip()
        .text(" ")
        .cell(Role::Text, "payee", 10)
        .cell(Role::Text, &address(&view.snapshot.earnings.payee), columns)
        .right(Role::Muted, "-", 10)
        .muted("    is paid; needs no key here");
    vec![head.right(Role::Muted, "ETH", 10).line(), operator.line(), payee.line()]
}

/// What happened to money and on L1, newest first.
fn events(view: &View<'_>, height: usize) -> Section {
    let about = |event: &&wire::control::Event| matches!(event.source.as_str(), "money" | "chain");
    let events = view.snapshot.events.iter().filter(about).take(height.saturating_sub(1).max(1));
    let mut rows: Vec<Line<'_>> = events
        .map(|event| {
            let strip = view.strip().muted(format!(" {}  ", text::clock(event.at_ms)));
            strip.cell(Role::Muted, &event.source, 8).text(event.text.clone()).line()
        })
        .collect();
    if rows.is_empty() {
        rows.push(view.strip().muted(" nothing yet").line());
    }
    Section::new("Money and L1 events · UTC", rows)
}

fn actions(view: &View<'_>) -> Vec<Line<'static>> {
    vec![
        view.strip()
            .muted(" bond and registration are changed by the agent alone: ")
            .text("coppice-agent run")
            .line(),
        view.strip().muted(" leaving this console changes nothing").line(),
    ]
}
