//! Setup, keys, proving, and the only way to "verified".
//!
//! | file | what it does |
//! |---|---|
//! | [`srs`] | the setup: an insecure one for the devnet, import and checks of a real one |
//! | [`keys`] | proving and verifying keys in a cache folder, generated once |
//! | [`accept`] | native acceptance: what a proof must pass before anything uses it |
//! | [`prove`] | one task to one accepted proof |
//! | [`evm`] | the root verifier's source, calldata, the circuit set's id |
//! | [`bench`] | what each circuit costs, measured |

pub mod srs;
mod store;
