use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(super) const MAX_PREFIX_LEN: usize = 32;

/// How every key text of one environment begins, such as `acme_live`.
///
/// Lower-case letters and digits in segments joined by single underscores, beginning with a
/// letter, at most 32 characters. By convention the last segment names the environment. `sk_live`
/// is allowed, but every secret scanner takes it for a Stripe key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix as text, without the underscore that follows it in a key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_valid(text: &[u8]) -> bool {
        let mut last = b'_';
        for c in text {
            let continues = c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'_';
            if !continues || (*c == b'_' && last == b'_') {
                return false;
            }
            last = *c;
        }
        text.len() <= MAX_PREFIX_LEN
            && text.first().is_some_and(u8::is_ascii_lowercase)
            && last != b'_'
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if Self::is_valid(text.as_bytes()) {
            Ok(Self(text.into()))
        } else {
            Err(PrefixError(text.chars().take(64).collect()))
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Text that is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a key prefix: use up to 32 lower-case letters and digits in segments joined by \
     single underscores, beginning with a letter, like acme_live"
)]
pub struct PrefixError(String);
