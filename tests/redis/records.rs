//! What is written and read, past the clauses of the contract.

use std::collections::BTreeMap;

use ::redis::FromRedisValue;
use keygate::audit::{AuditAction, AuditKind};
use keygate::store::{AuditQuery, Expect, Page};
use keygate::{KeyRecord, KeyStore, StoreErrorKind, Timestamp};

use crate::support::*;

#[tokio::test]
async fn a_key_of_another_type_in_the_way_stops_a_change_before_it_begins() {
    for name in [
        "ids",
        "owners",
        "audit",
        "audit:index",
        "audit:lifecycle",
        "audit:authentication",
    ] {
        let server = server!();
        let store = open(&server).await;
        let first = record();
        insert(&store, &first).await.unwrap();
        type_in(&server, &format!("SET {{keygate}}:{name} text")).await;
        let before = everything(&server).await;
        let moved = KeyRecord {
            owner: "org_7".into(),
            ..next_version(&first)
        };
        for refused in [
            insert(&store, &record()).await,
            update(&store, &moved).await,
        ] {
            assert_eq!(kind(refused), StoreErrorKind::Unavailable, "{name}");
        }
        if name.starts_with("audit") {
            let log = store.abilities().audit_log.unwrap();
            let recorded = log.record(&[event(&first, AuditAction::Accepted)]).await;
            assert_eq!(kind(recorded), StoreErrorKind::Unavailable, "{name}");
            let forgotten = log.forget_before(AuditKind::Lifecycle, Timestamp::MAX, 9);
            assert_eq!(kind(forgotten.await), StoreErrorKind::Unavailable, "{name}");
        }
        assert_eq!(everything(&server).await, before, "{name}");
    }
}

/// What each key holds, whatever the order of a hash.
async fn everything(server: &RedisServer) -> BTreeMap<String, String> {
    let keys = type_in(server, "KEYS *").await;
    let keys: Vec<String> = ::redis::from_redis_value(keys).unwrap();
    let mut everything = BTreeMap::new();
    for key in keys {
        let held = match key.contains(":key:") {
            true => {
                let fields = type_in(server, &format!("HGETALL {key}")).await;
                let fields = BTreeMap::<String, String>::from_redis_value(fields);
                format!("{:?}", fields.unwrap())
            }
            false => format!("{:?}", type_in(server, &format!("DUMP {key}")).await),
        };
        everything.insert(key, held);
    }
    everything
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = server!();
    let store = open(&server).await;
    let settings = store.abilities().settings.unwrap();
    let (ear, _following) = crate::feed::follow(&store).await;
    let first = record();
    type_in(&server, "SCRIPT FLUSH").await;
    insert(&store, &first).await.unwrap();
    type_in(&server, "SCRIPT FLUSH").await;
    assert_eq!(listed(&store, None).await.records, [first]);
    type_in(&server, "SCRIPT FLUSH").await;
    assert_eq!(events(&store).await.len(), 1);
    type_in(&server, "SCRIPT FLUSH").await;
    settings.compare_and_set("a", None, b"1").await.unwrap();
    type_in(&server, "SCRIPT FLUSH").await;
    crate::usage::use_everything(&store).await;
    let log = store.abilities().audit_log.unwrap();
    type_in(&server, "SCRIPT FLUSH").await;
    log.record(&[event(&record(), AuditAction::Accepted)])
        .await
        .unwrap();
    type_in(&server, "SCRIPT FLUSH").await;
    let forgotten = log.forget_before(AuditKind::Authentication, Timestamp::MAX, 9);
    assert_eq!(forgotten.await.unwrap(), 1);
    type_in(&server, "SCRIPT FLUSH").await;
    ear.next_beat().await;
}

#[tokio::test]
async fn a_full_server_is_an_outage_for_writes_that_ends_with_it() {
    let server = server!();
    let store = open(&server).await;
    let (first, second) = (record(), record());
    insert(&store, &first).await.unwrap();
    type_in(&server, "CONFIG SET maxmemory 1").await;
    assert_eq!(
        kind(insert(&store, &second).await),
        StoreErrorKind::Unavailable
    );
    assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.get(&second.id).await.unwrap(), None);
    assert_eq!(events(&store).await.len(), 1);
    type_in(&server, "CONFIG SET maxmemory 0").await;
    insert(&store, &second).await.unwrap();
}

#[tokio::test]
async fn events_that_were_trimmed_off_are_passed_over() {
    let server = server!();
    let store = open(&server).await;
    let mut last = record();
    insert(&store, &last).await.unwrap();
    for _ in 0..9 {
        last = next_version(&last);
        update(&store, &last).await.unwrap();
    }
    type_in(&server, "XTRIM {keygate}:audit MAXLEN 3").await;
    let log = store.abilities().audit_log.unwrap();
    for key_id in [None, Some(last.id)] {
        let mut query = AuditQuery {
            key_id,
            limit: 2,
            ..AuditQuery::new()
        };
        let first = log.events(&query).await.unwrap();
        assert_eq!(first.events.len(), 2);
        query.after = first.next;
        assert!(query.after.is_some());
        let rest = log.events(&query).await.unwrap();
        assert_eq!((rest.events.len(), rest.next), (1, None));
    }
}

/// More of everything than one script reads at once.
#[tokio::test]
async fn no_cursor_that_a_caller_makes_up_is_an_outage() {
    let server = server!();
    let store = open(&server).await;
    let record = record();
    insert(&store, &record).await.unwrap();
    let log = store.abilities().audit_log.unwrap();
    let most = u64::MAX;
    for cursor in [
        String::new(),
        "-".into(),
        "$".into(),
        "1".into(),
        "01-0".into(),
        format!("{most}-{most}"),
        format!("{most}-0"),
        format!("0-{most}"),
        format!("{}-{}", most - 1, most - 1),
    ] {
        for key_id in [None, Some(record.id)] {
            let query = AuditQuery {
                key_id,
                after: Some(cursor.clone()),
                ..AuditQuery::new()
            };
            match log.events(&query).await {
                Ok(page) => assert_eq!(page.events, [], "{cursor}"),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{cursor}"),
            }
        }
    }
}

/// A key with a million requests, and the question who revoked it.
#[tokio::test]
async fn few_events_among_many_others_are_found_in_few_round_trips() {
    let server = server!();
    let store = open(&server).await;
    let record = record();
    insert(&store, &record).await.unwrap();
    let log = store.abilities().audit_log.unwrap();
    let accepted = vec![event(&record, AuditAction::Accepted); 1_000];
    log.record(&accepted).await.unwrap();
    let query = AuditQuery {
        key_id: Some(record.id),
        action: Some(AuditAction::Revoked),
        limit: 1,
        ..AuditQuery::new()
    };
    type_in(&server, "CONFIG RESETSTAT").await;
    let page = log.events(&query).await.unwrap();
    assert_eq!((page.events.len(), page.next), (0, None));
    let told = type_in(&server, "INFO commandstats").await;
    let told: String = ::redis::from_redis_value(told).unwrap();
    let calls = |command: &str| {
        let line = told.split_once(&format!("cmdstat_{command}:calls="));
        let calls = line.and_then(|(_, rest)| rest.split(',').next());
        calls.map_or(0, |calls| calls.parse::<u32>().unwrap())
    };
    let calls = calls("eval") + calls("evalsha") + calls("evalsha_ro") + calls("eval_ro");
    assert!((1..=20).contains(&calls), "{calls} scripts");
}

#[tokio::test]
async fn pages_are_longer_than_what_is_read_at_once() {
    let server = server!();
    let store = open(&server).await;
    let records: Vec<_> = (0..1100).map(|_| record()).collect();
    for record in &records {
        insert(&store, record).await.unwrap();
    }
    let mut sorted = records.clone();
    sorted.sort_by_key(|record| record.id);
    for owner in [None, Some("org_42")] {
        for limit in [499, 500, 501, 1000, 1100, 1101, usize::MAX] {
            let page = Page {
                owner,
                after: Some(sorted[9].id),
                limit,
            };
            let found = store.list(&page).await.unwrap().records;
            let end = limit.saturating_add(10).min(1100);
            assert_eq!(found, sorted[10..end], "{limit}");
        }
    }
    let written: Vec<_> = records.iter().map(|record| Some(record.id)).collect();
    let read: Vec<_> = events(&store)
        .await
        .iter()
        .map(|event| event.key_id)
        .collect();
    assert_eq!(read, written);
    let log = store.abilities().audit_log.unwrap();
    let query = AuditQuery {
        owner: Some("org_42".into()),
        key_id: None,
        limit: 1099,
        ..AuditQuery::new()
    };
    let page = log.events(&query).await.unwrap();
    assert_eq!(page.events.len(), 1099);
    assert!(page.next.is_some());
}

/// As services of before wrote them: without the times of events.
async fn write_as_before(server: &RedisServer, events: usize) {
    let mut hand = server.by_hand().await;
    for n in 0..events {
        let json = format!(
            r#"{{"at":"1970-01-01T00:00:{:02}.000Z","action":"changed","key_id":"4KX9vQ2mB7tZ","owner":"org_42","actor":"host","address":null,"changes":[]}}"#,
            n % 60
        );
        let mut add = ::redis::cmd("XADD");
        add.arg("{keygate}:audit").arg("*").arg("event").arg(json);
        let sequence: String = add.query_async(&mut hand).await.unwrap();
        let (millis, number) = sequence.split_once('-').unwrap();
        let wide = format!("{millis:0>20}-{number:0>20}");
        let mut index = ::redis::cmd("ZADD");
        index.arg("{keygate}:audit:index");
        for of in ["k4KX9vQ2mB7tZ", "oorg_42", "achanged"] {
            index.arg(0).arg(format!("{of}\0{wide}"));
        }
        let _: ::redis::Value = index.query_async(&mut hand).await.unwrap();
    }
}

/// More of them than one script reads at once.
#[tokio::test]
async fn events_from_before_there_were_times_and_kinds_are_read_and_forgotten_by_them() {
    let server = server!();
    let store = open(&server).await;
    write_as_before(&server, 1200).await;
    type_in(&server, "XADD {keygate}:audit * event damaged").await;
    let log = store.abilities().audit_log.unwrap();
    log.record(&[event(&record(), AuditAction::Accepted)])
        .await
        .unwrap();
    write_as_before(&server, 3).await;
    let query = AuditQuery {
        kind: Some(AuditKind::Lifecycle),
        limit: 2000,
        ..AuditQuery::new()
    };
    let found = log.events(&query).await.unwrap();
    assert_eq!(found.events.len(), 1203);
    assert!(
        found
            .events
            .iter()
            .all(|e| e.action == AuditAction::Changed)
    );
    // Half of each minute.
    let forgotten = log
        .forget_before(AuditKind::Lifecycle, at(30_000), 10)
        .await;
    assert_eq!(forgotten.unwrap(), 10);
    let forgotten = log
        .forget_before(AuditKind::Lifecycle, at(30_000), usize::MAX)
        .await;
    assert_eq!(forgotten.unwrap(), 593);
    assert_eq!(log.events(&query).await.unwrap().events.len(), 600);
    let rest = log
        .forget_before(AuditKind::Lifecycle, Timestamp::MAX, usize::MAX)
        .await;
    assert_eq!(rest.unwrap(), 601);
    let rest = log
        .forget_before(AuditKind::Authentication, Timestamp::MAX, 2)
        .await;
    assert_eq!(rest.unwrap(), 1);
    // Nothing is left of them.
    assert_eq!(
        everything(&server).await.keys().collect::<Vec<_>>(),
        ["{keygate}:audit"]
    );
    assert!(events(&store).await.is_empty());
}

#[tokio::test]
async fn a_version_that_would_not_rise_is_refused() {
    let server = server!();
    let store = open(&server).await;
    let first = KeyRecord {
        version: 10,
        ..record()
    };
    insert(&store, &first).await.unwrap();
    for version in [10, 9, 1] {
        let same = KeyRecord {
            version,
            ..first.clone()
        };
        let refused = write(&store, Expect::Version(10), &same).await;
        assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    }
    let beyond = KeyRecord {
        version: u64::MAX,
        ..first.clone()
    };
    let refused = write(&store, Expect::Version(10), &beyond).await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    assert_eq!(store.get(&first.id).await.unwrap().as_ref(), Some(&first));
    let next = KeyRecord {
        version: 100,
        ..first
    };
    write(&store, Expect::Version(10), &next).await.unwrap();
}
