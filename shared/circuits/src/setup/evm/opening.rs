//! The multi-opening's equation as L1 computes it.
//!
//! The library's verifier of SHPLONK weighs every evaluation by the inverse of its own barycentric
//! denominator: eleven operations each. Here the same accumulator comes from four. With T all points
//! x·ωⁱ that anything is opened at, dᵢ = x·ωⁱ − u and Z_S(u) the product of u − x·ωⁱ over a set S:
//!
//! - the polynomial r through the values eⱼ of a set of m points has
//!   r(u) = Z_S(u)·x^(1−m)·Σ βⱼ·eⱼ/(u − x·ωʲ), where βⱼ = 1/Π(ωʲ − ωˡ) is a constant;
//! - commitments of S weigh Z₀/Z_S, with Z₀ of the first set, so that r(u) weighs Z₀·x^(1−m): what
//!   depends on S only cancels;
//! - and 1/Z_S is a product of the 1/dᵢ, which all sets share.
//!
//! A test compares it with the library's, and native acceptance runs the library's.

use halo2_base::halo2_proofs::halo2curves::{CurveAffine, bn256::Bn256, ff::PrimeField};
use snark_verifier::{
    Error,
    loader::{LoadedScalar, Loader, ScalarLoader},
    pcs::{
        AccumulationDecider, AccumulationScheme, PolynomialCommitmentScheme, Query,
        kzg::{KzgAccumulator, KzgDecidingKey},
    },
    util::{arithmetic::Rotation, msm::Msm, transcript::TranscriptRead},
};
use snark_verifier_sdk::SHPLONK;
use std::collections::{BTreeMap, BTreeSet};

/// The scheme; everything but the equation is the library's.
#[derive(Clone, Debug)]
pub(super) struct Opening;

/// What the equation needs of setup and domain.
#[derive(Clone, Debug)]
pub(super) struct OpeningKey<C: CurveAffine> {
    pub(super) g: C,
    /// ω.
    pub(super) generator: C::ScalarExt,
}

/// [`OpeningKey`], and the pairing's key.
#[derive(Clone, Debug)]
pub(super) struct FinalKey<C: CurveAffine> {
    pub(super) opening: OpeningKey<C>,
    pub(super) pairing: KzgDecidingKey<Bn256>,
}

impl<C: CurveAffine> AsRef<OpeningKey<C>> for FinalKey<C> {
    fn as_ref(&self) -> &OpeningKey<C> {
        &self.opening
    }
}

/// What the transcript gives, in its order.
#[derive(Clone, Debug)]
pub(super) struct Opened<C: CurveAffine, L: Loader<C>> {
    /// Weighs polynomials of a set.
    mu: L::LoadedScalar,
    /// Weighs sets.
    gamma: L::LoadedScalar,
    w: L::LoadedEcPoint,
    /// u.
    at: L::LoadedScalar,
    w_prime: L::LoadedEcPoint,
}

impl<C, L> PolynomialCommitmentScheme<C, L> for Opening
where
    C: CurveAffine,
    C::ScalarExt: PrimeField,
    L: Loader<C>,
{
    type VerifyingKey = OpeningKey<C>;
    type Proof = Opened<C, L>;
    type Output = KzgAccumulator<C, L>;

    fn read_proof<T: TranscriptRead<C, L>>(
        _: &OpeningKey<C>,
        _: &[Query<Rotation>],
        transcript: &mut T,
    ) -> Result<Opened<C, L>, Error> {
        let mu = transcript.squeeze_challenge();
        let gamma = transcript.squeeze_challenge();
        let w = transcript.read_ec_point()?;
        let at = transcript.squeeze_challenge();
        let w_prime = transcript.read_ec_point()?;
        Ok(Opened { mu, gamma, w, at, w_prime })
    }

    fn verify(
        key: &OpeningKey<C>,
        commitments: &[Msm<'_, C, L>],
        x: &L::LoadedScalar,
        queries: &[Query<Rotation, L::LoadedScalar>],
        proof: &Opened<C, L>,
    ) -> Result<Self::Output, Error> {
        let sets = sets(queries);
        let points = Points::new(key.generator, &sets, (x, &proof.at));
        let mut left = Msm::default();
        let mut constant = None;
        let most = sets.iter().map(|set| set.polynomials.len()).max().unwrap_or(0);
        let powers_of_mu = proof.mu.powers(most);
        for (set, weight) in sets.iter().zip(proof.gamma.powers(sets.len())) {
            let values = points.weighted(set, &powers_of_mu) * &weight;
            constant = Some(constant.map_or(values.clone(), |sum: L::LoadedScalar| sum + &values));
            let weight = points.of_commitments(set, weight);
            for ((polynomial, _), power) in set.polynomials.iter().zip(&powers_of_mu) {
                left += commitments[*polynomial].clone() * &(power.clone() * &weight);
            }
        }
        let constant = constant.ok_or_else(|| Error::InvalidProtocol("no query".to_owned()))?;
        left += Msm::constant(-(constant * &points.first));
        left += Msm::base(&proof.w) * &-points.first.clone();
        let right = Msm::base(&proof.w_prime);
        left += right.clone() * &proof.at;
        Ok(KzgAccumulator::new(left.evaluate(Some(key.g)), right.evaluate(Some(key.g))))
    }
}

/// Polynomials that are opened at the same points.
struct Set<'a, T> {
    rotations: Vec<i32>,
    /// A polynomial's number and its values, in the order of the rotations.
    polynomials: Vec<(usize, Vec<&'a T>)>,
}

/// In the order of the first query of each polynomial, as the prover has them.
fn sets<T>(queries: &[Query<Rotation, T>]) -> Vec<Set<'_, T>> {
    let mut order: Vec<usize> = Vec::new();
    let mut opened: BTreeMap<usize, BTreeMap<i32, &T>> = BTreeMap::new();
    for query in queries {
        if !opened.contains_key(&query.poly) {
            order.push(query.poly);
        }
        opened.entry(query.poly).or_default().entry(query.shift.0).or_insert(&query.eval);
    }
    let mut sets: Vec<Set<'_, T>> = Vec::new();
    for polynomial in order {
        let values = opened.remove(&polynomial).unwrap_or_default();
        let (rotations, values): (Vec<i32>, Vec<&T>) = values.into_iter().unzip();
        match sets.iter_mut().find(|set| set.rotations == rotations) {
            Some(set) => set.polynomials.push((polynomial, values)),
            None => sets.push(Set { rotations, polynomials: vec![(polynomial, values)] }),
        }
    }
    sets
}

/// What is known of the points that anything is opened at.
struct Points<'a, F, T> {
    generator: F,
    /// 1/dᵢ by rotation.
    inverses: BTreeMap<i32, T>,
    /// 1/x.
    x_inverse: T,
    /// Z₀(u).
    first: T,
    first_rotations: &'a [i32],
}

fn power<F: PrimeField>(generator: F, rotation: i32) -> F {
    let inverse = Option::<F>::from(generator.invert()).unwrap_or(F::ZERO);
    let base = if rotation < 0 { inverse } else { generator };
    base.pow_vartime([u64::from(rotation.unsigned_abs())])
}

impl<'a, F: PrimeField, T: LoadedScalar<F>> Points<'a, F, T> {
    fn new<V>(generator: F, sets: &'a [Set<'_, V>], (x, at): (&T, &T)) -> Self {
        let loader = x.loader();
        let rotations: BTreeSet<i32> =
            sets.iter().flat_map(|set| set.rotations.iter().copied()).collect();
        let minus = loader.sum_with_coeff_and_const(&[(-F::ONE, at)], F::ZERO);
        let distance = |rotation: &i32| {
            let power = power(generator, *rotation);
            let terms = [(F::ONE, &minus), (power, x)];
            (*rotation, loader.sum_with_coeff_and_const(&terms, F::ZERO))
        };
        let mut inverses: BTreeMap<i32, T> = rotations.iter().map(distance).collect();
        // A product now: the inversion overwrites its operands.
        let first_rotations = sets.first().map_or(&[][..], |set| &set.rotations);
        let mut first: Option<T> = None;
        for rotation in first_rotations {
            let distance = &inverses[rotation];
            first = Some(first.map_or_else(
                || loader.sum_with_coeff_and_const(&[(-F::ONE, distance)], F::ZERO),
                |product| {
                    loader.sum_products_with_coeff_and_const(
                        &[(-F::ONE, &product, distance)],
                        F::ZERO,
                    )
                },
            ));
        }
        let first = first.unwrap_or_else(|| loader.load_const(&F::ONE));
        let mut x_inverse = loader.sum_with_coeff_and_const(&[(F::ONE, x)], F::ZERO);
        T::Loader::batch_invert(inverses.values_mut().chain(Some(&mut x_inverse)));
        Self { generator, inverses, x_inverse, first, first_rotations }
    }

    /// x^(1−m)·Σⱼ βⱼ/(u − x·ωʲ)·Σₚ μᵖ·e₍ₚ,ⱼ₎.
    fn weighted(&self, set: &Set<'_, T>, powers_of_mu: &[T]) -> T {
        let loader = self.first.loader();
        let weigh = |(j, rotation): (usize, &i32)| {
            let own = power(self.generator, *rotation);
            let others = set.rotations.iter().filter(|other| *other != rotation);
            let beta: F = others.map(|other| own - power(self.generator, *other)).product();
            let beta = Option::<F>::from(beta.invert()).unwrap_or(F::ZERO);
            let values = set.polynomials.iter().map(|(_, values)| values[j]);
            let values: Vec<(&T, &T)> = powers_of_mu.iter().zip(values).collect();
            let value = match values[..] {
                [(_, value)] => value.clone(),
                _ => loader.sum_products(&values),
            };
            // −β, because dⱼ is x·ωʲ − u.
            (loader.load_const(&-beta) * &self.inverses[rotation], value)
        };
        let weighted: Vec<(T, T)> = set.rotations.iter().enumerate().map(weigh).collect();
        let weighted: Vec<(&T, &T)> = weighted.iter().map(|(a, b)| (a, b)).collect();
        let sum = loader.sum_products(&weighted);
        match set.rotations.len() - 1 {
            0 => sum,
            others => sum * &self.x_inverse.pow_const(others as u64),
        }
    }

    /// `weight`·Z₀/Z_S.
    fn of_commitments(&self, set: &Set<'_, T>, weight: T) -> T {
        if set.rotations == self.first_rotations {
            return weight;
        }
        let product = set
            .rotations
            .iter()
            .fold(weight * &self.first, |product, rotation| product * &self.inverses[rotation]);
        if set.rotations.len().is_multiple_of(2) { product } else { -product }
    }
}

impl<C, L> AccumulationScheme<C, L> for Opening
where
    C: CurveAffine,
    L: Loader<C>,
    SHPLONK: AccumulationScheme<C, L, Accumulator = KzgAccumulator<C, L>>,
{
    type Accumulator = KzgAccumulator<C, L>;
    type VerifyingKey = <SHPLONK as AccumulationScheme<C, L>>::VerifyingKey;
    type Proof = <SHPLONK as AccumulationScheme<C, L>>::Proof;

    fn read_proof<T: TranscriptRead<C, L>>(
        key: &Self::VerifyingKey,
        accumulators: &[Self::Accumulator],
        transcript: &mut T,
    ) -> Result<Self::Proof, Error> {
        <SHPLONK as AccumulationScheme<C, L>>::read_proof(key, accumulators, transcript)
    }

    fn verify(
        key: &Self::VerifyingKey,
        accumulators: &[Self::Accumulator],
        proof: &Self::Proof,
    ) -> Result<Self::Accumulator, Error> {
        <SHPLONK as AccumulationScheme<C, L>>::verify(key, accumulators, proof)
    }
}

impl<C, L> AccumulationDecider<C, L> for Opening
where
    C: CurveAffine,
    L: Loader<C>,
    SHPLONK: AccumulationDecider<
            C,
            L,
            Accumulator = KzgAccumulator<C, L>,
            DecidingKey = KzgDecidingKey<Bn256>,
        >,
{
    type DecidingKey = FinalKey<C>;

    fn decide(key: &FinalKey<C>, accumulator: Self::Accumulator) -> Result<(), Error> {
        <SHPLONK as AccumulationDecider<C, L>>::decide(&key.pairing, accumulator)
    }

    fn decide_all(key: &FinalKey<C>, accumulators: Vec<Self::Accumulator>) -> Result<(), Error> {
        <SHPLONK as AccumulationDecider<C, L>>::decide_all(&key.pairing, accumulators)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{
        evm::RootLimbs,
        forge::{FORGE, forge, honest},
    };
    use halo2_base::halo2_proofs::halo2curves::bn256::G1Affine;
    use protocol::Kind;
    use snark_verifier::{
        loader::native::NativeLoader,
        system::halo2::transcript::evm::EvmTranscript,
        verifier::{SnarkVerifier, plonk::PlonkSuccinctVerifier},
    };

    type Library = PlonkSuccinctVerifier<SHPLONK, RootLimbs>;
    type Ours = PlonkSuccinctVerifier<Opening, RootLimbs>;

    /// Of a proof that holds and of one that does not: it is the same equation.
    #[test]
    fn the_accumulator_is_the_librarys() {
        let keys = &FORGE.verifying;
        let (protocol, words) = (keys.protocol(Kind::Root), honest(Kind::Root));
        let key = OpeningKey { g: keys.setup().g, generator: protocol.domain.r#gen };
        let good = forge(Kind::Root, &words);
        let mut bad = good.clone();
        // The lowest byte of the last evaluation.
        let at = bad.len() - 2 * 64 - 1;
        bad[at] ^= 1;
        let instances = [words];
        let mut accumulators = Vec::new();
        for proof in [&good, &bad] {
            let transcript =
                || EvmTranscript::<G1Affine, NativeLoader, _, _>::new(proof.as_slice());
            let svk = keys.setup().g.into();
            let read = Library::read_proof(&svk, protocol, &instances, &mut transcript()).unwrap();
            let library = Library::verify(&svk, protocol, &instances, &read).unwrap();
            let read = Ours::read_proof(&key, protocol, &instances, &mut transcript()).unwrap();
            let ours = Ours::verify(&key, protocol, &instances, &read).unwrap();
            for (library, ours) in library.iter().zip(&ours) {
                assert_eq!((library.lhs, library.rhs), (ours.lhs, ours.rhs));
            }
            accumulators.push(ours[0].lhs);
        }
        assert_ne!(accumulators[0], accumulators[1]);
    }
}
