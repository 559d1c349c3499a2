//! The overview's machine: lanes at work, processor, memory, peers, L1.

use ratatui_core::text::Line;
use wire::control::LaneView;

use crate::{
    model::L1_OLD_MS,
    screen::{View, overview::gauge},
    text,
    theme::Role,
    widget::Strip,
};

/// A head and a row for each lane.
pub(super) fn lanes(view: &View<'_>, columns: usize) -> Vec<Line<'static>> {
    let head = view.strip().muted(" lane    class   node          elapsed / usual");
    let mut rows = vec![head.line()];
    rows.extend(view.snapshot.lanes.iter().map(|lane| lane_row(view, lane, columns)));
    if view.snapshot.lanes.is_empty() {
        rows.push(view.strip().muted(" no lane is registered").line());
    }
    rows
}

fn lane_row(view: &View<'_>, lane: &LaneView, columns: usize) -> Line<'static> {
    let strip =
        view.strip().text(" ").cell(Role::Text, &lane.lane, 7).cell(Role::Muted, &lane.class, 7);
    if lane.state != "proving" {
        let role = match lane.state.as_str() {
            "idle" | "waiting_inputs" | "waiting_machine" => Role::Waiting,
            _ => Role::Running,
        };
        return strip.put(role, lane.state.replace('_', " ")).line();
    }
    let gone_ms = view.now_ms.saturating_sub(lane.since_ms);
    let mut strip = strip
        .cell(Role::Running, lane.node.as_deref().unwrap_or("?"), 13)
        .text(text::duration(gone_ms))
        .muted(" / ");
    strip = match lane.usual_ms {
        Some(usual_ms) => {
            let bar = if columns >= 60 { gauge(view, gone_ms, usual_ms, 8) } else { view.strip() };
            strip.text(text::duration(usual_ms)).text(" ").join(bar).text(" ")
        }
        None => strip.muted("?  "),
    };
    strip.muted(lane.step.clone().unwrap_or_default()).line()
}

pub(super) fn rows(view: &View<'_>) -> Vec<Line<'static>> {
    let machine = &view.snapshot.machine;
    let health = health(view);
    let uptime = text::duration(machine.uptime_s.saturating_mul(1000));
    vec![
        view.strip()
            .text(" ")
            .join(health)
            .muted("  agent ")
            .text(view.snapshot.version.clone())
            .muted("  up ")
            .text(uptime)
            .line(),
        view.strip()
            .muted(" cpu ")
            .right(Role::Text, &processor(view), 4)
            .muted(if machine.cores > 0 {
                format!("of {} cores", machine.cores)
            } else {
                String::new()
            })
            .muted("  ram ")
            .join(memory(view))
            .line(),
        view.strip().muted(" disk ").text(disk(view)).muted(" free").line(),
        view.strip().muted(" proofs ").join(proofs(view)).muted(" since start").line(),
        view.strip().text(" ").join(peers(view)).line(),
        view.strip().text(" ").join(l1(view)).line(),
    ]
}

/// A machine without memory is one that the agent has not measured yet.
const fn is_measured(view: &View<'_>) -> bool {
    view.snapshot.machine.ram_mb > 0
}

fn processor(view: &View<'_>) -> String {
    let percent = view.snapshot.machine.cpu_percent;
    if is_measured(view) { format!("{percent}%") } else { "?".to_owned() }
}

fn disk(view: &View<'_>) -> String {
    let free = text::memory(view.snapshot.machine.disk_free_mb);
    if is_measured(view) { free } else { "?".to_owned() }
}

fn memory(view: &View<'_>) -> Strip {
    let machine = &view.snapshot.machine;
    if !is_measured(view) {
        return view.strip().muted("?");
    }
    let used = text::memory(machine.ram_used_mb);
    view.strip().text(format!("{used}/{}", text::memory(machine.ram_mb)))
}

fn proofs(view: &View<'_>) -> Strip {
    let machine = &view.snapshot.machine;
    let role = if machine.failed > 0 { Role::Warning } else { Role::Muted };
    let strip = view.strip().text(format!("{} made", machine.proofs));
    strip.put(role, format!(", {} failed", machine.failed))
}

fn peers(view: &View<'_>) -> Strip {
    let peers = &view.snapshot.peers;
    let connected = peers.iter().filter(|peer| peer.connected).count();
    let lost = peers.iter().filter(|peer| peer.lost).count();
    let refused: u64 = peers.iter().fold(0, |sum, peer| sum.saturating_add(peer.refused));
    let role = if connected == 0 { Role::Warning } else { Role::Text };
    let strip = view.strip().muted("peers ").put(role, format!("{connected} of {}", peers.len()));
    let strip = strip.muted(format!(" connected, {refused} messages refused"));
    if lost == 0 { strip } else { strip.put(Role::Warning, format!(", {lost} lost")) }
}

/// L1 as the agent sees it, and since when that is so.
pub(in crate::screen) fn l1(view: &View<'_>) -> Strip {
    let l1 = &view.snapshot.l1;
    if l1.seen_ms == 0 {
        return view.strip().muted("L1 ").put(Role::Waiting, "not reached yet");
    }
    let age_ms = view.now_ms.saturating_sub(l1.seen_ms);
    let strip = view.strip().muted("L1 block ").text(l1.number.to_string());
    let strip = if age_ms > L1_OLD_MS {
        strip.put(Role::Bad, format!(" read {} ago !", text::duration(age_ms)))
    } else {
        strip.muted(format!(" read {} ago", text::duration(age_ms)))
    };
    if l1.reorged == 0 { strip } else { strip.muted(format!(", {} blocks undone", l1.reorged)) }
}

fn health(view: &View<'_>) -> Strip {
    let role = match view.snapshot.health.as_str() {
        "ok" => Role::Good,
        "degraded" => Role::Warning,
        _ => Role::Bad,
    };
    let word = if view.snapshot.health.is_empty() { "?" } else { &view.snapshot.health };
    view.strip().muted("health ").put(role, word.replace('_', " "))
}

pub(super) fn short(view: &View<'_>) -> Line<'static> {
    let snapshot = view.snapshot;
    let busy = snapshot.lanes.iter().filter(|lane| lane.state == "proving").count();
    let connected = snapshot.peers.iter().filter(|peer| peer.connected).count();
    view.strip()
        .muted(" lanes ")
        .text(format!("{busy}/{}", snapshot.lanes.len()))
        .muted("  cpu ")
        .text(processor(view))
        .muted("  ram ")
        .join(memory(view))
        .muted("  peers ")
        .text(format!("{connected}/{}", snapshot.peers.len()))
        .muted("  proofs ")
        .join(proofs(view))
        .line()
}
