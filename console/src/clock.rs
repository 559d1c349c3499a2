//! The only clock of the console: Unix milliseconds that never go back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time at the start, and what has passed since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start_ms: u64,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start_ms: millis(since), start: Instant::now() }
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(self) -> u64 {
        self.start_ms + millis(self.start.elapsed())
    }

    /// The instant of such a time, for timers.
    pub(crate) fn instant(self, at_ms: u64) -> tokio::time::Instant {
        let after = Duration::from_millis(at_ms.saturating_sub(self.start_ms));
        (self.start + after).into()
    }

    /// A number that two consoles will not share.
    pub(crate) fn jitter(self) -> u32 {
        self.start.elapsed().subsec_micros()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
