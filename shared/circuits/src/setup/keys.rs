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

use super::{
    circuit::{self, Input},
    meter,
    srs::{self, HEIGHTS, SetupConstants, SetupError},
    store::{self, FileMark},
};
use crate::recursion::{
    family::{
        ACCUMULATOR, CARRIED_KINDS, FamilyKeys, KeyFacts, columns, height, placeholder, positions,
        protocol_config, public_words, same_shape,
    },
    verify::{BuildError, Plan},
};
use halo2_base::{
    gates::{
        circuit::{CircuitBuilderStage, builder::BaseCircuitBuilder},
        flex_gate::MultiPhaseThreadBreakPoints,
    },
    halo2_proofs::{
        SerdeFormat,
        halo2curves::bn256::{Bn256, Fr, G1Affine},
        halo2curves::ff::Field,
        plonk::{self, ProvingKey, keygen_pk2},
        poly::kzg::commitment::ParamsKZG,
    },
};
use protocol::{Kind, Word, assign::keccak::keccak256};
use rand::SeedableRng;
use snark_verifier::{system::halo2::compile, verifier::plonk::PlonkProtocol};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Raised when a circuit changes on purpose: folders of older circuits are then left alone.
pub const REVISION: u32 = 1;
/// Order of generation: each circuit has the keys of its possible children as constants.
const ORDER: [Kind; 6] = Kind::ALL;

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Of the setup.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Of a circuit.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Not generated yet, or its file differs from what was recorded.
    #[error("key of {0} is missing or damaged; run `coppice-agent setup keys`")]
    Missing(Kind),
    /// A key of another shape: one verifier would not be right for all children.
    #[error("the key of {0} is not of the family's shape")]
    Shape(Kind),
    /// The proof library refuses the circuit.
    #[error("key of {kind}: {why}")]
    Library {
        /// The circuit.
        kind: Kind,
        /// What the library says.
        why: String,
    },
    /// The manifest cannot be read as one.
    #[error("{path} is no manifest of this folder: {why}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Reading or writing failed.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl KeyError {
    /// Stable code for operators.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Setup(error) => error.code(),
            Self::Build(error) => error.code(),
            Self::Missing(_) => "KEY-001",
            Self::Shape(_) => "KEY-002",
            Self::Library { .. } => "KEY-003",
            Self::Manifest { .. } => "KEY-004",
            Self::Io { .. } => "KEY-005",
        }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Entry {
    vk: FileMark,
    pk: FileMark,
    break_points: MultiPhaseThreadBreakPoints,
    figures: KeyFigures,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
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

/// One verifying key and what is derived from it.
#[derive(Clone, Debug)]
struct Verifying {
    key: plonk::VerifyingKey<G1Affine>,
    protocol: PlonkProtocol<G1Affine>,
    hash: [u8; 32],
}

/// All six verifying keys and the setup's constants: everything acceptance needs.
#[derive(Clone, Debug)]
pub struct VerifyingKeys {
    setup: SetupConstants,
    keys: [Verifying; 6],
    set: Word,
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

impl VerifyingKeys {
    fn new(setup: SetupConstants, mut keys: BTreeMap<Kind, Verifying>) -> Result<Self, KeyError> {
        let set = set_id(&setup, &keys);
        let mut take = |kind: Kind| keys.remove(&kind).ok_or(KeyError::Missing(kind));
        let [tx, vm, kernel, base, merge, root] = ORDER;
        let keys = [take(tx)?, take(vm)?, take(kernel)?, take(base)?, take(merge)?, take(root)?];
        Ok(Self { setup, keys, set })
    }

    /// Keys of other circuits than the family's, for tests of what uses keys.
    #[cfg(test)]
    pub(super) fn for_tests(
        setup: SetupConstants,
        keys: BTreeMap<Kind, plonk::VerifyingKey<G1Affine>>,
    ) -> Self {
        let verifying = |(kind, key)| (kind, Verifying::new(kind, key, &setup));
        let keys: BTreeMap<Kind, Verifying> = keys.into_iter().map(verifying).collect();
        check_shapes(&keys).unwrap();
        Self::new(setup, keys).unwrap()
    }

    /// The constants of the setup.
    #[must_use]
    pub const fn setup(&self) -> &SetupConstants {
        &self.setup
    }

    /// How proofs of `kind` are verified.
    #[must_use]
    pub const fn protocol(&self, kind: Kind) -> &PlonkProtocol<G1Affine> {
        &self.keys[kind as usize].protocol
    }

    /// What transcripts of `kind` start from.
    #[must_use]
    pub fn digest(&self, kind: Kind) -> Fr {
        self.keys[kind as usize].key.transcript_repr()
    }

    /// BLAKE3 of the key's bytes, number of public words, height and accumulator positions.
    #[must_use]
    pub const fn hash(&self, kind: Kind) -> [u8; 32] {
        self.keys[kind as usize].hash
    }

    /// keccak(setup hash ‖ five key hashes) >> 8: which circuits a block is proved by (R13).
    #[must_use]
    pub const fn set_id(&self) -> Word {
        self.set
    }

    /// What the family's circuits need of each other's keys.
    #[must_use]
    pub fn family(&self) -> FamilyKeys {
        CARRIED_KINDS.iter().map(|kind| (*kind, self.keys[*kind as usize].facts())).collect()
    }
}

impl Verifying {
    fn new(kind: Kind, key: plonk::VerifyingKey<G1Affine>, setup: &SetupConstants) -> Self {
        let k = key.get_domain().k();
        let protocol = compile(&height_only(k, setup), &key, protocol_config(kind));
        let mut hasher = blake3::Hasher::new();
        hasher.update(&key.to_bytes(SerdeFormat::Processed));
        let accumulator = 0..ACCUMULATOR as u32;
        for number in [public_words(kind) as u32, k].into_iter().chain(accumulator) {
            hasher.update(&number.to_be_bytes());
        }
        Self { key, protocol, hash: *hasher.finalize().as_bytes() }
    }

    fn facts(&self) -> KeyFacts {
        let commitments = self.protocol.preprocessed.clone();
        KeyFacts { digest: self.key.transcript_repr(), commitments }
    }
}

/// A setup that has a height and nothing else: all that compiling a protocol asks of it.
fn height_only(k: u32, setup: &SetupConstants) -> ParamsKZG<Bn256> {
    let rng = rand_chacha::ChaCha20Rng::from_seed([0; 32]);
    let any = ParamsKZG::<Bn256>::setup(1, rng);
    any.from_parts(k, Vec::new(), Some(Vec::new()), setup.g2, setup.tau_g2)
}

fn set_id(setup: &SetupConstants, keys: &BTreeMap<Kind, Verifying>) -> Word {
    let setup = setup.hash();
    let hashes = CARRIED_KINDS.iter().filter_map(|kind| keys.get(kind).map(|key| &key.hash[..]));
    let parts: Vec<&[u8]> = std::iter::once(&setup[..]).chain(hashes).collect();
    let hash = keccak256(&parts);
    let mut set = [0; 32];
    set[1..].copy_from_slice(&hash.0[..31]);
    set
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
        let path = self.path.join("lock");
        let lock = File::create(&path).map_err(KeyError::io(&path))?;
        lock.lock().map_err(KeyError::io(&path))?;
        let Some(kind) = self.missing()?.first().copied() else {
            return Ok(None);
        };
        self.ensure_setup(kind, progress)?;
        if !self.has_key(&self.manifest()?, kind) {
            self.generate_key(kind, progress)?;
        }
        Ok(Some(kind))
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

    /// The setup of the height of `kind`: generated if it is the devnet's, else it must have been
    /// imported.
    fn ensure_setup(&self, kind: Kind, progress: &mut dyn FnMut(Progress)) -> Result<(), KeyError> {
        let (k, mut manifest) = (height(kind), self.manifest()?);
        if self.has_setup(&manifest, k) {
            return Ok(());
        }
        if !self.setup.is_insecure() {
            let why = "the setup was not imported into this folder";
            return Err(SetupError::Unusable { path: srs::path(&self.path, k), why }.into());
        }
        progress(Progress::of(Phase::Setup(k)));
        manifest.srs.insert(k, srs::generate_insecure(&self.path, k)?);
        self.write_manifest(&manifest)
    }

    /// Writes an imported setup into this folder, in every height.
    ///
    /// # Errors
    /// When it is not this folder's setup, or a file cannot be written.
    pub fn import_setup(
        &self,
        params: &ParamsKZG<Bn256>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), KeyError> {
        if srs::constants(params) != self.setup {
            let why = "it is another setup than this folder's";
            return Err(SetupError::Unusable { path: self.path.clone(), why }.into());
        }
        let mut manifest = self.manifest()?;
        for k in HEIGHTS {
            progress(Progress::of(Phase::Setup(k)));
            manifest.srs.insert(k, srs::write_imported(&self.path, params, k)?);
        }
        self.write_manifest(&manifest)
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
            let mut reader = opened.ok_or(KeyError::Missing(*kind))?;
            let key = plonk::VerifyingKey::read::<_, BaseCircuitBuilder<Fr>>(
                &mut reader,
                SerdeFormat::Processed,
                columns(*kind),
            );
            let key = key.map_err(KeyError::io(&path))?;
            if key.get_domain().k() != height(*kind) {
                return Err(KeyError::Shape(*kind));
            }
            keys.insert(*kind, Verifying::new(*kind, key, &self.setup));
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
        let circuit = self.keygen_circuit(&manifest, kind)?;
        let statistics = circuit.statistics();
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
        let entry = Entry { vk, pk, break_points, figures };
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
        let write = |mut writer: &mut dyn io::Write| {
            key.get_vk().write(&mut writer, SerdeFormat::Processed)
        };
        let vk = store::write(&path, write).map_err(KeyError::io(&path))?;
        let path = self.file(kind, "pk");
        let write =
            |mut writer: &mut dyn io::Write| key.write(&mut writer, SerdeFormat::RawBytesUnchecked);
        let pk = store::write(&path, write).map_err(KeyError::io(&path))?;
        Ok((vk, pk))
    }

    /// The circuit over placeholder children: constraints do not depend on them.
    fn keygen_circuit(
        &self,
        manifest: &Manifest,
        kind: Kind,
    ) -> Result<BaseCircuitBuilder<Fr>, KeyError> {
        let known = &ORDER[..kind as usize];
        let verifying = self.verifying(manifest, known)?;
        let keys: FamilyKeys = verifying.iter().map(|(kind, key)| (*kind, key.facts())).collect();
        let plan = Plan {
            kind,
            stage: CircuitBuilderStage::Keygen,
            break_points: None,
            setup: [self.setup.tau_g, self.setup.g],
            keys: &keys,
            own: Fr::ZERO,
        };
        let shape = verifying.get(&Kind::Tx).map(|tx| &tx.protocol);
        let children = shape.map_or(Vec::new(), |shape| {
            positions(kind).iter().map(|allowed| placeholder(allowed[0], shape)).collect()
        });
        let input = Input::sample(kind, &children, set_id(&self.setup, &verifying));
        let input = input.map_err(|error| BuildError::Application(error.to_string()))?;
        Ok(circuit::build(&plan, shape, &children, &input)?)
    }
}

/// One verifier serves every child: all family keys must be of one shape.
fn check_shapes(keys: &BTreeMap<Kind, Verifying>) -> Result<(), KeyError> {
    let Some(first) = keys.get(&Kind::Tx) else { return Ok(()) };
    for kind in CARRIED_KINDS {
        let Some(key) = keys.get(&kind) else { continue };
        let same = same_shape(&first.protocol, &key.protocol);
        let library = |error: serde_json::Error| KeyError::Library { kind, why: error.to_string() };
        if !same.map_err(library)? {
            return Err(KeyError::Shape(kind));
        }
    }
    Ok(())
}
