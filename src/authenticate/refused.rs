use std::sync::Arc;

use super::entry::Entry;
use crate::principal::Identity;
use crate::refusal::{Refusal, Rejection};

/// A refusal, and whose key it is of.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// `None`: the secret of the key did not prove right, or was not looked at.
    pub(super) proved: Option<Arc<Identity>>,
}

impl Refused {
    /// Of the key of `entry`, whose secret proved right.
    pub(super) fn of(entry: &Entry, refusal: impl Into<Refusal>) -> Self {
        Self {
            refusal: refusal.into(),
            proved: Some(Arc::clone(&entry.identity)),
        }
    }

    /// Whether it is for how the key came, whatever the record of the key says.
    pub(super) fn is_for_exposure(&self) -> bool {
        matches!(self.refusal, Refusal::Rejected(Rejection::KeyExposed(_)))
    }
}

impl<E: Into<Refusal>> From<E> for Refused {
    fn from(refusal: E) -> Self {
        Self {
            refusal: refusal.into(),
            proved: None,
        }
    }
}
