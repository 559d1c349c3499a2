//! A simulated world as a series of views: what `coppice-console --demo` shows.

use protocol::{Millis, View};

use crate::{World, WorldOptions};

/// Pretended milliseconds between two views.
const INTERVAL_MS: u64 = 1_000;

/// An endless world seen by its first agent, one view per pretended second.
pub struct Feed {
    world: World,
    at: Millis,
}

impl Feed {
    /// The demo world: slots without end, a few crashes and reorgs, nobody stops for good.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut options =
            WorldOptions { slots: u64::MAX, kills: Vec::new(), ..WorldOptions::default() };
        options.prover.crash_every = 20_000;
        options.l1.reorg = 20;
        Self::of(World::new(seed, options))
    }

    /// Any world.
    #[must_use]
    pub const fn of(world: World) -> Self {
        let at = world.now();
        Self { world, at }
    }
}

impl Iterator for Feed {
    type Item = View;

    /// The view one second later; an agent that is down shows nothing new until it is back.
    fn next(&mut self) -> Option<View> {
        loop {
            self.at = self.at.after(INTERVAL_MS);
            self.world.advance(self.at);
            if let Some(view) = self.world.view(0) {
                return Some(view);
            }
            if self.world.is_stopped(0) {
                return None;
            }
        }
    }
}
