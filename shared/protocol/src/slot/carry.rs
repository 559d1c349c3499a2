//! Preconfirmed order outlives a block that is given up (R12.1).
//!
//! The txs of given-up blocks wait in their order and must come first in the next reveals, over as
//! many reveals as admission needs. A tx is carried a bounded number of times, and one that the
//! network quarantined may be left out by its hash, so no unprovable tx can halt the chain.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    assign::keccak::keccak256,
    domain::{Hash, Slot, Word},
    params::Params,
};

/// A tx as a reveal lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tx {
    /// Its hash.
    pub hash: Word,
    /// Its public calls, for admission.
    pub calls: u8,
}

/// A tx with the number of times it was carried already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Carried {
    tx: Tx,
    times: u64,
}

/// A reveal that breaks preconfirmed order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Illegal {
    /// This carried tx must stand at `place`.
    Missing {
        /// Position in the reveal.
        place: usize,
        /// What must stand there.
        expected: Word,
    },
    /// There is a tx at `place`, but carried ones that did not fit still wait.
    Early {
        /// Position in the reveal.
        place: usize,
    },
    /// The slot has revealed already, or a later one has.
    Order(Slot),
}

/// Commits to txs in order: keccak(first ‖ commitment to the rest), zero for none. L1 stores one
/// word and takes the first tx off by being shown it and the rest (R12.1).
#[must_use]
pub fn chain(txs: &[Word]) -> Hash {
    txs.iter().rev().fold(Hash::default(), |rest, tx| keccak256(&[tx, &rest.0]))
}

/// Whether `chain` begins with `tx` and goes on as `rest`.
#[must_use]
pub fn begins(chain: Hash, tx: &Word, rest: Hash) -> bool {
    chain == keccak256(&[tx, &rest.0])
}

/// Whether a proposal committed in L1 block `committed` lapses without slash: a block was given up
/// at or after it, so that its sequencer could not know what must come first (R12.1).
#[must_use]
pub const fn lapses(committed: u64, given_up: Option<u64>) -> bool {
    match given_up {
        Some(number) => committed <= number,
        None => false,
    }
}

/// What waits to be carried, and what is revealed and not settled. Clone it per L1 block to undo
/// exactly.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Carry {
    waiting: VecDeque<Carried>,
    /// Hashes of waiting txs that may be left out.
    poison: BTreeSet<Word>,
    /// Contents of revealed, unsettled slots: at most `build_ahead_max`.
    revealed: BTreeMap<Slot, Vec<Carried>>,
}

impl Carry {
    /// The txs that wait, in the order in which they must be revealed.
    pub fn waiting(&self) -> impl Iterator<Item = Tx> {
        self.waiting.iter().map(|it| it.tx)
    }
    /// What L1 stores of them.
    #[must_use]
    pub fn chain(&self) -> Hash {
        chain(&self.waiting().map(|it| it.hash).collect::<Vec<_>>())
    }
    /// Whether the tx may be left out.
    #[must_use]
    pub fn is_poison(&self, tx: &Word) -> bool {
        self.poison.contains(tx)
    }

    /// What an honest sequencer puts first into its reveal: waiting txs in order, without
    /// quarantined ones, as many as `fits` admits (it is asked with the calls of each tx, and what
    /// holds for some txs must hold for fewer). The first is due even if it does not fit: it was
    /// admitted once, and a chain of which nothing may be revealed would halt.
    pub fn due(&self, fits: impl Fn(&[u8]) -> bool) -> Vec<Tx> {
        let mut due: Vec<Tx> = self.waiting().filter(|it| !self.is_poison(&it.hash)).collect();
        let calls: Vec<u8> = due.iter().map(|it| it.calls).collect();
        let (mut low, mut high) = (due.len().min(1), due.len());
        while low < high {
            let middle = (low + high).div_ceil(2);
            if fits(&calls[..middle]) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        due.truncate(low);
        due
    }

    /// Whether a reveal of these txs keeps preconfirmed order. `fits` is admission, as for
    /// [`Carry::due`]: waiting txs may stay out only if the next one would not fit.
    ///
    /// # Errors
    /// The first place that is wrong.
    pub fn check(&self, reveal: &[Tx], fits: impl Fn(&[u8]) -> bool) -> Result<(), Illegal> {
        self.split(reveal, fits).map(|_| ())
    }

    /// How many waiting txs the reveal takes off, and how many of its own txs they are.
    fn split(
        &self,
        reveal: &[Tx],
        fits: impl Fn(&[u8]) -> bool,
    ) -> Result<(usize, usize), Illegal> {
        let mut place = 0;
        for (taken, waiting) in self.waiting.iter().enumerate() {
            let hash = waiting.tx.hash;
            if reveal.get(place).is_some_and(|it| it.hash == hash) {
                place += 1;
                continue;
            }
            if self.is_poison(&hash) {
                continue;
            }
            let mut more: Vec<u8> = reveal[..place].iter().map(|it| it.calls).collect();
            more.push(waiting.tx.calls);
            let due = place == 0 || fits(&more);
            return match (due, place < reveal.len()) {
                (true, _) => Err(Illegal::Missing { place, expected: hash }),
                (false, true) => Err(Illegal::Early { place }),
                (false, false) => Ok((taken, place)),
            };
        }
        Ok((self.waiting.len(), place))
    }

    /// A block is revealed: what it carries no longer waits, what it leaves out is gone.
    ///
    /// # Errors
    /// What makes it illegal; nothing changes then.
    pub fn reveal(
        &mut self,
        slot: Slot,
        txs: &[Tx],
        fits: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Illegal> {
        if self.revealed.last_key_value().is_some_and(|(&last, _)| slot <= last) {
            return Err(Illegal::Order(slot));
        }
        let (taken, carried) = self.split(txs, fits)?;
        let before = self.waiting.len();
        let off: Vec<Carried> = self.waiting.drain(..taken).collect();
        let times: BTreeMap<Word, u64> = off.iter().map(|it| (it.tx.hash, it.times)).collect();
        off.iter().for_each(|it| {
            self.poison.remove(&it.tx.hash);
        });
        let content = txs.iter().enumerate().map(|(place, &tx)| {
            let known = times.get(&tx.hash).copied().filter(|_| place < carried);
            Carried { tx, times: known.unwrap_or(0) }
        });
        self.revealed.insert(slot, content.collect());
        assert_eq!(self.waiting.len() + taken, before, "what is taken off waits no more");
        Ok(())
    }

    /// The slot's block is settled: its txs are done.
    pub fn settle(&mut self, slot: Slot) {
        self.revealed.remove(&slot);
    }

    /// The slot's block is given up, and every later one with it, because their parent does not
    /// exist. Their txs wait before everything that waited already, except those carried
    /// [`Params::carry_max`] times, which are returned. `quarantined` names those that the
    /// network could not prove (R5.3).
    pub fn give_up(
        &mut self,
        slot: Slot,
        quarantined: &BTreeSet<Word>,
        params: &Params,
    ) -> Vec<Tx> {
        let lost = self.revealed.split_off(&slot);
        let (again, dropped): (Vec<Carried>, Vec<Carried>) =
            lost.into_values().flatten().partition(|it| it.times < params.carry_max);
        for it in again.iter().rev() {
            let hash = it.tx.hash;
            self.waiting.push_front(Carried { tx: it.tx, times: it.times + 1 });
            if quarantined.contains(&hash) {
                self.poison.insert(hash);
            }
        }
        assert!(self.waiting.iter().all(|it| it.times <= params.carry_max), "carrying is bounded");
        dropped.into_iter().map(|it| it.tx).collect()
    }
}

#[cfg(test)]
mod tests;
