//! The state in a few lines of text: for pipes, for the prompt after leaving, for screen readers.

use ratatui_core::{buffer::Buffer, layout::Rect};

use crate::{
    judge::{self, Level},
    model::{Model, current_slot},
    screen::{Look, View, draw},
    text,
    theme::Theme,
};

/// Exit code of a healthy agent, as of every command that asks for the state.
const OK: u8 = 0;
const DEGRADED: u8 = 10;
const AT_RISK: u8 = 20;
const NOT_WORKING: u8 = 30;
const NO_AGENT: u8 = 40;

/// What a script is told: 0 ok, 10 degraded, 20 at risk, 30 not working, 40 no agent.
pub fn exit_code(model: &Model) -> u8 {
    let Some(snapshot) = &model.snapshot else { return NO_AGENT };
    match snapshot.health.as_str() {
        "ok" => OK,
        "degraded" => DEGRADED,
        "at_risk" => AT_RISK,
        // A word that this version does not know is not good news.
        _ => NOT_WORKING,
    }
}

/// Lines that say what the overview says.
pub fn summary(model: &Model) -> Vec<String> {
    let Some(snapshot) = model.snapshot.as_deref() else {
        return vec![format!("no answer from {}", model.target)];
    };
    let view = View { model, snapshot, theme: Theme::default(), now_ms: model.agent_now_ms() };
    let mut lines = vec![head(&view), slot(&view), money(&view)];
    if let Some(code) = &snapshot.idle_code {
        lines.push(format!("idle: {code} {}", snapshot.idle_text.as_deref().unwrap_or_default()));
    }
    for need in judge::needs(view.now_ms, snapshot) {
        let mark = match need.level {
            Level::Critical => 'x',
            Level::Warning => '!',
            Level::Notice => '.',
        };
        lines.push(format!("{mark} {} [{}]", need.text, need.code));
    }
    lines
}

fn head(view: &View<'_>) -> String {
    let snapshot = view.snapshot;
    let health = if snapshot.health.is_empty() { "?" } else { &snapshot.health };
    let mut head = format!("{}: {}, {}", snapshot.name, health.replace('_', " "), snapshot.network);
    for (is, badge) in
        [(snapshot.simulated, "SIMULATED"), (snapshot.insecure_setup, "INSECURE SETUP")]
    {
        if is {
            head += &format!(", {badge}");
        }
    }
    format!("{head}, as of {} UTC", text::clock(snapshot.at_ms))
}

fn slot(view: &View<'_>) -> String {
    let Some(slot) = current_slot(view.snapshot) else {
        return format!("no slot yet, agent {}", view.snapshot.phase.replace('_', " "));
    };
    let mut line = format!("slot {} {}, {} txs", slot.slot, slot.phase, slot.txs);
    if !slot.nodes.is_empty() {
        let counts = view.model.tree_of(slot).counts();
        line += &format!(", {} of {} proofs", counts.done, counts.all);
    }
    if let Some(slack_ms) = judge::worst_slack_ms(view.snapshot) {
        line += &format!(", slack {}", text::signed(slack_ms));
    }
    line
}

fn money(view: &View<'_>) -> String {
    let (earnings, stake) = (&view.snapshot.earnings, &view.snapshot.stake);
    format!(
        "claimable {} {token}, claimed {}, bond {}, slashed {}, gas {} ETH",
        view.amount(&earnings.claimable),
        view.amount(&earnings.paid),
        view.amount(&stake.bond),
        view.amount(&stake.slashed),
        view.ether(&stake.gas_wei),
        token = view.token(),
    )
}

/// One frame as text, without the spaces at the ends of its rows.
pub fn frame(model: &Model, look: Look) -> String {
    let (columns, rows) = model.size;
    let area = Rect::new(0, 0, columns, rows);
    let mut buffer = Buffer::empty(area);
    draw(model, look, area, &mut buffer);
    let mut text = String::new();
    for row in buffer.content.chunks(usize::from(columns).max(1)) {
        let mut line = String::new();
        let mut skip = 0;
        for cell in row {
            // The second column of a wide character holds nothing of its own.
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = text::width(cell.symbol());
            }
            skip = skip.saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
