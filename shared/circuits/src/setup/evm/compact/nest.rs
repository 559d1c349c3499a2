//! Nests values into their uses, as deep as the compiler's stack allows.

use super::{Cell, Statement, Value, WORD, read::addresses, whole_stack};
use std::collections::BTreeMap;

/// Most values on the compiler's stack while an expression is evaluated; it reaches 16 deep, and
/// the function's own variables lie below.
const STACK: usize = 9;
/// Cells the generator does not use.
const PARTS: Cell = 0x0100_0000;

/// New cells for parts of values that would reach too deep.
struct Parts {
    next: Cell,
    set: Vec<Statement>,
}

impl Parts {
    /// The same value with parts of it in cells of their own.
    fn lowered(&mut self, value: Value) -> Value {
        match value {
            Value::Operation(name, a, b) => {
                let (a, b) = (self.lowered(*a), self.lowered(*b));
                let exchange = name != "sub" && a.stack() > b.stack();
                let (a, b) = if exchange { (b, a) } else { (a, b) };
                if whole_stack(name, &a, &b) > STACK {
                    self.cut(name, a, b)
                } else {
                    Value::Operation(name, a.into(), b.into())
                }
            }
            Value::Reduced(inner) => Value::Reduced(self.lowered(*inner).into()),
            Value::Cell(_) | Value::Number(_) | Value::Order => value,
        }
    }

    /// The operation with its deeper argument in a cell.
    fn cut(&mut self, name: &'static str, a: Value, b: Value) -> Value {
        let (a, b) = if a.stack() + 1 > b.stack() { (self.cell(a), b) } else { (a, self.cell(b)) };
        Value::Operation(name, a.into(), b.into()).arranged()
    }

    fn cell(&mut self, value: Value) -> Value {
        let cell = self.next;
        self.next += WORD;
        self.set.push(Statement::Set(cell, value));
        Value::Cell(cell)
    }
}

/// Nests values that are used once into their use.
pub(super) fn nest(statements: Vec<Statement>) -> Vec<Statement> {
    let mut uses: BTreeMap<Cell, usize> = BTreeMap::new();
    let mut once = |cell: Cell, times: usize| *uses.entry(cell).or_default() += times;
    for statement in &statements {
        match statement {
            Statement::Set(_, value) => value.cells(&mut |cell| once(cell, 1)),
            Statement::Invert(cells) => cells.iter().for_each(|cell| once(*cell, 2)),
            Statement::Text(text) => addresses(text, &mut |cell, length| {
                (cell..cell + length.max(1)).step_by(32).for_each(|cell| once(cell, 2));
            }),
            Statement::Multiply(..) | Statement::Add(..) | Statement::Sum(..) => {
                let (points, scalars) = statement.operands();
                let coordinates = points.into_iter().flat_map(|point| [point, point + WORD]);
                coordinates.chain(scalars).for_each(|cell| once(cell, 2));
            }
            Statement::Load(..) | Statement::Point(..) => {}
        }
    }
    let mut waiting: BTreeMap<Cell, Value> = BTreeMap::new();
    let mut order: Vec<Cell> = Vec::new();
    let mut nested = Vec::new();
    let mut parts = Parts { next: PARTS, set: Vec::new() };
    for statement in statements {
        match statement {
            Statement::Set(to, value) => {
                let mut used = Vec::new();
                value.cells(&mut |cell| used.push(cell));
                let mut whole = value.replaced(&waiting);
                while whole.stack() > STACK {
                    // The deepest part keeps a cell of its own.
                    let deepest = used.iter().filter(|cell| waiting.contains_key(cell));
                    let deepest = deepest.max_by_key(|cell| waiting[cell].stack()).copied();
                    let set = deepest.and_then(|cell| Some((cell, waiting.remove(&cell)?)));
                    whole = value.replaced(&waiting);
                    match set {
                        Some((cell, value)) => nested.push(Statement::Set(cell, value)),
                        None => break,
                    }
                }
                waiting.retain(|cell, _| !used.contains(cell));
                let whole = parts.lowered(whole);
                nested.append(&mut parts.set);
                if uses.get(&to) == Some(&1) && !matches!(whole, Value::Number(_)) {
                    waiting.insert(to, whole);
                    order.push(to);
                } else {
                    nested.push(Statement::Set(to, whole));
                }
            }
            Statement::Invert(_) => {
                // Its cells change: what waits is written before.
                for cell in order.drain(..) {
                    nested.extend(waiting.remove(&cell).map(|v| Statement::Set(cell, v)));
                }
                nested.push(statement);
            }
            Statement::Load(..)
            | Statement::Point(..)
            | Statement::Multiply(..)
            | Statement::Add(..)
            | Statement::Sum(..)
            | Statement::Text(_) => nested.push(statement),
        }
    }
    for cell in order {
        nested.extend(waiting.remove(&cell).map(|v| Statement::Set(cell, v)));
    }
    nested
}
