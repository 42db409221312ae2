//! Records as rows: their values on the way in and out.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Row};

use super::error::unavailable;
use super::field::Fields;
use super::moment::Moment;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::mac::PepperId;
use crate::record::{FORMAT, KeyRecord, RateLimit, RecordError, Revocation, SecretSlot, Secrets};
use crate::scope::Scope;
use crate::store::{Listed, StoreError, StoreErrorKind, Unreadable};

/// In the order in which [`encode`] and [`decode`] go through them.
pub(super) const COLUMNS: [&str; 25] = [
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

/// A column of the table `keys` as it is read.
pub(super) fn selected(column: &str) -> String {
    let cast = match column {
        "format" => "::bigint",
        "metadata" => "::text",
        "allowed_ips" => "::text[]",
        _ => "",
    };
    format!("keys.{column}{cast} AS {column}")
}

/// A value for a column, as the parameter with this number.
pub(super) fn parameter(column: &str, number: usize) -> String {
    let cast = match column {
        "format" => "::bigint::integer",
        "metadata" => "::text::jsonb",
        "allowed_ips" => "::text[]::cidr[]",
        _ => "",
    };
    format!("${number}{cast}")
}

/// The record in the only row, or in none of it: a row without an id says that there is none.
pub(super) fn found(rows: &[PgRow], id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
    match rows.first().filter(|row| stored_id(row).is_some()) {
        None => Ok(None),
        Some(row) => match decode(row) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(unreadable(id.as_str(), &error)),
        },
    }
}

/// A page of records, and of rows that are none.
pub(super) fn listed(rows: &[PgRow]) -> Listed {
    let mut listed = Listed::default();
    for row in rows {
        match decode(row) {
            Ok(record) => listed.records.push(record),
            Err(error) => {
                let id = stored_id(row).unwrap_or_default();
                let error = unreadable(&id, &error);
                listed.unreadable.push(Unreadable { id, error });
            }
        }
    }
    listed
}

pub(super) fn unreadable(id: &str, error: &RecordError) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("key {id}: {error}"))
}

fn stored_id(row: &PgRow) -> Option<String> {
    row.try_get("id").ok()
}

/// One value for each column.
pub(super) fn encode(record: &KeyRecord) -> Result<PgArguments, StoreError> {
    let cannot_keep = |what: &str| unavailable(format!("key {}: {what}", record.id));
    let version = i64::try_from(record.version)
        .map_err(|_| cannot_keep("PostgreSQL holds no version above 9223372036854775807"))?;
    let metadata = serde_json::to_string(&record.metadata)
        .map_err(|_| cannot_keep("its metadata cannot be written as JSON"))?;
    let scopes: Vec<&str> = record.scopes.iter().collect();
    let networks: Vec<String> = record.allowed_ips.iter().map(ToString::to_string).collect();
    let moment = |time: Option<Timestamp>| time.map(Moment::from);
    let revocation = record.revocation.as_ref();
    let rate = |part: fn(RateLimit) -> u32| record.rate_limit.map(|limit| i64::from(part(limit)));

    let mut values = PgArguments::default();
    let all = || {
        values.add(record.id.as_str())?;
        values.add(i64::from(FORMAT))?;
        values.add(version)?;
        values.add(record.prefix.as_str())?;
        values.add(&record.name)?;
        values.add(&record.owner)?;
        values.add(scopes)?;
        values.add(metadata)?;
        values.add(Moment::from(record.created_at))?;
        values.add(moment(record.expires_at))?;
        values.add(moment(record.disabled_at))?;
        values.add(moment(revocation.map(|revocation| revocation.at)))?;
        values.add(revocation.map_or("", |revocation| &revocation.reason))?;
        values.add(networks)?;
        values.add(rate(|limit| limit.requests))?;
        values.add(rate(|limit| limit.per_seconds))?;
        values.add(rate(|limit| limit.burst))?;
        for slot in [
            Some(&record.secrets.current),
            record.secrets.previous.as_ref(),
        ] {
            values.add(slot.map(|slot| slot.mac.as_bytes().as_slice()))?;
            values.add(slot.map(|slot| i64::from(slot.pepper.0)))?;
            values.add(moment(slot.map(|slot| slot.created_at)))?;
            values.add(moment(slot.and_then(|slot| slot.not_after)))?;
        }
        Ok::<(), sqlx::error::BoxDynError>(())
    };
    // The driver's error might repeat a value.
    all().map_err(|_| cannot_keep("a value is too long to send"))?;
    Ok(values)
}

fn decode(row: &PgRow) -> Result<KeyRecord, RecordError> {
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
        expires_at: fields.next()?.optional_time()?,
        disabled_at: fields.next()?.optional_time()?,
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
    let at = fields.next()?.optional_time()?;
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
    let requests = field.optional_integer()?;
    let per_seconds = fields.next()?.optional_integer()?;
    let burst = fields.next()?.optional_integer()?;
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
    let mac = field.optional_mac()?;
    let pepper = fields.next()?.optional_integer()?;
    let created_at = fields.next()?.optional_time()?;
    let not_after = fields.next()?.optional_time()?;
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
