//! The keys that every case uses, and a gate that holds them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use keygate::{
    Attempt, Clock, KeyStore, Keygate, MemoryStore, NewKey, Pepper, RateLimit, Timestamp,
};

/// Reads the operating system's clocks as the default one does, and then tells the moment at which
/// it was made: so that no entry of the cache grows old while hits are measured.
#[derive(Debug)]
struct StandingClock {
    wall: Timestamp,
    monotonic: Instant,
}

impl Clock for StandingClock {
    fn wall(&self) -> Timestamp {
        black_box(Timestamp::from(SystemTime::now()));
        self.wall
    }

    fn monotonic(&self) -> Instant {
        black_box(Instant::now());
        self.monotonic
    }
}

pub(crate) const PEPPER: [u8; 33] = *b"a pepper of benches, never of use";

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// A gate on `store` whose cache keeps `capacity` keys, and which counts nothing.
pub(crate) fn gate(store: impl KeyStore, capacity: usize) -> Keygate {
    build(store, capacity, false)
}

/// The same, which counts how keys are used.
pub(crate) fn counting_gate(store: impl KeyStore, capacity: usize) -> Keygate {
    build(store, capacity, true)
}

fn build(store: impl KeyStore, capacity: usize, counts: bool) -> Keygate {
    let clock = StandingClock {
        wall: SystemTime::now().into(),
        monotonic: Instant::now(),
    };
    let builder = Keygate::builder("acme_live")
        .pepper(Pepper::from_bytes(PEPPER).unwrap())
        .store(store)
        .clock(clock)
        .cache_capacity(capacity)
        .record_usage(counts)
        .usage_capacity(4 * capacity);
    block_on(builder.build()).unwrap()
}

/// A store with `count` keys of the budget's shape: an owner of 16 bytes and three scopes.
pub(crate) fn store(count: usize) -> (Arc<MemoryStore>, Vec<String>) {
    let store = Arc::new(MemoryStore::new());
    let keys = gate(Arc::clone(&store), 0);
    let texts = block_on(async {
        let mut texts = Vec::with_capacity(count);
        for n in 0..count {
            let key = NewKey::for_owner(format!("org_{n:012}")).scopes([
                "orders:read",
                "orders:write",
                "users:read",
            ]);
            let issued = keys.manager().issue(key).await.unwrap();
            texts.push(issued.key.expose().to_owned());
        }
        texts
    });
    (store, texts)
}

/// A gate that knows one key, which may be used more often than any bench does.
pub(crate) fn limited_gate() -> (Keygate, String) {
    let keys = gate(MemoryStore::new(), 1);
    let limit = RateLimit::per_second(RateLimit::MOST);
    let issued = block_on(
        keys.manager()
            .issue(NewKey::for_owner("a").rate_limit(limit)),
    );
    let text = issued.unwrap().key.expose().to_owned();
    warm(&keys, std::slice::from_ref(&text));
    (keys, text)
}

/// Brings every key into the cache.
pub(crate) fn warm(keys: &Keygate, texts: &[String]) {
    block_on(async {
        for text in texts {
            let attempt = Attempt::new(text);
            keys.authenticator().authenticate(attempt).await.unwrap();
        }
    });
}

/// The texts at random, again and again, by a generator that costs next to nothing.
pub(crate) struct Shuffled<'a> {
    texts: &'a [String],
    state: u64,
}

impl<'a> Shuffled<'a> {
    pub(crate) fn new(texts: &'a [String]) -> Self {
        Self { texts, state: 1 }
    }

    pub(crate) fn next(&mut self) -> &'a str {
        self.state = self
            .state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        &self.texts[(self.state >> 33) as usize % self.texts.len()]
    }
}
