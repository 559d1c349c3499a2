//! The simulator as `coppice-agent simulate` and CI use it: many seeds, one line each, the same
//! line every time; and every seed that once failed.

use std::{fs, path::Path, thread};

use sim::{Scenario, WorldOptions, run};

/// What tools read (machine-readable output of the simulator's issue).
const KEYS: [&str; 14] = [
    "seed",
    "digest",
    "settled",
    "makespan_s",
    "lower_bound_s",
    "tree_bound_s",
    "wasted_work",
    "messages_per_lane",
    "bytes_per_lane",
    "takeovers",
    "takeover_p50_s",
    "takeover_p99_s",
    "proofs_lost",
    "broken_invariants",
];
/// Seeds of the standard world in a test run; `simulate --seeds` runs any number.
const SEEDS: u64 = 300;
const THREADS: u64 = 2;

#[test]
fn the_standard_world_settles_every_block_and_repeats_itself() {
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || (first..SEEDS).step_by(2).for_each(check));
        }
    });
}

/// A seed of the standard world is good; the first few are run twice.
fn check(seed: u64) {
    let options = WorldOptions::default();
    let outcome = run(seed, &options);
    assert!(outcome.is_good(), "{outcome:?}");
    if seed < 6 {
        assert_eq!(outcome, run(seed, &options), "the same seed, another world");
    }
}

/// What a seed file names.
fn read(path: &Path) -> (String, u64) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("# "), "{} does not say what it was", path.display());
    let value = |key: &str| {
        let lines = text.lines().filter_map(|it| it.split_once('='));
        let found = lines.map(|(key, value)| (key.trim(), value.trim())).find(|it| it.0 == key);
        found.unwrap_or_else(|| panic!("{} has no {key}", path.display())).1.to_owned()
    };
    (value("world"), value("seed").parse().unwrap())
}

#[test]
fn seeds_that_once_failed_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let seeds = files.filter(|it| it.extension().is_some_and(|it| it == "seed"));
    let mut count = 0;
    for path in seeds {
        let (world, seed) = read(&path);
        let scenario = Scenario::named(&world).unwrap_or_else(|| panic!("no world {world}"));
        let outcome = run(seed, &scenario.options);
        assert!(outcome.is_good(), "{}: {outcome:?}", path.display());
        assert!(outcome.lower_bound_ms <= outcome.makespan_ms * 13 / 10, "{outcome:?}");
        count += 1;
    }
    assert!(0 < count, "the seeds are gone");
}

#[test]
fn the_line_is_json_with_exactly_these_keys() {
    let line = run(3, &WorldOptions { txs: [4, 4], ..WorldOptions::default() }).to_json();
    assert!(!line.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), KEYS.len(), "{line}");
    for key in KEYS {
        assert!(object.contains_key(key), "{line} has no {key}");
    }
    assert_eq!(value["seed"], 3);
    assert_eq!(value["digest"].as_str().unwrap().len(), 16);
    assert!(value["makespan_s"].as_f64().unwrap() > 0.0);
    assert!((0.0..=2.0).contains(&value["wasted_work"].as_f64().unwrap()), "{line}");
    assert_eq!(value["broken_invariants"], 0);
}
