//! The plan of a revealed block: every statement that has to be proved, before any proof exists.
//!
//! Execution alone fixes the public words of all tasks (R3.2), so every agent names the same tasks
//! without asking anybody. A block is checked whole before anything is claimed: the tx list, every
//! tx proof, nonces, balances, every path from L1's root onward. A block that fails is not worked
//! on (`BLK-001`); a witness that fails costs its sender, not the block (`BLK-002`, R7.1).

use circuits::base::{chain_logs, txs_of};
use circuits::poseidon::{Fr, from_word, h2, to_word};
use circuits::state::TxWitness;
use circuits::tx::{WitnessError, Words};
use circuits::vm::log_hash;
use protocol::assign::{TaskWords, task_id};
use protocol::tree::Tree;
use protocol::{BlockId, BlockPlan, Input, Kind, Node, PlannedTask, TaskId, Word};

use super::data::{BlockData, DataError, Tx, block_id};
use super::execute::{Programs, TxFault, TxRun, run_tx};
use super::mempool::TxCheck;

/// What does not change from block to block.
pub(crate) struct PlanRules<'a> {
    /// The circuit set: setup and keys, as `root` exposes it.
    pub(crate) set: Word,
    /// Exact length of a tx proof.
    pub(crate) proof_bytes: usize,
    /// The programs of this release.
    pub(crate) programs: &'a Programs,
    /// Native acceptance of tx proofs.
    pub(crate) check: &'a dyn TxCheck,
}

/// What L1 says of a revealed block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OnChain<'a> {
    /// The block's bytes.
    pub(crate) data: &'a [u8],
    /// Commitment of the tx list as the sequencer claimed it.
    pub(crate) txs: Word,
    /// State root it starts from.
    pub(crate) start: Word,
}

/// Why a block is not worked on, or a witness not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The bytes are no block.
    #[error("the block's data: {0}")]
    Data(#[from] DataError),
    /// The claimed commitment is another list's.
    #[error("the tx list hashes to {found}, the sequencer claimed {claimed}",
        found = hex::encode(.found), claimed = hex::encode(.claimed))]
    Txs {
        /// What the txs hash to.
        found: Word,
        /// What L1 was told.
        claimed: Word,
    },
    /// A tx must not stand where it stands.
    #[error("tx {index}: {fault}")]
    Tx {
        /// Its place in the block.
        index: usize,
        /// Why.
        fault: TxFault,
    },
    /// A tx proof was refused.
    #[error("tx {index}: its proof is refused: {why}")]
    Proof {
        /// Its place in the block.
        index: usize,
        /// The rule that refused it.
        why: String,
    },
    /// The sum of the fees leaves its word.
    #[error("the block's fees sum to more than 64 bits")]
    Fees,
    /// Too few or too many witnesses.
    #[error("{found} witnesses for a block of {wanted} txs")]
    Witnesses {
        /// Witnesses given.
        found: usize,
        /// Txs of the block.
        wanted: usize,
    },
    /// A witness is not its tx's.
    #[error("the witness of tx {index}: {error}")]
    Witness {
        /// Its place in the block.
        index: usize,
        /// Why.
        error: WitnessError,
    },
}

impl PlanError {
    /// Stable across releases: `BLK-001` is the block's fault, `BLK-002` that of whoever sent the
    /// witnesses.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Data(_)
            | Self::Txs { .. }
            | Self::Tx { .. }
            | Self::Proof { .. }
            | Self::Fees => "BLK-001",
            Self::Witnesses { .. } | Self::Witness { .. } => "BLK-002",
        }
    }

    /// Whether other witnesses could help.
    pub(crate) const fn is_witness_fault(&self) -> bool {
        matches!(self, Self::Witnesses { .. } | Self::Witness { .. })
    }
}

/// One task of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PlanTask {
    /// Where it stands.
    pub(crate) node: Node,
    /// Its name.
    pub(crate) task: TaskId,
    /// Its public words; payee and credit are 0, they are the maker's.
    pub(crate) words: Words,
}

/// One tx of a block with everything its proofs need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlanTx {
    /// What it did.
    pub(crate) run: TxRun,
    /// Old values and paths under its start root.
    pub(crate) witness: TxWitness,
    /// The client's proof.
    pub(crate) proof: Vec<u8>,
}

/// A checked block: what is to be proved and from what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    block: BlockId,
    set: Word,
    tree: Tree,
    tasks: Vec<PlanTask>,
    txs: Vec<PlanTx>,
}

impl Plan {
    /// Which block.
    pub(crate) const fn block(&self) -> BlockId {
        self.block
    }
    /// The circuit set that proves it (R13).
    pub(crate) const fn set(&self) -> Word {
        self.set
    }
    /// Its proof tree; tasks are numbered by its places.
    pub(crate) const fn tree(&self) -> &Tree {
        &self.tree
    }
    /// Every prover-made task, in tree order.
    #[cfg(test)]
    pub(crate) fn tasks(&self) -> &[PlanTask] {
        &self.tasks
    }
    /// Its txs, in order.
    pub(crate) fn txs(&self) -> &[PlanTx] {
        &self.txs
    }
    /// State root after the block.
    pub(crate) fn end(&self) -> Word {
        to_word(self.root().end)
    }
    /// Number of public calls of each tx.
    pub(crate) fn calls(&self) -> Vec<u8> {
        self.txs.iter().map(|tx| tx.run.calls.len() as u8).collect()
    }
    /// What the core is told.
    pub(crate) fn planned(&self) -> Input {
        let tasks = self.tasks.iter();
        let tasks = tasks.map(|it| PlannedTask { node: it.node, task: it.task }).collect();
        let plan = BlockPlan { calls: self.calls().into(), tasks };
        Input::Planned { block: self.block, plan }
    }

    fn root(&self) -> &Words {
        &self.tasks[self.tree.root()].words
    }
}

/// Commitment of a tx list: P(8; tx hash) per tx, joined as the merges of the proof tree join
/// (pairs from the left, an odd last one passes up); zero for an empty list, which no block has.
pub(crate) fn commit_txs(hashes: &[Fr]) -> Fr {
    let mut level: Vec<Fr> = hashes.iter().map(|hash| txs_of(*hash)).collect();
    while level.len() > 1 {
        let join = |pair: &[Fr]| match *pair {
            [left, right] => h2(left, right),
            [odd] => odd,
            _ => unreachable!("chunks of two hold one or two"),
        };
        level = level.chunks(2).map(join).collect();
    }
    level.first().copied().unwrap_or(Fr::zero())
}

/// Commitment of a block's txs, as the sequencer claims it at the reveal.
pub(crate) fn commitment_of(txs: &[Tx]) -> Word {
    let hashes: Vec<Fr> = txs.iter().map(|tx| super::execute::circuit_tx(tx).hash()).collect();
    to_word(commit_txs(&hashes))
}

/// Runs and checks a revealed block with nothing but L1's words and one witness per tx. Cheap
/// checks come first, tx proofs (milliseconds each) last.
///
/// # Errors
/// Why the block is not worked on, or the witnesses are not used; the two are told apart by
/// [`PlanError::code`].
pub(crate) fn plan(
    on_chain: &OnChain<'_>,
    witnesses: &[TxWitness],
    rules: &PlanRules<'_>,
) -> Result<Plan, PlanError> {
    let data = BlockData::decode(on_chain.data, rules.proof_bytes)?;
    let found = commitment_of(&data.txs);
    if found != on_chain.txs {
        return Err(PlanError::Txs { found, claimed: on_chain.txs });
    }
    let fees = data.txs.iter().try_fold(0u64, |sum, tx| sum.checked_add(tx.fee));
    fees.ok_or(PlanError::Fees)?;
    if witnesses.len() != data.txs.len() {
        return Err(PlanError::Witnesses { found: witnesses.len(), wanted: data.txs.len() });
    }
    let start = from_word(&on_chain.start).unwrap_or(Fr::zero());
    let runs = run_txs(&data.txs, start, witnesses, rules.programs)?;
    for (index, tx) in data.txs.iter().enumerate() {
        rules.check.check(tx).map_err(|why| PlanError::Proof { index, why })?;
    }
    let proofs = data.txs.into_iter().map(|tx| tx.proof);
    let txs: Vec<PlanTx> = runs
        .into_iter()
        .zip(witnesses.iter().cloned().zip(proofs))
        .map(|(run, (witness, proof))| PlanTx { run, witness, proof })
        .collect();
    Ok(name_tasks(block_id(on_chain.data), txs, &rules.set))
}

/// Each tx on the root that the one before it leaves.
fn run_txs(
    txs: &[Tx],
    start: Fr,
    witnesses: &[TxWitness],
    programs: &Programs,
) -> Result<Vec<TxRun>, PlanError> {
    let mut root = start;
    let mut runs = Vec::with_capacity(txs.len());
    for (index, (tx, witness)) in txs.iter().zip(witnesses).enumerate() {
        let run = run_tx(tx, root, witness, programs).map_err(|fault| match fault {
            TxFault::Witness(error) => PlanError::Witness { index, error },
            TxFault::Unfit(_) | TxFault::Program(_) => PlanError::Tx { index, fault },
        })?;
        root = run.end;
        runs.push(run);
    }
    Ok(runs)
}

fn name_tasks(block: BlockId, txs: Vec<PlanTx>, set: &Word) -> Plan {
    let calls: Vec<u8> = txs.iter().map(|tx| tx.run.calls.len() as u8).collect();
    let Some(tree) = Tree::new(&calls) else {
        unreachable!("the codec and the proof tree have the same limits");
    };
    let mut tasks: Vec<PlanTask> = Vec::with_capacity(tree.nodes().len());
    for (place, node) in tree.nodes().iter().enumerate() {
        let words = words_of(*node, &txs, tree.children(place), &tasks);
        let task = task_id(node.kind, &task_words(&words, set));
        tasks.push(PlanTask { node: *node, task, words });
    }
    Plan { block, set: *set, tree, tasks, txs }
}

/// The public words of one node (slice section 2); its children come before it in tree order.
fn words_of(node: Node, txs: &[PlanTx], children: &[usize], before: &[PlanTask]) -> Words {
    let run = || &txs[node.index as usize].run;
    let call = usize::from(node.call);
    match node.kind {
        Kind::Tx => run().tx.words(),
        Kind::Vm => Words {
            start: run().calls[call].call.hash(),
            end: log_hash(&run().calls[call].log),
            ..Words::default()
        },
        Kind::Kernel => Words {
            start: run().tx.hash(),
            end: run().tx.calls_left(call + 1),
            count: Fr::from(call as u64 + 1),
            aux: chain_logs(&run().logs()[..=call]),
            ..Words::default()
        },
        Kind::Base => Words {
            start: run().start,
            end: run().end,
            txs: txs_of(run().tx.hash()),
            count: Fr::one(),
            aux: Fr::from(run().tx.fee),
            ..Words::default()
        },
        Kind::Merge => {
            let [left, right] = [children[0], children[1]].map(|place| before[place].words);
            assert_eq!(left.end, right.start, "each tx starts where the one before it ended");
            Words {
                start: left.start,
                end: right.end,
                txs: h2(left.txs, right.txs),
                count: left.count + right.count,
                aux: left.aux + right.aux,
                ..Words::default()
            }
        }
        Kind::Root => before[children[0]].words,
    }
}

fn task_words(words: &Words, set: &Word) -> TaskWords {
    TaskWords {
        set: *set,
        start: to_word(words.start),
        end: to_word(words.end),
        txs: to_word(words.txs),
        count: to_word(words.count),
        aux: to_word(words.aux),
    }
}

#[cfg(test)]
pub(crate) mod tests;
