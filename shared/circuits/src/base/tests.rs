//! What `base` proves and what it refuses.

use super::circuit::{Free, constrain};
use super::world::{World, load, words};
use super::*;
use crate::poseidon::Chips;
use crate::poseidon::mock::{Built, build};

/// Lookup bits of `base` at k = 20.
const LOOKUP_BITS: usize = 19;

/// A tx of three calls, each of another program, the last one of four entries.
fn three_calls(world: &World) -> Tx {
    world.tx(vec![
        world.call(&world.counter, [5, 0, 0, 0]),
        world.call(&world.transfer, [9, 100, 0, 0]),
        world.call(&world.swap, [0, 100, 150, 0]),
    ])
}

fn prove(input: &BaseInput) -> (Built, Words) {
    build(LOOKUP_BITS, |ctx, range| {
        let child = load(ctx, range, &input.child);
        words(constrain(ctx, &Chips::new(range), &child, input))
    })
}

#[test]
fn base_says_what_the_native_check_says() {
    let mut world = World::new();
    for tx in [three_calls(&world), world.tx(vec![])] {
        let proved = world.prove(&tx, &[1]);
        let (mut built, words) = prove(&proved.base);
        assert!(built.satisfied());
        assert_eq!(words, proved.base.check().unwrap());
        println!("{:?}", built.shape());
    }
}
