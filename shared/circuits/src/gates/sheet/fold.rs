//! The narrow layout: where rows come to stand that were laid out wide.

use super::{Arrangement, At, CONSTANTS, Layout, set};
use crate::gates::{
    columns::{FOLD, Fix, ROW_FOLD},
    hash,
};
use halo2_base::halo2_proofs::halo2curves::{bn256::Fr, ff::Field};

/// How rows are folded into the narrow layout.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fold {
    /// One by one.
    Rows,
    /// Not at all: rows of public words.
    Words,
    /// A permutation: one by one, each as high as it must be.
    Hash,
    /// A block, or range checks side by side, with strips of so many rows.
    Strips(usize),
}

/// Rows that are folded together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) rows: usize,
    pub(super) fold: Fold,
}

impl Segment {
    /// Rows when folded.
    const fn folded(self) -> usize {
        match self.fold {
            Fold::Rows => ROW_FOLD * self.rows,
            Fold::Words => self.rows,
            Fold::Hash => hash::folded(hash::ROWS),
            Fold::Strips(strip) => FOLD * strip,
        }
    }

    /// Where a fixed cell of row `row` comes to stand: selectors of lanes in every strip.
    fn fixed_rows(self, row: usize, strips: bool) -> Vec<usize> {
        match self.fold {
            Fold::Rows => vec![ROW_FOLD * row],
            Fold::Strips(_) if !strips => vec![row],
            Fold::Words => vec![row],
            Fold::Hash => vec![hash::folded(row)],
            Fold::Strips(strip) => (0..FOLD).map(|i| i * strip + row).collect(),
        }
    }

    /// Where a cell of row `row` of the segment comes to stand below the segment's start.
    const fn place(self, column: usize, row: usize) -> (usize, usize) {
        match self.fold {
            Fold::Rows => Arrangement::Narrow.in_row((column, row)),
            Fold::Words => (Arrangement::Narrow.advice() - 1, row),
            Fold::Hash => {
                let (column, below) = Arrangement::Narrow.in_row((column, 0));
                (column, hash::folded(row) + below)
            }
            Fold::Strips(strip) => Arrangement::Narrow.in_block((column, row), strip),
        }
    }
}

impl Layout<'_> {
    /// Moves every cell to its place in the narrow layout.
    pub(super) fn fold(&mut self) {
        let plain = self.segments.last().map_or(0, |last| last.start + last.rows);
        let rest = self.sheet.counts.rows.saturating_sub(plain);
        self.segments.push(Segment { start: plain, rows: rest, fold: Fold::Rows });
        let mut starts = Vec::with_capacity(self.segments.len());
        let mut rows = 0;
        for segment in &self.segments {
            starts.push(rows);
            rows += segment.folded();
        }
        let find = |row: usize| {
            let number = self.segments.partition_point(|segment| segment.start <= row) - 1;
            (self.segments[number], starts[number])
        };
        let moved = |at: At| {
            if at.column == CONSTANTS {
                return at;
            }
            let (segment, start) = find(at.row);
            let (column, row) = segment.place(at.column, at.row - segment.start);
            At { column, row: start + row }
        };
        let mut advice = vec![Vec::new(); Arrangement::Narrow.advice()];
        for (column, values) in self.sheet.advice.iter().enumerate() {
            for (row, value) in values.iter().enumerate().filter(|(_, value)| **value != Fr::ZERO) {
                let At { column, row } = moved(At { column, row });
                set(&mut advice[column], row, *value);
            }
        }
        let mut fixed = vec![Vec::new(); Arrangement::Narrow.fixed_columns()];
        for (fix, values) in Fix::ALL.into_iter().zip(&self.sheet.fixed) {
            let strips = matches!(fix, Fix::Look | Fix::More);
            let (column, below) = Arrangement::Narrow.fixed(fix);
            for (row, value) in values.iter().enumerate().filter(|(_, value)| **value != Fr::ZERO) {
                let (segment, start) = find(row);
                let rows = segment.fixed_rows(row - segment.start, strips);
                rows.iter().for_each(|row| set(&mut fixed[column], start + row + below, *value));
            }
        }
        self.sheet.copies.iter_mut().for_each(|(a, b)| (*a, *b) = (moved(*a), moved(*b)));
        (self.sheet.advice, self.sheet.fixed) = (advice, fixed);
        (self.sheet.layout, self.sheet.counts.rows) = (Arrangement::Narrow, rows);
        self.sheet.counts.block_rows = find(self.sheet.counts.block_rows + 1).1;
    }
}
