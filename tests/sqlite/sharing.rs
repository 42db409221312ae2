//! Several stores on one file.

use keygate::store::Expect;
use keygate::{KeyStore, SqliteStore, StoreErrorKind};

use crate::support::*;

#[tokio::test]
async fn two_stores_on_one_file_see_each_others_writes() {
    let place = Place::new();
    let (a, b) = (place.open().await, place.open().await);
    let mut record = record();
    insert(&a, &record).await.unwrap();
    for (writer, reader) in [(&b, &a), (&a, &b), (&b, &a)] {
        assert_eq!(
            reader.get(&record.id).await.unwrap().as_ref(),
            Some(&record)
        );
        record = next_version(&record);
        update(writer, &record).await.unwrap();
        assert_eq!(
            reader.get(&record.id).await.unwrap().as_ref(),
            Some(&record)
        );
    }
    assert_eq!(events(&a).await, events(&b).await);
}

#[test]
fn one_new_file_is_made_whole_by_many_at_once() {
    for _ in 0..10 {
        let place = Place::new();
        let start = std::sync::Barrier::new(8);
        let stores: Vec<SqliteStore> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        block_on(place.open())
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        block_on(async {
            for store in &stores {
                insert(store, &record()).await.unwrap();
            }
            assert_eq!(events(&stores[0]).await.len(), 8);
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writes_with_one_expectation_exactly_one_succeeds() {
    let place = Place::new();
    let stores = [place.open().await, place.open().await];
    let mut expected = record();
    for round in 0..20 {
        let (expect, loss) = match round {
            0 => (Expect::Absent, StoreErrorKind::Taken),
            _ => (Expect::Version(expected.version), StoreErrorKind::Stale),
        };
        let base = next_version(&expected);
        let writes: Vec<_> = (0..8)
            .map(|n| {
                let store = stores[n % 2].clone();
                let mut record = base.clone();
                record.name = format!("{round} {n}");
                tokio::spawn(async move {
                    let outcome = write(&store, expect, &record).await;
                    (record, outcome)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for write in writes {
            match write.await.unwrap() {
                (record, Ok(())) => winners.push(record),
                (_, Err(error)) => assert_eq!(error.kind(), loss, "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1);
        expected = winners.remove(0);
        let stored = stores[round % 2].get(&expected.id).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&expected));
    }
    assert_eq!(events(&stores[0]).await.len(), 20);
}

#[tokio::test]
async fn a_write_whose_caller_leaves_happens_whole_or_not_at_all() {
    let place = Place::new();
    let store = place.open().await;
    let records: Vec<_> = (0..50).map(|_| record()).collect();
    for record in &records {
        let mut write = Box::pin(insert(&store, record));
        tokio::select! {
            biased;
            _ = &mut write => {}
            () = std::future::ready(()) => {}
        }
    }
    // Taken on in the order they came, so this one comes after them.
    insert(&store, &record()).await.unwrap();
    let events = events(&store).await;
    for record in &records {
        let kept = store.get(&record.id).await.unwrap().is_some();
        assert!(kept, "a write that was taken on is made");
        assert!(events.iter().any(|event| event.key_id == Some(record.id)));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
