//! Why bytes or signatures are refused. Codes are stable: operators and alerts match on them.

/// Bytes that are not what they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than this kind of content may have.
    #[error("{what} of {len} bytes is over the limit of {max}")]
    TooLong {
        /// What was being decoded.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Not an encoding of this content.
    #[error("{what} cannot be decoded: {why}")]
    Malformed {
        /// What was being decoded.
        what: &'static str,
        /// The reason.
        why: &'static str,
    },
    /// Decodes, but is not the one encoding of its content: bytes left over or a longer form.
    #[error("{what} is not in its only encoding")]
    NotCanonical {
        /// What was being decoded.
        what: &'static str,
    },
    /// A word that is not below the order of the scalar field.
    #[error("{what}: word {index} is not a field element")]
    NotInField {
        /// What was being decoded.
        what: &'static str,
        /// Which word, from 0.
        index: usize,
    },
}

impl DecodeError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "WIR-001",
            Self::Malformed { .. } => "WIR-002",
            Self::NotCanonical { .. } => "WIR-003",
            Self::NotInField { .. } => "WIR-004",
        }
    }
}

/// Why a signed message is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reject {
    /// The bytes are no signed message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No prover of the registry bonds this lane. It may be that this agent is behind L1, so the
    /// sender is not to blame.
    #[error("lane {lane} is not in the registry as this agent knows it")]
    UnknownLane {
        /// The lane.
        lane: protocol::LaneId,
    },
    /// The signature is no signature, or the high-s twin of one.
    #[error("the signature is malformed or not in its low-s form")]
    Signature,
    /// A good signature by somebody else.
    #[error("signed by {signer}, but the operator of lane {lane} is {operator}")]
    OtherSigner {
        /// The lane that speaks.
        lane: protocol::LaneId,
        /// Who signed.
        signer: protocol::Address,
        /// Who should have.
        operator: protocol::Address,
    },
}

impl Reject {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.code(),
            Self::UnknownLane { .. } => "MSG-001",
            Self::Signature => "MSG-002",
            Self::OtherSigner { .. } => "MSG-003",
        }
    }

    /// Whether an honest peer could not have forwarded this message.
    #[must_use]
    pub const fn is_senders_fault(&self) -> bool {
        match self {
            Self::UnknownLane { .. } => false,
            Self::Decode(_) | Self::Signature | Self::OtherSigner { .. } => true,
        }
    }
}

/// A secret key that is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Zero, or not below the order of secp256k1.
    #[error("the operator key is zero or not below the order of secp256k1; make a new one")]
    OutOfRange,
}

impl KeyError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange => "SIG-001",
        }
    }
}
