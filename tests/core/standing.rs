//! Callers whose connection stays open: when they are told that they do not stand any more.

use std::time::Duration;

use keygate::{Keygate, NewKey, Principal, Refusal, Rejection, StoreErrorKind};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::common::*;
use crate::feed::FedWorld;
use crate::lookups::issue;

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(keys: &Keygate, text: &str) -> JoinHandle<Refusal> {
    let caller: Principal = present(keys, text).await.unwrap();
    let ended = tokio::spawn(caller.ended());
    tokio::time::sleep(millis(20)).await;
    ended
}

async fn end(ended: JoinHandle<Refusal>) -> Refusal {
    timeout(PATIENCE, ended).await.unwrap().unwrap()
}

async fn rejected(ended: JoinHandle<Refusal>) -> Rejection {
    match end(ended).await {
        Refusal::Rejected(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_change_in_this_process_is_told_at_once() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let [revoked, disabled, finished, changed] = [
        issue(&world.keys).await,
        issue(&world.keys).await,
        issue(&world.keys).await,
        issue(&world.keys).await,
    ];
    let texts = [&revoked, &disabled, &finished, &changed].map(|issued| issued.key.expose());
    let mut ended = Vec::new();
    for text in texts {
        ended.push(connect(&world.keys, text).await);
    }
    assert!(ended.iter().all(|ended| !ended.is_finished()));
    manager.revoke(&revoked.info.key_id, "").await.unwrap();
    manager.disable(&disabled.info.key_id).await.unwrap();
    let _ = manager.rotate(&finished.info.key_id).await.unwrap();
    tokio::time::sleep(millis(20)).await;
    assert!(!ended[2].is_finished(), "its secret lasts for the overlap");
    manager
        .finish_rotation(&finished.info.key_id)
        .await
        .unwrap();
    let renamed = keygate::Change::new().name("renamed");
    manager.change(&changed.info.key_id, renamed).await.unwrap();
    let stays = ended.pop().unwrap();
    let expected = [
        Rejection::KeyRevoked,
        Rejection::KeyDisabled,
        Rejection::KeyExpired,
    ];
    for (ended, expected) in ended.into_iter().zip(expected) {
        assert_eq!(rejected(ended).await, expected);
    }
    assert!(!stays.is_finished(), "a new name ends nothing");
    stays.abort();
}

#[tokio::test]
async fn a_change_elsewhere_is_told_within_a_second_without_a_feed() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let ended = connect(&world.keys, issued.key.expose()).await;
    let elsewhere = world.second_gate().await;
    let manager = elsewhere.manager();
    manager.revoke(&issued.info.key_id, "").await.unwrap();
    tokio::time::sleep(millis(50)).await;
    assert!(!ended.is_finished(), "nobody told it");
    world.clock.advance(SECOND);
    assert_eq!(rejected(ended).await, Rejection::KeyRevoked);
}

#[tokio::test]
async fn what_a_feed_tells_is_passed_on_at_once() {
    let world = FedWorld::new().await;
    let issued = issue(&world.keys).await;
    world.beat().await;
    let ended = connect(&world.keys, issued.key.expose()).await;
    let reads = world.store.gets.count();
    world.revoke_elsewhere(&issued).await;
    tokio::time::sleep(millis(50)).await;
    assert!(!ended.is_finished());
    assert_eq!(world.store.gets.count(), reads, "nothing is to be asked");
    world.tell(&issued).await;
    assert_eq!(rejected(ended).await, Rejection::KeyRevoked);
}

#[tokio::test]
async fn an_expiry_is_told_when_its_time_comes() {
    let world = World::new().await;
    let new = NewKey::for_owner("a").expires_in(HOUR);
    let issued = world.keys.manager().issue(new).await.unwrap();
    let ended = connect(&world.keys, issued.key.expose()).await;
    world.clock.advance(HOUR - millis(1));
    tokio::time::sleep(millis(1_200)).await;
    assert!(!ended.is_finished());
    world.clock.advance(millis(1));
    assert_eq!(rejected(ended).await, Rejection::KeyExpired);
}

#[tokio::test]
async fn an_address_that_is_allowed_no_more_ends_it() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let attempt = keygate::Attempt::new(issued.key.expose());
    let attempt = attempt.from_address(Some("192.0.2.1".parse().unwrap()));
    let caller = world.keys.authenticator().authenticate(attempt).await;
    let ended = tokio::spawn(caller.unwrap().ended());
    let change = keygate::Change::new().allowed_ips(["10.0.0.0/8"]);
    let manager = world.keys.manager();
    manager.change(&issued.info.key_id, change).await.unwrap();
    assert_eq!(rejected(ended).await, Rejection::IpDenied);
}

#[tokio::test]
async fn a_key_that_was_moved_to_another_environment_ends_it() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    let ended = tokio::spawn(caller.ended());
    world
        .edit(&issued.info.key_id, |record| {
            record.prefix = SANDBOX.parse().unwrap();
        })
        .await;
    assert_eq!(rejected(ended).await, Rejection::KeyInvalid);
}

#[tokio::test]
async fn it_ends_with_its_gate() {
    let world = World::new().await;
    let issued = issue(&world.keys).await;
    let caller = present(&world.keys, issued.key.expose()).await.unwrap();
    drop(world.keys);
    let ended = timeout(PATIENCE, caller.ended()).await.unwrap();
    assert!(matches!(ended, Refusal::Failed(_)), "{ended:?}");
}

/// What the bound says of requests holds for what stays open, whichever way the store fails.
#[tokio::test]
async fn a_store_that_hangs_ends_it_within_the_bound_and_a_moment() {
    let store = std::sync::Arc::new(FaultyStore::new(keygate::MemoryStore::new()));
    let keys = Keygate::builder(LIVE).pepper(pepper()).store(store.clone());
    let keys = keys.build().await.unwrap();
    let issued = issue(&keys).await;
    // One that is late at every try is not late for want of a processor.
    let mut tries = Vec::new();
    for _ in 0..5 {
        store.gets.heal();
        let ended = connect(&keys, issued.key.expose()).await;
        store.gets.always(Fault::Hang);
        let began = std::time::Instant::now();
        assert!(matches!(end(ended).await, Refusal::Failed(_)));
        tries.push(began.elapsed());
        if tries.last().is_some_and(|took| *took < millis(1_600)) {
            return;
        }
    }
    panic!("the bound is a second: {tries:?}");
}

#[tokio::test]
async fn one_look_that_fails_ends_nothing() {
    let store = std::sync::Arc::new(FaultyStore::new(keygate::MemoryStore::new()));
    let keys = Keygate::builder(LIVE).pepper(pepper()).store(store.clone());
    let keys = keys.build().await.unwrap();
    let issued = issue(&keys).await;
    let ended = connect(&keys, issued.key.expose()).await;
    for _ in 0..3 {
        store.gets.once(Fault::Fail(StoreErrorKind::Unavailable));
        tokio::time::sleep(millis(700)).await;
        assert!(!ended.is_finished());
    }
    assert!(store.gets.count() > 4, "it was looked at");
    ended.abort();
}

#[tokio::test]
async fn when_nobody_can_say_for_the_bound_it_is_told_as_our_failure_and_not_before() {
    let world = World::with(|builder| builder.outage_grace(Duration::from_secs(5))).await;
    let issued = issue(&world.keys).await;
    let ended = connect(&world.keys, issued.key.expose()).await;
    let gone = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(gone);
    world.clock.advance(millis(5_999));
    tokio::time::sleep(millis(1_500)).await;
    assert!(!ended.is_finished());
    world.clock.advance(millis(1));
    assert!(matches!(end(ended).await, Refusal::Failed(_)));
}

#[tokio::test]
async fn an_outage_that_passes_ends_nothing() {
    let world = World::with(|builder| builder.outage_grace(Duration::from_secs(5))).await;
    let issued = issue(&world.keys).await;
    let ended = connect(&world.keys, issued.key.expose()).await;
    let gone = Fault::Fail(StoreErrorKind::Unavailable);
    for _ in 0..3 {
        world.store.gets.always(gone.clone());
        world.clock.advance(Duration::from_secs(4));
        tokio::time::sleep(millis(1_300)).await;
        world.store.gets.heal();
        tokio::time::sleep(millis(500)).await;
        assert!(!ended.is_finished());
    }
    ended.abort();
}
