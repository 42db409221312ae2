//! Whether a key opens, and whose it is.

use std::time::Duration;

use keygate::{NewKey, Rotation};
use rusqlite::Connection;
use serde_json::Value;

use crate::common::with_wrong_secret;
use crate::service::{DAY, Service, lasting};
use crate::support::{World, snapshot};
use crate::terminal::Terminal;

/// What the program says of this text.
fn asked(world: &World, text: &str, more: &[&str]) -> (i32, Value) {
    let ran = world.run_with(text, ["verify", "--json"].iter().chain(more));
    let said = serde_json::from_str(&ran.out);
    (ran.code, said.unwrap_or_else(|_| panic!("{}", ran.shown())))
}

#[test]
fn a_key_that_opens_is_told_with_whose_it_is() {
    let world = World::new();
    let scope = [
        "--owner",
        "org_42",
        "--name",
        "CI",
        "--scope",
        "orders:read",
    ];
    let (text, id) = world.issue(scope.into_iter().chain(["--never-expires"]));
    let ran = world
        .run_with(format!("{text}\n"), ["verify", "--scope", "orders:read"])
        .done();
    assert!(!ran.shown().contains(&text[20..]));
    snapshot!("verify", ran.shown_of([id.as_str()]));
    let (code, said) = asked(&world, &text, &[]);
    assert_eq!(
        (code, &said["accepted"], &said["code"]),
        (0, &true.into(), &Value::Null)
    );
    assert_eq!(
        (&said["info"]["owner"], &said["secret"]),
        (&"org_42".into(), &"current".into())
    );
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_and_what_to_do() {
    let world = World::new();
    let (past, _) = Service::begin(&world, 10 * DAY).await;
    let manager = past.keys.manager();
    let bound = lasting("org_42", "CI").allowed_ips(["203.0.113.0/24"]);
    let keys = [
        past.issue(lasting("org_42", "CI")).await,
        past.issue(lasting("org_42", "CI")).await,
        past.issue(lasting("org_42", "CI").expires_in(DAY)).await,
        past.issue(lasting("org_42", "CI")).await,
        past.issue(bound).await,
        past.issue(NewKey::for_owner("org_42").canary()).await,
        past.issue(lasting("org_42", "CI")).await,
    ];
    let ids: Vec<&str> = keys.iter().map(|key| key.info.key_id.as_str()).collect();
    manager.disable(&keys[0].info.key_id).await.unwrap();
    manager
        .revoke(&keys[1].info.key_id, "found in a log")
        .await
        .unwrap();
    let overlap = Rotation::new().overlap(Duration::from_secs(60));
    let rotated = manager
        .rotate_with(&keys[3].info.key_id, overlap)
        .await
        .unwrap();
    past.stop().await;

    for (key, name, more, code) in [
        (0, "verify_disabled", &[] as &[&str], "key_disabled"),
        (1, "verify_revoked", &[], "key_revoked"),
        (2, "verify_expired", &[], "key_expired"),
        (3, "verify_replaced", &[], "key_expired"),
        (4, "verify_from_anywhere", &[], "ip_denied"),
        (
            4,
            "verify_from_elsewhere",
            &["--from", "198.51.100.7"],
            "ip_denied",
        ),
        (5, "verify_canary", &[], "key_revoked"),
        (
            6,
            "verify_lacking",
            &["--scope", "orders:void"],
            "scope_insufficient",
        ),
    ] {
        let text = keys[key].key.expose();
        let (exit, said) = asked(&world, text, more);
        assert_eq!((exit, said["code"].as_str()), (5, Some(code)), "{name}");
        assert_eq!(
            (&said["accepted"], &said["info"]["key_id"]),
            (&false.into(), &ids[key].into())
        );
        let ran = world
            .run_with(text, ["verify"].iter().chain(more))
            .failed_answer(5);
        snapshot!(name, ran.shown_of(ids.iter().copied()));
    }
    assert_eq!(
        asked(&world, keys[3].key.expose(), &[]).1["secret"],
        "previous"
    );
    let (exit, said) = asked(&world, rotated.key.expose(), &[]);
    assert_eq!((exit, &said["secret"]), (0, &"current".into()));
    let from = ["--from", "203.0.113.9"];
    assert_eq!(asked(&world, keys[4].key.expose(), &from).0, 0);
}

#[test]
fn without_the_right_secret_nothing_is_said_of_any_key() {
    let world = World::new();
    let (text, _) = world.issue(["--owner", "org_42", "--name", "CI"]);
    for text in [
        with_wrong_secret(&text),
        text[..text.len() - 1].to_owned(),
        "hunter2".into(),
        "x".repeat(5_000),
    ] {
        let ran = world.run_with(&text, ["verify"]).failed_answer(5);
        assert!(!ran.shown().contains("org_42"), "{}", ran.shown());
        assert!(!ran.shown().contains(&text[..7]), "{}", ran.shown());
        snapshot!("verify_nobody", ran.shown());
        let (_, said) = asked(&world, &text, &[]);
        assert_eq!(
            (&said["info"], &said["secret"]),
            (&Value::Null, &Value::Null)
        );
    }
    world.run_with(" \n", ["verify"]).failed(2);
    world
        .run_with(&text, ["verify", "--scope", "orders:*"])
        .failed(2);
}

#[test]
fn a_prefix_that_is_not_accepted_is_named() {
    let world = World::new();
    let settings = world.read("keygate.toml");
    world.write(
        "keygate.toml",
        &format!("{settings}\naccept_prefixes = [\"acme_test\"]\n"),
    );
    let (text, id) = world.issue(["--owner", "org_42", "--environment", "acme_test"]);
    assert_eq!(asked(&world, &text, &[]).0, 0);
    world.write("keygate.toml", &settings);
    let ran = world.run_with(&text, ["verify"]).failed_answer(5);
    assert!(
        ran.out.contains("Its prefix acme_test is none"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains(&id));
}

#[test]
fn where_it_cannot_be_decided_that_is_no_refusal() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42"]);
    let (first, other) = (
        world.read("pepper"),
        keygate::Pepper::generate_base64().unwrap(),
    );
    world.write("pepper", &format!("2:{}", *other));
    snapshot!(
        "verify_without_its_pepper",
        world.run_with(&text, ["verify"]).failed(7).shown()
    );
    world.write("pepper", &first);
    let hand = Connection::open(world.path("keys.db")).unwrap();
    let newer = "UPDATE keygate_keys SET format = 99";
    hand.execute(newer, ()).unwrap();
    let ran = world.run_with(&text, ["verify"]).failed(6);
    snapshot!("verify_of_a_newer_format", ran.shown_of([id.as_str()]));
}

/// Every row of every table, as text.
fn everything(world: &World) -> Vec<String> {
    let store = Connection::open(world.path("keys.db")).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = store.prepare(tables).unwrap();
    let tables = tables.query_map((), |row| row.get::<_, String>(0)).unwrap();
    let mut rows = Vec::new();
    for table in tables.map(Result::unwrap) {
        let mut all = store
            .prepare(&format!("SELECT * FROM \"{table}\""))
            .unwrap();
        let columns = all.column_count();
        let mut all = all.query(()).unwrap();
        while let Some(row) = all.next().unwrap() {
            let values = (0..columns).map(|n| row.get::<_, rusqlite::types::Value>(n).unwrap());
            rows.push(format!("{table}: {:?}", values.collect::<Vec<_>>()));
        }
    }
    rows
}

/// Also where a service would renew a MAC, note a new pepper, count a use, or write down who was refused.
#[tokio::test]
async fn no_trace_is_left_of_any_of_it() {
    let world = World::new();
    let (past, _) = Service::begin(&world, 40 * DAY).await;
    let good = past.issue(lasting("org_42", "CI")).await;
    let revoked = past.issue(lasting("org_42", "CI")).await;
    let manager = past.keys.manager();
    manager.revoke(&revoked.info.key_id, "").await.unwrap();
    past.stop().await;
    // The MACs are under what is now an older pepper.
    let (first, second) = (
        world.read("pepper"),
        keygate::Pepper::generate_base64().unwrap(),
    );
    world.write("pepper", &format!("2:{}\n1:{first}", *second));
    let settings = world.read("keygate.toml");
    let policy = "[policy]\nmax_secret_age = \"30d\"\n";
    world.write("keygate.toml", &format!("{settings}\n{policy}"));

    let before = everything(&world);
    assert!(before.len() > 4, "{before:?}");
    let wrong = with_wrong_secret(good.key.expose());
    for (text, code) in [
        (good.key.expose(), 0),
        (revoked.key.expose(), 5),
        (wrong.as_str(), 5),
        ("no key", 5),
    ] {
        let ran = world.run_with(text, ["verify"]);
        assert_eq!(ran.code, code, "{}", ran.shown());
        assert_eq!(everything(&world), before);
    }
}

#[test]
fn a_key_that_is_typed_is_not_shown() {
    let world = World::new();
    let (text, _) = world.issue(["--owner", "org_42"]);
    let mut terminal = Terminal::run(&world, ["verify"]);
    terminal
        .expect("The key (it is not shown): ")
        .type_line(&text);
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(
        screen.contains("accepted") && !screen.contains(&text[20..]),
        "{screen}"
    );
}
