//! The index: sled 0.34.7 behind four guards, a cache of the journal that answers look-ups.
//!
//! Measured before it was chosen: `flush` is no fsync, a crash while opening can leave a file that
//! makes every later open fail, damage shows as panics or as missing rows. So: (1) leftovers of an
//! interrupted open are removed first, (2) what an open creates is synced, (3) a flush is followed
//! by an fsync of our own, (4) the first error stops the store. Opening and checking happen in a
//! thread of their own, because a damaged index may panic or hang; on any doubt the folder is put
//! aside and rebuilt from the journal.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use super::disk;
use super::entry::{Entry, pack, unpack};
use super::error::StoreError;
use super::image::{self, RowKey, Rows, Sums, Table, seal, unseal};

/// Version of the tables.
const SCHEMA: u32 = 1;
/// Memory for pages: the tables of a year fit.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Longest time an open and its check may take: 1 M rows take 10 s.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// Rows written at once when rebuilding.
const REBUILD_ROWS: usize = 1024;
/// Damaged folders that are kept for inspection.
const BAD_KEPT: usize = 2;
/// Longest value: above 4 KiB the engine writes files that it never syncs.
pub(super) const VALUE_BYTES_MAX: usize = 4096;

/// Kind byte of the rows of `meta`.
const META: u8 = 0;
/// Kind byte of the rows of `peers`.
const PEER: u8 = 5;

/// Rows as key and payload.
pub(crate) type KeyValues = Vec<(Vec<u8>, Vec<u8>)>;

/// Look-ups; shared by every thread.
#[derive(Clone)]
pub(super) struct Index {
    db: sled::Db,
    tables: [sled::Tree; 4],
    meta: sled::Tree,
    peers: sled::Tree,
    file: Arc<File>,
}

/// The index as its one writer sees it.
pub(super) struct Writer {
    /// For look-ups.
    pub index: Index,
    sums: Sums,
    applied: u64,
}

/// Why an index cannot be trusted; it is rebuilt.
struct Doubt(String);

/// Opens the index in `dir/db` and makes it say what the journal says.
///
/// The second value tells why it had to be rebuilt, if so.
///
/// # Errors
/// `STO-012` if the index knows more than the journal, which lost acknowledged records then;
/// `STO-003` if a newer version wrote it; errors of the disk.
pub(super) fn open(
    dir: &Path,
    entries: &[(u64, Entry)],
) -> Result<(Writer, Option<String>), StoreError> {
    let path = dir.join("db");
    let last = entries.last().map_or(0, |(seq, _)| *seq);
    let mut sums = Sums::default();
    let rows = image::fold(entries.iter().map(|(_, entry)| entry), |_| Ok(None), &mut sums)?;
    let doubt = match checked(&path)? {
        Ok(writer) if writer.applied > last => {
            let (witness, acknowledged) = ("index", writer.applied);
            return Err(StoreError::Behind { journal: last, witness, acknowledged });
        }
        Ok(writer) => match caught_up(writer, entries, &sums) {
            Ok(writer) => return Ok((writer, None)),
            Err(doubt) => doubt,
        },
        Err(doubt) => doubt,
    };
    put_aside(dir, &path)?;
    let mut writer = checked(&path)?.map_err(|Doubt(why)| StoreError::Index { why })?;
    writer.fill(&rows, last)?;
    Ok((writer, Some(doubt.0)))
}

/// Replays what the index has not seen, and compares with what it must say.
fn caught_up(mut writer: Writer, entries: &[(u64, Entry)], sums: &Sums) -> Result<Writer, Doubt> {
    let seen = entries.partition_point(|(seq, _)| *seq <= writer.applied);
    for part in entries[seen..].chunks(REBUILD_ROWS) {
        let last = part.last().map_or(writer.applied, |(seq, _)| *seq);
        writer
            .apply(part.iter().map(|(_, entry)| entry), last)
            .map_err(|error| Doubt(error.to_string()))?;
    }
    if writer.sums != *sums {
        return Err(Doubt("its rows are not those of the journal".into()));
    }
    writer.flush().map_err(|error| Doubt(error.to_string()))?;
    Ok(writer)
}

/// Opens and reads everything in a thread, so that a panic or a hang is only a doubt.
fn checked(path: &Path) -> Result<Result<Writer, Doubt>, StoreError> {
    disk::private_folder(path)?;
    let (answer, wait) = mpsc::sync_channel(1);
    let path = path.to_path_buf();
    let work = move || {
        // The receiver is gone only after the time ran out; the result is not wanted then.
        let _ = answer.send(guarded("open", || open_and_check(&path)));
    };
    std::thread::Builder::new()
        .name("index-open".into())
        .spawn(work)
        .map_err(|e| StoreError::Index { why: e.to_string() })?;
    match wait.recv_timeout(OPEN_MAX) {
        Ok(Ok(writer)) => Ok(Ok(writer)),
        Ok(Err(error @ StoreError::Newer { .. })) => Err(error),
        Ok(Err(error)) => Ok(Err(Doubt(error.to_string()))),
        Err(_) => Ok(Err(Doubt(format!("it did not open within {} s", OPEN_MAX.as_secs())))),
    }
}

fn open_and_check(path: &Path) -> Result<Writer, StoreError> {
    let index = Index::open(path)?;
    let (applied, sums) = index.state()?;
    let mut found = Sums::default();
    for table in Table::ALL {
        for row in &index.tables[table.place()] {
            let (key, value) = row.map_err(|e| index_error(&e))?;
            unseal(table as u8, &key, &value).ok_or_else(image::damaged)?;
            found.set(&(table, key.to_vec()), None, &value);
        }
    }
    if found != sums {
        return Err(StoreError::Index { why: "rows are missing".into() });
    }
    Ok(Writer { index, sums, applied })
}

impl Index {
    fn open(path: &Path) -> Result<Self, StoreError> {
        remove_leftovers(path)?;
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
        let db = config.open().map_err(|e| index_error(&e))?;
        let tree = |name: &str| db.open_tree(name).map_err(|e| index_error(&e));
        let [claims, made, held, tx] = Table::ALL.map(|table| tree(table.name()));
        let (tables, meta, peers) = ([claims?, made?, held?, tx?], tree("meta")?, tree("peers")?);
        db.flush().map_err(|e| index_error(&e))?;
        let file = sync_all(path).map_err(|e| StoreError::io("sync", path, &e))?;
        Ok(Self { db, tables, meta, peers, file: Arc::new(file) })
    }

    /// Sequence number of the last applied entry, and the sums then.
    fn state(&self) -> Result<(u64, Sums), StoreError> {
        let Some(schema) = self.meta_row(b"schema")? else {
            return Ok((0, Sums::default()));
        };
        let schema: u32 = unpack(&schema).ok_or_else(image::damaged)?;
        if schema != SCHEMA {
            return Err(StoreError::Newer { what: format!("index schema {schema}") });
        }
        let applied = self.meta_row(b"applied_seq")?.as_deref().and_then(unpack);
        let sums = self.meta_row(b"sums")?.as_deref().and_then(Sums::from_bytes);
        applied.zip(sums).ok_or_else(image::damaged)
    }

    fn meta_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.meta.get(key).map_err(|e| index_error(&e))?;
        value
            .map(|value| unseal(META, key, &value).map(<[u8]>::to_vec).ok_or_else(image::damaged))
            .transpose()
    }

    /// The sealed value of a row.
    fn sealed(&self, (table, key): &RowKey) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.tables[table.place()].get(key).map_err(|e| index_error(&e))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// The payload of a row.
    pub(super) fn get(&self, key: &RowKey) -> Result<Option<Vec<u8>>, StoreError> {
        let value = guarded("read", || self.sealed(key))?;
        value
            .map(|value| {
                unseal(key.0 as u8, &key.1, &value).map(<[u8]>::to_vec).ok_or_else(image::damaged)
            })
            .transpose()
    }

    /// Every row of a table.
    pub(super) fn all(&self, table: Table) -> Result<KeyValues, StoreError> {
        guarded("read", || rows_of(&self.tables[table.place()], table as u8))
    }

    /// Every row of the peers' cache; a damaged one is left out, it is only a cache.
    pub(super) fn peers(&self) -> Result<KeyValues, StoreError> {
        guarded("read", || {
            let whole = self.peers.iter().filter_map(|row| {
                let (key, value) = row.ok()?;
                Some((key.to_vec(), unseal(PEER, &key, &value)?.to_vec()))
            });
            Ok(whole.collect())
        })
    }
}

fn rows_of(tree: &sled::Tree, kind: u8) -> Result<KeyValues, StoreError> {
    tree.iter()
        .map(|row| {
            let (key, value) = row.map_err(|e| index_error(&e))?;
            let payload = unseal(kind, &key, &value).ok_or_else(image::damaged)?;
            Ok((key.to_vec(), payload.to_vec()))
        })
        .collect()
}

impl Writer {
    /// Applies the entries up to sequence number `last` in one transaction.
    pub(super) fn apply<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a Entry>,
        last: u64,
    ) -> Result<(), StoreError> {
        let mut sums = self.sums;
        let index = &self.index;
        let rows = guarded("read", || image::fold(entries, |key| index.sealed(key), &mut sums))?;
        self.commit(&rows, sums, last)
    }

    /// Writes all rows of the journal's image into an empty index.
    fn fill(&mut self, rows: &Rows, last: u64) -> Result<(), StoreError> {
        let all: Vec<_> = rows.iter().collect();
        for part in all.chunks(REBUILD_ROWS) {
            let mut sums = self.sums;
            for (key, value) in part {
                sums.set(key, None, value);
            }
            let part = part.iter().map(|(key, value)| ((*key).clone(), (*value).clone())).collect();
            // Until the last part the index says it has seen nothing: an interrupted rebuild is
            // begun anew, because its rows then differ from what replaying from 0 expects.
            self.commit(&part, sums, 0)?;
        }
        self.commit(&Rows::new(), self.sums, last)?;
        self.flush()
    }

    fn commit(&mut self, rows: &Rows, sums: Sums, last: u64) -> Result<(), StoreError> {
        let mut batches: [sled::Batch; 4] = Default::default();
        for ((table, key), value) in rows {
            assert!(value.len() <= VALUE_BYTES_MAX, "rows are bounded by their form");
            batches[table.place()].insert(key.as_slice(), value.as_slice());
        }
        let mut meta = sled::Batch::default();
        for (key, payload) in
            [("schema", pack(&SCHEMA)), ("applied_seq", pack(&last)), ("sums", sums.to_bytes())]
        {
            meta.insert(key, seal(META, key.as_bytes(), &payload));
        }
        let [a, b, c, d] = &self.index.tables;
        guarded("write", || {
            (a, b, c, d, &self.index.meta)
                .transaction(|(a, b, c, d, m)| {
                    let tables = [a, b, c, d].into_iter().zip(&batches);
                    let mut all = tables.chain([(m, &meta)]);
                    all.try_for_each(|(tree, batch)| tree.apply_batch(batch))?;
                    Ok::<(), ConflictableTransactionError<()>>(())
                })
                .map_err(|error| match error {
                    TransactionError::Abort(()) => StoreError::Index { why: "aborted".into() },
                    TransactionError::Storage(error) => index_error(&error),
                })
        })?;
        self.sums = sums;
        self.applied = last;
        Ok(())
    }

    /// Makes everything applied so far durable.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        guarded("flush", || {
            self.index.db.flush().map_err(|e| index_error(&e))?;
            self.index.file.sync_data().map_err(|e| StoreError::Index { why: e.to_string() })
        })
    }

    /// Sets or removes a row of the peers' cache.
    pub(super) fn set_peer(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let peers = &self.index.peers;
        guarded("write", || match value {
            Some(value) => {
                peers.insert(key, seal(PEER, key, value)).map(drop).map_err(|e| index_error(&e))
            }
            None => peers.remove(key).map(drop).map_err(|e| index_error(&e)),
        })
    }
}

/// Turns a panic of the engine into an error: it panics on damage that it notices late.
fn guarded<T>(action: &str, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(StoreError::Index { why: format!("the engine panicked in {action}") })
    })
}

fn index_error(error: &sled::Error) -> StoreError {
    StoreError::Index { why: error.to_string() }
}

/// Guard 1: a snapshot that a crash left half written would be read as the snapshot.
fn remove_leftovers(path: &Path) -> Result<(), StoreError> {
    let error = |e| StoreError::io("list", path, &e);
    for file in fs::read_dir(path).map_err(error)? {
        let file = file.map_err(error)?;
        if file.file_name().to_string_lossy().ends_with(".generating") {
            fs::remove_file(file.path()).map_err(|e| StoreError::io("remove", &file.path(), &e))?;
        }
    }
    Ok(())
}

/// Guard 2: the engine never syncs its configuration nor its folder. Returns the file that guard 3
/// syncs.
fn sync_all(path: &Path) -> io::Result<File> {
    let open = |name: &str| fs::OpenOptions::new().write(true).open(path.join(name));
    let file = open("db")?;
    file.sync_all()?;
    open("conf")?.sync_all()?;
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())?;
    Ok(file)
}

/// Renames a doubtful index, keeping the newest [`BAD_KEPT`] of them.
fn put_aside(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis());
    let bad = dir.join(format!("db.bad.{now:015}"));
    fs::rename(path, &bad).map_err(|e| StoreError::io("rename", path, &e))?;
    let mut old = bad_folders(dir)?;
    old.sort_unstable();
    let surplus = old.len().saturating_sub(BAD_KEPT);
    for folder in &old[..surplus] {
        fs::remove_dir_all(folder).map_err(|e| StoreError::io("remove", folder, &e))?;
    }
    disk::sync_folder(dir)
}

fn bad_folders(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let error = |e| StoreError::io("list", dir, &e);
    let mut found = Vec::new();
    for file in fs::read_dir(dir).map_err(error)? {
        let file = file.map_err(error)?;
        if file.file_name().to_string_lossy().starts_with("db.bad.") {
            found.push(file.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
