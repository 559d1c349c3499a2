//! What must hold, with the rule that asks for it.

/// When an invariant is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// At every action or input that it is about.
    Step,
    /// At every L1 block.
    Block,
    /// When the world is over.
    End,
}

macro_rules! invariants {
    ($($(#[$doc:meta])* $name:ident, $rule:literal, $when:ident, $says:literal;)*) => {
        /// Something that must hold whatever happens.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Invariant {
            $(#[doc = $says] $name,)*
        }

        impl Invariant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
            /// The rule of the protocol that asks for it.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$name => $rule,)* }
            }
            /// When it is judged.
            #[must_use]
            pub const fn when(self) -> When {
                match self { $(Self::$name => When::$when,)* }
            }
            /// What must hold, in one sentence.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)* }
            }
        }
    };
}

invariants! {
    DurableClaim, "R5.1", Step, "a claim is durable before it is spoken";
    DurableRelease, "R5.1", Step, "a release is durable before it is spoken";
    FailureTold, "R5.3", Step, "who gives a claim back after a failed proof says that it failed";
    ReleaseTold, "R5.5", Block, "a claim that is given back is told";
    DurableProof, "R5.2", Step, "a proof is durable before it is announced";
    DurableCopy, "R5.2", Step, "a copy is durable before it is acknowledged";
    OneLiveClaim, "R5.1", Step, "a lane has at most one live claim";
    NumbersRise, "R5.1", Step, "a lane's claim numbers rise and none is used twice";
    OneClaimPerNumber, "R10.1", Step, "no two different claims are signed with one number";
    EndsWhatLives, "R5.1", Step, "only a live claim ends, and once";
    AcceptedChildren, "R3.2", Step, "a proof starts on accepted proofs of all its children";
    PromisedFirst, "R5.1", Step, "a proof starts under the lane's live claim on it";
    OneProofPerLane, "R1.2", Step, "a lane makes one proof at a time";
    ClassFits, "R1.1", Step, "no lane claims what its class cannot prove";
    KeysFirst, "R13.1", Step, "no lane claims a task of a circuit set whose keys it lacks";
    TrueAdverts, "R13.1", Step, "a word about keys is a lane's own, and true";
    EpochLanes, "R1.3", Step, "only lanes of the slot's epoch claim, and only tasks of its block";
    OwnPayee, "R8.1", Step, "a proof pays the lane that makes it";
    OwnBeats, "R5.3", Step, "no agent beats for another prover's lane";
    BeatsRise, "R5.3", Step, "the numbers of a lane's beats never fall";
    OwnNotices, "R5.3", Step, "a loss notice is a watcher's own, about another prover's lane";
    EarnedNotices, "R5.3", Step, "nobody says of a lane that it is silent that it heard within the patience";
    CapRespected, "R5.1", Block, "no claim lives longer than its cap";
    HedgesWait, "R5.4", Step, "outside the hot crown nobody stays beside a claim before the hedge's time";
    CopiesBounded, "R4.3", Step, "no task is worked on by more lanes than the hot crown's copies and one hedge";
    QuarantineHolds, "R5.3", Step, "a task that failed for three provers is offered to the larger class alone";
    TrueRoots, "R10.3", Step, "a submitted root verifies down to the leaves";
    TrueCopies, "R10.3", Step, "no false proof enters a journal";
    StoredCopies, "R5.2", Step, "what is recorded or acknowledged is stored";
    DeliveredIsHeld, "R5.2", Step, "a claim ends as delivered when others hold its proof";
    SettledOnce, "R9.1", Block, "no slot is settled twice";
    DealsAgree, "R4.2", Step, "all agents compute the same deal";
    HeadsAgree, "R12.2", Block, "an L1 block later everybody follows the canonical chain";
    UndoExact, "R12.2", Step, "a block taken, undone and taken again leaves the state of taking it once";
    SortedAudience, "R5.1", Step, "audiences are ascending and do not name the speaker";
    HonestRelay, "R5.3", Step, "what is passed on was said by its speaker";
    FreshDeadline, "R2.5", Step, "a deadline lies in the future";
    MemoryBounded, "R5.2", Block, "journal, stores and queues of an agent stay within their limits";
    GoneIsLost, "R5.3", Block, "who is gone for good is known as lost";
    HereIsNotLost, "R5.3", Block, "who was never down or cut off is lost to nobody";
    AllSettle, "R11", End, "every block within limits that was revealed and can be proved is settled";
    SettleInTime, "R2.1", End, "blocks are settled within their windows";
    NoClaimOutlives, "R5.1", End, "no claim outlives its slot";
    TakeoverBounded, "R11", End, "tasks of the dead are taken over within their bounds";
    CreditExact, "R8.1", End, "the credited units of a settled root are those of its tree";
    PayoutsBounded, "R9.3", End, "payouts of an epoch do not exceed its pool";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_of_both_kinds_and_each_names_a_rule() {
        assert!(25 <= Invariant::ALL.len());
        let ends = Invariant::ALL.iter().filter(|it| it.when() == When::End).count();
        assert!(5 <= ends && ends < Invariant::ALL.len() / 2);
        for it in Invariant::ALL {
            assert!(it.rule().starts_with('R') && !it.says().is_empty(), "{}", it.name());
        }
    }
}
