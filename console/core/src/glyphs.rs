//! Which marks a terminal can draw.
//!
//! Screens are written with the full set. Before a frame leaves, each mark of that set is replaced
//! by one of the same width that the terminal is known to have, so no screen has to ask.

use ratatui_core::buffer::Buffer;

/// The marks that a terminal draws in one column.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Glyphs {
    /// Boxes, blocks and arrows.
    #[default]
    Full,
    /// Only what stays narrow where East Asian text is usual.
    Safe,
    /// Nothing above 0x7E.
    Ascii,
}

/// Full, safe and ASCII form. What is missing here stays (safe) or becomes `?` (ASCII).
const FORMS: &[(&str, &str, &str)] = &[
    ("─", "-", "-"),
    ("│", "|", "|"),
    ("┬", "+", "+"),
    ("┴", "+", "+"),
    ("┼", "+", "+"),
    ("├", "|", "|"),
    ("└", "`", "`"),
    ("┌", "+", "+"),
    ("┐", "+", "+"),
    ("┘", "+", "+"),
    ("┤", "|", "|"),
    ("═", "=", "="),
    ("━", "=", "="),
    ("▁", "⣀", "."),
    ("▂", "⣀", "."),
    ("▃", "⣤", ":"),
    ("▄", "⣤", "-"),
    ("▅", "⣶", "="),
    ("▆", "⣶", "+"),
    ("▇", "⣷", "*"),
    ("█", "⣿", "#"),
    ("▓", "⣿", "#"),
    ("▒", "░", "%"),
    ("░", "░", "."),
    ("·", ".", "."),
    ("…", "~", "~"),
    ("●", "◉", "*"),
    ("✓", "✓", "v"),
    ("✗", "✗", "x"),
    ("‹", "<", "<"),
    ("›", ">", ">"),
    ("▸", "▸", ">"),
    ("↑", "^", "^"),
    ("↓", "v", "v"),
    ("←", "<", "<"),
    ("→", ">", ">"),
];

impl Glyphs {
    /// Replaces what the terminal cannot draw.
    pub fn apply(self, buffer: &mut Buffer) {
        if self == Self::Full {
            return;
        }
        for cell in &mut buffer.content {
            let symbol = cell.symbol();
            if symbol.is_ascii() {
                continue;
            }
            let form = FORMS.iter().find(|form| form.0 == symbol);
            let replaced = match (self, form) {
                (Self::Full, _) | (Self::Safe, None) => continue,
                (Self::Safe, Some((_, safe, _))) => *safe,
                (Self::Ascii, Some((_, _, ascii))) => *ascii,
                (Self::Ascii, None) => "?",
            };
            cell.set_symbol(replaced);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::width;

    #[test]
    fn every_form_is_one_column_wide() {
        for (full, safe, ascii) in FORMS {
            assert_eq!([width(full), width(safe), width(ascii)], [1, 1, 1], "{full}");
            assert!(ascii.is_ascii(), "{full}");
        }
    }

    #[test]
    fn the_ascii_set_leaves_nothing_above_7e() {
        let mut buffer = Buffer::with_lines(["─│▃█ ✓ é 日 x"]);
        Glyphs::Ascii.apply(&mut buffer);
        assert!(buffer.content.iter().all(|cell| cell.symbol().is_ascii()));
        assert_eq!(buffer, Buffer::with_lines(["-|:# v ? ?  x"]));
    }
}
