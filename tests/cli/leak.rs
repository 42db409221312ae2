//! Ending a key whose text others could read.

use crate::service::opens;
use crate::support::{World, snapshot};
use crate::terminal::Terminal;

#[tokio::test]
async fn the_key_is_named_and_ended_and_its_text_is_never_shown() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42", "--name", "CI", "--scope", "a"]);
    let secret = &text[text.len() - 49..];
    let asked = world.run_with(&text, ["leak"]).failed(8);
    assert!(
        asked
            .err
            .contains(&format!("the key {id} \"CI\" of org_42"))
    );
    assert!(opens(&world, &text, "a").await);

    let source = "https://paste.example/x7f3";
    let ran = world.run_with(format!("{text}\n"), ["leak", "--source", source, "--yes"]);
    let shown = ran.done().shown_of([id.as_str()]);
    assert!(!shown.contains(secret));
    snapshot!("leak", shown);
    assert!(!opens(&world, &text, "a").await);
    let info = world.info(&id);
    assert_eq!(info["revocation"]["reason"], format!("leaked: {source}"));
    // It has ended, and is noted once more without a question.
    let again = world.run_with(&text, ["leak", "--json"]).json();
    assert_eq!(again["outcome"], "unchanged");
}

#[tokio::test]
async fn of_a_rotation_only_the_secret_that_has_leaked_is_ended() {
    let world = World::new();
    let (old, id) = world.issue(["--owner", "org_42", "--scope", "a"]);
    let new = world.run(["rotate", &id]).done().out;
    world.run_with(&old, ["leak"]).failed(8);
    let leaked = world.run_with(&old, ["leak", "--yes", "--json"]).json();
    assert_eq!(leaked["secret"], "previous");
    assert_eq!(leaked["outcome"], "old_secret_ended");
    assert!(!opens(&world, &old, "a").await);
    assert!(opens(&world, new.trim_end(), "a").await);
    // What was replaced for good ends nothing.
    let again = world.run_with(&old, ["leak", "--json"]).json();
    assert_eq!(again["outcome"], "unchanged");
    assert_eq!(world.info(&id)["status"], "active");
}

#[test]
fn a_leak_can_be_noted_alone() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42"]);
    let ran = world.run_with(&text, ["leak", "--keep"]).done();
    assert!(ran.err.contains("nothing was ended"), "{}", ran.err);
    assert_eq!(world.info(&id)["status"], "active");
}

#[test]
fn without_the_right_secret_nobody_is_accused() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42"]);
    // The same id under the pepper of another world.
    let other = World::new();
    let (stranger, _) = other.issue(["--owner", "org_42"]);
    let broken = format!("{}0", &text[..text.len() - 1]);
    for wrong in [stranger.as_str(), &broken, &id, "nothing of the kind"] {
        let ran = world.run_with(wrong, ["leak", "--yes"]).failed(5);
        assert!(
            ran.err.contains("no key here has this secret"),
            "{}",
            ran.err
        );
        assert!(
            ran.out.is_empty() && !ran.err.contains(wrong),
            "{}",
            ran.err
        );
    }
    world.run_with("", ["leak", "--yes"]).failed(2);
    assert_eq!(world.info(&id)["status"], "active");
}

#[test]
fn a_terminal_does_not_show_what_is_typed() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42"]);
    let mut terminal = Terminal::run(&world, ["leak"]);
    terminal
        .expect("The key (it is not shown): ")
        .type_line(&text);
    let (code, screen) = terminal.expect("[y/N]").type_line("y").end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(&text[..20]), "{screen}");
    assert_eq!(world.info(&id)["status"], "revoked");
}
