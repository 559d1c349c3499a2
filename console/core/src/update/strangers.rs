//! The boundary: what comes over the socket was in part written by strangers (peers, block
//! content, error texts). After this nothing in a snapshot can move the cursor or fill the memory.

use std::borrow::Cow;

use wire::control::{
    Alert, Event, LaneView, NodeView, PayeeView, PeerView, PhaseView, SlotEarning, SlotView,
    Snapshot, SubtreeView, TaskView,
};

use crate::text::{TEXT_MAX, clean};

/// As the control API promises.
const SLOTS_MAX: usize = 16;
/// As the control API promises, for tasks, events and settled slots.
const LIST_MAX: usize = 64;
/// A block of 65,536 txs has fewer than 2^19 nodes at three calls a tx.
const NODES_MAX: usize = 1 << 19;
/// One per tx in a block of 65,536.
const SUBTREES_MAX: usize = 1 << 16;
/// More alerts than this are not read by a person.
const ALERTS_MAX: usize = 64;
/// A full mesh of the devnet has 8; a screen has room for fewer than this.
const PEERS_MAX: usize = 1024;
/// Lanes of one machine: 65,536 by number, 256 by sense.
const LANES_MAX: usize = 256;
/// Longest name, address, id or word of state.
const WORD_MAX: usize = 80;

/// Cleans every text and cuts every list.
pub(super) fn tame(snapshot: &mut Snapshot) {
    let Snapshot {
        schema: _,
        seq: _,
        at_ms: _,
        version,
        name,
        network,
        simulated: _,
        insecure_setup: _,
        phase,
        idle_code,
        idle_text,
        health,
        slots,
        lanes,
        tasks,
        earnings,
        stake,
        peers,
        machine: _,
        l1,
        alerts,
        events,
    } = snapshot;
    words([version, name, network, phase, health, &mut l1.endpoint]);
    words(idle_code.as_mut());
    sentence(idle_text.as_mut());
    words([&mut earnings.payee, &mut earnings.token, &mut earnings.claimable, &mut earnings.paid]);
    words([&mut stake.state, &mut stake.operator, &mut stake.bond, &mut stake.bond_per_lane]);
    words([&mut stake.slashed, &mut stake.gas_wei]);
    // The newest stand at the end of this list and at the front of the others.
    slots.drain(..slots.len().saturating_sub(SLOTS_MAX));
    slots.iter_mut().for_each(slot);
    each(lanes, LANES_MAX, lane);
    each(tasks, LIST_MAX, task);
    each(&mut earnings.slots, LIST_MAX, earning);
    each(peers, PEERS_MAX, peer);
    each(alerts, ALERTS_MAX, alert);
    each(events, LIST_MAX, event);
}

fn each<T>(list: &mut Vec<T>, most: usize, mut tame: impl FnMut(&mut T)) {
    list.truncate(most);
    list.iter_mut().for_each(&mut tame);
}

fn words<'a>(texts: impl IntoIterator<Item = &'a mut String>) {
    for text in texts {
        keep(text, WORD_MAX);
    }
}

/// Our own words, which are borrowed, are plain.
fn word(text: &mut Cow<'static, str>) {
    if let Cow::Owned(text) = text {
        keep(text, WORD_MAX);
    }
}

fn sentence(text: Option<&mut String>) {
    if let Some(text) = text {
        keep(text, TEXT_MAX);
    }
}

/// Most texts are short and plain: those are left where they are.
fn keep(text: &mut String, most: usize) {
    let plain = text.len() <= most && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !plain {
        *text = clean(text, most);
    }
}

fn slot(slot: &mut SlotView) {
    words([&mut slot.phase]);
    words(slot.block.as_mut().into_iter().chain(slot.pool.as_mut()));
    each(&mut slot.payees, LIST_MAX, |payee: &mut PayeeView| {
        words([&mut payee.address, &mut payee.amount]);
    });
    each(&mut slot.phases, SLOTS_MAX, |phase: &mut PhaseView| {
        words([&mut phase.name, &mut phase.state]);
    });
    each(&mut slot.nodes, NODES_MAX, |node: &mut NodeView| {
        word(&mut node.kind);
        word(&mut node.state);
    });
    each(&mut slot.subtrees, SUBTREES_MAX, |subtree: &mut SubtreeView| {
        words([&mut subtree.lane]);
    });
}

fn lane(lane: &mut LaneView) {
    words([&mut lane.lane, &mut lane.class, &mut lane.state]);
    words(lane.node.as_mut().into_iter().chain(lane.step.as_mut()));
}

fn task(task: &mut TaskView) {
    words([&mut task.node, &mut task.task, &mut task.state]);
}

fn earning(earning: &mut SlotEarning) {
    words([&mut earning.amount, &mut earning.state]);
}

fn peer(peer: &mut PeerView) {
    words([&mut peer.key, &mut peer.who, &mut peer.address]);
}

fn alert(alert: &mut Alert) {
    words([&mut alert.level, &mut alert.code]);
    sentence(Some(&mut alert.text));
}

fn event(event: &mut Event) {
    words([&mut event.source]);
    sentence(Some(&mut event.text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_snapshot_keeps_a_control_character() {
        let bad = || "a\u{1b}]52;c;AAAA\u{7}\u{202e}b".to_owned();
        let mut snapshot = Snapshot {
            name: bad(),
            idle_text: Some(bad()),
            slots: vec![SlotView {
                phase: bad(),
                block: Some(bad()),
                nodes: vec![NodeView { state: bad().into(), ..NodeView::default() }],
                subtrees: vec![SubtreeView { lane: bad(), ..SubtreeView::default() }],
                phases: vec![PhaseView { name: bad(), ..PhaseView::default() }],
                ..SlotView::default()
            }],
            lanes: vec![LaneView { node: Some(bad()), ..LaneView::default() }],
            tasks: vec![TaskView { node: bad(), ..TaskView::default() }],
            peers: vec![PeerView { who: bad(), ..PeerView::default() }],
            alerts: vec![Alert { text: bad(), ..Alert::default() }],
            events: vec![Event { text: bad(), ..Event::default() }],
            ..Snapshot::default()
        };
        snapshot.earnings.payee = bad();
        snapshot.stake.operator = bad();
        snapshot.l1.endpoint = bad();
        tame(&mut snapshot);
        let shown = format!("{snapshot:?}");
        assert!(!shown.contains("\\u{"), "{shown}");
        assert_eq!(shown.matches("a]52;c;AAAAb").count(), 15, "{shown}");
    }

    #[test]
    fn lists_keep_their_newest_end() {
        let view = |slot| SlotView { slot, ..SlotView::default() };
        let mut snapshot = Snapshot {
            slots: (0..100).map(view).collect(),
            events: vec![Event::default(); 10_000],
            ..Snapshot::default()
        };
        tame(&mut snapshot);
        assert_eq!(snapshot.slots.len(), SLOTS_MAX);
        assert_eq!(snapshot.slots.last().map(|slot| slot.slot), Some(99));
        assert_eq!(snapshot.events.len(), LIST_MAX);
    }
}
