mod audit;
mod builder;
mod error;
mod feed;
mod field;
mod link;
mod migrate;
mod moment;
mod names;
mod rows;
mod statements;
mod usage;

pub use builder::PostgresBuilder;
pub use error::PostgresOpenError;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, PgPool, Row, query_with};

use self::error::{not_done, unavailable};
use self::link::{Link, Sql};
use self::moment::Moment;
use self::names::Names;
use self::statements::Statements;
use super::{
    Abilities, AuditLog, AuditPage, AuditQuery, ChangeFeed, ChangeListener, Expect, KeyStore,
    Listed, Page, Settings, StoreError, StoreErrorKind, Write,
};
use crate::audit::{AuditEvent, AuditKind};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::{KeyRecord, RecordError};

/// Keeps records in a PostgreSQL database, which any number of instances may share. Cloning it is
/// cheap. It needs tokio.
///
/// ```no_run
/// # use keygate::PostgresStore;
/// # async fn run() -> Result<(), keygate::PostgresOpenError> {
/// let store = PostgresStore::connect("postgres://keys@localhost/keys").await?;
/// # Ok(())
/// # }
/// ```
///
/// A service that has a pool shares it, and chooses where the tables are:
/// ```no_run
/// # use keygate::PostgresStore;
/// # async fn run(pool: sqlx::PgPool) -> Result<(), keygate::PostgresOpenError> {
/// let store = PostgresStore::builder(pool).schema("auth").open().await?;
/// # Ok(())
/// # }
/// ```
///
/// # By hand
/// The tables have plain columns and comments, so keys can be looked at and changed with `psql`.
/// Every change of a row raises its version and is told to all instances, which refuse a key that
/// was revoked in this way within a second:
/// ```sql
/// UPDATE keygate_keys SET revoked_at = now(), revocation_reason = 'leaked'
/// WHERE id = '4KX9vQ2mB7tZ';
/// ```
/// The database itself refuses to take back a revocation.
///
/// How keys are used lies beside them, by key, day, scope and secret:
/// ```sql
/// SELECT id, name, owner, last_used_at, last_used_from
/// FROM keygate_keys LEFT JOIN keygate_usage ON key_id = id
/// WHERE revoked_at IS NULL ORDER BY last_used_at NULLS FIRST;
/// ```
///
/// # What it asks of the server
/// 1. PostgreSQL 12 or newer, the primary, with a database in UTF8, and `fsync = on`.
/// 2. Changes are committed with `synchronous_commit` at least `on`, whatever the session says.
/// 3. One connection of its own for the change feed, beside those of the pool. It cannot go through
///    a pooler that hands out transactions; see [`PostgresBuilder::listen_options`].
///
/// # Deployment caveats
/// - A failover that promotes a standby which had not received every commit loses what was
///   committed last, also revocations, and so does a backup that is put back: revoke those keys
///   again. With `synchronous_standby_names` set, a failover loses nothing.
/// - A pool of the host keeps the settings of the host. Give it a `statement_timeout`, so that
///   the server gives up together with the callers, and `test_before_acquire(false)`, which saves
///   a round trip for each record. The pool of [`connect`](Self::connect) has both.
/// - After an exchange that failed for want of an answer, the idle connections of the pool are
///   closed and opened anew.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    link: Link,
    names: Names,
    statements: Statements,
    listen_options: Option<PgConnectOptions>,
}

impl PostgresStore {
    /// Connects to the database at `url` with a [pool](Self::pool) of its own, and brings the
    /// tables up to date.
    ///
    /// # Errors
    /// Says what is wrong with the database and what to do about it.
    pub async fn connect(url: &str) -> Result<Self, PostgresOpenError> {
        Self::builder(Self::pool(url)?).open().await
    }

    /// A pool as [`connect`](Self::connect) uses it, to build a store on. It connects when it is
    /// used.
    ///
    /// # Errors
    /// When `url` cannot be read.
    pub fn pool(url: &str) -> Result<PgPool, PostgresOpenError> {
        builder::pool(url)
    }

    /// Builds a store on a pool.
    pub fn builder(pool: PgPool) -> PostgresBuilder {
        PostgresBuilder::new(pool)
    }

    /// Makes a change within a transaction of the host: it happens when the host commits, or not at
    /// all. The transaction stays usable when the change is refused as `Taken` or `Stale`.
    ///
    /// ```no_run
    /// # use keygate::{KeyManager, NewKey, PostgresStore};
    /// # async fn run(store: PostgresStore, pool: sqlx::PgPool, manager: KeyManager)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let mut transaction = pool.begin().await?;
    /// // The host's own statements stand beside the key.
    /// let draft = manager.draft(NewKey::for_owner("org_42"))?;
    /// store.write_in(&mut transaction, draft.write()).await?;
    /// transaction.commit().await?;
    /// let issued = draft.committed();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`KeyStore::write`], but for `OutcomeUnknown`: the outcome is that of the commit.
    pub async fn write_in(
        &self,
        transaction: &mut PgConnection,
        change: Write<'_>,
    ) -> Result<(), StoreError> {
        let (sql, values) = self.statement(change)?;
        let query = query_with(AssertSqlSafe(Arc::clone(sql)), values);
        let rows = query.fetch_all(transaction).await;
        judge(change, &rows.map_err(|error| not_done(&error))?)
    }

    /// The statement that makes a change, and its values.
    fn statement(&self, change: Write<'_>) -> Result<(&Sql, PgArguments), StoreError> {
        let mut values = rows::encode(change.record)?;
        add(&mut values, audit::encode(change.audit)?)?;
        match change.expect {
            Expect::Absent => Ok((&self.shared.statements.insert, values)),
            Expect::Version(version) => {
                // No stored version is larger.
                let version = i64::try_from(version).map_err(|_| StoreErrorKind::Stale)?;
                add(&mut values, version)?;
                Ok((&self.shared.statements.update, values))
            }
        }
    }
}

/// What became of a change, by what its statement answered.
fn judge(change: Write<'_>, rows: &[PgRow]) -> Result<(), StoreError> {
    if is_written(rows)? {
        return Ok(());
    }
    let Expect::Version(expected) = change.expect else {
        return Err(StoreErrorKind::Taken.into());
    };
    let stored = |row: &PgRow| {
        let version: Option<i64> = row.try_get("version").ok()?;
        let keeps_revocation: Option<bool> = row.try_get("keeps_revocation").ok()?;
        let format: Option<i64> = row.try_get("format").ok()?;
        let is_expected = u64::try_from(version?) == Ok(expected) && keeps_revocation?;
        format.filter(|_| is_expected)
    };
    let Some(format) = rows.first().and_then(stored) else {
        return Err(StoreErrorKind::Stale.into());
    };
    let KeyRecord { id, version, .. } = change.record;
    RecordError::check_format(format).map_err(|error| rows::unreadable(id.as_str(), &error))?;
    match *version <= expected {
        true => Err(unavailable(format!(
            "key {id}: a change must raise the version, and {version} is not above {expected}"
        ))),
        false => Err(StoreErrorKind::Stale.into()),
    }
}

fn is_written(rows: &[PgRow]) -> Result<bool, StoreError> {
    let row = rows.first();
    let row = row.ok_or_else(|| unavailable("the server did not say what it wrote"))?;
    let written: i64 = row.try_get("written").map_err(|error| not_done(&error))?;
    Ok(written == 1)
}

fn add<'v, T>(values: &mut PgArguments, value: T) -> Result<(), StoreError>
where
    T: sqlx::Encode<'v, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let too_long = |_| unavailable("a value is too long to send");
    values.add(value).map_err(too_long)
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("keys", &self.shared.names.keys())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let mut values = PgArguments::default();
        add(&mut values, id.as_str())?;
        let Shared {
            link, statements, ..
        } = &*self.shared;
        rows::found(&link.look_up(&statements.find, values).await?, id)
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        let (sql, values) = self.statement(change)?;
        let judge = |rows: &[PgRow]| judge(change, rows);
        self.shared.link.change(sql, values, judge).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let statements = &self.shared.statements;
        let mut values = PgArguments::default();
        add(&mut values, page.after.as_ref().map_or("", KeyId::as_str))?;
        add(&mut values, i64::try_from(page.limit).unwrap_or(i64::MAX))?;
        let sql = match page.owner {
            None => &statements.list,
            Some(owner) => {
                add(&mut values, owner)?;
                &statements.list_of_owner
            }
        };
        Ok(rows::listed(&self.shared.link.view(sql, values).await?))
    }

    fn abilities(&self) -> Abilities<'_> {
        let abilities = Abilities::none()
            .with_audit_log(self)
            .with_settings(self)
            .with_usage(self);
        match self.shared.listen_options {
            Some(_) => abilities.with_change_feed(self),
            None => abilities,
        }
    }
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let (sql, values) = audit::statement(&self.shared.statements.events, query)?;
        audit::page(&self.shared.link.view(&sql, values).await?, query)
    }

    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        let mut values = PgArguments::default();
        add(&mut values, audit::encode(events)?)?;
        let Shared {
            link, statements, ..
        } = &*self.shared;
        link.change(&statements.record_events, values, |_| Ok(()))
            .await
    }

    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let mut values = PgArguments::default();
        add(&mut values, kind.as_str())?;
        add(&mut values, Moment::from(moment))?;
        add(&mut values, i64::try_from(limit).unwrap_or(i64::MAX))?;
        let mut forgotten: i64 = 0;
        let judge = |rows: &[PgRow]| {
            let told = rows.first().map_or(Ok(0), |row| row.try_get("forgotten"));
            forgotten = told.map_err(|error| not_done(&error))?;
            Ok(())
        };
        let Shared {
            link, statements, ..
        } = &*self.shared;
        link.change(&statements.forget_events, values, judge)
            .await?;
        Ok(usize::try_from(forgotten).unwrap_or_default())
    }
}

#[async_trait]
impl Settings for PostgresStore {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut values = PgArguments::default();
        add(&mut values, name)?;
        let Shared {
            link, statements, ..
        } = &*self.shared;
        let rows = link.look_up(&statements.setting, values).await?;
        let value = rows.first().map(|row| row.try_get("value")).transpose();
        value.map(Option::flatten).map_err(|error| not_done(&error))
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let statements = &self.shared.statements;
        let mut values = PgArguments::default();
        add(&mut values, name)?;
        add(&mut values, value)?;
        let sql = match expected {
            None => &statements.make_setting,
            Some(expected) => {
                add(&mut values, expected)?;
                &statements.change_setting
            }
        };
        let judge = |rows: &[PgRow]| match is_written(rows)? {
            true => Ok(()),
            false => Err(StoreErrorKind::Stale.into()),
        };
        self.shared.link.change(sql, values, judge).await
    }
}

#[async_trait]
impl ChangeFeed for PostgresStore {
    async fn follow(&self, listener: &dyn ChangeListener) -> StoreError {
        let Shared {
            link,
            names,
            listen_options,
            ..
        } = &*self.shared;
        match listen_options {
            Some(options) => feed::follow(link, names, options, listener).await,
            None => unavailable("the store has no change feed"),
        }
    }
}
