//! Revealed blocks in the order of L1: their data, the roots between them, their witnesses.
//!
//! An agent that derives keeps the whole state tree and makes witnesses; one that fetches knows
//! only roots. Both follow L1's events and undo them exactly, so that a reorg leaves no trace.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use circuits::state::TxWitness;
use protocol::{BlockId, Hash, L1Event, Slot, Word};

use crate::{
    config::WitnessSource,
    l1::{
        decode::RevealData,
        follow::{FollowEvent, L1Change, UndoLog, WINDOW_BLOCKS},
    },
    rollup::{
        data::BlockData,
        execute::Programs,
        state::{Genesis, StateError, StateTree},
    },
};

/// Settled blocks whose data is kept, for peers that are late.
const KEPT_MAX: usize = 64;

/// What one L1 block changed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    /// A block was revealed; true if the state tree took it.
    Revealed(BlockId, bool),
    /// Blocks were given up, oldest first; true if the state tree had it.
    Lapsed(Vec<(BlockId, bool)>),
}

/// Revealed blocks and what is known of them.
#[derive(Debug)]
pub(crate) struct Blocks {
    programs: Arc<Programs>,
    proof_bytes: usize,
    state: Option<StateTree>,
    genesis: Word,
    reveals: BTreeMap<BlockId, RevealData>,
    /// State root after a block, once known.
    ends: BTreeMap<BlockId, Word>,
    witnesses: BTreeMap<BlockId, Vec<TxWitness>>,
    /// Revealed blocks that the chain stands on, oldest first; true if the state tree has it.
    line: Vec<(BlockId, bool)>,
    log: UndoLog<Vec<Change>>,
    /// Order in which data was learnt, for pruning.
    order: VecDeque<BlockId>,
}

impl Blocks {
    /// Nothing revealed yet. `proof_bytes` is the exact length of a tx proof.
    ///
    /// # Errors
    /// [`StateError::Genesis`].
    pub(crate) fn new(
        source: WitnessSource,
        genesis: &Genesis,
        programs: Arc<Programs>,
        proof_bytes: usize,
    ) -> Result<Self, StateError> {
        let state = StateTree::new(genesis)?;
        let root = state.root();
        Ok(Self {
            programs,
            proof_bytes,
            state: (source == WitnessSource::Derive).then_some(state),
            genesis: root,
            reveals: BTreeMap::new(),
            ends: BTreeMap::new(),
            witnesses: BTreeMap::new(),
            line: Vec::new(),
            log: UndoLog::default(),
            order: VecDeque::new(),
        })
    }

    /// Follows one event of L1. Gives the blocks that the state tree refused, with the reason: no
    /// agent works on them.
    pub(crate) fn follow(&mut self, event: &FollowEvent) -> Vec<(BlockId, String)> {
        match event.change() {
            Some(L1Change::Block { hash, events, .. }) => self.l1_block(hash, event, events),
            Some(L1Change::Undo { hash }) => {
                self.l1_undo(hash);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn l1_block(
        &mut self,
        hash: Hash,
        event: &FollowEvent,
        events: &[L1Event],
    ) -> Vec<(BlockId, String)> {
        let mut changes = Vec::new();
        let mut refused = Vec::new();
        for reveal in &event.reveals {
            let taken = match self.reveal(reveal) {
                Ok(taken) => taken,
                Err(why) => {
                    refused.push((reveal.block, why));
                    false
                }
            };
            changes.push(Change::Revealed(reveal.block, taken));
            self.line.push((reveal.block, taken));
        }
        if !event.lapsed.is_empty() {
            changes.push(Change::Lapsed(self.lapse(&event.lapsed)));
        }
        for event in events {
            if let L1Event::Settled { slot, end, .. } = event {
                self.settled(*slot, *end);
            }
        }
        self.log.push(hash, changes);
        refused
    }

    fn reveal(&mut self, reveal: &RevealData) -> Result<bool, String> {
        if self.reveals.insert(reveal.block, reveal.clone()).is_none() {
            self.order.push_back(reveal.block);
        }
        self.prune();
        let Some(state) = &mut self.state else { return Ok(false) };
        let data = BlockData::decode(&reveal.data, self.proof_bytes);
        let data = data.map_err(|error| error.to_string())?;
        let witnesses = state.apply(reveal.block, &data, &self.programs);
        let witnesses = witnesses.map_err(|error| error.to_string())?;
        self.ends.insert(reveal.block, state.root());
        self.witnesses.insert(reveal.block, witnesses);
        Ok(true)
    }

    fn lapse(&mut self, slots: &[Slot]) -> Vec<(BlockId, bool)> {
        let first = self.line.iter().position(|(block, _)| {
            self.reveals.get(block).is_some_and(|it| slots.contains(&it.slot))
        });
        let Some(first) = first else { return Vec::new() };
        let given_up = self.line.split_off(first);
        for (block, taken) in given_up.iter().rev() {
            self.take_back(*block, *taken);
        }
        given_up
    }

    fn l1_undo(&mut self, hash: Hash) {
        for change in self.log.pop(hash).unwrap_or_default().into_iter().rev() {
            match change {
                Change::Revealed(block, taken) => {
                    self.line.pop();
                    self.take_back(block, taken);
                }
                Change::Lapsed(blocks) => {
                    blocks.into_iter().for_each(|(block, _)| self.put_back(block));
                }
            }
        }
    }

    /// A block that was given up stands on the chain again.
    fn put_back(&mut self, block: BlockId) {
        let reveal = self.reveals.get(&block).cloned();
        let taken = reveal.is_some_and(|it| self.reveal(&it).unwrap_or(false));
        self.line.push((block, taken));
    }

    fn take_back(&mut self, block: BlockId, taken: bool) {
        if let (true, Some(state)) = (taken, &mut self.state) {
            let undone = state.undo(block);
            assert!(undone.is_ok(), "blocks are undone in reverse order: {undone:?}");
        }
        self.ends.remove(&block);
    }

    /// L1 accepted a root proof: from now on the end root needs no plan.
    fn settled(&mut self, slot: Slot, end: Word) {
        let block =
            self.line.iter().rev().find(|(block, _)| {
                self.reveals.get(block).is_some_and(|reveal| reveal.slot == slot)
            });
        if let Some((block, _)) = block {
            self.ends.insert(*block, end);
        }
    }

    /// A plan found the end root of a block (an agent that fetches has no other way before L1
    /// settles it).
    pub(crate) fn planned(&mut self, block: BlockId, end: Word) {
        if self.line.iter().any(|(it, _)| *it == block) {
            self.ends.entry(block).or_insert(end);
        }
    }

    /// A revealed block and the state root it starts from, if both are known.
    pub(crate) fn on_chain(&self, block: BlockId) -> Option<(&RevealData, Word)> {
        let reveal = self.reveals.get(&block)?;
        let first = reveal.parent == BlockId::default();
        let start = if first { self.genesis } else { *self.ends.get(&reveal.parent)? };
        Some((reveal, start))
    }

    /// Circuit sets of the blocks that stand on the chain in these slots (R13).
    pub(crate) fn sets_of(&self, slots: &[Slot]) -> Vec<Word> {
        let reveals = self.line.iter().filter_map(|(block, _)| self.reveals.get(block));
        let sets = reveals.filter(|it| slots.contains(&it.slot)).map(|it| it.set);
        sets.collect::<BTreeSet<Word>>().into_iter().collect()
    }

    /// The witnesses derived for a block.
    pub(crate) fn witnesses(&self, block: BlockId) -> Option<&[TxWitness]> {
        self.witnesses.get(&block).map(Vec::as_slice)
    }

    /// The state tree, for a sequencer's drafts and mempool.
    pub(crate) const fn state(&mut self) -> Option<&mut StateTree> {
        self.state.as_mut()
    }

    fn prune(&mut self) {
        while self.order.len() > KEPT_MAX + WINDOW_BLOCKS {
            let Some(old) = self.order.pop_front() else { return };
            self.reveals.remove(&old);
            self.witnesses.remove(&old);
        }
    }
}
