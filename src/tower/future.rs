use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::Span;
use tracing::instrument::{Instrument, Instrumented};

use super::layer::HttpGuard;
use super::{AnswerBody, Reply};
use crate::guard::{Decision, Passed};
use crate::refusal::Refusal;
use crate::telemetry;

pin_project! {
    /// The response of a [`Guarded`](super::Guarded) service.
    pub struct GuardFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        guard: Arc<HttpGuard>,
        reply: Reply,
        #[pin]
        state: State<S, ReqBody>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        /// The store is asked. What is to be called, and with what, waits.
        Asking { decision: Decision, is_within: bool, call: Option<(S, Request<ReqBody>)> },
        Calling { #[pin] response: Instrumented<S::Future>, passed: Passed },
        Refused { refusal: Refusal },
    }
}

impl<S, ReqBody> GuardFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn asking(
        guard: Arc<HttpGuard>,
        reply: Reply,
        decision: Decision,
        is_within: bool,
        call: (S, Request<ReqBody>),
    ) -> Self {
        let state = State::Asking {
            decision,
            is_within,
            call: Some(call),
        };
        Self {
            guard,
            reply,
            state,
        }
    }

    pub(super) fn calling(
        guard: Arc<HttpGuard>,
        reply: Reply,
        response: S::Future,
        passed: Passed,
        span: Span,
    ) -> Self {
        let response = response.instrument(span);
        let state = State::Calling { response, passed };
        Self {
            guard,
            reply,
            state,
        }
    }

    pub(super) fn refused(guard: Arc<HttpGuard>, reply: Reply, refusal: Refusal) -> Self {
        let state = State::Refused { refusal };
        Self {
            guard,
            reply,
            state,
        }
    }
}

impl<S, ReqBody, ResBody> Future for GuardFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: AnswerBody,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Asking {
                    decision,
                    is_within,
                    call,
                } => {
                    match (ready!(decision.as_mut().poll(context)), call.take()) {
                        (Ok(principal), Some((mut service, mut request))) => {
                            let span = telemetry::request_span(&principal, *is_within);
                            let passed = this.guard.admit(&mut request, principal);
                            let response = span.in_scope(|| service.call(request));
                            State::Calling {
                                response: response.instrument(span),
                                passed,
                            }
                        }
                        (Err(refusal), _) => State::Refused { refusal },
                        // Only a future that is polled after it was done has nothing to call.
                        (Ok(_), None) => return Poll::Pending,
                    }
                }
                StateProjection::Calling { response, passed } => {
                    let mut response = ready!(response.poll(context))?;
                    this.guard.mark(passed, response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Refused { refusal } => {
                    let answers = this.guard.answers();
                    return Poll::Ready(Ok(this.reply.refuse(answers, refusal)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, ReqBody> std::fmt::Debug for GuardFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardFuture").finish_non_exhaustive()
    }
}
