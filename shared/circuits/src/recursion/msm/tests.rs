//! The multiplication: right results, wrong cells, and other complete witnesses.

use super::*;
use crate::recursion::{mock::Built, points::limbs_of};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

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
    G1Affine { x: point.x.coordinate(), y: point.y.coordinate() }
}

fn build(points: &[(Size, G1Affine)], constants: &[(Fr, G1Affine)]) -> (Built, Point) {
    Built::new(|ecc, ctx| {
        let mut terms = Terms::default();
        for (size, point) in points {
            let scalar = scalar(ctx, *size);
            terms.points.push((scalar, ecc.load(ctx, *point).1.point));
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

/// A thousand random sums of up to three points and a constant.
#[test]
fn a_thousand_sums_agree_with_the_curve() {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    for round in 0..1_000 {
        let points: Vec<(Size, G1Affine)> = (0..rng.gen_range(1..=3))
            .map(|_| {
                let size = match rng.gen_range(0..3) {
                    0 => Size::One,
                    1 => Size::Short(rng.r#gen::<u128>() | 1),
                    _ => Size::Full(Fr::random(&mut rng)),
                };
                (size, G1::random(&mut rng).to_affine())
            })
            .collect();
        let constant = (Fr::random(&mut rng), G1::random(&mut rng).to_affine());
        let constants = if round % 10 == 0 { vec![constant] } else { Vec::new() };
        let (built, result) = build(&points, &constants);
        assert_eq!(affine(&result), sum(&points, &constants), "round {round}");
        assert!(round % 100 != 0 || built.satisfied(), "round {round}");
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

/// One cell in 37 of a whole multiplication: slopes, quotients, limbs, carries, indices, signs,
/// scalars, hash states. Every one of them is bound.
#[test]
fn no_cell_of_a_multiplication_can_be_changed() {
    let (built, _) = build(&[(Size::Short(0x1234_5677), g(2))], &[]);
    let sheet = built.sheet();
    assert_eq!(sheet.check(), Ok(()));
    let cells = sheet.block_cells();
    for (column, row) in cells.into_iter().step_by(307) {
        let changed = sheet.with(column, row, sheet.at(column, row) + Fr::ONE);
        assert!(changed.check().is_err(), "column {column}, row {row}");
    }
}

#[test]
fn the_result_is_bound() {
    let (built, shown) = Built::new(|ecc, ctx| {
        let point = ecc.load(ctx, g(2)).1.point;
        let scalar = scalar(ctx, Size::Short(77));
        let seed = ctx.load_witness(Fr::from(4));
        let terms = Terms { points: vec![(scalar, point)], constants: Vec::new() };
        let sum = multiply(ecc, ctx, (PURPOSE, seed), terms);
        limbs_of(&sum).map(|limb| ecc.gates().cell(ctx, limb)).collect::<Vec<Cell>>()
    });
    for cell in shown {
        assert!(!built.satisfied_with(&cell, *cell.value() + Fr::ONE));
    }
}

/// Multiplies with digits the prover chose.
fn with_digits(scalar: Fr, digits: &[SignedDigit]) -> (bool, G1Affine) {
    let (built, point) = Built::new(|ecc, ctx| {
        let gates = ecc.gates();
        let cell = ctx.load_witness(scalar);
        let point = ecc.load(ctx, g(2)).1.point;
        let table = table(gates, point);
        let read = Operand::constant(Fr::ZERO);
        let term = Term { table, bits: POINT_BITS, digits: digits.to_vec(), scalar: cell, read };
        let seed = ctx.load_witness(Fr::from(4));
        let offset = offset(ecc, ctx, PURPOSE, seed);
        sum_from(gates, offset.point, vec![term], &[])
    });
    (built.satisfied(), affine(&point))
}

#[test]
fn a_second_digit_string_of_a_full_scalar_gives_the_same_point() {
    let scalar = Fr::from(12_345);
    let order = BigInt::from(modulus::<Fr>());
    let number = BigInt::from(12_345);
    for other in [&number + &order * 2, &number - &order * 2, &number + &order * 4] {
        let (satisfied, point) = with_digits(scalar, &digits_of(other, POINT_BITS, FULL));
        assert!(satisfied);
        assert_eq!(point, (g(2) * scalar).to_affine());
    }
}

#[test]
fn digits_of_another_scalar_are_refused() {
    let scalar = Fr::from(12_345);
    for top in [SHORT, FULL] {
        let right = digits(scalar, POINT_BITS, top);
        assert!(with_digits(scalar, &right).0);
        let (mut index, mut sign) = (right.clone(), right);
        index[3].index ^= 1;
        sign[3].negative ^= true;
        assert!(!with_digits(scalar, &index).0 && !with_digits(scalar, &sign).0);
    }
}

#[test]
#[should_panic(expected = "32 digits of 4 bits hold the number")]
fn a_short_scalar_has_no_second_string() {
    digits_of(BigInt::from(12_345) + BigInt::from(modulus::<Fr>()) * 2, POINT_BITS, SHORT);
}

/// Why the offset must be a hash: with one the prover chose, an addition of equal points leaves
/// the slope free, and a wrong sum has a witness.
#[test]
fn a_chosen_offset_makes_a_wrong_sum_provable() {
    let scalar = crate::poseidon::from_u128(u128::MAX);
    // The highest digit is 15: the first addition is offset + 15·P.
    let (built, result) = Built::new(|ecc, ctx| {
        let gates = ecc.gates();
        let cell = ctx.load_witness(scalar);
        let point = ecc.load(ctx, g(2)).1.point;
        let term = Term::new(table(gates, point), cell, (POINT_BITS, SHORT));
        let chosen = ecc.load(ctx, g(30)).1.point;
        sum_from(gates, chosen, vec![term], &[])
    });
    assert!(built.satisfied(), "every constraint holds");
    let right: G1Affine = (g(2) * scalar).to_affine();
    assert_ne!(affine(&result), right, "and the sum is wrong");
}
