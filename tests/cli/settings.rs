//! Where settings come from: flags, then the environment, then a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use crate::support::{World, snapshot};
use crate::terminal::Terminal;

/// A store in this directory of the world, with one key of an owner who is named as it is.
fn store_in(world: &World, name: &str) {
    fs::create_dir(world.path(name)).unwrap();
    let config = format!("{name}/keygate.toml");
    let store = format!("./{name}/keys.db");
    world
        .run([
            "init",
            "--config",
            &config,
            "--prefix",
            "acme_live",
            "--store",
            &store,
        ])
        .done();
    world
        .run([
            "issue",
            "--config",
            &config,
            "--owner",
            name,
            "--out",
            &format!("{name}/key"),
        ])
        .done();
}

fn owner_in(world: &World, arguments: &[&str]) -> String {
    let listed = world.run(["list", "--json"].iter().chain(arguments)).json();
    listed["keys"][0]["owner"].as_str().unwrap().to_owned()
}

#[test]
fn a_flag_comes_before_a_variable_and_a_variable_before_the_file() {
    let mut world = World::empty();
    for name in ["file", "variable", "flag"] {
        store_in(&world, name);
    }
    fs::copy(world.path("file/keygate.toml"), world.path("keygate.toml")).unwrap();
    // All stores with the peppers of all, so that only the store differs.
    let place = |name: &str, file: &str| {
        world
            .path(&format!("{name}/{file}"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    let [flag, variable] =
        ["flag", "variable"].map(|name| (place(name, "keys.db"), place(name, "pepper")));
    assert_eq!(owner_in(&world, &["--config", "file/keygate.toml"]), "file");

    world = world
        .with("KEYGATE_STORE", &variable.0)
        .with("KEYGATE_PEPPER_FILE", &variable.1);
    let file = ["--config", "file/keygate.toml"];
    assert_eq!(owner_in(&world, &file), "variable");
    let flags = ["--store", &flag.0, "--pepper-file", &flag.1];
    assert_eq!(owner_in(&world, &[&file[..], &flags].concat()), "flag");
    // Each setting by itself: this pepper is not the one of that store.
    world
        .run(["list", "--config", file[1], "--store", &flag.0])
        .failed(7);
    world
        .run(["list", "--config", file[1], "--pepper-file", &flag.1])
        .failed(7);
}

#[test]
fn the_pepper_itself_may_be_in_the_environment_and_comes_before_the_file() {
    let world = World::new();
    world.issue(["--owner", "org_42"]);
    let pepper = world.read("pepper");
    let other = "x7EOrzVsXJvkdGcVVjVyuVzbJmXTVMYzIrlQOqXaaTg=";
    let world = world.with("KEYGATE_PEPPER", other);
    world.run(["list"]).failed(7);
    world.run(["list", "--pepper-file", "pepper"]).done();
    world.write(
        "keygate.toml",
        "store = \"keys.db\"\nprefix = \"acme_live\"\n",
    );
    let world = world.with("KEYGATE_PEPPER", pepper.trim());
    world.run(["list"]).done();
}

#[test]
fn prefix_and_user_are_taken_from_the_nearest_place() {
    let world = World::new();
    let prefix_of = |world: &World, more: &[&str]| {
        let (text, _) = world.issue(
            ["--owner", "org_42"]
                .iter()
                .copied()
                .chain(more.iter().copied()),
        );
        text.rsplit_once('_')
            .unwrap()
            .0
            .rsplit_once('_')
            .unwrap()
            .0
            .to_owned()
    };
    assert_eq!(prefix_of(&world, &[]), "acme_live");
    let world = world
        .with("KEYGATE_PREFIX", "acme_test")
        .with("KEYGATE_USER", "grace");
    assert_eq!(prefix_of(&world, &[]), "acme_test");
    assert_eq!(
        prefix_of(&world, &["--prefix", "acme_dev", "--user", "linus"]),
        "acme_dev"
    );
    // As a job has it, with no name.
    let mut command = world.command(["issue", "--owner", "org_42", "--user", ""]);
    assert!(command.env_remove("USER").status().unwrap().success());

    let hand = rusqlite::Connection::open(world.path("keys.db")).unwrap();
    let mut who = hand
        .prepare("SELECT actor_user FROM keygate_audit ORDER BY rowid")
        .unwrap();
    let who = who.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let who: Vec<String> = who.map(Result::unwrap).collect();
    let number = format!("uid {}", rustix::process::getuid().as_raw());
    assert_eq!(who, ["ada", "grace", "linus", &number]);
}

#[test]
fn paths_in_a_file_count_from_its_directory() {
    let world = World::empty();
    store_in(&world, "etc");
    assert!(world.path("etc/pepper").exists() && world.path("etc/keys.db").exists());
    fs::create_dir(world.path("elsewhere")).unwrap();
    let here = world.path("elsewhere");
    let listed = world
        .command(["list", "--config", "../etc/keygate.toml"])
        .current_dir(here)
        .output();
    assert!(listed.unwrap().status.success());

    // Also where the directory has what makes a store no path.
    store_in(&world, "etc@host:1");
    world.write(
        "etc@host:1/keygate.toml",
        "store = \"keys.db\"\nprefix = \"acme_live\"\npepper_file = \"pepper\"\n",
    );
    assert_eq!(
        owner_in(&world, &["--config", "etc@host:1/keygate.toml"]),
        "etc@host:1"
    );

    world.write("etc/certificate", "none");
    world.write(
        "etc/redis.toml",
        "store = \"rediss://127.0.0.1:1\"\nprefix = \"acme_live\"\npepper_file = \"pepper\"\n[redis]\nroot_certificate = \"certificate\"\n",
    );
    let ran = world.run(["list", "--config", "etc/redis.toml"]).failed(2);
    assert!(
        ran.err.contains("root certificate cannot be read"),
        "{}",
        ran.err
    );
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let world = World::new();
    let seen = [
        world.run(["list", "--config", "no.toml"]).failed(2).shown(),
        world
            .with("KEYGATE_CONFIG", "no.toml")
            .run(["list"])
            .failed(2)
            .shown(),
    ];
    snapshot!("settings_missing", seen.concat());
    let world = World::empty();
    store_in(&world, "etc");
    let world = world.with("KEYGATE_CONFIG", "etc/keygate.toml");
    assert_eq!(owner_in(&world, &[]), "etc");
}

#[test]
fn the_errors_of_a_file_name_the_line_and_show_no_value() {
    let world = World::new();
    let mut seen = String::new();
    for text in [
        "prefix = \"acme_live\"\nstoer = \"postgres://u:hiddenword@h/db\"\n",
        "store = \"postgres://u:hiddenword@h/db\n",
        "store = [\"postgres://u:hiddenword@h/db\"]\n",
        "\n\npostgres = \"postgres://u:hiddenword@h/db\"\n",
        "\"postgres://u:hiddenword@h/db\" = 1\n",
        "prefix = 12\n",
        "[policy]\nmax_lifetime = \"hiddenword\"\n",
        "[redis]\nassume_durable = \"hiddenword\"\n",
        "store = \"u:hiddenword@h/db\"\n",
        "store = \"mysql://u:hiddenword@h/db\"\n",
    ] {
        world.write("keygate.toml", text);
        seen += &world.run(["list"]).failed(2).shown();
    }
    assert!(!seen.contains("hiddenword"), "{seen}");
    snapshot!("settings_flawed", seen);
}

#[test]
fn both_places_of_a_pepper_in_the_environment_are_one_too_many() {
    let world = World::new()
        .with("KEYGATE_PEPPER", "x")
        .with("KEYGATE_PEPPER_FILE", "pepper");
    snapshot!(
        "settings_two_peppers",
        world.run(["list"]).failed(2).shown()
    );
    // A flag is nearer than both.
    world.run(["list", "--pepper-file", "pepper"]).done();
}

#[test]
fn a_file_that_others_may_write_is_read_only_where_it_was_named() {
    let world = World::new();
    let file = world.path("keygate.toml");
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let mut seen = String::new();
    let mut refused = || {
        seen += &world.run(["list"]).failed(2).shown();
        world.run(["list", "--config", "keygate.toml"]).done();
    };
    mode(0o646);
    refused();
    mode(0o664);
    world.run(["list"]).done();
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only the super-user can give files away");
        return;
    }
    chown(&file, None, Some(1)).unwrap();
    refused();
    mode(0o600);
    chown(&file, Some(1), None).unwrap();
    refused();
    chown(&file, Some(0), Some(0)).unwrap();
    world.run(["list"]).done();
    // A link that somebody has put there leads to a file of ours that is meant for another place.
    fs::rename(&file, world.path("other.toml")).unwrap();
    symlink("other.toml", &file).unwrap();
    world.run(["list"]).done();
    std::os::unix::fs::lchown(&file, Some(1), None).unwrap();
    refused();
    snapshot!("settings_of_others", seen);
}

#[test]
fn a_pipe_in_the_place_of_the_file_holds_nobody_up() {
    let world = World::empty();
    let made = std::process::Command::new("mkfifo")
        .arg(world.path("keygate.toml"))
        .status();
    assert!(made.unwrap().success());
    let (code, screen) = Terminal::run(&world, ["list"]).end();
    assert_eq!(code, 2, "{screen}");
    assert!(screen.contains("is no file"), "{screen}");
}
