//! Making a key, and where its text goes.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{World, snapshot};

#[test]
fn the_text_is_all_of_standard_output_and_stands_nowhere_else() {
    let world = World::new();
    let ran = world
        .run([
            "issue",
            "--owner",
            "org_42",
            "--scope",
            "orders:read,write",
            "--name",
            "CI",
        ])
        .done();
    let (out, err) = (ran.out.trim_end(), &ran.err);
    let key = keygate::PresentedKey::parse(out).unwrap();
    assert!(!err.contains(&out[out.len() - 49..]), "{err}");
    snapshot!("issue", ran.shown_of([key.id().as_str()]));
}

#[test]
fn a_file_gets_the_text_and_is_its_owners_alone() {
    let world = World::new();
    let ran = world
        .run(["issue", "--owner", "org_42", "--out", "key"])
        .done();
    let text = world.read("key");
    let key = keygate::PresentedKey::parse(text.trim_end()).unwrap();
    assert_eq!(
        world.path("key").metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let secret = &text.trim_end()[text.len() - 50..];
    assert!(!ran.shown().contains(secret));
    snapshot!("issue_to_a_file", ran.shown_of([key.id().as_str()]));

    // What is there is not written over, and then there is no key either.
    world
        .run(["issue", "--owner", "org_43", "--out", "key"])
        .failed(2);
    assert_eq!(world.read("key"), text);
    let listed = world.run(["list", "--owner", "org_43", "--json"]).json();
    assert!(listed["keys"].as_array().unwrap().is_empty());
    // Nor is there a file where there is no key.
    world
        .run([
            "issue",
            "--owner",
            "org_43",
            "--scope",
            "not a scope",
            "--out",
            "other",
        ])
        .failed(2);
    assert!(!world.path("other").exists());
}

#[test]
fn a_text_that_nobody_could_read_is_said_to_be_lost() {
    let world = World::new();
    let ran = world.run_unread(["issue", "--owner", "org_42"]).failed(1);
    let listed = world.run(["list", "--json"]).json();
    let id = listed["keys"][0]["key_id"].as_str().unwrap();
    let lost = format!("the key {id} was made, and its text is lost");
    assert!(ran.err.contains(&lost), "{}", ran.err);
}
