//! Changes typed by hand, as with the `sqlite3` program.

use keygate::store::Expect;
use keygate::{KeyStore, Revocation, StoreErrorKind};

use crate::support::*;

#[tokio::test]
async fn an_update_typed_by_hand_raises_the_version() {
    let place = Place::new();
    let store = place.open().await;
    let mut expected = record();
    expected.version = 7;
    insert(&store, &expected).await.unwrap();
    let hand = place.by_hand();
    for (sql, version) in [
        ("UPDATE keygate_keys SET name = 'by hand'", 8),
        ("UPDATE keygate_keys SET version = version", 9),
        ("UPDATE keygate_keys SET version = 0", 10),
        ("UPDATE keygate_keys SET version = 20", 20),
        (
            "INSERT INTO keygate_keys SELECT * FROM keygate_keys WHERE false;
             UPDATE OR REPLACE keygate_keys SET name = 'by hand'",
            21,
        ),
        (
            "PRAGMA recursive_triggers = ON; UPDATE keygate_keys SET name = 'by hand'",
            22,
        ),
    ] {
        hand.execute_batch(sql).unwrap();
        let stored = store.get(&expected.id).await.unwrap().unwrap();
        assert_eq!(stored.version, version, "{sql}");
    }
    let lost = write(&store, Expect::Version(7), &next_version(&expected)).await;
    assert_eq!(kind(lost), StoreErrorKind::Stale);
}

#[tokio::test]
async fn a_key_can_be_revoked_by_hand_but_not_brought_back() {
    let place = Place::new();
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let hand = place.by_hand();
    hand.execute_batch("UPDATE keygate_keys SET revoked_at = 8")
        .unwrap();
    let mut ended = next_version(&first);
    ended.revocation = Some(Revocation {
        at: at(8),
        reason: String::new(),
    });
    assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&ended));
    for sql in [
        "UPDATE keygate_keys SET revoked_at = NULL",
        "UPDATE keygate_keys SET revoked_at = 9",
        "UPDATE keygate_keys SET revocation_reason = 'another'",
        "UPDATE OR IGNORE keygate_keys SET revoked_at = NULL, version = 99",
        "UPDATE OR REPLACE keygate_keys SET revoked_at = NULL",
        "UPDATE keygate_keys SET id = 'aaaaaaaaaaaa'",
        "CREATE TEMP TABLE copy AS SELECT * FROM keygate_keys;
         UPDATE copy SET revoked_at = NULL;
         REPLACE INTO keygate_keys SELECT * FROM copy",
    ] {
        let refused = hand.execute_batch(sql);
        let code = refused.unwrap_err().sqlite_error_code();
        assert_eq!(
            code,
            Some(rusqlite::ErrorCode::ConstraintViolation),
            "{sql}"
        );
        assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&ended));
    }
    hand.execute_batch("UPDATE keygate_keys SET name = 'renamed'")
        .unwrap();
    let stored = store.get(&first.id).await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.version), ("renamed", 3));
}

#[tokio::test]
async fn a_value_that_no_record_can_hold_is_refused_where_it_is_typed() {
    let place = Place::new();
    let store = place.open().await;
    let record = full_record();
    insert(&store, &record).await.unwrap();
    let hand = place.by_hand();
    for set in [
        "expires_at = '2026-01-01'",
        "expires_at = -1",
        "scopes = NULL",
        "metadata = '{'",
        "metadata = '[]'",
        "rate_burst = NULL",
        "current_mac = x'00'",
        "previous_mac = NULL",
        "revocation_reason = 'not revoked'",
        "format = 0",
    ] {
        let refused = hand.execute(&format!("UPDATE keygate_keys SET {set}"), ());
        let code = refused.unwrap_err().sqlite_error_code();
        assert_eq!(
            code,
            Some(rusqlite::ErrorCode::ConstraintViolation),
            "{set}"
        );
    }
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}
