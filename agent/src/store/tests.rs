//! The store as its callers see it: restarts, kills, full disks, two openers.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use protocol::{BlobId, Ended, Slot, TaskId};

use super::entry::samples;
use super::*;

/// A data folder and an anchor folder.
struct Folders(tempfile::TempDir);

impl Folders {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
    fn open_with(&self, options: Options) -> Result<(Store, Restored), StoreError> {
        Store::open(&self.data(), &self.0.path().join("keys"), options)
    }
    fn open(&self) -> (Store, Restored) {
        self.open_with(Options::default()).unwrap()
    }
}

fn claimed(seq: u64) -> Entry {
    let (task, lane, slot) = (TaskId([seq as u8; 32]), LaneId(65536), Slot(3));
    Entry::Record(Record::Claimed { task, lane, slot, seq, attempt: 0 })
}

#[test]
fn what_was_appended_is_restored_and_found() {
    let folders = Folders::new();
    let (store, restored) = folders.open();
    assert_eq!((restored.seq, restored.records.len(), restored.clean), (0, 0, false));
    assert_eq!(store.append(&samples()).unwrap(), 10);
    let made = store.made(StatementId([2; 32])).unwrap().unwrap();
    assert_eq!((made.blob, made.cpu_ms, made.credit.total), (BlobId([3; 32]), 5, 358));
    assert_eq!(store.held(StatementId([2; 32])).unwrap().unwrap().task, TaskId([1; 32]));
    assert_eq!(store.made(StatementId([9; 32])).unwrap(), None);
    assert!(store.has_claim(LaneId(65536), 1).unwrap());
    assert!(!store.has_claim(LaneId(65536), 2).unwrap());
    drop(store);
    let (_, restored) = folders.open();
    assert_eq!((restored.seq, restored.torn_bytes, restored.rebuilt), (10, 0, None));
    let records: Vec<_> = samples()
        .into_iter()
        .filter_map(|entry| if let Entry::Record(record) = entry { Some(record) } else { None })
        .collect();
    assert_eq!(restored.records, records);
    let tx = &restored.txs[0];
    assert_eq!((tx.intent.nonce, tx.signed.len(), tx.receipt.is_some()), (9, 1, true));
    assert!(restored.prepared.is_empty(), "slot 4 is settled");
}

#[test]
fn open_nonces_are_those_without_a_receipt() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    for entry in samples() {
        let Entry::Intent(intent) = entry else { continue };
        for nonce in [12, 11] {
            store.append(&[Entry::Intent(Intent { nonce, ..intent.clone() })]).unwrap();
        }
    }
    store.append(&samples()).unwrap();
    let open: Vec<_> = store.open_txs().unwrap().into_iter().map(|tx| tx.nonce).collect();
    assert_eq!(open, [11, 12]);
}

#[test]
fn a_clean_end_is_remembered_until_something_follows_it() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    store.append(&[claimed(1)]).unwrap();
    store.close().unwrap();
    assert_eq!(store.append(&[claimed(2)]).unwrap_err().code(), "STO-023");
    drop(store);
    let (store, restored) = folders.open();
    assert!(restored.clean);
    store.append(&[claimed(2)]).unwrap();
    drop(store);
    assert!(!folders.open().1.clean);
}

#[test]
fn a_second_opener_is_sent_away_until_the_first_is_gone() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    let error = folders.open_with(Options::default()).map(drop).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("STO-001", 73));
    let holder = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    drop(store);
    folders.open();
}

#[test]
fn a_folder_that_others_can_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folders = Folders::new();
    drop(folders.open());
    std::fs::set_permissions(folders.data(), std::fs::Permissions::from_mode(0o750)).unwrap();
    let error = folders.open_with(Options::default()).map(drop).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("STO-002", 78));
}

#[test]
fn a_deleted_index_is_rebuilt_identical() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    for seq in 1..=200 {
        store.append(&[claimed(seq)]).unwrap();
    }
    store.append(&samples()).unwrap();
    let read = |store: &Store| {
        let rows: Vec<_> = Table::ALL.map(|table| store.0.index.all(table).unwrap()).to_vec();
        rows
    };
    let before = read(&store);
    drop(store);
    std::fs::remove_dir_all(folders.data().join("db")).unwrap();
    let (store, _) = folders.open();
    assert_eq!(read(&store), before);
    assert_eq!(before[0].len(), 200);
}

#[test]
fn a_journal_cut_short_is_refused_by_index_or_anchor() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    for seq in 1..=3 {
        store.append(&[claimed(seq)]).unwrap();
    }
    drop(store);
    drop(folders.open());
    let path = folders.data().join("journal/00000001.j");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let refused = || folders.open_with(Options::default()).map(drop).unwrap_err();
    assert_eq!((refused().code(), refused().exit_code()), ("STO-012", 74));
    std::fs::remove_file(folders.0.path().join("keys/anchor")).unwrap();
    assert!(refused().to_string().contains("index stands at 3"), "{}", refused());
    assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len() - 1, "evidence stays");
}

#[test]
fn a_full_disk_stops_the_store_and_a_restart_has_everything_acknowledged() {
    let folders = Folders::new();
    drop(folders.open());
    let options = Options { make: disk::full_after(3000), ..Options::default() };
    let (store, _) = folders.open_with(options).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match store.append(&[claimed(acknowledged + 1)]) {
            Ok(seq) => acknowledged = seq,
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.exit_code()), ("STO-020", 75));
    assert_eq!(store.append(&[claimed(1)]).unwrap_err().code(), "STO-023");
    assert!(store.has_claim(LaneId(65536), acknowledged).unwrap(), "reading still works");
    drop(store);
    let (_, restored) = folders.open();
    assert!(acknowledged > 20 && restored.seq == acknowledged, "{acknowledged}");
}

#[test]
fn callers_on_many_threads_get_their_own_numbers_and_all_is_kept() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    let mut numbers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    (0..25).map(|i| store.append(&[claimed(thread * 25 + i)]).unwrap()).collect()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| -> Vec<u64> { t.join().unwrap() }).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    drop(store);
    assert_eq!(folders.open().1.records.len(), 200);
}

#[tokio::test]
async fn futures_are_answered_in_the_order_of_the_calls() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    let (first, second) = (store.append_async(&[claimed(1)]), store.append_async(&[claimed(2)]));
    let how = Ended::Released;
    let third =
        store.append_async(&[Entry::Record(Record::Ended { lane: LaneId(65536), seq: 1, how })]);
    assert_eq!(third.await.unwrap(), 3);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 2));
}

#[test]
fn an_entry_that_is_too_large_changes_nothing() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    let data = vec![0; 300 * 1024];
    let large = Entry::Prepared(Prepared { slot: Slot(1), purpose: "block".into(), data });
    let error = store.append(&[claimed(1), large]).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("STO-030", 1));
    assert_eq!(store.append(&[claimed(1)]).unwrap(), 1);
}

#[test]
fn the_peers_cache_keeps_replaces_and_forgets() {
    let folders = Folders::new();
    let (store, _) = folders.open();
    store.set_peer(b"a", Some(b"127.0.0.1:1")).unwrap();
    store.set_peer(b"a", Some(b"127.0.0.1:2")).unwrap();
    store.set_peer(b"b", Some(b"x")).unwrap();
    store.set_peer(b"b", None).unwrap();
    assert_eq!(store.set_peer(b"c", Some(&[0; 5000])).unwrap_err().code(), "STO-030");
    store.close().unwrap();
    assert_eq!(store.peers().unwrap(), [(b"a".to_vec(), b"127.0.0.1:2".to_vec())]);
    drop(store);
    let (store, restored) = folders.open();
    assert_eq!((store.peers().unwrap().len(), restored.rebuilt), (1, None));
}

/// The child's half: appends for ever and says what was acknowledged.
fn write_until_killed(dir: PathBuf) -> ! {
    let anchor_dir = dir.with_extension("anchor");
    let options = Options { segment_bytes: 2000, anchor_every: 5, ..Options::default() };
    let (store, restored) = Store::open(&dir, &anchor_dir, options).unwrap();
    let mut seq = restored.seq;
    loop {
        seq = store.append(&[claimed(seq + 1), claimed(seq + 2)]).unwrap();
        println!("acknowledged {seq}");
    }
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    const CHILD: &str = "COPPICE_STORE_TEST_DIR";
    if let Ok(dir) = std::env::var(CHILD) {
        write_until_killed(PathBuf::from(dir));
    }
    let folders = Folders::new();
    let (data, anchor_dir) = (folders.data(), folders.data().with_extension("anchor"));
    let mut last = 0;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::a_killed_process_loses_nothing_it_acknowledged"])
            .arg("--nocapture")
            .env(CHILD, &data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let acknowledged: Vec<u64> = lines
            .filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
            .take(10 + 7 * round)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let found = *acknowledged.last().unwrap();
        let (_, restored) = Store::open(&data, &anchor_dir, Options::default()).unwrap();
        assert!(restored.seq >= found && found > last, "{} of {found}", restored.seq);
        assert_eq!(restored.records.len() as u64, restored.seq);
        last = restored.seq;
    }
}
