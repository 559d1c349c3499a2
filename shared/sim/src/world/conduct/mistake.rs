//! Mistakes of agents: a wrapper around the machine's actions and inputs.

use std::sync::Arc;

use protocol::{Action, L1Event, LaneId, Message, Previous, ProverId, Record, Slot};

use crate::Mutation;
use crate::world::{Event, World, agent::Packet, l1, number};

impl World {
    /// Puts the world's mistake into the actions of one step.
    pub(in crate::world) fn mistake(&mut self, agent: usize, actions: &mut Vec<Action>) {
        match self.options.mutation {
            Mutation::SpeakBeforePersist => {
                actions.sort_by_key(|it| matches!(it, Action::Persist(_)));
            }
            Mutation::NoBeats => {
                actions.retain(|it| !is_message(it, |it| matches!(it, Message::Beat { .. })))
            }
            Mutation::SwallowReleases => {
                actions.retain(|it| !is_message(it, |it| matches!(it, Message::Release { .. })));
            }
            Mutation::DropCap => actions.retain(|it| {
                !matches!(it, Action::Persist(Record::Ended { how: Previous::Capped, .. }))
            }),
            Mutation::DropChildren => change(actions, |it| {
                if let Action::Prove { children, .. } = it {
                    children.clear();
                }
            }),
            Mutation::StealPay => change(actions, |it| {
                if let Action::Prove { payee, .. } = it {
                    *payee = l1::payout_of(ProverId(u32::MAX));
                }
            }),
            Mutation::IgnoreQuarantine => change(actions, |it| {
                if let Action::Send { message: Message::Release { failed, .. }, .. } = it {
                    *failed = false;
                }
            }),
            Mutation::ReuseNumbers => change(actions, |it| {
                if let Action::Persist(Record::Claimed { seq, .. } | Record::Ended { seq, .. })
                | Action::Send { message: Message::Claim { seq, .. }, .. } = it
                {
                    *seq = 1;
                }
            }),
            Mutation::DoubleVote => self.vote_twice(actions),
            Mutation::BeatForAll => self.beat_for_all(agent, actions),
            Mutation::RootFirst => root_first(actions),
            Mutation::OneReplica => self.acknowledge_all(agent, actions),
            Mutation::None
            | Mutation::LoseLastRecord
            | Mutation::ForgetJournal
            | Mutation::DeafToLosses
            | Mutation::IgnoreUndo
            | Mutation::AcceptEverything
            | Mutation::PayTwice => (),
        }
    }

    fn vote_twice(&self, actions: &mut Vec<Action>) {
        let others = self.agents.iter().filter_map(|it| it.lanes.first()).map(|it| it.id);
        let mut more = Vec::new();
        for action in actions.iter() {
            let Action::Send { message: Message::Loss { lane, slot, watcher, last_beat }, to } =
                action
            else {
                continue;
            };
            let third = |it: &LaneId| ![lane.prover(), watcher.prover()].contains(&it.prover());
            more.extend(others.clone().find(third).map(|watcher| Action::Send {
                message: Message::Loss { lane: *lane, slot: *slot, watcher, last_beat: *last_beat },
                to: to.clone(),
            }));
        }
        actions.append(&mut more);
    }

    fn beat_for_all(&self, agent: usize, actions: &mut Vec<Action>) {
        let next = (agent + 1) % self.agents.len();
        let neighbour = self.agents[next].lanes.first().map_or(LaneId::default(), |it| it.id);
        let beats = actions.iter().filter_map(|it| {
            let Action::Send { message: Message::Beat { slot, n, task, .. }, to } = it else {
                return None;
            };
            let message = Message::Beat { lane: neighbour, slot: *slot, n: *n, task: *task };
            Some(Action::Send { message, to: to.clone() })
        });
        let more: Vec<Action> = beats.collect();
        actions.extend(more);
    }

    /// Everybody is made to say that it holds what this agent announces.
    fn acknowledge_all(&mut self, agent: usize, actions: &[Action]) {
        for action in actions {
            let Action::Send { message: Message::Made { statement, slot, .. }, .. } = action else {
                continue;
            };
            let (statement, slot) = (*statement, *slot);
            let others = self.agents.iter().filter(|it| it.prover.0 != number(agent));
            let lanes = others.filter_map(|it| it.lanes.first()).map(|it| it.id);
            for lane in lanes {
                let message = Message::Held { statement, lane, slot };
                let packet = Arc::new(Packet { signer: lane.prover(), message });
                self.queue.push(self.now, Event::Deliver { to: number(agent), packet });
            }
        }
    }
}

fn is_message(action: &Action, kind: impl Fn(&Message) -> bool) -> bool {
    let (Action::Send { message, .. } | Action::Relay { message, .. }) = action else {
        return false;
    };
    kind(message)
}

fn change(actions: &mut [Action], what: impl Fn(&mut Action)) {
    actions.iter_mut().for_each(what);
}

fn root_first(actions: &mut Vec<Action>) {
    let made = actions.iter().find_map(|it| {
        let Action::Persist(Record::Made { statement, blob, .. }) = it else { return None };
        Some(Action::SubmitRoot { slot: Slot(0), statement: *statement, blob: *blob })
    });
    actions.extend(made);
}

/// Whether the contract forgets that it settled a slot.
pub(in crate::world) const fn pays_twice(mutation: Mutation) -> bool {
    matches!(mutation, Mutation::PayTwice)
}

/// Whether two settlements of one slot stand in these events.
pub(in crate::world) fn settled_twice<'a>(
    events: impl Iterator<Item = &'a L1Event>,
) -> Option<Slot> {
    let mut seen = std::collections::BTreeSet::new();
    events
        .filter_map(|it| if let L1Event::Settled { slot, .. } = it { Some(*slot) } else { None })
        .find(|it| !seen.insert(*it))
}
