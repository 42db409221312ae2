//! Records as hashes.

use ::redis::{FromRedisValue, Value};

use super::error::{unavailable, unexpected_reply};
use super::layout::Layout;
use super::script::{Call, LIST, WRITE};
use crate::audit::AuditKind;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::{FORMAT, KeyRecord, RecordError, Revocation};
use crate::store::{Expect, Listed, Page, StoreError, StoreErrorKind, Unreadable, Write};

/// In the order in which [`decode`] goes through them. What an operator may look at, or change by
/// hand, stands beside the body.
const FIELDS: [&str; 6] = [
    "format",
    "version",
    "owner",
    "revoked_at",
    "revocation_reason",
    "body",
];

/// Pages are read in pieces, so that no script holds up the server for long.
const PIECE: usize = 500;

pub(super) fn find(layout: &Layout, id: &KeyId) -> ::redis::Cmd {
    let mut command = ::redis::cmd("HMGET");
    command.arg(layout.record(id.as_str())).arg(&FIELDS);
    command
}

/// What was found of `id`.
pub(super) fn found(id: &KeyId, reply: Value) -> Result<Option<KeyRecord>, StoreError> {
    let fields = match reply {
        // Of all error replies, only that of a key of another type comes here.
        Value::ServerError(_) => Err(not_a_hash()),
        reply => match Fields::of(reply) {
            None => return Err(unexpected_reply(StoreErrorKind::Unavailable)),
            Some(fields) if fields.is_absent() => return Ok(None),
            Some(fields) => Ok(fields),
        },
    };
    fields
        .and_then(|fields| decode(id.as_str(), &fields))
        .map(Some)
        .map_err(|error| unreadable(id.as_str(), &error))
}

/// The next piece of a page, of at most `left` records after the id `after`.
pub(super) fn list(layout: &Layout, page: &Page<'_>, after: &[u8], left: usize) -> Call {
    let index = match page.owner {
        None => layout.ids(),
        Some(_) => layout.owners(),
    };
    let call = LIST
        .call(&[index])
        .with(layout.records())
        .with(page.owner.unwrap_or_default())
        .with(after)
        .with(left.min(PIECE).to_string());
    FIELDS.into_iter().fold(call, Call::with)
}

/// Adds what was listed. The id to go on after, as it is stored, unless this was the last piece.
pub(super) fn listed(
    page: &Page<'_>,
    left: usize,
    reply: Value,
    listed: &mut Listed,
) -> Result<Option<Vec<u8>>, StoreError> {
    let unexpected = || unexpected_reply(StoreErrorKind::Unavailable);
    let entries: Vec<(Vec<u8>, Value)> =
        FromRedisValue::from_redis_value(reply).map_err(|_| unexpected())?;
    let is_last = entries.len() < left.min(PIECE);
    let mut last = None;
    for (stored_id, fields) in entries {
        let id = String::from_utf8_lossy(&stored_id).into_owned();
        let record = match Fields::of(fields) {
            None => Err(not_a_hash()),
            Some(fields) if fields.is_absent() => Err(RecordError::Damaged(
                "it is in an index, and there is none".into(),
            )),
            Some(fields) => decode(&id, &fields),
        };
        match record.and_then(|record| of_owner(page.owner, record)) {
            Ok(record) => listed.records.push(record),
            Err(error) => listed.unreadable.push(Unreadable {
                error: unreadable(&id, &error),
                id,
            }),
        }
        last = Some(stored_id);
    }
    Ok(last.filter(|_| !is_last))
}

fn of_owner(owner: Option<&str>, record: KeyRecord) -> Result<KeyRecord, RecordError> {
    match owner {
        Some(owner) if owner != record.owner => Err(RecordError::Damaged(format!(
            "the index of owners has it under {owner:?}, and it is of {:?}",
            record.owner
        ))),
        _ => Ok(record),
    }
}

/// A change of a record, without its events.
pub(super) fn write(layout: &Layout, change: &Write<'_>) -> Result<Call, StoreError> {
    let record = change.record;
    if i64::try_from(record.version).is_err() {
        let problem = "Redis holds no version above 9223372036854775807";
        return Err(unavailable(format!("key {}: {problem}", record.id)));
    }
    let expected = match change.expect {
        Expect::Absent => String::new(),
        Expect::Version(expected) => expected.to_string(),
    };
    let revocation = record.revocation.as_ref();
    let revoked_at = revocation.map(|revocation| revocation.at.as_unix_millis().to_string());
    let reason = revocation.map(|revocation| revocation.reason.as_str());
    let id = record.id.as_str();
    Ok(WRITE
        .call(&[
            layout.record(id),
            layout.ids(),
            layout.owners(),
            layout.audit(),
            layout.audit_index(),
            layout.audit_times(AuditKind::Lifecycle),
            layout.audit_times(AuditKind::Authentication),
        ])
        .with(id)
        .with(expected)
        .with(record.version.to_string())
        .with(record.owner.as_str())
        .with(FORMAT.to_string())
        .with(revoked_at.unwrap_or_default())
        .with(reason.unwrap_or_default())
        .with(record.to_bytes())
        .with(FORMAT.to_string()))
}

/// What became of a change.
pub(super) fn written(id: &KeyId, reply: Value) -> Result<(), StoreError> {
    let answer: Vec<String> = FromRedisValue::from_redis_value(reply).unwrap_or_default();
    match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["done"] => Ok(()),
        ["taken"] => Err(StoreErrorKind::Taken.into()),
        ["stale"] => Err(StoreErrorKind::Stale.into()),
        ["low"] => Err(unavailable(format!(
            "key {id}: a change must raise the version"
        ))),
        ["format", format] => {
            let error = check_format(format).err();
            let error = error.unwrap_or_else(|| damaged("format", "is refused"));
            Err(unreadable(id.as_str(), &error))
        }
        _ => Err(unexpected_reply(StoreErrorKind::OutcomeUnknown)),
    }
}

/// The fields of a record as they are stored.
struct Fields([Option<Vec<u8>>; FIELDS.len()]);

impl Fields {
    fn of(reply: Value) -> Option<Self> {
        let fields: Vec<Option<Vec<u8>>> = match reply {
            reply @ Value::Array(_) => FromRedisValue::from_redis_value(reply).ok()?,
            _ => return None,
        };
        fields.try_into().ok().map(Self)
    }

    fn is_absent(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Field by field, empty where one is missing.
    fn texts(&self) -> Result<[&str; FIELDS.len()], RecordError> {
        let mut texts = [""; FIELDS.len()];
        for ((text, field), name) in texts.iter_mut().zip(&self.0).zip(FIELDS) {
            *text = str::from_utf8(field.as_deref().unwrap_or_default())
                .map_err(|_| damaged(name, "is not text"))?;
        }
        Ok(texts)
    }
}

/// The record that is stored under `id`. Its body must agree with what stands beside it. Only a
/// version that was raised by hand and a revocation that was typed by hand come before the body.
fn decode(id: &str, fields: &Fields) -> Result<KeyRecord, RecordError> {
    let [format, version, owner, revoked_at, reason, body] = fields.texts()?;
    check_format(format)?;
    let mut record = KeyRecord::from_bytes(body.as_bytes())?;
    if record.id.as_str() != id {
        return Err(damaged("body", format!("is that of key {}", record.id)));
    }
    if record.owner != owner {
        return Err(damaged("owner", "is not that of the body"));
    }
    let version = canonical(version)
        .and_then(|version: i64| u64::try_from(version).ok())
        .ok_or_else(|| damaged("version", "is not a version"))?;
    if version < record.version {
        return Err(damaged("version", "is lower than that of the body"));
    }
    record.version = version;
    let revocation = decode_revocation(revoked_at, reason)?;
    if record.revocation.is_some() && record.revocation != revocation {
        return Err(damaged(
            "revoked_at",
            "is not that of the body, and is final",
        ));
    }
    record.revocation = revocation;
    Ok(record)
}

fn decode_revocation(revoked_at: &str, reason: &str) -> Result<Option<Revocation>, RecordError> {
    if revoked_at.is_empty() {
        return match reason {
            "" => Ok(None),
            _ => Err(damaged(
                "revocation_reason",
                "is set, and revoked_at is not",
            )),
        };
    }
    let at = canonical(revoked_at)
        .and_then(|millis| Timestamp::from_unix_millis(millis).ok())
        .ok_or_else(|| {
            let problem = "is not a time between 1970 and 9999 in Unix milliseconds";
            damaged("revoked_at", problem)
        })?;
    Ok(Some(Revocation {
        at,
        reason: reason.into(),
    }))
}

fn check_format(format: &str) -> Result<(), RecordError> {
    let format = canonical(format).ok_or_else(|| damaged("format", "is not a number"))?;
    RecordError::check_format(format)
}

/// A number in the only way it is written. Scripts compare the texts.
fn canonical(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn damaged(field: &str, problem: impl std::fmt::Display) -> RecordError {
    RecordError::Damaged(format!("field {field} {problem}"))
}

fn not_a_hash() -> RecordError {
    RecordError::Damaged("its key in Redis is not a hash".into())
}

fn unreadable(id: &str, error: &RecordError) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("key {id}: {error}"))
}
