//! A running `coppice-agent devnet`: started, asked and stopped as a user would, through the
//! commands and their JSON.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use alloy::primitives::Address;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use wire::control::{Reply, Snapshot};

use super::{chain::Chain, processes};

/// Everything together, from the start: keys of two sets (5 minutes), the way to the first reveal,
/// twice the usual 9 minutes to the settlement, 3 after a kill, the checks, and a slot more.
const WHOLE: Duration = Duration::from_secs(46 * 60);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A claim is answered when L1 has decided on all its transactions; the agent gives up after 120 s.
const ANSWER_WAIT: Duration = Duration::from_secs(150);
/// Lines of each log that are shown when the test fails.
const TAIL_LINES: usize = 40;

/// The supervisor and its folders. Dropping it kills all of it.
pub(super) struct Devnet {
    home: TempDir,
    program: PathBuf,
    child: Mutex<Child>,
    started: Instant,
}

impl Devnet {
    /// Starts a devnet that changes over to the next circuit set in `change`, says when slots have
    /// settled, and goes on.
    pub(super) fn start(change: u64) -> Self {
        let program = program();
        // Socket paths have 107 bytes at most.
        let home = tempfile::Builder::new().prefix("cop").tempdir_in("/tmp").unwrap();
        let file = |name: &str| File::create(home.path().join(name)).unwrap();
        let child = Command::new(&program)
            .args(["devnet", "--headless", "--slots", "3", "--json", "--keep"])
            .args(["--change-set-at", &change.to_string()])
            .env("XDG_DATA_HOME", home.path().join("data"))
            .env("XDG_RUNTIME_DIR", home.path().join("run"))
            .stdin(Stdio::null())
            .stdout(file("devnet.out"))
            .stderr(file("devnet.log"))
            .process_group(0)
            .spawn()
            .unwrap();
        Self { home, program, child: Mutex::new(child), started: Instant::now() }
    }

    /// Looks until there is something.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        let deadline = (Instant::now() + limit).min(self.started + WHOLE);
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if let Some(status) = self.ended() {
                panic!("the devnet ended with {status} before {what}");
            }
            let now = Instant::now();
            let since = now.duration_since(self.started).as_secs();
            assert!(now < deadline, "no {what} within {limit:?} ({since} s after the start)");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The configuration of one process; `None` before the run's folder is made.
    pub(super) fn config(&self, name: &str) -> Option<PathBuf> {
        Some(self.run_folder()?.join(format!("{name}.toml")))
    }

    /// Its L1.
    pub(super) async fn chain(&self) -> Chain {
        let limit = Duration::from_secs(15 * 60);
        let look = async || Chain::of(&self.config("agent-1")?);
        self.until("configuration of agent-1 (keys are made first)", limit, look).await
    }

    /// What an agent says of itself; `None` if it does not answer.
    pub(super) async fn status(&self, agent: &str) -> Option<Snapshot> {
        let socket = self.socket(agent)?;
        let output = self.run(&["status", "--json", "--socket", socket.to_str()?]).await;
        serde_json::from_str(&output).ok()
    }

    /// Waits until agent 1 has followed L1 up to `block`.
    pub(super) async fn follows(&self, block: u64) {
        let look = async || {
            let status = self.status("agent-1").await?;
            (status.l1.number >= block).then_some(())
        };
        self.until("news of L1 at agent-1", Duration::from_secs(60), look).await;
    }

    /// Claims what agent 1 knows a slot to owe to `payee`; gives the number of claims made.
    pub(super) async fn claim(&self, slot: u64, payee: Address) -> u64 {
        let socket = self.socket("agent-1").unwrap();
        let (slot, payee) = (slot.to_string(), payee.to_string());
        let socket = socket.to_str().unwrap();
        let arguments = ["claim", "--slot", &slot, "--payee", &payee, "--socket", socket, "--json"];
        let output = self.run(&arguments).await;
        match serde_json::from_str(&output) {
            Ok(Reply::Accepted { text }) => {
                let made = text.split(' ').next().and_then(|it| it.parse().ok());
                made.unwrap_or_else(|| panic!("`{text}` does not begin with a number"))
            }
            other => panic!("`claim` for {payee} in slot {slot} answered {other:?}: {output}"),
        }
    }

    /// The lines on stdout so far.
    pub(super) fn results(&self) -> Vec<String> {
        let text = fs::read_to_string(self.home.path().join("devnet.out")).unwrap();
        // The last line may not be whole.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Stops it as Ctrl-C does; gives how it ended.
    pub(super) async fn stop(&self) -> ExitStatus {
        kill_process(self.pid(), Signal::INT).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "the devnet does not stop within 30 s of SIGINT");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everything it wrote is below this folder, which its processes name.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.lock().unwrap().id().try_into().unwrap()).unwrap()
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    fn run_folder(&self) -> Option<PathBuf> {
        only(&self.home.path().join("data/coppice/devnet"))
    }

    fn socket(&self, name: &str) -> Option<PathBuf> {
        Some(only(&self.home.path().join("run/coppice"))?.join(format!("{name}.sock")))
    }

    /// Stdout of one command of the same binary.
    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(ANSWER_WAIT, command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("no end of {arguments:?}")).unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn print_logs(&self) {
        let mut logs = vec![self.home.path().join("devnet.log")];
        let runs = self.run_folder().and_then(|it| fs::read_dir(it).ok());
        let files = runs.into_iter().flatten().flatten().map(|entry| entry.path());
        logs.extend(files.filter(|it| it.extension().is_some_and(|it| it == "log")));
        logs.sort();
        for log in logs {
            let text = fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            eprintln!("--- the end of {}\n{}", log.display(), tail.join("\n"));
        }
        eprintln!("--- all files are kept in {}", self.home.path().display());
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
            self.home.disable_cleanup(true);
        }
        if self.ended().is_none() {
            // Its agents and its node die with it.
            processes::kill_group(self.pid());
            let _ = self.child.lock().unwrap().wait();
        }
    }
}

/// The only entry of a folder.
fn only(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?;
    Some(entries.next()?.ok()?.path())
}

/// The built binary: named by `COPPICE_BIN`, or beside the folder of this test's own binary.
fn program() -> PathBuf {
    let named = std::env::var_os("COPPICE_BIN").map(PathBuf::from);
    let program = named.unwrap_or_else(|| {
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("coppice-agent")
    });
    assert!(
        program.is_file(),
        "{} is not there: `cargo build --release` must come first (or name it in COPPICE_BIN)",
        program.display()
    );
    program
}
