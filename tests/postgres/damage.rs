//! Rows that are no records: each fails closed, is named, and is in nobody's way.

use keygate::store::{AuditQuery, Page};
use keygate::{KeyStore, StoreErrorKind};

use crate::support::*;

/// Takes away everything that keeps damage out of a table.
pub(crate) async fn unguard(place: &Place, table: &str) {
    place
        .run(&format!(
            "DO $$ DECLARE found record; BEGIN
                 FOR found IN SELECT conname FROM pg_constraint
                     WHERE conrelid = '{table}'::regclass AND contype = 'c' LOOP
                     EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I', found.conname);
                 END LOOP;
                 FOR found IN SELECT attname FROM pg_attribute
                     WHERE attrelid = '{table}'::regclass AND attnum > 0 AND attnotnull
                         AND attnum <> ALL ((SELECT conkey FROM pg_constraint
                             WHERE conrelid = '{table}'::regclass AND contype = 'p')::int2[]) LOOP
                     EXECUTE format('ALTER TABLE {table} ALTER %I DROP NOT NULL', found.attname);
                 END LOOP;
             END $$"
        ))
        .await;
}

#[tokio::test]
async fn each_damaged_column_is_named_and_hides_no_other_record() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    unguard(&place, "keygate_keys").await;
    place
        .run("ALTER TABLE keygate_keys DISABLE TRIGGER keygate_guard")
        .await;
    let sound = full_record();
    insert(&store, &sound).await.unwrap();
    for (column, value) in [
        ("format", "0"),
        ("format", "-1"),
        ("format", "NULL"),
        ("version", "-1"),
        ("version", "NULL"),
        ("prefix", "'Acme'"),
        ("name", "NULL"),
        ("owner", "NULL"),
        ("scopes", "NULL"),
        ("scopes", "'{a,NULL}'"),
        ("scopes", "'{\"a  b\"}'"),
        ("scopes", "'{\"\"}'"),
        ("scopes", "'{\"a:read,write\"}'"),
        ("scopes", "'{**}'"),
        ("metadata", "NULL"),
        ("metadata", "'[]'"),
        ("metadata", "'{\"a\": 1}'"),
        ("created_at", "NULL"),
        ("created_at", "'1969-12-31 23:59:59Z'"),
        ("expires_at", "'infinity'"),
        ("disabled_at", "'-infinity'"),
        ("revoked_at", "'10000-01-01Z'"),
        ("revocation_reason", "'of what?'"),
        ("revocation_reason", "NULL"),
        ("allowed_ips", "NULL"),
        ("allowed_ips", "'{NULL}'"),
        ("rate_requests", "NULL"),
        ("rate_requests", "-1"),
        ("rate_per_seconds", "4294967296"),
        ("rate_burst", "-1"),
        ("current_mac", "NULL"),
        ("current_mac", "'\\x00'"),
        ("current_mac", "decode(repeat('00', 33), 'hex')"),
        ("current_pepper", "-1"),
        ("current_created_at", "'infinity'"),
        ("current_not_after", "'-infinity'"),
        ("previous_mac", "NULL"),
        ("previous_mac", "''"),
        ("previous_pepper", "4294967296"),
        ("previous_created_at", "'infinity'"),
        ("previous_not_after", "'infinity'"),
    ] {
        let case = format!("{column} = {value}");
        let damaged = full_record();
        insert(&store, &damaged).await.unwrap();
        let sql = format!("UPDATE keygate_keys SET {case} WHERE id = '{}'", damaged.id);
        place.run(&sql).await;

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
            let named = shown.contains(column) || shown.contains("no format");
            assert!(named, "{case}: {shown}");
        }
        assert_eq!(store.get(&sound.id).await.unwrap().as_ref(), Some(&sound));
        let sql = format!("DELETE FROM keygate_keys WHERE id = '{}'", damaged.id);
        place.run(&sql).await;
    }
}

#[tokio::test]
async fn a_damaged_id_is_listed_as_it_is_stored() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    unguard(&place, "keygate_keys").await;
    place
        .run("ALTER TABLE keygate_keys DISABLE TRIGGER keygate_guard")
        .await;
    let (sound, damaged) = (record(), record());
    insert(&store, &sound).await.unwrap();
    insert(&store, &damaged).await.unwrap();
    let sql = format!(
        "UPDATE keygate_keys SET id = 'short' WHERE id = '{}'",
        damaged.id
    );
    place.run(&sql).await;
    assert_eq!(store.get(&damaged.id).await.unwrap(), None);
    let page = Page {
        owner: Some("org_42"),
        after: None,
        limit: 10,
    };
    let listed = store.list(&page).await.unwrap();
    assert_eq!(listed.records, std::slice::from_ref(&sound));
    assert_eq!(listed.unreadable.len(), 1);
    assert_eq!(listed.unreadable[0].id, "short");
}

#[tokio::test]
async fn a_damaged_event_is_named() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    unguard(&place, "keygate_audit").await;
    for (n, (column, value)) in [
        ("at", "'infinity'"),
        ("action", "'danced'"),
        ("key_id", "'nobody'"),
        ("actor_key_id", "'nobody'"),
        ("actor_unknown", "true, actor_user = 'ada'"),
        ("actor_unknown", "true, actor_key_id = key_id"),
        (
            "actor_unknown",
            "false, actor_user = 'ada', actor_key_id = key_id",
        ),
        ("changes", "'{}'"),
        ("requests", "-1"),
        ("last_at", "NULL, requests = 1"),
    ]
    .into_iter()
    .enumerate()
    {
        insert(&store, &record()).await.unwrap();
        insert(&store, &record()).await.unwrap();
        let number = 2 * n + 1;
        place
            .run(&format!(
                "UPDATE keygate_audit SET {column} = {value} WHERE sequence = {number}"
            ))
            .await;
        let log = store.abilities().audit_log.unwrap();
        let page = log.events(&AuditQuery::new()).await.unwrap();
        let [error] = &page.unreadable[..] else {
            panic!("{column}: {page:?}");
        };
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{column}");
        let shown = explain(error);
        let named = shown.contains(&format!("event {number}:")) && shown.contains(column);
        assert!(named, "{shown}");
        assert_eq!(page.events.len(), 1);
        place.run("DELETE FROM keygate_audit").await;
    }
}
