use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Abilities, AuditLog, DayTotal, Expect, KeyStore, KeyUsage, Listed, OwnerTotal, Page, Settings,
    StoreError, StoreErrorKind, UsageBatch, UsageStore, Write,
};
use crate::audit::{AuditEvent, AuditKind};
use crate::clock::{Day, Timestamp};
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::{AuditPage, AuditQuery};

/// Keeps records in the memory of this process, and nowhere else: for trying out and for tests.
#[derive(Debug, Default)]
pub struct MemoryStore {
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    records: BTreeMap<KeyId, KeyRecord>,
    events: Events,
    settings: BTreeMap<String, Vec<u8>>,
    usage: Usage,
}

#[derive(Debug, Default)]
struct Events {
    /// By numbers that rise and are never used twice.
    kept: BTreeMap<u64, AuditEvent>,
    next: u64,
}

#[derive(Debug, Default)]
struct Usage {
    /// The last batch of each instance.
    added: BTreeMap<u128, u64>,
    keys: BTreeMap<KeyId, KeyUsage>,
    days: BTreeMap<(Day, KeyId), OwnerTotal>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A change is a single insertion, so a panic elsewhere leaves nothing half done.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.contents().records.get(id).cloned())
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = self.contents();
        let stored = contents.records.get(&change.record.id);
        match (change.expect, stored) {
            (Expect::Absent, Some(_)) => return Err(StoreErrorKind::Taken.into()),
            (Expect::Absent, None) => {}
            (Expect::Version(version), Some(stored))
                if stored.version == version
                    && (stored.revocation.is_none()
                        || stored.revocation == change.record.revocation) => {}
            (Expect::Version(_), _) => return Err(StoreErrorKind::Stale.into()),
        }
        contents
            .records
            .insert(change.record.id, change.record.clone());
        contents.events.keep(change.audit);
        Ok(())
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let after = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let records: Vec<KeyRecord> = self
            .contents()
            .records
            .range((after, Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| page.owner.is_none_or(|owner| owner == record.owner))
            .take(page.limit)
            .cloned()
            .collect();
        Ok(records.into())
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none()
            .with_audit_log(self)
            .with_settings(self)
            .with_usage(self)
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    /// A cursor is the number of the first event of the page.
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let start: u64 = match query.after.as_deref().map(str::parse) {
            None => 0,
            Some(Ok(number)) => number,
            Some(Err(_)) => {
                return Err(StoreError::new(
                    StoreErrorKind::Corrupt,
                    "not a cursor of this store",
                ));
            }
        };
        let contents = self.contents();
        let kept = contents.events.kept.range(start..);
        let mut selected = kept.filter(|(_, event)| query.selects(event));
        let events = selected
            .by_ref()
            .take(query.limit)
            .map(|(_, event)| event.clone());
        Ok(AuditPage {
            events: events.collect(),
            unreadable: Vec::new(),
            next: selected.next().map(|(number, _)| number.to_string()),
        })
    }

    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.contents().events.keep(events);
        Ok(())
    }

    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let kept = &mut self.contents().events.kept;
        let due = kept
            .iter()
            .filter(|(_, event)| event.action.kind() == kind && event.at < moment)
            .map(|(number, _)| *number);
        let due: Vec<u64> = due.take(limit).collect();
        due.iter().for_each(|number| drop(kept.remove(number)));
        Ok(due.len())
    }
}

#[async_trait]
impl Settings for MemoryStore {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.contents().settings.get(name).cloned())
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let mut contents = self.contents();
        if contents.settings.get(name).map(Vec::as_slice) != expected {
            return Err(StoreErrorKind::Stale.into());
        }
        contents.settings.insert(name.into(), value.into());
        Ok(())
    }
}

#[async_trait]
impl UsageStore for MemoryStore {
    async fn add(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        let usage = &mut self.contents().usage;
        let last = usage.added.get(&batch.instance);
        if last.is_some_and(|last| *last >= batch.sequence) {
            return Ok(());
        }
        usage.added.insert(batch.instance, batch.sequence);
        for entry in &batch.entries {
            let of_key = usage.keys.entry(entry.key_id);
            of_key
                .and_modify(|usage| usage.add(&entry.usage))
                .or_insert_with(|| entry.usage.clone());
            let of_day = usage.days.entry((entry.day, entry.key_id));
            let total = of_day.or_insert_with(|| OwnerTotal {
                owner: entry.owner.clone(),
                requests: 0,
            });
            total.requests = total.requests.saturating_add(entry.usage.requests);
        }
        Ok(())
    }

    async fn of_keys(&self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, StoreError> {
        let keys = &self.contents().usage.keys;
        Ok(ids.iter().map(|id| keys.get(id).cloned()).collect())
    }

    async fn days_of_key(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        Ok(self.contents().usage.by_day(days, |key, _| key == id))
    }

    async fn days_of_owner(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let of_owner = |_: &KeyId, total: &OwnerTotal| total.owner == owner;
        Ok(self.contents().usage.by_day(days, of_owner))
    }

    async fn owners_on(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, StoreError> {
        let mut owners: BTreeMap<String, u64> = BTreeMap::new();
        for ((_, _), total) in self
            .contents()
            .usage
            .days
            .iter()
            .filter(|((of, _), _)| *of == day)
        {
            let sum = owners.entry(total.owner.clone()).or_default();
            *sum = sum.saturating_add(total.requests);
        }
        let listed = owners
            .into_iter()
            .filter(|(owner, requests)| {
                *requests > 0 && after.is_none_or(|after| owner.as_str() > after)
            })
            .map(|(owner, requests)| OwnerTotal { owner, requests });
        Ok(listed.take(limit).collect())
    }

    async fn forget_before(&self, day: Day) -> Result<(), StoreError> {
        self.contents().usage.days.retain(|(of, _), _| *of >= day);
        Ok(())
    }
}

impl Events {
    fn keep(&mut self, events: &[AuditEvent]) {
        for event in events {
            self.kept.insert(self.next, event.clone());
            self.next += 1;
        }
    }
}

impl Usage {
    fn by_day(
        &self,
        days: RangeInclusive<Day>,
        counts: impl Fn(&KeyId, &OwnerTotal) -> bool,
    ) -> Vec<DayTotal> {
        let mut totals: BTreeMap<Day, u64> = BTreeMap::new();
        for ((day, key), total) in &self.days {
            if days.contains(day) && counts(key, total) {
                let sum = totals.entry(*day).or_default();
                *sum = sum.saturating_add(total.requests);
            }
        }
        let used = totals.into_iter().filter(|(_, requests)| *requests > 0);
        used.map(|(day, requests)| DayTotal { day, requests })
            .collect()
    }
}
