//! How keys are used: a hash for each key, and for each day one of its keys and one of its owners.

mod batch;
mod fields;

use std::ops::RangeInclusive;

use ::redis::{FromRedisValue, Value};

use super::PATIENCE;
use super::error::{refused_read, unavailable, unexpected_reply};
use super::link::Link;
use super::script::{Call, FORGET_USAGE, USAGE, USAGE_DAYS, USAGE_OWNERS};
use super::wire::Request;
use crate::clock::Day;
use crate::key::KeyId;
use crate::store::{DayTotal, KeyUsage, OwnerTotal, StoreError, StoreErrorKind, UsageBatch};

/// Much is read in pieces, so that no script holds up the server for long.
const PIECE: usize = 500;

/// So many days are forgotten at once.
const DAYS: usize = 100;

/// Whose counts by the day are asked for.
#[derive(Clone, Copy)]
pub(super) enum Of<'a> {
    Key(&'a KeyId),
    Owner(&'a str),
}

pub(super) async fn add(link: &Link, batch: &UsageBatch) -> Result<(), StoreError> {
    let request = Request::Script(batch::add(link.server().layout(), batch));
    let reply = link.change(request, PATIENCE).await?;
    let answer: Vec<String> = FromRedisValue::from_redis_value(reply).unwrap_or_default();
    match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["added" | "known"] => Ok(()),
        ["refused", key, error] => Err(unavailable(format!("Redis answered at {key}: {error}"))),
        ["damaged", key, field] => Err(unavailable(fields::damaged(key, field))),
        _ => Err(unexpected_reply(StoreErrorKind::OutcomeUnknown)),
    }
}

pub(super) async fn of_keys(
    link: &Link,
    ids: &[KeyId],
) -> Result<Vec<Option<KeyUsage>>, StoreError> {
    let name = link.server().layout().usage_of_keys();
    let mut usages = Vec::new();
    for ids in ids.chunks(PIECE) {
        let call = USAGE.call(std::slice::from_ref(&name));
        let call = ids.iter().fold(call, |call, id| call.with(id.as_str()));
        let found: Vec<Value> = read(link, call).await?;
        if found.len() != ids.len() {
            return Err(unexpected_reply(StoreErrorKind::Unavailable));
        }
        for (id, fields) in ids.iter().zip(found) {
            usages.push(fields::decode(&format!("{name}{id}"), fields)?);
        }
    }
    Ok(usages)
}

pub(super) async fn days(
    link: &Link,
    of: Of<'_>,
    days: &RangeInclusive<Day>,
) -> Result<Vec<DayTotal>, StoreError> {
    let layout = link.server().layout();
    let (hashes, name) = match of {
        Of::Key(id) => (batch::KEYS, id.as_str()),
        Of::Owner(owner) => (batch::OWNERS, owner),
    };
    let call = USAGE_DAYS
        .call(&[layout.usage_days()])
        .with(layout.usage_of_days())
        .with(hashes)
        .with(name)
        .with(days.start().since_1970().to_string())
        .with(days.end().since_1970().to_string());
    let counts: Vec<(u32, String)> = read(link, call).await?;
    counts
        .into_iter()
        .map(|(day, count)| {
            let day = Day::from_days_since_1970(day);
            let hash = format!("{}{day}{hashes}", layout.usage_of_days());
            let requests = fields::number(&hash, name, &count)?;
            Ok(DayTotal { day, requests })
        })
        .collect()
}

pub(super) async fn owners_on(
    link: &Link,
    day: Day,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<OwnerTotal>, StoreError> {
    let days = link.server().layout().usage_of_days();
    let hash = format!("{days}{day}{}", batch::OWNERS);
    let mut owners: Vec<OwnerTotal> = Vec::new();
    let mut begin = after.map_or("-".to_owned(), |after| format!("({after}"));
    while owners.len() < limit {
        let piece = (limit - owners.len()).min(PIECE);
        let call = USAGE_OWNERS
            .call(&[hash.clone(), format!("{hash}{}", batch::INDEX)])
            .with(begin.as_str())
            .with(piece.to_string());
        let counts: Vec<(String, String)> = read(link, call).await?;
        let is_last = counts.len() < piece;
        for (owner, count) in counts {
            let requests = fields::number(&hash, &owner, &count)?;
            owners.push(OwnerTotal { owner, requests });
        }
        match owners.last() {
            Some(last) if !is_last => begin = format!("({}", last.owner),
            _ => break,
        }
    }
    Ok(owners)
}

pub(super) async fn forget_before(link: &Link, day: Day) -> Result<(), StoreError> {
    let layout = link.server().layout();
    loop {
        let call = FORGET_USAGE
            .call(&[layout.usage_days()])
            .with(layout.usage_of_days())
            .with(day.since_1970().to_string())
            .with(DAYS.to_string());
        let reply = link.change(Request::Script(call), PATIENCE).await?;
        let forgotten = usize::from_redis_value(reply)
            .map_err(|_| unexpected_reply(StoreErrorKind::OutcomeUnknown))?;
        if forgotten < DAYS {
            return Ok(());
        }
    }
}

async fn read<T: FromRedisValue>(link: &Link, call: Call) -> Result<T, StoreError> {
    match link.read(Request::Script(call), PATIENCE).await? {
        Value::ServerError(error) => Err(refused_read(&error)),
        reply => {
            T::from_redis_value(reply).map_err(|_| unexpected_reply(StoreErrorKind::Unavailable))
        }
    }
}
