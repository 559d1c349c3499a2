//! Ethereum: the only part of the agent that speaks to it.
//!
//! [`L1`] reads, through several endpoints with failover; [`follow`] turns the chain into one
//! ordered stream of inputs for the core; [`send`] is the actor that owns an account's nonce and
//! writes down what it promises before it signs; [`calls`] is what can be sent; [`vrf`] makes
//! election tickets. [`anvil`] and [`deploy`] are a devnet's own chain. Everything outside this
//! folder uses the core's types, never the client library's.
#![expect(
    dead_code,
    reason = "called by the roles of the agent, which are wired up in run and cmd"
)]

pub(crate) mod anvil;
mod bindings;
pub(crate) mod calls;
pub(crate) mod client;
pub(crate) mod decode;
pub(crate) mod deploy;
pub(crate) mod follow;
pub(crate) mod keystore;
pub(crate) mod send;
mod transport;
pub(crate) mod vrf;

#[cfg(test)]
mod tests;

pub(crate) use client::L1;

/// What can go wrong between us and Ethereum. Only `L1-002` passes by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum L1Error {
    /// An endpoint's address cannot be used.
    #[error("L1-001: endpoint `{url}` cannot be used: {why}; correct l1.endpoints")]
    Endpoint {
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No endpoint answered, or the answer was of no use.
    #[error("L1-002: L1 did not answer {what}: {why}; check the endpoints in l1.endpoints")]
    Rpc {
        /// What was asked.
        what: &'static str,
        /// The last endpoint's error.
        why: String,
    },
    /// The endpoint serves another chain than the configured one.
    #[error("L1-003: the endpoint serves chain {found}, expected {expected}; correct l1.endpoints")]
    WrongChain {
        /// The configured chain id (or block hash).
        expected: String,
        /// What the endpoint says.
        found: String,
    },
    /// The contract refuses the call.
    #[error("L1-004: the contract refuses {purpose}: {why}")]
    Reverted {
        /// What the call was for.
        purpose: String,
        /// The contract's error.
        why: String,
    },
    /// The account cannot pay for gas.
    #[error("L1-005: account {account} cannot pay for gas: {why}; send it ether")]
    Unfunded {
        /// Who sends.
        account: protocol::Address,
        /// The node's words.
        why: String,
    },
    /// The journal did not take an intent: nothing was signed.
    #[error("L1-006: the journal did not take a transaction: {0}; nothing was sent")]
    Journal(String),
    /// The chain was replaced further back than we can undo.
    #[error("L1-007: L1 changed more than {blocks} blocks back; restart to follow it anew")]
    DeepReorg {
        /// Blocks that can be undone.
        blocks: usize,
    },
    /// A contract's event does not have the shape this version knows.
    #[error("L1-008: event {index} of block {block} is not known; is this version the network's?")]
    UnknownEvent {
        /// Height.
        block: u64,
        /// Position in the block.
        index: u64,
    },
    /// The devnet's chain could not be started.
    #[error("L1-009: the devnet's chain did not start: {0}")]
    Anvil(String),
    /// A contract could not be deployed.
    #[error("L1-010: {contract} could not be deployed: {why}")]
    Deploy {
        /// Which.
        contract: &'static str,
        /// Why.
        why: String,
    },
    /// The devnet's setup, whose secret everybody knows, would be used elsewhere.
    #[error(
        "L1-011: the insecure setup is for chain 31337, not for chain {chain_id}; import another with \
         `setup import`"
    )]
    InsecureSetup {
        /// Where it was to be used.
        chain_id: u64,
    },
    /// Bytes that are no secret key.
    #[error("L1-012: {0} is no valid secret key; create it anew with `keys new`")]
    Key(&'static str),
    /// The committed verifier is not that of the keys in use.
    #[error(
        "L1-014: the committed root verifier is not that of circuit set {set}; write it anew with \
         `setup verifier` and run assets/contracts/build.sh"
    )]
    OtherVerifier {
        /// Set of the keys, in hex.
        set: String,
    },
    /// The sender stopped, after an error that it reported.
    #[error("L1-013: the sender has stopped; its last error says why")]
    Stopped,
}

impl L1Error {
    /// Stable code, for scripts and for `assets/docs/operating.md`.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "L1-001",
            Self::Rpc { .. } => "L1-002",
            Self::WrongChain { .. } => "L1-003",
            Self::Reverted { .. } => "L1-004",
            Self::Unfunded { .. } => "L1-005",
            Self::Journal(_) => "L1-006",
            Self::DeepReorg { .. } => "L1-007",
            Self::UnknownEvent { .. } => "L1-008",
            Self::Anvil(_) => "L1-009",
            Self::Deploy { .. } => "L1-010",
            Self::InsecureSetup { .. } => "L1-011",
            Self::Key(_) => "L1-012",
            Self::Stopped => "L1-013",
            Self::OtherVerifier { .. } => "L1-014",
        }
    }

    /// An answer that did not come; may be tried again.
    fn rpc(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Rpc { what, why: why.to_string() }
    }
}
