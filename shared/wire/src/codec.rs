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
}
