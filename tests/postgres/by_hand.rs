//! Changes typed by hand, as with `psql`.

use keygate::store::Expect;
use keygate::{KeyStore, Revocation, StoreErrorKind};

use crate::support::*;

#[tokio::test]
async fn an_update_typed_by_hand_raises_the_version() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let mut expected = record();
    expected.version = 7;
    insert(&store, &expected).await.unwrap();
    for (sql, version) in [
        ("UPDATE keygate_keys SET name = 'by hand'", 8),
        ("UPDATE keygate_keys SET version = version", 9),
        ("UPDATE keygate_keys SET version = 0", 10),
        ("UPDATE keygate_keys SET version = 20", 20),
        (
            "SET session_replication_role = replica; UPDATE keygate_keys SET name = 'copied'",
            21,
        ),
        (
            "INSERT INTO keygate_keys SELECT * FROM keygate_keys
             ON CONFLICT (id) DO UPDATE SET name = 'upserted'",
            22,
        ),
    ] {
        place.run(sql).await;
        let stored = store.get(&expected.id).await.unwrap().unwrap();
        assert_eq!(stored.version, version, "{sql}");
    }
    let lost = write(&store, Expect::Version(7), &next_version(&expected)).await;
    assert_eq!(kind(lost), StoreErrorKind::Stale);
}

#[tokio::test]
async fn a_key_can_be_revoked_by_hand_but_not_brought_back() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    place
        .run("UPDATE keygate_keys SET revoked_at = to_timestamp(1.5), revocation_reason = 'lost'")
        .await;
    let mut ended = next_version(&first);
    ended.revocation = Some(Revocation {
        at: at(1_500),
        reason: "lost".into(),
    });
    assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&ended));
    for role in ["origin", "replica"] {
        for set in [
            "revoked_at = NULL, revocation_reason = ''",
            "revoked_at = to_timestamp(9)",
            "revocation_reason = 'another'",
            "id = 'aaaaaaaaaaaa'",
        ] {
            let sql =
                format!("SET session_replication_role = {role}; UPDATE keygate_keys SET {set}");
            let refusal = place.refusal(&sql).await;
            assert!(refusal.starts_with("23000 "), "{sql}: {refusal}");
            assert!(refusal.contains("is final"), "{sql}: {refusal}");
            assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&ended));
        }
    }
    place.run("UPDATE keygate_keys SET name = 'renamed'").await;
    let stored = store.get(&first.id).await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.version), ("renamed", 3));
}

#[tokio::test]
async fn now_is_a_time_that_a_record_holds() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let record = record();
    insert(&store, &record).await.unwrap();
    place
        .run("UPDATE keygate_keys SET revoked_at = now(), expires_at = now() + '1 day'")
        .await;
    let stored = store.get(&record.id).await.unwrap().unwrap();
    let revoked_at = stored.revocation.clone().unwrap().at;
    assert!(revoked_at > record.created_at);
    let day = stored.expires_at.unwrap().saturating_since(revoked_at);
    assert_eq!(day.as_millis(), 86_400_000);
    // What was read can be written again.
    let again = next_version(&stored);
    update(&store, &again).await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(again));
}

#[tokio::test]
async fn a_value_that_no_record_can_hold_is_refused_where_it_is_typed() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let record = full_record();
    insert(&store, &record).await.unwrap();
    for set in [
        "expires_at = '1969-12-31'",
        "expires_at = 'infinity'",
        "created_at = '-infinity'",
        "scopes = NULL",
        "scopes = '{a,NULL}'",
        "metadata = '[]'",
        "rate_burst = NULL",
        "rate_burst = -1",
        "rate_burst = 4294967296",
        "current_mac = ''",
        "current_pepper = -1",
        "previous_mac = NULL",
        "previous_pepper = NULL",
        "revocation_reason = 'not revoked'",
        "format = 0",
        "version = -1",
        "prefix = ''",
    ] {
        // The guard would raise a version before it is checked.
        let sql = format!(
            "ALTER TABLE keygate_keys DISABLE TRIGGER keygate_guard; UPDATE keygate_keys SET {set}"
        );
        let refusal = place.refusal(&sql).await;
        assert!(refusal.starts_with("235"), "{set}: {refusal}");
    }
    for id in ["short", "4KX9vQ2mB7tZ4", "4KX9vQ2mB7t-", "4KX9vQ2mB7t\n"] {
        let sql = format!(
            "ALTER TABLE keygate_keys DISABLE TRIGGER keygate_guard;
             UPDATE keygate_keys SET id = '{id}'"
        );
        let refusal = place.refusal(&sql).await;
        assert!(refusal.starts_with("23514"), "{id:?}: {refusal}");
    }
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}
