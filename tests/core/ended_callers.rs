//! A request takes its time. Who was a caller when it began may be none when it is handled.

use std::time::Duration;

use keygate::audit::{Actor, AuditAction};
use keygate::store::AuditQuery;
use keygate::{Change, Filter, KeyId, KeyStatus, ManageError, NewKey, StoreErrorKind};

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
    world.store.writes.once(Fault::Hold(door.clone()));
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

/// What a caller does while its key is changed by `meanwhile`, after it was judged and before the
/// change is written.
async fn while_it_writes<T: Send + 'static>(
    world: &World,
    work: impl Future<Output = Result<T, ManageError>> + Send + 'static,
    meanwhile: impl Future<Output = ()>,
) -> ManageError {
    let door = Door::new();
    world.store.writes.once(Fault::HoldBack(door.clone()));
    let working = tokio::spawn(work);
    door.arrival().await;
    meanwhile.await;
    door.open();
    match working.await.unwrap() {
        Err(error) => error,
        Ok(_) => panic!("it was done"),
    }
}

#[tokio::test]
async fn what_was_changed_for_a_caller_that_ended_meanwhile_is_put_back() {
    let world = World::new().await;
    let issued = issue(&world, admin()).await;
    let manager = world.keys.manager();
    let late = manager.on_behalf_of(&caller(&world, &issued).await);
    let weak = issue(&world, NewKey::for_owner("a")).await;
    let id = weak.info.key_id;
    let change = Change::new().scopes(["keys:write"]);
    let error = while_it_writes(
        &world,
        async move { late.change(&id, change).await },
        async {
            manager.revoke(&issued.info.key_id, "leaked").await.unwrap();
        },
    );
    let error = error.await;
    assert!(matches!(error, ManageError::CallerEnded), "{error:?}");
    assert!(world.record(&id).await.scopes.is_empty());
}

#[tokio::test]
async fn a_rotation_for_a_caller_that_ended_meanwhile_leaves_the_old_secret_in_force() {
    let world = World::new().await;
    let issued = issue(&world, admin()).await;
    let manager = world.keys.manager();
    let late = manager.on_behalf_of(&caller(&world, &issued).await);
    let other = issue(&world, admin()).await;
    let id = other.info.key_id;
    let rotate = async move { late.rotate_with_overlap(&id, Duration::ZERO).await };
    let error = while_it_writes(&world, rotate, async {
        manager.disable(&issued.info.key_id).await.unwrap();
    });
    assert!(matches!(error.await, ManageError::CallerEnded));
    caller(&world, &other).await;
}

#[tokio::test]
async fn a_caller_that_was_narrowed_meanwhile_gets_no_more_than_it_has_left() {
    let world = World::new().await;
    let issued = issue(&world, admin()).await;
    let manager = world.keys.manager();
    let late = manager.on_behalf_of(&caller(&world, &issued).await);
    let new = NewKey::for_owner("a").scopes(["keys:write"]);
    let error = while_it_writes(&world, async move { late.issue(new).await }, async {
        let narrow = Change::new().scopes(["keys:read"]);
        manager.change(&issued.info.key_id, narrow).await.unwrap();
    });
    let error = error.await;
    assert!(matches!(error, ManageError::BeyondCeiling(_)), "{error:?}");
    let open = manager
        .list(Filter::new().status(KeyStatus::Active))
        .await
        .unwrap();
    assert_eq!(open.keys.len(), 1, "what was issued was ended");
}

#[tokio::test]
async fn a_store_that_fails_after_the_change_leaves_it_in_doubt() {
    let world = World::new().await;
    let issued = issue(&world, admin()).await;
    let manager = world.keys.manager();
    let late = manager.on_behalf_of(&caller(&world, &issued).await);
    let error = while_it_writes(
        &world,
        async move { late.issue(NewKey::for_owner("a")).await },
        async {
            world
                .store
                .gets
                .once(Fault::Fail(StoreErrorKind::Unavailable));
        },
    );
    let error = error.await;
    let in_doubt = matches!(&error, ManageError::Store(error) if error.kind() == StoreErrorKind::OutcomeUnknown);
    assert!(in_doubt, "{error:?}");
}

#[tokio::test]
async fn a_caller_ends_all_keys_of_its_owner_and_its_own_last() {
    let world = World::new().await;
    for _ in 0..4 {
        drop(issue(&world, admin()).await);
    }
    let issued = issue(&world, admin()).await;
    for _ in 0..4 {
        drop(issue(&world, admin()).await);
    }
    let manager = world.keys.manager();
    let own = manager.on_behalf_of(&caller(&world, &issued).await);
    let outcome = own.revoke_owner("a", "leaked").await.unwrap();
    assert_eq!((outcome.revoked, outcome.failed.len()), (9, 0));
    let open = manager
        .list(Filter::new().status(KeyStatus::Active))
        .await
        .unwrap();
    assert!(open.keys.is_empty());
}

#[tokio::test]
async fn a_caller_whose_key_no_longer_works_here_can_do_nothing() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let moved = issue(&world, admin()).await;
    let late = manager.on_behalf_of(&caller(&world, &moved).await);
    world
        .edit(&moved.info.key_id, |record| {
            record.prefix = SANDBOX.parse().unwrap()
        })
        .await;
    let outcome = late.issue(NewKey::for_owner("a")).await;
    assert!(
        matches!(outcome, Err(ManageError::CallerEnded)),
        "{outcome:?}"
    );

    let bound = issue(&world, admin()).await;
    let late = manager.on_behalf_of(&caller(&world, &bound).await);
    let elsewhere = Change::new().allowed_ips(["192.0.2.0/24"]);
    manager.change(&bound.info.key_id, elsewhere).await.unwrap();
    let outcome = late.issue(NewKey::for_owner("a")).await;
    assert!(
        matches!(outcome, Err(ManageError::CallerEnded)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_a_key_issues_while_it_ends_its_owners_keys_is_ended_too() {
    let world = World::new().await;
    let issued = issue(&world, admin()).await;
    let manager = world.keys.manager();
    let caller = caller(&world, &issued).await;
    let (ending, thief) = (manager.on_behalf_of(&caller), manager.on_behalf_of(&caller));
    let door = Door::new();
    world.store.writes.once(Fault::HoldBack(door.clone()));
    let ending = tokio::spawn(async move { ending.revoke_owner("a", "leaked").await });
    door.arrival().await;
    drop(thief.issue(NewKey::for_owner("a")).await.unwrap());
    door.open();
    let outcome = ending.await.unwrap().unwrap();
    assert_eq!((outcome.revoked, outcome.failed.len()), (2, 0));
    let open = manager.list(Filter::new().status(KeyStatus::Active));
    assert!(open.await.unwrap().keys.is_empty());
    let query = AuditQuery {
        action: Some(AuditAction::Revoked),
        ..AuditQuery::new()
    };
    let ends = manager.audit(&query).await.unwrap().events;
    let by: Vec<_> = ends.iter().map(|end| (&end.actor, end.address)).collect();
    let key = Actor::Key(issued.info.key_id);
    assert_eq!(by, [(&key, caller.client_address()); 2]);
}
