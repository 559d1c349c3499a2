//! One task to one accepted proof.
//!
//! The order is: accept the children, check the witness natively, check it against every
//! constraint, only then load a gigabyte of key and spend the minutes; and accept the own proof
//! before anybody hears of it. Meant to run in a process of its own: the prover library aborts when
//! memory ends, and nothing here can be cancelled but by ending the process.

pub mod codec;
pub mod leaf;
mod named;

use super::{
    accept::{Accepted, Refusal, accept},
    circuit::{self, Input, words},
    folder::{KeyFolder, ProvingMaterial},
    keys::{KeyError, VerifyingKeys},
    meter,
};
use crate::{
    base::BaseInput,
    credit::Record,
    gates::{check::Broken, sheet::Sheet},
    kernel::KernelInput,
    merge::MergeInput,
    poseidon::{Fr, from_word, to_word},
    recursion::{
        family::self_word,
        verify::{BuildError, Child, Plan},
    },
    root::RootInput,
    state::TxWitness,
    tx::{self, Call, Tx, TxInput, WitnessError},
    vm::{Access, Program, VmInput},
};
use halo2_base::halo2_proofs::{
    halo2curves::bn256::{Bn256, G1Affine},
    plonk::create_proof,
    poly::kzg::{commitment::KZGCommitmentScheme, multiopen::ProverSHPLONK},
    transcript::{EncodedChallenge, TranscriptWriterBuffer},
};
use named::Named;
use protocol::{Address, Kind, Word};
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use snark_verifier::{loader::native::NativeLoader, system::halo2::transcript::evm::EvmTranscript};
use snark_verifier_sdk::halo2::{POSEIDON_SPEC, PoseidonTranscript};
use std::time::Instant;

/// A proof with what belongs to it. Not yet accepted: it may come from anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Which circuit.
    #[serde(with = "kind_number")]
    pub kind: Kind,
    /// All public words, big-endian.
    pub instances: Vec<Word>,
    /// The proof's bytes.
    pub proof: Vec<u8>,
    /// The credit record its credit word opens to; `None` for a `tx`.
    pub credit: Option<Record>,
}

/// A kind as its number.
mod kind_number {
    use protocol::Kind;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*kind as u8)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(data: D) -> Result<Kind, D::Error> {
        let number = u8::deserialize(data)?;
        Kind::from_number(number).ok_or_else(|| D::Error::custom("unknown kind of proof"))
    }
}

/// What is to be proved, with everything it takes but the payee.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one is alive per process")]
pub enum Work {
    /// A client's tx. Holds its secret.
    Tx(TxInput),
    /// One public call.
    Vm {
        /// The program the call names.
        program: Program,
        /// The call.
        call: Call,
        /// Value before the call of every slot it touches: (slot, value).
        slots: Vec<(Fr, Fr)>,
    },
    /// The next call of a tx was run.
    Kernel {
        /// The `tx` or the kernel before.
        first: Proof,
        /// The call's proof.
        vm: Proof,
        /// Hash of the calls left after this one.
        left: Fr,
    },
    /// A tx applied to the state.
    Base {
        /// The `tx` (without calls) or its last kernel.
        child: Proof,
        /// The tx.
        tx: Tx,
        /// The log of each call.
        logs: Vec<Vec<Access>>,
        /// State root before it.
        start: Fr,
        /// Paths of the leaves it touches.
        witness: TxWitness,
    },
    /// Two neighbours joined.
    Merge {
        /// The earlier half.
        left: Proof,
        /// The later half.
        right: Proof,
    },
    /// The proof for L1.
    Root {
        /// The proof of the whole block.
        child: Proof,
    },
}

/// What a proof is being put through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProvePhase {
    /// Children accepted, witness checked: a second or two.
    Checking,
    /// Key and setup read and checked.
    Loading,
    /// The proof itself: nearly all of the time.
    Proving,
    /// The own proof accepted.
    Accepting,
}

/// What a proof took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// CPU milliseconds of all threads, loading included.
    pub cpu_ms: u64,
    /// Milliseconds on the clock.
    pub wall_ms: u64,
    /// Milliseconds the acceptance of the own proof took.
    pub accept_ms: u64,
    /// Peak memory of the process in MB.
    pub peak_mb: u64,
}

/// A proof this process made and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The proof.
    pub proof: Proof,
    /// What it took.
    pub timings: Timings,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The witness would prove something false.
    #[error("witness refused: {0}")]
    Witness(#[from] WitnessError),
    /// The witness breaks a constraint the native check does not know.
    #[error("witness refused by the circuit: {0}")]
    Unsatisfied(#[from] Broken),
    /// A child is not accepted.
    #[error("child {position} refused: {refusal}")]
    Child {
        /// From 0.
        position: usize,
        /// Why.
        refusal: Refusal,
    },
    /// The circuit cannot be built over these children.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Keys or setup are not there.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The proof library fails.
    #[error("the prover failed: {0}")]
    Library(String),
    /// The proof is not accepted, or does not say what the witness says: a fault of this program.
    #[error("own proof refused: {0}")]
    Own(&'static str),
    /// The proof is not accepted by its own maker.
    #[error("own proof refused: {0}")]
    OwnRefused(Refusal),
}

impl ProveError {
    /// Stable code for operators.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Witness(error) => error.code(),
            Self::Unsatisfied(_) => "PRV-001",
            Self::Child { .. } => "PRV-002",
            Self::Build(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Library(_) => "PRV-003",
            Self::Own(_) => "PRV-004",
            Self::OwnRefused(_) => "PRV-005",
        }
    }

    /// Exit code of the proving process: 65 witness refused, 66 input missing, 70 own proof
    /// refused or not made.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Witness(_) | Self::Unsatisfied(_) | Self::Child { .. } | Self::Build(_) => 65,
            Self::Key(_) => 66,
            Self::Library(_) | Self::Own(_) | Self::OwnRefused(_) => 70,
        }
    }
}

impl Work {
    /// Which circuit.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Tx(_) => Kind::Tx,
            Self::Vm { .. } => Kind::Vm,
            Self::Kernel { .. } => Kind::Kernel,
            Self::Base { .. } => Kind::Base,
            Self::Merge { .. } => Kind::Merge,
            Self::Root { .. } => Kind::Root,
        }
    }

    /// The children in order of position.
    #[must_use]
    pub fn children(&self) -> Vec<&Proof> {
        match self {
            Self::Tx(_) | Self::Vm { .. } => Vec::new(),
            Self::Kernel { first, vm, .. } => vec![first, vm],
            Self::Merge { left, right } => vec![left, right],
            Self::Base { child, .. } | Self::Root { child } => vec![child],
        }
    }

    /// The application's witness: children as their accepted words.
    fn input(&self, payee: Address, keys: &VerifyingKeys) -> Result<Input, ProveError> {
        let payee = payee.0;
        Ok(match self {
            Self::Tx(input) => Input::Tx(input.clone()),
            Self::Vm { program, call, slots } => {
                let (program, call, slots) = (program.clone(), *call, slots.clone());
                Input::Vm(Box::new(VmInput { program, call, slots, payee }))
            }
            Self::Kernel { first, vm, left } => {
                let (first, vm) = (first.as_child()?, vm.as_child()?);
                Input::Kernel(KernelInput { first, vm, left: *left, payee })
            }
            Self::Base { child, tx, logs, start, witness } => Input::Base(BaseInput {
                child: child.as_child()?,
                tx: tx.clone(),
                logs: logs.clone(),
                start: *start,
                witness: witness.clone(),
                payee,
            }),
            Self::Merge { left, right } => {
                let (left, right) = (left.as_child()?, right.as_child()?);
                Input::Merge(MergeInput { left, right, payee })
            }
            Self::Root { child } => {
                let set = from_word(&keys.set_id()).ok_or(WitnessError::NotAField)?;
                Input::Root(RootInput { child: child.as_child()?, set, payee })
            }
        })
    }

    /// The record the proof's credit word opens to.
    fn record(&self, payee: Address) -> Result<Option<Record>, ProveError> {
        let kind = self.kind();
        if kind == Kind::Tx {
            return Ok(None);
        }
        let children = self.children();
        let record = |position: usize| children.get(position).and_then(|c| c.credit.as_ref());
        let payee = tx::words::payee_word(payee);
        Ok(Some(Record::over(kind, payee, [record(0), record(1)])?))
    }
}

impl Proof {
    /// The public words as field elements.
    fn fields(&self) -> Result<Vec<Fr>, WitnessError> {
        let field = |word| from_word(word).ok_or(WitnessError::NotAField);
        self.instances.iter().map(field).collect()
    }

    fn as_child(&self) -> Result<tx::words::Child, WitnessError> {
        Ok(tx::words::Child { words: words(&self.fields()?), credit: self.credit })
    }

    /// Accepts or refuses this proof with its credit record: the record must open the credit word.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn accept(&self, keys: &VerifyingKeys) -> Result<Accepted, Refusal> {
        let accepted = accept(keys, self.kind, &self.instances, &self.proof)?;
        let credit = self.credit.map_or(to_word(Fr::zero()), |record| to_word(record.value()));
        let payee = self.credit.map_or(to_word(Fr::zero()), |record| to_word(record.payee));
        let words = accepted.words();
        if (words[4], words[5]) == (credit, payee) { Ok(accepted) } else { Err(Refusal::Record) }
    }
}

/// Proves `work` for `payee`, and accepts the proof.
///
/// # Errors
/// A witness or a child that is refused, keys that are missing, and a proof that does not hold.
pub fn prove(
    folder: &KeyFolder,
    work: &Work,
    payee: Address,
    progress: &mut dyn FnMut(ProvePhase),
) -> Result<Made, ProveError> {
    meter::reset_peak();
    let keys = folder.verifying_keys()?;
    let material = || folder.proving_material(work.kind());
    prove_with((&keys, &material), work, payee, progress)
}

/// Verifying keys, and how to load what the proof is made with once that is worth it.
type Keys<'a> = (&'a VerifyingKeys, &'a dyn Fn() -> Result<ProvingMaterial, KeyError>);

fn prove_with(
    (keys, material): Keys<'_>,
    work: &Work,
    payee: Address,
    progress: &mut dyn FnMut(ProvePhase),
) -> Result<Made, ProveError> {
    let (clock, cpu) = (Instant::now(), meter::cpu_ms());
    progress(ProvePhase::Checking);
    let children = accepted_children(keys, work)?;
    let input = work.input(payee, keys)?;
    let credit = work.record(payee)?;
    let expected = input.check()?;
    let builder = Builder { keys, children: &children, input: &input };
    let circuit = builder.build()?;
    circuit.check()?;
    progress(ProvePhase::Loading);
    let material = material()?;
    progress(ProvePhase::Proving);
    let public = circuit.public().to_vec();
    let named = (work.kind(), keys.digest(work.kind()));
    let proof = run(named, &material, circuit, &public)?;
    progress(ProvePhase::Accepting);
    let instances = public.iter().map(|word| to_word(*word)).collect();
    let proof = Proof { kind: work.kind(), instances, proof, credit };
    let accepting = Instant::now();
    let accepted = proof.accept(keys).map_err(ProveError::OwnRefused)?;
    let accept_ms = millis(accepting);
    if accepted.words() != expected.iter().map(|word| to_word(*word)).collect::<Vec<Word>>() {
        return Err(ProveError::Own("it does not say what the witness says"));
    }
    let cpu_ms = meter::cpu_ms().saturating_sub(cpu);
    let timings = Timings { cpu_ms, wall_ms: millis(clock), accept_ms, peak_mb: meter::peak_mb() };
    Ok(Made { proof, timings })
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn accepted_children(keys: &VerifyingKeys, work: &Work) -> Result<Vec<Child>, ProveError> {
    let mut children = Vec::new();
    for (position, proof) in work.children().into_iter().enumerate() {
        proof.accept(keys).map_err(|refusal| ProveError::Child { position, refusal })?;
        let instances = proof.fields()?;
        children.push(Child { kind: proof.kind, instances, proof: proof.proof.clone() });
    }
    Ok(children)
}

struct Builder<'a> {
    keys: &'a VerifyingKeys,
    children: &'a [Child],
    input: &'a Input,
}

impl Builder<'_> {
    fn build(&self) -> Result<Sheet, BuildError> {
        let kind = self.input.kind();
        let setup = self.keys.setup();
        let own = self_word(kind).map_or(Fr::zero(), |named| self.keys.digest(named));
        let plan = Plan {
            kind,
            revision: self.keys.revision(),
            setup: [setup.tau_g, setup.g],
            keys: &self.keys.family(),
            own,
        };
        let shape = Some(self.keys.protocol(Kind::Tx));
        Ok(circuit::build(&plan, shape, self.children, self.input)?.sheet()?)
    }
}

/// Runs the prover: with L1's transcript for `root`, with the circuits' for all others.
fn run(
    (kind, digest): (Kind, Fr),
    material: &ProvingMaterial,
    circuit: Sheet,
    public: &[Fr],
) -> Result<Vec<u8>, ProveError> {
    if kind == Kind::Root {
        let transcript = EvmTranscript::<G1Affine, NativeLoader, Vec<u8>, Vec<u8>>::new(Vec::new());
        run_with(material, circuit, public, Named::new(transcript, digest))
    } else {
        let spec = POSEIDON_SPEC.clone();
        let transcript = PoseidonTranscript::<NativeLoader, Vec<u8>>::from_spec(Vec::new(), spec);
        run_with(material, circuit, public, Named::new(transcript, digest))
    }
}

fn run_with<E: EncodedChallenge<G1Affine>, T: TranscriptWriterBuffer<Vec<u8>, G1Affine, E>>(
    material: &ProvingMaterial,
    circuit: Sheet,
    public: &[Fr],
    mut transcript: Named<T>,
) -> Result<Vec<u8>, ProveError> {
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
        &material.params,
        &material.key,
        &[circuit],
        &[&[public]],
        OsRng,
        &mut transcript,
    )
    .map_err(|error| ProveError::Library(format!("{error:?}")))?;
    Ok(transcript.finalize())
}

#[cfg(test)]
mod tests;
