//! The codec of a block's revealed `data` and of one tx in it (slice section 3).
//!
//! These bytes are L1 calldata: whoever wins a slot writes what it likes, so decoding is strict.
//! One meaning has one encoding here except for trailing zero arguments (which a call's hash
//! treats as missing), and nothing is left over: the block id is keccak of the bytes, and two
//! encodings of one block would be two blocks.

use protocol::assign::keccak::keccak256;
use protocol::{BlockId, Hash, Word};
use wire::blob::is_field_word;

/// First byte of every block's data; another layout takes another number.
pub(crate) const VERSION: u8 = 1;
/// Txs of one block: L1 refuses more at the reveal.
pub(crate) const TXS_MAX: usize = 16;
/// Public calls of one tx: what a `base` proof can replay.
pub(crate) const CALLS_MAX: usize = 3;
/// Arguments of one call.
pub(crate) const ARGS_MAX: usize = 4;
/// Bytes of a block's data before its first tx: version and number of txs.
pub(crate) const HEADER_BYTES: usize = 3;
/// Longest tx without its proof: account, nonce, fee, expiry, number of calls, and three calls of
/// a program, a number of arguments and four arguments: 57 + 3 × (32 + 1 + 128) = 540.
pub(crate) const FIELDS_BYTES_MAX: usize = 32 + 3 * 8 + 1 + CALLS_MAX * (32 + 1 + ARGS_MAX * 32);

/// Why bytes are not a block or a tx.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// The first byte is another layout's.
    #[error("data version {0} is unknown; this agent reads version {VERSION}: update it")]
    Version(u8),
    /// No tx, or too many.
    #[error("{0} txs in a block; between 1 and {TXS_MAX} are allowed")]
    Txs(u16),
    /// Too many calls in one tx.
    #[error("{0} calls in a tx; at most {CALLS_MAX} are allowed")]
    Calls(usize),
    /// Too many arguments in one call.
    #[error("{0} arguments in a call; at most {ARGS_MAX} are allowed")]
    Args(usize),
    /// Bytes ran out.
    #[error("data ends {missing} bytes early at byte {at}")]
    Short {
        /// Where the missing field starts.
        at: usize,
        /// How many bytes it lacks.
        missing: usize,
    },
    /// Bytes left over.
    #[error("{0} bytes are left over after the last field")]
    Left(usize),
    /// A word that is not a field element.
    #[error("the word at byte {0} is not below the field's order")]
    Word(usize),
    /// A tx to be encoded whose proof has another length.
    #[error("a tx proof has {found} bytes; it must have {wanted}")]
    Proof {
        /// Bytes of the given proof.
        found: usize,
        /// Bytes of every tx proof.
        wanted: usize,
    },
}

impl DataError {
    /// Stable across releases: operators and clients match on it.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Version(_) => "DAT-001",
            Self::Txs(_) => "DAT-002",
            Self::Calls(_) => "DAT-003",
            Self::Args(_) => "DAT-004",
            Self::Short { .. } => "DAT-005",
            Self::Left(_) => "DAT-006",
            Self::Word(_) => "DAT-007",
            Self::Proof { .. } => "DAT-008",
        }
    }
}

/// One public call: which program, with which arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// Hash of the program.
    pub(crate) program: Word,
    /// At most [`ARGS_MAX`]; missing ones are zero.
    pub(crate) args: Vec<Word>,
}

impl Call {
    /// The four argument words, missing ones zero.
    pub(crate) fn args_padded(&self) -> [Word; ARGS_MAX] {
        core::array::from_fn(|i| self.args.get(i).copied().unwrap_or_default())
    }
}

/// One tx with the proof that its account's owner made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tx {
    /// P(1; secret, domain).
    pub(crate) account: Word,
    /// The account's nonce before this tx.
    pub(crate) nonce: u64,
    /// Taken from the account's balance.
    pub(crate) fee: u64,
    /// Last slot in which it may be revealed.
    pub(crate) expiry: u64,
    /// At most [`CALLS_MAX`], in order.
    pub(crate) calls: Vec<Call>,
    /// Proof of kind `tx`; its instances follow from the fields above.
    pub(crate) proof: Vec<u8>,
}

/// A block's txs, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BlockData {
    /// Between 1 and [`TXS_MAX`].
    pub(crate) txs: Vec<Tx>,
}

/// Most bytes of a block's data with tx proofs of `proof_bytes`.
pub(crate) const fn data_bytes_max(proof_bytes: usize) -> usize {
    HEADER_BYTES + TXS_MAX * (FIELDS_BYTES_MAX + proof_bytes)
}

/// Name of a block: keccak of its data.
pub(crate) fn block_id(data: &[u8]) -> BlockId {
    BlockId(keccak256(&[data]).0)
}

/// What a proposal commits to (R2.3): keccak(block id ‖ txs ‖ parent ‖ salt).
pub(crate) fn commitment(block: BlockId, txs: &Word, parent: BlockId, salt: &[u8; 32]) -> Hash {
    keccak256(&[&block.0, txs, &parent.0, salt])
}

impl BlockData {
    /// The bytes that L1 is given.
    ///
    /// # Errors
    /// When a number or a proof's length is out of its bounds, or a word is no field element.
    pub(crate) fn encode(&self, proof_bytes: usize) -> Result<Vec<u8>, DataError> {
        let count = u16::try_from(self.txs.len()).unwrap_or(u16::MAX);
        check_count(count)?;
        let mut out = vec![VERSION];
        out.extend(count.to_be_bytes());
        self.txs.iter().try_for_each(|tx| tx.write(proof_bytes, &mut out))?;
        assert!(out.len() <= data_bytes_max(proof_bytes), "bounded fields make bounded data");
        Ok(out)
    }

    /// Reads a block's data whole; `proof_bytes` is the exact length of every tx proof.
    ///
    /// # Errors
    /// When the bytes are anything but the one encoding of a block.
    pub(crate) fn decode(data: &[u8], proof_bytes: usize) -> Result<Self, DataError> {
        let mut from = Reader { data, at: 0 };
        let version = from.byte()?;
        if version != VERSION {
            return Err(DataError::Version(version));
        }
        let count = u16::from_be_bytes(from.take()?);
        check_count(count)?;
        let txs = (0..count).map(|_| Tx::read(&mut from, proof_bytes)).collect::<Result<_, _>>()?;
        from.finish()?;
        Ok(Self { txs })
    }
}

impl Tx {
    /// The tx as it stands in a block's data and in a client's submission.
    ///
    /// # Errors
    /// When a number or the proof's length is out of its bounds, or a word is no field element.
    pub(crate) fn encode(&self, proof_bytes: usize) -> Result<Vec<u8>, DataError> {
        let mut out = Vec::new();
        self.write(proof_bytes, &mut out)?;
        Ok(out)
    }

    /// Reads one tx that stands alone.
    ///
    /// # Errors
    /// When the bytes are anything but the one encoding of a tx.
    pub(crate) fn decode(bytes: &[u8], proof_bytes: usize) -> Result<Self, DataError> {
        let mut from = Reader { data: bytes, at: 0 };
        let tx = Self::read(&mut from, proof_bytes)?;
        from.finish()?;
        Ok(tx)
    }

    fn write(&self, proof_bytes: usize, out: &mut Vec<u8>) -> Result<(), DataError> {
        if self.proof.len() != proof_bytes {
            return Err(DataError::Proof { found: self.proof.len(), wanted: proof_bytes });
        }
        write_word(&self.account, out)?;
        for number in [self.nonce, self.fee, self.expiry] {
            out.extend(number.to_be_bytes());
        }
        out.push(count_byte(self.calls.len(), CALLS_MAX).map_err(DataError::Calls)?);
        for call in &self.calls {
            write_word(&call.program, out)?;
            out.push(count_byte(call.args.len(), ARGS_MAX).map_err(DataError::Args)?);
            call.args.iter().try_for_each(|arg| write_word(arg, out))?;
        }
        out.extend(&self.proof);
        Ok(())
    }

    fn read(from: &mut Reader<'_>, proof_bytes: usize) -> Result<Self, DataError> {
        let account = from.word()?;
        let [nonce, fee, expiry] = [from.number()?, from.number()?, from.number()?];
        let calls = usize::from(from.byte()?);
        if calls > CALLS_MAX {
            return Err(DataError::Calls(calls));
        }
        let calls = (0..calls).map(|_| Call::read(from)).collect::<Result<_, _>>()?;
        let proof = from.bytes(proof_bytes)?.to_vec();
        Ok(Self { account, nonce, fee, expiry, calls, proof })
    }
}

impl Call {
    fn read(from: &mut Reader<'_>) -> Result<Self, DataError> {
        let program = from.word()?;
        let args = usize::from(from.byte()?);
        if args > ARGS_MAX {
            return Err(DataError::Args(args));
        }
        let args = (0..args).map(|_| from.word()).collect::<Result<_, _>>()?;
        Ok(Self { program, args })
    }
}

fn check_count(count: u16) -> Result<(), DataError> {
    let fits = (1..=TXS_MAX).contains(&usize::from(count));
    if fits { Ok(()) } else { Err(DataError::Txs(count)) }
}

fn count_byte(count: usize, max: usize) -> Result<u8, usize> {
    u8::try_from(count).ok().filter(|_| count <= max).ok_or(count)
}

fn write_word(word: &Word, out: &mut Vec<u8>) -> Result<(), DataError> {
    if !is_field_word(word) {
        return Err(DataError::Word(out.len()));
    }
    out.extend(word);
    Ok(())
}

/// What is left to read, and where it stands in the whole.
struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], DataError> {
        let left = self.data.len() - self.at;
        if left < count {
            return Err(DataError::Short { at: self.at, missing: count - left });
        }
        let taken = &self.data[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DataError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, DataError> {
        Ok(u8::from_be_bytes(self.take()?))
    }

    fn number(&mut self) -> Result<u64, DataError> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    fn word(&mut self) -> Result<Word, DataError> {
        let at = self.at;
        let word = self.take()?;
        if is_field_word(&word) { Ok(word) } else { Err(DataError::Word(at)) }
    }

    fn finish(self) -> Result<(), DataError> {
        match self.data.len() - self.at {
            0 => Ok(()),
            left => Err(DataError::Left(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROOF: usize = 7;

    /// The order of BN254's scalar field, big-endian: a field word is below it.
    const ORDER: Word = [
        0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58,
        0x5d, 0x28, 0x33, 0xe8, 0x48, 0x79, 0xb9, 0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00,
        0x00, 0x01,
    ];

    fn word(last: u8) -> Word {
        let mut word = [0; 32];
        word[31] = last;
        word
    }

    fn block() -> BlockData {
        let call = |args: u8| Call { program: word(9), args: (0..args).map(word).collect() };
        let tx = |nonce, calls| Tx {
            account: word(1),
            nonce,
            fee: 3,
            expiry: 4,
            calls,
            proof: vec![0xab; PROOF],
        };
        BlockData { txs: vec![tx(5, vec![]), tx(6, vec![call(0), call(4), call(1)])] }
    }

    /// The block's bytes after one change must be refused for this reason.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<u8>), wanted: DataError) {
        let mut data = block().encode(PROOF).unwrap();
        change(&mut data);
        assert_eq!(BlockData::decode(&data, PROOF), Err(wanted));
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_block() {
        let data = block().encode(PROOF).unwrap();
        assert_eq!(data.len(), 3 + 2 * (57 + PROOF) + 3 * 33 + 5 * 32);
        assert_eq!(BlockData::decode(&data, PROOF), Ok(block()));
    }

    #[test]
    fn a_tx_alone_has_the_bytes_it_has_in_a_block() {
        let data = block().encode(PROOF).unwrap();
        let [first, second] = [0, 1].map(|i| block().txs[i].encode(PROOF).unwrap());
        assert_eq!(data[HEADER_BYTES..], [first.clone(), second.clone()].concat());
        assert_eq!(Tx::decode(&second, PROOF).as_ref(), Ok(&block().txs[1]));
        let longer = [first, vec![0]].concat();
        assert_eq!(Tx::decode(&longer, PROOF), Err(DataError::Left(1)));
    }

    #[test]
    fn every_malformed_block_is_refused_with_its_reason() {
        check(|data| data[0] = 2, DataError::Version(2));
        check(|data| data[2] = 0, DataError::Txs(0));
        check(|data| data[1] = 1, DataError::Txs(0x0102));
        check(|data| data[2] = 17, DataError::Txs(17));
        check(|data| data[2] = 1, DataError::Left(323));
        check(|data| data[3..35].copy_from_slice(&ORDER), DataError::Word(3));
        check(|data| data[3 + 56] = 4, DataError::Calls(4));
        // The second tx starts at 3 + 57 + 7; its first call's argument count is 57 + 32 later.
        check(|data| data[67 + 57 + 32] = 5, DataError::Args(5));
        check(|data| data.push(0), DataError::Left(1));
    }

    #[test]
    fn data_cut_short_anywhere_is_refused() {
        let data = block().encode(PROOF).unwrap();
        for length in 0..data.len() {
            let cut = BlockData::decode(&data[..length], PROOF);
            assert!(matches!(cut, Err(DataError::Short { .. })), "{length}: {cut:?}");
        }
    }

    #[test]
    fn what_could_not_be_decoded_is_not_encoded() {
        let with = |change: fn(&mut BlockData)| {
            let mut block = block();
            change(&mut block);
            block.encode(PROOF)
        };
        assert_eq!(with(|b| b.txs.clear()), Err(DataError::Txs(0)));
        assert_eq!(with(|b| b.txs = vec![b.txs[0].clone(); 17]), Err(DataError::Txs(17)));
        let calls = with(|b| b.txs[1].calls = vec![b.txs[1].calls[0].clone(); 4]);
        assert_eq!(calls, Err(DataError::Calls(4)));
        assert_eq!(with(|b| b.txs[1].calls[0].args = vec![[0; 32]; 5]), Err(DataError::Args(5)));
        assert_eq!(with(|b| b.txs[0].account = ORDER), Err(DataError::Word(3)));
        let proof = with(|b| b.txs[0].proof.clear());
        assert_eq!(proof, Err(DataError::Proof { found: 0, wanted: PROOF }));
    }

    #[test]
    fn the_largest_block_has_exactly_the_largest_size() {
        let call = Call { program: word(9), args: vec![word(1); ARGS_MAX] };
        let mut tx = block().txs[1].clone();
        tx.calls = vec![call; CALLS_MAX];
        let data = BlockData { txs: vec![tx; TXS_MAX] }.encode(PROOF).unwrap();
        assert_eq!(data.len(), data_bytes_max(PROOF));
    }

    #[test]
    fn the_commitment_depends_on_each_of_its_four_parts() {
        let base = commitment(BlockId(word(1)), &word(2), BlockId(word(3)), &word(4));
        let others = [
            commitment(BlockId(word(9)), &word(2), BlockId(word(3)), &word(4)),
            commitment(BlockId(word(1)), &word(9), BlockId(word(3)), &word(4)),
            commitment(BlockId(word(1)), &word(2), BlockId(word(9)), &word(4)),
            commitment(BlockId(word(1)), &word(2), BlockId(word(3)), &word(9)),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    #[test]
    fn codes_are_distinct() {
        let all = [
            DataError::Version(0).code(),
            DataError::Txs(0).code(),
            DataError::Calls(0).code(),
            DataError::Args(0).code(),
            DataError::Short { at: 0, missing: 0 }.code(),
            DataError::Left(0).code(),
            DataError::Word(0).code(),
            DataError::Proof { found: 0, wanted: 0 }.code(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
