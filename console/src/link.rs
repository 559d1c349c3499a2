//! The link to the agent: a task of its own that connects, follows, and connects again for ever.
//!
//! The screen never waits for it. Requests go over connections of their own, so that a slow answer
//! holds nothing up. Silence is not the link's business: a stuck agent grows stale on the screen.

use std::{sync::Arc, time::Duration};

use console_core::LinkMsg;
use tokio::{
    net::UnixStream,
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use wire::control::{Reply, Request, Snapshot};

use crate::clock::Clock;

pub(crate) mod frame;
pub(crate) mod socket;

use frame::{FrameError, Frames};
use socket::Target;

/// Messages between the link and the screen: a slow screen slows the link, the agent coalesces.
const QUEUE: usize = 64;
/// States of a simulated world that wait: each may be megabytes, and a new one comes soon.
const WORLD_QUEUE: usize = 1;
/// More often than this nobody reads.
const UPDATES_HZ: u8 = 4;
/// A socket on this machine answers at once or not at all.
const CONNECT: Duration = Duration::from_millis(500);
/// A state is ready in memory.
const ANSWER: Duration = Duration::from_secs(3);
/// A claim waits for the agent to sign and send a transaction.
const CLAIM: Duration = Duration::from_secs(30);
/// First wait before a new try; doubled up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(500);
/// Longest wait before a new try.
const RETRY_MAX: Duration = Duration::from_secs(8);

/// The screen's end of the link.
pub(crate) struct Link {
    /// What the link reports.
    pub(crate) messages: mpsc::Receiver<LinkMsg>,
    sender: mpsc::Sender<LinkMsg>,
    now: Arc<Notify>,
    source: Source,
}

/// Where the states come from.
enum Source {
    /// An agent.
    Agent(Target),
    /// A simulated world, which takes no requests.
    World,
}

impl Link {
    /// Starts following the target.
    pub(crate) fn start(target: Target, clock: Clock) -> Self {
        let (sender, messages) = mpsc::channel(QUEUE);
        let now = Arc::new(Notify::new());
        tokio::spawn(keep_following(target.clone(), clock, sender.clone(), Arc::clone(&now)));
        Self { messages, sender, now, source: Source::Agent(target) }
    }

    /// Follows a simulated world instead.
    pub(crate) fn start_world(world: impl FnOnce(mpsc::Sender<LinkMsg>) + Send + 'static) -> Self {
        let (sender, messages) = mpsc::channel(WORLD_QUEUE);
        let own = sender.clone();
        std::thread::spawn(move || world(own));
        Self { messages, sender, now: Arc::default(), source: Source::World }
    }

    /// Ends a wait between two tries.
    pub(crate) fn retry_now(&self) {
        self.now.notify_one();
    }

    /// Asks the agent; the answer comes among the messages.
    pub(crate) fn ask(&self, request: Request) {
        let sender = self.sender.clone();
        let target = match &self.source {
            Source::Agent(target) => Some(target.clone()),
            Source::World => None,
        };
        tokio::spawn(async move {
            let answer = match target {
                Some(target) => ask(&target, &request, CLAIM).await,
                None => Err(FrameError::Simulated),
            };
            let message = match answer {
                Ok(Reply::Accepted { text }) => LinkMsg::Accepted { text },
                Ok(Reply::Refused { code, text }) => LinkMsg::Refused { code, text },
                Ok(Reply::Snapshot(snapshot)) => LinkMsg::Snapshot(snapshot),
                Err(error) => {
                    LinkMsg::Refused { code: error.code().to_owned(), text: unanswered(&error) }
                }
            };
            // A console that is leaving needs no answer.
            let _left = sender.send(message).await;
        });
    }
}

/// What an operator has to know when a request got no answer.
fn unanswered(error: &FrameError) -> String {
    if matches!(error, FrameError::Silent { .. } | FrameError::Ended) {
        return format!("{error}; it may have been carried out, look before you repeat it");
    }
    format!("{error}; nothing was done")
}

/// One request and its answer, over a connection of its own.
///
/// # Errors
/// [`FrameError`] if the agent cannot be reached, or does not answer within the limit.
pub(crate) async fn ask(
    target: &Target,
    request: &Request,
    limit: Duration,
) -> Result<Reply, FrameError> {
    let exchange = async {
        let mut frames = Frames::new(connect(target).await?);
        frames.send(request).await?;
        frames.next().await
    };
    timeout(limit, exchange).await.unwrap_or(Err(FrameError::Silent { limit_s: limit.as_secs() }))
}

/// The agent's state, once.
///
/// # Errors
/// As [`ask`]; [`FrameError::Unexpected`] if it answers with something else.
pub(crate) async fn snapshot(target: &Target) -> Result<Box<Snapshot>, FrameError> {
    match ask(target, &Request::Status, ANSWER).await? {
        Reply::Snapshot(snapshot) => Ok(snapshot),
        Reply::Accepted { .. } | Reply::Refused { .. } => Err(FrameError::Unexpected),
    }
}

async fn connect(target: &Target) -> Result<UnixStream, FrameError> {
    let path = target.resolve()?;
    let open = timeout(CONNECT, UnixStream::connect(&path)).await;
    open.unwrap_or(Err(std::io::ErrorKind::TimedOut.into())).map_err(FrameError::Closed)
}

async fn keep_following(
    target: Target,
    clock: Clock,
    sender: mpsc::Sender<LinkMsg>,
    now: Arc<Notify>,
) {
    let mut attempt = 0_u32;
    loop {
        let shown = LinkMsg::Connecting { target: target.to_string() };
        if sender.send(shown).await.is_err() {
            return;
        }
        let (spoke, reason) = follow(&target, &sender).await;
        attempt = if spoke { 1 } else { attempt.saturating_add(1) };
        let wait = backoff(attempt, clock.jitter());
        let retry_ms = clock.now_ms() + u64::try_from(wait.as_millis()).unwrap_or(0);
        let lost = LinkMsg::Lost { reason: reason.to_string(), attempt, retry_ms };
        if sender.send(lost).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = now.notified() => {}
        }
    }
}

/// Half a second, doubled at each try up to eight, a fifth more or less.
fn backoff(attempt: u32, jitter: u32) -> Duration {
    let doubled = RETRY.saturating_mul(1 << attempt.saturating_sub(1).min(4));
    doubled.min(RETRY_MAX) * (80 + jitter % 41) / 100
}

/// Follows one connection to its end. Whether the agent said anything, and why it ended.
async fn follow(target: &Target, sender: &mpsc::Sender<LinkMsg>) -> (bool, FrameError) {
    let mut spoke = false;
    let mut frames = match connect(target).await {
        Ok(stream) => Frames::new(stream),
        Err(error) => return (spoke, error),
    };
    if let Err(error) = frames.send(&Request::Subscribe { max_hz: UPDATES_HZ }).await {
        return (spoke, error);
    }
    loop {
        let message = match frames.next().await {
            Ok(Reply::Snapshot(snapshot)) => LinkMsg::Snapshot(snapshot),
            Ok(Reply::Accepted { text }) => LinkMsg::Accepted { text },
            Ok(Reply::Refused { code, text }) => LinkMsg::Refused { code, text },
            Err(error) => return (spoke, error),
        };
        spoke = true;
        if sender.send(message).await.is_err() {
            return (spoke, FrameError::Unexpected);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;
    use wire::control::SCHEMA;

    use super::*;

    #[test]
    fn waits_grow_to_eight_seconds_and_differ_by_a_fifth() {
        let shown: Vec<u128> = (1..8).map(|attempt| backoff(attempt, 20).as_millis()).collect();
        assert_eq!(shown, [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(backoff(1, 0).as_millis(), 400);
        assert_eq!(backoff(1, 40).as_millis(), 600);
        assert_eq!(backoff(u32::MAX, 41).as_millis(), 6_400);
    }

    /// An agent of one connection: answers the first request with these replies, then leaves.
    async fn serve(listener: &UnixListener, replies: &[Reply]) -> Request {
        let (stream, _) = listener.accept().await.unwrap();
        let mut frames = Frames::new(stream);
        let request: Request = frames.next().await.unwrap();
        for reply in replies {
            frames.send(reply).await.unwrap();
        }
        request
    }

    async fn hear_until_lost(link: &mut Link, seen: &mut Vec<String>) {
        while let Some(message) = link.messages.recv().await {
            let lost = matches!(message, LinkMsg::Lost { .. });
            seen.push(match message {
                LinkMsg::Snapshot(snapshot) => snapshot.name,
                LinkMsg::Lost { attempt, .. } => format!("lost {attempt}"),
                LinkMsg::Connecting { .. } => "connecting".to_owned(),
                LinkMsg::Accepted { text } | LinkMsg::Refused { text, .. } => text,
            });
            if lost {
                break;
            }
        }
    }

    fn snapshot_named(name: &str) -> Reply {
        let snapshot = Snapshot { name: name.into(), schema: SCHEMA, ..Snapshot::default() };
        Reply::Snapshot(Box::new(snapshot))
    }

    #[tokio::test]
    async fn a_lost_agent_is_followed_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mut link = Link::start(Target::Socket(path), Clock::start());
        let mut seen = Vec::new();
        for name in ["first", "second"] {
            let request = serve(&listener, &[snapshot_named(name)]).await;
            assert_eq!(request, Request::Subscribe { max_hz: UPDATES_HZ });
            hear_until_lost(&mut link, &mut seen).await;
            link.retry_now();
        }
        assert_eq!(seen, ["connecting", "first", "lost 1", "connecting", "second", "lost 1"]);
    }

    #[tokio::test]
    async fn a_request_has_its_own_connection_and_its_answer_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let target = Target::Socket(path);
        let claim = Request::Claim { slot: None, payee: None };
        let refused = Reply::Refused { code: "CTL-004".into(), text: "nothing is open".into() };
        let replies = [refused.clone()];
        let (request, answer) =
            tokio::join!(serve(&listener, &replies), ask(&target, &claim, ANSWER));
        assert_eq!(request, claim);
        assert_eq!(answer.unwrap(), refused);
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there_is_a_coded_error() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Socket(folder.path().join("none.sock"));
        let error = snapshot(&target).await.unwrap_err();
        assert_eq!(error.code(), "LINK-001");
        assert_eq!(error.to_string(), "no such socket");
    }
}
