//! Strict postcard: one content has one encoding.
//!
//! Postcard alone accepts overlong integers and ignores what follows a value. Both would let the
//! same content travel under several byte strings, so decoding encodes again and compares.

use serde::{Serialize, de::DeserializeOwned};

use crate::error::DecodeError;

/// A kind of content: its name in errors and its greatest length in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) max: usize,
}

impl Limit {
    /// Refuses what is too long, before it is looked at.
    pub(crate) const fn check(self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.len() > self.max {
            return Err(DecodeError::TooLong { what: self.what, len: bytes.len(), max: self.max });
        }
        Ok(())
    }
}

/// Encodes `value`; refuses a result over the limit, so that we never send what peers must refuse.
pub(crate) fn encode<T: Serialize>(value: &T, limit: Limit) -> Result<Vec<u8>, DecodeError> {
    let bytes = postcard::to_stdvec(value)
        .map_err(|_| DecodeError::Malformed { what: limit.what, why: "it cannot be encoded" })?;
    limit.check(&bytes)?;
    Ok(bytes)
}

/// Decodes exactly the bytes that [`encode`] makes, and no others.
pub(crate) fn decode<T>(bytes: &[u8], limit: Limit) -> Result<T, DecodeError>
where
    T: Serialize + DeserializeOwned,
{
    limit.check(bytes)?;
    let value: T = postcard::from_bytes(bytes)
        .map_err(|_| DecodeError::Malformed { what: limit.what, why: "not this layout" })?;
    if encode(&value, limit)? != bytes {
        return Err(DecodeError::NotCanonical { what: limit.what });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { what: "pair", max: 8 };

    #[test]
    fn only_the_shortest_form_without_a_tail_is_decoded() {
        let pair = (1u64, 300u64);
        let bytes = encode(&pair, LIMIT).unwrap();
        assert_eq!(decode::<(u64, u64)>(&bytes, LIMIT), Ok(pair));

        let tail = [bytes.as_slice(), &[0]].concat();
        let overlong = [0x81, 0x00, 0xac, 0x02];
        for bad in [tail.as_slice(), &overlong] {
            let refused = decode::<(u64, u64)>(bad, LIMIT);
            assert_eq!(refused, Err(DecodeError::NotCanonical { what: "pair" }), "{bad:?}");
        }
    }

    #[test]
    fn the_limit_holds_in_both_directions() {
        let long = vec![7u8; 8];
        let over = |len| DecodeError::TooLong { what: "pair", len, max: 8 };
        assert_eq!(encode(&long, LIMIT), Err(over(9)));
        assert_eq!(decode::<Vec<u8>>(&[0; 9], LIMIT), Err(over(9)));
    }

    /// A few bytes of `seed` changed, added or cut off, from a small generator (xorshift).
    fn spoil(seed: &[u8], state: &mut u64) -> Vec<u8> {
        let mut next = |below: usize| {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            (*state % below as u64) as usize
        };
        let mut bytes = seed.to_vec();
        for _ in 0..=next(3) {
            let place = next(bytes.len().max(1));
            match next(4) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, next(256) as u8),
                _ if !bytes.is_empty() => bytes[place] = next(256) as u8,
                _ => {}
            }
        }
        bytes
    }

    #[test]
    fn whatever_is_decoded_is_the_encoding_of_its_content_and_nothing_panics() {
        use crate::{Control, Domain, Hello, ProofBlob, Signed, Signer};
        use protocol::{Address, Credit, Kind, LaneId, Message, Node, Slot, StatementId};

        let held =
            Message::Held { statement: StatementId([3; 32]), lane: LaneId(1), slot: Slot(300) };
        let advert =
            Message::Advert { lane: LaneId(1), slot: Slot(3), set: [5; 32], n: 900, able: false };
        let domain = Domain::new(1, Address([1; 20]));
        let signer = Signer::new(&[1; 32]).unwrap();
        let signed = [held, advert].map(|it| signer.sign(&domain, it).encode().unwrap());
        let credit = Credit {
            kind: 5,
            own: 209,
            total: 900,
            payee: Address([2; 20]),
            left: [1; 32],
            right: [2; 32],
        };
        let node = Node { kind: Kind::Root, level: 0, index: 0, call: 0 };
        let instances = vec![[4; 32]; 3];
        let blob = ProofBlob { set: [1; 32], node, instances, proof: vec![9; 50], credit };
        let blob = blob.encode().unwrap();
        let address = "192.0.2.1:4001".parse().unwrap();
        let hello =
            Hello { version: 1, chain_id: 5, registry: [6; 20], epoch: 7, address, l1_head: 8 };
        let hello = Control::Hello(hello).encode().unwrap();

        let (mut state, mut decoded) = (0x9e37_79b9_7f4a_7c15, 0);
        for round in 0..20_000 {
            let bytes = spoil(&signed[round % 2], &mut state);
            if let Ok(signed) = Signed::decode(&bytes) {
                assert_eq!(signed.encode().unwrap(), bytes);
                decoded += 1;
            }
            let bytes = spoil(&blob, &mut state);
            if let Ok(blob) = ProofBlob::decode(&bytes) {
                assert_eq!(blob.encode().unwrap(), bytes);
                decoded += 1;
            }
            let bytes = spoil(&hello[2..], &mut state);
            if let Ok(frame) = Control::decode(&bytes) {
                assert_eq!(frame.encode().unwrap()[2..], bytes);
                decoded += 1;
            }
        }
        assert!((1_000..59_000).contains(&decoded), "{decoded} of 60,000 were decoded");
    }
}
