//! Setting a store up.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{PREFIX, World, snapshot};

#[test]
fn a_store_is_set_up_once_and_what_is_there_stays_as_it_is() {
    let world = World::empty();
    let arguments = ["init", "--prefix", PREFIX, "--store", "keys.db"];
    snapshot!("init", world.run(arguments).done().shown());
    let files = ["keygate.toml", "pepper", "keys.db"];
    for name in files {
        let mode = world.path(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let before = [world.read("keygate.toml"), world.read("pepper")];
    snapshot!("init_again", world.run(["init"]).done().shown());
    assert_eq!([world.read("keygate.toml"), world.read("pepper")], before);
}

#[test]
fn settings_that_name_another_store_are_left_and_told_of() {
    let world = World::new();
    let before = world.read("keygate.toml");
    let ran = world.run(["init", "--store", "other.db"]).done();
    snapshot!("init_another", ran.shown());
    assert_eq!(world.read("keygate.toml"), before);
}

#[test]
fn a_store_with_keys_gets_no_second_pepper() {
    let world = World::new();
    std::fs::remove_file(world.path("pepper")).unwrap();
    snapshot!(
        "init_without_its_pepper",
        world.run(["init"]).failed(7).shown()
    );
    assert!(!world.path("pepper").exists());
}

#[test]
fn nothing_is_made_where_something_is_missing_or_wrong() {
    let world = World::empty();
    for arguments in [
        &["init"] as &[&str],
        &["init", "--prefix", PREFIX],
        &["init", "--store", "keys.db"],
        &["init", "--store", "keys.db", "--prefix", "Acme-Live"],
        &[
            "init",
            "--store",
            "mysql://localhost/keys",
            "--prefix",
            PREFIX,
        ],
    ] {
        world.run(arguments).failed(2);
        assert_eq!(
            std::fs::read_dir(world.path("")).unwrap().count(),
            0,
            "{arguments:?}"
        );
    }
}

#[test]
fn a_password_is_not_written_to_the_file_of_settings() {
    let Some(server) = crate::servers::redis::RedisServer::start() else {
        return;
    };
    // A server without a password takes any.
    let url = server.url().replace("://", "://:secretword@");
    let world = World::empty();
    let ran = world
        .run(["init", "--prefix", PREFIX, "--store", &url])
        .done();
    assert!(ran.err.contains("holds a password"), "{}", ran.err);
    let written = world.read("keygate.toml");
    assert!(
        written.contains(PREFIX) && !written.contains("secretword"),
        "{written}"
    );
}
