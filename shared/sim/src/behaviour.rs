//! What a dishonest prover does differently. The attacks' worlds and the income table share these.

/// How an agent behaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Behaviour {
    /// As the protocol says.
    Honest,
    /// Has no hardware: beats and claims nothing.
    Phantom,
    /// Claims, beats and never delivers.
    Lazy,
    /// The same, but only above the subtrees.
    LazyInCrown,
    /// Beats and refuses all work: claims nothing, keeps nothing, serves nothing.
    Refuser,
    /// Says of lanes that beat that they are lost.
    FalseWatcher,
    /// Claims what others were dealt before they can.
    Sniper,
    /// Claims, holds and gives back shortly before the claim's cap.
    Holder,
    /// Announces proofs and never serves them.
    Hider,
    /// Never acknowledges a copy of somebody else's proof.
    Denier,
    /// Makes two different claims with one number.
    Equivocator,
    /// Announces other provers' proofs as its own, and their roots first of all.
    Copier,
    /// Leaves without a word once its lanes are in the epoch's set.
    Leaver,
    /// Announces proofs that do not verify.
    Liar,
}

impl Behaviour {
    /// All kinds with their names in files and tables.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Honest, "honest"),
        (Self::Phantom, "phantom"),
        (Self::Lazy, "lazy"),
        (Self::LazyInCrown, "lazy-in-crown"),
        (Self::Refuser, "refuser"),
        (Self::FalseWatcher, "false-watcher"),
        (Self::Sniper, "sniper"),
        (Self::Holder, "holder"),
        (Self::Hider, "hider"),
        (Self::Denier, "denier"),
        (Self::Equivocator, "equivocator"),
        (Self::Copier, "copier"),
        (Self::Leaver, "leaver"),
        (Self::Liar, "liar"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(it, _)| *it == self).map_or("honest", |(_, name)| name)
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, it)| *it == name).map(|(it, _)| *it)
    }
}
