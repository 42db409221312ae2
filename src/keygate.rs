use std::fmt;
use std::sync::Arc;

use crate::answer::Answers;
use crate::authenticate::{Attempt, Authenticator};
use crate::background::Background;
use crate::builder::Builder;
use crate::changes::{ChangeFeedStatus, Changes};
use crate::expiry::ExpirySweep;
use crate::leak::Scanner;
use crate::manage::{BearerRevocation, BearerRevocationError, KeyManager, ManageError};
use crate::peppers::PeppersError;
use crate::record::check_reason;
use crate::scope::Catalogue;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::{
    guard::{Access, Demand, Guard, Origins},
    scope::{IntoRule, Rule},
};

/// Everything a service needs: it verifies keys, manages them, and guards routes.
///
/// Cloning it is cheap, and clones share everything.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use keygate::{Attempt, Keygate, MemoryStore, NewKey, Pepper};
///
/// let pepper = Pepper::from_base64(&Pepper::generate_base64()?)?;     // for real: Pepper::from_file
/// let keys = Keygate::builder("acme_live").pepper(pepper).store(MemoryStore::new()).build().await?;
/// let issued = keys.manager().issue(NewKey::for_owner("org_42").scopes(["orders:read"])).await?;
///
/// let attempt = Attempt::new(issued.key.expose());
/// let caller = keys.authenticator().authenticate(attempt).await?;
/// assert_eq!(caller.owner(), "org_42");
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone)]
pub struct Keygate {
    pub(crate) authenticator: Authenticator,
    pub(crate) manager: KeyManager,
    pub(crate) answers: Answers,
    pub(crate) changes: Arc<Changes>,
    pub(crate) background: Background,
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) origins: Arc<Origins>,
}

impl Keygate {
    /// Begins a gate for keys with this prefix, such as `acme_live`.
    pub fn builder(prefix: impl Into<String>) -> Builder {
        Builder::new(prefix.into())
    }

    /// Verifies keys.
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Issues, changes and ends keys.
    pub fn manager(&self) -> &KeyManager {
        &self.manager
    }

    /// Finds keys in requests and says no, as plain values: for handlers and middleware of your own.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Finds keys of all prefixes that were declared, also of those that are
    /// [served elsewhere](crate::Builder::decline_prefix), in text and streams, masks them in logs, and
    /// writes rules for the scanners of others: see [`leak`](crate::leak).
    pub fn scanner(&self) -> Scanner {
        self.authenticator.scanner().clone()
    }

    /// What a gate does beside the requests: it follows the store's change feed, connects it again, and
    /// hands the counts of usage, and what was noted for the audit log, to the store. Without it nothing
    /// opens that should not, the store is asked more often, and what was counted and noted waits for a
    /// [`shutdown`](Self::shutdown), as do the MACs that are renewed under the active pepper. It also asks
    /// the [provider of the peppers](crate::Builder::pepper_provider), forgets what the audit log is to
    /// [keep no longer](crate::Builder::audit_retention), looks for
    /// [keys that end](crate::ExpiryNotifier), and ends those that [leaked](crate::Builder::on_leak) in
    /// URLs, where that is asked for.
    ///
    /// With the feature `tokio`, [`build`](crate::Builder::build) spawns it on the runtime that it is
    /// called on. Elsewhere, give this future to the executor. It ends with
    /// [`shutdown`](Self::shutdown), or when the gate and all that was made by it is dropped. Where
    /// it is running already, a second one waits, and goes on if the first is dropped.
    pub fn run(&self) -> impl Future<Output = ()> + Send + 'static {
        self.background.run(&self.changes)
    }

    /// Ends the background work and hands the last counts of usage, and the last of what was noted for the
    /// audit log, to the store, so it belongs behind
    /// the server. It returns when both are done: within five seconds also where the future of the work is
    /// not polled any more, or the store takes nothing.
    pub async fn shutdown(&self) {
        self.background.shutdown().await;
    }

    /// Looks for keys that end now, and not only when the [background work](Self::run) does: for tests,
    /// and for hosts that have a schedule of their own. Secrets that are older than
    /// [`Policy::max_secret_age`](crate::Policy::max_secret_age) are given an end, and the
    /// [notifier](crate::Builder::expiry_notifier) is told of what ends soon.
    ///
    /// While another instance is at it, nothing is done.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] where neither a notifier nor such a policy is set;
    /// [`ManageError::Store`]. What was told before is not told again.
    pub async fn sweep_expiring(&self) -> Result<ExpirySweep, ManageError> {
        match self.background.sweeper() {
            Some(sweeper) => sweeper.sweep().await,
            None => Err(ManageError::Invalid(
                "there is nothing to look for: set an expiry_notifier, or a policy with max_secret_age"
                    .into(),
            )),
        }
    }

    /// Asks the [provider](crate::Builder::pepper_provider) of the peppers now, and not only when the
    /// [background work](Self::run) does. Whether they have changed.
    ///
    /// # Errors
    /// The peppers of before stay in use: [`PeppersError`] says why.
    pub async fn reload_peppers(&self) -> Result<bool, PeppersError> {
        self.background.reloader().reload().await
    }

    /// Ends the key that is presented, for good: whoever holds a key can end it, also one that is disabled,
    /// expired, over its limit, or that does not open from where they are. Ending it again changes nothing.
    /// The audit log names the key itself as the actor, with the address of the attempt.
    ///
    /// Text that is no key, and a wrong secret, are refused as in
    /// [`authenticate`](Authenticator::authenticate): by the same work, as failed attempts of the address
    /// that they came from, and within the same bounds on what reaches the store. A secret that a rotation
    /// has replaced, and that has ended, ends nothing. A [canary](crate::NewKey::canary) is answered as a
    /// key that was revoked before, and tells of whoever presented it. The rule, the charge and the limits
    /// of the attempt are not looked at, so whoever holds a key, also one that has ended, has the store asked
    /// each time: bound how often the route may be called.
    ///
    /// For an endpoint for token revocation (RFC 7009), answer 200 where this answers
    /// [`Rejected`](crate::Refusal::Rejected) too: there, a token that is none is no error.
    ///
    /// ```
    /// # use keygate::{Attempt, BearerRevocationError, Keygate};
    /// # async fn run(keys: &Keygate, text: &str) {
    /// match keys.revoke_presented(Attempt::new(text), "asked for by its bearer").await {
    ///     Ok(ended) => println!("{} is refused within {:?}", ended.key_id, ended.effective_within),
    ///     Err(BearerRevocationError::Refused(refusal)) => println!("{}", keys.answers().refuse(&refusal)),
    ///     Err(error) => println!("try again: {error}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BearerRevocationError::Refused`] with what to answer; as `Failed`, [`ManageError::Text`] for a
    /// reason that cannot be kept, [`Conflict::RotatedMeanwhile`](crate::Conflict::RotatedMeanwhile), and
    /// [`Conflict::Busy`](crate::Conflict::Busy) and [`ManageError::Store`] as in
    /// [`revoke`](KeyManager::revoke): then it is to be done again.
    pub async fn revoke_presented(
        &self,
        attempt: Attempt<'_>,
        reason: impl Into<String> + Send,
    ) -> Result<BearerRevocation, BearerRevocationError> {
        let reason = reason.into();
        check_reason(&reason).map_err(ManageError::from)?;
        let proved = self.authenticator.prove_bearer(attempt).await?;
        let (id, secret) = (&proved.identity.key_id, proved.secret);
        let ended = self
            .manager
            .end_by_bearer(id, secret, proved.address, &reason);
        Ok(ended.await?)
    }

    /// Whether the store tells of changes as they happen.
    ///
    /// The feature `metrics` shows the same as the gauge `keygate_change_feed_up` and the counter
    /// `keygate_change_feed_breaks_total`, by realm.
    pub fn change_feed(&self) -> ChangeFeedStatus {
        self.background.status(&self.changes)
    }

    /// The scopes that the service declares, if it does.
    pub fn catalogue(&self) -> Option<Catalogue> {
        self.answers.catalogue()
    }
}

#[cfg(any(feature = "tower", feature = "actix-web"))]
impl Keygate {
    /// A guard that lets a request through if its key is valid and satisfies `rule`.
    ///
    /// ```
    /// # fn app(keys: keygate::Keygate) -> axum::Router {
    /// # use axum::{Router, routing::get};
    /// # async fn list() {}
    /// # use keygate::Rule;
    /// # async fn void() {}
    /// Router::new()
    ///     .route("/orders", get(list).layer(keys.require("orders:read")))
    ///     .route("/void", get(void).layer(keys.require(Rule::any(["orders:void", "orders:admin"]))))
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the service starts: for a literal that is not a concrete scope, and for a scope that is
    /// not in the [catalogue](crate::Builder::scopes), if there is one.
    #[track_caller]
    pub fn require(&self, rule: impl IntoRule) -> Guard {
        let access = Access::Scopes(self.declared(rule));
        self.guard(Demand::Always(access))
    }

    /// A guard that lets a request through if its key is valid, whatever its scopes.
    pub fn authenticate(&self) -> Guard {
        self.guard(Demand::Always(Access::Key))
    }

    /// A guard that also lets requests without a key through: they have no principal. A request
    /// with a key that does not open is refused all the same.
    ///
    /// ```
    /// # use keygate::Principal;
    /// # fn app(keys: keygate::Keygate) -> axum::Router {
    /// # use axum::{Router, routing::get};
    /// async fn greet(caller: Option<Principal>) -> String {
    ///     caller.map_or("hello".into(), |caller| format!("hello {}", caller.owner()))
    /// }
    /// Router::new().route("/", get(greet).layer(keys.authenticate_optional()))
    /// # }
    /// ```
    pub fn authenticate_optional(&self) -> Guard {
        self.guard(Demand::Always(Access::KeyIfAny))
    }

    /// The rule, which keys of this service can satisfy.
    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a wrong rule is a mistake in the host's source"
    )]
    fn declared(&self, rule: impl IntoRule) -> Rule {
        let rule = rule.into_rule();
        if let Some(Err(undeclared)) = self.catalogue().map(|catalogue| catalogue.check(&rule)) {
            panic!("{undeclared}");
        }
        rule
    }

    /// A guard that asks of the callers of each gRPC method what `rules` say, and denies all other
    /// methods. See `keygate::tonic`.
    ///
    /// # Panics
    /// When the service starts: for a scope that is not in the [catalogue](crate::Builder::scopes),
    /// if there is one, and for a charge that cannot be taken.
    #[cfg(feature = "tonic")]
    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a wrong charge is a mistake in the host's source"
    )]
    pub fn require_by_method(&self, rules: crate::tonic::MethodRules) -> Guard {
        for rule in rules.rules() {
            self.declared(rule.clone());
        }
        for (name, charge, is_taken) in rules.charges() {
            crate::guard::check(self.answers.gate(), charge);
            if !is_taken {
                panic!(
                    "{name} has a charge, and no call of it asks for a key: list it, or charge nothing"
                );
            }
        }
        self.guard(Demand::ByMethod(rules))
    }

    fn guard(&self, demand: Demand) -> Guard {
        Guard::new(
            self.authenticator.clone(),
            self.answers.clone(),
            Arc::clone(&self.origins),
            demand,
        )
    }
}

impl fmt::Debug for Keygate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keygate")
            .field("authenticator", &self.authenticator)
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}
