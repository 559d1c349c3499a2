//! Worlds as small readable files: `key = value` lines under a header that names the rules a world
//! shows and says in a sentence how.
//!
//! ```text
//! # R5.3 R11
//! # Half of the provers vanish at one instant: others take over within seconds.
//! base = calm
//! kill = 500 at 250s
//! ```

mod keys;
mod library;

use core::fmt;

use crate::WorldOptions;
pub use library::LIBRARY;

/// A world file that was read.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, without folder and ending.
    pub name: String,
    /// The rules that it shows.
    pub rules: Vec<String>,
    /// What it shows, in a sentence or two.
    pub says: String,
    /// The world.
    pub options: WorldOptions,
}

/// Why a world file was refused: line, key, value, limit, remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl core::error::Error for ScenarioError {}

/// Most lines of a world file: forty keys and a header.
const LINES_MAX: usize = 100;

impl Scenario {
    /// The built-in world of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, text) = LIBRARY.iter().find(|(it, _)| *it == name)?;
        match Self::parse(name, text) {
            Ok(scenario) => Some(scenario),
            Err(error) => panic!("the built-in world {name} does not parse: {error}"),
        }
    }

    /// All built-in worlds.
    #[must_use]
    pub fn all() -> Vec<Self> {
        LIBRARY.iter().filter_map(|(name, _)| Self::named(name)).collect()
    }

    /// Reads a world file.
    ///
    /// # Errors
    /// With the line, the key, the value, the limit and what to do.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let refuse = |line: usize, what: String| Err(ScenarioError { line, what });
        if LINES_MAX < text.lines().count() {
            return refuse(0, format!("more than {LINES_MAX} lines: split the world in two"));
        }
        let (rules, says) = header(text)?;
        let mut options = WorldOptions::default();
        let mut seen: Vec<&str> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or("").trim();
            if text.is_empty() {
                continue;
            }
            let Some((key, value)) = text.split_once('=') else {
                return refuse(line, format!("`{text}` is not `key = value`"));
            };
            let (key, value) = (key.trim(), value.trim());
            if key == "base" && !seen.is_empty() {
                return refuse(line, "`base` must be the first key: it replaces all others".into());
            }
            if seen.contains(&key) && !keys::may_repeat(key) {
                return refuse(line, format!("`{key}` is given twice: keep one of the lines"));
            }
            seen.push(key);
            keys::set(&mut options, key, value).map_err(|what| ScenarioError { line, what })?;
        }
        Ok(Self { name: name.to_owned(), rules, says, options })
    }
}

/// The first comment line names rules, the following ones are the sentence.
fn header(text: &str) -> Result<(Vec<String>, String), ScenarioError> {
    let mut lines = text.lines().map_while(|it| it.strip_prefix('#')).map(str::trim);
    let refuse = |what: &str| Err(ScenarioError { line: 1, what: what.to_owned() });
    let Some(first) = lines.next() else {
        return refuse("a world begins with the rules that it shows, such as `# R5.2 R11`");
    };
    let rules: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
    let is_rule = |it: &String| {
        let number = it.strip_prefix('R').unwrap_or("");
        !number.is_empty() && number.split('.').all(|it| it.parse::<u8>().is_ok())
    };
    if rules.is_empty() || !rules.iter().all(is_rule) {
        return refuse("the first line must name rules and nothing else, such as `# R5.2 R11`");
    }
    let says = lines.collect::<Vec<_>>().join(" ");
    if says.is_empty() {
        return refuse("the second line must say what the world shows: `# A sentence.`");
    }
    Ok((rules, says))
}

#[cfg(test)]
mod tests;
