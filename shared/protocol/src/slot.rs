//! What the rules say about one slot apart from its work: when, how much, what first, under whom.
//!
//! Pure functions and small state beside the machine: [`phase`] (R2, R6), [`admission`] (R3.3),
//! [`carry`] (R12.1), [`naming`] (R2.6, R14).

pub mod admission;
pub mod carry;
pub mod naming;
pub mod phase;
