//! Poseidon over BN254's scalar field: the only hash an application circuit sees.
//!
//! State of three words, 8 full and 57 partial rounds, the constants of circom, so that anybody's
//! circom or Solidity library computes the same function. [`h2`] is one permutation of
//! `[0, a, b]` and gives word 0; [`tagged`] chains it from a domain tag, so that two purposes with
//! equal inputs differ (S17). The sponge of `halo2-base` is another function (it starts from 2^64
//! and pads): it stays in the proof transcript.
//!
//! The native form is the optimised one (sparse matrices in the partial rounds, Supplementary
//! Material B of the Poseidon paper), taken from the constants of `halo2-base`; in circuits a
//! permutation is 28 rows of a gate of its own ([`crate::gates`]).

use std::sync::LazyLock;

use halo2_base::halo2_proofs::halo2curves::ff::PrimeField;
use halo2_base::poseidon::hasher::spec::OptimizedPoseidonSpec;

pub use halo2_base::halo2_proofs::halo2curves::bn256::Fr;
use protocol::domain::Word;

pub mod chips;
#[cfg(test)]
pub(crate) mod mock;

pub use chips::Chips;

/// Words of the state.
const WIDTH: usize = 3;
/// Full rounds, half of them before the partial ones.
const FULL_ROUNDS: usize = 8;
/// Partial rounds.
const PARTIAL_ROUNDS: usize = 57;

/// What a hash is for: the first input of every application hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// An account: secret, domain.
    Account = 1,
    /// A tx: account, nonce, fee, expiry, number of calls, calls left.
    Tx = 2,
    /// A call: caller, program, four arguments.
    Call = 3,
    /// A program: its instructions.
    Program = 4,
    /// A storage key: program, slot.
    Key = 5,
    /// A leaf of the state tree: key, value.
    Leaf = 6,
    /// The log of one call: four times key, old, new.
    Log = 7,
    /// The tx list of one block, of one tx: the tx hash.
    Txs = 8,
    /// A credit record: meta, payee.
    Credit = 9,
}

impl Tag {
    /// The tag as the field element that is hashed.
    #[must_use]
    pub fn word(self) -> Fr {
        Fr::from(self as u64)
    }
}

/// The 32 bytes, big-endian, that name a field element outside the circuits.
#[must_use]
pub fn to_word(x: Fr) -> Word {
    let mut bytes = x.to_repr();
    bytes.reverse();
    bytes
}

/// A number as a field element.
#[must_use]
pub fn from_u128(x: u128) -> Fr {
    Fr::from_u128(x)
}

/// The field element of a word, `None` unless it is below the field's order: a word that is only
/// equal modulo the order would give one statement two names.
#[must_use]
pub fn from_word(word: &Word) -> Option<Fr> {
    let mut bytes = *word;
    bytes.reverse();
    Fr::from_repr(bytes).into_option()
}

type Matrix = [[Fr; WIDTH]; WIDTH];

/// A partial round: the constant added after the power, then the sparse matrix.
struct Partial {
    constant: Fr,
    row: [Fr; WIDTH],
    column: [Fr; WIDTH - 1],
}

/// The constants of the optimised permutation.
struct Constants {
    before: Vec<[Fr; WIDTH]>,
    partial: Vec<Partial>,
    after: Vec<[Fr; WIDTH]>,
    mds: Matrix,
    transition: Matrix,
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(Constants::derive);

impl Constants {
    fn derive() -> Self {
        let spec = OptimizedPoseidonSpec::<Fr, WIDTH, 2>::new::<FULL_ROUNDS, PARTIAL_ROUNDS, 0>();
        let matrices = spec.mds_matrices();
        let partial = spec.constants().partial().iter().zip(matrices.sparse_matrices());
        let partial: Vec<_> = partial
            .map(|(constant, sparse)| Partial {
                constant: *constant,
                row: *sparse.row(),
                column: *sparse.col_hat(),
            })
            .collect();
        let mut after = spec.constants().end().clone();
        after.push([Fr::zero(); WIDTH]);
        let before = spec.constants().start().clone();
        assert_eq!(before.len(), FULL_ROUNDS / 2 + 1, "full rounds before the partial ones");
        assert_eq!(partial.len(), PARTIAL_ROUNDS, "partial rounds");
        assert_eq!(after.len(), FULL_ROUNDS / 2, "full rounds after the partial ones");
        Self {
            before,
            partial,
            after,
            mds: *matrices.mds().as_ref(),
            transition: *matrices.pre_sparse_mds().as_ref(),
        }
    }

    /// The full rounds of one half: the constants added after the power, and the matrix.
    fn first_half(&self) -> impl Iterator<Item = (&[Fr; WIDTH], &Matrix)> {
        let last = self.before.len() - 2;
        let matrix = move |i| if i == last { &self.transition } else { &self.mds };
        self.before.iter().skip(1).enumerate().map(move |(i, c)| (c, matrix(i)))
    }
}

/// The permutation's output word 0 for the input `[0, a, b]`: two words to one.
#[must_use]
pub fn h2(a: Fr, b: Fr) -> Fr {
    let constants = &*CONSTANTS;
    let start = &constants.before[0];
    let mut state = [start[0], start[1] + a, start[2] + b];
    for (add, matrix) in constants.first_half() {
        state = full_round(&state, add, matrix);
    }
    for round in &constants.partial {
        let x = power5(state[0]) + round.constant;
        let [_, y, z] = state;
        state = [
            round.row[0] * x + round.row[1] * y + round.row[2] * z,
            round.column[0] * x + y,
            round.column[1] * x + z,
        ];
    }
    for add in &constants.after {
        state = full_round(&state, add, &constants.mds);
    }
    state[0]
}

/// `P(tag; x1..xn)` = H2(… H2(H2(tag, x1), x2) …, xn).
#[must_use]
pub fn tagged(tag: Tag, words: &[Fr]) -> Fr {
    words.iter().fold(tag.word(), |state, word| h2(state, *word))
}

fn power5(x: Fr) -> Fr {
    let square = x.square();
    square.square() * x
}

fn full_round(state: &[Fr; WIDTH], add: &[Fr; WIDTH], matrix: &Matrix) -> [Fr; WIDTH] {
    let powers: [Fr; WIDTH] = std::array::from_fn(|i| power5(state[i]) + add[i]);
    std::array::from_fn(|i| {
        matrix[i][0] * powers[0] + matrix[i][1] * powers[1] + matrix[i][2] * powers[2]
    })
}

#[cfg(test)]
mod tests {
    use super::mock::{build, satisfied};
    use super::*;
    fn fr(x: u64) -> Fr {
        Fr::from(x)
    }

    fn hex(x: Fr) -> String {
        ::hex::encode(to_word(x))
    }

    #[test]
    fn a_word_is_big_endian_and_below_the_order() {
        let mut word = [0; 32];
        word[31] = 7;
        assert_eq!(from_word(&word), Some(fr(7)));
        assert_eq!(from_word(&to_word(-fr(1))), Some(-fr(1)));
        let mut order = to_word(-fr(1));
        order[31] += 1;
        assert_eq!(from_word(&order), None);
        assert_eq!(from_word(&[0xff; 32]), None);
    }

    #[test]
    fn h2_equals_the_vectors_of_circom() {
        assert_eq!(
            hex(h2(fr(1), fr(2))),
            "115cc0f5e7d690413df64c6b9662e9cf2a3617f2743245519e19607a4417189a"
        );
        assert_eq!(
            hex(h2(fr(0), fr(0))),
            "2098f5fb9e239eab3ceac3f27b81e481dc3124d55ffed523a839ee8446b64864"
        );
    }

    #[test]
    fn equal_words_under_two_tags_differ() {
        let words = [fr(1), fr(2)];
        assert_eq!(tagged(Tag::Leaf, &words), h2(h2(fr(6), fr(1)), fr(2)));
        assert_ne!(tagged(Tag::Leaf, &words), tagged(Tag::Key, &words));
    }

    #[test]
    fn a_permutation_costs_28_rows_whatever_the_inputs() {
        let shape = |a, b| {
            let (built, _) = build(8, |ctx, gates| {
                let (x, y) = (ctx.load_witness(a), ctx.load_witness(b));
                gates.h2(ctx, x, y)
            });
            built.shape()
        };
        assert_eq!(shape(fr(0), fr(0)), shape(-fr(1), fr(2)));
        // Row 0, the permutation, and a row for the three cells around it.
        assert_eq!(shape(fr(0), fr(0)).rows, 1 + crate::gates::hash::ROWS + 1);
    }

    #[test]
    fn the_circuit_computes_the_native_function() {
        let pairs = [(0, 0), (1, 2), (u64::MAX, 7)];
        let verdict = satisfied(14, |ctx, gates| {
            let chips = Chips::new(gates);
            for (a, b) in pairs {
                let (x, y) = (ctx.load_witness(fr(a)), ctx.load_witness(fr(b)));
                let out = chips.h2(ctx, x, y);
                assert_eq!(*out.value(), h2(fr(a), fr(b)));
                let out = chips.tagged(ctx, Tag::Leaf, &[x, y]);
                assert_eq!(*out.value(), tagged(Tag::Leaf, &[fr(a), fr(b)]));
            }
        });
        assert!(verdict);
    }

    /// Every cell of a permutation is bound by its inputs.
    #[test]
    fn no_cell_of_a_permutation_is_free() {
        let (built, _) = build(8, |ctx, gates| {
            let (x, y) = (ctx.load_witness(fr(3)), ctx.load_witness(fr(4)));
            gates.h2(ctx, x, y)
        });
        let sheet = built.sheet();
        assert_eq!(sheet.check(), Ok(()));
        for (column, row) in sheet.block_cells() {
            let changed = sheet.with(column, row, sheet.at(column, row) + fr(1));
            assert!(changed.check().is_err(), "column {column}, row {row}");
        }
    }
}
