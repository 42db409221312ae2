use std::fmt;

use sha2::{Digest as _, Sha256};

use super::ForeignFormat;
use super::hashing::KeyHash;
use crate::key::KeyId;

/// A key of another system, as much as that system knew of it.
pub(crate) struct ImportedKey<'a> {
    id: KeyId,
    format: &'a ForeignFormat,
    /// Empty, where it is part of what was hashed.
    label: &'a str,
    hash: KeyHash,
}

/// A text that can be a key of another system. Nothing about it is proved yet.
pub(crate) struct ForeignText<'a> {
    pub(super) key: ImportedKey<'a>,
    pub(super) text: &'a str,
}

impl<'a> ImportedKey<'a> {
    pub(super) fn new(format: &'a ForeignFormat, label: &'a str, hash: KeyHash) -> Self {
        let mut round = 0_u64;
        let id = KeyId::derive(|| {
            let mut digest = Sha256::new();
            for piece in [b"-keygate alias 1".as_slice(), &round.to_be_bytes()] {
                digest.update(piece);
            }
            // Neither a name nor a label holds a NUL.
            for piece in [format.name().as_bytes(), b"\0", label.as_bytes(), b"\0"] {
                digest.update(piece);
            }
            digest.update(hash.as_bytes());
            round += 1;
            digest.finalize().into()
        });
        Self {
            id,
            format,
            label,
            hash,
        }
    }

    /// The id under which it is imported.
    pub(crate) fn id(&self) -> &KeyId {
        &self.id
    }

    pub(crate) fn format(&self) -> &'a ForeignFormat {
        self.format
    }

    /// What people may know it by.
    pub(crate) fn title(&self) -> String {
        match self.label {
            "" => self.format.name().to_owned(),
            label => format!("{} {label}", self.format.name()),
        }
    }

    /// What the MAC is of before its text was seen. No key id begins with a hyphen, so it is the MAC of
    /// no key of ours.
    pub(crate) fn mac_input(&self) -> [&[u8]; 7] {
        [
            b"-keygate import 1",
            self.id.as_bytes(),
            self.format.name().as_bytes(),
            b"\0",
            self.label.as_bytes(),
            b"\0",
            self.hash.as_bytes(),
        ]
    }
}

impl<'a> ForeignText<'a> {
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn as_imported(&self) -> &ImportedKey<'a> {
        &self.key
    }

    /// What the MAC is of once its text was seen: whoever has the other system's hashes has nothing of it.
    pub(crate) fn mac_input(&self) -> [&[u8]; 5] {
        [
            b"-keygate foreign 1",
            self.key.id.as_bytes(),
            self.key.format.name().as_bytes(),
            b"\0",
            self.text.as_bytes(),
        ]
    }
}

impl fmt::Debug for ForeignText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ForeignText({} {} [redacted])",
            self.key.format.name(),
            self.key.id
        )
    }
}
