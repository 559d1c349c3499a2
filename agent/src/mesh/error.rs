//! What can go wrong on the mesh, and the words in which connections are ended.

use std::{io, net::SocketAddr};

use quinn::{ConnectionError, ReadError, ReadExactError, ReadToEndError, VarInt, WriteError};

use super::members::PeerId;

/// The mesh cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeshError {
    /// The UDP port is taken, or the address is not this machine's.
    #[error("cannot listen on udp {address}: {source}; choose another `listen` address")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// TLS cannot be set up with this key.
    #[error("the mesh key cannot be used for tls: {0}; make a new one with `keys new`")]
    Tls(#[from] rustls::Error),
    /// The TLS library lacks what QUIC needs.
    #[error("tls has no cipher suite for quic")]
    Suite,
}

impl MeshError {
    /// Stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "MSH-001",
            Self::Tls(_) => "MSH-002",
            Self::Suite => "MSH-003",
        }
    }
}

/// A setting that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ParseError {
    /// No mesh key.
    #[error("mesh key `{text}` is not 64 hex digits")]
    Key {
        /// What was given.
        text: String,
    },
    /// No bootstrap entry.
    #[error("bootstrap entry `{text}` is not `<mesh key>@host:port`")]
    Bootstrap {
        /// What was given.
        text: String,
    },
}

impl ParseError {
    /// Stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Key { .. } => "MSH-004",
            Self::Bootstrap { .. } => "MSH-005",
        }
    }
}

/// Nobody gave us what we asked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// None of the peers that may have it is connected.
    #[error("no peer that may have it is connected; will be asked again")]
    NobodyConnected,
    /// Those that were asked, and how it went.
    #[error("none of the peers asked gave it: {}", list(.0))]
    NotServed(Vec<(PeerId, Miss)>),
}

impl FetchError {
    /// Stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NobodyConnected => "MSH-020",
            Self::NotServed(_) => "MSH-021",
        }
    }
}

fn list(misses: &[(PeerId, Miss)]) -> String {
    misses.iter().map(|(peer, miss)| format!("{peer}: {miss}")).collect::<Vec<_>>().join(", ")
}

/// Why one peer did not give us what we asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Miss {
    /// It does not have it.
    #[error("has it not")]
    Absent,
    /// It sent something else: its fault.
    #[error("sent something else")]
    Corrupt,
    /// It was slower than 32 KiB/s.
    #[error("too slow")]
    Slow,
    /// The connection ended.
    #[error("connection lost")]
    Lost,
}

/// Why we end a connection or a stream; the peer sees the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[repr(u32)]
pub(super) enum Close {
    /// Its key left the registry.
    #[error("its key is not registered")]
    Unregistered = 1,
    /// There is another connection to the same peer.
    #[error("there is another connection to it")]
    Duplicate = 2,
    /// We have as many peers as we want.
    #[error("the mesh is full")]
    Full = 3,
    /// Another version, chain or Registry.
    #[error("it is on another network")]
    Network = 4,
    /// It does not take what we send.
    #[error("it does not read")]
    Slow = 5,
    /// Too many bad frames.
    #[error("it sent too many bad frames")]
    Rejected = 6,
    /// It was cut off less than ten minutes ago.
    #[error("it was cut off a short time ago")]
    Banned = 7,
    /// This agent stops.
    #[error("this agent stops")]
    Shutdown = 8,
    /// It broke the rules of streams and frames, or their deadlines.
    #[error("it broke the rules of frames")]
    Frames = 9,
    /// On a stream: we do not have what was asked for.
    #[error("not found")]
    NotFound = 10,
}

impl Close {
    /// The number on the wire.
    pub(super) fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    /// Ends `connection` for this reason.
    pub(super) fn end(self, connection: &quinn::Connection) {
        connection.close(self.code(), self.to_string().as_bytes());
    }
}

/// How a connection ended.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum End {
    /// By us.
    #[error("closed: {0}")]
    Ours(#[from] Close),
    /// By the peer or the network.
    #[error("lost: {0}")]
    Lost(#[from] ConnectionError),
}

impl From<WriteError> for End {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Self::Lost(error),
            WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                Self::Ours(Close::Frames)
            }
        }
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Self::Lost(error),
            ReadError::Reset(_)
            | ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => Self::Ours(Close::Frames),
        }
    }
}

impl From<ReadExactError> for End {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::FinishedEarly(_) => Self::Ours(Close::Frames),
            ReadExactError::ReadError(error) => error.into(),
        }
    }
}

impl From<ReadToEndError> for End {
    fn from(error: ReadToEndError) -> Self {
        match error {
            ReadToEndError::TooLong => Self::Ours(Close::Frames),
            ReadToEndError::Read(error) => error.into(),
        }
    }
}
