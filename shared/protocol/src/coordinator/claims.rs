//! This agent's own promises: at most one proof in the making per lane, each number used once
//! (R5.1).
//!
//! A claim begins in one function and ends in one function, and both put the record before
//! anything that leaves the machine. Once its proof is made the lane is free for the next claim;
//! the made one lives on until its copies are acknowledged. Two different claims with one number cost the bond (R10.1),
//! so numbers come from the journal and never go back.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    domain::{LaneId, Millis, Node, Slot, StatementId, TaskId},
    io::{Action, Audience, Ended, Message, Previous, Record},
};

/// Ended claims that are kept for the screens.
const PAST_MAX: usize = 64;

/// Where an own claim stands.
///
/// ```text
///   Inputs ─children accepted─▶ Machine ─child runs─▶ Proving ─proof─▶ Made ─acks─▶ delivered
///      └─────── released, capped, lost or reverted from any of them ──────┘ (lane is free)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Waits for proofs of its children; given back at this instant.
    Inputs {
        /// When the patience ends.
        until: Millis,
    },
    /// Given to the shell, which waits for the machine.
    Machine,
    /// The child process runs.
    Proving,
    /// The proof exists and waits for its replicas.
    Made {
        /// What it says.
        statement: StatementId,
    },
}

impl Stage {
    /// The arrows of the picture above.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Inputs { .. }, Self::Machine | Self::Made { .. })
                | (Self::Machine, Self::Proving | Self::Made { .. })
                | (Self::Proving, Self::Made { .. })
        )
    }
    /// Whether the proof exists.
    #[must_use]
    pub const fn is_made(self) -> bool {
        matches!(self, Self::Made { .. })
    }
}

/// A live claim of one of our lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Live {
    /// What was promised.
    pub task: TaskId,
    /// In which slot.
    pub slot: Slot,
    /// The lane's claim number.
    pub seq: u64,
    /// Attempts before.
    pub attempt: u32,
    /// Where it stands in the tree; unknown from a restart until its slot is known again.
    pub node: Option<Node>,
    /// Since when; after a restart, since the restart.
    pub since: Millis,
    /// When it ends at the latest (R5.1).
    pub cap_at: Millis,
    /// How far it is.
    pub stage: Stage,
    /// Since when it is that far.
    pub stage_since: Millis,
    /// How the lane's claim before ended, as the claim says.
    pub previous: Previous,
}

/// How a claim in work ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// How.
    pub how: Ended,
    /// Whether a proof was tried and failed (R5.3).
    pub failed: bool,
}

impl End {
    /// An end that is nobody's failure.
    #[must_use]
    pub const fn plain(how: Ended) -> Self {
        Self { how, failed: false }
    }
}

/// A claim that ended, for the screens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Past {
    /// Whose.
    pub lane: LaneId,
    /// The claim as it last was.
    pub live: Live,
    /// How it ended.
    pub how: Ended,
    /// When.
    pub at: Millis,
}

/// Made proofs of one lane that may wait for their copies at the same time.
pub const DELIVERING_MAX: usize = 64;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Lane {
    /// Last number used.
    seq: u64,
    previous: Option<Ended>,
    /// The claim whose proof is not made yet.
    live: Option<Live>,
    /// Claims whose proofs wait for their copies, oldest first.
    delivering: Vec<Live>,
    /// The journal and our signatures disagree: a number that we never gave was seen on the mesh,
    /// or numbers do not rise in the journal.
    in_doubt: bool,
}

/// The part of a claim that its maker decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promise {
    /// What.
    pub task: TaskId,
    /// Where it stands.
    pub node: Node,
    /// In which slot.
    pub slot: Slot,
    /// Attempts before.
    pub attempt: u32,
    /// When the claim ends at the latest.
    pub cap_at: Millis,
    /// How long it waits for inputs.
    pub inputs_until: Millis,
}

/// All own lanes that ever claimed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claims {
    lanes: BTreeMap<LaneId, Lane>,
    past: VecDeque<Past>,
    /// Whether a claim changed since the last step ended.
    changed: bool,
    /// When time alone ends the first claim in work, and why.
    ends: Option<(Millis, &'static str)>,
}

impl Claims {
    /// The lane's claim whose proof is not made yet.
    #[must_use]
    pub fn live(&self, lane: LaneId) -> Option<&Live> {
        self.lanes.get(&lane)?.live.as_ref()
    }
    /// Claims whose proofs are not made yet, in lane order.
    pub fn in_work(&self) -> impl Iterator<Item = (LaneId, &Live)> {
        self.lanes.iter().filter_map(|(&lane, it)| Some((lane, it.live.as_ref()?)))
    }
    /// Claims whose proofs wait for their copies (R5.2).
    pub fn delivering(&self) -> impl Iterator<Item = (LaneId, &Live)> {
        self.lanes.iter().flat_map(|(&lane, it)| it.delivering.iter().map(move |it| (lane, it)))
    }
    /// All live claims.
    pub fn all(&self) -> impl Iterator<Item = (LaneId, &Live)> {
        self.in_work().chain(self.delivering())
    }
    /// The lane that works on this task.
    #[must_use]
    pub fn lane_of(&self, task: TaskId) -> Option<LaneId> {
        self.in_work().find(|(_, live)| live.task == task).map(|(lane, _)| lane)
    }
    /// Whether the lane may claim now.
    #[must_use]
    pub fn is_free(&self, lane: LaneId) -> bool {
        let free =
            |it: &Lane| it.live.is_none() && !it.in_doubt && it.delivering.len() < DELIVERING_MAX;
        self.lanes.get(&lane).is_none_or(free)
    }
    /// Whether the lane's numbers are in doubt.
    #[must_use]
    pub fn in_doubt(&self, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_some_and(|it| it.in_doubt)
    }
    /// Last number the lane used; 0 if none.
    #[must_use]
    pub fn last_seq(&self, lane: LaneId) -> u64 {
        self.lanes.get(&lane).map_or(0, |it| it.seq)
    }
    /// Ended claims, oldest first.
    #[must_use]
    pub const fn past(&self) -> &VecDeque<Past> {
        &self.past
    }

    /// Promises a task: the record, then the word (R5.1). The only way a claim begins.
    pub fn begin(
        &mut self,
        now: Millis,
        lane: LaneId,
        (it, to): (Promise, Audience),
        actions: &mut Vec<Action>,
    ) {
        self.changed = true;
        let entry = self.lanes.entry(lane).or_default();
        assert!(entry.live.is_none(), "lane {lane} has a live claim");
        assert!(!entry.in_doubt, "lane {lane} may have used its next number already");
        let previous = entry.previous.unwrap_or(Previous::None);
        entry.seq += 1;
        let Promise { task, node, slot, attempt, cap_at, inputs_until } = it;
        let seq = entry.seq;
        assert!(0 < seq && now < cap_at, "a claim has a number and a future");
        entry.live = Some(Live {
            task,
            slot,
            seq,
            attempt,
            node: Some(node),
            since: now,
            cap_at,
            stage: Stage::Inputs { until: inputs_until },
            stage_since: now,
            previous,
        });
        actions.push(Action::Persist(Record::Claimed { task, lane, slot, seq, attempt }));
        let message = Message::Claim { task, lane, slot, seq, attempt, previous };
        actions.push(Action::Send { message, to });
    }

    /// Ends a lane's claim in work everywhere: journal, prover, mesh. The only way such a claim
    /// ends. `to` hears of a release.
    pub fn end(
        &mut self,
        now: Millis,
        lane: LaneId,
        (end, to): (End, Audience),
        actions: &mut Vec<Action>,
    ) {
        self.changed = true;
        let End { how, failed } = end;
        assert_ne!(how, Previous::None, "a claim that ended has a reason");
        let Some(entry) = self.lanes.get_mut(&lane) else { return };
        let Some(live) = entry.live.take() else { return };
        assert!(live.seq <= entry.seq, "claim {} was never numbered", live.seq);
        entry.previous = Some(how);
        actions.push(Action::Persist(Record::Ended { lane, seq: live.seq, how }));
        if matches!(live.stage, Stage::Machine | Stage::Proving) {
            actions.push(Action::Abandon { task: live.task });
        }
        if how == Previous::Released {
            let Live { task, slot, seq, .. } = live;
            let message = Message::Release { task, lane, slot, seq, failed };
            actions.push(Action::Send { message, to });
        }
        self.remember(Past { lane, live, how, at: now });
    }

    /// Ends the claim of a made proof: its copies are acknowledged, or nobody needs them.
    pub fn finish(
        &mut self,
        now: Millis,
        (lane, seq): (LaneId, u64),
        how: Ended,
        actions: &mut Vec<Action>,
    ) {
        self.changed = true;
        let Some(entry) = self.lanes.get_mut(&lane) else { return };
        let Some(found) = entry.delivering.iter().position(|it| it.seq == seq) else { return };
        let live = entry.delivering.remove(found);
        actions.push(Action::Persist(Record::Ended { lane, seq, how }));
        self.remember(Past { lane, live, how, at: now });
    }

    fn remember(&mut self, past: Past) {
        self.past.push_back(past);
        if PAST_MAX < self.past.len() {
            self.past.pop_front();
        }
    }

    /// Moves a lane's claim along the arrows of [`Stage`]; other moves change nothing.
    pub fn advance(&mut self, now: Millis, lane: LaneId, next: Stage) -> bool {
        self.changed = true;
        let Some(entry) = self.lanes.get_mut(&lane) else { return false };
        let Some(live) = entry.live.as_mut().filter(|it| it.stage.may_become(next)) else {
            return false;
        };
        assert!(live.stage != next && !live.stage.is_made(), "a made proof is not made again");
        live.stage = next;
        live.stage_since = now;
        if next.is_made() {
            entry.delivering.extend(entry.live.take());
            entry.previous = Some(Previous::Delivered);
        }
        true
    }

    /// A restored claim's place in the tree is known again, and with it its cap.
    pub fn place(&mut self, lane: LaneId, node: Node, cap_at: Millis) {
        self.changed = true;
        if let Some(live) = self.lanes.get_mut(&lane).and_then(|it| it.live.as_mut())
            && live.node.is_none()
        {
            live.node = Some(node);
            live.cap_at = cap_at;
        }
    }

    /// A restored claim whose proof is made has its place again.
    pub fn place_made(&mut self, lane: LaneId, seq: u64, node: Node) {
        self.changed = true;
        let made = self.lanes.get_mut(&lane).into_iter().flat_map(|it| &mut it.delivering);
        for live in made.filter(|it| it.seq == seq) {
            live.node = Some(node);
        }
    }

    /// From now on a claim that waits for inputs waits until this instant.
    pub fn be_patient(&mut self, lane: LaneId, until: Millis) {
        self.changed = true;
        if let Some(live) = self.lanes.get_mut(&lane).and_then(|it| it.live.as_mut())
            && matches!(live.stage, Stage::Inputs { .. })
        {
            live.stage = Stage::Inputs { until };
        }
    }

    /// Sends the lane's claim in work once more, word for word: the crash may have fallen between
    /// the record and the word, or the word was lost.
    pub fn say_again(&self, lane: LaneId, to: Audience, actions: &mut Vec<Action>) {
        let Some(entry) = self.lanes.get(&lane) else { return };
        let Some(Live { task, slot, seq, attempt, previous, .. }) = entry.live else { return };
        let message = Message::Claim { task, lane, slot, seq, attempt, previous };
        actions.push(Action::Send { message, to });
    }

    /// A claim of ours came back from the mesh. Its number must be one that we gave.
    /// Returns false from the moment the lane is in doubt.
    pub fn heard_own(&mut self, lane: LaneId, seq: u64) -> bool {
        self.changed = true;
        let entry = self.lanes.entry(lane).or_default();
        entry.in_doubt |= entry.seq < seq;
        !entry.in_doubt
    }

    /// A step ends: what changed must hold, and ends at some time.
    pub(crate) fn settle(&mut self) {
        if self.changed {
            self.assert_invariants();
            self.ends = self.first_end();
            self.changed = false;
        }
    }
    /// Whether a claim changed in this step.
    pub(crate) const fn is_changed(&self) -> bool {
        self.changed
    }
    /// When time alone ends the first claim in work, and why.
    #[must_use]
    pub fn ends(&self) -> Option<(Millis, &'static str)> {
        if self.changed { self.first_end() } else { self.ends }
    }
    fn first_end(&self) -> Option<(Millis, &'static str)> {
        let ends = self.in_work().flat_map(|(_, it)| {
            let patience = match it.stage {
                Stage::Inputs { until } => Some((until, "inputs")),
                Stage::Machine | Stage::Proving | Stage::Made { .. } => None,
            };
            [Some((it.cap_at, "cap")), patience].into_iter().flatten()
        });
        ends.min_by_key(|it| it.0)
    }

    /// Holds at the end of every step: a live claim is the lane's newest, and no two lanes promise
    /// one task in one slot.
    pub fn assert_invariants(&self) {
        let mut promised = std::collections::BTreeSet::new();
        for (lane, it) in &self.lanes {
            assert!(it.delivering.len() <= DELIVERING_MAX + 1, "deliveries are bounded");
            let Some(live) = it.live else { continue };
            assert!(it.in_doubt || live.seq == it.seq, "lane {lane} went on from {}", live.seq);
            assert!(promised.insert((live.slot, live.task)), "{lane} promises a promised task");
        }
        assert!(self.past.len() <= PAST_MAX, "the past is bounded");
    }

    /// Takes one journal record at start, in journal order.
    pub fn restore(&mut self, record: &Record) {
        self.changed = true;
        match *record {
            Record::Claimed { task, lane, slot, seq, attempt } => {
                let entry = self.lanes.entry(lane).or_default();
                entry.in_doubt |= seq <= entry.seq;
                entry.seq = entry.seq.max(seq);
                let stage = Stage::Inputs { until: Millis(u64::MAX) };
                let (since, cap_at, stage_since) = (Millis(0), Millis(u64::MAX), Millis(0));
                let (node, previous) = (None, entry.previous.unwrap_or(Previous::None));
                entry.live = Some(Live {
                    task,
                    slot,
                    seq,
                    attempt,
                    node,
                    since,
                    cap_at,
                    stage,
                    stage_since,
                    previous,
                });
            }
            Record::Ended { lane, seq, how } => {
                let entry = self.lanes.entry(lane).or_default();
                entry.delivering.retain(|it| it.seq != seq);
                if entry.live.is_some_and(|live| live.seq == seq) {
                    entry.live = None;
                    entry.previous = Some(how);
                }
            }
            Record::Made { task, statement, .. } => self.restore_made(task, statement),
            Record::Held { .. } | Record::Settled { .. } => (),
        }
    }

    /// The proof of a restored claim exists: it waits for its copies.
    pub fn restore_made(&mut self, task: TaskId, statement: StatementId) {
        self.changed = true;
        let of = |it: &&mut Lane| it.live.is_some_and(|live| live.task == task);
        if let Some(entry) = self.lanes.values_mut().find(of)
            && let Some(live) = entry.live.take()
        {
            entry.delivering.push(Live { stage: Stage::Made { statement }, ..live });
            entry.previous = Some(Previous::Delivered);
        }
    }

    /// The first instant after a restart: restored claims count from here.
    pub fn wake(&mut self, now: Millis, cap_ms: u64) {
        self.changed = true;
        let lanes = self.lanes.values_mut();
        let restored = lanes.flat_map(|it| it.live.iter_mut().chain(&mut it.delivering));
        for live in restored.filter(|live| live.node.is_none()) {
            live.since = now;
            live.stage_since = now;
            live.cap_at = now.after(cap_ms);
        }
    }
}

#[cfg(test)]
mod tests;
