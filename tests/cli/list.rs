//! Listing keys, and finding some.

use crate::support::{World, snapshot};

#[test]
fn keys_are_listed_page_by_page_and_found_by_what_they_are() {
    let world = World::new();
    let mut ids: Vec<String> = ["CI", "Deploy", "Night job"]
        .iter()
        .map(|name| {
            world
                .issue([
                    "--owner",
                    "org_42",
                    "--name",
                    name,
                    "--metadata",
                    "team=Payments",
                ])
                .1
        })
        .collect();
    ids.sort();
    let first = world.run(["list", "--limit", "2", "--json"]).json();
    assert_eq!(first["next"], ids[1]);
    let second = world.run(["list", "--after", &ids[1], "--json"]).json();
    assert_eq!(
        (&second["keys"][0]["key_id"], &second["next"]),
        (&ids[2].clone().into(), &serde_json::Value::Null)
    );

    let found = world.run(["list", "--match", "deploy"]).done();
    snapshot!("list_match", found.shown_of(ids.iter().map(String::as_str)));
    let team = world.run(["list", "--match", "payments", "--json"]).json();
    assert_eq!(team["keys"].as_array().unwrap().len(), 3);
    snapshot!(
        "list_nothing",
        world.run(["list", "--owner", "org_43"]).done().shown()
    );
}

#[test]
fn a_damaged_record_is_told_once_with_the_page_that_it_belongs_to() {
    let world = World::new();
    let issue = |_| world.issue(["--owner", "org_42"]).1;
    let mut ids: Vec<String> = (0..3).map(issue).collect();
    ids.sort();
    let hand = rusqlite::Connection::open(world.path("keys.db")).unwrap();
    let damage = "UPDATE keygate_keys SET format = 99 WHERE id = ?1";
    hand.execute(damage, [&ids[2]]).unwrap();
    let first = world.run(["list", "--limit", "1", "--json"]).json();
    assert_eq!(first["unreadable"].as_array().unwrap().len(), 0);
    assert_eq!(first["next"], ids[0]);
    let rest = ["list", "--limit", "1", "--after", &ids[0]];
    let second = world.run(rest.into_iter().chain(["--json"])).json();
    assert_eq!(second["unreadable"][0]["key_id"], ids[2]);
    assert_eq!(
        (&second["keys"][0]["key_id"], &second["next"]),
        (&ids[1].clone().into(), &serde_json::Value::Null)
    );
    let shown = world.run(rest).done();
    assert!(
        shown
            .err
            .starts_with(&format!("{} cannot be read: ", ids[2])),
        "{}",
        shown.err
    );
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let world = World::new();
    snapshot!(
        "list_no_database",
        world.run(["list", "--store", "kyes.db"]).failed(6).shown()
    );
    assert!(!world.path("kyes.db").exists());
}
