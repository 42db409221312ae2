//! The peppers that keys may still need, as all instances agree: those that were ever active, and are
//! not retired; and those that are.

use std::collections::BTreeSet;

use crate::mac::PepperId;
use crate::store::{KeyStore, Settings, StoreError, StoreErrorKind};

/// The ids in decimal, between spaces, with a hyphen before those that are retired.
const NAME: &str = "keygate/peppers";

/// Others change it rarely: each time one instance makes a pepper active, or retires one.
const ATTEMPTS: usize = 16;

/// The peppers that were ever active.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Noted {
    /// Keys may need these.
    pub(super) in_use: BTreeSet<PepperId>,
    /// No key needs these, and none is to be made with them.
    pub(super) retired: BTreeSet<PepperId>,
}

pub(super) async fn noted(settings: &dyn Settings) -> Result<Noted, StoreError> {
    let kept = settings.read(NAME).await?;
    kept.map_or(Ok(Noted::default()), |kept| decode(&kept))
}

/// Whether a gate was ever built on the store. One that keeps no settings cannot tell, and may be.
pub(crate) async fn is_in_use(store: &dyn KeyStore) -> Result<bool, StoreError> {
    match store.abilities().settings {
        Some(settings) => Ok(noted(settings).await? != Noted::default()),
        None => Ok(true),
    }
}

/// Notes that keys may need `id` from now on; `false`: it is retired.
pub(super) async fn add(settings: &dyn Settings, id: PepperId) -> Result<bool, StoreError> {
    let noted = change(settings, |noted| {
        !noted.retired.contains(&id) && noted.in_use.insert(id)
    });
    Ok(!noted.await?.retired.contains(&id))
}

/// Notes that no key needs `id` any more; `false`: it was never active.
pub(crate) async fn retire(settings: &dyn Settings, id: PepperId) -> Result<bool, StoreError> {
    let noted = change(settings, |noted| {
        noted.in_use.remove(&id) && noted.retired.insert(id)
    });
    Ok(noted.await?.retired.contains(&id))
}

async fn change(
    settings: &dyn Settings,
    change: impl Fn(&mut Noted) -> bool + Send + Sync,
) -> Result<Noted, StoreError> {
    let mut outcome = Err(StoreErrorKind::Stale.into());
    for _ in 0..ATTEMPTS {
        let kept = settings.read(NAME).await?;
        let mut noted = kept.as_deref().map_or(Ok(Noted::default()), decode)?;
        if !change(&mut noted) {
            return Ok(noted);
        }
        let value = encode(&noted);
        let set = settings.compare_and_set(NAME, kept.as_deref(), &value);
        outcome = set.await.map(|()| noted);
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

fn encode(noted: &Noted) -> Vec<u8> {
    let in_use = noted.in_use.iter().map(ToString::to_string);
    let retired = noted.retired.iter().map(|id| format!("-{id}"));
    let words: Vec<String> = in_use.chain(retired).collect();
    words.join(" ").into_bytes()
}

fn decode(kept: &[u8]) -> Result<Noted, StoreError> {
    let corrupt = || {
        let cause = format!("the setting {NAME} is no list of pepper ids: correct it");
        StoreError::new(StoreErrorKind::Corrupt, cause)
    };
    let text = std::str::from_utf8(kept).map_err(|_| corrupt())?;
    let mut noted = Noted::default();
    for word in text.split_ascii_whitespace() {
        let (ids, id) = match word.strip_prefix('-') {
            Some(id) => (&mut noted.retired, id),
            None => (&mut noted.in_use, word),
        };
        ids.insert(PepperId(id.parse().map_err(|_| corrupt())?));
    }
    Ok(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_as_it_was_written_and_nothing_else_is() {
        let ids = |ids: &[u32]| ids.iter().copied().map(PepperId).collect();
        let noted = Noted {
            in_use: ids(&[2, 17]),
            retired: ids(&[1, u32::MAX]),
        };
        assert_eq!(encode(&noted), b"2 17 -1 -4294967295");
        assert_eq!(decode(&encode(&noted)).unwrap(), noted);
        assert_eq!(decode(b"").unwrap(), Noted::default());
        for damaged in ["1,2", "--1", "-", "4294967296", "\u{e9}"] {
            let error = decode(damaged.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damaged}");
        }
    }
}
