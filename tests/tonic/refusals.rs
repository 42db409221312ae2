//! What refused callers are told, and what is left of callers that leave.

use std::time::Duration;

use keygate::{Charge, NewKey, RateLimit, StoreErrorKind};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::common::{Door, Fault, HOUR, LIVE, SECOND, World, with_prefix, with_wrong_secret};
use crate::orders::{OrderId, orders_client::OrdersClient};
use crate::support::*;

#[tokio::test]
async fn every_refusal_has_its_code_reason_and_domain() {
    let world = world().await;
    let keys = &world.keys;
    let manager = keys.manager();
    let spy = Spy::default();
    let channel = connect(serve(keys.require_by_method(rules()), &spy).await);
    let mut client = OrdersClient::new(channel);

    let new = || NewKey::for_owner("org_42").scopes(["orders:read"]);
    let issue = async |new: NewKey| {
        let issued = manager.issue(new).await.unwrap();
        (issued.key.expose().to_owned(), issued.info.key_id)
    };
    let (good, _) = issue(new()).await;
    let (expired, _) = issue(new().expires_in(HOUR)).await;
    let (revoked, id) = issue(new()).await;
    manager.revoke(&id, "as a test").await.unwrap();
    let (disabled, id) = issue(new()).await;
    manager.disable(&id).await.unwrap();
    let (bound, _) = issue(new().allowed_ips(["127.0.0.0/8"])).await;
    let (weak, _) = issue(NewKey::for_owner("org_42")).await;
    world.clock.advance(2 * HOUR);

    let bearer = |text: &str| vec![("authorization", format!("Bearer {text}"))];
    let cases = [
        (vec![], 16, "KEY_MISSING"),
        (bearer("a b"), 16, "REQUEST_MALFORMED"),
        (
            [bearer(&good), vec![("x-api-key", good.clone())]].concat(),
            16,
            "KEY_DUPLICATED",
        ),
        (bearer(&with_wrong_secret(&good)), 16, "KEY_INVALID"),
        (vec![("x-api-key", "junk".into())], 16, "KEY_INVALID"),
        (
            bearer(&with_prefix(&good, "acme_test")),
            16,
            "WRONG_ENVIRONMENT",
        ),
        (bearer(&expired), 16, "KEY_EXPIRED"),
        (bearer(&revoked), 16, "KEY_REVOKED"),
        (bearer(&disabled), 16, "KEY_DISABLED"),
        (bearer(&bound), 7, "IP_DENIED"),
        (bearer(&weak), 7, "SCOPE_INSUFFICIENT"),
    ];
    for (fields, code, reason) in cases {
        let mut request = Request::new(OrderId::default());
        for (name, value) in fields {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        let status = client.get(request).await.unwrap_err();
        let said = info(&status);
        assert_eq!(
            (status.code(), said.reason.as_str(), said.domain.as_str()),
            (Code::from_i32(code), reason, LIVE)
        );
        assert!(status.message().ends_with(['.', 'Y']), "{status:?}");
        assert!(status.get_details_retry_info().is_none(), "{reason}");
        assert!(status.metadata().get("grpc-retry-pushback-ms").is_none());
        let missing = (reason == "SCOPE_INSUFFICIENT").then_some("orders:read");
        assert_eq!(
            said.metadata.get("missing_scopes").map(String::as_str),
            missing
        );
    }
    assert_eq!(spy.calls(), 0);

    let mut request = Request::new(OrderId::default());
    request
        .metadata_mut()
        .insert("x-api-key", good.parse().unwrap());
    client.get(request).await.unwrap();
}

#[tokio::test]
async fn an_outage_says_when_to_come_back_and_nothing_else() {
    let world = world().await;
    let guard = world.keys.require_by_method(rules());
    let channel = connect(serve(guard, &Spy::default()).await);
    let good = key(&world.keys, &["orders:read"]).await;
    world
        .store
        .gets
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    let status = call(&channel, "Get", &good).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(info(&status).reason, "STORE_UNAVAILABLE");
    assert_retry(&status, SECOND);

    world.store.gets.heal();
    call(&channel, "Get", &good).await.unwrap();
}

#[tokio::test]
async fn a_caller_over_its_limit_is_told_when_to_come_back_and_a_call_costs_what_its_method_does() {
    let world = World::with(|builder| builder.scopes(SCOPES).tell_rate_limits()).await;
    let charged = rules()
        .charge("orders.v1.Orders/Create", Charge::of(3))
        .charge("grpc.reflection.v1.ServerReflection", Charge::of(3));
    let refused = std::panic::AssertUnwindSafe(|| world.keys.require_by_method(charged.clone()));
    let refused = std::panic::catch_unwind(refused);
    assert!(refused.is_err(), "reflection is open");
    let charged = rules().charge("orders.v1.Orders/Create", Charge::of(3));
    let spy = Spy::default();
    let guard = world.keys.require_by_method(charged).charge(Charge::of(2));
    let channel = connect(serve(guard, &spy).await);
    let new = NewKey::for_owner("org_42").scopes(["orders:read", "orders:write"]);
    let new = new.rate_limit(RateLimit::per_hour(6));
    let issued = world.keys.manager().issue(new).await.unwrap();
    let key = issued.key.expose();
    call(&channel, "Create", key).await.unwrap();
    call(&channel, "Get", key).await.unwrap();
    for (method, seconds) in [("Create", 1_200), ("Get", 600)] {
        let status = call(&channel, method, key).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(info(&status).reason, "RATE_LIMITED");
        assert_retry(&status, Duration::from_secs(seconds));
        let left = status.metadata().get("ratelimit").unwrap();
        assert_eq!(left, r#""key";r=1;t=3000"#);
    }
    assert_eq!(spy.calls(), 2);
}

#[track_caller]
fn assert_retry(status: &Status, delay: Duration) {
    let info = status.get_details_retry_info().unwrap();
    assert_eq!(info.retry_delay, Some(delay));
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    assert_eq!(pushback.to_str().unwrap(), delay.as_millis().to_string());
}

#[tokio::test]
async fn a_caller_that_leaves_while_the_store_is_slow_leaves_nothing_behind() {
    let world = world().await;
    let spy = Spy::default();
    let channel = connect(serve(world.keys.require_by_method(rules()), &spy).await);
    let good = key(&world.keys, &["orders:read", "orders:write"]).await;
    let door = Door::new();
    world.store.gets.always(Fault::HoldBack(door.clone()));
    for method in METHODS {
        let (channel, good) = (channel.clone(), good.clone());
        let caller = tokio::spawn(async move { call(&channel, method, &good).await });
        door.arrival().await;
        assert_eq!(world.store.under_way(), 1, "{method}");
        caller.abort();
        let left = async {
            while world.store.under_way() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(30 * SECOND, left).await.unwrap();
    }
    assert_eq!(spy.calls(), 0);

    world.store.gets.heal();
    call(&channel, "Get", &good).await.unwrap();
}

#[tokio::test]
async fn the_principal_of_another_gate_opens_nothing() {
    use keygate::Principal;
    use tower::{Layer, ServiceExt, service_fn};

    type Body = http_body_util::Full<tonic::codegen::Bytes>;
    type HttpRequest = tonic::codegen::http::Request<()>;
    let (ours, theirs) = (world().await, world().await);
    let good = key(&theirs.keys, &["orders:read"]).await;
    let inner = service_fn(|request: HttpRequest| async move {
        let seen = request.extensions().get::<Principal>().is_some();
        let mut response = tonic::codegen::http::Response::new(Body::default());
        let seen = if seen { "yes" } else { "no" };
        response.headers_mut().insert("seen", seen.parse().unwrap());
        Ok::<_, std::convert::Infallible>(response)
    });
    let guarded = ours.keys.require_by_method(rules()).layer(inner);
    let own = theirs
        .keys
        .require_by_method(rules())
        .layer(guarded.clone());
    let again = theirs.keys.require_by_method(rules()).layer(inner);
    let again = theirs.keys.authenticate().layer(again);
    let request = |path: &str| {
        let request = HttpRequest::builder();
        let request = request
            .method("POST")
            .header("content-type", "application/grpc");
        request
            .uri(path)
            .header("x-api-key", &good)
            .body(())
            .unwrap()
    };

    let response = own.oneshot(request("/orders.v1.Orders/Get")).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(info(&status).reason, "KEY_INVALID");

    let open = "/grpc.health.v1.Health/Check";
    let outside = theirs.keys.authenticate().layer(guarded);
    let response = outside.oneshot(request(open)).await.unwrap();
    assert_eq!(response.headers()["seen"], "no", "of another gate");
    let response = again.oneshot(request(open)).await.unwrap();
    assert_eq!(response.headers()["seen"], "yes", "of the same gate");
}
