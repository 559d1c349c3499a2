//! Files of the cache folder: written whole or not at all, read against a known hash.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::Path,
};

/// Buffer of readers and writers: keys are 0.2 GB of small writes.
const BUFFER: usize = 1 << 20;

/// Length and BLAKE3 hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct FileMark {
    /// Bytes.
    pub(super) bytes: u64,
    /// BLAKE3, lower-case hexadecimal.
    pub(super) blake3: String,
}

/// A writer that hashes what passes.
struct Marking<W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Marking<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.hasher.update(&data[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes `path` through a temporary file beside it: after a crash it is the old file or the new
/// one, never a part.
pub(super) fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<FileMark> {
    let temporary = path.with_extension("tmp");
    let mut writer = BufWriter::with_capacity(
        BUFFER,
        Marking { inner: File::create(&temporary)?, hasher: blake3::Hasher::new(), bytes: 0 },
    );
    content(&mut writer)?;
    let marking = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    marking.inner.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(FileMark { bytes: marking.bytes, blake3: marking.hasher.finalize().to_hex().to_string() })
}

/// Whether `path` has the length of `mark`: cheap, for deciding what is missing.
pub(super) fn has_length(path: &Path, mark: &FileMark) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == mark.bytes)
}

/// Opens `path` after checking all of it against `mark`; `Ok(None)` if it is another file. What
/// follows may then be read without checks of its own.
pub(super) fn open_checked(path: &Path, mark: &FileMark) -> io::Result<Option<BufReader<File>>> {
    if !has_length(path, mark) {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    if hasher.finalize().to_hex().as_str() != mark.blake3 {
        return Ok(None);
    }
    Ok(Some(BufReader::with_capacity(BUFFER, File::open(path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_file_is_read_back_only_if_it_is_the_one_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.bin");
        let mark = write(&path, |writer| writer.write_all(b"content")).unwrap();
        let mut read = String::new();
        open_checked(&path, &mark).unwrap().unwrap().read_to_string(&mut read).unwrap();
        assert_eq!((read.as_str(), mark.bytes), ("content", 7));
        fs::write(&path, b"c0ntent").unwrap();
        assert!(open_checked(&path, &mark).unwrap().is_none());
        fs::write(&path, b"contents").unwrap();
        assert!(open_checked(&path, &mark).unwrap().is_none());
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.bin");
        let mark = write(&path, |writer| writer.write_all(b"old")).unwrap();
        let failed = write(&path, |writer| {
            writer.write_all(b"new")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.is_err() && open_checked(&path, &mark).unwrap().is_some());
    }
}
