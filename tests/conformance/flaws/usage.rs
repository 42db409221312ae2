//! Stores that count with one flaw.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use keygate::store::{DayTotal, KeyUsage, OwnerTotal, ScopeUsage, UsageBatch};
use keygate::{Day, KeyId, StoreError, Timestamp};
use tokio::task::yield_now;

use super::{Entry, as_signed};
use crate::counted::Counted;
use crate::mutant::{Flaw, Shared};

/// Each case by its name, with a store that it must catch.
#[rustfmt::skip]
pub(super) fn all() -> Vec<Entry> {
    vec![
        ("a batch that is added leaves the records as they are", || Box::new(CountsInTheRecord)),
        ("a key that is revoked while a batch is added stays revoked", || Box::new(WritesRecordsBack)),
        ("a key of which there is no record is counted too, and gets none", || Box::new(CountsTheKnown)),

        ("what was counted is returned in every field", || Box::new(Takes(|batch| {
            for entry in &mut batch.entries {
                entry.usage.requests = entry.usage.requests as f64 as u64;
            }
        }))),
        ("what was counted is returned in every field", || Box::new(Takes(|batch| {
            for entry in &mut batch.entries {
                entry.usage.last_used_from = entry.usage.last_used_from.map(|from| from.to_canonical());
            }
        }))),
        ("what was counted is returned in every field", || Box::new(Takes(|batch| {
            for secret in batch.entries.iter_mut().flat_map(|entry| &mut entry.usage.secrets) {
                let seconds = secret.created_at.as_unix_millis() / 1_000;
                secret.created_at = Timestamp::from_unix_millis(seconds * 1_000).unwrap();
            }
        }))),
        ("requests of a key are added up over batches, days and instances", || Box::new(Merges(|sum, counted| {
            let most = sum.requests.max(counted.requests);
            sum.add(counted);
            sum.requests = most;
        }))),
        ("the last use is that of the latest request, in whichever order it is added", || Box::new(Merges(|sum, counted| {
            sum.add(counted);
            (sum.last_used_at, sum.last_used_from) = (counted.last_used_at, counted.last_used_from);
        }))),
        ("the last use is that of the latest request, in whichever order it is added", || Box::new(Merges(|sum, counted| {
            // The moment is right, and the address whose ever it was.
            sum.add(counted);
            sum.last_used_from = counted.last_used_from;
        }))),
        ("the last use is that of the latest request, in whichever order it is added", || Box::new(Merges(|sum, counted| {
            // As COALESCE(new, old) does.
            let before = sum.last_used_from;
            sum.add(counted);
            sum.last_used_from = sum.last_used_from.or(before);
        }))),
        ("scopes that were needed and scopes that were lacked are added up by name, in the order of the names", || Box::new(Merges(|sum, counted| {
            sum.add(counted);
            sum.scopes.sort_by_key(|scope| scope.scope.to_lowercase());
        }))),
        ("scopes that were needed and scopes that were lacked are added up by name, in the order of the names", || Box::new(Merges(|sum, counted| {
            // Without a column that tells them apart.
            sum.add(counted);
            let mut lacked = KeyUsage { scopes: sum.lacked.clone(), ..sum.clone() };
            lacked.add(&KeyUsage { lacked: Vec::new(), ..sum.clone() });
            sum.scopes = lacked.scopes;
        }))),
        ("scopes that were needed and scopes that were lacked are added up by name, in the order of the names", || Box::new(Merges(|sum, counted| {
            let before = moments(&sum.lacked);
            sum.add(counted);
            for scope in &mut sum.lacked {
                scope.last_at = before.get(&scope.scope).copied().unwrap_or(scope.last_at);
            }
        }))),
        ("secrets are added up by when they were made, the oldest first", || Box::new(Merges(|sum, counted| {
            sum.add(counted);
            sum.secrets.sort_by_key(|secret| secret.created_at.as_unix_millis().to_string());
        }))),
        ("secrets are added up by when they were made, the oldest first", || Box::new(Merges(|sum, counted| {
            let before = sum.secrets.clone();
            sum.add(counted);
            sum.secrets.retain(|secret| before.iter().any(|known| known.created_at == secret.created_at));
        }))),
        ("of_keys answers in the order of its question, also for ids that are unknown or asked twice", || Box::new(AnswersOfKeys(|usage, ids| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids.iter().map(|id| usage.keys.get(id).cloned()).collect()
        }))),
        ("of_keys answers in the order of its question, also for ids that are unknown or asked twice", || Box::new(AnswersOfKeys(|usage, ids| {
            ids.iter().filter_map(|id| usage.keys.get(id).cloned().map(Some)).collect()
        }))),
        ("counts up to the largest i64 are kept, and do not fall when more is added", || Box::new(Merges(|sum, counted| {
            let wrapped = (sum.requests as i64).wrapping_add(counted.requests as i64);
            sum.add(counted);
            sum.requests = u64::try_from(wrapped).unwrap_or(0);
        }))),

        ("a batch whose sequence is not above the last of its instance changes nothing", || Box::new(Judges(|_, _| true))),
        ("a batch whose sequence is not above the last of its instance changes nothing", || Box::new(Judges(|last, sequence| last != Some(sequence)))),
        ("a batch whose sequence is not above the last of its instance changes nothing", || Box::new(CountsDaysAgain)),
        ("the sequence of an instance begins anywhere and may have gaps", || Box::new(Judges(|last, sequence| last.unwrap_or(0) < sequence))),
        ("the sequence of an instance begins anywhere and may have gaps", || Box::new(Judges(|last, sequence| last.is_none_or(|last| last + 1 == sequence)))),
        ("the sequence of an instance begins anywhere and may have gaps", || Box::new(Judges(|last, sequence| last.is_none_or(|last| (last as f64) < sequence as f64)))),
        ("a sequence means another batch for each instance", || Box::new(Takes(|batch| batch.instance = (batch.instance as u64).into()))),
        ("a sequence means another batch for each instance", || Box::new(Takes(|batch| batch.instance >>= 64))),
        ("of batches that are added at once, on the same keys, none is lost", || Box::new(ReadsAndWrites)),
        ("a read while a batch is added sees it whole or not at all", || Box::new(AddsInTwoSteps)),
        ("a batch that is dropped at any point and added again counts once", || Box::new(MarksFirst)),
        ("a batch that is dropped at any point and added again counts once", || Box::new(MarksLast)),
        ("a batch of a thousand entries is added whole", || Box::new(Takes(|batch| batch.entries.truncate(999)))),

        ("the requests of a key are told for each day on which there were any, in order", || Box::new(AnswersDaysOfKey(|usage, id, days| {
            let mut told = usage.days(days, |key, _| key == id);
            told.sort_by_key(|total| total.requests);
            told
        }))),
        ("the requests of a key are told for each day on which there were any, in order", || Box::new(AnswersDaysOfKey(|usage, id, days| {
            usage.days(days, |key, _| super::alike(key, id))
        }))),
        ("the days of an owner are those of all its keys, and of no other's", || Box::new(AnswersDaysOfOwner(|usage, owner, days| {
            let mut first = None;
            usage.days(days, |_, of| of == owner).into_iter().filter(|total| first.replace(total.day).is_none()).collect()
        }))),
        ("a range of days has both its ends, and may be one day, all of them, or none", || Box::new(AnswersDaysOfKey(|usage, id, days| {
            let mut told = usage.days(days.clone(), |key, _| key == id);
            told.retain(|total| total.day != *days.end());
            told
        }))),
        ("a range of days has both its ends, and may be one day, all of them, or none", || Box::new(AnswersDaysOfOwner(|usage, owner, days| {
            let (one, other) = days.into_inner();
            usage.days(one.min(other)..=one.max(other), |_, of| of == owner)
        }))),
        ("a day without an accepted request is not told, though scopes were counted on it", || Box::new(AnswersDaysOfKey(|usage, id, days| {
            let of_key = usage.days.iter().filter(|((day, key), _)| key == id && days.contains(day));
            of_key.map(|((day, _), total)| DayTotal { day: *day, requests: total.requests }).collect()
        }))),
        ("owners are counted apart, compared byte for byte", || Box::new(AnswersDaysOfOwner(|usage, owner, days| {
            usage.days(days, |_, of| of.eq_ignore_ascii_case(owner))
        }))),
        ("owners are counted apart, compared byte for byte", || Box::new(AnswersDaysOfOwner(|usage, owner, days| {
            usage.days(days, |_, of| of.trim_end() == owner.trim_end())
        }))),
        ("owners are counted apart, compared byte for byte", || Box::new(Takes(|batch| {
            for entry in &mut batch.entries {
                entry.owner = entry.owner.chars().take(127).collect();
            }
        }))),
        ("forgetting leaves the day it names, the later ones, and what is added up over all days", || Box::new(Forgets(|usage, day| {
            usage.days.retain(|(of, _), _| *of > day);
        }))),
        ("forgetting leaves the day it names, the later ones, and what is added up over all days", || Box::new(Forgets(|usage, day| {
            usage.days.retain(|(of, _), _| *of >= day);
            let days = &usage.days;
            usage.keys.retain(|id, _| days.keys().any(|(_, key)| key == id));
        }))),
        ("forgetting leaves the day it names, the later ones, and what is added up over all days", || Box::new(Forgets(|usage, day| {
            usage.days.retain(|(of, _), _| *of >= day);
            usage.batches.clear();
        }))),

        ("the owners of a day have the requests of all their keys on that day alone", || Box::new(AnswersOwners(|usage, day, after, limit| {
            let of_day = usage.owners_on(day, after, limit).into_iter();
            let all = Day::from_days_since_1970(0)..=Day::from_days_since_1970(u32::MAX);
            of_day.map(|total| {
                let days = usage.days(all.clone(), |_, of| of == total.owner);
                OwnerTotal { requests: days.iter().map(|day| day.requests).sum(), ..total }
            }).collect()
        }))),
        ("the owners of a day are in ascending byte order", || Box::new(AnswersOwners(|usage, day, after, limit| {
            let mut owners = usage.owners_on(day, after, limit);
            owners.sort_by_key(|total| total.owner.to_lowercase());
            owners
        }))),
        ("a page of owners begins after its name, whether that was used or not", || Box::new(AnswersOwners(|usage, day, after, limit| {
            let mut all = usage.owners_on(day, None, usize::MAX);
            let position = |after| all.iter().position(|total| total.owner == after);
            let next = after.map_or(Some(0), |after| position(after).map(|at| at + 1));
            let mut page = all.split_off(next.unwrap_or(all.len()));
            page.truncate(limit);
            page
        }))),
        ("a page of owners is as long as its limit, and shorter only at the end", || Box::new(AnswersOwners(|usage, day, after, limit| {
            usage.owners_on(day, after, limit.min(100))
        }))),
        ("a page of owners is as long as its limit, and shorter only at the end", || Box::new(AnswersOwners(|usage, day, after, limit| {
            usage.owners_on(day, after, as_signed(limit))
        }))),
        ("a page of owners is as long as its limit, and shorter only at the end", || Box::new(AnswersOwners(|usage, day, after, limit| {
            // The limit is one of keys.
            let keys = usage.days.iter().filter(|((of, _), total)| *of == day && after.is_none_or(|after| total.owner.as_str() > after));
            let mut keys: Vec<_> = keys.collect();
            keys.sort_by_key(|(_, total)| &total.owner);
            let keys = keys.into_iter().take(limit).map(|(key, total)| (*key, total.clone()));
            let page = Counted { days: keys.collect(), ..Counted::default() };
            page.owners_on(day, after, limit)
        }))),
    ]
}

fn moments(scopes: &[ScopeUsage]) -> BTreeMap<String, Timestamp> {
    let moment = |scope: &ScopeUsage| (scope.scope.clone(), scope.last_at);
    scopes.iter().map(moment).collect()
}

struct Takes(fn(&mut UsageBatch));

impl Flaw for Takes {
    fn keep_batch(&self, batch: &mut UsageBatch) {
        self.0(batch);
    }
}

struct Judges(fn(Option<u64>, u64) -> bool);

impl Flaw for Judges {
    fn is_new(&self, last: Option<u64>, sequence: u64) -> bool {
        self.0(last, sequence)
    }
}

struct Merges(fn(&mut KeyUsage, &KeyUsage));

impl Flaw for Merges {
    fn merge(&self, sum: &mut KeyUsage, counted: &KeyUsage) {
        self.0(sum, counted);
    }
}

struct AnswersOfKeys(fn(&Counted, &[KeyId]) -> Vec<Option<KeyUsage>>);

impl Flaw for AnswersOfKeys {
    fn of_keys(&self, usage: &Counted, ids: &[KeyId]) -> Vec<Option<KeyUsage>> {
        self.0(usage, ids)
    }
}

struct AnswersDaysOfKey(fn(&Counted, &KeyId, RangeInclusive<Day>) -> Vec<DayTotal>);

impl Flaw for AnswersDaysOfKey {
    fn days_of_key(&self, usage: &Counted, id: &KeyId, days: RangeInclusive<Day>) -> Vec<DayTotal> {
        self.0(usage, id, days)
    }
}

struct AnswersDaysOfOwner(fn(&Counted, &str, RangeInclusive<Day>) -> Vec<DayTotal>);

impl Flaw for AnswersDaysOfOwner {
    fn days_of_owner(
        &self,
        usage: &Counted,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Vec<DayTotal> {
        self.0(usage, owner, days)
    }
}

struct AnswersOwners(fn(&Counted, Day, Option<&str>, usize) -> Vec<OwnerTotal>);

impl Flaw for AnswersOwners {
    fn owners_on(
        &self,
        usage: &Counted,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<OwnerTotal> {
        self.0(usage, day, after, limit)
    }
}

struct Forgets(fn(&mut Counted, Day));

impl Flaw for Forgets {
    fn forget_before(&self, usage: &mut Counted, day: Day) {
        self.0(usage, day);
    }
}

struct CountsInTheRecord;

#[async_trait]
impl Flaw for CountsInTheRecord {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        add(store, batch);
        let mut contents = store.lock();
        for entry in &batch.entries {
            if let Some(record) = contents.records.get_mut(&entry.key_id) {
                record.version += 1;
            }
        }
        Ok(())
    }
}

/// Reads the whole record, and writes the whole record.
struct WritesRecordsBack;

#[async_trait]
impl Flaw for WritesRecordsBack {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let ids = batch.entries.iter().map(|entry| entry.key_id);
        let read: Vec<_> = {
            let contents = store.lock();
            ids.filter_map(|id| contents.records.get(&id).cloned())
                .collect()
        };
        yield_now().await;
        add(store, batch);
        let mut contents = store.lock();
        for record in read {
            contents.records.insert(record.id, record);
        }
        Ok(())
    }
}

/// As a foreign key does.
struct CountsTheKnown;

#[async_trait]
impl Flaw for CountsTheKnown {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let mut batch = batch.clone();
        let records = store.lock().records.clone();
        batch
            .entries
            .retain(|entry| records.contains_key(&entry.key_id));
        add(store, &batch);
        Ok(())
    }
}

/// Only what is added up over all days is guarded.
struct CountsDaysAgain;

#[async_trait]
impl Flaw for CountsDaysAgain {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        if add(store, batch) {
            return Ok(());
        }
        let usage = &mut store.lock().usage;
        let keys = usage.keys.clone();
        usage.add(batch, KeyUsage::add);
        usage.keys = keys;
        Ok(())
    }
}

struct ReadsAndWrites;

#[async_trait]
impl Flaw for ReadsAndWrites {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let mut usage = store.lock().usage.clone();
        if is_new(&usage, batch) {
            usage.mark(batch);
            usage.add(batch, KeyUsage::add);
            yield_now().await;
            store.lock().usage = usage;
        }
        Ok(())
    }
}

struct AddsInTwoSteps;

#[async_trait]
impl Flaw for AddsInTwoSteps {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let (one, other) = batch.entries.split_at(batch.entries.len() / 2);
        let part = |entries: &[_]| UsageBatch {
            entries: entries.to_vec(),
            ..batch.clone()
        };
        if add(store, &part(one)) {
            yield_now().await;
            store.lock().usage.add(&part(other), KeyUsage::add);
        }
        Ok(())
    }
}

struct MarksFirst;

#[async_trait]
impl Flaw for MarksFirst {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        if is_new(&store.lock().usage, batch) {
            store.lock().usage.mark(batch);
            yield_now().await;
            store.lock().usage.add(batch, KeyUsage::add);
        }
        Ok(())
    }
}

struct MarksLast;

#[async_trait]
impl Flaw for MarksLast {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        if is_new(&store.lock().usage, batch) {
            store.lock().usage.add(batch, KeyUsage::add);
            yield_now().await;
            store.lock().usage.mark(batch);
        }
        Ok(())
    }
}

fn is_new(usage: &Counted, batch: &UsageBatch) -> bool {
    let last = usage.batches.get(&batch.instance);
    last.is_none_or(|last| *last < batch.sequence)
}

/// As a sound store does; whether the batch was new.
fn add(store: &Shared, batch: &UsageBatch) -> bool {
    let usage = &mut store.lock().usage;
    let new = is_new(usage, batch);
    if new {
        usage.mark(batch);
        usage.add(batch, KeyUsage::add);
    }
    new
}
