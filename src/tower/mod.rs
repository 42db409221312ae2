//! Middleware for every service that speaks [`http`] 1: axum, hyper, and other tower services.
//!
//! [`Keygate::require`](crate::Keygate::require) and
//! [`Keygate::authenticate`](crate::Keygate::authenticate) make a [`Guard`], which is a
//! [`tower_layer::Layer`]. Of a request that comes through a guard:
//!
//! 1. If an outer guard of the same gate has verified its key, only the rule is checked.
//! 2. Otherwise exactly one credential is taken from the headers, and the key is verified. A hit in
//!    the cache neither boxes a future nor waits.
//! 3. The header values that may carry a key are marked as sensitive, so that they stay out of
//!    logs, and the [`Principal`](crate::Principal) is put into the request's extensions.
//! 4. The response gets `Cache-Control: private, no-cache`, unless the service said otherwise, and
//!    `Vary`, so that no shared cache shows it to somebody else (RFC 9111, section 3.5).
//!
//! A refused request never reaches the service. It is answered as RFC 6750 and RFC 9457 have it.
//!
//! # Deployment caveat
//! Put CORS outside of a guard: preflight requests carry no key. The body type of the responses
//! must be made from bytes (`From<Vec<u8>>`), as axum's and `http_body_util::Full` are.

mod client_address;
mod future;
mod guard;

pub(crate) use client_address::ClientAddress;
pub use future::GuardFuture;
pub use guard::{Guard, Guarded};

use ::http::{HeaderValue, Response, StatusCode};

use crate::answer::Answer;

/// The answer as a response.
impl<B: From<Vec<u8>>> From<Answer> for Response<B> {
    fn from(answer: Answer) -> Self {
        let mut response = Response::new(B::from(answer.body));
        // The table knows valid codes only.
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
