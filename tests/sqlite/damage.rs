//! Rows that are no records: each fails closed, is named, and is in nobody's way.

use keygate::store::AuditQuery;
use keygate::store::Page;
use keygate::{KeyStore, StoreErrorKind};
use rusqlite::Connection;

use crate::support::*;

/// With everything gone that keeps damage out.
fn unguarded(place: &Place) -> Connection {
    let hand = place.by_hand();
    hand.execute_batch(
        "PRAGMA ignore_check_constraints = ON;
         DROP TRIGGER keygate_keys_version_rises;
         DROP TRIGGER keygate_keys_id_is_final;",
    )
    .unwrap();
    hand
}

#[tokio::test]
async fn each_damaged_column_is_named_and_hides_no_other_record() {
    let place = Place::new();
    let store = place.open().await;
    let hand = unguarded(&place);
    let sound = full_record();
    insert(&store, &sound).await.unwrap();
    let text = "CAST(x'ff' AS TEXT)";
    for (column, value) in [
        ("format", "0"),
        ("format", "-1"),
        ("version", "-1"),
        ("prefix", "'Acme'"),
        ("prefix", text),
        ("name", text),
        ("owner", text),
        ("scopes", text),
        ("scopes", "'a  b'"),
        ("scopes", "' '"),
        ("scopes", "'a:read,write'"),
        ("scopes", "'**'"),
        ("metadata", "'{'"),
        ("metadata", "'[]'"),
        ("metadata", "'{\"a\": 1}'"),
        ("metadata", text),
        ("created_at", "-1"),
        ("created_at", "253402300800000"),
        ("expires_at", "-1"),
        ("disabled_at", "9223372036854775807"),
        ("revoked_at", "-1"),
        ("revocation_reason", "'of what?'"),
        ("revocation_reason", text),
        ("allowed_ips", "'10.0.0.0/99'"),
        ("allowed_ips", "'10.0.0.1'"),
        ("allowed_ips", "' '"),
        ("allowed_ips", text),
        ("rate_requests", "NULL"),
        ("rate_requests", "-1"),
        ("rate_per_seconds", "4294967296"),
        ("rate_burst", "-1"),
        ("current_mac", "x'00'"),
        ("current_mac", "zeroblob(33)"),
        ("current_pepper", "-1"),
        ("current_created_at", "-1"),
        ("current_not_after", "-1"),
        ("previous_mac", "NULL"),
        ("previous_mac", "x''"),
        ("previous_pepper", "4294967296"),
        ("previous_created_at", "-1"),
        ("previous_not_after", "-1"),
    ] {
        let case = format!("{column} = {value}");
        let damaged = full_record();
        insert(&store, &damaged).await.unwrap();
        let sql = format!("UPDATE keygate_keys SET {case} WHERE id = ?1");
        assert_eq!(hand.execute(&sql, [damaged.id.as_str()]).unwrap(), 1);

        let error = store.get(&damaged.id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{case}");
        let page = Page {
            owner: None,
            after: None,
            limit: 10,
        };
        let listed = store.list(&page).await.unwrap();
        assert_eq!(listed.records, std::slice::from_ref(&sound), "{case}");
        assert_eq!(listed.unreadable.len(), 1, "{case}");
        assert_eq!(listed.unreadable[0].id, damaged.id.as_str());
        for error in [&error, &listed.unreadable[0].error] {
            let shown = explain(error);
            assert!(shown.contains(damaged.id.as_str()), "{case}: {shown}");
            let named = shown.contains(column) || column == "format";
            assert!(named, "{case}: {shown}");
        }
        assert_eq!(store.get(&sound.id).await.unwrap().as_ref(), Some(&sound));
        let gone = hand.execute(
            "DELETE FROM keygate_keys WHERE id = ?1",
            [damaged.id.as_str()],
        );
        assert_eq!(gone.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_damaged_id_is_listed_as_it_is_stored() {
    let place = Place::new();
    let store = place.open().await;
    let hand = unguarded(&place);
    let sound = record();
    insert(&store, &sound).await.unwrap();
    for (value, shown) in [("'short'", "short"), ("CAST(x'61ff' AS TEXT)", "a\u{fffd}")] {
        let damaged = record();
        insert(&store, &damaged).await.unwrap();
        let sql = format!("UPDATE keygate_keys SET id = {value} WHERE id = ?1");
        assert_eq!(hand.execute(&sql, [damaged.id.as_str()]).unwrap(), 1);
        assert_eq!(store.get(&damaged.id).await.unwrap(), None);
        let page = Page {
            owner: Some("org_42"),
            after: None,
            limit: 10,
        };
        let listed = store.list(&page).await.unwrap();
        assert_eq!(listed.records, std::slice::from_ref(&sound));
        assert!(listed.unreadable.iter().any(|row| row.id == shown));
    }
}

#[tokio::test]
async fn a_row_of_a_newer_format_is_neither_used_nor_overwritten() {
    let place = Place::new();
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    place
        .by_hand()
        .execute_batch("UPDATE keygate_keys SET format = 2, scopes = 'of : the future'")
        .unwrap();
    let second = next_version(&first);
    let third = next_version(&second);
    for refused in [
        store.get(&first.id).await.map(|_| ()),
        update(&store, &third).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        let shown = explain(&error);
        assert!(shown.contains(first.id.as_str()), "{shown}");
        assert!(
            shown.contains("format 2") && shown.contains("upgrade"),
            "{shown}"
        );
    }
    let (format, version): (i64, i64) = place
        .by_hand()
        .query_row("SELECT format, version FROM keygate_keys", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((format, version), (2, 2));
    assert_eq!(events(&store).await.len(), 1);
}

#[tokio::test]
async fn no_error_shows_a_mac() {
    let place = Place::new();
    let store = place.open().await;
    let record = record();
    insert(&store, &record).await.unwrap();
    unguarded(&place)
        .execute_batch("UPDATE keygate_keys SET current_mac = CAST('the-mac-itself' AS BLOB)")
        .unwrap();
    let error = store.get(&record.id).await.unwrap_err();
    let shown = format!("{error:?} {}", explain(&error));
    assert!(!shown.contains("the-mac-itself"), "{shown}");
    let bytes = format!("{:?}", b"the-mac-itself");
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

#[tokio::test]
async fn a_damaged_event_is_named() {
    let place = Place::new();
    let store = place.open().await;
    insert(&store, &record()).await.unwrap();
    for (column, value) in [
        ("at", "-1"),
        ("action", "'danced'"),
        ("key_id", "'nobody'"),
        ("actor_key_id", "'nobody'"),
        ("actor_unknown", "1, actor_user = 'ada'"),
        ("actor_unknown", "1, actor_key_id = key_id"),
        (
            "actor_unknown",
            "0, actor_user = 'ada', actor_key_id = key_id",
        ),
        ("address", "'here'"),
        ("changes", "'{}'"),
        ("requests", "-1"),
        ("last_at", "NULL, requests = 1"),
    ] {
        let hand = unguarded_events(&place);
        let sql = format!("UPDATE keygate_audit SET {column} = {value}");
        hand.execute_batch(&format!(
            "BEGIN; CREATE TABLE kept AS SELECT * FROM keygate_audit; {sql}; COMMIT"
        ))
        .unwrap();
        let log = store.abilities().audit_log.unwrap();
        let page = log.events(&AuditQuery::new()).await.unwrap();
        let [error] = &page.unreadable[..] else {
            panic!("{sql}: {page:?}");
        };
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{sql}");
        let shown = explain(error);
        assert!(
            shown.contains("event 1") && shown.contains(column),
            "{shown}"
        );
        hand.execute_batch(
            "BEGIN; DELETE FROM keygate_audit; INSERT INTO keygate_audit SELECT * FROM kept;
             DROP TABLE kept; COMMIT",
        )
        .unwrap();
        assert_eq!(events(&store).await.len(), 1);
    }
}

fn unguarded_events(place: &Place) -> Connection {
    let hand = place.by_hand();
    hand.execute_batch("PRAGMA ignore_check_constraints = ON")
        .unwrap();
    hand
}
