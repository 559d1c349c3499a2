//! Reads the generated verifier.

use super::{Cell, Statement, Unknown, Value, WORD};

/// The statements of these lines.
pub(super) fn statements(lines: &[&str]) -> Result<Vec<Statement>, Unknown> {
    Parser { lines, at: 0 }.statements()
}

/// Reads statements from lines.
struct Parser<'a> {
    lines: &'a [&'a str],
    at: usize,
}

/// A number as the generator writes addresses.
pub(super) fn number(text: &str) -> Option<Cell> {
    let text = text.trim();
    text.strip_prefix("0x")
        .map_or_else(|| text.parse().ok(), |hex| Cell::from_str_radix(hex, 16).ok())
}

/// The arguments of `text` if it is a call of `name`.
fn call<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let inner = text.trim().strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
    let (mut depth, mut from, mut arguments) = (0, 0, Vec::new());
    for (i, c) in inner.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return None,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(inner[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    arguments.push(inner[from..].trim());
    Some(arguments)
}

/// A value, with `result` standing for what a sum has come to.
fn value(text: &str, result: Option<&Value>) -> Option<Value> {
    let text = text.trim();
    if text == "f_q" {
        return Some(Value::Order);
    }
    if text == "result" {
        return result.cloned();
    }
    if let Some(arguments) = call(text, "mload") {
        return number(arguments.first()?).map(Value::Cell);
    }
    if let Some(arguments) = call(text, "mod") {
        let [inner, "f_q"] = arguments[..] else { return None };
        return value(inner, result).map(|inner| Value::Reduced(inner.into()));
    }
    for (name, parts) in [("addmod", 3), ("mulmod", 3), ("sub", 2)] {
        if let Some(arguments) = call(text, name) {
            if arguments.len() != parts || (parts == 3 && arguments[2] != "f_q") {
                return None;
            }
            let [a, b] = [0, 1].map(|i| value(arguments[i], result));
            return Some(Value::Operation(name, a?.into(), b?.into()));
        }
    }
    let digits = text.strip_prefix("0x").unwrap_or(text);
    digits.chars().all(|c| c.is_ascii_hexdigit()).then(|| Value::Number(text.to_owned()))
}

impl Parser<'_> {
    fn line(&mut self) -> Option<&str> {
        while self.lines.get(self.at).is_some_and(|line| line.trim().is_empty()) {
            self.at += 1;
        }
        let line = self.lines.get(self.at)?.trim();
        self.at += 1;
        Some(line)
    }

    fn statements(&mut self) -> Result<Vec<Statement>, Unknown> {
        let mut statements = Vec::new();
        let mut inverting = None;
        while let Some(line) = self.line().map(str::to_owned) {
            if line == "{" {
                self.block(&mut statements, &mut inverting)?;
                continue;
            }
            let statement = self.single(&line)?;
            // The words around the modular power are written by our own function.
            if inverting.is_some() {
                continue;
            }
            if let Statement::Text(text) = &statement
                && (text.contains("0x7,") || text.contains("0x6,"))
            {
                curve(&mut statements, text)?;
            } else {
                statements.push(statement);
            }
        }
        Ok(statements)
    }

    fn single(&mut self, line: &str) -> Result<Statement, Unknown> {
        if let Some([to, what]) = call(line, "mstore").as_deref() {
            let to = number(to).ok_or_else(|| line.to_owned())?;
            if let Some(["calldataload", from]) = calldata(what).as_ref().map(|it| [it.0, it.1]) {
                return number(from)
                    .map(|from| Statement::Load(to, from))
                    .ok_or_else(|| line.to_owned());
            }
            if let Some(value) = value(what, None) {
                return Ok(Statement::Set(to, value));
            }
        }
        let known = ["mstore", "mstore8", "success := "];
        if known.iter().any(|start| line.starts_with(start)) {
            return Ok(Statement::Text(line.to_owned()));
        }
        Err(line.to_owned())
    }

    /// What stands in braces.
    fn block(
        &mut self,
        statements: &mut Vec<Statement>,
        inverting: &mut Option<Vec<Cell>>,
    ) -> Result<(), Unknown> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let line = self.line().ok_or("an open block")?.to_owned();
            if line == "}" {
                break;
            }
            lines.push(line);
        }
        let first = lines.first().cloned().unwrap_or_default();
        let text = || lines.join("\n");
        if first.starts_with("let x := calldataload(") {
            let from = call(&first["let x := ".len()..], "calldataload");
            let from = from.and_then(|it| number(it[0])).ok_or_else(text)?;
            let to = call(&lines[1], "mstore").and_then(|it| number(it[0])).ok_or_else(text)?;
            statements.push(Statement::Point(to, from));
        } else if first.starts_with("let prod := ") {
            let mut cells = Vec::new();
            for line in &lines {
                let inside = line.find("mload(").map(|at| &line[at + 6..]);
                let cell = inside.and_then(|it| number(&it[..it.find(')')?]));
                cells.extend(cell);
            }
            *inverting = Some(cells);
        } else if first.starts_with("let inv := ") {
            statements.push(Statement::Invert(inverting.take().ok_or_else(text)?));
        } else if first.starts_with("let result := ") {
            statements.push(sum(&lines).ok_or_else(text)?);
        } else {
            statements.push(Statement::Text(format!("{{\n{}\n}}", text())));
        }
        Ok(())
    }
}

/// A sum that is made step by step, and where it is stored.
fn sum(lines: &[String]) -> Option<Statement> {
    let (last, steps) = lines.split_last()?;
    let mut result = None;
    for line in steps {
        let (_, step) = line.split_once("result := ")?;
        result = Some(value(step, result.as_ref())?);
    }
    let arguments = call(last, "mstore")?;
    Some(Statement::Set(number(arguments.first()?)?, result?))
}

/// `mod(calldataload(x), f_q)` as ("calldataload", x).
fn calldata(text: &str) -> Option<(&'static str, &str)> {
    let arguments = call(text, "mod")?;
    let inner = call(arguments.first()?, "calldataload")?;
    Some(("calldataload", inner.first().copied()?))
}

/// Turns the copies before a call of a curve operation, and the call, into one statement. What is
/// no copy (a constant point, a scalar that is computed in place) stays, and is its own source.
fn curve(statements: &mut Vec<Statement>, text: &str) -> Result<(), Unknown> {
    let adds = text.contains("0x6,");
    let words = if adds { 4 } else { 3 };
    let start = statements.len().checked_sub(words).ok_or_else(|| text.to_owned())?;
    let mut sources = Vec::new();
    let mut kept = Vec::new();
    let mut to = None;
    for statement in &statements[start..] {
        let Statement::Set(place, value) = statement else { return Err(text.to_owned()) };
        to = to.or(Some(*place));
        if let Value::Cell(from) = value {
            sources.push(*from);
        } else {
            sources.push(*place);
            kept.push(statement.clone());
        }
    }
    let pairs = if adds { 2 } else { 1 };
    let paired = (0..pairs).all(|i| sources[2 * i] + WORD == sources[2 * i + 1]);
    let Some(to) = to.filter(|_| paired) else { return Err(text.to_owned()) };
    statements.truncate(start);
    statements.extend(kept);
    statements.push(if adds {
        Statement::Add(to, sources[0], sources[2])
    } else {
        Statement::Multiply(to, sources[0], sources[2])
    });
    Ok(())
}

/// Calls `visit` with every address in `text` and the bytes that are meant from there.
pub(super) fn addresses(text: &str, visit: &mut dyn FnMut(Cell, Cell)) {
    for (name, length) in [("mload(", 32), ("mstore(", 32), ("mstore8(", 1)] {
        for (at, _) in text.match_indices(name) {
            let inside = &text[at + name.len()..];
            let end = inside.find([',', ')']).unwrap_or(inside.len());
            number(&inside[..end]).into_iter().for_each(|cell| visit(cell, length));
        }
    }
    for (name, skip) in [("keccak256(", 0), ("staticcall(", 3)] {
        for (at, _) in text.match_indices(name) {
            let inside = &text[at + name.len()..];
            let arguments: Vec<Option<Cell>> =
                inside.split([',', ')']).skip(skip).take(4).map(number).collect();
            let pairs = arguments.chunks(2).take(if skip == 0 { 1 } else { 2 });
            let known = pairs.filter_map(|pair| Some(((*pair.first()?)?, (*pair.get(1)?)?)));
            known.for_each(|(cell, length)| visit(cell, length));
        }
    }
}
