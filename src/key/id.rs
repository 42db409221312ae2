use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ID_LEN, RandomError, base62};

/// The public name of a key for its whole life: 12 base62 characters, 71 random bits.
///
/// It may be logged and shown. Knowing it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_LEN]);

impl KeyId {
    /// A new id from the operating system's random number generator.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        let mut id = [0; ID_LEN];
        base62::fill_random(&mut id)?;
        Ok(Self(id))
    }

    /// The id that follows from uniform bytes, of which `more` gives as many as are needed.
    pub(crate) fn derive(more: impl FnMut() -> [u8; 32]) -> Self {
        let mut id = [0; ID_LEN];
        base62::fill_from(&mut id, more);
        Self(id)
    }

    /// The twelve characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, ParseKeyIdError> {
        match <[u8; ID_LEN]>::try_from(bytes) {
            Ok(id) if base62::is_base62(&id) => Ok(Self(id)),
            _ => Err(ParseKeyIdError),
        }
    }
}

impl FromStr for KeyId {
    type Err = ParseKeyIdError;

    fn from_str(text: &str) -> Result<Self, ParseKeyIdError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Text that is not a key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 12 characters of 0-9, A-Z and a-z, like 4KX9vQ2mB7tZ")]
pub struct ParseKeyIdError;
