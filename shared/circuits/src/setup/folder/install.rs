//! How a key folder gets its setup: made from a constant on the devnet, imported elsewhere.
//!
//! A chain has one setup for good: L1 stores the id of a circuit set, which its hash is part of.
//! An imported one follows from no constant of this program, so a small file beside the folders
//! remembers whose it is: `setup_<chain id>.json`.

use super::{KeyFolder, Phase, Progress, REVISION};
use crate::setup::{
    keys::KeyError,
    srs::{self, DEVNET_CHAIN_ID, HEIGHTS, SetupConstants, SetupError},
    store,
};
use halo2_base::halo2_proofs::{
    halo2curves::{
        bn256::{Bn256, G1Affine, G2Affine},
        group::GroupEncoding,
    },
    poly::kzg::commitment::ParamsKZG,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// What is remembered of an imported setup: its two points beside the generators, in hexadecimal.
#[derive(Serialize, Deserialize)]
struct Imported {
    tau_g: String,
    tau_g2: String,
}

impl KeyFolder {
    /// The folder of this chain's setup below `cache`: the insecure one on the devnet, elsewhere
    /// the imported one.
    ///
    /// # Errors
    /// [`SetupError::Insecure`] where none was imported, and when the folder cannot be made.
    pub fn of_chain(cache: &Path, chain_id: u64) -> Result<Self, KeyError> {
        Self::of_chain_revision(cache, chain_id, REVISION)
    }

    /// [`Self::of_chain`] for the keys of a given circuit set (R13).
    ///
    /// # Errors
    /// As [`Self::of_chain`].
    pub fn of_chain_revision(cache: &Path, chain_id: u64, revision: u32) -> Result<Self, KeyError> {
        let setup = match SetupConstants::insecure(chain_id) {
            Ok(setup) => setup,
            Err(none) => imported(cache, chain_id)?.ok_or(none)?,
        };
        Self::open_revision(cache, setup, revision)
    }

    /// Writes what is missing of the devnet's setup, in every height.
    ///
    /// # Errors
    /// On every chain but the devnet's, and when a file cannot be written.
    pub fn generate_setup(
        cache: &Path,
        chain_id: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, KeyError> {
        Self::generate_heights(cache, chain_id, &HEIGHTS, progress)
    }

    fn generate_heights(
        cache: &Path,
        chain_id: u64,
        heights: &[u32],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, KeyError> {
        let folder = Self::open(cache, SetupConstants::insecure(chain_id)?)?;
        let _lock = folder.lock()?;
        for (done, k) in heights.iter().enumerate() {
            let begins = Progress { done, of: heights.len(), phase: Phase::Setup(*k) };
            folder.ensure_height(*k, &mut || progress(begins))?;
        }
        progress(complete(heights));
        Ok(folder)
    }

    /// Checks a setup made elsewhere (halo2's raw format) and makes it this chain's. Writing the
    /// lower heights takes minutes.
    ///
    /// # Errors
    /// A file that fails a check of [`srs::import`], a chain that has another setup, and files
    /// that cannot be written.
    pub fn import_setup(
        cache: &Path,
        chain_id: u64,
        file: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, KeyError> {
        Self::import_heights((cache, chain_id), file, &HEIGHTS, progress)
    }

    fn import_heights(
        (cache, chain_id): (&Path, u64),
        file: &Path,
        heights: &[u32],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, KeyError> {
        let taken = |held: &SetupConstants, remedy: String| {
            let held = hex::encode(held.hash());
            KeyError::from(SetupError::Taken { chain_id, held, remedy })
        };
        if chain_id == DEVNET_CHAIN_ID {
            let remedy = "name your network with --chain-id".into();
            return Err(taken(&SetupConstants::insecure(chain_id)?, remedy));
        }
        let params = srs::import(file, heights.iter().copied().max().unwrap_or(0))?;
        let setup = srs::constants(&params);
        if let Some(held) = imported(cache, chain_id)?.filter(|held| *held != setup) {
            let record = record(cache, chain_id);
            return Err(taken(&held, format!("remove {} to change it", record.display())));
        }
        let folder = Self::open(cache, setup)?;
        folder.write_heights(&params, heights, progress)?;
        remember(cache, chain_id, &setup)?;
        progress(complete(heights));
        Ok(folder)
    }

    fn write_heights(
        &self,
        params: &ParamsKZG<Bn256>,
        heights: &[u32],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), KeyError> {
        let _lock = self.lock()?;
        let mut manifest = self.manifest()?;
        for (done, k) in heights.iter().enumerate() {
            progress(Progress { done, of: heights.len(), phase: Phase::Setup(*k) });
            manifest.srs.insert(*k, srs::write_imported(&self.path, params, *k)?);
        }
        self.write_manifest(&manifest)
    }

    /// The setup of one height: generated if it is the devnet's, else it must have been imported.
    pub(super) fn ensure_height(&self, k: u32, begins: &mut dyn FnMut()) -> Result<(), KeyError> {
        let mut manifest = self.manifest()?;
        if self.has_setup(&manifest, k) {
            return Ok(());
        }
        if !self.setup.is_insecure() {
            let why = "it is gone from this folder; run `coppice-agent setup import` again".into();
            return Err(SetupError::Unusable { path: srs::path(&self.path, k), why }.into());
        }
        begins();
        manifest.srs.insert(k, srs::generate_insecure(&self.path, k)?);
        self.write_manifest(&manifest)
    }

    /// Held by one process at a time; given back when dropped.
    pub(super) fn lock(&self) -> Result<File, KeyError> {
        let path = self.path.join("lock");
        let lock = File::create(&path).map_err(KeyError::io(&path))?;
        lock.lock().map_err(KeyError::io(&path))?;
        Ok(lock)
    }
}

const fn complete(heights: &[u32]) -> Progress {
    Progress { done: heights.len(), of: heights.len(), phase: Phase::Done }
}

fn record(cache: &Path, chain_id: u64) -> PathBuf {
    cache.join(format!("setup_{chain_id}.json"))
}

fn remember(cache: &Path, chain_id: u64, setup: &SetupConstants) -> Result<(), SetupError> {
    let path = record(cache, chain_id);
    let imported = Imported {
        tau_g: hex::encode(setup.tau_g.to_bytes()),
        tau_g2: hex::encode(setup.tau_g2.to_bytes()),
    };
    let write = |writer: &mut dyn io::Write| {
        serde_json::to_writer_pretty(writer, &imported).map_err(io::Error::from)
    };
    store::write(&path, write).map(|_| ()).map_err(SetupError::io(&path))
}

/// The setup that was imported for a chain, if one was.
fn imported(cache: &Path, chain_id: u64) -> Result<Option<SetupConstants>, SetupError> {
    let path = record(cache, chain_id);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SetupError::Io { path, source }),
    };
    let setup = serde_json::from_slice(&bytes).ok().and_then(|it: Imported| {
        let (g, g2) = (G1Affine::generator(), G2Affine::generator());
        Some(SetupConstants { g, tau_g: point(&it.tau_g)?, g2, tau_g2: point(&it.tau_g2)? })
    });
    let setup = setup.filter(|it| it.is_consistent() && !it.is_insecure());
    let why = "it does not name a setup; remove it and import the setup again";
    setup.map(Some).ok_or_else(|| SetupError::Unusable { path, why: why.into() })
}

fn point<C: GroupEncoding>(text: &str) -> Option<C> {
    let mut bytes = C::Repr::default();
    hex::decode_to_slice(text, bytes.as_mut()).ok()?;
    C::from_bytes(&bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_base::halo2_proofs::SerdeFormat;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha20Rng;

    const HEIGHTS: [u32; 2] = [5, 6];

    fn file(folder: &Path, seed: u8) -> PathBuf {
        let params = ParamsKZG::<Bn256>::setup(6, ChaCha20Rng::from_seed([seed; 32]));
        let path = folder.join(format!("powers-{seed}.bin"));
        params.write_custom(&mut File::create(&path).unwrap(), SerdeFormat::RawBytes).unwrap();
        path
    }

    fn import(cache: &Path, chain_id: u64, file: &Path) -> Result<KeyFolder, KeyError> {
        KeyFolder::import_heights((cache, chain_id), file, &HEIGHTS, &mut |_| ())
    }

    fn code(refused: Result<KeyFolder, KeyError>) -> &'static str {
        refused.unwrap_err().code()
    }

    #[test]
    fn the_devnets_setup_is_generated_once_and_nowhere_else() {
        let cache = tempfile::tempdir().unwrap();
        let generate = |chain_id| {
            let mut phases = Vec::new();
            let mut progress = |it: Progress| phases.push((it.done, it.of, it.phase));
            let made = KeyFolder::generate_heights(cache.path(), chain_id, &HEIGHTS, &mut progress);
            made.map(|folder| (folder, phases))
        };
        let (folder, phases) = generate(DEVNET_CHAIN_ID).unwrap();
        let done = (2, 2, Phase::Done);
        assert_eq!(phases, [(0, 2, Phase::Setup(5)), (1, 2, Phase::Setup(6)), done]);
        let manifest = folder.manifest().unwrap();
        for k in HEIGHTS {
            srs::load(folder.path(), k, &manifest.srs[&k]).unwrap();
        }
        assert_eq!(generate(DEVNET_CHAIN_ID).unwrap().1, [done], "nothing is made twice");
        assert_eq!(generate(1).map(drop).unwrap_err().code(), "SRS-001");
    }

    #[test]
    fn an_imported_setup_is_its_chains_from_then_on() {
        let cache = tempfile::tempdir().unwrap();
        let file = file(cache.path(), 7);
        assert_eq!(code(KeyFolder::of_chain(cache.path(), 1)), "SRS-001");
        let installed = import(cache.path(), 1, &file).unwrap();
        let folder = KeyFolder::of_chain(cache.path(), 1).unwrap();
        assert_eq!((folder.path(), folder.setup()), (installed.path(), installed.setup()));
        assert!(!folder.setup().is_insecure());
        let manifest = folder.manifest().unwrap();
        for k in HEIGHTS {
            srs::check(&srs::load(folder.path(), k, &manifest.srs[&k]).unwrap()).unwrap();
        }
        import(cache.path(), 1, &file).unwrap();
        assert_eq!(code(KeyFolder::of_chain(cache.path(), 2)), "SRS-001", "of another chain");
    }

    #[test]
    fn a_chain_takes_no_second_setup() {
        let cache = tempfile::tempdir().unwrap();
        let (first, second) = (file(cache.path(), 7), file(cache.path(), 8));
        let held = *import(cache.path(), 1, &first).unwrap().setup();
        let refused = import(cache.path(), 1, &second).unwrap_err();
        assert_eq!(refused.code(), "SRS-004");
        let text = refused.to_string();
        assert!(
            text.contains(&hex::encode(held.hash())) && text.contains("setup_1.json"),
            "{text}"
        );
        assert_eq!(*KeyFolder::of_chain(cache.path(), 1).unwrap().setup(), held);
        assert_eq!(code(import(cache.path(), DEVNET_CHAIN_ID, &second)), "SRS-004");
    }

    #[test]
    fn a_file_that_is_no_setup_leaves_the_chain_without_one() {
        let cache = tempfile::tempdir().unwrap();
        let path = file(cache.path(), 7);
        let mut bytes = fs::read(&path).unwrap();
        bytes.pop();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(code(import(cache.path(), 1, &path)), "SRS-002");
        assert_eq!(code(KeyFolder::of_chain(cache.path(), 1)), "SRS-001");
    }

    #[test]
    fn a_damaged_memory_of_an_import_is_refused() {
        let cache = tempfile::tempdir().unwrap();
        import(cache.path(), 1, &file(cache.path(), 7)).unwrap();
        let path = record(cache.path(), 1);
        let text = fs::read_to_string(&path).unwrap();
        for damaged in ["", "{}", &text.replacen(": \"", ": \"00", 1)] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(code(KeyFolder::of_chain(cache.path(), 1)), "SRS-002", "{damaged}");
        }
    }
}
