//! The generated verifier made small enough for L1.
//!
//! snark-verifier writes a verifier down as one store per field operation, with every constant
//! spelled out: 2.5 times the code L1 takes. Here that text is read back and written again: values
//! that are used once are nested into their use, constants that are used twice are stored once,
//! what repeats (points, evaluations, batch inversions, curve operations) becomes a loop or a
//! function, and memory is numbered anew without holes. What is computed stays the same; a real
//! proof and every changed bit of it are tested against the result.
//!
//! Points of the proof are not checked to be on the curve by the contract itself: L1's curve
//! operations refuse what is not (EIP-196), and every point is an operand of one. They take the
//! identity, which therefore is refused where points are read.

use std::collections::BTreeMap;

mod memory;
mod nest;
mod read;
mod sums;

/// A memory address.
type Cell = u32;

/// Bytes of a word.
const WORD: Cell = 32;
/// Where the powers of the domain's generator stand.
const TABLE: Cell = 0x0200_0000;

/// A value modulo the order of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Cell(Cell),
    Number(String),
    /// The order itself.
    Order,
    Operation(&'static str, Box<Self>, Box<Self>),
    Reduced(Box<Self>),
}

/// A statement of the verifier.
#[derive(Clone, Debug)]
enum Statement {
    Set(Cell, Value),
    /// Reads a number from calldata.
    Load(Cell, Cell),
    /// Reads a point from calldata and checks it.
    Point(Cell, Cell),
    /// Replaces all of these by their inverses.
    Invert(Vec<Cell>),
    /// To, point, scalar.
    Multiply(Cell, Cell, Cell),
    /// To, one point, other point.
    Add(Cell, Cell, Cell),
    /// To, a point, and what is added to it: points with their scalars.
    Sum(Cell, Cell, Vec<(Cell, Cell)>),
    /// Kept as it is, but for addresses.
    Text(String),
}

impl Statement {
    /// Points and scalars a curve operation takes.
    fn operands(&self) -> (Vec<Cell>, Vec<Cell>) {
        match self {
            Self::Multiply(_, point, scalar) => (vec![*point], vec![*scalar]),
            Self::Add(_, a, b) => (vec![*a, *b], Vec::new()),
            Self::Sum(_, first, terms) => {
                let points = terms.iter().map(|(point, _)| *point).chain([*first]);
                (points.collect(), terms.iter().map(|(_, scalar)| *scalar).collect())
            }
            Self::Set(..) | Self::Load(..) | Self::Point(..) | Self::Invert(_) | Self::Text(_) => {
                (Vec::new(), Vec::new())
            }
        }
    }

    /// Bytes where a curve operation's result comes to stand: those of a call's operands. A sum is
    /// made elsewhere.
    fn room(&self) -> Cell {
        if let Self::Sum(..) = self {
            return 2 * WORD;
        }
        let (points, scalars) = self.operands();
        (2 * points.len() + scalars.len()) as Cell * WORD
    }
}

/// Why a source is not what the known generator writes.
type Unknown = String;

/// The powers of the domain's generator, from number `first` on, and their negatives, in decimal:
/// most of the constants of a verifier. A loop makes them.
pub(super) struct Powers {
    pub(super) values: Vec<String>,
    pub(super) negatives: Vec<String>,
    pub(super) generator: String,
}

impl Powers {
    /// The number in place of which a power, or its negative, is read from the table.
    fn find(&self, number: &str) -> Option<(usize, bool)> {
        let known = |list: &[String]| list.iter().position(|known| known == number);
        let long = number.len() > 20;
        let found = known(&self.values).map(|i| (i, false));
        found.or_else(|| known(&self.negatives).map(|i| (i, true))).filter(|_| long)
    }

    fn replace(&self, value: Value) -> Value {
        match value {
            Value::Number(number) => match self.find(&number) {
                Some((i, negative)) => {
                    let cell = Value::Cell(TABLE + i as Cell * WORD);
                    if negative {
                        Value::Operation("sub", Value::Order.into(), cell.into())
                    } else {
                        cell
                    }
                }
                None => Value::Number(number),
            },
            Value::Reduced(inner) => Value::Reduced(self.replace(*inner).into()),
            Value::Operation(name, a, b) => {
                let (a, b) = (self.replace(*a), self.replace(*b));
                Value::Operation(name, a.into(), b.into()).arranged()
            }
            Value::Cell(_) | Value::Order => value,
        }
    }
}

/// Rewrites a generated verifier.
///
/// # Errors
/// The line that is not what the known generator writes.
pub(super) fn compact(source: &str, powers: &Powers) -> Result<String, Unknown> {
    let lines: Vec<&str> = source.lines().collect();
    let is = |text: &'static str| move |line: &&str| line.trim() == text;
    let first = lines.iter().position(|line| line.trim().starts_with("mstore("));
    let last = lines.iter().position(is("// Revert if anything fails"));
    let (Some(first), Some(last)) = (first, last) else {
        return Err("neither a first store nor an end".to_owned());
    };
    let statements = read::statements(&lines[first..last])?.into_iter().map(|statement| {
        if let Statement::Set(to, value) = statement {
            Statement::Set(to, powers.replace(value.simple()))
        } else {
            statement
        }
    });
    let statements = sums::gather(sums::fold(nest::nest(statements.collect())));
    if let Some(point) = sums::unused(&statements) {
        return Err(format!("the point at {point} is not used"));
    }
    let memory = memory::Memory::of(&statements);
    let body = memory.write(&statements, powers);
    let functions = memory.functions();
    let head = lines[..first].join("\n");
    let tail = lines[last..].join("\n");
    Ok(format!("{head}{functions}{body}\n{tail}\n"))
}

impl Value {
    fn cells(&self, visit: &mut dyn FnMut(Cell)) {
        match self {
            Self::Cell(cell) => visit(*cell),
            Self::Number(_) | Self::Order => {}
            Self::Reduced(inner) => inner.cells(visit),
            Self::Operation(_, a, b) => {
                a.cells(visit);
                b.cells(visit);
            }
        }
    }

    fn numbers(&self, visit: &mut dyn FnMut(&str)) {
        match self {
            Self::Number(number) => visit(number),
            Self::Cell(_) | Self::Order => {}
            Self::Reduced(inner) => inner.numbers(visit),
            Self::Operation(_, a, b) => {
                a.numbers(visit);
                b.numbers(visit);
            }
        }
    }

    /// Places on the stack that evaluating takes; arguments are evaluated from the last one on.
    fn stack(&self) -> usize {
        match self {
            Self::Cell(_) | Self::Number(_) | Self::Order => 1,
            Self::Reduced(inner) => inner.stack() + 1,
            Self::Operation(name, a, b) => whole_stack(name, a, b),
        }
    }

    /// With the deeper of two exchangeable arguments last, where it costs less.
    fn arranged(self) -> Self {
        if let Self::Operation(name, a, b) = self {
            let exchange = name != "sub" && a.stack() > b.stack();
            let (a, b) = if exchange { (b, a) } else { (a, b) };
            Self::Operation(name, a, b)
        } else {
            self
        }
    }

    fn replaced(&self, with: &BTreeMap<Cell, Self>) -> Self {
        match self {
            Self::Cell(cell) => with.get(cell).cloned().unwrap_or(Self::Cell(*cell)),
            Self::Number(_) | Self::Order => self.clone(),
            Self::Reduced(inner) => Self::Reduced(inner.replaced(with).into()),
            Self::Operation(name, a, b) => {
                let (a, b) = (a.replaced(with), b.replaced(with));
                Self::Operation(name, a.into(), b.into()).arranged()
            }
        }
    }
}

/// [`Value::stack`] of an operation on these.
fn whole_stack(name: &str, a: &Value, b: &Value) -> usize {
    if name == "sub" { b.stack().max(a.stack() + 1) } else { (b.stack() + 1).max(a.stack() + 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn powers() -> Powers {
        let long = |i: u8| format!("1234567890123456789012345{i}");
        Powers {
            values: vec![long(1), long(2), long(3)],
            negatives: vec![long(4), long(5), long(6)],
            generator: "7".to_owned(),
        }
    }

    fn body(lines: &str) -> Result<String, String> {
        let source = format!("contract {{\n{lines}\n// Revert if anything fails\n}}");
        let text = compact(&source, &powers())?;
        // What follows the functions.
        let start = text.rfind("            }\n").map_or(0, |at| at + 14);
        Ok(text[start..].trim().to_owned())
    }

    #[test]
    fn values_used_once_are_nested_and_memory_is_numbered_anew() {
        let text = body(
            "mstore(0x8000, mod(calldataload(0x0), f_q))
             mstore(0x8020, mod(calldataload(0x20), f_q))
             mstore(0x9000, mulmod(mload(0x8000), mload(0x8020), f_q))
             mstore(0x9020, addmod(mload(0x9000), sub(f_q, mload(0x8020)), f_q))
             mstore(0xa000, mulmod(mload(0x9020), mload(0x9020), f_q))
             success := and(eq(mload(0xa000), 1), success)",
        );
        let lines: Vec<String> = text.unwrap().lines().map(str::to_owned).collect();
        assert!(lines.iter().all(|line| !line.contains("0x9") && !line.contains("0x8020")));
        let nested = "addmod(mulmod(mload(";
        let found = |text: &str| lines.iter().any(|line| line.contains(text));
        assert!(found(nested) || found("addmod(sub(f_q, mload("), "{lines:?}");
        assert!(found("success := and(eq(mload("));
    }

    #[test]
    fn powers_of_the_generator_come_from_a_loop() {
        let text = body(
            "mstore(0x100, mulmod(mload(0x80), 12345678901234567890123451, f_q))
             mstore(0x120, mulmod(mload(0x80), 12345678901234567890123456, f_q))
             success := and(lt(mload(0x100), mload(0x120)), success)",
        );
        let text = text.unwrap();
        assert!(text.contains(", 12345678901234567890123451, 7)"), "{text}");
        assert!(text.contains("sub(f_q, mload("), "{text}");
        assert!(!text.contains("12345678901234567890123456"), "{text}");
    }

    #[test]
    fn equal_steps_become_a_loop() {
        let (from, to) = (|i: u32| 4096 + 32 * i, |i: u32| 8192 + 32 * i);
        let set = |i| format!("mstore({}, mulmod(mload(0x80), mload({}), f_q))", to(i), from(i));
        let used = |cell: u32| format!("success := and(mload({cell}), success)");
        let lines: Vec<String> =
            (0..40).map(set).chain((0..40).flat_map(|i| [used(from(i)), used(to(i))])).collect();
        let text = body(&lines.join("\n")).unwrap();
        // Those whose cells were moved near stand alone.
        assert!(text.matches("mulmod(").count() < 20, "{text}");
        assert!(text.contains("for { let i := 0 } lt(i, 0x"), "{text}");
    }

    #[test]
    fn what_the_generator_does_not_write_is_refused() {
        assert_eq!(body("mstore(0x80, 1)\nselfdestruct(0)").unwrap_err(), "selfdestruct(0)");
        body("mstore(0x80, 1)\n{\nlet x := 1").unwrap_err();
        compact("contract {}", &powers()).unwrap_err();
    }
}
