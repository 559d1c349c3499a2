//! One integration binary: linking once keeps CI short.

mod layering;
mod parameters;
mod tidy;
mod wire;
