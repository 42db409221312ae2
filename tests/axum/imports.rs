//! Keys of other systems, as requests bring them.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use keygate::audit::AuditAction;
use keygate::store::AuditQuery;
use keygate::{Alphabet, Credentials, ForeignFormat, Hashing, KeyId, NewKey, StoredHash};
use sha2::{Digest as _, Sha256};

use crate::common::*;
use crate::{call, owner};

/// `17|` and 40 letters and digits.
const BARRED: &str = "17|iZ4aWCYmNZ4zY5xin7pADjrCQPubjBohedBAG6KI";
/// `old-` and 100 hex digits: longer than any key of ours.
const LONG: &str = "old-00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0011";

struct Served {
    world: World,
    app: Router,
    barred: KeyId,
    long: KeyId,
}

async fn served() -> Served {
    let barred = ForeignFormat::new("barred", Hashing::sha256(), Alphabet::ALPHANUMERIC, 40..=40)
        .label(Alphabet::DIGITS, 1..=20, '|')
        .hashes_secret_alone();
    let long = ForeignFormat::new("long", Hashing::sha256(), Alphabet::HEX, 100..=100);
    let world = World::with(|builder| {
        builder
            .credentials(Credentials::new().accept_basic())
            .accept_foreign(barred)
            .accept_foreign(long.prefix("old-"))
    })
    .await;
    let import = async |format, hashed: &str, label: Option<&str>| {
        let hash = StoredHash::from_bytes(Sha256::digest(hashed).to_vec());
        let hash = match label {
            Some(label) => hash.labelled(label),
            None => hash,
        };
        let new = NewKey::for_owner("org_42");
        let imported = world.keys.manager().import(format, &hash, new).await;
        imported.unwrap().info.key_id
    };
    Served {
        app: Router::new().route("/{*path}", get(owner).layer(world.keys.authenticate())),
        barred: import("barred", &BARRED[3..], Some("17")).await,
        long: import("long", LONG, None).await,
        world,
    }
}

impl Served {
    async fn ask(&self, path: &str, field: &str, value: &str) -> Result<String, String> {
        let request = Request::get(path).header(field, value);
        let answer = call(&self.app, request.body(Body::empty()).unwrap()).await;
        match answer.status.is_success() {
            true => Ok(answer.body),
            false => Err(answer.code()),
        }
    }

    async fn leaked(&self) -> Vec<Option<KeyId>> {
        let page = self.world.keys.manager().audit(&AuditQuery::new()).await;
        let events = page.unwrap().events.into_iter();
        events
            .filter(|event| event.action == AuditAction::LeakedInUrl)
            .map(|event| event.key_id)
            .collect()
    }
}

#[tokio::test]
async fn an_old_text_opens_wherever_a_key_may_stand() {
    let served = served().await;
    for text in [BARRED, LONG] {
        let basic = BASE64_STANDARD.encode(format!("{text}:"));
        for (field, value) in [
            ("authorization", format!("Bearer {text}")),
            ("x-api-key", text.to_owned()),
            ("authorization", format!("Basic {basic}")),
        ] {
            let answer = served.ask("/x", field, &value).await;
            assert_eq!(answer.as_deref(), Ok("org_42"), "{field}: {value}");
        }
    }
}

#[tokio::test]
async fn what_only_resembles_an_old_text_is_refused_as_before() {
    let served = served().await;
    for (text, code) in [
        (BARRED.replace("17|", "18|"), "key_invalid"),
        (BARRED.replace("17|", "a|"), "request_malformed"),
        (BARRED.replace('|', "||"), "request_malformed"),
        (BARRED.replace('|', ","), "request_malformed"),
        (format!("{BARRED}1"), "request_malformed"),
        (BARRED[3..].to_owned(), "key_invalid"),
        (LONG.replace("old-00", "old-01"), "key_invalid"),
        (format!("{LONG}1"), "key_invalid"),
        (LONG.replace("old-00", "old-|0"), "key_invalid"),
    ] {
        let answer = served.ask("/x", "x-api-key", &text).await;
        assert_eq!(answer, Err(code.into()), "{text}");
    }
    let plain = World::new().await;
    let app = Router::new().route("/{*path}", get(owner).layer(plain.keys.authenticate()));
    for (text, code) in [(BARRED, "request_malformed"), (LONG, "key_invalid")] {
        let request = Request::get("/x").header("x-api-key", text);
        let answer = call(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.code(), code, "without the format: {text}");
    }
}

#[tokio::test]
async fn an_old_text_in_a_url_is_a_leak_where_its_format_has_a_prefix() {
    let served = served().await;
    for path in [
        format!("/x?key={LONG}"),
        format!("/x?key={}&a=b", LONG.replace('-', "%2D")),
        format!("/x/{LONG}/y"),
    ] {
        let answer = served.ask(&path, "x-api-key", BARRED).await;
        assert_eq!(answer, Err("key_in_url".into()), "{path}");
    }
    let unknown = LONG.replace("old-00", "old-01");
    let answer = served
        .ask(&format!("/x?key={unknown}"), "x-api-key", BARRED)
        .await;
    assert_eq!(answer, Err("key_in_url".into()));
    let mut leaked = served.leaked().await;
    leaked.sort();
    assert_eq!(
        leaked,
        [None, Some(served.long)],
        "named only where it proves right"
    );
    let barred = format!("/x?key={}", BARRED.replace('|', "%7C"));
    let answer = served.ask(&barred, "x-api-key", BARRED).await;
    assert_eq!(
        answer.as_deref(),
        Ok("org_42"),
        "nothing tells it from other text"
    );
    assert_ne!(served.barred, served.long);
}
