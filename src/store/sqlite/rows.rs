//! Records as rows, and the statements on them.

use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::error::store_error;
use super::field::Fields;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::mac::PepperId;
use crate::record::{FORMAT, KeyRecord, RateLimit, RecordError, Revocation, SecretSlot, Secrets};
use crate::scope::Scope;
use crate::store::{Expect, Listed, StoreError, StoreErrorKind, Unreadable};

/// In the order in which [`encode`] and [`decode`] go through them.
const COLUMNS: [&str; 25] = [
    "id",
    "format",
    "version",
    "prefix",
    "name",
    "owner",
    "scopes",
    "metadata",
    "created_at",
    "expires_at",
    "disabled_at",
    "revoked_at",
    "revocation_reason",
    "allowed_ips",
    "rate_requests",
    "rate_per_seconds",
    "rate_burst",
    "current_mac",
    "current_pepper",
    "current_created_at",
    "current_not_after",
    "previous_mac",
    "previous_pepper",
    "previous_created_at",
    "previous_not_after",
];

struct Statements {
    find: String,
    list: String,
    list_of_owner: String,
    insert: String,
    update: String,
}

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    let numbered = |n: usize| format!("?{}", n + 1);
    let values: Vec<String> = (0..COLUMNS.len()).map(numbered).collect();
    let set: Vec<String> = COLUMNS
        .iter()
        .enumerate()
        .skip(1)
        .map(|(n, column)| format!("{column} = {}", numbered(n)))
        .collect();
    let select = format!("SELECT {columns} FROM keygate_keys");
    Statements {
        find: format!("{select} WHERE id = ?1"),
        list: format!("{select} WHERE id > ?1 ORDER BY id LIMIT ?2"),
        list_of_owner: format!("{select} WHERE owner = ?3 AND id > ?1 ORDER BY id LIMIT ?2"),
        insert: format!(
            "INSERT INTO keygate_keys ({columns}) VALUES ({})",
            values.join(", ")
        ),
        update: format!("UPDATE keygate_keys SET {} WHERE id = ?1", set.join(", ")),
    }
});

/// What a write is judged by.
const JUDGE: &str = "SELECT version, format,
    revoked_at IS NULL OR (revoked_at IS ?2 AND revocation_reason IS ?3)
    FROM keygate_keys WHERE id = ?1";

/// The record of `id`: the outer error is SQLite's, the inner one the row's.
pub(super) fn find(
    connection: &Connection,
    id: &KeyId,
) -> rusqlite::Result<Option<Result<KeyRecord, StoreError>>> {
    connection
        .prepare_cached(&STATEMENTS.find)?
        .query_row([id.as_str()], |row| {
            Ok(decode(row).map_err(|error| unreadable(&stored_id(row), &error)))
        })
        .optional()
}

/// A page of records, and of rows that are none.
pub(super) fn list(
    connection: &Connection,
    owner: Option<&str>,
    after: Option<KeyId>,
    limit: usize,
) -> rusqlite::Result<Listed> {
    let after = after.as_ref().map_or("", KeyId::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let statements = &*STATEMENTS;
    let mut listed = Listed::default();
    let mut statement;
    let mut rows = match owner {
        None => {
            statement = connection.prepare_cached(&statements.list)?;
            statement.query((after, limit))?
        }
        Some(owner) => {
            statement = connection.prepare_cached(&statements.list_of_owner)?;
            statement.query((after, limit, owner))?
        }
    };
    while let Some(row) = rows.next()? {
        match decode(row) {
            Ok(record) => listed.records.push(record),
            Err(error) => {
                let id = stored_id(row);
                let error = unreadable(&id, &error);
                listed.unreadable.push(Unreadable { id, error });
            }
        }
    }
    Ok(listed)
}

/// Makes the change if its expectation holds. Nobody else may write from the judgement on, so
/// `connection` is in a transaction that has the right to write.
pub(super) fn write(
    connection: &Connection,
    expect: Expect,
    record: &KeyRecord,
) -> Result<(), StoreError> {
    let statement = match (expect, stored(connection, record)?) {
        (Expect::Absent, None) => &STATEMENTS.insert,
        (Expect::Absent, Some(_)) => return Err(StoreErrorKind::Taken.into()),
        (Expect::Version(_), None) => return Err(StoreErrorKind::Stale.into()),
        (Expect::Version(expected), Some(stored)) => {
            stored.judge(expected, record)?;
            &STATEMENTS.update
        }
    };
    let values = params_from_iter(encode(record)?);
    let changed = connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute(values))
        .map_err(store_error)?;
    match changed {
        1 => Ok(()),
        _ => Err(StoreErrorKind::Stale.into()),
    }
}

/// What a stored row says to a change.
struct Stored {
    version: i64,
    format: i64,
    keeps_revocation: bool,
}

fn stored(connection: &Connection, record: &KeyRecord) -> Result<Option<Stored>, StoreError> {
    let revocation = record.revocation.as_ref();
    let parameters = (
        record.id.as_str(),
        revocation.map(|revocation| revocation.at.as_unix_millis()),
        revocation.map(|revocation| &revocation.reason),
    );
    connection
        .prepare_cached(JUDGE)
        .and_then(|mut statement| {
            statement
                .query_row(parameters, |row| {
                    Ok(Stored {
                        version: row.get(0)?,
                        format: row.get(1)?,
                        keeps_revocation: row.get(2)?,
                    })
                })
                .optional()
        })
        .map_err(store_error)
}

impl Stored {
    fn judge(&self, expected: u64, record: &KeyRecord) -> Result<(), StoreError> {
        if u64::try_from(self.version) != Ok(expected) || !self.keeps_revocation {
            return Err(StoreErrorKind::Stale.into());
        }
        RecordError::check_format(self.format)
            .map_err(|error| unreadable(record.id.as_str(), &error))?;
        if record.version <= expected {
            let cause = format!(
                "key {}: a change must raise the version, and {} is not above {expected}",
                record.id, record.version
            );
            return Err(StoreError::new(StoreErrorKind::Unavailable, cause));
        }
        Ok(())
    }
}

fn stored_id(row: &Row<'_>) -> String {
    let id = row.get_ref(0).ok();
    let bytes = id.and_then(|id| id.as_bytes().ok()).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

fn unreadable(id: &str, error: &RecordError) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("key {id}: {error}"))
}

fn encode(record: &KeyRecord) -> Result<[Value; COLUMNS.len()], StoreError> {
    let cannot_keep = |what: &str| {
        StoreError::new(
            StoreErrorKind::Unavailable,
            format!("key {}: {what}", record.id),
        )
    };
    let version = i64::try_from(record.version)
        .map_err(|_| cannot_keep("SQLite holds no version above 9223372036854775807"))?;
    let metadata = serde_json::to_string(&record.metadata)
        .map_err(|_| cannot_keep("its metadata cannot be written as JSON"))?;
    let networks: Vec<String> = record.allowed_ips.iter().map(ToString::to_string).collect();
    let time = |time: Timestamp| Value::Integer(time.as_unix_millis());
    let optional_time = |moment: Option<Timestamp>| moment.map_or(Value::Null, time);
    let text = |text: &str| Value::Text(text.into());
    let revocation = record.revocation.as_ref();
    let rate = |part: fn(RateLimit) -> u32| {
        record
            .rate_limit
            .map_or(Value::Null, |limit| Value::Integer(part(limit).into()))
    };
    let [
        current_mac,
        current_pepper,
        current_created_at,
        current_not_after,
    ] = encode_slot(Some(&record.secrets.current));
    let [
        previous_mac,
        previous_pepper,
        previous_created_at,
        previous_not_after,
    ] = encode_slot(record.secrets.previous.as_ref());
    Ok([
        text(record.id.as_str()),
        Value::Integer(FORMAT.into()),
        Value::Integer(version),
        text(record.prefix.as_str()),
        text(&record.name),
        text(&record.owner),
        text(record.scopes.as_str()),
        Value::Text(metadata),
        time(record.created_at),
        optional_time(record.expires_at),
        optional_time(record.disabled_at),
        optional_time(revocation.map(|revocation| revocation.at)),
        text(revocation.map_or("", |revocation| &revocation.reason)),
        Value::Text(networks.join(" ")),
        rate(|limit| limit.requests),
        rate(|limit| limit.per_seconds),
        rate(|limit| limit.burst),
        current_mac,
        current_pepper,
        current_created_at,
        current_not_after,
        previous_mac,
        previous_pepper,
        previous_created_at,
        previous_not_after,
    ])
}

fn encode_slot(slot: Option<&SecretSlot>) -> [Value; 4] {
    let Some(slot) = slot else {
        return [Value::Null, Value::Null, Value::Null, Value::Null];
    };
    let not_after = slot.not_after.map(Timestamp::as_unix_millis);
    [
        Value::Blob(slot.mac.as_bytes().to_vec()),
        Value::Integer(slot.pepper.0.into()),
        Value::Integer(slot.created_at.as_unix_millis()),
        not_after.map_or(Value::Null, Value::Integer),
    ]
}

fn decode(row: &Row<'_>) -> Result<KeyRecord, RecordError> {
    let mut fields = Fields::new(row, &COLUMNS);
    let id = fields.next()?.parsed()?;
    RecordError::check_format(fields.next()?.integer()?)?;
    Ok(KeyRecord {
        id,
        version: fields.next()?.integer()?,
        prefix: fields.next()?.parsed()?,
        name: fields.next()?.text()?.into(),
        owner: fields.next()?.text()?.into(),
        scopes: fields.next()?.list::<Scope>()?.into_iter().collect(),
        metadata: fields.next()?.json()?,
        created_at: fields.next()?.time()?,
        expires_at: fields.next()?.optional(|field| field.time())?,
        disabled_at: fields.next()?.optional(|field| field.time())?,
        revocation: decode_revocation(&mut fields)?,
        allowed_ips: fields.next()?.list()?,
        rate_limit: decode_rate_limit(&mut fields)?,
        secrets: Secrets {
            current: decode_slot(&mut fields)?
                .ok_or_else(|| RecordError::Damaged("column current_mac: is missing".into()))?,
            previous: decode_slot(&mut fields)?,
        },
    })
}

fn decode_revocation(fields: &mut Fields<'_>) -> Result<Option<Revocation>, RecordError> {
    let at = fields.next()?.optional(|field| field.time())?;
    let field = fields.next()?;
    match (at, field.text()?) {
        (Some(at), reason) => Ok(Some(Revocation {
            at,
            reason: reason.into(),
        })),
        (None, "") => Ok(None),
        (None, _) => Err(field.damage("is set without revoked_at")),
    }
}

fn decode_rate_limit(fields: &mut Fields<'_>) -> Result<Option<RateLimit>, RecordError> {
    let field = fields.next()?;
    let requests = field.optional(|field| field.integer())?;
    let per_seconds = fields.next()?.optional(|field| field.integer())?;
    let burst = fields.next()?.optional(|field| field.integer())?;
    match (requests, per_seconds, burst) {
        (Some(requests), Some(per_seconds), Some(burst)) => Ok(Some(RateLimit {
            requests,
            per_seconds,
            burst,
        })),
        (None, None, None) => Ok(None),
        _ => Err(field.damage("all of the rate limit must be set, or nothing")),
    }
}

fn decode_slot(fields: &mut Fields<'_>) -> Result<Option<SecretSlot>, RecordError> {
    let field = fields.next()?;
    let mac = field.optional(|field| field.mac())?;
    let pepper = fields.next()?.optional(|field| field.integer())?;
    let created_at = fields.next()?.optional(|field| field.time())?;
    let not_after = fields.next()?.optional(|field| field.time())?;
    match (mac, pepper, created_at, not_after) {
        (Some(mac), Some(pepper), Some(created_at), not_after) => Ok(Some(SecretSlot {
            mac,
            pepper: PepperId(pepper),
            created_at,
            not_after,
        })),
        (None, None, None, None) => Ok(None),
        _ => Err(field.damage("all of a secret must be set, or nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_statement_reads_the_whole_table() {
        let connection = Connection::open_in_memory().unwrap();
        let schema = include_str!("migrations/0001_keys.sql");
        connection.execute_batch(schema).unwrap();
        let statements = &*STATEMENTS;
        let primary = "PRIMARY KEY";
        for (sql, index) in [
            (&statements.find, format!("{primary} (id=?)")),
            (&JUDGE.to_owned(), format!("{primary} (id=?)")),
            (&statements.update, format!("{primary} (id=?)")),
            (&statements.list, format!("{primary} (id>?)")),
            (
                &statements.list_of_owner,
                "INDEX keygate_keys_of_owner (owner=? AND id>?)".into(),
            ),
        ] {
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            let mut rows = statement.raw_query();
            let mut plan: Vec<String> = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get(3).unwrap());
            }
            assert_eq!(
                plan,
                [format!("SEARCH keygate_keys USING {index}")],
                "{sql}"
            );
        }
    }
}
