//! The leader's optional word: who coordinates its block, or that it proves alone (R2.6, R14).
//!
//! The default deal is the assignment whenever nobody is named, so the chain lives without
//! negotiation, and a name that nobody works under costs two L1 blocks and nothing more. The
//! fallback is per subtree and needs no message: everybody sees which claims were heard.

use crate::{
    domain::{LaneId, Millis, ProverId},
    params::Params,
    slot::phase::Windows,
};

/// What the leader said in the commitment phase.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Naming {
    /// Nothing: the default deal is the assignment.
    #[default]
    Nobody,
    /// This prover coordinates.
    Named(ProverId),
    /// The leader proves alone, as this prover.
    Alone(ProverId),
}

/// Who holds T1 (R6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Whoever is dealt.
    Deal,
    /// The named prover.
    Named(ProverId),
    /// A leader that declared it proves alone.
    Alone(ProverId),
}

/// Why a name is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotNamed {
    /// The commitment phase is over.
    Late,
    /// The prover has no lane in this epoch.
    NotBonded(ProverId),
    /// The leader has spoken already: a second word would make two deals.
    Twice,
}

/// Who ranks first for a subtree or a vm task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    /// The lane that the deck says.
    Deal,
    /// Lanes of the named prover, then the deal.
    Name(ProverId),
    /// Nobody is dealt anything.
    Nobody,
}

/// How many subtrees are claimed under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cover {
    /// Claimed, or proved already, by lanes of the named prover.
    pub claimed: usize,
    /// All subtrees of the block.
    pub subtrees: usize,
}

impl Cover {
    /// Whether the claims cover `permille` of the subtrees.
    #[must_use]
    pub const fn reaches(self, permille: u64) -> bool {
        permille * self.subtrees as u64 <= self.claimed as u64 * 1_000
    }
}

impl Naming {
    /// Takes the leader's word at `time_s`; `bonded` says whether the prover has a lane in the
    /// slot's epoch. A leader that proves alone need not be bonded: it takes no lane's work.
    ///
    /// # Errors
    /// Why the word does not count; nothing changes then.
    pub fn speak(
        &mut self,
        word: Self,
        windows: &Windows,
        time_s: u64,
        bonded: impl Fn(ProverId) -> bool,
    ) -> Result<(), NotNamed> {
        if !windows.may_name(time_s) {
            return Err(NotNamed::Late);
        }
        if *self != Self::Nobody {
            return Err(NotNamed::Twice);
        }
        match word {
            Self::Named(prover) if !bonded(prover) => return Err(NotNamed::NotBonded(prover)),
            Self::Nobody | Self::Named(_) | Self::Alone(_) => *self = word,
        }
        Ok(())
    }

    /// Whether the block is dealt to lanes at all (R14).
    #[must_use]
    pub const fn dealt(self) -> bool {
        !matches!(self, Self::Alone(_))
    }

    /// Whether dealt units of this slot count for coverage (R9.3, R14): not when nobody was dealt
    /// anything, and not for the subtrees that a name took; see [`Naming::owes`].
    #[must_use]
    pub const fn counts_coverage(self) -> bool {
        self.dealt()
    }

    /// Whether the lane that the deck says owes the subtree, so that it counts for its coverage:
    /// not if the named prover claimed it in time.
    #[must_use]
    pub const fn owes(self, claimed_by_name: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Named(_) => !claimed_by_name,
            Self::Alone(_) => false,
        }
    }

    /// Who ranks first for a subtree at `now`; `claimed_by_name` says whether a lane of the named
    /// prover has claimed it. When the grace is over, a subtree without such a claim falls back to
    /// the default deal by itself.
    #[must_use]
    pub const fn first(self, windows: &Windows, now: Millis, claimed_by_name: bool) -> First {
        match self {
            Self::Nobody => First::Deal,
            Self::Alone(_) => First::Nobody,
            Self::Named(prover) if claimed_by_name || now.0 <= windows.grace_s * 1_000 => {
                First::Name(prover)
            }
            Self::Named(_) => First::Deal,
        }
    }

    /// Who holds T1 at `time_s`. A name holds it before the grace is over, and afterwards while
    /// claims under it cover [`Params::name_cover_permille`] of the subtrees.
    #[must_use]
    pub const fn holder(
        self,
        params: &Params,
        windows: &Windows,
        time_s: u64,
        cover: Cover,
    ) -> Holder {
        match self {
            Self::Nobody => Holder::Deal,
            Self::Alone(leader) => Holder::Alone(leader),
            Self::Named(prover) => {
                let young = time_s <= windows.grace_s;
                if young || cover.reaches(params.name_cover_permille) {
                    Holder::Named(prover)
                } else {
                    Holder::Deal
                }
            }
        }
    }
}

impl First {
    /// The rank order under this rule, from that of the default deal: lanes of a named prover move
    /// to the front and keep their order.
    #[must_use]
    pub fn order(self, deal: Vec<LaneId>) -> Vec<LaneId> {
        match self {
            Self::Deal => deal,
            Self::Nobody => Vec::new(),
            Self::Name(named) => {
                let count = deal.len();
                let (mut own, rest): (Vec<LaneId>, Vec<LaneId>) =
                    deal.into_iter().partition(|it| it.prover() == named);
                own.extend(rest);
                assert_eq!(own.len(), count, "a name moves ranks and drops none");
                own
            }
        }
    }
}

#[cfg(test)]
mod tests;
