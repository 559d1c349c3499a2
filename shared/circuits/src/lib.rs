//! What a proof says: the circuits `tx`, `vm`, `kernel`, `base`, `merge`, `root`.
//!
//! Two halves that meet in one array of eight public words. The *application* ([`tx`], [`vm`],
//! [`kernel`], [`base`], [`merge`], [`root`] on [`poseidon`], [`state`], [`credit`]) says what a
//! proof means and knows nothing of recursion. The *recursion* ([`recursion`]) verifies children
//! in-circuit and knows nothing of what their words mean. [`setup`] has keys, proving, and the
//! only way to "verified": native acceptance.

pub mod base;
pub mod credit;
pub mod gates;
pub mod kernel;
pub mod merge;
pub mod recursion;
pub mod root;
pub mod setup;
pub mod state;
pub mod tx;
pub mod vm;

pub use gates::poseidon;
