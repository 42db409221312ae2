//! How keys were used: tables of their own, beside the records, and who may do what with them.

use std::collections::BTreeSet;

use keygate::store::{KeyUsage, ScopeUsage, SecretUsage, UsageBatch, UsageEntry, UsageStore};
use keygate::{Day, KeyId, KeyStore, PostgresStore, StoreErrorKind};
use tokio::time::timeout;

use crate::feed::{Following, Heard};
use crate::support::*;

use StoreErrorKind::{Corrupt, Unavailable};

pub(crate) const OWNER: &str = "org_42";

pub(crate) fn today() -> Day {
    Day::of(at(1_795_325_668_000))
}

/// One request, which counts in every table.
fn used(id: KeyId) -> UsageEntry {
    let scope = |scope: &str| ScopeUsage {
        scope: scope.into(),
        requests: 1,
        last_at: at(1_795_325_668_000),
    };
    UsageEntry {
        key_id: id,
        owner: OWNER.into(),
        day: today(),
        usage: KeyUsage {
            requests: 1,
            last_used_at: at(1_795_325_668_000),
            last_used_from: Some([203, 0, 113, 7].into()),
            scopes: vec![scope("orders:read")],
            lacked: vec![scope("orders:write")],
            secrets: vec![SecretUsage {
                created_at: at(5),
                requests: 1,
                last_used_at: at(1_795_325_668_000),
            }],
        },
    }
}

pub(crate) fn batch(sequence: u64, ids: &[KeyId]) -> UsageBatch {
    UsageBatch {
        instance: 7,
        sequence,
        entries: ids.iter().copied().map(used).collect(),
    }
}

pub(crate) fn usage(store: &PostgresStore) -> &dyn UsageStore {
    store.abilities().usage.unwrap()
}

/// Each key has so many requests, in every table.
pub(crate) async fn assert_counted(store: &PostgresStore, ids: &[KeyId], requests: u64) {
    let found = usage(store).of_keys(ids).await.unwrap();
    for (id, found) in ids.iter().zip(found) {
        let found = found.unwrap_or_else(|| panic!("{id} has no usage"));
        let mut counts = vec![found.requests, found.secrets[0].requests];
        counts.extend(found.scopes.iter().map(|scope| scope.requests));
        counts.extend(found.lacked.iter().map(|scope| scope.requests));
        let days = usage(store).days_of_key(id, today()..=today());
        counts.extend(days.await.unwrap().iter().map(|day| day.requests));
        assert_eq!(counts, [requests; 5], "{id}");
    }
}

/// Whoever may use the tables adds, reads and forgets.
pub(crate) async fn can_be_kept(store: &PostgresStore) {
    let id = KeyId::generate().unwrap();
    let bytes = id.as_str().bytes();
    let first = UsageBatch {
        instance: bytes.fold(0, |number, byte| number << 8 | u128::from(byte)),
        ..batch(1, &[id])
    };
    usage(store).add(&first).await.unwrap();
    assert_counted(store, &[id], 1).await;
    let owners = usage(store).owners_on(today(), None, 10).await.unwrap();
    assert_eq!(owners.len(), 1);
    let tomorrow = Day::from_days_since_1970(today().since_1970() + 1);
    usage(store).forget_before(tomorrow).await.unwrap();
    let days = usage(store).days_of_owner(OWNER, today()..=today());
    assert_eq!(days.await.unwrap(), []);
}

pub(crate) fn new_ids(count: usize) -> Vec<KeyId> {
    (0..count).map(|_| KeyId::generate().unwrap()).collect()
}

#[tokio::test]
async fn tables_of_step_1_are_brought_up_to_date_with_what_is_in_them() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .run(include_str!(
            "../../src/store/postgres/migrations/0001_keys.sql"
        ))
        .await;
    place
        .run(
            "INSERT INTO keygate_keys (id, format, version, prefix, name, owner, scopes, created_at,
                current_mac, current_pepper, current_created_at)
             VALUES ('4KX9vQ2mB7tZ', 1, 3, 'acme_live', 'CI', 'org_42', '{a}', now(),
                decode(repeat('07', 32), 'hex'), 1, now());
             INSERT INTO keygate_audit (at, action, key_id, owner, changes)
             VALUES (now(), 'issued', '4KX9vQ2mB7tZ', 'org_42', '[]');
             INSERT INTO keygate_settings VALUES ('name', 'value')",
        )
        .await;
    let store = place.open().await;
    let id = "4KX9vQ2mB7tZ".parse().unwrap();
    let record = store.get(&id).await.unwrap().unwrap();
    assert_eq!((record.version, record.name.as_str()), (3, "CI"));
    assert_eq!(events(&store).await.len(), 1);
    let settings = store.abilities().settings.unwrap();
    assert_eq!(settings.read("name").await.unwrap().unwrap(), b"value");
    assert_eq!(usage(&store).of_keys(&[id]).await.unwrap(), [None]);
    usage(&store).add(&batch(1, &[id])).await.unwrap();
    assert_counted(&store, &[id], 1).await;
    let again = place.open_with_own_pool().await;
    assert_counted(&again, &[id], 1).await;
}

#[tokio::test]
async fn a_table_that_is_missing_is_named_and_the_rest_goes_on() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let record = record();
    insert(&store, &record).await.unwrap();
    place.run("DROP TABLE keygate_usage_scopes").await;
    for error in [
        usage(&store)
            .add(&batch(1, &[record.id]))
            .await
            .unwrap_err(),
        usage(&store).of_keys(&[record.id]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Unavailable);
        let shown = explain(&error);
        assert!(shown.contains("keygate_usage_scopes"), "{shown}");
    }
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_role_that_may_only_read_is_told_which_table_it_may_not_write() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let record = record();
    insert(&store, &record).await.unwrap();
    usage(&store).add(&batch(1, &[record.id])).await.unwrap();
    let role = format!("reader_of_{}", place.url.rsplit('/').next().unwrap());
    place
        .run(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
    let url = place.url.replace("postgres@", &format!("{role}@"));
    let reader = PostgresStore::connect(&url).await.unwrap();
    assert_eq!(reader.get(&record.id).await.unwrap(), Some(record.clone()));
    assert_counted(&reader, &[record.id], 1).await;
    for refused in [
        usage(&reader).add(&batch(2, &[record.id])).await,
        usage(&reader).forget_before(today()).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), Unavailable);
        let shown = explain(&error);
        assert!(shown.contains("denied for table keygate_usage"), "{shown}");
    }
    assert_counted(&store, &[record.id], 1).await;
}

/// As when an answer was late, and the first attempt is still at work.

#[tokio::test]
async fn usage_takes_no_lock_on_a_key_raises_no_version_and_tells_nobody() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let other = place.open_with_own_pool().await;
    let first = full_record();
    insert(&store, &first).await.unwrap();
    let following = Following::live(&other).await;
    let mut hand = place.by_hand().await;
    run(
        &mut hand,
        "LISTEN told; BEGIN; LOCK TABLE keygate_keys, keygate_audit",
    )
    .await
    .unwrap();
    for sequence in 1..=3 {
        let next = batch(sequence, &[first.id]);
        let added = timeout(millis(1_500), usage(&store).add(&next));
        added.await.unwrap().unwrap();
    }
    usage(&store).forget_before(today()).await.unwrap();
    run(&mut hand, "COMMIT").await.unwrap();
    assert_counted(&other, &[first.id], 3).await;
    // What is told after that comes after it.
    let second = record();
    insert(&store, &second).await.unwrap();
    following.until(Heard::Changed(second.id)).await;
    assert!(!following.ears.has(Heard::Changed(first.id)));
    assert_eq!(store.get(&first.id).await.unwrap(), Some(first));
    assert_eq!(events(&store).await.len(), 2);
}

#[tokio::test]
async fn owners_are_in_the_order_of_their_bytes_wherever_texts_are_not() {
    let Some(server) = shared_server() else {
        return;
    };
    let has_languages = "SELECT FROM pg_collation WHERE collname = 'en-x-icu'
        AND current_setting('server_version_num')::integer >= 150000";
    let found = run(&mut server.by_hand().await, has_languages).await;
    if found.unwrap().is_empty() {
        println!("skipped: this server sorts texts by their bytes alone");
        return;
    }
    let options = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'";
    let made = format!("by_language {options}");
    server.make_database(&made).await;
    let store = Place::at(&server.url_of("by_language")).open().await;
    let owners = ["", "B", "Z", "a", "b", "z", "ä"];
    let mut batch = batch(1, &new_ids(owners.len()));
    for (entry, owner) in batch.entries.iter_mut().zip(owners) {
        entry.owner = owner.into();
        let scopes = ["B", "a"].map(|scope| ScopeUsage {
            scope: scope.into(),
            ..entry.usage.scopes[0].clone()
        });
        entry.usage.scopes = scopes.into();
    }
    usage(&store).add(&batch).await.unwrap();
    let mut after = None;
    for owner in owners {
        let page = usage(&store).owners_on(today(), after, 1).await.unwrap();
        assert_eq!(page[0].owner, owner);
        after = Some(owner);
    }
    let found = usage(&store).of_keys(&[batch.entries[0].key_id]).await;
    let found = found.unwrap().remove(0).unwrap();
    assert_eq!(found, batch.entries[0].usage);
}

#[tokio::test]
async fn without_a_feed_usage_is_kept_all_the_same() {
    let Some(place) = Place::new().await else {
        return;
    };
    let pool = PostgresStore::pool(&place.url).unwrap();
    let builder = PostgresStore::builder(pool).through_transaction_pooler();
    let store = builder.open().await.unwrap();
    assert!(store.abilities().change_feed.is_none());
    can_be_kept(&store).await;
}

#[tokio::test]
async fn instances_are_remembered_for_a_month() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    let ids = new_ids(1);
    for instance in 1..=4 {
        let batch = UsageBatch {
            instance,
            ..batch(9, &ids)
        };
        usage(&store).add(&batch).await.unwrap();
    }
    for (instance, age) in [(1, "33 days"), (2, "31 days"), (3, "33 days")] {
        place
            .run(&format!(
                "UPDATE keygate_usage_batches SET added_at = now() - interval '{age}'
                 WHERE instance = lpad('{instance}', 32, '0')::uuid"
            ))
            .await;
    }
    // One that comes back after longer than that finds what it added last.
    for instance in [3, 2] {
        let batch = UsageBatch {
            instance,
            ..batch(9, &ids)
        };
        usage(&store).add(&batch).await.unwrap();
        assert_counted(&store, &ids, 4).await;
    }
    let next = UsageBatch {
        instance: 4,
        ..batch(10, &ids)
    };
    usage(&store).add(&next).await.unwrap();
    assert_counted(&store, &ids, 5).await;
    let left = "SELECT FROM keygate_usage_batches WHERE instance IN
        (lpad('2', 32, '0')::uuid, lpad('4', 32, '0')::uuid)";
    assert_eq!(place.run(left).await.len(), 2);
    let all = place.run("SELECT FROM keygate_usage_batches").await;
    assert_eq!(all.len(), 2);
}

/// What is added to a day that is being forgotten waits for that, which does not wait for it.

#[tokio::test]
async fn a_damaged_row_is_named_and_hides_no_other_key() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    for (table, set, column) in [
        ("usage", "requests = -1", "requests"),
        ("usage", "last_used_at = 'infinity'", "last_at"),
        ("usage_scopes", "requests = -1", "requests"),
        ("usage_scopes", "last_at = '-infinity'", "last_at"),
        ("usage_secrets", "created_at = 'infinity'", "created_at"),
        ("usage_days", "requests = -1", "requests"),
    ] {
        let table = format!("keygate_{table}");
        crate::damage::unguard(&place, &table).await;
        let [damaged, sound] = [(); 2].map(|()| KeyId::generate().unwrap());
        let bytes = damaged.as_str().bytes();
        let batch = UsageBatch {
            instance: bytes.fold(0, |number, byte| number << 8 | u128::from(byte)),
            ..batch(1, &[damaged, sound])
        };
        usage(&store).add(&batch).await.unwrap();
        let spoil = format!("UPDATE {table} SET {set} WHERE key_id = '{damaged}'");
        place.run(&spoil).await;
        let outcome = match table.ends_with("days") {
            true => {
                let days = usage(&store).days_of_key(&damaged, today()..=today());
                days.await.map(|days| assert_eq!(days, []))
            }
            false => usage(&store).of_keys(&[damaged]).await.map(drop),
        };
        assert_counted(&store, &[sound], 1).await;
        // A sum that is nothing or less is no request.
        if table.ends_with("days") {
            outcome.unwrap();
            continue;
        }
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Corrupt, "{table} {set}");
        let shown = explain(&error);
        let named = shown.contains(damaged.as_str()) && shown.contains(column);
        assert!(named, "{shown}");
    }
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_of_usage() {
    let Some(server) = PostgresServer::start_with(&[
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_nested_statements=on",
    ]) else {
        return;
    };
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    run(
        &mut server.by_hand().await,
        "INSERT INTO keygate_usage SELECT lpad(n::text, 12, '0'), 1, now()
         FROM generate_series(1, 20000) AS n;
         INSERT INTO keygate_usage_days
         SELECT lpad(n::text, 12, '0'), date '2020-01-01' + n % 100, 'owner_' || n % 1000, 1
         FROM generate_series(1, 20000) AS n;
         INSERT INTO keygate_usage_scopes
         SELECT lpad(n::text, 12, '0'), 'a', false, 1, now() FROM generate_series(1, 20000) AS n;
         INSERT INTO keygate_usage_secrets
         SELECT lpad(n::text, 12, '0'), now(), 1, now() FROM generate_series(1, 20000) AS n;
         INSERT INTO keygate_usage_batches
         SELECT lpad(n::text, 32, '0')::uuid, 1, now() FROM generate_series(1, 20000) AS n;
         ANALYZE",
    )
    .await
    .unwrap();
    let begin = server.log().len();
    let ids: Vec<KeyId> = (1..=100)
        .map(|n| format!("{n:012}").parse().unwrap())
        .collect();
    let day = Day::of("2020-02-01T00:00:00.000Z".parse().unwrap());
    // More often than a plan is made for the values at hand.
    for sequence in 2..=8 {
        usage(&store).add(&batch(sequence, &ids)).await.unwrap();
        let found = usage(&store).of_keys(&ids).await.unwrap();
        assert!(found.iter().all(Option::is_some));
        let of_key = usage(&store).days_of_key(&ids[30], day..=today());
        assert!(!of_key.await.unwrap().is_empty());
        let of_owner = usage(&store).days_of_owner("owner_31", day..=today());
        assert_eq!(of_owner.await.unwrap().len(), 1);
        for after in [None, Some("owner_0")] {
            let owners = usage(&store).owners_on(day, after, 5).await.unwrap();
            assert_eq!(owners.len(), 5);
        }
        let forgotten = Day::of("2020-01-01T00:00:00.000Z".parse().unwrap());
        usage(&store).forget_before(forgotten).await.unwrap();
    }
    let whole = server.log();
    let plans = &whole[begin..];
    let seq_scans: BTreeSet<&str> = plans
        .lines()
        .filter(|line| line.contains("Seq Scan on") && line.contains("keygate_"))
        .collect();
    assert!(seq_scans.is_empty(), "{seq_scans:?}\n{plans}");
    for index in ["usage_of_owner ", "usage_on_day ", "usage_batches_at "] {
        assert!(plans.contains(index), "{index}\n{plans}");
    }
}
