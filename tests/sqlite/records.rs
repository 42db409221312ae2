//! Fidelity, expectations, the audit log and the settings.

use keygate::audit::{Actor, AuditAction, AuditEvent};
use keygate::store::AuditQuery;
use keygate::store::{Expect, Page, Write};
use keygate::{IpNet, KeyStore, Revocation, StoreErrorKind};
use proptest::prelude::*;

use crate::support::*;

#[tokio::test]
async fn records_events_and_settings_survive_reopening() {
    let place = Place::new();
    let (bare, full) = (record(), full_record());
    let ended = revoked(&full);
    let store = place.open().await;
    for record in [&bare, &full] {
        insert(&store, record).await.unwrap();
    }
    update(&store, &ended).await.unwrap();
    let settings = store.abilities().settings.unwrap();
    let value = [0, 255];
    settings.compare_and_set("a", None, &value).await.unwrap();
    drop(store);

    let store = place.open().await;
    assert_eq!(store.get(&bare.id).await.unwrap(), Some(bare));
    assert_eq!(store.get(&full.id).await.unwrap(), Some(ended));
    assert_eq!(events(&store).await.len(), 3);
    let settings = store.abilities().settings.unwrap();
    assert_eq!(settings.read("a").await.unwrap(), Some(value.into()));
    assert_eq!(settings.read("b").await.unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_record_holds_is_kept(
        name in any::<String>(),
        owner in any::<String>(),
        reason in any::<String>(),
        metadata in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        networks in prop::collection::vec((any::<std::net::IpAddr>(), 0..=32u8), 0..4),
        version in 1..=i64::MAX as u64,
    ) {
        let mut record = full_record();
        record.name = name + "\0";
        record.owner = owner;
        record.metadata = metadata;
        record.revocation = Some(Revocation { at: at(8), reason });
        record.allowed_ips = networks
            .into_iter()
            .map(|(address, length)| IpNet::new(address, length).unwrap())
            .collect();
        record.version = version;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let store = place.open().await;
            insert(&store, &record).await.unwrap();
            assert_eq!(store.get(&record.id).await.unwrap().as_ref(), Some(&record));
            let page = Page { owner: Some(&record.owner), after: None, limit: 10 };
            let listed = store.list(&page).await.unwrap();
            assert_eq!(listed.records, [record]);
            assert_eq!(listed.unreadable.len(), 0);
        });
    }
}

#[tokio::test]
async fn a_refused_write_leaves_neither_record_nor_event() {
    let place = Place::new();
    let store = place.open().await;
    let first = record();
    insert(&store, &first).await.unwrap();
    let other = next_version(&next_version(&first));
    let unknown = next_version(&record());
    assert_eq!(kind(insert(&store, &other).await), StoreErrorKind::Taken);
    assert_eq!(kind(update(&store, &other).await), StoreErrorKind::Stale);
    assert_eq!(kind(update(&store, &unknown).await), StoreErrorKind::Stale);
    assert_eq!(store.get(&first.id).await.unwrap(), Some(first));
    assert_eq!(store.get(&unknown.id).await.unwrap(), None);
    assert_eq!(events(&store).await.len(), 1);
}

#[tokio::test]
async fn a_write_that_alters_a_revocation_is_stale_and_leaves_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let first = record();
    let ended = revoked(&first);
    insert(&store, &first).await.unwrap();
    update(&store, &ended).await.unwrap();
    let mut reopened = next_version(&ended);
    reopened.revocation = None;
    let mut later = next_version(&ended);
    later.revocation.as_mut().unwrap().at = at(9);
    let mut renamed = next_version(&ended);
    renamed.revocation.as_mut().unwrap().reason = String::new();
    for altered in [&reopened, &later, &renamed] {
        assert_eq!(kind(update(&store, altered).await), StoreErrorKind::Stale);
    }
    assert_eq!(store.get(&ended.id).await.unwrap().as_ref(), Some(&ended));
    assert_eq!(events(&store).await.len(), 2);
    let mut kept = next_version(&ended);
    kept.name = "renamed after its end".into();
    update(&store, &kept).await.unwrap();
    assert_eq!(store.get(&kept.id).await.unwrap(), Some(kept));
}

#[tokio::test]
async fn versions_beyond_the_range_of_sqlite_are_refused() {
    let place = Place::new();
    let store = place.open().await;
    let mut last = record();
    last.version = i64::MAX as u64;
    insert(&store, &last).await.unwrap();
    let beyond = next_version(&last);
    let refused = update(&store, &beyond).await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    let mut new = record();
    new.version = u64::MAX;
    let refused = insert(&store, &new).await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    let expect = Expect::Version(u64::MAX);
    let refused = write(&store, expect, &beyond).await;
    assert_eq!(kind(refused), StoreErrorKind::Stale);
    assert_eq!(store.get(&last.id).await.unwrap(), Some(last));
    assert_eq!(store.get(&new.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_that_does_not_raise_the_version_is_refused() {
    let place = Place::new();
    let store = place.open().await;
    let mut first = record();
    first.version = 5;
    insert(&store, &first).await.unwrap();
    for version in [5, 4] {
        let mut same = first.clone();
        (same.version, same.name) = (version, "changed".into());
        let refused = write(&store, Expect::Version(5), &same).await;
        assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    }
    assert_eq!(store.get(&first.id).await.unwrap(), Some(first));
    assert_eq!(events(&store).await.len(), 1);
}

#[tokio::test]
async fn pages_go_through_every_record_in_the_order_of_ids() {
    let place = Place::new();
    let store = place.open().await;
    let mut records = Vec::new();
    for n in 0..25 {
        let mut record = record();
        // Compared byte for byte, these are two.
        record.owner = if n % 5 == 0 { "ORG_42" } else { "org_42" }.into();
        insert(&store, &record).await.unwrap();
        records.push(record);
    }
    records.sort_by_key(|record| record.id);
    for owner in [None, Some("org_42"), Some("ORG_42"), Some("org_4")] {
        let expected: Vec<_> = records
            .iter()
            .filter(|record| owner.is_none_or(|owner| owner == record.owner))
            .cloned()
            .collect();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = Page {
                owner,
                after,
                limit: 7,
            };
            let listed = store.list(&page).await.unwrap();
            assert!(listed.records.len() <= 7);
            found.extend(listed.records);
            match found.last() {
                Some(last) if Some(last.id) != after => after = Some(last.id),
                _ => break,
            }
        }
        assert_eq!(found, expected, "{owner:?}");
    }
}

#[tokio::test]
async fn events_come_back_whole_in_order_page_by_page() {
    use AuditAction::*;
    let place = Place::new();
    let store = place.open().await;
    let actions = [
        Issued,
        Changed,
        Disabled,
        Enabled,
        Rotated,
        RotationFinished,
        Superseded,
        Revoked,
    ];
    let (first, mut second) = (record(), record());
    second.owner = "other".into();
    let mut expected: Vec<AuditEvent> = Vec::new();
    for (n, action) in actions.into_iter().enumerate() {
        for record in [&first, &second] {
            let event = AuditEvent {
                at: at(n as i64),
                actor: [Actor::Host, Actor::Key(first.id)][n % 2].clone(),
                address: [None, Some("2001:db8::1".parse().unwrap())][n % 2],
                ..event(record, action)
            };
            expected.push(event);
        }
    }
    for (record, skip) in [(&first, 0), (&second, 1)] {
        let audit: Vec<_> = expected.iter().skip(skip).step_by(2).cloned().collect();
        let change = Write {
            expect: Expect::Absent,
            record,
            audit: &audit,
        };
        store.write(change).await.unwrap();
    }
    let in_order: Vec<_> = (0..2)
        .flat_map(|skip| expected.iter().skip(skip).step_by(2).cloned())
        .collect();
    let all = AuditQuery::new();
    let queries = [
        all.clone(),
        AuditQuery {
            key_id: Some(second.id),
            ..all.clone()
        },
        AuditQuery {
            owner: Some("other".into()),
            from: Some(at(2)),
            ..all.clone()
        },
        AuditQuery {
            action: Some(Rotated),
            ..all.clone()
        },
        AuditQuery {
            from: Some(at(2)),
            until: Some(at(5)),
            ..all.clone()
        },
        AuditQuery {
            key_id: Some(first.id),
            owner: Some("other".into()),
            ..all
        },
    ];
    let log = store.abilities().audit_log.unwrap();
    for query in queries {
        let expected: Vec<_> = in_order.iter().filter(|e| query.selects(e)).collect();
        for limit in [1, 3, 100] {
            let (mut found, mut pages) = (Vec::new(), 0);
            let mut query = AuditQuery {
                limit,
                ..query.clone()
            };
            loop {
                let page = log.events(&query).await.unwrap();
                assert!(page.events.len() <= limit);
                found.extend(page.events);
                pages += 1;
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query:?}");
            assert_eq!(pages, expected.len().div_ceil(limit).max(1), "{query:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_store_is_refused() {
    let place = Place::new();
    let store = place.open().await;
    let query = AuditQuery {
        after: Some("over there".into()),
        ..AuditQuery::new()
    };
    let log = store.abilities().audit_log.unwrap();
    assert_eq!(kind(log.events(&query).await), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_setting_changes_only_from_what_was_expected() {
    let place = Place::new();
    let store = place.open().await;
    let settings = store.abilities().settings.unwrap();
    settings.compare_and_set("a", None, b"1").await.unwrap();
    for wrong in [None, Some(&b"2"[..]), Some(b"")] {
        let refused = settings.compare_and_set("a", wrong, b"3").await;
        assert_eq!(kind(refused), StoreErrorKind::Stale);
    }
    settings
        .compare_and_set("a", Some(b"1"), b"2")
        .await
        .unwrap();
    assert_eq!(settings.read("a").await.unwrap(), Some(b"2".into()));
}
