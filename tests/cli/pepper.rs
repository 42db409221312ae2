//! Making a pepper, and the end of one.

use std::os::unix::fs::PermissionsExt as _;

use keygate::PepperRing;

use crate::support::{World, snapshot};
use crate::terminal::Terminal;

#[test]
fn a_new_pepper_is_all_of_standard_output_and_stands_nowhere_else() {
    let world = World::empty();
    let alone = world.run(["pepper", "new"]).done();
    assert_eq!(
        format!("{:?}", PepperRing::parse(&alone.out).unwrap()),
        "[PepperId(1)]"
    );
    let numbered = world.run(["pepper", "new", "--id", "7"]).done();
    let ring = PepperRing::parse(&numbered.out).unwrap();
    assert_eq!(format!("{ring:?}"), "[PepperId(7)]");
    for ran in [&alone, &numbered] {
        assert!(!ran.err.contains(ran.out.trim_start_matches("7:").trim()));
    }
    assert_ne!(alone.out, numbered.out.trim_start_matches("7:"));
    let json = world.run(["pepper", "new", "--id", "7", "--json"]).json();
    assert!(PepperRing::parse(json["pepper"].as_str().unwrap()).is_ok());
}

#[test]
fn a_file_gets_the_pepper_and_is_its_owners_alone() {
    let world = World::empty();
    let run = || world.run(["pepper", "new", "--id", "2", "--out", "pepper.2"]);
    let ran = run().done();
    let text = world.read("pepper.2");
    assert!(PepperRing::parse(&text).is_ok());
    let mode = world
        .path("pepper.2")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!ran.shown().contains(text["2:".len()..].trim()));
    snapshot!("pepper_to_a_file", ran.shown());
    run().failed(2);
    assert_eq!(world.read("pepper.2"), text);
}

/// A store of pepper 1, whose settings have pepper 2 as the active one before it.
fn changed(world: &World) -> String {
    let old = world.read("pepper");
    let new = world.run(["pepper", "new", "--id", "2"]).done().out;
    world.write("pepper", &format!("{}\n1:{old}", new.trim()));
    old
}

#[test]
fn a_pepper_that_no_key_needs_is_retired_once_confirmed() {
    let world = World::new();
    let old = changed(&world);
    snapshot!(
        "pepper_retire_unasked",
        world.run(["pepper", "retire", "1"]).failed(8).shown()
    );
    let ring = world.read("pepper");
    world.write("pepper", &old);
    world.run(["list"]).done();
    world.write("pepper", &ring);
    snapshot!(
        "pepper_retire",
        world.run(["pepper", "retire", "1", "--yes"]).done().shown()
    );
    world.write("pepper", &old);
    world.run(["list"]).failed(7);
    world.write("pepper", &ring);
    let json = world.run(["pepper", "retire", "1", "-y", "--json"]).json();
    assert_eq!(json, serde_json::json!({ "retired": 1 }));
    // A slip of the pen is not taken for it.
    let unknown = world.run(["pepper", "retire", "11", "--yes"]).failed(7);
    snapshot!("pepper_retire_unknown", unknown.shown());
}

#[test]
fn who_is_asked_can_say_no() {
    let world = World::new();
    let old = changed(&world);
    let mut terminal = Terminal::run(&world, ["pepper", "retire", "1"]);
    terminal.expect("[y/N]").type_line("n");
    assert_eq!(terminal.end().0, 8);
    world.write("pepper", &old);
    world.run(["list"]).done();
}

#[test]
fn a_pepper_that_is_needed_stays() {
    let world = World::new();
    world.issue(["--owner", "org_42"]);
    let retire = |id| world.run(["pepper", "retire", id, "--yes"]);
    retire("1").failed(2);
    let unasked = world.run(["pepper", "retire", "1"]).failed(2);
    assert!(unasked.err.contains("is active"), "{}", unasked.err);
    changed(&world);
    snapshot!("pepper_retire_needed", retire("1").failed(4).shown());
    retire("2").failed(2);
    world.run(["list"]).done();
}
