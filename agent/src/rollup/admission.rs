//! Admission: how large a block the network's lanes can prove in time (R3.3).
//!
//! For every class and every level of the proof tree: all work at or below that level, and the
//! backlog, spread over the class's lanes, then the way above it. The largest of these, and at
//! least the critical path, is B; a block may be revealed if 1.2 × B + 2 × p50 + settle margin fit
//! the proving window. A sequencer that reveals more loses its fees for nothing.

use protocol::tree::Tree;
use protocol::{Class, Kind, Params};

/// Spread of proof times over their usual value, in tenths: 1.2.
const SPREAD_TENTHS: u64 = 12;

/// Lanes that take part in an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lanes {
    /// Of both classes: every lane does rollup work.
    pub(crate) all: u64,
    /// Of class vm.
    pub(crate) vm: u64,
}

/// Whether a block of this shape can be proved in time, behind the `backlog` of older revealed,
/// unsettled blocks.
pub(crate) fn admits(tree: &Tree, backlog: &[Tree], lanes: Lanes, params: &Params) -> bool {
    let window_ms = params.proving_blocks * params.l1_block_s * 1_000;
    needed_ms(tree, backlog, lanes, params).is_some_and(|needed_ms| needed_ms <= window_ms)
}

/// 1.2 × B + 2 × p50 + settle margin in milliseconds, where p50 is that of the slowest kind (a
/// loss costs one proof again); `None` when there is work for which there is no lane.
pub(crate) fn needed_ms(
    tree: &Tree,
    backlog: &[Tree],
    lanes: Lanes,
    params: &Params,
) -> Option<u64> {
    let rollup = class_ms(tree, backlog, (Class::Rollup, lanes.all), params)?;
    let vm = class_ms(tree, backlog, (Class::Vm, lanes.vm), params)?;
    let bound = rollup.max(vm).max(tree.critical_path_ms(params));
    let slowest = params.p50_ms.iter().max().copied().unwrap_or(0);
    let margin_ms = params.settle_margin_blocks * params.l1_block_s * 1_000;
    Some((bound * SPREAD_TENTHS).div_ceil(10) + 2 * slowest + margin_ms)
}

/// The largest t(l) of one class. A vm lane is in both decks, so all work counts for the class
/// rollup, with all lanes.
fn class_ms(
    tree: &Tree,
    backlog: &[Tree],
    (class, lanes): (Class, u64),
    params: &Params,
) -> Option<u64> {
    let work: Vec<(u64, u64)> = tasks(tree, class, params);
    if work.is_empty() {
        return Some(0);
    }
    let older = backlog.iter().flat_map(|tree| tasks(tree, class, params));
    let older_ms: u64 = older.map(|(_, own)| own).sum();
    if lanes == 0 {
        return None;
    }
    let level = |above: u64| {
        let at_or_below = work.iter().filter(|(other, _)| *other >= above);
        let sum: u64 = at_or_below.map(|(_, own)| own).sum();
        (older_ms + sum).div_ceil(lanes) + above
    };
    work.iter().map(|(above, _)| level(*above)).max()
}

/// Way above and own time of every task that counts for a class.
fn tasks(tree: &Tree, class: Class, params: &Params) -> Vec<(u64, u64)> {
    let counts = |kind: Kind| match class {
        Class::Rollup => true,
        Class::Vm => kind == Kind::Vm,
    };
    let places = tree.nodes().iter().enumerate().filter(|(_, node)| counts(node.kind));
    places
        .map(|(place, node)| {
            let own = params.p50(node.kind);
            (tree.way_ms(place, params) - own, own)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::sequencer::tests::params;

    fn tree(calls: &[u8]) -> Tree {
        Tree::new(calls).unwrap()
    }

    /// With p50 240 s for vm, 360 s for root and 300 s for the rest, a window of 3,000 s.
    #[track_caller]
    fn check(calls: &[u8], backlog: &[&[u8]], lanes: (u64, u64), wanted_s: Option<u64>) {
        let backlog: Vec<_> = backlog.iter().map(|calls| tree(calls)).collect();
        let lanes = Lanes { all: lanes.0, vm: lanes.1 };
        let needed = needed_ms(&tree(calls), &backlog, lanes, &params());
        assert_eq!(needed, wanted_s.map(|s| s * 1_000));
        let fits = wanted_s.is_some_and(|s| s <= 3_000);
        assert_eq!(admits(&tree(calls), &backlog, lanes, &params()), fits);
    }

    #[test]
    fn the_devnet_block_needs_what_the_preset_says() {
        // Critical path vm, kernel, base, merge, root: 1,500 s.
        check(&[1, 0], &[], (3, 3), Some(2_530));
    }

    #[test]
    fn more_work_than_lanes_is_bounded_by_the_work() {
        // 16 bases and 15 merges on three lanes: up to the second level of merges there are 28
        // tasks of 300 s, then two merges and the root.
        check(&[0; 16], &[], (3, 3), Some((28 * 300 / 3 + 960) * 12 / 10 + 730));
        // On 16 lanes the way counts: a base, four merges, the root.
        check(&[0; 16], &[], (16, 16), Some((300 + 1_560) * 12 / 10 + 730));
    }

    #[test]
    fn a_backlog_and_missing_lanes_count() {
        // One tx on one lane: base and root, 660 s; behind the same again 1,320 s.
        check(&[0], &[], (1, 1), Some(660 * 12 / 10 + 730));
        check(&[0], &[&[0]], (1, 1), Some(1_320 * 12 / 10 + 730));
        check(&[1], &[], (3, 0), None);
        check(&[0], &[], (0, 0), None);
    }

    #[test]
    fn vm_lanes_bound_the_calls() {
        // Three calls on one vm lane: 720 s, then the first kernel's way of 1,560 s; the vm level
        // of the later calls is lower.
        check(&[3], &[], (64, 1), Some((240 + 3 * 300 + 300 + 360) * 12 / 10 + 730));
    }
}
