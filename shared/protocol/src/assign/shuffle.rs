//! Swap-or-not: the beacon chain's shuffle with keccak-256 in place of SHA-256 (R4.2).
//!
//! Chosen because anybody, a contract included, can compute where one lane lands in 90 rounds
//! without shuffling all of them. Byte order and position of the bits follow the consensus
//! specification's `compute_shuffled_index`.

use crate::domain::Hash;

use super::keccak::keccak256;

/// Rounds of the mainnet preset.
pub const ROUNDS: u8 = 90;
/// One hash decides about this many positions.
const POSITIONS_PER_HASH: u32 = 256;

/// First eight bytes as a little-endian integer, as the consensus specification reads them.
fn pivot(seed: Hash, round: u8, count: u32) -> u32 {
    let hash = keccak256(&[&seed.0, &[round]]).0;
    let number = hash[..8].iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    let pivot = number % u64::from(count);
    u32::try_from(pivot).unwrap_or(u32::MAX)
}

/// For each position of the shuffled list, the index in the original one.
///
/// Equal to calling `compute_shuffled_index` for every index, but a round's hashes are computed
/// once for the whole list: 90 × (1 + count / 256) hashes.
#[must_use]
pub fn shuffled_indices(count: u32, seed: Hash) -> Vec<u32> {
    let mut indices: Vec<u32> = (0..count).collect();
    for round in 0..ROUNDS {
        if count < 2 {
            break;
        }
        let pivot = pivot(seed, round, count);
        let sources: Vec<Hash> = (0..=(count - 1) / POSITIONS_PER_HASH)
            .map(|chunk| keccak256(&[&seed.0, &[round], &chunk.to_le_bytes()]))
            .collect();
        for index in &mut indices {
            let flip = (pivot + (count - *index)) % count;
            let position = flip.max(*index);
            let source = sources[(position / POSITIONS_PER_HASH) as usize].0;
            let byte = source[(position % POSITIONS_PER_HASH / 8) as usize];
            assert!(flip < count, "a flip stays in the list");
            if byte >> (position % 8) & 1 == 1 {
                *index = flip;
            }
        }
    }
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's text, line by line, for one index.
    fn compute_shuffled_index(index: u32, count: u32, seed: Hash) -> u32 {
        let mut index = u64::from(index);
        let count = u64::from(count);
        for round in 0..ROUNDS {
            let hash = keccak256(&[&seed.0, &[round]]).0;
            let pivot = u64::from_le_bytes(hash[0..8].try_into().unwrap()) % count;
            let flip = (pivot + count - index) % count;
            let position = index.max(flip);
            let chunk = u32::try_from(position / 256).unwrap().to_le_bytes();
            let source = keccak256(&[&seed.0, &[round], &chunk]).0;
            let byte = source[usize::try_from((position % 256) / 8).unwrap()];
            let bit = (byte >> (position % 8)) % 2;
            index = if bit == 1 { flip } else { index };
        }
        u32::try_from(index).unwrap()
    }

    fn seed(number: u8) -> Hash {
        keccak256(&[b"shuffle test", &[number]])
    }

    #[test]
    fn the_list_agrees_with_the_specification_for_each_index() {
        for (count, number) in [(1, 0), (2, 1), (3, 2), (9, 3), (255, 4), (256, 5), (300, 6)] {
            let list = shuffled_indices(count, seed(number));
            for index in 0..count {
                let expected = compute_shuffled_index(index, count, seed(number));
                assert_eq!(list[index as usize], expected, "{index} of {count}");
            }
        }
    }

    #[test]
    fn every_index_appears_once() {
        for count in [0, 1, 2, 5, 24, 257, 1024] {
            let mut list = shuffled_indices(count, seed(7));
            list.sort_unstable();
            assert_eq!(list, (0..count).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn another_seed_is_another_order() {
        let orders: std::collections::BTreeSet<Vec<u32>> =
            (0..50).map(|number| shuffled_indices(24, seed(number))).collect();
        assert_eq!(orders.len(), 50);
    }

    #[test]
    fn no_place_is_preferred_by_the_first_index() {
        let mut hits = [0u32; 6];
        for number in 0..240 {
            hits[shuffled_indices(6, seed(number))[0] as usize] += 1;
        }
        assert!(hits.iter().all(|&hit| (20..=60).contains(&hit)), "{hits:?} of 240");
    }
}
