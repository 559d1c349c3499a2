//! The root key beside the code, not in it.
//!
//! Circuit sets of one family differ in their keys alone, and so do their verifiers: in the
//! transcript's first word and the commitments of the root's key. Those words are taken
//! out of the generated source and copied from the code's end when the contract runs. So one
//! compiled code serves every set of the family, each with its own words behind it, and a network
//! can change over (R13) without a compiler.

use super::VerifyingKeys;
use halo2_base::{
    halo2_proofs::halo2curves::bn256::{Fq, Fr},
    utils::fe_to_biguint,
};
use protocol::{Kind, Word};

/// Bytes of a word.
const WORD: usize = 32;

/// One word of the key, and how the generator may write it.
struct KeyWord {
    bytes: Word,
    decimal: String,
}

/// The words of the root key in the order in which they stand behind the code.
fn words(keys: &VerifyingKeys) -> Vec<KeyWord> {
    let coordinates = keys.protocol(Kind::Root).preprocessed.iter().flat_map(|it| [it.x, it.y]);
    let numbers = coordinates.map(|it: Fq| fe_to_biguint(&it));
    let first = fe_to_biguint::<Fr>(&keys.digest(Kind::Root));
    std::iter::once(first)
        .chain(numbers)
        .map(|number| {
            let mut bytes = [0; WORD];
            let digits = number.to_bytes_be();
            bytes[WORD - digits.len()..].copy_from_slice(&digits);
            KeyWord { bytes, decimal: number.to_string() }
        })
        .collect()
}

/// What stands behind the verifier's code: the root key of this circuit set, in words.
#[must_use]
pub fn key_data(keys: &VerifyingKeys) -> Vec<u8> {
    words(keys).iter().flat_map(|word| word.bytes).collect()
}

/// The source with every store of a key's word replaced by a copy from behind the code.
///
/// # Errors
/// If a word of the key is stored nowhere: it would be in the code in another form.
pub(super) fn lift(source: &str, keys: &VerifyingKeys) -> Result<String, String> {
    let words = words(keys);
    let mut found = vec![false; words.len()];
    let mut out: Vec<String> = Vec::new();
    // Address, number of the first word, and how many: words that are stored one after the other.
    let mut copy: Option<(usize, usize, usize)> = None;
    for line in source.lines() {
        let stored = stored(line, &words);
        if let Some((_, word)) = stored {
            found[word] = true;
        }
        copy = match (copy, stored) {
            (Some((at, first, count)), Some((to, word)))
                if to == at + count * WORD && word == first + count =>
            {
                Some((at, first, count + 1))
            }
            (before, after) => {
                out.extend(before.map(|it| copied(it, words.len())));
                after.map(|(to, word)| (to, word, 1))
            }
        };
        if stored.is_none() {
            out.push(line.to_owned());
        }
    }
    match found.iter().position(|found| !found) {
        Some(word) => Err(format!("word {word} of the root key is not stored as it is")),
        None => Ok(out.join("\n") + "\n"),
    }
}

/// Where a line stores which word, if it does nothing else.
fn stored(line: &str, words: &[KeyWord]) -> Option<(usize, usize)> {
    let inner = line.trim().strip_prefix("mstore(0x")?.strip_suffix(')')?;
    let (to, number) = inner.split_once(", ")?;
    let is = |word: &KeyWord| {
        let hex = number.strip_prefix("0x").map(|it| it == hex::encode(word.bytes));
        hex.unwrap_or(number == word.decimal)
    };
    let word = words.iter().position(is)?;
    Some((usize::from_str_radix(to, 16).ok()?, word))
}

fn copied((to, first, count): (usize, usize, usize), of: usize) -> String {
    let (back, length) = ((of - first) * WORD, count * WORD);
    format!("codecopy(0x{to:x}, sub(codesize(), 0x{back:x}), 0x{length:x})")
}
