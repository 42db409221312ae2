use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::quota::{Charge, OWN};
use super::shared::{Level, SharedLimiter, Take};
use crate::authenticate::{Lost, within};
use crate::clock::{Clock, Now};
use crate::key::KeyId;
use crate::record::RateLimit;
use crate::refusal::{Error, Refusal, Rejection};
use crate::store::{StoreError, StoreErrorKind};
use crate::telemetry;
use crate::waiters::lock;

/// How the limits of keys are counted.
pub(crate) struct Limiter {
    counters: Counters,
    since: Instant,
    clock: Arc<dyn Clock>,
    shared: Option<Shared>,
    realm: String,
    /// Whether responses tell how limits stand.
    pub(crate) tells: bool,
}

/// One that counts for all instances.
struct Shared {
    limiter: Arc<dyn SharedLimiter>,
    on_outage: OnOutage,
    /// When it failed last, or somebody last went to see; `None`: it has answered since.
    away: Mutex<Option<Instant>>,
}

/// What becomes of keys with a limit while the [`SharedLimiter`] does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum OnOutage {
    /// Each instance counts for itself, so that a key may be used as often as its limit says on each of
    /// them.
    #[default]
    CountHere,
    /// They are answered as an outage: 503.
    Refuse,
}

/// How long the shared limiter may take.
const PATIENCE: Duration = Duration::from_millis(250);

/// For so long it is not asked after it failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How one limit of a key stands.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LimitState {
    /// The name of a [`Quota`](crate::Quota), or `key` for the limit on the record.
    pub name: &'static str,
    /// What it allows.
    pub limit: RateLimit,
    /// How many more requests of cost 1 it allows now.
    pub remaining: u32,
    /// How long until it allows its whole burst again.
    pub full_after: Duration,
}

/// What a key's request is to take.
#[derive(Clone, Copy)]
pub(crate) struct Bill<'a> {
    pub(crate) key_id: &'a KeyId,
    pub(crate) own: Option<(RateLimit, u32)>,
    pub(crate) quota: Option<(super::Quota, u32)>,
}

impl<'a> Bill<'a> {
    /// For a key with this limit on its record. `None`: there is nothing to take.
    pub(crate) fn of(key_id: &'a KeyId, own: Option<RateLimit>, charge: Charge) -> Option<Self> {
        let own = own
            .filter(|_| charge.own > 0)
            .map(|limit| (limit, charge.own));
        let quota = charge.quota.filter(|(_, cost)| *cost > 0);
        (own.is_some() || quota.is_some()).then_some(Self { key_id, own, quota })
    }

    fn takes(&self) -> (Option<Take<'a>>, Option<Take<'a>>) {
        let take = |name, limit, cost| Take {
            key_id: self.key_id,
            name,
            limit,
            cost,
        };
        (
            self.own.map(|(limit, cost)| take(OWN, limit, cost)),
            self.quota
                .map(|(quota, cost)| take(quota.name(), quota.limit(), cost)),
        )
    }
}

impl Limiter {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        realm: &str,
        shared: Option<(Arc<dyn SharedLimiter>, OnOutage)>,
        tells: bool,
    ) -> Self {
        Self {
            counters: Counters::new(),
            since: clock.monotonic(),
            clock,
            shared: shared.map(|(limiter, on_outage)| Shared {
                limiter,
                on_outage,
                away: Mutex::default(),
            }),
            realm: realm.to_owned(),
            tells,
        }
    }

    /// Whether they are counted for all instances together.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Takes a bill here. `None`: what counts for all instances has to be asked first.
    pub(crate) fn take_here(
        &self,
        bill: Bill<'_>,
        now: Now,
    ) -> Option<Result<Vec<LimitState>, Refusal>> {
        match self.shared {
            Some(_) => None,
            None => Some(self.count(bill, now)),
        }
    }

    /// As [`take_here`](Self::take_here), now.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn take_here_now(&self, bill: Bill<'_>) -> Option<Result<Vec<LimitState>, Refusal>> {
        self.take_here(bill, Now::of(&*self.clock))
    }

    /// Takes a bill.
    pub(crate) async fn take(&self, bill: Bill<'_>) -> Result<Vec<LimitState>, Refusal> {
        if let Some(shared) = &self.shared
            && !shared.is_away(self.clock.monotonic())
        {
            let (own, quota) = bill.takes();
            let takes: Vec<Take<'_>> = own.into_iter().chain(quota).collect();
            match shared.ask(&takes).await {
                Ok(levels) => {
                    shared.came_back();
                    return self.judge(&takes, &levels);
                }
                Err(error) => {
                    // What is damaged of one key is no reason to stop asking for the others.
                    let is_new = error.kind() == StoreErrorKind::Corrupt
                        || shared.went_away(self.clock.monotonic());
                    if is_new {
                        telemetry::limiter_is_away(&self.realm, &error);
                    }
                }
            }
        }
        match &self.shared {
            Some(Shared {
                on_outage: OnOutage::Refuse,
                ..
            }) => Err(Error::LimiterAway(*bill.key_id).into()),
            _ => self.count(bill, Now::of(&*self.clock)),
        }
    }

    fn count(&self, bill: Bill<'_>, now: Now) -> Result<Vec<LimitState>, Refusal> {
        let now = now.nanos_since(self.since);
        match bill.takes() {
            (Some(own), Some(quota)) => {
                let takes = [own, quota];
                self.judge(&takes, &self.counters.take(bill.key_id, takes, now))
            }
            (Some(take), None) | (None, Some(take)) => {
                self.judge(&[take], &self.counters.take(bill.key_id, [take], now))
            }
            (None, None) => Ok(Vec::new()),
        }
    }

    /// What a request is told of what was taken for it.
    fn judge(&self, takes: &[Take<'_>], levels: &[Level]) -> Result<Vec<LimitState>, Refusal> {
        let states = || {
            takes.iter().zip(levels).map(|(take, level)| LimitState {
                name: take.name,
                limit: take.limit,
                remaining: level.remaining,
                full_after: level.full_after,
            })
        };
        let limits = match self.tells {
            true => states().collect(),
            false => Vec::new(),
        };
        let retry_after = levels
            .iter()
            .map(|level| level.retry_after)
            .max()
            .unwrap_or_default();
        match retry_after.is_zero() {
            true => Ok(limits),
            false => Err(Rejection::RateLimited {
                retry_after,
                limits,
            }
            .into()),
        }
    }
}

impl Shared {
    async fn ask(&self, takes: &[Take<'_>]) -> Result<Vec<Level>, StoreError> {
        let late = || StoreError::new(StoreErrorKind::Unavailable, "it is too slow");
        let levels = match within(PATIENCE, self.limiter.take(takes)).await {
            Ok(levels) => levels?,
            Err(Lost::TooSlow) => return Err(late()),
            Err(Lost::Panicked) => {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "it panicked"));
            }
        };
        if levels.len() != takes.len() {
            let cause = "it did not answer for each limit";
            return Err(StoreError::new(StoreErrorKind::Corrupt, cause));
        }
        Ok(levels)
    }

    fn came_back(&self) {
        *lock(&self.away) = None;
    }

    /// Whether nobody knew that.
    fn went_away(&self, now: Instant) -> bool {
        lock(&self.away).replace(now).is_none()
    }

    /// Whether it is away. Now and then it is not for one who asks: that one is to go and see.
    fn is_away(&self, now: Instant) -> bool {
        let mut away = lock(&self.away);
        let Some(last) = *away else { return false };
        if now.saturating_duration_since(last) >= PAUSE {
            *away = Some(now);
            return false;
        }
        true
    }
}

/// Counts in this process, by the operating system's clock.
#[cfg(any(test, feature = "testing"))]
impl Default for Limiter {
    fn default() -> Self {
        Self::new(Arc::new(crate::clock::SystemClock), "", None, false)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("tells", &self.tells)
            .finish_non_exhaustive()
    }
}
