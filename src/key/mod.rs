//! Keys as text: what a caller sends, taken apart and put together.
//!
//! ```text
//! acme_live_4KX9vQ2mB7tZ_<43 secret characters><6 checksum characters>
//! └ prefix ┘└ key id: 12 ┘
//! ```
//!
//! ```
//! use keygate::PresentedKey;
//! let text = "acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy4czicd";
//! let key = PresentedKey::parse(text)?;
//! assert_eq!((key.prefix(), key.id().as_str()), ("acme_live", "aWFeOgd23eOp"));
//! assert!(PresentedKey::parse(&text.replace("live", "test")).is_err());
//! # Ok::<(), keygate::ParseKeyError>(())
//! ```

mod base62;
mod id;
mod prefix;
mod presented;
mod text;

pub use id::{KeyId, ParseKeyIdError};
pub use prefix::{Prefix, PrefixError};
pub use presented::{ParseKeyError, PresentedKey};
pub(crate) use presented::{redact, unless_it_holds};
pub use text::KeyText;
pub(crate) use text::{Secret, hint};

/// The operating system gave no random bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system's random number generator failed: {0}")]
pub struct RandomError(getrandom::Error);

impl RandomError {
    pub(crate) fn new(error: getrandom::Error) -> Self {
        Self(error)
    }
}

pub(crate) const ID_LEN: usize = 12;
pub(crate) const SECRET_LEN: usize = 43;
pub(crate) const CHECKSUM_LEN: usize = 6;
/// Everything right of the prefix: `_`, id, `_`, secret, checksum.
pub(crate) const TAIL_LEN: usize = 1 + ID_LEN + 1 + SECRET_LEN + CHECKSUM_LEN;
const MIN_KEY_LEN: usize = 1 + TAIL_LEN;
/// No key text is longer than this many bytes.
pub(crate) const MAX_KEY_LEN: usize = prefix::MAX_PREFIX_LEN + TAIL_LEN;

/// The checksum that ends a key text: CRC-32 of every byte before it, in base62, padded to 6.
fn checksum(of: &[u8]) -> [u8; CHECKSUM_LEN] {
    base62::encode_u32(crc32fast::hash(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/data/vectors.json")).unwrap()
    }

    #[test]
    fn the_checksum_agrees_with_githubs_published_sample() {
        let sample = &vectors()["checksum_of_github_sample"];
        let text = sample["text"].as_str().unwrap();
        assert_eq!(
            &checksum(text.as_bytes())[..],
            sample["checksum"].as_str().unwrap().as_bytes()
        );
    }

    #[test]
    fn every_valid_vector_parses_into_its_parts() {
        for vector in vectors()["valid"].as_array().unwrap() {
            let key = PresentedKey::parse(vector["text"].as_str().unwrap()).unwrap();
            assert_eq!(key.prefix(), vector["prefix"].as_str().unwrap());
            assert_eq!(key.id().as_str(), vector["key_id"].as_str().unwrap());
            assert_eq!(
                &key.secret()[..],
                vector["secret"].as_str().unwrap().as_bytes()
            );
        }
    }

    #[test]
    fn every_invalid_vector_is_refused() {
        for vector in vectors()["invalid"].as_array().unwrap() {
            match vector["text"].as_str() {
                Some(text) => assert!(PresentedKey::parse(text).is_err(), "{vector}"),
                None => assert!(
                    vector["prefix"]
                        .as_str()
                        .unwrap()
                        .parse::<Prefix>()
                        .is_err(),
                    "{vector}"
                ),
            }
        }
    }

    #[test]
    fn a_checksum_that_fits_makes_no_key_of_what_is_not_written_like_one() {
        let secret = "1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy";
        let id = "aWFeOgd23eOp";
        let parse = |body: String| {
            let mut text = body;
            let sum = checksum(text.as_bytes());
            text.extend(sum.map(char::from));
            PresentedKey::parse(&text).map(|key| *key.id())
        };
        let sound = parse(format!("acme_live_{id}_{secret}"));
        assert_eq!(sound.unwrap().as_str(), id);
        for (body, error) in [
            (format!("acme_live-{id}_{secret}"), ParseKeyError::Separator),
            (format!("acme_live_{id}-{secret}"), ParseKeyError::Separator),
            (format!("Acme_live_{id}_{secret}"), ParseKeyError::Prefix),
            (format!("acme__live_{id}_{secret}"), ParseKeyError::Prefix),
            (format!("acme.live_{id}_{secret}"), ParseKeyError::Prefix),
            (format!("_{id}_{secret}"), ParseKeyError::Length),
            (
                format!("acme_live_{}_{secret}", id.replace('W', "-")),
                ParseKeyError::Character,
            ),
            (
                format!("acme_live_{}_{secret}", id.replace("WF", "é")),
                ParseKeyError::Character,
            ),
            (
                format!("acme_live_{id}_{}", secret.replace('V', "_")),
                ParseKeyError::Character,
            ),
            (
                format!("acme_live_{id}_{}", secret.replace("NJ", "é")),
                ParseKeyError::Character,
            ),
        ] {
            assert_eq!(parse(body.clone()), Err(error), "{body}");
        }
    }

    #[test]
    fn a_generated_text_parses_into_the_id_it_was_made_for() {
        let prefix: Prefix = "acme_live".parse().unwrap();
        let id = KeyId::generate().unwrap();
        let secret = Secret::generate().unwrap();
        let text = KeyText::new(&prefix, &id, &secret);
        let key = PresentedKey::parse(text.expose()).unwrap();
        assert_eq!((key.prefix(), key.id()), ("acme_live", &id));
        assert_eq!(key.secret(), secret.as_bytes());
        assert_ne!(secret.as_bytes(), Secret::generate().unwrap().as_bytes());
    }
}
