//! One integration binary: linking once keeps CI short.

mod layering;
mod tidy;
mod wire;
