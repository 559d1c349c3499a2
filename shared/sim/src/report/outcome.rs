//! What a run produced, as one line for tools.

/// The result of one world. Fractions are integers in the unit that their name says: the
/// simulator has no floats, so that every machine prints the same line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// The world's seed.
    pub seed: u64,
    /// Fingerprint of all actions, hex.
    pub digest: String,
    /// Whether every block that can be proved was settled.
    pub settled: bool,
    /// Milliseconds from the first reveal until the last root that settled a block was submitted.
    pub makespan_ms: u64,
    /// No schedule of these blocks on these lanes ends sooner, at usual proof times.
    pub lower_bound_ms: u64,
    /// B of R3.3 without backlog, after the last block's reveal.
    pub tree_bound_ms: u64,
    /// Proving time that no settled block used, in thousandths of what they used.
    pub wasted_thousandths: u64,
    /// Tenths of messages received per lane.
    pub messages_per_lane_tenths: u64,
    /// Bytes of messages and proofs received per lane.
    pub bytes_per_lane: u64,
    /// Tasks of killed lanes that others took over.
    pub takeovers: u64,
    /// Milliseconds from the kill until another lane started, median.
    pub takeover_p50_ms: u64,
    /// The same, 99 of 100.
    pub takeover_p99_ms: u64,
    /// Proofs of which a copy had existed and that had to be made again because every holder died.
    pub proofs_lost: u64,
    /// Invariants that did not hold.
    pub broken_invariants: u64,
    /// The first one, with when, where and what.
    pub violation: Option<String>,
    /// Slots settled.
    pub slots: u64,
    /// Events handled.
    pub events: u64,
    /// Crashes.
    pub crashes: u64,
    /// L1 blocks undone.
    pub undone: u64,
    /// Millisecond since the first reveal, lanes at work, lanes up: once per L1 block.
    pub timeline: Vec<[u64; 3]>,
}

impl Outcome {
    /// Whether every block was settled and every invariant held.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.settled && self.broken_invariants == 0
    }

    /// The machine-readable line of `simulate --json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let thousandths = |it: u64| format!("{}.{:03}", it / 1000, it % 1000);
        format!(
            "{{\"seed\":{},\"digest\":\"{}\",\"settled\":{},\"makespan_s\":{},\
             \"lower_bound_s\":{},\"tree_bound_s\":{},\"wasted_work\":{},\
             \"messages_per_lane\":{}.{},\"bytes_per_lane\":{},\"takeovers\":{},\
             \"takeover_p50_s\":{},\"takeover_p99_s\":{},\"proofs_lost\":{},\
             \"broken_invariants\":{}}}",
            self.seed,
            self.digest,
            self.settled,
            thousandths(self.makespan_ms),
            thousandths(self.lower_bound_ms),
            thousandths(self.tree_bound_ms),
            thousandths(self.wasted_thousandths),
            self.messages_per_lane_tenths / 10,
            self.messages_per_lane_tenths % 10,
            self.bytes_per_lane,
            self.takeovers,
            thousandths(self.takeover_p50_ms),
            thousandths(self.takeover_p99_ms),
            self.proofs_lost,
            self.broken_invariants,
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
            tree_bound_ms: 300_000,
            wasted_thousandths: 34,
            messages_per_lane_tenths: 4_205,
            bytes_per_lane: 1_234,
            takeovers: 3,
            takeover_p50_ms: 12_345,
            takeover_p99_ms: 15_000,
            proofs_lost: 0,
            broken_invariants: 0,
            ..Outcome::default()
        };
        assert_eq!(
            outcome.to_json(),
            "{\"seed\":7,\"digest\":\"00ff\",\"settled\":true,\"makespan_s\":321.045,\
             \"lower_bound_s\":270.000,\"tree_bound_s\":300.000,\"wasted_work\":0.034,\
             \"messages_per_lane\":420.5,\"bytes_per_lane\":1234,\"takeovers\":3,\
             \"takeover_p50_s\":12.345,\"takeover_p99_s\":15.000,\"proofs_lost\":0,\
             \"broken_invariants\":0}"
        );
        assert!(outcome.is_good());
    }
}
