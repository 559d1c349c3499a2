//! Proofs are made by child processes: one task each, limited, and gone within a second if told so.
//!
//! The agent must stay alive and answer beats while a proof takes minutes and gigabytes, so a proof
//! that runs out of memory, hangs or crashes costs one child. [`pool`] starts and stops them,
//! [`child`] is the other side (`coppice-agent prove`), [`ability`] what the machine is able to, [`task`] what they say to each other,
//! [`limits`] what a child imposes on itself, [`machine`] the lock that all agents of a machine
//! share.

pub(crate) mod ability;
pub(crate) mod child;
pub(crate) mod limits;
pub(crate) mod machine;
pub(crate) mod pool;
pub(crate) mod sets;
pub(crate) mod task;

use serde::{Deserialize, Serialize};

/// What a child is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Another proof runs on this machine.
    WaitingMachine,
    /// Reading the proving key.
    LoadingKey,
    /// Writing down the circuit's private values.
    Witness,
    /// Making the proof.
    Proving,
    /// Checking it by the rules that others will apply.
    Verifying,
}

impl Step {
    /// As screens show it.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WaitingMachine => "waiting for the machine",
            Self::LoadingKey => "loading key",
            Self::Witness => "witness",
            Self::Proving => "proving",
            Self::Verifying => "verifying",
        }
    }
}

/// Why a child made no proof. The text is for the log; the code is stable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ProverError {
    /// The private values do not fulfil the circuit.
    #[error("witness refused: {0}")]
    WitnessRefused(String),
    /// A key, a setup file or a child's proof is missing or malformed.
    #[error("input missing: {0}")]
    InputMissing(String),
    /// The proof was made and then refused by our own acceptance rules.
    #[error("own proof refused: {0}")]
    OwnProofRefused(String),
    /// The process ended in a way it should not.
    #[error("prover process failed: {0}")]
    Crashed(String),
    /// The process could not be started.
    #[error("prover process not started: {0}")]
    NotStarted(String),
    /// It ran longer than any proof may.
    #[error("prover process was stopped after {seconds} s without finishing")]
    Hung {
        /// The limit.
        seconds: u64,
    },
    /// It ran into its memory limit, or the system killed it.
    #[error("prover process ran out of memory or was killed ({0})")]
    OutOfMemory(String),
}

impl ProverError {
    /// Stable code, as the machine and the operating manual know it.
    #[must_use]
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::WitnessRefused(_) => "PRV-065",
            Self::InputMissing(_) => "PRV-066",
            Self::OwnProofRefused(_) => "PRV-070",
            Self::Crashed(_) => "PRV-071",
            Self::NotStarted(_) => "PRV-072",
            Self::Hung { .. } => "PRV-073",
            Self::OutOfMemory(_) => "PRV-137",
        }
    }
}
