//! What must hold of imported keys on every store.

#![allow(dead_code, reason = "every test binary uses its own part of it")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

use std::time::Duration;

use futures_util::{StreamExt, stream};
use keygate::{
    Alphabet, Attempt, Filter, ForeignFormat, Hashing, KeyStore, Keygate, NewKey, Pepper,
    StoredHash,
};
use sha2::{Digest, Sha256};

const KEYS: usize = 10_000;

/// As many imports are with the store at once.
const AT_ONCE: usize = 16;

async fn gate(store: impl KeyStore, pepper: &str) -> Keygate {
    let characters = Alphabet::ALPHANUMERIC;
    let format = ForeignFormat::new("laravel", Hashing::sha256(), characters, 40..=40)
        .label(Alphabet::DIGITS, 1..=20, '|')
        .hashes_secret_alone();
    let builder = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(pepper).unwrap())
        .store(store)
        .accept_foreign(format);
    let keys = builder.build().await.unwrap();
    tokio::spawn(keys.run());
    keys
}

fn secret(row: usize) -> String {
    format!("{row:040}")
}

fn text(row: usize) -> String {
    format!("{row}|{}", secret(row))
}

/// Whether it was imported now.
async fn import(keys: &Keygate, row: usize) -> bool {
    let hash = Sha256::digest(secret(row)).to_vec();
    let hash = StoredHash::from_bytes(hash).labelled(row.to_string());
    let new = NewKey::for_owner(format!("org_{}", row % 7));
    let imported = keys.manager().import("laravel", &hash, new).await;
    imported.unwrap().is_new
}

async fn import_all(keys: &Keygate, rows: usize) -> usize {
    let imports = stream::iter(0..rows).map(|row| import(keys, row));
    let outcomes = imports.buffer_unordered(AT_ONCE);
    outcomes
        .fold(0, async |new, is_new| new + usize::from(is_new))
        .await
}

async fn count(keys: &Keygate) -> usize {
    let (mut counted, mut filter) = (0, Filter::new().limit(Filter::MAX_LIMIT));
    loop {
        let list = keys.manager().list(filter.clone()).await.unwrap();
        counted += list.keys.len();
        match list.next {
            Some(next) => filter = filter.after(next),
            None => return counted,
        }
    }
}

async fn opens(keys: &Keygate, text: &str) -> bool {
    let attempt = Attempt::new(text);
    keys.authenticator().authenticate(attempt).await.is_ok()
}

/// Ten thousand keys are imported, at first half of them, and once each.
pub(crate) async fn import_ten_thousand<S: KeyStore>(open: impl AsyncFn() -> S) {
    let pepper = Pepper::generate_base64().unwrap();
    let keys = gate(open().await, &pepper).await;
    assert_eq!(import_all(&keys, KEYS / 2).await, KEYS / 2);
    assert_eq!(import_all(&keys, KEYS).await, KEYS / 2);
    assert_eq!(count(&keys).await, KEYS);
    for row in [0, KEYS / 2, KEYS - 1] {
        assert!(opens(&keys, &text(row)).await);
    }
    assert!(!opens(&keys, &text(KEYS)).await);
}

/// An imported key opens on every instance, before its MAC is ours and after, until it is revoked.
pub(crate) async fn open_on_every_instance<S: KeyStore>(open: impl AsyncFn() -> S) {
    let pepper = Pepper::generate_base64().unwrap();
    let (one, other) = (
        gate(open().await, &pepper).await,
        gate(open().await, &pepper).await,
    );
    assert!(import(&one, 17).await);
    let text = text(17);
    assert!(opens(&other, &text).await);
    let manager = one.manager();
    let id = manager.find(&text).await.unwrap().unwrap().info.key_id;
    let version = async || manager.inspect(&id).await.unwrap().version;
    for _ in 0..3_000 {
        if version().await > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        opens(&other, &text).await;
    }
    assert_eq!(version().await, 2, "renewed once");
    assert!(opens(&one, &text).await && opens(&other, &text).await);
    let last = gate(open().await, &pepper).await;
    assert!(opens(&last, &text).await && !opens(&last, &secret(17)).await);
    manager.revoke(&id, "").await.unwrap();
    assert!(!opens(&one, &text).await);
    assert!(!import(&one, 17).await && !opens(&one, &text).await);
}
