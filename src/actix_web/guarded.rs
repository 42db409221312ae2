use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll};

use ::actix_web::body::EitherBody;
use ::actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use ::actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};
use ::actix_web::{Error, HttpMessage};
use tracing::Span;

use super::GuardFuture;
use crate::address::ClientAddress;
use crate::answer::{Answers, Ending};
use crate::guard::{Guard, Incoming, Nameless, Passed, Verdict};
use crate::limit::{LEFT, POLICY};
use crate::principal::Principal;
use crate::telemetry;

impl<S, B> Transform<S, ServiceRequest> for Guard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = Guarded<S>;
    type InitError = ();
    type Future = Ready<Result<Guarded<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Guarded {
            guard: Rc::new(ActixGuard::new(self.clone())),
            inner: Rc::new(inner),
        }))
    }
}

/// A service behind a [`Guard`].
#[derive(Debug)]
pub struct Guarded<S> {
    guard: Rc<ActixGuard>,
    inner: Rc<S>,
}

/// A guard, and what it writes into requests and responses.
#[derive(Debug)]
pub(super) struct ActixGuard {
    guard: Guard,
    carriers: Vec<HeaderName>,
    vary: HeaderValue,
}

impl ActixGuard {
    fn new(guard: Guard) -> Self {
        let names = guard.answers().header_names();
        Self {
            carriers: names.filter_map(|name| name.parse().ok()).collect(),
            // The names were checked when the gate was built; to vary by everything is safe.
            vary: guard
                .vary()
                .try_into()
                .unwrap_or(HeaderValue::from_static("*")),
            guard,
        }
    }

    /// What becomes of a request, and whether it stands within an outer guard of the same gate.
    fn decide(&self, request: &ServiceRequest) -> (Verdict, bool) {
        let lines = || {
            let headers = request.headers().iter();
            headers.map(|(name, value)| (name.as_str(), value.as_bytes()))
        };
        let peer = |source: &ClientAddress| source.actix_peer(request);
        let arrival = self.guard.origins().arrival(peer, lines());
        // A copy, so that the extensions are not borrowed while it is decided.
        let outer = request.extensions().get::<Principal>().cloned();
        let verdict = self.guard.decide(Incoming {
            headers: lines(),
            path: request.uri().path(),
            query: request.uri().query(),
            outer: outer.as_ref(),
            arrival,
        });
        if outer.is_some() && !matches!(verdict, Verdict::Pass(_)) {
            // A principal of another gate means nothing here.
            request.extensions_mut().remove::<Principal>();
        }
        (verdict, self.guard.is_within(outer.as_ref()))
    }

    /// Hands the request on in the name of `principal`, as one that passes so.
    pub(super) fn admit(&self, request: &mut ServiceRequest, principal: Principal) -> Passed {
        let passed = self.guard.passed(&principal);
        for name in &self.carriers {
            if let Some(value) = request.headers_mut().get_mut(name) {
                value.set_sensitive(true);
            }
        }
        request.extensions_mut().insert(principal);
        passed
    }

    /// Tells caches whom a response is for, and its caller when the key ends and how its limits stand,
    /// if nobody did.
    pub(super) fn mark(&self, passed: &Passed, headers: &mut HeaderMap) {
        if let Some(private) = passed.cache_control()
            && !headers.contains_key(CACHE_CONTROL)
        {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(private));
        }
        if let Some(ending) = passed.ending()
            && !Ending::NAMES.iter().any(|name| headers.contains_key(*name))
            && let Ok(moment) = HeaderValue::try_from(ending.value())
        {
            headers.insert(HeaderName::from_static(ending.name), moment);
        }
        if let Some(limits) = passed.limits()
            && ![POLICY, LEFT]
                .iter()
                .any(|name| headers.contains_key(*name))
        {
            for (name, value) in limits {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
        if passed.varies() && !headers.get_all(VARY).any(|vary| *vary == self.vary) {
            headers.append(VARY, self.vary.clone());
        }
    }

    pub(super) fn answers(&self) -> &Answers {
        self.guard.answers()
    }
}

impl<S, B> Service<ServiceRequest> for Guarded<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = GuardFuture<S>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let guard = Rc::clone(&self.guard);
        let mut span = Span::none();
        let (verdict, is_within) = guard.decide(&request);
        let passed = match verdict {
            Verdict::Pass(passed) => passed,
            #[cfg(feature = "tonic")]
            Verdict::PassOpen => Passed::Open,
            Verdict::PassNameless => {
                let nameless = Nameless(guard.answers().clone());
                request.extensions_mut().insert(nameless);
                Passed::Nameless
            }
            Verdict::Admit(principal) => {
                span = telemetry::request_span(&principal, is_within);
                guard.admit(&mut request, principal)
            }
            Verdict::Refuse(refusal) => return GuardFuture::refused(guard, refusal, request),
            Verdict::Ask(decision) => {
                let call = (Rc::clone(&self.inner), request);
                return GuardFuture::asking(guard, decision, is_within, call);
            }
        };
        let response = span.in_scope(|| self.inner.call(request));
        GuardFuture::calling(guard, response, passed, span)
    }
}
