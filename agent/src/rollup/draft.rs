//! Filling and sealing a block: what a sequencer commits to.
//!
//! A block with one tx that cannot be proved is lost whole, so each tx is run on the state that
//! those before it leave, and the block's shape is kept within what the network's lanes can prove
//! in time (R3.3).

use circuits::tx::WitnessError;
use protocol::tree::Tree;
use protocol::{BlockId, Hash, Params, Slot, Word};

use super::admission::{Lanes, admits};
use super::data::{BlockData, DataError, TXS_MAX, Tx, block_id, commitment};
use super::execute::{Programs, TxFault};
use super::mempool::{Draft, Mempool, Verdict};
use super::plan::commitment_of;
use super::sequencer::Sealed;
use super::state::{StateDraft, StateTree};

/// What bounds a block besides its own txs.
pub(crate) struct DraftRules<'a> {
    /// The slot it is for.
    pub(crate) slot: Slot,
    /// The circuit set that proves it (R13).
    pub(crate) set: Word,
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
        fees: 0,
    };
    mempool.fill(&rules.set, &mut draft);
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
    /// The circuit set that its reveal names.
    pub(crate) set: Word,
}

/// Encodes the txs and computes what is committed to.
///
/// # Errors
/// [`DataError::Txs`] for an empty block; what the mempool gave is otherwise within its bounds.
pub(crate) fn seal(txs: Vec<Tx>, seal: Seal, proof_bytes: usize) -> Result<Sealed, DataError> {
    let list = commitment_of(&txs);
    let data = BlockData { txs }.encode(proof_bytes)?;
    let block = block_id(&data);
    let Seal { slot, parent, salt, score, vrf, set } = seal;
    let commitment = commitment(block, &list, parent, &salt);
    Ok(Sealed { slot, block, data, txs: list, parent, salt, commitment, score, vrf, set })
}

struct BlockDraft<'a> {
    state: StateDraft<'a>,
    rules: &'a DraftRules<'a>,
    txs: Vec<Tx>,
    calls: Vec<u8>,
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
        match self.state.add(tx) {
            Ok(()) => {}
            Err(TxFault::Unfit(WitnessError::Nonce { tx, account })) if tx < account => {
                return Verdict::Stale;
            }
            Err(TxFault::Unfit(_) | TxFault::Program(_) | TxFault::Witness(_)) => {
                return Verdict::Refused;
            }
        }
        self.fees += tx.fee;
        self.calls.push(tx.calls.len() as u8);
        self.txs.push(tx.clone());
        Verdict::Added
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use circuits::poseidon::{Fr, to_word};
    use circuits::state::{position, storage_key};

    use super::*;
    use crate::rollup::data::Call;
    use crate::rollup::genesis::first_state;
    use crate::rollup::genesis::tests::table;
    use crate::rollup::mempool::{Entry, TxCheck};
    use crate::rollup::plan::{OnChain, PlanRules, plan};
    use crate::rollup::state::Genesis;
    use crate::rollup::traffic::{Traffic, with_proof};

    const PROOF: usize = 1;
    const SET: Word = [1; 32];

    struct Always;

    impl TxCheck for Always {
        fn check(&self, _: &Tx) -> Result<Word, String> {
            Ok(SET)
        }
    }

    /// A devnet whose first client calls, and a pool.
    struct World {
        programs: Programs,
        genesis: Genesis,
        params: Params,
        state: StateTree,
        pool: Mempool,
    }

    impl World {
        fn new(change: impl FnOnce(&mut Genesis, &Programs)) -> Self {
            let programs = Programs::release().unwrap();
            let mut genesis = first_state(&table(), Fr::one(), &programs).unwrap();
            change(&mut genesis, &programs);
            let state = StateTree::new(&genesis).unwrap();
            let (params, pool) = (Params::devnet(), Mempool::default());
            Self { programs, genesis, params, state, pool }
        }

        /// What the two clients send first.
        fn txs(&self) -> Vec<Tx> {
            let traffic = Traffic::new(&table(), Fr::one(), &self.programs).unwrap();
            let due = traffic.due(Slot(0));
            due.iter().map(|input| with_proof(input, vec![0; PROOF])).collect()
        }

        fn admit(&mut self, tx: Tx) {
            let entry = Entry {
                accounts: &self.state,
                check: &Always,
                slot: Slot(0),
                proof_bytes: PROOF,
                newest: SET,
            };
            self.pool.admit(tx, &entry).unwrap();
        }

        fn fill(&mut self, slot: u64) -> Vec<Tx> {
            let rules = DraftRules {
                slot: Slot(slot),
                set: SET,
                params: &self.params,
                lanes: Lanes { all: 3, vm: 3 },
                backlog: &[],
                programs: &self.programs,
            };
            fill_block(&self.pool, &mut self.state, &rules)
        }
    }

    /// Of the two clients' txs, the first changed, those with these numbers fit.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Tx), slot: u64, wanted: &[usize]) {
        let mut world = World::new(|_, _| {});
        let mut txs = world.txs();
        change(&mut txs[0]);
        txs.iter().cloned().for_each(|tx| world.admit(tx));
        let root = world.state.root();
        let filled = world.fill(slot);
        let numbers: Vec<_> =
            filled.iter().map(|tx| txs.iter().position(|it| it == tx).unwrap()).collect();
        assert_eq!(numbers, wanted);
        assert_eq!((world.state.root(), world.pool.len()), (root, 2), "nothing was kept");
    }

    #[test]
    fn a_block_holds_what_can_be_proved_and_nothing_else() {
        check(|_| {}, 0, &[0, 1]);
        check(|tx| tx.nonce = 1, 0, &[1]);
        check(|tx| tx.expiry = 6, 7, &[1]);
        check(|tx| tx.calls[0].program = [3; 32], 0, &[1]);
        check(|tx| tx.calls = vec![tx.calls[0].clone(); 2], 0, &[0, 1]);
    }

    #[test]
    fn a_block_does_not_outgrow_the_proving_window() {
        let mut world = World::new(|_, _| {});
        let txs = world.txs();
        txs.iter().cloned().for_each(|tx| world.admit(tx));
        for nonce in 1..=16 {
            world.admit(Tx { nonce, ..txs[1].clone() });
        }
        let filled = world.fill(0);
        assert!((2..16).contains(&filled.len()), "{} txs on three lanes", filled.len());
        world.params.proving_blocks *= 3;
        assert_eq!(world.fill(0).len(), TXS_MAX);
        world.params.proving_blocks = 1_000;
        let filled = world.fill(0);
        assert_eq!(filled.len(), 2, "2,000 s are enough for two txs without calls");
        assert!(filled.iter().all(|tx| tx.calls.is_empty()));
    }

    #[test]
    fn a_tx_that_touches_a_taken_position_is_left_out() {
        let programs = Programs::release().unwrap();
        let transfer = programs.named("transfer").unwrap();
        let place = |slot: u64| position(storage_key(transfer, Fr::from(slot)));
        let mut seen = BTreeMap::new();
        let pair = (0..1 << 16).find_map(|n| seen.insert(place(n), n).map(|other| (other, n)));
        let (holder, receiver) = pair.unwrap();
        let take = |genesis: &mut Genesis, _: &Programs| {
            genesis.storage.push((transfer, Fr::from(holder), Fr::one()));
        };
        let send = |to: u64| {
            let args: Vec<Word> = [to, 5].map(|arg| to_word(Fr::from(arg))).to_vec();
            vec![Call { program: to_word(transfer), args }]
        };
        for (to, fits) in [(holder, true), (receiver, false)] {
            let mut world = World::new(take);
            let tx = Tx { calls: send(to), ..world.txs()[0].clone() };
            world.admit(tx);
            assert_eq!(world.fill(0).len(), usize::from(fits));
        }
    }

    #[test]
    fn a_sealed_block_is_what_every_agent_plans() {
        let mut world = World::new(|_, _| {});
        world.txs().into_iter().for_each(|tx| world.admit(tx));
        let txs = world.fill(0);
        let parts = Seal {
            slot: Slot(0),
            parent: BlockId([4; 32]),
            salt: [5; 32],
            score: Hash([6; 32]),
            vrf: vec![7],
            set: SET,
        };
        let sealed = seal(txs, parts.clone(), PROOF).unwrap();
        let opened = commitment(sealed.block, &sealed.txs, parts.parent, &parts.salt);
        assert_eq!(opened, sealed.commitment);
        let data = BlockData::decode(&sealed.data, PROOF).unwrap();
        let start = world.state.root();
        let witnesses = world.state.apply(sealed.block, &data, &world.programs).unwrap();
        let rules =
            PlanRules { set: SET, proof_bytes: PROOF, programs: &world.programs, check: &Always };
        let on_chain = OnChain { data: &sealed.data, txs: sealed.txs, start };
        let plan = plan(&on_chain, &witnesses, &rules).unwrap();
        assert_eq!((plan.block(), plan.end()), (sealed.block, world.state.root()));
        assert_ne!(plan.end(), StateTree::new(&world.genesis).unwrap().root());
        assert_eq!(seal(vec![], parts, PROOF), Err(DataError::Txs(0)));
    }
}
