use bytes::Bytes;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use http_body_util::{BodyExt, Full};

/// A response body that a refusal can be written into.
///
/// A service behind a guard must answer with such a body. The usual ones are: `Full`, `BoxBody` and
/// `UnsyncBoxBody` of `http_body_util`, those of axum and tonic, and `Vec<u8>`.
///
/// The body of another crate's service is boxed below the guard, or wrapped in a type of your own.
pub trait AnswerBody {
    /// Whether a service with this body speaks gRPC, so that refusals do too.
    const SPEAKS_GRPC: bool = false;

    /// A body of these bytes.
    fn from_bytes(bytes: Vec<u8>) -> Self;
}

impl AnswerBody for Vec<u8> {
    fn from_bytes(bytes: Vec<u8>) -> Self {
        bytes
    }
}

impl AnswerBody for Full<Bytes> {
    fn from_bytes(bytes: Vec<u8>) -> Self {
        bytes.into()
    }
}

impl<E> AnswerBody for BoxBody<Bytes, E> {
    fn from_bytes(bytes: Vec<u8>) -> Self {
        Full::from(bytes).map_err(|never| match never {}).boxed()
    }
}

impl<E> AnswerBody for UnsyncBoxBody<Bytes, E> {
    fn from_bytes(bytes: Vec<u8>) -> Self {
        Full::from(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    }
}

#[cfg(feature = "axum")]
impl AnswerBody for axum::body::Body {
    fn from_bytes(bytes: Vec<u8>) -> Self {
        bytes.into()
    }
}

#[cfg(feature = "tonic")]
impl AnswerBody for tonic::body::Body {
    const SPEAKS_GRPC: bool = true;

    fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::new(Full::from(bytes))
    }
}
