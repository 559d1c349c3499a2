//! What this terminal can show: from the options, then from the environment.

use clap::ValueEnum;
use console_core::{Glyphs, Look, Palette, Theme};

/// Whether colours are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Colour {
    /// As NO_COLOR and TERM say.
    #[default]
    Auto,
    /// Never: weight, reverse and underline alone.
    Never,
    /// In any case.
    Always,
}

/// Which colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Colours {
    /// The terminal's own sixteen.
    #[default]
    Terminal,
    /// Blue and orange in place of green and red.
    Cvd,
}

/// Which marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Marks {
    /// As TERM and the locale say.
    #[default]
    Auto,
    /// Boxes, blocks and arrows.
    Full,
    /// Only what stays narrow where East Asian text is usual.
    Safe,
    /// Nothing above 0x7E.
    Ascii,
}

/// What the operator asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) colour: Colour,
    pub(crate) colours: Colours,
    pub(crate) marks: Marks,
}

/// Decides, with the variables of the environment; an empty one is as none.
pub(crate) fn look(wishes: Wishes, variable: impl Fn(&str) -> Option<String>) -> Look {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    Look { theme: Theme::new(palette(wishes, &variable)), glyphs: glyphs(wishes.marks, &variable) }
}

fn palette(wishes: Wishes, variable: &impl Fn(&str) -> Option<String>) -> Palette {
    let term = variable("TERM").unwrap_or_default();
    let silent = variable("NO_COLOR").is_some() || term == "dumb" || term.starts_with("vt");
    let wide = variable("COLORTERM").is_some() || term.contains("256color");
    match (wishes.colour, wishes.colours) {
        (Colour::Never, _) => Palette::Mono,
        (Colour::Auto, _) if silent => Palette::Mono,
        (Colour::Auto | Colour::Always, Colours::Terminal) => Palette::Terminal,
        (Colour::Auto | Colour::Always, Colours::Cvd) if wide => Palette::ColourBlind256,
        (Colour::Auto | Colour::Always, Colours::Cvd) => Palette::ColourBlind,
    }
}

fn glyphs(marks: Marks, variable: &impl Fn(&str) -> Option<String>) -> Glyphs {
    match marks {
        Marks::Full => return Glyphs::Full,
        Marks::Safe => return Glyphs::Safe,
        Marks::Ascii => return Glyphs::Ascii,
        Marks::Auto => (),
    }
    let term = variable("TERM").unwrap_or_default();
    let locale = variable("LC_ALL").or_else(|| variable("LC_CTYPE")).or_else(|| variable("LANG"));
    let locale = locale.unwrap_or_default().to_lowercase();
    // No locale at all is usual in containers, whose terminals draw UTF-8 all the same.
    let utf8 = locale.is_empty() || locale.contains("utf-8") || locale.contains("utf8");
    if term == "linux" || term == "dumb" || term.starts_with("vt") || !utf8 {
        return Glyphs::Ascii;
    }
    let east_asian = ["ja", "ko", "zh"].iter().any(|language| locale.starts_with(language));
    if east_asian { Glyphs::Safe } else { Glyphs::Full }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wishes: Wishes, environment: &[(&str, &str)], palette: Palette, glyphs: Glyphs) {
        let variable = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let expected = Look { theme: Theme::new(palette), glyphs };
        assert_eq!(look(wishes, variable), expected, "{wishes:?} {environment:?}");
    }

    #[test]
    fn the_environment_decides_what_the_options_leave_open() {
        let auto = Wishes::default();
        let xterm = ("TERM", "xterm-256color");
        let utf8 = ("LANG", "en_US.UTF-8");
        check(auto, &[], Palette::Terminal, Glyphs::Full);
        check(auto, &[xterm, utf8], Palette::Terminal, Glyphs::Full);
        check(auto, &[xterm, utf8, ("NO_COLOR", "1")], Palette::Mono, Glyphs::Full);
        check(auto, &[xterm, utf8, ("NO_COLOR", "")], Palette::Terminal, Glyphs::Full);
        check(auto, &[("TERM", "linux"), utf8], Palette::Terminal, Glyphs::Ascii);
        check(auto, &[("TERM", "vt100"), utf8], Palette::Mono, Glyphs::Ascii);
        check(auto, &[xterm, ("LANG", "C.UTF-8")], Palette::Terminal, Glyphs::Full);
        check(auto, &[xterm, ("LANG", "POSIX")], Palette::Terminal, Glyphs::Ascii);
        check(auto, &[xterm, ("LANG", "ja_JP.UTF-8")], Palette::Terminal, Glyphs::Safe);
        check(auto, &[utf8, ("LC_ALL", "ko_KR.utf8")], Palette::Terminal, Glyphs::Safe);
    }

    #[test]
    fn options_win_over_the_environment() {
        let no_colour = [("NO_COLOR", "1"), ("TERM", "vt100")];
        let always = Wishes { colour: Colour::Always, marks: Marks::Full, ..Wishes::default() };
        check(always, &no_colour, Palette::Terminal, Glyphs::Full);
        let never = Wishes { colour: Colour::Never, marks: Marks::Safe, ..Wishes::default() };
        check(never, &[("COLORTERM", "truecolor")], Palette::Mono, Glyphs::Safe);
        let cvd = Wishes { colours: Colours::Cvd, ..Wishes::default() };
        check(cvd, &[("TERM", "xterm")], Palette::ColourBlind, Glyphs::Full);
        check(cvd, &[("COLORTERM", "truecolor")], Palette::ColourBlind256, Glyphs::Full);
    }
}
