//! Mistakes that can be built into every agent, to prove that the checks see them.

macro_rules! mutations {
    ($($name:ident, $says:literal;)*) => {
        /// A mistake in every agent.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mutation {
            /// Nothing: the agent does what it must.
            None,
            $(#[doc = $says] $name,)*
        }

        impl Mutation {
            /// Every mistake.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What is wrong, in one sentence.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self {
                    Self::None => "nothing is wrong",
                    $(Self::$name => $says,)*
                }
            }
        }
    };
}

mutations! {
    SpeakBeforePersist, "records are written after the other actions of a step";
    LoseLastRecord, "the last record before a crash is lost although it was acknowledged";
    ForgetJournal, "a restarted agent begins with an empty journal";
    DeafToLosses, "loss notices are not delivered";
    NoBeats, "beats are not sent";
    IgnoreUndo, "undone L1 blocks are not reported";
    AcceptEverything, "fetched proofs are accepted without a check";
    DropChildren, "a proof starts without waiting for its children";
    DropCap, "claims that reached their cap are not ended";
    OneReplica, "a proof counts as delivered before anybody holds it";
    PayTwice, "the contract settles a slot as often as it is asked to";
    RootFirst, "the first proof that an agent makes is sent to L1 as the root";
    SwallowReleases, "claims that were given back are not told";
    IgnoreQuarantine, "failed proofs are told as if nothing was tried";
    DoubleVote, "a watcher speaks for another watcher as well";
    ReuseNumbers, "every claim is signed with number 1";
    BeatForAll, "an agent beats for its neighbour too";
    StealPay, "proofs pay somebody else";
}
