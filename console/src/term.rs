//! The terminal: the only place that knows which library drives it.

pub(crate) mod caps;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod restore;
