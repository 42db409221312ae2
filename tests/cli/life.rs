//! The life of a key on a server.

use keygate::PresentedKey;
use serde_json::{Value, json};

use crate::servers::postgres::PostgresServer;
use crate::support::World;

#[test]
fn a_key_lives_on_postgresql_as_in_a_file() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let world = World::on(&server.url());
    let (old, id) = world.issue(["--owner", "org_42", "--name", "CI", "--scope", "a"]);
    let info = |arguments: &[&str]| -> Value { world.run(arguments).json()["info"].clone() };
    let paused = world.run(["disable", &id, "--yes", "--json"]).json();
    assert_eq!(paused["keys"][0]["status"], "disabled");
    world.run(["enable", &id]).done();
    let edit = [
        "scopes", &id, "--add", "b", "--drop", "a", "--yes", "--json",
    ];
    assert_eq!(info(&edit)["scopes"], json!(["b"]));
    let note = ["change", &id, "--metadata", "ticket=OPS-17", "--json"];
    assert_eq!(info(&note)["metadata"], json!({"ticket": "OPS-17"}));

    let new = world.run(["rotate", &id]).done().out;
    assert_eq!(
        PresentedKey::parse(new.trim_end()).unwrap().id().as_str(),
        id
    );
    let leaked = world.run_with(&old, ["leak", "--yes", "--json"]).json();
    assert_eq!(leaked["outcome"], "old_secret_ended");
    let revoked = world
        .run(["revoke", "--owner", "org_42", "--yes", "--json"])
        .json();
    assert_eq!(
        (&revoked["revoked"], &revoked["effective_within_ms"]),
        (&json!(1), &json!(1_000))
    );
    let shown = info(&["show", &id, "--json"]);
    assert_eq!(shown["status"], "revoked");
    assert_eq!(shown["version"], 8);
}
