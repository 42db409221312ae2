//! Ending keys for good.

use rusqlite::Connection;

use crate::service::opens;
use crate::support::{World, snapshot};
use crate::terminal::Terminal;

/// A record that a newer version has written, which this one does not change.
fn spoil(world: &World, id: &str) {
    let hand = Connection::open(world.path("keys.db")).unwrap();
    let spoilt = hand.execute("UPDATE keygate_keys SET format = 99 WHERE id = ?1", [id]);
    assert_eq!(spoilt.unwrap(), 1);
}

/// Three keys of an owner.
fn three(world: &World) -> [String; 3] {
    ["CI", "Deploy", "Night job"].map(|name| world.issue(["--owner", "org_42", "--name", name]).1)
}

#[tokio::test]
async fn a_key_is_ended_once_and_it_is_said_from_when() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42", "--name", "CI", "--scope", "a"]);
    assert!(opens(&world, &text, "a").await);
    let asked = world.run(["revoke", &id]).failed(8);
    snapshot!("revoke_not_asked", asked.shown_of([id.as_str()]));
    assert_eq!(world.info(&id)["status"], "active");

    let revoke = ["revoke", &id, "--reason", "left the company", "--yes"];
    snapshot!("revoke", world.run(revoke).done().shown_of([id.as_str()]));
    assert!(!opens(&world, &text, "a").await);
    snapshot!(
        "revoke_again",
        world.run(revoke).done().shown_of([id.as_str()])
    );
    let json = world.run(["revoke", &id, "--yes", "--json"]).json();
    assert_eq!(json["keys"][0]["changed"], false);
    assert_eq!(json["keys"][0]["revocation"]["reason"], "left the company");
    assert_eq!(json["effective_within_ms"], 1_000);
}

#[test]
fn all_keys_are_looked_up_before_the_first_is_ended() {
    let world = World::new();
    let [first, ..] = three(&world);
    world
        .run(["revoke", &first, "4KX9vQ2mB7tZ", "--yes"])
        .failed(3);
    assert_eq!(world.info(&first)["status"], "active");
}

#[test]
fn a_failure_in_the_middle_saves_no_other_key_and_is_told() {
    let world = World::new();
    let ids = three(&world);
    let [first, second, third] = ids.each_ref().map(String::as_str);
    let mut terminal = Terminal::run(&world, ["revoke", first, second, third]);
    terminal.expect("Revoke for good: these 3 keys? [y/N]");
    spoil(&world, second);
    let (code, screen) = terminal.type_line("y").end();
    assert_eq!(code, 6, "{screen}");
    assert!(screen.contains(&format!("  {second}: ")), "{screen}");
    assert!(
        screen.contains(&format!("revoked: {first} {third}")),
        "{screen}"
    );
    assert_eq!(world.info(third)["status"], "revoked");
}

#[test]
fn all_keys_of_an_owner_are_ended_and_those_that_cannot_be_are_listed() {
    let world = World::new();
    let [first, second, third] = three(&world);
    world.issue(["--owner", "org_43"]);
    world.run(["revoke", &first, "--yes"]).done();
    let asked = world.run(["revoke", "--owner", "org_42"]).failed(8);
    assert!(
        asked.err.contains("org_42 for good: 3 keys, 2 active?"),
        "{}",
        asked.err
    );
    spoil(&world, &second);
    let ran = world
        .run(["revoke", "--owner", "org_42", "--yes"])
        .failed(6);
    snapshot!("revoke_owner", ran.shown_of([second.as_str()]));
    assert_eq!(world.info(&third)["status"], "revoked");
    let again = world
        .run(["revoke", "--owner", "org_42", "--yes"])
        .failed(6);
    assert!(!again.err.contains("refused everywhere"), "{}", again.err);
    let others = world.run(["list", "--owner", "org_43", "--json"]).json();
    assert_eq!(others["keys"][0]["status"], "active");

    world
        .run(["revoke", "--owner", "org_44", "--yes"])
        .failed(3);
    let neither = world.run(["revoke"]).failed(2);
    assert!(neither.err.contains("--owner <OWNER>"), "{}", neither.err);
    world.run(["revoke", &third, "--owner", "org_42"]).failed(2);
}

#[test]
fn a_question_is_not_rewritten_by_what_somebody_called_a_key() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42", "--name", "\u{202e}IC"]);
    let mut terminal = Terminal::run(&world, ["revoke", &id]);
    terminal.expect("[y/N]");
    let (_, screen) = terminal.type_line("n").end();
    assert!(screen.contains("\"\\u{202e}IC\""), "{screen}");
    assert!(!screen.contains('\u{202e}'));
}
