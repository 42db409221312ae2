//! Audit events as entries of a stream, with an index beside it.

use ::redis::FromRedisValue;

use super::PATIENCE;
use super::error::{unavailable, unexpected_reply};
use super::layout::Layout;
use super::link::Link;
use super::script::{Call, EVENTS};
use super::wire::Request;
use crate::audit::AuditEvent;
use crate::key::KeyId;
use crate::store::{AuditPage, AuditQuery, StoreError, StoreErrorKind};

/// The log is read in pieces, so that no script holds up the server for long.
const PIECE: usize = 500;

/// Before the first event.
const BEGINNING: &str = "0-0";

/// Adds events to a change of a record.
pub(super) fn append(mut call: Call, events: &[AuditEvent]) -> Result<Call, StoreError> {
    for event in events {
        let json = serde_json::to_vec(event)
            .map_err(|_| unavailable("an audit event cannot be written as JSON"))?;
        call = call
            .with(json)
            .with(event.key_id.as_ref().map_or("", KeyId::as_str))
            .with(event.owner.as_deref().unwrap_or_default())
            .with(event.action.as_str());
    }
    Ok(call)
}

/// The events that `query` asks for. A cursor is the sequence of the last event before it.
pub(super) async fn events(link: &Link, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let mut after = match &query.after {
        None => BEGINNING.to_owned(),
        Some(cursor) => sequence(cursor)?.to_owned(),
    };
    let asked = asked_of_index(query);
    let mut page = AuditPage::default();
    let mut last = after.clone();
    loop {
        let piece = query.limit.saturating_add(1).min(PIECE);
        let call = piece_of(link.server().layout(), &asked, &after, piece);
        let reply = link.read(Request::Script(call), PATIENCE).await?;
        let (looked_at, end, entries): (usize, String, Vec<(String, Vec<u8>)>) =
            FromRedisValue::from_redis_value(reply)
                .map_err(|_| unexpected_reply(StoreErrorKind::Unavailable))?;
        for (sequence, json) in entries {
            let event = decode(&sequence, &json);
            if event.as_ref().is_ok_and(|event| !query.selects(event)) {
                continue;
            }
            if page.events.len() + page.unreadable.len() == query.limit {
                page.next = Some(last);
                return Ok(page);
            }
            match event {
                Ok(event) => page.events.push(event),
                Err(error) => page.unreadable.push(error),
            }
            last = sequence;
        }
        if looked_at < piece {
            return Ok(page);
        }
        after = end;
    }
}

fn piece_of(layout: &Layout, asked: &str, after: &str, piece: usize) -> Call {
    EVENTS
        .call(&[layout.audit(), layout.audit_index()])
        .with(asked)
        .with(after)
        .with(piece.to_string())
}

/// The narrowest part of the index; the other conditions are judged as events are read.
fn asked_of_index(query: &AuditQuery) -> String {
    match (query.key_id, &query.owner, query.action) {
        (Some(id), _, _) => format!("k{id}\0"),
        (_, Some(owner), _) => format!("o{owner}\0"),
        (_, _, Some(action)) => format!("a{}\0", action.as_str()),
        _ => String::new(),
    }
}

/// A cursor, if it is the sequence of an entry: two numbers with a dash between them.
fn sequence(cursor: &str) -> Result<&str, StoreError> {
    let is_number = |text: &str| {
        let number = text.parse::<u64>();
        number.is_ok_and(|number| number.to_string() == text)
    };
    match cursor.split_once('-') {
        Some((millis, number)) if is_number(millis) && is_number(number) => Ok(cursor),
        _ => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            "not a cursor of this store",
        )),
    }
}

fn decode(sequence: &str, json: &[u8]) -> Result<AuditEvent, StoreError> {
    serde_json::from_slice(json).map_err(|error| {
        let cause = format!("audit event {sequence}: {error}");
        StoreError::new(StoreErrorKind::Corrupt, cause)
    })
}
