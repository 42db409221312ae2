//! What handlers get and say.

use keygate::tonic::RequestExt;
use keygate::{Authorized, ClientAddress, Conflict, KeyId, ManageError, NewKey, Principal};
use keygate::{StoreError, StoreErrorKind};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::common::{World, present};
use crate::support::*;

#[tokio::test]
async fn a_method_learns_who_calls_and_behind_no_guard_fails() {
    let world = world().await;
    let reader = key(&world.keys, &["orders:read"]).await;
    let caller = present(&world.keys, &reader).await.unwrap();

    let mut request = Request::new(());
    let unguarded: [Status; 2] = [
        request.principal().unwrap_err(),
        request.authorized::<ORDERS_READ>().unwrap_err(),
    ];
    for status in unguarded {
        assert_eq!(
            (status.code(), info(&status).reason.as_str()),
            (Code::Internal, "INTERNAL")
        );
    }

    request.extensions_mut().insert(caller.clone());
    assert_eq!(request.principal().unwrap().key_id(), caller.key_id());
    let reader: Authorized<ORDERS_READ> = request.authorized().unwrap();
    assert_eq!(reader.owner(), "org_42");
    let status = request
        .authorized::<(ORDERS_READ, ORDERS_WRITE)>()
        .unwrap_err();
    let said = info(&status);
    assert_eq!(
        (status.code(), said.reason.as_str(), said.domain.as_str()),
        (Code::PermissionDenied, "SCOPE_INSUFFICIENT", "acme_live")
    );
    assert_eq!(said.metadata["missing_scopes"], "orders:write");
    assert_eq!(said.metadata["required_scopes"], "orders:read orders:write");
}

#[tokio::test]
async fn the_gate_that_verified_the_key_is_the_one_that_refuses_it_later_on() {
    use tonic::codegen::http;
    use tower::{Layer, ServiceExt, service_fn};

    let world = World::with(|builder| builder.realm("orders")).await;
    let weak = key(&world.keys, &[]).await;
    let inner = service_fn(|request: http::Request<()>| async move {
        let (_, extensions, ()) = Request::from_http(request).into_parts();
        let request = Request::from_parts(Default::default(), extensions, ());
        let status = request.authorized::<ORDERS_READ>().unwrap_err();
        Ok::<_, std::convert::Infallible>(status.into_http::<Vec<u8>>())
    });
    let service = world.keys.authenticate().layer(inner);
    let request = http::Request::post("/").header("x-api-key", weak);
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(info(&status).domain, "orders");
}

#[tokio::test]
async fn the_client_address_is_that_of_the_connection() {
    let world = World::with(|builder| builder.client_address(ClientAddress::peer())).await;
    let guard = world.keys.require_by_method(rules());
    let channel = connect(serve(guard, &Spy::default()).await);
    for (network, expected) in [("127.0.0.0/8", Ok(1)), ("10.0.0.0/8", Err("IP_DENIED"))] {
        let new = NewKey::for_owner("org_42").scopes(["orders:read"]);
        let bound = world.keys.manager().issue(new.allowed_ips([network])).await;
        let called = call(&channel, "Get", bound.unwrap().key.expose()).await;
        let called = called.map_err(|status| info(&status).reason);
        assert_eq!(called, expected.map_err(str::to_owned), "{network}");
    }
}

#[tokio::test]
async fn management_errors_become_statuses_that_say_nothing_of_our_own_failures() {
    let world = world().await;
    let manager = world.keys.manager();
    let caller: Principal = present(&world.keys, &key(&world.keys, &[]).await)
        .await
        .unwrap();
    let invalid = manager.issue(NewKey::for_owner("")).await.unwrap_err();
    let undeclared = NewKey::for_owner("a").scopes(["orders:void"]);
    let undeclared = manager.issue(undeclared).await.unwrap_err();
    let more = NewKey::for_owner("org_42").scopes(["orders:read"]);
    let beyond = manager.on_behalf_of(&caller).issue(more).await.unwrap_err();
    manager.revoke(caller.key_id(), "as a test").await.unwrap();
    let own = NewKey::for_owner("org_42");
    let ended = manager.on_behalf_of(&caller).issue(own).await.unwrap_err();
    let unknown: KeyId = "4KX9vQ2mB7tZ".parse().unwrap();
    let not_found = manager.rotate(&unknown).await.unwrap_err();
    let store = |kind| ManageError::from(StoreError::new(kind, "/srv/keys.db: no space"));

    for (error, code, reason) in [
        (invalid, Code::InvalidArgument, "INPUT_INVALID"),
        (undeclared, Code::InvalidArgument, "INPUT_INVALID"),
        (beyond, Code::PermissionDenied, "CEILING_EXCEEDED"),
        (ended, Code::PermissionDenied, "CALLER_ENDED"),
        (not_found, Code::NotFound, "NOT_FOUND"),
        (Conflict::Revoked.into(), Code::Aborted, "CONFLICT"),
        (
            store(StoreErrorKind::Unavailable),
            Code::Unavailable,
            "STORE_UNAVAILABLE",
        ),
        (
            store(StoreErrorKind::OutcomeUnknown),
            Code::Unavailable,
            "STORE_UNAVAILABLE",
        ),
    ] {
        let status = Status::from(&error);
        assert_eq!(
            (status.code(), info(&status).reason.as_str()),
            (code, reason),
            "{error:?}"
        );
        assert!(!format!("{status:?}").contains("keys.db"), "{status:?}");
        let retry = status.get_details_retry_info().is_some();
        assert_eq!(retry, code == Code::Unavailable, "{error:?}");
        let owned = Status::from(error);
        assert_eq!(owned.details(), status.details());
    }
}
