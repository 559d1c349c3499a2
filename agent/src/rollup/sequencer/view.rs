//! What the canonical L1 blocks say about slots: a value, so that undoing is putting the old one
//! back.

use std::collections::BTreeMap;

use protocol::{BlockId, Hash, L1Event, SequencerId, Slot};

/// Slots that are remembered without a revealed block.
const SLOTS_KEPT: u64 = 64;

/// One slot as L1 shows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct SlotView {
    pub(super) seed: Option<Hash>,
    pub(super) best: Option<Proposal>,
    pub(super) revealed: Option<(BlockId, Hash)>,
    pub(super) settled: bool,
}

impl SlotView {
    /// Revealed, not settled, not given up.
    pub(super) const fn is_unsettled(&self) -> bool {
        self.revealed.is_some() && !self.settled
    }
}

/// The best proposal of a slot so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Proposal {
    pub(super) by: SequencerId,
    pub(super) commitment: Hash,
    pub(super) score: Hash,
}

/// What the canonical L1 blocks say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct View {
    pub(super) head: u64,
    /// L1 block of our registration.
    pub(super) since: Option<u64>,
    pub(super) slots: BTreeMap<Slot, SlotView>,
}

impl View {
    pub(super) fn slot(&self, slot: Slot) -> SlotView {
        self.slots.get(&slot).cloned().unwrap_or_default()
    }

    /// The newest revealed block before `slot`; zero if there is none.
    pub(super) fn parent(&self, slot: Slot) -> BlockId {
        let before = self.slots.range(..slot).rev();
        before.filter_map(|(_, it)| it.revealed).map(|(block, _)| block).next().unwrap_or_default()
    }

    pub(super) fn apply(&mut self, me: SequencerId, event: &L1Event) {
        match *event {
            L1Event::Seed { slot, seed } => self.slots.entry(slot).or_default().seed = Some(seed),
            L1Event::Proposed { slot, sequencer: by, commitment, score } => {
                let best = Proposal { by, commitment, score };
                self.slots.entry(slot).or_default().best = Some(best);
            }
            L1Event::Revealed { slot, block, commitment, .. } => {
                self.slots.entry(slot).or_default().revealed = Some((block, commitment));
            }
            L1Event::Settled { slot, .. } => self.slots.entry(slot).or_default().settled = true,
            L1Event::SequencerRegistered { sequencer, .. } if sequencer == me => {
                self.since = Some(self.head);
            }
            L1Event::SequencerRegistered { .. }
            | L1Event::ProverLeft { .. }
            | L1Event::Named { .. }
            | L1Event::ProverRegistered { .. }
            | L1Event::Paid { .. } => {}
        }
    }

    /// L1 gave the slot up after its window: its block is nobody's parent any more.
    pub(super) fn lapse(&mut self, slot: Slot) {
        self.slots.entry(slot).or_default().revealed = None;
    }

    /// Keeps unsettled blocks, the newest revealed one (the next one's parent) and recent slots.
    pub(super) fn prune(&mut self, next: Slot) {
        let newest = self.slots.iter().rev().find(|(_, it)| it.revealed.is_some());
        let newest = newest.map(|(slot, _)| *slot);
        self.slots.retain(|slot, it| {
            let recent = slot.0.saturating_add(SLOTS_KEPT) >= next.0;
            recent || Some(*slot) == newest || it.is_unsettled()
        });
    }
}
