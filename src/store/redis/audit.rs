//! Audit events as entries of a stream, with an index beside it.

use ::redis::FromRedisValue;

use super::PATIENCE;
use super::error::{unavailable, unexpected_reply};
use super::layout::Layout;
use super::link::Link;
use super::script::{ADD_TIMES, Call, EVENTS, FORGET_EVENTS, RECORD};
use super::wire::Request;
use crate::audit::{AuditAction, AuditEvent, AuditKind};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::store::{AuditPage, AuditQuery, StoreError, StoreErrorKind};

/// The log is read in pieces, so that no script holds up the server for long.
const PIECE: usize = 500;

/// Before the first event.
const BEGINNING: &str = "0-0";

/// The kinds, in the order in which the scripts number them.
const KINDS: [AuditKind; 2] = [AuditKind::Lifecycle, AuditKind::Authentication];

/// All that audit events are kept in, as the scripts take it.
fn keys(layout: &Layout) -> Vec<String> {
    let times = KINDS.map(|kind| layout.audit_times(kind));
    let mut keys = vec![layout.audit(), layout.audit_index()];
    keys.extend(times);
    keys
}

fn number(kind: AuditKind) -> &'static str {
    match kind {
        AuditKind::Lifecycle => "1",
        AuditKind::Authentication => "2",
    }
}

/// Adds events to a call of a script that keeps them.
pub(super) fn append(mut call: Call, events: &[AuditEvent]) -> Result<Call, StoreError> {
    for event in events {
        let json = serde_json::to_vec(event)
            .map_err(|_| unavailable("an audit event cannot be written as JSON"))?;
        call = call
            .with(json)
            .with(event.key_id.map(of_key).unwrap_or_default())
            .with(event.owner.as_deref().map(of_owner).unwrap_or_default())
            .with(of_action(event.action))
            .with(number(event.action.kind()))
            .with(event.at.as_unix_millis().to_string());
    }
    Ok(call)
}

/// Keeps events that come with no change.
pub(super) async fn record(link: &Link, events: &[AuditEvent]) -> Result<(), StoreError> {
    let call = RECORD.call(&keys(link.server().layout()));
    done(link, append(call, events)?).await
}

async fn done(link: &Link, call: Call) -> Result<(), StoreError> {
    let reply = link.change(Request::Script(call), PATIENCE).await?;
    match String::from_redis_value(reply) {
        Ok(answer) if answer == "done" => Ok(()),
        _ => Err(unexpected_reply(StoreErrorKind::OutcomeUnknown)),
    }
}

pub(super) async fn forget_before(
    link: &Link,
    kind: AuditKind,
    moment: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let mut forgotten = 0;
    let mut are_times_complete = false;
    while forgotten < limit {
        let piece = (limit - forgotten).min(PIECE);
        let call = FORGET_EVENTS
            .call(&keys(link.server().layout()))
            .with(number(kind))
            .with(moment.as_unix_millis().to_string())
            .with(piece.to_string());
        let reply = link.change(Request::Script(call), PATIENCE).await?;
        let (count, without_time): (usize, i64) = FromRedisValue::from_redis_value(reply)
            .map_err(|_| unexpected_reply(StoreErrorKind::OutcomeUnknown))?;
        forgotten += count;
        if count < piece {
            if without_time <= 0 || are_times_complete {
                break;
            }
            add_times(link).await?;
            are_times_complete = true;
        }
    }
    Ok(forgotten)
}

/// Makes the times of all events known, also of those that services of before kept.
async fn add_times(link: &Link) -> Result<(), StoreError> {
    let layout = link.server().layout();
    let mut after = BEGINNING.to_owned();
    loop {
        let piece = read_piece(link, piece_of(layout, &[], &after, PIECE)).await?;
        let mut call = ADD_TIMES.call(&[
            layout.audit(),
            layout.audit_times(AuditKind::Lifecycle),
            layout.audit_times(AuditKind::Authentication),
        ]);
        for (sequence, json) in &piece.entries {
            // Of one that cannot be read, it is known when it was written.
            let (kind, at) = match decode(sequence, json) {
                Ok(event) => (event.action.kind(), event.at.as_unix_millis().to_string()),
                Err(_) => {
                    let written = sequence.split('-').next().unwrap_or_default();
                    (AuditKind::Lifecycle, written.to_owned())
                }
            };
            call = call.with(number(kind)).with(at).with(sequence.as_str());
        }
        done(link, call).await?;
        if piece.looked_at < PIECE {
            return Ok(());
        }
        after = piece.end;
    }
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
    let mut piece = query.limit.saturating_add(1).min(PIECE);
    loop {
        let call = piece_of(link.server().layout(), &asked, &after, piece);
        let Piece {
            looked_at,
            end,
            entries,
        } = read_piece(link, call).await?;
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
        // Little of what was looked at is asked for.
        piece = (2 * piece).min(PIECE);
    }
}

/// A piece of the log.
struct Piece {
    looked_at: usize,
    /// The sequence of the last that was looked at.
    end: String,
    /// With their sequences.
    entries: Vec<(String, Vec<u8>)>,
}

fn piece_of(layout: &Layout, asked: &[String], after: &str, piece: usize) -> Call {
    let call = EVENTS
        .call(&[layout.audit(), layout.audit_index()])
        .with(after)
        .with(piece.to_string());
    asked.iter().map(String::as_str).fold(call, Call::with)
}

async fn read_piece(link: &Link, call: Call) -> Result<Piece, StoreError> {
    let reply = link.read(Request::Script(call), PATIENCE).await?;
    let (looked_at, end, entries) = FromRedisValue::from_redis_value(reply)
        .map_err(|_| unexpected_reply(StoreErrorKind::Unavailable))?;
    Ok(Piece {
        looked_at,
        end,
        entries,
    })
}

/// The narrowest part of the index; the other conditions are judged as events are read. A kind is its
/// actions, under which events were kept before there were kinds.
fn asked_of_index(query: &AuditQuery) -> Vec<String> {
    match (query.key_id, &query.owner, query.action, query.kind) {
        (Some(id), _, _, _) => vec![of_key(id)],
        (_, Some(owner), _, _) => vec![of_owner(owner)],
        (_, _, Some(action), _) => vec![of_action(action)],
        (_, _, _, Some(kind)) => kind.actions().map(of_action).collect(),
        _ => Vec::new(),
    }
}

fn of_key(id: KeyId) -> String {
    format!("k{id}")
}

fn of_owner(owner: &str) -> String {
    format!("o{owner}")
}

fn of_action(action: AuditAction) -> String {
    format!("a{}", action.as_str())
}

/// A cursor, if it is the sequence of an entry: two numbers with a dash between them. Behind the greatest
/// one Redis looks for nothing, and calls that an error.
fn sequence(cursor: &str) -> Result<&str, StoreError> {
    let is_number = |text: &str| {
        let number = text.parse::<u64>();
        number.is_ok_and(|number| number < u64::MAX && number.to_string() == text)
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
