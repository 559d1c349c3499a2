//! The simulator as `coppice-agent simulate` and CI use it: many seeds, one line each, the same
//! line every time.

use sim::{WorldOptions, run};

/// What tools read (the first-slice issue, machine-readable output).
const KEYS: [&str; 7] = [
    "seed",
    "digest",
    "settled",
    "makespan_s",
    "lower_bound_s",
    "wasted_work",
    "messages_per_lane",
];

#[test]
fn a_hundred_seeds_settle_every_block() {
    for seed in 0..100 {
        let outcome = run(seed, &WorldOptions::default());
        assert!(outcome.settled, "{outcome:?}");
    }
}

#[test]
fn a_seed_prints_the_same_line_twice() {
    for seed in [0, 7, 99, u64::MAX] {
        let line = || run(seed, &WorldOptions::default()).to_json();
        assert_eq!(line(), line());
    }
}

#[test]
fn the_line_is_json_with_exactly_these_keys() {
    let line = run(3, &WorldOptions::default()).to_json();
    assert!(!line.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), KEYS.len(), "{line}");
    for key in KEYS {
        assert!(object.contains_key(key), "{line} has no {key}");
    }
    assert_eq!(value["seed"], 3);
    assert_eq!(value["digest"].as_str().unwrap().len(), 32);
    assert!(value["makespan_s"].as_f64().unwrap() > 0.0);
    let wasted = value["wasted_work"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&wasted), "{line}");
}
