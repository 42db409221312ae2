//! What the guards leave in the log. A binary of its own: the subscriber is the whole process's.

#![cfg(feature = "axum")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use keygate::testing::{Fault, FaultyStore, ManualClock};
use keygate::{
    Alphabet, Attempt, ForeignFormat, Hashing, Keygate, ManageError, MemoryStore, NewKey, OnLeak,
    Pepper, Policy, Principal, RateLimit, Rule, StoreError, StoreErrorKind, StoredHash,
};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt;
use tracing_subscriber::filter::LevelFilter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What was logged since the last call.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

fn store_failure() -> ManageError {
    StoreError::new(StoreErrorKind::Unavailable, "disk failure").into()
}

async fn owner(caller: Principal) -> String {
    caller.owner().to_owned()
}

async fn key_with_scopes(keys: &Keygate) -> String {
    let new = NewKey::for_owner("org_42").scopes(["a", "b"]);
    let issued = keys.manager().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}

async fn issued_and_revoked(keys: &Keygate) -> String {
    let issued = keys.manager().issue(NewKey::for_owner("org_42")).await;
    let issued = issued.unwrap();
    let id = issued.info.key_id;
    keys.manager().revoke(&id, "").await.unwrap();
    issued.key.expose().to_owned()
}

#[tokio::test]
async fn refusals_and_failures_of_ours_are_logged_with_the_key_they_are_about() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
    let keys = Keygate::builder("acme_live").pepper(pepper);
    let keys = keys.store(MemoryStore::new()).build().await.unwrap();
    let issued = keys.manager().issue(NewKey::for_owner("org_42")).await;
    let issued = issued.unwrap();
    let (key, id) = (issued.key.expose(), issued.info.key_id);
    let inner = Router::new().route("/inner", get(owner).layer(keys.require("a")));
    let inner = inner.layer(keys.authenticate());
    let tried = || Rule::all(["a", "b"]).unwrap().report_only();
    let within = Router::new().route("/tried_within", get(owner).layer(keys.require(tried())));
    let within = within.layer(keys.authenticate());
    let app = Router::new()
        .merge(within)
        .route("/tried", get(owner).layer(keys.require(tried())))
        .route("/x", get(owner).layer(keys.require("a")))
        .route("/any", get(owner).layer(keys.authenticate()))
        .merge(inner)
        .route("/manage", get(|| async { Err::<(), _>(store_failure()) }))
        .route("/unguarded", get(owner));
    let call = async |path: &str, key: Option<&str>| {
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status()
    };
    log.take();
    for _cold_then_cached in 0..2 {
        assert_eq!(call("/any", Some(key)).await, StatusCode::OK);
        let lines = log.take();
        assert!(
            lines.contains("key accepted") && lines.contains(id.as_str()),
            "{lines:?}"
        );
        assert!(!lines.contains(key));
    }
    assert_eq!(call("/inner", Some(key)).await, StatusCode::FORBIDDEN);
    let lines = log.take();
    let refused = lines
        .lines()
        .find(|line| line.contains("scope_insufficient"))
        .unwrap();
    assert!(refused.contains(id.as_str()), "{refused}");
    for path in ["/tried", "/tried", "/tried_within"] {
        assert_eq!(call(path, Some(key)).await, StatusCode::OK, "{path}");
        let lines = log.take();
        let told: Vec<&str> = lines
            .lines()
            .filter(|line| line.contains("would"))
            .collect();
        let [told] = told[..] else {
            panic!("{path} tells once: {lines}")
        };
        for part in [
            "INFO ",
            " keygate: key accepted",
            id.as_str(),
            "org_42",
            "missing_scopes=\"a b\"",
        ] {
            assert!(told.contains(part), "{path}: {part} in {told}");
        }
        assert!(!lines.contains(key));
    }
    let (granted, revoked) = (
        key_with_scopes(&keys).await,
        issued_and_revoked(&keys).await,
    );
    log.take();
    for _cold_then_cached in 0..2 {
        assert_eq!(call("/tried", Some(&granted)).await, StatusCode::OK);
        assert_eq!(
            call("/tried", Some(&revoked)).await,
            StatusCode::UNAUTHORIZED
        );
        let lines = log.take();
        assert!(!lines.contains("would"), "{lines}");
    }
    assert_eq!(call("/manage", None).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(log.take().contains("disk failure"));
    for _recent_then_cached in 0..2 {
        assert_eq!(call("/x", Some(key)).await, StatusCode::FORBIDDEN);
        let lines = log.take();
        assert!(
            lines.contains("scope_insufficient") && lines.contains(id.as_str()),
            "{lines:?}"
        );
        assert!(!lines.contains(key));
    }
    assert_eq!(call("/x", None).await, StatusCode::UNAUTHORIZED);
    assert!(log.take().contains("key_missing"));
    let status = call("/unguarded", Some(key)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(log.take().contains("no keygate layer guards its route"));
    exposed_keys_are_logged_once_a_minute_at_most(&log).await;
    a_demand_is_logged_once(&log).await;
    what_a_handler_logs_names_its_caller_once(&log).await;
    a_change_is_logged_with_who_made_it(&log).await;
    a_leak_is_logged_with_the_key_that_it_proved_to_be(&log).await;
    a_leak_that_is_given_up_is_logged_with_the_key(&log).await;
    a_canary_and_a_reported_leak_are_logged_as_warnings(&log).await;
    #[cfg(feature = "tonic")]
    statuses_of_grpc_leave_failures_of_ours_in_the_log(&log);
}

async fn a_canary_and_a_reported_leak_are_logged_as_warnings(log: &Log) {
    let keys = gate().await;
    let canary = keys.manager().issue(NewKey::for_owner("org_42").canary());
    let canary = canary.await.unwrap();
    let (text, id) = (canary.key.expose(), canary.info.key_id);
    log.take();
    for _cold_then_cached in 0..2 {
        let from = "192.0.2.7".parse().ok();
        let attempt = Attempt::new(text).from_address(from);
        keys.authenticator()
            .authenticate(attempt)
            .await
            .unwrap_err();
        let lines = log.take();
        for part in [
            " WARN keygate: ",
            "a canary",
            id.as_str(),
            "org_42",
            "192.0.2.7",
        ] {
            assert!(lines.contains(part), "{part} in {lines}");
        }
        assert!(!lines.contains(text));
    }
    let report = keys.manager().report_leak(text, "the old wiki").await;
    report.unwrap().unwrap();
    let lines = log.take();
    for part in [
        " WARN keygate: ",
        "reported to have leaked",
        id.as_str(),
        "the old wiki",
    ] {
        assert!(lines.contains(part), "{part} in {lines}");
    }
}

/// Also of a key that was made elsewhere, whose text says nothing of its id.
async fn a_leak_that_is_given_up_is_logged_with_the_key(log: &Log) {
    const TEXT: &str = "old_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let store = Arc::new(FaultyStore::new(MemoryStore::new()));
    let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
    let format = ForeignFormat::new("old", Hashing::sha256(), Alphabet::HEX, 64..=64);
    let builder = Keygate::builder("acme_live").pepper(pepper);
    let builder = builder.store(store.clone()).on_leak(OnLeak::Revoke);
    let builder = builder.accept_foreign(format.prefix("old_"));
    let keys = builder.build().await.unwrap();
    let hash = StoredHash::from_bytes(Sha256::digest(TEXT).to_vec());
    let imported = keys.manager().import("old", &hash, NewKey::for_owner("a"));
    let imported = imported.await.unwrap();
    let gone = Fault::Fail(StoreErrorKind::Unavailable);
    store.writes.always(gone);
    let app = Router::new().route("/x", get(|| async {}).layer(keys.authenticate()));
    let request = Request::get(format!("/x?{TEXT}"));
    let request = request.body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 400);
    log.take();
    keys.shutdown().await;
    let lines = log.take();
    let given_up = lines.lines().find(|line| line.contains("was not ended"));
    let id = imported.info.key_id;
    assert!(
        given_up.unwrap_or_default().contains(id.as_str()),
        "{lines}"
    );
    assert!(!lines.contains(TEXT));
}

async fn gate() -> Keygate {
    let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
    let builder = Keygate::builder("acme_live").pepper(pepper);
    builder.store(MemoryStore::new()).build().await.unwrap()
}

async fn what_a_handler_logs_names_its_caller_once(log: &Log) {
    let keys = gate().await;
    let new = NewKey::for_owner("org_42").rate_limit(RateLimit::per_minute(1_000));
    let issued = keys.manager().issue(new).await.unwrap();
    let (text, id) = (issued.key.expose(), issued.info.key_id);
    let says = || async {
        tokio::task::yield_now().await;
        tracing::info!("the handler is at work");
    };
    let within = get(says).layer(keys.authenticate());
    let app = Router::new()
        .route("/within", within)
        .layer(keys.authenticate());
    let app = app.merge(Router::new().route("/x", get(says).layer(keys.authenticate())));
    let charged = get(says).layer(keys.authenticate().charge(keygate::Charge::of(2)));
    let charged = Router::new().route("/charged", charged);
    let app = app.merge(charged.layer(keys.authenticate()));
    let optional = get(says).layer(keys.authenticate_optional());
    let app = app.merge(Router::new().route("/optional", optional));
    for _cold_then_cached in 0..2 {
        for path in ["/x", "/within", "/charged"] {
            log.take();
            let request = Request::get(path).header("x-api-key", text);
            let request = request.body(Body::empty()).unwrap();
            app.clone().oneshot(request).await.unwrap();
            let lines = log.take();
            let span = format!("request{{key_id={id} owner=\"org_42\"}}: ");
            let mut told = lines.lines().filter(|line| line.contains("at work"));
            let line = told.next().unwrap();
            assert_eq!(line.matches(&span).count(), 1, "{path}: {line}");
            assert_eq!(line.matches("request{").count(), 1, "{path}: {line}");
            assert!(!lines.contains(text));
        }
    }
    log.take();
    let nameless = Request::get("/optional").body(Body::empty()).unwrap();
    app.oneshot(nameless).await.unwrap();
    assert!(!log.take().contains("request{"));
}

async fn a_change_is_logged_with_who_made_it(log: &Log) {
    let keys = gate().await;
    log.take();
    let ada = keys.manager().as_user("ada");
    let ada = ada.from_address("192.0.2.7".parse().unwrap());
    let new = NewKey::for_owner("org_42").scopes(["x", "keys:write"]);
    let issued = ada.issue(new).await.unwrap();
    let (text, id) = (issued.key.expose(), issued.info.key_id);
    let attempt = keygate::Attempt::new(text);
    let caller = keys.authenticator().authenticate(attempt).await.unwrap();
    let own = keys.manager().on_behalf_of(&caller);
    let rotated = own.rotate(&id).await.unwrap();
    keys.manager().revoke(&id, "").await.unwrap();
    let lines = log.take();
    let changes: Vec<&str> = lines
        .lines()
        .filter(|line| line.contains("key changed"))
        .collect();
    let by_ada =
        r#"action="issued" key_id=K owner="org_42" actor="user" by="ada" address=192.0.2.7"#;
    let expected = [
        by_ada,
        r#"action="rotated" key_id=K owner="org_42" actor="key" by=K"#,
        r#"action="revoked" key_id=K owner="org_42" actor="host""#,
    ];
    assert_eq!(changes.len(), expected.len(), "{lines}");
    for (line, expected) in changes.iter().zip(expected) {
        let expected = expected.replace("=K", &format!("=\"{id}\""));
        assert!(line.contains("INFO keygate:"), "{line}");
        assert!(line.contains(&expected), "{expected} in {line}");
    }
    for text in [text, rotated.key.expose()] {
        assert!(!lines.contains(&text[text.len() - 49..text.len() - 6]));
    }
}

async fn a_leak_is_logged_with_the_key_that_it_proved_to_be(log: &Log) {
    let keys = gate().await;
    let issued = keys.manager().issue(NewKey::for_owner("org_42")).await;
    let issued = issued.unwrap();
    let app = Router::new().route("/x", get(owner).layer(keys.authenticate()));
    let (text, id) = (issued.key.expose(), issued.info.key_id);
    let others = gate().await.manager().issue(NewKey::for_owner("b")).await;
    let others = others.unwrap();
    for (text, named) in [(text, true), (others.key.expose(), false)] {
        log.take();
        let request = Request::get(format!("/x?key={text}"));
        let request = request.body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
        let lines = log.take();
        let line = lines.lines().find(|line| line.contains("WARN")).unwrap();
        assert_eq!(line.contains(&format!("key_id=\"{id}\"")), named, "{line}");
        assert_eq!(line.contains("key_id"), named, "{line}");
        assert!(!lines.contains(&text[text.len() - 49..]));
    }
}

async fn exposed_keys_are_logged_once_a_minute_at_most(log: &Log) {
    let clock = ManualClock::new();
    let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
    let keys = Keygate::builder("acme_live").pepper(pepper);
    let keys = keys.store(MemoryStore::new()).clock(clock.clone()).build();
    let keys = keys.await.unwrap();
    let issued = keys.manager().issue(NewKey::for_owner("org_42")).await;
    let issued = issued.unwrap();
    let (text, id) = (issued.key.expose(), issued.info.key_id);
    let attempts: [(&str, Attempt<'_>); 2] = [
        ("a browser", Attempt::new(text).sent_by_browser(true)),
        ("in plaintext", Attempt::new(text).sent_in_plaintext(true)),
    ];
    for warnings in [1, 0, 1] {
        for (how, attempt) in attempts {
            log.take();
            let outcome = keys.authenticator().authenticate(attempt).await;
            outcome.unwrap();
            let lines = log.take();
            let warned = lines.lines().filter(|line| line.contains("WARN keygate:"));
            let warned: Vec<&str> = warned.filter(|line| line.contains(how)).collect();
            assert_eq!(warned.len(), warnings, "{lines}");
            assert!(warned.iter().all(|line| line.contains(id.as_str())));
            assert!(!lines.contains(&text[text.len() - 49..]));
        }
        clock.advance_monotonic(Duration::from_secs(30));
    }
}

/// Without a notifier, and headers, nobody else says that a key has to be rotated.
async fn a_demand_is_logged_once(log: &Log) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let (clock, store) = (ManualClock::new(), Arc::new(MemoryStore::new()));
    let pepper = Pepper::generate_base64().unwrap();
    let gate = async |policy: Policy| {
        let pepper = Pepper::from_base64(&pepper).unwrap();
        let builder = Keygate::builder("acme_live").pepper(pepper).policy(policy);
        let builder = builder.store(Arc::clone(&store)).clock(clock.clone());
        builder.build().await.unwrap()
    };
    let before = gate(Policy::new()).await;
    let new = NewKey::for_owner("org_42").never_expires();
    let id = before.manager().issue(new).await.unwrap().info.key_id;
    clock.advance(100 * DAY);
    let keys = gate(Policy::new().max_secret_age(90 * DAY)).await;
    log.take();
    for expected in [1, 0] {
        keys.sweep_expiring().await.unwrap();
        let end = keys.manager().inspect(&id).await.unwrap().secrets[0].not_after;
        let (lines, end) = (log.take(), end.unwrap().to_string());
        let warns = |line: &&str| line.contains("WARN keygate:") && line.contains(id.as_str());
        let told = lines
            .lines()
            .filter(warns)
            .filter(|line| line.contains(&end));
        assert_eq!(told.count(), expected, "{lines}");
    }
}

#[cfg(feature = "tonic")]
fn statuses_of_grpc_leave_failures_of_ours_in_the_log(log: &Log) {
    use keygate::Conflict;
    use keygate::tonic::RequestExt;
    use tonic::{Request, Status};

    Request::new(()).principal().unwrap_err();
    assert!(log.take().contains("no keygate layer guards its route"));
    let _ = Status::from(store_failure());
    assert!(log.take().contains("disk failure"));
    let _ = Status::from(ManageError::from(Conflict::Revoked));
    assert_eq!(log.take(), "", "the caller's fault");
}
