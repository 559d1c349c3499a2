//! `coppice-agent prove` (internal): one task on stdin, progress and one proof on stdout.

use std::io;

use circuits::setup::{
    keys::KeyFolder,
    meter,
    prove::{ProvePhase, Work, prove},
};

use crate::{
    prover::{
        ProverError, Step,
        child::{self, Report, Spent},
        limits,
        task::Request,
    },
    shell::start::key_folder_of,
};

/// Reads the task, limits itself, proves, answers; the exit code says what kind of refusal it was.
pub(crate) fn run() -> u8 {
    let mut output = io::stdout().lock();
    let request = match Request::read(&mut io::stdin().lock()) {
        Ok(request) => request,
        Err(error) => {
            let error = ProverError::InputMissing(format!("no readable task on stdin: {error}"));
            return child::refuse(&mut output, &error);
        }
    };
    if let Err(error) = limits::apply(request.parent, request.memory_bytes) {
        let error = ProverError::InputMissing(format!("cannot limit itself: {error}"));
        return child::refuse(&mut output, &error);
    }
    let spent = || Spent {
        cpu_ms: u32::try_from(meter::cpu_ms()).unwrap_or(u32::MAX),
        peak_mb: u32::try_from(meter::peak_mb()).unwrap_or(u32::MAX),
    };
    child::run(&request, &mut output, make, spent)
}

fn make(request: &Request, report: Report<'_>) -> Result<Vec<u8>, ProverError> {
    let missing = |error: &dyn std::fmt::Display| ProverError::InputMissing(error.to_string());
    let folder: KeyFolder = key_folder_of(&request.cache, request.chain_id, request.revision)
        .map_err(|error| missing(&error))?;
    let work = Work::decode(&request.work).map_err(|error| missing(&error))?;
    if Some(work.kind()) != request.kind() {
        return Err(missing(&"the task is of another kind than the request says"));
    }
    let mut unheard = None;
    let mut progress = |phase: ProvePhase| {
        let step = match phase {
            ProvePhase::Checking => Step::Witness,
            ProvePhase::Loading => Step::LoadingKey,
            ProvePhase::Proving => Step::Proving,
            ProvePhase::Accepting => Step::Verifying,
        };
        if let Err(error) = report(step) {
            unheard = Some(error);
        }
    };
    let made = prove(&folder, &work, request.payee(), &mut progress).map_err(|error| {
        let text = format!("{}: {error}", error.code());
        match error.exit_code() {
            child::WITNESS_REFUSED => ProverError::WitnessRefused(text),
            child::OWN_PROOF_REFUSED => ProverError::OwnProofRefused(text),
            _ => ProverError::InputMissing(text),
        }
    })?;
    if let Some(error) = unheard {
        return Err(ProverError::Crashed(format!("nobody reads the answer: {error}")));
    }
    made.proof.encode().map_err(|error| ProverError::Crashed(error.to_string()))
}
