//! The one table from a refusal to its answer.

use super::grpc::{self, GrpcAnswer};
use super::problem::Problem;
use super::{Answer, Answers};
use std::time::Duration;

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
        Refusal::Failed(Error::Unguarded | Error::Undeclared(_)) => {
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
        Rejection::RateLimited { retry_after } => {
            // A part of a second counts as a whole one: coming back earlier would be in vain.
            let seconds = retry_after
                .as_secs()
                .saturating_add(u64::from(retry_after.subsec_nanos() > 0));
            Row::new(
                429,
                grpc::RESOURCE_EXHAUSTED,
                Challenge::None,
                "This API key is over its rate limit. Wait as Retry-After says.",
            )
            .retry_after(seconds.max(1))
        }
    }
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
        ManageError::Conflict(_) => said(409, grpc::ABORTED, "conflict"),
        ManageError::Store(store) => {
            let detail = match store.kind() {
                StoreErrorKind::OutcomeUnknown => IN_DOUBT,
                _ => NOT_DONE,
            };
            unavailable(detail)
        }
        ManageError::UnknownPepper(_) => unavailable(NOT_DONE),
        ManageError::Random(_) => Row {
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
        }
    }
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
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::answer::problem::CODES;
    use crate::credentials::Credentials;
    use crate::gate::Gate;
    use crate::key::{KeyId, RandomError};
    use crate::mac::PepperId;
    use crate::manage::Conflict;
    use crate::scope::{Rule, ScopeSet};
    use crate::store::{StoreError, StoreErrorKind};

    fn answers() -> Answers {
        Answers::new(Arc::new(Gate {
            realm: "R".into(),
            credentials: Credentials::new(),
            page: None,
            catalogue: None,
        }))
    }

    fn id() -> KeyId {
        "4KX9vQ2mB7tZ".parse().unwrap()
    }

    /// Whether documentation knows the code.
    fn is_listed(code: &str) -> bool {
        CODES.iter().any(|(known, _)| *known == code)
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        let mut of_name = answer.headers.iter().filter(|(n, _)| *n == name);
        let value = of_name.next().map(|(_, value)| value.as_str());
        assert!(of_name.next().is_none(), "{name} stands once at most");
        value
    }

    fn missing() -> Rejection {
        let rule = Rule::all(["a:x", "b"]).unwrap();
        let granted = ScopeSet::parse(["b"]).unwrap();
        Rejection::ScopeInsufficient(rule.check(&granted).unwrap_err())
    }

    #[test]
    fn every_code_of_the_catalogue_has_its_status_challenge_and_retry() {
        let bare = Some(r#"Bearer realm="R""#);
        let request = Some(r#"Bearer realm="R", error="invalid_request""#);
        let token = Some(r#"Bearer realm="R", error="invalid_token""#);
        let other = Some(
            r#"Bearer realm="R", error="invalid_token", error_description="The key belongs to another environment""#,
        );
        let scope = Some(r#"Bearer realm="R", error="insufficient_scope", scope="a:x b""#);
        let limited = Rejection::RateLimited {
            retry_after: Duration::from_millis(2_001),
        };
        let unknown = Error::UnknownPepper {
            key_id: id(),
            pepper: PepperId(1),
        };
        let cases = vec![
            (
                Refusal::from(Rejection::KeyMissing),
                "key_missing",
                401,
                bare,
                None,
            ),
            (
                Rejection::RequestMalformed.into(),
                "request_malformed",
                400,
                request,
                None,
            ),
            (
                Rejection::KeyDuplicated.into(),
                "key_duplicated",
                400,
                request,
                None,
            ),
            (Rejection::KeyInUrl.into(), "key_in_url", 400, request, None),
            (
                Rejection::KeyInvalid.into(),
                "key_invalid",
                401,
                token,
                None,
            ),
            (
                Rejection::WrongEnvironment.into(),
                "wrong_environment",
                401,
                other,
                None,
            ),
            (
                Rejection::KeyExpired.into(),
                "key_expired",
                401,
                token,
                None,
            ),
            (
                Rejection::KeyRevoked.into(),
                "key_revoked",
                401,
                token,
                None,
            ),
            (
                Rejection::KeyDisabled.into(),
                "key_disabled",
                401,
                token,
                None,
            ),
            (missing().into(), "scope_insufficient", 403, scope, None),
            (Rejection::IpDenied.into(), "ip_denied", 403, None, None),
            (
                Rejection::MethodDenied.into(),
                "method_denied",
                403,
                None,
                None,
            ),
            (limited.into(), "rate_limited", 429, None, Some("3")),
            (
                Error::Overloaded.into(),
                "store_unavailable",
                503,
                None,
                Some("1"),
            ),
            (unknown.into(), "store_unavailable", 503, None, Some("1")),
            (Error::Unguarded.into(), "internal", 500, None, None),
            (Error::Undeclared("a:x").into(), "internal", 500, None, None),
        ];
        for (refusal, code, status, challenge, retry_after) in cases {
            let answer = of_refusal(&refusal, "H: KEY").into_answer(Some(&answers()));
            assert_eq!(answer.status, status, "{code}");
            assert_eq!(header(&answer, "www-authenticate"), challenge, "{code}");
            assert_eq!(header(&answer, "retry-after"), retry_after, "{code}");
            assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{code}");
            assert_eq!(
                header(&answer, "content-type"),
                Some("application/problem+json"),
                "{code}"
            );
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(
                (body["status"].as_u64(), body["code"].as_str()),
                (Some(status.into()), Some(code))
            );
            assert!(is_listed(code), "{code}");
            assert!(
                body["detail"]
                    .as_str()
                    .is_some_and(|detail| detail.ends_with('.') || detail.ends_with("KEY"))
            );
        }
    }

    #[test]
    fn a_caller_over_its_limit_never_comes_back_at_once() {
        let most = u64::MAX.to_string();
        for (retry_after, seconds) in [(Duration::ZERO, "1"), (Duration::MAX, most.as_str())] {
            let limited = Rejection::RateLimited { retry_after };
            let answer = of_refusal(&limited.into(), "H: KEY").into_answer(Some(&answers()));
            assert_eq!(header(&answer, "retry-after"), Some(seconds));
        }
    }

    #[test]
    fn what_a_caller_sent_does_not_overflow_the_header_fields_of_grpc() {
        let scopes: Vec<String> = (0..128)
            .map(|n| format!("{}:{n}", "s".repeat(120)))
            .collect();
        let error = ManageError::BeyondCeiling(vec![Excess::Scopes(scopes.clone())]);
        let answer = of_manage_error(&error).into_grpc("keygate");
        let (name, missing) = &answer.metadata[0];
        assert_eq!(*name, "missing_scopes");
        for text in [&answer.message, missing] {
            assert!(text.len() <= 1028 && text.ends_with(" ..."), "{text}");
        }
        let whole = missing.strip_suffix(" ...").unwrap();
        assert!(whole.split(' ').eq(&scopes[..whole.split(' ').count()]));
        assert_eq!(shortened("a few words".into()), "a few words");
        assert_eq!(shortened("x".repeat(5_000)), " ...");
    }

    #[test]
    fn management_errors_have_their_status_and_tell_callers_nothing_of_our_own_failures() {
        let store = StoreError::new(StoreErrorKind::Unavailable, "/srv/keys.db: disk failure");
        let beyond = vec![Excess::Addresses, Excess::Scopes(vec!["a:x".into()])];
        let cases: Vec<(ManageError, u16, &str, Option<&str>)> = vec![
            (
                ManageError::Invalid("no".into()),
                400,
                "input_invalid",
                None,
            ),
            (
                ManageError::BeyondCeiling(beyond),
                403,
                "ceiling_exceeded",
                None,
            ),
            (ManageError::CallerEnded, 403, "caller_ended", None),
            (ManageError::NotFound(id()), 404, "not_found", None),
            (
                ManageError::OwnerNotFound("b".into()),
                404,
                "not_found",
                None,
            ),
            (Conflict::Revoked.into(), 409, "conflict", None),
            (store.into(), 503, "store_unavailable", Some(NOT_DONE)),
            (
                ManageError::UnknownPepper(PepperId(1)),
                503,
                "store_unavailable",
                Some(NOT_DONE),
            ),
            (
                RandomError::new(getrandom::Error::UNSUPPORTED).into(),
                500,
                "internal",
                Some(INTERNAL),
            ),
        ];
        for (error, status, code, instead) in cases {
            let grpc = of_manage_error(&error).into_grpc("keygate");
            assert_eq!(
                (grpc.code, &*grpc.reason),
                (of_grpc(status), &*code.to_uppercase())
            );
            let answer = of_manage_error(&error).into_answer(None);
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(answer.status, status, "{error:?}");
            assert_eq!(body["code"], code, "{error:?}");
            assert!(is_listed(code), "{code}");
            assert_eq!(header(&answer, "cache-control"), Some("no-store"));
            assert_eq!(header(&answer, "www-authenticate"), None);
            let said = instead.map_or(format!("{error}."), Into::into);
            assert_eq!(body["detail"], said, "{error:?}");
            if code == "ceiling_exceeded" {
                assert_eq!(body["missing_scopes"], serde_json::json!(["a:x"]));
            }
        }
    }

    /// As the gRPC status of a request to manage keys goes with its HTTP status.
    fn of_grpc(status: u16) -> i32 {
        match status {
            400 => 3,
            403 => 7,
            404 => 5,
            409 => 10,
            500 => 13,
            503 => 14,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_body_names_what_is_missing_and_the_challenge_what_would_do() {
        let answer = of_refusal(&missing().into(), "H: KEY").into_answer(Some(&answers()));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["missing_scopes"], serde_json::json!(["a:x"]));
        assert_eq!(body["required_scopes"], serde_json::json!(["a:x", "b"]));
    }
}
