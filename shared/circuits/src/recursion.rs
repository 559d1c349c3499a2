//! Verifying proofs inside a proof.
//!
//! A parent circuit runs the verifier of its children on cells. Everything the verifier would do
//! with curve points is only written down ([`points`]), and paid for once per parent: one
//! multi-scalar multiplication for each side of the pairing ([`msm`]). Neither the pairing nor the
//! children's keys are computed with: the claim "this pair passes the pairing check once these
//! scalars of these keys are added" is handed on in the public words ([`family`]), and `root` (for
//! L1) and native acceptance ([`crate::setup::accept`]) are the only two places that settle it.
//!
//! | file | what it holds |
//! |---|---|
//! | [`family`] | column layout, public words, which kinds may be children, what word 0 means |
//! | [`points`] | points as linear combinations: what the verifier's loader works on |
//! | [`msm`] | the multi-scalar multiplication those combinations end in |
//! | [`sponge`] | a child's transcript |
//! | [`transcript`] | seed, accumulation challenges, offset point: all that is hashed here |
//! | [`verify`] | a whole parent: children, flags, accumulation, carried scalars, public words |
//!
//! What the parent's application may rely on is in `ChildCells`: eight words of a child whose
//! proof holds **if** the carried claim is settled in the end, and the bits that say its kind.

pub mod family;
#[cfg(test)]
mod mock;
mod msm;
mod points;
mod sponge;
mod transcript;
pub mod verify;

pub use family::{ChildCells, KindFlag};
