//! The contract between keygate and whatever keeps its records.

mod abilities;
mod audit_log;
mod error;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
mod usage;

pub use abilities::{Abilities, Beat, ChangeFeed, ChangeListener, HEARTBEAT, Settings, UsageStore};
pub use audit_log::{AuditLog, AuditPage, AuditQuery};
pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresBuilder, PostgresOpenError, PostgresStore};
#[cfg(feature = "redis")]
pub(crate) use redis::{Counting, CountingServer, Taken};
#[cfg(feature = "redis")]
pub use redis::{RedisOpenError, RedisStore, RedisStoreBuilder};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOpenError, SqliteStore};
pub use usage::{DayTotal, KeyUsage, OwnerTotal, ScopeUsage, SecretUsage, UsageBatch, UsageEntry};

use std::sync::Arc;

use async_trait::async_trait;

use crate::audit::AuditEvent;
use crate::key::KeyId;
use crate::record::KeyRecord;

/// Where records are kept. This documentation is the contract; the suite behind the feature
/// `conformance` checks on your store every clause that can be seen from outside.
///
/// # Atomicity
/// A [`write`](Self::write) happens whole or not at all: the record together with its audit events,
/// where the store has an [audit log](Abilities::audit_log). Its expectation is judged in the same
/// step, so of any number of concurrent writes with one expectation, exactly one succeeds.
///
/// # Expectations
/// [`Expect::Absent`] fails as `Taken` when the id exists. [`Expect::Version`] fails as `Stale` when
/// the stored version is another, or the id is unknown. A failed write changes nothing.
///
/// # Versions
/// A store keeps `record.version` as it is given: above the expected version, and at most
/// `i64::MAX`. Where a record can be changed by hand, as in an SQL console, such a change raises the
/// version too.
///
/// # Finality
/// Nothing clears or alters a stored revocation: a write that would is refused as `Stale`.
///
/// # Durability
/// `Ok` means that the change survives a crash of the process, the store and the machine.
/// [`StoreErrorKind::OutcomeUnknown`] means that it may or may not have happened; any other error
/// means that it did not.
///
/// # Visibility
/// A `get` or `list` that is sent after a `write` was acknowledged sees that write, in every
/// process.
///
/// # Missing ids
/// An unknown id is `Ok(None)`, never an error; an outage is an error, never `Ok(None)`.
///
/// # Fidelity
/// A record is returned as it was written, in every field. Its texts are any Unicode without control
/// characters, and compare byte for byte; its networks are without host bits. A stored record that cannot be read
/// fails as [`StoreErrorKind::Corrupt`] with an error that names it, and does not stop the others
/// from being read, neither by `get` nor by `list`.
///
/// # Order
/// [`list`](Self::list) returns records in ascending byte order of their ids, beginning after
/// `page.after`, at most `page.limit` of them; fewer only at the end. With an owner it returns that
/// owner's records alone, compared byte for byte.
///
/// # Time
/// A store that does not answer fails as `Unavailable` within seconds. Requests stop waiting for a
/// `get` after a second in any case; who manages keys waits for the store.
///
/// # Cancellation
/// Any future may be dropped at any point. A dropped `write` happened whole or not at all.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// The record of `id`, or `None` when there is none.
    ///
    /// # Errors
    /// `Unavailable`, or `Corrupt` when the record cannot be read.
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// Makes one change, with its audit events, if the expectation holds.
    ///
    /// # Errors
    /// `Taken` or `Stale` when it does not hold, `Unavailable` when nothing happened,
    /// `OutcomeUnknown` when that cannot be said.
    async fn write(&self, change: Write<'_>) -> Result<(), StoreError>;

    /// Some records, in the order of their ids.
    ///
    /// # Errors
    /// `Unavailable`. Records that cannot be read are part of the answer instead.
    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError>;

    /// What else the store can do. Forgetting one lets nobody in.
    fn abilities(&self) -> Abilities<'_> {
        Abilities::none()
    }
}

/// The record of `id`, and not what the store took for it.
pub(crate) async fn get_checked(
    store: &dyn KeyStore,
    id: &KeyId,
) -> Result<Option<KeyRecord>, StoreError> {
    match store.get(id).await? {
        Some(other) if other.id != *id => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            format!("key {id}: the store answered with key {}", other.id),
        )),
        record => Ok(record),
    }
}

/// One atomic change of one record.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// What must be true for it to happen.
    pub expect: Expect,
    /// The record as it is to be from now on.
    pub record: &'a KeyRecord,
    /// What the audit log is to say about it.
    pub audit: &'a [AuditEvent],
}

/// What must be true of the stored record for a write to happen. An upsert cannot be spelt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// There is no record of this id.
    Absent,
    /// The record has this version.
    Version(u64),
}

/// Which records to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page<'a> {
    /// Of this owner alone; `None`: of all.
    pub owner: Option<&'a str>,
    /// Only ids greater than this one.
    pub after: Option<KeyId>,
    /// At most this many, at least 1.
    pub limit: usize,
}

/// A page of records.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The records, in ascending order of their ids.
    pub records: Vec<KeyRecord>,
    /// Records of the page that cannot be read, each with an error that names it. They count
    /// towards the limit.
    pub unreadable: Vec<Unreadable>,
}

impl Listed {
    /// Whether there may be more behind a page of at most `limit`.
    pub(crate) fn is_full(&self, limit: usize) -> bool {
        self.records.len() + self.unreadable.len() >= limit
    }

    /// Where the next page begins.
    pub(crate) fn last_id(&self) -> Option<KeyId> {
        let unreadable = self
            .unreadable
            .iter()
            .filter_map(|record| record.id.parse().ok());
        self.records
            .last()
            .map(|record| record.id)
            .into_iter()
            .chain(unreadable)
            .max()
    }
}

/// A stored record that cannot be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Its id as it is stored, which may itself be damaged.
    pub id: String,
    /// What is wrong with it.
    pub error: StoreError,
}

impl From<Vec<KeyRecord>> for Listed {
    fn from(records: Vec<KeyRecord>) -> Self {
        Self {
            records,
            unreadable: Vec::new(),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        (**self).get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        (**self).write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        (**self).list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        (**self).abilities()
    }
}
