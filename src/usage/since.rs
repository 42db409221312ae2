//! Since when all instances count, which is as far back as "it was not used" means anything.

use crate::clock::Timestamp;
use crate::store::{KeyStore, StoreError, StoreErrorKind};

/// Milliseconds since 1970, in decimal; nothing where an instance does not count.
const NAME: &str = "keygate/usage_counted_since_ms";

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
