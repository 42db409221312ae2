//! What GitHub has found.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::key::{PresentedKey, redact};

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
    /// Where it was found, as the audit log can have it.
    pub(super) fn found_in(&self) -> String {
        const MOST: usize = 480;
        let parts = [self.source.as_deref(), self.url.as_deref()];
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        let words: Vec<&str> = std::iter::once("GitHub").chain(parts).collect();
        let words = words.join(" ");
        let printable: String = words.chars().filter(|c| !c.is_control()).collect();
        // Before it is cut, or a part of the secret would be left.
        let without = match PresentedKey::parse(&self.token) {
            Ok(key) => key.redact(&printable),
            // Perhaps one that was made elsewhere, of which all is secret.
            Err(_) if !self.token.is_empty() => redact(&printable, &self.token),
            Err(_) => printable,
        };
        without.chars().take(MOST).collect()
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
