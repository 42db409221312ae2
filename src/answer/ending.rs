use crate::clock::Timestamp;
use crate::principal::Principal;

/// When the key ends: then its caller needs another key.
pub(crate) const EXPIRES: &str = "x-api-key-expires";

/// When the secret that was presented ends, and its key goes on: then its caller needs the newer
/// secret, or a rotation.
pub(crate) const ROTATE_BY: &str = "x-api-key-rotate-by";

/// What a response tells of the end of what its caller presented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ending {
    /// The field, in lower case.
    pub(crate) name: &'static str,
    pub(super) at: Timestamp,
}

impl Ending {
    /// Every field that tells of an end. A response has one of them.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) const NAMES: [&str; 2] = [EXPIRES, ROTATE_BY];

    /// What ends first: the key, or the secret of it that was presented.
    pub(super) fn of(caller: &Principal) -> Option<Self> {
        let at = caller.ends_at()?;
        let is_keys = caller.expires_at().is_some_and(|end| end <= at);
        let name = if is_keys { EXPIRES } else { ROTATE_BY };
        Some(Self { name, at })
    }

    /// What the field says: a moment as in RFC 3339, in UTC.
    pub(crate) fn value(self) -> String {
        self.at.to_string()
    }
}
