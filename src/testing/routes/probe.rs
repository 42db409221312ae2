//! Requests that must not get through.

use std::time::Duration;

use ::axum::Router;
use ::axum::body::{Body, to_bytes};
use ::axum::extract::Request;
use ::axum::response::Response;
use ::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tower_service::Service;

use super::RouteFault;
use super::listing::{Methods, Route};
use crate::answer::Answer;
use crate::authenticate::{Lost, within};
use crate::credentials::Way;
use crate::keygate::Keygate;
use crate::refusal::Rejection;

/// No key, in any service.
const NO_KEY: &str = "keygate-probe";

/// For what a path leaves open. It could be the name of a gRPC method.
const PARAMETER: &str = "keygate_probe";

/// For a method that no handler takes by name.
const UNKNOWN: &str = "KEYGATE-PROBE";

/// A guard answers at once. What waits longer than this is no guard.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests to send.
pub(super) struct Probe<'a> {
    pub(super) method: &'static str,
    path: &'a str,
    /// Whether it may be answered that there is nothing.
    may_be_absent: bool,
}

/// All requests for a route.
pub(super) fn all_of(route: &Route) -> Vec<Probe<'_>> {
    let probe = |method, may_be_absent| Probe {
        method,
        path: &route.path,
        may_be_absent,
    };
    match &route.methods {
        // `OPTIONS` may be CORS's.
        Methods::All => ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", UNKNOWN]
            .map(|method| probe(method, route.is_fallback))
            .into(),
        Methods::These(methods) => {
            let own = methods.iter().map(|method| probe(method, false));
            own.chain([probe(UNKNOWN, true)]).collect()
        }
    }
}

impl Probe<'_> {
    pub(super) fn name(&self) -> String {
        let method = match self.method {
            UNKNOWN => "(another method)",
            method => method,
        };
        format!("{method} {}", self.path)
    }

    /// Sends one with a text that is no key, and one without a key. Either must be refused.
    pub(super) async fn send(&self, keys: &Keygate, router: &Router) -> Result<(), RouteFault> {
        let way = keys.answers().credentials().ways().next();
        let all = [
            ("a text that is no key", way, Rejection::KeyInvalid),
            ("a request without a key", None, Rejection::KeyMissing),
        ];
        for (sent, way, due) in all {
            let refused = self.send_one(keys, router, way, due).await;
            refused.map_err(|answer| RouteFault::Unguarded {
                route: self.name(),
                sent,
                answer,
            })?;
        }
        Ok(())
    }

    /// Any answer but the one that is `due` is returned.
    async fn send_one(
        &self,
        keys: &Keygate,
        router: &Router,
        way: Option<Way<'_>>,
        due: Rejection,
    ) -> Result<(), String> {
        let response = answer(router.clone(), self.request(way)?).await?;
        let status = response.status();
        let is_absent = self.may_be_absent && (status == 404 || status == 405);
        let refusal = |why: Rejection| keys.answers().refuse(&why.into());
        let is_expected = is_absent
            || is_refusal(&response, &refusal(due))
            || self
                .is_denial(response, &refusal(Rejection::MethodDenied))
                .await;
        match is_expected {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    }

    fn request(&self, way: Option<Way<'_>>) -> Result<Request, String> {
        let request = Request::builder()
            .method(self.method)
            .uri(concrete(self.path));
        let request = match way {
            None => request,
            Some(Way::Bearer) => request.header(AUTHORIZATION, format!("Bearer {NO_KEY}")),
            Some(Way::Header(name)) => request.header(name, NO_KEY),
            Some(Way::Basic) => {
                let user = BASE64_STANDARD.encode(format!("{NO_KEY}:"));
                request.header(AUTHORIZATION, format!("Basic {user}"))
            }
        };
        let cannot = |error| format!("nothing, as no request can be made for this path: {error}");
        request.body(Body::empty()).map_err(cannot)
    }

    /// Whether a guard with rules for methods has denied one that is not listed. No challenge tells
    /// that from another 403, but the problem does. An answer to `HEAD` may come without it.
    async fn is_denial(&self, response: Response, denial: &Answer) -> bool {
        let has_headers = denial.headers.iter().all(|(name, value)| {
            let answered = response.headers().get(*name);
            answered.is_some_and(|answered| answered.as_bytes() == value.as_bytes())
        });
        if !has_headers || !is_refusal(&response, denial) {
            return false;
        }
        if self.method == "HEAD" {
            return true;
        }
        let body = Box::pin(to_bytes(response.into_body(), denial.body.len()));
        matches!(within(PATIENCE, body).await, Ok(Ok(body)) if body == denial.body)
    }
}

/// The path with something in the place of its parameters.
fn concrete(path: &str) -> String {
    let mut concrete = String::new();
    let mut rest = path;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        concrete += before;
        rest = if let Some(after) = brace.strip_prefix("{{") {
            concrete.push('{');
            after
        } else if let Some(after) = brace.strip_prefix("}}") {
            concrete.push('}');
            after
        } else {
            concrete += PARAMETER;
            brace.split_once('}').map_or("", |(_, after)| after)
        };
    }
    concrete + rest
}

/// What the router answers, unless it panics or takes too long.
async fn answer(mut router: Router, request: Request) -> Result<Response, String> {
    match within(PATIENCE, router.call(request)).await {
        Ok(response) => response.map_err(|never| match never {}),
        Err(Lost::Panicked) => Err("a panic".into()),
        Err(Lost::TooSlow) => Err(format!("nothing for {PATIENCE:?}")),
    }
}

/// Whether it is the gate's own.
fn is_refusal(response: &Response, refusal: &Answer) -> bool {
    let challenge = refusal.headers.iter();
    let challenge = challenge
        .filter(|(name, _)| *name == WWW_AUTHENTICATE)
        .map(|(_, value)| value.as_bytes());
    let answered = response.headers().get_all(WWW_AUTHENTICATE).iter();
    response.status() == refusal.status && answered.map(|value| value.as_bytes()).eq(challenge)
}

#[cfg(test)]
mod tests {
    use super::concrete;

    #[test]
    fn parameters_are_filled_in_and_escaped_braces_are_not() {
        let cases = [
            ("/", "/"),
            ("/keys/{id}/rotate", "/keys/keygate_probe/rotate"),
            ("/{a}/{*rest}", "/keygate_probe/keygate_probe"),
            ("/{*}", "/keygate_probe"),
            ("/v{version}.json", "/vkeygate_probe.json"),
            ("/{{a}}", "/{a}"),
        ];
        for (path, expected) in cases {
            assert_eq!(concrete(path), expected);
        }
    }
}
