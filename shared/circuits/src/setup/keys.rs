//! Verifying keys, what they are worth, and why keys cannot be had.
//!
//! A verifying key is read as snark-verifier's protocol, which says how proofs are checked, inside
//! a parent and natively. Deriving it from the proof library's key takes a second and 300 MB for
//! each large circuit, so it is done once, when the key is made, and stored with the key's bytes.

use super::srs::{SetupConstants, SetupError};
use crate::gates::sheet::Sheet;
use crate::recursion::{
    family::{
        FAMILY, FamilyKeys, KeyFacts, accumulator_words, height, layout, protocol_config,
        public_words, same_shape,
    },
    verify::BuildError,
};
use halo2_base::halo2_proofs::{
    SerdeFormat,
    halo2curves::bn256::{Bn256, Fr, G1Affine},
    plonk,
    poly::kzg::commitment::ParamsKZG,
};
use protocol::{Kind, Word, assign::keccak::keccak256};
use rand::SeedableRng;
use serde::{Deserialize, Serialize};
use snark_verifier::{system::halo2::compile, verifier::plonk::PlonkProtocol};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

pub use super::folder::{KeyFigures, KeyFolder, Phase, Pin, Pins, Progress, ProvingMaterial};

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
    /// Not the key that is pinned for the devnet's setup: the committed contract verifies others.
    #[error("the key of {0} is not the pinned one; commit the output of `setup pins`")]
    Pinned(Kind),
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
            Self::Pinned(_) => "KEY-006",
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

/// A verifying key: its bytes, and how its proofs are checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Verifying {
    pub(super) bytes: Vec<u8>,
    pub(super) protocol: PlonkProtocol<G1Affine>,
}

/// All six verifying keys and the setup's constants: everything acceptance needs.
#[derive(Clone, Debug)]
pub struct VerifyingKeys {
    setup: SetupConstants,
    revision: u32,
    keys: [Verifying; 6],
    set: Word,
}

impl VerifyingKeys {
    pub(super) fn new(
        (setup, revision): (SetupConstants, u32),
        mut keys: BTreeMap<Kind, Verifying>,
    ) -> Result<Self, KeyError> {
        check_shapes(&keys)?;
        let set = set_id(&setup, &keys);
        let mut take = |kind: Kind| keys.remove(&kind).ok_or(KeyError::Missing(kind));
        let [tx, vm, kernel, base, merge, root] = Kind::ALL;
        let keys = [take(tx)?, take(vm)?, take(kernel)?, take(base)?, take(merge)?, take(root)?];
        Ok(Self { setup, revision, keys, set })
    }

    /// The keys pinned for the devnet's setup: enough to accept proofs without a key folder.
    ///
    /// # Errors
    /// [`SetupError::Insecure`] on another chain, [`KeyError::Missing`] for a key that is not
    /// pinned.
    pub fn pinned(chain_id: u64) -> Result<Self, KeyError> {
        Self::of_pins(&Pins::committed(), chain_id)
    }

    /// The keys of a pinned set.
    ///
    /// # Errors
    /// As [`Self::pinned`].
    pub fn of_pins(pins: &Pins, chain_id: u64) -> Result<Self, KeyError> {
        let setup = SetupConstants::insecure(chain_id)?;
        let mut keys = BTreeMap::new();
        for kind in Kind::ALL {
            let pin = pins.keys.get(kind.name()).ok_or(KeyError::Missing(kind))?;
            let bytes = hex::decode(&pin.bytes).map_err(|_| KeyError::Missing(kind))?;
            let key = Verifying::derive(kind, &bytes, &setup);
            keys.insert(kind, key.map_err(|_| KeyError::Missing(kind))?);
        }
        Self::new((setup, pins.revision), keys)
    }

    /// The constants of the setup.
    #[must_use]
    pub const fn setup(&self) -> &SetupConstants {
        &self.setup
    }

    /// The circuit set's number, a constant of its circuits.
    #[must_use]
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// How proofs of `kind` are verified.
    #[must_use]
    pub const fn protocol(&self, kind: Kind) -> &PlonkProtocol<G1Affine> {
        &self.keys[kind as usize].protocol
    }

    /// What transcripts of `kind` start from.
    #[must_use]
    pub fn digest(&self, kind: Kind) -> Fr {
        self.keys[kind as usize].digest()
    }

    /// BLAKE3 of the key's bytes, number of public words, height and accumulator positions.
    #[must_use]
    pub fn hash(&self, kind: Kind) -> [u8; 32] {
        self.keys[kind as usize].hash(kind)
    }

    /// keccak(setup hash ‖ five key hashes) >> 8: which circuits a block is proved by (R13).
    #[must_use]
    pub const fn set_id(&self) -> Word {
        self.set
    }

    /// What the family's circuits need of each other's keys.
    #[must_use]
    pub fn family(&self) -> FamilyKeys {
        FAMILY.iter().map(|kind| (*kind, self.keys[*kind as usize].facts())).collect()
    }
}

impl Verifying {
    pub(super) fn new(
        kind: Kind,
        key: &plonk::VerifyingKey<G1Affine>,
        setup: &SetupConstants,
    ) -> Self {
        let k = key.get_domain().k();
        let protocol = compile(&height_only(k, setup), key, protocol_config(kind));
        Self { bytes: key.to_bytes(SerdeFormat::Processed), protocol }
    }

    /// The key these bytes are of, with everything derived from it again.
    pub(super) fn derive(kind: Kind, bytes: &[u8], setup: &SetupConstants) -> io::Result<Self> {
        let key =
            plonk::VerifyingKey::from_bytes::<Sheet>(bytes, SerdeFormat::Processed, layout(kind))?;
        if key.get_domain().k() != height(kind) {
            return Err(io::Error::other("the key is of another height"));
        }
        Ok(Self::new(kind, &key, setup))
    }

    pub(super) fn digest(&self) -> Fr {
        self.protocol.transcript_initial_state.unwrap_or(Fr::zero())
    }

    pub(super) fn hash(&self, kind: Kind) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.bytes);
        let accumulator = 0..accumulator_words(kind) as u32;
        let layout = [public_words(kind) as u32, self.protocol.domain.k as u32];
        for number in layout.into_iter().chain(accumulator) {
            hasher.update(&number.to_be_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    pub(super) fn facts(&self) -> KeyFacts {
        let (k, commitments) = (self.protocol.domain.k as u32, self.protocol.preprocessed.clone());
        KeyFacts { digest: self.digest(), k, commitments }
    }
}

/// Bytes of a point in proofs of `kind`: L1 reads coordinates, circuits compressed points.
pub(super) const fn point_bytes(kind: Kind) -> usize {
    match kind {
        Kind::Root => 64,
        Kind::Tx | Kind::Vm | Kind::Kernel | Kind::Base | Kind::Merge => 32,
    }
}

/// A setup that has a height and nothing else: all that compiling a protocol asks of it.
fn height_only(k: u32, setup: &SetupConstants) -> ParamsKZG<Bn256> {
    let rng = rand_chacha::ChaCha20Rng::from_seed([0; 32]);
    let any = ParamsKZG::<Bn256>::setup(1, rng);
    any.from_parts(k, Vec::new(), Some(Vec::new()), setup.g2, setup.tau_g2)
}

/// The circuit set of these keys; keys that are not there are left out.
pub(super) fn set_id(setup: &SetupConstants, keys: &BTreeMap<Kind, Verifying>) -> Word {
    let known = FAMILY.iter().filter_map(|kind| Some((kind, keys.get(kind)?)));
    let hashes: Vec<[u8; 32]> = known.map(|(kind, key)| key.hash(*kind)).collect();
    let setup = setup.hash();
    let parts: Vec<&[u8]> = std::iter::once(&setup).chain(&hashes).map(|hash| &hash[..]).collect();
    let hash = keccak256(&parts);
    let mut set = [0; 32];
    set[1..].copy_from_slice(&hash.0[..31]);
    set
}

/// One verifier serves every child: all family keys must be of one shape.
pub(super) fn check_shapes(keys: &BTreeMap<Kind, Verifying>) -> Result<(), KeyError> {
    let Some(first) = keys.get(&Kind::Tx) else { return Ok(()) };
    for kind in FAMILY {
        let Some(key) = keys.get(&kind) else { continue };
        let same = same_shape(&first.protocol, &key.protocol);
        let library = |error: serde_json::Error| KeyError::Library { kind, why: error.to_string() };
        if !same.map_err(library)? {
            return Err(KeyError::Shape(kind));
        }
    }
    Ok(())
}
