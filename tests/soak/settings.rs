//! What the environment asks for.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use keygate::KeyId;

/// Without a length of its own, a run is as short as a test may be.
const SHORT: Duration = Duration::from_secs(20);

/// From here on memory has to be flat.
const LONG: Duration = Duration::from_secs(300);

pub(crate) struct Settings {
    /// How long this piece lasts, without its start and its end.
    pub(crate) length: Duration,
    /// Where the next piece finds what this one leaves.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) seed: u64,
    /// The one store to run on.
    only: Option<String>,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        Self {
            length: variable("KEYGATE_SOAK_SECONDS").map_or(SHORT, Duration::from_secs),
            directory: variable("KEYGATE_SOAK_DIR"),
            seed: variable("KEYGATE_SOAK_SEED").unwrap_or_else(random_seed),
            only: variable("KEYGATE_SOAK_STORE"),
        }
    }

    pub(crate) fn wants(&self, store: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == store)
    }

    /// What the choices of a piece derive from.
    pub(crate) fn seed_of_piece(&self, pieces_before: u64) -> u64 {
        self.seed.wrapping_add(pieces_before << 32)
    }

    /// What to type to do the same again.
    pub(crate) fn command(&self, store: &str, pieces: u64) -> String {
        let (seed, seconds) = (self.seed, self.length.as_secs());
        let (place, times) = match &self.directory {
            None => ("", String::new()),
            Some(_) => (
                "KEYGATE_SOAK_DIR=EMPTY_DIRECTORY ",
                format!(" ({pieces} times)"),
            ),
        };
        format!(
            "KEYGATE_SOAK_STORE={store} KEYGATE_SOAK_SEED={seed} KEYGATE_SOAK_SECONDS={seconds} {place}cargo test --test soak --features axum,postgres,redis,sqlite -- --nocapture{times}"
        )
    }

    pub(crate) fn is_long(&self) -> bool {
        self.length >= LONG
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    match value.parse() {
        Ok(value) => Some(value),
        Err(_) => panic!("{name}={value:?} cannot be read: see the top of tests/soak/main.rs"),
    }
}

fn random_seed() -> u64 {
    let id = KeyId::generate().unwrap();
    let bytes = id.as_str().bytes();
    bytes.fold(0, |seed: u64, byte| {
        seed.wrapping_mul(131).wrapping_add(u64::from(byte))
    })
}
