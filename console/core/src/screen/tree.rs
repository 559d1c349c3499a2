//! The proof tree of a slot: as a list of nodes, a ladder of levels, or a table of numbers.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};
use wire::control::{NodeView, SlotView};

use crate::{
    screen::{Size, TreeShape, View, frame, overview, tree_shape},
    text,
    theme::Role,
    tree::{Counts, Kind, NodeKey, Progress, ProofTree, Row, RowForm},
    widget::{Section, Strip, ladder, paint, window},
};

/// Rows of the terminal that are not the list: frame 4, title, head, rule and three of details.
pub(super) const ROWS_AROUND: usize = 10;
/// Below this height the list has all the room.
const DETAILS_FROM: u16 = 10;
/// Rows that are not the ladder: title, legend, two of the cursor, four of the subtrees.
const ROWS_BELOW: usize = 8;

pub(super) fn draw(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) {
    let slot = view.model.tree_slot();
    let Some(slot) = slot.filter(|slot| !slot.nodes.is_empty()) else {
        let title = slot.map_or_else(
            || "Proof tree".to_owned(),
            |slot| format!("Proof tree · slot {} · {}", slot.slot, slot.phase.to_uppercase()),
        );
        let none = " No tree: it is known from the reveal of a block until a while after its end.";
        paint(buffer, area, view, &Section::new(title, vec![view.strip().muted(none).line()]));
        return;
    };
    let tree = view.model.tree_of(slot);
    match tree_shape(view.model, slot) {
        TreeShape::List(form) => list(view, (slot, &tree, form), area, buffer),
        TreeShape::Ladder => rungs(view, (slot, &tree), area, buffer),
        TreeShape::Levels => levels(view, (slot, &tree, size), area, buffer),
    }
}

fn title(slot: &SlotView, tree: &ProofTree<'_>) -> String {
    let counts = tree.counts();
    let block = slot.block.as_deref().map_or_else(String::new, text::shorten);
    format!(
        "Proof tree · slot {} · block {block} · {} txs · {} of {} proofs",
        slot.slot,
        tree.txs().max(slot.txs.into()),
        counts.done,
        counts.all
    )
}

fn note(slot: &SlotView) -> String {
    slot.phase.to_uppercase()
}

fn list(
    view: &View<'_>,
    (slot, tree, form): (&SlotView, &ProofTree<'_>, RowForm),
    area: Rect,
    buffer: &mut Buffer,
) {
    let rows = tree.rows(form);
    let chosen = chosen_row(&rows, view.model.cursor.node);
    let details = match rows.get(chosen) {
        Some(row) if area.height >= DETAILS_FROM => details(view, tree, row),
        Some(_) | None => Vec::new(),
    };
    let room = usize::from(area.height).saturating_sub(2 + 1 + details.len()).max(1);
    let top = window(chosen, rows.len(), room);
    let mut lines = vec![list_head(view)];
    let visible = rows.iter().enumerate().skip(top).take(room);
    lines.extend(visible.map(|(place, row)| list_row(view, row, place == chosen)));
    let below = paint(buffer, area, view, &Section::new(title(slot, tree), lines).note(note(slot)));
    let free = usize::from(below.height).saturating_sub(details.len() + 2);
    if free > 3 {
        paint(buffer, below, view, &subtrees(view, slot, free));
    }
    let name = rows.get(chosen).map_or_else(String::new, |row| row.key.name());
    if details.is_empty() {
        return;
    }
    let section = Section::new(format!("Under the cursor: {name}"), details);
    paint(buffer, foot(below, section.rows.len() + 1), view, &section);
}

/// The row of the cursor; in the folded form the base of its tx.
fn chosen_row(rows: &[Row<'_>], cursor: Option<NodeKey>) -> usize {
    let Some(key) = cursor else { return 0 };
    let at = |key: NodeKey| rows.iter().position(|row| row.key == key);
    let base = NodeKey { kind: Kind::Base, level: 0, call: 0, ..key };
    at(key).or_else(|| at(base)).unwrap_or(0)
}

/// The last rows of the area, or all of it.
fn foot(area: Rect, rows: usize) -> Rect {
    let height = u16::try_from(rows).unwrap_or(u16::MAX).min(area.height);
    Rect { y: area.bottom() - height, height, ..area }
}

fn list_head(view: &View<'_>) -> Line<'static> {
    view.strip()
        .muted("  node")
        .at(30)
        .muted("state")
        .at(42)
        .muted("by")
        .at(53)
        .muted("time")
        .line()
}

fn list_row(view: &View<'_>, row: &Row<'_>, chosen: bool) -> Line<'static> {
    let progress = Progress::of(row.node);
    let role = progress_role(progress, row.node.mine);
    let strip = view
        .strip()
        .put(Role::Key, if chosen { "▸ " } else { "  " })
        .put(Role::Rule, row.prefix.clone())
        .text(row.key.name())
        .at(28)
        .put(role, progress.mark())
        .text(" ")
        .cell(role, &row.node.state, 11);
    let (who, prover) = view.maker(row.node);
    let mut strip = strip.cell(who, &prover, 10).join(time(view, row.node));
    if !row.folded.is_empty() {
        strip = strip.text("  ");
        for node in &row.folded {
            let progress = Progress::of(node);
            let role = progress_role(progress, node.mine);
            strip = strip.muted(&*node.kind).put(role, progress.mark()).text(" ");
        }
    }
    let line = strip.line();
    if chosen { line.style(view.theme.style(Role::Selected)) } else { line }
}

const fn progress_role(progress: Progress, mine: bool) -> Role {
    match (progress, mine) {
        (Progress::Todo | Progress::Ready | Progress::Unknown, _) => Role::Waiting,
        (_, true) => Role::Mine,
        (Progress::Claimed | Progress::Proving, false) => Role::Running,
        (Progress::Made | Progress::Delivered, false) => Role::Good,
    }
}

/// How long it took, or how long it has been going on.
fn time(view: &View<'_>, node: &NodeView) -> Strip {
    match Progress::of(node) {
        Progress::Claimed | Progress::Proving => {
            let gone = view.now_ms.saturating_sub(node.since_ms);
            view.strip().cell(Role::Text, &text::duration(gone), 8)
        }
        Progress::Made | Progress::Delivered => {
            let cpu = node.cpu_ms.map_or_else(|| "?".to_owned(), text::cpu);
            let peak = node.peak_mb.map_or_else(String::new, |mb| text::memory(mb.into()));
            view.strip().cell(Role::Text, &cpu, 8).cell(Role::Muted, &peak, 5)
        }
        Progress::Todo | Progress::Ready | Progress::Unknown => {
            view.strip().cell(Role::Muted, "-", 8)
        }
    }
}

/// What the chosen node covers, and what it waits for.
fn details(view: &View<'_>, tree: &ProofTree<'_>, row: &Row<'_>) -> Vec<Line<'static>> {
    let (first, end) = tree.covers(row.key);
    let txs = if end.saturating_sub(first) <= 1 {
        format!("tx {first}")
    } else {
        format!("txs {first}-{}", end - 1)
    };
    let since = if row.node.since_ms == 0 {
        "-".to_owned()
    } else {
        format!("{} UTC", text::clock(row.node.since_ms))
    };
    let facts = view.strip().muted(" covers ").text(txs).muted("   state ").text(&*row.node.state);
    let facts = facts.muted(" since ").text(since);
    let (role, prover) = view.maker(row.node);
    let cpu = row.node.cpu_ms.map_or_else(|| "?".to_owned(), text::cpu);
    let peak = row.node.peak_mb.map_or_else(|| "?".to_owned(), |mb| text::memory(mb.into()));
    let maker = view.strip().muted(" by ").put(role, prover).muted("   cpu ").text(cpu);
    let maker = maker.muted("   peak memory ").text(peak);
    vec![facts.line(), maker.line(), inputs(view, tree, row.key)]
}

fn inputs(view: &View<'_>, tree: &ProofTree<'_>, key: NodeKey) -> Line<'static> {
    let inputs = tree.inputs(key);
    if inputs.is_empty() {
        return view.strip().muted(" made from the block and what its client proved").line();
    }
    let mut strip = view.strip().muted(" made from");
    for input in inputs {
        let Some(node) = tree.get(input) else { continue };
        let progress = Progress::of(node);
        let role = progress_role(progress, node.mine);
        let (_, prover) = view.maker(node);
        strip = strip.text("  ").text(input.name()).text(" ").put(role, &*node.state);
        if progress.is_running() {
            let gone = text::duration(view.now_ms.saturating_sub(node.since_ms));
            strip = strip.muted(format!(" by {prover} {gone}"));
        }
    }
    strip.line()
}

fn rungs(
    view: &View<'_>,
    (slot, tree): (&SlotView, &ProofTree<'_>),
    area: Rect,
    buffer: &mut Buffer,
) {
    let legend = view
        .strip()
        .muted(" done █  part ▁-▇  running ▒  todo ·   rails: ━ mine, 1-3 + # subtrees at risk");
    let mut rows = vec![legend.line()];
    let place = (usize::from(area.width), usize::from(area.height).saturating_sub(ROWS_BELOW));
    rows.extend(ladder::ladder(view, tree, &slot.subtrees, place));
    let below = paint(buffer, area, view, &Section::new(title(slot, tree), rows).note(note(slot)));
    let below = paint(buffer, below, view, &under_cursor(view, slot));
    paint(buffer, below, view, &subtrees(view, slot, usize::from(below.height)));
}

fn under_cursor(view: &View<'_>, slot: &SlotView) -> Section {
    let leaf = view.model.cursor.leaf;
    let covers = |first: u32, last: u32| (first..=last).contains(&leaf);
    let found = slot.subtrees.iter().find(|subtree| covers(subtree.first_tx, subtree.last_tx));
    let Some(subtree) = found else {
        return Section::new(format!("Under the cursor: tx {leaf}"), Vec::new());
    };
    Section::new(
        format!("Under the cursor: tx {leaf}, subtree {}", subtree.index),
        vec![subtree_row(view, subtree)],
    )
}

fn subtree_row(view: &View<'_>, subtree: &wire::control::SubtreeView) -> Line<'static> {
    let owner = if subtree.mine { "you" } else { overview::owner(&subtree.lane) };
    let role = if subtree.mine { Role::Mine } else { Role::Text };
    let txs = format!("{}-{}", subtree.first_tx, subtree.last_tx);
    let slack =
        subtree.slack_ms.map_or_else(|| view.strip().muted("-"), |ms| frame::slack(view, ms));
    view.strip()
        .text(" ")
        .cell(Role::Text, &subtree.index.to_string(), 8)
        .cell(Role::Text, &txs, 12)
        .cell(role, owner, 8)
        .right(Role::Text, &format!("{}/{}", subtree.made, subtree.tasks), 9)
        .text("  ")
        .join(slack)
        .line()
}

/// Subtrees, the least slack first.
fn subtrees(view: &View<'_>, slot: &SlotView, height: usize) -> Section {
    let most = height.saturating_sub(2);
    let first = overview::first_by(&slot.subtrees, most, |subtree| {
        (subtree.slack_ms.unwrap_or(i64::MAX), !subtree.mine, subtree.index)
    });
    let mut rows =
        vec![view.strip().muted(" subtree  txs          lane         made  slack").line()];
    rows.extend(first.into_iter().map(|subtree| subtree_row(view, subtree)));
    let all = slot.subtrees.len();
    Section::new("Subtrees, least slack first", rows).note(format!("{all} in all"))
}

fn levels(
    view: &View<'_>,
    (slot, tree, size): (&SlotView, &ProofTree<'_>, Size),
    area: Rect,
    buffer: &mut Buffer,
) {
    let head = view.strip().muted(" level       proofs    made  running  waiting   usual cpu");
    let mut rows = vec![head.line()];
    let room = usize::from(area.height).saturating_sub(2 + 1);
    let (fold, above) = ladder::not_begun(tree.levels(), room);
    if let Some((last, nodes)) = above {
        let text = format!(" root to {last}: {nodes} proofs, not begun");
        rows.push(view.strip().put(Role::Waiting, text).line());
    }
    for level in tree.levels().iter().skip(fold) {
        let Counts { all, done, running, .. } = level.counts();
        let waiting = all - done - running;
        let usual = level.usual_cpu_ms().map_or_else(|| "?".to_owned(), text::cpu);
        let strip = view
            .strip()
            .text(" ")
            .cell(Role::Text, &level.name, 10)
            .right(Role::Text, &all.to_string(), 7)
            .right(Role::Good, &done.to_string(), 7)
            .right(Role::Running, &running.to_string(), 8)
            .right(Role::Waiting, &waiting.to_string(), 8)
            .right(Role::Text, &usual, 11);
        rows.push(strip.line());
    }
    let below = paint(buffer, area, view, &Section::new(title(slot, tree), rows).note(note(slot)));
    if size > Size::Tiny {
        paint(buffer, below, view, &subtrees(view, slot, usize::from(below.height)));
    }
}
