//! The formats of which keys were imported, as all instances agree: their bearers would be told by an
//! instance without them that their keys are not valid.

use std::collections::BTreeMap;

use super::{KeyManager, ManageError};
use crate::environment::Environments;
use crate::foreign::ForeignFormat;
use crate::peppers::Demand;
use crate::store::{KeyStore, Settings, StoreError, StoreErrorKind};

/// Pairs of a name and what marks its declaration, with a colon between them and a space after each.
const NAME: &str = "keygate/foreign";

/// Others change it rarely: with the first key of a format, and when one is retired.
const ATTEMPTS: usize = 16;

/// Why keys that were imported would not open.
pub(crate) enum FormatCheckError {
    /// It is declared in another way than it was.
    Changed(String),
    Missing(String),
    Store(StoreError),
}

/// Compares the formats with those of which keys were imported.
pub(crate) async fn check_formats(
    store: &dyn KeyStore,
    environments: &Environments,
    demand: Demand,
) -> Result<(), FormatCheckError> {
    let Some(settings) = store.abilities().settings else {
        return Ok(());
    };
    let kept = settings.read(NAME).await;
    let kept = kept.and_then(|kept| decode(kept.as_deref()));
    for (name, mark) in kept.map_err(FormatCheckError::Store)? {
        match environments.foreign().named(&name) {
            Some(format) if environments.mark_of(format) != mark => {
                return Err(FormatCheckError::Changed(name));
            }
            None if demand == Demand::All => return Err(FormatCheckError::Missing(name)),
            _ => {}
        }
    }
    Ok(())
}

impl KeyManager {
    /// Notes for all instances that no key needs the [foreign format](crate::ForeignFormat) `name` any more,
    /// so that it can be taken out of their configuration: until then, an instance without it does not
    /// start. Whoever comes with a text of it after that is answered `key_invalid`.
    ///
    /// It is the host that knows it: records do not say with which texts they open. A further import
    /// of the format undoes this.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] on behalf of a caller; [`ManageError::Store`].
    pub async fn retire_foreign_format(&self, name: &str) -> Result<(), ManageError> {
        if self.caller().is_some() {
            let problem = "the formats are the host's business, and no caller's";
            return Err(ManageError::Invalid(problem.into()));
        }
        if let Some(settings) = self.shared.store.abilities().settings {
            change(settings, |formats| formats.remove(name).is_some()).await?;
        }
        Ok(())
    }

    /// Notes that keys need `format` from now on, as it is declared here.
    pub(super) async fn note_format(&self, format: &ForeignFormat) -> Result<(), ManageError> {
        let Some(settings) = self.shared.store.abilities().settings else {
            return Ok(());
        };
        let (name, mark) = (format.name(), self.shared.environments.mark_of(format));
        let noted = change(settings, |formats| {
            let is_new = !formats.contains_key(name);
            if is_new {
                formats.insert(name.to_owned(), mark.clone());
            }
            is_new
        });
        match noted.await?.get(name) == Some(&mark) {
            true => Ok(()),
            false => Err(ManageError::Invalid(format!(
                "keys of the format {name:?} were imported under another hashing, hash key or environment: declare it as it was, or give this one another name"
            ))),
        }
    }
}

/// What is noted in the end. Without a change, nothing is written.
async fn change(
    settings: &dyn Settings,
    change: impl Fn(&mut BTreeMap<String, String>) -> bool + Send + Sync,
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut attempts = 1;
    loop {
        let kept = settings.read(NAME).await?;
        let mut formats = decode(kept.as_deref())?;
        if !change(&mut formats) {
            return Ok(formats);
        }
        let (kept, value) = (kept.as_deref(), encode(&formats));
        match settings.compare_and_set(NAME, kept, &value).await {
            Ok(()) => return Ok(formats),
            // Another process was first, or it may have been this one.
            Err(error) if attempts < ATTEMPTS && is_worth_another_look(&error) => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

fn is_worth_another_look(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Stale | StoreErrorKind::OutcomeUnknown
    )
}

fn encode(formats: &BTreeMap<String, String>) -> Vec<u8> {
    let pairs = formats.iter().map(|(name, mark)| format!("{name}:{mark} "));
    pairs.collect::<String>().into_bytes()
}

fn decode(kept: Option<&[u8]>) -> Result<BTreeMap<String, String>, StoreError> {
    let corrupt = || {
        let cause = format!("the setting {NAME} is no list of formats: correct it");
        StoreError::new(StoreErrorKind::Corrupt, cause)
    };
    let text = std::str::from_utf8(kept.unwrap_or_default()).map_err(|_| corrupt())?;
    let pairs = text.split_ascii_whitespace().map(|pair| {
        let (name, mark) = pair.split_once(':')?;
        Some((name.to_owned(), mark.to_owned()))
    });
    pairs.collect::<Option<_>>().ok_or_else(corrupt)
}
