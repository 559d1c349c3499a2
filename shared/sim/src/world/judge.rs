//! What is judged once per L1 block, about everybody's picture of everybody else.

use protocol::{LaneId, ProverId, round::Round};

use super::World;
use crate::agent::Agent;

impl World {
    /// Who is gone for good must be known as lost to everybody who runs, and who was never down to
    /// nobody: links break for seconds here, never for as long as silence takes.
    pub(super) fn judge_losses(&mut self) {
        let mut wrong: Vec<(ProverId, LaneId, &str)> = Vec::new();
        for judge in &self.agents {
            let Some(machine) = &judge.machine else { continue };
            let slots = machine.unsettled_slots().into_iter();
            for round in slots.filter_map(|it| machine.round(it)) {
                wrong.extend(self.misjudged(judge, round));
            }
        }
        if let Some((judge, lane, what)) = wrong.first() {
            self.checks.fail(self.now, *judge, &format!("lane {lane} {what}"));
        }
    }

    fn misjudged(&self, judge: &Agent, round: &Round) -> Option<(ProverId, LaneId, &'static str)> {
        let patience = 4 * self.options.params.silence_ms();
        let heard = round.started.max(judge.changed).after(patience) < self.now;
        round.lanes.iter().find_map(|(&lane, standing)| {
            let other = self.agents.iter().find(|it| it.prover == lane.prover())?;
            let gone = other.stopped && other.changed.after(patience) < self.now;
            match standing.lost {
                false if gone && heard => Some((judge.prover, lane, "is gone and not lost")),
                true if other.life == 0 => Some((judge.prover, lane, "is here and lost")),
                false | true => None,
            }
        })
    }

    /// One L1 block later everybody who runs follows the canonical chain.
    pub(super) fn judge_heads(&mut self) {
        let params = &self.options.params;
        let newest = self.l1.blocks.last().map(|it| it.hash);
        let ready = |it: &&Agent| it.changed.after(params.l1_block_s * 1000) <= self.now;
        for agent in self.agents.iter().filter(ready) {
            let head = agent.machine.as_ref().and_then(|it| it.chain().head());
            if agent.is_up() && head.map(|it| it.hash) != newest {
                self.checks.fail(self.now, agent.prover, "does not follow the canonical chain");
            }
        }
    }
}
