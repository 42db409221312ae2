//! Requests that are wrong, and how they are told.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, request};
use axum::response::{IntoResponse, Response};
use keygate::{KeyId, ManageError};
use serde::de::DeserializeOwned;
use serde_json::json;

/// A JSON body. None at all counts as `{}`.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let detail = format!("the body is not the JSON that is expected here: {error}");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    }
}

/// The key that the path names.
pub(crate) struct Id(pub(crate) KeyId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let extract::Path(id) = extract::Path::<String>::from_request_parts(parts, state).await?;
        let unknown = |error| {
            Problem::new(
                StatusCode::NOT_FOUND,
                format!("there is no such key: {error}"),
            )
        };
        Ok(Self(id.parse().map_err(unknown)?))
    }
}

/// The media type of a problem.
pub(crate) const PROBLEM: &str = "application/problem+json";

/// An answer that says what is wrong (RFC 9457).
pub(crate) struct Problem(Response);

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            _ => "input_invalid",
        };
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": detail.into(),
        });
        let kind = [(CONTENT_TYPE, PROBLEM)];
        Self((status, kind, body.to_string()).into_response())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.0
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        Self(error.into_response())
    }
}

macro_rules! problem_from {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        }
    )*};
}

problem_from!(
    BytesRejection,
    PathRejection,
    QueryRejection,
    WebSocketUpgradeRejection
);
