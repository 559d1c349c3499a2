//! Points that stay symbolic: what the verifier's loader computes with.
//!
//! snark-verifier's verifier is generic in how points are added and multiplied. Here both only
//! write down a linear combination of *bases*: points this circuit loaded, commitments of a child's
//! key (whose coordinates this circuit never learns), constants. `verify` reads the combinations
//! and pays for one multi-scalar multiplication for all children together.

use crate::gates::{
    Cell, Gates, LIMB_BITS, LIMBS,
    number::{Operand, Point},
};
use halo2_base::{
    Context,
    QuantumCell::{self, Constant, Existing},
    gates::{
        GateChip, GateInstructions, RangeInstructions, flex_gate::threads::SinglePhaseCoreManager,
    },
    halo2_proofs::halo2curves::{
        CurveAffine,
        bn256::{Fq, Fr, G1Affine},
        ff::Field,
        group::prime::PrimeCurveAffine,
    },
    utils::{biguint_to_fe, fe_to_biguint, modulus},
};
use num_bigint::BigUint;
use snark_verifier::{
    loader::halo2::{EccInstructions, Halo2Loader},
    pcs::kzg::LimbsEncodingInstructions,
};
use std::{cell::RefCell, collections::BTreeMap, fmt, ops::Deref, rc::Rc};

/// snark-verifier's loader on symbolic points.
pub(super) type SymbolicLoader<'c> = Halo2Loader<G1Affine, SymbolicEcc<'c>>;

/// What a combination is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Base {
    /// A point this circuit loaded: a child's commitment or accumulator.
    Loaded(usize),
    /// A commitment of a child's key. Its scalar is carried, it is never multiplied here.
    Key {
        /// Which child, from 0.
        child: usize,
        /// Which of the key's commitments.
        commitment: usize,
    },
    /// A constant point.
    Constant(usize),
}

/// A sum of (coefficient, or one) times base; no base twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Combination {
    /// Sorted by base.
    pub(super) terms: Vec<(Base, Option<Cell>)>,
}

impl Combination {
    /// One times `base`.
    pub(super) fn of(base: Base) -> Self {
        Self { terms: vec![(base, None)] }
    }
}

/// A coefficient as an operand: none written means one.
pub(super) fn coefficient(cell: Option<Cell>) -> QuantumCell<Fr> {
    cell.map_or(Constant(Fr::ONE), Existing)
}

/// A point this circuit loaded.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) point: Point,
    /// x and y modulo r.
    pub(super) native: [Cell; 2],
}

#[derive(Default)]
struct Bases {
    loaded: Vec<Loaded>,
    constants: Vec<G1Affine>,
}

/// The chip behind [`SymbolicLoader`]. Clones share their bases.
#[derive(Clone)]
pub(super) struct SymbolicEcc<'c> {
    gates: &'c Gates,
    bases: Rc<RefCell<Bases>>,
}

impl fmt::Debug for SymbolicEcc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymbolicEcc")
    }
}

impl<'c> SymbolicEcc<'c> {
    pub(super) fn new(gates: &'c Gates) -> Self {
        Self { gates, bases: Rc::default() }
    }

    /// What the circuit is written with.
    pub(super) fn gates(&self) -> &'c Gates {
        self.gates
    }

    /// Plain arithmetic.
    pub(super) fn gate(&self) -> &'c GateChip<Fr> {
        self.gates.gate()
    }

    pub(super) fn loaded(&self, index: usize) -> Loaded {
        self.bases.borrow().loaded[index].clone()
    }

    pub(super) fn constant(&self, index: usize) -> G1Affine {
        self.bases.borrow().constants[index]
    }

    /// Loads `value` as a witness: on the curve, so not the identity, which is (0, 0) and off it;
    /// both coordinates below p, so that the two field elements the transcript absorbs name this
    /// point and no other.
    pub(super) fn load(&self, ctx: &mut Context<Fr>, value: G1Affine) -> (Base, Loaded) {
        let point = self.gates.load_point([value.x, value.y]);
        let native = [&point.x, &point.y].map(|number| self.gates.native(ctx, number));
        let loaded = Loaded { point, native };
        let mut bases = self.bases.borrow_mut();
        bases.loaded.push(loaded.clone());
        (Base::Loaded(bases.loaded.len() - 1), loaded)
    }

    /// The point a child's public words stand for. Words that stand for none give a circuit no
    /// witness satisfies: a valid point is loaded in their place, and the limbs do not match.
    fn point_from_limbs(
        &self,
        ctx: &mut Context<Fr>,
        limbs: &[impl Deref<Target = Cell>],
    ) -> Combination {
        let limbs: Vec<Cell> = limbs.iter().map(|limb| **limb).collect();
        assert_eq!(limbs.len(), 2 * LIMBS, "limbs of a point");
        let point = number(&limbs[..LIMBS])
            .zip(number(&limbs[LIMBS..]))
            .and_then(|(x, y)| Option::<G1Affine>::from(G1Affine::from_xy(x, y)));
        let (base, loaded) = self.load(ctx, point.unwrap_or_else(G1Affine::generator));
        for (limb, loaded) in limbs.iter().zip(limbs_of(&loaded.point)) {
            self.gates.link(limb, loaded.source);
        }
        Combination::of(base)
    }

    fn constant_base(&self, value: G1Affine) -> Base {
        let mut bases = self.bases.borrow_mut();
        let known = bases.constants.iter().position(|constant| *constant == value);
        Base::Constant(known.unwrap_or_else(|| {
            bases.constants.push(value);
            bases.constants.len() - 1
        }))
    }

    fn scale(&self, ctx: &mut Context<Fr>, scalar: Cell, point: &Combination) -> Combination {
        let gate = self.gate();
        let mut scaled = |old: Option<Cell>| old.map_or(scalar, |old| gate.mul(ctx, scalar, old));
        let terms = point.terms.iter().map(|(base, old)| (*base, Some(scaled(*old)))).collect();
        Combination { terms }
    }

    fn sum(&self, ctx: &mut Context<Fr>, points: &[Combination]) -> Combination {
        let gate = self.gate();
        let mut sum: BTreeMap<Base, Option<Cell>> = BTreeMap::new();
        for (base, new) in points.iter().flat_map(|point| &point.terms) {
            let total = match sum.remove(base) {
                None => *new,
                Some(old) => Some(gate.add(ctx, coefficient(old), coefficient(*new))),
            };
            sum.insert(*base, total);
        }
        Combination { terms: sum.into_iter().collect() }
    }

    /// The only loaded point a combination consists of, if it is one.
    pub(super) fn single(&self, point: &Combination) -> Option<Loaded> {
        match point.terms[..] {
            [(Base::Loaded(index), None)] => Some(self.loaded(index)),
            _ => None,
        }
    }
}

impl EccInstructions<G1Affine> for SymbolicEcc<'_> {
    type Context = SinglePhaseCoreManager<Fr>;
    type ScalarChip = GateChip<Fr>;
    type AssignedCell = Cell;
    type AssignedScalar = Cell;
    type AssignedEcPoint = Combination;

    fn scalar_chip(&self) -> &GateChip<Fr> {
        self.gate()
    }

    fn assign_constant(&self, _: &mut Self::Context, point: G1Affine) -> Combination {
        Combination::of(self.constant_base(point))
    }

    fn assign_point(&self, ctx: &mut Self::Context, point: G1Affine) -> Combination {
        Combination::of(self.load(ctx.main(), point).0)
    }

    fn sum_with_const(
        &self,
        ctx: &mut Self::Context,
        values: &[impl Deref<Target = Combination>],
        constant: G1Affine,
    ) -> Combination {
        let mut terms: Vec<Combination> =
            values.iter().map(|value| value.deref().clone()).collect();
        if !bool::from(constant.is_identity()) {
            terms.push(Combination::of(self.constant_base(constant)));
        }
        self.sum(ctx.main(), &terms)
    }

    fn fixed_base_msm(
        &mut self,
        ctx: &mut Self::Context,
        pairs: &[(impl Deref<Target = Cell>, G1Affine)],
    ) -> Combination {
        let pairs = pairs.iter().filter(|(_, base)| !bool::from(base.is_identity()));
        let term = |scalar: Cell, base: G1Affine| Combination {
            terms: vec![(self.constant_base(base), Some(scalar))],
        };
        let terms: Vec<Combination> = pairs.map(|(scalar, base)| term(**scalar, *base)).collect();
        self.sum(ctx.main(), &terms)
    }

    fn variable_base_msm(
        &mut self,
        ctx: &mut Self::Context,
        pairs: &[(impl Deref<Target = Cell>, impl Deref<Target = Combination>)],
    ) -> Combination {
        let ctx = ctx.main();
        let terms: Vec<Combination> =
            pairs.iter().map(|(scalar, point)| self.scale(ctx, **scalar, point)).collect();
        self.sum(ctx, &terms)
    }

    /// # Panics
    /// On anything but two loaded points; the verifier compares no points at all.
    fn assert_equal(&self, ctx: &mut Self::Context, a: &Combination, b: &Combination) {
        let (a, b) = (self.single(a), self.single(b));
        assert!(a.is_some() && b.is_some(), "only loaded points can be compared");
        for (a, b) in a.iter().zip(&b).flat_map(|(a, b)| a.native.iter().zip(&b.native)) {
            ctx.main().constrain_equal(a, b);
        }
    }
}

/// The eight limbs of a point, x first: its form in the public words.
pub(super) fn limbs_of(point: &Point) -> impl Iterator<Item = &Operand> + '_ {
    point.x.limbs.iter().chain(&point.y.limbs)
}

/// The number four limbs stand for, if it is below p.
fn number(limbs: &[Cell]) -> Option<Fq> {
    let number = limbs.iter().rev().fold(BigUint::default(), |number, limb| {
        (number << LIMB_BITS) + fe_to_biguint(limb.value())
    });
    (number < modulus::<Fq>()).then(|| biguint_to_fe(&number))
}

impl LimbsEncodingInstructions<G1Affine, LIMBS, LIMB_BITS> for SymbolicEcc<'_> {
    fn assign_ec_point_from_limbs(
        &self,
        ctx: &mut Self::Context,
        limbs: &[impl Deref<Target = Cell>],
    ) -> Combination {
        self.point_from_limbs(ctx.main(), limbs)
    }

    /// # Panics
    /// On anything but a loaded point; the verifier encodes no points at all.
    fn assign_ec_point_to_limbs(
        &self,
        ctx: &mut Self::Context,
        point: impl Deref<Target = Combination>,
    ) -> Vec<Cell> {
        let loaded = self.single(&point);
        assert!(loaded.is_some(), "only loaded points have limbs");
        let limbs = loaded.iter().flat_map(|loaded| limbs_of(&loaded.point));
        limbs.map(|limb| self.gates.cell(ctx.main(), limb)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recursion::mock::Built;

    fn loads(point: G1Affine) -> bool {
        Built::new(|ecc, ctx| ecc.load(ctx, point).0).0.satisfied()
    }

    #[test]
    fn only_points_of_the_curve_load_and_the_identity_is_none() {
        let g = G1Affine::generator();
        assert!(loads(g) && loads(-g));
        assert!(!loads(G1Affine::identity()));
        assert!(!loads(G1Affine { x: g.x + Fq::ONE, y: g.y }));
        assert!(!loads(G1Affine { x: g.x, y: g.x }));
    }

    #[test]
    fn limbs_that_are_no_point_give_an_unsatisfied_circuit() {
        let g = G1Affine::generator();
        let decode = |limbs: [Fr; 8]| {
            let (built, _) = Built::new(|ecc, ctx| {
                let limbs = limbs.map(|limb| ctx.load_witness(limb));
                let limbs: Vec<&Cell> = limbs.iter().collect();
                ecc.point_from_limbs(ctx, &limbs)
            });
            built.satisfied()
        };
        let limbs = |point: G1Affine| -> [Fr; 8] {
            let limb = |value: Fq| {
                snark_verifier::util::arithmetic::fe_to_limbs::<_, Fr, LIMBS, LIMB_BITS>(value)
            };
            let all: Vec<Fr> = [point.x, point.y].into_iter().flat_map(limb).collect();
            all.try_into().unwrap()
        };
        assert!(decode(limbs(g)));
        assert!(!decode([Fr::ZERO; 8]));
        assert!(!decode([-Fr::ONE; 8]));
        let mut shifted = limbs(g);
        shifted[0] += Fr::ONE;
        assert!(!decode(shifted));
        // The same number with a carry moved between limbs.
        let mut carried = limbs(g);
        carried[0] += Fr::from(2).pow([LIMB_BITS as u64]);
        carried[1] -= Fr::ONE;
        assert!(!decode(carried));
    }

    #[test]
    fn a_combination_names_no_base_twice() {
        let (_, sum) = Built::new(|ecc, ctx| {
            let (base, _) = ecc.load(ctx, G1Affine::generator());
            let three = ctx.load_witness(Fr::from(3));
            let point = Combination::of(base);
            let tripled = ecc.scale(ctx, three, &point);
            let nine = ecc.scale(ctx, three, &tripled);
            ecc.sum(ctx, &[point, tripled, nine])
        });
        let values: Vec<Fr> = sum.terms.iter().map(|(_, c)| *c.unwrap().value()).collect();
        assert_eq!(values, [Fr::from(13)]);
    }
}
