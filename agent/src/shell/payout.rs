//! From one credit root to everything L1 will pay for it (R8).
//!
//! The contract keeps one word per slot. Whoever holds the credit records can open that word down
//! to any record; the path is what `claim` shows. Records come with the proofs (R5.2), so an agent
//! that holds a block's proofs can claim for every payee.

use std::collections::BTreeMap;

use circuits::{credit::Record, poseidon::to_word};
use protocol::{Address, Credit, Hash, L1Event, Slot, Word};
use tokio::sync::oneshot;
use wire::control::Reply;

use super::{Shell, parse_address};
use crate::{
    error::Coded,
    l1::{
        calls::{Call, CreditPath, payout},
        follow::UndoLog,
        send,
    },
};

/// The tree of one block is at most 16 txs of 3 calls: 5 levels of merges and root over 4 proofs.
/// A contract position has 64 bits; this bound is only against records that point in a circle.
const DEPTH_MAX: usize = 63;

/// One payable record and the path to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    /// What `claim` shows.
    pub(crate) path: CreditPath,
    /// Units paid for: the record's own.
    pub(crate) units: u64,
}

impl Share {
    /// Base units of the token from the pool of its slot.
    pub(crate) fn amount(&self, settled: &SettledSlot) -> u128 {
        payout(settled.pool, self.units, settled.units)
    }
}

/// Credit records by their value.
#[derive(Clone, Default, Debug)]
pub(crate) struct Records(BTreeMap<Word, Credit>);

impl Records {
    /// Adds a record that came with an accepted proof.
    pub(crate) fn insert(&mut self, credit: Credit) {
        // An accepted proof's words are field elements; a record of anything else opens nothing.
        if let Ok(record) = Record::from_credit(&credit) {
            self.0.insert(to_word(record.value()), credit);
        }
    }

    /// Every payable record below the credit root `root`, from left to right.
    ///
    /// # Errors
    /// `PAY-001` if a record on the way is not held: ask another agent.
    pub(crate) fn shares(&self, root: Word) -> Result<Vec<Share>, Coded> {
        let mut shares = Vec::new();
        let mut open = vec![(1_u64, root, Vec::new())];
        while let Some((position, value, steps)) = open.pop() {
            let share = self.share(position, value, &steps)?;
            let [left, right] = share.path.children;
            let children = [(right, 1), (left, 0)];
            let deeper = steps.len() < DEPTH_MAX;
            for (child, bit) in children.into_iter().filter(|it| deeper && it.0 != [0; 32]) {
                let mut steps = steps.clone();
                steps.push(self.step(value)?);
                open.push((position * 2 + bit, child, steps));
            }
            shares.push(share);
        }
        shares.retain(|it| it.units > 0);
        Ok(shares)
    }

    fn record(&self, value: Word) -> Result<(Record, Credit), Coded> {
        let missing = || {
            let text = "a credit record of this slot is not held here; claim through an agent \
                        that held the block's proofs";
            Coded::new("PAY-001", text)
        };
        let credit = self.0.get(&value).ok_or_else(missing)?;
        let record = Record::from_credit(credit).map_err(|_| missing())?;
        Ok((record, *credit))
    }

    fn step(&self, value: Word) -> Result<[Word; 3], Coded> {
        let (record, credit) = self.record(value)?;
        Ok([to_word(record.hash()), credit.left, credit.right])
    }

    fn share(&self, position: u64, value: Word, steps: &[[Word; 3]]) -> Result<Share, Coded> {
        let (record, credit) = self.record(value)?;
        let path = CreditPath {
            position,
            steps: steps.to_vec(),
            meta: to_word(record.meta()),
            payee: credit.payee,
            children: [credit.left, credit.right],
        };
        Ok(Share { path, units: credit.own })
    }
}

/// A settled slot as payouts need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SettledSlot {
    /// Credit root.
    pub(crate) credit: Word,
    /// Units of the whole tree.
    pub(crate) units: u64,
    /// Base units that they share.
    pub(crate) pool: u128,
    /// Positions that L1 has paid, and how much.
    pub(crate) paid: BTreeMap<u64, u128>,
}

/// What one L1 block changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Settled(Slot),
    Paid(Slot, u64),
}

/// Settled slots and payouts as L1 says them, undone exactly, with the records to claim by.
#[derive(Clone, Default, Debug)]
pub(crate) struct Money {
    /// Credit records of accepted proofs.
    pub(crate) records: Records,
    settled: BTreeMap<Slot, SettledSlot>,
    log: UndoLog<Vec<Change>>,
}

impl Money {
    /// A canonical L1 block.
    pub(crate) fn l1_block(&mut self, hash: Hash, events: &[L1Event]) {
        let changes = events.iter().filter_map(|event| self.apply(event)).collect();
        self.log.push(hash, changes);
    }

    /// The newest L1 block left the chain.
    pub(crate) fn l1_undo(&mut self, hash: Hash) {
        for change in self.log.pop(hash).unwrap_or_default().into_iter().rev() {
            match change {
                Change::Settled(slot) => drop(self.settled.remove(&slot)),
                Change::Paid(slot, position) => {
                    self.settled.get_mut(&slot).map(|it| it.paid.remove(&position));
                }
            }
        }
    }

    fn apply(&mut self, event: &L1Event) -> Option<Change> {
        match event {
            L1Event::Settled { slot, credit, units, pool, .. } => {
                let (credit, units, pool) = (*credit, *units, *pool);
                let settled = SettledSlot { credit, units, pool, paid: BTreeMap::new() };
                self.settled.insert(*slot, settled);
                Some(Change::Settled(*slot))
            }
            L1Event::Paid { slot, position, amount, .. } => {
                self.settled.get_mut(slot)?.paid.insert(*position, *amount);
                Some(Change::Paid(*slot, *position))
            }
            L1Event::ProverRegistered { .. }
            | L1Event::SequencerRegistered { .. }
            | L1Event::ProverLeft { .. }
            | L1Event::Named { .. }
            | L1Event::Seed { .. }
            | L1Event::Proposed { .. }
            | L1Event::Revealed { .. } => None,
        }
    }

    /// Settled slots, oldest first.
    pub(crate) const fn settled(&self) -> &BTreeMap<Slot, SettledSlot> {
        &self.settled
    }

    /// Everything payable in a settled slot.
    ///
    /// # Errors
    /// `PAY-001` if a record is not held, `PAY-002` if the slot is not settled.
    pub(crate) fn shares(&self, slot: Slot) -> Result<Vec<Share>, Coded> {
        let text = || format!("slot {slot} is not settled");
        let settled = self.settled.get(&slot).ok_or_else(|| Coded::new("PAY-002", text()))?;
        self.records.shares(settled.credit)
    }

    /// What L1 has not paid yet of a payee's shares.
    ///
    /// # Errors
    /// As [`Money::shares`].
    pub(crate) fn unpaid(&self, slot: Slot, payee: Address) -> Result<Vec<Share>, Coded> {
        let mut shares = self.shares(slot)?;
        let is_paid = |position: u64| {
            self.settled.get(&slot).is_some_and(|it| it.paid.contains_key(&position))
        };
        shares.retain(|it| it.path.payee == payee && !is_paid(it.path.position));
        Ok(shares)
    }
}

impl Shell {
    /// Reads from L1 what the screens show of bond and gas.
    pub(crate) async fn read_money(&mut self) {
        if let Ok((lane, _)) = self.parts.l1.bonds_asked().await {
            self.look.bond_per_lane = lane;
        }
        if let Ok(wei) = self.parts.l1.wei(self.parts.sender.account()).await {
            self.look.gas_wei = wei;
        }
    }

    /// The payee of our own proofs.
    pub(crate) fn payee(&self) -> Option<Address> {
        self.parts.own.and_then(|own| self.roster.prover(own)).map(|it| it.payout)
    }

    /// Our registration.
    pub(crate) fn registration(&self) -> Option<&super::roster::Registered> {
        self.parts.own.and_then(|own| self.roster.prover(own))
    }

    /// Claims every unpaid share of a payee; the reply comes when L1 has decided on all of them.
    pub(super) fn claim(
        &mut self,
        slot: Option<Slot>,
        payee: Option<String>,
        reply: oneshot::Sender<Reply>,
    ) {
        let calls = match self.claim_calls(slot, payee) {
            Ok(calls) => calls,
            Err(error) => {
                let _ = reply
                    .send(Reply::Refused { code: error.code().into(), text: error.to_string() });
                return;
            }
        };
        let sender = self.parts.sender.clone();
        tokio::spawn(async move {
            // A client that hung up needs no answer; the claims are made all the same.
            let _ = reply.send(send_claims(&sender, calls).await);
        });
    }

    fn claim_calls(&self, slot: Option<Slot>, payee: Option<String>) -> Result<Vec<Call>, Coded> {
        let payee = match payee {
            Some(text) => Some(parse_address(&text)?),
            None => self.payee(),
        };
        let nobody = || Coded::new("PAY-003", "no payee: this agent is not registered; name one");
        let payee = payee.ok_or_else(nobody)?;
        let all = || self.money.settled().keys().copied().collect();
        let slots = slot.map_or_else(all, |it| vec![it]);
        let mut calls = Vec::new();
        for slot in slots {
            for share in self.money.unpaid(slot, payee)? {
                calls.push(self.parts.l1.contracts.claim(slot, &share.path));
            }
        }
        Ok(calls)
    }
}

async fn send_claims(sender: &send::Sender, calls: Vec<Call>) -> Reply {
    let mut claimed = 0;
    for call in calls {
        match sender.send(call).await {
            // Somebody else claimed it for this payee in the meantime: it is paid.
            Ok(receipt) => claimed += usize::from(receipt.outcome == send::Outcome::Done),
            Err(error) => {
                let text = format!("{claimed} claims were made, then: {error}");
                return Reply::Refused { code: error.code().into(), text };
            }
        }
    }
    Reply::Accepted { text: format!("{claimed} claims were made") }
}

#[cfg(test)]
mod tests {
    use circuits::credit::combine;
    use protocol::Kind;

    use super::*;

    const A: Address = Address([0xa; 20]);
    const B: Address = Address([0xb; 20]);

    /// A's subtree of two proofs collapses; B merges it with its own base; A proves the root.
    fn tree() -> (Records, Word) {
        let mut records = Records::default();
        let mut add = |kind, payee, left: Option<&Credit>, right: Option<&Credit>| {
            let credit = combine(kind, payee, [left, right]).unwrap();
            records.insert(credit);
            credit
        };
        let vm = add(Kind::Vm, A, None, None);
        let kernel = add(Kind::Kernel, A, None, Some(&vm));
        let base_a = add(Kind::Base, A, Some(&kernel), None);
        let base_b = add(Kind::Base, B, None, None);
        let merge = add(Kind::Merge, B, Some(&base_a), Some(&base_b));
        let root = add(Kind::Root, A, Some(&merge), None);
        let value = to_word(Record::from_credit(&root).unwrap().value());
        (records, value)
    }

    #[test]
    fn every_unit_of_the_tree_is_payable_once() {
        let (records, root) = tree();
        let shares = records.shares(root).unwrap();
        let row = |it: &Share| (it.path.position, it.path.payee, it.units);
        let rows: Vec<_> = shares.iter().map(row).collect();
        assert_eq!(rows, [(1, A, 209), (2, B, 173), (4, A, 358), (5, B, 175)]);
        let units: u64 = shares.iter().map(|it| it.units).sum();
        assert_eq!(units, 915);
        assert_eq!(shares[2].path.steps.len(), 2);
        let settled = SettledSlot { credit: root, units, pool: 1000, paid: BTreeMap::new() };
        assert_eq!(shares[2].amount(&settled), 391);
    }

    #[test]
    fn a_payout_is_open_until_l1_pays_it_and_open_again_when_that_is_undone() {
        let (records, credit) = tree();
        let mut money = Money { records, ..Money::default() };
        let slot = Slot(3);
        let settled =
            L1Event::Settled { slot, end: [0; 32], credit, payee: A, units: 915, pool: 9_150 };
        money.l1_block(Hash([1; 32]), &[settled]);
        let open = |money: &Money| money.unpaid(slot, B).map(|it| it.len());
        assert_eq!(open(&money).ok(), Some(2));
        let paid = L1Event::Paid { slot, position: 2, payee: B, amount: 1_730 };
        money.l1_block(Hash([2; 32]), &[paid]);
        assert_eq!(open(&money).ok(), Some(1));
        money.l1_undo(Hash([2; 32]));
        assert_eq!(open(&money).ok(), Some(2));
        money.l1_undo(Hash([1; 32]));
        assert_eq!(open(&money).map_err(|it| it.code()), Err("PAY-002"));
    }

    #[test]
    fn a_record_that_is_not_held_is_named_as_such() {
        let (_, root) = tree();
        assert_eq!(Records::default().shares(root).unwrap_err().code(), "PAY-001");
    }
}
