//! Pausing keys.

use crate::service::opens;
use crate::support::{World, snapshot};
use crate::terminal::Terminal;

#[tokio::test]
async fn a_paused_key_opens_nothing_until_it_is_enabled() {
    let world = World::new();
    let (text, id) = world.issue(["--owner", "org_42", "--name", "CI", "--scope", "a"]);
    world.run(["disable", &id]).failed(8);
    assert!(opens(&world, &text, "a").await);

    let mut terminal = Terminal::run(&world, ["disable", &id]);
    terminal
        .expect("Disable: ")
        .expect("\"CI\" of org_42, last used ");
    let (code, screen) = terminal.expect("[y/N]").type_line("yes").end();
    assert_eq!(code, 0, "{screen}");
    assert!(!opens(&world, &text, "a").await);

    let again = world.run(["disable", &id, "--yes"]).done();
    snapshot!("disable", again.shown_of([id.as_str()]));
    let enabled = world.run(["enable", &id, "--json"]).json();
    assert_eq!(enabled["keys"][0]["status"], "active");
    assert!(opens(&world, &text, "a").await);
}

#[test]
fn a_revoked_key_is_neither_and_hinders_no_other() {
    let world = World::new();
    let ids = [(); 2].map(|()| world.issue(["--owner", "org_42"]).1);
    world.run(["revoke", &ids[0], "--yes"]).done();
    let [revoked, other] = ids.each_ref().map(String::as_str);
    let ran = world.run(["disable", revoked, other, "--yes"]).failed(4);
    assert!(ran.err.contains("revoked: issue another"), "{}", ran.err);
    assert!(
        ran.err.contains(&format!("disabled: {other}")),
        "{}",
        ran.err
    );
    let alone = world.run(["enable", revoked]).failed(4);
    assert_eq!(
        alone.err,
        format!("keygate: {revoked}: the key is revoked: issue another\n")
    );
    // Also where nobody reads the rest.
    let unread = world.run_unread(["disable", revoked, other, "--yes"]);
    assert!(unread.failed(4).err.contains("revoked: issue another"));
    let shown = world.run(["show", other, "--json"]).json();
    assert_eq!(shown["info"]["status"], "disabled");
}
