//! Keys in URLs, where the policy is to end them: no request waits for that, and only a proved secret does
//! it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::routing::get;
use axum::{Extension, Router};
use keygate::audit::{Actor, AuditAction, AuditEvent};
use keygate::store::AuditQuery;
use keygate::{
    ClientAddress, Issued, KeyId, KeyStatus, Keygate, NewKey, OnLeak, RateLimit, Rejection,
    StoreErrorKind,
};

use crate::call;
use crate::common::*;

const FROM: &str = "192.0.2.7:4000";

async fn world(policy: OnLeak) -> World {
    let limit = RateLimit::per_minute(2);
    World::with(|builder| {
        let builder = builder.client_address(ClientAddress::peer());
        builder.failed_attempts(limit).on_leak(policy)
    })
    .await
}

fn app(keys: &Keygate) -> Router {
    let guarded = || get(|| async {}).layer(keys.authenticate());
    let peer: SocketAddr = FROM.parse().unwrap();
    let app = Router::new()
        .route("/x", guarded())
        .route("/keys/{key}", guarded());
    app.layer(Extension(ConnectInfo(peer)))
}

async fn issue(world: &World) -> Issued {
    let new = NewKey::for_owner("a").scopes(["orders:read"]);
    world.keys.manager().issue(new).await.unwrap()
}

async fn leak(app: &Router, target: &str) {
    let request = Request::get(target).body(Body::empty()).unwrap();
    let answer = call(app, request).await;
    assert_eq!(answer.code(), "key_in_url");
    assert_eq!(answer.status, 400);
}

async fn leak_in_query(world: &World, text: &str) {
    leak(&app(&world.keys), &format!("/x?key={text}")).await;
}

async fn status(world: &World, id: &KeyId) -> KeyStatus {
    world.keys.manager().inspect(id).await.unwrap().status
}

/// Waits until something is so, which takes as long as the machine takes.
async fn until(happened: impl AsyncFn() -> bool) {
    for _ in 0..6_000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come");
}

async fn until_revoked(world: &World, id: &KeyId) {
    until(async || status(world, id).await == KeyStatus::Revoked).await;
}

async fn events(world: &World, action: AuditAction) -> Vec<AuditEvent> {
    let query = AuditQuery {
        action: Some(action),
        ..AuditQuery::new()
    };
    world.keys.manager().audit(&query).await.unwrap().events
}

#[tokio::test]
async fn a_key_in_a_url_is_revoked_where_the_policy_says_so_whatever_its_state() {
    let world = world(OnLeak::Revoke).await;
    for state in ["active", "in the path", "disabled", "expired", "bound"] {
        let new = match state {
            "expired" => NewKey::for_owner("a").expires_in(SECOND),
            "bound" => NewKey::for_owner("a").allowed_ips(["198.51.100.0/24"]),
            _ => NewKey::for_owner("a"),
        };
        let issued = world.keys.manager().issue(new).await.unwrap();
        let (text, id) = (issued.key.expose(), issued.info.key_id);
        match state {
            "disabled" => drop(world.keys.manager().disable(&id).await.unwrap()),
            "expired" => world.clock.advance(2 * SECOND),
            _ => {}
        }
        let target = match state {
            "in the path" => format!("/keys/{text}"),
            _ => format!("/x?u=%3Fkey%3D{}", text.replace('_', "%255F")),
        };
        leak(&app(&world.keys), &target).await;
        until_revoked(&world, &id).await;
        let refused = rejection(present(&world.keys, text).await);
        assert_eq!(refused, Rejection::KeyRevoked, "{state}");
        let revoked = events(&world, AuditAction::Revoked).await.pop().unwrap();
        assert_eq!((revoked.key_id, &revoked.actor), (Some(id), &Actor::Host));
        let from: SocketAddr = FROM.parse().unwrap();
        assert_eq!(revoked.address, Some(from.ip()), "{state}");
        let told = events(&world, AuditAction::LeakedInUrl).await;
        assert_eq!(told.last().unwrap().key_id, Some(id), "{state}");
        let info = world.keys.manager().inspect(&id).await.unwrap();
        assert_eq!(info.revocation.unwrap().reason, "leaked: in a URL");
    }
}

#[tokio::test]
async fn a_key_in_a_url_is_paused_or_only_told_of_as_the_policy_says() {
    for (policy, expected) in [
        (OnLeak::Tell, KeyStatus::Active),
        (OnLeak::Disable, KeyStatus::Disabled),
    ] {
        let world = world(policy).await;
        let issued = issue(&world).await;
        leak_in_query(&world, issued.key.expose()).await;
        world.keys.shutdown().await;
        assert_eq!(status(&world, &issued.info.key_id).await, expected);
    }
}

#[tokio::test]
async fn who_knows_the_id_of_a_key_alone_ends_nothing_by_a_url() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let text = issued.key.expose();
    leak_in_query(&world, &with_wrong_secret(text)).await;
    leak_in_query(&world, &with_prefix(text, SANDBOX)).await;
    // Nor where the store cannot say at once whose it is.
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    let world = self::world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let text = issued.key.expose();
    world.store.gets.once(unavailable.clone());
    leak_in_query(&world, &with_wrong_secret(text)).await;
    world.store.gets.once(unavailable);
    leak_in_query(&world, &with_prefix(text, SANDBOX)).await;
    world.keys.shutdown().await;
    assert_eq!(status(&world, &issued.info.key_id).await, KeyStatus::Active);
    assert_eq!(events(&world, AuditAction::Revoked).await, []);
}

#[tokio::test]
async fn the_answer_does_not_wait_for_the_end_of_the_key_and_leaks_that_are_alike_end_it_once() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let (text, id) = (issued.key.expose(), issued.info.key_id);
    let door = Door::new();
    let written = world.store.writes.count();
    world.store.writes.once(Fault::HoldBack(door.clone()));
    leak_in_query(&world, text).await;
    door.arrival().await;
    for _ in 0..100 {
        leak_in_query(&world, text).await;
    }
    assert_eq!(status(&world, &id).await, KeyStatus::Active);
    door.open();
    until_revoked(&world, &id).await;
    leak_in_query(&world, text).await;
    world.keys.shutdown().await;
    assert_eq!(world.store.writes.count(), written + 1);
    let told = events(&world, AuditAction::LeakedInUrl).await;
    let requests = told.iter().filter_map(|event| event.requests.as_ref());
    assert_eq!(requests.map(|requests| requests.count).sum::<u64>(), 102);
}

#[tokio::test]
async fn a_key_is_ended_also_where_its_sender_does_not_wait_for_the_answer() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let (app, url) = (app(&world.keys), format!("/x?{}", issued.key.expose()));
    let asking = tokio::spawn(async move { leak(&app, &url).await });
    door.arrival().await;
    asking.abort();
    asking.await.unwrap_err();
    door.open();
    until_revoked(&world, &issued.info.key_id).await;
}

#[tokio::test]
async fn a_key_is_ended_once_the_store_is_back() {
    let world = world(OnLeak::Revoke).await;
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    // Of one it is known whose it is, of the other not.
    for calls in [&world.store.writes, &world.store.gets] {
        let issued = issue(&world).await;
        calls.always(unavailable.clone());
        let before = calls.count();
        leak_in_query(&world, issued.key.expose()).await;
        until(async || calls.count() > before + 3).await;
        calls.heal();
        until_revoked(&world, &issued.info.key_id).await;
    }
}

#[tokio::test]
async fn what_failing_addresses_send_does_not_wait_for_the_store() {
    let world = world(OnLeak::Revoke).await;
    let issued = issue(&world).await;
    for number in 0..3 {
        let stranger = forge(LIVE, &format!("{number:012}"), &"A".repeat(43));
        leak_in_query(&world, &stranger).await;
    }
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(unavailable);
    leak_in_query(&world, issued.key.expose()).await;
    world.store.gets.heal();
    world.keys.shutdown().await;
    assert_eq!(status(&world, &issued.info.key_id).await, KeyStatus::Active);
}

#[tokio::test]
async fn a_secret_that_was_replaced_ends_no_more_than_itself_by_a_url() {
    let world = world(OnLeak::Revoke).await;
    let old = issue(&world).await;
    let id = old.info.key_id;
    let new = world.keys.manager().rotate_with_overlap(&id, HOUR).await;
    let new = new.unwrap();
    leak_in_query(&world, old.key.expose()).await;
    until(async || present(&world.keys, old.key.expose()).await.is_err()).await;
    let written = world.store.writes.count();
    leak_in_query(&world, old.key.expose()).await;
    world.keys.shutdown().await;
    assert_eq!(world.store.writes.count(), written);
    present(&world.keys, new.key.expose()).await.unwrap();
}

#[tokio::test]
async fn a_key_is_ended_where_the_host_holds_no_more_than_the_guards() {
    let World { store, keys, clock } = world(OnLeak::Revoke).await;
    let issued = keys.manager().issue(NewKey::for_owner("a")).await.unwrap();
    let app = app(&keys);
    drop(keys);
    leak(&app, &format!("/x?{}", issued.key.expose())).await;
    let id = issued.info.key_id;
    let is_revoked = async || {
        let record = store.inner().get(&id).await.unwrap().unwrap();
        record.revocation.is_some()
    };
    until(is_revoked).await;
    drop(clock);
}

#[tokio::test]
async fn a_canary_in_a_url_tells_of_who_sent_it() {
    let world = world(OnLeak::Revoke).await;
    let canary = NewKey::for_owner("a").canary();
    let canary = world.keys.manager().issue(canary).await.unwrap();
    let before = world.record(&canary.info.key_id).await;
    leak_in_query(&world, canary.key.expose()).await;
    let used = events(&world, AuditAction::CanaryUsed).await;
    let [used] = &used[..] else {
        panic!("{used:?}")
    };
    assert_eq!(used.key_id, Some(canary.info.key_id));
    let code = used.requests.as_ref().unwrap().code.as_deref();
    assert_eq!(code, Some("key_in_url"));
    world.keys.shutdown().await;
    assert_eq!(world.record(&canary.info.key_id).await, before);
}
