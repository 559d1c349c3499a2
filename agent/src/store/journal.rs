//! The promise log: append-only segments, the source of truth of everything but blobs.
//!
//! [`Scan`] reads without changing anything, so that a journal in doubt stays as it was found;
//! only [`Scan::resume`] cuts a torn tail off and opens the last segment for writing. One writer
//! owns the [`Journal`]; an append is one write and one `fdatasync`, and returns afterwards.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::anchor::Anchor;
use super::disk::{self, MakeMedium, Medium};
use super::entry::{Entry, Unreadable};
use super::error::StoreError;
use super::frame::{self, Frame, Kind, Mark};

/// Size at which a new segment is begun.
pub(super) const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Most bytes of one segment that are read: a segment exceeds its size by at most one batch.
const SEGMENT_READ_MAX: u64 = 2 * SEGMENT_BYTES;

/// What stands in a journal.
#[derive(Debug)]
pub(super) struct Scan {
    dir: PathBuf,
    /// Every entry with its sequence number, in order.
    pub entries: Vec<(u64, Entry)>,
    /// The last frame.
    pub head: Mark,
    /// Bytes of a torn last frame, which were never acknowledged.
    pub torn_bytes: u64,
    segment: u32,
    len: u64,
    anchor_link: Option<frame::Link>,
}

impl Scan {
    /// Reads and checks every segment in `dir`.
    ///
    /// # Errors
    /// `STO-010` damage before the tail, `STO-011` a gap, `STO-012` the anchor is ahead, `STO-013`
    /// it names another journal, `STO-003` entries of a newer version.
    pub(super) fn read(dir: &Path, anchor: &Anchor) -> Result<Self, StoreError> {
        let mut scan = Self {
            dir: dir.to_path_buf(),
            entries: Vec::new(),
            head: Mark::genesis(),
            torn_bytes: 0,
            segment: 0,
            len: 0,
            anchor_link: None,
        };
        let mark = anchor.read()?;
        let last = scan.segments()?;
        for segment in 1..=last {
            let path = scan.path(segment);
            scan.segment = segment;
            let bytes = read_segment(&path, segment)?;
            scan.segment(&bytes, segment == last, mark.map_or(0, |m| m.seq))?;
        }
        scan.compare(anchor, mark)?;
        Ok(scan)
    }

    /// Number of segments, which are numbered from 1 without a gap.
    fn segments(&self) -> Result<u32, StoreError> {
        let folder = fs::read_dir(&self.dir).map_err(|e| StoreError::io("list", &self.dir, &e))?;
        let mut numbers = Vec::new();
        for file in folder {
            let file = file.map_err(|e| StoreError::io("list", &self.dir, &e))?;
            numbers.extend(number_of(&file.file_name().to_string_lossy()));
        }
        numbers.sort_unstable();
        for (expected, found) in (1..).zip(&numbers) {
            if *found != expected {
                let expected = name_of(expected);
                return Err(StoreError::Gap { segment: *found, at: 0, expected });
            }
        }
        Ok(numbers.len() as u32)
    }

    fn segment(&mut self, bytes: &[u8], is_last: bool, anchored: u64) -> Result<(), StoreError> {
        let mut at = 0;
        while at < bytes.len() {
            let Some(frame) = frame::decode(&bytes[at..]) else {
                return self.bad_frame(bytes, at, is_last);
            };
            self.frame(&frame, at)?;
            at += frame.len();
            if self.head.seq == anchored {
                self.anchor_link = Some(self.head.link);
            }
        }
        self.len = at as u64;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, at: usize) -> Result<(), StoreError> {
        let (segment, at) = (self.segment, at as u64);
        if frame.mark.seq != self.head.seq + 1 {
            let expected = format!("frame {}, found {}", self.head.seq + 1, frame.mark.seq);
            return Err(StoreError::Gap { segment, at, expected });
        }
        if frame.prev != self.head.link {
            let expected = format!("a frame that follows frame {}", self.head.seq);
            return Err(StoreError::Gap { segment, at, expected });
        }
        let entry = Entry::decode(frame.kind, frame.payload).map_err(|why| match why {
            Unreadable::Newer => StoreError::Newer { what: entry_text(frame) },
            Unreadable::Malformed => StoreError::Damaged { segment, at },
        })?;
        self.entries.push((frame.mark.seq, entry));
        self.head = frame.mark;
        Ok(())
    }

    /// Only the last frame of the last segment can be torn: a segment is begun when the one before
    /// is durable, and a batch when the one before is.
    fn bad_frame(&mut self, bytes: &[u8], at: usize, is_last: bool) -> Result<(), StoreError> {
        if !is_last || frame::any_later(&bytes[at..], self.head.seq) {
            return Err(StoreError::Damaged { segment: self.segment, at: at as u64 });
        }
        self.torn_bytes = (bytes.len() - at) as u64;
        self.len = at as u64;
        Ok(())
    }

    fn compare(&self, anchor: &Anchor, mark: Option<Mark>) -> Result<(), StoreError> {
        let Some(mark) = mark else { return Ok(()) };
        if mark.seq > self.head.seq {
            return Err(StoreError::Behind {
                journal: self.head.seq,
                witness: "anchor",
                acknowledged: mark.seq,
            });
        }
        let link = if mark.seq == 0 { Some(Mark::genesis().link) } else { self.anchor_link };
        if link == Some(mark.link) { Ok(()) } else { Err(anchor.refused("another frame")) }
    }

    /// Cuts a torn tail off and opens the journal for writing, leaving the entries to the caller.
    pub(super) fn resume(
        self,
        make: MakeMedium,
        segment_bytes: u64,
    ) -> Result<Journal, StoreError> {
        let mut journal = Journal {
            dir: self.dir,
            make,
            medium: None,
            segment: self.segment,
            len: self.len,
            head: self.head,
            segment_bytes,
        };
        if journal.segment == 0 {
            journal.begin_segment()?;
            return Ok(journal);
        }
        let path = journal.dir.join(name_of(journal.segment));
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|e| StoreError::io("open", &path, &e))?;
        if self.torn_bytes > 0 {
            file.set_len(journal.len)
                .and_then(|()| file.sync_all())
                .map_err(|e| StoreError::io("truncate", &path, &e))?;
        }
        journal.medium = Some((journal.make)(file));
        Ok(journal)
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.dir.join(name_of(segment))
    }
}

/// The journal, open for writing.
pub(super) struct Journal {
    dir: PathBuf,
    make: MakeMedium,
    /// `None` after an error: what reached the disk is unknown, so nothing may follow it.
    medium: Option<Box<dyn Medium>>,
    segment: u32,
    len: u64,
    head: Mark,
    segment_bytes: u64,
}

impl Journal {
    /// The last durable frame.
    pub(super) const fn head(&self) -> Mark {
        self.head
    }

    /// Appends a batch and returns where the journal stands when all of it is durable.
    ///
    /// # Errors
    /// Any error of the disk; the journal takes nothing more afterwards (`STO-023`), and a restart
    /// finds every batch that returned and whole frames or a torn tail of this one.
    pub(super) fn append(&mut self, batch: &[(Kind, Vec<u8>)]) -> Result<Mark, StoreError> {
        if self.len >= self.segment_bytes {
            self.begin_segment()?;
        }
        let mut head = self.head;
        let mut bytes = Vec::new();
        for (kind, payload) in batch {
            head = frame::encode(&mut bytes, head, *kind, payload);
        }
        let Some(mut medium) = self.medium.take() else {
            return Err(StoreError::Stopped { why: "journal write failed".into() });
        };
        medium
            .write_all(&bytes)
            .and_then(|()| medium.sync_data())
            .map_err(|e| StoreError::io("write", &self.dir.join(name_of(self.segment)), &e))?;
        self.medium = Some(medium);
        self.len += bytes.len() as u64;
        self.head = head;
        Ok(head)
    }

    fn begin_segment(&mut self) -> Result<(), StoreError> {
        self.medium = None;
        let path = self.dir.join(name_of(self.segment + 1));
        let file = disk::create_file(&path)?;
        file.sync_all().map_err(|e| StoreError::io("sync", &path, &e))?;
        disk::sync_folder(&self.dir)?;
        self.medium = Some((self.make)(file));
        self.segment += 1;
        self.len = 0;
        Ok(())
    }
}

fn entry_text(frame: &Frame<'_>) -> String {
    let Kind { kind, schema } = frame.kind;
    format!("journal entry {} (kind {kind}, schema {schema})", frame.mark.seq)
}

fn read_segment(path: &Path, segment: u32) -> Result<Vec<u8>, StoreError> {
    let error = |e| StoreError::io("read", path, &e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(error)?;
    file.take(SEGMENT_READ_MAX + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > SEGMENT_READ_MAX {
        return Err(StoreError::Damaged { segment, at: SEGMENT_READ_MAX });
    }
    Ok(bytes)
}

fn name_of(segment: u32) -> String {
    format!("{segment:08}.j")
}

fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".j")?.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

#[cfg(test)]
mod tests;
