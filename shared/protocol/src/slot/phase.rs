//! The Fernet phases of a slot, and what may happen in each (R2.1, R2.4 to R2.6, R6).
//!
//! Up to the reveal phases count L1 blocks; after it they are seconds on the reveal's own clock,
//! whether or not L1 missed blocks. Everything is computed from what L1 shows: nobody has to call
//! anything for a phase to end.

use crate::{
    domain::{Millis, ProverId, Slot},
    params::Params,
    slot::naming::Holder,
};

/// A block of L1: its height, and its time in Unix seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// Height.
    pub number: u64,
    /// Unix seconds.
    pub time_s: u64,
}

/// Where a slot stands.
///
/// ```text
///  Ahead -> Proposal -> Reveal -> Proving -> Settling -> Halting -> Backup -> Over
///                          |  the reveal starts the clock             ^
///                          `---- nobody revealed ------> Halting -----'
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Its first block is not there yet.
    Ahead,
    /// Sequencers commit to blocks.
    Proposal,
    /// The winner publishes its block.
    Reveal,
    /// The block is proved.
    Proving,
    /// Still the proving window, but what is left belongs to L1's inclusion.
    Settling,
    /// A gap in which nothing is accepted, so that nobody can wait for the last block.
    Halting,
    /// Anybody settles.
    Backup,
    /// Nobody can settle the slot any more: it is given up.
    Over,
}

/// When each window after the reveal ends, in Unix seconds, inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// The leader may name a prover, or declare that it proves alone (R2.6, R14).
    pub commitment_s: u64,
    /// By then claims must cover the subtrees under a name (R2.6).
    pub grace_s: u64,
    /// T1: the named party's right (R6).
    pub t1_s: u64,
    /// The root must be made: the settle margin begins (R2.1).
    pub work_s: u64,
    /// The proving window.
    pub proving_s: u64,
    /// The halting gap.
    pub halting_s: u64,
    /// Backup.
    pub backup_s: u64,
}

impl Windows {
    /// The windows of a block that was revealed at `reveal_s`.
    #[must_use]
    pub fn new(params: &Params, reveal_s: u64) -> Self {
        let after = |blocks: u64| reveal_s + blocks * params.l1_block_s;
        let proving = params.proving_blocks;
        let halting = proving + params.halting_blocks;
        let t1 = proving * params.l1_block_s * params.t1_permille / 1_000;
        let windows = Self {
            commitment_s: after(params.commitment_blocks),
            grace_s: after(params.name_grace_blocks),
            t1_s: reveal_s + t1,
            work_s: after(proving - params.settle_margin_blocks),
            proving_s: after(proving),
            halting_s: after(halting),
            backup_s: after(halting + params.backup_blocks),
        };
        assert!(windows.work_s <= windows.proving_s && windows.t1_s <= windows.proving_s);
        assert!(windows.proving_s <= windows.halting_s && windows.halting_s <= windows.backup_s);
        windows
    }

    /// The phase at `time_s`, after the reveal.
    #[must_use]
    pub const fn phase(&self, time_s: u64) -> Phase {
        if time_s <= self.work_s {
            Phase::Proving
        } else if time_s <= self.proving_s {
            Phase::Settling
        } else if time_s <= self.halting_s {
            Phase::Halting
        } else if time_s <= self.backup_s {
            Phase::Backup
        } else {
            Phase::Over
        }
    }

    /// Whether the leader may still name a prover or declare itself (R2.1). The phase overlaps the
    /// reveal and costs nobody time.
    #[must_use]
    pub const fn may_name(&self, time_s: u64) -> bool {
        time_s <= self.commitment_s
    }
}

/// The phase of `slot` at L1 block `now`, whose block was revealed in `reveal` if at all (R2.1).
#[must_use]
pub fn phase(params: &Params, slot: Slot, reveal: Option<At>, now: At) -> Phase {
    if let Some(reveal) = reveal {
        return Windows::new(params, reveal.time_s).phase(now.time_s);
    }
    let start = params.slot_start(slot);
    let end = params.reveal_end(slot);
    let halted = end + params.halting_blocks;
    let number = now.number;
    if number < start {
        Phase::Ahead
    } else if number < start + params.proposal_blocks {
        Phase::Proposal
    } else if number < end {
        Phase::Reveal
    } else if number < halted {
        Phase::Halting
    } else if number < halted + params.backup_blocks {
        Phase::Backup
    } else {
        Phase::Over
    }
}

/// Whether a proposal of `slot` is taken at L1 block `number`, with `unproven` older slots revealed
/// and not settled (R2.4).
#[must_use]
pub fn may_propose(params: &Params, slot: Slot, number: u64, unproven: u64) -> bool {
    let at = At { number, time_s: 0 };
    phase(params, slot, None, at) == Phase::Proposal && unproven < params.build_ahead_max
}

/// Whether `slot` may be revealed at L1 block `number` (R2.4). The slot that is being revealed
/// counts: with a `build_ahead_max` of 1 nothing is revealed while a slot is unsettled.
#[must_use]
pub fn may_reveal(params: &Params, slot: Slot, number: u64, unproven: u64) -> bool {
    let at = At { number, time_s: 0 };
    phase(params, slot, None, at) == Phase::Reveal && unproven < params.build_ahead_max
}

/// A root that somebody sends to L1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root {
    /// Who sends it, if it is a registered prover.
    pub sender: Option<ProverId>,
    /// Thousandths of its units credited to dealt lanes, once an opening was shown on L1.
    pub dealt_permille: Option<u64>,
}

/// Why a valid root is not taken now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotNow {
    /// No root is taken in this phase.
    Phase(Phase),
    /// T1 is somebody else's right (R6).
    Reserved(ProverId),
    /// It was shown to credit too little to dealt lanes, and self-proving was not declared (R6).
    Bypass {
        /// Shown thousandths.
        dealt_permille: u64,
        /// Least allowed in T1.
        least_permille: u64,
    },
}

/// Whether L1 takes a valid root for the revealed block at `time_s` (R6, R14).
///
/// T1 is the right of the holder of a name. Without one, any root is open in it until it is shown
/// to bypass the dealt lanes. After T1 and in backup any valid root settles, from anyone.
///
/// # Errors
/// Why not now.
pub fn accepts(
    params: &Params,
    windows: &Windows,
    time_s: u64,
    holder: Holder,
    root: Root,
) -> Result<(), NotNow> {
    let phase = windows.phase(time_s);
    match phase {
        Phase::Proving | Phase::Settling | Phase::Backup => (),
        Phase::Ahead | Phase::Proposal | Phase::Reveal | Phase::Halting | Phase::Over => {
            return Err(NotNow::Phase(phase));
        }
    }
    if windows.t1_s < time_s {
        return Ok(());
    }
    match (holder, root.dealt_permille) {
        (Holder::Alone(leader), _) if root.sender != Some(leader) => Err(NotNow::Reserved(leader)),
        (Holder::Named(named), _) if root.sender != Some(named) => Err(NotNow::Reserved(named)),
        (Holder::Deal | Holder::Named(_), Some(shown)) if shown < params.t1_dealt_permille => {
            Err(NotNow::Bypass { dealt_permille: shown, least_permille: params.t1_dealt_permille })
        }
        (Holder::Deal | Holder::Named(_) | Holder::Alone(_), _) => Ok(()),
    }
}

/// Whether a task with this remaining way is open to everybody on the mesh, bonded or not: what is
/// left before the settle margin is less than 1.2 × the way (R6).
#[must_use]
pub const fn open_to_all(params: &Params, windows: &Windows, now: Millis, way_ms: u64) -> bool {
    let left_ms = Millis(windows.work_s * 1_000).since(now);
    left_ms * 1_000 < way_ms * params.slack_permille
}

/// The instant from which [`open_to_all`] holds.
#[must_use]
pub const fn opens_at(params: &Params, windows: &Windows, way_ms: u64) -> Millis {
    let way = (way_ms * params.slack_permille).div_ceil(1_000);
    Millis((windows.work_s * 1_000 + 1).saturating_sub(way))
}

#[cfg(test)]
mod tests;
