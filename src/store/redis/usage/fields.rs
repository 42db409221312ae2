//! The fields of a key's usage.

use std::str::FromStr;

use ::redis::{FromRedisValue, Value};

use crate::clock::Timestamp;
use crate::store::{KeyUsage, ScopeUsage, SecretUsage, StoreError, StoreErrorKind};

const SCOPE: &str = "scope:";
const LACKED: &str = "lacked:";
const SECRET: &str = "secret:";

/// The scopes and secrets of a usage: the names of their fields, counts and moments.
pub(super) fn parts(usage: &KeyUsage) -> impl Iterator<Item = (String, u64, Timestamp)> {
    let secrets = usage.secrets.iter().map(|secret| {
        let name = format!("{SECRET}{}", secret.created_at.as_unix_millis());
        (name, secret.requests, secret.last_used_at)
    });
    of_scopes(SCOPE, &usage.scopes)
        .chain(of_scopes(LACKED, &usage.lacked))
        .chain(secrets)
}

fn of_scopes(kind: &str, scopes: &[ScopeUsage]) -> impl Iterator<Item = (String, u64, Timestamp)> {
    let named = move |scope: &ScopeUsage| format!("{kind}{}", scope.scope);
    scopes
        .iter()
        .map(move |scope| (named(scope), scope.requests, scope.last_at))
}

/// The usage that the fields of `hash` hold; `None` of none.
pub(super) fn decode(hash: &str, fields: Value) -> Result<Option<KeyUsage>, StoreError> {
    if !matches!(fields, Value::Array(_)) {
        return Err(corrupt(damaged(hash, "")));
    }
    let fields: Vec<(String, String)> =
        FromRedisValue::from_redis_value(fields).map_err(|_| corrupt(damaged(hash, "")))?;
    if fields.is_empty() {
        return Ok(None);
    }
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let mut usage = KeyUsage {
        requests: number(hash, "requests", field("requests"))?,
        last_used_at: moment(hash, "last_used_at", field("last_used_at"))?,
        last_used_from: match field("last_used_from") {
            "" => None,
            from => Some(parse(hash, "last_used_from", from)?),
        },
        scopes: Vec::new(),
        lacked: Vec::new(),
        secrets: Vec::new(),
    };
    for (field, value) in &fields {
        let part = || part(hash, field, value);
        if let Some(scope) = field.strip_prefix(SCOPE) {
            usage.scopes.push(of_scope(scope, part()?));
        } else if let Some(scope) = field.strip_prefix(LACKED) {
            usage.lacked.push(of_scope(scope, part()?));
        } else if let Some(created_at) = field.strip_prefix(SECRET) {
            let (requests, last_used_at) = part()?;
            usage.secrets.push(SecretUsage {
                created_at: moment(hash, field, created_at)?,
                requests,
                last_used_at,
            });
        }
    }
    usage
        .scopes
        .sort_by(|one, other| one.scope.cmp(&other.scope));
    usage
        .lacked
        .sort_by(|one, other| one.scope.cmp(&other.scope));
    usage.secrets.sort_by_key(|secret| secret.created_at);
    Ok(Some(usage))
}

fn of_scope(scope: &str, (requests, last_at): (u64, Timestamp)) -> ScopeUsage {
    ScopeUsage {
        scope: scope.into(),
        requests,
        last_at,
    }
}

/// Count and moment.
fn part(hash: &str, field: &str, value: &str) -> Result<(u64, Timestamp), StoreError> {
    let (requests, at) = value.split_once(' ').unwrap_or_default();
    Ok((number(hash, field, requests)?, moment(hash, field, at)?))
}

pub(super) fn number(hash: &str, field: &str, value: &str) -> Result<u64, StoreError> {
    parse(hash, field, value)
}

fn moment(hash: &str, field: &str, value: &str) -> Result<Timestamp, StoreError> {
    let millis = parse(hash, field, value)?;
    Timestamp::from_unix_millis(millis).map_err(|_| corrupt(damaged(hash, field)))
}

fn parse<T: FromStr>(hash: &str, field: &str, value: &str) -> Result<T, StoreError> {
    value.parse().map_err(|_| corrupt(damaged(hash, field)))
}

fn corrupt(cause: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, cause)
}

/// What is said of a key in Redis, or a field of it, that holds no usage.
pub(super) fn damaged(key: &str, field: &str) -> String {
    let place = match field {
        "" => key.to_owned(),
        field => format!("field {field} of {key}"),
    };
    format!("{place} in Redis holds no usage as it is counted: correct or delete it")
}
