//! The lock that all agents of a machine share: so many proofs at once, all others wait.
//!
//! Two proofs on two cores gain nothing and need twice the memory. Each running proof holds one of
//! `proof.0.lock`, `proof.1.lock`, … in the shared cache folder; the system lets go of it when the
//! child ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How often a place is looked for when there are several to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Most proofs at once: more than this is a wrong configuration, not a machine.
const PROOFS_MAX: u16 = 64;

/// The right to make a proof on this machine, until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _file: File,
}

/// Takes one of `proofs` places in `folder`; calls `waiting` once if all are taken.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn take(
    folder: &Path,
    proofs: u16,
    waiting: impl FnOnce() -> io::Result<()>,
) -> io::Result<Place> {
    let mut files = match free(places(folder, proofs)?)? {
        Ok(place) => return Ok(place),
        Err(files) => files,
    };
    waiting()?;
    if files.len() == 1
        && let Some(file) = files.pop()
    {
        // One place: the system wakes the waiters in turn.
        file.lock()?;
        return Ok(Place { _file: file });
    }
    loop {
        std::thread::sleep(LOOK_AGAIN);
        files = match free(files)? {
            Ok(place) => return Ok(place),
            Err(files) => files,
        };
    }
}

/// Whether a proof could begin at once.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn is_free(folder: &Path, proofs: u16) -> io::Result<bool> {
    Ok(free(places(folder, proofs)?)?.is_ok())
}

fn places(folder: &Path, proofs: u16) -> io::Result<Vec<File>> {
    let place = |place| open(&folder.join(format!("proof.{place}.lock")));
    (0..proofs.clamp(1, PROOFS_MAX)).map(place).collect()
}

/// The first free place, or all files back.
fn free(files: Vec<File>) -> io::Result<Result<Place, Vec<File>>> {
    let mut taken = Vec::new();
    for file in files {
        match file.try_lock() {
            Ok(()) => return Ok(Ok(Place { _file: file })),
            Err(TryLockError::WouldBlock) => taken.push(file),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(Err(taken))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn at_once(folder: &Path, proofs: u16) -> Place {
        take(folder, proofs, || Err(io::Error::other("had to wait"))).unwrap()
    }

    #[test]
    fn there_are_as_many_places_as_proofs_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = at_once(folder.path(), 2);
        let _second = at_once(folder.path(), 2);
        assert!(take(folder.path(), 2, || Err(io::Error::other("full"))).is_err());
        assert!(!is_free(folder.path(), 2).unwrap());
        drop(first);
        assert!(is_free(folder.path(), 2).unwrap());
        at_once(folder.path(), 2);
    }

    #[test]
    fn whoever_waits_says_so_and_gets_the_place_that_becomes_free() {
        for proofs in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let held: Vec<_> = (0..proofs).map(|_| at_once(folder.path(), proofs)).collect();
            let (waits, seen) = mpsc::channel();
            let path = folder.path().to_owned();
            let wait = move || take(&path, proofs, || waits.send(()).map_err(io::Error::other));
            let waiter = std::thread::spawn(wait);
            seen.recv().unwrap();
            drop(held);
            waiter.join().unwrap().unwrap();
        }
    }
}
