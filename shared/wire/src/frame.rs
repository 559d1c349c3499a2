//! What runs on a stream of the mesh: its first byte, its limits, and the control frames.
//!
//! A stream says with its first byte what it is for, and each purpose has a greatest length in
//! both directions, known before a byte is read. Requests and replies are fixed-width; only the
//! control stream has frames: u16 big-endian length ‖ postcard.

use std::net::SocketAddr;

use protocol::{Address, BlobId, BlockId};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, Limit},
    envelope::SIGNED_BYTES_MAX,
    error::DecodeError,
    message::Domain,
    version,
};

/// Longest blob of any kind in bytes. Today's are below 32 KiB; larger ones are for later kinds.
pub const BLOB_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most names in a reply to `WITNESSES`: one per tx, 16 in a block.
pub const WITNESS_NAMES_MAX: usize = 16;
/// Most contacts in one frame: the peers of a full mesh of 16.
pub const CONTACTS_MAX: usize = 16;
/// Longest control frame in bytes: 16 contacts of 32 + 1 + 16 + 3 bytes are 834.
pub const CONTROL_BYTES_MAX: usize = 1024;

const CONTROL: Limit = Limit { what: "control frame", max: CONTROL_BYTES_MAX };
const NAMES: Limit = Limit { what: "witness names", max: 32 * WITNESS_NAMES_MAX };

/// The purpose of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Stream {
    /// One per side, one-way, first of all, open as long as the connection: control frames.
    Control = 0x01,
    /// One-way: one signed message.
    Gossip = 0x02,
    /// Both ways: the name of a blob, answered by its bytes.
    Get = 0x10,
    /// Both ways: a block id, answered by the names of its witnesses.
    Witnesses = 0x13,
}

impl Stream {
    /// The purpose with this first byte.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Control),
            0x02 => Some(Self::Gossip),
            0x10 => Some(Self::Get),
            0x13 => Some(Self::Witnesses),
            _ => None,
        }
    }

    /// Most bytes after the first one that the opener may send (in one frame, for `Control`).
    #[must_use]
    pub const fn request_bytes_max(self) -> usize {
        match self {
            Self::Control => CONTROL_BYTES_MAX,
            Self::Gossip => SIGNED_BYTES_MAX,
            Self::Get | Self::Witnesses => 32,
        }
    }

    /// Most bytes of the answer; 0 where there is none.
    #[must_use]
    pub const fn reply_bytes_max(self) -> usize {
        match self {
            Self::Control | Self::Gossip => 0,
            Self::Get => BLOB_BYTES_MAX,
            Self::Witnesses => 32 * WITNESS_NAMES_MAX,
        }
    }
}

/// The first control frame: which network, and where its sender listens. Unsigned, since TLS
/// binds it to the sender's mesh key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`version::WIRE`].
    pub version: u16,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the Registry contract.
    pub registry: [u8; 20],
    /// The sender's current epoch.
    pub epoch: u64,
    /// Where it accepts connections; an unspecified IP stands for the one the reader sees.
    pub address: SocketAddr,
    /// Number of the newest L1 block it knows.
    pub l1_head: u64,
}

impl Hello {
    /// Whether the sender speaks our version on our network; its name for the difference if not.
    ///
    /// # Errors
    /// Which of version, chain or Registry differs.
    pub fn check(&self, domain: &Domain) -> Result<(), &'static str> {
        if self.version != version::WIRE {
            return Err("another wire version");
        }
        if self.chain_id != domain.chain_id() {
            return Err("another chain");
        }
        if Address(self.registry) != domain.registry() {
            return Err("another Registry");
        }
        Ok(())
    }
}

/// Where a peer was reached. A hint: whoever dials it expects exactly this key there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// Its mesh key.
    pub peer: [u8; 32],
    /// Its address.
    pub address: SocketAddr,
}

/// What the control stream carries.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Control {
    /// The first frame, once.
    Hello(Hello),
    /// Peers that the sender is connected to, at most [`CONTACTS_MAX`].
    Contacts(Vec<Contact>),
}

impl Control {
    /// The frame: u16 big-endian length of the rest, and the rest.
    ///
    /// # Errors
    /// More than [`CONTACTS_MAX`] contacts.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        let body = codec::encode(self, CONTROL)?;
        let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
        Ok([&len.to_be_bytes(), body.as_slice()].concat())
    }

    /// The length of the rest, from the first two bytes of a frame.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] above [`CONTROL_BYTES_MAX`].
    pub fn body_len(header: [u8; 2]) -> Result<usize, DecodeError> {
        let len = usize::from(u16::from_be_bytes(header));
        if len > CONTROL.max {
            return Err(DecodeError::TooLong { what: CONTROL.what, len, max: CONTROL.max });
        }
        Ok(len)
    }

    /// Reads the rest of a frame.
    ///
    /// # Errors
    /// Every byte string that [`Control::encode`] does not write.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let frame: Self = codec::decode(body, CONTROL)?;
        frame.check()?;
        Ok(frame)
    }

    fn check(&self) -> Result<(), DecodeError> {
        match self {
            Self::Contacts(contacts) if contacts.len() > CONTACTS_MAX => {
                Err(DecodeError::Malformed { what: CONTROL.what, why: "more than 16 contacts" })
            }
            Self::Contacts(_) | Self::Hello(_) => Ok(()),
        }
    }
}

/// The bytes that ask for a blob.
#[must_use]
pub fn encode_get(blob: BlobId) -> [u8; 33] {
    request(Stream::Get, blob.0)
}

/// The bytes that ask for the names of a block's witnesses.
#[must_use]
pub fn encode_witnesses(block: BlockId) -> [u8; 33] {
    request(Stream::Witnesses, block.0)
}

fn request(stream: Stream, id: [u8; 32]) -> [u8; 33] {
    let mut bytes = [0; 33];
    bytes[0] = stream as u8;
    bytes[1..].copy_from_slice(&id);
    bytes
}

/// The 32 bytes after the first of a `GET` or `WITNESSES`.
///
/// # Errors
/// Any other length.
pub fn decode_id(bytes: &[u8]) -> Result<[u8; 32], DecodeError> {
    bytes
        .try_into()
        .map_err(|_| DecodeError::Malformed { what: "request", why: "its id is not 32 bytes" })
}

/// The answer to `WITNESSES`: the names, one after the other, in the order of the txs.
///
/// # Errors
/// More than [`WITNESS_NAMES_MAX`].
pub fn encode_names(names: &[BlobId]) -> Result<Vec<u8>, DecodeError> {
    let bytes = names.iter().flat_map(|name| name.0).collect::<Vec<u8>>();
    NAMES.check(&bytes)?;
    Ok(bytes)
}

/// Reads what [`encode_names`] writes.
///
/// # Errors
/// A length that is no multiple of 32, or more than [`WITNESS_NAMES_MAX`] names.
pub fn decode_names(bytes: &[u8]) -> Result<Vec<BlobId>, DecodeError> {
    NAMES.check(bytes)?;
    let (names, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(DecodeError::Malformed { what: NAMES.what, why: "not whole names" });
    }
    Ok(names.iter().map(|name| BlobId(*name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            version: version::WIRE,
            chain_id: 31_337,
            registry: [5; 20],
            epoch: 2,
            address: "[2001:db8::7]:4001".parse().unwrap(),
            l1_head: 412,
        }
    }

    fn contacts(count: usize) -> Control {
        let address = "[2001:db8::7]:65535".parse().unwrap();
        Control::Contacts(vec![Contact { peer: [0xff; 32], address }; count])
    }

    #[test]
    fn control_frames_round_trip_up_to_the_largest() {
        for frame in [Control::Hello(hello()), contacts(0), contacts(CONTACTS_MAX)] {
            let bytes = frame.encode().unwrap();
            let (header, body) = bytes.split_at(2);
            assert_eq!(Control::body_len(header.try_into().unwrap()), Ok(body.len()));
            assert_eq!(Control::decode(body), Ok(frame));
        }
    }

    #[test]
    fn control_frames_over_a_limit_are_refused() {
        assert_eq!(contacts(CONTACTS_MAX + 1).encode().unwrap_err().code(), "WIR-002");
        let body = postcard::to_stdvec(&contacts(CONTACTS_MAX + 1)).unwrap();
        assert_eq!(Control::decode(&body).unwrap_err().code(), "WIR-002");
        assert_eq!(Control::body_len([0x04, 0x00]), Ok(1024));
        assert_eq!(Control::body_len([0x04, 0x01]).unwrap_err().code(), "WIR-001");
        let mut body = Control::Hello(hello()).encode().unwrap()[2..].to_vec();
        body.push(0);
        assert_eq!(Control::decode(&body).unwrap_err().code(), "WIR-003");
    }

    #[test]
    fn a_hello_of_another_network_is_named() {
        let domain = Domain::new(31_337, Address([5; 20]));
        assert_eq!(hello().check(&domain), Ok(()));
        assert_eq!(Hello { version: 0, ..hello() }.check(&domain), Err("another wire version"));
        assert_eq!(Hello { chain_id: 1, ..hello() }.check(&domain), Err("another chain"));
        assert_eq!(Hello { registry: [6; 20], ..hello() }.check(&domain), Err("another Registry"));
    }

    #[test]
    fn streams_are_told_apart_by_their_first_byte() {
        let all = [Stream::Control, Stream::Gossip, Stream::Get, Stream::Witnesses];
        let found = (0..=255).filter_map(Stream::from_byte).collect::<Vec<_>>();
        assert_eq!(found, all);
        assert!(all.iter().all(|it| Stream::from_byte(*it as u8) == Some(*it)));
        assert_eq!(encode_get(BlobId([7; 32]))[0], 0x10);
        assert_eq!(decode_id(&encode_witnesses(BlockId([8; 32]))[1..]), Ok([8; 32]));
        assert_eq!(decode_id(&[0; 31]).unwrap_err().code(), "WIR-002");
    }

    #[test]
    fn witness_names_round_trip_within_their_limit() {
        let names = |count: u8| (0..count).map(|it| BlobId([it; 32])).collect::<Vec<_>>();
        for count in [0, 1, 16] {
            let bytes = encode_names(&names(count)).unwrap();
            assert_eq!(decode_names(&bytes), Ok(names(count)));
        }
        assert_eq!(encode_names(&names(17)).unwrap_err().code(), "WIR-001");
        assert_eq!(decode_names(&[0; 17 * 32]).unwrap_err().code(), "WIR-001");
        assert_eq!(decode_names(&[0; 33]).unwrap_err().code(), "WIR-002");
    }
}
