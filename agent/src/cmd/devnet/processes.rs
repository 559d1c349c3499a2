//! Child processes of the devnet's supervisor: each in its own process group, with a log file, and
//! none outlives the supervisor.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A process that does not stop within this time after SIGTERM is killed.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// One running role.
pub(crate) struct Process {
    name: String,
    child: Child,
    group: Option<Pid>,
    reported: bool,
}

impl Process {
    /// Starts our own binary with `arguments`; stdout and stderr go to `log`.
    pub(crate) fn start(name: &str, arguments: &[&OsStr], log: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find our own binary")?;
        let log = open_log(log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { name: name.to_owned(), child, group, reported: false })
    }

    /// Its role's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it ended, if it did and this was not said before.
    pub(crate) fn take_end(&mut self) -> Option<std::process::ExitStatus> {
        if self.reported {
            return None;
        }
        let ended = self.child.try_wait().ok().flatten();
        self.reported = ended.is_some();
        ended
    }

    /// SIGKILL, to all of its group: what a power cut does.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    /// Asks it to stop, waits, and kills what is left of its group.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(STOP_WAIT, self.child.wait()).await.is_err() {
            tracing::warn!(name = self.name, "did not stop in time and is killed");
        }
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group that is gone already needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    options.open(path).with_context(|| format!("cannot write {}", path.display()))
}
