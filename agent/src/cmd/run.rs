//! `coppice-agent run`: one agent, in the foreground, until it is told to stop.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use protocol::Coordinator;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use wire::control::Snapshot;

use crate::{
    config::Config,
    prover::{
        ability::Meter,
        pool::{self, Pool},
    },
    run::{Loop, Sources},
    shell::{
        Parts, Shell,
        control::Control,
        planning::Planner,
        start::{self, Base},
    },
};

/// Options of `run` and `sequencer`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Ends when the process that started it does (for supervisors).
    #[arg(long, hide = true)]
    pub(crate) die_with_parent: bool,
}

/// Answers of background tasks that may wait for the loop: a few per proof in work.
const DONE_MAX: usize = 256;
/// Requests of the control socket that may wait.
const ASKED_MAX: usize = 16;

/// Runs the agent until SIGINT or SIGTERM.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    if arguments.die_with_parent {
        die_with_parent()?;
    }
    let config = Config::read(&arguments.config)?;
    let source = config.prover.witness;
    let base = start::base(config, source).await?;
    let own = start::own_prover(&base).await?;
    if own.is_none() {
        tracing::warn!(operator = %base.signer.address(), "this operator is not registered on L1");
    }
    let (stop, stopped) = mpsc::channel(4);
    watch_signals(stop.clone())?;
    let built = build(base, own, stop, stopped).await?;
    built.run().await?;
    Ok(0)
}

/// Puts the parts together; the control socket lives as long as the loop.
async fn build(
    base: Base,
    own: Option<protocol::ProverId>,
    stop: mpsc::Sender<anyhow::Result<()>>,
    stopped: mpsc::Receiver<anyhow::Result<()>>,
) -> anyhow::Result<Running> {
    let Base { config, keys, programs, proof_bytes, store, restored, serving, .. } = base;
    let params = config.params.params(config.l1.genesis_block);
    let machine = Coordinator::new(own, params).restore(&restored.records);
    let prover = &config.prover;
    let pool = pool::Config::own_binary(
        config.folders.cache.clone(),
        config.l1.chain_id,
        prover.threads,
        prover.proofs_at_once,
    );
    let meter = Meter::new(Arc::clone(&keys), config.folders.cache.clone(), prover.proofs_at_once);
    let (pool, pool_events) = Pool::new(pool?).context("cannot start the prover pool")?;
    let (done, done_events) = mpsc::channel(DONE_MAX);
    let (asked, asked_events) = mpsc::channel(ASKED_MAX);
    let (snapshots, receiver) = watch::channel(Arc::new(Snapshot::default()));
    let control = Control::start(&config.folders.socket, receiver, asked)?;
    let mesh = base.mesh;
    let planner = Planner {
        keys: Arc::clone(&keys),
        programs,
        store: store.clone(),
        mesh: mesh.clone(),
        proof_bytes,
    };
    let follow = base.follower.events;
    start::watch_follower(base.follower.task, stop);
    let parts = Parts {
        config,
        own,
        signer: base.signer,
        keys,
        store,
        blocks: base.blocks,
        serving,
        mesh,
        members: base.members,
        pool,
        meter,
        l1: base.l1,
        sender: base.sender,
        planner,
        done,
    };
    let mut shell = Shell::new(parts, base.domain, &restored.records);
    shell.read_money().await;
    let sources = Sources {
        follow,
        mesh: base.mesh_events,
        pool: pool_events,
        done: done_events,
        asked: asked_events,
        stop: stopped,
    };
    Ok(Running { inner: Loop::new(machine, shell, sources, snapshots), _control: control })
}

struct Running {
    inner: Loop,
    _control: Control,
}

impl Running {
    async fn run(self) -> anyhow::Result<()> {
        self.inner.run().await
    }
}

/// SIGINT and SIGTERM end the loop in order.
pub(crate) fn watch_signals(stop: mpsc::Sender<anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _ = stop.send(Ok(())).await;
    });
    Ok(())
}

/// Asks the system for SIGTERM when our parent dies; if it is dead already, ends at once.
pub(crate) fn die_with_parent() -> anyhow::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let orphan = getppid().is_none_or(|parent| parent.as_raw_nonzero().get() == 1);
    anyhow::ensure!(!orphan, "the process that started this one is gone");
    Ok(())
}
