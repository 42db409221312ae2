//! What a key may do, and changing it.

use serde_json::json;

use crate::service::Service;
use crate::support::{World, snapshot};
use crate::terminal::Terminal;

#[tokio::test]
async fn what_was_needed_is_shown_and_the_rest_can_be_taken_away() {
    let world = World::new();
    let service = Service::start(&world).await;
    let granted = ["--scope", "orders:*", "--scope", "keys:read"];
    let (text, id) = world.issue(["--owner", "org_42"].into_iter().chain(granted));
    world.run(["scopes", &id, "--narrow", "90d"]).failed(4);
    assert!(service.opens(&text, "orders:read").await);
    service.stop().await;

    snapshot!(
        "scopes",
        world.run(["scopes", &id]).done().shown_of([id.as_str()])
    );
    let shown = world.run(["scopes", &id, "--json"]).json();
    assert_eq!(shown["privileges"]["narrowed"], json!(["orders:read"]));
    assert_eq!(shown["privileges"]["unused"], json!(["keys:read"]));
    assert_eq!(shown["needed"][0]["scope"], "orders:read");
    assert_eq!(shown["info"]["scopes"], json!(["keys:read", "orders:*"]));

    let asked = world.run(["scopes", &id, "--narrow", "90d"]).failed(8);
    snapshot!("scopes_narrow_not_asked", asked.shown_of([id.as_str()]));
    world
        .run(["scopes", &id, "--narrow", "90d", "--yes"])
        .done();
    assert_eq!(world.info(&id)["scopes"], json!(["orders:read"]));
}

#[test]
fn what_nobody_has_counted_is_not_taken_for_unused() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--scope", "a"]);
    let ran = world.run(["scopes", &id]).done();
    assert!(ran.err.contains("nothing proves"), "{}", ran.err);
    world
        .run(["scopes", &id, "--narrow", "90d", "--yes"])
        .failed(4);
    assert_eq!(world.info(&id)["scopes"], json!(["a"]));
}

#[test]
fn scopes_are_added_and_dropped_and_dropping_is_asked_about() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--scope", "orders:read,write"]);
    world
        .run(["scopes", &id, "--add", "keys:read,write"])
        .done();
    let all = json!(["keys:read", "keys:write", "orders:read", "orders:write"]);
    assert_eq!(world.info(&id)["scopes"], all);
    for loses in [["--drop", "orders:write"], ["--set", "orders:read"]] {
        let ran = world.run(["scopes", &id].iter().chain(&loses)).failed(8);
        assert!(ran.err.contains("it loses ") && ran.err.contains("orders:write"));
    }
    assert_eq!(world.info(&id)["scopes"], all);
    // A wildcard takes nothing away.
    world
        .run(["scopes", &id, "--set", "orders:*", "--set", "keys:*"])
        .done();
    let ran = world
        .run(["scopes", &id, "--drop", "orders:read", "--yes"])
        .failed(4);
    assert!(ran.err.contains("it has keys:* orders:*"), "{}", ran.err);
    world
        .run(["scopes", &id, "--set", "no scope", "--yes"])
        .failed(2);
    world
        .run(["scopes", &id, "--set", "a", "--add", "b"])
        .failed(2);
    let edit = ["--drop", "keys:*", "--add", "keys:read", "--yes"];
    let changed = world
        .run(["scopes", &id, "--json"].iter().chain(&edit))
        .json();
    assert_eq!(changed["info"]["scopes"], json!(["keys:read", "orders:*"]));
    let changed = world
        .run(["scopes", &id, "--json", "--add", "keys:read"])
        .json();
    assert_eq!(changed["changed"], false);
}

#[test]
fn two_operators_undo_nothing_of_each_other() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--scope", "a", "--scope", "b"]);
    // What the other one has added stays, and what is lost is the same.
    let mut terminal = Terminal::run(&world, ["scopes", &id, "--drop", "b"]);
    terminal.expect("it loses b. Go on? [y/N]");
    world.run(["scopes", &id, "--add", "c"]).done();
    let (code, screen) = terminal.type_line("y").end();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(world.info(&id)["scopes"], json!(["a", "c"]));

    // Where more is lost by it, that is asked again.
    let mut terminal = Terminal::run(&world, ["scopes", &id, "--set", "a"]);
    terminal.expect("it loses c. Go on? [y/N]");
    world.run(["scopes", &id, "--add", "d"]).done();
    terminal.type_line("y").expect("it loses c d. Go on? [y/N]");
    let (code, _) = terminal.type_line("n").end();
    assert_eq!(code, 8);
    assert_eq!(world.info(&id)["scopes"], json!(["a", "c", "d"]));
}

#[test]
fn a_bundle_stands_for_its_scopes() {
    let world = World::declaring(
        "[scopes]\n\"orders:read\" = \"\"\n\"orders:write\" = \"\"\n\"keys:read\" = \"\"\n\
         [bundles]\n\"orders:admin\" = [\"orders:read\", \"orders:write\"]",
    );
    let (_, id) = world.issue(["--owner", "org_42", "--scope", "orders:read"]);
    // Nothing is lost, so nothing is asked.
    world.run(["scopes", &id, "--set", "orders:admin"]).done();
    world.run(["scopes", &id, "--add", "keys:read"]).done();
    let all = json!(["keys:read", "orders:read", "orders:write"]);
    assert_eq!(world.info(&id)["scopes"], all);
    let misspelt = world.run(["scopes", &id, "--add", "keys:raed"]).failed(2);
    assert!(misspelt.err.contains("keys:read"), "{}", misspelt.err);
    let drop = ["scopes", &id, "--drop", "orders:admin", "--yes"];
    world.run(drop).done();
    assert_eq!(world.info(&id)["scopes"], json!(["keys:read"]));
}
