//! The Poseidon permutation as a gate: 28 rows, 9 columns.
//!
//! | rows | what | columns |
//! |---|---|---|
//! | 0–3 | full rounds | 0–2 state, 3–5 squares of state + constant |
//! | 4–22 | three partial rounds each | 0–2 state, then three times square and fifth power |
//! | 23–26 | full rounds | as above |
//! | 27 | the output | 0–2 |
//!
//! Constants are added before the power. Those of the two words a partial round leaves alone are
//! moved on through the matrix, so that a partial round has one constant; the function is the same.

use super::columns::{Fix, Layout, View, constant};
use halo2_base::{
    halo2_proofs::{
        halo2curves::{bn256::Fr, ff::Field},
        plonk::Expression,
    },
    poseidon::hasher::spec::OptimizedPoseidonSpec,
};
use std::sync::LazyLock;

/// Words of the state.
pub(crate) const WIDTH: usize = 3;
/// Full rounds, half of them before the partial ones.
const FULL_ROUNDS: usize = 8;
/// Partial rounds.
const PARTIAL_ROUNDS: usize = 57;
/// Partial rounds on one row.
const PER_ROW: usize = 3;
/// Rows of a permutation, the output's among them.
pub(crate) const ROWS: usize = FULL_ROUNDS + PARTIAL_ROUNDS / PER_ROW + 1;
/// Row of the output.
pub(super) const OUTPUT: usize = ROWS - 1;

/// The state.
pub(crate) type State = [Fr; WIDTH];
type Matrix = [[Fr; WIDTH]; WIDTH];

/// What a row of the permutation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// One full round.
    Full = 1,
    /// Three partial rounds.
    Partial = 2,
}

impl Round {
    /// Rows that a row of this round becomes in a layout: its state, and three cells more in a full
    /// round or six in a partial one.
    pub(super) const fn height(self, layout: Layout) -> usize {
        let cells = match self {
            Self::Full => 2 * WIDTH,
            Self::Partial => 3 * WIDTH,
        };
        match layout {
            Layout::Wide => 1,
            Layout::Narrow => cells.div_ceil(layout.advice()),
        }
    }
}

/// Where row `row` of a permutation starts in the narrow layout; that of row [`ROWS`] is its length.
pub(super) const fn folded(row: usize) -> usize {
    let (layout, half) = (Layout::Narrow, FULL_ROUNDS / 2);
    let (mut start, mut at) = (0, 0);
    while at < row {
        let partial = half <= at && at < half + PARTIAL_ROUNDS / PER_ROW;
        start += if partial {
            Round::Partial.height(layout)
        } else if at < OUTPUT {
            Round::Full.height(layout)
        } else {
            WIDTH.div_ceil(layout.advice())
        };
        at += 1;
    }
    start
}

/// The constants: one triple a row, and the matrix of every round.
pub(super) struct Constants {
    pub(super) rows: Vec<(Round, State)>,
    matrix: Matrix,
}

/// Constants of the function everybody calls Poseidon over this field (circom's).
pub(super) static CONSTANTS: LazyLock<Constants> = LazyLock::new(Constants::derive);

fn mix(matrix: &Matrix, state: &State) -> State {
    matrix.map(|row| (0..WIDTH).map(|i| row[i] * state[i]).sum())
}

impl Constants {
    /// From the library's form, whose constants are added after the power and before the matrix.
    fn derive() -> Self {
        let spec = OptimizedPoseidonSpec::<Fr, WIDTH, 2>::new::<FULL_ROUNDS, PARTIAL_ROUNDS, 0>();
        let matrix: Matrix = *spec.mds_matrices().mds().as_ref();
        let (start, end) = (spec.constants().start(), spec.constants().end());
        assert_eq!((start.len(), end.len()), (FULL_ROUNDS / 2 + 1, FULL_ROUNDS / 2 - 1));
        assert_eq!(spec.constants().partial().len(), PARTIAL_ROUNDS);
        let mut full: Vec<State> = vec![start[0]];
        full.extend(start[1..].iter().map(|after| mix(&matrix, after)));
        let mut moved = full.pop().unwrap_or_default();
        let mut rows: Vec<(Round, State)> = full.into_iter().map(|c| (Round::Full, c)).collect();
        for after in spec.constants().partial().chunks_exact(PER_ROW) {
            let mut row = State::default();
            for (constant, after) in row.iter_mut().zip(after) {
                *constant = moved[0];
                moved = mix(&matrix, &[*after, moved[1], moved[2]]);
            }
            rows.push((Round::Partial, row));
        }
        rows.push((Round::Full, moved));
        rows.extend(end.iter().map(|after| (Round::Full, mix(&matrix, after))));
        assert_eq!(rows.len(), OUTPUT, "rounds");
        Self { rows, matrix }
    }
}

fn fifth(x: Fr) -> [Fr; 2] {
    let square = x.square();
    [square, square.square() * x]
}

/// The cells of every row of the permutation of `state`, and the output.
pub(super) fn trace(state: State) -> (Vec<Vec<Fr>>, State) {
    let constants = &*CONSTANTS;
    let mut state = state;
    let mut rows = Vec::with_capacity(ROWS);
    for (round, add) in &constants.rows {
        let mut row = state.to_vec();
        match round {
            Round::Full => {
                let powers: [[Fr; 2]; WIDTH] = std::array::from_fn(|i| fifth(state[i] + add[i]));
                row.extend(powers.map(|[square, _]| square));
                state = mix(&constants.matrix, &powers.map(|[_, fifth]| fifth));
            }
            Round::Partial => {
                for add in add {
                    let powers = fifth(state[0] + add);
                    row.extend(powers);
                    state = mix(&constants.matrix, &[powers[1], state[1], state[2]]);
                }
            }
        }
        rows.push(row);
    }
    rows.push(state.to_vec());
    (rows, state)
}

type Values = [Expression<Fr>; WIDTH];

fn mixed(state: &Values) -> Values {
    CONSTANTS.matrix.map(|row| {
        let mut terms = row.iter().zip(state).map(|(factor, word)| word.clone() * *factor);
        let first = terms.next().unwrap_or(constant(Fr::ZERO));
        terms.fold(first, |sum, term| sum + term)
    })
}

const ROUND_CONSTANTS: [Fix; WIDTH] = [Fix::First, Fix::Second, Fix::Third];

/// The gate of full rounds.
pub(super) fn full_round(view: &mut View<'_, '_>) -> Vec<Expression<Fr>> {
    let selector = view.one_of(Fix::Hash, Round::Full as u64, 2);
    let mut all = Vec::with_capacity(2 * WIDTH);
    let powers: Values = std::array::from_fn(|i| {
        let word = view.in_row(i) + view.fixed(ROUND_CONSTANTS[i]);
        let square = view.in_row(WIDTH + i);
        all.push(square.clone() - word.clone() * word.clone());
        square.clone() * square * word
    });
    let next: Values = std::array::from_fn(|i| view.after(Round::Full, i));
    all.extend(mixed(&powers).into_iter().zip(next).map(|(mixed, next)| mixed - next));
    all.into_iter().map(|value| selector.clone() * value).collect()
}

/// The gate of three partial rounds.
pub(super) fn partial_rounds(view: &mut View<'_, '_>) -> Vec<Expression<Fr>> {
    let selector = view.one_of(Fix::Hash, Round::Partial as u64, 2);
    let mut all = Vec::with_capacity(3 * WIDTH);
    let mut state: Values = std::array::from_fn(|i| view.in_row(i));
    for (i, add) in ROUND_CONSTANTS.into_iter().enumerate() {
        let word = state[0].clone() + view.fixed(add);
        let [square, fifth] = [0, 1].map(|power| view.in_row(WIDTH + 2 * i + power));
        all.push(square.clone() - word.clone() * word.clone());
        all.push(fifth.clone() - square.clone() * square * word);
        state[0] = fifth;
        state = mixed(&state);
    }
    let next: Values = std::array::from_fn(|i| view.after(Round::Partial, i));
    all.extend(state.into_iter().zip(next).map(|(mixed, next)| mixed - next));
    all.into_iter().map(|value| selector.clone() * value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::columns::TAG_USE;

    #[test]
    fn the_permutation_is_the_one_of_the_vectors() {
        let (_, [out, ..]) = trace([Fr::ZERO, Fr::from(1), Fr::from(2)]);
        assert_eq!(out, crate::poseidon::h2(Fr::from(1), Fr::from(2)));
        assert_eq!((ROWS, folded(ROWS)), (28, 8 * 2 + 19 * 3 + 1));
    }

    /// Tables are told apart by small tags in the same column.
    #[test]
    fn no_round_constant_is_a_tag() {
        for (_, row) in &CONSTANTS.rows {
            assert!(row.iter().all(|constant| *constant > Fr::from(2 * TAG_USE)));
        }
    }
}
