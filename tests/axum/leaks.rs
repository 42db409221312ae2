//! Keys in URLs, and requests that were refused before anybody looked at their key: what the audit log
//! has of them.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::http::request::Builder as RequestBuilder;
use axum::routing::get;
use axum::{Extension, Router};
use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind};
use keygate::store::AuditQuery;
use keygate::{ClientAddress, KeyId, NewKey, Quota, RateLimit, StoreErrorKind};

use crate::call;
use crate::common::*;

const FROM: &str = "192.0.2.7:4000";

async fn world(change: impl FnOnce(keygate::Builder) -> keygate::Builder) -> World {
    World::with(|builder| change(builder.client_address(ClientAddress::peer()))).await
}

fn app(world: &World) -> Router {
    let guarded = get(|| async {}).layer(world.keys.authenticate());
    let peer: SocketAddr = FROM.parse().unwrap();
    let app = Router::new().route("/x", guarded);
    app.layer(Extension(ConnectInfo(peer)))
}

async fn refused(world: &World, request: RequestBuilder, code: &str) {
    let request = request.body(Body::empty()).unwrap();
    let answer = call(&app(world), request).await;
    assert_eq!(answer.code(), code);
    assert_eq!(answer.status, 400);
}

async fn leak(world: &World, query: &str) {
    refused(world, Request::get(format!("/x?{query}")), "key_in_url").await;
}

async fn of_requests(world: &World) -> Vec<AuditEvent> {
    let query = AuditQuery {
        kind: Some(AuditKind::Authentication),
        ..AuditQuery::new()
    };
    world.keys.manager().audit(&query).await.unwrap().events
}

#[track_caller]
fn assert_leak(event: &AuditEvent, key_id: Option<KeyId>, count: u64) {
    assert_eq!(event.action, AuditAction::LeakedInUrl);
    assert_eq!(event.key_id, key_id);
    let actor = key_id.map_or(Actor::Stranger, Actor::Key);
    let from: SocketAddr = FROM.parse().unwrap();
    assert_eq!((&event.actor, event.address), (&actor, Some(from.ip())));
    assert_eq!(event.owner.as_deref(), key_id.map(|_| "a"));
    let requests = event.requests.as_ref().unwrap();
    assert_eq!(requests.code.as_deref(), Some("key_in_url"));
    assert_eq!(requests.count, count);
}

#[tokio::test]
async fn a_key_in_a_url_is_named_if_its_secret_proves_right_whatever_has_become_of_it() {
    let world = world(|builder| builder).await;
    let manager = world.keys.manager();
    for state in [
        "active", "revoked", "disabled", "expired", "bound", "sandbox",
    ] {
        let new = match state {
            "expired" => NewKey::for_owner("a").expires_in(SECOND),
            "bound" => NewKey::for_owner("a").allowed_ips(["198.51.100.0/24"]),
            "sandbox" => NewKey::for_owner("a").environment(SANDBOX),
            _ => NewKey::for_owner("a"),
        };
        let issued = manager.issue(new).await.unwrap();
        let (text, id) = (issued.key.expose(), issued.info.key_id);
        match state {
            "revoked" => drop(manager.revoke(&id, "").await.unwrap()),
            "disabled" => drop(manager.disable(&id).await.unwrap()),
            "expired" => world.clock.advance(2 * SECOND),
            _ => {}
        }
        let before = of_requests(&world).await.len();
        leak(&world, &format!("api_key={text}")).await;
        leak(
            &world,
            &format!("u=%3Fkey%3D{}", text.replace('_', "%255F")),
        )
        .await;
        leak(&world, &format!("token_{text}")).await;
        let events = of_requests(&world).await;
        assert_eq!(events.len(), before + 1, "{state}");
        assert_leak(&events[before], Some(id), 3);
    }
}

#[tokio::test]
async fn a_key_in_the_path_has_leaked_as_one_in_the_query() {
    let world = world(|builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let issued = issued.unwrap();
    let text = issued.key.expose();
    let guarded = || get(|| async {}).layer(world.keys.authenticate());
    let app = Router::new()
        .route("/keys/{key}", guarded())
        .route("/keys/{key}/orders", guarded());
    let ask = async |path: &str| {
        let request = Request::get(path).header("x-api-key", text);
        call(&app, request.body(Body::empty()).unwrap()).await
    };
    let encoded = text.replace('_', "%5F");
    for path in [
        format!("/keys/{text}"),
        format!("/keys/{text}/orders"),
        format!("/keys/{encoded}?page=2"),
    ] {
        let answer = ask(&path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.code(), "key_in_url");
    }
    let events = of_requests(&world).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].action, AuditAction::LeakedInUrl);
    assert_eq!(events[0].key_id, Some(issued.info.key_id));
    assert_eq!(events[0].requests.as_ref().unwrap().count, 3);

    for harmless in [issued.info.key_id.as_str(), &"x".repeat(200), &text[1..70]] {
        let answer = ask(&format!("/keys/{harmless}")).await;
        assert_eq!(answer.status, 200, "{harmless}");
    }
}

#[tokio::test]
async fn who_knows_the_id_of_a_key_alone_accuses_nobody_of_a_leak() {
    let world = world(|builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let issued = issued.unwrap();
    let text = issued.key.expose();
    for _cold_then_cached in 0..2 {
        leak(&world, &with_wrong_secret(text)).await;
        leak(&world, &with_prefix(text, SANDBOX)).await;
        leak(&world, &with_prefix(text, DECLINED)).await;
    }
    let events = of_requests(&world).await;
    assert_eq!(events.len(), 1);
    assert_leak(&events[0], None, 6);
}

#[tokio::test]
async fn the_proof_of_a_leak_takes_nothing_of_the_limit_and_is_no_use_of_the_key() {
    let world = world(|builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let issued = issued.unwrap();
    let (text, id) = (issued.key.expose(), issued.info.key_id);
    let limit = Some(RateLimit::per_minute(1));
    world.edit(&id, |record| record.rate_limit = limit).await;
    for _ in 0..3 {
        leak(&world, text).await;
    }
    let activity = world.keys.manager().activity(&id).await.unwrap();
    assert_eq!(activity.usage, None);
    present(&world.keys, text).await.unwrap();
}

#[tokio::test]
async fn a_leak_is_answered_alike_where_the_store_is_away_and_names_nobody_then() {
    let world = world(|builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(unavailable);
    leak(&world, issued.unwrap().key.expose()).await;
    world.store.gets.heal();
    let events = of_requests(&world).await;
    assert_leak(&events[0], None, 1);
}

#[tokio::test]
async fn a_leak_is_noted_also_where_its_sender_does_not_wait_for_the_answer() {
    let world = world(|builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let url = format!("/x?{}", issued.unwrap().key.expose());
    let app = app(&world);
    let asking = tokio::spawn(async move {
        let request = Request::get(url).body(Body::empty()).unwrap();
        call(&app, request).await;
    });
    door.arrival().await;
    asking.abort();
    asking.await.unwrap_err();
    door.open();
    let events = of_requests(&world).await;
    assert_eq!(events.len(), 1);
    assert_leak(&events[0], None, 1);
}

#[tokio::test]
async fn texts_in_urls_are_failed_attempts_and_beyond_their_limit_the_store_is_not_asked() {
    let limit = RateLimit::per_minute(2);
    let world = world(|builder| builder.failed_attempts(limit)).await;
    let stranger = |number: u8| {
        let id = format!("{number:012}");
        forge(LIVE, &id, &"A".repeat(43))
    };
    for number in 0..5 {
        leak(&world, &stranger(number)).await;
    }
    let asked = world.store.gets.count();
    assert_eq!(asked, 2, "as many as may fail");
    let request = Request::get("/x").header("x-api-key", stranger(9));
    let answer = call(&app(&world), request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.code(), "rate_limited");
    assert_eq!(world.store.gets.count(), asked);
}

#[tokio::test]
async fn what_is_refused_before_its_key_is_looked_at_is_of_a_stranger_and_no_key_is_no_event() {
    let world = world(|builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let text = issued.unwrap().key.expose().to_owned();
    let malformed = Request::get("/x").header("authorization", "Bearer a b");
    refused(&world, malformed, "request_malformed").await;
    let twice = Request::get("/x").header("x-api-key", &text);
    let twice = twice.header("authorization", format!("Bearer {text}"));
    refused(&world, twice, "key_duplicated").await;
    let none = Request::get("/x").body(Body::empty()).unwrap();
    assert_eq!(call(&app(&world), none).await.code(), "key_missing");
    let events = of_requests(&world).await;
    let mut codes: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!((&event.actor, event.key_id), (&Actor::Stranger, None));
            assert_eq!(event.action, AuditAction::Refused);
            event.requests.as_ref().unwrap().code.as_deref().unwrap()
        })
        .collect();
    codes.sort();
    assert_eq!(codes, ["key_duplicated", "request_malformed"]);
}

#[tokio::test]
async fn what_is_refused_within_an_outer_guard_is_noted_once_with_its_key() {
    const EXPORTS: Quota = Quota::new("exports", RateLimit::per_hour(1));
    let world = world(|builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let issued = issued.unwrap();
    let handled = || async {};
    let charged = get(handled).layer(world.keys.authenticate().charge(EXPORTS));
    let app = Router::new()
        .route("/charged", charged)
        .route("/scoped", get(handled).layer(world.keys.require("x")))
        .layer(world.keys.authenticate());
    for (path, status) in [("/charged", 200), ("/charged", 429), ("/scoped", 403)] {
        let request = Request::get(path).header("x-api-key", issued.key.expose());
        let answer = call(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{path}");
    }
    let events = of_requests(&world).await;
    let mut told: Vec<_> = events
        .iter()
        .map(|event| {
            let requests = event.requests.as_ref().unwrap();
            (
                requests.code.as_deref().unwrap(),
                requests.count,
                event.key_id,
            )
        })
        .collect();
    told.sort();
    let id = Some(issued.info.key_id);
    assert_eq!(
        told,
        [("rate_limited", 1, id), ("scope_insufficient", 1, id)]
    );
}
