//! Keys that open nothing and tell of whoever presents them.

use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind};
use keygate::store::AuditQuery;
use keygate::{
    Attempt, Change, Conflict, Filter, Issued, KeyStatus, ManageError, NewKey, Refusal, Rejection,
    TextError,
};

use crate::common::*;
use crate::manage::{conflict, issue};

async fn plant(world: &World) -> Issued {
    let new = NewKey::for_owner("a").scopes(["orders:read"]).canary();
    world.keys.manager().issue(new).await.unwrap()
}

async fn of_requests(world: &World) -> Vec<AuditEvent> {
    let query = AuditQuery {
        kind: Some(AuditKind::Authentication),
        ..AuditQuery::new()
    };
    world.keys.manager().audit(&query).await.unwrap().events
}

async fn refused(world: &World, text: &str) -> Refusal {
    let from = Some("192.0.2.7".parse().unwrap());
    let attempt = Attempt::new(text).from_address(from);
    let outcome = world.keys.authenticator().authenticate(attempt).await;
    outcome.unwrap_err()
}

#[tokio::test]
async fn a_canary_is_refused_as_a_revoked_key_is_and_tells_of_whoever_presents_it() {
    let world = World::new().await;
    let canary = plant(&world).await;
    let revoked = issue(&world).await;
    let id = revoked.info.key_id;
    world.keys.manager().revoke(&id, "").await.unwrap();
    let answers = world.keys.answers();
    for _cold_then_cached in 0..2 {
        let of_canary = refused(&world, canary.key.expose()).await;
        let of_revoked = refused(&world, revoked.key.expose()).await;
        assert_eq!(of_canary.code(), "key_revoked");
        let (of_canary, of_revoked) = (answers.refuse(&of_canary), answers.refuse(&of_revoked));
        assert_eq!(of_canary.to_string(), of_revoked.to_string());
        assert_eq!(of_canary.headers, of_revoked.headers);
    }
    let events = of_requests(&world).await;
    let used: Vec<_> = events
        .iter()
        .filter(|event| event.action == AuditAction::CanaryUsed)
        .collect();
    let [used] = used[..] else {
        panic!("{events:?}")
    };
    let planted = canary.info.key_id;
    assert_eq!(used.key_id, Some(planted));
    assert_eq!(used.actor, Actor::Key(planted));
    assert_eq!(used.owner.as_deref(), Some("a"));
    assert_eq!(used.address, Some("192.0.2.7".parse().unwrap()));
    let requests = used.requests.as_ref().unwrap();
    assert_eq!(requests.code.as_deref(), Some("key_revoked"));
    assert_eq!(requests.count, 2);
    assert_eq!(events.len(), 2, "and one of the revoked key");
}

#[tokio::test]
async fn a_thief_with_many_addresses_of_one_network_fills_no_table_by_a_canary() {
    let world = World::new().await;
    let canary = plant(&world).await;
    for host in 1..=9 {
        let from = format!("2001:db8::{host}").parse().ok();
        let attempt = Attempt::new(canary.key.expose()).from_address(from);
        let outcome = world.keys.authenticator().authenticate(attempt).await;
        outcome.unwrap_err();
    }
    let events = of_requests(&world).await;
    let [used] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        used.address,
        "2001:db8::1".parse().ok(),
        "the first of them"
    );
    assert_eq!(used.requests.as_ref().unwrap().count, 9);
}

#[tokio::test]
async fn who_knows_the_id_of_a_canary_alone_raises_nothing() {
    let world = World::new().await;
    let canary = plant(&world).await;
    let text = canary.key.expose();
    for near in [&with_wrong_secret(text), &with_prefix(text, SANDBOX)] {
        assert_eq!(refused(&world, near).await.code(), "key_invalid");
    }
    for event in of_requests(&world).await {
        assert_eq!((event.action, event.key_id), (AuditAction::Refused, None));
    }
}

#[tokio::test]
async fn the_host_is_told_of_each_request_with_a_canary() {
    let (sender, receiver) = keygate::audit::channel(10);
    let world = World::with(|builder| builder.audit_channel(sender)).await;
    let canary = plant(&world).await;
    assert_eq!(receiver.try_recv().unwrap().action, AuditAction::Issued);
    for _ in 0..2 {
        refused(&world, canary.key.expose()).await;
        let told = receiver.try_recv().unwrap();
        assert_eq!(told.action, AuditAction::CanaryUsed);
        assert_eq!(told.key_id, Some(canary.info.key_id));
    }
}

#[tokio::test]
async fn nothing_makes_a_canary_open_or_anything_else() {
    let world = World::new().await;
    let canary = plant(&world).await;
    let (manager, id) = (world.keys.manager(), canary.info.key_id);
    assert_eq!(conflict(manager.rotate(&id).await), Conflict::Revoked);
    assert_eq!(conflict(manager.supersede(&id).await), Conflict::Revoked);
    assert_eq!(conflict(manager.enable(&id).await), Conflict::Revoked);
    assert_eq!(conflict(manager.disable(&id).await), Conflict::Revoked);
    let change = Change::new().scopes(["orders:write"]).never_expires();
    assert_eq!(
        conflict(manager.change(&id, change).await),
        Conflict::Revoked
    );
    let before = world.record(&id).await;
    assert!(!manager.revoke(&id, "found").await.unwrap().changed);
    assert_eq!(manager.revoke_owner("a", "").await.unwrap().revoked, 0);
    let _ = manager.finish_rotation(&id).await.unwrap();
    assert_eq!(world.record(&id).await, before);
    world.clock.advance(91 * DAY);
    assert_eq!(
        refused(&world, canary.key.expose()).await.code(),
        "key_revoked"
    );
    let other = world.second_gate().await;
    assert_eq!(
        rejection(present(&other, canary.key.expose()).await),
        Rejection::KeyRevoked
    );
}

#[tokio::test]
async fn a_canary_is_shown_as_one_and_is_among_neither_live_nor_revoked_keys() {
    let world = World::new().await;
    let (canary, key) = (plant(&world).await, issue(&world).await);
    let manager = world.keys.manager();
    let id = canary.info.key_id;
    assert_eq!(canary.info.status, KeyStatus::Canary);
    assert_eq!(manager.inspect(&id).await.unwrap(), canary.info);
    let found = manager.find(canary.key.expose()).await.unwrap().unwrap();
    assert_eq!(found.info.status, KeyStatus::Canary);
    assert_eq!(of_requests(&world).await, [], "the host may look for it");
    let listed = async |filter: Filter| -> Vec<_> {
        let list = manager.list(filter).await.unwrap();
        list.keys.iter().map(|info| info.key_id).collect()
    };
    assert_eq!(listed(Filter::new().status(KeyStatus::Canary)).await, [id]);
    assert_eq!(
        listed(Filter::new().status(KeyStatus::Active)).await,
        [key.info.key_id]
    );
    assert_eq!(listed(Filter::new().status(KeyStatus::Revoked)).await, []);
    let ending = Filter::new().expiring_within(1_000 * DAY);
    assert_eq!(listed(ending).await, [key.info.key_id]);
}

#[tokio::test]
async fn a_reason_makes_no_key_a_canary_and_a_key_that_is_revoked_later_is_none() {
    let world = World::new().await;
    let key = issue(&world).await;
    let (manager, id) = (world.keys.manager(), key.info.key_id);
    let reserved = |error: &ManageError| {
        matches!(
            error,
            ManageError::Text(TextError::Reserved { field: "reason" })
        )
    };
    let refused = manager.revoke(&id, "keygate:canary").await.unwrap_err();
    assert!(reserved(&refused), "{refused}");
    let refused = manager.revoke_owner("a", "keygate:x").await.unwrap_err();
    assert!(reserved(&refused), "{refused}");
    world
        .edit(&id, |record| {
            record.revocation = Some(keygate::Revocation {
                at: record.created_at.checked_add(SECOND).unwrap(),
                reason: "keygate:canary".into(),
            });
        })
        .await;
    let info = manager.inspect(&id).await.unwrap();
    assert_eq!(info.status, KeyStatus::Revoked);
}

#[tokio::test]
async fn a_canary_of_a_caller_is_bounded_as_its_keys_are_and_a_draft_may_be_one() {
    let world = World::new().await;
    let issuer = NewKey::for_owner("a").scopes(["orders:read", "keys:write"]);
    let issuer = world.keys.manager().issue(issuer).await.unwrap();
    let caller = present(&world.keys, issuer.key.expose()).await.unwrap();
    let manager = world.keys.manager().on_behalf_of(&caller);
    let canary = manager
        .issue(NewKey::for_owner("a").canary())
        .await
        .unwrap();
    assert_eq!(canary.info.status, KeyStatus::Canary);
    let beyond = NewKey::for_owner("a").scopes(["orders:void"]).canary();
    let beyond = manager.issue(beyond).await;
    assert!(matches!(beyond, Err(ManageError::BeyondCeiling(_))));
    let draft = world.keys.manager().draft(NewKey::for_owner("a").canary());
    assert_eq!(draft.unwrap().info().status, KeyStatus::Canary);
}
