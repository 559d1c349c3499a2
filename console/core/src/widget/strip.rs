//! A row of text in the making: pieces with roles, in columns of fixed width.

use ratatui_core::text::{Line, Span};

use crate::{
    text::{fit, width},
    theme::{Role, Theme},
};

/// A row being put together from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Strip {
    theme: Theme,
    spans: Vec<Span<'static>>,
    used: usize,
}

impl Strip {
    pub(crate) const fn new(theme: Theme) -> Self {
        Self { theme, spans: Vec::new(), used: 0 }
    }

    /// Columns filled so far.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// The text as it is.
    pub(crate) fn put(mut self, role: Role, text: impl Into<String>) -> Self {
        let text = text.into();
        self.used += width(&text);
        self.spans.push(Span::styled(text, self.theme.style(role)));
        self
    }

    /// Plain text.
    pub(crate) fn text(self, text: impl Into<String>) -> Self {
        self.put(Role::Text, text)
    }

    /// A label.
    pub(crate) fn muted(self, text: impl Into<String>) -> Self {
        self.put(Role::Muted, text)
    }

    /// The text in a column of this width, cut or filled, and one space after it.
    pub(crate) fn cell(self, role: Role, text: &str, columns: usize) -> Self {
        let text = fit(text, columns);
        let space = columns - width(&text) + 1;
        self.put(role, text).text(" ".repeat(space))
    }

    /// The same at the right end of the column.
    pub(crate) fn right(self, role: Role, text: &str, columns: usize) -> Self {
        let text = fit(text, columns);
        let space = columns - width(&text);
        self.text(" ".repeat(space)).put(role, text).text(" ")
    }

    /// Space up to a column, at least one.
    pub(crate) fn at(self, column: usize) -> Self {
        let space = column.saturating_sub(self.used).max(1);
        self.text(" ".repeat(space))
    }

    /// Another strip after this one.
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.used += other.used;
        self.spans.extend(other.spans);
        self
    }

    /// The other strip at the right end of a row; what does not fit beside it is cut.
    pub(crate) fn with_right(self, other: Self, columns: usize) -> Self {
        let room = columns.saturating_sub(other.used);
        if self.used > room {
            return self.cut(room).join(other);
        }
        let space = room - self.used;
        self.text(" ".repeat(space)).join(other)
    }

    fn cut(mut self, columns: usize) -> Self {
        let mut left = columns;
        for span in &mut self.spans {
            let text = fit(&span.content, left);
            left -= width(&text);
            span.content = text.into();
        }
        self.used = columns - left;
        let space = left;
        self.text(" ".repeat(space))
    }

    /// The finished row.
    pub(crate) fn line(self) -> Line<'static> {
        Line::from(self.spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(strip: Strip, expected: &str) {
        assert_eq!(strip.used(), width(expected));
        let shown: String = strip.line().spans.into_iter().map(|span| span.content).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn columns_keep_their_width() {
        let strip = || Strip::new(Theme::default());
        check(strip().cell(Role::Text, "ab", 4).right(Role::Text, "7", 3), "ab     7 ");
        check(strip().cell(Role::Text, "abcdef", 4).text("|"), "abc… |");
        check(strip().text("ab").at(5).text("c").at(2).text("d"), "ab   c d");
        check(strip().text("ab").with_right(strip().text("right"), 10), "ab   right");
        check(strip().text("left text").with_right(strip().text("right"), 10), "left…right");
        check(strip().text("l").with_right(strip().text("right"), 3), "right");
    }
}
