//! Proofs and work as bytes between processes of one machine.
//!
//! These are not wire formats: a proof travels as the wire's blob, and this never leaves a pipe.

use super::{Proof, Work};
use crate::{credit::Record, poseidon::to_word};
use bincode::Options as _;
use protocol::{Address, Credit};
use serde::{Serialize, de::DeserializeOwned};

/// Longest encoding: two child proofs of at most 32 KiB and a witness of 16 KiB, ten times over.
const BYTES_MAX: u64 = 1024 * 1024;

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("bytes between processes do not decode: {0}")]
pub struct CodecError(String);

impl CodecError {
    /// Stable code for operators.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "PRV-006"
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let options = bincode::options().with_limit(BYTES_MAX);
    options.serialize(value).map_err(|error| CodecError(error.to_string()))
}

/// Refuses bytes left over, as the options of the library do by themselves.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let options = bincode::options().with_limit(BYTES_MAX);
    options.deserialize(bytes).map_err(|error| CodecError(error.to_string()))
}

impl Work {
    /// Its bytes, for the proving process.
    ///
    /// # Errors
    /// If it is longer than a megabyte.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        encode(self)
    }

    /// Reads what [`Work::encode`] writes.
    ///
    /// # Errors
    /// For all other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        decode(bytes)
    }
}

impl Proof {
    /// Its bytes, for whoever asked for the proof.
    ///
    /// # Errors
    /// If it is longer than a megabyte.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        encode(self)
    }

    /// Reads what [`Proof::encode`] writes. Nothing is accepted by it.
    ///
    /// # Errors
    /// For all other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        decode(bytes)
    }
}

impl Record {
    /// The record as the protocol knows it.
    #[must_use]
    pub fn credit(&self) -> Credit {
        let mut payee = [0; 20];
        payee.copy_from_slice(&to_word(self.payee)[12..]);
        Credit {
            kind: self.kind,
            own: self.own,
            total: self.total,
            payee: Address(payee),
            left: to_word(self.left),
            right: to_word(self.right),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        poseidon::Fr,
        tx::{Tx, TxInput},
    };

    #[test]
    fn work_survives_the_pipe_and_a_byte_more_does_not() {
        let tx = Tx { account: Fr::one(), nonce: 1, fee: 2, expiry: 3, calls: Vec::new() };
        let work = Work::Tx(TxInput { secret: Fr::from(7), domain: Fr::from(8), tx });
        let mut bytes = work.encode().unwrap();
        assert!(Work::decode(&bytes).unwrap() == work);
        bytes.push(0);
        assert!(Work::decode(&bytes).is_err());
        assert!(Work::decode(&[]).is_err());
    }

    #[test]
    fn a_record_keeps_its_payee() {
        let record = Record {
            kind: 3,
            own: 5,
            total: 9,
            payee: Fr::from(0x0102_0304),
            left: Fr::one(),
            right: Fr::zero(),
        };
        let credit = record.credit();
        assert_eq!(credit.payee.0[16..], [1, 2, 3, 4]);
        assert_eq!(Record::from_credit(&credit).unwrap(), record);
    }
}
