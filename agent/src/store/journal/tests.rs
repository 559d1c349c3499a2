//! Every way a journal can be found after a crash or damage, and what is done about it.

use std::path::Path;
use std::sync::Arc;

use super::super::entry::{Prepared, samples};
use super::*;

/// A journal of `count` entries in a fresh folder, with small segments if asked.
fn written(dir: &Path, count: usize, segment_bytes: u64) -> Vec<(u64, Entry)> {
    let entries: Vec<_> = samples().into_iter().cycle().take(count).collect();
    let mut journal = scan(dir).unwrap().resume(disk::real_disk(), segment_bytes).unwrap();
    for entry in &entries {
        journal.append(&[entry.encode().unwrap()]).unwrap();
    }
    (1..).zip(entries).collect()
}

fn anchor(dir: &Path) -> Anchor {
    Anchor::at(&dir.join("anchor")).unwrap()
}

fn scan(dir: &Path) -> Result<Scan, StoreError> {
    let folder = dir.join("journal");
    disk::private_folder(&folder).unwrap();
    Scan::read(&folder, &anchor(dir))
}

fn segment(dir: &Path, number: u32) -> PathBuf {
    dir.join("journal").join(name_of(number))
}

fn code(dir: &Path) -> &'static str {
    let error = scan(dir).unwrap_err();
    let expected = if error.code() == "STO-003" { 78 } else { 74 };
    assert_eq!(error.exit_code(), expected);
    error.code()
}

/// Offsets of the frames in a segment file, and its length.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let mut offsets = vec![0];
    while let Some(frame) = frame::decode(&bytes[offsets[offsets.len() - 1]..]) {
        offsets.push(offsets[offsets.len() - 1] + frame.len());
    }
    offsets
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let entries = written(dir.path(), 4, SEGMENT_BYTES);
    let path = segment(dir.path(), 1);
    let bytes = fs::read(&path).unwrap();
    let last = offsets(&bytes)[3];
    for len in last..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        let mut found = scan(dir.path()).unwrap();
        assert_eq!(found.torn_bytes, (len - last) as u64);
        assert_eq!(std::mem::take(&mut found.entries), entries[..3]);
        assert_eq!(fs::read(&path).unwrap().len(), len, "reading changes nothing");
        let mut journal = found.resume(disk::real_disk(), SEGMENT_BYTES).unwrap();
        journal.append(&[entries[3].1.encode().unwrap()]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_tail_of_zeros_or_rubbish_is_torn_too() {
    let dir = tempfile::tempdir().unwrap();
    let entries = written(dir.path(), 3, SEGMENT_BYTES);
    let path = segment(dir.path(), 1);
    let bytes = fs::read(&path).unwrap();
    for tail in [vec![0; 5000], vec![0xff; 70]] {
        fs::write(&path, [bytes.as_slice(), &tail].concat()).unwrap();
        let found = scan(dir.path()).unwrap();
        assert_eq!((found.torn_bytes, found.entries), (tail.len() as u64, entries.clone()));
    }
}

#[test]
fn a_flipped_bit_before_the_last_frame_is_refused_and_in_it_is_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let entries = written(dir.path(), 4, SEGMENT_BYTES);
    let path = segment(dir.path(), 1);
    let bytes = fs::read(&path).unwrap();
    let last = offsets(&bytes)[3];
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        if at < last {
            assert_eq!(code(dir.path()), "STO-010", "byte {at}");
        } else {
            assert_eq!(scan(dir.path()).unwrap().entries, entries[..3], "byte {at}");
        }
    }
}

#[test]
fn an_anchor_turns_a_lost_tail_into_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 4, SEGMENT_BYTES);
    let head = scan(dir.path()).unwrap().head;
    anchor(dir.path()).write(&disk::real_disk(), head).unwrap();
    let path = segment(dir.path(), 1);
    let bytes = fs::read(&path).unwrap();
    for len in 0..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        assert_eq!(code(dir.path()), "STO-012", "length {len}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(code(dir.path()), "STO-012", "a journal that is gone");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(scan(dir.path()).unwrap().head, head);
}

#[test]
fn an_anchor_of_another_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 4, SEGMENT_BYTES);
    for seq in [0, 2, 4] {
        let other = Mark { seq, link: [7; 16] };
        anchor(dir.path()).write(&disk::real_disk(), other).unwrap();
        assert_eq!(code(dir.path()), "STO-013", "at {seq}");
    }
    fs::write(dir.path().join("anchor/anchor"), b"short").unwrap();
    assert_eq!(code(dir.path()), "STO-013");
}

#[test]
fn frames_taken_out_or_repeated_break_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 4, SEGMENT_BYTES);
    let path = segment(dir.path(), 1);
    let bytes = fs::read(&path).unwrap();
    let at = offsets(&bytes);
    let without = [&bytes[..at[1]], &bytes[at[2]..]].concat();
    let repeated = [&bytes[..at[2]], &bytes[at[1]..]].concat();
    for changed in [without, repeated] {
        fs::write(&path, changed).unwrap();
        assert_eq!(code(dir.path()), "STO-011");
    }
    // The second frame of another history: right number, right checksum, wrong link.
    let mut other = bytes[..at[1]].to_vec();
    let (kind, payload) = Entry::Clean.encode().unwrap();
    frame::encode(&mut other, Mark { seq: 1, link: [1; 16] }, kind, &payload);
    fs::write(&path, other).unwrap();
    assert_eq!(code(dir.path()), "STO-011");
}

#[test]
fn segments_are_rotated_and_a_damaged_or_missing_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let entries = written(dir.path(), 30, 600);
    let found = scan(dir.path()).unwrap();
    assert_eq!(found.entries, entries);
    assert!(found.segment > 3, "{} segments", found.segment);
    let second = fs::read(segment(dir.path(), 2)).unwrap();

    fs::write(segment(dir.path(), 2), &second[..second.len() - 1]).unwrap();
    assert_eq!(code(dir.path()), "STO-010", "only the last segment may be torn");
    fs::write(segment(dir.path(), 2), []).unwrap();
    assert_eq!(code(dir.path()), "STO-011", "an emptied segment");
    fs::remove_file(segment(dir.path(), 2)).unwrap();
    assert_eq!(code(dir.path()), "STO-011", "a missing segment");
}

#[test]
fn a_crash_between_two_segments_leaves_an_empty_one_that_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let entries = written(dir.path(), 3, SEGMENT_BYTES);
    fs::write(segment(dir.path(), 2), []).unwrap();
    let found = scan(dir.path()).unwrap();
    assert_eq!(found.entries, entries);
    let mut journal = found.resume(disk::real_disk(), SEGMENT_BYTES).unwrap();
    journal.append(&[Entry::Clean.encode().unwrap()]).unwrap();
    assert_eq!(scan(dir.path()).unwrap().entries.len(), 4);
    assert!(!segment(dir.path(), 3).exists());
}

#[test]
fn entries_of_a_newer_version_are_refused_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = scan(dir.path()).unwrap().resume(disk::real_disk(), SEGMENT_BYTES).unwrap();
    journal.append(&[(Kind { kind: 1, schema: 2 }, vec![1, 2, 3])]).unwrap();
    assert_eq!(code(dir.path()), "STO-003");
}

#[test]
fn a_disk_that_fills_up_at_any_byte_loses_nothing_acknowledged() {
    let entry = Entry::Prepared(Prepared {
        slot: protocol::Slot(1),
        purpose: "block".into(),
        data: vec![3; 50],
    });
    let batch: Vec<_> = (0..3).map(|_| entry.encode().unwrap()).collect();
    for room in (0..900).step_by(7) {
        let dir = tempfile::tempdir().unwrap();
        let make = disk::full_after(room);
        let mut journal = scan(dir.path()).unwrap().resume(make, SEGMENT_BYTES).unwrap();
        let mut acknowledged = 0;
        let error = loop {
            match journal.append(&batch) {
                Ok(mark) => acknowledged = mark.seq,
                Err(error) => break error,
            }
        };
        assert_eq!((error.code(), error.exit_code()), ("STO-020", 75));
        assert_eq!(journal.append(&batch).unwrap_err().code(), "STO-023", "nothing may follow");
        let found = scan(dir.path()).unwrap();
        assert!(found.entries.len() as u64 >= acknowledged);
        assert!(found.entries.iter().all(|(_, found)| *found == entry));
        let mut journal = found.resume(disk::real_disk(), SEGMENT_BYTES).unwrap();
        journal.append(&batch).unwrap();
        assert!(scan(dir.path()).is_ok());
    }
}

#[test]
fn a_failed_sync_is_no_acknowledgement() {
    struct NoSync(File);
    impl std::io::Write for NoSync {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Medium for NoSync {
        fn sync_data(&mut self) -> std::io::Result<()> {
            Err(std::io::Error::from_raw_os_error(5))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let make: MakeMedium = Arc::new(|file| Box::new(NoSync(file)));
    let mut journal = scan(dir.path()).unwrap().resume(make, SEGMENT_BYTES).unwrap();
    let before = journal.head();
    let batch = [Entry::Clean.encode().unwrap()];
    assert_eq!(journal.append(&batch).unwrap_err().code(), "STO-021");
    assert_eq!(journal.append(&batch).unwrap_err().code(), "STO-023");
    assert_eq!(journal.head(), before);
}
