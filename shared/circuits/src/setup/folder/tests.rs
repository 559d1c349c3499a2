//! Folders: what is missing, what is damaged, and that keys are functions of circuit and setup.

use super::*;
use crate::recursion::verify::Child;
use crate::setup::srs::DEVNET_CHAIN_ID;

fn setup() -> SetupConstants {
    SetupConstants::insecure(DEVNET_CHAIN_ID).unwrap()
}

fn folder() -> (tempfile::TempDir, KeyFolder) {
    let cache = tempfile::tempdir().unwrap();
    let folder = KeyFolder::open(cache.path(), setup()).unwrap();
    (cache, folder)
}

fn generate_tx(folder: &KeyFolder) -> Vec<Phase> {
    let mut phases = Vec::new();
    let made = folder.generate_next(&mut |progress| phases.push(progress.phase)).unwrap();
    assert_eq!(made, Some(Kind::Tx));
    phases
}

#[test]
fn keys_are_a_function_of_circuit_and_setup() {
    let (_one, first) = folder();
    let (_two, second) = folder();
    let phases = generate_tx(&first);
    let tx = Kind::Tx;
    let expected =
        [Phase::Setup(12), Phase::Building(tx), Phase::Generating(tx), Phase::Writing(tx)];
    assert_eq!(phases, expected);
    generate_tx(&second);
    let entry = |folder: &KeyFolder| folder.manifest().unwrap().keys["tx"].clone();
    let (first, second) = (entry(&first), entry(&second));
    assert_eq!((first.vk, first.pk, first.layout), (second.vk, second.pk, second.layout));
}

#[test]
fn a_damaged_key_is_refused_and_a_truncated_one_made_again() {
    let (_cache, folder) = folder();
    assert_eq!(folder.missing().unwrap(), Kind::ALL);
    generate_tx(&folder);
    assert_eq!(folder.missing().unwrap(), Kind::ALL[1..]);
    folder.proving_material(Kind::Tx).unwrap();
    let path = folder.file(Kind::Tx, "pk");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let refused = folder.proving_material(Kind::Tx).err().unwrap();
    assert_eq!(refused.code(), "KEY-001");
    fs::write(&path, &bytes[1..]).unwrap();
    assert_eq!(folder.missing().unwrap(), Kind::ALL);
    generate_tx(&folder);
    folder.proving_material(Kind::Tx).unwrap();
}

#[test]
fn a_verifying_key_with_one_changed_commitment_is_refused() {
    let (_cache, folder) = folder();
    generate_tx(&folder);
    let path = folder.file(Kind::Tx, "vk");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let manifest = folder.manifest().unwrap();
    assert_eq!(folder.verifying(&manifest, &[Kind::Tx]).unwrap_err().code(), "KEY-001");
}

#[test]
fn progress_never_goes_back() {
    let mut phases = Vec::new();
    for kind in Kind::ALL {
        let first = ORDER.iter().position(|other| height(*other) == height(kind));
        if first == Some(kind as usize) {
            phases.push(Phase::Setup(height(kind)));
        }
        phases.extend([Phase::Building(kind), Phase::Generating(kind), Phase::Writing(kind)]);
    }
    phases.push(Phase::Done);
    for (expected, phase) in phases.into_iter().enumerate() {
        let progress = Progress::of(phase);
        assert_eq!((progress.done, progress.of), (expected, 22), "{phase:?}");
    }
}

/// Builds every circuit with the pinned keys as constants: a circuit that changed by accident has
/// another layout. Commit the output of `coppice-agent setup pins` after a change on purpose.
#[test]
fn the_circuits_are_the_pinned_ones() {
    let pins = Pins::committed();
    let setup = setup();
    assert_eq!(pins.setup, hex::encode(setup.hash()));
    let derive = |kind: Kind| {
        let bytes = hex::decode(&pins.keys[kind.name()].bytes).unwrap();
        Verifying::derive(kind, &bytes, &setup).unwrap()
    };
    let keys: BTreeMap<Kind, Verifying> = ORDER.map(|kind| (kind, derive(kind))).into();
    assert_eq!(pins.set, hex::encode(set_id(&setup, &keys)));
    for (kind, key) in &keys {
        let pin = &pins.keys[kind.name()];
        assert_eq!(pin.hash, hex::encode(key.hash(*kind)), "{kind}");
        let known: BTreeMap<Kind, Verifying> =
            keys.range(..kind).map(|(kind, key)| (*kind, key.clone())).collect();
        let circuit = keygen_circuit((&setup, REVISION), &known, *kind).unwrap();
        assert_eq!(pin.layout, hex::encode(circuit.sheet().unwrap().layout_hash()), "{kind}");
    }
}

#[test]
fn constraints_do_not_depend_on_children() {
    let pins = Pins::committed();
    let setup = setup();
    let bytes = hex::decode(&pins.keys["tx"].bytes).unwrap();
    let shape = Verifying::derive(Kind::Tx, &bytes, &setup).unwrap().protocol;
    let base = |child: &Child| {
        let keys: FamilyKeys = crate::recursion::family::FAMILY
            .iter()
            .map(|kind| {
                let commitments = shape.preprocessed.clone();
                let digest = Fr::from(*kind as u64);
                (
                    *kind,
                    crate::recursion::family::KeyFacts { digest, k: height(*kind), commitments },
                )
            })
            .collect();
        let plan = Plan {
            kind: Kind::Base,
            revision: 1,
            setup: [setup.tau_g, setup.g],
            keys: &keys,
            own: child.instances[0],
        };
        let children = std::slice::from_ref(child);
        let input = Input::sample(Kind::Base, children, [0; 32]).unwrap();
        let draft = circuit::build(&plan, Some(&shape), children, &input).unwrap();
        draft.sheet().unwrap().layout_hash()
    };
    let child = placeholder(Kind::Tx, &shape);
    let mut other = placeholder(Kind::Kernel, &shape);
    other.instances.reverse();
    let words = other.instances.len();
    other.instances[words - 8] = Fr::from(3);
    assert_eq!(base(&child), base(&other));
}
