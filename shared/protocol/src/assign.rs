//! Names of tasks and statements, and the deal: who may prove what, in which order (R3.2, R4).
//!
//! A deal is a pure function of the slot's randomness, the block's shape and the epoch's lanes, so
//! nobody assigns anything to anybody: every agent computes the same ranks.

pub mod keccak;
pub mod shuffle;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Address, Class, Hash, LaneId, Node, ProverId, StatementId, TaskId, Word};
use keccak::keccak256;

/// The public words that make a task's id, besides its kind (slice section 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskWords {
    /// Circuit set: keys and setup.
    pub set: Word,
    /// Start root, or the tx or call hash.
    pub start: Word,
    /// End root, or the calls left, or the call log.
    pub end: Word,
    /// Commitment to the txs.
    pub txs: Word,
    /// Number of txs, or of calls done.
    pub count: Word,
    /// Fees, or the log so far.
    pub aux: Word,
}

/// Names what is to be proved: no payee, no credit, no slot, no height, so that a proof outlives
/// restarts and reorgs (R3.2). `kind` is the circuit's number.
#[must_use]
pub fn task_id(kind: crate::domain::Kind, words: &TaskWords) -> TaskId {
    let kind = [kind as u8];
    TaskId(
        keccak256(&[
            b"coppice.task.v1",
            &words.set,
            &kind,
            &words.start,
            &words.end,
            &words.txs,
            &words.count,
            &words.aux,
        ])
        .0,
    )
}

/// Names what one proof says: its task, whom it pays, and its credit value (R3.2).
#[must_use]
pub fn statement_id(task: TaskId, payee: Address, credit: &Word) -> StatementId {
    StatementId(keccak256(&[b"coppice.statement.v1", &task.0, &payee.0, credit]).0)
}

/// Seed of a slot's deal: nobody can order txs against it, because the last part is L1's
/// randomness of a block after the commitment (R2.2).
#[must_use]
pub fn deal_seed(slot_seed: Hash, commitment: Hash, randao: Hash) -> Hash {
    keccak256(&[&slot_seed.0, &commitment.0, &randao.0])
}

/// Who may prove what in one slot (R4.2, R4.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deal {
    seed: Hash,
    lanes: BTreeMap<LaneId, Class>,
    rollup: Vec<LaneId>,
    vm: Vec<LaneId>,
    /// Lanes that rank first for a subtree or a vm task.
    dealt: BTreeSet<LaneId>,
}

/// What a class's shuffle is keyed with.
const fn class_number(class: Class) -> u8 {
    match class {
        Class::Rollup => 0,
        Class::Vm => 1,
    }
}

/// All lanes that can prove `class`, shuffled: a `vm` lane is in both decks.
fn deck(lanes: &BTreeMap<LaneId, Class>, seed: Hash, class: Class) -> Vec<LaneId> {
    let able: Vec<LaneId> = lanes
        .iter()
        .filter(|&(_, &it)| crate::Params::can_prove(it, class))
        .map(|(&lane, _)| lane)
        .collect();
    let count = u32::try_from(able.len()).unwrap_or(u32::MAX);
    let key = keccak256(&[&seed.0, &[class_number(class)]]);
    shuffle::shuffled_indices(count, key).into_iter().map(|it| able[it as usize]).collect()
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The smallest step of at least max(1, n/7) that is coprime to n: a walk by it meets everybody.
fn stride(count: usize) -> usize {
    let least = (count / 7).max(1);
    (least..=least + count).find(|&step| gcd(step, count) == 1).unwrap_or(1)
}

impl Deal {
    /// Deals `subtrees` and `vms` (from position 0 of each deck) to the epoch's lanes.
    #[must_use]
    pub fn new(seed: Hash, lanes: BTreeMap<LaneId, Class>, subtrees: usize, vms: usize) -> Self {
        let rollup = deck(&lanes, seed, Class::Rollup);
        let vm = deck(&lanes, seed, Class::Vm);
        assert_eq!(rollup.len(), lanes.len(), "every lane can do rollup work");
        let first = |deck: &[LaneId], count: usize| -> Vec<LaneId> {
            deck.iter().copied().take(count).collect()
        };
        let dealt: BTreeSet<LaneId> =
            first(&rollup, subtrees).into_iter().chain(first(&vm, vms)).collect();
        assert!(dealt.iter().all(|it| lanes.contains_key(it)), "only lanes are dealt work");
        Self { seed, lanes, rollup, vm, dealt }
    }

    /// The seed it was made from.
    #[must_use]
    pub const fn seed(&self) -> Hash {
        self.seed
    }
    /// All lanes of the epoch with their classes.
    #[must_use]
    pub const fn lanes(&self) -> &BTreeMap<LaneId, Class> {
        &self.lanes
    }
    /// The shuffled lanes of a class.
    #[must_use]
    pub fn deck(&self, class: Class) -> &[LaneId] {
        match class {
            Class::Rollup => &self.rollup,
            Class::Vm => &self.vm,
        }
    }

    /// Every lane of the class in its rank for the `i`-th subtree (class rollup, counted left to
    /// right) or vm task (class vm, counted by tx and call). Lanes that were lost since are
    /// skipped by whoever reads this; there is no last rank.
    #[must_use]
    pub fn ranks(&self, class: Class, i: usize) -> Vec<LaneId> {
        let deck = self.deck(class);
        let count = deck.len();
        if count == 0 {
            return Vec::new();
        }
        let first = deck[i % count];
        let idle = deck.iter().copied().filter(|it| *it != first && !self.dealt.contains(it));
        let mut ranks: Vec<LaneId> = [first].into_iter().chain(idle).collect();
        let step = stride(count);
        let walk: Vec<LaneId> = (1..count).map(|r| deck[(i + r * step) % count]).collect();
        let mut taken: BTreeSet<LaneId> = ranks.iter().copied().collect();
        let mut named: BTreeSet<ProverId> = ranks.iter().map(|it| it.prover()).collect();
        let fresh = walk.iter().filter(|it| !taken.contains(it) && named.insert(it.prover()));
        ranks.extend(fresh.copied().collect::<Vec<_>>());
        taken.extend(&ranks);
        ranks.extend(walk.iter().filter(|it| taken.insert(**it)));
        assert_eq!(ranks.len(), count, "every lane has one rank");
        ranks
    }

    /// The rank order of a crown node (R4.3): the makers of both children (`left` and `right`; for
    /// the root twice the same), then the deck from a position that the seed picks.
    #[must_use]
    pub fn crown_ranks(&self, node: Node, makers: [Option<LaneId>; 2]) -> Vec<LaneId> {
        let c = keccak256(&[&self.seed.0, &node.to_bytes()]).0;
        let position = c[..8].iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        let count = self.rollup.len() as u64;
        let rest = match position.checked_rem(count).map(usize::try_from) {
            Some(Ok(i)) => self.ranks(Class::Rollup, i),
            Some(Err(_)) | None => Vec::new(),
        };
        let [left, right] = makers;
        let ordered = if c[31] & 1 == 0 { [left, right] } else { [right, left] };
        let mut taken = BTreeSet::new();
        let able = |it: &LaneId| self.lanes.contains_key(it);
        let makers = ordered.into_iter().flatten().filter(able);
        makers.chain(rest).filter(|it| taken.insert(*it)).collect()
    }

    /// The lanes of other provers that may say this lane's beats stopped, nearest first (R5.3):
    /// the ranks of the subtree that stands at the lane's own place in the deck.
    #[must_use]
    pub fn watchers(&self, lane: LaneId) -> Vec<LaneId> {
        let Some(place) = self.rollup.iter().position(|&it| it == lane) else { return Vec::new() };
        let mut ranks = self.ranks(Class::Rollup, place);
        ranks.retain(|it| it.prover() != lane.prover());
        ranks
    }
}

#[cfg(test)]
mod tests;
