//! Keys: generated once per machine, kept in a cache folder, never trusted unchecked.
//!
//! Keys are functions of the setup and the circuits alone, so a folder is named by a fingerprint of
//! both and shared by all agents of a machine. Every file is written whole and read against its
//! BLAKE3 hash; a file that differs is missing, and made again. Verifying keys are small files of
//! their own: acceptance does not read a gigabyte.
//!
//! | file | what |
//! |---|---|
//! | `keys.json` | hashes of all others, what generation cost |
//! | `srs_<k>.bin` | the setup, for the heights 12, 14, 17 and 18 |
//! | `<kind>.vk` | verifying key, compressed points, a few hundred bytes |
//! | `<kind>.pk` | proving key, up to 0.4 GB |
//! | `lock` | held while generating |

mod install;

use super::{
    circuit::{self, Input},
    keys::{KeyError, Verifying, VerifyingKeys, check_shapes, set_id},
    meter,
    srs::{self, HEIGHTS, SetupConstants},
    store::{self, FileMark},
};
use crate::gates::{
    Draft,
    columns::DEGREE,
    short::{Shape, Short},
};
use crate::recursion::{
    family::{FamilyKeys, height, layout, placeholder, positions},
    verify::{BuildError, Plan},
};
use halo2_base::halo2_proofs::{
    SerdeFormat,
    halo2curves::{
        bn256::{Bn256, Fr, G1Affine},
        ff::Field,
    },
    plonk::{ProvingKey, keygen_pk2},
    poly::kzg::commitment::ParamsKZG,
};
use protocol::Kind;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The circuit set that is generated and pinned. Raised when a circuit changes on purpose: it is a
/// constant of every circuit, and folders of older sets are left alone.
pub const REVISION: u32 = 2;
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
        let heights = |kind: Kind| HEIGHTS.iter().filter(|k| **k <= height(kind)).count();
        let keys = |kind: Kind| 3 * kind as usize + heights(kind);
        let of = HEIGHTS.len() + 3 * ORDER.len();
        let done = match phase {
            Phase::Setup(k) => {
                let first = ORDER.into_iter().find(|kind| height(*kind) == k);
                first.map_or(0, |kind| keys(kind) - 1)
            }
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
    /// Rows the circuit uses.
    pub rows: u64,
    /// Of these, rows of the hash's and the curve's gates.
    pub block_rows: u64,
    /// Rows there are.
    pub usable_rows: u64,
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
    revision: u32,
}

/// What a proof of one kind is made with.
pub struct ProvingMaterial {
    /// The setup, of the circuit's height.
    pub params: ParamsKZG<Bn256>,
    /// The key, with its gates in their short form: its own digest is not the pinned key's.
    pub key: ProvingKey<G1Affine>,
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
    /// The circuit set's number.
    pub revision: u32,
    /// The circuit set's id.
    pub set: String,
    /// By name of the kind.
    pub keys: BTreeMap<String, Pin>,
}

impl Pins {
    /// What is committed of the newest set; nothing is pinned if that file cannot be read as pins.
    #[must_use]
    pub fn committed() -> Self {
        let newest = Self::all().into_iter().max_by_key(|pins| pins.revision);
        newest.unwrap_or(Self {
            setup: String::new(),
            revision: 0,
            set: String::new(),
            keys: BTreeMap::new(),
        })
    }

    /// Every set that is committed: while a network changes over from one set to the next, both.
    #[must_use]
    pub fn all() -> Vec<Self> {
        PINNED.iter().filter_map(|pins| serde_json::from_str(pins).ok()).collect()
    }
}

/// The committed sets. The one that is being left is listed until its last block is settled.
const PINNED: [&str; 1] = [include_str!("../../vk/devnet.json")];

/// The circuits' sources, comments left out: what a proof says must not change under a key.
const SOURCES: [&str; 17] = [
    include_str!("../recursion/family.rs"),
    include_str!("../recursion/msm.rs"),
    include_str!("../recursion/points.rs"),
    include_str!("../recursion/transcript.rs"),
    include_str!("../recursion/verify.rs"),
    include_str!("../recursion/verify/claim.rs"),
    include_str!("circuit.rs"),
    include_str!("../recursion/sponge.rs"),
    include_str!("../gates.rs"),
    include_str!("../gates/blocks.rs"),
    include_str!("../gates/bounds.rs"),
    include_str!("../gates/columns.rs"),
    include_str!("../gates/curve.rs"),
    include_str!("../gates/hash.rs"),
    include_str!("../gates/number.rs"),
    include_str!("../gates/sheet.rs"),
    include_str!("../gates/sheet/fold.rs"),
];

/// Names the folder: setup, crate version, revision, and the circuits' sources.
fn fingerprint(setup: &SetupConstants, revision: u32) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&setup.hash());
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes()).update(&revision.to_be_bytes());
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
        Self::open_revision(cache, setup, REVISION)
    }

    /// [`Self::open`] for the keys of a given circuit set.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open_revision(
        cache: &Path,
        setup: SetupConstants,
        revision: u32,
    ) -> Result<Self, KeyError> {
        let path = cache.join(fingerprint(&setup, revision));
        fs::create_dir_all(&path).map_err(KeyError::io(&path))?;
        Ok(Self { path, setup, revision })
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
        let keys = self.verifying(&self.manifest()?, &ORDER)?;
        VerifyingKeys::new((self.setup, self.revision), keys)
    }

    /// What proofs of `kind` are made with. Reads up to 0.4 GB twice: once to check it.
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
        let key =
            ProvingKey::read::<_, Short>(&mut reader, SerdeFormat::RawBytesUnchecked, shape(kind));
        let key = key.map_err(KeyError::io(&path))?;
        Ok(ProvingMaterial { params, key })
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
    /// from. Reads 1 GB.
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
        let setup = hex::encode(self.setup.hash());
        Ok(Pins { setup, revision: self.revision, set, keys: pinned })
    }

    /// Whether these are the keys the committed root verifier is of. Of the devnet's setup only:
    /// keys of another setup are pinned nowhere.
    ///
    /// # Errors
    /// [`KeyError::Pinned`] for the first key that differs, and when a file cannot be read.
    pub fn check_pins(&self) -> Result<(), KeyError> {
        let (pins, known) = (self.pins()?, Pins::committed());
        let differs = |kind: &Kind| pins.keys.get(kind.name()) != known.keys.get(kind.name());
        let pinned = self.setup.is_insecure() && self.revision == REVISION;
        let differs = ORDER.iter().find(|kind| pinned && differs(kind));
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
        let circuit = keygen_circuit((&self.setup, self.revision), &known, kind)?;
        let sheet = circuit.sheet().map_err(BuildError::from)?;
        let (counts, layout) = (sheet.counts(), sheet.layout_hash());
        drop(circuit);
        progress(Progress::of(Phase::Generating(kind)));
        let key = keygen_pk2(&params, &sheet, false);
        let key = key.map_err(|error| KeyError::Library { kind, why: format!("{error:?}") })?;
        assert_eq!(key.get_vk().cs().degree(), DEGREE, "degree of the key");
        drop((sheet, params));
        progress(Progress::of(Phase::Writing(kind)));
        let (vk, pk) = self.write_key(kind, &key)?;
        let figures = KeyFigures {
            rows: counts.rows as u64,
            block_rows: counts.block_rows as u64,
            usable_rows: counts.usable as u64,
            cpu_ms: meter::cpu_ms().saturating_sub(before),
            peak_mb: meter::peak_mb(),
            pk_bytes: pk.bytes,
        };
        let layout = hex::encode(layout);
        let entry = Entry { vk, pk, layout, figures };
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

/// The gates a proof of `kind` is made with: what verifies no child adds no points.
const fn shape(kind: Kind) -> Shape {
    Shape { layout: layout(kind), adds: !matches!(kind, Kind::Tx | Kind::Vm) }
}

/// The circuit over placeholder children and a sample input: constraints depend on neither.
fn keygen_circuit(
    (setup, revision): (&SetupConstants, u32),
    known: &BTreeMap<Kind, Verifying>,
    kind: Kind,
) -> Result<Draft, KeyError> {
    let keys: FamilyKeys = known.iter().map(|(kind, key)| (*kind, key.facts())).collect();
    let plan = Plan { kind, revision, setup: [setup.tau_g, setup.g], keys: &keys, own: Fr::ZERO };
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
