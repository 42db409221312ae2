use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp};

/// A clock that stands still until it is set. Clones are one clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Times>>);

#[derive(Debug)]
struct Times {
    wall: i64,
    monotonic: Instant,
}

impl ManualClock {
    /// Some moment in the year 2026.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Times {
            wall: 1_795_325_668_000,
            monotonic: Instant::now(),
        })))
    }

    /// Time passes.
    pub fn advance(&self, by: Duration) {
        self.advance_monotonic(by);
        self.step_wall(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// The time of day jumps by so many milliseconds, as when somebody sets it, and no time passes.
    pub fn step_wall(&self, by_millis: i64) {
        let mut times = self.times();
        times.wall = times.wall.saturating_add(by_millis);
    }

    /// Time passes that the time of day does not show.
    pub fn advance_monotonic(&self, by: Duration) {
        self.times().monotonic += by;
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    /// Before 1970 and after 9999 it stands at the nearest end.
    fn wall(&self) -> Timestamp {
        let wall = self.times().wall;
        let outside = if wall < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        Timestamp::from_unix_millis(wall).unwrap_or(outside)
    }

    fn monotonic(&self) -> Instant {
        self.times().monotonic
    }
}
