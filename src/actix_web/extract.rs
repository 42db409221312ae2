use std::fmt;
use std::future::{Ready, ready};

use ::actix_web::dev::Payload;
use ::actix_web::http::StatusCode;
use ::actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};

use super::answer::status_of;
use crate::guard::Authorized;
use crate::guard::authorized::{Denied, verified};
use crate::principal::Principal;
use crate::scope::Requirement;

/// Who is calling, verified by a guard before the handler.
impl FromRequest for Principal {
    type Error = ExtractError;
    type Future = Ready<Result<Self, ExtractError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let principal = verified(extensions.get(), extensions.get()).cloned();
        ready(principal.map_err(ExtractError))
    }
}

/// Who is calling, if that caller has the scopes of `R`.
impl<R: Requirement + 'static> FromRequest for Authorized<R> {
    type Error = ExtractError;
    type Future = Ready<Result<Self, ExtractError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let authorized = Self::judge(extensions.get(), extensions.get());
        ready(authorized.map_err(ExtractError))
    }
}

/// Why a handler has no caller to work for: no guard has looked for a key (500), an optional one let
/// the caller through without (401), or the caller lacks a scope (403). It is logged when it becomes the response, and not when the handler asks for an
/// `Option`.
#[derive(Debug)]
pub struct ExtractError(Denied);

impl ResponseError for ExtractError {
    fn status_code(&self) -> StatusCode {
        status_of(&self.0.answer())
    }

    fn error_response(&self) -> HttpResponse {
        self.0.log();
        self.0.answer().into()
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for ExtractError {}
