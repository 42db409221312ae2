use serde::{Deserialize, Serialize};

/// How often a key may be used: so many requests per window on the long run, and so many at once.
///
/// It is counted in the memory of each process, and anew after a restart, unless there is a
/// [shared limiter](crate::Builder::shared_limiter). The window is not one of the clock's. A key that has been idle may be used `burst` times at once, and
/// then once each `per_seconds / requests`.
///
/// ```
/// # use keygate::RateLimit;
/// let limit = RateLimit::per_minute(60).with_burst(10);   // ten at once, then one each second
/// assert_eq!((limit.requests, limit.per_seconds, limit.burst), (60, 60, 10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests per window.
    pub requests: u32,
    /// The length of the window, in seconds.
    pub per_seconds: u32,
    /// How many requests may come at once.
    pub burst: u32,
}

/// A limit that cannot be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate limit has {0}")]
pub struct RateLimitError(&'static str);

impl RateLimit {
    /// The most that any of its numbers may be, but the window.
    pub const MOST: u32 = 1_000_000_000;

    /// The longest window: 366 days.
    pub const LONGEST_SECONDS: u32 = 366 * 86_400;

    /// So many requests per window, all of which may come at once.
    pub const fn new(requests: u32, per_seconds: u32) -> Self {
        Self {
            requests,
            per_seconds,
            burst: requests,
        }
    }

    /// So many requests per second.
    pub const fn per_second(requests: u32) -> Self {
        Self::new(requests, 1)
    }

    /// So many requests per minute.
    pub const fn per_minute(requests: u32) -> Self {
        Self::new(requests, 60)
    }

    /// So many requests per hour.
    pub const fn per_hour(requests: u32) -> Self {
        Self::new(requests, 3_600)
    }

    /// So many requests per day.
    pub const fn per_day(requests: u32) -> Self {
        Self::new(requests, 86_400)
    }

    /// The same, of which so many may come at once.
    #[must_use]
    pub const fn with_burst(self, burst: u32) -> Self {
        Self { burst, ..self }
    }

    /// Whether it can be enforced.
    ///
    /// # Errors
    /// Says which number is out of its range.
    pub fn check(&self) -> Result<(), RateLimitError> {
        let of_range = |n: u32, most: u32| (1..=most).contains(&n);
        if !of_range(self.requests, Self::MOST) {
            return Err(RateLimitError("1 to 1,000,000,000 requests"));
        }
        if !of_range(self.per_seconds, Self::LONGEST_SECONDS) {
            return Err(RateLimitError(
                "a window of 1 to 31,622,400 seconds (366 days)",
            ));
        }
        if !of_range(self.burst, Self::MOST) {
            return Err(RateLimitError("a burst of 1 to 1,000,000,000 requests"));
        }
        Ok(())
    }
}
