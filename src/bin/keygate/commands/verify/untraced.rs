//! A store in which looking for a key leaves no trace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keygate::store::{Abilities, Listed, Page, Settings, Write};
use keygate::{KeyId, KeyRecord, KeyStore, StoreError, StoreErrorKind};

/// What is read is read from the store. Nothing is written to it: no usage, no event, no renewed MAC, and
/// of the settings that a gate leaves as it starts, only this process ever knows.
pub(super) struct Untraced {
    store: Arc<dyn KeyStore>,
    left: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Untraced {
    pub(super) fn over(store: Arc<dyn KeyStore>) -> Self {
        Self {
            store,
            left: Mutex::default(),
        }
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyStore for Untraced {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.store.get(id).await
    }

    async fn write(&self, _: Write<'_>) -> Result<(), StoreError> {
        let cause = "whether a key opens is found out without a trace";
        Err(StoreError::new(StoreErrorKind::Unavailable, cause))
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.store.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        match self.store.abilities().settings {
            Some(_) => Abilities::none().with_settings(self),
            None => Abilities::none(),
        }
    }
}

#[async_trait]
impl Settings for Untraced {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let left = self.left().get(name).cloned();
        match (left, self.store.abilities().settings) {
            (None, Some(settings)) => settings.read(name).await,
            (left, _) => Ok(left),
        }
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        if self.read(name).await?.as_deref() != expected {
            return Err(StoreErrorKind::Stale.into());
        }
        self.left().insert(name.into(), value.into());
        Ok(())
    }
}
