//! Nothing that was read is believed for longer than a second, or past a change in this process.

use keygate::{Change, Error, Rejection, StoreErrorKind};

use crate::common::*;
use crate::lookups::{issue, spawn};

#[tokio::test]
async fn an_outage_is_ridden_out_on_fresh_entries_and_on_no_others() {
    let world = World::new().await;
    let (known, unknown) = (issue(&world.keys).await, issue(&world.keys).await);
    present(&world.keys, known.key.expose()).await.unwrap();
    world
        .store
        .gets
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    world.clock.advance(millis(999));
    assert!(present(&world.keys, known.key.expose()).await.is_ok());
    failure(present(&world.keys, unknown.key.expose()).await);
    world.clock.advance(millis(1));
    failure(present(&world.keys, known.key.expose()).await);
    failure(present(&world.keys, &with_wrong_secret(known.key.expose())).await);
    world.store.gets.heal();
    assert!(present(&world.keys, known.key.expose()).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_took_a_second_is_not_used_and_asked_for_once_more() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let calls = world.store.gets.count();
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let request = spawn(&world.keys, &issued);
    door.arrival().await;
    world.clock.advance(SECOND);
    door.open();
    assert!(request.await.unwrap().is_ok());
    assert_eq!(world.store.gets.count(), calls + 2);

    // Twice in a row it is our failure.
    world.clock.advance(SECOND);
    let doors = [Door::new(), Door::new()];
    for door in &doors {
        world.store.gets.once(Fault::Hold(door.clone()));
    }
    let request = spawn(&world.keys, &issued);
    for door in &doors {
        door.arrival().await;
        world.clock.advance(SECOND);
        door.open();
    }
    assert!(matches!(
        failure(request.await.unwrap()),
        Error::Timeout { .. }
    ));
}

#[tokio::test]
async fn a_read_that_began_before_a_revocation_is_not_used_after_it() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let request = spawn(&world.keys, &issued);
    door.arrival().await;
    world
        .keys
        .manager()
        .revoke(&issued.info.key_id, "leaked")
        .await
        .unwrap();
    let late = spawn(&world.keys, &issued);
    tokio::task::yield_now().await;
    door.open();
    assert_eq!(rejection(request.await.unwrap()), Rejection::KeyRevoked);
    assert_eq!(rejection(late.await.unwrap()), Rejection::KeyRevoked);
    let cached = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(cached), Rejection::KeyRevoked);
}

/// The write is durable and its acknowledgement is on its way: from when it arrives, or its caller
/// gives up, no entry from before is used.
#[tokio::test]
async fn a_revocation_whose_caller_stopped_waiting_is_honoured_all_the_same() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    let door = Door::new();
    world.store.writes.once(Fault::Hold(door.clone()));
    let (manager, id) = (world.keys.manager().clone(), issued.info.key_id);
    let revoking = tokio::spawn(async move { manager.revoke(&id, "").await });
    door.arrival().await;
    present(&world.keys, issued.key.expose()).await.ok();
    revoking.abort();
    assert!(revoking.await.is_err());
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn a_revocation_by_another_gate_is_honoured_after_a_second() {
    let world = World::new().await;
    let other = world.second_gate().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    present(&other, issued.key.expose()).await.unwrap();
    other
        .manager()
        .revoke(&issued.info.key_id, "")
        .await
        .unwrap();
    let there = present(&other, issued.key.expose()).await;
    assert_eq!(
        rejection(there),
        Rejection::KeyRevoked,
        "at once where it was made"
    );
    world.clock.advance(millis(999));
    assert!(
        present(&world.keys, issued.key.expose()).await.is_ok(),
        "the entry is still fresh"
    );
    world.clock.advance(millis(1));
    let here = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(here), Rejection::KeyRevoked);
}

#[tokio::test]
async fn the_age_of_an_entry_counts_from_before_its_read_and_not_from_its_arrival() {
    let world = World::new().await;
    let other = world.second_gate().await;
    let issued = issue(&world.keys).await;
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let request = spawn(&world.keys, &issued);
    door.arrival().await;
    other
        .manager()
        .revoke(&issued.info.key_id, "")
        .await
        .unwrap();
    world.clock.advance(millis(900));
    door.open();
    assert!(request.await.unwrap().is_ok(), "0.9 s old");
    world.clock.advance(millis(100));
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn a_process_that_was_frozen_does_not_use_what_it_held() {
    let world = World::new().await;
    let other = world.second_gate().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    other
        .manager()
        .revoke(&issued.info.key_id, "")
        .await
        .unwrap();
    world.clock.advance_monotonic(DAY);
    world.clock.step_wall(-5_000);
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn what_is_read_while_a_revocation_is_on_its_way_is_not_used_after_it() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let door = Door::new();
    world.store.writes.once(Fault::HoldBack(door.clone()));
    let (manager, id) = (world.keys.manager().clone(), issued.info.key_id);
    let revoking = tokio::spawn(async move { manager.revoke(&id, "").await });
    door.arrival().await;
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    door.open();
    assert!(revoking.await.unwrap().unwrap().changed);
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyRevoked);
}

#[tokio::test]
async fn a_new_secret_opens_at_once_where_the_old_record_is_still_cached() {
    let world = World::new().await;
    let second = world.second_gate().await;
    let issued = issue(&world.keys).await;
    assert!(present(&second, issued.key.expose()).await.is_ok());
    world.clock.advance(millis(500));
    let rotated = world
        .keys
        .manager()
        .rotate(&issued.info.key_id)
        .await
        .unwrap();
    let elsewhere = present(&second, rotated.key.expose()).await;
    assert!(elsewhere.is_ok(), "{elsewhere:?}");
}

#[tokio::test]
async fn a_key_that_was_enabled_elsewhere_opens_at_once() {
    let world = World::new().await;
    let second = world.second_gate().await;
    let issued = issue(&world.keys).await;
    let id = issued.info.key_id;
    world.keys.manager().disable(&id).await.unwrap();
    assert!(present(&second, issued.key.expose()).await.is_err());
    world.clock.advance(millis(500));
    world.keys.manager().enable(&id).await.unwrap();
    assert!(present(&second, issued.key.expose()).await.is_ok());
}

#[tokio::test]
async fn wrong_secrets_for_one_key_ask_the_store_no_oftener_than_ten_times_a_second() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let wrong = with_wrong_secret(issued.key.expose());
    let calls = world.store.gets.count();
    for _ in 0..1_000 {
        assert_eq!(
            rejection(present(&world.keys, &wrong).await),
            Rejection::KeyInvalid
        );
        world.clock.advance(millis(1));
    }
    assert_eq!(world.store.gets.count() - calls, 10);
}

#[tokio::test]
async fn a_refusal_that_did_not_stand_is_not_given_because_the_second_lookup_came_too_late() {
    let world = World::new().await;
    let second = world.second_gate().await;
    let issued = issue(&world.keys).await;
    let id = issued.info.key_id;
    let (first_door, second_door) = (Door::new(), Door::new());
    world.store.gets.once(Fault::Hold(first_door.clone()));
    let leader = spawn(&world.keys, &issued);
    first_door.arrival().await;
    let rotated = second.manager().rotate(&id).await.unwrap();
    world.clock.advance(millis(150));
    let joins = spawn(&world.keys, &rotated);
    tokio::task::yield_now().await;
    world.store.gets.once(Fault::Hold(second_door.clone()));
    first_door.open();
    assert!(leader.await.unwrap().is_ok());
    second_door.arrival().await;
    let renamed = Change::new().name("changed meanwhile");
    world.keys.manager().change(&id, renamed).await.unwrap();
    second_door.open();
    let outcome = joins.await.unwrap();
    assert!(matches!(failure(outcome), Error::Timeout { .. }));
}
