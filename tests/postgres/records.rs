//! What the contract does not say: transactions of the host, plans, and what errors show.

use keygate::audit::{AuditAction, AuditKind};
use keygate::store::{AuditQuery, Expect, Page, Write};
use keygate::{KeyStore, PostgresStore, StoreErrorKind, Timestamp};
use sqlx::Connection;

use crate::support::*;

#[tokio::test]
async fn a_change_in_a_transaction_of_the_host_happens_with_it_or_not_at_all() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let pool = hosts_pool(&place.url, 2);
    place.run("CREATE TABLE customers (name text)").await;
    let first = record();
    let audit = [event(&first, AuditAction::Issued)];
    let change = Write {
        expect: Expect::Absent,
        record: &first,
        audit: &audit,
    };
    for commit in [false, true] {
        let mut transaction = pool.begin().await.unwrap();
        let customer = "INSERT INTO customers VALUES ('org_42')";
        run(&mut transaction, customer).await.unwrap();
        store.write_in(&mut transaction, change).await.unwrap();
        assert_eq!(store.get(&first.id).await.unwrap(), None);
        match commit {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await.unwrap(),
        }
        let customers = place.run("SELECT FROM customers").await.len();
        let found = store.get(&first.id).await.unwrap();
        assert_eq!((customers == 1, found.is_some()), (commit, commit));
        assert_eq!(events(&store).await.len(), usize::from(commit));
    }
}

#[tokio::test]
async fn a_refused_change_leaves_the_hosts_transaction_usable() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let second = next_version(&first);
    let mut hand = place.by_hand().await;
    let mut transaction = hand.begin().await.unwrap();
    for (expect, expected) in [
        (Expect::Absent, StoreErrorKind::Taken),
        (Expect::Version(7), StoreErrorKind::Stale),
    ] {
        let change = Write {
            expect,
            record: &second,
            audit: &[],
        };
        let refused = store.write_in(&mut transaction, change).await;
        assert_eq!(kind(refused), expected);
    }
    let change = Write {
        expect: Expect::Version(1),
        record: &second,
        audit: &[],
    };
    store.write_in(&mut transaction, change).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(store.get(&first.id).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_row_of_a_newer_format_is_neither_used_nor_overwritten() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    place
        .run("UPDATE keygate_keys SET format = 2, scopes = '{of : the future}'")
        .await;
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
    let untouched = "SELECT FROM keygate_keys WHERE format = 2 AND version = 2";
    assert_eq!(place.run(untouched).await.len(), 1);
    assert_eq!(events(&store).await.len(), 1);
}

#[tokio::test]
async fn no_error_shows_a_mac() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let first = full_record();
    insert(&store, &first).await.unwrap();
    // What the server says of the row that it refuses has the whole of it.
    place
        .run("ALTER TABLE keygate_keys ADD CHECK (name <> 'refused')")
        .await;
    let mut refused = next_version(&first);
    refused.name = "refused".into();
    let mut inserted = full_record();
    inserted.name = "refused".into();
    let mut shown = String::new();
    for outcome in [
        update(&store, &refused).await,
        insert(&store, &inserted).await,
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        shown += &format!("{error:?} {}", explain(&error));
        assert!(shown.contains("check constraint"), "{shown}");
    }
    place
        .run(
            "ALTER TABLE keygate_keys DROP CONSTRAINT keygate_keys_current_mac_check;
             UPDATE keygate_keys SET current_mac = current_mac || '\\x0202'",
        )
        .await;
    let error = store.get(&first.id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    shown += &format!("{error:?} {}", explain(&error));
    assert!(shown.contains("current_mac"), "{shown}");
    for mac in ["02020202", "2, 2, 2, 2", "\\u{2}\\u{2}", "\u{2}\u{2}"] {
        assert!(!shown.contains(mac), "{shown}");
    }
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let Some(server) = PostgresServer::start_with(&[
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_nested_statements=on",
    ]) else {
        return;
    };
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let mut hand = server.by_hand().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    run(
        &mut hand,
        "INSERT INTO keygate_keys (id, format, version, prefix, name, owner, scopes, created_at,
            current_mac, current_pepper, current_created_at)
         SELECT lpad(n::text, 12, '0'), 1, 1, 'acme_live', '', 'owner_' || n % 1000, '{}', now(),
            decode(repeat('00', 32), 'hex'), 1, now()
         FROM generate_series(1, 20000) AS n;
         INSERT INTO keygate_audit (at, action, key_id, owner, changes)
         SELECT to_timestamp(n), 'issued', lpad(n::text, 12, '0'), 'owner_' || n % 1000, '[]'
         FROM generate_series(1, 20000) AS n;
         INSERT INTO keygate_audit (at, action, kind, changes, requests, last_at)
         SELECT to_timestamp(n), 'refused', 'authentication', '[]', 1, to_timestamp(n)
         FROM generate_series(1, 100) AS n;
         INSERT INTO keygate_settings SELECT n::text, '' FROM generate_series(1, 20000) AS n;
         ANALYZE",
    )
    .await
    .unwrap();
    let begin = server.log().len();
    store.get(&first.id).await.unwrap().unwrap();
    update(&store, &next_version(&first)).await.unwrap();
    insert(&store, &record()).await.unwrap();
    for owner in [None, Some("owner_7")] {
        let page = Page {
            owner,
            after: Some("000000000500".parse().unwrap()),
            limit: 10,
        };
        assert_eq!(store.list(&page).await.unwrap().records.len(), 10);
    }
    let settings = store.abilities().settings.unwrap();
    assert!(settings.read("7").await.unwrap().is_some());
    settings
        .compare_and_set("7", Some(b""), b"1")
        .await
        .unwrap();
    settings.compare_and_set("new", None, b"1").await.unwrap();
    let log = store.abilities().audit_log.unwrap();
    let at = |seconds: i64| Timestamp::from_unix_millis(seconds * 1_000).unwrap();
    for query in [
        AuditQuery::new(),
        AuditQuery {
            key_id: Some("000000000500".parse().unwrap()),
            ..AuditQuery::new()
        },
        AuditQuery {
            owner: Some("owner_7".into()),
            ..AuditQuery::new()
        },
        AuditQuery {
            action: Some(AuditAction::Revoked),
            ..AuditQuery::new()
        },
        AuditQuery {
            kind: Some(AuditKind::Authentication),
            ..AuditQuery::new()
        },
        AuditQuery {
            from: Some(at(19_000)),
            until: Some(at(19_010)),
            ..AuditQuery::new()
        },
    ] {
        log.events(&query).await.unwrap();
    }
    for (kind, moment) in [
        (AuditKind::Authentication, 50),
        (AuditKind::Lifecycle, 10_000),
    ] {
        let forgotten = log.forget_before(kind, at(moment), 10).await;
        assert_eq!(forgotten.unwrap(), 10);
    }
    let whole = server.log();
    let plans = &whole[begin..];
    for (index, times) in [
        ("keygate_keys_pkey ", 4),
        ("keygate_keys_of_owner ", 1),
        ("keygate_settings_pkey ", 2),
        ("keygate_audit_of_key ", 1),
        ("keygate_audit_of_owner ", 1),
        ("keygate_audit_of_action ", 1),
        ("keygate_audit_of_kind ", 1),
        ("keygate_audit_oldest ", 2),
    ] {
        let used = plans.matches(index).count();
        assert!(used >= times, "{index}: {used}\n{plans}");
    }
    let seq_scans: Vec<&str> = plans
        .lines()
        .filter(|line| line.contains("Seq Scan on") && line.contains("keygate_"))
        .collect();
    assert!(seq_scans.is_empty(), "{seq_scans:?}\n{plans}");
}
