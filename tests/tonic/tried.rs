//! Rules that only report, and metadata that tells when a key ends, over every kind of method.

use keygate::IntoRule;
use keygate::tonic::MethodRules;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

use crate::common::{DAY, World};
use crate::orders::orders_client::OrdersClient;
use crate::orders::{All, OrderId};
use crate::support::*;

#[tokio::test]
async fn a_method_with_a_tried_rule_is_open_to_every_key_and_its_neighbours_are_as_they_were() {
    let world = world().await;
    let spy = Spy::default();
    let rules = MethodRules::new()
        .method("orders.v1.Orders/Create", ORDERS_WRITE.report_only())
        .method("orders.v1.Orders/Upload", ORDERS_WRITE)
        .method("orders.v1.Orders/Chat", ORDERS_READ.report_only());
    let channel = connect(serve(world.keys.require_by_method(rules), &spy).await);
    let weak = key(&world.keys, &[]).await;
    for _cold_then_cached in 0..2 {
        for method in ["Create", "Chat"] {
            call(&channel, method, &weak).await.unwrap();
            let without = call(&channel, method, "").await.unwrap_err();
            assert_eq!(info(&without).reason, "KEY_MISSING", "{method}");
        }
        let enforced = call(&channel, "Upload", &weak).await.unwrap_err();
        assert_eq!(info(&enforced).reason, "SCOPE_INSUFFICIENT");
        for method in ["Get", "Watch"] {
            let unlisted = call(&channel, method, &weak).await.unwrap_err();
            assert_eq!(info(&unlisted).reason, "METHOD_DENIED", "{method}");
        }
    }
    assert_eq!(spy.calls(), 4);
}

#[tokio::test]
#[should_panic(
    expected = r#""orders:raed" is not a scope of this service: did you mean "orders:read"?"#
)]
async fn a_tried_rule_of_a_scope_that_is_not_declared_stops_the_start() {
    let rules = MethodRules::new().service("orders.v1.Orders", "orders:raed".report_only());
    world().await.keys.require_by_method(rules);
}

#[track_caller]
fn assert_told(metadata: &MetadataMap) {
    let told: Vec<_> = metadata.get_all("x-api-key-expires").iter().collect();
    assert_eq!(told, ["2027-02-20T05:34:28.000Z"]);
}

#[tokio::test]
async fn callers_are_told_in_the_metadata_of_replies_streams_and_errors_and_not_of_refusals() {
    let world = World::with(|builder| builder.scopes(SCOPES).tell_callers_of_end(100 * DAY)).await;
    let guard = world.keys.require_by_method(rules());
    let channel = connect(serve(guard, &Spy::default()).await);
    let mut client = OrdersClient::new(channel);
    let good = key(&world.keys, &["orders:read"]).await;
    for _cold_then_cached in 0..2 {
        let reply = client.get(with_key(OrderId::default(), &good)).await;
        assert_told(reply.unwrap().metadata());
        let replies = client.watch(with_key(All {}, &good)).await.unwrap();
        assert_told(replies.metadata());
        let refusal = client.create(with_key(Default::default(), &good)).await;
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.code(), Code::PermissionDenied);
        assert!(refusal.metadata().get("x-api-key-expires").is_none());
    }
}

/// An error of a method comes in trailers alone: its metadata is one with them.
#[tokio::test]
async fn callers_are_told_in_the_metadata_of_an_error_of_the_method() {
    use tower::{Layer, ServiceExt, service_fn};

    let world = World::with(|builder| builder.tell_callers_of_end(100 * DAY)).await;
    let good = key(&world.keys, &[]).await;
    let method = service_fn(
        |request: tonic::codegen::http::Request<tonic::body::Body>| async {
            let fails = service_fn(|_: Request<OrderId>| async {
                Err::<Response<OrderId>, _>(Status::not_found("there is no such order"))
            });
            let codec = tonic_prost::ProstCodec::<OrderId, OrderId>::default();
            let reply = tonic::server::Grpc::new(codec).unary(fails, request).await;
            Ok::<_, std::convert::Infallible>(reply)
        },
    );
    let guarded = world.keys.authenticate().layer(method);
    for _cold_then_cached in 0..2 {
        let request = tonic::codegen::http::Request::post("/orders.v1.Orders/Get")
            .header("content-type", "application/grpc")
            .header("x-api-key", &good)
            .body(tonic::body::Body::new(http_body_util::Full::from(vec![
                0;
                5
            ])));
        let response = guarded.clone().oneshot(request.unwrap()).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::NotFound);
        assert_told(status.metadata());
    }
}
