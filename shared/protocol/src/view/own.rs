//! This agent's own lanes and tasks, and why it is idle.

use super::{LaneView, TASKS_SHOWN_MAX, TaskView};
use crate::{
    Coordinator,
    claims::{Live, Stage},
    domain::{LaneId, Millis, ProverId},
    io::Previous,
    round::Round,
};

impl Coordinator {
    pub(super) fn lane_views(&self) -> Vec<LaneView> {
        let Some(own) = self.own() else { return Vec::new() };
        let Some(registration) = self.chain().prover(own) else { return Vec::new() };
        let view = |(lane, class)| {
            let live = self.claims().live(lane);
            LaneView {
                lane,
                class,
                state: live.map_or("idle", |it| lane_state(it.stage)),
                node: live.and_then(|it| it.node),
                task: live.map(|it| it.task),
                since: live.map_or(Millis(0), |it| it.stage_since),
                usual_ms: live.and_then(|it| it.node).map(|it| self.params().p50(it.kind)),
            }
        };
        registration.lanes(own).map(view).collect()
    }

    pub(super) fn task_views(&self) -> Vec<TaskView> {
        let view = |lane: LaneId, live: &Live, state, since| {
            let proof = self.ledger().own(live.task);
            TaskView {
                slot: live.slot,
                node: live.node,
                task: live.task,
                lane,
                seq: live.seq,
                state,
                since,
                cpu_ms: proof.and_then(|it| it.cpu_ms),
                peak_mb: proof.and_then(|it| it.peak_mb),
            }
        };
        let live = self.claims().all().map(|(lane, it)| {
            let state = match it.stage {
                Stage::Inputs { .. } | Stage::Machine => "claimed",
                Stage::Proving => "proving",
                Stage::Made { .. } => "made",
            };
            view(lane, it, state, it.stage_since)
        });
        let past = self.claims().past().iter().rev();
        let past = past.map(|it| view(it.lane, &it.live, ended(it.how), it.at));
        live.chain(past).take(TASKS_SHOWN_MAX).collect()
    }

    /// A stable code of `assets/docs/operating.md`: why no own lane has a claim.
    pub(super) fn idle_reason(&self) -> Option<&'static str> {
        if self.claims().all().next().is_some() {
            return None;
        }
        let registered = self.own().is_some_and(|it| self.chain().prover(it).is_some());
        if self.chain().head().is_none() {
            return Some("IDLE-NO-L1");
        }
        if !registered {
            return Some(if self.own().is_none() {
                "IDLE-NO-LANES"
            } else {
                "IDLE-NOT-REGISTERED"
            });
        }
        let Some(slot) = self.chain().oldest_unsettled(self.params()) else {
            return Some("IDLE-NO-BLOCK");
        };
        let block = self.chain().slot(slot).and_then(|it| it.reveal).map(|it| it.block);
        if block.is_some_and(|it| self.is_refused(it)) {
            return Some("IDLE-BLOCK-REFUSED");
        }
        if self.lacks_keys(slot) {
            return Some("IDLE-NO-KEYS");
        }
        let Some(round) = self.round(slot) else { return Some("IDLE-CHECKING-BLOCK") };
        Some(self.idle_in(round))
    }

    fn idle_in(&self, round: &Round) -> &'static str {
        let standing = |lane| round.standing(lane);
        let own: Vec<LaneId> = round.own.iter().map(|(lane, _)| *lane).collect();
        let all = |what: &dyn Fn(&crate::round::Standing) -> bool| {
            own.iter().all(|&it| standing(it).is_some_and(what))
        };
        if own.is_empty() {
            "IDLE-NOT-ACTIVE-YET"
        } else if own.iter().all(|&lane| self.claims().in_doubt(lane)) {
            "IDLE-LANES-IN-DOUBT"
        } else if all(&|it| it.lost) {
            "IDLE-LANES-LOST"
        } else if all(&|it| it.capped) {
            "IDLE-LANES-CAPPED"
        } else if let Some(why) = own.iter().find_map(|&it| self.blocked(it)) {
            why
        } else if round.is_known(round.root()) {
            "IDLE-SETTLING"
        } else {
            "IDLE-NO-READY-TASK"
        }
    }

    /// Whether all lanes of a prover are lost in the current slot, for the list of peers.
    #[must_use]
    pub fn is_prover_lost(&self, prover: ProverId) -> bool {
        let Some(slot) = self.chain().oldest_unsettled(self.params()) else { return false };
        let Some(round) = self.round(slot) else { return false };
        let mut lanes = round.deal.lanes_of(prover).peekable();
        lanes.peek().is_some() && lanes.all(|(lane, _)| !round.is_alive(lane))
    }
}

const fn lane_state(stage: Stage) -> &'static str {
    match stage {
        Stage::Inputs { .. } => "waiting_inputs",
        Stage::Machine => "waiting_machine",
        Stage::Proving => "proving",
        Stage::Made { .. } => "delivering",
    }
}

/// The word for how a claim ended.
#[must_use]
pub const fn ended(how: Previous) -> &'static str {
    match how {
        Previous::None => "claimed",
        Previous::Delivered => "delivered",
        Previous::Released => "released",
        Previous::Lost => "lost",
        Previous::Capped => "capped",
        Previous::Reverted => "reverted",
    }
}
