//! Everything at a glance: the slot, what this agent holds, money, machine, what needs somebody.

use std::collections::BTreeMap;

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};
use wire::control::{SlotView, SubtreeView};

use crate::{
    judge::{self, Level},
    model::current_slot,
    screen::{Size, View, frame},
    text,
    theme::Role,
    widget::{Section, Strip, paint, paint_pair, phases},
};

mod machine;
mod money;

pub(super) use machine::l1;

/// Subtrees that are listed before the rest is counted.
const SUBTREES_SHOWN: usize = 6;

pub(super) fn draw(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) {
    match size {
        Size::Line | Size::Tiny => tiny(view, area, buffer),
        Size::Small => small(view, size, area, buffer),
        Size::Medium | Size::Large => large(view, size, area, buffer),
    }
}

fn large(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width);
    let mut section = Section::new(title(view), Vec::new());
    if let Some(slot) = current_slot(view.snapshot) {
        section.rows = phases::phases(view, slot, columns);
        section.rows.push(tree_line(view, slot, size));
    }
    section.rows.push(history(view, columns));
    section.rows.push(Line::default());
    let below = paint(buffer, area, view, &section);
    let half = columns / 2 + 2;
    let held = Section::new("You, this slot", held(view, SUBTREES_SHOWN, half));
    let money = Section::new("Money", money::rows(view));
    let height = held.rows.len().max(money.rows.len()) + 1;
    let below = paint_pair(buffer, below, view, [&held, &money], height);
    let lanes = Section::new("Lanes", machine::lanes(view, half));
    let machine = Section::new("Machine", machine::rows(view));
    let height = lanes.rows.len().min(8).max(machine.rows.len()) + 1;
    let below = paint_pair(buffer, below, view, [&lanes, &machine], height);
    let room = usize::from(below.height).saturating_sub(3) / 2;
    let below = paint(buffer, below, view, &needs(view, room.clamp(1, 5)));
    paint(buffer, below, view, &events(view, usize::from(below.height)));
}

fn small(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width);
    let mut section = Section::new(title(view), Vec::new());
    if let Some(slot) = current_slot(view.snapshot) {
        section.rows.push(phases::short(view, slot, columns));
        section.rows.push(tree_line(view, slot, size));
    }
    let below = paint(buffer, area, view, &section);
    let below = paint(buffer, below, view, &Section::new("You", held(view, 2, columns)));
    let below = paint(buffer, below, view, &Section::new("Money", vec![money::short(view)]));
    let mut rows = vec![machine::short(view)];
    rows.extend(machine::lanes(view, columns).into_iter().skip(1).take(2));
    let below = paint(buffer, below, view, &Section::new("Machine", rows));
    let below = paint(buffer, below, view, &needs(view, 2));
    paint(buffer, below, view, &events(view, usize::from(below.height)));
}

fn tiny(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let below = paint(buffer, area, view, &needs(view, 2));
    let rows = vec![money::short(view)];
    let below = paint(buffer, below, view, &Section::new("Money", rows));
    paint(buffer, below, view, &Section::new("You", held(view, 2, usize::from(area.width))));
}

fn title(view: &View<'_>) -> String {
    let Some(slot) = current_slot(view.snapshot) else {
        return format!("No slot yet · agent {}", view.snapshot.phase.replace('_', " "));
    };
    let mut title = format!("Slot {}", slot.slot);
    if let Some(block) = &slot.block {
        title += &format!(" · block {} · {} txs", text::shorten(block), slot.txs);
    }
    if let Some(sequencer) = slot.sequencer {
        title += &format!(" · sequencer {sequencer}");
    }
    let mine = slot.subtrees.iter().filter(|subtree| subtree.mine).count();
    if !slot.subtrees.is_empty() {
        title += &format!(" · you hold {mine} of {} subtrees", slot.subtrees.len());
    }
    title
}

/// Proofs made of each kind but the clients', which are there before the block; when the root is
/// expected and what is to spare then.
fn tree_line(view: &View<'_>, slot: &SlotView, size: Size) -> Line<'static> {
    let mut strip = view.strip().muted(" tree  ");
    if slot.nodes.is_empty() {
        return strip.muted("known after the reveal").line();
    }
    let mut kinds: BTreeMap<usize, (String, u32, u32)> = BTreeMap::new();
    for level in view.model.tree_of(slot).levels() {
        let kind = level.name.split(' ').next().unwrap_or_default().to_owned();
        if kind == "tx" {
            continue;
        }
        let order = ["vm", "kernel", "base", "merge", "root"];
        let place = order.iter().position(|name| *name == kind).unwrap_or(order.len());
        let entry = kinds.entry(place).or_insert((kind, 0, 0));
        entry.1 += level.counts().done;
        entry.2 += level.counts().all;
    }
    let wide = size >= Size::Medium;
    let count = |nodes: u32| if wide { nodes.to_string() } else { text::count(nodes) };
    let counts: Vec<String> = kinds
        .values()
        .map(|(kind, done, all)| format!("{kind} {}/{}", count(*done), count(*all)))
        .collect();
    strip = strip.text(counts.join(if wide { " · " } else { " " }));
    if slot.settled_ms.is_some() {
        return strip.line();
    }
    if let Some(eta) = slot.eta_ms {
        let left = text::duration(eta.saturating_sub(view.now_ms));
        strip = strip.muted(if wide { "   root est. in " } else { "  est. " }).text(left);
    }
    if let Some(slack_ms) = judge::block_slack_ms(view.snapshot).filter(|_| wide) {
        strip = strip.muted("  slack ").join(frame::slack(view, slack_ms));
    }
    strip.line()
}

/// The other slots and what each earned, newest first.
fn history(view: &View<'_>, columns: usize) -> Line<'static> {
    let mut strip = view.strip().muted(" slots ");
    let current = current_slot(view.snapshot).map(|slot| slot.slot);
    let ended = view.snapshot.slots.iter().rev();
    let mut any = false;
    for slot in ended.filter(|slot| Some(slot.slot) != current || slot.settled_ms.is_some()) {
        let role = match slot.phase.as_str() {
            "settled" => Role::Good,
            "lapsed" | "refused" => Role::Warning,
            _ => Role::Running,
        };
        let earned = money::per_slot(view, slot.slot).map(|amount| format!(" +{amount}"));
        let piece = view
            .strip()
            .muted(format!("{} ", slot.slot))
            .put(role, slot.phase.clone())
            .put(Role::Money, earned.unwrap_or_default())
            .text("   ");
        if strip.used() + piece.used() > columns {
            break;
        }
        strip = strip.join(piece);
        any = true;
    }
    if any { strip.line() } else { strip.muted("no other slot yet").line() }
}

/// Subtrees dealt to this agent, then the others, then this agent's tasks.
fn held(view: &View<'_>, most: usize, columns: usize) -> Vec<Line<'static>> {
    let Some(slot) = current_slot(view.snapshot) else {
        return vec![idle(view)];
    };
    let head = view.strip().muted(" subtree  txs        lane      made   slack");
    let mut rows = if columns >= 50 { vec![head.line()] } else { Vec::new() };
    let subtrees = &slot.subtrees;
    let first = first_by(subtrees, most, |it| {
        // Those that are done have no slack, and come last.
        (!it.mine, it.slack_ms.unwrap_or(i64::MAX), it.index)
    });
    rows.extend(first.into_iter().map(|subtree| subtree_row(view, subtree)));
    if subtrees.len() > most {
        rows.push(
            view.strip().muted(format!(" …{} more, 2 shows all", subtrees.len() - most)).line(),
        );
    }
    if subtrees.is_empty() {
        rows = vec![view.strip().muted(" nothing is dealt before the reveal").line()];
    }
    rows.push(tasks(view, slot));
    rows
}

/// The first `most` subtrees in this order, of a list that may be long.
pub(super) fn first_by<K: Ord>(
    list: &[SubtreeView],
    most: usize,
    key: impl Fn(&SubtreeView) -> K,
) -> Vec<&SubtreeView> {
    let mut first: Vec<&SubtreeView> = list.iter().collect();
    if 0 < most && most < first.len() {
        first.select_nth_unstable_by_key(most - 1, |it| key(it));
    }
    first.truncate(most);
    first.sort_by_key(|it| key(it));
    first
}

fn subtree_row(view: &View<'_>, subtree: &SubtreeView) -> Line<'static> {
    let role = if subtree.mine { Role::Mine } else { Role::Muted };
    let txs = if subtree.first_tx == subtree.last_tx {
        subtree.first_tx.to_string()
    } else {
        format!("{}-{}", subtree.first_tx, subtree.last_tx)
    };
    let made = format!("{}/{}", subtree.made, subtree.tasks);
    let strip = view
        .strip()
        .text(" ")
        .cell(role, &subtree.index.to_string(), 8)
        .cell(Role::Text, &txs, 10)
        .cell(role, if subtree.mine { "you" } else { owner(&subtree.lane) }, 7)
        .right(Role::Text, &made, 6)
        .text("  ");
    let slack =
        subtree.slack_ms.map_or_else(|| view.strip().muted("-"), |ms| frame::slack(view, ms));
    strip.join(slack).line()
}

/// The lane of somebody else, or nobody.
pub(super) fn owner(lane: &str) -> &str {
    if lane.is_empty() { "-" } else { lane }
}

/// This agent's tasks of the slot by state, or why there are none.
fn tasks(view: &View<'_>, slot: &SlotView) -> Line<'static> {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for task in view.snapshot.tasks.iter().filter(|task| task.slot == slot.slot) {
        *states.entry(task.state.as_str()).or_default() += 1;
    }
    if states.is_empty() {
        return idle(view);
    }
    let counts: Vec<String> =
        states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    view.strip().muted(" your tasks  ").text(counts.join(" · ")).line()
}

fn idle(view: &View<'_>) -> Line<'static> {
    let snapshot = view.snapshot;
    let Some(code) = &snapshot.idle_code else {
        return view.strip().muted(format!(" agent {}", snapshot.phase.replace('_', " "))).line();
    };
    let text = snapshot.idle_text.clone().unwrap_or_default();
    view.strip().put(Role::Waiting, format!(" {code}: ")).text(text).line()
}

fn needs(view: &View<'_>, most: usize) -> Section {
    let needs = judge::needs(view.now_ms, view.snapshot);
    if needs.is_empty() {
        let calm = view.strip().put(Role::Good, " Nothing needs you.").line();
        return Section::new("Needs you", vec![calm]);
    }
    let row = |need: &judge::Need| {
        let (role, mark) = match need.level {
            Level::Critical => (Role::Bad, "x"),
            Level::Warning => (Role::Warning, "!"),
            Level::Notice => (Role::Text, "·"),
        };
        let since = need.since_ms.map(|at| format!("{} ", text::clock(at))).unwrap_or_default();
        let strip = view.strip().text(" ").put(role, mark).text(" ").muted(since);
        strip.put(Role::Text, need.text.clone()).muted(format!("  [{}]", need.code)).line()
    };
    let section = Section::new(
        format!("Needs you ({})", needs.len()),
        needs.iter().take(most).map(row).collect(),
    );
    let hidden = needs.len().saturating_sub(most);
    if hidden > 0 { section.note(format!("{hidden} more")) } else { section }
}

fn events(view: &View<'_>, height: usize) -> Section {
    let events = &view.snapshot.events;
    let top = view.model.cursor.event.min(events.len().saturating_sub(1));
    let rows = events.iter().skip(top).take(height.saturating_sub(1));
    let row = |event: &wire::control::Event| {
        view.strip()
            .muted(format!(" {}  ", text::clock(event.at_ms)))
            .cell(Role::Muted, &event.source, 8)
            .text(event.text.clone())
            .line()
    };
    let mut rows: Vec<Line<'_>> = rows.map(row).collect();
    if rows.is_empty() {
        rows.push(view.strip().muted(" nothing has happened yet").line());
    }
    let section = Section::new("Events · UTC", rows);
    if top > 0 { section.note(format!("{top} newer, k or g")) } else { section }
}

/// A bar of what is done and what is usual.
fn gauge(view: &View<'_>, gone_ms: u64, usual_ms: u64, columns: u32) -> Strip {
    let filled = text::share(gone_ms.into(), usual_ms.into(), columns);
    let late = gone_ms > usual_ms.saturating_mul(3) / 2;
    let role = if late { Role::Warning } else { Role::Running };
    view.strip()
        .put(role, "▓".repeat(filled as usize))
        .put(Role::Waiting, "░".repeat((columns - filled) as usize))
}
