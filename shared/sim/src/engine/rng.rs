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

    /// True with probability `thousandths` / 1000; what never happens draws nothing.
    pub(crate) const fn chance(&mut self, thousandths: u64) -> bool {
        0 < thousandths && self.bits() % 1000 < thousandths
    }

    /// Roughly normal, in thousandths of the standard deviation: the sum of twelve even draws.
    pub(crate) fn normal(&mut self) -> i64 {
        let draws = |bits: u64| (0..4).map(|it| (bits >> (16 * it)) & 0xffff).sum::<u64>();
        let sum: u64 = (0..3).map(|_| draws(self.bits())).sum();
        let sum = i64::try_from(sum).unwrap_or(0);
        (sum - 6 * 0xffff) * 1000 / 0xffff
    }

    /// A log-normal factor with median 1000; `spread` is its deviation in thousandths. Integers
    /// alone, so that every machine draws the same.
    pub(crate) fn log_normal(&mut self, spread: u64) -> u64 {
        if spread == 0 {
            return 1000;
        }
        let spread = i64::try_from(spread).unwrap_or(0);
        exp_thousandths(self.normal() * spread / 1000)
    }

    /// An index below `count`, which is not 0.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        assert!(0 < count, "nothing to choose from");
        let top = count as u64 - 1;
        usize::try_from(self.between(0, top)).unwrap_or(0)
    }
}

/// 1000 × e^(x / 1000), by its series at a sixteenth of x, squared four times.
fn exp_thousandths(x: i64) -> u64 {
    const ONE: i128 = 1 << 40;
    let x = i128::from(x.clamp(-8_000, 8_000)) * ONE / 16_000;
    let (mut term, mut sum) = (ONE, ONE);
    for n in 1..=8 {
        term = term * x / ONE / n;
        sum += term;
    }
    for _ in 0..4 {
        sum = sum * sum / ONE;
    }
    u64::try_from((sum * 1000 + ONE / 2) / ONE).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_a_thousandth() {
        for (x, expected) in [(0, 1000), (1000, 2718), (-1000, 368), (100, 1105), (3000, 20_086)] {
            assert_eq!(exp_thousandths(x), expected);
        }
    }

    #[test]
    fn a_log_normal_factor_has_its_median_and_its_spread() {
        let mut rng = Rng::new(9);
        let mut draws: Vec<u64> = (0..10_000).map(|_| rng.log_normal(100)).collect();
        draws.sort_unstable();
        assert!(draws[5_000].abs_diff(1000) < 6, "median {}", draws[5_000]);
        assert!(draws[8_413].abs_diff(1105) < 8, "one deviation up {}", draws[8_413]);
        assert!(draws[1_587].abs_diff(905) < 8, "one deviation down {}", draws[1_587]);
        assert_eq!(rng.log_normal(0), 1000);
    }

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
