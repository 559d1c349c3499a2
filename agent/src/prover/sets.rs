//! The circuit sets whose keys this machine has (R13).
//!
//! A block is proved by the set that its reveal named, so verifying keys and key folders are looked
//! up by a set's id. The keys of a set that comes later may be made while the agent runs: a set
//! that is not known is looked for again, at most every few seconds.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use circuits::setup::{
    folder::REVISION,
    keys::{KeyError, KeyFolder, VerifyingKeys},
};
use protocol::{Kind, Word};

/// Numbers of the sets that this release makes keys of: its own, and the same circuits under the
/// next number, for a network that changes over.
pub(crate) const REVISIONS: [u32; 2] = [REVISION, REVISION + 1];
/// Shortest time between two looks for the keys of a set that is not known.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is known of the sets, by id.
#[derive(Debug)]
pub(crate) struct KeySets {
    cache: PathBuf,
    chain_id: u64,
    first: Arc<VerifyingKeys>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    sets: BTreeMap<Word, Arc<VerifyingKeys>>,
    looked: Instant,
}

impl KeySets {
    /// The release's own set, whose keys must be there, and what there is of the next.
    ///
    /// # Errors
    /// As [`KeyFolder::verifying_keys`] for the release's own set.
    pub(crate) fn open(cache: &Path, chain_id: u64) -> Result<Self, KeyError> {
        let first = KeyFolder::of_chain(cache, chain_id)?.verifying_keys()?;
        let sets = Self::of(cache.to_owned(), chain_id, first);
        sets.look(&mut sets.known.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(sets)
    }

    fn of(cache: PathBuf, chain_id: u64, first: VerifyingKeys) -> Self {
        let first = Arc::new(first);
        let sets = BTreeMap::from([(first.set_id(), Arc::clone(&first))]);
        let known = Mutex::new(Known { sets, looked: Instant::now() });
        Self { cache, chain_id, first, known }
    }

    /// The release's own set.
    pub(crate) const fn first(&self) -> &Arc<VerifyingKeys> {
        &self.first
    }

    /// The keys of a set, if they are here. May read files.
    pub(crate) fn get(&self, set: &Word) -> Option<Arc<VerifyingKeys>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.sets.contains_key(set) && LOOK_AGAIN < known.looked.elapsed() {
            self.look(&mut known);
        }
        known.sets.get(set).cloned()
    }

    /// Reads verifying keys that were made since.
    fn look(&self, known: &mut Known) {
        known.looked = Instant::now();
        let has = |known: &Known, revision| known.sets.values().any(|it| it.revision() == revision);
        for revision in REVISIONS {
            if has(known, revision) {
                continue;
            }
            let keys = self.folder(revision).and_then(|folder| folder.verifying_keys());
            match keys {
                Ok(keys) => drop(known.sets.insert(keys.set_id(), Arc::new(keys))),
                Err(KeyError::Missing(_)) => {}
                Err(error) => tracing::warn!(%error, revision, "keys cannot be read"),
            }
        }
    }

    fn folder(&self, revision: u32) -> Result<KeyFolder, KeyError> {
        KeyFolder::of_chain_revision(&self.cache, self.chain_id, revision)
    }

    /// Number of a set; of one that is not known, the number whose keys would have to be made.
    pub(crate) fn revision(&self, set: &Word) -> u32 {
        self.get(set).map_or(REVISION + 1, |keys| keys.revision())
    }

    /// Kinds without a proving key of this set.
    pub(crate) fn missing(&self, set: &Word) -> Vec<Kind> {
        let Some(keys) = self.get(set) else { return Kind::ALL.to_vec() };
        let missing = self.folder(keys.revision()).and_then(|folder| folder.missing());
        missing.unwrap_or_else(|error| {
            tracing::warn!(%error, "the key folder cannot be read");
            Kind::ALL.to_vec()
        })
    }
}

#[cfg(test)]
mod tests {
    use circuits::setup::srs::DEVNET_CHAIN_ID;

    use super::*;

    #[test]
    fn a_set_is_known_by_its_id_and_needs_its_own_folder() {
        let cache = tempfile::tempdir().unwrap();
        let pinned = VerifyingKeys::pinned(DEVNET_CHAIN_ID).unwrap();
        let id = pinned.set_id();
        let sets = KeySets::of(cache.path().to_owned(), DEVNET_CHAIN_ID, pinned);
        assert_eq!(sets.get(&id).map(|it| it.set_id()), Some(id));
        assert_eq!((sets.revision(&id), sets.first().revision()), (REVISION, REVISION));
        assert!(sets.get(&[9; 32]).is_none());
        assert_eq!(sets.revision(&[9; 32]), REVISION + 1);
        assert_eq!(sets.missing(&[9; 32]), Kind::ALL);
        assert_eq!(sets.missing(&id), Kind::ALL, "the folder is empty");
        let opened = KeySets::open(cache.path(), DEVNET_CHAIN_ID);
        assert_eq!(opened.map(drop).unwrap_err().code(), "KEY-001");
    }
}
