use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long keys and the overlaps of rotations last.
///
/// ```
/// # use keygate::Policy;
/// # use std::time::Duration;
/// let day = Duration::from_secs(24 * 60 * 60);
/// let policy = Policy::new().default_lifetime(30 * day).max_lifetime(365 * day);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    pub(crate) default_lifetime: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) default_overlap: Duration,
    pub(crate) max_overlap: Duration,
}

impl Policy {
    /// Keys last 90 days unless said otherwise, and may be issued for ever where that is said. After
    /// a rotation the old secret works for 24 hours, or as said, for up to 30 days.
    pub const fn new() -> Self {
        Self {
            default_lifetime: DAY.saturating_mul(90),
            max_lifetime: None,
            default_overlap: HOUR.saturating_mul(24),
            max_overlap: DAY.saturating_mul(30),
        }
    }

    /// How long a key lasts when nothing is said.
    pub const fn default_lifetime(self, lifetime: Duration) -> Self {
        Self {
            default_lifetime: lifetime,
            ..self
        }
    }

    /// How long a key may last at most, counted from its issue. It then cannot last for ever.
    pub const fn max_lifetime(self, lifetime: Duration) -> Self {
        Self {
            max_lifetime: Some(lifetime),
            ..self
        }
    }

    /// How long the old secret works after a rotation when nothing is said.
    pub const fn default_overlap(self, overlap: Duration) -> Self {
        Self {
            default_overlap: overlap,
            ..self
        }
    }

    /// How long the old secret may work after a rotation at most.
    pub const fn max_overlap(self, overlap: Duration) -> Self {
        Self {
            max_overlap: overlap,
            ..self
        }
    }

    /// What is contradictory about it, if anything is.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        if self.default_lifetime.is_zero() {
            Some("the default lifetime is zero: keys would be expired when they are issued")
        } else if self
            .max_lifetime
            .is_some_and(|max| max < self.default_lifetime)
        {
            Some("the default lifetime is longer than the maximum lifetime")
        } else if self.max_overlap < self.default_overlap {
            Some("the default overlap is longer than the maximum overlap")
        } else {
            None
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}
