//! A devnet of two clients: blocks made by the traffic, planned with and without a state tree.

use std::collections::BTreeSet;

use circuits::state::Account;
use protocol::{Hash, Slot};

use super::*;
use crate::rollup::data::Call;
use crate::rollup::genesis::tests::table;
use crate::rollup::genesis::{accounts, first_state};
use crate::rollup::state::{StateError, StateTree, decode_witness, encode_witness};
use crate::rollup::traffic::{Traffic, with_proof};

const PROOF: usize = 3;
const SET: Word = [1; 32];

/// A proof is good if it starts with 1.
struct FirstByte;

impl TxCheck for FirstByte {
    fn check(&self, tx: &Tx) -> Result<Word, String> {
        if tx.proof[0] == 1 { Ok(SET) } else { Err("pairing".to_owned()) }
    }
}

pub(crate) struct World {
    programs: Programs,
    state: StateTree,
    traffic: Traffic,
}

impl World {
    fn new() -> Self {
        let programs = Programs::release().unwrap();
        let genesis = first_state(&table(), Fr::one(), &programs).unwrap();
        let traffic = Traffic::new(&table(), Fr::one(), &programs).unwrap();
        Self { state: StateTree::new(&genesis).unwrap(), traffic, programs }
    }

    fn rules(&self) -> PlanRules<'_> {
        PlanRules { set: SET, proof_bytes: PROOF, programs: &self.programs, check: &FirstByte }
    }

    /// The next block of one tx per client, the first of them with a swap.
    fn block(&self) -> BlockData {
        let due = self.traffic.due(Slot(0));
        BlockData { txs: due.iter().map(|input| with_proof(input, vec![1, 0, 0])).collect() }
    }

    /// What a full node makes of the block: its witnesses.
    fn witnesses(&self, block: &BlockData) -> Vec<TxWitness> {
        let mut state = self.state.clone();
        state.apply(BlockId::default(), block, &self.programs).unwrap()
    }

    fn plan(&self, block: &BlockData, witnesses: &[TxWitness]) -> Result<Plan, PlanError> {
        let data = block.encode(PROOF).unwrap();
        let txs = commitment_of(&block.txs);
        let on_chain = OnChain { data: &data, txs, start: self.state.root() };
        plan(&on_chain, witnesses, &self.rules())
    }
}

pub(crate) fn good_plan() -> (World, BlockData, Vec<TxWitness>, Plan) {
    let world = World::new();
    let block = world.block();
    let witnesses = world.witnesses(&block);
    let plan = world.plan(&block, &witnesses).unwrap();
    (world, block, witnesses, plan)
}

/// The plan of a block whose txs, all by the first client, make so many swaps each.
pub(crate) fn plan_of(calls: &[usize]) -> Plan {
    let world = World::new();
    let swap = world.block().txs[0].clone();
    let tx = |(nonce, count): (usize, &usize)| Tx {
        nonce: nonce as u64,
        calls: vec![swap.calls[0].clone(); *count],
        ..swap.clone()
    };
    let block = BlockData { txs: calls.iter().enumerate().map(tx).collect() };
    world.plan(&block, &world.witnesses(&block)).unwrap()
}

#[test]
fn a_block_of_two_txs_is_planned_and_its_roots_chain() {
    let (mut world, block, _, plan) = good_plan();
    assert_eq!(plan.calls(), [1, 0]);
    let nodes: Vec<_> = plan.tasks().iter().map(|it| it.node.to_string()).collect();
    assert_eq!(nodes, ["vm/0.0", "kernel/0.0", "base/0", "base/1", "merge/1.0", "root"]);
    let words: Vec<_> = plan.tasks().iter().map(|it| it.words).collect();
    let [vm, kernel, first, second, merge, root] = words[..] else { panic!("six tasks") };
    assert_eq!(to_word(first.start), world.state.root());
    assert_eq!(second.start, first.end);
    assert_eq!((merge.start, merge.end), (first.start, second.end));
    assert_eq!(root, merge);
    assert_eq!((kernel.end, kernel.count), (Fr::zero(), Fr::one()));
    assert_eq!(kernel.aux, h2(Fr::zero(), vm.end));
    assert_eq!((root.count, root.aux), (Fr::from(2), Fr::from(20)));
    assert!(!plan.txs()[0].run.calls[0].reverted, "the swap goes through");
    let data = block.encode(PROOF).unwrap();
    world.state.apply(block_id(&data), &block, &world.programs).unwrap();
    assert_eq!(plan.end(), world.state.root());
}

#[test]
fn task_ids_are_distinct_and_the_same_for_everybody() {
    let (world, block, witnesses, plan) = good_plan();
    let ids: BTreeSet<_> = plan.tasks().iter().map(|it| it.task).collect();
    assert_eq!(ids.len(), plan.tasks().len());
    let again = world.plan(&block, &witnesses).unwrap();
    assert_eq!(again, plan);
    let Input::Planned { block: id, plan: asked } = plan.planned() else { panic!("planned") };
    let (calls, tasks) = (asked.calls.to_vec(), asked.tasks.to_vec());
    assert_eq!((id, calls.len(), tasks.len()), (plan.block(), 2, 6));
    let other_set = PlanRules { set: [2; 32], ..world.rules() };
    let data = block.encode(PROOF).unwrap();
    let txs = commitment_of(&block.txs);
    let on_chain = OnChain { data: &data, txs, start: world.state.root() };
    let other = super::plan(&on_chain, &witnesses, &other_set).unwrap();
    assert!(other.tasks().iter().all(|it| !ids.contains(&it.task)));
}

#[test]
fn fetched_witnesses_give_the_same_plan_as_derived_ones() {
    let (world, block, witnesses, plan) = good_plan();
    let fetched: Vec<_> = witnesses
        .iter()
        .map(|witness| {
            let (_, bytes) = encode_witness(witness);
            decode_witness(&bytes).unwrap()
        })
        .collect();
    assert_eq!(world.plan(&block, &fetched), Ok(plan));
}

#[test]
fn the_end_root_is_what_plain_arithmetic_says() {
    let (world, _, _, plan) = good_plan();
    // The clients' swap: 1,000 of token 0 in, 900 of token 1 out, a fee of 10 each.
    let table = table();
    let mut genesis = first_state(&table, Fr::one(), &world.programs).unwrap();
    for (_, holds) in &mut genesis.accounts {
        *holds = Account { nonce: 1, balance: table.balance - 10 };
    }
    let swap = world.programs.named("swap").unwrap();
    let client = accounts(&table, Fr::one())[0];
    let mut add = |slot: Fr, amount: Fr| {
        let entry = genesis.storage.iter_mut().find(|it| it.0 == swap && it.1 == slot).unwrap();
        entry.2 += amount;
    };
    let (paid, received) = (Fr::from(1_000), Fr::from(900));
    add(Fr::zero(), paid);
    add(Fr::one(), -received);
    add(h2(client, Fr::zero()), -paid);
    add(h2(client, Fr::one()), received);
    assert_eq!(plan.end(), crate::rollup::state::genesis_root(&genesis).unwrap());
}

#[test]
fn every_change_to_a_witness_is_refused_as_the_senders_fault() {
    let (world, block, witnesses, _) = good_plan();
    for tx in 0..2 {
        for opening in 0..witnesses[tx].openings.len() {
            let changed = |change: fn(&mut circuits::state::Opening)| {
                let mut witnesses = witnesses.clone();
                change(&mut witnesses[tx].openings[opening]);
                world.plan(&block, &witnesses)
            };
            for refused in [
                changed(|it| it.value += Fr::one()),
                changed(|it| it.key += Fr::from(1 << 30)),
                changed(|it| it.siblings[5] += Fr::one()),
                changed(|it| it.siblings.truncate(27)),
            ] {
                let error = refused.unwrap_err();
                assert!(error.is_witness_fault(), "{error}");
                assert_eq!(error.code(), "BLK-002");
            }
            let mut short = witnesses.clone();
            short[tx].openings.remove(opening);
            assert!(world.plan(&block, &short).unwrap_err().is_witness_fault());
        }
    }
    let swapped = [witnesses[1].clone(), witnesses[0].clone()];
    assert!(world.plan(&block, &swapped).unwrap_err().is_witness_fault());
    let one = world.plan(&block, &witnesses[..1]);
    assert_eq!(one, Err(PlanError::Witnesses { found: 1, wanted: 2 }));
}

/// A block changed in one way must be refused as the sequencer's fault; the reason contains `why`.
#[track_caller]
fn check_refused(change: impl FnOnce(&mut BlockData), why: &str) {
    let (world, mut block, witnesses, _) = good_plan();
    change(&mut block);
    let error = world.plan(&block, &witnesses).unwrap_err();
    assert_eq!(error.code(), "BLK-001");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_block_that_cannot_be_proved_is_refused() {
    check_refused(|it| it.txs[1].nonce = 1, "tx 1: the tx has nonce 1, the account is at 0");
    check_refused(|it| it.txs[1].fee = 2_000_000, "the fee is 2000000");
    check_refused(|it| it.txs[1].proof[0] = 0, "tx 1: its proof is refused: pairing");
    let unknown = Call { program: [3; 32], args: vec![] };
    check_refused(|it| it.txs[1].calls = vec![unknown], "is not in this release");
    check_refused(|it| it.txs.iter_mut().for_each(|tx| tx.fee = u64::MAX), "64 bits");
}

#[test]
fn a_false_tx_list_is_refused() {
    let (world, block, witnesses, _) = good_plan();
    let data = block.encode(PROOF).unwrap();
    let claimed = commitment_of(&block.txs[..1]);
    let on_chain = OnChain { data: &data, txs: claimed, start: world.state.root() };
    let refused = plan(&on_chain, &witnesses, &world.rules()).unwrap_err();
    assert!(matches!(refused, PlanError::Txs { .. }));
    let short = OnChain { data: &data[..9], ..on_chain };
    let refused = plan(&short, &witnesses, &world.rules()).unwrap_err();
    assert_eq!((refused.code(), refused.is_witness_fault()), ("BLK-001", false));
}

#[test]
fn a_start_root_that_is_not_l1s_is_noticed() {
    let (world, block, witnesses, _) = good_plan();
    let data = block.encode(PROOF).unwrap();
    let txs = commitment_of(&block.txs);
    let on_chain = OnChain { data: &data, txs, start: SET };
    assert!(plan(&on_chain, &witnesses, &world.rules()).unwrap_err().is_witness_fault());
}

#[test]
fn tx_lists_join_as_the_merges_of_the_tree_do() {
    let hashes: Vec<Fr> = (1..=16).map(Fr::from).collect();
    for count in 1..=hashes.len() {
        let tree = Tree::new(&vec![0; count]).unwrap();
        let mut words: Vec<Fr> = Vec::new();
        for (place, node) in tree.nodes().iter().enumerate() {
            let below: Vec<_> = tree.children(place).iter().map(|child| words[*child]).collect();
            words.push(match below[..] {
                [] => txs_of(hashes[node.index as usize]),
                [left, right] => h2(left, right),
                [only] => only,
                _ => panic!("two children at most"),
            });
        }
        assert_eq!(commit_txs(&hashes[..count]), words[tree.root()], "{count} txs");
    }
}

#[test]
fn ten_blocks_in_a_row_keep_tree_and_plans_together_and_can_be_undone() {
    let mut world = World::new();
    let mut past = Vec::new();
    for slot in (0..10).map(Slot) {
        let block = world.block();
        let data = block.encode(PROOF).unwrap();
        let start = world.state.root();
        let witnesses = world.state.apply(block_id(&data), &block, &world.programs).unwrap();
        let on_chain = OnChain { data: &data, txs: commitment_of(&block.txs), start };
        let plan = plan(&on_chain, &witnesses, &world.rules()).unwrap();
        assert_eq!(plan.end(), world.state.root());
        assert!(plan.txs().iter().all(|tx| tx.run.calls.iter().all(|call| !call.reverted)));
        world.traffic.l1_block(slot, Hash::default(), vec![(slot, block)], &[]);
        past.push((block_id(&data), start));
    }
    let (oldest, _) = past[0];
    assert_eq!(world.state.undo(oldest), Err(StateError::Undo(oldest)));
    for (block, start) in past.into_iter().rev() {
        world.state.undo(block).unwrap();
        assert_eq!(world.state.root(), start);
    }
    assert_eq!(world.state.root(), World::new().state.root());
}

#[test]
fn a_block_that_does_not_run_changes_nothing() {
    let mut world = World::new();
    let root = world.state.root();
    let mut block = world.block();
    block.txs[1].nonce = 7;
    let refused = world.state.apply(BlockId::default(), &block, &world.programs).unwrap_err();
    assert_eq!(refused.code(), "BLK-001");
    assert!(matches!(refused, StateError::Tx { index: 1, .. }));
    assert_eq!(world.state.root(), root);
    assert_eq!(world.state.newest(), None);
}

#[test]
fn a_reverted_call_still_pays_its_fee_and_is_planned() {
    let world = World::new();
    let mut block = world.block();
    // More is asked for than the market gives.
    block.txs[0].calls[0].args[2] = block.txs[0].calls[0].args[1];
    let witnesses = world.witnesses(&block);
    let plan = world.plan(&block, &witnesses).unwrap();
    let run = &plan.txs()[0].run;
    assert!(run.calls[0].reverted);
    assert!(run.calls[0].log.iter().all(|access| access.old == access.new));
    assert_ne!(run.start, run.end);
}
