//! Accepted proofs by the content they prove: what survives reorgs and restarts (R3.2, R12.2).
//!
//! Only what stands here satisfies a dependency. A proof enters after the acceptance rules passed
//! outside the core: our own after `Made`, somebody else's after `Accepted`.

use std::collections::BTreeMap;

use crate::domain::{Address, BlobId, LaneId, StatementId, TaskId};

/// Proofs kept at most: what an agent follows of 64 blocks, a hundred or two of each. The oldest
/// ones go first.
pub const PROOFS_MAX: usize = 16_384;
/// Different proofs of one task that are kept: any of them serves a parent.
pub const PROOFS_PER_TASK_MAX: usize = 4;

/// Who made a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// This agent.
    Own,
    /// Somebody else.
    Peer,
}

/// One accepted proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// What it says.
    pub statement: StatementId,
    /// Where it is stored.
    pub blob: BlobId,
    /// Whom its credit record pays.
    pub payee: Address,
    /// Whether it is ours.
    pub origin: Origin,
    /// The lane that made it, as far as known.
    pub maker: Option<LaneId>,
    /// CPU milliseconds it took, as far as known.
    pub cpu_ms: Option<u32>,
    /// Peak memory in MB, as far as known.
    pub peak_mb: Option<u32>,
    /// Order of acceptance.
    number: u64,
}

impl Proof {
    /// A proof as accepted, with nothing known about how it was made.
    #[must_use]
    pub const fn new(statement: StatementId, blob: BlobId, payee: Address, origin: Origin) -> Self {
        let (maker, cpu_ms, peak_mb, number) = (None, None, None, 0);
        Self { statement, blob, payee, origin, maker, cpu_ms, peak_mb, number }
    }
    /// The same with its maker and cost.
    #[must_use]
    pub const fn made_by(mut self, maker: Option<LaneId>, cpu_ms: u32, peak_mb: u32) -> Self {
        self.maker = maker;
        self.cpu_ms = Some(cpu_ms);
        self.peak_mb = Some(peak_mb);
        self
    }
}

/// All accepted proofs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    proofs: BTreeMap<TaskId, Vec<Proof>>,
    count: usize,
    next: u64,
}

impl Ledger {
    /// Whether the task has an accepted proof.
    #[must_use]
    pub fn has(&self, task: TaskId) -> bool {
        self.proofs.contains_key(&task)
    }
    /// All accepted proofs of a task, in order of acceptance.
    #[must_use]
    pub fn of(&self, task: TaskId) -> &[Proof] {
        self.proofs.get(&task).map_or(&[], Vec::as_slice)
    }
    /// The proof a parent is made from: our own if there is one, else the first accepted.
    #[must_use]
    pub fn best(&self, task: TaskId) -> Option<&Proof> {
        let all = self.of(task);
        all.iter().find(|it| it.origin == Origin::Own).or_else(|| all.first())
    }
    /// Our own proof of a task.
    #[must_use]
    pub fn own(&self, task: TaskId) -> Option<&Proof> {
        self.of(task).iter().find(|it| it.origin == Origin::Own)
    }
    /// The accepted proof with this statement.
    #[must_use]
    pub fn find(&self, task: TaskId, statement: StatementId) -> Option<&Proof> {
        self.of(task).iter().find(|it| it.statement == statement)
    }
    /// All tasks with accepted proofs.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, &[Proof])> {
        self.proofs.iter().map(|(&task, all)| (task, all.as_slice()))
    }
    /// Number of proofs.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }
    /// Whether nothing was accepted yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a proof; false if it was there, or if the task has enough of them.
    pub fn add(&mut self, task: TaskId, proof: Proof) -> bool {
        let all = self.proofs.entry(task).or_default();
        let full = all.len() >= PROOFS_PER_TASK_MAX && proof.origin == Origin::Peer;
        if full || all.iter().any(|it| it.statement == proof.statement) {
            return false;
        }
        self.next += 1;
        // Nearly every task has one proof.
        all.reserve_exact(1);
        all.push(Proof { number: self.next, ..proof });
        self.count += 1;
        if PROOFS_MAX < self.count {
            self.drop_oldest();
        }
        assert!(self.count <= PROOFS_MAX, "the ledger is bounded");
        true
    }

    /// Learns who made a proof and at what cost, from its maker's message.
    pub fn attribute(
        &mut self,
        task: TaskId,
        statement: StatementId,
        maker: LaneId,
        cost: [u32; 2],
    ) {
        let all = self.proofs.get_mut(&task).into_iter().flatten();
        for proof in all.filter(|it| it.statement == statement && it.maker.is_none()) {
            proof.maker = Some(maker);
            proof.cpu_ms.get_or_insert(cost[0]);
            proof.peak_mb.get_or_insert(cost[1]);
        }
    }

    /// Forgets a task's proofs: its block is settled for good.
    pub fn forget(&mut self, task: TaskId) {
        let gone = self.proofs.remove(&task).map_or(0, |all| all.len());
        assert!(gone <= self.count, "{gone} proofs of {} are gone", self.count);
        self.count -= gone;
    }

    /// Linear, because it happens only in a ledger that forty settled blocks left behind.
    fn drop_oldest(&mut self) {
        let first = |all: &Vec<Proof>| all.first().map_or(u64::MAX, |it| it.number);
        let oldest = self.proofs.iter().min_by_key(|(_, all)| first(all)).map(|(&task, _)| task);
        if let Some(task) = oldest {
            self.forget(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn task(n: u16) -> TaskId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        TaskId(id)
    }
    fn proof(n: u8, origin: Origin) -> Proof {
        Proof::new(StatementId([n; 32]), BlobId([n; 32]), Address([7; 20]), origin)
    }

    #[test]
    fn a_statement_is_kept_once() {
        let mut ledger = Ledger::default();
        assert!(ledger.is_empty() && !ledger.has(task(1)));
        assert!(ledger.add(task(1), proof(1, Origin::Peer)));
        assert!(!ledger.add(task(1), proof(1, Origin::Own)));
        assert_eq!((ledger.len(), ledger.has(task(1))), (1, true));
    }

    #[test]
    fn our_own_proof_is_preferred_else_the_first() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.best(task(1)), None);
        ledger.add(task(1), proof(1, Origin::Peer));
        ledger.add(task(1), proof(2, Origin::Peer));
        assert_eq!(ledger.best(task(1)).unwrap().statement, StatementId([1; 32]));
        assert_eq!(ledger.own(task(1)), None);
        ledger.add(task(1), proof(3, Origin::Own));
        assert_eq!(ledger.best(task(1)).unwrap().statement, StatementId([3; 32]));
        assert_eq!(ledger.find(task(1), StatementId([2; 32])).unwrap().blob, BlobId([2; 32]));
    }

    #[test]
    fn peers_cannot_fill_a_task_but_our_own_proof_always_fits() {
        let mut ledger = Ledger::default();
        for n in 0..10 {
            assert_eq!(ledger.add(task(1), proof(n, Origin::Peer)), n < 4);
        }
        assert!(ledger.add(task(1), proof(50, Origin::Own)));
        assert_eq!(ledger.len(), 5);
    }

    #[test]
    fn the_maker_is_learned_once() {
        let mut ledger = Ledger::default();
        ledger.add(task(1), proof(1, Origin::Peer));
        ledger.attribute(task(1), StatementId([2; 32]), LaneId(5), [1, 2]);
        assert_eq!(ledger.best(task(1)).unwrap().maker, None);
        ledger.attribute(task(1), StatementId([1; 32]), LaneId(5), [1, 2]);
        ledger.attribute(task(1), StatementId([1; 32]), LaneId(6), [3, 4]);
        let found = ledger.best(task(1)).unwrap();
        assert_eq!((found.maker, found.cpu_ms, found.peak_mb), (Some(LaneId(5)), Some(1), Some(2)));
    }

    #[test]
    fn the_oldest_task_goes_when_the_ledger_is_full() {
        let mut ledger = Ledger::default();
        for n in 0..=u16::try_from(PROOFS_MAX).unwrap() {
            ledger.add(task(n), proof(1, Origin::Peer));
        }
        assert_eq!(ledger.len(), PROOFS_MAX);
        assert!(!ledger.has(task(0)) && ledger.has(task(1)));
    }

    #[test]
    fn a_forgotten_task_frees_its_room() {
        let mut ledger = Ledger::default();
        ledger.add(task(1), proof(1, Origin::Own));
        ledger.add(task(1), proof(2, Origin::Peer));
        ledger.add(task(2), proof(3, Origin::Own));
        ledger.forget(task(1));
        ledger.forget(task(9));
        assert_eq!((ledger.len(), ledger.has(task(1)), ledger.has(task(2))), (1, false, true));
    }
}
