use crate::foreign::ForeignText;
use crate::key::{KeyId, PresentedKey};

/// The text of a key that a caller presents: one of ours, or one that was made elsewhere. Nothing about
/// it is proved yet.
#[derive(Debug)]
pub(crate) enum Claim<'a> {
    Foreign(ForeignText<'a>),
    Own(PresentedKey<'a>),
}

impl Claim<'_> {
    pub(crate) fn id(&self) -> &KeyId {
        match self {
            Self::Foreign(text) => text.as_imported().id(),
            Self::Own(key) => key.id(),
        }
    }
}
