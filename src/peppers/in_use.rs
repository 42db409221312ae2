//! The peppers that keys may still need, as all instances agree: those that were ever active, and are
//! not retired.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::mac::PepperId;
use crate::store::{Settings, StoreError, StoreErrorKind};

/// The ids in decimal, between spaces.
const NAME: &str = "keygate/peppers";

/// Others change it rarely: each time one instance makes a pepper active, or retires one.
const ATTEMPTS: usize = 16;

pub(super) async fn in_use(settings: &dyn Settings) -> Result<BTreeSet<PepperId>, StoreError> {
    let kept = settings.read(NAME).await?;
    kept.map_or(Ok(BTreeSet::new()), |kept| decode(&kept))
}

/// Notes that keys may need `id` from now on.
pub(super) async fn add(settings: &dyn Settings, id: PepperId) -> Result<(), StoreError> {
    change(settings, |ids| ids.insert(id)).await
}

/// Notes that no key needs `id` any more.
pub(crate) async fn retire(settings: &dyn Settings, id: PepperId) -> Result<(), StoreError> {
    change(settings, |ids| ids.remove(&id)).await
}

async fn change(
    settings: &dyn Settings,
    change: impl Fn(&mut BTreeSet<PepperId>) -> bool + Send + Sync,
) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        let kept = settings.read(NAME).await?;
        let mut ids = kept.as_deref().map_or(Ok(BTreeSet::new()), decode)?;
        if !change(&mut ids) {
            return Ok(());
        }
        let value = encode(&ids);
        outcome = settings
            .compare_and_set(NAME, kept.as_deref(), &value)
            .await;
        match &outcome {
            // Another process was first, or it may have been this one.
            Err(error)
                if matches!(
                    error.kind(),
                    StoreErrorKind::Stale | StoreErrorKind::OutcomeUnknown
                ) => {}
            _ => return outcome,
        }
    }
    outcome
}

fn encode(ids: &BTreeSet<PepperId>) -> Vec<u8> {
    let mut text = String::new();
    for id in ids {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{id}");
    }
    text.into_bytes()
}

fn decode(kept: &[u8]) -> Result<BTreeSet<PepperId>, StoreError> {
    let corrupt = || {
        let cause = format!("the setting {NAME} is no list of pepper ids: correct it");
        StoreError::new(StoreErrorKind::Corrupt, cause)
    };
    let text = std::str::from_utf8(kept).map_err(|_| corrupt())?;
    let ids = text.split_ascii_whitespace().map(str::parse);
    ids.map(|id| id.map(PepperId).map_err(|_| corrupt()))
        .collect()
}
