//! Stores with one flaw, of the kinds that are seen in real ones.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use keygate::audit::{AuditEvent, AuditKind};
use keygate::store::{AuditPage, AuditQuery};
use keygate::store::{Expect, Listed, Page, Write};
use keygate::{KeyId, KeyRecord, StoreError, StoreErrorKind, Timestamp};
use tokio::task::yield_now;

use super::alike;
use crate::mutant::{Contents, Flaw, Log, Shared};

pub(super) struct Keeps(pub(super) fn(&mut KeyRecord));

impl Flaw for Keeps {
    fn keep(&self, record: &mut KeyRecord) {
        self.0(record);
    }
}

pub(super) struct KeepsEvents(pub(super) fn(&mut AuditEvent));

impl Flaw for KeepsEvents {
    fn keep_event(&self, event: &mut AuditEvent) {
        self.0(event);
    }
}

pub(crate) struct Judges(
    pub(crate) fn(&Contents, Expect, &KeyRecord) -> Result<(), StoreErrorKind>,
);

impl Flaw for Judges {
    fn judge(
        &self,
        contents: &Contents,
        expect: Expect,
        record: &KeyRecord,
    ) -> Result<(), StoreErrorKind> {
        self.0(contents, expect, record)
    }
}

/// Lets a revocation be altered where it says so.
pub(super) struct Revokes(pub(super) fn(&KeyRecord, &KeyRecord) -> bool);

impl Flaw for Revokes {
    fn judge(
        &self,
        contents: &Contents,
        expect: Expect,
        record: &KeyRecord,
    ) -> Result<(), StoreErrorKind> {
        match (expect, contents.records.get(&record.id)) {
            (Expect::Version(version), Some(stored))
                if version == stored.version && self.0(stored, record) =>
            {
                Ok(())
            }
            _ => contents.judge(expect, record),
        }
    }
}

pub(super) struct Lists(pub(super) fn(&Contents, &Page<'_>) -> Vec<KeyRecord>);

#[async_trait]
impl Flaw for Lists {
    async fn list(&self, store: &Shared, page: &Page<'_>) -> Result<Listed, StoreError> {
        Ok(self.0(&store.lock(), page).into())
    }
}

pub(super) struct Logs(pub(super) fn(&Contents, &AuditQuery) -> Result<AuditPage, StoreError>);

#[async_trait]
impl Flaw for Logs {
    async fn events(&self, store: &Shared, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.0(&store.lock(), query)
    }
}

pub(super) struct Forgets(pub(super) Forget);

pub(super) type Forget = fn(&mut Log, AuditKind, Timestamp, usize) -> usize;

#[async_trait]
impl Flaw for Forgets {
    fn forget_events(
        &self,
        log: &mut Log,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> usize {
        self.0(log, kind, moment, limit)
    }
}

/// As a store does that has the same event once.
pub(super) struct RecordsOnce;

#[async_trait]
impl Flaw for RecordsOnce {
    async fn record(&self, store: &Shared, events: &[AuditEvent]) -> Result<(), StoreError> {
        let log = &mut store.lock().events;
        for event in events {
            if log.kept.values().all(|kept| kept != event) {
                log.keep(std::slice::from_ref(event));
            }
        }
        Ok(())
    }
}

/// As a store does that writes each event by itself.
pub(super) struct RecordsInSteps;

#[async_trait]
impl Flaw for RecordsInSteps {
    async fn record(&self, store: &Shared, events: &[AuditEvent]) -> Result<(), StoreError> {
        for event in events {
            store.lock().events.keep(std::slice::from_ref(event));
            yield_now().await;
        }
        Ok(())
    }
}

pub(super) struct Sets(pub(super) Set);

pub(super) type Set = fn(&mut Contents, &str, Option<&[u8]>, &[u8]) -> Result<(), StoreError>;

#[async_trait]
impl Flaw for Sets {
    async fn set(
        &self,
        store: &Shared,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        self.0(&mut store.lock(), name, expected, value)
    }
}

pub(super) struct ChecksFirst;

#[async_trait]
impl Flaw for ChecksFirst {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        store.lock().judge(change.expect, change.record)?;
        yield_now().await;
        store.lock().put(change.record, change.audit);
        Ok(())
    }
}

/// As a store does that keeps one file.
pub(super) struct WritesEverything;

#[async_trait]
impl Flaw for WritesEverything {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = store.lock().clone();
        contents.judge(change.expect, change.record)?;
        yield_now().await;
        contents.put(change.record, change.audit);
        *store.lock() = contents;
        Ok(())
    }
}

/// As a store does that keeps scopes in a table of their own, without a transaction.
pub(super) struct WritesInTwoSteps;

#[async_trait]
impl Flaw for WritesInTwoSteps {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let without_scopes = KeyRecord {
            scopes: Default::default(),
            owner: "owner".into(),
            ..change.record.clone()
        };
        {
            let mut contents = store.lock();
            contents.judge(change.expect, change.record)?;
            contents.put(&without_scopes, &[]);
        }
        yield_now().await;
        store.lock().put(change.record, change.audit);
        Ok(())
    }
}

pub(super) struct KeepsOneEvent;

#[async_trait]
impl Flaw for KeepsOneEvent {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = store.lock();
        contents.judge(change.expect, change.record)?;
        let one = change.audit.len().min(1);
        contents.put(change.record, &change.audit[..one]);
        Ok(())
    }
}

pub(super) struct LogsFirst;

#[async_trait]
impl Flaw for LogsFirst {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = store.lock();
        contents.events.keep(change.audit);
        contents.judge(change.expect, change.record)?;
        contents.put(change.record, &[]);
        Ok(())
    }
}

pub(super) struct LogsLast;

#[async_trait]
impl Flaw for LogsLast {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        {
            let mut contents = store.lock();
            contents.judge(change.expect, change.record)?;
            contents.put(change.record, &[]);
        }
        yield_now().await;
        store.lock().events.keep(change.audit);
        Ok(())
    }
}

/// A get takes the only connection, and gives it back only when it ends.
#[derive(Default)]
pub(super) struct StaysBusy(AtomicBool);

#[async_trait]
impl Flaw for StaysBusy {
    async fn get(&self, store: &Shared, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        if self.0.swap(true, Ordering::SeqCst) {
            return Err(StoreErrorKind::Unavailable.into());
        }
        yield_now().await;
        self.0.store(false, Ordering::SeqCst);
        Ok(store.lock().records.get(id).cloned())
    }
}

/// What was read once is read for ever.
#[derive(Default)]
pub(crate) struct Remembers(Mutex<BTreeMap<KeyId, Option<KeyRecord>>>);

#[async_trait]
impl Flaw for Remembers {
    async fn get(&self, store: &Shared, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let stored = store.lock().records.get(id).cloned();
        Ok(self.0.lock().unwrap().entry(*id).or_insert(stored).clone())
    }
}

/// A cache that drops a record when it is written, and keeps what was read, however long ago.
#[derive(Default)]
pub(super) struct FillsLate(Mutex<BTreeMap<KeyId, Option<KeyRecord>>>);

#[async_trait]
impl Flaw for FillsLate {
    async fn get(&self, store: &Shared, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        if let Some(cached) = self.0.lock().unwrap().get(id) {
            return Ok(cached.clone());
        }
        let record = store.lock().records.get(id).cloned();
        yield_now().await;
        self.0.lock().unwrap().insert(*id, record.clone());
        Ok(record)
    }

    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = store.lock();
        contents.judge(change.expect, change.record)?;
        contents.put(change.record, change.audit);
        self.0.lock().unwrap().remove(&change.record.id);
        Ok(())
    }
}

/// As an UPDATE does whose ids are compared without regard to case.
pub(super) struct ChangesAlike;

#[async_trait]
impl Flaw for ChangesAlike {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = store.lock();
        contents.judge(change.expect, change.record)?;
        if change.expect != Expect::Absent {
            for (id, record) in &mut contents.records {
                if alike(id, &change.record.id) {
                    record.name.clone_from(&change.record.name);
                }
            }
        }
        contents.put(change.record, change.audit);
        Ok(())
    }
}

pub(super) struct FailsOnUnknown;

#[async_trait]
impl Flaw for FailsOnUnknown {
    async fn get(&self, store: &Shared, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        match store.lock().records.get(id) {
            Some(record) => Ok(Some(record.clone())),
            None => Err(StoreErrorKind::Corrupt.into()),
        }
    }
}

pub(super) struct GetsAlike;

#[async_trait]
impl Flaw for GetsAlike {
    async fn get(&self, store: &Shared, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let contents = store.lock();
        let exact = contents.records.get(id);
        let similar = || {
            contents
                .records
                .values()
                .find(|record| alike(&record.id, id))
        };
        Ok(exact.or_else(similar).cloned())
    }
}

pub(super) struct FailsOnEmptyPages;

#[async_trait]
impl Flaw for FailsOnEmptyPages {
    async fn list(&self, store: &Shared, page: &Page<'_>) -> Result<Listed, StoreError> {
        let listed = store.lock().list(page);
        match listed.is_empty() {
            true => Err(StoreErrorKind::Unavailable.into()),
            false => Ok(listed.into()),
        }
    }
}

/// As `SET metadata = COALESCE(new, old)` does.
pub(super) struct Coalesces;

#[async_trait]
impl Flaw for Coalesces {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        let mut contents = store.lock();
        contents.judge(change.expect, change.record)?;
        let stored = contents.records.get(&change.record.id);
        let expires_at = stored.and_then(|record| record.expires_at);
        let record = KeyRecord {
            expires_at: change.record.expires_at.or(expires_at),
            ..change.record.clone()
        };
        contents.put(&record, change.audit);
        Ok(())
    }
}

pub(super) struct ReadsUnset;

#[async_trait]
impl Flaw for ReadsUnset {
    async fn read(&self, store: &Shared, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let value = store.lock().settings.get(name).cloned();
        Ok(Some(value.unwrap_or_default()))
    }
}

pub(super) struct TrimsNames;

#[async_trait]
impl Flaw for TrimsNames {
    async fn read(&self, store: &Shared, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(store.lock().settings.get(name.trim_end()).cloned())
    }

    async fn set(
        &self,
        store: &Shared,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        store.lock().set(name.trim_end(), expected, value)
    }
}

pub(super) struct SetsLater;

#[async_trait]
impl Flaw for SetsLater {
    async fn set(
        &self,
        store: &Shared,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        if store.lock().settings.get(name).map(Vec::as_slice) != expected {
            return Err(StoreErrorKind::Stale.into());
        }
        yield_now().await;
        store.lock().settings.insert(name.into(), value.into());
        Ok(())
    }
}
