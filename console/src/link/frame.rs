//! Frames of the control API: a big-endian `u32` length and JSON, within the limits of both ends.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use wire::{
    DecodeError,
    control::{FROM_AGENT_MAX, TO_AGENT_MAX, body_len, from_body, to_frame},
};

/// Bytes of the length.
const HEAD: usize = 4;

/// Why the agent cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The socket cannot be opened, or it broke.
    #[error("{}", why(.0))]
    Closed(io::Error),
    /// The agent closed the connection.
    #[error("the agent closed the connection")]
    Ended,
    /// Not a frame of the control API: too long, or not its JSON.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No answer in time.
    #[error("no answer within {limit_s} s")]
    Silent {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// An answer to another question.
    #[error("the agent answered something else")]
    Unexpected,
    /// There is no agent behind a simulated world.
    #[error("this world is simulated, there is no agent to ask")]
    Simulated,
    /// No socket to connect to, or too many.
    #[error("{0}")]
    NoTarget(String),
}

impl FrameError {
    /// Stable across releases.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Closed(_) => "LINK-001",
            Self::Ended => "LINK-002",
            Self::Decode(error) => error.code(),
            Self::Silent { .. } => "LINK-003",
            Self::Unexpected => "LINK-004",
            Self::NoTarget(_) => "LINK-005",
            Self::Simulated => "LINK-006",
        }
    }
}

fn why(error: &io::Error) -> String {
    use io::ErrorKind;
    let known = [
        (ErrorKind::NotFound, "no such socket"),
        (ErrorKind::ConnectionRefused, "connection refused"),
        (ErrorKind::PermissionDenied, "the socket belongs to another user"),
        (ErrorKind::TimedOut, "no answer"),
    ];
    let found = known.iter().find(|(kind, _)| *kind == error.kind());
    found.map_or_else(|| error.to_string(), |(_, text)| (*text).to_owned())
}

/// A connection that speaks in frames.
pub(crate) struct Frames {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Frames {
    pub(crate) const fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// If it is too long or the connection broke.
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<(), FrameError> {
        let frame = to_frame(message, TO_AGENT_MAX)?;
        self.stream.write_all(&frame).await.map_err(FrameError::Closed)
    }

    /// The next frame. May be dropped at any point: what was read stays for the next call.
    ///
    /// # Errors
    /// If the connection ends, or what comes is not a frame of the control API.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        loop {
            if let Some(body) = take(&mut self.buffer)? {
                return Ok(from_body(&body)?);
            }
            let read = self.stream.read_buf(&mut self.buffer).await;
            if read.map_err(FrameError::Closed)? == 0 {
                return Err(FrameError::Ended);
            }
        }
    }
}

/// Takes the first whole frame out of the buffer.
fn take(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FrameError> {
    let Some((head, rest)) = buffer.split_first_chunk::<HEAD>() else { return Ok(None) };
    let length = body_len(*head, FROM_AGENT_MAX)?;
    let Some(body) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
    buffer.drain(..HEAD + length);
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_they_end() {
        let mut buffer = Vec::new();
        let mut taken = Vec::new();
        for byte in *b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c\0\0" {
            buffer.push(byte);
            taken.extend(take(&mut buffer).unwrap());
        }
        assert_eq!(taken, [b"ab".to_vec(), b"".to_vec(), b"c".to_vec()]);
        assert_eq!(buffer, [0, 0]);
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_its_bytes_come() {
        let mut buffer = (FROM_AGENT_MAX + 1).to_be_bytes().to_vec();
        let error = take(&mut buffer).unwrap_err();
        assert_eq!(error.code(), "WIR-001");
        let mut buffer = FROM_AGENT_MAX.to_be_bytes().to_vec();
        assert!(take(&mut buffer).unwrap().is_none());
    }

    async fn check(bytes: &[u8]) -> String {
        let (mut agent, console) = UnixStream::pair().unwrap();
        agent.write_all(bytes).await.unwrap();
        drop(agent);
        let reply = Frames::new(console).next::<wire::control::Reply>().await;
        reply.map_or_else(|error| error.code().to_owned(), |reply| format!("{reply:?}"))
    }

    #[tokio::test]
    async fn what_is_not_a_reply_is_a_coded_error() {
        let framed = |body: &str| {
            let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            bytes.extend(body.as_bytes());
            bytes
        };
        let accepted = framed(r#"{"reply":"accepted","text":"done","later":1}"#);
        assert_eq!(check(&accepted).await, "Accepted { text: \"done\" }");
        assert_eq!(check(&accepted[..20]).await, "LINK-002");
        assert_eq!(check(b"").await, "LINK-002");
        assert_eq!(check(b"HTTP/1.1 400 Bad Request").await, "WIR-001");
        assert_eq!(check(&framed("{}")).await, "WIR-002");
        assert_eq!(check(&framed("\u{1b}[2J")).await, "WIR-002");
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_loses_nothing() {
        let (mut agent, console) = UnixStream::pair().unwrap();
        let mut frames = Frames::new(console);
        let body = br#"{"reply":"accepted","text":"done"}"#;
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(body);
        let (first, second) = bytes.split_at(9);
        agent.write_all(first).await.unwrap();
        let pause = std::time::Duration::from_millis(20);
        let given_up = tokio::time::timeout(pause, frames.next::<wire::control::Reply>()).await;
        assert!(given_up.is_err());
        agent.write_all(second).await.unwrap();
        let reply: wire::control::Reply = frames.next().await.unwrap();
        assert_eq!(reply, wire::control::Reply::Accepted { text: "done".into() });
    }

    #[tokio::test]
    async fn a_request_above_the_limit_is_not_sent() {
        let (_agent, console) = UnixStream::pair().unwrap();
        let tx = "0".repeat(usize::try_from(TO_AGENT_MAX).unwrap());
        let error = Frames::new(console).send(&wire::control::Request::SubmitTx { tx }).await;
        assert_eq!(error.unwrap_err().code(), "WIR-001");
    }
}
