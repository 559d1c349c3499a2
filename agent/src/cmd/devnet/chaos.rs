//! `--chaos`: what goes wrong in a devnet on purpose, and what was done about it when.
//!
//! Times count from the reveal of the run's first block, which is when proving begins. Which agents
//! are taken follows from the events, the seed and the number of agents alone. The first agent is
//! never taken, because the devnet is watched through it, and neither is the sequencer.

mod spec;

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use serde_json::json;
use wire::control::{Reply, Request};

pub(crate) use self::spec::Spec;
use self::spec::{What, refused};
use super::{Role, processes::Process};
use crate::{error::Coded, shell::control::Client};

/// Most events of one run.
const EVENTS_MAX: usize = 32;
/// A process that does not answer within this time is not disturbed.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// One event, and the agents it takes: numbers from 1, in ascending order.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Event {
    spec: Spec,
    agents: Vec<u16>,
}

/// Something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Step {
    at: Duration,
    event: usize,
    ends: bool,
}

/// Everything that will go wrong.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Plan {
    events: Vec<Event>,
    /// Earliest first.
    steps: VecDeque<Step>,
}

impl Plan {
    /// The plan for `agents` agents.
    ///
    /// # Errors
    /// `DEV-003` if more agents would be taken than there are beside the first.
    pub(crate) fn new(specs: &[Spec], seed: u64, agents: u16) -> Result<Self, Coded> {
        if specs.len() > EVENTS_MAX {
            let text = format!("{} events; at most {EVENTS_MAX} are possible", specs.len());
            return Err(refused(&text));
        }
        let mut specs = specs.to_vec();
        specs.sort_by_key(|it| it.from);
        let mut alive: Vec<u16> = (2..=agents).collect();
        let mut plan = Self::default();
        for (event, spec) in specs.into_iter().enumerate() {
            let share = match spec.what {
                What::Kill(share) | What::Partition(share) => share,
                What::Delay(_) => 0,
            };
            let taken = take(&spec, share, agents, &alive, seed.wrapping_add(event as u64))?;
            if matches!(spec.what, What::Kill(_)) {
                alive.retain(|it| !taken.contains(it));
            }
            plan.steps.push_back(Step { at: spec.from, event, ends: false });
            plan.steps.extend(spec.until.map(|at| Step { at, event, ends: true }));
            plan.events.push(Event { spec, agents: taken });
        }
        plan.steps.make_contiguous().sort_by_key(|it| it.at);
        Ok(plan)
    }

    /// What will be done, one line for each event.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.events.iter().map(|it| format!("chaos planned: {} {}", it.spec, whom(&it.agents)))
    }

    /// The next step if it is due this long after the reveal.
    fn due(&mut self, since: Duration) -> Option<Step> {
        self.steps.pop_front_if(|step| step.at <= since)
    }
}

/// The agents that `share` thousandths of all are, rounded, at least one: those of `alive` whose
/// numbers hash lowest.
fn take(spec: &Spec, share: u64, agents: u16, alive: &[u16], seed: u64) -> Result<Vec<u16>, Coded> {
    if share == 0 {
        return Ok(Vec::new());
    }
    let count = ((u64::from(agents) * share + 500) / 1_000).max(1);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > alive.len() {
        let left = alive.len();
        return Err(refused(&format!(
            "`{spec}` takes {count} of {agents} agents, and {left} can be taken then: agent-1 is \
             spared, and whom an earlier kill took is gone; choose a smaller share"
        )));
    }
    let key = |agent: &u16| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(&agent.to_le_bytes());
        *hasher.finalize().as_bytes()
    };
    let mut taken = alive.to_vec();
    taken.sort_by_key(key);
    taken.truncate(count);
    taken.sort_unstable();
    Ok(taken)
}

fn whom(agents: &[u16]) -> String {
    if agents.is_empty() {
        return "everybody".into();
    }
    let names: Vec<String> = agents.iter().map(|it| format!("agent-{it}")).collect();
    names.join(" ")
}

/// A process whose mesh can be disturbed.
struct Target {
    name: String,
    /// Number of an agent, 0 for a sequencer.
    agent: u16,
    listen: SocketAddr,
    socket: PathBuf,
    /// What it was last told.
    told: Weather,
    alive: bool,
}

/// Delay of what a process sends, and whom it sends nothing to.
type Weather = (Duration, BTreeSet<SocketAddr>);

/// A plan that is being carried out.
pub(crate) struct Chaos {
    plan: Plan,
    targets: Vec<Target>,
    /// Events that last now.
    active: BTreeSet<usize>,
}

/// What was done.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Done {
    event: Event,
    ends: bool,
    at: Duration,
    /// Processes that could not be told.
    unreached: Vec<String>,
}

impl Chaos {
    /// A plan for these processes.
    pub(crate) fn new(plan: Plan, sequencers: &[Role], agents: &[Role]) -> Self {
        let target = |agent: usize, role: &Role| Target {
            name: role.name.clone(),
            agent: u16::try_from(agent).unwrap_or(u16::MAX),
            listen: role.listen,
            socket: role.folders.socket.clone(),
            told: Weather::default(),
            alive: true,
        };
        let sequencers = sequencers.iter().map(|role| target(0, role));
        let agents = agents.iter().enumerate().map(|(index, role)| target(index + 1, role));
        Self { plan, targets: sequencers.chain(agents).collect(), active: BTreeSet::new() }
    }

    /// Does what is due this long after the first reveal.
    pub(crate) async fn strike(
        &mut self,
        since: Duration,
        processes: &mut [Process],
    ) -> anyhow::Result<Vec<Done>> {
        let mut done = Vec::new();
        while let Some(step) = self.plan.due(since) {
            let event = self.plan.events[step.event].clone();
            let is_kill = matches!(event.spec.what, What::Kill(_));
            if is_kill {
                self.kill(&event.agents, processes)?;
            } else if step.ends {
                self.active.remove(&step.event);
            } else {
                self.active.insert(step.event);
            }
            let unreached = if is_kill { Vec::new() } else { self.tell().await };
            done.push(Done { event, ends: step.ends, at: since, unreached });
        }
        Ok(done)
    }

    /// Events whose time has not come.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Spec> {
        let steps = self.plan.steps.iter().filter(|step| !step.ends);
        steps.map(|step| &self.plan.events[step.event].spec)
    }

    fn kill(&mut self, agents: &[u16], processes: &mut [Process]) -> anyhow::Result<()> {
        for target in self.targets.iter_mut().filter(|it| agents.contains(&it.agent)) {
            let process = processes.iter_mut().find(|it| it.name() == target.name);
            process.with_context(|| format!("{} does not run", target.name))?.kill();
            target.alive = false;
        }
        Ok(())
    }

    /// Tells every process whose weather changed; gives those that could not be told.
    async fn tell(&mut self) -> Vec<String> {
        let weathers: Vec<Weather> = self.targets.iter().map(|it| self.weather(it)).collect();
        let mut unreached = Vec::new();
        for (target, weather) in self.targets.iter_mut().zip(weathers) {
            if !target.alive || target.told == weather {
                continue;
            }
            let told = tokio::time::timeout(ANSWER_WAIT, disturb(target, &weather)).await;
            match told.map_err(anyhow::Error::from).flatten() {
                Ok(()) => target.told = weather,
                Err(error) => {
                    tracing::warn!(name = target.name, "cannot be disturbed: {error:#}");
                    unreached.push(target.name.clone());
                }
            }
        }
        unreached
    }

    /// The longest delay of now, and everybody on the other side of a partition of now.
    fn weather(&self, target: &Target) -> Weather {
        let mut weather = Weather::default();
        for event in self.active.iter().map(|it| &self.plan.events[*it]) {
            match event.spec.what {
                What::Kill(_) => {}
                What::Delay(delay) => weather.0 = weather.0.max(delay),
                What::Partition(_) => {
                    let side = |it: &Target| event.agents.contains(&it.agent);
                    let other = self.targets.iter().filter(|it| side(it) != side(target));
                    weather.1.extend(other.map(|it| it.listen));
                }
            }
        }
        weather
    }
}

async fn disturb(target: &Target, (delay, cut): &Weather) -> anyhow::Result<()> {
    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    let request = Request::Disturb { delay_ms, cut: cut.iter().map(ToString::to_string).collect() };
    match Client::connect(&target.socket).await?.ask(&request).await? {
        Reply::Accepted { .. } => Ok(()),
        Reply::Refused { code, text } => anyhow::bail!("{code}: {text}"),
        Reply::Snapshot(_) => anyhow::bail!("it answered something else"),
    }
}

impl Done {
    /// One line, for tools or for people.
    pub(crate) fn line(&self, as_json: bool) -> String {
        let Self { event: Event { spec, agents }, ends, at, unreached } = self;
        let step = match (spec.what, ends) {
            (What::Kill(_), _) => "done",
            (_, false) => "begins",
            (_, true) => "ends",
        };
        let at_s = at.as_secs_f64();
        if as_json {
            let agents: Vec<String> = agents.iter().map(|it| format!("agent-{it}")).collect();
            let line = json!({
                "event": "chaos",
                "what": spec.what.word(),
                "step": step,
                "spec": spec.to_string(),
                "at_s": (at_s * 10.0).round() / 10.0,
                "agents": agents,
                "unreached": unreached,
            });
            return line.to_string();
        }
        let whom = whom(agents);
        let missed = if unreached.is_empty() {
            String::new()
        } else {
            format!("; could not be told: {}", unreached.join(" "))
        };
        format!("chaos {at_s:.1} s after the reveal: {spec} {step} for {whom}{missed}")
    }
}

#[cfg(test)]
mod tests;
