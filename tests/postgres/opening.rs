//! What a store opens, makes, refuses and leaves alone.

use futures_util::future::join_all;
use keygate::audit::{Actor, AuditAction, AuditKind};
use keygate::store::AuditQuery;
use keygate::{KeyStore, PostgresOpenError, PostgresStore, StoreErrorKind, Timestamp};
use tokio::time::timeout;

use crate::servers::proxy::{Proxy, Trap};
use crate::support::*;

const KEYS: &str = include_str!("../../src/store/postgres/migrations/0001_keys.sql");
const USAGE: &str = include_str!("../../src/store/postgres/migrations/0002_usage.sql");
const AUDIT: &str = include_str!("../../src/store/postgres/migrations/0003_audit.sql");

#[tokio::test]
async fn a_url_that_cannot_be_read_is_not_repeated() {
    for url in ["", "keys.db", "postgres://u:hidden@host:port/db"] {
        let error = PostgresStore::connect(url).await.unwrap_err();
        assert!(matches!(error, PostgresOpenError::Url), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
}

#[tokio::test]
async fn nothing_shows_the_password() {
    let Some(place) = Place::new().await else {
        return;
    };
    let url = place.url.replace("postgres@", "postgres:hidden@");
    let pool = PostgresStore::pool(&url).unwrap();
    let builder = PostgresStore::builder(pool).listen_options(url.parse().unwrap());
    let mut shown = format!("{builder:?}");
    let store = builder.open().await.unwrap();
    shown += &format!("{store:?}");
    for wrong in [
        url.replace("place_", "no_place_"),
        "postgres://postgres:hidden@127.0.0.1:1/keys".into(),
        format!("{url}?sslmode=require"),
    ] {
        let pool = PostgresStore::pool(&wrong).unwrap();
        let opening = timeout(millis(8_000), PostgresStore::builder(pool).open());
        let error = opening.await.unwrap().unwrap_err();
        shown += &format!("{error} {error:?}");
    }
    assert!(!shown.contains("hidden"), "{shown}");
}

#[tokio::test]
async fn many_instances_make_the_tables_at_once() {
    let Some(place) = Place::new().await else {
        return;
    };
    for _ in 0..3 {
        let place = place.another_schema();
        let stores = join_all((0..12).map(|_| place.open_with_own_pool())).await;
        let record = record();
        insert(&stores[0], &record).await.unwrap();
        for store in &stores {
            assert_eq!(store.get(&record.id).await.unwrap().as_ref(), Some(&record));
        }
        let steps = place.run("SELECT number FROM keygate_migrations").await;
        assert_eq!(steps.len(), 3);
    }
}

#[tokio::test]
async fn opening_that_is_dropped_at_any_point_can_be_done_again() {
    let Some(place) = Place::new().await else {
        return;
    };
    for step in 0..30 {
        let place = place.another_schema();
        let _ = timeout(millis(step), place.open()).await;
        let store = place.open().await;
        insert(&store, &record()).await.unwrap();
    }
}

#[tokio::test]
async fn making_the_tables_is_all_or_nothing() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    for (n, bytes) in ["BEGIN ISO", "CREATE SCHEMA", "CREATE TABLE"]
        .iter()
        .enumerate()
    {
        let schema = format!("s{n}");
        // Cut on the way there, and killed with the answer on the way back.
        for trap in [Trap::Cut, Trap::HoldAnswers] {
            proxy.set(trap, bytes.as_bytes());
            let builder = PostgresStore::builder(PostgresStore::pool(&url).unwrap());
            let opening = builder.schema(&schema).open();
            match trap {
                Trap::Cut => drop(opening.await.unwrap_err()),
                Trap::HoldAnswers => {
                    assert!(timeout(millis(300), opening).await.is_err());
                    server.restart();
                    proxy.cut();
                    proxy.unblock();
                }
            }
            let sql = format!("SELECT FROM pg_namespace WHERE nspname = '{schema}'");
            let made = run(&mut server.by_hand().await, &sql).await.unwrap();
            assert!(made.is_empty(), "{bytes}: {trap:?}");
        }
        let store = open(PostgresStore::pool(&url).unwrap(), &schema).await;
        insert(&store, &record()).await.unwrap();
    }
}

#[tokio::test]
async fn tables_that_are_newer_are_refused_and_left_alone() {
    let Some(place) = Place::new().await else {
        return;
    };
    drop(place.open().await);
    place
        .run("INSERT INTO keygate_migrations VALUES (4); ALTER TABLE keygate_keys ADD region text")
        .await;
    for migrate in [true, false] {
        let builder = PostgresStore::builder(place.pool().clone()).migrate(migrate);
        let error = builder.open().await.unwrap_err();
        let newer = matches!(
            error,
            PostgresOpenError::Newer {
                schema: 4,
                known: 3
            }
        );
        assert!(newer, "{error:?}");
        assert!(error.to_string().contains("upgrade"));
    }
    let steps = place.run("SELECT FROM keygate_migrations").await;
    assert_eq!(steps.len(), 4);
}

#[tokio::test]
async fn a_team_can_run_the_files_by_itself_and_give_the_service_few_rights() {
    let Some(place) = Place::new().await else {
        return;
    };
    let builder = || PostgresStore::builder(place.pool().clone()).migrate(false);
    place.run("CREATE SCHEMA auth").await;
    for (taken, step) in [(0, KEYS), (1, USAGE), (2, AUDIT)] {
        let error = builder().schema("auth").open().await.unwrap_err();
        let missing =
            matches!(error, PostgresOpenError::NotMigrated { schema, .. } if schema == taken);
        assert!(missing, "{error:?}");
        let step = format!("BEGIN; SET LOCAL search_path = auth; {step}; COMMIT");
        place.run(&step).await;
    }
    let role = place.url.rsplit('/').next().unwrap();
    place
        .run(&format!(
            "CREATE ROLE {role} LOGIN;
             GRANT USAGE ON SCHEMA auth TO {role};
             GRANT SELECT ON auth.keygate_migrations TO {role};
             GRANT SELECT, INSERT ON auth.keygate_audit TO {role};
             GRANT SELECT, INSERT, UPDATE ON auth.keygate_keys, auth.keygate_settings,
                auth.keygate_usage, auth.keygate_usage_days, auth.keygate_usage_scopes,
                auth.keygate_usage_secrets, auth.keygate_usage_batches TO {role};
             GRANT DELETE ON auth.keygate_audit, auth.keygate_usage_days,
                auth.keygate_usage_batches TO {role};"
        ))
        .await;
    let url = place.url.replace("postgres@", &format!("{role}@"));
    // There is nothing to do, so there is no need for the right to do it.
    for migrate in [false, true] {
        let builder = PostgresStore::builder(PostgresStore::pool(&url).unwrap());
        let store = builder
            .schema("auth")
            .migrate(migrate)
            .open()
            .await
            .unwrap();
        let first = record();
        insert(&store, &first).await.unwrap();
        update(&store, &revoked(&first)).await.unwrap();
        assert_eq!(store.get(&first.id).await.unwrap(), Some(revoked(&first)));
        let settings = store.abilities().settings.unwrap();
        let name = format!("migrate {migrate}");
        settings.compare_and_set(&name, None, b"1").await.unwrap();
        settings
            .compare_and_set(&name, Some(b"1"), b"2")
            .await
            .unwrap();
        crate::usage::can_be_kept(&store).await;
        let log = store.abilities().audit_log.unwrap();
        let accepted = event(&first, AuditAction::Accepted);
        log.record(&[accepted]).await.unwrap();
        let forgotten = log.forget_before(AuditKind::Authentication, Timestamp::MAX, 10);
        assert_eq!(forgotten.await.unwrap(), 1);
        assert!(!events(&store).await.is_empty());
        drop(crate::feed::Following::live(&store).await);
    }
    let refused = PostgresStore::connect(&url).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
}

#[tokio::test]
async fn the_log_of_an_older_schema_keeps_its_events_and_takes_more_from_services_of_before() {
    const EVENT: &str = "INSERT INTO keygate_audit
        (at, action, key_id, owner, actor_key_id, address, changes) VALUES ";
    for steps in [vec![KEYS], vec![KEYS, USAGE]] {
        let Some(place) = Place::new().await else {
            return;
        };
        place
            .run(&format!(
                "{};
                 {EVENT} ('1970-01-01 00:00:07Z', 'issued', '4KX9vQ2mB7tZ', 'org_42', NULL, NULL, '[]'),
                    ('1970-01-01 00:00:08Z', 'revoked', '4KX9vQ2mB7tZ', 'org_42', '7PqLm3XcV9aR',
                        '10.0.0.1', '[{{\"field\":\"name\",\"before\":null,\"after\":\"a\"}}]')",
                steps.join(";")
            ))
            .await;
        let store = place.open().await;
        place
            .run(&format!(
                "{EVENT} ('1970-01-01 00:00:09Z', 'changed', '7PqLm3XcV9aR', 'org_42', NULL, NULL, '[]')"
            ))
            .await;
        let log = store.abilities().audit_log.unwrap();
        let query = AuditQuery {
            kind: Some(AuditKind::Lifecycle),
            ..AuditQuery::new()
        };
        let read = log.events(&query).await.unwrap().events;
        let actions: Vec<_> = read.iter().map(|event| event.action).collect();
        use AuditAction::{Changed, Issued, Revoked};
        assert_eq!(actions, [Issued, Revoked, Changed]);
        assert_eq!(read[0].actor, Actor::Host);
        assert_eq!(read[1].key_id, Some("4KX9vQ2mB7tZ".parse().unwrap()));
        assert_eq!(read[1].owner.as_deref(), Some("org_42"));
        assert_eq!(read[1].actor, Actor::Key("7PqLm3XcV9aR".parse().unwrap()));
        assert_eq!(read[1].address, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(read[1].changes[0].after.as_deref(), Some("a"));
        assert!(read.iter().all(|event| event.requests.is_none()));
        let forgotten = log.forget_before(AuditKind::Lifecycle, at(9_000), 10).await;
        assert_eq!(forgotten.unwrap(), 2);
    }
}

#[tokio::test]
async fn schemas_and_prefixes_keep_stores_apart() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut stores = Vec::new();
    for (schema, prefix) in [
        ("public", "keygate_"),
        ("public", "other_"),
        ("it's a \"schema\" \\", "keygate_"),
        ("user", "table"),
        ("public", "a_prefix_that_is_as_long_as_it_may_ever_"),
    ] {
        let builder = PostgresStore::builder(place.pool().clone());
        let builder = builder.schema(schema).table_prefix(prefix);
        stores.push(builder.open().await.unwrap());
    }
    let same = place.open().await;
    for (n, store) in stores.iter().enumerate() {
        let following = crate::feed::Following::live(store).await;
        let record = full_record();
        insert(store, &record).await.unwrap();
        for (m, other) in stores.iter().enumerate() {
            let found = other.get(&record.id).await.unwrap();
            assert_eq!(found.is_some(), n == m);
        }
        assert_eq!(same.get(&record.id).await.unwrap().is_some(), n == 0);
        following
            .until(crate::feed::Heard::Changed(record.id))
            .await;
        assert_eq!(events(store).await.len(), 1);
        crate::usage::can_be_kept(store).await;
    }
    for (schema, prefix) in [
        ("", "a_"),
        ("a", ""),
        ("a", "A_"),
        ("a", "a\""),
        ("a\0", "a_"),
    ] {
        let builder = PostgresStore::builder(place.pool().clone());
        let refused = builder.schema(schema).table_prefix(prefix).open().await;
        assert!(
            matches!(
                refused,
                Err(PostgresOpenError::Schema { .. } | PostgresOpenError::TablePrefix { .. })
            ),
            "{schema:?} {prefix:?}"
        );
    }
}

#[tokio::test]
async fn without_a_schema_the_tables_are_where_the_connection_makes_tables() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.run("CREATE SCHEMA chosen").await;
    let url = format!("{}?options=-c%20search_path%3Dnone%2Cchosen", place.url);
    let store = PostgresStore::connect(&url).await.unwrap();
    let record = record();
    insert(&store, &record).await.unwrap();
    let rows = place.run("SELECT id FROM chosen.keygate_keys").await;
    assert_eq!(rows.len(), 1);
    let url = format!("{}?options=-c%20search_path%3Dnone", place.url);
    let refused = PostgresStore::connect(&url).await.unwrap_err();
    assert!(
        matches!(refused, PostgresOpenError::Schema { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_database_that_does_not_hold_every_text_is_refused() {
    let Some(server) = shared_server() else {
        return;
    };
    let url = server
        .make_database("latin ENCODING 'LATIN1' TEMPLATE template0")
        .await;
    let url = url.split(' ').next().unwrap();
    let refused = PostgresStore::connect(url).await.unwrap_err();
    assert!(matches!(&refused, PostgresOpenError::Encoding { found } if found == "LATIN1"));
}

#[tokio::test]
async fn a_server_that_forgets_is_refused() {
    let Some(server) = PostgresServer::start_with(&["fsync=off"]) else {
        return;
    };
    let refused = PostgresStore::connect(&server.url()).await.unwrap_err();
    assert!(
        matches!(refused, PostgresOpenError::Forgetful),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_standby_is_refused_unless_the_promise_is_given_up() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let first = record();
    insert(&store, &first).await.unwrap();
    let standby = server.start_standby();
    server.wait_for(&standby).await;
    let refused = PostgresStore::connect(&standby.url()).await.unwrap_err();
    assert!(matches!(refused, PostgresOpenError::Standby), "{refused:?}");
    let builder = PostgresStore::builder(PostgresStore::pool(&standby.url()).unwrap());
    let waived = builder
        .waive_revocation_bound_on_replicas()
        .open()
        .await
        .unwrap();
    assert!(waived.abilities().change_feed.is_none());
    assert_eq!(waived.get(&first.id).await.unwrap().as_ref(), Some(&first));
    let refused = update(&waived, &revoked(&first)).await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    // What was given up: the standby answers with what it has.
    run(&mut standby.by_hand().await, "SELECT pg_wal_replay_pause()")
        .await
        .unwrap();
    update(&store, &revoked(&first)).await.unwrap();
    assert_eq!(waived.get(&first.id).await.unwrap(), Some(first));
}

#[tokio::test]
async fn changes_are_durable_whatever_the_session_says() {
    let Some(place) = Place::new().await else {
        return;
    };
    let store = place.open().await;
    place
        .run(
            "CREATE TABLE seen (durability text);
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER look_at_keys AFTER INSERT OR UPDATE ON keygate_keys
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look();
             CREATE CONSTRAINT TRIGGER look_at_settings AFTER INSERT OR UPDATE ON keygate_settings
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look();
             CREATE CONSTRAINT TRIGGER look_at_usage AFTER INSERT OR DELETE ON keygate_usage_days
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look();",
        )
        .await;
    drop(store);
    for (level, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        let url = format!("{}?options=-c%20synchronous_commit%3D{level}", place.url);
        let store = open(hosts_pool(&url, 2), "public").await;
        place.run("TRUNCATE seen").await;
        let first = record();
        insert(&store, &first).await.unwrap();
        update(&store, &next_version(&first)).await.unwrap();
        let settings = store.abilities().settings.unwrap();
        settings.compare_and_set(level, None, b"1").await.unwrap();
        settings
            .compare_and_set(level, Some(b"1"), b"2")
            .await
            .unwrap();
        crate::usage::can_be_kept(&store).await;
        let sql = format!("SELECT FROM seen WHERE durability = '{expected}'");
        assert_eq!(place.run(&sql).await.len(), 6, "{level}");
        assert_eq!(place.run("SELECT FROM seen").await.len(), 6, "{level}");
    }
}
