//! A file that is replaced while it is in use.

use std::fs;
use std::time::Duration;

use keygate::store::{AuditQuery, Page};
use keygate::{KeyRecord, KeyStore, SqliteStore, StoreError, StoreErrorKind};

use crate::feed::{Ear, Told, broken, following};
use crate::support::*;

/// What an operation must answer, when the file is not the one that was opened.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(place: &Place, outcome: Result<T, StoreError>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let path = place.path();
    let told = format!(
        "the file at {} was replaced or removed while in use: restart this process",
        path.display()
    );
    assert!(explain(&error).ends_with(&told), "{}", explain(&error));
}

async fn assert_all_refused(place: &Place, store: &SqliteStore, stored: &KeyRecord) {
    assert_refused(place, store.get(&stored.id).await);
    let page = Page {
        owner: None,
        after: None,
        limit: 10,
    };
    assert_refused(place, store.list(&page).await);
    assert_refused(place, insert(store, &record()).await);
    assert_refused(place, update(store, &next_version(stored)).await);
    let abilities = store.abilities();
    let settings = abilities.settings.unwrap();
    assert_refused(place, settings.read("a").await);
    assert_refused(place, settings.compare_and_set("a", None, b"1").await);
    let log = abilities.audit_log.unwrap();
    assert_refused(place, log.events(&AuditQuery::new()).await);
    let ear = Ear::default();
    assert_refused(place, Err::<(), _>(broken(store, &ear).await));
    assert_eq!(ear.told(), [], "no heartbeat");
}

/// Moves the database and what lies beside it.
fn move_all(place: &Place, names: [&str; 2]) {
    let directory = place.path().parent().unwrap().to_owned();
    for beside in ["", "-wal", "-shm"] {
        let [from, to] = names.map(|name| directory.join(format!("{name}{beside}")));
        fs::rename(from, to).unwrap();
    }
}

#[tokio::test]
async fn what_was_opened_before_answers_nothing_any_more() {
    let place = Place::new();
    let store = place.open().await;
    let stored = record();
    insert(&store, &stored).await.unwrap();

    move_all(&place, ["keys.db", "old.db"]);
    assert_all_refused(&place, &store, &stored).await;

    // The key is revoked in the file that everybody else opens.
    let other = place.open().await;
    insert(&other, &revoked(&stored)).await.unwrap();
    assert_all_refused(&place, &store, &stored).await;
    let seen = other.get(&stored.id).await.unwrap();
    assert_eq!(seen, Some(revoked(&stored)), "and nothing was written");

    move_all(&place, ["keys.db", "new.db"]);
    move_all(&place, ["old.db", "keys.db"]);
    assert_eq!(store.get(&stored.id).await.unwrap().as_ref(), Some(&stored));
    assert_all_refused(&place, &other, &stored).await;
}

#[tokio::test]
async fn the_file_alone_or_its_log_alone_is_missed_too() {
    for name in ["keys.db", "keys.db-wal"] {
        let place = Place::new();
        let store = place.open().await;
        let stored = record();
        insert(&store, &stored).await.unwrap();
        let path = place.path().with_file_name(name);
        fs::remove_file(&path).unwrap();
        assert_all_refused(&place, &store, &stored).await;
        fs::write(&path, b"").unwrap();
        assert_all_refused(&place, &store, &stored).await;
    }
}

#[tokio::test]
async fn a_feed_that_is_followed_ends_when_the_file_is_replaced() {
    let place = Place::new();
    let store = place.open().await;
    let ear = Ear::default();
    let replace = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fs::rename(place.path(), place.path().with_extension("old")).unwrap();
        ear.told().len()
    };
    let (error, told) = tokio::join!(broken(&store, &ear), replace);
    assert_refused(&place, Err::<(), _>(error));
    assert!(told > 1, "it was alive before");
    assert_eq!(ear.told().len(), told, "and not after");
}

#[tokio::test]
async fn a_write_whose_file_is_replaced_while_it_waits_is_not_acknowledged() {
    // When the machine is slow, the write notices before it has begun.
    for pause in [100, 400, 1600] {
        let place = Place::new();
        let store = place.open().await;
        let hand = place.by_hand();
        hand.execute_batch("BEGIN IMMEDIATE").unwrap();
        let new = record();
        let replace = async {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            fs::rename(place.path(), place.path().with_extension("old")).unwrap();
            hand.execute_batch("COMMIT").unwrap();
        };
        let (outcome, ()) = tokio::join!(insert(&store, &new), replace);
        match kind(outcome) {
            StoreErrorKind::OutcomeUnknown => return,
            other => assert_eq!(other, StoreErrorKind::Unavailable),
        }
    }
    panic!("it never came to the moment in question");
}

#[tokio::test]
async fn other_names_of_the_same_file_and_new_mode_or_contents_are_no_replacement() {
    let place = Place::new();
    let store = place.open().await;
    let ear = Ear::default();
    following(&store, &ear, async {
        fs::hard_link(place.path(), place.path().with_extension("link")).unwrap();
        let kept = record();
        insert(&store, &kept).await.unwrap();
        place
            .by_hand()
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM")
            .unwrap();
        assert_eq!(store.get(&kept.id).await.unwrap(), Some(kept.clone()));
        assert!(ear.told().contains(&Told::All));
    })
    .await;
}
