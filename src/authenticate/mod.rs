//! Deciding requests: is this key one of ours, and may it do this, now? See [`Authenticator`].

mod attempt;
mod cache;
mod decide;
mod entry;
mod flight;
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod leak;
mod lookup;
mod outage;
mod prove;
mod refused;
mod standing;
mod turnstile;
mod uncached;
mod within;

pub use attempt::{Attempt, Verified};
pub(crate) use flight::Flights;
#[cfg(feature = "github")]
pub(crate) use flight::Waiting;
pub(crate) use within::{Lost, caught, within};

use std::fmt;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::changes::{Changes, FRESH_FOR, RECENT, Stamp};
use crate::clock::{Clock, Now};
use crate::environment::{Environments, Presented};
use crate::gate::Gate;
use crate::key::KeyId;
use crate::leak::Scanner;
use crate::limit::{Failures, LimitState};
use crate::mac::Peppers;
use crate::principal::{Identity, Principal};
use crate::refusal::{Error, Refusal, Rejection};
use crate::renewal::Renewals;
use crate::store::{KeyStore, StoreErrorKind};
use crate::usage::{Event, Needs};
use cache::Cache;
use decide::bill;
use entry::Entry;
use lookup::Lookup;
use outage::Outage;
use refused::Refused;
use turnstile::{Lane, Turnstile};

/// A caller that is let in, with how its limits stand where callers are told; or why it is not.
type Decision = Result<(Principal, Vec<LimitState>), Refused>;

/// How much an authenticator keeps and lets wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) known: usize,
    pub(crate) unknown: usize,
    /// With the store at once.
    pub(crate) reads: usize,
    /// With the store, or waiting for their turn.
    pub(crate) lookups: usize,
}

/// Verifies keys. Cloning it is cheap, and clones share their cache.
///
/// 1. The text is parsed; what is too long, malformed or mistyped never reaches the store.
/// 2. Its prefix must be one that is accepted. One that was declared to belong elsewhere is named.
/// 3. The record comes from the cache, or from the store: one read for all who wait for it.
/// 4. The MAC proves the secret. Whatever else is wrong so far is answered alike.
/// 5. Only then: disabled, revoked, expired; the address; [exposed on its way](crate::OnExposure), where
///    that is refused; the rate limit; the route's rule.
///
/// A cached record is used for less than a second from the start of its read, or, where the store
/// has a [change feed](crate::store::ChangeFeed), for as long as that has proved within the last
/// second that nothing was changed, a minute at most; and not at all after a change in this process.
/// So a revocation anywhere is honoured within a second, and an
/// [outage grace](crate::Builder::outage_grace) where one is set. A store that fails or is slow
/// refuses with our error, and is neither an "accepted" nor a "not valid". A refusal is believed for a
/// tenth of a second: then the store is asked again.
///
/// ```
/// # use keygate::*;
/// # async fn run(authenticator: Authenticator, text: &str) {
/// let rule = Rule::all(["orders:read"]).expect("concrete scopes");
/// match authenticator.authenticate(Attempt::new(text).requiring(&rule)).await {
///     Ok(principal) => println!("{} may read orders", principal.owner()),
///     Err(Refusal::Rejected(rejection)) => println!("refused: {rejection}"),
///     Err(Refusal::Failed(error)) => println!("ask again later: {error}"),
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Authenticator {
    shared: Arc<Shared>,
}

struct Shared {
    gate: Arc<Gate>,
    environments: Environments,
    scanner: Scanner,
    peppers: Arc<Peppers>,
    renewals: Arc<Renewals>,
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    changes: Arc<Changes>,
    known: Cache<Entry>,
    unknown: Cache<Stamp>,
    /// Lookups that wait for their turn, for each of those who take turns.
    lookups: Arc<Flights<(KeyId, Lane), Result<Lookup, Refusal>>>,
    /// Those whose turn has come.
    reads: Arc<Flights<KeyId, Result<Lookup, Error>>>,
    turnstile: Arc<Turnstile>,
    outage: Outage,
    /// Who presented what is no key, if that is counted.
    failures: Option<Failures>,
}

impl Authenticator {
    #[expect(clippy::too_many_arguments, reason = "only the builder calls it")]
    pub(crate) fn new(
        gate: Arc<Gate>,
        environments: Environments,
        peppers: Arc<Peppers>,
        renewals: Arc<Renewals>,
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        changes: Arc<Changes>,
        bounds: Bounds,
        failures: Option<Failures>,
    ) -> Self {
        let shared = Arc::new(Shared {
            gate,
            scanner: environments.scanner(),
            environments,
            peppers,
            renewals,
            store,
            clock,
            changes,
            known: Cache::new(bounds.known),
            unknown: Cache::new(bounds.unknown),
            lookups: Flights::new(),
            reads: Flights::new(),
            turnstile: Turnstile::new(bounds.reads, bounds.lookups),
            outage: Outage::default(),
            failures,
        });
        let standing: Weak<Shared> = Arc::downgrade(&shared);
        shared.gate.standing.set(standing);
        Self { shared }
    }

    /// Whether `principal` was verified by this authenticator or a clone of it.
    pub fn vouches_for(&self, principal: &Principal) -> bool {
        Arc::ptr_eq(principal.gate(), &self.shared.gate)
    }

    /// Whether a well-formed key of a declared prefix stands in `text`, or one of an accepted
    /// [foreign format](crate::ForeignFormat::prefix) with a prefix; whether it opens or not.
    pub fn recognises(&self, text: &str) -> bool {
        let foreign = self.shared.environments.foreign();
        self.shared.scanner.finds_in(text) || foreign.find_in(text).is_some()
    }

    pub(crate) fn scanner(&self) -> &Scanner {
        &self.shared.scanner
    }

    /// The id that `text` claims, if it can be a key.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn claimed_id(&self, text: &str) -> Option<KeyId> {
        let key = self.shared.environments.read(text).ok()?;
        Some(*key.id())
    }

    /// Who presents this key, if it opens.
    ///
    /// # Errors
    /// [`Refusal::Rejected`] by the caller's fault; [`Refusal::Failed`] when it cannot be decided.
    pub async fn authenticate(&self, attempt: Attempt<'_>) -> Result<Principal, Refusal> {
        self.check_quota(attempt)?;
        match self.decide_cached(attempt, |caller, limits| caller.to_told(limits)) {
            Some(decision) => decision,
            None => {
                let (caller, limits) = self.authenticate_uncached(attempt).await?;
                Ok(caller.with_limits(limits))
            }
        }
    }

    /// The decision, if it can be made without asking the store; `accepted` then sees the caller.
    ///
    /// This allocates nothing for a caller that is let in, and never waits. After `None`,
    /// [`authenticate`](Self::authenticate) decides. It also does where a
    /// [shared limiter](crate::Builder::shared_limiter) has to be asked.
    pub fn authenticate_cached<R>(
        &self,
        attempt: Attempt<'_>,
        accepted: impl FnOnce(Verified<'_>) -> R,
    ) -> Option<Result<R, Refusal>> {
        match self.check_quota(attempt) {
            Ok(()) => self.decide_cached(attempt, |caller, _| accepted(caller)),
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// Refuses what no guard has checked at the start: a quota that cannot be used.
    fn check_quota(&self, attempt: Attempt<'_>) -> Result<(), Refusal> {
        let shared = &*self.shared;
        if let Some((quota, _)) = attempt.charge.quota
            && let Some(problem) = shared.gate.flaw_of(quota)
        {
            let name = quota.name();
            let flawed = Refusal::from(Error::QuotaFlawed { name, problem });
            return Err(shared.refuse(flawed.into(), attempt));
        }
        Ok(())
    }

    /// As [`authenticate_cached`](Self::authenticate_cached); `accepted` also sees how the limits stand,
    /// where callers are told.
    pub(crate) fn decide_cached<R>(
        &self,
        attempt: Attempt<'_>,
        accepted: impl FnOnce(Verified<'_>, Vec<LimitState>) -> R,
    ) -> Option<Result<R, Refusal>> {
        let shared = &*self.shared;
        let presented = match shared.admit(attempt.text) {
            Ok(presented) => presented,
            Err(rejection) => return Some(Err(shared.refuse(rejection.into(), attempt))),
        };
        let id = presented.key.id();
        let now = Now::of(&*shared.clock);
        let fresh = |stamp: &Stamp| shared.changes.is_fresh(id, stamp, now);
        let known = shared.known.read(id, |entry| {
            if !fresh(&entry.stamp) {
                return None;
            }
            let decision = shared.decide(&presented, Some(entry), attempt, now);
            // What does not stand is to be decided anew.
            let stands = |refused: &Refused| shared.stands(&refused.refusal, &entry.stamp, now);
            if decision.as_ref().is_err_and(|refused| !stands(refused)) {
                return None;
            }
            let limits = match bill(&decision, Some(entry), attempt) {
                None => Vec::new(),
                Some((entry, bill)) => match shared.gate.limiter.take_here(bill, now)? {
                    Ok(limits) => limits,
                    Err(refusal) => {
                        let refused = Refused::of(entry, refusal);
                        return stands(&refused).then(|| Err(shared.refuse(refused, attempt)));
                    }
                },
            };
            match decision {
                Ok(caller) => {
                    shared.accept(&caller, attempt, now);
                    Some(Ok(accepted(caller, limits)))
                }
                Err(refused) => Some(Err(shared.refuse(refused, attempt))),
            }
        });
        if let Some(decision) = known.flatten() {
            return Some(decision);
        }
        let recent = |stamp: &Stamp| fresh(stamp) && now.is_within(RECENT, stamp.read_at);
        shared.unknown.read(id, recent).filter(|recent| *recent)?;
        let ring = shared.peppers.current();
        ring.find_nothing(&presented.key, now.wall);
        Some(Err(shared.refuse(Rejection::KeyInvalid.into(), attempt)))
    }

    /// The decision for what [`decide_cached`](Self::decide_cached) could not decide, and how the limits
    /// stand, where callers are told.
    pub(crate) async fn authenticate_uncached(
        &self,
        attempt: Attempt<'_>,
    ) -> Result<(Principal, Vec<LimitState>), Refusal> {
        let shared = &self.shared;
        let decided = shared.decide_uncached(attempt).await;
        decided.map_err(|refused| shared.refuse(refused, attempt))
    }

    /// Tells of a request that was refused without a look at its key. `caller`: an outer guard has let it
    /// in.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn tell_refused(
        &self,
        refusal: &Refusal,
        caller: Option<&Principal>,
        address: Option<IpAddr>,
    ) {
        let proved = caller.map(Principal::identity);
        let events = &self.shared.gate.events;
        events.refused(refusal, proved, address);
    }
}

fn timeout(key_id: KeyId) -> Error {
    Error::Timeout {
        key_id,
        within: FRESH_FOR,
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("environments", &self.shared.environments)
            .field("peppers", &self.shared.peppers)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Takes the text apart and looks at its prefix. An undeclared prefix costs the caller as much
    /// time as an unknown key.
    fn admit<'a>(&'a self, text: &'a str) -> Result<Presented<'a>, Rejection> {
        let key = self.environments.read(text);
        let key = key.map_err(|_| Rejection::KeyInvalid)?;
        match self.environments.admit(&key) {
            Ok(environment) => Ok(Presented { key, environment }),
            Err(rejection) => {
                if rejection == Rejection::KeyInvalid {
                    let ring = self.peppers.current();
                    ring.find_nothing(&key, self.clock.wall());
                }
                Err(rejection)
            }
        }
    }

    /// Counts a request that was accepted, and tells of it.
    fn accept(&self, caller: &Verified<'_>, attempt: Attempt<'_>, now: Now) {
        let events = &self.gate.events;
        self.tell_exposures(caller.identity, attempt);
        events.accepted(caller.identity, attempt.address, now.wall);
        if let Some(meter) = &self.gate.meter {
            meter.count(&Event {
                identity: caller.identity,
                secret: caller.secret.created_at,
                address: attempt.address,
                at: now.wall,
                needs: attempt.rule.map_or(Needs::Nothing, Needs::Rule),
                is_request: true,
            });
        }
    }

    /// What a request is told that is refused: that its address failed too often, perhaps. Operators are
    /// told too.
    fn refuse(&self, refused: Refused, attempt: Attempt<'_>) -> Refusal {
        let Refused {
            mut refusal,
            proved,
        } = refused;
        if let Refusal::Rejected(rejection) = &refusal
            && let Some(retry_after) = self.count_failure(rejection, attempt)
        {
            refusal = Rejection::TooManyFailures { retry_after }.into();
        }
        let events = &self.gate.events;
        if let Some(proved) = &proved {
            self.tell_exposures(proved, attempt);
        }
        events.refused(&refusal, proved.as_deref(), attempt.address);
        refusal
    }

    /// Tells of the ways on which a key was exposed whose secret proved right, whatever is decided.
    fn tell_exposures(&self, proved: &Identity, attempt: Attempt<'_>) {
        for exposure in self.gate.exposure.told(attempt.exposures) {
            let events = &self.gate.events;
            events.exposed(exposure, proved, attempt.address);
        }
    }

    /// Counts what is no key by the address that it came from. After what time another one would be
    /// allowed, if this one was not.
    fn count_failure(&self, rejection: &Rejection, attempt: Attempt<'_>) -> Option<Duration> {
        match (rejection, &self.failures, attempt.address) {
            (Rejection::KeyInvalid, Some(failures), Some(address)) => {
                failures.count(address, Now::of(&*self.clock))
            }
            _ => None,
        }
    }
}
