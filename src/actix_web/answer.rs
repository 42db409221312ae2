use ::actix_web::body::BoxBody;
use ::actix_web::http::StatusCode;
use ::actix_web::http::header::{HeaderName, HeaderValue};
use ::actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};

use crate::answer::Answer;
use crate::manage::ManageError;
use crate::telemetry;

/// The answer as a response.
impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> Self {
        let status = status_of(&answer);
        let mut response = Self::with_body(status, BoxBody::new(answer.body));
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                let name = HeaderName::from_static(name);
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The table knows valid codes only.
pub(super) fn status_of(answer: &Answer) -> StatusCode {
    StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        self.into()
    }
}

impl ResponseError for Answer {
    fn status_code(&self) -> StatusCode {
        status_of(self)
    }

    fn error_response(&self) -> HttpResponse {
        self.clone().into()
    }
}

/// Tells the caller what is wrong with the request and how to mend it; our own failures go to the
/// log, and the caller is told no more than to come back.
impl ResponseError for ManageError {
    fn status_code(&self) -> StatusCode {
        status_of(&self.into())
    }

    fn error_response(&self) -> HttpResponse {
        let answer = Answer::from(self);
        if answer.status >= 500 {
            telemetry::failed("key not managed", self);
        }
        answer.into()
    }
}
