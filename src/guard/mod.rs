//! What stands before a route, whatever the framework: it takes the request apart as plain values,
//! and says whether it goes on.

pub(crate) mod authorized;
mod charging;
mod demand;
#[cfg(feature = "tonic")]
mod methods;
mod origin;

pub use authorized::Authorized;
pub(crate) use authorized::Nameless;
#[cfg(feature = "tonic")]
pub(crate) use charging::check;
pub(crate) use demand::{Access, Demand};
#[cfg(feature = "tonic")]
pub use methods::MethodRules;
pub(crate) use origin::Origins;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::address::Arrival;
use crate::answer::{Answers, Ending, Extracted};
use crate::authenticate::{Attempt, Authenticator};
use crate::exposure::Exposures;
use crate::key::KeyId;
use crate::limit::{Charge, Told};
use crate::principal::Principal;
use crate::refusal::{Refusal, Rejection};
use crate::scope::Rule;
use crate::telemetry;

/// Lets only authenticated and authorised requests through to what it is put around.
///
/// It is a layer of tower, for axum and tonic too, and a transform for `wrap` of actix-web.
#[derive(Clone, Debug)]
pub struct Guard {
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    authenticator: Authenticator,
    answers: Answers,
    origins: Arc<Origins>,
    demand: Demand,
    charge: Option<Charge>,
    #[cfg(feature = "tower")]
    grpc: bool,
}

/// A request, as plain values.
pub(crate) struct Incoming<'a, H> {
    /// All header lines.
    pub(crate) headers: H,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The principal that an outer guard has left.
    pub(crate) outer: Option<&'a Principal>,
    pub(crate) arrival: Arrival,
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// It goes on as it is: an outer guard of the same gate has verified its key.
    Pass(Passed),
    /// It goes on, and no key was looked for.
    #[cfg(feature = "tonic")]
    PassOpen,
    /// It goes on without a key, which it need not have.
    PassNameless,
    /// It goes on in the name of this principal.
    Admit(Principal),
    /// It goes back.
    Refuse(Refusal),
    /// The store has to be asked first.
    Ask(Decision),
}

/// By what a request got through, and so what its response has to say: to caches, and of the key.
#[derive(Clone)]
pub(crate) enum Passed {
    /// By being open to all.
    #[cfg(feature = "tonic")]
    Open,
    /// Without a key.
    Nameless,
    /// With a key, of whose end it may be time to tell, and how its limits stand.
    WithKey(Option<Ending>, Option<Told>),
}

impl Passed {
    /// The `Cache-Control` of a response that has none (RFC 9111, section 5.2.2).
    pub(crate) const fn cache_control(&self) -> Option<&'static str> {
        match self {
            Self::WithKey(..) => Some("private, no-cache"),
            _ => None,
        }
    }

    /// What the response has to tell of the end of the key.
    pub(crate) const fn ending(&self) -> Option<Ending> {
        match self {
            Self::WithKey(ending, _) => *ending,
            _ => None,
        }
    }

    /// What the response has to tell of the limits of the key.
    pub(crate) fn limits(&self) -> Option<[(&'static str, String); 2]> {
        match self {
            Self::WithKey(_, told) => told.as_ref().map(Told::fields),
            _ => None,
        }
    }

    /// Whether the response depends on the fields that may carry a key.
    pub(crate) const fn varies(&self) -> bool {
        #[cfg(feature = "tonic")]
        if matches!(self, Self::Open) {
            return false;
        }
        true
    }
}

pub(crate) type Decision = Pin<Box<dyn Future<Output = Result<Principal, Refusal>> + Send>>;

impl Guard {
    pub(crate) fn new(
        authenticator: Authenticator,
        answers: Answers,
        origins: Arc<Origins>,
        demand: Demand,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                authenticator,
                answers,
                origins,
                #[cfg(feature = "tower")]
                grpc: demand.is_by_method(),
                demand,
                charge: None,
            }),
        }
    }

    /// Also answers gRPC requests in their own way, for a guard around HTTP and gRPC on one port.
    ///
    /// The guard of [`require_by_method`](crate::Keygate::require_by_method) does so by itself, and
    /// so does every guard around a service of tonic. A router of axum does not show that it
    /// speaks gRPC, so it is said here: whoever sends it a `POST` with the content type of gRPC is
    /// refused with the HTTP status 200, and a gRPC status.
    #[cfg(feature = "tonic")]
    #[must_use]
    pub fn grpc(self) -> Self {
        let mut shared = Arc::unwrap_or_clone(self.shared);
        shared.grpc = true;
        Self {
            shared: Arc::new(shared),
        }
    }

    #[cfg(feature = "tower")]
    pub(crate) fn speaks_grpc(&self) -> bool {
        self.shared.grpc
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.shared.origins
    }

    /// What is asked of requests for `path`, if any are let through.
    #[cfg(feature = "utoipa")]
    pub(crate) fn access(&self, path: &str) -> Option<&Access> {
        self.shared.demand.of(path).ok()
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.shared.answers
    }

    /// Whether a request stands within an outer guard of the same gate, which has left `outer`.
    pub(crate) fn is_within(&self, outer: Option<&Principal>) -> bool {
        outer.is_some_and(|caller| self.shared.authenticator.vouches_for(caller))
    }

    /// How a request of this caller passes.
    pub(crate) fn passed(&self, caller: &Principal) -> Passed {
        Passed::WithKey(self.answers().ending(caller), caller.told().cloned())
    }

    /// The names of all fields that may carry a key, as `Vary` has them.
    pub(crate) fn vary(&self) -> String {
        self.answers().header_names().collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn decide<'a, H>(&self, request: Incoming<'a, H>) -> Verdict
    where
        H: IntoIterator<Item = (&'a str, &'a [u8])>,
    {
        let Shared {
            authenticator,
            answers,
            origins,
            demand,
            charge,
            ..
        } = &*self.shared;
        let address = request.arrival.address;
        let access = match demand.of(request.path) {
            Ok(access) => access,
            Err(rejection) => {
                let outer = request.outer;
                return Verdict::refuse_told(authenticator, rejection, outer, address);
            }
        };
        let charge = demand.charge_of(request.path).or(*charge);
        let charge = charge.unwrap_or(Charge::ONE);
        if let Some(caller) = request
            .outer
            .filter(|caller| authenticator.vouches_for(caller))
        {
            return charging::behind_outer(self, caller, access, charge);
        }
        #[cfg(feature = "tonic")]
        if matches!(access, Access::Open) {
            return Verdict::PassOpen;
        }
        let is_key = |text: &str| authenticator.recognises(text);
        if let Some(text) = answers.key_in(request.path, is_key) {
            return Verdict::Ask(self.refuse_leak(Some(text), address));
        }
        let extracted = answers.extract(request.headers, request.query, is_key);
        let extracted: Extracted<'a> = match extracted {
            Ok(extracted) => extracted,
            Err(Rejection::KeyMissing) if matches!(access, Access::KeyIfAny) => {
                return Verdict::PassNameless;
            }
            Err(Rejection::KeyInUrl) => {
                let text = request
                    .query
                    .and_then(|query| answers.key_in(query, is_key));
                return Verdict::Ask(self.refuse_leak(text, address));
            }
            Err(rejection) => {
                return Verdict::refuse_told(authenticator, rejection, None, address);
            }
        };
        let text = extracted.text();
        let exposures = Exposures {
            by_browser: extracted.sent_by_browser(),
            in_plaintext: request.arrival.in_plaintext,
        };
        let attempt = attempt(text, address, access.rule(), &charge).exposed(exposures);
        match authenticator.decide_cached(attempt, |caller, limits| caller.to_told(limits)) {
            Some(Ok(principal)) => {
                accepted(&principal, access.rule());
                Verdict::Admit(principal)
            }
            Some(Err(refusal)) => {
                origins.refused(&refusal);
                Verdict::refuse(refusal, authenticator.claimed_id(text).as_ref())
            }
            None => {
                let rule = access.rule().cloned();
                Verdict::Ask(self.ask(text, address, rule, charge, exposures))
            }
        }
    }

    fn ask(
        &self,
        text: &str,
        address: Option<IpAddr>,
        rule: Option<Rule>,
        charge: Charge,
        exposures: Exposures,
    ) -> Decision {
        let text = Zeroizing::new(text.to_owned());
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let attempt = attempt(&text, address, rule.as_ref(), &charge).exposed(exposures);
            let decision = shared.authenticator.authenticate_uncached(attempt).await;
            let decision = decision.map(|(principal, limits)| principal.with_limits(limits));
            match &decision {
                Ok(principal) => accepted(principal, rule.as_ref()),
                Err(refusal) => {
                    shared.origins.refused(refusal);
                    telemetry::refused(refusal, shared.authenticator.claimed_id(&text).as_ref());
                }
            }
            decision
        })
    }
}

impl Guard {
    /// Refuses a request whose URL carries a key, once it is known whose that is.
    fn refuse_leak(&self, text: Option<Zeroizing<String>>, address: Option<IpAddr>) -> Decision {
        let authenticator = self.shared.authenticator.clone();
        Box::pin(async move {
            let key_id = match text {
                Some(text) => authenticator.tell_leak(&text, address).await,
                None => None,
            };
            let refusal = Rejection::KeyInUrl.into();
            telemetry::refused(&refusal, key_id.as_ref());
            Err(refusal)
        })
    }
}

impl Verdict {
    /// Refuses what the authenticator does not see, which has it told.
    fn refuse_told(
        authenticator: &Authenticator,
        rejection: Rejection,
        outer: Option<&Principal>,
        address: Option<IpAddr>,
    ) -> Self {
        let outer = outer.filter(|caller| authenticator.vouches_for(caller));
        let refusal = Refusal::from(rejection);
        authenticator.tell_refused(&refusal, outer, address);
        Self::refuse(refusal, outer.map(Principal::key_id))
    }

    fn refuse(refusal: impl Into<Refusal>, key_id: Option<&KeyId>) -> Self {
        let refusal = refusal.into();
        telemetry::refused(&refusal, key_id);
        Self::Refuse(refusal)
    }
}

/// Tells operators of a caller that was let in, and of a rule that would not have let it in.
fn accepted(caller: &Principal, rule: Option<&Rule>) {
    telemetry::accepted(caller);
    if let Some(rule) = rule {
        telemetry::report(rule, caller);
    }
}

fn attempt<'a>(
    text: &'a str,
    address: Option<IpAddr>,
    rule: Option<&'a Rule>,
    charge: &'a Charge,
) -> Attempt<'a> {
    let attempt = Attempt::new(text).from_address(address).charging(charge);
    rule.map_or(attempt, |rule| attempt.requiring(rule))
}
