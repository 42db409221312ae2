//! Audit events as rows.

use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

use super::error::store_error;
use super::field::{Field, Fields};
use crate::audit::{Actor, AuditAction, AuditEvent, AuditPage, AuditQuery};
use crate::record::RecordError;
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
            Actor::Host => None,
            Actor::Key(id) => Some(id),
        };
        connection
            .prepare_cached(INSERT)
            .and_then(|mut statement| {
                statement.execute((
                    event.at.as_unix_millis(),
                    event.action.as_str(),
                    event.key_id.as_str(),
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
        if page.events.len() == query.limit {
            page.next = Some(last);
            break;
        }
        let (sequence, event) = decode(row)?;
        page.events.push(event);
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
    let conditions = [
        ("sequence >", Some(Value::Integer(after))),
        ("key_id =", query.key_id.map(|id| text(id.as_str()))),
        ("owner =", query.owner.as_deref().map(text)),
        ("action =", query.action.map(|action| text(action.as_str()))),
        (
            "at >=",
            query.from.map(|t| Value::Integer(t.as_unix_millis())),
        ),
        (
            "at <",
            query.until.map(|t| Value::Integer(t.as_unix_millis())),
        ),
    ];
    let (conditions, mut values): (Vec<&str>, Vec<Value>) = conditions
        .into_iter()
        .filter_map(|(condition, value)| Some((condition, value?)))
        .unzip();
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    values.push(Value::Integer(limit.saturating_add(1)));
    let sql = format!(
        "{} WHERE {} ? ORDER BY sequence LIMIT ?",
        *SELECT,
        conditions.join(" ? AND ")
    );
    Ok((sql, values))
}

fn decode(row: &Row<'_>) -> Result<(i64, AuditEvent), StoreError> {
    let mut fields = Fields::new(row, &COLUMNS);
    let sequence = fields.next().and_then(|field| field.integer());
    let sequence = sequence.map_err(|error| StoreError::new(StoreErrorKind::Corrupt, error))?;
    match decode_event(&mut fields) {
        Ok(event) => Ok((sequence, event)),
        Err(error) => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            format!("audit event {sequence}: {error}"),
        )),
    }
}

fn decode_event(fields: &mut Fields<'_>) -> Result<AuditEvent, RecordError> {
    Ok(AuditEvent {
        at: fields.next()?.time()?,
        action: decode_action(fields.next()?)?,
        key_id: fields.next()?.parsed()?,
        owner: fields.next()?.text()?.into(),
        actor: fields
            .next()?
            .optional(|field| field.parsed())?
            .map_or(Actor::Host, Actor::Key),
        address: fields.next()?.optional(|field| field.parsed())?,
        changes: fields.next()?.json()?,
    })
}

fn decode_action(field: Field<'_>) -> Result<AuditAction, RecordError> {
    AuditAction::deserialize(field.text()?.into_deserializer())
        .map_err(|error: ValueError| field.damage(error))
}
