//! Usage counts once, whatever happens to a batch and however many are added at once.

use std::sync::Arc;

use futures_util::future::join_all;
use keygate::{Day, KeyId, StoreErrorKind};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep};

use crate::faults::{COMMIT, Way};
use crate::servers::proxy::Trap;
use crate::support::*;
use crate::usage::*;

use StoreErrorKind::OutcomeUnknown;

#[tokio::test]
async fn a_lost_answer_leaves_doubt_and_the_batch_added_again_counts_once() {
    let Some(way) = Way::new().await else { return };
    let ids = new_ids(3);
    let first = batch(1, &ids);
    let direct = way.direct().await;
    way.proxy.set(Trap::HoldAnswers, COMMIT);
    let (outcome, ()) = tokio::join!(usage(&way.store).add(&first), async {
        let deadline = Instant::now() + millis(10_000);
        while usage(&direct).of_keys(&ids).await.unwrap()[0].is_none() {
            assert!(Instant::now() < deadline, "it was not added");
            sleep(millis(5)).await;
        }
        way.proxy.cut();
    });
    assert_eq!(kind(outcome), OutcomeUnknown);
    way.proxy.unblock();
    usage(&way.store).add(&first).await.unwrap();
    assert_counted(&way.store, &ids, 1).await;

    // Lost on the way there: it did not happen, and does when it is added again.
    let second = batch(2, &ids);
    way.proxy.set(Trap::Cut, COMMIT);
    assert_eq!(kind(usage(&way.store).add(&second).await), OutcomeUnknown);
    assert_counted(&way.store, &ids, 1).await;
    usage(&way.store).add(&second).await.unwrap();
    assert_counted(&way.store, &ids, 2).await;
    assert_eq!(way.proxy.sprung(), 2);
}

#[tokio::test]
async fn a_server_that_is_killed_within_an_add_leaves_it_whole_or_undone() {
    let Some(mut way) = Way::new().await else {
        return;
    };
    let ids = new_ids(20);
    for sequence in 1..=6 {
        let next = batch(sequence, &ids);
        // With the answer to the COMMIT, and before the server has it.
        let trap = [Trap::HoldAnswers, Trap::Cut][sequence as usize % 2];
        way.proxy.set(trap, COMMIT);
        let (outcome, ()) = tokio::join!(usage(&way.store).add(&next), async {
            let deadline = Instant::now() + millis(10_000);
            while way.proxy.sprung() < sequence as usize {
                assert!(Instant::now() < deadline, "nothing was sent");
                sleep(millis(1)).await;
            }
            way.server.kill();
            way.proxy.cut();
        });
        assert_eq!(kind(outcome), OutcomeUnknown);
        way.proxy.unblock();
        way.server.restart();
        usage(&way.store).add(&next).await.unwrap();
        assert_counted(&way.store, &ids, sequence).await;
    }
}

#[tokio::test]
async fn a_frozen_server_that_goes_on_has_counted_the_batch_once() {
    let Some(way) = Way::new().await else { return };
    let ids = new_ids(3);
    usage(&way.store).add(&batch(1, &ids)).await.unwrap();
    way.server.freeze();
    let second = batch(2, &ids);
    for _ in 0..2 {
        let sent = Instant::now();
        assert!(usage(&way.store).add(&second).await.is_err());
        assert!(sent.elapsed() < millis(8_000));
    }
    way.server.thaw();
    let deadline = Instant::now() + millis(10_000);
    while usage(&way.store).add(&second).await.is_err() {
        assert!(Instant::now() < deadline, "it did not recover");
    }
    assert_counted(&way.store, &ids, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_batch_added_many_times_at_once_counts_once() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let ids = new_ids(5);
    for sequence in 1..=10 {
        let adds = (0..6).map(|_| {
            let (store, next) = (store.clone(), batch(sequence, &ids));
            tokio::spawn(async move { usage(&store).add(&next).await })
        });
        for added in join_all(adds).await {
            added.unwrap().unwrap();
        }
        assert_counted(&store, &ids, sequence).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_add_to_the_same_keys_never_wait_in_a_circle() {
    const INSTANCES: u64 = 8;
    const BATCHES: u64 = 12;
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let ids = new_ids(60);
    let barrier = Arc::new(Barrier::new(INSTANCES as usize));
    let adds = (0..INSTANCES).map(|instance| {
        let (store, barrier) = (store.clone(), Arc::clone(&barrier));
        let mut ids = ids.clone();
        // Each meets the keys in an order of its own.
        ids.rotate_left(instance as usize * 7);
        if instance % 2 == 0 {
            ids.reverse();
        }
        tokio::spawn(async move {
            let mut failures = Vec::new();
            for sequence in 1..=BATCHES {
                let mut next = batch(sequence, &ids);
                next.instance = u128::from(instance);
                barrier.wait().await;
                failures.extend(usage(&store).add(&next).await.err());
            }
            failures
        })
    });
    for failures in join_all(adds).await {
        let failures = failures.unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }
    assert_counted(&store, &ids, INSTANCES * BATCHES).await;
    let deadlocks = "SELECT deadlocks::bigint AS deadlocks FROM pg_stat_database
        WHERE datname = current_database() AND deadlocks > 0";
    assert_eq!(place.run(deadlocks).await.len(), 0);
}

#[tokio::test]
async fn adding_and_forgetting_never_wait_in_a_circle() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let mut ids = new_ids(2);
    ids.sort();
    usage(&store).add(&batch(1, &ids)).await.unwrap();
    let mut hand = place.by_hand().await;
    let hold = format!(
        "BEGIN; SELECT FROM keygate_usage_days WHERE key_id = '{}' FOR UPDATE",
        ids[0]
    );
    run(&mut hand, &hold).await.unwrap();
    let tomorrow = Day::from_days_since_1970(today().since_1970() + 1);
    let second = batch(2, &ids);
    let wait_for = async |waiting: usize| {
        let mut look = place.by_hand().await;
        let sql = "SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let deadline = Instant::now() + millis(10_000);
        while run(&mut look, sql).await.unwrap().len() < waiting {
            assert!(Instant::now() < deadline, "nobody waits");
            sleep(millis(5)).await;
        }
    };
    let (forgotten, added, ()) = tokio::join!(
        usage(&store).forget_before(tomorrow),
        async {
            wait_for(1).await;
            usage(&store).add(&second).await
        },
        async {
            wait_for(2).await;
            run(&mut hand, "COMMIT").await.unwrap();
        }
    );
    forgotten.unwrap();
    added.unwrap();
    let days = usage(&store).days_of_owner(OWNER, today()..=today());
    assert_eq!(days.await.unwrap()[0].requests, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_is_forgotten_by_many_at_once_while_it_is_added_to() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    place
        .run(
            "INSERT INTO keygate_usage_days (key_id, day, owner, requests)
             SELECT lpad((n % 4000)::text, 12, '0'), date '2020-01-01' + n / 4000,
                'owner_' || n % 7, 1
             FROM generate_series(0, 15999) AS n;
             INSERT INTO keygate_usage_days VALUES ('4KX9vQ2mB7tZ', '2020-01-04', 'org_1', 1)",
        )
        .await;
    let boundary = Day::of("2020-01-04T00:00:00.000Z".parse().unwrap());
    let forgets = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { usage(&store).forget_before(boundary).await })
    });
    let adds = (0..4).map(|instance| {
        let store = store.clone();
        tokio::spawn(async move {
            let ids = (0..50).map(|n| format!("{:012}", n * 79).parse().unwrap());
            let mut batch = batch(1, &ids.collect::<Vec<KeyId>>());
            batch.instance = instance;
            for entry in &mut batch.entries {
                entry.owner = format!(
                    "owner_{}",
                    entry.key_id.as_str().parse::<u64>().unwrap() % 7
                );
                entry.day = boundary.earlier(1);
            }
            usage(&store).add(&batch).await
        })
    });
    for done in join_all(forgets.chain(adds)).await {
        done.unwrap().unwrap();
    }
    usage(&store).forget_before(boundary).await.unwrap();
    let left = "SELECT DISTINCT day FROM keygate_usage_days";
    assert_eq!(place.run(left).await.len(), 1);
    let left = "SELECT FROM keygate_usage_days WHERE day = '2020-01-04'";
    assert_eq!(place.run(left).await.len(), 4_001);
}
