//! A whole circuit: children verified, claims accumulated, public words shown.
//!
//! The final claim of a proof is e₀ + Σ rⱼ·eⱼ = 0 over all accumulators of its children, own and
//! carried, with eⱼ = left + g·G + Σ scalars·commitments − τ·right. The same rⱼ scales the points,
//! the scalar of G and every carried scalar of accumulator j. What binds a child's key is its
//! *slot* (which carried scalars its coefficients are added to) and the final resolution with the
//! real keys; the digest only seeds the child's transcript.

use super::{
    family::{
        ACCUMULATOR, COMMITMENTS, ChildCells, FamilyKeys, KindFlag, WORD_COUNT, WORDS, height,
        layout, positions, self_word,
    },
    msm::multiply,
    points::{Base, Combination, SymbolicEcc, SymbolicLoader, limbs_of},
    sponge::Sponge,
    transcript::{Purpose, hash},
};
use crate::gates::{Cell, Draft, Gates, LIMB_BITS, LIMBS, draft::start, sheet::TooLarge};
use claim::{Claim, accumulate, resolve};
use halo2_base::{
    Context,
    QuantumCell::{self, Constant, Existing},
    gates::{GateChip, GateInstructions, RangeInstructions},
    halo2_proofs::halo2curves::{
        bn256::{Fr, G1Affine},
        ff::Field,
    },
    utils::{biguint_to_fe, fe_to_biguint},
};
use num_bigint::BigUint;
use protocol::Kind;
use snark_verifier::{
    loader::halo2::Halo2Loader,
    pcs::kzg::{KzgSuccinctVerifyingKey, LimbsEncoding},
    util::{arithmetic::fe_to_limbs, transcript::Transcript},
    verifier::{
        SnarkVerifier,
        plonk::{PlonkProtocol, PlonkSuccinctVerifier},
    },
};
use snark_verifier_sdk::SHPLONK;
use std::{mem, rc::Rc};

mod claim;

/// Why a circuit cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Another number of children than the kind verifies.
    #[error("{kind} verifies {expected} children, got {got}")]
    Children {
        /// The circuit.
        kind: Kind,
        /// Positions it has.
        expected: usize,
        /// Children given.
        got: usize,
    },
    /// A kind that must not stand at this position.
    #[error("{child} cannot be child {position} of {parent}")]
    Position {
        /// The child's kind.
        child: Kind,
        /// From 0.
        position: usize,
        /// The circuit.
        parent: Kind,
    },
    /// A key this circuit needs is not known; there are no default keys.
    #[error("key of {0} is missing; generate the keys in order")]
    MissingKey(Kind),
    /// A child's bytes are no proof of the family. Accept children before building.
    #[error("child {position} is no proof of the family: {why}")]
    Proof {
        /// From 0.
        position: usize,
        /// What the verifier says.
        why: String,
    },
    /// The application refuses the witness.
    #[error("{0}")]
    Application(String),
    /// The circuit does not fit its height.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl BuildError {
    /// Stable code for operators.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Children { .. } => "CIR-001",
            Self::Position { .. } => "CIR-002",
            Self::MissingKey(_) => "CIR-003",
            Self::Proof { .. } => "CIR-004",
            Self::Application(_) => "CIR-005",
            Self::TooLarge(_) => "CIR-006",
        }
    }
}

/// A proof as a child of the circuit being built. Accept it first: a child that is not accepted
/// gives a circuit no witness satisfies.
#[derive(Clone, Debug)]
pub struct Child {
    /// Which circuit made it.
    pub kind: Kind,
    /// Its public words, [`super::family::N_PI`] of them.
    pub instances: Vec<Fr>,
    /// Its proof bytes.
    pub proof: Vec<u8>,
}

/// The circuit to build and what its constants are.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Which circuit.
    pub kind: Kind,
    /// Of the circuit set: a constant of every circuit, so that two sets share no key.
    pub revision: u32,
    /// (τG, G) of the setup.
    pub setup: [G1Affine; 2],
    /// The family's keys; a parent needs its possible children's and those it multiplies out.
    pub keys: &'a FamilyKeys,
    /// What the circuit shows as word 0: a witness. 0 while the key it names is being made.
    pub own: Fr,
}

/// What the application sees while it writes its part.
pub struct Site<'a> {
    /// Where cells go.
    pub ctx: &'a mut Context<Fr>,
    /// Arithmetic, range checks, the hash.
    pub gates: &'a Gates,
    /// Verified children, in order of position.
    pub children: &'a [ChildCells],
}

impl Plan<'_> {
    /// The height of a child's kind; its own kind's key may not be known yet.
    fn height(&self, kind: Kind) -> u32 {
        self.keys.get(&kind).map_or(height(kind), |key| key.k)
    }

    fn digest(&self, kind: Kind) -> Result<Fr, BuildError> {
        self.keys.get(&kind).map(|key| key.digest).ok_or(BuildError::MissingKey(kind))
    }
}

/// A circuit that verifies nothing. Its accumulator is the pair (τG, G), trivially valid, and all
/// carried scalars are 0: as constants, so that no client can poison the tree with a pair that
/// fails only at the root. `application` gives words 1 to 7.
///
/// # Errors
/// What the application refuses.
pub fn build_leaf(
    plan: &Plan<'_>,
    application: impl FnOnce(Site<'_>) -> Result<Vec<Cell>, BuildError>,
) -> Result<Draft, BuildError> {
    let k = height(plan.kind);
    let (mut builder, gates) = start(k);
    let ctx = builder.main(0);
    ctx.load_constant(Fr::from(u64::from(plan.revision)));
    let limbs = plan.setup.iter().flat_map(|point| [point.x, point.y]);
    let limbs = limbs.flat_map(fe_to_limbs::<_, Fr, LIMBS, LIMB_BITS>);
    let mut public: Vec<Cell> = limbs.map(|limb| ctx.load_constant(limb)).collect();
    let zero = ctx.load_constant(Fr::ZERO);
    public.resize(WORDS + 1, zero);
    let words = application(Site { ctx, gates: &gates, children: &[] })?;
    assert_eq!(words.len() + 1, WORD_COUNT, "words 1 to 7");
    public.extend(words);
    let mut draft = Draft::finish(builder, gates, k);
    draft.show(public);
    Ok(draft)
}

/// A circuit that verifies `children`, which are proofs of `shape` (the protocol all family kinds
/// share). `application` gives words 1 to 7, or the nine words of `root`.
///
/// # Errors
/// Children that cannot stand there or are no proofs, keys that are missing, and what the
/// application refuses.
pub fn build_parent(
    plan: &Plan<'_>,
    shape: &PlonkProtocol<G1Affine>,
    children: &[Child],
    application: impl FnOnce(Site<'_>) -> Result<Vec<Cell>, BuildError>,
) -> Result<Draft, BuildError> {
    check_positions(plan.kind, children)?;
    let k = height(plan.kind);
    let (mut builder, gates) = start(k);
    let ecc = SymbolicEcc::new(&gates);
    let loader = Halo2Loader::new(ecc.clone(), mem::take(builder.pool(0)));
    let own = loader.ctx_mut().main().load_witness(plan.own);
    loader.ctx_mut().main().load_constant(Fr::from(u64::from(plan.revision)));
    let verified = verify_children(plan, shape, children, (&loader, own))?;
    let mut pool = loader.take_ctx();
    let ctx = pool.main();
    let seed = seed(&ecc, ctx, &verified);
    let mut claim = accumulate(&ecc, ctx, &verified, seed);
    resolve(&ecc, ctx, &mut claim, plan)?;
    let mut public = settle(&ecc, ctx, &mut claim, (plan.kind, seed));
    if plan.kind != Kind::Root {
        public.push(claim.generator);
        public.extend(claim.carried.iter().flatten());
        public.push(own);
    }
    let cells: Vec<ChildCells> = verified.iter().map(Verified::cells).collect();
    public.extend(application(Site { ctx, gates: &gates, children: &cells })?);
    assert_eq!(public.len(), super::family::public_words(plan.kind), "public words");
    *builder.pool(0) = pool;
    drop((loader, ecc));
    let mut draft = Draft::finish(builder, gates, k).arranged(layout(plan.kind));
    draft.show(public);
    Ok(draft)
}

fn check_positions(kind: Kind, children: &[Child]) -> Result<(), BuildError> {
    let positions = positions(kind);
    if positions.len() != children.len() {
        let (expected, got) = (positions.len(), children.len());
        return Err(BuildError::Children { kind, expected, got });
    }
    for (position, (allowed, child)) in positions.iter().zip(children).enumerate() {
        if !allowed.contains(&child.kind) {
            return Err(BuildError::Position { child: child.kind, position, parent: kind });
        }
    }
    Ok(())
}

/// A child whose verifier ran: all of it but the pairing.
struct Verified {
    public: Vec<Cell>,
    flags: Vec<KindFlag>,
    /// Squeezed after everything of this child was absorbed.
    squeeze: Cell,
    /// Left and right of the proof's own accumulator and of the one it carries.
    accumulators: Vec<[Combination; 2]>,
}

impl Verified {
    fn cells(&self) -> ChildCells {
        let words = std::array::from_fn(|word| self.public[WORDS + word]);
        ChildCells { words, flags: self.flags.clone() }
    }
}

type Loading<'a, 'c> = (&'a Rc<SymbolicLoader<'c>>, Cell);

fn verify_children<'c>(
    plan: &Plan<'_>,
    shape: &PlonkProtocol<G1Affine>,
    children: &[Child],
    loading: Loading<'_, 'c>,
) -> Result<Vec<Verified>, BuildError> {
    let mut verified = Vec::with_capacity(children.len());
    for (position, child) in children.iter().enumerate() {
        verified.push(verify_child(plan, shape, (position, child), loading)?);
    }
    Ok(verified)
}

fn verify_child<'c>(
    plan: &Plan<'_>,
    shape: &PlonkProtocol<G1Affine>,
    (position, child): (usize, &Child),
    (loader, own): Loading<'_, 'c>,
) -> Result<Verified, BuildError> {
    let refuse =
        |why: snark_verifier::Error| BuildError::Proof { position, why: format!("{why:?}") };
    let svk: KzgSuccinctVerifyingKey<G1Affine> = plan.setup[1].into();
    let protocol = load_protocol(plan, shape, (position, child), loader)?;
    let flags = {
        let mut pool = loader.ctx_mut();
        select_key(plan, (position, child), &protocol, (pool.main(), own))?
    };
    let instances: Vec<_> =
        child.instances.iter().map(|word| loader.assign_scalar(*word)).collect();
    let public: Vec<Cell> = instances.iter().map(|word| word.clone().into_assigned()).collect();
    let instances = [instances];
    let mut transcript = Sponge::new(loader, &child.proof);
    type Verifier = PlonkSuccinctVerifier<SHPLONK, LimbsEncoding<LIMBS, LIMB_BITS>>;
    let proof =
        Verifier::read_proof(&svk, &protocol, &instances, &mut transcript).map_err(refuse)?;
    let squeeze = transcript.squeeze_challenge().into_assigned();
    let accumulators = Verifier::verify(&svk, &protocol, &instances, &proof).map_err(refuse)?;
    let sides = accumulators.into_iter().map(|pair| [pair.lhs, pair.rhs]);
    let accumulators: Vec<_> = sides.map(|sides| sides.map(|side| side.into_assigned())).collect();
    assert_eq!(accumulators.len(), 2, "own and carried accumulator");
    constrain_self_word(plan, (&flags, public[WORDS]), (loader.ctx_mut().main(), own))?;
    Ok(Verified { public, flags, squeeze, accumulators })
}

type Protocol<'c> = PlonkProtocol<G1Affine, Rc<SymbolicLoader<'c>>>;

/// The child's protocol with digest and height as witnesses and symbolic key commitments.
fn load_protocol<'c>(
    plan: &Plan<'_>,
    shape: &PlonkProtocol<G1Affine>,
    (position, child): (usize, &Child),
    loader: &Rc<SymbolicLoader<'c>>,
) -> Result<Protocol<'c>, BuildError> {
    assert_eq!(shape.preprocessed.len(), COMMITMENTS, "commitments of a family key");
    let mut protocol = shape.clone();
    protocol.preprocessed.clear();
    protocol.transcript_initial_state = Some(child_digest(plan, child.kind)?);
    protocol.domain.k = plan.height(child.kind) as usize;
    let mut loaded = protocol.loaded_preprocessed_as_witness(loader, true);
    let key = |commitment| Combination::of(Base::Key { child: position, commitment });
    let key = (0..COMMITMENTS).map(|commitment| loader.ec_point_from_assigned(key(commitment)));
    loaded.preprocessed = key.collect();
    Ok(loaded)
}

/// The digest a child of this kind is verified with: this circuit's own, or a known key's.
fn child_digest(plan: &Plan<'_>, kind: Kind) -> Result<Fr, BuildError> {
    if kind == plan.kind { Ok(plan.own) } else { plan.digest(kind) }
}

/// One flag per kind allowed here, one-hot; digest and height are those of the flagged kind.
fn select_key(
    plan: &Plan<'_>,
    (position, child): (usize, &Child),
    protocol: &Protocol<'_>,
    (ctx, own): (&mut Context<Fr>, Cell),
) -> Result<Vec<KindFlag>, BuildError> {
    let gate = GateChip::<Fr>::default();
    let allowed = positions(plan.kind)[position];
    let flags = one_hot(ctx, &gate, allowed, child.kind);
    let mut digests = Vec::with_capacity(allowed.len());
    for kind in allowed {
        let is_self = *kind == plan.kind;
        digests.push(if is_self { Existing(own) } else { Constant(plan.digest(*kind)?) });
    }
    let heights = allowed.iter().map(|kind| Constant(Fr::from(u64::from(plan.height(*kind)))));
    let bits: Vec<_> = flags.iter().map(|flag| flag.flag).collect();
    let digest = gate.inner_product(ctx, bits.iter().copied(), digests);
    let height = gate.inner_product(ctx, bits.iter().copied(), heights);
    let state = protocol.transcript_initial_state.clone().map(|state| state.into_assigned());
    let k = protocol.domain_as_witness.as_ref().map(|domain| domain.k.clone().into_assigned());
    assert!(state.is_some() && k.is_some(), "digest and height are loaded as witnesses");
    state.iter().for_each(|state| ctx.constrain_equal(state, &digest));
    k.iter().for_each(|k| ctx.constrain_equal(k, &height));
    Ok(flags)
}

/// Bits that sum to one, over the allowed kinds only.
fn one_hot(
    ctx: &mut Context<Fr>,
    gate: &GateChip<Fr>,
    allowed: &[Kind],
    actual: Kind,
) -> Vec<KindFlag> {
    let flag = |ctx: &mut Context<Fr>, kind: Kind| {
        let flag = ctx.load_witness(Fr::from(u64::from(kind == actual)));
        gate.assert_bit(ctx, flag);
        KindFlag { kind, flag }
    };
    let flags: Vec<KindFlag> = allowed.iter().map(|kind| flag(ctx, *kind)).collect();
    let sum = gate.sum(ctx, flags.iter().map(|flag| flag.flag));
    gate.assert_is_const(ctx, &sum, &Fr::ONE);
    flags
}

/// Word 0 of a child is what [`self_word`] says for its flagged kind.
fn constrain_self_word(
    plan: &Plan<'_>,
    (flags, word): (&[KindFlag], Cell),
    (ctx, own): (&mut Context<Fr>, Cell),
) -> Result<(), BuildError> {
    let gate = GateChip::<Fr>::default();
    let mut expected = Vec::with_capacity(flags.len());
    for flag in flags {
        expected.push(match self_word(flag.kind) {
            None => Constant(Fr::ZERO),
            Some(named) if named == plan.kind => Existing(own),
            Some(named) => Constant(plan.digest(named)?),
        });
    }
    let expected = gate.inner_product(ctx, flags.iter().map(|flag| flag.flag), expected);
    ctx.constrain_equal(&expected, &word);
    Ok(())
}

fn seed(ecc: &SymbolicEcc<'_>, ctx: &mut Context<Fr>, verified: &[Verified]) -> Cell {
    let squeezes: Vec<Cell> = verified.iter().map(|child| child.squeeze).collect();
    hash(ecc, ctx, Purpose::Seed, &squeezes)
}

/// Both multiplications; the result in the form of the public words, coordinates below p.
fn settle(
    ecc: &SymbolicEcc<'_>,
    ctx: &mut Context<Fr>,
    claim: &mut Claim,
    (kind, seed): (Kind, Cell),
) -> Vec<Cell> {
    let left = mem::take(&mut claim.left);
    let right = mem::take(&mut claim.right);
    let mut public = Vec::with_capacity(ACCUMULATOR);
    for (purpose, terms) in [(Purpose::LeftOffset, left), (Purpose::RightOffset, right)] {
        let point = multiply(ecc, ctx, (purpose, seed), terms);
        let gates = ecc.gates();
        for number in [&point.x, &point.y] {
            gates.assert_canonical(number);
        }
        let limbs: Vec<Cell> = limbs_of(&point).map(|limb| gates.cell(ctx, limb)).collect();
        if kind == Kind::Root {
            limbs.chunks(LIMBS).for_each(|limbs| public.extend(wide_limbs(gates, ctx, limbs)));
        } else {
            public.extend(limbs);
        }
    }
    public
}

/// Bits of a limb that L1 reads.
const WIDE_BITS: usize = snark_verifier_sdk::BITS;

/// Four limbs of 64 bits as three of 88: the second is cut after 24 bits, the third after 48.
fn wide_limbs(gates: &Gates, ctx: &mut Context<Fr>, limbs: &[Cell]) -> [Cell; 3] {
    let mut cut = |limb: &Cell, at: usize| {
        let value = fe_to_biguint(limb.value());
        let high: BigUint = &value >> at;
        let low: BigUint = value - (&high << at);
        let [low, high] = [(low, at), (high, LIMB_BITS - at)].map(|(part, bits)| {
            let part = ctx.load_witness(biguint_to_fe(&part));
            gates.range_check(ctx, part, bits);
            part
        });
        let sum = gates.gate().mul_add(ctx, high, power(at), low);
        ctx.constrain_equal(&sum, limb);
        [low, high]
    };
    let first = WIDE_BITS - LIMB_BITS;
    let [second_low, second_high] = cut(&limbs[1], first);
    let second = LIMB_BITS - first;
    let [third_low, third_high] = cut(&limbs[2], WIDE_BITS - second);
    let rest = LIMB_BITS - (WIDE_BITS - second);
    [
        gates.gate().mul_add(ctx, second_low, power(LIMB_BITS), limbs[0]),
        gates.gate().mul_add(ctx, third_low, power(second), second_high),
        gates.gate().mul_add(ctx, limbs[3], power(rest), third_high),
    ]
}

fn power(bits: usize) -> QuantumCell<Fr> {
    Constant(biguint_to_fe(&(BigUint::from(1u8) << bits)))
}

#[cfg(test)]
mod tests;
