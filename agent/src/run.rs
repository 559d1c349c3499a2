//! The event loop: select, step, apply. `select` is the only place that waits, `step` the only
//! place that calls the machine, the shell the only one that acts.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::{Coordinator, Input, Millis};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use wire::control::Snapshot;

use crate::{
    l1::follow::FollowEvent,
    mesh::MeshEvent,
    prover::pool,
    shell::{Shell, control::Asked, snapshot},
};

/// Shortest time between two snapshots for the screens: ten a second are more than an eye follows.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(250);
/// The loop looks at the clock at least this often, so that ages on screens are true.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Everything that can wake the loop.
pub(crate) enum Wake {
    /// L1 went on, or back.
    Follow(FollowEvent),
    /// A peer spoke, came or went.
    Mesh(MeshEvent),
    /// A prover process spoke.
    Pool(pool::Event),
    /// Work of the shell's own tasks came to an end: a plan, a fetched proof.
    Done(Done),
    /// Somebody asks through the control socket.
    Asked(Asked),
    /// The machine's deadline.
    Tick,
    /// The process should end, with the reason.
    Stop(anyhow::Result<()>),
}

/// What the shell's background tasks answer.
pub(crate) enum Done {
    /// An input for the machine.
    Input(Input),
    /// A revealed block was executed and checked.
    Plan(Box<crate::shell::planning::Planned>),
    /// Something the operator should see.
    Note(&'static str, String),
}

/// Where events come from.
pub(crate) struct Sources {
    /// L1's follower.
    pub(crate) follow: mpsc::Receiver<FollowEvent>,
    /// The mesh.
    pub(crate) mesh: mpsc::Receiver<MeshEvent>,
    /// Prover processes.
    pub(crate) pool: mpsc::Receiver<pool::Event>,
    /// The shell's tasks.
    pub(crate) done: mpsc::Receiver<Done>,
    /// The control socket.
    pub(crate) asked: mpsc::Receiver<Asked>,
    /// Signals, and the ends of tasks that must not end.
    pub(crate) stop: mpsc::Receiver<anyhow::Result<()>>,
}

/// The one loop of an agent.
pub(crate) struct Loop {
    machine: Coordinator,
    shell: Shell,
    sources: Sources,
    snapshots: watch::Sender<Arc<Snapshot>>,
    changed: bool,
    shown: Instant,
}

impl Loop {
    /// A loop around a machine and its shell; `snapshots` feeds the control socket.
    pub(crate) fn new(
        machine: Coordinator,
        shell: Shell,
        sources: Sources,
        snapshots: watch::Sender<Arc<Snapshot>>,
    ) -> Self {
        Self { machine, shell, sources, snapshots, changed: true, shown: Instant::now() }
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// Those after which nothing may be signed any more: the store's, the follower's.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            let wake = self.select().await;
            let result = match wake {
                Wake::Stop(result) => {
                    self.shell.stop().await;
                    return result;
                }
                Wake::Follow(event) => self.on_follow(event).await,
                Wake::Mesh(event) => self.on_mesh(event).await,
                Wake::Pool(event) => self.on_pool(event).await,
                Wake::Done(done) => self.on_done(done).await,
                Wake::Asked((request, reply)) => {
                    self.shell.answer(&self.machine, request, reply);
                    Ok(())
                }
                Wake::Tick => self.step(Input::Tick).await,
            };
            let result = match result {
                Ok(()) => self.measure().await,
                failed @ Err(_) => failed,
            };
            if let Err(error) = result {
                self.shell.stop().await;
                return Err(error);
            }
            self.show();
        }
    }

    /// Tells the machine what our lanes are able to, when that changed.
    async fn measure(&mut self) -> anyhow::Result<()> {
        for input in self.shell.abilities(&self.machine) {
            self.step(input).await?;
        }
        Ok(())
    }

    /// Waits for the next event, or the machine's deadline.
    async fn select(&mut self) -> Wake {
        let until = self.wake_at();
        let sources = &mut self.sources;
        tokio::select! {
            biased;
            Some(result) = sources.stop.recv() => Wake::Stop(result),
            Some(event) = sources.follow.recv() => Wake::Follow(event),
            Some(done) = sources.done.recv() => Wake::Done(done),
            Some(event) = sources.pool.recv() => Wake::Pool(event),
            Some(asked) = sources.asked.recv() => Wake::Asked(asked),
            () = sleep_until(until) => Wake::Tick,
            Some(event) = sources.mesh.recv() => Wake::Mesh(event),
        }
    }

    fn wake_at(&self) -> Instant {
        let now = now();
        let due = self.machine.deadline().map_or(u64::MAX, |(at, _)| at.since(now));
        let pause = Duration::from_millis(due).min(IDLE_MAX);
        let next = Instant::now() + pause;
        // A change that is not on the screens yet must not wait for the next event.
        if self.changed { next.min(self.shown + SNAPSHOT_EVERY) } else { next }
    }

    /// One step of the machine, and everything it wants done, in order.
    async fn step(&mut self, input: Input) -> anyhow::Result<()> {
        let mut actions = Vec::new();
        self.machine.step(now(), input, &mut actions);
        self.changed |= !actions.is_empty();
        self.shell.perform(actions).await
    }

    async fn on_follow(&mut self, event: FollowEvent) -> anyhow::Result<()> {
        let refused = self.shell.followed(&event);
        self.step(event.input).await?;
        for block in refused {
            self.step(Input::Refused { block }).await?;
        }
        self.shell.plan(&self.machine);
        self.shell.clean(&self.machine);
        self.changed = true;
        Ok(())
    }

    async fn on_mesh(&mut self, event: MeshEvent) -> anyhow::Result<()> {
        self.changed = true;
        match event {
            MeshEvent::Message(message) => self.step(message.into()).await,
            MeshEvent::PeerUp(peer) => {
                self.shell.note_peer(peer, true);
                Ok(())
            }
            MeshEvent::PeerDown(peer) => {
                self.shell.note_peer(peer, false);
                Ok(())
            }
        }
    }

    async fn on_pool(&mut self, event: pool::Event) -> anyhow::Result<()> {
        self.changed = true;
        match self.shell.pool_event(event)? {
            Some(input) => self.step(input).await,
            None => Ok(()),
        }
    }

    async fn on_done(&mut self, done: Done) -> anyhow::Result<()> {
        self.changed = true;
        match done {
            Done::Input(input) => {
                self.shell.remember(&input);
                self.step(input).await
            }
            Done::Plan(planned) => match self.shell.planned(*planned) {
                Some(input) => self.step(input).await,
                None => Ok(()),
            },
            Done::Note(code, text) => {
                self.shell.note(code, text);
                Ok(())
            }
        }
    }

    /// Publishes what screens show, if something changed and the last time was a while ago.
    fn show(&mut self) {
        if self.shown.elapsed() < SNAPSHOT_EVERY || self.snapshots.is_closed() {
            return;
        }
        if self.changed || self.shown.elapsed() >= IDLE_MAX {
            let snapshot = snapshot::of(&self.machine, &mut self.shell, now());
            self.snapshots.send_replace(Arc::new(snapshot));
            self.changed = false;
            self.shown = Instant::now();
        }
    }
}

/// Unix milliseconds.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
