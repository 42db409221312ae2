use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keygate::audit::{Actor, AuditAction, AuditEvent, FieldChange};
use keygate::store::{AuditQuery, Expect, Write};
use keygate::{
    KeyId, KeyRecord, KeyStore, Mac, PepperId, PostgresStore, RateLimit, Revocation, ScopeSet,
    SecretSlot, Secrets, StoreError, StoreErrorKind, Timestamp,
};
use sqlx::postgres::{PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, raw_sql};

pub(crate) use crate::servers::postgres::{PostgresServer, by_hand};

/// The server of all tests that break nothing. It ends with the test process.
pub(crate) fn shared_server() -> Option<&'static PostgresServer> {
    static SERVER: OnceLock<Option<PostgresServer>> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start).as_ref()
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// A schema of a database, for one test.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) schema: String,
    pool: PgPool,
}

impl Place {
    /// In a database of its own on the shared server, where there is one.
    pub(crate) async fn new() -> Option<Self> {
        let name = format!("place_{}", number());
        let url = shared_server()?.make_database(&name).await;
        Some(Self::at(&url))
    }

    pub(crate) fn at(url: &str) -> Self {
        Self {
            url: url.into(),
            schema: "public".into(),
            pool: PostgresStore::pool(url).unwrap(),
        }
    }

    /// Another schema of the same database.
    pub(crate) fn another_schema(&self) -> Self {
        Self {
            url: self.url.clone(),
            schema: format!("schema_{}", number()),
            pool: self.pool.clone(),
        }
    }

    /// On the pool of the place.
    pub(crate) async fn open(&self) -> PostgresStore {
        open(self.pool.clone(), &self.schema).await
    }

    pub(crate) async fn open_with_own_pool(&self) -> PostgresStore {
        open(PostgresStore::pool(&self.url).unwrap(), &self.schema).await
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection of somebody with `psql`, in the schema.
    pub(crate) async fn by_hand(&self) -> PgConnection {
        let mut hand = by_hand(&self.url).await;
        let path = format!("SET search_path = {}", self.schema);
        run(&mut hand, &path).await.unwrap();
        hand
    }

    /// Runs statements as somebody with `psql` would.
    pub(crate) async fn run(&self, sql: &str) -> Vec<PgRow> {
        run(&mut self.by_hand().await, sql).await.unwrap()
    }

    /// What refuses statements: the server's code and message.
    pub(crate) async fn refusal(&self, sql: &str) -> String {
        match run(&mut self.by_hand().await, sql).await {
            Err(sqlx::Error::Database(error)) => {
                format!("{} {}", error.code().unwrap(), error.message())
            }
            other => panic!("{sql}: {:?}", other.map(|rows| rows.len())),
        }
    }
}

pub(crate) async fn open(pool: PgPool, schema: &str) -> PostgresStore {
    let builder = PostgresStore::builder(pool).schema(schema);
    builder.open().await.unwrap()
}

pub(crate) async fn run(hand: &mut PgConnection, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
    raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(hand).await
}

/// A pool of so many connections, as a host would make it.
pub(crate) fn hosts_pool(url: &str, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy(url)
        .unwrap()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis).unwrap()
}

pub(crate) fn slot(byte: u8) -> SecretSlot {
    SecretSlot {
        mac: Mac::from_bytes([byte; 32]),
        pepper: PepperId(u32::from(byte)),
        created_at: at(5),
        not_after: None,
    }
}

/// A record that sets as little as it can.
pub(crate) fn record() -> KeyRecord {
    KeyRecord {
        id: KeyId::generate().unwrap(),
        prefix: "acme_live".parse().unwrap(),
        name: String::new(),
        owner: "org_42".into(),
        scopes: ScopeSet::default(),
        metadata: BTreeMap::new(),
        created_at: at(1_700_000_000_001),
        expires_at: None,
        disabled_at: None,
        revocation: None,
        allowed_ips: Vec::new(),
        rate_limit: None,
        secrets: Secrets {
            current: slot(1),
            previous: None,
        },
        version: 1,
    }
}

/// A record that sets everything but its end.
pub(crate) fn full_record() -> KeyRecord {
    KeyRecord {
        name: "CI".into(),
        scopes: ScopeSet::parse(["a:read,write", "b:**"]).unwrap(),
        metadata: BTreeMap::from([("plan".into(), "gold".into())]),
        expires_at: Some(Timestamp::MAX),
        disabled_at: Some(at(7)),
        allowed_ips: vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ],
        rate_limit: Some(RateLimit {
            requests: 5,
            per_seconds: 60,
            burst: 7,
        }),
        secrets: Secrets {
            current: slot(2),
            previous: Some(SecretSlot {
                not_after: Some(at(9)),
                ..slot(1)
            }),
        },
        ..record()
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
        changes: vec![FieldChange {
            field: "name".into(),
            before: None,
            after: Some("CI".into()),
        }],
        requests: None,
    }
}

pub(crate) async fn insert(store: &PostgresStore, record: &KeyRecord) -> Result<(), StoreError> {
    write(store, Expect::Absent, record).await
}

/// Writes over the version before `record`'s.
pub(crate) async fn update(store: &PostgresStore, record: &KeyRecord) -> Result<(), StoreError> {
    write(store, Expect::Version(record.version - 1), record).await
}

/// A write with one audit event.
pub(crate) async fn write(
    store: &PostgresStore,
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

pub(crate) async fn events(store: &PostgresStore) -> Vec<AuditEvent> {
    let query = AuditQuery {
        limit: 100_000,
        ..Default::default()
    };
    let log = store.abilities().audit_log.unwrap();
    log.events(&query).await.unwrap().events
}

#[track_caller]
pub(crate) fn kind<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> StoreErrorKind {
    outcome.unwrap_err().kind()
}

/// The error with its cause, as a log shows it.
pub(crate) fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
