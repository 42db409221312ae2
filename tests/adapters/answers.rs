//! What came back, and what had to.

use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::cases::{Case, Expect, Refused, Route};
use crate::common::LIVE;
use crate::world::PAGE;

/// An answer over HTTP. Fields that a server adds for the connection's sake are left out.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    /// In alphabetical order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer over gRPC.
#[derive(Debug)]
pub(crate) struct GrpcAnswer {
    pub(crate) http_status: u16,
    pub(crate) headers: HeaderMap,
    /// The length-prefixed messages.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl HttpAnswer {
    pub(crate) fn new<'a>(
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        body: Vec<u8>,
    ) -> Self {
        const OF_THE_CONNECTION: [&str; 4] =
            ["connection", "content-length", "date", "transfer-encoding"];
        let mut headers: Vec<(String, String)> = headers
            .into_iter()
            .map(|(name, value)| {
                (
                    name.to_lowercase(),
                    String::from_utf8(value.into()).unwrap(),
                )
            })
            .filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()))
            .collect();
        headers.sort();
        Self {
            status,
            headers,
            body,
        }
    }

    pub(crate) fn check(&self, case: &Case) {
        let name = case.name;
        let (status, headers) = match case.expect {
            Expect::Accepted("nobody") => (200, vec![("vary", case.setup.vary().to_owned())]),
            Expect::Accepted(_) => {
                let cache = ("cache-control", "private, no-cache".to_owned());
                (200, vec![cache, ("vary", case.setup.vary().to_owned())])
            }
            Expect::Refused(refused) => (refused.status, refusal_headers(case, refused)),
        };
        // Its name comes last in the alphabet.
        let told = case.told.map(|(name, moment)| (name, moment.to_owned()));
        let headers: Vec<_> = headers.into_iter().chain(told).collect();
        let expected = headers.iter().map(|(name, value)| (*name, value.as_str()));
        // What a handler says is its content is its own matter.
        let of_handler = |name: &str| self.status == 200 && name == "content-type";
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = headers.filter(|(name, _)| !of_handler(name));
        let (headers, expected): (Vec<_>, Vec<_>) = (headers.collect(), expected.collect());
        assert_eq!((self.status, headers), (status, expected), "{name}");
        match case.expect {
            Expect::Accepted(owner) => assert_eq!(self.body, owner.as_bytes(), "{name}"),
            Expect::Refused(refused) => self.check_problem(name, refused),
        }
    }

    fn check_problem(&self, name: &str, refused: Refused) {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        let code = refused.code;
        // A handler that stands behind no guard does not know where the page stands.
        let kind = match code {
            "internal" => "about:blank".to_owned(),
            code => format!("{PAGE}#{code}"),
        };
        assert_eq!(
            (&body["type"], &body["code"], &body["status"]),
            (&json!(kind), &json!(code), &json!(refused.status)),
            "{name}"
        );
        let missing = refused.missing.map_or(Value::Null, |scope| json!([scope]));
        assert_eq!(body["missing_scopes"], missing, "{name}");
        assert!(
            body["title"].is_string() && body["detail"].is_string(),
            "{name}"
        );
    }
}

/// In alphabetical order.
fn refusal_headers(case: &Case, refused: Refused) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("cache-control", "no-store".to_owned()),
        ("content-type", "application/problem+json".to_owned()),
    ];
    if let Some(seconds) = refused.retry_after {
        headers.push(("retry-after", seconds.to_string()));
    }
    // What is refused behind a guard comes back through it.
    if behind_guard(case, refused) {
        headers.push(("vary", case.setup.vary().to_owned()));
    }
    if let Some(added) = refused.challenge {
        headers.push((
            "www-authenticate",
            format!("{} realm=\"{LIVE}\"{added}", case.setup.scheme()),
        ));
    }
    headers
}

impl GrpcAnswer {
    pub(crate) fn check(&self, case: &Case) {
        let name = case.name;
        assert_eq!(self.http_status, 200, "{name}");
        assert_eq!(self.headers["content-type"], "application/grpc", "{name}");
        for field in ["x-api-key-expires", "x-api-key-rotate-by"] {
            let told = case.told.filter(|(name, _)| *name == field);
            let found: Vec<_> = self.headers.get_all(field).iter().collect();
            let expected: Vec<_> = told.iter().map(|(_, moment)| *moment).collect();
            assert_eq!(found, expected, "{name}: {field}");
        }
        match case.expect {
            Expect::Accepted(owner) => {
                let trailers = self.trailers.as_ref().unwrap();
                assert_eq!(trailers["grpc-status"], "0", "{name}");
                let message = self.body.strip_prefix(&[0, 0, 0, 0]).unwrap();
                assert!(message.ends_with(owner.as_bytes()), "{name}: {message:?}");
            }
            Expect::Refused(refused) => self.check_refusal(case, refused),
        }
    }

    fn check_refusal(&self, case: &Case, refused: Refused) {
        let name = case.name;
        assert!(self.body.is_empty(), "{name}");
        assert!(
            self.trailers.is_none(),
            "{name}: the status comes alone, in the headers"
        );
        let status = Status::from_header_map(&self.headers).unwrap();
        assert_eq!(status.code(), Code::from(refused.grpc), "{name}");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.reason, refused.code.to_uppercase(), "{name}");
        let missing = info.metadata.get("missing_scopes").map(String::as_str);
        assert_eq!(missing, refused.missing, "{name}");
        let delay = details.retry_info().and_then(|retry| retry.retry_delay);
        assert_eq!(
            delay,
            refused.retry_after.map(Duration::from_secs),
            "{name}"
        );
        let pushback = self.headers.get("grpc-retry-pushback-ms");
        let pushback = pushback.map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
        assert_eq!(
            pushback,
            refused.retry_after.map(|seconds| seconds * 1_000),
            "{name}"
        );
        if refused.code != "internal" {
            assert_eq!(info.domain, LIVE, "{name}");
            // What a handler refuses comes back through the guard.
            let by_handler = case.route != Route::Nested && behind_guard(case, refused);
            let expected = match (by_handler, refused.code) {
                (true, "key_missing") => None,
                (true, _) => Some("private, no-cache"),
                (false, _) => Some("no-store"),
            };
            let cache = self.headers.get("cache-control");
            assert_eq!(
                cache.map(|cache| cache.to_str().unwrap()),
                expected,
                "{name}"
            );
        }
    }
}

/// Whether it is the handler that refuses, or an inner guard, behind a guard that let the request
/// through.
fn behind_guard(case: &Case, refused: Refused) -> bool {
    match case.route {
        Route::Extracted | Route::Nested | Route::Strict => refused.missing.is_some(),
        Route::Insistent => refused.code == "key_missing",
        _ => false,
    }
}
