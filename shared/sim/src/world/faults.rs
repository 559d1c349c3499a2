//! Crashes, restarts, cuts, and agents that stop for good.

use protocol::{Class, Millis};

use super::{Event, World, index, number};
use crate::{Behaviour, Moment, Mutation};

impl World {
    /// The agent goes down. A record that was being written may be torn: nothing came after it.
    pub(super) fn crash(&mut self, agent: usize, record: bool) {
        self.counts.crashes += 1;
        let prover = self.agents[agent].prover;
        self.story.tell(self.now, || format!("prover {prover} crashes"));
        self.account_lost_runs(agent);
        if record && self.rng.chance(self.options.prover.torn) {
            self.tear(agent);
        }
        self.agents[agent].crash(self.now);
        let downtime = self.options.prover.downtime_ms;
        self.after(downtime, Event::Start(number(agent)));
    }

    /// The last record of the journal is lost.
    fn tear(&mut self, agent: usize) {
        use protocol::Record;
        let Some(record) = self.agents[agent].disk.pop() else { return };
        match record {
            Record::Claimed { lane, seq, task, .. } => {
                if let Some(it) = self.agents[agent].lane(lane) {
                    it.end(seq);
                    it.seq = it.seq.min(seq.saturating_sub(1));
                }
                if let Some(task) = self.truth.task(task) {
                    self.truth.tasks[index(task)].live.retain(|it| *it != lane);
                }
            }
            Record::Ended { lane, seq, .. } => self.revive(agent, lane, seq),
            Record::Made { statement, .. } | Record::Held { statement, .. } => {
                let said = self.truth.said(statement);
                let again = self.agents[agent].disk.iter().any(|it| matches!(it, Record::Made { statement: s, .. } | Record::Held { statement: s, .. } if *s == statement));
                if !again {
                    self.agents[agent].durable.remove(&said);
                }
                if let Record::Made { task, .. } = record {
                    self.agents[agent].unprove(task);
                }
            }
            Record::Settled { .. } => (),
        }
    }

    /// A claim whose end was torn lives on.
    fn revive(&mut self, agent: usize, lane: protocol::LaneId, seq: u64) {
        let claimed = self.agents[agent].disk.iter().rev().find_map(|it| {
            let protocol::Record::Claimed { lane: l, seq: s, task, .. } = *it else { return None };
            ((l, s) == (lane, seq)).then_some(task)
        });
        let Some(task) = claimed else { return };
        let proved = self.agents[agent].proved.contains(&task);
        if let Some(it) = self.agents[agent].lane(lane) {
            if proved {
                it.made.push((seq, task));
            } else {
                it.live = Some((seq, task));
            }
        }
        if let Some(task) = self.truth.task(task) {
            self.truth.tasks[index(task)].live.push(lane);
        }
    }

    pub(super) fn start(&mut self, agent: usize) {
        if self.agents[agent].is_up() || self.agents[agent].stopped {
            return;
        }
        if self.options.mutation == Mutation::ForgetJournal {
            self.agents[agent].disk.clear();
        }
        if self.options.mutation == Mutation::LoseLastRecord {
            self.agents[agent].disk.pop();
        }
        let prover = self.agents[agent].prover;
        self.story.tell(self.now, || format!("prover {prover} is back"));
        let machine = self.machine(agent).restore(&self.agents[agent].disk);
        self.agents[agent].changed = self.now;
        self.agents[agent].machine = Some(Box::new(machine));
        self.tell_keys(agent);
        self.poll(agent);
        for other in (0..self.agents.len()).filter(|&it| it != agent) {
            self.after([100, 2_000], Event::Connect(number(agent), number(other)));
        }
    }

    /// One agent hears nobody and is heard by nobody for a while.
    pub(super) fn cut(&mut self) {
        let [low, high] = self.options.mesh.cut_ms;
        let (agent, ms) = (self.rng.index(self.agents.len()), self.rng.between(low, high));
        self.agents[agent].cut_until = self.now.after(ms);
        self.story.tell(self.now, || format!("prover {agent} is cut off for {} s", ms / 1000));
        for other in (0..self.agents.len()).filter(|&it| it != agent) {
            let delay = self.rng.between(1, 2_000);
            let event = Event::Connect(number(agent), number(other));
            self.queue.push(self.now.after(ms + delay), event);
        }
    }

    /// Kills that are spread over the first block's time: half of them together.
    pub(super) fn scatter(&mut self, start: Millis) {
        let kills = self.options.kills.clone();
        for kill in kills.iter().filter(|it| it.at == Moment::Scattered) {
            let together = self.rng.between(0, 200_000);
            for agent in self.doomed(kill.share) {
                let apart = self.rng.between(0, 250_000);
                let after = [apart, together][usize::from(self.rng.chance(500))];
                self.queue.push(start.after(after), Event::Stop(number(agent)));
            }
        }
    }

    pub(super) fn kill(&mut self, which: usize) {
        let share = self.options.kills[which].share;
        let doomed = self.doomed(share);
        self.stop(&doomed);
    }

    /// Who stops for good: a share of all, but one honest agent with a lane of class vm stays (of
    /// class rollup, where nobody has the other).
    fn doomed(&mut self, share: u64) -> Vec<usize> {
        let class = if 0 < self.hands.vm { Class::Vm } else { Class::Rollup };
        let mut chosen = self.choose(share, |it| !it.stopped);
        let stays = |it: usize| {
            let it = &self.agents[it];
            !it.stopped && it.class() == class && it.behaviour == Behaviour::Honest
        };
        let left = (0..self.agents.len()).any(|it| stays(it) && !chosen.contains(&it));
        if !left && let Some(keeper) = chosen.iter().position(|&it| stays(it)) {
            chosen.remove(keeper);
        }
        chosen
    }

    /// These agents stop together and for good.
    pub(super) fn stop(&mut self, agents: &[usize]) {
        let mut dead = vec![false; self.agents.len()];
        let mut held = vec![false; self.truth.tasks.len()];
        for &agent in agents {
            if self.agents[agent].stopped {
                continue;
            }
            dead[agent] = true;
            self.account_lost_runs(agent);
            let lanes = self.agents[agent].lanes.iter();
            let live = lanes.filter_map(|it| Some((it.id, self.truth.task(it.live?.1)?)));
            for (lane, task) in live.collect::<Vec<_>>() {
                held[index(task)] = true;
                self.truth.tasks[index(task)].live.retain(|it| *it != lane);
            }
            self.agents[agent].crash(self.now);
            self.agents[agent].stopped = true;
        }
        let gone = dead.iter().filter(|it| **it).count();
        self.story.tell(self.now, || format!("{gone} provers vanish for good"));
        self.orphan(&dead, &held);
    }

    /// What the dead held or were about to make waits for others from now on; what only they had
    /// is made again.
    fn orphan(&mut self, dead: &[bool], held: &[bool]) {
        let mut kept = vec![false; self.truth.facts.len()];
        for agent in self.agents.iter().filter(|it| !it.stopped) {
            agent.store.iter().for_each(|&it| kept[index(it)] = true);
        }
        let mut lost = vec![false; self.truth.tasks.len()];
        let unsettled = |it: &usize| !self.l1.is_settled(protocol::Slot(*it as u64));
        for content in (0..self.contents.len()).filter(unsettled).collect::<Vec<_>>() {
            for (task, makers, wanted) in self.all_missing(content, &kept) {
                let it = &self.truth.tasks[index(task)];
                let was_made = !it.blobs.is_empty();
                let copied = it.blobs.iter().any(|&it| 1 < self.truth.facts[index(it)].copies);
                lost[index(task)] |= copied;
                let ready = makers.len() == wanted && it.live.is_empty();
                let theirs = held[index(task)] || was_made || makers.iter().any(|&it| dead[it]);
                let since = (ready && theirs).then_some(self.now);
                since.into_iter().for_each(|now| self.truth.orphan(now, task));
            }
        }
        self.truth.lost += lost.iter().filter(|it| **it).count() as u64;
    }

    /// From the root downward, what is still to be made of a block: task, makers of children that
    /// somebody keeps, number of children.
    fn all_missing(&self, content: usize, kept: &[bool]) -> Vec<(u32, Vec<usize>, usize)> {
        let tree = &self.contents[content].tree;
        let (mut open, mut found) = (vec![tree.root()], Vec::new());
        while let Some(place) = open.pop() {
            if let Some((task, makers)) = self.missing(content, place, kept) {
                open.extend(tree.children(place));
                found.push((task, makers, tree.children(place).len()));
            }
        }
        found
    }

    /// A task whose proof nobody alive keeps, with the makers of the children that somebody keeps.
    fn missing(&self, content: usize, place: usize, kept: &[bool]) -> Option<(u32, Vec<usize>)> {
        let content = &self.contents[content];
        let proof = |place: usize| {
            let task = self.truth.task(content.tasks[place].task)?;
            self.truth.tasks[index(task)].blobs.iter().find(|it| kept[index(**it)])
        };
        let task = self.truth.task(content.tasks[place].task)?;
        let children = content.tree.children(place).iter();
        let makers =
            children.filter_map(|&it| proof(it)).map(|&it| self.truth.facts[index(it)].maker);
        let makers = makers.map(|it| index(it.0)).collect();
        proof(place).is_none().then_some((task, makers))
    }
}
