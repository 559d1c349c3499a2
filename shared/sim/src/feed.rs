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
const MACHINES_TXS_MAX: u16 = 64;
/// A world of machines remembers all that ever happened in it, to judge it: after so many pretended
/// milliseconds and about 200 MB the next one begins.
const WORLD_MS: u64 = 4_000_000;

/// Worlds without end, seen by the first agent, one view per pretended second. When one is over the
/// next begins, and time with it.
pub struct Feed {
    source: Source,
    seed: u64,
    txs: [u64; 2],
    at: Millis,
    /// When the world of machines is over.
    until: Millis,
    view: View,
}

enum Source {
    Machines(Box<World>),
    Crowd(Box<Crowd>),
}

impl Feed {
    /// The demo world: slots of a few txs, a few crashes and reorgs, nobody stops for good.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::machines(seed, WorldOptions::default().txs)
    }

    /// A world with blocks of so many txs, at least one and at most [`TXS_MAX`]. Above 64 a
    /// schedule of the lanes takes the place of a machine for each agent.
    #[must_use]
    pub fn with_blocks(seed: u64, txs: u16) -> Self {
        let txs = txs.clamp(1, TXS_MAX);
        if txs <= MACHINES_TXS_MAX {
            return Self::machines(seed, [txs.into(), txs.into()]);
        }
        let crowd = Box::new(Crowd::new(seed, txs));
        let at = crowd.now();
        let source = Source::Crowd(crowd);
        Self { source, seed, txs: [txs.into(); 2], at, until: at, view: View::default() }
    }

    fn machines(seed: u64, txs: [u64; 2]) -> Self {
        let mut options =
            WorldOptions { slots: u64::MAX, kills: Vec::new(), txs, ..WorldOptions::default() };
        options.prover.crash_every = 20_000;
        options.l1.reorg = 20;
        let world = Box::new(World::new(seed, options));
        let at = world.now();
        let (source, until) = (Source::Machines(world), at.after(WORLD_MS));
        Self { source, seed, txs, at, until, view: View::default() }
    }

    /// The view one second later; an agent that is down shows nothing new until it is back.
    pub fn step(&mut self) -> &View {
        while let Source::Machines(_) = &self.source {
            if self.until <= self.at {
                *self = Self::machines(self.seed.wrapping_add(1), self.txs);
            }
            self.at = self.at.after(INTERVAL_MS);
            if let Some(view) = self.look() {
                self.view = view;
                return &self.view;
            }
        }
        self.at = self.at.after(INTERVAL_MS);
        match &mut self.source {
            Source::Crowd(crowd) => crowd.advance(self.at),
            Source::Machines(_) => &self.view,
        }
    }

    /// Lets so many seconds pass that nobody wants to see.
    pub fn skip(&mut self, seconds: u64) {
        self.at = self.at.after(seconds * INTERVAL_MS);
        match &mut self.source {
            Source::Crowd(crowd) => crowd.pass(self.at),
            Source::Machines(world) => world.advance(self.at),
        }
    }

    /// What the first agent sees now, if it is up.
    fn look(&mut self) -> Option<View> {
        let Source::Machines(world) = &mut self.source else { return None };
        world.advance(self.at);
        if world.is_stopped(0) {
            self.until = self.at;
        }
        world.view(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_world_is_over_the_next_one_begins() {
        let mut feed = Feed::new(5);
        let first = feed.at;
        feed.until = first.after(3 * INTERVAL_MS);
        let mut at = || {
            feed.step();
            feed.at.since(first)
        };
        assert_eq!([at(), at(), at(), at(), at()], [1_000, 2_000, 3_000, 1_000, 2_000]);
        assert_eq!(feed.seed, 6);
    }
}
