//! Audit events as rows.

use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

use super::error::store_error;
use super::field::{Field, Fields};
use crate::audit::{Actor, AuditAction, AuditEvent, AuditKind, Requests};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::RecordError;
use crate::store::{AuditPage, AuditQuery};
use crate::store::{StoreError, StoreErrorKind};

/// In the order in which [`decode`] goes through them.
const COLUMNS: [&str; 13] = [
    "sequence",
    "at",
    "action",
    "key_id",
    "owner",
    "actor_key_id",
    "actor_user",
    "actor_unknown",
    "address",
    "changes",
    "requests",
    "last_at",
    "code",
];

const INSERT: &str = "INSERT INTO keygate_audit (at, action, kind, key_id, owner,
        actor_key_id, actor_user, actor_unknown, address, changes, requests, last_at, code)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const FORGET: &str = "DELETE FROM keygate_audit WHERE sequence IN (
    SELECT sequence FROM keygate_audit WHERE kind = ?1 AND at < ?2 ORDER BY at LIMIT ?3)";

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM keygate_audit", COLUMNS.join(", ")));

/// Keeps `events`, within a transaction.
pub(super) fn append(connection: &Connection, events: &[AuditEvent]) -> Result<(), StoreError> {
    for event in events {
        let changes = serde_json::to_string(&event.changes)
            .map_err(|error| StoreError::new(StoreErrorKind::Unavailable, error))?;
        let (actor_key_id, actor_user, actor_unknown) = match &event.actor {
            Actor::Host => (None, None, false),
            Actor::Key(id) => (Some(id), None, false),
            Actor::User(name) => (None, Some(name), false),
            Actor::Stranger => (None, None, true),
        };
        let requests = event.requests.as_ref();
        connection
            .prepare_cached(INSERT)
            .and_then(|mut statement| {
                statement.execute(params![
                    event.at.as_unix_millis(),
                    event.action.as_str(),
                    event.action.kind().as_str(),
                    event.key_id.as_ref().map(KeyId::as_str),
                    event.owner,
                    actor_key_id.map(KeyId::as_str),
                    actor_user,
                    actor_unknown,
                    event.address.map(|address| address.to_string()),
                    changes,
                    requests.map(|requests| i64::try_from(requests.count).unwrap_or(i64::MAX)),
                    requests.map(|requests| requests.last_at.as_unix_millis()),
                    requests.and_then(|requests| requests.code.as_deref()),
                ])
            })
            .map_err(store_error)?;
    }
    Ok(())
}

/// Forgets events, within a transaction.
pub(super) fn forget_before(
    connection: &Connection,
    kind: AuditKind,
    moment: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(FORGET)
        .and_then(|mut statement| {
            statement.execute((kind.as_str(), moment.as_unix_millis(), limit))
        })
        .map_err(store_error)
}

/// The events that `query` asks for. A cursor is the sequence number of the last event before it.
pub(super) fn events(connection: &Connection, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let (sql, values) = statement(query)?;
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut rows = statement
        .query(params_from_iter(values))
        .map_err(store_error)?;
    let mut page = AuditPage::default();
    let mut last = query.after.clone().unwrap_or_else(|| "0".into());
    while let Some(row) = rows.next().map_err(store_error)? {
        if page.events.len() + page.unreadable.len() == query.limit {
            page.next = Some(last);
            break;
        }
        let sequence: i64 = row.get(0).map_err(store_error)?;
        match decode(&mut Fields::new(row, &COLUMNS)) {
            Ok(event) => page.events.push(event),
            Err(error) => {
                let cause = format!("audit event {sequence}: {error}");
                let error = StoreError::new(StoreErrorKind::Corrupt, cause);
                page.unreadable.push(error);
            }
        }
        last = sequence.to_string();
    }
    Ok(page)
}

/// It selects one event more than was asked for, which tells whether there is a next page.
fn statement(query: &AuditQuery) -> Result<(String, Vec<Value>), StoreError> {
    let after: i64 = match query.after.as_deref().map(str::parse) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => {
            let cause = "not a cursor of this store";
            return Err(StoreError::new(StoreErrorKind::Corrupt, cause));
        }
    };
    let text = |text: &str| Value::Text(text.into());
    let time = |time: Timestamp| Value::Integer(time.as_unix_millis());
    // The narrowest first: it is looked up in its index, and the plus keeps the others from theirs.
    let narrowing = [
        ("key_id =", query.key_id.map(|id| text(id.as_str()))),
        ("owner =", query.owner.as_deref().map(text)),
        ("action =", query.action.map(|action| text(action.as_str()))),
        ("kind =", query.kind.map(|kind| text(kind.as_str()))),
        ("at >=", query.from.map(time)),
        ("at <", query.until.map(time)),
    ];
    let mut sql = format!("{} WHERE sequence > ?", *SELECT);
    let mut values = vec![Value::Integer(after)];
    for (condition, value) in narrowing {
        if let Some(value) = value {
            let plus = if values.len() > 1 { "+" } else { "" };
            sql += &format!(" AND {plus}{condition} ?");
            values.push(value);
        }
    }
    sql += " ORDER BY sequence LIMIT ?";
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    values.push(Value::Integer(limit.saturating_add(1)));
    Ok((sql, values))
}

fn decode(fields: &mut Fields<'_>) -> Result<AuditEvent, RecordError> {
    let _sequence = fields.next()?;
    Ok(AuditEvent {
        at: fields.next()?.time()?,
        action: decode_action(fields.next()?)?,
        key_id: fields.next()?.optional(Field::parsed)?,
        owner: fields.next()?.optional(Field::text)?.map(Into::into),
        actor: decode_actor(fields)?,
        address: fields.next()?.optional(Field::parsed)?,
        changes: fields.next()?.json()?,
        requests: decode_requests(fields)?,
    })
}

fn decode_actor(fields: &mut Fields<'_>) -> Result<Actor, RecordError> {
    let key_id = fields.next()?.optional(Field::parsed)?;
    let user = fields.next()?.optional(Field::text)?;
    let unknown = fields.next()?;
    let is_unknown = unknown.integer::<u8>()? != 0;
    match (key_id, user, is_unknown) {
        (None, None, false) => Ok(Actor::Host),
        (Some(id), None, false) => Ok(Actor::Key(id)),
        (None, Some(name), false) => Ok(Actor::User(name.into())),
        (None, None, true) => Ok(Actor::Stranger),
        _ => Err(unknown.damage("is one of several actors")),
    }
}

fn decode_requests(fields: &mut Fields<'_>) -> Result<Option<Requests>, RecordError> {
    let count = fields.next()?.optional(Field::integer)?;
    let last_at = fields.next()?;
    let code = fields.next()?;
    let Some(count) = count else {
        return Ok(None);
    };
    Ok(Some(Requests {
        count,
        last_at: last_at.time()?,
        code: code.optional(Field::text)?.map(Into::into),
    }))
}

fn decode_action(field: Field<'_>) -> Result<AuditAction, RecordError> {
    AuditAction::deserialize(field.text()?.into_deserializer())
        .map_err(|error: ValueError| field.damage(error))
}

#[cfg(test)]
mod tests {
    use rusqlite::Params;

    use super::*;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for schema in [
            include_str!("migrations/0001_keys.sql"),
            include_str!("migrations/0004_audit.sql"),
        ] {
            connection.execute_batch(schema).unwrap();
        }
        connection
    }

    fn plan(connection: &Connection, sql: &str, values: impl Params) -> Vec<String> {
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let steps = statement.query_map(values, |row| row.get(3)).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn what_is_forgotten_is_found_through_an_index_and_not_sorted() {
        let plan = plan(&database(), FORGET, ("authentication", 1_i64, 1_i64));
        let through =
            "SEARCH keygate_audit USING COVERING INDEX keygate_audit_at (kind=? AND at<?)";
        assert!(plan.iter().any(|step| step == through), "{plan:?}");
        assert!(
            plan.iter()
                .all(|step| !step.contains("TEMP B-TREE") && !step.contains("SCAN keygate_audit")),
            "{plan:?}"
        );
    }

    /// Every combination of what a query can ask for, and the index that must serve it.
    #[test]
    fn every_query_goes_through_the_narrowest_index() {
        let connection = database();
        for asked in 0..64 {
            let asks = |bit: u32| asked & (1 << bit) != 0;
            let query = AuditQuery {
                key_id: asks(0).then(|| KeyId::generate().unwrap()),
                owner: asks(1).then(|| "org_42".into()),
                action: asks(2).then_some(AuditAction::Issued),
                kind: asks(3).then_some(AuditKind::Lifecycle),
                from: asks(4).then_some(Timestamp::MIN),
                until: asks(5).then_some(Timestamp::MAX),
                ..AuditQuery::new()
            };
            let index = match () {
                () if asks(0) => "INDEX keygate_audit_of_key (key_id=? AND sequence>?)",
                () if asks(1) => "INDEX keygate_audit_of_owner (owner=? AND sequence>?)",
                () if asks(2) => "INDEX keygate_audit_of_action (action=? AND sequence>?)",
                () if asks(3) => "INDEX keygate_audit_of_kind (kind=? AND sequence>?)",
                () => "INTEGER PRIMARY KEY (rowid>?)",
            };
            let (sql, values) = statement(&query).unwrap();
            let plan = plan(&connection, &sql, params_from_iter(values));
            assert_eq!(
                plan,
                [format!("SEARCH keygate_audit USING {index}")],
                "{sql}"
            );
        }
    }
}
