//! One sequencer, slot by slot: seed, draft, proposal, reveal (R2, slice section 6).
//!
//! A pure machine like the core: L1 blocks in, ordered actions out. What it knows of L1 is a
//! function of the canonical blocks alone and is undone exactly; what it has sent is kept beside
//! that, so a proposal or reveal that a reorg took away is simply missing again and is sent again.
//! A sealed block with its salt is durable before its commitment is spoken: a sequencer that
//! cannot reveal what it committed to has lost its slot.

use std::collections::{BTreeMap, VecDeque};

use protocol::{BlockId, Hash, L1Event, Params, SequencerId, Slot};

pub(crate) mod sealed;
mod view;

pub(crate) use sealed::Sealed;
use view::{Proposal, View};

/// L1 blocks between a slot's seed block and its start (R2.2).
const SEED_LOOK_BACK: u64 = 64;
/// A seed is shown this many L1 blocks before its slot: one to be mined, one in reserve.
const SEED_LEAD_BLOCKS: u64 = 2;
/// A transaction without effect is sent again after this many L1 blocks; the sender below raises
/// its fee by then.
const RESEND_BLOCKS: u64 = 3;

/// What the sequencer wants done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SequencerAction {
    /// Send `showSeed` with the header of L1 block `header`.
    ShowSeed {
        /// For which slot.
        slot: Slot,
        /// Number of the L1 block whose header is the seed.
        header: u64,
    },
    /// Send `lapse`: L1 gives up by itself nothing, and takes no further block before.
    Lapse {
        /// The oldest revealed slot, whose window has passed.
        slot: Slot,
    },
    /// Fill a draft on top of `parent` and draw the VRF, then answer with
    /// [`Sequencer::built`].
    Build {
        /// For which slot.
        slot: Slot,
        /// Input of the VRF.
        seed: Hash,
        /// The block to stand on; zero for the first.
        parent: BlockId,
    },
    /// Make the block durable before anything after it.
    Persist(Box<Sealed>),
    /// The block holds its txs: the mempool takes them out.
    Take {
        /// Which block.
        slot: Slot,
        /// Its name.
        block: BlockId,
    },
    /// The block will not be on L1: its txs wait again.
    GiveBack {
        /// Which block.
        slot: Slot,
        /// Its name.
        block: BlockId,
    },
    /// Send `propose`.
    Propose {
        /// For which slot.
        slot: Slot,
        /// To which block.
        commitment: Hash,
        /// Proof of the VRF.
        vrf: Vec<u8>,
    },
    /// Send `reveal`.
    Reveal(Box<Sealed>),
    /// The block is on L1: make and serve its witnesses.
    Serve {
        /// Which slot.
        slot: Slot,
        /// Its name.
        block: BlockId,
    },
    /// The durable block is no longer needed.
    Forget {
        /// Which slot.
        slot: Slot,
    },
    /// Tell the operator.
    Note {
        /// Stable code.
        code: &'static str,
        /// One sentence with the values.
        text: String,
    },
}

/// Where the next L1 block falls in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Early,
    Proposal,
    Reveal,
    Over,
}

/// What becomes of our block, as L1 stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// A reorg went back before its slot.
    Early,
    /// It may be proposed.
    Open,
    /// It is the best proposal so far.
    Best,
    /// It may be revealed.
    Won,
    /// It is on L1.
    Revealed,
    /// Another's proposal is better.
    Outbid,
    /// It was built on a block that is no longer the newest. There is no second draft: our
    /// proposal may still be mined, L1 takes one per score, and the block below may come back.
    Orphaned,
    /// Its phases ended without a reveal, or L1 gave it up.
    Lapsed,
}

/// What we sent last for a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Lapse,
    Seed,
    Build,
    Propose,
    Reveal,
}

#[derive(Clone, Debug)]
struct Own {
    sealed: Sealed,
    /// Whether the mempool was told to take the txs, and not to give them back since.
    taken: bool,
    /// Whether `Serve` was said since the block was last seen on L1.
    served: bool,
}

/// The machine. One per sequencer process.
#[derive(Debug)]
pub(crate) struct Sequencer {
    me: SequencerId,
    params: Params,
    view: View,
    /// Newest last: the block's hash and what was known before it.
    undo: VecDeque<(Hash, View)>,
    own: BTreeMap<Slot, Own>,
    /// L1 head at which a step was last sent.
    sent: BTreeMap<(Slot, Step), u64>,
}

impl Sequencer {
    /// A sequencer that knows nothing of L1 yet, with the blocks that were durable when it
    /// stopped.
    pub(crate) fn new(me: SequencerId, params: Params, durable: Vec<Sealed>) -> Self {
        let own = durable
            .into_iter()
            .map(|sealed| (sealed.slot, Own { sealed, taken: false, served: false }))
            .collect();
        Self {
            me,
            params,
            view: View::default(),
            undo: VecDeque::new(),
            own,
            sent: BTreeMap::new(),
        }
    }

    /// A canonical L1 block (its number and Unix seconds), on top of the last, with the slots it
    /// gave up after their window. [`Self::act`] follows when it is the newest one; while the past
    /// is read, nothing is to be done.
    pub(crate) fn l1_block(
        &mut self,
        (number, time_s): (u64, u64),
        hash: Hash,
        events: &[L1Event],
        lapsed: &[Slot],
    ) {
        self.undo.push_back((hash, self.view.clone()));
        if self.undo.len() > self.params.undo_blocks_max {
            self.undo.pop_front();
        }
        (self.view.head, self.view.time_s) = (number, time_s);
        events.iter().for_each(|event| self.view.apply(self.me, event));
        lapsed.iter().for_each(|slot| self.view.lapse(*slot));
        let next = self.params.slot_at(number + 1);
        self.view.prune(next);
    }

    /// The newest L1 block left the canonical chain. [`Self::act`] waits for the next block, which
    /// shows what stands in its place.
    ///
    /// # Errors
    /// The note to show when `hash` is not the newest block known, or more blocks were undone than
    /// are remembered: the view is then rebuilt by feeding L1 from the start.
    pub(crate) fn l1_undo(&mut self, hash: Hash) -> Result<(), SequencerAction> {
        match self.undo.pop_back() {
            Some((newest, before)) if newest == hash => {
                self.view = before;
                Ok(())
            }
            Some(other) => {
                let text = format!("L1 block {hash} was undone, but {} is the newest", other.0);
                self.undo.push_back(other);
                Err(SequencerAction::Note { code: "SEQ-004", text })
            }
            None => {
                let text = format!("L1 block {hash} is older than the blocks that can be undone");
                Err(SequencerAction::Note { code: "SEQ-004", text })
            }
        }
    }

    /// The answer to [`SequencerAction::Build`]: the sealed block, or none when no tx fits.
    pub(crate) fn built(&mut self, slot: Slot, sealed: Option<Sealed>) -> Vec<SequencerAction> {
        let Some(sealed) = sealed else { return Vec::new() };
        assert_eq!(sealed.slot, slot, "a draft is sealed for the slot it was asked for");
        let asked = self.sent.contains_key(&(slot, Step::Build));
        if !asked || self.own.contains_key(&slot) {
            return Vec::new();
        }
        let mut actions = vec![SequencerAction::Persist(Box::new(sealed.clone()))];
        self.own.insert(slot, Own { sealed, taken: false, served: false });
        self.act_on_own(slot, &mut actions);
        actions
    }

    /// The durable block of a slot, while it is remembered.
    pub(crate) fn sealed(&self, slot: Slot) -> Option<&Sealed> {
        self.own.get(&slot).map(|own| &own.sealed)
    }

    /// The slot into which the next L1 block falls.
    pub(crate) fn next_slot(&self) -> Slot {
        self.params.slot_at(self.view.head + 1)
    }

    /// Everything that follows from L1 as it stands; `waiting` is the number of txs in the
    /// mempool. Safe to call at any time after the newest L1 block was told.
    pub(crate) fn act(&mut self, waiting: usize) -> Vec<SequencerAction> {
        let mut actions = Vec::new();
        self.lapse(&mut actions);
        let slots: Vec<Slot> = self.own.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.act_on_own(slot, &mut actions));
        if waiting > 0 && self.has_room() {
            self.show_seed(&mut actions);
            self.build(&mut actions);
        }
        self.forget(&mut actions);
        actions
    }

    /// R2.4: a further block may be revealed while fewer than `build_ahead_max` are unsettled.
    fn has_room(&self) -> bool {
        let unsettled = self.view.slots.values().filter(|it| it.is_unsettled()).count();
        (unsettled as u64) < self.params.build_ahead_max
    }

    /// Nobody else has to give up a block that was not proved in time, and none can be revealed
    /// while it stands.
    fn lapse(&mut self, actions: &mut Vec<SequencerAction>) {
        let p = &self.params;
        let window_s = (p.proving_blocks + p.halting_blocks + p.backup_blocks) * p.l1_block_s;
        let Some((slot, oldest)) = self.view.oldest_unsettled() else { return };
        let over = oldest.revealed_s.saturating_add(window_s) < self.view.time_s;
        if over && self.may_send(slot, Step::Lapse) {
            actions.push(SequencerAction::Lapse { slot });
        }
    }

    fn show_seed(&mut self, actions: &mut Vec<SequencerAction>) {
        let slot = self.params.slot_at(self.view.head + 1 + SEED_LEAD_BLOCKS);
        if self.phase(slot) == Phase::Reveal || self.view.slot(slot).seed.is_some() {
            return;
        }
        let Some(header) = self.electable(slot) else { return };
        let soon = self.params.slot_start(slot) <= self.view.head + 1 + SEED_LEAD_BLOCKS;
        if soon && self.may_send(slot, Step::Seed) {
            actions.push(SequencerAction::ShowSeed { slot, header });
        }
    }

    /// The slot's seed block, if we registered before it: a younger key could have been chosen to
    /// win, and L1 refuses it.
    fn electable(&self, slot: Slot) -> Option<u64> {
        let header = self.params.slot_start(slot).checked_sub(SEED_LOOK_BACK)?;
        let registered = self.view.since.is_some_and(|since| since < header);
        (registered && header <= self.view.head).then_some(header)
    }

    fn build(&mut self, actions: &mut Vec<SequencerAction>) {
        let slot = self.next_slot();
        let in_time = self.phase(slot) == Phase::Proposal && self.electable(slot).is_some();
        let Some(seed) = self.view.slot(slot).seed.filter(|_| in_time) else { return };
        if !self.own.contains_key(&slot) && self.may_send(slot, Step::Build) {
            let parent = self.view.parent(slot);
            actions.push(SequencerAction::Build { slot, seed, parent });
        }
    }

    fn act_on_own(&mut self, slot: Slot, actions: &mut Vec<SequencerAction>) {
        let Some(own) = self.own.get(&slot) else { return };
        let fate = self.fate(&own.sealed);
        let sealed = own.sealed.clone();
        self.keep_txs(slot, fate, actions);
        match fate {
            Fate::Open => {
                self.sent.remove(&(slot, Step::Reveal));
                if self.may_send(slot, Step::Propose) {
                    let Sealed { commitment, vrf, .. } = sealed;
                    actions.push(SequencerAction::Propose { slot, commitment, vrf });
                }
            }
            Fate::Best => {
                self.sent.remove(&(slot, Step::Propose));
            }
            Fate::Won => {
                self.set_served(slot, false);
                if self.has_room() && self.may_send(slot, Step::Reveal) {
                    actions.push(SequencerAction::Reveal(Box::new(sealed)));
                }
            }
            Fate::Revealed => self.on_revealed(slot, sealed.block, actions),
            Fate::Early | Fate::Outbid | Fate::Lapsed | Fate::Orphaned => {}
        }
    }

    /// Tells the mempool once when the block takes its txs and once when it gives them back.
    fn keep_txs(&mut self, slot: Slot, fate: Fate, actions: &mut Vec<SequencerAction>) {
        let why = match fate {
            Fate::Early | Fate::Open | Fate::Best | Fate::Won | Fate::Revealed => None,
            Fate::Outbid => Some(("SEQ-001", "another sequencer's proposal is better")),
            Fate::Orphaned => Some(("SEQ-002", "the block below it left the chain")),
            Fate::Lapsed => Some(("SEQ-003", "it was not revealed, or not proved, in time")),
        };
        let holds = why.is_none();
        let Some(own) = self.own.get_mut(&slot) else { return };
        if own.taken == holds {
            return;
        }
        own.taken = holds;
        let block = own.sealed.block;
        match why {
            None => actions.push(SequencerAction::Take { slot, block }),
            Some((code, why)) => {
                actions.push(SequencerAction::GiveBack { slot, block });
                let text = format!("block {block} of slot {slot} is given up: {why}");
                actions.push(SequencerAction::Note { code, text });
            }
        }
    }

    fn on_revealed(&mut self, slot: Slot, block: BlockId, actions: &mut Vec<SequencerAction>) {
        self.sent.remove(&(slot, Step::Propose));
        self.sent.remove(&(slot, Step::Reveal));
        if self.set_served(slot, true) {
            actions.push(SequencerAction::Serve { slot, block });
        }
    }

    /// Whether this changed anything.
    fn set_served(&mut self, slot: Slot, served: bool) -> bool {
        let Some(own) = self.own.get_mut(&slot) else { return false };
        let changed = own.served != served;
        own.served = served;
        changed
    }

    /// Old slots end: no reorg that can be undone brings them back.
    fn forget(&mut self, actions: &mut Vec<SequencerAction>) {
        let head = self.view.head;
        let kept = self.params.undo_blocks_max as u64;
        let params = &self.params;
        let over = |slot: &Slot| params.slot_start(Slot(slot.0 + 1)).saturating_add(kept) <= head;
        let view = &self.view;
        self.sent.retain(|(slot, _), _| !over(slot) || view.slot(*slot).is_unsettled());
        let old: Vec<Slot> = self
            .own
            .keys()
            .copied()
            .filter(|slot| over(slot) && !self.view.slot(*slot).is_unsettled())
            .collect();
        for slot in old {
            self.own.remove(&slot);
            actions.push(SequencerAction::Forget { slot });
        }
    }

    /// Remembers a send, unless the same was sent a moment ago.
    fn may_send(&mut self, slot: Slot, step: Step) -> bool {
        let head = self.view.head;
        match self.sent.get(&(slot, step)) {
            // After a reorg the head may be lower than it was at the send.
            Some(at) if head >= *at && head - at < RESEND_BLOCKS => false,
            _ => {
                self.sent.insert((slot, step), head);
                true
            }
        }
    }

    fn fate(&self, sealed: &Sealed) -> Fate {
        let view = self.view.slot(sealed.slot);
        let ours = |it: &Proposal| it.by == self.me && it.commitment == sealed.commitment;
        if let Some((_, commitment)) = view.revealed {
            return if commitment == sealed.commitment { Fate::Revealed } else { Fate::Outbid };
        }
        let phase = self.phase(sealed.slot);
        if phase != Phase::Over && self.view.parent(sealed.slot) != sealed.parent {
            return Fate::Orphaned;
        }
        match (phase, view.best) {
            (Phase::Over, _) => Fate::Lapsed,
            (Phase::Early, _) => Fate::Early,
            (Phase::Reveal, Some(best)) if ours(&best) => Fate::Won,
            (Phase::Proposal, Some(best)) if ours(&best) => Fate::Best,
            (_, Some(best)) if self.beats(&best, sealed) => Fate::Outbid,
            (Phase::Proposal, _) => Fate::Open,
            (Phase::Reveal, _) => Fate::Lapsed,
        }
    }

    /// R2.2: the highest score wins, ties go to the lower sequencer id. Our own earlier proposal
    /// of another block stands, because L1 takes no second one with the same score.
    fn beats(&self, best: &Proposal, sealed: &Sealed) -> bool {
        (best.score, std::cmp::Reverse(best.by)) >= (sealed.score, std::cmp::Reverse(self.me))
    }

    /// The phase of `slot` into which the next L1 block falls.
    fn phase(&self, slot: Slot) -> Phase {
        let next = self.view.head + 1;
        let Some(since) = next.checked_sub(self.params.slot_start(slot)) else {
            return Phase::Early;
        };
        let Params { proposal_blocks: proposal, reveal_blocks: reveal, .. } = self.params;
        match since {
            _ if since < proposal => Phase::Proposal,
            _ if since < proposal + reveal => Phase::Reveal,
            _ => Phase::Over,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
