//! A pretended L1: one canonical chain, contracts that take or refuse, and reorgs that take
//! blocks back and include what they held again as far as it still fits.

use std::collections::BTreeSet;

use protocol::{
    Address, BlockId, Hash, Input, L1Event, Params, ProverId, SequencerId, Slot,
    assign::keccak::keccak256,
};

use crate::{content::Content, rng::Rng};

/// Blocks after which a waiting transaction is given up by its sender.
const PATIENCE_BLOCKS: u64 = 60;

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: Hash,
    parent: Hash,
    pub(crate) time_s: u64,
    randao: Hash,
    pub(crate) events: Vec<L1Event>,
}

impl Block {
    pub(crate) fn input(&self) -> Input {
        Input::L1Block {
            number: self.number,
            hash: self.hash,
            parent: self.parent,
            time: self.time_s,
            randao: self.randao,
            events: self.events.clone(),
        }
    }
}

#[derive(Clone, Debug)]
struct Pending {
    not_before: u64,
    event: L1Event,
}

enum Verdict {
    Take,
    Wait,
    Drop,
}

/// The chain and the transactions that wait for it.
#[derive(Clone, Debug)]
pub(crate) struct L1 {
    params: Params,
    pub(crate) blocks: Vec<Block>,
    pending: Vec<Pending>,
    scheduled: BTreeSet<Slot>,
    pub(crate) undone: u64,
}

/// Unix seconds of block 0.
pub(crate) const GENESIS_S: u64 = 1_000_000;

/// Who a prover's proofs pay.
pub(crate) fn payout_of(prover: ProverId) -> Address {
    let mut address = [0xaa; 20];
    address[..4].copy_from_slice(&prover.0.to_be_bytes());
    Address(address)
}

/// The registration of a prover with lanes of both classes.
pub(crate) fn registration(prover: ProverId, rollup: u16, vm: u16) -> L1Event {
    let mut mesh_key = [0x55; 32];
    mesh_key[..4].copy_from_slice(&prover.0.to_be_bytes());
    let (operator, payout) = (payout_of(prover), payout_of(prover));
    L1Event::ProverRegistered { prover, operator, mesh_key, payout, rollup, vm }
}

impl L1 {
    /// A chain up to the block before slot 0, with these registrations in its first block.
    pub(crate) fn new(params: Params, registrations: Vec<L1Event>, rng: &mut Rng) -> Self {
        let (blocks, scheduled) = (Vec::new(), BTreeSet::new());
        let mut l1 = Self { params, blocks, pending: Vec::new(), scheduled, undone: 0 };
        let owner = Address([0x77; 20]);
        let sequencer =
            L1Event::SequencerRegistered { sequencer: SequencerId(0), owner, mesh_key: [7; 32] };
        for event in registrations.into_iter().chain([sequencer]) {
            l1.send(event, 1);
        }
        while l1.next_number() < l1.params.genesis_block {
            let time_s = GENESIS_S + l1.next_number() * l1.params.l1_block_s;
            l1.mine(time_s, rng);
        }
        l1
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.blocks.last().map_or(0, |it| it.number + 1)
    }

    /// A transaction that can be in a block from `not_before` on.
    pub(crate) fn send(&mut self, event: L1Event, not_before: u64) {
        self.pending.push(Pending { not_before, event });
    }

    /// Sends what the sequencer of a slot sends, once.
    pub(crate) fn schedule(&mut self, slot: Slot, content: &Content, rng: &mut Rng) {
        if !self.scheduled.insert(slot) {
            return;
        }
        let start = self.params.slot_start(slot);
        let commitment = content.commitment;
        let mut hash = || keccak256(&[&rng.bits().to_be_bytes()]);
        let (seed, score, txs) = (hash(), hash(), hash().0);
        let sequencer = SequencerId(0);
        self.send(L1Event::Seed { slot, seed }, start);
        self.send(L1Event::Proposed { slot, sequencer, commitment, score }, start + 1);
        let count = u16::try_from(content.calls.len()).unwrap_or(u16::MAX);
        let revealed = L1Event::Revealed { slot, block: content.block, commitment, txs, count };
        let late = rng.between(0, self.params.reveal_blocks - 2);
        self.send(revealed, start + self.params.proposal_blocks + late);
    }

    /// Mines one block with everything that fits.
    pub(crate) fn mine(&mut self, time_s: u64, rng: &mut Rng) {
        let number = self.next_number();
        let parent = self.blocks.last().map_or(Hash::default(), |it| it.hash);
        let time_s = self.blocks.last().map_or(time_s, |it| time_s.max(it.time_s + 1));
        let bits = rng.bits().to_be_bytes();
        let hash = keccak256(&[b"L1 block", &parent.0, &bits]);
        let randao = keccak256(&[b"randao", &bits]);
        self.blocks.push(Block { number, hash, parent, time_s, randao, events: Vec::new() });
        for pending in core::mem::take(&mut self.pending) {
            match self.verdict(number, &pending) {
                Verdict::Take => self.take(pending.event),
                Verdict::Wait => self.pending.push(pending),
                Verdict::Drop => (),
            }
        }
    }

    fn take(&mut self, event: L1Event) {
        if let Some(block) = self.blocks.last_mut() {
            block.events.push(event);
        }
    }

    /// What the contracts say.
    fn verdict(&self, number: u64, pending: &Pending) -> Verdict {
        if number < pending.not_before {
            return Verdict::Wait;
        }
        if pending.not_before + PATIENCE_BLOCKS < number {
            return Verdict::Drop;
        }
        match pending.event {
            L1Event::Proposed { slot, .. } if !self.has_seed(slot) => Verdict::Wait,
            L1Event::Revealed { slot, .. } if number >= self.params.reveal_end(slot) => {
                Verdict::Drop
            }
            L1Event::Revealed { slot, .. } if !self.has_proposal(slot) => Verdict::Wait,
            L1Event::Revealed { .. } if self.params.build_ahead_max < self.unsettled() => {
                Verdict::Wait
            }
            L1Event::Settled { slot, .. } if self.is_settled(slot) => Verdict::Drop,
            L1Event::Settled { slot, .. } if self.oldest_unsettled() != Some(slot) => Verdict::Wait,
            L1Event::ProverRegistered { .. }
            | L1Event::ProverLeft { .. }
            | L1Event::Named { .. }
            | L1Event::SequencerRegistered { .. }
            | L1Event::Seed { .. }
            | L1Event::Proposed { .. }
            | L1Event::Revealed { .. }
            | L1Event::Settled { .. }
            | L1Event::Paid { .. } => Verdict::Take,
        }
    }

    /// Replaces the newest `depth` blocks by one more than that; nothing before slot 0 is touched.
    pub(crate) fn reorg(&mut self, depth: u64, time_s: u64, rng: &mut Rng) {
        let floor = self.params.genesis_block;
        let kept = self.next_number().saturating_sub(depth).max(floor);
        let mut again = Vec::new();
        while kept < self.next_number() {
            let Some(block) = self.blocks.pop() else { break };
            self.undone += 1;
            let events = block.events.into_iter();
            let back = events.map(|event| Pending { not_before: block.number, event });
            again.splice(0..0, back);
        }
        again.append(&mut self.pending);
        self.pending = again;
        for _ in 0..=depth {
            self.mine(time_s, rng);
        }
    }

    fn events(&self) -> impl DoubleEndedIterator<Item = (&Block, &L1Event)> {
        self.blocks.iter().flat_map(|block| block.events.iter().map(move |event| (block, event)))
    }
    fn has_seed(&self, slot: Slot) -> bool {
        self.events().any(|(_, it)| matches!(it, L1Event::Seed { slot: s, .. } if *s == slot))
    }
    fn has_proposal(&self, slot: Slot) -> bool {
        self.events().any(|(_, it)| matches!(it, L1Event::Proposed { slot: s, .. } if *s == slot))
    }
    /// Whether the slot's root proof was accepted.
    pub(crate) fn is_settled(&self, slot: Slot) -> bool {
        self.events().any(|(_, it)| matches!(it, L1Event::Settled { slot: s, .. } if *s == slot))
    }
    /// Revealed slots with their blocks and times, oldest first.
    pub(crate) fn revealed(&self) -> Vec<(Slot, BlockId, u64)> {
        let mut all: Vec<_> = self
            .events()
            .filter_map(|(at, event)| {
                let L1Event::Revealed { slot, block, .. } = *event else { return None };
                Some((slot, block, at.time_s))
            })
            .collect();
        all.sort_unstable();
        all
    }
    fn unsettled(&self) -> u64 {
        self.revealed().iter().filter(|it| !self.is_settled(it.0)).count() as u64
    }
    fn oldest_unsettled(&self) -> Option<Slot> {
        self.revealed().into_iter().map(|(slot, ..)| slot).find(|&it| !self.is_settled(it))
    }
    /// Time of a slot's settlement, Unix seconds.
    pub(crate) fn settled_s(&self, slot: Slot) -> Option<u64> {
        let found =
            |event: &L1Event| matches!(event, L1Event::Settled { slot: s, .. } if *s == slot);
        self.events().find(|(_, it)| found(it)).map(|(block, _)| block.time_s)
    }
}
