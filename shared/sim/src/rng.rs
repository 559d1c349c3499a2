//! The only source of randomness: splitmix64, so no dependency can change a seed's meaning.

/// A seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator whose whole sequence is fixed by `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "{low}..={high} is empty");
        low + self.bits() % (high - low + 1)
    }

    /// True with probability `thousandths` / 1000.
    pub(crate) fn chance(&mut self, thousandths: u64) -> bool {
        self.between(1, 1000) <= thousandths
    }

    /// An index below `count`, which is not 0.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        assert!(0 < count, "nothing to choose from");
        let top = count as u64 - 1;
        usize::try_from(self.between(0, top)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_never_changes() {
        let mut rng = Rng::new(0x9e37_79b9_7f4a_7c15);
        // The published first outputs of splitmix64 for seed 0.
        assert_eq!(rng.bits(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rng.bits(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(rng.bits(), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn values_stay_in_their_range_and_reach_both_ends() {
        let mut rng = Rng::new(1);
        let values: Vec<u64> = (0..1000).map(|_| rng.between(3, 7)).collect();
        assert_eq!((values.iter().min(), values.iter().max()), (Some(&3), Some(&7)));
        assert!((0..1000).all(|_| rng.index(4) < 4));
    }

    #[test]
    fn chances_are_thousandths() {
        let mut rng = Rng::new(2);
        let hits = (0..10_000).filter(|_| rng.chance(100)).count();
        assert!((800..1200).contains(&hits), "{hits} of 10,000");
        assert!(!(0..1000).any(|_| rng.chance(0)) && (0..1000).all(|_| rng.chance(1000)));
    }
}
