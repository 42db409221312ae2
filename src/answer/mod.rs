//! HTTP, as plain values: where a key is found in a request, and what a refusal looks like.
//!
//! The middleware of this crate is built on this, and so can be a middleware for any other
//! framework: [`Answers::extract`] finds the one credential, [`Answers::refuse`] says no.
//!
//! ```
//! # use keygate::answer::Answer;
//! # use keygate::{Attempt, Keygate, Principal};
//! async fn admit(keys: &Keygate, headers: &[(&str, &[u8])]) -> Result<Principal, Answer> {
//!     let (answers, authenticator) = (keys.answers(), keys.authenticator());
//!     let is_key = |text: &str| authenticator.recognises(text);
//!     let credential = answers.extract(headers.iter().copied(), None, is_key);
//!     let credential = credential.map_err(|rejection| answers.refuse(&rejection.into()))?;
//!     let attempt = Attempt::new(credential.text());
//!     let attempt = attempt.sent_by_browser(credential.sent_by_browser());
//!     let caller = authenticator.authenticate(attempt).await;
//!     caller.map_err(|refusal| answers.refuse(&refusal))
//! }
//! ```

mod ending;
mod extract;
mod grpc;
mod problem;
mod table;

pub(crate) use ending::{EXPIRES, Ending, ROTATE_BY};
pub use extract::Extracted;
pub use grpc::GrpcAnswer;
pub(crate) use grpc::name as grpc_name;
#[cfg(feature = "utoipa")]
pub(crate) use problem::CODES;
pub(crate) use problem::{phrase, title};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(any(feature = "tower", feature = "actix-web"))]
use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::exposure::{Exposure, Exposures};
use crate::gate::Gate;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::key::TAIL_LEN;
use crate::limit::Told;
use crate::manage::ManageError;
use crate::principal::Principal;
use crate::refusal::{Error, Refusal, Rejection};
use crate::scope::Catalogue;

/// How a gate asks for keys and refuses requests. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Answers(Arc<Gate>);

/// A complete HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields, with lower-case names.
    pub headers: Vec<(&'static str, String)>,
    /// The body: a problem (RFC 9457) as JSON.
    pub body: Vec<u8>,
}

impl Answers {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self(gate)
    }

    /// Those of the gate that has verified `principal`.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn of(principal: &Principal) -> Self {
        Self(Arc::clone(principal.gate()))
    }

    /// The one credential of a request.
    ///
    /// `headers` are all header lines, names in any case; `query` is the query of the request's URL;
    /// `is_key` tells a key of ours from other text, as
    /// [`Authenticator::recognises`](crate::Authenticator::recognises) does.
    ///
    /// # Errors
    /// [`Rejection::KeyMissing`], [`Rejection::KeyDuplicated`], [`Rejection::KeyInUrl`],
    /// [`Rejection::RequestMalformed`], [`Rejection::KeyInvalid`] for text that is too long.
    pub fn extract<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        query: Option<&str>,
        is_key: impl Fn(&str) -> bool,
    ) -> Result<Extracted<'a>, Rejection> {
        let gate = &*self.0;
        gate.credentials
            .extract(&gate.foreign, headers, query, is_key)
    }

    /// The key that stands in a part of a URL: in a query, [`extract`](Self::extract) refuses it.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn key_in(
        &self,
        part: &str,
        is_key: impl Fn(&str) -> bool,
    ) -> Option<Zeroizing<String>> {
        // No shorter part has room for one of ours.
        if part.len() <= TAIL_LEN && self.0.foreign.is_empty() {
            return None;
        }
        extract::key_in(part, &self.0.foreign, is_key)
    }

    /// The answer to a request that is not let through.
    pub fn refuse(&self, refusal: &Refusal) -> Answer {
        self.row(refusal).into_answer(Some(self))
    }

    /// The answer to a gRPC request that is not let through.
    pub fn refuse_grpc(&self, refusal: &Refusal) -> GrpcAnswer {
        self.row(refusal).into_grpc(&self.0.realm)
    }

    /// The header field that tells an accepted caller when its key ends, as name and value, where
    /// [`tell_callers_of_end`](crate::Builder::tell_callers_of_end) is set and that is near. Guards
    /// add it by themselves.
    ///
    /// ```
    /// # use keygate::{Keygate, Principal};
    /// fn tell(keys: &Keygate, caller: &Principal, headers: &mut Vec<(&'static str, String)>) {
    ///     headers.extend(keys.answers().end_header(caller));
    /// }
    /// ```
    pub fn end_header(&self, caller: &Principal) -> Option<(&'static str, String)> {
        let ending = self.ending(caller)?;
        Some((ending.name, ending.value()))
    }

    /// The header fields that tell an accepted caller how the limits of its key stand, as names and
    /// values, where [`tell_rate_limits`](crate::Builder::tell_rate_limits) is set and
    /// [`authenticate`](crate::Authenticator::authenticate) has taken from a limit. Guards add them by
    /// themselves, and refusals have them.
    pub fn limit_headers(
        &self,
        caller: &Principal,
    ) -> impl Iterator<Item = (&'static str, String)> + use<> {
        caller.told().map(Told::fields).into_iter().flatten()
    }

    pub(crate) fn ending(&self, caller: &Principal) -> Option<Ending> {
        let notice = self.0.end_notice.as_ref()?;
        Ending::of(caller).filter(|ending| notice.is_due(ending.at))
    }

    /// How long before the end of a key its callers are told of it, if they are.
    pub(crate) fn end_notice(&self) -> Option<Duration> {
        Some(self.0.end_notice.as_ref()?.within)
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn gate(&self) -> &Gate {
        &self.0
    }

    /// Whether callers are told how the limits of their keys stand.
    pub(crate) fn tells_limits(&self) -> bool {
        self.0.limiter.tells
    }

    /// What keys are refused for that were exposed on their way: the first of it, if it is anything.
    pub(crate) fn refused_exposure(&self) -> Option<Exposure> {
        self.0.exposure.refused(Exposures::ALL)
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    pub(crate) fn page(&self) -> Option<&str> {
        self.0.page.as_deref()
    }

    pub(crate) fn catalogue(&self) -> Option<Catalogue> {
        self.0.catalogue
    }

    pub(crate) fn realm(&self) -> &str {
        &self.0.realm
    }

    fn row(&self, refusal: &Refusal) -> table::Row {
        table::of_refusal(refusal, &self.0.credentials.how_to_send())
    }

    /// The names of all header fields that may carry a key: what answers to callers vary by, and
    /// what is kept out of logs.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.0.credentials.header_names()
    }
}

impl Answer {
    /// The answer of a handler that asks who is calling behind no guard.
    pub(crate) fn unguarded() -> Self {
        table::of_refusal(&Error::Unguarded.into(), "").into_answer(None)
    }
}

/// The status and the body.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

#[cfg(feature = "tonic")]
impl GrpcAnswer {
    /// The answer of a handler that asks who is calling behind no guard.
    pub(crate) fn unguarded() -> Self {
        table::of_refusal(&Error::Unguarded.into(), "").into_grpc(NO_REALM)
    }
}

/// The domain of answers of which no gate is known.
const NO_REALM: &str = "keygate";

/// The answer to a request to manage keys that failed.
impl From<&ManageError> for Answer {
    fn from(error: &ManageError) -> Self {
        table::of_manage_error(error).into_answer(None)
    }
}

/// The answer to a gRPC request to manage keys that failed.
impl From<&ManageError> for GrpcAnswer {
    fn from(error: &ManageError) -> Self {
        table::of_manage_error(error).into_grpc(NO_REALM)
    }
}
