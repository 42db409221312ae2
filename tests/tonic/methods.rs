//! What is asked of each method.

use keygate::tonic::MethodRules;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::orders::{Note, Order, orders_client::OrdersClient};
use crate::support::*;

#[tokio::test]
async fn every_kind_of_method_asks_what_is_listed_for_it_or_for_its_service() {
    let world = world().await;
    let spy = Spy::default();
    let channel = connect(serve(world.keys.require_by_method(rules()), &spy).await);
    let both = key(&world.keys, &["orders:read", "orders:write"]).await;
    let reader = key(&world.keys, &["orders:read"]).await;
    let nothing = key(&world.keys, &[]).await;

    use Code::{Ok as Fine, PermissionDenied as Denied, Unauthenticated as NoKey};
    for (key, expected) in [
        (&both, [Fine, Fine, Fine, Fine, Fine]),
        (&reader, [Denied, Fine, Fine, Denied, Fine]),
        (&nothing, [Denied, Denied, Denied, Denied, Fine]),
        (&String::new(), [NoKey, NoKey, NoKey, NoKey, NoKey]),
        (&"bad".to_owned(), [NoKey, NoKey, NoKey, NoKey, NoKey]),
    ] {
        for (method, expected) in METHODS.into_iter().zip(expected) {
            for _cold_then_cached in 0..2 {
                let before = spy.calls();
                let code = match call(&channel, method, key).await {
                    Ok(replies) => {
                        let streams = matches!(method, "Watch" | "Upload" | "Chat");
                        assert_eq!(replies, if streams { 2 } else { 1 }, "{method}");
                        Fine
                    }
                    Err(status) => status.code(),
                };
                assert_eq!(code, expected, "{method} with {key:?}");
                assert_eq!(spy.calls() - before, usize::from(code == Fine), "{method}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_is_refused_before_its_first_message() {
    let world = world().await;
    let spy = Spy::default();
    let channel = connect(serve(world.keys.require_by_method(rules()), &spy).await);
    let nothing = key(&world.keys, &[]).await;
    let mut client = OrdersClient::new(channel);
    for _cold_then_cached in 0..2 {
        let orders = with_key(tokio_stream::pending::<Order>(), &nothing);
        let status = client.upload(orders).await.unwrap_err();
        assert_eq!(info(&status).reason, "SCOPE_INSUFFICIENT");
        let notes = with_key(tokio_stream::pending::<Note>(), "");
        let status = client.chat(notes).await.unwrap_err();
        assert_eq!(info(&status).reason, "KEY_MISSING");
    }
    assert_eq!(spy.calls(), 0);
}

#[tokio::test]
async fn a_method_that_is_not_listed_is_denied_whatever_the_request_says_it_is() {
    let world = world().await;
    let spy = Spy::default();
    let rules = MethodRules::new().method("orders.v1.Orders/Get", ORDERS_READ);
    let mut channel = connect(serve(world.keys.require_by_method(rules), &spy).await);
    let both = key(&world.keys, &["orders:read", "orders:write"]).await;
    for method in ["Create", "Watch", "Upload", "Chat"] {
        let status = call(&channel, method, &both).await.unwrap_err();
        assert_eq!(
            (status.code(), info(&status).reason.as_str()),
            (Code::PermissionDenied, "METHOD_DENIED"),
            "{method}"
        );
    }
    let mut health = HealthClient::new(channel.clone());
    let status = health
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(info(&status).reason, "METHOD_DENIED");

    for path in [
        "/",
        "/orders.v1.Orders/Create",
        "/orders.v1.Orders/get",
        "/orders.v1.Orders/Get/",
        "//orders.v1.Orders/Get",
        "/orders.v1.Orders//Get",
        "/orders.v1.Orders/%47et",
        "/healthz",
    ] {
        for (content_type, status, field, value) in [
            ("application/grpc", 200, "grpc-status", "7"),
            ("application/grpc-web", 200, "grpc-status", "7"),
            (
                "application/json",
                403,
                "content-type",
                "application/problem+json",
            ),
        ] {
            let request = Request::post(path)
                .header("content-type", content_type)
                .header("x-api-key", &both)
                .body(Body::empty());
            std::future::poll_fn(|context| channel.poll_ready(context))
                .await
                .unwrap();
            let response = channel.call(request.unwrap()).await.unwrap();
            assert_eq!(response.status(), status, "{path} {content_type}");
            assert_eq!(response.headers()[field], value, "{path} {content_type}");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
    }
    assert_eq!((spy.calls(), world.store.gets.count()), (0, 0));

    call(&channel, "Get", &both).await.unwrap();
    assert_eq!((spy.calls(), world.store.gets.count()), (1, 1));
}

#[tokio::test]
async fn a_forged_content_type_changes_nothing_of_what_is_asked() {
    let world = world().await;
    let spy = Spy::default();
    let mut channel = connect(serve(world.keys.require_by_method(rules()), &spy).await);
    let nothing = key(&world.keys, &[]).await;
    for (content_type, status) in [("application/grpc", 200), ("text/plain", 403), ("", 403)] {
        let request = Request::post("/orders.v1.Orders/Get")
            .header("content-type", content_type)
            .header("x-api-key", &nothing)
            .body(Body::empty());
        std::future::poll_fn(|context| channel.poll_ready(context))
            .await
            .unwrap();
        let response = channel.call(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{content_type}");
    }
    assert_eq!(spy.calls(), 0);
}

#[tokio::test]
async fn health_and_reflection_are_open_by_name_and_need_no_key_nor_the_store() {
    let world = world().await;
    let guard = world.keys.require_by_method(rules());
    let channel = connect(serve(guard, &Spy::default()).await);
    let good = key(&world.keys, &[]).await;
    for key in ["", "bad", &good] {
        let mut health = HealthClient::new(channel.clone());
        let checked = health
            .check(with_key(HealthCheckRequest::default(), key))
            .await;
        let checked = checked.unwrap();
        assert_eq!(checked.get_ref().status, 1, "{key:?}");
        // It is the same for everybody.
        assert!(checked.metadata().get("vary").is_none());
        assert!(checked.metadata().get("cache-control").is_none());

        let mut reflection = ServerReflectionClient::new(channel.clone());
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let questions = with_key(tokio_stream::once(question), key);
        let mut answers = reflection.server_reflection_info(questions).await.unwrap();
        let answer = answers.get_mut().next().await.unwrap().unwrap();
        assert!(format!("{answer:?}").contains("orders.v1.Orders"));
    }
    assert_eq!(world.store.gets.count(), 0);
}

#[tokio::test]
#[should_panic(expected = "no call of it asks for a key")]
async fn a_charge_for_calls_that_are_open_stops_the_start() {
    let rules = MethodRules::new()
        .open("grpc.health.v1.Health")
        .charge("grpc.health.v1.Health/Check", keygate::Charge::of(2));
    world().await.keys.require_by_method(rules);
}

#[tokio::test]
#[should_panic(expected = "takes nothing of the quota")]
async fn a_charge_of_a_method_that_cannot_be_taken_stops_the_start() {
    let exports = keygate::Quota::new("exports", keygate::RateLimit::per_hour(10));
    let rules = MethodRules::new()
        .service("orders.v1.Orders", "orders:read")
        .charge("orders.v1.Orders/Export", exports.cost(0));
    world().await.keys.require_by_method(rules);
}

#[tokio::test]
#[should_panic(
    expected = r#""orders:raed" is not a scope of this service: did you mean "orders:read"?"#
)]
async fn a_scope_that_the_service_does_not_declare_stops_the_start() {
    let rules = MethodRules::new().service("orders.v1.Orders", "orders:raed");
    world().await.keys.require_by_method(rules);
}
