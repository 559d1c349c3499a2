//! How dishonest agents act: their machines are the product's own, and what they say, do and serve
//! is bent on the way out.

pub(super) mod mistake;

use protocol::{Action, Audience, Input, Kind, LaneId, Message, ProverEvent, Slot, TaskId};

use super::{Event, World, agent::Packet, index, number};
use crate::{Behaviour, behaviour::Behaviour as B, machine};

/// Live lanes that a false watcher accuses per L1 block.
const ACCUSED: usize = 4;

impl World {
    /// What becomes of an action of a dishonest agent; `None` if it does not happen.
    pub(super) fn bend(&mut self, agent: usize, action: Action) -> Option<Action> {
        match (self.agents[agent].behaviour, &action) {
            (B::Phantom | B::Refuser, Action::Send { message, .. }) => {
                let beat = matches!(message, Message::Beat { .. } | Message::Loss { .. });
                beat.then_some(action)
            }
            (B::Phantom | B::Refuser, Action::Prove { .. } | Action::SubmitRoot { .. }) => None,
            (B::Refuser, Action::Relay { .. } | Action::Fetch { .. }) => None,
            (B::Lazy, Action::Prove { .. }) => None,
            (B::LazyInCrown, Action::Prove { node, .. }) => {
                (!matches!(node.kind, Kind::Merge | Kind::Root)).then_some(action)
            }
            (B::Holder, Action::Prove { task, node, .. }) => {
                let held = self.options.params.claim_cap_ms(node.kind) * 9 / 10;
                let life = self.agents[agent].life;
                let event = Event::GiveBack { agent: number(agent), life, task: Box::new(*task) };
                self.queue.push(self.now.after(held), event);
                None
            }
            (B::Denier, Action::Send { message: Message::Held { .. }, .. }) => None,
            (B::Liar, Action::Send { message, to }) => {
                let (message, to) = (*message, to.clone());
                Some(Action::Send { message: self.falsify(agent, message), to })
            }
            (B::Equivocator, Action::Send { message, to }) => {
                self.contradict(agent, *message, to.clone());
                Some(action)
            }
            _ => Some(action),
        }
    }

    /// A holder gives its claim back at the last moment.
    pub(super) fn give_back(&mut self, agent: usize, life: u32, task: TaskId) {
        if self.agents[agent].life == life {
            let failed = ProverEvent::Failed { task, why: "PRV-070" };
            self.feed(agent, Input::Prover(failed));
        }
    }

    /// A second claim with the same number, on another task.
    fn contradict(&mut self, agent: usize, message: Message, to: Audience) {
        let Message::Claim { slot, lane, seq, attempt, previous, .. } = message else { return };
        let Some(content) = usize::try_from(slot.0).ok().and_then(|it| self.contents.get(it))
        else {
            return;
        };
        let place = self.rng.index(content.tasks.len());
        let task = self.contents[index_of(slot)].tasks[place].task;
        let other = Message::Claim { task, lane, slot, seq, attempt, previous };
        let signer = self.agents[agent].prover;
        self.send(agent, signer, other, to);
    }

    /// Whether the agent serves proofs at all.
    pub(super) const fn serves_proofs(behaviour: Behaviour) -> bool {
        !matches!(behaviour, B::Hider | B::Refuser)
    }

    /// What an agent does about words that it hears, beyond its machine.
    pub(super) fn overhear(&mut self, agent: usize, packet: &Packet) {
        if self.agents[agent].behaviour != B::Copier {
            return;
        }
        let Message::Made { task, statement, blob, lane, slot, cpu_ms, peak_mb, .. } =
            packet.message
        else {
            return;
        };
        // Copies of copies would never end.
        if self.truth.fact(blob).is_none_or(|it| it.maker != lane.prover()) {
            return;
        }
        let own = self.agents[agent].lanes.first().cloned();
        let Some(own) = own.filter(|it| it.id != lane) else { return };
        let (lane, seq) = (own.id, own.seq);
        let copy = Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb };
        let signer = self.agents[agent].prover;
        self.send(agent, signer, copy, Audience::Everyone);
    }

    /// False watchers accuse live lanes, once per L1 block.
    pub(super) fn accuse(&mut self) {
        for agent in 0..self.agents.len() {
            let it = &self.agents[agent];
            let Some(machine) = it.machine.as_ref().filter(|_| it.behaviour == B::FalseWatcher)
            else {
                continue;
            };
            let (own, signer) = (it.lanes.first().map(|it| it.id), it.prover);
            let slots: Vec<Slot> = machine::losses(machine).into_iter().map(|it| it.0).collect();
            let accusations = slots.into_iter().flat_map(|it| [it; ACCUSED]);
            for (slot, watcher) in accusations.zip(own.into_iter().cycle()) {
                let lane = self.some_lane(agent);
                let last_beat = (self.now.0 / self.options.params.beat_ms).saturating_sub(4);
                let message = Message::Loss { lane, slot, watcher, last_beat };
                self.send(agent, signer, message, Audience::Everyone);
            }
        }
    }

    fn some_lane(&mut self, but: usize) -> LaneId {
        let picked = self.rng.index(self.agents.len());
        let picked = if picked == but { (picked + 1) % self.agents.len() } else { picked };
        self.agents[picked].lanes.first().map_or(LaneId::default(), |it| it.id)
    }

    /// Leavers are in the epoch's set and go when the first block is revealed.
    pub(super) fn leave(&mut self) {
        let leavers: Vec<usize> =
            (0..self.agents.len()).filter(|&it| self.agents[it].behaviour == B::Leaver).collect();
        if !leavers.is_empty() {
            self.stop(&leavers);
        }
    }
}

fn index_of(slot: Slot) -> usize {
    index(u32::try_from(slot.0).unwrap_or(u32::MAX))
}
