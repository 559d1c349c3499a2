//! The circuit family: what all circuits but `root` share, so that one verifier fits every child.
//!
//! Same columns, same gates, same public words; kinds differ in height and key only. That equality
//! is what lets a parent read a child of either allowed kind with one set of constraints, and
//! [`same_shape`] refuses keys that break it.

use super::verify::Child;
use crate::gates::{
    Cell, LIMB_BITS, LIMBS,
    columns::{COPYABLE, FIXED, Layout},
};
use halo2_base::halo2_proofs::halo2curves::{
    bn256::{Fr, G1Affine},
    group::{Curve, GroupEncoding, prime::PrimeCurveAffine},
};
use protocol::Kind;
use snark_verifier::{
    system::halo2::Config, util::arithmetic::fe_to_limbs, verifier::plonk::PlonkProtocol,
};
use std::collections::BTreeMap;

/// Limbs of an accumulator: two points, two coordinates each, four limbs of 64 bits.
pub const ACCUMULATOR: usize = 4 * LIMBS;
/// Limbs of the accumulator of `root`: three of 88 bits, as L1 reads them.
pub const ROOT_ACCUMULATOR: usize = 12;
/// Position of the carried scalar of the setup's generator G.
pub const GENERATOR: usize = ACCUMULATOR;
/// Position of the carried scalars: [`COMMITMENTS`] for each of [`SLOTS`] keys.
pub const CARRIED: usize = GENERATOR + 1;
/// Commitments of a family key: fixed columns, and columns with copies.
pub const COMMITMENTS: usize = FIXED + COPYABLE;
/// The kinds that can be somebody's child.
pub const FAMILY: [Kind; 5] = [Kind::Tx, Kind::Vm, Kind::Kernel, Kind::Base, Kind::Merge];
/// Keys whose scalars a proof has room for: [`carried_kinds`] says which.
pub const SLOTS: usize = 3;
/// Position of the application's words.
pub const WORDS: usize = CARRIED + SLOTS * COMMITMENTS;
/// The application's words of a family circuit: self, start, end, txs, count, credit, payee, aux.
pub const WORD_COUNT: usize = 8;
/// Public words of a family circuit.
pub const N_PI: usize = WORDS + WORD_COUNT;
/// Words `root` shows L1: start, end, txs, count, credit, payee, units, fees, set.
pub const ROOT_WORD_COUNT: usize = 9;
/// Public words of `root`: the accumulator and [`ROOT_WORD_COUNT`].
pub const ROOT_N_PI: usize = ROOT_ACCUMULATOR + ROOT_WORD_COUNT;

/// Number of public words of `kind`.
#[must_use]
pub const fn public_words(kind: Kind) -> usize {
    match kind {
        Kind::Root => ROOT_N_PI,
        Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge => N_PI,
    }
}

/// log₂ of the rows of `kind`.
#[must_use]
pub const fn height(kind: Kind) -> u32 {
    match kind {
        Kind::Tx => 12,
        Kind::Vm => 14,
        Kind::Kernel | Kind::Base | Kind::Merge => 17,
        Kind::Root => 18,
    }
}

/// How the cells of `kind` are arranged.
#[must_use]
pub const fn layout(kind: Kind) -> Layout {
    match kind {
        Kind::Root => Layout::Narrow,
        Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge => Layout::Wide,
    }
}

/// Words of the accumulator `kind` shows.
#[must_use]
pub const fn accumulator_words(kind: Kind) -> usize {
    match kind {
        Kind::Root => ROOT_ACCUMULATOR,
        Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge => ACCUMULATOR,
    }
}

/// The kinds allowed at each child position of `kind`; empty for kinds that verify nothing.
#[must_use]
pub const fn positions(kind: Kind) -> &'static [&'static [Kind]] {
    match kind {
        Kind::Tx | Kind::Vm => &[],
        Kind::Kernel => &[&[Kind::Tx, Kind::Kernel], &[Kind::Vm]],
        Kind::Base => &[&[Kind::Tx, Kind::Kernel]],
        Kind::Merge => &[&[Kind::Base, Kind::Merge], &[Kind::Base, Kind::Merge]],
        Kind::Root => &[&[Kind::Base, Kind::Merge]],
    }
}

/// Whose key digest word 0 of `kind` holds; `None` means the word is the constant 0 (`root` has no
/// such word). Every parent, and native acceptance, compare a child's word 0 by this table:
/// `kernel` and `merge` with the digest they show themselves, `base` and `root` with a constant.
#[must_use]
pub const fn self_word(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Tx | Kind::Vm | Kind::Root => None,
        Kind::Kernel => Some(Kind::Kernel),
        Kind::Base | Kind::Merge => Some(Kind::Merge),
    }
}

/// The kinds a proof of `kind` carries scalars of, in the order of its slots; those left over hold
/// 0. Up to a tx's `base` they are of the keys below it; `base` multiplies these out, and from there
/// on they are of the tree's keys, which `root` multiplies out.
#[must_use]
pub const fn carried_kinds(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Tx | Kind::Vm | Kind::Kernel => &[Kind::Tx, Kind::Vm, Kind::Kernel],
        Kind::Base | Kind::Merge => &[Kind::Base, Kind::Merge],
        Kind::Root => &[],
    }
}

/// The slot of `kind`'s own key, in its proofs and in claims over them; `None` for `root`.
#[must_use]
pub fn carried_index(kind: Kind) -> Option<usize> {
    carried_kinds(kind).iter().position(|carried| *carried == kind)
}

/// The kinds whose keys a circuit multiplies out: its children's claims carry none of them on.
#[must_use]
pub const fn resolved_kinds(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Merge => &[],
        Kind::Base => carried_kinds(Kind::Kernel),
        Kind::Root => carried_kinds(Kind::Merge),
    }
}

/// How snark-verifier reads the keys of `kind`.
#[must_use]
pub fn protocol_config(kind: Kind) -> Config {
    let accumulator = (0..accumulator_words(kind)).map(|row| (0, row)).collect();
    Config::kzg()
        .with_num_instance(vec![public_words(kind)])
        .with_accumulator_indices(Some(accumulator))
}

/// What other circuits need of a family key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// The digest the key's transcripts start from.
    pub digest: Fr,
    /// log₂ of the circuit's rows.
    pub k: u32,
    /// Commitments of the preprocessed polynomials, [`COMMITMENTS`] of them.
    pub commitments: Vec<G1Affine>,
}

/// The family's keys as far as they are known: all five once key generation is over.
pub type FamilyKeys = BTreeMap<Kind, KeyFacts>;

/// A kind a child may have, and the bit that says it does.
#[derive(Clone, Copy, Debug)]
pub struct KindFlag {
    /// The kind.
    pub kind: Kind,
    /// Constrained to be 0 or 1; the flags of a child sum to 1.
    pub flag: Cell,
}

/// What a parent's application sees of a child whose proof was verified.
#[derive(Clone, Debug)]
pub struct ChildCells {
    /// self, start, end, txs, count, credit, payee, aux.
    pub words: [Cell; WORD_COUNT],
    /// One per kind allowed at this position. The same bits chose the key's digest, height and
    /// carried slot, so a meaning selected with them is the meaning of the key that was used.
    pub flags: Vec<KindFlag>,
}

impl ChildCells {
    /// The flag of `kind`; `None` when that kind is not allowed here.
    #[must_use]
    pub fn flag(&self, kind: Kind) -> Option<Cell> {
        self.flags.iter().find(|flag| flag.kind == kind).map(|flag| flag.flag)
    }
}

/// The parts of a proof, in order: commitments, evaluations, two points of the multi-opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofLayout {
    /// Points before the evaluations.
    pub commitments: usize,
    /// Field elements.
    pub evaluations: usize,
    /// Points after the evaluations (SHPLONK's W and W').
    pub openings: usize,
}

impl ProofLayout {
    /// The layout of proofs of `protocol`.
    #[must_use]
    pub fn of(protocol: &PlonkProtocol<G1Affine>) -> Self {
        let witnesses: usize = protocol.num_witness.iter().sum();
        let commitments = witnesses + protocol.quotient.num_chunk();
        Self { commitments, evaluations: protocol.evaluations.len(), openings: 2 }
    }

    /// Bytes of a proof whose points take `point` bytes and field elements 32.
    #[must_use]
    pub const fn bytes(&self, point: usize) -> usize {
        (self.commitments + self.openings) * point + self.evaluations * 32
    }
}

/// A child that proves nothing, for key generation: keys depend on a circuit's constraints alone,
/// and those are the same for any child of the family's shape. All points are on the curve, so
/// that writing the witness meets no exception.
#[must_use]
pub fn placeholder(kind: Kind, protocol: &PlonkProtocol<G1Affine>) -> Child {
    let layout = ProofLayout::of(protocol);
    let mut multiple = G1Affine::generator().to_curve();
    let mut point = || {
        multiple += G1Affine::generator();
        multiple.to_affine()
    };
    let mut proof = Vec::with_capacity(layout.bytes(32));
    (0..layout.commitments).for_each(|_| proof.extend_from_slice(point().to_bytes().as_ref()));
    (0..layout.evaluations).for_each(|i| proof.extend(Fr::from(i as u64 + 1).to_bytes()));
    (0..layout.openings).for_each(|_| proof.extend_from_slice(point().to_bytes().as_ref()));
    let coordinates = [point(), point()].into_iter().flat_map(|point| [point.x, point.y]);
    let mut instances: Vec<Fr> =
        coordinates.flat_map(fe_to_limbs::<_, Fr, LIMBS, LIMB_BITS>).collect();
    instances.extend((instances.len()..public_words(kind)).map(|i| Fr::from(i as u64)));
    Child { kind, instances, proof }
}

/// The protocol without what may differ between kinds: key, digest, height.
fn shape(protocol: &PlonkProtocol<G1Affine>) -> Result<String, serde_json::Error> {
    let mut shape = protocol.clone();
    shape.preprocessed.clear();
    shape.transcript_initial_state = None;
    shape.domain = snark_verifier::util::arithmetic::Domain::new(1, -Fr::one());
    serde_json::to_string(&shape)
}

/// Whether `a` and `b` are one shape: a verifier written for one is right for the other.
///
/// # Errors
/// Never in practice: serialising a protocol to a string does not fail.
pub fn same_shape(
    a: &PlonkProtocol<G1Affine>,
    b: &PlonkProtocol<G1Affine>,
) -> Result<bool, serde_json::Error> {
    Ok(a.preprocessed.len() == b.preprocessed.len() && shape(a)? == shape(b)?)
}
