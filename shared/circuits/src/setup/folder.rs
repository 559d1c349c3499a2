//! Keys: generated once per machine, kept in a cache folder, never trusted unchecked.
//!
//! Keys are functions of the setup and the circuits alone, so a folder is named by a fingerprint of
//! both and shared by all agents of a machine. Every file is written whole and read against its
//! BLAKE3 hash; a file that differs is missing, and made again. Verifying keys are small files of
//! their own: acceptance does not read a gigabyte.
//!
//! | file | what |
//! |---|---|
//! | `keys.json` | hashes of all others, column breaks, what generation cost |
//! | `srs_<k>.bin` | the setup, for the heights 15, 16 and 20 |
//! | `<kind>.vk` | verifying key, compressed points, a few hundred bytes |
//! | `<kind>.pk` | proving key, up to 1.5 GB |
//! | `lock` | held while generating |

mod install;

use super::{
    check,
    circuit::{self, Input},
    keys::{KeyError, Verifying, VerifyingKeys, check_shapes, set_id},
    meter,
    srs::{self, HEIGHTS, SetupConstants},
    store::{self, FileMark},
};
use crate::recursion::{
    family::{FamilyKeys, columns, height, placeholder, positions},
    verify::{BuildError, Plan},
};
use halo2_base::{
    gates::{
        circuit::{CircuitBuilderStage, builder::BaseCircuitBuilder},
        flex_gate::MultiPhaseThreadBreakPoints,
    },
    halo2_proofs::{
        SerdeFormat,
        halo2curves::{
            bn256::{Bn256, Fr, G1Affine},
            ff::Field,
        },
        plonk::{ProvingKey, keygen_pk2},
        poly::kzg::commitment::ParamsKZG,
    },
};
use protocol::Kind;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Raised when a circuit changes on purpose: folders of older circuits are then left alone.
pub const REVISION: u32 = 1;
/// Order of generation: each circuit has the keys of its possible children as constants.
const ORDER: [Kind; 6] = Kind::ALL;

/// What generation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Powers of the setup, of this height.
    Setup(u32),
    /// Writing down the circuit.
    Building(Kind),
    /// Computing the key.
    Generating(Kind),
    /// Writing the files.
    Writing(Kind),
    /// Nothing is missing.
    Done,
}

/// How far generation is: phases done, of all phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Phases finished before this one.
    pub done: usize,
    /// All phases.
    pub of: usize,
    /// The one that starts now.
    pub phase: Phase,
}

impl Progress {
    fn of(phase: Phase) -> Self {
        // Each height of the setup is made just before the first key that needs it.
        let keys = |kind: Kind| 3 * kind as usize + HEIGHTS.len().min(kind as usize + 1);
        let of = HEIGHTS.len() + 3 * ORDER.len();
        let done = match phase {
            Phase::Setup(k) => HEIGHTS.iter().position(|height| *height == k).unwrap_or(0) * 4,
            Phase::Building(kind) => keys(kind),
            Phase::Generating(kind) => keys(kind) + 1,
            Phase::Writing(kind) => keys(kind) + 2,
            Phase::Done => of,
        };
        Self { done, of, phase }
    }
}

/// What one circuit is and what its key took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFigures {
    /// Advice cells the circuit uses.
    pub cells: u64,
    /// Lookups it uses.
    pub lookups: u64,
    /// CPU milliseconds of key generation, building included.
    pub cpu_ms: u64,
    /// Peak memory of the generating process in MB.
    pub peak_mb: u64,
    /// Bytes of the proving key.
    pub pk_bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    vk: FileMark,
    pk: FileMark,
    break_points: MultiPhaseThreadBreakPoints,
    layout: String,
    figures: KeyFigures,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Manifest {
    srs: BTreeMap<u32, FileMark>,
    keys: BTreeMap<String, Entry>,
}

/// The cache folder of one setup and one set of circuits.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
    setup: SetupConstants,
}

/// What a proof of one kind is made with.
pub struct ProvingMaterial {
    /// The setup, of the circuit's height.
    pub params: ParamsKZG<Bn256>,
    /// The key.
    pub key: ProvingKey<G1Affine>,
    /// Where the circuit's columns break.
    pub break_points: MultiPhaseThreadBreakPoints,
}

/// One pinned key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The key's hash, as in the circuit set's id.
    pub hash: String,
    /// Hash of the circuit's cells, gates, copies and lookups: changes when the circuit does, and
    /// is computed in a second.
    pub layout: String,
    /// The key.
    pub bytes: String,
}

/// The devnet's pinned keys, all numbers in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// Hash of the setup.
    pub setup: String,
    /// The circuit set's id.
    pub set: String,
    /// By name of the kind.
    pub keys: BTreeMap<String, Pin>,
}

impl Pins {
    /// What is committed; nothing is pinned if that file cannot be read as pins.
    #[must_use]
    pub fn committed() -> Self {
        let none = Self { setup: String::new(), set: String::new(), keys: BTreeMap::new() };
        serde_json::from_str(include_str!("../../vk/devnet.json")).unwrap_or(none)
    }
}

/// The circuits' sources, comments left out: what a proof says must not change under a key.
const SOURCES: [&str; 7] = [
    include_str!("../recursion/family.rs"),
    include_str!("../recursion/field.rs"),
    include_str!("../recursion/msm.rs"),
    include_str!("../recursion/points.rs"),
    include_str!("../recursion/transcript.rs"),
    include_str!("../recursion/verify.rs"),
    include_str!("circuit.rs"),
];

/// Names the folder: setup, crate version, revision, and the circuits' sources.
fn fingerprint(setup: &SetupConstants) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&setup.hash());
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes()).update(&REVISION.to_be_bytes());
    let lines = SOURCES.iter().chain(&circuit::SOURCES).flat_map(|source| source.lines());
    for line in lines.map(str::trim).filter(|line| !line.starts_with("//")) {
        hasher.update(line.as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

impl KeyFolder {
    /// The folder of this setup's keys below `cache`, made if it is not there. No key needs to be
    /// in it.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(cache: &Path, setup: SetupConstants) -> Result<Self, KeyError> {
        let path = cache.join(fingerprint(&setup));
        fs::create_dir_all(&path).map_err(KeyError::io(&path))?;
        Ok(Self { path, setup })
    }

    /// Where the files are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The setup's constants.
    #[must_use]
    pub const fn setup(&self) -> &SetupConstants {
        &self.setup
    }

    /// Kinds whose keys are not there, by length of the files; hashes are checked on use.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn missing(&self) -> Result<Vec<Kind>, KeyError> {
        let manifest = self.manifest()?;
        let mut missing: Vec<Kind> =
            ORDER.into_iter().filter(|kind| !self.has_key(&manifest, *kind)).collect();
        let no_setup = |kind: &Kind| !self.has_setup(&manifest, height(*kind));
        if let (true, Some(kind)) = (missing.is_empty(), ORDER.into_iter().find(no_setup)) {
            missing.push(kind);
        }
        Ok(missing)
    }

    /// What the circuits are and what their keys took.
    ///
    /// # Errors
    /// [`KeyError::Missing`], and when the manifest cannot be read.
    pub fn figures(&self, kind: Kind) -> Result<KeyFigures, KeyError> {
        let manifest = self.manifest()?;
        let entry = manifest.keys.get(kind.name()).ok_or(KeyError::Missing(kind))?;
        Ok(entry.figures)
    }

    /// All verifying keys.
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Shape`], and when a file cannot be read.
    pub fn verifying_keys(&self) -> Result<VerifyingKeys, KeyError> {
        VerifyingKeys::new(self.setup, self.verifying(&self.manifest()?, &ORDER)?)
    }

    /// What proofs of `kind` are made with. Reads up to 1.7 GB twice: once to check it.
    ///
    /// # Errors
    /// [`KeyError::Missing`], and when a file cannot be read.
    pub fn proving_material(&self, kind: Kind) -> Result<ProvingMaterial, KeyError> {
        let manifest = self.manifest()?;
        let entry = manifest.keys.get(kind.name()).ok_or(KeyError::Missing(kind))?;
        let params = self.params(&manifest, kind)?;
        let path = self.file(kind, "pk");
        let opened = store::open_checked(&path, &entry.pk).map_err(KeyError::io(&path))?;
        let mut reader = opened.ok_or(KeyError::Missing(kind))?;
        let key = ProvingKey::read::<_, BaseCircuitBuilder<Fr>>(
            &mut reader,
            SerdeFormat::RawBytesUnchecked,
            columns(kind),
        );
        let key = key.map_err(KeyError::io(&path))?;
        Ok(ProvingMaterial { params, key, break_points: entry.break_points.clone() })
    }

    /// Generates everything that is missing, under the folder's lock: a second process waits and
    /// then finds nothing to do.
    ///
    /// # Errors
    /// Of setup, circuits and files. What is complete stays.
    pub fn generate(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), KeyError> {
        while self.generate_next(progress)?.is_some() {}
        progress(Progress::of(Phase::Done));
        Ok(())
    }

    /// Generates the next missing key (and the setup it needs), so that each can be made in a
    /// process of its own: memory of a finished key is not given back otherwise. `None` when
    /// nothing is missing.
    ///
    /// # Errors
    /// Of setup, circuits and files. What is complete stays.
    pub fn generate_next(
        &self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Kind>, KeyError> {
        let _lock = self.lock()?;
        let Some(kind) = self.missing()?.first().copied() else {
            return Ok(None);
        };
        let k = height(kind);
        self.ensure_height(k, &mut || progress(Progress::of(Phase::Setup(k))))?;
        if !self.has_key(&self.manifest()?, kind) {
            self.generate_key(kind, progress)?;
        }
        Ok(Some(kind))
    }

    /// Checks every file against its hash, and every verifying key against what it was derived
    /// from. Reads 4 GB.
    ///
    /// # Errors
    /// The first file that is missing or damaged.
    pub fn verify(&self) -> Result<(), KeyError> {
        let manifest = self.manifest()?;
        for (kind, key) in self.verifying(&manifest, &ORDER)? {
            let entry = manifest.keys.get(kind.name()).ok_or(KeyError::Missing(kind))?;
            let path = self.file(kind, "pk");
            let opened = store::open_checked(&path, &entry.pk).map_err(KeyError::io(&path))?;
            opened.ok_or(KeyError::Missing(kind))?;
            self.params(&manifest, kind)?;
            let derived = Verifying::derive(kind, &key.bytes, &self.setup);
            let derived = derived.map_err(KeyError::io(&path))?;
            let same = same_key(&derived, &key).map_err(KeyError::io(&path))?;
            if !same {
                return Err(KeyError::Missing(kind));
            }
        }
        Ok(())
    }

    /// What is pinned of these keys: to be committed as `shared/circuits/vk/devnet.json` when the
    /// circuits change on purpose.
    ///
    /// # Errors
    /// [`KeyError::Missing`], and when a file cannot be read.
    pub fn pins(&self) -> Result<Pins, KeyError> {
        let manifest = self.manifest()?;
        let keys = self.verifying(&manifest, &ORDER)?;
        let set = hex::encode(set_id(&self.setup, &keys));
        let mut pinned = BTreeMap::new();
        for (kind, key) in keys {
            let entry = manifest.keys.get(kind.name()).ok_or(KeyError::Missing(kind))?;
            let pin = Pin {
                hash: hex::encode(key.hash(kind)),
                layout: entry.layout.clone(),
                bytes: hex::encode(&key.bytes),
            };
            pinned.insert(kind.name().to_owned(), pin);
        }
        Ok(Pins { setup: hex::encode(self.setup.hash()), set, keys: pinned })
    }

    /// Whether these are the keys the committed root verifier is of. Of the devnet's setup only:
    /// keys of another setup are pinned nowhere.
    ///
    /// # Errors
    /// [`KeyError::Pinned`] for the first key that differs, and when a file cannot be read.
    pub fn check_pins(&self) -> Result<(), KeyError> {
        let (pins, pinned) = (self.pins()?, Pins::committed());
        let differs = |kind: &Kind| pins.keys.get(kind.name()) != pinned.keys.get(kind.name());
        let differs = ORDER.iter().find(|kind| self.setup.is_insecure() && differs(kind));
        differs.map_or(Ok(()), |kind| Err(KeyError::Pinned(*kind)))
    }

    fn file(&self, kind: Kind, extension: &str) -> PathBuf {
        self.path.join(kind.name()).with_extension(extension)
    }

    fn has_setup(&self, manifest: &Manifest, k: u32) -> bool {
        let mark = manifest.srs.get(&k);
        mark.is_some_and(|mark| store::has_length(&srs::path(&self.path, k), mark))
    }

    fn has_key(&self, manifest: &Manifest, kind: Kind) -> bool {
        manifest.keys.get(kind.name()).is_some_and(|entry| {
            store::has_length(&self.file(kind, "vk"), &entry.vk)
                && store::has_length(&self.file(kind, "pk"), &entry.pk)
        })
    }

    /// The manifest; empty when there is none.
    fn manifest(&self) -> Result<Manifest, KeyError> {
        let path = self.path.join("keys.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Manifest::default()),
            Err(source) => return Err(KeyError::Io { path, source }),
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| KeyError::Manifest { path, why: error.to_string() })
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<(), KeyError> {
        let path = self.path.join("keys.json");
        let write = |writer: &mut dyn io::Write| {
            serde_json::to_writer_pretty(writer, manifest).map_err(io::Error::from)
        };
        store::write(&path, write).map(|_| ()).map_err(KeyError::io(&path))
    }

    fn params(&self, manifest: &Manifest, kind: Kind) -> Result<ParamsKZG<Bn256>, KeyError> {
        let k = height(kind);
        let mark = manifest.srs.get(&k).ok_or(KeyError::Missing(kind))?;
        Ok(srs::load(&self.path, k, mark)?)
    }

    fn verifying(
        &self,
        manifest: &Manifest,
        kinds: &[Kind],
    ) -> Result<BTreeMap<Kind, Verifying>, KeyError> {
        let mut keys: BTreeMap<Kind, Verifying> = BTreeMap::new();
        for kind in kinds {
            let entry = manifest.keys.get(kind.name()).ok_or(KeyError::Missing(*kind))?;
            let path = self.file(*kind, "vk");
            let opened = store::open_checked(&path, &entry.vk).map_err(KeyError::io(&path))?;
            let reader = opened.ok_or(KeyError::Missing(*kind))?;
            let key: Verifying = bincode::deserialize_from(reader)
                .map_err(|error| KeyError::io(&path)(io::Error::other(error)))?;
            keys.insert(*kind, key);
        }
        check_shapes(&keys)?;
        Ok(keys)
    }

    fn generate_key(&self, kind: Kind, progress: &mut dyn FnMut(Progress)) -> Result<(), KeyError> {
        meter::reset_peak();
        let before = meter::cpu_ms();
        let mut manifest = self.manifest()?;
        let params = self.params(&manifest, kind)?;
        progress(Progress::of(Phase::Building(kind)));
        let known = self.verifying(&manifest, &ORDER[..kind as usize])?;
        let circuit = keygen_circuit(&self.setup, &known, kind)?;
        let (statistics, layout) = (circuit.statistics(), check::layout(&circuit));
        progress(Progress::of(Phase::Generating(kind)));
        let key = keygen_pk2(&params, &circuit, false);
        let key = key.map_err(|error| KeyError::Library { kind, why: format!("{error:?}") })?;
        let break_points = circuit.break_points();
        drop((circuit, params));
        progress(Progress::of(Phase::Writing(kind)));
        let (vk, pk) = self.write_key(kind, &key)?;
        let figures = KeyFigures {
            cells: statistics.gate.total_advice_per_phase.iter().sum::<usize>() as u64,
            lookups: statistics.total_lookup_advice_per_phase.iter().sum::<usize>() as u64,
            cpu_ms: meter::cpu_ms().saturating_sub(before),
            peak_mb: meter::peak_mb(),
            pk_bytes: pk.bytes,
        };
        let layout = hex::encode(layout);
        let entry = Entry { vk, pk, break_points, layout, figures };
        // A different key makes every key that has it as a constant another one.
        let same = manifest.keys.get(kind.name()).is_some_and(|old| old.vk == entry.vk);
        if !same {
            let later = ORDER.iter().skip(kind as usize);
            later.for_each(|kind| drop(manifest.keys.remove(kind.name())));
        }
        manifest.keys.insert(kind.name().to_owned(), entry);
        self.write_manifest(&manifest)?;
        let written = self.manifest()?;
        self.verifying(&written, &ORDER[..=kind as usize]).map(|_| ())
    }

    fn write_key(
        &self,
        kind: Kind,
        key: &ProvingKey<G1Affine>,
    ) -> Result<(FileMark, FileMark), KeyError> {
        let path = self.file(kind, "vk");
        let verifying = Verifying::new(kind, key.get_vk(), &self.setup);
        let write = |writer: &mut dyn io::Write| {
            bincode::serialize_into(writer, &verifying).map_err(io::Error::other)
        };
        let vk = store::write(&path, write).map_err(KeyError::io(&path))?;
        let path = self.file(kind, "pk");
        let write =
            |mut writer: &mut dyn io::Write| key.write(&mut writer, SerdeFormat::RawBytesUnchecked);
        let pk = store::write(&path, write).map_err(KeyError::io(&path))?;
        Ok((vk, pk))
    }
}

/// The circuit over placeholder children and a sample input: constraints depend on neither.
fn keygen_circuit(
    setup: &SetupConstants,
    known: &BTreeMap<Kind, Verifying>,
    kind: Kind,
) -> Result<BaseCircuitBuilder<Fr>, KeyError> {
    let keys: FamilyKeys = known.iter().map(|(kind, key)| (*kind, key.facts())).collect();
    let plan = Plan {
        kind,
        stage: CircuitBuilderStage::Keygen,
        break_points: None,
        setup: [setup.tau_g, setup.g],
        keys: &keys,
        own: Fr::ZERO,
    };
    let shape = known.get(&Kind::Tx).map(|tx| &tx.protocol);
    let children = shape.map_or(Vec::new(), |shape| {
        positions(kind).iter().map(|allowed| placeholder(allowed[0], shape)).collect()
    });
    let input = Input::sample(kind, &children, set_id(setup, known));
    let input = input.map_err(|error| BuildError::Application(error.to_string()))?;
    Ok(circuit::build(&plan, shape, &children, &input)?)
}

fn same_key(a: &Verifying, b: &Verifying) -> io::Result<bool> {
    let bytes = |key: &Verifying| bincode::serialize(key).map_err(io::Error::other);
    Ok(bytes(a)? == bytes(b)?)
}

#[cfg(test)]
mod tests;
