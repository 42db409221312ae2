//! What the check of routes says of gRPC services in a router of axum.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::any;
use keygate::testing::{RouteCheck, RouteFaults};
use keygate::tonic::MethodRules;
use tonic::service::Routes;

use crate::orders::orders_server::OrdersServer;
use crate::support::*;

const ORDERS: &str = "orders.v1.Orders";
const PATH: &str = "/orders.v1.Orders/{*rest}";

fn orders() -> Router {
    Routes::new(OrdersServer::new(Spy::default())).into_axum_router()
}

fn said(outcome: Result<(), RouteFaults>) -> String {
    outcome.map_or_else(|faults| faults.to_string(), |()| "no fault".into())
}

#[tokio::test]
async fn a_service_is_guarded_by_a_rule_for_it_or_by_denial_of_what_is_not_listed() {
    let keys = world().await.keys;
    for rules in [
        MethodRules::new(),
        MethodRules::new().method("orders.v1.Orders/Get", ORDERS_READ),
        MethodRules::new().service(ORDERS, ORDERS_READ),
        MethodRules::new().authenticated(ORDERS),
    ] {
        let unlisted = Router::new().route("/health.v1.Health/{*rest}", any(|| async {}));
        let app = orders().merge(unlisted);
        let app = app.layer(keys.require_by_method(rules));
        RouteCheck::new(&keys).assert(&app).await;
    }
}

#[tokio::test]
async fn a_service_that_is_open_as_a_whole_has_to_be_named() {
    let keys = world().await.keys;
    let rules = MethodRules::new().open(ORDERS);
    let app = orders().layer(keys.require_by_method(rules));
    let faults = said(RouteCheck::new(&keys).check(&app).await);
    assert!(
        faults.contains("POST /orders.v1.Orders/{*rest} has no guard"),
        "{faults}"
    );
    RouteCheck::new(&keys).open([PATH]).assert(&app).await;
}

#[tokio::test]
async fn a_service_without_rules_is_not_guarded() {
    let keys = world().await.keys;
    let faults = said(RouteCheck::new(&keys).check(&orders()).await);
    for route in [PATH, "/{*}"] {
        assert!(
            faults.contains(&format!("POST {route} has no guard")),
            "{faults}"
        );
    }
}

#[tokio::test]
async fn no_other_answer_passes_for_the_denial_of_a_method() {
    let keys = world().await.keys;
    let problem = || {
        [
            (CONTENT_TYPE, "application/problem+json"),
            (CACHE_CONTROL, "no-store"),
        ]
    };
    let other = r#"{"type":"about:blank","title":"Forbidden","status":403}"#;
    let with_body = ["GET", "POST", "(another method)"];
    let all = ["GET", "HEAD", "POST", "(another method)"];
    for (handler, methods) in [
        (any(|| async { StatusCode::FORBIDDEN }), &all[..]),
        (
            any(move || async move { (StatusCode::FORBIDDEN, problem(), other) }),
            &with_body,
        ),
        (
            any(move || async move { (StatusCode::FORBIDDEN, problem()) }),
            &with_body,
        ),
    ] {
        let app = Router::new().route(PATH, handler);
        let faults = said(RouteCheck::new(&keys).check(&app).await);
        for method in methods {
            assert!(
                faults.contains(&format!("{method} {PATH} has no guard")),
                "{faults}"
            );
        }
    }
}
