use subtle::ConstantTimeEq;

use super::in_use::{add, noted};
use crate::mac::{PepperCheck, PepperId, PepperRing};
use crate::store::{KeyStore, Settings, StoreError, StoreErrorKind};

/// Why the peppers cannot be relied on.
pub(crate) enum PepperCheckError {
    /// Keys may need it, and it is not there.
    Missing(PepperId),
    /// It is active, and was retired.
    Retired(PepperId),
    Store(StoreError),
    Wrong(PepperId),
}

impl From<StoreError> for PepperCheckError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is asked of a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Every pepper and every foreign format that keys may need.
    All,
    /// That none of them is wrong, and that it is no strange one that is active in place of those that keys
    /// may need: so looks the configuration of another service.
    Familiar,
    /// That none of them is wrong.
    Right,
}

/// Compares each pepper with the check value that the store keeps under its id, and leaves one
/// where there is none. With a wrong pepper, every valid key would be taken for an invalid one; and
/// without one that keys need, those could not be checked.
///
/// Nothing is left of a ring that cannot be relied on: what was mistyped would stay for good.
pub(crate) async fn check_peppers(
    store: &dyn KeyStore,
    peppers: &PepperRing,
    demand: Demand,
) -> Result<(), PepperCheckError> {
    let Some(settings) = store.abilities().settings else {
        return Ok(());
    };
    let mut new = Vec::new();
    for check in peppers.checks() {
        match settings.read(&name(&check)).await? {
            Some(kept) => hold_against(&check, &kept)?,
            None => new.push(check),
        }
    }
    let noted = noted(settings).await?;
    let active = peppers.active_id();
    let is_refused = match demand {
        Demand::All => true,
        Demand::Familiar => new.iter().any(|check| check.id == active),
        Demand::Right => false,
    };
    let missing = noted.in_use.into_iter().find(|id| !peppers.knows(*id));
    if let Some(missing) = missing.filter(|_| is_refused) {
        return Err(PepperCheckError::Missing(missing));
    }
    if noted.retired.contains(&active) {
        return Err(PepperCheckError::Retired(active));
    }
    for check in new {
        leave(settings, &check).await?;
    }
    match add(settings, active).await? {
        true => Ok(()),
        false => Err(PepperCheckError::Retired(active)),
    }
}

async fn leave(settings: &dyn Settings, check: &PepperCheck) -> Result<(), PepperCheckError> {
    let name = name(check);
    match settings.compare_and_set(&name, None, &check.value).await {
        Ok(()) => Ok(()),
        // Another process was first.
        Err(error) if error.kind() == StoreErrorKind::Stale => {
            let kept = settings.read(&name).await?;
            hold_against(check, &kept.ok_or(error)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn hold_against(check: &PepperCheck, kept: &[u8]) -> Result<(), PepperCheckError> {
    match bool::from(kept.ct_eq(&check.value[..])) {
        true => Ok(()),
        false => Err(PepperCheckError::Wrong(check.id)),
    }
}

fn name(check: &PepperCheck) -> String {
    format!("keygate/pepper/{}", check.id)
}
