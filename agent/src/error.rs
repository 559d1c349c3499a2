//! Errors that an operator sees: a stable code, one sentence, a remedy, an exit code.
//!
//! Inside the agent errors are `anyhow` with context. Where one reaches the operator it is a
//! [`Coded`], so that scripts can match on the code and people can look it up in
//! `assets/docs/operating.md`.

use std::fmt;

/// How a process of ours ends (slice section 10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something failed; the coded error is on stderr.
    Failed = 1,
    /// Devnet: a slot was not settled within its window.
    NotSettled = 2,
    /// The command line was wrong.
    Usage = 64,
    /// Another process uses the data folder.
    InUse = 73,
    /// The journal is in doubt: nothing is signed until an operator decides.
    JournalInDoubt = 74,
    /// The disk or the index failed.
    Storage = 75,
    /// Configuration or permissions are wrong.
    Config = 78,
}

/// An error for the operator.
#[derive(Debug)]
pub(crate) struct Coded {
    code: &'static str,
    text: String,
    exit: Exit,
}

impl Coded {
    /// A failure with a stable code; `text` names the value, the limit and the remedy.
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), exit: Exit::Failed }
    }
    /// The same with another exit code.
    pub(crate) fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl std::error::Error for Coded {}

/// The process's exit code for an error that reached `main`.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(|cause| cause.downcast_ref::<Coded>()).map_or(Exit::Failed, |it| it.exit)
        as u8
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_exit_code_survives_context() {
        let inner = Coded::new("CFG-001", "no such file").exit(Exit::Config);
        let error = Err::<(), _>(inner).context("reading the configuration").unwrap_err();
        assert_eq!(exit_code(&error), 78);
        assert_eq!(exit_code(&anyhow::anyhow!("anything")), 1);
    }

    #[test]
    fn the_code_comes_first() {
        assert_eq!(Coded::new("CFG-001", "no such file").to_string(), "CFG-001: no such file");
        assert_eq!(Coded::new("CFG-001", "x").code(), "CFG-001");
    }
}
