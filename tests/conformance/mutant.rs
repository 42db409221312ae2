//! A store that is sound but for one flaw.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use keygate::audit::{AuditEvent, AuditKind};
use keygate::store::{
    Abilities, AuditLog, AuditPage, AuditQuery, ChangeFeed, ChangeListener, DayTotal, Expect,
    KeyUsage, Listed, OwnerTotal, Page, Settings, UsageBatch, UsageStore, Write,
};
use keygate::{Day, KeyId, KeyRecord, KeyStore, StoreError, StoreErrorKind, Timestamp};
use tokio::task::yield_now;

use crate::counted::Counted;

#[derive(Clone, Default)]
pub(crate) struct Contents {
    pub(crate) records: BTreeMap<KeyId, KeyRecord>,
    pub(crate) events: Log,
    pub(crate) settings: BTreeMap<String, Vec<u8>>,
    /// The ids of the records that were written, in their order.
    pub(crate) changes: Vec<KeyId>,
    pub(crate) usage: Counted,
}

#[derive(Clone, Default)]
pub(crate) struct Log {
    /// By numbers that are not used twice.
    pub(crate) kept: BTreeMap<usize, AuditEvent>,
    pub(crate) next: usize,
}

impl Log {
    pub(crate) fn keep(&mut self, events: &[AuditEvent]) {
        for event in events {
            self.kept.insert(self.next, event.clone());
            self.next += 1;
        }
    }

    /// Forgets the first events that are due.
    pub(crate) fn forget(&mut self, limit: usize, is_due: impl Fn(&AuditEvent) -> bool) -> usize {
        let due = self.kept.iter().filter(|(_, event)| is_due(event));
        let due: Vec<usize> = due.map(|(number, _)| *number).take(limit).collect();
        due.iter().for_each(|number| drop(self.kept.remove(number)));
        due.len()
    }
}

/// What a sound store does.
impl Contents {
    pub(crate) fn judge(&self, expect: Expect, record: &KeyRecord) -> Result<(), StoreErrorKind> {
        judge(expect, self.records.get(&record.id), record)
    }

    pub(crate) fn put(&mut self, record: &KeyRecord, audit: &[AuditEvent]) {
        self.records.insert(record.id, record.clone());
        self.changes.push(record.id);
        self.events.keep(audit);
    }

    pub(crate) fn list(&self, page: &Page<'_>) -> Vec<KeyRecord> {
        let after = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        self.records
            .range((after, Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| page.owner.is_none_or(|owner| owner == record.owner))
            .take(page.limit)
            .cloned()
            .collect()
    }

    pub(crate) fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.events_where(query, |event| query.selects(event))
    }

    pub(crate) fn events_where(
        &self,
        query: &AuditQuery,
        selects: impl Fn(&AuditEvent) -> bool,
    ) -> Result<AuditPage, StoreError> {
        let start: usize = match query.after.as_deref().map(str::parse) {
            None => 0,
            Some(Ok(position)) => position,
            Some(Err(_)) => return Err(StoreErrorKind::Corrupt.into()),
        };
        let selected = self.events.kept.range(start..);
        let mut selected = selected.filter(|(_, event)| selects(event));
        let events = selected.by_ref().take(query.limit);
        Ok(AuditPage {
            unreadable: Vec::new(),
            events: events.map(|(_, event)| event.clone()).collect(),
            next: selected.next().map(|(position, _)| position.to_string()),
        })
    }

    pub(crate) fn set(
        &mut self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        if self.settings.get(name).map(Vec::as_slice) != expected {
            return Err(StoreErrorKind::Stale.into());
        }
        self.settings.insert(name.into(), value.into());
        Ok(())
    }
}

pub(crate) fn judge(
    expect: Expect,
    stored: Option<&KeyRecord>,
    record: &KeyRecord,
) -> Result<(), StoreErrorKind> {
    match (expect, stored) {
        (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(_)) => Err(StoreErrorKind::Taken),
        (Expect::Version(expected), Some(stored))
            if stored.version == expected
                && (stored.revocation.is_none() || stored.revocation == record.revocation) =>
        {
            Ok(())
        }
        (Expect::Version(_), _) => Err(StoreErrorKind::Stale),
    }
}

#[derive(Default)]
pub(crate) struct Shared(Mutex<Contents>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }

    /// What was changed since so many changes, which are then more.
    pub(crate) fn changes_since(&self, heard: &mut usize) -> Vec<KeyId> {
        let changes = self.lock().changes[*heard..].to_vec();
        *heard += changes.len();
        changes
    }
}

/// What a store does wrong: each method is sound until it is replaced.
#[async_trait]
pub(crate) trait Flaw: Send + Sync + 'static {
    /// What becomes of a record on its way in.
    fn keep(&self, _: &mut KeyRecord) {}

    /// What becomes of an event on its way in.
    fn keep_event(&self, _: &mut AuditEvent) {}

    fn judge(
        &self,
        contents: &Contents,
        expect: Expect,
        record: &KeyRecord,
    ) -> Result<(), StoreErrorKind> {
        contents.judge(expect, record)
    }

    async fn get(&self, store: &Shared, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(store.lock().records.get(id).cloned())
    }

    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = store.lock();
        self.judge(&contents, change.expect, change.record)?;
        let (mut record, mut audit) = (change.record.clone(), change.audit.to_vec());
        self.keep(&mut record);
        audit.iter_mut().for_each(|event| self.keep_event(event));
        contents.put(&record, &audit);
        Ok(())
    }

    async fn list(&self, store: &Shared, page: &Page<'_>) -> Result<Listed, StoreError> {
        Ok(store.lock().list(page).into())
    }

    async fn events(&self, store: &Shared, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        store.lock().events(query)
    }

    async fn record(&self, store: &Shared, events: &[AuditEvent]) -> Result<(), StoreError> {
        let mut events = events.to_vec();
        events.iter_mut().for_each(|event| self.keep_event(event));
        store.lock().events.keep(&events);
        Ok(())
    }

    fn forget_events(
        &self,
        log: &mut Log,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> usize {
        log.forget(limit, |event| {
            event.action.kind() == kind && event.at < moment
        })
    }

    async fn read(&self, store: &Shared, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(store.lock().settings.get(name).cloned())
    }

    async fn set(
        &self,
        store: &Shared,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        store.lock().set(name, expected, value)
    }

    async fn follow(&self, store: &Shared, listener: &dyn ChangeListener) -> StoreError {
        let mut heard = store.lock().changes.len();
        loop {
            let beat = listener.beat();
            let changes = store.changes_since(&mut heard);
            changes.iter().for_each(|id| listener.changed(id));
            listener.alive(beat);
            yield_now().await;
        }
    }

    /// What becomes of a batch on its way in.
    fn keep_batch(&self, _: &mut UsageBatch) {}

    /// Whether a batch is to be added, and not the last one of its instance again.
    fn is_new(&self, last: Option<u64>, sequence: u64) -> bool {
        last.is_none_or(|last| last < sequence)
    }

    /// Adds to what was counted of a key before.
    fn merge(&self, sum: &mut KeyUsage, counted: &KeyUsage) {
        sum.add(counted);
    }

    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let mut batch = batch.clone();
        self.keep_batch(&mut batch);
        let usage = &mut store.lock().usage;
        let last = usage.batches.get(&batch.instance).copied();
        if self.is_new(last, batch.sequence) {
            usage.mark(&batch);
            usage.add(&batch, |sum, counted| self.merge(sum, counted));
        }
        Ok(())
    }

    fn of_keys(&self, usage: &Counted, ids: &[KeyId]) -> Vec<Option<KeyUsage>> {
        ids.iter().map(|id| usage.keys.get(id).cloned()).collect()
    }

    fn days_of_key(&self, usage: &Counted, id: &KeyId, days: RangeInclusive<Day>) -> Vec<DayTotal> {
        usage.days(days, |key, _| key == id)
    }

    fn days_of_owner(
        &self,
        usage: &Counted,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Vec<DayTotal> {
        usage.days(days, |_, of| of == owner)
    }

    fn owners_on(
        &self,
        usage: &Counted,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<OwnerTotal> {
        usage.owners_on(day, after, limit)
    }

    fn forget_before(&self, usage: &mut Counted, day: Day) {
        usage.days.retain(|(of, _), _| *of >= day);
    }
}

pub(crate) struct Mutant {
    pub(crate) store: Shared,
    flaw: Box<dyn Flaw>,
}

impl Mutant {
    pub(crate) fn new(flaw: Box<dyn Flaw>) -> Self {
        Self {
            store: Shared::default(),
            flaw,
        }
    }
}

#[async_trait]
impl KeyStore for Mutant {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.flaw.get(&self.store, id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.flaw.write(&self.store, change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.flaw.list(&self.store, page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none()
            .with_audit_log(self)
            .with_change_feed(self)
            .with_settings(self)
            .with_usage(self)
    }
}

#[async_trait]
impl AuditLog for Mutant {
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.flaw.events(&self.store, query).await
    }

    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.flaw.record(&self.store, events).await
    }

    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let log = &mut self.store.lock().events;
        Ok(self.flaw.forget_events(log, kind, moment, limit))
    }
}

#[async_trait]
impl Settings for Mutant {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.flaw.read(&self.store, name).await
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        self.flaw.set(&self.store, name, expected, value).await
    }
}

#[async_trait]
impl ChangeFeed for Mutant {
    async fn follow(&self, listener: &dyn ChangeListener) -> StoreError {
        self.flaw.follow(&self.store, listener).await
    }
}

#[async_trait]
impl UsageStore for Mutant {
    async fn add(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        self.flaw.add(&self.store, batch).await
    }

    async fn of_keys(&self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, StoreError> {
        Ok(self.flaw.of_keys(&self.store.lock().usage, ids))
    }

    async fn days_of_key(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let usage = &self.store.lock().usage;
        Ok(self.flaw.days_of_key(usage, id, days))
    }

    async fn days_of_owner(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let usage = &self.store.lock().usage;
        Ok(self.flaw.days_of_owner(usage, owner, days))
    }

    async fn owners_on(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, StoreError> {
        let usage = &self.store.lock().usage;
        Ok(self.flaw.owners_on(usage, day, after, limit))
    }

    async fn forget_before(&self, day: Day) -> Result<(), StoreError> {
        self.flaw.forget_before(&mut self.store.lock().usage, day);
        Ok(())
    }
}
