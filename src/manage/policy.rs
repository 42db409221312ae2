use std::time::Duration;

use crate::clock::Timestamp;
use crate::record::SecretSlot;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Notice of a rotation, unless said otherwise.
const NOTICE: Duration = DAY.saturating_mul(30);

/// How long keys, their secrets and the overlaps of rotations last. All instances on a store should
/// have the same.
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
    pub(crate) max_secret_age: Option<Duration>,
    rotation_notice: Option<Duration>,
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
            max_secret_age: None,
            rotation_notice: None,
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

    /// How long a secret works at most, counted from when it was made: by then its key has to be
    /// rotated. Afterwards it is refused as `key_expired`, and the host can still rotate the key.
    ///
    /// It is written into the record of the key when a secret is made, and judged from there. Secrets
    /// that were made before, and go on for longer, are given an end by the sweep that also tells of
    /// [keys that end](crate::ExpiryNotifier), and never without
    /// [notice](Self::rotation_notice). Nothing puts off an end that was given, so a clock that is
    /// behind, by what others left in the store, gives none.
    ///
    /// Notice is time, and nobody is told by that alone: an [`ExpiryNotifier`](crate::ExpiryNotifier)
    /// tells whom its hook writes to, and
    /// [`tell_callers_of_end`](crate::Builder::tell_callers_of_end) the callers. Without both, only the
    /// log has a warning for each secret that is given an end.
    ///
    /// ```
    /// # use keygate::Policy;
    /// # use std::time::Duration;
    /// let day = Duration::from_secs(24 * 60 * 60);
    /// let policy = Policy::new().max_secret_age(90 * day).rotation_notice(14 * day);
    /// ```
    pub const fn max_secret_age(self, age: Duration) -> Self {
        Self {
            max_secret_age: Some(age),
            ..self
        }
    }

    /// How long a secret that is already too old goes on when that is first noticed: the time for whoever
    /// is [told](Self::max_secret_age) to rotate its key. Unless set, 30
    /// days, or the maximum age where that is less.
    pub const fn rotation_notice(self, notice: Duration) -> Self {
        Self {
            rotation_notice: Some(notice),
            ..self
        }
    }

    /// The end of a secret that is made at `created_at`.
    pub(crate) fn secret_end(&self, created_at: Timestamp) -> Option<Timestamp> {
        created_at.checked_add(self.max_secret_age?)
    }

    /// The end that a secret is to be given, if it goes on for longer than it may.
    pub(crate) fn demanded_end(&self, secret: &SecretSlot, now: Timestamp) -> Option<Timestamp> {
        let notice = self.rotation_notice.unwrap_or(NOTICE);
        let notice = notice.min(self.max_secret_age?);
        let end = self
            .secret_end(secret.created_at)?
            .max(now.checked_add(notice)?);
        secret.not_after.is_none_or(|own| own > end).then_some(end)
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
        } else if self.max_secret_age.is_some_and(|age| age.is_zero()) {
            Some("the maximum age of a secret is zero: secrets would have ended when they are made")
        } else {
            self.contradiction_of_notice()
        }
    }

    fn contradiction_of_notice(&self) -> Option<&'static str> {
        let notice = self.rotation_notice?;
        match self.max_secret_age {
            None => Some("there is a rotation_notice and no max_secret_age, which it is for"),
            Some(_) if notice.is_zero() => {
                Some("the rotation_notice is zero: secrets would end without notice")
            }
            Some(age) if notice > age => {
                Some("the rotation_notice is longer than the maximum age of a secret")
            }
            Some(_) => None,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}
