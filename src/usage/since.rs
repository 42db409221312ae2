//! Since when all instances count, which is as far back as "it was not used" means anything.

use std::pin::pin;
use std::time::Duration;

use crate::authenticate::within;
use crate::clock::{Clock, Timestamp};
use crate::store::{KeyStore, StoreError, StoreErrorKind};

/// Milliseconds since 1970, in decimal; nothing where an instance does not count.
const NAME: &str = "keygate/usage_counted_since_ms";

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// So often others may be first, before it is an outage.
const ATTEMPTS: usize = 16;

/// Says at `now` that this instance counts, or does not.
///
/// The first that counts leaves the moment. One that does not takes that back: what its callers do is
/// seen by nobody.
pub(crate) async fn say(
    store: &dyn KeyStore,
    counts: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (Some(settings), Some(_)) = (store.abilities().settings, store.abilities().usage) else {
        return Ok(());
    };
    let said = match counts {
        true => now.as_unix_millis().to_string(),
        false => String::new(),
    };
    let mut last = StoreErrorKind::Stale.into();
    for _ in 0..ATTEMPTS {
        let kept = settings.read(NAME).await?;
        let is_kept = kept.as_ref().is_some_and(|kept| !kept.is_empty());
        if is_kept == counts {
            return Ok(());
        }
        let set = settings.compare_and_set(NAME, kept.as_deref(), said.as_bytes());
        match set.await {
            Err(error) if error.kind() == StoreErrorKind::Stale => last = error,
            set => return set,
        }
    }
    Err(last)
}

/// Since when all instances count; `None` where one does not, or the store cannot tell.
pub(crate) async fn counted_since(store: &dyn KeyStore) -> Result<Option<Timestamp>, StoreError> {
    let Some(settings) = store.abilities().settings else {
        return Ok(None);
    };
    let Some(kept) = settings.read(NAME).await?.filter(|kept| !kept.is_empty()) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&kept).ok();
    let millis = text.and_then(|text| text.parse().ok());
    let since = millis.and_then(|millis| Timestamp::from_unix_millis(millis).ok());
    since.map(Some).ok_or_else(|| {
        let cause = format!("the setting {NAME} is no moment: correct it");
        StoreError::new(StoreErrorKind::Corrupt, cause)
    })
}

/// What one instance that counts says of that.
pub(super) struct Vouching<'a> {
    store: &'a dyn KeyStore,
    clock: &'a dyn Clock,
    state: State,
}

enum State {
    /// It may not have been said yet, as when the store did not take it.
    Unsaid,
    Said,
    /// It was taken back while the store takes no counts, and stood at this before.
    Withdrawn(Vec<u8>),
    /// What stands there is to go: some requests were lost since.
    Spoiled,
}

impl<'a> Vouching<'a> {
    pub(super) fn new(store: &'a dyn KeyStore, clock: &'a dyn Clock) -> Self {
        Self {
            store,
            clock,
            state: State::Unsaid,
        }
    }

    /// The store has all counts of this instance until now; `is_spoiled`: but for some that were lost,
    /// so that it begins anew.
    pub(super) async fn go_on(&mut self, is_spoiled: bool) {
        if is_spoiled {
            self.state = State::Spoiled;
        }
        if let State::Spoiled = self.state {
            let gone = self.guarded(say(self.store, false, self.clock.wall()));
            if gone.await.is_err() {
                return;
            }
            self.state = State::Unsaid;
        }
        let said = match &self.state {
            State::Said | State::Spoiled => return,
            State::Unsaid => self.guarded(say(self.store, true, self.clock.wall())).await,
            State::Withdrawn(kept) => self.guarded(put_back(self.store, kept)).await,
        };
        if said.is_ok() {
            self.state = State::Said;
        }
    }

    /// What was used lately is known to nobody but this instance, and may be lost with it.
    pub(super) async fn withdraw(&mut self) {
        let taken_back = self.guarded(take_back(self.store)).await;
        match (taken_back, &self.state) {
            (_, State::Spoiled) | (Ok(None) | Err(_), _) => {}
            (Ok(Some(kept)), _) => self.state = State::Withdrawn(kept),
        }
    }

    /// A store that panics or is slow does not end the work that this is part of.
    async fn guarded<T>(
        &self,
        ask: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let lost = |_| StoreError::from(StoreErrorKind::Unavailable);
        within(PATIENCE, pin!(ask)).await.map_err(lost)?
    }
}

/// Empties it, and returns what it was; `None` where it was empty.
async fn take_back(store: &dyn KeyStore) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(settings) = store.abilities().settings else {
        return Ok(None);
    };
    let Some(kept) = settings.read(NAME).await?.filter(|kept| !kept.is_empty()) else {
        return Ok(None);
    };
    settings.compare_and_set(NAME, Some(&kept), b"").await?;
    Ok(Some(kept))
}

/// Makes it what it was, if nobody has begun anew.
async fn put_back(store: &dyn KeyStore, kept: &[u8]) -> Result<(), StoreError> {
    let Some(settings) = store.abilities().settings else {
        return Ok(());
    };
    match settings.compare_and_set(NAME, Some(b""), kept).await {
        Err(error) if error.kind() == StoreErrorKind::Stale => Ok(()),
        set => set,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::clock::SystemClock;
    use crate::key::KeyId;
    use crate::record::KeyRecord;
    use crate::store::{Abilities, Listed, MemoryStore, Page, Settings, Write};

    /// Settings that can be read, and are not written while it is said so.
    #[derive(Default)]
    struct Stiff {
        inner: MemoryStore,
        is_stiff: AtomicBool,
    }

    #[async_trait]
    impl KeyStore for Stiff {
        async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
            self.inner.get(id).await
        }

        async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
            self.inner.write(change).await
        }

        async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
            self.inner.list(page).await
        }

        fn abilities(&self) -> Abilities<'_> {
            self.inner.abilities().with_settings(self)
        }
    }

    #[async_trait]
    impl Settings for Stiff {
        async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
            Settings::read(&self.inner, name).await
        }

        async fn compare_and_set(
            &self,
            name: &str,
            expected: Option<&[u8]>,
            value: &[u8],
        ) -> Result<(), StoreError> {
            match self.is_stiff.load(Ordering::SeqCst) {
                true => Err(StoreErrorKind::Unavailable.into()),
                false => self.inner.compare_and_set(name, expected, value).await,
            }
        }
    }

    #[tokio::test]
    async fn what_was_lost_ends_the_proof_also_when_that_could_not_be_said_at_first() {
        let store = Stiff::default();
        let long_ago = Timestamp::MIN;
        say(&store, true, long_ago).await.unwrap();
        let mut vouching = Vouching::new(&store, &SystemClock);
        vouching.go_on(false).await;
        assert_eq!(counted_since(&store).await.unwrap(), Some(long_ago));

        store.is_stiff.store(true, Ordering::SeqCst);
        vouching.go_on(true).await;
        store.is_stiff.store(false, Ordering::SeqCst);
        // The store is lost once more in between.
        vouching.withdraw().await;
        assert_eq!(counted_since(&store).await.unwrap(), None);
        vouching.go_on(false).await;
        let since = counted_since(&store).await.unwrap().unwrap();
        assert!(since > long_ago, "it begins anew");
    }

    #[tokio::test]
    async fn what_was_only_held_up_stands_as_before() {
        let store = Stiff::default();
        let long_ago = Timestamp::MIN;
        say(&store, true, long_ago).await.unwrap();
        let mut vouching = Vouching::new(&store, &SystemClock);
        vouching.withdraw().await;
        assert_eq!(counted_since(&store).await.unwrap(), None);
        vouching.go_on(false).await;
        assert_eq!(counted_since(&store).await.unwrap(), Some(long_ago));
    }
}
