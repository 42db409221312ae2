use ::http::{Request, Response};

use crate::answer::GrpcAnswer;
use crate::tower::AnswerBody;

/// How a request speaks gRPC.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    /// As it is.
    Plain,
}

impl Dialect {
    /// Whether the request is a gRPC one.
    pub(crate) fn of<B>(_request: &Request<B>) -> Option<Self> {
        None
    }

    pub(crate) fn refuse<B: AnswerBody>(self, _answer: GrpcAnswer) -> Response<B> {
        Response::new(B::from_bytes(Vec::new()))
    }
}
