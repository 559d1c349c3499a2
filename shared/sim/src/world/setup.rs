//! The beginning: who is there, who is slow, behind NAT, dishonest.

use std::collections::BTreeMap;

use protocol::{Class, Coordinator, Input, Millis};

use super::{
    Event, World,
    account::Books,
    agent::Agent,
    content::{Hands, NEXT_SET},
    l1::{GENESIS_S, L1, registration},
    number,
};
use crate::{
    Behaviour, WorldOptions,
    checks::Checks,
    engine::{digest::Digest, queue::Queue, rng::Rng},
    machine::Shared,
    report::{story::Story, truth::Truth},
};

/// A sniper's time for a proof, in thousandths of the usual one.
const SNIPER_SPEED: u64 = 500;

impl World {
    /// A world at the start of slot 0.
    ///
    /// # Panics
    /// If the options describe no possible world, such as blocks without txs.
    #[must_use]
    pub fn new(seed: u64, options: WorldOptions) -> Self {
        let mut rng = Rng::new(seed);
        let count = rng.between(options.agents[0], options.agents[1]);
        let agents: Vec<Agent> = (0..count)
            .map(|it| {
                Agent::new(
                    u32::try_from(it).unwrap_or(u32::MAX),
                    class_of(it, &options),
                    lanes(&options, &mut rng),
                )
            })
            .collect();
        let shared = Shared::default();
        let registrations = agents.iter().map(|it| {
            let lanes = u16::try_from(it.lanes.len()).unwrap_or(u16::MAX);
            match it.class() {
                Class::Rollup => registration(it.prover, lanes, 0),
                Class::Vm => registration(it.prover, 0, lanes),
            }
        });
        let l1 = L1::new(options.params.clone(), registrations.collect(), &mut rng);
        let start_s = GENESIS_S + options.params.genesis_block * options.params.l1_block_s;
        let lanes = agents.iter().flat_map(|it| &it.lanes);
        let all = lanes.clone().count() as u64;
        let vm = lanes.filter(|it| it.class == Class::Vm).count() as u64;
        let now = Millis(start_s * 1000);
        let mut world = Self {
            seed,
            rng,
            now,
            queue: Queue::new(now),
            shared,
            agents,
            hands: Hands { all, vm },
            l1,
            contents: Vec::new(),
            numbers: BTreeMap::new(),
            truth: Truth::new(),
            runs: Vec::new(),
            sent: Vec::new(),
            revealed_at: None,
            tops_made: 0,
            apart_until: Millis(0),
            censored: None,
            reorged_at: Millis(0),
            checks: Checks::default(),
            digest: Digest::new(seed),
            counts: super::Counts::default(),
            over: false,
            orderly: is_orderly(&options),
            reconnects: reconnects(&options),
            story: Story::default(),
            books: Books::default(),
            timeline: Vec::new(),
            actions: Vec::new(),
            told: Vec::new(),
            options,
        };
        world.l1.pays_twice = super::conduct::mistake::pays_twice(world.options.mutation);
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.story.begin(self.now);
        self.queue.push(self.now, Event::Mine);
        for agent in 0..self.agents.len() {
            self.agents[agent].changed = self.now;
            self.queue.push(self.now, Event::Poll(number(agent)));
        }
        self.cast();
        self.checks.remembers = self.agents.len() <= super::judge::ALL_TO_ALL_MAX;
        for agent in 0..self.agents.len() {
            self.agents[agent].machine = Some(Box::new(self.machine(agent)));
            self.tell_keys(agent);
        }
    }

    /// An agent finds that its lanes lack keys, or have them.
    pub(super) fn tell_keys(&mut self, agent: usize) {
        if 0 < self.options.prover.no_keys {
            let able = !self.agents[agent].keyless;
            let lanes: Vec<_> = self.agents[agent].lanes.iter().map(|it| it.id).collect();
            for lane in lanes {
                self.feed(agent, Input::Keys { lane, set: NEXT_SET, able });
            }
        }
    }

    /// A machine with no history.
    pub(super) fn machine(&self, agent: usize) -> Coordinator {
        let it = &self.agents[agent];
        self.shared.machine(it.prover, &self.options.params, it.behaviour)
    }

    /// Who is what.
    fn cast(&mut self) {
        for [share, speed] in self.options.prover.speeds.clone() {
            self.choose(share, |it| it.speed == 1000).into_iter().for_each(|it| {
                self.agents[it].speed = speed;
            });
        }
        let (slow, nat) = (self.options.mesh.slow, self.options.mesh.nat);
        self.choose(slow, |_| true).into_iter().for_each(|it| self.agents[it].slow = true);
        let (late, late_ms) = (self.options.prover.late_plan, self.options.prover.late_plan_ms);
        self.choose(late, |_| true).into_iter().for_each(|it| self.agents[it].starved_ms = late_ms);
        self.choose(nat, |_| true).into_iter().for_each(|it| self.agents[it].nat = true);
        for (behaviour, share) in self.options.behaviours.clone() {
            let chosen = self.choose(share, |it| it.behaviour == Behaviour::Honest);
            let faster = (behaviour == Behaviour::Sniper).then_some(SNIPER_SPEED);
            for agent in chosen {
                let it = &mut self.agents[agent];
                it.behaviour = behaviour;
                it.speed = faster.unwrap_or(it.speed);
            }
        }
        let keyless = self.options.prover.no_keys;
        if 0 < keyless {
            self.choose(keyless, |_| true).into_iter().for_each(|it| {
                self.agents[it].keyless = true;
            });
        }
    }

    /// A share of all agents, picked from those that fit; what is left over of a share is decided
    /// by chance.
    pub(super) fn choose(&mut self, share: u64, fits: impl Fn(&Agent) -> bool) -> Vec<usize> {
        let count = self.agents.len() as u64 * share;
        let more = u64::from(self.rng.chance(count % 1000));
        let wanted = usize::try_from(count / 1000 + more).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Vec::new();
        }
        let mut order: Vec<usize> =
            (0..self.agents.len()).filter(|&it| fits(&self.agents[it])).collect();
        for last in (1..order.len()).rev() {
            let other = self.rng.index(last + 1);
            order.swap(last, other);
        }
        order.truncate(wanted);
        order
    }
}

fn lanes(options: &WorldOptions, rng: &mut Rng) -> u16 {
    u16::try_from(rng.between(options.lanes[0], options.lanes[1])).unwrap_or(1)
}

/// Whether rules about timing hold to the second: no fault that keeps words from being heard, and
/// nobody who comes to work in the middle of it.
fn is_orderly(options: &WorldOptions) -> bool {
    let mesh = &options.mesh;
    let heard = mesh.loss + mesh.drop + mesh.cut == 0
        && mesh.groups < 2
        && mesh.delay_ms + mesh.jitter_ms < 500;
    let steady =
        options.prover.crash_every == 0 && options.l1.reorg == 0 && options.kills.is_empty();
    let steady = steady && options.prover.no_keys == 0;
    heard && steady && options.behaviours.is_empty() && options.prover.late_plan == 0
}

/// Whether an agent or a link comes back.
const fn reconnects(options: &WorldOptions) -> bool {
    0 < options.mesh.cut || 1 < options.mesh.groups || 0 < options.prover.crash_every
}

/// The first agent has lanes of class vm if anybody has; the others are spread evenly.
const fn class_of(number: u64, options: &WorldOptions) -> Class {
    let before = (number * options.vm).div_ceil(1000);
    let after = ((number + 1) * options.vm).div_ceil(1000);
    if before < after { Class::Vm } else { Class::Rollup }
}
