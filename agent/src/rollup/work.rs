//! From a planned task and its accepted children to what the prover is given.
//!
//! The only place where the plan meets the circuits' inputs. Whatever is put together wrongly here
//! is refused by the prover before it costs minutes; what is refused here is a fault of the caller
//! and says which.

use circuits::setup::accept::accept;
use circuits::setup::keys::VerifyingKeys;
use circuits::setup::leaf::tx_proof;
use circuits::setup::prove::{Proof, Work};
use protocol::{Kind, Node};

use super::data::Tx;
use super::execute::circuit_tx;
use super::mempool::TxCheck;
use super::plan::{Plan, PlanTx};

/// Native acceptance of tx proofs, for the mempool and for plans.
#[derive(Clone, Copy)]
pub(crate) struct AcceptTx<'a>(pub(crate) &'a VerifyingKeys);

impl TxCheck for AcceptTx<'_> {
    fn check(&self, tx: &Tx) -> Result<(), String> {
        let proof = tx_proof(self.0, &circuit_tx(tx), tx.proof.clone());
        let accepted = accept(self.0, Kind::Tx, &proof.instances, &proof.proof);
        accepted.map(|_| ()).map_err(|refusal| format!("{}: {refusal}", refusal.code()))
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
            let first = if call == 0 { client_proof(tx, keys) } else { next()? };
            let left = tx.run.tx.calls_left(call + 1);
            Ok(Work::Kernel { first, vm: next()?, left })
        }
        Kind::Base => {
            let tx = tx()?;
            let child = if tx.run.calls.is_empty() { client_proof(tx, keys) } else { next()? };
            Ok(base_work(tx, child))
        }
        Kind::Merge => Ok(Work::Merge { left: next()?, right: next()? }),
        Kind::Root => Ok(Work::Root { child: next()? }),
    }
}

fn client_proof(tx: &PlanTx, keys: &VerifyingKeys) -> Proof {
    tx_proof(keys, &tx.run.tx, tx.proof.clone())
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
