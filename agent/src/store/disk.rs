//! Private folders, durable renames and the one seam through which bytes reach the disk.
//!
//! A new name is durable only after its folder is synced, and a file only after its data is: the
//! functions here do both in the right order, so that no caller can forget one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::error::StoreError;

/// Mode of every folder: only the owner.
const FOLDER_MODE: u32 = 0o700;
/// Mode of every file: only the owner.
const FILE_MODE: u32 = 0o600;

/// Something bytes are written to and made durable on; a file, except where a test lets it fail.
pub(super) trait Medium: Write + Send {
    /// Returns when everything written is on the disk.
    fn sync_data(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn sync_data(&mut self) -> io::Result<()> {
        Self::sync_data(self)
    }
}

/// How a file becomes a [`Medium`].
pub(super) type MakeMedium = Arc<dyn Fn(File) -> Box<dyn Medium> + Send + Sync>;

/// The real disk.
pub(super) fn real_disk() -> MakeMedium {
    Arc::new(|file| Box::new(file))
}

/// Creates a folder and its missing parents with mode 0700; refuses one that others can enter.
pub(crate) fn private_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
        .map_err(|e| StoreError::io("create folder", path, &e))?;
    check_private(path, FOLDER_MODE)
}

/// Refuses a file that anybody but its owner, who must be us, can read.
pub(crate) fn check_private_file(path: &Path) -> Result<(), StoreError> {
    check_private(path, FILE_MODE)
}

/// Refuses a path that anybody but its owner, who must be us, can use.
fn check_private(path: &Path, wanted: u32) -> Result<(), StoreError> {
    let meta = fs::metadata(path).map_err(|e| StoreError::io("inspect", path, &e))?;
    let (mode, owner) = (meta.mode() & 0o7777, meta.uid());
    if mode & 0o077 != 0 || owner != rustix::process::geteuid().as_raw() {
        return Err(StoreError::Permissions { path: path.to_path_buf(), mode, owner, wanted });
    }
    Ok(())
}

/// A new file with mode 0600; an error if it exists.
pub(super) fn create_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|e| StoreError::io("create", path, &e))
}

/// Opens, or creates with mode 0600, a file that is only ever locked or read.
pub(super) fn open_or_create(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|e| StoreError::io("open", path, &e))
}

/// Makes names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| StoreError::io("sync folder", path, &e))
}

/// Puts `bytes` into a file that only its owner can read, durably; for secrets, whose file must
/// never have been readable for a moment.
pub(crate) fn write_private(target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_whole(&real_disk(), &target.with_extension("new"), target, bytes)
}

/// Puts `bytes` under `target`: all of them, durably, or nothing.
///
/// `scratch` must be in a folder of the same disk and not exist.
pub(super) fn write_whole(
    make: &MakeMedium,
    scratch: &Path,
    target: &Path,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let written = write_new(make, scratch, bytes).and_then(|()| {
        fs::rename(scratch, target).map_err(|e| StoreError::io("rename", target, &e))
    });
    if written.is_err() {
        // The bytes are worthless, and on a full disk their space is wanted.
        let _ = fs::remove_file(scratch);
        return written;
    }
    target.parent().map_or(Ok(()), sync_folder)
}

fn write_new(make: &MakeMedium, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut medium = make(create_file(path)?);
    medium
        .write_all(bytes)
        .and_then(|()| medium.sync_data())
        .map_err(|e| StoreError::io("write", path, &e))
}

/// A disk with room for so many more bytes, for tests of what happens when it is full.
#[cfg(test)]
pub(super) fn full_after(bytes: usize) -> MakeMedium {
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Small(File, Arc<AtomicUsize>);
    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1.load(Ordering::SeqCst);
            if room == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = self.0.write(&bytes[..bytes.len().min(room)])?;
            self.1.fetch_sub(written, Ordering::SeqCst);
            Ok(written)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }
    impl Medium for Small {
        fn sync_data(&mut self) -> io::Result<()> {
            self.0.sync_data()
        }
    }
    let room = Arc::new(AtomicUsize::new(bytes));
    Arc::new(move |file| Box::new(Small(file, Arc::clone(&room))))
}
