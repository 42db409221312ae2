//! Changing what a key is.

use serde_json::{Value, json};

use crate::support::{World, snapshot};
use crate::terminal::Terminal;

#[test]
fn what_is_not_named_stays_as_it_is() {
    let world = World::new();
    let made = [
        "--name",
        "CI",
        "--rate-limit",
        "60/min",
        "--metadata",
        "a=1",
    ];
    let (_, id) = world.issue(["--owner", "org_42"].into_iter().chain(made));
    let before = world.info(&id);
    let changed = world.run(["change", &id, "--name", "Deploy"]).done();
    snapshot!("change", changed.shown_of([id.as_str()]));
    let mut expected = before;
    expected["name"] = json!("Deploy");
    expected["version"] = json!(2);
    assert_eq!(world.info(&id), expected);

    world.run(["change", &id, "--no-rate-limit"]).done();
    assert_eq!(world.info(&id)["rate_limit"], Value::Null);
    world.run(["change", &id]).failed(2);
    world.run(["change", &id, "--yes"]).failed(2);
    world
        .run(["change", &id, "--rate-limit", "1/s", "--no-rate-limit"])
        .failed(2);
    let again = world
        .run(["change", &id, "--name", "Deploy", "--json"])
        .json();
    assert_eq!(again["changed"], false);
}

#[test]
fn notes_are_changed_one_by_one() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "o", "--metadata", "a=1", "--metadata", "b=2"]);
    let change = ["change", &id, "--metadata", "b=3", "--metadata", "c=4"];
    world.run(change).done();
    assert_eq!(
        world.info(&id)["metadata"],
        json!({"a": "1", "b": "3", "c": "4"})
    );
    world.run(["change", &id, "--drop-metadata", "b"]).done();
    assert_eq!(world.info(&id)["metadata"], json!({"a": "1", "c": "4"}));
    let ran = world
        .run(["change", &id, "--drop-metadata", "b", "--name", "x"])
        .failed(4);
    assert!(ran.err.contains("no metadata \"b\""), "{}", ran.err);
    assert_eq!(world.info(&id)["name"], "");
}

#[test]
fn an_earlier_end_and_lost_networks_are_asked_about() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--name", "CI"]);
    let asked = world.run(["change", &id, "--expires-in", "1d"]).failed(8);
    assert!(asked.err.contains("it ends 20"), "{}", asked.err);
    let asked = world.run(["change", &id, "--expires-at", "2026-12-24"]);
    assert_eq!(
        asked.code,
        if asked.err.contains("not in the future") {
            2
        } else {
            8
        }
    );
    world.run(["change", &id, "--never-expires"]).done();
    world.run(["change", &id, "--expires-in", "365d"]).failed(8);
    world
        .run(["change", &id, "--expires-in", "365d", "--yes"])
        .done();
    world.run(["change", &id, "--expires-in", "366d"]).done();

    let bind = |networks: &[&'static str]| {
        let networks = networks.iter().flat_map(|network| ["--allow-ip", network]);
        ["change", &id]
            .into_iter()
            .chain(networks)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let asked = world.run(bind(&["10.0.0.0/8"])).failed(8);
    assert!(
        asked.err.contains("it works from 10.0.0.0/8 alone"),
        "{}",
        asked.err
    );
    let change = bind(&["10.0.0.0/8", "192.0.2.7"]);
    let mut terminal = Terminal::run(&world, change.iter().map(String::as_str));
    let (code, screen) = terminal.expect("[y/N]").type_line("y").end();
    assert_eq!(code, 0, "{screen}");
    // Within larger ones nothing is lost.
    world.run(bind(&["10.0.0.0/7", "192.0.2.0/24"])).done();
    let asked = world.run(bind(&["192.0.2.7"])).failed(8);
    assert!(
        asked
            .err
            .contains("it does not work from 10.0.0.0/7 192.0.2.0/24 any more"),
        "{}",
        asked.err
    );
    world.run(bind(&["nowhere"])).failed(2);
    world.run(["change", &id, "--from-everywhere"]).done();
    assert_eq!(world.info(&id)["allowed_ips"], json!([]));
}

#[test]
fn an_ended_key_stays_as_it_is() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42"]);
    world.run(["revoke", &id, "--yes"]).done();
    world.run(["change", &id, "--never-expires"]).failed(4);
}
