//! What stands before a route, whatever the framework: it takes the request apart as plain values,
//! and says whether it goes on.

pub(crate) mod authorized;
mod demand;
#[cfg(feature = "tonic")]
mod methods;

pub use authorized::Authorized;
pub(crate) use demand::{Access, Demand};
#[cfg(feature = "tonic")]
pub use methods::MethodRules;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::answer::{Answers, Extracted};
use crate::authenticate::Attempt;
use crate::key::{KeyId, PresentedKey};
use crate::keygate::Keygate;
use crate::principal::Principal;
use crate::refusal::{Refusal, Rejection};
use crate::scope::{IntoRule, Rule};
use crate::telemetry;

impl Keygate {
    /// A guard that lets a request through if its key is valid and satisfies `rule`.
    ///
    /// It is a [`tower_layer::Layer`], and a `Transform` of actix-web.
    ///
    /// ```
    /// # fn app(keys: keygate::Keygate) -> axum::Router {
    /// # use axum::{Router, routing::get};
    /// # async fn list() {}
    /// Router::new().route("/orders", get(list).layer(keys.require("orders:read")))
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the service starts: for a literal that is not a concrete scope, and for a scope that is
    /// not in the [catalogue](crate::Builder::scopes), if there is one.
    #[track_caller]
    pub fn require(&self, rule: impl IntoRule) -> Guard {
        let access = Access::Scopes(self.declared(rule));
        Guard::new(self, Demand::Always(access))
    }

    /// A guard that lets a request through if its key is valid, whatever its scopes.
    pub fn authenticate(&self) -> Guard {
        Guard::new(self, Demand::Always(Access::Key))
    }

    /// A guard that also lets requests without a key through: they have no principal. A request
    /// with a key that does not open is refused all the same.
    pub fn authenticate_optional(&self) -> Guard {
        Guard::new(self, Demand::Always(Access::KeyIfAny))
    }

    /// The rule, which keys of this service can satisfy.
    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a wrong rule is a mistake in the host's source"
    )]
    pub(crate) fn declared(&self, rule: impl IntoRule) -> Rule {
        let rule = rule.into_rule();
        if let Some(Err(undeclared)) = self.catalogue.map(|catalogue| catalogue.check(&rule)) {
            panic!("{undeclared}");
        }
        rule
    }
}

/// Lets only authenticated and authorised requests through to what it is put around.
#[derive(Clone, Debug)]
pub struct Guard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keys: Keygate,
    demand: Demand,
}

/// A request, as plain values.
pub(crate) struct Incoming<'a, H> {
    /// All header lines.
    pub(crate) headers: H,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The principal that an outer guard has left.
    pub(crate) outer: Option<&'a Principal>,
    pub(crate) address: Option<IpAddr>,
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// It goes on as it is: an outer guard has verified its key, and sees to the response.
    Pass,
    /// It goes on without a principal.
    PassNameless,
    /// It goes on in the name of this principal.
    Admit(Principal),
    /// It goes back.
    Refuse(Refusal),
    /// The store has to be asked first.
    Ask(Decision),
}

pub(crate) type Decision = Pin<Box<dyn Future<Output = Result<Principal, Refusal>> + Send>>;

impl Guard {
    pub(crate) fn new(keys: &Keygate, demand: Demand) -> Self {
        Self {
            shared: Arc::new(Shared {
                keys: keys.clone(),
                demand,
            }),
        }
    }

    pub(crate) fn keys(&self) -> &Keygate {
        &self.shared.keys
    }

    /// What is asked of requests for `path`, if any are let through.
    #[cfg(feature = "utoipa")]
    pub(crate) fn access(&self, path: &str) -> Option<&Access> {
        self.shared.demand.of(path).ok()
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.shared.keys.answers
    }

    /// The names of all fields that may carry a key, as `Vary` has them.
    pub(crate) fn vary(&self) -> String {
        self.answers().header_names().collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn decide<'a, H>(&self, request: Incoming<'a, H>) -> Verdict
    where
        H: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        let Shared { keys, demand, .. } = &*self.shared;
        let access = match demand.of(request.path) {
            Ok(access) => access,
            Err(rejection) => return Verdict::refuse(rejection, None),
        };
        let authenticator = keys.authenticator();
        if let Some(caller) = request
            .outer
            .filter(|caller| authenticator.vouches_for(caller))
        {
            return match access.rule().map_or(Ok(()), |rule| caller.authorize(rule)) {
                Ok(()) => Verdict::Pass,
                Err(rejection) => Verdict::refuse(rejection, Some(caller.key_id())),
            };
        }
        #[cfg(feature = "tonic")]
        if matches!(access, Access::Open) {
            return Verdict::PassNameless;
        }
        let is_key = |text: &str| authenticator.recognises(text);
        let extracted = keys
            .answers()
            .extract(request.headers, request.query, is_key);
        let extracted: Extracted<'a> = match extracted {
            Ok(extracted) => extracted,
            Err(Rejection::KeyMissing) if matches!(access, Access::KeyIfAny) => {
                return Verdict::PassNameless;
            }
            Err(rejection) => return Verdict::refuse(rejection, None),
        };
        let text = extracted.text();
        let attempt = attempt(text, request.address, access.rule());
        match authenticator.authenticate_cached(attempt, |caller| caller.to_principal()) {
            Some(Ok(principal)) => {
                telemetry::accepted(&principal);
                Verdict::Admit(principal)
            }
            Some(Err(refusal)) => Verdict::refuse(refusal, claimed_id(text).as_ref()),
            None => Verdict::Ask(self.ask(text, request.address, access.rule().cloned())),
        }
    }

    fn ask(&self, text: &str, address: Option<IpAddr>, rule: Option<Rule>) -> Decision {
        let text = Zeroizing::new(text.to_owned());
        let authenticator = self.keys().authenticator().clone();
        Box::pin(async move {
            let attempt = attempt(&text, address, rule.as_ref());
            let decision = authenticator.authenticate_uncached(attempt).await;
            match &decision {
                Ok(principal) => telemetry::accepted(principal),
                Err(refusal) => telemetry::refused(refusal, claimed_id(&text).as_ref()),
            }
            decision
        })
    }
}

impl Verdict {
    fn refuse(refusal: impl Into<Refusal>, key_id: Option<&KeyId>) -> Self {
        let refusal = refusal.into();
        telemetry::refused(&refusal, key_id);
        Self::Refuse(refusal)
    }
}

fn attempt<'a>(text: &'a str, address: Option<IpAddr>, rule: Option<&'a Rule>) -> Attempt<'a> {
    let attempt = Attempt::new(text).from_address(address);
    rule.map_or(attempt, |rule| attempt.requiring(rule))
}

fn claimed_id(text: &str) -> Option<KeyId> {
    Some(*PresentedKey::parse(text).ok()?.id())
}
