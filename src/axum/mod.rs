//! axum 0.8: the [middleware](crate::tower), extractors for who is calling, and errors as responses.
//!
//! ```
//! # async fn run(keys: keygate::Keygate, listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! use axum::{Router, routing::get};
//! use keygate::Principal;
//!
//! let app = Router::new()
//!     .route("/healthz", get(|| async { "ok" }))
//!     .route("/orders", get(list).layer(keys.require("orders:read")));
//! axum::serve(listener, app).await
//! # }
//! # async fn list(caller: keygate::Principal) -> String { format!("orders of {}", caller.owner()) }
//! ```
//!
//! A handler that takes a [`Principal`] answers 401 to a caller without a key whom
//! [`authenticate_optional`](crate::Keygate::authenticate_optional) let through. Behind no guard it
//! answers 500, and not 200 to everybody; the log says why. One that takes `Option<Principal>` gets
//! `None` in both.
//!
//! Keys that are bound to networks need [`client_address`](crate::Builder::client_address), and a server
//! that tells the peer: `axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())`.
//!
//! With the feature `utoipa`, `RoutesExt` guards and documents routes in one step.

#[cfg(feature = "utoipa")]
mod routes;

#[cfg(feature = "utoipa")]
pub use routes::RoutesExt;

use std::convert::Infallible;

use ::axum::extract::{FromRequestParts, OptionalFromRequestParts};
use ::axum::response::{IntoResponse, Response};
use ::http::request::Parts;

use crate::answer::Answer;
use crate::guard::Authorized;
use crate::guard::authorized::verified;
use crate::manage::ManageError;
use crate::principal::Principal;
use crate::scope::Requirement;
use crate::telemetry;

/// Who is calling, verified by a guard before the handler.
impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Answer> {
        Ok(verified(parts.extensions.get(), parts.extensions.get())?.clone())
    }
}

/// Who is calling, if that caller has the scopes of `R`.
impl<S: Send + Sync, R: Requirement> FromRequestParts<S> for Authorized<R> {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Answer> {
        Self::of(&parts.extensions)
    }
}

/// Who is calling, if anybody was verified.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.into()
    }
}

/// Tells the caller what is wrong with the request and how to mend it; our own failures go to the
/// log, and the caller is told no more than to come back.
impl IntoResponse for ManageError {
    fn into_response(self) -> Response {
        let answer = Answer::from(&self);
        if answer.status >= 500 {
            telemetry::failed("key not managed", &self);
        }
        answer.into()
    }
}
