//! gRPC and HTTP on one port, served by axum.

use axum::Router;
use axum::routing::get;
use keygate::tonic::MethodRules;
use keygate::{Keygate, Principal};
use tonic::Code;
use tonic::service::Routes;

use crate::orders::orders_server::OrdersServer;
use crate::support::*;

fn app(keys: &Keygate, spy: &Spy, rules: MethodRules) -> Router {
    let whoami = |caller: Principal| async move { caller.owner().to_owned() };
    let http = Router::new().route("/whoami", get(whoami).layer(keys.require(ORDERS_READ)));
    let grpc = Routes::new(OrdersServer::new(spy.clone())).into_axum_router();
    http.merge(grpc.layer(keys.require_by_method(rules)))
}

#[tokio::test]
async fn the_guards_of_one_gate_answer_http_and_grpc_each_in_its_own_way() {
    let world = world().await;
    let keys = &world.keys;
    let good = key(keys, &["orders:read"]).await;
    let weak = key(keys, &[]).await;
    let spy = Spy::default();
    let inner = app(keys, &spy, rules());
    for app in [inner.clone(), inner.layer(keys.authenticate().grpc())] {
        let (address, listener) = listen().await;
        tokio::spawn(async move { axum::serve(listener, app).await });

        let channel = connect(address);
        assert_eq!(call(&channel, "Watch", &good).await.unwrap(), 2);
        assert_eq!(call(&channel, "Chat", &good).await.unwrap(), 2);
        let before = spy.calls();
        for (method, key, code, reason) in [
            (
                "Upload",
                good.as_str(),
                Code::PermissionDenied,
                "SCOPE_INSUFFICIENT",
            ),
            ("Watch", &weak, Code::PermissionDenied, "SCOPE_INSUFFICIENT"),
            ("Chat", "bad", Code::Unauthenticated, "KEY_INVALID"),
            ("Get", "", Code::Unauthenticated, "KEY_MISSING"),
        ] {
            let status = call(&channel, method, key).await.unwrap_err();
            assert_eq!(
                (status.code(), info(&status).reason.as_str()),
                (code, reason)
            );
        }
        assert_eq!(spy.calls(), before);

        let http = |path: &'static str, key: String| async move {
            tokio::task::spawn_blocking(move || {
                let agent = ureq::Agent::config_builder()
                    .http_status_as_error(false)
                    .build();
                let request = ureq::Agent::from(agent).get(format!("http://{address}{path}"));
                let mut response = request.header("x-api-key", key).call().unwrap();
                let body = response.body_mut().read_to_string().unwrap();
                (response.status().as_u16(), body)
            })
            .await
            .unwrap()
        };
        assert_eq!(http("/whoami", good.clone()).await, (200, "org_42".into()));
        for (path, key, status, code) in [
            ("/whoami", &weak, 403, "scope_insufficient"),
            ("/whoami", &"bad".to_owned(), 401, "key_invalid"),
            ("/orders.v1.Orders/Get", &weak, 403, "scope_insufficient"),
            ("/nowhere", &good, 403, "method_denied"),
        ] {
            let (answered, body) = http(path, key.clone()).await;
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(
                (answered, &problem["code"]),
                (status, &code.into()),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn what_an_outer_guard_verified_is_not_verified_again() {
    let world = world().await;
    let app = app(&world.keys, &Spy::default(), rules()).layer(world.keys.authenticate().grpc());
    let good = key(&world.keys, &["orders:read"]).await;
    let (address, listener) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    call(&connect(address), "Get", &good).await.unwrap();
    assert_eq!(world.store.gets.count(), 1);
}
