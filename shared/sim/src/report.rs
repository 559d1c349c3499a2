//! What a run yields: the truth about every task, lines for tools, tables and stories for people.

pub(crate) mod chart;
pub(crate) mod income;
pub(crate) mod outcome;
pub(crate) mod pay;
pub(crate) mod story;
pub(crate) mod truth;
