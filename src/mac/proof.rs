use subtle::{Choice, ConstantTimeEq};

use super::{Mac, PepperId};
use crate::clock::Timestamp;

/// A MAC, and the pepper that it was made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PepperedMac {
    pub(crate) mac: Mac,
    pub(crate) pepper: PepperId,
}

impl ConstantTimeEq for PepperedMac {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.pepper.0.ct_eq(&other.pepper.0) & self.mac.ct_eq(&other.mac)
    }
}

/// What a presented secret is held against, and until when it opens.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) sealed: PepperedMac,
    /// When the secret was made, which tells the secrets of a key apart.
    pub(crate) created_at: Timestamp,
    /// The end of the secret or of its key, whichever comes first; [`Timestamp::MAX`] for neither.
    pub(crate) ends_at: Timestamp,
}

/// The proofs of one key. The older one is rare, so it has its memory elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Proofs {
    pub(crate) current: Proof,
    pub(crate) previous: Option<Box<Proof>>,
}

impl Proof {
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        now >= self.ends_at
    }

    /// When it ends, if it does.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        Some(self.ends_at).filter(|end| *end < Timestamp::MAX)
    }
}

impl Proofs {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Proof> {
        std::iter::once(&self.current).chain(self.previous.as_deref())
    }
}
