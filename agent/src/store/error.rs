//! Errors of the store, each with a code an operator can look up and the exit code it leads to.
//!
//! The store is crash-only: after the first error of the disk nothing more is written, the process
//! exits and a restart recovers. What puts the journal in doubt is never repaired by guessing,
//! because a forgotten claim could be signed a second time.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Coded, Exit};

/// Why the store cannot be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process holds the data folder.
    #[error("data folder {path} is in use by another process ({holder}): stop it first")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// What the lock file says about the other process.
        holder: String,
    },
    /// A folder or file is readable by others, or is not ours.
    #[error("{path} has mode {mode:o} and owner {owner}: run chown and chmod {wanted:o} on it")]
    Permissions {
        /// Which path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner's user id.
        owner: u32,
        /// The mode it must have.
        wanted: u32,
    },
    /// The journal or the index was written by a newer version.
    #[error("{what} was written by a newer version: install that version or newer")]
    Newer {
        /// What was found.
        what: String,
    },
    /// A frame inside the journal is damaged: it was durable, and is not any more.
    #[error(
        "journal segment {segment} is damaged at byte {at} although later frames stand: \
         restore the data folder from a copy, or start with a new prover identity"
    )]
    Damaged {
        /// Number of the segment file.
        segment: u32,
        /// Offset of the first bad byte.
        at: u64,
    },
    /// A segment or a frame is missing, or the hash chain breaks.
    #[error("journal segment {segment} does not continue at byte {at}: expected {expected}")]
    Gap {
        /// Number of the segment file.
        segment: u32,
        /// Offset of the frame that does not follow.
        at: u64,
        /// What should stand there.
        expected: String,
    },
    /// The journal ends before something that was acknowledged.
    #[error(
        "journal ends at {journal} but {witness} stands at {acknowledged}: acknowledged records \
         are missing, so nothing may be signed; restore the data folder"
    )]
    Behind {
        /// Sequence number of the journal's last frame.
        journal: u64,
        /// Who remembers more: `anchor` or `index`.
        witness: &'static str,
        /// The sequence number it remembers.
        acknowledged: u64,
    },
    /// The anchor is unreadable, or names another journal.
    #[error(
        "anchor {path} does not belong to this journal ({why}): restore the folder it belongs to"
    )]
    Anchor {
        /// The anchor file.
        path: PathBuf,
        /// What does not fit.
        why: &'static str,
    },
    /// No space left; nothing acknowledged is lost.
    #[error("disk full while writing {path}: free some space and start again")]
    DiskFull {
        /// What was written.
        path: PathBuf,
    },
    /// Any other failure of the disk.
    #[error("cannot {action} {path}: {why}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The index failed; a restart rebuilds it from the journal.
    #[error("index failed: {why}; it is rebuilt from the journal at the next start")]
    Index {
        /// What it said.
        why: String,
    },
    /// An earlier error stopped the store.
    #[error("storage stopped after an earlier error: {why}")]
    Stopped {
        /// The earlier error.
        why: String,
    },
    /// Something is larger than the store takes.
    #[error("{what} has {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A blob's bytes do not hash to its name; it was removed and can be fetched again.
    #[error("blob {blob} was damaged on disk and is removed: fetch it again")]
    BlobDamaged {
        /// Its name in hex.
        blob: String,
    },
}

impl StoreError {
    /// Stable code, as in the operating manual.
    #[must_use]
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "STO-001",
            Self::Permissions { .. } => "STO-002",
            Self::Newer { .. } => "STO-003",
            Self::Damaged { .. } => "STO-010",
            Self::Gap { .. } => "STO-011",
            Self::Behind { .. } => "STO-012",
            Self::Anchor { .. } => "STO-013",
            Self::DiskFull { .. } => "STO-020",
            Self::Io { .. } => "STO-021",
            Self::Index { .. } => "STO-022",
            Self::Stopped { .. } => "STO-023",
            Self::TooLarge { .. } => "STO-030",
            Self::BlobDamaged { .. } => "STO-031",
        }
    }

    /// How the process ends when this error ends it.
    #[must_use]
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::InUse { .. } => Exit::InUse,
            Self::Permissions { .. } | Self::Newer { .. } => Exit::Config,
            Self::Damaged { .. } | Self::Gap { .. } | Self::Behind { .. } | Self::Anchor { .. } => {
                Exit::JournalInDoubt
            }
            Self::DiskFull { .. } | Self::Io { .. } | Self::Index { .. } | Self::Stopped { .. } => {
                Exit::Storage
            }
            Self::TooLarge { .. } | Self::BlobDamaged { .. } => Exit::Failed,
        }
    }

    /// Exit code as a number.
    #[cfg(test)]
    pub(super) const fn exit_code(&self) -> u8 {
        self.exit() as u8
    }

    /// The typed form of a failed system call.
    pub(super) fn io(action: &'static str, path: &Path, error: &io::Error) -> Self {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero
        );
        let path = path.to_path_buf();
        if full {
            Self::DiskFull { path }
        } else {
            Self::Io { action, path, why: error.to_string() }
        }
    }
}

impl From<StoreError> for Coded {
    fn from(error: StoreError) -> Self {
        Self::new(error.code(), error.to_string()).exit(error.exit())
    }
}
