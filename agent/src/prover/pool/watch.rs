//! One child process: its start, its words, its end.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::child::{INPUT_MISSING, OWN_PROOF_REFUSED, WITNESS_REFUSED};
use super::super::task::{LINE_BYTES_MAX, Line, Request};
use super::super::{ProverError, Step};
use super::{Config, News};

/// Lines a child may write: a step has one, a waiting child none while it waits.
const LINES_MAX: usize = 64;
/// How much of what a child wrote to stderr is kept: its last words.
const STDERR_KEPT: usize = 2048;
/// A child that closed its output has this long to end.
const END_WAIT: Duration = Duration::from_secs(5);
/// Waiting for another proof has no limit: the machine's core decides when to give up.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A running child with its whole process group, which is killed on every way out.
pub(super) struct Watched {
    child: Child,
    group: Option<Pid>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
    request: Vec<u8>,
    wall_max: Duration,
}

/// How a child ended.
pub(super) enum End {
    Made { output: Vec<u8>, cpu_ms: u32, peak_mb: u32 },
    Failed(ProverError),
    Cancelled,
}

/// The last line that was no step.
enum Said {
    Nothing,
    Made { output: Vec<u8>, cpu_ms: u32, peak_mb: u32 },
    Refused(String),
}

impl Watched {
    /// Starts the child in a process group of its own, with nothing of our environment.
    pub(super) fn start(config: &Config, request: &Request) -> Result<Self, ProverError> {
        let failed = |error: &dyn std::fmt::Display| ProverError::NotStarted(error.to_string());
        let request = request.encode().map_err(|e| ProverError::InputMissing(e.to_string()))?;
        let Some((program, arguments)) = config.command.split_first() else {
            return Err(failed(&"no program is configured"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("RAYON_NUM_THREADS", config.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(&"it has no output"));
        };
        let input = child.stdin.take();
        let output = BufReader::new(output);
        Ok(Self { child, group, input, output, errors, request, wall_max: config.wall_max })
    }

    /// Listens until the child ends, runs too long, or `cancelled` resolves.
    pub(super) async fn until_end(mut self, cancelled: oneshot::Receiver<()>, news: &News) -> End {
        let end = tokio::select! {
            biased;
            _ = cancelled => End::Cancelled,
            end = self.listen(news) => end,
        };
        self.kill();
        // After the kill this takes as long as the system needs to clear its memory.
        let _ = self.child.wait().await;
        end
    }

    async fn listen(&mut self, news: &News) -> End {
        let (input, request) = (self.input.take(), std::mem::take(&mut self.request));
        let mut last_words = Vec::new();
        let side = async {
            tokio::join!(hand_over(input, &request), drain(&mut self.errors, &mut last_words))
        };
        let steps = steps(&mut self.output, self.wall_max, news);
        let said = match beside(steps, side).await {
            Ok(said) => said,
            Err(error) => return End::Failed(error),
        };
        match timeout(END_WAIT, self.child.wait()).await {
            Ok(Ok(status)) => ended(status, said, &last_words),
            Ok(Err(error)) => End::Failed(ProverError::Crashed(error.to_string())),
            Err(_) => End::Failed(ProverError::Crashed("it does not end".into())),
        }
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // A group that is gone already needs no signal.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs both; when `main` is done well, `side` has a little longer, otherwise it is dropped.
async fn beside<T, E>(main: impl Future<Output = Result<T, E>>, side: impl Future) -> Result<T, E> {
    tokio::pin!(main, side);
    let mut side_runs = true;
    let result = loop {
        tokio::select! {
            result = &mut main => break result,
            _ = &mut side, if side_runs => side_runs = false,
        }
    };
    if side_runs && result.is_ok() {
        // A grandchild may keep the error stream open; its words are not worth waiting for.
        let _ = timeout(END_WAIT, side).await;
    }
    result
}

/// Writes the request. A child that does not want it says so by how it ends.
async fn hand_over(input: Option<ChildStdin>, request: &[u8]) {
    if let Some(mut input) = input {
        let _ = input.write_all(request).await;
        let _ = input.shutdown().await;
    }
}

/// Reads everything, keeps the end.
async fn drain(errors: &mut ChildStderr, kept: &mut Vec<u8>) {
    let mut part = [0; 1024];
    while let Ok(read @ 1..) = errors.read(&mut part).await {
        kept.extend_from_slice(&part[..read]);
        let surplus = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..surplus);
    }
}

/// Passes steps on until the output ends; the time runs while the child has the machine.
async fn steps(
    output: &mut BufReader<ChildStdout>,
    wall_max: Duration,
    news: &News,
) -> Result<Said, ProverError> {
    let mut said = Said::Nothing;
    let mut deadline = Instant::now() + wall_max;
    for _ in 0..LINES_MAX {
        let line = match timeout_at(deadline, next_line(output)).await {
            Err(_) => return Err(ProverError::Hung { seconds: wall_max.as_secs() }),
            Ok(Err(why)) => return Err(ProverError::Crashed(why)),
            Ok(Ok(None)) => return Ok(said),
            Ok(Ok(Some(line))) => line,
        };
        match line {
            Line::Step(step) => {
                let waits = step == Step::WaitingMachine;
                let from_now = Instant::now() + if waits { FOR_EVER } else { wall_max };
                deadline = if waits { from_now } else { deadline.min(from_now) };
                news.step(step).await;
            }
            Line::Made { output, cpu_ms, peak_mb } => {
                let output = hex::decode(output)
                    .map_err(|_| ProverError::Crashed("its proof is no hex".into()))?;
                said = Said::Made { output, cpu_ms, peak_mb };
            }
            Line::Refused { text } => said = Said::Refused(text),
        }
    }
    Err(ProverError::Crashed(format!("it wrote more than {LINES_MAX} lines")))
}

async fn next_line(output: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Line>, String> {
    let mut line = Vec::new();
    let mut bounded = output.take(LINE_BYTES_MAX as u64 + 1);
    bounded.read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it wrote a line of more than {LINE_BYTES_MAX} bytes"));
    }
    match line.split_last() {
        None => Ok(None),
        Some((b'\n', line)) => {
            Line::parse(line).map(Some).ok_or_else(|| "it wrote a line that is no answer".into())
        }
        // Half a line: it was killed while writing; the status says more.
        Some(_) => Ok(None),
    }
}

/// What status, last line and last words mean together.
fn ended(status: ExitStatus, said: Said, last_words: &[u8]) -> End {
    use std::os::unix::process::ExitStatusExt as _;
    let words = String::from_utf8_lossy(last_words);
    let words = words.trim();
    let text = |said: Said| match said {
        Said::Refused(text) => text,
        Said::Nothing | Said::Made { .. } => words.to_owned(),
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    End::Failed(match (code, status.signal()) {
        (Some(0), _) => match said {
            Said::Made { output, cpu_ms, peak_mb } => {
                return End::Made { output, cpu_ms, peak_mb };
            }
            Said::Nothing | Said::Refused(_) => {
                ProverError::Crashed(format!("it ended without a proof; {words}"))
            }
        },
        (Some(WITNESS_REFUSED), _) => ProverError::WitnessRefused(text(said)),
        (Some(INPUT_MISSING), _) => ProverError::InputMissing(text(said)),
        (Some(OWN_PROOF_REFUSED), _) => ProverError::OwnProofRefused(text(said)),
        (Some(134 | 137), _) | (None, Some(6 | 9)) => {
            ProverError::OutOfMemory(format!("{status}; {words}"))
        }
        (_, _) => ProverError::Crashed(format!("{status}; {}", text(said))),
    })
}
