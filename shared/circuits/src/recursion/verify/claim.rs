//! What the children's proofs come to: weighed, added up, sorted, and multiplied out where it is
//! carried no further.

use super::{BuildError, Plan, Verified};
use crate::{
    gates::{Cell, number::Point},
    recursion::{
        family::{
            CARRIED, COMMITMENTS, GENERATOR, KindFlag, SLOTS, WORDS, carried_index, carried_kinds,
            resolved_kinds,
        },
        msm::{Scalar, Terms},
        points::{Base, Combination, SymbolicEcc},
        transcript::challenge,
    },
};
use halo2_base::{
    Context,
    gates::{GateChip, GateInstructions},
    halo2_proofs::halo2curves::{
        bn256::{Fr, G1Affine},
        ff::Field,
        group::prime::PrimeCurveAffine,
    },
};
use protocol::Kind;
use std::{collections::BTreeMap, mem};

/// The accumulated claim: what both multiplications are over, and the scalars carried on.
pub(super) struct Claim {
    pub(super) left: Terms,
    pub(super) right: Terms,
    pub(super) generator: Cell,
    pub(super) carried: Vec<Vec<Cell>>,
}

/// Weighs every accumulator with its challenge. The first one's is 1.
pub(super) fn accumulate(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    verified: &[Verified],
    seed: Cell,
) -> Claim {
    let mut sides = [BTreeMap::new(), BTreeMap::new()];
    let gate = ecc.gate();
    let zero = ctx.load_zero();
    let carried = vec![vec![zero; COMMITMENTS]; SLOTS];
    let (left, right) = (Terms::default(), Terms::default());
    let mut claim = Claim { left, right, generator: zero, carried };
    for (index, child) in verified.iter().enumerate() {
        for (which, accumulator) in child.accumulators.iter().enumerate() {
            let number = 2 * index + which;
            let weight = (number > 0).then(|| challenge(ecc, ctx, seed, number));
            for (side, point) in sides.iter_mut().zip(accumulator) {
                weigh(ctx, gate, side, (point, weight));
            }
            if let (1, Some(weight)) = (which, weight) {
                claim.add_carried(ctx, gate, child, weight);
            }
        }
    }
    let [left, right] = sides;
    claim.sort_left(ecc, ctx, left, verified);
    claim.right.points =
        right.into_iter().map(|(base, scalar)| (scalar, right_point(ecc, base))).collect();
    claim
}

fn right_point(ecc: &SymbolicEcc<'_>, base: Base) -> Point {
    match base {
        Base::Loaded(index) => ecc.loaded(index).point,
        Base::Key { .. } | Base::Constant(_) => {
            unreachable!("the right side of an accumulator is a point of the proof")
        }
    }
}

fn cell(ctx: &mut Context<Fr>, scalar: Scalar) -> Cell {
    match scalar {
        Scalar::One => ctx.load_constant(Fr::ONE),
        Scalar::Short(cell) | Scalar::Full(cell) => cell,
    }
}

/// Adds weight·point to `side`.
fn weigh(
    ctx: &mut Context<Fr>,
    gate: &GateChip<Fr>,
    side: &mut BTreeMap<Base, Scalar>,
    (point, weight): (&Combination, Option<Cell>),
) {
    for (base, coefficient) in &point.terms {
        let scalar = match (coefficient, weight) {
            (None, None) => Scalar::One,
            (None, Some(weight)) => Scalar::Short(weight),
            (Some(coefficient), None) => Scalar::Full(*coefficient),
            (Some(coefficient), Some(weight)) => Scalar::Full(gate.mul(ctx, *coefficient, weight)),
        };
        let scalar = match side.remove(base) {
            None => scalar,
            Some(old) => {
                let (old, new) = (cell(ctx, old), cell(ctx, scalar));
                Scalar::Full(gate.add(ctx, old, new))
            }
        };
        side.insert(*base, scalar);
    }
}

impl Claim {
    /// Adds weight·(carried scalars of a child): they belong to its carried accumulator.
    fn add_carried(
        &mut self,
        ctx: &mut Context<Fr>,
        gate: &GateChip<Fr>,
        Verified { public, flags, .. }: &Verified,
        weight: Cell,
    ) {
        self.generator = gate.mul_add(ctx, weight, public[GENERATOR], self.generator);
        let used = flags.iter().map(|flag| carried_kinds(flag.kind).len()).max().unwrap_or(0);
        let (carried, unused) = public[CARRIED..WORDS].split_at(used * COMMITMENTS);
        for (sum, scalar) in self.carried.iter_mut().flatten().zip(carried) {
            *sum = gate.mul_add(ctx, weight, *scalar, *sum);
        }
        unused.iter().for_each(|scalar| gate.assert_is_const(ctx, scalar, &Fr::ZERO));
    }

    /// Sorts the left side: points to multiply, scalars of keys and of G to carry.
    fn sort_left(
        &mut self,
        ecc: &SymbolicEcc<'_>,
        ctx: &mut Context<Fr>,
        left: BTreeMap<Base, Scalar>,
        verified: &[Verified],
    ) {
        let gate = ecc.gate();
        for (base, scalar) in left {
            match base {
                Base::Loaded(index) => self.left.points.push((scalar, ecc.loaded(index).point)),
                Base::Key { child, commitment } => {
                    let scalar = cell(ctx, scalar);
                    self.add_to_slot(ctx, gate, &verified[child].flags, (commitment, scalar));
                }
                Base::Constant(index) => {
                    let point = ecc.constant(index);
                    assert!(point == G1Affine::generator(), "G is the only constant point");
                    let scalar = cell(ctx, scalar);
                    self.generator = gate.add(ctx, self.generator, scalar);
                }
            }
        }
    }

    /// Adds a scalar of a child's key to the slot of the child's kind. The last allowed kind gets
    /// the rest, so that no part of a scalar can be lost whatever the flags are.
    fn add_to_slot(
        &mut self,
        ctx: &mut Context<Fr>,
        gate: &GateChip<Fr>,
        flags: &[KindFlag],
        (commitment, scalar): (usize, Cell),
    ) {
        let mut rest = scalar;
        for (i, flag) in flags.iter().enumerate() {
            let part = if i + 1 == flags.len() { rest } else { gate.mul(ctx, scalar, flag.flag) };
            if i + 1 != flags.len() {
                rest = gate.sub(ctx, rest, part);
            }
            let slot = carried_index(flag.kind).map(|slot| &mut self.carried[slot][commitment]);
            assert!(slot.is_some(), "a child's kind has a slot");
            slot.into_iter().for_each(|sum| *sum = gate.add(ctx, *sum, part));
        }
    }
}

/// Multiplies scalars out with the real keys, as `root` does for L1 and `base` for the keys below
/// it. Nothing of them is carried on.
pub(super) fn resolve(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    claim: &mut Claim,
    plan: &Plan<'_>,
) -> Result<(), BuildError> {
    let gate = ecc.gate();
    let mut constants: Vec<(Cell, G1Affine)> = Vec::new();
    if plan.kind == Kind::Root {
        constants.push((claim.generator, plan.setup[1]));
    }
    let zero = ctx.load_zero();
    for (kind, scalars) in resolved_kinds(plan.kind).iter().zip(&mut claim.carried) {
        let key = plan.keys.get(kind).ok_or(BuildError::MissingKey(*kind))?;
        assert_eq!(key.commitments.len(), scalars.len(), "one scalar per commitment");
        for (scalar, point) in scalars.iter_mut().zip(&key.commitments) {
            let scalar = mem::replace(scalar, zero);
            if bool::from(point.is_identity()) {
                continue;
            }
            match constants.iter_mut().find(|(_, known)| known == point) {
                Some((sum, _)) => *sum = gate.add(ctx, *sum, scalar),
                None => constants.push((scalar, *point)),
            }
        }
    }
    claim.left.constants = constants;
    Ok(())
}
