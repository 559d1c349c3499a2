//! Numbers memory anew and writes the statements down.

use super::{
    Cell, Powers, Statement, TABLE, Value, WORD,
    read::{addresses, number},
};
use std::collections::{BTreeMap, BTreeSet};

/// The contract ends without returning to the compiler's code, so all of memory is its own: cells
/// that are used most stand below 256, where an address takes a byte less.
const NEAR: [Cell; 8] = [0x0, 0x20, 0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0];
/// Where the rest begins.
const MEMORY: Cell = 0x100;
/// Repetitions from which on a loop is shorter.
const LOOP: usize = 8;
/// Words in which sums of points are made.
const SUM: Cell = 5;

/// Repetitions in one turn of a loop.
const UNROLL: usize = 4;

/// Functions of the contract's rewritten part. A point that is none, and a curve operation that
/// fails, ends the verification at once. SUM is where a sum of points is, followed by room for one
/// more point and its scalar.
const FUNCTIONS: &str = "
            function points(to, from, length) {
                calldatacopy(to, from, length)
                let end := add(to, length)
                for { to := add(to, 0x20) } lt(to, end) { to := add(to, 0x40) } {
                    if iszero(mload(to)) { revert(0, 0) }
                }
            }
            function ec_mul(to, from, scalar) {
                mstore(to, mload(from))
                mstore(add(to, 0x20), mload(add(from, 0x20)))
                mstore(add(to, 0x40), mload(scalar))
                if iszero(staticcall(gas(), 0x7, to, 0x60, to, 0x40)) { revert(0, 0) }
            }
            function ec_add(to, one, other) {
                mstore(to, mload(one))
                mstore(add(to, 0x20), mload(add(one, 0x20)))
                mstore(add(to, 0x40), mload(other))
                mstore(add(to, 0x60), mload(add(other, 0x20)))
                if iszero(staticcall(gas(), 0x6, to, 0x80, to, 0x40)) { revert(0, 0) }
            }
            function term(from, scalar) {
                mstore(SUM_2, mload(from))
                mstore(SUM_3, mload(add(from, 0x20)))
                mstore(SUM_4, mload(scalar))
                if iszero(staticcall(gas(), 0x7, SUM_2, 0x60, SUM_2, 0x40)) { revert(0, 0) }
                if iszero(staticcall(gas(), 0x6, SUM_0, 0x80, SUM_0, 0x40)) { revert(0, 0) }
            }
            function powers(to, end, first, ratio) {
                let order := 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001
                for {} lt(to, end) { to := add(to, 0x40) } {
                    mstore(to, first)
                    first := mulmod(first, ratio, order)
                    mstore(add(to, 0x20), first)
                    first := mulmod(first, ratio, order)
                }
            }
            function invert(from, end) {
                let order := 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001
                let product := 1
                let to := FREE
                let at := from
                for {} lt(add(at, 0x40), end) {} {
                    mstore(to, product)
                    product := mulmod(product, mload(at), order)
                    mstore(add(to, 0x20), product)
                    product := mulmod(product, mload(add(at, 0x20)), order)
                    mstore(add(to, 0x40), product)
                    product := mulmod(product, mload(add(at, 0x40)), order)
                    to := add(to, 0x60)
                    at := add(at, 0x60)
                }
                for {} lt(at, end) {} {
                    mstore(to, product)
                    product := mulmod(product, mload(at), order)
                    to := add(to, 0x20)
                    at := add(at, 0x20)
                }
                mstore(to, 0x20)
                mstore(add(to, 0x20), 0x20)
                mstore(add(to, 0x40), 0x20)
                mstore(add(to, 0x60), product)
                mstore(add(to, 0x80), sub(order, 2))
                mstore(add(to, 0xa0), order)
                if iszero(staticcall(gas(), 0x5, to, 0xc0, to, 0x20)) { revert(0, 0) }
                product := mload(to)
                for {} gt(at, add(from, 0x20)) {} {
                    at := sub(at, 0x20)
                    to := sub(to, 0x20)
                    let value := mload(at)
                    mstore(at, mulmod(mload(to), product, order))
                    product := mulmod(product, value, order)
                    at := sub(at, 0x20)
                    to := sub(to, 0x20)
                    value := mload(at)
                    mstore(at, mulmod(mload(to), product, order))
                    product := mulmod(product, value, order)
                }
                if gt(at, from) { mstore(from, product) }
            }
";

/// Where everything is in the rewritten verifier's memory.
pub(super) struct Memory {
    /// Ranges that stay together, by start: end and new start.
    ranges: BTreeMap<Cell, (Cell, Cell)>,
    cells: BTreeMap<Cell, Cell>,
    numbers: BTreeMap<String, Cell>,
    end: Cell,
}

/// The cells a statement inverts.
fn inverted(statement: &Statement) -> &[Cell] {
    if let Statement::Invert(cells) = statement { cells } else { &[] }
}

/// Counts the numbers of a value; one that is stored as it is gains nothing from a table.
fn count_numbers(value: &Value, counts: &mut BTreeMap<String, usize>) {
    if !matches!(value, Value::Number(_)) {
        value.numbers(&mut |number| *counts.entry(number.to_owned()).or_default() += 1);
    }
}

impl Memory {
    /// Places everything these statements name.
    pub(super) fn of(statements: &[Statement]) -> Self {
        let mut ranges: BTreeSet<(Cell, Cell)> = BTreeSet::new();
        let mut cells: BTreeSet<Cell> = BTreeSet::new();
        let mut inverted: Vec<&Vec<Cell>> = Vec::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for statement in statements {
            match statement {
                Statement::Set(to, value) => {
                    cells.insert(*to);
                    value.cells(&mut |cell| cells.extend([cell]));
                    count_numbers(value, &mut counts);
                }
                Statement::Load(to, _) => {
                    cells.insert(*to);
                }
                Statement::Point(to, _) => {
                    ranges.insert((*to, to + 2 * WORD));
                }
                Statement::Invert(all) => inverted.push(all),
                Statement::Multiply(to, ..) | Statement::Add(to, ..) | Statement::Sum(to, ..) => {
                    let (points, scalars) = statement.operands();
                    ranges.insert((*to, to + statement.room()));
                    ranges.extend(points.into_iter().map(|point| (point, point + 2 * WORD)));
                    cells.extend(scalars);
                }
                Statement::Text(text) => addresses(text, &mut |cell, length| {
                    ranges.insert((cell, cell + length.div_ceil(WORD) * WORD));
                }),
            }
        }
        let powers: Vec<Cell> = cells.iter().copied().filter(|cell| *cell >= TABLE).collect();
        if let (Some(first), Some(last)) = (powers.first(), powers.last()) {
            ranges.insert((*first, last + WORD));
        }
        let mut memory = Self {
            ranges: BTreeMap::new(),
            cells: BTreeMap::new(),
            numbers: BTreeMap::new(),
            end: MEMORY,
        };
        memory.place_near(statements, &mut ranges);
        memory.place_ranges(&ranges);
        // What is inverted together stands together.
        for cell in inverted.into_iter().flatten().chain(&cells) {
            if memory.range(*cell).is_none() && !memory.cells.contains_key(cell) {
                memory.cells.insert(*cell, memory.end);
                memory.end += WORD;
            }
        }
        for (number, count) in counts {
            if count > 1 && number.len() > 20 {
                memory.numbers.insert(number, memory.end);
                memory.end += WORD;
            }
        }
        memory
    }

    /// The cells that are read most, if they stand alone.
    fn place_near(&mut self, statements: &[Statement], ranges: &mut BTreeSet<(Cell, Cell)>) {
        let mut counts: BTreeMap<Cell, usize> = BTreeMap::new();
        for statement in statements {
            if let Statement::Set(_, value) = statement {
                value.cells(&mut |cell| *counts.entry(cell).or_default() += 1);
            }
        }
        let inverted: BTreeSet<Cell> = statements.iter().flat_map(inverted).copied().collect();
        let alone = |cell: &Cell, ranges: &BTreeSet<(Cell, Cell)>| {
            let within = ranges.iter().filter(|(start, end)| (*start..*end).contains(cell));
            within.clone().all(|range| *range == (*cell, cell + WORD))
        };
        let mut most: Vec<(usize, Cell)> = counts.into_iter().map(|(c, n)| (n, c)).collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        let near = most.into_iter().map(|(_, cell)| cell);
        let near =
            near.filter(|cell| alone(cell, ranges) && !inverted.contains(cell) && *cell < TABLE);
        let near: Vec<Cell> = near.take(NEAR.len()).collect();
        for (cell, place) in near.into_iter().zip(NEAR) {
            ranges.remove(&(cell, cell + WORD));
            self.cells.insert(cell, place);
        }
    }

    fn place_ranges(&mut self, ranges: &BTreeSet<(Cell, Cell)>) {
        let mut merged: Vec<(Cell, Cell)> = Vec::new();
        for (start, end) in ranges {
            match merged.last_mut() {
                Some((_, last)) if *start < *last => *last = (*last).max(*end),
                Some(_) | None => merged.push((*start, *end)),
            }
        }
        for (start, end) in merged {
            self.ranges.insert(start, (end, self.end));
            self.end += end - start;
        }
    }

    fn range(&self, cell: Cell) -> Option<Cell> {
        let (start, (end, new)) = self.ranges.range(..=cell).next_back()?;
        (cell < *end).then(|| new + (cell - start))
    }

    fn at(&self, cell: Cell) -> String {
        let new = self.range(cell).or_else(|| self.cells.get(&cell).copied());
        format!("0x{:x}", new.unwrap_or(self.end))
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Cell(cell) => format!("mload({})", self.at(*cell)),
            Value::Number(number) => match self.numbers.get(number) {
                Some(cell) => format!("mload(0x{cell:x})"),
                None => number.clone(),
            },
            Value::Order => "f_q".to_owned(),
            Value::Reduced(inner) => format!("mod({}, f_q)", self.value(inner)),
            Value::Operation("sub", a, b) => format!("sub({}, {})", self.value(a), self.value(b)),
            Value::Operation(name, a, b) => {
                format!("{name}({}, {}, f_q)", self.value(a), self.value(b))
            }
        }
    }

    /// The same text with the new addresses.
    fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let names = ["mload(", "mstore(", "mstore8(", "keccak256(", "staticcall("];
        while let Some((at, name)) =
            names.iter().filter_map(|name| Some((rest.find(name)?, *name))).min()
        {
            let (before, inside) = rest.split_at(at + name.len());
            out.push_str(before);
            // Of a call: gas, which contract, where its input is, how long, where its output is.
            let arguments = if name == "staticcall(" { 5 } else { 1 };
            let ends = inside.match_indices([',', ')']).map(|(end, _)| end);
            // The parenthesis of `gas()` is one of them.
            let skipped = usize::from(name == "staticcall(");
            let end = ends.skip(skipped).nth(arguments - 1).unwrap_or(inside.len());
            let (arguments, after) = inside.split_at(end);
            let written: Vec<String> = arguments
                .split(", ")
                .enumerate()
                .map(|(i, argument)| match number(argument) {
                    Some(cell) if [0, 2, 4].contains(&i) => self.at(cell),
                    Some(_) | None => argument.to_owned(),
                })
                .collect();
            out.push_str(&written.join(", "));
            rest = after;
        }
        out + rest
    }

    /// Where sums of points are made: a point, another one, a scalar.
    const fn sum(&self, word: Cell) -> Cell {
        self.end + word * WORD
    }

    /// The functions the statements call.
    pub(super) fn functions(&self) -> String {
        let with = |text: String, word: Cell| {
            text.replace(&format!("SUM_{word}"), &format!("0x{:x}", self.sum(word)))
        };
        let text = (0..SUM).fold(FUNCTIONS.to_owned(), with);
        text.replace("FREE", &format!("0x{:x}", self.sum(SUM)))
    }

    /// Where the sum begins, what is added, where it is put.
    fn write_sum(&self, to: Cell, first: Cell, terms: &[(Cell, Cell)]) -> String {
        let sum = [0, 1].map(|word| format!("0x{:x}", self.sum(word)));
        let copy = |to: &str, from: &str| format!("mstore({to}, mload({from}))");
        let words = |point: Cell| [point, point + WORD].map(|cell| self.at(cell));
        let [x, y] = words(first);
        let mut lines = vec![copy(&sum[0], &x), copy(&sum[1], &y)];
        lines.extend(
            terms
                .iter()
                .map(|(point, scalar)| format!("term({}, {})", self.at(*point), self.at(*scalar))),
        );
        let [x, y] = words(to);
        lines.extend([copy(&x, &sum[0]), copy(&y, &sum[1])]);
        lines.join("\n")
    }

    /// The statements.
    pub(super) fn write(&self, statements: &[Statement], powers: &Powers) -> String {
        let mut out: Vec<String> = Vec::new();
        for (number, cell) in &self.numbers {
            out.push(format!("mstore(0x{cell:x}, {number})"));
        }
        if let Some((start, (end, new))) = self.ranges.range(TABLE..).next() {
            let first = &powers.values[((start - TABLE) / WORD) as usize];
            let (last, ratio) = (new + (end - start), &powers.generator);
            out.push(format!("powers(0x{new:x}, 0x{last:x}, {first}, {ratio})"));
        }
        let mut at = 0;
        while let Some(statement) = statements.get(at) {
            let (text, taken) = self.repeated(&statements[at..]).unwrap_or_else(|| {
                let rest = &statements[at + 1..];
                self.statement(statement, rest)
            });
            at += taken;
            out.push(text);
        }
        out.join("\n")
    }

    /// One statement, or several points; and how many.
    fn statement(&self, statement: &Statement, rest: &[Statement]) -> (String, usize) {
        let text = match statement {
            Statement::Set(to, value) => format!("mstore({}, {})", self.at(*to), self.value(value)),
            Statement::Load(to, from) => {
                format!("mstore({}, mod(calldataload(0x{from:x}), f_q))", self.at(*to))
            }
            Statement::Point(to, from) => {
                let next = |i: &usize| {
                    let step = *i as Cell * 2 * WORD;
                    matches!(rest.get(i - 1), Some(Statement::Point(t, f))
                        if (*t, *f) == (to + step, from + step)
                            && self.place(*t) == self.place(*to) + step)
                };
                let count = (1..).take_while(next).count() + 1;
                let length = 2 * WORD * count as Cell;
                return (format!("points({}, 0x{from:x}, 0x{length:x})", self.at(*to)), count);
            }
            Statement::Invert(cells) => {
                let first = self.place(cells.first().copied().unwrap_or(0));
                let mut places = cells.iter().zip(0..);
                let together = places.all(|(cell, i)| self.place(*cell) == first + i * WORD);
                assert!(together, "what is inverted together stands together");
                format!("invert(0x{first:x}, 0x{:x})", first + cells.len() as Cell * WORD)
            }
            Statement::Multiply(to, point, scalar) => {
                let [to, point, scalar] = [to, point, scalar].map(|cell| self.at(*cell));
                format!("ec_mul({to}, {point}, {scalar})")
            }
            Statement::Add(to, a, b) => {
                let [to, a, b] = [to, a, b].map(|cell| self.at(*cell));
                format!("ec_add({to}, {a}, {b})")
            }
            Statement::Sum(to, first, terms) => self.write_sum(*to, *first, terms),
            Statement::Text(text) => self.text(text),
        };
        (text, 1)
    }

    /// Statements that differ by equal steps in their addresses, as a loop.
    fn repeated(&self, statements: &[Statement]) -> Option<(String, usize)> {
        let (shape, first) = self.shape(statements.first()?)?;
        let (second_shape, second) = self.shape(statements.get(1)?)?;
        if second_shape != shape {
            return None;
        }
        let steps: Vec<i64> = first.iter().zip(&second).map(|(a, b)| b - a).collect();
        let follows = |i: &usize| {
            let Some((other, cells)) = statements.get(*i).and_then(|it| self.shape(it)) else {
                return false;
            };
            let expected = first.iter().zip(&steps).map(|(a, step)| a + step * *i as i64);
            other == shape && cells.iter().copied().eq(expected)
        };
        let count = (1..).take_while(follows).count() + 1;
        let count = count - count % UNROLL;
        let word = i64::from(WORD);
        if count < LOOP || steps.iter().any(|step| step % word != 0) {
            return None;
        }
        let turn = |offset: usize| {
            let mut parts = shape.split('@');
            let mut text = parts.next().unwrap_or_default().to_owned();
            for ((start, step), part) in first.iter().zip(&steps).zip(parts) {
                let start = start + step * offset as i64;
                let place = match step / word {
                    0 => format!("0x{start:x}"),
                    1 => format!("add(0x{start:x}, i)"),
                    -1 => format!("sub(0x{start:x}, i)"),
                    more if more > 0 => format!("add(0x{start:x}, mul(i, {more}))"),
                    less => format!("sub(0x{start:x}, mul(i, {}))", -less),
                };
                text = text + &place + part;
            }
            text
        };
        let (end, turns) = (count as i64 * word, (0..UNROLL).map(turn).collect::<Vec<_>>());
        let step = UNROLL as i64 * word;
        let head = format!("for {{ let i := 0 }} lt(i, 0x{end:x}) {{ i := add(i, 0x{step:x}) }}");
        Some((format!("{head} {{ {} }}", turns.join(" ")), count))
    }

    /// A stored value with its addresses taken out.
    fn shape(&self, statement: &Statement) -> Option<(String, Vec<i64>)> {
        let Statement::Set(to, value) = statement else { return None };
        let text = format!("mstore({}, {})", self.at(*to), self.value(value));
        let (mut shape, mut cells) = (String::new(), Vec::new());
        let mut rest = text.as_str();
        while let Some(at) = rest.find("0x") {
            let digits = rest[at + 2..].find(|c: char| !c.is_ascii_hexdigit());
            let end = digits.map_or(rest.len(), |digits| at + 2 + digits);
            shape += &rest[..at];
            shape.push('@');
            cells.push(i64::from(number(&rest[at..end])?));
            rest = &rest[end..];
        }
        Some((shape + rest, cells))
    }

    fn place(&self, cell: Cell) -> Cell {
        self.range(cell).or_else(|| self.cells.get(&cell).copied()).unwrap_or(self.end)
    }
}
