//! How often one address may present what is no key.

use std::net::IpAddr;
use std::time::Duration;

use keygate::{Attempt, Principal, RateLimit, Refusal, Rejection};

use crate::common::*;

const GUESSER: &str = "192.0.2.1";

/// A gate that allows three failures a minute.
async fn world() -> World {
    World::with(|builder| builder.failed_attempts(RateLimit::per_minute(3))).await
}

async fn from(world: &World, address: &str, text: &str) -> Result<Principal, Refusal> {
    let address: IpAddr = address.parse().unwrap();
    let attempt = Attempt::new(text).from_address(Some(address));
    world.keys.authenticator().authenticate(attempt).await
}

/// Another well-formed text of a key that nobody issued, each time.
fn guess() -> String {
    let id = keygate::KeyId::generate().unwrap();
    forge(LIVE, id.as_str(), &"A".repeat(43))
}

/// Uses up what an address may fail.
async fn fail(world: &World, address: &str) {
    for _ in 0..3 {
        let outcome = from(world, address, &guess()).await;
        assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    }
}

#[track_caller]
fn wait(outcome: Result<Principal, Refusal>) -> Duration {
    match rejection(outcome) {
        Rejection::TooManyFailures { retry_after } => retry_after,
        other => panic!("not limited by address: {other:?}"),
    }
}

#[tokio::test]
async fn who_failed_too_often_is_told_when_to_come_back_and_the_store_is_not_asked() {
    let world = world().await;
    fail(&world, GUESSER).await;
    let calls = world.store.gets.count();
    for _ in 0..20 {
        assert_eq!(wait(from(&world, GUESSER, &guess()).await), 20 * SECOND);
        assert_eq!(wait(from(&world, GUESSER, "no key").await), 20 * SECOND);
    }
    assert_eq!(world.store.gets.count(), calls);
    world.clock.advance(19 * SECOND);
    assert_eq!(wait(from(&world, GUESSER, &guess()).await), SECOND);
    world.clock.advance(SECOND);
    let outcome = from(&world, GUESSER, &guess()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    wait(from(&world, GUESSER, &guess()).await);
}

#[tokio::test]
async fn every_kind_of_failure_counts() {
    for kind in [
        "malformed",
        "of an undeclared prefix",
        "unknown",
        "with a wrong secret",
    ] {
        let world = world().await;
        let issued = world.issue().await;
        let text = match kind {
            "malformed" => "no key".to_owned(),
            "of an undeclared prefix" => with_prefix(issued.key.expose(), "other_live"),
            "unknown" => guess(),
            _ => with_wrong_secret(issued.key.expose()),
        };
        for _ in 0..3 {
            let outcome = from(&world, GUESSER, &text).await;
            assert_eq!(rejection(outcome), Rejection::KeyInvalid, "{kind}");
        }
        wait(from(&world, GUESSER, &text).await);
    }
}

#[tokio::test]
async fn keys_that_were_seen_go_on_and_others_wait_even_if_they_are_right() {
    let world = world().await;
    let (seen, unseen) = (world.issue().await, world.issue().await);
    from(&world, "198.51.100.7", seen.key.expose())
        .await
        .unwrap();
    fail(&world, GUESSER).await;
    wait(from(&world, GUESSER, unseen.key.expose()).await);
    from(&world, GUESSER, seen.key.expose()).await.unwrap();
    // Also after its record has to be read again.
    world.clock.advance(2 * SECOND);
    from(&world, GUESSER, seen.key.expose()).await.unwrap();
    from(&world, "198.51.100.7", unseen.key.expose())
        .await
        .unwrap();
    from(&world, GUESSER, unseen.key.expose()).await.unwrap();
}

/// All of a flood come before the first of them has failed.
#[tokio::test]
async fn guesses_that_wait_for_the_store_when_the_limit_is_reached_do_not_reach_it() {
    let limit = RateLimit::per_minute(3);
    let world = World::with(|builder| builder.failed_attempts(limit).max_store_reads(1)).await;
    let (calls, door) = (world.store.gets.count(), Door::new());
    world.store.gets.once(Fault::Hold(door.clone()));
    let flood = (0..40).map(|_| {
        let (keys, text) = (world.keys.clone(), guess());
        tokio::spawn(async move {
            let attempt = Attempt::new(&text).from_address(GUESSER.parse().ok());
            keys.authenticator().authenticate(attempt).await
        })
    });
    let flood: Vec<_> = flood.collect();
    door.arrival().await;
    door.open();
    let mut failed = 0;
    for request in flood {
        match rejection(request.await.unwrap()) {
            Rejection::KeyInvalid => failed += 1,
            other => assert!(matches!(other, Rejection::TooManyFailures { .. })),
        }
    }
    assert_eq!((failed, world.store.gets.count() - calls), (3, 3));
}

#[tokio::test]
async fn a_network_of_64_bits_is_one_address_and_so_is_a_mapped_one() {
    let world = world().await;
    fail(&world, "2001:db8:1:2::1").await;
    wait(from(&world, "2001:db8:1:2:aaaa::9", &guess()).await);
    rejection(from(&world, "2001:db8:1:3::1", &guess()).await);
    fail(&world, GUESSER).await;
    wait(from(&world, "::ffff:192.0.2.1", &guess()).await);
    let outcome = from(&world, "192.0.2.2", &guess()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
}

#[tokio::test]
async fn requests_without_an_address_are_never_limited() {
    let world = world().await;
    for _ in 0..50 {
        let outcome = present(&world.keys, &guess()).await;
        assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    }
}

#[tokio::test]
async fn none_allows_any_number_and_a_hundred_a_minute_is_usual() {
    let unlimited = World::with(|builder| builder.failed_attempts(None)).await;
    for _ in 0..300 {
        let outcome = from(&unlimited, GUESSER, "no key").await;
        assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    }
    let usual = World::new().await;
    for _ in 0..100 {
        let outcome = from(&usual, GUESSER, "no key").await;
        assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    }
    wait(from(&usual, GUESSER, "no key").await);
}

#[tokio::test]
async fn keys_that_open_and_are_refused_otherwise_are_no_failures() {
    let world = world().await;
    let issued = world.issue().await;
    let id = issued.info.key_id;
    world.keys.manager().disable(&id).await.unwrap();
    for _ in 0..10 {
        let outcome = from(&world, GUESSER, issued.key.expose()).await;
        assert_eq!(rejection(outcome), Rejection::KeyDisabled);
    }
    let outcome = from(&world, GUESSER, &guess()).await;
    assert_eq!(rejection(outcome), Rejection::KeyInvalid);
}

/// Nothing is cached, so its key is looked up as that of a stranger would be.
#[tokio::test]
async fn a_connection_that_stays_open_does_not_end_because_a_neighbour_guesses() {
    let limit = RateLimit::per_minute(3);
    let world = World::with(|builder| builder.failed_attempts(limit).cache_capacity(0)).await;
    let issued = world.issue().await;
    let caller = from(&world, GUESSER, issued.key.expose()).await.unwrap();
    fail(&world, GUESSER).await;
    wait(from(&world, GUESSER, issued.key.expose()).await);
    let ended = tokio::time::timeout(millis(200), caller.ended()).await;
    assert!(ended.is_err(), "{ended:?}");
}
