//! Usage as rows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use rusqlite::{Connection, Params};

use super::SqliteStore;
use super::error::store_error;
use super::field::{Field, Fields};
use crate::clock::{Day, Timestamp};
use crate::key::KeyId;
use crate::record::RecordError;
use crate::store::{
    DayTotal, KeyUsage, OwnerTotal, ScopeUsage, SecretUsage, StoreError, StoreErrorKind,
    UsageBatch, UsageEntry, UsageStore,
};

/// So many rows are deleted at once: changes of keys wait for no more than these.
const DELETED_AT_ONCE: usize = 5_000;

/// It changes no row when the batch is not above the last one.
const MARK: &str = "INSERT INTO keygate_usage_batches (instance, sequence, added_at)
    VALUES (?1, ?2, unixepoch() * 1000)
    ON CONFLICT (instance) DO UPDATE SET sequence = excluded.sequence, added_at = excluded.added_at
    WHERE excluded.sequence > sequence";

/// A day more than the longest month.
const PRUNE: &str = "DELETE FROM keygate_usage_batches
    WHERE added_at < (unixepoch() - 32 * 86400) * 1000";

// A sum above the largest integer would be a float, so what does not fit is left out.

const ADD: &str = "INSERT INTO keygate_usage (key_id, requests, last_used_at, last_used_from)
    VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key_id) DO UPDATE SET
        requests = requests + min(excluded.requests, 9223372036854775807 - requests),
        last_used_from = iif(excluded.last_used_at >= last_used_at,
            excluded.last_used_from, last_used_from),
        last_used_at = max(last_used_at, excluded.last_used_at)";

const ADD_SCOPE: &str =
    "INSERT INTO keygate_usage_scopes (key_id, lacked, scope, requests, last_at)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (key_id, lacked, scope) DO UPDATE SET
        requests = requests + min(excluded.requests, 9223372036854775807 - requests),
        last_at = max(last_at, excluded.last_at)";

const ADD_SECRET: &str =
    "INSERT INTO keygate_usage_secrets (key_id, created_at, requests, last_used_at)
    VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key_id, created_at) DO UPDATE SET
        requests = requests + min(excluded.requests, 9223372036854775807 - requests),
        last_used_at = max(last_used_at, excluded.last_used_at)";

const ADD_DAY: &str = "INSERT INTO keygate_usage_days (day, key_id, requests) VALUES (?1, ?2, ?3)
    ON CONFLICT (day, key_id) DO UPDATE SET
        requests = requests + min(excluded.requests, 9223372036854775807 - requests)";

const ADD_OWNER: &str =
    "INSERT INTO keygate_usage_owners (day, owner, requests) VALUES (?1, ?2, ?3)
    ON CONFLICT (day, owner) DO UPDATE SET
        requests = requests + min(excluded.requests, 9223372036854775807 - requests)";

const FORGET: [&str; 2] = [
    "DELETE FROM keygate_usage_days WHERE (day, key_id) IN
        (SELECT day, key_id FROM keygate_usage_days WHERE day < ?1 LIMIT ?2)",
    "DELETE FROM keygate_usage_owners WHERE (day, owner) IN
        (SELECT day, owner FROM keygate_usage_owners WHERE day < ?1 LIMIT ?2)",
];

const KEY: Query<KeyUsage> = Query {
    columns: &["requests", "last_used_at", "last_used_from"],
    sql: "SELECT requests, last_used_at, last_used_from FROM keygate_usage WHERE key_id = ?1",
    read: |fields| {
        Ok(KeyUsage {
            requests: fields.next()?.integer()?,
            last_used_at: fields.next()?.time()?,
            last_used_from: fields.next()?.optional(Field::parsed)?,
            scopes: Vec::new(),
            lacked: Vec::new(),
            secrets: Vec::new(),
        })
    },
};

const SCOPES: Query<ScopeUsage> = Query {
    columns: &["scope", "requests", "last_at"],
    sql: "SELECT scope, requests, last_at FROM keygate_usage_scopes
        WHERE key_id = ?1 AND lacked = ?2 ORDER BY scope",
    read: |fields| {
        Ok(ScopeUsage {
            scope: fields.next()?.text()?.into(),
            requests: fields.next()?.integer()?,
            last_at: fields.next()?.time()?,
        })
    },
};

const SECRETS: Query<SecretUsage> = Query {
    columns: &["created_at", "requests", "last_used_at"],
    sql: "SELECT created_at, requests, last_used_at FROM keygate_usage_secrets
        WHERE key_id = ?1 ORDER BY created_at",
    read: |fields| {
        Ok(SecretUsage {
            created_at: fields.next()?.time()?,
            requests: fields.next()?.integer()?,
            last_used_at: fields.next()?.time()?,
        })
    },
};

const DAYS_OF_KEY: Query<DayTotal> = Query {
    columns: &["day", "requests"],
    sql: "SELECT day, requests FROM keygate_usage_days
        WHERE key_id = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day",
    read: day_total,
};

const DAYS_OF_OWNER: Query<DayTotal> = Query {
    columns: &["day", "requests"],
    sql: "SELECT day, requests FROM keygate_usage_owners
        WHERE owner = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day",
    read: day_total,
};

const OWNERS_ON: Query<OwnerTotal> = Query {
    columns: &["owner", "requests"],
    sql: "SELECT owner, requests FROM keygate_usage_owners
        WHERE day = ?1 AND owner > ?2 ORDER BY owner LIMIT ?3",
    read: |fields| {
        Ok(OwnerTotal {
            owner: fields.next()?.text()?.into(),
            requests: fields.next()?.integer()?,
        })
    },
};

#[async_trait]
impl UsageStore for SqliteStore {
    async fn add(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        let batch = batch.clone();
        self.change(move |transaction| match mark(transaction, &batch)? {
            true => add(transaction, &batch.entries).map_err(store_error),
            false => Ok(()),
        })
        .await
    }

    async fn of_keys(&self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, StoreError> {
        let ids = ids.to_vec();
        self.long_query(move |connection| {
            // All as of one moment, so that no batch is seen in part.
            let moment = connection.unchecked_transaction().map_err(store_error)?;
            ids.iter().map(|id| of_key(&moment, id)).collect()
        })
        .await
    }

    async fn days_of_key(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let id = *id;
        self.long_query(move |connection| {
            let values = (
                id.as_str(),
                days.start().to_string(),
                days.end().to_string(),
            );
            DAYS_OF_KEY.rows(connection, &format!("key {id}"), values)
        })
        .await
    }

    async fn days_of_owner(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let owner = owner.to_owned();
        self.long_query(move |connection| {
            let values = (&owner, days.start().to_string(), days.end().to_string());
            DAYS_OF_OWNER.rows(connection, &format!("owner {owner:?}"), values)
        })
        .await
    }

    async fn owners_on(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, StoreError> {
        // No owner is empty, so all of them come after that.
        let after = after.unwrap_or_default().to_owned();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.long_query(move |connection| {
            let day = day.to_string();
            OWNERS_ON.rows(
                connection,
                &format!("owners on {day}"),
                (&day, after, limit),
            )
        })
        .await
    }

    async fn forget_before(&self, day: Day) -> Result<(), StoreError> {
        for sql in FORGET {
            loop {
                let forget = move |transaction: &Connection| {
                    execute(transaction, sql, (day.to_string(), DELETED_AT_ONCE as i64))
                        .map_err(store_error)
                };
                if self.change(forget).await? < DELETED_AT_ONCE {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether the batch is to be added: it is the last one of its instance from now on, and was not so
/// before.
fn mark(connection: &Connection, batch: &UsageBatch) -> Result<bool, StoreError> {
    let UsageBatch {
        instance, sequence, ..
    } = batch;
    let sequence = i64::try_from(*sequence).map_err(|_| {
        let cause = format!("batch {sequence} of usage is numbered above {}", i64::MAX);
        StoreError::new(StoreErrorKind::Unavailable, cause)
    })?;
    let marked = execute(connection, MARK, (format!("{instance:032x}"), sequence));
    let marked = marked.map_err(store_error)?;
    execute(connection, PRUNE, ()).map_err(store_error)?;
    Ok(marked > 0)
}

fn add(connection: &Connection, entries: &[UsageEntry]) -> rusqlite::Result<()> {
    let mut owners: BTreeMap<(Day, &str), u64> = BTreeMap::new();
    for entry in entries {
        let UsageEntry {
            key_id,
            owner,
            day,
            usage,
        } = entry;
        let id = key_id.as_str();
        let (at, from) = (millis(usage.last_used_at), usage.last_used_from);
        let from = from.map(|from| from.to_string());
        execute(connection, ADD, (id, count(usage.requests), at, from))?;
        for (lacked, scopes) in [(false, &usage.scopes), (true, &usage.lacked)] {
            for scope in scopes {
                let at = millis(scope.last_at);
                let values = (id, lacked, &scope.scope, count(scope.requests), at);
                execute(connection, ADD_SCOPE, values)?;
            }
        }
        for secret in &usage.secrets {
            let (made, at) = (millis(secret.created_at), millis(secret.last_used_at));
            execute(
                connection,
                ADD_SECRET,
                (id, made, count(secret.requests), at),
            )?;
        }
        if usage.requests > 0 {
            let values = (day.to_string(), id, count(usage.requests));
            execute(connection, ADD_DAY, values)?;
            let total = owners.entry((*day, owner)).or_default();
            *total = total.saturating_add(usage.requests);
        }
    }
    for ((day, owner), requests) in owners {
        let values = (day.to_string(), owner, count(requests));
        execute(connection, ADD_OWNER, values)?;
    }
    Ok(())
}

fn of_key(connection: &Connection, id: &KeyId) -> Result<Option<KeyUsage>, StoreError> {
    let of = format!("key {id}");
    let id = id.as_str();
    let Some(usage) = KEY.rows(connection, &of, [id])?.pop() else {
        return Ok(None);
    };
    Ok(Some(KeyUsage {
        scopes: SCOPES.rows(connection, &of, (id, false))?,
        lacked: SCOPES.rows(connection, &of, (id, true))?,
        secrets: SECRETS.rows(connection, &of, [id])?,
        ..usage
    }))
}

fn day_total(fields: &mut Fields<'_>) -> Result<DayTotal, RecordError> {
    let day = fields.next()?;
    let start: Result<Timestamp, _> = format!("{}T00:00:00Z", day.text()?).parse();
    Ok(DayTotal {
        day: Day::of(start.map_err(|error| day.damage(error))?),
        requests: fields.next()?.integer()?,
    })
}

/// What is asked, and how a row of the answer is read.
struct Query<T> {
    /// In the order of the SELECT.
    columns: &'static [&'static str],
    sql: &'static str,
    read: fn(&mut Fields<'_>) -> Result<T, RecordError>,
}

impl<T> Query<T> {
    /// A row that cannot be read is damage to what was counted of `of`.
    fn rows(
        &self,
        connection: &Connection,
        of: &str,
        values: impl Params,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = connection.prepare_cached(self.sql).map_err(store_error)?;
        let mut rows = statement.query(values).map_err(store_error)?;
        let mut read = Vec::new();
        while let Some(row) = rows.next().map_err(store_error)? {
            let row = (self.read)(&mut Fields::new(row, self.columns));
            read.push(row.map_err(|error| {
                let cause = format!("the usage of {of}: {error}");
                StoreError::new(StoreErrorKind::Corrupt, cause)
            })?);
        }
        Ok(read)
    }
}

fn execute(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}

fn millis(moment: Timestamp) -> i64 {
    moment.as_unix_millis()
}

fn count(requests: u64) -> i64 {
    i64::try_from(requests).unwrap_or(i64::MAX)
}
