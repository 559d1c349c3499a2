//! L1 goes on, and agents follow it.

use protocol::{Input, L1Event, Millis, Slot, TaskId};

use super::{
    Event, QUIET_BLOCKS, World,
    content::{Content, NEXT_SET},
    index, number,
};
use crate::{Moment, Mutation, Sequencer, machine};

/// Slots of a world without end.
const SLOTS_MAX: u64 = 1 << 30;

impl World {
    pub(super) fn mine(&mut self) {
        self.judge_block();
        self.propose();
        let time_s = self.now.0 / 1000;
        let options = &self.options.l1;
        if self.rng.chance(options.reorg) {
            let depth = self.rng.between(1, options.reorg_depth);
            self.l1.reorg(depth, time_s, &mut self.rng);
            self.reorged_at = self.now;
            self.story.tell(self.now, || format!("L1 takes {depth} blocks back"));
        } else if !self.rng.chance(options.missed) {
            self.l1.mine(time_s, &mut self.rng);
        }
        self.notice_reveal();
        self.keep_books();
        if let Some(tip) = self.l1.tip() {
            self.story.block(self.now, &tip.events);
        }
        self.sample();
        let lag = self.options.l1.lag_ms;
        for agent in 0..self.agents.len() {
            if self.agents[agent].is_up() {
                self.after(lag, Event::Poll(number(agent)));
            }
        }
        if self.rng.chance(self.options.mesh.cut) {
            self.cut();
        }
        self.accuse();
        self.over = self.is_over();
        let block_ms = self.options.params.l1_block_s * 1000;
        self.queue.push(self.now.after(block_ms), Event::Mine);
    }

    /// Notes how many lanes are at work.
    fn sample(&mut self) {
        let Some(start) = self.revealed_at else { return };
        let up = self.agents.iter().filter(|it| it.is_up());
        let (busy, lanes) = up.fold((0, 0), |(busy, lanes), it| {
            (busy + it.running.len() as u64, lanes + it.lanes.len() as u64)
        });
        self.timeline.push([self.now.since(start), busy, lanes]);
    }

    /// The sequencer of the slot that the next block is in sends what it sends.
    fn propose(&mut self) {
        let params = &self.options.params;
        let next = self.l1.next_number();
        let slot = next.saturating_sub(params.genesis_block) / params.slot_blocks();
        if self.options.slots <= slot {
            return;
        }
        if self.contents.len() as u64 == slot {
            let content = Content::new(slot, &self.options, &mut self.rng);
            self.numbers.insert(content.block, number(self.contents.len()));
            self.truth.add_content(number(self.contents.len()), &content);
            self.contents.push(content);
        }
        let Some(content) = usize::try_from(slot).ok().and_then(|it| self.contents.get(it)) else {
            return;
        };
        let kind = self.sequencer_of(slot);
        let [low, high] = self.options.l1.reveal_after;
        let after = self.rng.between(low, high);
        self.l1.schedule(Slot(slot), content, (kind, after), &mut self.rng);
    }

    /// The odd one has the second slot, so that others stand before and after it.
    pub(super) const fn sequencer_of(&self, slot: u64) -> Sequencer {
        let odd = if self.options.slots == 1 { 0 } else { 1 };
        if slot == odd { self.options.sequencer } else { Sequencer::Honest }
    }

    /// Faults that count from the first reveal are put on the calendar.
    fn notice_reveal(&mut self) {
        let Some(tip) = self.l1.tip() else { return };
        let revealed = tip.events.iter().any(|it| matches!(it, L1Event::Revealed { .. }));
        if self.revealed_at.is_some() || !revealed {
            return;
        }
        let start = Millis(tip.time_s * 1000);
        self.revealed_at = Some(start);
        for (which, kill) in self.options.kills.clone().iter().enumerate() {
            if let Moment::After(ms) = kill.at {
                self.queue.push(start.after(ms), Event::Kill(number(which)));
            }
        }
        self.scatter(start);
        self.leave();
        for agent in (0..self.agents.len()).filter(|&it| self.agents[it].keyless) {
            let [low, high] = self.options.prover.keys_ms;
            let at = start.after(self.rng.between(low, high));
            self.queue.push(at, Event::Keys(number(agent)));
        }
        let mesh = &self.options.mesh;
        if 1 < mesh.groups {
            self.apart_until = start.after(mesh.groups_at_ms + mesh.groups_ms);
            self.queue.push(self.apart_until, Event::Rejoin);
        }
    }

    /// Brings an agent's L1 up to date: back to the fork, then forward. A crash ends it.
    pub(super) fn poll(&mut self, agent: usize) {
        let life = self.agents[agent].life;
        while self.agents[agent].is_up() && self.agents[agent].life == life {
            let last = self.agents[agent].l1;
            if let Some(place) = last.filter(|&it| !self.l1.stands(it)) {
                let block = &self.l1.all[index(place)];
                let (hash, below) = (block.hash, block.below);
                self.agents[agent].l1 = below;
                self.undo(agent, hash);
                continue;
            }
            let known = last.map_or(0, |it| self.l1.all[index(it)].number + 1);
            let next = usize::try_from(known).ok().and_then(|it| self.l1.canon.get(it)).copied();
            let Some(place) = next else { break };
            let input = self.l1.all[index(place)].input();
            self.agents[agent].l1 = Some(place);
            self.judge_undo(agent, place);
            self.feed(agent, input);
        }
        self.judge_deals(agent);
        self.plan(agent);
    }

    fn undo(&mut self, agent: usize, hash: protocol::Hash) {
        if self.options.mutation != Mutation::IgnoreUndo {
            self.feed(agent, Input::L1Undo { hash });
        }
    }

    /// A new block is executed and checked, which takes a while. Withheld data never comes.
    fn plan(&mut self, agent: usize) {
        let it = &mut self.agents[agent];
        let Some(machine) = &it.machine else { return };
        let life = it.life;
        let mut fresh = machine::unplanned(machine);
        fresh.retain(|&block| it.planning.insert(block));
        for block in fresh {
            let Some(&content) = self.numbers.get(&block) else { continue };
            let withheld = self.sequencer_of(u64::from(content)) == Sequencer::Withholds;
            if withheld || !self.checks_blocks_of(agent, content) {
                self.agents[agent].planning.remove(&block);
                continue;
            }
            let took = self.options.prover.plan_ms.map(|it| it + self.agents[agent].starved_ms);
            self.after(took, Event::Planned { agent: number(agent), life, content });
        }
    }

    /// Whether the agent has the verifying keys of the block's circuit set.
    fn checks_blocks_of(&self, agent: usize, content: u32) -> bool {
        let next = self.contents[index(content)].set == NEXT_SET;
        !(next && self.agents[agent].keyless && agent.is_multiple_of(2))
    }

    /// The agent has all keys from now on.
    pub(super) fn get_keys(&mut self, agent: usize) {
        self.agents[agent].keyless = false;
        self.tell_keys(agent);
        self.plan(agent);
    }

    /// Tasks that were dealt to lanes without keys, and that need no other proof, wait for others
    /// from the first moment on.
    pub(super) fn orphan_keyless(&mut self, agent: usize, content: u32) {
        let there = &self.contents[index(content)];
        let Some(machine) = self.agents[agent].machine.as_ref() else { return };
        if there.set != NEXT_SET {
            return;
        }
        let leaves = (0..there.tasks.len()).filter(|&it| there.tree.children(it).is_empty());
        let leaves: Vec<TaskId> = leaves.map(|it| there.tasks[it].task).collect();
        let dealt = machine::dealt(machine, Slot(u64::from(content))).into_iter();
        let theirs = dealt.filter(|(task, lane)| {
            self.agents[index(lane.prover().0)].keyless && leaves.contains(task)
        });
        for (task, _) in theirs.collect::<Vec<_>>() {
            let Some(task) = self.truth.task(task) else { continue };
            let it = &self.truth.tasks[index(task)];
            if it.live.is_empty() && it.blobs.is_empty() {
                self.truth.orphan(self.now, task);
            }
        }
    }

    fn is_over(&self) -> bool {
        let mined = self.l1.next_number();
        let last = self.options.params.reveal_end(Slot(self.options.slots.min(SLOTS_MAX) - 1));
        let time_s = self.now.0 / 1000;
        let revealed = self.l1.revealed();
        let done =
            |it: &super::l1::Revealed| self.l1.is_settled(it.slot) || self.l1.is_lapsed(it, time_s);
        let quiet = self.options.l1.reorg == 0
            || self
                .l1
                .canon
                .iter()
                .rev()
                .take(4)
                .all(|&it| self.l1.all[index(it)].events.is_empty());
        let wait = if self.options.l1.reorg == 0 { 0 } else { QUIET_BLOCKS };
        last + wait < mined && revealed.iter().all(done) && quiet
    }
}
