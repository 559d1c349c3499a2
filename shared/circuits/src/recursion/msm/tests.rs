//! The multiplication: right results, wrong cells, and other complete witnesses.

use super::*;
use crate::recursion::{mock::Built, points::cells};
use halo2_base::halo2_proofs::halo2curves::bn256::Fq;
use halo2_base::utils::biguint_to_fe;

const PURPOSE: Purpose = Purpose::LeftOffset;

fn g(multiple: u64) -> G1Affine {
    (G1Affine::generator() * Fr::from(multiple)).to_affine()
}

/// Points and constants with their scalars.
type Case<'a> = (&'a [(Size, G1Affine)], &'a [(Fr, G1Affine)]);

/// A scalar by its kind.
#[derive(Clone, Copy)]
enum Size {
    One,
    Short(u128),
    Full(Fr),
}

fn scalar(ctx: &mut Context<Fr>, size: Size) -> Scalar {
    match size {
        Size::One => Scalar::One,
        Size::Short(value) => Scalar::Short(ctx.load_witness(crate::poseidon::from_u128(value))),
        Size::Full(value) => Scalar::Full(ctx.load_witness(value)),
    }
}

fn value(size: Size) -> Fr {
    match size {
        Size::One => Fr::ONE,
        Size::Short(value) => crate::poseidon::from_u128(value),
        Size::Full(value) => value,
    }
}

fn affine(point: &Point) -> G1Affine {
    let coordinate = |value: &Proper| biguint_to_fe::<Fq>(&value.value());
    G1Affine { x: coordinate(point.x()), y: coordinate(point.y()) }
}

fn build(points: &[(Size, G1Affine)], constants: &[(Fr, G1Affine)]) -> (Built, Point) {
    Built::new(|ecc, ctx| {
        let mut terms = Terms::default();
        for (size, point) in points {
            let scalar = scalar(ctx, *size);
            terms.points.push((scalar, ecc.load(ctx, *point).1));
        }
        for (scalar, point) in constants {
            terms.constants.push((ctx.load_witness(*scalar), *point));
        }
        let seed = ctx.load_witness(Fr::from(4));
        multiply(ecc, ctx, (PURPOSE, seed), terms)
    })
}

fn sum(points: &[(Size, G1Affine)], constants: &[(Fr, G1Affine)]) -> G1Affine {
    let points = points.iter().map(|(size, point)| *point * value(*size));
    let constants = constants.iter().map(|(scalar, point)| *point * scalar);
    points.chain(constants).fold(G1::identity(), |sum, point| sum + point).to_affine()
}

#[test]
fn sums_are_what_the_curve_says() {
    use Size::{Full, One, Short};
    let big = -Fr::from(12_345);
    let most = u128::MAX;
    let cases: &[Case<'_>] = &[
        (&[(Short(1), g(2))], &[]),
        (&[(One, g(9)), (Short(most), g(2)), (Short(12_345), g(3))], &[]),
        (&[(Full(big), g(2)), (Full(Fr::from(6)), g(3))], &[]),
        (&[(Full(Fr::ZERO), g(2)), (One, g(3))], &[]),
        (&[(Full(Fr::ONE), g(5)), (Full(-Fr::ONE), g(3))], &[]),
        // One point twice, and a point with its negative.
        (&[(Full(big), g(7)), (Short(77), g(7)), (One, g(7))], &[]),
        (&[(Full(big), g(7)), (Full(Fr::from(99)), -g(7))], &[]),
        (&[(One, g(3)), (Short(3), g(2))], &[(big, g(1)), (Fr::from(4), g(1)), (Fr::ONE, g(8))]),
    ];
    for (points, constants) in cases {
        let (built, result) = build(points, constants);
        assert_eq!(affine(&result), sum(points, constants));
        assert!(built.satisfied());
    }
}

#[test]
fn a_sum_that_is_the_identity_has_no_witness() {
    let (built, _) =
        build(&[(Size::Full(Fr::from(5)), g(7)), (Size::Full(-Fr::from(5)), g(7))], &[]);
    assert!(!built.satisfied());
}

#[test]
fn the_mock_prover_agrees() {
    let points = [(Size::Short(77), g(2)), (Size::One, g(3))];
    let (built, _) = build(&points, &[]);
    assert!(built.satisfied_by_mock_prover());
}

/// One cell in 331 of a whole multiplication: slopes, quotients, limbs, carries, indicators,
/// signs, hash states. Every one of them is bound.
#[test]
fn no_cell_of_a_multiplication_can_be_changed() {
    let (built, _) = build(&[(Size::Short(0x1234_5677), g(2))], &[]);
    assert!(built.satisfied());
    let step = 331;
    assert!(built.len() / step > 200, "a sample of some hundred cells");
    for at in (0..built.len()).step_by(step) {
        let cell = built.cell(at);
        let free = built.satisfied_with(&cell, *cell.value() + Fr::ONE);
        assert!(!free, "cell {at} of {} is free", built.len());
    }
}

#[test]
fn the_result_is_bound() {
    let (built, result) = build(&[(Size::Short(77), g(2))], &[]);
    for cell in cells(&result) {
        assert!(!built.satisfied_with(&cell, *cell.value() + Fr::ONE));
    }
}

/// Multiplies with digits the prover chose.
fn with_digits(scalar: Fr, digits: &[(bool, usize)]) -> (bool, G1Affine) {
    let (built, point) = Built::new(|ecc, ctx| {
        let fq = ecc.coordinates();
        let cell = ctx.load_witness(scalar);
        let digits = constrain_digits(ctx, fq.gate(), cell, digits);
        let (_, point) = ecc.load(ctx, g(2));
        let term = Term::new(digits, table(fq, ctx, point));
        let seed = ctx.load_witness(Fr::from(4));
        let offset = offset(ecc, ctx, PURPOSE, seed);
        sum_from(fq, ctx, offset, (vec![term], Vec::new()))
    });
    (built.satisfied(), affine(&point))
}

#[test]
fn a_second_digit_string_of_a_full_scalar_gives_the_same_point() {
    let scalar = Fr::from(12_345);
    let order = BigInt::from(modulus::<Fr>());
    let number = BigInt::from(12_345);
    for other in [&number + &order * 2, &number - &order * 2, &number + &order * 4] {
        let (satisfied, point) = with_digits(scalar, &digits_of(other, FULL));
        assert!(satisfied);
        assert_eq!(point, (g(2) * scalar).to_affine());
    }
}

#[test]
fn digits_of_another_scalar_are_refused() {
    let scalar = Fr::from(12_345);
    for count in [SHORT, FULL] {
        let right = digits(scalar, count);
        assert!(with_digits(scalar, &right).0);
        let (mut index, mut sign) = (right.clone(), right);
        index[3].1 ^= 1;
        sign[3].0 ^= true;
        assert!(!with_digits(scalar, &index).0 && !with_digits(scalar, &sign).0);
    }
}

#[test]
#[should_panic(expected = "32 digits hold the number")]
fn a_short_scalar_has_no_second_string() {
    digits_of(BigInt::from(12_345) + BigInt::from(modulus::<Fr>()) * 2, SHORT);
}

/// Why the offset must be a hash: with one the prover chose, an addition of equal points leaves
/// the slope free, and a wrong sum has a witness.
#[test]
fn a_chosen_offset_makes_a_wrong_sum_provable() {
    let scalar = crate::poseidon::from_u128(u128::MAX);
    // The highest digit is 15: the first addition is offset + 15·P.
    let (built, result) = Built::new(|ecc, ctx| {
        let fq = ecc.coordinates();
        let cell = ctx.load_witness(scalar);
        let digits = assign_digits(ctx, fq.gate(), cell, SHORT);
        let (_, point) = ecc.load(ctx, g(2));
        let term = Term::new(digits, table(fq, ctx, point));
        let (_, chosen) = ecc.load(ctx, g(30));
        sum_from(fq, ctx, chosen, (vec![term], Vec::new()))
    });
    assert!(built.satisfied(), "every constraint holds");
    let right: G1Affine = (g(2) * scalar).to_affine();
    assert_ne!(affine(&result), right, "and the sum is wrong");
}
