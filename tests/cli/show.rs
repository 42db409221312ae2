//! All of a key, and how it is used.

use crate::service::Service;
use crate::support::{World, snapshot};

#[tokio::test]
async fn a_key_is_shown_with_all_that_it_is_and_how_it_is_used() {
    let world = World::new();
    let service = Service::start(&world).await;
    let (text, id) = world.issue([
        "--owner",
        "org_42",
        "--name",
        "CI",
        "--scope",
        "orders:read,write",
        "--allow-ip",
        "10.0.0.0/8",
        "--rate-limit",
        "60/min",
        "--metadata",
        "ticket=OPS-17",
    ]);
    let unused = world.run(["show", &id]).done();
    snapshot!("show_unused", unused.shown_of([id.as_str()]));
    world.run(["change", &id, "--from-everywhere"]).done();
    assert!(service.opens(&text, "orders:read").await);
    service.stop().await;

    let used = world.run(["show", &id, "--idle-for", "1d"]).done();
    assert!(!used.out.contains(&text[text.len() - 49..]));
    snapshot!("show_used", used.shown_of([id.as_str()]));
    let json = world.run(["show", &id, "--json"]).json();
    assert_eq!(json["info"]["key_id"], id.as_str());
    assert_eq!(json["usage"]["requests"], 1);
    assert_eq!(json["usage"]["scopes"][0]["scope"], "orders:read");
    assert_eq!(json["safe_to_revoke"], false);
    assert!(json["safety"]["in_use"].is_object(), "{json}");
    // Idle for no time is idle.
    let json = world
        .run(["show", &id, "--idle-for", "0s", "--json"])
        .json();
    assert_eq!(json["safe_to_revoke"], true);

    world.run(["rotate", &id]).done();
    let json = world.run(["show", &id, "--json"]).json();
    assert_eq!(json["safe_to_finish_rotation"], false);
}

#[test]
fn a_key_that_is_not_there_is_named_and_what_is_no_id_is_not_shown() {
    let world = World::new();
    snapshot!(
        "show_unknown",
        world.run(["show", "4KX9vQ2mB7tZ"]).failed(3).shown()
    );
    let ran = world.run(["show", "fivefivefive"]).failed(3);
    assert!(ran.err.contains("there is no key fivefivefive"));
    let ran = world.run(["show", "hunter2-is-no-id"]).failed(2);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}
