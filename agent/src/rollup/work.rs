//! From a planned task and its accepted children to what the prover is given.
//!
//! The only place where the plan meets the circuits' inputs. Whatever is put together wrongly here
//! is refused by the prover before it costs minutes; what is refused here is a fault of the caller
//! and says which.

use std::sync::Arc;

use circuits::setup::accept::accept;
use circuits::setup::keys::VerifyingKeys;
use circuits::setup::leaf::tx_proof;
use circuits::setup::prove::{Proof, Work};
use protocol::{Kind, Node, Word};

use super::data::Tx;
use super::execute::circuit_tx;
use super::mempool::TxCheck;
use super::plan::{Plan, PlanTx};
use crate::error::Coded;

/// Native acceptance of tx proofs, for the mempool and for plans: under the first of these circuit
/// sets that takes it. A tx does not say of which its proof is; none is of two (R13).
#[derive(Clone, Copy)]
pub(crate) struct AcceptTx<'a>(pub(crate) &'a [Arc<VerifyingKeys>]);

impl TxCheck for AcceptTx<'_> {
    fn check(&self, tx: &Tx) -> Result<Word, String> {
        let mut why = "no circuit set is known here".to_owned();
        for (number, keys) in self.0.iter().enumerate() {
            let proof = tx_proof(keys, &circuit_tx(tx), tx.proof.clone());
            match accept(keys, Kind::Tx, &proof.instances, &proof.proof) {
                Ok(_) => return Ok(keys.set_id()),
                // What the newest set says of it.
                Err(refusal) if number == 0 => why = format!("{}: {refusal}", refusal.code()),
                Err(_) => {}
            }
        }
        Err(why)
    }
}

/// Why a task cannot be given to the prover.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// Not a node of this block's tree.
    #[error("the block has no node {0}")]
    Node(Node),
    /// Another number of children.
    #[error("{node} takes {wanted} proofs of provers, {found} are given")]
    Children {
        /// The task's place.
        node: Node,
        /// Prover-made children that it has.
        wanted: usize,
        /// Proofs given.
        found: usize,
    },
}

impl WorkError {
    /// Stable across releases.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Node(_) => "WRK-001",
            Self::Children { .. } => "WRK-002",
        }
    }
}

impl From<WorkError> for Coded {
    fn from(error: WorkError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// What proving the task at `node` takes. `made` are its children's accepted proofs in tree order
/// (tree child or left, then vm or right); a tx's own proof comes from the block.
///
/// # Errors
/// When the node is not of this block, or a child is missing or too many.
pub(crate) fn work_for(
    plan: &Plan,
    node: Node,
    made: Vec<Proof>,
    keys: &VerifyingKeys,
) -> Result<Work, WorkError> {
    let client = |tx: &PlanTx| tx_proof(keys, &tx.run.tx, tx.proof.clone());
    assemble(plan, node, made, &client)
}

fn assemble(
    plan: &Plan,
    node: Node,
    made: Vec<Proof>,
    client: &dyn Fn(&PlanTx) -> Proof,
) -> Result<Work, WorkError> {
    let place = plan.tree().position(node).ok_or(WorkError::Node(node))?;
    let (wanted, found) = (plan.tree().children(place).len(), made.len());
    let wrong = WorkError::Children { node, wanted, found };
    if wanted != found {
        return Err(wrong);
    }
    let tx = || plan.txs().get(node.index as usize).ok_or(WorkError::Node(node));
    let call = usize::from(node.call);
    let mut made = made.into_iter();
    let mut next = || made.next().ok_or(wrong);
    match node.kind {
        Kind::Tx => Err(WorkError::Node(node)),
        Kind::Vm => vm_work(tx()?, call).ok_or(WorkError::Node(node)),
        Kind::Kernel => {
            let tx = tx()?;
            let first = if call == 0 { client(tx) } else { next()? };
            let left = tx.run.tx.calls_left(call + 1);
            Ok(Work::Kernel { first, vm: next()?, left })
        }
        Kind::Base => {
            let tx = tx()?;
            let child = if tx.run.calls.is_empty() { client(tx) } else { next()? };
            Ok(base_work(tx, child))
        }
        Kind::Merge => Ok(Work::Merge { left: next()?, right: next()? }),
        Kind::Root => Ok(Work::Root { child: next()? }),
    }
}

fn vm_work(tx: &PlanTx, call: usize) -> Option<Work> {
    let run = tx.run.calls.get(call)?;
    let (program, slots) = (run.program.clone(), run.slots.clone());
    Some(Work::Vm { program, call: run.call, slots })
}

fn base_work(tx: &PlanTx, child: Proof) -> Work {
    Work::Base {
        child,
        tx: tx.run.tx.clone(),
        logs: tx.run.logs(),
        start: tx.run.start,
        witness: tx.witness.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use circuits::base::BaseInput;
    use circuits::credit::Record;
    use circuits::kernel::KernelInput;
    use circuits::merge::MergeInput;
    use circuits::poseidon::{Fr, from_word, to_word};
    use circuits::recursion::family::{N_PI, WORDS};
    use circuits::root::RootInput;
    use circuits::tx::words::{Child, payee_word};
    use circuits::tx::{WitnessError, Words};
    use circuits::vm::VmInput;
    use protocol::Address;

    use super::*;
    use crate::rollup::plan::tests::{good_plan, plan_of};

    /// A proof that says `words`; nobody verifies it here.
    fn says(kind: Kind, words: Words, credit: Option<Record>) -> Proof {
        let mut instances = vec![[0; 32]; N_PI];
        let said = words.to_array().map(to_word);
        instances[WORDS + 1..].copy_from_slice(&said);
        Proof { kind, instances, proof: vec![], credit }
    }

    fn client(tx: &PlanTx) -> Proof {
        says(Kind::Tx, tx.run.tx.words(), None)
    }

    fn child(proof: Proof) -> Child {
        let word = |i: usize| from_word(&proof.instances[WORDS + 1 + i]).unwrap();
        Child { words: Words::from_array(core::array::from_fn(word)), credit: proof.credit }
    }

    /// What the circuit would say of this work: the natives that its constraints are tested
    /// against.
    fn native(work: Work, Address(payee): Address) -> Result<Words, WitnessError> {
        match work {
            Work::Tx(input) => input.check(),
            Work::Vm { program, call, slots } => VmInput { program, call, slots, payee }.check(),
            Work::Kernel { first, vm, left } => {
                KernelInput { first: child(first), vm: child(vm), left, payee }.check()
            }
            Work::Base { child: below, tx, logs, start, witness } => {
                BaseInput { child: child(below), tx, logs, start, witness, payee }.check()
            }
            Work::Merge { left, right } => {
                MergeInput { left: child(left), right: child(right), payee }.check()
            }
            Work::Root { child: below } => {
                let root = RootInput { child: child(below), set: Fr::one(), payee }.check()?;
                let (start, end, txs) = (root.start, root.end, root.txs);
                let (count, credit, payee, aux) = (root.count, root.credit, root.payee, root.fees);
                Ok(Words { start, end, txs, count, credit, payee, aux })
            }
        }
    }

    /// Walks the whole tree, every proof by another payee: each proof must say what was planned.
    #[track_caller]
    fn check(plan: &Plan) {
        let mut made: BTreeMap<usize, Proof> = BTreeMap::new();
        for (place, task) in plan.tasks().iter().enumerate() {
            let payee = Address([place as u8 + 1; 20]);
            let below: Vec<Proof> =
                plan.tree().children(place).iter().map(|child| made[child].clone()).collect();
            let records = [0, 1].map(|i| below.get(i).and_then(|proof| proof.credit));
            let work = assemble(plan, task.node, below, &client).unwrap();
            assert_eq!(work.kind(), task.node.kind);
            let said = native(work, payee).unwrap();
            let children = match task.node {
                // The vm child is the right one, also where the left one is a client's tx.
                Node { kind: Kind::Kernel, call: 0, .. } => [None, records[0]],
                _ => records,
            };
            let children = [children[0].as_ref(), children[1].as_ref()];
            let record = Record::over(task.node.kind, payee_word(payee), children).unwrap();
            let planned = Words { payee: payee_word(payee), credit: record.value(), ..task.words };
            assert_eq!(said, planned, "{}", task.node);
            made.insert(place, says(task.node.kind, said, Some(record)));
        }
    }

    #[test]
    fn every_proof_of_a_block_says_what_was_planned() {
        let (.., plan) = good_plan();
        check(&plan);
    }

    #[test]
    fn blocks_of_every_shape_hold_together() {
        for calls in [&[0][..], &[1], &[3, 0, 2], &[1, 2, 3, 0, 1]] {
            check(&plan_of(calls));
        }
    }

    #[test]
    fn a_foreign_node_and_a_wrong_number_of_children_are_named() {
        let (.., plan) = good_plan();
        let node = |kind, index, call| Node { kind, level: 0, index, call };
        let proof = || says(Kind::Vm, Words::default(), None);
        let refused = |node, made| assemble(&plan, node, made, &client).err();
        for foreign in [node(Kind::Tx, 0, 0), node(Kind::Vm, 0, 1), node(Kind::Base, 2, 0)] {
            assert_eq!(refused(foreign, vec![]), Some(WorkError::Node(foreign)));
        }
        for (of, wanted) in [(node(Kind::Vm, 0, 0), 0), (node(Kind::Kernel, 0, 0), 1)] {
            let made = vec![proof(); 2];
            let wrong = WorkError::Children { node: of, wanted, found: 2 };
            assert_eq!(refused(of, made), Some(wrong));
        }
        let base = node(Kind::Base, 0, 0);
        let missing = WorkError::Children { node: base, wanted: 1, found: 0 };
        assert_eq!(refused(base, vec![]), Some(missing));
    }
}
