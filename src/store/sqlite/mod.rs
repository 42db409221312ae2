mod audit;
mod error;
mod feed;
mod field;
mod open;
mod place;
mod pool;
mod rows;
mod settings;
mod usage;
mod worker;

pub use error::SqliteOpenError;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use async_trait::async_trait;
use futures_channel::oneshot;
use rusqlite::{Connection, TransactionBehavior};

use self::error::{commit_error, is_busy, store_error};
use self::open::{Connections, Preparation};
use self::place::Place;
use self::pool::Pool;
use self::worker::{Worker, WorkerSettings};
use super::{Abilities, AuditLog, KeyStore, Listed, Page, StoreError, StoreErrorKind, Write};
use crate::audit::{AuditEvent, AuditKind};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::{AuditPage, AuditQuery};

/// Callers wait a second for a record, so the answer must come within it.
const READER: WorkerSettings = WorkerSettings {
    name: "keygate-reader",
    patience: Duration::from_millis(800),
    if_lost: StoreErrorKind::Unavailable,
};

const WRITER: WorkerSettings = WorkerSettings {
    name: "keygate-writer",
    patience: Duration::from_secs(3),
    if_lost: StoreErrorKind::OutcomeUnknown,
};

/// Keeps records in one SQLite file, which any number of processes on a machine may share.
/// Cloning it is cheap.
///
/// It works on every executor: records are read in the calling thread, in microseconds, and
/// whatever may have to wait for a lock or the disk has a thread of its own. Those threads end
/// when the last clone is dropped, after the writes that were begun until then.
///
/// ```
/// # use keygate::SqliteStore;
/// # async fn run() -> Result<(), keygate::SqliteOpenError> {
/// let store = SqliteStore::open("keys.db").await?;
/// # Ok(())
/// # }
/// ```
///
/// # By hand
/// The tables `keygate_keys`, `keygate_audit` and `keygate_settings` have plain columns, so keys
/// can be looked at and changed with the `sqlite3` program. Every change of a row raises its
/// version, so running processes see it like any other. The database itself refuses to take back a
/// revocation. It keeps the ids of the last few thousand changes in `keygate_changes`, for the feed:
/// leave that table to it.
///
/// How keys are used lies beside them. To count changes no key.
///
/// | table | has a row for each |
/// |---|---|
/// | `keygate_usage` | key, over all days |
/// | `keygate_usage_scopes` | key, and scope that was needed (or lacked, where a rule only reports that) |
/// | `keygate_usage_secrets` | key, and secret, which is known by when it was made |
/// | `keygate_usage_days` | day in UTC, and key |
/// | `keygate_usage_owners` | day in UTC, and owner |
/// | `keygate_usage_batches` | process, with its last batch: leave that table to it |
///
/// # Change feed
/// Forty times a second the file is asked whether anybody committed anything, in the thread of
/// whoever follows, in microseconds; only then are the changes read. So a change by any process is
/// known to all of them a fortieth of a second later, and other commits to the file empty no cache.
///
/// # Deployment caveats
/// - A new file is readable and writable by its owner alone. Keep it so: whoever can read it can
///   also lock it against writers.
/// - The file belongs on a local disk: network file systems do not lock reliably.
/// - Beside it lie `-wal` and `-shm` files that belong to it. Make backups with
///   `sqlite3 keys.db ".backup copy.db"`, and end all processes before one is put back: it brings
///   back keys that were revoked since.
/// - On Unix, a file that is replaced or removed while it is in use is noticed: reads and writes then
///   fail as unavailable until the process is started again. A write that meets the very moment may
///   be lost with the old file.
/// - The file holds keygate's tables alone. That of another application is refused.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    place: Arc<Place>,
    pool: Pool,
    reader: Worker,
    writer: Worker,
    feed: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the file at `path`, and makes it if there is none. An older schema is brought up to
    /// date.
    ///
    /// # Errors
    /// Says what is wrong with the file and what to do about it. A file that is not keygate's, or
    /// is newer than this code, is left as it is.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SqliteOpenError> {
        Self::open_after(Preparation::AsNeeded, path.as_ref()).await
    }

    /// Opens the file at `path` only if it is there and its schema is up to date: for tools, to which a
    /// path may be mistyped, and which are not to change what a service uses.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`SqliteOpenError::Missing`] and [`SqliteOpenError::Outdated`].
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Self, SqliteOpenError> {
        Self::open_after(Preparation::None, path.as_ref()).await
    }

    async fn open_after(allowed: Preparation, path: &Path) -> Result<Self, SqliteOpenError> {
        let path = path.to_path_buf();
        let failed = |error: io::Error| SqliteOpenError::failed(&path, error);
        let (opened, outcome) = oneshot::channel();
        let to_open = path.clone();
        thread::Builder::new()
            .name("keygate-open".into())
            .spawn(move || {
                // Whoever asked may have left; then everything is closed again.
                let _ = opened.send(Connections::open(&to_open, allowed));
            })
            .map_err(failed)?;
        let connections = outcome
            .await
            .map_err(|lost| SqliteOpenError::failed(&path, lost))??;
        Self::start(connections).map_err(failed)
    }

    fn start(connections: Connections) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                place: Arc::new(connections.place),
                pool: Pool::new(connections.readers),
                reader: Worker::start(READER, connections.reader)?,
                writer: Worker::start(WRITER, connections.writer)?,
                feed: Mutex::new(connections.feed),
            }),
        })
    }

    /// Reads in the calling thread, or in the reader's where that would have to wait.
    async fn query<T: Send + 'static>(
        &self,
        query: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.place.check()?;
        match self.shared.pool.with_idle(&query) {
            Some(Err(error)) if is_busy(&error) => {}
            Some(outcome) => return outcome.map_err(store_error),
            None => {}
        }
        self.long_query(move |connection| query(connection).map_err(store_error))
            .await
    }

    /// Reads in the reader's thread.
    async fn long_query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Before it reads: what is written to another file after that need not be seen.
        self.shared.place.check()?;
        let query = |connection: &mut Connection| query(connection);
        self.shared.reader.ask(query).await
    }

    /// Makes a change whole or not at all.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.shared.place);
        let transact = move |connection: &mut Connection| {
            place.check()?;
            // Dropped before its commit, also because that failed, it is rolled back.
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(store_error)?;
            let changed = change(&transaction)?;
            transaction.commit().map_err(commit_error)?;
            // It is in this file, which may be the one that nobody opens any more.
            let lost = |error| StoreError::new(StoreErrorKind::OutcomeUnknown, error);
            place.check().map_err(lost)?;
            Ok(changed)
        };
        self.shared.writer.ask(transact).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.shared.place.path())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let id = *id;
        let found = self.query(move |connection| rows::find(connection, &id));
        found.await?.transpose()
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        let expect = change.expect;
        let record = change.record.clone();
        let audit = change.audit.to_vec();
        self.change(move |transaction| {
            rows::write(transaction, expect, &record)?;
            audit::append(transaction, &audit)
        })
        .await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let (after, limit) = (page.after, page.limit);
        let owner = page.owner.map(str::to_owned);
        self.long_query(move |connection| {
            rows::list(connection, owner.as_deref(), after, limit).map_err(store_error)
        })
        .await
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none()
            .with_audit_log(self)
            .with_change_feed(self)
            .with_settings(self)
            .with_usage(self)
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let query = query.clone();
        self.long_query(move |connection| audit::events(connection, &query))
            .await
    }

    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.change(move |transaction| audit::append(transaction, &events))
            .await
    }

    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.change(move |transaction| audit::forget_before(transaction, kind, moment, limit))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};
    use std::time::Instant;

    use super::*;
    use crate::mac::{Mac, PepperId};
    use crate::record::{SecretSlot, Secrets};
    use crate::store::Expect;
    use crate::{ScopeSet, Timestamp};

    fn record() -> KeyRecord {
        KeyRecord {
            id: KeyId::generate().unwrap(),
            prefix: "acme_live".parse().unwrap(),
            name: "x".repeat(2_000),
            owner: "org_42".into(),
            scopes: ScopeSet::default(),
            metadata: Default::default(),
            created_at: Timestamp::MIN,
            expires_at: None,
            disabled_at: None,
            revocation: None,
            allowed_ips: Vec::new(),
            rate_limit: None,
            secrets: Secrets {
                current: SecretSlot {
                    mac: Mac::from_bytes([1; 32]),
                    pepper: PepperId(1),
                    created_at: Timestamp::MIN,
                    not_after: None,
                },
                previous: None,
            },
            version: 1,
        }
    }

    async fn insert(store: &SqliteStore, record: &KeyRecord) -> Result<(), StoreError> {
        let write = Write {
            expect: Expect::Absent,
            record,
            audit: &[],
        };
        store.write(write).await
    }

    #[tokio::test]
    async fn a_full_disk_is_an_outage_that_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("keys.db"))
            .await
            .unwrap();
        let limit = async |pages: i64| {
            let set = move |connection: &mut Connection| {
                connection
                    .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
                    .map_err(store_error)
            };
            store.shared.writer.ask(set).await.unwrap();
        };
        limit(30).await;
        let mut kept = Vec::new();
        let (refused, error) = loop {
            let record = record();
            match insert(&store, &record).await {
                Ok(()) => kept.push(record),
                Err(error) => break (record, error),
            }
        };
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(!kept.is_empty());
        assert_eq!(store.get(&refused.id).await.unwrap(), None);
        limit(1_000_000).await;
        insert(&store, &refused).await.unwrap();
        kept.push(refused);
        for record in kept {
            assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
        }
    }

    /// In a rollback journal, unlike in WAL mode, a writer locks readers out.
    #[tokio::test]
    async fn a_read_that_would_block_waits_elsewhere_and_not_for_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.db");
        let mut connections = Connections::open(&path, Preparation::AsNeeded).unwrap();
        let record = record();
        rows::write(&connections.writer, Expect::Absent, &record).unwrap();
        connections.readers.truncate(1);
        for reader in connections
            .readers
            .iter_mut()
            .chain([&mut connections.reader, &mut connections.feed])
        {
            *reader = Connection::open_in_memory().unwrap();
        }
        let mode: String = connections
            .writer
            .pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "delete");
        connections.place = Place::of(&path).unwrap();
        for reader in connections
            .readers
            .iter_mut()
            .chain([&mut connections.reader])
        {
            *reader = open::open_reader(&path).unwrap();
        }
        let other = Connection::open(&path).unwrap();
        let store = SqliteStore::start(connections).unwrap();

        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let mut read = std::pin::pin!(store.get(&record.id));
        let sent = Instant::now();
        let none = Waker::noop();
        assert!(
            read.as_mut()
                .poll(&mut Context::from_waker(none))
                .is_pending()
        );
        assert!(sent.elapsed() < Duration::from_millis(500), "it blocked");
        assert_eq!(read.await.unwrap_err().kind(), StoreErrorKind::Unavailable);
        let (found, ()) = tokio::join!(store.get(&record.id), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            other.execute_batch("COMMIT").unwrap();
        });
        assert_eq!(found.unwrap().as_ref(), Some(&record));
        assert_eq!(store.get(&record.id).await.unwrap().as_ref(), Some(&record));
    }
}
