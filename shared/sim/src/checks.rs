//! What must hold at every step, whatever happens (safety), and at the end (liveness).

pub(crate) mod invariant;

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    Action, Audience, BlobId, Hash, LaneId, Message, Millis, Params, Previous, ProverId, Record,
    Slot, TaskId,
};

use crate::{
    report::truth::Truth,
    world::{
        agent::{Agent, Lane},
        content::{Content, Hands, NEXT_SET},
    },
};
pub(crate) use invariant::Invariant;

/// Broken invariants that are told; all are counted.
const TOLD_MAX: usize = 16;

/// Lanes that work on one task at once: the hot crown's three, and a hedge.
const COMPANY_MAX: usize = 4;
/// Milliseconds within which two lanes may claim without having heard of each other.
const RACE_MS: u64 = 1_500;
/// Tenths of the usual time before which nobody hedges (the rule: 1.5 times).
const HEDGE_TENTHS: u64 = 14;
/// Milliseconds until everybody heard of a failure.
const TOLD_MS: u64 = 5_000;

/// A promise that the network heard.
type Spoken = (TaskId, Slot, u32, Previous);

/// What a check may look at.
pub(crate) struct Scene<'a> {
    pub(crate) now: Millis,
    pub(crate) agent: &'a Agent,
    pub(crate) truth: &'a Truth,
    pub(crate) contents: &'a [Content],
    pub(crate) params: &'a Params,
    /// Lanes by what they can do.
    pub(crate) hands: Hands,
    /// Nothing is lost, nobody crashes or lies: rules about timing hold to the second.
    pub(crate) orderly: bool,
}

/// Memory of the checks.
#[derive(Default)]
pub(crate) struct Checks {
    /// How many invariants were found broken, each once per agent and instant.
    pub(crate) broken: u64,
    /// The first ones, for people.
    pub(crate) told: Vec<String>,
    /// Claims by lane: number and content of the newest one heard.
    spoken: BTreeMap<LaneId, (u64, Spoken)>,
    /// Lanes that joined a claim before the hedge's time, and when.
    early: BTreeMap<LaneId, Millis>,
    /// Claims that were given back and not told yet: number and since when.
    untold: BTreeMap<LaneId, (u64, Millis)>,
    /// The task whose proof failed in the step that is judged.
    pub(crate) failed: Option<TaskId>,
    /// Newest beats by lane.
    beats: BTreeMap<LaneId, (Slot, u64)>,
    /// Decks of each deal: all agents must compute the same.
    deals: BTreeMap<(Slot, Hash), Vec<LaneId>>,
    /// What was said and may be passed on; only in worlds that are judged all to all.
    pub(crate) said: BTreeSet<Message>,
    pub(crate) remembers: bool,
}

impl Checks {
    pub(crate) fn fail(&mut self, now: Millis, agent: ProverId, what: Invariant, detail: &str) {
        self.broken += 1;
        if self.told.len() < TOLD_MAX {
            let (ms, rule, name) = (now.0, what.rule(), what.name());
            self.told.push(format!("at {ms} ms prover {agent}: {rule} {name}: {detail}"));
        }
    }

    fn require(&mut self, scene: &Scene<'_>, holds: bool, what: Invariant) {
        if !holds {
            self.fail(scene.now, scene.agent.prover, what, what.says());
        }
    }

    /// Judges an action before it is performed.
    pub(crate) fn action(&mut self, scene: &Scene<'_>, action: &Action) {
        match action {
            Action::Persist(record) => self.record(scene, record),
            Action::Send { message, to } => {
                self.audience(scene, to);
                self.message(scene, message);
            }
            Action::Relay { message, to } => {
                self.audience(scene, to);
                let said = !self.remembers || self.said.contains(message);
                self.require(scene, said, Invariant::HonestRelay);
            }
            Action::Prove { children, task, lane, payee, .. } => {
                let complete = children.len() == child_count(scene, *task);
                let good = complete && children.iter().all(|it| is_accepted(scene, *it));
                self.require(scene, good, Invariant::AcceptedChildren);
                let own = scene.agent.lanes.iter().find(|it| it.id == *lane);
                let promised = own.is_some_and(|it| it.live.is_some_and(|(_, live)| live == *task));
                self.require(scene, promised, Invariant::PromisedFirst);
                let room = scene.agent.running.len() < scene.agent.lanes.len();
                self.require(scene, room, Invariant::OneProofPerLane);
                let paid = *payee == crate::world::l1::payout_of(scene.agent.prover);
                self.require(scene, paid, Invariant::OwnPayee);
            }
            Action::SubmitRoot { blob, .. } => {
                let blob = scene.truth.blob(*blob);
                let stored = blob.is_some_and(|it| scene.agent.store.contains(&it));
                self.require(scene, stored, Invariant::StoredCopies);
            }
            Action::Fetch { .. } | Action::Abandon { .. } | Action::Note { .. } => (),
        }
    }

    fn audience(&mut self, scene: &Scene<'_>, to: &Audience) {
        let Audience::Provers(list) = to else { return };
        let sorted = list.is_sorted_by(|a, b| a < b) && !list.contains(&scene.agent.prover);
        self.require(scene, sorted, Invariant::SortedAudience);
    }

    /// One live claim per lane on disk, numbers that rise, true proofs.
    fn record(&mut self, scene: &Scene<'_>, record: &Record) {
        match *record {
            Record::Claimed { task, lane, seq, .. } => {
                let own = scene.agent.lanes.iter().find(|it| it.id == lane);
                let proved = scene.agent.proved.contains(&task);
                let live = own.is_some_and(|it| it.live.is_some() && !proved);
                self.require(scene, !live, Invariant::OneLiveClaim);
                let rises = own.is_some_and(|it| it.seq < seq);
                self.require(scene, rises, Invariant::NumbersRise);
                let kind = kind_of(scene, task).and_then(protocol::Kind::class);
                let class = own.map(|it| it.class);
                let fits = class.zip(kind).is_some_and(|(lane, it)| Params::can_prove(lane, it));
                self.require(scene, fits, Invariant::ClassFits);
                let place = scene.truth.task(task).map(|it| scene.truth.places[it as usize]);
                let set = place.map(|it| scene.contents[it.content as usize].set);
                let keyless = scene.agent.keyless && set == Some(NEXT_SET);
                self.require(scene, !keyless, Invariant::KeysFirst);
                self.company(scene, task, lane);
            }
            Record::Ended { lane, seq, how } => {
                self.hedged(scene, Some(lane));
                let own = scene.agent.lanes.iter().find(|it| it.id == lane);
                let live = own.is_some_and(|it| it.has(seq));
                self.require(scene, live, Invariant::EndsWhatLives);
                let in_work = own.and_then(|it| it.live).is_some_and(|it| it.0 == seq);
                if how == Previous::Released && in_work {
                    self.untold.insert(lane, (seq, scene.now));
                }
                if how == Previous::Delivered {
                    self.delivered(scene, own.and_then(|it| it.task_of(seq)));
                }
            }
            Record::Made { blob, task, .. } | Record::Held { blob, task, .. } => {
                if matches!(record, Record::Made { .. }) {
                    let works = |it: &&Lane| it.live.is_some_and(|(_, live)| live == task);
                    let maker = scene.agent.lanes.iter().find(works);
                    self.hedged(scene, maker.map(|it| it.id));
                }
                let blob = scene.truth.blob(blob);
                let stored = blob.is_some_and(|it| scene.agent.store.contains(&it));
                self.require(scene, stored, Invariant::StoredCopies);
                let valid = blob.is_some_and(|it| scene.truth.facts[it as usize].valid);
                self.require(scene, valid, Invariant::TrueCopies);
            }
            Record::Settled { .. } => (),
        }
    }

    /// Others hold a proof that counts as delivered: half of the replicas at least, where nobody can
    /// be taken for lost.
    fn delivered(&mut self, scene: &Scene<'_>, task: Option<TaskId>) {
        let Some(task) = task.filter(|_| scene.orderly) else { return };
        let Some(number) = scene.truth.task(task) else { return };
        let vm = kind_of(scene, task) == Some(protocol::Kind::Vm);
        let able = if vm { scene.hands.vm } else { scene.hands.all };
        let blobs = &scene.truth.tasks[number as usize].blobs;
        let own = blobs.iter().map(|&it| &scene.truth.facts[it as usize]);
        let copies = own.filter(|it| it.maker == scene.agent.prover).map(|it| it.copies).max();
        let replicas = (scene.params.replicas_subtree as u64).min(able.saturating_sub(1));
        let held = u64::from(copies.unwrap_or(0)) > replicas / 2;
        self.require(scene, held, Invariant::DeliveredIsHeld);
    }

    /// Who may join others on one task (R4.3, R5.4), and who may not touch it (R5.3).
    fn company(&mut self, scene: &Scene<'_>, task: TaskId, lane: LaneId) {
        let Some(number) = scene.truth.task(task) else {
            self.require(scene, false, Invariant::EpochLanes);
            return;
        };
        let it = &scene.truth.tasks[number as usize];
        let others = it.live.iter().filter(|it| **it != lane).count();
        let together = it.live_since.after(RACE_MS);
        let bounded = others < COMPANY_MAX || scene.now <= together;
        self.require(scene, !scene.orderly || bounded, Invariant::CopiesBounded);
        let kind = kind_of(scene, task).unwrap_or(protocol::Kind::Root);
        let crown = matches!(kind, protocol::Kind::Merge | protocol::Kind::Root);
        let hedge_at = it.live_since.after(scene.params.p50(kind) * HEDGE_TENTHS / 10);
        let early = others != 0 && !crown && together < scene.now && scene.now < hedge_at;
        if scene.orderly && early {
            self.early.insert(lane, scene.now);
        }
        let poison = it.poison_since.is_some_and(|it| it.after(TOLD_MS) < scene.now);
        let small = scene.agent.class() == protocol::Class::Rollup;
        let kept_out = crate::machine::QUARANTINES && scene.orderly && poison && small;
        self.require(scene, !kept_out, Invariant::QuarantineHolds);
    }

    /// The lane's claim ended or its proof is made: one that should have waited was soon given back.
    fn hedged(&mut self, scene: &Scene<'_>, lane: Option<LaneId>) {
        let since = lane.and_then(|it| self.early.remove(&it));
        let soon = since.is_none_or(|it| scene.now <= it.after(RACE_MS));
        self.require(scene, soon, Invariant::HedgesWait);
    }

    /// Nothing is spoken that is not durable, and no number is used twice.
    fn message(&mut self, scene: &Scene<'_>, message: &Message) {
        let agent = scene.agent;
        let durable = |statement| {
            let said = scene.truth.known_statement(statement);
            said.is_some_and(|it| agent.durable.contains(&it))
        };
        match *message {
            Message::Claim { task, lane, slot, seq, attempt, previous } => {
                let own = agent.lanes.iter().find(|it| it.id == lane);
                let live = own.is_some_and(|it| it.has(seq));
                self.require(scene, live, Invariant::DurableClaim);
                let spoken = (task, slot, attempt, previous);
                let (last, before) = *self.spoken.entry(lane).or_insert((seq, spoken));
                let same = last < seq || (last == seq && before == spoken);
                self.require(scene, same, Invariant::OneClaimPerNumber);
                self.spoken.insert(lane, (seq, spoken));
            }
            Message::Release { lane, seq, task, failed, .. } => {
                let own = agent.lanes.iter().find(|it| it.id == lane);
                let ended = own.is_some_and(|it| it.seq == seq && !it.has(seq));
                self.require(scene, ended, Invariant::DurableRelease);
                self.untold.remove(&lane);
                let tried = failed || self.failed != Some(task);
                self.require(scene, tried, Invariant::FailureTold);
            }
            Message::Made { statement, .. } => {
                self.require(scene, durable(statement), Invariant::DurableProof);
            }
            Message::Held { statement, .. } => {
                self.require(scene, durable(statement), Invariant::DurableCopy);
            }
            Message::Advert { lane, set, able, .. } => {
                let own = lane.prover() == agent.prover;
                let lacked = agent.keyless && set == NEXT_SET;
                self.require(scene, own && able != lacked, Invariant::TrueAdverts);
            }
            Message::Beat { lane, slot, n, .. } => {
                self.require(scene, lane.prover() == agent.prover, Invariant::OwnBeats);
                let last = self.beats.insert(lane, (slot, n));
                let rises = last.is_none_or(|(before, last)| before != slot || last <= n);
                self.require(scene, rises, Invariant::BeatsRise);
            }
            Message::Loss { lane, watcher, slot, last_beat } => {
                let apart = lane.prover() != agent.prover && watcher.prover() == agent.prover;
                self.require(scene, apart, Invariant::OwnNotices);
                let heard = agent.heard.get(&(slot, lane)).copied();
                let patience = scene.params.silence_ms() * 9 / 10;
                let silent = heard.is_none_or(|it| it.after(patience) <= scene.now);
                let beats = scene.now.0 / scene.params.beat_ms + 1;
                let named = last_beat + scene.params.missed_beats <= beats + 1;
                let silent = named && (silent || !scene.orderly);
                self.require(scene, silent, Invariant::EarnedNotices);
            }
        }
    }

    /// Lanes of an agent that runs since `up` whose release was durable before and was not told.
    pub(crate) fn untold(&mut self, prover: ProverId, up: Millis, now: Millis) -> Vec<LaneId> {
        let own = LaneId::new(prover, 0)..=LaneId::new(prover, u16::MAX);
        let late = self.untold.range(own).filter(|(_, it)| it.1 < now);
        let late: Vec<(LaneId, Millis)> = late.map(|(&lane, it)| (lane, it.1)).collect();
        self.untold.retain(|lane, _| late.iter().all(|it| it.0 != *lane));
        late.into_iter().filter(|it| up < it.1).map(|it| it.0).collect()
    }

    /// All agents compute the same deal.
    pub(crate) fn deals(&mut self, now: Millis, prover: ProverId, machine: &protocol::Coordinator) {
        for (slot, seed, deck) in crate::machine::deals(machine) {
            let first = self.deals.entry((slot, seed)).or_insert_with(|| deck.clone());
            if *first != deck {
                self.fail(now, prover, Invariant::DealsAgree, "two agents deal differently");
            }
        }
    }
}

/// Whether the agent stores this blob, and it verifies.
fn is_accepted(scene: &Scene<'_>, blob: BlobId) -> bool {
    let blob = scene.truth.blob(blob);
    blob.is_some_and(|it| scene.agent.store.contains(&it) && scene.truth.facts[it as usize].valid)
}

fn kind_of(scene: &Scene<'_>, task: TaskId) -> Option<protocol::Kind> {
    let place = scene.truth.places[scene.truth.task(task)? as usize];
    let tree = &scene.contents[place.content as usize].tree;
    Some(tree.nodes()[place.place as usize].kind)
}

fn child_count(scene: &Scene<'_>, task: TaskId) -> usize {
    let Some(number) = scene.truth.task(task) else { return 0 };
    let place = scene.truth.places[number as usize];
    scene.contents[place.content as usize].tree.children(place.place as usize).len()
}

/// Walks a root proof down its tree: every part must verify and be of the block's own task, and
/// the units of all makers add up to the tree's. Returns the blobs used, or what is wrong.
pub(crate) fn settles(content: &Content, root: BlobId, truth: &Truth) -> Result<Vec<u32>, String> {
    let mut used = Vec::new();
    let Some(root) = truth.blob(root) else { return Err("nobody made the root".into()) };
    let mut open = vec![(content.tree.root(), root)];
    while let Some((place, blob)) = open.pop() {
        let task = content.tasks[place];
        let fact = &truth.facts[blob as usize];
        if !fact.valid || truth.task(task.task) != Some(fact.task) {
            return Err(format!("the proof at {} is false or of another task", task.node));
        }
        let children = content.tree.children(place);
        if children.len() != fact.children.len() {
            return Err(format!("{} was made from {} children", task.node, fact.children.len()));
        }
        used.push(blob);
        open.extend(children.iter().copied().zip(fact.children.iter().copied()));
    }
    if used.len() != content.tasks.len() {
        return Err(format!("{} proofs in a tree of {}", used.len(), content.tasks.len()));
    }
    Ok(used)
}

/// Blobs that stand under settled roots, each once.
pub(crate) fn distinct(blobs: &[u32]) -> BTreeSet<u32> {
    blobs.iter().copied().collect()
}
