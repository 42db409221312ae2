//! Ending a key for good.

use keygate::store::{Expect, Write};
use keygate::{Change, Conflict, KeyStatus, ManageError, Rejection, Revocation, StoreErrorKind};

use crate::common::*;
use crate::manage::{conflict, issue};

#[tokio::test]
async fn a_revocation_is_final_and_keeps_its_first_reason() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issued = issue(&world).await;
    let id = issued.info.key_id;
    let _rotated = manager.rotate(&id).await.unwrap();
    manager.disable(&id).await.unwrap();
    let revoked = manager.revoke(&id, "leaked").await.unwrap();
    assert!(revoked.changed && revoked.effective_within <= SECOND);
    assert_eq!(revoked.info.status, KeyStatus::Revoked);
    let at = keygate::Clock::wall(&world.clock);
    let expected = Some(Revocation {
        at,
        reason: "leaked".into(),
    });
    let record = world.record(&id).await;
    assert_eq!(record.revocation, expected);
    world.clock.advance(HOUR);
    let again = manager.revoke(&id, "another reason").await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.info.revocation, expected);

    let change = Change::new().name("x");
    assert_eq!(
        conflict(manager.change(&id, change).await),
        Conflict::Revoked
    );
    assert_eq!(conflict(manager.disable(&id).await), Conflict::Revoked);
    assert_eq!(conflict(manager.enable(&id).await), Conflict::Revoked);
    assert_eq!(conflict(manager.rotate(&id).await), Conflict::Revoked);
    assert_eq!(conflict(manager.supersede(&id).await), Conflict::Revoked);
    assert_eq!(world.record(&id).await, record);
    manager.finish_rotation(&id).await.unwrap();
    world
        .clock
        .step_wall(-2 * i64::try_from(HOUR.as_millis()).unwrap());
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);

    // Not even a write that goes around the manager.
    let stored = world.record(&id).await;
    let mut cleared = stored.clone();
    cleared.revocation = None;
    cleared.version += 1;
    let write = Write {
        expect: Expect::Version(stored.version),
        record: &cleared,
        audit: &[],
    };
    let error = world.store.inner().write(write).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Stale);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_wins_over_any_changes_at_the_same_time() {
    let world = World::new().await;
    for _ in 0..20 {
        let id = issue(&world).await.info.key_id;
        let changing: Vec<_> = (0..40)
            .map(|n| {
                let manager = world.keys.manager().clone();
                tokio::spawn(async move {
                    match n % 3 {
                        0 => manager
                            .change(&id, Change::new().name(format!("n{n}")))
                            .await
                            .map(drop),
                        1 => manager.disable(&id).await.map(drop),
                        _ => manager.enable(&id).await.map(drop),
                    }
                })
            })
            .collect();
        let manager = world.keys.manager().clone();
        let revoking = tokio::spawn(async move { manager.revoke(&id, "leaked").await });
        assert!(revoking.await.unwrap().unwrap().changed);
        for change in changing {
            if let Err(error) = change.await.unwrap() {
                assert!(
                    matches!(error, ManageError::Conflict(Conflict::Revoked)),
                    "{error}"
                );
            }
        }
        assert!(world.record(&id).await.revocation.is_some());
    }
}

#[tokio::test]
async fn a_revocation_that_read_an_older_record_begins_again_and_keeps_the_change() {
    let world = World::new().await;
    let id = issue(&world).await.info.key_id;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let manager = world.keys.manager().clone();
    let revoking = tokio::spawn(async move { manager.revoke(&id, "").await });
    door.arrival().await;
    world
        .keys
        .manager()
        .change(&id, Change::new().name("renamed"))
        .await
        .unwrap();
    door.open();
    assert!(revoking.await.unwrap().unwrap().changed);
    let record = world.record(&id).await;
    assert_eq!((record.name.as_str(), record.version), ("renamed", 3));
    assert!(record.revocation.is_some());
}

#[tokio::test]
async fn nobody_holds_up_the_end_of_a_key_by_changing_it_again_and_again() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issued = issue(&world).await;
    let id = issued.info.key_id;
    let others_are_first = || {
        for _ in 0..100 {
            let stale = Fault::Fail(StoreErrorKind::Stale);
            world.store.writes.once(stale);
        }
    };
    others_are_first();
    assert!(manager.revoke(&id, "leaked").await.unwrap().changed);
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);

    let id = issue(&world).await.info.key_id;
    others_are_first();
    assert!(manager.disable(&id).await.is_ok());
    others_are_first();
    assert_eq!(conflict(manager.enable(&id).await), Conflict::Busy);
}
