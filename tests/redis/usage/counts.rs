//! What is counted, where it lies, and how it is forgotten.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use keygate::store::{DayTotal, KeyUsage};
use keygate::{Day, KeyId, StoreErrorKind};

use super::*;
use crate::support::*;

#[tokio::test]
async fn it_lies_in_redis_as_it_is_documented() {
    let server = server!();
    let store = open(&server).await;
    let id = record().id;
    let entries = vec![entry(&id, "org_42", today(), everything_used())];
    add(&store, &batch(255, 9, entries)).await;
    let texts = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(field, value)| (field.to_string(), value.to_string()));
        pairs.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        fields(&server, &format!("{{keygate}}:usage:key:{id}")).await,
        texts(&[
            ("requests", "3"),
            ("last_used_at", "7"),
            ("last_used_from", "192.0.2.7"),
            ("scope:orders:read", "2 7"),
            ("lacked:orders:write", "1 6"),
            ("secret:5", "3 7"),
        ])
    );
    assert_eq!(
        fields(&server, "{keygate}:usage:day:2026-11-25:keys").await,
        texts(&[(id.as_str(), "3")])
    );
    assert_eq!(
        fields(&server, "{keygate}:usage:day:2026-11-25:owners").await,
        texts(&[("org_42", "3")])
    );
    let expected: [(&str, &[&str]); 2] = [
        ("day:2026-11-25:owners:index", &["org_42", "0"]),
        ("days", &["2026-11-25", "20782"]),
    ];
    for (name, members) in expected {
        let range = format!("ZRANGE {{keygate}}:usage:{name} 0 -1 WITHSCORES");
        let found: Vec<String> = ::redis::from_redis_value(type_in(&server, &range).await).unwrap();
        assert_eq!(found, members);
    }
    let instance = "{keygate}:usage:instance:000000000000000000000000000000ff";
    let sequence = type_in(&server, &format!("GET {instance}")).await;
    assert_eq!(::redis::from_redis_value::<String>(sequence).unwrap(), "9");
    assert_eq!(everything(&server).await.len(), 6);
}

/// A process that was suspended for a month may still add its batch again.
#[tokio::test]
async fn the_last_batch_of_an_instance_is_kept_for_two_months_after_it() {
    let server = server!();
    let store = open(&server).await;
    let instance = format!("{{keygate}}:usage:instance:{:032x}", 7);
    for sequence in [1, 2] {
        let added = batch(7, sequence, Vec::new());
        add(&store, &added).await;
        let seconds = type_in(&server, &format!("TTL {instance}")).await;
        let seconds: i64 = ::redis::from_redis_value(seconds).unwrap();
        let day = 24 * 60 * 60;
        assert!((59 * day..=60 * day).contains(&seconds), "{seconds}");
        type_in(&server, &format!("EXPIRE {instance} 100")).await;
    }
}

/// Sums are made of decimal texts, and are those of [`KeyUsage::add`].
#[tokio::test]
async fn counts_of_any_size_are_exact_and_end_where_64_bits_do() {
    let server = server!();
    let store = open(&server).await;
    let edge = 1 << 53;
    let mut cases: Vec<[u64; 2]> = vec![
        [edge - 1, 1],
        [edge, 1],
        [edge - 1, edge - 2],
        [999_999_999, edge],
        [1 << 62, (1 << 62) + 1],
        [i64::MAX as u64, 1],
        [u64::MAX - 1, 1],
        [u64::MAX - 1_000_000_007, 1_000_000_006],
        [u64::MAX, 1],
        [1, u64::MAX],
        [u64::MAX, u64::MAX],
    ];
    let seed = RandomState::new().hash_one("");
    println!("seed {seed}");
    let mut state = seed;
    for _ in 0..200 {
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.rotate_right(29) >> (state % 40)
        };
        cases.push([next(), next()]);
    }
    for (number, [one, other]) in cases.into_iter().enumerate() {
        let id = record().id;
        for (sequence, requests) in [(1, one), (2, other)] {
            let counted = KeyUsage {
                scopes: vec![scope("a", requests, 1)],
                ..used(requests, 1)
            };
            let entries = vec![entry(&id, &format!("org_{number}"), today(), counted)];
            let added = batch(number as u128, sequence, entries);
            add(&store, &added).await;
        }
        let sum = one.saturating_add(other);
        let found = usage_of(&store).of_keys(&[id]).await.unwrap();
        let found = found[0].as_ref().unwrap();
        let days = today()..=today();
        let of_day = usage_of(&store).days_of_key(&id, days).await.unwrap();
        let counts = [found.requests, found.scopes[0].requests, of_day[0].requests];
        assert_eq!(counts, [sum; 3], "{one} + {other}");
    }
}

/// Sequences next to each other, which as floating-point numbers are the same.
#[tokio::test]
async fn large_sequences_are_told_apart() {
    let server = server!();
    let store = open(&server).await;
    let id = record().id;
    for (sequence, total) in [
        (9, 1),
        (10, 2),
        (u64::MAX - 1, 3),
        (u64::MAX, 4),
        (u64::MAX, 4),
        (u64::MAX - 1, 4),
        (11, 4),
    ] {
        let entries = vec![entry(&id, "org_42", today(), used(1, 1))];
        add(&store, &batch(7, sequence, entries)).await;
        assert_eq!(requests_of(&store, &id).await, total, "{sequence}");
    }
}

/// More of everything than one command takes at once.
#[tokio::test]
async fn a_batch_may_be_larger_than_the_stack_of_lua() {
    let server = server!();
    let store = open(&server).await;
    let busy = record().id;
    let many = |first: usize| (first..first + 5_000).map(|number| format!("scope_{number:05}"));
    let mut expected = used(2, 9);
    for (sequence, first) in [(1, 0), (2, 2_500)] {
        let counted = KeyUsage {
            scopes: many(first).map(|name| scope(&name, 1, 9)).collect(),
            ..used(1, 9)
        };
        let mut entries = vec![entry(&busy, "org_42", today(), counted)];
        for number in 0..5_000 {
            let id = format!("{number:012}").parse().unwrap();
            entries.push(entry(&id, &format!("org_{number}"), today(), used(2, 9)));
        }
        add(&store, &batch(7, sequence, entries)).await;
    }
    let twice = 2_500..5_000;
    expected.scopes = (0..7_500)
        .map(|number| {
            scope(
                &format!("scope_{number:05}"),
                1 + u64::from(twice.contains(&number)),
                9,
            )
        })
        .collect();
    let ids: Vec<KeyId> = (0..1_000)
        .map(|number| format!("{number:012}").parse().unwrap())
        .collect();
    let found = usage_of(&store)
        .of_keys(&[&[busy], &ids[..999]].concat())
        .await
        .unwrap();
    assert_eq!(found[0], Some(expected));
    assert!(
        found[1..]
            .iter()
            .all(|usage| usage.as_ref().is_some_and(|usage| usage.requests == 4))
    );
    let owners = owners(&store, today()).await;
    assert_eq!(owners.len(), 5_000);
    let requests: u64 = owners.iter().map(|owner| owner.requests).sum();
    assert_eq!(requests, 2 * (1 + 2 * 5_000));
}

/// More owners than one script reads at once.
#[tokio::test]
async fn pages_of_owners_are_longer_than_what_is_read_at_once() {
    let server = server!();
    let store = open(&server).await;
    let mut names: Vec<String> = (0..1_100).map(|number| format!("org {number}é")).collect();
    let entries = names
        .iter()
        .map(|name| entry(&record().id, name, today(), used(1, 1)));
    add(&store, &batch(7, 1, entries.collect())).await;
    names.sort();
    for limit in [0, 1, 499, 500, 501, 1_000, 1_090, 1_091, usize::MAX] {
        let found = usage_of(&store)
            .owners_on(today(), Some(&names[9]), limit)
            .await
            .unwrap();
        let found: Vec<String> = found.into_iter().map(|total| total.owner).collect();
        let end = limit.saturating_add(10).min(1_100);
        assert_eq!(found, names[10..end], "{limit}");
    }
}

/// More days than are forgotten at once.
#[tokio::test]
async fn of_days_that_are_forgotten_nothing_stays_behind() {
    let server = server!();
    let store = open(&server).await;
    let id = record().id;
    let days: Vec<Day> = (0..250).map(|back| today().earlier(back)).collect();
    let entries = days
        .iter()
        .map(|day| entry(&id, "org_42", *day, used(1, 1)));
    add(&store, &batch(7, 1, entries.collect())).await;
    usage_of(&store).forget_before(today()).await.unwrap();
    let left = [DayTotal {
        day: today(),
        requests: 1,
    }];
    let all = Day::from_days_since_1970(0)..=Day::from_days_since_1970(u32::MAX);
    assert_eq!(
        usage_of(&store)
            .days_of_key(&id, all.clone())
            .await
            .unwrap(),
        left
    );
    assert_eq!(
        usage_of(&store).days_of_owner("org_42", all).await.unwrap(),
        left
    );
    assert_eq!(requests_of(&store, &id).await, 250);
    // The key, its instance, the index of days, and a day's keys, owners and index of owners.
    assert_eq!(everything(&server).await.len(), 6);
    usage_of(&store).forget_before(today()).await.unwrap();
    assert_eq!(everything(&server).await.len(), 6);
}

#[tokio::test]
async fn what_is_counted_changes_no_record_and_is_told_to_nobody() {
    let server = server!();
    let store = open(&server).await;
    let (first, other) = (record(), record());
    insert(&store, &first).await.unwrap();
    insert(&store, &other).await.unwrap();
    let (ear, _following) = crate::feed::follow(&store).await;
    let before = fields(&server, &key_of(&first.id)).await;
    for sequence in 0..50 {
        let day = today().earlier(sequence as u32);
        let entries = vec![entry(&first.id, "org_42", day, everything_used())];
        add(&store, &batch(7, sequence, entries)).await;
    }
    usage_of(&store).of_keys(&[first.id]).await.unwrap();
    usage_of(&store).forget_before(today()).await.unwrap();
    assert_eq!(fields(&server, &key_of(&first.id)).await, before);
    // The feed tells of what is changed after it, and has told of nothing until then.
    update(&store, &next_version(&other)).await.unwrap();
    ear.next_beat().await;
    assert_eq!(ear.changes(), [crate::feed::Heard::Changed(other.id)]);
}

#[tokio::test]
async fn a_full_server_takes_no_batch_and_still_forgets() {
    let server = server!();
    let store = open(&server).await;
    let id = record().id;
    let yesterday = entry(&id, "org_42", today().earlier(1), used(1, 1));
    add(&store, &batch(7, 1, vec![yesterday])).await;
    type_in(&server, "CONFIG SET maxmemory 1").await;
    let second = batch(7, 2, vec![entry(&id, "org_42", today(), used(1, 2))]);
    let refused = usage_of(&store).add(&second).await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    assert_eq!(requests_of(&store, &id).await, 1);
    usage_of(&store).forget_before(today()).await.unwrap();
    assert!(owners(&store, today().earlier(1)).await.is_empty());
    type_in(&server, "CONFIG SET maxmemory 0").await;
    add(&store, &second).await;
    assert_eq!(requests_of(&store, &id).await, 2);
}
