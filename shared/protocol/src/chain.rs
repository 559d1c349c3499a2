//! L1 as the machine follows it: who registered, where each slot stands, and exact undo (R12.2).
//!
//! Every change that a block makes is written down with what was there before, so that a reorg is
//! the inverse of what it takes back and nothing is guessed. Blocks deeper than
//! [`Params::undo_blocks_max`] are final for this machine.

mod registry;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{
    assign::{deal_seed, memo::Memo},
    domain::{Address, BlockId, Class, Hash, LaneId, Millis, ProverId, SequencerId, Slot, Word},
    epoch::{
        Epoch,
        members::{Probation, Set},
    },
    io::L1Event,
    params::Params,
    slot::{naming::Naming, phase::Windows},
};
pub use registry::{Registration, Registry};

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
    /// The circuit set that proves it (R13.1).
    pub set: Word,
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
    /// The leader's word about who proves it (R2.6, R14).
    pub naming: Naming,
    /// Its settlement.
    pub settled: Option<Settlement>,
    /// L1 block that last changed any of this.
    pub changed: u64,
}

impl SlotFacts {
    /// Whether L1 has everything that the slot's deal needs.
    #[must_use]
    pub const fn is_dealt(&self) -> bool {
        self.reveal.is_some() && self.seed.is_some() && self.randao.is_some()
    }
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
    /// Who was registered, if that changed.
    registry: Option<(Arc<Registry>, Hash)>,
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
    registry: Arc<Registry>,
    /// The block that last changed the registry: with it everything before.
    registry_key: Hash,
    /// Height and hash of the blocks that changed the registry or credited a lane, as far back as a
    /// deal may reach.
    registry_keys: VecDeque<(u64, Hash)>,
    /// What each lane was credited (R1.4).
    probation: Probation,
    slots: BTreeMap<Slot, SlotFacts>,
    undo: VecDeque<Undo>,
    /// Counts changes of anything but the newest block.
    changes: u64,
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
        self.registry.prover(prover)
    }
    /// Whether this address is another registered prover's than this one's.
    #[must_use]
    pub fn pays_another(&self, payee: Address, than: ProverId) -> bool {
        let own = self.prover(than).is_some_and(|it| it.payout == payee);
        !own && self.registry.paid_at(payee).next().is_some()
    }
    /// The set of the slot's epoch: what was registered at its snapshot block (R1.3), with what
    /// each lane may do (R1.4). Coverage is not read from L1: nobody is suspended.
    #[must_use]
    pub fn set_of(&self, slot: Slot, params: &Params) -> Set {
        let epoch = Epoch::of(slot, params);
        self.registry.members().set(epoch, params, &self.probation, |_| false)
    }
    /// The lanes of the slot's epoch that are dealt work.
    #[must_use]
    pub fn lanes_of(&self, slot: Slot, params: &Params) -> BTreeMap<LaneId, Class> {
        self.set_of(slot, params).active()
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
        self.extend_known(header, events, params, &Memo::default())
    }

    /// The same, with the registry that another machine of this process made from the same blocks.
    pub(crate) fn extend_known(
        &mut self,
        header: Header,
        events: &[L1Event],
        params: &Params,
        memo: &Memo,
    ) -> Result<(), ChainFault> {
        let fits = |head: Head| {
            head.hash == header.parent && head.number.checked_add(1) == Some(header.head.number)
        };
        if !self.head.is_none_or(fits) {
            return Err(ChainFault::Gap);
        }
        self.undo.push_back(Undo { parent: self.head, slots: Vec::new(), registry: None });
        if params.undo_blocks_max < self.undo.len() {
            self.undo.pop_front();
        }
        self.head = Some(header.head);
        if let Some(slot) = slot_of_deal_block(header.head.number, params) {
            self.change(slot).randao = Some(header.randao);
        }
        let known = registers(events).then(|| memo.known_registry(header.head.hash)).flatten();
        if let Some(registry) = known {
            self.change_registry();
            self.registry = registry;
        } else {
            events.iter().for_each(|event| self.apply(event, params));
        }
        self.prune(params);
        self.share(memo);
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
        self.changes += 1;
        assert!(self.head.is_none_or(|it| it.number + 1 == number), "undo goes back one block");
        for (slot, before) in undo.slots.into_iter().rev() {
            restore(&mut self.slots, slot, before);
        }
        if let Some((registry, key)) = undo.registry {
            self.registry = registry;
            self.registry_key = key;
        }
        self.probation.revert(number);
        self.registry_keys.pop_back_if(|it| it.0 == number);
        Ok(())
    }

    fn number(&self) -> u64 {
        self.head.map_or(0, |head| head.number)
    }

    /// The facts of a slot, about to be changed by the newest block.
    fn change(&mut self, slot: Slot) -> &mut SlotFacts {
        let number = self.number();
        self.changes += 1;
        let before = self.slots.get(&slot).copied();
        if let Some(undo) = self.undo.back_mut() {
            undo.slots.push((slot, before));
        }
        let facts = self.slots.entry(slot).or_default();
        facts.changed = number;
        facts
    }

    /// The registry, about to be changed by the newest block.
    fn change_registry(&mut self) -> &mut Registry {
        self.changes += 1;
        let before = (Arc::clone(&self.registry), self.registry_key);
        if let Some(undo) = self.undo.back_mut() {
            undo.registry.get_or_insert(before);
        }
        if let Some(head) = self.head {
            self.registry_key = head.hash;
        }
        self.note_key();
        Arc::make_mut(&mut self.registry)
    }

    /// The newest block changed what deals are made from.
    fn note_key(&mut self) {
        let Some(head) = self.head else { return };
        if self.registry_keys.back().is_none_or(|it| it.0 != head.number) {
            self.registry_keys.push_back((head.number, head.hash));
        }
    }

    /// L1 pays payees and not lanes: what a prover is paid for counts for its lanes in their order,
    /// until each was credited enough (R1.4).
    fn credit(&mut self, payee: Address, params: &Params) {
        let number = self.number();
        let missing = |it: &(LaneId, Class)| 0 < self.probation.missing(it.0, it.1, params);
        let Some((lane, class)) = self.registry.paid_at(payee).find(missing) else { return };
        self.probation.credit(lane, class, number, params);
        self.note_key();
    }

    /// The leader's word. One that is on L1 before the reveal waits for it.
    fn name(&mut self, slot: Slot, word: Naming, time_s: u64, params: &Params) {
        let facts = self.slots.get(&slot).copied().unwrap_or_default();
        let windows = Windows::new(params, facts.reveal.map_or(time_s, |it| it.time_s));
        let lanes = self.registry.members().lanes(Epoch::of(slot, params), params);
        let bonded = |prover| lanes.keys().any(|it| it.prover() == prover);
        let mut naming = facts.naming;
        if naming.speak(word, &windows, time_s, bonded).is_ok() {
            self.change(slot).naming = naming;
        }
    }

    /// Uses the registry that another machine of this process made from the same blocks.
    fn share(&mut self, memo: &Memo) {
        if self.head.is_some_and(|it| it.hash == self.registry_key) {
            self.registry = memo.registry(self.registry_key, &self.registry);
        }
    }
    /// Names the registrations that a slot's deal is made from: those up to its snapshot.
    #[must_use]
    pub fn registry_key(&self, slot: Slot, params: &Params) -> Hash {
        let snapshot = params.snapshot_block(slot);
        let before = self.registry_keys.iter().rev().find(|it| it.0 <= snapshot);
        before.map_or(Hash::default(), |it| it.1)
    }
    /// Rises whenever a slot or a registration changed.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }
    /// Seeds and numbers of txs of the slots that were dealt before this one in its epoch (R4.2).
    #[must_use]
    pub fn dealt_before(&self, slot: Slot, params: &Params) -> Vec<(Hash, u16)> {
        let first = Slot(slot.0 - slot.0 % params.epoch_slots);
        let earlier = self.slots.range(first..slot);
        earlier.filter_map(|(_, it)| it.dealt()).map(|(it, seed)| (seed, it.count)).collect()
    }

    fn apply(&mut self, event: &L1Event, params: &Params) {
        let time_s = self.head.map_or(0, |head| head.time_s);
        match *event {
            L1Event::ProverRegistered { prover, payout, rollup, vm, .. } => {
                let number = self.number();
                let registry = self.change_registry();
                registry.prune(number, params);
                registry.register(prover, Registration { number, payout, rollup, vm });
            }
            L1Event::ProverLeft { prover } => {
                let number = self.number();
                self.change_registry().leave(prover, number);
            }
            L1Event::Named { slot, prover, alone } => {
                let word = if alone { Naming::Alone(prover) } else { Naming::Named(prover) };
                self.name(slot, word, time_s, params);
            }
            L1Event::Paid { payee, .. } => self.credit(payee, params),
            L1Event::Seed { slot, seed } => self.change(slot).seed = Some(seed),
            L1Event::Proposed { slot, sequencer, commitment, .. } => {
                self.change(slot).proposal = Some(Proposal { sequencer, commitment });
            }
            L1Event::Revealed { slot, block, commitment, txs, count, set } => {
                let number = self.number();
                let reveal = Reveal { block, commitment, txs, count, set, number, time_s };
                self.change(slot).reveal = Some(reveal);
            }
            L1Event::Settled { slot, end, credit, payee, units, pool } => {
                let settlement = Settlement { end, credit, payee, units, pool, time_s };
                self.change(slot).settled = Some(settlement);
            }
            L1Event::SequencerRegistered { .. } => (),
        }
    }

    /// Forgets slots that are over and that no undo can reach, but keeps the newest few for
    /// the screens. Epochs go whole: a deal counts how often the earlier slots of its epoch dealt
    /// a lane (R4.2), and would be another one without them.
    fn prune(&mut self, params: &Params) {
        let window = params.undo_blocks_max as u64;
        let horizon = self.number().saturating_sub(window);
        let stays = |&(&slot, facts): &(&Slot, &SlotFacts)| {
            let over = facts.settled.is_some() || self.lapsed(slot, params);
            horizon <= facts.changed || !over
        };
        let running = params.slot_at(self.number());
        let Some(&shown) = self.slots.keys().rev().nth(SLOTS_KEPT - 1) else { return };
        let stays = self.slots.iter().find(stays).map_or(running, |(&slot, _)| slot);
        let oldest = stays.min(running).min(shown);
        let epoch = Slot(oldest.0 / params.epoch_slots * params.epoch_slots);
        while self.slots.first_key_value().is_some_and(|(&slot, _)| slot < epoch) {
            self.slots.pop_first();
        }
        let snapshot = params.snapshot_block(epoch);
        while self.registry_keys.get(1).is_some_and(|it| it.0 <= snapshot) {
            self.registry_keys.pop_front();
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

/// Whether a block changes the registry and nothing else. Sequencers are not followed.
fn registers(events: &[L1Event]) -> bool {
    let lanes =
        |it: &L1Event| matches!(it, L1Event::ProverRegistered { .. } | L1Event::ProverLeft { .. });
    let only = |it: &L1Event| lanes(it) || matches!(it, L1Event::SequencerRegistered { .. });
    events.iter().any(lanes) && events.iter().all(only)
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
