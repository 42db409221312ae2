//! Keys that were made elsewhere, and are imported by what was stored of them.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use keygate::audit::AuditAction;
use keygate::{
    Alphabet, Attempt, BuildError, Change, Error, ForeignFormat, ForeignFormatError, Hashing,
    Imported, KeyId, Keygate, NewKey, PepperId, RateLimit, Rejection, Rule, StoreErrorKind,
    StoredHash,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sha2::{Digest as _, Sha256, Sha512};

use crate::audit::audit;
use crate::common::*;

pub(crate) const SECRET: &str = "iZ4aWCYmNZ4zY5xin7pADjrCQPubjBohedBAG6KI482e1e0a";
pub(crate) const TEXT: &str = "17|iZ4aWCYmNZ4zY5xin7pADjrCQPubjBohedBAG6KI482e1e0a";

/// Texts like `17|<secret>`, of which the SHA-256 of the secret was stored.
pub(crate) fn laravel() -> ForeignFormat {
    let characters = Alphabet::ALPHANUMERIC;
    ForeignFormat::new("laravel", Hashing::sha256(), characters, 40..=48)
        .label(Alphabet::DIGITS, 1..=20, '|')
        .hashes_secret_alone()
}

/// Texts of 64 hex digits, as a SHA-256 is written too.
fn hex64(hashing: Hashing) -> ForeignFormat {
    ForeignFormat::new("hex", hashing, Alphabet::HEX, 64..=64)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `laravel` has stored of [`TEXT`].
pub(crate) fn stored() -> StoredHash {
    StoredHash::from_bytes(Sha256::digest(SECRET).to_vec()).labelled("17")
}

pub(crate) async fn world() -> World {
    let world = World::with(|builder| builder.accept_foreign(laravel())).await;
    tokio::spawn(world.keys.run());
    world
}

pub(crate) async fn import(keys: &Keygate, new: NewKey) -> Imported {
    let imported = keys.manager().import("laravel", &stored(), new).await;
    imported.unwrap()
}

/// A world in which [`TEXT`] is the text of the key.
pub(crate) async fn imported() -> (World, KeyId) {
    let world = world().await;
    let imported = import(&world.keys, NewKey::for_owner("org_42")).await;
    assert!(imported.is_new);
    (world, imported.info.key_id)
}

/// Waits until the MAC of the key is no longer the one that was imported.
async fn renewed(world: &World, id: &KeyId) {
    let first = world.record(id).await.version;
    assert!(present(&world.keys, TEXT).await.is_ok());
    for _ in 0..3_000 {
        if world.record(id).await.version > first {
            return;
        }
        tokio::time::sleep(millis(10)).await;
    }
    panic!("the MAC was not renewed");
}

#[tokio::test]
async fn an_imported_key_opens_with_its_old_text_and_nothing_else_of_it_does() {
    let (world, id) = imported().await;
    for is_renewed in [false, true] {
        if is_renewed {
            renewed(&world, &id).await;
            world.clock.advance_monotonic(SECOND);
        }
        let caller = present(&world.keys, TEXT).await.unwrap();
        assert_eq!((caller.key_id(), caller.owner()), (&id, "org_42"));
        let hash = Sha256::digest(SECRET);
        let last = SECRET.replace("1e0a", "1e0b");
        for text in [
            format!("18|{SECRET}"),
            format!("017|{SECRET}"),
            format!("17|{last}"),
            SECRET.to_owned(),
            format!("|{SECRET}"),
            format!("17|{}", &hex(&hash)[..48]),
            format!("17|{}", hex(&hash)),
            format!("17|{}", BASE64_STANDARD.encode(hash)),
            format!("17|{}", &BASE64_URL_SAFE_NO_PAD.encode(hash)[..40]),
            hex(&hash),
            id.to_string(),
            forge(LIVE, id.as_str(), &SECRET[..43]),
            forge(LIVE, id.as_str(), &hex(&hash)[..43]),
        ] {
            let refused = rejection(present(&world.keys, &text).await);
            assert_eq!(refused, Rejection::KeyInvalid, "{text}, {is_renewed}");
        }
    }
}

#[tokio::test]
async fn a_stored_hash_opens_nothing_where_it_is_written_like_a_key() {
    let world = World::with(|builder| builder.accept_foreign(hex64(Hashing::sha256()))).await;
    let text = hex(&Sha256::digest("a secret"));
    let hash = Sha256::digest(&text);
    let stored = StoredHash::from_bytes(hash.to_vec());
    let new = NewKey::for_owner("a");
    let imported = world.keys.manager().import("hex", &stored, new).await;
    imported.unwrap();
    for _ in 0..2 {
        let refused = rejection(present(&world.keys, &hex(&hash)).await);
        assert_eq!(refused, Rejection::KeyInvalid);
        assert!(present(&world.keys, &text).await.is_ok());
    }
}

#[tokio::test]
async fn keys_hashed_in_each_way_open() {
    let key = b"the other system's";
    let text = hex(&Sha256::digest("a secret"));
    let hmac_256 = || Hmac::<Sha256>::new_from_slice(key).unwrap();
    let hmac_512 = || Hmac::<Sha512>::new_from_slice(key).unwrap();
    for (hashing, hash) in [
        (Hashing::sha256(), Sha256::digest(&text).to_vec()),
        (Hashing::sha512(), Sha512::digest(&text).to_vec()),
        (
            Hashing::hmac_sha256(key).unwrap(),
            hmac_256()
                .chain_update(&text)
                .finalize()
                .into_bytes()
                .to_vec(),
        ),
        (
            Hashing::hmac_sha512(key).unwrap(),
            hmac_512()
                .chain_update(&text)
                .finalize()
                .into_bytes()
                .to_vec(),
        ),
    ] {
        let name = format!("{hashing:?}");
        let world = World::with(|builder| builder.accept_foreign(hex64(hashing))).await;
        assert!(present(&world.keys, &text).await.is_err(), "{name}");
        world.clock.advance_monotonic(SECOND);
        let (manager, new) = (world.keys.manager(), NewKey::for_owner("a"));
        let stored = StoredHash::from_bytes(hash);
        manager.import("hex", &stored, new).await.unwrap();
        assert!(present(&world.keys, &text).await.is_ok(), "{name}");
        let other = text.replace('a', "b");
        assert!(present(&world.keys, &other).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn the_mac_becomes_ours_on_first_use_and_once() {
    let (world, id) = imported().await;
    let before = world.record(&id).await;
    let refused = present(&world.keys, &TEXT.replace("17", "18")).await;
    assert!(refused.is_err());
    renewed(&world, &id).await;
    for _ in 0..20 {
        world.clock.advance_monotonic(SECOND);
        assert!(present(&world.keys, TEXT).await.is_ok());
        tokio::task::yield_now().await;
    }
    let after = world.record(&id).await;
    assert!(after.secrets.current.mac != before.secrets.current.mac);
    assert_eq!((after.version, before.version), (2, 1));
    let actions = audit(&world.keys).await;
    let actions: Vec<_> = actions.iter().map(|event| event.action).collect();
    let ours = [AuditAction::Imported, AuditAction::MacRenewed];
    assert_eq!(actions.iter().filter(|a| ours.contains(a)).count(), 2);
}

#[tokio::test]
async fn nothing_of_another_key_can_be_pasted_into_the_record_of_an_imported_one() {
    let (world, id) = imported().await;
    let manager = world.keys.manager();
    let own = manager.issue(NewKey::for_owner("mallory")).await.unwrap();
    let hash = StoredHash::from_bytes(Sha256::digest(SECRET).to_vec()).labelled("18");
    let mallorys = NewKey::for_owner("mallory");
    let other = manager.import("laravel", &hash, mallorys).await.unwrap();
    for pasted in [own.info.key_id, other.info.key_id] {
        let secrets = world.record(&pasted).await.secrets;
        world.edit(&id, |record| record.secrets = secrets).await;
        for text in [
            TEXT.to_owned(),
            forge(LIVE, id.as_str(), secret_of(own.key.expose())),
        ] {
            let refused = rejection(present(&world.keys, &text).await);
            assert_eq!(refused, Rejection::KeyInvalid, "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_of_a_key_is_asked_of_an_imported_one() {
    let (world, id) = imported().await;
    let manager = world.keys.manager();
    let rule = Rule::all(["orders:read"]).unwrap();
    let ask = async |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        let attempt = Attempt::new(TEXT)
            .requiring(&rule)
            .from_address(Some(address));
        world.keys.authenticator().authenticate(attempt).await
    };
    let (inside, outside) = ("10.1.2.3", "192.0.2.7");
    let refused = rejection(ask(inside).await);
    assert!(matches!(refused, Rejection::ScopeInsufficient(_)));
    let change = Change::new()
        .scopes(["orders:read"])
        .allowed_ips(["10.0.0.0/8"]);
    manager.change(&id, change).await.unwrap();
    assert_eq!(ask(inside).await.unwrap().scopes().as_str(), "orders:read");
    assert_eq!(rejection(ask(outside).await), Rejection::IpDenied);
    let change = Change::new().rate_limit(RateLimit::per_minute(2));
    manager.change(&id, change).await.unwrap();
    ask(inside).await.unwrap();
    ask(inside).await.unwrap();
    let refused = rejection(ask(inside).await);
    assert!(
        matches!(refused, Rejection::RateLimited { .. }),
        "{refused:?}"
    );
    manager.disable(&id).await.unwrap();
    assert_eq!(rejection(ask(inside).await), Rejection::KeyDisabled);
    manager.enable(&id).await.unwrap();
    world.clock.advance(91 * DAY);
    assert_eq!(rejection(ask(inside).await), Rejection::KeyExpired);
    manager.revoke(&id, "").await.unwrap();
    assert_eq!(rejection(ask(inside).await), Rejection::KeyRevoked);
}

#[tokio::test]
async fn an_outage_is_our_failure_and_no_judgement_of_an_imported_key() {
    let (world, id) = imported().await;
    world
        .store
        .gets
        .once(Fault::Fail(StoreErrorKind::Unavailable));
    failure(present(&world.keys, TEXT).await);
    world
        .edit(&id, |record| record.secrets.current.pepper = PepperId(7))
        .await;
    match failure(present(&world.keys, TEXT).await) {
        Error::UnknownPepper { key_id, pepper } => assert_eq!((key_id, pepper), (id, PepperId(7))),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_of_no_format_never_reaches_the_store() {
    let (world, _) = imported().await;
    let gets = world.store.gets.count();
    let near = prop_oneof![
        "[0-9]{0,22}[|:/ ]?[0-9A-Za-z]{0,60}",
        "[0-9]{1,20}\\|[0-9A-Za-z]{30,60}[-_.=é]?",
        "\\PC{0,80}",
    ];
    let outside = near.prop_filter("of the format", |text| {
        let Some((label, secret)) = text.split_once('|') else {
            return true;
        };
        let digits = label.bytes().all(|c| c.is_ascii_digit());
        let random = secret.bytes().all(|c| c.is_ascii_alphanumeric());
        let lengths = (1..=20).contains(&label.len()) && (40..=48).contains(&secret.len());
        !(digits && random && lengths)
    });
    let mut runner = TestRunner::default();
    let tried = runner.run(&outside, |text| {
        let attempt = Attempt::new(&text);
        let decided = world
            .keys
            .authenticator()
            .authenticate_cached(attempt, |_| ());
        let refused = decided.expect("decided without the store").unwrap_err();
        prop_assert_eq!(rejection::<()>(Err(refused)), Rejection::KeyInvalid);
        Ok(())
    });
    tried.unwrap();
    assert_eq!(world.store.gets.count(), gets);
    let undecided = |text: &str| {
        let attempt = Attempt::new(text);
        world
            .keys
            .authenticator()
            .authenticate_cached(attempt, |_| ())
            .is_none()
    };
    assert!(undecided(TEXT), "what is of the format is asked for");
}

#[tokio::test]
async fn texts_of_a_format_that_nobody_imported_are_remembered_and_counted_by_address() {
    let limit = RateLimit::per_minute(3);
    let world = World::with(|b| b.accept_foreign(laravel()).failed_attempts(limit)).await;
    let gets = world.store.gets.count();
    let ask = async |row: usize| {
        let text = format!("{row}|{SECRET}");
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let attempt = Attempt::new(&text).from_address(Some(address));
        rejection(world.keys.authenticator().authenticate(attempt).await)
    };
    for _ in 0..2 {
        assert_eq!(ask(1).await, Rejection::KeyInvalid);
    }
    assert_eq!(world.store.gets.count(), gets + 1, "remembered");
    assert_eq!(ask(2).await, Rejection::KeyInvalid);
    for row in 3..20 {
        let refused = ask(row).await;
        assert!(
            matches!(refused, Rejection::TooManyFailures { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(world.store.gets.count(), gets + 2, "not asked any more");
}

#[tokio::test]
async fn keys_of_a_format_are_of_its_environment_alone() {
    let sandbox = || laravel().environment(SANDBOX);
    let world = World::with(|builder| builder.accept_foreign(sandbox())).await;
    let id = import(&world.keys, NewKey::for_owner("a"))
        .await
        .info
        .key_id;
    let caller = present(&world.keys, TEXT).await.unwrap();
    assert_eq!(caller.environment().as_str(), SANDBOX);
    world
        .edit(&id, |record| record.prefix = LIVE.parse().unwrap())
        .await;
    let refused = rejection(present(&world.keys, TEXT).await);
    assert_eq!(refused, Rejection::KeyInvalid);
}

#[tokio::test]
async fn a_format_that_cannot_be_is_refused_at_the_start() {
    let clock = ManualClock::new();
    let build = async |format: ForeignFormat| {
        let builder = builder(keygate::MemoryStore::new(), &clock);
        match builder.accept_foreign(format).build().await {
            Err(BuildError::ForeignFormat(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let weak = ForeignFormat::new("weak", Hashing::sha256(), Alphabet::HEX, 27..=27);
    assert!(matches!(
        build(weak).await,
        ForeignFormatError::Weak { bits: 108, .. }
    ));
    for environment in [DECLINED, "nonsense"] {
        let error = build(laravel().environment(environment)).await;
        assert!(matches!(error, ForeignFormatError::Environment { .. }));
    }
    for prefix in [LIVE, SANDBOX, DECLINED] {
        let characters = Alphabet::ALPHANUMERIC;
        let own = ForeignFormat::new("own", Hashing::sha256(), characters, 49..=49)
            .prefix(format!("{prefix}_"))
            .label(characters, 12..=12, '_');
        let error = build(own).await;
        assert!(matches!(error, ForeignFormatError::OwnKeys { .. }));
    }
}

#[tokio::test]
async fn a_text_that_happens_to_have_our_checksum_is_a_key_of_its_format_all_the_same() {
    let characters = Alphabet::ALPHANUMERIC;
    let format = ForeignFormat::new("old", Hashing::sha256(), characters, 49..=49)
        .prefix("other_")
        .label(characters, 12..=12, '_');
    let world = World::with(|builder| builder.accept_foreign(format)).await;
    let text = forge("other", "4KX9vQ2mB7tZ", &SECRET[..43]);
    assert!(keygate::PresentedKey::parse(&text).is_ok());
    let stored = StoredHash::from_bytes(Sha256::digest(&text).to_vec());
    let new = NewKey::for_owner("a");
    let imported = world.keys.manager().import("old", &stored, new).await;
    let id = imported.unwrap().info.key_id;
    assert_eq!(present(&world.keys, &text).await.unwrap().key_id(), &id);
}
