//! keccak-256 as Ethereum uses it (padding 0x01, not SHA-3's 0x06).
//!
//! Written out because the core has no dependencies. The rotation offsets and lane order come from
//! one walk over the state, the round constants from the standard's feedback register, so no table
//! can hold a typing error that the vectors below would not show.

use crate::domain::Hash;

/// Bytes absorbed between two permutations: 1600 bits minus twice the 256 bits of output.
const RATE: usize = 136;
/// Rounds of keccak-f\[1600\].
const ROUNDS: usize = 24;

/// Round constants of keccak-f\[1600\].
const IOTA: [u64; ROUNDS] = round_constants();

/// The standard's linear feedback register x^8 + x^6 + x^5 + x^4 + 1: seven bits per round, bit j
/// of a round lands at position 2^j - 1.
const fn round_constants() -> [u64; ROUNDS] {
    let mut constants = [0u64; ROUNDS];
    let mut register: u8 = 1;
    let mut round = 0;
    while round < ROUNDS {
        let mut bit = 0;
        while bit < 7 {
            if register & 1 == 1 {
                constants[round] |= 1 << ((1u32 << bit) - 1);
            }
            let high = register >> 7;
            register = (register << 1) ^ (high * 0x71);
            bit += 1;
        }
        round += 1;
    }
    constants
}

fn theta(state: &mut [u64; 25]) {
    let mut parity = [0u64; 5];
    for (x, column) in parity.iter_mut().enumerate() {
        *column = (0..5).fold(0, |sum, y| sum ^ state[x + 5 * y]);
    }
    for x in 0..5 {
        let mix = parity[(x + 4) % 5] ^ parity[(x + 1) % 5].rotate_left(1);
        (0..5).for_each(|y| state[x + 5 * y] ^= mix);
    }
}

/// Where each lane moves from (x, y) to (y, 2x + 3y), along the one cycle of 24, and its rotation.
const CYCLE: [(usize, u32); 24] = cycle();

const fn cycle() -> [(usize, u32); 24] {
    let mut cycle = [(0, 0); 24];
    let (mut x, mut y, mut step) = (1, 0, 0u32);
    while step < 24 {
        (x, y) = (y, (2 * x + 3 * y) % 5);
        cycle[step as usize] = (x + 5 * y, (step + 1) * (step + 2) / 2 % 64);
        step += 1;
    }
    cycle
}

fn rho_and_pi(state: &mut [u64; 25]) {
    let mut carried = state[1];
    for (place, offset) in CYCLE {
        let next = state[place];
        state[place] = carried.rotate_left(offset);
        carried = next;
    }
}

fn chi(state: &mut [u64; 25]) {
    for row in state.chunks_exact_mut(5) {
        let old = [row[0], row[1], row[2], row[3], row[4]];
        for x in 0..5 {
            row[x] = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
        }
    }
}

fn permute(state: &mut [u64; 25]) {
    for constant in IOTA {
        theta(state);
        rho_and_pi(state);
        chi(state);
        state[0] ^= constant;
    }
}

fn absorb(state: &mut [u64; 25], block: &[u8; RATE]) {
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        let bits = bytes.iter().rev().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        *lane ^= bits;
    }
    permute(state);
}

/// keccak-256 of the concatenation of `parts`.
///
/// Parts instead of one slice: every hashed string of the protocol is a concatenation of fields of
/// fixed width (slice section 1), and the caller need not build it.
#[must_use]
pub fn keccak256(parts: &[&[u8]]) -> Hash {
    let mut state = [0u64; 25];
    let mut block = [0u8; RATE];
    let mut filled = 0;
    for &byte in parts.iter().copied().flatten() {
        block[filled] = byte;
        filled += 1;
        if filled == RATE {
            absorb(&mut state, &block);
            block = [0; RATE];
            filled = 0;
        }
    }
    assert!(filled < RATE, "a full block is absorbed at once");
    block[filled] = 0x01;
    block[RATE - 1] |= 0x80;
    absorb(&mut state, &block);
    let mut out = [0u8; 32];
    for (bytes, lane) in out.chunks_exact_mut(8).zip(state) {
        bytes.copy_from_slice(&lane.to_le_bytes());
    }
    Hash(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: &str) {
        assert_eq!(keccak256(&[input]).to_string(), format!("0x{expected}"));
    }

    #[test]
    fn known_vectors_of_ethereum_hold() {
        check(b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        check(b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
        check(b"hello", "1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8");
        check(
            b"The quick brown fox jumps over the lazy dog",
            "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15",
        );
        check(
            b"Transfer(address,address,uint256)",
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        );
    }

    #[test]
    fn the_first_and_last_round_constants_are_the_standards() {
        assert_eq!(IOTA[0], 1);
        assert_eq!(IOTA[1], 0x8082);
        assert_eq!(IOTA[2], 0x8000_0000_0000_808a);
        assert_eq!(IOTA[23], 0x8000_0000_8000_8008);
    }

    #[test]
    fn parts_hash_as_their_concatenation_around_every_block_edge() {
        let text: Vec<u8> = (0..=255u8).cycle().take(300).collect();
        for length in [0, 1, 7, 134, 135, 136, 137, 271, 272, 273, 300] {
            let whole = keccak256(&[&text[..length]]);
            for cut in [0, length / 3, length / 2, length] {
                assert_eq!(whole, keccak256(&[&text[..cut], &[], &text[cut..length]]), "{length}");
            }
        }
    }

    #[test]
    fn every_length_has_its_own_hash() {
        let zeros = [0u8; 280];
        let all: std::collections::BTreeSet<Hash> =
            (0..=280).map(|length| keccak256(&[&zeros[..length]])).collect();
        assert_eq!(all.len(), 281);
    }
}
