use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Abilities, AuditLog, Expect, KeyStore, Listed, Page, Settings, StoreError, StoreErrorKind,
    Write,
};
use crate::audit::AuditEvent;
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
    events: Vec<AuditEvent>,
    settings: BTreeMap<String, Vec<u8>>,
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
        contents.events.extend_from_slice(change.audit);
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
        Abilities::none().with_audit_log(self).with_settings(self)
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    /// A cursor is the position of the first event of the page.
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let start = match query.after.as_deref().map(str::parse) {
            None => 0,
            Some(Ok(position)) => position,
            Some(Err(_)) => {
                return Err(StoreError::new(
                    StoreErrorKind::Corrupt,
                    "not a cursor of this store",
                ));
            }
        };
        let contents = self.contents();
        let selected = contents.events.iter().enumerate().skip(start);
        let mut selected = selected.filter(|(_, event)| query.selects(event));
        let events = selected
            .by_ref()
            .take(query.limit)
            .map(|(_, event)| event.clone());
        Ok(AuditPage {
            events: events.collect(),
            unreadable: Vec::new(),
            next: selected.next().map(|(position, _)| position.to_string()),
        })
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
