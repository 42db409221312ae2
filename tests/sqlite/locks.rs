//! Other processes that keep the file locked.

use std::time::{Duration, Instant};

use keygate::{KeyStore, StoreErrorKind};

use crate::support::*;

#[tokio::test]
async fn while_another_process_writes_reads_answer_and_writes_fail_within_seconds() {
    let place = Place::new();
    let store = place.open().await;
    let kept = record();
    insert(&store, &kept).await.unwrap();
    let hand = place.by_hand();
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        hand.execute_batch(lock).unwrap();
        let started = Instant::now();
        let refused = record();
        let mut write = Box::pin(insert(&store, &refused));
        let mut reads = 0;
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut write => break outcome,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
            let sent = Instant::now();
            assert_eq!(store.get(&kept.id).await.unwrap().as_ref(), Some(&kept));
            assert!(sent.elapsed() < Duration::from_secs(1), "{lock}");
            reads += 1;
        };
        assert_eq!(kind(outcome), StoreErrorKind::Unavailable, "{lock}");
        assert!(started.elapsed() < Duration::from_secs(10), "{lock}");
        assert!(reads > 10, "{lock}: the executor was blocked");
        hand.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.get(&refused.id).await.unwrap(), None);
        insert(&store, &refused).await.unwrap();
    }
    assert_eq!(events(&store).await.len(), 3);
}

#[tokio::test]
async fn a_write_waits_for_another_process_that_is_soon_done() {
    let place = Place::new();
    let store = place.open().await;
    let hand = place.by_hand();
    hand.execute_batch("BEGIN IMMEDIATE").unwrap();
    let record = record();
    let (written, ()) = tokio::join!(insert(&store, &record), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        hand.execute_batch("COMMIT").unwrap();
    });
    written.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_queue_behind_a_lock_fails_together_and_not_one_after_the_other() {
    let place = Place::new();
    let store = place.open().await;
    let hand = place.by_hand();
    hand.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let writes: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { insert(&store, &record()).await })
        })
        .collect();
    for write in writes {
        assert_eq!(kind(write.await.unwrap()), StoreErrorKind::Unavailable);
    }
    assert!(started.elapsed() < Duration::from_secs(15));
    hand.execute_batch("ROLLBACK").unwrap();
    insert(&store, &record()).await.unwrap();
    assert_eq!(events(&store).await.len(), 1);
}
