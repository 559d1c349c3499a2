//! Poison: proofs that hold, with public words no circuit of the family would show.
//!
//! The keys here are of circuits that show whatever words they are given, so that every proof is
//! valid as a proof and only acceptance stands between its words and a parent.

use super::*;
use crate::recursion::family::N_PI;
use crate::setup::forge::{FORGE, forge, forge_with, honest, library_accepts, limbs};
use halo2_base::utils::{biguint_to_fe, fe_to_biguint, modulus};
use num_bigint::BigUint;
use rand::RngCore;

fn judge(kind: Kind, words: &[Fr], proof: &[u8]) -> Result<Accepted, Refusal> {
    let words: Vec<Word> = words.iter().map(|word| to_word(*word)).collect();
    accept(&FORGE.verifying, kind, &words, proof)
}

/// A valid proof of exactly these words.
fn judge_words(kind: Kind, words: &[Fr]) -> Result<Accepted, Refusal> {
    let proof = forge(kind, words);
    if kind != Kind::Root {
        assert!(library_accepts(kind, words, &proof), "the proof itself holds");
    }
    judge(kind, words, &proof)
}

#[test]
fn an_honest_proof_of_every_kind_is_accepted_with_its_words() {
    for kind in Kind::ALL {
        let mut words = honest(kind);
        let first = if kind == Kind::Root { ROOT_ACCUMULATOR } else { WORDS + 1 };
        words[first] = Fr::from(77);
        let accepted = judge_words(kind, &words).unwrap();
        assert_eq!((accepted.kind(), accepted.words().len()), (kind, words.len() - first));
        assert_eq!(accepted.words()[0], to_word(Fr::from(77)));
    }
}

#[test]
fn a_foreign_self_digest_is_refused() {
    for kind in [Kind::Tx, Kind::Vm, Kind::Kernel, Kind::Base, Kind::Merge] {
        let mut words = honest(kind);
        words[WORDS] += Fr::ONE;
        assert_eq!(judge_words(kind, &words), Err(Refusal::SelfDigest), "{kind}");
    }
    let mut words = honest(Kind::Base);
    words[WORDS] = FORGE.verifying.digest(Kind::Base);
    assert_eq!(judge_words(Kind::Base, &words), Err(Refusal::SelfDigest));
}

#[test]
fn a_second_encoding_of_the_accumulator_is_refused() {
    for coordinate in 0..4 {
        let mut words = honest(Kind::Merge);
        let at = LIMBS * coordinate;
        let number = words[at..at + LIMBS]
            .iter()
            .rev()
            .fold(BigUint::default(), |number, limb| (number << LIMB_BITS) + fe_to_biguint(limb));
        let number = number + modulus::<Fq>();
        for limb in 0..LIMBS {
            let mask = (BigUint::from(1u8) << LIMB_BITS) - 1u8;
            words[at + limb] = biguint_to_fe(&((&number >> (LIMB_BITS * limb)) & mask));
        }
        assert_eq!(judge_words(Kind::Merge, &words), Err(Refusal::Accumulator));
    }
}

#[test]
fn limbs_out_of_range_and_points_that_are_none_are_refused() {
    let big: Fr = biguint_to_fe(&(BigUint::from(1u8) << LIMB_BITS));
    let mut carried_over = honest(Kind::Kernel);
    carried_over[0] += big;
    carried_over[1] -= Fr::ONE;
    let mut off_curve = honest(Kind::Kernel);
    off_curve[0] += Fr::ONE;
    let mut identity = honest(Kind::Kernel);
    identity[..2 * LIMBS].fill(Fr::ZERO);
    for words in [carried_over, off_curve, identity] {
        assert_eq!(judge_words(Kind::Kernel, &words), Err(Refusal::Accumulator));
    }
}

#[test]
fn a_client_cannot_carry_anything() {
    let setup = *FORGE.verifying.setup();
    let twice = |point: G1Affine| (point * Fr::from(2)).to_affine();
    for kind in [Kind::Tx, Kind::Vm] {
        for at in [GENERATOR, CARRIED, WORDS - 1] {
            let mut words = honest(kind);
            words[at] = Fr::ONE;
            assert_eq!(judge_words(kind, &words), Err(Refusal::Carried(kind)));
        }
        // False, and true but not the constant one.
        for pair in [(twice(setup.tau_g), setup.g), (twice(setup.tau_g), twice(setup.g))] {
            let mut words = honest(kind);
            words[..ACCUMULATOR].copy_from_slice(&limbs(kind, pair.0, pair.1));
            assert_eq!(judge_words(kind, &words), Err(Refusal::Accumulator));
        }
    }
}

#[test]
fn a_carried_claim_is_settled_with_the_real_keys() {
    let setup = *FORGE.verifying.setup();
    let mut false_claim = honest(Kind::Base);
    let twice = (setup.tau_g * Fr::from(2)).to_affine();
    false_claim[..ACCUMULATOR].copy_from_slice(&limbs(Kind::Base, twice, setup.g));
    assert_eq!(judge_words(Kind::Base, &false_claim), Err(Refusal::Claim));

    // left + s·V + g·G = τG, where V is a commitment of the base key: true.
    let commitments = |kind| FORGE.verifying.protocol(kind).preprocessed.iter();
    let differ = |(base, merge): (&G1Affine, &G1Affine)| base != merge;
    let index = commitments(Kind::Base).zip(commitments(Kind::Merge)).position(differ).unwrap();
    let (base, merge) = (CARRIED + index, CARRIED + COMMITMENTS + index);
    let (s, g) = (Fr::from(5), Fr::from(3));
    let commitment = FORGE.verifying.protocol(Kind::Base).preprocessed[index];
    let left = setup.tau_g - (commitment * s).to_affine() - (setup.g * g).to_affine();
    let mut words = honest(Kind::Merge);
    words[..ACCUMULATOR].copy_from_slice(&limbs(Kind::Base, left.to_affine(), setup.g));
    (words[base], words[GENERATOR]) = (s, g);
    judge_words(Kind::Merge, &words).unwrap();
    // The same scalar moved to another slot, dropped, doubled.
    let changes: [fn(&mut Vec<Fr>, usize, usize); 3] = [
        |words, base, merge| words.swap(base, merge),
        |words, base, _| words[base] = Fr::ZERO,
        |words, base, _| words[base] = words[base].double(),
    ];
    for change in changes {
        let mut words = words.clone();
        change(&mut words, base, merge);
        assert_eq!(judge_words(Kind::Merge, &words), Err(Refusal::Claim));
    }
    // The slot that the tree's proofs do not use.
    words[WORDS - 1] = Fr::ONE;
    assert_eq!(judge_words(Kind::Merge, &words), Err(Refusal::Carried(Kind::Merge)));
}

#[test]
fn a_false_accumulator_in_a_root_proof_is_refused() {
    let setup = *FORGE.verifying.setup();
    let mut words = honest(Kind::Root);
    let twice = (setup.tau_g * Fr::from(2)).to_affine();
    words[..ROOT_ACCUMULATOR].copy_from_slice(&limbs(Kind::Root, twice, setup.g));
    assert_eq!(judge_words(Kind::Root, &words), Err(Refusal::Claim));
}

#[test]
fn an_extra_public_word_is_refused() {
    let mut words = honest(Kind::Base);
    words.push(Fr::from(3));
    let refused = Refusal::WordCount { kind: Kind::Base, expected: N_PI, got: N_PI + 1 };
    assert_eq!(judge_words(Kind::Base, &words), Err(refused));
}

/// Randomness that is none: columns without cells then commit to the identity.
struct Zeros;

impl RngCore for Zeros {
    fn next_u32(&mut self) -> u32 {
        0
    }
    fn next_u64(&mut self) -> u64 {
        0
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand::Error> {
        bytes.fill(0);
        Ok(())
    }
}

#[test]
fn a_proof_with_the_identity_among_its_points_holds_and_is_refused() {
    let words = honest(Kind::Tx);
    let proof = forge_with(Kind::Tx, &words, Zeros);
    assert!(library_accepts(Kind::Tx, &words, &proof));
    assert!(matches!(judge(Kind::Tx, &words, &proof), Err(Refusal::Identity(_))));
}

#[test]
fn a_proof_has_one_byte_string() {
    let words = honest(Kind::Base);
    let proof = forge(Kind::Base, &words);
    let length = proof.len();
    let mut longer = proof.clone();
    longer.push(0);
    assert!(library_accepts(Kind::Base, &words, &longer));
    let refused = Refusal::Length { kind: Kind::Base, expected: length, got: length + 1 };
    assert_eq!(judge(Kind::Base, &words, &longer), Err(refused));
    // The infinity bit of a point whose x is not 0 is ignored by the library.
    let mut flagged = proof.clone();
    flagged[31] ^= 0x80;
    assert!(library_accepts(Kind::Base, &words, &flagged));
    assert_eq!(judge(Kind::Base, &words, &flagged), Err(Refusal::Encoding(0)));
    // No other bit can be flipped either.
    for at in (0..length).step_by(5) {
        let mut flipped = proof.clone();
        flipped[at] ^= 1 << (at % 8);
        judge(Kind::Base, &words, &flipped).unwrap_err();
    }
}

#[test]
fn a_root_proof_has_one_byte_string() {
    let words = honest(Kind::Root);
    let proof = forge(Kind::Root, &words);
    judge(Kind::Root, &words, &proof).unwrap();
    for at in (0..proof.len()).step_by(7) {
        let mut flipped = proof.clone();
        flipped[at] ^= 1 << (at % 8);
        judge(Kind::Root, &words, &flipped).unwrap_err();
    }
    // x + p is below 2^256 and would be another string for the same point.
    let mut shifted = proof;
    let x = BigUint::from_bytes_be(&shifted[..32]) + modulus::<Fq>();
    shifted[..32].copy_from_slice(&x.to_bytes_be());
    assert_eq!(judge(Kind::Root, &words, &shifted), Err(Refusal::Encoding(0)));
}

#[test]
fn a_proof_of_other_words_or_of_another_kind_is_refused() {
    let words = honest(Kind::Base);
    let proof = forge(Kind::Base, &words);
    for at in [WORDS + 1, WORDS + 7] {
        let mut others = words.clone();
        others[at] += Fr::ONE;
        assert_eq!(judge(Kind::Base, &others, &proof), Err(Refusal::Proof));
    }
    assert_eq!(judge(Kind::Merge, &words, &proof), Err(Refusal::Proof));
}

#[test]
fn words_no_parent_could_sum_are_refused() {
    let power = |bits: u32| Fr::from(2).pow([u64::from(bits)]);
    let (count, payee, aux) = (WORDS + 4, WORDS + 6, WORDS + 7);
    for (kind, at, bits) in [
        (Kind::Merge, count, 32),
        (Kind::Merge, payee, 160),
        (Kind::Merge, aux, 64),
        (Kind::Vm, payee, 160),
        (Kind::Root, ROOT_ACCUMULATOR + 6, 64),
        (Kind::Root, ROOT_ACCUMULATOR + 7, 64),
    ] {
        let mut words = honest(kind);
        words[at] = power(bits) - Fr::ONE;
        judge_words(kind, &words).unwrap();
        words[at] = power(bits);
        assert_eq!(judge_words(kind, &words), Err(Refusal::Bounds(at)), "{kind} {at}");
    }
}

#[test]
fn a_word_not_below_the_order_is_refused() {
    let words = honest(Kind::Base);
    let proof = forge(Kind::Base, &words);
    let mut bytes: Vec<Word> = words.iter().map(|word| to_word(*word)).collect();
    let shifted = BigUint::from_bytes_be(&bytes[WORDS + 1]) + modulus::<Fr>();
    bytes[WORDS + 1].copy_from_slice(&shifted.to_bytes_be());
    let refused = accept(&FORGE.verifying, Kind::Base, &bytes, &proof);
    assert_eq!(refused, Err(Refusal::NotCanonical(WORDS + 1)));
}
