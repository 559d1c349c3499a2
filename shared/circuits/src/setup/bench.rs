//! What each circuit costs, measured on a block of two txs, one of them with a call.
//!
//! Every kind of proof is made once or twice, and all of them are real: the last one is a root
//! proof L1's contract would take. Units of pay come from these figures.

use super::{
    folder::KeyFolder,
    keys::KeyError,
    prove::{Made, Proof, ProveError, ProvePhase, Work, prove},
};
use crate::{
    poseidon::Fr,
    recursion::family::height,
    state::{Account, Tree, account_key, storage_key},
    tx::{Call, Tx, TxInput, WitnessError, account},
    vm::{Access, Instruction, Op, Program, run},
};
use protocol::{Address, Kind};
use serde::Serialize;

/// Figures of one circuit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Name of the circuit.
    pub kind: &'static str,
    /// log₂ of its rows.
    pub k: u32,
    /// Rows used.
    pub rows: u64,
    /// Of these, rows of the hash's and the curve's gates.
    pub block_rows: u64,
    /// Rows there are.
    pub usable_rows: u64,
    /// CPU milliseconds of key generation.
    pub keygen_cpu_ms: u64,
    /// Proving key in MB.
    pub pk_mb: u64,
    /// CPU milliseconds of the proof, loading included.
    pub prove_cpu_ms: u64,
    /// Milliseconds on the clock.
    pub prove_wall_ms: u64,
    /// Peak memory in MB.
    pub peak_mb: u64,
    /// Bytes of the proof.
    pub proof_bytes: usize,
    /// Milliseconds of its acceptance.
    pub verify_ms: u64,
}

/// What a circuit of a retired set cost when it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// The set's number.
    pub revision: u32,
    /// Name of the circuit.
    pub kind: &'static str,
    /// log₂ of its rows.
    pub k: u32,
    /// CPU seconds of the proof.
    pub prove_cpu_s: u32,
    /// Peak memory in MB.
    pub peak_mb: u32,
    /// Bytes of the proof.
    pub proof_bytes: u32,
}

/// Set 1: one vertical gate, everything in its cells. Proving keys together 4.3 GB.
pub const RETIRED: [Retired; 5] = [
    retired("vm", 16, [10, 400, 2_080]),
    retired("kernel", 20, [173, 3_400, 2_080]),
    retired("base", 20, [175, 3_300, 2_080]),
    retired("merge", 20, [173, 3_400, 2_080]),
    retired("root", 20, [209, 4_100, 2_656]),
];

const fn retired(kind: &'static str, k: u32, [cpu, peak, bytes]: [u32; 3]) -> Retired {
    Retired { revision: 1, kind, k, prove_cpu_s: cpu, peak_mb: peak, proof_bytes: bytes }
}

/// A measured block.
#[derive(Clone, Debug)]
pub struct Bench {
    /// One per circuit, in order; of kinds proved twice, the last.
    pub figures: Vec<Figures>,
    /// The block's root proof.
    pub root: Proof,
}

/// Values a call reads, by slot, and the log it leaves.
type Ran = (Vec<(Fr, Fr)>, Vec<Access>);

/// The state and the two txs that are proved.
struct Block {
    tree: Tree,
    program: Program,
}

const DOMAIN: u64 = 31_337;

/// `load r2 [r1]; add r2 r2 r1; store [r1] r2; halt`: adds the argument to the slot of that number.
fn program() -> Result<Program, WitnessError> {
    let step = |op, a, b, c| Instruction { op, a, b, c, imm: 0 };
    let steps = [
        step(Op::Load, 2, 1, 0),
        step(Op::Add, 2, 2, 1),
        step(Op::Store, 1, 2, 0),
        Instruction::HALT,
    ];
    Program::new(&steps).map_err(|_| WitnessError::Opening { what: "program" })
}

impl Block {
    fn new() -> Result<Self, WitnessError> {
        let mut tree = Tree::new();
        for secret in [1, 2] {
            let account = account(Fr::from(secret), Fr::from(DOMAIN));
            tree.set(account_key(account), Account { nonce: 0, balance: 1_000 }.word())?;
        }
        Ok(Self { tree, program: program()? })
    }

    fn tx(&self, secret: u64, calls: usize) -> TxInput {
        let (secret, domain) = (Fr::from(secret), Fr::from(DOMAIN));
        let account = account(secret, domain);
        let args = [Fr::from(5), Fr::zero(), Fr::zero(), Fr::zero()];
        let call = Call { caller: account, program: self.program.hash(), args };
        let tx = Tx { account, nonce: 0, fee: 3, expiry: 9, calls: vec![call; calls] };
        TxInput { secret, domain, tx }
    }

    /// Values the call reads, and its log.
    fn call(&self, call: &Call) -> Result<Ran, WitnessError> {
        let mut slots = Vec::new();
        let mut failure = None;
        let mut read = |slot: Fr| {
            let value = self.tree.get(storage_key(call.program, slot));
            let value = value.map_err(|error| failure = Some(error)).unwrap_or(Fr::zero());
            slots.push((slot, value));
            value
        };
        let execution = run(&self.program, call.caller, &call.args, &mut read);
        failure.map_or(Ok((slots, execution.log)), Err)
    }

    /// The `base` over `child`; the tree then stands after the tx.
    fn base(
        &mut self,
        child: Proof,
        tx: &Tx,
        logs: Vec<Vec<Access>>,
    ) -> Result<Work, WitnessError> {
        let key = account_key(tx.account);
        let touched = logs.iter().flatten().map(|access| access.key);
        let keys: Vec<Fr> = std::iter::once(key).chain(touched).collect();
        let (start, witness) = (self.tree.root(), self.tree.witness(&keys)?);
        let account = Account::from_word(self.tree.get(key)?);
        let account = account.ok_or(WitnessError::Opening { what: "account" })?;
        self.tree.set(key, account.pay(tx)?.word())?;
        for access in logs.iter().flatten() {
            self.tree.set(access.key, access.new)?;
        }
        Ok(Work::Base { child, tx: tx.clone(), logs, start, witness })
    }
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError<E> {
    /// The sample block is no block: a fault of this program.
    #[error(transparent)]
    Block(#[from] WitnessError),
    /// Keys are missing.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A proof could not be made.
    #[error("{kind}: {error}")]
    Prove {
        /// Of this kind.
        kind: Kind,
        /// Why.
        error: E,
    },
}

struct Measured<'a, E> {
    folder: &'a KeyFolder,
    prove: &'a mut dyn FnMut(&Work) -> Result<Made, E>,
    figures: Vec<Figures>,
}

impl<E> Measured<'_, E> {
    fn prove(&mut self, work: &Work) -> Result<Proof, BenchError<E>> {
        let kind = work.kind();
        let made = (self.prove)(work).map_err(|error| BenchError::Prove { kind, error })?;
        let figures = self.figures(kind, &made)?;
        self.figures.retain(|figures| figures.kind != kind.name());
        self.figures.push(figures);
        Ok(made.proof)
    }

    fn figures(&self, kind: Kind, made: &Made) -> Result<Figures, KeyError> {
        let key = self.folder.figures(kind)?;
        Ok(Figures {
            kind: kind.name(),
            k: height(kind),
            rows: key.rows,
            block_rows: key.block_rows,
            usable_rows: key.usable_rows,
            keygen_cpu_ms: key.cpu_ms,
            pk_mb: key.pk_bytes / 1_000_000,
            prove_cpu_ms: made.timings.cpu_ms,
            prove_wall_ms: made.timings.wall_ms,
            peak_mb: made.timings.peak_mb,
            proof_bytes: made.proof.proof.len(),
            verify_ms: made.timings.accept_ms,
        })
    }
}

/// Proves the block from its txs to its root in this process: about 950 CPU-seconds. Memory of one
/// proof is not given back before the next: peaks are upper bounds, [`circuits_with`] has true ones.
///
/// # Errors
/// Keys that are missing, and a proof that cannot be made.
pub fn circuits(
    folder: &KeyFolder,
    payee: Address,
    progress: &mut dyn FnMut(Kind, ProvePhase),
) -> Result<Bench, ProveError> {
    let measured = circuits_with(folder, &mut |work| {
        prove(folder, work, payee, &mut |phase| progress(work.kind(), phase))
    });
    measured.map_err(|error| match error {
        BenchError::Block(error) => error.into(),
        BenchError::Key(error) => error.into(),
        BenchError::Prove { error, .. } => error,
    })
}

/// Proves the block from its txs to its root: about 950 CPU-seconds. `prove` makes one proof, in a
/// process of its own if peak memory is to be true.
///
/// # Errors
/// Keys that are missing, and a proof that cannot be made.
pub fn circuits_with<E>(
    folder: &KeyFolder,
    prove: &mut dyn FnMut(&Work) -> Result<Made, E>,
) -> Result<Bench, BenchError<E>> {
    let mut block = Block::new()?;
    let mut measured = Measured { folder, prove, figures: Vec::new() };
    let with_call = block.tx(1, 1);
    let (slots, log) = block.call(&with_call.tx.calls[0])?;
    let first = measured.prove(&Work::Tx(with_call.clone()))?;
    let (program, call) = (block.program.clone(), with_call.tx.calls[0]);
    let vm = measured.prove(&Work::Vm { program, call, slots })?;
    let left = with_call.tx.calls_left(1);
    let kernel = measured.prove(&Work::Kernel { first, vm, left })?;
    let left = block.base(kernel, &with_call.tx, vec![log])?;
    let left = measured.prove(&left)?;
    let without = block.tx(2, 0);
    let second = measured.prove(&Work::Tx(without.clone()))?;
    let right = block.base(second, &without.tx, Vec::new())?;
    let right = measured.prove(&right)?;
    let child = measured.prove(&Work::Merge { left, right })?;
    let root = measured.prove(&Work::Root { child })?;
    let mut figures = measured.figures;
    figures.sort_by_key(|figures| Kind::ALL.iter().position(|kind| kind.name() == figures.kind));
    Ok(Bench { figures, root })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::srs::{DEVNET_CHAIN_ID, SetupConstants};
    use crate::setup::{evm, prove::Timings};
    use std::{path::PathBuf, time::Instant};

    /// Keys and proofs of the whole family; figures on the screen. Keys stay in `COPPICE_CACHE`.
    #[test]
    #[ignore = "ten minutes"]
    fn the_whole_family_proves() {
        let cache = std::env::var_os("COPPICE_CACHE").map(PathBuf::from).unwrap();
        let setup = SetupConstants::insecure(DEVNET_CHAIN_ID).unwrap();
        let folder = KeyFolder::open(&cache, setup).unwrap();
        let clock = Instant::now();
        folder
            .generate(&mut |progress| println!("{:?} {:?}", clock.elapsed(), progress.phase))
            .unwrap();
        let keys = folder.verifying_keys().unwrap();
        std::fs::write(cache.join("RootVerifier.sol"), evm::solidity(&keys).unwrap()).unwrap();
        let pins = serde_json::to_string_pretty(&folder.pins().unwrap()).unwrap();
        std::fs::write(cache.join("pins.json"), pins).unwrap();
        if std::env::var_os("KEYS_ONLY").is_some() {
            return;
        }
        let payee = Address([0xa1; 20]);
        let mut number = 0;
        // Proofs that are there from an interrupted run are taken if they are still accepted.
        let mut made = |work: &Work| -> Result<Made, ProveError> {
            number += 1;
            let path = cache.join(format!("{number}-{}.proof", work.kind()));
            let known = std::fs::read(&path).ok().and_then(|it| Proof::decode(&it).ok());
            let known =
                known.filter(|proof| work.kind() != Kind::Root && proof.accept(&keys).is_ok());
            if let Some(proof) = known {
                let timings = Timings { cpu_ms: 0, wall_ms: 0, accept_ms: 0, peak_mb: 0 };
                return Ok(Made { proof, timings });
            }
            let made = prove(&folder, work, payee, &mut |phase| {
                println!("{:?} {} {phase:?}", clock.elapsed(), work.kind());
            })?;
            std::fs::write(&path, made.proof.encode().unwrap()).unwrap();
            Ok(made)
        };
        let measured = circuits_with(&folder, &mut made).unwrap();
        for figures in measured.figures {
            println!("{figures:?}");
        }
        let calldata = evm::calldata(&measured.root.instances, &measured.root.proof);
        std::fs::write(cache.join("calldata.hex"), hex::encode(calldata)).unwrap();
    }
}
