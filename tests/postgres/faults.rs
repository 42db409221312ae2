//! Servers that die, freeze or fall silent, and connections that are lost at a bad moment.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use keygate::store::Expect;
use keygate::{KeyId, KeyStore, PostgresStore, StoreErrorKind};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::servers::proxy::{Proxy, Trap};
use crate::support::*;

use StoreErrorKind::{OutcomeUnknown, Unavailable};

/// What a store sends last of a change.
pub(crate) const COMMIT: &[u8] = b"= 0; COMMIT";

/// A server of one's own, with a proxy before it and a store behind that.
pub(crate) struct Way {
    pub(crate) server: PostgresServer,
    pub(crate) proxy: Proxy,
    pub(crate) store: PostgresStore,
}

impl Way {
    pub(crate) async fn new() -> Option<Self> {
        let server = PostgresServer::start()?;
        let proxy = Proxy::to(server.port());
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
        let store = PostgresStore::connect(&url).await.unwrap();
        Some(Self {
            server,
            proxy,
            store,
        })
    }

    /// A store that goes to the server itself.
    pub(crate) async fn direct(&self) -> PostgresStore {
        PostgresStore::connect(&self.server.url()).await.unwrap()
    }

    /// The pool holds so many idle connections.
    async fn fill_pool(&self, id: &KeyId, connections: usize) {
        let gets = (0..connections).map(|_| self.store.get(id));
        for found in futures_util::future::join_all(gets).await {
            found.unwrap();
        }
        sleep(millis(200)).await;
    }
}

fn seed() -> u64 {
    let seed = RandomState::new().hash_one("");
    println!("seed {seed}");
    seed
}

/// Numbers that look random, by a seed that is printed.
fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_survives_a_kill_and_every_change_is_whole() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let mut seed = seed();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let acknowledged: Arc<Mutex<HashMap<KeyId, u64>>> = Arc::default();
    let refused: Arc<Mutex<Vec<KeyId>>> = Arc::default();
    for _ in 0..4 {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (store, acknowledged) = (store.clone(), Arc::clone(&acknowledged));
                let refused = Arc::clone(&refused);
                tokio::spawn(async move {
                    loop {
                        let first = full_record();
                        match insert(&store, &first).await {
                            Ok(()) => _ = acknowledged.lock().unwrap().insert(first.id, 1),
                            Err(error) if error.kind() == Unavailable => {
                                refused.lock().unwrap().push(first.id);
                                return;
                            }
                            Err(_) => return,
                        }
                        match update(&store, &revoked(&first)).await {
                            Ok(()) => _ = acknowledged.lock().unwrap().insert(first.id, 2),
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        sleep(millis(100 + draw(&mut seed, 150))).await;
        server.kill();
        for writer in writers {
            timeout(millis(10_000), writer).await.unwrap().unwrap();
        }
        server.restart();
        let mut events_of: HashMap<KeyId, u64> = HashMap::new();
        for event in events(&store).await {
            *events_of.entry(event.key_id.unwrap()).or_default() += 1;
        }
        for (id, version) in acknowledged.lock().unwrap().iter() {
            assert!(events_of.get(id) >= Some(version), "{id} {version}");
        }
        for id in refused.lock().unwrap().iter() {
            assert!(
                !events_of.contains_key(id),
                "{id} was said not to be written"
            );
        }
        for (id, events) in events_of {
            let stored = store.get(&id).await.unwrap().expect("with its events");
            assert_eq!(stored.version, events, "{id}: each version has its event");
            assert_eq!(stored.revocation.is_some(), stored.version == 2);
        }
    }
    assert!(acknowledged.lock().unwrap().len() > 10);
}

#[tokio::test]
async fn a_lost_answer_to_a_commit_leaves_doubt_and_the_change_is_made() {
    let Some(way) = Way::new().await else { return };
    let record = record();
    way.proxy.set(Trap::HoldAnswers, COMMIT);
    let direct = way.direct().await;
    let (outcome, ()) = tokio::join!(insert(&way.store, &record), async {
        let deadline = Instant::now() + millis(10_000);
        while direct.get(&record.id).await.unwrap().is_none() {
            assert!(Instant::now() < deadline, "it was not made");
            sleep(millis(5)).await;
        }
        way.proxy.cut();
    });
    assert_eq!(kind(outcome), OutcomeUnknown);
    assert_eq!(way.proxy.sprung(), 1);
    way.proxy.unblock();
    assert_eq!(way.store.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_commit_that_nobody_answers_leaves_doubt_in_time() {
    let Some(way) = Way::new().await else { return };
    let record = record();
    way.proxy.set(Trap::HoldAnswers, COMMIT);
    let sent = Instant::now();
    assert_eq!(kind(insert(&way.store, &record).await), OutcomeUnknown);
    assert!(sent.elapsed() < millis(8_000));
    way.proxy.unblock();
    assert_eq!(way.store.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_means_that_nothing_happened() {
    let Some(way) = Way::new().await else { return };
    let first = record();
    insert(&way.store, &first).await.unwrap();
    way.proxy.set(Trap::Cut, b"UPDATE");
    // Prepared by now, it would not be sent again.
    let outcome = update(&way.store, &revoked(&first)).await;
    assert_eq!(kind(outcome), Unavailable);
    assert_eq!(way.proxy.sprung(), 1);
    assert_eq!(way.store.get(&first.id).await.unwrap(), Some(first.clone()));
    way.proxy.set(Trap::Cut, COMMIT);
    let outcome = update(&way.store, &revoked(&first)).await;
    assert_eq!(kind(outcome), OutcomeUnknown);
    assert_eq!(way.store.get(&first.id).await.unwrap(), Some(first.clone()));
    update(&way.store, &revoked(&first)).await.unwrap();
}

#[tokio::test]
async fn connections_that_were_lost_while_idle_fail_nobody() {
    let Some(mut way) = Way::new().await else {
        return;
    };
    let record = record();
    insert(&way.store, &record).await.unwrap();
    way.fill_pool(&record.id, 5).await;
    way.proxy.cut();
    way.store.get(&record.id).await.unwrap().unwrap();
    way.fill_pool(&record.id, 5).await;
    way.server.restart();
    update(&way.store, &next_version(&record)).await.unwrap();
}

#[tokio::test]
async fn half_open_connections_fail_one_read_and_are_replaced() {
    let Some(way) = Way::new().await else { return };
    let record = record();
    insert(&way.store, &record).await.unwrap();
    // More are lost in all than the pool may have.
    for _ in 0..4 {
        way.fill_pool(&record.id, 5).await;
        way.proxy.strand();
        let sent = Instant::now();
        assert_eq!(kind(way.store.get(&record.id).await), Unavailable);
        assert!(sent.elapsed() < millis(3_000));
        way.store.get(&record.id).await.unwrap().unwrap();
    }
    insert(&way.store, &self::record()).await.unwrap();
}

/// The server takes questions and connections, and answers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_an_outage_that_ends_with_it_and_nothing_piles_up() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let record = record();
    insert(&store, &record).await.unwrap();
    let gets = || futures_util::future::join_all((0..50).map(|_| store.get(&record.id)));
    for found in gets().await {
        found.unwrap();
    }
    sleep(millis(200)).await;
    let before = Handle::current().metrics().num_alive_tasks();
    server.freeze();
    for _ in 0..5 {
        let sent = Instant::now();
        for outcome in gets().await {
            assert_eq!(kind(outcome), Unavailable);
        }
        assert!(sent.elapsed() < millis(3_000), "{:?}", sent.elapsed());
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert!(tasks <= before + 10, "{tasks} tasks, {before} before");
    }
    assert_eq!(
        kind(update(&store, &next_version(&record)).await),
        Unavailable
    );
    server.thaw();
    let deadline = Instant::now() + millis(10_000);
    while store.get(&record.id).await.is_err() {
        assert!(Instant::now() < deadline, "it did not recover");
    }
    for found in gets().await {
        assert_eq!(found.unwrap().as_ref(), Some(&record));
    }
    let mut hand = server.by_hand().await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keygate'";
    let deadline = Instant::now() + millis(10_000);
    while sqlx::query_scalar::<_, i64>(count)
        .fetch_one(&mut hand)
        .await
        .unwrap()
        > 10
    {
        assert!(Instant::now() < deadline, "connections piled up");
        sleep(millis(50)).await;
    }
    update(&store, &next_version(&record)).await.unwrap();
}

#[tokio::test]
async fn an_exhausted_pool_is_an_outage_that_ends_with_it() {
    let Some(place) = Place::new().await else {
        return;
    };
    let pool = hosts_pool(&place.url, 2);
    let store = open(pool.clone(), "public").await;
    let record = record();
    insert(&store, &record).await.unwrap();
    let held = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let sent = Instant::now();
    let outcomes = [
        store.get(&record.id).await.map(drop),
        update(&store, &next_version(&record)).await,
    ];
    assert!(sent.elapsed() < millis(6_000));
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Unavailable);
        // The server was not asked: its other connections are not to be given up for that.
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("no connection was free"), "{cause}");
    }
    drop(held);
    assert_eq!(store.get(&record.id).await.unwrap().as_ref(), Some(&record));
    update(&store, &next_version(&record)).await.unwrap();
}

#[tokio::test]
async fn a_herd_of_stuck_reads_leaves_connections_to_others() {
    let Some(place) = Place::new().await else {
        return;
    };
    let pool = hosts_pool(&place.url, 4);
    let store = open(pool.clone(), "public").await;
    let record = record();
    insert(&store, &record).await.unwrap();
    let mut hand = place.by_hand().await;
    run(&mut hand, "BEGIN; LOCK TABLE keygate_keys")
        .await
        .unwrap();
    let herd = futures_util::future::join_all((0..100).map(|_| store.get(&record.id)));
    let others = async {
        sleep(millis(300)).await;
        timeout(millis(400), pool.acquire()).await.map(drop)
    };
    let (outcomes, other) = tokio::join!(herd, others);
    assert!(other.is_ok(), "the herd took every connection");
    for outcome in outcomes {
        assert_eq!(kind(outcome), Unavailable);
    }
    run(&mut hand, "COMMIT").await.unwrap();
    store.get(&record.id).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_write_that_waits_for_a_lock_gives_up_and_does_not_happen_later() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let mut hand = place.by_hand().await;
    run(&mut hand, "BEGIN; SELECT FROM keygate_keys FOR UPDATE")
        .await
        .unwrap();
    assert_eq!(kind(update(&store, &revoked(&first)).await), Unavailable);
    run(&mut hand, "COMMIT").await.unwrap();
    sleep(millis(300)).await;
    assert_eq!(store.get(&first.id).await.unwrap(), Some(first));
}

/// The first instance falls silent when its change is made and not committed.
#[tokio::test]
async fn an_instance_that_freezes_in_a_change_does_not_keep_others_from_revoking() {
    let Some(way) = Way::new().await else { return };
    let first = record();
    insert(&way.store, &first).await.unwrap();
    let direct = way.direct().await;
    way.proxy.set(Trap::HoldAnswers, b"changed before");
    let (stuck, revocation) = tokio::join!(
        async {
            let mut changed = next_version(&first);
            changed.name = "changed before it froze".into();
            update(&way.store, &changed).await
        },
        async {
            let deadline = Instant::now() + millis(10_000);
            while way.proxy.sprung() == 0 {
                assert!(Instant::now() < deadline, "nothing was sent");
                sleep(millis(5)).await;
            }
            sleep(millis(50)).await;
            // The lock of the other ends with its patience: then this is the one that is made.
            update(&direct, &revoked(&first)).await
        }
    );
    revocation.unwrap();
    assert_eq!(kind(stuck), Unavailable);
    assert_eq!(direct.get(&first.id).await.unwrap(), Some(revoked(&first)));
}

#[tokio::test]
async fn reads_that_are_dropped_at_any_point_leave_a_sound_pool() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = open(hosts_pool(&place.url, 3), "public").await;
    let (first, second) = (full_record(), record());
    insert(&store, &first).await.unwrap();
    insert(&store, &second).await.unwrap();
    let mut seed = seed();
    for _ in 0..300 {
        let limit = std::time::Duration::from_micros(draw(&mut seed, 1_500));
        let _ = timeout(limit, store.get(&first.id)).await;
        if draw(&mut seed, 4) == 0 {
            let found = store.get(&second.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(&second));
        }
    }
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
        place.url.rsplit('/').next().unwrap()
    );
    let deadline = Instant::now() + millis(10_000);
    loop {
        let mut hand = shared_server().unwrap().by_hand().await;
        let open: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone()))
            .fetch_one(&mut hand)
            .await
            .unwrap();
        if open <= 3 {
            break;
        }
        assert!(Instant::now() < deadline, "{open} connections are open");
        sleep(millis(50)).await;
    }
}

#[tokio::test]
async fn an_expectation_is_judged_against_what_was_committed_last() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let mut hand = place.by_hand().await;
    run(&mut hand, "BEGIN; UPDATE keygate_keys SET name = 'theirs'")
        .await
        .unwrap();
    let mut ours = next_version(&first);
    ours.version = 7;
    let (outcome, ()) = tokio::join!(write(&store, Expect::Version(1), &ours), async {
        sleep(millis(300)).await;
        run(&mut hand, "COMMIT").await.unwrap();
    });
    assert_eq!(kind(outcome), StoreErrorKind::Stale);
    let stored = store.get(&first.id).await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.version), ("theirs", 2));
    assert_eq!(events(&store).await.len(), 1);
}
