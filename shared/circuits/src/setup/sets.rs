//! Circuit sets side by side: while a network changes over, blocks are proved by either (R13).
//!
//! A set is named by its id, which binds setup and keys ([`VerifyingKeys::set_id`]); a slot uses
//! the set that was valid at its reveal, and everything of that slot (acceptance, proofs, the
//! root's contract) is taken by that id. Two sets share no key: the set's number is a constant of
//! every circuit, so that a proof made under one set is nothing under the other.

use super::{
    accept::{Accepted, Refusal},
    keys::{KeyError, Pins, VerifyingKeys},
    prove::Proof,
};
use protocol::Word;
use std::collections::BTreeMap;

/// The keys of several sets, by id.
#[derive(Clone, Debug, Default)]
pub struct CircuitSets {
    sets: BTreeMap<Word, VerifyingKeys>,
}

impl FromIterator<VerifyingKeys> for CircuitSets {
    fn from_iter<I: IntoIterator<Item = VerifyingKeys>>(sets: I) -> Self {
        Self { sets: sets.into_iter().map(|keys| (keys.set_id(), keys)).collect() }
    }
}

impl CircuitSets {
    /// All sets pinned for the devnet's setup.
    ///
    /// # Errors
    /// As [`VerifyingKeys::pinned`].
    pub fn pinned(chain_id: u64) -> Result<Self, KeyError> {
        Pins::all().iter().map(|pins| VerifyingKeys::of_pins(pins, chain_id)).collect()
    }

    /// The keys of a set. [`VerifyingKeys::revision`] names the folder its proofs are made from
    /// ([`super::folder::KeyFolder::open_revision`]).
    #[must_use]
    pub fn get(&self, set: &Word) -> Option<&VerifyingKeys> {
        self.sets.get(set)
    }

    /// Ids of all sets.
    pub fn ids(&self) -> impl Iterator<Item = &Word> {
        self.sets.keys()
    }

    /// Accepts or refuses a proof of a block that is proved by `set`.
    ///
    /// # Errors
    /// [`Refusal::UnknownSet`], and the first rule the proof breaks under that set's keys.
    pub fn accept(&self, set: &Word, proof: &Proof) -> Result<Accepted, Refusal> {
        proof.accept(self.get(set).ok_or(Refusal::UnknownSet)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        poseidon::to_word,
        setup::forge::{FORGE, Forge, forge, honest},
    };
    use protocol::Kind;

    /// A block proved by one set, the next one by the other: each proof is accepted under its own
    /// set, and under no other.
    #[test]
    fn a_change_over_accepts_each_proof_under_its_own_set_only() {
        let next = Forge::new(2);
        let sets: CircuitSets =
            [FORGE.verifying.clone(), next.verifying.clone()].into_iter().collect();
        let (old, new) = (FORGE.verifying.set_id(), next.verifying.set_id());
        assert_ne!(old, new);
        assert_eq!(sets.ids().count(), 2);
        for kind in [Kind::Tx, Kind::Merge, Kind::Root] {
            let proof = |words: Vec<crate::poseidon::Fr>, proof: Vec<u8>| Proof {
                kind,
                instances: words.iter().map(|word| to_word(*word)).collect(),
                proof,
                credit: None,
            };
            let before = proof(honest(kind), forge(kind, &honest(kind)));
            let words = next.honest(kind);
            let after = proof(words.clone(), next.prove(kind, &words));
            sets.accept(&old, &before).unwrap();
            sets.accept(&new, &after).unwrap();
            sets.accept(&new, &before).unwrap_err();
            sets.accept(&old, &after).unwrap_err();
            assert_eq!(sets.accept(&[9; 32], &before), Err(Refusal::UnknownSet));
        }
    }

    #[test]
    fn the_pinned_sets_are_known_by_their_ids() {
        let sets = CircuitSets::pinned(crate::setup::srs::DEVNET_CHAIN_ID).unwrap();
        for pins in Pins::all() {
            let id: Word = hex::decode(&pins.set).unwrap().try_into().unwrap();
            assert_eq!(sets.get(&id).map(VerifyingKeys::revision), Some(pins.revision));
        }
    }
}
