//! How often keys may be used.

use std::time::Duration;

use keygate::{
    Attempt, Charge, Error, Issued, NewKey, Principal, Quota, RateLimit, Refusal, Rejection, Rule,
    StoreErrorKind,
};

use crate::common::*;

async fn issue(world: &World, limit: RateLimit) -> Issued {
    let new = NewKey::for_owner("a").rate_limit(limit);
    world.keys.manager().issue(new).await.unwrap()
}

/// How long until the key may be used again; `None`: it was let in.
#[track_caller]
fn wait(outcome: Result<Principal, Refusal>) -> Option<Duration> {
    match outcome {
        Ok(_) => None,
        Err(Refusal::Rejected(Rejection::RateLimited { retry_after, .. })) => Some(retry_after),
        Err(other) => panic!("neither let in nor limited: {other:?}"),
    }
}

async fn ask(world: &World, text: &str) -> Option<Duration> {
    wait(present(&world.keys, text).await)
}

async fn charge(world: &World, text: &str, charge: impl Into<Charge>) -> Option<Duration> {
    let charge = charge.into();
    let attempt = Attempt::new(text).charging(&charge);
    wait(world.keys.authenticator().authenticate(attempt).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_burst_passes_from_64_tasks() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::per_day(100)).await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (keys, text) = (world.keys.clone(), issued.key.expose().to_owned());
            tokio::spawn(async move {
                let mut passed = 0;
                for _ in 0..5 {
                    passed += u32::from(wait(present(&keys, &text).await).is_none());
                    tokio::task::yield_now().await;
                }
                passed
            })
        })
        .collect();
    let mut passed = 0;
    for task in tasks {
        passed += task.await.unwrap();
    }
    assert_eq!(passed, 100);
}

#[tokio::test]
async fn who_waits_as_long_as_told_passes_and_who_waits_a_second_less_does_not() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::new(2, 60).with_burst(1)).await;
    let text = issued.key.expose();
    assert_eq!(ask(&world, text).await, None);
    assert_eq!(ask(&world, text).await, Some(30 * SECOND));
    world.clock.advance(29 * SECOND);
    assert_eq!(ask(&world, text).await, Some(SECOND));
    world.clock.advance(SECOND);
    assert_eq!(ask(&world, text).await, None);
}

#[tokio::test]
async fn a_burst_is_there_again_after_exactly_its_window() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::new(7, 60)).await;
    let text = issued.key.expose();
    for _ in 0..2 {
        for _ in 0..7 {
            assert_eq!(ask(&world, text).await, None);
        }
        assert!(ask(&world, text).await.is_some());
        world.clock.advance(60 * SECOND);
    }
}

#[tokio::test]
async fn the_count_outlives_reads_rotation_and_a_change_of_the_limit() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let issued = issue(&world, RateLimit::per_day(3)).await;
    let id = issued.info.key_id;
    assert_eq!(ask(&world, issued.key.expose()).await, None);
    // A thousandth of what a request costs: the record is read again.
    world.clock.advance(2 * SECOND);
    assert_eq!(ask(&world, issued.key.expose()).await, None);
    let rotated = manager.rotate(&id).await.unwrap();
    assert_eq!(ask(&world, rotated.key.expose()).await, None);
    for text in [issued.key.expose(), rotated.key.expose()] {
        assert!(ask(&world, text).await.is_some());
    }
    world
        .edit(&id, |record| {
            record.rate_limit = Some(RateLimit::per_day(4))
        })
        .await;
    // Three quarters of four are paid for, and a request of three took a third of a day.
    assert!(ask(&world, rotated.key.expose()).await.is_some());
    world
        .edit(&id, |record| {
            record.rate_limit = Some(RateLimit::per_day(3).with_burst(5));
        })
        .await;
    assert_eq!(ask(&world, rotated.key.expose()).await, None);
    assert_eq!(ask(&world, rotated.key.expose()).await, None);
    assert!(ask(&world, rotated.key.expose()).await.is_some());
    world.edit(&id, |record| record.rate_limit = None).await;
    assert_eq!(ask(&world, rotated.key.expose()).await, None);
}

#[tokio::test]
async fn who_may_not_use_a_key_does_not_use_up_its_limit() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::per_day(1)).await;
    let (id, text) = (issued.info.key_id, issued.key.expose());
    let wrong = with_wrong_secret(text);
    world
        .edit(&id, |record| {
            record.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()];
        })
        .await;
    for _cold_then_cached in 0..3 {
        let outcome = present(&world.keys, text).await;
        assert_eq!(rejection(outcome), Rejection::IpDenied);
        let outcome = present(&world.keys, &wrong).await;
        assert_eq!(rejection(outcome), Rejection::KeyInvalid);
    }
    world.edit(&id, |record| record.allowed_ips.clear()).await;
    world.keys.manager().disable(&id).await.unwrap();
    for _cold_then_cached in 0..3 {
        let outcome = present(&world.keys, text).await;
        assert_eq!(rejection(outcome), Rejection::KeyDisabled);
    }
    world.keys.manager().enable(&id).await.unwrap();
    assert_eq!(ask(&world, text).await, None);
    assert!(ask(&world, text).await.is_some());
}

#[tokio::test]
async fn who_lacks_a_scope_pays_all_the_same() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::per_day(3)).await;
    let rule = Rule::all(["orders:read"]).unwrap();
    let attempt = Attempt::new(issued.key.expose()).requiring(&rule);
    for _cold_then_cached in 0..3 {
        let outcome = world.keys.authenticator().authenticate(attempt).await;
        let rejection = rejection(outcome);
        assert!(matches!(rejection, Rejection::ScopeInsufficient(_)));
    }
    let outcome = world.keys.authenticator().authenticate(attempt).await;
    assert!(wait(outcome).is_some());
}

const EXPORTS: Quota = Quota::new("exports", RateLimit::new(4, 40));

#[tokio::test]
async fn a_request_takes_what_it_costs() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::new(10, 100)).await;
    let text = issued.key.expose();
    assert_eq!(charge(&world, text, Charge::of(6)).await, None);
    let outcome = charge(&world, text, Charge::of(6)).await;
    assert_eq!(outcome, Some(20 * SECOND));
    assert_eq!(charge(&world, text, Charge::of(4)).await, None);
    assert_eq!(
        charge(&world, text, Charge::of(0)).await,
        None,
        "it is free"
    );
    // More than the burst: when all of it is there, and then for as long as that takes.
    world.clock.advance(100 * SECOND);
    assert_eq!(charge(&world, text, Charge::of(15)).await, None);
    assert_eq!(ask(&world, text).await, Some(60 * SECOND));
}

#[tokio::test]
async fn a_quota_is_each_keys_own_and_counts_beside_the_limit_on_the_record() {
    let world = World::new().await;
    let limited = issue(&world, RateLimit::new(10, 100)).await;
    let unlimited = world.keys.manager().issue(NewKey::for_owner("a"));
    let unlimited = unlimited.await.unwrap();
    for issued in [&limited, &unlimited] {
        let text = issued.key.expose();
        assert_eq!(charge(&world, text, EXPORTS.cost(3)).await, None);
        assert_eq!(
            charge(&world, text, EXPORTS.cost(3)).await,
            Some(20 * SECOND)
        );
        assert_eq!(charge(&world, text, EXPORTS).await, None);
        assert_eq!(charge(&world, text, EXPORTS).await, Some(10 * SECOND));
        assert_eq!(ask(&world, text).await, None, "other routes go on");
    }
    // Two requests that passed and one more: what was refused took nothing.
    let text = limited.key.expose();
    for _ in 0..7 {
        assert_eq!(ask(&world, text).await, None);
    }
    world.clock.advance(9 * SECOND);
    assert_eq!(ask(&world, text).await, Some(SECOND));
}

#[tokio::test]
async fn what_the_own_limit_refuses_takes_nothing_of_a_quota() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::new(1, 10)).await;
    let text = issued.key.expose();
    assert_eq!(charge(&world, text, EXPORTS).await, None);
    for _ in 0..10 {
        assert_eq!(charge(&world, text, EXPORTS).await, Some(10 * SECOND));
    }
    let none_of_the_own = || Charge::of(0).and(EXPORTS, 1);
    for _ in 0..3 {
        assert_eq!(charge(&world, text, none_of_the_own()).await, None);
    }
    assert!(charge(&world, text, none_of_the_own()).await.is_some());
}

#[tokio::test]
async fn a_limit_that_cannot_be_counted_lets_nobody_in() {
    let world = World::new().await;
    let most = RateLimit::MOST;
    for (requests, per_seconds, burst) in [
        (0, 1, 1),
        (1, 0, 1),
        (1, 1, 0),
        (most + 1, 1, 1),
        (1, u32::MAX, 1),
        (1, 1, u32::MAX),
    ] {
        let issued = issue(&world, RateLimit::per_second(1)).await;
        let impossible = RateLimit {
            requests,
            per_seconds,
            burst,
        };
        let id = issued.info.key_id;
        world
            .edit(&id, |record| record.rate_limit = Some(impossible))
            .await;
        for _cold_then_cached in 0..2 {
            let error = failure(present(&world.keys, issued.key.expose()).await);
            assert!(matches!(error, Error::Unenforceable { key_id, .. } if key_id == id));
        }
    }
}

#[tokio::test]
async fn limits_hold_during_the_grace_of_an_outage_too() {
    let world = World::with(|builder| builder.outage_grace(HOUR)).await;
    let issued = issue(&world, RateLimit::per_day(3)).await;
    let text = issued.key.expose();
    assert_eq!(ask(&world, text).await, None);
    let gone = Fault::Fail(StoreErrorKind::Unavailable);
    world.store.gets.always(gone);
    world.clock.advance(2 * SECOND);
    assert_eq!(ask(&world, text).await, None);
    assert_eq!(ask(&world, text).await, None);
    assert!(ask(&world, text).await.is_some());
    world.clock.advance(2 * SECOND);
    assert!(ask(&world, text).await.is_some());
}

#[tokio::test]
async fn each_instance_counts_for_itself_unless_they_share_a_limiter() {
    let world = World::new().await;
    let issued = issue(&world, RateLimit::per_day(1)).await;
    let text = issued.key.expose();
    let second = world.second_gate().await;
    for keys in [&world.keys, &second] {
        assert_eq!(wait(present(keys, text).await), None);
        assert!(wait(present(keys, text).await).is_some());
    }
}
