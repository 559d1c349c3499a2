//! Sizes of every circuit, and parents over real proofs: what they take, and what they do not.
//!
//! The children are proofs of small circuits of the family's shape that show whatever words they
//! are given, so that every rule a parent has can be broken alone, by a proof that holds.

use super::*;
use crate::gates::check::Broken;
use crate::recursion::family::{
    CARRIED, GENERATOR, ROOT_WORD_COUNT, carried_index, placeholder, public_words,
};
use crate::setup::{
    accept::claim_holds,
    forge::{FORGE, forge, honest, limbs},
};
use halo2_base::halo2_proofs::halo2curves::group::Curve;

fn plan(kind: Kind, keys: &FamilyKeys) -> Plan<'_> {
    let setup = FORGE.verifying.setup();
    let own = self_word(kind).map_or(Fr::ZERO, |named| FORGE.verifying.digest(named));
    Plan { kind, revision: 1, setup: [setup.tau_g, setup.g], keys, own }
}

fn word_count(kind: Kind) -> usize {
    if kind == Kind::Root { ROOT_WORD_COUNT } else { WORD_COUNT - 1 }
}

/// A parent whose application shows its children's words and keeps their cells.
fn parent(kind: Kind, children: &[Child]) -> (Draft, Vec<ChildCells>) {
    parent_with(&FORGE.verifying.family(), kind, children)
}

fn parent_with(keys: &FamilyKeys, kind: Kind, children: &[Child]) -> (Draft, Vec<ChildCells>) {
    let mut cells = Vec::new();
    let shape = FORGE.verifying.protocol(Kind::Tx);
    let builder = build_parent(&plan(kind, keys), shape, children, |site| {
        cells = site.children.to_vec();
        let words = (0..word_count(kind)).map(|i| site.ctx.load_witness(Fr::from(i as u64)));
        Ok(words.collect())
    });
    (builder.unwrap(), cells)
}

fn satisfied(draft: &Draft) -> Result<(), Broken> {
    draft.sheet().unwrap().check()
}

fn is_satisfied(kind: Kind, children: &[Child]) -> bool {
    satisfied(&parent(kind, children).0).is_ok()
}

/// Whether a parent over these children can be accepted: constraints hold, and so does the claim.
/// A child's equations are not checked inside: they are part of the claim.
fn is_provable(kind: Kind, children: &[Child]) -> bool {
    let (builder, _) = parent(kind, children);
    satisfied(&builder).is_ok() && claim_holds(&FORGE.verifying, kind, &builder.public())
}

/// A commitment that no two of the keys share: that of the constants.
fn telling() -> usize {
    let commitments = |kind| &FORGE.verifying.protocol(kind).preprocessed;
    let differ = |at: &usize| commitments(Kind::Vm)[*at] != commitments(Kind::Merge)[*at];
    (0..COMMITMENTS).find(differ).unwrap()
}

fn child(kind: Kind, instances: Vec<Fr>) -> Child {
    let proof = forge(kind, &instances);
    Child { kind, instances, proof }
}

fn honest_child(kind: Kind) -> Child {
    child(kind, honest(kind))
}

/// A proof that carries a true claim: left = τG − s·V − g·G with the scalars of V and G carried,
/// V a commitment of the key of `slot`.
fn claiming(kind: Kind, slot: Kind, commitment: usize) -> Vec<Fr> {
    let setup = FORGE.verifying.setup();
    let (s, g) = (Fr::from(5 + commitment as u64), Fr::from(3));
    let point = FORGE.verifying.protocol(slot).preprocessed[commitment];
    let left = setup.tau_g * Fr::ONE - point * s - setup.g * g;
    let mut words = honest(kind);
    words[..ACCUMULATOR].copy_from_slice(&limbs(Kind::Base, left.to_affine(), setup.g));
    words[GENERATOR] = g;
    words[CARRIED + carried_index(slot).unwrap() * COMMITMENTS + commitment] = s;
    words
}

#[test]
fn every_parent_fits_its_columns_and_leaves_room_for_its_application() {
    // As large as real keys: no two commitments are equal but those of the range table, and none is
    // the identity.
    let mut keys = FORGE.verifying.family();
    let points = keys.values_mut().flat_map(|key| &mut key.commitments[1..]);
    for (i, point) in points.enumerate() {
        *point = (G1Affine::generator() * Fr::from(i as u64 + 2)).to_affine();
    }
    for (kind, free) in
        [(Kind::Kernel, 2_500), (Kind::Base, 2_500), (Kind::Merge, 2_500), (Kind::Root, 1_000)]
    {
        let shape = FORGE.verifying.protocol(Kind::Tx);
        let children: Vec<Child> =
            positions(kind).iter().map(|allowed| placeholder(allowed[0], shape)).collect();
        let (draft, _) = parent_with(&keys, kind, &children);
        let counts = draft.sheet().unwrap().counts();
        println!("{kind}: {counts:?}");
        assert!(counts.rows + free <= counts.usable, "{kind}: {counts:?}, {free} to be free");
        assert_eq!(draft.public().len(), public_words(kind));
    }
    assert_eq!(keys.len(), 5);
}

#[test]
fn every_parent_takes_every_allowed_child_and_hands_its_claim_on() {
    use Kind::{Base, Kernel, Merge, Root, Tx, Vm};
    let at = telling();
    let cases: [(Kind, Vec<Child>); 6] = [
        (Kernel, vec![honest_child(Tx), honest_child(Vm)]),
        (Kernel, vec![child(Kernel, claiming(Kernel, Tx, at)), honest_child(Vm)]),
        (Base, vec![child(Kernel, claiming(Kernel, Kernel, 12))]),
        (
            Merge,
            vec![child(Base, claiming(Base, Base, at)), child(Merge, claiming(Merge, Merge, at))],
        ),
        (Root, vec![child(Base, claiming(Base, Merge, at))]),
        (Root, vec![child(Merge, claiming(Merge, Base, at))]),
    ];
    for (kind, children) in cases {
        let (builder, _) = parent(kind, &children);
        let names: Vec<_> = children.iter().map(|child| child.kind.name()).collect();
        assert_eq!(satisfied(&builder), Ok(()), "{kind} over {names:?}");
        assert!(claim_holds(&FORGE.verifying, kind, &builder.public()), "{kind} over {names:?}");
    }
}

/// `base` multiplies out what the proofs below it carry, and `root` the rest.
#[test]
fn what_is_multiplied_out_is_not_carried_on() {
    use Kind::{Base, Kernel, Merge};
    let at = telling();
    let carried = |kind: Kind, children: &[Child]| {
        let (builder, _) = parent(kind, children);
        builder.public()[CARRIED..WORDS].iter().filter(|scalar| **scalar != Fr::ZERO).count()
    };
    let kernel = child(Kernel, claiming(Kernel, Kernel, at));
    assert_eq!(carried(Base, std::slice::from_ref(&kernel)), 0);
    assert_ne!(carried(Kernel, &[kernel, honest_child(Kind::Vm)]), 0);
    let children = [honest_child(Base), child(Merge, claiming(Merge, Base, at))];
    assert_ne!(carried(Merge, &children), 0);
}

#[test]
fn scalars_in_a_slot_that_is_not_used_are_refused() {
    let mut words = honest(Kind::Base);
    assert!(is_satisfied(Kind::Root, &[child(Kind::Base, words.clone())]));
    words[WORDS - 1] = Fr::ONE;
    let carrying = child(Kind::Base, words);
    assert!(!is_satisfied(Kind::Root, std::slice::from_ref(&carrying)));
    assert!(!is_satisfied(Kind::Merge, &[carrying, honest_child(Kind::Base)]));
}

#[test]
fn a_false_claim_stays_false_in_its_parent() {
    let setup = FORGE.verifying.setup();
    let twice = (setup.tau_g * Fr::from(2)).to_affine();
    let mut pair = honest(Kind::Base);
    pair[..ACCUMULATOR].copy_from_slice(&limbs(Kind::Base, twice, setup.g));
    // A true claim whose scalar was moved to another key's slot.
    let at = telling();
    let mut moved = claiming(Kind::Base, Kind::Base, at);
    moved.swap(CARRIED + at, CARRIED + COMMITMENTS + at);
    let mut below = claiming(Kind::Kernel, Kind::Vm, at);
    below.swap(CARRIED + at, CARRIED + COMMITMENTS + at);
    for (kind, of, words) in [
        (Kind::Merge, Kind::Base, &pair),
        (Kind::Root, Kind::Base, &pair),
        (Kind::Merge, Kind::Base, &moved),
        (Kind::Root, Kind::Base, &moved),
        (Kind::Base, Kind::Kernel, &below),
    ] {
        let mut children = vec![child(of, words.clone())];
        if kind == Kind::Merge {
            children.push(honest_child(Kind::Base));
        }
        let (builder, _) = parent(kind, &children);
        assert_eq!(satisfied(&builder), Ok(()), "nothing is decided inside");
        assert!(!claim_holds(&FORGE.verifying, kind, &builder.public()), "{kind}");
    }
}

#[test]
fn a_child_under_another_kinds_key_is_refused() {
    let mislabelled = |kind: Kind, said: Kind| Child { kind: said, ..honest_child(kind) };
    for (parent, child) in [
        (Kind::Base, mislabelled(Kind::Tx, Kind::Kernel)),
        (Kind::Base, mislabelled(Kind::Kernel, Kind::Tx)),
        (Kind::Base, mislabelled(Kind::Vm, Kind::Tx)),
        (Kind::Root, mislabelled(Kind::Vm, Kind::Base)),
        (Kind::Root, mislabelled(Kind::Base, Kind::Merge)),
    ] {
        let name = child.kind;
        assert!(!is_provable(parent, &[child]), "{parent} over a false {name}");
    }
}

#[test]
fn a_kind_that_is_not_allowed_at_a_position_does_not_build() {
    let shape = FORGE.verifying.protocol(Kind::Tx);
    let keys = FORGE.verifying.family();
    let build = |kind: Kind, children: &[Kind]| {
        let children: Vec<Child> = children.iter().map(|kind| placeholder(*kind, shape)).collect();
        build_parent(&plan(kind, &keys), shape, &children, |_| Ok(Vec::new())).unwrap_err().code()
    };
    assert_eq!(build(Kind::Base, &[Kind::Vm]), "CIR-002");
    assert_eq!(build(Kind::Kernel, &[Kind::Vm, Kind::Vm]), "CIR-002");
    assert_eq!(build(Kind::Kernel, &[Kind::Tx, Kind::Tx]), "CIR-002");
    assert_eq!(build(Kind::Merge, &[Kind::Base, Kind::Kernel]), "CIR-002");
    assert_eq!(build(Kind::Root, &[Kind::Tx]), "CIR-002");
    assert_eq!(build(Kind::Merge, &[Kind::Base]), "CIR-001");
}

#[test]
fn bytes_that_are_no_proof_do_not_build() {
    let shape = FORGE.verifying.protocol(Kind::Tx);
    let keys = FORGE.verifying.family();
    let mut child = placeholder(Kind::Tx, shape);
    child.proof.pop();
    let refused = build_parent(&plan(Kind::Base, &keys), shape, &[child], |_| Ok(Vec::new()));
    assert_eq!(refused.unwrap_err().code(), "CIR-004");
    let mut child = placeholder(Kind::Tx, shape);
    child.instances.push(Fr::ONE);
    let refused = build_parent(&plan(Kind::Base, &keys), shape, &[child], |_| Ok(Vec::new()));
    assert_eq!(refused.unwrap_err().code(), "CIR-004");
}

#[test]
fn word_0_is_what_its_kind_must_show() {
    let with_word = |kind: Kind, word: Fr| {
        let mut words = honest(kind);
        words[WORDS] = word;
        child(kind, words)
    };
    let merge = FORGE.verifying.digest(Kind::Merge);
    let cases = [
        (Kind::Base, vec![with_word(Kind::Tx, Fr::ONE)]),
        (Kind::Base, vec![with_word(Kind::Kernel, merge)]),
        (Kind::Kernel, vec![with_word(Kind::Kernel, merge), honest_child(Kind::Vm)]),
        (Kind::Kernel, vec![honest_child(Kind::Tx), with_word(Kind::Vm, Fr::ONE)]),
        (Kind::Merge, vec![honest_child(Kind::Base), with_word(Kind::Base, Fr::ONE)]),
        (Kind::Root, vec![with_word(Kind::Base, FORGE.verifying.digest(Kind::Base))]),
    ];
    for (kind, children) in cases {
        assert!(!is_satisfied(kind, &children), "{kind}");
    }
}

#[test]
fn words_and_proof_of_a_child_are_bound() {
    let good = honest_child(Kind::Tx);
    assert!(is_provable(Kind::Base, std::slice::from_ref(&good)));
    for word in [0, GENERATOR, WORDS - 1, WORDS + 1, WORDS + 7] {
        let mut child = good.clone();
        child.instances[word] += Fr::ONE;
        assert!(!is_provable(Kind::Base, &[child]), "word {word}");
    }
    // The last evaluation: lowest byte, so that it stays a number.
    let mut child = good.clone();
    let at = child.proof.len() - 3 * 32;
    child.proof[at] ^= 1;
    assert!(!is_provable(Kind::Base, &[child]));
}

/// Flags as a prover sets them who does not follow the builder.
#[test]
fn flags_are_bits_and_exactly_one_is_set() {
    let (builder, cells) = parent(Kind::Base, &[honest_child(Kind::Tx)]);
    assert_eq!(satisfied(&builder), Ok(()));
    let flags: Vec<Cell> = cells[0].flags.iter().map(|flag| flag.flag).collect();
    let t = Fr::from(7);
    let none = [Fr::ZERO, Fr::ZERO];
    for values in
        [none, [Fr::ONE; 2], [Fr::from(2), -Fr::ONE], [t, Fr::ONE - t], [Fr::ZERO, Fr::ONE]]
    {
        let mut changed = builder.clone();
        for (flag, value) in flags.iter().zip(values) {
            changed = changed.with(flag, value);
        }
        satisfied(&changed).unwrap_err();
    }
}

#[test]
fn every_shown_word_is_bound() {
    let children = [honest_child(Kind::Tx), honest_child(Kind::Vm)];
    let (builder, _) = parent(Kind::Kernel, &children);
    let shown = builder.shown();
    for word in [0, 7, 8, 15, GENERATOR, CARRIED + 3, CARRIED + COMMITMENTS + 3, WORDS] {
        let changed = builder.with(&shown[word], *shown[word].value() + Fr::ONE);
        assert!(satisfied(&changed).is_err() || word == WORDS, "word {word}");
    }
    // A scalar moved from the slot of `tx` to that of `kernel`.
    let (tx, kernel) = (shown[CARRIED + 3], shown[CARRIED + 2 * COMMITMENTS + 3]);
    let changed = builder.with(&tx, *kernel.value()).with(&kernel, *tx.value());
    satisfied(&changed).unwrap_err();
}

/// What the challenges are made from: change anything a child shows or proves with, and the
/// accumulated claim is another one.
#[test]
fn everything_of_a_child_is_bound_by_the_seed() {
    let shape = FORGE.verifying.protocol(Kind::Tx);
    let claim = |change: &dyn Fn(&mut Child)| {
        let mut child = placeholder(Kind::Tx, shape);
        change(&mut child);
        parent(Kind::Base, &[child]).0.public()[..ACCUMULATOR].to_vec()
    };
    let unchanged = claim(&|_| ());
    let (first, last) = (0, shape.num_instance[0] - 1);
    let other_point = |child: &mut Child, at: usize| child.proof.copy_within(64..96, at);
    let end = placeholder(Kind::Tx, shape).proof.len();
    assert_ne!(claim(&|child| child.instances[WORDS + 1] += Fr::ONE), unchanged);
    assert_ne!(claim(&|child| child.instances[last] += Fr::ONE), unchanged);
    assert_ne!(claim(&|child| child.instances[GENERATOR] += Fr::ONE), unchanged);
    assert_ne!(claim(&|child| other_point(child, first)), unchanged);
    assert_ne!(claim(&|child| other_point(child, end - 32)), unchanged);
    assert_ne!(claim(&|child| other_point(child, end - 64)), unchanged);
    assert_ne!(claim(&|child| child.proof[end - 96] ^= 1), unchanged);
}
