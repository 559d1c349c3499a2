//! A simulated world as a series of views: what `coppice-console --demo` shows.

mod crowd;
mod hands;

use protocol::{Millis, View};

use self::crowd::Crowd;
use crate::{World, WorldOptions};

/// Pretended milliseconds between two views.
pub const INTERVAL_MS: u64 = 1_000;
/// Largest block: the RFP's example.
pub const TXS_MAX: u16 = 61_440;
/// Up to so many txs every agent is a machine of its own.
const MACHINES_TXS_MAX: u16 = 1_024;
/// Agents of such a world.
const AGENTS: u64 = 24;
/// Txs that a lane of each agent is for, in blocks that have more than the usual ones.
const TXS_PER_LANE: u64 = 64;

/// An endless world seen by its first agent, one view per pretended second.
pub struct Feed {
    source: Source,
    at: Millis,
    view: View,
}

enum Source {
    Machines(Box<World>),
    Crowd(Box<Crowd>),
}

impl Feed {
    /// The demo world: slots without end, a few crashes and reorgs, nobody stops for good.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(World::new(seed, demo()))
    }

    /// A world with blocks of so many txs, at least one and at most [`TXS_MAX`]. Above 1,024 a
    /// schedule of the lanes takes the place of a machine for each agent.
    #[must_use]
    pub fn with_blocks(seed: u64, txs: u16) -> Self {
        let txs = txs.clamp(1, TXS_MAX);
        if MACHINES_TXS_MAX < txs {
            let crowd = Box::new(Crowd::new(seed, txs));
            return Self { at: crowd.now(), source: Source::Crowd(crowd), view: View::default() };
        }
        let lanes = u64::from(txs).div_ceil(TXS_PER_LANE);
        let txs = u64::from(txs);
        Self::of(World::new(
            seed,
            WorldOptions { txs: [txs, txs], lanes: [lanes, lanes], agents: [AGENTS; 2], ..demo() },
        ))
    }

    /// Any world.
    #[must_use]
    pub fn of(world: World) -> Self {
        let at = world.now();
        Self { source: Source::Machines(Box::new(world)), at, view: View::default() }
    }

    /// The view one second later; an agent that is down shows nothing new until it is back. `None`
    /// once it is stopped for good.
    pub fn step(&mut self) -> Option<&View> {
        let world = match &mut self.source {
            Source::Crowd(crowd) => {
                self.at = self.at.after(INTERVAL_MS);
                return Some(crowd.advance(self.at));
            }
            Source::Machines(world) => world,
        };
        loop {
            self.at = self.at.after(INTERVAL_MS);
            world.advance(self.at);
            if let Some(view) = world.view(0) {
                self.view = view;
                return Some(&self.view);
            }
            if world.is_stopped(0) {
                return None;
            }
        }
    }
}

fn demo() -> WorldOptions {
    let mut options =
        WorldOptions { slots: u64::MAX, kills: Vec::new(), ..WorldOptions::default() };
    options.prover.crash_every = 20_000;
    options.l1.reorg = 20;
    options
}
