//! The proof tree as a ladder: one row per level, the root on top, every tx at its column.
//!
//! The mark says how much of what lies under a column is done, the role whether somebody works on
//! it. A node that is late never recolours the nodes above it: those have simply not begun.

use ratatui_core::text::Line;
use wire::control::SubtreeView;

use crate::{
    screen::View,
    text,
    theme::Role,
    tree::{Counts, Level, NodeKey, ProofTree},
    widget::Strip,
};

/// Columns before the picture: level name and counts.
pub(crate) const LABEL: usize = 19;
const _: () = assert!(LABEL + 1 == crate::screen::LADDER_LABEL as usize);
/// Of them those of the name.
const NAME: usize = 7;
/// From this width on a node is a block of its own, with an edge.
const BLOCK: usize = 3;
/// A subtree with less time to spare than one proof is at risk.
const RISK_MS: i64 = 30_000;
const EIGHTHS: [&str; 9] = ["·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The mark of what lies under one column.
fn mark(under: Counts) -> (&'static str, Role) {
    let role = match (under.mine, under.done) {
        (0, 0) => Role::Waiting,
        (0, _) => Role::Good,
        (_, _) => Role::Mine,
    };
    if under.all == 0 {
        return (" ", Role::Text);
    }
    if under.done == 0 && under.running > 0 {
        return ("▒", if under.mine > 0 { Role::Mine } else { Role::Running });
    }
    let eighths = text::share(under.done.into(), under.all.into(), 8) as usize;
    (EIGHTHS[eighths], role)
}

/// The columns of txs: `first..end` of `txs` on `columns`.
fn span(first: u32, end: u32, txs: u32, columns: usize) -> (usize, usize) {
    let txs = txs.max(1);
    let (first, end) = (first.min(txs), end.min(txs));
    let columns = u64::try_from(columns).unwrap_or(0);
    let from = u64::from(first) * columns / u64::from(txs);
    let to = (u64::from(end) * columns).div_ceil(txs.into()).max(from + 1);
    (usize::try_from(from).unwrap_or(0), usize::try_from(to.min(columns)).unwrap_or(0))
}

fn level_row(view: &View<'_>, level: &Level, txs: u32, columns: usize) -> Line<'static> {
    let counts = level.counts();
    let label = label(view, &level.name, (counts.done, counts.all));
    let of = |key: NodeKey| {
        let (first, end) = key.covers(txs);
        span(first, end, txs, columns)
    };
    // A node under several columns counts in each of them.
    let under = |column: usize| level.between(|key| of(key).1 <= column, |key| column < of(key).0);
    let mut marks: Vec<_> = (0..columns).map(|column| mark(under(column))).collect();
    if level.len().saturating_mul(BLOCK) <= columns {
        let edges = level.keys().filter_map(|key| of(key).0.checked_sub(1));
        for edge in edges {
            if let Some(mark) = marks.get_mut(edge) {
                *mark = ("│", Role::Rule);
            }
        }
    }
    runs(view, label, marks.into_iter())
}

fn label(view: &View<'_>, name: &str, (done, all): (u32, u32)) -> Strip {
    let counts = format!("{}/{}", text::count(done), text::count(all));
    // `merge 16` has one letter too many.
    let name = if name.len() > NAME { name.replace(' ', "") } else { name.to_owned() };
    view.strip().text(" ").cell(Role::Text, &name, NAME).right(Role::Muted, &counts, 9)
}

/// Marks of one role become one piece: a row has few of them.
fn runs(
    view: &View<'_>,
    label: Strip,
    marks: impl Iterator<Item = (&'static str, Role)>,
) -> Line<'static> {
    let mut strip = label;
    let mut run = String::new();
    let mut last = Role::Text;
    for (mark, role) in marks {
        if role != last && !run.is_empty() {
            strip = strip.join(view.strip().put(last, std::mem::take(&mut run)));
        }
        last = role;
        run.push_str(mark);
    }
    strip.put(last, run).line()
}

/// Two rails and a row per level in this many columns and rows. Where there are too few rows, the
/// levels on top that nobody has begun become one.
pub(crate) fn ladder(
    view: &View<'_>,
    tree: &ProofTree<'_>,
    subtrees: &[SubtreeView],
    (columns, height): (usize, usize),
) -> Vec<Line<'static>> {
    let room = columns.saturating_sub(LABEL + 1);
    let mut rows = rails(view, tree, subtrees, room);
    let levels = tree.levels();
    let (fold, above) = not_begun(levels, height.saturating_sub(3));
    if let Some((last, nodes)) = above {
        let text = format!(" from here to {last}: not begun");
        rows.push(label(view, "root", (0, nodes)).put(Role::Waiting, text).line());
    }
    let shown = levels.iter().skip(fold);
    rows.extend(shown.map(|level| level_row(view, level, tree.txs(), room)));
    let (from, to) = cursor(tree, view.model.cursor.leaf, room);
    let here = view.strip().text(" ".repeat(LABEL + from)).put(Role::Key, "^".repeat(to - from));
    rows.push(here.muted(" cursor").line());
    rows
}

/// Where there are more levels than rows, those on top that nobody has begun become one: how many
/// they are, the name of the last of them and the number of their nodes.
pub(crate) fn not_begun(levels: &[Level], rows: usize) -> (usize, Option<(&str, u32)>) {
    let begun = |level: &Level| level.counts().done + level.counts().running > 0;
    let empty = levels.iter().position(begun).unwrap_or(levels.len());
    if levels.len() <= rows || empty <= 1 {
        return (0, None);
    }
    let nodes = levels.iter().take(empty).map(|level| level.counts().all).sum();
    (empty, levels.get(empty - 1).map(|last| (last.name.as_str(), nodes)))
}

fn cursor(tree: &ProofTree<'_>, leaf: u32, columns: usize) -> (usize, usize) {
    let leaf = leaf.min(tree.txs().saturating_sub(1));
    let (from, to) = span(leaf, leaf + 1, tree.txs(), columns);
    (from, to.max(from))
}

fn rails(
    view: &View<'_>,
    tree: &ProofTree<'_>,
    subtrees: &[SubtreeView],
    columns: usize,
) -> Vec<Line<'static>> {
    let mut mine = vec![false; columns];
    let mut risk = vec![0_usize; columns];
    for subtree in subtrees {
        let (from, to) =
            span(subtree.first_tx, subtree.last_tx.saturating_add(1), tree.txs(), columns);
        let late = subtree.slack_ms.is_some_and(|slack| slack < RISK_MS);
        for column in from..to.min(columns) {
            mine[column] |= subtree.mine;
            risk[column] += usize::from(late);
        }
    }
    let label = |name: &str| view.strip().text(" ").cell(Role::Muted, name, LABEL - 2);
    let digit = |late: usize| match late {
        0 => " ",
        1 => "1",
        2 => "2",
        3 => "3",
        4..10 => "+",
        _ => "#",
    };
    vec![
        runs(
            view,
            label("mine"),
            mine.iter().map(|mine| if *mine { ("━", Role::Mine) } else { (" ", Role::Text) }),
        ),
        runs(view, label("at risk"), risk.iter().map(|late| (digit(*late), Role::Bad))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn txs_share_the_columns_without_gaps() {
        for (txs, columns) in [(1, 60), (8, 60), (60, 60), (61, 60), (61_440, 62), (3, 1)] {
            let mut next = 0;
            for leaf in 0..txs {
                let (from, to) = span(leaf, leaf + 1, txs, columns);
                assert!(from <= next && to > from && to <= columns, "{leaf} of {txs} on {columns}");
                next = to;
            }
            assert_eq!(next, columns);
        }
    }

    #[test]
    fn a_mark_shows_how_much_is_done() {
        let under = |all, done, running| Counts { all, done, running, mine: 0 };
        let rows = [
            (under(0, 0, 0), " "),
            (under(64, 0, 0), "·"),
            (under(64, 0, 1), "▒"),
            (under(64, 1, 1), "▁"),
            (under(64, 63, 1), "▇"),
            (under(64, 64, 0), "█"),
        ];
        for (under, shown) in rows {
            assert_eq!(mark(under).0, shown);
        }
    }
}
