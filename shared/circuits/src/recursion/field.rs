//! Coordinates of points: numbers modulo BN254's base prime p on three limbs of 88 bits.
//!
//! Products and differences stay unreduced as long as the modular check can still hold them. The
//! libraries check that only in debug builds; here every reduction asserts it in release, because
//! a limb too wide would make the check pass for a wrong number, not fail.

use super::points::Cell;
use halo2_base::{
    Context,
    gates::{GateChip, GateInstructions, RangeChip, RangeInstructions},
    halo2_proofs::halo2curves::{
        bn256::{Fq, Fr},
        ff::Field,
    },
};
use halo2_ecc::{
    bigint::{CRTInteger, OverflowInteger, ProperCrtUint},
    bn254::FpChip,
    fields::{FieldChip, Selectable},
};

/// Bits of a limb. Three of them hold p's 254 bits.
pub(super) const LIMB_BITS: usize = 88;
/// Limbs of a coordinate.
pub(super) const LIMBS: usize = 3;
/// The widest limb a reduction takes. The widest that occurs is lambda·dx − dy in
/// [`Coordinates::divide`]: a product has 2 + 88 + 89 = 179 bits, an unreduced y is
/// product − y = 180, dy = 181, the difference 182. A second unreduced operand needs 183 and is
/// refused. Carries then have at most 182 − 88 + 19 = 113 bits, shifted by a limb 2^201 < r.
const MAX_LIMB_BITS: usize = 182;
/// Bits of the largest number the modular check can hold: 3·88 − 1 + 254 − 2.
const MAX_VALUE_BITS: u64 = 515;

/// An unreduced number: signed limbs, value known only modulo p.
pub(super) type Wide = CRTInteger<Fr>;
/// A reduced number: limbs range-checked, value below 2^254 (but perhaps not below p).
pub(super) type Proper = ProperCrtUint<Fr>;

/// Arithmetic modulo p on cells.
#[derive(Clone, Copy)]
pub(super) struct Coordinates<'c> {
    fp: &'c FpChip<'c, Fr>,
}

/// Refuses a number the modular check cannot hold.
///
/// # Panics
/// When a caller combined more unreduced operands than the constants above account for: a mistake
/// in this crate that no witness can cause, since limb widths follow from the operations alone.
fn assert_bounds(value: &Wide) {
    let bits = value.truncation.max_limb_bits;
    assert!(bits <= MAX_LIMB_BITS, "limb of {bits} bits, limit {MAX_LIMB_BITS}");
    let bits = value.value.bits();
    assert!(bits <= MAX_VALUE_BITS, "value of {bits} bits, limit {MAX_VALUE_BITS}");
}

impl<'c> Coordinates<'c> {
    /// Arithmetic on the cells of `fp`'s circuit; `fp` has [`LIMBS`] limbs of [`LIMB_BITS`].
    pub(super) fn new(fp: &'c FpChip<'c, Fr>) -> Self {
        assert!(fp.limb_bits == LIMB_BITS && fp.num_limbs == LIMBS, "limb layout of the family");
        Self { fp }
    }

    pub(super) fn gate(self) -> &'c GateChip<Fr> {
        self.fp.range().gate()
    }

    pub(super) fn range(self) -> &'c RangeChip<Fr> {
        self.fp.range()
    }

    /// The library's chip, for what needs no bound of ours (loading, selecting, comparing).
    pub(super) fn chip(self) -> &'c FpChip<'c, Fr> {
        self.fp
    }

    /// A witness below p: its limbs, and so its native value, are unique.
    pub(super) fn load_canonical(self, ctx: &mut Context<Fr>, value: Fq) -> Proper {
        self.fp.load_private_reduced(ctx, value).into()
    }

    /// Constrains a reduced number to be below p, so that it has one encoding only.
    pub(super) fn assert_canonical(self, ctx: &mut Context<Fr>, value: &Proper) {
        self.fp.enforce_less_than_p(ctx, value.clone());
    }

    pub(super) fn constant(self, ctx: &mut Context<Fr>, value: Fq) -> Proper {
        self.fp.load_constant(ctx, value)
    }

    pub(super) fn sub(self, ctx: &mut Context<Fr>, a: &Wide, b: &Wide) -> Wide {
        self.fp.sub_no_carry(ctx, a, b)
    }

    pub(super) fn mul(self, ctx: &mut Context<Fr>, a: &Wide, b: &Wide) -> Wide {
        self.fp.mul_no_carry(ctx, a, b)
    }

    pub(super) fn times(self, ctx: &mut Context<Fr>, a: &Proper, factor: i64) -> Wide {
        self.fp.scalar_mul_no_carry(ctx, a, factor)
    }

    /// `value` modulo p.
    pub(super) fn reduce(self, ctx: &mut Context<Fr>, value: Wide) -> Proper {
        assert_bounds(&value);
        self.fp.carry_mod(ctx, value)
    }

    /// Constrains `value` to be 0 modulo p.
    pub(super) fn assert_zero(self, ctx: &mut Context<Fr>, value: Wide) {
        assert_bounds(&value);
        self.fp.check_carry_mod_to_zero(ctx, value);
    }

    /// Some q with q·b = a. When b is 0 this has a solution only for a = 0, and then any q: the
    /// caller argues why b is not 0.
    pub(super) fn divide(self, ctx: &mut Context<Fr>, a: &Wide, b: &Wide) -> Proper {
        let inverse = Option::<Fq>::from(self.fp.get_assigned_value(b).invert());
        let quotient = self.fp.get_assigned_value(a) * inverse.unwrap_or(Fq::ZERO);
        let quotient = self.fp.load_private(ctx, quotient);
        let product = self.mul(ctx, quotient.as_ref(), b);
        let difference = self.sub(ctx, &product, a);
        self.assert_zero(ctx, difference);
        quotient
    }

    /// `value` times a cell that is constrained to be 1 or −1.
    pub(super) fn signed(self, ctx: &mut Context<Fr>, value: &Proper, sign: Cell) -> Wide {
        let gate = self.gate();
        let value: &Wide = value.as_ref();
        let limbs = value.limbs().iter().map(|limb| gate.mul(ctx, *limb, sign)).collect();
        let native = gate.mul(ctx, value.native, sign);
        let number =
            if *sign.value() == Fr::ONE { value.value.clone() } else { -value.value.clone() };
        Wide::new(OverflowInteger::new(limbs, value.truncation.max_limb_bits), native, number)
    }

    /// The number at the position of the one in `indicator`, which is constrained to be one-hot.
    pub(super) fn select(
        self,
        ctx: &mut Context<Fr>,
        numbers: &[Proper],
        indicator: &[Cell],
    ) -> Proper {
        Selectable::<Fr, Proper>::select_by_indicator(self.fp, ctx, &numbers.to_vec(), indicator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recursion::mock::Built;
    use halo2_base::utils::{fe_to_biguint, modulus};
    use num_bigint::BigUint;

    fn is_canonical(value: BigUint) -> bool {
        let (built, ()) = Built::new(|ecc, ctx| {
            let fq = ecc.coordinates();
            let value = fq.chip().load_constant_uint(ctx, value);
            fq.assert_canonical(ctx, &value);
        });
        built.satisfied()
    }

    #[test]
    fn only_numbers_below_p_are_canonical() {
        let p = modulus::<Fq>();
        for value in [BigUint::default(), BigUint::from(3u8), &p - 1u8] {
            assert!(is_canonical(value.clone()), "{value}");
            assert!(!is_canonical(&value + &p), "{value} + p");
        }
        assert!(!is_canonical(p));
    }

    /// The only two points whose coordinates the transcript could not tell apart without this.
    #[test]
    fn the_pair_of_points_with_one_encoding_is_told_apart() {
        let decimal = |digits: &str| BigUint::parse_bytes(digits.as_bytes(), 10).unwrap();
        let x = decimal("734653495049373973806201247608587340314828430225682852893");
        let y =
            decimal("1656411154204348780631497196041742317954472760414214562656643902003710179884");
        let fq = |value: &BigUint| halo2_base::utils::biguint_to_fe::<Fq>(value);
        let on_curve = |x: Fq| x.square() * x + Fq::from(3) == fq(&y).square();
        let second = &x + modulus::<Fr>();
        assert!(on_curve(fq(&x)) && on_curve(fq(&(&second % modulus::<Fq>()))));
        assert!(is_canonical(x) && is_canonical(y.clone()));
        assert!(!is_canonical(second));
        assert!(!is_canonical(y + modulus::<Fq>()));
    }

    #[test]
    fn a_division_has_the_quotient_as_its_only_witness() {
        let (a, b) = (Fq::from(1 << 60), -Fq::from(77));
        let (built, quotient) = Built::new(|ecc, ctx| {
            let fq = ecc.coordinates();
            let [a, b] = [a, b].map(|value| fq.load_canonical(ctx, value));
            fq.divide(ctx, a.as_ref(), b.as_ref())
        });
        assert!(built.satisfied());
        let expected = a * b.invert().unwrap();
        assert_eq!(quotient.value(), fe_to_biguint(&expected));
        for limb in quotient.limbs() {
            assert!(!built.satisfied_with(limb, *limb.value() + Fr::ONE));
        }
    }

    #[test]
    fn a_sign_is_plus_or_minus_one() {
        for (sign, negative) in [(Fr::ONE, false), (-Fr::ONE, true)] {
            let (built, signed) = Built::new(|ecc, ctx| {
                let fq = ecc.coordinates();
                let value = fq.load_canonical(ctx, Fq::from(9));
                let sign = ctx.load_witness(sign);
                let signed = fq.signed(ctx, &value, sign);
                fq.reduce(ctx, signed)
            });
            let expected = if negative { -Fq::from(9) } else { Fq::from(9) };
            assert_eq!(signed.value(), fe_to_biguint(&expected));
            assert!(built.satisfied());
        }
    }

    /// lambda·dx − dy with every operand as wide as it gets, and the largest values.
    fn divide_with(unreduced: usize) {
        let (built, _) = Built::new(|ecc, ctx| {
            let fq = ecc.coordinates();
            let most = fq.load_canonical(ctx, -Fq::ONE);
            let none = fq.load_canonical(ctx, Fq::ZERO);
            let dx = fq.sub(ctx, none.as_ref(), most.as_ref());
            let rise = fq.mul(ctx, most.as_ref(), &dx);
            let mut y = fq.sub(ctx, &rise, most.as_ref());
            for _ in 1..unreduced {
                y = fq.sub(ctx, &rise, &y);
            }
            let dy = fq.sub(ctx, most.as_ref(), &y);
            fq.divide(ctx, &dy, &dx)
        });
        assert!(built.satisfied());
    }

    #[test]
    fn one_unreduced_operand_of_the_largest_size_is_held() {
        divide_with(1);
    }

    #[test]
    #[should_panic(expected = "limb of 183 bits, limit 182")]
    fn a_second_unreduced_operand_does_not_build() {
        divide_with(2);
    }
}
