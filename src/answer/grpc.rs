use std::time::Duration;

// The codes of gRPC's status that refusals have.
pub(super) const INVALID_ARGUMENT: i32 = 3;
pub(super) const NOT_FOUND: i32 = 5;
pub(super) const PERMISSION_DENIED: i32 = 7;
pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
pub(super) const ABORTED: i32 = 10;
pub(super) const INTERNAL: i32 = 13;
pub(super) const UNAVAILABLE: i32 = 14;
pub(super) const UNAUTHENTICATED: i32 = 16;

/// What gRPC calls a status code that refusals have.
pub(crate) fn name(code: i32) -> &'static str {
    match code {
        INVALID_ARGUMENT => "INVALID_ARGUMENT",
        NOT_FOUND => "NOT_FOUND",
        PERMISSION_DENIED => "PERMISSION_DENIED",
        RESOURCE_EXHAUSTED => "RESOURCE_EXHAUSTED",
        ABORTED => "ABORTED",
        UNAVAILABLE => "UNAVAILABLE",
        UNAUTHENTICATED => "UNAUTHENTICATED",
        _ => "INTERNAL",
    }
}

/// A complete gRPC answer that says no: a status and its details (`google.rpc.ErrorInfo` and
/// `google.rpc.RetryInfo`), to be sent in trailers alone.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GrpcAnswer {
    /// The status code, such as 16 for `UNAUTHENTICATED`.
    pub code: i32,
    /// The status message.
    pub message: String,
    /// The refusal's name in the error catalogue, in capitals: `ErrorInfo.reason`.
    pub reason: String,
    /// The realm: `ErrorInfo.domain`.
    pub domain: String,
    /// The scopes that are required and missing, separated by spaces: `ErrorInfo.metadata`.
    pub metadata: Vec<(&'static str, String)>,
    /// When to come back: `RetryInfo.retry_delay`, and `grpc-retry-pushback-ms`.
    pub retry_after: Option<Duration>,
    /// Further metadata, with names in lower case: how the limits of the key stand, where callers are
    /// told.
    pub headers: Vec<(&'static str, String)>,
}
