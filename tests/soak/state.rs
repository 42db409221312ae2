//! What one piece leaves to the next.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use keygate::{KeyId, Pepper};
use serde::{Deserialize, Serialize};

use crate::key::{Key, Phase, Secret};
use crate::ledger::Keys;

/// The data of the server, and beside it this.
const FILE: &str = "state.json";

#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) pieces: u64,
    pub(crate) seconds: u64,
    pub(crate) pepper: String,
    pub(crate) admin: Option<String>,
    /// A piece is under way, or was cut off: then it is not known what it had acknowledged.
    pub(crate) is_open: bool,
    perhaps_issued: u64,
    keys: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    id: KeyId,
    version: u64,
    revoked: bool,
    disabled: bool,
    in_doubt: bool,
    by_hand: u64,
    secrets: Vec<(String, Phase)>,
}

impl State {
    /// What the last piece left in `directory`, or the beginning.
    pub(crate) fn load(directory: &Path, seed: u64) -> Self {
        let Ok(text) = fs::read_to_string(file(directory)) else {
            return Self {
                seed,
                pieces: 0,
                seconds: 0,
                pepper: Pepper::generate_base64().unwrap().to_string(),
                admin: None,
                is_open: false,
                perhaps_issued: 0,
                keys: Vec::new(),
            };
        };
        let state: Self = serde_json::from_str(&text).unwrap();
        assert!(
            !state.is_open,
            "the last piece in {} was cut off, and what it had acknowledged is not known: begin in an empty directory",
            directory.display()
        );
        state
    }

    pub(crate) fn save(&self, directory: &Path) {
        let unfinished = directory.join("state.new");
        fs::write(&unfinished, serde_json::to_vec(self).unwrap()).unwrap();
        fs::rename(unfinished, file(directory)).unwrap();
    }

    /// The keys of the pieces before.
    pub(crate) fn keys(&mut self) -> Keys {
        let now = Instant::now();
        let mut keys = Keys {
            perhaps_issued: self.perhaps_issued,
            ..Keys::default()
        };
        for kept in self.keys.drain(..) {
            match kept.revoked {
                true => keys.end(kept.id),
                false => keys.live.push(kept.id),
            }
            keys.all.insert(kept.id, kept.into_key(now));
        }
        keys
    }

    pub(crate) fn keep(&mut self, keys: &Keys) {
        let now = Instant::now();
        self.perhaps_issued = keys.perhaps_issued;
        self.keys = keys.all.values().map(|key| Kept::of(key, now)).collect();
    }
}

impl Kept {
    fn of(key: &Key, now: Instant) -> Self {
        // The two newest are in the record.
        let secrets = &key.secrets[key.secrets.len().saturating_sub(2)..];
        Self {
            id: key.id,
            version: key.version,
            revoked: key.revoked,
            disabled: key.disabled,
            in_doubt: key.in_doubt,
            by_hand: key.by_hand,
            secrets: secrets
                .iter()
                .map(|secret| (secret.text.clone(), secret.phase(now).1))
                .collect(),
        }
    }

    fn into_key(self, now: Instant) -> Key {
        let secrets = self.secrets.into_iter();
        let secrets = secrets.map(|(text, phase)| Secret::new(text, now, phase));
        let mut key = Key::new(self.id, secrets.collect(), self.version, now);
        key.revoked = self.revoked;
        key.disabled = self.disabled;
        key.in_doubt = self.in_doubt;
        key.by_hand = self.by_hand;
        key.history
            .push((now, "as an earlier piece left it".into()));
        key
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}
