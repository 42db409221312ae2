//! The service example as a user runs it: its own process, a real file, real sockets.

#![cfg(all(unix, feature = "axum", feature = "sqlite"))]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keygate::store::SqliteStore;
use keygate::{Keygate, NewKey, Pepper};
use serde_json::{Value, json};
use tempfile::TempDir;

const PEPPER: &str = "cGVwcGVyIG9mIHRlc3RzLCBuZXZlciBvZiBhbnkgdXNlISE=";

/// The example beside this test, which `cargo test` has built.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/service");
    assert!(
        program.exists(),
        "build it first: cargo build --example service --features axum,sqlite"
    );
    program
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .current_dir(directory)
        .env_clear()
        .env("KEYGATE_BIND", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running service.
struct Service {
    child: Child,
    base: String,
    /// What it printed before it listened.
    printed: Vec<String>,
}

impl Service {
    fn start(directory: &Path) -> Self {
        Self::spawn(command(directory).env("KEYGATE_PEPPER", PEPPER))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut printed = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let base = loop {
            let Some(line) = lines.next() else {
                let mut error = String::new();
                child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut error)
                    .unwrap();
                panic!("the service did not start: {error}");
            };
            let line = line.unwrap();
            if let Some(base) = line.strip_prefix("listening on ") {
                break base.to_owned();
            }
            printed.push(line);
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            base,
            printed,
        }
    }

    fn bootstrap_keys(&self) -> Vec<String> {
        let keys = self
            .printed
            .iter()
            .filter_map(|line| line.strip_prefix("key: "));
        keys.map(str::to_owned).collect()
    }

    fn call(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> Answer {
        request(&self.base, method, path, key, body).unwrap()
    }

    fn get(&self, path: &str, key: &str) -> Answer {
        self.call("GET", path, key, None)
    }

    fn issue(&self, by: &str, body: Value) -> (String, String) {
        let answer = self.call("POST", "/v1/keys", by, Some(body));
        assert_eq!(answer.status, 201, "{}", answer.body);
        (answer.text("key_id"), answer.text("key"))
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the process to end by itself.
    fn stop(mut self, signal: &str) -> Output {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        let mut stderr = Vec::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_end(&mut stderr)
            .unwrap();
        Output {
            status,
            stdout: Vec::new(),
            stderr,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: Value,
}

impl Answer {
    fn text(&self, field: &str) -> String {
        self.body[field]
            .as_str()
            .unwrap_or_else(|| panic!("{field} in {}", self.body))
            .to_owned()
    }

    fn expect(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
    }
}

fn request(
    base: &str,
    method: &str,
    path: &str,
    key: &str,
    body: Option<Value>,
) -> Result<Answer, ureq::Error> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(30)))
        .build();
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{base}{path}"));
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = body.map(|body| match body {
        Value::String(raw) => raw,
        json => json.to_string(),
    });
    let request = request.body(body.unwrap_or_default()).unwrap();
    let agent: ureq::Agent = agent.into();
    let mut response = agent.run(request)?;
    let text = response.body_mut().read_to_string()?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    })
}

fn started() -> (TempDir, Service, String) {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(directory.path());
    let [key] = &service.bootstrap_keys()[..] else {
        panic!("{:?}", service.printed)
    };
    let key = key.clone();
    (directory, service, key)
}

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
fn a_key_lives_from_issue_to_revocation() {
    let (_directory, service, admin) = started();
    let answer = service.call(
        "POST",
        "/v1/keys",
        &admin,
        Some(json!({"owner": "org_42", "name": "CI", "scopes": ["orders:read"]})),
    );
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(
        answer.body["expires_at"].is_string(),
        "90 days unless said otherwise"
    );
    let (id, key) = (answer.text("key_id"), answer.text("key"));

    let orders = service.get("/v1/orders", &key);
    assert_eq!(
        (orders.status, orders.body["owner"].as_str()),
        (200, Some("org_42"))
    );
    assert_eq!(orders.headers["cache-control"], "private, no-cache");
    service
        .call("POST", "/v1/orders", &key, None)
        .expect(403, "scope_insufficient");
    service.get("/v1/orders", "").expect(401, "key_missing");
    service
        .get(&format!("/v1/orders?api_key={key}"), &key)
        .expect(400, "key_in_url");
    service
        .get("/v1/orders", &key.replace("acme_live", "acme_test"))
        .expect(401, "key_invalid");
    let test_key = "acme_test_9B8aUrgK57gd_RzH4EI57OFDnbTDyizMfdmAfbhtuxQxjf3EUsKwg4rd0tkZHL";
    service
        .get("/v1/orders", test_key)
        .expect(401, "wrong_environment");

    let listed = service.get("/v1/keys?owner=org_42", &admin);
    assert_eq!(listed.body["keys"][0]["key_id"], json!(id));
    let secret = &key[key.len() - 49..key.len() - 6];
    assert!(
        !listed.body.to_string().contains(secret),
        "a list shows no secret"
    );

    let rotated = service.call(
        "POST",
        &format!("/v1/keys/{id}/rotate"),
        &admin,
        Some(json!({"overlap_seconds": 3600})),
    );
    assert_eq!((rotated.status, rotated.text("key_id")), (200, id.clone()));
    assert_eq!(rotated.headers["cache-control"], "no-store");
    assert!(rotated.body["previous_secret_ends_at"].is_string());
    let newer = rotated.text("key");
    assert_eq!(
        [&key, &newer].map(|key| service.get("/v1/orders", key).status),
        [200, 200]
    );
    service
        .call("POST", &format!("/v1/keys/{id}/rotate"), &admin, None)
        .expect(409, "conflict");

    let path = format!("/v1/keys/{id}?reason=leaked");
    let revoked = service.call("DELETE", &path, &admin, None);
    assert_eq!(
        (
            revoked.status,
            revoked.body["revocation"]["reason"].as_str()
        ),
        (200, Some("leaked"))
    );
    assert_eq!(
        service
            .call(
                "DELETE",
                &format!("/v1/keys/{id}"),
                &admin,
                Some(json!({"reason": "again"}))
            )
            .body,
        revoked.body
    );
    for key in [&key, &newer] {
        service.get("/v1/orders", key).expect(401, "key_revoked");
    }
    service
        .call("DELETE", "/v1/keys/000000000000", &admin, None)
        .expect(404, "not_found");
}

#[test]
fn a_key_rotates_itself_and_a_zero_overlap_ends_the_old_secret() {
    let (_directory, service, admin) = started();
    let (id, key) = service.issue(&admin, json!({"owner": "org_42", "scopes": []}));
    let rotated = service.call(
        "POST",
        "/v1/keys/self/rotate",
        &key,
        Some(json!({"overlap_seconds": 0})),
    );
    assert_eq!((rotated.status, rotated.text("key_id")), (200, id));
    service.get("/v1/whoami", &key).expect(401, "key_expired");
    assert_eq!(service.get("/v1/whoami", &rotated.text("key")).status, 200);
}

#[test]
fn a_hundred_rotations_at_once_make_one_secret() {
    let (_directory, service, admin) = started();
    let (id, _) = service.issue(&admin, json!({"owner": "org_42"}));
    let (won, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let answer = service.call("POST", &format!("/v1/keys/{id}/rotate"), &admin, None);
                let count = match answer.status {
                    200 => &won,
                    409 => &lost,
                    _ => panic!("{answer:?}"),
                };
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!((won.into_inner(), lost.into_inner()), (1, 99));
}

#[test]
fn nobody_reaches_beyond_their_own_key() {
    let (_directory, service, admin) = started();
    let bootstrap = service.get("/v1/whoami", &admin).text("key_id");
    let (own_id, writer) =
        service.issue(&admin, json!({"owner": "org_42", "scopes": ["keys:write"]}));
    let (strong_id, _) = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": ["orders:read"]}),
    );
    let (foreign_id, _) = service.issue(&admin, json!({"owner": "org_43", "scopes": []}));
    let (lasting_id, _) = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": [], "expires_in_days": null}),
    );

    let post = |path: &str, body: Value| service.call("POST", path, &writer, Some(body));
    let more = post(
        "/v1/keys",
        json!({"owner": "org_42", "scopes": ["keys:write", "orders:read"]}),
    );
    more.expect(403, "ceiling_exceeded");
    assert!(
        more.text("detail").contains("orders:read"),
        "it names what is too much"
    );
    post(
        "/v1/keys",
        json!({"owner": "org_42", "scopes": ["keys:**"]}),
    )
    .expect(403, "ceiling_exceeded");
    post("/v1/keys", json!({"owner": "org_43", "scopes": []})).expect(403, "ceiling_exceeded");
    post(
        "/v1/keys",
        json!({"owner": "admin", "scopes": ["keys:write"]}),
    )
    .expect(403, "ceiling_exceeded");
    post(
        "/v1/keys",
        json!({"owner": "org_42", "expires_in_days": null}),
    )
    .expect(403, "ceiling_exceeded");
    post(
        "/v1/keys",
        json!({"owner": "org_42", "expires_in_days": 91}),
    )
    .expect(403, "ceiling_exceeded");
    for (id, status) in [
        (&bootstrap, 404),
        (&foreign_id, 404),
        (&strong_id, 403),
        (&lasting_id, 403),
    ] {
        assert_eq!(
            post(&format!("/v1/keys/{id}/rotate"), json!({})).status,
            status
        );
    }
    for (id, status) in [(&bootstrap, 404), (&foreign_id, 404), (&strong_id, 403)] {
        assert_eq!(
            service
                .call("DELETE", &format!("/v1/keys/{id}"), &writer, None)
                .status,
            status
        );
    }
    service
        .get("/v1/keys", &writer)
        .expect(403, "scope_insufficient");

    let (_, reader) = service.issue(&admin, json!({"owner": "org_42", "scopes": ["keys:read"]}));
    service
        .get("/v1/keys?owner=org_43", &reader)
        .expect(404, "not_found");
    let owners: BTreeSet<String> = service.get("/v1/keys", &reader).body["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["owner"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(owners, BTreeSet::from(["org_42".to_owned()]));

    // The old secret of a rotation cannot make itself last.
    let rotated = post("/v1/keys/self/rotate", json!({"overlap_seconds": 600}));
    assert_eq!(rotated.status, 200);
    post("/v1/keys/self/rotate", json!({})).expect(409, "conflict");
    post("/v1/keys", json!({"owner": "org_42", "expires_in_days": 1}))
        .expect(403, "ceiling_exceeded");
    let (child, _) = service.issue(&writer, json!({"owner": "org_42"}));
    let listed = service.get("/v1/keys?owner=org_42", &admin);
    let child = listed.body["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["key_id"] == json!(child))
        .cloned();
    assert_eq!(
        child.unwrap()["expires_at"],
        rotated.body["previous_secret_ends_at"]
    );
    assert_ne!(own_id, strong_id);
}

#[test]
fn every_route_asks_for_a_key_and_for_its_own_scope() {
    let (_directory, service, admin) = started();
    let all = ["keys:read", "keys:write", "orders:read", "orders:write"];
    let (target, _) = service.issue(&admin, json!({"owner": "org_42"}));
    let routes = [
        ("GET", "/v1/whoami".to_owned(), None),
        ("GET", "/v1/orders".into(), Some("orders:read")),
        ("POST", "/v1/orders".into(), Some("orders:write")),
        ("GET", "/v1/keys".into(), Some("keys:read")),
        ("POST", "/v1/keys".into(), Some("keys:write")),
        ("POST", "/v1/keys/self/rotate".into(), None),
        (
            "POST",
            format!("/v1/keys/{target}/rotate"),
            Some("keys:write"),
        ),
        ("DELETE", format!("/v1/keys/{target}"), Some("keys:write")),
    ];
    for (method, path, scope) in routes {
        service
            .call(method, &path, "", None)
            .expect(401, "key_missing");
        let others: Vec<&str> = all.into_iter().filter(|s| Some(*s) != scope).collect();
        let (_, key) = service.issue(&admin, json!({"owner": "org_42", "scopes": others}));
        let answer = service.call(method, &path, &key, None);
        match scope {
            None => assert_eq!(answer.status, 200, "{method} {path}"),
            Some(scope) => {
                answer.expect(403, "scope_insufficient");
                assert_eq!(answer.body["missing_scopes"], json!([scope]));
            }
        }
    }
    let keys = service.get("/v1/keys?owner=org_42", &admin);
    let keys = keys.body["keys"].as_array().unwrap();
    let target = keys.iter().find(|key| key["key_id"] == json!(target));
    assert_eq!(target.unwrap()["version"], 1, "nothing happened to it");
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    let (_directory, service, admin) = started();
    let raw = |text: &str| Value::String(text.into());
    let cases = [
        (raw("{"), "EOF"),
        (raw("[]"), "invalid length 0"),
        (json!({}), "missing field `owner`"),
        (
            json!({"owner": "x", "scope": ["a"]}),
            "unknown field `scope`",
        ),
        (json!({"owner": ""}), "owner is empty"),
        (json!({"owner": "a\nb"}), "control character"),
        (json!({"owner": "x".repeat(129)}), "longer than 128"),
        (json!({"owner": "x", "name": "\u{7f}"}), "control character"),
        (
            json!({"owner": "x", "scopes": ["a b"]}),
            "\"a b\" is not a scope",
        ),
        (json!({"owner": "x", "scopes": ["**"]}), "grant everything"),
        (
            json!({"owner": "x", "expires_in_days": 0}),
            "not in the future",
        ),
        (
            json!({"owner": "x", "expires_in_days": -1}),
            "invalid value",
        ),
        (json!({"owner": "x", "expires_in_days": u32::MAX}), "9999"),
    ];
    for (body, expected) in cases {
        let answer = service.call("POST", "/v1/keys", &admin, Some(body.clone()));
        answer.expect(400, "input_invalid");
        assert!(
            answer.text("detail").contains(expected),
            "{body}: {}",
            answer.body
        );
    }
    let rotate = |body| service.call("POST", "/v1/keys/self/rotate", &admin, Some(body));
    rotate(json!({"overlap_seconds": u64::MAX})).expect(400, "input_invalid");
    rotate(json!({"overlap_seconds": "1"})).expect(400, "input_invalid");
    service
        .get("/v1/keys?limit=0", &admin)
        .expect(400, "input_invalid");
    service
        .get("/v1/keys?ownr=x", &admin)
        .expect(400, "input_invalid");
    service
        .get("/v1/keys?after=short", &admin)
        .expect(400, "input_invalid");
    service
        .call("DELETE", "/v1/keys/short", &admin, None)
        .expect(404, "not_found");
    service
        .call("DELETE", "/v1/keys/%FF", &admin, None)
        .expect(400, "input_invalid");
    service
        .call("PATCH", "/v1/keys", &admin, None)
        .expect(405, "input_invalid");
    service.get("/nothing", &admin).expect(404, "not_found");
    assert_eq!(
        service.get("/v1/whoami", &admin).status,
        200,
        "nothing was rotated"
    );
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
        (&[("KEYGATE_DB", "")], "KEYGATE_DB"),
        (
            &[("KEYGATE_DB", "missing/keys.db")],
            "directory does not exist",
        ),
        (&[("KEYGATE_DB", ".")], "a directory"),
        (&[("KEYGATE_DB", "postgres://db")], "a SQLite file"),
        (&[("KEYGATE_DB", "text.db")], "text.db"),
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

#[test]
fn killing_it_amid_a_thousand_issues_loses_no_acknowledged_key() {
    let (directory, service, admin) = started();
    let acknowledged = std::sync::Mutex::new(Vec::new());
    let remaining = AtomicUsize::new(1_000);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (service, admin, acknowledged, remaining) =
                (&service, &admin, &acknowledged, &remaining);
            scope.spawn(move || {
                while remaining
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    let body = json!({"owner": format!("org_{worker}"), "scopes": ["orders:read"]});
                    match request(&service.base, "POST", "/v1/keys", admin, Some(body)) {
                        Ok(answer) if answer.status == 201 => {
                            acknowledged.lock().unwrap().push(answer.text("key"))
                        }
                        Ok(answer) => panic!("{answer:?}"),
                        Err(_) => return,
                    }
                }
            });
        }
        scope.spawn(|| {
            while acknowledged.lock().unwrap().len() < 300 {
                std::thread::sleep(Duration::from_millis(1));
            }
            service.signal("KILL");
        });
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        (300..1_000).contains(&acknowledged.len()),
        "it was killed in the middle: {}",
        acknowledged.len()
    );
    drop(service);
    let service = Service::start(directory.path());
    for key in &acknowledged {
        assert_eq!(service.get("/v1/orders", key).status, 200);
    }
}

#[test]
fn a_revocation_by_another_process_is_honoured_within_a_second() {
    let (directory, first, admin) = started();
    let second = Service::start(directory.path());
    for _ in 0..3 {
        let (id, key) = first.issue(
            &admin,
            json!({"owner": "org_42", "scopes": ["orders:read"]}),
        );
        assert_eq!(
            [&first, &second].map(|service| service.get("/v1/orders", &key).status),
            [200, 200]
        );
        assert_eq!(
            first
                .call("DELETE", &format!("/v1/keys/{id}"), &admin, None)
                .status,
            200
        );
        let acknowledged = Instant::now();
        first.get("/v1/orders", &key).expect(401, "key_revoked");
        loop {
            let begun = acknowledged.elapsed();
            let answer = second.get("/v1/orders", &key);
            if begun > Duration::from_secs(1) {
                answer.expect(401, "key_revoked");
                break;
            }
        }
    }
}

#[test]
fn no_log_line_at_any_level_holds_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::spawn(
        command(directory.path())
            .env("KEYGATE_PEPPER", PEPPER)
            .env("RUST_LOG", "trace"),
    );
    let admin = service.bootstrap_keys().remove(0);
    let (id, key) = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": ["orders:read"]}),
    );
    let rotated = service
        .call("POST", &format!("/v1/keys/{id}/rotate"), &admin, None)
        .text("key");
    for key in [&key, &rotated] {
        service.get("/v1/orders", key);
        service.get(&format!("/v1/orders?key={key}"), "");
        service.call("POST", "/v1/orders", key, Some(json!({})));
    }
    service.get("/v1/orders", &format!("{}x", &key[..71]));
    service.call("DELETE", &format!("/v1/keys/{id}"), &admin, None);
    service.get("/v1/orders", &rotated);
    let log = String::from_utf8(service.stop("TERM").stderr).unwrap();
    assert!(
        log.contains("key accepted") && log.contains(&id),
        "the log tells who called: {log}"
    );
    assert!(log.contains("request refused") && log.contains("key_revoked"));
    for text in [&admin, &key, &rotated] {
        let secret = &text[text.len() - 49..text.len() - 6];
        assert!(!log.contains(secret), "the log holds a secret");
    }
    assert!(!log.contains(PEPPER) && !log.contains("pepper of tests"));
}

#[test]
fn a_request_that_is_finished_after_its_key_was_revoked_gets_nothing() {
    let (_directory, service, admin) = started();
    let scopes = json!({"owner": "admin", "scopes": ["keys:write"], "expires_in_days": null});
    let (id, thief) = service.issue(&admin, scopes.clone());
    let body = scopes.to_string();
    let address = service.base.strip_prefix("http://").unwrap();
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {thief}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let zero = r#"{"overlap_seconds":0}"#;
    let held: Vec<_> = [("/v1/keys", body.as_str()), ("/v1/keys/self/rotate", zero)]
        .into_iter()
        .map(|(path, body)| {
            let mut connection = TcpStream::connect(address).unwrap();
            connection
                .write_all(head(path, body.len()).as_bytes())
                .unwrap();
            (connection, body)
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        service
            .call("DELETE", &format!("/v1/keys/{id}"), &admin, None)
            .status,
        200
    );
    for (mut connection, body) in held {
        connection.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("caller_ended"),
            "{answer}"
        );
    }
}
