//! Limits that are counted on Redis for all instances.

use std::time::{Duration, Instant};

use keygate::{
    Error, Issued, Keygate, MemoryStore, NewKey, OnOutage, RateLimit, RedisLimiter, Refusal,
    Rejection,
};

use crate::child::Child;
use crate::common::*;
use crate::servers::redis::RedisServer;

const CHILD: &str = "KEYGATE_INSTANCES_TEST_LIMITS";

/// For what must come by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// An instance that keeps its records on the server and counts there.
async fn instance(url: &str, on_outage: OnOutage) -> Keygate {
    let limiter = RedisLimiter::connect(url).await.unwrap();
    crate::place::instance(url, |builder| builder.shared_limiter(limiter, on_outage)).await
}

/// One whose records are not on the server, so that only the limiter goes with it.
async fn counting_only(url: &str, on_outage: OnOutage) -> Keygate {
    let limiter = RedisLimiter::connect(url).await.unwrap();
    let builder = Keygate::builder(LIVE)
        .pepper(pepper())
        .store(MemoryStore::new())
        .shared_limiter(limiter, on_outage);
    builder.build().await.unwrap()
}

async fn issue(keys: &Keygate, limit: RateLimit) -> Issued {
    let new = NewKey::for_owner("a").rate_limit(limit);
    keys.manager().issue(new).await.unwrap()
}

async fn said(keys: &Keygate, text: &str) -> &'static str {
    match present(keys, text).await {
        Ok(_) => "passes",
        Err(Refusal::Rejected(Rejection::RateLimited { .. })) => "limited",
        Err(Refusal::Failed(Error::LimiterAway(_))) => "away",
        Err(other) => panic!("{other:?}"),
    }
}

/// Waits until the server is asked again.
async fn until_it_passes(keys: &Keygate, text: &str) {
    let began = Instant::now();
    while said(keys, text).await != "passes" {
        assert!(began.elapsed() < PATIENCE, "the server is not asked again");
        tokio::time::sleep(millis(20)).await;
    }
    println!("asked again after {:?}", began.elapsed());
}

/// What became of many requests.
#[derive(Default)]
struct Crowd {
    passed: u32,
    /// So many were told that the server is late, as it is on a busy machine. They may have been
    /// counted.
    late: u32,
}

/// How many of `count` requests pass that are made by 64 tasks.
async fn passed(keys: &Keygate, text: &str, count: u32) -> u32 {
    crowd(keys, text, count).await.passed
}

async fn crowd(keys: &Keygate, text: &str, count: u32) -> Crowd {
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let (keys, text) = (keys.clone(), text.to_owned());
            tokio::spawn(async move {
                let mut crowd = Crowd::default();
                for _ in (task..count).step_by(64) {
                    match said(&keys, &text).await {
                        "passes" => crowd.passed += 1,
                        "away" => crowd.late += 1,
                        other => assert_eq!(other, "limited"),
                    }
                }
                crowd
            })
        })
        .collect();
    let mut sum = Crowd::default();
    for task in tasks {
        let Crowd { passed, late } = task.await.unwrap();
        sum.passed += passed;
        sum.late += late;
    }
    sum
}

/// Never more than `burst` pass, and exactly that many in three rounds in which the server was late for
/// nobody.
async fn exactly_the_burst_passes<F: Future<Output = Crowd>>(
    burst: u32,
    mut round: impl FnMut() -> F,
) {
    let mut in_time = 0;
    for _ in 0..20 {
        let Crowd { passed, late } = round().await;
        println!("{passed} passed, and the server was late for {late}");
        assert!(passed <= burst);
        if late == 0 {
            assert_eq!(passed, burst);
            in_time += 1;
        } else {
            // Until it is asked again.
            tokio::time::sleep(millis(1_100)).await;
        }
        if in_time == 3 {
            return;
        }
    }
    panic!("the server was late in nearly every round");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_burst_passes_from_64_tasks() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let keys = instance(&server.url(), OnOutage::Refuse).await;
    exactly_the_burst_passes(100, || async {
        let issued = issue(&keys, RateLimit::per_day(100)).await;
        crowd(&keys, issued.key.expose(), 400).await
    })
    .await;
}

/// Reads key texts, and answers how many of 128 requests of each pass, and for how many the server was
/// late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of the next test"]
async fn child_that_spends() {
    let url = std::env::var(CHILD).unwrap();
    let keys = instance(&url, OnOutage::Refuse).await;
    println!("\nready");
    for line in std::io::stdin().lines() {
        let Crowd { passed, late } = crowd(&keys, &line.unwrap(), 128).await;
        println!("\npassed {passed} {late}");
    }
}

#[tokio::test]
async fn exactly_the_burst_passes_from_three_processes() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let keys = instance(&server.url(), OnOutage::Refuse).await;
    let start = |()| Child::start("limits::child_that_spends", CHILD, &server.url());
    let spenders = std::cell::RefCell::new([(); 3].map(start));
    exactly_the_burst_passes(200, || async {
        let issued = issue(&keys, RateLimit::per_day(200)).await;
        let mut spenders = spenders.borrow_mut();
        for spender in spenders.iter_mut() {
            spender.ask(issued.key.expose());
        }
        let mut sum = Crowd::default();
        for spender in spenders.iter_mut() {
            let answer = spender.answer("passed");
            let (passed, late) = answer.split_once(' ').unwrap();
            sum.passed += passed.parse::<u32>().unwrap();
            sum.late += late.parse::<u32>().unwrap();
        }
        sum
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_server_each_instance_counts_for_itself_until_it_is_back() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let keys = counting_only(&server.url(), OnOutage::CountHere).await;
    let issued = issue(&keys, RateLimit::per_day(10)).await;
    let text = issued.key.expose();
    assert_eq!(said(&keys, text).await, "passes");
    server.kill();
    assert_eq!(passed(&keys, text, 200).await, 10, "a burst of its own");
    tokio::time::sleep(millis(1_200)).await;
    assert_eq!(passed(&keys, text, 64).await, 0, "and no other");
    server.restart();
    // What was counted was lost with the server.
    until_it_passes(&keys, text).await;
    assert_eq!(passed(&keys, text, 64).await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_server_keys_with_a_limit_are_refused_where_that_is_the_policy() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let keys = counting_only(&server.url(), OnOutage::Refuse).await;
    let issued = issue(&keys, RateLimit::per_day(1_000)).await;
    let unlimited = keys.manager().issue(NewKey::for_owner("a")).await.unwrap();
    let text = issued.key.expose();
    assert_eq!(said(&keys, text).await, "passes");
    server.kill();
    for _ in 0..100 {
        assert_eq!(said(&keys, text).await, "away");
        assert_eq!(said(&keys, unlimited.key.expose()).await, "passes");
    }
    server.restart();
    until_it_passes(&keys, text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_long_for_a_server_that_is_frozen_and_it_is_found_again() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let keys = counting_only(&server.url(), OnOutage::Refuse).await;
    let issued = issue(&keys, RateLimit::per_day(1_000)).await;
    let text = issued.key.expose();
    assert_eq!(said(&keys, text).await, "passes");
    server.freeze();
    for round in 0..3 {
        let began = Instant::now();
        let crowd = futures_util::future::join_all((0..200).map(|_| said(&keys, text))).await;
        assert!(crowd.iter().all(|said| *said == "away"));
        let took = began.elapsed();
        println!("round {round}: two hundred were answered after {took:?}");
        // One after the other, they would wait for fifty seconds. The rest is for a slow machine.
        assert!(took < Duration::from_secs(10), "{took:?}");
        let mut quickest = Duration::MAX;
        for _ in 0..20 {
            let began = Instant::now();
            assert_eq!(said(&keys, text).await, "away");
            quickest = quickest.min(began.elapsed());
        }
        // Whoever asks waits for a quarter of a second.
        assert!(quickest < millis(200), "nobody is asked for a while");
        tokio::time::sleep(millis(1_100)).await;
    }
    server.thaw();
    until_it_passes(&keys, text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_count_is_an_outage_for_its_key_and_for_no_other() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let keys = counting_only(&server.url(), OnOutage::Refuse).await;
    let limit = RateLimit::per_day(3);
    let (damaged, sound) = (issue(&keys, limit).await, issue(&keys, limit).await);
    let mut connection = server.by_hand().await;
    let _: () = ::redis::cmd("SET")
        .arg(format!("{{keygate}}:limit:{}", damaged.info.key_id))
        .arg("x")
        .query_async(&mut connection)
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(said(&keys, damaged.key.expose()).await, "away");
        assert_eq!(said(&keys, sound.key.expose()).await, "passes");
    }
    assert_eq!(said(&keys, sound.key.expose()).await, "limited");
}
