//! Where the operator looks, and how keys move it. A row is remembered by its name, so the cursor
//! stays on it when rows come and go.

use crate::{
    command::{Motion, Step},
    model::{Model, Screen},
    screen::{TreeShape, is_large, tree_shape},
    tree::{NodeKey, RowForm},
};

/// Rows that a page key moves.
const PAGE: usize = 10;

pub(super) fn move_by(model: &mut Model, motion: Motion) {
    match motion {
        Motion::Left | Motion::Right => along_ladder(model, motion),
        Motion::Down
        | Motion::Up
        | Motion::PageDown
        | Motion::PageUp
        | Motion::First
        | Motion::Last => along_rows(model, motion),
    }
}

fn along_rows(model: &mut Model, motion: Motion) {
    match model.screen {
        Screen::Overview => {
            let rows = model.snapshot.as_ref().map_or(0, |snapshot| snapshot.events.len());
            model.cursor.event = moved(Some(model.cursor.event), rows, motion).unwrap_or(0);
        }
        Screen::Earnings => {
            let slots: Vec<u64> = model.snapshot.as_ref().map_or_else(Vec::new, |snapshot| {
                snapshot.earnings.slots.iter().map(|slot| slot.slot).collect()
            });
            let at = slots.iter().position(|slot| Some(*slot) == model.cursor.earning);
            let to = moved(at.or(Some(0)), slots.len(), motion);
            model.cursor.earning = to.and_then(|to| slots.get(to).copied());
        }
        Screen::Tree => {
            let keys = node_rows(model);
            let at = keys.iter().position(|key| Some(*key) == model.cursor.node);
            let to = moved(at.or(Some(0)), keys.len(), motion);
            model.cursor.node = to.and_then(|to| keys.get(to).copied());
        }
        Screen::Stake => (),
    }
}

fn moved(at: Option<usize>, rows: usize, motion: Motion) -> Option<usize> {
    let last = rows.checked_sub(1)?;
    let at = at.unwrap_or(0).min(last);
    let to = match motion {
        Motion::Down => at.saturating_add(1),
        Motion::Up => at.saturating_sub(1),
        Motion::PageDown => at.saturating_add(PAGE),
        Motion::PageUp => at.saturating_sub(PAGE),
        Motion::First => 0,
        Motion::Last => last,
        Motion::Left | Motion::Right => at,
    };
    Some(to.min(last))
}

fn node_rows(model: &Model) -> Vec<NodeKey> {
    let Some(slot) = model.tree_slot() else { return Vec::new() };
    let form = match tree_shape(model, slot) {
        TreeShape::List(form) => form,
        // Nobody sees the rows of a block that is too large for a list.
        TreeShape::Ladder | TreeShape::Levels if is_large(slot) => return Vec::new(),
        TreeShape::Ladder | TreeShape::Levels => RowForm::Full,
    };
    model.tree_of(slot).rows(form).iter().map(|row| row.key).collect()
}

/// One column of the ladder, which covers more than one tx in a large block.
fn along_ladder(model: &mut Model, motion: Motion) {
    let Some(slot) = model.tree_slot() else { return };
    let txs = model.tree_of(slot).txs();
    let columns = u32::from(model.size.0.saturating_sub(crate::screen::LADDER_LABEL)).max(1);
    let step = txs.div_ceil(columns).max(1);
    let leaf = model.cursor.leaf;
    let to =
        if motion == Motion::Left { leaf.saturating_sub(step) } else { leaf.saturating_add(step) };
    model.cursor.leaf = to.min(txs.saturating_sub(1));
}

pub(super) fn other_slot(model: &mut Model, step: Step) {
    let Some(snapshot) = &model.snapshot else { return };
    let slots: Vec<u64> = snapshot.slots.iter().map(|slot| slot.slot).collect();
    let shown = model.tree_slot().map(|slot| slot.slot);
    let Some(at) = slots.iter().position(|slot| Some(*slot) == shown) else { return };
    let to = match step {
        Step::Back => at.saturating_sub(1),
        Step::Forward => (at + 1).min(slots.len().saturating_sub(1)),
    };
    if to != at {
        model.cursor.tree_slot = slots.get(to).copied();
        model.cursor.node = None;
        model.cursor.leaf = 0;
    }
}

pub(super) fn next_mine(model: &mut Model, step: Step) {
    let Some(slot) = model.tree_slot() else { return };
    let tree = model.tree_of(slot);
    if is_large(slot) {
        let next = tree.next_mine(model.cursor.leaf, step == Step::Back);
        model.cursor.leaf = next.unwrap_or(model.cursor.leaf);
        return;
    }
    let mut keys = node_rows(model);
    if step == Step::Back {
        keys.reverse();
    }
    let at = keys.iter().position(|key| Some(*key) == model.cursor.node);
    let after = at.map_or(0, |at| at + 1);
    let order = keys.iter().skip(after).chain(keys.iter().take(after));
    let mine = |key: &&NodeKey| tree.get(**key).is_some_and(|node| node.mine);
    let Some(found) = order.copied().collect::<Vec<_>>().iter().find(mine).copied() else { return };
    let leaf = tree.covers(found).0;
    model.cursor.node = Some(found);
    model.cursor.leaf = leaf;
}

/// After a new state: what the cursor stood on may be gone.
pub(super) fn keep_in_sight(model: &mut Model) {
    let Some(snapshot) = &model.snapshot else { return };
    let there = |slot: u64| snapshot.slots.iter().any(|view| view.slot == slot);
    if model.cursor.tree_slot.is_some_and(|slot| !there(slot)) {
        model.cursor.tree_slot = None;
    }
    model.cursor.event = model.cursor.event.min(snapshot.events.len().saturating_sub(1));
}
