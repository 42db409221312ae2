use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ::actix_web::body::EitherBody;
use ::actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use ::actix_web::{Error, HttpResponse};
use pin_project_lite::pin_project;
use tracing::Span;
use tracing::instrument::{Instrument, Instrumented};

use super::guarded::ActixGuard;
use crate::guard::{Decision, Passed};
use crate::refusal::Refusal;
use crate::telemetry;

pin_project! {
    /// The response of a [`Guarded`](super::Guarded) service.
    pub struct GuardFuture<S>
    where
        S: Service<ServiceRequest>,
    {
        guard: Rc<ActixGuard>,
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S>
    where
        S: Service<ServiceRequest>,
    {
        /// The store is asked. What is to be called, and with what, waits.
        Asking { decision: Decision, is_within: bool, call: Option<(Rc<S>, ServiceRequest)> },
        Calling { #[pin] response: Instrumented<S::Future>, passed: Passed },
        Refused { refusal: Refusal, request: Option<ServiceRequest> },
    }
}

impl<S> GuardFuture<S>
where
    S: Service<ServiceRequest>,
{
    pub(super) fn asking(
        guard: Rc<ActixGuard>,
        decision: Decision,
        is_within: bool,
        call: (Rc<S>, ServiceRequest),
    ) -> Self {
        let state = State::Asking {
            decision,
            is_within,
            call: Some(call),
        };
        Self { guard, state }
    }

    pub(super) fn calling(
        guard: Rc<ActixGuard>,
        response: S::Future,
        passed: Passed,
        span: Span,
    ) -> Self {
        let response = response.instrument(span);
        let state = State::Calling { response, passed };
        Self { guard, state }
    }

    pub(super) fn refused(
        guard: Rc<ActixGuard>,
        refusal: Refusal,
        request: ServiceRequest,
    ) -> Self {
        let request = Some(request);
        let state = State::Refused { refusal, request };
        Self { guard, state }
    }
}

impl<S, B> Future for GuardFuture<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // A request is missing only from a future that is polled after it was done.
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Asking {
                    decision,
                    is_within,
                    call,
                } => {
                    let decided = ready!(decision.as_mut().poll(context));
                    let Some((service, mut request)) = call.take() else {
                        return Poll::Pending;
                    };
                    match decided {
                        Ok(principal) => {
                            let span = telemetry::request_span(&principal, *is_within);
                            let passed = this.guard.admit(&mut request, principal);
                            let response = span.in_scope(|| service.call(request));
                            State::Calling {
                                response: response.instrument(span),
                                passed,
                            }
                        }
                        Err(refusal) => State::Refused {
                            refusal,
                            request: Some(request),
                        },
                    }
                }
                StateProjection::Calling { response, passed } => {
                    let guard = this.guard;
                    return Poll::Ready(match ready!(response.poll(context)) {
                        Ok(mut response) => {
                            guard.mark(passed, response.headers_mut());
                            Ok(response.map_into_left_body())
                        }
                        Err(error) => Err(marked(error, Rc::clone(guard), passed.clone())),
                    });
                }
                StateProjection::Refused { refusal, request } => {
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let answer = this.guard.answers().refuse(refusal);
                    let response = request.into_response(HttpResponse::from(answer));
                    return Poll::Ready(Ok(response.map_into_right_body()));
                }
            };
            this.state.set(next);
        }
    }
}

/// The error as it is, whose response will be marked as every other.
fn marked(mut error: Error, guard: Rc<ActixGuard>, passed: Passed) -> Error {
    error.add_response_mapper(move |mut response| {
        guard.mark(&passed, response.headers_mut());
        response
    });
    error
}

impl<S> fmt::Debug for GuardFuture<S>
where
    S: Service<ServiceRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardFuture").finish_non_exhaustive()
    }
}
