use std::mem;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::header::{CACHE_CONTROL, VARY};
use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use zeroize::Zeroizing;

use super::GuardFuture;
use crate::answer::Extracted;
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
    /// ```
    /// # fn app(keys: keygate::Keygate) -> axum::Router {
    /// # use axum::{Router, routing::get};
    /// # async fn list() {}
    /// Router::new().route("/orders", get(list).layer(keys.require("orders:read")))
    /// # }
    /// ```
    ///
    /// # Panics
    /// For a literal that is not a concrete scope, when the service starts.
    #[track_caller]
    pub fn require(&self, rule: impl IntoRule) -> Guard {
        Guard::new(self, Demand::Scopes(rule.into_rule()))
    }

    /// A guard that lets a request through if its key is valid, whatever its scopes.
    pub fn authenticate(&self) -> Guard {
        Guard::new(self, Demand::Key)
    }

    /// A guard that also lets requests without a key through: they have no principal. A request
    /// with a key that does not open is refused all the same.
    pub fn authenticate_optional(&self) -> Guard {
        Guard::new(self, Demand::KeyIfAny)
    }
}

/// A layer that lets only authenticated and authorised requests through.
#[derive(Clone, Debug)]
pub struct Guard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keys: Keygate,
    demand: Demand,
    carriers: Vec<HeaderName>,
    vary: HeaderValue,
}

/// What a guard asks of a request.
#[derive(Debug)]
enum Demand {
    KeyIfAny,
    Key,
    Scopes(Rule),
}

/// What becomes of a request.
pub(super) enum Verdict {
    /// It goes on.
    Pass(Passed),
    /// It goes back.
    Refuse(Refusal),
    /// The store has to be asked first.
    Ask(Decision),
}

pub(super) type Decision = Pin<Box<dyn Future<Output = Result<Principal, Refusal>> + Send>>;

/// By what a request got through, and so what its response has to say to caches.
#[derive(Clone, Copy)]
pub(super) enum Passed {
    /// An outer guard has verified its key, and sees to the response.
    Verified,
    /// Its key was verified here.
    WithKey,
    /// It has no key and needs none.
    WithoutKey,
}

impl Guard {
    fn new(keys: &Keygate, demand: Demand) -> Self {
        let names = || keys.answers().header_names();
        let carriers = names().filter_map(|name| name.parse().ok()).collect();
        let vary = names().collect::<Vec<_>>().join(", ");
        Self {
            shared: Arc::new(Shared {
                keys: keys.clone(),
                demand,
                carriers,
                // The names were checked when the gate was built; to vary by everything is safe.
                vary: vary.try_into().unwrap_or(HeaderValue::from_static("*")),
            }),
        }
    }

    pub(super) fn examine<B>(&self, request: &mut Request<B>) -> Verdict {
        let Shared { keys, demand, .. } = &*self.shared;
        let outer = request.extensions().get::<Principal>();
        if let Some(caller) = outer.filter(|caller| keys.authenticator().vouches_for(caller)) {
            return match demand.rule().map_or(Ok(()), |rule| caller.authorize(rule)) {
                Ok(()) => Verdict::Pass(Passed::Verified),
                Err(rejection) => Verdict::refuse(rejection, Some(caller.key_id())),
            };
        }
        // A principal of another gate means nothing here.
        request.extensions_mut().remove::<Principal>();
        let address = keys.client_address.of(request.extensions());
        let extracted = match self.extract(request) {
            Ok(extracted) => extracted,
            Err(Rejection::KeyMissing) if matches!(demand, Demand::KeyIfAny) => {
                return Verdict::Pass(Passed::WithoutKey);
            }
            Err(rejection) => return Verdict::refuse(rejection, None),
        };
        let attempt = demand.attempt(extracted.text(), address);
        let authenticator = keys.authenticator();
        match authenticator.authenticate_cached(attempt, |caller| caller.to_principal()) {
            Some(Ok(principal)) => {
                self.admit(request, principal);
                Verdict::Pass(Passed::WithKey)
            }
            Some(Err(refusal)) => Verdict::refuse(refusal, claimed_id(extracted.text()).as_ref()),
            None => {
                let text = Zeroizing::new(extracted.text().to_owned());
                let shared = Arc::clone(&self.shared);
                Verdict::Ask(Box::pin(async move {
                    let attempt = shared.demand.attempt(&text, address);
                    let authenticator = shared.keys.authenticator();
                    let decision = authenticator.authenticate_uncached(attempt).await;
                    decision.inspect_err(|refusal| {
                        telemetry::refused(refusal, claimed_id(&text).as_ref());
                    })
                }))
            }
        }
    }

    fn extract<'a, B>(&self, request: &'a Request<B>) -> Result<Extracted<'a>, Rejection> {
        let keys = &self.shared.keys;
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let is_key = |text: &str| keys.authenticator().recognises(text);
        keys.answers()
            .extract(headers, request.uri().query(), is_key)
    }

    /// Hands the request on in the name of `principal`.
    pub(super) fn admit<B>(&self, request: &mut Request<B>, principal: Principal) {
        for name in &self.shared.carriers {
            if let Some(value) = request.headers_mut().get_mut(name) {
                value.set_sensitive(true);
            }
        }
        telemetry::accepted(&principal);
        request.extensions_mut().insert(principal);
    }

    pub(super) fn refuse<B: From<Vec<u8>>>(&self, refusal: &Refusal) -> Response<B> {
        self.shared.keys.answers().refuse(refusal).into()
    }

    /// Tells caches whom a response is for.
    pub(super) fn mark(&self, passed: Passed, headers: &mut HeaderMap) {
        match passed {
            Passed::Verified => return,
            Passed::WithoutKey => {}
            Passed::WithKey => {
                let private = HeaderValue::from_static("private, no-cache");
                headers.entry(CACHE_CONTROL).or_insert(private);
            }
        }
        headers.append(VARY, self.shared.vary.clone());
    }
}

impl Verdict {
    fn refuse(refusal: impl Into<Refusal>, key_id: Option<&KeyId>) -> Self {
        let refusal = refusal.into();
        telemetry::refused(&refusal, key_id);
        Self::Refuse(refusal)
    }
}

fn claimed_id(text: &str) -> Option<KeyId> {
    Some(*PresentedKey::parse(text).ok()?.id())
}

impl Demand {
    fn attempt<'a>(&'a self, text: &'a str, address: Option<IpAddr>) -> Attempt<'a> {
        let attempt = Attempt::new(text).from_address(address);
        self.rule().map_or(attempt, |rule| attempt.requiring(rule))
    }

    fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Scopes(rule) => Some(rule),
            Self::Key | Self::KeyIfAny => None,
        }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            guard: self.clone(),
            inner,
        }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Guarded<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<Vec<u8>>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = GuardFuture<S, ReqBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let guard = self.guard.clone();
        match guard.examine(&mut request) {
            Verdict::Pass(passed) => GuardFuture::calling(guard, self.inner.call(request), passed),
            Verdict::Refuse(refusal) => GuardFuture::refused(guard, refusal),
            Verdict::Ask(decision) => {
                // The clone that was polled ready is the one to call.
                let fresh = self.inner.clone();
                let ready = mem::replace(&mut self.inner, fresh);
                GuardFuture::asking(guard, decision, request, ready)
            }
        }
    }
}
