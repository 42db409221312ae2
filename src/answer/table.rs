//! The one table from a refusal to its answer.

use super::grpc::{self, GrpcAnswer};
use super::problem::Problem;
use super::{Answer, Answers};
use std::time::Duration;

use crate::exposure::Exposure;
use crate::limit::{LimitState, fields, whole_seconds};
use crate::manage::{Excess, ManageError};
use crate::refusal::{Error, Refusal, Rejection};
use crate::scope::Scope;
use crate::store::StoreErrorKind;

/// A line of the table.
pub(super) struct Row {
    status: u16,
    grpc: i32,
    code: &'static str,
    detail: String,
    challenge: Challenge,
    retry_after: Option<u64>,
    required_scopes: Vec<String>,
    missing_scopes: Vec<String>,
    /// How the limits of the key stand, where callers are told.
    limits: Vec<LimitState>,
}

/// What `WWW-Authenticate` says (RFC 6750, section 3; RFC 9110, section 11.6.1).
enum Challenge {
    /// No such field.
    None,
    /// Only how to authenticate.
    Bare,
    /// And what was wrong.
    Error {
        error: &'static str,
        description: Option<&'static str>,
        scope: Option<String>,
    },
}

const RETRY_SECONDS: u64 = 1;

const fn error(error: &'static str) -> Challenge {
    Challenge::Error {
        error,
        description: None,
        scope: None,
    }
}

pub(super) fn of_refusal(refusal: &Refusal, how_to_send: &str) -> Row {
    let row = match refusal {
        Refusal::Rejected(rejection) => of_rejection(rejection, how_to_send),
        Refusal::Failed(Error::Unguarded | Error::Undeclared(_) | Error::QuotaFlawed { .. }) => {
            Row::new(500, grpc::INTERNAL, Challenge::None, INTERNAL)
        }
        Refusal::Failed(_) => unavailable(UNAVAILABLE),
    };
    Row {
        code: refusal.code(),
        ..row
    }
}

const INTERNAL: &str = "The service made a mistake. Please report it.";
const UNAVAILABLE: &str =
    "The service cannot check keys right now. Keep your key and try again in a moment.";

fn of_rejection(rejection: &Rejection, how_to_send: &str) -> Row {
    let malformed = || error("invalid_request");
    let invalid = || error("invalid_token");
    match rejection {
        Rejection::KeyMissing => Row::new(
            401,
            grpc::UNAUTHENTICATED,
            Challenge::Bare,
            format!("Send your API key: {how_to_send}"),
        ),
        Rejection::RequestMalformed => Row::new(
            400,
            grpc::UNAUTHENTICATED,
            malformed(),
            format!("The header with the API key is malformed. Send: {how_to_send}"),
        ),
        Rejection::KeyDuplicated => Row::new(
            400,
            grpc::UNAUTHENTICATED,
            malformed(),
            "More than one credential was sent. Send the API key in one header, once.",
        ),
        Rejection::KeyInUrl => Row::new(
            400,
            grpc::UNAUTHENTICATED,
            malformed(),
            "An API key was sent in the URL, where logs keep it. Send it in a header, and rotate it: it has leaked.",
        ),
        Rejection::KeyInvalid => Row::new(
            401,
            grpc::UNAUTHENTICATED,
            invalid(),
            "This is not a valid API key. Check that it was copied whole.",
        ),
        Rejection::WrongEnvironment => {
            const DESCRIPTION: &str = "The key belongs to another environment";
            Row::new(
                401,
                grpc::UNAUTHENTICATED,
                Challenge::Error {
                    error: "invalid_token",
                    description: Some(DESCRIPTION),
                    scope: None,
                },
                "This API key belongs to another environment. Use the key of this one.",
            )
        }
        Rejection::KeyExpired => Row::new(
            401,
            grpc::UNAUTHENTICATED,
            invalid(),
            "This API key has expired. Use its newer secret, or get a new key. Do not retry with this one.",
        ),
        Rejection::KeyRevoked => Row::new(
            401,
            grpc::UNAUTHENTICATED,
            invalid(),
            "This API key has been revoked. Get a new key.",
        ),
        Rejection::KeyDisabled => Row::new(
            401,
            grpc::UNAUTHENTICATED,
            invalid(),
            "This API key is disabled. Ask for it to be enabled.",
        ),
        Rejection::KeyExposed(exposure) => Row::new(
            400,
            grpc::UNAUTHENTICATED,
            malformed(),
            match exposure {
                Exposure::ByBrowser => {
                    "This API key was sent by a browser, where whoever uses that can read it. Send it from a server, and rotate it."
                }
                Exposure::InPlaintext => {
                    "This API key was sent over a connection that is not encrypted, where others can read it. Call by https alone, and rotate it."
                }
            },
        ),
        Rejection::ScopeInsufficient(missing) => {
            let names = |scopes: &[Scope]| -> Vec<String> {
                scopes.iter().map(ToString::to_string).collect()
            };
            let required_scopes = names(missing.sufficient());
            Row {
                missing_scopes: names(missing.missing()),
                ..Row::new(
                    403,
                    grpc::PERMISSION_DENIED,
                    Challenge::Error {
                        error: "insufficient_scope",
                        description: None,
                        scope: Some(required_scopes.join(" ")),
                    },
                    format!(
                        "This API key lacks {missing}. Request a key that has what is missing."
                    ),
                )
                .requiring(required_scopes)
            }
        }
        Rejection::IpDenied => Row::new(
            403,
            grpc::PERMISSION_DENIED,
            Challenge::None,
            "This API key does not work from your address. Call from a network on its list.",
        ),
        Rejection::MethodDenied => Row::new(
            403,
            grpc::PERMISSION_DENIED,
            Challenge::None,
            "This method is not open to API keys.",
        ),
        Rejection::RateLimited {
            retry_after,
            limits,
        } => Row {
            limits: limits.clone(),
            ..limited(
                *retry_after,
                "This API key is over its rate limit. Wait as Retry-After says.",
            )
        },
        Rejection::TooManyFailures { retry_after } => limited(
            *retry_after,
            "Too many attempts with what is no API key came from your address. Check the key, and wait \
             as Retry-After says.",
        ),
    }
}

fn limited(retry_after: Duration, detail: &str) -> Row {
    let seconds = whole_seconds(retry_after);
    Row::new(429, grpc::RESOURCE_EXHAUSTED, Challenge::None, detail).retry_after(seconds.max(1))
}

const NOT_DONE: &str =
    "The service cannot reach its key store right now. Nothing was changed: try again in a moment.";
const IN_DOUBT: &str = "The service lost its key store midway, and the change may or may not have \
    been made. Look at the key before you try again.";

fn unavailable(detail: &str) -> Row {
    Row {
        code: "store_unavailable",
        ..Row::new(503, grpc::UNAVAILABLE, Challenge::None, detail).retry_after(RETRY_SECONDS)
    }
}

pub(super) fn of_manage_error(error: &ManageError) -> Row {
    let said = |status, grpc, code| Row {
        code,
        ..Row::new(status, grpc, Challenge::None, sentence(&error.to_string()))
    };
    match error {
        ManageError::Invalid(_)
        | ManageError::Scope(_)
        | ManageError::Text(_)
        | ManageError::UndeclaredScope(_) => said(400, grpc::INVALID_ARGUMENT, "input_invalid"),
        ManageError::BeyondCeiling(excesses) => {
            let mut row = said(403, grpc::PERMISSION_DENIED, "ceiling_exceeded");
            for excess in excesses {
                if let Excess::Scopes(scopes) = excess {
                    row.missing_scopes.clone_from(scopes);
                }
            }
            row
        }
        ManageError::CallerEnded => said(403, grpc::PERMISSION_DENIED, "caller_ended"),
        ManageError::NotFound(_) | ManageError::OwnerNotFound(_) => {
            said(404, grpc::NOT_FOUND, "not_found")
        }
        ManageError::Conflict(_) | ManageError::PepperInUse { .. } => {
            said(409, grpc::ABORTED, "conflict")
        }
        ManageError::Store(store) => {
            let detail = match store.kind() {
                StoreErrorKind::OutcomeUnknown => IN_DOUBT,
                _ => NOT_DONE,
            };
            unavailable(detail)
        }
        ManageError::UnknownPepper(_) => unavailable(NOT_DONE),
        // A service that asks for usage should have a store that keeps it.
        ManageError::NoAuditLog | ManageError::NoUsage | ManageError::Random(_) => Row {
            code: "internal",
            ..Row::new(500, grpc::INTERNAL, Challenge::None, INTERNAL)
        },
    }
}

/// The text, or as many words of it as a header field should carry. What a caller has sent may come
/// back in it, and a gRPC client ends the connection over a few thousand bytes of header fields.
fn shortened(mut text: String) -> String {
    const MOST: usize = 1024;
    if text.len() > MOST {
        let space = text.as_bytes()[..MOST].iter().rposition(|c| *c == b' ');
        text.truncate(space.unwrap_or_default());
        text += " ...";
    }
    text
}

/// The text with a full stop, unless it asks something.
fn sentence(text: &str) -> String {
    let end = if text.ends_with('?') { "" } else { "." };
    format!("{text}{end}")
}

impl Row {
    fn new(status: u16, grpc: i32, challenge: Challenge, detail: impl Into<String>) -> Self {
        Self {
            status,
            grpc,
            code: "internal",
            detail: detail.into(),
            challenge,
            retry_after: None,
            required_scopes: Vec::new(),
            missing_scopes: Vec::new(),
            limits: Vec::new(),
        }
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    fn requiring(self, scopes: Vec<String>) -> Self {
        Self {
            required_scopes: scopes,
            ..self
        }
    }

    /// The answer over HTTP of the service that `answers`, where it is known which one.
    pub(super) fn into_answer(self, answers: Option<&Answers>) -> Answer {
        let mut headers = vec![
            ("content-type", "application/problem+json".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        if let Some(challenge) = answers.and_then(|answers| self.challenge.render(answers)) {
            headers.push(("www-authenticate", challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.push(("retry-after", seconds.to_string()));
        }
        headers.extend(limit_fields(&self.limits));
        let page = answers.and_then(|answers| answers.page());
        let problem = Problem::new(self.status, self.code, &self.detail, page)
            .with_scopes(&self.required_scopes, &self.missing_scopes);
        Answer {
            status: self.status,
            headers,
            body: problem.to_json(),
        }
    }

    /// The answer over gRPC.
    pub(super) fn into_grpc(self, domain: &str) -> GrpcAnswer {
        let scopes = [
            ("required_scopes", self.required_scopes),
            ("missing_scopes", self.missing_scopes),
        ];
        let named = scopes.into_iter().filter(|(_, scopes)| !scopes.is_empty());
        GrpcAnswer {
            code: self.grpc,
            message: shortened(self.detail),
            reason: self.code.to_ascii_uppercase(),
            domain: domain.to_owned(),
            metadata: named
                .map(|(name, scopes)| (name, shortened(scopes.join(" "))))
                .collect(),
            retry_after: self.retry_after.map(Duration::from_secs),
            headers: limit_fields(&self.limits).collect(),
        }
    }
}

fn limit_fields(limits: &[LimitState]) -> impl Iterator<Item = (&'static str, String)> {
    let told = (!limits.is_empty()).then(|| fields(limits));
    told.into_iter().flatten()
}

impl Challenge {
    fn render(&self, answers: &Answers) -> Option<String> {
        let scheme = answers.credentials().challenge_scheme();
        let mut text = format!("{scheme} realm=\"{}\"", answers.realm());
        match self {
            Self::None => return None,
            Self::Bare => {}
            Self::Error {
                error,
                description,
                scope,
            } => {
                text += &format!(", error=\"{error}\"");
                if let Some(description) = description {
                    text += &format!(", error_description=\"{description}\"");
                }
                if let Some(scope) = scope {
                    text += &format!(", scope=\"{scope}\"");
                }
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests;
