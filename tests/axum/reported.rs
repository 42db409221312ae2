//! Rules that only report. What all adapters have in common is in the case table.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use keygate::{IntoRule, Rule};

use crate::{call, gate, gate_with, key};

keygate::scopes! {
    SCOPES {
        /// See orders.
        ORDERS_READ = "orders:read",
    }
}

#[tokio::test]
#[should_panic(
    expected = r#""orders:raed" is not a scope of this service: did you mean "orders:read"?"#
)]
async fn a_tried_rule_of_a_scope_that_is_not_declared_stops_the_start() {
    let keys = gate_with(|builder| builder.scopes(SCOPES)).await;
    let _ = keys.require("orders:raed".report_only());
}

#[tokio::test]
async fn a_tried_rule_of_another_gate_lets_nobody_in_with_the_key_of_this_one() {
    let (outer, inner) = (gate().await, gate().await);
    let tried = inner.require("a".report_only());
    let within = Router::new().route("/", get(|| async {}).layer(tried));
    let app = within.layer(outer.authenticate());
    for key in [key(&outer, &["a"]).await, key(&inner, &["a"]).await] {
        for _cold_then_cached in 0..2 {
            let request = Request::get("/").header("x-api-key", &key);
            let answer = call(&app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 401);
        }
    }
}

#[tokio::test]
async fn a_tried_rule_is_satisfied_by_hand_too_and_its_enforced_twin_is_not() {
    let keys = gate().await;
    let text = key(&keys, &["b"]).await;
    let caller = crate::common::present(&keys, &text).await.unwrap();
    let rule = Rule::any(["a", "c"]).unwrap();
    assert!(caller.authorize(&rule.clone().report_only()).is_ok());
    assert!(caller.authorize(&rule).is_err());
}
