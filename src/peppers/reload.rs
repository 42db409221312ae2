use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_timer::Delay;

use super::check::PepperCheckError;
use super::provider::ProviderError;
use super::{Demand, PepperProvider, check_peppers};
use crate::authenticate::{Lost, within};
use crate::changes::{Changes, Stop};
use crate::key::RandomError;
use crate::mac::{PepperId, PepperRing, Peppers};
use crate::store::{KeyStore, StoreError, StoreErrorKind};
use crate::telemetry;
use crate::waiters::{Waiters, first};

/// How long a provider, and then the store, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause after each reload, also while peppers are missed all the time.
const PAUSE: Duration = Duration::from_secs(2);

/// Why peppers cannot be used. Where others are in use, those stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeppersError {
    /// Keys may need a pepper that is not there, and would be answered 503.
    #[error(
        "pepper {0} is missing, and keys may have been made with it: add it as verify-only, or retire it by KeyManager::retire_pepper"
    )]
    Missing(PepperId),
    /// The peppers were given once and for all.
    #[error("there is nothing to read the peppers from: call pepper_provider(..)")]
    NoProvider,
    /// The provider failed.
    #[error("the provider has no peppers")]
    Provider(#[source] ProviderError),
    /// The provider panicked.
    #[error("the provider of the peppers panicked")]
    ProviderPanicked,
    /// The provider did not answer in time.
    #[error("the provider of the peppers did not answer within 10 seconds")]
    ProviderTooSlow,
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The active pepper was retired: other instances may not have it any more.
    #[error(
        "pepper {0} is active and was retired, so others may not have it any more: make another one active, with an id of its own"
    )]
    Retired(PepperId),
    /// The peppers cannot be held against what the store keeps.
    #[error("the key store cannot be used")]
    Store(#[source] StoreError),
    /// A pepper is not the one under whose id keys were made.
    #[error(
        "pepper {0} is not the one that the keys in this store were made with: find the right one, or give the new one a new id and keep the old one as verify-only"
    )]
    Wrong(PepperId),
}

impl From<PepperCheckError> for PeppersError {
    fn from(error: PepperCheckError) -> Self {
        match error {
            PepperCheckError::Missing(id) => Self::Missing(id),
            PepperCheckError::Retired(id) => Self::Retired(id),
            PepperCheckError::Store(error) => Self::Store(error),
            PepperCheckError::Wrong(id) => Self::Wrong(id),
        }
    }
}

/// Where the peppers of a gate come from.
pub(crate) enum PepperSource {
    Given(PepperRing),
    Provider(Arc<dyn PepperProvider>),
}

impl PepperSource {
    /// The first peppers, and whom to ask for others later on.
    pub(crate) async fn open(
        self,
    ) -> Result<(PepperRing, Option<Arc<dyn PepperProvider>>), PeppersError> {
        match self {
            Self::Given(peppers) => Ok((peppers, None)),
            Self::Provider(provider) => Ok((ask(&*provider).await?, Some(provider))),
        }
    }
}

async fn ask(provider: &dyn PepperProvider) -> Result<PepperRing, PeppersError> {
    // A call may panic before there is a future.
    let answer = Box::pin(async { provider.peppers().await });
    match within(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(PeppersError::Provider),
        Err(Lost::Panicked) => Err(PeppersError::ProviderPanicked),
        Err(Lost::TooSlow) => Err(PeppersError::ProviderTooSlow),
    }
}

/// Replaces the peppers of one gate while requests run.
pub(crate) struct Reloader {
    pub(crate) provider: Option<Arc<dyn PepperProvider>>,
    pub(crate) peppers: Arc<Peppers>,
    pub(crate) store: Arc<dyn KeyStore>,
    /// Gone with the last who caches anything.
    pub(crate) changes: Weak<Changes>,
    pub(crate) demand: Demand,
    pub(crate) interval: Duration,
    pub(crate) realm: String,
    pub(crate) turn: Turn,
}

impl Reloader {
    /// Asks the provider until it is stopped: again and again, and soon where a pepper was missed.
    pub(crate) async fn run(&self, stop: &Stop) {
        if self.provider.is_none() {
            return;
        }
        while !stop.is_raised() {
            let due = pin!(async {
                first(pin!(self.peppers.missed()), Delay::new(self.interval)).await;
            });
            first(pin!(stop.raised()), due).await;
            let reloading = pin!(async {
                if let Err(error) = self.reload().await {
                    telemetry::peppers_are_not_reloaded(&self.realm, &error);
                }
                Delay::new(PAUSE).await;
            });
            first(pin!(stop.raised()), reloading).await;
        }
    }

    /// Asks the provider now; whether there were others than before.
    pub(crate) async fn reload(&self) -> Result<bool, PeppersError> {
        let provider = self.provider.as_ref().ok_or(PeppersError::NoProvider)?;
        // Or what was read earlier could replace what was read later.
        let _turn = self.turn.take().await;
        let peppers = ask(&**provider).await?;
        let check = Box::pin(check_peppers(&*self.store, &peppers, self.demand));
        match within(PATIENCE, check).await {
            Ok(checked) => checked?,
            Err(Lost::Panicked | Lost::TooSlow) => return Err(unchecked()),
        }
        if self.peppers.current().peppers().is_same(&peppers) {
            return Ok(false);
        }
        self.peppers.replace(peppers)?;
        if let Some(changes) = self.changes.upgrade() {
            changes.invalidate_all();
        }
        telemetry::peppers_are_reloaded(&self.realm, self.peppers.current().peppers());
        Ok(true)
    }
}

fn unchecked() -> PeppersError {
    let cause = "it panicked, or did not answer in time";
    PeppersError::Store(StoreError::new(StoreErrorKind::Unavailable, cause))
}

/// Held by one at a time.
#[derive(Default)]
pub(crate) struct Turn {
    is_taken: AtomicBool,
    waiters: Waiters,
}

impl Turn {
    async fn take(&self) -> Taken<'_> {
        let is_mine = || !self.is_taken.swap(true, Ordering::SeqCst);
        self.waiters.until(is_mine).await;
        Taken(self)
    }
}

struct Taken<'a>(&'a Turn);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.is_taken.store(false, Ordering::SeqCst);
        self.0.waiters.wake_all();
    }
}
