//! How keys were used: batches on the way in, and totals on the way out.

mod counted;
mod statements;

pub(super) use statements::UsageStatements;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgRow};

use super::error::not_done;
use super::field::Fields;
use super::link::Sql;
use super::{PostgresStore, add, is_written};
use crate::clock::Day;
use crate::key::KeyId;
use crate::record::RecordError;
use crate::store::{
    DayTotal, KeyUsage, OwnerTotal, ScopeUsage, SecretUsage, StoreError, StoreErrorKind,
    UsageBatch, UsageStore,
};

/// The columns in which the usage of a key is read, in the order in which [`decode_part`] goes
/// through them.
const PARTS: [&str; 7] = [
    "key_id",
    "part",
    "requests",
    "last_at",
    "address",
    "scope",
    "created_at",
];

/// So many rows are removed at once that the server is done well within its time.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

#[async_trait]
impl UsageStore for PostgresStore {
    async fn add(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        let values = counted::encode(batch)?;
        // A batch that was added before is not written, and that is as good.
        let judge = |rows: &[PgRow]| is_written(rows).map(drop);
        let sql = &self.shared.statements.usage.add;
        self.shared.link.change(sql, values, judge).await
    }

    async fn of_keys(&self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, StoreError> {
        let mut values = PgArguments::default();
        add(
            &mut values,
            ids.iter().map(KeyId::as_str).collect::<Vec<_>>(),
        )?;
        let sql = &self.shared.statements.usage.of_keys;
        let mut found = HashMap::with_capacity(ids.len());
        for row in self.shared.link.view(sql, values).await? {
            let part = decode_part(&row, &mut found);
            part.map_err(|error| unreadable(&named(&row, "key_id"), &error))?;
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn days_of_key(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let sql = &self.shared.statements.usage.days_of_key;
        days_of(self, sql, id.as_str(), &days).await
    }

    async fn days_of_owner(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let sql = &self.shared.statements.usage.days_of_owner;
        days_of(self, sql, owner, &days).await
    }

    async fn owners_on(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, StoreError> {
        let mut values = PgArguments::default();
        add(&mut values, counted::day_number(day))?;
        add(&mut values, after)?;
        add(&mut values, i64::try_from(limit).unwrap_or(i64::MAX))?;
        let sql = &self.shared.statements.usage.owners_on;
        let rows = self.shared.link.view(sql, values).await?;
        let decode =
            |row| decode_owner(row).map_err(|error| unreadable(&named(row, "owner"), &error));
        rows.iter().map(decode).collect()
    }

    async fn forget_before(&self, day: Day) -> Result<(), StoreError> {
        let sql = &self.shared.statements.usage.forget_before;
        loop {
            let mut values = PgArguments::default();
            add(&mut values, counted::day_number(day))?;
            add(&mut values, FORGOTTEN_AT_ONCE)?;
            let mut forgotten: i64 = 0;
            let judge = |rows: &[PgRow]| {
                let told = rows.first().map_or(Ok(0), |row| row.try_get("forgotten"));
                forgotten = told.map_err(|error| not_done(&error))?;
                Ok(())
            };
            self.shared.link.change(sql, values, judge).await?;
            if forgotten < FORGOTTEN_AT_ONCE {
                return Ok(());
            }
        }
    }
}

async fn days_of(
    store: &PostgresStore,
    sql: &Sql,
    whose: &str,
    days: &RangeInclusive<Day>,
) -> Result<Vec<DayTotal>, StoreError> {
    let mut values = PgArguments::default();
    add(&mut values, whose)?;
    add(&mut values, counted::day_number(*days.start()))?;
    add(&mut values, counted::day_number(*days.end()))?;
    let rows = store.shared.link.view(sql, values).await?;
    let decode = |row| decode_day(row).map_err(|error| unreadable(whose, &error));
    rows.iter().map(decode).collect()
}

/// A row of what was added up for a key: the whole of it, which comes first, or one of its scopes or
/// secrets.
fn decode_part(row: &PgRow, found: &mut HashMap<KeyId, KeyUsage>) -> Result<(), RecordError> {
    let mut fields = Fields::new(row, &PARTS);
    let (id, part) = (fields.next()?.parsed()?, fields.next()?.text()?);
    let (requests, last_at) = (fields.next()?.integer()?, fields.next()?.time()?);
    let [address, scope, created_at] = [fields.next()?, fields.next()?, fields.next()?];
    if part == "key" {
        let usage = KeyUsage {
            requests,
            last_used_at: last_at,
            last_used_from: address.optional_parsed()?,
            scopes: Vec::new(),
            lacked: Vec::new(),
            secrets: Vec::new(),
        };
        found.insert(id, usage);
        return Ok(());
    }
    // Somebody may have removed the whole by hand and left its parts.
    let Some(usage) = found.get_mut(&id) else {
        return Ok(());
    };
    if part == "secret" {
        usage.secrets.push(SecretUsage {
            created_at: created_at.time()?,
            requests,
            last_used_at: last_at,
        });
        return Ok(());
    }
    let scopes = match part {
        "lacked" => &mut usage.lacked,
        _ => &mut usage.scopes,
    };
    scopes.push(ScopeUsage {
        scope: scope.text()?.into(),
        requests,
        last_at,
    });
    Ok(())
}

fn decode_day(row: &PgRow) -> Result<DayTotal, RecordError> {
    let mut fields = Fields::new(row, &["day", "requests"]);
    Ok(DayTotal {
        day: Day::from_days_since_1970(fields.next()?.integer()?),
        requests: fields.next()?.integer()?,
    })
}

fn decode_owner(row: &PgRow) -> Result<OwnerTotal, RecordError> {
    let mut fields = Fields::new(row, &["owner", "requests"]);
    Ok(OwnerTotal {
        owner: fields.next()?.text()?.into(),
        requests: fields.next()?.integer()?,
    })
}

fn named(row: &PgRow, column: &str) -> String {
    row.try_get(column).unwrap_or_default()
}

fn unreadable(whose: &str, error: &RecordError) -> StoreError {
    let cause = format!("usage of {whose}: {error}");
    StoreError::new(StoreErrorKind::Corrupt, cause)
}
