//! Telling the host in time that a key ends, or that its secret has to be rotated.

mod due;
mod lease;
mod notice;
mod passed;
mod schedule;
mod sweep;

pub use notice::{Ends, ExpiryNotice};
pub(crate) use passed::{ClockBehind, Passed};
pub use sweep::ExpirySweep;
pub(crate) use sweep::Sweeper;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::gate::BoxFuture;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How often keys are looked at, unless said otherwise.
pub(crate) const EVERY: Duration = HOUR;

/// By how much the clocks of instances may differ, and how long a renewal of a lease may take to count.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a call of the hook may take. The lease of a sweep outlasts it.
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// Calls a hook of the host as the ends of keys come near: to write to whoever holds the key, to open
/// a ticket, or to rotate it.
///
/// ```
/// # use std::time::Duration;
/// # use keygate::{Builder, ExpiryNotice, ExpiryNotifier};
/// # #[derive(Debug, thiserror::Error)] #[error("mail")] struct MailError;
/// # async fn mail(owner: &str, text: String) -> Result<(), MailError> { Ok(()) }
/// # fn run(builder: Builder) -> Builder {
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
///
/// let notifier = ExpiryNotifier::new(|notice: ExpiryNotice| async move {
///     let text = format!("{} of {} ends at {}", notice.ends, notice.key.hint, notice.ends_at);
///     mail(&notice.key.owner, text).await
/// });
/// builder.expiry_notifier(notifier.thresholds([14 * DAY, 2 * DAY]))
/// # }
/// ```
///
/// # What is told
/// 1. The end of the key, and the end of its current secret, where that comes first, as by
///    [`Policy::max_secret_age`](crate::Policy::max_secret_age). Each has thresholds of its own.
/// 2. Each threshold once. Where several were passed since the last time, as by a key that lives for a
///    day, the smallest of them alone.
/// 3. When an end was moved, or the key rotated, the thresholds of the new end.
/// 4. Active keys alone, and of them every one of the store, of all owners and environments. What has
///    ended already is not told.
///
/// # The hook
/// It must not block its thread: what the gate does beside the requests, such as the counting of usage,
/// runs on the same task, and waits meanwhile. Send mail that is synchronous by `spawn_blocking`. A hook
/// that takes too long three times in a row is not called again in that sweep; the next, which comes
/// within minutes, begins with the keys behind those, and comes back to them afterwards.
///
/// # How often
/// One instance at a time looks at the keys, every hour unless set, and notes in the store's settings
/// what it has told. A notice is noted when the hook has succeeded: one that fails, panics, or takes
/// too long, is told again by a later sweep, and does not hold up the others. So each is told
/// once, and again only if the process died, the store was lost or the clock of another instance was
/// wrong by more than a minute between the call of the hook and the note. Let the hook bear that.
///
/// # Deployment caveat
/// It runs with the [background work](crate::Keygate::run) of a gate whose manager is kept, by itself on
/// tokio. Give all instances on a store a notifier with the same thresholds and interval: whichever is
/// first looks at all keys.
#[derive(Clone)]
pub struct ExpiryNotifier {
    hook: Hook,
    thresholds: Vec<Duration>,
    every: Duration,
    time_limit: Duration,
}

type HookError = Box<dyn StdError + Send + Sync>;

type Hook = Arc<dyn Fn(ExpiryNotice) -> BoxFuture<Result<(), HookError>> + Send + Sync>;

impl ExpiryNotifier {
    /// Calls `hook` thirty days, seven days and a day before the end.
    pub fn new<F, T, E>(hook: F) -> Self
    where
        F: Fn(ExpiryNotice) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<HookError>,
    {
        let hook = Arc::new(hook);
        Self {
            hook: Arc::new(move |notice| {
                let hook = Arc::clone(&hook);
                // It is called within the future, so that a panic of either is one of the future.
                Box::pin(async move { hook(notice).await.map_err(Into::into) })
            }),
            thresholds: vec![DAY * 30, DAY * 7, DAY],
            every: EVERY,
            time_limit: LONGEST_CALL,
        }
    }

    /// How long before the end to tell of it, in any order.
    pub fn thresholds(mut self, thresholds: impl IntoIterator<Item = Duration>) -> Self {
        self.thresholds = thresholds.into_iter().collect();
        self
    }

    /// How often keys are looked at: every hour unless set, and more often than the smallest threshold is
    /// long.
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }

    /// How long a call of the hook may take: a minute unless set, and at most. One that takes longer is
    /// dropped.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        if self.every.is_zero() {
            Some("keys would be looked at without a pause: set an interval")
        } else if self.thresholds.is_empty() {
            Some("it has no thresholds, so it would tell nothing")
        } else if self.thresholds.iter().any(Duration::is_zero) {
            Some("a threshold is zero, and what has ended is not told")
        } else if self.thresholds.iter().any(|own| self.every >= *own) {
            Some(
                "its interval is as long as a threshold, so what has to be told may end before keys are looked at again: look more often, or leave the threshold out",
            )
        } else if self.time_limit.is_zero() {
            Some("its time_limit is zero: no call of the hook would have the time to succeed")
        } else if self.time_limit > LONGEST_CALL {
            Some(
                "its time_limit is longer than a minute, after which another instance may take over",
            )
        } else {
            None
        }
    }
}

impl fmt::Debug for ExpiryNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpiryNotifier")
            .field("thresholds", &self.thresholds)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
