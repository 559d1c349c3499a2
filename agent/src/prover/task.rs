//! What the pool and a child say to each other: one request on stdin, lines of JSON on stdout.
//!
//! The request is `length u32 ‖ postcard`, read strictly and once; answers are lines, so that a
//! person who runs the command by hand can follow them.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use protocol::{Address, Kind};
use serde::{Deserialize, Serialize};

use super::Step;

/// Longest request in bytes. The largest task is a `kernel` or `merge` with two child proofs of at
/// most 32 KiB each; a `base` has a tx witness of at most 16 KiB.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Longest line of an answer: a proof blob of at most 32 KiB in hex, four times over.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024;
/// Longest text of a refusal.
const TEXT_BYTES_MAX: usize = 1024;

/// One task, as the child needs it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Number of the circuit.
    pub(crate) kind: u8,
    /// Who the proof pays.
    pub(crate) payee: [u8; 20],
    /// Everything the circuit needs, in the form of `circuits`.
    pub(crate) work: Vec<u8>,
    /// Folder of the setup, the keys and the machine's lock.
    pub(crate) cache: PathBuf,
    /// Whose setup the keys are made with.
    pub(crate) chain_id: u64,
    /// Number of the circuit set (R13).
    pub(crate) revision: u32,
    /// Proofs at once on this machine.
    pub(crate) proofs_at_once: u16,
    /// Most bytes of address space the child may have.
    pub(crate) memory_bytes: u64,
    /// Process id of the agent; the child does not outlive it.
    pub(crate) parent: u32,
}

impl Request {
    /// The circuit, if the number is one.
    pub(crate) fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }
    /// Who the proof pays.
    pub(crate) const fn payee(&self) -> Address {
        Address(self.payee)
    }

    /// Its bytes with their length in front.
    ///
    /// # Errors
    /// If it is longer than [`REQUEST_BYTES_MAX`] or the folder's name is no UTF-8.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let body = postcard::to_stdvec(self).map_err(io::Error::other)?;
        if body.len() > REQUEST_BYTES_MAX {
            return Err(too_long(body.len()));
        }
        let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Reads one request.
    ///
    /// # Errors
    /// If the input ends early, is longer than [`REQUEST_BYTES_MAX`] or is no request.
    pub(crate) fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > REQUEST_BYTES_MAX {
            return Err(too_long(length));
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        match postcard::take_from_bytes(&body) {
            Ok((request, [])) => Ok(request),
            Ok(_) => Err(io::Error::other("the request has bytes left over")),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn too_long(bytes: usize) -> io::Error {
    let text = format!("the request has {bytes} bytes, at most {REQUEST_BYTES_MAX} are allowed");
    io::Error::other(text)
}

/// One line of a child's answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A step begins.
    Step(Step),
    /// The proof is made and was accepted by our own rules; the child ends with 0.
    Made {
        /// The proof with its public words and credit record, in the form of `circuits`, in hex.
        output: String,
        /// CPU milliseconds of the child, all threads.
        cpu_ms: u32,
        /// Its peak memory in MB.
        peak_mb: u32,
    },
    /// There is no proof; the exit code says what kind of refusal this is.
    Refused {
        /// Why, in one sentence.
        text: String,
    },
}

impl Line {
    /// A refusal with a text of bounded length.
    pub(crate) fn refused(text: &str) -> Self {
        let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at));
        Self::Refused { text: text[..end.unwrap_or(0)].to_owned() }
    }

    /// Writes the line and passes it on at once.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self).map_err(io::Error::other)?;
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()
    }

    /// The line in these bytes, if it is one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
pub(crate) fn sample() -> Request {
    Request {
        kind: Kind::Vm as u8,
        payee: [7; 20],
        work: vec![1, 2, 3],
        cache: "/cache".into(),
        chain_id: 31337,
        revision: 2,
        proofs_at_once: 1,
        memory_bytes: 1 << 30,
        parent: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_and_no_other_bytes_are() {
        let request = sample();
        let bytes = request.encode().unwrap();
        assert_eq!(Request::read(&mut bytes.as_slice()).unwrap(), request);
        for len in 0..bytes.len() {
            assert!(Request::read(&mut &bytes[..len]).is_err());
        }
        let mut longer = bytes.clone();
        longer[3] += 1;
        longer.push(0);
        assert!(Request::read(&mut longer.as_slice()).is_err());
        let huge = [0xff; 4];
        assert!(Request::read(&mut huge.as_slice()).unwrap_err().to_string().contains("at most"));
        let large = Request { work: vec![0; REQUEST_BYTES_MAX], ..request };
        assert!(large.encode().is_err());
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let made = Line::Made { output: "00ff".into(), cpu_ms: 5, peak_mb: 6 };
        for line in [Line::Step(Step::LoadingKey), made, Line::refused("no")] {
            let mut bytes = Vec::new();
            line.write(&mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(b'\n'));
            assert_eq!(Line::parse(&bytes), Some(line));
        }
        assert_eq!(Line::parse(b"anything else"), None);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let Line::Refused { text } = Line::refused(&"ä".repeat(2000)) else {
            unreachable!("a refusal")
        };
        assert_eq!(text, "ä".repeat(TEXT_BYTES_MAX / 2));
    }
}
