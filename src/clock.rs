//! Time: the moments that records keep, and the clock that a decision reads.

mod day;

pub use day::Day;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment with millisecond precision, between 1970 and the end of the year 9999.
///
/// Databases keep [`as_unix_millis`](Self::as_unix_millis); text and JSON show RFC 3339 in UTC.
///
/// ```
/// use keygate::Timestamp;
/// let t: Timestamp = "2026-11-22T05:34:28.000Z".parse()?;
/// assert_eq!(t.as_unix_millis(), 1_795_325_668_000);
/// # Ok::<(), keygate::TimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment that a record can hold.
    pub const MIN: Self = Self(0);
    /// The latest moment that a record can hold: 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The moment `millis` milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// When it lies outside [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub fn from_unix_millis(millis: i64) -> Result<Self, TimestampError> {
        let moment = Self(millis);
        if (Self::MIN..=Self::MAX).contains(&moment) {
            Ok(moment)
        } else {
            Err(TimestampError)
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// This moment moved by `by`; `None` past [`MAX`](Self::MAX).
    pub fn checked_add(self, by: Duration) -> Option<Self> {
        let by = i64::try_from(by.as_millis()).ok()?;
        Self::from_unix_millis(self.0.checked_add(by)?).ok()
    }

    /// Whether `age` has passed from this moment to `now`. It has not where the moment lies in the
    /// future, as after a step of the clock.
    pub(crate) fn is_older_than(self, age: Duration, now: Self) -> bool {
        self.checked_add(age).is_some_and(|then| then <= now)
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }
}

/// Moments outside the range become the nearest end of it.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self::MIN.checked_add(since).unwrap_or(Self::MAX),
            Err(_) => Self::MIN,
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> Self {
        UNIX_EPOCH + moment.saturating_since(Timestamp::MIN)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(SystemTime::from(*self)).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let time = humantime::parse_rfc3339(text).map_err(|_| TimestampError)?;
        let since = time
            .duration_since(UNIX_EPOCH)
            .map_err(|_| TimestampError)?;
        Self::MIN.checked_add(since).ok_or(TimestampError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A moment that is not written as RFC 3339 in UTC, or lies outside 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time must lie between 1970 and 9999 and be written like 2026-01-31T12:00:00Z")]
pub struct TimestampError;

/// Where a decision reads the time.
///
/// The operating system is asked at each decision, so a process that was frozen wakes up knowing
/// that what it holds is old. Tests bring a clock of their own.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day: judges expiry. It may step in both directions.
    fn wall(&self) -> Timestamp;
    /// Time that never runs backwards: judges the age of what a cache holds.
    fn monotonic(&self) -> Instant;
}

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// Both clocks, read at one decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    monotonic: Instant,
}

impl Now {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.wall(),
            monotonic: clock.monotonic(),
        }
    }

    /// Whether it is later than `other`, by the monotonic clock.
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.monotonic > other.monotonic
    }

    /// Nanoseconds since `earlier`, by the monotonic clock.
    pub(crate) fn nanos_since(self, earlier: Instant) -> u64 {
        let since = self.monotonic.saturating_duration_since(earlier);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long it is until `limit` has passed since `earlier`, by the monotonic clock.
    pub(crate) fn until(self, limit: Duration, earlier: Self) -> Duration {
        limit.saturating_sub(self.monotonic.saturating_duration_since(earlier.monotonic))
    }

    /// Whether less than `limit` has passed since `earlier`, by both clocks.
    ///
    /// The wall clock may step, and the monotonic one may stand still while the machine is
    /// suspended. A step in either direction makes what is fresh look old, never the reverse.
    pub(crate) fn is_within(self, limit: Duration, earlier: Self) -> bool {
        self.monotonic.saturating_duration_since(earlier.monotonic) < limit
            && self.wall >= earlier.wall
            && self.wall.saturating_since(earlier.wall) < limit
    }
}

/// A moment that one task moves forward, and all others read without a lock.
#[derive(Debug)]
pub(crate) struct LatestMoment {
    base: Instant,
    /// Nanoseconds since `base`, and one. Zero: none yet, or it is being written.
    monotonic: AtomicU64,
    wall: AtomicI64,
}

impl LatestMoment {
    /// None yet; every moment to come is later than `base`.
    pub(crate) fn none_since(base: Now) -> Self {
        Self {
            base: base.monotonic,
            monotonic: AtomicU64::new(0),
            wall: AtomicI64::new(0),
        }
    }

    /// The moment, if there is one. While it is being written there is none.
    pub(crate) fn get(&self) -> Option<Now> {
        let monotonic = self.monotonic.load(Ordering::SeqCst);
        let wall = self.wall.load(Ordering::SeqCst);
        if monotonic == 0 || self.monotonic.load(Ordering::SeqCst) != monotonic {
            return None;
        }
        let since = Duration::from_nanos(monotonic - 1);
        Some(Now {
            wall: Timestamp(wall),
            monotonic: self.base.checked_add(since)?,
        })
    }

    /// Moves on to `now`. Only one task at a time may.
    pub(crate) fn set(&self, now: Now) {
        let since = now.monotonic.saturating_duration_since(self.base);
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1);
        self.monotonic.store(0, Ordering::SeqCst);
        self.wall.store(now.wall.0, Ordering::SeqCst);
        self.monotonic.store(nanos + 1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_is_read_is_one_that_was_written() {
        let start = Now {
            wall: Timestamp(0),
            monotonic: Instant::now(),
        };
        let latest = LatestMoment::none_since(start);
        assert!(latest.get().is_none());
        let at = |n: u64| Now {
            wall: Timestamp(n as i64 * 1_000),
            monotonic: start.monotonic + Duration::from_secs(n),
        };
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (1..200_000).for_each(|n| latest.set(at(n)));
                is_done.store(true, Ordering::SeqCst);
            });
            while !is_done.load(Ordering::SeqCst) {
                if let Some(read) = latest.get() {
                    let since = read.monotonic - start.monotonic;
                    assert_eq!(since.as_millis(), read.wall.0 as u128, "a mixture of two");
                }
            }
        });
        assert_eq!(latest.get().map(|now| now.wall), Some(at(199_999).wall));
    }

    #[test]
    fn text_and_millis_round_trip_at_the_ends_of_the_range() {
        for moment in [Timestamp::MIN, Timestamp(1_795_325_668_123), Timestamp::MAX] {
            assert_eq!(moment.to_string().parse(), Ok(moment));
            assert_eq!(Timestamp::from(SystemTime::from(moment)), moment);
        }
    }

    #[test]
    fn freshness_needs_both_clocks_to_agree() {
        let start = Instant::now();
        let at = |wall: i64, monotonic: u64| Now {
            wall: Timestamp(1_000_000 + wall),
            monotonic: start + Duration::from_millis(monotonic),
        };
        let fresh = |now: Now| now.is_within(Duration::from_secs(1), at(0, 0));
        assert!(fresh(at(0, 0)) && fresh(at(999, 999)));
        assert!(!fresh(at(999, 1_000)), "too old");
        assert!(
            !fresh(at(1_000, 0)),
            "suspended, or the wall clock stepped forward"
        );
        assert!(!fresh(at(-1, 500)), "the wall clock stepped back");
    }

    #[test]
    fn moments_outside_the_range_are_refused_or_clamped() {
        assert!(Timestamp::from_unix_millis(-1).is_err());
        assert!(Timestamp::from_unix_millis(Timestamp::MAX.0 + 1).is_err());
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
        assert_eq!(Timestamp::MAX.checked_add(Duration::from_millis(1)), None);
        assert_eq!(Timestamp::MIN.checked_add(Duration::MAX), None);
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::from(before), Timestamp::MIN);
        let after = UNIX_EPOCH + Duration::from_secs(u32::MAX.into()) * 1000;
        assert_eq!(Timestamp::from(after), Timestamp::MAX);
    }
}
