//! How keys are used, past the clauses of the contract.

mod counts;
mod damage;
mod faults;

use std::collections::BTreeMap;
use std::net::IpAddr;

use keygate::store::{
    DayTotal, KeyUsage, OwnerTotal, ScopeUsage, SecretUsage, UsageBatch, UsageEntry, UsageStore,
};
use keygate::{Day, KeyId, KeyStore, RedisStore};

use crate::support::*;

/// 2026-11-25.
const TODAY: u32 = 20_782;

fn today() -> Day {
    Day::from_days_since_1970(TODAY)
}

fn usage_of(store: &RedisStore) -> &dyn UsageStore {
    store.abilities().usage.unwrap()
}

/// So many requests at a moment.
fn used(requests: u64, at_millis: i64) -> KeyUsage {
    KeyUsage {
        requests,
        last_used_at: at(at_millis),
        last_used_from: None,
        scopes: Vec::new(),
        lacked: Vec::new(),
        secrets: Vec::new(),
    }
}

fn entry(id: &KeyId, owner: &str, day: Day, usage: KeyUsage) -> UsageEntry {
    UsageEntry {
        key_id: *id,
        owner: owner.into(),
        day,
        usage,
    }
}

fn batch(instance: u128, sequence: u64, entries: Vec<UsageEntry>) -> UsageBatch {
    UsageBatch {
        instance,
        sequence,
        entries,
    }
}

/// A batch is added without an error.
async fn add(store: &RedisStore, batch: &UsageBatch) {
    usage_of(store).add(batch).await.unwrap();
}

async fn requests_of(store: &RedisStore, id: &KeyId) -> u64 {
    let found = usage_of(store).of_keys(&[*id]).await.unwrap();
    found[0].as_ref().map_or(0, |usage| usage.requests)
}

async fn owners(store: &RedisStore, day: Day) -> Vec<OwnerTotal> {
    let owners = usage_of(store).owners_on(day, None, usize::MAX);
    owners.await.unwrap()
}

/// Every request that a store of usage knows, with what must come of it.
pub(crate) async fn use_everything(store: &RedisStore) {
    let (usage, id) = (usage_of(store), record().id);
    let counted = everything_used();
    let days = [today().earlier(1), today()];
    let entries = days.map(|day| entry(&id, "org_42", day, counted.clone()));
    usage.add(&batch(7, 1, entries.into())).await.unwrap();
    assert_eq!(requests_of(store, &id).await, 2 * counted.requests);
    usage.forget_before(today()).await.unwrap();
    let left = [DayTotal {
        day: today(),
        requests: counted.requests,
    }];
    let all = days[0]..=days[1];
    assert_eq!(usage.days_of_key(&id, all.clone()).await.unwrap(), left);
    assert_eq!(usage.days_of_owner("org_42", all).await.unwrap(), left);
    assert_eq!(owners(store, today()).await.len(), 1);
}

fn scope(scope: &str, requests: u64, last_at: i64) -> ScopeUsage {
    ScopeUsage {
        scope: scope.into(),
        requests,
        last_at: at(last_at),
    }
}

/// Something in every field.
fn everything_used() -> KeyUsage {
    KeyUsage {
        last_used_from: Some("192.0.2.7".parse::<IpAddr>().unwrap()),
        scopes: vec![scope("orders:read", 2, 7)],
        lacked: vec![scope("orders:write", 1, 6)],
        secrets: vec![SecretUsage {
            created_at: at(5),
            requests: 3,
            last_used_at: at(7),
        }],
        ..used(3, 7)
    }
}

/// What each key of Redis holds.
async fn everything(server: &RedisServer) -> BTreeMap<String, String> {
    let keys: Vec<String> = ::redis::from_redis_value(type_in(server, "KEYS *").await).unwrap();
    let mut everything = BTreeMap::new();
    for key in keys {
        let held = format!("{:?}", type_in(server, &format!("DUMP {key}")).await);
        everything.insert(key, held);
    }
    everything
}

async fn fields(server: &RedisServer, key: &str) -> BTreeMap<String, String> {
    ::redis::from_redis_value(type_in(server, &format!("HGETALL {key}")).await).unwrap()
}
