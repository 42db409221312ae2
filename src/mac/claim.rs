use crate::foreign::ForeignText;
use crate::key::{KeyId, PresentedKey, redact};

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

    /// `text` without what is secret of this. Of a text that was made elsewhere that is all of it.
    pub(crate) fn redact(&self, text: &str) -> String {
        match self {
            Self::Foreign(own) => redact(text, own.text()),
            Self::Own(key) => key.redact(text),
        }
    }
}
