//! Outcomes for people: a table, a histogram of makespans, a timeline of busy lanes.

use crate::Outcome;

/// Bars of the histogram and columns of the timeline.
const BARS: usize = 12;
const COLUMNS: usize = 60;
/// Longest bar.
const WIDTH: u64 = 40;

/// mm:ss.
fn clock(ms: u64) -> String {
    format!("{}:{:02}", ms / 60_000, ms / 1000 % 60)
}
fn percent(thousandths: u64) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// The value that `share` thousandths of the values do not exceed; 0 of none.
#[must_use]
pub fn quantile(values: &[u64], share: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * share / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0)
}

/// Median, worst, and how the value is written.
type Row = (&'static str, fn(&Outcome) -> u64, fn(u64) -> String);

const ROWS: [Row; 8] = [
    ("makespan", |it| it.makespan_ms, clock),
    ("tree bound B", |it| it.tree_bound_ms, clock),
    (
        "makespan / B",
        |it| (it.makespan_ms * 1000).checked_div(it.tree_bound_ms).unwrap_or(0),
        |it| format!("{}.{:03}", it / 1000, it % 1000),
    ),
    ("wasted work", |it| it.wasted_thousandths, percent),
    ("messages per lane", |it| it.messages_per_lane_tenths / 10, |it| it.to_string()),
    ("kB per lane", |it| it.bytes_per_lane / 1000, |it| it.to_string()),
    ("takeover p50", |it| it.takeover_p50_ms, |it| format!("{}.{} s", it / 1000, it / 100 % 10)),
    ("takeover p99", |it| it.takeover_p99_ms, |it| format!("{}.{} s", it / 1000, it / 100 % 10)),
];

/// The table and charts of some worlds.
#[must_use]
pub fn chart(outcomes: &[Outcome]) -> String {
    let good = outcomes.iter().filter(|it| it.is_good()).count();
    let sum = |it: fn(&Outcome) -> u64| outcomes.iter().map(it).sum::<u64>();
    let mut text = format!("{:<20}{:>12}{:>12}{:>12}\n", "", "median", "99 of 100", "worst");
    for (name, value, write) in ROWS {
        let values: Vec<u64> = outcomes.iter().map(value).collect();
        let at = |share| write(quantile(&values, share));
        text += &format!("{name:<20}{:>12}{:>12}{:>12}\n", at(500), at(990), at(1000));
    }
    text += &format!(
        "{:<20}{:>12}\n{:<20}{:>12}\n{:<20}{:>12}\n\n",
        "takeovers",
        sum(|it| it.takeovers),
        "proofs lost",
        sum(|it| it.proofs_lost),
        "broken invariants",
        sum(|it| it.broken_invariants),
    );
    text += &histogram(&outcomes.iter().map(|it| it.makespan_ms).collect::<Vec<_>>());
    if let Some(first) = outcomes.first() {
        text += &timeline(first);
    }
    text + &format!("{good} of {} simulated worlds settled every block\n", outcomes.len())
}

/// How many worlds ended when.
fn histogram(makespans: &[u64]) -> String {
    let (Some(&low), Some(&high)) = (makespans.iter().min(), makespans.iter().max()) else {
        return String::new();
    };
    let step = ((high - low) / BARS as u64 + 1).max(1_000);
    let mut counts = [0_u64; BARS];
    for it in makespans {
        let bar = usize::try_from((it - low) / step).unwrap_or(0).min(BARS - 1);
        counts[bar] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let used = usize::try_from((high - low) / step).unwrap_or(0).min(BARS - 1);
    let mut text = "makespan, worlds\n".to_owned();
    for (at, &count) in (0..).zip(&counts[..=used]) {
        let bar = "█".repeat(usize::try_from((count * WIDTH).div_ceil(most)).unwrap_or(0));
        text += &format!("{:>8}  {bar} {count}\n", clock(low + at * step));
    }
    text + "\n"
}

/// Share of lanes at work over the time of one world.
fn timeline(outcome: &Outcome) -> String {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(&[end, ..]) = outcome.timeline.last() else { return String::new() };
    let column = |it: usize| {
        let at = (end * it as u64) / COLUMNS as u64;
        let sample = outcome.timeline.iter().rfind(|sample| sample[0] <= at);
        let [_, busy, lanes] = sample.copied().unwrap_or_default();
        let level = (busy * 8).div_ceil(lanes.max(1)).min(8);
        LEVELS[usize::try_from(level).unwrap_or(0)]
    };
    let row: String = (0..=COLUMNS).map(column).collect();
    let lanes = outcome.timeline.iter().map(|it| it[2]).max().unwrap_or(0);
    format!("busy lanes of {lanes}, seed {}\n|{row}| {}\n\n", outcome.seed, clock(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_every_row_and_a_full_bar() {
        let outcome = |makespan_ms| Outcome {
            settled: true,
            makespan_ms,
            tree_bound_ms: 540_000,
            timeline: vec![[0, 0, 8], [300_000, 8, 8], [600_000, 4, 8]],
            ..Outcome::default()
        };
        let text = chart(&[outcome(560_000), outcome(600_000), outcome(600_000)]);
        for (name, ..) in ROWS {
            assert!(text.contains(name), "{name} is missing:\n{text}");
        }
        assert!(text.contains("10:00  ") || text.contains("9:56  "), "{text}");
        assert!(text.contains("████████████████████████████████████████ 2"), "{text}");
        assert!(text.contains("busy lanes of 8") && text.contains("▄| 10:00"), "{text}");
        assert!(text.contains("3 of 3 simulated worlds settled every block"), "{text}");
    }

    #[test]
    fn quantiles_of_nothing_and_of_one() {
        assert_eq!((quantile(&[], 500), quantile(&[7], 990), quantile(&[3, 1, 2], 500)), (0, 7, 2));
        assert_eq!([0, 500, 990, 1000].map(|it| quantile(&[1, 2, 3, 4], it)), [1, 3, 4, 4]);
    }
}
