//! `coppice-agent sequencer`: one sequencer, in the foreground, until it is told to stop.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use wire::control::Snapshot;

use super::run::{Arguments, die_with_parent, watch_signals};
use crate::{
    config::{Config, WitnessSource},
    shell::{control::Control, sequencing::Sequencing, start},
};

/// Requests of the control socket that may wait: a block's worth of txs.
const ASKED_MAX: usize = 16;

/// Runs the sequencer until SIGINT or SIGTERM.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    if arguments.die_with_parent {
        die_with_parent()?;
    }
    let config = Config::read(&arguments.config)?;
    let socket = config.folders.socket.clone();
    // A sequencer runs txs before it reveals them, so it always keeps the state.
    let mut base = start::base(config, WitnessSource::Derive).await?;
    let me = base.l1.find_sequencer(base.sender.account()).await.map_err(start::coded)?;
    let (stop, stopped) = mpsc::channel(4);
    watch_signals(stop.clone())?;
    let follower = std::mem::replace(&mut base.follower.task, tokio::spawn(async { Ok(()) }));
    start::watch_follower(follower, stop);
    let (asked, requests) = mpsc::channel(ASKED_MAX);
    let (snapshots, receiver) = watch::channel(Arc::new(Snapshot::default()));
    let _control = Control::start(&socket, receiver, asked)?;
    Sequencing::new(base, me, snapshots)?.run(requests, stopped).await?;
    Ok(0)
}
