//! Draws for tests that walk at random: the same for the same seed, on every machine.

/// A splitmix64 generator.
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
    /// True about once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[test]
fn draws_are_even_and_repeat_for_their_seed() {
    let draw = |seed| {
        let mut draws = Draws(seed);
        (0..600).map(|_| draws.below(6)).collect::<Vec<u64>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    for face in 0..6 {
        let count = draw(1).iter().filter(|&&it| it == face).count();
        assert!((60..=140).contains(&count), "{face}: {count} of 600");
    }
}
