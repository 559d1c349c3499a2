//! What moves a world and knows nothing of it: a queue of events, randomness, a fingerprint, and a
//! table that finds ids fast.

pub(crate) mod digest;
pub(crate) mod queue;
pub(crate) mod rng;
pub(crate) mod table;
