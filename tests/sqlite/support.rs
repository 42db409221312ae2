use std::collections::BTreeMap;
use std::path::PathBuf;

use keygate::audit::{Actor, AuditAction, AuditEvent, FieldChange};
use keygate::store::{Expect, Write};
use keygate::{
    KeyId, KeyRecord, KeyStore, Mac, PepperId, RateLimit, Revocation, ScopeSet, SecretSlot,
    Secrets, SqliteStore, StoreError, StoreErrorKind, Timestamp,
};
use rusqlite::Connection;
use tempfile::TempDir;

/// A directory for one test, and the database in it.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Where nothing waits for a disk, if there is such a place.
    pub(crate) fn in_memory() -> Self {
        let in_memory = tempfile::tempdir_in("/dev/shm");
        Self {
            directory: in_memory.or_else(|_| tempfile::tempdir()).unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("keys.db")
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.path()).await.unwrap()
    }

    /// As somebody with the `sqlite3` program would.
    pub(crate) fn by_hand(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
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

pub(crate) async fn insert(store: &SqliteStore, record: &KeyRecord) -> Result<(), StoreError> {
    write(store, Expect::Absent, record).await
}

/// Writes over the version before `record`'s.
pub(crate) async fn update(store: &SqliteStore, record: &KeyRecord) -> Result<(), StoreError> {
    write(store, Expect::Version(record.version - 1), record).await
}

/// A write with one audit event.
pub(crate) async fn write(
    store: &SqliteStore,
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

pub(crate) async fn events(store: &SqliteStore) -> Vec<AuditEvent> {
    let query = keygate::store::AuditQuery {
        limit: 100_000,
        ..Default::default()
    };
    let log = store.abilities().audit_log.unwrap();
    log.events(&query).await.unwrap().events
}

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
