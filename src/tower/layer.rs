use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::header::{CACHE_CONTROL, Entry, VARY};
use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

use super::{AnswerBody, GuardFuture, Reply};
use crate::address::ClientAddress;
use crate::answer::{Answers, Ending};
use crate::guard::{Guard, Incoming, Nameless, Passed, Verdict};
use crate::limit::{LEFT, POLICY};
use crate::principal::Principal;
use crate::telemetry;

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            guard: Arc::new(HttpGuard::new(self.clone())),
            inner,
        }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    guard: Arc<HttpGuard>,
    inner: S,
}

/// A guard, and what it writes into requests and responses.
#[derive(Debug)]
pub(super) struct HttpGuard {
    guard: Guard,
    carriers: Vec<HeaderName>,
    vary: HeaderValue,
}

impl HttpGuard {
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
    fn decide<B>(&self, request: &mut Request<B>) -> (Verdict, bool) {
        let lines = || {
            let headers = request.headers().iter();
            headers.map(|(name, value)| (name.as_str(), value.as_bytes()))
        };
        let peer = |source: &ClientAddress| source.http_peer(request.extensions());
        let arrival = self.guard.origins().arrival(peer, lines());
        let outer = request.extensions().get();
        let is_within = self.guard.is_within(outer);
        let verdict = self.guard.decide(Incoming {
            headers: lines(),
            path: request.uri().path(),
            query: request.uri().query(),
            outer,
            arrival,
        });
        if !matches!(verdict, Verdict::Pass(_)) {
            // A principal of another gate means nothing here.
            request.extensions_mut().remove::<Principal>();
        }
        (verdict, is_within)
    }

    /// Hands the request on in the name of `principal`, as one that passes so.
    pub(super) fn admit<B>(&self, request: &mut Request<B>, principal: Principal) -> Passed {
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
        if let Some(private) = passed.cache_control() {
            let private = HeaderValue::from_static(private);
            headers.entry(CACHE_CONTROL).or_insert(private);
        }
        if let Some(ending) = passed.ending()
            && !Ending::NAMES.iter().any(|name| headers.contains_key(*name))
            && let Ok(moment) = HeaderValue::try_from(ending.value())
        {
            headers.insert(ending.name, moment);
        }
        if let Some(limits) = passed.limits()
            && ![POLICY, LEFT]
                .iter()
                .any(|name| headers.contains_key(*name))
        {
            for (name, value) in limits {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(name, value);
                }
            }
        }
        if passed.varies() {
            match headers.entry(VARY) {
                Entry::Vacant(vary) => drop(vary.insert(self.vary.clone())),
                Entry::Occupied(vary) if vary.iter().any(|vary| *vary == self.vary) => {}
                Entry::Occupied(mut vary) => vary.append(self.vary.clone()),
            }
        }
    }

    fn speaks_grpc(&self) -> bool {
        self.guard.speaks_grpc()
    }

    pub(super) fn answers(&self) -> &Answers {
        self.guard.answers()
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Guarded<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: AnswerBody,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = GuardFuture<S, ReqBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let guard = Arc::clone(&self.guard);
        let reply = Reply::to(&request, ResBody::SPEAKS_GRPC || guard.speaks_grpc());
        let mut span = Span::none();
        let (verdict, is_within) = guard.decide(&mut request);
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
            Verdict::Refuse(refusal) => return GuardFuture::refused(guard, reply, refusal),
            Verdict::Ask(decision) => {
                // The clone that was polled ready is the one to call.
                let fresh = self.inner.clone();
                let ready = mem::replace(&mut self.inner, fresh);
                let call = (ready, request);
                return GuardFuture::asking(guard, reply, decision, is_within, call);
            }
        };
        let response = span.in_scope(|| self.inner.call(request));
        GuardFuture::calling(guard, reply, response, passed, span)
    }
}
