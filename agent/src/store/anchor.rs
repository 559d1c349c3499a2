//! What was acknowledged, remembered outside the data folder.
//!
//! A journal whose tail was cut off looks exactly like a younger journal; only a mark that lies
//! elsewhere can tell. `anchor` is that mark: `seq u64 | link 16 bytes | crc32c u32`, big-endian,
//! written after every [`super::Options::anchor_every`] entries and when the store is closed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::disk::{self, MakeMedium};
use super::error::StoreError;
use super::frame::Mark;

/// 8 + 16 + 4.
const BYTES: usize = 28;

/// The anchor file.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    path: PathBuf,
}

impl Anchor {
    /// The anchor in `dir`, which is created if it is missing.
    pub(super) fn at(dir: &Path) -> Result<Self, StoreError> {
        disk::private_folder(dir)?;
        Ok(Self { path: dir.join("anchor") })
    }

    /// The last mark, if there is one.
    pub(super) fn read(&self) -> Result<Option<Mark>, StoreError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &self.path, &e)),
        };
        decode(&bytes).map(Some).ok_or_else(|| self.refused("its checksum is wrong"))
    }

    /// Replaces the mark.
    pub(super) fn write(&self, make: &MakeMedium, mark: Mark) -> Result<(), StoreError> {
        let scratch = self.path.with_extension("new");
        match fs::remove_file(&scratch) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(StoreError::io("remove", &scratch, &e)),
        }
        disk::write_whole(make, &scratch, &self.path, &encode(mark))
    }

    /// The error that says what does not fit.
    pub(super) fn refused(&self, why: &'static str) -> StoreError {
        StoreError::Anchor { path: self.path.clone(), why }
    }
}

fn encode(mark: Mark) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&mark.seq.to_be_bytes());
    bytes[8..24].copy_from_slice(&mark.link);
    let crc = crc32c::crc32c(&bytes[..24]);
    bytes[24..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let (seq, rest) = bytes.split_first_chunk::<8>()?;
    let (link, _) = rest.split_first_chunk::<16>()?;
    let mark = Mark { seq: u64::from_be_bytes(*seq), link: *link };
    (encode(mark) == *bytes).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_no_flipped_bit_passes() {
        let mark = Mark { seq: 300, link: [3; 16] };
        let bytes = encode(mark);
        assert_eq!(decode(&bytes), Some(mark));
        for bit in 0..BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None);
        }
    }

    #[test]
    fn a_full_disk_leaves_the_old_anchor() {
        let dir = tempfile::tempdir().unwrap();
        let anchor = Anchor::at(&dir.path().join("a")).unwrap();
        assert_eq!(anchor.read().unwrap(), None);
        let mark = Mark::genesis();
        anchor.write(&disk::real_disk(), mark).unwrap();
        let next = Mark { seq: 1, ..mark };
        let error = anchor.write(&disk::full_after(10), next).unwrap_err();
        assert_eq!(error.code(), "STO-020");
        assert_eq!(anchor.read().unwrap(), Some(mark));
    }
}
