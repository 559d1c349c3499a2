//! One integration binary: linking once keeps CI short.

#[cfg(test)]
mod layering;
#[cfg(test)]
mod wire;
