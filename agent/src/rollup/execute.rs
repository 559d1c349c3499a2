//! Running txs: the calls with the interpreter, nonce, fee and logs on a state view.
//!
//! Whoever makes a block, whoever replays it and whoever only holds its witnesses run the same
//! functions, so that they cannot disagree on what a block does. Every call can be run and proved;
//! what makes a tx unfit for a block (a wrong nonce, a balance too small, a position that is
//! taken, an unknown program) is told apart from what is wrong with a witness, because the first
//! is the sequencer's fault and the second that of whoever sent the witness.

use std::collections::BTreeMap;

use circuits::poseidon::{Fr, from_word, to_word};
use circuits::state::{Opening, TxWitness, View, account_key, storage_key};
use circuits::tx::{Call, Tx, WitnessError};
use circuits::vm::asm::assemble;
use circuits::vm::{Access, Program, ProgramError, run};
use protocol::Word;

use super::data;

/// The programs of a release, as they are written in `assets/programs`.
const RELEASE: [(&str, &str); 3] = [
    ("transfer", include_str!("../../../assets/programs/transfer.asm")),
    ("swap", include_str!("../../../assets/programs/swap.asm")),
    ("counter", include_str!("../../../assets/programs/counter.asm")),
];

/// Programs by their hash, which is their address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    by_hash: BTreeMap<Word, Program>,
    by_name: BTreeMap<&'static str, Fr>,
}

impl Programs {
    /// The programs of this release.
    ///
    /// # Errors
    /// When a text is no program; a test assembles them all.
    pub(crate) fn release() -> Result<Self, ProgramError> {
        let mut programs = Self::default();
        for (name, text) in RELEASE {
            let program = assemble(text)?;
            programs.by_name.insert(name, program.hash());
            programs.by_hash.insert(to_word(program.hash()), program);
        }
        Ok(programs)
    }

    /// Address of a program of this release; `None` for a name it does not have.
    pub(crate) fn named(&self, name: &str) -> Option<Fr> {
        self.by_name.get(name).copied()
    }

    /// The program with this hash.
    pub(crate) fn get(&self, hash: &Word) -> Option<&Program> {
        self.by_hash.get(hash)
    }
}

/// Why a tx did not run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TxFault {
    /// It must not stand in a block here.
    #[error("{0}")]
    Unfit(WitnessError),
    /// It calls a program that this agent does not have.
    #[error("the program {program} is unknown: it is not in this release", program = hex::encode(.0))]
    Program(Word),
    /// The witness is not this tx's, or not whole.
    #[error("{0}")]
    Witness(WitnessError),
}

/// One call and what it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CallRun {
    /// Its program.
    pub(crate) program: Program,
    /// The call.
    pub(crate) call: Call,
    /// Value before the call of every slot it touched.
    pub(crate) slots: Vec<(Fr, Fr)>,
    /// What it read and wrote.
    pub(crate) log: Vec<Access>,
    /// Whether it reverted.
    pub(crate) reverted: bool,
}

/// One tx and what it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TxRun {
    /// The tx as its circuits see it.
    pub(crate) tx: Tx,
    /// State root before it.
    pub(crate) start: Fr,
    /// State root after it.
    pub(crate) end: Fr,
    /// Its calls, in order.
    pub(crate) calls: Vec<CallRun>,
    /// The account and every access, as they stood before each write: what `base` replays.
    pub(crate) openings: Vec<Opening>,
}

impl TxRun {
    /// The logs of the calls, in order.
    pub(crate) fn logs(&self) -> Vec<Vec<Access>> {
        self.calls.iter().map(|call| call.log.clone()).collect()
    }
}

/// The tx as its circuits see it.
///
/// # Panics
/// If a word is no field element: the codec lets none through.
pub(crate) fn circuit_tx(tx: &data::Tx) -> Tx {
    let account = field(&tx.account);
    let call = |call: &data::Call| Call {
        caller: account,
        program: field(&call.program),
        args: call.args_padded().map(|arg| field(&arg)),
    };
    let calls = tx.calls.iter().map(call).collect();
    Tx { account, nonce: tx.nonce, fee: tx.fee, expiry: tx.expiry, calls }
}

fn field(word: &Word) -> Fr {
    let Some(element) = from_word(word) else {
        panic!("the codec refuses words that are not below the order");
    };
    element
}

/// Runs the calls of `tx` one on top of the other; `read` gives what stands at a key before the tx.
///
/// # Errors
/// [`TxFault::Program`], and the first error of `read`.
pub(crate) fn run_calls(
    tx: &Tx,
    programs: &Programs,
    read: &mut dyn FnMut(Fr) -> Result<Fr, WitnessError>,
) -> Result<Vec<CallRun>, TxFault> {
    let mut written: BTreeMap<Fr, Fr> = BTreeMap::new();
    let mut runs = Vec::with_capacity(tx.calls.len());
    for call in &tx.calls {
        let hash = to_word(call.program);
        let program = programs.get(&hash).ok_or(TxFault::Program(hash))?;
        let mut fault = None;
        let mut value = |slot: Fr| {
            let key = storage_key(call.program, slot);
            let found = written.get(&key).map_or_else(|| read(key), |value| Ok(*value));
            found.unwrap_or_else(|error| {
                fault.get_or_insert(error);
                Fr::zero()
            })
        };
        let execution = run(program, call.caller, &call.args, &mut value);
        if let Some(error) = fault {
            return Err(blame(error));
        }
        written.extend(execution.log.iter().map(|access| (access.key, access.new)));
        let old = execution.log.iter().map(|access| access.old);
        runs.push(CallRun {
            program: program.clone(),
            call: *call,
            slots: execution.slots.iter().copied().zip(old).collect(),
            log: execution.log,
            reverted: execution.reverted,
        });
    }
    Ok(runs)
}

/// Keys that a tx with these calls touches: its account's and those of the logs.
pub(crate) fn touched(tx: &Tx, calls: &[CallRun]) -> Vec<Fr> {
    let accesses = calls.iter().flat_map(|call| &call.log).map(|access| access.key);
    std::iter::once(account_key(tx.account)).chain(accesses).collect()
}

/// Runs a whole tx with nothing but its witness: checks every path against `root`, runs the calls,
/// takes nonce and fee, replays the logs.
///
/// # Errors
/// Whose fault it is that the tx does not run: see [`TxFault`].
pub(crate) fn run_tx(
    tx: &data::Tx,
    root: Fr,
    witness: &TxWitness,
    programs: &Programs,
) -> Result<TxRun, TxFault> {
    let tx = circuit_tx(tx);
    let mut view = View::new(root, witness).map_err(blame)?;
    let calls = run_calls(&tx, programs, &mut |key| view.get(key))?;
    let logs: Vec<_> = calls.iter().map(|call| call.log.clone()).collect();
    let openings = view.apply(&tx, &logs).map_err(blame)?;
    let end = view.root();
    Ok(TxRun { tx, start: root, end, calls, openings })
}

/// A path that is missing or leads elsewhere is the witness' fault; everything else follows from
/// the block and the state.
fn blame(error: WitnessError) -> TxFault {
    match error {
        WitnessError::PathMissing { .. } | WitnessError::Path { .. } => TxFault::Witness(error),
        WitnessError::TooManyCalls { .. }
        | WitnessError::Caller { .. }
        | WitnessError::Secret
        | WitnessError::Program { .. }
        | WitnessError::SlotMissing { .. }
        | WitnessError::ChildWord { .. }
        | WitnessError::Opening { .. }
        | WitnessError::Record { .. }
        | WitnessError::NotAField
        | WitnessError::Overflow { .. }
        | WitnessError::Nonce { .. }
        | WitnessError::Balance { .. }
        | WitnessError::Stale { .. }
        | WitnessError::PositionTaken { .. } => TxFault::Unfit(error),
    }
}
