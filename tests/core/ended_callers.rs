//! A request takes its time. Who was a caller when it began may be none when it is handled.

use std::sync::Arc;
use std::time::Duration;

use keygate::{Change, Filter, KeyId, ManageError, NewKey};

use super::ceiling::{caller, issue};
use crate::common::*;

fn admin() -> NewKey {
    NewKey::for_owner("a")
        .scopes(["keys:read,write"])
        .never_expires()
}

/// What becomes of a caller's key between its request's acceptance and its handling.
async fn ended_meanwhile(end: impl AsyncFnOnce(&World, &KeyId)) {
    let world = World::new().await;
    let issued = issue(&world, admin()).await;
    let id = issued.info.key_id;
    let other = issue(&world, admin()).await.info.key_id;
    let manager = world.keys.manager();
    let late = manager.on_behalf_of(&caller(&world, &issued).await);
    end(&world, &id).await;
    let ended = |outcome: Result<(), ManageError>| {
        assert!(
            matches!(outcome, Err(ManageError::CallerEnded)),
            "{outcome:?}"
        );
    };
    ended(late.issue(NewKey::for_owner("a")).await.map(drop));
    ended(late.rotate(&other).await.map(drop));
    ended(
        late.rotate_with_overlap(&id, Duration::ZERO)
            .await
            .map(drop),
    );
    ended(late.supersede(&id).await.map(drop));
    ended(late.change(&other, Change::new().name("x")).await.map(drop));
    ended(late.enable(&id).await.map(drop));
    ended(late.disable(&other).await.map(drop));
    ended(late.revoke(&other, "").await.map(drop));
    ended(late.revoke_owner("a", "").await.map(drop));
    ended(late.list(Filter::new()).await.map(drop));
    ended(late.inspect(&other).await.map(drop));
    ended(late.find(issued.key.expose()).await.map(drop));
}

#[tokio::test]
async fn a_caller_whose_key_was_revoked_meanwhile_can_do_nothing() {
    ended_meanwhile(async |world, id| {
        world.keys.manager().revoke(id, "leaked").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_caller_whose_key_was_disabled_meanwhile_can_do_nothing() {
    ended_meanwhile(async |world, id| {
        world.keys.manager().disable(id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_caller_whose_secret_was_rotated_away_meanwhile_can_do_nothing() {
    ended_meanwhile(async |world, id| {
        let rotated = world.keys.manager().rotate_with_overlap(id, Duration::ZERO);
        drop(rotated.await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_caller_whose_newer_secret_was_superseded_meanwhile_can_do_nothing() {
    let world = World::new().await;
    let first = issue(&world, admin()).await;
    let id = first.info.key_id;
    let manager = world.keys.manager();
    let second = manager.rotate(&id).await.unwrap();
    let late = manager.on_behalf_of(&caller(&world, &second).await);
    drop(manager.supersede(&id).await.unwrap());
    let outcome = late.issue(NewKey::for_owner("a")).await;
    assert!(
        matches!(outcome, Err(ManageError::CallerEnded)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_caller_whose_key_expired_meanwhile_can_do_nothing() {
    let world = World::new().await;
    let issued = issue(&world, admin().expires_in(HOUR)).await;
    let manager = world.keys.manager();
    let late = manager.on_behalf_of(&caller(&world, &issued).await);
    world.clock.advance(HOUR);
    let outcome = late.issue(NewKey::for_owner("a")).await;
    assert!(
        matches!(outcome, Err(ManageError::CallerEnded)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_key_that_is_issued_while_its_caller_is_revoked_is_handed_to_nobody() {
    let world = World::new().await;
    let issued = issue(&world, admin()).await;
    let manager = world.keys.manager();
    let late = manager.on_behalf_of(&caller(&world, &issued).await);
    let door = Door::new();
    world.store.writes.once(Fault::Hold(Arc::clone(&door)));
    let issuing = tokio::spawn(async move { late.issue(NewKey::for_owner("a")).await });
    door.arrival().await;
    manager.revoke(&issued.info.key_id, "leaked").await.unwrap();
    door.open();
    let outcome = issuing.await.unwrap();
    assert!(
        matches!(outcome, Err(ManageError::CallerEnded)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn two_secrets_made_in_one_millisecond_are_still_told_apart() {
    let world = World::new().await;
    let first = issue(&world, admin()).await;
    let manager = world.keys.manager();
    let second = manager
        .rotate_with_overlap(&first.info.key_id, Duration::ZERO)
        .await
        .unwrap();
    let [newer, older] = &second.info.secrets[..] else {
        panic!("{second:?}")
    };
    assert!(newer.created_at > older.created_at);
}
