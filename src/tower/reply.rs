use ::http::{HeaderValue, Request, Response, StatusCode};

use super::AnswerBody;
#[cfg(feature = "tonic")]
use super::dialect::Dialect;
use crate::answer::{Answer, Answers};
use crate::refusal::Refusal;

/// How a request is to be told that it is refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// With a problem.
    Http,
    /// With a gRPC status.
    #[cfg(feature = "tonic")]
    Grpc(Dialect),
}

impl Reply {
    /// In the way in which the request speaks, where gRPC is expected.
    #[cfg_attr(not(feature = "tonic"), expect(unused_variables))]
    pub(super) fn to<B>(request: &Request<B>, expects_grpc: bool) -> Self {
        #[cfg(feature = "tonic")]
        if expects_grpc && let Some(dialect) = Dialect::of(request) {
            return Self::Grpc(dialect);
        }
        Self::Http
    }

    pub(super) fn refuse<B: AnswerBody>(self, answers: &Answers, refusal: &Refusal) -> Response<B> {
        match self {
            Self::Http => answers.refuse(refusal).into(),
            #[cfg(feature = "tonic")]
            Self::Grpc(dialect) => dialect.refuse(answers.refuse_grpc(refusal)),
        }
    }
}

/// The answer as a response.
impl<B: AnswerBody> From<Answer> for Response<B> {
    fn from(answer: Answer) -> Self {
        let mut response = Response::new(B::from_bytes(answer.body));
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
