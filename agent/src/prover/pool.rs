//! Starts one child process for each proof, listens to it, stops it.
//!
//! The pool runs on a thread of its own: a child dies when the thread that started it does, and
//! threads of a shared runtime may end while their process lives. Everything a child says is
//! bounded, and whatever it does ends as one [`Event`] for its task.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::{Address, Kind, Millis, TaskId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::task::Request;
use super::{ProverError, Step, limits};

mod watch;

/// Events that may wait for their reader; a proof has at most seven, and a machine few proofs.
const EVENTS_MAX: usize = 256;
/// Longest a child may take from the machine's lock to its end: five times the slowest proof on a
/// busy machine (240 s for `root`).
const WALL_MAX: Duration = Duration::from_secs(1200);

/// The binary of whoever opens it.
const OWN_BINARY: &str = "/proc/self/exe";
/// Longest the pool waits for killed children when it is dropped.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// How children are started.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Program and arguments; our own binary with `prove`.
    pub(crate) command: Vec<OsString>,
    /// Shared folder of setup, keys and the machine's lock.
    pub(crate) cache: PathBuf,
    /// Whose setup the keys are made with.
    pub(crate) chain_id: u64,
    /// Threads of one proof.
    pub(crate) threads: u16,
    /// Proofs at once on this machine, over all agents that share `cache`.
    pub(crate) proofs_at_once: u16,
    /// Longest a child may run once it has the machine.
    pub(crate) wall_max: Duration,
}

impl Config {
    /// Children of the binary that runs now, even if its file is replaced meanwhile: agent and
    /// child are always of one version.
    ///
    /// # Errors
    /// If the system does not show our own binary.
    pub(crate) fn own_binary(
        cache: PathBuf,
        chain_id: u64,
        threads: u16,
        proofs_at_once: u16,
    ) -> std::io::Result<Self> {
        std::fs::metadata(OWN_BINARY)?;
        let command = vec![OWN_BINARY.into(), "prove".into()];
        Ok(Self { command, cache, chain_id, threads, proofs_at_once, wall_max: WALL_MAX })
    }
}

/// One proof to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    /// Which circuit.
    pub(crate) kind: Kind,
    /// Who the proof pays.
    pub(crate) payee: Address,
    /// Everything the circuit needs, in the form of `circuits`.
    pub(crate) work: Vec<u8>,
    /// Number of the circuit set that proves it (R13).
    pub(crate) revision: u32,
}

/// What happened to a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A step began.
    Step {
        /// Whose.
        task: TaskId,
        /// Which.
        step: Step,
        /// When, in Unix milliseconds.
        since: Millis,
    },
    /// The proof is made and was accepted by our own rules. The last event of its task.
    Made {
        /// Whose.
        task: TaskId,
        /// The proof with its public words and credit record, in the form of `circuits`.
        output: Vec<u8>,
        /// CPU milliseconds of the child.
        cpu_ms: u32,
        /// Its peak memory in MB.
        peak_mb: u32,
    },
    /// No proof. The last event of its task.
    Failed {
        /// Whose.
        task: TaskId,
        /// Why.
        why: ProverError,
    },
    /// The child was stopped as asked and is gone. The last event of its task.
    Cancelled {
        /// Whose.
        task: TaskId,
    },
}

/// Runs prover processes; dropping it kills them all.
pub(crate) struct Pool {
    asks: Option<mpsc::UnboundedSender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

enum Ask {
    Start(TaskId, Box<Order>),
    Cancel(TaskId),
}

impl Pool {
    /// A pool and the news of its tasks.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn new(config: Config) -> std::io::Result<(Self, mpsc::Receiver<Event>)> {
        // Asks come from the machine alone, at most one per lane and step.
        let (asks, asked) = mpsc::unbounded_channel();
        let (events, news) = mpsc::channel(EVENTS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("prover-pool".into())
            .spawn(move || runtime.block_on(serve(config, asked, events)))?;
        Ok((Self { asks: Some(asks), thread: Some(thread) }, news))
    }

    /// Starts a proof; every end of it is an [`Event`]. A task that is running is left running.
    pub(crate) fn start(&self, task: TaskId, order: Order) {
        self.ask(Ask::Start(task, Box::new(order)));
    }

    /// Stops a proof: its process group is killed at once. An unknown task changes nothing; one
    /// that is started again before its child is gone begins anew and is not reported in between.
    pub(crate) fn cancel(&self, task: TaskId) {
        self.ask(Ask::Cancel(task));
    }

    fn ask(&self, ask: Ask) {
        // The pool's thread ends only when the pool is dropped, or nobody reads the news.
        if let Some(asks) = &self.asks {
            let _ = asks.send(ask);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A child, or what is left of it.
struct Run {
    /// Dropped to stop the child; `None` while it is being stopped.
    keep: Option<oneshot::Sender<()>>,
    /// The task was started again while it was being stopped.
    again: Option<Box<Order>>,
}

impl Run {
    /// Whether its child is neither over nor being stopped.
    fn is_on(&self) -> bool {
        self.keep.as_ref().is_some_and(|keep| !keep.is_closed())
    }
}

/// What a task of [`serve`] leaves.
enum Left {
    /// The last event of this task was told.
    Told(TaskId),
    /// Its child was stopped; this has not been told.
    Stopped(TaskId),
    /// Nothing to do.
    Nothing,
}

struct Serving {
    config: Config,
    events: mpsc::Sender<Event>,
    runs: BTreeMap<TaskId, Run>,
    children: JoinSet<Left>,
}

async fn serve(
    config: Config,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    events: mpsc::Sender<Event>,
) {
    let (runs, children) = (BTreeMap::new(), JoinSet::new());
    let mut serving = Serving { config, events, runs, children };
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => serving.ask(ask),
                None => break,
            },
            Some(left) = serving.children.join_next() => {
                serving.left(left.unwrap_or(Left::Nothing));
            }
        }
    }
    serving.runs.clear();
    let all = async { while serving.children.join_next().await.is_some() {} };
    // Only an agent that keeps the news without reading it makes this take longer.
    if tokio::time::timeout(STOP_WAIT, all).await.is_err() {
        serving.children.shutdown().await;
    }
}

impl Serving {
    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Start(task, order) => match self.runs.get_mut(&task) {
                None => self.start(task, *order),
                Some(run) if run.is_on() => {}
                Some(run) => run.again = Some(order),
            },
            Ask::Cancel(task) => {
                if let Some(run) = self.runs.get_mut(&task) {
                    *run = Run { keep: None, again: None };
                }
            }
        }
    }

    fn start(&mut self, task: TaskId, order: Order) {
        let (keep, cancelled) = oneshot::channel();
        self.runs.insert(task, Run { keep: Some(keep), again: None });
        let news = News { task, events: self.events.clone() };
        self.children.spawn(follow(self.config.clone(), order, cancelled, news));
    }

    fn left(&mut self, left: Left) {
        match left {
            Left::Nothing => {}
            Left::Told(task) => {
                if let Some(order) = self.runs.remove(&task).and_then(|run| run.again) {
                    self.start(task, *order);
                }
            }
            Left::Stopped(task) => match self.runs.remove(&task).and_then(|run| run.again) {
                // Whoever started it again does not want to hear that it has ended.
                Some(order) => self.start(task, *order),
                None => {
                    let news = News { task, events: self.events.clone() };
                    self.children.spawn(async move {
                        news.tell(Event::Cancelled { task }).await;
                        Left::Nothing
                    });
                }
            },
        }
    }
}

/// From start to end of one child.
async fn follow(
    config: Config,
    order: Order,
    cancelled: oneshot::Receiver<()>,
    news: News,
) -> Left {
    let request = Request {
        kind: order.kind as u8,
        payee: order.payee.0,
        work: order.work,
        cache: config.cache.clone(),
        chain_id: config.chain_id,
        revision: order.revision,
        proofs_at_once: config.proofs_at_once,
        memory_bytes: limits::memory_bytes(order.kind),
        parent: std::process::id(),
    };
    let task = news.task;
    let end = match watch::Watched::start(&config, &request) {
        Ok(child) => child.until_end(cancelled, &news).await,
        Err(why) => watch::End::Failed(why),
    };
    news.tell(match end {
        watch::End::Cancelled => return Left::Stopped(task),
        watch::End::Made { output, cpu_ms, peak_mb } => {
            Event::Made { task, output, cpu_ms, peak_mb }
        }
        watch::End::Failed(why) => Event::Failed { task, why },
    })
    .await;
    Left::Told(task)
}

/// Where the events of one task go.
struct News {
    task: TaskId,
    events: mpsc::Sender<Event>,
}

impl News {
    async fn step(&self, step: Step) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis());
        let since = Millis(u64::try_from(since).unwrap_or(u64::MAX));
        self.tell(Event::Step { task: self.task, step, since }).await;
    }
    async fn tell(&self, event: Event) {
        // An agent that ends does not wait for the news of its children.
        let _ = self.events.send(event).await;
    }
}

#[cfg(test)]
mod tests;
