//! What goes wrong at three in the morning, as the operator reads it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::servers::free_port;
use crate::support::{PREFIX, Ran, World, snapshot};

/// How long anything may take that fails.
const PATIENCE: Duration = Duration::from_secs(15);

fn by_hand(world: &World) -> Connection {
    Connection::open(world.path("keys.db")).unwrap()
}

/// What was seen, with one port for those of any run.
pub(crate) fn shown(ran: &Ran, port: u16) -> String {
    ran.shown().replace(&port.to_string(), "[port]")
}

#[track_caller]
pub(crate) fn in_time(run: impl FnOnce() -> Ran) -> Ran {
    let begun = Instant::now();
    let ran = run();
    assert!(
        begun.elapsed() < PATIENCE,
        "{:?}: {}",
        begun.elapsed(),
        ran.shown()
    );
    ran
}

#[test]
fn where_no_store_is_that_is_said() {
    let world = World::new();
    fs::write(world.path("text.db"), "hello, hello, hello").unwrap();
    fs::write(world.path("void.db"), "").unwrap();
    Connection::open(world.path("foreign.db"))
        .unwrap()
        .execute_batch("CREATE TABLE orders (id INTEGER)")
        .unwrap();
    let mut seen = String::new();
    for (store, code) in [
        ("kyes.db", 6),
        ("no/keys.db", 6),
        (".", 2),
        ("text.db", 6),
        ("void.db", 6),
        ("foreign.db", 6),
    ] {
        seen += &world.run(["list", "--store", store]).failed(code).shown();
    }
    seen += &world
        .run(["init", "--store", "foreign.db"])
        .failed(6)
        .shown();
    seen += &world
        .run(["init", "--store", "no/keys.db"])
        .failed(6)
        .shown();
    snapshot!("errors_no_sqlite", seen);
    assert!(!world.path("kyes.db").exists());
    assert_eq!(world.read("void.db"), "");

    let port = free_port();
    let mut seen = String::new();
    for store in [
        format!("postgres://u@127.0.0.1:{port}/keys"),
        format!("redis://127.0.0.1:{port}"),
    ] {
        seen += &shown(
            &in_time(|| world.run(["list", "--store", &store])).failed(6),
            port,
        );
    }
    snapshot!("errors_no_server", seen);
}

#[test]
fn a_pepper_that_is_wrong_or_missing_is_named_by_its_place() {
    let world = World::new();
    world.issue(["--owner", "org_42"]);
    let other = "x7EOrzVsXJvkdGcVVjVyuVzbJmXTVMYzIrlQOqXaaTg=";
    let mut seen = String::new();
    for (name, text) in [
        ("wrong", other),
        ("new", &format!("2:{other}")),
        ("empty", ""),
        ("hello", "hello"),
        ("short", "aGVsbG8="),
    ] {
        world.write(name, text);
        seen += &world.run(["list", "--pepper-file", name]).failed(7).shown();
    }
    fs::write(world.path("binary"), [0xff; 40]).unwrap();
    for name in ["nowhere", ".", "binary"] {
        seen += &world.run(["list", "--pepper-file", name]).failed(7).shown();
    }
    seen += &world
        .run(["init", "--pepper-file", "wrong"])
        .failed(7)
        .shown();
    assert!(
        !seen.contains(&other[..10]) && !seen.contains(&world.read("pepper")[..10]),
        "{seen}"
    );
    snapshot!("errors_pepper", seen);

    world.write(
        "keygate.toml",
        &format!("store = \"keys.db\"\nprefix = \"{PREFIX}\"\n"),
    );
    let mut seen = world.run(["list"]).failed(2).shown();
    for value in [other, "hello", ""] {
        let there = World::empty().with("KEYGATE_PEPPER", value);
        let store = world.path("keys.db");
        let arguments = [
            "list",
            "--prefix",
            PREFIX,
            "--store",
            store.to_str().unwrap(),
        ];
        let ran = there.run(arguments).failed(7);
        assert!(!ran.err.contains(&other[..10]), "{}", ran.err);
        seen += &ran.err;
    }
    snapshot!("errors_pepper_elsewhere", seen);
}

#[test]
fn the_peppers_of_another_service_are_not_left_in_a_store_but_by_init() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42"]);
    world.write("new", "2:x7EOrzVsXJvkdGcVVjVyuVzbJmXTVMYzIrlQOqXaaTg=");
    world.run(["list", "--pepper-file", "new"]).failed(7);
    let settings = "SELECT group_concat(name) FROM keygate_settings";
    let noted = || {
        by_hand(&world)
            .query_row(settings, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert!(!noted().contains("pepper/2"), "{}", noted());
    // The way on where the first one is lost.
    world.run(["init", "--pepper-file", "new"]).done();
    world
        .run(["revoke", &id, "--yes", "--pepper-file", "new"])
        .done();
    world
        .run(["pepper", "retire", "1", "--yes", "--pepper-file", "new"])
        .done();
}

#[test]
fn a_key_that_is_not_there_stops_every_command_about_it() {
    let world = World::new();
    world.issue(["--owner", "org_42"]);
    let mut seen = String::new();
    for (arguments, code) in [
        (&["list", "--after", "4KX9"] as &[&str], 2),
        (&["issue", "--like", "000000000000"], 3),
        (&["show", "000000000000"], 3),
        (&["show", "4KX9"], 2),
        (&["rotate", "000000000000"], 3),
        (&["revoke", "000000000000", "--yes"], 3),
        (&["revoke", "--owner", "nobody", "--yes"], 3),
        (&["disable", "000000000000", "--yes"], 3),
        (&["enable", "000000000000"], 3),
        (&["scopes", "000000000000"], 3),
        (&["change", "000000000000", "--name", "x"], 3),
        (&["audit", "--key", "4KX9"], 2),
    ] {
        seen += &world.run(arguments).failed(code).shown();
    }
    snapshot!("errors_no_key", seen);
}

#[test]
fn a_store_that_is_newer_or_older_than_the_program_is_left_as_it_is() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42"]);
    by_hand(&world)
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let mut seen = world.run(["list"]).failed(6).shown();
    seen += &world.run(["init"]).failed(6).shown();
    snapshot!("errors_newer", seen);
    by_hand(&world)
        .execute_batch("PRAGMA user_version = 4")
        .unwrap();
    assert_eq!(
        world.run(["list", "--json"]).json()["keys"][0]["key_id"],
        id
    );

    let world = World::new();
    fs::remove_file(world.path("keys.db")).unwrap();
    let first = include_str!("../../src/store/sqlite/migrations/0001_keys.sql");
    let hand = by_hand(&world);
    hand.execute_batch(first).unwrap();
    hand.execute_batch("PRAGMA application_id = 0x6b676174; PRAGMA user_version = 1")
        .unwrap();
    drop(hand);
    snapshot!("errors_older", world.run(["list"]).failed(6).shown());
    world.run(["init"]).done();
    world.issue(["--owner", "org_42"]);
}

#[test]
fn records_that_are_damaged_are_named_and_the_others_are_read() {
    let world = World::new();
    world.issue(["--owner", "org_42"]);
    let (_, id) = world.issue(["--owner", "org_43"]);
    let hand = by_hand(&world);
    hand.execute_batch("PRAGMA ignore_check_constraints = ON")
        .unwrap();
    hand.execute(
        "UPDATE keygate_keys SET metadata = '{' WHERE id = ?1",
        [&id],
    )
    .unwrap();
    let mut seen = String::new();
    for (arguments, code) in [
        (&["list", "--owner", "org_43"] as &[&str], 0),
        (&["show", &id], 6),
        (&["report", "idle", "--owner", "org_43"], 0),
        (&["revoke", &id, "--yes"], 6),
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.code, code, "{}", ran.shown());
        assert!(ran.err.contains(&id), "{}", ran.shown());
        seen += &ran.shown_of([id.as_str()]);
    }
    snapshot!("errors_damaged", seen);
    for report in ["idle", "old", "over-privileged", "expiring"] {
        let ran = world.run(["report", report]).done();
        assert!(ran.err.contains(&id), "{}", ran.shown());
        let json = world.run(["report", report, "--json"]).json();
        assert!(json["unreadable"].to_string().contains(&id), "{json}");
    }
    let peppers = world.run(["report", "pepper", "--json"]).json();
    assert_eq!(peppers["unreadable_keys"], 1);
    let listed = world.run(["list", "--json"]).json();
    assert_eq!(listed["keys"][0]["owner"], "org_42");
    assert_eq!(listed["unreadable"][0]["key_id"], id);
}

#[test]
fn a_sqlite_file_that_is_held_by_another_is_given_up() {
    let world = World::new();
    let hand = by_hand(&world);
    hand.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.run(["list"]).done();
    let ran = in_time(|| world.run(["issue", "--owner", "org_42", "--out", "key"])).failed(6);
    snapshot!("errors_locked", ran.shown());
    assert!(!world.path("key").exists());
}

#[test]
fn a_sqlite_file_that_may_not_be_written_is_refused_by_name() {
    let world = World::new();
    let mut seen = String::new();
    // Modes do not stop the super-user.
    let other = rustix::process::geteuid().is_root().then_some(65_534);
    let run = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        if let Some(other) = other {
            command.uid(other).gid(other);
        }
        command.output()
    };
    for name in ["", "keys.db", "pepper", "keygate.toml"] {
        chown(world.path(name), other, other).unwrap();
    }
    if !run(&["--version"]).is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: another user cannot run the program where it lies");
        return;
    }
    let mode = |name: &str, mode| {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let mut refused = |arguments: &[&str]| {
        let ran = run(arguments).unwrap();
        assert_eq!(ran.status.code(), Some(6));
        seen += &String::from_utf8(ran.stderr).unwrap();
    };
    mode("keys.db", 0o400);
    refused(&["list"]);
    refused(&["issue", "--owner", "org_42"]);
    mode("keys.db", 0o600);
    for beside in ["keys.db-wal", "keys.db-shm"] {
        let _ = fs::remove_file(world.path(beside));
    }
    mode("", 0o500);
    refused(&["issue", "--owner", "org_42"]);
    mode("", 0o700);
    let directory = fs::canonicalize(world.path("")).unwrap();
    snapshot!(
        "errors_read_only",
        seen.replace(directory.to_str().unwrap(), "[directory]")
    );
}
