//! The first key of an empty database.

use std::time::{Duration, Instant};

use keygate::store::Settings;
use keygate::{Filter, KeyId, KeyStore, Keygate, NewKey, StoreErrorKind};

use super::routes::SCOPES;
use super::{Failure, say};

const NAME: &str = "bootstrap";

/// Holds [`PRINTED`], or the claim of whoever is about to print.
const SETTING: &str = "service/bootstrap_key_printed";
const PRINTED: &[u8] = b"yes";

/// How often one who waits looks whether it was printed.
const LOOK: Duration = Duration::from_millis(100);

/// Issues the first key of an empty database and prints it: once, however many instances start.
///
/// Whoever is to print it claims that in the database first, and notes afterwards that it was printed;
/// all others wait for the note. A claim that stands for `patience` is taken over, since a start that
/// was cut off in between has printed nothing. One that was only held up for so long prints a second
/// key, which is better than none.
pub(crate) async fn print_once(
    keys: &Keygate,
    store: &dyn KeyStore,
    patience: Duration,
) -> Result<(), Failure> {
    let settings = store.abilities().settings;
    let settings = settings.ok_or("the store keeps no settings")?;
    let Some(claim) = claim(settings, patience).await? else {
        return Ok(());
    };
    let list = keys.manager().list(Filter::new()).await?;
    if list.unreadable.is_empty() && list.keys.iter().all(|key| key.name == NAME) {
        let key = NewKey::for_owner("admin")
            .name(NAME)
            .scopes(SCOPES.scopes().iter().copied())
            .never_expires();
        let issued = keys.manager().issue(key).await?;
        say(&format!("key: {}", issued.key.expose()))?;
    }
    set(settings, Some(&claim), PRINTED).await?;
    Ok(())
}

/// The claim of this instance, or `None` when there is nothing to print any more.
async fn claim(settings: &dyn Settings, patience: Duration) -> Result<Option<Vec<u8>>, Failure> {
    let own = KeyId::generate()?.as_str().as_bytes().to_vec();
    let mut seen = settings.read(SETTING).await?;
    let mut since = Instant::now();
    loop {
        if seen.as_deref() == Some(PRINTED) {
            return Ok(None);
        }
        let is_free = seen.is_none() || since.elapsed() >= patience;
        if is_free && set(settings, seen.as_deref(), &own).await? {
            return Ok(Some(own));
        }
        tokio::time::sleep(LOOK).await;
        let now = settings.read(SETTING).await?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}

/// Whether nobody was faster.
async fn set(
    settings: &dyn Settings,
    expected: Option<&[u8]>,
    value: &[u8],
) -> Result<bool, Failure> {
    match settings.compare_and_set(SETTING, expected, value).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == StoreErrorKind::Stale => Ok(false),
        Err(error) => Err(error.into()),
    }
}
