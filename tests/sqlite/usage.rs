//! What is counted of keys: over restarts, locks and kills, and as it lies in the tables.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use keygate::store::{
    DayTotal, KeyUsage, OwnerTotal, ScopeUsage, SecretUsage, UsageBatch, UsageEntry, UsageStore,
};
use keygate::{Day, KeyId, KeyStore, SqliteStore, StoreErrorKind};

use crate::crash::{child, childs_path, random_delay};
use crate::feed::{Ear, following};
use crate::support::*;

/// 2026-11-25
const DAY: u32 = 20_782;

fn usage(store: &SqliteStore) -> &dyn UsageStore {
    store.abilities().usage.unwrap()
}

fn ids(count: usize) -> Vec<KeyId> {
    let id = |n| format!("{n:012}").parse().unwrap();
    (0..count).map(id).collect()
}

fn day(number: u32) -> Day {
    Day::from_days_since_1970(number)
}

/// Something in every field, and `requests` in each of them.
fn used(requests: u64) -> KeyUsage {
    let scope = |scope: &str| ScopeUsage {
        scope: scope.into(),
        requests,
        last_at: at(1_795_615_200_500),
    };
    KeyUsage {
        requests,
        last_used_at: at(1_795_615_200_500),
        last_used_from: Some([203, 0, 113, 7].into()),
        scopes: vec![scope("orders:read")],
        lacked: vec![scope("orders:write")],
        secrets: vec![SecretUsage {
            created_at: at(5),
            requests,
            last_used_at: at(1_795_615_200_500),
        }],
    }
}

/// One request of each of the keys, by the process `instance`.
fn batch(instance: u128, sequence: u64, ids: &[KeyId]) -> UsageBatch {
    let entry = |id: &KeyId| UsageEntry {
        key_id: *id,
        owner: "org_42".into(),
        day: day(DAY),
        usage: used(1),
    };
    UsageBatch {
        instance,
        sequence,
        entries: ids.iter().map(entry).collect(),
    }
}

async fn of_keys(store: &SqliteStore, ids: &[KeyId]) -> Vec<Option<KeyUsage>> {
    usage(store).of_keys(ids).await.unwrap()
}

#[tokio::test]
async fn what_was_added_outlives_the_process_and_so_does_its_sequence() {
    let place = Place::new();
    let ids = ids(2);
    for _ in 0..3 {
        let store = place.open().await;
        usage(&store).add(&batch(1, 7, &ids)).await.unwrap();
        assert_eq!(of_keys(&store, &ids).await, [Some(used(1)), Some(used(1))]);
    }
}

#[tokio::test]
async fn a_read_sees_each_batch_of_another_process_whole() {
    let place = Place::new();
    let (ours, theirs) = (place.open().await, place.open().await);
    let ids = ids(200);
    let all = ids.clone();
    let adding = tokio::spawn(async move {
        for sequence in 1..=100 {
            usage(&theirs).add(&batch(1, sequence, &all)).await.unwrap();
        }
    });
    let mut seen = Vec::new();
    while seen.last() != Some(&Some(used(100))) {
        seen = of_keys(&ours, &ids).await;
        let whole = seen.iter().all(|usage| *usage == seen[0]);
        assert!(whole, "{:?} and {:?}", seen.first(), seen.last());
    }
    adding.await.unwrap();
}

#[tokio::test]
async fn batches_are_no_news_and_stop_no_heartbeat() {
    let place = Place::new();
    let (ours, theirs) = (place.open().await, place.open().await);
    let record = record();
    insert(&ours, &record).await.unwrap();
    let ear = Ear::default();
    following(&ours, &ear, async {
        let news = ear.news_of(async {
            for sequence in 1..=20 {
                for (instance, store) in [(1, &ours), (2, &theirs)] {
                    let batch = batch(instance, sequence, &[record.id]);
                    usage(store).add(&batch).await.unwrap();
                }
            }
            usage(&theirs).forget_before(day(DAY + 1)).await.unwrap();
        });
        assert_eq!(news.await, []);
    })
    .await;
    assert_eq!(ours.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn while_another_process_writes_usage_is_read_and_an_add_can_be_repeated() {
    let place = Place::new();
    let store = place.open().await;
    let ids = ids(1);
    usage(&store).add(&batch(1, 1, &ids)).await.unwrap();
    let hand = place.by_hand();
    hand.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (next, started) = (batch(1, 2, &ids), Instant::now());
    let (added, read, forgotten) = tokio::join!(
        usage(&store).add(&next),
        of_keys(&store, &ids),
        usage(&store).forget_before(day(DAY)),
    );
    assert_eq!(kind(added), StoreErrorKind::Unavailable);
    assert_eq!(read, [Some(used(1))]);
    assert_eq!(kind(forgotten), StoreErrorKind::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(10));
    hand.execute_batch("ROLLBACK").unwrap();
    for _ in 0..2 {
        usage(&store).add(&next).await.unwrap();
        assert_eq!(of_keys(&store, &ids).await, [Some(used(2))]);
    }
}

#[tokio::test]
async fn an_instance_is_forgotten_a_month_after_its_last_batch() {
    let place = Place::new();
    let store = place.open().await;
    let ids = ids(1);
    for instance in [1, 2, 3] {
        usage(&store).add(&batch(instance, 1, &ids)).await.unwrap();
    }
    let hand = place.by_hand();
    let age = "UPDATE keygate_usage_batches SET added_at = (unixepoch() - ?2 * 86400) * 1000
        WHERE instance = ?1";
    for (instance, days) in [(1, 33), (2, 31)] {
        let aged = hand.execute(age, (format!("{instance:032x}"), days));
        assert_eq!(aged.unwrap(), 1);
    }
    // One that is added again after that long is told from a new one by its row alone.
    usage(&store).add(&batch(2, 1, &ids)).await.unwrap();
    let left = "SELECT group_concat(instance) FROM keygate_usage_batches";
    let left: String = hand.query_row(left, (), |row| row.get(0)).unwrap();
    assert_eq!(left, format!("{:032x},{:032x}", 2, 3));
    assert_eq!(of_keys(&store, &ids).await, [Some(used(3))]);
    // What it adds last is what counts.
    usage(&store).add(&batch(2, 2, &ids)).await.unwrap();
    let fresh = "SELECT count(*) FROM keygate_usage_batches
        WHERE added_at > (unixepoch() - 3600) * 1000";
    let fresh: i64 = hand.query_row(fresh, (), |row| row.get(0)).unwrap();
    assert_eq!(fresh, 2);
}

#[tokio::test]
async fn a_sequence_beyond_the_range_of_sqlite_is_refused_and_counts_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let ids = ids(1);
    for sequence in [1 << 63, u64::MAX] {
        let refused = usage(&store).add(&batch(1, sequence, &ids)).await;
        assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    }
    assert_eq!(of_keys(&store, &ids).await, [None]);
}

#[tokio::test]
async fn more_days_than_are_deleted_at_once_are_forgotten() {
    let place = Place::new();
    let store = place.open().await;
    let mut all = batch(1, 1, &ids(12_000));
    for (n, entry) in all.entries.iter_mut().enumerate() {
        entry.owner = format!("org_{}", n / 2);
    }
    let kept = all.entries[0].clone();
    all.entries.push(UsageEntry {
        day: day(DAY + 1),
        ..kept
    });
    usage(&store).add(&all).await.unwrap();
    usage(&store).forget_before(day(DAY + 1)).await.unwrap();
    let hand = place.by_hand();
    for table in ["keygate_usage_days", "keygate_usage_owners"] {
        let left = format!("SELECT group_concat(day) FROM {table}");
        let left: String = hand.query_row(&left, (), |row| row.get(0)).unwrap();
        assert_eq!(left, "2026-11-26", "{table}");
    }
    let store = usage(&store);
    let owners = store.owners_on(day(DAY + 1), None, 10).await.unwrap();
    let total = OwnerTotal {
        owner: "org_0".into(),
        requests: 1,
    };
    assert_eq!(owners, [total]);
}

#[tokio::test]
async fn the_tables_can_be_read_by_hand() {
    let place = Place::new();
    let store = place.open().await;
    let (busy, idle) = (record(), record());
    for record in [&busy, &idle] {
        insert(&store, record).await.unwrap();
    }
    usage(&store).add(&batch(1, 1, &[busy.id])).await.unwrap();
    let hand = place.by_hand();
    let read = |sql: &str| -> String { hand.query_row(sql, (), |row| row.get(0)).unwrap() };
    // As the schema says.
    let unused = "SELECT id FROM keygate_keys WHERE id NOT IN
        (SELECT key_id FROM keygate_usage WHERE last_used_at > (unixepoch() - 90 * 86400) * 1000)";
    hand.execute(
        "UPDATE keygate_usage SET last_used_at = unixepoch() * 1000",
        (),
    )
    .unwrap();
    assert_eq!(read(unused), idle.id.as_str());
    assert_eq!(
        read(
            "SELECT concat_ws(' ', scope, requests, datetime(last_at / 1000, 'unixepoch'))
             FROM keygate_usage_scopes WHERE NOT lacked"
        ),
        "orders:read 1 2026-11-25 14:00:00"
    );
    for (sql, shown) in [
        ("SELECT last_used_from FROM keygate_usage", "203.0.113.7"),
        (
            "SELECT scope FROM keygate_usage_scopes WHERE lacked",
            "orders:write",
        ),
        (
            "SELECT concat_ws(' ', day, requests) FROM keygate_usage_days",
            "2026-11-25 1",
        ),
        (
            "SELECT concat_ws(' ', day, owner) FROM keygate_usage_owners",
            "2026-11-25 org_42",
        ),
        (
            "SELECT CAST(created_at AS TEXT) FROM keygate_usage_secrets",
            "5",
        ),
    ] {
        assert_eq!(read(sql), shown, "{sql}");
    }
}

#[tokio::test]
async fn damage_to_what_was_counted_is_named() {
    let id = &ids(1)[0];
    for (table, column, value, of) in [
        ("keygate_usage", "requests", "-1", "key"),
        ("keygate_usage", "last_used_at", "-1", "key"),
        ("keygate_usage", "last_used_from", "'here'", "key"),
        (
            "keygate_usage_scopes",
            "scope",
            "CAST(x'ff' AS TEXT)",
            "key",
        ),
        ("keygate_usage_scopes", "last_at", "253402300800000", "key"),
        ("keygate_usage_secrets", "created_at", "-1", "key"),
        ("keygate_usage_days", "day", "'2026-11-31'", "key"),
        ("keygate_usage_days", "requests", "-1", "key"),
        ("keygate_usage_owners", "day", "'2026-11-31'", "owner"),
        (
            "keygate_usage_owners",
            "owner",
            "CAST(x'ff' AS TEXT)",
            "owners",
        ),
    ] {
        let place = Place::new();
        let store = place.open().await;
        usage(&store).add(&batch(1, 1, &[*id])).await.unwrap();
        let hand = place.by_hand();
        hand.execute_batch(&format!(
            "PRAGMA ignore_check_constraints = ON; UPDATE OR REPLACE {table} SET {column} = {value}"
        ))
        .unwrap();
        let days = day(0)..=day(u32::MAX);
        let usage = usage(&store);
        let error = match (table, of) {
            ("keygate_usage_days", _) => usage.days_of_key(id, days).await.unwrap_err(),
            (_, "owner") => usage.days_of_owner("org_42", days).await.unwrap_err(),
            (_, "owners") => usage.owners_on(day(DAY), None, 9).await.unwrap_err(),
            _ => usage.of_keys(&[*id]).await.unwrap_err(),
        };
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{table} {column}");
        let shown = explain(&error);
        let named = match of {
            "key" => format!("the usage of key {id}: "),
            "owner" => "the usage of owner \"org_42\": ".into(),
            _ => "the usage of owners on 2026-11-25: ".into(),
        };
        let told = shown.contains(&named) && shown.contains(&format!("column {column}"));
        assert!(told, "{table}: {shown}");
    }
}

#[tokio::test]
#[ignore = "a process of the next test"]
async fn child_that_counts_until_it_is_killed() {
    let store = SqliteStore::open(childs_path()).await.unwrap();
    let ids = ids(50);
    for sequence in 1.. {
        usage(&store).add(&batch(7, sequence, &ids)).await.unwrap();
        println!("\ncounted {sequence}");
    }
}

/// The recorder of a process that was killed is gone, so what it did not add is lost. What it did,
/// counts once, whether it heard of it or not.
#[tokio::test]
async fn a_kill_between_batches_or_within_one_leaves_each_whole_and_counted_once() {
    for round in 0..6 {
        let place = Place::new();
        let mut process = child("usage::child_that_counts_until_it_is_killed", &place)
            .spawn()
            .unwrap();
        let delay = random_delay();
        println!("round {round}: killed after {delay:?} of counting");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut told = lines.filter_map(|line| {
            let sequence = line.unwrap().strip_prefix("counted ")?.parse().unwrap();
            Some::<u64>(sequence)
        });
        let mut last = told.next().unwrap();
        std::thread::sleep(delay);
        process.kill().unwrap();
        process.wait().unwrap();
        last = told.last().unwrap_or(last);

        let store = place.open().await;
        let ids = ids(50);
        let kept = of_keys(&store, &ids).await;
        let requests = kept[0].as_ref().unwrap().requests;
        assert!([last, last + 1].contains(&requests), "{requests} of {last}");
        assert!(kept.iter().all(|usage| *usage == Some(used(requests))));
        // The one that nobody was told of.
        usage(&store).add(&batch(7, last + 1, &ids)).await.unwrap();
        let sum = Some(used(last + 1));
        assert!(
            of_keys(&store, &ids)
                .await
                .iter()
                .all(|usage| *usage == sum)
        );
        let days = usage(&store).days_of_owner("org_42", day(0)..=day(u32::MAX));
        let total = DayTotal {
            day: day(DAY),
            requests: 50 * (last + 1),
        };
        assert_eq!(days.await.unwrap(), [total]);
    }
}
