//! One frame of the journal: length, checksum, sequence number, link to the frame before, kind.
//!
//! `len u32 | crc32c u32 | seq u64 | prev 16 bytes | kind u16 | schema u16 | payload`, big-endian.
//! The checksum covers everything but itself, so that a flipped length is found where it stands;
//! `prev` is the first half of the previous frame's BLAKE3, so that a removed, repeated or
//! exchanged frame breaks the chain even though its own checksum is right.

/// Bytes before the payload: 4 + 4 + 8 + 16 + 2 + 2.
pub(super) const HEAD_BYTES: usize = 36;
/// Longest payload. The largest entry is a revealed block: 16 txs of about 2 KiB each, once as
/// call data, once signed, so 256 KiB leaves room for three times that.
pub(super) const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// Half of a frame's BLAKE3: what the next frame names.
pub(super) type Link = [u8; 16];

/// What an entry is and how it is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kind {
    /// Which entry.
    pub kind: u16,
    /// Version of that entry's payload, from 1.
    pub schema: u16,
}

/// A place in the journal: the sequence number of a frame and its link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    /// Sequence number, from 1; 0 before the first frame.
    pub seq: u64,
    /// Link of that frame.
    pub link: Link,
}

impl Mark {
    /// Where an empty journal stands.
    pub(super) fn genesis() -> Self {
        Self { seq: 0, link: link_of(b"coppice.journal.v1") }
    }
}

/// A frame whose checksum is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame<'a> {
    /// Its sequence number and link.
    pub mark: Mark,
    /// Link of the frame before.
    pub prev: Link,
    /// What it holds.
    pub kind: Kind,
    /// The entry's bytes.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Length on disk.
    pub(super) const fn len(&self) -> usize {
        HEAD_BYTES + self.payload.len()
    }
}

fn link_of(bytes: &[u8]) -> Link {
    let mut link = Link::default();
    link.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    link
}

fn checksum(len: [u8; 4], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len), rest)
}

/// Appends the frame after `head` to `out` and returns where the journal then stands.
///
/// # Panics
/// If the payload is longer than [`PAYLOAD_BYTES_MAX`], which the entry's codec refuses.
pub(super) fn encode(out: &mut Vec<u8>, head: Mark, kind: Kind, payload: &[u8]) -> Mark {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "payload is bounded by the codec");
    let start = out.len();
    let seq = head.seq + 1;
    let len = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&len);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&head.link);
    out.extend_from_slice(&kind.kind.to_be_bytes());
    out.extend_from_slice(&kind.schema.to_be_bytes());
    out.extend_from_slice(payload);
    let crc = checksum(len, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
    Mark { seq, link: link_of(&out[start..]) }
}

/// The frame at the start of `bytes`, or `None` if none stands there whole.
pub(super) fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let payload_len = u32::from_be_bytes(*len) as usize;
    if payload_len > PAYLOAD_BYTES_MAX {
        return None;
    }
    let bytes = bytes.get(..HEAD_BYTES + payload_len)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if checksum(*len, &bytes[8..]) != u32::from_be_bytes(*crc) {
        return None;
    }
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (prev, rest) = rest.split_first_chunk::<16>()?;
    let (kind, rest) = rest.split_first_chunk::<2>()?;
    let (schema, _) = rest.split_first_chunk::<2>()?;
    Some(Frame {
        mark: Mark { seq: u64::from_be_bytes(*seq), link: link_of(bytes) },
        prev: *prev,
        kind: Kind { kind: u16::from_be_bytes(*kind), schema: u16::from_be_bytes(*schema) },
        payload: &bytes[HEAD_BYTES..],
    })
}

/// Whether a whole frame that is newer than `seq` stands anywhere in `bytes`.
///
/// It tells damage in the middle, where later frames were written and acknowledged, from a torn
/// tail. Only a sequence number that the remaining bytes could hold is checked further, which
/// keeps the search at one comparison a byte.
pub(super) fn any_later(bytes: &[u8], seq: u64) -> bool {
    let most = seq.saturating_add(1 + (bytes.len() / HEAD_BYTES) as u64);
    (0..bytes.len().saturating_sub(HEAD_BYTES - 1)).any(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at + 8..at + 16]);
        let found = u64::from_be_bytes(word);
        found > seq && found <= most && decode(&bytes[at..]).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { kind: 3, schema: 1 };

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        let mark = encode(&mut bytes, Mark::genesis(), KIND, b"payload");
        let frame = decode(&bytes).unwrap();
        assert_eq!(frame.mark, mark);
        assert_eq!((frame.prev, frame.kind), (Mark::genesis().link, KIND));
        assert_eq!((frame.payload, frame.len()), (&b"payload"[..], bytes.len()));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_passes() {
        let mut bytes = Vec::new();
        encode(&mut bytes, Mark::genesis(), KIND, b"payload");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "length {len}");
        }
    }

    #[test]
    fn a_later_frame_is_found_behind_any_rubbish() {
        let mut bytes = vec![0xab; 100];
        let mark = encode(&mut bytes, Mark { seq: 7, link: [9; 16] }, KIND, b"x");
        assert_eq!(mark.seq, 8);
        assert!(any_later(&bytes, 7));
        assert!(!any_later(&bytes, 8), "an old frame proves nothing");
        assert!(!any_later(&bytes[..bytes.len() - 1], 7));
        assert!(!any_later(&[], 0));
    }
}
