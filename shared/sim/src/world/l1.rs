//! A pretended L1: one canonical chain, contracts that take or refuse, and reorgs that take
//! blocks back and include what they held again as far as it still fits.

use std::collections::BTreeSet;

use protocol::{
    Address, BlockId, Hash, Input, L1Event, Params, ProverId, SequencerId, Slot,
    assign::keccak::keccak256,
};

use super::content::Content;
use crate::{Sequencer, engine::rng::Rng};

/// Blocks after which a waiting transaction is given up by its sender.
const PATIENCE_BLOCKS: u64 = 60;
/// Unix seconds of block 0.
pub(crate) const GENESIS_S: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: Hash,
    /// Hash of the block before it, and that block's place among all blocks.
    parent: Hash,
    pub(crate) below: Option<u32>,
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

/// A revealed block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Revealed {
    pub(crate) slot: Slot,
    pub(crate) block: BlockId,
    pub(crate) time_s: u64,
}

/// The chain and the transactions that wait for it.
#[derive(Clone, Debug)]
pub(crate) struct L1 {
    params: Params,
    /// Every block that ever was.
    pub(crate) all: Vec<Block>,
    /// Places of the canonical ones.
    pub(crate) canon: Vec<u32>,
    pending: Vec<Pending>,
    scheduled: BTreeSet<Slot>,
    pub(crate) undone: u64,
    /// The contract forgets what it settled (a mistake).
    pub(crate) pays_twice: bool,
}

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
        let mut l1 = Self {
            params,
            all: Vec::new(),
            canon: Vec::new(),
            pending: Vec::new(),
            scheduled: BTreeSet::new(),
            undone: 0,
            pays_twice: false,
        };
        let owner = Address([0x77; 20]);
        let sequencer =
            L1Event::SequencerRegistered { sequencer: SequencerId(0), owner, mesh_key: [7; 32] };
        for event in registrations.into_iter().chain([sequencer]) {
            l1.send(event, 0);
        }
        while l1.next_number() < l1.params.genesis_block {
            let time_s = GENESIS_S + l1.next_number() * l1.params.l1_block_s;
            l1.mine(time_s, rng);
        }
        l1
    }

    pub(crate) fn tip(&self) -> Option<&Block> {
        self.canon.last().map(|&it| &self.all[it as usize])
    }
    pub(crate) fn next_number(&self) -> u64 {
        self.canon.len() as u64
    }
    /// Whether a block is canonical.
    pub(crate) fn stands(&self, place: u32) -> bool {
        let number = self.all[place as usize].number;
        usize::try_from(number).is_ok_and(|it| self.canon.get(it) == Some(&place))
    }

    /// A transaction that can be in a block from `not_before` on.
    pub(crate) fn send(&mut self, event: L1Event, not_before: u64) {
        self.pending.push(Pending { not_before, event });
    }

    /// Sends what the sequencer of a slot sends, once.
    pub(crate) fn schedule(
        &mut self,
        slot: Slot,
        content: &Content,
        (kind, after): (Sequencer, u64),
        rng: &mut Rng,
    ) {
        if !self.scheduled.insert(slot) {
            return;
        }
        let params = &self.params;
        let (start, reveal) =
            (params.slot_start(slot), params.slot_start(slot) + params.proposal_blocks);
        let commitment = content.commitment;
        let mut hash = || keccak256(&[&rng.bits().to_be_bytes()]);
        let (seed, score, txs) = (hash(), hash(), hash().0);
        let sequencer = SequencerId(0);
        let t1 = reveal + params.proving_blocks * 6 / 10;
        let last = params.reveal_blocks - 1;
        let late = if kind == Sequencer::RevealsLate { last } else { after.min(last) };
        self.send(L1Event::Seed { slot, seed }, start);
        self.send(L1Event::Proposed { slot, sequencer, commitment, score }, start + 1);
        if kind == Sequencer::NeverReveals {
            return;
        }
        let count = u16::try_from(content.calls.len()).unwrap_or(u16::MAX);
        let (block, set) = (content.block, content.set);
        let revealed = L1Event::Revealed { slot, block, commitment, txs, count, set };
        self.send(revealed, reveal + late);
        if kind == Sequencer::AloneDeclared {
            self.send(L1Event::Named { slot, prover: ProverId(0), alone: true }, reveal);
        }
        if matches!(kind, Sequencer::AloneDeclared | Sequencer::AloneUndeclared) {
            let (end, payee) = (content.root().0, Address([0x77; 20]));
            let units = content.tasks.len() as u64;
            let settled = L1Event::Settled {
                slot,
                end,
                credit: [0; 32],
                payee,
                units,
                pool: u128::from(units),
            };
            self.send(settled, t1);
        }
    }

    /// Mines one block with everything that fits.
    pub(crate) fn mine(&mut self, time_s: u64, rng: &mut Rng) {
        let number = self.next_number();
        let below = self.canon.last().copied();
        let (parent, before_s) = self.tip().map_or((Hash::default(), 0), |it| (it.hash, it.time_s));
        let time_s = time_s.max(before_s + 1);
        let bits = rng.bits().to_be_bytes();
        let hash = keccak256(&[b"L1 block", &parent.0, &bits]);
        let randao = keccak256(&[b"randao", &bits]);
        self.canon.push(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(Block { number, hash, parent, below, time_s, randao, events: Vec::new() });
        for pending in core::mem::take(&mut self.pending) {
            match self.verdict(number, time_s, &pending) {
                Verdict::Take => self.take(pending.event),
                Verdict::Wait => self.pending.push(pending),
                Verdict::Drop => (),
            }
        }
    }

    fn take(&mut self, event: L1Event) {
        if let Some(block) = self.all.last_mut() {
            block.events.push(event);
        }
    }

    /// What the contracts say.
    fn verdict(&self, number: u64, time_s: u64, pending: &Pending) -> Verdict {
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
            L1Event::Revealed { .. } if self.params.build_ahead_max < self.open(time_s) => {
                Verdict::Wait
            }
            L1Event::Settled { slot, .. } if self.is_settled(slot) => {
                if self.pays_twice {
                    Verdict::Take
                } else {
                    Verdict::Drop
                }
            }
            L1Event::Settled { slot, .. } if self.oldest_open(time_s) != Some(slot) => {
                Verdict::Wait
            }
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
            let Some(place) = self.canon.pop() else { break };
            self.undone += 1;
            let block = &self.all[place as usize];
            let not_before = block.number;
            let events = block.events.iter().cloned();
            let back = events.map(|event| Pending { not_before, event });
            again.splice(0..0, back);
        }
        again.append(&mut self.pending);
        self.pending = again;
        for _ in 0..=depth {
            self.mine(time_s, rng);
        }
    }

    /// Canonical events after the first block, which holds registrations alone.
    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = (&Block, &L1Event)> {
        let blocks = self.canon.iter().skip(1).map(|&it| &self.all[it as usize]);
        blocks.flat_map(|block| block.events.iter().map(move |event| (block, event)))
    }
    fn has_seed(&self, slot: Slot) -> bool {
        self.events().any(|(_, it)| matches!(it, L1Event::Seed { slot: s, .. } if *s == slot))
    }
    fn has_proposal(&self, slot: Slot) -> bool {
        self.events().any(|(_, it)| matches!(it, L1Event::Proposed { slot: s, .. } if *s == slot))
    }
    /// Whether the slot's root proof was accepted.
    pub(crate) fn is_settled(&self, slot: Slot) -> bool {
        self.settled_s(slot).is_some()
    }
    /// Revealed slots, oldest first.
    pub(crate) fn revealed(&self) -> Vec<Revealed> {
        let mut all: Vec<Revealed> = self
            .events()
            .filter_map(|(at, event)| {
                let L1Event::Revealed { slot, block, .. } = *event else { return None };
                Some(Revealed { slot, block, time_s: at.time_s })
            })
            .collect();
        all.sort_unstable();
        all
    }
    /// Whether nobody can settle this reveal any more.
    pub(crate) fn is_lapsed(&self, revealed: &Revealed, time_s: u64) -> bool {
        let params = &self.params;
        let blocks = params.proving_blocks + params.halting_blocks + params.backup_blocks;
        revealed.time_s + blocks * params.l1_block_s < time_s
    }
    fn open(&self, time_s: u64) -> u64 {
        let open = |it: &Revealed| !self.is_settled(it.slot) && !self.is_lapsed(it, time_s);
        self.revealed().iter().filter(|it| open(it)).count() as u64
    }
    fn oldest_open(&self, time_s: u64) -> Option<Slot> {
        let open = |it: &Revealed| !self.is_settled(it.slot) && !self.is_lapsed(it, time_s);
        self.revealed().into_iter().find(open).map(|it| it.slot)
    }
    /// Time of a slot's settlement, Unix seconds.
    pub(crate) fn settled_s(&self, slot: Slot) -> Option<u64> {
        let found =
            |event: &L1Event| matches!(event, L1Event::Settled { slot: s, .. } if *s == slot);
        self.events().find(|(_, it)| found(it)).map(|(block, _)| block.time_s)
    }
}
