//! Callers are told when what they sent ends. What all adapters have in common is in the case table.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;
use keygate::{Credentials, Keygate, NewKey, Policy};

use crate::common::{DAY, World, present};
use crate::{call, gate_with, key};

const EXPIRES: &str = "x-api-key-expires";
const ROTATE_BY: &str = "x-api-key-rotate-by";

async fn told(app: &Router, headers: &[(&str, &str)]) -> Vec<HeaderValue> {
    let request = headers
        .iter()
        .fold(Request::get("/"), |request, (name, value)| {
            request.header(*name, *value)
        });
    let answer = call(app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200);
    let fields = [EXPIRES, ROTATE_BY].map(|name| answer.headers.get_all(name));
    fields.into_iter().flatten().cloned().collect()
}

#[tokio::test]
async fn nobody_is_told_unless_that_is_set() {
    let keys = gate_with(|builder| builder).await;
    let new = NewKey::for_owner("org_42").expires_in(Duration::from_secs(60));
    let issued = keys.manager().issue(new).await.unwrap();
    let app = Router::new().route("/", get(|| async {}).layer(keys.authenticate()));
    let key = issued.key.expose();
    assert!(told(&app, &[("x-api-key", key)]).await.is_empty());
    let caller = present(&keys, key).await.unwrap();
    assert_eq!(keys.answers().end_header(&caller), None);
}

#[tokio::test]
async fn of_the_keys_of_two_gates_the_end_of_the_inner_ones_is_told() {
    let outer = gate_with(|builder| {
        let own_field = Credentials::new().without_bearer().headers(["X-Outer-Key"]);
        // Of whose keys the secrets end first, which is another field.
        builder
            .credentials(own_field)
            .policy(Policy::new().max_secret_age(30 * DAY))
            .tell_callers_of_end(Duration::MAX)
    });
    let outer = outer.await;
    let world = World::with(|builder| builder.tell_callers_of_end(100 * DAY)).await;
    let inner = world.keys;
    let within = Router::new().route("/", get(|| async {}).layer(inner.authenticate()));
    let app = within.layer(outer.authenticate());
    let (of_outer, of_inner) = (key(&outer, &[]).await, key(&inner, &[]).await);
    let headers = [("x-outer-key", &*of_outer), ("x-api-key", &*of_inner)];
    for _cold_then_cached in 0..2 {
        assert_eq!(told(&app, &headers).await, ["2027-02-20T05:34:28.000Z"]);
    }
}

/// A middleware of the host's own, in the place of an outer guard.
async fn verify(
    axum::extract::State(keys): axum::extract::State<Keygate>,
    mut request: Request,
    next: Next,
) -> axum::response::Response {
    let text = request.headers()["x-api-key"].to_str().unwrap().to_owned();
    let caller = present(&keys, &text).await.unwrap();
    request.extensions_mut().insert(caller);
    next.run(request).await
}

#[tokio::test]
async fn a_caller_whom_the_host_has_verified_itself_is_told_by_a_guard_and_in_plain_values() {
    let world = World::with(|builder| builder.tell_callers_of_end(7 * DAY)).await;
    let keys = world.keys;
    let text = key(&keys, &[]).await;
    let app = Router::new()
        .route("/", get(|| async {}).layer(keys.authenticate()))
        .layer(from_fn_with_state(keys.clone(), verify));
    let headers = [("x-api-key", &*text)];
    let caller = present(&keys, &text).await.unwrap();
    assert!(told(&app, &headers).await.is_empty());
    assert_eq!(keys.answers().end_header(&caller), None);

    world.clock.advance(83 * DAY);
    let caller = present(&keys, &text).await.unwrap();
    let (name, moment) = keys.answers().end_header(&caller).unwrap();
    assert_eq!((name, &*moment), (EXPIRES, "2027-02-20T05:34:28.000Z"));
    assert_eq!(told(&app, &headers).await, [moment]);
    assert_eq!(
        caller.ends_at().unwrap().to_string(),
        "2027-02-20T05:34:28.000Z"
    );
}
