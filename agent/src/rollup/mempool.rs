//! Txs that wait for a block, in the sequencer's memory (slice section 3).
//!
//! A tx enters only with a proof that was accepted: every prover checks the proofs of a revealed
//! block before it works on it, so one bad tx would cost its sequencer the whole block. What a
//! block takes is remembered until the block is old, because a lapsed or undone block gives its
//! txs back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use circuits::state::Account;
use protocol::{BlockId, Slot, Word};

use super::data::{DataError, TXS_MAX, Tx};

/// Txs that wait at most: with a proof of 2 kB each, about 10 MB.
pub(crate) const WAITING_MAX: usize = 4_096;
/// How far a tx's nonce may be ahead of its account: one block's worth, so that one account
/// cannot fill the pool.
pub(crate) const NONCES_AHEAD_MAX: u64 = TXS_MAX as u64;
/// Smallest fee: accounts that nobody funded could fill the pool with free txs.
pub(crate) const FEE_MIN: u64 = 1;
/// Blocks whose txs are remembered: as many L1 blocks as can be undone.
pub(crate) const BLOCKS_MAX: usize = 64;

/// Reads accounts from the state after the newest revealed block.
pub(crate) trait Accounts {
    /// The account; nonce and balance are 0 if nobody funded it.
    fn account(&self, account: &Word) -> Account;
}

/// Native acceptance of a tx's proof; the reason says which rule refused it.
pub(crate) trait TxCheck {
    /// The circuit set under which the proof says what the tx's fields say.
    ///
    /// # Errors
    /// The reason of the refusal, for the client.
    fn check(&self, tx: &Tx) -> Result<Word, String>;
}

/// Why a client's tx was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    /// Not hex.
    #[error("the tx is not hex without 0x: {0}")]
    Hex(String),
    /// Not a tx.
    #[error("the bytes are no tx: {0}")]
    Data(#[from] DataError),
    /// Expired.
    #[error("the tx expires with slot {expiry}; the next block is of slot {slot}")]
    Expired {
        /// The tx's last slot.
        expiry: u64,
        /// The slot that is built next.
        slot: u64,
    },
    /// The nonce was used.
    #[error("nonce {nonce} is used; the account's next is {next}")]
    Used {
        /// The tx's.
        nonce: u64,
        /// The account's.
        next: u64,
    },
    /// Too far ahead.
    #[error("nonce {nonce} is over {NONCES_AHEAD_MAX} ahead of the account's next, {next}")]
    Ahead {
        /// The tx's.
        nonce: u64,
        /// The account's.
        next: u64,
    },
    /// Free.
    #[error("the fee of {0} is below the smallest fee of {FEE_MIN}")]
    Fee(u64),
    /// Cannot pay.
    #[error("the fee of {fee} is above the account's balance of {balance}")]
    Balance {
        /// The tx's fee.
        fee: u64,
        /// The account's balance; 0 if there is no such account.
        balance: u64,
    },
    /// One per account and nonce.
    #[error("a tx of this account with nonce {0} is waiting; its fee must be outbid")]
    Double(u64),
    /// Full.
    #[error("{WAITING_MAX} txs are waiting, which is the most; send it again after a block")]
    Full,
    /// Bad proof.
    #[error("the tx's proof is refused: {0}")]
    Proof(String),
}

impl SubmitError {
    /// Stable across releases: clients match on it.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Hex(_) => "MEM-001",
            Self::Data(error) => error.code(),
            Self::Expired { .. } => "MEM-002",
            Self::Used { .. } => "MEM-003",
            Self::Ahead { .. } => "MEM-004",
            Self::Balance { .. } => "MEM-005",
            Self::Double(_) => "MEM-006",
            Self::Full => "MEM-007",
            Self::Proof(_) => "MEM-008",
            Self::Fee(_) => "MEM-009",
        }
    }
}

/// What a new tx is checked against.
pub(crate) struct Entry<'a> {
    /// State after the newest revealed block.
    pub(crate) accounts: &'a dyn Accounts,
    /// Acceptance of tx proofs.
    pub(crate) check: &'a dyn TxCheck,
    /// The slot that is built next.
    pub(crate) slot: Slot,
    /// Exact length of a tx proof.
    pub(crate) proof_bytes: usize,
    /// The newest circuit set that is valid in that slot: a proof of it takes the place of one of
    /// the set before (R13).
    pub(crate) newest: Word,
}

/// Whether a draft block took a tx.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is the draft's last tx now.
    Added,
    /// It can never be in this block, but the account's next one may: used nonce, expired.
    Stale,
    /// It cannot be in this block, nor can the account's later ones.
    Refused,
    /// No further tx fits (R3.3, or [`TXS_MAX`]).
    Full,
}

/// A block being filled: runs each tx on the state that those before it leave.
pub(crate) trait Draft {
    /// Adds the tx if a block with it can be proved.
    fn offer(&mut self, tx: &Tx) -> Verdict;
}

/// An account and a nonce: at most one tx waits for each.
type Place = (Word, u64);

#[derive(Debug)]
struct Waiting {
    tx: Tx,
    /// The circuit set of its proof.
    set: Word,
    arrival: u64,
}

/// Txs of one block, all of one circuit set.
#[derive(Debug)]
struct Taken {
    block: BlockId,
    set: Word,
    txs: Vec<Tx>,
}

/// Txs that wait, and those that blocks took.
#[derive(Debug, Default)]
pub(crate) struct Mempool {
    waiting: BTreeMap<Place, Waiting>,
    taken: VecDeque<Taken>,
    arrivals: u64,
}

impl Mempool {
    /// Takes a client's tx as `Request::SubmitTx` carries it.
    ///
    /// # Errors
    /// When it cannot stand in a block soon; the pool is unchanged then.
    pub(crate) fn submit(&mut self, hex: &str, entry: &Entry<'_>) -> Result<(), SubmitError> {
        let bytes = hex::decode(hex).map_err(|error| SubmitError::Hex(error.to_string()))?;
        self.admit(Tx::decode(&bytes, entry.proof_bytes)?, entry)
    }

    /// Takes a decoded tx. The proof is checked last, because it costs milliseconds.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub(crate) fn admit(&mut self, tx: Tx, entry: &Entry<'_>) -> Result<(), SubmitError> {
        check_fields(&tx, entry)?;
        let place = (tx.account, tx.nonce);
        let double = SubmitError::Double(tx.nonce);
        let other = self.waiting.get(&place).map(|it| (it.tx.fee, it.set));
        let must_renew = other.is_some_and(|(fee, _)| fee >= tx.fee);
        if must_renew && other.is_some_and(|(_, set)| set == entry.newest) {
            return Err(double);
        }
        if self.taken.iter().flat_map(|it| &it.txs).any(|it| (it.account, it.nonce) == place) {
            return Err(double);
        }
        if other.is_none() && self.waiting.len() >= WAITING_MAX {
            return Err(SubmitError::Full);
        }
        let set = entry.check.check(&tx).map_err(SubmitError::Proof)?;
        if must_renew && set != entry.newest {
            return Err(double);
        }
        self.insert(tx, set);
        Ok(())
    }

    /// Number of txs that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Fills a draft with txs of one circuit set: in turns, one tx of each account, the account that
    /// waits longest first. Nothing leaves the pool; [`Self::take`] does that when the block is
    /// sealed.
    pub(crate) fn fill(&self, set: &Word, draft: &mut dyn Draft) {
        let mut turns: VecDeque<VecDeque<&Tx>> = self.queues(set);
        while let Some(mut queue) = turns.pop_front() {
            let Some(tx) = queue.pop_front() else { continue };
            match draft.offer(tx) {
                Verdict::Added => turns.push_back(queue),
                Verdict::Stale => turns.push_front(queue),
                Verdict::Refused => {}
                Verdict::Full => return,
            }
        }
    }

    /// A block took these txs, of this circuit set: ours when it is sealed, another's when it is
    /// revealed.
    pub(crate) fn take(&mut self, block: BlockId, set: Word, txs: &[Tx]) {
        for tx in txs {
            self.waiting.remove(&(tx.account, tx.nonce));
        }
        self.taken.retain(|it| it.block != block);
        self.taken.push_back(Taken { block, set, txs: txs.to_vec() });
        if self.taken.len() > BLOCKS_MAX {
            self.taken.pop_front();
        }
    }

    /// A block lapsed or was undone: its txs wait again. They were checked when they entered or
    /// when the block was planned; a full pool lets the newest go.
    pub(crate) fn give_back(&mut self, block: BlockId) {
        let Some(at) = self.taken.iter().position(|it| it.block == block) else { return };
        let Some(Taken { set, txs, .. }) = self.taken.remove(at) else { return };
        let elsewhere: BTreeSet<Place> = self.places_taken();
        for tx in txs {
            let place = (tx.account, tx.nonce);
            if self.waiting.len() < WAITING_MAX && !elsewhere.contains(&place) {
                self.insert(tx, set);
            }
        }
    }

    /// Forgets txs that can never be in a block of `slot` or later: `valid` are the circuit sets
    /// that its reveal may name.
    pub(crate) fn prune(&mut self, accounts: &dyn Accounts, slot: Slot, valid: &[Word]) {
        self.waiting.retain(|(account, nonce), waiting| {
            let in_time = waiting.tx.expiry >= slot.0 && valid.contains(&waiting.set);
            in_time && *nonce >= accounts.account(account).nonce
        });
    }

    fn insert(&mut self, tx: Tx, set: Word) {
        let place = (tx.account, tx.nonce);
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.waiting.insert(place, Waiting { tx, set, arrival });
        assert!(self.waiting.len() <= WAITING_MAX, "every way in checks the limit");
    }

    fn places_taken(&self) -> BTreeSet<Place> {
        self.taken.iter().flat_map(|it| &it.txs).map(|tx| (tx.account, tx.nonce)).collect()
    }

    /// Each account's txs of one set by nonce; accounts by the arrival of their oldest tx.
    fn queues(&self, set: &Word) -> VecDeque<VecDeque<&Tx>> {
        let mut accounts: BTreeMap<&Word, (u64, VecDeque<&Tx>)> = BTreeMap::new();
        for ((account, _), waiting) in self.waiting.iter().filter(|(_, it)| it.set == *set) {
            let (oldest, queue) = accounts.entry(account).or_insert((u64::MAX, VecDeque::new()));
            *oldest = waiting.arrival.min(*oldest);
            queue.push_back(&waiting.tx);
        }
        let mut queues: Vec<_> = accounts.into_values().collect();
        queues.sort_by_key(|(oldest, _)| *oldest);
        queues.into_iter().map(|(_, queue)| queue).collect()
    }
}

fn check_fields(tx: &Tx, entry: &Entry<'_>) -> Result<(), SubmitError> {
    if tx.expiry < entry.slot.0 {
        return Err(SubmitError::Expired { expiry: tx.expiry, slot: entry.slot.0 });
    }
    if tx.fee < FEE_MIN {
        return Err(SubmitError::Fee(tx.fee));
    }
    let Account { nonce: next, balance } = entry.accounts.account(&tx.account);
    if tx.nonce < next {
        return Err(SubmitError::Used { nonce: tx.nonce, next });
    }
    if tx.nonce - next > NONCES_AHEAD_MAX {
        return Err(SubmitError::Ahead { nonce: tx.nonce, next });
    }
    if tx.fee > balance {
        return Err(SubmitError::Balance { fee: tx.fee, balance });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Account n holds 100 and has made n txs.
    struct Ledger;

    impl Accounts for Ledger {
        fn account(&self, account: &Word) -> Account {
            Account { nonce: u64::from(account[31]), balance: 100 }
        }
    }

    /// Circuit sets.
    const OLD: Word = [1; 32];
    const NEW: Word = [2; 32];

    /// A proof is good if it starts with 1 or 2, the number of its set.
    struct FirstByte;

    impl TxCheck for FirstByte {
        fn check(&self, tx: &Tx) -> Result<Word, String> {
            let number = tx.proof[0];
            if [1, 2].contains(&number) { Ok([number; 32]) } else { Err("pairing".to_owned()) }
        }
    }

    const ENTRY: Entry<'static> =
        Entry { accounts: &Ledger, check: &FirstByte, slot: Slot(10), proof_bytes: 2, newest: OLD };

    fn word(last: u8) -> Word {
        let mut word = [0; 32];
        word[31] = last;
        word
    }

    fn tx(account: u8, nonce: u64, fee: u64) -> Tx {
        let proof = vec![1, 0];
        Tx { account: word(account), nonce, fee, expiry: 20, calls: vec![], proof }
    }

    fn pool(txs: &[Tx]) -> Mempool {
        let mut pool = Mempool::default();
        txs.iter().for_each(|tx| pool.admit(tx.clone(), &ENTRY).unwrap());
        pool
    }

    /// A draft that answers by (account, nonce); what is not listed is added.
    struct Scripted {
        answers: BTreeMap<(u8, u64), Verdict>,
        added: Vec<(u8, u64)>,
        room: usize,
    }

    impl Draft for Scripted {
        fn offer(&mut self, tx: &Tx) -> Verdict {
            let place = (tx.account[31], tx.nonce);
            if self.added.len() == self.room {
                return Verdict::Full;
            }
            let verdict = self.answers.get(&place).copied().unwrap_or(Verdict::Added);
            if verdict == Verdict::Added {
                self.added.push(place);
            }
            verdict
        }
    }

    #[track_caller]
    fn check_fill(
        pool: &Mempool,
        answers: &[((u8, u64), Verdict)],
        room: usize,
        wanted: &[(u8, u64)],
    ) {
        let answers = answers.iter().copied().collect();
        let mut draft = Scripted { answers, added: vec![], room };
        pool.fill(&OLD, &mut draft);
        assert_eq!(draft.added, wanted);
    }

    #[test]
    fn a_tx_enters_as_hex_once() {
        let mut pool = Mempool::default();
        let hex = hex::encode(tx(1, 1, 5).encode(2).unwrap());
        assert_eq!(pool.submit(&hex, &ENTRY), Ok(()));
        assert_eq!(pool.len(), 1);
        assert_eq!(pool.submit(&hex, &ENTRY), Err(SubmitError::Double(1)));
        assert_eq!(pool.submit("zz", &ENTRY).unwrap_err().code(), "MEM-001");
        assert_eq!(pool.submit(&hex[2..], &ENTRY).unwrap_err().code(), "DAT-005");
    }

    #[test]
    fn what_cannot_stand_in_a_block_is_refused() {
        let refused = |change: fn(&mut Tx)| {
            let mut tx = tx(3, 3, 5);
            change(&mut tx);
            let mut pool = Mempool::default();
            let error = pool.admit(tx, &ENTRY).unwrap_err();
            assert_eq!(pool.len(), 0);
            error
        };
        assert_eq!(refused(|tx| tx.expiry = 9), SubmitError::Expired { expiry: 9, slot: 10 });
        assert_eq!(refused(|tx| tx.nonce = 2), SubmitError::Used { nonce: 2, next: 3 });
        assert_eq!(refused(|tx| tx.nonce = 20), SubmitError::Ahead { nonce: 20, next: 3 });
        assert_eq!(refused(|tx| tx.fee = 101), SubmitError::Balance { fee: 101, balance: 100 });
        assert_eq!(refused(|tx| tx.fee = 0), SubmitError::Fee(0));
        assert_eq!(refused(|tx| tx.proof[0] = 0), SubmitError::Proof("pairing".to_owned()));
    }

    #[test]
    fn a_higher_fee_outbids_the_tx_of_the_same_nonce() {
        let mut pool = pool(&[tx(1, 1, 5)]);
        assert_eq!(pool.admit(tx(1, 1, 5), &ENTRY), Err(SubmitError::Double(1)));
        assert_eq!(pool.admit(tx(1, 1, 6), &ENTRY), Ok(()));
        assert_eq!(pool.len(), 1);
        assert_eq!(pool.waiting[&(word(1), 1)].tx.fee, 6);
    }

    #[test]
    fn a_full_pool_refuses_new_places_only() {
        let mut pool = pool(&[tx(1, 1, 5)]);
        for n in 1..WAITING_MAX as u64 {
            let mut other = tx(2, n, 5);
            other.account[..8].copy_from_slice(&n.to_be_bytes());
            pool.insert(other, OLD);
        }
        assert_eq!(pool.admit(tx(1, 2, 5), &ENTRY), Err(SubmitError::Full));
        assert_eq!(pool.admit(tx(1, 1, 6), &ENTRY), Ok(()));
    }

    #[test]
    fn a_draft_is_filled_in_turns_and_by_nonce() {
        let pool = pool(&[tx(2, 3, 1), tx(2, 2, 1), tx(1, 1, 1), tx(2, 4, 1)]);
        check_fill(&pool, &[], 9, &[(2, 2), (1, 1), (2, 3), (2, 4)]);
        check_fill(&pool, &[], 2, &[(2, 2), (1, 1)]);
        check_fill(&pool, &[((2, 3), Verdict::Refused)], 9, &[(2, 2), (1, 1)]);
        check_fill(&pool, &[((2, 2), Verdict::Stale)], 9, &[(2, 3), (1, 1), (2, 4)]);
    }

    #[test]
    fn txs_of_a_lapsed_block_wait_again() {
        let mut pool = pool(&[tx(1, 1, 5), tx(2, 2, 5)]);
        let block = BlockId(word(7));
        pool.take(block, OLD, &[tx(1, 1, 5)]);
        assert_eq!(pool.len(), 1);
        assert_eq!(pool.admit(tx(1, 1, 9), &ENTRY), Err(SubmitError::Double(1)));
        pool.give_back(block);
        assert_eq!(pool.len(), 2);
        pool.give_back(block);
        check_fill(&pool, &[], 9, &[(2, 2), (1, 1)]);
    }

    #[test]
    fn a_tx_that_another_block_holds_too_does_not_return() {
        let mut pool = pool(&[tx(1, 1, 5)]);
        pool.take(BlockId(word(7)), OLD, &[tx(1, 1, 5)]);
        pool.take(BlockId(word(8)), OLD, &[tx(1, 1, 5)]);
        pool.give_back(BlockId(word(7)));
        assert_eq!(pool.len(), 0);
        pool.give_back(BlockId(word(8)));
        assert_eq!(pool.len(), 1);
    }

    #[test]
    fn used_and_expired_txs_are_forgotten() {
        let mut pool = pool(&[tx(5, 5, 1), tx(1, 1, 1)]);
        pool.prune(&Ledger, Slot(20), &[OLD]);
        assert_eq!(pool.len(), 2);
        struct Later;
        impl Accounts for Later {
            fn account(&self, account: &Word) -> Account {
                Account { nonce: 1 + u64::from(account[31]), balance: 0 }
            }
        }
        let mut moved = tx(1, 1, 1);
        moved.expiry = 30;
        pool.insert(moved, OLD);
        let mut next = tx(7, 8, 1);
        next.expiry = 30;
        pool.insert(next, OLD);
        // (5, 5) has expired, (1, 1) is used, (7, 8) is neither.
        pool.prune(&Later, Slot(21), &[OLD]);
        assert_eq!(pool.waiting.keys().collect::<Vec<_>>(), [&(word(7), 8)]);
        pool.prune(&Ledger, Slot(31), &[OLD]);
        assert_eq!(pool.len(), 0);
    }

    #[test]
    fn txs_of_two_sets_wait_beside_each_other_and_a_newer_proof_takes_the_olds_place() {
        let change_over = Entry { newest: NEW, ..ENTRY };
        let with = |account, nonce, set| Tx { proof: vec![set, 0], ..tx(account, nonce, 5) };
        let mut pool = pool(&[tx(1, 1, 5), tx(2, 2, 5)]);
        assert_eq!(pool.admit(with(1, 1, 1), &change_over), Err(SubmitError::Double(1)));
        assert_eq!(pool.admit(with(1, 1, 2), &change_over), Ok(()));
        assert_eq!(pool.admit(with(1, 1, 2), &change_over), Err(SubmitError::Double(1)));
        assert_eq!(pool.admit(with(1, 1, 1), &change_over), Err(SubmitError::Double(1)));
        assert_eq!(pool.len(), 2);
        check_fill(&pool, &[], 9, &[(2, 2)]);
        let mut draft = Scripted { answers: BTreeMap::new(), added: vec![], room: 9 };
        pool.fill(&NEW, &mut draft);
        assert_eq!(draft.added, [(1, 1)]);
        pool.take(BlockId(word(7)), NEW, &[with(1, 1, 2)]);
        pool.give_back(BlockId(word(7)));
        pool.prune(&Ledger, Slot(10), &[NEW]);
        assert_eq!(pool.waiting.keys().collect::<Vec<_>>(), [&(word(1), 1)], "the old set ended");
    }

    #[test]
    fn only_so_many_blocks_are_remembered() {
        let mut pool = Mempool::default();
        for n in 0..=BLOCKS_MAX as u8 {
            pool.take(BlockId(word(n)), OLD, &[tx(n, 1, 1)]);
        }
        pool.give_back(BlockId(word(0)));
        assert_eq!(pool.len(), 0);
        pool.give_back(BlockId(word(1)));
        assert_eq!(pool.len(), 1);
    }
}
