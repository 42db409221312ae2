//! Within which time a revocation is honoured: one number for all instances, kept beside the keys.

use std::time::Duration;

use crate::changes::FRESH_FOR;
use crate::store::{KeyStore, StoreError, StoreErrorKind};

/// Milliseconds, in decimal.
const NAME: &str = "keygate/revocation_bound_ms";

/// Why an instance cannot serve on a store.
pub(crate) enum BoundError {
    Store(StoreError),
    /// It goes beyond a second, and the store keeps no settings to tell others by.
    Untold,
    /// It would honour a revocation later than all who revoke are told.
    Beyond {
        kept: Duration,
    },
}

impl From<StoreError> for BoundError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Holds the bound of this instance against the one that is kept, and leaves its own where there is
/// none.
pub(crate) async fn check_bound(store: &dyn KeyStore, own: Duration) -> Result<(), BoundError> {
    let Some(settings) = store.abilities().settings else {
        return match own > FRESH_FOR {
            true => Err(BoundError::Untold),
            false => Ok(()),
        };
    };
    let kept = match settings.read(NAME).await? {
        Some(kept) => kept,
        None => match settings.compare_and_set(NAME, None, &encode(own)).await {
            Ok(()) => return Ok(()),
            // Another process was first.
            Err(error) if error.kind() == StoreErrorKind::Stale => {
                settings.read(NAME).await?.ok_or(error)?
            }
            Err(error) => return Err(error.into()),
        },
    };
    let kept = decode(&kept)?;
    // As it was written.
    match decode(&encode(own))? <= kept {
        true => Ok(()),
        false => Err(BoundError::Beyond { kept }),
    }
}

/// The bound of all instances; where the store keeps none, this one's `own`.
pub(crate) async fn kept_bound(
    store: &dyn KeyStore,
    own: Duration,
) -> Result<Duration, StoreError> {
    let Some(settings) = store.abilities().settings else {
        return Ok(own);
    };
    let kept = settings.read(NAME).await?;
    Ok(kept.map_or(Ok(own), |kept| decode(&kept))?.max(own))
}

/// Makes `bound` the one of all instances.
pub(crate) async fn keep_bound(store: &dyn KeyStore, bound: Duration) -> Result<(), StoreError> {
    let Some(settings) = store.abilities().settings else {
        let cause = "the store keeps no settings, so each instance has a bound of its own";
        return Err(StoreError::new(StoreErrorKind::Unavailable, cause));
    };
    let kept = settings.read(NAME).await?;
    let bound = encode(bound);
    settings
        .compare_and_set(NAME, kept.as_deref(), &bound)
        .await
}

/// Rounded up, and kept within what can be read.
fn encode(bound: Duration) -> Vec<u8> {
    let millis = bound.as_nanos().div_ceil(1_000_000);
    let millis = u64::try_from(millis).unwrap_or(u64::MAX);
    millis.to_string().into_bytes()
}

fn decode(kept: &[u8]) -> Result<Duration, StoreError> {
    let text = std::str::from_utf8(kept).ok();
    let millis = text.and_then(|text| text.parse().ok());
    millis.map(Duration::from_millis).ok_or_else(|| {
        let cause = format!("the setting {NAME} is no number of milliseconds: correct it");
        StoreError::new(StoreErrorKind::Corrupt, cause)
    })
}
