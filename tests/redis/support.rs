use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keygate::audit::{Actor, AuditAction, AuditEvent};
use keygate::store::{AuditQuery, Expect, Listed, Page, Write};
use keygate::{
    KeyId, KeyRecord, KeyStore, Mac, PepperId, RedisStore, Revocation, ScopeSet, SecretSlot,
    Secrets, StoreError, StoreErrorKind, Timestamp,
};

pub(crate) use crate::servers::redis::RedisServer;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server for a test, or the end of the test where none is installed.
macro_rules! server {
    ($($argument:expr),*) => {
        match $crate::support::RedisServer::start_with(&[$($argument),*]) {
            Some(server) => server,
            None => return,
        }
    };
}
pub(crate) use server;

pub(crate) async fn open(server: &RedisServer) -> RedisStore {
    RedisStore::connect(&server.url()).await.unwrap()
}

/// What the key of a record is called.
pub(crate) fn key_of(id: &KeyId) -> String {
    format!("{{keygate}}:key:{id}")
}

/// Runs a command that is written as for `redis-cli`, with single spaces.
pub(crate) async fn type_in(server: &RedisServer, line: &str) -> ::redis::Value {
    let mut words = line.split(' ');
    let mut command = ::redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command
        .query_async(&mut server.by_hand().await)
        .await
        .unwrap()
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis).unwrap()
}

pub(crate) fn record() -> KeyRecord {
    KeyRecord {
        id: KeyId::generate().unwrap(),
        prefix: "acme_live".parse().unwrap(),
        name: "CI".into(),
        owner: "org_42".into(),
        scopes: ScopeSet::parse(["orders:read"]).unwrap(),
        metadata: BTreeMap::new(),
        created_at: at(1_700_000_000_001),
        expires_at: None,
        disabled_at: None,
        revocation: None,
        allowed_ips: Vec::new(),
        rate_limit: None,
        secrets: Secrets {
            current: SecretSlot {
                mac: Mac::from_bytes([7; 32]),
                pepper: PepperId(1),
                created_at: at(5),
                not_after: None,
            },
            previous: None,
        },
        version: 1,
    }
}

pub(crate) fn next_version(record: &KeyRecord) -> KeyRecord {
    KeyRecord {
        version: record.version + 1,
        ..record.clone()
    }
}

pub(crate) fn revoked(record: &KeyRecord) -> KeyRecord {
    KeyRecord {
        revocation: Some(Revocation {
            at: at(8),
            reason: "leaked".into(),
        }),
        ..next_version(record)
    }
}

pub(crate) fn event(record: &KeyRecord, action: AuditAction) -> AuditEvent {
    AuditEvent {
        at: at(3),
        action,
        key_id: Some(record.id),
        owner: Some(record.owner.clone()),
        actor: Actor::Host,
        address: None,
        changes: Vec::new(),
        requests: None,
    }
}

pub(crate) async fn insert(store: &RedisStore, record: &KeyRecord) -> Result<(), StoreError> {
    write(store, Expect::Absent, record).await
}

/// Writes over the version before `record`'s.
pub(crate) async fn update(store: &RedisStore, record: &KeyRecord) -> Result<(), StoreError> {
    write(store, Expect::Version(record.version - 1), record).await
}

/// A write with one audit event.
pub(crate) async fn write(
    store: &RedisStore,
    expect: Expect,
    record: &KeyRecord,
) -> Result<(), StoreError> {
    let change = Write {
        expect,
        record,
        audit: &[event(record, AuditAction::Changed)],
    };
    store.write(change).await
}

pub(crate) async fn events(store: &RedisStore) -> Vec<AuditEvent> {
    let query = AuditQuery {
        limit: usize::MAX,
        ..AuditQuery::new()
    };
    let log = store.abilities().audit_log.unwrap();
    log.events(&query).await.unwrap().events
}

pub(crate) fn kind<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> StoreErrorKind {
    outcome.unwrap_err().kind()
}

/// The error with its causes, as a log shows it.
pub(crate) fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Waits until it is so, for as long as a slow machine may take.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until it succeeds.
pub(crate) async fn eventually_ok<T>(
    what: &str,
    attempt: impl AsyncFn() -> Result<T, StoreError>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(
                Instant::now() < deadline,
                "not within {PATIENCE:?}: {what}: {}",
                explain(&error)
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn listed(store: &RedisStore, owner: Option<&str>) -> Listed {
    let page = Page {
        owner,
        after: None,
        limit: 100,
    };
    store.list(&page).await.unwrap()
}
