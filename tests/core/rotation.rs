//! A key gets a new secret, and the old one ends.

use std::time::Duration;

use keygate::{Change, Conflict, Issued, NewKey, Policy, Rejection};

use crate::common::*;
use crate::manage::conflict;

async fn opens(world: &World, issued: &Issued) -> bool {
    present(&world.keys, issued.key.expose()).await.is_ok()
}

#[tokio::test]
async fn both_secrets_open_for_twenty_four_hours_unless_said_otherwise() {
    let world = World::new().await;
    let old = world.issue().await;
    let new = world.keys.manager().rotate(&old.info.key_id).await.unwrap();
    assert_eq!(new.info.key_id, old.info.key_id);
    assert_eq!(new.info.expires_at, old.info.expires_at);
    assert_eq!(new.previous_ends_at(), old.info.created_at.checked_add(DAY));
    assert_ne!(secret_of(new.key.expose()), secret_of(old.key.expose()));
    assert!(opens(&world, &old).await && opens(&world, &new).await);
    world.clock.advance(DAY);
    assert!(!opens(&world, &old).await && opens(&world, &new).await);
}

#[tokio::test]
async fn an_overlap_of_nothing_ends_the_old_secret_at_once() {
    let world = World::new().await;
    let old = world.issue().await;
    assert!(opens(&world, &old).await);
    let new = world
        .keys
        .manager()
        .rotate_with_overlap(&old.info.key_id, Duration::ZERO)
        .await
        .unwrap();
    let outcome = present(&world.keys, old.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyExpired);
    assert!(opens(&world, &new).await);
    assert!(
        world.keys.manager().rotate(&old.info.key_id).await.is_ok(),
        "one secret is live"
    );
}

#[tokio::test]
async fn the_policy_sets_and_bounds_the_overlap() {
    let policy = Policy::new().default_overlap(HOUR).max_overlap(2 * HOUR);
    let world = World::with(|builder| builder.policy(policy)).await;
    let manager = world.keys.manager();
    let issued = world.issue().await;
    let created = issued.info.created_at;
    let rotated = manager.rotate(&issued.info.key_id).await.unwrap();
    assert_eq!(rotated.previous_ends_at(), created.checked_add(HOUR));
    let id = world.issue().await.info.key_id;
    assert!(
        manager
            .rotate_with_overlap(&id, 2 * HOUR + millis(1))
            .await
            .is_err()
    );
    let rotated = manager.rotate_with_overlap(&id, 2 * HOUR).await.unwrap();
    assert_eq!(rotated.previous_ends_at(), created.checked_add(2 * HOUR));
}

#[tokio::test]
async fn a_rotation_extends_neither_the_key_nor_its_old_secret_past_the_keys_end() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let old = manager
        .issue(NewKey::for_owner("a").expires_in(HOUR))
        .await
        .unwrap();
    let new = manager
        .rotate_with_overlap(&old.info.key_id, DAY)
        .await
        .unwrap();
    assert_eq!(new.info.expires_at, old.info.expires_at);
    assert_eq!(new.previous_ends_at(), old.info.expires_at);
    world.clock.advance(HOUR);
    assert!(!opens(&world, &old).await && !opens(&world, &new).await);

    // Nor does a longer life of the key lengthen an overlap that was promised to end.
    let old = world.issue().await;
    let id = old.info.key_id;
    let _rotated = manager.rotate_with_overlap(&id, HOUR).await.unwrap();
    manager
        .change(&id, Change::new().never_expires())
        .await
        .unwrap();
    world.clock.advance(HOUR);
    assert!(!opens(&world, &old).await);
}

/// A secret that was given an end by hand keeps it.
#[tokio::test]
async fn a_rotation_puts_off_no_end_that_the_secret_has_of_its_own() {
    let world = World::new().await;
    let old = world.issue().await;
    let id = old.info.key_id;
    let end = old.info.created_at.checked_add(HOUR);
    world
        .edit(&id, |record| record.secrets.current.not_after = end)
        .await;
    let new = world.keys.manager().rotate(&id).await.unwrap();
    assert_eq!(new.previous_ends_at(), end);
    world.clock.advance(HOUR);
    assert!(!opens(&world, &old).await && opens(&world, &new).await);
}

#[tokio::test]
async fn while_two_secrets_live_only_the_newer_one_can_be_replaced() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let old = world.issue().await;
    let id = old.info.key_id;
    assert_eq!(
        conflict(manager.supersede(&id).await),
        Conflict::NotRotating
    );
    let lost = manager.rotate_with_overlap(&id, HOUR).await.unwrap();
    let until = lost.previous_ends_at();
    assert_eq!(
        conflict(manager.rotate(&id).await),
        Conflict::Rotating { until }
    );
    world.clock.advance(millis(5));
    let new = manager.supersede(&id).await.unwrap();
    assert_eq!(new.previous_ends_at(), until, "the older one keeps its end");
    assert!(opens(&world, &old).await && opens(&world, &new).await);
    let outcome = present(&world.keys, lost.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    world.clock.advance(HOUR);
    assert_eq!(
        conflict(manager.supersede(&id).await),
        Conflict::NotRotating
    );
    assert!(manager.rotate(&id).await.is_ok());
}

#[tokio::test]
async fn an_ended_secret_answers_key_expired_until_the_next_rotation() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let first = world.issue().await;
    let id = first.info.key_id;
    let second = manager.rotate_with_overlap(&id, HOUR).await.unwrap();
    world.clock.advance(30 * DAY);
    let outcome = present(&world.keys, first.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyExpired);
    let third = manager.rotate(&id).await.unwrap();
    let outcome = present(&world.keys, first.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    assert!(opens(&world, &second).await && opens(&world, &third).await);
}

#[tokio::test]
async fn finishing_a_rotation_ends_the_old_secret_now() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let old = world.issue().await;
    let id = old.info.key_id;
    let writes = world.store.writes.count();
    assert_eq!(
        manager.finish_rotation(&id).await.unwrap(),
        old.info,
        "none is under way"
    );
    assert_eq!(world.store.writes.count(), writes);
    let new = manager.rotate(&id).await.unwrap();
    assert!(opens(&world, &old).await);
    let info = manager.finish_rotation(&id).await.unwrap();
    assert_eq!(
        info.secrets[1].not_after,
        Some(keygate::Clock::wall(&world.clock))
    );
    let outcome = present(&world.keys, old.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyExpired);
    assert!(opens(&world, &new).await);
    world.clock.advance(SECOND);
    assert_eq!(
        manager.finish_rotation(&id).await.unwrap().secrets,
        info.secrets
    );
    assert!(manager.rotate(&id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_rotations_at_once_make_one_new_secret() {
    let world = World::new().await;
    let other = world.second_gate().await;
    for overlap in [HOUR, Duration::ZERO] {
        let old = world.issue().await;
        let id = old.info.key_id;
        // Every one of them has read the record before any of them writes.
        let door = Door::new();
        world.store.gets.always(Fault::Hold(door.clone()));
        let rotating: Vec<_> = (0..100)
            .map(|n| {
                let gate = if n % 2 == 0 { &world.keys } else { &other };
                let manager = gate.manager().clone();
                tokio::spawn(async move { manager.rotate_with_overlap(&id, overlap).await })
            })
            .collect();
        for _ in 0..100 {
            door.arrival().await;
        }
        world.store.gets.heal();
        door.open();
        let mut made = Vec::new();
        for rotation in rotating {
            match rotation.await.unwrap() {
                Ok(issued) => made.push(issued),
                outcome => assert_eq!(conflict(outcome), Conflict::RotatedMeanwhile),
            }
        }
        assert_eq!(made.len(), 1);
        assert!(opens(&world, &made[0]).await);
        assert_eq!(opens(&world, &old).await, !overlap.is_zero());
        assert_eq!(world.record(&id).await.version, 2);
    }
}

#[tokio::test]
async fn a_rotation_gives_way_to_another_but_not_to_a_harmless_change() {
    let world = World::new().await;
    let id = world.issue().await.info.key_id;
    for harmless in [true, false] {
        let door = Door::new();
        world.store.gets.once(Fault::Hold(door.clone()));
        let manager = world.keys.manager().clone();
        let rotating =
            tokio::spawn(async move { manager.rotate_with_overlap(&id, Duration::ZERO).await });
        door.arrival().await;
        let manager = world.keys.manager();
        if harmless {
            manager
                .change(&id, Change::new().name("renamed"))
                .await
                .unwrap();
            door.open();
            let issued = rotating.await.unwrap().unwrap();
            assert_eq!(issued.info.name, "renamed");
            assert!(opens(&world, &issued).await);
        } else {
            let first = manager
                .rotate_with_overlap(&id, Duration::ZERO)
                .await
                .unwrap();
            door.open();
            assert_eq!(
                conflict(rotating.await.unwrap()),
                Conflict::RotatedMeanwhile
            );
            assert!(
                opens(&world, &first).await,
                "its text is in somebody's hands"
            );
        }
    }
}

#[tokio::test]
async fn a_revocation_in_between_stops_a_rotation() {
    let world = World::new().await;
    let id = world.issue().await.info.key_id;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let manager = world.keys.manager().clone();
    let rotating = tokio::spawn(async move { manager.rotate(&id).await });
    door.arrival().await;
    world.keys.manager().revoke(&id, "").await.unwrap();
    door.open();
    assert_eq!(conflict(rotating.await.unwrap()), Conflict::Revoked);
}
