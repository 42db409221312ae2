//! Servers that die, freeze and come back, and connections that are cut in bad places.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keygate::{KeyId, KeyStore, RedisStore, StoreErrorKind};
use tokio::time::{sleep, timeout};

use crate::proxy::{Mode, Proxy};
use crate::support::*;

/// Callers wait a second for a record; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(3);

/// What a writer was told of one key: the versions that were kept, and those that were refused.
#[derive(Default)]
struct Told {
    kept: u64,
    refused: Vec<u64>,
}

/// Makes keys and revokes them until the server is gone.
async fn write_until_it_ends(store: RedisStore) -> HashMap<KeyId, Told> {
    let mut told: HashMap<KeyId, Told> = HashMap::new();
    loop {
        let first = record();
        for record in [first.clone(), revoked(&first)] {
            let outcome = match record.version {
                1 => insert(&store, &record).await,
                _ => update(&store, &record).await,
            };
            let of_key = told.entry(record.id).or_default();
            match outcome {
                Ok(()) => of_key.kept = record.version,
                Err(error) => {
                    if error.kind() == StoreErrorKind::Unavailable {
                        of_key.refused.push(record.version);
                    }
                    return told;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_no_acknowledged_write_and_leaves_none_by_half() {
    let mut server = server!();
    let store = open(&server).await;
    let seed = RandomState::new().hash_one("");
    println!("seed {seed}");
    for round in 0..8_u32 {
        let writers: Vec<_> = (0..8)
            .map(|_| tokio::spawn(write_until_it_ends(store.clone())))
            .collect();
        sleep(Duration::from_micros(seed.rotate_left(round * 8) % 65_536)).await;
        server.kill();
        let mut told = HashMap::new();
        for writer in writers {
            told.extend(writer.await.unwrap());
        }
        server.restart();
        let mut events_of: HashMap<KeyId, u64> = HashMap::new();
        let all = eventually_ok("it is back", async || {
            store.get(&record().id).await?;
            Ok(events(&store).await)
        });
        for event in all.await {
            *events_of.entry(event.key_id.unwrap()).or_default() += 1;
        }
        println!("round {round}: {} keys", told.len());
        for (id, told) in told {
            let stored = store.get(&id).await.unwrap();
            let version = stored.as_ref().map_or(0, |stored| stored.version);
            assert!(version >= told.kept, "{id}: {version} after {}", told.kept);
            assert!(
                !told.refused.contains(&version),
                "{id}: {version} was refused"
            );
            assert_eq!(events_of.get(&id).copied().unwrap_or(0), version, "{id}");
            let is_revoked = stored.is_some_and(|stored| stored.revocation.is_some());
            assert_eq!(is_revoked, version == 2, "{id}");
        }
        let page = listed(&store, None).await;
        assert!(page.unreadable.is_empty(), "{page:?}");
    }
}

#[tokio::test]
async fn a_connection_cut_in_place_of_the_answer_leaves_doubt_about_a_write_alone() {
    let server = server!();
    let direct = open(&server).await;
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let first = record();
    // So that the server knows the script, and one answer is that of the change.
    insert(&store, &record()).await.unwrap();
    proxy.set(Mode::CutAnswers);
    assert_eq!(
        kind(insert(&store, &first).await),
        StoreErrorKind::OutcomeUnknown
    );
    assert_eq!(direct.get(&first.id).await.unwrap().as_ref(), Some(&first));
    assert_eq!(
        kind(store.get(&first.id).await),
        StoreErrorKind::Unavailable
    );
    proxy.set(Mode::Pass);
    let found = eventually_ok("it is back", async || store.get(&first.id).await).await;
    assert_eq!(found, Some(first));
    insert(&store, &record()).await.unwrap();
}

#[tokio::test]
async fn a_read_on_a_connection_that_was_cut_is_asked_again() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    for _ in 0..20 {
        type_in(&server, "CLIENT KILL TYPE normal").await;
        assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&first));
    }
}

#[tokio::test]
async fn a_half_open_connection_is_given_up_and_made_anew() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let first = record();
    insert(&store, &first).await.unwrap();

    proxy.set(Mode::Silence);
    let answer = timeout(SOON, store.get(&first.id)).await;
    assert_eq!(
        kind(answer.expect("within its limit")),
        StoreErrorKind::Unavailable
    );
    assert_eq!(store.get(&first.id).await.unwrap(), Some(first));

    proxy.set(Mode::Pass);
    proxy.set(Mode::Silence);
    let second = record();
    let answer = timeout(3 * SOON, insert(&store, &second)).await;
    assert_eq!(
        kind(answer.expect("within its limit")),
        StoreErrorKind::OutcomeUnknown
    );
    insert(&store, &second).await.unwrap();
    assert_eq!(proxy.accepted(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_an_outage_without_a_crowd_that_ends_with_it() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let first = Arc::new(record());
    insert(&store, &first).await.unwrap();
    server.freeze();
    let frozen = Instant::now();
    for _ in 0..4 {
        let gets: Vec<_> = (0..200)
            .map(|_| {
                let (store, first) = (store.clone(), Arc::clone(&first));
                tokio::spawn(async move { timeout(SOON, store.get(&first.id)).await })
            })
            .collect();
        for get in gets {
            let answer = get.await.unwrap().expect("within its limit");
            assert_eq!(kind(answer), StoreErrorKind::Unavailable);
        }
    }
    let attempts = proxy.accepted();
    let most = 2 + frozen.elapsed().as_secs() as usize;
    assert!(attempts <= most, "{attempts} connections for 800 requests");
    assert_eq!(
        kind(insert(&store, &record()).await),
        StoreErrorKind::Unavailable
    );
    server.thaw();
    let found = eventually_ok("it is back", async || store.get(&first.id).await).await;
    assert_eq!(found.as_ref(), Some(&*first));
    insert(&store, &record()).await.unwrap();
}

#[tokio::test]
async fn a_restart_is_noticed_before_a_write_would_be_lost() {
    let mut server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    for _ in 0..5 {
        server.restart();
        // The runtime hears of the closed connection when it is polled next.
        sleep(Duration::from_millis(50)).await;
        insert(&store, &record()).await.unwrap();
    }
    assert_eq!(store.get(&first.id).await.unwrap(), Some(first));
    assert_eq!(events(&store).await.len(), 6);
}

#[tokio::test]
async fn while_nobody_listens_it_is_an_outage_at_once_and_nothing_happens() {
    let mut server = server!();
    let store = open(&server).await;
    let (first, second) = (record(), record());
    insert(&store, &first).await.unwrap();
    server.kill();
    sleep(Duration::from_millis(50)).await;
    for _ in 0..100 {
        assert_eq!(
            kind(store.get(&first.id).await),
            StoreErrorKind::Unavailable
        );
        assert_eq!(
            kind(insert(&store, &second).await),
            StoreErrorKind::Unavailable
        );
        assert_eq!(kind(list(&store).await), StoreErrorKind::Unavailable);
    }
    server.restart();
    let found = eventually_ok("it is back", async || store.get(&first.id).await).await;
    assert_eq!(found, Some(first));
    assert_eq!(store.get(&second.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_is_gone_is_tried_less_and_less_often() {
    let mut server = server!();
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    server.kill();
    sleep(Duration::from_millis(50)).await;
    let (began, before) = (Instant::now(), proxy.accepted());
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(
            kind(store.get(&record().id).await),
            StoreErrorKind::Unavailable
        );
        sleep(Duration::from_millis(1)).await;
    }
    // The pauses are at least 25, 50, 100, 200 and 400 ms, and then half a second.
    let most = 7 + 2 * began.elapsed().as_secs() as usize;
    let attempts = proxy.accepted() - before;
    assert!((1..=most).contains(&attempts), "{attempts} attempts");
}

/// As in servers that have a runtime for each of their threads.
#[test]
fn a_runtime_that_ends_takes_no_store_with_it() {
    let server = server!();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let first = record();
    let store = runtime().block_on(async {
        let store = open(&server).await;
        insert(&store, &first).await.unwrap();
        store
    });
    for _ in 0..3 {
        let found = runtime().block_on(store.get(&first.id));
        assert_eq!(found.unwrap().as_ref(), Some(&first));
    }
    // An attempt to connect ends half-way.
    runtime().block_on(async {
        tokio::select! {
            biased;
            answer = store.get(&first.id) => panic!("at once: {answer:?}"),
            () = std::future::ready(()) => {}
        }
    });
    let found = runtime().block_on(store.get(&first.id));
    assert_eq!(found.unwrap(), Some(first));
}

async fn list(store: &RedisStore) -> Result<keygate::store::Listed, keygate::StoreError> {
    let page = keygate::store::Page {
        owner: None,
        after: None,
        limit: 1,
    };
    store.list(&page).await
}
