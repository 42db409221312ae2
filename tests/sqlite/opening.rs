//! What is opened, what is refused, and that what is refused stays as it was.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use keygate::audit::{Actor, AuditKind};
use keygate::store::AuditQuery;
use keygate::{KeyStore, SqliteOpenError, SqliteStore, Timestamp};
use rusqlite::config::DbConfig;

use crate::support::*;

async fn refusal(path: &Path) -> SqliteOpenError {
    let error = SqliteStore::open(path).await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains(path.to_str().unwrap()), "{shown}");
    error
}

#[tokio::test]
async fn the_file_is_marked_versioned_durable_and_reopened_without_a_change() {
    let place = Place::new();
    let store = place.open().await;
    insert(&store, &record()).await.unwrap();
    let hand = place.by_hand();
    let pragma = |name: &str| -> String {
        hand.query_row(
            &format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"),
            (),
            |row| row.get(0),
        )
        .unwrap()
    };
    let schema = || -> String {
        let all = "SELECT group_concat(sql, ';') FROM sqlite_schema";
        hand.query_row(all, (), |row| row.get(0)).unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("application_id"), 0x6b67_6174.to_string());
    assert_eq!(pragma("user_version"), "4");
    let before = schema();
    let again = place.open().await;
    assert_eq!(schema(), before);
    assert_eq!(events(&again).await.len(), 1);
}

#[tokio::test]
async fn what_is_to_be_there_is_neither_made_nor_brought_up_to_date() {
    let place = Place::new();
    let path = place.path();
    let missing = SqliteStore::open_existing(&path).await.unwrap_err();
    assert!(
        matches!(missing, SqliteOpenError::Missing { .. }),
        "{missing}"
    );
    assert!(!path.exists());

    fs::write(&path, "").unwrap();
    for schema in OLDER_SCHEMAS {
        let outdated = SqliteStore::open_existing(&path).await.unwrap_err();
        assert!(
            matches!(outdated, SqliteOpenError::Outdated { .. }),
            "{outdated}"
        );
        fs::remove_file(&path).unwrap();
        place.by_hand().execute_batch(schema).unwrap();
        let before = fs::read(&path).unwrap();
        let outdated = SqliteStore::open_existing(&path).await.unwrap_err();
        assert!(
            matches!(outdated, SqliteOpenError::Outdated { .. }),
            "{outdated}"
        );
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    place.open().await;
    let existing = SqliteStore::open_existing(&path).await.unwrap();
    insert(&existing, &record()).await.unwrap();
}

/// As earlier code made it, beginning with the first release.
const OLDER_SCHEMAS: [&str; 3] = [
    concat!(
        include_str!("../../src/store/sqlite/migrations/0001_keys.sql"),
        "PRAGMA application_id = 0x6b676174; PRAGMA user_version = 1; PRAGMA journal_mode = wal;"
    ),
    concat!(
        include_str!("../../src/store/sqlite/migrations/0001_keys.sql"),
        include_str!("../../src/store/sqlite/migrations/0002_changes.sql"),
        "PRAGMA application_id = 0x6b676174; PRAGMA user_version = 2; PRAGMA journal_mode = wal;"
    ),
    concat!(
        include_str!("../../src/store/sqlite/migrations/0001_keys.sql"),
        include_str!("../../src/store/sqlite/migrations/0002_changes.sql"),
        include_str!("../../src/store/sqlite/migrations/0003_usage.sql"),
        "PRAGMA application_id = 0x6b676174; PRAGMA user_version = 3; PRAGMA journal_mode = wal;"
    ),
];

#[tokio::test]
async fn a_file_of_an_older_schema_is_brought_up_to_date_and_keeps_its_rows() {
    for schema in OLDER_SCHEMAS {
        brought_up_to_date(schema).await;
    }
}

async fn brought_up_to_date(older: &str) {
    let (old, new) = (Place::new(), Place::new());
    let hand = old.by_hand();
    hand.execute_batch(older).unwrap();
    let (kept, ended) = (full_record(), revoked(&record()));
    let source = new.open().await;
    for record in [&kept, &ended] {
        insert(&source, record).await.unwrap();
    }
    hand.execute("ATTACH ?1 AS new", [new.path().to_str().unwrap()])
        .unwrap();
    hand.execute_batch(
        "INSERT INTO main.keygate_keys SELECT * FROM new.keygate_keys;
         INSERT INTO main.keygate_audit SELECT sequence, at, action, key_id, owner, actor_key_id,
             address, changes FROM new.keygate_audit;
         INSERT INTO main.keygate_settings VALUES ('pepper/1', x'01');",
    )
    .unwrap();
    let store = old.open().await;
    for record in [kept, ended] {
        assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
    }
    assert_eq!(events(&store).await, events(&source).await);
    let settings = store.abilities().settings.unwrap();
    assert_eq!(settings.read("pepper/1").await.unwrap(), Some(vec![1]));
    let schema = |name: &str| -> String {
        let all = format!("SELECT group_concat(sql, ';') FROM {name}.sqlite_schema");
        hand.query_row(&all, (), |row| row.get(0)).unwrap()
    };
    assert_eq!(schema("main"), schema("new"));
    let version = "SELECT user_version FROM pragma_user_version";
    let version: i64 = hand.query_row(version, (), |row| row.get(0)).unwrap();
    assert_eq!(version, 4);
}

/// Also where the last events of the log were deleted by hand before.
#[tokio::test]
async fn the_log_of_an_older_schema_keeps_its_events_and_its_cursors() {
    const EVENT: &str = "INSERT INTO keygate_audit
        (at, action, key_id, owner, actor_key_id, address, changes) VALUES ";
    for schema in OLDER_SCHEMAS {
        let place = Place::new();
        let hand = place.by_hand();
        hand.execute_batch(schema).unwrap();
        hand.execute_batch(&format!(
            "{EVENT} (7, 'issued', '4KX9vQ2mB7tZ', 'org_42', NULL, NULL, '[]'),
                (8, 'revoked', '4KX9vQ2mB7tZ', 'org_42', '7PqLm3XcV9aR', '10.0.0.1',
                    '[{{\"field\":\"name\",\"before\":null,\"after\":\"a\"}}]'),
                (9, 'issued', '7PqLm3XcV9aR', 'org_42', NULL, NULL, '[]');
             DELETE FROM keygate_audit WHERE sequence = 3"
        ))
        .unwrap();
        let store = place.open().await;
        // A service of before goes on while there is a newer one.
        hand.execute_batch(&format!(
            "{EVENT} (10, 'changed', '7PqLm3XcV9aR', 'org_42', NULL, NULL, '[]')"
        ))
        .unwrap();
        let log = store.abilities().audit_log.unwrap();
        let query = AuditQuery {
            kind: Some(AuditKind::Lifecycle),
            ..AuditQuery::new()
        };
        let read = log.events(&query).await.unwrap().events;
        let actions: Vec<_> = read.iter().map(|event| event.action).collect();
        use keygate::audit::AuditAction::{Changed, Issued, Revoked};
        assert_eq!(actions, [Issued, Revoked, Changed]);
        assert_eq!(read[0].actor, Actor::Host);
        assert_eq!(read[1].key_id, Some("4KX9vQ2mB7tZ".parse().unwrap()));
        assert_eq!(read[1].owner.as_deref(), Some("org_42"));
        assert_eq!(read[1].actor, Actor::Key("7PqLm3XcV9aR".parse().unwrap()));
        assert_eq!(read[1].address, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(read[1].changes[0].after.as_deref(), Some("a"));
        assert!(read.iter().all(|event| event.requests.is_none()));
        // A cursor from before stands at the event that was deleted.
        let query = AuditQuery {
            after: Some("3".into()),
            ..query
        };
        let after = log.events(&query).await.unwrap().events;
        assert_eq!(after.len(), 1);
        let moment = Timestamp::from_unix_millis(9).unwrap();
        let forgotten = log.forget_before(AuditKind::Lifecycle, moment, 10).await;
        assert_eq!(forgotten.unwrap(), 2);
    }
}

#[test]
fn a_file_of_an_older_schema_is_brought_up_to_date_by_many_at_once() {
    for schema in OLDER_SCHEMAS {
        let place = Place::new();
        place.by_hand().execute_batch(schema).unwrap();
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    runtime.unwrap().block_on(async {
                        insert(&place.open().await, &record()).await.unwrap();
                    });
                });
            }
        });
        let told = "SELECT count(*) FROM keygate_changes";
        let told: i64 = place
            .by_hand()
            .query_row(told, (), |row| row.get(0))
            .unwrap();
        assert_eq!(told, 4);
    }
}

#[tokio::test]
async fn a_database_of_another_application_is_refused_and_stays_byte_identical() {
    let by_table = "CREATE TABLE accounts (id); INSERT INTO accounts VALUES (1);";
    for (name, sql) in [
        ("a table", by_table.to_owned()),
        (
            "a table, in WAL mode",
            format!("PRAGMA journal_mode = wal; {by_table}"),
        ),
        ("a view", "CREATE VIEW v AS SELECT 1".into()),
        ("an application id", "PRAGMA application_id = 7".into()),
        ("a version", "PRAGMA user_version = 1".into()),
        ("our table names", "CREATE TABLE keygate_keys (id)".into()),
    ] {
        let place = Place::new();
        place.by_hand().execute_batch(&sql).unwrap();
        let before = fs::read(place.path()).unwrap();
        let error = refusal(&place.path()).await;
        assert!(
            matches!(error, SqliteOpenError::Foreign { .. }),
            "{name}: {error:?}"
        );
        assert_eq!(fs::read(place.path()).unwrap(), before, "{name}");
    }
}

#[tokio::test]
async fn the_log_that_another_application_left_is_not_brought_into_its_file() {
    let place = Place::new();
    let hand = place.by_hand();
    hand.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    hand.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE accounts (id);")
        .unwrap();
    drop(hand);
    let log = place.path().with_extension("db-wal");
    let before = (fs::read(place.path()).unwrap(), fs::read(&log).unwrap());
    assert!(!before.1.is_empty());
    let error = refusal(&place.path()).await;
    assert!(
        matches!(error, SqliteOpenError::Foreign { .. }),
        "{error:?}"
    );
    let after = (fs::read(place.path()).unwrap(), fs::read(&log).unwrap());
    assert!(before == after);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_stays_byte_identical() {
    let place = Place::new();
    place
        .by_hand()
        .execute_batch(
            "PRAGMA application_id = 0x6b676174; PRAGMA user_version = 5;
             CREATE TABLE keygate_keys (id, geofence);",
        )
        .unwrap();
    let before = fs::read(place.path()).unwrap();
    let error = refusal(&place.path()).await;
    assert!(
        matches!(
            error,
            SqliteOpenError::Newer {
                schema: 5,
                known: 4,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("newer keygate"), "{error}");
    assert_eq!(fs::read(place.path()).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_stays_as_it_was() {
    for garbage in [b"hello".to_vec(), vec![7; 100_000]] {
        let place = Place::new();
        fs::write(place.path(), &garbage).unwrap();
        let error = refusal(&place.path()).await;
        assert!(
            matches!(error, SqliteOpenError::Damaged { .. }),
            "{error:?}"
        );
        assert_eq!(fs::read(place.path()).unwrap(), garbage);
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let place = Place::new();
    fs::write(place.path(), b"").unwrap();
    let store = place.open().await;
    insert(&store, &record()).await.unwrap();
}

#[tokio::test]
async fn paths_that_lead_to_no_file_are_refused() {
    let place = Place::new();
    let directory = place.path().parent().unwrap().to_owned();
    let error = refusal(&directory.join("missing/keys.db")).await;
    assert!(
        matches!(error, SqliteOpenError::MissingDirectory { .. }),
        "{error:?}"
    );
    let error = refusal(&directory).await;
    assert!(
        matches!(error, SqliteOpenError::NotAFile { .. }),
        "{error:?}"
    );
    for name in [":memory:", ""] {
        let error = refusal(Path::new(name)).await;
        assert!(
            matches!(error, SqliteOpenError::NotAFile { .. }),
            "{error:?}"
        );
    }
    let literal = directory.join("file:keys.db?mode=memory");
    SqliteStore::open(&literal).await.unwrap();
    assert!(literal.exists());
}

#[tokio::test]
async fn a_setup_that_was_interrupted_is_done_again() {
    let place = Place::new();
    // The furthest that a setup gets before its one transaction.
    place
        .by_hand()
        .execute_batch("PRAGMA journal_mode = wal")
        .unwrap();
    let store = place.open().await;
    let record = record();
    insert(&store, &record).await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}

/// SQLite itself waits for one of these locks when it switches to WAL, and not for the other.
#[tokio::test]
async fn a_new_file_that_somebody_locks_is_waited_for_and_then_reported_as_locked() {
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let place = Place::new();
        let hand = place.by_hand();
        hand.execute_batch(lock).unwrap();
        let error = refusal(&place.path()).await;
        assert!(
            matches!(error, SqliteOpenError::Locked { .. }),
            "{lock}: {error:?}"
        );
        let (store, ()) = tokio::join!(place.open(), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            hand.execute_batch("COMMIT").unwrap();
        });
        insert(&store, &record()).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_opens_while_another_process_writes() {
    let place = Place::new();
    place.open().await;
    let hand = place.by_hand();
    hand.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let store = place.open().await;
    assert!(started.elapsed().as_secs() < 4, "it waited for the writer");
    assert_eq!(events(&store).await.len(), 0);
}
