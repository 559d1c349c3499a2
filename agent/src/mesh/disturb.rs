//! Bad weather on purpose, for a devnet alone: datagrams that leave late, or never.
//!
//! It sits below QUIC, so that everything above meets what a bad network does: slow round trips,
//! connections that end by silence, dials that fail. Only what leaves is disturbed; a cut in both
//! directions needs both ends. No peer can ask for it: [`Mesh::disturb`] is called for the control
//! socket alone, and a mesh that was not started for a devnet has no such layer at all.
//!
//! [`Mesh::disturb`]: super::Mesh::disturb

use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::limits;

/// Longest delay: with two of it a round trip, a peer is still alive within [`limits::IDLE`]. New
/// connections need three round trips within [`limits::HANDSHAKE`]: above 500 ms none is made.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(2);

/// What happens to datagrams that leave.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Disturbance {
    /// Each leaves this much later.
    pub(crate) delay: Duration,
    /// Those to these addresses never leave.
    pub(crate) cut: BTreeSet<SocketAddr>,
}

/// A socket whose datagrams meet the weather.
pub(super) struct Disturbed {
    inner: Arc<dyn AsyncUdpSocket>,
    weather: watch::Receiver<Disturbance>,
    late: mpsc::Sender<Late>,
}

impl Disturbed {
    /// Puts the weather before `inner`. Must be called within a tokio runtime.
    pub(super) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        weather: watch::Receiver<Disturbance>,
    ) -> Self {
        let (late, queue) = mpsc::channel(limits::LATE_MAX);
        tokio::spawn(send_late(Arc::clone(&inner), queue));
        Self { inner, weather, late }
    }
}

/// A datagram that waits.
struct Late {
    at: Instant,
    destination: SocketAddr,
    ecn: Option<EcnCodepoint>,
    contents: Vec<u8>,
    segment_size: Option<usize>,
    src_ip: Option<IpAddr>,
}

/// Sends in order of arrival, until the socket is gone.
async fn send_late(inner: Arc<dyn AsyncUdpSocket>, mut queue: mpsc::Receiver<Late>) {
    while let Some(late) = queue.recv().await {
        sleep_until(late.at).await;
        let Late { destination, ecn, segment_size, src_ip, ref contents, .. } = late;
        // What the system does not take is lost, as on a wire.
        let _ = inner.try_send(&Transmit { destination, ecn, contents, segment_size, src_ip });
    }
}

impl AsyncUdpSocket for Disturbed {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let weather = self.weather.borrow();
        let to = transmit.destination;
        if weather.cut.contains(&SocketAddr::new(to.ip().to_canonical(), to.port())) {
            return Ok(());
        }
        if weather.delay.is_zero() {
            return self.inner.try_send(transmit);
        }
        let late = Late {
            at: Instant::now() + weather.delay,
            destination: to,
            ecn: transmit.ecn,
            contents: transmit.contents.to_vec(),
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        };
        // A full queue loses what comes, as a router's does.
        let _ = self.late.try_send(late);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [io::IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(context, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl fmt::Debug for Disturbed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Disturbed").field("inner", &self.inner).finish_non_exhaustive()
    }
}
