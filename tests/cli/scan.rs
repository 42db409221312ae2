//! Looking for keys where none should be.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::common::{secret_of, with_wrong_secret};
use crate::support::{PREFIX, World, snapshot};
use crate::terminal::Terminal;

/// A well-formed key of no store.
const KEY: &str = "acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy4czicd";

/// Files in which keys stand, and one behind a link in which one does.
fn littered() -> World {
    let world = World::empty().with("KEYGATE_PREFIX", PREFIX);
    for directory in ["logs", "logs/old", "elsewhere"] {
        fs::create_dir(world.path(directory)).unwrap();
    }
    world.write("logs/app.log", &format!("start\n\ntoken={KEY}{KEY}\nend\n"));
    world.write("logs/old/core", &format!("\0\n\u{1}{KEY}"));
    world.write("logs/clean.log", "acme_live_4KX9vQ2mB7tZ_[redacted]\n");
    world.write("elsewhere/app.log", KEY);
    symlink(world.path("elsewhere"), world.path("logs/link")).unwrap();
    symlink(world.path("elsewhere/app.log"), world.path("logs/link.log")).unwrap();
    world
}

#[test]
fn each_key_is_named_by_its_place_and_no_secret_is_shown() {
    let world = littered();
    let ran = world.run(["scan", "logs"]).failed(5);
    snapshot!("scan", ran.shown());
    let json = world.run(["scan", "logs", "--json"]);
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    let places: Vec<_> = answer["findings"].as_array().unwrap().iter().collect();
    let place = |n: usize| (&places[n]["file"], &places[n]["line"], &places[n]["offset"]);
    assert_eq!(place(1), (&"logs/app.log".into(), &3.into(), &85.into()));
    assert_eq!(place(2), (&"logs/old/core".into(), &Value::Null, &3.into()));
    assert_eq!((json.code, &answer["found"]), (5, &3.into()));
    for ran in [ran, json] {
        assert!(!ran.shown().contains(secret_of(KEY)));
    }
}

#[test]
fn where_there_is_none_it_is_done() {
    let world = littered();
    let ran = world.run(["scan", "logs/clean.log", "keygate.toml-"]);
    assert_eq!(ran.code, 1);
    snapshot!(
        "scan_none",
        world.run(["scan", "logs/clean.log"]).done().shown()
    );
    let json = world.run(["scan", "logs/clean.log", "--json"]).json();
    assert_eq!(json["findings"], Value::Array(Vec::new()));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_scanned() {
    let world = littered();
    let nothing = ["scan", "missing", "/proc/self/mem", "logs/clean.log"];
    snapshot!("scan_unreadable", world.run(nothing).failed(1).shown());
    let found = ["scan", "missing", "elsewhere", "--json"];
    let ran = world.run(found);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &answer["found"]), (5, &1.into()));
    assert_eq!(answer["unreadable"][0]["file"], "missing");
}

#[test]
fn standard_input_may_be_any_bytes() {
    let world = World::empty();
    let mut input = b"+\xff\xfe\x80\n".repeat(50_000);
    input.extend(format!("+{KEY}\n").as_bytes());
    for arguments in [
        &["scan", "--prefix", PREFIX] as &[&str],
        &["scan", "--prefix", PREFIX, "-"],
        &["scan", "--prefix", "other", "--also", PREFIX],
    ] {
        let ran = world.run_with(&input, arguments).failed(5);
        assert_eq!(ran.out, "-:50001: acme_live_aWFe…\n");
    }
    let other = ["scan", "--prefix", "other"];
    world.run_with(&input, other).done();
}

#[test]
fn only_so_many_are_shown_and_all_are_counted() {
    let world = littered();
    let ran = world.run(["scan", "logs", "--limit", "1"]).failed(5);
    snapshot!("scan_limit", ran.shown());
    let json = world.run(["scan", "logs", "--limit", "1", "--json"]);
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(answer["findings"].as_array().unwrap().len(), 1);
    assert_eq!(answer["found"], 3);
}

#[test]
fn a_key_of_the_store_is_told_by_its_right_secret_alone() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42", "--name", "CI"]);
    let forged = with_wrong_secret(&text);
    let input = format!("{text}\n{forged}\n{KEY}\n{text}\n");
    let ran = world.run_with(&input, ["scan", "--identify"]).failed(5);
    let hidden = ran.shown_of([id.as_str()]);
    snapshot!("scan_identify", hidden);
    let json = world.run_with(&input, ["scan", "--identify", "--json"]);
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    let identity = |n: usize| &answer["findings"][n]["identity"];
    assert_eq!(identity(0)["key_id"], id);
    assert_eq!(identity(0), identity(3));
    assert_eq!(identity(1), &serde_json::json!({ "is": "unknown" }));
    for shown in [ran.shown(), json.shown()] {
        assert!(!shown.contains(secret_of(&text)) && !shown.contains(secret_of(&forged)));
    }
}

#[tokio::test]
async fn an_old_secret_and_a_revoked_key_are_told_as_such() {
    let world = World::new();
    let (old, id) = world.issue(["--owner", "org_42"]);
    let (revoked, other) = world.issue(["--owner", "org_43"]);
    let manager = world.gate().await.build_manager().await.unwrap();
    let new = manager.rotate(&id.parse().unwrap()).await.unwrap();
    let _ = manager.revoke(&other.parse().unwrap(), "").await.unwrap();
    let input = format!("{old}\n{}\n{revoked}\n", new.key.expose());
    let json = world.run_with(&input, ["scan", "--identify", "--json"]);
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    let identity = |n: usize| &answer["findings"][n]["identity"];
    assert_eq!(identity(0)["secret"], "previous");
    assert_eq!(identity(1)["secret"], "current");
    assert_eq!(identity(2)["status"], "revoked");
    assert_eq!(identity(0)["secret_ended"], false);
    manager.finish_rotation(&id.parse().unwrap()).await.unwrap();
    for arguments in [&["scan", "--identify"] as &[&str], &["verify"]] {
        let ran = world.run_with(&old, arguments);
        let told = "previous secret, which has ended";
        assert!(ran.code == 5 && ran.out.contains(told), "{}", ran.out);
    }
}

#[test]
fn a_scan_that_waits_for_its_input_hears_ctrl_c() {
    let world = littered();
    let mut terminal = Terminal::run(&world, ["scan"]);
    terminal.expect("up to Ctrl-D").interrupt();
    assert_eq!(terminal.end().0, 130);
}
