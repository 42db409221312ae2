//! What GitHub has found.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// One text that looks like a key. Fields that are not known are passed over.
#[derive(Deserialize)]
pub(super) struct Match<'a> {
    #[serde(borrow)]
    pub(super) token: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    /// Where it was found; it may be empty.
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    /// In what it was found, such as a commit.
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
}

impl Match<'_> {
    /// Where it was found, in characters that the audit log can have.
    pub(super) fn found_in(&self) -> String {
        let parts = [self.source.as_deref(), self.url.as_deref()];
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        let words: Vec<&str> = std::iter::once("GitHub").chain(parts).collect();
        let words = words.join(" ");
        words.chars().filter(|c| !c.is_control()).collect()
    }

    /// What tells a text in this place from all others.
    pub(super) fn place(&self, found_in: &str) -> [u8; 32] {
        let token = Sha256::digest(self.token.as_bytes());
        let place = Sha256::new().chain_update(token).chain_update(found_in);
        place.finalize().into()
    }

    /// SHA-256 of the text, in hexadecimal digits.
    pub(super) fn hash(&self) -> String {
        let mut hash = String::new();
        for byte in Sha256::digest(self.token.as_bytes()) {
            // Writing to a string does not fail.
            let _ = write!(hash, "{byte:02x}");
        }
        hash
    }
}
