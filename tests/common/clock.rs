use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keygate::{Clock, Timestamp};

/// A clock that stands still until it is set. Clones are one clock.
#[derive(Clone, Debug)]
pub(crate) struct ManualClock(Arc<Mutex<Times>>);

#[derive(Debug)]
struct Times {
    wall_millis: i64,
    monotonic: Instant,
}

impl ManualClock {
    /// Some moment in the year 2026.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Times {
            wall_millis: 1_795_325_668_000,
            monotonic: Instant::now(),
        })))
    }

    /// Time passes.
    pub(crate) fn advance(&self, by: Duration) {
        self.advance_monotonic(by);
        self.step_wall(i64::try_from(by.as_millis()).unwrap());
    }

    /// The time of day jumps, as when somebody sets it, and no time passes.
    pub(crate) fn step_wall(&self, by_millis: i64) {
        self.times().wall_millis += by_millis;
    }

    /// Time passes that the time of day does not show.
    pub(crate) fn advance_monotonic(&self, by: Duration) {
        self.times().monotonic += by;
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.times().wall_millis).unwrap()
    }

    fn monotonic(&self) -> Instant {
        self.times().monotonic
    }
}
