//! The life of one connection: HELLO both ways, then messages, contacts and requests until it ends.
//!
//! Everything of one peer runs in one task, so a peer that is slow, silent or wrong delays nobody
//! else, and when the task ends nothing of the peer is left. Messages are read one after the
//! other, in the order in which the peer sent them.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tracing::{debug, trace};
use wire::{Control, Hello, Stream, frame::Contact, version};

use super::{
    MeshEvent, Shared,
    budget::Budget,
    endpoint,
    error::{Close, End},
    gossip::{self, Verdict},
    limits,
    members::PeerId,
    peers::{Joined, Link, Outgoing},
    tls, transfer,
};

/// A connection to a known peer, with what its task needs.
pub(super) struct Session<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) peer: PeerId,
    pub(super) connection: &'a Connection,
}

/// Runs a connection whose handshake is done, to its end.
pub(super) async fn run(shared: &Arc<Shared>, connection: Connection) {
    let Some(peer) = tls::peer_id(&connection) else {
        Close::Frames.end(&connection);
        return;
    };
    let session = Session { shared, peer, connection: &connection };
    let end = match session.live().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    if let End::Ours(close) = end {
        close.end(&connection);
    }
    let was_up = shared.peers().leave(peer, &connection, Instant::now());
    debug!(%peer, was_up, "connection ended: {end}");
    if was_up {
        // Fails only if the agent no longer listens.
        let _ = shared.events.send(MeshEvent::PeerDown(peer)).await;
    }
}

impl Session<'_> {
    async fn live(&self) -> Result<Infallible, End> {
        let (hello, send, recv) =
            timeout(limits::HELLO, self.greet()).await.map_err(|_| Close::Frames)??;
        hello.check(&self.shared.domain).map_err(|why| {
            debug!(peer = %self.peer, why, "peer refused");
            Close::Network
        })?;
        let (joined, queue) = self.join(&hello)?;
        endpoint::widen(self.connection);
        match joined {
            Joined::New => {
                let event = MeshEvent::PeerUp(self.peer);
                self.shared.events.send(event).await.map_err(|_| Close::Shutdown)?;
            }
            Joined::Replaces(old) => Close::Duplicate.end(&old),
        }
        tokio::select! {
            end = self.write(send, queue) => end,
            end = self.read_messages() => end,
            end = self.read_control(recv) => end,
            end = transfer::serve(self) => end,
        }
    }

    /// Says HELLO and hears it, on the two control streams.
    async fn greet(&self) -> Result<(Hello, SendStream, RecvStream), End> {
        let mut send = self.connection.open_uni().await?;
        let hello = Control::Hello(self.shared.hello()).encode().map_err(|_| Close::Frames)?;
        send.write_all(&[Stream::Control as u8]).await?;
        send.write_all(&hello).await?;
        let mut recv = self.connection.accept_uni().await?;
        let mut first = [0];
        recv.read_exact(&mut first).await?;
        if Stream::from_byte(first[0]) != Some(Stream::Control) {
            return Err(Close::Frames.into());
        }
        match read_frame(&mut recv).await? {
            Control::Hello(hello) => Ok((hello, send, recv)),
            Control::Contacts(_) => Err(Close::Frames.into()),
        }
    }

    /// Enters the peer into the table and tells it and the others where everybody is.
    fn join(&self, hello: &Hello) -> Result<(Joined, mpsc::Receiver<Outgoing>), Close> {
        if self.shared.members.borrow().role(self.peer).is_none() {
            return Err(Close::Unregistered);
        }
        let (outbox, queue) = mpsc::channel(limits::OUTBOX_MAX);
        let address = seen_address(hello.address, self.connection.remote_address());
        let link = Link {
            connection: self.connection.clone(),
            outbox: outbox.clone(),
            address,
            l1_head: hello.l1_head,
            since: Instant::now(),
        };
        let mut peers = self.shared.peers();
        let joined = peers.join(self.peer, link)?;
        debug!(peer = %self.peer, %address, "connected");
        let contacts = peers.contacts(self.peer);
        let newcomer = Contact { peer: self.peer.0, address };
        for (peer, link) in peers.links().filter(|(peer, _)| *peer != self.peer) {
            trace!(%peer, newcomer = %self.peer, "telling");
            send_or_end(link, Outgoing::Contacts(vec![newcomer]));
        }
        // An empty queue of its own takes it.
        let _ = outbox.try_send(Outgoing::Contacts(contacts));
        Ok((joined, queue))
    }

    /// Writes the backlog, then whatever is queued.
    async fn write(
        &self,
        mut control: SendStream,
        mut queue: mpsc::Receiver<Outgoing>,
    ) -> Result<Infallible, End> {
        let backlog = self.shared.board().backlog();
        for bytes in backlog {
            self.write_message(&bytes).await?;
        }
        while let Some(outgoing) = queue.recv().await {
            match outgoing {
                Outgoing::Message(bytes) => self.write_message(&bytes).await?,
                Outgoing::Contacts(contacts) => {
                    let frame = Control::Contacts(contacts).encode().map_err(|_| Close::Frames)?;
                    let written = timeout(limits::CONTROL_FRAME, control.write_all(&frame)).await;
                    written.map_err(|_| Close::Slow)??;
                }
            }
        }
        // The table dropped this link's queue: another connection took its place.
        Err(Close::Duplicate.into())
    }

    /// One message on a stream of its own.
    async fn write_message(&self, bytes: &[u8]) -> Result<(), End> {
        let write = async {
            let mut stream = self.connection.open_uni().await?;
            stream.write_all(&[Stream::Gossip as u8]).await?;
            match stream.write_all(bytes).await {
                // The peer may refuse a message before its last byte: that is its judgement.
                Ok(()) | Err(quinn::WriteError::Stopped(_)) => {}
                Err(error) => return Err(error.into()),
            }
            // Fails only if the peer stopped the stream.
            let _ = stream.finish();
            Ok(())
        };
        timeout(limits::MESSAGE, write).await.map_err(|_| Close::Slow)?
    }

    async fn read_messages(&self) -> Result<Infallible, End> {
        let mut budget = Budget::new(limits::MESSAGES_BURST, limits::MESSAGE_EVERY, Instant::now());
        loop {
            let mut stream = self.connection.accept_uni().await?;
            budget.wait().await;
            // Room for the event first: what is once marked as seen must reach the agent.
            let permit = self.shared.events.reserve().await.map_err(|_| Close::Shutdown)?;
            match timeout(limits::MESSAGE, read_message(&mut stream)).await {
                Ok(Ok(bytes)) => self.take(bytes.into(), permit)?,
                Ok(Err(End::Lost(error))) => return Err(error.into()),
                Ok(Err(End::Ours(_))) | Err(_) => {
                    // Fails only if the stream is at its end.
                    let _ = stream.stop(Close::Frames.code());
                    self.strike("frame too long, too slow or of an unknown kind")?;
                }
            }
        }
    }

    /// Delivers and forwards a message that passes every check.
    fn take(&self, bytes: Bytes, permit: mpsc::Permit<'_, MeshEvent>) -> Result<(), End> {
        let shared = self.shared;
        shared.peers().heard(self.peer);
        let members = Arc::clone(&shared.members.borrow());
        let skips = |id, slot| shared.board().skips(id, slot);
        match gossip::judge(&bytes, &shared.domain, &*members, skips) {
            Verdict::Accept(message) => {
                if shared.board().accept(message, bytes.clone()) {
                    trace!(peer = %self.peer, id = %message.id(), "message accepted");
                    permit.send(MeshEvent::Message(message));
                    shared.forward(&bytes, Some(self.peer));
                }
                Ok(())
            }
            Verdict::Ignore => Ok(()),
            Verdict::Blame(reject) => self.strike(reject.code()),
        }
    }

    async fn read_control(&self, mut stream: RecvStream) -> Result<Infallible, End> {
        let mut budget = Budget::new(limits::CONTROL_BURST, limits::CONTROL_EVERY, Instant::now());
        loop {
            match read_frame(&mut stream).await? {
                Control::Contacts(contacts) => {
                    self.shared.peers().hear_of(&contacts, Instant::now());
                    self.shared.redial.notify_one();
                }
                Control::Hello(_) => return Err(Close::Frames.into()),
            }
            budget.wait().await;
        }
    }

    /// Counts a bad frame against the peer.
    ///
    /// # Errors
    /// [`Close::Rejected`] if it was one too many.
    pub(super) fn strike(&self, why: &str) -> Result<(), End> {
        debug!(peer = %self.peer, why, "frame refused");
        if self.shared.peers().strike(self.peer, Instant::now()) {
            return Err(Close::Rejected.into());
        }
        Ok(())
    }
}

/// Queues `outgoing`; a peer whose queue is full is disconnected rather than waited for.
pub(super) fn send_or_end(link: &Link, outgoing: Outgoing) {
    if let Err(mpsc::error::TrySendError::Full(_)) = link.outbox.try_send(outgoing) {
        Close::Slow.end(&link.connection);
    }
}

/// The rest of a gossip stream.
async fn read_message(stream: &mut RecvStream) -> Result<Vec<u8>, End> {
    let mut first = [0];
    stream.read_exact(&mut first).await?;
    match Stream::from_byte(first[0]) {
        Some(Stream::Gossip) => Ok(stream.read_to_end(Stream::Gossip.request_bytes_max()).await?),
        Some(Stream::Control | Stream::Get | Stream::Witnesses) | None => Err(Close::Frames.into()),
    }
}

/// One control frame; silence before it is fine, a pause within it is not.
async fn read_frame(stream: &mut RecvStream) -> Result<Control, End> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).await?;
    let len = Control::body_len(header).map_err(|_| Close::Frames)?;
    let mut body = vec![0; len];
    let read = timeout(limits::CONTROL_FRAME, stream.read_exact(&mut body)).await;
    read.map_err(|_| Close::Frames)??;
    Control::decode(&body).map_err(|_| Close::Frames.into())
}

/// Where a peer accepts connections: as it says, with the IP we see if it does not know its own.
fn seen_address(said: SocketAddr, seen: SocketAddr) -> SocketAddr {
    let ip = if said.ip().is_unspecified() { seen.ip() } else { said.ip() };
    SocketAddr::new(ip.to_canonical(), said.port())
}

impl Shared {
    /// Our HELLO.
    fn hello(&self) -> Hello {
        let members = self.members.borrow();
        Hello {
            version: version::WIRE,
            chain_id: self.domain.chain_id(),
            registry: self.domain.registry().0,
            epoch: members.epoch(),
            address: self.address,
            l1_head: members.l1_head(),
        }
    }

    /// Queues a message for every link but the one it came from.
    pub(super) fn forward(&self, bytes: &Bytes, from: Option<PeerId>) {
        for (_, link) in self.peers().links().filter(|(peer, _)| Some(*peer) != from) {
            send_or_end(link, Outgoing::Message(bytes.clone()));
        }
    }
}
