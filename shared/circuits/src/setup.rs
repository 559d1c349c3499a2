//! Setup, keys, proving, and the only way to "verified".
//!
//! | file | what it does |
//! |---|---|
//! | [`srs`] | the setup: an insecure one for the devnet, import and checks of a real one |
//! | [`folder`] | proving and verifying keys in a cache folder, generated once |
//! | [`keys`] | verifying keys and the circuit set's id |
//! | [`accept`] | native acceptance: what a proof must pass before anything uses it |
//! | [`codec`] | work and proofs as bytes between processes |
//! | [`prove`] | one task to one accepted proof |
//! | [`leaf`] | what a `tx` proof in a block leaves out |
//! | [`sets`] | several circuit sets by id |
//! | [`evm`] | the root verifier's source and calldata |
//! | [`mod@bench`] | what each circuit costs, measured |
//! | [`meter`] | CPU time and peak memory of this process |

pub mod accept;
pub mod bench;
mod circuit;
pub mod evm;
pub mod folder;
#[cfg(test)]
pub(crate) mod forge;
pub mod keys;
pub mod meter;
pub mod prove;
pub mod sets;
pub mod srs;
mod store;

pub use prove::{codec, leaf};
