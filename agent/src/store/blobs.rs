//! Witnesses and proofs as files named by their BLAKE3.
//!
//! A blob is written whole or not at all and its hash is checked on every read, so that a reader
//! never sees damaged bytes: a blob that does not hash to its name is removed and counts as
//! missing, and whoever needs it fetches it again.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::BlobId;

use super::disk::{self, MakeMedium};
use super::error::StoreError;

/// Largest blob. A proof blob has about 5 KiB, a tx witness at most 16 KiB; a block's data with 16
/// txs has 33 KiB.
pub(crate) const BLOB_BYTES_MAX: usize = 1024 * 1024;

/// The blob folder; cheap to clone, usable from every thread.
#[derive(Clone)]
pub(crate) struct Blobs(Arc<Folder>);

struct Folder {
    dir: PathBuf,
    make: MakeMedium,
    scratch: AtomicU64,
}

impl Blobs {
    /// Opens `dir` and removes what an interrupted write left.
    pub(super) fn open(dir: &Path, make: MakeMedium) -> Result<Self, StoreError> {
        disk::private_folder(dir)?;
        let scratch = dir.join("tmp");
        if scratch.exists() {
            fs::remove_dir_all(&scratch).map_err(|e| StoreError::io("remove", &scratch, &e))?;
        }
        disk::private_folder(&scratch)?;
        disk::sync_folder(dir)?;
        let folder = Folder { dir: dir.to_path_buf(), make, scratch: AtomicU64::new(0) };
        Ok(Self(Arc::new(folder)))
    }

    /// Stores a blob durably and returns its name.
    ///
    /// # Errors
    /// `STO-030` above [`BLOB_BYTES_MAX`], `STO-020` if the disk is full (nothing is lost then and
    /// nothing of this blob stays), `STO-021` for other failures.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let limit = BLOB_BYTES_MAX;
        if bytes.len() > limit {
            return Err(StoreError::TooLarge { what: "blob", bytes: bytes.len(), limit });
        }
        let id = BlobId(*blake3::hash(bytes).as_bytes());
        let path = self.path(id);
        if self.get(id).is_ok_and(|found| found.is_some()) {
            return Ok(id);
        }
        if let Some(folder) = path.parent() {
            disk::private_folder(folder)?;
            disk::sync_folder(&self.0.dir)?;
        }
        let number = self.0.scratch.fetch_add(1, Ordering::Relaxed);
        let scratch = self.0.dir.join("tmp").join(number.to_string());
        disk::write_whole(&self.0.make, &scratch, &path, bytes)?;
        Ok(id)
    }

    /// The blob's bytes, or `None` if it is not stored.
    ///
    /// # Errors
    /// `STO-031` if the bytes were damaged; the blob is then gone. `STO-021` if it cannot be read.
    pub(crate) fn get(&self, id: BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("open", &path, &e)),
        };
        let mut bytes = Vec::new();
        file.take(BLOB_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| StoreError::io("read", &path, &e))?;
        if blake3::hash(&bytes).as_bytes() != &id.0 {
            self.remove(id)?;
            return Err(StoreError::BlobDamaged { blob: id.to_string() });
        }
        Ok(Some(bytes))
    }

    /// Removes a blob; removing one that is not there is no error.
    ///
    /// # Errors
    /// `STO-021` if the file cannot be removed.
    pub(crate) fn remove(&self, id: BlobId) -> Result<(), StoreError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(StoreError::io("remove", &path, &e)),
        }
    }

    fn path(&self, id: BlobId) -> PathBuf {
        let name = hex::encode(id.0);
        self.0.dir.join(&name[..2]).join(name)
    }
}

/// What is there.
#[cfg_attr(not(test), expect(dead_code, reason = "what is there is asked by tests alone"))]
impl Blobs {
    /// Whether a blob of that name is stored; its bytes are checked when they are read.
    #[must_use]
    pub(crate) fn has(&self, id: BlobId) -> bool {
        self.path(id).is_file()
    }

    /// Names of all blobs, in order.
    ///
    /// # Errors
    /// `STO-021` if a folder cannot be listed.
    pub(crate) fn list(&self) -> Result<Vec<BlobId>, StoreError> {
        let mut found = Vec::new();
        for folder in names(&self.0.dir)? {
            if folder.len() != 2 {
                continue;
            }
            let parts = names(&self.0.dir.join(&folder))?;
            found.extend(parts.iter().filter_map(|name| id_of(name)));
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let error = |e| StoreError::io("list", dir, &e);
    fs::read_dir(dir)
        .map_err(error)?
        .map(|file| Ok(file.map_err(error)?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn id_of(name: &str) -> Option<BlobId> {
    let mut id = BlobId::default();
    hex::decode_to_slice(name, &mut id.0).ok()?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Blobs {
        Blobs::open(&dir.join("blobs"), disk::real_disk()).unwrap()
    }

    #[test]
    fn a_blob_is_stored_once_under_its_hash_and_can_be_removed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        let id = blobs.put(b"proof").unwrap();
        assert_eq!(id.0, *blake3::hash(b"proof").as_bytes());
        assert_eq!(blobs.put(b"proof").unwrap(), id);
        let other = blobs.put(b"other").unwrap();
        let reopened = open(dir.path());
        assert_eq!(reopened.get(id).unwrap().as_deref(), Some(&b"proof"[..]));
        let mut both = vec![id, other];
        both.sort_unstable();
        assert_eq!(reopened.list().unwrap(), both);
        reopened.remove(id).unwrap();
        reopened.remove(id).unwrap();
        assert!(!reopened.has(id));
        assert_eq!(reopened.get(id).unwrap(), None);
    }

    #[test]
    fn a_damaged_blob_is_never_returned_and_can_be_stored_again() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        let id = blobs.put(b"proof").unwrap();
        fs::write(blobs.path(id), b"Proof").unwrap();
        assert_eq!(blobs.get(id).unwrap_err().code(), "STO-031");
        assert_eq!(blobs.get(id).unwrap(), None);
        fs::write(blobs.path(id), b"Proof").unwrap();
        assert_eq!(blobs.put(b"proof").unwrap(), id, "writing replaces damage");
        assert_eq!(blobs.get(id).unwrap().as_deref(), Some(&b"proof"[..]));
    }

    #[test]
    fn a_full_disk_refuses_the_blob_and_leaves_no_part_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let kept = open(dir.path()).put(b"kept").unwrap();
        let full = Blobs::open(&dir.path().join("blobs"), disk::full_after(100)).unwrap();
        let error = full.put(&[7; 200]).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("STO-020", 75));
        assert_eq!(full.list().unwrap(), [kept]);
        assert_eq!(fs::read_dir(dir.path().join("blobs/tmp")).unwrap().count(), 0);
        assert_eq!(full.get(kept).unwrap().as_deref(), Some(&b"kept"[..]));
    }

    #[test]
    fn a_blob_above_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(dir.path()).put(&vec![0; BLOB_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error.code(), "STO-030");
    }
}
