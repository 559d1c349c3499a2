//! Filling and sealing a block: what a sequencer commits to.
//!
//! A block with one tx that cannot be proved is lost whole, so each tx is run on the state that
//! those before it leave, and the block's shape is kept within what the network's lanes can prove
//! in time (R3.3).

use std::collections::BTreeSet;

use circuits::poseidon::Fr;
use circuits::tx::WitnessError;
use circuits::vm::log_hash;
use protocol::tree::Tree;
use protocol::{BlockId, Hash, Params, Slot};

use super::admission::{Lanes, admits};
use super::data::{BlockData, DataError, TXS_MAX, Tx, block_id, commitment};
use super::execute::{Programs, TxFault, TxRun};
use super::mempool::{Draft, Mempool, Verdict};
use super::plan::commitment_of;
use super::sequencer::Sealed;
use super::state::{StateDraft, StateTree};

/// What bounds a block besides its own txs.
pub(crate) struct DraftRules<'a> {
    /// The slot it is for.
    pub(crate) slot: Slot,
    /// The network's parameters.
    pub(crate) params: &'a Params,
    /// Lanes of the slot's epoch.
    pub(crate) lanes: Lanes,
    /// Proof trees of older revealed, unsettled blocks.
    pub(crate) backlog: &'a [Tree],
    /// The programs of this release.
    pub(crate) programs: &'a Programs,
}

/// The best block that can be made of the waiting txs now; empty when none fits. The pool and the
/// state are left as they were.
pub(crate) fn fill_block(
    mempool: &Mempool,
    state: &mut StateTree,
    rules: &DraftRules<'_>,
) -> Vec<Tx> {
    let mut draft = BlockDraft {
        state: state.draft(rules.programs),
        rules,
        txs: Vec::new(),
        calls: Vec::new(),
        vms: BTreeSet::new(),
        fees: 0,
    };
    mempool.fill(&mut draft);
    draft.txs
}

/// What a block is sealed with besides its txs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seal {
    /// For which slot.
    pub(crate) slot: Slot,
    /// The block it stands on; zero for the first.
    pub(crate) parent: BlockId,
    /// 32 random bytes.
    pub(crate) salt: [u8; 32],
    /// Our VRF output in this slot.
    pub(crate) score: Hash,
    /// Its proof.
    pub(crate) vrf: Vec<u8>,
}

/// Encodes the txs and computes what is committed to.
///
/// # Errors
/// [`DataError::Txs`] for an empty block; what the mempool gave is otherwise within its bounds.
pub(crate) fn seal(txs: Vec<Tx>, seal: Seal, proof_bytes: usize) -> Result<Sealed, DataError> {
    let list = commitment_of(&txs);
    let data = BlockData { txs }.encode(proof_bytes)?;
    let block = block_id(&data);
    let Seal { slot, parent, salt, score, vrf } = seal;
    let commitment = commitment(block, &list, parent, &salt);
    Ok(Sealed { slot, block, data, txs: list, parent, salt, commitment, score, vrf })
}

struct BlockDraft<'a> {
    state: StateDraft<'a>,
    rules: &'a DraftRules<'a>,
    txs: Vec<Tx>,
    calls: Vec<u8>,
    /// Call and log of every vm task so far.
    vms: BTreeSet<(Fr, Fr)>,
    fees: u64,
}

impl BlockDraft<'_> {
    fn fits(&self, tx: &Tx) -> bool {
        let mut calls = self.calls.clone();
        calls.push(tx.calls.len() as u8);
        let Self { rules, .. } = self;
        let tree = Tree::new(&calls);
        let in_time = tree.is_some_and(|it| admits(&it, rules.backlog, rules.lanes, rules.params));
        in_time && self.fees.checked_add(tx.fee).is_some()
    }

    /// Two equal calls with equal logs are one task: the second waits for the next block, where it
    /// need not be proved at a place whose claim is elsewhere.
    fn repeats_a_call(&self, run: &TxRun) -> bool {
        let vms: Vec<_> = vms(run).collect();
        let distinct: BTreeSet<_> = vms.iter().collect();
        distinct.len() < vms.len() || vms.iter().any(|vm| self.vms.contains(vm))
    }
}

fn vms(run: &TxRun) -> impl Iterator<Item = (Fr, Fr)> {
    run.calls.iter().map(|it| (it.call.hash(), log_hash(&it.log)))
}

impl Draft for BlockDraft<'_> {
    fn offer(&mut self, tx: &Tx) -> Verdict {
        if self.txs.len() == TXS_MAX {
            return Verdict::Full;
        }
        if tx.expiry < self.rules.slot.0 {
            return Verdict::Stale;
        }
        if !self.fits(tx) {
            return Verdict::Refused;
        }
        let run = match self.state.add(tx) {
            Ok(run) => run,
            Err(TxFault::Unfit(WitnessError::Nonce { tx, account })) if tx < account => {
                return Verdict::Stale;
            }
            Err(TxFault::Unfit(_) | TxFault::Program(_) | TxFault::Witness(_)) => {
                return Verdict::Refused;
            }
        };
        if self.repeats_a_call(&run) {
            self.state.remove_last();
            return Verdict::Refused;
        }
        self.vms.extend(vms(&run));
        self.fees += tx.fee;
        self.calls.push(tx.calls.len() as u8);
        self.txs.push(tx.clone());
        Verdict::Added
    }
}
