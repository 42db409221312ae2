//! What goes wrong with PostgreSQL and Redis, as the operator reads it.

use crate::errors::{in_time, shown};
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;
use crate::support::{PREFIX, Ran, World, snapshot};

#[test]
fn of_a_postgres_that_is_empty_newer_or_shut_it_is_said_which() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let by_hand = |sql: &str| {
        runtime.block_on(async {
            let mut hand = server.by_hand().await;
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            sqlx::raw_sql(sql).execute(&mut hand).await.unwrap();
        });
    };
    let (url, port) = (server.url(), server.port());
    let mut seen = String::new();
    let mut note = |ran: Ran| seen += &shown(&ran, port);
    let there = World::empty()
        .with("KEYGATE_STORE", &url)
        .with("KEYGATE_PREFIX", PREFIX);
    there.write("pepper", "x7EOrzVsXJvkdGcVVjVyuVzbJmXTVMYzIrlQOqXaaTg=");
    note(there.run(["list", "--pepper-file", "pepper"]).failed(6));
    let world = World::on(&url);
    let (_, id) = world.issue(["--owner", "org_42"]);

    by_hand(
        "CREATE ROLE reader LOGIN; CREATE ROLE nothing LOGIN;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;",
    );
    let as_user = |name: &str| url.replace("postgres@", &format!("{name}@"));
    for arguments in [
        &["list"] as &[&str],
        &["show", &id],
        &["audit"],
        &["report", "pepper"],
    ] {
        world
            .run(arguments.iter().chain(&["--store", &as_user("reader")]))
            .done();
    }
    for arguments in [
        &["issue", "--owner", "org_42"] as &[&str],
        &["revoke", &id, "--yes"],
    ] {
        let ran = world
            .run(arguments.iter().chain(&["--store", &as_user("reader")]))
            .failed(6);
        seen += &shown(&ran, port).replace(&id, "4KX9vQ2mB7tZ");
    }
    let mut note = |ran: Ran| seen += &shown(&ran, port);
    note(
        world
            .run(["list", "--store", &as_user("nothing")])
            .failed(6),
    );
    note(world.run(["list", "--store", &as_user("nobody")]).failed(6));
    note(
        world
            .run(["list", "--store", &server.url_of("nowhere")])
            .failed(6),
    );

    by_hand("INSERT INTO keygate_migrations VALUES (99)");
    note(world.run(["list"]).failed(6));
    note(world.run(["init"]).failed(6));
    by_hand("DELETE FROM keygate_migrations WHERE number >= 3");
    note(world.run(["list"]).failed(6));
    by_hand("INSERT INTO keygate_migrations VALUES (3)");
    world.run(["list"]).done();

    server.freeze();
    note(in_time(|| world.run(["list"])).failed(6));
    server.thaw();
    snapshot!("errors_postgres", seen);
}

#[test]
fn of_a_redis_that_is_empty_forgetful_or_silent_it_is_said_which() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let (url, port) = (server.url(), server.port());
    let there = World::empty()
        .with("KEYGATE_STORE", &url)
        .with("KEYGATE_PREFIX", PREFIX);
    there.write("pepper", "x7EOrzVsXJvkdGcVVjVyuVzbJmXTVMYzIrlQOqXaaTg=");
    let mut seen = shown(
        &there.run(["list", "--pepper-file", "pepper"]).failed(2),
        port,
    );
    let world = World::on(&url);
    world.issue(["--owner", "org_42"]);
    server.freeze();
    seen += &shown(&in_time(|| world.run(["list"])).failed(6), port);
    server.thaw();
    world.run(["list"]).done();

    let closed = RedisServer::start_with(&["--requirepass", "hiddenword"]).unwrap();
    seen += &shown(
        &world.run(["list", "--store", &closed.url()]).failed(6),
        closed.port(),
    );
    let wrong = closed.url().replace("://", "://:hidden@");
    let ran = there
        .run(["list", "--pepper-file", "pepper", "--store", &wrong])
        .failed(6);
    assert!(
        ran.err.contains("refuses the user or the password"),
        "{}",
        ran.err
    );
    let forgetful = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]).unwrap();
    seen += &shown(
        &world.run(["list", "--store", &forgetful.url()]).failed(6),
        forgetful.port(),
    );
    snapshot!("errors_redis", seen);
}
