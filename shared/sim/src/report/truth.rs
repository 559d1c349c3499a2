//! What really happened to every task, as nobody in the world can see it: who works on it, which
//! proofs of it exist, and how long it lay after its maker died.

use protocol::{BlobId, LaneId, Millis, ProverId, StatementId, TaskId};

use crate::{engine::table::Table, report::chart::quantile, world::content::Content};

/// A finished proof.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// Number of its task.
    pub(crate) task: u32,
    pub(crate) blob: BlobId,
    pub(crate) statement: StatementId,
    pub(crate) maker: ProverId,
    /// Numbers of the children's blobs.
    pub(crate) children: Vec<u32>,
    /// Units of this proof and everything below.
    pub(crate) total: u64,
    pub(crate) took_ms: u64,
    /// Whether it verifies.
    pub(crate) valid: bool,
    /// Provers that ever stored it.
    pub(crate) copies: u32,
}

/// One task.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskTruth {
    /// Numbers of blobs that prove it.
    pub(crate) blobs: Vec<u32>,
    /// Since when somebody works on it.
    pub(crate) live_since: Millis,
    /// Lanes with a live claim on it.
    pub(crate) live: Vec<LaneId>,
    /// Provers whose attempts failed, and when the third one did.
    pub(crate) failed: Vec<ProverId>,
    pub(crate) poison_since: Option<Millis>,
    /// Since when it waits for somebody to take over from a lane that was killed.
    orphaned: Option<Millis>,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Number of the block.
    pub(crate) content: u32,
    /// Place in its tree; the first one, if equal calls are one task.
    pub(crate) place: u32,
}

/// Everything about tasks and proofs.
pub(crate) struct Truth {
    pub(crate) tasks: Vec<TaskTruth>,
    pub(crate) places: Vec<Place>,
    ids: Table,
    pub(crate) facts: Vec<Fact>,
    blobs: Table,
    statements: Table,
    statement_count: u32,
    /// Milliseconds from a kill until another lane started.
    pub(crate) takeovers: Vec<u64>,
    /// Proofs of which a copy had existed and that had to be made again because every holder died.
    pub(crate) lost: u64,
}

impl Truth {
    pub(crate) fn new() -> Self {
        Self {
            tasks: Vec::new(),
            places: Vec::new(),
            ids: Table::new(),
            facts: Vec::new(),
            blobs: Table::new(),
            statements: Table::new(),
            statement_count: 0,
            takeovers: Vec::new(),
            lost: 0,
        }
    }

    /// Takes in the tasks of a block.
    pub(crate) fn add_content(&mut self, number: u32, content: &Content) {
        for (place, task) in (0..).zip(content.tasks.iter()) {
            let next = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
            if self.ids.insert(task.task.0, next) == next {
                self.tasks.push(TaskTruth::default());
                self.places.push(Place { content: number, place });
            }
        }
    }

    pub(crate) fn task(&self, task: TaskId) -> Option<u32> {
        self.ids.get(&task.0)
    }
    pub(crate) fn blob(&self, blob: BlobId) -> Option<u32> {
        self.blobs.get(&blob.0)
    }
    pub(crate) fn fact(&self, blob: BlobId) -> Option<&Fact> {
        self.blob(blob).map(|it| &self.facts[it as usize])
    }
    /// Number of a statement, given when it is first asked for.
    pub(crate) fn said(&mut self, statement: StatementId) -> u32 {
        let number = self.statements.insert(statement.0, self.statement_count);
        self.statement_count += u32::from(number == self.statement_count);
        number
    }
    pub(crate) fn known_statement(&self, statement: StatementId) -> Option<u32> {
        self.statements.get(&statement.0)
    }

    /// A lane claims a task.
    pub(crate) fn join(&mut self, now: Millis, task: u32, lane: LaneId) {
        let it = &mut self.tasks[task as usize];
        if it.live.is_empty() {
            it.live_since = now;
        }
        it.live.push(lane);
    }

    /// A proof exists; returns its number. Nobody waits for this task any more.
    pub(crate) fn prove(&mut self, fact: Fact) -> u32 {
        let next = u32::try_from(self.facts.len()).unwrap_or(u32::MAX);
        let number = self.blobs.insert(fact.blob.0, next);
        if number == next {
            if fact.valid {
                let task = &mut self.tasks[fact.task as usize];
                task.blobs.push(number);
                task.orphaned = None;
            }
            self.facts.push(fact);
        }
        number
    }

    /// An attempt of this prover failed; true if it is the third prover.
    pub(crate) fn fail(&mut self, now: Millis, task: u32, prover: ProverId) -> bool {
        let it = &mut self.tasks[task as usize];
        if it.failed.contains(&prover) {
            return false;
        }
        it.failed.push(prover);
        let third = it.failed.len() == 3;
        if third {
            it.poison_since = Some(now);
        }
        third
    }

    /// A lane starts on a task: if a killed lane left it, it is taken over now.
    pub(crate) fn start(&mut self, now: Millis, task: u32) -> Option<u64> {
        let since = self.tasks[task as usize].orphaned.take()?;
        self.takeovers.push(now.since(since));
        Some(now.since(since))
    }

    /// Lanes that were killed together leave their tasks.
    pub(crate) fn orphan(&mut self, now: Millis, task: u32) {
        self.tasks[task as usize].orphaned.get_or_insert(now);
    }

    /// The share of takeovers, in thousandths, was not slower than this.
    pub(crate) fn takeover_ms(&self, share: usize) -> u64 {
        quantile(&self.takeovers, share)
    }
}
