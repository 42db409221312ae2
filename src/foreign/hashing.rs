use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::ForeignFormatError;

/// How another system hashed its keys.
pub struct Hashing(Method);

enum Method {
    Sha256,
    Sha512,
    HmacSha256(Box<Hmac<Sha256>>),
    HmacSha512(Box<Hmac<Sha512>>),
}

/// The hash of a key of another system.
pub(crate) enum KeyHash {
    Short([u8; 32]),
    Long([u8; 64]),
}

impl Hashing {
    /// SHA-256, without a key or a salt.
    pub fn sha256() -> Self {
        Self(Method::Sha256)
    }

    /// SHA-512, without a key or a salt.
    pub fn sha512() -> Self {
        Self(Method::Sha512)
    }

    /// HMAC-SHA256 under the other system's key, which is wiped with this.
    ///
    /// # Errors
    /// An empty key.
    pub fn hmac_sha256(key: &[u8]) -> Result<Self, ForeignFormatError> {
        Ok(Self(Method::HmacSha256(keyed(key)?)))
    }

    /// HMAC-SHA512 under the other system's key, which is wiped with this.
    ///
    /// # Errors
    /// An empty key.
    pub fn hmac_sha512(key: &[u8]) -> Result<Self, ForeignFormatError> {
        Ok(Self(Method::HmacSha512(keyed(key)?)))
    }

    pub(super) fn hash(&self, text: &str) -> KeyHash {
        match &self.0 {
            Method::Sha256 => KeyHash::Short(Sha256::digest(text).into()),
            Method::Sha512 => KeyHash::Long(Sha512::digest(text).into()),
            Method::HmacSha256(state) => {
                let mac = state.clone().chain_update(text).finalize();
                KeyHash::Short(mac.into_bytes().into())
            }
            Method::HmacSha512(state) => {
                let mac = state.clone().chain_update(text).finalize();
                KeyHash::Long(mac.into_bytes().into())
            }
        }
    }

    /// `bytes` as a hash of this kind; as an error, how many bytes it has.
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<KeyHash, usize> {
        match &self.0 {
            Method::Sha256 | Method::HmacSha256(_) => {
                bytes.try_into().map(KeyHash::Short).map_err(|_| 32)
            }
            Method::Sha512 | Method::HmacSha512(_) => {
                bytes.try_into().map(KeyHash::Long).map_err(|_| 64)
            }
        }
    }

    fn name(&self) -> &'static str {
        match &self.0 {
            Method::Sha256 => "SHA-256",
            Method::Sha512 => "SHA-512",
            Method::HmacSha256(_) => "HMAC-SHA256",
            Method::HmacSha512(_) => "HMAC-SHA512",
        }
    }
}

fn keyed<H: KeyInit>(key: &[u8]) -> Result<Box<H>, ForeignFormatError> {
    if key.is_empty() {
        return Err(ForeignFormatError::EmptyHashKey);
    }
    let state = H::new_from_slice(key).map_err(|_| ForeignFormatError::EmptyHashKey)?;
    Ok(Box::new(state))
}

/// Shows no key.
impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hashing({})", self.name())
    }
}

impl KeyHash {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }
}
