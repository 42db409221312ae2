use super::*;
use std::sync::Arc;

use crate::answer::problem::CODES;
use crate::credentials::Credentials;
use crate::exposure::{Exposure, ExposurePolicy};
use crate::gate::Gate;
use crate::key::{KeyId, RandomError};
use crate::mac::PepperId;
use crate::manage::Conflict;
use crate::scope::{Rule, ScopeSet};
use crate::store::{StoreError, StoreErrorKind};

fn answers() -> Answers {
    Answers::new(Arc::new(Gate {
        exposure: ExposurePolicy::default(),
        realm: "R".into(),
        credentials: Credentials::new(),
        foreign: Default::default(),
        page: None,
        catalogue: None,
        end_notice: None,
        standing: Default::default(),
        limiter: Default::default(),
        quotas: Default::default(),
        meter: None,
        events: Default::default(),
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        url_leaks: None,
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
        limits: Vec::new(),
    };
    let failing = Rejection::TooManyFailures {
        retry_after: Duration::from_secs(2),
    };
    let flawed = Error::QuotaFlawed {
        name: "x",
        problem: "y".into(),
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
            Rejection::KeyExposed(Exposure::ByBrowser).into(),
            "key_exposed",
            400,
            request,
            None,
        ),
        (
            Rejection::KeyExposed(Exposure::InPlaintext).into(),
            "key_exposed",
            400,
            request,
            None,
        ),
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
        (failing.into(), "rate_limited", 429, None, Some("2")),
        (
            Error::LimiterAway(id()).into(),
            "store_unavailable",
            503,
            None,
            Some("1"),
        ),
        (flawed.into(), "internal", 500, None, None),
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
fn a_caller_over_its_limit_is_told_how_its_limits_stand_if_that_is_known() {
    use crate::limit::LimitState;
    use crate::record::RateLimit;

    let state = LimitState {
        name: "exports",
        limit: RateLimit::per_hour(10),
        remaining: 4,
        full_after: Duration::from_millis(1),
    };
    let refused = |limits| {
        let limited = Rejection::RateLimited {
            retry_after: Duration::from_secs(1),
            limits,
        };
        let row = || of_refusal(&limited.clone().into(), "H: KEY");
        (row().into_answer(Some(&answers())), row().into_grpc("R"))
    };
    let (http, grpc) = refused(vec![state]);
    let policy = r#""exports";q=10;w=3600"#;
    assert_eq!(header(&http, "ratelimit-policy"), Some(policy));
    let left = r#""exports";r=4;t=1"#;
    assert_eq!(header(&http, "ratelimit"), Some(left));
    let expected = [("ratelimit-policy", policy), ("ratelimit", left)];
    let told = grpc.headers.iter();
    assert!(
        told.map(|(name, value)| (*name, value.as_str()))
            .eq(expected)
    );
    let (http, grpc) = refused(Vec::new());
    assert_eq!(header(&http, "ratelimit"), None);
    assert!(grpc.headers.is_empty());
}

#[test]
fn a_caller_over_its_limit_never_comes_back_at_once() {
    let most = u64::MAX.to_string();
    for (retry_after, seconds) in [(Duration::ZERO, "1"), (Duration::MAX, most.as_str())] {
        let limited = Rejection::RateLimited {
            retry_after,
            limits: Vec::new(),
        };
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
        (
            ManageError::PepperInUse {
                pepper: PepperId(1),
                keys: 2,
                owners: vec!["a".into()],
                unreadable: 0,
            },
            409,
            "conflict",
            None,
        ),
        (store.into(), 503, "store_unavailable", Some(NOT_DONE)),
        (
            ManageError::UnknownPepper(PepperId(1)),
            503,
            "store_unavailable",
            Some(NOT_DONE),
        ),
        (ManageError::NoAuditLog, 500, "internal", Some(INTERNAL)),
        (ManageError::NoUsage, 500, "internal", Some(INTERNAL)),
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
