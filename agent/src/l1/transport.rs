//! Several endpoints as one: asked in order, the next one when one fails.
//!
//! The client library's own fallback layer either fails every call while the first endpoint is
//! down, or doubles the traffic. Here an endpoint that failed is left alone for a while, doubling
//! from 250 ms to 16 s, and is tried again before a call is given up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use alloy::{
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{BoxTransport, TransportError, TransportErrorKind, TransportFut},
};
use tower::Service;

/// One endpoint has this long to answer before the next is asked.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Pause of an endpoint after its first failure.
const PAUSE_MS: u64 = 250;
/// The pause doubles this often at most: 250 ms x 2^6 = 16 s.
const PAUSE_DOUBLINGS: u32 = 6;

/// An endpoint and its circuit breaker.
struct Endpoint {
    name: String,
    transport: BoxTransport,
    failures: AtomicU32,
    /// Milliseconds after `Failover::since` until which it is not the first choice.
    paused_until: AtomicU64,
}

/// A transport over several endpoints.
#[derive(Clone)]
pub(super) struct Failover {
    endpoints: Arc<[Endpoint]>,
    since: Instant,
}

impl Failover {
    /// Endpoints in the order of preference, each with a name for logs.
    pub(super) fn new(endpoints: Vec<(String, BoxTransport)>) -> Self {
        let endpoints = endpoints
            .into_iter()
            .map(|(name, transport)| Endpoint {
                name,
                transport,
                failures: AtomicU32::new(0),
                paused_until: AtomicU64::new(0),
            })
            .collect();
        Self { endpoints, since: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Endpoints that are not paused, in order, then the paused ones as a last resort.
    fn order(&self) -> Vec<usize> {
        let now = self.now_ms();
        let mut order: Vec<usize> = (0..self.endpoints.len()).collect();
        order.sort_by_key(|&i| (self.endpoints[i].paused_until.load(Relaxed) > now, i));
        order
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        request: RequestPacket,
    ) -> Result<ResponsePacket, TransportError> {
        let mut transport = endpoint.transport.clone();
        let answer = tokio::time::timeout(ANSWER_WAIT, transport.call(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(TransportErrorKind::custom_str("no answer")));
        match &answer {
            Ok(_) => {
                if endpoint.failures.swap(0, Relaxed) > 0 {
                    tracing::info!(endpoint = endpoint.name, "L1 endpoint answers again");
                }
                endpoint.paused_until.store(0, Relaxed);
            }
            Err(error) => {
                let failures = endpoint.failures.fetch_add(1, Relaxed);
                let pause = PAUSE_MS << failures.min(PAUSE_DOUBLINGS);
                endpoint.paused_until.store(self.now_ms() + pause, Relaxed);
                if failures == 0 {
                    tracing::warn!(endpoint = endpoint.name, %error, "L1 endpoint failed");
                }
            }
        }
        answer
    }
}

impl Service<RequestPacket> for Failover {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let mut last = TransportErrorKind::custom_str("no endpoint is configured");
            for i in this.order() {
                match this.ask(&this.endpoints[i], request.clone()).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}
