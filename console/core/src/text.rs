//! Numbers, times and strangers' text as they stand on the screen.
//!
//! Amounts stay decimal strings of base units from the agent to the last character: splitting a
//! string at its decimals needs no arithmetic that could round or overflow.

use ratatui_core::text::Span;

/// Longest text of a stranger that is kept, in characters: three lines of a wide screen.
pub const TEXT_MAX: usize = 400;
/// Longest amount in digits: `u128::MAX` has 39.
const AMOUNT_DIGITS_MAX: usize = 39;

/// Without anything that could move the cursor, reverse the reading order or hide itself,
/// and at most `limit` characters long.
pub fn clean(text: &str, limit: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(limit * 4));
    let mut count = 0;
    for letter in text.chars() {
        let letter = if matches!(letter, '\n' | '\r' | '\t') { ' ' } else { letter };
        if is_hidden(letter) {
            continue;
        }
        if count == limit {
            kept.pop();
            kept.push('…');
            break;
        }
        kept.push(letter);
        count += 1;
    }
    kept
}

/// Control characters, and all that takes no column of its own: joiners, reading marks, accents
/// that stand alone, variation selectors and the characters that Unicode keeps for private use.
fn is_hidden(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_control();
    }
    let unassigned = matches!(u32::from(letter), 0xE000..=0xF8FF | 0xFFF0..=0xFFFF | 0xE0000..);
    let separator =
        matches!(letter, '\u{2028}' | '\u{2029}' | '\u{00AD}' | '\u{115F}' | '\u{3164}');
    letter.is_control() || unassigned || separator || width(letter.encode_utf8(&mut [0; 4])) == 0
}

/// Columns that the text takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// At most `columns` wide; what was cut ends in an ellipsis.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += width(letter.encode_utf8(&mut [0; 4]));
        if used > columns {
            break;
        }
        kept.push(letter);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The first and last characters of an id: `0x8f3a…21c0`.
pub fn shorten(id: &str) -> String {
    let count = id.chars().count();
    if count <= 13 {
        return id.to_owned();
    }
    let head = if id.starts_with("0x") { 6 } else { 4 };
    let start: String = id.chars().take(head).collect();
    let end: String = id.chars().skip(count - 4).collect();
    format!("{start}…{end}")
}

/// Base units, if the text is what the agent promises: decimal digits that fit 128 bits.
pub fn base_units(text: &str) -> Option<u128> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && text.len() <= AMOUNT_DIGITS_MAX { text.parse().ok() } else { None }
}

/// Base units with all their decimals but without the zeros at the end: `38.412`.
pub fn amount_exact(units: u128, decimals: u8) -> String {
    let (whole, part) = split(units, decimals);
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

/// Base units with three decimals, cut and never rounded up; what is smaller says so.
pub fn amount(units: u128, decimals: u8) -> String {
    let (whole, part) = split(units, decimals);
    if decimals == 0 {
        return whole;
    }
    let shown: String = part.chars().chain("000".chars()).take(3).collect();
    if units > 0 && whole == "0" && shown == "000" {
        return "<0.001".to_owned();
    }
    format!("{whole}.{shown}")
}

fn split(units: u128, decimals: u8) -> (String, String) {
    let decimals = usize::from(decimals);
    let digits = format!("{units:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    (whole.to_owned(), part.to_owned())
}

/// A length of time: `02:43`, `1:02:43`, `3d 04h`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        return format!("{days}d {:02}h", hours % 24);
    }
    if hours > 0 {
        return format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60);
    }
    format!("{minutes:02}:{:02}", seconds % 60)
}

/// A length of time with its sign: `+01:45`, `-00:10`.
pub fn signed(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    format!("{sign}{}", duration(ms.unsigned_abs()))
}

/// The time of day in UTC: `12:38:28`.
pub fn clock(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// CPU time in seconds with one decimal: `163.2s`.
pub fn cpu(ms: u32) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

/// Memory in GB with one decimal: `3.1G`.
pub fn memory(mb: u64) -> String {
    format!("{}.{}G", mb / 1024, mb % 1024 * 10 / 1024)
}

/// `part` of `whole` in `steps` steps, rounded down but never to nothing or to all:
/// what has begun shows, and what is not complete does not look complete.
pub fn share(part: u128, whole: u128, steps: u32) -> u32 {
    if whole == 0 || part == 0 {
        return 0;
    }
    if part >= whole {
        return steps;
    }
    let shift = 64_u32.saturating_sub(whole.leading_zeros());
    let done = (part >> shift) * u128::from(steps) / (whole >> shift).max(1);
    u32::try_from(done).unwrap_or(steps).clamp(1, steps.saturating_sub(1).max(1))
}

/// A count in four columns: `902`, `8192`, `61k`.
pub fn count(nodes: u32) -> String {
    match nodes {
        0..10_000 => nodes.to_string(),
        10_000.. => format!("{}k", nodes / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_cut_and_never_rounded() {
        let rows: &[(u128, u8, &str, &str)] = &[
            (0, 18, "0.000", "0"),
            (1, 18, "<0.001", "0.000000000000000001"),
            (999_999_999_999_999, 18, "<0.001", "0.000999999999999999"),
            (1_999_999_999_999_999_999, 18, "1.999", "1.999999999999999999"),
            (61_200_000_000_000_000_000, 18, "61.200", "61.2"),
            (1234, 0, "1234", "1234"),
            (1234, 1, "123.400", "123.4"),
            (1234, 6, "0.001", "0.001234"),
            (u128::MAX, 255, "<0.001", ""),
            (u128::MAX, 0, "340282366920938463463374607431768211455", ""),
        ];
        for (units, decimals, short, exact) in rows {
            assert_eq!(amount(*units, *decimals), *short, "{units} with {decimals}");
            if !exact.is_empty() {
                assert_eq!(amount_exact(*units, *decimals), *exact, "{units} with {decimals}");
            }
        }
    }

    #[test]
    fn only_digits_are_an_amount() {
        assert_eq!(base_units("42"), Some(42));
        assert_eq!(base_units(&u128::MAX.to_string()), Some(u128::MAX));
        for bad in
            ["", "-1", "+1", "1.0", "1e9", "0x10", " 1", "340282366920938463463374607431768211456"]
        {
            assert_eq!(base_units(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times_have_one_form_each() {
        assert_eq!(duration(0), "00:00");
        assert_eq!(duration(163_999), "02:43");
        assert_eq!(duration(3_763_000), "1:02:43");
        assert_eq!(duration(273_600_000), "3d 04h");
        assert_eq!(signed(-10_000), "-00:10");
        assert_eq!(signed(105_000), "+01:45");
        assert_eq!(signed(i64::MIN), "-106751991167d 07h");
        assert_eq!(clock(45_508_000), "12:38:28");
        assert_eq!(cpu(163_271), "163.2s");
        assert_eq!(memory(3174), "3.0G");
    }

    #[test]
    fn hostile_text_keeps_only_what_takes_a_column() {
        let rows = [
            ("\u{1b}[2Jgone", "[2Jgone"),
            ("\u{1b}]0;title\u{7}x", "]0;titlex"),
            ("\u{9b}31mred", "31mred"),
            ("a\u{202e}b\u{2066}c\u{200f}d", "abcd"),
            ("z\u{200b}e\u{200d}r\u{feff}o", "zero"),
            ("two\nlines\tand", "two lines and"),
            ("e\u{301}", "e"),
            ("日本", "日本"),
        ];
        for (hostile, shown) in rows {
            assert_eq!(clean(hostile, TEXT_MAX), shown, "{hostile:?}");
        }
        assert_eq!(clean(&"x".repeat(10_000_000), TEXT_MAX).chars().count(), TEXT_MAX);
    }

    #[test]
    fn ids_and_texts_are_shortened_to_their_place() {
        assert_eq!(shorten("0x52d1a8ee01ff22b07e"), "0x52d1…b07e");
        assert_eq!(shorten("0x52d1"), "0x52d1");
        assert_eq!(fit("network", 7), "network");
        assert_eq!(fit("network", 4), "net…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("network", 0), "");
    }

    #[test]
    fn a_share_shows_beginnings_and_hides_no_remainder() {
        assert_eq!(share(0, 10, 8), 0);
        assert_eq!(share(1, 1_000_000, 8), 1);
        assert_eq!(share(999_999, 1_000_000, 8), 7);
        assert_eq!(share(10, 10, 8), 8);
        assert_eq!(share(u128::MAX / 2, u128::MAX, 8), 3);
        assert_eq!(share(5, 0, 8), 0);
    }
}
