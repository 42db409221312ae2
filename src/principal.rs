use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::clock::Timestamp;
use crate::gate::Gate;
use crate::key::{KeyId, Prefix};
use crate::limit::{Bill, Charge, LimitState, Told};
use crate::record::{KeyRecord, RateLimit};
use crate::refusal::{Error, Refusal, Rejection};
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::scope::{DeclaredScope, IntoRule, Requirement};
use crate::scope::{Rule, ScopeSet};
use crate::store::{StoreError, StoreErrorKind};
use crate::telemetry;
use crate::usage::{Event, Needs};

/// Who is calling. It is cheap to clone and holds nothing secret, not even a MAC.
///
/// Outside of tests only a [`Keygate`](crate::Keygate) makes one, so where there is a principal, a key
/// was verified.
#[derive(Clone)]
pub struct Principal {
    identity: Arc<Identity>,
    secret: Secret,
    address: Option<IpAddr>,
    /// How its limits stand, if there is anything to tell.
    told: Option<Told>,
}

/// Which secret of the key was presented.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secret {
    /// When it was made, which tells the secrets of a key apart.
    pub(crate) created_at: Timestamp,
    /// When it stops to open, or its key does.
    pub(crate) ends_at: Option<Timestamp>,
}

/// What all principals of one key share.
pub(crate) struct Identity {
    pub(crate) gate: Arc<Gate>,
    pub(crate) key_id: KeyId,
    pub(crate) environment: Prefix,
    pub(crate) name: Box<str>,
    pub(crate) owner: Box<str>,
    pub(crate) scopes: ScopeSet,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) is_canary: bool,
    /// Most keys have none.
    pub(crate) restrictions: Option<Box<Restrictions>>,
}

/// Where from and how often a key may be used. Without networks, from everywhere.
pub(crate) struct Restrictions {
    pub(crate) allowed_ips: Box<[IpNet]>,
    pub(crate) rate_limit: Option<RateLimit>,
}

impl Identity {
    pub(crate) fn new(gate: Arc<Gate>, environment: Prefix, record: KeyRecord) -> Self {
        Self {
            gate,
            environment,
            key_id: record.id,
            is_canary: record.is_canary(),
            name: record.name.into(),
            owner: record.owner.into(),
            scopes: record.scopes,
            metadata: record.metadata,
            expires_at: record.expires_at,
            restrictions: Restrictions::of(record.allowed_ips, record.rate_limit),
        }
    }
}

impl Identity {
    /// How often the key may be used, by its record.
    pub(crate) fn rate_limit(&self) -> Option<RateLimit> {
        self.restrictions.as_ref()?.rate_limit
    }
}

impl Restrictions {
    fn of(allowed_ips: Vec<IpNet>, rate_limit: Option<RateLimit>) -> Option<Box<Self>> {
        let any = !allowed_ips.is_empty() || rate_limit.is_some();
        any.then(|| {
            Box::new(Self {
                allowed_ips: allowed_ips.into(),
                rate_limit,
            })
        })
    }

    /// Whether the key works from `address`: with a list of networks, not from an address that is
    /// not known.
    pub(crate) fn allow(&self, address: Option<IpAddr>) -> bool {
        allows(&self.allowed_ips, address)
    }
}

/// Whether a key bound to `networks` works from `address`.
pub(crate) fn allows(networks: &[IpNet], address: Option<IpAddr>) -> bool {
    let listed = |address: IpAddr| {
        let address = address.to_canonical();
        networks.iter().any(|network| network.contains(&address))
    };
    networks.is_empty() || address.is_some_and(listed)
}

impl Principal {
    pub(crate) fn new(identity: Arc<Identity>, secret: Secret, address: Option<IpAddr>) -> Self {
        Self {
            identity,
            secret,
            address,
            told: None,
        }
    }

    /// The same, of whom this is to be told beside what is known already.
    pub(crate) fn with_limits(mut self, limits: Vec<LimitState>) -> Self {
        match &self.told {
            Some(told) => drop(told.add(&limits)),
            None => self.told = Told::of(limits),
        }
        self
    }

    /// How its limits stand, if there is anything to tell.
    pub(crate) fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn secret(&self) -> Secret {
        self.secret
    }

    /// The gate that has verified it.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.identity.gate
    }

    /// The key that was presented.
    pub fn key_id(&self) -> &KeyId {
        &self.identity.key_id
    }

    /// Whom the key acts for.
    pub fn owner(&self) -> &str {
        &self.identity.owner
    }

    /// The key's name for people; may be empty.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Which of the accepted prefixes the key has, such as `acme_live`.
    pub fn environment(&self) -> &Prefix {
        &self.identity.environment
    }

    /// What the key may do.
    pub fn scopes(&self) -> &ScopeSet {
        &self.identity.scopes
    }

    /// The host's own notes on the key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.identity.metadata
    }

    /// When the key ends by itself.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.identity.expires_at
    }

    /// When what was presented stops to open: the key's end, or the end of the secret, whichever comes
    /// first. A secret ends by itself after a rotation, as the older one, and where the policy sets a
    /// [maximum age](crate::Policy::max_secret_age).
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.secret.ends_at
    }

    /// Returns once the key, or the secret of it that was presented, opens no more: it was revoked,
    /// disabled or expired, or does not work from the caller's address any more. That is told within
    /// the time in which a request would be refused, an expiry within a second. For connections that
    /// stay open: a request is judged when it comes in.
    ///
    /// It says why, as a refusal. [`Refusal::Failed`] means that nobody could say for the time within
    /// which a revocation is honoured, as during an outage: then the connection is to be closed too,
    /// or whoever was revoked meanwhile would stay. Scopes that were taken from the key since do not
    /// end it.
    ///
    /// ```
    /// # use keygate::{Principal, Refusal};
    /// # async fn run(caller: Principal, events: impl Future<Output = ()>) {
    /// tokio::select! {
    ///     () = events => {}
    ///     why = caller.ended() => println!("closing: {why}"),
    /// }
    /// # }
    /// ```
    pub fn ended(&self) -> impl Future<Output = Refusal> + Send + 'static {
        let caller = self.clone();
        async move {
            match caller.gate().standing.get() {
                Some(Some(standing)) => standing.ended(caller).await,
                Some(None) => gate_is_gone(&caller).into(),
                None => std::future::pending().await,
            }
        }
    }

    /// Where the request came from, if a [source](crate::ClientAddress) of addresses is configured.
    pub fn client_address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether the key may do what `rule` asks for. One that [only reports](Rule::report_only) is always
    /// satisfied, and what the key lacks is told to operators.
    ///
    /// # Errors
    /// [`Rejection::ScopeInsufficient`], with what is missing. It is told as a refused request, by the
    /// metrics and the [audit log](crate::store::AuditLog).
    pub fn authorize(&self, rule: &Rule) -> Result<(), Rejection> {
        if let Err(missing) = rule.enforce(self.scopes()) {
            let rejection = Rejection::ScopeInsufficient(missing);
            self.tell_refused(&rejection.clone().into());
            return Err(rejection);
        }
        telemetry::report(rule, self);
        self.count(Needs::Rule(rule));
        Ok(())
    }

    /// Takes from the limits of the key, for a handler that knows only by then what the request costs.
    /// The guard before it has taken one of the key's own limit already.
    ///
    /// It tells how these limits stand, where that is [set](crate::Builder::tell_rate_limits); so does
    /// the response then, if the guard took from a limit as well.
    ///
    /// ```
    /// # use keygate::{Charge, Principal, Quota, RateLimit, Refusal};
    /// const ROWS: Quota = Quota::new("rows", RateLimit::per_hour(100_000));
    ///
    /// async fn export(caller: &Principal, rows: u32) -> Result<(), Refusal> {
    ///     caller.charge(Charge::of(0).and(ROWS, rows)).await?;
    ///     // ...
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Rejection::RateLimited`]: nothing was taken. [`Answers::refuse`](crate::answer::Answers::refuse)
    /// makes a 429 of it. [`Refusal::Failed`] for a quota that cannot be used, and where what counts for
    /// all instances is away and the policy is to [refuse](crate::OnOutage::Refuse).
    pub fn charge(
        &self,
        charge: impl Into<Charge>,
    ) -> impl Future<Output = Result<Vec<LimitState>, Refusal>> + Send + 'static {
        let (caller, charge) = (self.clone(), charge.into());
        async move {
            let Some(bill) = caller.bill(charge)? else {
                return Ok(Vec::new());
            };
            let taken = caller.gate().limiter.take(bill).await;
            let taken = taken.inspect_err(|refusal| caller.tell_refused(refusal));
            caller.tell(taken)
        }
    }

    /// What a charge takes. `None`: nothing.
    pub(crate) fn bill(&self, charge: Charge) -> Result<Option<Bill<'_>>, Error> {
        if let Some((quota, _)) = charge.quota
            && let Some(flaw) = self.gate().flaw_of(quota)
        {
            return Err(Error::QuotaFlawed {
                name: quota.name(),
                problem: flaw,
            });
        }
        let own = self.identity.rate_limit();
        Ok(Bill::of(self.key_id(), own, &charge))
    }

    /// Keeps what was taken to be told, and has a refusal tell all that is known.
    pub(crate) fn tell(
        &self,
        taken: Result<Vec<LimitState>, Refusal>,
    ) -> Result<Vec<LimitState>, Refusal> {
        let Some(told) = &self.told else { return taken };
        match taken {
            Err(Refusal::Rejected(Rejection::RateLimited {
                retry_after,
                limits,
            })) => Err(Rejection::RateLimited {
                retry_after,
                limits: told.add(&limits),
            }
            .into()),
            taken => taken.inspect(|limits| drop(told.add(limits))),
        }
    }

    /// Tells operators of a request that was let in, and refused after that.
    pub(crate) fn tell_refused(&self, refusal: &Refusal) {
        let events = &self.gate().events;
        events.refused(refusal, Some(&self.identity), self.address);
    }

    /// Counts what a request needs beyond what it was let in for.
    pub(crate) fn count(&self, needs: Needs<'_>) {
        if let Some(meter) = &self.gate().meter {
            meter.count(&Event {
                identity: &self.identity,
                secret: self.secret.created_at,
                address: self.address,
                at: meter.now(),
                needs,
                is_request: false,
            });
        }
    }

    /// Whether the key may do all that `R` asks for, of which the catalogue must know.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn authorize_for<R: Requirement>(&self) -> Result<(), Refusal> {
        if let Some(catalogue) = self.gate().catalogue {
            let unknown = |scope: &&DeclaredScope| !catalogue.declares(scope.name());
            if let Some(scope) = R::SCOPES.iter().find(unknown) {
                return Err(Error::Undeclared(scope.name()).into());
            }
        }
        let has = |scope: &DeclaredScope| self.scopes().covers(scope.name());
        if R::SCOPES.iter().all(has) {
            self.count(Needs::All(R::SCOPES));
            return Ok(());
        }
        Ok(self.authorize(&Rule::all(R::SCOPES).into_rule())?)
    }
}

/// Nobody can say any more whether the key opens.
fn gate_is_gone(caller: &Principal) -> Error {
    let cause = "the gate that verified the caller was dropped: keep it while connections are open";
    Error::Store {
        key_id: *caller.key_id(),
        source: StoreError::new(StoreErrorKind::Unavailable, cause),
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("key_id", self.key_id())
            .field("owner", &self.owner())
            .field("environment", self.environment())
            .field("scopes", self.scopes())
            .finish_non_exhaustive()
    }
}
