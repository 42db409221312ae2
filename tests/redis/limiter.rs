//! The limiter on Redis by itself.

use std::time::{Duration, Instant};

use ::redis::Value;
use keygate::{KeyId, Level, RateLimit, RedisLimiter, SharedLimiter, StoreErrorKind, Take};

use crate::support::*;

async fn limiter(server: &RedisServer) -> RedisLimiter {
    RedisLimiter::connect(&server.url()).await.unwrap()
}

fn one(key_id: &KeyId, limit: RateLimit) -> Take<'_> {
    Take {
        key_id,
        name: "key",
        limit,
        cost: 1,
    }
}

async fn level(limiter: &RedisLimiter, take: Take<'_>) -> Level {
    limiter.take(&[take]).await.unwrap()[0]
}

fn id() -> KeyId {
    KeyId::generate().unwrap()
}

fn counts_of(id: &KeyId) -> String {
    format!("{{keygate}}:limit:{id}")
}

#[tokio::test]
async fn exactly_the_burst_passes_also_of_the_largest_limits() {
    let server = server!();
    let limiter = limiter(&server).await;
    let most = RateLimit::MOST;
    for (requests, per_seconds) in [
        (5, 3_600),
        (7, RateLimit::LONGEST_SECONDS),
        (1, RateLimit::LONGEST_SECONDS),
        (most, RateLimit::LONGEST_SECONDS),
        (999_999_937, 86_400),
    ] {
        let limit = RateLimit::new(requests, per_seconds).with_burst(20);
        let id = id();
        for left in (0..20).rev() {
            let level = level(&limiter, one(&id, limit)).await;
            assert!(!level.is_over(), "{limit:?} with {left} left");
            // Of a fast limit some may be back already.
            assert!(level.remaining >= left, "{limit:?}");
        }
        let after = level(&limiter, one(&id, limit)).await;
        assert!(after.is_over() || requests > 1_000, "{limit:?}");
    }
}

#[tokio::test]
async fn all_of_a_billion_can_be_taken_at_once_and_no_more() {
    let server = server!();
    let limiter = limiter(&server).await;
    let most = RateLimit::MOST;
    let limit = RateLimit::new(most, RateLimit::LONGEST_SECONDS);
    let id = id();
    let take = |cost| Take {
        cost,
        ..one(&id, limit)
    };
    assert!(!level(&limiter, take(most / 2)).await.is_over());
    assert!(!level(&limiter, take(most / 2)).await.is_over());
    // One comes back each 32 ms.
    let all = level(&limiter, take(most)).await;
    let window = Duration::from_secs(RateLimit::LONGEST_SECONDS.into());
    assert!(all.is_over());
    assert!(all.retry_after <= window && all.retry_after > window - Duration::from_secs(60));
    assert!(all.remaining < 2_000, "{all:?}");
}

#[tokio::test]
async fn it_tells_as_counting_in_the_process_does() {
    let server = server!();
    let limiter = limiter(&server).await;
    let limit = RateLimit::new(10, 1_000);
    let id = id();
    let take = |cost| Take {
        cost,
        ..one(&id, limit)
    };
    let near = |told: Duration, seconds: u64| {
        let seconds = Duration::from_secs(seconds);
        told <= seconds && told + Duration::from_secs(60) > seconds
    };
    let first = level(&limiter, take(4)).await;
    assert_eq!((first.is_over(), first.remaining), (false, 6));
    assert_eq!(first.full_after, Duration::from_secs(400), "exactly");
    let over = level(&limiter, take(8)).await;
    assert_eq!(over.remaining, 6);
    assert!(near(over.retry_after, 200) && near(over.full_after, 400));
    // More than the burst passes when all of it is there, and is paid back.
    let above = level(&limiter, take(15)).await;
    assert!(near(above.retry_after, 400), "{above:?}");
    let other = KeyId::generate().unwrap();
    let fresh = Take {
        key_id: &other,
        ..take(15)
    };
    assert!(!level(&limiter, fresh).await.is_over());
    let one_more = Take { cost: 1, ..fresh };
    let level = level(&limiter, one_more).await;
    assert!(near(level.retry_after, 600), "{level:?}");
    assert!(near(level.full_after, 1_500), "{level:?}");
}

#[tokio::test]
async fn two_limits_are_taken_from_together_or_not_at_all() {
    let server = server!();
    let limiter = limiter(&server).await;
    let id = id();
    let large = one(&id, RateLimit::per_day(10));
    let small = Take {
        name: "exports",
        ..one(&id, RateLimit::per_day(2))
    };
    for _ in 0..2 {
        let levels = limiter.take(&[large, small]).await.unwrap();
        assert!(!levels.iter().any(Level::is_over));
    }
    for takes in [[large, small], [small, large]] {
        let levels = limiter.take(&takes).await.unwrap();
        let over: Vec<_> = levels.iter().map(Level::is_over).collect();
        let small_is_over = takes.map(|take| take.name == "exports");
        assert_eq!(over, small_is_over);
    }
    let levels = limiter.take(&[large]).await.unwrap();
    assert_eq!(levels[0].remaining, 7, "what was refused took nothing");
}

#[tokio::test]
async fn the_burst_is_back_after_the_window_and_the_key_ends_soon_after_it() {
    let server = server!();
    let limiter = limiter(&server).await;
    let (id, limit) = (id(), RateLimit::new(3, 1));
    let began = Instant::now();
    let all = Take {
        cost: 3,
        ..one(&id, limit)
    };
    assert!(!level(&limiter, all).await.is_over());
    let again = level(&limiter, all).await;
    if again.is_over() {
        tokio::time::sleep(again.retry_after).await;
        assert!(!level(&limiter, all).await.is_over());
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
    let left = type_in(&server, &format!("PTTL {}", counts_of(&id))).await;
    assert!(matches!(left, Value::Int(1..=4_000)), "{left:?}");
    // A short limit does not shorten the life of a long one.
    let day = Take {
        name: "day",
        ..one(&id, RateLimit::per_day(1))
    };
    level(&limiter, day).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    level(&limiter, all).await;
    let left = type_in(&server, &format!("PTTL {}", counts_of(&id))).await;
    assert!(matches!(left, Value::Int(86_000_000..)), "{left:?}");
    assert!(level(&limiter, day).await.is_over());
}

/// The server's time cannot be set, but what it wrote in the future can be.
#[tokio::test]
async fn who_used_up_a_limit_does_not_wait_for_its_window_when_it_is_raised() {
    let server = server!();
    let limiter = limiter(&server).await;
    let (before, after) = (RateLimit::per_day(100), RateLimit::new(2, 4));
    let id = id();
    let all = Take {
        cost: 100,
        ..one(&id, before)
    };
    assert!(!level(&limiter, all).await.is_over());
    let waits = level(&limiter, one(&id, before)).await.retry_after;
    assert!(waits > Duration::from_secs(800), "{waits:?}");
    // As if the new burst had just been used up, which those who ask do not put off.
    let first = level(&limiter, one(&id, after)).await;
    assert_eq!(first.retry_after, Duration::from_secs(2));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = level(&limiter, one(&id, after)).await.retry_after;
    assert!(second <= Duration::from_millis(1_950), "{second:?}");
    tokio::time::sleep(second).await;
    assert!(!level(&limiter, one(&id, after)).await.is_over());
    assert!(level(&limiter, one(&id, after)).await.is_over());
}

#[tokio::test]
async fn what_was_taken_beyond_the_burst_is_paid_back_in_full_while_the_limit_is_the_same() {
    let server = server!();
    let limiter = limiter(&server).await;
    let id = id();
    let limit = RateLimit::per_minute(10);
    let large = Take {
        cost: 30,
        ..one(&id, limit)
    };
    assert!(!level(&limiter, large).await.is_over());
    for _ in 0..2 {
        let waits = level(&limiter, one(&id, limit)).await.retry_after;
        assert!(waits > Duration::from_secs(100), "{waits:?}");
    }
}

#[tokio::test]
async fn a_clock_that_stepped_back_lets_nothing_more_through() {
    let server = server!();
    let limiter = limiter(&server).await;
    let (id, limit) = (id(), RateLimit::per_minute(5));
    let mut connection = server.by_hand().await;
    let (seconds, _): (u64, u64) = ::redis::cmd("TIME")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(!level(&limiter, one(&id, limit)).await.is_over());
    let held: String = ::redis::cmd("GET")
        .arg(counts_of(&id))
        .query_async(&mut connection)
        .await
        .unwrap();
    let (_, of_limit) = held.split_once(" of ").unwrap();
    let ahead = format!("key={} 0 0 of {of_limit}", seconds + 3_600);
    let _: () = ::redis::cmd("SET")
        .arg(counts_of(&id))
        .arg(ahead)
        .query_async(&mut connection)
        .await
        .unwrap();
    let level = level(&limiter, one(&id, limit)).await;
    assert!(level.is_over());
    assert!(level.retry_after > Duration::from_secs(3_000));
}

#[tokio::test]
async fn counts_that_were_damaged_are_told_and_let_nobody_through() {
    let server = server!();
    let limiter = limiter(&server).await;
    let limit = RateLimit::per_minute(5);
    for damage in [
        "HSET {key} key 1",
        "SET {key} 1",
        "SET {key} key=much;",
        "SET {key} key=1_0_0;",
        "SET {key} key=-1_0_0_of_1_0_0;",
        "SET {key} key=1_0_0_of_1_0_0",
        "SET {key} key=1_0_0_of_1_0;",
        "SET {key} key=1_0_0_of_1_0_0;x",
        "SET {key} key=1_1000000000_0_of_1_0_0;",
        "SET {key} key=1_0_4294967296_of_1_0_0;",
        "SET {key} key=99999999999999999999_0_0_of_1_0_0;",
    ] {
        let id = id();
        let line = damage.replace("{key}", &counts_of(&id));
        let words: Vec<_> = line.split(' ').map(|word| word.replace('_', " ")).collect();
        let mut command = ::redis::cmd(&words[0]);
        command.arg(&words[1..]);
        let mut connection = server.by_hand().await;
        let _: Value = command.query_async(&mut connection).await.unwrap();
        let error = limiter.take(&[one(&id, limit)]).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}");
        assert!(explain(&error).contains(&counts_of(&id)), "{damage}");
        type_in(&server, &format!("DEL {}", counts_of(&id))).await;
        assert!(!level(&limiter, one(&id, limit)).await.is_over());
    }
}

#[tokio::test]
async fn namespaces_share_nothing() {
    let server = server!();
    let id = id();
    for namespace in ["one", "other"] {
        let limiter = RedisLimiter::builder(&server.url()).namespace(namespace);
        let limiter = limiter.connect().await.unwrap();
        let limit = RateLimit::per_day(1);
        assert!(!level(&limiter, one(&id, limit)).await.is_over());
        assert!(level(&limiter, one(&id, limit)).await.is_over());
    }
}

#[tokio::test]
async fn the_server_need_not_be_durable_and_must_be_the_master() {
    let server = server!("--appendonly", "no", "--maxmemory-policy", "allkeys-lru");
    let replica = server.start_replica();
    limiter(&server).await;
    assert!(RedisLimiter::connect(&replica.url()).await.is_err());
    let surely = RedisLimiter::builder(&replica.url()).assume_master();
    let surely = surely.connect().await.unwrap();
    let id = id();
    let take = one(&id, RateLimit::per_day(1));
    surely.take(&[take]).await.unwrap_err();
}

#[tokio::test]
async fn the_rights_that_are_named_are_enough() {
    let server = server!();
    type_in(
        &server,
        "ACL SETUSER limiter on >secret ~{keygate}:* +@read +@write +@scripting +@connection +time +role",
    )
    .await;
    let url = server.url().replace("redis://", "redis://limiter:secret@");
    let limiter = RedisLimiter::connect(&url).await.unwrap();
    assert!(!format!("{limiter:?}").contains("secret"));
    let id = id();
    let limit = RateLimit::per_day(1);
    assert!(!level(&limiter, one(&id, limit)).await.is_over());
    assert!(level(&limiter, one(&id, limit)).await.is_over());
}

#[tokio::test]
async fn counts_reach_a_replica_and_cost_the_append_only_file_nothing() {
    let server = server!();
    let replica = server.start_replica();
    let limiter = limiter(&server).await;
    let id = id();
    let size = async || {
        let info = type_in(&server, "INFO persistence").await;
        let info = ::redis::from_redis_value::<String>(info).unwrap();
        let line = info
            .lines()
            .find(|line| line.starts_with("aof_current_size"));
        line.unwrap().to_owned()
    };
    let before = size().await;
    level(&limiter, one(&id, RateLimit::per_day(1))).await;
    assert_eq!(size().await, before);
    let deadline = Instant::now() + Duration::from_secs(20);
    while type_in(&replica, &format!("EXISTS {}", counts_of(&id))).await == Value::Int(0) {
        assert!(Instant::now() < deadline, "it does not come to the replica");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
