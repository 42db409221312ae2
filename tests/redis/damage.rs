//! Data that fits nothing: it fails closed, is named, and is in nobody's way.

use keygate::store::{AuditQuery, Page};
use keygate::{KeyRecord, KeyStore, StoreErrorKind};

use crate::support::*;

#[tokio::test]
async fn a_record_that_does_not_agree_with_itself_is_named_and_hides_no_other() {
    let server = server!();
    let store = open(&server).await;
    let sound = KeyRecord {
        owner: "org_1".into(),
        ..record()
    };
    insert(&store, &sound).await.unwrap();
    let other = record();
    insert(&store, &other).await.unwrap();
    for (command, told) in [
        ("HSET KEY format 0", "there is no format 0"),
        ("HSET KEY format 2", "upgrade"),
        ("HSET KEY format 01", "field format"),
        ("HSET KEY format one", "field format"),
        ("HDEL KEY format", "field format"),
        ("HSET KEY version 1", "field version is lower"),
        ("HSET KEY version -3", "field version"),
        ("HSET KEY version 03", "field version"),
        ("HSET KEY version 9223372036854775808", "field version"),
        ("HDEL KEY version", "field version"),
        ("HSET KEY owner org_43", "field owner"),
        ("HDEL KEY owner", "field owner"),
        ("HDEL KEY body", "damaged"),
        ("HSET KEY body {}", "damaged"),
        ("HSET KEY revoked_at yesterday", "field revoked_at"),
        ("HSET KEY revoked_at -1", "field revoked_at"),
        ("HSET KEY revoked_at 008", "field revoked_at"),
        ("HSET KEY revoked_at 253402300800000", "field revoked_at"),
        (
            "HSET KEY revocation_reason of-what",
            "field revocation_reason",
        ),
        ("HSET KEY body OTHER", "field body"),
        ("SET KEY text", "not a hash"),
    ] {
        let damaged = KeyRecord {
            version: 2,
            ..record()
        };
        insert(&store, &damaged).await.unwrap();
        let key = key_of(&damaged.id);
        let body = String::from_utf8(other.to_bytes()).unwrap();
        match command.contains("OTHER") {
            true => {
                let set = ::redis::cmd("HSET")
                    .arg(&key)
                    .arg("body")
                    .arg(&body)
                    .clone();
                let _: i64 = set.query_async(&mut server.by_hand().await).await.unwrap();
            }
            false => _ = type_in(&server, &command.replace("KEY", &key)).await,
        }
        let error = store.get(&damaged.id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{command}");
        let shown = explain(&error);
        assert!(
            shown.contains(damaged.id.as_str()) && shown.contains(told),
            "{command}: {shown}"
        );
        assert!(!shown.contains("Bwc"), "no part of a MAC: {shown}");
        let page = listed(&store, None).await;
        let [unreadable] = &page.unreadable[..] else {
            panic!("{command}: {page:?}");
        };
        assert_eq!(unreadable.id, damaged.id.as_str());
        assert!(page.records.contains(&sound) && page.records.contains(&other));
        assert_eq!(store.get(&sound.id).await.unwrap().as_ref(), Some(&sound));
        type_in(&server, &format!("DEL {key}")).await;
        type_in(&server, &format!("ZREM {{keygate}}:ids {}", damaged.id)).await;
    }
}

#[tokio::test]
async fn a_newer_format_is_neither_read_nor_written_over() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let key = key_of(&first.id);
    type_in(
        &server,
        &format!("HSET {key} format 2 body {{\"format\":2}}"),
    )
    .await;
    let unread = store.get(&first.id).await.unwrap_err();
    assert_eq!(unread.kind(), StoreErrorKind::Corrupt);
    assert!(explain(&unread).contains("upgrade"), "{unread:?}");
    let refused = update(&store, &next_version(&first)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Corrupt);
    assert!(explain(&refused).contains("upgrade"), "{refused:?}");
    let left: String =
        ::redis::from_redis_value(type_in(&server, &format!("HGET {key} body")).await).unwrap();
    assert_eq!(left, "{\"format\":2}");
    assert_eq!(events(&store).await.len(), 1);
}

#[tokio::test]
async fn an_index_that_names_another_owner_is_told_and_not_believed() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    type_in(
        &server,
        &format!("ZADD {{keygate}}:owners 0 org_7\0{}", first.id),
    )
    .await;
    let page = listed(&store, Some("org_7")).await;
    assert!(page.records.is_empty(), "{page:?}");
    assert_eq!(page.unreadable[0].id, first.id.as_str());
}

/// Members that are no text must not make the pages go round in a circle.
#[tokio::test]
async fn an_index_with_anything_in_it_is_gone_through_to_its_end() {
    let server = server!();
    let store = open(&server).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let mut client = server.by_hand().await;
    for number in 0..1200_u16 {
        let member = [&[0xfe_u8][..], &number.to_be_bytes()].concat();
        let add = ::redis::cmd("ZADD")
            .arg("{keygate}:ids")
            .arg(0)
            .arg(member)
            .clone();
        let _: i64 = add.query_async(&mut client).await.unwrap();
    }
    let page = Page {
        owner: None,
        after: None,
        limit: usize::MAX,
    };
    let page = store.list(&page).await.unwrap();
    assert_eq!((page.records, page.unreadable.len()), (vec![first], 1200));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_told_and_hides_no_other() {
    let server = server!();
    let store = open(&server).await;
    insert(&store, &record()).await.unwrap();
    type_in(&server, "XADD {keygate}:audit * event damaged").await;
    type_in(&server, "XADD {keygate}:audit * another field").await;
    insert(&store, &record()).await.unwrap();
    let log = store.abilities().audit_log.unwrap();
    let page = log.events(&AuditQuery::new()).await.unwrap();
    assert_eq!((page.events.len(), page.unreadable.len()), (2, 2));
    for error in page.unreadable {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(explain(&error).contains("audit event 1"), "{error:?}");
    }
}
