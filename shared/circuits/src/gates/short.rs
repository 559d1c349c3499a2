//! The gates as the prover evaluates them: the same polynomials in fewer operations.
//!
//! A third of a proof is the evaluation of the gates' polynomials, and the proof library evaluates
//! them as they were written down. How they are written down is part of a key; what they are is
//! all that a proof depends on. So the prover reads its key with the gates written down again:
//!
//! - Limbs are joined in pairs before they are multiplied, where the pinned form multiplies single
//!   limbs and joins the products.
//! - A circuit that adds no points has 0 in all of [`super::columns::Fix::Add`], which therefore is
//!   0 as a polynomial, and so is everything it is a factor of.
//!
//! The transcript starts from the pinned key's digest all the same (`setup/prove/named.rs`). A form
//! that were another polynomial would make proofs that their own maker refuses; that none is, on
//! any row, is a test here.

use super::{
    columns::{Columns, Form, Layout, constant},
    curve::{Limbs, Value, limb_base},
};
use halo2_base::halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner},
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{Circuit, Column, ConstraintSystem, Error, Expression, Fixed},
};

fn joined(low: &Value, high: &Value) -> Value {
    low.clone() + high.clone() * constant(limb_base())
}

/// A number modulo r, its lower and its upper half.
pub(super) fn sums([a, b, c, d]: &Limbs) -> [Value; 3] {
    let (low, high) = (joined(a, b), joined(c, d));
    let whole = low.clone() + high.clone() * constant(limb_base().square());
    [whole, low, high]
}

/// A product modulo r, and the lower and the upper half of its four low coefficients.
pub(super) fn product(a: &Limbs, b: &Limbs) -> [Value; 3] {
    let base = || constant(limb_base());
    let [whole, low, high] = sums(b);
    let middle = joined(&b[1], &b[2]);
    let first = a[0].clone() * low.clone() + a[1].clone() * base() * b[0].clone();
    let second = a[0].clone() * high + a[1].clone() * middle + a[2].clone() * low;
    let second = second + a[3].clone() * base() * b[0].clone();
    let [of_a, ..] = sums(a);
    [of_a * whole, first, second]
}

/// [`product`] of a number with itself.
pub(super) fn square(a: &Limbs) -> [Value; 3] {
    let twice = |value: Value| value.clone() + value;
    let base = || constant(limb_base());
    let [whole, _, high] = sums(a);
    let first = a[0].clone() * (a[0].clone() + twice(a[1].clone() * base()));
    let second =
        twice(a[0].clone() * high) + a[1].clone() * (a[1].clone() + twice(a[2].clone() * base()));
    [whole.clone() * whole, first, second]
}

/// What an equation equals that is the quotient less its offset times p, with these carries: modulo
/// r, and in both halves.
pub(super) fn multiple(
    (p, whole): ([Fr; 4], Fr),
    (quotient, offset): (&Limbs, Fr),
    [low, high]: [Value; 2],
) -> [Value; 3] {
    let base = limb_base();
    let shifted = p[0] * base;
    let [low_p, middle_p, high_p] = [0, 1, 2].map(|i| p[i] + p[i + 1] * base);
    let weighed = |weights: &[Fr]| {
        let terms = quotient.iter().zip(weights).map(|(limb, weight)| limb.clone() * *weight);
        terms.reduce(|a, b| a + b).unwrap_or(constant(Fr::ZERO))
    };
    let powers = [Fr::ONE, base, base.square(), base.square() * base];
    let modulo_r = weighed(&powers.map(|power| power * whole));
    let square = || constant(base.square());
    let first = weighed(&[low_p, shifted]) + low.clone() * square();
    let second = weighed(&[high_p, middle_p, low_p, shifted]) + high * square() - low;
    [modulo_r - constant(offset * powers[3] * whole), first, second - constant(offset * shifted)]
}

/// `polynomial` where `column` is 0.
pub(super) fn without(polynomial: &Value, column: Column<Fixed>) -> Value {
    let zero = |value: &Value| matches!(value, Expression::Constant(it) if *it == Fr::ZERO);
    let of = |value: &Value| without(value, column);
    match polynomial {
        Expression::Fixed(query) if query.column_index() == column.index() => constant(Fr::ZERO),
        Expression::Negated(a) => {
            let a = of(a);
            if zero(&a) { a } else { -a }
        }
        Expression::Sum(a, b) => match (of(a), of(b)) {
            (a, b) if zero(&b) => a,
            (a, b) if zero(&a) => b,
            (a, b) => a + b,
        },
        Expression::Product(a, b) => match (of(a), of(b)) {
            (a, _) if zero(&a) => a,
            (_, b) if zero(&b) => b,
            (a, b) => a * b,
        },
        Expression::Scaled(a, factor) => of(a) * *factor,
        Expression::Constant(_)
        | Expression::Selector(_)
        | Expression::Fixed(_)
        | Expression::Advice(_)
        | Expression::Instance(_)
        | Expression::Challenge(_) => polynomial.clone(),
    }
}

/// The gates of a circuit, to read its proving key with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short;

/// Which gates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// How cells are arranged.
    pub(crate) layout: Layout,
    /// Whether the circuit adds points.
    pub(crate) adds: bool,
}

impl Circuit<Fr> for Short {
    type Config = ();
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Shape;

    fn without_witnesses(&self) -> Self {
        *self
    }

    fn configure(system: &mut ConstraintSystem<Fr>) {
        Self::configure_with_params(system, Shape { layout: Layout::Wide, adds: true });
    }

    fn configure_with_params(system: &mut ConstraintSystem<Fr>, shape: Shape) {
        Columns::configure_as(system, shape.layout, Form::Short { adds: shape.adds });
    }

    /// There is nothing to lay out: proofs are of a [`super::sheet::Sheet`].
    fn synthesize(&self, (): (), _: impl Layouter<Fr>) -> Result<(), Error> {
        Err(Error::Synthesis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::{columns::Fix, sheet::Sheet};

    /// A value per cell and constant, and 0 in the fixed column `zero`.
    fn evaluated(polynomial: &Value, seed: u64, zero: Option<usize>) -> Fr {
        let cell = |of: u64, column: usize, rotation: i32| {
            let place = Fr::from(of << 60 | (column as u64) << 40 | (rotation + 100) as u64);
            (place + Fr::from(seed)).pow_vartime([11]) + Fr::from(seed)
        };
        polynomial.evaluate(
            &|constant| constant,
            &|_| unreachable!("there are no selectors"),
            &|query| match query.column_index() {
                column if Some(column) == zero => Fr::ZERO,
                column => cell(1, column, query.rotation().0),
            },
            &|query| cell(2, query.column_index(), query.rotation().0),
            &|query| cell(3, query.column_index(), query.rotation().0),
            &|_| unreachable!("there are no challenges"),
            &|value| -value,
            &|a, b| a + b,
            &|a, b| a * b,
            &|value, factor| value * factor,
        )
    }

    fn all(system: &ConstraintSystem<Fr>) -> Vec<Value> {
        let gates = system.gates().iter().flat_map(|gate| gate.polynomials());
        let lookups = system
            .lookups()
            .iter()
            .flat_map(|lookup| lookup.input_expressions().iter().chain(lookup.table_expressions()));
        gates.chain(lookups).cloned().collect()
    }

    /// Columns and every cell that is looked at, in order.
    fn places(system: &ConstraintSystem<Fr>) -> String {
        let cells = (system.advice_queries(), system.fixed_queries(), system.instance_queries());
        let counts = (system.degree(), system.blinding_factors());
        format!("{cells:?} {counts:?} {:?}", system.permutation())
    }

    /// Two different polynomials of degree 5 agree on one of 2^251 values.
    fn check(layout: Layout, adds: bool) {
        let (mut pinned, mut short) = Default::default();
        Sheet::configure_with_params(&mut pinned, layout);
        Short::configure_with_params(&mut short, Shape { layout, adds });
        assert_eq!(places(&pinned), places(&short));
        let (pinned, short) = (all(&pinned), all(&short));
        assert_eq!(pinned.len(), short.len());
        let zero = (!adds).then_some(Fix::Add as usize);
        for (number, (a, b)) in pinned.iter().zip(&short).enumerate() {
            let [a, b] = [a, b].map(|it| evaluated(it, 7, zero));
            assert_eq!(a, b, "polynomial {number} of {layout:?}");
        }
        let written = |it: &Value| format!("{it:?}");
        let differ = pinned.iter().zip(&short).filter(|(a, b)| written(a) != written(b)).count();
        assert!(differ >= 9, "{differ} polynomials are written down otherwise");
    }

    #[test]
    fn every_form_is_the_same_polynomials_over_the_same_cells() {
        for layout in [Layout::Wide, Layout::Narrow] {
            check(layout, true);
            check(layout, false);
        }
    }
}
