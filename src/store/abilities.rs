use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;

use super::{AuditLog, DayTotal, KeyUsage, OwnerTotal, StoreError, UsageBatch};
use crate::clock::{Clock, Day, Now};
use crate::key::KeyId;

/// What a store can do beyond the three methods of [`KeyStore`](super::KeyStore).
///
/// Without one of them no key opens that should not. What is lost instead is said at each.
///
/// ```
/// # use keygate::store::Abilities;
/// # struct MyStore { audit_table: keygate::MemoryStore }
/// # impl MyStore {
/// fn abilities(&self) -> Abilities<'_> {
///     Abilities::none().with_audit_log(&self.audit_table)
/// }
/// # }
/// ```
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Abilities<'a> {
    /// Tells of changes as they happen, so that caches may keep entries longer than a second.
    pub change_feed: Option<&'a dyn ChangeFeed>,
    /// Keeps the audit events that come with a write, in the same atomic step, and those of requests.
    /// Without it they go to the log and to the [channel](crate::Builder::audit_channel) of the host alone,
    /// after the commit and at most once: a process that ends in between loses them.
    pub audit_log: Option<&'a dyn AuditLog>,
    /// Keeps a few values that all processes on the store must agree on.
    pub settings: Option<&'a dyn Settings>,
    /// Adds up how keys are used.
    pub usage: Option<&'a dyn UsageStore>,
}

impl<'a> Abilities<'a> {
    /// None of them.
    pub const fn none() -> Self {
        Self {
            change_feed: None,
            audit_log: None,
            settings: None,
            usage: None,
        }
    }

    /// With a change feed.
    pub const fn with_change_feed(self, feed: &'a dyn ChangeFeed) -> Self {
        Self {
            change_feed: Some(feed),
            ..self
        }
    }

    /// With an audit log.
    pub const fn with_audit_log(self, log: &'a dyn AuditLog) -> Self {
        Self {
            audit_log: Some(log),
            ..self
        }
    }

    /// With settings.
    pub const fn with_settings(self, settings: &'a dyn Settings) -> Self {
        Self {
            settings: Some(settings),
            ..self
        }
    }

    /// With usage.
    pub const fn with_usage(self, usage: &'a dyn UsageStore) -> Self {
        Self {
            usage: Some(usage),
            ..self
        }
    }
}

impl std::fmt::Debug for Abilities<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Abilities")
            .field("change_feed", &self.change_feed.is_some())
            .field("audit_log", &self.audit_log.is_some())
            .field("settings", &self.settings.is_some())
            .field("usage", &self.usage.is_some())
            .finish()
    }
}

/// How often a [`ChangeFeed`] begins a heartbeat, at least.
pub const HEARTBEAT: Duration = Duration::from_millis(250);

/// Tells of changes made by any process, as they happen.
///
/// # Order
/// A heartbeat proves that nothing was missed: it takes a [`Beat`] from the listener, sends
/// something along the path that changes travel, and hands the beat back when that arrives. Before
/// it does, it has reported every change that was acknowledged to anybody before the beat was
/// begun.
///
/// # Reads
/// After a change was reported, [`KeyStore::get`](super::KeyStore::get) sees it: what it reads from
/// is what the feed listens to.
///
/// # Cancellation
/// [`follow`](Self::follow) may be dropped at any point, and called again.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Follows the feed and reports to `listener` until the feed breaks; returns why it broke.
    ///
    /// It connects, and begins a heartbeat at once and then every [`HEARTBEAT`]. Changes from before
    /// its first [`ChangeListener::alive`] need not be reported: the listener takes that for "any
    /// record may have been changed".
    ///
    /// It neither connects again nor waits before it returns. Whoever follows does both, and drops a
    /// feed whose heartbeats stay away.
    async fn follow(&self, listener: &dyn ChangeListener) -> StoreError;
}

/// Who is told of changes.
pub trait ChangeListener: Send + Sync {
    /// The record of `id` was changed, added or removed.
    fn changed(&self, id: &KeyId);

    /// Any record may have been changed: the feed cannot say which.
    fn all_changed(&self);

    /// Begins a heartbeat: to be called before it is sent.
    fn beat(&self) -> Beat;

    /// The heartbeat came through: every change committed before it was begun has been told.
    fn alive(&self, beat: Beat);
}

/// When a heartbeat was begun, by both clocks: a suspended machine stops one, and steps the other.
#[derive(Clone, Copy, Debug)]
pub struct Beat(Now);

impl Beat {
    /// A heartbeat that begins now.
    pub fn begin(clock: &dyn Clock) -> Self {
        Self(Now::of(clock))
    }

    pub(crate) fn begun(self) -> Now {
        self.0
    }

    /// Whether it was begun less than `limit` ago.
    pub fn is_within(self, limit: Duration, clock: &dyn Clock) -> bool {
        Now::of(clock).is_within(limit, self.0)
    }
}

/// Named values that all processes on the store agree on, such as the check values of peppers: a few,
/// and one for each key that came near its end, where that is [told](crate::ExpiryNotifier).
///
/// Names that begin with `keygate/` are this crate's. Names and values are short: up to a hundred
/// characters, and a thousand bytes.
///
/// On a store without them, a wrong pepper is not noticed at start, and every valid key is then
/// answered as an invalid one; nor is a missing one, without which keys are answered 503.
#[async_trait]
pub trait Settings: Send + Sync {
    /// The value under `name`, or `None`.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets `name` to `value` in one atomic step, if it holds `expected` now (`None`: nothing).
    ///
    /// # Errors
    /// `Stale` when it holds something else; `Unavailable`; `OutcomeUnknown`.
    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError>;
}

/// Adds up how keys are used, apart from their records, so that it can never undo a change of one.
///
/// # Batches
/// The batches of one process are added one after another, each in one atomic step. One whose sequence
/// is not above the last that was added for its instance changes nothing: its answer was lost, and it is
/// added again. Batches of many processes may come at once.
///
/// # Counts
/// They are added up; of moments the latest stays, and of addresses the one of the latest request.
/// [`KeyUsage::add`] does it in memory. A count goes up to `i64::MAX` at least, and does not fall beyond
/// that. Owners and scopes are compared byte for byte.
///
/// # Reads
/// What one `add` acknowledged, every later read sees. [`of_keys`](Self::of_keys) sees a batch whole or
/// not at all.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Adds a batch. What an instance added last is kept for a month after that at least.
    ///
    /// # Errors
    /// `Unavailable`, or `OutcomeUnknown`; the same batch is then added again.
    async fn add(&self, batch: &UsageBatch) -> Result<(), StoreError>;

    /// What was added up for each of these keys, in their order; `None` for one that was never used.
    /// At most a thousand ids are asked for at once.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn of_keys(&self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, StoreError>;

    /// The requests of a key on each of `days` on which there were any, in their order.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn days_of_key(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError>;

    /// The requests of all keys of an owner on each of `days` on which there were any, in their order.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn days_of_owner(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError>;

    /// The owners whose keys were used on `day`, with their requests: in ascending byte order,
    /// beginning after `after`, at most `limit`; fewer only at the end.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn owners_on(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, StoreError>;

    /// Forgets the counts of the days before `day`, of keys and of owners. What is added up over all
    /// days stays.
    ///
    /// # Errors
    /// `Unavailable`, or `OutcomeUnknown`; it may then be done again.
    async fn forget_before(&self, day: Day) -> Result<(), StoreError>;
}
