//! Batches whose answers are lost, and many at once: each counts once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keygate::store::{DayTotal, OwnerTotal, UsageBatch};
use keygate::{KeyId, RedisStore, StoreErrorKind};
use tokio::time::{sleep, timeout};

use super::*;
use crate::proxy::{Mode, Proxy};
use crate::support::*;

const OWNERS: [&str; 3] = ["org_1", "org_2", "org_3"];

/// Each key with its owner.
fn keys() -> Arc<Vec<(KeyId, &'static str)>> {
    let keys = (0..12).map(|number| (record().id, OWNERS[number % OWNERS.len()]));
    Arc::new(keys.collect())
}

/// One request and more of every key, in an order that differs from instance to instance.
fn batch_of(keys: &[(KeyId, &'static str)], instance: u128, sequence: u64) -> UsageBatch {
    let mut entries: Vec<_> = (1..)
        .zip(keys)
        .map(|(number, (id, owner))| {
            let moment = sequence as i64 * 100 + instance as i64;
            entry(id, owner, today(), used(number, moment))
        })
        .collect();
    entries.rotate_left(instance as usize % keys.len());
    if instance.is_multiple_of(2) {
        entries.reverse();
    }
    batch(instance, sequence, entries)
}

/// What is stored is so many times what [`batch_of`] holds.
async fn assert_added(store: &RedisStore, keys: &[(KeyId, &'static str)], batches: u64) {
    let mut of_owners: HashMap<&str, u64> = HashMap::new();
    for (number, (id, owner)) in (1..).zip(keys) {
        let requests = batches * number;
        assert_eq!(requests_of(store, id).await, requests, "{id}");
        let days = usage_of(store).days_of_key(id, today()..=today()).await;
        let expected = DayTotal {
            day: today(),
            requests,
        };
        assert_eq!(days.unwrap(), [expected], "{id}");
        *of_owners.entry(owner).or_default() += requests;
    }
    let expected = OWNERS.map(|owner| OwnerTotal {
        owner: owner.into(),
        requests: of_owners[owner],
    });
    assert_eq!(owners(store, today()).await, expected);
}

#[tokio::test]
async fn a_batch_whose_answer_was_cut_off_counts_once() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let keys = keys();
    // So that the server knows the script, and one answer is that of the batch.
    add(&store, &batch_of(&keys, 7, 1)).await;
    let second = batch_of(&keys, 7, 2);
    proxy.set(Mode::CutAnswers);
    let lost = usage_of(&store).add(&second).await;
    assert_eq!(kind(lost), StoreErrorKind::OutcomeUnknown);
    assert_added(&open(&server).await, &keys, 2).await;
    proxy.set(Mode::Pass);
    for _ in 0..2 {
        eventually_ok("it is added", async || usage_of(&store).add(&second).await).await;
        assert_added(&store, &keys, 2).await;
    }
    add(&store, &batch_of(&keys, 7, 3)).await;
    assert_added(&store, &keys, 3).await;
}

/// It does after the thaw what it was asked before, when the same was done already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_a_frozen_server_adds_late_counts_once() {
    let server = server!();
    let store = open(&server).await;
    let keys = keys();
    let first = batch_of(&keys, 7, 1);
    server.freeze();
    let lost = usage_of(&store).add(&first).await;
    assert_eq!(kind(lost), StoreErrorKind::OutcomeUnknown);
    server.thaw();
    eventually_ok("it is added", async || usage_of(&store).add(&first).await).await;
    assert_added(&store, &keys, 1).await;
    add(&store, &batch_of(&keys, 7, 2)).await;
    assert_added(&store, &keys, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_many_instances_at_once_lose_nothing() {
    let server = server!();
    let keys = keys();
    let mut adding = Vec::new();
    for instance in 0..8 {
        let (store, keys) = (open(&server).await, Arc::clone(&keys));
        adding.push(tokio::spawn(async move {
            for sequence in 1..=50 {
                let batch = batch_of(&keys, instance, sequence);
                add(&store, &batch).await;
            }
        }));
    }
    for adding in adding {
        adding.await.unwrap();
    }
    let store = open(&server).await;
    assert_added(&store, &keys, 8 * 50).await;
    let ids: Vec<KeyId> = keys.iter().map(|(id, _)| *id).collect();
    for usage in usage_of(&store).of_keys(&ids).await.unwrap() {
        assert_eq!(usage.unwrap().last_used_at, at(50 * 100 + 7));
    }
}

/// Adds batches, each until it is acknowledged; how many there were.
async fn add_until_told(
    store: RedisStore,
    keys: Arc<Vec<(KeyId, &'static str)>>,
    instance: u128,
    ended: Arc<AtomicBool>,
) -> u64 {
    let mut sequence = 0;
    while !ended.load(Ordering::Relaxed) {
        sequence += 1;
        let batch = batch_of(&keys, instance, sequence);
        while usage_of(&store).add(&batch).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    }
    sequence
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_through_kills_and_restarts() {
    let mut server = server!();
    let keys = keys();
    let ended = Arc::new(AtomicBool::new(false));
    let seed = RandomState::new().hash_one("");
    println!("seed {seed}");
    let mut adding = Vec::new();
    for instance in 0..8 {
        let (store, keys) = (open(&server).await, Arc::clone(&keys));
        let ended = Arc::clone(&ended);
        adding.push(tokio::spawn(add_until_told(store, keys, instance, ended)));
    }
    for round in 0..6_u32 {
        sleep(Duration::from_micros(
            100_000 + seed.rotate_left(round * 8) % 65_536,
        ))
        .await;
        server.kill();
        server.restart();
    }
    ended.store(true, Ordering::Relaxed);
    let mut batches = 0;
    for adding in adding {
        let added = timeout(Duration::from_secs(60), adding).await;
        batches += added.expect("the server is back").unwrap();
    }
    println!("{batches} batches");
    let store = open(&server).await;
    assert_added(&store, &keys, batches).await;
    server.restart();
    assert_added(&open(&server).await, &keys, batches).await;
}
