//! The guards on axum and on bare tower: who is let in, what they get, and what caches are told.

#![cfg(feature = "axum")]

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod charges;
mod declared;
mod ended_leaks;
mod ending;
mod imports;
mod leaks;
mod live;
mod reported;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body_util::BodyExt;
use keygate::{ClientAddress, Keygate, MemoryStore, NewKey, Pepper, Principal};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

async fn gate() -> Keygate {
    gate_with(|builder| builder).await
}

async fn gate_with(configure: impl FnOnce(keygate::Builder) -> keygate::Builder) -> Keygate {
    let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
    let builder = Keygate::builder("acme_live").decline_prefix("acme_test");
    let builder = builder.pepper(pepper).store(MemoryStore::new());
    configure(builder).build().await.unwrap()
}

async fn key(keys: &Keygate, scopes: &[&str]) -> String {
    let new = NewKey::for_owner("org_42").scopes(scopes.iter().copied());
    keys.manager()
        .issue(new)
        .await
        .unwrap()
        .key
        .expose()
        .to_owned()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(
            problem["status"],
            self.status.as_u16(),
            "the body agrees with the status"
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.headers["cache-control"], "no-store");
        problem["code"].as_str().unwrap().to_owned()
    }
}

async fn call(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn with_key(path: &str, key: &str) -> Request<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {key}"));
    request.body(Body::empty()).unwrap()
}

async fn owner(caller: Principal) -> String {
    caller.owner().to_owned()
}

#[tokio::test]
async fn a_guarded_route_answers_by_the_catalogue() {
    let keys = gate().await;
    let app = Router::new()
        .route("/orders", get(owner).layer(keys.require("orders:read")))
        .route("/open", get(|| async { "open" }));
    let (good, weak) = (key(&keys, &["orders:read"]).await, key(&keys, &[]).await);

    let answer = call(&app, with_key("/orders", &good)).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "org_42")
    );
    assert_eq!(answer.headers["cache-control"], "private, no-cache");
    assert_eq!(answer.headers["vary"], "Authorization, X-API-Key");

    let answer = call(&app, request("/orders")).await;
    assert_eq!(
        answer.headers["www-authenticate"],
        r#"Bearer realm="acme_live""#
    );
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::UNAUTHORIZED, "key_missing")
    );

    let answer = call(&app, with_key("/orders", &weak)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::FORBIDDEN, "scope_insufficient")
    );
    assert_eq!(
        answer.headers["www-authenticate"],
        r#"Bearer realm="acme_live", error="insufficient_scope", scope="orders:read""#
    );

    let answer = call(&app, with_key("/orders", "nonsense")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::UNAUTHORIZED, "key_invalid")
    );

    let answer = call(&app, with_key(&format!("/orders?key={good}"), &good)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::BAD_REQUEST, "key_in_url")
    );

    let answer = call(&app, request("/open")).await;
    assert_eq!(
        (answer.status, answer.headers.get("vary")),
        (StatusCode::OK, None)
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_key_that_does_not_exist_cannot_be_told_apart() {
    let keys = gate().await;
    let app = Router::new().route("/", get(owner).layer(keys.authenticate()));
    let good = key(&keys, &[]).await;
    let elsewhere = gate().await;
    let unknown_id = key(&elsewhere, &[]).await;
    let other_prefix = {
        let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
        let builder = Keygate::builder("globex_live").pepper(pepper);
        let keys = builder.store(MemoryStore::new()).build().await.unwrap();
        key(&keys, &[]).await
    };
    let bad_checksum = format!(
        "{}{}",
        &good[..good.len() - 1],
        if good.ends_with('0') { '1' } else { '0' }
    );
    let texts = [bad_checksum, unknown_id, other_prefix, "x".repeat(96)];
    let mut answers = Vec::new();
    for text in &texts {
        let answer = call(&app, with_key("/", text)).await;
        assert_eq!(answer.code(), "key_invalid");
        answers.push((answer.status, answer.headers, answer.body));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn guards_work_wherever_a_layer_can_stand() {
    let keys = gate().await;
    let good = key(&keys, &["a"]).await;
    let routes = || Router::new().route("/x", get(owner));
    let apps: Vec<(&str, &str, Router)> = vec![
        ("layer", "/x", routes().layer(keys.require("a"))),
        ("route_layer", "/x", routes().route_layer(keys.require("a"))),
        (
            "nested",
            "/n/x",
            Router::new().nest("/n", routes().layer(keys.require("a"))),
        ),
        (
            "outside a nest",
            "/n/x",
            Router::new().nest("/n", routes()).layer(keys.require("a")),
        ),
        (
            "merged",
            "/x",
            Router::new().merge(routes().layer(keys.require("a"))),
        ),
        (
            "fallback",
            "/nowhere",
            Router::new().fallback(get(owner)).layer(keys.require("a")),
        ),
    ];
    for (name, path, app) in apps {
        assert_eq!(
            call(&app, request(path)).await.code(),
            "key_missing",
            "{name}"
        );
        for _cold_then_cached in 0..2 {
            let answer = call(&app, with_key(path, &good)).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (StatusCode::OK, "org_42"),
                "{name}"
            );
        }
    }
    let routed = routes().route_layer(keys.require("a"));
    assert_eq!(
        call(&routed, request("/nowhere")).await.status,
        StatusCode::NOT_FOUND
    );

    let outside = keys.require("a").layer(routes());
    let response = outside
        .clone()
        .oneshot(with_key("/x", &good))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let response = outside.oneshot(request("/x")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn cors_in_front_answers_preflights_and_marks_refusals() {
    let keys = gate().await;
    let app = Router::new()
        .route("/x", post(owner))
        .layer(keys.require("a"))
        .layer(CorsLayer::permissive());
    let preflight = Request::options("/x")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .body(Body::empty())
        .unwrap();
    assert_eq!(call(&app, preflight).await.status, StatusCode::OK);
    let plain = Request::post("/x").header("origin", "https://app.example");
    let answer = call(&app, plain.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.code(), "key_missing");
}

#[tokio::test]
async fn an_inner_guard_reuses_the_principal_of_its_own_gate_alone() {
    let (keys, other) = (gate().await, gate().await);
    let (good, weak) = (key(&keys, &["a"]).await, key(&keys, &[]).await);
    let inner = get(owner).layer(keys.require("a"));
    let app = Router::new().route("/x", inner).layer(keys.authenticate());
    let answer = call(&app, with_key("/x", &good)).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "org_42")
    );
    assert_eq!(
        answer.headers.get_all("vary").iter().count(),
        1,
        "marked once"
    );
    assert_eq!(
        call(&app, with_key("/x", &weak)).await.code(),
        "scope_insufficient"
    );

    let app = Router::new().route("/x", get(owner).layer(other.authenticate()));
    let app = app.layer(keys.authenticate());
    let answer = call(&app, with_key("/x", &good)).await;
    assert_eq!(
        answer.code(),
        "key_invalid",
        "another gate's principal opens nothing"
    );
}

#[tokio::test]
async fn the_optional_guard_lets_callers_without_a_key_through_and_no_bad_key() {
    async fn maybe(caller: Option<Principal>) -> String {
        caller.map_or("nobody".into(), |caller| caller.owner().into())
    }
    let keys = gate().await;
    let good = key(&keys, &[]).await;
    let app = Router::new().route("/x", get(maybe).layer(keys.authenticate_optional()));
    let answer = call(&app, request("/x")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "nobody")
    );
    assert_eq!(answer.headers["vary"], "Authorization, X-API-Key");
    assert_eq!(call(&app, with_key("/x", &good)).await.body, "org_42");
    assert_eq!(
        call(&app, with_key("/x", "bad")).await.code(),
        "key_invalid"
    );

    let forged = Router::new()
        .route("/x", get(maybe).layer(keys.authenticate_optional()))
        .layer(gate().await.authenticate_optional());
    assert_eq!(call(&forged, request("/x")).await.body, "nobody");
}

#[tokio::test]
async fn the_optional_guard_refuses_whatever_is_not_one_credential() {
    async fn maybe(caller: Option<Principal>) -> String {
        caller.map_or("nobody".into(), |caller| caller.owner().into())
    }
    let keys = gate().await;
    let good = key(&keys, &[]).await;
    let app = Router::new().route("/x", get(maybe).layer(keys.authenticate_optional()));
    let malformed = Request::get("/x").header("authorization", "Bearer a b");
    let twice = Request::get("/x")
        .header("authorization", format!("Bearer {good}"))
        .header("x-api-key", &good);
    let in_url = Request::get(format!("/x?key={good}"));
    for (request, code) in [
        (malformed, "request_malformed"),
        (twice, "key_duplicated"),
        (in_url, "key_in_url"),
    ] {
        let answer = call(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.code(), code);
    }
}

#[tokio::test]
async fn an_optional_guard_hides_the_principal_of_another_gate() {
    async fn maybe(caller: Option<Principal>) -> String {
        caller.map_or("nobody".into(), |caller| caller.owner().into())
    }
    let (outer, inner) = (
        gate().await,
        gate_with(|b| b.credentials(keygate::Credentials::new().without_bearer())).await,
    );
    let of_outer = key(&outer, &[]).await;
    let app = Router::new().route("/x", get(maybe).layer(inner.authenticate_optional()));
    let app = app.layer(outer.authenticate());
    assert_eq!(call(&app, with_key("/x", &of_outer)).await.body, "nobody");
}

#[tokio::test]
async fn a_handler_without_a_guard_fails_instead_of_answering_everybody() {
    let app = Router::<()>::new().route("/x", get(owner));
    let answer = call(&app, request("/x")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, "internal")
    );
}

#[tokio::test]
async fn the_inner_service_sees_the_key_marked_as_sensitive() {
    async fn headers(headers: HeaderMap) -> String {
        format!("{headers:?}")
    }
    let keys = gate().await;
    let good = key(&keys, &[]).await;
    let app = Router::new().route("/x", get(headers).layer(keys.authenticate()));
    for _cold_then_cached in 0..2 {
        let own_header = Request::get("/x").header("x-api-key", &good);
        for request in [
            with_key("/x", &good),
            own_header.body(Body::empty()).unwrap(),
        ] {
            let answer = call(&app, request).await;
            assert!(
                answer.body.contains("Sensitive") && !answer.body.contains(&good),
                "{}",
                answer.body
            );
        }
    }
}

/// Only the clone that was polled ready may be called (`tower::Service::call`).
#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    struct Fussy {
        ready: bool,
    }
    impl Clone for Fussy {
        fn clone(&self) -> Self {
            Self { ready: false }
        }
    }
    impl Service<Request<()>> for Fussy {
        type Response = Response<Vec<u8>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            assert!(self.ready, "called without having been ready");
            self.ready = false;
            std::future::ready(Ok(Response::new(Vec::new())))
        }
    }
    let keys = gate().await;
    let good = key(&keys, &[]).await;
    let mut service = keys.authenticate().layer(Fussy { ready: false });
    for _cold_then_cached in 0..2 {
        let request = Request::get("/").header("x-api-key", &good);
        let ready = service.ready().await.unwrap();
        let response = ready.call(request.body(()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn the_service_may_say_itself_what_caches_are_to_do() {
    let keys = gate().await;
    let good = key(&keys, &[]).await;
    let handler = || async { [("cache-control", "no-store"), ("vary", "accept")] };
    let app = Router::new().route("/x", get(handler).layer(keys.authenticate()));
    let answer = call(&app, with_key("/x", &good)).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["accept", "Authorization, X-API-Key"]);
}

#[tokio::test]
async fn several_environments_are_told_apart_and_a_declined_one_is_named() {
    async fn environment(caller: Principal) -> String {
        caller.environment().to_string()
    }
    let keys = gate_with(|builder| builder.accept_prefix("acme_sandbox")).await;
    let sandbox = NewKey::for_owner("org_42").environment("acme_sandbox");
    let sandbox = keys.manager().issue(sandbox).await.unwrap();
    let live = key(&keys, &[]).await;
    let app = Router::new().route("/x", get(environment).layer(keys.authenticate()));
    assert_eq!(
        call(&app, with_key("/x", sandbox.key.expose())).await.body,
        "acme_sandbox"
    );
    assert_eq!(call(&app, with_key("/x", &live)).await.body, "acme_live");
    let test_key = "acme_test_9B8aUrgK57gd_RzH4EI57OFDnbTDyizMfdmAfbhtuxQxjf3EUsKwg4rd0tkZHL";
    let answer = call(&app, with_key("/x", test_key)).await;
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("error_description="), "{challenge}");
    assert_eq!(answer.code(), "wrong_environment");
}

#[tokio::test]
async fn the_client_address_comes_from_the_configured_source_and_from_nowhere_else() {
    async fn address(caller: Principal) -> String {
        format!("{:?}", caller.client_address())
    }
    let with_source = gate_with(|builder| builder.client_address(ClientAddress::peer())).await;
    let peer: SocketAddr = "[::ffff:10.1.2.3]:999".parse().unwrap();
    for (keys, expected) in [(with_source, "ok"), (gate().await, "ip_denied")] {
        let bound = NewKey::for_owner("org_42").allowed_ips(["10.0.0.0/8"]);
        let bound = keys.manager().issue(bound).await.unwrap();
        let app = Router::new()
            .route("/x", get(address).layer(keys.authenticate()))
            .layer(Extension(ConnectInfo(peer)));
        let mut request = with_key("/x", bound.key.expose());
        request
            .headers_mut()
            .insert("x-forwarded-for", "10.9.9.9".parse().unwrap());
        let answer = call(&app, request).await;
        match expected {
            "ok" => assert_eq!(answer.body, r#"Some(10.1.2.3)"#),
            code => assert_eq!(answer.code(), code),
        }
    }
}

#[tokio::test]
async fn a_plain_tower_service_is_guarded_just_the_same() {
    type Bytes = http_body_util::Full<axum::body::Bytes>;
    let keys = gate().await;
    let good = key(&keys, &["a"]).await;
    let service = service_fn(|request: Request<()>| async move {
        let caller = request.extensions().get::<Principal>().unwrap();
        Ok::<_, Infallible>(Response::new(Bytes::from(caller.owner().to_owned())))
    });
    let service = keys.require("a").layer(service);
    let request = |key: &str| Request::get("/").header("x-api-key", key).body(()).unwrap();
    let response = service.clone().oneshot(request(&good)).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "org_42"
    );
    let response = service.oneshot(request("bad")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_response_to_a_caller_whom_the_host_has_verified_by_itself_is_private_too() {
    async fn by_hand(keys: Keygate, mut request: Request<Body>, next: Next) -> Response<Body> {
        let text = request.headers()["x-api-key"].to_str().unwrap().to_owned();
        let caller = keys
            .authenticator()
            .authenticate(keygate::Attempt::new(&text))
            .await;
        request.extensions_mut().insert(caller.unwrap());
        next.run(request).await
    }
    let keys = gate().await;
    let good = key(&keys, &["a"]).await;
    let verifying = keys.clone();
    let app = Router::new()
        .route("/x", get(owner).layer(keys.require("a")))
        .layer(from_fn(move |request, next| {
            by_hand(verifying.clone(), request, next)
        }));
    let request = Request::get("/x").header("x-api-key", &good);
    let answer = call(&app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["cache-control"], "private, no-cache");
    assert_eq!(answer.headers["vary"], "Authorization, X-API-Key");
}

#[tokio::test]
async fn a_route_of_http_refuses_as_http_has_it_whatever_content_type_is_sent() {
    let keys = gate().await;
    let app = Router::new().route("/x", post(owner).layer(keys.require("a")));
    for content_type in [
        "application/grpc",
        "application/grpc-web-text",
        "application/json",
    ] {
        let request = Request::post("/x").header("content-type", content_type);
        let answer = call(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{content_type}");
        assert_eq!(answer.code(), "key_missing");
    }
}

#[tokio::test]
async fn management_errors_become_problems() {
    let keys = gate().await;
    let manager = keys.manager().clone();
    let app = Router::new().route(
        "/x",
        get(move || async move { manager.issue(NewKey::for_owner("")).await.map(|_| ()) }),
    );
    let answer = call(&app, request("/x")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::BAD_REQUEST, "input_invalid")
    );
    assert!(answer.body.contains("owner is empty"), "{}", answer.body);
}
