//! Audit events as rows.

use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

use super::error::store_error;
use super::field::{Field, Fields};
use crate::audit::{Actor, AuditAction, AuditEvent};
use crate::clock::Timestamp;
use crate::record::RecordError;
use crate::store::{AuditPage, AuditQuery};
use crate::store::{StoreError, StoreErrorKind};

/// In the order in which [`decode`] goes through them.
const COLUMNS: [&str; 8] = [
    "sequence",
    "at",
    "action",
    "key_id",
    "owner",
    "actor_key_id",
    "address",
    "changes",
];

const INSERT: &str = "INSERT INTO keygate_audit
    (at, action, key_id, owner, actor_key_id, address, changes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM keygate_audit", COLUMNS.join(", ")));

/// Keeps `events`, within a transaction.
pub(super) fn append(connection: &Connection, events: &[AuditEvent]) -> Result<(), StoreError> {
    for event in events {
        let changes = serde_json::to_string(&event.changes)
            .map_err(|error| StoreError::new(StoreErrorKind::Unavailable, error))?;
        let actor = match event.actor {
            Actor::Key(id) => Some(id),
            _ => None,
        };
        connection
            .prepare_cached(INSERT)
            .and_then(|mut statement| {
                statement.execute((
                    event.at.as_unix_millis(),
                    event.action.as_str(),
                    event.key_id.map(|id| id.to_string()),
                    &event.owner,
                    actor.map(|id| id.to_string()),
                    event.address.map(|address| address.to_string()),
                    changes,
                ))
            })
            .map_err(store_error)?;
    }
    Ok(())
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
        key_id: Some(fields.next()?.parsed()?),
        owner: Some(fields.next()?.text()?.into()),
        actor: fields
            .next()?
            .optional(|field| field.parsed())?
            .map_or(Actor::Host, Actor::Key),
        address: fields.next()?.optional(|field| field.parsed())?,
        changes: fields.next()?.json()?,
        requests: None,
    })
}

fn decode_action(field: Field<'_>) -> Result<AuditAction, RecordError> {
    AuditAction::deserialize(field.text()?.into_deserializer())
        .map_err(|error: ValueError| field.damage(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyId;

    /// Every combination of what a query can ask for, and the index that must serve it.
    #[test]
    fn every_query_goes_through_the_narrowest_index() {
        let connection = Connection::open_in_memory().unwrap();
        let schema = include_str!("migrations/0001_keys.sql");
        connection.execute_batch(schema).unwrap();
        for asked in 0..32 {
            let asks = |bit: u32| asked & (1 << bit) != 0;
            let query = AuditQuery {
                key_id: asks(0).then(|| KeyId::generate().unwrap()),
                owner: asks(1).then(|| "org_42".into()),
                action: asks(2).then_some(AuditAction::Issued),
                from: asks(3).then_some(Timestamp::MIN),
                until: asks(4).then_some(Timestamp::MAX),
                ..AuditQuery::new()
            };
            let index = match () {
                () if asks(0) => "INDEX keygate_audit_of_key (key_id=? AND sequence>?)",
                () if asks(1) => "INDEX keygate_audit_of_owner (owner=? AND sequence>?)",
                () if asks(2) => "INDEX keygate_audit_of_action (action=? AND sequence>?)",
                () => "INTEGER PRIMARY KEY (rowid>?)",
            };
            let (sql, values) = statement(&query).unwrap();
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            let plan: Vec<String> = statement
                .query_map(params_from_iter(values), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert_eq!(
                plan,
                [format!("SEARCH keygate_audit USING {index}")],
                "{sql}"
            );
        }
    }
}
