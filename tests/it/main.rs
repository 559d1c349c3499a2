//! One integration binary: linking once keeps CI short.

#[cfg(test)]
mod contracts;
#[cfg(test)]
mod end_to_end;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod parameters;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod wire;
