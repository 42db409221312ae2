//! Ending all keys of an owner.

use keygate::{Issued, KeyStatus, Keygate, ManageError, NewKey, Rejection, StoreErrorKind};

use crate::common::*;

async fn issue(keys: &Keygate, owner: &str) -> Issued {
    keys.manager()
        .issue(NewKey::for_owner(owner))
        .await
        .unwrap()
}

#[tokio::test]
async fn every_key_of_the_owner_is_ended_and_no_other() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let other = issue(&world.keys, "org_420").await;
    // More than a store lists at once, and in every environment that is served.
    let mut keys = Vec::new();
    for n in 0..600 {
        let environment = if n % 2 == 0 { LIVE } else { SANDBOX };
        let new = NewKey::for_owner("org_42").environment(environment);
        keys.push(manager.issue(new).await.unwrap());
    }
    manager
        .revoke(&keys[0].info.key_id, "before")
        .await
        .unwrap();
    manager.disable(&keys[1].info.key_id).await.unwrap();
    let outcome = manager
        .revoke_owner("org_42", "contract ended")
        .await
        .unwrap();
    assert_eq!((outcome.revoked, outcome.failed.len()), (599, 0));
    assert!(outcome.effective_within <= SECOND);
    for issued in &keys {
        let refused = present(&world.keys, issued.key.expose()).await;
        assert_eq!(rejection(refused), Rejection::KeyRevoked);
    }
    let first = manager.inspect(&keys[0].info.key_id).await.unwrap();
    assert_eq!(first.revocation.unwrap().reason, "before");
    assert!(present(&world.keys, other.key.expose()).await.is_ok());
    let again = manager.revoke_owner("org_42", "").await.unwrap();
    assert_eq!((again.revoked, again.failed.len()), (0, 0));
    let nobody = manager.revoke_owner("nobody", "").await.unwrap();
    assert_eq!((nobody.revoked, nobody.failed.len()), (0, 0));
}

#[tokio::test]
async fn keys_that_are_issued_while_it_runs_are_ended_too() {
    let world = World::new().await;
    let _first = issue(&world.keys, "a").await;
    let door = Door::new();
    world.store.lists.once(Fault::Hold(door.clone()));
    let manager = world.keys.manager().clone();
    let revoking = tokio::spawn(async move { manager.revoke_owner("a", "").await });
    door.arrival().await;
    let mut late = Vec::new();
    for _ in 0..10 {
        late.push(issue(&world.keys, "a").await);
    }
    door.open();
    assert_eq!(revoking.await.unwrap().unwrap().revoked, 11);
    for issued in late {
        let refused = present(&world.keys, issued.key.expose()).await;
        assert_eq!(rejection(refused), Rejection::KeyRevoked);
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_ended_is_reported_and_does_not_save_the_others() {
    let world = World::new().await;
    let mut keys = Vec::new();
    for _ in 0..300 {
        keys.push(issue(&world.keys, "a").await.info.key_id);
    }
    keys.sort_unstable();
    // In the middle, at the ends, and where a page ends.
    let unreadable = [0, 150, 255, 256, 299].map(|n| keys[n]);
    for id in unreadable {
        world.store.corrupt(id);
    }
    let outcome = world.keys.manager().revoke_owner("a", "").await.unwrap();
    assert_eq!(outcome.revoked, 295);
    let mut failed: Vec<keygate::KeyId> = outcome
        .failed
        .iter()
        .map(|key| key.id.parse().unwrap())
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, unreadable);
    for key in &outcome.failed {
        assert!(matches!(&key.error, ManageError::Store(e) if e.kind() == StoreErrorKind::Corrupt));
    }
    for id in keys.iter().filter(|id| !unreadable.contains(id)) {
        let info = world.keys.manager().inspect(id).await.unwrap();
        assert_eq!(info.status, KeyStatus::Revoked);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_listed_or_written_is_reported() {
    let world = World::new().await;
    let id = issue(&world.keys, "a").await.info.key_id;
    world
        .store
        .writes
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    let outcome = world.keys.manager().revoke_owner("a", "").await.unwrap();
    assert_eq!((outcome.revoked, outcome.failed.len()), (0, 1));
    assert_eq!(outcome.failed[0].id, id.to_string());
    world.store.writes.heal();
    world
        .store
        .lists
        .once(Fault::Fail(StoreErrorKind::Unavailable));
    let outcome = world.keys.manager().revoke_owner("a", "").await;
    assert!(matches!(outcome, Err(ManageError::Store(_))));
    assert_eq!(
        world
            .keys
            .manager()
            .revoke_owner("a", "")
            .await
            .unwrap()
            .revoked,
        1
    );
}

/// "When it is empty, no key of the owner opens": also not at a gate that serves other prefixes.
#[tokio::test]
async fn a_key_that_only_another_gate_serves_is_ended_or_reported() {
    let world = World::new().await;
    let only_live = Keygate::builder(LIVE)
        .pepper(pepper())
        .store(world.store.clone())
        .clock(world.clock.clone())
        .build()
        .await
        .unwrap();
    let new = NewKey::for_owner("a").environment(SANDBOX);
    let sandbox = world.keys.manager().issue(new).await.unwrap();
    let _first = issue(&world.keys, "a").await;
    let outcome = only_live.manager().revoke_owner("a", "").await.unwrap();
    world.clock.advance(SECOND);
    let opens = present(&world.keys, sandbox.key.expose()).await.is_ok();
    assert!(
        !opens
            || outcome
                .failed
                .iter()
                .any(|key| key.id == sandbox.info.key_id.as_str()),
        "the key of acme_sandbox opens, and revoke_owner reported no failure"
    );
}
