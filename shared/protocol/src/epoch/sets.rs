//! Circuit sets and how one follows another (R13).
//!
//! A set is announced with a delay and then valid beside the old one for a change-over, so that no
//! lane has to move in one instant. A slot keeps the set that its reveal names.

use std::collections::BTreeMap;

use crate::{
    domain::{LaneId, Word},
    epoch::Epoch,
    params::Params,
};

/// Sets that are remembered. Two are valid at once and one may be announced; the others are for
/// slots and proofs that are not settled yet.
pub const SETS_MAX: usize = 8;

/// Verification keys and the version of what they prove.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CircuitSet {
    /// Hash of setup and keys.
    pub id: Word,
    /// Rises with every set.
    pub version: u32,
}

/// Why a set was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Its version is not above the newest one's.
    Version {
        /// Announced.
        version: u32,
        /// Newest.
        newest: u32,
    },
    /// The set is known.
    Known,
    /// Another one is announced or changes over: at most two are valid.
    Pending {
        /// First epoch in which the next may be announced.
        until: Epoch,
    },
}

/// The sets of a network, oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sets {
    sets: Vec<(CircuitSet, Epoch)>,
}

impl Sets {
    /// A network that starts with this set.
    #[must_use]
    pub fn new(first: CircuitSet) -> Self {
        Self { sets: vec![(first, Epoch(0))] }
    }

    /// Announces the next set in epoch `now`; it is valid after `change_delay_epochs` whole
    /// epochs, from the epoch that is returned (R16).
    ///
    /// # Errors
    /// Why it is refused; nothing changes then.
    pub fn announce(
        &mut self,
        set: CircuitSet,
        now: Epoch,
        params: &Params,
    ) -> Result<Epoch, Refused> {
        if self.sets.iter().any(|(it, _)| it.id == set.id) {
            return Err(Refused::Known);
        }
        let (newest, since) = self.newest();
        if set.version <= newest.version {
            return Err(Refused::Version { version: set.version, newest: newest.version });
        }
        let over = since.after(params.changeover_epochs);
        if 1 < self.sets.len() && now < over {
            return Err(Refused::Pending { until: over });
        }
        let from = now.after(1 + params.change_delay_epochs);
        self.sets.push((set, from));
        if SETS_MAX < self.sets.len() {
            self.sets.remove(0);
        }
        assert!(self.sets.is_sorted_by(|a, b| a.0.version < b.0.version && a.1 < b.1));
        Ok(from)
    }

    fn newest(&self) -> (CircuitSet, Epoch) {
        assert!(!self.sets.is_empty(), "a network has circuits");
        self.sets[self.sets.len() - 1]
    }

    /// The set in force in an epoch: the newest that is valid. A reveal that names none uses it.
    #[must_use]
    pub fn current(&self, epoch: Epoch) -> CircuitSet {
        let valid = self.sets.iter().rev().find(|&&(_, from)| from <= epoch);
        valid.map_or(self.sets[0].0, |&(set, _)| set)
    }

    /// The sets that a reveal in this epoch may name, newest first: two during a change-over.
    #[must_use]
    pub fn valid(&self, epoch: Epoch, params: &Params) -> Vec<CircuitSet> {
        let current = self.current(epoch);
        let mut valid = vec![current];
        let place = self.sets.iter().position(|&(it, _)| it == current).unwrap_or(0);
        let over = self.sets[place].1.after(params.changeover_epochs);
        if 0 < place && epoch < over {
            valid.push(self.sets[place - 1].0);
        }
        assert!((1..=2).contains(&valid.len()), "one set, or two during a change-over");
        valid
    }

    /// The set of a slot revealed in `epoch`, which named this one or none; `None` if what it
    /// named is not valid then. Later announcements do not change it.
    #[must_use]
    pub fn of_reveal(
        &self,
        epoch: Epoch,
        named: Option<Word>,
        params: &Params,
    ) -> Option<CircuitSet> {
        match named {
            None => Some(self.current(epoch)),
            Some(id) => self.valid(epoch, params).into_iter().find(|it| it.id == id),
        }
    }

    /// The set that is announced and not valid yet, with its first epoch: what an operator must be
    /// ready for.
    #[must_use]
    pub fn announced(&self, epoch: Epoch) -> Option<(CircuitSet, Epoch)> {
        let (newest, from) = self.newest();
        (epoch < from).then_some((newest, from))
    }
}

/// The sets that lanes cannot prove. Who said nothing can prove every set (R13.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Adverts {
    lacked: BTreeMap<LaneId, Vec<Word>>,
}

impl Adverts {
    /// Whether nobody ever lacked a set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lacked.is_empty()
    }
    /// The lane's last word about a set; true if it is another one than before. Of the sets that a
    /// lane lacks the newest [`SETS_MAX`] are remembered.
    pub fn advertise(&mut self, lane: LaneId, set: Word, able: bool) -> bool {
        if self.can_prove(lane, set) == able {
            return false;
        }
        let lacked = self.lacked.entry(lane).or_default();
        if able {
            lacked.retain(|it| *it != set);
        } else {
            lacked.push(set);
        }
        if SETS_MAX < lacked.len() {
            lacked.remove(0);
        }
        true
    }
    /// Whether the lane can prove tasks of this set.
    #[must_use]
    pub fn can_prove(&self, lane: LaneId, set: Word) -> bool {
        self.lacked.get(&lane).is_none_or(|it| !it.contains(&set))
    }
}

#[cfg(test)]
mod tests;
