//! The child's side of a proof: take the machine's lock, work, answer, end with the right code.

use std::io::{self, Write};

use super::task::{Line, Request};
use super::{ProverError, Step, machine};

/// Exit code of a made proof.
const MADE: u8 = 0;
/// Exit code when nobody reads the answer any more.
const UNHEARD: u8 = 1;
/// Exit code of a refused witness.
pub(crate) const WITNESS_REFUSED: u8 = 65;
/// Exit code of a missing input.
pub(crate) const INPUT_MISSING: u8 = 66;
/// Exit code of an own proof that our own rules refuse.
pub(crate) const OWN_PROOF_REFUSED: u8 = 70;

/// Tells the agent which step begins.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

/// What a proof took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spent {
    /// CPU milliseconds, all threads.
    pub(crate) cpu_ms: u32,
    /// Peak memory in MB.
    pub(crate) peak_mb: u32,
}

/// Makes the proof `prove` makes, under the machine's lock, and returns the exit code.
pub(crate) fn run(
    request: &Request,
    output: &mut impl Write,
    prove: impl FnOnce(&Request, Report<'_>) -> Result<Vec<u8>, ProverError>,
    spent: impl FnOnce() -> Spent,
) -> u8 {
    let mut report = |step| Line::Step(step).write(output);
    let waiting = || report(Step::WaitingMachine);
    let place = match machine::take(&request.cache, request.proofs_at_once, waiting) {
        Ok(place) => place,
        Err(error) => {
            let text = format!("cannot lock {}: {error}", request.cache.display());
            return refuse(output, &ProverError::InputMissing(text));
        }
    };
    let result = prove(request, &mut report);
    drop(place);
    match result {
        Ok(proof) => {
            let Spent { cpu_ms, peak_mb } = spent();
            let made = Line::Made { output: hex::encode(proof), cpu_ms, peak_mb };
            if made.write(output).is_ok() { MADE } else { UNHEARD }
        }
        Err(error) => refuse(output, &error),
    }
}

/// Says why there is no proof and returns the exit code of that kind of refusal.
pub(crate) fn refuse(output: &mut impl Write, error: &ProverError) -> u8 {
    let (code, text) = match error {
        ProverError::WitnessRefused(text) => (WITNESS_REFUSED, text.as_str()),
        ProverError::InputMissing(text) => (INPUT_MISSING, text.as_str()),
        ProverError::OwnProofRefused(text) => (OWN_PROOF_REFUSED, text.as_str()),
        ProverError::Crashed(text)
        | ProverError::NotStarted(text)
        | ProverError::OutOfMemory(text) => (UNHEARD, text.as_str()),
        ProverError::Hung { .. } => (UNHEARD, "hung"),
    };
    if Line::refused(text).write(output).is_ok() { code } else { UNHEARD }
}

#[cfg(test)]
mod tests {
    use super::super::task::sample;
    use super::*;

    fn answered(
        prove: impl FnOnce(&Request, Report<'_>) -> Result<Vec<u8>, ProverError>,
    ) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        let request = Request { cache: folder.path().to_owned(), ..sample() };
        let mut output = Vec::new();
        let code = run(&request, &mut output, prove, || Spent { cpu_ms: 5, peak_mb: 6 });
        (code, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_made_proof_is_the_last_line() {
        let (code, output) = answered(|request, report| {
            report(Step::Proving).unwrap();
            Ok(request.work.clone())
        });
        let made = r#"{"made":{"output":"010203","cpu_ms":5,"peak_mb":6}}"#;
        assert_eq!((code, output), (0, format!("{{\"step\":\"proving\"}}\n{made}\n")));
    }

    #[test]
    fn every_refusal_has_its_exit_code() {
        let why = "why".to_owned();
        for (error, expected) in [
            (ProverError::WitnessRefused(why.clone()), 65),
            (ProverError::InputMissing(why.clone()), 66),
            (ProverError::OwnProofRefused(why), 70),
        ] {
            let (code, output) = answered(|_, _| Err(error));
            assert_eq!((code, output.as_str()), (expected, "{\"refused\":{\"text\":\"why\"}}\n"));
        }
    }

    #[test]
    fn a_cache_that_is_not_there_is_a_missing_input() {
        let mut output = Vec::new();
        let code = run(&sample(), &mut output, |_, _| Ok(Vec::new()), || unreachable!("no proof"));
        assert_eq!(code, INPUT_MISSING);
    }
}
