mod error;
mod settings;

pub use error::BuildError;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::answer::Answers;
use crate::audit::{AuditSender, Events, Journal, Keeper};
use crate::authenticate::{Authenticator, Bounds};
use crate::background::{Background, Work};
use crate::bound::{BoundError, check_bound};
use crate::changes::Changes;
use crate::clock::{Clock, SystemClock};
use crate::credentials::Credentials;
use crate::environment::Environments;
use crate::expiry::{ExpiryNotifier, Sweeper};
use crate::exposure::ExposurePolicy;
use crate::foreign::ForeignFormat;
use crate::gate::{EndNotice, Gate, StandingSource, default_realm, is_page, is_realm};
use crate::key::Prefix;
use crate::keygate::Keygate;
use crate::limit::{Failures, Limiter, OnOutage, SharedLimiter};
use crate::mac::Peppers;
use crate::manage::{KeyManager, OnLeak, Policy, check_formats};
use crate::peppers::{Demand, PepperSource, Reloader, Turn, check_peppers, is_in_use};
use crate::record::RateLimit;
use crate::renewal::{Renewals, Renewer};
use crate::scope::Catalogue;
use crate::store::KeyStore;
use crate::telemetry;
use crate::usage::{Ledger, Limits, Meter, since};
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::{address::ClientAddress, guard::Origins, url_leaks::Leaks};

/// What a [`Keygate`] is made of. Whatever is wrong with it is said by [`build`](Self::build).
#[must_use]
pub struct Builder {
    prefix: String,
    accepted: Vec<String>,
    declined: Vec<String>,
    foreign: Vec<ForeignFormat>,
    peppers: Option<PepperSource>,
    pepper_reload_interval: Duration,
    store: Option<Arc<dyn KeyStore>>,
    only_in_use: bool,
    is_tool: bool,
    clock: Arc<dyn Clock>,
    policy: Policy,
    bounds: Bounds,
    outage_grace: Duration,
    records_usage: bool,
    usage: Limits,
    realm: Option<String>,
    page: Option<String>,
    credentials: Credentials,
    catalogue: Option<Catalogue>,
    end_notice: Option<Duration>,
    notifier: Option<ExpiryNotifier>,
    failed_attempts: Option<RateLimit>,
    limiter: Option<(Arc<dyn SharedLimiter>, OnOutage)>,
    tells_limits: bool,
    exposure: ExposurePolicy,
    audits_accepted: bool,
    audit_retention: Duration,
    audit_channel: Option<AuditSender>,
    on_leak: OnLeak,
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    client_address: Option<ClientAddress>,
}

impl Builder {
    pub(crate) fn new(prefix: String) -> Self {
        Self {
            prefix,
            accepted: Vec::new(),
            declined: Vec::new(),
            foreign: Vec::new(),
            peppers: None,
            pepper_reload_interval: Duration::from_secs(60),
            store: None,
            only_in_use: false,
            is_tool: false,
            clock: Arc::new(SystemClock),
            policy: Policy::new(),
            bounds: Bounds {
                known: 100_000,
                unknown: 10_000,
                reads: 64,
                lookups: 4_096,
            },
            outage_grace: Duration::ZERO,
            records_usage: true,
            usage: Limits {
                interval: Duration::from_secs(5),
                rows: 200_000,
            },
            realm: None,
            page: None,
            credentials: Credentials::new(),
            catalogue: None,
            end_notice: None,
            notifier: None,
            failed_attempts: Some(RateLimit::per_minute(100)),
            limiter: None,
            tells_limits: false,
            exposure: ExposurePolicy::default(),
            audits_accepted: false,
            audit_retention: Duration::from_secs(90 * 24 * 60 * 60),
            audit_channel: None,
            on_leak: OnLeak::Tell,
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            client_address: None,
        }
    }

    /// Checks everything, the peppers and the bound of revocations against the store too.
    ///
    /// With the feature `tokio`, and on its runtime, this also spawns the background work, but for
    /// [tools](Self::as_tool); otherwise, poll [`Keygate::run`].
    ///
    /// # Errors
    /// Says what is wrong and what to do about it. A store that does not answer is an error: a
    /// service that starts can decide.
    pub async fn build(self) -> Result<Keygate, BuildError> {
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        let store = self.store.clone();
        let keys = self.assemble(Demand::All).await?;
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        if let Some(store) = store {
            let realm = keys.answers.realm();
            keys.origins.tell_of_bound_keys(&*store, realm).await;
        }
        Ok(keys)
    }

    async fn assemble(mut self, demand: Demand) -> Result<Keygate, BuildError> {
        let foreign = std::mem::take(&mut self.foreign);
        let environments = self.environments()?.with_foreign(foreign)?;
        self.credentials.check()?;
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        if let Some(source) = &self.client_address {
            source.check()?;
        }
        let realm = self
            .realm
            .unwrap_or_else(|| default_realm(environments.primary()));
        if !is_realm(&realm) {
            return Err(BuildError::Realm(realm));
        }
        if let Some(page) = self.page.as_ref().filter(|page| !is_page(page)) {
            return Err(BuildError::CallersPageUrl(page.clone()));
        }
        if let Some(contradiction) = self.policy.contradiction() {
            return Err(BuildError::Policy(contradiction));
        }
        let notifier = self.notifier.as_ref();
        if let Some(contradiction) = notifier.and_then(ExpiryNotifier::contradiction) {
            return Err(BuildError::ExpiryNotifier(contradiction));
        }
        if self.bounds.lookups < 2 {
            return Err(BuildError::TooFewLookups);
        }
        if self.bounds.reads == 0 {
            return Err(BuildError::NoStoreReads);
        }
        if self.usage.interval.is_zero() {
            return Err(BuildError::NoUsageInterval);
        }
        if let Some(Err(error)) = self.failed_attempts.map(|limit| limit.check()) {
            return Err(BuildError::FailedAttempts(error));
        }
        if self.pepper_reload_interval.is_zero() {
            return Err(BuildError::NoPepperReloadInterval);
        }
        if self.audit_retention.is_zero() {
            return Err(BuildError::NoAuditRetention);
        }
        let store = self.store.ok_or(BuildError::NoStore)?;
        let peppers = self.peppers.ok_or(BuildError::NoPepper)?;
        if self.only_in_use && !is_in_use(&*store).await.map_err(BuildError::Store)? {
            return Err(BuildError::StoreNotInUse);
        }
        let (peppers, provider) = peppers.open().await.map_err(BuildError::Peppers)?;
        let demand = match demand {
            Demand::Right if self.only_in_use => Demand::Familiar,
            demand => demand,
        };
        check_peppers(&*store, &peppers, demand).await?;
        check_formats(&*store, &environments, demand).await?;
        let peppers = Arc::new(Peppers::new(peppers)?);
        let grace = match self.is_tool {
            true => Duration::ZERO,
            false => self.outage_grace,
        };
        let changes = Arc::new(Changes::new(Arc::clone(&self.clock), grace));
        if !self.is_tool {
            promise(&*store, changes.bound()).await?;
        }
        let said = match self.is_tool {
            true => Ok(()),
            false => since::say(&*store, self.records_usage, self.clock.wall()).await,
        };
        if let Err(error) = said {
            // As on a standby. The background work says it again.
            telemetry::usage_is_not_vouched_for(&realm, &error);
        }
        let keeps_usage = store.abilities().usage.is_some();
        let records_usage = self.records_usage && keeps_usage && !self.is_tool;
        let ledger = match records_usage {
            true => Some(Arc::new(Ledger::new(
                self.usage,
                Arc::clone(&self.clock),
                &realm,
            )?)),
            false => None,
        };
        let meter = ledger
            .as_ref()
            .map(|ledger| Meter::new(ledger, Arc::clone(&self.clock)));
        let limiter = Limiter::new(
            Arc::clone(&self.clock),
            &realm,
            self.limiter,
            self.tells_limits,
        );
        let since = self.clock.monotonic();
        let failures = self
            .failed_attempts
            .map(|limit| Failures::new(limit, since));
        let has_audit_log = store.abilities().audit_log.is_some();
        let journal = has_audit_log.then(|| Arc::new(Journal::new(&realm)));
        let keeper = journal.clone().map(|journal| Keeper {
            journal,
            store: Arc::clone(&store),
            clock: Arc::clone(&self.clock),
            retention: self.audit_retention,
        });
        let events = Arc::new(Events::new(
            Arc::clone(&self.clock),
            &realm,
            journal,
            self.audit_channel,
            self.audits_accepted,
        ));
        let manager = KeyManager::new(
            environments.clone(),
            Arc::clone(&peppers),
            Arc::clone(&store),
            Arc::clone(&self.clock),
            Arc::clone(&changes),
            self.policy,
            self.catalogue,
            ledger.clone(),
            Arc::clone(&events),
            self.on_leak,
        );
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        let url_leaks = (self.on_leak != OnLeak::Tell).then(|| Leaks::new(&manager));
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        let leak_work = url_leaks
            .as_ref()
            .map(|leaks| leaks.work(Arc::clone(&self.clock)));
        let gate = Arc::new(Gate {
            realm,
            credentials: self.credentials,
            foreign: environments.foreign().clone(),
            page: self.page,
            catalogue: self.catalogue,
            end_notice: self.end_notice.map(|within| EndNotice {
                within,
                clock: Arc::clone(&self.clock),
            }),
            standing: StandingSource::default(),
            limiter,
            quotas: Default::default(),
            meter,
            exposure: self.exposure,
            events: Arc::clone(&events),
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            url_leaks,
        });
        let renewals = Arc::new(Renewals::default());
        let renewer = Renewer {
            renewals: Arc::clone(&renewals),
            store: Arc::clone(&store),
            clock: Arc::clone(&self.clock),
            peppers: Arc::clone(&peppers),
            changes: Arc::downgrade(&changes),
            events,
            realm: gate.realm.clone(),
        };
        let reloader = Reloader {
            provider,
            peppers: Arc::clone(&peppers),
            store: Arc::clone(&store),
            changes: Arc::downgrade(&changes),
            demand,
            interval: self.pepper_reload_interval,
            realm: gate.realm.clone(),
            turn: Turn::default(),
        };
        let (its_store, clock) = (Arc::clone(&store), Arc::clone(&self.clock));
        let sweeper = Sweeper::new(its_store, clock, &manager, self.notifier);
        if sweeper.is_some() && store.abilities().settings.is_none() {
            return Err(BuildError::ExpiryUnshared);
        }
        let background = Background::new(
            Arc::clone(&store),
            Arc::clone(&self.clock),
            &changes,
            &gate.realm,
            Work {
                sweeper,
                keeper,
                renewer,
                reloader,
                ledger,
                says_usage: !self.is_tool,
                usage_interval: self.usage.interval,
                #[cfg(any(feature = "tower", feature = "actix-web"))]
                leaks: leak_work,
            },
        );
        #[cfg(feature = "tokio")]
        if !self.is_tool {
            background.spawn(&changes);
        }
        Ok(Keygate {
            authenticator: Authenticator::new(
                Arc::clone(&gate),
                environments,
                peppers,
                renewals,
                store,
                self.clock,
                Arc::clone(&changes),
                self.bounds,
                failures,
            ),
            manager,
            answers: Answers::new(gate),
            changes,
            background,
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            origins: Arc::new(Origins::new(self.client_address)),
        })
    }

    /// Only the verifying half, for services that manage no keys.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub async fn build_authenticator(self) -> Result<Authenticator, BuildError> {
        Ok(self.assemble(Demand::All).await?.authenticator)
    }

    /// Only the managing half, for services that verify no keys. It is also built where a pepper
    /// or a foreign format is missing: it can [retire](KeyManager::retire_pepper)
    /// [them](KeyManager::retire_foreign_format).
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub async fn build_manager(self) -> Result<KeyManager, BuildError> {
        Ok(self.assemble(Demand::Right).await?.manager)
    }

    fn environments(&self) -> Result<Environments, BuildError> {
        let mut environments = Environments::new(self.prefix.parse()?);
        for text in &self.accepted {
            let prefix: Prefix = text.parse()?;
            if !environments.accept(prefix) {
                return Err(BuildError::PrefixTwice(text.clone()));
            }
        }
        for text in &self.declined {
            let prefix: Prefix = text.parse()?;
            if !environments.decline(prefix) {
                return Err(BuildError::PrefixTwice(text.clone()));
            }
        }
        Ok(environments)
    }
}

/// Holds this instance to what all of them promise of revocations.
async fn promise(store: &dyn KeyStore, own: Duration) -> Result<(), BuildError> {
    let checked = check_bound(store, own).await;
    checked.map_err(|error| match error {
        BoundError::Store(error) => BuildError::Store(error),
        BoundError::Untold => BuildError::GraceUntold,
        BoundError::Beyond { kept } => BuildError::BeyondRevocationBound { own, kept },
    })
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("prefix", &self.prefix)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
