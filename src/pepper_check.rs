use subtle::ConstantTimeEq;

use crate::mac::{PepperId, PepperRing};
use crate::store::{KeyStore, StoreError, StoreErrorKind};

/// Why the peppers cannot be relied on.
pub(crate) enum PepperCheckError {
    Store(StoreError),
    Wrong(PepperId),
}

impl From<StoreError> for PepperCheckError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Compares each pepper with the check value that the store keeps under its id, and leaves one
/// where there is none. With a wrong pepper, every valid key would be taken for an invalid one.
pub(crate) async fn check_peppers(
    store: &dyn KeyStore,
    peppers: &PepperRing,
) -> Result<(), PepperCheckError> {
    let Some(settings) = store.abilities().settings else {
        return Ok(());
    };
    for check in peppers.checks() {
        let name = format!("keygate/pepper/{}", check.id);
        let kept = match settings.read(&name).await? {
            Some(kept) => kept,
            None => match settings.compare_and_set(&name, None, &check.value).await {
                Ok(()) => continue,
                // Another process was first.
                Err(error) if error.kind() == StoreErrorKind::Stale => {
                    settings.read(&name).await?.ok_or(error)?
                }
                Err(error) => return Err(error.into()),
            },
        };
        if !bool::from(kept.ct_eq(&check.value[..])) {
            return Err(PepperCheckError::Wrong(check.id));
        }
    }
    Ok(())
}
