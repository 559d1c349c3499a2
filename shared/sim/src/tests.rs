//! Seeds settle, digests repeat, mistakes are caught.
use super::*;

#[test]
fn a_calm_world_settles() {
    for seed in 0..5 {
        let outcome = run(seed, &WorldOptions::calm());
        println!("{outcome:?}");
        assert!(outcome.settled, "{outcome:?}");
    }
}
#[test]
fn a_hundred_seeds_settle() {
    for seed in 0..100 {
        let outcome = run(seed, &WorldOptions::default());
        println!("{outcome:?}");
        assert!(outcome.settled, "{outcome:?}");
    }
}
