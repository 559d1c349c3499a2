//! The gates: right results, wrong cells, and constraints left out one at a time.

use super::{
    blocks::{Digit, Step},
    *,
};
use crate::gates::{columns::Layout, draft::start, sheet::Sheet};
use halo2_base::halo2_proofs::{
    dev::MockProver,
    halo2curves::{
        bn256::{G1, G1Affine},
        group::{Curve, Group},
    },
};
use number::integer;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

pub(crate) fn sheet(k: u32, circuit: impl FnOnce(&Gates, &mut Context<Fr>)) -> Sheet {
    sheet_in(Layout::Wide, k, circuit)
}

pub(crate) fn sheet_in(
    layout: Layout,
    k: u32,
    circuit: impl FnOnce(&Gates, &mut Context<Fr>),
) -> Sheet {
    let (mut builder, gates) = start(k);
    circuit(&gates, builder.main(0));
    Draft::finish(builder, gates, k).arranged(layout).sheet().unwrap()
}

pub(crate) fn g(multiple: u64) -> G1Affine {
    (G1Affine::generator() * Fr::from(multiple)).to_affine()
}

pub(crate) fn constant(point: G1Affine) -> Point {
    let number = |value: &Fq| Number::constant(&integer(value));
    Point { x: number(&point.x), y: number(&point.y) }
}

fn affine(point: &Point) -> G1Affine {
    G1Affine { x: point.x.coordinate(), y: point.y.coordinate() }
}

fn mock(sheet: &Sheet) -> bool {
    let public = vec![sheet.public().to_vec()];
    let verdict = MockProver::run(sheet.k(), sheet, public).unwrap().verify();
    if let Err(failures) = &verdict {
        println!("{:?}", &failures[..failures.len().min(3)]);
    }
    verdict.is_ok()
}

fn step(table: &Table, digit: Digit, index: usize, negative: bool, scalar: Operand) -> Step {
    let entry = &table.entries[index];
    Step {
        tag: table.tag,
        digit,
        index: index as u64,
        entry: [&entry.x, &entry.y].map(|number| integer(&number.coordinate())),
        sign: None,
        negative,
        scalar,
    }
}

#[test]
fn the_gates_agree_with_the_curve_and_the_mock_prover() {
    let circuit = |gates: &Gates, ctx: &mut Context<Fr>| {
        let p = gates.load_point([g(5).x, g(5).y]);
        assert_eq!(affine(&p), g(5));
        let twice = gates.double(&p);
        assert_eq!(affine(&twice), g(10));
        let table = gates.table(vec![p.clone(), constant(g(77))]);
        let zero = Operand::constant(Fr::ZERO);
        let digit = Digit::Bits(2);
        let (sum, read) = gates.add(&Running::from(&twice), &step(&table, digit, 0, false, zero));
        let (sum, read) = gates.add(&sum, &step(&table, digit, 1, true, read));
        assert_eq!(affine(&gates.point(&sum)), -g(62));
        assert_eq!(read.value, Fr::from(4) - Fr::from(3));
        let native = gates.native(ctx, &p.x);
        let cell = ctx.load_constant(Fr::from(4));
        let hash = gates.h2(ctx, native, cell);
        let low = ctx.load_witness(Fr::from(1 << 30));
        gates.range_check(ctx, low, 33);
        gates.gate().mul(ctx, hash, low);
    };
    for layout in [Layout::Wide, Layout::Narrow] {
        let sheet = sheet_in(layout, 17, circuit);
        assert_eq!(sheet.check(), Ok(()));
        assert!(mock(&sheet));
    }
    // Every cell of a block is bound in the narrow layout too.
    let sheet = sheet_in(Layout::Narrow, 17, circuit);
    for (column, row) in sheet.block_cells().into_iter().step_by(3) {
        let changed = sheet.with(column, row, sheet.at(column, row) + Fr::ONE);
        assert!(changed.check().is_err(), "column {column}, row {row}");
    }
}

#[test]
fn a_range_check_holds_exactly_below_its_bound() {
    for (k, bits) in
        [(17, 16), (17, 17), (17, 128), (17, 3), (14, 64), (14, 128), (14, 226), (9, 8)]
    {
        let check = |value: Fr| {
            sheet(k, |gates, ctx| {
                let cell = ctx.load_witness(value);
                gates.range_check(ctx, cell, bits);
            })
        };
        let bound = Fr::from(2).pow_vartime([bits as u64]);
        for value in [Fr::ZERO, Fr::ONE, bound - Fr::ONE] {
            assert_eq!(check(value).check(), Ok(()), "k {k}, {bits} bits, {value:?}");
        }
        for value in [bound, bound + Fr::ONE, -Fr::ONE] {
            assert!(check(value).check().is_err(), "k {k}, {bits} bits, {value:?}");
        }
        assert_eq!(check(Fr::ZERO).layout_hash(), check(bound).layout_hash());
    }
}

/// Ten thousand random additions and subtractions in one chain, and a doubling now and then.
#[test]
fn ten_thousand_additions_agree_with_the_curve() {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let points: Vec<G1Affine> = (0..64).map(|_| G1::random(&mut rng).to_affine()).collect();
    let sheet = sheet(18, |gates, _| {
        let table = gates.table(points.iter().map(|point| constant(*point)).collect());
        let mut expected: G1 = g(5).into();
        let mut sum = Running::from(&constant(g(5)));
        let mut read = Operand::constant(Fr::ZERO);
        for i in 0..10_000 {
            let (index, negative) = (rng.gen_range(0..points.len()), rng.gen_bool(0.5));
            (sum, read) = gates.add(&sum, &step(&table, Digit::Bits(7), index, negative, read));
            expected += if negative { -points[index] } else { points[index] };
            if i % 200 == 0 {
                let point = gates.double(&gates.point(&sum));
                expected = expected.double();
                sum = Running::from(&point);
            }
            let x = expected.to_affine().x;
            assert_eq!(sum.x.coordinate(), x, "addition {i}");
        }
        assert_eq!(affine(&gates.point(&sum)), expected.to_affine());
    });
    assert_eq!(sheet.check(), Ok(()));
}

/// Numbers at their bounds: 0, p − 1, the largest a range check lets through, all limbs full.
#[test]
fn numbers_at_their_bounds_multiply() {
    let one = BigUint::from(1u8);
    let largest: BigUint = (BigUint::from(bounds::TOP) << 240) - &one;
    let p = integer(&-Fq::ONE) + &one;
    let full: BigUint = (&one << 192) - &one;
    let values = [BigUint::default(), one.clone(), &p - &one, p, full, largest];
    let pairs = values.iter().flat_map(|a| values.iter().map(move |b| (a, b)));
    let sheet = sheet(17, |gates, _| {
        for (a, b) in pairs {
            let [a, b] = [a, b].map(Number::constant);
            let signs = [Fr::ONE, -Fr::ONE, -Fr::from(2)].map(Operand::constant);
            for d in signs.map(Number::factor).iter().chain([&a, &b]) {
                let factors = Factors { a: &a, b: &b, x: &a, c: &b, d, l: &a };
                let expected = a.coordinate() * (b.coordinate() - a.coordinate())
                    + b.coordinate() * d.coordinate()
                    - a.coordinate();
                assert_eq!(gates.product(&factors).coordinate(), expected);
            }
        }
    });
    assert_eq!(sheet.check(), Ok(()));
    assert!(mock(&sheet));
}
