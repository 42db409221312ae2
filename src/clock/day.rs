use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Timestamp;

const MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// A day in UTC. Counts are kept by it.
///
/// ```
/// use keygate::{Day, Timestamp};
/// let day = Day::of("2026-11-25T23:59:59.999Z".parse()?);
/// assert_eq!(day.to_string(), "2026-11-25");
/// assert_eq!(day.since_1970(), 20_782);
/// # Ok::<(), keygate::TimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

impl Day {
    /// The day of this moment.
    pub fn of(moment: Timestamp) -> Self {
        // No moment is so late that its day would not fit.
        Self(u32::try_from(moment.as_unix_millis() / MILLIS).unwrap_or(u32::MAX))
    }

    /// The day so many days after 1970-01-01, up to 9999-12-31.
    pub fn from_days_since_1970(days: u32) -> Self {
        Self(days.min(Self::of(Timestamp::MAX).0))
    }

    /// Whole days since 1970-01-01.
    pub const fn since_1970(self) -> u32 {
        self.0
    }

    /// The day so many days earlier; 1970-01-01 at the least.
    #[must_use]
    pub const fn earlier(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        let since = Duration::from_secs(24 * 60 * 60).saturating_mul(self.0);
        Timestamp::MIN.checked_add(since).unwrap_or(Timestamp::MAX)
    }
}

/// As in 2026-11-25.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.start().to_string();
        f.write_str(moment.split('T').next().unwrap_or_default())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
