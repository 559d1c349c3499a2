//! The folder of one devnet run: one subfolder per process, the last three runs kept.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::config::Folders;

/// Runs kept, this one included: enough to look at what went wrong last time.
const RUNS_KEPT: usize = 3;
const PREFIX: &str = "run-";

/// Where one run's files are.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder {
    root: PathBuf,
    sockets: PathBuf,
}

impl RunFolder {
    /// Makes a new run folder under `parent` (named by `now_s`, so that names sort by age) and
    /// removes all but the last runs.
    pub(crate) fn create(parent: &Path, now_s: u64) -> anyhow::Result<Self> {
        make(parent)?;
        forget_old(parent)?;
        let root = (0..100)
            .map(|n| parent.join(format!("{PREFIX}{now_s:012}-{n:02}")))
            .find(|path| !path.exists())
            .context("a hundred runs began in this second")?;
        make(&root)?;
        let sockets = socket_folder(&root)?;
        Ok(Self { root, sockets })
    }

    /// The run's own folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    /// The log of one process.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.log"))
    }
    /// The configuration of one process.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.toml"))
    }
    /// The control socket of one process.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.sockets.join(format!("{name}.sock"))
    }
    /// All folders of one process, made; the caches are shared.
    pub(crate) fn of(&self, name: &str, cache: &Path) -> anyhow::Result<Folders> {
        let own = self.root.join(name);
        let folders = Folders {
            data: own.join("data"),
            identity: own.join("identity"),
            cache: cache.to_owned(),
            anchor: own.join("anchor"),
            socket: self.socket(name),
        };
        for folder in [&own, &folders.data, &folders.identity, &folders.anchor] {
            make(folder)?;
        }
        Ok(folders)
    }
}

/// Sockets have short paths: the runtime folder if there is one, else the run's own.
fn socket_folder(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = match super::super::socket_folders().first() {
        Some(runtime) => runtime.join(root.file_name().unwrap_or_default()),
        None => root.to_owned(),
    };
    make(&folder)?;
    Ok(folder)
}

fn make(folder: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))
}

fn forget_old(parent: &Path) -> anyhow::Result<()> {
    let mut runs: Vec<PathBuf> = fs::read_dir(parent)?
        .filter_map(|entry| entry.ok().map(|it| it.path()))
        .filter(|path| path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(PREFIX)))
        .collect();
    runs.sort();
    let old = runs.len().saturating_sub(RUNS_KEPT - 1);
    for run in runs.into_iter().take(old) {
        fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_runs_are_kept() {
        let parent = tempfile::tempdir().unwrap();
        let mut made = Vec::new();
        for second in 1..=5 {
            made.push(RunFolder::create(parent.path(), second).unwrap().root().to_owned());
        }
        let kept: Vec<bool> = made.iter().map(|it| it.exists()).collect();
        assert_eq!(kept, [false, false, true, true, true]);
    }

    #[test]
    fn two_runs_of_one_second_do_not_share_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let first = RunFolder::create(parent.path(), 7).unwrap();
        let second = RunFolder::create(parent.path(), 7).unwrap();
        assert_ne!(first.root(), second.root());
        let folders = first.of("agent-1", Path::new("cache")).unwrap();
        assert!(folders.data.is_dir() && folders.identity.is_dir());
        assert!(first.log("agent-1").starts_with(first.root()));
        assert!(first.config("agent-1").starts_with(first.root()));
    }
}
