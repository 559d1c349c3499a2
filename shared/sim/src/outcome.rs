//! What a run produced, as one line for tools.

/// The result of one world. Fractions are integers in the unit that their name says: the
/// simulator has no floats, so that every machine prints the same line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The world's seed.
    pub seed: u64,
    /// Fingerprint of all actions, hex.
    pub digest: String,
    /// Whether every revealed block was settled and no check failed.
    pub settled: bool,
    /// Milliseconds from the first reveal to the last settlement.
    pub makespan_ms: u64,
    /// No schedule of these blocks on these lanes ends sooner, at usual proof times.
    pub lower_bound_ms: u64,
    /// Thousandths of prover time that no settled block used.
    pub wasted_thousandths: u64,
    /// Tenths of messages received per lane.
    pub messages_per_lane_tenths: u64,
    /// The first check that failed.
    pub violation: Option<String>,
    /// Slots settled.
    pub slots: u64,
    /// Events handled.
    pub events: u64,
    /// Crashes.
    pub crashes: u64,
    /// L1 blocks undone.
    pub undone: u64,
}

impl Outcome {
    /// The machine-readable line of `simulate --json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let thousandths = |it: u64| format!("{}.{:03}", it / 1000, it % 1000);
        format!(
            "{{\"seed\":{},\"digest\":\"{}\",\"settled\":{},\"makespan_s\":{},\
             \"lower_bound_s\":{},\"wasted_work\":{},\"messages_per_lane\":{}.{}}}",
            self.seed,
            self.digest,
            self.settled,
            thousandths(self.makespan_ms),
            thousandths(self.lower_bound_ms),
            thousandths(self.wasted_thousandths),
            self.messages_per_lane_tenths / 10,
            self.messages_per_lane_tenths % 10,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_exactly_the_keys_that_tools_read() {
        let outcome = Outcome {
            seed: 7,
            digest: "00ff".into(),
            settled: true,
            makespan_ms: 321_045,
            lower_bound_ms: 270_000,
            wasted_thousandths: 34,
            messages_per_lane_tenths: 4_205,
            violation: None,
            slots: 2,
            events: 1,
            crashes: 0,
            undone: 0,
        };
        assert_eq!(
            outcome.to_json(),
            "{\"seed\":7,\"digest\":\"00ff\",\"settled\":true,\"makespan_s\":321.045,\
             \"lower_bound_s\":270.000,\"wasted_work\":0.034,\"messages_per_lane\":420.5}"
        );
    }
}
