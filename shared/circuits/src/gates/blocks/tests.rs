//! Constraints left out one at a time: for each a false witness that breaks it and nothing else.
//!
//! A witness that breaks one constraint only would be accepted by a circuit without it. So every
//! case below shows that its constraint is needed, and that it is there.

use super::*;
use crate::gates::{
    Gates, Table,
    check::Broken,
    columns::ADVICE,
    sheet::Sheet,
    tests::{constant, g, sheet},
};
use halo2_base::{
    Context,
    utils::{biguint_to_fe, modulus},
};

mod curve;

/// Numbers of the gates and of the lookup of table entries.
const FULL: usize = 1;
const PARTIAL: usize = 2;
const PRODUCT: usize = 3;
const ADDITION: usize = 4;
const PUBLIC: usize = 5;
const PICK: usize = LANES;

/// What a false witness may break.
#[derive(Clone, Copy, Debug)]
enum Only {
    Copies,
    /// Polynomials of a gate.
    Gate(usize, &'static [usize]),
    /// Chunks.
    Chunks,
    /// The lookup of table entries.
    Pick,
}

impl Only {
    fn allows(self, broken: Broken) -> bool {
        match (self, broken) {
            (Self::Copies, Broken::Copy { .. }) => true,
            (Self::Gate(gate, some), Broken::Gate { gate: other, polynomial, .. }) => {
                gate == other && some.contains(&polynomial)
            }
            (Self::Chunks, Broken::Lookup { lookup, .. }) => lookup < PICK,
            (Self::Pick, Broken::Lookup { lookup, .. }) => lookup == PICK,
            (
                Self::Copies | Self::Gate(..) | Self::Chunks | Self::Pick,
                Broken::Copy { .. } | Broken::Gate { .. } | Broken::Lookup { .. },
            ) => false,
        }
    }
}

fn breaks(name: &str, only: Only, circuit: impl FnOnce(&Gates, &mut Context<Fr>)) {
    breaks_sheet(name, only, &sheet(17, circuit));
}

fn breaks_sheet(name: &str, only: Only, sheet: &Sheet) {
    let broken = sheet.broken(1000);
    assert!(!broken.is_empty(), "{name}: nobody notices");
    let other = broken.iter().find(|broken| !only.allows(**broken));
    assert_eq!(other, None, "{name} is to break {only:?} and nothing else");
}

fn fr(value: &BigInt) -> Fr {
    let r = BigInt::from(modulus::<Fr>());
    let reduced: BigInt = ((value % &r) + &r) % &r;
    biguint_to_fe(&reduced.to_biguint().unwrap())
}

fn fq(value: &BigInt) -> Fq {
    let reduced: BigInt = ((value % p()) + p()) % p();
    biguint_to_fe(&reduced.to_biguint().unwrap())
}

/// p-sized numbers that are all different.
fn number(seed: u64) -> Number {
    Number::constant(&integer(&(Fq::from(seed) + Fq::from(3)).pow_vartime([7 + seed, 1 << 20])))
}

/// A copy of `right` whose cells hold `wrong`.
fn mislabelled(right: &Number, wrong: &Number) -> Number {
    Number {
        limbs: std::array::from_fn(|i| Operand {
            source: right.limbs[i].source,
            value: wrong.limbs[i].value,
        }),
    }
}

fn constants(values: &Coefficients) -> Number {
    Number { limbs: values.each_ref().map(|value| Operand::constant(fr(value))) }
}

/// Overwrites a limb's running sum; what does not fit stands in the last chunk.
fn put_limb(block: &mut Block, first: usize, i: usize, value: &BigInt) {
    let (column, row) = lane(first, i);
    for chunk in 0..4 {
        block.put((column, row + chunk), fr(&(value >> (chunk * CHUNK_BITS))));
    }
}

fn limbs(value: &BigInt) -> Coefficients {
    std::array::from_fn(|i| {
        let limb: BigInt = value >> (i * LIMB_BITS);
        if i + 1 == LIMBS { limb } else { limb % (BigInt::from(1) << LIMB_BITS) }
    })
}

/// One product's factors: A, B, X, C, D, L.
fn factors() -> [Number; 6] {
    [1, 2, 3, 4, 5, 6].map(number)
}

fn product_of(numbers: &[Number; 6]) -> Factors<'_> {
    let [a, b, x, c, d, l] = numbers;
    Factors { a, b, x, c, d, l }
}

/// A product that shows this result and this quotient (its offset added), both perhaps false, with
/// carries that fit them.
fn product_with(result: &Coefficients, quotient: &Coefficients) -> Block {
    let numbers = factors();
    let (mut block, _) = product(0, &product_of(&numbers));
    let rest = minus(&product_of(&numbers).coefficients(), result);
    let mut tops = moved_top(&limbs_of(&integer(&constants(result).coordinate())));
    for (i, (low, top)) in carries(&rest, quotient, QUOTIENT_OFFSET).into_iter().enumerate() {
        put_limb(&mut block, product_at::CARRY, i, &low.into());
        tops |= top << ((i + 1) * CHUNK_BITS);
    }
    for i in 0..LIMBS {
        put_limb(&mut block, product_at::RESULT, i, &result[i]);
        put_limb(&mut block, product_at::QUOTIENT, i, &quotient[i]);
    }
    put_limb(&mut block, product_at::TOPS, 0, &tops.into());
    block
}

/// E and the true result and quotient (its offset added).
fn true_product() -> (BigInt, BigInt, BigInt) {
    let numbers = factors();
    let Factors { a, b, x, c, d, l } = product_of(&numbers);
    let value = a.value() * (b.value() - x.value()) + c.value() * d.value() - l.value();
    let result: BigInt = ((&value % p()) + p()) % p();
    let quotient: BigInt = (&value - &result) / p() + (BigInt::from(1) << 255);
    (value, result, quotient)
}

fn push(block: Block) -> impl FnOnce(&Gates, &mut Context<Fr>) {
    |gates, _| {
        gates.push(block);
    }
}

/// 2^256·r: what E − q·p may be a multiple of without being 0.
fn wrap() -> BigInt {
    BigInt::from(modulus::<Fr>()) << 256
}

#[test]
fn every_input_of_a_product_is_a_copy() {
    let (right, wrong) = (factors(), number(77));
    for i in 0..right.len() {
        let mut numbers = right.clone();
        numbers[i] = mislabelled(&right[i], &wrong);
        breaks(&format!("input {i}"), Only::Copies, push(product(0, &product_of(&numbers)).0));
    }
}

#[test]
fn a_products_result_and_quotient_are_in_their_range() {
    let (value, result, quotient) = true_product();
    let base = BigInt::from(1) << LIMB_BITS;
    let fine = product_with(&limbs(&result), &limbs(&quotient));
    assert_eq!(sheet(17, push(fine)).check(), Ok(()));
    // The same number plus p: the quotient is one less.
    let second = product_with(&limbs(&(&result + p())), &limbs(&(&quotient - 1)));
    breaks("top of the result", Only::Gate(PRODUCT, &[3]), push(second));
    // The same number with a carry moved between its limbs.
    let moved = |number: &BigInt| {
        let mut limbs = limbs(number);
        limbs[0] += &base;
        limbs[1] -= 1;
        limbs
    };
    let block = product_with(&moved(&result), &limbs(&quotient));
    breaks("limbs of the result", Only::Chunks, push(block));
    let block = product_with(&limbs(&result), &moved(&quotient));
    breaks("limbs of the quotient", Only::Chunks, push(block));
    // E − q·p = −2^256·r: both checks hold and the result is wrong.
    let wrong = integer(&fq(&(&value + wrap())));
    let wrong = BigInt::from(wrong);
    let large = (&value - &wrong + wrap()) / p() + (BigInt::from(1) << 255);
    let block = product_with(&limbs(&wrong), &limbs(&large));
    breaks("top of the quotient", Only::Chunks, push(block));
}

/// A wrong result and a quotient so that the product holds modulo r: r in place of p.
fn modulo_r_only() -> (BigInt, BigInt) {
    let (_, result, quotient) = true_product();
    let order = BigInt::from(modulus::<Fr>());
    (result - p() + order, quotient + 1)
}

#[test]
fn a_products_equations_and_carries_are_needed() {
    let (_, result, quotient) = true_product();
    // Modulo 2^256 only: five times p is nearly 2^256.
    let numbers: Vec<_> = (1..16).map(|k| (k, &result - p() * k)).collect();
    let modulo = |value: &BigInt| {
        let whole = BigInt::from(1) << 256;
        ((value % &whole) + &whole) % &whole
    };
    let largest = BigInt::from(TOP) << 240;
    let found = numbers.iter().find(|(_, wrong)| modulo(wrong) < largest);
    let (k, wrong) = found.unwrap();
    let block = product_with(&limbs(&modulo(wrong)), &limbs(&(&quotient + *k)));
    breaks("modulo r", Only::Gate(PRODUCT, &[0]), push(block));
    let (wrong, quotient) = modulo_r_only();
    let block = product_with(&limbs(&wrong), &limbs(&quotient));
    breaks("modulo 2^256", Only::Gate(PRODUCT, &[1, 2]), push(block.clone()));
    // The same with carries out of their range that make the limb equations hold in the field.
    let rest = minus(&product_of(&factors()).coefficients(), &limbs(&wrong));
    let mut shifted = limbs(&quotient);
    shifted[3] -= QUOTIENT_OFFSET;
    let rest = minus(&rest, &times(&shifted, &limbs(&p()))).each_ref().map(fr);
    let (base, offset) = (fr(&(BigInt::from(1) << 64)), Fr::from(CARRY_OFFSET));
    let square = base.square().invert().unwrap();
    let first = (rest[0] + rest[1] * base) * square;
    let second = (rest[2] + rest[3] * base + first) * square;
    let (mut low, mut top) = (block.clone(), block);
    for (i, carry) in [first, second].into_iter().enumerate() {
        put_limb(&mut low, product_at::CARRY, i, &BigInt::ZERO);
        let (column, row) = lane(product_at::CARRY, i);
        low.put((column, row), carry + offset * base);
        put_limb(&mut top, product_at::CARRY, i, &BigInt::ZERO);
    }
    let moved = moved_top(&limbs_of(&wrong.to_biguint().unwrap()));
    put_limb(&mut low, product_at::TOPS, 0, &moved.into());
    breaks("chunks of the carries", Only::Chunks, push(low));
    // Tops: their running sum is built from the field elements.
    let tops = [first, second].map(|carry| carry * base.invert().unwrap() + offset);
    let chunk = Fr::from(1 << CHUNK_BITS);
    let (column, row) = lane(product_at::TOPS, 0);
    top.put((column, row + 3), Fr::ZERO);
    top.put((column, row + 2), tops[1]);
    top.put((column, row + 1), tops[0] + chunk * tops[1]);
    top.put((column, row), Fr::from(moved) + chunk * (tops[0] + chunk * tops[1]));
    breaks("tops of the carries", Only::Chunks, push(top));
}

#[test]
fn public_words_are_the_shown_cells() {
    let (mut builder, gates) = crate::gates::draft::start(9);
    let cells = [5, 7].map(|word| builder.main(0).load_witness(Fr::from(word)));
    let mut draft = crate::gates::Draft::finish(builder, gates, 9);
    draft.show(cells.to_vec());
    let sheet = draft.sheet().unwrap();
    assert_eq!(sheet.check(), Ok(()));
    let other = || vec![Fr::from(5), Fr::from(8)];
    breaks_sheet("another word", Only::Gate(PUBLIC, &[0]), &sheet.showing(other()));
    let changed = sheet.with(ADVICE - 1, 1, Fr::from(8)).showing(other());
    breaks_sheet("a cell that is no copy", Only::Copies, &changed);
}

#[test]
fn points_that_are_loaded_are_on_the_curve_and_below_p() {
    breaks("on the curve", Only::Copies, |gates, _| {
        gates.load_point([g(5).x, g(5).y + Fq::ONE]);
    });
    breaks("below p", Only::Copies, |gates, _| {
        gates.load_integer(&(modulus::<Fq>() + 5u8));
    });
    breaks("native value", Only::Copies, |gates, ctx| {
        let mut x = gates.load(g(5).x);
        x.limbs[1].value += Fr::ONE;
        gates.native(ctx, &x);
    });
}

#[test]
fn a_permutations_inputs_are_copies_and_its_rounds_are_bound() {
    let words = [Fr::from(1), Fr::from(2), Fr::from(3)];
    for i in 0..words.len() {
        breaks("input of a permutation", Only::Copies, |gates, _| {
            let mut state = words.map(Operand::constant);
            state[i].value += Fr::ONE;
            gates.permute(state);
        });
    }
    let honest = sheet(17, |gates, _| {
        gates.permute(words.map(Operand::constant));
    });
    let next =
        |column: usize, row: usize| honest.with(column, row, honest.at(column, row) + Fr::ONE);
    // Row 1 is the first of the permutation; rows 5 to 23 are partial rounds.
    for (name, gate, polynomials, changed) in [
        ("square of a full round", FULL, &[0usize, 3, 4, 5][..], next(3, 1)),
        ("square of a partial round", PARTIAL, &[0, 1], next(3, 5)),
        ("fifth power of a partial round", PARTIAL, &[1, 2, 3, 4, 5, 6, 7, 8], next(4, 5)),
        ("output", FULL, &[4], next(1, 28)),
    ] {
        let broken = changed.broken(100);
        assert!(!broken.is_empty(), "{name}");
        for broken in broken {
            let Broken::Gate { gate: found, polynomial, .. } = broken else {
                panic!("{name}: {broken:?}")
            };
            assert!(found == gate && polynomials.contains(&polynomial), "{name}: {broken:?}");
        }
    }
}
