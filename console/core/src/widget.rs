//! Pieces that more than one screen is made of.

pub(crate) mod chart;
pub(crate) mod ladder;
pub(crate) mod phases;
pub(crate) mod rule;
pub(crate) mod strip;

pub(crate) use rule::{Section, paint, paint_pair};
pub(crate) use strip::Strip;

/// First row to show so that the chosen one is visible, in a list longer than its place.
pub(crate) fn window(chosen: usize, rows: usize, height: usize) -> usize {
    let before = height / 2;
    chosen.saturating_sub(before).min(rows.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_row_is_always_in_the_window() {
        let lists = (0..40).flat_map(|rows| (1..20).map(move |height| (rows, height)));
        for (rows, height) in lists {
            for chosen in 0..rows {
                let top = window(chosen, rows, height);
                let seen = top <= chosen && chosen < top + height;
                assert!(seen, "{chosen} of {rows} in {height}");
                assert!(top == 0 || top + height <= rows, "{chosen} of {rows} in {height}");
            }
        }
    }
}
