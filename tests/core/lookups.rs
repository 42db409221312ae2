//! How the store is asked: as rarely as can be, once for all who wait, and never believed for
//! longer than a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keygate::store::{Expect, Write};
use keygate::{
    Attempt, Error, Issued, Keygate, NewKey, Principal, Refusal, Rejection, StoreErrorKind,
};
use tokio::task::JoinHandle;

use crate::common::*;

pub(crate) async fn issue(keys: &Keygate) -> Issued {
    keys.manager().issue(NewKey::for_owner("a")).await.unwrap()
}

pub(crate) fn spawn(keys: &Keygate, issued: &Issued) -> JoinHandle<Result<Principal, Refusal>> {
    let (keys, text) = (keys.clone(), issued.key.expose().to_owned());
    tokio::spawn(async move { present(&keys, &text).await })
}

async fn until_the_store_is_asked(world: &World) {
    let asked = async {
        while world.store.under_way() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked)
        .await
        .unwrap();
}

/// Whether the decision can be made from memory, and is yes.
fn is_cached(keys: &Keygate, issued: &Issued) -> bool {
    let attempt = Attempt::new(issued.key.expose());
    let decision = keys.authenticator().authenticate_cached(attempt, |_| ());
    decision.is_some_and(|decision| decision.is_ok())
}

#[tokio::test]
async fn a_record_is_asked_for_once_in_its_second() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let calls = world.store.gets.count();
    for _ in 0..10 {
        present(&world.keys, issued.key.expose()).await.unwrap();
    }
    world.clock.advance(millis(999));
    present(&world.keys, issued.key.expose()).await.unwrap();
    assert_eq!(world.store.gets.count(), calls + 1);
    world.clock.advance(millis(1));
    assert!(!is_cached(&world.keys, &issued));
    present(&world.keys, issued.key.expose()).await.unwrap();
    assert_eq!(world.store.gets.count(), calls + 2);
}

#[tokio::test]
async fn an_unknown_id_is_asked_for_once_in_its_second() {
    let world = World::new().await;
    let elsewhere = World::new().await;
    let issued = issue(&elsewhere.keys).await;
    let calls = world.store.gets.count();
    for text in [issued.key.expose(), &with_wrong_secret(issued.key.expose())] {
        for _ in 0..5 {
            let outcome = present(&world.keys, text).await;
            assert_eq!(rejection(outcome), Rejection::KeyInvalid);
        }
    }
    assert_eq!(world.store.gets.count(), calls + 1);
    world.clock.advance(SECOND);
    rejection(present(&world.keys, issued.key.expose()).await);
    assert_eq!(world.store.gets.count(), calls + 2);
}

#[tokio::test]
async fn a_key_that_comes_into_being_opens_a_tenth_of_a_second_after_it_was_unknown() {
    let (world, elsewhere) = (World::new().await, World::new().await);
    let issued = issue(&elsewhere.keys).await;
    rejection(present(&world.keys, issued.key.expose()).await);
    let record = elsewhere.record(&issued.info.key_id).await;
    let write = Write {
        expect: Expect::Absent,
        record: &record,
        audit: &[],
    };
    world.store.inner().write(write).await.unwrap();
    world.clock.advance(millis(99));
    let outcome = present(&world.keys, issued.key.expose()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    world.clock.advance(millis(1));
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
}

#[tokio::test]
async fn ended_and_paused_keys_do_not_cost_a_store_call_each() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let expired = manager
        .issue(NewKey::for_owner("a").expires_in(millis(1)))
        .await
        .unwrap();
    let (disabled, revoked) = (issue(&world.keys).await, issue(&world.keys).await);
    manager.disable(&disabled.info.key_id).await.unwrap();
    manager.revoke(&revoked.info.key_id, "").await.unwrap();
    world.clock.advance(millis(1));
    let calls = world.store.gets.count();
    for _ in 0..5 {
        for (issued, expected) in [
            (&expired, Rejection::KeyExpired),
            (&disabled, Rejection::KeyDisabled),
            (&revoked, Rejection::KeyRevoked),
        ] {
            let outcome = present(&world.keys, issued.key.expose()).await;
            assert_eq!(rejection(outcome), expected);
        }
    }
    assert_eq!(world.store.gets.count(), calls + 3);
}

#[tokio::test]
async fn a_thousand_requests_for_one_key_ask_the_store_once() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let calls = world.store.gets.count();
    world.store.gets.always(Fault::Delay(millis(50)));
    let waiting: Vec<_> = (0..1_000).map(|_| spawn(&world.keys, &issued)).collect();
    for request in waiting {
        assert!(request.await.unwrap().is_ok());
    }
    assert_eq!(world.store.gets.count(), calls + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_on_many_threads_ask_the_store_once() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let calls = world.store.gets.count();
    let door = Door::new();
    world.store.gets.always(Fault::Hold(door.clone()));
    let waiting: Vec<_> = (0..1_000).map(|_| spawn(&world.keys, &issued)).collect();
    door.arrival().await;
    door.open();
    for request in waiting {
        assert!(request.await.unwrap().is_ok());
    }
    assert_eq!(world.store.gets.count(), calls + 1);
}

#[tokio::test]
async fn when_the_first_to_ask_leaves_the_others_are_answered_by_the_same_call() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    for answer_is_on_its_way in [false, true] {
        world.clock.advance(SECOND);
        let calls = world.store.gets.count();
        let door = Door::new();
        world.store.gets.always(Fault::Hold(door.clone()));
        let first = spawn(&world.keys, &issued);
        door.arrival().await;
        let others: Vec<_> = (0..10).map(|_| spawn(&world.keys, &issued)).collect();
        tokio::task::yield_now().await;
        if answer_is_on_its_way {
            door.open();
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        door.open();
        for request in others {
            assert!(request.await.unwrap().is_ok());
        }
        assert_eq!(world.store.gets.count(), calls + 1);
    }
}

#[tokio::test]
async fn when_all_who_wait_leave_the_call_is_dropped_and_the_next_to_come_is_answered() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    world.store.gets.always(Fault::Hang);
    let waiting: Vec<_> = (0..10).map(|_| spawn(&world.keys, &issued)).collect();
    until_the_store_is_asked(&world).await;
    for request in &waiting {
        request.abort();
    }
    for request in waiting {
        assert!(request.await.unwrap_err().is_cancelled());
    }
    assert_eq!(
        world.store.under_way(),
        0,
        "the store's future is still held"
    );
    world.store.gets.heal();
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
}

#[tokio::test]
async fn a_gate_that_is_dropped_lets_go_of_its_store() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    present(&world.keys, issued.key.expose()).await.unwrap();
    world.clock.advance(SECOND);
    world.store.gets.always(Fault::Hang);
    let request = spawn(&world.keys, &issued);
    until_the_store_is_asked(&world).await;
    request.abort();
    assert!(request.await.is_err());
    let World { store, keys, .. } = world;
    drop(keys);
    // Where it has background work, that ends first.
    let begun = Instant::now();
    while Arc::strong_count(&store) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(millis(1)).await;
    }
}

#[tokio::test]
async fn a_failed_lookup_fails_all_who_wait_for_it_and_is_not_kept() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::Corrupt,
        StoreErrorKind::OutcomeUnknown,
    ] {
        let calls = world.store.gets.count();
        let door = Door::new();
        world
            .store
            .gets
            .always(Fault::HoldFailure(door.clone(), kind));
        let waiting: Vec<_> = (0..10).map(|_| spawn(&world.keys, &issued)).collect();
        door.arrival().await;
        tokio::task::yield_now().await;
        door.open();
        for request in waiting {
            match failure(request.await.unwrap()) {
                Error::Store { key_id, source } => {
                    assert_eq!((key_id, source.kind()), (issued.info.key_id, kind));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(world.store.gets.count(), calls + 1, "one after the other");
        world.store.gets.heal();
        assert!(
            present(&world.keys, issued.key.expose()).await.is_ok(),
            "kept: {kind:?}"
        );
        world.clock.advance(SECOND);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_our_failure_whatever_secret_is_presented() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    world.store.corrupt(issued.info.key_id);
    for text in [issued.key.expose(), &with_wrong_secret(issued.key.expose())] {
        let error = failure(present(&world.keys, text).await);
        assert!(
            matches!(error, Error::Store { source, .. } if source.kind() == StoreErrorKind::Corrupt)
        );
    }
}

#[tokio::test]
async fn a_store_that_hangs_is_given_up_within_seconds_and_used_again_when_it_answers() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    world.store.gets.always(Fault::Hang);
    let began = Instant::now();
    let waiting: Vec<_> = (0..10).map(|_| spawn(&world.keys, &issued)).collect();
    for request in waiting {
        let error = failure(request.await.unwrap());
        assert!(matches!(error, Error::Timeout { key_id, .. } if key_id == issued.info.key_id));
    }
    let took = began.elapsed();
    assert!(
        (millis(900)..Duration::from_secs(30)).contains(&took),
        "{took:?}"
    );
    assert_eq!(world.store.under_way(), 0);
    world.store.gets.heal();
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
}

#[tokio::test]
async fn requests_beyond_the_lookups_that_may_wait_are_told_to_come_back() {
    let world = World::with(|builder| builder.max_lookups(4)).await;
    let seen_before = issue(&world.keys).await;
    assert!(present(&world.keys, seen_before.key.expose()).await.is_ok());
    world.clock.advance(SECOND);
    let issued = [
        issue(&world.keys).await,
        issue(&world.keys).await,
        issue(&world.keys).await,
    ];
    let door = Door::new();
    world.store.gets.always(Fault::Hold(door.clone()));
    let waiting: Vec<_> = issued[..2]
        .iter()
        .map(|issued| spawn(&world.keys, issued))
        .collect();
    door.arrival().await;
    door.arrival().await;
    let over = present(&world.keys, issued[2].key.expose()).await;
    assert!(matches!(failure(over), Error::Overloaded));
    let joins = spawn(&world.keys, &issued[0]);
    let known = spawn(&world.keys, &seen_before);
    door.arrival().await;
    door.open();
    for request in waiting {
        assert!(request.await.unwrap().is_ok());
    }
    assert!(
        joins.await.unwrap().is_ok(),
        "one who joins a lookup adds none"
    );
    assert!(
        known.await.unwrap().is_ok(),
        "half of the places are kept for keys that were seen before"
    );
    assert!(present(&world.keys, issued[2].key.expose()).await.is_ok());
}

#[tokio::test]
async fn a_store_that_panics_fails_the_request_and_not_the_next_ones() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    world.store.gets.once(Fault::Panic);
    let asked = present(&world.keys, issued.key.expose()).await;
    assert!(matches!(failure(asked), Error::Store { .. }));
    assert!(present(&world.keys, issued.key.expose()).await.is_ok());
}

#[tokio::test]
async fn lookups_that_nobody_waits_for_any_more_take_no_place() {
    let world = World::with(|builder| builder.max_lookups(2)).await;
    let (left, next) = (issue(&world.keys).await, issue(&world.keys).await);
    world.store.gets.once(Fault::Hang);
    let request = spawn(&world.keys, &left);
    until_the_store_is_asked(&world).await;
    request.abort();
    assert!(request.await.is_err());
    assert!(present(&world.keys, next.key.expose()).await.is_ok());
}

#[tokio::test]
async fn a_full_cache_changes_no_verdict() {
    let world = World::with(|builder| builder.cache_capacity(0)).await;
    let issued = issue(&world.keys).await;
    let calls = world.store.gets.count();
    for _ in 0..3 {
        assert!(present(&world.keys, issued.key.expose()).await.is_ok());
    }
    assert_eq!(world.store.gets.count(), calls + 3);
}
