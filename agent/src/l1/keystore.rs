//! Encrypted key files: Web3 secret storage, version 3, as other Ethereum software reads them.
//!
//! Reading is the client library's. Writing is ours, because the library's own writer makes the
//! passphrase 32 times cheaper to guess (scrypt with n = 8192) and creates the file readable for
//! everybody; here the caller decides where the text goes.

use std::path::Path;

use aes::Aes128;
use alloy::primitives::keccak256;
use alloy::signers::local::PrivateKeySigner;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use rand::RngCore as _;
use serde_json::json;
use zeroize::Zeroizing;

/// Binary logarithm of scrypt's n: 256 MB and about a second for each guess.
const COST_LOG2: u8 = 18;
/// scrypt's block size.
const BLOCK: u32 = 8;
/// Bytes of the derived key: 16 for the cipher, 16 for the checksum.
const KEY_BYTES: usize = 32;

/// Why a key file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeystoreError {
    /// Another passphrase, or a damaged file.
    #[error("it does not open: {0}")]
    Closed(String),
    /// The derivation failed.
    #[error("cannot derive a key: {0}")]
    Derive(String),
}

/// The text of a key file that holds `secret`.
///
/// # Errors
/// If the system has no memory for the derivation.
pub(crate) fn encrypt(
    secret: &[u8; KEY_BYTES],
    passphrase: &[u8],
) -> Result<String, KeystoreError> {
    encrypt_at(secret, passphrase, COST_LOG2)
}

fn encrypt_at(
    secret: &[u8; KEY_BYTES],
    passphrase: &[u8],
    cost_log2: u8,
) -> Result<String, KeystoreError> {
    let (mut salt, mut nonce, mut id) = ([0; 32], [0; 16], [0; 16]);
    for bytes in [&mut salt[..], &mut nonce, &mut id] {
        rand::rngs::OsRng.fill_bytes(bytes);
    }
    let key = derive(passphrase, &salt, cost_log2)?;
    let (cipher_key, check_key) = key.split_at(16);
    let mut text = *secret;
    Ctr128BE::<Aes128>::new(cipher_key.into(), &nonce.into()).apply_keystream(&mut text);
    let check = keccak256([check_key, &text].concat());
    let file = json!({
        "version": 3,
        "id": uuid(id),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": hex::encode(nonce) },
            "ciphertext": hex::encode(text),
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": KEY_BYTES,
                "n": 1_u32 << cost_log2,
                "r": BLOCK,
                "p": 1,
                "salt": hex::encode(salt),
            },
            "mac": hex::encode(check),
        },
    });
    Ok(file.to_string())
}

fn derive(
    passphrase: &[u8],
    salt: &[u8],
    cost_log2: u8,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeystoreError> {
    let error = |e: &dyn std::fmt::Display| KeystoreError::Derive(e.to_string());
    let params = scrypt::Params::new(cost_log2, BLOCK, 1).map_err(|e| error(&e))?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    scrypt::scrypt(passphrase, salt, &params, &mut *key).map_err(|e| error(&e))?;
    Ok(key)
}

/// A random identifier in the form of RFC 4122, version 4.
fn uuid(mut id: [u8; 16]) -> String {
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let text = hex::encode(id);
    let (a, b, c, d) = (&text[..8], &text[8..12], &text[12..16], &text[16..20]);
    format!("{a}-{b}-{c}-{d}-{}", &text[20..])
}

/// The secret in a key file; any derivation that the standard knows.
///
/// # Errors
/// [`KeystoreError::Closed`] for a wrong passphrase and for everything that is no key file.
pub(crate) fn decrypt(
    path: &Path,
    passphrase: &[u8],
) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeystoreError> {
    let signer = PrivateKeySigner::decrypt_keystore(path, passphrase)
        .map_err(|error| KeystoreError::Closed(error.to_string()))?;
    Ok(Zeroizing::new(signer.to_bytes().0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_client_library_reads_what_we_write_and_only_with_the_passphrase() {
        let file = written(&encrypt_at(&[7; 32], b"a long passphrase", 12).unwrap());
        assert_eq!(*decrypt(file.path(), b"a long passphrase").unwrap(), [7; 32]);
        assert!(decrypt(file.path(), b"another passphrase").is_err());
    }

    #[test]
    fn a_damaged_file_does_not_open() {
        let text = encrypt_at(&[7; 32], b"pass", 4).unwrap();
        for damaged in [text.replace("\"mac\":\"", "\"mac\":\"00"), text[..200].to_owned()] {
            assert!(decrypt(written(&damaged).path(), b"pass").is_err());
        }
    }

    #[test]
    fn no_two_files_of_one_secret_look_alike_and_none_shows_it() {
        let [a, b] = [0, 1].map(|_| encrypt_at(&[7; 32], b"pass", 4).unwrap());
        assert_ne!(a, b);
        assert!(!a.contains(&hex::encode([7; 8])));
        assert_eq!(COST_LOG2, 18, "n = 262144");
    }
}
