//! Bytes and signatures: what leaves and enters the process, with limits.
//!
//! [`control`] is spoken between agent, console and scripts on one machine.

pub mod control;
