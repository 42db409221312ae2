use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// What another system has stored of a key: its hash, and where that is of the secret alone, the label
/// that stands before it.
///
/// `Debug` shows no byte of the hash.
///
/// ```
/// # use keygate::{StoredHash, StoredHashError};
/// # let column = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// let hash = StoredHash::from_hex(column)?;
/// let of_row_17 = StoredHash::from_hex(column)?.labelled("17");       // as Laravel's: 17|<secret>
/// # Ok::<(), StoredHashError>(())
/// ```
pub struct StoredHash {
    pub(super) bytes: Vec<u8>,
    pub(super) label: Option<String>,
}

impl StoredHash {
    /// A hash of these bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            label: None,
        }
    }

    /// A hash that is written in hex, in letters of either case.
    ///
    /// # Errors
    /// Text that is not hex.
    pub fn from_hex(text: &str) -> Result<Self, StoredHashError> {
        let (pairs, rest) = text.trim().as_bytes().as_chunks();
        let bytes = pairs.iter().map(|[high, low]| {
            let digit = |c: u8| char::from(c).to_digit(16);
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        });
        match bytes.collect::<Option<Vec<u8>>>() {
            Some(bytes) if rest.is_empty() => Ok(Self::from_bytes(bytes)),
            _ => Err(StoredHashError::NotHex),
        }
    }

    /// A hash that is written in base64, of either alphabet, with padding or without.
    ///
    /// # Errors
    /// Text that is not base64.
    pub fn from_base64(text: &str) -> Result<Self, StoredHashError> {
        let text = text.trim();
        let alphabet = match text.contains(['-', '_']) {
            true => &URL_SAFE,
            false => &STANDARD,
        };
        let bytes = GeneralPurpose::new(alphabet, ANY_PADDING).decode(text);
        let bytes = bytes.map_err(|_| StoredHashError::NotBase64)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Of a key with this label, in a format that hashes the secret alone. Texts with another label
    /// are then no key.
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredHash")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// Why something is not the hash of a key. No error holds a byte of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredHashError {
    /// The format hashes the whole text, so the label is hashed too.
    #[error("keys of the format {0:?} are hashed with their label: give the hash alone")]
    LabelHashed(String),
    /// The hash is of the secret alone, and the label before it is not known.
    #[error(
        "keys of the format {0:?} have a label that is not hashed: give it too, as it stands before the separator (StoredHash::labelled)"
    )]
    LabelMissing(String),
    /// No text of the format has such a label.
    #[error("no key of the format {0:?} has such a label")]
    LabelUnfit(String),
    /// It is a hash of another kind.
    #[error("a hash of the format {format:?} has {needed} bytes, and this one has {len}")]
    Length {
        /// The name of the format.
        format: String,
        /// How many bytes it has.
        len: usize,
        /// How many it needs.
        needed: usize,
    },
    /// Not base64.
    #[error("a hash in base64 has letters, digits and + / or - _ only")]
    NotBase64,
    /// Not hex.
    #[error("a hash in hex has pairs of the digits 0-9 and a-f only")]
    NotHex,
    /// Not a hash by SHA-512, of djangorestframework-api-key.
    #[error(
        "it does not begin with sha512$$: hashes by Django's password hashers cannot be imported, and djangorestframework-api-key 3 makes them anew when their keys are used"
    )]
    NotSha512,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_however_it_is_written() {
        let bytes: Vec<u8> = (0..32).map(|n| 255 - n * 7).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let standard = base64::prelude::BASE64_STANDARD.encode(&bytes);
        let url_safe = base64::prelude::BASE64_URL_SAFE.encode(&bytes);
        assert!(standard.contains('/') && standard.ends_with('='));
        for read in [
            StoredHash::from_hex(&hex),
            StoredHash::from_hex(&format!(" {}\n", hex.to_uppercase())),
            StoredHash::from_base64(&standard),
            StoredHash::from_base64(standard.trim_end_matches('=')),
            StoredHash::from_base64(&url_safe),
            StoredHash::from_base64(url_safe.trim_end_matches('=')),
        ] {
            assert_eq!(read.unwrap().bytes, bytes);
        }
    }

    #[test]
    fn what_is_not_a_hash_is_said_to_be_none() {
        for text in ["abc", "zz", "é", "+1"] {
            assert_eq!(
                StoredHash::from_hex(text).unwrap_err(),
                StoredHashError::NotHex,
                "{text}"
            );
        }
        for text in ["a", "a+-b", "é", "ab c"] {
            let error = StoredHash::from_base64(text).unwrap_err();
            assert_eq!(error, StoredHashError::NotBase64, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_byte_of_a_hash() {
        let hash = StoredHash::from_bytes([0xab; 32]).labelled("17");
        assert_eq!(
            format!("{hash:?}"),
            "StoredHash { label: Some(\"17\"), .. }"
        );
    }
}
