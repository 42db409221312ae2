use std::fmt;
use std::ops::RangeInclusive;

use sha2::{Digest as _, Sha256};

use super::alphabet::can_stand_in_keys;
use super::{
    Alphabet, ForeignFormatError, ForeignText, Hashing, ImportedKey, StoredHash, StoredHashError,
};

pub(super) const MAX_LABEL_LEN: usize = 64;
pub(super) const MAX_LITERAL_LEN: usize = 32;
pub(super) const MAX_SECRET_LEN: usize = 128;
/// Below this a secret can be found by trying, once somebody has its hash (NIST SP 800-131A).
pub(super) const MIN_BITS: u32 = 112;
const MAX_NAME_LEN: usize = 32;

/// The keys of another system: what their texts look like, and how it hashed them.
///
/// ```text
/// acme_4f2k|live_7ZkQ0w…
/// │    │   ││    └ secret
/// │    │   │└ secret prefix
/// │    │   └ separator
/// │    └ label
/// └ prefix
/// ```
///
/// All parts but the secret can be missing. Only texts that fit exactly are ever looked up. Whatever is
/// wrong with a format is said when the gate is [built](crate::Builder::accept_foreign).
///
/// ```
/// use keygate::{Alphabet, ForeignFormat, Hashing};
/// // 17|<40 to 48 letters and digits>, of which the database has the SHA-256 of what follows the bar.
/// let laravel = ForeignFormat::new("laravel", Hashing::sha256(), Alphabet::ALPHANUMERIC, 40..=48)
///     .label(Alphabet::DIGITS, 1..=20, '|')
///     .hashes_secret_alone();
/// ```
pub struct ForeignFormat {
    name: String,
    hashing: Hashing,
    hashes_secret_alone: bool,
    pub(super) prefix: String,
    pub(super) label: Option<Label>,
    pub(super) secret_prefix: String,
    pub(super) secret: Part,
    environment: Option<String>,
}

/// A part of a text that differs from key to key.
pub(super) struct Part {
    pub(super) alphabet: Alphabet,
    pub(super) lengths: RangeInclusive<usize>,
}

pub(super) struct Label {
    pub(super) part: Part,
    pub(super) separator: char,
}

/// A text, taken apart.
struct Parts<'a> {
    label: &'a str,
    /// With the secret prefix.
    secret: &'a str,
    whole: &'a str,
}

impl ForeignFormat {
    /// Keys whose secrets consist of `lengths` characters of `alphabet`, each of them uniform. Their
    /// hashes are of the whole text.
    ///
    /// `name` goes into all that is kept of the keys: it must never change. Two systems of one kind
    /// are two formats, as two names and two prefixes tell.
    ///
    /// Once keys are imported, how they were hashed and their environment stay as they are, or no
    /// instance starts. Which texts fit can be widened; what no longer fits is no key.
    pub fn new(
        name: impl Into<String>,
        hashing: Hashing,
        alphabet: Alphabet,
        lengths: RangeInclusive<usize>,
    ) -> Self {
        Self {
            name: name.into(),
            hashing,
            hashes_secret_alone: false,
            prefix: String::new(),
            label: None,
            secret_prefix: String::new(),
            secret: Part { alphabet, lengths },
            environment: None,
        }
    }

    /// What every text begins with, such as `acme_`. Keys with one are also noticed in URLs, where no
    /// letter and no digit stands next to them.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What tells the key's row in the other system, and the separator between it and the secret.
    pub fn label(
        mut self,
        alphabet: Alphabet,
        lengths: RangeInclusive<usize>,
        separator: char,
    ) -> Self {
        self.label = Some(Label {
            part: Part { alphabet, lengths },
            separator,
        });
        self
    }

    /// What stands between the label and the secret, and is hashed with the secret.
    pub fn secret_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.secret_prefix = prefix.into();
        self
    }

    /// The hashes are of the secret, with its own prefix, and not of what stands before it.
    pub fn hashes_secret_alone(mut self) -> Self {
        self.hashes_secret_alone = true;
        self
    }

    /// The accepted prefix of this service whose environment the keys belong to; the first, unless set.
    pub fn environment(mut self, prefix: impl Into<String>) -> Self {
        self.environment = Some(prefix.into());
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn named_environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// The key that `text` is, if it can be one of this format.
    pub(super) fn read<'a>(&'a self, text: &'a str) -> Option<ForeignText<'a>> {
        let parts = self.split(text)?;
        let (label, hashed) = match self.hashes_secret_alone {
            true => (parts.label, parts.secret),
            false => ("", text),
        };
        let key = ImportedKey::new(self, label, self.hashing.hash(hashed));
        Some(ForeignText { key, text })
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        self.split(text).is_some()
    }

    /// The first of its keys that stands in `text`. None, if they have no prefix: what merely looks alike
    /// would be taken for them. No checksum tells a key from what lies within a longer word either, such
    /// as a cursor in base64, so it has to stand between other characters than letters and digits.
    pub(super) fn find_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        if self.prefix.is_empty() {
            return None;
        }
        let mut begins = text.match_indices(self.prefix.as_str());
        begins.find_map(|(at, _)| {
            let key = self.split_start(&text[at..])?.whole;
            let before = text[..at].bytes().next_back();
            let after = text[at + key.len()..].bytes().next();
            let is_within = before.is_some_and(|c| c.is_ascii_alphanumeric())
                || after.is_some_and(|c| c.is_ascii_alphanumeric());
            (!is_within).then_some(key)
        })
    }

    /// The key of which the other system has stored this.
    pub(crate) fn imported<'a>(
        &'a self,
        stored: &'a StoredHash,
    ) -> Result<ImportedKey<'a>, StoredHashError> {
        let name = || self.name.clone();
        let hash = self.hashing.parse(&stored.bytes);
        let hash = hash.map_err(|needed| StoredHashError::Length {
            format: name(),
            len: stored.bytes.len(),
            needed,
        })?;
        let own = self.label.as_ref().filter(|_| self.hashes_secret_alone);
        let label = match (own, &stored.label) {
            (None, None) => "",
            (None, Some(_)) if self.label.is_some() => {
                return Err(StoredHashError::LabelHashed(name()));
            }
            (Some(_), None) => return Err(StoredHashError::LabelMissing(name())),
            (Some(own), Some(label)) if own.part.fits(label) => label,
            (_, Some(_)) => return Err(StoredHashError::LabelUnfit(name())),
        };
        Ok(ImportedKey::new(self, label, hash))
    }

    /// In hex, what the ids of its keys follow from, and the environment of their records. Of the key of an
    /// HMAC nothing is in it but what that makes of a text.
    pub(crate) fn mark(&self, environment: &str) -> String {
        let sample = self.hashing.hash("-keygate format 1");
        let mut mark = Sha256::new();
        for piece in [environment.as_bytes(), b"\0", sample.as_bytes()] {
            mark.update(piece);
        }
        mark.update([u8::from(self.hashes_secret_alone)]);
        let mark = mark.finalize();
        mark.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn split<'a>(&self, text: &'a str) -> Option<Parts<'a>> {
        let parts = self.split_start(text)?;
        (parts.whole.len() == text.len()).then_some(parts)
    }

    /// The longest key with which `text` begins.
    fn split_start<'a>(&self, text: &'a str) -> Option<Parts<'a>> {
        let rest = text.strip_prefix(self.prefix.as_str())?;
        let (label, secret) = match &self.label {
            Some(Label { part, separator }) => {
                let (label, rest) = part.take(rest)?;
                (label, rest.strip_prefix(*separator)?)
            }
            None => ("", rest),
        };
        let (_, rest) = self
            .secret
            .take(secret.strip_prefix(self.secret_prefix.as_str())?)?;
        Some(Parts {
            label,
            secret: &secret[..secret.len() - rest.len()],
            whole: &text[..text.len() - rest.len()],
        })
    }

    /// What is wrong with it for itself, if anything is.
    pub(super) fn check(&self) -> Result<(), ForeignFormatError> {
        let name = || self.name.clone();
        let of_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=MAX_NAME_LEN).contains(&self.name.len()) || !self.name.bytes().all(of_name) {
            return Err(ForeignFormatError::Name(name()));
        }
        for literal in [&self.prefix, &self.secret_prefix] {
            if literal.len() > MAX_LITERAL_LEN || !literal.chars().all(can_stand_in_keys) {
                return Err(ForeignFormatError::Literal(name()));
            }
        }
        if let Some(Label { part, separator }) = &self.label {
            let tells = can_stand_in_keys(*separator)
                && u8::try_from(*separator).is_ok_and(|c| !part.alphabet.contains(c));
            if !part.is_possible(MAX_LABEL_LEN) || !tells {
                return Err(ForeignFormatError::Label(name()));
            }
        }
        if !self.secret.is_possible(MAX_SECRET_LEN) {
            return Err(ForeignFormatError::SecretLength(name()));
        }
        let bits = self.secret.alphabet.bits_of(*self.secret.lengths.start());
        if bits < f64::from(MIN_BITS) {
            return Err(ForeignFormatError::Weak {
                name: name(),
                bits: bits as u32,
            });
        }
        Ok(())
    }
}

impl Part {
    fn fits(&self, text: &str) -> bool {
        self.take(text).is_some_and(|(_, rest)| rest.is_empty())
    }

    /// As much of `text` as can be this part, and what follows.
    fn take<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let of_it = |c: &u8| self.alphabet.contains(*c);
        let len = text
            .bytes()
            .take(*self.lengths.end())
            .take_while(of_it)
            .count();
        let taken = text.split_at_checked(len);
        taken.filter(|_| self.lengths.contains(&len))
    }

    fn is_possible(&self, max: usize) -> bool {
        !self.lengths.is_empty() && *self.lengths.start() > 0 && *self.lengths.end() <= max
    }
}

/// Shows no key of an HMAC.
impl fmt::Debug for ForeignFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignFormat")
            .field("name", &self.name)
            .field("hashing", &self.hashing)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
