//! The state tree of an agent that derives witnesses, and the witnesses' form as blobs.
//!
//! The tree is a function of genesis and the revealed blocks: nothing of it is stored, it is
//! replayed from L1 at start. A block is applied when it is revealed and undone exactly when its
//! reveal leaves the chain. An agent that fetches witnesses needs none of this (slice section 4).

use std::collections::VecDeque;

use circuits::poseidon::{Fr, from_word, to_word};
use circuits::state::{Account, DEPTH, Opening, Tree, TxWitness, account_key, storage_key};
use circuits::tx::WitnessError;
use protocol::{BlobId, BlockId, Word};
use serde::{Deserialize, Serialize};

use super::data::{BlockData, Tx};
use super::execute::{Programs, TxFault, TxRun, circuit_tx, run_calls, run_tx, touched};
use super::mempool::Accounts;
use crate::error::Coded;

/// Blocks that can be undone: one per L1 block of the undo log at most.
pub(crate) const BLOCKS_UNDO_MAX: usize = 64;
/// Longest witness blob: 13 openings (account, 3 calls × 4 entries) of 30 words are 12,481 bytes.
pub(crate) const WITNESS_BYTES_MAX: usize = 16 * 1024;
/// Openings of one witness: the account and four entries of each of three calls.
pub(crate) const OPENINGS_MAX: usize = 13;

/// The state before the first block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Genesis {
    /// Accounts with what they hold.
    pub(crate) accounts: Vec<(Fr, Account)>,
    /// Program, slot, value.
    pub(crate) storage: Vec<(Fr, Fr, Fr)>,
}

/// Why a block is not applied or undone.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// Two genesis entries share a position.
    #[error("genesis: {0}; change a secret or a slot")]
    Genesis(WitnessError),
    /// A tx of the block does not run.
    #[error("tx {index}: {fault}")]
    Tx {
        /// Its place in the block.
        index: usize,
        /// Why.
        fault: TxFault,
    },
    /// Not the newest block, or too old.
    #[error("block {0} cannot be undone: it is not the newest of the last {BLOCKS_UNDO_MAX}")]
    Undo(BlockId),
}

impl StateError {
    /// Stable across releases.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Genesis(_) => "STA-001",
            Self::Tx { .. } => "BLK-001",
            Self::Undo(_) => "STA-002",
        }
    }
}

impl From<StateError> for Coded {
    fn from(error: StateError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Old values of the keys that were written, in the order of the writes.
type Writes = Vec<(Fr, Fr)>;

/// The whole state, with the last blocks' writes so that they can be undone.
#[derive(Clone, Debug)]
pub(crate) struct StateTree {
    tree: Tree,
    applied: VecDeque<(BlockId, Writes)>,
}

impl StateTree {
    /// The state before the first block.
    ///
    /// # Errors
    /// [`StateError::Genesis`] when two entries share a position of the tree.
    pub(crate) fn new(genesis: &Genesis) -> Result<Self, StateError> {
        let accounts = genesis.accounts.iter();
        let accounts = accounts.map(|(account, holds)| (account_key(*account), holds.word()));
        let storage = genesis.storage.iter();
        let storage = storage.map(|(program, slot, value)| (storage_key(*program, *slot), *value));
        let mut tree = Tree::new();
        accounts
            .chain(storage)
            .try_for_each(|(key, value)| tree.set(key, value))
            .map_err(StateError::Genesis)?;
        Ok(Self { tree, applied: VecDeque::new() })
    }

    /// The root after the newest block.
    pub(crate) fn root(&self) -> Word {
        to_word(self.tree.root())
    }

    /// The newest block, if one was applied and can be undone.
    pub(crate) fn newest(&self) -> Option<BlockId> {
        self.applied.back().map(|(block, _)| *block)
    }

    /// Runs a revealed block and keeps its end state; gives each tx's witness. A block that does
    /// not run changes nothing.
    ///
    /// # Errors
    /// [`StateError::Tx`] for the first tx that does not run.
    pub(crate) fn apply(
        &mut self,
        block: BlockId,
        data: &BlockData,
        programs: &Programs,
    ) -> Result<Vec<TxWitness>, StateError> {
        let mut writes = Writes::new();
        let mut witnesses = Vec::with_capacity(data.txs.len());
        for (index, tx) in data.txs.iter().enumerate() {
            match self.apply_tx(tx, programs, &mut writes) {
                Ok(witness) => witnesses.push(witness),
                Err(fault) => {
                    self.roll_back(writes);
                    return Err(StateError::Tx { index, fault });
                }
            }
        }
        self.applied.push_back((block, writes));
        if self.applied.len() > BLOCKS_UNDO_MAX {
            self.applied.pop_front();
        }
        Ok(witnesses)
    }

    /// The reveal of the newest block left the chain.
    ///
    /// # Errors
    /// [`StateError::Undo`] when it is not the newest one, or too old; nothing changes then.
    pub(crate) fn undo(&mut self, block: BlockId) -> Result<(), StateError> {
        if self.newest() != Some(block) {
            return Err(StateError::Undo(block));
        }
        let writes = self.applied.pop_back().map(|(_, writes)| writes).unwrap_or_default();
        self.roll_back(writes);
        Ok(())
    }

    /// A draft on top of this state; dropping it leaves the state as it was.
    pub(crate) fn draft<'a>(&'a mut self, programs: &'a Programs) -> StateDraft<'a> {
        StateDraft { state: self, programs, writes: Writes::new() }
    }

    /// Runs one tx through its own witness and writes what it wrote. A tx that does not run
    /// changes nothing.
    fn apply_tx(
        &mut self,
        tx: &Tx,
        programs: &Programs,
        writes: &mut Writes,
    ) -> Result<TxWitness, TxFault> {
        let inner = circuit_tx(tx);
        let calls = run_calls(&inner, programs, &mut |key| self.tree.get(key))?;
        let keys = touched(&inner, &calls);
        let witness = self.tree.witness(&keys).map_err(TxFault::Unfit)?;
        let run = run_tx(tx, self.tree.root(), &witness, programs)?;
        let before = writes.len();
        for (key, value) in values_after(&run) {
            match self.write(key, value) {
                Ok(old) => writes.push((key, old)),
                Err(error) => {
                    let own = writes.split_off(before);
                    self.roll_back(own);
                    return Err(TxFault::Unfit(error));
                }
            }
        }
        assert_eq!(self.tree.root(), run.end, "the tree and the witness' view take one way");
        Ok(witness)
    }

    fn write(&mut self, key: Fr, value: Fr) -> Result<Fr, WitnessError> {
        let old = self.tree.get(key)?;
        self.tree.set(key, value)?;
        Ok(old)
    }

    fn roll_back(&mut self, writes: Writes) {
        for (key, old) in writes.into_iter().rev() {
            let put_back = self.tree.set(key, old);
            assert_eq!(put_back, Ok(()), "a written key holds its position");
        }
    }
}

impl Accounts for StateTree {
    fn account(&self, account: &Word) -> Account {
        let value = from_word(account).map(|account| self.tree.get(account_key(account)));
        let value = value.and_then(Result::ok).unwrap_or(Fr::zero());
        Account::from_word(value).unwrap_or_default()
    }
}

/// Key and value of every write of a tx, in order: the account, then the logs.
fn values_after(run: &TxRun) -> Vec<(Fr, Fr)> {
    let account = run.openings.first().and_then(|it| Account::from_word(it.value));
    let paid = account.and_then(|account| account.pay(&run.tx).ok());
    let paid = paid.map(|account| (account_key(run.tx.account), account.word()));
    let accesses = run.calls.iter().flat_map(|call| &call.log);
    paid.into_iter().chain(accesses.map(|access| (access.key, access.new))).collect()
}

/// A block being made: txs applied to the state for as long as it lives.
#[derive(Debug)]
pub(crate) struct StateDraft<'a> {
    state: &'a mut StateTree,
    programs: &'a Programs,
    writes: Writes,
}

impl StateDraft<'_> {
    /// Runs one more tx on top of those before it. One that does not run changes nothing.
    ///
    /// # Errors
    /// Why it must not stand here.
    pub(crate) fn add(&mut self, tx: &Tx) -> Result<(), TxFault> {
        self.state.apply_tx(tx, self.programs, &mut self.writes).map(|_| ())
    }
}

impl Drop for StateDraft<'_> {
    fn drop(&mut self) {
        self.state.roll_back(std::mem::take(&mut self.writes));
    }
}

/// Root of the state before the first block: what `Slots` is deployed with.
///
/// # Errors
/// [`StateError::Genesis`] when two entries share a position of the tree.
pub(crate) fn genesis_root(genesis: &Genesis) -> Result<Word, StateError> {
    Ok(StateTree::new(genesis)?.root())
}

/// Why a blob is no witness.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// Too long.
    #[error("a witness of {0} bytes; at most {WITNESS_BYTES_MAX} are allowed")]
    Long(usize),
    /// Not the one encoding of a witness.
    #[error("the bytes are no witness")]
    Form,
    /// Too many openings.
    #[error("{0} openings in a witness; at most {OPENINGS_MAX} are allowed")]
    Openings(usize),
    /// A word that is not a field element.
    #[error("a word of the witness is not below the field's order")]
    Word,
}

impl BlobError {
    /// Stable across releases.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Long(_) => "WTN-001",
            Self::Form => "WTN-002",
            Self::Openings(_) => "WTN-003",
            Self::Word => "WTN-004",
        }
    }
}

impl From<BlobError> for Coded {
    fn from(error: BlobError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

#[derive(Serialize, Deserialize)]
struct OpeningBlob {
    key: Word,
    value: Word,
    siblings: [Word; DEPTH],
}

/// A witness as a blob: its bytes and their name.
///
/// # Panics
/// If it has more openings than a tx can touch, or a path of another length: [`StateTree`] makes
/// none.
pub(crate) fn encode_witness(witness: &TxWitness) -> (BlobId, Vec<u8>) {
    assert!(witness.openings.len() <= OPENINGS_MAX, "a tx touches at most {OPENINGS_MAX} keys");
    let opening = |it: &Opening| {
        assert_eq!(it.siblings.len(), DEPTH, "a path has one sibling per level");
        let siblings = core::array::from_fn(|level| to_word(it.siblings[level]));
        OpeningBlob { key: to_word(it.key), value: to_word(it.value), siblings }
    };
    let openings: Vec<_> = witness.openings.iter().map(opening).collect();
    let Ok(bytes) = postcard::to_stdvec(&openings) else {
        unreachable!("a list of byte arrays has an encoding");
    };
    (BlobId(*blake3::hash(&bytes).as_bytes()), bytes)
}

/// Reads a witness blob; its paths are checked by whoever plans with it.
///
/// # Errors
/// When the bytes are anything but the one encoding of a witness within its bounds.
pub(crate) fn decode_witness(bytes: &[u8]) -> Result<TxWitness, BlobError> {
    if bytes.len() > WITNESS_BYTES_MAX {
        return Err(BlobError::Long(bytes.len()));
    }
    let decoded = postcard::take_from_bytes::<Vec<OpeningBlob>>(bytes);
    let (openings, rest) = decoded.map_err(|_| BlobError::Form)?;
    if openings.len() > OPENINGS_MAX {
        return Err(BlobError::Openings(openings.len()));
    }
    let same = postcard::to_stdvec(&openings).is_ok_and(|again| again == bytes);
    if !rest.is_empty() || !same {
        return Err(BlobError::Form);
    }
    let openings: Option<Vec<_>> = openings.iter().map(read_opening).collect();
    openings.map(|openings| TxWitness { openings }).ok_or(BlobError::Word)
}

fn read_opening(blob: &OpeningBlob) -> Option<Opening> {
    let siblings = blob.siblings.iter().map(from_word).collect::<Option<_>>()?;
    Some(Opening { key: from_word(&blob.key)?, value: from_word(&blob.value)?, siblings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(openings: usize) -> TxWitness {
        let opening = |i: usize| {
            let siblings = (0..DEPTH).map(|level| Fr::from((i * 100 + level) as u64)).collect();
            Opening { key: Fr::from(i as u64), value: -Fr::one(), siblings }
        };
        TxWitness { openings: (0..openings).map(opening).collect() }
    }

    #[test]
    fn a_witness_blob_reads_back_and_the_largest_fits() {
        for openings in 0..=OPENINGS_MAX {
            let (name, bytes) = encode_witness(&witness(openings));
            assert_eq!(bytes.len(), 1 + openings * 30 * 32);
            assert!(bytes.len() <= WITNESS_BYTES_MAX);
            assert_eq!(decode_witness(&bytes), Ok(witness(openings)));
            assert_eq!(name.0, *blake3::hash(&bytes).as_bytes());
        }
    }

    #[test]
    fn a_blob_that_is_not_the_one_encoding_of_a_witness_is_refused() {
        let (_, bytes) = encode_witness(&witness(2));
        for length in 0..bytes.len() {
            assert_eq!(decode_witness(&bytes[..length]), Err(BlobError::Form), "{length}");
        }
        let with = |change: fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            decode_witness(&bytes)
        };
        assert_eq!(with(|it| it.push(0)), Err(BlobError::Form));
        assert_eq!(with(|it| it[1..33].fill(0xff)), Err(BlobError::Word));
        assert_eq!(with(|it| it[65..97].fill(0xff)), Err(BlobError::Word));
        // The same number of openings in two bytes.
        let longer = with(|it| {
            it[0] = 0x82;
            it.insert(1, 0);
        });
        assert_eq!(longer, Err(BlobError::Form));
        assert_eq!(with(|it| it.resize(16_385, 0)), Err(BlobError::Long(16_385)));
        let many = [vec![14], vec![0; 14 * 960]].concat();
        assert_eq!(decode_witness(&many), Err(BlobError::Openings(14)));
    }

    #[test]
    fn only_so_many_blocks_can_be_undone() {
        let programs = Programs::default();
        let mut state = StateTree::new(&Genesis::default()).unwrap();
        let block = |n: u8| BlockId([n; 32]);
        for n in 0..=BLOCKS_UNDO_MAX as u8 {
            state.apply(block(n), &BlockData { txs: vec![] }, &programs).unwrap();
        }
        for n in (1..=BLOCKS_UNDO_MAX as u8).rev() {
            state.undo(block(n)).unwrap();
        }
        assert_eq!(state.undo(block(0)), Err(StateError::Undo(block(0))));
    }

    #[test]
    fn two_genesis_entries_of_one_position_are_refused() {
        let key = |slot: u64| circuits::state::position(storage_key(Fr::one(), Fr::from(slot)));
        // Among 2^15 keys of 2^28 positions two meet with near certainty; the first pair is fixed.
        let mut seen = std::collections::BTreeMap::new();
        let pair = (0..1 << 16).find_map(|slot| seen.insert(key(slot), slot).map(|it| (it, slot)));
        let (a, b) = pair.unwrap();
        let entry = |slot: u64| (Fr::one(), Fr::from(slot), Fr::one());
        let genesis = Genesis { accounts: vec![], storage: vec![entry(a), entry(b)] };
        let refused = genesis_root(&genesis).unwrap_err();
        assert!(matches!(refused, StateError::Genesis(WitnessError::PositionTaken { .. })));
        assert_eq!(refused.code(), "STA-001");
    }
}
