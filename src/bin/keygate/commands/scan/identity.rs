//! Which key of the store a text is, by its right secret.

use std::collections::HashMap;
use std::fmt;

use keygate::{KeyManager, ManageError};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::window::Located;
use crate::commands::found::{has_ended, in_words};
use crate::failure::Failure;
use crate::output::{plain, status, which};

/// So many are remembered: a key that leaks mostly does so again and again.
const REMEMBERED: usize = 10_000;

#[derive(Clone, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Identity {
    /// A key of the store.
    Key {
        key_id: String,
        status: &'static str,
        owner: String,
        name: String,
        secret: &'static str,
        /// It opens nothing, whatever the key's status.
        secret_ended: bool,
    },
    /// None, or not with this secret.
    Unknown,
    /// It cannot be told.
    Unjudged { problem: String },
}

pub(super) struct Identifier {
    manager: KeyManager,
    /// By the hashes of texts, as no text is to be kept.
    known: HashMap<[u8; 32], Identity>,
}

impl Identifier {
    pub(super) fn new(manager: KeyManager) -> Self {
        Self {
            manager,
            known: HashMap::new(),
        }
    }

    pub(super) async fn identify(&mut self, key: &mut Located) -> Result<Identity, Failure> {
        let Some(text) = key.text.take() else {
            return Ok(Identity::Unknown);
        };
        let hash = Sha256::digest(text.as_bytes()).into();
        if let Some(known) = self.known.get(&hash) {
            return Ok(known.clone());
        }
        let identity = self.ask(&text).await?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(hash, identity.clone());
        Ok(identity)
    }

    async fn ask(&self, text: &Zeroizing<String>) -> Result<Identity, Failure> {
        match self.manager.find(text).await {
            Ok(Some(found)) => Ok(Identity::Key {
                secret: which(found.secret),
                secret_ended: has_ended(&found),
                key_id: found.info.key_id.to_string(),
                status: status(found.info.status),
                owner: found.info.owner,
                name: found.info.name,
            }),
            // Also where it has a prefix that the settings do not have.
            Ok(None) | Err(ManageError::Invalid(_)) => Ok(Identity::Unknown),
            Err(error @ ManageError::UnknownPepper(_)) => Ok(Identity::Unjudged {
                problem: error.to_string(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key {
                key_id,
                status,
                owner,
                name,
                secret,
                secret_ended,
            } => {
                let (owner, name) = (plain(owner), plain(name));
                write!(f, "{key_id}, {status}, of {owner}, ")?;
                if !name.is_empty() {
                    write!(f, "{name:?}, ")?;
                }
                f.write_str(&in_words(secret, *secret_ended))
            }
            Self::Unknown => f.write_str("no key of this store"),
            Self::Unjudged { problem } => f.write_str(&plain(problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keygate::testing::FaultyStore;
    use keygate::{Keygate, MemoryStore, NewKey, Pepper};

    use super::*;

    #[tokio::test]
    async fn a_key_is_looked_up_once_and_told_each_time() {
        let store = Arc::new(FaultyStore::new(MemoryStore::new()));
        let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
        let builder = Keygate::builder("acme_live").pepper(pepper);
        let manager = builder.store(Arc::clone(&store)).build_manager().await;
        let manager = manager.unwrap();
        let issued = manager.issue(NewKey::for_owner("org_42")).await.unwrap();
        let mut identifier = Identifier::new(manager);
        let before = store.gets.count();
        for _ in 0..3 {
            let mut key = Located {
                line: None,
                offset: 0,
                hint: String::new(),
                text: Some(Zeroizing::new(issued.key.expose().to_owned())),
            };
            let told = identifier.identify(&mut key).await.unwrap();
            assert!(matches!(told, Identity::Key { owner, .. } if owner == "org_42"));
        }
        assert_eq!(store.gets.count() - before, 1);
    }
}
