//! A token bucket: so many at once, and then one every so often.

use std::time::Duration;

use tokio::time::Instant;

/// What one sender may still send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    burst: u32,
    every: Duration,
    left: u32,
    /// When `left` was last brought up to date.
    at: Instant,
}

impl Budget {
    /// A full budget of `burst`, refilled by one each `every`.
    pub(super) fn new(burst: u32, every: Duration, now: Instant) -> Self {
        Self { burst, every, left: burst, at: now }
    }

    /// Takes one, or says when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.at).as_nanos() / self.every.as_nanos();
        let gained = u32::try_from(passed).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.burst);
            self.at = if self.left == self.burst { now } else { self.at + self.every * gained };
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.at + self.every),
        }
    }

    /// Takes one, waiting until there is one: the sender is slowed down, not punished.
    pub(super) async fn wait(&mut self) {
        while let Err(until) = self.take(Instant::now()) {
            tokio::time::sleep_until(until).await;
        }
    }

    /// When it was last used.
    pub(super) const fn last(&self) -> Instant {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    #[test]
    fn a_burst_then_one_per_interval() {
        let start = Instant::now();
        let mut budget = Budget::new(3, EVERY, start);
        let mut taken_at = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..10).take_while(|_| budget.take(now).is_ok()).count()
        };
        assert_eq!(taken_at(0), 3);
        assert_eq!(taken_at(9), 0);
        assert_eq!(taken_at(10), 1);
        assert_eq!(taken_at(35), 2, "the half interval is not lost");
        assert_eq!(taken_at(40), 1);
        assert_eq!(taken_at(1_000_000), 3, "never more than the burst");
    }

    #[test]
    fn an_empty_budget_says_when_to_come_back() {
        let start = Instant::now();
        let mut budget = Budget::new(1, EVERY, start);
        assert_eq!(budget.take(start), Ok(()));
        assert_eq!(budget.take(start), Err(start + EVERY));
    }
}
