use std::sync::Arc;
use std::time::Duration;

use super::due::{Due, Told};
use super::lease::{Asked, Lease, TERM};
use super::{EVERY, ExpiryNotice, ExpiryNotifier, HookError};
use crate::authenticate::{Lost, within};
use crate::changes::Stop;
use crate::clock::{Clock, Timestamp};
use crate::key::KeyId;
use crate::manage::{KeyActivity, KeyManager, ManageError, Policy, WeakManager, listed_past};
use crate::record::{KeyInfo, KeyRecord, KeyStatus};
use crate::store::{KeyStore, Page, Settings, StoreError, StoreErrorKind, get_checked};
use crate::telemetry;

/// What one look at all keys came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ExpirySweep {
    /// How many active keys were looked at.
    pub keys: usize,
    /// How many notices the hook took.
    pub told: usize,
    /// How many it did not: they are told again by a later sweep.
    pub failed: usize,
    /// How many secrets were older than the policy allows, and were given an end.
    pub rotations_demanded: usize,
    /// How many keys could not be looked at, such as those whose record is damaged. The log names them.
    pub skipped: usize,
    /// `false`: another instance is at it, or has taken over, or the gate is being shut down.
    pub is_complete: bool,
}

/// Looks at all keys: gives an end to secrets that are too old, and tells of what ends soon.
pub(crate) struct Sweeper {
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    manager: WeakManager,
    notifier: Option<ExpiryNotifier>,
}

impl Sweeper {
    /// `None`: nothing is to be told, and no secret is ever too old.
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        manager: &KeyManager,
        notifier: Option<ExpiryNotifier>,
    ) -> Option<Self> {
        let policy = *manager.policy();
        let has_work = notifier.is_some() || policy.max_secret_age.is_some();
        has_work.then(|| Self {
            store,
            clock,
            policy,
            manager: manager.downgrade(),
            notifier,
        })
    }

    /// Looks at all keys now, unless another sweep is at it.
    pub(crate) async fn sweep(&self) -> Result<ExpirySweep, ManageError> {
        match self.ask(Duration::ZERO).await? {
            Asked::Granted(lease) => self.sweep_with(lease, None).await,
            Asked::Held(_) | Asked::NotDue(_) => Ok(ExpirySweep::default()),
        }
    }

    /// Looks at all keys, if no instance has done so for as long as the interval. Returns after what time
    /// to try again.
    pub(super) async fn take_turn(&self, stop: &Stop) -> Result<Duration, ManageError> {
        match self.ask(self.every()).await? {
            Asked::Granted(lease) => {
                let sweep = self.sweep_with(lease, Some(stop)).await?;
                // Where another has taken over, it may come to nothing there too.
                Ok(if sweep.is_complete {
                    self.every()
                } else {
                    TERM
                })
            }
            Asked::Held(left) | Asked::NotDue(left) => Ok(left),
        }
    }

    pub(super) fn every(&self) -> Duration {
        self.notifier.as_ref().map_or(EVERY, |own| own.every)
    }

    pub(super) fn is_manager_gone(&self) -> bool {
        self.manager.upgrade().is_none()
    }

    fn settings(&self) -> Result<&dyn Settings, StoreError> {
        let absent = || StoreError::new(StoreErrorKind::Unavailable, "it keeps no settings");
        self.store.abilities().settings.ok_or_else(absent)
    }

    async fn ask(&self, every: Duration) -> Result<Asked<'_>, ManageError> {
        Lease::ask(self.settings()?, &*self.clock, every).await
    }

    async fn sweep_with(
        &self,
        lease: Lease<'_>,
        stop: Option<&Stop>,
    ) -> Result<ExpirySweep, ManageError> {
        let began = self.clock.wall();
        let mut pass = Pass {
            sweeper: self,
            settings: self.settings()?,
            lease,
            stop,
            sweep: ExpirySweep::default(),
        };
        let outcome = pass.over_all_keys().await;
        let Pass {
            lease, mut sweep, ..
        } = pass;
        sweep.is_complete = outcome.is_ok();
        // Where it fails, others wait until the lease lapses.
        let _ = lease.release(sweep.is_complete.then_some(began)).await;
        match outcome {
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::GivenUp) | Ok(()) => Ok(sweep),
        }
    }
}

/// Why a sweep ends before it is over.
enum Halt {
    Failed(ManageError),
    /// The lease is another's now, or nobody needs the sweep any more.
    GivenUp,
}

impl<E: Into<ManageError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Why the hook did not take a notice.
#[derive(Debug, thiserror::Error)]
enum HookFailure {
    #[error("the hook of the expiry notifier failed")]
    Failed(#[source] HookError),
    #[error("the hook of the expiry notifier panicked")]
    Panicked,
    #[error("the hook of the expiry notifier took too long")]
    TooSlow,
}

/// One sweep that is under way.
struct Pass<'a> {
    sweeper: &'a Sweeper,
    settings: &'a dyn Settings,
    lease: Lease<'a>,
    stop: Option<&'a Stop>,
    sweep: ExpirySweep,
}

impl Pass<'_> {
    const PAGE: usize = 256;

    async fn over_all_keys(&mut self) -> Result<(), Halt> {
        let mut after = None;
        loop {
            let page = Page {
                owner: None,
                after,
                limit: Self::PAGE,
            };
            let listed = self.sweeper.store.list(&page).await?;
            let (full, last) = (listed.is_full(Self::PAGE), listed.last_id());
            for unreadable in listed.unreadable {
                self.skip(&unreadable.id, &unreadable.error.into());
            }
            for record in listed.records {
                let id = record.id;
                match self.look_at(record).await {
                    Err(Halt::Failed(error)) if is_of_one_key(&error) => {
                        self.skip(id.as_str(), &error);
                    }
                    outcome => outcome?,
                }
            }
            if !full {
                return Ok(());
            }
            after = Some(listed_past(after, last)?);
        }
    }

    async fn look_at(&mut self, listed: KeyRecord) -> Result<(), Halt> {
        if self.is_to_end() || !self.lease.keep().await? {
            return Err(Halt::GivenUp);
        }
        let now = self.now();
        if KeyStatus::of(&listed, now) != KeyStatus::Active {
            return Ok(());
        }
        self.sweep.keys += 1;
        let secret = &listed.secrets.current;
        let record = match self.sweeper.policy.demanded_end(secret, now) {
            Some(_) => self.demand_rotation(&listed.id).await?,
            None => listed,
        };
        let Some(notifier) = &self.sweeper.notifier else {
            return Ok(());
        };
        let coming = Due::of(&record, &notifier.thresholds, now);
        if coming.is_empty() {
            return Ok(());
        }
        let name = Told::name(&record.id);
        let mut kept = self.settings.read(&name).await?;
        for due in coming {
            let told = Told::decode(kept.as_deref());
            if told.has(&due) || !self.tell(notifier, &record.id, due).await? {
                continue;
            }
            let note = told.and(&due).encode().map_err(unnoted)?;
            let noted = self.settings.compare_and_set(&name, kept.as_deref(), &note);
            match noted.await {
                // Somebody took over while the hook was called, as when this process was frozen.
                Err(error) if error.kind() == StoreErrorKind::Stale => return Err(Halt::GivenUp),
                noted => noted?,
            }
            kept = Some(note);
        }
        Ok(())
    }

    async fn demand_rotation(&mut self, id: &KeyId) -> Result<KeyRecord, Halt> {
        let manager = self.sweeper.manager.upgrade().ok_or(Halt::GivenUp)?;
        let updated = manager.demand_rotation(id).await?;
        self.sweep.rotations_demanded += usize::from(updated.changed);
        Ok(updated.record)
    }

    /// Calls the hook, if it is still so; whether the hook took it.
    async fn tell(
        &mut self,
        notifier: &ExpiryNotifier,
        id: &KeyId,
        due: Due,
    ) -> Result<bool, Halt> {
        // The page may have been read long ago, as the hook takes its time.
        let Some(record) = get_checked(&*self.sweeper.store, id).await? else {
            return Ok(false);
        };
        let now = self.now();
        if KeyStatus::of(&record, now) != KeyStatus::Active
            || !Due::of(&record, &notifier.thresholds, now).contains(&due)
        {
            return Ok(false);
        }
        let key = KeyInfo::new(&record, now);
        let notice = ExpiryNotice {
            activity: self.activity_of(&key).await?,
            key,
            ends: due.ends,
            ends_at: due.at,
            threshold: due.threshold,
        };
        // The last before the call, so that nobody takes over for as long as it may take.
        if self.is_to_end() || !self.lease.renew().await? {
            return Err(Halt::GivenUp);
        }
        let failure = match within(notifier.time_limit, (notifier.hook)(notice)).await {
            Ok(Ok(())) => {
                self.sweep.told += 1;
                return Ok(true);
            }
            Ok(Err(error)) => HookFailure::Failed(error),
            Err(Lost::Panicked) => HookFailure::Panicked,
            Err(Lost::TooSlow) => HookFailure::TooSlow,
        };
        telemetry::expiry_trouble(
            "a notice of an expiry was not told",
            Some(id.as_str()),
            &failure,
        );
        self.sweep.failed += 1;
        Ok(false)
    }

    /// How a key is used, if that can be said: whoever has to be told is told without it too.
    async fn activity_of(&self, key: &KeyInfo) -> Result<Option<KeyActivity>, Halt> {
        let manager = self.sweeper.manager.upgrade().ok_or(Halt::GivenUp)?;
        match manager.activities_of(vec![key.clone()]).await {
            Ok(activities) => Ok(activities.into_iter().next()),
            Err(ManageError::NoUsage) => Ok(None),
            Err(error) if is_of_one_key(&error) => {
                let what = "a notice of an expiry goes without usage";
                telemetry::expiry_trouble(what, Some(key.key_id.as_str()), &error);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn skip(&mut self, id: &str, error: &ManageError) {
        telemetry::expiry_trouble("a key was not looked at for its expiry", Some(id), error);
        self.sweep.skipped += 1;
    }

    fn is_to_end(&self) -> bool {
        self.stop.is_some_and(Stop::is_raised)
    }

    fn now(&self) -> Timestamp {
        self.sweeper.clock.wall()
    }
}

/// Whether others can be looked at all the same.
fn is_of_one_key(error: &ManageError) -> bool {
    use StoreErrorKind::{OutcomeUnknown, Unavailable};
    match error {
        ManageError::Store(error) => !matches!(error.kind(), Unavailable | OutcomeUnknown),
        _ => true,
    }
}

fn unnoted(error: serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, error)
}
