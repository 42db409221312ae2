use std::fmt;

use percent_encoding::percent_decode_str;

use super::prefix::{MAX_PREFIX_LEN, Prefix};
use super::{
    CHECKSUM_LEN, ID_LEN, KeyId, MAX_KEY_LEN, MIN_KEY_LEN, SECRET_LEN, TAIL_LEN, base62, checksum,
};

/// A key text that a caller sent, taken apart. Nothing about it is proved yet.
///
/// It borrows the text, and its `Debug` shows no secret.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    prefix: &'a str,
    id: KeyId,
    secret: &'a [u8; SECRET_LEN],
}

impl<'a> PresentedKey<'a> {
    /// Takes `text` apart from the right, by position, and checks its checksum.
    ///
    /// # Errors
    /// Says which part is not as the format has it. The text itself is never part of the error.
    pub fn parse(text: &'a str) -> Result<Self, ParseKeyError> {
        let bytes = text.as_bytes();
        if !(MIN_KEY_LEN..=MAX_KEY_LEN).contains(&bytes.len()) {
            return Err(ParseKeyError::Length);
        }
        let (prefix, tail) = bytes.split_at(bytes.len() - TAIL_LEN);
        let (id, rest) = tail[1..].split_at(ID_LEN);
        let (secret, sum) = rest[1..].split_at(SECRET_LEN);
        if tail[0] != b'_' || rest[0] != b'_' {
            return Err(ParseKeyError::Separator);
        }
        if !Prefix::is_valid(prefix) {
            return Err(ParseKeyError::Prefix);
        }
        let id = KeyId::from_bytes(id).map_err(|_| ParseKeyError::Character)?;
        if !base62::is_base62(secret) {
            return Err(ParseKeyError::Character);
        }
        if sum != checksum(&bytes[..bytes.len() - CHECKSUM_LEN]) {
            return Err(ParseKeyError::Checksum);
        }
        Ok(Self {
            prefix: text.get(..prefix.len()).ok_or(ParseKeyError::Prefix)?,
            id,
            secret: secret.try_into().map_err(|_| ParseKeyError::Length)?,
        })
    }

    /// Whether a key of whatever prefix stands anywhere in `text`: for programs that must not be given one
    /// where others see it, as among their arguments.
    ///
    /// ```
    /// # let key = "acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy4czicd";
    /// use keygate::PresentedKey;
    ///
    /// assert!(PresentedKey::stands_in(&format!("--header=Authorization: Bearer {key}")));
    /// assert!(!PresentedKey::stands_in("acme_live_4KX9vQ2mB7tZ"));
    /// ```
    pub fn stands_in(text: &str) -> bool {
        let is_key = |key: Option<&str>| key.is_some_and(|key| PresentedKey::parse(key).is_ok());
        text.match_indices('_').any(|(prefix_end, _)| {
            let starts = prefix_end.saturating_sub(MAX_PREFIX_LEN)..prefix_end;
            let end = prefix_end + TAIL_LEN;
            starts.into_iter().any(|start| is_key(text.get(start..end)))
        })
    }

    /// The prefix it begins with.
    pub fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// The id it claims.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// `text` without the secret, also where that is percent-encoded in it, as in a URL within a URL.
    pub(crate) fn redact(&self, text: &str) -> String {
        match std::str::from_utf8(self.secret) {
            Ok(secret) => redact(text, secret),
            Err(_) => INSTEAD.into(),
        }
    }

    pub(crate) fn secret(&self) -> &'a [u8; SECRET_LEN] {
        self.secret
    }
}

const INSTEAD: &str = "[redacted]";

/// `text` without `secret`, also where that is percent-encoded in it.
pub(crate) fn redact(text: &str, secret: &str) -> String {
    unless_it_holds(text.replace(secret, INSTEAD), |text| text.contains(secret))
}

/// `text`, unless it holds what is a secret: as it is, or percent-encoded, perhaps twice.
pub(crate) fn unless_it_holds(text: String, is_secret_in: impl Fn(&str) -> bool) -> String {
    let once = percent_decode_str(&text).decode_utf8_lossy();
    let twice = percent_decode_str(&once).decode_utf8_lossy();
    match is_secret_in(&once) || is_secret_in(&twice) {
        true => INSTEAD.into(),
        false => text,
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({}_{}_[redacted])", self.prefix, self.id)
    }
}

/// Why a text is not a key of this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// A character outside `0-9A-Za-z` in the id or the secret.
    #[error("a key's id and secret consist of 0-9, A-Z and a-z only")]
    Character,
    /// The checksum does not fit: mistyped, cut, or not a key of this format.
    #[error("the key's checksum does not fit: it was mistyped, altered or cut")]
    Checksum,
    /// Too short or too long.
    #[error("a key has {MIN_KEY_LEN} to {MAX_KEY_LEN} characters")]
    Length,
    /// What stands before the id is not a prefix.
    #[error("a key begins with a prefix like acme_live")]
    Prefix,
    /// No underscore where one belongs.
    #[error("a key is written prefix_id_secret")]
    Separator,
}
