//! Starting: configuration, the first key, and starts that are cut off.

use std::fs;
use std::time::{Duration, Instant};

use keygate::store::SqliteStore;
use keygate::{Keygate, NewKey, Pepper};
use serde_json::json;

use crate::support::*;

#[test]
fn the_first_start_prints_one_key_that_survives_a_restart() {
    let (directory, service, key) = started();
    let answer = service.get("/v1/whoami", &key);
    assert_eq!(answer.status, 200);
    assert_eq!(
        (
            answer.body["owner"].as_str(),
            answer.body["expires_at"].is_null()
        ),
        (Some("admin"), true)
    );
    assert_eq!(
        answer.body["scopes"],
        json!(["keys:read", "keys:write", "orders:read", "orders:write"])
    );
    assert_eq!(service.get("/healthz", "").body, json!("ok"));
    assert!(
        service.stop("TERM").status.success(),
        "SIGTERM stops it cleanly"
    );

    let service = Service::start(directory.path());
    assert_eq!(service.bootstrap_keys(), Vec::<String>::new());
    assert_eq!(service.get("/v1/whoami", &key).status, 200);
    assert!(service.stop("INT").status.success(), "so does Ctrl-C");
}

#[test]
fn a_pepper_is_added_to_a_file_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let new = Pepper::generate_base64().unwrap();
    let start = |file: &str, peppers: &str| {
        fs::write(directory.path().join(file), peppers).unwrap();
        Service::spawn(command(directory.path()).env("KEYGATE_PEPPER_FILE", file))
    };
    let behind = start("behind", PEPPER);
    let admin = behind.bootstrap_keys().remove(0);
    let ahead = start("ahead", &format!("2:{} 1:{PEPPER}", *new));
    let (_, key) = ahead.issue(&admin, json!({"owner": "org_42", "scopes": []}));
    assert_eq!(ahead.get("/v1/whoami", &key).status, 200);
    assert_eq!(behind.get("/v1/whoami", &key).status, 503);

    let both = format!("1:{PEPPER} 2:{}", *new);
    fs::write(directory.path().join("behind.new"), both).unwrap();
    let [new_file, file] = ["behind.new", "behind"].map(|name| directory.path().join(name));
    fs::rename(new_file, file).unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    while behind.get("/v1/whoami", &key).status != 200 {
        assert!(Instant::now() < deadline, "it never reads the file again");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn two_starters_on_an_empty_database_print_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let services: Vec<Service> = std::thread::scope(|scope| {
        let starters: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Service::spawn(&mut command(directory.path()))))
            .collect();
        starters
            .into_iter()
            .map(|starter| starter.join().unwrap())
            .collect()
    });
    let keys: Vec<String> = services.iter().flat_map(Service::bootstrap_keys).collect();
    assert_eq!(keys.len(), 1);
    for service in &services {
        assert_eq!(
            service.get("/v1/whoami", &keys[0]).status,
            200,
            "all share one pepper and one file"
        );
    }
    let pepper = fs::metadata(directory.path().join("keygate.db.pepper")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&pepper.permissions()) & 0o777,
        0o600
    );
}

#[test]
fn a_start_that_is_killed_at_any_moment_locks_nobody_out() {
    for delay in (0..120).step_by(8) {
        let directory = tempfile::tempdir().unwrap();
        let mut child = command(directory.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        let cut_off = child.wait_with_output().unwrap();
        let before = String::from_utf8(cut_off.stdout).unwrap();
        let service = Service::spawn(&mut command(directory.path()));
        let mut keys = service.bootstrap_keys();
        keys.extend(
            before
                .lines()
                .filter_map(|line| Some(line.strip_prefix("key: ")?.to_owned())),
        );
        assert!(!keys.is_empty(), "killed after {delay} ms");
        for key in keys {
            assert_eq!(
                service.get("/v1/whoami", &key).status,
                200,
                "killed after {delay} ms"
            );
        }
    }
}

/// A full disk stands for every way in which the key does not reach the one who started it.
#[test]
fn a_key_that_could_not_be_printed_is_made_up_for_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let failed = command(directory.path()).stdout(full).output().unwrap();
    assert!(!failed.status.success());
    let service = Service::spawn(&mut command(directory.path()));
    let [key] = &service.bootstrap_keys()[..] else {
        panic!("{:?}", service.printed)
    };
    assert_eq!(service.get("/v1/whoami", key).status, 200);
}

#[test]
fn no_key_is_printed_for_a_database_that_others_have_put_keys_in() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(directory.path().join("keygate.db"));
        let keys = Keygate::builder("acme_live")
            .pepper(Pepper::from_base64(PEPPER).unwrap())
            .store(store.await.unwrap());
        let keys = keys.build().await.unwrap();
        let issued = keys.manager().issue(NewKey::for_owner("org_42")).await;
        assert!(issued.is_ok());
    });
    let service = Service::start(directory.path());
    assert_eq!(service.bootstrap_keys(), Vec::<String>::new());
}

#[test]
fn a_wrong_configuration_ends_the_start_with_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(
        path.join("text.db"),
        "this is no database, but it is long enough to be read as one".repeat(20),
    )
    .unwrap();
    drop(Service::start(path));
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("KEYGATE_BIND", "nowhere")], "KEYGATE_BIND"),
        (&[("KEYGATE_BIND", "")], "KEYGATE_BIND"),
        (&[("KEYGATE_BIND", "127.0.0.1:99999")], "KEYGATE_BIND"),
        (&[("KEYGATE_BIND", "192.0.2.1:0")], "KEYGATE_BIND"),
        (&[("KEYGATE_URL", "")], "KEYGATE_URL"),
        (&[("KEYGATE_URL", "api.acme.example")], "KEYGATE_URL"),
        (&[("KEYGATE_URL", "https://a;b")], "KEYGATE_URL"),
        (
            &[("KEYGATE_TRUSTED_PROXIES", "nginx")],
            "KEYGATE_TRUSTED_PROXIES=\"nginx\"",
        ),
        (&[("KEYGATE_TRUSTED_PROXIES", "::/0")], "everybody"),
        (&[("KEYGATE_STORE", "")], "KEYGATE_STORE"),
        (
            &[("KEYGATE_STORE", "missing/keys.db")],
            "directory does not exist",
        ),
        (&[("KEYGATE_STORE", ".")], "a directory"),
        (
            &[("KEYGATE_STORE", "mysql://me:secret@db")],
            "at mysql://: name",
        ),
        #[cfg(not(feature = "postgres"))]
        (
            &[("KEYGATE_STORE", "postgres://db")],
            "axum,sqlite,postgres",
        ),
        #[cfg(not(feature = "redis"))]
        (&[("KEYGATE_STORE", "redis://db")], "axum,sqlite,redis"),
        #[cfg(feature = "postgres")]
        (&[("KEYGATE_STORE", "postgres://db:port")], "cannot be read"),
        #[cfg(feature = "redis")]
        (&[("KEYGATE_STORE", "redis://db:port")], "cannot be read"),
        (&[("KEYGATE_STORE", "text.db")], "text.db"),
        (&[("KEYGATE_PEPPER", "short")], "KEYGATE_PEPPER"),
        (&[("KEYGATE_PEPPER", "c2hvcnQ=")], "KEYGATE_PEPPER"),
        (&[("KEYGATE_PEPPER", "not base64")], "KEYGATE_PEPPER"),
        (
            &[(
                "KEYGATE_PEPPER",
                "YW5vdGhlciBwZXBwZXIgdGhhbiB0aGUgZmlyc3Qgb25lIQ==",
            )],
            "is not the one that the keys",
        ),
        (&[("KEYGATE_PEPPER_FILE", "peppers")], "both set"),
        (&[("RUST_LOG", "loud")], "RUST_LOG"),
    ];
    for (variables, expected) in cases {
        let mut command = command(path);
        command
            .env("KEYGATE_PEPPER", PEPPER)
            .envs(variables.iter().copied());
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{variables:?}");
        let errors: Vec<&str> = stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert!(
            errors.len() == 1 && errors[0].contains(expected),
            "{variables:?}: {stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    let without_pepper = command(path).output().unwrap();
    let stderr = String::from_utf8(without_pepper.stderr).unwrap();
    assert!(stderr.contains("bring it back"), "{stderr}");
    assert!(
        !path.join("keygate.db.pepper").exists(),
        "no new pepper hides that the old one is missing"
    );
}
