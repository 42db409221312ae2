use std::fmt;

use crate::record::RateLimit;

/// A limit of the service's own, beside the one on the record: each key has the whole of it, and all
/// routes that name it take from the same.
///
/// ```
/// use keygate::{Quota, RateLimit};
///
/// const EXPORTS: Quota = Quota::new("exports", RateLimit::per_hour(10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    name: &'static str,
    limit: RateLimit,
}

impl Quota {
    /// A quota by this name: 1 to 64 characters of `a-z`, `0-9`, `_` and `-`. What is wrong with it is
    /// said when a guard is made with it, which is when the service starts.
    pub const fn new(name: &'static str, limit: RateLimit) -> Self {
        Self { name, limit }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How often what it stands for may be done.
    pub const fn limit(&self) -> RateLimit {
        self.limit
    }

    /// A request that takes so many of this quota, and one of the key's own limit.
    pub const fn cost(self, cost: u32) -> Charge {
        Charge {
            own: 1,
            quota: Some((self, cost)),
        }
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn flaw(&self) -> Option<QuotaFlaw> {
        let of_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-".contains(&c);
        let is_name = (1..=64).contains(&self.name.len()) && self.name.bytes().all(of_name);
        match () {
            () if !is_name => Some(QuotaFlaw("its name is 1 to 64 of a-z, 0-9, _ and -".into())),
            () if self.name == OWN => Some(QuotaFlaw(format!(
                "{OWN:?} is what the limit on the record is called"
            ))),
            () => self
                .limit
                .check()
                .err()
                .map(|error| QuotaFlaw(error.to_string())),
        }
    }
}

/// What the limit on a key's own record is called where limits are named.
pub(crate) const OWN: &str = "key";

/// Why a quota cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QuotaFlaw(String);

impl fmt::Display for QuotaFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a request takes of the limits of its key.
///
/// It takes all of it or nothing: a request that is over one limit does not use up another. A cost
/// above the burst of a limit is let through when the whole burst is there, and paid back by waiting
/// for longer after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Charge {
    pub(crate) own: u32,
    pub(crate) quota: Option<(Quota, u32)>,
}

impl Charge {
    /// What a request takes unless something else is said: one of the limit on the record.
    pub const ONE: Self = Self::of(1);

    /// So many of the limit on the record, and of no quota.
    pub const fn of(cost: u32) -> Self {
        Self {
            own: cost,
            quota: None,
        }
    }

    /// And so many of this quota.
    #[must_use]
    pub const fn and(self, quota: Quota, cost: u32) -> Self {
        Self {
            own: self.own,
            quota: Some((quota, cost)),
        }
    }
}

/// One of the quota, and one of the limit on the record.
impl From<Quota> for Charge {
    fn from(quota: Quota) -> Self {
        quota.cost(1)
    }
}
