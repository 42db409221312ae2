use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::due::{Due, Told};
use super::lease::{Asked, Lease, TERM};
use super::{EVERY, ExpiryNotice, ExpiryNotifier, HookError, Passed};
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
    /// How many keys could not be looked at, such as those whose record is damaged, or whose secret is
    /// given no end as the clock is behind. The log names them.
    pub skipped: usize,
    /// `false`: another instance is at it, or has taken over, or the gate is being shut down, or the
    /// hook takes too long again and again, so that not all was told.
    pub is_complete: bool,
}

/// Looks at all keys: gives an end to secrets that are too old, and tells of what ends soon.
pub(crate) struct Sweeper {
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    manager: WeakManager,
    notifier: Option<ExpiryNotifier>,
    /// The key at which the last sweep gave up to call the hook. The next begins to tell behind it.
    stuck_at: Mutex<Option<KeyId>>,
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
            stuck_at: Mutex::default(),
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
            passed: Vec::new(),
            lease,
            stop,
            tell_behind: self.replace_stuck_at(None),
            slow_in_a_row: 0,
            sweep: ExpirySweep::default(),
        };
        let outcome = pass.over_all_keys().await;
        let told_all = pass.tell_behind.is_none() && !pass.is_stuck();
        let Pass {
            lease, mut sweep, ..
        } = pass;
        sweep.is_complete = outcome.is_ok() && told_all;
        // Where it fails, others wait until the lease lapses.
        let _ = lease.release(sweep.is_complete.then_some(began)).await;
        match outcome {
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::GivenUp) | Ok(()) => Ok(sweep),
        }
    }

    fn replace_stuck_at(&self, id: Option<KeyId>) -> Option<KeyId> {
        let mut stuck_at = self.stuck_at.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *stuck_at, id)
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
    /// A clock that does not know of it gives no end.
    passed: Vec<Passed>,
    /// Of keys up to this one nothing is told now.
    tell_behind: Option<KeyId>,
    slow_in_a_row: usize,
    sweep: ExpirySweep,
}

impl Pass<'_> {
    const PAGE: usize = 256;

    /// After so many calls in a row that took too long, the hook is taken to hang for everybody.
    const SLOW: usize = 3;

    async fn over_all_keys(&mut self) -> Result<(), Halt> {
        if self.sweeper.policy.max_secret_age.is_some() {
            let swept_at = self.lease.swept_at();
            self.passed = Passed::by_settings(&*self.sweeper.store, swept_at).await?;
        }
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
        let (id, secret) = (listed.id, &listed.secrets.current);
        let record = match self.sweeper.policy.demanded_end(secret, now) {
            Some(_) => self.demand_rotation(listed).await?,
            None => listed,
        };
        let Some(notifier) = self.sweeper.notifier.as_ref().filter(|_| self.tells(&id)) else {
            return Ok(());
        };
        let coming = Due::of(&record, &notifier.thresholds, now);
        if coming.is_empty() {
            return Ok(());
        }
        let name = Told::name(&id);
        let mut kept = self.settings.read(&name).await?;
        for due in coming {
            let told = Told::decode(kept.as_deref());
            if told.has(&due) || self.is_stuck() {
                continue;
            }
            let Some(due) = self.tell(notifier, &id, due).await? else {
                continue;
            };
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

    /// The key as it is then. Where this clock is behind, its end is no reason to tell nothing of it.
    async fn demand_rotation(&mut self, listed: KeyRecord) -> Result<KeyRecord, Halt> {
        let manager = self.sweeper.manager.upgrade().ok_or(Halt::GivenUp)?;
        match manager.demand_rotation(&listed.id, &self.passed).await? {
            Ok(updated) => {
                self.sweep.rotations_demanded += usize::from(updated.changed);
                Ok(updated.record)
            }
            Err(behind) => {
                let (what, id) = ("a secret was given no end", listed.id.as_str());
                telemetry::expiry_trouble(what, Some(id), &behind);
                self.sweep.skipped += 1;
                Ok(listed)
            }
        }
    }

    fn tells(&self, id: &KeyId) -> bool {
        !self.is_stuck() && self.tell_behind.is_none_or(|stuck_at| *id > stuck_at)
    }

    fn is_stuck(&self) -> bool {
        self.slow_in_a_row >= Self::SLOW
    }

    /// Calls the hook, if the end is still the same; of what the hook took notice.
    async fn tell(
        &mut self,
        notifier: &ExpiryNotifier,
        id: &KeyId,
        due: Due,
    ) -> Result<Option<Due>, Halt> {
        // The page may have been read long ago, as the hook takes its time.
        let Some(record) = get_checked(&*self.sweeper.store, id).await? else {
            return Ok(None);
        };
        let now = self.now();
        let coming = Due::of(&record, &notifier.thresholds, now);
        // A smaller threshold may have been passed meanwhile.
        let same = |now: &&Due| (now.ends, now.at) == (due.ends, due.at);
        let active = KeyStatus::of(&record, now) == KeyStatus::Active;
        let Some(&due) = coming.iter().find(same).filter(|_| active) else {
            return Ok(None);
        };
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
        let mut call = (notifier.hook)(notice);
        let outcome = within(notifier.time_limit, &mut call).await;
        // Whatever comes of that, the call has had its outcome.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
        self.slow_in_a_row = match outcome {
            Err(Lost::TooSlow) => self.slow_in_a_row + 1,
            _ => 0,
        };
        if self.is_stuck() {
            self.sweeper.replace_stuck_at(Some(*id));
        }
        let failure = match outcome {
            Ok(Ok(())) => {
                self.sweep.told += 1;
                return Ok(Some(due));
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
        Ok(None)
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
