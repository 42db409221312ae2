//! What the integration tests share: gates on a store that misbehaves on demand, at a time that is
//! set by hand, and key texts that are nearly right.

#![allow(
    dead_code,
    unused_imports,
    reason = "every test binary uses its own part of it"
)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use keygate::store::{Expect, Write};
use keygate::{
    Attempt, Builder, Error, Issued, KeyId, KeyRecord, KeyStore, Keygate, MemoryStore, NewKey,
    Pepper, Principal, Refusal, Rejection,
};

pub(crate) use keygate::testing::{Door, Fault, FaultyStore, ManualClock};

/// The prefix that is served, one that is served too, and one whose keys belong elsewhere.
pub(crate) const LIVE: &str = "acme_live";
pub(crate) const SANDBOX: &str = "acme_sandbox";
pub(crate) const DECLINED: &str = "acme_test";

/// 32 bytes in base64, the same in every test, so that gates agree.
pub(crate) const PEPPER: &str = "9b2Lw1Q0ZC7x1uYbKcE4s5m8GJtVnD3hRAfzPqXo6kI=";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn pepper() -> Pepper {
    Pepper::from_base64(PEPPER).unwrap()
}

/// A pepper that is no other test's.
pub(crate) fn fresh_pepper() -> Pepper {
    Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap()
}

/// A builder with everything set that a gate needs. What is not to be as usual is set again.
pub(crate) fn builder(store: impl KeyStore, clock: &ManualClock) -> Builder {
    Keygate::builder(LIVE)
        .accept_prefix(SANDBOX)
        .decline_prefix(DECLINED)
        .pepper(pepper())
        .store(store)
        .clock(clock.clone())
}

/// A gate on a store that misbehaves on demand, at a time that is set by hand.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) keys: Keygate,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// A key of the owner `a`, which may do nothing.
    pub(crate) async fn issue(&self) -> Issued {
        let manager = self.keys.manager();
        manager.issue(NewKey::for_owner("a")).await.unwrap()
    }

    /// A gate that is built with something else than usual.
    pub(crate) async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = ManualClock::new();
        let store = Arc::new(FaultyStore::new(MemoryStore::new()));
        let keys = change(builder(Arc::clone(&store), &clock)).build().await;
        Self {
            keys: keys.unwrap(),
            clock,
            store,
        }
    }

    /// Another gate on the same store and clock: what a second process would be.
    pub(crate) async fn second_gate(&self) -> Keygate {
        builder(Arc::clone(&self.store), &self.clock)
            .build()
            .await
            .unwrap()
    }

    /// The record as it is stored.
    pub(crate) async fn record(&self, id: &KeyId) -> KeyRecord {
        self.store.inner().get(id).await.unwrap().unwrap()
    }

    /// Changes the stored record by hand, as somebody at the database would, and waits until every
    /// gate has to see it.
    pub(crate) async fn edit(&self, id: &KeyId, change: impl FnOnce(&mut KeyRecord)) {
        let before = self.record(id).await;
        let mut record = before.clone();
        change(&mut record);
        record.version += 1;
        let write = Write {
            expect: Expect::Version(before.version),
            record: &record,
            audit: &[],
        };
        self.store.inner().write(write).await.unwrap();
        self.clock.advance_monotonic(SECOND);
    }
}

/// Presents a text with nothing else.
pub(crate) async fn present(keys: &Keygate, text: &str) -> Result<Principal, Refusal> {
    keys.authenticator().authenticate(Attempt::new(text)).await
}

/// The rejection that an outcome must be.
#[track_caller]
pub(crate) fn rejection<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> Rejection {
    match outcome {
        Err(Refusal::Rejected(rejection)) => rejection,
        other => panic!("not a rejection: {other:?}"),
    }
}

/// The error of ours that an outcome must be.
#[track_caller]
pub(crate) fn failure<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> Error {
    match outcome {
        Err(Refusal::Failed(error)) => error,
        other => panic!("not a failure: {other:?}"),
    }
}

/// The id in a key text.
pub(crate) fn id_of(text: &str) -> KeyId {
    parts(text).1.parse().unwrap()
}

/// The 43 characters that are secret about a key text.
pub(crate) fn secret_of(text: &str) -> &str {
    &text[text.len() - 49..text.len() - 6]
}

/// A well-formed text of these parts, with a checksum that fits.
pub(crate) fn forge(prefix: &str, id: &str, secret: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = format!("{prefix}_{id}_{secret}");
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut sum = [0; 6];
    for digit in sum.iter_mut().rev() {
        *digit = ALPHABET[rest % 62];
        rest /= 62;
    }
    text.extend(sum.map(char::from));
    text
}

/// The same key with another secret.
pub(crate) fn with_wrong_secret(text: &str) -> String {
    let (prefix, id, secret) = parts(text);
    let first = if secret.starts_with('A') { "B" } else { "A" };
    forge(prefix, id, &format!("{first}{}", &secret[1..]))
}

/// The same id and secret under another prefix.
pub(crate) fn with_prefix(text: &str, prefix: &str) -> String {
    let (_, id, secret) = parts(text);
    forge(prefix, id, secret)
}

fn parts(text: &str) -> (&str, &str, &str) {
    let tail = text.len() - 63;
    (&text[..tail], &text[tail + 1..tail + 13], secret_of(text))
}
