//! The control socket: mode 0600, same user only, one JSON frame after the other.
//!
//! The socket can do nothing that the owner of the process could not do; it exists so that a
//! screen or a script never needs a key.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot, watch},
    time::timeout,
};
use wire::control::{
    FROM_AGENT_MAX, Reply, Request, Snapshot, TO_AGENT_MAX, body_len, from_body, to_frame,
};

use crate::{
    error::{Coded, Exit},
    mesh::{DELAY_MAX, Disturbance, Mesh},
};

/// Clients at once: a console, scripts and some to spare. More are turned away at accept.
const CLIENTS_MAX: usize = 32;
/// A client that does not take its reply for this long is cut off.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// A request that takes the agent longer than this is answered with `CTL-004`.
const ANSWER_WAIT: Duration = Duration::from_secs(120);
/// Highest rate of snapshots to one client, per second.
const UPDATES_PER_S_MAX: u8 = 10;

/// A request that only the agent's loop can carry out, and where the reply goes.
pub(crate) type Asked = (Request, oneshot::Sender<Reply>);

/// Serves the socket until dropped; removes it then.
pub(crate) struct Control {
    path: PathBuf,
    server: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Binds `path` and serves `snapshots`; requests that change something go to `asked`.
    ///
    /// # Errors
    /// `CTL-001` if the folder or the socket cannot be made, `CTL-002` if a live agent answers
    /// there already (exit 73).
    pub(crate) fn start(
        path: &Path,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        asked: mpsc::Sender<Asked>,
    ) -> Result<Self, Coded> {
        let listener = bind(path)?;
        let server = tokio::spawn(accept_all(listener, snapshots, asked));
        Ok(Self { path: path.to_owned(), server })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.server.abort();
        // A socket that is gone already is as good as one removed.
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> Result<UnixListener, Coded> {
    let broken = |what: &str, error: io::Error| {
        Coded::new("CTL-001", format!("{what} {}: {error}", path.display())).exit(Exit::Config)
    };
    if let Some(folder) = path.parent() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| broken("cannot make the folder of", error))?;
    }
    if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let text = format!("an agent already answers on {}; stop it first", path.display());
            return Err(Coded::new("CTL-002", text).exit(Exit::InUse));
        }
        fs::remove_file(path).map_err(|error| broken("cannot remove the old", error))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| broken("cannot bind", error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|error| broken("cannot set the mode of", error))?;
    Ok(listener)
}

async fn accept_all(
    listener: UnixListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    asked: mpsc::Sender<Asked>,
) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    let own_uid = rustix::process::geteuid().as_raw();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: give those in use a moment to close.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let same_user = stream.peer_cred().is_ok_and(|it| it.uid() == own_uid || it.uid() == 0);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        if !same_user {
            tracing::warn!(code = "CTL-003", "another user's process was refused at the socket");
            continue;
        }
        let (snapshots, asked) = (snapshots.clone(), asked.clone());
        tokio::spawn(async move {
            // A client that goes away in the middle is not an error of ours.
            let _ = serve(stream, snapshots, asked).await;
            drop(place);
        });
    }
}

async fn serve(
    mut stream: UnixStream,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    asked: mpsc::Sender<Asked>,
) -> io::Result<()> {
    while let Some(frame) = read_frame(&mut stream, TO_AGENT_MAX).await? {
        let reply = match from_body(&frame) {
            Err(error) => refused("CTL-005", format!("not a request: {error}")),
            Ok(Request::Status) => Reply::Snapshot(Box::new(Snapshot::clone(&snapshots.borrow()))),
            Ok(Request::Subscribe { max_hz }) => return stream_to(stream, snapshots, max_hz).await,
            Ok(
                request @ (Request::SubmitTx { .. }
                | Request::Claim { .. }
                | Request::Disturb { .. }),
            ) => ask(&asked, request).await,
        };
        write_reply(&mut stream, &reply).await?;
    }
    Ok(())
}

async fn ask(asked: &mpsc::Sender<Asked>, request: Request) -> Reply {
    let (sender, answer) = oneshot::channel();
    if asked.send((request, sender)).await.is_err() {
        return refused("CTL-006", "the agent is stopping".into());
    }
    match timeout(ANSWER_WAIT, answer).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => refused("CTL-006", "the agent is stopping".into()),
        Err(_) => {
            let seconds = ANSWER_WAIT.as_secs();
            refused("CTL-004", format!("no answer within {seconds} s; ask for the status"))
        }
    }
}

/// Disturbs our own mesh as a devnet's supervisor asks.
pub(crate) fn disturb(mesh: &Mesh, delay_ms: u64, cut: &[String]) -> Reply {
    let delay = Duration::from_millis(delay_ms);
    let addresses = cut.iter().map(|it| it.parse::<SocketAddr>()).collect::<Result<_, _>>();
    let Ok(cut) = addresses else {
        return refused("CTL-005", format!("not a request: an address of {cut:?} is no ip:port"));
    };
    if delay > DELAY_MAX {
        let most = DELAY_MAX.as_millis();
        let text = format!("a delay of {delay_ms} ms is too long; at most {most} ms are possible");
        return refused("CTL-005", text);
    }
    if mesh.disturb(Disturbance { delay, cut }) {
        Reply::Accepted { text: "the mesh is disturbed as asked".into() }
    } else {
        refused("CTL-014", "only a devnet's mesh can be disturbed; this network is none".into())
    }
}

/// Sends every change, coalesced: a slow client gets the newest state, never a queue.
async fn stream_to(
    mut stream: UnixStream,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    max_hz: u8,
) -> io::Result<()> {
    let pause = Duration::from_millis(1000 / u64::from(max_hz.clamp(1, UPDATES_PER_S_MAX)));
    loop {
        let snapshot = Snapshot::clone(&snapshots.borrow_and_update());
        write_reply(&mut stream, &Reply::Snapshot(Box::new(snapshot))).await?;
        tokio::time::sleep(pause).await;
        if snapshots.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn refused(code: &str, text: String) -> Reply {
    Reply::Refused { code: code.to_owned(), text }
}

async fn write_reply(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let written = timeout(WRITE_WAIT, write_frame(stream, reply, FROM_AGENT_MAX)).await;
    written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn write_frame(stream: &mut UnixStream, it: &impl Serialize, max: u32) -> io::Result<()> {
    let frame = to_frame(it, max).map_err(io::Error::other)?;
    stream.write_all(&frame).await
}

async fn read_frame(stream: &mut UnixStream, max: u32) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 4];
    match stream.read_exact(&mut header).await {
        Ok(_) => (),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0; body_len(header, max).map_err(io::Error::other)?];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}

/// A client's side of the socket, for our own commands.
pub(crate) struct Client(UnixStream);

impl Client {
    /// Connects to the agent at `path`.
    ///
    /// # Errors
    /// `CTL-010` if nobody answers there.
    pub(crate) async fn connect(path: &Path) -> Result<Self, Coded> {
        let stream = UnixStream::connect(path).await;
        stream.map(Self).map_err(|error| {
            let text = format!("no agent at {}: {error}; is it running?", path.display());
            Coded::new("CTL-010", text)
        })
    }

    /// Sends one request.
    pub(crate) async fn send(&mut self, request: &Request) -> io::Result<()> {
        write_frame(&mut self.0, request, TO_AGENT_MAX).await
    }

    /// The next reply, `None` when the agent closed the socket.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Reply>> {
        let Some(body) = read_frame(&mut self.0, FROM_AGENT_MAX).await? else { return Ok(None) };
        from_body(&body).map(Some).map_err(io::Error::other)
    }

    /// One request and its reply.
    ///
    /// # Errors
    /// `CTL-011` if the agent hung up or answered nonsense.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Reply, Coded> {
        let lost = |text: String| Coded::new("CTL-011", text);
        self.send(request).await.map_err(|error| lost(format!("the agent hung up: {error}")))?;
        let reply = self.next().await.map_err(|error| lost(format!("bad reply: {error}")))?;
        reply.ok_or_else(|| lost("the agent closed the socket without an answer".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::{BlobSource, MeshConfig, MeshKey};

    struct Rig {
        _folder: tempfile::TempDir,
        path: PathBuf,
        snapshots: watch::Sender<Arc<Snapshot>>,
        asked: mpsc::Receiver<Asked>,
        control: Control,
    }

    fn rig() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.sock");
        let (snapshots, receiver) = watch::channel(Arc::new(Snapshot::default()));
        let (sender, asked) = mpsc::channel(4);
        let control = Control::start(&path, receiver, sender).unwrap();
        Rig { _folder: folder, path, snapshots, asked, control }
    }

    fn numbered(seq: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { seq, ..Snapshot::default() })
    }

    fn seq(reply: Option<Reply>) -> u64 {
        match reply {
            Some(Reply::Snapshot(snapshot)) => snapshot.seq,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_subscriber_sees_the_newest_state_and_not_a_queue() {
        let rig = rig();
        let mut client = Client::connect(&rig.path).await.unwrap();
        client.send(&Request::Subscribe { max_hz: 10 }).await.unwrap();
        assert_eq!(seq(client.next().await.unwrap()), 0);
        for number in 1..=50 {
            rig.snapshots.send_replace(numbered(number));
        }
        assert_eq!(seq(client.next().await.unwrap()), 50);
    }

    #[tokio::test]
    async fn a_request_that_changes_something_reaches_the_loop() {
        let mut rig = rig();
        let mut client = Client::connect(&rig.path).await.unwrap();
        client.send(&Request::Claim { slot: Some(7), payee: None }).await.unwrap();
        let (request, reply) = rig.asked.recv().await.unwrap();
        assert_eq!(request, Request::Claim { slot: Some(7), payee: None });
        reply.send(Reply::Accepted { text: "claimed 1".into() }).unwrap();
        let answer = client.next().await.unwrap();
        assert_eq!(answer, Some(Reply::Accepted { text: "claimed 1".into() }));
    }

    #[tokio::test]
    async fn nonsense_is_refused_and_an_oversized_frame_closes_the_connection() {
        let rig = rig();
        let mut client = Client::connect(&rig.path).await.unwrap();
        write_frame(&mut client.0, &serde_json::json!({}), TO_AGENT_MAX).await.unwrap();
        assert!(
            matches!(client.next().await.unwrap(), Some(Reply::Refused { code, .. }) if code == "CTL-005")
        );
        client.0.write_all(&(TO_AGENT_MAX + 1).to_be_bytes()).await.unwrap();
        assert_eq!(client.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_socket_is_private_and_has_one_owner() {
        let rig = rig();
        let mode = fs::metadata(&rig.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(bind(&rig.path).err().map(|it| it.code()), Some("CTL-002"));
        drop(rig.control);
        assert!(!rig.path.exists());
    }

    fn mesh(disturbable: bool) -> Mesh {
        struct Nothing;
        impl BlobSource for Nothing {
            fn get(&self, _: protocol::BlobId) -> Option<Vec<u8>> {
                None
            }
            fn witnesses(&self, _: protocol::BlockId) -> Option<Vec<protocol::BlobId>> {
                None
            }
        }
        let config = MeshConfig {
            key: MeshKey::new(&[3; 32]).unwrap(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            bootstrap: Vec::new(),
            domain: wire::Domain::new(1, protocol::Address([1; 20])),
            members: watch::channel(Arc::default()).1,
            blobs: Arc::new(Nothing),
            disturbable,
        };
        Mesh::start(config).unwrap().0
    }

    #[tokio::test]
    async fn only_a_devnets_mesh_is_disturbed_and_only_within_limits() {
        let asked =
            |mesh: &Mesh, delay_ms, cut: &str| match disturb(mesh, delay_ms, &[cut.to_owned()]) {
                Reply::Refused { code, .. } => code,
                Reply::Accepted { .. } => "accepted".into(),
                Reply::Snapshot(_) => "a state".into(),
            };
        let devnet = mesh(true);
        assert_eq!(asked(&devnet, 2_000, "127.0.0.1:7"), "accepted");
        assert_eq!(asked(&devnet, 2_001, "127.0.0.1:7"), "CTL-005");
        assert_eq!(asked(&devnet, 0, "localhost"), "CTL-005");
        assert_eq!(asked(&mesh(false), 1, "127.0.0.1:7"), "CTL-014");
    }

    #[tokio::test]
    async fn a_socket_left_by_a_killed_agent_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(bind(&path).unwrap());
    }
}
