//! The small language of `--chaos`: what goes wrong, how much of it, and when.
//!
//! ```text
//! kill=SHARE@TIME             such as kill=0.3@60s
//! delay=TIME@TIME..TIME       such as delay=200ms@30s..90s
//! partition=SHARE@TIME..TIME  such as partition=0.5@1m..2m, or @1m.. for the rest of the run
//! ```
//!
//! SHARE is a number above 0 and up to 1, of the agents. TIME is a whole number with `ms`, `s` or
//! `m`. Several are separated by commas, or the option is repeated.

use std::{fmt, str::FromStr, time::Duration};

use crate::{
    error::{Coded, Exit},
    mesh::DELAY_MAX,
};

/// Latest moment: a day.
const AT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// SIGKILL to this many thousandths of the agents.
    Kill(u64),
    /// Every datagram of the mesh leaves this much later.
    Delay(Duration),
    /// This many thousandths of the agents hear nobody of the others, and are not heard.
    Partition(u64),
}

/// One thing that goes wrong, with its time after the reveal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Spec {
    /// As it was written.
    text: String,
    /// What.
    pub(crate) what: What,
    /// From when on.
    pub(crate) from: Duration,
    /// Until when; none of a kill, and of what lasts as long as the run.
    pub(crate) until: Option<Duration>,
}

impl What {
    /// Its word in the language, and in the reports.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Delay(_) => "delay",
            Self::Partition(_) => "partition",
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for Spec {
    type Err = Coded;

    /// Reads one event.
    ///
    /// # Errors
    /// `DEV-003`, which says what is wrong and how it is written.
    fn from_str(text: &str) -> Result<Self, Coded> {
        parse(text).map_err(|why| refused(&format!("`{text}`: {why}")))
    }
}

/// A plan of chaos that is not possible.
pub(super) fn refused(text: &str) -> Coded {
    Coded::new("DEV-003", text).exit(Exit::Usage)
}

fn parse(text: &str) -> Result<Spec, String> {
    let (event, when) = text.split_once('@').ok_or("it does not say when; write kill=0.3@60s")?;
    let (word, size) =
        event.split_once('=').ok_or("it does not say how much; write kill=0.3@60s")?;
    let what = match word {
        "kill" => What::Kill(share(size)?),
        "delay" => What::Delay(delay(size)?),
        "partition" => What::Partition(share(size)?),
        _ => return Err(format!("`{word}` is none of kill, delay and partition")),
    };
    let (from, until) = match (what, when.split_once("..")) {
        (What::Kill(_), None) => (time(when)?, None),
        (What::Kill(_), Some(_)) => return Err("a kill has one time; write kill=0.3@60s".into()),
        (_, None) => {
            let example = "write 30s..90s, or 30s.. for the rest of the run";
            return Err(format!("a {word} has a beginning and an end; {example}"));
        }
        (_, Some((from, ""))) => (time(from)?, None),
        (_, Some((from, until))) => (time(from)?, Some(time(until)?)),
    };
    if until.is_some_and(|until| until <= from) {
        return Err(format!("it ends before it begins; write the earlier time of {when} first"));
    }
    Ok(Spec { text: text.to_owned(), what, from, until })
}

/// Thousandths of the agents.
fn share(text: &str) -> Result<u64, String> {
    let share = text.parse::<f64>().ok().filter(|it| 0.001 <= *it && *it <= 1.0);
    let share = share.ok_or_else(|| {
        format!("`{text}` is no share; write a number from 0.001 to 1, such as 0.3")
    })?;
    Ok((share * 1_000.0).round() as u64)
}

fn delay(text: &str) -> Result<Duration, String> {
    let delay = time(text)?;
    if delay.is_zero() || delay > DELAY_MAX {
        let most = DELAY_MAX.as_millis();
        return Err(format!(
            "a delay of {text} is not between 1ms and {most}ms; what is slower is a partition"
        ));
    }
    Ok(delay)
}

fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor_ms = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let whole = digits.parse::<u32>().ok().filter(|_| digits.chars().all(|c| c.is_ascii_digit()));
    let (Some(whole), Some(factor_ms)) = (whole, factor_ms) else {
        return Err(format!("`{text}` is no time; write 60s, 1500ms or 2m"));
    };
    let time = Duration::from_millis(u64::from(whole) * factor_ms);
    if time > AT_MAX {
        return Err(format!("{text} is longer than a day, {} s", AT_MAX.as_secs()));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn check(text: &str, what: What, from: u64, until: Option<u64>) {
        let spec: Spec = text.parse().unwrap();
        assert_eq!((spec.what, spec.from, spec.until), (what, ms(from), until.map(ms)), "{text}");
        assert_eq!(spec.to_string(), text);
    }

    #[test]
    fn every_event_is_read() {
        check("kill=0.3@60s", What::Kill(300), 60_000, None);
        check("kill=1@0s", What::Kill(1_000), 0, None);
        check("delay=200ms@30s..90s", What::Delay(ms(200)), 30_000, Some(90_000));
        check("delay=2s@500ms..", What::Delay(ms(2_000)), 500, None);
        check("partition=0.5@1m..120s", What::Partition(500), 60_000, Some(120_000));
        check("partition=.25@1m..", What::Partition(250), 60_000, None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_limit_and_the_remedy() {
        for (text, part) in [
            ("kill=0.3", "does not say when; write kill=0.3@60s"),
            ("kill@60s", "does not say how much"),
            ("stop=0.3@60s", "`stop` is none of kill, delay and partition"),
            ("kill=2@60s", "`2` is no share; write a number from 0.001 to 1"),
            ("kill=0@60s", "no share"),
            ("kill=NaN@60s", "no share"),
            ("partition=-1@1s..2s", "no share"),
            ("kill=0.3@60", "`60` is no time; write 60s, 1500ms or 2m"),
            ("kill=0.3@1h", "no time"),
            ("kill=0.3@+6s", "no time"),
            ("kill=0.3@1.5s", "no time"),
            ("kill=0.3@99999m", "longer than a day"),
            ("kill=0.3@60s..90s", "a kill has one time"),
            ("delay=200ms@30s", "a delay has a beginning and an end"),
            ("delay=0ms@1s..2s", "not between 1ms and 2000ms"),
            ("delay=3s@1s..2s", "what is slower is a partition"),
            ("partition=0.5@9s..9s", "it ends before it begins"),
            ("", "does not say when"),
        ] {
            let error = text.parse::<Spec>().unwrap_err();
            assert_eq!(error.code(), "DEV-003");
            let shown = error.to_string();
            assert!(shown.contains(part) && shown.contains(&format!("`{text}`")), "{shown}");
        }
    }
}
