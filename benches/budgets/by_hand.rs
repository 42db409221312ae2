//! The least middleware that one would write by hand for tower: it takes the key from one header,
//! verifies it by the floor, and hands the owner on.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::header::AUTHORIZATION;
use axum::http::{Request, Response, StatusCode};
use futures_util::future::Either;
use tower::{Layer, Service};

use crate::floor::Floor;

#[derive(Clone)]
pub(crate) struct ByHand(pub(crate) Arc<Floor>);

#[derive(Clone)]
pub(crate) struct Owner(pub(crate) Arc<str>);

#[derive(Clone)]
pub(crate) struct Guarded<S> {
    floor: Arc<Floor>,
    inner: S,
}

impl<S> Layer<S> for ByHand {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            floor: Arc::clone(&self.0),
            inner,
        }
    }
}

impl<S, B, R: Default> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let value = request.headers().get(AUTHORIZATION);
        match owner(&self.floor, value.and_then(|value| value.to_str().ok())) {
            Some(owner) => {
                request.extensions_mut().insert(owner);
                Either::Left(self.inner.call(request))
            }
            None => {
                let mut response = Response::new(R::default());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                Either::Right(ready(Ok(response)))
            }
        }
    }
}

/// Whose key the header holds.
pub(crate) fn owner(floor: &Floor, authorization: Option<&str>) -> Option<Owner> {
    let text = authorization?.strip_prefix("Bearer ")?;
    floor.verify(text, |entry| Owner(Arc::clone(&entry.owner)))
}
