//! Audit events as rows.

use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Row};

use super::error::unavailable;
use super::field::{Field, Fields};
use super::link::Sql;
use super::moment::Moment;
use crate::audit::{Actor, AuditAction, AuditEvent, AuditKind, Requests};
use crate::record::RecordError;
use crate::store::{AuditPage, AuditQuery, StoreError, StoreErrorKind};

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

/// An event on its way in.
#[derive(Serialize)]
struct Entry<'a> {
    kind: AuditKind,
    #[serde(flatten)]
    event: &'a AuditEvent,
}

/// The events as the one parameter that takes them.
pub(super) fn encode(events: &[AuditEvent]) -> Result<String, StoreError> {
    let entries: Vec<Entry<'_>> = events
        .iter()
        .map(|event| Entry {
            kind: event.action.kind(),
            event,
        })
        .collect();
    serde_json::to_string(&entries)
        .map_err(|_| unavailable("the audit events cannot be written as JSON"))
}

/// `select`, narrowed to what `query` asks for: one event more, which tells whether there is a next
/// page. A cursor is the sequence number of the last event before it.
pub(super) fn statement(
    select: &Sql,
    query: &AuditQuery,
) -> Result<(Sql, PgArguments), StoreError> {
    let after: i64 = match query.after.as_deref().map(str::parse) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => {
            let cause = "not a cursor of this store";
            return Err(StoreError::new(StoreErrorKind::Corrupt, cause));
        }
    };
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut sql = String::from(&**select);
    let mut values = PgArguments::default();
    let mut condition = |text: &str, values: &PgArguments| {
        let joint = if values.len() == 1 { "WHERE" } else { "AND" };
        sql += &format!(" {joint} {text} ${}", values.len());
    };
    let mut all = || {
        values.add(after)?;
        condition("sequence >", &values);
        if let Some(id) = &query.key_id {
            values.add(id.as_str())?;
            condition("key_id =", &values);
        }
        if let Some(owner) = &query.owner {
            values.add(owner)?;
            condition("owner =", &values);
        }
        if let Some(action) = query.action {
            values.add(action.as_str())?;
            condition("action =", &values);
        }
        if let Some(kind) = query.kind {
            values.add(kind.as_str())?;
            condition("kind =", &values);
        }
        if let Some(from) = query.from {
            values.add(Moment::from(from))?;
            condition("at >=", &values);
        }
        if let Some(until) = query.until {
            values.add(Moment::from(until))?;
            condition("at <", &values);
        }
        values.add(limit.saturating_add(1))
    };
    all().map_err(|_| unavailable("a value of the query is too long to send"))?;
    sql += &format!(" ORDER BY sequence LIMIT ${}", values.len());
    Ok((sql.into(), values))
}

/// The page that `rows` are, which are one more where there is a next page.
pub(super) fn page(rows: &[PgRow], query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let mut page = AuditPage::default();
    let mut last = query.after.clone().unwrap_or_else(|| "0".into());
    for row in rows {
        if page.events.len() + page.unreadable.len() == query.limit {
            page.next = Some(last);
            break;
        }
        let sequence: i64 = row
            .try_get("sequence")
            .map_err(|_| StoreErrorKind::Corrupt)?;
        match decode(row) {
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

fn decode(row: &PgRow) -> Result<AuditEvent, RecordError> {
    let mut fields = Fields::new(row, &COLUMNS);
    let _sequence = fields.next()?;
    Ok(AuditEvent {
        at: fields.next()?.time()?,
        action: decode_action(fields.next()?)?,
        key_id: fields.next()?.optional_parsed()?,
        owner: fields.next()?.optional_parsed()?,
        actor: decode_actor(&mut fields)?,
        address: fields.next()?.optional_parsed()?,
        changes: fields.next()?.json()?,
        requests: decode_requests(&mut fields)?,
    })
}

fn decode_actor(fields: &mut Fields<'_>) -> Result<Actor, RecordError> {
    let key_id = fields.next()?.optional_parsed()?;
    let user = fields.next()?.optional_parsed()?;
    let unknown = fields.next()?;
    let is_unknown = unknown.truth()?;
    match (key_id, user, is_unknown) {
        (None, None, false) => Ok(Actor::Host),
        (Some(id), None, false) => Ok(Actor::Key(id)),
        (None, Some(name), false) => Ok(Actor::User(name)),
        (None, None, true) => Ok(Actor::Stranger),
        _ => Err(unknown.damage("is one of several actors")),
    }
}

fn decode_requests(fields: &mut Fields<'_>) -> Result<Option<Requests>, RecordError> {
    let count = fields.next()?.optional_integer()?;
    let last_at = fields.next()?;
    let code = fields.next()?;
    let Some(count) = count else {
        return Ok(None);
    };
    Ok(Some(Requests {
        count,
        last_at: last_at.time()?,
        code: code.optional_parsed()?,
    }))
}

fn decode_action(field: Field<'_>) -> Result<AuditAction, RecordError> {
    AuditAction::deserialize(field.text()?.into_deserializer())
        .map_err(|error: ValueError| field.damage(error))
}
