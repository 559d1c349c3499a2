//! L1 as the machine follows it: who registered, where each slot stands, and exact undo (R12.2).
//!
//! Every change that a block makes is written down with what was there before, so that a reorg is
//! the inverse of what it takes back and nothing is guessed. Blocks deeper than
//! [`Params::undo_blocks_max`] are final for this machine.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    assign::deal_seed,
    domain::{Address, BlockId, Class, Hash, LaneId, Millis, ProverId, SequencerId, Slot, Word},
    io::L1Event,
    params::Params,
};

/// The newest L1 block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// Hash.
    pub hash: Hash,
    /// Unix seconds.
    pub time_s: u64,
}

/// A prover as registered (R1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration {
    /// L1 block of the registration.
    pub number: u64,
    /// Who its proofs pay.
    pub payout: Address,
    /// Lanes of class rollup; their numbers come first.
    pub rollup: u16,
    /// Lanes of class vm; their numbers follow.
    pub vm: u16,
}

impl Registration {
    /// The prover's lanes: numbers 0.. of class rollup, then those of class vm.
    pub fn lanes(&self, prover: ProverId) -> impl Iterator<Item = (LaneId, Class)> + use<> {
        let rollup = self.rollup;
        (0..rollup.saturating_add(self.vm)).map(move |number| {
            let class = if number < rollup { Class::Rollup } else { Class::Vm };
            (LaneId::new(prover, number), class)
        })
    }
}

/// The best proposal of a slot so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// By whom.
    pub sequencer: SequencerId,
    /// To what.
    pub commitment: Hash,
}

/// The revealed block of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reveal {
    /// Content.
    pub block: BlockId,
    /// What it opened.
    pub commitment: Hash,
    /// Claimed commitment to the txs.
    pub txs: Word,
    /// Number of txs.
    pub count: u16,
    /// The L1 block that holds it.
    pub number: u64,
    /// Its time, Unix seconds: the slot's clock (R2.1).
    pub time_s: u64,
}

/// How a slot was settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// State root afterwards.
    pub end: Word,
    /// Credit root.
    pub credit: Word,
    /// Payee of the root proof.
    pub payee: Address,
    /// Units of the whole tree.
    pub units: u64,
    /// What they share.
    pub pool: u128,
    /// Time of the L1 block, Unix seconds.
    pub time_s: u64,
}

/// What L1 says about one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotFacts {
    /// RANDAO of the exact seed block.
    pub seed: Option<Hash>,
    /// Best proposal.
    pub proposal: Option<Proposal>,
    /// RANDAO of the second block of the reveal phase.
    pub randao: Option<Hash>,
    /// The revealed block.
    pub reveal: Option<Reveal>,
    /// Its settlement.
    pub settled: Option<Settlement>,
    /// L1 block that last changed any of this.
    pub changed: u64,
}

impl SlotFacts {
    /// The reveal and the seed of its deal, once L1 has everything the deal needs.
    #[must_use]
    pub fn dealt(&self) -> Option<(Reveal, Hash)> {
        let reveal = self.reveal?;
        Some((reveal, deal_seed(self.seed?, reveal.commitment, self.randao?)))
    }
    /// End of the proving phase (R2.1): seconds after the reveal, whether or not L1 missed blocks.
    #[must_use]
    pub fn deadline(&self, params: &Params) -> Option<Millis> {
        let reveal = self.reveal?;
        Some(Millis((reveal.time_s + params.proving_blocks * params.l1_block_s) * 1000))
    }
    /// End of the backup phase in Unix seconds: afterwards nobody can settle the slot.
    fn end_s(&self, params: &Params) -> Option<u64> {
        let blocks = params.proving_blocks + params.halting_blocks + params.backup_blocks;
        Some(self.reveal?.time_s + blocks * params.l1_block_s)
    }
}

/// What one L1 block changed, with what was there before.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Undo {
    parent: Option<Head>,
    slots: Vec<(Slot, Option<SlotFacts>)>,
    provers: Vec<(ProverId, Option<Registration>)>,
}

/// Why a block was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChainFault {
    /// It does not stand on the newest block.
    Gap,
    /// The block to undo is not the newest one, or too deep.
    Undo,
}

/// L1 as followed so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    head: Option<Head>,
    provers: BTreeMap<ProverId, Registration>,
    slots: BTreeMap<Slot, SlotFacts>,
    undo: VecDeque<Undo>,
    /// Blocks undone since the start.
    pub undone: u64,
}

/// The parts of [`crate::Input::L1Block`] that place a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Height, hash and time.
    pub head: Head,
    /// Hash of the block before it.
    pub parent: Hash,
    /// RANDAO mix.
    pub randao: Hash,
}

impl Chain {
    /// The newest block.
    #[must_use]
    pub const fn head(&self) -> Option<Head> {
        self.head
    }
    /// Everything known about a slot.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> Option<&SlotFacts> {
        self.slots.get(&slot)
    }
    /// All slots that are kept, oldest first.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = (Slot, &SlotFacts)> {
        self.slots.iter().map(|(&slot, facts)| (slot, facts))
    }
    /// A prover's registration.
    #[must_use]
    pub fn prover(&self, prover: ProverId) -> Option<&Registration> {
        self.provers.get(&prover)
    }
    /// The lanes of the slot's epoch: what was registered at its snapshot block (R1.3).
    #[must_use]
    pub fn lanes_of(&self, slot: Slot, params: &Params) -> BTreeMap<LaneId, Class> {
        let snapshot = params.snapshot_block(slot);
        let active = self.provers.iter().filter(|(_, it)| it.number <= snapshot);
        active.flat_map(|(&prover, it)| it.lanes(prover)).collect()
    }

    /// Whether the slot can no longer be settled, at the newest block's time.
    #[must_use]
    pub fn lapsed(&self, slot: Slot, params: &Params) -> bool {
        let Some(head) = self.head else { return false };
        let Some(facts) = self.slots.get(&slot) else {
            return head.number >= params.reveal_end(slot);
        };
        match facts.end_s(params) {
            _ if facts.settled.is_some() => false,
            Some(end) => end < head.time_s,
            None => params.reveal_end(slot) <= head.number,
        }
    }
    /// Whether the slot's block is revealed and waits for its root proof.
    #[must_use]
    pub fn unsettled(&self, slot: Slot, params: &Params) -> bool {
        let open = |it: &SlotFacts| it.reveal.is_some() && it.settled.is_none();
        self.slots.get(&slot).is_some_and(open) && !self.lapsed(slot, params)
    }
    /// The slot that L1 settles next.
    #[must_use]
    pub fn oldest_unsettled(&self, params: &Params) -> Option<Slot> {
        self.slots.keys().copied().find(|&slot| self.unsettled(slot, params))
    }

    /// Takes the next block.
    ///
    /// # Errors
    /// [`ChainFault::Gap`] if it does not stand on the newest one; nothing changes then.
    pub fn extend(
        &mut self,
        header: Header,
        events: &[L1Event],
        params: &Params,
    ) -> Result<(), ChainFault> {
        let fits = |head: Head| {
            head.hash == header.parent && head.number.checked_add(1) == Some(header.head.number)
        };
        if !self.head.is_none_or(fits) {
            return Err(ChainFault::Gap);
        }
        self.undo.push_back(Undo { parent: self.head, slots: Vec::new(), provers: Vec::new() });
        if params.undo_blocks_max < self.undo.len() {
            self.undo.pop_front();
        }
        self.head = Some(header.head);
        if let Some(slot) = slot_of_deal_block(header.head.number, params) {
            self.change(slot).randao = Some(header.randao);
        }
        events.iter().for_each(|event| self.apply(event));
        self.prune(params);
        assert!(self.undo.len() <= params.undo_blocks_max, "undo is bounded");
        assert_eq!(
            self.head.map(|it| it.hash),
            Some(header.head.hash),
            "the newest block is taken"
        );
        Ok(())
    }

    /// Takes the newest block back.
    ///
    /// # Errors
    /// [`ChainFault::Undo`] if it is another block, or deeper than what is kept.
    pub fn revert(&mut self, hash: Hash) -> Result<(), ChainFault> {
        if self.head.is_none_or(|head| head.hash != hash) {
            return Err(ChainFault::Undo);
        }
        let Some(undo) = self.undo.pop_back() else { return Err(ChainFault::Undo) };
        let number = self.number();
        self.head = undo.parent;
        self.undone += 1;
        assert!(self.head.is_none_or(|it| it.number + 1 == number), "undo goes back one block");
        for (slot, before) in undo.slots.into_iter().rev() {
            restore(&mut self.slots, slot, before);
        }
        for (prover, before) in undo.provers.into_iter().rev() {
            restore(&mut self.provers, prover, before);
        }
        Ok(())
    }

    fn number(&self) -> u64 {
        self.head.map_or(0, |head| head.number)
    }

    /// The facts of a slot, about to be changed by the newest block.
    fn change(&mut self, slot: Slot) -> &mut SlotFacts {
        let number = self.number();
        let before = self.slots.get(&slot).copied();
        if let Some(undo) = self.undo.back_mut() {
            undo.slots.push((slot, before));
        }
        let facts = self.slots.entry(slot).or_default();
        facts.changed = number;
        facts
    }

    fn apply(&mut self, event: &L1Event) {
        let time_s = self.head.map_or(0, |head| head.time_s);
        match *event {
            L1Event::ProverRegistered { prover, payout, rollup, vm, .. } => {
                let registration = Registration { number: self.number(), payout, rollup, vm };
                let before = self.provers.insert(prover, registration);
                if let Some(undo) = self.undo.back_mut() {
                    undo.provers.push((prover, before));
                }
            }
            L1Event::Seed { slot, seed } => self.change(slot).seed = Some(seed),
            L1Event::Proposed { slot, sequencer, commitment, .. } => {
                self.change(slot).proposal = Some(Proposal { sequencer, commitment });
            }
            L1Event::Revealed { slot, block, commitment, txs, count } => {
                let number = self.number();
                let reveal = Reveal { block, commitment, txs, count, number, time_s };
                self.change(slot).reveal = Some(reveal);
            }
            L1Event::Settled { slot, end, credit, payee, units, pool } => {
                let settlement = Settlement { end, credit, payee, units, pool, time_s };
                self.change(slot).settled = Some(settlement);
            }
            L1Event::SequencerRegistered { .. }
            | L1Event::ProverLeft { .. }
            | L1Event::Named { .. }
            | L1Event::Paid { .. } => (),
        }
    }

    /// Forgets slots that are over and that no undo can reach, but keeps the newest few for
    /// the screens. At most [`SLOTS_KEPT`] plus the slots of the undo window remain.
    fn prune(&mut self, params: &Params) {
        let window = params.undo_blocks_max as u64;
        let horizon = self.number().saturating_sub(window);
        while SLOTS_KEPT < self.slots.len() {
            let Some((&slot, facts)) = self.slots.first_key_value() else { break };
            let over = facts.settled.is_some() || self.lapsed(slot, params);
            if horizon <= facts.changed || !over {
                break;
            }
            self.slots.pop_first();
        }
    }
}

/// Slots that stay visible after they are over: what one screen of the console shows.
pub const SLOTS_KEPT: usize = 16;

fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

/// The slot whose deal takes its randomness from L1 block `number`, if any does.
fn slot_of_deal_block(number: u64, params: &Params) -> Option<Slot> {
    let first = params.deal_block(Slot(0));
    let past = number.checked_sub(first)?;
    let length = params.slot_blocks();
    past.is_multiple_of(length).then(|| Slot(past / length))
}

#[cfg(test)]
mod tests;
