use std::fmt;

use zeroize::Zeroizing;

use super::{CHECKSUM_LEN, KeyId, Prefix, RandomError, SECRET_LEN, TAIL_LEN, base62, checksum};

/// A new secret, wiped on drop. It has no `Debug`, `Clone` or `PartialEq` on purpose.
pub(crate) struct Secret(Zeroizing<[u8; SECRET_LEN]>);

impl Secret {
    /// 256 bits from the operating system's random number generator.
    pub(crate) fn generate() -> Result<Self, RandomError> {
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        base62::fill_random(&mut secret[..])?;
        Ok(Self(secret))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }
}

/// The text of a new key: shown once, wiped on drop.
///
/// It has no `Display`, `Clone`, `Serialize` or `PartialEq` on purpose: only
/// [`expose`](Self::expose) shows it.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// The text of the key `id` with this secret.
    pub(crate) fn new(prefix: &Prefix, id: &KeyId, secret: &Secret) -> Self {
        // Reserved whole, so that no copy of the secret is left behind by a reallocation.
        let mut text = Zeroizing::new(String::with_capacity(prefix.as_str().len() + TAIL_LEN));
        text.push_str(prefix.as_str());
        text.push('_');
        text.push_str(id.as_str());
        text.push('_');
        text.extend(secret.as_bytes().iter().copied().map(char::from));
        let sum: [u8; CHECKSUM_LEN] = checksum(text.as_bytes());
        text.extend(sum.map(char::from));
        Self(text)
    }

    /// The whole text. Show it to the owner once; never log or store it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown later to recognise the key: `acme_live_4KX9…`.
    pub fn hint(&self) -> String {
        let id_at = self.0.len() - TAIL_LEN + 1;
        hint(&self.0[..id_at], &self.0[id_at..])
    }
}

/// The display hint of a key: its prefix with the underscore, and the first four of its id.
pub(crate) fn hint(prefix_with_underscore: &str, id: &str) -> String {
    let shown = id.get(..4).unwrap_or(id);
    format!("{prefix_with_underscore}{shown}…")
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({} [redacted])", self.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_expose_shows_the_secret() {
        let id: KeyId = "4KX9vQ2mB7tZ".parse().unwrap();
        let text = KeyText::new(
            &"acme_live".parse().unwrap(),
            &id,
            &Secret::generate().unwrap(),
        );
        assert_eq!(text.hint(), "acme_live_4KX9…");
        let secret = &text.expose()["acme_live_4KX9vQ2mB7tZ_".len()..][..SECRET_LEN];
        assert!(!format!("{text:?}").contains(secret));
    }
}
