//! What a step of the core costs: steps recorded from a simulated world, taken again by fresh
//! machines with a clock beside them.

use std::time::Instant;

use protocol::{Coordinator, Input, Message, Millis};
use serde_json::json;
use sim::{WorldOptions, quantile};

/// Txs of three calls, and lanes: 8,192 tasks on 1,024 lanes.
const TXS: u64 = 1_024;
const LANES: u64 = 1_024;
/// Agents whose steps are taken again.
const AGENTS: usize = 16;

/// Nanoseconds of steps.
pub(super) struct Measured {
    steps: Vec<u64>,
    beats: Vec<u64>,
}

/// Records the world and takes its steps again.
pub(super) fn measured() -> Measured {
    let options = WorldOptions::bar(TXS, 3, LANES, LANES);
    let (mut steps, mut beats) = (Vec::new(), Vec::new());
    for recording in sim::record(1, &options, AGENTS) {
        let mut machine = recording.machine();
        let mut actions = Vec::new();
        for (now, input) in recording.inputs {
            let beat = matches!(input, Input::Peer { message: Message::Beat { .. }, .. });
            let took = step(&mut machine, now, input, &mut actions);
            if beat {
                beats.push(took);
            }
            steps.push(took);
        }
    }
    Measured { steps, beats }
}

/// One step with the deadline that a shell asks for after it.
fn step(
    machine: &mut Coordinator,
    now: Millis,
    input: Input,
    actions: &mut Vec<protocol::Action>,
) -> u64 {
    let clock = Instant::now();
    machine.step(now, input, actions);
    std::hint::black_box(machine.deadline());
    let took = u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
    actions.clear();
    took
}

impl Measured {
    pub(super) fn line(&self, as_json: bool) -> String {
        let figures = |it: &[u64]| (it.len(), quantile(it, 500), quantile(it, 990));
        let (steps, step_ns, step_p99_ns) = figures(&self.steps);
        let (beats, beat_ns, beat_p99_ns) = figures(&self.beats);
        if as_json {
            return json!({
                "lanes": LANES,
                "txs": TXS,
                "steps": steps,
                "step_median_ns": step_ns,
                "step_p99_ns": step_p99_ns,
                "beats": beats,
                "beat_median_ns": beat_ns,
                "beat_p99_ns": beat_p99_ns,
            })
            .to_string();
        }
        let us = |ns: u64| format!("{}.{:02} µs", ns / 1_000, ns % 1_000 / 10);
        format!(
            "core   {LANES} lanes, {TXS} txs  step {} median, {} p99 of {steps}  beat {} median, {} \
             p99 of {beats}",
            us(step_ns),
            us(step_p99_ns),
            us(beat_ns),
            us(beat_p99_ns),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_microseconds_for_people_and_nanoseconds_for_machines() {
        let measured = Measured { steps: vec![1_234, 25_678], beats: vec![456] };
        let line = measured.line(false);
        assert!(line.contains("step 25.67 µs median, 25.67 µs p99 of 2  beat 0.45 µs"), "{line}");
        let line: serde_json::Value = serde_json::from_str(&measured.line(true)).unwrap();
        assert_eq!((&line["beats"], &line["beat_median_ns"]), (&json!(1), &json!(456)));
    }
}
