//! What GitHub's secret scanning sends, and what it is answered.

#![cfg(feature = "github")]

mod common;

use std::error::Error;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{
    DECLINED, Fault, HOUR, SECOND, World, millis, present, secret_of, with_prefix,
    with_wrong_secret,
};
use keygate::audit::{Actor, AuditAction};
use keygate::github::{GithubAnswer, GithubKeyError, GithubKeySource, GithubKeys, SecretScanning};
use keygate::store::AuditQuery;
use keygate::{Issued, KeyStatus, OnLeak, StoreErrorKind};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, Semaphore};

/// Samples that GitHub has published in its documentation, with the keys for them: identifier, key,
/// signature and body.
const PUBLISHED: [(&str, &str, &str, &str); 2] = [
    (
        "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n",
        "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==",
        r#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#,
    ),
    (
        "f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP\nHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==\n-----END PUBLIC KEY-----",
        "MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEAhHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6WJY=",
        r#"[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]"#,
    ),
];

/// Whoever signs, and under which name the key is published.
struct Signer {
    name: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(name: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self { name, pair }
    }

    fn pem(&self) -> String {
        // Of every key on P-256 in DER.
        let head = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=";
        let mut der = BASE64_STANDARD.decode(head).unwrap();
        der.extend(self.pair.public_key().as_ref());
        let base64 = BASE64_STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
    }

    fn published(&self) -> GithubKeys {
        GithubKeys::from_pem(self.name, &self.pem()).unwrap()
    }

    fn sign(&self, body: &[u8]) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), body).unwrap();
        BASE64_STANDARD.encode(signature.as_ref())
    }

    async fn send(&self, scanning: &SecretScanning, body: &[u8]) -> GithubAnswer {
        let signature = self.sign(body);
        scanning
            .handle(Some(self.name), Some(&signature), body)
            .await
    }
}

async fn world() -> World {
    World::with(|builder| builder.on_leak(OnLeak::Revoke)).await
}

fn found(text: &str) -> Value {
    json!({ "token": text, "type": "acme_key", "url": "https://github.example/x/blob/1/y", "source": "commit" })
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn status(world: &World, issued: &Issued) -> KeyStatus {
    let info = world.keys.manager().inspect(&issued.info.key_id).await;
    info.unwrap().status
}

#[tokio::test]
async fn what_github_has_published_as_a_sample_verifies_and_nothing_near_it_does() {
    let world = world().await;
    for (identifier, pem, signature, body) in PUBLISHED {
        let keys = json!({ "public_keys": [
            { "key_identifier": "other", "key": Signer::new("other").pem(), "is_current": true },
            { "key_identifier": identifier, "key": pem, "is_current": false, "more": [1] },
        ]});
        let keys = GithubKeys::from_json(keys.to_string().as_bytes()).unwrap();
        let scanning = SecretScanning::new(world.keys.manager(), keys);
        let ask = async |identifier, signature, body: &str| {
            scanning
                .handle(identifier, signature, body.as_bytes())
                .await
        };
        let answer = ask(Some(identifier), Some(signature), body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.content_type, "application/json");
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!([{
            "token_hash": hash("some_token"), "token_type": "some_type", "label": "false_positive",
        }]);
        assert_eq!(told, expected);
        let altered = body.replace("some_token", "some_taken");
        for (identifier, signature, body) in [
            (Some(identifier), Some(signature), &*altered),
            (Some(identifier), Some(signature), &*format!("{body} ")),
            (Some("other"), Some(signature), body),
            (Some("unknown"), Some(signature), body),
            (Some(""), Some(signature), body),
            (None, Some(signature), body),
            (Some(identifier), None, body),
            (Some(identifier), Some(""), body),
            (Some(identifier), Some("not base64"), body),
            (Some(identifier), Some("AAAA"), body),
            (Some(identifier), Some(&signature[4..]), body),
        ] {
            let answer = ask(identifier, signature, body).await;
            assert_eq!(answer.status, 401, "{identifier:?} {signature:?} {body}");
        }
    }
}

#[tokio::test]
async fn nothing_is_looked_up_for_what_github_has_not_signed() {
    let world = world().await;
    let issued = world.issue().await;
    let (github, stranger) = (Signer::new("k1"), Signer::new("k1"));
    let scanning = SecretScanning::new(world.keys.manager(), github.published());
    let body = json!([found(issued.key.expose())]).to_string();
    let asked = world.store.gets.count();
    assert_eq!(stranger.send(&scanning, body.as_bytes()).await.status, 401);
    assert_eq!(world.store.gets.count(), asked);
    assert_eq!(status(&world, &issued).await, KeyStatus::Active);
    assert_eq!(github.send(&scanning, body.as_bytes()).await.status, 200);
    assert_eq!(status(&world, &issued).await, KeyStatus::Revoked);
}

#[tokio::test]
async fn keys_that_prove_right_are_ended_and_told_by_their_hash_and_never_in_the_clear() {
    let world = world().await;
    let (leaked, near) = (world.issue().await, world.issue().await);
    let text = leaked.key.expose();
    let wrong = with_wrong_secret(near.key.expose());
    let elsewhere = with_prefix(near.key.expose(), DECLINED);
    let github = Signer::new("k1");
    let scanning = SecretScanning::new(world.keys.manager(), github.published());
    let body = json!([
        found(text),
        found(&wrong),
        found(&elsewhere),
        { "token": "x", "type": "y", "unknown": { "z": 1 }, "url": null },
    ]);
    let body = body.to_string();
    for _sent_twice in 0..2 {
        let answer = github.send(&scanning, body.as_bytes()).await;
        assert_eq!(answer.status, 200);
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!([
            { "token_hash": hash(text), "token_type": "acme_key", "label": "true_positive" },
            { "token_hash": hash(&wrong), "token_type": "acme_key", "label": "false_positive" },
            { "token_hash": hash("x"), "token_type": "y", "label": "false_positive" },
        ]);
        assert_eq!(told, expected);
        assert!(
            !String::from_utf8(answer.body)
                .unwrap()
                .contains(secret_of(text))
        );
    }
    assert_eq!(status(&world, &near).await, KeyStatus::Active);
    let info = world
        .keys
        .manager()
        .inspect(&leaked.info.key_id)
        .await
        .unwrap();
    let reason = "leaked: GitHub commit https://github.example/x/blob/1/y";
    assert_eq!(info.revocation.unwrap().reason, reason);
    let query = AuditQuery {
        action: Some(AuditAction::LeakReported),
        ..AuditQuery::new()
    };
    let told = async || world.keys.manager().audit(&query).await.unwrap().events;
    let [event] = &told().await[..] else {
        panic!("what is sent again within an hour is told once")
    };
    assert_eq!(event.key_id, Some(leaked.info.key_id));
    assert_eq!(event.actor, Actor::User("github".into()));
    let elsewhere = json!([{ "token": text, "type": "acme_key", "source": "wiki" }]).to_string();
    github.send(&scanning, elsewhere.as_bytes()).await;
    assert_eq!(told().await.len(), 2, "another place is told");
    world.clock.advance_monotonic(HOUR);
    github.send(&scanning, body.as_bytes()).await;
    assert_eq!(told().await.len(), 3);
}

#[tokio::test]
async fn an_outage_is_answered_503_and_what_is_sent_again_is_done() {
    let world = world().await;
    let issued = [world.issue().await, world.issue().await];
    let github = Signer::new("k1");
    let scanning = SecretScanning::new(world.keys.manager(), github.published());
    let body = json!([found(issued[0].key.expose()), found(issued[1].key.expose())]).to_string();
    let unavailable = Fault::Fail(StoreErrorKind::Unavailable);
    let faults = [
        &world.store.gets,
        &world.store.writes,
        &world.store.audit_records,
    ];
    for calls in faults {
        calls.once(unavailable.clone());
        assert_eq!(github.send(&scanning, body.as_bytes()).await.status, 503);
        calls.heal();
    }
    // One that is damaged keeps nobody else from being ended.
    world.store.corrupt(issued[0].info.key_id);
    assert_eq!(github.send(&scanning, body.as_bytes()).await.status, 503);
    assert_eq!(status(&world, &issued[1]).await, KeyStatus::Revoked);
    world.store.mend(issued[0].info.key_id);
    assert_eq!(github.send(&scanning, body.as_bytes()).await.status, 200);
    assert_eq!(status(&world, &issued[0]).await, KeyStatus::Revoked);
}

#[tokio::test]
async fn what_cannot_be_understood_or_is_too_much_is_told_so() {
    let world = world().await;
    let github = Signer::new("k1");
    let scanning = SecretScanning::new(world.keys.manager(), github.published());
    for body in [
        "",
        "{}",
        "[1]",
        r#"[{"token":"x"}]"#,
        r#"[{"type":"x"}]"#,
        "[",
        "\u{ff}",
    ] {
        assert_eq!(
            github.send(&scanning, body.as_bytes()).await.status,
            400,
            "{body}"
        );
    }
    assert_eq!(github.send(&scanning, &[0xff]).await.status, 400);
    let small = json!({ "token": "x", "type": "y" });
    for (count, status) in [
        (SecretScanning::MAX_MATCHES, 200),
        (SecretScanning::MAX_MATCHES + 1, 413),
    ] {
        let body = Value::Array(vec![small.clone(); count]).to_string();
        assert_eq!(
            github.send(&scanning, body.as_bytes()).await.status,
            status,
            "{count}"
        );
    }
    let mut long = b"[]".to_vec();
    long.resize(SecretScanning::MAX_BODY, b' ');
    assert_eq!(github.send(&scanning, &long).await.status, 200);
    long.push(b' ');
    assert_eq!(github.send(&scanning, &long).await.status, 413);
}

#[tokio::test]
async fn where_it_was_found_is_made_fit_for_the_audit_log_whatever_it_holds() {
    let world = world().await;
    let issued = world.issue().await;
    let text = issued.key.expose();
    let github = Signer::new("k1");
    let scanning = SecretScanning::new(world.keys.manager(), github.published());
    let url = format!("https://x.example/\n\u{1b}[31m?{text}{}", "é".repeat(600));
    let body =
        json!([{ "token": text, "type": "acme_key", "url": url, "source": "wiki" }]).to_string();
    assert_eq!(github.send(&scanning, body.as_bytes()).await.status, 200);
    let info = world
        .keys
        .manager()
        .inspect(&issued.info.key_id)
        .await
        .unwrap();
    let reason = info.revocation.unwrap().reason;
    assert!(
        reason.starts_with("leaked: GitHub wiki https://x.example/[31m?"),
        "{reason}"
    );
    assert!(!reason.contains(secret_of(text)) && reason.chars().count() <= 512);
    // Where the cut goes through the secret, and where a line break does.
    let other = world.issue().await;
    let text = other.key.expose();
    let cut = format!("{}{text}", "x".repeat(400));
    let broken = text.replace(
        &secret_of(text)[20..],
        &format!("\n{}", &secret_of(text)[20..]),
    );
    let body = json!([
        { "token": text, "type": "acme_key", "url": cut },
        { "token": text, "type": "acme_key", "url": broken },
    ]);
    let body = body.to_string();
    assert_eq!(github.send(&scanning, body.as_bytes()).await.status, 200);
    let events = world
        .keys
        .manager()
        .audit(&AuditQuery::new())
        .await
        .unwrap()
        .events;
    assert!(!format!("{events:?}").contains(&secret_of(text)[..20]));
}

/// Publishes what it is given, or fails.
struct Meta {
    keys: Option<GithubKeys>,
    fetched: Arc<AtomicUsize>,
}

/// Publishes what it holds, once it may.
#[derive(Clone)]
struct Held {
    keys: Arc<Mutex<Option<GithubKeys>>>,
    fetched: Arc<AtomicUsize>,
    begun: Arc<Notify>,
    may_go_on: Arc<Semaphore>,
}

#[async_trait::async_trait]
impl GithubKeySource for Held {
    async fn fetch(&self) -> Result<GithubKeys, Box<dyn Error + Send + Sync>> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
        drop(self.may_go_on.acquire().await);
        let keys = self.keys.lock().unwrap().clone();
        keys.ok_or_else(|| "no route to host".into())
    }
}

impl Held {
    fn publishing(keys: GithubKeys) -> Self {
        Self {
            keys: Arc::new(Mutex::new(Some(keys))),
            fetched: Arc::default(),
            begun: Arc::default(),
            may_go_on: Arc::new(Semaphore::new(0)),
        }
    }
}

#[tokio::test]
async fn strangers_who_ask_and_leave_keep_nobody_from_the_public_keys() {
    let world = world().await;
    let (github, stranger) = (Signer::new("k1"), Signer::new("made up"));
    let source = Held::publishing(github.published());
    let scanning = SecretScanning::with_source(world.keys.manager(), source.clone());
    let asking = scanning.clone();
    let asking = tokio::spawn(async move { stranger.send(&asking, b"[]").await });
    source.begun.notified().await;
    asking.abort();
    asking.await.unwrap_err();
    source.may_go_on.add_permits(1);
    assert_eq!(github.send(&scanning, b"[]").await.status, 200);
    assert_eq!(source.fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_public_key_that_was_withdrawn_is_trusted_for_a_day_and_longer_only_in_an_outage() {
    let world = world().await;
    let (withdrawn, new) = (Signer::new("k1"), Signer::new("k2"));
    let source = Held::publishing(withdrawn.published());
    source.may_go_on.add_permits(1);
    let scanning = SecretScanning::with_source(world.keys.manager(), source.clone());
    assert_eq!(withdrawn.send(&scanning, b"[]").await.status, 200);
    *source.keys.lock().unwrap() = None;
    world.clock.advance(23 * HOUR);
    assert_eq!(withdrawn.send(&scanning, b"[]").await.status, 200);
    assert_eq!(source.fetched.load(Ordering::SeqCst), 1);
    world.clock.advance(HOUR);
    for _ in 0..3 {
        assert_eq!(withdrawn.send(&scanning, b"[]").await.status, 200);
    }
    assert_eq!(source.fetched.load(Ordering::SeqCst), 2, "and fails");
    *source.keys.lock().unwrap() = Some(new.published());
    world.clock.advance(60 * SECOND);
    assert_eq!(withdrawn.send(&scanning, b"[]").await.status, 401);
    assert_eq!(new.send(&scanning, b"[]").await.status, 200);
}

#[async_trait::async_trait]
impl GithubKeySource for Meta {
    async fn fetch(&self) -> Result<GithubKeys, Box<dyn Error + Send + Sync>> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        self.keys.clone().ok_or_else(|| "no route to host".into())
    }
}

#[tokio::test]
async fn public_keys_are_fetched_where_one_is_not_known_and_once_a_minute_at_most() {
    let world = world().await;
    let (github, stranger) = (Signer::new("k1"), Signer::new("k2"));
    let fetched = Arc::new(AtomicUsize::new(0));
    let source = Meta {
        keys: Some(github.published()),
        fetched: fetched.clone(),
    };
    let scanning = SecretScanning::with_source(world.keys.manager(), source);
    for _ in 0..3 {
        assert_eq!(github.send(&scanning, b"[]").await.status, 200);
        assert_eq!(stranger.send(&scanning, b"[]").await.status, 401);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    world.clock.advance_monotonic(60 * SECOND);
    for _ in 0..3 {
        assert_eq!(github.send(&scanning, b"[]").await.status, 200);
        assert_eq!(stranger.send(&scanning, b"[]").await.status, 401);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_source_of_public_keys_that_fails_is_an_outage_and_is_not_asked_in_a_loop() {
    let world = world().await;
    let fetched = Arc::new(AtomicUsize::new(0));
    let source = Meta {
        keys: None,
        fetched: fetched.clone(),
    };
    let scanning = SecretScanning::with_source(world.keys.manager(), source);
    let github = Signer::new("k1");
    for _ in 0..3 {
        assert_eq!(github.send(&scanning, b"[]").await.status, 503);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    world.clock.advance_monotonic(10 * SECOND + millis(1));
    assert_eq!(github.send(&scanning, b"[]").await.status, 503);
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[test]
fn what_is_no_public_key_on_the_curve_is_named() {
    let good = Signer::new("k1").pem();
    let pem = |pem: &str| GithubKeys::from_pem("k1", pem).unwrap_err();
    let named = GithubKeyError::Pem("k1".into());
    assert_eq!(pem(""), named);
    assert_eq!(pem(&good.replace("BEGIN PUBLIC", "BEGIN PRIVATE")), named);
    assert_eq!(pem(&good.replacen("MFkw", "MFkx", 1)), named);
    assert_eq!(pem(&good.replacen("MFkw", "", 1)), named);
    let json = |json: Value| GithubKeys::from_json(json.to_string().as_bytes()).unwrap_err();
    assert_eq!(json(json!([])), GithubKeyError::Json);
    assert_eq!(json(json!({ "public_keys": [] })), GithubKeyError::None);
    let bad = json!({ "public_keys": [{ "key_identifier": "k1", "key": "x" }] });
    assert_eq!(json(bad), named);
}

/// Where there is no `openssl`, as on a slim machine, there is nothing to compare with.
#[tokio::test]
async fn what_openssl_signs_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        let ran = command.current_dir(&directory).args(arguments).output();
        ran.ok()
            .inspect(|ran| assert!(ran.status.success(), "{ran:?}"))
    };
    let made = [
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        "key.pem",
    ];
    if run(&made).is_none() {
        eprintln!("skipped: there is no openssl");
        return;
    }
    let pem = run(&["ec", "-in", "key.pem", "-pubout"]).unwrap().stdout;
    let world = world().await;
    let issued = world.issue().await;
    let body = json!([found(issued.key.expose())]).to_string();
    std::fs::write(directory.path().join("body"), &body).unwrap();
    let signature = run(&["dgst", "-sha256", "-sign", "key.pem", "body"])
        .unwrap()
        .stdout;
    let keys = GithubKeys::from_pem("k1", std::str::from_utf8(&pem).unwrap()).unwrap();
    let scanning = SecretScanning::new(world.keys.manager(), keys);
    let signature = BASE64_STANDARD.encode(signature);
    let answer = scanning
        .handle(Some("k1"), Some(&signature), body.as_bytes())
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(status(&world, &issued).await, KeyStatus::Revoked);
    assert!(present(&world.keys, issued.key.expose()).await.is_err());
}
