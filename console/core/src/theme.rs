//! What a role looks like. The only file that names a colour.
//!
//! The default palette uses the terminal's own sixteen colours on its own background, so it is
//! right on dark and on light screens. Meaning is never in a colour alone: each state also has a
//! word and a mark, and without colour a role keeps its weight, reverse or underline.

use ratatui_core::style::{Color, Modifier, Style};

/// What a piece of text is, which decides how it looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Names of screens and sections.
    Title,
    /// Everything else.
    Text,
    /// Labels, units and what may be overlooked.
    Muted,
    /// Lines between sections.
    Rule,
    /// The row under the cursor.
    Selected,
    /// What belongs to this agent.
    Mine,
    /// Done, or as it should be.
    Good,
    /// Under way.
    Running,
    /// Not begun, or waiting for something.
    Waiting,
    /// Look at it soon.
    Warning,
    /// Act now.
    Bad,
    /// No longer true for certain.
    Stale,
    /// Amounts.
    Money,
    /// A key to press.
    Key,
}

/// Every role, for tests and the legend.
pub const ROLES: [Role; 14] = [
    Role::Title,
    Role::Text,
    Role::Muted,
    Role::Rule,
    Role::Selected,
    Role::Mine,
    Role::Good,
    Role::Running,
    Role::Waiting,
    Role::Warning,
    Role::Bad,
    Role::Stale,
    Role::Money,
    Role::Key,
];

/// Which colours may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Palette {
    /// None: weight, reverse and underline alone.
    #[default]
    Mono,
    /// The terminal's sixteen colours.
    Terminal,
    /// Blue and orange instead of green and red, from the sixteen colours.
    ColourBlind,
    /// The same from the 256 colours.
    ColourBlind256,
}

/// Turns roles into styles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Theme {
    palette: Palette,
}

impl Theme {
    /// A theme with this palette.
    pub const fn new(palette: Palette) -> Self {
        Self { palette }
    }

    /// How the role looks.
    pub fn style(self, role: Role) -> Style {
        let colour = match self.palette {
            Palette::Mono => Color::Reset,
            Palette::Terminal => terminal(role),
            Palette::ColourBlind => colour_blind(role),
            Palette::ColourBlind256 => colour_blind_256(role),
        };
        let style = Style::new().add_modifier(weight(role));
        if colour == Color::Reset { style } else { style.fg(colour) }
    }
}

const fn weight(role: Role) -> Modifier {
    match role {
        Role::Title | Role::Running | Role::Warning | Role::Key => Modifier::BOLD,
        Role::Selected => Modifier::REVERSED,
        Role::Mine => Modifier::BOLD.union(Modifier::UNDERLINED),
        Role::Bad => Modifier::BOLD.union(Modifier::REVERSED),
        Role::Text
        | Role::Muted
        | Role::Rule
        | Role::Good
        | Role::Waiting
        | Role::Stale
        | Role::Money => Modifier::empty(),
    }
}

const fn terminal(role: Role) -> Color {
    match role {
        Role::Good | Role::Money => Color::Green,
        Role::Running | Role::Key => Color::Cyan,
        Role::Mine => Color::Blue,
        Role::Warning | Role::Stale => Color::Yellow,
        Role::Bad => Color::Red,
        Role::Rule => Color::DarkGray,
        Role::Title | Role::Text | Role::Muted | Role::Selected | Role::Waiting => Color::Reset,
    }
}

const fn colour_blind(role: Role) -> Color {
    match role {
        Role::Good | Role::Money | Role::Mine => Color::Blue,
        Role::Running | Role::Key => Color::Cyan,
        Role::Warning | Role::Stale | Role::Bad => Color::Yellow,
        Role::Rule => Color::DarkGray,
        Role::Title | Role::Text | Role::Muted | Role::Selected | Role::Waiting => Color::Reset,
    }
}

/// Nearest of the 256 to #0072B2, #D55E00 and #F0E442.
const fn colour_blind_256(role: Role) -> Color {
    match role {
        Role::Good | Role::Money | Role::Mine => Color::Indexed(32),
        Role::Running | Role::Key => Color::Indexed(38),
        Role::Warning | Role::Stale => Color::Indexed(178),
        Role::Bad => Color::Indexed(166),
        Role::Rule => Color::Indexed(244),
        Role::Title | Role::Text | Role::Muted | Role::Selected | Role::Waiting => Color::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_no_role_sets_one() {
        let theme = Theme::new(Palette::Mono);
        for role in ROLES {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn selection_and_trouble_are_seen_without_colour() {
        let theme = Theme::new(Palette::Mono);
        let plain = theme.style(Role::Text);
        for role in [Role::Selected, Role::Mine, Role::Warning, Role::Bad, Role::Key] {
            assert_ne!(theme.style(role), plain, "{role:?} looks like text");
        }
    }

    #[test]
    fn good_and_bad_differ_by_more_than_hue() {
        for palette in [Palette::Terminal, Palette::ColourBlind, Palette::ColourBlind256] {
            let theme = Theme::new(palette);
            let (good, bad) = (theme.style(Role::Good), theme.style(Role::Bad));
            assert_ne!(good.fg, bad.fg);
            assert_ne!(good.add_modifier, bad.add_modifier);
        }
    }
}
