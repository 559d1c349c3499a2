//! Gathers curve operations into sums: what they come to is kept where the next one adds to it.

use super::{Cell, Statement, Value, WORD, read::addresses};
use std::collections::BTreeSet;

/// first + Σ scalar·point.
struct Sum {
    to: Cell,
    first: Cell,
    terms: Vec<(Cell, Cell)>,
}

/// Joins a multiplication with the addition of its result, which nothing else reads.
pub(super) fn fold(statements: Vec<Statement>) -> Vec<Statement> {
    let mut folded: Vec<Statement> = Vec::new();
    for statement in statements {
        let joined = match (folded.last(), &statement) {
            (Some(Statement::Multiply(product, point, scalar)), Statement::Add(to, a, b)) => {
                let other = if product == b { Some(a) } else { Some(b).filter(|_| product == a) };
                other.map(|other| Statement::Sum(*to, *other, vec![(*point, *scalar)]))
            }
            (Some(_) | None, _) => None,
        };
        match joined {
            Some(joined) => {
                folded.pop();
                folded.push(joined);
            }
            None => folded.push(statement),
        }
    }
    folded
}

/// Joins sums that begin with the one before. Every cell of the generator's is written once, but
/// for inverses, so that a sum may be taken later, up to where something reads it.
pub(super) fn gather(statements: Vec<Statement>) -> Vec<Statement> {
    let mut gathered: Vec<Statement> = Vec::new();
    let mut open: Option<Sum> = None;
    for statement in statements {
        match (statement, &mut open) {
            (Statement::Sum(to, first, terms), Some(sum)) if first == sum.to => {
                sum.terms.extend(terms);
                sum.to = to;
            }
            (Statement::Sum(to, first, terms), open) => {
                gathered.extend(open.replace(Sum { to, first, terms }).map(Sum::close));
            }
            (statement, open) => {
                let needed = open.as_ref().is_some_and(|sum| reads(&statement, sum.to));
                if needed {
                    gathered.extend(open.take().map(Sum::close));
                }
                gathered.push(statement);
            }
        }
    }
    gathered.extend(open.map(Sum::close));
    gathered
}

impl Sum {
    fn close(self) -> Statement {
        Statement::Sum(self.to, self.first, self.terms)
    }
}

/// Whether a statement reads a coordinate of the point, or ends what may be put off.
fn reads(statement: &Statement, point: Cell) -> bool {
    let is = |cell: Cell| cell == point || cell == point + WORD;
    let mut read = false;
    match statement {
        Statement::Set(_, value) => value.cells(&mut |cell| read |= is(cell)),
        Statement::Load(..) | Statement::Point(..) => {}
        Statement::Text(text) => addresses(text, &mut |cell, length| {
            read |= (cell..cell + length.max(1)).step_by(WORD as usize).any(is);
        }),
        Statement::Invert(_)
        | Statement::Multiply(..)
        | Statement::Add(..)
        | Statement::Sum(..) => read = true,
    }
    read
}

/// Every point of the proof that no curve operation takes: those check what they are given, so a
/// point that none takes would be checked by nobody.
pub(super) fn unused(statements: &[Statement]) -> Option<Cell> {
    let used: BTreeSet<Cell> =
        statements.iter().flat_map(|statement| statement.operands().0).collect();
    let mut read = statements.iter().filter_map(|statement| {
        if let Statement::Point(to, _) = statement { Some(*to) } else { None }
    });
    read.find(|point| !used.contains(point))
}

impl Value {
    /// Without factors of one: everything is kept below the order but what is subtracted from it.
    pub(super) fn simple(self) -> Self {
        match self {
            Self::Operation(name, a, b) => {
                let (a, b) = (a.simple(), b.simple());
                let one = |value: &Self| matches!(value, Self::Number(n) if n == "1");
                let below = |value: &Self| !matches!(value, Self::Operation("sub", ..));
                match (one(&a), one(&b)) {
                    (true, _) if name == "mulmod" && below(&b) => b,
                    (_, true) if name == "mulmod" && below(&a) => a,
                    _ => Self::Operation(name, a.into(), b.into()),
                }
            }
            Self::Reduced(inner) => Self::Reduced(inner.simple().into()),
            Self::Cell(_) | Self::Number(_) | Self::Order => self,
        }
    }
}
