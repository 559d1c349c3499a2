//! Messages between agents: delay, loss, duplication, partitions, slow links, NAT, and what a
//! connection repeats when it is back.

use std::sync::Arc;

use protocol::{Audience, Input, Message, ProverId};

use super::{
    Event, World,
    agent::{Packet, Said},
    bytes_of, index, number,
};
use crate::{Behaviour, Mutation, machine};

impl World {
    /// Hands a signed message to everybody it is meant for.
    pub(super) fn send(&mut self, agent: usize, signer: ProverId, message: Message, to: Audience) {
        if self.books.kept {
            self.books.hear(&message);
        }
        let packet = Arc::new(Packet { signer, message });
        if self.checks.remembers {
            self.checks.said.insert(message);
        }
        match &to {
            Audience::Everyone => {
                for other in 0..self.agents.len() {
                    self.transmit(agent, other, &packet);
                }
            }
            Audience::Provers(list) => {
                for prover in list {
                    self.transmit(agent, index(prover.0), &packet);
                }
            }
        }
        if self.reconnects {
            self.agents[agent].remember(Said { packet, to });
        }
    }

    fn transmit(&mut self, from: usize, to: usize, packet: &Arc<Packet>) {
        let there = self.agents.get(to).is_some_and(|it| !it.stopped);
        if from == to
            || !there
            || self.is_apart(from, to)
            || self.rng.chance(self.options.mesh.drop)
        {
            return;
        }
        let mut delay = self.delay_ms(from, to);
        if self.rng.chance(self.options.mesh.loss) {
            let [low, high] = self.options.mesh.retry_ms;
            delay += self.rng.between(low, high);
        }
        let copies = 1 + u64::from(self.rng.chance(self.options.mesh.duplication));
        for copy in 0..copies {
            let event = Event::Deliver { to: number(to), packet: Arc::clone(packet) };
            self.queue.push(self.now.after(delay + copy * delay), event);
        }
    }

    /// One way. Two agents behind NAT need a relay, and links of slow agents are slow.
    pub(super) fn delay_ms(&mut self, a: usize, b: usize) -> u64 {
        let mesh = &self.options.mesh;
        let jitter = if mesh.jitter_ms == 0 { 0 } else { self.rng.between(0, mesh.jitter_ms) };
        let (a, b) = (&self.agents[a], &self.agents[b]);
        let factor = if a.slow || b.slow { mesh.slow_factor } else { 1 };
        let hops = if a.nat && b.nat { 2 } else { 1 };
        (mesh.delay_ms + jitter) * factor * hops
    }

    /// Whether nothing passes between the two now.
    pub(super) fn is_apart(&self, a: usize, b: usize) -> bool {
        let now = self.now;
        if now < self.agents[a].cut_until || now < self.agents[b].cut_until {
            return true;
        }
        let mesh = &self.options.mesh;
        let since = self.revealed_at.map(|it| it.after(mesh.groups_at_ms));
        let split = now < self.apart_until && since.is_some_and(|it| it <= now);
        let group = |it: usize| it as u64 % mesh.groups.max(1);
        split && group(a) != group(b)
    }

    pub(super) fn deliver(&mut self, to: usize, packet: &Packet) {
        if !self.agents[to].is_up() {
            return;
        }
        self.counts.received += 1;
        if let Message::Beat { lane, slot, .. } = packet.message
            && self.checks.remembers
            && lane.prover() == packet.signer
        {
            self.agents[to].heard.insert((slot, lane), self.now);
        }
        self.counts.bytes += bytes_of(&packet.message);
        let deaf = self.options.mutation == Mutation::DeafToLosses;
        if deaf && matches!(packet.message, Message::Loss { .. }) {
            return;
        }
        if self.agents[to].behaviour != Behaviour::Honest {
            self.overhear(to, packet);
        }
        self.feed(to, Input::Peer { from: packet.signer, message: packet.message });
    }

    /// Both ends repeat what they said to each other in open slots.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        if !self.agents[a].is_up() || !self.agents[b].is_up() || self.is_apart(a, b) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let prover = self.agents[to].prover;
            for packet in self.agents[from].repeats(prover, machine::is_open) {
                self.transmit(from, to, &packet);
            }
        }
    }

    /// The mesh is whole again: agents of different groups connect.
    pub(super) fn rejoin(&mut self) {
        for a in 0..self.agents.len() {
            for b in a + 1..self.agents.len() {
                self.after([1, 2_000], Event::Connect(number(a), number(b)));
            }
        }
    }
}
