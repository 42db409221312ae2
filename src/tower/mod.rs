//! Middleware for every service that speaks [`http`] 1: axum, hyper, and other tower services.
//!
//! [`Keygate::require`](crate::Keygate::require) and
//! [`Keygate::authenticate`](crate::Keygate::authenticate) make a [`Guard`](crate::Guard), which
//! is a [`tower_layer::Layer`]. Of a request that comes through a guard:
//!
//! 1. If an outer guard of the same gate has verified its key, only the rule is checked.
//! 2. Otherwise exactly one credential is taken from the headers, and the key is verified. A hit in
//!    the cache neither boxes a future nor waits.
//! 3. The header values that may carry a key are marked as sensitive, so that they stay out of
//!    logs, and the [`Principal`](crate::Principal) is put into the request's extensions.
//! 4. The response gets `Cache-Control: private, no-cache`, unless the service said otherwise, and
//!    `Vary`, so that no shared cache shows it to somebody else (RFC 9111, section 3.5). Where that is
//!    [set](crate::Builder::tell_callers_of_end), it also tells when the key ends.
//!
//! A refused request never reaches the service. It is answered as RFC 6750 and RFC 9457 have it.
//!
//! # Deployment caveat
//! Put CORS outside of a guard: preflight requests carry no key. The body type of the responses
//! must be an [`AnswerBody`].

mod body;
#[cfg(feature = "tonic")]
mod dialect;
mod future;
mod layer;
mod reply;

pub use body::AnswerBody;
pub use future::GuardFuture;
pub use layer::Guarded;
use reply::Reply;
