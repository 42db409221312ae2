//! What the cases count, and how they ask for it.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::clock::Day;
use crate::conformance::records;
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::key::KeyId;
use crate::store::{
    DayTotal, KeyUsage, OwnerTotal, ScopeUsage, SecretUsage, UsageBatch, UsageEntry, UsageStore,
};

pub(super) const OWNER: &str = "org_1";

/// Most cases count on this day, and on those around it.
pub(super) const DAY: u32 = 20_779;

/// All days that there are.
pub(super) const ALWAYS: RangeInclusive<u32> = 0..=u32::MAX;

/// The usage that is added to and asked for.
#[derive(Clone, Copy)]
pub(super) struct Counts<'a> {
    writer: &'a dyn UsageStore,
    reader: &'a dyn UsageStore,
}

impl<'a> Counts<'a> {
    pub(super) fn of(subject: Subject<'a>) -> Result<Self, Setback> {
        let [writer, reader] = subject.usage()?;
        Ok(Self { writer, reader })
    }

    pub(super) fn writer(self) -> &'a dyn UsageStore {
        self.writer
    }

    /// The other way round.
    pub(super) fn swapped(self) -> Self {
        Self {
            writer: self.reader,
            reader: self.writer,
        }
    }

    pub(super) async fn add(self, batch: &UsageBatch) -> Result<(), Setback> {
        let answer = self.writer.add(batch).await;
        let UsageBatch {
            instance, sequence, ..
        } = batch;
        answer.map_err(|error| failed(&format!("add of batch {sequence} of {instance:x}"), &error))
    }

    pub(super) async fn forget_before(self, day: u32) -> Result<(), Setback> {
        let answer = self.writer.forget_before(self::day(day)).await;
        answer.map_err(|error| failed(&format!("forget_before {}", self::day(day)), &error))
    }

    pub(super) async fn of_keys(self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, Setback> {
        let call = format!("of_keys of {} ids", ids.len());
        let answer = self.reader.of_keys(ids).await;
        let usage = answer.map_err(|error| failed(&call, &error))?;
        ensure(usage.len() == ids.len(), || {
            format!("{call} answered {}", usage.len())
        })?;
        Ok(usage)
    }

    pub(super) async fn of_key(self, id: &KeyId) -> Result<Option<KeyUsage>, Setback> {
        Ok(self.of_keys(&[*id]).await?.pop().flatten())
    }

    /// Exactly this was added up for the key.
    pub(super) async fn holds(self, id: &KeyId, usage: Option<&KeyUsage>) -> Result<(), Setback> {
        let seen = self.of_key(id).await?;
        ensure(seen.as_ref() == usage, || {
            format!("of_keys of {id} answered {seen:?} instead of {usage:?}")
        })
    }

    /// So many requests of the key were added up.
    pub(super) async fn requests(self, id: &KeyId, requests: u64) -> Result<(), Setback> {
        let seen = self.of_key(id).await?.map_or(0, |usage| usage.requests);
        ensure(seen == requests, || {
            format!("{seen} requests of {id} are counted instead of {requests}")
        })
    }

    /// Exactly these days of the key are told, with their requests.
    pub(super) async fn days_of_key(
        self,
        id: &KeyId,
        days: RangeInclusive<u32>,
        expected: &[(u32, u64)],
    ) -> Result<(), Setback> {
        let call = format!("days_of_key of {id} within {days:?}");
        let answer = self.reader.days_of_key(id, range(days)).await;
        let totals = answer.map_err(|error| failed(&call, &error))?;
        same_days(&call, &totals, expected)
    }

    /// Exactly these days of the owner are told, with their requests.
    pub(super) async fn days_of_owner(
        self,
        owner: &str,
        days: RangeInclusive<u32>,
        expected: &[(u32, u64)],
    ) -> Result<(), Setback> {
        let call = format!("days_of_owner of {owner:?} within {days:?}");
        let answer = self.reader.days_of_owner(owner, range(days)).await;
        let totals = answer.map_err(|error| failed(&call, &error))?;
        same_days(&call, &totals, expected)
    }

    /// Exactly these owners are on the page, with their requests.
    pub(super) async fn owners_on(
        self,
        day: u32,
        after: Option<&str>,
        limit: usize,
        expected: &[(&str, u64)],
    ) -> Result<(), Setback> {
        let day = self::day(day);
        let call = format!("owners_on {day} after {after:?}, at most {limit},");
        let answer = self.reader.owners_on(day, after, limit).await;
        let totals = answer.map_err(|error| failed(&call, &error))?;
        let seen: Vec<(&str, u64)> = totals.iter().map(pair).collect();
        ensure(seen == expected, || {
            format!("{call} answered {seen:?} instead of {expected:?}")
        })
    }
}

fn pair(total: &OwnerTotal) -> (&str, u64) {
    (&total.owner, total.requests)
}

fn same_days(call: &str, totals: &[DayTotal], expected: &[(u32, u64)]) -> Result<(), Setback> {
    let pair = |total: &DayTotal| (total.day.since_1970(), total.requests);
    let seen: Vec<(u32, u64)> = totals.iter().map(pair).collect();
    ensure(seen == expected, || {
        format!("{call} answered {seen:?} instead of {expected:?}")
    })
}

pub(super) fn day(number: u32) -> Day {
    Day::from_days_since_1970(number)
}

fn range(days: RangeInclusive<u32>) -> RangeInclusive<Day> {
    day(*days.start())..=day(*days.end())
}

pub(super) fn numbered(n: usize) -> Result<KeyId, Setback> {
    records::id(&format!("{n:012}"))
}

pub(super) fn batch(instance: u128, sequence: u64, entries: Vec<UsageEntry>) -> UsageBatch {
    UsageBatch {
        instance,
        sequence,
        entries,
    }
}

/// What was counted of a key of [`OWNER`].
pub(super) fn entry(id: &KeyId, day: u32, usage: KeyUsage) -> UsageEntry {
    owned(id, OWNER, day, usage)
}

pub(super) fn owned(id: &KeyId, owner: &str, day: u32, usage: KeyUsage) -> UsageEntry {
    UsageEntry {
        key_id: *id,
        owner: owner.into(),
        day: self::day(day),
        usage,
    }
}

/// So many requests, the last of them at `millis`.
pub(super) fn requests(requests: u64, millis: i64) -> Result<KeyUsage, Setback> {
    used(requests, millis, None)
}

pub(super) fn used(requests: u64, millis: i64, from: Option<IpAddr>) -> Result<KeyUsage, Setback> {
    Ok(KeyUsage {
        requests,
        last_used_at: records::at(millis)?,
        last_used_from: from,
        scopes: Vec::new(),
        lacked: Vec::new(),
        secrets: Vec::new(),
    })
}

/// Something in every field, and `requests` in each of them.
pub(super) fn whole(requests: u64, millis: i64) -> Result<KeyUsage, Setback> {
    Ok(KeyUsage {
        scopes: vec![scope("orders:read", requests, millis)?],
        lacked: vec![scope("orders:write", requests, millis)?],
        secrets: vec![secret(5, requests, millis)?],
        ..used(requests, millis, Some([203, 0, 113, 7].into()))?
    })
}

pub(super) fn scope(name: &str, requests: u64, millis: i64) -> Result<ScopeUsage, Setback> {
    Ok(ScopeUsage {
        scope: name.into(),
        requests,
        last_at: records::at(millis)?,
    })
}

pub(super) fn secret(made: i64, requests: u64, millis: i64) -> Result<SecretUsage, Setback> {
    Ok(SecretUsage {
        created_at: records::at(made)?,
        requests,
        last_used_at: records::at(millis)?,
    })
}
