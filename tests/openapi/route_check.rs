//! The check of routes: it passes on the service, and fails on each planted fault.

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{any, get, options, post};
use keygate::testing::{RouteCheck, RouteFaults};
use keygate::{Credentials, Guard, Keygate, Principal};
use tower_http::cors::CorsLayer;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};

use crate::support::*;

const OPEN: [&str; 4] = ["/healthz", "/openapi.json", "/docs/keys", "/docs/keys.md"];

async fn nothing() {}

fn said(outcome: Result<(), RouteFaults>) -> String {
    outcome.map_or_else(|faults| faults.to_string(), |()| "no fault".into())
}

/// The one fault of a router, whose other routes are right.
async fn fault_of(keys: &Keygate, router: Router) -> String {
    let guarded = Router::new().route("/guarded", get(nothing).layer(keys.authenticate()));
    let faults = RouteCheck::new(keys).check(&router.merge(guarded)).await;
    let faults = faults.expect_err("no fault was found");
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

#[tokio::test]
async fn the_service_passes_with_its_document() {
    let (keys, app, document) = service().await;
    let check = RouteCheck::new(&keys).open(OPEN).document(&document);
    check.assert(&app).await;
}

#[tokio::test]
async fn a_route_without_a_rule_fails_and_is_named() {
    let (keys, app, document) = service().await;
    let app = app.route("/leak", get(nothing));
    let check = RouteCheck::new(&keys).open(OPEN);
    let faults = said(check.check(&app).await);
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(faults.contains("GET /leak has no guard"), "{faults}");
    assert!(faults.contains("200 OK"), "{faults}");
    let faults = said(check.document(&document).check(&app).await);
    assert!(
        faults.contains("GET /leak is not in the document"),
        "{faults}"
    );
}

#[tokio::test]
async fn a_method_without_a_rule_beside_a_guarded_one_fails() {
    let (keys, app, _) = service().await;
    let app = app.route("/v1/orders", axum::routing::delete(nothing));
    let faults = said(RouteCheck::new(&keys).open(OPEN).check(&app).await);
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(
        faults.contains("DELETE /v1/orders has no guard"),
        "{faults}"
    );
}

#[tokio::test]
async fn a_route_that_is_documented_and_not_guarded_fails() {
    let (keys, app, document) = service().await;
    let mut changed = document.clone();
    let item = changed.paths.paths["/v1/orders"].clone();
    changed.paths.paths.insert("/v1/copies".into(), item);
    let app = app.route("/v1/copies", get(nothing).post(nothing));
    let faults = said(
        RouteCheck::new(&keys)
            .open(OPEN)
            .document(&changed)
            .check(&app)
            .await,
    );
    assert_eq!(faults.lines().count(), 3, "{faults}");
    for route in ["GET /v1/copies", "POST /v1/copies"] {
        assert!(
            faults.contains(&format!("{route} has no guard")),
            "{faults}"
        );
    }
}

#[tokio::test]
async fn a_document_that_says_otherwise_fails() {
    let (keys, app, document) = service().await;
    let check = |document| {
        let (keys, app) = (keys.clone(), app.clone());
        async move {
            let check = RouteCheck::new(&keys).open(OPEN).document(&document);
            said(check.check(&app).await)
        }
    };

    let mut without_security = document.clone();
    let item = without_security.paths.paths.get_mut("/v1/keys").unwrap();
    item.post.as_mut().unwrap().security = None;
    let faults = check(without_security.clone()).await;
    assert!(
        faults.contains("POST /v1/keys declares no security"),
        "{faults}"
    );
    let keyless = utoipa::openapi::security::SecurityRequirement::default();
    without_security.security = Some(vec![keyless]);
    let faults = check(without_security.clone()).await;
    assert!(
        faults.contains("POST /v1/keys declares no security"),
        "{faults}"
    );

    let mut of_all = without_security;
    of_all.security = document.paths.paths["/v1/whoami"]
        .get
        .clone()
        .unwrap()
        .security;
    let faults = check(of_all).await;
    assert!(!faults.contains("POST /v1/keys"), "{faults}");
    assert!(
        faults.contains("GET /healthz is named as open, and asks"),
        "{faults}"
    );

    let mut incomplete = document.clone();
    incomplete.paths.paths.get_mut("/v1/keys").unwrap().get = None;
    let faults = check(incomplete).await;
    assert!(
        faults.contains("GET /v1/keys is not in the document"),
        "{faults}"
    );

    let mut invented = document.clone();
    let item = invented.paths.paths["/v1/whoami"].clone();
    invented.paths.paths.insert("/v1/nowhere".into(), item);
    let faults = check(invented).await;
    assert!(
        faults.contains("GET /v1/nowhere is in the document"),
        "{faults}"
    );

    let mut other_method = document.clone();
    let item = other_method.paths.paths.get_mut("/v1/whoami").unwrap();
    item.patch = item.get.clone();
    let faults = check(other_method).await;
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(
        faults.contains("PATCH /v1/whoami is in the document"),
        "{faults}"
    );

    let mut closed = document.clone();
    let asked = closed.paths.paths["/v1/whoami"]
        .get
        .clone()
        .unwrap()
        .security;
    let item = closed.paths.paths.get_mut("/healthz").unwrap();
    item.get.as_mut().unwrap().security = asked;
    let faults = check(closed).await;
    assert!(
        faults.contains("GET /healthz is named as open, and asks"),
        "{faults}"
    );
}

#[tokio::test]
async fn wildcards_and_routes_for_all_methods_are_found_in_a_document() {
    let keys = gate(|builder| builder).await;
    let app = Router::new()
        .route("/files/{*rest}", get(nothing))
        .route("/any", any(nothing))
        .layer(keys.authenticate());
    let operation = || OperationBuilder::new().build();
    for wildcard in ["/files/{rest}", "/files/{*rest}"] {
        let mut document = utoipa::openapi::OpenApi::default();
        let paths = &mut document.paths;
        paths.add_path_operation(wildcard, vec![HttpMethod::Get], operation());
        let check = |document: &utoipa::openapi::OpenApi| {
            let (keys, app, document) = (keys.clone(), app.clone(), document.clone());
            async move { said(RouteCheck::new(&keys).document(&document).check(&app).await) }
        };
        keys.authenticate().document(&mut document.paths);
        let faults = check(&document).await;
        assert_eq!(faults.lines().count(), 2, "{faults}");
        assert!(faults.contains("/any is not in the document"), "{faults}");

        let paths = &mut document.paths;
        paths.add_path_operation("/any", vec![HttpMethod::Put], operation());
        keys.authenticate().document(paths);
        assert_eq!(check(&document).await, "no fault");
    }
}

#[tokio::test]
async fn open_routes_that_do_not_exist_fail() {
    let (keys, app, _) = service().await;
    let open = OPEN.iter().copied().chain(["/heathz", "POST /healthz"]);
    let faults = said(RouteCheck::new(&keys).open(open).check(&app).await);
    assert_eq!(faults.lines().count(), 3, "{faults}");
    for name in ["/heathz", "POST /healthz"] {
        assert!(
            faults.contains(&format!("{name} is named as open")),
            "{faults}"
        );
    }
}

#[tokio::test]
async fn one_method_of_a_path_can_be_open() {
    let keys = gate(|builder| builder).await;
    let app = Router::new().route("/a", get(nothing).post(nothing));
    let faults = said(RouteCheck::new(&keys).open(["GET /a"]).check(&app).await);
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(faults.contains("POST /a has no guard"), "{faults}");
}

#[tokio::test]
async fn every_kind_of_route_is_seen() {
    let keys = gate(|builder| builder).await;
    let leaks = |name: &str, method| format!("{method} {name} has no guard");
    let nested = Router::new().route("/{id}", post(nothing));
    let cases = [
        (
            Router::new().route("/any", any(nothing)),
            leaks("/any", "GET"),
        ),
        (
            Router::new().route_service("/service", get(nothing)),
            leaks("/service", "GET"),
        ),
        (
            Router::new().route("/files/{*rest}", get(nothing)),
            leaks("/files/{*rest}", "GET"),
        ),
        (
            Router::new().nest("/nested", nested.clone()),
            leaks("/nested/{id}", "POST"),
        ),
        (
            Router::new().nest_service("/below", Router::new().fallback(nothing)),
            leaks("/below/{*}", "GET"),
        ),
        (
            Router::new().route("/options", options(nothing)),
            leaks("/options", "OPTIONS"),
        ),
        (Router::new().fallback(nothing), leaks("/{*}", "GET")),
        (
            Router::new().nest("/in", nested.fallback(nothing).layer(keys.authenticate())),
            "no fault".into(),
        ),
        (
            Router::new().route(
                "/b",
                get(nothing).layer(keys.authenticate()).fallback(nothing),
            ),
            leaks("/b", "(another method)"),
        ),
    ];
    for (router, expected) in cases {
        if expected == "no fault" {
            RouteCheck::new(&keys).assert(&router).await;
        } else {
            let faults = fault_of(&keys, router).await;
            assert!(faults.contains(&expected), "{expected}: {faults}");
        }
    }
}

#[tokio::test]
async fn guarded_routes_of_every_kind_pass() {
    let keys = gate(|builder| builder).await;
    let inner = Router::new()
        .route("/any", any(nothing))
        .route_service("/service", get(nothing))
        .route("/files/{*rest}", get(nothing))
        .nest("/nested", Router::new().route("/{id}", post(nothing)))
        .nest_service("/below", Router::new().fallback(nothing))
        .fallback(nothing)
        .layer(keys.require("a:x"));
    let app = inner.layer(CorsLayer::permissive());
    RouteCheck::new(&keys).assert(&app).await;
}

#[tokio::test]
async fn a_route_that_needs_no_key_is_open_although_it_refuses_bad_ones() {
    let keys = gate(|builder| builder).await;
    let optional = || any(nothing).layer(keys.authenticate_optional());
    let router = Router::new().route("/optional", optional());
    let faults = fault_of(&keys, router.clone()).await;
    assert!(
        faults.contains("GET /optional has no guard that asks for a key: a request without a key"),
        "{faults}"
    );
    RouteCheck::new(&keys)
        .open(["/optional"])
        .assert(&router)
        .await;

    let guarded = Router::new().route("/guarded", get(nothing).layer(keys.authenticate()));
    let fallback = guarded.fallback_service(optional());
    let faults = said(RouteCheck::new(&keys).check(&fallback).await);
    assert!(faults.contains("GET /{*} has no guard"), "{faults}");
}

#[tokio::test]
async fn a_document_says_of_open_routes_alone_that_a_key_is_optional() {
    let keys = gate(|builder| builder).await;
    let check = async |guard: Guard, documented: Guard, open: &[&str]| {
        let app = Router::new()
            .route("/a", get(nothing).layer(guard))
            .route("/b", get(nothing).layer(keys.authenticate()));
        let mut document = utoipa::openapi::OpenApi::default();
        for (path, guard) in [("/a", documented), ("/b", keys.authenticate())] {
            let mut paths = utoipa::openapi::path::Paths::new();
            let operation = OperationBuilder::new().build();
            paths.add_path_operation(path, vec![HttpMethod::Get], operation);
            guard.document(&mut paths);
            document.paths.merge(paths);
        }
        let check = RouteCheck::new(&keys).open(open.iter().copied());
        said(check.document(&document).check(&app).await)
    };
    let (needed, optional) = (keys.authenticate(), keys.authenticate_optional());
    let all_is_well = check(optional.clone(), optional.clone(), &["/a"]).await;
    assert_eq!(all_is_well, "no fault");
    let faults = check(needed.clone(), optional.clone(), &[]).await;
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(faults.contains("GET /a declares no security"), "{faults}");
    let faults = check(optional, needed, &["/a"]).await;
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(
        faults.contains("GET /a is named as open, and asks for a key"),
        "{faults}"
    );
}

#[tokio::test]
async fn a_document_that_asks_for_one_of_no_alternatives_asks_for_nothing() {
    let (keys, app, mut document) = service().await;
    let item = document.paths.paths.get_mut("/v1/keys").unwrap();
    item.post.as_mut().unwrap().security = Some(vec![]);
    let check = RouteCheck::new(&keys).open(OPEN).document(&document);
    let faults = said(check.check(&app).await);
    assert!(
        faults.contains("POST /v1/keys declares no security"),
        "{faults}"
    );
}

#[tokio::test]
async fn keys_are_sent_as_the_gate_takes_them() {
    let basic = Credentials::new().without_bearer().headers([""; 0]);
    for ways in [
        basic.accept_basic(),
        Credentials::new().without_bearer().headers(["X-Own"]),
    ] {
        let keys = gate(|builder| builder.credentials(ways)).await;
        let guarded = get(nothing).layer(keys.authenticate());
        RouteCheck::new(&keys)
            .assert(&Router::new().route("/a", guarded))
            .await;
    }
}

#[tokio::test]
async fn only_the_gates_own_refusal_counts() {
    let keys = gate(|builder| builder).await;
    let other = gate(|builder| builder.realm("other")).await;
    async fn unauthorized(_: Method) -> StatusCode {
        StatusCode::UNAUTHORIZED
    }
    async fn unguarded(_: Principal) {}
    let challenge = r#"Bearer realm="acme_live", error="invalid_token""#;
    for route in [
        get(unauthorized),
        get(unguarded),
        get(move || async move { [("www-authenticate", challenge)] }),
        any(|| async { StatusCode::NOT_FOUND }),
        get(nothing).layer(other.authenticate()),
        get(|| async { StatusCode::NOT_FOUND }),
        get(|| async { StatusCode::FORBIDDEN }),
        get(move || async move { (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]) }),
    ] {
        let faults = fault_of(&keys, Router::new().route("/a", route)).await;
        assert!(faults.contains("GET /a has no guard"), "{faults}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_a_fault_and_not_the_end_of_the_check() {
    let keys = gate(|builder| builder).await;
    let panics = get(async || -> () { panic!("called") });
    let router = Router::new()
        .route("/panics", panics)
        .route("/leak", get(nothing));
    let faults = fault_of(&keys, router).await;
    assert!(faults.contains("GET /panics has no guard"), "{faults}");
    assert!(faults.contains("GET /leak has no guard"), "{faults}");
}

#[tokio::test]
async fn a_router_without_routes_is_not_one_without_faults() {
    let keys = gate(|builder| builder).await;
    let faults = said(RouteCheck::new(&keys).check(&Router::new()).await);
    assert!(faults.contains("cannot be read"), "{faults}");
}

#[tokio::test]
#[should_panic(expected = "route_check.rs")]
async fn a_failed_assertion_names_the_place_of_the_test() {
    let keys = gate(|builder| builder).await;
    let app = Router::new().route("/leak", get(nothing));
    RouteCheck::new(&keys).assert(&app).await;
}
