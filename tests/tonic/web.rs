//! gRPC-Web, with its layer outside of the guard and inside.

use http_body_util::BodyExt;
use keygate::Keygate;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::service::Routes;
use tonic_web::{GrpcWebCall, GrpcWebClientLayer, GrpcWebLayer};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt};

use crate::orders::orders_client::OrdersClient;
use crate::orders::orders_server::OrdersServer;
use crate::orders::{All, OrderId};
use crate::support::*;

type Server =
    BoxCloneService<Request<Body>, tonic::codegen::http::Response<Body>, std::convert::Infallible>;

/// A server with the layers in either order.
fn servers(keys: &Keygate) -> [(&'static str, Server); 2] {
    let routes = || Routes::new(OrdersServer::new(Spy::default()));
    let guard = || keys.require_by_method(rules());
    let web_outside = GrpcWebLayer::new().layer(guard().layer(routes()));
    let guard_outside = guard().layer(GrpcWebLayer::new().layer(routes()));
    [
        ("web outside", BoxCloneService::new(web_outside)),
        ("guard outside", BoxCloneService::new(guard_outside)),
    ]
}

#[tokio::test]
async fn a_web_client_gets_replies_and_statuses_whichever_layer_is_outside() {
    let world = world().await;
    let good = key(&world.keys, &["orders:read"]).await;
    let weak = key(&world.keys, &[]).await;
    for (order, server) in servers(&world.keys) {
        let server = server.map_request(|call: Request<GrpcWebCall<Body>>| call.map(Body::new));
        let mut client = OrdersClient::new(GrpcWebClientLayer::new().layer(server));
        client
            .get(with_key(OrderId::default(), &good))
            .await
            .unwrap();
        let mut replies = client
            .watch(with_key(All {}, &good))
            .await
            .unwrap()
            .into_inner();
        assert!(replies.message().await.unwrap().is_some(), "{order}");

        let status = client
            .get(with_key(OrderId::default(), &weak))
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), info(&status).reason.as_str()),
            (Code::PermissionDenied, "SCOPE_INSUFFICIENT"),
            "{order}"
        );
        let status = client.watch(with_key(All {}, "")).await.unwrap_err();
        assert_eq!(info(&status).reason, "KEY_MISSING", "{order}");
    }
}

#[tokio::test]
async fn a_web_refusal_is_of_the_content_type_of_its_request_and_says_all_in_its_headers() {
    let world = world().await;
    for (order, server) in servers(&world.keys) {
        for content_type in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc-web-text",
            "application/grpc-web-text+proto",
        ] {
            let request = Request::post("/orders.v1.Orders/Get")
                .header("content-type", content_type)
                .header("accept", content_type)
                .body(Body::empty());
            let response = server.clone().oneshot(request.unwrap()).await.unwrap();
            assert_eq!(
                (
                    response.status().as_u16(),
                    &response.headers()["grpc-status"]
                ),
                (200, &"16".parse().unwrap())
            );
            let answered = response.headers()["content-type"].to_str().unwrap();
            match order {
                "guard outside" => assert_eq!(answered, content_type),
                // Which it names in full.
                _ => assert!(answered.starts_with(content_type), "{answered}"),
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.is_empty(), "{order}: {body:?}");
        }
    }
}
