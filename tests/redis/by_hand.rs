//! Changes typed by hand, as with `redis-cli`.

use keygate::{KeyRecord, KeyStore, Revocation, StoreErrorKind};

use crate::support::*;

#[tokio::test]
async fn a_key_can_be_revoked_by_hand_but_not_brought_back() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let key = key_of(&first.id);
    type_in(
        &server,
        &format!("HSET {key} revoked_at 8 revocation_reason leaked"),
    )
    .await;
    type_in(&server, &format!("HINCRBY {key} version 1")).await;
    let ended = revoked(&first);
    assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&ended));
    let listed = listed(&store, Some("org_42")).await.records;
    assert_eq!(listed, std::slice::from_ref(&ended));

    let behind = update(&store, &next_version(&first)).await;
    assert_eq!(kind(behind), StoreErrorKind::Stale);
    let brought_back = KeyRecord {
        version: 3,
        ..first.clone()
    };
    assert_eq!(
        kind(update(&store, &brought_back).await),
        StoreErrorKind::Stale
    );
    let renamed = KeyRecord {
        name: "renamed".into(),
        ..next_version(&ended)
    };
    update(&store, &renamed).await.unwrap();
    assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&renamed));
}

/// Also where nobody thought of the version.
#[tokio::test]
async fn a_revocation_by_hand_stands_against_a_change_that_did_not_see_it() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    type_in(&server, &format!("HSET {} revoked_at 8", key_of(&first.id))).await;
    assert_eq!(
        kind(update(&store, &next_version(&first)).await),
        StoreErrorKind::Stale
    );
    let stored = store.get(&first.id).await.unwrap().unwrap();
    let revocation = Revocation {
        at: at(8),
        reason: String::new(),
    };
    assert_eq!(stored.revocation, Some(revocation));
}

#[tokio::test]
async fn a_revocation_that_was_taken_out_by_hand_opens_nothing() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    update(&store, &revoked(&first)).await.unwrap();
    for command in [
        "HSET KEY revoked_at  revocation_reason ",
        "HDEL KEY revoked_at revocation_reason",
        "HSET KEY revoked_at 9 revocation_reason leaked",
    ] {
        type_in(&server, &command.replace("KEY", &key_of(&first.id))).await;
        assert_eq!(
            kind(store.get(&first.id).await),
            StoreErrorKind::Corrupt,
            "{command}"
        );
    }
}

#[tokio::test]
async fn a_change_of_owner_moves_the_record_in_the_index() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let moved = KeyRecord {
        owner: "org_7".into(),
        ..next_version(&first)
    };
    update(&store, &moved).await.unwrap();
    let page = listed(&store, Some("org_42")).await;
    assert!(
        page.records.is_empty() && page.unreadable.is_empty(),
        "{page:?}"
    );
    assert_eq!(listed(&store, Some("org_7")).await.records, [moved]);
    let owners = type_in(&server, "ZRANGE {keygate}:owners 0 -1").await;
    let owners: Vec<String> = ::redis::from_redis_value(owners).unwrap();
    assert_eq!(owners, [format!("org_7\0{}", first.id)]);
}
