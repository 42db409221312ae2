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
            let _ = self
                .guarded(say(self.store, false, self.clock.wall()))
                .await;
            self.state = State::Unsaid;
        }
        let said = match &self.state {
            State::Said => return,
            State::Unsaid => self.guarded(say(self.store, true, self.clock.wall())).await,
            State::Withdrawn(kept) => self.guarded(put_back(self.store, kept)).await,
        };
        if said.is_ok() {
            self.state = State::Said;
        }
    }

    /// What was used lately is known to nobody but this instance, and may be lost with it.
    pub(super) async fn withdraw(&mut self) {
        if let Ok(Some(kept)) = self.guarded(take_back(self.store)).await {
            self.state = State::Withdrawn(kept);
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
