//! Proofs in the making.

use protocol::{
    BlobId, Credit, Input, Kind, LaneId, Message, Millis, ProverEvent, ProverId, Slot, StatementId,
    TaskId,
    assign::{keccak::keccak256, statement_id},
};

use super::{Event, World, index, l1::payout_of, number};
use crate::{
    Moment,
    report::{story::name, truth::Fact},
};

/// One start of a prover process.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    agent: u32,
    task: TaskId,
    started: Millis,
    /// Numbers of the children's blobs.
    children: Vec<u32>,
    failed: bool,
}

impl World {
    pub(super) fn prove(&mut self, agent: usize, task: TaskId, lane: LaneId, blobs: &[BlobId]) {
        let children = blobs.iter().filter_map(|it| self.truth.blob(*it)).collect();
        let run = number(self.runs.len());
        debug_assert_eq!(lane.prover(), self.agents[agent].prover, "agents prove on their lanes");
        self.runs.push(Run {
            agent: number(agent),
            task,
            started: self.now,
            children,
            failed: false,
        });
        self.agents[agent].running.push((task, run));
        let known = self.truth.task(task);
        if let Some(waited) = known.and_then(|it| self.truth.start(self.now, it)) {
            let what = name(self.runs[index(run)].task, &self.truth, &self.contents);
            self.story.takeover(self.now, &what, waited);
        }
        self.after([1, 300], Event::Started(run));
    }

    /// Whether the run still goes on.
    fn goes_on(&self, run: u32) -> Option<usize> {
        let agent = index(self.runs[index(run)].agent);
        self.agents[agent].running.iter().any(|(_, it)| *it == run).then_some(agent)
    }

    pub(super) fn started(&mut self, run: u32) {
        let Some(agent) = self.goes_on(run) else { return };
        let task = self.runs[index(run)].task;
        let Some(kind) = self.kind_of(task) else { return };
        let options = &self.options.prover;
        let usual = self.options.params.p50(kind) * self.agents[agent].speed / 1000;
        let took = usual * self.rng.log_normal(options.spread) / 1000;
        let poison = self.kills(agent, task);
        let memory = self.rng.chance(options.out_of_memory) || poison;
        let failed = memory || self.rng.chance(options.failure);
        self.runs[index(run)].failed = failed;
        let took = if memory { took / 2 } else { took };
        self.queue.push(self.now.after(took.max(1)), Event::Proved(run));
        self.feed(agent, Input::Prover(ProverEvent::Started { task }));
    }

    pub(super) fn proved(&mut self, run: u32) {
        let Some(agent) = self.goes_on(run) else { return };
        self.agents[agent].running.retain(|(_, it)| *it != run);
        let Run { task, started, failed, .. } = self.runs[index(run)];
        let took_ms = self.now.since(started);
        self.counts.spent_ms += took_ms;
        if failed {
            if let Some(number) = self.truth.task(task) {
                let prover = self.agents[agent].prover;
                self.story.tell(self.now, || format!("prover {prover} fails a proof"));
                let slot = Slot(u64::from(self.truth.places[index(number)].content));
                let what = name(task, &self.truth, &self.contents);
                let third = self.truth.fail(self.now, number, prover);
                (0..usize::from(third)).for_each(|_| self.story.poison(self.now, slot, &what));
            }
            let why = "PRV-070";
            self.checks.failed = Some(task);
            self.feed(agent, Input::Prover(ProverEvent::Failed { task, why }));
            self.checks.failed = None;
            return;
        }
        let children = core::mem::take(&mut self.runs[index(run)].children);
        let Some((blob, statement, credit)) = self.make(agent, task, run, children) else { return };
        self.notice_top(task);
        let cpu_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
        let made = ProverEvent::Made { task, statement, blob, credit, cpu_ms, peak_mb: 4_000 };
        self.feed(agent, Input::Prover(made));
    }

    /// A proof exists.
    fn make(
        &mut self,
        agent: usize,
        task: TaskId,
        run: u32,
        children: Vec<u32>,
    ) -> Option<(BlobId, StatementId, Credit)> {
        let maker = self.agents[agent].prover;
        let facts = children.iter().map(|it| &self.truth.facts[index(*it)]);
        let valid = facts.clone().all(|it| it.valid);
        let below: Vec<[u8; 32]> = facts.clone().map(|it| it.statement.0).collect();
        let total = self.options.params.units[1] + facts.map(|it| it.total).sum::<u64>();
        let credit = keccak256(&below.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>());
        let statement = statement_id(task, payout_of(maker), &credit.0);
        let blob = BlobId(keccak256(&[b"proof", &statement.0, &run.to_be_bytes()]).0);
        let number = self.truth.task(task)?;
        let took_ms = self.now.since(self.runs[index(run)].started);
        let fact = Fact {
            task: number,
            blob,
            statement,
            maker,
            children,
            total,
            took_ms,
            valid,
            copies: 1,
        };
        let blob_number = self.truth.prove(fact);
        self.agents[agent].store.insert(blob_number);
        Some((blob, statement, self.credit(maker, total)))
    }

    pub(super) fn credit(&self, maker: ProverId, total: u64) -> Credit {
        let own = self.options.params.units[1];
        Credit { kind: 3, own, total, payee: payout_of(maker), left: [0; 32], right: [0; 32] }
    }

    /// A liar's announcement names a blob that does not verify.
    pub(super) fn falsify(&mut self, agent: usize, message: Message) -> Message {
        let Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb } = message
        else {
            return message;
        };
        let Some(fact) = self.truth.fact(blob).cloned() else { return message };
        let blob = BlobId(keccak256(&[b"false", &blob.0]).0);
        let number = self.truth.prove(Fact { blob, children: Vec::new(), valid: false, ..fact });
        self.agents[agent].store.insert(number);
        Message::Made { task, statement, blob, lane, slot, seq, cpu_ms, peak_mb }
    }

    pub(super) fn abandon(&mut self, agent: usize, task: TaskId) {
        let running = &mut self.agents[agent].running;
        let Some(at) = running.iter().position(|(it, _)| *it == task) else { return };
        let (_, run) = running.remove(at);
        self.counts.spent_ms += self.now.since(self.runs[index(run)].started);
    }

    /// Work in progress is spent, and nobody gets it.
    pub(super) fn account_lost_runs(&mut self, agent: usize) {
        let runs = self.agents[agent].running.iter();
        let spent = runs.map(|&(_, it)| self.now.since(self.runs[index(it)].started)).sum::<u64>();
        self.counts.spent_ms += spent;
    }

    pub(super) fn kind_of(&self, task: TaskId) -> Option<Kind> {
        let place = self.truth.places[index(self.truth.task(task)?)];
        Some(self.contents[index(place.content)].tree.nodes()[index(place.place)].kind)
    }

    /// The worst moment: half of the first block's tops are made, and hardly one is delivered.
    fn notice_top(&mut self, task: TaskId) {
        let first =
            self.truth.task(task).is_some_and(|it| self.truth.places[index(it)].content == 0);
        if !first || self.kind_of(task) != Some(Kind::Base) {
            return;
        }
        self.tops_made += 1;
        if self.tops_made == self.contents[0].tops().div_ceil(2) {
            let kills = self.options.kills.iter().enumerate();
            let due = kills.filter(|(_, it)| it.at == Moment::Worst).map(|(which, _)| which);
            for which in due.collect::<Vec<_>>() {
                self.queue.push(self.now, Event::Kill(number(which)));
            }
        }
    }
}
