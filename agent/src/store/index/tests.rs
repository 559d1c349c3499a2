//! An index that is behind, ahead, damaged or gone.

use protocol::Record;

use super::super::entry::samples;
use super::*;

fn numbered(count: usize) -> Vec<(u64, Entry)> {
    let mut entries = Vec::new();
    for (seq, entry) in (1..).zip(samples().into_iter().cycle().take(count)) {
        // Every claim gets its own number, so that the table grows with the journal.
        let Entry::Record(Record::Claimed { task, lane, slot, attempt, .. }) = entry else {
            entries.push((seq, entry));
            continue;
        };
        entries.push((seq, Entry::Record(Record::Claimed { task, lane, slot, seq, attempt })));
    }
    entries
}

/// Everything the index says, as it is stored.
fn content(index: &Index) -> Vec<(Table, KeyValues)> {
    Table::ALL.map(|table| (table, index.all(table).unwrap())).to_vec()
}

fn opened(dir: &Path, entries: &[(u64, Entry)]) -> (Writer, Option<String>) {
    open(dir, entries).unwrap()
}

#[test]
fn an_index_behind_its_journal_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let entries = numbered(50);
    drop(opened(dir.path(), &entries[..20]));
    let (writer, rebuilt) = opened(dir.path(), &entries);
    assert_eq!((rebuilt, writer.applied), (None, 50));
    let fresh = tempfile::tempdir().unwrap();
    assert_eq!(content(&writer.index), content(&opened(fresh.path(), &entries).0.index));
}

#[test]
fn an_index_ahead_of_its_journal_proves_that_records_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let entries = numbered(20);
    drop(opened(dir.path(), &entries));
    let error = open(dir.path(), &entries[..19]).map(drop).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("STO-012", 74));
}

#[test]
fn a_missing_row_or_another_journal_means_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let entries = numbered(20);
    let (writer, _) = opened(dir.path(), &entries);
    let before = content(&writer.index);
    let row = writer.index.tables[0].iter().keys().next().unwrap().unwrap();
    writer.index.tables[0].remove(row).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let (writer, rebuilt) = opened(dir.path(), &entries);
    assert_eq!(rebuilt.as_deref().map(|why| why.contains("rows are missing")), Some(true));
    assert_eq!(content(&writer.index), before);
    drop(writer);

    let mut other = entries;
    other.remove(0);
    let (_, rebuilt) = opened(dir.path(), &other);
    assert_eq!(rebuilt.as_deref().map(|why| why.contains("not those")), Some(true));
}

#[test]
fn only_the_newest_damaged_folders_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        fs::create_dir_all(dir.path().join("db")).unwrap();
        put_aside(dir.path(), &dir.path().join("db")).unwrap();
        fs::create_dir_all(dir.path().join("db.bad.000000000000001")).unwrap();
    }
    put_aside_all(dir.path());
    assert_eq!(bad_folders(dir.path()).unwrap().len(), BAD_KEPT);
    assert!(!dir.path().join("db.bad.000000000000001").exists());
}

fn put_aside_all(dir: &Path) {
    fs::create_dir_all(dir.join("db")).unwrap();
    put_aside(dir, &dir.join("db")).unwrap();
}

#[test]
fn leftovers_of_an_interrupted_open_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let entries = numbered(20);
    drop(opened(dir.path(), &entries));
    let leftover = dir.path().join("db/snap.0000000000000001.generating");
    fs::write(&leftover, b"half").unwrap();
    let (_, rebuilt) = opened(dir.path(), &entries);
    assert_eq!((rebuilt, leftover.exists()), (None, false));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, _) = opened(dir.path(), &[]);
    let newer = seal(META, b"schema", &pack(&(SCHEMA + 1)));
    writer.index.meta.insert(b"schema", newer).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let error = open(dir.path(), &[]).map(drop).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("STO-003", 78));
    assert!(bad_folders(dir.path()).unwrap().is_empty());
}

#[test]
fn damage_anywhere_in_its_files_never_gives_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    let entries = numbered(300);
    let (writer, _) = opened(dir.path(), &entries);
    let before = content(&writer.index);
    drop(writer);
    let mut rebuilt = 0;
    for round in 0..24_usize {
        let name = if round % 4 == 0 { "conf" } else { "db" };
        let path = dir.path().join("db").join(name);
        let mut bytes = fs::read(&path).unwrap();
        let written = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let at = round * 7919 % written;
        bytes[at] ^= 1 << (round % 8);
        fs::write(&path, bytes).unwrap();
        let (writer, why) = opened(dir.path(), &entries);
        assert_eq!(content(&writer.index), before, "round {round}, {name} byte {at}");
        rebuilt += usize::from(why.is_some());
    }
    assert!(rebuilt > 0, "no damage was noticed in 24 rounds");
}
